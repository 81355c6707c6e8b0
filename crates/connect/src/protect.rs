//! Puts the gateway between clients and their servers, and takes it out again.

use crate::server::{Launch, Server};

/// The header that tells the gateway which agent calls.
pub const KEY_HEADER: &str = "x-bailiwick-key";

/// Whether a command line already goes through the gateway.
pub fn is_shim(command: &str, args: &[String]) -> bool {
    let mcp = args.iter().position(|arg| arg == "mcp");
    crate::package::base_name(command) == "bailiwick" && mcp.is_some() && args.iter().any(|arg| arg == "--")
}

/// Whether a remote server already goes through the gateway.
pub fn is_fronted(server: &Server) -> bool {
    match &server.launch {
        Launch::Remote(remote) => remote.headers.iter().any(|header| header.name.eq_ignore_ascii_case(KEY_HEADER)),
        _ => false,
    }
}

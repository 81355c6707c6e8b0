//! Custom resources that describe agents and MCP servers: kagent's, and others of the same form.
//!
//! An agent is an object of kind `Agent`; a server is one of kind `MCPServer`, `RemoteMCPServer` or
//! `ToolServer`, in whatever group.

use graph::kubernetes::estate::{Custom, CustomKind};

use super::{meta, pod};
use crate::aws::{Reader, text};
use crate::document::Node;

/// The group of objects in lists, which need not say it.
const GROUP: &str = "kagent.dev";

pub(super) fn read(reader: &mut Reader<'_>, node: &Node, kind: &str) {
    let resource = format!("{}s", kind.to_ascii_lowercase());
    let kind = match kind {
        "Agent" => CustomKind::Agent,
        "MCPServer" | "RemoteMCPServer" | "ToolServer" => CustomKind::Server,
        _ => return,
    };
    let meta = meta(reader, node, false);
    let Some(spec) = node.get("spec") else { return };
    let declared = spec.get("declarative").or_else(|| spec.get("byo")).unwrap_or(spec);
    let deployment = declared.get("deployment").or_else(|| spec.get("deployment"));
    let mut uses = Vec::new();
    for tool in declared.get("tools").map(Node::items).unwrap_or_default() {
        let named = tool.get("mcpServer").or_else(|| tool.get("agent"));
        let Some(name) = named.and_then(|named| text(named, "name").or_else(|| text(named, "toolServer"))) else {
            continue;
        };
        let (namespace, name) = name.split_once('/').unwrap_or((&meta.namespace, name));
        uses.push((namespace.to_owned(), name.to_owned(), reader.line(tool)));
    }
    let account =
        deployment.and_then(|one| text(one, "serviceAccountName")).or_else(|| text(spec, "serviceAccountName"));
    let transport = spec.get("config").and_then(|config| config.get("sse").or_else(|| config.get("streamableHttp")));
    let group = text(node, "apiVersion").and_then(|version| version.split_once('/')).map_or(GROUP, |(group, _)| group);
    let custom = Custom {
        kind,
        group: group.to_owned(),
        resource,
        account: account.map(str::to_owned),
        uses,
        url: text(spec, "url").or_else(|| transport.and_then(|one| text(one, "url"))).map(str::to_owned),
        command: deployment.and_then(pod::program),
        meta,
    };
    reader.cluster.customs.push(custom);
}

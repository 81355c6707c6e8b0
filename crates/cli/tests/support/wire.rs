//! Requests to a gateway's HTTP door by hand, and a wire between that says what passed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// The key of an agent.
pub(crate) const KEY: &str = "a key of the test";

/// Hands each request to the next gateway, in turn; one that is gone is passed over. Says where each went.
pub(crate) struct Balancer {
    pub(crate) port: u16,
    /// Which gateway got what body.
    pub(crate) went: Went,
}

type Went = Arc<Mutex<Vec<(usize, String)>>>;

impl Balancer {
    pub(crate) fn new(ports: [u16; 2]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (port, went) = (listener.local_addr().unwrap().port(), Went::default());
        let (seen, turn) = (went.clone(), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (seen, turn) = (seen.clone(), turn.clone());
                std::thread::spawn(move || pass(client, ports, &turn, &seen));
            }
        });
        Self { port, went }
    }
}

/// One request and its answer, on connections of their own.
fn pass(client: TcpStream, ports: [u16; 2], turn: &AtomicUsize, seen: &Went) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let first = turn.fetch_add(1, Ordering::SeqCst);
    let (place, mut server) = [first % 2, (first + 1) % 2]
        .into_iter()
        .find_map(|place| Some((place, TcpStream::connect(("127.0.0.1", ports[place])).ok()?)))?;
    seen.lock().unwrap().push((place, String::from_utf8_lossy(&body).into_owned()));
    server.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    let mut client = client;
    let mut buffer = [0; 16 * 1024];
    loop {
        match server.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => client.write_all(&buffer[..count]).ok()?,
        }
    }
    client.shutdown(std::net::Shutdown::Both).ok()
}

/// An answer: status, head in lower case, body.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) u16, pub(crate) String, pub(crate) String);

pub(crate) fn post(port: u16, (path, key): (&str, &str), session: Option<&str>, message: &Value) -> Answer {
    let body = message.to_string();
    let session = session.map(|session| format!("mcp-session-id: {session}\r\n")).unwrap_or_default();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nx-bailiwick-key: {key}\r\ncontent-length: {}\r\n{session}\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer(head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

pub(crate) fn opens(port: u16, (path, key): (&str, &str)) -> String {
    let params =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    let Answer(status, head, body) = post(port, (path, key), None, &message);
    assert_eq!(status, 200, "{body}");
    let header = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
    header.unwrap_or_else(|| panic!("{head}")).trim().to_owned()
}

pub(crate) fn call(id: usize, tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

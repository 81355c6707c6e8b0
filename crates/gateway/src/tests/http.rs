//! The HTTP door: who calls, what a server answers, and an ask that is a stream.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::Fronts;
use crate::signin::Kind as Issues;
use crate::signin::tests::Idp;

/// A server over HTTP: JSON for most, events for the tool `read`.
async fn upstream(seen: Seen) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                while let Some((head, body)) = message(&mut stream).await {
                    assert!(!head.contains("x-bailiwick-key"), "the key is between the agent and the gateway");
                    let params = head.matches("mcp-param-").count();
                    assert_eq!(params, usize::from(head.contains("mcp-param-n: 7")), "{head}");
                    assert!(!head.contains("charset"), "how the body is to be read is the gateway's word: {head}");
                    let call: Value = serde_json::from_str(&body).unwrap();
                    seen.lock().unwrap().push(call.clone());
                    let result = if call["method"] == "tools/list" {
                        json!({ "tools": tools() })
                    } else if call["params"]["task"].is_object() {
                        json!({ "task": { "taskId": "t", "status": "working", "ttl": 60_000 } })
                    } else {
                        json!({ "content": [{ "type": "text", "text": call["params"]["arguments"].to_string() }] })
                    };
                    let good = json!({ "jsonrpc": "2.0", "id": call["id"], "result": result });
                    let (kind, body) = if call["params"]["name"] == "read" {
                        let stray = json!({ "jsonrpc": "2.0", "id": "stray", "result": {} });
                        let note = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": {} });
                        ("text/event-stream", format!("data: {stray}\n\ndata: {note}\n\nid: 1\ndata: {good}\n\n"))
                    } else {
                        ("application/json", good.to_string())
                    };
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nmcp-session-id: s\r\ncontent-length: {}\r\n\r\n",
                        body.len()
                    );
                    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                }
            });
        }
    });
    address
}

/// One message of a known length.
async fn message(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut held = Vec::new();
    loop {
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0_usize);
            while held.len() < end + 4 + length {
                stream.read_buf(&mut held).await.ok().filter(|read| *read > 0)?;
            }
            return Some((head, String::from_utf8(held[end + 4..].to_vec()).unwrap()));
        }
        stream.read_buf(&mut held).await.ok().filter(|read| *read > 0)?;
    }
}

async fn post(address: SocketAddr, headers: &str, body: &str) -> (u16, String) {
    let (head, body) = exchange(address, headers, body).await;
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// The head of the answer in lower case, and its body.
async fn exchange(address: SocketAddr, headers: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /mcp/files HTTP/1.1\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    // Names and words in lower case; a session's name as it is.
    let line =
        |line: &str| if line.starts_with("mcp-session-id") { line.to_owned() } else { line.to_ascii_lowercase() };
    (head.lines().map(line).collect::<Vec<_>>().join("\r\n"), body.to_owned())
}

/// The server as `files`, for one agent with a key.
fn fronts(upstream: SocketAddr) -> Fronts {
    let files = Upstream::Http(format!("http://{upstream}/mcp").parse().unwrap());
    Fronts {
        upstreams: BTreeMap::from([("files".to_owned(), files)]),
        keys: vec![("agent".to_owned(), "secret".to_owned())],
        ..Fronts::default()
    }
}

fn call(tool: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": tool, "arguments": { "n": 7 } } })
        .to_string()
}

#[tokio::test]
async fn the_http_door_knows_its_callers_and_judges_their_calls() {
    let world = World::new().await;
    let upstream = upstream(world.seen.clone()).await;
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts(upstream)).await.unwrap();
    let (host, key) = ("host: localhost\r\n", "x-bailiwick-key: secret\r\n");
    for (headers, status) in [
        (host.to_owned(), 401),
        (format!("{host}x-bailiwick-key: secreT\r\n"), 401),
        (format!("host: rebound.example\r\n{key}"), 403),
        (format!("{host}{key}origin: https://page.example\r\n"), 403),
        (format!("{host}{key}mcp-method: tools/list\r\n"), 400),
        (format!("{host}{key}mcp-method: tools/call\r\nmcp-name: delete\r\n"), 400),
        (format!("{host}{key}mcp-name: =?base64?ZGVsZXRl?=\r\n"), 400),
        (format!("{host}{key}mcp-name: read\r\nmcp-name: delete\r\n"), 400),
    ] {
        assert_eq!(post(address, &headers, &call("read")).await.0, status, "{headers}");
    }
    assert!(world.seen.lock().unwrap().is_empty());
    let good = format!("{host}{key}mcp-method: tools/call\r\nmcp-name: =?base64?cmVhZA==?=\r\n");
    let (status, body) = post(address, &good, &call("read")).await;
    assert_eq!(status, 200);
    assert!(
        body.contains(r#"{\"n\":7}"#) && body.contains("notifications/message") && !body.contains("stray"),
        "{body}"
    );
    let (_, body) = post(address, &format!("{host}{key}"), &call("delete")).await;
    assert!(body.contains("Nothing is deleted here"), "{body}");
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let (_, body) = post(address, &format!("{host}{key}"), list).await;
    assert!(body.contains(r#""read""#) && !body.contains(r#""delete""#), "{body}");
    assert_eq!(world.calls_seen(), ["read"]);
    world.check().await;
}

#[tokio::test]
async fn a_body_that_a_server_would_decode_otherwise_is_not_taken() {
    let world = World::new().await;
    let upstream = upstream(world.seen.clone()).await;
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts(upstream)).await.unwrap();
    let body = call("read");
    for (kind, status) in [
        ("application/json; charset=utf-7", 415),
        ("application/json;Charset=\"UTF-16\"", 415),
        ("application/json; charset=utf-8; charset=utf-7", 415),
        ("application/json\r\ncontent-encoding: gzip", 415),
        ("text/json", 415),
        ("application/json; charset=\"UTF-8\"", 200),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /mcp/files HTTP/1.1\r\nhost: localhost\r\nx-bailiwick-key: secret\r\nconnection: close";
        let accept = "accept: application/json, text/event-stream";
        let length = body.len();
        let request = format!("{head}\r\n{accept}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{kind}: {answer}");
    }
    assert_eq!(world.calls_seen(), ["read"]);
    world.check().await;
}

#[tokio::test]
async fn a_header_of_an_argument_goes_on_only_if_the_body_says_the_same() {
    let world = World::new().await;
    let upstream = upstream(world.seen.clone()).await;
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts(upstream)).await.unwrap();
    let own = |header: &str| format!("host: localhost\r\nx-bailiwick-key: secret\r\n{header}");
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(post(address, &own("mcp-param-n: 8\r\n"), list).await.0, 200, "it is left out");
    for (header, status) in [("mcp-param-n: 8\r\n", 400), ("mcp-param-path: /x\r\n", 400), ("mcp-param-n: 7\r\n", 200)]
    {
        assert_eq!(post(address, &own(header), &call("read")).await.0, status, "{header}");
    }
    assert_eq!(world.calls_seen(), ["read"]);
    world.check().await;
}

#[tokio::test]
async fn a_hosted_server_wants_a_session_that_is_its_own() {
    let world = World::new().await;
    // Answers every line with a result for number 1.
    let script = r#"while read -r line; do echo '{"jsonrpc":"2.0","id":1,"result":{"ok":true}}'; done"#;
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let program =
        crate::Program { command, env: std::env::vars().filter(|(name, _)| name == "PATH").collect(), cwd: None };
    let fronts = Fronts {
        upstreams: BTreeMap::from([("files".to_owned(), Upstream::Program(Arc::new(program)))]),
        keys: vec![("agent".to_owned(), "secret".to_owned()), ("other".to_owned(), "hidden".to_owned())],
        ..Fronts::default()
    };
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts).await.unwrap();
    let host = "host: localhost\r\nx-bailiwick-key: secret\r\n";
    let request = |method: &str| json!({ "jsonrpc": "2.0", "id": "mine", "method": method, "params": {} }).to_string();
    assert_eq!(post(address, host, &request("ping")).await.0, 400, "no session");
    let stateless = format!("{host}mcp-protocol-version: 2026-07-28\r\n");
    let (status, body) = post(address, &stateless, &request("tools/list")).await;
    assert!(status == 400 && body.contains("-32020"), "the body speaks another version: {body}");
    let (head, body) = exchange(address, host, &request("initialize")).await;
    assert!(head.contains("200 ok") && body.contains(r#""id":"mine""#), "{head}{body}");
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap();
    let known = format!("{host}mcp-session-id: {session}\r\n");
    let foreign = format!("host: localhost\r\nx-bailiwick-key: hidden\r\nmcp-session-id: {session}\r\n");
    assert_eq!(post(address, &foreign, &request("ping")).await.0, 404, "another agent's session");
    let guessed = format!("{host}mcp-session-id: 0000\r\n");
    assert_eq!(post(address, &guessed, &request("ping")).await.0, 404);
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(post(address, &known, note).await.0, 202);
    world.check().await;
}

/// `files` as a program that writes down what it hears.
fn program(script: &str, heard: &std::path::Path) -> Fronts {
    let command = ["sh", "-c", script, &heard.display().to_string()].map(str::to_owned).to_vec();
    let env = std::env::vars().filter(|(name, _)| name == "PATH").collect();
    let program = crate::Program { command, env, cwd: None };
    Fronts {
        upstreams: BTreeMap::from([("files".to_owned(), Upstream::Program(Arc::new(program)))]),
        keys: vec![("agent".to_owned(), "secret".to_owned())],
        ..Fronts::default()
    }
}

/// Opens a session; its headers from now on.
async fn opened(address: SocketAddr) -> String {
    let host = "host: localhost\r\nx-bailiwick-key: secret\r\n";
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } });
    let (head, body) = exchange(address, host, &initialize.to_string()).await;
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
    format!("{host}mcp-session-id: {}\r\n", session.unwrap_or_else(|| panic!("{head}{body}")))
}

fn cancel(id: &str) -> String {
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }).to_string()
}

/// A server that says more at once than waits for any client, and then answers.
#[tokio::test]
async fn an_answer_comes_however_much_came_before_it() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        note='{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'
        while read -r line; do case "$line" in
            *'"initialize"'*) echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}' ;;
            *'"ping"'*)
                number=$(echo "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
                yes "$note" | head -n 3000
                echo '{"jsonrpc":"2.0","id":'$number',"result":{"is":"answered"}}' ;;
        esac; done"#;
    let fronts = program(script, &folder.path().join("heard"));
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts).await.unwrap();
    let known = opened(address).await;
    for id in 0..8 {
        let ping = json!({ "jsonrpc": "2.0", "id": format!("ping {id}"), "method": "ping" }).to_string();
        let (status, body) = post(address, &known, &ping).await;
        let tail = body.get(body.len().saturating_sub(300)..).unwrap_or_default();
        assert!(status == 200 && body.contains("answered") && body.contains(&format!("ping {id}")), "{tail}");
    }
    world.check().await;
}

/// In a session with a server that the gateway starts, requests have numbers of the gateway's towards the server.
#[tokio::test]
async fn what_a_client_cancels_ends_and_is_its_own_request() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    // The first request is number 1; what waits is not answered.
    let script = r#"while read -r line; do
            echo "$line" >> "$0"
            case "$line" in *'"initialize"'*)
                echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}' ;;
            esac; done"#;
    let heard = folder.path().join("heard");
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), program(script, &heard)).await.unwrap();
    let known = opened(address).await;
    let says = |word: &str| std::fs::read_to_string(&heard).unwrap_or_default().contains(word);
    let heard_of = async |word: &str| {
        while !says(word) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ping = |id: &str| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }).to_string();
    let waits = {
        let (known, ping) = (known.clone(), ping("waits"));
        tokio::spawn(async move { post(address, &known, &ping).await })
    };
    heard_of("ping").await;
    // The numbers that requests may have at the server are no ids of this client's.
    for number in 0..16 {
        let foreign = cancel("7").replace("\"7\"", &number.to_string());
        assert_eq!(post(address, &known, &foreign).await.0, 202);
    }
    assert_eq!(post(address, &known, &cancel("never was")).await.0, 202);
    assert!(!waits.is_finished());
    assert_eq!(post(address, &known, &cancel("waits")).await.0, 202);
    assert_eq!(waits.await.unwrap(), (202, String::new()));
    heard_of("notifications/cancelled").await;
    let heard = std::fs::read_to_string(&heard).unwrap();
    assert_eq!(heard.matches("notifications/cancelled").count(), 1, "{heard}");
    world.check().await;
}

/// One that opens sessions without end; another agent has one, which is idle for longest.
#[tokio::test]
async fn an_agent_that_opens_many_sessions_ends_its_own() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let script = r#"while read -r line; do case "$line" in
            *'"initialize"'*) echo '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}' ;;
            *'"ping"'*)
                number=$(echo "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
                echo '{"jsonrpc":"2.0","id":'$number',"result":{"is":"answered"}}' ;;
        esac; done"#;
    let mut fronts = program(script, &folder.path().join("heard"));
    fronts.keys.push(("loud".to_owned(), "hidden".to_owned()));
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts).await.unwrap();
    let known = opened(address).await;
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } });
    let mut refused = Vec::new();
    for _ in 0..70 {
        let host = "host: localhost\r\nx-bailiwick-key: hidden\r\n";
        let (status, body) = post(address, host, &initialize.to_string()).await;
        if status != 200 {
            refused.push((status, body));
        }
    }
    assert!(!refused.is_empty());
    let is_own = |(status, body): &(u16, String)| *status == 503 && body.contains("64 servers run for this agent");
    assert!(refused.iter().all(is_own), "{refused:?}");
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let (status, body) = post(address, &known, &ping).await;
    assert!(status == 200 && body.contains("answered"), "{status} {body}");
    world.check().await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_a_human_thinks_is_not_made() {
    let world = World::new().await;
    let upstream = upstream(world.seen.clone()).await;
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts(upstream)).await.unwrap();
    let known = opened(address).await;
    let call = call("write").replace("\"id\":7", "\"id\":\"mine\"");
    assert!(call.contains("mine"));
    let asked = {
        let known = known.clone();
        tokio::spawn(async move { post(address, &known, &call).await })
    };
    let (ask, binding) = world.asked().await;
    assert_eq!(post(address, &known, &cancel("another")).await.0, 200, "the server hears of what does not wait here");
    let heard = world.seen.lock().unwrap().len();
    assert!(!asked.is_finished());
    assert_eq!(post(address, &known, &cancel("mine")).await.0, 202);
    let (status, body) = asked.await.unwrap();
    assert!(status == 200 && !body.contains("data:"), "a stream that ends with nothing: {body}");
    assert_eq!(world.seen.lock().unwrap().len(), heard, "the server knew nothing of it");
    world
        .once(|records| {
            records.into_iter().find(|(_, record)| matches!(record, Record::Expired { ask: of } if *of == ask))
        })
        .await;
    world.answer(ask, &binding.binding, true, Scope::Once);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(world.calls_seen(), Vec::<String>::new());
    world.check().await;
}

#[tokio::test]
async fn an_agent_without_a_key_is_known_by_its_program_alone() {
    let world = World::new().await;
    let upstream = upstream(world.seen.clone()).await;
    let fronts = |program: std::path::PathBuf| Fronts {
        programs: BTreeMap::from([(program, "self".to_owned())]),
        ..fronts(upstream)
    };
    let other = fronts("/bin/other".into());
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), other).await.unwrap();
    assert_eq!(post(address, "host: localhost\r\n", &call("read")).await.0, 401);
    world.gateway.reload_fronts(fronts(std::env::current_exe().unwrap()));
    let wrong = "host: localhost\r\nx-bailiwick-key: wrong\r\n";
    assert_eq!(post(address, wrong, &call("read")).await.0, 401, "a wrong key is not made good");
    assert_eq!(post(address, "host: localhost\r\n", &call("read")).await.0, 200);
    let agents: Vec<Value> = world
        .records()
        .into_iter()
        .filter_map(|(_, record)| match record {
            Record::Intent(intent) => Some(intent.action["principal"].clone()),
            _ => None,
        })
        .collect();
    assert_eq!((agents.len(), &agents[0]["agent"]), (1, &json!("self")));
    assert!(agents[0]["evidence"]["program_sha256"].is_string(), "{agents:?}");
    world.check().await;
}

#[tokio::test]
async fn an_ask_over_http_is_a_stream_that_ends_with_the_answer() {
    let world = World::new().await;
    let upstream = upstream(world.seen.clone()).await;
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts(upstream)).await.unwrap();
    let asked =
        tokio::spawn(
            async move { post(address, "host: localhost\r\nx-bailiwick-key: secret\r\n", &call("write")).await },
        );
    let (ask, binding) = world.asked().await;
    world.answer(ask, &binding.binding, true, Scope::Once);
    let (status, body) = asked.await.unwrap();
    assert_eq!(status, 200);
    assert!(body.contains(r#"{\"n\":7}"#), "{body}");
    world.check().await;
}

#[tokio::test]
async fn a_task_over_http_is_its_session_s_and_ends_its_call() {
    let world = World::new().await;
    let upstream = upstream(world.seen.clone()).await;
    let mut fronts = fronts(upstream);
    fronts.keys.push(("other".to_owned(), "hidden".to_owned()));
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts).await.unwrap();
    let (own, foreign) =
        ("host: localhost\r\nx-bailiwick-key: secret\r\n", "host: localhost\r\nx-bailiwick-key: hidden\r\n");
    let request = |method: &str, params: Value| {
        json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string()
    };
    let call = request("tools/call", json!({ "name": "read", "arguments": { "n": 1 }, "task": {} }));
    assert!(post(address, own, &call).await.1.contains(r#""taskId":"t""#));
    let result = request("tasks/result", json!({ "taskId": "t", "arguments": "the end" }));
    let seen = world.seen.lock().unwrap().len();
    assert!(post(address, foreign, &result).await.1.contains("no such task"));
    assert_eq!(world.seen.lock().unwrap().len(), seen, "nothing went upstream");
    assert!(post(address, own, &result).await.1.contains("the end"));
    assert_eq!(tasks::ends(&world).await, [Status::Ok]);
    world.check().await;
}

/// A server over HTTP that asks for what nobody knows before it answers; every head that it got, and a word for each refusal.
async fn curious(heads: Arc<Mutex<Vec<String>>>, refused: tokio::sync::mpsc::UnboundedSender<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (heads, refused) = (heads.clone(), refused.clone());
            tokio::spawn(async move {
                while let Some((head, body)) = message(&mut stream).await {
                    heads.lock().unwrap().push(head);
                    let said: Value = serde_json::from_str(&body).unwrap();
                    let answer = json!({ "jsonrpc": "2.0", "id": said["id"], "result": { "tools": tools() } });
                    let wish = json!({ "jsonrpc": "2.0", "id": "w", "method": "x/y" });
                    let (status, body) = match said["error"].is_object() {
                        true => ("202 Accepted", String::new()),
                        false => ("200 OK", format!("data: {wish}\n\ndata: {answer}\n\n")),
                    };
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\ncontent-length: {length}");
                    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
                    if said["error"].is_object() {
                        refused.send(()).unwrap();
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_token_for_the_gateway_goes_to_no_server_whatever_that_asks() {
    let world = World::new().await;
    let (heads, (tell, mut refused)) = (Arc::default(), tokio::sync::mpsc::unbounded_channel());
    let upstream = curious(Arc::clone(&heads), tell).await;
    let idp = Idp::new();
    let fronts = Fronts { identity: idp.identity(Issues::Oauth), ..fronts(upstream) };
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts).await.unwrap();
    let now = jiff::Timestamp::now().as_second();
    let token = idp.token(|_, claims| (claims["iat"], claims["exp"]) = (json!(now), json!(now + 300)));
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let (status, body) = post(address, &format!("host: localhost\r\nauthorization: Bearer {token}\r\n"), list).await;
    assert_eq!(status, 200, "{body}");
    refused.recv().await.unwrap();
    let heads = std::mem::take(&mut *heads.lock().unwrap());
    assert!(heads.len() >= 2, "{heads:?}");
    assert!(heads.iter().all(|head| !head.contains("authorization") && !head.contains("bearer")), "{heads:?}");
    world.check().await;
}

/// A server over HTTP that asks the client so often before it answers, and a word for each refusal.
async fn insatiable(asks: usize, refused: tokio::sync::mpsc::UnboundedSender<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let wish = |number: usize| {
        let params = json!({ "messages": [], "maxTokens": 1 });
        json!({ "jsonrpc": "2.0", "id": format!("w{number}"), "method": "sampling/createMessage", "params": params })
    };
    let wishes: Arc<String> = Arc::new((0..asks).map(|number| format!("data: {}\n\n", wish(number))).collect());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (wishes, refused) = (wishes.clone(), refused.clone());
            tokio::spawn(async move {
                while let Some((_, body)) = message(&mut stream).await {
                    let said: Value = serde_json::from_str(&body).unwrap();
                    let result = json!({ "tools": tools(), "content": [{ "type": "text", "text": "served" }] });
                    let answer = json!({ "jsonrpc": "2.0", "id": said["id"], "result": result });
                    let (status, body) = match said["method"].as_str() {
                        Some("tools/call") => ("200 OK", format!("{wishes}data: {answer}\n\n")),
                        Some(_) => ("200 OK", format!("data: {answer}\n\n")),
                        None => ("202 Accepted", String::new()),
                    };
                    let length = body.len();
                    let head =
                        format!("HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\ncontent-length: {length}");
                    // Who asked may have left.
                    let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
                    if said["error"].is_object() {
                        let _ = refused.send(());
                    }
                }
            });
        }
    });
    address
}

/// Beyond a bound they are refused without being judged, so that the ledger does not grow with them.
#[tokio::test]
async fn a_server_that_asks_without_end_is_not_judged_without_end() {
    const ASKS: usize = 1_300;
    const JUDGED_MAX: usize = 1_024 + 64;
    let world = World::new().await;
    let (tell, mut refused) = tokio::sync::mpsc::unbounded_channel();
    let upstream = insatiable(ASKS, tell).await;
    let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts(upstream)).await.unwrap();
    let (status, body) = post(address, "host: localhost\r\nx-bailiwick-key: secret\r\n", &call("read")).await;
    assert!(status == 200 && body.contains("served"));
    for _ in JUDGED_MAX..ASKS {
        refused.recv().await.unwrap();
    }
    let judged = world.records().into_iter().filter(|(_, record)| match record {
        Record::Intent(intent) => intent.action["verb"] == "sample",
        _ => false,
    });
    assert!((1..=JUDGED_MAX).contains(&judged.count()));
    world.check().await;
}

/// A server over HTTP that answers a call on the next stream that its client opens, which comes while the call's own is
/// still open, or after it.
async fn elsewhere(is_still_open: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (owed, answered) = (Arc::new(Mutex::new(None)), Arc::new(tokio::sync::Notify::new()));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (owed, answered) = (owed.clone(), answered.clone());
            tokio::spawn(async move {
                let (head, body) = message(&mut stream).await.unwrap();
                let said = serde_json::from_str::<Value>(&body).unwrap_or_default();
                let answer =
                    |result: Value| json!({ "jsonrpc": "2.0", "id": said["id"], "result": result }).to_string();
                let (is_listening, is_call) = (head.starts_with("get"), said["method"] == "tools/call");
                let body = match () {
                    () if is_listening => format!("data: {}\n\n", owed.lock().unwrap().take().unwrap_or_default()),
                    () if is_call => "id: 1\ndata: \n\n".to_owned(),
                    () => format!("data: {}\n\n", answer(json!({ "protocolVersion": "2025-06-18", "tools": tools() }))),
                };
                if is_call {
                    let text = json!({ "type": "text", "text": "elsewhere" });
                    *owed.lock().unwrap() = Some(answer(json!({ "content": [text] })));
                }
                let head =
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nmcp-session-id: s\r\nconnection: close";
                stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
                if is_listening {
                    answered.notify_one();
                } else if is_call && is_still_open {
                    answered.notified().await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn an_answer_may_come_on_another_stream_of_the_conversation() {
    for is_still_open in [true, false] {
        let world = World::new().await;
        let upstream = elsewhere(is_still_open).await;
        let address = world.gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts(upstream)).await.unwrap();
        let host = "host: localhost\r\nx-bailiwick-key: secret\r\n";
        let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {} }).to_string();
        let (head, _) = exchange(address, host, &hello).await;
        let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: ")).unwrap();
        let asks =
            "content-type: application/json\r\naccept: application/json, text/event-stream\r\nconnection: close\r\n";
        let known = format!("{host}{asks}mcp-session-id: {session}\r\n");
        let begin = async |request: String| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream
        };
        let body = call("read");
        let post = format!("POST /mcp/files HTTP/1.1\r\n{known}content-length: {}\r\n\r\n{body}", body.len());
        let (mut own, mut told) = (begin(post).await, Vec::new());
        // The stream has begun, and in the second round ended, before the other is asked for.
        while !String::from_utf8_lossy(&told).contains("id: 1") {
            assert!(own.read_buf(&mut told).await.unwrap() > 0, "{told:?}");
        }
        if !is_still_open {
            own.read_to_end(&mut told).await.unwrap();
        }
        let (mut other, mut heard) = (begin(format!("GET /mcp/files HTTP/1.1\r\n{known}\r\n")).await, String::new());
        other.read_to_string(&mut heard).await.unwrap();
        own.read_to_end(&mut told).await.unwrap();
        let told = String::from_utf8_lossy(&told);
        assert!(heard.contains("elsewhere") && !told.contains("elsewhere"), "{heard} {told}");
        assert_eq!(tasks::ends(&world).await, [Status::Ok]);
        world.check().await;
    }
}

//! Hostile peers at the doors of the real gateway: whatever they send, nothing of it reaches the server, and
//! whoever behaves is served on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::{PATIENCE, Running, World, free_port, wait_for};

/// What reached the server: every request, head and body.
type Seen = Arc<Mutex<Vec<String>>>;

/// A server behind the HTTP door that answers every request and remembers it.
fn upstream(seen: Seen) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let seen = seen.clone();
            std::thread::spawn(move || serve(stream, &seen));
        }
    });
    port
}

fn serve(stream: TcpStream, seen: &Seen) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body = String::from_utf8(body).unwrap();
        seen.lock().unwrap().push(format!("{head}\r\n{body}"));
        let request: Value = serde_json::from_str(&body).unwrap_or_default();
        if let Some(how) = request["params"]["arguments"]["how"].as_str() {
            if misbehaves(&mut stream, how, &request["id"]).is_err() {
                return;
            }
            continue;
        }
        if request["method"] == "notifications/initialized" {
            // Words that nobody waits for.
            let head = "HTTP/1.1 202 Accepted\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\n";
            if write!(stream, "{head}poison").is_err() {
                return;
            }
            continue;
        }
        let tool = json!({"name": "read", "description": "read", "inputSchema": {"type": "object"}});
        let result = match request["method"].as_str() {
            Some("initialize") => json!({"protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}}, "serverInfo": {"name": "far", "version": "1"}}),
            Some("tools/list") => json!({"tools": [tool]}),
            _ => json!({"content": [{"type": "text", "text": "served"}]}),
        };
        let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
        // Somebody else's answer comes first on the stream, and is nobody's.
        let stray = json!({"jsonrpc": "2.0", "id": "stray", "result": {"content": []}});
        let events = format!("data: {stray}\n\n: ping\n\ndata: {answer}\n\n");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
        if write!(stream, "{head}content-length: {}\r\n\r\n{events}", events.len()).is_err() {
            return;
        }
    }
}

/// Answers as a server should not.
fn misbehaves(stream: &mut TcpStream, how: &str, id: &Value) -> std::io::Result<()> {
    let answer = |id: &Value, text: &str| {
        json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}}).to_string()
    };
    let (good, other) = (answer(id, "served"), answer(&json!("good"), "poison"));
    let whole = |kind: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let bytes = match how {
        "twice" => whole("text/event-stream", &format!("data: {good}\n\ndata: {}\n\n", answer(id, "again"))),
        "beside an event" => whole("text/event-stream", &format!("poison: 1\n: poison\ndata: {good}\n\n")),
        "a page" => whole("text/plain", &answer(id, "poison")).replacen("200 OK", "500 poison", 1),
        "coded" => whole("application/json\r\ncontent-encoding: gzip", &answer(id, "poison")),
        "coded events" => {
            let event = format!("data: {}\n\n", answer(id, "poison"));
            whole("text/event-stream\r\ncontent-encoding: gzip", &event)
        }
        "no number" => {
            whole("application/json", &answer(id, "poison").replacen("\"content\"", "\"n\":1e999,\"content\"", 1))
        }
        "another's" => whole("text/event-stream", &format!("data: {other}\n\n")),
        "another's, whole" => whole("application/json", &other),
        "unasked" => whole("application/json", &good) + &whole("application/json", &other),
        "length and coding" => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n";
            let tail = whole("application/json", &other);
            format!("{head}content-length: 4\r\n\r\n{:x}\r\n{good}\r\n0\r\n\r\n{tail}", good.len())
        }
        "two lengths" => {
            whole("application/json", &good).replacen("content-length", "content-length: 3\r\ncontent-length", 1)
        }
        "half" => whole("application/json", &good)[..90].to_owned(),
        "half a stream" => "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {\"jsonrpc\"".to_owned(),
        "a giant id" => whole("application/json", &answer(&json!("i".repeat(1 << 20)), "poison")),
        "nothing" => String::new(),
        "no login" => {
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error=\"invalid_token\"\r\ncontent-length: 0\r\n\r\n"
                .to_owned()
        }
        "an endless event" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ")?;
            for _ in 0..32 {
                stream.write_all(&[b'x'; 1 << 20])?;
            }
            String::new()
        }
        "no UTF-8" => {
            stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 13\r\n\r\ndata: {\"\xff\"}\n\n",
            )?;
            return Ok(());
        }
        _ => panic!("{how}"),
    };
    stream.write_all(bytes.as_bytes())?;
    if ["half", "half a stream", "nothing", "an endless event"].contains(&how) {
        // Closed, and nothing comes any more.
        stream.shutdown(Shutdown::Both)?;
    }
    Ok(())
}

struct Door {
    world: World,
    _gateway: Running,
    port: u16,
    key: String,
    seen: Seen,
    /// Where the server is.
    server: String,
}

impl Door {
    fn open() -> Self {
        let world = World::new(std::path::Path::new("/nowhere"));
        let (seen, port) = (Seen::default(), free_port());
        let server = format!("http://127.0.0.1:{}/mcp", upstream(seen.clone()));
        let servers = json!({"far": {"url": server}});
        world.write("home/.cursor/mcp.json", &json!({"mcpServers": servers}).to_string());
        world.write("bailiwick/policy/90-test.cedar", "@id(\"all\") permit (principal, action, resource);");
        world.ok(&["protect", "cursor", "--port", &port.to_string()]);
        let _gateway = world.up_on(port);
        let key = std::fs::read_to_string(world.path("bailiwick/keys/agent-cursor.key")).unwrap().trim().to_owned();
        let door = Self { world, _gateway, port, key, seen, server };
        assert!(door.post("", r#"{"jsonrpc":"2.0","id":0,"method":"tools/list"}"#.as_bytes()).contains("read"));
        door
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes, and answers what comes back until the gateway closes.
    fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The gateway may hang up before it has read all.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn head(&self, more: &str) -> String {
        format!(
            "POST /mcp/far HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nx-bailiwick-key: {}\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n{more}",
            self.key
        )
    }

    fn post(&self, more: &str, body: &[u8]) -> String {
        let head = self.head(&format!("content-length: {}\r\n{more}\r\n", body.len()));
        self.send(&[head.as_bytes(), body].concat())
    }

    fn served(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// A good call passes, and the server gets it and nothing else.
    fn serves_on(&self, after: &str) {
        let before = self.served();
        let answer = self.post("", &call(&json!("good")));
        assert!(answer.contains("served") && !answer.contains("stray"), "after {after}: {answer}");
        assert_eq!(self.served(), before + 1, "after {after}");
    }
}

fn call(id: &Value) -> Vec<u8> {
    let params = json!({"name": "read", "arguments": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string().into_bytes()
}

#[test]
fn nothing_malformed_reaches_a_server_over_http() {
    let door = Door::open();
    let good = String::from_utf8(call(&json!(1))).unwrap();
    let chunked = format!("{:x}\r\n{good}\r\n0\r\n\r\n", good.len());
    let second = format!("POST /mcp/far HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n{good}");
    let raw = |more: &str, body: &str| [door.head(&format!("{more}\r\n")).as_bytes(), body.as_bytes()].concat();
    let sized = |body: &str| raw(&format!("content-length: {}\r\n", body.len()), body);
    let more = |lines: &str| raw(&format!("{lines}\r\ncontent-length: {}\r\n", good.len()), &good);
    let deep = "[".repeat(100_000);
    let twice = good.replacen("\"method\"", "\"method\":\"ping\",\"method\"", 1);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("two lengths", raw(&format!("content-length: {}\r\ncontent-length: 3\r\n", good.len()), &good)),
        ("a negative length", raw("content-length: -1\r\n", &good)),
        ("a folded header", raw(&format!("x-a: 1\r\n  2\r\ncontent-length: {}\r\n", good.len()), &good)),
        ("a space before a colon", raw(&format!("content-length : {}\r\n", good.len()), &good)),
        ("a zero byte in a header", raw(&format!("x-a: a\0b\r\ncontent-length: {}\r\n", good.len()), &good)),
        ("a head that never ends", [door.head("x-a: ").as_bytes(), &[b'a'; 200_000]].concat()),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("invalid UTF-8", [door.head("content-length: 4\r\n\r\n").as_bytes(), b"{\"\xff\""].concat()),
        ("a member twice", sized(&twice)),
        ("a deep body", sized(&deep)),
        ("a giant id", sized(&good.replacen(":1,", &format!(":\"{}\",", "i".repeat(1 << 20)), 1))),
        ("another header than the body", raw(&format!("mcp-name: other\r\ncontent-length: {}\r\n", good.len()), &good)),
        ("a body that breaks off", raw("content-length: 1000\r\n", &good)),
        ("a coding before the chunks", raw("transfer-encoding: gzip, chunked\r\n", &chunked)),
        ("two codings", raw("transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n", &chunked)),
        ("a batch", sized(&format!("[{good},{good}]"))),
        ("two keys", more("x-bailiwick-key: other")),
        ("two hosts", more("host: 127.0.0.1")),
        (
            "another host in the line",
            String::from_utf8(sized(&good)).unwrap().replacen(" /", " http://evil.example/", 1).into_bytes(),
        ),
        ("two types", more("content-type: application/json")),
        ("two versions", more("mcp-protocol-version: 2026-07-28\r\nmcp-protocol-version: 2025-06-18")),
        ("two methods", more("mcp-method: tools/call\r\nmcp-method: tools/call")),
        ("two names", more("mcp-name: read\r\nmcp-name: read")),
        ("two sessions", more("mcp-session-id: a\r\nmcp-session-id: b")),
        ("two tokens", more("authorization: Bearer a\r\nauthorization: Bearer b")),
    ];
    for (name, bytes) in cases {
        let before = door.served();
        let answer = if name == "a body that breaks off" {
            let mut stream = door.connect();
            stream.write_all(&bytes).unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
            String::new()
        } else {
            door.send(&bytes)
        };
        let status = match name {
            "a body that breaks off" => "",
            "a head that never ends" => "HTTP/1.1 431 ",
            "another host in the line" => "HTTP/1.1 403 ",
            "a coding before the chunks" | "two codings" => "HTTP/1.1 501 ",
            _ => "HTTP/1.1 400 ",
        };
        assert!(answer.starts_with(status) && !answer.contains("served"), "{name}: {answer}");
        assert_eq!(door.served(), before, "{name} reached the server");
        door.serves_on(name);
    }
    // Length and coding at once, and a second request in the tail: at most the one that the coding ends is served.
    let before = door.served();
    door.send(&raw(
        &format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", good.len()),
        &format!("{chunked}{second}"),
    ));
    let seen = door.seen.lock().unwrap()[before..].to_vec();
    assert!(seen.len() <= 1, "{seen:?}");
    assert!(seen.iter().all(|request| !request.to_lowercase().contains("transfer-encoding")), "{seen:?}");
    door.serves_on("length and coding");
    door.world.verify();
}

#[test]
fn what_a_server_says_beside_its_answer_reaches_nobody() {
    let door = Door::open();
    let misled = |how: &str| {
        let params = json!({"name": "read", "arguments": {"how": how}});
        let call = json!({"jsonrpc": "2.0", "id": how, "method": "tools/call", "params": params});
        door.post("", call.to_string().as_bytes())
    };
    let served = ["twice", "unasked", "length and coding", "beside an event"];
    let lost = [
        "a page",
        "coded",
        "coded events",
        "no number",
        "another's",
        "another's, whole",
        "two lengths",
        "half",
        "half a stream",
        "a giant id",
        "nothing",
        "an endless event",
        "no UTF-8",
    ];
    for how in served.into_iter().chain(lost) {
        let answer = misled(how);
        assert_eq!(answer.matches("served").count(), usize::from(served.contains(&how)), "{how}: {answer}");
        assert!(!answer.contains("poison") && !answer.contains("again"), "{how}: {answer}");
        // Whoever waits for events hears that none comes any more.
        let ends = ["half a stream", "another's", "no UTF-8"].contains(&how);
        assert!(!ends || answer.contains("events ended without its answer"), "{how}: {answer}");
        // Nor the next call, which may go over the same connection: its id is the one that was promised.
        door.serves_on(how);
    }
    let told = door.post("", br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert!(told.starts_with("HTTP/1.1 202") && !told.contains("poison"), "{told}");
    // Two streams at once, each with the other's answer.
    std::thread::scope(|scope| {
        let crossed: Vec<_> = (0..2).map(|_| scope.spawn(|| misled("another's"))).collect();
        assert!(crossed.into_iter().all(|answer| !answer.join().unwrap().contains("poison")));
    });
    door.world.verify();
}

/// A token that the server takes no more is an error of its own, which names what a person has to run, whichever way the
/// call went; and the act has an end that says that nothing was done.
#[test]
fn a_login_that_is_refused_says_so_on_every_path() {
    const TOKEN: &str = "a token that is over";
    let door = Door::open();
    let login = json!({"server": door.server, "resource": door.server, "issuer": "http://127.0.0.1:9",
        "token_endpoint": "http://127.0.0.1:9/token", "client": {"id": "c", "proof": "none"},
        "grant": {"person": {"refresh": null}}, "scopes": [], "token": {"access": TOKEN, "expires": null}});
    door.world.write("bailiwick/gateway/logins/far.json", &login.to_string());
    wait_for("the login to be taken up", || {
        door.serves_on("a login");
        door.seen.lock().unwrap().last().unwrap().contains(TOKEN).then_some(())
    });
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    let call = |path: &str, name: &str, more: &str, meta: Option<&Value>| {
        let mut params = json!({"name": name, "arguments": {"how": "no login"}});
        if let Some(meta) = meta {
            params["_meta"] = meta.clone();
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        let head = door.head(&format!("content-length: {}\r\n{more}\r\n", body.len())).replacen("/mcp/far", path, 1);
        door.send(format!("{head}{body}").as_bytes())
    };
    let stateless =
        |name: &str| format!("mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: {name}\r\n");
    let paths = [
        ("straight", call("/mcp/far", "read", "", None)),
        ("without sessions", call("/mcp/far", "read", &stateless("read"), Some(&meta))),
        ("all as one", call("/mcp", "far__read", &stateless("far__read"), Some(&meta))),
    ];
    for (path, answer) in &paths {
        assert!(answer.contains("-32013") && answer.contains("`bailiwick login far`"), "{path}: {answer}");
        assert!(!answer.contains(TOKEN) && !answer.to_lowercase().contains("www-authenticate"), "{path}: {answer}");
    }
    let ended = || {
        let errors = door.world.records().into_iter().filter(|(_, record)| {
            matches!(record, ledger::Record::Outcome(outcome) if outcome.status == ledger::record::Status::Error)
        });
        errors.count()
    };
    wait_for("the acts to end", || (ended() == paths.len()).then_some(()));
    door.world.verify();
}

/// More connections than the gateway takes, each kept open by a client that has had its answer.
#[test]
fn idle_connections_make_room() {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = rustix::process::Rlimit { current: files.maximum, ..files };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, wanted).unwrap();
    let door = Door::open();
    let body = call(&json!(1));
    let head = door.head(&format!("content-length: {}\r\n\r\n", body.len())).replace("connection: close\r\n", "");
    let request = [head.as_bytes(), &body].concat();
    // Answered by the door itself.
    let knock = format!("GET /mcp/none HTTP/1.1\r\nhost: 127.0.0.1\r\nx-bailiwick-key: {}\r\n\r\n", door.key);
    let ask = |stream: &mut TcpStream| {
        stream.write_all(knock.as_bytes())?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"no such server") {
            match stream.read(&mut buffer)? {
                0 => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
                read => answer.extend_from_slice(&buffer[..read]),
            }
        }
        Ok(true)
    };
    // A stream that is in use is not idle, however old it is.
    let mut used = door.connect();
    assert!(ask(&mut used).unwrap());
    let mut half_sent = door.connect();
    let mut kept = Vec::new();
    for number in 0..1_200 {
        if number == 900 {
            half_sent.write_all(&request[..request.len() - 5]).unwrap();
        }
        let mut stream = door.connect();
        assert!(ask(&mut stream).unwrap(), "connection {number}");
        kept.push(stream);
    }
    half_sent.write_all(&request[request.len() - 5..]).unwrap();
    let mut answer = [0; 12];
    half_sent.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert!(ask(&mut used).is_err(), "the one that was idle longest has ended");
    assert!(ask(kept.last_mut().unwrap()).unwrap(), "the newest has not");
    door.serves_on("1,200 idle connections");
    door.world.verify();
}

#[test]
fn slow_and_absent_peers_hold_nobody_up() {
    let door = Door::open();
    let slow: Vec<TcpStream> = (0..300)
        .map(|number| {
            let mut stream = door.connect();
            let text = door.head("content-length: 100\r\n\r\n");
            stream.write_all(&text.as_bytes()[..number % text.len()]).unwrap();
            stream
        })
        .collect();
    door.serves_on("300 slow connections");
    // One that sends a whole call and closes its half: answered or not, nothing is owed.
    let mut half = door.connect();
    let body = call(&json!(7));
    half.write_all(&[door.head(&format!("content-length: {}\r\n\r\n", body.len())).as_bytes(), &body].concat())
        .unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    let _ = half.read_to_end(&mut Vec::new());
    // The same id at the same time, from many: each gets its own answer.
    std::thread::scope(|scope| {
        let same: Vec<_> = (0..16).map(|_| scope.spawn(|| door.post("", &call(&json!("same"))))).collect();
        for answer in same {
            assert!(answer.join().unwrap().contains("served"));
        }
    });
    drop(slow);
    door.serves_on("all of it");
    door.world.verify();
}

/// A shim's connection to a server that never answers.
fn shim(world: &World) -> BufReader<UnixStream> {
    let stream = UnixStream::connect(world.path("bailiwick/run/gateway.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let hello = json!({"bailiwick": "mcp", "agent": "test", "server": "silent", "command": ["sleep", "1000"],
                       "cwd": "/", "env": {"PATH": "/usr/bin:/bin"}});
    writeln!(&stream, "{hello}").unwrap();
    let mut reader = BufReader::new(stream);
    let mut accepted = [0];
    reader.read_exact(&mut accepted).unwrap();
    assert_eq!(accepted, [b'+']);
    reader
}

/// The memory of a process, in kB.
fn memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn the_socket_survives_whatever_is_said_on_it() {
    let world = World::new(std::path::Path::new("/nowhere"));
    world.write("bailiwick/policy/90-test.cedar", "@id(\"all\") permit (principal, action, resource);");
    let gateway = world.up();
    let socket = world.path("bailiwick/run/gateway.sock");
    let endless = vec![b'x'; 5 << 20];
    let silence: Vec<UnixStream> = (0..200).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    for hello in
        [&b"\n"[..], b"{}\n", b"\xff\xfe\n", b"{\"bailiwick\":\"mcp\"}\n", b"{\"bailiwick\":\"hook\"}\n", &endless]
    {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(hello);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.contains(&b'+'), "{:?}", String::from_utf8_lossy(&hello[..hello.len().min(40)]));
    }
    drop(silence);

    // 10,000 requests to a server that never answers, some with an id that is in use, some that are no request.
    let mut shim = shim(&world);
    let stream = shim.get_ref().try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..10_000 {
            let id = if number % 7 == 0 { json!("same") } else { json!(number) };
            let line = match number % 500 {
                499 => b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}\n".to_vec(),
                498 => [vec![b'['; 50_000], b"\n".to_vec()].concat(),
                _ => {
                    let params = json!({"protocolVersion": "2025-06-18"});
                    format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": "ping", "params": params}))
                        .into_bytes()
                }
            };
            if (&stream).write_all(&line).is_err() {
                return;
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
    });
    let mut refused = 0;
    let mut line = String::new();
    while refused < 20 && shim.read_line(&mut line).unwrap_or(0) > 0 {
        refused += usize::from(line.contains("\"error\""));
        line.clear();
    }
    assert!(refused >= 20, "too much is refused, and it is said");
    let held = memory(gateway.0.id());
    assert!(held < 400_000, "{held} kB for one client");
    let _ = shim.get_ref().shutdown(Shutdown::Both);
    writer.join().unwrap();
    wait_for("the gateway to answer others", || {
        let hello = json!({"bailiwick": "waiting_tools", "server": "x"});
        let mut stream = UnixStream::connect(&socket).ok()?;
        writeln!(stream, "{hello}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains("done").then_some(())
    });
    world.verify();
}

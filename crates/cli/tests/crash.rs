//! `kill -9` of the gateway under load, at points that a seed chooses. Afterwards the ledger verifies, no call that a
//! client saw answered is missing, nothing was done without an entry, and no server is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc;

use ledger::record::{Record, Status};
use serde_json::{Value, json};
use support::{Running, World, tools, wait_for};

const CLIENTS: usize = 3;
const POLICY: &str = r#"@id("test-allow") permit (principal, action, resource);"#;

/// One client of `bailiwick mcp` that writes as many files as it can and reports each answered one.
struct Hammer {
    _shim: Running,
    input: ChildStdin,
}

impl Hammer {
    fn start(world: &World, number: usize, answered: mpsc::Sender<String>) -> Self {
        let (program, args) = world.files_server();
        let mut child = world
            .command(env!("CARGO_BIN_EXE_bailiwick"))
            .args(["mcp", "--agent", "hammer", "--server", "fs", "--", &program])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut hammer = Self { _shim: Running(child), input };
        let client = json!({"name": "hammer", "version": "1"});
        hammer.send(&json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}}));
        assert!(lines.any(|line| line.contains("\"init\"")), "the gateway answered no initialize");
        hammer.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        std::thread::spawn(move || {
            for line in lines {
                let message: Value = serde_json::from_str(&line).unwrap();
                let fine = message["result"]["isError"] != json!(true) && message.get("result").is_some();
                if let (Some(id), true) = (message["id"].as_str(), fine) {
                    let _ = answered.send(id.to_owned());
                }
            }
        });
        for call in 0..200 {
            let name = format!("c{number}-{call}.txt");
            let path = world.path("files").join(&name);
            let params = json!({"name": "write_file", "arguments": {"path": path, "content": name}});
            hammer.send(&json!({"jsonrpc": "2.0", "id": name, "method": "tools/call", "params": params}));
        }
        hammer
    }

    fn send(&mut self, message: &Value) {
        // A gateway that was killed meanwhile is the point of the test.
        let _ = writeln!(self.input, "{message}");
    }
}

/// Files that permitted intents of the ledger name, and those whose intent has an outcome that is known.
fn recorded(world: &World) -> (BTreeSet<String>, BTreeSet<String>) {
    let records = world.records();
    let named = |intent: &ledger::record::Intent| {
        let path = intent.action["arguments"]["path"].as_str().unwrap_or_default().to_owned();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let permitted: Vec<(u64, String)> = records
        .iter()
        .filter_map(|(index, record)| match record {
            Record::Intent(intent) if intent.decision["effect"]["effect"] == "permit" => Some((*index, named(intent))),
            _ => None,
        })
        .collect();
    let known: BTreeSet<u64> = records
        .iter()
        .filter_map(|(_, record)| match record {
            Record::Outcome(outcome) if outcome.status == Status::Ok => Some(outcome.intent),
            _ => None,
        })
        .collect();
    let finished = permitted.iter().filter(|(index, _)| known.contains(index)).map(|(_, name)| name.clone()).collect();
    (permitted.into_iter().map(|(_, name)| name).collect(), finished)
}

#[test]
fn killed_gateway_loses_nothing_and_hides_nothing() {
    let Some(tools) = tools("killed_gateway_loses_nothing_and_hides_nothing") else { return };
    for answers_before_the_kill in [1, 17, 90] {
        let world = World::new(&tools);
        world.write("bailiwick/policy/90-test.cedar", POLICY);
        let mut gateway = world.up();
        let (sender, receiver) = mpsc::channel();
        let hammers: Vec<Hammer> = (0..CLIENTS).map(|n| Hammer::start(&world, n, sender.clone())).collect();
        drop(sender);
        let mut answered: BTreeSet<String> = receiver.iter().take(answers_before_the_kill).collect();
        assert_eq!(answered.len(), answers_before_the_kill, "the gateway stopped answering before it was killed");
        gateway.0.kill().unwrap();
        gateway.0.wait().unwrap();
        drop(hammers);
        answered.extend(receiver.iter());

        // The next start recovers and says so; then everything must add up.
        let next = world.up();
        drop(next);
        let (permitted, finished) = recorded(&world);
        assert!(answered.is_subset(&finished), "answered but not in the ledger: {:?}", answered.difference(&finished));
        let written: BTreeSet<String> = std::fs::read_dir(world.path("files"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "a.txt" && !name.ends_with(".tmp"))
            .collect();
        assert!(written.is_subset(&permitted), "done without an entry: {:?}", written.difference(&permitted));
        world.ok(&["ledger", "verify"]);
    }
}

/// A server's conversation, over the gateway's socket.
fn serves(world: &World, script: &str) -> UnixStream {
    let stream = UnixStream::connect(world.path("bailiwick/run/gateway.sock")).unwrap();
    let hello = json!({"bailiwick": "mcp", "agent": "test", "server": "deaf", "command": ["sh", "-c", script],
                       "cwd": world.path("files"), "env": {"PATH": "/usr/bin:/bin"}});
    writeln!(&stream, "{hello}").unwrap();
    let mut accepted = [0];
    (&stream).read_exact(&mut accepted).unwrap();
    assert_eq!(accepted, [b'+']);
    stream
}

/// What the server wrote, once that is so many lines.
fn lines(world: &World, name: &str, count: usize) -> Vec<String> {
    wait_for(name, || {
        let text = std::fs::read_to_string(world.path("files").join(name)).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (text.ends_with('\n') && lines.len() == count).then_some(lines)
    })
}

#[cfg(target_os = "linux")]
#[test]
fn no_server_outlives_a_gateway_that_is_killed() {
    let world = World::bare();
    let mut gateway = world.up();
    // One that reads nothing, so that it does not see its input end, and what it has started.
    let _stream = serves(&world, "sleep 1000 & echo $$ > pids; echo $! >> pids; sleep 1000");
    let pids = lines(&world, "pids", 2);
    // Not there, or dead and not taken note of.
    let runs = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    assert!(pids.iter().all(runs), "{pids:?}");
    gateway.0.kill().unwrap();
    gateway.0.wait().unwrap();
    wait_for("the server's end", || (!pids.iter().any(runs)).then_some(()));
}

#[test]
fn a_server_that_is_told_to_end_ends_by_itself() {
    let world = World::bare();
    let _gateway = world.up();
    let stream = serves(&world, "trap 'echo told >> ends; exit' TERM; echo here > starts; while :; do sleep 0.1; done");
    lines(&world, "starts", 1);
    drop(stream);
    assert_eq!(lines(&world, "ends", 1), ["told"]);
}

#[test]
fn a_server_that_is_not_there_is_said() {
    let world = World::bare();
    let _gateway = world.up();
    for (name, said) in [("no-such-program", "No such file"), ("/etc/passwd", "ermission denied")] {
        let stream = UnixStream::connect(world.path("bailiwick/run/gateway.sock")).unwrap();
        let hello = json!({"bailiwick": "mcp", "agent": "test", "server": "none", "command": [name],
                           "cwd": "/", "env": {"PATH": "/usr/bin:/bin"}});
        write!(&stream, "{hello}\n{}\n", json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(
            answer.contains("cannot start the server") && answer.to_lowercase().contains(&said.to_lowercase()),
            "{answer}"
        );
    }
}

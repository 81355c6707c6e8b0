//! `kill -9` of the gateway under load, at points that a seed chooses. Afterwards the ledger verifies, no call that a
//! client saw answered is missing, and nothing was done without an entry.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc;

use ledger::record::{Record, Status};
use serde_json::{Value, json};
use support::{Running, World, tools};

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

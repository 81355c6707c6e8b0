//! Two real gateways, one behind the other, over HTTP: labels go along with calls and come back with results, and nobody
//! between or before them can make, change, repeat or take away a word of it unnoticed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::fs;

use ledger::record::Record;
use serde_json::{Value, json};
use support::wire::{Answer, Balancer, KEY, call, opens, post};
use support::{Running, World, free_port, tools};

const MEMBER: &str = "dev.bailiwick/labels";
const SECRET: &str = "ghp_0123456789abcdefABCDEF0123456789";

/// Secrets are written nowhere.
const POLICY: &str = r#"
@id("test-allow") permit (principal, action, resource);
@id("test-secret") @reason("A secret is written.")
forbid (principal, action in Action::"write", resource)
when { context.flow.confidentiality >= 3 };
"#;
/// East lets secrets go to west.
const EAST_POLICY: &str = r#"
@id("test-allow") permit (principal, action, resource);
@id("test-secret") @reason("A secret is written.")
forbid (principal, action == Action::"notes/write_file", resource)
when { context.flow.confidentiality >= 3 };
"#;

/// `east` calls the server `files` of `west`, once as a known gateway and once, as `plain`, as anybody.
struct Chain {
    east: World,
    west: World,
    ports: [u16; 2],
    wire: Balancer,
    credential: String,
    _running: [Running; 2],
}

impl Chain {
    fn new(tools: &std::path::Path) -> Self {
        let (east, west) = (World::new(tools), World::new(tools));
        let ports = [free_port(), free_port()];
        let wire = Balancer::new([ports[1], ports[1]]);
        let keys = [&east, &west].map(|world| world.ok(&["peer", "key"]).trim().to_owned());
        west.ok(&["peer", "add", "east", "--key", &keys[0], "--agent", "east"]);
        west.write("bailiwick/keys/agent-cursor.key", KEY);
        let credential = fs::read_to_string(west.path("bailiwick/keys/agent-east.key")).unwrap().trim().to_owned();
        east.write("credential", &credential);
        let file = east.path("credential").display().to_string();
        east.ok(&["peer", "add", "west", "--key", &keys[1], "--server", "files", "--credential", &file]);
        // The same server by another name, for which nobody said who stands there.
        east.ok(&["peer", "add", "nobody", "--key", &keys[0], "--server", "plain", "--credential", &file]);
        let address = format!("http://127.0.0.1:{}/mcp/files", wire.port);
        east.ok(&["upstream", "add", "files", &address]);
        east.ok(&["upstream", "add", "plain", &address]);
        east.write("bailiwick/keys/agent-cursor.key", KEY);
        east.write("bailiwick/keys/agent-other.key", "another key");
        east.write("bailiwick/policy/90-test.cedar", EAST_POLICY);
        west.write("bailiwick/policy/90-test.cedar", POLICY);
        let marked = "[\"files/read_text_file\"]\nresults = { \"*\" = [\"anyone\", \"secret\"] }\n";
        west.write("bailiwick/gateway/annotations.toml", marked);
        for (world, name) in [(&east, "notes"), (&west, "files")] {
            let (program, args) = world.files_server();
            let mut words = vec!["upstream", "add", name, "--", program.as_str()];
            words.extend(args.iter().map(String::as_str));
            world.ok(&words);
        }
        let running = [west.up_on(ports[1]), east.up_on(ports[0])];
        Self { east, west, ports, wire, credential, _running: running }
    }

    /// One conversation of an agent with a server of east's; answers bodies.
    fn says(&self, server: &str, key: &str, messages: &[Value]) -> Vec<String> {
        let path = format!("/mcp/{server}");
        let session = opens(self.ports[0], (&path, key));
        let list = json!({"jsonrpc": "2.0", "id": 90, "method": "tools/list"});
        post(self.ports[0], (&path, key), Some(&session), &list);
        messages.iter().map(|message| post(self.ports[0], (&path, key), Some(&session), message).2).collect()
    }

    fn read(world: &World) -> Value {
        call(2, "read_text_file", &world.read_step()["args"])
    }

    fn write(world: &World, name: &str, text: &str) -> Value {
        let mut arguments = world.write_step(name)["args"].clone();
        arguments["content"] = json!(text);
        call(3, "write_file", &arguments)
    }

    /// The calls of a tool that came over the wire, newest last.
    fn sent(&self, tool: &str) -> Vec<Value> {
        let went = self.wire.went.lock().unwrap();
        let bodies = went.iter().filter_map(|(_, body)| serde_json::from_str::<Value>(body).ok());
        bodies.filter(|body| body["params"]["name"] == tool).collect()
    }
}

/// Why a gateway did not take what claimed to be labels, in order.
fn distrusted(world: &World) -> Vec<String> {
    let because = |(_, record): (u64, Record)| match record {
        Record::Log { event, details } if event == "labels that are not taken" => {
            Some(details["because"].as_str().unwrap().to_owned())
        }
        _ => None,
    };
    world.records().into_iter().filter_map(because).collect()
}

#[test]
fn a_secret_stays_one_at_the_next_gateway_and_what_is_known_there_comes_back() {
    let Some(tools) = tools("a_secret_stays_one_at_the_next_gateway_and_what_is_known_there_comes_back") else {
        return;
    };
    let chain = Chain::new(&tools);
    fs::write(chain.east.path("files/a.txt"), format!("the key is {SECRET}\n")).unwrap();
    let text = format!("keep {SECRET}");
    let read = chain.says("notes", KEY, &[Chain::read(&chain.east)]);
    assert!(read[0].contains(SECRET), "{read:?}");
    // West never saw it and cannot know: without east's word it is written.
    let plain = chain.says("plain", KEY, &[Chain::write(&chain.west, "plain.txt", &text)]);
    assert!(plain[0].contains("Successfully wrote"), "{plain:?}");
    let told = chain.says("files", KEY, &[Chain::write(&chain.west, "told.txt", &text)]);
    assert!(told[0].contains("Bailiwick denied"), "{told:?}");
    assert!(!chain.west.path("files/told.txt").exists());
    let told = chain.says("files", KEY, &[Chain::write(&chain.west, "mild.txt", "nothing of note")]);
    assert!(told[0].contains("Successfully wrote") && !told[0].contains(MEMBER), "{told:?}");
    // No value travels: what is signed names places and labels.
    let sent = chain.sent("write_file");
    let statements: Vec<_> = sent.iter().map(|sent| sent["params"]["_meta"][MEMBER].to_string()).collect();
    assert!(statements.iter().all(|text| !text.contains(SECRET)), "{statements:?}");

    // What west says of a result, east did not know: read as one gateway of another, it is secret here, too.
    fs::write(chain.west.path("files/a.txt"), "the plan is quokka-zebra-4711\n").unwrap();
    let keep = Chain::write(&chain.east, "kept.txt", "quokka-zebra-4711");
    let back = chain.says("plain", "another key", &[Chain::read(&chain.west)]);
    assert!(back[0].contains("quokka"), "{back:?}");
    let kept = chain.says("notes", "another key", std::slice::from_ref(&keep));
    assert!(kept[0].contains("Successfully wrote"), "nobody told east: {kept:?}");
    let back = chain.says("files", "another key", &[Chain::read(&chain.west)]);
    assert!(back[0].contains("quokka") && !back[0].contains(MEMBER), "{back:?}");
    let kept = chain.says("notes", "another key", &[keep]);
    assert!(kept[0].contains("Bailiwick denied"), "{kept:?}");
    for world in [&chain.east, &chain.west] {
        world.verify();
    }
}

#[test]
fn labels_cannot_be_made_changed_repeated_or_taken_away() {
    let Some(tools) = tools("labels_cannot_be_made_changed_repeated_or_taken_away") else { return };
    let chain = Chain::new(&tools);
    fs::write(chain.east.path("files/a.txt"), format!("the key is {SECRET}\n")).unwrap();
    chain.says("notes", KEY, &[Chain::read(&chain.east)]);
    // An agent of east's that brings labels of its own, however it writes them: they are not sent on.
    let mut forged = Chain::write(&chain.west, "forged.txt", SECRET);
    forged["params"]["_meta"] = json!({ MEMBER: {"statement": {"version": 1}, "signature": ""} });
    let answers = chain.says("files", KEY, std::slice::from_ref(&forged));
    assert!(answers[0].contains("Bailiwick denied"), "{answers:?}");
    assert_eq!(distrusted(&chain.east), ["nobody said that labels come from there"]);
    assert!(distrusted(&chain.west).is_empty());
    let sent = chain.sent("write_file").pop().unwrap();
    let key = chain.east.ok(&["peer", "key"]);
    assert_eq!(sent["params"]["_meta"][MEMBER]["statement"]["from"], key.trim());

    // At west: what was said once is not heard again, nor about another call, nor changed, nor from somebody else.
    let as_agent = |key: &str, message: &Value| {
        let session = opens(chain.ports[1], ("/mcp/files", key));
        let Answer(status, _, body) = post(chain.ports[1], ("/mcp/files", key), Some(&session), message);
        assert_eq!(status, 200, "{body}");
        body
    };
    let mut other = sent.clone();
    other["params"]["arguments"]["content"] = json!("other");
    let mut changed = sent.clone();
    changed["params"]["_meta"][MEMBER]["statement"]["labels"] = json!([]);
    let mut bare = sent.clone();
    bare["params"]["_meta"][MEMBER]["signature"] = json!("");
    for message in [&sent, &other, &changed, &bare] {
        let body = as_agent(&chain.credential, message);
        assert!(body.contains("Successfully wrote"), "it counts as no labels: {body}");
    }
    as_agent(KEY, &sent);
    let expected = [
        "it was said before",
        "it is about something else",
        "it is no signed statement",
        "it is no signed statement",
        "nobody said that labels come from there",
    ];
    assert_eq!(distrusted(&chain.west), expected);
    // Nothing of it reached the server.
    let log = fs::read_to_string(chain.west.path("upstream.log")).unwrap();
    assert!(log.contains("write_file") && !log.contains(MEMBER), "{log}");

    // Who believes another key than that of who answers hears nothing.
    chain.says("plain", KEY, &[Chain::read(&chain.west)]);
    assert_eq!(distrusted(&chain.west).last().map(String::as_str), Some("it was said to another gateway"));
    assert_eq!(distrusted(&chain.east).last().map(String::as_str), Some("it is no signed statement"));
    for world in [&chain.east, &chain.west] {
        world.verify();
    }
}

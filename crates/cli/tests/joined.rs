//! Several servers as one endpoint: `/mcp` and `bailiwick mcp --all`, with real clients and servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Stdio};

use ledger::record::Record;
use serde_json::{Value, json};
use support::wire::{KEY, call, opens, post};
use support::{Running, World, free_port, repository, tools};

const POLICY: &str = r#"
@id("test-allow") permit (principal, action, resource);
@id("test-hidden") @reason("Not here.") forbid (principal, action == Action::"list_tool", resource == Tool::"files/move_file");
@id("test-denied") @reason("The test forbids this tool.") forbid (principal, action == Action::"files/move_file", resource);
@id("test-link") @reason("A link of somebody else is written.")
forbid (principal, action == Action::"notes/write_file", resource) when { context.flow.untrusted.contains("link") };
@id("test-no-sampling") @reason("The second does not sample.")
forbid (principal, action == Action::"sample", resource == Server::"two");
"#;

/// A world with a server of files that the gateway starts, and whatever else.
fn world(tools: &std::path::Path) -> World {
    let world = World::new(tools);
    let (program, args) = world.files_server();
    let mut words = vec!["upstream", "add", "files", "--", program.as_str()];
    words.extend(args.iter().map(String::as_str));
    world.ok(&words);
    world.write("bailiwick/policy/90-test.cedar", POLICY);
    world
}

/// A client that speaks lines to `bailiwick mcp --all`, and hears everything.
struct Client {
    _shim: Running,
    input: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// What came that was not waited for.
    heard: Vec<Value>,
    next: u64,
}

impl Client {
    fn new(world: &World) -> Self {
        let mut shim = world
            .command(env!("CARGO_BIN_EXE_bailiwick"))
            .args(["mcp", "--agent", "test", "--all"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (shim.stdin.take(), shim.stdout.take().unwrap());
        let lines = BufReader::new(output).lines();
        let mut client = Self { _shim: Running(shim), input, lines, heard: Vec::new(), next: 0 };
        let info = json!({"name": "test", "version": "1"});
        let can = json!({"sampling": {}, "elicitation": {}, "roots": {}});
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": can, "clientInfo": info});
        let opened = client.request("initialize", params);
        assert_eq!(opened["result"]["protocolVersion"], "2025-06-18", "{opened}");
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    fn start(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        let id = self.next;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// The next message that fits; the others are kept.
    fn wait(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.heard.iter().position(&fits) {
            return self.heard.remove(at);
        }
        loop {
            let line = self.lines.next().expect("the endpoint is there").unwrap();
            let message: Value = serde_json::from_str(&line).unwrap();
            if fits(&message) {
                return message;
            }
            self.heard.push(message);
        }
    }

    fn answer(&mut self, id: u64) -> Value {
        self.wait(|message| message["id"] == id && message.get("method").is_none())
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.start(method, params);
        self.answer(id)
    }

    fn call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.start("tools/call", json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": tool}}))
    }

    fn names(&mut self, list: &str, items: &str, key: &str) -> Vec<String> {
        let answer = self.request(list, json!({}));
        let items = answer["result"][items].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
        items.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
    }
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

/// Every server's intents, as `server/name effect`.
fn intents(world: &World) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let intent = |record| match record {
        Record::Intent(intent) => {
            let tool = &intent.action["tool"];
            let effect = text(&intent.decision["effect"]["effect"]);
            Some(format!("{}/{} {effect}", text(&tool["server"]), text(&tool["name"])))
        }
        _ => None,
    };
    world.records().into_iter().filter_map(|(_, record)| intent(record)).collect()
}

#[test]
fn sdk_clients_use_all_servers_as_one() {
    let Some(tools) = tools("sdk_clients_use_all_servers_as_one") else { return };
    let world = world(&tools);
    let (_far, far) = world.remote_server();
    world.ok(&["upstream", "add", "far", &format!("http://127.0.0.1:{far}/mcp")]);
    world.ok(&["upstream", "add", "dead", "--", "false"]);
    world.ok(&["upstream", "add", "gone", "http://127.0.0.1:1/mcp"]);
    world.write("bailiwick/keys/agent-cursor.key", "a key of the test");
    let port = free_port();
    let url =
        json!({"url": format!("http://127.0.0.1:{port}/mcp"), "headers": {"x-bailiwick-key": "a key of the test"}});
    let shim = json!({"command": env!("CARGO_BIN_EXE_bailiwick"), "args": ["mcp", "--agent", "cursor", "--all"]});
    world.write("config.json", &json!({"mcpServers": {"url": url, "shim": shim}}).to_string());
    let _gateway = world.up_on(port);

    let mut read = world.read_step();
    read["tool"] = json!("files__read_text_file");
    let moved = json!({"tool": "files__move_file", "args": {"source": "a", "destination": "b"}});
    let far = json!({"tool": "far__test_simple_text", "args": {}});
    world.write("script.json", &json!([read, moved, far]).to_string());
    // What starts late is in a later list.
    let wanted = "files__read_text_file,far__test_simple_text";
    let python = |mode: &str| {
        let mut command = world.command(world.tool("venv/bin/python"));
        command.arg(repository("tests/agents/client.py")).env("MCP_MODE", mode).env("MCP_WANTS", wanted);
        command
    };
    let typescript = || {
        let mut command = world.command("node");
        command.arg(repository("tests/agents/client.mjs")).env("BAILIWICK_TEST_TOOLS", world.tool(""));
        command.env("MCP_WANTS", wanted);
        command
    };
    let mut lists = BTreeMap::new();
    let clients =
        [("auto", python("auto")), ("legacy", python("legacy")), ("new", python("2026-07-28")), ("ts", typescript())];
    for (name, mut client) in clients {
        let server = if matches!(name, "legacy") { "shim" } else { "url" };
        let output = client.arg(world.path("config.json")).arg(server).arg(world.path("script.json")).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let said = |at: usize| answer["results"][at]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        assert!(said(0).contains("hello from a"), "{name}: {answer}");
        assert!(said(1).contains("The test forbids this tool") && said(1).contains("`files/move_file`"), "{answer}");
        assert!(said(2).contains("simple text response"), "{name}: {answer}");
        let names: Vec<String> = serde_json::from_value(answer["tools"].clone()).unwrap();
        assert!(!names.contains(&"files__move_file".to_owned()), "what may not be called is not shown: {names:?}");
        assert!(names.contains(&"far__test_simple_text".to_owned()), "{names:?}");
        lists.insert(name, names);
    }
    assert!(lists.values().all(|names| *names == lists["auto"]), "{lists:?}");
    let wanted = ["files/read_text_file permit", "files/move_file deny", "far/test_simple_text permit"];
    assert_eq!(intents(&world), [wanted; 4].concat(), "policy and ledger know servers and tools, no joined names");
    assert!(!world.upstream().contains("move_file"), "{}", world.upstream());
    let withheld = |record: &Record| matches!(record, Record::Withheld { server, .. } if server == "files");
    assert!(world.records().iter().any(|(_, record)| withheld(record)), "what is not shown is recorded");
    world.verify();
}

#[test]
fn what_one_server_said_taints_what_another_writes_where_all_are_one() {
    let Some(tools) = tools("what_one_server_said_taints_what_another_writes_where_all_are_one") else { return };
    let world = world(&tools);
    let (program, args) = world.files_server();
    let mut words = vec!["upstream", "add", "notes", "--", program.as_str()];
    words.extend(args.iter().map(String::as_str));
    world.ok(&words);
    world.write("bailiwick/keys/agent-cursor.key", KEY);
    let port = free_port();
    let _gateway = world.up_on(port);
    fs::write(world.path("files/a.txt"), "for more see https://evil.example/x today\n").unwrap();
    let to = ("/mcp", KEY);
    let session = opens(port, to);
    post(port, to, Some(&session), &json!({"jsonrpc": "2.0", "id": 90, "method": "tools/list"}));
    let says = |name: &str, arguments: &Value| post(port, to, Some(&session), &call(2, name, arguments)).2;
    let mut write = world.write_step("written.txt")["args"].clone();
    write["content"] = json!("see https://evil.example/x");
    let before = says("notes__write_file", &write);
    assert!(before.contains("Successfully wrote"), "nobody has said it yet: {before}");
    assert!(says("files__read_text_file", &world.read_step()["args"]).contains("for more see"));
    let after = says("notes__write_file", &write);
    assert!(after.contains("A link of somebody else is written"), "{after}");
    world.verify();
}

#[test]
fn what_servers_ask_and_tell_finds_its_way() {
    let Some(tools) = tools("what_servers_ask_and_tell_finds_its_way") else { return };
    let world = world(&tools);
    let servers = [world.remote_server(), world.remote_server()];
    for (name, (_, port)) in ["one", "two"].iter().zip(&servers) {
        world.ok(&["upstream", "add", name, &format!("http://127.0.0.1:{port}/mcp")]);
    }
    let _gateway = world.up();
    let mut client = Client::new(&world);

    let names = client.names("tools/list", "tools", "name");
    assert!(names.contains(&"one__test_sampling".to_owned()) && names.contains(&"two__test_sampling".to_owned()));

    // Both ask at the same time, and each gets the answer to its own question.
    let ask = json!({"message": "who?"});
    let (one, two) = (client.call("one__test_elicitation", ask.clone()), client.call("two__test_elicitation", ask));
    for server in ["two", "one"] {
        let asked = client.wait(|message| {
            let words = message["params"]["message"].as_str().unwrap_or_default();
            message["method"] == "elicitation/create" && words.starts_with(&format!("[{server}] "))
        });
        let content = json!({"response": format!("{server}@example.com")});
        let result = json!({"action": "accept", "content": content});
        client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}));
    }
    let (one, two) = (client.answer(one), client.answer(two));
    assert!(text(&one).contains("one@example.com") && !text(&one).contains("two@"), "{one}");
    assert!(text(&two).contains("two@example.com") && !text(&two).contains("one@"), "{two}");

    // One may sample and the other may not: each is judged as the server that it is.
    let id = client.call("one__test_sampling", json!({"prompt": "say x"}));
    let asked = client.wait(|message| message["method"] == "sampling/createMessage");
    let result = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "sampled"}});
    client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}));
    let answer = client.answer(id);
    assert!(text(&answer).contains("sampled"), "{answer}");
    let id = client.call("two__test_sampling", json!({"prompt": "say x"}));
    let answer = client.answer(id);
    assert!(answer.to_string().contains("The second does not sample"), "{answer}");

    // Progress and log messages say whose they are.
    let id = client.call("two__test_tool_with_progress", json!({}));
    let progress = client.wait(|message| message["method"] == "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], "two__test_tool_with_progress");
    client.answer(id);
    let id = client.call("one__test_tool_with_logging", json!({}));
    let told = client
        .wait(|message| message["method"] == "notifications/message" && message["params"]["logger"] != "bailiwick");
    assert!(told["params"]["logger"].as_str().unwrap().starts_with("one"), "{told}");
    client.answer(id);

    // Resources and prompts.
    let uris = client.names("resources/list", "resources", "uri");
    assert!(uris.contains(&"one+test://static-text".to_owned()), "{uris:?}");
    let read = client.request("resources/read", json!({"uri": "two+test://static-text"}));
    assert_eq!(read["result"]["contents"][0]["uri"], "two+test://static-text", "{read}");
    let templates = client.names("resources/templates/list", "resourceTemplates", "uriTemplate");
    assert!(templates.contains(&"two+test://template/{id}/data".to_owned()), "{templates:?}");
    let prompts = client.names("prompts/list", "prompts", "name");
    assert!(prompts.contains(&"two__test_simple_prompt".to_owned()), "{prompts:?}");
    let prompt = client.request("prompts/get", json!({"name": "two__test_simple_prompt"}));
    assert!(prompt["result"]["messages"].is_array(), "{prompt}");
    let embedded = client.call("one__test_embedded_resource", json!({}));
    let embedded = client.answer(embedded);
    let uri = embedded["result"]["content"][0]["resource"]["uri"].as_str().unwrap();
    assert!(uri.starts_with("one+test://"), "{embedded}");
    let nobody = client.request("tools/call", json!({"name": "three__x", "arguments": {}}));
    assert_eq!(nobody["error"]["code"], -32602, "{nobody}");
    world.verify();
}

/// Its calls become tasks, all of the same id.
const TASKS: &str = r#"
import json, sys
task = {"taskId": "t", "status": "working", "createdAt": "2025-11-25T10:30:00Z", "lastUpdatedAt": "2025-11-25T10:30:00Z", "ttl": 60000}
related = {"io.modelcontextprotocol/related-task": {"taskId": "t"}}
can = {"tools": {}, "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}}
for line in sys.stdin:
    message = json.loads(line)
    results = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": can, "serverInfo": {"name": "b", "version": "1"}},
        "tools/list": {"tools": [{"name": "x", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "required"}}]},
        "tools/call": {"task": task},
        "tasks/get": task,
        "tasks/list": {"tasks": [task]},
        "tasks/result": {"content": [{"type": "text", "text": sys.argv[1]}], "_meta": related},
    }
    if message.get("method") == "tasks/get":
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": task}), flush=True)
    if message.get("method") in results:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}), flush=True)
"#;

#[test]
fn a_task_is_of_its_server_and_its_result_of_its_call() {
    let world = World::bare();
    world.write("bailiwick/policy/90-test.cedar", r#"@id("test-allow") permit (principal, action, resource);"#);
    for name in ["one", "two"] {
        world.ok(&["upstream", "add", name, "--", "python3", "-c", TASKS, name]);
    }
    let _gateway = world.up();
    let mut client = Client::new(&world);
    client.names("tools/list", "tools", "name");
    let call = json!({"name": "one__x", "arguments": {}, "task": {"ttl": 60000}});
    let begun = client.request("tools/call", call);
    assert_eq!(begun["result"]["task"]["taskId"], "one+t", "{begun}");
    let stands = client.request("tasks/get", json!({"taskId": "one+t"}));
    assert_eq!(stands["result"]["taskId"], "one+t", "{stands}");
    let told = client.wait(|message| message["method"] == "notifications/tasks/status");
    assert_eq!(told["params"]["taskId"], "one+t", "{told}");
    // The other server has a task of this id, too, but not of this session.
    let other = client.request("tasks/result", json!({"taskId": "two+t"}));
    assert!(other["error"]["message"].as_str().unwrap().contains("no such task"), "{other}");
    assert_eq!(client.names("tasks/list", "tasks", "taskId"), ["one+t"]);
    let result = client.request("tasks/result", json!({"taskId": "one+t"}));
    assert_eq!(text(&result), "one");
    let related = &result["result"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"];
    assert_eq!(related, "one+t", "{result}");
    assert_eq!(intents(&world), ["one/x permit"]);
    world.verify();
}

/// Speaks a handshake, says after a list that it has changed, and ends when it is called.
const BRIEF: &str = r#"
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method == "tools/call":
        break
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "b", "version": "1"}},
        "tools/list": {"tools": [{"name": "x" * 60, "inputSchema": {"type": "object"}}]},
    }
    if method in results:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": results[method]}), flush=True)
    if method == "tools/list":
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}), flush=True)
"#;

#[test]
fn a_server_that_ends_takes_nobody_with_it() {
    let Some(tools) = tools("a_server_that_ends_takes_nobody_with_it") else { return };
    let world = world(&tools);
    let (far, port) = world.remote_server();
    world.ok(&["upstream", "add", "far", &format!("http://127.0.0.1:{port}/mcp")]);
    world.ok(&["upstream", "add", "dead", "--", "false"]);
    world.ok(&["upstream", "add", "slow", "--", "sleep", "600"]);
    world.ok(&["upstream", "add", "brief", "--", "python3", "-c", BRIEF]);
    let _gateway = world.up();
    let mut client = Client::new(&world);
    // Who starts late is announced, and the brief one says after each list that it has changed.
    let before = loop {
        let names = client.names("tools/list", "tools", "name");
        client.wait(|message| message["method"] == "notifications/tools/list_changed");
        let has = |server: &str| names.iter().any(|name| name.starts_with(server));
        if ["far__", "files__", "brief-xxx"].into_iter().all(has) {
            break names;
        }
    };
    // What starts late may be left out of the first list, too.
    for left in ["`dead` is left out", "`slow` is left out: it is still starting"] {
        client.wait(|message| {
            let said = message["params"]["data"].as_str().unwrap_or_default();
            message["params"]["logger"] == "bailiwick" && said.contains(left)
        });
    }

    // Its tool's name would be too long.
    let brief =
        before.iter().find(|name| name.starts_with("brief-xxx")).unwrap_or_else(|| panic!("{before:?}")).clone();
    let ended = client.request("tools/call", json!({"name": brief, "arguments": {}}));
    assert!(ended["error"]["message"].as_str().unwrap().contains("ended before it answered"), "{ended}");
    client.wait(|message| message["method"] == "notifications/tools/list_changed");

    drop(far);
    let after = client.names("tools/list", "tools", "name");
    assert_eq!(after, before.iter().filter(|name| name.starts_with("files__")).cloned().collect::<Vec<_>>());
    let read = client.request(
        "tools/call",
        json!({"name": "files__read_text_file", "arguments": {"path": world.path("files/a.txt")}}),
    );
    assert!(text(&read).contains("hello from a"), "{read}");
    let lost = client.request("tools/call", json!({"name": "far__test_simple_text", "arguments": {}}));
    assert!(lost["error"]["message"].as_str().unwrap().contains("cannot be reached"), "{lost}");
    world.verify();
}

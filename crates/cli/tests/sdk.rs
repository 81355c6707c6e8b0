//! The official client SDKs, unchanged, behind the gateway: over stdio and over Streamable HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{World, free_port, repository, tools, wait_for};

const POLICY: &str = r#"@id("test-allow") permit (principal, action, resource);"#;

const REMOTE_POLICY: &str = r#"
@id("test-allow") permit (principal, action, resource);
@id("test-denied") @reason("the test forbids this tool")
forbid (principal, action == Action::"far/test_error_handling", resource);
"#;

/// An SDK: how its client script is started.
type Sdk = fn(&World) -> std::process::Command;

fn python(world: &World) -> std::process::Command {
    let mut command = world.command(world.tool("venv/bin/python"));
    command.arg(repository("tests/agents/client.py"));
    command
}

/// Speaks only the protocol without sessions, which these servers do not.
fn python_stateless(world: &World) -> std::process::Command {
    let mut command = python(world);
    command.env("MCP_MODE", "2026-07-28");
    command
}

fn typescript(world: &World) -> std::process::Command {
    let mut command = world.command("node");
    command.arg(repository("tests/agents/client.mjs")).env("BAILIWICK_TEST_TOOLS", world.tool(""));
    command
}

/// Built by `cargo xtask rust-sdk` alone: it costs as much as a fifth of everything else.
fn rust(world: &World) -> std::process::Command {
    world.command(std::env::var("BAILIWICK_RUST_SDK").unwrap())
}

fn rust_legacy(world: &World) -> std::process::Command {
    let mut command = rust(world);
    command.env("MCP_MODE", "legacy");
    command
}

fn rust_stateless(world: &World) -> std::process::Command {
    let mut command = rust(world);
    command.env("MCP_MODE", "2026-07-28");
    command
}

/// The same, and the Rust SDK's where it was built.
fn with_rust(mut sdks: Vec<Sdk>, rust: &[Sdk]) -> Vec<Sdk> {
    if std::env::var_os("BAILIWICK_RUST_SDK").is_some() {
        sdks.extend(rust);
    }
    sdks
}

/// Makes the scripted calls of one server of the world's protected configuration.
fn drive(world: &World, sdk: Sdk, server: &str, steps: &Value) -> Value {
    world.write("script.json", &steps.to_string());
    let output = sdk(world)
        .arg(world.path("home/.cursor/mcp.json"))
        .arg(server)
        .arg(world.path("script.json"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A git repository with one commit in the world's files.
fn git(world: &World, dir: &Path) {
    for words in [
        vec!["init", "--quiet", "."],
        vec![
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "first",
        ],
    ] {
        assert!(world.command("git").current_dir(dir).args(words).status().unwrap().success());
    }
}

fn text(result: &Value) -> String {
    result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn filesystem_and_git_over_stdio() {
    let Some(tools) = tools("filesystem_and_git_over_stdio") else { return };
    for sdk in with_rust(vec![python, typescript], &[rust]) {
        let world = World::new(&tools);
        git(&world, &world.path("files"));
        let (program, args) = world.files_server();
        let servers = json!({
            "fs": {"command": program, "args": args},
            "git": {"command": world.tool("venv/bin/mcp-server-git"), "args": ["--repository", world.path("files")]},
        });
        world.write("home/.cursor/mcp.json", &json!({"mcpServers": servers}).to_string());
        world.write("bailiwick/policy/90-test.cedar", POLICY);
        let _gateway = world.up();
        world.ok(&["protect", "cursor"]);

        // The second call is larger than an entry of the ledger can be.
        let mut large = world.write_step("large.txt");
        large["args"]["content"] = json!("x".repeat(200_000));
        let answer = drive(&world, sdk, "fs", &json!([world.read_step(), large]));
        assert!(text(&answer["results"][0]).contains("hello from a"), "{answer}");
        assert_eq!(std::fs::metadata(world.path("files/large.txt")).unwrap().len(), 200_000);
        assert!(answer["tools"].as_array().unwrap().len() > 5, "{answer}");
        let log = json!([{"tool": "git_log", "args": {"repo_path": world.path("files")}}]);
        let answer = drive(&world, sdk, "git", &log);
        assert!(text(&answer["results"][0]).contains("first"), "{answer}");
        assert_eq!(world.intents().len(), 3);
        world.verify();
    }
}

#[test]
fn filesystem_and_git_over_streamable_http() {
    let Some(tools) = tools("filesystem_and_git_over_streamable_http") else { return };
    for sdk in with_rust(vec![python, typescript], &[rust]) {
        let world = World::new(&tools);
        git(&world, &world.path("files"));
        let port = free_port();
        let (program, args) = world.files_server();
        let mut words = vec!["upstream", "add", "fs", "--", program.as_str()];
        words.extend(args.iter().map(String::as_str));
        world.ok(&words);
        let (git, files) = (world.tool("venv/bin/mcp-server-git"), world.path("files").display().to_string());
        world.ok(&["upstream", "add", "git", "--", &git, "--repository", &files]);
        world.write("bailiwick/policy/90-test.cedar", POLICY);
        world.write("bailiwick/keys/agent-cursor.key", "a key of the test");
        let server = |name: &str| json!({"url": format!("http://127.0.0.1:{port}/mcp/{name}"), "headers": {"x-bailiwick-key": "a key of the test"}});
        let servers = json!({"fs": server("fs"), "git": server("git")});
        world.write("home/.cursor/mcp.json", &json!({"mcpServers": servers}).to_string());
        let _gateway = world.up_on(port);

        let answer = drive(&world, sdk, "fs", &json!([world.read_step(), world.write_step("new.txt")]));
        assert!(text(&answer["results"][0]).contains("hello from a"), "{answer}");
        assert_eq!(std::fs::read_to_string(world.path("files/new.txt")).unwrap(), "written");
        let log = json!([{"tool": "git_log", "args": {"repo_path": files}}]);
        let answer = drive(&world, sdk, "git", &log);
        assert!(text(&answer["results"][0]).contains("first"), "{answer}");
        assert_eq!(world.intents().len(), 3);
        world.verify();
    }
}

/// The filesystem server speaks no version without sessions; this client no other.
#[test]
fn a_client_without_sessions_at_a_server_with_a_handshake() {
    let Some(tools) = tools("a_client_without_sessions_at_a_server_with_a_handshake") else { return };
    let world = World::new(&tools);
    let port = free_port();
    let (program, args) = world.files_server();
    let mut words = vec!["upstream", "add", "far", "--", program.as_str()];
    words.extend(args.iter().map(String::as_str));
    world.ok(&words);
    world.write("bailiwick/policy/90-test.cedar", POLICY);
    world.write("bailiwick/keys/agent-cursor.key", "a key of the test");
    let mut shim: Vec<String> = ["mcp", "--server", "near", "--", program.as_str()].map(str::to_owned).to_vec();
    shim.extend(args);
    let near = json!({"command": env!("CARGO_BIN_EXE_bailiwick"), "args": shim});
    let far =
        json!({"url": format!("http://127.0.0.1:{port}/mcp/far"), "headers": {"x-bailiwick-key": "a key of the test"}});
    world.write("home/.cursor/mcp.json", &json!({"mcpServers": {"near": near, "far": far}}).to_string());
    let _gateway = world.up_on(port);
    for name in ["near", "far"] {
        let answer =
            drive(&world, python_stateless, name, &json!([world.read_step(), {"tool": "no_such", "args": {}}]));
        assert!(answer["tools"].as_array().unwrap().len() > 10, "{answer}");
        assert!(text(&answer["results"][0]).contains("hello from a"), "{answer}");
        assert!(text(&answer["results"][1]).contains("Bailiwick denied"), "{answer}");
    }
    assert_eq!(world.intents().len(), 4);
    world.verify();
}

fn python_legacy(world: &World) -> std::process::Command {
    let mut command = python(world);
    command.env("MCP_MODE", "legacy");
    command
}

fn fastmcp(world: &World) -> std::process::Command {
    let mut command = world.command(world.tool("venv/bin/python"));
    command.arg(repository("tests/agents/fastmcp_client.py"));
    command
}

/// FastMCP's client and the Inspector's command line: at one server, and at all as one.
#[test]
fn fastmcp_and_the_inspector() {
    let Some(tools) = tools("fastmcp_and_the_inspector") else { return };
    let world = World::new(&tools);
    let (program, args) = world.files_server();
    let mut words = vec!["upstream", "add", "fs", "--", program.as_str()];
    words.extend(args.iter().map(String::as_str));
    world.ok(&words);
    world.write("bailiwick/policy/90-test.cedar", &REMOTE_POLICY.replace("far/test_error_handling", "fs/move_file"));
    world.write("bailiwick/keys/agent-cursor.key", "a key of the test");
    let port = free_port();
    let at = |path: &str| json!({"type": "streamable-http", "url": format!("http://127.0.0.1:{port}/mcp{path}"), "headers": {"x-bailiwick-key": "a key of the test"}});
    let shim = json!({"type": "stdio", "command": env!("CARGO_BIN_EXE_bailiwick"), "args": ["mcp", "--all"], "env": {
        "BAILIWICK_HOME": world.path("bailiwick"), "HOME": world.path("home"), "PATH": std::env::var("PATH").unwrap(),
    }});
    let servers = json!({"one": at("/fs"), "all": at(""), "shim": shim});
    world.write("home/.cursor/mcp.json", &json!({"mcpServers": servers}).to_string());
    let _gateway = world.up_on(port);
    for (server, prefix) in [("one", ""), ("all", "fs__"), ("shim", "fs__")] {
        let named = |name: &str| format!("{prefix}{name}");
        let mut read = world.read_step();
        read["tool"] = json!(named("read_text_file"));
        let moved = json!({"tool": named("move_file"), "args": {"source": "a", "destination": "b"}});
        let answer = drive(&world, fastmcp, server, &json!([read, moved]));
        assert!(text(&answer["results"][0]).contains("hello from a"), "{server}: {answer}");
        assert!(text(&answer["results"][1]).contains("Bailiwick denied"), "{server}: {answer}");

        let inspector = |words: &[String]| {
            let output = world
                .command(world.tool("node_modules/node/bin/node"))
                .arg(world.tool("node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"))
                .args(["--cli", "--config"])
                .arg(world.path("home/.cursor/mcp.json"))
                .args(["--server", server])
                .args(words)
                .output()
                .unwrap();
            assert!(output.status.success(), "{server} {words:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        // A server that starts late is in no first list of all.
        wait_for("the tools", || {
            inspector(&words(&["--method", "tools/list"])).contains(&named("read_text_file")).then_some(())
        });
        let path = format!("path={}", world.path("files/a.txt").display());
        let tool = named("read_text_file");
        let read = inspector(&words(&["--method", "tools/call", "--tool-name", &tool, "--tool-arg", &path]));
        assert!(read.contains("hello from a"), "{read}");
    }
    assert_eq!(world.intents().len(), 9);
    world.verify();
}

/// Each of these servers speaks one era, and is asked by clients of the other, of the same and of both.
#[test]
fn remote_servers_of_one_era() {
    let Some(tools) = tools("remote_servers_of_one_era") else { return };
    let world = World::new(&tools);
    let running = ["handshake", "stateless"].map(|era| (era, world.remote_server_of(&[era])));
    let (port, mut servers) = (free_port(), serde_json::Map::new());
    for (era, (_, upstream)) in &running {
        world.ok(&["upstream", "add", era, &format!("http://127.0.0.1:{upstream}/mcp")]);
        let url = format!("http://127.0.0.1:{port}/mcp/{era}");
        servers.insert((*era).to_owned(), json!({"url": url, "headers": {"x-bailiwick-key": "a key of the test"}}));
    }
    world.write("home/.cursor/mcp.json", &json!({"mcpServers": servers}).to_string());
    world.write("bailiwick/policy/90-test.cedar", &REMOTE_POLICY.replace("far/", "handshake/"));
    world.write("bailiwick/keys/agent-cursor.key", "a key of the test");
    let _gateway = world.up_on(port);
    let steps = json!([
        {"tool": "test_simple_text", "args": {}},
        {"tool": "test_tool_with_progress", "args": {}},
        {"tool": "test_error_handling", "args": {}},
    ]);
    let mut calls = 0;
    for era in ["handshake", "stateless"] {
        // Without sessions the Rust SDK insists on `server/discover`, whose refusal passes.
        let rusts: &[Sdk] =
            if era == "stateless" { &[rust, rust_legacy, rust_stateless] } else { &[rust, rust_legacy] };
        for sdk in with_rust(vec![python, python_legacy, python_stateless, typescript], rusts) {
            let answer = drive(&world, sdk, era, &steps);
            assert!(text(&answer["results"][0]).contains("simple text response"), "{era}: {answer}");
            let denied = text(&answer["results"][2]).contains("Bailiwick denied");
            assert_eq!(denied, era == "handshake", "{answer}");
            calls += 3;
        }
    }
    assert_eq!(world.intents().len(), calls);
    world.verify();
}

#[test]
fn a_remote_server_over_streamable_http() {
    let Some(tools) = tools("a_remote_server_over_streamable_http") else { return };
    for sdk in with_rust(vec![python, typescript], &[rust]) {
        let world = World::new(&tools);
        let gateway = free_port();
        world.write("bailiwick/policy/90-test.cedar", REMOTE_POLICY);
        let _server = world.protected_remote_server(gateway);
        let _gateway = world.up_on(gateway);

        let steps = json!([{"tool": "test_simple_text", "args": {}}, {"tool": "test_error_handling", "args": {}}]);
        let answer = drive(&world, sdk, "far", &steps);
        assert!(text(&answer["results"][0]).contains("simple text response"), "{answer}");
        assert!(text(&answer["results"][1]).contains("Bailiwick denied"), "{answer}");
        let effects: Vec<String> = world.intents().into_iter().map(|(_, effect)| effect).collect();
        assert_eq!(effects, ["permit", "deny"]);
        world.verify();
    }
}

//! The official MCP conformance suite, through the gateway: every scenario ends as it does without it. And the gateway
//! itself as the client of the suite's servers that want a login.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::fs;
use std::process::Command;

use support::{World, free_port, repository, tools};

const POLICY: &str = r#"@id("test-allow") permit (principal, action, resource);"#;

/// The suite, whose own servers are this machine's alone.
fn harness(world: &World) -> Command {
    let mut harness = world.command(world.tool("node_modules/node/bin/node"));
    harness.arg("--require").arg(repository("tests/conformance/loopback.cjs"));
    harness.arg(world.tool("node_modules/@modelcontextprotocol/conformance/dist/index.js"));
    harness
}

/// Runs it: one line a scenario, sorted.
fn lines(mut harness: Command) -> Vec<String> {
    let output = harness.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<String> =
        text.lines().filter(|line| line.starts_with("✓ ") || line.starts_with("✗ ")).map(str::to_owned).collect();
    lines.sort();
    assert!(!lines.is_empty(), "{output:?}");
    lines
}

fn golden(name: &str) -> Vec<String> {
    let text = fs::read_to_string(repository(&format!("tests/conformance/golden/{name}.lines"))).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The harness sends no header of ours, so it is known by its program.
fn through_the_gateway(name: &str, suite: &[&str]) {
    let Some(tools) = tools(name) else { return };
    let world = World::new(&tools);
    let gateway = free_port();
    let (_server, upstream) = world.remote_server();
    world.write("bailiwick/policy/90-test.cedar", POLICY);
    world.ok(&["upstream", "add", "far", &format!("http://127.0.0.1:{upstream}/mcp")]);
    world.ok(&["upstream", "know", "conformance", "--program", &world.tool("node_modules/node/bin/node")]);
    let _gateway = world.up_on(gateway);
    let mut harness = harness(&world);
    harness.args(["server", "--url", &format!("http://localhost:{gateway}/mcp/far")]).args(suite);
    as_golden(name, &lines(harness));
    world.verify();
}

fn as_golden(name: &str, found: &[String]) {
    let golden = golden(name);
    let lost: Vec<_> = golden.iter().filter(|line| !found.contains(line)).collect();
    let new: Vec<_> = found.iter().filter(|line| !golden.contains(line)).collect();
    assert!(lost.is_empty() && new.is_empty(), "as it should be: {lost:#?}\nthrough the gateway: {new:#?}");
}

/// The suite as server and authorization server, the gateway between it and a client that knows nothing of logins.
#[test]
fn client_mode() {
    let Some(tools) = tools("client_mode") else { return };
    let world = World::new(&tools);
    let mut harness = harness(&world);
    let client = format!("{} {}", world.tool("venv/bin/python"), repository("tests/conformance/client.py"));
    // All scenarios run side by side, each with a gateway of its own.
    harness.args(["client", "--command", &client, "--suite", "all", "--timeout", "600000"]);
    harness.env("CLIENT_BINARY", env!("CARGO_BIN_EXE_bailiwick"));
    // How many checks pass hangs on how often a client polls.
    let told = |line: &String| match (line.split_once(": "), line.rsplit_once(", ")) {
        (Some((scenario, _)), Some((_, failed))) => format!("{scenario}: {failed}"),
        _ => line.clone(),
    };
    as_golden("client", &lines(harness).iter().map(told).collect::<Vec<_>>());
}

#[test]
fn suite_active() {
    through_the_gateway("suiteactive", &["--suite", "active"]);
}

#[test]
fn suite_all() {
    through_the_gateway("suiteall", &["--suite", "all"]);
}

#[test]
fn requirements_2025_11_25() {
    through_the_gateway("requirements20251125", &["--requirements", "2025-11-25"]);
}

#[test]
fn requirements_2026_07_28() {
    through_the_gateway("requirements20260728", &["--requirements", "2026-07-28"]);
}

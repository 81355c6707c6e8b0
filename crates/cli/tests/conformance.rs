//! The official MCP conformance suite, through the gateway: every scenario ends as it does without it. And the gateway
//! itself as the client of the suite's servers that want a login.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{World, free_port, repository, tools};

const POLICY: &str = r#"@id("test-allow") permit (principal, action, resource);"#;

/// The suite, whose own servers are this machine's alone.
fn harness(world: &World) -> Command {
    let mut harness = world.command(world.tool("node_modules/node/bin/node"));
    harness.arg("--require").arg(repository("tests/conformance/loopback.cjs"));
    harness.arg(world.tool("node_modules/@modelcontextprotocol/conformance/dist/index.js"));
    harness
}

/// Runs it: one line a scenario, sorted. What it saw of each is kept in the world.
fn lines(world: &World, mut harness: Command) -> Vec<String> {
    harness.arg("--output-dir").arg(world.path("results"));
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
    as_golden(&world, name, &lines(&world, harness));
    world.verify();
}

fn as_golden(world: &World, name: &str, found: &[String]) {
    let golden = golden(name);
    let lost: Vec<_> = golden.iter().filter(|line| !found.contains(line)).collect();
    let new: Vec<_> = found.iter().filter(|line| !golden.contains(line)).collect();
    let seen: String = new.iter().map(|line| failures(&world.path("results"), line)).collect();
    assert!(lost.is_empty() && new.is_empty(), "as it should be: {lost:#?}\nthrough the gateway: {new:#?}\n{seen}");
}

/// What the suite says against the scenario of a line, and the last that its client or server said.
fn failures(results: &Path, line: &str) -> String {
    let scenario = line.split_once(' ').and_then(|(_, rest)| rest.split_once(": ")).unwrap_or_default().0;
    // A folder is called by its scenario and when it ran; some scenarios are in groups.
    let named = results.join(scenario);
    let (Some(group), Some(name)) = (named.parent(), named.file_name()) else { return String::new() };
    let folders = fs::read_dir(group).into_iter().flatten().flatten();
    let of_it = |folder: &PathBuf| folder.to_string_lossy().contains(&*name.to_string_lossy());
    let mut told = String::new();
    for folder in folders.map(|folder| folder.path()).filter(of_it) {
        let checks = fs::read(folder.join("checks.json")).unwrap_or_default();
        let checks: Vec<Value> = serde_json::from_slice(&checks).unwrap_or_default();
        for check in checks.iter().filter(|check| check["status"] == "FAILURE") {
            told.push_str(&format!("{scenario}: {check:#}\n"));
        }
        told.push_str(&fs::read_to_string(folder.join("stderr.txt")).unwrap_or_default());
    }
    told
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
    as_golden(&world, "client", &lines(&world, harness).iter().map(told).collect::<Vec<_>>());
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

//! Real agents without a model, each behind the gateway: a call that is allowed, one that is denied and one that
//! is asked. The denied call sends no byte upstream and runs nothing; the asked call runs only after its approval.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::process::{Child, Command, Stdio};

use serde_json::json;
use support::{World, tools};

/// The operator's policy of these tests: names in a path decide.
const POLICY: &str = r#"
@id("test-allow")
permit (principal, action in Action::"call_tool", resource);

@id("test-denied") @reason("the test forbids this path")
forbid (principal, action in Action::"call_tool", resource)
when { context.facts has names && context.facts.names.contains("denied.txt") };

@id("test-asked") @ask("test") @reason("the test asks for this path")
forbid (principal, action in Action::"call_tool", resource)
when { context.facts has names && context.facts.names.contains("asked.txt") };
"#;

/// Runs the agent beside an approver: nothing is written before the answer, and what was asked is written after it.
fn run_with_approval(world: &World, agent: &mut Command) -> std::process::Output {
    let child: Child = agent.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ask = world.open_ask();
    assert!(!world.path("files/asked.txt").exists(), "an asked call ran before its approval");
    assert!(!world.upstream().contains("asked.txt"), "an asked call reached the server before its approval");
    world.ok(&["approve", &ask.to_string()]);
    child.wait_with_output().unwrap()
}

/// What must hold after each agent's run.
fn assert_kept(world: &World) {
    assert_eq!(std::fs::read_to_string(world.path("files/asked.txt")).unwrap(), "written");
    assert!(!world.path("files/denied.txt").exists(), "a denied call ran");
    assert!(!world.upstream().contains("denied.txt"), "a denied call reached the server");
    let effects: Vec<String> = world.intents().into_iter().map(|(_, effect)| effect).collect();
    assert_eq!(effects, ["permit", "deny", "ask", "permit"]);
    world.verify();
}

#[test]
fn pydantic_ai() {
    let Some(tools) = tools("pydantic_ai") else { return };
    let world = World::new(&tools);
    let (program, args) = world.files_server();
    world
        .write("home/.cursor/mcp.json", &json!({"mcpServers": {"fs": {"command": program, "args": args}}}).to_string());
    world.write("bailiwick/policy/90-test.cedar", POLICY);
    let _gateway = world.up();
    world.ok(&["protect", "cursor"]);
    let steps =
        json!([world.read_step(), world.write_step("denied.txt"), world.write_step("asked.txt"), {"text": "done"}]);
    world.write("script.json", &steps.to_string());
    let output = run_with_approval(
        &world,
        world
            .command(world.tool("venv/bin/python"))
            .arg(support::repository("tests/agents/pydantic_agent.py"))
            .arg(world.path("home/.cursor/mcp.json"))
            .arg(world.path("script.json")),
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("hello from a"), "{output:?}");
    assert_kept(&world);
}

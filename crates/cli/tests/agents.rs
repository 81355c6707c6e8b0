//! Real agents without a model, each behind the gateway: a call that is allowed, one that is denied and one that
//! is asked. The denied call sends no byte upstream and runs nothing; the asked call runs only after its approval.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::{Running, World, tools};

/// The operator's policy of these tests: the name of a file decides.
fn policy(world: &World) -> String {
    let path = |name: &str| world.path("files").join(name).display().to_string();
    format!(
        r#"
@id("test-allow")
permit (principal, action, resource);

@id("test-denied") @reason("the test forbids this path")
forbid (principal, action in Action::"call_tool", resource)
when {{ context.facts has paths && context.facts.paths.contains("{}") }};

@id("test-asked") @ask("test") @reason("the test asks for this path")
forbid (principal, action in Action::"call_tool", resource)
when {{ context.facts has paths && context.facts.paths.contains("{}") }};
"#,
        path("denied.txt"),
        path("asked.txt")
    )
}

/// A world whose one MCP server is in a client's configuration, the gateway running, the client protected.
fn protected(tools: &std::path::Path, client: &str, config: &str) -> (World, Running) {
    let world = World::new(tools);
    let (program, args) = world.files_server();
    world.write(config, &json!({"mcpServers": {"fs": {"command": program, "args": args}}}).to_string());
    world.write("bailiwick/policy/90-test.cedar", &policy(&world));
    let gateway = world.up();
    world.list_tools_once(&(program, args));
    world.ok(&["protect", client]);
    (world, gateway)
}

/// Allowed, denied, asked: what every agent is told to do.
fn three_calls(world: &World) -> Value {
    json!([world.read_step(), world.write_step("denied.txt"), world.write_step("asked.txt"), {"text": "done"}])
}

/// Runs the agent beside an approver: what is asked is not there before the answer.
fn run_with_approval(world: &World, agent: &mut Command) -> String {
    let child: Child = agent.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ask = world.open_ask();
    assert!(!world.path("files/asked.txt").exists(), "an asked call ran before its approval");
    assert!(!world.upstream().contains("asked.txt"), "an asked call reached the server before its approval");
    world.ok(&["approve", &ask.to_string()]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What must hold after each agent's run.
fn assert_kept(world: &World) {
    assert_eq!(std::fs::read_to_string(world.path("files/asked.txt")).unwrap().trim(), "written");
    assert!(!world.path("files/denied.txt").exists(), "a denied call ran");
    assert!(!world.upstream().contains("denied.txt"), "a denied call reached the server");
    let effects: Vec<String> = world.intents().into_iter().map(|(_, effect)| effect).collect();
    assert_eq!(effects, ["permit", "deny", "ask", "permit"]);
    world.verify();
}

#[test]
fn pydantic_ai() {
    let Some(tools) = tools("pydantic_ai") else { return };
    let (world, _gateway) = protected(&tools, "cursor", "home/.cursor/mcp.json");
    world.write("script.json", &three_calls(&world).to_string());
    let said = run_with_approval(
        &world,
        world
            .command(world.tool("venv/bin/python"))
            .arg(support::repository("tests/agents/pydantic_agent.py"))
            .arg(world.path("home/.cursor/mcp.json"))
            .arg(world.path("script.json")),
    );
    assert!(said.contains("hello from a"), "{said}");
    assert_kept(&world);
}

fn claude_code(world: &World, port: u16) -> Command {
    let mut claude = world.command(world.tool("node_modules/.bin/claude"));
    claude
        .args(["-p", "go", "--model", "scripted", "--output-format", "json", "--allowedTools"])
        .arg("mcp__fs__read_text_file,mcp__fs__write_file,Bash")
        .env("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{port}"))
        .env("ANTHROPIC_API_KEY", "none")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_AUTOUPDATER", "1")
        .env("ENABLE_TOOL_SEARCH", "false")
        // Nobody sits at a terminal: an ask waits for the approval.
        .env("BAILIWICK_HOOK_WAIT", "true");
    claude
}

#[test]
fn claude_code_calls_mcp_tools() {
    let Some(tools) = tools("claude_code_calls_mcp_tools") else { return };
    let (world, _gateway) = protected(&tools, "claude-code", "home/.claude.json");
    let (_model, port) = world.model(&three_calls(&world));
    run_with_approval(&world, &mut claude_code(&world, port));
    assert_kept(&world);
}

#[test]
fn claude_code_runs_bash() {
    let Some(tools) = tools("claude_code_runs_bash") else { return };
    let (world, _gateway) = protected(&tools, "claude-code", "home/.claude.json");
    let bash = |name: &str| {
        let path = world.path("files").join(name);
        json!({"tool": "Bash", "args": {"command": format!("echo written > {}", path.display()), "description": "write"}})
    };
    let steps = json!([bash("allowed.txt"), bash("denied.txt"), bash("asked.txt"), {"text": "done"}]);
    let (_model, port) = world.model(&steps);
    run_with_approval(&world, &mut claude_code(&world, port));
    assert!(world.path("files/allowed.txt").exists());
    assert_kept(&world);
}

#[test]
fn codex() {
    let Some(tools) = tools("codex") else { return };
    let world = World::new(&tools);
    let (program, args) = world.files_server();
    let (_model, port) = world.model(&three_calls(&world));
    let config = format!(
        r#"model = "scripted"
model_provider = "scripted"
approval_policy = "never"
sandbox_mode = "danger-full-access"

[model_providers.scripted]
name = "scripted"
base_url = "http://127.0.0.1:{port}/v1"
env_key = "NO_KEY"
wire_api = "responses"

[mcp_servers.fs]
command = {}
args = {}
tool_timeout_sec = 120
required = true
default_tools_approval_mode = "approve"
"#,
        json!(program),
        json!(args)
    );
    world.write("home/.codex/config.toml", &config);
    world.write("bailiwick/policy/90-test.cedar", &policy(&world));
    let _gateway = world.up();
    world.list_tools_once(&(program, args));
    world.ok(&["protect", "codex"]);
    run_with_approval(
        &world,
        world
            .command(world.tool("node_modules/.bin/codex"))
            .args(["exec", "--skip-git-repo-check", "go"])
            .env("NO_KEY", "none"),
    );
    assert_kept(&world);
}

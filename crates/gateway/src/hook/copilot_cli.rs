//! GitHub Copilot CLI's hooks: `userPromptSubmitted`, `preToolUse`, `postToolUse` and `postToolUseFailure`. Its events
//! do not say which they are: what they carry does. A hook that fails denies.

use policy::{EffectKind, Role};
use serde_json::{Value, json};

use super::dialect::{BuiltIn, Dialect, Event, Moment, Verdict, must, text, value};

pub(super) const DIALECT: Dialect =
    Dialect { agent: "copilot-cli", can_ask: true, read, answer, written, tools: TOOLS };

fn written(server: &str, name: &str) -> String {
    format!("{server}-{name}")
}

fn read(event: &Value) -> Result<Event, String> {
    let has = |name: &str| event.get(name).is_some_and(|value| !value.is_null());
    let moment = if has("toolResult") {
        let result = value(event, "toolResult");
        let failed = result.get("resultType").and_then(Value::as_str) != Some("success");
        Moment::After { result, failed }
    } else if has("toolName") && has("error") {
        Moment::After { result: value(event, "error"), failed: true }
    } else if has("toolName") {
        Moment::Before
    } else {
        Moment::Prompt(must(event, "prompt")?)
    };
    Ok(Event {
        moment,
        session: must(event, "sessionId")?,
        folder: text(event, "cwd"),
        tool: text(event, "toolName"),
        server: None,
        arguments: arguments(value(event, "toolArgs")),
        id: event.get("toolCallId").and_then(Value::as_str).map(str::to_owned),
    })
}

/// Earlier versions write the arguments as a text of JSON.
fn arguments(arguments: Value) -> Value {
    match arguments {
        Value::String(text) if text.trim().is_empty() => Value::Null,
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    }
}

fn answer(event: &Event, verdict: &Verdict) -> Value {
    let decision =
        |decision: &str, reason: &str| json!({ "permissionDecision": decision, "permissionDecisionReason": reason });
    match verdict {
        Verdict::Pass => json!({}),
        _ if event.moment != Moment::Before => json!({}),
        Verdict::Vouch(reason) => decision("allow", reason),
        Verdict::Ask(reason) => decision("ask", reason),
        Verdict::Deny(reason) => decision("deny", reason),
    }
}

const TOOLS: &[BuiltIn] = {
    use EffectKind::{Execute, Read, Send, Write};
    use Role::{Command, Content, Destination, Path, Query, Target};
    &[
        ("bash", &[Execute], false, true, &[("/command", Command), ("/description", Content)]),
        ("read_bash", &[Read], true, false, &[("/shellId", Target)]),
        ("write_bash", &[Execute], false, true, &[("/shellId", Target), ("/input", Command)]),
        ("stop_bash", &[Read], true, false, &[("/shellId", Target)]),
        ("list_bash", &[Read], true, false, &[]),
        ("view", &[Read], true, false, &[("/path", Path)]),
        ("create", &[Write], true, false, &[("/path", Path), ("/file_text", Content)]),
        ("edit", &[Write], true, false, &[("/path", Path), ("/old_str", Content), ("/new_str", Content)]),
        ("grep", &[Read], true, false, &[("/pattern", Query), ("/paths", Path), ("/paths/*", Path), ("/glob", Path)]),
        ("glob", &[Read], true, false, &[("/pattern", Query), ("/paths", Path), ("/paths/*", Path)]),
        ("web_fetch", &[Read, Send], false, true, &[("/url", Destination)]),
        ("web_search", &[Read, Send], false, true, &[("/query", Query)]),
        ("semantic_code_search", &[Read, Send], false, true, &[("/query", Query), ("/repo", Target)]),
        ("fetch_copilot_cli_documentation", &[Read], true, false, &[]),
        ("skill", &[Read], true, false, &[("/skill", Target)]),
        ("sql", &[Read], true, false, &[("/query", Query), ("/description", Content)]),
        ("session_store_sql", &[Read], true, false, &[("/query", Query), ("/description", Content)]),
        ("task", &[Read], true, false, &[("/prompt", Content), ("/description", Content)]),
        ("read_agent", &[Read], true, false, &[("/agent_id", Target)]),
        ("list_agents", &[Read], true, false, &[]),
        ("write_agent", &[Read], true, false, &[("/agent_id", Target), ("/message", Content)]),
        ("report_intent", &[Read], true, false, &[("/intent", Content)]),
        ("update_todo", &[Read], true, false, &[("/todos", Content)]),
        ("ask_user", &[Read], true, false, &[("/question", Content)]),
    ]
};

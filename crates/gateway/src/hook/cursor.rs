//! Cursor's hooks: `beforeSubmitPrompt`, `preToolUse`, `postToolUse` and `postToolUseFailure`. `preToolUse` can deny
//! and not ask, so an ask waits here for an approval.

use policy::{EffectKind, Role};
use serde_json::{Value, json};

use super::dialect::{BuiltIn, Dialect, Event, Moment, Verdict, must, text, value};

pub(super) const DIALECT: Dialect = Dialect { agent: "cursor", can_ask: false, read, answer, written, tools: TOOLS };

/// MCP tools are written `MCP:server:tool`; some versions leave the server out.
fn server(tool: &str) -> Option<(String, String)> {
    let (server, name) = tool.strip_prefix("MCP:")?.split_once(':')?;
    Some((server.to_owned(), name.to_owned()))
}

fn written(server: &str, name: &str) -> String {
    format!("MCP:{server}:{name}")
}

fn read(event: &Value) -> Result<Event, String> {
    let moment = match must(event, "hook_event_name")?.as_str() {
        "beforeSubmitPrompt" => Moment::Prompt(text(event, "prompt")),
        "preToolUse" => Moment::Before,
        "postToolUse" => Moment::After { result: output(value(event, "tool_output")), failed: false },
        "postToolUseFailure" => Moment::After { result: value(event, "error_message"), failed: true },
        other => return Err(format!("hook event `{other}` is not known")),
    };
    let tool = if matches!(moment, Moment::Prompt(_)) { String::new() } else { must(event, "tool_name")? };
    let root = event.pointer("/workspace_roots/0").and_then(Value::as_str).unwrap_or_default();
    let folder = Some(text(event, "cwd")).filter(|folder| !folder.is_empty()).unwrap_or_else(|| root.to_owned());
    Ok(Event {
        moment,
        session: must(event, "conversation_id")?,
        folder,
        server: server(&tool),
        tool,
        arguments: value(event, "tool_input"),
        id: event.get("tool_use_id").and_then(Value::as_str).map(str::to_owned),
    })
}

/// A result is a text of JSON.
fn output(output: Value) -> Value {
    output.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(output)
}

fn answer(event: &Event, verdict: &Verdict) -> Value {
    match (&event.moment, verdict) {
        (Moment::Prompt(_), _) => json!({ "continue": true }),
        (Moment::Before, Verdict::Vouch(reason)) => json!({ "permission": "allow", "agent_message": reason }),
        (Moment::Before, Verdict::Ask(reason) | Verdict::Deny(reason)) => {
            json!({ "permission": "deny", "user_message": reason, "agent_message": reason })
        }
        _ => json!({}),
    }
}

const TOOLS: &[BuiltIn] = {
    use EffectKind::{Delete, Execute, Read, Send, Write};
    use Role::{Command, Content, Destination, Path, Query};
    &[
        ("Shell", &[Execute], false, true, &[("/command", Command), ("/working_directory", Path)]),
        ("Read", &[Read], true, false, &[("/file_path", Path), ("/path", Path)]),
        ("Write", &[Write], true, false, &[("/file_path", Path), ("/path", Path), ("/content", Content)]),
        (
            "StrReplace",
            &[Write],
            true,
            false,
            &[("/file_path", Path), ("/path", Path), ("/old_string", Content), ("/new_string", Content)],
        ),
        ("Edit", &[Write], true, false, &[("/file_path", Path), ("/path", Path), ("/content", Content)]),
        ("Delete", &[Delete], false, false, &[("/file_path", Path), ("/path", Path)]),
        ("Grep", &[Read], true, false, &[("/pattern", Query), ("/path", Path)]),
        ("Glob", &[Read], true, false, &[("/pattern", Query), ("/path", Path)]),
        ("LS", &[Read], true, false, &[("/path", Path)]),
        ("SemanticSearch", &[Read], true, false, &[("/query", Query)]),
        ("ReadLints", &[Read], true, false, &[("/paths/*", Path)]),
        ("Task", &[Read], true, false, &[("/prompt", Content), ("/description", Content)]),
        ("TodoWrite", &[Read], true, false, &[]),
        ("WebFetch", &[Read, Send], false, true, &[("/url", Destination)]),
        ("WebSearch", &[Read, Send], false, true, &[("/search_term", Query), ("/query", Query)]),
    ]
};

//! Codex's hooks: the events of Claude Code with an answer of its own. `allow` and `ask` are errors to it, and an
//! error lets the tool run: so a permit answers nothing, and an ask waits here for an approval.

use policy::{EffectKind, Role};
use serde_json::{Value, json};

use super::claude_code;
use super::dialect::{BuiltIn, Dialect, Event, Moment, Verdict, underscored_as};
use super::shell::patch::patched;

pub(super) const DIALECT: Dialect =
    Dialect { agent: "codex", can_ask: false, read, answer, written: underscored_as, tools: TOOLS };

fn read(event: &Value) -> Result<Event, String> {
    with_paths(claude_code::read(event)?)
}

/// The event with the files that its patch touches; one that touches none that can be read is no patch to us.
pub(super) fn with_paths(mut event: Event) -> Result<Event, String> {
    if event.tool != "apply_patch" {
        return Ok(event);
    }
    let patch = event.arguments.get("command").and_then(Value::as_str);
    let paths: Vec<&str> = patch.map(patched).unwrap_or_default();
    if paths.is_empty() && event.moment == Moment::Before {
        return Err("no file can be read out of the patch".to_owned());
    }
    let paths = json!(paths);
    if let Some(arguments) = event.arguments.as_object_mut() {
        arguments.insert("paths".to_owned(), paths);
    }
    Ok(event)
}

fn answer(_: &Event, verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Pass | Verdict::Vouch(_) => json!({}),
        Verdict::Ask(reason) | Verdict::Deny(reason) => json!({ "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": reason,
        } }),
    }
}

const TOOLS: &[BuiltIn] = {
    use EffectKind::{Execute, Read, Write};
    use Role::{Command, Content, Path, Query, Target};
    &[
        ("Bash", &[Execute], false, true, &[("/command", Command)]),
        ("write_stdin", &[Execute], false, true, &[("/chars", Command), ("/session_id", Target)]),
        ("apply_patch", &[Write], true, false, &[("/command", Content), ("/paths/*", Path)]),
        ("view_image", &[Read], true, false, &[("/path", Path)]),
        ("spawn_agent", &[Read], true, false, &[("/message", Content)]),
        ("send_input", &[Read], true, false, &[("/message", Content), ("/target", Target)]),
        ("wait_agent", &[Read], true, false, &[]),
        ("close_agent", &[Read], true, false, &[("/target", Target)]),
        ("resume_agent", &[Read], true, false, &[("/id", Target)]),
        ("update_plan", &[Read], true, false, &[]),
        ("request_user_input", &[Read], true, false, &[]),
        ("get_goal", &[Read], true, false, &[]),
        ("create_goal", &[Read], true, false, &[("/objective", Content)]),
        ("update_goal", &[Read], true, false, &[]),
        ("web_search", &[Read, EffectKind::Send], false, true, &[("/query", Query)]),
    ]
};

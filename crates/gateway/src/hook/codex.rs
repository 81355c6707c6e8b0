//! Codex's hooks: the events of Claude Code with an answer of its own. `allow` and `ask` are errors to it, and an
//! error lets the tool run: so a permit answers nothing, and an ask waits here for an approval.

use policy::{EffectKind, Role};
use serde_json::{Value, json};

use super::claude_code;
use super::dialect::{BuiltIn, Dialect, Event, Verdict, underscored_as};

pub(super) const DIALECT: Dialect =
    Dialect { agent: "codex", can_ask: false, read, answer, written: underscored_as, tools: TOOLS };

fn read(event: &Value) -> Result<Event, String> {
    let mut event = claude_code::read(event)?;
    let patch = event.arguments.get("command").and_then(Value::as_str).filter(|_| event.tool == "apply_patch");
    if let Some(paths) = patch.map(|patch| json!(patched(patch)))
        && let Some(arguments) = event.arguments.as_object_mut()
    {
        arguments.insert("paths".to_owned(), paths);
    }
    Ok(event)
}

/// The files that a patch of Codex's own format touches.
fn patched(patch: &str) -> Vec<&str> {
    const MARKS: [&str; 4] = ["*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "];
    patch
        .lines()
        .filter_map(|line| MARKS.iter().find_map(|mark| line.trim().strip_prefix(mark)).map(str::trim))
        .collect()
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
        ("write_stdin", &[Execute], false, true, &[("/chars", Content), ("/session_id", Target)]),
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

#[cfg(test)]
mod tests {
    use super::patched;

    #[test]
    fn a_patch_names_the_files_that_it_touches() {
        let patch = "*** Begin Patch\n*** Update File: src/a.rs\n*** Move to: ../b.rs\n@@\n-x\n+*** Add File: no\n\
                     *** Delete File: /etc/passwd \n*** End Patch";
        assert_eq!(patched(patch), ["src/a.rs", "../b.rs", "/etc/passwd"]);
    }
}

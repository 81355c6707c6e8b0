//! The transcripts that Claude Code keeps below its `projects` folder: one JSON object a line, with `type`,
//! `sessionId` and, for messages, `message` in the shape of Anthropic's API.
//!
//! What a sub-agent is told (`isSidechain`), what the program itself adds (`isMeta`, summaries) and what else is not from a
//! person (`origin`: a task's end with a sub-agent's answer in it, another session, a channel) are not the user's words,
//! although they stand in messages of the user's role.

use jiff::Timestamp;
use serde_json::Value;

use super::{Format, History, Place, Step, What, add, chat, text};

/// Kinds of lines that say nothing about what happened.
const SILENT: &[&str] = &["summary", "file-history-snapshot", "queue-operation", "progress", "system"];

/// Reads one line; `false` if it is none of Claude Code's.
pub(crate) fn read(place: Place<'_>, value: &Value, history: &mut History) -> bool {
    let kind = text(value, "type");
    let Some(session) = value.get("sessionId").and_then(Value::as_str) else {
        return SILENT.contains(&kind) && value.get("role").is_none();
    };
    if !matches!(kind, "user" | "assistant") {
        return true;
    }
    let at: Option<Timestamp> = text(value, "timestamp").parse().ok();
    let is = |flag: &str| value.get(flag).and_then(Value::as_bool) == Some(true);
    let origin = value.pointer("/origin/kind").and_then(Value::as_str);
    let is_told = origin.is_some_and(|kind| kind != "human");
    let not_the_user = is("isSidechain") || is("isMeta") || is("isCompactSummary") || is_told;
    let message = value.get("message").unwrap_or(&Value::Null);
    let steps = chat::message(message).into_iter().filter_map(|what| match what {
        What::User { .. } if is("isMeta") => None,
        What::User { text } if not_the_user => Some(What::Says { text }),
        other => Some(other),
    });
    chat::unknown(message).into_iter().for_each(|kind| history.unknown(place, kind));
    let steps: Vec<Step> = steps.map(|what| Step { line: place.line, at, what }).collect();
    add(history, place, Format::ClaudeCode, session, steps);
    if let Some(session) = history.session(place, Format::ClaudeCode, session) {
        session.agent = "claude-code".to_owned();
    }
    true
}

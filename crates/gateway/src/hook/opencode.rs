//! opencode's hooks: it runs plugins, not commands, so `protect` writes a small plugin that sends these events:
//! `{"event": "prompt" | "before" | "after", "session", "folder", "tool", "call", "arguments", "result", "prompt"}`.
//! The plugin throws where the answer has `deny`. A plugin cannot ask, so an ask waits here for an approval.

use policy::{EffectKind, Role};
use serde_json::{Value, json};

use super::dialect::{BuiltIn, Dialect, Event, Moment, Verdict, must, text, value};

pub(super) const DIALECT: Dialect = Dialect { agent: "opencode", can_ask: false, read, answer, written, tools: TOOLS };

fn written(server: &str, name: &str) -> String {
    format!("{server}_{name}")
}

fn read(event: &Value) -> Result<Event, String> {
    let moment = match must(event, "event")?.as_str() {
        "prompt" => Moment::Prompt(text(event, "prompt")),
        "before" => Moment::Before,
        "after" => Moment::After { result: value(event, "result"), failed: false },
        other => return Err(format!("hook event `{other}` is not known")),
    };
    let tool = if matches!(moment, Moment::Prompt(_)) { String::new() } else { must(event, "tool")? };
    Ok(Event {
        moment,
        session: must(event, "session")?,
        folder: text(event, "folder"),
        tool,
        server: None,
        arguments: value(event, "arguments"),
        id: event.get("call").and_then(Value::as_str).map(str::to_owned),
    })
}

fn answer(event: &Event, verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Ask(reason) | Verdict::Deny(reason) if event.moment == Moment::Before => json!({ "deny": reason }),
        _ => json!({}),
    }
}

const TOOLS: &[BuiltIn] = {
    use EffectKind::{Execute, Read, Send, Write};
    use Role::{Command, Content, Destination, Path, Query, Target};
    &[
        ("bash", &[Execute], false, true, &[("/command", Command), ("/description", Content), ("/workdir", Path)]),
        ("read", &[Read], true, false, &[("/filePath", Path)]),
        ("list", &[Read], true, false, &[("/path", Path)]),
        ("glob", &[Read], true, false, &[("/pattern", Query), ("/path", Path)]),
        ("grep", &[Read], true, false, &[("/pattern", Query), ("/path", Path), ("/include", Path)]),
        ("lsp", &[Read], true, false, &[("/filePath", Path)]),
        ("edit", &[Write], true, false, &[("/filePath", Path), ("/oldString", Content), ("/newString", Content)]),
        ("write", &[Write], true, false, &[("/filePath", Path), ("/content", Content)]),
        ("webfetch", &[Read, Send], false, true, &[("/url", Destination)]),
        ("websearch", &[Read, Send], false, true, &[("/query", Query)]),
        ("task", &[Read], true, false, &[("/prompt", Content), ("/description", Content)]),
        ("skill", &[Read], true, false, &[("/name", Target)]),
        ("todowrite", &[Read], true, false, &[]),
        ("todoread", &[Read], true, false, &[]),
        ("question", &[Read], true, false, &[]),
        ("invalid", &[Read], true, false, &[]),
    ]
};

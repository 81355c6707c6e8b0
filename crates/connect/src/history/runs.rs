//! Benchmark runs: one JSON object a run, with `events` in order. Each event has `e`: `user` and `say` with
//! `text`; `call` with `id`, `tool`, `args`; `result` with `id`, `text` and perhaps `error`.

use serde_json::Value;

use super::{Answer, Call, Format, History, Place, Step, What, add, arguments, text};

/// Reads a run; `false` if it is none.
pub(crate) fn read(place: Place<'_>, value: &Value, history: &mut History) -> bool {
    let Some(events) = value.get("events").and_then(Value::as_array) else { return false };
    if !events.iter().all(|event| event.get("e").is_some_and(Value::is_string)) {
        return false;
    }
    let name = place.name();
    let id = value.get("id").and_then(Value::as_str).unwrap_or(&name);
    let steps = steps(place.line, events, text(value, "suite"));
    add(history, place, Format::Run, id, steps);
    if let Some(session) = history.session(place, Format::Run, id) {
        session.agent = text(value, "pipeline").to_owned();
    }
    true
}

/// The steps of a run whose tools belong to `server`.
pub fn steps(line: u32, events: &[Value], server: &str) -> Vec<Step> {
    let steps = events.iter().filter_map(|event| what(event, server));
    steps.map(|what| Step { line, at: None, what }).collect()
}

fn what(event: &Value, server: &str) -> Option<What> {
    let words = || text(event, "text").to_owned();
    let id = || text(event, "id").to_owned();
    Some(match text(event, "e") {
        "user" => What::User { text: words() },
        "say" => What::Says { text: words() },
        "call" => What::Call(Call {
            id: id(),
            server: server.to_owned(),
            tool: text(event, "tool").to_owned(),
            arguments: arguments(event.get("args")),
        }),
        "result" => What::Result(Answer {
            id: id(),
            content: Value::String(words()),
            failed: event.get("error").is_some_and(|error| !error.is_null()),
        }),
        _ => return None,
    })
}

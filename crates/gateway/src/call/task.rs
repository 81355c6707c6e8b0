//! Tasks in messages: a call that became one, what is said of it, and the end of it. Of both forms of the protocol: part
//! of it in 2025-11-25, an extension of 2026-07-28.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Request, Response, fields, span_in, strict_value};

/// The longest task id that is remembered, in bytes.
const ID_MAX_BYTES: usize = 512;
/// The longest time in a task, in bytes.
const TIME_MAX_BYTES: usize = 40;
/// What the client of the protocol without sessions says if it takes tasks.
const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Whether the answer to this call may be a task: its client said so.
pub(crate) fn may_become_task(request: &Request) -> bool {
    let params = request.params();
    if request.method != "tools/call" || !params.contains("task") {
        return false;
    }
    let Ok([task, meta]) = fields(params, &["task", "_meta"]) else { return false };
    let extended = || {
        let [can] = fields(meta?.get(), &["io.modelcontextprotocol/clientCapabilities"]).ok()?;
        let [extensions] = fields(can?.get(), &["extensions"]).ok()?;
        let [tasks] = fields(extensions?.get(), &[EXTENSION]).ok()?;
        tasks
    };
    task.is_some() || extended().is_some()
}

/// A call that became a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Created {
    pub(crate) id: String,
    /// For how long its server keeps it, in milliseconds; it may not say.
    pub(crate) ttl_ms: Option<u64>,
}

impl Created {
    /// Reads the result of a call; `None` if it is no task.
    pub(crate) fn read(result: &str) -> Option<Self> {
        let [task, kind, content] = fields(result, &["task", "resultType", "content"]).ok()?;
        let of = match (task, kind.map(RawValue::get), content) {
            (Some(task), None | Some("\"complete\""), None) => task.get(),
            (None, Some("\"task\""), None) => result,
            _ => return None,
        };
        let [id, ttl, ttl_ms] = fields(of, &["taskId", "ttl", "ttlMs"]).ok()?;
        let id: String = serde_json::from_str(id?.get()).ok()?;
        let ttl_ms = ttl.or(ttl_ms).and_then(|ttl| serde_json::from_str(ttl.get()).ok());
        (id.len() <= ID_MAX_BYTES).then_some(Self { id, ttl_ms })
    }
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It goes on, or waits for input.
    Open,
    Completed,
    Failed,
    Cancelled,
}

/// What is said of a task: how it stands, and what came of it if that is said in the same place, as JSON text.
pub(crate) fn told_task(said: &str) -> Option<(Standing, Option<&str>)> {
    let [status, result, error] = fields(said, &["status", "result", "error"]).ok()?;
    let standing = match status?.get() {
        "\"completed\"" => Standing::Completed,
        "\"failed\"" => Standing::Failed,
        "\"cancelled\"" => Standing::Cancelled,
        _ => Standing::Open,
    };
    Some((standing, result.or(error).map(RawValue::get)))
}

/// Whether what is said of a task is nothing but its form, so that it can hold no words of anybody's.
pub(crate) fn is_bare(said: &str, id: &str) -> bool {
    let Ok(Value::Object(mut said)) = strict_value(said) else { return false };
    if let Some(Value::Object(task)) = said.remove("task") {
        said.extend(task);
    }
    let is_time = |text: &str| {
        text.len() <= TIME_MAX_BYTES && text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.+TZ".contains(&byte))
    };
    let statuses = ["working", "input_required", "completed", "failed", "cancelled"];
    said.iter().all(|(name, value)| match (name.as_str(), value) {
        ("taskId", Value::String(text)) => text == id,
        ("status", Value::String(text)) => statuses.contains(&text.as_str()),
        ("resultType", Value::String(text)) => text == "complete" || text == "task",
        ("createdAt" | "lastUpdatedAt", Value::String(text)) => is_time(text),
        ("ttl" | "ttlMs" | "pollInterval" | "pollIntervalMs", value) => value.is_null() || value.is_u64(),
        _ => false,
    })
}

/// A `tasks/list` answer with those tasks only that are kept by their id and text; `None` if it cannot be read.
pub(crate) fn tasks_list(response: &Response, mut keeps: impl FnMut(&str, &str) -> bool) -> Option<Bytes> {
    let body = response.body();
    let [tasks] = fields(body, &["tasks"]).ok()?;
    let tasks = tasks?;
    let all: Vec<&RawValue> = serde_json::from_str(tasks.get()).ok()?;
    let kept = all.iter().filter(|task| {
        let id = fields(task.get(), &["taskId"]).ok().and_then(|[id]| serde_json::from_str::<String>(id?.get()).ok());
        id.is_some_and(|id| keeps(&id, task.get()))
    });
    let kept: Vec<&str> = kept.map(|task| task.get()).collect();
    let span = span_in(body, tasks);
    let list = format!("[{}]", kept.join(","));
    Some(response.with_body(&[body.get(..span.start)?, &list, body.get(span.end..)?].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_new_task_are_read_and_nothing_else() {
        let created = |id: &str, ttl_ms| Some(Created { id: id.to_owned(), ttl_ms });
        let cases = [
            (r#"{"task":{"taskId":"a","status":"working","ttl":5}}"#, created("a", Some(5))),
            (r#"{"resultType":"task","taskId":"b","status":"working","ttlMs":null}"#, created("b", None)),
            (r#"{"content":[],"task":{"taskId":"a"}}"#, None),
            (r#"{"resultType":"input_required","taskId":"b"}"#, None),
            (r#"{"resultType":"complete","taskId":"b"}"#, None),
            (r#"{"task":{"taskId":7}}"#, None),
            (r#"{"task":{"taskId":"a","taskId":"b"}}"#, None),
        ];
        for (text, expected) in cases {
            assert_eq!(Created::read(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_bare_form_holds_no_words() {
        let bare = r#"{"taskId":"a","status":"working","createdAt":"2025-11-25T10:30:00.5Z","ttl":null}"#;
        assert!(is_bare(bare, "a") && is_bare(&format!(r#"{{"task":{bare}}}"#), "a"));
        for said in [
            r#"{"taskId":"b","status":"working"}"#,
            r#"{"taskId":"a","status":"send it to x"}"#,
            r#"{"taskId":"a","status":"working","createdAt":"send it to x"}"#,
            r#"{"taskId":"a","status":"working","statusMessage":"send it to x"}"#,
            r#"{"taskId":"a","status":"working","ttl":"x"}"#,
        ] {
            assert!(!is_bare(said, "a"), "{said}");
        }
    }
}

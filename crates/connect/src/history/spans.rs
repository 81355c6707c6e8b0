//! OpenTelemetry spans with the GenAI conventions, as OTLP JSON (`resourceSpans`, one batch a file or a line).
//!
//! Read: spans whose `gen_ai.operation.name` is `execute_tool` (name, arguments and result in attributes), and
//! the messages of model spans (`gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions`).
//! Tracers record the content only where that is switched on; a span without content says only that there was
//! a call. A session is a `gen_ai.conversation.id`, else a trace. A span of our own says in `bailiwick.server` whose the
//! tool is.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use jiff::Timestamp;
use serde_json::Value;

use super::{Answer, Call, Format, History, Place, Step, What, add, arguments, text, tool_name};

/// Reads a batch of spans; `false` if it is none.
pub(crate) fn read(place: Place<'_>, value: &Value, history: &mut History) -> bool {
    let Some(resources) = value.get("resourceSpans").and_then(Value::as_array) else { return false };
    let spans =
        resources.iter().flat_map(|resource| list(resource, "scopeSpans")).flat_map(|scope| list(scope, "spans"));
    let mut spans: Vec<Span<'_>> = spans.map(Span::read).collect();
    spans.sort_by_key(|span| span.start);
    for span in &spans {
        let session = span.session();
        let news = news(span, &session, &mut history.told).into_iter();
        let steps = news.map(|(at, what)| Step { line: place.line, at, what }).collect();
        add(history, place, Format::Spans, &session, steps);
        let agent = ["gen_ai.agent.name", "gen_ai.request.model"].iter().find_map(|name| span.text(name));
        if let (Some(session), Some(agent)) = (history.session(place, Format::Spans, &session), agent)
            && session.agent.is_empty()
        {
            session.agent = agent.to_owned();
        }
    }
    true
}

/// What a span tells that was not told before. Each model span repeats the conversation so far, with calls that have spans
/// of their own.
fn news(span: &Span<'_>, session: &str, told: &mut HashSet<(String, u64)>) -> Vec<(Option<Timestamp>, What)> {
    let mut tell = |key: u64| told.insert((session.to_owned(), key));
    let mut happened = span.happened();
    let nameless = match happened.first() {
        Some((_, what @ What::Call(call))) if span.is_tool() && call.id.is_empty() => Some(digest(what)),
        _ => None,
    };
    if let Some(words) = nameless {
        // One that was exported twice.
        if !tell(hashed(&("span", span.name()))) {
            return Vec::new();
        }
        // Two calls in the same words are two; but the first may be the one that a model span told in these words.
        let by_model = !tell(words);
        if tell(hashed(&("first", words))) && by_model {
            happened.remove(0);
        } else {
            happened.iter_mut().for_each(|(_, what)| what.set_id(&span.name()));
        }
    }
    happened.retain(|(_, what)| tell(digest(what)));
    happened
}

/// What a step is known by: a call and its result by the call's id, all else by itself.
fn digest(what: &What) -> u64 {
    match what {
        What::Call(call) if !call.id.is_empty() => hashed(&("call", &call.id)),
        What::Result(answer) if !answer.id.is_empty() => hashed(&("result", &answer.id)),
        other => hashed(&format!("{other:?}")),
    }
}

fn hashed(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl What {
    fn set_id(&mut self, id: &str) {
        if let Self::Call(Call { id: own, .. }) | Self::Result(Answer { id: own, .. }) = self {
            id.clone_into(own);
        }
    }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

struct Span<'a> {
    start: u64,
    end: u64,
    trace: &'a str,
    id: &'a str,
    attributes: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Span<'a> {
    fn read(span: &'a Value) -> Self {
        let attributes =
            list(span, "attributes").filter_map(|pair| Some((pair.get("key")?.as_str()?, pair.get("value")?)));
        Span {
            start: time(span, "startTimeUnixNano"),
            end: time(span, "endTimeUnixNano"),
            trace: text(span, "traceId"),
            id: text(span, "spanId"),
            attributes: attributes.collect(),
        }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.attributes.get(name).and_then(|value| value.get("stringValue")?.as_str())
    }

    fn is_tool(&self) -> bool {
        self.text("gen_ai.operation.name") == Some("execute_tool")
    }

    /// What tells it apart from others of its session.
    fn name(&self) -> String {
        if self.id.is_empty() { format!("{}-{}", self.start, self.end) } else { self.id.to_owned() }
    }

    fn session(&self) -> String {
        self.text("gen_ai.conversation.id").unwrap_or(self.trace).to_owned()
    }

    /// An attribute that holds JSON as a text or as OTLP's own structure.
    fn value(&self, name: &str) -> Option<Value> {
        let value = self.attributes.get(name)?;
        match value.get("stringValue").and_then(Value::as_str) {
            Some(text) => Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))),
            None => Some(plain(value, 0)),
        }
    }

    fn happened(&self) -> Vec<(Option<Timestamp>, What)> {
        let (start, end) = (timestamp(self.start), timestamp(self.end));
        if self.is_tool() {
            return self.tool().into_iter().zip([start, end]).map(|(what, at)| (at, what)).collect();
        }
        let system =
            self.value("gen_ai.system_instructions").into_iter().map(|value| What::System { text: parts_text(&value) });
        let inputs = self.messages("gen_ai.input.messages");
        let outputs = self.messages("gen_ai.output.messages");
        let before = system.chain(inputs).map(|what| (start, what));
        before.chain(outputs.into_iter().map(|what| (end, what))).collect()
    }

    fn tool(&self) -> Vec<What> {
        let id = self.text("gen_ai.tool.call.id").unwrap_or_default();
        let name = self.text("gen_ai.tool.name").unwrap_or_default();
        let (server, tool) = match self.text("bailiwick.server") {
            Some(server) => (server.to_owned(), name.to_owned()),
            None => tool_name(name),
        };
        let given = arguments(self.value("gen_ai.tool.call.arguments").as_ref());
        let mut happened = vec![What::Call(Call { id: id.to_owned(), server, tool, arguments: given })];
        if let Some(content) = self.value("gen_ai.tool.call.result") {
            let failed = self.attributes.contains_key("error.type");
            happened.push(What::Result(Answer { id: id.to_owned(), content, failed }));
        }
        happened
    }

    fn messages(&self, name: &str) -> Vec<What> {
        let value = self.value(name).unwrap_or_default();
        value.as_array().into_iter().flatten().flat_map(message).collect()
    }
}

/// One message of the conventions: a role and `parts`.
fn message(message: &Value) -> Vec<What> {
    let role = text(message, "role");
    list(message, "parts").filter_map(|one| part(role, one)).collect()
}

fn part(role: &str, part: &Value) -> Option<What> {
    let id = || text(part, "id").to_owned();
    match text(part, "type") {
        "text" => {
            let text = text(part, "content").to_owned();
            Some(match role {
                "user" => What::User { text },
                "system" => What::System { text },
                _ => What::Says { text },
            })
        }
        "tool_call" => {
            let (server, tool) = tool_name(text(part, "name"));
            Some(What::Call(Call { id: id(), server, tool, arguments: arguments(part.get("arguments")) }))
        }
        "tool_call_response" => {
            let content = part.get("response").or_else(|| part.get("result")).cloned().unwrap_or_default();
            Some(What::Result(Answer { id: id(), content, failed: false }))
        }
        _ => None,
    }
}

fn parts_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(|part| text(part, "content")).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// OTLP's `AnyValue` as plain JSON.
fn plain(value: &Value, depth: usize) -> Value {
    if depth > 24 {
        return Value::Null;
    }
    if let Some(items) = value.pointer("/arrayValue/values").and_then(Value::as_array) {
        return items.iter().map(|item| plain(item, depth + 1)).collect();
    }
    if let Some(pairs) = value.pointer("/kvlistValue/values").and_then(Value::as_array) {
        let pairs =
            pairs.iter().filter_map(|pair| Some((text(pair, "key").to_owned(), plain(pair.get("value")?, depth + 1))));
        return Value::Object(pairs.collect());
    }
    ["stringValue", "intValue", "doubleValue", "boolValue"]
        .iter()
        .find_map(|name| value.get(name))
        .cloned()
        .unwrap_or_default()
}

/// Nanoseconds, which JSON writes as text.
fn time(span: &Value, name: &str) -> u64 {
    span.get(name).and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok())).unwrap_or_default()
}

fn timestamp(nanoseconds: u64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).ok()
}

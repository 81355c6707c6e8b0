//! OpenTelemetry spans with the GenAI conventions, as OTLP JSON (`resourceSpans`, one batch a file or a line).
//!
//! Read: spans whose `gen_ai.operation.name` is `execute_tool` or whose `mcp.method.name` is `tools/call` (name, arguments and
//! result in attributes), and the messages of model spans (`gen_ai.input.messages`, `gen_ai.output.messages`,
//! `gen_ai.system_instructions`). Tracers record the content only where that is switched on; a span without content says only
//! that there was a call, and whether it failed. A call through MCP may have spans of the agent, the client and the server, one
//! inside the other: the outermost counts. A session is a `gen_ai.conversation.id`, which tools' spans take from those that they
//! lie in, else from the only conversation of their trace; else a trace. A span of our own says in `bailiwick.server` whose
//! the tool is, and in `bailiwick.decision` that a call was not let through, which is none then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use jiff::Timestamp;
use serde_json::Value;

use super::{Answer, Call, Format, History, Place, Step, What, add, arguments, text, tool_name};

/// The member that makes a batch.
pub(crate) const BATCH: &str = "resourceSpans";
/// How many spans one lies in are looked at.
const NESTED_MAX: usize = 64;
/// Parts of a message that are neither words nor calls nor results.
const PARTS: &[&str] = &["reasoning", "thinking", "blob", "file", "uri", "media"];

/// What spans say of each other: one that lies in another is exported before it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    traces: HashMap<String, Trace>,
    /// By trace and id.
    spans: HashMap<(String, String), Noted>,
}

#[derive(Debug, Default)]
struct Trace {
    conversations: Vec<String>,
    /// Model spans tell what tools gave back.
    has_messages: bool,
}

#[derive(Debug)]
struct Noted {
    parent: String,
    conversation: Option<String>,
    /// Of a span that is a call.
    tool: Option<String>,
}

impl Known {
    /// Takes note of the spans of a batch, before any is read.
    pub(crate) fn look(&mut self, value: &Value) {
        for span in spans_of(value).map(Span::read).filter(|span| !span.trace.is_empty()) {
            let conversation = span.text(CONVERSATION).map(str::to_owned);
            let trace = self.traces.entry(span.trace.to_owned()).or_default();
            trace.has_messages |= span.attributes.contains_key("gen_ai.input.messages");
            // Two say already that there is more than one.
            if let Some(id) = conversation.as_ref().filter(|id| !trace.conversations.contains(id))
                && trace.conversations.len() < 2
            {
                trace.conversations.push(id.clone());
            }
            let tool = span.is_tool().then(|| span.tool_name().to_owned());
            let noted = Noted { parent: span.parent.to_owned(), conversation, tool };
            self.spans.insert((span.trace.to_owned(), span.id.to_owned()), noted);
        }
    }

    /// The spans that one lies in, the nearest first.
    fn around<'a>(&'a self, span: &Span<'_>) -> impl Iterator<Item = &'a Noted> {
        let of = |trace: &str, id: &str| self.spans.get(&(trace.to_owned(), id.to_owned()));
        let mut found = Vec::new();
        let mut next = of(span.trace, span.parent);
        while let Some(noted) = next.filter(|_| found.len() < NESTED_MAX) {
            found.push(noted);
            next = of(span.trace, &noted.parent);
        }
        found.into_iter()
    }

    fn session(&self, span: &Span<'_>) -> String {
        if let Some(own) = span.text(CONVERSATION) {
            return own.to_owned();
        }
        let around = self.around(span).find_map(|noted| noted.conversation.clone());
        let only = || match self.traces.get(span.trace)?.conversations.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        around.or_else(only).unwrap_or_else(|| span.trace.to_owned())
    }

    /// Whether it is the same call as one that it lies in, seen by the next program on the way.
    fn is_repeated(&self, span: &Span<'_>) -> bool {
        let name = span.tool_name();
        span.is_mcp() && self.around(span).any(|noted| noted.tool.as_deref() == Some(name))
    }

    /// Whether a model span is likely to say what a call gave back.
    fn has_messages(&self, span: &Span<'_>) -> bool {
        self.traces.get(span.trace).is_some_and(|trace| trace.has_messages)
    }
}

fn spans_of(value: &Value) -> impl Iterator<Item = &Value> {
    list(value, BATCH).flat_map(|resource| list(resource, "scopeSpans")).flat_map(|scope| list(scope, "spans"))
}

/// Reads a batch of spans; `false` if it is none.
pub(crate) fn read(place: Place<'_>, value: &Value, history: &mut History) -> bool {
    if !value.get(BATCH).is_some_and(Value::is_array) {
        return false;
    }
    let mut spans: Vec<Span<'_>> = spans_of(value).map(Span::read).collect();
    spans.sort_by_key(|span| span.start);
    spans.retain(|span| !span.is_tool() || (span.was_done() && !history.spans.is_repeated(span)));
    for span in &spans {
        let session = history.spans.session(span);
        let is_told = history.spans.has_messages(span);
        let news = news((span, is_told), &session, &mut history.told).into_iter();
        let steps = news.map(|(at, what)| Step { line: place.line, at, what }).collect();
        add(history, place, Format::Spans, &session, steps);
        span.unknown().iter().for_each(|kind| history.unknown(place, kind));
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
fn news(
    (span, is_told): (&Span<'_>, bool),
    session: &str,
    told: &mut HashSet<(String, u64)>,
) -> Vec<(Option<Timestamp>, What)> {
    let mut tell = |key: u64| told.insert((session.to_owned(), key));
    let mut happened = span.happened(is_told);
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

/// The attribute that names a session.
const CONVERSATION: &str = "gen_ai.conversation.id";

struct Span<'a> {
    start: u64,
    end: u64,
    trace: &'a str,
    id: &'a str,
    parent: &'a str,
    title: &'a str,
    status: Option<&'a Value>,
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
            parent: text(span, "parentSpanId"),
            title: text(span, "name"),
            status: span.get("status"),
            attributes: attributes.collect(),
        }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.attributes.get(name).and_then(|value| value.get("stringValue")?.as_str())
    }

    fn is_mcp(&self) -> bool {
        self.text("mcp.method.name") == Some("tools/call")
    }

    fn is_tool(&self) -> bool {
        match self.text("gen_ai.operation.name") {
            Some(operation) => operation == "execute_tool",
            None => self.is_mcp(),
        }
    }

    fn tool_name(&self) -> &'a str {
        let titled = || ["execute_tool ", "tools/call "].iter().find_map(|verb| self.title.strip_prefix(verb));
        self.text("gen_ai.tool.name").or_else(|| self.text("mcp.tool.name")).or_else(titled).unwrap_or_default()
    }

    /// Whether it stands for something that was done: a span of our own may be of a call that was not let through.
    fn was_done(&self) -> bool {
        self.text("bailiwick.decision").is_none_or(|decision| decision == "permit")
    }

    /// What it says of a failure, if it failed.
    fn failure(&self) -> Option<&'a str> {
        let code = self.status.and_then(|status| status.get("code"));
        let is_error = code.is_some_and(|code| code.as_u64() == Some(2) || code.as_str() == Some("STATUS_CODE_ERROR"));
        let said = self.status.map(|status| text(status, "message")).filter(|said| !said.is_empty());
        self.text("error.type").or_else(|| is_error.then(|| said.unwrap_or("error")))
    }

    /// What tells it apart from others of its session.
    fn name(&self) -> String {
        if self.id.is_empty() { format!("{}-{}", self.start, self.end) } else { self.id.to_owned() }
    }

    /// An attribute that holds JSON as a text or as OTLP's own structure.
    fn value(&self, name: &str) -> Option<Value> {
        let value = self.attributes.get(name)?;
        match value.get("stringValue").and_then(Value::as_str) {
            Some(text) => Some(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))),
            None => Some(plain(value, 0)),
        }
    }

    fn happened(&self, is_told: bool) -> Vec<(Option<Timestamp>, What)> {
        let (start, end) = (timestamp(self.start), timestamp(self.end));
        if self.is_tool() {
            return self.tool(is_told).into_iter().zip([start, end]).map(|(what, at)| (at, what)).collect();
        }
        let system =
            self.value("gen_ai.system_instructions").into_iter().map(|value| What::System { text: parts_text(&value) });
        let inputs = self.messages("gen_ai.input.messages");
        let outputs = self.messages("gen_ai.output.messages");
        let before = system.chain(inputs).map(|what| (start, what));
        before.chain(outputs.into_iter().map(|what| (end, what))).collect()
    }

    /// A call with its result. `is_told`: where it says none, a model span may.
    fn tool(&self, is_told: bool) -> Vec<What> {
        let id = self.text("gen_ai.tool.call.id").unwrap_or_default();
        let name = self.tool_name();
        let (server, tool) = match self.text("bailiwick.server") {
            Some(server) => (server.to_owned(), name.to_owned()),
            None => tool_name(name),
        };
        let given = arguments(self.value("gen_ai.tool.call.arguments").as_ref());
        let mut happened = vec![What::Call(Call { id: id.to_owned(), server, tool, arguments: given })];
        let failure = self.failure();
        let without = || failure.filter(|_| id.is_empty() || !is_told).map(|said| Value::String(said.to_owned()));
        if let Some(content) = self.value("gen_ai.tool.call.result").or_else(without) {
            happened.push(What::Result(Answer { id: id.to_owned(), content, failed: failure.is_some() }));
        }
        happened
    }

    /// Kinds of parts that are neither read nor known to say nothing.
    fn unknown(&self) -> Vec<String> {
        let messages =
            ["gen_ai.input.messages", "gen_ai.output.messages"].map(|name| self.value(name).unwrap_or_default());
        let messages = messages.iter().flat_map(|value| value.as_array().into_iter().flatten());
        let parts = messages.flat_map(|message| list(message, "parts")).filter(|one| part("", one).is_none());
        let kinds = parts.map(|part| text(part, "type")).filter(|kind| !kind.is_empty() && !PARTS.contains(kind));
        kinds.map(str::to_owned).collect()
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
        "tool_call" | "server_tool_call" => {
            let (server, tool) = tool_name(text(part, "name"));
            Some(What::Call(Call { id: id(), server, tool, arguments: arguments(part.get("arguments")) }))
        }
        "tool_call_response" | "server_tool_call_response" => {
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

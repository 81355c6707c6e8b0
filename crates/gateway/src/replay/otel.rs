//! A story as OpenTelemetry spans in OTLP's JSON, by the semantic conventions for generative AI and for MCP. Pure.
//!
//! One trace is one session: the agent's span, and below it one span for each call. Where a call's argument came from
//! another call's result, a link leads there. Ids are digests, so that the same story gives the same spans.

use aws_lc_rs::digest;
use jiff::Timestamp;
use ledger::record::Status;
use policy::{Door, Verb};
use serde_json::{Value, json};

use super::Verdict;
use super::story::{Call, Step, Story, sources};

/// Span kinds of OTLP.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;

/// The spans of one story.
pub fn spans(story: &Story) -> Value {
    let calls: Vec<&Call> = story
        .steps
        .iter()
        .filter_map(|step| if let Step::Call(call) = step { Some(call.as_ref()) } else { None })
        .collect();
    let mut spans = vec![agent(story, &calls)];
    spans.extend(calls.iter().map(|call| span(story, call)));
    let agent = story.principal.as_ref().map_or("unknown", |principal| principal.agent.as_str());
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(&[("service.name", json!(agent))]) },
        "scopeSpans": [{
            "scope": { "name": "bailiwick", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans,
        }],
    }] })
}

fn agent(story: &Story, calls: &[&Call]) -> Value {
    let times = story.steps.iter().filter_map(|step| match step {
        Step::Prompt { time, .. } | Step::Withheld { time, .. } => Some(*time),
        Step::Call(call) => Some(call.time),
        Step::Unreadable { .. } => None,
    });
    let start = times.min().unwrap_or_default();
    let end = calls.iter().map(|call| end(call)).max().unwrap_or(start).max(start);
    let name = story.principal.as_ref().map_or("agent", |principal| principal.agent.as_str());
    let mut members = vec![("gen_ai.operation.name", json!("invoke_agent"))];
    members.extend(whose(story));
    if let Some(principal) = &story.principal {
        members.push(("user.id", json!(principal.user)));
    }
    let unreadable: Vec<u64> = story.unreadable.iter().map(|fault| fault.entry).collect();
    if !unreadable.is_empty() {
        members.push(("bailiwick.unreadable", json!(unreadable)));
    }
    json!({
        "traceId": trace_id(story),
        "spanId": span_id(story, None),
        "name": format!("invoke_agent {name}"),
        "kind": INTERNAL,
        "startTimeUnixNano": nanoseconds(start),
        "endTimeUnixNano": nanoseconds(end),
        "attributes": attributes(&members),
        "status": {},
    })
}

/// Whose a span is: each says so itself, for whoever reads spans one by one.
fn whose(story: &Story) -> [(&'static str, Value); 2] {
    let name = story.principal.as_ref().map_or("agent", |principal| principal.agent.as_str());
    [("gen_ai.agent.name", json!(name)), ("gen_ai.conversation.id", json!(story.session))]
}

fn span(story: &Story, call: &Call) -> Value {
    let method = match call.verb {
        Verb::CallTool => "tools/call",
        Verb::ListTool => "tools/list",
        Verb::ReadResource => "resources/read",
        Verb::GetPrompt => "prompts/get",
        Verb::Sample => "sampling/createMessage",
        Verb::Elicit => "elicitation/create",
        Verb::ListRoots => "roots/list",
    };
    let hook = call.door == Door::Hook;
    let operation = if hook { "execute_tool" } else { method };
    json!({
        "traceId": trace_id(story),
        "spanId": span_id(story, Some(call.entry)),
        "parentSpanId": span_id(story, None),
        "name": format!("{operation} {}", call.tool.name),
        "kind": if hook { INTERNAL } else { CLIENT },
        "startTimeUnixNano": nanoseconds(call.time),
        "endTimeUnixNano": nanoseconds(end(call)),
        "attributes": attributes(&members(story, call, method)),
        "links": links(story, call),
        "status": status(call),
    })
}

fn members(story: &Story, call: &Call, method: &str) -> Vec<(&'static str, Value)> {
    let mut members = whose(story).to_vec();
    members.extend([
        ("bailiwick.ledger.entry", json!(call.entry)),
        ("bailiwick.server", json!(call.tool.server)),
        ("bailiwick.decision", json!(call.verdict.word())),
        ("bailiwick.policies", call.reasons.iter().map(|reason| reason.policy.as_str()).collect()),
        ("bailiwick.snapshot", json!(call.snapshot)),
        ("bailiwick.seen.integrity", json!(call.seen.integrity)),
        ("bailiwick.seen.confidentiality", json!(call.seen.confidentiality)),
    ]);
    match call.verb {
        Verb::ReadResource => members.push(("mcp.resource.uri", json!(call.tool.name))),
        Verb::GetPrompt => members.push(("gen_ai.prompt.name", json!(call.tool.name))),
        _ => {
            members.push(("gen_ai.operation.name", json!("execute_tool")));
            members.push(("gen_ai.tool.call.id", json!(call.entry.to_string())));
            members.push(("gen_ai.tool.name", json!(call.tool.name)));
            members.push(("gen_ai.tool.type", json!("function")));
            members.push(("gen_ai.tool.call.arguments", json!(call.arguments.to_string())));
        }
    }
    if call.door != Door::Hook {
        members.push(("mcp.method.name", json!(method)));
        let transport = if call.door == Door::McpStdio { "pipe" } else { "tcp" };
        members.push(("network.transport", json!(transport)));
    }
    if let Some(error) = error(call) {
        members.push(("error.type", json!(error)));
    }
    if let Some(ask) = &call.asked {
        members.push(("bailiwick.ask", json!(ask.entry)));
        members.extend(ask.by.iter().map(|by| ("bailiwick.approver", json!(by))));
    }
    members
}

/// What went wrong, in one word.
fn error(call: &Call) -> Option<&'static str> {
    match (call.verdict, call.outcome.as_ref().map(|end| end.status)) {
        (Verdict::Deny, _) => Some("denied"),
        (Verdict::Ask, _) => Some("not_approved"),
        (Verdict::Permit, Some(Status::Error)) => Some("tool_error"),
        (Verdict::Permit, Some(Status::TimedOut)) => Some("timeout"),
        (Verdict::Permit, Some(Status::Cancelled)) => Some("cancelled"),
        (Verdict::Permit, Some(Status::Unknown) | None) => Some("unknown"),
        (Verdict::Permit, Some(Status::Ok)) => None,
    }
}

fn status(call: &Call) -> Value {
    match error(call) {
        None => json!({ "code": 1 }),
        Some(error) => {
            let because: Vec<&str> = call.reasons.iter().map(|reason| reason.text.as_str()).collect();
            let message =
                if because.is_empty() { error.to_owned() } else { format!("{error}: {}", because.join("; ")) };
            json!({ "code": 2, "message": message })
        }
    }
}

/// To the calls whose results this call's arguments came from.
fn links(story: &Story, call: &Call) -> Vec<Value> {
    let taints = call.tainted.iter().flat_map(|taint| sources(taint).map(move |source| (taint, source)));
    taints
        .map(|(taint, (entry, origin))| {
            let members = [
                ("bailiwick.argument", json!(taint.argument.pointer)),
                ("bailiwick.choice", json!(taint.argument.choice)),
                ("bailiwick.integrity", json!(taint.argument.label.integrity)),
                ("bailiwick.source", json!(origin.source)),
                ("bailiwick.field", json!(origin.field)),
            ];
            json!({
                "traceId": trace_id(story),
                "spanId": span_id(story, Some(entry)),
                "attributes": attributes(&members),
            })
        })
        .collect()
}

fn end(call: &Call) -> Timestamp {
    let took = call.outcome.as_ref().map_or(0, |end| end.duration_us);
    let took = jiff::SignedDuration::from_micros(i64::try_from(took).unwrap_or(0));
    call.time.checked_add(took).unwrap_or(call.time)
}

/// Times are strings in OTLP's JSON, because numbers there lose digits.
fn nanoseconds(time: Timestamp) -> String {
    time.as_nanosecond().max(0).to_string()
}

fn attributes(members: &[(&str, Value)]) -> Vec<Value> {
    members.iter().filter_map(|(key, value)| Some(json!({ "key": key, "value": attribute(value)? }))).collect()
}

fn attribute(value: &Value) -> Option<Value> {
    Some(match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::Bool(bool) => json!({ "boolValue": bool }),
        Value::Array(items) => {
            json!({ "arrayValue": { "values": items.iter().filter_map(attribute).collect::<Vec<_>>() } })
        }
        Value::Null | Value::Object(_) => return None,
    })
}

fn trace_id(story: &Story) -> String {
    hex::encode(digest_of(&format!("trace {}", story.session)).get(..16).unwrap_or_default())
}

fn span_id(story: &Story, entry: Option<u64>) -> String {
    hex::encode(digest_of(&format!("span {entry:?} {}", story.session)).get(..8).unwrap_or_default())
}

fn digest_of(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

//! Logs of messages as the APIs of OpenAI (Chat Completions, Responses) and Anthropic (Messages) take and give
//! them: a list of messages, or an object that holds one under `messages`, `input`, `traj` or `conversation`,
//! perhaps inside `request` with the answer beside it in `response`, or an answer alone.
//!
//! The items of Responses that end in `_call` and `_call_output` are calls and results, those of later versions, too. What else
//! is of a kind that is not in the tables below is said to be unknown.
//!
//! Each request of a conversation repeats what came before; a log of requests is one session, not many.

use serde_json::{Value, json};

use super::{Answer, Call, Format, History, Place, Session, Step, What, add, arguments, content, text, tool_name};

/// Names under which a list of messages is kept.
const LISTS: &[&str] = &["messages", "input", "traj", "conversation"];
/// Names under which a session's id is kept.
const IDS: &[&str] = &["session_id", "conversation_id", "sessionId", "conversationId", "thread_id"];

/// Reads one value; `false` if it holds no messages.
pub(crate) fn read(place: Place<'_>, value: &Value, history: &mut History) -> bool {
    let request = value.get("request").filter(|request| request.is_object()).unwrap_or(value);
    let list = if request.is_array() {
        Some(request)
    } else {
        LISTS.iter().filter_map(|name| request.get(name)).find(|list| list.is_array())
    };
    let list = list.and_then(Value::as_array).filter(|messages| holds_messages(messages));
    let answered = answer(value);
    let messages: &[Value] = match list {
        Some(messages) => messages,
        None if answered.is_empty() => return false,
        None => &[],
    };
    let system = [request.get("system"), request.get("instructions")].into_iter().flatten().map(texts);
    let mut steps: Vec<Step> = system.map(|text| place.step(What::System { text })).collect();
    // Responses takes the user's words without a list around them, too.
    let input = request.get("input").and_then(Value::as_str).and_then(|text| words("user", text));
    steps.extend(input.map(|what| place.step(what)));
    let all = || messages.iter().chain(answered.iter().copied());
    steps.extend(all().flat_map(message).map(|what| place.step(what)));
    all().flat_map(unknown).for_each(|kind| history.unknown(place, kind));
    let given = IDS.iter().find_map(|name| [value, request].iter().find_map(|holder| holder.get(name)?.as_str()));
    let name = place.name();
    let id = match given {
        Some(id) => id.to_owned(),
        None => continued(history, place, &steps).unwrap_or(name),
    };
    if let Some(session) = history.session(place, Format::Chat, &id) {
        keep_prefix(session, &mut steps);
        session.agent = text(request, "model").to_owned();
        session.tools.extend(tools(request));
        session.tools.dedup();
    }
    add(history, place, Format::Chat, &id, steps);
    true
}

/// Whether these are messages or items of a conversation.
fn holds_messages(messages: &[Value]) -> bool {
    let is_message = |message: &Value| message.get("role").is_some_and(Value::is_string);
    let is_item = |message: &Value| text(message, "type").ends_with(CALL) || text(message, "type").ends_with(OUTPUT);
    !messages.is_empty()
        && messages.iter().all(|message| message.is_object())
        && messages.iter().any(|message| is_message(message) || is_item(message))
}

/// The session of the same file that these steps continue: all of its steps come first.
fn continued(history: &History, place: Place<'_>, steps: &[Step]) -> Option<String> {
    let before = history.sessions.iter().rev().take(64).find(|session| {
        session.source == place.path && !session.steps.is_empty() && shared(session, steps) == session.steps.len()
    })?;
    Some(before.id.clone())
}

/// How many steps two readings of one conversation begin with.
fn shared(session: &Session, steps: &[Step]) -> usize {
    session.steps.iter().zip(steps).take_while(|(old, new)| old.what == new.what).count()
}

/// Drops the steps that the session has already.
fn keep_prefix(session: &Session, steps: &mut Vec<Step>) {
    let known = shared(session, steps);
    steps.drain(..known);
}

/// The messages that came back from the model, in the shapes of the three APIs.
fn answer(value: &Value) -> Vec<&Value> {
    let response = value.get("response").filter(|response| response.is_object());
    let given = response.unwrap_or(value);
    if let Some(choice) = given.pointer("/choices/0/message") {
        return vec![choice];
    }
    if let Some(output) = given.get("output").and_then(Value::as_array) {
        return output.iter().collect();
    }
    // An answer of Messages is a message; one that stands alone is known by why it ended.
    let is_answer = response.is_some() || (text(given, "type") == "message" && given.get("stop_reason").is_some());
    if is_answer { vec![given] } else { Vec::new() }
}

/// How the type of an item of Responses ends that is a call, or what came of one.
const CALL: &str = "_call";
const OUTPUT: &str = "_call_output";
/// Items that are neither.
const ITEMS: &[&str] = &[
    "message",
    "reasoning",
    "item_reference",
    "compaction",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
];
/// Blocks of a message that are neither words nor calls nor results.
const BLOCKS: &[&str] = &[
    "thinking",
    "redacted_thinking",
    "reasoning",
    "reasoning_text",
    "summary_text",
    "refusal",
    "image",
    "image_url",
    "input_image",
    "document",
    "file",
    "input_file",
    "audio",
    "input_audio",
    "video",
    "search_result",
    "container_upload",
    "tool_reference",
    "compaction",
];
/// Members of a call that are neither its arguments nor what came of it.
const ABOUT: &[&str] =
    &["type", "id", "call_id", "status", "name", "server_label", "approval_request_id", "created_by"];
/// Under which a call of the API's own tools has what came of it.
const OUTCOMES: &[&str] = &["output", "outputs", "results", "result"];

/// Kinds of what a message holds that is neither read nor known to say nothing.
pub(crate) fn unknown(message: &Value) -> Vec<&str> {
    let kind = text(message, "type");
    if message.get("role").is_none() {
        let known = kind.is_empty() || ITEMS.contains(&kind) || kind.ends_with(CALL) || kind.ends_with(OUTPUT);
        return if known { Vec::new() } else { vec![kind] };
    }
    let blocks = message.get("content").and_then(Value::as_array).into_iter().flatten();
    let kinds = blocks.filter(|one| block("", one).is_none()).map(|one| text(one, "type"));
    kinds.filter(|kind| !kind.is_empty() && !BLOCKS.contains(kind) && !TEXTS.contains(kind)).collect()
}

/// An item of Responses that is a call or what came of one.
fn item(kind: &str, message: &Value) -> Option<Vec<What>> {
    let id = ["call_id", "id"].iter().map(|name| text(message, name)).find(|id| !id.is_empty()).unwrap_or_default();
    if kind.ends_with(OUTPUT) {
        return Some(vec![result(id, message.get("output"), text(message, "status") == "failed")]);
    }
    let own = kind.strip_suffix(CALL)?;
    let there = |name: &&str| message.get(*name).filter(|value| !value.is_null());
    let name = if text(message, "name").is_empty() { own } else { text(message, "name") };
    let given = match (message.get("arguments"), message.get("input")) {
        (Some(given), _) => arguments(Some(given)),
        (None, Some(input)) => json!({ "input": input }),
        (None, None) => rest(message),
    };
    let call = match (call(id, name, Some(&given)), text(message, "server_label")) {
        (What::Call(call), server) if !server.is_empty() => What::Call(Call { server: server.to_owned(), ..call }),
        (call, _) => call,
    };
    let failed = there(&"error");
    let outcome = failed.or_else(|| OUTCOMES.iter().find_map(there));
    let outcome = outcome.map(|outcome| result(id, Some(outcome), failed.is_some()));
    Some([call].into_iter().chain(outcome).collect())
}

/// What a call of one of the API's own tools is about: its `action`, or all that is not about the call itself.
fn rest(message: &Value) -> Value {
    if let Some(action) = message.get("action").filter(|action| action.is_object()) {
        return action.clone();
    }
    let members = message.as_object().into_iter().flatten();
    let about = |name: &str| name == "error" || ABOUT.contains(&name) || OUTCOMES.contains(&name);
    Value::Object(members.filter(|(name, _)| !about(name)).map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// What one message says: words, calls, results.
pub fn message(message: &Value) -> Vec<What> {
    let role = text(message, "role");
    if let Some(item) = item(text(message, "type"), message) {
        return item;
    }
    if matches!(role, "tool" | "function") {
        return vec![result(text(message, "tool_call_id"), message.get("content"), false)];
    }
    let mut found: Vec<What> = match message.get("content") {
        Some(Value::String(text)) => words(role, text).into_iter().collect(),
        Some(Value::Array(blocks)) => blocks.iter().filter_map(|block| self::block(role, block)).collect(),
        _ => Vec::new(),
    };
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    found.extend(calls.filter_map(|one| {
        if let Some(custom) = one.get("custom") {
            return Some(call(text(one, "id"), text(custom, "name"), Some(&json!({ "input": custom.get("input") }))));
        }
        let function = one.get("function")?;
        Some(call(text(one, "id"), text(function, "name"), function.get("arguments")))
    }));
    // As calls were before they had ids.
    let function = message.get("function_call").filter(|function| function.is_object());
    found.extend(function.map(|function| call("", text(function, "name"), function.get("arguments"))));
    found
}

/// Blocks of words.
const TEXTS: &[&str] = &["text", "input_text", "output_text"];

fn block(role: &str, block: &Value) -> Option<What> {
    if let Value::String(text) = block {
        return words(role, text);
    }
    match text(block, "type") {
        kind if kind.is_empty() || TEXTS.contains(&kind) => words(role, text(block, "text")),
        "tool_use" | "server_tool_use" => Some(call(text(block, "id"), text(block, "name"), block.get("input"))),
        "mcp_tool_use" => Some(What::Call(Call {
            id: text(block, "id").to_owned(),
            server: text(block, "server_name").to_owned(),
            tool: text(block, "name").to_owned(),
            arguments: arguments(block.get("input")),
        })),
        kind if kind.ends_with("tool_result") => {
            let failed = block.get("is_error").and_then(Value::as_bool) == Some(true);
            Some(result(text(block, "tool_use_id"), block.get("content"), failed))
        }
        _ => None,
    }
}

fn words(role: &str, text: &str) -> Option<What> {
    let text = text.to_owned();
    (!text.trim().is_empty()).then_some(match role {
        "user" => What::User { text },
        "system" | "developer" => What::System { text },
        _ => What::Says { text },
    })
}

fn call(id: &str, name: &str, given: Option<&Value>) -> What {
    let (server, tool) = tool_name(name);
    What::Call(Call { id: id.to_owned(), server, tool, arguments: arguments(given) })
}

fn result(id: &str, given: Option<&Value>, failed: bool) -> What {
    What::Result(Answer { id: id.to_owned(), content: content(given), failed })
}

/// A text, or the texts of blocks.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().map(|block| text(block, "text")).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// Definitions of tools in the shape of MCP.
fn tools(request: &Value) -> Vec<Value> {
    let tools = request.get("tools").and_then(Value::as_array).into_iter().flatten();
    let read = |tool: &Value| {
        let tool = tool.get("function").unwrap_or(tool);
        let schema = tool.get("input_schema").or_else(|| tool.get("parameters")).or_else(|| tool.get("inputSchema"));
        let name = tool.get("name")?.as_str()?;
        Some(json!({"name": name, "description": text(tool, "description"), "inputSchema": schema}))
    };
    tools.filter_map(read).collect()
}

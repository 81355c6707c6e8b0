//! Logs of messages as the APIs of OpenAI (Chat Completions, Responses) and Anthropic (Messages) take and give
//! them: a list of messages, or an object that holds one under `messages`, `input`, `traj` or `conversation`,
//! perhaps inside `request` with the answer beside it in `response`.
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
    let Some(messages) = list.and_then(Value::as_array).filter(|messages| holds_messages(messages)) else {
        return false;
    };
    let system = [request.get("system"), request.get("instructions")].into_iter().flatten().map(texts);
    let mut steps: Vec<Step> = system.map(|text| place.step(What::System { text })).collect();
    steps.extend(messages.iter().flat_map(message).map(|what| place.step(what)));
    steps.extend(answer(value).into_iter().map(|what| place.step(what)));
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
    let is_item = |message: &Value| matches!(text(message, "type"), "function_call" | "function_call_output");
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

/// What came back from the model, in the shapes of the three APIs.
fn answer(value: &Value) -> Vec<What> {
    let Some(response) = value.get("response") else { return Vec::new() };
    if let Some(choice) = response.pointer("/choices/0/message") {
        return message(choice);
    }
    if let Some(output) = response.get("output").and_then(Value::as_array) {
        return output.iter().flat_map(message).collect();
    }
    message(response)
}

/// What one message says: words, calls, results.
pub fn message(message: &Value) -> Vec<What> {
    let role = text(message, "role");
    match text(message, "type") {
        "function_call" => {
            return vec![call(text(message, "call_id"), text(message, "name"), message.get("arguments"))];
        }
        "function_call_output" => return vec![result(text(message, "call_id"), message.get("output"), false)],
        _ => {}
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
        let function = one.get("function")?;
        Some(call(text(one, "id"), text(function, "name"), function.get("arguments")))
    }));
    found
}

fn block(role: &str, block: &Value) -> Option<What> {
    match text(block, "type") {
        "text" | "input_text" | "output_text" => words(role, text(block, "text")),
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

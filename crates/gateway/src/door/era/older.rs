//! A client with a handshake at a server without sessions.
//!
//! The handshake is answered from the server's `server/discover`. A result that needs input becomes requests to the
//! client, and their answers a retry of the same call, which was permitted with it.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::io::AsyncRead;

use super::{
    CAPABILITIES_KEY, CLIENT_KEY, Ends, From, HANDSHAKE, LOG_KEY, OPEN_MAX, Over, STATELESS, VERSION_KEY, refused,
};
use crate::call::{self, Id, Message, Request, Response};

/// How often a call may come back for more input.
const ROUNDS_MAX: u32 = 10;
/// The versions with a handshake, as clients ask for them.
const HANDSHAKES: &[&str] = &["2024-11-05", "2025-03-26", "2025-06-18", HANDSHAKE];

/// A handshake that the server could not answer.
pub(super) struct Opening {
    pub(super) id: Id,
    /// The client's parameters.
    pub(super) opening: Value,
    /// The server's `server/discover`.
    pub(super) server: Value,
}

struct Older {
    opening: Value,
    level: Option<Value>,
    open: HashMap<Id, Open>,
    /// Requests to the client, with the call and the name of the input.
    asked: HashMap<Id, (Id, String)>,
    /// Our own subscription to changes.
    listens: Option<Id>,
    resources: Vec<String>,
}

struct Open {
    method: String,
    params: Value,
    rounds: u32,
    /// What the client said, and how much it has yet to say.
    responses: Map<String, Value>,
    missing: usize,
    state: Option<Value>,
}

/// What a request without sessions says of its client.
pub(super) fn envelope(opening: &Value, level: Option<&Value>) -> Value {
    let part = |name: &str| opening.get(name).cloned().unwrap_or_else(|| json!({}));
    let mut meta = json!({
        VERSION_KEY: STATELESS, CLIENT_KEY: part("clientInfo"), CAPABILITIES_KEY: part("capabilities"),
    });
    if let Some(level) = level {
        call::put(&mut meta, LOG_KEY, level.clone());
    }
    meta
}

pub(super) async fn run<R: AsyncRead + Unpin, S: AsyncRead + Unpin>(
    mut ends: Ends<R, S>,
    opening: Opening,
) -> Result<(), Over> {
    let Opening { id, opening, server } = opening;
    ends.answer_client(&id, &initialized(&opening, &server)).await?;
    let mut older = Older {
        opening,
        level: None,
        open: HashMap::new(),
        asked: HashMap::new(),
        listens: None,
        resources: Vec::new(),
    };
    loop {
        let (line, is_client) = match ends.next().await? {
            From::Client(line) => (line, true),
            From::Server(line) => (line, false),
        };
        match (Message::read(line.clone()), is_client) {
            (Ok(Message::Request(request)), true) => older.request(&mut ends, &request).await?,
            (Ok(Message::Response(answer)), true) => older.input(&mut ends, &answer).await?,
            (Ok(Message::Notification(note)), true) if note.method == "notifications/initialized" => {
                older.listen(&mut ends).await?;
            }
            (Ok(Message::Notification(note)), true) if note.method == "notifications/cancelled" => {
                // Else what the client answers for it later would send it again, after the record has its end.
                if let Some(id) = call::cancelled(&note) {
                    older.open.remove(&id);
                }
                ends.tell_server(line).await?;
            }
            (Ok(Message::Response(answer)), false) => older.answer(&mut ends, &answer).await?,
            (Ok(Message::Request(request)), false) => {
                ends.tell_server(refused(&request.id, "this version of the protocol has no requests of servers"))
                    .await?;
            }
            (Ok(Message::Notification(note)), false) if note.method.starts_with("notifications/subscriptions/") => {}
            (Ok(_), false) => ends.tell_client(line).await?,
            (Ok(_), true) => {}
            (Err(fault), _) => tracing::warn!(%fault, "dropped a message that cannot be translated"),
        }
    }
}

/// The answer to a handshake, from what the server says of itself.
fn initialized(opening: &Value, server: &Value) -> Value {
    let asked = opening.get("protocolVersion").and_then(Value::as_str);
    let version = asked.filter(|version| HANDSHAKES.contains(version)).unwrap_or(HANDSHAKE);
    let unnamed = json!({ "name": "unnamed", "version": "0" });
    let info = server.get("_meta").and_then(|meta| meta.get("io.modelcontextprotocol/serverInfo"));
    let info = info.or_else(|| server.get("serverInfo")).cloned().unwrap_or(unnamed);
    let capabilities = server.get("capabilities").cloned().unwrap_or_else(|| json!({}));
    let mut result = json!({ "protocolVersion": version, "capabilities": capabilities, "serverInfo": info });
    if let Some(instructions) = server.get("instructions") {
        call::put(&mut result, "instructions", instructions.clone());
    }
    result
}

impl Older {
    async fn request<R, S>(&mut self, ends: &mut Ends<R, S>, request: &Request) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        let params: Value = call::strict_value(request.params()).unwrap_or_default();
        let uri = || params.get("uri").and_then(Value::as_str).map(str::to_owned);
        match request.method.as_str() {
            "ping" => {}
            "logging/setLevel" => self.level = params.get("level").cloned(),
            "resources/subscribe" => {
                self.resources.extend(uri().filter(|_| self.resources.len() < OPEN_MAX));
                self.listen(ends).await?;
            }
            "resources/unsubscribe" => {
                self.resources.retain(|known| Some(known) != uri().as_ref());
                self.listen(ends).await?;
            }
            "initialize" => return ends.tell_client(refused(&request.id, "the session is open already")).await,
            _ if self.open.len() >= OPEN_MAX => {
                return ends.tell_client(refused(&request.id, "too many requests are open at a time")).await;
            }
            method => {
                let open = Open {
                    method: method.to_owned(),
                    params,
                    rounds: 0,
                    responses: Map::new(),
                    missing: 0,
                    state: None,
                };
                self.send(ends, &request.id, &open).await?;
                self.open.insert(request.id.clone(), open);
                return Ok(());
            }
        }
        ends.answer_client(&request.id, &json!({})).await
    }

    /// Sends a call, or sends it again with the client's answers.
    async fn send<R, S>(&self, ends: &Ends<R, S>, id: &Id, open: &Open) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        let mut params = if open.params.is_object() { open.params.clone() } else { json!({}) };
        let mut meta = params.get("_meta").cloned().filter(Value::is_object).unwrap_or_else(|| json!({}));
        if let (Some(meta), Value::Object(envelope)) =
            (meta.as_object_mut(), envelope(&self.opening, self.level.as_ref()))
        {
            meta.extend(envelope);
        }
        call::put(&mut params, "_meta", meta);
        if open.rounds > 0 {
            call::put(&mut params, "inputResponses", Value::Object(open.responses.clone()));
            if let Some(state) = &open.state {
                call::put(&mut params, "requestState", state.clone());
            }
        }
        let method = Value::from(open.method.as_str());
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#);
        ends.tell_server(Bytes::from(line)).await
    }

    /// Hears of changes from now on, as a client with a session does without asking.
    async fn listen<R, S>(&mut self, ends: &mut Ends<R, S>) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        if let Some(id) = self.listens.take() {
            let line =
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#);
            ends.tell_server(Bytes::from(line)).await?;
        }
        let wanted = json!({
            "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
            "resourceSubscriptions": self.resources,
        });
        let params = json!({ "notifications": wanted, "_meta": envelope(&self.opening, None) });
        self.listens = Some(ends.ask_server("subscriptions/listen", &params).await?);
        Ok(())
    }

    async fn answer<R, S>(&mut self, ends: &mut Ends<R, S>, answer: &Response) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        let Some(mut open) = self.open.remove(&answer.id) else { return Ok(()) };
        let result: Value = serde_json::from_str(answer.body()).unwrap_or_default();
        if answer.is_error || result.get("resultType").and_then(Value::as_str) != Some("input_required") {
            return ends.tell_client(answer.raw().clone()).await;
        }
        open.rounds += 1;
        let wanted = result.get("inputRequests").and_then(Value::as_object).cloned().unwrap_or_default();
        if open.rounds > ROUNDS_MAX || self.asked.len() + wanted.len() > OPEN_MAX {
            return ends.tell_client(refused(&answer.id, "the server asks for more and more input")).await;
        }
        open.state = result.get("requestState").cloned();
        open.responses = Map::new();
        open.missing = wanted.len();
        if wanted.is_empty() {
            self.send(ends, &answer.id, &open).await?;
        }
        for (name, request) in wanted {
            let id = ends.own_id();
            let method = request.get("method").cloned().unwrap_or_default();
            let params = request.get("params").cloned().unwrap_or_else(|| json!({}));
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#);
            self.asked.insert(id, (answer.id.clone(), name));
            ends.tell_client(Bytes::from(line)).await?;
        }
        self.open.insert(answer.id.clone(), open);
        Ok(())
    }

    /// The client answers what a call needs; with the last answer the call is sent again.
    async fn input<R, S>(&mut self, ends: &mut Ends<R, S>, answer: &Response) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        let Some((call, name)) = self.asked.remove(&answer.id) else { return Ok(()) };
        let Some(mut open) = self.open.remove(&call) else { return Ok(()) };
        if answer.is_error {
            // Refused by policy or by the client: the call cannot go on.
            let line = crate::answer::error(
                Some(&call),
                crate::answer::DENIED,
                "the client did not give what the server needs",
            );
            return ends.tell_client(line).await;
        }
        open.responses.insert(name, serde_json::from_str(answer.body()).unwrap_or_default());
        open.missing = open.missing.saturating_sub(1);
        if open.missing == 0 {
            self.send(ends, &call, &open).await?;
        }
        self.open.insert(call, open);
        Ok(())
    }
}

//! A client without sessions at a server with a handshake.
//!
//! The handshake is made once, in the client's name. What the server asks of the client in the middle of a call becomes
//! the call's result `input_required`, and the client's retry becomes the answer to the server.

use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::rand;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::io::AsyncRead;

use super::{
    CAPABILITIES_KEY, CLIENT_KEY, Ends, From, HANDSHAKE, LOG_KEY, OPEN_MAX, Over, STATELESS, SUBSCRIPTION_KEY, refused,
};
use crate::call::{self, Id, Message, Notification, Request, Response};

/// The most calls that wait for a client to come back with an answer.
const SUSPENDED_MAX: usize = 64;
/// Requests in the middle of which a server may ask the client something.
const INTERRUPTIBLE: &[&str] = &["tools/call", "prompts/get", "resources/read"];
/// Requests whose results a client may keep for a while; ours say that it must not.
const CACHEABLE: &[&str] =
    &["tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"];

struct Newer {
    /// What the server said in the handshake.
    server: Value,
    /// Requests of the client by the id that the server knows: the client's own, until a retry brings another.
    open: BTreeMap<Id, Open>,
    /// Calls that wait for the client's answer, by the state that the client brings back.
    suspended: HashMap<String, Suspended>,
    subscriptions: Vec<(Id, Value)>,
}

struct Open {
    client: Id,
    method: String,
    wants_log: bool,
    /// Later requests are greater.
    order: u64,
}

struct Suspended {
    /// The server's request.
    asked: Id,
    /// The call's id at the server.
    call: Id,
    method: String,
    order: u64,
    /// The server did not wait.
    result: Option<Bytes>,
}

pub(super) async fn run<R: AsyncRead + Unpin, S: AsyncRead + Unpin>(
    mut ends: Ends<R, S>,
    first: Request,
    envelope: &Value,
) -> Result<(), Over> {
    let capabilities = envelope.get(CAPABILITIES_KEY).and_then(Value::as_object);
    // Roots are asked for outside of calls, where there is no way to the client.
    let kept =
        capabilities.into_iter().flatten().filter(|(name, _)| matches!(name.as_str(), "sampling" | "elicitation"));
    let kept: Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let unnamed = json!({ "name": "unnamed", "version": "0" });
    let client = envelope.get(CLIENT_KEY).cloned().unwrap_or(unnamed);
    let params = json!({ "protocolVersion": HANDSHAKE, "capabilities": kept, "clientInfo": client });
    let id = ends.ask_server("initialize", &params).await?;
    let answer = ends.answer_to(&id).await?.filter(|answer| !answer.is_error);
    let Some(answer) = answer else {
        ends.tell_client(refused(&first.id, "the server speaks no version of the protocol that the gateway speaks"))
            .await?;
        return Ok(());
    };
    ends.tell_server(Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)).await?;
    let server = serde_json::from_str(answer.body()).unwrap_or_default();
    let mut newer = Newer { server, open: BTreeMap::new(), suspended: HashMap::new(), subscriptions: Vec::new() };
    newer.request(&mut ends, first).await?;
    loop {
        let (line, is_client) = match ends.next().await? {
            From::Client(line) => (line, true),
            From::Server(line) => (line, false),
        };
        match (Message::read(line.clone()), is_client) {
            (Ok(Message::Request(request)), true) => newer.request(&mut ends, request).await?,
            (Ok(Message::Notification(note)), true) => newer.note(&ends, &note).await?,
            (Ok(Message::Response(answer)), false) => newer.answer(&ends, &answer).await?,
            (Ok(Message::Request(request)), false) => newer.asked(&mut ends, &request).await?,
            (Ok(Message::Notification(note)), false) => newer.told(&ends, &note).await?,
            (Ok(Message::Fault(fault)), false) => ends.tell_client(fault.raw().clone()).await?,
            // The protocol without sessions has no answers of the client.
            (Ok(_), true) => {}
            (Err(fault), _) => tracing::warn!(%fault, "dropped a message that cannot be translated"),
        }
    }
}

impl Newer {
    /// A request of the client.
    async fn request<R, S>(&mut self, ends: &mut Ends<R, S>, request: Request) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        match request.method.as_str() {
            "server/discover" => return ends.answer_client(&request.id, &self.discovered()).await,
            "subscriptions/listen" => return self.listen(ends, &request).await,
            "initialize" | "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
                return ends.tell_client(refused(&request.id, "not a method of this version of the protocol")).await;
            }
            _ if self.open.len() >= OPEN_MAX => {
                return ends.tell_client(refused(&request.id, "too many requests are open at a time")).await;
            }
            _ => {}
        }
        let read = call::fields(request.params(), &["requestState", "inputResponses"]);
        if let Ok([Some(state), responses]) = read
            && let Ok(state) = serde_json::from_str::<String>(state.get())
            && let Some(suspended) = self.suspended.remove(&state)
        {
            let responses = responses.and_then(|all| serde_json::from_str(all.get()).ok()).unwrap_or_default();
            return self.resume(ends, &request, suspended, &responses).await;
        }
        let line = without_envelope(&request);
        let wants_log = envelope_has_log(&request);
        ends.next += 1;
        let open = Open { client: request.id.clone(), method: request.method, wants_log, order: ends.next };
        self.open.insert(request.id, open);
        ends.tell_server(line).await
    }

    /// The client comes back with what the server asked for.
    async fn resume<R, S>(
        &mut self,
        ends: &mut Ends<R, S>,
        request: &Request,
        suspended: Suspended,
        responses: &Value,
    ) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        if suspended.method != request.method {
            return ends.tell_client(refused(&request.id, "the state belongs to another request")).await;
        }
        let wants_log = envelope_has_log(request);
        let open = Open { client: request.id.clone(), method: suspended.method, wants_log, order: suspended.order };
        self.open.insert(suspended.call.clone(), open);
        if let Some(result) = suspended.result
            && let Ok(Message::Response(answer)) = Message::read(result)
        {
            return self.answer(ends, &answer).await;
        }
        match responses.get("request") {
            Some(response) => ends.answer_server(&suspended.asked, response).await,
            None => ends.tell_server(refused(&suspended.asked, "the client gave no answer")).await,
        }
    }

    fn discovered(&self) -> Value {
        let part = |name: &str| self.server.get(name).cloned();
        let mut result = json!({
            "resultType": "complete", "supportedVersions": [STATELESS], "ttlMs": 0, "cacheScope": "private",
            "capabilities": part("capabilities").unwrap_or_else(|| json!({})),
        });
        if let Some(instructions) = part("instructions") {
            call::put(&mut result, "instructions", instructions);
        }
        if let Some(server) = part("serverInfo") {
            call::put(&mut result, "_meta", json!({ "io.modelcontextprotocol/serverInfo": server }));
        }
        result
    }

    /// The client wants to hear of changes: it does as long as the conversation lasts.
    async fn listen<R, S>(&mut self, ends: &mut Ends<R, S>, request: &Request) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        if self.subscriptions.len() >= SUSPENDED_MAX {
            return ends.tell_client(refused(&request.id, "too many subscriptions are open at a time")).await;
        }
        let params: Value = serde_json::from_str(request.params()).unwrap_or_default();
        let wanted = params.get("notifications").cloned().unwrap_or_default();
        for uri in wanted.get("resourceSubscriptions").and_then(Value::as_array).into_iter().flatten() {
            ends.ask_server("resources/subscribe", &json!({ "uri": uri })).await?;
        }
        let id: Value = serde_json::from_str(request.id.json()).unwrap_or_default();
        let params = json!({ "notifications": wanted, "_meta": { SUBSCRIPTION_KEY: id } });
        let method = "notifications/subscriptions/acknowledged";
        self.subscriptions.push((request.id.clone(), wanted));
        ends.tell_client(Bytes::from(json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string())).await
    }

    /// A notification of the client.
    async fn note<R, S>(&mut self, ends: &Ends<R, S>, note: &Notification) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        let Some(id) = call::cancelled(note) else { return Ok(()) };
        self.subscriptions.retain(|(subscription, _)| *subscription != id);
        let call = self.open.iter().find(|(_, open)| open.client == id).map(|(call, _)| call.clone());
        let Some(call) = call else { return Ok(()) };
        self.open.remove(&call);
        let line = call::replaced(note.raw(), &["params", "requestId"], call.json());
        ends.tell_server(line.unwrap_or_else(|| note.raw().clone())).await
    }

    /// The server answers.
    async fn answer<R, S>(&mut self, ends: &Ends<R, S>, answer: &Response) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        if let Some(suspended) = self.suspended.values_mut().find(|suspended| suspended.call == answer.id) {
            suspended.result = Some(answer.raw().clone());
            return Ok(());
        }
        let Some(open) = self.open.remove(&answer.id) else { return Ok(()) };
        let body = if answer.is_error { answer.body().to_owned() } else { completed(answer.body(), &open.method) };
        let line = answer.with_body(&body);
        ends.tell_client(call::replaced(&line, &["id"], open.client.json()).unwrap_or(line)).await
    }

    /// The server asks the client something: the newest call is suspended with the question as its result.
    async fn asked<R, S>(&mut self, ends: &mut Ends<R, S>, request: &Request) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        if request.method == "ping" {
            return ends.answer_server(&request.id, &json!({})).await;
        }
        let is_known = matches!(request.method.as_str(), "sampling/createMessage" | "elicitation/create");
        let calls = self.open.iter().filter(|(_, open)| INTERRUPTIBLE.contains(&open.method.as_str()));
        let call = calls.max_by_key(|(_, open)| open.order).map(|(call, _)| call.clone());
        let state = state().filter(|_| is_known && self.suspended.len() < SUSPENDED_MAX);
        let (Some(state), Some(call)) = (state, call) else {
            return ends.tell_server(refused(&request.id, "the client cannot be asked this now")).await;
        };
        let Some(open) = self.open.remove(&call) else { return Ok(()) };
        let params: Value = serde_json::from_str(request.params()).unwrap_or_default();
        let result = json!({
            "resultType": "input_required", "requestState": state,
            "inputRequests": { "request": { "method": request.method, "params": params } },
        });
        let suspended =
            Suspended { asked: request.id.clone(), call, method: open.method, order: open.order, result: None };
        self.suspended.insert(state, suspended);
        ends.answer_client(&open.client, &result).await
    }

    /// The server tells something.
    async fn told<R, S>(&self, ends: &Ends<R, S>, note: &Notification) -> Result<(), Over>
    where
        R: AsyncRead + Unpin,
        S: AsyncRead + Unpin,
    {
        let flag = match note.method.as_str() {
            "notifications/progress" => return ends.tell_client(note.raw().clone()).await,
            "notifications/message" if self.open.values().any(|open| open.wants_log) => {
                return ends.tell_client(note.raw().clone()).await;
            }
            "notifications/tools/list_changed" => "toolsListChanged",
            "notifications/prompts/list_changed" => "promptsListChanged",
            "notifications/resources/list_changed" => "resourcesListChanged",
            "notifications/resources/updated" => "resourceSubscriptions",
            _ => return Ok(()),
        };
        let mut params: Value = serde_json::from_str(note.params()).unwrap_or_default();
        for (id, wanted) in &self.subscriptions {
            let fits = match wanted.get(flag) {
                Some(Value::Array(uris)) => params.get("uri").is_some_and(|uri| uris.contains(uri)),
                other => other == Some(&Value::Bool(true)),
            };
            if fits {
                let id: Value = serde_json::from_str(id.json()).unwrap_or_default();
                let mut meta = params.get("_meta").cloned().filter(Value::is_object).unwrap_or_else(|| json!({}));
                call::put(&mut meta, SUBSCRIPTION_KEY, id);
                call::put(&mut params, "_meta", meta);
                let line = json!({ "jsonrpc": "2.0", "method": note.method, "params": params });
                ends.tell_client(Bytes::from(line.to_string())).await?;
            }
        }
        Ok(())
    }
}

/// A result as the protocol without sessions has it; all else in it stays as the server wrote it.
fn completed(body: &str, method: &str) -> String {
    let cache = if CACHEABLE.contains(&method) { r#","ttlMs":0,"cacheScope":"private""# } else { "" };
    let has = |name| matches!(call::fields(body, &[name]), Ok([Some(_)]));
    let Some(rest) = body.trim_start().strip_prefix('{').filter(|_| !has("resultType") && !has("ttlMs")) else {
        return body.to_owned();
    };
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    format!(r#"{{"resultType":"complete"{cache}{comma}{rest}"#)
}

fn envelope_has_log(request: &Request) -> bool {
    let [meta] = call::fields(request.params(), &["_meta"]).unwrap_or_default();
    meta.is_some_and(|meta| matches!(call::fields(meta.get(), &[LOG_KEY]), Ok([Some(_)])))
}

/// The request without what only the protocol without sessions says in it.
fn without_envelope(request: &Request) -> Bytes {
    let meta = || {
        let [meta] = call::fields(request.params(), &["_meta"]).ok()?;
        let Value::Object(mut meta) = call::strict_value(meta?.get()).ok()? else { return None };
        meta.retain(|key, _| !key.starts_with("io.modelcontextprotocol/"));
        call::replaced(request.raw(), &["params", "_meta"], &Value::Object(meta).to_string())
    };
    meta().unwrap_or_else(|| request.raw().clone())
}

/// A state that no other client of the same server guesses.
fn state() -> Option<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    Some(hex::encode(bytes))
}

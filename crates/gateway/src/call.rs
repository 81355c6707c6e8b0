//! The JSON-RPC envelope: the few fields that policy and routing need are read strictly; every other
//! byte passes as it came.
//!
//! Strict, because two parsers that disagree are a way around a policy: a duplicate key, or a key that
//! differs from a known one only in case (Go's decoder takes it), is refused, never resolved.
//! This module never re-serialises a message that it passes on.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use policy::Verb;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The largest message that is read, in bytes.
pub const SIZE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// The deepest nesting of arrays and objects that is read.
pub const DEPTH_MAX: usize = 96;
/// The longest request id that is read, in bytes.
pub const ID_MAX_BYTES: usize = 256;
/// Ids that the gateway itself uses upstream begin with this; a client may not use them.
pub const OWN_ID_PREFIX: &str = "bailiwick:";

/// Why a message is refused. The sender's fault, always.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Longer than [`SIZE_MAX_BYTES`].
    #[error("message is too large: {size} bytes > {SIZE_MAX_BYTES}")]
    TooLarge {
        /// Its size in bytes, as far as it was read.
        size: usize,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("message is nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// Not UTF-8, or not JSON.
    #[error("message is not JSON: {0}")]
    NotJson(String),
    /// A JSON array of messages; removed from MCP in 2025-06-18.
    #[error("batches are not accepted")]
    Batch,
    /// The same key twice in an object that is read.
    #[error("duplicate key `{0}`")]
    DuplicateKey(String),
    /// A key that equals a known one but for case.
    #[error("key `{0}` differs only in case from one that has a meaning")]
    AmbiguousKey(String),
    /// Neither request, notification nor response.
    #[error("not a JSON-RPC 2.0 message: {0}")]
    NotRpc(&'static str),
    /// A parameter that policy needs is missing or of another type.
    #[error("parameter `{0}` is missing or has the wrong type")]
    Parameter(&'static str),
}

/// A request id as it stands in the message: a JSON string or an integer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Box<str>);

impl Id {
    /// The id's JSON text.
    pub fn json(&self) -> &str {
        &self.0
    }

    /// An id of the gateway's own.
    pub fn own(number: u64) -> Self {
        Self(format!("\"{OWN_ID_PREFIX}{number}\"").into())
    }

    /// An id of the translation between two eras of the protocol.
    pub(crate) fn of_bridge(number: u64) -> Self {
        Self(format!("\"{OWN_ID_PREFIX}bridge:{number}\"").into())
    }

    fn read(raw: &RawValue) -> Result<Self, Malformed> {
        let text = raw.get();
        if text.len() > ID_MAX_BYTES {
            return Err(Malformed::NotRpc("the id is too long"));
        }
        // A string is normalised, so that "a" and "\u0061" are one id here as they are at the peer.
        if text.starts_with('"') {
            let string: String = serde_json::from_str(text).map_err(not_json)?;
            return Ok(Self(Value::String(string).to_string().into()));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && text != "-0" {
            return Ok(Self(text.into()));
        }
        Err(Malformed::NotRpc("the id is neither a string nor an integer"))
    }

    /// Whether only the gateway may use this id.
    pub fn is_own(&self) -> bool {
        self.0.strip_prefix('"').is_some_and(|rest| rest.starts_with(OWN_ID_PREFIX))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One parsed message, with the bytes it was read from.
#[derive(Clone, Debug)]
pub enum Message {
    /// Wants an answer.
    Request(Request),
    /// Wants none.
    Notification(Notification),
    /// Is an answer.
    Response(Response),
    /// Is the answer to a message that the peer could not read: an error without an id.
    Fault(Fault),
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its id.
    pub id: Id,
    /// Its method.
    pub method: String,
    params: Option<Range<usize>>,
    raw: Bytes,
}

/// A notification.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its method.
    pub method: String,
    params: Option<Range<usize>>,
    raw: Bytes,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The request that it answers.
    pub id: Id,
    /// Whether it carries an error.
    pub is_error: bool,
    body: Range<usize>,
    raw: Bytes,
}

/// An error that names no request.
#[derive(Clone, Debug)]
pub struct Fault {
    body: Range<usize>,
    raw: Bytes,
}

impl Message {
    /// Reads one message.
    pub fn read(raw: Bytes) -> Result<Self, Malformed> {
        let text = checked(&raw)?;
        if text.trim_start().starts_with('[') {
            return Err(Malformed::Batch);
        }
        let [version, id, method, params, result, error] =
            fields(text, &["jsonrpc", "id", "method", "params", "result", "error"])?;
        if version.map(RawValue::get) != Some("\"2.0\"") {
            return Err(Malformed::NotRpc("`jsonrpc` is not \"2.0\""));
        }
        let span = |part: Option<&RawValue>| part.map(|part| span_in(text, part));
        match (method, id, result, error) {
            (Some(method), id, None, None) => {
                let method: String =
                    serde_json::from_str(method.get()).map_err(|_| Malformed::NotRpc("`method` is not a string"))?;
                let params = span(params);
                Ok(match id {
                    Some(id) => Self::Request(Request { id: Id::read(id)?, method, params, raw }),
                    None => Self::Notification(Notification { method, params, raw }),
                })
            }
            (None, Some(id), Some(body), None) => {
                let (id, body) = (Id::read(id)?, span_in(text, body));
                Ok(Self::Response(Response { id, is_error: false, body, raw }))
            }
            (None, id, None, Some(body)) if id.is_none_or(|id| id.get() == "null") => {
                let body = span_in(text, body);
                Ok(Self::Fault(Fault { body, raw }))
            }
            (None, Some(id), None, Some(body)) => {
                let (id, body) = (Id::read(id)?, span_in(text, body));
                Ok(Self::Response(Response { id, is_error: true, body, raw }))
            }
            _ => Err(Malformed::NotRpc("neither request, notification nor response")),
        }
    }
}

impl Request {
    /// A request of the gateway's own.
    pub(crate) fn own(number: u64, method: &str, params: &Value) -> Result<Self, Malformed> {
        let id = Id::own(number);
        let raw = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{},"params":{params}}}"#, Value::from(method));
        match Message::read(Bytes::from(raw))? {
            Message::Request(request) => Ok(request),
            _ => Err(Malformed::NotRpc("not a request")),
        }
    }

    /// The message's bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The parameters' JSON text, `{}` if there are none.
    pub fn params(&self) -> &str {
        part(&self.raw, self.params.as_ref()).unwrap_or("{}")
    }
}

impl Notification {
    /// The message's bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The parameters' JSON text, `{}` if there are none.
    pub fn params(&self) -> &str {
        part(&self.raw, self.params.as_ref()).unwrap_or("{}")
    }
}

impl Fault {
    /// The message's bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The JSON text of the error.
    pub fn body(&self) -> &str {
        part(&self.raw, Some(&self.body)).unwrap_or("null")
    }
}

impl Response {
    /// The message's bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The JSON text of its result or error.
    pub fn body(&self) -> &str {
        part(&self.raw, Some(&self.body)).unwrap_or("null")
    }

    /// The bytes of the message with its body replaced.
    pub(crate) fn with_body(&self, body: &str) -> Bytes {
        let (before, after) = (self.raw.get(..self.body.start), self.raw.get(self.body.end..));
        let mut out = Vec::with_capacity(self.raw.len());
        out.extend_from_slice(before.unwrap_or_default());
        out.extend_from_slice(body.as_bytes());
        out.extend_from_slice(after.unwrap_or_default());
        Bytes::from(out)
    }
}

/// What a request means to policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// `tools/call`.
    Tool {
        /// The tool's name at its server.
        name: String,
        /// Its arguments, an object.
        arguments: Value,
    },
    /// `resources/read`, `resources/subscribe`.
    Resource {
        /// Its URI.
        uri: String,
    },
    /// `prompts/get`.
    Prompt {
        /// Its name.
        name: String,
        /// Its arguments, an object.
        arguments: Value,
    },
}

/// A message that policy has no say in: it opens, closes or describes the conversation. Made only by
/// [`Call::sort`], and the only thing besides a permit that a link takes upstream.
#[derive(Debug)]
pub struct Plumbing {
    raw: Bytes,
}

impl Plumbing {
    /// The message's bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// A notification, or an answer of the client to a request of the server.
    pub(crate) fn aside(raw: Bytes) -> Self {
        Self { raw }
    }
}

/// One request of a client, sorted.
#[derive(Debug)]
pub enum Call {
    /// Policy decides about it.
    Judged {
        /// The request.
        request: Request,
        /// What it is about.
        subject: Subject,
    },
    /// The answer is filtered.
    ListTools(Request),
    /// Passes, and its answer too.
    Plumbing(Request),
}

/// Requests that only open, close or describe the conversation.
const PLUMBING: &[&str] = &[
    "initialize",
    "ping",
    "server/discover",
    "logging/setLevel",
    "completion/complete",
    "resources/list",
    "resources/templates/list",
    "resources/unsubscribe",
    "prompts/list",
    "subscriptions/listen",
    "tasks/get",
    "tasks/result",
    "tasks/list",
    "tasks/cancel",
    "tasks/update",
];

impl Call {
    /// Sorts a client's request. An unknown method is `None`: what cannot be judged does not pass.
    pub fn sort(request: Request) -> Result<Option<Self>, Malformed> {
        let subject = match request.method.as_str() {
            "tools/call" => {
                let [name, arguments] = fields(request.params(), &["name", "arguments"])?;
                Subject::Tool { name: string(name, "name")?, arguments: object(arguments)? }
            }
            "resources/read" | "resources/subscribe" => {
                let [uri] = fields(request.params(), &["uri"])?;
                Subject::Resource { uri: string(uri, "uri")? }
            }
            "prompts/get" => {
                let [name, arguments] = fields(request.params(), &["name", "arguments"])?;
                Subject::Prompt { name: string(name, "name")?, arguments: object(arguments)? }
            }
            "tools/list" => return Ok(Some(Self::ListTools(request))),
            method if PLUMBING.contains(&method) => return Ok(Some(Self::Plumbing(request))),
            _ => return Ok(None),
        };
        Ok(Some(Self::Judged { request, subject }))
    }
}

/// What a server's own request to the client means to policy.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Policy decides about it.
    Judged {
        /// What is wished.
        verb: Verb,
        /// The parameters, an object.
        arguments: Value,
    },
    /// Passes: it keeps the conversation or a task going.
    Plumbing,
}

impl Wish {
    /// Sorts a server's request, by its method and its parameters' JSON text. An unknown method is `None`.
    pub(crate) fn sort(method: &str, params: &str) -> Result<Option<Self>, Malformed> {
        let verb = match method {
            "sampling/createMessage" => Verb::Sample,
            "elicitation/create" => Verb::Elicit,
            "roots/list" => Verb::ListRoots,
            "ping" | "tasks/get" | "tasks/result" | "tasks/list" | "tasks/cancel" => return Ok(Some(Self::Plumbing)),
            _ => return Ok(None),
        };
        let arguments = strict_value(params)?;
        let arguments = if arguments.is_object() { arguments } else { return Err(Malformed::Parameter("params")) };
        Ok(Some(Self::Judged { verb, arguments }))
    }
}

/// A wish by the name that its answer will have; `None` if it is of no known kind.
pub(crate) type Named = (String, Option<Wish>);

/// What the user or the client must say before a server goes on, in a result of the protocol without sessions: the
/// requests by name. `None` if the result needs nothing.
pub(crate) fn wishes(result: &str) -> Result<Option<Vec<Named>>, Malformed> {
    // The word could be written with escapes.
    if !result.contains("input_required") && !result.contains("\\u") {
        return Ok(None);
    }
    let value = strict_value(result)?;
    if value.get("resultType").and_then(Value::as_str) != Some("input_required") {
        return Ok(None);
    }
    let requests = value.get("inputRequests").and_then(Value::as_object).into_iter().flatten();
    let wish = |(name, request): (&String, &Value)| {
        let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
        let params = request.get("params").map_or_else(|| "{}".to_owned(), Value::to_string);
        Ok((name.clone(), Wish::sort(method, &params)?))
    };
    requests.map(wish).collect::<Result<_, _>>().map(Some)
}

/// What a request of the protocol without sessions says of its client, for a request of our own on its behalf.
pub(crate) fn envelope(request: &Request) -> Option<Value> {
    let [meta] = fields(request.params(), &["_meta"]).ok()?;
    let Value::Object(mut meta) = strict_value(meta?.get()).ok()? else { return None };
    meta.retain(|key, _| key.starts_with("io.modelcontextprotocol/") && key != "io.modelcontextprotocol/logLevel");
    (!meta.is_empty()).then_some(Value::Object(meta))
}

/// The progress token of a request, as JSON text.
pub(crate) fn progress_token(request: &Request) -> Option<String> {
    let [meta] = fields(request.params(), &["_meta"]).ok()?;
    let [token] = fields(meta?.get(), &["progressToken"]).ok()?;
    let token = Id::read(token?).ok()?;
    Some(token.json().to_owned())
}

/// Whether a request speaks the stateless protocol of 2026-07-28 or later, whose results carry a type.
pub(crate) fn is_stateless(request: &Request) -> bool {
    version(request).is_some_and(|version| version.as_str() >= "2026-07-28")
}

/// The version of the protocol that a request says in itself, as those without sessions do.
pub(crate) fn version(request: &Request) -> Option<String> {
    let [meta] = fields(request.params(), &["_meta"]).ok()?;
    let [version] = fields(meta?.get(), &["io.modelcontextprotocol/protocolVersion"]).ok()?;
    serde_json::from_str(version?.get()).ok()
}

/// Puts a member into an object; into anything else nothing is put.
pub(crate) fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value.into());
    }
}

/// The message with the value at a path of keys replaced; `None` if nothing is there.
pub(crate) fn replaced(raw: &Bytes, path: &[&'static str], with: &str) -> Option<Bytes> {
    let text = std::str::from_utf8(raw).ok()?;
    let mut span = 0..text.len();
    for name in path {
        let [found] = fields(text.get(span)?, &[*name]).ok()?;
        span = span_in(text, found?);
    }
    Some(Bytes::from([text.get(..span.start)?, with, text.get(span.end..)?].concat()))
}

/// The string at a path of keys.
pub(crate) fn at(raw: &Bytes, path: &[&'static str]) -> Option<String> {
    let mut text = std::str::from_utf8(raw).ok()?;
    for name in path {
        let [found] = fields(text, &[*name]).ok()?;
        text = found?.get();
    }
    serde_json::from_str(text).ok()
}

/// The request that a `notifications/cancelled` cancels.
pub(crate) fn cancelled(notification: &Notification) -> Option<Id> {
    if notification.method != "notifications/cancelled" {
        return None;
    }
    let [id] = fields(notification.params(), &["requestId"]).ok()?;
    Id::read(id?).ok()
}

/// Reads chosen keys of a JSON object strictly; other keys pass unread.
pub(crate) fn fields<'a, const N: usize>(
    text: &'a str,
    names: &[&'static str; N],
) -> Result<[Option<&'a RawValue>; N], Malformed> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut fault = None;
    let found = Fields { names, fault: &mut fault }.deserialize(&mut deserializer);
    let found = found.and_then(|found| deserializer.end().map(|()| found));
    found.map_err(|error| fault.unwrap_or_else(|| not_json(error)))
}

/// Reads a JSON value of which no object, at any depth, has a key twice.
pub(crate) fn strict_value(text: &str) -> Result<Value, Malformed> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut fault = None;
    let value = Strict { fault: &mut fault }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| fault.unwrap_or_else(|| not_json(error)))
}

fn string(raw: Option<&RawValue>, name: &'static str) -> Result<String, Malformed> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).ok_or(Malformed::Parameter(name))
}

fn object(raw: Option<&RawValue>) -> Result<Value, Malformed> {
    let value = strict_value(raw.map_or("{}", RawValue::get))?;
    if value.is_object() { Ok(value) } else { Err(Malformed::Parameter("arguments")) }
}

fn not_json(error: serde_json::Error) -> Malformed {
    Malformed::NotJson(error.to_string())
}

fn part<'a>(raw: &'a Bytes, span: Option<&Range<usize>>) -> Option<&'a str> {
    std::str::from_utf8(raw.get(span?.clone())?).ok()
}

/// Where `part`, which was borrowed from `text`, lies in it.
pub(crate) fn span_in(text: &str, part: &RawValue) -> Range<usize> {
    let start = (part.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.get().len()
}

fn checked(raw: &Bytes) -> Result<&str, Malformed> {
    if raw.len() > SIZE_MAX_BYTES {
        return Err(Malformed::TooLarge { size: raw.len() });
    }
    let text = std::str::from_utf8(raw).map_err(|error| Malformed::NotJson(error.to_string()))?;
    if depth(raw) > DEPTH_MAX { Err(Malformed::TooDeep) } else { Ok(text) }
}

/// The deepest nesting, counted without recursion.
fn depth(raw: &[u8]) -> usize {
    let (mut now, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in raw {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Fields<'n, const N: usize> {
    names: &'n [&'static str; N],
    fault: &'n mut Option<Malformed>,
}

impl<'de, const N: usize> DeserializeSeed<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(place) = map.next_key_seed(Place { names: self.names, fault: &mut *self.fault })? {
            let value: &'de RawValue = map.next_value()?;
            let Some((slot, name)) = place.and_then(|at| found.get_mut(at).zip(self.names.get(at))) else { continue };
            if slot.replace(value).is_some() {
                *self.fault = Some(Malformed::DuplicateKey((*name).to_owned()));
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(found)
    }
}

/// Finds a key among the known ones.
struct Place<'n, const N: usize> {
    names: &'n [&'static str; N],
    fault: &'n mut Option<Malformed>,
}

impl<'de, const N: usize> DeserializeSeed<'de> for Place<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for Place<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        let Some(at) = self.names.iter().position(|name| name.eq_ignore_ascii_case(key)) else { return Ok(None) };
        if self.names.get(at) == Some(&key) {
            return Ok(Some(at));
        }
        *self.fault = Some(Malformed::AmbiguousKey(key.to_owned()));
        Err(E::custom("ambiguous key"))
    }
}

struct Strict<'f> {
    fault: &'f mut Option<Malformed>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict { fault: &mut *self.fault })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Strict { fault: &mut *self.fault })?;
            if object.contains_key(&key) {
                *self.fault = Some(Malformed::DuplicateKey(key));
                return Err(A::Error::custom("duplicate key"));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Message, Malformed> {
        Message::read(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn sort(params: &str) -> Result<Option<Call>, Malformed> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        match read(&text)? {
            Message::Request(request) => Call::sort(request),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_keeps_its_bytes() {
        let text = r#" {"jsonrpc":"2.0", "x":[1,2.50] ,"id":"a","method":"ping","params":{"z":1e2}}"#;
        let Ok(Message::Request(request)) = read(text) else { panic!() };
        assert_eq!((request.raw().as_ref(), request.params()), (text.as_bytes(), r#"{"z":1e2}"#));
    }

    #[test]
    fn what_two_parsers_may_read_differently_is_refused() {
        let refused = |text: &str| read(text).err();
        let duplicate = |key: &str| Some(Malformed::DuplicateKey(key.to_owned()));
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#), duplicate("method"));
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"a"}"#), duplicate("method"));
        assert_eq!(
            refused(r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#),
            Some(Malformed::AmbiguousKey("Method".to_owned()))
        );
        assert_eq!(refused(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#), Some(Malformed::Batch));
        for text in [
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"id":1,"error":{}}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#,
        ] {
            assert!(refused(text).is_some(), "{text}");
        }
    }

    #[test]
    fn an_error_without_an_id_is_a_fault_and_nothing_else_is() {
        for text in [r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#, r#"{"jsonrpc":"2.0","error":{"code":1}}"#] {
            assert!(matches!(read(text), Ok(Message::Fault(fault)) if fault.body() == r#"{"code":1}"#), "{text}");
        }
        assert!(matches!(read(r#"{"jsonrpc":"2.0","id":1,"error":{}}"#), Ok(Message::Response(_))));
    }

    #[test]
    fn arguments_are_read_strictly_at_any_depth() {
        let duplicate = |key: &str| Some(Malformed::DuplicateKey(key.to_owned()));
        assert_eq!(sort(r#"{"name":"a","arguments":{"x":[{"to":1,"to":2}]}}"#).err(), duplicate("to"));
        assert_eq!(sort(r#"{"name":"a","name":"b"}"#).err(), duplicate("name"));
        assert_eq!(sort(r#"{"name":1}"#).err(), Some(Malformed::Parameter("name")));
        assert_eq!(sort(r#"{"name":"a","arguments":[]}"#).err(), Some(Malformed::Parameter("arguments")));
        assert!(matches!(sort(r#"{"name":"a"}"#), Ok(Some(Call::Judged { .. }))));
    }

    #[test]
    fn deep_and_large_messages_are_refused() {
        let nested = |depth: usize| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
        };
        assert!(read(&nested(DEPTH_MAX - 1)).is_ok());
        assert_eq!(read(&nested(DEPTH_MAX)).err(), Some(Malformed::TooDeep));
        let large = Bytes::from(vec![b' '; SIZE_MAX_BYTES + 1]);
        assert!(matches!(Message::read(large), Err(Malformed::TooLarge { .. })));
    }

    #[test]
    fn giant_ids_are_refused() {
        for id in [format!("\"{}\"", "x".repeat(ID_MAX_BYTES)), "9".repeat(ID_MAX_BYTES + 1)] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            assert_eq!(read(&text).err(), Some(Malformed::NotRpc("the id is too long")));
        }
        assert!(read(&format!(r#"{{"jsonrpc":"2.0","id":{},"method":"ping"}}"#, "9".repeat(ID_MAX_BYTES))).is_ok());
    }

    #[test]
    fn replacing_touches_nothing_else() {
        let raw = Bytes::from(r#"{ "id":1, "params":{"x":1.50,"_meta":{"a":"\u0061","progressToken":"t"}} }"#);
        let replaced = replaced(&raw, &["params", "_meta", "progressToken"], "7").unwrap();
        assert_eq!(replaced, r#"{ "id":1, "params":{"x":1.50,"_meta":{"a":"\u0061","progressToken":7}} }"#);
        assert!(super::replaced(&raw, &["params", "missing"], "7").is_none());
        assert!(super::replaced(&Bytes::from(r#"{"id":1,"id":2}"#), &["id"], "7").is_none());
    }

    #[test]
    fn equal_ids_are_equal_however_they_are_written() {
        let id = |json: &str| match read(&format!(r#"{{"jsonrpc":"2.0","id":{json},"result":{{}}}}"#)) {
            Ok(Message::Response(response)) => response.id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id(r#""a""#), id(r#""\u0061""#));
        assert_ne!(id("1"), id(r#""1""#));
        assert!(id(r#""\u0062ailiwick:1""#).is_own());
    }
}

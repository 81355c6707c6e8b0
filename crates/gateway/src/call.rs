//! The JSON-RPC envelope: the few fields that policy and routing need are read strictly; every other
//! byte passes as it came.
//!
//! Strict, because two parsers that disagree are a way around a policy: a duplicate key, or a key that
//! differs from a known one only in case (Go's decoder takes it), is refused, never resolved.
//! This module never re-serialises a message that it passes on.

mod strict;
mod task;
mod wish;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use strict::{at, fields, put, replaced, span_in, strict_value, with_member};
use strict::{checked, members, not_json};
pub(crate) use task::{Created, Standing, is_bare, may_become_task, tasks_list, told_task};
pub(crate) use wish::{Wish, wishes};

/// The largest message that is read, in bytes.
pub const SIZE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// The deepest nesting of arrays and objects that is read.
pub const DEPTH_MAX: usize = 96;
/// The longest request id that is read, in bytes.
pub const ID_MAX_BYTES: usize = 256;
/// The most addresses, and the most tasks, that one request listens to.
const LISTENED_MAX: usize = 256;
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

/// Where a protocol has room for what travels beside its messages: an object of the parameters or of the result, and a
/// member of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) object: &'static str,
    pub(crate) name: &'static str,
}

impl Beside {
    /// What travels beside a result.
    pub(crate) fn of(self, result: &Value) -> Option<&Value> {
        result.get(self.object)?.get(self.name)
    }

    /// Parameters or a result without it; an object that held nothing else goes, too.
    pub(crate) fn without(self, mut value: Value) -> Value {
        if let Some(Value::Object(object)) = value.get_mut(self.object) {
            object.retain(|key, _| !key.eq_ignore_ascii_case(self.name));
            if object.is_empty()
                && let Some(value) = value.as_object_mut()
            {
                value.remove(self.object);
            }
        }
        value
    }
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

impl Request {
    /// The same request with what travels beside it set, or taken away; nothing else differs. `None` where it would be
    /// too large.
    pub(crate) fn with_beside(&self, place: Beside, value: Option<&str>) -> Option<Self> {
        let text = std::str::from_utf8(&self.raw).ok()?;
        let Beside { object, name } = place;
        let own = || Some(format!("{{{}:{}}}", Value::from(name), value?));
        let changed = match beside_of(self, object).ok().flatten() {
            Some(_) => with_member(text, &["params", object], (name, value))?,
            // Also where what stands there is no object, or stands there twice.
            None => with_member(text, &["params"], (object, own().as_deref()))?,
        };
        match Message::read(Bytes::from(changed)) {
            Ok(Message::Request(request)) => Some(request),
            _ => None,
        }
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
    /// `resources/read`, `resources/subscribe`, `resources/unsubscribe`.
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
    /// `completion/complete`: what is typed so far goes to the server like the argument itself would.
    Completion {
        /// What the argument is of.
        of: Reference,
        /// It and those that are given already, an object.
        arguments: Value,
    },
}

/// What has arguments that can be completed.
#[derive(Clone, Debug, PartialEq)]
pub enum Reference {
    /// A prompt, by its name.
    Prompt(String),
    /// A template of resources, by its URI.
    Template(String),
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
    /// `tasks/get`, `tasks/result`, `tasks/cancel`, `tasks/update`: about a call that was permitted and goes on.
    Task {
        /// The request.
        request: Request,
        /// The task, as its server knows it.
        task: String,
    },
    /// `tasks/list`: the answer is filtered.
    ListTasks(Request),
    /// `subscriptions/listen` with addresses or tasks: policy decides about each.
    Listen {
        /// The request.
        request: Request,
        /// The addresses of resources.
        uris: Vec<String>,
        /// The tasks.
        tasks: Vec<String>,
    },
    /// Passes, and its answer too.
    Plumbing(Request),
}

/// Requests that only open, close or describe the conversation.
const PLUMBING: &[&str] = &[
    "initialize",
    "ping",
    "server/discover",
    "logging/setLevel",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
];

impl Call {
    /// Sorts a client's request. An unknown method is `None`: what cannot be judged does not pass.
    pub fn sort(request: Request) -> Result<Option<Self>, Malformed> {
        let subject = match request.method.as_str() {
            "tools/call" => {
                let [name, arguments] = fields(request.params(), &["name", "arguments"])?;
                Subject::Tool { name: string(name, "name")?, arguments: object(arguments)? }
            }
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                let [uri] = fields(request.params(), &["uri"])?;
                Subject::Resource { uri: string(uri, "uri")? }
            }
            "prompts/get" => {
                let [name, arguments] = fields(request.params(), &["name", "arguments"])?;
                Subject::Prompt { name: string(name, "name")?, arguments: object(arguments)? }
            }
            "completion/complete" => completion(&request)?,
            "tools/list" => return Ok(Some(Self::ListTools(request))),
            "tasks/list" => return Ok(Some(Self::ListTasks(request))),
            "tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/update" => {
                let [task] = fields(request.params(), &["taskId"])?;
                let task = string(task, "taskId")?;
                return Ok(Some(Self::Task { request, task }));
            }
            "subscriptions/listen" => {
                let (uris, tasks) = listened(&request)?;
                let bare = uris.is_empty() && tasks.is_empty();
                return Ok(Some(if bare { Self::Plumbing(request) } else { Self::Listen { request, uris, tasks } }));
            }
            method if PLUMBING.contains(&method) => return Ok(Some(Self::Plumbing(request))),
            _ => return Ok(None),
        };
        Ok(Some(Self::Judged { request, subject }))
    }
}

/// What a request of the protocol without sessions says of its client, for a request of our own on its behalf.
pub(crate) fn envelope(request: &Request) -> Option<Value> {
    let [meta] = fields(request.params(), &["_meta"]).ok()?;
    let Value::Object(mut meta) = strict_value(meta?.get()).ok()? else { return None };
    meta.retain(|key, _| key.starts_with("io.modelcontextprotocol/") && key != "io.modelcontextprotocol/logLevel");
    (!meta.is_empty()).then_some(Value::Object(meta))
}

/// The members of the object beside a request, if that is an object. That it is there twice, or in another case, is an
/// error.
fn beside_of<'a>(request: &'a Request, object: &'static str) -> Result<Option<Vec<(String, &'a RawValue)>>, Malformed> {
    let [found] = fields(request.params(), &[object])?;
    Ok(found.and_then(|found| members(found.get()).ok()))
}

/// What travels beside a request as JSON text, if it is there: `None` within if it is there twice, or in another case.
pub(crate) fn beside(request: &Request, Beside { object, name }: Beside) -> Result<Option<Option<String>>, Malformed> {
    let all = beside_of(request, object)?.unwrap_or_default();
    let mut found = all.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let Some((key, value)) = found.next() else { return Ok(None) };
    Ok(Some((found.next().is_none() && key == name).then(|| value.get().to_owned())))
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

/// The request that a `notifications/cancelled` cancels.
pub(crate) fn cancelled(notification: &Notification) -> Option<Id> {
    if notification.method != "notifications/cancelled" {
        return None;
    }
    let [id] = fields(notification.params(), &["requestId"]).ok()?;
    Id::read(id?).ok()
}

fn completion(request: &Request) -> Result<Subject, Malformed> {
    let [reference, argument, context] = fields(request.params(), &["ref", "argument", "context"])?;
    let [kind, name, uri] = fields(reference.map_or("{}", RawValue::get), &["type", "name", "uri"])?;
    let of = match string(kind, "ref")?.as_str() {
        "ref/prompt" => Reference::Prompt(string(name, "ref")?),
        "ref/resource" => Reference::Template(string(uri, "ref")?),
        _ => return Err(Malformed::Parameter("ref")),
    };
    let [name, value] = fields(argument.map_or("{}", RawValue::get), &["name", "value"])?;
    let (name, value) = (string(name, "argument")?, string(value, "argument")?);
    let [given] = fields(context.map_or("{}", RawValue::get), &["arguments"])?;
    let mut arguments = object(given)?;
    if arguments.get(&name).is_some() {
        // One of the two would be judged and the other read.
        return Err(Malformed::Parameter("context"));
    }
    put(&mut arguments, &name, value);
    Ok(Subject::Completion { of, arguments })
}

/// The addresses and tasks of which a client wants to hear.
fn listened(request: &Request) -> Result<(Vec<String>, Vec<String>), Malformed> {
    let [wanted] = fields(request.params(), &["notifications"])?;
    let [uris, tasks] = fields(wanted.map_or("{}", RawValue::get), &["resourceSubscriptions", "taskIds"])?;
    let list = |raw: Option<&RawValue>| -> Result<Vec<String>, Malformed> {
        let list = raw.map_or(Some(Vec::new()), |raw| serde_json::from_str(raw.get()).ok());
        list.filter(|list: &Vec<String>| list.len() <= LISTENED_MAX).ok_or(Malformed::Parameter("notifications"))
    };
    Ok((list(uris)?, list(tasks)?))
}

fn string(raw: Option<&RawValue>, name: &'static str) -> Result<String, Malformed> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).ok_or(Malformed::Parameter(name))
}

fn object(raw: Option<&RawValue>) -> Result<Value, Malformed> {
    let value = strict_value(raw.map_or("{}", RawValue::get))?;
    if value.is_object() { Ok(value) } else { Err(Malformed::Parameter("arguments")) }
}

fn part<'a>(raw: &'a Bytes, span: Option<&Range<usize>>) -> Option<&'a str> {
    std::str::from_utf8(raw.get(span?.clone())?).ok()
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
    fn a_member_of_meta_is_set_and_taken_away_and_nothing_else_changes() {
        let request = |params: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0", "id":1,"method":"tools/call","params":{params}}}"#);
            match read(&text) {
                Ok(Message::Request(request)) => request,
                other => panic!("{other:?}"),
            }
        };
        let plain = request(r#"{"name":"a","arguments":{"x":1.50}}"#);
        let place = Beside { object: "_meta", name: "k/l" };
        let set = plain.with_beside(place, Some("[1]")).unwrap();
        assert_eq!(set.params(), r#"{"name":"a","arguments":{"x":1.50},"_meta":{"k/l":[1]}}"#);
        assert_eq!(beside(&set, place), Ok(Some(Some("[1]".to_owned()))));
        assert_eq!(set.with_beside(place, None).unwrap().params(), r#"{"name":"a","arguments":{"x":1.50},"_meta":{}}"#);
        // However it is written, and however often.
        for meta in [r#"{"k\/l":1,"z":2e1,"K/L":3,"k/l":4}"#, "null", r#"{"z":2e1},"_meta":{"k/l":4}"#] {
            let odd = request(&format!(r#"{{"name":"a","_meta":{meta}}}"#));
            assert!(!matches!(beside(&odd, place), Ok(Some(Some(_)))), "{meta}");
            let set = odd.with_beside(place, Some("5")).unwrap();
            assert_eq!(beside(&set, place), Ok(Some(Some("5".to_owned()))), "{meta}");
        }
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

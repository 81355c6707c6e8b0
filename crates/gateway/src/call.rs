//! The JSON-RPC envelope: the few fields that policy and routing need are read strictly; every other
//! byte passes as it came.
//!
//! Strict, because two parsers that disagree are a way around a policy: a duplicate key, or a key that
//! differs from a known one only in case (Go's decoder takes it), is refused, never resolved.
//! This module never re-serialises a message that it passes on.

mod beside;
mod message;
mod strict;
mod task;
mod wish;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use beside::{Beside, beside};
pub use message::{
    DEPTH_MAX, Fault, ID_MAX_BYTES, Id, Malformed, Message, Notification, OWN_ID_PREFIX, Request, Response,
    SIZE_MAX_BYTES,
};
pub(crate) use strict::{at, fields, put, replaced, span_in, strict_value, with_member};
pub(crate) use task::{Created, Standing, is_bare, may_become_task, tasks_list, told_task};
pub(crate) use wish::{Wish, wishes};

/// The most addresses, and the most tasks, that one request listens to.
const LISTENED_MAX: usize = 256;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(params: &str) -> Result<Option<Call>, Malformed> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        match Message::read(Bytes::from(text))? {
            Message::Request(request) => Call::sort(request),
            other => panic!("{other:?}"),
        }
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
    fn replacing_touches_nothing_else() {
        let raw = Bytes::from(r#"{ "id":1, "params":{"x":1.50,"_meta":{"a":"\u0061","progressToken":"t"}} }"#);
        let replaced = replaced(&raw, &["params", "_meta", "progressToken"], "7").unwrap();
        assert_eq!(replaced, r#"{ "id":1, "params":{"x":1.50,"_meta":{"a":"\u0061","progressToken":7}} }"#);
        assert!(super::replaced(&raw, &["params", "missing"], "7").is_none());
        assert!(super::replaced(&Bytes::from(r#"{"id":1,"id":2}"#), &["id"], "7").is_none());
    }
}

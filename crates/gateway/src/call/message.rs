//! One JSON-RPC message: its few fields that routing needs are read strictly, and its bytes are kept as they came.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::strict::{fields, not_json, readable, span_in};

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

    pub(super) fn read(raw: &RawValue) -> Result<Self, Malformed> {
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
        let raw = readable(raw)?;
        let text = std::str::from_utf8(&raw).map_err(|error| Malformed::NotJson(error.to_string()))?;
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

fn part<'a>(raw: &'a Bytes, span: Option<&Range<usize>>) -> Option<&'a str> {
    std::str::from_utf8(raw.get(span?.clone())?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Message, Malformed> {
        Message::read(Bytes::copy_from_slice(text.as_bytes()))
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
    fn what_is_read_can_be_read_as_a_whole() {
        let result = |text: &str| match read(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{text}}}"#)) {
            Ok(Message::Response(response)) => Some(response.body().to_owned()),
            _ => None,
        };
        // Numbers that are no doubles go past a parser that skips them.
        assert_eq!(result(r#"{"n":1e999}"#), None);
        assert_eq!(result(r#"{"n":"\uzzzz"}"#), None);
        // A text that was cut within a character loses that character, wherever it stands.
        for (text, read) in [
            (r#"{"a":"x\ud83d"}"#, r#"{"a":"x\ufffd"}"#),
            (r#"{"a":"\uDE00 \ud83d\ude00"}"#, r#"{"a":"\ufffd \ud83d\ude00"}"#),
            (r#"{"\ud83d\ud83d\ude00":1}"#, r#"{"\ufffd\ud83d\ude00":1}"#),
            (r#"{"a":"\\ud83d"}"#, r#"{"a":"\\ud83d"}"#),
        ] {
            assert_eq!(result(text).as_deref(), Some(read));
            assert!(serde_json::from_str::<Value>(read).is_ok());
        }
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

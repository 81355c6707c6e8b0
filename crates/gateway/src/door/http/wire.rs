//! Bodies and headers: what is read of a request, and how an answer is written.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response as HttpResponse, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::answer;
use crate::call::{Call, DEPTH_MAX, Id, Message, Request, Response, SIZE_MAX_BYTES, Subject};
use crate::sse;
use crate::upstream::remote::{METHOD_HEADER, NAME_HEADER};

/// What the bodies are that go on.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What the names of headers that say arguments begin with.
const PARAM_PREFIX: &str = "mcp-param-";

/// How long a client may take to send a body.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// Turns a reply into events of a stream that has begun, to its end or until the client leaves: then nobody waits for more.
pub(super) async fn into_events(reply: HttpResponse<Reply>, to: &mpsc::Sender<Bytes>, id: &Id) {
    match reply.into_body() {
        Reply::Stream(mut events) => {
            let all = async {
                while let Some(event) = events.recv().await {
                    if to.send(event).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = all => {}
                () = to.closed() => {}
            }
        }
        Reply::Whole(Some(bytes)) if Message::read(bytes.clone()).is_ok() => {
            let one_line: Vec<u8> =
                bytes.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
            let _ = to.send(sse::event(&one_line)).await;
        }
        Reply::Whole(_) => {
            let line = answer::error(Some(id), answer::UPSTREAM, "the server answered with no message");
            let _ = to.send(sse::event(&line)).await;
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Reply {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Bytes>),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(events) => events.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

pub(super) fn whole(status: StatusCode, headers: HeaderMap, bytes: Bytes) -> HttpResponse<Reply> {
    let mut response = HttpResponse::new(Reply::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

pub(super) fn stream(status: StatusCode, mut headers: HeaderMap, events: mpsc::Receiver<Bytes>) -> HttpResponse<Reply> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    let mut response = HttpResponse::new(Reply::Stream(events));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

pub(super) fn json(status: StatusCode, bytes: Bytes) -> HttpResponse<Reply> {
    whole(status, HeaderMap::from_iter([(CONTENT_TYPE, JSON)]), bytes)
}

/// Taken, and there is no answer.
pub(super) fn nothing() -> HttpResponse<Reply> {
    whole(StatusCode::ACCEPTED, HeaderMap::new(), Bytes::new())
}

pub(super) fn plain(status: StatusCode, text: &'static str) -> HttpResponse<Reply> {
    whole(status, HeaderMap::new(), Bytes::from_static(text.as_bytes()))
}

/// The body of a request, if it is JSON as everybody reads it, of a bearable size, and comes in time.
pub(super) async fn read_body(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Box<HttpResponse<Reply>>> {
    let refuse = |status, text| Err(Box::new(plain(status, text)));
    if !is_type(headers, "application/json") {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json");
    }
    // A server that decodes a body otherwise than we do would act on one that nobody judged.
    if headers.contains_key(CONTENT_ENCODING) || !is_utf8(headers) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be UTF-8 that is not compressed");
    }
    match tokio::time::timeout(BODY_WAIT, Limited::new(body, SIZE_MAX_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
        }
        Ok(Err(_)) => refuse(StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    }
}

/// The one answer in a server's reply, for requests of the gateway's own.
pub(super) async fn only_answer(answer: HttpResponse<Incoming>, id: &Id) -> Option<Response> {
    let is_stream = is_type(answer.headers(), "text/event-stream");
    let fits = |bytes: Bytes| match Message::read(bytes) {
        Ok(Message::Response(response)) if response.id == *id => Some(response),
        _ => None,
    };
    let mut body = Limited::new(answer.into_body(), SIZE_MAX_BYTES);
    if !is_stream {
        return fits(body.collect().await.ok()?.to_bytes());
    }
    let mut events = sse::Events::default();
    while let Some(Ok(frame)) = body.frame().await {
        events.push(frame.data_ref()?).ok()?;
        while let Some(event) = events.next() {
            if let Some(response) = sse::data(&event).and_then(fits) {
                return Some(response);
            }
        }
    }
    None
}

pub(super) fn header_mismatch(headers: &HeaderMap, request: &Request, call: &Call) -> Option<&'static str> {
    let says = |name: &HeaderName, value: Option<&str>| {
        let mut all = headers.get_all(name).iter();
        all.all(|header| value.is_some_and(|value| header.as_bytes() == value.as_bytes() || is_encoded(header, value)))
    };
    let name = match call {
        Call::Judged { subject: Subject::Tool { name, .. } | Subject::Prompt { name, .. }, .. } => Some(name.as_str()),
        Call::Judged { subject: Subject::Resource { uri }, .. } => Some(uri.as_str()),
        Call::Task { task, .. } => Some(task.as_str()),
        Call::Judged { subject: Subject::Completion { .. }, .. }
        | Call::ListTools(_)
        | Call::ListTasks(_)
        | Call::Listen { .. }
        | Call::Plumbing(_) => None,
    };
    if !says(&METHOD_HEADER, Some(&request.method)) {
        return Some("the Mcp-Method header is not the body's method");
    }
    if name.is_some() && !says(&NAME_HEADER, name) {
        return Some("the Mcp-Name header is not the body's name");
    }
    None
}

/// The headers that say arguments of a tool, which its schema names (`x-mcp-header`).
pub(super) fn params(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let is_param = |name: &HeaderName| name.as_str().starts_with(PARAM_PREFIX);
    headers.iter().filter(|(name, _)| is_param(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether such a header says anything else than the body does, or what no argument is declared to say.
pub(super) fn param_mismatch(headers: &HeaderMap, schema: &Value, arguments: &Value) -> Option<&'static str> {
    let says = |(name, header): &(HeaderName, HeaderValue)| {
        let name = name.as_str().strip_prefix(PARAM_PREFIX).unwrap_or_default();
        declared(schema, arguments, name, DEPTH_MAX).is_some_and(|argument| match argument {
            Value::String(text) => header.as_bytes() == text.as_bytes() || is_encoded(header, text),
            Value::Number(_) | Value::Bool(_) => header.as_bytes() == argument.to_string().as_bytes(),
            _ => false,
        })
    };
    let is_same = params(headers).iter().all(says);
    (!is_same).then_some("an Mcp-Param header is not the body's argument")
}

/// The argument that a schema has a header say.
fn declared<'a>(schema: &Value, arguments: &'a Value, header: &str, depth: usize) -> Option<&'a Value> {
    let depth = depth.checked_sub(1)?;
    let mut properties = schema.get("properties")?.as_object()?.iter();
    properties.find_map(|(name, property)| {
        let argument = arguments.get(name)?;
        let named = property.get("x-mcp-header").and_then(Value::as_str);
        if named.is_some_and(|named| named.eq_ignore_ascii_case(header)) {
            return Some(argument);
        }
        declared(property, argument, header, depth)
    })
}

/// Whether a header says a value in the form for what a header cannot hold: `=?base64?…?=`.
fn is_encoded(header: &HeaderValue, value: &str) -> bool {
    let inner = header.as_bytes().strip_prefix(b"=?base64?").and_then(|rest| rest.strip_suffix(b"?="));
    inner.is_some_and(|inner| BASE64_STANDARD.encode(value).as_bytes() == inner)
}

pub(super) fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    content_type(headers).split(';').next().is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
}

/// Whether the type of a body names no charset but the one that JSON has.
fn is_utf8(headers: &HeaderMap) -> bool {
    let mut parameters = content_type(headers).split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    parameters.all(|(name, value)| {
        let value = value.trim().trim_matches('"');
        let is_charset = name.trim().to_ascii_lowercase().starts_with("charset");
        !is_charset || ["utf-8", "utf8"].iter().any(|utf8| value.eq_ignore_ascii_case(utf8))
    })
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|value| value.contains("text/event-stream")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    /// Else what the server does for it goes on as long as the server says nothing.
    #[tokio::test]
    async fn a_stream_is_let_go_when_its_client_leaves() {
        let request = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        let Ok(Message::Request(request)) = Message::read(request) else { panic!("a request") };
        let ((server, events), (to, client)) = (mpsc::channel(1), mpsc::channel(1));
        let passes = into_events(stream(StatusCode::OK, HeaderMap::new(), events), &to, &request.id);
        let leaves = async { drop(client) };
        let done = async { tokio::join!(passes, leaves) };
        tokio::time::timeout(Duration::from_secs(10), done).await.unwrap();
        assert!(server.is_closed());
    }

    #[test]
    fn a_header_of_an_argument_says_what_the_argument_says() {
        let region = json!({ "type": "string", "x-mcp-header": "Region" });
        let deep = json!({ "type": "object", "properties": { "n": { "type": "integer", "x-mcp-header": "Count" } } });
        let schema = json!({ "type": "object", "properties": { "region": region, "of": deep, "q": {} } });
        let arguments = json!({ "region": "eu-test", "of": { "n": 7 }, "q": "x" });
        let is_same = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for &(name, value) in pairs {
                headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            param_mismatch(&headers, &schema, &arguments).is_none()
        };
        assert!(is_same(&[]) && is_same(&[("mcp-param-region", "eu-test"), ("mcp-param-count", "7")]));
        assert!(is_same(&[("mcp-param-region", "=?base64?ZXUtdGVzdA==?=")]));
        assert!(!is_same(&[("mcp-param-region", "us-prod")]) && !is_same(&[("mcp-param-count", "8")]));
        assert!(!is_same(&[("mcp-param-region", "eu-test"), ("mcp-param-region", "us-prod")]));
        assert!(!is_same(&[("mcp-param-q", "x")]), "no argument is declared to say it");
    }
}

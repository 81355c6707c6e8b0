//! A server that speaks Streamable HTTP, as two streams of lines: where the gateway itself is its client, because it
//! joins several servers or translates between eras.
//!
//! This module carries and never decides: what it is given to send was permitted, or is plumbing, and what comes back is
//! judged by who reads it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response as HttpResponse, StatusCode, Uri};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::answer;
use crate::call::{self, Id, Message, Notification, Plumbing, Request, SIZE_MAX_BYTES};
use crate::lines::{Line, Lines};
use crate::sse;
use crate::upstream::http::{Outbound, Target, Unreachable};
use crate::upstream::link::{QUEUE, pump};

pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const NAME_HEADER: HeaderName = HeaderName::from_static("mcp-name");
const LAST_EVENT_HEADER: HeaderName = HeaderName::from_static("last-event-id");

/// How much of a message is under way.
const PIPE_BYTES: usize = 64 * 1024;
/// The most requests that wait for the server at a time.
const OPEN_MAX: usize = 256;
/// How long the server may take to accept a notification, or the end of the session.
const ASIDE_WAIT: Duration = Duration::from_secs(10);
/// How long until a stream that ended is taken up again, where the server does not say.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// And the longest that it may say.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60);
/// How often a stream that ends before its answer is taken up again.
const AGAIN_MAX: usize = 60;

/// Where a server is, and what it wants to hear with every request.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub(crate) outbound: Outbound,
    pub(crate) uri: Uri,
    /// Headers of the caller, already without those of the connection; a caller may bring new ones.
    pub(crate) headers: Arc<Mutex<HeaderMap>>,
    /// How long an answer may take.
    pub(crate) wait: Duration,
}

/// Opens a conversation, which ends when either half is dropped.
pub(crate) fn connect(remote: Remote) -> (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>) {
    let (ours, theirs) = duplex(PIPE_BYTES);
    let (from_client, to_client) = split(theirs);
    let (lines, queue) = mpsc::channel(QUEUE);
    tokio::spawn(pump(queue, to_client));
    let talk = Talk { remote, lines, said: Mutex::default(), open: Mutex::default(), over: Notify::new() };
    tokio::spawn(run(Arc::new(talk), Lines::new(from_client)));
    split(ours)
}

#[derive(Debug)]
struct Talk {
    remote: Remote,
    lines: mpsc::Sender<Bytes>,
    said: Mutex<Said>,
    /// The requests that wait for the server. Held only for map work.
    open: Mutex<HashMap<Id, AbortHandle>>,
    /// The server has forgotten the session.
    over: Notify,
}

/// What the server said in the handshake.
#[derive(Clone, Debug, Default)]
struct Said {
    session: Option<HeaderValue>,
    version: Option<HeaderValue>,
}

/// What a stream said of how it is taken up again.
#[derive(Default)]
struct Seen {
    /// Of the last numbered event.
    number: Option<HeaderValue>,
    retry: Option<Duration>,
}

impl Seen {
    fn note(&mut self, event: &[u8]) {
        let number = sse::number(event).and_then(|number| HeaderValue::from_bytes(number).ok());
        self.number = number.or(self.number.take());
        self.retry = sse::retry(event).or(self.retry);
    }

    async fn wait(&self) {
        tokio::time::sleep(self.retry.unwrap_or(AGAIN_AFTER).min(AGAIN_AFTER_MAX)).await;
    }

    /// From where on to hear a stream.
    fn headers(&self) -> HeaderMap {
        self.number.iter().map(|number| (LAST_EVENT_HEADER, number.clone())).collect()
    }
}

/// There is no answer: what the client is told instead.
struct Lost {
    code: i64,
    why: String,
}

impl Lost {
    /// Nobody knows what became of the request.
    fn new(why: impl Into<String>) -> Self {
        Self { code: answer::UPSTREAM, why: why.into() }
    }
}

impl From<Unreachable> for Lost {
    fn from(error: Unreachable) -> Self {
        Self { code: error.code(), why: error.to_string() }
    }
}

async fn run<R: AsyncRead + Unpin>(talk: Arc<Talk>, mut from_client: Lines<R>) {
    let mut requests = JoinSet::new();
    let read = async {
        while let Some(line) = from_client.next().await {
            while requests.try_join_next().is_some() {}
            let Line::Whole(line) = line else { continue };
            match Message::read(line) {
                Ok(Message::Request(request)) if requests.len() >= OPEN_MAX => {
                    talk.tell(answer::error(Some(&request.id), answer::BUSY, "too many requests are open")).await;
                }
                Ok(Message::Request(request)) => {
                    let id = request.id.clone();
                    // Held from before the task begins, so that it cannot end before it is known.
                    let mut open = talk.hold_open();
                    open.insert(id, requests.spawn(talk.clone().request(request)));
                }
                Ok(Message::Notification(note)) => talk.notification(&note, &mut requests).await,
                Ok(Message::Response(response)) => talk.aside(response.raw().clone()).await,
                Ok(Message::Fault(_)) => {}
                Err(fault) => tracing::warn!(%fault, "dropped a message for a server"),
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = talk.over.notified() => {}
        () = talk.lines.closed() => {}
    }
    requests.shutdown().await;
    if talk.hold_said().session.is_some() {
        let target = Target { wait: ASIDE_WAIT, ..talk.target(HeaderMap::new()) };
        // A server may refuse to be told.
        drop(talk.remote.outbound.leave(target).await);
    }
}

impl Talk {
    async fn tell(&self, line: Bytes) {
        // That nobody listens any more ends the conversation elsewhere.
        drop(self.lines.send(line).await);
    }

    /// The caller's headers, the conversation's, and those of one message.
    fn target(&self, own: HeaderMap) -> Target {
        let mut headers = self.remote.headers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for name in [VERSION_HEADER, SESSION_HEADER, METHOD_HEADER, NAME_HEADER, LAST_EVENT_HEADER] {
            headers.remove(name);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let said = self.hold_said().clone();
        headers.extend(said.version.map(|version| (VERSION_HEADER, version)));
        headers.extend(said.session.map(|session| (SESSION_HEADER, session)));
        for (name, value) in own {
            headers.extend(name.map(|name| (name, value)));
        }
        Target { uri: self.remote.uri.clone(), headers, wait: self.remote.wait }
    }

    async fn notification(self: &Arc<Self>, note: &Notification, tasks: &mut JoinSet<()>) {
        // Without a session, to leave the stream is to cancel.
        if self.hold_said().version.is_some() {
            self.aside(note.raw().clone()).await;
        }
        if note.method == "notifications/initialized" {
            tasks.spawn(self.clone().listen());
        }
        if let Some(task) = call::cancelled(note).and_then(|id| self.hold_open().remove(&id)) {
            task.abort();
        }
    }

    /// A message that has no answer.
    async fn aside(&self, raw: Bytes) {
        let target = Target { wait: ASIDE_WAIT, ..self.target(HeaderMap::new()) };
        match self.remote.outbound.pass(&Plumbing::aside(raw), target).await {
            Ok(answer) if answer.status() == StatusCode::NOT_FOUND => self.over.notify_one(),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a server did not hear a message"),
        }
    }

    /// What the server says outside of requests, for as long as the conversation lasts.
    async fn listen(self: Arc<Self>) {
        let mut seen = Seen::default();
        loop {
            let Ok(answer) = self.remote.outbound.listen(self.target(seen.headers())).await else { return };
            if !answer.status().is_success() || !is_events(&answer) {
                return;
            }
            self.events(answer, None, &mut seen).await;
            seen.wait().await;
        }
    }

    async fn request(self: Arc<Self>, request: Request) {
        if let Err(Lost { code, why }) = self.exchange(&request).await {
            self.tell(answer::error(Some(&request.id), code, &why)).await;
        }
        self.hold_open().remove(&request.id);
    }

    async fn exchange(&self, request: &Request) -> Result<(), Lost> {
        let plumbing = Plumbing::aside(request.raw().clone());
        let mut answer = self.remote.outbound.pass(&plumbing, self.target(stateless_headers(request))).await?;
        if answer.status() == StatusCode::NOT_FOUND && self.hold_said().session.is_some() {
            self.over.notify_one();
        }
        if !is_events(&answer) {
            return self.whole(request, answer).await;
        }
        self.opened(request, answer.headers(), None);
        let mut seen = Seen::default();
        for _ in 0..AGAIN_MAX {
            if self.events(answer, Some(request), &mut seen).await {
                return Ok(());
            }
            // A server may end a stream and go on in another, if it numbers its events.
            let broke = || Lost::new("the server's answer broke off");
            seen.number.as_ref().ok_or_else(broke)?;
            seen.wait().await;
            answer = self.remote.outbound.listen(self.target(seen.headers())).await?;
            if !answer.status().is_success() || !is_events(&answer) {
                return Err(broke());
            }
        }
        Err(Lost::new("the server's answer broke off too often"))
    }

    /// The answer in one piece.
    async fn whole(&self, request: &Request, answer: HttpResponse<Incoming>) -> Result<(), Lost> {
        let (head, body) = answer.into_parts();
        let read = tokio::time::timeout(self.remote.wait, Limited::new(body, SIZE_MAX_BYTES).collect()).await;
        let bytes = match read {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return Err(Lost::new("the server's answer broke off or is too large")),
            Err(_) => return Err(Lost::new("the server did not answer in time")),
        };
        match Message::read(bytes) {
            Ok(Message::Response(response)) if response.id == request.id => {
                self.opened(request, &head.headers, Some(response.body()));
                self.tell(response.raw().clone()).await;
                Ok(())
            }
            // An error that names no request is the answer to the only one that was sent.
            Ok(Message::Fault(fault)) => {
                self.tell(Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, request.id, fault.body())))
                    .await;
                Ok(())
            }
            _ if head.status.is_success() => Err(Lost::new("the server answered something else")),
            _ => Err(Lost::new(format!("the server answered {}", head.status))),
        }
    }

    /// Passes events on; whether the answer to the request was among them. Ends with it, or with the stream.
    async fn events(&self, answer: HttpResponse<Incoming>, request: Option<&Request>, seen: &mut Seen) -> bool {
        let mut events = sse::Events::default();
        let mut body = answer.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            let Some(bytes) = frame.data_ref() else { continue };
            if events.push(bytes).is_err() {
                tracing::warn!("closed a stream whose event is too large");
                return false;
            }
            while let Some(event) = events.next() {
                seen.note(&event);
                let Some(data) = sse::data(&event) else { continue };
                let answered = match Message::read(data.clone()) {
                    Ok(Message::Response(response)) => Some(response),
                    _ => None,
                };
                self.tell(data).await;
                match (answered, request) {
                    (Some(response), Some(request)) if response.id == request.id => {
                        self.opened(request, &HeaderMap::new(), Some(response.body()));
                        return true;
                    }
                    // To what was asked on another stream, where nothing more will come.
                    (Some(response), _) => {
                        if let Some(task) = self.hold_open().remove(&response.id) {
                            task.abort();
                        }
                    }
                    (None, _) => {}
                }
            }
        }
        false
    }

    /// Notes what an answer to the handshake says.
    fn opened(&self, request: &Request, headers: &HeaderMap, result: Option<&str>) {
        if request.method != "initialize" {
            return;
        }
        let mut said = self.hold_said();
        if let Some(session) = headers.get(SESSION_HEADER) {
            said.session = Some(session.clone());
        }
        let version = || {
            let [version] = call::fields(result?, &["protocolVersion"]).ok()?;
            serde_json::from_str::<String>(version?.get()).ok()
        };
        if let Some(version) = version().and_then(|version| HeaderValue::from_str(&version).ok()) {
            said.version = Some(version);
        }
    }

    fn hold_said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold_open(&self) -> MutexGuard<'_, HashMap<Id, AbortHandle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_events(answer: &HttpResponse<Incoming>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// What the protocol without sessions says of a request in its headers.
fn stateless_headers(request: &Request) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(version) = call::version(request).filter(|_| call::is_stateless(request)) else { return headers };
    headers.extend(HeaderValue::from_str(&version).map(|version| (VERSION_HEADER, version)));
    headers.extend(HeaderValue::from_str(&request.method).map(|method| (METHOD_HEADER, method)));
    let [name, uri] = call::fields(request.params(), &["name", "uri"]).unwrap_or_default();
    let named = match request.method.as_str() {
        "tools/call" | "prompts/get" => name,
        "resources/read" => uri,
        _ => None,
    };
    let named = named.map(RawValue::get).and_then(|text| serde_json::from_str::<String>(text).ok());
    headers.extend(named.and_then(|name| Some((NAME_HEADER, header_of(&name)?))));
    headers
}

/// A name as a header says it; what a header cannot hold is encoded.
fn header_of(name: &str) -> Option<HeaderValue> {
    let holds = name.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && name.trim() == name;
    if holds && !name.starts_with("=?") {
        return HeaderValue::from_str(name).ok();
    }
    HeaderValue::from_str(&format!("=?base64?{}?=", BASE64_STANDARD.encode(name))).ok()
}

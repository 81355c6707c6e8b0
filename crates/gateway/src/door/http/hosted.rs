//! A server that speaks over standard input and output, fronted over HTTP: the gateway starts it and owns it.
//!
//! A client of the stateful protocol has a server process for each of its sessions. Clients of the protocol without
//! sessions share one process for each agent, so every request gets a number of its own on the way in and its own id
//! back on the way out. What is judged is judged by [`relay`], as for a shim; this module only carries.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request as HttpRequest, Response as HttpResponse, StatusCode};
use serde_json::Value;
use tokio::io::{duplex, split};
use tokio::sync::{Notify, mpsc};

use super::screen::{Conversation, place};
use super::{
    HttpDoor, Reply, SESSION_HEADER, Ticket, accepts_events, header_mismatch, json, plain, read_body, stream, whole,
};
use crate::answer;
use crate::call::{self, Call, Id, Message, Notification, Request};
use crate::door::era;
use crate::door::relay::{self, Ends, Parties};
use crate::lines::{Line, Lines};
use crate::session::Caller;
use crate::sse;
use crate::upstream::child::{Program, Server};
use crate::upstream::link::{QUEUE, pump};

/// The most server processes at a time.
const HOSTS_MAX: usize = 64;
/// How long a process stays that nobody uses.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// How many messages wait for a slow client of one request.
const EVENTS: usize = 64;
/// How much of a message is under way within the gateway.
const PIPE_BYTES: usize = 64 * 1024;

/// The server processes by conversation.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<HashMap<Conversation, Arc<Host>>>);

/// One server process and who waits for it.
#[derive(Debug)]
pub(crate) struct Host {
    to_server: mpsc::Sender<Bytes>,
    next: AtomicU64,
    /// Held only for map work.
    state: Mutex<State>,
    over: Notify,
}

#[derive(Debug)]
struct State {
    open: BTreeMap<u64, Open>,
    /// The client's stream for what belongs to no request.
    listener: Option<mpsc::Sender<Bytes>>,
    used: Instant,
    is_over: bool,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Open {
    id: Id,
    /// The client's own progress token.
    token: Option<String>,
    events: mpsc::Sender<Event>,
}

/// What comes back on a request's way.
#[derive(Debug)]
enum Event {
    Answer(Bytes),
    /// A notification, or a request of the server.
    Aside(Bytes),
}

/// One HTTP request to a hosted server.
pub(crate) struct Visit {
    pub(crate) door: Arc<HttpDoor>,
    pub(crate) caller: Caller,
    /// Absent for an agent of this machine.
    pub(crate) ticket: Option<Ticket>,
    pub(crate) server: String,
    pub(crate) program: Arc<Program>,
    pub(crate) is_stateless: bool,
    pub(crate) session: Option<HeaderValue>,
}

impl Visit {
    pub(crate) async fn serve(self, request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let method = request.method().clone();
        if method == Method::POST {
            return self.post(request).await;
        }
        let host = self.session.as_ref().filter(|_| !self.is_stateless).and_then(|_| self.known());
        match (host, method) {
            (Some(host), Method::GET) => {
                let (listener, events) = mpsc::channel(QUEUE);
                host.lock().listener = Some(listener);
                stream(StatusCode::OK, HeaderMap::new(), events)
            }
            (Some(host), Method::DELETE) => {
                host.over.notify_one();
                plain(StatusCode::OK, "")
            }
            (None, Method::GET | Method::DELETE) if !self.is_stateless => {
                plain(StatusCode::NOT_FOUND, "no such session")
            }
            _ => plain(StatusCode::METHOD_NOT_ALLOWED, "use POST"),
        }
    }

    fn known(&self) -> Option<Arc<Host>> {
        let key = place(&self.caller, &self.server, self.session.as_ref());
        self.door.hosts.lock().get(&key).cloned()
    }

    async fn post(self, request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let (head, body) = request.into_parts();
        let body = match read_body(&head.headers, body).await {
            Ok(body) => body,
            Err(refused) => return *refused,
        };
        match Message::read(body) {
            Ok(Message::Request(request)) => self.request(&head.headers, request).await,
            Ok(Message::Notification(note)) => self.aside(note.raw().clone()).await,
            Ok(Message::Response(response)) => self.aside(response.raw().clone()).await,
            Ok(Message::Fault(fault)) => self.aside(fault.raw().clone()).await,
            Err(fault) => json(StatusCode::BAD_REQUEST, answer::malformed(None, &fault)),
        }
    }

    /// A notification, or an answer to a request of the server. The protocol without sessions has neither.
    async fn aside(&self, raw: Bytes) -> HttpResponse<Reply> {
        if !self.is_stateless {
            let Some(host) = self.known() else { return plain(StatusCode::NOT_FOUND, "no such session") };
            let raw = host.with_numbers(raw);
            if host.to_server.send(raw).await.is_err() {
                return plain(StatusCode::NOT_FOUND, "the server has ended");
            }
        }
        whole(StatusCode::ACCEPTED, HeaderMap::new(), Bytes::new())
    }

    async fn request(self, headers: &HeaderMap, request: Request) -> HttpResponse<Reply> {
        if let Ok(Some(call)) = Call::sort(request.clone()) {
            if let Some(mismatch) = header_mismatch(headers, &request, &call) {
                let line = answer::error(Some(&request.id), super::HEADER_MISMATCH, mismatch);
                return json(StatusCode::BAD_REQUEST, line);
            }
            let authority = &self.door.shared.authority;
            if let Some(answer) = self.ticket.as_ref().and_then(|it| it.step_up(authority, &self.server, &call)) {
                return answer;
            }
        }
        if call::is_stateless(&request) != self.is_stateless {
            let text = "the MCP-Protocol-Version header is not the version that the body speaks";
            return json(StatusCode::BAD_REQUEST, answer::error(Some(&request.id), super::HEADER_MISMATCH, text));
        }
        let opens = request.method == "initialize" && !self.is_stateless;
        let (host, session) = match self.host(opens) {
            Ok(found) => found,
            Err((status, text)) => {
                return json(status, answer::error(Some(&request.id), answer::UPSTREAM, &text));
            }
        };
        let mut reply = self.answered(&host, headers, &request).await;
        match session {
            Some(session) if reply.status().is_success() => {
                reply.headers_mut().insert(SESSION_HEADER, session);
            }
            Some(_) => host.over.notify_one(),
            None => {}
        }
        reply
    }

    /// The process for this request, and the name of the session if this begins one.
    fn host(&self, opens: bool) -> Result<(Arc<Host>, Option<HeaderValue>), (StatusCode, String)> {
        if opens {
            let name = session_name().ok_or((StatusCode::SERVICE_UNAVAILABLE, "no random bytes".to_owned()))?;
            let key = place(&self.caller, &self.server, Some(&name));
            return Ok((self.start(key)?, Some(name)));
        }
        if self.session.is_none() && !self.is_stateless {
            let text = "this server wants a session: initialize first, then send the mcp-session-id header";
            return Err((StatusCode::BAD_REQUEST, text.to_owned()));
        }
        if !self.is_stateless {
            return self.known().map(|host| (host, None)).ok_or((StatusCode::NOT_FOUND, "no such session".to_owned()));
        }
        let key = place(&self.caller, &self.server, None);
        let known = self.door.hosts.lock().get(&key).filter(|host| !host.lock().is_over).cloned();
        known.map_or_else(|| self.start(key), Ok).map(|host| (host, None))
    }

    fn start(&self, key: Conversation) -> Result<Arc<Host>, (StatusCode, String)> {
        let unavailable = |text: String| (StatusCode::SERVICE_UNAVAILABLE, text);
        if !self.door.hosts.has_room() {
            return Err(unavailable(format!("{HOSTS_MAX} servers run already, and all are in use")));
        }
        let failed = |error: io::Error| {
            let name = self.program.command.first().cloned().unwrap_or_default();
            (StatusCode::BAD_GATEWAY, format!("cannot start the server `{}`: `{name}`: {error}", self.server))
        };
        let started = Server::start(&self.program, Stdio::null()).map_err(failed)?;
        let (to_server, lines) = mpsc::channel(QUEUE);
        let state = State { open: BTreeMap::new(), listener: None, used: Instant::now(), is_over: false };
        let host =
            Arc::new(Host { to_server, next: AtomicU64::new(1), state: Mutex::new(state), over: Notify::default() });
        self.door.hosts.lock().insert(key.clone(), host.clone());
        let (door, caller, server) = (self.door.clone(), self.caller.clone(), self.server.clone());
        let project = self.program.cwd.as_ref().map(|cwd| Value::from(cwd.to_string_lossy().into_owned()));
        let facts = project.into_iter().map(|project| ("project".to_owned(), project)).collect();
        let parties = Parties { caller, server, facts };
        tokio::spawn(run(door, key, host.clone(), (parties, started, lines)));
        Ok(host)
    }

    /// Sends a request and gives the answer: as one message, or as a stream if something comes before it.
    async fn answered(&self, host: &Arc<Host>, headers: &HeaderMap, request: &Request) -> HttpResponse<Reply> {
        let (events, mut came) = mpsc::channel(EVENTS);
        let wait = Waiting::begin(host.clone(), request, events, self.is_stateless);
        let gone = || {
            let line = answer::error(Some(&request.id), answer::UPSTREAM, "the server ended before it answered");
            json(StatusCode::BAD_GATEWAY, line)
        };
        if host.to_server.send(wait.line.clone()).await.is_err() {
            return gone();
        }
        let limit = self.door.shared.authority.limits.call_wait + self.door.shared.authority.limits.ask_wait;
        loop {
            match tokio::time::timeout(limit, came.recv()).await {
                Ok(Some(Event::Answer(bytes))) => return json(self.status(&bytes), bytes),
                Ok(Some(Event::Aside(first))) if accepts_events(headers) => {
                    let (to, events) = mpsc::channel(QUEUE);
                    tokio::spawn(forward(wait, first, came, to));
                    return stream(StatusCode::OK, HeaderMap::new(), events);
                }
                Ok(Some(Event::Aside(_))) => {}
                Ok(None) => return gone(),
                Err(_) => {
                    let line = answer::error(Some(&request.id), answer::UPSTREAM, "the server did not answer in time");
                    return json(StatusCode::GATEWAY_TIMEOUT, line);
                }
            }
        }
    }

    /// The protocol without sessions says some errors in the status too.
    fn status(&self, answer: &Bytes) -> StatusCode {
        let code = || {
            let Ok(Message::Response(response)) = Message::read(answer.clone()) else { return None };
            let [code] = call::fields(response.body(), &["code"]).ok()?;
            response.is_error.then_some(code?.get().parse::<i64>().ok()?)
        };
        match self.is_stateless.then(code).flatten() {
            Some(-32_601) => StatusCode::NOT_FOUND,
            Some(-32_700 | -32_600 | -32_602 | -32_020 | -32_021 | -32_022) => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        }
    }
}

/// Passes on what comes for a request, as events, until its answer.
async fn forward(wait: Waiting, first: Bytes, mut came: mpsc::Receiver<Event>, to: mpsc::Sender<Bytes>) {
    let mut next = Some(Event::Aside(first));
    while let Some(event) = next {
        let (bytes, is_last) = match event {
            Event::Answer(bytes) => (bytes, true),
            Event::Aside(bytes) => (bytes, false),
        };
        if to.send(sse::event(&bytes)).await.is_err() || is_last {
            break;
        }
        next = tokio::select! {
            event = came.recv() => event,
            () = to.closed() => None,
        };
    }
    drop(wait);
}

/// A request of a client that is under way. Dropped before its answer, the client has left.
struct Waiting {
    host: Arc<Host>,
    number: u64,
    line: Bytes,
    /// Whether to leave is to cancel, as it is in the protocol without sessions.
    cancels: bool,
}

impl Waiting {
    fn begin(host: Arc<Host>, request: &Request, events: mpsc::Sender<Event>, cancels: bool) -> Self {
        let number = host.next.fetch_add(1, Ordering::Relaxed);
        let token = call::progress_token(request);
        let own = number.to_string();
        let mut line = call::replaced(request.raw(), &["id"], &own).unwrap_or_default();
        if token.is_some() {
            line = call::replaced(&line, &["params", "_meta", "progressToken"], &own).unwrap_or(line);
        }
        host.lock().open.insert(number, Open { id: request.id.clone(), token, events });
        Self { host, number, line, cancels }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.host.lock();
        state.used = Instant::now();
        if state.open.remove(&self.number).is_some() && self.cancels {
            let line = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{}}}}}"#,
                self.number
            );
            // If the queue is full the server finishes what nobody waits for.
            drop(self.host.to_server.try_send(Bytes::from(line)));
        }
    }
}

impl Host {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client's `notifications/cancelled` with the number that its request has here.
    fn with_numbers(&self, raw: Bytes) -> Bytes {
        let Ok(Message::Notification(note)) = Message::read(raw.clone()) else { return raw };
        let Some(id) = call::cancelled(&note) else { return raw };
        let number = self.lock().open.iter().find(|(_, open)| open.id == id).map(|(number, _)| *number);
        let own = number.and_then(|number| call::replaced(&raw, &["params", "requestId"], &number.to_string()));
        own.unwrap_or(raw)
    }

    /// Gives a message of the server to whom it is for.
    fn route(&self, line: Bytes) {
        match Message::read(line.clone()) {
            Ok(Message::Response(response)) => {
                let number = response.id.json().parse().ok();
                let Some(open) = number.and_then(|number: u64| self.lock().open.remove(&number)) else { return };
                let Some(answer) = call::replaced(&line, &["id"], open.id.json()) else { return };
                // The stream has room for its last message, or its client is too slow to get it.
                drop(open.events.try_send(Event::Answer(answer)));
            }
            Ok(Message::Notification(note)) => match self.of_request(&note) {
                Some((events, bytes)) => drop(events.try_send(Event::Aside(bytes))),
                None => self.tell(line),
            },
            Ok(Message::Request(_) | Message::Fault(_)) => self.tell(line),
            Err(fault) => tracing::warn!(%fault, "dropped a message for the client"),
        }
    }

    /// The request that a notification belongs to, and the notification in the client's own words.
    fn of_request(&self, note: &Notification) -> Option<(mpsc::Sender<Event>, Bytes)> {
        const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
        let state = self.lock();
        let [token, meta] = call::fields(note.params(), &["progressToken", "_meta"]).ok()?;
        if let Some(token) = token {
            let open = state.open.get(&token.get().parse().ok()?)?;
            let own = call::replaced(note.raw(), &["params", "progressToken"], open.token.as_deref()?)?;
            return Some((open.events.clone(), own));
        }
        let [subscription] = call::fields(meta?.get(), &[SUBSCRIPTION]).ok()?;
        let open = state.open.get(&subscription?.get().parse().ok()?)?;
        let own = call::replaced(note.raw(), &["params", "_meta", SUBSCRIPTION], open.id.json())?;
        Some((open.events.clone(), own))
    }

    /// A message that names no request goes to the only one that is open, else to the client's own stream, else to
    /// the newest request.
    fn tell(&self, line: Bytes) {
        let state = self.lock();
        let newest = || state.open.values().next_back();
        match (&state.listener, newest()) {
            (Some(listener), open) if open.is_none() || state.open.len() > 1 => {
                drop(listener.try_send(sse::event(&line)));
            }
            (_, Some(open)) => drop(open.events.try_send(Event::Aside(line))),
            (_, None) => tracing::debug!("dropped a message of the server: no client listens"),
        }
    }
}

impl Hosts {
    fn lock(&self) -> MutexGuard<'_, HashMap<Conversation, Arc<Host>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what nobody has used for long.
    pub(crate) fn expire(&self) {
        for host in self.lock().values() {
            let state = host.lock();
            let listens = state.listener.as_ref().is_some_and(|listener| !listener.is_closed());
            if state.open.is_empty() && !listens && state.used.elapsed() > IDLE_MAX {
                host.over.notify_one();
            }
        }
    }

    /// Whether one more may start; ends the one that was idle longest if not.
    fn has_room(&self) -> bool {
        let hosts = self.lock();
        if hosts.len() < HOSTS_MAX {
            return true;
        }
        let idle = hosts.values().filter(|host| host.lock().open.is_empty());
        if let Some(oldest) = idle.min_by_key(|host| host.lock().used) {
            oldest.over.notify_one();
        }
        false
    }
}

type Parts = (Parties, (Server, tokio::process::ChildStdin, tokio::process::ChildStdout), mpsc::Receiver<Bytes>);

/// Runs one process until its client ends the session, the gateway ends, or the process does.
async fn run(door: Arc<HttpDoor>, key: Conversation, host: Arc<Host>, (parties, started, lines): Parts) {
    let shared = door.shared.clone();
    let (server, to_server, from_server) = started;
    if let Some(_running) = shared.enter() {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let (from_client, to_client) = split(theirs);
        let (from_relay, to_relay) = split(ours);
        parties.caller.session.protects(&parties.server);
        let (from_server, to_server) = era::bridge(from_server, to_server);
        let ends = Ends { from_client, to_client, from_server, to_server };
        let reads = async {
            let mut lines = Lines::new(from_relay);
            while let Some(line) = lines.next().await {
                if let Line::Whole(line) = line {
                    host.route(line);
                }
            }
        };
        tokio::select! {
            () = relay::run(shared.authority.clone(), parties, ends) => {}
            ((), ()) = async { tokio::join!(pump(lines, to_relay), reads) } => {}
            () = host.over.notified() => {}
            () = shared.closing() => {}
        }
    }
    door.hosts.lock().retain(|other, _| *other != key);
    {
        let mut state = host.lock();
        state.is_over = true;
        // Who waits hears that nothing comes any more.
        state.open.clear();
        state.listener = None;
    }
    server.end(shared.authority.limits.grace).await;
}

/// A name that nobody guesses.
fn session_name() -> Option<HeaderValue> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    HeaderValue::from_str(&hex::encode(bytes)).ok()
}

//! A server that speaks over standard input and output, fronted over HTTP: the gateway starts it and owns it.
//!
//! A client of the stateful protocol has a server process for each of its sessions. Clients of the protocol without
//! sessions share one process for each agent, so every request gets a number of its own on the way in and its own id
//! back on the way out. What is judged is judged by [`relay`], as for a shim; this module only carries.
//!
//! A session that another replica began is taken up by opening the server anew as its client did ([`taken_up`]).

mod taken_up;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, rand};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request as HttpRequest, Response as HttpResponse, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncRead, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{Notify, OnceCell, mpsc};

use super::handle::{self, Handle};
use super::screen::{Conversation, place};
use super::wire::{Reply, accepts_events, header_mismatch, json, nothing, plain, read_body, stream};
use super::{Fronts, HttpDoor, Ticket, Upstream};
use crate::answer;
use crate::call::{self, Call, Id, Message, Notification, Request};
use crate::door::behind::{self, Behind};
use crate::door::joined;
use crate::door::relay::{self, Ends, Parties};
use crate::lines::{Line, Lines};
use crate::session::Caller;
use crate::sse;
use crate::upstream::link::{QUEUE, pump};
use crate::upstream::remote::SESSION_HEADER;

/// The most servers at a time.
const HOSTS_MAX: usize = 96;
/// The most of them that are of one agent, so that one that opens sessions without end takes no other its place.
const HOSTS_OF_AGENT_MAX: usize = 64;
/// How many sessions that ended are remembered.
const ENDED_MAX: usize = 4_096;
/// How many of them are of one agent: who ends sessions without end makes no other's begin again.
const ENDED_OF_AGENT_MAX: usize = 1_024;
/// How long a process stays that nobody uses.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// How many messages wait for a slow client of one request. Beyond it those are left out that are no answers.
const EVENTS: usize = 64;
/// After so many messages of a server those that they are for have their turn.
const TURN: u64 = 16;
/// How much of a message is under way within the gateway.
const PIPE_BYTES: usize = 64 * 1024;

/// The server processes by conversation.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    running: Mutex<HashMap<Conversation, Arc<Host>>>,
    /// Held while a conversation is looked for and, if there is none, begun.
    begins: Mutex<()>,
    ended: Mutex<Ended>,
}

/// The sessions that ended here last: they do not begin again.
#[derive(Debug, Default)]
struct Ended(VecDeque<Conversation>);

/// One server process and who waits for it.
#[derive(Debug)]
pub(crate) struct Host {
    to_server: mpsc::Sender<Bytes>,
    next: AtomicU64,
    /// Held only for map work.
    state: Mutex<State>,
    over: Notify,
    /// How many servers it runs.
    servers: usize,
    /// What a remote server hears of its client.
    headers: Arc<Mutex<HeaderMap>>,
    /// Set once the server was opened: by its client, or in the client's name.
    opened: OnceCell<()>,
    /// Whether the server was told that it is open.
    told: AtomicBool,
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
    /// Room for the last, which nothing that comes before it takes.
    last: Option<mpsc::OwnedPermit<Event>>,
}

impl Open {
    /// The last that comes of it.
    fn ends(self, with: Event) {
        if let Some(room) = self.last {
            drop(room.send(with));
        }
    }
}

/// What comes back on a request's way.
#[derive(Debug)]
enum Event {
    Answer(Bytes),
    /// A notification, or a request of the server.
    Aside(Bytes),
    /// The client wants no answer any more.
    Cancelled,
}

/// What a visit is to.
pub(crate) enum Goal {
    One(Behind),
    /// Every server that is known, as one.
    All(Arc<Fronts>),
}

impl Goal {
    fn program(&self) -> Option<String> {
        match self {
            Self::One(Behind { upstream: Upstream::Program(program), .. }) => program.command.first().cloned(),
            Self::One(_) | Self::All(_) => None,
        }
    }

    fn headers(&self) -> Arc<Mutex<HeaderMap>> {
        match self {
            Self::One(behind) => behind.headers.clone(),
            Self::All(_) => Arc::default(),
        }
    }

    fn servers(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::All(fronts) => fronts.upstreams.len().clamp(1, joined::MEMBERS_MAX),
        }
    }
}

/// One HTTP request to a hosted server.
pub(crate) struct Visit {
    pub(crate) door: Arc<HttpDoor>,
    pub(crate) caller: Caller,
    /// Absent for an agent of this machine.
    pub(crate) ticket: Option<Ticket>,
    pub(crate) server: String,
    pub(crate) goal: Goal,
    pub(crate) is_stateless: bool,
    pub(crate) session: Option<Handle>,
}

impl Visit {
    pub(crate) async fn serve(self, request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let method = request.method().clone();
        if method == Method::POST {
            return self.post(request).await;
        }
        if method == Method::DELETE && self.session.is_some() {
            if let Some(host) = self.known() {
                host.over.notify_one();
            }
            self.door.hosts.end(self.place());
            return plain(StatusCode::OK, "");
        }
        let host = if method == Method::GET && self.session.is_some() { self.taken_up().await.ok() } else { None };
        match (host, method) {
            (Some(host), Method::GET) => {
                let (listener, events) = mpsc::channel(QUEUE);
                host.lock().listener = Some(listener);
                stream(StatusCode::OK, HeaderMap::new(), events)
            }
            (None, Method::GET | Method::DELETE) if !self.is_stateless => {
                plain(StatusCode::NOT_FOUND, "no such session")
            }
            _ => plain(StatusCode::METHOD_NOT_ALLOWED, "use POST"),
        }
    }

    fn known(&self) -> Option<Arc<Host>> {
        self.door.hosts.lock().get(&self.place()).cloned()
    }

    fn place(&self) -> Conversation {
        let id = self.session.as_ref().and_then(Handle::id);
        place(&self.caller, &self.server, id.as_ref())
    }

    async fn post(self, request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let (head, body) = request.into_parts();
        let body = match read_body(&head.headers, body).await {
            Ok(body) => body,
            Err(refused) => return *refused,
        };
        match Message::read(body) {
            Ok(Message::Request(request)) => self.request(&head.headers, request).await,
            Ok(Message::Notification(note)) if note.method == "notifications/initialized" => {
                self.opens_fully(note).await
            }
            Ok(Message::Notification(note)) => self.aside(note.raw().clone()).await,
            Ok(Message::Response(response)) => self.aside(response.raw().clone()).await,
            Ok(Message::Fault(fault)) => self.aside(fault.raw().clone()).await,
            Err(fault) => json(StatusCode::BAD_REQUEST, answer::malformed(None, &fault)),
        }
    }

    /// A notification, or an answer to a request of the server. The protocol without sessions has neither.
    async fn aside(&self, raw: Bytes) -> HttpResponse<Reply> {
        if !self.is_stateless {
            let Some(host) = self.known() else { return self.elsewhere() };
            // Of a request that is answered already, or never was, there is nothing to tell.
            let Some(raw) = host.heard(raw) else { return nothing() };
            if host.to_server.send(raw).await.is_err() {
                return plain(StatusCode::NOT_FOUND, "the server has ended");
            }
        }
        nothing()
    }

    pub(super) async fn request(self, headers: &HeaderMap, request: Request) -> HttpResponse<Reply> {
        if let Ok(Some(call)) = Call::sort(request.clone()) {
            if let Some(mismatch) = header_mismatch(headers, &request, &call) {
                let line = answer::error(Some(&request.id), super::HEADER_MISMATCH, mismatch);
                return json(StatusCode::BAD_REQUEST, line);
            }
            if let Some(answer) = self.ticket.as_ref().and_then(|it| it.step_up(&self.door, &self.server, &call)) {
                return answer;
            }
        }
        if call::is_stateless(&request) != self.is_stateless {
            let text = "the MCP-Protocol-Version header is not the version that the body speaks";
            return json(StatusCode::BAD_REQUEST, answer::error(Some(&request.id), super::HEADER_MISMATCH, text));
        }
        let opens = request.method == "initialize" && !self.is_stateless;
        let (host, session) = match self.host(opens).await {
            Ok(found) => found,
            Err((status, text)) => {
                return json(status, answer::error(Some(&request.id), answer::UPSTREAM, &text));
            }
        };
        host.hears(&self.goal);
        if !opens && !self.is_stateless {
            host.tell_open().await;
        }
        let mut reply = self.answered(&host, headers, &request).await;
        let Some(session) = session else { return reply };
        let handle = Some(&reply).filter(|reply| reply.status().is_success());
        let handle = handle.and_then(|reply| Handle::held(&session, handle::opening(&request, agreed(reply).as_ref())));
        let now = self.door.shared.authority.journal.now();
        match handle.and_then(|handle| handle.sealed(&self.door.shared.sealer, (&self.caller, &self.server), now)) {
            Some(handle) => drop(reply.headers_mut().insert(SESSION_HEADER, handle)),
            None => host.over.notify_one(),
        }
        reply
    }

    /// The process for this request, and the name of the session if this begins one.
    async fn host(&self, opens: bool) -> Result<(Arc<Host>, Option<HeaderValue>), Refused> {
        if opens {
            let name = session_name().ok_or((StatusCode::SERVICE_UNAVAILABLE, "no random bytes".to_owned()))?;
            let key = place(&self.caller, &self.server, Some(&name));
            let host = self.start(key)?;
            // Its client opens it; nobody else need.
            drop(host.opened.set(()));
            return Ok((host, Some(name)));
        }
        if self.session.is_none() && !self.is_stateless {
            let text = "this server wants a session: initialize first, then send the mcp-session-id header";
            return Err((StatusCode::BAD_REQUEST, text.to_owned()));
        }
        if !self.is_stateless {
            return Ok((self.taken_up().await?, None));
        }
        self.known_or_started(self.shared_key()).map(|host| (host, None))
    }

    /// The conversation of this name, begun if there is none.
    fn known_or_started(&self, key: Conversation) -> Result<Arc<Host>, Refused> {
        let _begins = self.door.hosts.begins.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.door.hosts.lock().get(&key).filter(|host| !host.lock().is_over).cloned();
        known.map_or_else(|| self.start(key), Ok)
    }

    /// Clients without sessions share a conversation, but not where a remote server knows them apart by their headers.
    fn shared_key(&self) -> Conversation {
        let mut key = place(&self.caller, &self.server, None);
        if let Goal::One(Behind { upstream: Upstream::Http(_), headers }) = &self.goal {
            let headers = headers.lock().unwrap_or_else(PoisonError::into_inner);
            let mut digest = digest::Context::new(&digest::SHA256);
            for (name, value) in headers.iter().filter(|(name, _)| !is_of_one_request(name)) {
                digest.update(name.as_str().as_bytes());
                digest.update(b"\0");
                digest.update(value.as_bytes());
                digest.update(b"\0");
            }
            key.session = digest.finish().as_ref().to_vec();
        }
        key
    }

    fn start(&self, key: Conversation) -> Result<Arc<Host>, Refused> {
        let unavailable = |text: String| (StatusCode::SERVICE_UNAVAILABLE, text);
        self.door.hosts.room(&key.agent, self.goal.servers()).map_err(unavailable)?;
        let failed = |error: io::Error| {
            let name = self.goal.program().unwrap_or_default();
            (StatusCode::BAD_GATEWAY, format!("cannot start the server `{}`: `{name}`: {error}", self.server))
        };
        let started = match &self.goal {
            Goal::One(behind) => Some(behind::open(&self.door.shared, behind).map_err(failed)?),
            Goal::All(_) => None,
        };
        let (to_server, lines) = mpsc::channel(QUEUE);
        let state = State { open: BTreeMap::new(), listener: None, used: Instant::now(), is_over: false };
        let next = AtomicU64::new(1);
        let (servers, headers) = (self.goal.servers(), self.goal.headers());
        let over = Notify::default();
        let (opened, told) = (OnceCell::new(), AtomicBool::new(false));
        let state = Mutex::new(state);
        let host = Arc::new(Host { to_server, next, state, over, servers, headers, opened, told });
        self.door.hosts.lock().insert(key.clone(), host.clone());
        let (door, caller) = (self.door.clone(), self.caller.clone());
        match (&self.goal, started) {
            (Goal::One(behind), Some(started)) => {
                let facts = behind::facts(&behind.upstream);
                let parties = Parties { caller, server: self.server.clone(), facts };
                tokio::spawn(run(door, key, host.clone(), (parties, started, lines)));
            }
            (Goal::All(fronts), _) => {
                let ends = joined::open(door.shared.clone(), caller, &fronts.upstreams);
                tokio::spawn(run_joined(door, key, host.clone(), (ends, lines)));
            }
            (Goal::One(_), None) => {}
        }
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
                Ok(Some(Event::Cancelled)) => return nothing(),
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

/// Why a conversation cannot be had.
type Refused = (StatusCode, String);

/// The version that a server answered an `initialize` with.
fn agreed(reply: &HttpResponse<Reply>) -> Option<Value> {
    let Reply::Whole(Some(bytes)) = reply.body() else { return None };
    taken_up::agreed_on(bytes)
}

/// Passes on what comes for a request, as events, until its answer.
async fn forward(wait: Waiting, first: Bytes, mut came: mpsc::Receiver<Event>, to: mpsc::Sender<Bytes>) {
    let mut next = Some(Event::Aside(first));
    while let Some(event) = next {
        let (bytes, is_last) = match event {
            Event::Answer(bytes) => (bytes, true),
            Event::Aside(bytes) => (bytes, false),
            Event::Cancelled => break,
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
        let last = events.clone().try_reserve_owned().ok();
        host.lock().open.insert(number, Open { id: request.id.clone(), token, events, last });
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

    /// A message of a client as its server hears it: what cancels a request has the number that the request has here, and
    /// ends it. `None` where no such request is open: its id may be the number of another.
    fn heard(&self, raw: Bytes) -> Option<Bytes> {
        let Ok(Message::Notification(note)) = Message::read(raw.clone()) else { return Some(raw) };
        let Some(id) = call::cancelled(&note) else { return Some(raw) };
        let (number, open) = {
            let mut state = self.lock();
            let number = state.open.iter().find(|(_, open)| open.id == id).map(|(number, _)| *number)?;
            state.open.remove_entry(&number)?
        };
        open.ends(Event::Cancelled);
        call::replaced(&raw, &["params", "requestId"], &number.to_string())
    }

    /// From now on the server hears the headers of this request: the client may have a new token.
    fn hears(&self, goal: &Goal) {
        if let Goal::One(Behind { upstream: Upstream::Http(_), headers }) = goal
            && !Arc::ptr_eq(headers, &self.headers)
        {
            let newest = headers.lock().unwrap_or_else(PoisonError::into_inner).clone();
            *self.headers.lock().unwrap_or_else(PoisonError::into_inner) = newest;
        }
    }

    /// Reads what the server says, to its end.
    async fn read(&self, from: impl AsyncRead + Unpin) {
        let (mut lines, mut routed) = (Lines::new(from), 0_u64);
        while let Some(line) = lines.next().await {
            if let Line::Whole(line) = line {
                self.route(line);
                routed += 1;
                // A server that says much at once would else fill every queue before anybody could empty it.
                if routed.is_multiple_of(TURN) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Gives a message of the server to whom it is for.
    fn route(&self, line: Bytes) {
        match Message::read(line.clone()) {
            Ok(Message::Response(response)) => {
                let number = response.id.json().parse().ok();
                let Some(open) = number.and_then(|number: u64| self.lock().open.remove(&number)) else { return };
                let Some(answer) = call::replaced(&line, &["id"], open.id.json()) else { return };
                open.ends(Event::Answer(answer));
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
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this session does not begin again.
    fn end(&self, key: Conversation) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.0.contains(&key) {
            return;
        }
        let is_own = |other: &Conversation| other.agent == key.agent;
        let oldest = match ended.0.iter().filter(|&other| is_own(other)).count() {
            ENDED_OF_AGENT_MAX.. => ended.0.iter().position(is_own),
            _ => (ended.0.len() >= ENDED_MAX).then_some(0),
        };
        if let Some(oldest) = oldest {
            drop(ended.0.remove(oldest));
        }
        ended.0.push_back(key);
    }

    fn has_ended(&self, key: &Conversation) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).0.contains(key)
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

    /// Who waits hears that nothing comes any more.
    fn forget(&self, key: &Conversation, host: &Host) {
        self.lock().retain(|other, running| other != key || !std::ptr::eq(&raw const **running, host));
        self.end(key.clone());
        let mut state = host.lock();
        state.is_over = true;
        state.open.clear();
        state.listener = None;
    }

    /// So many more servers may start for an agent; else why not, and the conversation that was idle longest ends: one of the
    /// agent's own, if that has its share.
    fn room(&self, agent: &str, servers: usize) -> Result<(), String> {
        let hosts = self.lock();
        let all: usize = hosts.values().map(|host| host.servers).sum();
        let own = hosts.iter().filter(|(key, _)| key.agent == agent);
        let own: usize = own.map(|(_, host)| host.servers).sum();
        let has_share = own + servers > HOSTS_OF_AGENT_MAX;
        if !has_share && all + servers <= HOSTS_MAX {
            return Ok(());
        }
        let ends =
            |key: &Conversation, host: &Arc<Host>| (!has_share || key.agent == agent) && host.lock().open.is_empty();
        let idle = hosts.iter().filter(|&(key, host)| ends(key, host));
        if let Some((_, oldest)) = idle.min_by_key(|(_, host)| host.lock().used) {
            oldest.over.notify_one();
        }
        Err(match has_share {
            true => format!("{HOSTS_OF_AGENT_MAX} servers run for this agent already"),
            false => format!("{HOSTS_MAX} servers run already, and all are in use"),
        })
    }
}

type Parts = (Parties, behind::Open, mpsc::Receiver<Bytes>);

/// Runs one process until its client ends the session, the gateway ends, or the process does.
async fn run(door: Arc<HttpDoor>, key: Conversation, host: Arc<Host>, (parties, started, lines): Parts) {
    let shared = door.shared.clone();
    let behind::Open { process, from_server, to_server } = started;
    // Until the process has ended: a drain ends this thread, and with it whoever would wait for the process.
    let running = shared.enter();
    if running.is_some() {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let (from_client, to_client) = split(theirs);
        let (from_relay, to_relay) = split(ours);
        parties.caller.session.protects(&parties.server);
        let ends = Ends { from_client, to_client, from_server, to_server };
        tokio::select! {
            () = relay::run(shared.authority.clone(), parties, ends) => {}
            ((), ()) = async { tokio::join!(pump(lines, to_relay), host.read(from_relay)) } => {}
            () = host.over.notified() => {}
            () = shared.closing() => {}
        }
    }
    door.hosts.forget(&key, &host);
    if let Some(process) = process {
        process.end(shared.authority.limits.grace).await;
    }
    drop(running);
}

type JoinedParts = ((ReadHalf<DuplexStream>, WriteHalf<DuplexStream>), mpsc::Receiver<Bytes>);

/// Runs all servers as one until the client ends the session or the gateway ends.
async fn run_joined(door: Arc<HttpDoor>, key: Conversation, host: Arc<Host>, ((from, to), lines): JoinedParts) {
    let shared = door.shared.clone();
    if let Some(_running) = shared.enter() {
        tokio::select! {
            () = host.read(from) => {}
            () = async { pump(lines, to).await; std::future::pending().await } => {}
            () = host.over.notified() => {}
            () = shared.closing() => {}
        }
    }
    door.hosts.forget(&key, &host);
}

/// Headers that say something of a message and nothing of who sends it.
fn is_of_one_request(name: &HeaderName) -> bool {
    const WORDS: &[&str] = &["accept", "content-", "mcp-", "trace", "baggage", "last-event-id", "x-request-id"];
    WORDS.iter().any(|word| name.as_str().starts_with(word))
}

/// A name that nobody guesses.
fn session_name() -> Option<HeaderValue> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    HeaderValue::from_str(&hex::encode(bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_sessions_without_end_makes_no_other_s_begin_again() {
        let hosts = Hosts::default();
        let of = |agent: &str, session: usize| {
            let [agent, whose, server] = [agent, "", "files"].map(str::to_owned);
            Conversation { agent, whose, server, session: session.to_string().into_bytes() }
        };
        hosts.end(of("quiet", 0));
        for _ in 0..=ENDED_MAX {
            hosts.end(of("loud", 0));
        }
        for session in 0..=ENDED_MAX {
            hosts.end(of("loud", session));
        }
        assert!(hosts.has_ended(&of("quiet", 0)) && hosts.has_ended(&of("loud", ENDED_MAX)));
        assert!(!hosts.has_ended(&of("loud", 0)), "of its own the oldest is forgotten");
    }
}

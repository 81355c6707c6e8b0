//! The Streamable HTTP door: `/mcp/NAME` on a loopback address, in front of servers that speak HTTP.
//!
//! An agent is known by its key, or by its program (see [`who`]). A page in a browser is not an agent: `Host` and `Origin` must be
//! loopback, so that a rebound name reaches nothing. Headers that name a method or tool must equal the
//! body, or they are a way around whoever routes on them.

mod eras;
mod hosted;
mod screen;
mod who;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, WWW_AUTHENTICATE,
};
use hyper::{Method, Request as HttpRequest, Response as HttpResponse, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use ledger::record::Status;
use policy::{ToolId, Verb};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::answer;
use crate::authority::{Admitted, Authority, First, Patience, Refusal};
use crate::call::{self, Call, Id, Message, Plumbing, Request, Response, SIZE_MAX_BYTES, Subject};
use crate::catalogue::Known as Tool;
use crate::door;
use crate::door::behind::Behind;
use crate::door::claims::Claims;
use crate::door::joined::names;
use crate::gateway::Shared;
use crate::identity;
use crate::lanes::Lanes;
use crate::pipeline::{Act, Ending};
use crate::session::Caller;
use crate::signin::{self, Identity, Refused, SignedIn, metadata};
use crate::sse;
use crate::upstream::child::Program;
use crate::upstream::http::{Outbound, Target, Unreachable, pass_headers};
use crate::upstream::remote::{METHOD_HEADER, NAME_HEADER, SESSION_HEADER, VERSION_HEADER};
use eras::Eras;
use hosted::{Goal, Hosts, Visit};
use screen::{Asked, Conversation, End, Expect, Screen};
use who::{Known, Peer};

/// How long a client may take to send a body.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// How long a connection may be idle or take for a head.
const HEAD_WAIT: Duration = Duration::from_secs(75);
/// The largest head, in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// How many events wait for a slow client before the server waits too.
const QUEUE: usize = 16;
/// JSON-RPC error code of the protocol: a header says something else than the body.
const HEADER_MISMATCH: i64 = -32_020;

/// The first version of the protocol without sessions. Versions are dates, so that a later one compares as greater.
const STATELESS: &str = "2026-07-28";

/// What stands behind the door, and who may come through it.
#[derive(Clone, Default)]
pub struct Fronts {
    /// Servers by the name in the path.
    pub upstreams: BTreeMap<String, Upstream>,
    /// Agents and their keys.
    pub keys: Vec<(String, String)>,
    /// Agents that cannot show a key, by their program's path.
    pub programs: BTreeMap<PathBuf, String>,
    /// Who may sign in with a token.
    pub identity: Identity,
}

/// A server behind the door.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// It speaks Streamable HTTP.
    Http(Uri),
    /// The gateway starts it and speaks to it over its standard input and output.
    Program(Arc<Program>),
}

/// Keys are never shown.
impl std::fmt::Debug for Fronts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fronts").field("upstreams", &self.upstreams.len()).field("keys", &self.keys.len()).finish()
    }
}

/// What the door's connections share.
#[derive(Debug)]
pub(crate) struct HttpDoor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) outbound: Outbound,
    pub(crate) user: String,
    pub(crate) tokens: signin::Door,
    /// Answers that were promised on a stream that broke off.
    promised: Claims<(Conversation, Id), Expect>,
    /// Requests of servers that their clients have not answered yet, with the act where one was judged.
    asked: Claims<(Conversation, Id), Option<Act>>,
    /// Servers that run for clients of this door, and conversations that are translated.
    hosts: Hosts,
    eras: Eras,
}

impl HttpDoor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        // Over HTTP the kernel does not say as which user somebody calls, so it is the one that the gateway runs as.
        let user = identity::user_name(rustix::process::getuid().as_raw());
        let outbound = shared.outbound().clone();
        Self {
            shared,
            tokens: signin::Door::new(outbound.clone()),
            outbound,
            user,
            promised: Claims::default(),
            asked: Claims::default(),
            hosts: Hosts::default(),
            eras: Eras::default(),
        }
    }

    /// Ends what nobody came back for.
    pub(crate) fn expire(&self) {
        for mut expect in self.promised.overdue() {
            expect.ends(Status::TimedOut);
        }
        self.hosts.expire();
        for act in self.asked.overdue().into_iter().flatten() {
            act.end(Ending::without_result(Status::TimedOut));
        }
    }

    /// Ends all that waits for somebody to come back.
    pub(crate) fn forget(&self) {
        for mut expect in self.promised.all() {
            expect.ends(Status::Unknown);
        }
        // An act that is dropped says so.
        drop(self.asked.all());
    }
}

/// Takes connections until this is dropped, and with it the lanes that serve them.
pub(crate) async fn serve(door: Arc<HttpDoor>, listener: TcpListener, lanes: Lanes) {
    loop {
        let Some(permit) = door.shared.connection().await else { return };
        let Ok((stream, theirs)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Out of this thread's poll, into that of its lane.
        let Ok(stream) = stream.into_std() else { continue };
        let door = door.clone();
        lanes.spawn(async move {
            if let Ok(ours) = stream.local_addr()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                connection(door, stream, Peer::new(ours, theirs)).await;
            }
            drop(permit);
        });
    }
}

async fn connection(door: Arc<HttpDoor>, stream: TcpStream, peer: Peer) {
    let _ = stream.set_nodelay(true);
    let shared = door.shared.clone();
    let peer = Arc::new(peer);
    let service = hyper::service::service_fn(move |request| {
        let (door, peer) = (door.clone(), peer.clone());
        async move { Ok::<_, Infallible>(answer_http(&door, &peer, request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_MAX_BYTES.max(8 * 1024))
        .half_close(false);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // How a connection ended is of no interest: every act on it has recorded its own end.
        _ = &mut connection => {}
        () = shared.closing() => {}
    }
}

async fn answer_http(door: &Arc<HttpDoor>, peer: &Peer, request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
    let Some(_running) = door.shared.enter() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "the gateway is ending");
    };
    match route(door, peer, &request).await {
        Err(refused) => *refused,
        Ok(Way::Hosted(visit)) => visit.serve(request).await,
        Ok(Way::Remote(exchange)) => match *request.method() {
            Method::POST => exchange.post(request).await,
            Method::GET => exchange.get(&request).await,
            Method::DELETE => exchange.delete(&request).await,
            _ => plain(StatusCode::METHOD_NOT_ALLOWED, "use POST, GET or DELETE"),
        },
    }
}

/// Where a request goes.
enum Way {
    Remote(Exchange),
    Hosted(Visit),
}

/// One request to one server by one agent.
struct Exchange {
    door: Arc<HttpDoor>,
    caller: Caller,
    /// Absent for an agent of this machine.
    ticket: Option<Ticket>,
    server: String,
    uri: Uri,
    /// Whether the client speaks the protocol without sessions.
    is_stateless: bool,
    /// Absent where there is no session.
    session: Option<HeaderValue>,
}

async fn route(
    door: &Arc<HttpDoor>,
    peer: &Peer,
    request: &HttpRequest<Incoming>,
) -> Result<Way, Box<HttpResponse<Reply>>> {
    let refuse = |status, text| Err(Box::new(plain(status, text)));
    let headers = request.headers();
    if !headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(is_loopback_authority) {
        return refuse(StatusCode::FORBIDDEN, "the Host header is not this machine");
    }
    let origins: Vec<_> = headers.get_all(ORIGIN).iter().collect();
    if !origins.iter().all(|origin| origin.to_str().is_ok_and(is_loopback_origin)) {
        return refuse(StatusCode::FORBIDDEN, "the Origin header is not this machine");
    }
    let fronts = door.shared.fronts();
    let path = request.uri().path();
    if let Some(rest) = path.strip_prefix(metadata::PATH) {
        return Err(Box::new(metadata_of(&fronts, &peer.base(), rest)));
    }
    let name = server_at(path).unwrap_or("/");
    let known = match peer.caller(door, &fronts, (headers, name)).await {
        Ok(known) => known,
        Err(refused) => return Err(Box::new(unauthorized(&fronts, (&peer.base(), name), refused))),
    };
    let behind = match fronts.upstreams.get(name) {
        Some(upstream) => Some(upstream.clone()),
        None if name.is_empty() => None,
        None => return refuse(StatusCode::NOT_FOUND, "no such server"),
    };
    let is_stateless = headers.get(VERSION_HEADER).is_some_and(|version| version.as_bytes() >= STATELESS.as_bytes());
    let session = headers.get(SESSION_HEADER).cloned();
    let (door, server) = (door.clone(), name.to_owned());
    let Known { caller, signed_in } = known;
    let ticket = signed_in.map(|who| Ticket { who, fronts: fronts.clone(), base: peer.base() });
    Ok(match behind {
        Some(Upstream::Http(uri)) => {
            let exchange = Exchange { door, caller, ticket, server, uri, is_stateless, session };
            if exchange.is_translated() { Way::Hosted(exchange.visit(headers)) } else { Way::Remote(exchange) }
        }
        upstream => {
            let goal = upstream.map_or_else(|| Goal::All(fronts.clone()), |upstream| Goal::One(Behind::of(upstream)));
            Way::Hosted(Visit { door, caller, ticket, server, goal, is_stateless, session })
        }
    })
}

/// The server that a path names; all of them, as one, have no name.
fn server_at(path: &str) -> Option<&str> {
    if path == "/mcp" { Some("") } else { path.strip_prefix("/mcp/").filter(|name| !name.is_empty()) }
}

/// What an agent showed that signed in with a token.
#[derive(Debug)]
pub(crate) struct Ticket {
    who: SignedIn,
    fronts: Arc<Fronts>,
    /// The gateway's address as the client reached it.
    base: String,
}

impl Ticket {
    /// What a caller is told whose token is good and lacks a scope that this tool needs.
    fn step_up(&self, authority: &Authority, server: &str, call: &Call) -> Option<HttpResponse<Reply>> {
        let Call::Judged { subject: Subject::Tool { name, .. }, .. } = call else { return None };
        let identity = &self.fronts.identity;
        let tool = if server.is_empty() { self.joined(authority, name) } else { Some(tool_id(server, name)) };
        let missing = match tool.map(|tool| authority.catalogue.get(&tool)) {
            Some(Tool::Facts(facts)) => identity.missing(&self.who, &facts.effects),
            // What a tool does that nobody has listed is not known: it may do anything.
            Some(Tool::Quarantined | Tool::Unknown) | None => identity.missing_any(&self.who),
        };
        if missing.is_empty() {
            return None;
        }
        let mut answer = plain(StatusCode::FORBIDDEN, "the token lacks a scope that this tool needs");
        let challenge = metadata::insufficient(identity, (&self.base, server), &missing);
        answer.headers_mut().extend(challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
        Some(answer)
    }
}

impl Ticket {
    /// The tool that has this name where all servers are one.
    fn joined(&self, authority: &Authority, joined: &str) -> Option<ToolId> {
        if let Some((server, name)) = names::split(joined) {
            return Some(tool_id(server, name));
        }
        let servers = self.fronts.upstreams.keys();
        let mut named =
            servers.flat_map(|server| authority.catalogue.names(server).into_iter().map(move |name| (server, name)));
        named.find(|(server, name)| names::joined(server, name) == joined).map(|(server, name)| tool_id(server, &name))
    }
}

fn tool_id(server: &str, name: &str) -> ToolId {
    ToolId { server: server.to_owned(), name: name.to_owned() }
}

/// RFC 9728: who may issue tokens for a server behind this door.
fn metadata_of(fronts: &Fronts, base: &str, rest: &str) -> HttpResponse<Reply> {
    let server = server_at(rest).filter(|name| name.is_empty() || fronts.upstreams.contains_key(*name));
    match metadata::document(&fronts.identity, base, server) {
        Some(document) if rest.is_empty() || server.is_some() => json(StatusCode::OK, document.to_string().into()),
        _ => plain(StatusCode::NOT_FOUND, "no such resource"),
    }
}

fn unauthorized(fronts: &Fronts, at: (&str, &str), refused: Refused) -> HttpResponse<Reply> {
    let (status, text) = match refused {
        Refused::NoKeys => (StatusCode::SERVICE_UNAVAILABLE, refused.to_string()),
        Refused::Invalid(_) => (StatusCode::UNAUTHORIZED, refused.to_string()),
        Refused::Nobody => (
            StatusCode::UNAUTHORIZED,
            "no agent is known by this x-bailiwick-key header, nor by this program; see `bailiwick upstream --help`"
                .to_owned(),
        ),
    };
    let mut answer = whole(status, HeaderMap::new(), text.into());
    if let Some(challenge) = metadata::challenge(&fronts.identity, at, refused) {
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

fn is_loopback_authority(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

fn is_loopback_origin(origin: &str) -> bool {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).is_some_and(is_loopback_authority)
}

impl Exchange {
    fn authority(&self) -> &Arc<Authority> {
        &self.door.shared.authority
    }

    fn target(&self, headers: &HeaderMap) -> Target {
        let mut headers = pass_headers(headers);
        if self.ticket.is_some() {
            // The token was for us: passed on, the server could act with it as the caller.
            headers.remove(AUTHORIZATION);
        }
        Target { uri: self.uri.clone(), headers, wait: self.authority().limits.call_wait }
    }

    async fn get(self, request: &HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let answer = self.door.outbound.listen(self.target(request.headers())).await;
        self.relay(request.headers(), answer, Expect::nothing()).await
    }

    async fn delete(self, request: &HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let answer = self.door.outbound.leave(self.target(request.headers())).await;
        self.relay(request.headers(), answer, Expect::nothing()).await
    }

    async fn post(self, request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let (head, body) = request.into_parts();
        let body = match read_body(&head.headers, body).await {
            Ok(body) => body,
            Err(refused) => return *refused,
        };
        let request = match Message::read(body) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Notification(note)) => return self.aside(&head.headers, note.raw().clone()).await,
            Ok(Message::Response(response)) => return self.client_answers(&head.headers, &response).await,
            Ok(Message::Fault(_)) => {
                tracing::warn!("dropped an error of the client that names no request");
                return whole(StatusCode::ACCEPTED, HeaderMap::new(), Bytes::new());
            }
            Err(fault) => return json(StatusCode::BAD_REQUEST, answer::malformed(None, &fault)),
        };
        if request.id.is_own() {
            return json(
                StatusCode::BAD_REQUEST,
                answer::error(Some(&request.id), -32_600, "the id is reserved for the gateway"),
            );
        }
        let call = match Call::sort(request.clone()) {
            Ok(Some(call)) => call,
            Ok(None) => return self.unknown_method(&request),
            Err(_) if self.is_stateless && request.method == "resources/subscribe" => {
                return self.unknown_method(&request);
            }
            Err(fault) => return json(StatusCode::BAD_REQUEST, answer::malformed(Some(&request.id), &fault)),
        };
        if let Some(mismatch) = header_mismatch(&head.headers, &request, &call) {
            let line = answer::error(Some(&request.id), HEADER_MISMATCH, mismatch);
            return json(StatusCode::BAD_REQUEST, line);
        }
        if let Some(answer) =
            self.ticket.as_ref().and_then(|ticket| ticket.step_up(self.authority(), &self.server, &call))
        {
            return answer;
        }
        if self.needs_translation(&head.headers, &request).await {
            return self.visit(&head.headers).request(&head.headers, request).await;
        }
        match call {
            Call::Judged { request, subject } => self.judged(head.headers, request, subject).await,
            Call::ListTools(request) => {
                let expect = Expect { id: Some(request.id.clone()), end: End::List };
                let answer =
                    self.door.outbound.pass(&Plumbing::aside(request.raw().clone()), self.target(&head.headers)).await;
                self.relay(&head.headers, answer, expect).await
            }
            Call::Plumbing(request) => {
                let expect = Expect { id: Some(request.id.clone()), end: End::Pass };
                let answer =
                    self.door.outbound.pass(&Plumbing::aside(request.raw().clone()), self.target(&head.headers)).await;
                let reply = self.relay(&head.headers, answer, expect).await;
                if self.has_no_handshake(&head.headers, &request, &reply).await {
                    return self.visit(&head.headers).request(&head.headers, request).await;
                }
                reply
            }
        }
    }

    /// The client answers a request of the server: the act ends, and the answer passes.
    async fn client_answers(self, headers: &HeaderMap, response: &Response) -> HttpResponse<Reply> {
        let place = screen::place(&self.caller, &self.server, self.session.as_ref());
        let Some(asked) = self.door.asked.take(&(place, response.id.clone())) else {
            tracing::warn!(id = %response.id, "dropped an answer of the client to a request that nobody made");
            return whole(StatusCode::ACCEPTED, HeaderMap::new(), Bytes::new());
        };
        if let Some(act) = asked {
            let status = if response.is_error { Status::Error } else { Status::Ok };
            act.end(Ending { size_bytes: response.body().len(), ..Ending::without_result(status) });
        }
        self.aside(headers, response.raw().clone()).await
    }

    fn unknown_method(&self, request: &Request) -> HttpResponse<Reply> {
        let status = if self.is_stateless { StatusCode::NOT_FOUND } else { StatusCode::OK };
        json(status, answer::unknown_method(request))
    }

    async fn aside(self, headers: &HeaderMap, raw: Bytes) -> HttpResponse<Reply> {
        let answer = self.door.outbound.pass(&Plumbing::aside(raw), self.target(headers)).await;
        self.relay(headers, answer, Expect::nothing()).await
    }

    async fn judged(self, headers: HeaderMap, request: Request, subject: Subject) -> HttpResponse<Reply> {
        let errand = door::errand(&self.server, request.clone(), &subject, BTreeMap::new());
        if errand.verb == Verb::CallTool && matches!(self.authority().catalogue.get(&errand.tool), Tool::Unknown) {
            self.list_by_itself(&headers, call::envelope(&request)).await;
        }
        match self.authority().first(&self.caller, errand).await {
            First::Admitted(admitted) => self.act(&headers, admitted, &request.id).await,
            First::Refused(refusal) => self.refused(&request, &subject, &refusal),
            First::Asks(asking) if accepts_events(&headers) => {
                let (events, reply) = mpsc::channel(QUEUE);
                // The stream begins before the answer is known: a client that hears progress waits longer.
                tokio::spawn(async move {
                    let patience = Progress { token: call::progress_token(&request), events: events.clone() };
                    let work = async {
                        match self.authority().ask(&self.caller, *asking, patience).await {
                            Ok(admitted) => self.act(&headers, admitted, &request.id).await,
                            Err(refusal) => self.refused(&request, &subject, &refusal),
                        }
                    };
                    tokio::select! {
                        reply = work => into_events(reply, &events, &request.id).await,
                        () = events.closed() => {}
                    }
                });
                stream(StatusCode::OK, HeaderMap::new(), reply)
            }
            First::Asks(asking) => {
                let patience = Progress { token: None, events: mpsc::channel(1).0 };
                match self.authority().ask(&self.caller, *asking, patience).await {
                    Ok(admitted) => self.act(&headers, admitted, &request.id).await,
                    Err(refusal) => self.refused(&request, &subject, &refusal),
                }
            }
        }
    }

    fn refused(&self, request: &Request, subject: &Subject, refusal: &Refusal) -> HttpResponse<Reply> {
        json(StatusCode::OK, answer::refusal(request, subject, &self.server, refusal))
    }

    async fn act(&self, headers: &HeaderMap, admitted: Admitted<Request>, id: &Id) -> HttpResponse<Reply> {
        let (act, answer) = self.door.outbound.send(admitted.permit, self.target(headers)).await;
        match &answer {
            Err(Unreachable::TimedOut) => act.end(Ending::without_result(Status::TimedOut)),
            Err(Unreachable::Broken(_)) => act.end(Ending::without_result(Status::Unknown)),
            Ok(_) => {
                let expect = Expect { id: Some(id.clone()), end: End::Act(act, admitted.tool) };
                return self.relay(headers, answer, expect).await;
            }
        }
        self.relay(headers, answer, Expect { id: Some(id.clone()), end: End::Pass }).await
    }

    /// Lists the server's tools with the headers of the call, because it calls one that nobody has listed.
    async fn list_by_itself(&self, headers: &HeaderMap, envelope: Option<Value>) {
        let mut headers = headers.clone();
        headers.remove(NAME_HEADER);
        if headers.contains_key(METHOD_HEADER) {
            headers.insert(METHOD_HEADER, HeaderValue::from_static("tools/list"));
        }
        let mut params = serde_json::json!({});
        if let Some(envelope) = envelope {
            call::put(&mut params, "_meta", envelope);
        }
        for _ in 0..door::PAGES_MAX {
            let Ok(request) = Request::own(self.authority().own_id(), "tools/list", &params) else { return };
            let plumbing = Plumbing::aside(request.raw().clone());
            let answer = tokio::time::timeout(Duration::from_secs(30), async {
                let answer = self.door.outbound.pass(&plumbing, self.target(&headers)).await.ok()?;
                only_answer(answer, &request.id).await
            });
            let Ok(Some(response)) = answer.await else { return };
            if response.is_error {
                return;
            }
            if let Err(error) = self.authority().learn(&self.server, response.body()).await {
                return tracing::warn!(server = self.server, error, "the server's tools were not taken in");
            }
            let cursor = call::fields(response.body(), &["nextCursor"]).ok().and_then(|[cursor]| cursor);
            let Some(cursor) = cursor.and_then(|cursor| serde_json::from_str::<String>(cursor.get()).ok()) else {
                return;
            };
            call::put(&mut params, "cursor", cursor);
        }
    }

    /// Passes the server's answer on, looking at every message in it.
    async fn relay(
        &self,
        asked_with: &HeaderMap,
        answer: Result<HttpResponse<Incoming>, Unreachable>,
        mut expect: Expect,
    ) -> HttpResponse<Reply> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let line = answer::error(expect.id.as_ref(), answer::UPSTREAM, &error.to_string());
                return json(StatusCode::BAD_GATEWAY, line);
            }
        };
        let (head, body) = answer.into_parts();
        let headers = pass_headers(&head.headers);
        let screen = Screen {
            door: self.door.clone(),
            caller: self.caller.clone(),
            server: self.server.clone(),
            session: self.session.clone(),
        };
        if is_type(&head.headers, "text/event-stream") {
            let (events, reply) = mpsc::channel(QUEUE);
            let asked = Asked { uri: self.uri.clone(), headers: asked_with.clone() };
            tokio::spawn(screen::events(Arc::new((screen, asked)), body, events, expect));
            return stream(head.status, headers, reply);
        }
        let wait = self.authority().limits.call_wait;
        let bytes = match tokio::time::timeout(wait, Limited::new(body, SIZE_MAX_BYTES).collect()).await {
            Ok(Ok(bytes)) => bytes.to_bytes(),
            Ok(Err(_)) => {
                expect.ends(Status::Unknown);
                let line = answer::error(
                    expect.id.as_ref(),
                    answer::UPSTREAM,
                    "the server's answer broke off or is too large",
                );
                return json(StatusCode::BAD_GATEWAY, line);
            }
            Err(_) => {
                expect.ends(Status::TimedOut);
                let line = answer::error(expect.id.as_ref(), answer::UPSTREAM, "the server did not answer in time");
                return json(StatusCode::GATEWAY_TIMEOUT, line);
            }
        };
        if bytes.is_empty() || !is_type(&head.headers, "application/json") {
            // No message: an HTTP error, or the 202 of a notification.
            expect.ends(if head.status.is_success() { Status::Ok } else { Status::Error });
            return whole(head.status, headers, bytes);
        }
        match screen.message(Message::read(bytes), &mut expect).await {
            Some(bytes) => whole(head.status, headers, bytes),
            None => {
                expect.ends(Status::Error);
                let line = answer::error(expect.id.as_ref(), answer::UPSTREAM, "the server answered something else");
                json(StatusCode::BAD_GATEWAY, line)
            }
        }
    }
}

/// The body of a request, if it is JSON, of a bearable size, and comes in time.
async fn read_body(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Box<HttpResponse<Reply>>> {
    let refuse = |status, text| Err(Box::new(plain(status, text)));
    if !is_type(headers, "application/json") {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json");
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
async fn only_answer(answer: HttpResponse<Incoming>, id: &Id) -> Option<Response> {
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

fn header_mismatch(headers: &HeaderMap, request: &Request, call: &Call) -> Option<&'static str> {
    let says = |name: &HeaderName, value: Option<&str>| {
        let mut all = headers.get_all(name).iter();
        all.all(|header| value.is_some_and(|value| header.as_bytes() == value.as_bytes() || is_encoded(header, value)))
    };
    let name = match call {
        Call::Judged { subject: Subject::Tool { name, .. } | Subject::Prompt { name, .. }, .. } => Some(name.as_str()),
        Call::Judged { subject: Subject::Resource { uri }, .. } => Some(uri.as_str()),
        Call::ListTools(_) | Call::Plumbing(_) => None,
    };
    if !says(&METHOD_HEADER, Some(&request.method)) {
        return Some("the Mcp-Method header is not the body's method");
    }
    if name.is_some() && !says(&NAME_HEADER, name) {
        return Some("the Mcp-Name header is not the body's name");
    }
    None
}

/// Whether a header says a value in the form for what a header cannot hold: `=?base64?…?=`.
fn is_encoded(header: &HeaderValue, value: &str) -> bool {
    let inner = header.as_bytes().strip_prefix(b"=?base64?").and_then(|rest| rest.strip_suffix(b"?="));
    inner.is_some_and(|inner| BASE64_STANDARD.encode(value).as_bytes() == inner)
}

fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
}

fn accepts_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|value| value.contains("text/event-stream")))
}

/// Turns a reply into events of a stream that has begun.
async fn into_events(reply: HttpResponse<Reply>, to: &mpsc::Sender<Bytes>, id: &Id) {
    match reply.into_body() {
        Reply::Stream(mut events) => {
            while let Some(event) = events.recv().await {
                if to.send(event).await.is_err() {
                    return;
                }
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

fn whole(status: StatusCode, headers: HeaderMap, bytes: Bytes) -> HttpResponse<Reply> {
    let mut response = HttpResponse::new(Reply::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn stream(status: StatusCode, mut headers: HeaderMap, events: mpsc::Receiver<Bytes>) -> HttpResponse<Reply> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    let mut response = HttpResponse::new(Reply::Stream(events));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn json(status: StatusCode, bytes: Bytes) -> HttpResponse<Reply> {
    whole(status, HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]), bytes)
}

fn plain(status: StatusCode, text: &'static str) -> HttpResponse<Reply> {
    whole(status, HeaderMap::new(), Bytes::from_static(text.as_bytes()))
}

/// Progress events for a client that asked for them.
struct Progress {
    token: Option<String>,
    events: mpsc::Sender<Bytes>,
}

impl Patience for Progress {
    async fn waits(&mut self, seconds: u64, ask: u64) {
        if let Some(token) = &self.token {
            let _ = self.events.send(sse::event(&answer::progress(token, seconds, ask))).await;
        }
    }
}

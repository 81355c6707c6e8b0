//! The Streamable HTTP door: `/mcp/NAME` on a loopback address, in front of servers that speak HTTP.
//!
//! An agent is known by its key, or by its program (see [`who`]). A page in a browser is not an agent: `Host` and `Origin` must be
//! loopback, so that a rebound name reaches nothing. Headers that name a method or tool must equal the
//! body, or they are a way around whoever routes on them.

mod a2a;
mod eras;
mod exchange;
mod handle;
mod hosted;
mod idle;
mod opening;
mod refusals;
mod retract;
mod screen;
mod ticket;
mod tls;
mod who;
mod wire;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN, TRANSFER_ENCODING,
    WWW_AUTHENTICATE,
};
use hyper::{Method, Request as HttpRequest, Response as HttpResponse, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use ledger::record::Status;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::call::Id;
use crate::door::behind::Behind;
use crate::door::claims::Claims;
use crate::dpop;
use crate::gateway::Shared;
use crate::identity;
use crate::lanes::Lanes;
use crate::pipeline::{Act, Ending};
use crate::signin::{self, Identity, Refused, metadata};
use crate::upstream::child::Program;
use crate::upstream::http::{KEY_HEADER, Outbound, Target, pass_headers};
use crate::upstream::remote::{METHOD_HEADER, NAME_HEADER, SESSION_HEADER, VERSION_HEADER};
#[cfg(fuzzing)]
pub(crate) use a2a::fuzz_card;
use eras::Eras;
use exchange::Exchange;
use handle::Handle;
use hosted::{Goal, Hosts, Visit};
use idle::Held;
pub(crate) use idle::Idle;
use opening::Openings;
use refusals::{Refusal as TurnedAway, Refusals};
use retract::Retractable;
use screen::{Conversation, Expect};
use ticket::Ticket;
#[cfg(not(fuzzing))]
use tls::Shown;
#[cfg(fuzzing)]
pub(crate) use tls::Shown;
pub use tls::{Tls, TlsError, TlsFiles};
use who::{Known, Peer};
use wire::{JSON, Reply, json, plain, whole};

/// How long a connection may be idle or take for a head.
const HEAD_WAIT: Duration = Duration::from_secs(75);
/// The largest head, in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// How often it is looked whether the operator's certificates and lists changed.
const TRUST_EVERY: Duration = Duration::from_secs(2);
/// How often the certificates of an open connection are checked again where nothing changed: time goes on.
const TRUST_AGAIN: Duration = Duration::from_secs(60);
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
    /// Agents that speak A2A, by the name in the path.
    pub a2a: BTreeMap<String, Uri>,
    /// Agents and their keys.
    pub keys: Vec<(String, String)>,
    /// Agents that cannot show a key, by their program's path.
    pub programs: BTreeMap<PathBuf, String>,
    /// Who may sign in with a token.
    pub identity: Identity,
    /// TLS, where the operator set it up.
    pub tls: Option<Arc<Tls>>,
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
    /// Answers that were promised on a stream of a conversation, and may come on another.
    promised: Claims<(Conversation, Id), Expect>,
    /// Requests of servers that their clients have not answered yet, with the act where one was judged.
    asked: Claims<(Conversation, Id), Option<Act>>,
    /// Calls to remote servers that wait for a human.
    retractable: Retractable,
    /// Servers that run for clients of this door, and conversations that are translated.
    hosts: Hosts,
    eras: Eras,
    cards: a2a::Cards,
    refusals: Refusals,
    openings: Openings,
}

impl HttpDoor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        // Over HTTP the kernel does not say as which user somebody calls, so it is the one that the gateway runs as.
        let user = identity::local_user();
        let outbound = shared.outbound().clone();
        Self {
            tokens: signin::Door::new(outbound.clone(), shared.sealer.clone()),
            shared,
            outbound,
            user,
            promised: Claims::default(),
            asked: Claims::default(),
            retractable: Retractable::default(),
            hosts: Hosts::default(),
            eras: Eras::default(),
            cards: a2a::Cards::default(),
            refusals: Refusals::default(),
            openings: Openings::default(),
        }
    }

    /// Ends what nobody came back for.
    pub(crate) fn expire(&self) {
        for mut expect in self.promised.overdue() {
            expect.ends(Status::TimedOut);
        }
        self.hosts.expire();
        self.write_refusals(false);
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
        self.write_refusals(true);
    }

    /// Where a request to a server goes, with the caller's own headers but for what is between it and us.
    fn target(&self, (server, uri): (&str, &Uri), headers: &HeaderMap, is_signed_in: bool) -> Target {
        let mut headers = pass_headers(headers);
        // How the body is to be read is for us to say, who judged what it says.
        headers.remove(CONTENT_ENCODING);
        if headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, JSON);
        }
        // Only what was compared with the body goes on, and who compared it adds it.
        for (name, _) in wire::params(&headers) {
            headers.remove(name);
        }
        if is_signed_in {
            // The token was for us: passed on, the server could act with it as the caller.
            headers.remove(AUTHORIZATION);
            headers.remove(dpop::HEADER);
        }
        let authority = &self.shared.authority;
        authority.peers.introduce(server, &mut headers);
        Target { uri: uri.clone(), headers, wait: authority.limits.call_wait }
    }

    fn write_refusals(&self, is_end: bool) {
        for record in self.refusals.due(is_end) {
            self.shared.authority.journal.note(record);
        }
    }

    /// Notes that somebody was not let in; a server that nobody knows is not named.
    fn turned_away(&self, fronts: &Fronts, server: &str, agent: Option<&str>, why: String) {
        let is_known = fronts.upstreams.contains_key(server) || fronts.a2a.contains_key(server);
        let server = if is_known { server.to_owned() } else { String::new() };
        self.refusals.count(TurnedAway { server, agent: agent.map(str::to_owned), why });
    }
}

/// Takes connections until this is dropped, and with it the lanes that serve them.
pub(crate) async fn serve(door: Arc<HttpDoor>, (listener, is_secure): (TcpListener, bool), lanes: Lanes) {
    loop {
        let Some(permit) = door.shared.connection().await else { return };
        let Ok((stream, theirs)) = listener.accept().await else {
            // Out of files, most likely.
            door.shared.idle.end_oldest();
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Out of this thread's poll, into that of its lane.
        let Ok(stream) = stream.into_std() else { continue };
        let door = door.clone();
        lanes.spawn(async move {
            let _ = stream.set_nodelay(true);
            if let Ok(ours) = stream.local_addr()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                let peer = Peer::new(ours, theirs);
                if is_secure {
                    secured(door, stream, peer).await;
                } else {
                    connection(door, stream, peer).await;
                }
            }
            drop(permit);
        });
    }
}

/// A connection over TLS, with the certificates of now. Who fails the handshake hears nothing more.
async fn secured(door: Arc<HttpDoor>, stream: TcpStream, peer: Peer) {
    let Some(tls) = door.shared.fronts().tls.clone() else { return };
    let turned_away = |why: &str| door.turned_away(&door.shared.fronts(), "", None, why.to_owned());
    let Some((stream, chain)) = tls.accept(stream).await else {
        return turned_away("the TLS handshake failed, or no certificate that is trusted");
    };
    let shown = chain.first().map(Shown::of);
    tokio::select! {
        () = connection(door.clone(), stream, peer.secured(shown)) => {}
        // Every act on it records its own end.
        () = not_taken(&door, tls, &chain) => turned_away("a certificate is trusted no more"),
    }
}

/// Ends when the certificates that a connection began with are not taken any more: the authority took one back, the
/// operator took the authority back, or their time is over.
async fn not_taken(door: &HttpDoor, mut held: Arc<Tls>, chain: &[CertificateDer<'static>]) {
    if chain.is_empty() {
        return std::future::pending().await;
    }
    let mut checked = Instant::now();
    loop {
        tokio::time::sleep(TRUST_EVERY).await;
        let Some(tls) = door.shared.fronts().tls.clone() else { return };
        if Arc::ptr_eq(&tls, &held) && checked.elapsed() < TRUST_AGAIN {
            continue;
        }
        if !tls.takes(chain) {
            return;
        }
        (held, checked) = (tls, Instant::now());
    }
}

async fn connection(door: Arc<HttpDoor>, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer) {
    let shared = door.shared.clone();
    let peer = Arc::new(peer);
    let entered = shared.idle.enter();
    let place = entered.place.clone();
    let service = hyper::service::service_fn(move |request| {
        let (door, peer, busy) = (door.clone(), peer.clone(), entered.busy());
        async move { Ok::<_, Infallible>(answer_http(&door, &peer, request).await.map(|body| Held { body, _busy: busy })) }
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
        _ = &mut connection => return,
        () = shared.closing() => return,
        () = place.must_go() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = shared.closing() => {}
        () = place.is_quiet() => {}
    }
}

async fn answer_http(door: &Arc<HttpDoor>, peer: &Peer, mut request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
    let Some(_running) = door.shared.enter() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "the gateway is ending");
    };
    if is_coded_oddly(request.headers()) {
        let mut answer = plain(StatusCode::NOT_IMPLEMENTED, "the only transfer coding that is taken is `chunked`");
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return answer;
    }
    if let Some(name) = said_twice(request.headers()) {
        return whole(StatusCode::BAD_REQUEST, HeaderMap::new(), format!("the header {name} is there twice").into());
    }
    let routed = route(door, peer, &request).await;
    // From here on the session is called as where it is held; a handle of ours goes no further.
    request.headers_mut().remove(SESSION_HEADER);
    if let Some(id) = routed.as_ref().ok().and_then(Way::session) {
        request.headers_mut().insert(SESSION_HEADER, id);
    }
    match routed {
        Err(refused) => *refused,
        Ok(Way::Hosted(visit)) => visit.serve(request).await,
        Ok(Way::Agent(visit)) => visit.serve(request).await,
        Ok(Way::Remote(exchange)) => match *request.method() {
            Method::POST => exchange.post(request).await,
            Method::GET => exchange.get(&request).await,
            Method::DELETE => exchange.delete(&request).await,
            _ => plain(StatusCode::METHOD_NOT_ALLOWED, "use POST, GET or DELETE"),
        },
    }
}

/// A header that decides something and is there more than once: whoever stands before or behind us may take the other.
fn said_twice(headers: &HeaderMap) -> Option<&'static str> {
    let deciding = [
        (HOST, "Host"),
        (AUTHORIZATION, "Authorization"),
        (dpop::HEADER, "DPoP"),
        (CONTENT_TYPE, "Content-Type"),
        (KEY_HEADER, "x-bailiwick-key"),
        (SESSION_HEADER, "Mcp-Session-Id"),
        (VERSION_HEADER, "MCP-Protocol-Version"),
        (METHOD_HEADER, "Mcp-Method"),
        (NAME_HEADER, "Mcp-Name"),
    ];
    deciding.into_iter().find(|(name, _)| headers.get_all(name).iter().nth(1).is_some()).map(|(_, name)| name)
}

/// Whether a body is coded in a way that whoever stands before or behind us may read otherwise.
fn is_coded_oddly(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(TRANSFER_ENCODING).iter();
    match (all.next(), all.next()) {
        (None, _) => false,
        (Some(coding), None) => !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => true,
    }
}

/// Where a request goes.
enum Way {
    Remote(Exchange),
    Hosted(Visit),
    Agent(a2a::Visit),
}

impl Way {
    /// The session as its server knows it.
    fn session(&self) -> Option<HeaderValue> {
        match self {
            Self::Remote(exchange) => exchange.session.clone(),
            Self::Hosted(_) | Self::Agent(_) => None,
        }
    }
}

async fn route(
    door: &Arc<HttpDoor>,
    peer: &Peer,
    request: &HttpRequest<Incoming>,
) -> Result<Way, Box<HttpResponse<Reply>>> {
    let refuse = |status, text| Err(Box::new(plain(status, text)));
    let headers = request.headers();
    let fronts = door.shared.fronts();
    // A name that the operator gave is this machine's over TLS only: there its certificate says so, too.
    let named = fronts.tls.as_ref().filter(|_| peer.is_secure()).map(|tls| &tls.names);
    let is_here = |host: &str| is_loopback_authority(host) || named.is_some_and(|names| names.contains(host_of(host)));
    if !headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(is_here) {
        return refuse(StatusCode::FORBIDDEN, "the Host header is not this machine");
    }
    // Where the line names a host, it is that which was asked for, whatever the header says.
    if request.uri().authority().is_some_and(|authority| !is_here(authority.as_str())) {
        return refuse(StatusCode::FORBIDDEN, "the request is for another host");
    }
    let origins: Vec<_> = headers.get_all(ORIGIN).iter().collect();
    if !origins.iter().all(|origin| origin.to_str().is_ok_and(is_loopback_origin)) {
        return refuse(StatusCode::FORBIDDEN, "the Origin header is not this machine");
    }
    let path = request.uri().path();
    if let Some(rest) = path.strip_prefix(metadata::PATH) {
        return Err(Box::new(metadata_of(&fronts, &peer.base(), rest)));
    }
    let agent = a2a::place(path);
    let name = agent.map(|(name, _)| name).or_else(|| server_at(path)).unwrap_or("/");
    let known = match peer.caller(door, &fronts, (request, name)).await {
        Ok(known) => known,
        Err(refused) => {
            door.turned_away(&fronts, name, None, refused.to_string());
            let mut answer = unauthorized(&fronts, (&peer.base(), name), refused);
            if refused == Refused::Nonce {
                let nonce = door.tokens.nonce(door.shared.authority.journal.now());
                answer.headers_mut().extend(nonce.map(|nonce| (dpop::NONCE_HEADER, nonce)));
            }
            return Err(Box::new(answer));
        }
    };
    if let Some((name, part)) = agent {
        let Some(uri) = fronts.a2a.get(name).cloned() else { return refuse(StatusCode::NOT_FOUND, "no such agent") };
        return Ok(Way::Agent(a2a::visit(door, (&fronts, peer), known, (name, uri, part))));
    }
    let behind = match fronts.upstreams.get(name) {
        Some(upstream) => Some(upstream.clone()),
        None if name.is_empty() => None,
        None => return refuse(StatusCode::NOT_FOUND, "no such server"),
    };
    let is_stateless = headers.get(VERSION_HEADER).is_some_and(|version| version.as_bytes() >= STATELESS.as_bytes());
    let (door, server) = (door.clone(), name.to_owned());
    let Known { caller, signed_in } = known;
    // The protocol without sessions has none, whatever a header says.
    let session = match headers.get(SESSION_HEADER).filter(|_| !is_stateless) {
        Some(handle) => {
            let now = door.shared.authority.journal.now();
            let opened = Handle::open(handle, &door.shared.sealer, (&caller, name), now);
            // The word on which a client opens another.
            Some(opened.ok_or_else(|| Box::new(plain(StatusCode::NOT_FOUND, "no such session")))?)
        }
        None => None,
    };
    let ticket = signed_in.map(|who| Ticket { who, fronts: fronts.clone(), base: peer.base() });
    Ok(match behind {
        Some(Upstream::Http(uri)) => {
            let is_translated = session.as_ref().is_some_and(|session| session.holds().is_some());
            let id = session.as_ref().and_then(Handle::id);
            let exchange = Exchange { door, caller, ticket, server, uri, is_stateless, session: id };
            if is_translated { Way::Hosted(exchange.visit(headers, session)) } else { Way::Remote(exchange) }
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
        Refused::Invalid(_) | Refused::Proof(_) | Refused::Nonce => (StatusCode::UNAUTHORIZED, refused.to_string()),
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

/// An authority without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_loopback_authority(authority: &str) -> bool {
    let host = host_of(authority);
    host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]"
}

fn is_loopback_origin(origin: &str) -> bool {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")).is_some_and(is_loopback_authority)
}

//! A server that speaks Streamable HTTP. A request goes out only against a permit, or if it is plumbing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use hyper::{Method, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use ledger::record::Status;

use crate::answer;
use crate::call::{Plumbing, Request};
use crate::dpop;
use crate::dpop::key::Proven;
use crate::lanes::{self, LANES_MAX};
use crate::pipeline::{Act, Permit};
use crate::upstream::login::discover::Challenge;
use crate::upstream::login::{Held, Kept, LoginError, Logins};

/// The header by which an agent is known. It never goes upstream.
pub const KEY_HEADER: HeaderName = HeaderName::from_static("x-bailiwick-key");

/// How long a connection is kept that nobody uses. Servers end theirs after five seconds where nothing else is said
/// (Node.js, uvicorn): a message that is sent as they do is lost, and only the server knows whether it was acted on.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Connections to servers, kept and used again.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// One for each lane: a connection is polled by the thread that it was made on.
    clients: Arc<[Client<HttpsConnector<HttpConnector>, Full<Bytes>>]>,
    /// The operator's logins at servers.
    logins: Option<Arc<Logins>>,
}

/// The server could not be reached, or did not answer in time.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No connection, or it broke.
    #[error("the server cannot be reached: {0}")]
    Broken(String),
    /// No answer in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// It wants another login than the operator's.
    #[error("{0}")]
    Login(String),
}

impl Unreachable {
    /// What became of an act that it ended.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::TimedOut => Status::TimedOut,
            Self::Broken(_) => Status::Unknown,
            // Not let in, so nothing was done.
            Self::Login(_) => Status::Error,
        }
    }

    /// The JSON-RPC error code that a client is told.
    pub(crate) fn code(&self) -> i64 {
        match self {
            Self::Broken(_) | Self::TimedOut => answer::UPSTREAM,
            Self::Login(_) => answer::LOGIN,
        }
    }
}

/// Where a request goes and with which headers.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub uri: Uri,
    /// The caller's headers, already cleaned by [`pass_headers`].
    pub headers: HeaderMap,
    /// How long the head of the answer may take.
    pub wait: Duration,
}

impl Outbound {
    /// Connections over TLS with the machine's own roots, or plain where the address says so.
    pub fn new() -> Self {
        let mut roots = rustls::RootCertStore::empty();
        // A machine without roots reaches no TLS server, which is the safe end.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        #[expect(clippy::expect_used, reason = "the provider supports the default versions")]
        let tls = tls.expect("protocol versions").with_root_certificates(roots).with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = |_lane| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_MAX)
                .pool_max_idle_per_host(256)
                .build(connector.clone())
        };
        Self { clients: (0..LANES_MAX).map(client).collect(), logins: None }
    }

    /// The same, with the operator's logins in a folder.
    pub(crate) fn with_logins(mut self, dir: PathBuf) -> Self {
        self.logins = Some(Arc::new(Logins::new(dir)));
        self
    }

    /// Spends a permit: the call goes to the server. The act owes an outcome whatever comes back.
    pub async fn send(
        &self,
        permit: Permit<Request>,
        target: Target,
    ) -> (Act, Result<Response<Incoming>, Unreachable>) {
        let (request, act) = permit.spend();
        let answer = self.exchange(Method::POST, target, request.raw().clone()).await;
        (act, answer)
    }

    /// Passes a message that policy has no say in.
    pub async fn pass(&self, plumbing: &Plumbing, target: Target) -> Result<Response<Incoming>, Unreachable> {
        self.exchange(Method::POST, target, plumbing.raw().clone()).await
    }

    /// Opens the server's own stream of messages.
    pub async fn listen(&self, target: Target) -> Result<Response<Incoming>, Unreachable> {
        self.exchange(Method::GET, target, Bytes::new()).await
    }

    /// Fetches a document of an identity provider; nothing of a caller goes with it, and no login of the operator's.
    pub(crate) async fn fetch(&self, target: Target) -> Result<Response<Incoming>, Unreachable> {
        self.once(Method::GET, target, Bytes::new()).await
    }

    /// Ends the session.
    pub async fn leave(&self, target: Target) -> Result<Response<Incoming>, Unreachable> {
        self.exchange(Method::DELETE, target, Bytes::new()).await
    }

    /// One message, with the operator's login where there is one for its address: then what the caller sent for itself
    /// stays here.
    async fn exchange(&self, method: Method, target: Target, body: Bytes) -> Result<Response<Incoming>, Unreachable> {
        let Some(login) = self.logins.as_ref().and_then(|logins| logins.at(&target.uri)) else {
            return self.once(method, target, body).await;
        };
        let over = |error: LoginError| {
            tracing::warn!(server = login.name(), %error, "no token for a server");
            Unreachable::Login(login.is_over())
        };
        let held = login.token(self, None).await.map_err(over)?;
        let message = (&method, &target, &body);
        let mut answer = self.signed_in((&login, &held), message).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // It was not let in, so nothing was done.
            let held = login.token(self, Some(&held.token)).await.map_err(over)?;
            answer = self.signed_in((&login, &held), message).await?;
        }
        let challenge = Challenge::read(answer.headers()).unwrap_or_default();
        match answer.status() {
            StatusCode::UNAUTHORIZED => Err(Unreachable::Login(login.is_over())),
            StatusCode::FORBIDDEN if challenge.error.as_deref() == Some("insufficient_scope") => {
                Err(Unreachable::Login(login.lacks(&challenge.scopes)))
            }
            _ => {
                // How the gateway signs in is not for the caller to answer.
                answer.headers_mut().remove(WWW_AUTHENTICATE);
                answer.headers_mut().remove(dpop::NONCE_HEADER);
                Ok(answer)
            }
        }
    }

    /// One message with a token; once more if the server wants another nonce in its proof than it had.
    async fn signed_in(
        &self,
        (login, held): (&Kept, &Held),
        (method, target, body): (&Method, &Target, &Bytes),
    ) -> Result<Response<Incoming>, Unreachable> {
        let sent = login.nonce();
        let answer = self.once(method.clone(), target.bearing(held, method, sent.as_ref())?, body.clone()).await?;
        // Compared with what this message had: another's answer may have brought the same nonce meanwhile.
        let wanted = login.heard(&answer).filter(|wanted| held.key.is_some() && Some(wanted) != sent.as_ref());
        // It was not let in, so nothing was done.
        if answer.status() != StatusCode::UNAUTHORIZED || wanted.is_none() {
            return Ok(answer);
        }
        self.once(method.clone(), target.bearing(held, method, wanted.as_ref())?, body.clone()).await
    }

    pub(crate) async fn once(
        &self,
        method: Method,
        target: Target,
        body: Bytes,
    ) -> Result<Response<Incoming>, Unreachable> {
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.uri;
        *request.headers_mut() = target.headers;
        let Some(client) = self.clients.get(lanes::number()) else {
            return Err(Unreachable::Broken("no such lane".to_owned()));
        };
        match tokio::time::timeout(target.wait, client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Unreachable::Broken(root_cause(&error))),
            Err(_) => Err(Unreachable::TimedOut),
        }
    }
}

impl Target {
    fn bearing(&self, held: &Held, method: &Method, nonce: Option<&HeaderValue>) -> Result<Self, Unreachable> {
        let unusable = |error: &dyn std::fmt::Display| Unreachable::Login(error.to_string());
        let mut target = self.clone();
        // What the caller proves is his own.
        target.headers.remove(dpop::HEADER);
        let token = held.token.access.reveal();
        if let Some(key) = &held.key {
            let nonce = nonce.and_then(|nonce| nonce.to_str().ok());
            let of = Proven { method, uri: &self.uri, token: Some(token), nonce };
            let proof = key.proof(&of, Timestamp::now()).map_err(|error| unusable(&error))?;
            target.headers.insert(dpop::HEADER, proof);
        }
        let scheme = if held.key.is_some() { "DPoP" } else { "Bearer" };
        let value = HeaderValue::from_str(&format!("{scheme} {token}"));
        let mut value = value.map_err(|_| unusable(&"the login's token is no token"))?;
        value.set_sensitive(true);
        target.headers.insert(AUTHORIZATION, value);
        Ok(target)
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new()
    }
}

/// The headers that pass through a proxy: not those of one connection, not the body's length (it is set
/// anew), not what is between the agent and us.
pub fn pass_headers(headers: &HeaderMap) -> HeaderMap {
    let keep_alive = HeaderName::from_static("keep-alive");
    let stays = [
        CONNECTION,
        CONTENT_LENGTH,
        HOST,
        ORIGIN,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        COOKIE,
        KEY_HEADER,
        keep_alive,
    ];
    // What `Connection` names is of one connection too.
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let proxy = name.as_str().starts_with("proxy-") || name == "accept-encoding";
        if !stays.contains(name) && !proxy && !named.iter().any(|named| named == name.as_str()) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

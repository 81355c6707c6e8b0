//! Who may speak to the API, checked before any handler runs.
//!
//! The browser is the danger here, not the network: every page that the user visits can send requests to
//! a loopback port. So on every request:
//! - `Host` must be a loopback name with our port: a name that an attacker rebinds to 127.0.0.1 is refused.
//! - `Origin`, where present, must be our own, and a request that changes something must carry it.
//! - `Sec-Fetch-Site`, where present, must not say that another site asks the API.
//! - The session needs two tokens: the cookie (HttpOnly, SameSite=Strict) and a key that only the page has,
//!   in the header `x-bailiwick-page`. Cookies are not bound to a port: another server on 127.0.0.1 would be
//!   sent ours, and with the cookie alone could do nothing.
//!
//! On the Unix socket the kernel says who is there: the peer's uid must be ours.

use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, Uri, header};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use jiff::{SignedDuration, Timestamp};

use crate::Control;
use crate::problem::{Problem, uniform};
use crate::store::Session;
use crate::token;

/// The cookie's name.
pub(crate) const COOKIE: &str = "bailiwick_session";
/// The header that carries the page's key.
pub(crate) const PAGE_HEADER: &str = "x-bailiwick-page";

/// Who makes a request, known before a handler runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    /// A signed-in browser.
    Browser {
        /// Its session.
        session: Session,
        /// The digest that the session is stored under.
        cookie_hash: [u8; 32],
    },
    /// A process of the same user on the Unix socket.
    Process(Peer),
}

/// The process at the other end of the Unix socket, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its user.
    pub(crate) uid: u32,
    /// Its process id, where known.
    pub(crate) pid: Option<i32>,
}

/// The port that the console listens on: what `Host` and `Origin` must name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    pub(crate) port: u16,
}

impl Door {
    fn is_ours(self, authority: &str) -> bool {
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| authority == format!("{host}:{}", self.port))
    }
}

/// Layer for TCP: refuses requests that another site or a rebound name could have made, and sets the
/// headers that every answer carries.
pub(crate) async fn same_origin(State(door): State<Door>, request: Request, next: Next) -> Response<Body> {
    let mut response = match check(door, request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    harden(response.headers_mut());
    response
}

fn check(door: Door, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let host = one(headers, header::HOST.as_str())?;
    if !host.is_some_and(|host| door.is_ours(host)) {
        return Err(Problem::forbidden("the `Host` header does not name this console"));
    }
    if uri.authority().is_some_and(|authority| !door.is_ours(authority.as_str())) {
        return Err(Problem::forbidden("the request names another host"));
    }
    let origin = one(headers, header::ORIGIN.as_str())?;
    let foreign = |origin: &str| !origin.strip_prefix("http://").is_some_and(|authority| door.is_ours(authority));
    if origin.is_some_and(foreign) {
        return Err(Problem::forbidden("the request comes from another origin"));
    }
    if !method.is_safe() && origin.is_none() {
        return Err(Problem::forbidden("a request that changes something must carry its `Origin`"));
    }
    let site = one(headers, "sec-fetch-site")?;
    if uri.path().starts_with("/api/") && site.is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(Problem::forbidden("the request comes from another site"));
    }
    Ok(())
}

/// A header that may be there once. Two of them, or bytes that are no text, are refused: we and a proxy
/// might read different ones.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Problem::forbidden(format!("`{name}` is there twice")));
    }
    first.map(HeaderValue::to_str).transpose().map_err(|_| Problem::forbidden(format!("`{name}` is no text")))
}

fn harden(headers: &mut HeaderMap) {
    const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
        img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let set = [
        ("content-security-policy", CSP),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=(), usb=(), payment=()"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Layer for both: lets only a known caller through, and leaves a [`Caller`] for the handler.
pub(crate) async fn authenticate(State(control): State<Control>, mut request: Request, next: Next) -> Response<Body> {
    let caller = match request.extensions().get::<Peer>() {
        Some(peer) => Ok(Caller::Process(*peer)),
        None => browser(&control, request.headers()).await,
    };
    match caller {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Layer for both: errors of the framework get our form.
pub(crate) async fn problems(request: Request, next: Next) -> Response<Body> {
    uniform(next.run(request).await).await
}

async fn browser(control: &Control, headers: &HeaderMap) -> Result<Caller, Problem> {
    let cookie = cookie(headers).ok_or_else(Problem::not_signed_in)?;
    let page = one(headers, PAGE_HEADER)?.ok_or_else(Problem::not_signed_in)?;
    let (cookie_hash, page_hash) = (token::hash(cookie), token::hash(page));
    let now = Timestamp::now();
    let found = control.blocking(move |control| Ok(control.store().session(&cookie_hash, &page_hash, now)?)).await?;
    found.map(|session| Caller::Browser { session, cookie_hash }).ok_or_else(Problem::not_signed_in)
}

/// Our cookie's value. Two of the name mean that somebody else on this host set one: none is taken.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value);
    let first = found.next();
    if found.next().is_some() { None } else { first }
}

/// At most ten tries to sign in at once, then one every six seconds. A token is 256 bits: this bounds
/// noise and work, not luck.
#[derive(Debug)]
pub(crate) struct SignInLimit {
    /// Tries left, and when that was counted.
    left: Mutex<(f64, Timestamp)>,
}

const TRIES_MAX: f64 = 10.0;
const SECONDS_PER_TRY: f64 = 6.0;

impl SignInLimit {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { left: Mutex::new((TRIES_MAX, now)) }
    }

    /// Whether one more try is allowed now.
    pub(crate) fn take(&self, now: Timestamp) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let waited: SignedDuration = now.duration_since(left.1);
        let refilled = (left.0 + waited.as_secs_f64().max(0.0) / SECONDS_PER_TRY).min(TRIES_MAX);
        let allowed = refilled >= 1.0;
        *left = (if allowed { refilled - 1.0 } else { refilled }, now);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOOR: Door = Door { port: 7681 };

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn allowed(method: Method, path: &'static str, pairs: &[(&'static str, &'static str)]) -> bool {
        check(DOOR, &method, &Uri::from_static(path), &headers(pairs)).is_ok()
    }

    #[test]
    fn a_rebound_name_is_refused() {
        assert!(allowed(Method::GET, "/", &[("host", "127.0.0.1:7681")]));
        assert!(allowed(Method::GET, "/", &[("host", "localhost:7681")]));
        for host in ["evil.example:7681", "127.0.0.1:80", "127.0.0.1", "127.0.0.1:7681.evil.example", ""] {
            assert!(!allowed(Method::GET, "/", &[("host", host)]), "{host}");
        }
        assert!(!allowed(Method::GET, "/", &[]));
        assert!(!allowed(Method::GET, "/", &[("host", "127.0.0.1:7681"), ("host", "evil.example")]));
        assert!(!allowed(Method::GET, "http://evil.example/", &[("host", "127.0.0.1:7681")]));
    }

    #[test]
    fn a_change_needs_our_own_origin() {
        let host = ("host", "127.0.0.1:7681");
        assert!(allowed(Method::POST, "/api/x", &[host, ("origin", "http://127.0.0.1:7681")]));
        assert!(!allowed(Method::POST, "/api/x", &[host]));
        for origin in ["null", "https://127.0.0.1:7681", "http://127.0.0.1:9999", "http://evil.example"] {
            assert!(!allowed(Method::POST, "/api/x", &[host, ("origin", origin)]), "{origin}");
            assert!(!allowed(Method::GET, "/api/x", &[host, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn another_site_cannot_ask_the_api_but_can_link_to_the_console() {
        let host = ("host", "127.0.0.1:7681");
        assert!(!allowed(Method::GET, "/api/calls", &[host, ("sec-fetch-site", "same-site")]));
        assert!(!allowed(Method::GET, "/api/calls", &[host, ("sec-fetch-site", "cross-site")]));
        assert!(allowed(Method::GET, "/", &[host, ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn two_cookies_of_our_name_are_none() {
        assert_eq!(cookie(&headers(&[("cookie", "a=1; bailiwick_session=x")])), Some("x"));
        assert_eq!(cookie(&headers(&[("cookie", "bailiwick_session=x; bailiwick_session=y")])), None);
        assert_eq!(cookie(&headers(&[("cookie", "bailiwick_session=x"), ("cookie", "bailiwick_session=y")])), None);
        assert_eq!(cookie(&headers(&[])), None);
    }

    #[test]
    fn sign_in_is_limited() {
        let start = Timestamp::from_second(0).unwrap();
        let limit = SignInLimit::new(start);
        assert_eq!((0..20).filter(|_| limit.take(start)).count(), 10);
        let later = Timestamp::from_second(13).unwrap();
        assert_eq!((0..20).filter(|_| limit.take(later)).count(), 2);
    }
}

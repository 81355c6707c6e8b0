//! Where tokens for a server come from: its challenge (RFC 6750), its metadata (RFC 9728), and that of its authorization
//! server (RFC 8414, OIDC discovery). What they say must fit together, or there is no login: a server that names
//! another's metadata would get another's tokens.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode, Uri};
use serde_json::{Value, json};

use super::{Binding, Client, LoginError, Proof};
use crate::dpop;
use crate::dpop::key::{ALGORITHM, ProofKey};
use crate::signin::fetch;
use crate::upstream::http::{Outbound, Target};
use crate::upstream::remote::{METHOD_HEADER, SESSION_HEADER, VERSION_HEADER};

const WAIT: Duration = Duration::from_secs(20);
/// The largest answer that is read, in bytes.
const SIZE_MAX_BYTES: usize = 256 * 1024;

/// What a server wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) metadata: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) error: Option<String>,
}

impl Challenge {
    /// Of the schemes `Bearer` and `DPoP`, if an answer has one.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let parameters = |value: &str| {
            let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
            ["bearer", "dpop"].contains(&&*scheme.to_ascii_lowercase()).then(|| rest.to_owned())
        };
        let text = values.filter_map(parameters).next()?;
        let value = |name: &str| parameter(&text, name);
        let scopes = value("scope").map(|scope| scope.split_whitespace().map(str::to_owned).collect());
        Some(Self { metadata: value("resource_metadata"), scopes: scopes.unwrap_or_default(), error: value("error") })
    }
}

/// A challenge: what is read stands in it.
#[cfg(fuzzing)]
pub(crate) fn fuzz(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let Some(challenge) = Challenge::read(&HeaderMap::from_iter([(WWW_AUTHENTICATE, value)])) else { return };
    let said = challenge.metadata.iter().chain(&challenge.scopes).chain(&challenge.error);
    let text = String::from_utf8_lossy(data);
    assert!(said.into_iter().all(|said| text.contains(said.as_str())), "words that nobody said");
}

/// One parameter of a challenge, quoted or not.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut rest = text.trim_start();
    while let Some((key, value)) = rest.split_once('=') {
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_once(',').unwrap_or((value, "")),
        };
        // Another scheme may begin after a comma: its name stands before the first of its parameters.
        if key.trim_end().rsplit([',', ' ']).next().is_some_and(|key| key.eq_ignore_ascii_case(name)) {
            return Some(value.trim().to_owned());
        }
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    None
}

/// Where tokens for a server come from, and what it takes.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// What the tokens are for.
    pub resource: String,
    /// What the server wants, by its challenge or else its metadata.
    pub scopes: Vec<String>,
    /// Who issues them.
    pub issuer: String,
    pub(crate) authorization_endpoint: String,
    /// Where.
    pub token_endpoint: String,
    pub(crate) registration_endpoint: Option<String>,
    /// How a client may show who it is.
    pub(crate) proofs: Vec<String>,
    pub(crate) takes_documents: bool,
    pub(crate) says_issuer: bool,
    pub(crate) has_offline: bool,
    /// Whether it takes a challenge with S256; unknown where there is no metadata.
    pub(crate) takes_challenge: bool,
    /// Whether it binds tokens to keys like ours.
    pub(crate) binds: bool,
    /// Whether the server takes no tokens but those.
    pub(crate) wants_binding: bool,
}

impl Discovered {
    /// A new key for tokens to be bound to, where there are such tokens.
    pub fn binding(&self) -> Result<Option<Binding>, LoginError> {
        if !self.binds {
            return Ok(None);
        }
        Ok(Some(Binding { key: ProofKey::generate()?, required: self.wants_binding }))
    }

    /// A client that was named by hand, with its secret as this authorization server takes it.
    pub fn fit(&self, mut client: Client) -> Client {
        let takes = |method: &str| self.proofs.iter().any(|proof| proof == method);
        if let Proof::Basic(secret) = &client.proof
            && !takes("client_secret_basic")
            && takes("client_secret_post")
        {
            client.proof = Proof::Post(secret.clone());
        }
        client
    }
}

/// Asks a server and its authorization server.
pub async fn discover(outbound: &Outbound, server: &Uri) -> Result<Discovered, LoginError> {
    let challenge = probe(outbound, server).await?;
    let about = resource(outbound, server, &challenge).await?;
    let wants_binding =
        about.as_ref().is_some_and(|about| about.get("dpop_bound_access_tokens_required") == Some(&json!(true)));
    let (resource, issuer, supported) = match about {
        Some(document) => about_of(server, &document)?,
        // A server of 2025-03-26: it is its own authorization server.
        None => (server.to_string(), origin(server), Vec::new()),
    };
    let scopes = if challenge.scopes.is_empty() { supported } else { challenge.scopes };
    named(server, &issuer)?;
    let metadata = metadata(outbound, &issuer).await?;
    let unbound = || {
        unfit(format!("the server wants tokens that are bound to a key, and `{issuer}` binds none with {ALGORITHM}"))
    };
    let Some(metadata) = metadata else {
        if wants_binding {
            return Err(unbound());
        }
        if issuer != origin(server) {
            return Err(unfit(format!("`{issuer}` says nothing of itself as an authorization server")));
        }
        return Ok(legacy(resource, issuer, scopes));
    };
    let list = |name: &str| {
        let list = metadata.get(name).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let says = |name: &str| metadata.get(name) == Some(&Value::Bool(true));
    let proofs = list("token_endpoint_auth_methods_supported");
    let binds = list("dpop_signing_alg_values_supported").iter().any(|name| name == ALGORITHM);
    if wants_binding && !binds {
        return Err(unbound());
    }
    let at = |name: &str| endpoint(server, &metadata, name);
    Ok(Discovered {
        resource,
        scopes,
        authorization_endpoint: at("authorization_endpoint")?.unwrap_or_default(),
        token_endpoint: at("token_endpoint")?.ok_or_else(|| unfit("there is no token endpoint".to_owned()))?,
        registration_endpoint: at("registration_endpoint")?,
        // What RFC 8414 says where nothing is said.
        proofs: if proofs.is_empty() { vec!["client_secret_basic".to_owned()] } else { proofs },
        takes_documents: says("client_id_metadata_document_supported"),
        says_issuer: says("authorization_response_iss_parameter_supported"),
        has_offline: list("scopes_supported").iter().any(|scope| scope == "offline_access"),
        takes_challenge: list("code_challenge_methods_supported").iter().any(|method| method == "S256"),
        binds,
        wants_binding,
        issuer,
    })
}

/// An address of an authorization server, if its metadata names it.
fn endpoint(server: &Uri, metadata: &Value, name: &str) -> Result<Option<String>, LoginError> {
    let place = metadata.get(name).and_then(Value::as_str);
    place.map(|place| named(server, place).map(|_| place.to_owned())).transpose()
}

/// An address that a server names. One elsewhere names none of this machine: whoever listens here may trust whoever is here.
fn named(server: &Uri, place: &str) -> Result<Uri, LoginError> {
    let uri = safe(place)?;
    match fetch::may_be_here(&uri) && !fetch::may_be_here(server) {
        true => Err(unfit(format!("`{server}` names `{place}`, which is on this machine"))),
        false => Ok(uri),
    }
}

fn legacy(resource: String, issuer: String, scopes: Vec<String>) -> Discovered {
    Discovered {
        resource,
        scopes,
        authorization_endpoint: format!("{issuer}/authorize"),
        token_endpoint: format!("{issuer}/token"),
        registration_endpoint: Some(format!("{issuer}/register")),
        proofs: ["none", "client_secret_basic", "client_secret_post"].map(str::to_owned).into(),
        takes_documents: false,
        says_issuer: false,
        has_offline: false,
        takes_challenge: true,
        binds: false,
        wants_binding: false,
        issuer,
    }
}

/// What the server answers to somebody without a token, in either form of the protocol.
async fn probe(outbound: &Outbound, server: &Uri) -> Result<Challenge, LoginError> {
    let info = json!({ "name": "bailiwick", "version": env!("CARGO_PKG_VERSION") });
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": info,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut headers = HeaderMap::new();
    headers.insert(VERSION_HEADER, HeaderValue::from_static("2026-07-28"));
    headers.insert(METHOD_HEADER, HeaderValue::from_static("tools/list"));
    let answer = say(outbound, server, headers, ("tools/list", json!({ "_meta": meta }))).await?;
    if let Some(challenge) = refused(&answer) {
        return Ok(challenge);
    }
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info });
    let answer = say(outbound, server, HeaderMap::new(), ("initialize", params)).await?;
    if let Some(challenge) = refused(&answer) {
        return Ok(challenge);
    }
    let mut headers = HeaderMap::new();
    headers.insert(VERSION_HEADER, HeaderValue::from_static("2025-11-25"));
    headers.extend(answer.headers().get(SESSION_HEADER).map(|session| (SESSION_HEADER, session.clone())));
    let answer = say(outbound, server, headers, ("tools/list", json!({}))).await?;
    refused(&answer).ok_or(LoginError::NotWanted)
}

async fn say(
    outbound: &Outbound,
    server: &Uri,
    mut headers: HeaderMap,
    (method, params): (&str, Value),
) -> Result<Response<Incoming>, LoginError> {
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let target = Target { uri: safe(&server.to_string())?, headers, wait: WAIT };
    let answer = outbound.once(Method::POST, target, body.into()).await;
    answer.map_err(|error| LoginError::Answer { what: "the server did not answer", why: error.to_string() })
}

fn refused(answer: &Response<Incoming>) -> Option<Challenge> {
    let is_refused = matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    is_refused.then(|| Challenge::read(answer.headers()).unwrap_or_default())
}

/// The server's metadata: where its challenge says, else at the well-known places.
async fn resource(outbound: &Outbound, server: &Uri, challenge: &Challenge) -> Result<Option<Value>, LoginError> {
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    let path = server.path().trim_end_matches('/');
    let places = match &challenge.metadata {
        Some(place) => vec![place.clone()],
        None => vec![format!("{}{WELL_KNOWN}{path}", origin(server)), format!("{}{WELL_KNOWN}", origin(server))],
    };
    for place in &places {
        named(server, place)?;
    }
    let failed = |why: String| LoginError::Answer { what: "the server's metadata", why };
    match fetch::first(outbound, &places).await.map_err(|error| failed(error.to_string()))? {
        None if challenge.metadata.is_some() => Err(failed("none is where its challenge says".to_owned())),
        found => Ok(found),
    }
}

/// The resource, its first issuer, and the scopes that it knows.
fn about_of(server: &Uri, document: &Value) -> Result<(String, String, Vec<String>), LoginError> {
    let resource = document.get("resource").and_then(Value::as_str).unwrap_or_default();
    let uri: Uri = resource.parse().map_err(|_| unfit("the server's metadata names no resource".to_owned()))?;
    let path = uri.path().trim_end_matches('/');
    let within = server.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if origin(&uri) != origin(server) || !within {
        return Err(unfit(format!("the server at `{server}` says that its tokens are for `{resource}`")));
    }
    let list =
        |name: &str| document.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let issuer = list("authorization_servers").next();
    let issuer = issuer.ok_or_else(|| unfit("the server's metadata names no authorization server".to_owned()))?;
    Ok((resource.to_owned(), issuer.to_owned(), list("scopes_supported").map(str::to_owned).collect()))
}

/// An authorization server's metadata, at the first well-known place that has some.
async fn metadata(outbound: &Outbound, issuer: &str) -> Result<Option<Value>, LoginError> {
    let uri = safe(issuer)?;
    let (origin, path) = (origin(&uri), uri.path().trim_end_matches('/').to_owned());
    let mut places = vec![
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}/.well-known/openid-configuration{path}"),
    ];
    if !path.is_empty() {
        places.push(format!("{origin}{path}/.well-known/openid-configuration"));
    }
    let found = fetch::first(outbound, &places).await;
    let found = found
        .map_err(|error| LoginError::Answer { what: "the authorization server's metadata", why: error.to_string() })?;
    let says = found.as_ref().map(|document| document.get("issuer").and_then(Value::as_str).unwrap_or_default());
    match says {
        Some(says) if says != issuer => {
            Err(unfit(format!("the authorization server `{issuer}` calls itself `{says}`")))
        }
        _ => Ok(found),
    }
}

/// What an authorization server answered.
pub(super) struct Said {
    pub(super) status: StatusCode,
    /// What it wants to find in the next proof.
    pub(super) nonce: Option<HeaderValue>,
    pub(super) body: Value,
}

/// Sends a form or a document; the answer is JSON, whatever its status.
pub(super) async fn form(
    outbound: &Outbound,
    place: &str,
    mut headers: HeaderMap,
    body: String,
) -> Result<Said, LoginError> {
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let target = Target { uri: safe(place)?, headers, wait: WAIT };
    let failed = |why: String| LoginError::Answer { what: "the authorization server did not answer", why };
    let answer = outbound.once(Method::POST, target, Bytes::from(body)).await;
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    let (status, nonce) = (answer.status(), dpop::wanted(answer.headers()));
    let read = tokio::time::timeout(WAIT, Limited::new(answer.into_body(), SIZE_MAX_BYTES).collect()).await;
    let bytes = match read {
        Ok(Ok(bytes)) => bytes.to_bytes(),
        Ok(Err(_)) | Err(_) => return Err(failed("its answer broke off, took too long or is too large".to_owned())),
    };
    Ok(Said { status, nonce, body: serde_json::from_slice(&bytes).unwrap_or_default() })
}

/// An address that a secret may be sent to.
pub(super) fn safe(place: &str) -> Result<Uri, LoginError> {
    let uri: Option<Uri> = place.parse().ok();
    uri.filter(fetch::is_safe).ok_or_else(|| LoginError::Address(place.to_owned()))
}

fn origin(uri: &Uri) -> String {
    let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |it| it.as_str()));
    format!("{scheme}://{}", authority.to_ascii_lowercase())
}

fn unfit(why: String) -> LoginError {
    LoginError::Mismatch(why)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_quoted_or_not() {
        let text = r#"Bearer error="insufficient_scope", scope=mcp:write , resource_metadata="https://a.example/x,y""#;
        let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(text))]);
        let challenge = Challenge::read(&headers).unwrap();
        assert_eq!(challenge.metadata.as_deref(), Some("https://a.example/x,y"));
        assert_eq!(
            (challenge.scopes, challenge.error.as_deref()),
            (vec!["mcp:write".to_owned()], Some("insufficient_scope"))
        );
        let two = HeaderMap::from_iter([(
            WWW_AUTHENTICATE,
            HeaderValue::from_static(
                r#"DPoP error="use_dpop_nonce", algs="ES256", Bearer resource_metadata="https://a.example/""#,
            ),
        )]);
        let challenge = Challenge::read(&two).unwrap();
        assert_eq!(challenge.metadata.as_deref(), Some("https://a.example/"));
        assert_eq!(challenge.error.as_deref(), Some("use_dpop_nonce"));
        let basic = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=x"))]);
        assert!(Challenge::read(&basic).is_none());
    }

    #[test]
    fn a_server_elsewhere_names_nothing_on_this_machine() {
        let (there, here): (Uri, Uri) =
            ("https://a.example/mcp".parse().unwrap(), "http://localhost:1/mcp".parse().unwrap());
        let own = [
            "http://127.0.0.1:9/t",
            "https://localhost/t",
            "https://LOCALHOST./t",
            "https://a.localhost/t",
            "https://[::1]/t",
            "https://[::ffff:127.0.0.1]/t",
            "https://0.0.0.0/t",
        ];
        for place in own {
            let metadata = json!({ "token_endpoint": place });
            assert!(endpoint(&there, &metadata, "token_endpoint").is_err(), "{place}");
            let is_safe = safe(place).is_ok();
            assert_eq!(endpoint(&here, &metadata, "token_endpoint").is_ok(), is_safe, "{place}");
        }
        let metadata = json!({ "token_endpoint": "https://b.example/t" });
        assert_eq!(endpoint(&there, &metadata, "token_endpoint").unwrap().unwrap(), "https://b.example/t");
        assert_eq!(endpoint(&there, &metadata, "registration_endpoint").unwrap(), None);
    }

    #[test]
    fn a_server_s_tokens_are_for_itself() {
        let server: Uri = "https://a.example/team/mcp".parse().unwrap();
        let about = |resource: &str| {
            about_of(&server, &json!({ "resource": resource, "authorization_servers": ["https://b.example"] }))
        };
        for own in ["https://a.example/team/mcp", "https://A.example/team", "https://a.example/", "https://a.example"] {
            assert!(about(own).is_ok(), "{own}");
        }
        for other in [
            "https://b.example/team/mcp",
            "http://a.example/team/mcp",
            "https://a.example/tea",
            "",
            "https://a.example/team/mcp/x",
        ] {
            assert!(about(other).is_err(), "{other}");
        }
    }
}

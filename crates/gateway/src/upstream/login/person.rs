//! A person signs in: the authorization code with PKCE, and an answer that comes to a port of this machine.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::Uri;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::discover::{self, Discovered};
use super::{Client, Grant, Login, LoginError, Proof, Secret, grant};
use crate::upstream::http::Outbound;

/// How long the person may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a browser may take to say what it came for.
const HEAD_WAIT: Duration = Duration::from_secs(5);
/// The longest first line of a request, in bytes.
const LINE_MAX_BYTES: usize = 16 * 1024;
const PATH: &str = "/callback";

/// What the operator said beside the server.
#[derive(Clone, Debug, Default)]
pub struct Wants {
    /// Scopes beside those that the server wants.
    pub scopes: Vec<String>,
    /// The client, if it was registered by hand.
    pub client: Option<Client>,
    /// The address of the client's document, which some take for a name.
    pub document: Option<String>,
    /// The port that the answer comes to; any, if not said.
    pub port: u16,
    /// The login so far.
    pub before: Option<Login>,
}

/// Signs a person in; `open` is told the address that he has to open.
pub async fn sign_in(
    outbound: &Outbound,
    server: &Uri,
    wants: Wants,
    open: impl FnOnce(&str),
) -> Result<Login, LoginError> {
    let found = discover::discover(outbound, server).await?;
    if !found.takes_challenge {
        return Err(LoginError::Mismatch(format!("`{}` does not take PKCE with S256", found.issuer)));
    }
    let before = wants.before.filter(|before| before.issuer == found.issuer && before.server == server.to_string());
    let listener = listen(wants.port, before.as_ref()).await?;
    let port = listener.local_addr().map_err(|error| LoginError::File(error.to_string()))?.port();
    let redirect = format!("http://127.0.0.1:{port}{PATH}");
    let known = before.as_ref().map(|before| &before.client);
    let client = match (wants.client, wants.document.filter(|_| found.takes_documents)) {
        (Some(client), _) => found.fit(client),
        (None, Some(document)) => Client { id: document, proof: Proof::None, registered: None },
        (None, None) => match known.filter(|client| client.registered.as_ref() == Some(&redirect)) {
            Some(client) => client.clone(),
            None => register(outbound, &found, &redirect).await?,
        },
    };
    let mut scopes = found.scopes.clone();
    scopes.extend(before.map(|before| before.scopes).unwrap_or_default());
    scopes.extend(wants.scopes);
    if found.has_offline {
        scopes.push("offline_access".to_owned());
    }
    let mut seen = std::collections::BTreeSet::new();
    scopes.retain(|scope| seen.insert(scope.clone()));
    let login = Login {
        server: server.to_string(),
        resource: found.resource.clone(),
        issuer: found.issuer.clone(),
        token_endpoint: found.token_endpoint.clone(),
        client,
        grant: Grant::Person { refresh: None },
        scopes,
        binding: found.binding()?,
        token: None,
    };
    let (state, verifier) = (grant::random()?, grant::random()?);
    open(&address(&found, &login, (&state, &verifier, &redirect))?);
    let code = tokio::time::timeout(PATIENCE, answer(&listener, &found, &state)).await;
    let code = code.map_err(|_| LoginError::Nobody("it took too long".to_owned()))??;
    grant::of_person(outbound, &login, (code.reveal(), &verifier, &redirect)).await
}

/// The port of the registration before, so that it is good again; else the one that was asked for.
async fn listen(port: u16, before: Option<&Login>) -> Result<TcpListener, LoginError> {
    let registered = before.and_then(|before| before.client.registered.as_deref()?.parse::<Uri>().ok()?.port_u16());
    if let Some(known) = registered.filter(|_| port == 0)
        && let Ok(listener) = TcpListener::bind(("127.0.0.1", known)).await
    {
        return Ok(listener);
    }
    let bound = TcpListener::bind(("127.0.0.1", port)).await;
    bound.map_err(|error| LoginError::File(format!("port {port} of 127.0.0.1: {error}")))
}

/// RFC 7591: the gateway makes itself known.
async fn register(outbound: &Outbound, found: &Discovered, redirect: &str) -> Result<Client, LoginError> {
    let endpoint = found.registration_endpoint.as_ref().ok_or(LoginError::NoClient)?;
    let takes = |method: &&str| found.proofs.iter().any(|proof| proof == method);
    let method =
        ["none", "client_secret_basic", "client_secret_post"].into_iter().find(takes).ok_or(LoginError::NoClient)?;
    let document = json!({
        "client_name": "Bailiwick", "redirect_uris": [redirect], "application_type": "native",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": method,
    });
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let said = discover::form(outbound, endpoint, headers, document.to_string()).await?;
    let (status, answer) = (said.status, said.body);
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let failed =
        |why: String| LoginError::Answer { what: "the authorization server did not register the gateway", why };
    let id = text("client_id").filter(|_| status.is_success());
    let id = id.ok_or_else(|| failed(format!("status {}", status.as_u16())))?;
    let granted = text("token_endpoint_auth_method").unwrap_or_else(|| method.to_owned());
    let proof = match (granted.as_str(), text("client_secret").map(Secret::new)) {
        ("none", _) | (_, None) => Proof::None,
        ("client_secret_post", Some(secret)) => Proof::Post(secret),
        (_, Some(secret)) => Proof::Basic(secret),
    };
    Ok(Client { id, proof, registered: Some(redirect.to_owned()) })
}

/// Where the person signs in.
fn address(
    found: &Discovered,
    login: &Login,
    (state, verifier, redirect): (&str, &str, &str),
) -> Result<String, LoginError> {
    discover::safe(&found.authorization_endpoint)?;
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([
        ("response_type", "code"),
        ("client_id", &login.client.id),
        ("redirect_uri", redirect),
        ("state", state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", &login.resource),
    ]);
    if !login.scopes.is_empty() {
        query.append_pair("scope", &login.scopes.join(" "));
    }
    if let Some(key) = login.key() {
        // RFC 9449 section 10: the code is of no use without the key, either.
        query.append_pair("dpop_jkt", &key.thumbprint());
    }
    let between = if found.authorization_endpoint.contains('?') { '&' } else { '?' };
    Ok(format!("{}{between}{}", found.authorization_endpoint, query.finish()))
}

/// The code that the browser brings. Who does not know the state is not the browser, and is not waited for.
async fn answer(listener: &TcpListener, found: &Discovered, state: &str) -> Result<Secret, LoginError> {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let Ok(Some(query)) = tokio::time::timeout(HEAD_WAIT, query_of(&mut stream)).await else { continue };
        let value = |name: &str| {
            let mut all = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            let (first, second) = (all.next(), all.next());
            first.filter(|_| second.is_none()).map(|(_, value)| value.into_owned())
        };
        if value("state").as_deref() != Some(state) {
            say(&mut stream, "400 Bad Request", "This is not the sign-in that Bailiwick waits for.").await;
            continue;
        }
        let code = fits(found, value);
        let told =
            if code.is_ok() { "Signed in. You may close this window." } else { "Bailiwick refused this sign-in." };
        say(&mut stream, "200 OK", told).await;
        return code;
    }
}

/// RFC 9207: the answer must come from the issuer that was asked.
fn fits(found: &Discovered, value: impl Fn(&str) -> Option<String>) -> Result<Secret, LoginError> {
    match value("iss") {
        None if found.says_issuer => {
            return Err(LoginError::Mismatch("the answer does not say who issued it".to_owned()));
        }
        Some(issuer) if issuer != found.issuer => {
            return Err(LoginError::Mismatch("the answer is of another issuer".to_owned()));
        }
        Some(_) | None => {}
    }
    if let Some(error) = value("error") {
        let plain: String = error.chars().filter(|char| !char.is_control()).take(100).collect();
        return Err(LoginError::Nobody(plain));
    }
    value("code").map(Secret::new).ok_or_else(|| LoginError::Nobody("the answer has no code".to_owned()))
}

/// The query of a request for our path; `None` if it is for anything else.
async fn query_of(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > LINE_MAX_BYTES || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8(head).ok()?;
    let place = text.lines().next()?.strip_prefix("GET ")?.split(' ').next()?;
    let query = place.strip_prefix(PATH).and_then(|rest| rest.strip_prefix('?')).map(str::to_owned);
    if query.is_none() {
        say(stream, "404 Not Found", "Nothing is here.").await;
    }
    query
}

async fn say(stream: &mut TcpStream, status: &str, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    // A browser that has gone is no fault.
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

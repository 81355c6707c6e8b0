//! Requests to a token endpoint.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::discover::{self, Said};
use super::{Client, Grant, Login, LoginError, Proof, Secret, Token};
use crate::dpop;
use crate::dpop::key::{ProofKey, Proven};
use crate::upstream::http::Outbound;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// How long a client's own assertion is good.
const ASSERTION_S: i64 = 120;
/// The longest token in a file, in bytes.
const FILE_MAX_BYTES: u64 = 64 * 1024;

type Form<'a> = Vec<(&'static str, &'a str)>;

/// A first token for a login that needs no person.
pub async fn obtained(outbound: &Outbound, login: Login) -> Result<Login, LoginError> {
    renewed(outbound, &login, Timestamp::now()).await
}

/// The login with a new token.
pub(super) async fn renewed(outbound: &Outbound, login: &Login, now: Timestamp) -> Result<Login, LoginError> {
    let scope = login.scopes.join(" ");
    let mut form: Form = vec![("resource", &login.resource)];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    let assertion;
    match &login.grant {
        Grant::Person { refresh } => {
            let refresh = refresh.as_ref().ok_or(LoginError::Over)?;
            form.extend([("grant_type", "refresh_token"), ("refresh_token", refresh.reveal())]);
        }
        Grant::Client => form.push(("grant_type", "client_credentials")),
        Grant::Workload { assertion: file } => {
            assertion = read(file)?;
            form.extend([("grant_type", BEARER), ("assertion", assertion.reveal())]);
        }
        Grant::Enterprise { provider, client, id_token } => {
            assertion = vouched(outbound, login, (provider, client, &read(id_token)?)).await?;
            form.extend([("grant_type", BEARER), ("assertion", assertion.reveal())]);
        }
    }
    let answer = ask(outbound, &login.token_endpoint, (&login.client, &login.issuer), form, login.key()).await?;
    taken(login, &answer, now)
}

/// The login with the first token of a person who signed in.
pub(super) async fn of_person(
    outbound: &Outbound,
    login: &Login,
    (code, verifier, redirect): (&str, &str, &str),
) -> Result<Login, LoginError> {
    let form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", verifier),
        ("redirect_uri", redirect),
        ("resource", login.resource.as_str()),
    ];
    let answer = ask(outbound, &login.token_endpoint, (&login.client, &login.issuer), form, login.key()).await?;
    taken(login, &answer, Timestamp::now())
}

/// The provider's word for its user, for this authorization server and this server alone.
async fn vouched(
    outbound: &Outbound,
    login: &Login,
    (provider, client, id_token): (&str, &Client, &Secret),
) -> Result<Secret, LoginError> {
    let scope = login.scopes.join(" ");
    let mut form = vec![
        ("grant_type", EXCHANGE),
        ("requested_token_type", ID_JAG),
        ("subject_token", id_token.reveal()),
        ("subject_token_type", ID_TOKEN),
        ("audience", login.issuer.as_str()),
        ("resource", login.resource.as_str()),
    ];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    // What it gives is for the authorization server, which binds its own.
    let answer = ask(outbound, provider, (client, provider), form, None).await?;
    if text(&answer, "issued_token_type") != Some(ID_JAG) {
        return Err(LoginError::Mismatch("the identity provider issued something else than an ID-JAG".to_owned()));
    }
    let token = text(&answer, "access_token");
    token.map(|token| Secret::new(token.to_owned())).ok_or_else(|| no_token("it has no `access_token`"))
}

fn taken(login: &Login, answer: &Value, now: Timestamp) -> Result<Login, LoginError> {
    let bound = match text(answer, "token_type").map(str::to_ascii_lowercase).as_deref() {
        Some("dpop") if login.binding.is_some() => true,
        Some("bearer") if !login.binding.as_ref().is_some_and(|binding| binding.required) => false,
        Some("bearer") => {
            return Err(LoginError::Mismatch("the token is bound to no key, and the server takes no such".to_owned()));
        }
        _ => return Err(LoginError::Mismatch("the token is of a type that is not known".to_owned())),
    };
    let access = text(answer, "access_token").ok_or_else(|| no_token("it has no `access_token`"))?;
    // It will stand in a header.
    if HeaderValue::from_str(access).is_err() {
        return Err(no_token("its token is no token"));
    }
    let lasts = answer.get("expires_in").and_then(Value::as_i64);
    let expires = lasts.and_then(|seconds| now.checked_add(SignedDuration::from_secs(seconds)).ok());
    let mut login = login.clone();
    login.token = Some(Token { access: Secret::new(access.to_owned()), expires, bound });
    if let (Grant::Person { refresh }, Some(new)) = (&mut login.grant, text(answer, "refresh_token")) {
        *refresh = Some(Secret::new(new.to_owned()));
    }
    if let Some(scope) = text(answer, "scope").filter(|scope| !scope.is_empty()) {
        login.scopes = scope.split(' ').map(str::to_owned).collect();
    }
    Ok(login)
}

async fn ask(
    outbound: &Outbound,
    endpoint: &str,
    (client, audience): (&Client, &str),
    form: Form<'_>,
    key: Option<&ProofKey>,
) -> Result<Value, LoginError> {
    let ask = async |nonce: Option<&HeaderValue>| {
        let (mut headers, body) = shown(client, audience, form.clone())?;
        if let Some(key) = key {
            headers.insert(dpop::HEADER, proof(key, endpoint, nonce)?);
        }
        discover::form(outbound, endpoint, headers, body).await
    };
    let mut said = ask(None).await?;
    if text(&said.body, "error") == Some("use_dpop_nonce")
        && let Some(nonce) = said.nonce.take()
    {
        said = ask(Some(&nonce)).await?;
    }
    let Said { status, body: answer, .. } = said;
    if status.is_success() {
        return Ok(answer);
    }
    let said =
        |name| text(&answer, name).map(|said| said.chars().filter(|char| !char.is_control()).take(200).collect());
    let why: String = said("error").unwrap_or_else(|| format!("status {}", status.as_u16()));
    let more: String = said("error_description").map(|more: String| format!(" ({more})")).unwrap_or_default();
    Err(no_token(&format!("{why}{more}")))
}

fn proof(key: &ProofKey, endpoint: &str, nonce: Option<&HeaderValue>) -> Result<HeaderValue, LoginError> {
    let nonce = nonce.and_then(|nonce| nonce.to_str().ok());
    let of = Proven { method: &Method::POST, uri: &discover::safe(endpoint)?, token: None, nonce };
    Ok(key.proof(&of, Timestamp::now())?)
}

/// The form, with what shows who the client is.
fn shown(client: &Client, audience: &str, form: Form<'_>) -> Result<(HeaderMap, String), LoginError> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let mut headers = HeaderMap::new();
    match &client.proof {
        Proof::None => {
            body.append_pair("client_id", &client.id);
        }
        Proof::Basic(secret) => {
            headers.insert(AUTHORIZATION, basic(&client.id, secret)?);
        }
        Proof::Post(secret) => {
            body.append_pair("client_id", &client.id).append_pair("client_secret", secret.reveal());
        }
        Proof::Key { pem, algorithm } => {
            let assertion = signed(&client.id, audience, (pem, algorithm))?;
            body.append_pair("client_id", &client.id)
                .append_pair("client_assertion_type", ASSERTION)
                .append_pair("client_assertion", assertion.reveal());
        }
    }
    Ok((headers, body.finish()))
}

fn no_token(why: &str) -> LoginError {
    LoginError::Answer { what: "the authorization server gave no token", why: why.to_owned() }
}

/// RFC 6749 section 2.3.1: both are encoded as in a form first.
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, LoginError> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = BASE64_STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret.reveal())));
    let mut value = HeaderValue::from_str(&format!("Basic {both}")).map_err(|_| no_token("the client has no name"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 7523 section 2.2: the client's own word, for this authorization server, for a moment.
fn signed(id: &str, audience: &str, (pem, algorithm): (&Secret, &str)) -> Result<Secret, LoginError> {
    let unusable = || LoginError::File("the client's key cannot be used with its algorithm".to_owned());
    // The other back end is not compiled in; a second installation changes nothing.
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let algorithm: Algorithm = algorithm.parse().map_err(|_| unusable())?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.reveal().as_bytes()).map_err(|_| unusable())?;
    let key = match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_der(der.secret_pkcs8_der()),
        Algorithm::EdDSA => EncodingKey::from_ed_der(der.secret_pkcs8_der()),
        _ => return Err(unusable()),
    };
    let now = Timestamp::now().as_second();
    let claims =
        json!({ "iss": id, "sub": id, "aud": audience, "iat": now, "exp": now + ASSERTION_S, "jti": random()? });
    let token = jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).map_err(|_| unusable())?;
    Ok(Secret::new(token))
}

/// A token in a file, as it is now.
fn read(file: &std::path::Path) -> Result<Secret, LoginError> {
    let failed = |why: String| LoginError::File(format!("`{}`: {why}", file.display()));
    let size = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if size > FILE_MAX_BYTES {
        return Err(failed("it is too large for a token".to_owned()));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    Ok(Secret::new(text.trim().to_owned()))
}

/// What nobody guesses, in letters for an address.
pub(super) fn random() -> Result<String, LoginError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| LoginError::File("the machine has no randomness".to_owned()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

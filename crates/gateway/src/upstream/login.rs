//! Logins of the operator at servers over HTTP that want a token: OAuth 2.1, as the protocol has it.
//!
//! One file a server, `gateway/logins/NAME.json`, mode 0600, written by `bailiwick login` and, when a token is renewed, by
//! the gateway. A login is good for the one address that it was made at. Its tokens leave for that address, and what
//! renews them for its authorization server; an agent sees neither, nor does a log, a ledger, a command line or an error.
//! Where the authorization server binds tokens to a key ([`crate::dpop`]), the login has one of its own.
//! This module never decides who may use a login: policy decides about each call.

pub mod discover;
mod grant;
pub mod person;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hyper::header::HeaderValue;
use hyper::{Response, Uri};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::dpop;
use crate::dpop::key::{ProofKey, Unusable};
use crate::upstream::http::Outbound;

pub use grant::obtained;

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most logins that are known.
const LOGINS_MAX: usize = 256;
/// A token that ends sooner than this is renewed before it is used.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(30);

/// Why there is no token. No text here holds one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoginError {
    /// An address is neither https nor on this machine, or is none.
    #[error("`{0}` is neither an https address nor one on this machine")]
    Address(String),
    /// Somebody did not answer, or something else.
    #[error("{what}: {why}")]
    Answer {
        /// What was wanted.
        what: &'static str,
        /// Why it was not had.
        why: String,
    },
    /// The server, its metadata and its authorization server do not agree.
    #[error("refused, because {0}")]
    Mismatch(String),
    /// The server lets everybody in.
    #[error("the server wants no login")]
    NotWanted,
    /// A client must be named by the operator.
    #[error("the authorization server registers no clients by itself: name one with `--client`")]
    NoClient,
    /// Nothing renews the token.
    #[error("the login is over")]
    Over,
    /// The person did not come back, or said no.
    #[error("nobody signed in: {0}")]
    Nobody(String),
    /// The key that tokens are bound to.
    #[error(transparent)]
    Key(#[from] Unusable),
    /// A file cannot be read or written.
    #[error("{0}")]
    File(String),
}

/// What nobody may see: its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// A login at one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    /// The server's address.
    pub server: String,
    /// What its tokens are for, as its metadata says.
    pub resource: String,
    /// Who issues them.
    pub issuer: String,
    /// Where.
    pub token_endpoint: String,
    /// Who the gateway is there.
    pub client: Client,
    /// What gets a new token.
    pub grant: Grant,
    /// What was asked for.
    pub scopes: Vec<String>,
    /// What its tokens are bound to; absent where the authorization server binds none.
    #[serde(default)]
    pub binding: Option<Binding>,
    /// The newest token.
    pub token: Option<Token>,
}

/// Who the gateway is at an authorization server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Client {
    /// Its name there.
    pub id: String,
    /// How it shows that it is that.
    pub proof: Proof,
    /// The redirect address that it was registered with; absent where the operator named it.
    #[serde(default)]
    pub registered: Option<String>,
}

/// How a client shows who it is (`token_endpoint_auth_method`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// It does not.
    None,
    /// `client_secret_basic`.
    Basic(Secret),
    /// `client_secret_post`.
    Post(Secret),
    /// `private_key_jwt`.
    Key {
        /// PKCS #8, PEM.
        pem: Secret,
        /// For example `ES256`.
        algorithm: String,
    },
}

/// What gets a new token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A person signed in (authorization code with PKCE).
    Person {
        /// Without it, the person signs in again.
        refresh: Option<Secret>,
    },
    /// The client itself (`client_credentials`).
    Client,
    /// A token of the workload, in a file that somebody keeps fresh (RFC 7523).
    Workload {
        /// The file.
        assertion: PathBuf,
    },
    /// The enterprise's identity provider vouches for its user (RFC 8693 to an ID-JAG, then RFC 7523).
    Enterprise {
        /// The provider's token endpoint.
        provider: String,
        /// Who the gateway is there.
        client: Client,
        /// The user's ID token, in a file that somebody keeps fresh.
        id_token: PathBuf,
    },
}

/// The key that tokens of a login are bound to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Binding {
    /// The key.
    pub key: ProofKey,
    /// Whether the server takes no others; else the authorization server may give one that is bound to nothing.
    pub required: bool,
}

/// An access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub(crate) access: Secret,
    /// When it ends, if its issuer said so.
    pub expires: Option<Timestamp>,
    /// Whether it is bound to the login's key.
    #[serde(default)]
    pub bound: bool,
}

/// A token, and the key that it is bound to.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) key: Option<ProofKey>,
}

impl Login {
    /// Reads a login; `None` if there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, LoginError> {
        disk::read_json(path).map_err(|error| LoginError::File(error.to_string()))
    }

    /// Writes it, whole and private.
    pub fn write(&self, path: &Path) -> Result<(), LoginError> {
        let failed = |error: String| LoginError::File(error);
        if let Some(dir) = path.parent() {
            disk::make_private(dir).map_err(|error| failed(format!("`{}`: {error}", dir.display())))?;
        }
        disk::write_json(path, self).map_err(|error| failed(error.to_string()))
    }

    fn key(&self) -> Option<&ProofKey> {
        self.binding.as_ref().map(|binding| &binding.key)
    }

    fn held(&self, token: Token) -> Held {
        let key = self.binding.as_ref().filter(|_| token.bound).map(|binding| binding.key.clone());
        Held { token, key }
    }

    fn fresh(&self, now: Timestamp) -> Option<&Token> {
        let lasts =
            |token: &&Token| token.expires.is_none_or(|end| now.checked_add(RENEW_BEFORE).is_ok_and(|now| now < end));
        self.token.as_ref().filter(lasts)
    }
}

/// The logins of a home.
#[derive(Debug)]
pub(crate) struct Logins {
    dir: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    looked: Option<Instant>,
    changed: Option<SystemTime>,
    /// By the server's address.
    logins: HashMap<String, Arc<Kept>>,
}

/// One login, and what keeps two from renewing it at a time.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
    login: tokio::sync::Mutex<Login>,
    /// What the server wants to find in the next proof.
    nonce: Mutex<Option<HeaderValue>>,
}

impl Kept {
    /// What the operator calls the server.
    pub(crate) fn name(&self) -> String {
        self.path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// What an agent is told, for its user.
    pub(crate) fn is_over(&self) -> String {
        let name = self.name();
        format!("the gateway's login at `{name}` is over. Tell the user; `bailiwick login {name}` signs in again.")
    }

    /// The same where a token is good and lacks something.
    pub(crate) fn lacks(&self, scopes: &[String]) -> String {
        // A server's words, in a line that a person is to run.
        let plain = |scope: &&String| {
            !scope.is_empty() && scope.chars().all(|char| char.is_ascii_alphanumeric() || ":/._-".contains(char))
        };
        let asked: String = scopes.iter().filter(plain).map(|scope| format!(" --scope {scope}")).collect();
        let name = self.name();
        format!(
            "the gateway's login at `{name}` does not cover this. Tell the user; `bailiwick login {name}{asked}` asks for more."
        )
    }

    /// What the next proof for the server has to hold.
    pub(crate) fn nonce(&self) -> Option<HeaderValue> {
        self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What an answer of the server wants to find in the next proof, which is taken up.
    pub(crate) fn heard<B>(&self, answer: &Response<B>) -> Option<HeaderValue> {
        let nonce = dpop::wanted(answer.headers())?;
        *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.clone());
        Some(nonce)
    }

    /// A token to send; `stale` is one that the server no longer takes.
    pub(crate) async fn token(&self, outbound: &Outbound, stale: Option<&Token>) -> Result<Held, LoginError> {
        let mut login = self.login.lock().await;
        let now = Timestamp::now();
        if let Some(token) = login.fresh(now).filter(|token| Some(*token) != stale) {
            return Ok(login.held(token.clone()));
        }
        let renewed = grant::renewed(outbound, &login, now).await?;
        let token = renewed.token.clone().ok_or(LoginError::Over)?;
        // Whoever signed in meanwhile has a newer one, which is taken up at the next look.
        let (path, old) = (self.path.clone(), login.token.clone());
        let write = renewed.clone();
        let written = tokio::task::spawn_blocking(move || {
            let unchanged = Login::read(&path)?.is_some_and(|there| there.token == old);
            if unchanged { write.write(&path) } else { Ok(()) }
        });
        if let Ok(Err(error)) = written.await {
            tracing::error!(server = self.name(), %error, "a renewed login could not be written");
        }
        *login = renewed;
        Ok(login.held(token))
    }
}

impl Logins {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, known: Mutex::default() }
    }

    /// The login for an address, if there is one.
    pub(crate) fn at(&self, address: &Uri) -> Option<Arc<Kept>> {
        let mut known = self.hold();
        if known.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            known.looked = Some(Instant::now());
            self.look(&mut known);
        }
        if known.logins.is_empty() {
            return None;
        }
        known.logins.get(&address.to_string()).cloned()
    }

    fn look(&self, known: &mut Known) {
        // Every file is written anew under another name first, so that the folder changes with it.
        let changed = fs::metadata(&self.dir).and_then(|dir| dir.modified()).ok();
        if changed.is_some() && changed == known.changed {
            return;
        }
        // The file system's clock is coarse: what comes right after this look may leave the folder the same time.
        let is_settled = |at: &SystemTime| at.elapsed().is_ok_and(|age| age >= LOOK_EVERY);
        known.changed = changed.filter(is_settled);
        let mut logins = HashMap::new();
        let files = fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|file| file.path());
        for path in files.filter(|path| path.extension().is_some_and(|end| end == "json")).take(LOGINS_MAX) {
            match Login::read(&path) {
                Ok(Some(login)) => {
                    let same = known.logins.remove(&login.server).filter(|kept| match kept.login.try_lock() {
                        Ok(kept) => kept.token == login.token && kept.scopes == login.scopes,
                        // It is being renewed, with what renews it once only; its file changes when that is done.
                        Err(_) => {
                            known.changed = None;
                            true
                        }
                    });
                    let kept =
                        |login| Arc::new(Kept { path, login: tokio::sync::Mutex::new(login), nonce: Mutex::default() });
                    logins.insert(login.server.clone(), same.unwrap_or_else(|| kept(login)));
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "a login cannot be read, so the server is asked without it"),
            }
        }
        known.logins = logins;
    }

    fn hold(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

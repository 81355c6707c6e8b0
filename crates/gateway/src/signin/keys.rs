//! The public keys of issuers: discovered, kept for a while, fetched anew when a token names one that is not there.
//!
//! A fetch is bounded in size, time and number: a flood of tokens with invented key ids costs one fetch in ten
//! seconds. Keys that cannot be renewed are used for an hour more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use serde_json::Value;
use tokio::sync::Mutex;

use super::fetch::{self, FetchError};
use super::{Issuer, Kind, Refused};
use crate::upstream::http::Outbound;

/// How long keys are used without asking again.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long keys are used that cannot be renewed.
const STALE_MAX: Duration = Duration::from_secs(70 * 60);
/// The shortest time between two fetches for one issuer.
const PAUSE: Duration = Duration::from_secs(10);
/// The most keys of an issuer.
const KEYS_MAX: usize = 100;

/// The keys of all issuers.
#[derive(Debug)]
pub(super) struct Keys {
    outbound: Outbound,
    /// By the issuer's name. Held across a fetch, so that there is one at a time for each issuer.
    held: std::sync::Mutex<HashMap<String, Arc<Mutex<Held>>>>,
}

#[derive(Debug, Default)]
struct Held {
    keys: Vec<Jwk>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl Keys {
    pub(super) fn new(outbound: Outbound) -> Self {
        Self { outbound, held: std::sync::Mutex::default() }
    }

    /// The key for a token: the one it names, or the only one where it names none.
    pub(super) async fn key(&self, issuer: &Issuer, id: Option<&str>) -> Result<Jwk, Refused> {
        let held = self.of(issuer);
        let mut held = held.lock().await;
        let is_old = held.fetched.is_none_or(|fetched| fetched.elapsed() > FRESH);
        let may_try = held.tried.is_none_or(|tried| tried.elapsed() > PAUSE);
        if (is_old || find(&held.keys, id).is_none()) && may_try {
            held.tried = Some(Instant::now());
            match self.fetch(issuer).await {
                Ok(keys) => {
                    held.keys = keys;
                    held.fetched = Some(Instant::now());
                }
                Err(error) => tracing::warn!(issuer = issuer.name, %error, "the keys of an issuer cannot be had"),
            }
        }
        if held.fetched.is_none_or(|fetched| fetched.elapsed() > STALE_MAX) {
            return Err(Refused::NoKeys);
        }
        find(&held.keys, id).cloned().ok_or(Refused::Invalid("its key is not one of its issuer's"))
    }

    fn of(&self, issuer: &Issuer) -> Arc<Mutex<Held>> {
        let mut held = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The address is part of the name: an issuer that was configured anew begins anew.
        let name = format!("{}\n{}\n{:?}\n{:?}", issuer.name, issuer.issuer, issuer.keys, issuer.keys_file);
        held.entry(name).or_default().clone()
    }

    async fn fetch(&self, issuer: &Issuer) -> Result<Vec<Jwk>, FetchError> {
        let document = match (&issuer.keys_file, &issuer.keys) {
            (Some(file), _) => {
                let bytes =
                    tokio::fs::read(file).await.map_err(|error| FetchError::Unread(error.kind().to_string()))?;
                serde_json::from_slice(&bytes).map_err(|_| FetchError::NotJson)?
            }
            (None, Some(address)) => fetch::json(&self.outbound, address).await?,
            (None, None) => self.discover(issuer).await?,
        };
        read(&document, issuer.kind).ok_or(FetchError::NotJson)
    }

    /// OpenID Connect Discovery, else RFC 8414.
    async fn discover(&self, issuer: &Issuer) -> Result<Value, FetchError> {
        let base = issuer.issuer.trim_end_matches('/');
        let places = [format!("{base}/.well-known/openid-configuration"), well_known(base).ok_or(FetchError::Address)?];
        let found = fetch::first(&self.outbound, &places).await?;
        let found = found.ok_or(FetchError::Unfit("it has no document where issuers keep theirs"))?;
        // The document must be the issuer's own, or another could put in its keys.
        if found.get("issuer").and_then(Value::as_str) != Some(&issuer.issuer) {
            return Err(FetchError::Unfit("its document is of another issuer"));
        }
        let keys = found.get("jwks_uri").and_then(Value::as_str);
        fetch::json(&self.outbound, keys.ok_or(FetchError::Unfit("its document names no keys"))?).await
    }
}

/// RFC 8414: the well-known part goes between host and path.
fn well_known(base: &str) -> Option<String> {
    let (scheme, rest) = base.split_once("://")?;
    let (host, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    Some(format!("{scheme}://{host}/.well-known/oauth-authorization-server{path}"))
}

/// The keys of a document that sign. One of a kind that we do not know does not spoil the others.
pub(super) fn read(document: &Value, kind: Kind) -> Option<Vec<Jwk>> {
    let keys = document.get("keys").and_then(Value::as_array)?;
    let read = keys.iter().take(KEYS_MAX).filter_map(|key| Some((use_of(key), jwk(key)?)));
    Some(read.filter(|(used, key)| fits(used, key, kind)).map(|(_, key)| key).collect())
}

fn use_of(key: &Value) -> Option<String> {
    key.get("use").and_then(Value::as_str).map(str::to_owned)
}

/// SPIFFE's own `use` is not one of JWK's; it is checked apart.
fn jwk(key: &Value) -> Option<Jwk> {
    let mut key = key.clone();
    if let Some(object) = key.as_object_mut() {
        object.remove("use");
    }
    serde_json::from_value(key).ok()
}

fn fits(used: &Option<String>, key: &Jwk, kind: Kind) -> bool {
    let is_signature = match (kind, used.as_deref()) {
        (Kind::Spiffe, used) => used == Some("jwt-svid"),
        (_, None | Some("sig")) => true,
        _ => false,
    };
    is_signature && key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
}

fn find<'k>(keys: &'k [Jwk], id: Option<&str>) -> Option<&'k Jwk> {
    match (id, keys) {
        (Some(id), keys) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(id)),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

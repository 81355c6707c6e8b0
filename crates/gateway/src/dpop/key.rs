//! The gateway's key for one login, and the proofs that it signs.
//!
//! The key is made when somebody signs in and lies in the login's file (0600). It never leaves this process, and no text
//! of ours shows it.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hyper::header::HeaderValue;
use hyper::{Method, Uri};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{KIND, place, sha256, thumbprint};

/// The algorithm of every key of ours.
pub(crate) const ALGORITHM: &str = "ES256";

/// The key cannot be made or used. Says nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key that the login's tokens are bound to cannot be used")]
pub struct Unusable;

/// A key on the curve P-256. In a file it is PKCS #8 in base64; its `Debug` says nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProofKey {
    pair: Arc<EcdsaKeyPair>,
    public: Map<String, Value>,
}

impl std::fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(key)")
    }
}

/// What one proof is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proven<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    /// Absent where a token is asked for.
    pub(crate) token: Option<&'a str>,
    /// What its reader wants to find in it.
    pub(crate) nonce: Option<&'a str>,
}

impl ProofKey {
    /// A new key.
    pub fn generate() -> Result<Self, Unusable> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| Unusable).and_then(Self::of)
    }

    fn of(pair: EcdsaKeyPair) -> Result<Self, Unusable> {
        // An uncompressed point: a byte that says so, and two coordinates.
        let point = pair.public_key().as_ref().strip_prefix(&[4]).filter(|point| point.len() == 64).ok_or(Unusable)?;
        let (x, y) = point.split_at(32);
        let encoded = |bytes: &[u8]| Value::from(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let members = [("kty", "EC".into()), ("crv", "P-256".into()), ("x", encoded(x)), ("y", encoded(y))];
        let public = members.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value)).collect();
        Ok(Self { pair: Arc::new(pair), public })
    }

    /// The name by which an authorization server knows it.
    pub(crate) fn thumbprint(&self) -> String {
        thumbprint(&self.public).unwrap_or_default()
    }

    /// A proof for one request, and for no other.
    pub(crate) fn proof(&self, of: &Proven<'_>, now: Timestamp) -> Result<HeaderValue, Unusable> {
        let mut unique = [0; 16];
        aws_lc_rs::rand::fill(&mut unique).map_err(|_| Unusable)?;
        let mut claims = json!({
            "jti": BASE64_URL_SAFE_NO_PAD.encode(unique), "htm": of.method.as_str(), "htu": place(of.uri).ok_or(Unusable)?,
            "iat": now.as_second(),
        });
        if let Some(claims) = claims.as_object_mut() {
            claims.extend(of.token.map(|token| ("ath".to_owned(), Value::from(sha256(token.as_bytes())))));
            claims.extend(of.nonce.map(|nonce| ("nonce".to_owned(), Value::from(nonce))));
        }
        let header = json!({ "typ": KIND, "alg": ALGORITHM, "jwk": self.public });
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).map_err(|_| Unusable)?;
        let mut proof =
            HeaderValue::from_str(&format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref())))
                .map_err(|_| Unusable)?;
        proof.set_sensitive(true);
        Ok(proof)
    }
}

impl TryFrom<String> for ProofKey {
    type Error = Unusable;

    fn try_from(text: String) -> Result<Self, Unusable> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| Unusable)?;
        Self::of(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes).map_err(|_| Unusable)?)
    }
}

impl From<ProofKey> for String {
    fn from(key: ProofKey) -> Self {
        // A key that cannot be written down is read back as none, and the login with it.
        key.pair.to_pkcs8v1().map(|document| BASE64_STANDARD.encode(document)).unwrap_or_default()
    }
}

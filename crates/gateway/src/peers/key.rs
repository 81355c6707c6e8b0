//! The key with which a gateway signs what it tells other gateways of labels, and those by which it knows them.
//!
//! It is no key of a log: who can sign labels can make another gateway ask more often, and no more.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::seal;

/// What a key's text begins with.
const PREFIX: &str = "ed25519:";
/// What signed bytes begin with, so that no signature means anything elsewhere.
const DOMAIN: &[u8] = b"bailiwick labels v1\n";
/// How much of a digest is told, in bytes.
const DIGEST_BYTES: usize = 16;

/// Another gateway's public key, as `ed25519:` and base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// The text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not `{PREFIX}` and 32 bytes in base64")]
pub struct NoKey;

impl PublicKey {
    pub(super) fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(&[DOMAIN, bytes].concat(), signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64_STANDARD.encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let bytes = text.trim().strip_prefix(PREFIX).and_then(|text| BASE64_STANDARD.decode(text).ok());
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(NoKey)
    }
}

/// This gateway's own. Whoever reads its file can tell labels in its name.
pub(crate) struct OwnKey {
    pair: Ed25519KeyPair,
    origins: hmac::Key,
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnKey").field(&self.public().to_string()).finish()
    }
}

impl OwnKey {
    /// Reads the file; makes it if there is none.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it holds no key");
        let seed = hex::decode(seal::line_of(path)?.trim()).map_err(|_| damaged())?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| damaged())?;
        Ok(Self { pair, origins: hmac::Key::new(hmac::HMAC_SHA256, &seed) })
    }

    pub(crate) fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        // An Ed25519 public key has 32 bytes.
        bytes.iter_mut().zip(self.pair.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        PublicKey(bytes)
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(&[DOMAIN, bytes].concat()).as_ref().to_vec()
    }

    /// A name for something of ours that only we can match.
    pub(super) fn digest(&self, of: &[u8]) -> String {
        let tag = hmac::sign(&self.origins, of);
        hex::encode(tag.as_ref().get(..DIGEST_BYTES).unwrap_or_default())
    }
}

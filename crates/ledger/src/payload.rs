//! Payloads: bytes kept outside the log, encrypted under one key per subject, so that destroying the key
//! erases them and every proof still holds. The format is in `spec/ledger.md`.
//!
//! Whoever reads the ledger's directory reads the keys too: encryption here is for erasure, not for secrecy
//! from the operator.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use crate::record::{Mac, Payload};
use crate::storage::Storage;
use crate::tree::{Hash, sha256};

const KEY_MAGIC: &[u8; 4] = b"bwK1";
const KEY_FILE: usize = 60;
const SALT: usize = 32;
/// What the mac of bytes that are not kept begins with, so that it is no mac of anything else.
const MAC_PREFIX: &[u8] = b"bailiwick/mac/v1\0";

/// The largest payload.
pub const PAYLOAD_SIZE_MAX: usize = 16 << 20;

/// Why a payload could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Larger than [`PAYLOAD_SIZE_MAX`].
    #[error("the payload is too large: {size} bytes > {PAYLOAD_SIZE_MAX}")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// It is not where the record says.
    #[error("payload `{0}` is missing")]
    Missing(String),
    /// Its bytes or its key were changed.
    #[error("payload `{0}` is damaged")]
    Damaged(String),
    /// The key file of this subject was changed.
    #[error("the key of subject `{0}` is damaged")]
    Key(String),
    /// The key file of this subject holds another's key.
    #[error("the key file of `{subject}` holds the key of `{of}`: files were exchanged, and nothing was erased")]
    Exchanged {
        /// Whose file it is.
        subject: String,
        /// Whose key.
        of: String,
    },
    /// The source of randomness failed.
    #[error("no random bytes")]
    Random,
    /// The ledger has failed, or is closed.
    #[error(transparent)]
    Ledger(#[from] crate::AppendError),
    /// The storage failed.
    #[error("payload storage: {0}")]
    Io(#[from] io::Error),
}

/// A payload's key; its id stands in every payload that it seals.
#[derive(Debug)]
pub(crate) struct SubjectKey {
    pub(crate) id: [u8; 16],
    key: RandomizedNonceKey,
    mac: hmac::Key,
}

/// Parts of a sealed payload, a journal frame's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed<'a> {
    pub(crate) key_id: &'a [u8; 16],
    pub(crate) digest: &'a Hash,
    nonce: &'a [u8; 12],
    ciphertext: &'a [u8],
}

impl<'a> Sealed<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let (key_id, rest) = body.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk()?;
        let (nonce, ciphertext) = rest.split_first_chunk()?;
        Some(Self { key_id, digest, nonce, ciphertext })
    }

    fn bound(&self) -> Vec<u8> {
        [self.key_id.as_slice(), self.digest].concat()
    }
}

impl SubjectKey {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; KEY_FILE] = bytes.try_into().ok()?;
        let (body, check) = bytes.split_last_chunk::<8>()?;
        let (id, key) = body.strip_prefix(KEY_MAGIC)?.split_first_chunk()?;
        let sound = sha256(body).starts_with(check);
        let mac = hmac::Key::new(hmac::HMAC_SHA256, key);
        sound.then_some(Self { id: *id, key: RandomizedNonceKey::new(&AES_256_GCM, key).ok()?, mac })
    }

    /// Of a key that is being erased: the bytes of its file, then the subject's name. Files of earlier versions have
    /// no name.
    pub(crate) fn parse_erasing(bytes: &[u8]) -> Option<(Self, String)> {
        let (key, subject) = bytes.split_at_checked(KEY_FILE)?;
        Some((Self::parse(key)?, String::from_utf8_lossy(subject).into_owned()))
    }

    /// Bytes of a new key's file.
    fn make() -> Result<Zeroizing<Vec<u8>>, PayloadError> {
        let mut bytes = Zeroizing::new(vec![0; KEY_FILE]);
        rand::fill(&mut bytes).map_err(|_unspecified| PayloadError::Random)?;
        let (body, check) = bytes.split_at_mut(KEY_FILE - 8);
        if let Some(magic) = body.first_chunk_mut() {
            *magic = *KEY_MAGIC;
        }
        check.copy_from_slice(sha256(body).first_chunk::<8>().unwrap_or(&[0; 8]));
        Ok(bytes)
    }

    /// What stands for bytes that are not kept.
    fn mac(&self, bytes: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(MAC_PREFIX);
        context.update(bytes);
        hex::encode(context.sign())
    }

    /// The digest for the entry and the body for the journal.
    pub(crate) fn seal(&self, bytes: &[u8]) -> Result<(Hash, Vec<u8>), PayloadError> {
        let mut text = vec![0; SALT];
        rand::fill(&mut text).map_err(|_unspecified| PayloadError::Random)?;
        text.extend_from_slice(bytes);
        let digest = sha256(&text);
        let mut body = [self.id.as_slice(), &digest].concat();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(body.as_slice()), &mut text)
            .map_err(|_unspecified| PayloadError::Random)?;
        body.extend_from_slice(nonce.as_ref());
        body.append(&mut text);
        Ok((digest, body))
    }

    /// The bytes; `None` if they are not what was sealed.
    pub(crate) fn open(&self, sealed: Sealed<'_>) -> Option<Vec<u8>> {
        let mut text = sealed.ciphertext.to_vec();
        let nonce = Nonce::assume_unique_for_key(*sealed.nonce);
        let size = self.key.open_in_place(nonce, Aad::from(sealed.bound()), &mut text).ok()?.len();
        text.truncate(size);
        (sha256(&text) == *sealed.digest && size >= SALT).then(|| text.split_off(SALT))
    }
}

/// The subjects' keys.
#[derive(Debug)]
pub(crate) struct Keys {
    storage: Arc<dyn Storage>,
    /// Keys in use, by subject. Holding the lock keeps a key from being made twice, and from being made
    /// while it is erased.
    cached: Mutex<HashMap<String, Arc<SubjectKey>>>,
}

/// Subjects whose keys are kept in memory; beyond it they are read again.
const CACHED_MAX: usize = 10_000;

/// The folder of key files.
pub(crate) const SUBJECTS: &str = "subjects";
/// The ending of a key's name while its erasure is being recorded.
pub(crate) const ERASING: &str = ".erasing";

/// The file of a subject's key.
pub(crate) fn key_path(subject: &str) -> String {
    format!("{SUBJECTS}/{}", hex::encode(sha256(subject.as_bytes())))
}

impl Keys {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, cached: Mutex::default() }
    }

    /// The subject's key, made on first use.
    pub(crate) fn get_or_make(&self, subject: &str) -> Result<Arc<SubjectKey>, PayloadError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = cached.get(subject) {
            return Ok(Arc::clone(key));
        }
        let key = match self.load(subject)? {
            Some(key) => key,
            None => {
                let bytes = SubjectKey::make()?;
                self.storage.replace(&key_path(subject), &bytes)?;
                SubjectKey::parse(&bytes).ok_or(PayloadError::Random)?
            }
        };
        if cached.len() >= CACHED_MAX {
            cached.clear();
        }
        let key = Arc::new(key);
        cached.insert(subject.to_owned(), Arc::clone(&key));
        Ok(key)
    }

    /// Whether the subject's key is at hand, so that nothing waits for a new one to become durable.
    fn has(&self, subject: &str) -> bool {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner).contains_key(subject)
    }

    /// Whether a mac is that of these bytes; `None` if the subject was erased.
    pub(crate) fn matches(&self, mac: &Mac, bytes: &[u8]) -> Result<Option<bool>, PayloadError> {
        Ok(self.load(&mac.subject)?.map(|key| key.mac(bytes) == mac.hmac))
    }

    /// The id of the key in the subject's file.
    pub(crate) fn id(&self, subject: &str) -> Result<Option<[u8; 16]>, PayloadError> {
        Ok(self.load(subject)?.map(|key| key.id))
    }

    fn load(&self, subject: &str) -> Result<Option<SubjectKey>, PayloadError> {
        let Some(bytes) = self.storage.read(&key_path(subject))?.map(Zeroizing::new) else { return Ok(None) };
        SubjectKey::parse(&bytes).map(Some).ok_or_else(|| PayloadError::Key(subject.to_owned()))
    }

    /// The payload's bytes; `None` if its key is gone.
    pub(crate) fn open(&self, payload: &Payload, body: &[u8]) -> Result<Option<Vec<u8>>, PayloadError> {
        let damaged = || PayloadError::Damaged(payload.digest.clone());
        let sealed = Sealed::parse(body).ok_or_else(damaged)?;
        match self.load(&payload.subject)? {
            Some(key) if key.id == *sealed.key_id => key.open(sealed).map(Some).ok_or_else(damaged),
            _ => Ok(None),
        }
    }

    /// Erases a subject. Says whether there was a key.
    pub(crate) fn erase(
        &self,
        subject: &str,
        mut record: impl FnMut(&str, Option<&[u8; 16]>) -> Result<(), PayloadError>,
    ) -> Result<bool, PayloadError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let path = key_path(subject);
        cached.remove(subject);
        // What failed before is finished first: its note must not be lost to that of a newer key.
        let before = self.finish_erasure(&path, &mut record)?;
        let Some(bytes) = self.storage.read(&path)?.map(Zeroizing::new) else { return Ok(before) };
        SubjectKey::parse(&bytes).ok_or_else(|| PayloadError::Key(subject.to_owned()))?;
        let note = Zeroizing::new([bytes.as_slice(), subject.as_bytes()].concat());
        self.storage.replace(&format!("{path}{ERASING}"), &note)?;
        self.finish_erasure(&path, &mut record)
    }

    /// Erases what the key's note says is to be erased: out of use first, then recorded, then destroyed. A crash at any
    /// point leaves the note until all of it is done. Says whether there was one.
    fn finish_erasure(
        &self,
        path: &str,
        record: &mut impl FnMut(&str, Option<&[u8; 16]>) -> Result<(), PayloadError>,
    ) -> Result<bool, PayloadError> {
        let erasing = format!("{path}{ERASING}");
        let Some(note) = self.storage.read(&erasing)?.map(Zeroizing::new) else { return Ok(false) };
        let (id, subject) = SubjectKey::parse_erasing(&note).map(|(key, subject)| (key.id, subject)).unzip();
        let used = self.storage.read(path)?.map(Zeroizing::new).and_then(|bytes| SubjectKey::parse(&bytes));
        if id.is_some() && used.map(|key| key.id) == id {
            self.storage.remove(&[path.to_owned()])?;
        }
        record(&subject.unwrap_or_default(), id.as_ref())?;
        self.storage.remove(&[erasing])?;
        Ok(true)
    }

    /// Finishes the erasures that a crash interrupted.
    pub(crate) fn finish_erasures(
        &self,
        mut record: impl FnMut(&str, Option<&[u8; 16]>) -> Result<(), PayloadError>,
    ) -> Result<(), PayloadError> {
        for name in self.storage.list(SUBJECTS)? {
            if let Some(key) = name.strip_suffix(ERASING) {
                self.finish_erasure(&format!("{SUBJECTS}/{key}"), &mut record)?;
            }
        }
        Ok(())
    }
}

impl crate::Ledger {
    /// Whether a payload of this subject can be kept without making a key first, which takes a sync.
    pub fn has_subject(&self, subject: &str) -> bool {
        self.keys().has(subject)
    }

    /// What stands in the record for bytes that are not kept.
    pub fn mac(&self, subject: &str, bytes: &[u8]) -> Result<Mac, PayloadError> {
        let hmac = self.keys().get_or_make(subject)?.mac(bytes);
        Ok(Mac { subject: subject.to_owned(), hmac })
    }
}

//! A witness: it remembers the last checkpoint of each log it knows and cosigns only what extends it, so
//! that an operator can neither replace a log nor show two people two logs. C2SP tlog-witness; the HTTP
//! around it is the caller's.
//!
//! The log is not trusted at all. The witness's own state is: whoever can roll it back can make it cosign a
//! second history.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::OpenError;
use crate::lock::Lock;
use crate::note::{Signature, SignedCheckpoint, SigningKey, VerifyingKey};
use crate::storage::{Disk, Storage};
use crate::tree::{Hash, sha256, verify_consistency};

/// Consistency proofs have at most so many hashes.
const PROOF_MAX: usize = 63;

/// The body of `add-checkpoint`: what the log asks to be cosigned, and the proof that it extends what the
/// witness saw last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The size that the witness is thought to have seen last.
    pub old: u64,
    /// From there to the checkpoint.
    pub proof: Vec<Hash>,
    /// What is to be cosigned.
    pub checkpoint: SignedCheckpoint,
}

/// Why a checkpoint is not cosigned; each is an HTTP status of the specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: no such request.
    #[error("malformed request")]
    Malformed,
    /// 403: no signature by the log's key.
    #[error("no valid signature by the log")]
    Unsigned,
    /// 404: this witness does not know the log.
    #[error("unknown log")]
    UnknownLog,
    /// 409: the witness has seen another size; also, of the same size, another root.
    #[error("this witness has cosigned size {0}")]
    Conflict(u64),
    /// 422: the proof does not hold: the log was rewritten.
    #[error("the checkpoint does not extend the one cosigned before")]
    Inconsistent,
    /// 500: the witness could not remember what it was about to sign, so it did not sign.
    #[error("the witness cannot write its state")]
    Storage,
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unsigned => 403,
            Self::UnknownLog => 404,
            Self::Conflict(_) => 409,
            Self::Inconsistent => 422,
            Self::Storage => 500,
        }
    }
}

impl Request {
    /// Parses a request's body.
    pub fn parse(body: &str) -> Result<Self, Refusal> {
        let (head, checkpoint) = body.split_once("\n\n").ok_or(Refusal::Malformed)?;
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(|digits| digits.parse().ok().filter(|old: &u64| old.to_string() == digits));
        let hash = |line: &str| BASE64.decode(line).ok().and_then(|hash| hash.try_into().ok());
        let proof = lines.map(hash).collect::<Option<Vec<Hash>>>().filter(|proof| proof.len() <= PROOF_MAX);
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes()).map_err(|_error| Refusal::Malformed)?;
        match (old, proof) {
            (Some(old), Some(proof)) if old <= checkpoint.checkpoint.size => Ok(Self { old, proof, checkpoint }),
            _ => Err(Refusal::Malformed),
        }
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(formatter, "{}", BASE64.encode(hash)))?;
        write!(formatter, "\n{}", self.checkpoint)
    }
}

/// A witness with a directory of its own.
#[derive(Debug)]
pub struct Witness {
    storage: Arc<dyn Storage>,
    key: SigningKey,
    logs: HashMap<String, VerifyingKey>,
    /// Held from the check to the durable record: two requests must not both extend the same old size.
    turn: Mutex<()>,
    _lock: Lock,
}

impl Witness {
    /// Opens or makes a witness that cosigns for these logs.
    pub fn open(dir: &Path, key: SigningKey, logs: Vec<VerifyingKey>) -> Result<Self, OpenError> {
        let lock = Lock::take(dir)?;
        let logs = logs.into_iter().map(|log| (log.name().to_owned(), log)).collect();
        Ok(Self { storage: Arc::new(Disk::new(dir)), key, logs, turn: Mutex::new(()), _lock: lock })
    }

    /// The key that cosignatures are checked with.
    pub fn key(&self) -> VerifyingKey {
        self.key.witness_key()
    }

    /// Cosigns a checkpoint that extends the last one, at `now` in seconds since 1970. It is remembered
    /// durably before the signature leaves.
    pub fn add_checkpoint(&self, request: &Request, now: u64) -> Result<Signature, Refusal> {
        let new = &request.checkpoint.checkpoint;
        let log = self.logs.get(&new.origin).ok_or(Refusal::UnknownLog)?;
        request.checkpoint.verify(log).map_err(|_error| Refusal::Unsigned)?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = format!("logs/{}", hex::encode(sha256(new.origin.as_bytes())));
        let (seen, root) = self.last(&path)?;
        if request.old != seen || (seen == new.size && root != new.root) {
            return Err(Refusal::Conflict(seen));
        }
        if !verify_consistency((seen, &root), (new.size, &new.root), &request.proof) {
            return Err(Refusal::Inconsistent);
        }
        let note = request.checkpoint.to_string();
        self.storage.replace(&path, note.as_bytes()).map_err(|_error| Refusal::Storage)?;
        Ok(self.key.cosign(&request.checkpoint, now))
    }

    /// Size and root of what was cosigned last; of an empty log if nothing was.
    fn last(&self, path: &str) -> Result<(u64, Hash), Refusal> {
        let Some(note) = self.storage.read(path).map_err(|_error| Refusal::Storage)? else {
            return Ok((0, sha256(&[])));
        };
        // A state that cannot be read is not an empty one: that would let any history in.
        let signed = SignedCheckpoint::parse(&note).map_err(|_error| Refusal::Storage)?;
        Ok((signed.checkpoint.size, signed.checkpoint.root))
    }
}

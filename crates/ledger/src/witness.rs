//! A witness: it remembers the last checkpoint of each log it knows and cosigns only what extends it, so
//! that an operator can neither replace a log nor show two people two logs. C2SP tlog-witness; the HTTP
//! around it is the caller's. A log whose key changes says so with a handover, which is ours and not the
//! specification's: the witness cosigns its checkpoint and knows the new key from then on.
//!
//! The log is not trusted at all. The witness's own state is: whoever can roll it back can make it cosign a
//! second history.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::OpenError;
use crate::handover::{Chain, HandoverError};
use crate::lock::Lock;
use crate::note::{Signature, SignedCheckpoint, SigningKey, VerifyingKey};
use crate::proof::Proof;
use crate::read::{numbered, numbers};
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
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes()).map_err(|_error| Refusal::Malformed)?;
        Self::new(head, checkpoint)
    }

    fn new(head: &str, checkpoint: SignedCheckpoint) -> Result<Self, Refusal> {
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(|digits| digits.parse().ok().filter(|old: &u64| old.to_string() == digits));
        let hash = |line: &str| BASE64.decode(line).ok().and_then(|hash| hash.try_into().ok());
        let proof = lines.map(hash).collect::<Option<Vec<Hash>>>().filter(|proof| proof.len() <= PROOF_MAX);
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

/// The body of `add-handover`: as [`Request`], with the handover, a proof file, in place of the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoverRequest {
    /// For the checkpoint of the handover.
    request: Request,
    handover: Proof,
}

impl HandoverRequest {
    /// From the size that the witness has seen, with the proof from there to the handover's checkpoint.
    pub fn new(old: u64, proof: Vec<Hash>, handover: Proof) -> Self {
        Self { request: Request { old, proof, checkpoint: handover.checkpoint.clone() }, handover }
    }

    /// Parses a request's body.
    pub fn parse(body: &str) -> Result<Self, Refusal> {
        let (head, handover) = body.split_once("\n\n").ok_or(Refusal::Malformed)?;
        let handover: Proof = handover.parse().map_err(|_error| Refusal::Malformed)?;
        Ok(Self { request: Request::new(head, handover.checkpoint.clone())?, handover })
    }
}

impl std::fmt::Display for HandoverRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "old {}", self.request.old)?;
        self.request.proof.iter().try_for_each(|hash| writeln!(formatter, "{}", BASE64.encode(hash)))?;
        write!(formatter, "\n{}", self.handover)
    }
}

/// A witness with a directory of its own.
#[derive(Debug)]
pub struct Witness {
    storage: Arc<dyn Storage>,
    key: SigningKey,
    /// The keys of each log. Held from the check to the durable record: two requests must not both extend the same
    /// old size.
    logs: Mutex<HashMap<String, Chain>>,
    _lock: Lock,
}

impl Witness {
    /// Opens or makes a witness that cosigns for these logs. A log that was handed over to another key since is known
    /// by its later keys, too.
    pub fn open(dir: &Path, key: SigningKey, logs: Vec<VerifyingKey>) -> Result<Self, OpenError> {
        let lock = Lock::take(dir)?;
        let storage = Disk::new(dir);
        let mut chains = HashMap::new();
        for log in logs {
            let mut chain = Chain::new(log);
            let origin = chain.last().key.name().to_owned();
            let folder = handovers(&origin);
            for index in numbers(&storage, &folder)? {
                let text = storage.read(&numbered(&folder, index))?.unwrap_or_default();
                let handover = String::from_utf8_lossy(&text).parse::<Proof>().map_err(HandoverError::from);
                match handover.and_then(|handover| chain.follow(&handover)) {
                    // The operator has given the witness a later key.
                    Ok(()) | Err(HandoverError::OtherKey { .. }) => {}
                    Err(error) => return Err(OpenError::Damaged(format!("{}: {error}", numbered(&folder, index)))),
                }
            }
            chains.insert(origin, chain);
        }
        Ok(Self { storage: Arc::new(storage), key, logs: Mutex::new(chains), _lock: lock })
    }

    /// The key that cosignatures are checked with.
    pub fn key(&self) -> VerifyingKey {
        self.key.witness_key()
    }

    /// Cosigns a checkpoint that extends the last one, at `now` in seconds since 1970. It is remembered
    /// durably before the signature leaves.
    pub fn add_checkpoint(&self, request: &Request, now: u64) -> Result<Signature, Refusal> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.get(&request.checkpoint.checkpoint.origin).ok_or(Refusal::UnknownLog)?;
        let path = self.judge(request, log)?;
        self.remember(&path, &request.checkpoint)?;
        Ok(self.key.cosign(&request.checkpoint, now))
    }

    /// Cosigns the checkpoint of a handover as any other, and knows the log by its new key from then on. The handover
    /// is durable first: without it the log could not go on.
    pub fn add_handover(&self, request: &HandoverRequest, now: u64) -> Result<Signature, Refusal> {
        let HandoverRequest { request, handover } = request;
        let origin = &request.checkpoint.checkpoint.origin;
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.get_mut(origin).ok_or(Refusal::UnknownLog)?;
        let path = self.judge(request, log)?;
        let mut longer = log.clone();
        longer.follow(handover).map_err(|_error| Refusal::Unsigned)?;
        let kept = numbered(&handovers(origin), handover.index);
        self.storage.replace(&kept, handover.to_string().as_bytes()).map_err(|_error| Refusal::Storage)?;
        self.remember(&path, &request.checkpoint)?;
        *log = longer;
        Ok(self.key.cosign(&request.checkpoint, now))
    }

    fn remember(&self, path: &str, checkpoint: &SignedCheckpoint) -> Result<(), Refusal> {
        self.storage.replace(path, checkpoint.to_string().as_bytes()).map_err(|_error| Refusal::Storage)
    }

    /// Whether a checkpoint is the log's and extends the last one; where it is to be remembered.
    fn judge(&self, request: &Request, log: &Chain) -> Result<String, Refusal> {
        let new = &request.checkpoint.checkpoint;
        log.verify(&request.checkpoint).map_err(|_error| Refusal::Unsigned)?;
        let path = format!("logs/{}", hex::encode(sha256(new.origin.as_bytes())));
        let (seen, root) = self.last(&path)?;
        if request.old != seen || (seen == new.size && root != new.root) {
            return Err(Refusal::Conflict(seen));
        }
        if !verify_consistency((seen, &root), (new.size, &new.root), &request.proof) {
            return Err(Refusal::Inconsistent);
        }
        Ok(path)
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

/// Where a log's handovers are remembered.
fn handovers(origin: &str) -> String {
    format!("handovers/{}", hex::encode(sha256(origin.as_bytes())))
}

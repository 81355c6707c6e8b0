//! The cosignatures that a log has collected: for each witness, the last checkpoint that it cosigned, with all
//! signatures. They lie beside the log's own checkpoint, which moves on every few seconds.

use std::io;

use jiff::{SignedDuration, Timestamp};

use crate::brief::Time;
use crate::handover::Chain;
use crate::note::{NoteError, SignedCheckpoint, VerifyingKey};
use crate::read::{self, ReadError};
use crate::storage::Storage;
use crate::tree::{self, Hash, verify_consistency};
use crate::{Ledger, Reader};

/// The folder of cosigned checkpoints.
pub(crate) const COSIGNED: &str = "cosigned";

fn path(witness: &VerifyingKey) -> String {
    format!("{COSIGNED}/{}", hex::encode(witness.key_id()))
}

/// The checkpoint that a witness cosigned last, unverified.
fn last(storage: &dyn Storage, witness: &VerifyingKey) -> io::Result<Option<SignedCheckpoint>> {
    Ok(storage.read(&path(witness))?.and_then(|note| SignedCheckpoint::parse(&note).ok()))
}

/// Proves that the log of size `old` is a prefix of that of size `size`, in a log sealed to `sealed` or beyond.
fn consistency(storage: &dyn Storage, (old, size): (u64, u64), sealed: u64) -> Result<Vec<Hash>, ReadError> {
    tree::consistency_proof(old, size, &mut |at| read::node(storage, at, sealed))
}

/// Entries that a witness does not vouch for span at most so long: it is asked every few seconds, and may be away for
/// some minutes. Whoever has the log's key could write what he likes behind what it cosigned last.
const UNVOUCHED_MAX: SignedDuration = SignedDuration::from_mins(10);

/// The entries behind what a witness vouches for, as they are read.
pub(crate) struct Behind {
    witness: String,
    /// It vouches for so many.
    pub(crate) size: u64,
    /// The times of the others: the first and the last of them.
    times: Option<(Timestamp, Timestamp)>,
}

impl Behind {
    pub(crate) fn new(witness: &VerifyingKey, vouched: &Vouched) -> Self {
        Self { witness: witness.name().to_owned(), size: vouched.size, times: None }
    }

    pub(crate) fn entry(&mut self, index: u64, time: &Time<'_>) {
        if let Some(time) = time.get().filter(|_| index >= self.size) {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
    }

    /// What is wrong with so much behind it. Of pruned entries, those before `start`, nobody knows the times.
    pub(crate) fn fault(&self, start: u64) -> Option<String> {
        let Self { witness, size, times } = self;
        if *size < start {
            return Some(format!(
                "`{witness}` does not vouch for the entries from {size} on, of which some were pruned"
            ));
        }
        let (first, last) = times.filter(|(first, last)| last.duration_since(*first) > UNVOUCHED_MAX)?;
        Some(format!(
            "`{witness}` does not vouch for the entries from {size} on, of {first} to {last}: too long a time"
        ))
    }
}

/// What a witness vouches for.
pub(crate) struct Vouched {
    /// So many entries of this very log.
    pub(crate) size: u64,
    /// When it cosigned, in seconds since 1970.
    pub(crate) time: u64,
}

/// Whether a witness has cosigned this log, whose checkpoint is `now`: there, or at an earlier size of the same tree.
pub(crate) fn vouched(
    storage: &dyn Storage,
    now: &SignedCheckpoint,
    (log, witness): (&Chain, &VerifyingKey),
) -> Result<Vouched, String> {
    if let Ok(time) = now.verify(witness) {
        return Ok(Vouched { size: now.checkpoint.size, time: time.unwrap_or(0) });
    }
    let text = |error: NoteError| error.to_string();
    let then = last(storage, witness).map_err(|error| error.to_string())?;
    let then = then.ok_or_else(|| NoteError::Unsigned(witness.name().to_owned()).to_string())?;
    if then.checkpoint.origin != log.last().key.name() {
        return Err(format!("what `{}` cosigned is another log, `{}`", witness.name(), then.checkpoint.origin));
    }
    log.verify(&then).map_err(text)?;
    let time = then.verify(witness).map_err(text)?.unwrap_or(0);
    let (old, new) = (&then.checkpoint, &now.checkpoint);
    let differs = || {
        format!(
            "`{}` cosigned {} entries that are not the first of this log: it was replaced",
            witness.name(),
            old.size
        )
    };
    if old.size > new.size {
        return Err(differs());
    }
    let proof = consistency(storage, (old.size, new.size), new.size).map_err(|error| error.to_string())?;
    let same = verify_consistency((old.size, &old.root), (new.size, &new.root), &proof);
    same.then_some(Vouched { size: old.size, time }).ok_or_else(differs)
}

impl Ledger {
    /// Proves that the log of size `old` is a prefix of that of size `size`, which is a checkpoint's.
    pub fn prove_consistency(&self, old: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        let sealed = self.checkpoint().map_or(size, |signed| signed.checkpoint.size);
        consistency(self.storage(), (old, size), sealed)
    }

    /// Keeps a checkpoint that a witness cosigned. Durable on return.
    pub fn keep_cosigned(&self, cosigned: &SignedCheckpoint, witness: &VerifyingKey) -> io::Result<()> {
        self.storage().replace(&path(witness), cosigned.to_string().as_bytes())
    }

    /// The checkpoint that a witness cosigned last, as far as it was kept.
    pub fn cosigned(&self, witness: &VerifyingKey) -> io::Result<Option<SignedCheckpoint>> {
        last(self.storage(), witness)
    }
}

impl Reader {
    /// The checkpoints that witnesses cosigned last, unverified.
    pub fn cosigned(&self) -> Result<Vec<SignedCheckpoint>, ReadError> {
        let mut found = Vec::new();
        for name in &self.storage.list_whole(COSIGNED)? {
            if let Some(note) = self.storage.read(&format!("{COSIGNED}/{name}"))? {
                found.extend(SignedCheckpoint::parse(&note).ok());
            }
        }
        Ok(found)
    }
}

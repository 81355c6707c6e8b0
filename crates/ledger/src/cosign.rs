//! The cosignatures that a log has collected: for each witness, the last checkpoint that it cosigned, with all
//! signatures. They lie beside the log's own checkpoint, which moves on every few seconds.

use std::io;

use jiff::{SignedDuration, Timestamp};

use crate::brief::Time;
use crate::handover::Chain;
use crate::note::{Checkpoint, NoteError, SignedCheckpoint, VerifyingKey};
use crate::read::{self, ReadError};
use crate::seal::CHECKPOINT;
use crate::storage::Storage;
use crate::tree::{self, Hash, verify_consistency};
use crate::verify::Report;
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

/// Whether the log of the one checkpoint is a prefix of that of the other, which is not smaller.
fn is_prefix(storage: &dyn Storage, old: &Checkpoint, new: &Checkpoint) -> Result<bool, ReadError> {
    let proof = consistency(storage, (old.size, new.size), new.size)?;
    Ok(verify_consistency((old.size, &old.root), (new.size, &new.root), &proof))
}

/// Entries that a witness does not vouch for are dated at most so long after its cosignature: it is asked every few
/// seconds, and may be away for some minutes. Whoever has the log's key could write what he likes behind what it cosigned
/// last, under any date.
const UNVOUCHED_MAX: SignedDuration = SignedDuration::from_mins(10);
/// And at most so long before it: so much may two clocks differ.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// The entries behind what a witness vouches for, as they are read.
pub(crate) struct Behind {
    witness: String,
    /// It vouches for so many.
    pub(crate) size: u64,
    /// When it did.
    at: Timestamp,
    /// The times of the others: the first and the last of them.
    times: Option<(Timestamp, Timestamp)>,
}

impl Behind {
    pub(crate) fn new(witness: &VerifyingKey, vouched: &Vouched) -> Self {
        let at = i64::try_from(vouched.time).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        Self { witness: witness.name().to_owned(), size: vouched.size, at: at.unwrap_or(Timestamp::MAX), times: None }
    }

    pub(crate) fn entry(&mut self, index: u64, time: &Time<'_>) {
        if let Some(time) = time.get().filter(|_| index >= self.size) {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
    }

    /// What is wrong with so much behind it. Of pruned entries, those before `start`, nobody knows the times.
    pub(crate) fn fault(&self, start: u64) -> Option<String> {
        let Self { witness, size, at, times } = self;
        if *size < start {
            return Some(format!(
                "`{witness}` does not vouch for the entries from {size} on, of which some were pruned"
            ));
        }
        let (first, last) = (*times)?;
        let dated = format!("`{witness}` does not vouch for the entries from {size} on, of {first} to {last}");
        if at.duration_since(first) > SKEW_MAX {
            return Some(format!("{dated}: it cosigned those before them at {at}, so they were not written then"));
        }
        (last.duration_since(*at) > UNVOUCHED_MAX).then(|| format!("{dated}: it cosigned at {at}, too long before"))
    }
}

/// What a witness vouches for.
pub(crate) struct Vouched {
    /// So many entries of this very log.
    pub(crate) size: u64,
    /// When it cosigned, in seconds since 1970.
    pub(crate) time: u64,
}

/// Whether a witness has cosigned this log, whose checkpoint is `now`: there, or at an earlier size of the same tree. If not,
/// the file that shows it, and why.
pub(crate) fn vouched(
    storage: &dyn Storage,
    now: &SignedCheckpoint,
    (log, witness): (&Chain, &VerifyingKey),
) -> Result<Vouched, (String, String)> {
    if let Ok(time) = now.verify(witness) {
        return Ok(Vouched { size: now.checkpoint.size, time: time.unwrap_or(0) });
    }
    let here = |text: String| (CHECKPOINT.to_owned(), text);
    let there = |text: String| (path(witness), text);
    let then = last(storage, witness).map_err(|error| there(error.to_string()))?;
    let then = then.ok_or_else(|| here(NoteError::Unsigned(witness.name().to_owned()).to_string()))?;
    if then.checkpoint.origin != log.last().key.name() {
        let origin = &then.checkpoint.origin;
        return Err(there(format!("what `{}` cosigned is another log, `{origin}`", witness.name())));
    }
    let time = then.verify(witness).map_err(|error| there(error.to_string()))?.unwrap_or(0);
    let (old, new) = (&then.checkpoint, &now.checkpoint);
    let cosigned = format!("`{}` cosigned {} entries", witness.name(), old.size);
    if old.size > new.size {
        return Err(here(format!("{cosigned}, and this log has {}: it was rolled back", new.size)));
    }
    log.verify(&then).map_err(|error| there(error.to_string()))?;
    let same = is_prefix(storage, old, new).map_err(|error| here(error.to_string()))?;
    let replaced = || here(format!("{cosigned} that are not the first of this log: it was replaced"));
    same.then_some(Vouched { size: old.size, time }).ok_or_else(replaced)
}

/// What lies there cosigned against the log's checkpoint `now`. Whoever was asked for or not: what the log's own keys signed
/// is a prefix of it.
pub(crate) fn check(
    storage: &dyn Storage,
    (log, now): (&Chain, Option<&SignedCheckpoint>),
    report: &mut Report,
) -> Result<(), ReadError> {
    let mut found = Vec::new();
    for name in &storage.list_whole(COSIGNED)? {
        let path = format!("{COSIGNED}/{name}");
        match storage.read(&path)?.map(|note| SignedCheckpoint::parse(&note)) {
            Some(Ok(then)) if log.has_signed(&then) => found.push((path, then.checkpoint)),
            // Such as a witness may have cosigned under a key of the log that is not followed here.
            Some(Ok(_)) | None => {}
            Some(Err(error)) => _ = report.fault(path, error.to_string()),
        }
    }
    // Read anew: in a live log it may have moved on, and what is cosigned was signed before.
    let latest = storage.read(CHECKPOINT)?.and_then(|note| SignedCheckpoint::parse(&note).ok());
    let size = latest.map_or(0, |signed| signed.checkpoint.size).max(report.sealed);
    for (path, then) in found {
        if then.size > size {
            let text =
                format!("the log signed {} entries, and its checkpoint has {size}: it was rolled back", then.size);
            report.fault(path, text);
            continue;
        }
        // Where tiles are missing or damaged, that is said of them.
        let now = now.map(|now| &now.checkpoint).filter(|now| then.size <= now.size);
        if now.is_some_and(|now| is_prefix(storage, &then, now).is_ok_and(|same| !same)) {
            let text =
                format!("the log signed {} entries that are not the first of this log: it was replaced", then.size);
            report.fault(path, text);
        }
    }
    Ok(())
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

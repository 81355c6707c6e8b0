//! Who may sign a log: its first key, and every key that the one before it announced in the log itself.
//!
//! A handover is a proof file: an entry `log`/`rotated` that names the next key, in a checkpoint that the old key
//! signed. So whoever trusts the first key can follow to the last with nothing but these files, and a key that no
//! predecessor announced is nobody's. From the handover's checkpoint on the old key counts for nothing: whoever
//! steals it afterwards can add nothing to this log (but can still write another one from its start, which is what
//! witnesses are for).
//!
//! Order of writes: `handover/pending`, which says where the announcement will be looked for; the entry; a checkpoint
//! by the old key over it; the handover; the same checkpoint by the new key. After a crash anywhere in between,
//! doing it again with the same new key goes on where it ended.

use std::io;

use serde::{Deserialize, Serialize};

use crate::note::{NoteError, SignedCheckpoint, VerifyingKey};
use crate::proof::{Proof, ProofError};
use crate::read::{self, numbered, numbers};
use crate::record::Record;
use crate::storage::Storage;
use crate::tree::{self, verify_consistency};
use crate::verify::Report;
use crate::{AppendError, Entry, ReadError, Reader, canonical};

/// The folder of handovers, each under the index of its entry.
pub(crate) const HANDOVER: &str = "handover";
/// A rotation that was begun.
const PENDING: &str = "handover/pending";
/// The event of an announcement.
pub(crate) const ROTATED: &str = "rotated";

/// Why a handover hands nothing over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// It is no proof, or not by the old key.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The entry is no announcement of a key.
    #[error("its entry announces no key")]
    NoAnnouncement,
    /// The entry is about another key than the one that is trusted.
    #[error("it hands over from another key: `{found}`, not `{trusted}`")]
    OtherKey {
        /// The key that the entry names as the old one.
        found: String,
        /// The key that was expected.
        trusted: String,
    },
    /// Its checkpoint is smaller than that of the handover before it.
    #[error("it hands over at {size} entries, and the one before it at {before}")]
    Backwards {
        /// Of its checkpoint.
        size: u64,
        /// Of the one before.
        before: u64,
    },
    /// The new key bears another name, so it would be another log's.
    #[error("the new key has another name: `{new}`, not `{old}`")]
    OtherName {
        /// Of the new key.
        new: String,
        /// Of the old key.
        old: String,
    },
}

/// An announced key: the old key, the new one.
fn announced(entry: &Entry) -> Option<(String, VerifyingKey)> {
    let Record::Log { event, details } = &entry.record else { return None };
    let text = |name: &str| details.get(name).and_then(serde_json::Value::as_str);
    (event == ROTATED).then_some(())?;
    let to: VerifyingKey = text("to")?.parse().ok()?;
    (to.to_string() == text("to")?).then_some(())?;
    Some((text("from")?.to_owned(), to))
}

/// What the old key says in the log.
pub(crate) fn announcement(from: &VerifyingKey, to: &VerifyingKey) -> Record {
    let mut details = serde_json::Map::new();
    details.insert("from".to_owned(), from.to_string().into());
    details.insert("to".to_owned(), to.to_string().into());
    Record::Log { event: ROTATED.to_owned(), details }
}

/// A key, and the checkpoints that it may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The key.
    pub key: VerifyingKey,
    /// The entry that announced it; `None` for the one that was trusted from the start.
    pub announced: Option<u64>,
    /// Checkpoints of at least so many entries.
    pub from: u64,
    /// Of at most so many; `None` for the key that signs now.
    pub until: Option<u64>,
}

/// The keys of a log, from a trusted one on, in order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    first: Span,
    rest: Vec<Span>,
}

impl Chain {
    /// Only this key.
    pub fn new(trusted: VerifyingKey) -> Self {
        Self { first: Span { key: trusted, announced: None, from: 0, until: None }, rest: Vec::new() }
    }

    /// The key that signs now.
    pub fn last(&self) -> &Span {
        self.rest.last().unwrap_or(&self.first)
    }

    /// All keys, in order.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Follows one handover, a proof file.
    pub fn follow(&mut self, handover: &Proof) -> Result<(), HandoverError> {
        let entry = serde_json::from_slice(&handover.entry).map_err(|_error| HandoverError::NoAnnouncement)?;
        let (from, to) = announced(&entry).ok_or(HandoverError::NoAnnouncement)?;
        let trusted = &self.last().key;
        if from != trusted.to_string() {
            return Err(HandoverError::OtherKey { found: from, trusted: trusted.to_string() });
        }
        if to.name() != trusted.name() || to.is_witness() {
            return Err(HandoverError::OtherName { new: to.name().to_owned(), old: trusted.name().to_owned() });
        }
        handover.verify(trusted)?;
        let (size, before) = (handover.checkpoint.checkpoint.size, self.last().from);
        if size < before {
            return Err(HandoverError::Backwards { size, before });
        }
        self.rest.last_mut().unwrap_or(&mut self.first).until = Some(size);
        self.rest.push(Span { key: to, announced: Some(handover.index), from: size, until: None });
        Ok(())
    }

    /// Checks that a checkpoint is signed by the key that may sign one of its size.
    pub fn verify(&self, signed: &SignedCheckpoint) -> Result<(), NoteError> {
        let (size, origin) = (signed.checkpoint.size, &signed.checkpoint.origin);
        let may = |span: &&Span| span.from <= size && span.until.is_none_or(|until| size <= until);
        if origin != self.first.key.name() {
            return Err(NoteError::Unsigned(self.first.key.name().to_owned()));
        }
        // Where one key hands over to the next there is a checkpoint by each.
        let mut result = Err(NoteError::Unsigned(self.last().key.to_string()));
        for span in self.spans().filter(may) {
            result = signed.verify(&span.key).map(|_| ());
            if result.is_ok() {
                return Ok(());
            }
        }
        match self.spans().find(|span| signed.verify(&span.key).is_ok()) {
            Some(retired) => Err(NoteError::Retired(retired.key.to_string())),
            None => result,
        }
    }

    /// Whether one of the keys signed a checkpoint, of whatever size.
    pub(crate) fn has_signed(&self, signed: &SignedCheckpoint) -> bool {
        let is_of_log = signed.checkpoint.origin == self.first.key.name();
        is_of_log && self.spans().any(|span| signed.verify(&span.key).is_ok())
    }

    /// Follows the handovers of a log's directory. A fault has a file and a text.
    pub(crate) fn read(storage: &dyn Storage, trusted: &VerifyingKey) -> io::Result<(Self, Vec<(String, String)>)> {
        let (mut chain, mut faults) = (Self::new(trusted.clone()), Vec::new());
        let mut before = true;
        for index in numbers(storage, HANDOVER)? {
            let path = numbered(HANDOVER, index);
            let text = storage.read(&path)?.unwrap_or_default();
            let followed = String::from_utf8_lossy(&text).parse::<Proof>().map_err(HandoverError::from);
            let followed = followed.and_then(|proof| match chain.follow(&proof) {
                // Those that lead to the trusted key are whole, and else none of its business.
                Err(HandoverError::OtherKey { found, .. }) if before => {
                    let from = found.parse::<VerifyingKey>().map_err(ProofError::from)?;
                    proof.verify(&from)?;
                    Ok(())
                }
                Ok(()) => {
                    before = false;
                    Ok(())
                }
                Err(error) => Err(error),
            });
            if let Err(error) = followed {
                faults.push((path, error.to_string()));
            }
        }
        Ok((chain, faults))
    }
}

/// Announcements against handovers: each handover is of this log, and no announcement came to nothing.
pub(crate) fn check(
    storage: &dyn Storage,
    (chain, now): (&Chain, Option<&SignedCheckpoint>),
    announcements: &[(u64, String)],
    report: &mut Report,
) -> Result<(), ReadError> {
    for index in numbers(storage, HANDOVER)? {
        let path = numbered(HANDOVER, index);
        let text = storage.read(&path)?.unwrap_or_default();
        let Ok(proof) = String::from_utf8_lossy(&text).parse::<Proof>() else { continue };
        if index != proof.index || !now.is_some_and(|now| is_prefix(storage, &proof.checkpoint, now)) {
            report.fault(path, "its checkpoint is of another history than this log").entry = Some(index);
        }
    }
    for (place, (index, from)) in announcements.iter().enumerate() {
        let handed_over = storage.read(&numbered(HANDOVER, *index))?.is_some();
        // A rotation that could not be finished was begun again.
        let again = announcements.iter().skip(place + 1).any(|(_, later)| later == from);
        if !handed_over && !again {
            let text = "it announces a key, and the handover is missing: it was removed, or the rotation is not finished (open the log to finish it)";
            report.fault(numbered(HANDOVER, *index), text).entry = Some(*index);
        }
    }
    report.keys = chain.spans().map(|span| (span.key.to_string(), span.announced)).collect();
    Ok(())
}

/// Whether one checkpoint is of the first entries of another's tree.
fn is_prefix(storage: &dyn Storage, old: &SignedCheckpoint, now: &SignedCheckpoint) -> bool {
    let (old, now) = (&old.checkpoint, &now.checkpoint);
    let node = &mut |at| read::node(storage, at, now.size);
    old.size <= now.size
        && tree::consistency_proof(old.size, now.size, node)
            .is_ok_and(|proof| verify_consistency((old.size, &old.root), (now.size, &now.root), &proof))
}

/// Content of [`PENDING`].
#[derive(Serialize, Deserialize)]
struct Pending {
    to: String,
    /// The announcement is at this index or later.
    size: u64,
}

/// Says durably that a rotation begins, in a log of this size.
pub(crate) fn begin(storage: &dyn Storage, to: &VerifyingKey, size: u64) -> io::Result<()> {
    storage.replace(PENDING, &canonical::to_vec(&Pending { to: to.to_string(), size })?)
}

/// From where on to look for the announcement of this key, if its rotation was begun before.
pub(crate) fn begun(storage: &dyn Storage, to: &VerifyingKey) -> io::Result<Option<u64>> {
    let pending = storage.read(PENDING)?.and_then(|bytes| serde_json::from_slice::<Pending>(&bytes).ok());
    Ok(pending.filter(|pending| pending.to == to.to_string()).map(|pending| pending.size))
}

/// The rotation is over.
pub(crate) fn end(storage: &dyn Storage) -> io::Result<()> {
    storage.remove(&[PENDING.to_owned()])
}

impl crate::Ledger {
    /// Hands the log over to another key: announces it under the one that signs now, and signs with it from then on.
    /// Says at which entry. Doing it again with the same key finishes what a crash interrupted.
    pub fn hand_over(&self, next: crate::SigningKey, now: jiff::Timestamp) -> Result<u64, HandOverError> {
        let _turn = self.rotating();
        let to = next.verifying_key();
        if self.verifying_key() == to
            && let Some(index) = numbers(self.storage(), HANDOVER)?.pop()
        {
            end(self.storage())?;
            return Ok(index);
        }
        let index = match begun(self.storage(), &to)? {
            Some(size) => self.announced_since(size, &to)?,
            None => None,
        };
        let index = match index {
            Some(index) => index,
            None => {
                begin(self.storage(), &to, self.len())?;
                let from = self.verifying_key();
                self.append(announcement(&from, &to), now)?.wait()?.index()
            }
        };
        self.hand_over_at(next, index)?;
        end(self.storage())?;
        Ok(index)
    }

    /// The handovers of this log, in order.
    pub fn handovers(&self) -> Result<Vec<Proof>, ReadError> {
        let mut found = Vec::new();
        for index in numbers(self.storage(), HANDOVER)? {
            let path = numbered(HANDOVER, index);
            let text = self.storage().read(&path)?.unwrap_or_default();
            found.push(String::from_utf8_lossy(&text).parse().map_err(|_error| ReadError::Damaged(path))?);
        }
        Ok(found)
    }

    fn announced_since(&self, size: u64, to: &VerifyingKey) -> Result<Option<u64>, ReadError> {
        for stored in self.range(size..u64::MAX) {
            let stored = stored?;
            if announced(&stored.entry).is_some_and(|(_, announced)| announced == *to) {
                return Ok(Some(stored.index));
            }
        }
        Ok(None)
    }
}

/// Why a log was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// The announcement could not be recorded or sealed.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The storage failed.
    #[error("ledger storage: {0}")]
    Io(#[from] io::Error),
    /// The key's file.
    #[error(transparent)]
    Key(#[from] crate::keyfile::KeyFileError),
    /// The ledger was opened with a key that lies in no file.
    #[error("this ledger's key is in no file")]
    NoFile,
}

impl Reader {
    /// The keys that may sign this log, from a trusted one on; and what is wrong with its handovers.
    pub fn keys(&self, trusted: &VerifyingKey) -> io::Result<(Chain, Vec<String>)> {
        let (chain, faults) = Chain::read(self.storage.as_ref(), trusted)?;
        Ok((chain, faults.into_iter().map(|(file, text)| format!("{file}: {text}")).collect()))
    }

    /// The handovers, as they are, in order.
    pub fn handovers(&self) -> io::Result<Vec<(u64, String)>> {
        let mut found = Vec::new();
        for index in numbers(self.storage.as_ref(), HANDOVER)? {
            let text = self.storage.read(&numbered(HANDOVER, index))?.unwrap_or_default();
            found.push((index, String::from_utf8_lossy(&text).into_owned()));
        }
        Ok(found)
    }
}

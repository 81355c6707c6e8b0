//! Verification of a whole log, offline, from its files and the log's public key alone.
//!
//! Two questions. *Are these the bytes that were signed?* Every file is compared with what the entries hash
//! to, from the bottom up, and a difference is blamed on the file that the levels above contradict. *Do the
//! entries make sense together?* Every permit has one outcome, approvals are used once and for what they
//! bind, numbers have no gaps. Nothing is written, and nothing stops at the first fault.

mod beside;
mod tree;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::archive::{self, Pruned};
use crate::cosign::{self, Behind};
use crate::handover::{self, Chain};
use crate::journal::{self, Kind};
use crate::lock;
use crate::note::{NoteError, SignedCheckpoint, VerifyingKey};
use crate::read::{self, JOURNAL, ReadError, Reader};
use crate::record::Record;
use crate::seal::{CHECKPOINT, OPEN, read_open};
use crate::semantics::Semantics;
use crate::storage::{Disk, Storage};

/// How to verify.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Also report gaps in the numbering of each session's calls.
    pub complete: bool,
    /// Payloads are not looked at: in a copy their keys are missing.
    pub without_payloads: bool,
    /// Witnesses whose cosignatures count.
    pub witnesses: Vec<VerifyingKey>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The file, relative to the ledger's directory.
    pub file: String,
    /// Where in the file, in bytes, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The entry that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// What is wrong.
    pub text: String,
}

impl Fault {
    /// Whether it is of a file that entries refer to, and not of the entries, what they hash to and what was signed.
    fn is_beside(&self) -> bool {
        !(self.file == CHECKPOINT || self.file.starts_with("tile/"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file)?;
        if let Some(offset) = self.offset {
            write!(formatter, " at byte {offset}")?;
        }
        if let Some(entry) = self.entry {
            write!(formatter, ", entry {entry}")?;
        }
        write!(formatter, ": {}", self.text)
    }
}

/// Entries that are dated more than a minute before others in front of them: a clock was set, or they were put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WentBack {
    /// The first of them.
    pub entry: u64,
    /// How many there are.
    pub entries: u64,
    /// How far at most.
    pub seconds: i64,
}

/// What verification found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// The keys that may sign it, in order, each with the entry that announced it.
    pub keys: Vec<(String, Option<u64>)>,
    /// Entries in all.
    pub entries: u64,
    /// What was archived and removed, of which the hashes are still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
    /// Entries that the checkpoint covers.
    pub sealed: u64,
    /// The checkpoint's root, in hex.
    pub root: String,
    /// Bytes of all entries.
    pub entry_bytes: u64,
    /// Entries by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Entries of kinds that this version does not know: they hash to what was signed, and nobody says what they mean.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown_kinds: BTreeMap<String, u64>,
    /// Witnesses that cosigned, and when, in seconds since 1970.
    pub cosigned: Vec<(String, u64)>,
    /// Entries by which a witness has seen another history of this log, each with its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradicted: Vec<(u64, String)>,
    /// How many entries each of them vouches for.
    pub witnessed: BTreeMap<String, u64>,
    /// Permitted intents that are still being carried out, or were when the gateway was killed or the log copied.
    pub in_flight: Vec<u64>,
    /// Calls that seem to be left out and may still come, because the log is being written or was when it was copied.
    pub unjudged: u64,
    /// Entries that are dated before others in front of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub went_back: Option<WentBack>,
    /// Payloads that decrypt to their digest.
    pub payloads: u64,
    /// Payloads whose key was erased.
    pub erased: u64,
    /// Objects with the digest of their name.
    pub objects: u64,
    /// What is wrong, by file: first that of the checkpoint and the tree.
    pub faults: Vec<Fault>,
}

impl Report {
    pub(crate) fn fault(&mut self, file: impl Into<String>, text: impl Into<String>) -> &mut Fault {
        self.faults.push(Fault { file: file.into(), offset: None, entry: None, text: text.into() });
        #[expect(clippy::unwrap_used, reason = "one was just pushed")]
        self.faults.last_mut().unwrap()
    }
}

/// Verifies the ledger in this directory against the log's public key. Fails only if it cannot be read;
/// what is wrong with it is in the report.
pub fn verify(dir: &Path, key: &VerifyingKey, options: &Options) -> Result<Report, ReadError> {
    let live = lock::is_held(dir);
    if !dir.is_dir() {
        return Err(ReadError::Damaged(dir.display().to_string()));
    }
    verify_storage(Arc::new(Disk::new(dir)), key, options, live)
}

pub(crate) fn verify_storage(
    storage: Arc<dyn Storage>,
    key: &VerifyingKey,
    options: &Options,
    live: bool,
) -> Result<Report, ReadError> {
    let mut report = Report::default();
    let pruned = archive::pruned(storage.as_ref()).unwrap_or_else(|error| {
        report.fault(archive::PRUNED, error.to_string());
        None
    });
    let start = pruned.as_ref().map_or(0, |pruned| pruned.to);
    // A copy has no journal, and ends wherever the log was when it was made.
    let is_copy = read::numbers(storage.as_ref(), JOURNAL)?.is_empty();
    let mut verifier = Verifier {
        storage: storage.as_ref(),
        report: Report { pruned, ..report },
        semantics: Semantics::new(options.complete, live || is_copy, start),
        start,
        known: HashSet::from([CHECKPOINT.to_owned(), OPEN.to_owned(), lock::LOCK.to_owned()]),
        live,
        note: None,
        missing: HashSet::new(),
        room: Vec::new(),
    };
    let (chain, faults) = Chain::read(storage.as_ref(), key)?;
    for (file, text) in faults {
        verifier.report.fault(file, text);
    }
    let checkpoint = verifier.checkpoint(&chain, options)?;
    let sealed = checkpoint.as_ref().map_or(0, |signed| signed.checkpoint.size);
    verifier.tiles(sealed, checkpoint.as_ref().map(|signed| signed.checkpoint.root))?;
    let bodies = verifier.journal(sealed, checkpoint.is_none())?;
    verifier.open_file()?;
    let Verifier { mut report, semantics, mut known, .. } = verifier;
    let used = semantics.finish(&mut report);
    let unknown = report.kinds.iter().filter(|(kind, _)| Record::fields(kind).is_empty());
    report.unknown_kinds = unknown.map(|(kind, count)| (kind.clone(), *count)).collect();
    report.contradicted.clone_from(&used.contradicted);
    // Nobody else's word counts against a log.
    for (index, name) in
        used.contradicted.iter().filter(|(_, name)| options.witnesses.iter().any(|key| key.name() == name))
    {
        let text = format!("`{name}` has seen another history of this log: one of the two was rolled back or replaced");
        report.fault(CHECKPOINT, text).entry = Some(*index);
    }
    archive::check(storage.as_ref(), sealed, &mut report)?;
    cosign::check(storage.as_ref(), (&chain, checkpoint.as_ref()), &mut report)?;
    handover::check(storage.as_ref(), (&chain, checkpoint.as_ref()), &used.rotated, &mut report)?;
    if !options.without_payloads {
        beside::payloads(storage.as_ref(), &used, bodies, &mut report)?;
        beside::erasures(storage.as_ref(), &used, live, &mut report)?;
    }
    beside::objects(storage.as_ref(), &used, &mut report)?;
    tree::strays(storage.as_ref(), &mut known, live, &mut report)?;
    // What is said of the tree first: where entries are gone or changed, much that is said beside it only follows.
    report.faults.sort_by(|one, other| (one.is_beside(), one).cmp(&(other.is_beside(), other)));
    Ok(report)
}

struct Verifier<'a> {
    storage: &'a dyn Storage,
    report: Report,
    semantics: Semantics,
    /// Files of the tree that belong there.
    known: HashSet<String>,
    live: bool,
    /// The first entry that is there.
    start: u64,
    /// The checkpoint's file as it was at first.
    note: Option<Vec<u8>>,
    /// Bundles that are not there, and of which that is said.
    missing: HashSet<u64>,
    /// The last bundle that was read: its room is used again, for memory that is new is zeroed first.
    room: Vec<u8>,
}

impl Verifier<'_> {
    fn checkpoint(&mut self, keys: &Chain, options: &Options) -> Result<Option<SignedCheckpoint>, ReadError> {
        let Some(bytes) = self.storage.read(CHECKPOINT)? else {
            // Whoever opens a new log signs it before anything else is done with it.
            self.report.fault(CHECKPOINT, "it is missing: nothing here is signed");
            return Ok(self.unsigned(options));
        };
        self.note = Some(bytes.clone());
        let signed = SignedCheckpoint::parse(&bytes);
        if let Err(error) = signed.as_ref().map_err(NoteError::clone).and_then(|signed| keys.verify(signed)) {
            self.report.fault(CHECKPOINT, error.to_string());
        }
        let Ok(signed) = signed else { return Ok(self.unsigned(options)) };
        self.report.origin.clone_from(&signed.checkpoint.origin);
        self.report.sealed = signed.checkpoint.size;
        self.report.root = hex::encode(signed.checkpoint.root);
        for witness in &options.witnesses {
            match cosign::vouched(self.storage, &signed, (keys, witness)) {
                Ok(vouched) => {
                    self.report.cosigned.push((witness.name().to_owned(), vouched.time));
                    self.report.witnessed.insert(witness.name().to_owned(), vouched.size);
                    self.semantics.behind.push(Behind::new(witness, &vouched));
                }
                Err((file, error)) => _ = self.report.fault(file, error),
            }
        }
        Ok(Some(signed))
    }

    /// There is no checkpoint that anybody could have signed.
    fn unsigned(&mut self, options: &Options) -> Option<SignedCheckpoint> {
        for witness in &options.witnesses {
            self.report.fault(CHECKPOINT, NoteError::Unsigned(witness.name().to_owned()).to_string());
        }
        None
    }

    /// The journal: entries behind the checkpoint, and the payloads that are still there.
    fn journal(&mut self, sealed: u64, unsealed_log: bool) -> Result<Vec<(String, u64, Vec<u8>)>, ReadError> {
        let (mut next, mut durable, mut bodies, mut gaps) = (sealed, 0, Vec::new(), Vec::new());
        let mut segments = Vec::new();
        // Newest first: what a live log adds between two reads then follows what we have, and leaves no gap.
        for name in self.storage.list(JOURNAL)?.iter().rev() {
            let path = format!("{JOURNAL}/{name}");
            let bytes = self.storage.read(&path)?.unwrap_or_default();
            segments.push((path, bytes));
        }
        for (path, bytes) in segments.into_iter().rev() {
            self.known.insert(path.clone());
            let file = Arc::from(path.as_str());
            let scan = journal::scan(&bytes);
            for offset in scan.bad.iter().filter(|offset| !self.live || **offset < scan.end) {
                self.report.fault(path.as_str(), "bytes that are no whole frame: torn or changed").offset =
                    Some(*offset);
            }
            for found in &scan.frames {
                let body = found.body(&bytes);
                durable = durable.max(found.head.durable);
                match found.head.kind {
                    Kind::Payload => bodies.push((path.clone(), found.offset, body.to_vec())),
                    Kind::Entry if found.head.index == next => {
                        self.semantics.entry(next, &file, body, &mut self.report);
                        next += 1;
                    }
                    Kind::Entry if found.head.index > next && !unsealed_log => {
                        gaps.push((path.clone(), found.head.index, format!("entry {next} is missing before it")));
                    }
                    Kind::Entry => {}
                }
            }
        }
        if durable > next {
            gaps.push((JOURNAL.to_owned(), next, format!("{durable} entries were durable, {next} are there")));
        }
        // A live log may have sealed entries and removed their segments since we read its checkpoint.
        if !self.live || self.storage.read(CHECKPOINT)? == self.note {
            for (file, entry, text) in gaps {
                self.report.fault(file, text).entry = Some(entry);
            }
        }
        self.report.entries = next;
        Ok(bodies)
    }

    fn open_file(&mut self) -> io::Result<()> {
        let there = self.storage.read(OPEN)?.is_some();
        if there && read_open(self.storage)?.is_none() {
            self.report.fault(OPEN, "the list of open intents was changed");
        }
        Ok(())
    }
}

impl Reader {
    /// Everything that `verify` says about this log's files, for a reader that is open already.
    pub fn verify(&self, key: &VerifyingKey, options: &Options) -> Result<Report, ReadError> {
        verify_storage(Arc::clone(&self.storage), key, options, true)
    }
}

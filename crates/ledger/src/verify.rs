//! Verification of a whole log, offline, from its files and the log's public key alone.
//!
//! Two questions. *Are these the bytes that were signed?* Every file is compared with what the entries hash
//! to, from the bottom up, and a difference is blamed on the file that the levels above contradict. *Do the
//! entries make sense together?* Every permit has one outcome, approvals are used once and for what they
//! bind, numbers have no gaps. Nothing is written, and nothing stops at the first fault.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::archive::{self, Pruned};
use crate::cosign::{self, Behind};
use crate::handover::{self, Chain};
use crate::journal::{self, HEAD, Kind};
use crate::lock;
use crate::note::{NoteError, SignedCheckpoint, VerifyingKey};
use crate::payload::{ERASING, SUBJECTS, Sealed, SubjectKey};
use crate::read::{JOURNAL, OBJECTS, PAYLOADS, ReadError, Reader, numbered};
use crate::record::Record;
use crate::seal::{CHECKPOINT, OPEN, read_open};
use crate::semantics::{Semantics, Used};
use crate::storage::{Disk, Storage};
use crate::tile;
use crate::tree::{Hash, TILE_WIDTH, leaf_hash, level_count, level_size, root_of, sha256};

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
    /// How many entries each of them vouches for.
    pub witnessed: BTreeMap<String, u64>,
    /// Permitted intents that are still being carried out.
    pub in_flight: Vec<u64>,
    /// Payloads that decrypt to their digest.
    pub payloads: u64,
    /// Payloads whose key was erased.
    pub erased: u64,
    /// Objects with the digest of their name.
    pub objects: u64,
    /// What is wrong, by file.
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
    let mut verifier = Verifier {
        storage: storage.as_ref(),
        report: Report { pruned, ..report },
        semantics: Semantics::new(options.complete, live, start),
        start,
        known: HashSet::from([CHECKPOINT.to_owned(), OPEN.to_owned(), lock::LOCK.to_owned()]),
        live,
        note: None,
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
    archive::check(storage.as_ref(), sealed, &mut report)?;
    handover::check(storage.as_ref(), (&chain, checkpoint.as_ref()), &used.rotated, &mut report)?;
    if !options.without_payloads {
        payloads(storage.as_ref(), &used, bodies, &mut report)?;
        erasures(storage.as_ref(), &used, live, &mut report)?;
    }
    objects(storage.as_ref(), &used, &mut report)?;
    strays(storage.as_ref(), &mut known, live, &mut report)?;
    report.faults.sort();
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
    /// The last bundle that was read: its room is used again, for memory that is new is zeroed first.
    room: Vec<u8>,
}

/// A tile as the entries say it is, and as its file says.
struct Row {
    level: u8,
    index: u64,
    made: Vec<Hash>,
    read: Option<Vec<Hash>>,
}

impl Row {
    fn file(&self) -> String {
        tile::hash_tile(self.level, self.index, self.made.len() as u64)
    }

    fn read(&self) -> &[Hash] {
        self.read.as_deref().unwrap_or_default()
    }

    /// The hashes that differ.
    fn different(&self) -> Vec<usize> {
        let read = self.read();
        (0..self.made.len().max(read.len())).filter(|place| self.made.get(*place) != read.get(*place)).collect()
    }
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
                Err(error) => _ = self.report.fault(CHECKPOINT, error),
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

    /// Every entry, tile and level, from the bottom up.
    fn tiles(&mut self, size: u64, root: Option<Hash>) -> Result<(), ReadError> {
        let mut edge = Vec::new();
        let mut below: Vec<Hash> = Vec::new();
        let mut level = 0;
        while (usize::from(level)) < level_count(size) {
            let mut next = Vec::new();
            let hashes = level_size(size, level);
            for index in 0..hashes.div_ceil(TILE_WIDTH) {
                let width = TILE_WIDTH.min(hashes - index * TILE_WIDTH);
                let made = match level {
                    0 => self.bundle(index, width)?,
                    _ => {
                        let start = (index * TILE_WIDTH) as usize;
                        below.get(start..start + width as usize).unwrap_or_default().to_vec()
                    }
                };
                let row = self.row(level, index, made)?;
                if width == TILE_WIDTH {
                    next.push(self.judge_full(&row, size)?);
                } else {
                    edge.push(row);
                }
            }
            below = next;
            level += 1;
        }
        if let Some(root) = root {
            self.judge_edge(&edge, (size, root));
        }
        Ok(())
    }

    /// The leaf hashes of a bundle; entries go on to the semantic checks.
    fn bundle(&mut self, index: u64, width: u64) -> Result<Vec<Hash>, ReadError> {
        let path = tile::bundle(index, width);
        let (mut bytes, mut grown) = (std::mem::take(&mut self.room), false);
        self.known.insert(path.clone());
        if !self.storage.read_into(&path, &mut bytes)? {
            let Some(found) = self.read_tile(&path, 0, index).map(|(found, more)| found.map(|found| (found, more)))?
            else {
                if index * TILE_WIDTH < self.start {
                    return self.pruned(index);
                }
                self.report.fault(path, "it is missing");
                return Ok(vec![Hash::default(); width as usize]);
            };
            (bytes, grown) = found;
        }
        let (mut leaves, file) = (Vec::with_capacity(width as usize), Arc::from(path.as_str()));
        let most = if grown { width as usize } else { usize::MAX };
        for (place, entry) in tile::entries(&bytes).take(most).enumerate() {
            let number = index * TILE_WIDTH + place as u64;
            let Some(entry) = entry else {
                self.report.fault(path.as_str(), "it ends within an entry").entry = Some(number);
                break;
            };
            leaves.push(leaf_hash(entry));
            if (place as u64) < width && number >= self.start {
                self.semantics.entry(number, &file, entry, &mut self.report);
            }
        }
        if leaves.len() as u64 > width {
            self.report.fault(path.as_str(), format!("it has {} entries instead of {width}", leaves.len()));
        }
        leaves.resize(width as usize, Hash::default());
        self.room = bytes;
        Ok(leaves)
    }

    /// The leaf hashes of a bundle that was pruned: its tile stands for it, as far as the level above agrees.
    fn pruned(&mut self, index: u64) -> Result<Vec<Hash>, ReadError> {
        let path = tile::hash_tile(0, index, TILE_WIDTH);
        let hashes = self.storage.read(&path)?.as_deref().and_then(tile::split_hashes).unwrap_or_default();
        if hashes.len() as u64 != TILE_WIDTH {
            return Ok(vec![Hash::default(); TILE_WIDTH as usize]);
        }
        if self.stored(1, index, self.report.sealed)? != Some(root_of(&hashes)) {
            let text = "its hashes are all that is left of pruned entries, and they or those above were changed";
            self.report.fault(path, text);
        }
        Ok(hashes)
    }

    /// A tile or bundle. In a live log a partial one may have grown since we read the checkpoint; a larger
    /// one has the same beginning, and the second value says that it is one. Only one that a checkpoint
    /// covers: any other may be half written.
    fn read_tile(&self, path: &str, level: u8, index: u64) -> Result<(Option<Vec<u8>>, bool), ReadError> {
        let found = self.storage.read(path)?;
        let Some((whole, width)) = path.rsplit_once(".p/").filter(|_| self.live && found.is_none()) else {
            return Ok((found, false));
        };
        let mut width: u64 = width.parse().unwrap_or(TILE_WIDTH);
        // A partial file goes only after the checkpoint that no longer needs it has come.
        while let Some(wider) = self.width_now(level, index)?.filter(|now| *now > width) {
            width = wider;
            let path = if width == TILE_WIDTH { whole.to_owned() } else { format!("{whole}.p/{width}") };
            if let Some(bytes) = self.storage.read(&path)? {
                return Ok((Some(bytes), true));
            }
        }
        Ok((None, false))
    }

    /// How wide a tile is by the checkpoint that is there now.
    fn width_now(&self, level: u8, index: u64) -> Result<Option<u64>, ReadError> {
        let signed = self.storage.read(CHECKPOINT)?.and_then(|note| SignedCheckpoint::parse(&note).ok());
        Ok(signed
            .map(|signed| TILE_WIDTH.min(level_size(signed.checkpoint.size, level).saturating_sub(index * TILE_WIDTH))))
    }

    fn row(&mut self, level: u8, index: u64, made: Vec<Hash>) -> Result<Row, ReadError> {
        let path = tile::hash_tile(level, index, made.len() as u64);
        let (mut bytes, grown) = self.read_tile(&path, level, index)?;
        if let Some(bytes) = bytes.as_mut().filter(|_| grown) {
            bytes.truncate(made.len() * 32);
        }
        let read = bytes.as_deref().and_then(tile::split_hashes);
        if read.as_ref().is_none_or(|read| read.len() != made.len()) {
            self.report.fault(path.as_str(), if bytes.is_some() { "it has a wrong length" } else { "it is missing" });
        }
        self.known.insert(path);
        Ok(Row { level, index, made, read })
    }

    /// Blames a difference in a full tile, and gives the root that the level above should have.
    fn judge_full(&mut self, row: &Row, size: u64) -> Result<Hash, ReadError> {
        let made = root_of(&row.made);
        if row.read.as_ref() == Some(&row.made) {
            return Ok(made);
        }
        let different = row.different();
        if different.is_empty() || row.read.is_none() {
            return Ok(made);
        }
        let read = root_of(row.read());
        let above = self.stored(row.level + 1, row.index, size)?;
        if above == Some(read) && above != Some(made) {
            self.blame_below(row, &different);
            return Ok(read);
        }
        self.blame_tile(row, &different);
        Ok(made)
    }

    /// The hash that a tile's file of the level above has for this one.
    fn stored(&self, level: u8, index: u64, size: u64) -> Result<Option<Hash>, ReadError> {
        let width = TILE_WIDTH.min(level_size(size, level).saturating_sub(index / TILE_WIDTH * TILE_WIDTH));
        let path = tile::hash_tile(level, index / TILE_WIDTH, width);
        let (bytes, _) = self.read_tile(&path, level, index / TILE_WIDTH)?;
        let hashes = bytes.as_deref().and_then(tile::split_hashes);
        Ok(hashes.and_then(|hashes| hashes.get((index % TILE_WIDTH) as usize).copied()))
    }

    /// The tiles at the right edge have only the checkpoint above them. (The topmost is always partial.)
    fn judge_edge(&mut self, edge: &[Row], (size, root): (u64, Hash)) {
        let fold = |pick: &dyn Fn(&Row) -> Vec<Hash>| {
            let mut rest: Option<Hash> = None;
            for row in edge {
                let mut nodes = pick(row);
                nodes.extend(rest);
                rest = (!nodes.is_empty()).then(|| root_of(&nodes));
            }
            rest
        };
        let made = fold(&|row| row.made.clone());
        let read = fold(&|row| row.read().to_vec());
        let below_is_wrong = read == Some(root) && made != Some(root);
        for row in edge {
            let different = row.different();
            if different.is_empty() || row.read.is_none() {
                continue;
            }
            if below_is_wrong { self.blame_below(row, &different) } else { self.blame_tile(row, &different) }
        }
        if made != Some(root) && read != Some(root) && size > 0 {
            let text =
                format!("its root is not the root of these {size} entries: the log or the checkpoint was replaced");
            self.report.fault(CHECKPOINT, text);
        }
    }

    fn blame_tile(&mut self, row: &Row, different: &[usize]) {
        for place in different {
            let text = "a hash is not that of what it covers: the tile was changed";
            self.report.fault(row.file(), text).offset = Some(*place as u64 * 32);
        }
    }

    fn blame_below(&mut self, row: &Row, different: &[usize]) {
        // Higher up, the level below has been blamed already.
        let (Some(first), 0) = (different.first(), row.level) else { return };
        let file = tile::bundle(row.index, row.made.len() as u64);
        let text = match different.len() {
            1 => "the entry is not the one that was signed: it was changed".to_owned(),
            count => {
                format!("this and {} more entries here are not those that were signed: they were changed", count - 1)
            }
        };
        self.report.fault(file, text).entry = Some(row.index * TILE_WIDTH + *first as u64);
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
                let start = found.offset as usize + HEAD;
                let body = bytes.get(start..start + found.head.size as usize).unwrap_or_default();
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

/// The subjects' keys by id.
fn subject_keys(storage: &dyn Storage, report: &mut Report) -> io::Result<HashMap<[u8; 16], SubjectKey>> {
    let mut keys = HashMap::new();
    for name in storage.list(SUBJECTS)?.iter().filter(|name| !name.ends_with(ERASING) && !name.ends_with(".new")) {
        let path = format!("{SUBJECTS}/{name}");
        let bytes = storage.read(&path)?.map(Zeroizing::new).unwrap_or_default();
        match SubjectKey::parse(&bytes) {
            Some(key) => _ = keys.insert(key.id, key),
            None => _ = report.fault(path, "the key was changed; what it encrypts is lost"),
        }
    }
    Ok(keys)
}

/// Keys that are recorded as erased and still here: what they encrypt can be read.
fn erasures(storage: &dyn Storage, used: &Used, live: bool, report: &mut Report) -> io::Result<()> {
    for name in storage.list(SUBJECTS)?.iter().filter(|name| !name.ends_with(".new")) {
        // In a live log its writer is about to remove what is being erased.
        if live && name.ends_with(ERASING) {
            continue;
        }
        let path = format!("{SUBJECTS}/{name}");
        let bytes = storage.read(&path)?.map(Zeroizing::new).unwrap_or_default();
        let id = SubjectKey::parse_erasing(&bytes).map(|(key, _)| hex::encode(key.id));
        if id.is_some_and(|id| used.erased.contains(&id)) {
            let text = "the key is recorded as erased and still here; what is only half done the next start finishes";
            report.fault(path, text);
        }
    }
    Ok(())
}

/// Every payload: whole, decrypting to its digest, or erased on record; and every reference to one.
fn payloads(
    storage: &dyn Storage,
    used: &Used,
    mut bodies: Vec<(String, u64, Vec<u8>)>,
    report: &mut Report,
) -> Result<(), ReadError> {
    let keys = subject_keys(storage, report)?;
    for name in storage.list(PAYLOADS)?.iter().filter(|name| !name.ends_with(".new")) {
        let path = format!("{PAYLOADS}/{name}");
        let bytes = storage.read(&path)?.unwrap_or_default();
        let scan = journal::scan(&bytes);
        for offset in &scan.bad {
            report.fault(path.as_str(), "bytes that are no whole payload: changed").offset = Some(*offset);
        }
        for found in &scan.frames {
            let start = found.offset as usize + HEAD;
            let body = bytes.get(start..start + found.head.size as usize).unwrap_or_default();
            bodies.push((path.clone(), found.offset, body.to_vec()));
        }
    }
    let mut there = BTreeSet::new();
    for (path, offset, body) in &bodies {
        let Some(sealed) = Sealed::parse(body) else {
            report.fault(path.as_str(), "no payload").offset = Some(*offset);
            continue;
        };
        there.insert(hex::encode(sealed.digest));
        match keys.get(sealed.key_id) {
            Some(key) if key.open(sealed).is_some() => report.payloads += 1,
            Some(_) => report.fault(path.as_str(), "the payload was changed").offset = Some(*offset),
            None if used.erased.contains(&hex::encode(sealed.key_id)) => report.erased += 1,
            // The entry that says so may have been pruned, with all that refer to it.
            None if report.pruned.is_some() && !used.payloads.contains_key(&hex::encode(sealed.digest)) => {
                report.erased += 1;
            }
            None => {
                report.fault(path.as_str(), "its key is gone, and no entry says that it was erased").offset =
                    Some(*offset);
            }
        }
    }
    for (digest, (entry, segment)) in used.payloads.iter().filter(|(digest, _)| !there.contains(*digest)) {
        let file = numbered(PAYLOADS, *segment);
        report.fault(file, format!("payload `{digest}` is missing")).entry = Some(*entry);
    }
    Ok(())
}

/// The names of the tiles that end in a tree of `size` entries.
fn edge(size: u64) -> impl Iterator<Item = String> {
    let counts =
        (0..8).map(move |level: u8| (level, size >> (8 * u32::from(level)))).take_while(|(_, count)| *count > 0);
    counts.flat_map(|(level, count)| {
        let (index, width) = ((count - 1) / TILE_WIDTH, (count - 1) % TILE_WIDTH + 1);
        let entries = (level == 0).then(|| tile::bundle(index, width));
        std::iter::once(tile::hash_tile(level, index, width)).chain(entries)
    })
}

/// Every object has the digest that is its name, and the sources of the policies in force are there.
fn objects(storage: &dyn Storage, used: &Used, report: &mut Report) -> io::Result<()> {
    let mut there = HashSet::new();
    for prefix in 0..=u8::MAX {
        let folder = format!("{OBJECTS}/{prefix:02x}");
        for name in storage.list(&folder)?.into_iter().filter(|name| !name.ends_with(".new")) {
            let path = format!("{folder}/{name}");
            let bytes = storage.read(&path)?.unwrap_or_default();
            if hex::encode(sha256(&bytes)) == name {
                report.objects += 1;
            } else {
                report.fault(path, "it does not have the digest that is its name");
            }
            there.insert(name);
        }
    }
    for (snapshot, entry) in used.snapshots.iter().filter(|(snapshot, _)| !there.contains(*snapshot)) {
        let text = format!("the source of snapshot `{snapshot}` is missing: nothing shows what its decisions rest on");
        report.fault(OBJECTS, text).entry = Some(*entry);
    }
    Ok(())
}

/// Files of the tree that no checkpoint covers. In a live log they are about to be covered. A crash between
/// tiles and checkpoint leaves those of entries that only the journal holds; the next seal writes them anew, so
/// they prove nothing and harm nothing. A crash after the checkpoint leaves those of the checkpoint before, which
/// hold the beginning of what is signed now. Any other is a fault.
fn strays(storage: &dyn Storage, known: &mut HashSet<String>, live: bool, report: &mut Report) -> io::Result<()> {
    if live {
        return Ok(());
    }
    known.extend((report.sealed + 1..=report.entries).flat_map(edge));
    for folder in
        known.iter().filter_map(|path| path.rsplit_once('/')).map(|(folder, _)| folder).collect::<BTreeSet<_>>()
    {
        for name in storage.list(folder)? {
            let path = format!("{folder}/{name}");
            if !known.contains(&path) && !is_beginning(storage, &path, known)? {
                report.fault(path, "nothing that was signed covers this file");
            }
        }
    }
    Ok(())
}

/// Whether a partial file holds the beginning of the same tile as it was signed later, and no less than its name says.
fn is_beginning(storage: &dyn Storage, path: &str, known: &HashSet<String>) -> io::Result<bool> {
    let Some((whole, width)) = path.rsplit_once(".p/") else { return Ok(false) };
    let (Ok(width), Some(bytes)) = (width.parse::<usize>(), storage.read(path)?) else { return Ok(false) };
    let counts = if path.starts_with("tile/entries/") {
        tile::entries(&bytes).filter(Option::is_some).count() == width
    } else {
        bytes.len() == width * size_of::<Hash>()
    };
    let partial = format!("{whole}.p/");
    for later in known.iter().filter(|name| name.as_str() == whole || name.starts_with(&partial)) {
        if counts && storage.read(later)?.is_some_and(|later| later.starts_with(&bytes)) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Reader {
    /// Everything that `verify` says about this log's files, for a reader that is open already.
    pub fn verify(&self, key: &VerifyingKey, options: &Options) -> Result<Report, ReadError> {
        verify_storage(Arc::clone(&self.storage), key, options, true)
    }
}

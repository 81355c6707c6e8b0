//! Retention: the oldest entries are copied into an archive with the proof that they were in the log, and then
//! removed from it. Their hashes stay, so that every proof of what remains still holds and what was removed can be
//! compared at any time. The formats are in `spec/ledger.md`.
//!
//! An archive is trusted for nothing: before anything is removed it is read again from where it lies, and must have
//! the root of this log.
//!
//! Order of writes: the archive, durable; the entry `log`/`pruned`, sealed; `pruned`; then the files go. After a crash
//! anywhere, pruning again with the same archive goes on.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::Sound;
use crate::handover::{Chain, HandoverError};
use crate::note::{NoteError, SignedCheckpoint, VerifyingKey};
use crate::proof::{Proof, ProofError};
use crate::read::{self, PAYLOADS, Stored, numbered, numbers};
use crate::record::{Payload, Record};
use crate::storage::Storage;
use crate::tile;
use crate::tree::{Edge, Hash, TILE_WIDTH, leaf_hash, level_count, level_size, partial_width, verify_consistency};
use crate::verify::Report;
use crate::{AppendError, Ledger, RawEntries, ReadError, Reader, canonical, tree};

/// What of the log was removed.
pub(crate) const PRUNED: &str = "pruned";
/// Zstandard's level: about what the best would give, at a tenth of its time.
const LEVEL: i32 = 9;
/// So many files are removed between two syncs of their folders.
const REMOVED_AT_ONCE: usize = 1_024;

/// Why entries were not archived or pruned.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is nothing to archive.
    #[error(
        "there is nothing to archive: no whole bundle of {TILE_WIDTH} entries lies before entry {to}; the log begins at \
        {from}, and {sealed} entries are signed"
    )]
    Nothing {
        /// The first entry that is there.
        from: u64,
        /// Up to here, as it was asked for.
        to: u64,
        /// So many entries are signed.
        sealed: u64,
    },
    /// A file of the archive cannot be read or written.
    #[error("`{path}`: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The archive is not what it says.
    #[error("the archive does not hold: {0}")]
    Unsound(String),
    /// The archive is not of this log, or does not begin where this log does.
    #[error("the archive is not of the oldest entries of this log: {0}")]
    Other(String),
    /// A call is still being carried out.
    #[error("intent {0} is older than that, and has no outcome yet")]
    Open(u64),
    /// The log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The storage failed.
    #[error("ledger storage: {0}")]
    Io(#[from] io::Error),
}

impl From<NoteError> for ArchiveError {
    fn from(error: NoteError) -> Self {
        Self::Unsound(error.to_string())
    }
}

impl From<HandoverError> for ArchiveError {
    fn from(error: HandoverError) -> Self {
        Self::Unsound(error.to_string())
    }
}

impl From<ProofError> for ArchiveError {
    fn from(error: ProofError) -> Self {
        Self::Unsound(error.to_string())
    }
}

/// A file beside the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name, relative to the statement's folder.
    pub file: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
}

/// What an archive says of itself: enough to prove, with nothing but the log's key, that its entries were in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The version of the format: 1.
    pub v: u32,
    /// The log's name.
    pub origin: String,
    /// The first entry.
    pub from: u64,
    /// The entry behind the last.
    pub to: u64,
    /// The right edge of the tree of the first `from` entries: for each level of tiles the hashes of its last tile, in
    /// hex, none if that is full.
    pub edge: Vec<Vec<String>>,
    /// The root of the tree of the first `to` entries, in hex.
    pub root: String,
    /// From that tree to the checkpoint's, in hex.
    pub consistency: Vec<String>,
    /// A signed checkpoint of the log.
    pub checkpoint: String,
    /// How the log came to the checkpoint's key.
    pub handovers: Vec<String>,
    /// The entries, each after its length as 16 bits big-endian, compressed with Zstandard.
    pub entries: Part,
    /// Packs of payloads that only these entries use, still encrypted under the subjects' keys.
    pub payloads: Vec<Part>,
}

/// What the log says of what it no longer has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// The entry that says so.
    pub entry: u64,
    /// The first entry that is there.
    pub to: u64,
    /// The root of the tree of those that are not, in hex.
    pub root: String,
    /// SHA-256 of the statement of the archive that ends there, in hex.
    pub archive: String,
}

/// What was pruned, as the file says; `verify` compares that with the log.
pub(crate) fn pruned(storage: &dyn Storage) -> io::Result<Option<Pruned>> {
    let Some(bytes) = storage.read(PRUNED)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other)
}

/// The first entry that is there.
pub(crate) fn start(storage: &dyn Storage) -> io::Result<u64> {
    Ok(pruned(storage)?.map_or(0, |pruned| pruned.to))
}

/// The right edge of the tree of the first `size` entries, in a log sealed to `sealed`.
fn edge_at(storage: &dyn Storage, size: u64, sealed: u64) -> Result<Edge, ReadError> {
    let mut levels = Vec::new();
    for level in 0..level_count(size) as u8 {
        let width = partial_width(size, level);
        let index = level_size(size, level) / TILE_WIDTH;
        let hashes = if width == 0 { Vec::new() } else { row(storage, (level, index), width, sealed)? };
        levels.push(hashes);
    }
    Edge::from_levels(size, levels).ok_or_else(|| ReadError::Damaged("tile".to_owned()))
}

/// The first hashes of a tile.
fn row(storage: &dyn Storage, (level, index): (u8, u64), width: u64, sealed: u64) -> Result<Vec<Hash>, ReadError> {
    let there = TILE_WIDTH.min(level_size(sealed, level) - index * TILE_WIDTH);
    let path = tile::hash_tile(level, index, there);
    let bytes = match storage.read(&path)? {
        Some(bytes) => Some(bytes),
        None => storage.read(&tile::hash_tile(level, index, TILE_WIDTH))?,
    };
    let hashes = bytes.as_deref().and_then(tile::split_hashes);
    hashes.and_then(|hashes| Some(hashes.get(..width as usize)?.to_vec())).ok_or(ReadError::Damaged(path))
}

fn hexed(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(hex::encode).collect()
}

fn unhexed(hashes: &[String]) -> Result<Vec<Hash>, ArchiveError> {
    let one = |text: &String| {
        let mut hash = Hash::default();
        hex::decode_to_slice(text, &mut hash).map(|()| hash)
    };
    hashes.iter().map(one).collect::<Result<_, _>>().map_err(|_| ArchiveError::Unsound("a hash is none".to_owned()))
}

fn digest(path: &Path) -> io::Result<String> {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(context.finish()));
        }
        context.update(buffer.get(..read).unwrap_or_default());
    }
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, ArchiveError> {
    result.map_err(|error| ArchiveError::File { path: path.to_owned(), error })
}

/// The first pack that stays when the entries before these go.
fn first_kept(storage: &dyn Storage, rest: RawEntries<'_>) -> Result<u64, ReadError> {
    #[derive(Deserialize)]
    struct Refers {
        payload: Option<Payload>,
    }
    // Without any reference the newest packs may still get one.
    let mut kept = numbers(storage, PAYLOADS)?.last().copied().unwrap_or(0);
    for raw in rest {
        if let Ok(Refers { payload: Some(payload) }) = serde_json::from_slice(&raw?.1) {
            kept = kept.min(payload.segment);
        }
    }
    Ok(kept)
}

/// A new file; what lies there already is somebody's archive.
fn create(path: &Path) -> Result<File, ArchiveError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    at(path, fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path))
}

impl Reader {
    /// The first entry that is there; those before were pruned.
    pub fn start(&self) -> io::Result<u64> {
        start(self.storage.as_ref())
    }

    /// Copies the oldest entries, up to one of them, into a folder; answers the statement's path. Nothing is removed.
    pub fn archive(&self, to: u64, folder: &Path) -> Result<(PathBuf, Statement), ArchiveError> {
        // What is pruned is nowhere else than in its archive, so that only what is sound goes there.
        let sound = self.sound()?.ok_or(ArchiveError::Nothing { from: 0, to, sealed: 0 })?;
        let checkpoint = sound.checkpoint();
        let sealed = checkpoint.checkpoint.size;
        let from = self.start()?;
        let asked = to;
        let to = asked.min(sealed) / TILE_WIDTH * TILE_WIDTH;
        if to <= from {
            return Err(ArchiveError::Nothing { from, to: asked, sealed });
        }
        (from / TILE_WIDTH..to / TILE_WIDTH)
            .try_for_each(|index| sound.file(&tile::bundle(index, TILE_WIDTH)).map(drop))?;
        at(folder, fs::create_dir_all(folder))?;
        let name = format!("{from:012}-{to:012}");
        let entries = self.write_entries(from..to, (folder, &format!("{name}.entries.zst")))?;
        let payloads = self.write_payloads(to, &sound, (folder, &name))?;
        let storage = self.storage.as_ref();
        let node = &mut |at| read::node(storage, at, sealed);
        let statement = Statement {
            v: 1,
            origin: checkpoint.checkpoint.origin.clone(),
            from,
            to,
            edge: edge_at(storage, from, sealed)?.levels().iter().map(|level| hexed(level)).collect(),
            root: hex::encode(edge_at(storage, to, sealed)?.root()),
            consistency: hexed(&tree::consistency_proof(to, sealed, node)?),
            checkpoint: checkpoint.to_string(),
            handovers: self.handovers()?.into_iter().map(|(_, text)| text).collect(),
            entries,
            payloads,
        };
        let path = folder.join(format!("{name}.json"));
        let mut file = create(&path)?;
        at(&path, file.write_all(&canonical::to_vec(&statement).map_err(io::Error::from)?))?;
        at(&path, file.sync_all())?;
        at(folder, File::open(folder).and_then(|folder| folder.sync_all()))?;
        Ok((path, statement))
    }

    fn write_entries(&self, range: std::ops::Range<u64>, (folder, name): (&Path, &str)) -> Result<Part, ArchiveError> {
        let path = folder.join(name);
        let mut encoder = at(&path, zstd::Encoder::new(create(&path)?, LEVEL))?;
        let mut bundle = Vec::new();
        for raw in self.raw(range) {
            bundle.clear();
            tile::push_entry(&mut bundle, &raw?.1);
            at(&path, encoder.write_all(&bundle))?;
        }
        let file = at(&path, encoder.finish())?;
        at(&path, file.sync_all())?;
        Ok(Part { file: name.to_owned(), sha256: at(&path, digest(&path))? })
    }

    /// Copies the packs that no entry from `to` on refers to.
    fn write_payloads(
        &self,
        to: u64,
        sound: &Sound<'_>,
        (folder, name): (&Path, &str),
    ) -> Result<Vec<Part>, ArchiveError> {
        let kept = first_kept(self.storage.as_ref(), self.raw(to..u64::MAX))?;
        let mut parts = Vec::new();
        for number in numbers(self.storage.as_ref(), PAYLOADS)?.into_iter().filter(|number| *number < kept) {
            let file = format!("{name}.payloads-{number:08}");
            let path = folder.join(&file);
            let bytes = sound.file(&numbered(PAYLOADS, number))?;
            let mut copy = create(&path)?;
            at(&path, copy.write_all(&bytes).and_then(|()| copy.sync_all()))?;
            parts.push(Part { file, sha256: hex::encode(tree::sha256(&bytes)) });
        }
        Ok(parts)
    }
}

/// An archive that was read and holds.
#[derive(Clone, Debug)]
pub struct Archive {
    /// What it says.
    pub statement: Statement,
    /// SHA-256 of the statement's file, in hex.
    pub digest: String,
    /// The root of the first `to` entries.
    root: Hash,
}

impl Archive {
    /// Reads an archive whole, and checks that its entries were in the log that this key began.
    pub fn verify(statement: &Path, key: &VerifyingKey) -> Result<Self, ArchiveError> {
        let archive = Self::read(statement)?;
        let said = &archive.statement;
        let mut keys = Chain::new(key.clone());
        for handover in &said.handovers {
            keys.follow(&handover.parse::<Proof>()?)?;
        }
        let signed = SignedCheckpoint::parse(said.checkpoint.as_bytes())?;
        keys.verify(&signed)?;
        let checkpoint = &signed.checkpoint;
        let (old, new) = ((said.to, &archive.root), (checkpoint.size, &checkpoint.root));
        if said.origin != checkpoint.origin || !verify_consistency(old, new, &unhexed(&said.consistency)?) {
            return Err(ArchiveError::Unsound("its entries are not the first of the log that signed".to_owned()));
        }
        Ok(archive)
    }

    /// Reads an archive whole: its files are those that it names, and its entries have the root that it says.
    fn read(path: &Path) -> Result<Self, ArchiveError> {
        let unsound = |text: String| ArchiveError::Unsound(text);
        let bytes = at(path, fs::read(path))?;
        let json = |error: serde_json::Error| unsound(error.to_string());
        let said: Statement = serde_json::from_slice(&bytes).map_err(json)?;
        if said.v != 1 {
            return Err(unsound(format!("its statement is of version {}, which this program does not know", said.v)));
        }
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(json)?;
        // What it says has one digest, which the log names.
        if canonical::to_vec(&value).map_err(json)? != bytes {
            return Err(unsound("its statement is not in canonical form".to_owned()));
        }
        let is_whole = |entry: u64| entry.is_multiple_of(TILE_WIDTH);
        if said.from >= said.to || !is_whole(said.from) || !is_whole(said.to) {
            return Err(unsound(format!("entries {} to {} are no whole bundles", said.from, said.to)));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        for part in said.payloads.iter().chain([&said.entries]) {
            let plain = Path::new(&part.file).file_name().is_some_and(|name| name == part.file.as_str());
            let file = folder.join(&part.file);
            if !plain || at(&file, digest(&file))? != part.sha256 {
                return Err(unsound(format!("`{}` is not the file that it names", part.file)));
            }
        }
        let levels = said.edge.iter().map(|level| unhexed(level)).collect::<Result<_, _>>()?;
        let edge = Edge::from_levels(said.from, levels);
        let mut edge = edge.ok_or_else(|| unsound("its edge is none".to_owned()))?;
        let file = folder.join(&said.entries.file);
        let mut entries = BufReader::new(at(&file, File::open(&file).and_then(zstd::Decoder::new))?);
        let (mut length, mut entry, mut full) = ([0; 2], Vec::new(), Vec::new());
        while edge.size() < said.to {
            at(&file, entries.read_exact(&mut length))?;
            entry.resize(usize::from(u16::from_be_bytes(length)), 0);
            at(&file, entries.read_exact(&mut entry))?;
            edge.push(leaf_hash(&entry), &mut full);
            full.clear();
        }
        if at(&file, entries.read(&mut length))? > 0 {
            return Err(unsound("it has more entries than it says".to_owned()));
        }
        let root = edge.root();
        if hex::encode(root) != said.root {
            return Err(unsound("its entries do not have the root that it says".to_owned()));
        }
        Ok(Self { statement: said, digest: hex::encode(tree::sha256(&bytes)), root })
    }
}

impl Ledger {
    /// Removes the entries that an archive has from this log, once the log says so. The archive is read again first.
    /// Answers what the log says of it.
    pub fn prune(&self, statement: &Path, now: jiff::Timestamp) -> Result<Pruned, ArchiveError> {
        let archive = Archive::read(statement)?;
        let _turn = self.rotating();
        let (storage, said) = (self.storage(), &archive.statement);
        let before = pruned(storage)?;
        let same = before.as_ref().filter(|before| before.archive == archive.digest).cloned();
        let pruned = match same {
            Some(before) => before,
            None => {
                self.check_archive(&archive, before.map_or(0, |before| before.to))?;
                let entry = self.append(announcement(&archive), now)?.wait()?.index();
                self.seal()?;
                let (to, root) = (said.to, said.root.clone());
                let pruned = Pruned { entry, to, root, archive: archive.digest.clone() };
                storage.replace(PRUNED, &canonical::to_vec(&pruned).map_err(io::Error::from)?)?;
                pruned
            }
        };
        let bundles = (said.from / TILE_WIDTH..said.to / TILE_WIDTH).map(|index| tile::bundle(index, TILE_WIDTH));
        let packs = said.payloads.iter().filter_map(|part| part.file.rsplit_once('-')?.1.parse().ok());
        let paths: Vec<String> = bundles.chain(packs.map(|number| numbered(PAYLOADS, number))).collect();
        paths.chunks(REMOVED_AT_ONCE).try_for_each(|paths| storage.remove(paths))?;
        Ok(pruned)
    }

    /// Whether an archive has the oldest entries of this log, of which none is still being carried out.
    fn check_archive(&self, archive: &Archive, start: u64) -> Result<(), ArchiveError> {
        let said = &archive.statement;
        let sealed = self.checkpoint().map_or(0, |signed| signed.checkpoint.size);
        if said.from != start || said.to > sealed || !said.to.is_multiple_of(TILE_WIDTH) {
            return Err(ArchiveError::Other(format!("{} to {}, this one has {start} to {sealed}", said.from, said.to)));
        }
        if edge_at(self.storage(), said.to, sealed)?.root() != archive.root {
            return Err(ArchiveError::Other("its entries have another root".to_owned()));
        }
        // Nobody signed which packs an archive says that it took.
        let kept = first_kept(self.storage(), self.raw(said.to..self.len()))?;
        for part in &said.payloads {
            let number = part.file.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(u64::MAX);
            let here = self.storage().read(&numbered(PAYLOADS, number))?.unwrap_or_default();
            if hex::encode(tree::sha256(&here)) != part.sha256 {
                return Err(ArchiveError::Other(format!("`{}` is no pack of it", part.file)));
            }
            if number >= kept {
                let text = format!("`{}` is a pack that entries from {} on refer to, or may", part.file, said.to);
                return Err(ArchiveError::Other(text));
            }
        }
        match self.open_intents().first() {
            Some(open) if *open < said.to => Err(ArchiveError::Open(*open)),
            _ => Ok(()),
        }
    }
}

fn announcement(archive: &Archive) -> Record {
    let said = &archive.statement;
    let mut details = serde_json::Map::new();
    details.insert("to".to_owned(), said.to.into());
    details.insert("root".to_owned(), said.root.clone().into());
    details.insert("archive".to_owned(), archive.digest.clone().into());
    Record::Log { event: PRUNED.to_owned(), details }
}

/// What the file says was pruned against the entry that it names, whose bytes the tree covers.
pub(crate) fn check(storage: &dyn Storage, sealed: u64, report: &mut Report) -> Result<(), ReadError> {
    let Some(pruned) = report.pruned.clone() else { return Ok(()) };
    let mut fault = |text: &str| report.fault(PRUNED, text).entry = Some(pruned.entry);
    if pruned.entry < pruned.to || pruned.entry >= sealed || !pruned.to.is_multiple_of(TILE_WIDTH) {
        fault("no signed entry can say so");
        return Ok(());
    }
    let said = read::sealed_chunk(storage, pruned.entry, sealed).ok().and_then(|chunk| chunk.into_iter().next());
    let said = said.and_then(|said| Stored::parse(pruned.entry, &said).ok()).map(|stored| stored.entry.record);
    let text = |name: &str| match &said {
        Some(Record::Log { event, details }) if event == PRUNED => details.get(name).cloned().unwrap_or_default(),
        _ => serde_json::Value::Null,
    };
    if text("to") != pruned.to || text("root") != pruned.root.as_str() || text("archive") != pruned.archive.as_str() {
        fault("the entry that it names says something else");
    }
    if hex::encode(edge_at(storage, pruned.to, sealed)?.root()) != pruned.root {
        fault("the hashes of what was pruned do not have the root that the log says");
    }
    Ok(())
}

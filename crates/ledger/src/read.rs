//! Reading: entries from bundles or the journal, payloads, objects. [`Reader`] takes no lock, so that a
//! log can be shown and verified while another process writes it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::archive;
use crate::brief::Brief;
use crate::journal::{self, Kind};
use crate::note::{NoteError, SignedCheckpoint};
use crate::payload::{Keys, PayloadError, Sealed};
use crate::proof::{Proof, ProofError};
use crate::record::{Entry, Mac, Payload, Record};
use crate::seal::CHECKPOINT;
use crate::storage::{Disk, Storage};
use crate::tile;
use crate::tree::{self, Hash, Node, TILE_HEIGHT, TILE_WIDTH, level_size, root_of, sha256};

/// An entry and its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its index, which is its id.
    pub index: u64,
    /// What it says.
    pub entry: Entry,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log is shorter.
    #[error("there is no entry {index}: the log has {len} entries, numbered from 0")]
    Absent {
        /// The entry asked for.
        index: u64,
        /// The log's length.
        len: u64,
    },
    /// No checkpoint covers the entry.
    #[error("entry {index} is in no checkpoint yet: the log has {len} entries; try again in a second")]
    Unsealed {
        /// The entry asked for.
        index: u64,
        /// The log's length.
        len: u64,
    },
    /// It was archived and removed.
    #[error(
        "entry {index} was pruned: the log has entries from {start} on, and of those before it their hashes; `ledger verify` says which archive has them"
    )]
    Pruned {
        /// The entry asked for.
        index: u64,
        /// The first entry that is there.
        start: u64,
    },
    /// A file is missing or malformed.
    #[error("`{0}` is missing or damaged")]
    Damaged(String),
    /// The bytes are there, but this version cannot read them as an entry.
    #[error("entry {index} cannot be read: {error}")]
    Entry {
        /// The entry.
        index: u64,
        /// Why.
        error: serde_json::Error,
    },
    /// It is of a kind that this version does not know.
    #[error("entry {index} is of the kind `{kind}`, which this version does not know")]
    Kind {
        /// The entry.
        index: u64,
        /// Its kind.
        kind: String,
    },
    /// The checkpoint is malformed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// An entry, or what stands between it and the checkpoint, was changed.
    #[error("it does not verify: {0}")]
    Proof(#[from] ProofError),
    /// An object's bytes do not have its name's digest, or its name is none.
    #[error("`{0}` is not the id of an object here, or the object is damaged")]
    Object(String),
    /// The storage failed.
    #[error("ledger storage: {0}")]
    Io(#[from] io::Error),
}

/// The folder of journal segments.
pub(crate) const JOURNAL: &str = "journal";
/// The folder of payloads whose journal segment is gone.
pub(crate) const PAYLOADS: &str = "payloads";
/// The folder of objects.
pub(crate) const OBJECTS: &str = "objects";

/// The name of a numbered segment or pack.
pub(crate) fn numbered(folder: &str, number: u64) -> String {
    format!("{folder}/{number:08}")
}

/// The numbered files of a folder, in order.
pub(crate) fn numbers(storage: &dyn Storage, folder: &str) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = storage.list(folder)?.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

impl Stored {
    /// Parses an entry's bytes.
    pub fn parse(index: u64, bytes: &[u8]) -> Result<Self, ReadError> {
        let entry = serde_json::from_slice(bytes).map_err(|error| match Brief::read(bytes) {
            Ok(brief) if Record::fields(&brief.kind).is_empty() => {
                ReadError::Kind { index, kind: brief.kind.into_owned() }
            }
            _ => ReadError::Entry { index, error },
        })?;
        Ok(Self { index, entry })
    }
}

/// Sealed entries from `index` to the end of its bundle, in a log sealed to `size`.
pub(crate) fn sealed_chunk(storage: &dyn Storage, index: u64, size: u64) -> Result<Vec<Vec<u8>>, ReadError> {
    let number = index / TILE_WIDTH;
    let width = TILE_WIDTH.min(size - number * TILE_WIDTH);
    let path = tile::bundle(number, width);
    // A bundle that was partial at `size` may have been completed since by another process.
    let found = match storage.read(&path)? {
        Some(bytes) => Some(bytes),
        None => storage.read(&tile::bundle(number, TILE_WIDTH))?,
    };
    let bytes = found.ok_or_else(|| ReadError::Damaged(path.clone()))?;
    let entries = tile::entries(&bytes).take(width as usize).map(|entry| entry.map(<[u8]>::to_vec));
    let entries = entries.collect::<Option<Vec<_>>>().filter(|entries| entries.len() as u64 == width);
    let mut entries = entries.ok_or(ReadError::Damaged(path))?;
    Ok(entries.split_off((index % TILE_WIDTH) as usize))
}

/// Says of an entry that cannot be read that it was pruned, if that is why.
pub(crate) fn or_pruned(storage: &dyn Storage, index: u64, error: ReadError) -> ReadError {
    match archive::start(storage) {
        Ok(start) if index < start => ReadError::Pruned { index, start },
        _ => error,
    }
}

/// A node of the tree, from the tiles of a log sealed to `size`.
pub(crate) fn node(storage: &dyn Storage, node: Node, size: u64) -> Result<Hash, ReadError> {
    let level = (node.level / TILE_HEIGHT) as u8;
    let inner = node.level % TILE_HEIGHT;
    let first = node.index << inner;
    let index = first / TILE_WIDTH;
    let width = TILE_WIDTH.min(level_size(size, level) - index * TILE_WIDTH);
    let path = tile::hash_tile(level, index, width);
    let found = match storage.read(&path)? {
        Some(bytes) => Some(bytes),
        None => storage.read(&tile::hash_tile(level, index, TILE_WIDTH))?,
    };
    let hashes = found.as_deref().and_then(tile::split_hashes);
    let start = (first % TILE_WIDTH) as usize;
    let row = hashes.as_deref().and_then(|hashes| hashes.get(start..start + (1 << inner)));
    row.map(root_of).ok_or(ReadError::Damaged(path))
}

/// The sealed payload with this digest in the bytes of a segment or pack.
pub(crate) fn find_payload(segment: &[u8], digest: &str) -> Option<Vec<u8>> {
    journal::scan(segment).frames.iter().filter(|found| found.head.kind == Kind::Payload).find_map(|found| {
        let body = found.body(segment);
        (hex::encode(Sealed::parse(body)?.digest) == digest).then(|| body.to_vec())
    })
}

/// The digests of all payloads that are sealed with a key.
pub(crate) fn sealed_with(storage: &dyn Storage, key_id: &[u8; 16]) -> io::Result<HashSet<String>> {
    let mut digests = HashSet::new();
    // Packs last: a segment becomes a pack before it goes.
    for folder in [JOURNAL, PAYLOADS] {
        for number in numbers(storage, folder)? {
            let segment = storage.read(&numbered(folder, number))?.unwrap_or_default();
            for found in journal::scan(&segment).frames.iter().filter(|found| found.head.kind == Kind::Payload) {
                let sealed = Sealed::parse(found.body(&segment)).filter(|sealed| sealed.key_id == key_id);
                digests.extend(sealed.map(|sealed| hex::encode(sealed.digest)));
            }
        }
    }
    Ok(digests)
}

/// A payload from wherever its segment lies by now; `None` if it was erased.
pub(crate) fn payload(storage: &dyn Storage, keys: &Keys, payload: &Payload) -> Result<Option<Vec<u8>>, PayloadError> {
    // Packs last: a segment becomes a pack before it goes.
    for folder in [JOURNAL, PAYLOADS] {
        let segment = storage.read(&numbered(folder, payload.segment))?;
        if let Some(body) = segment.and_then(|segment| find_payload(&segment, &payload.digest)) {
            return keys.open(payload, &body);
        }
    }
    Err(PayloadError::Missing(payload.digest.clone()))
}

/// Where an object lies. `None` if the id is none.
pub(crate) fn object_path(id: &str) -> Option<String> {
    let hex = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex.then(|| format!("{OBJECTS}/{}/{id}", id.get(..2).unwrap_or_default()))
}

/// An object's bytes, checked against its id.
pub(crate) fn object(storage: &dyn Storage, id: &str) -> Result<Vec<u8>, ReadError> {
    let missing = || ReadError::Object(id.to_owned());
    let bytes = storage.read(&object_path(id).ok_or_else(missing)?)?.ok_or_else(missing)?;
    (hex::encode(sha256(&bytes)) == id).then_some(bytes).ok_or_else(missing)
}

/// Entries from an index on, as their bytes: at least one, at most a bundle.
type Chunks<'a> = Box<dyn Fn(u64) -> Result<Vec<Vec<u8>>, ReadError> + Send + 'a>;

/// Iterates over the bytes of entries, a bundle at a time.
pub struct RawEntries<'a> {
    next: u64,
    end: u64,
    chunk: std::vec::IntoIter<Vec<u8>>,
    load: Chunks<'a>,
}

impl<'a> RawEntries<'a> {
    pub(crate) fn new(range: Range<u64>, load: Chunks<'a>) -> Self {
        Self { next: range.start, end: range.end, chunk: Vec::new().into_iter(), load }
    }

    /// The entries themselves.
    pub fn parsed(self) -> impl Iterator<Item = Result<Stored, ReadError>> + use<'a> {
        self.map(|item| item.and_then(|(index, bytes)| Stored::parse(index, &bytes)))
    }
}

impl Iterator for RawEntries<'_> {
    type Item = Result<(u64, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        if self.chunk.len() == 0 {
            match (self.load)(self.next) {
                Ok(chunk) => self.chunk = chunk.into_iter(),
                Err(error) => {
                    self.end = 0;
                    return Some(Err(error));
                }
            }
        }
        let bytes = self.chunk.next()?;
        self.next += 1;
        Some(Ok((self.next - 1, bytes)))
    }
}

/// What a [`Reader`] last saw.
#[derive(Debug, Default)]
struct View {
    checkpoint: Option<Arc<SignedCheckpoint>>,
    /// Entries behind the checkpoint, from the journal.
    tail: Vec<Vec<u8>>,
}

impl View {
    fn sealed(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |signed| signed.checkpoint.size)
    }

    fn len(&self) -> u64 {
        self.sealed() + self.tail.len() as u64
    }
}

/// Reads a log that somebody else may be writing. What it shows may not be durable for a moment yet.
#[derive(Debug)]
pub struct Reader {
    pub(crate) storage: Arc<dyn Storage>,
    keys: Keys,
    view: Mutex<View>,
    packs: Mutex<Packs>,
}

/// Packs that were read last, so that reading the payloads of many entries in order reads each pack once.
#[derive(Debug, Default)]
struct Packs(VecDeque<Pack>);

/// How many packs stay in memory, of a segment's size each.
const PACKS_MAX: usize = 4;

#[derive(Debug)]
struct Pack {
    number: u64,
    bytes: Vec<u8>,
    /// Where the body of each payload lies, by its digest.
    bodies: HashMap<Hash, Range<usize>>,
}

impl Pack {
    fn new(number: u64, bytes: Vec<u8>) -> Self {
        let mut bodies = HashMap::new();
        for found in journal::scan(&bytes).frames.iter().filter(|found| found.head.kind == Kind::Payload) {
            if let Some(sealed) = Sealed::parse(found.body(&bytes)) {
                bodies.insert(*sealed.digest, found.range());
            }
        }
        Self { number, bytes, bodies }
    }
}

impl Packs {
    /// A payload's sealed body, from its segment, or from its pack once the segment is gone.
    fn body(&mut self, storage: &dyn Storage, payload: &Payload) -> io::Result<Option<Vec<u8>>> {
        let mut digest = Hash::default();
        if hex::decode_to_slice(&payload.digest, &mut digest).is_err() {
            return Ok(None);
        }
        if let Some(body) = self.known(payload.segment, &digest) {
            return Ok(Some(body));
        }
        // Not read yet, or read when the segment was shorter. Packs last: a segment becomes a pack before it goes.
        self.0.retain(|pack| pack.number != payload.segment);
        for folder in [JOURNAL, PAYLOADS] {
            if let Some(bytes) = storage.read(&numbered(folder, payload.segment))? {
                self.0.truncate(PACKS_MAX - 1);
                self.0.push_front(Pack::new(payload.segment, bytes));
                break;
            }
        }
        Ok(self.known(payload.segment, &digest))
    }

    fn known(&self, number: u64, digest: &Hash) -> Option<Vec<u8>> {
        let pack = self.0.iter().find(|pack| pack.number == number)?;
        Some(pack.bytes.get(pack.bodies.get(digest)?.clone())?.to_vec())
    }
}

impl Reader {
    /// Opens a ledger's directory. No signature is checked: that is what `verify` does.
    pub fn open(dir: &Path) -> Result<Self, ReadError> {
        if !dir.is_dir() {
            return Err(ReadError::Damaged(dir.display().to_string()));
        }
        Self::with_storage(Arc::new(Disk::new(dir)))
    }

    pub(crate) fn with_storage(storage: Arc<dyn Storage>) -> Result<Self, ReadError> {
        let reader =
            Self { keys: Keys::new(Arc::clone(&storage)), storage, view: Mutex::default(), packs: Mutex::default() };
        reader.refresh()?;
        Ok(reader)
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks again at what is there; says how long the log is now.
    pub fn refresh(&self) -> Result<u64, ReadError> {
        let mut view = View::default();
        // A writer may seal and remove segments between our two looks. Then the checkpoint has moved, too.
        for _attempt in 0..16 {
            view = self.look()?;
            let now = self.storage.read(CHECKPOINT)?.map(|note| SignedCheckpoint::parse(&note)).transpose()?;
            if now.as_ref() == view.checkpoint.as_deref() {
                break;
            }
        }
        let len = view.len();
        *self.view() = view;
        Ok(len)
    }

    fn look(&self) -> Result<View, ReadError> {
        let note = self.storage.read(CHECKPOINT)?;
        let checkpoint = note.map(|note| SignedCheckpoint::parse(&note)).transpose()?.map(Arc::new);
        let mut view = View { checkpoint, tail: Vec::new() };
        for number in numbers(self.storage.as_ref(), JOURNAL)? {
            let segment = self.storage.read(&numbered(JOURNAL, number))?.unwrap_or_default();
            for found in journal::scan(&segment).frames {
                if found.head.kind == Kind::Entry && found.head.index == view.len() {
                    view.tail.push(found.body(&segment).to_vec());
                }
            }
        }
        Ok(view)
    }

    /// How many entries were there at the last look.
    pub fn len(&self) -> u64 {
        self.view().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The checkpoint at the last look; `None` if the log has none yet.
    pub fn checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.view().checkpoint.clone()
    }

    fn chunk(&self, index: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        let view = self.view();
        let (sealed, len) = (view.sealed(), view.len());
        if index < sealed {
            drop(view);
            let chunk = sealed_chunk(self.storage.as_ref(), index, sealed);
            // A partial bundle goes when a larger one is sealed.
            return match chunk {
                Err(ReadError::Damaged(_)) if self.moved_on(sealed)? => self.chunk(index),
                Err(error) => Err(or_pruned(self.storage.as_ref(), index, error)),
                chunk => chunk,
            };
        }
        let from = view.tail.get((index - sealed) as usize..).unwrap_or_default();
        let chunk = from.iter().take(TILE_WIDTH as usize).cloned().collect::<Vec<_>>();
        if chunk.is_empty() { Err(ReadError::Absent { index, len }) } else { Ok(chunk) }
    }

    /// Looks again; whether there is another checkpoint than that of this size.
    pub(crate) fn moved_on(&self, sealed: u64) -> Result<bool, ReadError> {
        self.refresh()?;
        Ok(self.view().sealed() != sealed)
    }

    /// An entry's bytes.
    pub fn bytes(&self, index: u64) -> Result<Vec<u8>, ReadError> {
        self.chunk(index)?.into_iter().next().ok_or(ReadError::Absent { index, len: self.len() })
    }

    /// An entry.
    pub fn read(&self, index: u64) -> Result<Stored, ReadError> {
        Stored::parse(index, &self.bytes(index)?)
    }

    /// The bytes of some entries, in order; of those that were not pruned.
    pub fn raw(&self, range: Range<u64>) -> RawEntries<'_> {
        // A file that cannot be read prunes nothing: what is missing then is damage.
        let start = archive::start(self.storage.as_ref()).unwrap_or(0);
        RawEntries::new(range.start.max(start)..range.end.min(self.len()), Box::new(|index| self.chunk(index)))
    }

    /// Some entries, in order.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = Result<Stored, ReadError>> + '_ {
        self.raw(range).parsed()
    }

    /// The same but for entries of kinds that this version does not know, which is for `verify` to say.
    pub fn known(&self, range: Range<u64>) -> impl Iterator<Item = Result<Stored, ReadError>> + '_ {
        self.range(range).filter(|stored| !matches!(stored, Err(ReadError::Kind { .. })))
    }

    /// A payload's bytes; `None` if it was erased.
    pub fn payload(&self, payload: &Payload) -> Result<Option<Vec<u8>>, PayloadError> {
        let packed = self.packs.lock().unwrap_or_else(PoisonError::into_inner).body(self.storage.as_ref(), payload)?;
        match packed {
            Some(body) => self.keys.open(payload, &body),
            None => Err(PayloadError::Missing(payload.digest.clone())),
        }
    }

    /// Whether a mac stands for these bytes; `None` if its subject was erased.
    pub fn matches(&self, mac: &Mac, bytes: &[u8]) -> Result<Option<bool>, PayloadError> {
        self.keys.matches(mac, bytes)
    }

    /// An object's bytes.
    pub fn object(&self, id: &str) -> Result<Vec<u8>, ReadError> {
        object(self.storage.as_ref(), id)
    }

    /// Proves that an entry is in the log: to the checkpoint that most witnesses cosigned, of those that cover it.
    /// Entries behind the last checkpoint cannot be proved yet, and those that were changed never. The checkpoint's signature
    /// is for whoever has the key.
    pub fn prove(&self, index: u64) -> Result<Proof, ReadError> {
        let len = self.len();
        let last = self.checkpoint().filter(|signed| index < signed.checkpoint.size);
        let last = last.ok_or(ReadError::Unsealed { index, len })?.as_ref().clone();
        let sealed = last.checkpoint.size;
        let covers = |signed: &SignedCheckpoint| index < signed.checkpoint.size && signed.checkpoint.size <= sealed;
        let cosigned = self.cosigned()?.into_iter().filter(covers);
        let checkpoint = cosigned.max_by_key(|signed| signed.signatures.len()).unwrap_or(last);
        let size = checkpoint.checkpoint.size;
        let hashes = match tree::inclusion_proof(index, size, &mut |at| node(self.storage.as_ref(), at, sealed)) {
            Err(ReadError::Damaged(_)) if self.moved_on(sealed)? => return self.prove(index),
            hashes => hashes?,
        };
        let proof = Proof { index, entry: self.bytes(index)?, hashes, checkpoint };
        proof.included()?;
        Ok(proof)
    }

    /// Proves that the log of size `old` is a prefix of the log at the last checkpoint.
    pub fn prove_consistency(&self, old: u64) -> Result<Vec<Hash>, ReadError> {
        let size = self.view().sealed();
        tree::consistency_proof(old, size, &mut |at| node(self.storage.as_ref(), at, size))
    }
}

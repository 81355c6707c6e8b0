//! From durable entries to tiles and a signed checkpoint: the one way, in normal work and in recovery.
//!
//! Order of writes, and why:
//! 1. The entries are durable in the journal. Nothing else may claim them before.
//! 2. Bundles and tiles, in place. They are new files, or replace what a crashed try left; nobody reads
//!    them before a checkpoint covers them. A partial tile that the last checkpoint covers, such as that of
//!    an upper level that did not grow, is never written again: a reader would find it empty, and a crash
//!    would tear it.
//! 3. The open intents as of the new size, so that opening need not read the whole log. Written before the
//!    checkpoint: its entries are durable already, so it is never ahead of the log.
//! 4. The checkpoint, replaced atomically. From here on the new tiles count.
//! 5. By the caller: readers in this process are told of the checkpoint, then the partial tiles that it no
//!    longer needs are removed ([`Sealer::tidy`]), then journal segments whose entries are all sealed.
//!    Whoever misses a partial tile therefore finds a newer checkpoint.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::end::{Place, read_frames};
use crate::handover::HANDOVER;
use crate::journal::HEAD;
use crate::note::{Checkpoint, SignedCheckpoint, SigningKey};
use crate::proof::Proof;
use crate::read::{self, numbered};
use crate::storage::Storage;
use crate::tile;
use crate::tree::{self, Edge, Hash, TILE_WIDTH, leaf_hash, level_count, partial_width, sha256};
use crate::{OpenError, canonical};

/// The signed checkpoint's file.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The file of open intents.
pub(crate) const OPEN: &str = "open";
/// Tiles are written to storage when so many bytes wait.
const BATCH_BYTES: usize = 32 << 20;

/// Writes tiles and checkpoints. Knows the right edge of the tree, so that sealing costs the same in a log
/// of ten entries and of ten million.
#[derive(Debug)]
pub(crate) struct Sealer {
    storage: Arc<dyn Storage>,
    key: SigningKey,
    edge: Edge,
    /// The entries of the bundle that is not full yet.
    bundle: Vec<u8>,
    /// The partial files of the last checkpoint.
    partials: Vec<String>,
    /// Partial files that only earlier checkpoints cover, to be removed.
    superseded: Vec<String>,
    /// The last checkpoint; `None` before the first.
    pub(crate) checkpoint: Option<Arc<SignedCheckpoint>>,
}

/// Content of the file of open intents.
#[derive(Serialize, Deserialize)]
struct Open {
    size: u64,
    intents: BTreeSet<u64>,
    check: String,
}

impl Open {
    fn check(size: u64, intents: &BTreeSet<u64>) -> String {
        hex::encode(sha256(format!("{size} {intents:?}").as_bytes()))
    }
}

/// The intents open as of a size, if the file is whole and not ahead of the log.
pub(crate) fn read_open(storage: &dyn Storage) -> io::Result<Option<(u64, BTreeSet<u64>)>> {
    let Some(bytes) = storage.read(OPEN)? else { return Ok(None) };
    let open = serde_json::from_slice::<Open>(&bytes).ok();
    let whole = open.filter(|open| {
        Open::check(open.size, &open.intents) == open.check && canonical::to_vec(open).is_ok_and(|made| made == bytes)
    });
    Ok(whole.map(|open| (open.size, open.intents)))
}

impl Sealer {
    /// Reads the checkpoint and the right edge, and checks one against the other.
    pub(crate) fn load(storage: Arc<dyn Storage>, key: SigningKey) -> Result<Self, OpenError> {
        let mut sealer = Self {
            storage,
            key,
            edge: Edge::default(),
            bundle: Vec::new(),
            partials: Vec::new(),
            superseded: Vec::new(),
            checkpoint: None,
        };
        let Some(note) = sealer.storage.read(CHECKPOINT)? else { return Ok(sealer) };
        let signed = SignedCheckpoint::open(&note, &sealer.key.verifying_key())?;
        let Checkpoint { size, root, .. } = signed.checkpoint;
        let mut levels = Vec::new();
        for level in 0..level_count(size) as u8 {
            let width = partial_width(size, level);
            let index = crate::tree::level_size(size, level) / TILE_WIDTH;
            levels.push(if width == 0 { Vec::new() } else { sealer.read_partial(level, index, width)? });
        }
        sealer.edge = Edge::from_levels(size, levels)
            .filter(|edge| edge.root() == root)
            .ok_or_else(|| OpenError::Damaged("the tiles at the edge do not have the checkpoint's root".to_owned()))?;
        let width = partial_width(size, 0);
        if width > 0 {
            let path = tile::bundle(size / TILE_WIDTH, width);
            let leaves = sealer.edge.levels().first().cloned().unwrap_or_default();
            sealer.bundle = sealer.must_read(&path)?;
            let hashes = tile::entries(&sealer.bundle).map(|entry| entry.map(leaf_hash)).collect::<Option<Vec<_>>>();
            if hashes.as_ref() != Some(&leaves) {
                return Err(OpenError::Damaged(format!("`{path}` does not have the hashes of its tile")));
            }
        }
        sealer.partials = sealer.partial_files().into_iter().map(|(path, _)| path).collect();
        sealer.checkpoint = Some(Arc::new(signed));
        Ok(sealer)
    }

    /// The key that signs now.
    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Signs with another key from now on, which this sealed entry announces.
    pub(crate) fn hand_over(
        &mut self,
        next: SigningKey,
        index: u64,
        entry: Vec<u8>,
    ) -> io::Result<Arc<SignedCheckpoint>> {
        let signed = self.checkpoint.clone().ok_or(io::ErrorKind::NotFound)?;
        if self.key.verifying_key() == next.verifying_key() {
            return Ok(signed);
        }
        let size = signed.checkpoint.size;
        let node = &mut |at| read::node(self.storage.as_ref(), at, size);
        let hashes = tree::inclusion_proof(index, size, node).map_err(io::Error::other)?;
        let proof = Proof { index, entry, hashes, checkpoint: SignedCheckpoint::clone(&signed) };
        self.storage.replace(&numbered(HANDOVER, index), proof.to_string().as_bytes())?;
        self.key = next;
        let signed = Arc::new(self.key.sign(signed.checkpoint.clone()));
        self.storage.replace(CHECKPOINT, signed.to_string().as_bytes())?;
        self.checkpoint = Some(Arc::clone(&signed));
        Ok(signed)
    }

    fn must_read(&self, path: &str) -> Result<Vec<u8>, OpenError> {
        self.storage.read(path)?.ok_or_else(|| OpenError::Damaged(format!("`{path}` is missing")))
    }

    fn read_partial(&self, level: u8, index: u64, width: u64) -> Result<Vec<Hash>, OpenError> {
        let path = tile::hash_tile(level, index, width);
        let hashes = tile::split_hashes(&self.must_read(&path)?);
        hashes.ok_or_else(|| OpenError::Damaged(format!("`{path}` has a wrong length")))
    }

    /// How many entries are sealed.
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Seals more entries, in order. `open` are the intents open after the last of them.
    pub(crate) fn seal(&mut self, entries: &[Place], open: &BTreeSet<u64>) -> io::Result<Arc<SignedCheckpoint>> {
        let before = self.edge.size();
        self.write_tiles(entries)?;
        let size = self.edge.size();
        if let Some(checkpoint) = self.checkpoint.as_ref().filter(|_| size == before) {
            return Ok(Arc::clone(checkpoint));
        }
        let file = Open { size, intents: open.clone(), check: Open::check(size, open) };
        self.storage.replace(OPEN, &canonical::to_vec(&file)?)?;
        let origin = self.key.name().to_owned();
        let signed = Arc::new(self.key.sign(Checkpoint { origin, size, root: self.edge.root() }));
        self.storage.replace(CHECKPOINT, signed.to_string().as_bytes())?;
        let partials: Vec<String> = self.partial_files().into_iter().map(|(path, _)| path).collect();
        let before = std::mem::replace(&mut self.partials, partials);
        self.superseded.extend(before.into_iter().filter(|path| !self.partials.contains(path)));
        self.checkpoint = Some(Arc::clone(&signed));
        Ok(signed)
    }

    /// Removes partial files at the edge that the checkpoint does not need: those of the one before it, and those of a
    /// seal that a crash ended, which may hold entries that were never acknowledged. Before anything is sealed.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        let size = self.size();
        let levels = 0..=level_count(size).min(6) as u8;
        let tiles = levels.map(|level| tile::hash_tile(level, crate::tree::level_size(size, level) / TILE_WIDTH, 1));
        let mut left = Vec::new();
        for first in tiles.chain([tile::bundle(size / TILE_WIDTH, 1)]) {
            let Some((folder, _)) = first.rsplit_once('/') else { continue };
            let paths = self.storage.list(folder)?.into_iter().map(|name| format!("{folder}/{name}"));
            left.extend(paths.filter(|path| !self.partials.contains(path)));
        }
        if left.is_empty() { Ok(()) } else { self.storage.remove(&left) }
    }

    /// Removes the partial files that the last checkpoint no longer needs. Only after everybody in this
    /// process who would look for them can know of that checkpoint.
    pub(crate) fn tidy(&mut self) -> io::Result<()> {
        let superseded = std::mem::take(&mut self.superseded);
        if superseded.is_empty() { Ok(()) } else { self.storage.remove(&superseded) }
    }

    fn write_tiles(&mut self, entries: &[Place]) -> io::Result<()> {
        let (mut files, mut bytes, mut full) = (Vec::new(), 0, Vec::new());
        read_frames(entries, |frame, place| {
            let entry = frame.get(HEAD..HEAD + place.size as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
            tile::push_entry(&mut self.bundle, entry);
            self.edge.push(place.digest, &mut full);
            if full.is_empty() {
                return Ok(());
            }
            let index = self.edge.size() / TILE_WIDTH - 1;
            bytes += self.bundle.len();
            // The next is about as large.
            let next = Vec::with_capacity(self.bundle.len());
            files.push((tile::bundle(index, TILE_WIDTH), std::mem::replace(&mut self.bundle, next)));
            for tile in full.drain(..) {
                files.push((tile::hash_tile(tile.level, tile.index, TILE_WIDTH), tile.hashes.concat()));
            }
            if bytes > BATCH_BYTES {
                self.storage.put(&std::mem::take(&mut files))?;
                bytes = 0;
            }
            Ok(())
        })?;
        let partials = self.partial_files().into_iter();
        // The same name has the same content: the log only grows.
        files.extend(partials.filter(|(path, _)| !self.partials.contains(path)));
        self.storage.put(&files)
    }

    /// Names and contents of the partial tiles and the partial bundle at the current size.
    fn partial_files(&self) -> Vec<(String, Vec<u8>)> {
        let size = self.edge.size();
        let mut files = Vec::new();
        for (level, hashes) in self.edge.levels().iter().enumerate().filter(|(_, hashes)| !hashes.is_empty()) {
            let level = level as u8;
            let index = crate::tree::level_size(size, level) / TILE_WIDTH;
            files.push((tile::hash_tile(level, index, hashes.len() as u64), hashes.concat()));
        }
        let width = partial_width(size, 0);
        if width > 0 {
            files.push((tile::bundle(size / TILE_WIDTH, width), self.bundle.clone()));
        }
        files
    }
}

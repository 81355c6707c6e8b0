//! The files of a log that may leave its directory: what a checkpoint covers and what lies beside it, but never the
//! journal, the subjects' keys or the lock. For whoever keeps a copy elsewhere.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use crate::cosign::COSIGNED;
use crate::handover::HANDOVER;
use crate::journal::{self, Kind};
use crate::note::{Checkpoint, SignedCheckpoint};
use crate::read::{JOURNAL, OBJECTS, PAYLOADS, numbered, numbers};
use crate::seal::CHECKPOINT;
use crate::tile;
use crate::tree::{Edge, Hash, TILE_WIDTH, leaf_hash, level_count, level_size, partial_width, root_of, sha256};
use crate::{ReadError, Reader, archive};

/// The checkpoint's name.
pub const CHECKPOINT_FILE: &str = CHECKPOINT;
/// The name of the file that says what was pruned; it may be missing.
pub const PRUNED_FILE: &str = archive::PRUNED;

/// The tiles and bundles of a log of `size` entries that one of `before` entries did not have, in the order in which
/// they are to be written.
pub fn tree_files(before: u64, size: u64) -> Vec<String> {
    let mut files = Vec::new();
    for level in 0..level_count(size) as u8 {
        let hashes = level_size(size, level);
        // A partial tile has another name when it has grown, and none was there that is the same.
        for index in level_size(before, level) / TILE_WIDTH..hashes.div_ceil(TILE_WIDTH) {
            let width = TILE_WIDTH.min(hashes - index * TILE_WIDTH);
            if level == 0 {
                files.push(tile::bundle(index, width));
            }
            files.push(tile::hash_tile(level, index, width));
        }
    }
    files
}

/// The partial tiles and bundles of a log of `size` entries, which a longer one no longer needs.
pub fn partial_files(size: u64) -> Vec<String> {
    tree_files(size, size).into_iter().filter(|name| name.contains(".p/")).collect()
}

/// Level, index and width of a tile by its name; a bundle of entries has no level.
fn tile_of(name: &str) -> Option<(Option<u8>, u64, u64)> {
    let (level, rest) = name.strip_prefix("tile/")?.split_once('/')?;
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, width.parse().ok()?),
        None => (rest, TILE_WIDTH),
    };
    let digits: String = index.chars().filter(char::is_ascii_digit).collect();
    let level = if level == "entries" { None } else { Some(level.parse().ok()?) };
    Some((level, digits.parse().ok()?, width))
}

/// The files of a log up to a checkpoint, each checked against what the checkpoint covers before it is given: what was
/// changed or torn on this disk must not get into a copy that keeps what it has.
#[derive(Debug)]
pub struct Sound<'a> {
    reader: &'a Reader,
    signed: Arc<SignedCheckpoint>,
    /// The partial files of that size, which have the checkpoint's root. A log that goes on removes them.
    edge: HashMap<String, Vec<u8>>,
}

impl<'a> Sound<'a> {
    fn new(reader: &'a Reader, signed: Arc<SignedCheckpoint>) -> Result<Self, ReadError> {
        let Checkpoint { size, root, .. } = signed.checkpoint;
        let mut sound = Self { reader, signed, edge: HashMap::new() };
        for name in partial_files(size) {
            let bytes = reader.file(&name)?.ok_or_else(|| ReadError::Damaged(name.clone()))?;
            sound.edge.insert(name, bytes);
        }
        let mut levels = Vec::new();
        for level in 0..level_count(size) as u8 {
            let partial = partial_width(size, level) > 0;
            levels.push(if partial { sound.hashes(level, level_size(size, level) / TILE_WIDTH)? } else { Vec::new() });
        }
        match Edge::from_levels(size, levels) {
            Some(edge) if edge.root() == root => Ok(sound),
            _ => Err(ReadError::Damaged("tile".to_owned())),
        }
    }

    /// The checkpoint. Its signature is for whoever has the key.
    pub fn checkpoint(&self) -> &Arc<SignedCheckpoint> {
        &self.signed
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.edge.get(name).map_or_else(|| self.reader.file(name), |bytes| Ok(Some(bytes.clone())))
    }

    /// The hashes of a tile, which is checked up to the edge.
    fn hashes(&self, level: u8, index: u64) -> Result<Vec<Hash>, ReadError> {
        let width = TILE_WIDTH.min(level_size(self.signed.checkpoint.size, level).saturating_sub(index * TILE_WIDTH));
        let path = tile::hash_tile(level, index, width);
        let hashes = tile::split_hashes(&self.file(&path)?);
        hashes.filter(|hashes| hashes.len() as u64 == width).ok_or(ReadError::Damaged(path))
    }

    /// A file, by its name below the log's directory.
    pub fn file(&self, name: &str) -> Result<Vec<u8>, ReadError> {
        let damaged = || ReadError::Damaged(name.to_owned());
        let bytes = self.read(name)?.ok_or_else(damaged)?;
        if self.holds(name, &bytes)? { Ok(bytes) } else { Err(damaged()) }
    }

    fn holds(&self, name: &str, bytes: &[u8]) -> Result<bool, ReadError> {
        Ok(match (tile_of(name), name.split_once('/')) {
            (Some((None, index, _)), _) => {
                let leaves: Option<Vec<Hash>> = tile::entries(bytes).map(|entry| entry.map(leaf_hash)).collect();
                leaves == Some(self.hashes(0, index)?)
            }
            (Some((Some(level), index, TILE_WIDTH)), _) => {
                let root = tile::split_hashes(bytes).filter(|hashes| hashes.len() as u64 == TILE_WIDTH);
                let above = self.hashes(level + 1, index / TILE_WIDTH)?;
                root.is_some_and(|hashes| above.get((index % TILE_WIDTH) as usize) == Some(&root_of(&hashes)))
            }
            (None, Some((OBJECTS, id))) => id.rsplit_once('/').is_some_and(|(_, id)| id == hex::encode(sha256(bytes))),
            (None, Some((PAYLOADS, _))) => journal::scan(bytes).bad.is_empty(),
            // A partial tile is of the edge, and any other file speaks for itself.
            _ => true,
        })
    }
}

impl Reader {
    /// The files of the log up to the last checkpoint; `None` if it has none yet.
    pub fn sound(&self) -> Result<Option<Sound<'_>>, ReadError> {
        loop {
            let Some(signed) = self.checkpoint() else { return Ok(None) };
            let size = signed.checkpoint.size;
            match Sound::new(self, signed) {
                // A partial file goes when a larger one is sealed.
                Err(ReadError::Damaged(_)) if self.moved_on(size)? => {}
                sound => return sound.map(Some),
            }
        }
    }

    /// A file of the log, by its name below the log's directory.
    pub fn file(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.storage.read(name)
    }

    /// The names of files that never change once they are there: objects, packs of payloads, handovers.
    pub fn lasting_files(&self) -> Result<Vec<String>, ReadError> {
        let mut files = Vec::new();
        let objects = (0..=u8::MAX).map(|prefix| format!("{OBJECTS}/{prefix:02x}"));
        for folder in objects.chain([PAYLOADS.to_owned(), HANDOVER.to_owned()]) {
            let whole = self.storage.list_whole(&folder)?.into_iter().filter(|name| name != "pending");
            files.extend(whole.map(|name| format!("{folder}/{name}")));
        }
        Ok(files)
    }

    /// The packs that the payloads of the journal's segments will become, as far as the first `size` entries can refer
    /// to them: what a segment's pack begins with, under its name. Ask before [`Reader::lasting_files`]: a segment that
    /// goes meanwhile is a pack there.
    pub fn growing_packs(&self, size: u64) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        let mut packs = Vec::new();
        for number in numbers(self.storage.as_ref(), JOURNAL)? {
            let Some(segment) = self.storage.read(&numbered(JOURNAL, number))? else { continue };
            let mut pack = Vec::new();
            // The frame of a payload says which entry came next: that one is signed, so the payload is durable.
            for found in journal::scan(&segment).frames.iter().take_while(|found| found.head.index < size) {
                let start = found.offset as usize;
                let frame = segment.get(start..start + journal::frame_size(found.head.size as usize));
                if found.head.kind == Kind::Payload {
                    pack.extend_from_slice(frame.unwrap_or_default());
                }
            }
            let name = numbered(PAYLOADS, number);
            if !pack.is_empty() && self.storage.read(&name)?.is_none() {
                packs.push((name, pack));
            }
        }
        Ok(packs)
    }

    /// The first entry that is there, as far as the first `size` entries say that those before were pruned.
    pub fn start_as_of(&self, size: u64) -> Result<u64, ReadError> {
        let pruned = archive::pruned(self.storage.as_ref())?.filter(|pruned| pruned.entry < size);
        Ok(pruned.map_or(0, |pruned| pruned.to))
    }

    /// Of some files of a copy those that this log, as its first `size` entries say, no longer has.
    pub fn pruned_files(&self, size: u64, copied: impl Iterator<Item = String>) -> Result<Vec<String>, ReadError> {
        let start = self.start_as_of(size)?;
        let (storage, mut first) = (self.storage.as_ref(), u64::MAX);
        for folder in [PAYLOADS, JOURNAL] {
            first = first.min(numbers(storage, folder)?.first().copied().unwrap_or(u64::MAX));
        }
        let bundles: HashSet<String> = (0..start / TILE_WIDTH).map(|index| tile::bundle(index, TILE_WIDTH)).collect();
        let is_pack = |name: &str| name.strip_prefix("payloads/").and_then(|number| number.parse::<u64>().ok());
        let gone = |name: &String| bundles.contains(name) || is_pack(name).is_some_and(|number| number < first);
        Ok(copied.filter(|name| start > 0 && gone(name)).collect())
    }

    /// What witnesses cosigned of the first `size` entries: names and bytes of small files that may change. What is
    /// cosigned beyond them would say of a copy that it was rolled back.
    pub fn cosigned_files(&self, size: u64) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        let mut files = Vec::new();
        for name in self.storage.list_whole(COSIGNED)? {
            let name = format!("{COSIGNED}/{name}");
            let bytes = self.storage.read(&name)?.unwrap_or_default();
            if SignedCheckpoint::parse(&bytes).is_ok_and(|signed| signed.checkpoint.size <= size) {
                files.push((name, bytes));
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_known_by_its_name() {
        for (level, index, width) in [(0, 1_234_067, 256), (2, 0, 17)] {
            assert_eq!(tile_of(&tile::hash_tile(level, index, width)), Some((Some(level), index, width)));
        }
        assert_eq!(tile_of(&tile::bundle(1_000, 9)), Some((None, 1_000, 9)));
        assert_eq!(tile_of("objects/00/00"), None);
    }

    #[test]
    fn a_longer_log_has_the_files_of_a_shorter_one_and_these() {
        assert_eq!(tree_files(0, 2), ["tile/entries/000.p/2", "tile/0/000.p/2"]);
        assert_eq!(
            tree_files(2, 300),
            ["tile/entries/000", "tile/0/000", "tile/entries/001.p/44", "tile/0/001.p/44", "tile/1/000.p/1"]
        );
        assert_eq!(partial_files(256), ["tile/1/000.p/1"]);
        let mut all = tree_files(0, 300);
        all.extend(tree_files(300, 70_000));
        all.retain(|name| !partial_files(300).contains(name));
        let (mut whole, len) = (tree_files(0, 70_000), all.len());
        all.sort();
        whole.sort();
        assert_eq!((all, len), (whole.clone(), whole.len()));
    }
}

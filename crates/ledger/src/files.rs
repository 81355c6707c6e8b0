//! The files of a log that may leave its directory: what a checkpoint covers and what lies beside it, but never the
//! journal, the subjects' keys or the lock. For whoever keeps a copy elsewhere.

use std::collections::HashSet;
use std::io;

use crate::cosign::COSIGNED;
use crate::handover::HANDOVER;
use crate::journal::{self, Kind};
use crate::note::SignedCheckpoint;
use crate::read::{JOURNAL, OBJECTS, PAYLOADS, numbered, numbers};
use crate::seal::CHECKPOINT;
use crate::tile;
use crate::tree::{TILE_WIDTH, level_count, level_size};
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

impl Reader {
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

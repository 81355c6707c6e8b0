//! The files of a log that may leave its directory: what a checkpoint covers and what lies beside it, but never the
//! journal, the subjects' keys or the lock. For whoever keeps a copy elsewhere.

use std::io;

use crate::cosign::COSIGNED;
use crate::handover::HANDOVER;
use crate::read::{OBJECTS, PAYLOADS};
use crate::seal::CHECKPOINT;
use crate::tile;
use crate::tree::{TILE_WIDTH, level_count, level_size};
use crate::{ReadError, Reader, archive};

/// The checkpoint's name.
pub const CHECKPOINT_FILE: &str = CHECKPOINT;

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
            let names = self.storage.list(&folder)?;
            let whole = names.into_iter().filter(|name| !name.ends_with(".new") && name != "pending");
            files.extend(whole.map(|name| format!("{folder}/{name}")));
        }
        Ok(files)
    }

    /// The names of small files that may change: what witnesses cosigned, what was pruned.
    pub fn changing_files(&self) -> Result<Vec<String>, ReadError> {
        let names = self.storage.list(COSIGNED)?.into_iter().filter(|name| !name.ends_with(".new"));
        let mut files: Vec<String> = names.map(|name| format!("{COSIGNED}/{name}")).collect();
        if self.start()? > 0 {
            files.push(archive::PRUNED.to_owned());
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

//! The tree of hashes: every tile against what the entries hash to, from the bottom up, and what no checkpoint covers.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use super::{Report, Verifier};
use crate::note::SignedCheckpoint;
use crate::read::ReadError;
use crate::seal::CHECKPOINT;
use crate::storage::Storage;
use crate::tile;
use crate::tree::{Hash, TILE_WIDTH, leaf_hash, level_count, level_size, root_of};

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
    /// Every entry, tile and level, from the bottom up.
    pub(super) fn tiles(&mut self, size: u64, root: Option<Hash>) -> Result<(), ReadError> {
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
                self.missing.insert(index);
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
        if self.missing.contains(&row.index) {
            return;
        }
        let file = tile::bundle(row.index, row.made.len() as u64);
        let text = match different.len() {
            1 => "the entry is not the one that was signed: it was changed".to_owned(),
            count => {
                format!("this and {} more entries here are not those that were signed: they were changed", count - 1)
            }
        };
        self.report.fault(file, text).entry = Some(row.index * TILE_WIDTH + *first as u64);
    }
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

/// Files of the tree that no checkpoint covers. In a live log they are about to be covered. A crash between
/// tiles and checkpoint leaves those of entries that only the journal holds; the next seal writes them anew, so
/// they prove nothing and harm nothing. A crash after the checkpoint leaves those of the checkpoint before, which
/// hold the beginning of what is signed now. Any other is a fault.
pub(super) fn strays(
    storage: &dyn Storage,
    known: &mut HashSet<String>,
    live: bool,
    report: &mut Report,
) -> io::Result<()> {
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

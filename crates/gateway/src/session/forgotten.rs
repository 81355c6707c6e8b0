//! The sessions whose past is no longer kept, by digests of their keys, so that one that goes on is not taken for a new one: it has
//! seen the worst.
//!
//! Order: the note first, then the file. What is neither kept nor noted would begin anew.
//!
//! Of a fixed size: a filter for the newest [`GENERATION_MAX`], and one for as many before them. Of sessions forgotten before
//! those nobody knows any more.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{self, DiskError};
use crate::filter::Filter;

/// How many sessions one filter holds, so that one new session in a hundred is taken for one of them at most.
const GENERATION_MAX: u32 = 200_000;
/// Its file among those of the sessions.
pub(super) const FILE: &str = "forgotten.json";

/// The digests.
#[derive(Debug)]
pub(super) struct Forgotten {
    dir: PathBuf,
    kept: Kept,
    /// Whose files are to go once the note is written.
    going: HashSet<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    count: u32,
    newest: Option<Filter>,
    before: Option<Filter>,
    /// Nobody knows which were forgotten.
    #[serde(default)]
    lost: bool,
}

impl Forgotten {
    pub(super) fn open(dir: &Path) -> Self {
        let kept = disk::read_json(&dir.join(FILE)).map(Option::unwrap_or_default).unwrap_or_else(|error| {
            tracing::warn!(%error, "which sessions were forgotten cannot be read; any that is not known may be one");
            Kept { lost: true, ..Kept::default() }
        });
        Self { dir: dir.to_owned(), kept, going: HashSet::new() }
    }

    /// The past of the session with this digest is gone, whatever its file still says.
    pub(super) fn add(&mut self, digest: &str) {
        if self.is_going(digest) {
            return;
        }
        self.going.insert(digest.to_owned());
        if self.kept.count >= GENERATION_MAX {
            self.kept.before = self.kept.newest.take();
            self.kept.count = 0;
        }
        self.kept.newest.get_or_insert_with(Filter::new).add(digest);
        self.kept.count += 1;
    }

    /// Whether the file of this one is to go: it does not say all that was seen. Where too many wait to be written, any may be.
    pub(super) fn is_going(&self, digest: &str) -> bool {
        self.going.contains(digest) || self.going.len() >= GENERATION_MAX as usize
    }

    /// Whether its past may be gone.
    pub(super) fn may_hold(&self, digest: &str) -> bool {
        let holds = |filter: &Option<Filter>| filter.as_ref().is_some_and(|filter| filter.may_hold(digest));
        self.kept.lost || holds(&self.kept.newest) || holds(&self.kept.before)
    }

    /// Writes what changed, and removes the files of those that are forgotten. Blocks.
    pub(super) fn save(&mut self) -> Result<(), DiskError> {
        if self.going.is_empty() {
            return Ok(());
        }
        disk::write_json(&self.dir.join(FILE), &self.kept)?;
        let mut kept = Ok(());
        for digest in self.going.drain() {
            let path = super::file_of(&self.dir, &digest);
            match std::fs::remove_file(&path) {
                // Gone already is as good.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => kept = Err(DiskError::Io { path, error }),
                _ => {}
            }
        }
        kept
    }
}

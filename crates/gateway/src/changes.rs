//! Who changed what: the files of the home that decide what agents may do, known by their digests. A change that came
//! through the gateway is recorded with whoever ordered it; one that is only seen afterwards says so.
//!
//! This module never reads the home by itself: whoever watches the files tells what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use ledger::record::{FileChange, Record};

use crate::disk::{self, DiskError};
use crate::pipeline::Journal;

/// The files as they were last seen.
#[derive(Debug)]
pub(crate) struct Changes {
    path: PathBuf,
    /// Held across a comparison and its record, so that a change is recorded once.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Digests by path from the home; `None` before anything was ever seen.
    known: Option<BTreeMap<String, String>>,
    /// Whether this process has looked before.
    looked: bool,
    /// Files that are being written by somebody who says so himself.
    written: Vec<String>,
}

/// Until this is dropped a file is being written by somebody who says so himself.
pub(crate) struct Writing<'a> {
    changes: &'a Changes,
    path: String,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let written = &mut self.changes.lock().written;
        if let Some(at) = written.iter().position(|path| *path == self.path) {
            written.remove(at);
        }
    }
}

/// What a file of the home decides; `None` for one that decides nothing.
fn what(path: &str) -> Option<&'static str> {
    let below = |folder: &str, ending: &str| path.starts_with(folder) && path.ends_with(ending);
    match path {
        "settings.toml" => Some("settings"),
        "gateway/annotations.toml" => Some("annotations"),
        "gateway/identity.toml" => Some("identity"),
        _ if below("policy/", ".cedar") => Some("policy"),
        _ if below("mandates/", ".toml") => Some("mandate"),
        _ => None,
    }
}

impl Changes {
    pub(crate) fn open(path: PathBuf) -> Result<Self, DiskError> {
        let known = disk::read_json(&path)?;
        Ok(Self { path, state: Mutex::new(State { known, looked: false, written: Vec::new() }) })
    }

    /// The files as they are now: path from the home, and bytes. What differs from what was known is recorded. They are
    /// read with the lock held: what was read before somebody wrote a file, and told after it, would look like a change.
    pub(crate) fn saw(&self, read: impl FnOnce() -> Vec<(String, Vec<u8>)>, journal: &Journal) {
        let mut state = self.lock();
        let files = read();
        let decisive = files.iter().filter(|(path, _)| what(path).is_some());
        let mut now: BTreeMap<String, String> = decisive.map(|(path, bytes)| (path.clone(), sha256(bytes))).collect();
        let by = match (&state.known, state.looked) {
            (None, _) => "unknown: seen for the first time",
            (Some(_), false) => "unknown: file changed on disk while no gateway ran",
            (Some(_), true) => "unknown: file changed on disk",
        };
        state.looked = true;
        let known = state.known.clone().unwrap_or_default();
        for path in &state.written {
            match known.get(path) {
                Some(digest) => _ = now.insert(path.clone(), digest.clone()),
                None => _ = now.remove(path),
            }
        }
        let paths: BTreeSet<&String> = known.keys().chain(now.keys()).collect();
        let mut changed: BTreeMap<&str, Vec<FileChange>> = BTreeMap::new();
        for path in paths.into_iter().filter(|path| known.get(*path) != now.get(*path)) {
            let (before, after) = (known.get(path).cloned(), now.get(path).cloned());
            let kind = what(path).unwrap_or("settings");
            changed.entry(kind).or_default().push(FileChange { path: path.clone(), before, after });
        }
        if changed.is_empty() && state.known.is_some() {
            return;
        }
        for (kind, files) in changed {
            let (what, by, because) = (kind.to_owned(), by.to_owned(), String::new());
            journal.note(Record::Changed { what, files, by, because });
        }
        self.keep(&mut state, now);
    }

    /// From before a change is made until its file is written.
    pub(crate) fn writing(&self, path: &str) -> Writing<'_> {
        self.lock().written.push(path.to_owned());
        Writing { changes: self, path: path.to_owned() }
    }

    /// Somebody who is known changes one file to these bytes, or removes it: recorded, then known.
    pub(crate) async fn made(
        &self,
        (path, bytes): (&str, Option<&[u8]>),
        (by, because): (String, String),
        journal: &Journal,
    ) -> Result<(), String> {
        let kind = what(path).ok_or_else(|| format!("`{path}` decides nothing"))?;
        let append = {
            let mut state = self.lock();
            let mut known = state.known.clone().unwrap_or_default();
            let after = bytes.map(sha256);
            let before = match &after {
                Some(after) => known.insert(path.to_owned(), after.clone()),
                None => known.remove(path),
            };
            if before == after {
                return Ok(());
            }
            let files = vec![FileChange { path: path.to_owned(), before, after }];
            let record = Record::Changed { what: kind.to_owned(), files, by, because };
            let append = journal.ledger().append(record, journal.now()).map_err(|error| error.to_string())?;
            self.keep(&mut state, known);
            append
        };
        append.await.map(|_| ()).map_err(|error| error.to_string())
    }

    fn keep(&self, state: &mut State, known: BTreeMap<String, String>) {
        if let Err(error) = disk::write_json(&self.path, &known) {
            tracing::error!(%error, "the digests of the operator's files could not be saved; changes may be recorded twice");
        }
        state.known = Some(known);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Clock;
    use ledger::{Ledger, Options, Reader, SigningKey};

    /// Who changed `mandates/a.toml`, as far as it is recorded.
    fn recorded(dir: &std::path::Path) -> Vec<String> {
        let log = Reader::open(dir).unwrap();
        let changed = log.range(0..u64::MAX).filter_map(|stored| match stored.unwrap().entry.record {
            Record::Changed { files, by, .. } => Some((files, by)),
            _ => None,
        });
        changed.filter(|(files, _)| files.iter().any(|file| file.path == PATH)).map(|(_, by)| by).collect()
    }

    const PATH: &str = "mandates/a.toml";

    #[tokio::test]
    async fn a_file_that_is_being_written_is_no_change_by_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let (ledger, _) = Ledger::open(&dir.path().join("log"), key, Options::new(jiff::Timestamp::now())).unwrap();
        let journal = Journal::new(ledger.clone(), Clock::System);
        let changes = Changes::open(dir.path().join("changes.json")).unwrap();
        let file = |text: &str| vec![(PATH.to_owned(), text.as_bytes().to_vec())];
        changes.saw(Vec::new, &journal);
        let order = ("ada".to_owned(), String::new());

        let writing = changes.writing(PATH);
        changes.made((PATH, Some(b"new")), order.clone(), &journal).await.unwrap();
        // Neither what was there before nor half of what comes.
        changes.saw(Vec::new, &journal);
        changes.saw(|| file("ne"), &journal);
        drop(writing);
        changes.saw(|| file("new"), &journal);
        ledger.seal().unwrap();
        assert_eq!(recorded(&dir.path().join("log")), ["ada"]);

        let writing = changes.writing(PATH);
        changes.made((PATH, None), order, &journal).await.unwrap();
        changes.saw(|| file("new"), &journal);
        drop(writing);
        // What was ordered and not made is told.
        changes.saw(|| file("new"), &journal);
        ledger.seal().unwrap();
        assert_eq!(recorded(&dir.path().join("log")), ["ada", "ada", "unknown: file changed on disk"]);
    }
}

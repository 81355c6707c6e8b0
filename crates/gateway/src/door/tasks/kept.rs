//! Tasks on disk, one a file: a gateway that starts again, and one that shares the folder, know whose a task is and which
//! call became it.
//!
//! Sealed, and bound to session, server and task, because a call's arguments are its session's. What cannot be opened is a
//! task that nobody has. Which act waits for it is not kept: that ended with the gateway that began it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use aws_lc_rs::digest;
use jiff::Timestamp;
use ledger::private;
use serde::{Deserialize, Serialize};

use super::{KNOWN_MAX, Key, Origin};
use crate::disk;
use crate::seal::{self, Sealer};

/// The largest call that is kept, in bytes; a task of a larger one is known to the gateway that it began at only.
const ROW_MAX_BYTES: usize = 64 * 1024;

/// The folder of tasks. Whoever can write there can make a task unknown, and no more.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    dir: PathBuf,
    sealer: Arc<Sealer>,
}

/// What is kept of a task.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) origin: Origin,
    /// Seconds since 1970.
    until: i64,
}

impl Row {
    /// A row that is good for so long.
    pub(super) fn new(origin: Origin, keeps: Duration, now: Timestamp) -> Self {
        let keeps = i64::try_from(keeps.as_secs()).unwrap_or(i64::MAX);
        Self { origin, until: now.as_second().saturating_add(keeps) }
    }

    /// For how long it is still good.
    pub(super) fn lasts(&self, now: Timestamp) -> Duration {
        Duration::from_secs(u64::try_from(self.until.saturating_sub(now.as_second())).unwrap_or(0))
    }
}

impl Kept {
    /// The folder, without what is there since longer than any task is known.
    pub(crate) fn open(dir: PathBuf, sealer: Arc<Sealer>) -> io::Result<Self> {
        disk::make_private(&dir)?;
        let kept = Self { dir, sealer };
        kept.sweep();
        Ok(kept)
    }

    /// Writes a task down; durable when this returns. Blocks.
    pub(super) fn write(&self, key: &Key, row: &Row) -> io::Result<()> {
        let text = serde_json::to_vec(row)?;
        if text.len() > ROW_MAX_BYTES {
            return Err(io::Error::other("the call is too large"));
        }
        let about = about(key);
        let sealed = self.sealer.seal(&about, &text).ok_or_else(|| io::Error::other("no random numbers"))?;
        private::write(&self.file(&about), &sealed)
    }

    /// The task, if it was written down and is still good.
    pub(super) fn read(&self, key: &Key, now: Timestamp) -> Option<Row> {
        let about = about(key);
        let path = self.file(&about);
        if fs::metadata(&path).ok()?.len() > 2 * ROW_MAX_BYTES as u64 {
            return None;
        }
        let text = self.sealer.open_sealed(&about, &fs::read(path).ok()?)?;
        let row: Row = serde_json::from_slice(&text).ok()?;
        (!row.lasts(now).is_zero()).then_some(row)
    }

    /// It is over.
    pub(super) fn remove(&self, key: &Key) {
        // Gone already is as good, and one that stays is not good for longer.
        drop(fs::remove_file(self.file(&about(key))));
    }

    fn file(&self, about: &[u8]) -> PathBuf {
        self.dir.join(hex::encode(digest::digest(&digest::SHA256, about)))
    }

    pub(super) fn sweep(&self) {
        let Some(oldest) = SystemTime::now().checked_sub(KNOWN_MAX) else { return };
        let is_old = |path: &Path| path.metadata().and_then(|meta| meta.modified()).is_ok_and(|time| time < oldest);
        let files = fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|file| file.path());
        for path in files.filter(|path| is_old(path)) {
            drop(fs::remove_file(path));
        }
    }
}

/// What a row is bound to.
fn about(Key { session, server, task }: &Key) -> Vec<u8> {
    seal::about("mcp task", [session, server, task])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use policy::ToolId;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_good_for_its_session_server_and_task_while_it_lasts() {
        let dir = tempfile::tempdir().unwrap();
        let sealer = Arc::new(Sealer::open(&dir.path().join("key")).unwrap());
        let kept = Kept::open(dir.path().join("tasks"), sealer).unwrap();
        let key = |session: &str, server: &str| Key {
            session: session.to_owned(),
            server: server.to_owned(),
            task: "t".to_owned(),
        };
        let origin = |text: &str| {
            let tool = ToolId { server: "files".to_owned(), name: "read".to_owned() };
            Origin { tool, arguments: json!({ "path": text }) }
        };
        let (ours, now) = (key("s", "files"), Timestamp::UNIX_EPOCH);
        let row = |text: &str| Row::new(origin(text), Duration::from_secs(60), now);
        kept.write(&ours, &row("secret")).unwrap();
        let after = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(kept.read(&ours, after(59)).unwrap().origin.arguments, json!({ "path": "secret" }));
        assert!(kept.read(&ours, after(60)).is_none());
        for other in [key("t", "files"), key("s", "mail"), key("sf", "iles")] {
            assert!(kept.read(&other, now).is_none());
            // Nor under its name.
            fs::copy(kept.file(&about(&ours)), kept.file(&about(&other))).unwrap();
            assert!(kept.read(&other, now).is_none());
        }
        let path = kept.file(&about(&ours));
        assert!(!fs::read(&path).unwrap().windows(6).any(|part| part == b"secret"));
        fs::write(&path, "x").unwrap();
        assert!(kept.read(&ours, now).is_none());
        assert!(kept.write(&ours, &row(&"x".repeat(ROW_MAX_BYTES))).is_err());
        kept.remove(&ours);
        assert!(!path.exists());
    }
}

//! What the control plane remembers: scans, sign-ins, settings, and an index of the ledger's calls.
//!
//! One struct over one database, SQLite. It holds no secret: sign-in links and sessions are stored as
//! digests, credentials never arrive here. Its file is 0600; whoever can write it can sign in, so it is
//! trusted as far as its owner is.

mod scans;
mod sessions;
mod sign_in;
mod trail;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

pub use scans::{ScanInfo, StoredScan};
pub(crate) use sessions::AgentSession;
pub(crate) use sessions::Prompt;
pub(crate) use sign_in::{NewSession, Session};
pub(crate) use trail::Mark;
pub use trail::{CallFilter, Counts};

/// The migrations, by number from 1. One that was released never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("store/0001-first.sql"),
    include_str!("store/0002-graph.sql"),
    include_str!("store/0003-prompts.sql"),
];

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("the store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file could not be made.
    #[error("the store `{path}`: {error}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A newer version of Bailiwick wrote it.
    #[error("the store is of a newer version: its schema is {found}, this program knows {known}")]
    Newer {
        /// The schema number found.
        found: usize,
        /// The newest this program knows.
        known: usize,
    },
    /// A stored value is not what was stored.
    #[error("the store holds a value that cannot be read: {0}")]
    Value(#[from] serde_json::Error),
}

/// The store. Its methods block; call them from `spawn_blocking`.
#[derive(Debug)]
pub struct Store {
    /// Holding it means being the only user of the connection; no method awaits while it holds it.
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens or creates the store at a path, and brings it to the newest schema.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // Created by us with its final mode, before SQLite would create it with the umask's.
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| StoreError::File { path: path.display().to_string(), error })?;
        Self::with(Connection::open(path)?)
    }

    /// A store that is gone when it is dropped.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::with(Connection::open_in_memory()?)
    }

    fn with(mut connection: Connection) -> Result<Self, StoreError> {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        migrate(&mut connection)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while holding the lock leaves at most an open transaction, which SQLite rolls back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A setting, if it was set.
    pub fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let connection = self.lock();
        Ok(connection.query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0)).optional()?)
    }

    /// Sets a setting.
    pub fn set(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.lock().execute(
            "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            [name, value],
        )?;
        Ok(())
    }
}

/// Each migration and its number in one transaction, so that a crash leaves either both or none.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found = version as usize;
    let Some(missing) = MIGRATIONS.get(found..) else {
        return Err(StoreError::Newer { found, known: MIGRATIONS.len() });
    };
    for (number, migration) in (version + 1..).zip(missing) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

fn millisecond(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A ledger index as SQLite's integer. No log has 2^63 entries.
fn key(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

fn index(key: i64) -> u64 {
    u64::try_from(key).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_second_start_finds_and_keeps_what_the_first_stored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.sqlite");
        Store::open(&path).unwrap().set("name", "value").unwrap();
        assert_eq!(Store::open(&path).unwrap().setting("name").unwrap().as_deref(), Some("value"));
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        }
    }

    #[test]
    fn a_store_of_a_newer_version_is_refused_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.sqlite");
        Store::open(&path).unwrap().lock().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Store::open(&path), Err(StoreError::Newer { found: 99, known }) if known == MIGRATIONS.len()));
    }
}

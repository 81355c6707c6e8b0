//! One writer per ledger: an advisory lock on a file that says who holds it. The kernel lets go of it when
//! the process ends, however it ends.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::OpenError;

/// The lock's file.
pub(crate) const LOCK: &str = "lock";

/// Held while this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of this directory, which is made if missing.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(dir)?;
        let path = dir.join(LOCK);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder.trim().to_owned() };
                return Err(OpenError::Locked { dir: dir.to_owned(), holder });
            }
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
        let program = std::env::current_exe().ok();
        let name = program.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        file.set_len(0)?;
        writeln!(file, "process {} ({name})", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// Whether somebody holds the lock of this directory now.
pub(crate) fn is_held(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join(LOCK)) else { return false };
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

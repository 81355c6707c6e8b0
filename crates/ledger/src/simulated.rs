//! A disk in memory that breaks when it is told to, under the real ledger: for simulations, which decide by a seed
//! what fails and when. Nothing here outlives the process.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::keyfile::Held;
use crate::log::{Ledger, OpenError, Options, Recovery};
use crate::note::{SigningKey, VerifyingKey};
use crate::storage::{Segment, Storage};
use crate::verify;

/// How the next write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has no effect, and says so.
    Failed,
    /// It has its effect, and says that it failed.
    FailedButPersisted,
    /// It has half of its effect, and says that it failed.
    Torn,
}

/// A disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// What processes see.
    seen: BTreeMap<String, Vec<u8>>,
    /// What a crash leaves for sure.
    survives: BTreeMap<String, Vec<u8>>,
    next: Option<Fault>,
    stopped: bool,
}

#[derive(Debug)]
struct DiskSegment {
    disk: Disk,
    path: String,
}

impl Disk {
    /// The next write fails.
    pub fn break_next(&self, fault: Fault) {
        self.hold().next = Some(fault);
    }

    /// The machine stops: every later write fails.
    pub fn stop(&self) {
        self.hold().stopped = true;
    }

    /// What the next process finds after the machine stopped: what was synced.
    pub fn survives(&self) -> Self {
        let files = self.hold().survives.clone();
        Self(Arc::new(Mutex::new(Inner { seen: files.clone(), survives: files, ..Inner::default() })))
    }

    /// Opens the ledger on this disk.
    pub fn open(&self, key: SigningKey, options: Options) -> Result<(Ledger, Recovery), OpenError> {
        Ledger::with_storage(Arc::new(self.clone()), key, options, Held::default())
    }

    /// What a verification of this disk complains of.
    pub fn faults(&self, key: &VerifyingKey) -> Vec<String> {
        let report = verify::verify_storage(Arc::new(self.clone()), key, &verify::Options::default(), false);
        report.map_or_else(
            |error| vec![error.to_string()],
            |report| report.faults.iter().map(ToString::to_string).collect(),
        )
    }

    fn hold(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// How many halves of the next write happen, and whether it then says so.
    fn write(&mut self) -> (usize, io::Result<()>) {
        let broken = || Err(io::Error::other("broken on purpose"));
        if self.stopped {
            return (0, broken());
        }
        match self.next.take() {
            None => (2, Ok(())),
            Some(Fault::Failed) => (0, broken()),
            Some(Fault::FailedButPersisted) => (2, broken()),
            Some(Fault::Torn) => (1, broken()),
        }
    }

    fn set(&mut self, path: &str, bytes: &[u8]) {
        self.seen.insert(path.to_owned(), bytes.to_vec());
        self.survives.insert(path.to_owned(), bytes.to_vec());
    }
}

/// So many halves of some bytes.
fn halves(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..bytes.len() * count / 2).unwrap_or(bytes)
}

impl Storage for Disk {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.hold().seen.get(path).cloned())
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let inner = self.hold();
        let names = inner.seen.keys().filter_map(|path| path.strip_prefix(folder)?.strip_prefix('/'));
        Ok(names.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn put(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut inner = self.hold();
        for (path, bytes) in files {
            let (count, result) = inner.write();
            if count > 0 {
                inner.set(path, halves(bytes, count));
            }
            result?;
        }
        Ok(())
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.hold();
        let (count, result) = inner.write();
        if count == 2 {
            inner.set(path, bytes);
        }
        result
    }

    fn remove(&self, paths: &[String]) -> io::Result<()> {
        let mut inner = self.hold();
        let (count, result) = inner.write();
        for path in paths.iter().take(paths.len() * count / 2) {
            inner.seen.remove(path);
            inner.survives.remove(path);
        }
        result
    }

    fn segment(&self, path: &str) -> io::Result<Arc<dyn Segment>> {
        Ok(Arc::new(DiskSegment { disk: self.clone(), path: path.to_owned() }))
    }

    fn allocate(&self, path: &str, size_bytes: u64) -> io::Result<Arc<dyn Segment>> {
        let size = usize::try_from(size_bytes).map_err(|_| io::ErrorKind::StorageFull)?;
        let mut inner = self.hold();
        let (count, result) = inner.write();
        if count > 0 {
            inner.set(path, &vec![0; size * count / 2]);
        }
        drop(inner);
        result?;
        self.segment(path)
    }
}

impl Segment for DiskSegment {
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut inner = self.disk.hold();
        let (count, result) = inner.write();
        let bytes = halves(bytes, count);
        let file = inner.seen.entry(self.path.clone()).or_default();
        file.resize(file.len().max(offset + bytes.len()), 0);
        if let Some(place) = file.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        result
    }

    fn read(&self, offset: u64, size_bytes: usize) -> io::Result<Vec<u8>> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let inner = self.disk.hold();
        let bytes = inner.seen.get(&self.path).and_then(|file| file.get(offset..offset.checked_add(size_bytes)?));
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.hold();
        let (count, result) = inner.write();
        // Torn: nothing of what was written since the last sync is sure.
        if count == 2
            && let Some(file) = inner.seen.get(&self.path).cloned()
        {
            inner.survives.insert(self.path.clone(), file);
        }
        result
    }
}

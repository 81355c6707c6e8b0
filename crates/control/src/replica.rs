//! A copy of a ledger in object storage, kept by whoever reads the ledger: [`push`] brings it up to the last checkpoint,
//! [`pull`] makes a directory of it that `ledger verify` checks like any other.
//!
//! Every object but two kinds is written once, on the condition that it is not there; what is there already must be the
//! same, or, of the payloads of a segment that is not over, its beginning. The checkpoint and `next`, which says what
//! will be the checkpoint, are replaced on the condition that they are what was read. So of two writers with two
//! histories exactly one wins, at `next`, before either has written anything else, and no lock is needed that could be
//! lost. A server that ignores conditions would let both win: [`probe`] refuses it before anything is written.
//!
//! Order of writes, and why: (1) `next`; (2) tiles, bundles, payloads, objects, handovers, which nobody reads before a
//! checkpoint covers them; (3) the checkpoint; (4) what witnesses cosigned of it; (5) partial tiles that it no longer needs
//! go. A push that broke off is made good by the next one. What is damaged on this disk is refused: what is written once
//! cannot be mended there.
//!
//! What this promises: an acknowledged entry is durable on the local disk, and in the storage when the push after its
//! checkpoint has ended. The journal and the subjects' keys never leave the machine: payloads there are encrypted, and
//! whoever loses the keys has erased them. What was pruned from the log stays in the copy until [`prune`] is called.

pub mod follow;
pub mod s3;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::files::{CHECKPOINT_FILE as CHECKPOINT, PRUNED_FILE as PRUNED, Sound, partial_files, tree_files};
use ledger::note::{NoteError, SignedCheckpoint};
use ledger::tree::verify_consistency;
use ledger::{ReadError, Reader};
use tokio::task::JoinSet;

/// What the checkpoint will be, by whoever writes there.
const NEXT: &str = "next";
/// So many objects are on their way at a time.
const AT_ONCE: usize = 16;

/// Why a copy could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address.
    #[error(
        "`{0}` is no place for a ledger: `s3://BUCKET/PREFIX` of plain letters, at `https://…`, or `http://` on this machine"
    )]
    Address(String),
    /// No answer.
    #[error("the storage does not answer: {0}")]
    Unreachable(String),
    /// An answer that refuses.
    #[error("the storage refuses: HTTP {status} {code}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// S3's word for it.
        code: String,
    },
    /// Conditions mean nothing to it.
    #[error("the storage ignores conditional writes ({0}): two writers could overwrite each other, so it is not used")]
    Unconditional(&'static str),
    /// Somebody else writes there.
    #[error("another writer has this place: {0}")]
    Conflict(String),
    /// An object that a checkpoint needs is missing.
    #[error("`{0}` is missing in the storage")]
    Missing(String),
    /// The ledger.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger's or the storage's checkpoint.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The local disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// On what condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// None.
    None,
    /// It is not there.
    Absent,
    /// It is this version.
    Is(String),
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What to name in [`Condition::Is`].
    pub version: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
}

/// Object storage. Trusted to keep what it acknowledged and to honour conditions; for nothing else.
pub trait Store: Send + Sync + 'static {
    /// An object; `None` if it is not there.
    fn get(&self, name: &str) -> impl Future<Output = Result<Option<Found>, StoreError>> + Send;
    /// Writes an object whole; `false` if the condition does not hold. After an error it may be there or not.
    fn put(
        &self,
        name: &str,
        bytes: Vec<u8>,
        condition: Condition,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// The objects below a folder.
    fn list(&self, folder: &str) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send;
    /// Removes an object, which may be missing.
    fn delete(&self, name: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Tries whether the storage honours conditions. `nonce` makes the object's name.
pub async fn probe(store: &impl Store, nonce: &str) -> Result<(), StoreError> {
    let name = format!("probe/{nonce}");
    store.put(&name, b"1".to_vec(), Condition::Absent).await?;
    let twice = store.put(&name, b"2".to_vec(), Condition::Absent).await?;
    let other =
        store.put(&name, b"3".to_vec(), Condition::Is("\"0123456789abcdef0123456789abcdef\"".to_owned())).await?;
    let kept = store.get(&name).await?;
    let replaced = match kept.as_ref().filter(|kept| kept.bytes == b"1") {
        Some(kept) => store.put(&name, b"4".to_vec(), Condition::Is(kept.version.clone())).await?,
        None => false,
    };
    store.delete(&name).await?;
    match (twice, other, replaced) {
        (true, ..) => Err(StoreError::Unconditional("an object was created twice")),
        (_, true, _) => Err(StoreError::Unconditional("a version that is not there was replaced")),
        (.., false) => Err(StoreError::Unconditional("the version that is there was not replaced")),
        _ => Ok(()),
    }
}

/// What a push did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// So many entries the copy has now.
    pub entries: u64,
    /// Objects written.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Pushed {
    fn add(&mut self, bytes: &[u8]) {
        self.objects += 1;
        self.bytes += bytes.len() as u64;
    }
}

/// Brings the copy up to the ledger's last checkpoint.
pub async fn push<S: Store>(reader: &Reader, store: &Arc<S>) -> Result<Pushed, StoreError> {
    reader.refresh()?;
    let Some(sound) = reader.sound()? else { return Ok(Pushed::default()) };
    let checkpoint = sound.checkpoint();
    let remote = store.get(CHECKPOINT).await?;
    let size = checkpoint.checkpoint.size;
    let note = checkpoint.to_string().into_bytes();
    let before = match &remote {
        // Half of what we wrote: all is looked at again.
        Some(found) if found.bytes.len() < note.len() && note.starts_with(&found.bytes) => 0,
        Some(found) => agreed(reader, &SignedCheckpoint::parse(&found.bytes)?, checkpoint)?,
        None => 0,
    };
    let mut pushed = Pushed { entries: size, ..Pushed::default() };
    let start = reader.start()?;
    // Where nothing is new, what was there once is looked for: somebody may have removed it.
    let mut files = if before == size { lost(store.as_ref(), size).await? } else { tree_files(before, size) };
    // What was pruned before it was copied is in its archive.
    files.retain(|name| {
        start == 0 || !name.starts_with("tile/entries/") || reader.file(name).is_ok_and(|file| file.is_some())
    });
    let growing = reader.growing_packs(size)?;
    let there = there(store.as_ref()).await?;
    let unsent = unsent(reader, &there)?;
    claim(reader, store.as_ref(), checkpoint).await?;
    for (name, bytes) in growing.into_iter().filter(|(name, bytes)| there.get(name) != Some(&(bytes.len() as u64))) {
        pushed.add(&bytes);
        put_once(store.as_ref(), &name, bytes).await?;
    }
    files.extend(unsent);
    put_all(&sound, store, files, &mut pushed).await?;
    if reader.start_as_of(size)? > 0 {
        store.put(PRUNED, reader.file(PRUNED)?.unwrap_or_default(), Condition::None).await?;
    }
    if remote.as_ref().is_none_or(|found| found.bytes != note) {
        let condition = remote.map_or(Condition::Absent, |found| Condition::Is(found.version));
        if !store.put(CHECKPOINT, note.clone(), condition).await? {
            // Ours, of which only the answer was lost?
            let now = store.get(CHECKPOINT).await?.filter(|now| now.bytes != note);
            if let Some(now) = now {
                let other = SignedCheckpoint::parse(&now.bytes)?.checkpoint;
                return Err(StoreError::Conflict(format!("it put a checkpoint of {} entries meanwhile", other.size)));
            }
        }
    }
    for (name, bytes) in reader.cosigned_files(size)? {
        store.put(&name, bytes, Condition::None).await?;
    }
    let needed = tree_files(0, size);
    for name in partial_files(before).into_iter().filter(|name| before < size && !needed.contains(name)) {
        store.delete(&name).await?;
    }
    Ok(pushed)
}

/// Says what the checkpoint will be, where every writer must say it before anything else. Whoever finds another history
/// there has lost.
async fn claim<S: Store>(reader: &Reader, store: &S, ours: &SignedCheckpoint) -> Result<(), StoreError> {
    let note = ours.to_string().into_bytes();
    let found = store.get(NEXT).await?;
    let condition = match &found {
        Some(found) if found.bytes == note => return Ok(()),
        Some(found) => {
            // An upload that broke off, on a server that keeps such, claims nothing: its writer was told that it failed.
            if let Ok(claimed) = SignedCheckpoint::parse(&found.bytes) {
                agreed(reader, &claimed, ours)?;
            }
            Condition::Is(found.version.clone())
        }
        None => Condition::Absent,
    };
    // If it is ours, only the answer was lost.
    if store.put(NEXT, note.clone(), condition).await? || store.get(NEXT).await?.is_some_and(|now| now.bytes == note) {
        return Ok(());
    }
    Err(StoreError::Conflict("it writes there now".to_owned()))
}

/// How many entries the copy has, which must be the first of this log.
fn agreed(reader: &Reader, remote: &SignedCheckpoint, ours: &SignedCheckpoint) -> Result<u64, StoreError> {
    let (remote, ours) = (&remote.checkpoint, &ours.checkpoint);
    if remote.origin != ours.origin {
        return Err(StoreError::Conflict(format!(
            "the log `{}` is there, this one is `{}`",
            remote.origin, ours.origin
        )));
    }
    if remote.size > ours.size {
        return Err(StoreError::Conflict(format!("{} entries are there, this log has {}", remote.size, ours.size)));
    }
    let proof = reader.prove_consistency(remote.size)?;
    if !verify_consistency((remote.size, &remote.root), (ours.size, &ours.root), &proof) {
        return Err(StoreError::Conflict(format!("the {} entries there are of another history", remote.size)));
    }
    Ok(remote.size)
}

/// Removes from the copy what was pruned from the log, as far as the copy's own checkpoint covers the entry that says so.
/// Answers how many objects went.
pub async fn prune<S: Store>(reader: &Reader, store: &Arc<S>) -> Result<u64, StoreError> {
    let found = store.get(CHECKPOINT).await?.ok_or_else(|| StoreError::Missing(CHECKPOINT.to_owned()))?;
    let remote = SignedCheckpoint::parse(&found.bytes)?;
    let Some(checkpoint) = reader.checkpoint() else { return Ok(0) };
    let size = agreed(reader, &remote, &checkpoint)?;
    let mut copied = Vec::new();
    for folder in ["tile/entries", "payloads"] {
        copied.extend(store.list(folder).await?.into_iter().map(|listed| listed.name));
    }
    let gone = reader.pruned_files(size, copied.into_iter())?;
    for name in &gone {
        store.delete(name).await?;
    }
    Ok(gone.len() as u64)
}

/// The lasting files that are in the storage, each with its size.
async fn there<S: Store>(store: &S) -> Result<HashMap<String, u64>, StoreError> {
    let mut there = HashMap::new();
    for folder in ["objects", "payloads", "handover"] {
        there.extend(store.list(folder).await?.into_iter().map(|listed| (listed.name, listed.size_bytes)));
    }
    Ok(there)
}

/// The tiles and bundles of a copy of `size` entries that are not in the storage.
async fn lost<S: Store>(store: &S, size: u64) -> Result<Vec<String>, StoreError> {
    let there: HashSet<String> = store.list("tile").await?.into_iter().map(|listed| listed.name).collect();
    Ok(tree_files(0, size).into_iter().filter(|name| !there.contains(name)).collect())
}

/// Lasting files that are not there yet, or not whole.
fn unsent(reader: &Reader, there: &HashMap<String, u64>) -> Result<Vec<String>, StoreError> {
    let mut unsent = Vec::new();
    for name in reader.lasting_files()? {
        let whole = match there.get(&name) {
            Some(size) => reader.file(&name)?.is_some_and(|bytes| bytes.len() as u64 == *size),
            None => false,
        };
        if !whole {
            unsent.push(name);
        }
    }
    Ok(unsent)
}

async fn put_all<S: Store>(
    sound: &Sound<'_>,
    store: &Arc<S>,
    files: Vec<String>,
    pushed: &mut Pushed,
) -> Result<(), StoreError> {
    let mut running = JoinSet::new();
    for name in files {
        let bytes = sound.file(&name)?;
        pushed.add(&bytes);
        let store = Arc::clone(store);
        running.spawn(async move { put_once(store.as_ref(), &name, bytes).await });
        if running.len() >= AT_ONCE {
            joined(running.join_next().await)?;
        }
    }
    while let Some(done) = running.join_next().await {
        joined(Some(done))?;
    }
    Ok(())
}

fn joined(done: Option<Result<Result<(), StoreError>, tokio::task::JoinError>>) -> Result<(), StoreError> {
    match done {
        Some(Err(error)) => Err(StoreError::Io(io::Error::other(error))),
        Some(Ok(result)) => result,
        None => Ok(()),
    }
}

/// Writes an object that never changes, but that a pack of payloads may grow at its end.
async fn put_once<S: Store>(store: &S, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
    if store.put(name, bytes.clone(), Condition::Absent).await? {
        return Ok(());
    }
    match store.get(name).await? {
        Some(there) if there.bytes == bytes => Ok(()),
        // The beginning of it: a pack that has grown, or an upload that broke off, on a server that keeps such.
        Some(there) if bytes.starts_with(&there.bytes) => {
            let replaced = store.put(name, bytes.clone(), Condition::Is(there.version)).await?;
            // Ours, of which only the answer was lost?
            if replaced || store.get(name).await?.is_some_and(|now| now.bytes == bytes) {
                return Ok(());
            }
            Err(StoreError::Conflict(format!("`{name}` changes")))
        }
        Some(_) => Err(StoreError::Conflict(format!("`{name}` there is of another history"))),
        None => Err(StoreError::Conflict(format!("`{name}` comes and goes"))),
    }
}

/// Makes a directory of the copy: what its checkpoint needs, and all that lies beside. Answers how many entries it has.
/// Nothing is verified here.
pub async fn pull<S: Store>(store: &Arc<S>, dir: &Path) -> Result<u64, StoreError> {
    // Before the checkpoint, which only grows and is written before them: none of them is beyond it.
    let mut cosigned = Vec::new();
    for Listed { name, .. } in store.list("cosigned").await? {
        cosigned.extend(store.get(&name).await?.map(|found| (name, found.bytes)));
    }
    let found = store.get(CHECKPOINT).await?.ok_or_else(|| StoreError::Missing(CHECKPOINT.to_owned()))?;
    let size = SignedCheckpoint::parse(&found.bytes)?.checkpoint.size;
    let mut names = tree_files(0, size);
    names.push(PRUNED.to_owned());
    for folder in ["objects", "payloads", "handover"] {
        names.extend(store.list(folder).await?.into_iter().map(|listed| listed.name));
    }
    create_folder(&dir.join("journal"))?;
    let mut running = JoinSet::new();
    for (name, bytes) in cosigned {
        write(&below(dir, &name)?, &bytes)?;
    }
    for name in names {
        let (store, path) = (Arc::clone(store), below(dir, &name)?);
        running.spawn(async move {
            // Pruned bundles may be missing; `ledger verify` knows which.
            let Some(found) = store.get(&name).await? else { return Ok(()) };
            Ok(write(&path, &found.bytes)?)
        });
        if running.len() >= AT_ONCE {
            joined(running.join_next().await)?;
        }
    }
    while let Some(done) = running.join_next().await {
        joined(Some(done))?;
    }
    write(&dir.join(CHECKPOINT), &found.bytes)?;
    Ok(size)
}

/// Where an object goes. The storage names what is written: nowhere else than below the directory.
fn below(dir: &Path, name: &str) -> Result<PathBuf, StoreError> {
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(StoreError::Address(name.to_owned()));
    }
    Ok(dir.join(name))
}

/// Makes a folder for its owner alone, as those of a log are.
fn create_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file for its owner alone.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    create_folder(path.parent().unwrap_or(path))?;
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}

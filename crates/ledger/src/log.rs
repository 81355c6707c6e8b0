//! The ledger in use: one process, one journal, group commit.
//!
//! Entries go in by [`Ledger::append`] and [`Ledger::intend`]; how they become durable is `commit`'s matter, how they
//! become tiles `keep`'s. One process has the directory; everything else reads.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{broadcast, watch};

use crate::append::{Append, AppendError};
use crate::archive;
use crate::commit::{Haste, Kept, Shared};
use crate::end::Effect;
use crate::handover::HandOverError;
use crate::journal::{HEAD, Kind};
use crate::keyfile::{Held, KeyFile, KeyFileError};
use crate::lock::Lock;
use crate::note::{NoteError, SignedCheckpoint, SigningKey, VerifyingKey};
use crate::payload::{Keys, PAYLOAD_SIZE_MAX, PayloadError};
use crate::read::{self, RawEntries, ReadError, Stored};
use crate::record::{Answered, Intent, Outcome, Payload, Record, Status, Written};
use crate::recover;
use crate::seal::Sealer;
use crate::storage::{Disk, Storage};
use crate::tree::{Hash, leaf_hash};

/// Of so many answers the last are known, to write no second one beside them.
const ANSWERED_MAX: usize = 1_024;

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else has it.
    #[error("the ledger `{dir}` is in use by {holder}")]
    Locked {
        /// The ledger's directory.
        dir: PathBuf,
        /// The other process, as well as it is known.
        holder: String,
    },
    /// Something that was acknowledged or signed is gone or changed. Nothing is written.
    #[error(
        "the ledger is damaged: {0}; `bailiwick ledger verify` shows what, and a new log starts when this directory is moved away"
    )]
    Damaged(String),
    /// The checkpoint is not by this key, or no checkpoint.
    #[error("the ledger's checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// An entry of the log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The file of its key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A rotation of its key was interrupted, and cannot be finished.
    #[error("the rotation of its key cannot be finished: {0}")]
    Rotation(Box<HandOverError>),
    /// An erasure was interrupted, and cannot be finished.
    #[error("an interrupted erasure cannot be finished: {0}")]
    Erasure(#[from] PayloadError),
    /// The storage failed.
    #[error("ledger storage: {0}")]
    Io(#[from] io::Error),
}
/// How a ledger works; the defaults suit a gateway.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time of the entries that opening writes.
    pub now: Timestamp,
    /// The size of a journal segment.
    pub segment_bytes: u64,
    /// Durable entries wait at most so long for a checkpoint; on a slow disk up to ten times as long.
    pub checkpoint_every: Duration,
    /// An outcome waits at most about so long for a sync to ride on.
    pub ride_max: Duration,
    /// So many entries may wait to become durable.
    pub waiting_max: usize,
    /// So many answers may wait for a slow subscriber; beyond it, it is told how many it missed.
    pub subscriber_max: usize,
}

impl Options {
    /// The defaults, at this time.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            segment_bytes: 8 << 20,
            checkpoint_every: Duration::from_secs(1),
            ride_max: Duration::from_millis(10),
            waiting_max: 16_384,
            subscriber_max: 4_096,
        }
    }
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// There was no log before.
    pub created: bool,
    /// Entries found, before those that opening wrote.
    pub entries: u64,
    /// Places in the journal that were torn, cut off.
    pub torn: u64,
    /// Permitted intents without an outcome, which got the outcome `unknown`.
    pub unknown: Vec<u64>,
}

impl Recovery {
    /// Whether the last end was no orderly one.
    pub fn was_needed(&self) -> bool {
        self.torn > 0 || !self.unknown.is_empty()
    }
}

/// An append-only log in a directory. Clones share it; the last one to go seals and closes it.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    _close: Arc<Close>,
}
/// Ends the threads when the last handle goes, then lets go of the lock.
#[derive(Debug)]
struct Close {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    _lock: Option<Lock>,
}

impl Drop for Close {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closing = true;
        self.shared.commit.notify_all();
        self.shared.keep.notify_all();
        drop(state);
        for thread in self.threads.drain(..) {
            _ = thread.join();
        }
    }
}

impl Ledger {
    /// Opens or makes the ledger in this directory. Recovers from whatever end it came to: cuts a torn
    /// tail, gives every permitted intent without outcome the outcome `unknown`, and records both.
    pub fn open(dir: &Path, key: SigningKey, options: Options) -> Result<(Self, Recovery), OpenError> {
        Self::with_storage(
            Arc::new(Disk::new(dir)),
            key,
            options,
            Held { lock: Some(Lock::take(dir)?), key_file: None },
        )
    }

    /// As [`Ledger::open`], with a key from this file.
    pub(crate) fn open_from(
        dir: &Path,
        key: SigningKey,
        options: Options,
        key_file: KeyFile,
    ) -> Result<(Self, Recovery), OpenError> {
        let held = Held { lock: Some(Lock::take(dir)?), key_file: Some(key_file) };
        Self::with_storage(Arc::new(Disk::new(dir)), key, options, held)
    }

    pub(crate) fn with_storage(
        storage: Arc<dyn Storage>,
        key: SigningKey,
        options: Options,
        Held { lock, key_file }: Held,
    ) -> Result<(Self, Recovery), OpenError> {
        let sealer = Sealer::load(Arc::clone(&storage), key)?;
        let (state, sealer, mut recovery) = recover::recover(&storage, sealer, &options)?;
        let unknown: Vec<u64> = state.open.iter().copied().collect();
        let shared = Arc::new(Shared {
            keys: Keys::new(Arc::clone(&storage)),
            storage,
            durable: AtomicU64::new(state.durable),
            state: Mutex::new(state),
            pen: Mutex::default(),
            commit: Condvar::new(),
            keep: Condvar::new(),
            sealed: Condvar::new(),
            answers: broadcast::Sender::new(options.subscriber_max),
            length: watch::Sender::new(0),
            answered: Mutex::default(),
            options,
            signs: Mutex::new(sealer.key().verifying_key()),
            key_file,
            rotating: Mutex::default(),
        });
        let threads = vec![
            spawn("ledger-commit", &shared, Shared::commit_all)?,
            spawn("ledger-keep", &shared, move |shared| shared.keep_all(sealer))?,
        ];
        let ledger = Self { _close: Arc::new(Close { shared: Arc::clone(&shared), threads, _lock: lock }), shared };
        recovery.unknown = unknown;
        ledger.record_opening(&recovery)?;
        Ok((ledger, recovery))
    }

    /// Says in the log itself how it was found.
    fn record_opening(&self, recovery: &Recovery) -> Result<(), OpenError> {
        let now = self.shared.options.now;
        for intent in &recovery.unknown {
            self.append(Record::Outcome(Outcome::bare(*intent, Status::Unknown)), now)?.wait()?;
        }
        self.shared.keys.finish_erasures(|subject, id| self.record_erased(subject, id, now))?;
        let event = match (recovery.created, recovery.was_needed()) {
            (true, _) => "created",
            (false, true) => "recovered",
            (false, false) => "started",
        };
        let mut details = serde_json::Map::new();
        details.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        if recovery.was_needed() {
            details.insert("torn".to_owned(), recovery.torn.into());
            details.insert("unknown".to_owned(), recovery.unknown.len().into());
        }
        self.append(Record::Log { event: event.to_owned(), details }, now)?.wait()?;
        // Nobody need take a log on trust that its key never signed, whatever came of the start before.
        if self.checkpoint().is_none() {
            self.seal()?;
        }
        Ok(())
    }

    fn record_erased(&self, subject: &str, id: Option<&[u8; 16]>, now: Timestamp) -> Result<(), PayloadError> {
        self.append(erased(subject, id), now)?.wait()?;
        Ok(())
    }

    /// Writes a record. The entry is numbered and survives the process when this returns, and is durable
    /// when the [`Append`] gives its [`Receipt`].
    pub fn append(&self, record: Record, now: Timestamp) -> Result<Append, AppendError> {
        let entry = crate::record::Entry { v: 1, time: now, record, unknown: serde_json::Map::new() };
        let haste = if matches!(entry.record, Record::Outcome(_)) { Haste::Rides } else { Haste::Demanded };
        let answer = matches!(entry.record, Record::Answered(_)).then(|| entry.clone());
        let kept = Kept { effect: Effect::of(&entry.record), haste, answer };
        self.shared.accept(&entry, kept)
    }

    /// Writes an answer; `None` if another to the same ask was written a moment ago, which counts. Whoever answers looks into
    /// the log before; but at the console and at an agent's own prompt a person may answer at once, and a second answer is a
    /// fault of the log.
    pub fn answer(&self, answered: Answered, now: Timestamp) -> Result<Option<Append>, AppendError> {
        let mut lately = self.shared.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let ask = answered.ask;
        if lately.contains(&ask) {
            return Ok(None);
        }
        let append = self.append(Record::Answered(answered), now)?;
        lately.push_back(ask);
        if lately.len() > ANSWERED_MAX {
            lately.pop_front();
        }
        Ok(Some(append))
    }

    /// Writes an intent, which the caller is about to wait for: if nobody else syncs and the disk is quick, the
    /// [`Append`] syncs on the thread that first polls it. The intent comes in the caller's own types, which spares
    /// it a way through JSON values. INVARIANT: `permits` says what [`Intent::permits`] will say of the entry.
    pub fn intend<A: Serialize, D: Serialize>(
        &self,
        intent: &Intent<A, D>,
        permits: bool,
        now: Timestamp,
    ) -> Result<Append, AppendError> {
        let entry = Written::new(intent, now);
        let effect = if permits { Effect::Opens } else { Effect::Neither };
        self.shared.accept(&entry, Kept { effect, haste: Haste::Quiet, answer: None })
    }

    /// Keeps bytes outside the log, encrypted under the subject's key. They are durable not later than any
    /// entry appended afterwards.
    pub fn put_payload(&self, subject: &str, bytes: &[u8]) -> Result<Payload, PayloadError> {
        if bytes.len() > PAYLOAD_SIZE_MAX {
            return Err(PayloadError::TooLarge { size: bytes.len() });
        }
        let key = self.shared.keys.get_or_make(subject)?;
        let (digest, body) = key.seal(bytes)?;
        let leaf = leaf_hash(&body);
        let mut frame = vec![0; HEAD];
        frame.extend_from_slice(&body);
        let mut state = self.shared.state();
        state.check(self.shared.options.waiting_max)?;
        let place = state.place(Kind::Payload, leaf, &frame, self.shared.options.segment_bytes);
        let segment = place.segment.number;
        state.payloads.insert(digest, place);
        state.ride(&self.shared.commit);
        drop(state);
        let (digest, subject) = (hex::encode(digest), subject.to_owned());
        Ok(Payload { digest, subject, size_bytes: bytes.len() as u64, segment })
    }

    /// A payload's bytes; `None` if it was erased.
    pub fn payload(&self, payload: &Payload) -> Result<Option<Vec<u8>>, PayloadError> {
        let mut digest = Hash::default();
        let place = match hex::decode_to_slice(&payload.digest, &mut digest) {
            Ok(()) => self.shared.state().payloads.get(&digest).cloned(),
            Err(_) => None,
        };
        match place {
            Some(place) => {
                self.shared.write()?;
                self.shared.keys.open(payload, &place.read()?)
            }
            None => read::payload(self.shared.storage.as_ref(), &self.shared.keys, payload),
        }
    }

    /// The files.
    pub(crate) fn storage(&self) -> &dyn Storage {
        self.shared.storage.as_ref()
    }

    /// The subjects' keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// The public half of the key that signs now.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.shared.signs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn key_file(&self) -> Option<&KeyFile> {
        self.shared.key_file.as_ref()
    }

    /// Whoever has it rotates the key.
    pub(crate) fn rotating(&self) -> MutexGuard<'_, ()> {
        self.shared.rotating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the keeper hand over to a key that a durable entry announces, and waits until that is done.
    pub(crate) fn hand_over_at(&self, next: SigningKey, index: u64) -> Result<(), AppendError> {
        let key = next.verifying_key();
        let mut state = self.shared.state();
        state.heir = Some((next, index));
        state.wake_keeper(&self.shared.keep);
        while self.verifying_key() != key {
            if let Some(reason) = &state.stopped {
                return Err(AppendError::Stopped(Arc::clone(reason)));
            }
            state = self.shared.sealed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Destroys a subject's key, and with it everything kept under it, and records that. Says whether
    /// there was anything to erase. What lies in the subject's key file must be its own key.
    pub fn erase(&self, subject: &str, now: Timestamp) -> Result<bool, PayloadError> {
        if let Some(of) = self.other_owner(subject)? {
            return Err(PayloadError::Exchanged { subject: subject.to_owned(), of });
        }
        self.shared.keys.erase(subject, |subject, id| self.record_erased(subject, id, now))
    }

    /// Whose payloads the key in this subject's file encrypts, if not the subject's own.
    fn other_owner(&self, subject: &str) -> Result<Option<String>, PayloadError> {
        #[derive(serde::Deserialize)]
        struct Refers {
            payload: Option<Payload>,
        }
        let Some(id) = self.shared.keys.id(subject)? else { return Ok(None) };
        self.shared.write()?;
        let sealed = read::sealed_with(self.storage(), &id)?;
        let start = self.start()?;
        for raw in self.raw(start..self.len()) {
            let (_, bytes) = raw.map_err(io::Error::other)?;
            if let Ok(Refers { payload: Some(payload) }) = serde_json::from_slice(&bytes)
                && payload.subject != subject
                && sealed.contains(&payload.digest)
            {
                return Ok(Some(payload.subject));
            }
        }
        Ok(None)
    }

    /// Keeps bytes under their SHA-256, once; they are public to every reader of the log and never erased.
    /// Durable on return.
    pub fn put_object(&self, bytes: &[u8]) -> Result<String, ReadError> {
        let id = hex::encode(crate::tree::sha256(bytes));
        let path = read::object_path(&id).ok_or_else(|| ReadError::Object(id.clone()))?;
        if read::object(self.shared.storage.as_ref(), &id).is_err() {
            self.shared.storage.replace(&path, bytes)?;
        }
        Ok(id)
    }

    /// An object's bytes.
    pub fn object(&self, id: &str) -> Result<Vec<u8>, ReadError> {
        read::object(self.shared.storage.as_ref(), id)
    }

    /// Every answer to an ask that becomes durable from now on, in order. Wakes nobody for anything else; for the rest
    /// there is [`Ledger::length`].
    pub fn answers(&self) -> broadcast::Receiver<Arc<Stored>> {
        self.shared.answers.subscribe()
    }

    /// How many entries are durable, and when that changes.
    pub fn length(&self) -> watch::Receiver<u64> {
        self.shared.length.subscribe()
    }

    /// How many entries are durable.
    pub fn len(&self) -> u64 {
        self.shared.state().durable
    }

    /// Whether there are none. A ledger that is open has at least the entry that says so.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Permitted intents that have no outcome yet.
    pub fn open_intents(&self) -> Vec<u64> {
        self.shared.state().open.iter().copied().collect()
    }

    /// A durable entry.
    pub fn read(&self, index: u64) -> Result<Stored, ReadError> {
        let chunk = self.shared.chunk(index)?;
        let bytes = chunk.first().ok_or(ReadError::Absent { index, len: self.len() })?;
        Stored::parse(index, bytes)
    }

    /// The first entry that is there; those before were pruned.
    pub fn start(&self) -> io::Result<u64> {
        archive::start(self.storage())
    }

    /// Durable entries, in order; those that were not pruned.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = Result<Stored, ReadError>> + '_ {
        let start = archive::start(self.storage()).unwrap_or(0);
        self.raw(range.start.max(start)..range.end.min(self.len())).parsed()
    }

    /// The bytes of durable entries, all of which are there.
    pub(crate) fn raw(&self, range: Range<u64>) -> RawEntries<'_> {
        RawEntries::new(range, Box::new(|index| self.shared.chunk(index)))
    }

    /// The last checkpoint; `None` only before the first seal of a new log.
    pub fn checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.shared.state().checkpoint.clone()
    }

    /// Signs a checkpoint over everything appended so far. Blocks for some milliseconds.
    pub fn seal(&self) -> Result<Arc<SignedCheckpoint>, AppendError> {
        let mut state = self.shared.state();
        let target = state.next;
        if target > state.durable {
            state.demand(target, &self.shared.commit);
        }
        state.seal_demanded = state.seal_demanded.max(target);
        state.wake_keeper(&self.shared.keep);
        loop {
            if let Some(checkpoint) = state.checkpoint.as_ref().filter(|_| state.sealed >= target) {
                return Ok(Arc::clone(checkpoint));
            }
            if let Some(reason) = &state.stopped {
                return Err(AppendError::Stopped(Arc::clone(reason)));
            }
            state = self.shared.sealed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
impl Ledger {
    /// Syncs a group of which another thread wrote the frames, after the group had begun.
    pub(crate) fn sync_what_another_writes(&self) {
        let group = self.shared.state().begin_group();
        _ = self.shared.write();
        self.shared.sync(group);
    }
}

fn erased(subject: &str, key: Option<&[u8; 16]>) -> Record {
    let mut details = serde_json::Map::new();
    details.insert("subject".to_owned(), subject.into());
    details.insert("key".to_owned(), key.map(hex::encode).into());
    Record::Log { event: "erased".to_owned(), details }
}

fn spawn(name: &str, shared: &Arc<Shared>, run: impl FnOnce(&Shared) + Send + 'static) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))
}

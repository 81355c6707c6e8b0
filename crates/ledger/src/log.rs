//! The ledger in use: one process, one journal, group commit.
//!
//! A caller's [`Ledger::append`] makes the entry's bytes and hash on its own thread and, under a lock, gives
//! them their place in the journal. Whoever syncs writes all that has gathered at once, syncs, and wakes
//! everybody whose entry is durable now; meanwhile the next group gathers. While the disk is quick that is the first
//! caller who waits ([`Ledger::intend`]), and after him the first who waits for what gathered meanwhile; else it is
//! the committer thread. Outcomes are waited for by
//! nobody: they are written at once, so that a killed process loses none, and ride on the next sync, or on
//! their own after [`Options::ride_max`]. A keeper thread prepares the next segment before it is needed and
//! seals durable entries into tiles.
//!
//! After a failed write or sync nothing is known about the journal's tail: the ledger refuses everything
//! until it is opened again, which reads what is really there.

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{broadcast, watch};

use crate::archive;
use crate::canonical;
use crate::end::{Committer, Effect, Group, Keeper, Live, Place, State, Waiting, read_places};
use crate::handover::HandOverError;
use crate::journal::{HEAD, Kind};
use crate::keyfile::{Held, KeyFile, KeyFileError};
use crate::lock::Lock;
use crate::note::{NoteError, SignedCheckpoint, SigningKey, VerifyingKey};
use crate::payload::{Keys, PAYLOAD_SIZE_MAX, PayloadError};
use crate::read::{self, JOURNAL, RawEntries, ReadError, Stored, numbered};
use crate::record::{Entry, Intent, Outcome, Payload, Record, Status, Written};
use crate::recover;
use crate::seal::Sealer;
use crate::storage::{Disk, Storage};
use crate::tile::ENTRY_SIZE_MAX;
use crate::tree::{Hash, leaf_hash};

/// A buffer that has grown larger is not kept.
const BUFFER_MAX: usize = 1 << 20;

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
    /// The storage failed.
    #[error("ledger storage: {0}")]
    Io(#[from] io::Error),
}

/// Why an entry was not, or perhaps not, recorded. Whatever waited for it must not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Too many entries wait to become durable.
    #[error("the ledger is busy: {waiting} entries wait to become durable")]
    Full {
        /// How many.
        waiting: usize,
    },
    /// Larger than an entry can be.
    #[error("the entry is too large: {size} bytes > {ENTRY_SIZE_MAX}; keep large values as payloads")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The record is no JSON.
    #[error("the record has no JSON form: {0}")]
    Json(Arc<serde_json::Error>),
    /// An outcome of something that is not open: not permitted, or ended already.
    #[error("intent {0} is not open: it was not permitted, or has an outcome already")]
    NotOpen(u64),
    /// The ledger has failed or is closed; it must be opened again.
    #[error("the ledger has stopped: {0}")]
    Stopped(Arc<str>),
}

/// How a ledger works; the defaults suit a gateway.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time of the entries that opening writes.
    pub now: Timestamp,
    /// The size of a journal segment.
    pub segment_bytes: u64,
    /// Durable entries wait at most so long for a checkpoint.
    pub checkpoint_every: Duration,
    /// An outcome waits at most about so long for a sync to ride on.
    pub ride_max: Duration,
    /// So many entries may wait to become durable.
    pub waiting_max: usize,
    /// So many entries may wait for a slow subscriber; beyond it, it is told how many it missed.
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

/// Proof that an entry is durable. Only the ledger makes one.
#[derive(Debug)]
pub struct Receipt {
    index: u64,
    leaf_hash: Hash,
}

impl Receipt {
    /// The entry's index.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The entry's leaf hash.
    pub fn leaf_hash(&self) -> &Hash {
        &self.leaf_hash
    }
}

/// An entry that is written but perhaps not durable yet. Dropping it does not undo it.
pub struct Append {
    shared: Arc<Shared>,
    index: u64,
    leaf_hash: Hash,
    quiet: Quiet,
}

/// Whether somebody was asked to sync an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quiet {
    /// Nobody yet: whoever waits for it does it himself.
    Unasked,
    /// Whoever waits lets other work on his thread go first, so that their entries share his sync.
    Gathering,
    /// Whoever waits: he must not go before it is done, or say so.
    Asked,
    /// Yes, and whoever waits may go.
    No,
}

impl fmt::Debug for Append {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Append").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Append {
    /// The entry's index.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Waits on this thread until the entry is durable.
    pub fn wait(mut self) -> Result<Receipt, AppendError> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        loop {
            match Pin::new(&mut self).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(result) => return result,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl Future for Append {
    type Output = Result<Receipt, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.quiet == Quiet::Unasked {
            self.quiet = Quiet::Gathering;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.quiet = Quiet::Asked;
        let shared = Arc::clone(&self.shared);
        shared.hasten(self.index);
        let mut state = shared.state();
        if self.index < state.durable {
            self.quiet = Quiet::No;
            return Poll::Ready(Ok(Receipt { index: self.index, leaf_hash: self.leaf_hash }));
        }
        if let Some(reason) = &state.stopped {
            self.quiet = Quiet::No;
            return Poll::Ready(Err(AppendError::Stopped(Arc::clone(reason))));
        }
        let place = (self.index - state.durable) as usize;
        if let Some(waiting) = state.waiting.get_mut(place) {
            waiting.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Append {
    /// Whoever gives up waiting may be the one who was to sync.
    fn drop(&mut self) {
        if self.quiet != Quiet::No {
            self.shared.state().demand(self.index + 1, &self.shared.commit);
        }
    }
}

/// What the handles, the futures and the two threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    storage: Arc<dyn Storage>,
    options: Options,
    keys: Keys,
    /// Held for a few microseconds at a time, never across a sync. Guards the journal's end.
    state: Mutex<State>,
    /// Held while frames are written, and taken before `state`: whoever has it knows that all frames before those
    /// that he finds there are written, or that one was not.
    pen: Mutex<Pen>,
    commit: Condvar,
    keep: Condvar,
    sealed: Condvar,
    news: News,
    /// The key that signs now. Set before `sealed` is told.
    signs: Mutex<VerifyingKey>,
    /// Where the key lies, if it can be rotated.
    key_file: Option<KeyFile>,
    /// Held while the key is rotated: one rotation after the other.
    rotating: Mutex<()>,
}

/// What it takes to write frames.
#[derive(Debug, Default)]
struct Pen {
    /// Of the last write, to be filled again.
    buffer: Vec<u8>,
    /// Why a write failed. Nothing is written, and so nothing synced, after that.
    broken: Option<Arc<str>>,
}

/// Who hears of what became durable.
#[derive(Debug)]
struct News {
    all: broadcast::Sender<Arc<Stored>>,
    answers: broadcast::Sender<Arc<Stored>>,
    length: watch::Sender<u64>,
}

impl News {
    /// Whether anybody wants to hear of such an entry.
    fn wants(&self, is_answer: bool) -> bool {
        self.all.receiver_count() > 0 || (is_answer && self.answers.receiver_count() > 0)
    }

    fn publish(&self, stored: Arc<Stored>) {
        // That nobody listens any more is no error.
        if matches!(stored.entry.record, Record::Answered(_)) {
            _ = self.answers.send(Arc::clone(&stored));
        }
        _ = self.all.send(stored);
    }
}

/// What is kept in memory of an entry that is written.
struct Kept {
    effect: Effect,
    haste: Haste,
    /// The entry itself, if somebody wants to hear of it.
    entry: Option<Entry>,
}

/// When an entry must become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    /// With the next sync, whenever that is.
    Rides,
    /// As soon as the committer can.
    Demanded,
    /// When somebody waits for it.
    Quiet,
}

/// What the keeper does next.
enum Chore {
    Allocate(u64),
    Seal,
    /// The log gets another key, which this entry announces.
    HandOver(SigningKey, u64),
    Leave,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an entry its number and place. `effect` is that of its record.
    fn accept<T: Serialize>(self: &Arc<Self>, entry: &T, kept: Kept) -> Result<Append, AppendError> {
        let mut frame = Vec::with_capacity(2048);
        frame.resize(HEAD, 0);
        let mut frame = canonical::append(entry, frame).map_err(|error| AppendError::Json(Arc::new(error)))?;
        let size = frame.len() - HEAD;
        if size > ENTRY_SIZE_MAX {
            return Err(AppendError::TooLarge { size });
        }
        let leaf = leaf_hash(frame.get(HEAD..).unwrap_or_default());

        let mut state = self.state();
        state.check(self.options.waiting_max)?;
        if let Effect::Closes(intent) = kept.effect
            && !state.open.contains(&intent)
        {
            return Err(AppendError::NotOpen(intent));
        }
        let index = state.next;
        let place = state.place(Kind::Entry, leaf, &mut frame, self.options.segment_bytes);
        state.next += 1;
        state.tail.push_back((place, kept.effect));
        kept.effect.apply(index, &mut state.open);
        let stored = kept.entry.map(|entry| Arc::new(Stored { index, entry }));
        state.waiting.push_back(Waiting { waker: None, stored });
        if state.spare.is_none() {
            state.wake_keeper(&self.keep);
        }
        match kept.haste {
            Haste::Rides => state.ride(&self.commit),
            Haste::Demanded => state.demand(index + 1, &self.commit),
            Haste::Quiet => {}
        }
        drop(state);
        if kept.haste == Haste::Rides {
            // Nobody waits for it, so nobody else would see to it that a killed process loses nothing.
            self.write()?;
        }
        let quiet = if kept.haste == Haste::Quiet { Quiet::Unasked } else { Quiet::No };
        Ok(Append { shared: Arc::clone(self), index, leaf_hash: leaf, quiet })
    }

    /// Writes every frame that has its place.
    fn write(&self) -> Result<(), AppendError> {
        let mut pen = self.pen.lock().unwrap_or_else(PoisonError::into_inner);
        // The frames that somebody waits for may have been another thread's to write.
        if let Some(reason) = &pen.broken {
            return Err(AppendError::Stopped(Arc::clone(reason)));
        }
        let mut unwritten = {
            let mut state = self.state();
            if pen.buffer.capacity() > 0 {
                state.buffer = std::mem::take(&mut pen.buffer);
            }
            std::mem::take(&mut state.unwritten)
        };
        let written = unwritten.iter().try_for_each(|part| part.segment.file.write(&part.bytes, part.offset));
        if let Some(last) = unwritten.pop().filter(|last| last.bytes.capacity() <= BUFFER_MAX) {
            pen.buffer = last.bytes;
            pen.buffer.clear();
        }
        written.map_err(|error| {
            let reason = self.state().stop(&format!("journal: {error}"));
            pen.broken = Some(Arc::clone(&reason));
            AppendError::Stopped(reason)
        })
    }

    /// Somebody waits for an entry. If nobody syncs and the disk is quick, this thread does it: that is cheaper
    /// than to wake the committer and be woken again. One sync at most; what gathers meanwhile is for the first who
    /// waits for it ([`State::end_group`]).
    fn hasten(&self, index: u64) {
        let mut state = self.state();
        if state.durable > index || state.stopped.is_some() {
            return;
        }
        if !state.may_sync_here() {
            return state.demand(index + 1, &self.commit);
        }
        state.demanded = state.demanded.max(index + 1);
        let group = state.begin_group();
        drop(state);
        self.sync(group);
    }

    /// Makes a group durable and wakes who waits for it.
    fn sync(&self, group: Group) {
        let began = Instant::now();
        // Oldest first: a later segment's frame is never durable before an earlier one's.
        let synced = self.write().and_then(|()| {
            let synced = group.segments.iter().try_for_each(|segment| segment.file.sync());
            // Never tried again: after a failed sync the kernel may have dropped the pages and say yes.
            synced.map_err(|error| AppendError::Stopped(self.state().stop(&format!("journal: {error}"))))
        });
        self.committed(group.end, synced.is_ok(), began.elapsed());
    }

    /// Waits for something to sync. `None`: no more.
    fn next_group(&self) -> Option<Group> {
        let mut state = self.state();
        let mut rode = false;
        loop {
            if state.syncing {
                state.committer = Committer::Idle;
                state = self.commit.wait(state).unwrap_or_else(PoisonError::into_inner);
                rode = false;
                continue;
            }
            if state.stopped.is_some() {
                return None;
            }
            if !state.dirty.is_empty() && (state.demanded > state.durable || state.closing || rode) {
                state.committer = Committer::Busy;
                return Some(state.begin_group());
            }
            if state.closing {
                return None;
            }
            if rode {
                state.committer = Committer::Idle;
                state = self.commit.wait(state).unwrap_or_else(PoisonError::into_inner);
                rode = false;
            } else {
                state.committer = Committer::Riding;
                let waited = self.commit.wait_timeout(state, self.options.ride_max);
                let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                state = again;
                rode = timeout.timed_out();
            }
        }
    }

    fn commit_all(&self) {
        while let Some(group) = self.next_group() {
            self.sync(group);
        }
        self.fail_waiting();
    }

    fn committed(&self, end: u64, synced: bool, took: Duration) {
        let mut state = self.state();
        let mut done = Vec::new();
        if synced {
            let count = (end - state.durable) as usize;
            done.extend(state.waiting.drain(..count));
            state.durable = end;
            state.sync_took = took;
            let urgent = state.seal_demanded > state.sealed || !state.closed.is_empty();
            if state.keeper == Keeper::Idle || urgent {
                state.wake_keeper(&self.keep);
            }
            // With the lock held, so that subscribers hear of one group after the other.
            done.iter_mut().filter_map(|waiting| waiting.stored.take()).for_each(|stored| self.news.publish(stored));
            self.news.length.send_replace(end);
        }
        let next = state.end_group(&self.commit);
        drop(state);
        done.into_iter().filter_map(|waiting: Waiting| waiting.waker).chain(next).for_each(Waker::wake);
    }

    /// Wakes everybody who still waits when the committer leaves, so that they see why.
    fn fail_waiting(&self) {
        let mut state = self.state();
        state.stop("it is closed");
        let wakers: Vec<Waker> = state.waiting.iter_mut().filter_map(|waiting| waiting.waker.take()).collect();
        state.wake_keeper(&self.keep);
        self.sealed.notify_all();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn next_chore(&self, due: &mut Option<Instant>) -> Chore {
        let mut state = self.state();
        loop {
            state.keeper = Keeper::Busy;
            let unsealed = state.durable > state.sealed;
            let failed = state.stopped.is_some() && !state.closing;
            // Closing: the committer says `stopped` when all is durable, and only then the last seal is due.
            if failed || (state.closing && state.stopped.is_some() && !unsealed) {
                return Chore::Leave;
            }
            if let Some((next, index)) = state.heir.take() {
                return Chore::HandOver(next, index);
            }
            if state.spare.is_none() && !state.closing {
                state.number += 1;
                return Chore::Allocate(state.number - 1);
            }
            let demanded = state.seal_demanded > state.sealed && state.durable >= state.seal_demanded;
            let full = state.closed.first().is_some_and(|(_, end)| *end <= state.durable);
            let now = Instant::now();
            let overdue = due.is_some_and(|due| due <= now);
            if unsealed && (demanded || full || overdue || state.stopped.is_some()) {
                *due = None;
                return Chore::Seal;
            }
            if unsealed && !state.closing {
                let until = *due.get_or_insert(now + self.options.checkpoint_every);
                state.keeper = Keeper::Patient;
                state = self.keep.wait_timeout(state, until - now).unwrap_or_else(PoisonError::into_inner).0;
            } else {
                state.keeper = Keeper::Idle;
                state = self.keep.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn keep_all(&self, mut sealer: Sealer) {
        let mut due = None;
        loop {
            let done = match self.next_chore(&mut due) {
                Chore::Leave => break,
                Chore::Allocate(number) => self.allocate(number),
                Chore::Seal => self.seal(&mut sealer),
                Chore::HandOver(next, index) => self.hand_over(&mut sealer, next, index),
            };
            if let Err(error) = done {
                self.state().stop(&format!("sealing: {error}"));
                self.commit.notify_one();
                break;
            }
        }
        self.sealed.notify_all();
    }

    fn allocate(&self, number: u64) -> io::Result<()> {
        let file = self.storage.allocate(&numbered(JOURNAL, number), self.options.segment_bytes)?;
        self.state().spare = Some(Arc::new(Live { number, file }));
        Ok(())
    }

    /// Seals everything durable, then retires the segments that are no longer needed.
    fn seal(&self, sealer: &mut Sealer) -> io::Result<()> {
        let (places, open) = self.state().sealable();
        let checkpoint = sealer.seal(read_places(&places), &open)?;
        let mut state = self.state();
        state.sealed = checkpoint.checkpoint.size;
        state.tail.drain(..places.len());
        state.checkpoint = Some(checkpoint);
        let sealed = state.sealed;
        let retired: Vec<Arc<Live>> =
            state.closed.extract_if(.., |(_, end)| *end <= sealed).map(|(live, _)| live).collect();
        self.sealed.notify_all();
        drop(state);
        // Not before the state has the new size: `chunk` takes a partial bundle that is gone while its
        // checkpoint is still the last one for damage.
        sealer.tidy()?;
        if !retired.is_empty() {
            // The payload of an entry that is not durable yet may have its place in a segment that is over.
            self.write().map_err(io::Error::other)?;
        }
        for segment in &retired {
            self.retire(segment)?;
        }
        Ok(())
    }

    /// Seals everything durable under the old key, then signs with the new one.
    fn hand_over(&self, sealer: &mut Sealer, next: SigningKey, index: u64) -> io::Result<()> {
        self.seal(sealer)?;
        let entry = self.chunk(index).map_err(io::Error::other)?.into_iter().next().unwrap_or_default();
        let checkpoint = sealer.hand_over(next, index, entry)?;
        *self.signs.lock().unwrap_or_else(PoisonError::into_inner) = sealer.key().verifying_key();
        self.state().checkpoint = Some(checkpoint);
        self.sealed.notify_all();
        Ok(())
    }

    /// Keeps the payloads of a segment whose entries are all sealed, then removes it.
    fn retire(&self, segment: &Live) -> io::Result<()> {
        recover::retire(self.storage.as_ref(), segment.number)?;
        self.state().payloads.retain(|_, place| place.segment.number != segment.number);
        self.storage.remove(&[segment.path()])
    }

    fn chunk(&self, index: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        let state = self.state();
        let (sealed, durable) = (state.sealed, state.durable);
        if index >= durable {
            return Err(ReadError::Absent { index, len: durable });
        }
        if index >= sealed {
            let places = state.tail.range((index - sealed) as usize..(durable - sealed) as usize);
            let places: Vec<Place> = places.take(256).map(|(place, _)| place.clone()).collect();
            drop(state);
            let bodies = places.iter().map(Place::read).collect::<io::Result<_>>();
            // Sealed meanwhile: the segment may be gone, and what was read from it is nothing.
            if self.state().sealed > index {
                return self.chunk(index);
            }
            return Ok(bodies?);
        }
        drop(state);
        let chunk = read::sealed_chunk(self.storage.as_ref(), index, sealed);
        if matches!(chunk, Err(ReadError::Damaged(_))) && self.state().sealed > sealed {
            return self.chunk(index);
        }
        chunk.map_err(|error| read::or_pruned(self.storage.as_ref(), index, error))
    }
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
            state: Mutex::new(state),
            pen: Mutex::default(),
            commit: Condvar::new(),
            keep: Condvar::new(),
            sealed: Condvar::new(),
            news: News {
                all: broadcast::Sender::new(options.subscriber_max),
                answers: broadcast::Sender::new(options.subscriber_max),
                length: watch::Sender::new(0),
            },
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
        for (path, id) in self.shared.keys.interrupted()? {
            self.append(erased("", id.as_ref()), now)?.wait()?;
            self.shared.storage.remove(&[path])?;
        }
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
        if recovery.created {
            self.seal()?;
        }
        Ok(())
    }

    /// Writes a record. The entry is numbered and survives the process when this returns, and is durable
    /// when the [`Append`] gives its [`Receipt`].
    pub fn append(&self, record: Record, now: Timestamp) -> Result<Append, AppendError> {
        let entry = Entry { v: 1, time: now, record, unknown: serde_json::Map::new() };
        let haste = if matches!(entry.record, Record::Outcome(_)) { Haste::Rides } else { Haste::Demanded };
        let watched = self.shared.news.wants(matches!(entry.record, Record::Answered(_)));
        let kept = Kept { effect: Effect::of(&entry.record), haste, entry: watched.then(|| entry.clone()) };
        self.shared.accept(&entry, kept)
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
        let watched = self.shared.news.wants(false).then(|| entry.read());
        let watched = watched.transpose().map_err(|error| AppendError::Json(Arc::new(error)))?;
        self.shared.accept(&entry, Kept { effect, haste: Haste::Quiet, entry: watched })
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
        let place = state.place(Kind::Payload, leaf, &mut frame, self.shared.options.segment_bytes);
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
    /// there was anything to erase.
    pub fn erase(&self, subject: &str, now: Timestamp) -> Result<bool, PayloadError> {
        self.shared.keys.erase(subject, |id| {
            self.append(erased(subject, Some(id)), now)?.wait()?;
            Ok(())
        })
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

    /// Every entry from now on, once it is durable, in order.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Stored>> {
        self.shared.news.all.subscribe()
    }

    /// Every answer to an ask from now on, once it is durable, in order. Wakes nobody for anything else.
    pub fn answers(&self) -> broadcast::Receiver<Arc<Stored>> {
        self.shared.news.answers.subscribe()
    }

    /// How many entries are durable, and when that changes.
    pub fn length(&self) -> watch::Receiver<u64> {
        self.shared.news.length.subscribe()
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
        read::parse(index, bytes)
    }

    /// Durable entries, in order; those that were not pruned.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = Result<Stored, ReadError>> + '_ {
        let start = archive::start(self.storage()).unwrap_or(0);
        let range = range.start.max(start)..range.end.min(self.len());
        RawEntries::new(range, Box::new(|index| self.shared.chunk(index))).parsed()
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

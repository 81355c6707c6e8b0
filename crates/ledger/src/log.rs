//! The ledger in use: one process, one journal, group commit.
//!
//! A caller's [`Ledger::append`] makes the entry's bytes and hash on its own thread and writes the frame
//! into the journal under a lock: from then on a killed process loses nothing. One committer thread syncs
//! whatever was written whenever somebody waits for it, and wakes everybody whose entry it made durable;
//! while it syncs, the next group gathers. Outcomes are waited for by nobody, so they ride on the next sync,
//! or on their own after [`Options::ride_max`]. A keeper thread prepares the next segment before it is
//! needed and seals durable entries into tiles.
//!
//! After a failed write or sync nothing is known about the journal's tail: the ledger refuses everything
//! until it is opened again, which reads what is really there.

use std::collections::{BTreeSet, HashMap, VecDeque};
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
use tokio::sync::broadcast;

use crate::canonical;
use crate::journal::{self, HEAD, Head, Kind};
use crate::lock::Lock;
use crate::note::{NoteError, SignedCheckpoint, SigningKey};
use crate::payload::{Keys, PAYLOAD_SIZE_MAX, PayloadError};
use crate::read::{self, JOURNAL, PAYLOADS, RawEntries, ReadError, Stored, numbered};
use crate::record::{Entry, Outcome, Payload, Record, Status};
use crate::recover;
use crate::seal::Sealer;
use crate::storage::{Disk, Segment, Storage};
use crate::tile::ENTRY_SIZE_MAX;
use crate::tree::{Hash, leaf_hash};

/// So many durable entries may wait to be sealed, should tiles be slower than the journal.
const UNSEALED_MAX: usize = 1 << 20;

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

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.state();
        if self.index < state.durable {
            return Poll::Ready(Ok(Receipt { index: self.index, leaf_hash: self.leaf_hash }));
        }
        if let Some(reason) = &state.stopped {
            return Poll::Ready(Err(AppendError::Stopped(Arc::clone(reason))));
        }
        let place = (self.index - state.durable) as usize;
        if let Some(waiting) = state.waiting.get_mut(place) {
            waiting.waker = Some(context.waker().clone());
        }
        state.demand(self.index + 1, &self.shared.commit);
        Poll::Pending
    }
}

/// A journal segment in use.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn Segment>,
}

impl Live {
    fn path(&self) -> String {
        numbered(JOURNAL, self.number)
    }
}

/// Where a frame's body lies in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) segment: Arc<Live>,
    /// Of the body.
    pub(crate) offset: u64,
    pub(crate) size: u32,
}

impl Place {
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        self.segment.file.read(self.offset, self.size as usize)
    }
}

/// What an entry does to the set of open intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Opens,
    Closes(u64),
    Neither,
}

impl Effect {
    pub(crate) fn of(record: &Record) -> Self {
        match record {
            Record::Intent(intent) if intent.permits() => Self::Opens,
            Record::Outcome(outcome) => Self::Closes(outcome.intent),
            _ => Self::Neither,
        }
    }

    pub(crate) fn apply(self, index: u64, open: &mut BTreeSet<u64>) {
        match self {
            Self::Opens => _ = open.insert(index),
            Self::Closes(intent) => _ = open.remove(&intent),
            Self::Neither => {}
        }
    }
}

/// An entry that is not durable yet.
#[derive(Debug, Default)]
struct Waiting {
    waker: Option<Waker>,
    stored: Option<Arc<Stored>>,
}

/// What the committer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Committer {
    /// Nothing was written since the last sync: it must be woken.
    Idle,
    /// It will look by itself within `ride_max`.
    Riding,
    /// It syncs, and will look again.
    Busy,
}

/// What the keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeper {
    /// There is nothing to seal.
    Idle,
    /// It will seal when that is due.
    Patient,
    /// It works, and will look again.
    Busy,
}

/// The journal's end, and all that waits for something.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) segment: Arc<Live>,
    /// Where the next frame goes.
    pub(crate) position: u64,
    /// The next segment, if it is ready.
    pub(crate) spare: Option<Arc<Live>>,
    /// Segments before the current one, each with the index of the entry that came after it.
    pub(crate) closed: Vec<(Arc<Live>, u64)>,
    /// The number of the next segment to be made.
    pub(crate) number: u64,
    /// The index of the next entry.
    pub(crate) next: u64,
    /// So many entries are durable.
    pub(crate) durable: u64,
    /// So many entries are sealed.
    pub(crate) sealed: u64,
    /// Entries `sealed..next`: where they are, and what they do.
    pub(crate) tail: VecDeque<(Place, Effect)>,
    /// Payloads that still lie in the journal, by digest.
    pub(crate) payloads: HashMap<Hash, Place>,
    /// Permitted intents without outcome, as of `next`.
    pub(crate) open: BTreeSet<u64>,
    /// Segments written to since the last sync, oldest first.
    pub(crate) dirty: Vec<Arc<Live>>,
    /// Somebody waits until so many entries are durable.
    demanded: u64,
    /// Somebody waits until so many entries are sealed.
    seal_demanded: u64,
    /// Entries `durable..next`.
    waiting: VecDeque<Waiting>,
    committer: Committer,
    keeper: Keeper,
    /// No more entries; the committer and the keeper finish.
    closing: bool,
    stopped: Option<Arc<str>>,
    pub(crate) checkpoint: Option<Arc<SignedCheckpoint>>,
}

impl State {
    pub(crate) fn new(segment: Arc<Live>, number: u64, sealed: u64) -> Self {
        Self {
            segment,
            position: 0,
            spare: None,
            closed: Vec::new(),
            number,
            next: sealed,
            durable: sealed,
            sealed,
            tail: VecDeque::new(),
            payloads: HashMap::new(),
            open: BTreeSet::new(),
            dirty: Vec::new(),
            demanded: 0,
            seal_demanded: 0,
            waiting: VecDeque::new(),
            committer: Committer::Busy,
            keeper: Keeper::Busy,
            closing: false,
            stopped: None,
            checkpoint: None,
        }
    }

    fn demand(&mut self, entries: u64, commit: &Condvar) {
        self.demanded = self.demanded.max(entries);
        if self.committer != Committer::Busy {
            self.committer = Committer::Busy;
            commit.notify_one();
        }
    }

    /// Makes sure that something written will be synced before long.
    fn ride(&mut self, commit: &Condvar) {
        if self.committer == Committer::Idle {
            self.committer = Committer::Busy;
            commit.notify_one();
        }
    }

    fn wake_keeper(&mut self, keep: &Condvar) {
        if self.keeper != Keeper::Busy {
            self.keeper = Keeper::Busy;
            keep.notify_one();
        }
    }

    /// Writes a frame at the journal's end. INVARIANT: only with the lock held, so frames have no gaps and
    /// entries stand in the order of their indexes.
    fn write(&mut self, kind: Kind, digest: Hash, frame: &mut Vec<u8>, segment_bytes: u64) -> io::Result<Place> {
        let body = frame.len() - HEAD;
        // Padding is written, too: where the segment has grown, there are no zeros yet.
        frame.resize(journal::frame_size(body), 0);
        let size = frame.len() as u64;
        if self.position > 0 && self.position + size > segment_bytes {
            // Without a spare the segment grows: each sync costs more then, but nobody waits for a new one.
            if let Some(spare) = self.spare.take() {
                let full = std::mem::replace(&mut self.segment, spare);
                self.closed.push((full, self.next));
                self.position = 0;
            }
        }
        let body = body as u32;
        Head { kind, size: body, index: self.next, durable: self.durable, digest }.write(frame);
        self.segment.file.write(frame, self.position)?;
        if self.dirty.last().is_none_or(|last| last.number != self.segment.number) {
            self.dirty.push(Arc::clone(&self.segment));
        }
        let place = Place { segment: Arc::clone(&self.segment), offset: self.position + HEAD as u64, size: body };
        self.position += size;
        Ok(place)
    }

    fn stop(&mut self, reason: &str) -> Arc<str> {
        Arc::clone(self.stopped.get_or_insert_with(|| Arc::from(reason)))
    }

    fn check(&self, waiting_max: usize) -> Result<(), AppendError> {
        match &self.stopped {
            Some(reason) => Err(AppendError::Stopped(Arc::clone(reason))),
            None if self.waiting.len() >= waiting_max => Err(AppendError::Full { waiting: self.waiting.len() }),
            None if self.tail.len() >= UNSEALED_MAX => Err(AppendError::Full { waiting: self.tail.len() }),
            None => Ok(()),
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
    commit: Condvar,
    keep: Condvar,
    sealed: Condvar,
    publish: broadcast::Sender<Arc<Stored>>,
}

/// A group to be synced.
struct Group {
    segments: Vec<Arc<Live>>,
    end: u64,
}

/// What the keeper does next.
enum Chore {
    Allocate(u64),
    Seal,
    Leave,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, entry: Entry) -> Result<Append, AppendError> {
        let mut frame = Vec::with_capacity(1024);
        frame.resize(HEAD, 0);
        let mut frame = canonical::append(&entry, frame).map_err(|error| AppendError::Json(Arc::new(error)))?;
        let size = frame.len() - HEAD;
        if size > ENTRY_SIZE_MAX {
            return Err(AppendError::TooLarge { size });
        }
        let leaf = leaf_hash(frame.get(HEAD..).unwrap_or_default());
        let effect = Effect::of(&entry.record);
        let rides = matches!(entry.record, Record::Outcome(_));
        let watched = (self.publish.receiver_count() > 0).then_some(entry);

        let mut state = self.state();
        state.check(self.options.waiting_max)?;
        if let Effect::Closes(intent) = effect
            && !state.open.contains(&intent)
        {
            return Err(AppendError::NotOpen(intent));
        }
        let index = state.next;
        let place = state.write(Kind::Entry, leaf, &mut frame, self.options.segment_bytes);
        let place = place.map_err(|error| AppendError::Stopped(state.stop(&format!("journal: {error}"))))?;
        state.next += 1;
        state.tail.push_back((place, effect));
        effect.apply(index, &mut state.open);
        let stored = watched.map(|entry| Arc::new(Stored { index, entry }));
        state.waiting.push_back(Waiting { waker: None, stored });
        if state.spare.is_none() {
            state.wake_keeper(&self.keep);
        }
        if rides {
            state.ride(&self.commit);
        } else {
            state.demand(index + 1, &self.commit);
        }
        drop(state);
        Ok(Append { shared: Arc::clone(self), index, leaf_hash: leaf })
    }

    /// Waits for something to sync. `None`: no more.
    fn next_group(&self) -> Option<Group> {
        let mut state = self.state();
        let mut rode = false;
        loop {
            if state.stopped.is_some() {
                return None;
            }
            if !state.dirty.is_empty() && (state.demanded > state.durable || state.closing || rode) {
                state.committer = Committer::Busy;
                return Some(Group { segments: std::mem::take(&mut state.dirty), end: state.next });
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
            // Oldest first: a later segment's frame is never durable before an earlier one's.
            let synced = group.segments.iter().try_for_each(|segment| segment.file.sync());
            self.committed(group.end, synced);
        }
        self.fail_waiting();
    }

    fn committed(&self, end: u64, synced: io::Result<()>) {
        let mut state = self.state();
        if let Err(error) = synced {
            // Never tried again: after a failed sync the kernel may have dropped the pages and say yes.
            state.stop(&format!("journal: {error}"));
            return;
        }
        let count = (end - state.durable) as usize;
        let done: Vec<Waiting> = state.waiting.drain(..count).collect();
        state.durable = end;
        let urgent = state.seal_demanded > state.sealed || !state.closed.is_empty();
        if state.keeper == Keeper::Idle || urgent {
            state.wake_keeper(&self.keep);
        }
        drop(state);
        for waiting in done {
            if let Some(stored) = waiting.stored {
                _ = self.publish.send(stored);
            }
            if let Some(waker) = waiting.waker {
                waker.wake();
            }
        }
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
        let checkpoint = sealer.seal(places.iter().map(Place::read), &open)?;
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
        for segment in &retired {
            self.retire(segment)?;
        }
        Ok(())
    }

    /// Keeps the payloads of a segment whose entries are all sealed, then removes it.
    fn retire(&self, segment: &Live) -> io::Result<()> {
        retire(self.storage.as_ref(), segment.number)?;
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
            return Ok(places.iter().map(Place::read).collect::<io::Result<_>>()?);
        }
        drop(state);
        let chunk = read::sealed_chunk(self.storage.as_ref(), index, sealed);
        if matches!(chunk, Err(ReadError::Damaged(_))) && self.state().sealed > sealed {
            return self.chunk(index);
        }
        chunk
    }
}

impl State {
    /// The durable entries that are not sealed, and the intents open after the last of them.
    fn sealable(&self) -> (Vec<Place>, BTreeSet<u64>) {
        let count = (self.durable - self.sealed) as usize;
        let places = self.tail.iter().take(count).map(|(place, _)| place.clone()).collect();
        // Take back what entries that are not durable yet have done.
        let mut open = self.open.clone();
        for (_, effect) in self.tail.iter().skip(count) {
            if let Effect::Closes(intent) = effect {
                open.insert(*intent);
            }
        }
        (places, open.range(..self.durable).copied().collect())
    }
}

/// Copies the payloads of a journal segment to their permanent place, frame by frame.
pub(crate) fn retire(storage: &dyn Storage, number: u64) -> io::Result<()> {
    let Some(segment) = storage.read(&numbered(JOURNAL, number))? else { return Ok(()) };
    let frames = journal::scan(&segment).frames;
    let payloads = frames.iter().filter(|found| found.head.kind == Kind::Payload);
    let pack: Vec<&[u8]> = payloads
        .filter_map(|found| {
            let start = found.offset as usize;
            segment.get(start..start + journal::frame_size(found.head.size as usize))
        })
        .collect();
    if pack.is_empty() {
        return Ok(());
    }
    // Whole or not there: `verify` may be reading.
    storage.replace(&numbered(PAYLOADS, number), &pack.concat())
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
        let lock = Lock::take(dir)?;
        Self::with_storage(Arc::new(Disk::new(dir)), key, options, Some(lock))
    }

    pub(crate) fn with_storage(
        storage: Arc<dyn Storage>,
        key: SigningKey,
        options: Options,
        lock: Option<Lock>,
    ) -> Result<(Self, Recovery), OpenError> {
        let sealer = Sealer::load(Arc::clone(&storage), key)?;
        let (state, sealer, mut recovery) = recover::recover(&storage, sealer, &options)?;
        let unknown: Vec<u64> = state.open.iter().copied().collect();
        let shared = Arc::new(Shared {
            keys: Keys::new(Arc::clone(&storage)),
            storage,
            state: Mutex::new(state),
            commit: Condvar::new(),
            keep: Condvar::new(),
            sealed: Condvar::new(),
            publish: broadcast::Sender::new(options.subscriber_max),
            options,
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
        self.shared.accept(Entry { v: 1, time: now, record, unknown: serde_json::Map::new() })
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
        let place = state.write(Kind::Payload, leaf, &mut frame, self.shared.options.segment_bytes);
        let place = place.map_err(|error| AppendError::Stopped(state.stop(&format!("journal: {error}"))))?;
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
            Some(place) => self.shared.keys.open(payload, &place.read()?),
            None => read::payload(self.shared.storage.as_ref(), &self.shared.keys, payload),
        }
    }

    /// The subjects' keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.shared.keys
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
        self.shared.publish.subscribe()
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

    /// Durable entries, in order.
    pub fn range(&self, range: Range<u64>) -> impl Iterator<Item = Result<Stored, ReadError>> + '_ {
        let range = range.start..range.end.min(self.len());
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

//! The journal's end, in memory: what is appended and not yet written, durable or sealed, and who waits for
//! which. It never does a write or a sync itself; `log` does, and says so here.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar};
use std::task::Waker;
use std::time::Duration;

use crate::AppendError;
use crate::journal::{self, HEAD, Head, Kind};
use crate::note::{SignedCheckpoint, SigningKey};
use crate::read::{JOURNAL, Stored, numbered};
use crate::record::Record;
use crate::storage::Segment;
use crate::tree::Hash;

/// So many durable entries may wait to be sealed, should tiles be slower than the journal.
const UNSEALED_MAX: usize = 1 << 20;
/// The journal is read back in pieces of about this size.
const READ_BYTES: u64 = 1 << 18;

/// A caller syncs by itself only where the last sync took no longer: it must not hold up other work on its thread.
const SYNC_HERE_MAX: Duration = Duration::from_micros(500);

/// A journal segment in use.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn Segment>,
}

impl Live {
    pub(crate) fn path(&self) -> String {
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
    /// The body's leaf hash.
    pub(crate) digest: Hash,
}

impl Place {
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        self.segment.file.read(self.offset, self.size as usize)
    }

    /// Where the whole frame lies, with its head and padding.
    fn frame(&self) -> Range<u64> {
        let start = self.offset - HEAD as u64;
        start..start + journal::frame_size(self.size as usize) as u64
    }
}

/// Takes the frames at these places, which follow each other more or less closely, in order: many with
/// one read.
pub(crate) fn read_frames(places: &[Place], mut each: impl FnMut(&[u8], &Place) -> io::Result<()>) -> io::Result<()> {
    let pieces = places.chunk_by(|one, next| {
        let same = one.segment.number == next.segment.number;
        same && one.offset / READ_BYTES == next.offset / READ_BYTES
    });
    let mut bytes = Vec::new();
    for piece in pieces {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { continue };
        let (start, end) = (first.frame().start, last.frame().end);
        first.segment.file.read_into(start, (end - start) as usize, &mut bytes)?;
        for place in piece {
            let lies = place.frame();
            let frame = bytes.get((lies.start - start) as usize..(lies.end - start) as usize);
            each(frame.ok_or(io::ErrorKind::UnexpectedEof)?, place)?;
        }
    }
    Ok(())
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
pub(crate) struct Waiting {
    pub(crate) waker: Option<Waker>,
    /// The entry itself, if it is an answer.
    pub(crate) answer: Option<Arc<Stored>>,
}

/// What the committer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committer {
    /// Nothing was written since the last sync: it must be woken.
    Idle,
    /// It will look by itself within `ride_max`.
    Riding,
    /// It syncs, and will look again.
    Busy,
}

/// What the keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
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
    /// Frames that have their place and are not written yet.
    pub(crate) unwritten: Vec<Unwritten>,
    /// For the next of them.
    pub(crate) buffer: Vec<u8>,
    /// Segments with frames since the last sync, oldest first.
    pub(crate) dirty: Vec<Arc<Live>>,
    /// Somebody syncs.
    pub(crate) syncing: bool,
    /// How long the last sync took.
    pub(crate) sync_took: Duration,
    /// Somebody waits until so many entries are durable.
    pub(crate) demanded: u64,
    /// Somebody waits until so many entries are sealed.
    pub(crate) seal_demanded: u64,
    /// Entries `durable..next`.
    pub(crate) waiting: VecDeque<Waiting>,
    pub(crate) committer: Committer,
    pub(crate) keeper: Keeper,
    /// No more entries; the committer and the keeper finish.
    pub(crate) closing: bool,
    pub(crate) stopped: Option<Arc<str>>,
    pub(crate) checkpoint: Option<Arc<SignedCheckpoint>>,
    /// The key that is to sign next, and the entry that announces it.
    pub(crate) heir: Option<(SigningKey, u64)>,
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
            unwritten: Vec::new(),
            buffer: Vec::new(),
            dirty: Vec::new(),
            syncing: false,
            sync_took: Duration::ZERO,
            demanded: 0,
            seal_demanded: 0,
            waiting: VecDeque::new(),
            committer: Committer::Busy,
            keeper: Keeper::Busy,
            closing: false,
            stopped: None,
            checkpoint: None,
            heir: None,
        }
    }

    pub(crate) fn demand(&mut self, entries: u64, commit: &Condvar) {
        self.demanded = self.demanded.max(entries);
        // Whoever syncs looks again when he is done.
        if !self.syncing {
            self.wake_committer(commit);
        }
    }

    /// Makes sure that something written will be synced before long.
    pub(crate) fn ride(&mut self, commit: &Condvar) {
        if self.committer == Committer::Idle && !self.syncing {
            self.wake_committer(commit);
        }
    }

    pub(crate) fn wake_committer(&mut self, commit: &Condvar) {
        if self.committer != Committer::Busy {
            self.committer = Committer::Busy;
            commit.notify_one();
        }
    }

    /// Everything so far, to be synced by the caller alone.
    pub(crate) fn begin_group(&mut self) -> Group {
        self.syncing = true;
        Group { segments: std::mem::take(&mut self.dirty), end: self.next }
    }

    /// Leaves what came meanwhile to the first who waits for it, to be woken by the caller, else to the committer.
    pub(crate) fn end_group(&mut self, commit: &Condvar) -> Option<Waker> {
        self.syncing = false;
        let wanted = self.demanded > self.durable || self.closing || self.stopped.is_some();
        if wanted && self.may_sync_here() && self.committer == Committer::Riding {
            // Should that one not come, the committer looks by itself before long.
            let waker = self.waiting.iter_mut().find_map(|waiting| waiting.waker.take());
            if waker.is_some() {
                return waker;
            }
        }
        if wanted || (!self.dirty.is_empty() && self.committer == Committer::Idle) {
            self.wake_committer(commit);
        }
        None
    }

    /// Whether a caller may sync on his own thread: nobody does, and it is quick.
    pub(crate) fn may_sync_here(&self) -> bool {
        !self.syncing
            && self.committer != Committer::Busy
            && !self.closing
            && self.stopped.is_none()
            && self.sync_took <= SYNC_HERE_MAX
    }

    pub(crate) fn wake_keeper(&mut self, keep: &Condvar) {
        if self.keeper != Keeper::Busy {
            self.keeper = Keeper::Busy;
            keep.notify_one();
        }
    }

    /// Gives a frame its place at the journal's end. INVARIANT: only with the lock held, so frames have no gaps
    /// and entries stand in the order of their indexes.
    pub(crate) fn place(&mut self, kind: Kind, digest: Hash, frame: &[u8], segment_bytes: u64) -> Place {
        let body = frame.len() - HEAD;
        let size = journal::frame_size(body) as u64;
        if self.position > 0 && self.position + size > segment_bytes {
            // Without a spare the segment grows: each sync costs more then, but nobody waits for a new one.
            if let Some(spare) = self.spare.take() {
                let full = std::mem::replace(&mut self.segment, spare);
                self.closed.push((full, self.next));
                self.position = 0;
            }
        }
        let body = body as u32;
        let head = Head { kind, size: body, index: self.next, durable: self.durable, digest };
        self.gather(head, frame);
        if self.dirty.last().is_none_or(|last| last.number != self.segment.number) {
            self.dirty.push(Arc::clone(&self.segment));
        }
        let (segment, offset) = (Arc::clone(&self.segment), self.position + HEAD as u64);
        let place = Place { segment, offset, size: body, digest };
        self.position += size;
        place
    }

    fn gather(&mut self, head: Head, frame: &[u8]) {
        let follows = |last: &&mut Unwritten| last.segment.number == self.segment.number;
        let part = match self.unwritten.last_mut().filter(follows) {
            Some(last) => last,
            None => {
                let (segment, bytes) = (Arc::clone(&self.segment), std::mem::take(&mut self.buffer));
                let heads = Vec::with_capacity(64);
                self.unwritten.push_mut(Unwritten { segment, offset: self.position, bytes, heads })
            }
        };
        part.heads.push((part.bytes.len(), head));
        part.bytes.extend_from_slice(frame);
        // Padding is written, too: where the segment has grown, there are no zeros yet.
        part.bytes.resize(part.bytes.len().next_multiple_of(journal::ALIGN), 0);
    }

    pub(crate) fn stop(&mut self, reason: &str) -> Arc<str> {
        Arc::clone(self.stopped.get_or_insert_with(|| Arc::from(reason)))
    }

    pub(crate) fn check(&self, waiting_max: usize) -> Result<(), AppendError> {
        match &self.stopped {
            Some(reason) => Err(AppendError::Stopped(Arc::clone(reason))),
            None if self.waiting.len() >= waiting_max => Err(AppendError::Full { waiting: self.waiting.len() }),
            None if self.tail.len() >= UNSEALED_MAX => Err(AppendError::Full { waiting: self.tail.len() }),
            None => Ok(()),
        }
    }
}

/// Frames of one segment that follow each other.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pub(crate) segment: Arc<Live>,
    pub(crate) offset: u64,
    /// With room for the heads.
    pub(crate) bytes: Vec<u8>,
    /// The frames' heads, each with its offset in the bytes.
    heads: Vec<(usize, Head)>,
}

impl Unwritten {
    /// Fills in the heads.
    pub(crate) fn finish(&mut self) {
        for (offset, head) in self.heads.drain(..) {
            head.write(self.bytes.get_mut(offset..).unwrap_or_default());
        }
    }
}

/// A group to be synced.
pub(crate) struct Group {
    pub(crate) segments: Vec<Arc<Live>>,
    pub(crate) end: u64,
}

impl State {
    /// The durable entries that are not sealed, and the intents open after the last of them.
    pub(crate) fn sealable(&self) -> (Vec<Place>, BTreeSet<u64>) {
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

//! The group commit.
//!
//! A caller's [`crate::Ledger::append`] makes the entry's bytes and hash on its own thread and, under a lock, gives
//! them their place in the journal. Whoever syncs writes all that has gathered at once, syncs, and wakes
//! everybody whose entry is durable now; meanwhile the next group gathers. While the disk is quick that is the first
//! caller who waits ([`crate::Ledger::intend`]), and after him the first who waits for what gathered meanwhile; else it is
//! the committer thread. Outcomes are waited for by
//! nobody: they are written at once, so that a killed process loses none, and ride on the next sync, or on
//! their own after [`Options::ride_max`]. A keeper thread prepares the next segment before it is needed and
//! seals durable entries into tiles.
//!
//! After a failed write or sync nothing is known about the journal's tail: the ledger refuses everything
//! until it is opened again, which reads what is really there.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{broadcast, watch};

use crate::append::{Append, AppendError};
use crate::canonical;
use crate::end::{Committer, Effect, Group, Keeper, Place, State, Waiting};
use crate::journal::{HEAD, Kind};
use crate::keyfile::KeyFile;
use crate::log::Options;
use crate::note::VerifyingKey;
use crate::payload::Keys;
use crate::read::{self, ReadError, Stored};
use crate::record::Entry;
use crate::storage::Storage;
use crate::tile::ENTRY_SIZE_MAX;
use crate::tree::sha256;

/// A buffer that has grown larger is not kept.
const BUFFER_MAX: usize = 1 << 20;

/// What the handles, the futures and the two threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) options: Options,
    pub(crate) keys: Keys,
    /// Held for a few microseconds at a time, never across a sync. Guards the journal's end.
    pub(crate) state: Mutex<State>,
    /// Held while frames are written, and taken before `state`: whoever has it knows that all frames before those
    /// that he finds there are written, or that one was not.
    pub(crate) pen: Mutex<Pen>,
    /// As in the state, to be read without the lock: whatever is below is durable.
    pub(crate) durable: AtomicU64,
    pub(crate) commit: Condvar,
    pub(crate) keep: Condvar,
    pub(crate) sealed: Condvar,
    /// Who hears of answers, and of how many entries are durable.
    pub(crate) answers: broadcast::Sender<Arc<Stored>>,
    pub(crate) length: watch::Sender<u64>,
    /// The asks that were answered last. Held while an answer is written, before all other locks: of two that come at once
    /// one is.
    pub(crate) answered: Mutex<VecDeque<u64>>,
    /// The key that signs now. Set before `sealed` is told.
    pub(crate) signs: Mutex<VerifyingKey>,
    /// Where the key lies, if it can be rotated.
    pub(crate) key_file: Option<KeyFile>,
    /// Held while the key is rotated: one rotation after the other.
    pub(crate) rotating: Mutex<()>,
}

/// What it takes to write frames.
#[derive(Debug, Default)]
pub(crate) struct Pen {
    /// Of the last write, to be filled again.
    buffer: Vec<u8>,
    /// Why a write failed. Nothing is written, and so nothing synced, after that.
    broken: Option<Arc<str>>,
}

/// What is kept in memory of an entry that is written.
pub(crate) struct Kept {
    pub(crate) effect: Effect,
    pub(crate) haste: Haste,
    /// The entry itself, if it is an answer.
    pub(crate) answer: Option<Entry>,
}

/// When an entry must become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// With the next sync, whenever that is.
    Rides,
    /// As soon as the committer can.
    Demanded,
    /// When somebody waits for it.
    Quiet,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an entry its number and place. `effect` is that of its record.
    pub(crate) fn accept<T: Serialize>(self: &Arc<Self>, entry: &T, kept: Kept) -> Result<Append, AppendError> {
        let accepted = canonical::framed(entry, HEAD, |frame| self.accept_frame(frame, kept));
        accepted.map_err(|error| AppendError::Json(Arc::new(error)))?
    }

    fn accept_frame(self: &Arc<Self>, frame: &[u8], kept: Kept) -> Result<Append, AppendError> {
        let size = frame.len() - HEAD;
        if size > ENTRY_SIZE_MAX {
            return Err(AppendError::TooLarge { size });
        }
        // The head is still zero, and its last byte is the prefix that a leaf is hashed with.
        let leaf = sha256(frame.get(HEAD - 1..).unwrap_or_default());

        let mut state = self.state();
        state.check(self.options.waiting_max)?;
        if let Effect::Closes(intent) = kept.effect
            && !state.open.contains(&intent)
        {
            return Err(AppendError::NotOpen(intent));
        }
        let index = state.next;
        let place = state.place(Kind::Entry, leaf, frame, self.options.segment_bytes);
        state.next += 1;
        state.tail.push_back((place, kept.effect));
        kept.effect.apply(index, &mut state.open);
        let answer = kept.answer.map(|entry| Arc::new(Stored { index, entry }));
        state.waiting.push_back(Waiting { waker: None, answer });
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
        Ok(Append::new(Arc::clone(self), index, leaf, kept.haste == Haste::Quiet))
    }

    /// Writes every frame that has its place.
    pub(crate) fn write(&self) -> Result<(), AppendError> {
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
        // Their checks are made here: whoever appends need not wait for that.
        let written = unwritten.iter_mut().try_for_each(|part| {
            part.finish();
            part.segment.file.write(&part.bytes, part.offset)
        });
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

    /// Whether an entry is durable, as far as that is known without waiting for anybody.
    pub(crate) fn is_durable(&self, index: u64) -> bool {
        index < self.durable.load(Ordering::Acquire)
    }

    /// Somebody waits for an entry. If nobody syncs and the disk is quick, this thread does it: that is cheaper
    /// than to wake the committer and be woken again. One sync at most; what gathers meanwhile is for the first who
    /// waits for it ([`State::end_group`]).
    pub(crate) fn await_durable(&self, index: u64, waker: &Waker) -> Poll<Result<(), AppendError>> {
        let mut state = self.state();
        if state.durable <= index && state.stopped.is_none() {
            if state.may_sync_here() {
                state.demanded = state.demanded.max(index + 1);
                let group = state.begin_group();
                drop(state);
                self.sync(group);
                state = self.state();
            } else {
                state.demand(index + 1, &self.commit);
            }
        }
        if index < state.durable {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = &state.stopped {
            return Poll::Ready(Err(AppendError::Stopped(Arc::clone(reason))));
        }
        let place = (index - state.durable) as usize;
        if let Some(waiting) = state.waiting.get_mut(place) {
            waiting.waker = Some(waker.clone());
        }
        Poll::Pending
    }

    /// Makes a group durable and wakes who waits for it.
    pub(crate) fn sync(&self, group: Group) {
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

    pub(crate) fn commit_all(&self) {
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
            self.durable.store(end, Ordering::Release);
            state.sync_took = took;
            let urgent = state.seal_demanded > state.sealed || !state.closed.is_empty();
            if state.keeper == Keeper::Idle || urgent {
                state.wake_keeper(&self.keep);
            }
            // With the lock held, so that subscribers hear of one group after the other.
            for answer in done.iter_mut().filter_map(|waiting| waiting.answer.take()) {
                // That nobody listens is no error.
                _ = self.answers.send(answer);
            }
            self.length.send_replace(end);
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

    pub(crate) fn chunk(&self, index: u64) -> Result<Vec<Vec<u8>>, ReadError> {
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

//! The keeper's thread: it prepares the next segment before it is needed and seals durable entries into tiles.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::commit::Shared;
use crate::end::{Keeper, Live, Place, read_frames};
use crate::note::SigningKey;
use crate::read::{JOURNAL, numbered};
use crate::recover;
use crate::seal::Sealer;

/// So many full segments may wait for the next checkpoint that is due; then it comes earlier. Each checkpoint costs some
/// syncs, which are the disk's time, too.
const CLOSED_MAX: usize = 4;

/// Appends wait for the disk while a checkpoint's syncs have it. So the pause before the next one is as long as takes them
/// to a hundredth of the time, but on the slowest disk only so many times as long as it should be.
const PAUSE_PER_SEAL: u32 = 100;
const PAUSE_GROWS_MAX: u32 = 10;

/// What the keeper does next.
enum Chore {
    Allocate(u64),
    Seal,
    /// The log gets another key, which this entry announces.
    HandOver(SigningKey, u64),
    Leave,
}

impl Shared {
    fn next_chore(&self, due: &mut Option<Instant>, pause: Duration) -> Chore {
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
            let full = state.closed.get(CLOSED_MAX - 1).is_some_and(|(_, end)| *end <= state.durable);
            let now = Instant::now();
            let overdue = due.is_some_and(|due| due <= now);
            if unsealed && (demanded || full || overdue || state.stopped.is_some()) {
                *due = None;
                return Chore::Seal;
            }
            if unsealed && !state.closing {
                let until = *due.get_or_insert(now + pause);
                state.keeper = Keeper::Patient;
                state = self.keep.wait_timeout(state, until - now).unwrap_or_else(PoisonError::into_inner).0;
            } else {
                state.keeper = Keeper::Idle;
                state = self.keep.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    pub(crate) fn keep_all(&self, mut sealer: Sealer) {
        let every = self.options.checkpoint_every;
        let (mut due, mut pause) = (None, every);
        loop {
            let done = match self.next_chore(&mut due, pause) {
                Chore::Leave => break,
                Chore::Allocate(number) => self.allocate(number),
                Chore::Seal => {
                    let began = Instant::now();
                    let done = self.seal(&mut sealer);
                    pause = (began.elapsed() * PAUSE_PER_SEAL).clamp(every, every * PAUSE_GROWS_MAX);
                    done
                }
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
        let checkpoint = sealer.seal(&places, &open)?;
        let mut state = self.state();
        state.sealed = checkpoint.checkpoint.size;
        let rest = state.tail.split_off(places.len());
        let gone = std::mem::replace(&mut state.tail, rest);
        state.checkpoint = Some(checkpoint);
        let sealed = state.sealed;
        let retired: Vec<Arc<Live>> =
            state.closed.extract_if(.., |(_, end)| *end <= sealed).map(|(live, _)| live).collect();
        self.sealed.notify_all();
        drop(state);
        drop((gone, places));
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
        let of_it = |place: &&Place| place.segment.number == segment.number;
        let mut places: Vec<Place> = self.state().payloads.values().filter(of_it).cloned().collect();
        places.sort_by_key(|place| place.offset);
        if !places.is_empty() {
            let mut frames = Vec::with_capacity(places.len());
            read_frames(&places, |frame, place| {
                frames.push((place.digest, frame.to_vec()));
                Ok(())
            })?;
            recover::pack(self.storage.as_ref(), segment.number, frames)?;
        }
        self.state().payloads.retain(|_, place| place.segment.number != segment.number);
        self.storage.remove(&[segment.path()])
    }
}

//! A group commit of bytes that mean nothing: the same callers, queue, wakes, writes and syncs as the ledger's, and
//! nothing else. No JSON, no hash, no next segment, no tiles. What the ledger reaches beside it says what recording
//! costs; what this reaches beside one thread that writes and syncs says what many callers cost.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::raw::{SEGMENT, zeros};

struct Queue {
    file: File,
    state: Mutex<State>,
    durable: AtomicU64,
}

#[derive(Default)]
struct State {
    unwritten: Vec<u8>,
    /// For the next group.
    spare: Vec<u8>,
    offset: usize,
    next: u64,
    durable: u64,
    waiting: VecDeque<Option<Waker>>,
    syncing: bool,
    failed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(self: &Arc<Self>, bytes: &[u8]) -> Append {
        let mut state = self.state();
        state.unwritten.extend_from_slice(bytes);
        state.waiting.push_back(None);
        state.next += 1;
        Append { queue: Arc::clone(self), index: state.next - 1, gathered: false }
    }

    /// Waits, or syncs for all if nobody does.
    fn wait(&self, index: u64, waker: &Waker) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.durable <= index && !state.syncing && !state.failed {
            state.syncing = true;
            let (end, offset) = (state.next, state.offset);
            let spare = std::mem::take(&mut state.spare);
            let mut group = std::mem::replace(&mut state.unwritten, spare);
            let offset = if offset + group.len() > SEGMENT { 0 } else { offset };
            state.offset = offset + group.len();
            drop(state);
            let synced = self.file.write_all_at(&group, offset as u64).and_then(|()| self.file.sync_data());
            group.clear();
            state = self.state();
            state.spare = group;
            (state.syncing, state.failed) = (false, synced.is_err());
            let count = (end - state.durable) as usize;
            let mut woken: Vec<Waker> = state.waiting.drain(..count).flatten().collect();
            state.durable = end;
            self.durable.store(end, Ordering::Release);
            // The first who waits for what came meanwhile is the next to sync.
            woken.extend(state.waiting.iter_mut().find_map(Option::take));
            drop(state);
            woken.into_iter().for_each(Waker::wake);
            return Poll::Ready(synced);
        }
        if state.failed {
            return Poll::Ready(Err(io::ErrorKind::Other.into()));
        }
        if index < state.durable {
            return Poll::Ready(Ok(()));
        }
        let place = (index - state.durable) as usize;
        if let Some(waiting) = state.waiting.get_mut(place) {
            *waiting = Some(waker.clone());
        }
        Poll::Pending
    }
}

struct Append {
    queue: Arc<Queue>,
    index: u64,
    gathered: bool,
}

impl Future for Append {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.index < self.queue.durable.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        // Other callers on this thread go first, so that they share the sync.
        if !std::mem::replace(&mut self.gathered, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.queue.wait(self.index, context.waker())
    }
}

/// Durable appends per second of so many callers, each with a frame of an entry's size.
pub(crate) fn appends(path: &Path, callers: usize, size: usize, time: Duration) -> anyhow::Result<f64> {
    let file = zeros(path)?;
    let queue = Arc::new(Queue { file, state: Mutex::default(), durable: AtomicU64::new(0) });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let frame = (size + 64).next_multiple_of(8);
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let queue = Arc::clone(&queue);
            runtime.spawn(async move {
                let (bytes, mut count) = (vec![7; frame], 0);
                while start.elapsed() < time {
                    queue.append(&bytes).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            })
        })
        .collect();
    let mut count = 0_u64;
    for task in tasks {
        count += runtime.block_on(task)??;
    }
    anyhow::ensure!(queue.state().durable == count, "an acknowledged append is missing");
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

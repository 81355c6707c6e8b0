//! Threads that each drive their own connections, one for each processor.
//!
//! A call that stays on one thread wakes no other: its connection, its work and its connection to the server share
//! one queue and one poll of the kernel. This module knows nothing of calls.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// The most lanes, however many processors there are.
pub(crate) const LANES_MAX: usize = 16;

thread_local! {
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of this thread's lane, below [`LANES_MAX`]; 0 on threads that are none.
pub(crate) fn number() -> usize {
    NUMBER.get().unwrap_or_default()
}

/// Does what nobody waits for: once this lane has done what it is about to do, such as writing an answer; at once on a
/// thread that is no lane.
pub(crate) fn soon(work: impl FnOnce() + Send + 'static) {
    if NUMBER.get().is_some() {
        tokio::spawn(async move { work() });
    } else {
        work();
    }
}

/// The lanes. They end, with all that runs on them, when this is dropped.
#[derive(Debug)]
pub(crate) struct Lanes(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    handle: Handle,
    /// How much that was given to it is not done.
    load: Arc<AtomicUsize>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lanes {
    /// Starts one for each processor.
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from).min(LANES_MAX);
        (0..count).map(Lane::start).collect::<io::Result<_>>().map(Self)
    }

    /// Gives work to the lane that has least, where it stays with all that it spawns.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Some(lane) = self.0.iter().min_by_key(|lane| lane.load.load(Ordering::Relaxed)) else { return };
        let counted = Counted::new(&lane.load);
        lane.handle.spawn(async move {
            work.await;
            drop(counted);
        });
    }
}

impl Lane {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handle, (end, ended)) = (runtime.handle().clone(), oneshot::channel());
        let thread =
            thread::Builder::new().name(format!("lane-{number}")).spawn(move || drive(number, &runtime, ended))?;
        Ok(Self { handle, load: Arc::default(), end: Some(end), thread: Some(thread) })
    }
}

fn drive(number: usize, runtime: &Runtime, ended: oneshot::Receiver<()>) {
    NUMBER.set(Some(number));
    // That the sender is gone ends the lane too.
    let _ = runtime.block_on(ended);
}

impl Drop for Lanes {
    fn drop(&mut self) {
        for lane in &mut self.0 {
            drop(lane.end.take());
        }
        for lane in &mut self.0 {
            // What it did is recorded by what it did, should it have panicked.
            let _ = lane.thread.take().map(JoinHandle::join);
        }
    }
}

/// A piece of work that counts until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn work_is_spread_stays_on_its_lane_and_ends_with_it() {
        let lanes = Lanes::start().unwrap();
        let (says, heard) = channel();
        for _ in 0..lanes.0.len() {
            let says = says.clone();
            lanes.spawn(async move {
                let here = number();
                let spawned = tokio::spawn(async { number() });
                says.send((here, spawned.await.unwrap())).unwrap();
                std::future::pending().await
            });
        }
        drop(says);
        let numbers: Vec<_> = (0..lanes.0.len()).map(|_| heard.recv().unwrap()).collect();
        assert!(numbers.iter().all(|(here, spawned)| here == spawned));
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), lanes.0.len());
        drop(lanes);
        // Nobody is left who could say something.
        assert!(heard.recv().is_err());
    }
}

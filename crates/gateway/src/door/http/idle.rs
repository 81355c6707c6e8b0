//! Connections that nobody uses make room for new ones: kept open by clients for a next request, they would else hold all
//! places until they time out.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

/// How long a connection that must go has for a request that is under way to it.
const MOMENT: Duration = Duration::from_millis(500);

/// The connections of a door, busy or idle.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    next: AtomicU64,
    /// Held only for map work.
    all: Mutex<BTreeMap<u64, Arc<Place>>>,
    /// One more connection is idle.
    more: Notify,
}

/// One connection. It leaves the list when it is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    idle: Arc<Idle>,
    number: u64,
    pub(crate) place: Arc<Place>,
}

#[derive(Debug)]
pub(crate) struct Place {
    /// Requests that are not answered to their end.
    running: AtomicUsize,
    /// When it was last used, in the order of all uses.
    used: AtomicU64,
    go: Notify,
}

impl Idle {
    pub(crate) fn enter(self: &Arc<Self>) -> Entered {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let place = Arc::new(Place { running: AtomicUsize::new(0), used: AtomicU64::new(number), go: Notify::new() });
        self.lock().insert(number, place.clone());
        Entered { idle: self.clone(), number, place }
    }

    /// Asks the connection to end that was idle longest; whether there is one.
    pub(crate) fn end_oldest(&self) -> bool {
        let all = self.lock();
        let idle = all.values().filter(|place| place.running.load(Ordering::Acquire) == 0);
        let oldest = idle.min_by_key(|place| place.used.load(Ordering::Relaxed));
        if let Some(oldest) = oldest {
            oldest.go.notify_one();
        }
        oldest.is_some()
    }

    /// Resolves when one more connection is idle.
    pub(crate) async fn more(&self) {
        self.more.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Place>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entered {
    /// A request begins; it ends when this is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.place.running.fetch_add(1, Ordering::AcqRel);
        Busy { idle: self.idle.clone(), place: self.place.clone() }
    }
}

impl Place {
    /// Resolves when the connection is to end as soon as nothing runs on it.
    pub(crate) async fn must_go(&self) {
        self.go.notified().await;
    }

    /// Resolves when nothing has run on it for a moment: what has begun to send a request has had its chance.
    pub(crate) async fn is_quiet(&self) {
        loop {
            tokio::time::sleep(MOMENT).await;
            if self.running.load(Ordering::Acquire) == 0 {
                return;
            }
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.idle.lock().remove(&self.number);
    }
}

/// A request that is not answered to its end.
#[derive(Debug)]
pub(crate) struct Busy {
    idle: Arc<Idle>,
    place: Arc<Place>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.place.used.store(self.idle.next.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        if self.place.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.more.notify_one();
        }
    }
}

/// The body of an answer, and the connection that is busy with it.
#[derive(Debug)]
pub(crate) struct Held<B> {
    pub(crate) body: B,
    pub(crate) _busy: Busy,
}

impl<B: Body + Unpin> Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

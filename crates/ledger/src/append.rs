//! One entry on its way: written, and its writer waiting for it to be durable.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::commit::Shared;
use crate::tile::ENTRY_SIZE_MAX;
use crate::tree::Hash;

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
    /// `waited`: nobody was asked to sync it, because whoever wrote it waits for it himself.
    pub(crate) fn new(shared: Arc<Shared>, index: u64, leaf_hash: Hash, waited: bool) -> Self {
        Self { shared, index, leaf_hash, quiet: if waited { Quiet::Unasked } else { Quiet::No } }
    }

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
        let gathering = self.quiet == Quiet::Unasked;
        let durable = if self.shared.is_durable(self.index) {
            Poll::Ready(Ok(()))
        } else if gathering {
            context.waker().wake_by_ref();
            Poll::Pending
        } else {
            self.shared.await_durable(self.index, context.waker())
        };
        self.quiet = match durable {
            Poll::Ready(_) => Quiet::No,
            Poll::Pending if gathering => Quiet::Gathering,
            Poll::Pending => Quiet::Asked,
        };
        durable.map_ok(|()| Receipt { index: self.index, leaf_hash: self.leaf_hash })
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

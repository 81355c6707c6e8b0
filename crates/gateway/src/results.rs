//! What came back, kept beside the record, so that a session can be told and run again later.
//!
//! No answer waits for that: a small result is encrypted when its answer has been written, which costs less than reading
//! it did; a large one, or the first of a subject whose key must become durable first, by a thread of its own. The
//! session's next call waits, so that the log stays in the order of what was seen. If too much waits for the thread, the
//! caller's does the work: slower, and nothing is lost. This module never looks at what a result says.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SendError, Sender, channel};
use std::thread::{self, JoinHandle};

use ledger::record::Status;
use serde_json::Value;

use crate::lanes;
use crate::pipeline::{Act, Ending, Kept};
use crate::session::Session;

/// Results up to this size are left to no other thread.
const QUICK_MAX_BYTES: usize = 8 << 10;
/// So many bytes may wait for the thread.
const WAITING_MAX_BYTES: usize = 64 << 20;

/// What is kept of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Only what they can be checked by.
    Macs,
    /// The bytes, encrypted, of those up to this size; of larger ones what they can be checked by.
    Results {
        /// The largest that is kept.
        size_max_bytes: usize,
    },
}

impl Default for Keep {
    fn default() -> Self {
        Self::Results { size_max_bytes: 1 << 20 }
    }
}

/// What came back from an act.
#[derive(Debug)]
pub(crate) struct Came<B> {
    /// Whose data it is.
    pub(crate) subject: String,
    /// The JSON text.
    pub(crate) body: B,
    pub(crate) status: Status,
    pub(crate) labels: Value,
}

/// What the thread gets to do: the oldest result of a session that is not recorded.
#[derive(Debug)]
struct Later {
    session: Arc<Session>,
    size: usize,
}

/// Keeps results and ends their acts.
#[derive(Debug)]
pub(crate) struct Results {
    keep: Keep,
    /// Bytes that the thread has not recorded yet.
    waiting: Arc<AtomicUsize>,
    later: Sender<Later>,
    thread: JoinHandle<()>,
}

impl Results {
    /// Starts the thread, which ends with this.
    pub(crate) fn new(keep: Keep) -> io::Result<Self> {
        let (later, queue) = channel::<Later>();
        let waiting = Arc::<AtomicUsize>::default();
        let taken = Arc::clone(&waiting);
        let thread = thread::Builder::new().name("results".to_owned()).spawn(move || {
            for Later { session, size } in queue {
                session.records_one();
                taken.fetch_sub(size, Ordering::AcqRel);
            }
        })?;
        Ok(Self { keep, waiting, later, thread })
    }

    /// Whether every result so far is recorded.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0 || self.thread.is_finished()
    }

    /// Records what came back, soon.
    pub(crate) fn end(&self, session: &Arc<Session>, act: Act, came: Came<&str>) {
        let size = came.body.len();
        let is_quick = size <= QUICK_MAX_BYTES && act.ledger().has_subject(&came.subject);
        let Came { subject, body, status, labels } = came;
        let came = Came { subject, body: Box::<str>::from(body), status, labels };
        let keep = self.keep;
        session.records_later(Box::new(move || end(keep, act, came)));
        let session = session.clone();
        if is_quick {
            return lanes::soon(move || session.records_one());
        }
        if self.waiting.fetch_add(size, Ordering::AcqRel) + size > WAITING_MAX_BYTES {
            self.waiting.fetch_sub(size, Ordering::AcqRel);
            return session.records_one();
        }
        // The thread is gone only if it panicked.
        if let Err(SendError(Later { session, .. })) = self.later.send(Later { session, size }) {
            session.records_one();
        }
    }
}

fn end(keep: Keep, act: Act, came: Came<Box<str>>) {
    let (ledger, body) = (act.ledger(), came.body.as_bytes());
    let kept = match keep {
        Keep::Results { size_max_bytes } if body.len() <= size_max_bytes => {
            ledger.put_payload(&came.subject, body).map(Kept::Whole)
        }
        Keep::Results { .. } | Keep::Macs => ledger.mac(&came.subject, body).map(Kept::Mac),
    };
    let kept = kept.unwrap_or_else(|error| {
        tracing::error!(%error, intent = act.intent(), "a result could not be kept");
        Kept::Nothing
    });
    act.end(Ending { status: came.status, size_bytes: body.len(), labels: came.labels, kept });
}

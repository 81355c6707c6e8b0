//! What came back, kept beside the record, so that a session can be told and run again later.
//!
//! A small result is encrypted on the spot, which costs less than reading it did. A large one, or the first of a
//! subject whose key must become durable first, goes to a thread of its own, so that the caller's answer waits for
//! neither; the session's next call does, so that the log stays in the order of what was seen. If too much waits there, the caller's thread does the work: slower, and nothing is lost. This module
//! never looks at what a result says.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use ledger::Ledger;
use ledger::record::Status;
use serde_json::Value;

use crate::pipeline::{Act, Ending, Kept};
use crate::session::{RecordedLater, Session};

/// Results up to this size are encrypted on the spot.
const ON_THE_SPOT_MAX_BYTES: usize = 8 << 10;
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

/// What the thread gets to do.
#[derive(Debug)]
struct Later {
    act: Act,
    came: Came<Box<str>>,
    /// Until this is dropped, the session's next call waits.
    _behind: RecordedLater,
}

/// Keeps results and ends their acts.
#[derive(Debug)]
pub(crate) struct Results {
    keep: Keep,
    ledger: Ledger,
    /// Bytes that the thread has not recorded yet.
    waiting: Arc<AtomicUsize>,
    later: Sender<Later>,
    thread: JoinHandle<()>,
}

impl Results {
    /// Starts the thread, which ends with this.
    pub(crate) fn new(keep: Keep, ledger: &Ledger) -> io::Result<Self> {
        let (later, queue) = channel::<Later>();
        let waiting = Arc::<AtomicUsize>::default();
        // The thread has no handle of the ledger of its own: each act brings one, so that an idle thread does not
        // keep the ledger open.
        let taken = Arc::clone(&waiting);
        let thread = thread::Builder::new().name("results".to_owned()).spawn(move || {
            for Later { act, came, _behind } in queue {
                let size = came.body.len();
                let ledger = act.ledger().clone();
                end(keep, &ledger, act, &came);
                taken.fetch_sub(size, Ordering::AcqRel);
            }
        })?;
        Ok(Self { keep, ledger: ledger.clone(), waiting, later, thread })
    }

    /// Whether every result so far is recorded.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0 || self.thread.is_finished()
    }

    /// Records what came back: at once, or soon.
    pub(crate) fn end(&self, session: &Session, act: Act, came: Came<&str>) {
        let size = came.body.len();
        let quick = size <= ON_THE_SPOT_MAX_BYTES && !session.is_behind() && self.ledger.has_subject(&came.subject);
        if quick || self.waiting.fetch_add(size, Ordering::AcqRel) + size > WAITING_MAX_BYTES {
            if !quick {
                self.waiting.fetch_sub(size, Ordering::AcqRel);
            }
            return end(self.keep, &self.ledger, act, &came);
        }
        let Came { subject, body, status, labels } = came;
        let came = Came { subject, body: Box::<str>::from(body), status, labels };
        let later = Later { act, came, _behind: session.records_later() };
        // The thread is gone only if it panicked; the act then records its end by being dropped.
        drop(self.later.send(later));
    }
}

fn end<B: AsRef<str>>(keep: Keep, ledger: &Ledger, act: Act, came: &Came<B>) {
    let body = came.body.as_ref();
    let kept = match keep {
        Keep::Results { size_max_bytes } if body.len() <= size_max_bytes => {
            ledger.put_payload(&came.subject, body.as_bytes()).map(Kept::Whole)
        }
        Keep::Results { .. } | Keep::Macs => ledger.mac(&came.subject, body.as_bytes()).map(Kept::Mac),
    };
    let kept = kept.unwrap_or_else(|error| {
        tracing::error!(%error, intent = act.intent(), "a result could not be kept");
        Kept::Nothing
    });
    act.end(Ending { status: came.status, size_bytes: body.len(), labels: came.labels.clone(), kept });
}

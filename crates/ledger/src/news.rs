//! Who hears of what became durable.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::read::Stored;
use crate::record::Record;

/// Who hears of what became durable.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) all: broadcast::Sender<Arc<Stored>>,
    pub(crate) answers: broadcast::Sender<Arc<Stored>>,
    pub(crate) length: watch::Sender<u64>,
}

impl News {
    /// Whether anybody wants to hear of such an entry.
    pub(crate) fn wants(&self, is_answer: bool) -> bool {
        self.all.receiver_count() > 0 || (is_answer && self.answers.receiver_count() > 0)
    }

    pub(crate) fn publish(&self, stored: Arc<Stored>) {
        // That nobody listens any more is no error.
        if matches!(stored.entry.record, Record::Answered(_)) {
            _ = self.answers.send(Arc::clone(&stored));
        }
        _ = self.all.send(stored);
    }
}

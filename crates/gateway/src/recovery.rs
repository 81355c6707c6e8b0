//! What an earlier process left open: asks without an answer. (Permits without an outcome the ledger
//! settles by itself when it is opened.)

use std::collections::HashSet;

use jiff::SignedDuration;
use ledger::record::{Asked, Record};

use crate::authority::Authority;

/// How far back asks are looked for: far longer than any of them stays open.
const BACK: SignedDuration = SignedDuration::from_hours(2);
/// How many entries are read back at most.
const ENTRIES_MAX: u64 = 200_000;
/// How many entries are read at a time.
const CHUNK: u64 = 512;

/// Takes up the asks that are open, and expires those whose time is over.
pub(crate) fn settle(authority: &Authority) {
    for (ask, asked) in open_asks(authority) {
        authority.asks.adopt(ask, &asked);
    }
    authority.asks.expire(&authority.journal);
}

fn open_asks(authority: &Authority) -> Vec<(u64, Asked)> {
    let ledger = authority.journal.ledger();
    let oldest = authority.journal.now() - BACK;
    let (mut settled, mut open) = (HashSet::new(), Vec::new());
    let mut upper = ledger.len();
    let floor = upper.saturating_sub(ENTRIES_MAX);
    while upper > floor {
        let lower = upper.saturating_sub(CHUNK).max(floor);
        let entries: Result<Vec<_>, _> = ledger.range(lower..upper).collect();
        let Ok(entries) = entries else {
            tracing::error!("the ledger could not be read back: asks of an earlier run are not taken up");
            return open;
        };
        // Newest first, so that an end is seen before its beginning.
        for stored in entries.into_iter().rev() {
            if stored.entry.time < oldest {
                return open;
            }
            match stored.entry.record {
                Record::Answered(answered) => drop(settled.insert(answered.ask)),
                Record::Expired { ask } => drop(settled.insert(ask)),
                Record::Asked(asked) if !settled.contains(&stored.index) => open.push((stored.index, asked)),
                _ => {}
            }
        }
        upper = lower;
    }
    open
}

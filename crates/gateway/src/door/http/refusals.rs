//! Callers who were not let in, for the ledger: counted, so that whoever knocks a million times writes a few lines.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ledger::record::Record;
use serde_json::{Value, json};

/// The most kinds of refusal that are told apart; the rest is counted as one.
const KINDS_MAX: usize = 64;
/// How often one kind is written down.
const EVERY: Duration = Duration::from_secs(60);

/// Refusals since they were last written down.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Refusal, Count>>);

/// One kind of refusal. Nothing in it is a caller's free choice, and nothing is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    /// A server that is known; empty for none.
    pub(crate) server: String,
    /// The agent, where one is known.
    pub(crate) agent: Option<String>,
    pub(crate) why: String,
}

#[derive(Debug, Default)]
struct Count {
    new: u64,
    written: Option<Instant>,
}

impl Refusals {
    pub(crate) fn count(&self, refusal: Refusal) {
        let mut all = self.lock();
        let is_room = all.len() < KINDS_MAX || all.contains_key(&refusal);
        let kind = if is_room { refusal } else { Refusal { why: "others".to_owned(), ..Refusal::default() } };
        all.entry(kind).or_default().new += 1;
    }

    /// What is to be written down by now; at the end, everything.
    pub(crate) fn due(&self, is_end: bool) -> Vec<Record> {
        let mut all = self.lock();
        all.retain(|_, count| count.new > 0 || count.written.is_some_and(|written| written.elapsed() < EVERY));
        let is_due = |count: &Count| is_end || count.written.is_none_or(|written| written.elapsed() >= EVERY);
        let due = all.iter_mut().filter(|(_, count)| count.new > 0 && is_due(count));
        due.map(|(refusal, count)| {
            count.written = Some(Instant::now());
            record(refusal, std::mem::take(&mut count.new))
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Refusal, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(refusal: &Refusal, count: u64) -> Record {
    let mut details = serde_json::Map::new();
    details.insert("door".to_owned(), json!("mcp_http"));
    if !refusal.server.is_empty() {
        details.insert("server".to_owned(), json!(refusal.server));
    }
    details.extend(refusal.agent.as_ref().map(|agent| ("agent".to_owned(), Value::from(agent.as_str()))));
    details.insert("why".to_owned(), json!(refusal.why));
    details.insert("count".to_owned(), json!(count));
    Record::Log { event: "refused".to_owned(), details }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_refusals_are_few_lines() {
        let refusals = Refusals::default();
        for number in 0..10_000 {
            refusals.count(Refusal { why: format!("why {number}"), ..Refusal::default() });
            refusals.count(Refusal { why: "why 0".to_owned(), ..Refusal::default() });
        }
        let first = refusals.due(false);
        assert_eq!(first.len(), KINDS_MAX + 1);
        let counted = |record: &Record| match record {
            Record::Log { details, .. } => details["count"].as_u64().unwrap(),
            _ => 0,
        };
        assert_eq!(first.iter().map(counted).sum::<u64>(), 20_000);
        refusals.count(Refusal { why: "why 0".to_owned(), ..Refusal::default() });
        assert!(refusals.due(false).is_empty(), "not twice within a minute");
        assert_eq!(refusals.due(true).len(), 1, "and nothing is lost at the end");
    }
}

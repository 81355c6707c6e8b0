//! Whether budgets were counted on: what calls on record took of one, against what they say was used of it. Pure.
//!
//! Calls that are judged side by side are recorded in any order, and what was judged in the second of a crash may be counted
//! twice. But of the calls of one window the one that was judged last saw what all others took; so the most that any of them
//! says, with its own cost, is no less than what they took together. Whoever sets a count back, to let more pass, is found.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use policy::bounds::Used;
use serde::Deserialize as _;
use serde_json::Value;

use super::Fault;

/// By account and the beginning of its window.
#[derive(Debug, Default)]
pub(super) struct Spending(HashMap<(String, Timestamp), Window>);

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// By calls on record together.
    taken: u64,
    /// The most that one of them says was used, with its own cost.
    told: u64,
    /// The last of them.
    last: u64,
}

impl Spending {
    /// Takes what a permitted intent says that was used.
    pub(super) fn intent(&mut self, index: u64, fact: Option<&Value>) {
        // In another form it is no fact of ours; what is decided by it is decided again.
        let uses = fact.and_then(|fact| BTreeMap::<String, Used>::deserialize(fact).ok()).unwrap_or_default();
        for (account, Used { used, cost, since, asks }) in uses {
            // A question is taken from its account when a person is asked.
            let Some(cost) = cost.filter(|_| !asks) else { continue };
            self.add((account, since), Window { taken: cost, told: used.saturating_add(cost), last: index });
        }
    }

    /// The same of another part of the log.
    pub(super) fn join(&mut self, other: Self) {
        other.0.into_iter().for_each(|(of, window)| self.add(of, window));
    }

    fn add(&mut self, of: (String, Timestamp), Window { taken, told, last }: Window) {
        let window = self.0.entry(of).or_default();
        window.taken = window.taken.saturating_add(taken);
        window.told = window.told.max(told);
        window.last = window.last.max(last);
    }

    /// What was taken and not counted.
    pub(super) fn faults(self) -> impl Iterator<Item = Fault> {
        let missed = self.0.into_iter().filter(|(_, window)| window.taken > window.told);
        missed.map(|((account, since), Window { taken, told, last })| {
            let message = format!(
                "of the budget `{account}` calls since {since} took {taken}, and none of them says that more than {told} was used"
            );
            Fault { entry: last, message }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn used(used: u64, cost: Option<u64>, minute: u32, asks: bool) -> Value {
        let since = format!("2026-01-02T03:{minute:02}:00Z");
        json!({"calls": {"used": used, "cost": cost, "since": since, "asks": asks}})
    }

    fn faults(budgets: &[Value]) -> Vec<u64> {
        let mut whole = Spending::default();
        for (index, budget) in (0..).zip(budgets) {
            // Where a log is cut into parts makes no difference.
            let mut part = Spending::default();
            part.intent(index, Some(budget));
            whole.join(part);
        }
        whole.faults().map(|fault| fault.entry).collect()
    }

    #[test]
    fn a_count_that_was_set_back_is_found() {
        let call = |before: u64| used(before, Some(1), 4, false);
        assert_eq!(faults(&[call(0), call(1), call(2)]), [] as [u64; 0]);
        assert_eq!(faults(&[call(1), call(0), call(2)]), [] as [u64; 0], "judged side by side");
        assert_eq!(faults(&[call(0), call(5), call(6)]), [] as [u64; 0], "counted twice after a crash, or pruned");
        assert_eq!(faults(&[call(0), call(1), call(0), json!({})]), [2]);
        assert_eq!(faults(&[call(0), call(0)]), [1]);
        let other = used(0, Some(1), 5, false);
        assert_eq!(faults(&[call(0), other]), [] as [u64; 0], "another window");
        for took_nothing in [used(0, Some(1), 4, true), used(0, None, 4, false)] {
            assert_eq!(faults(&[call(0), took_nothing]), [] as [u64; 0]);
        }
    }
}

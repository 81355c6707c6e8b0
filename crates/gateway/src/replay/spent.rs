//! Whether budgets were counted on: what calls on record took of one, against what they say was used of it. Pure.
//!
//! Calls that are judged side by side are recorded in any order, and what was judged in the second of a crash may be counted
//! twice. But of the calls of one window the one that was judged last saw what all others took; so the most that any of them
//! says, with its own cost, is no less than what they took together. Whoever sets a count back, to let more pass, is found.
//!
//! Where the clock was set back, a window that was entered before is counted anew: each time is looked at by itself.

use std::collections::{BTreeMap, HashMap};
use std::mem;

use jiff::{SignedDuration, Timestamp};
use policy::bounds::Used;
use serde::Deserialize as _;
use serde_json::Value;

use super::Fault;

/// No window is shorter. A clock that is set back by less than this begins no count anew.
const WINDOW_MIN: SignedDuration = SignedDuration::from_mins(1);

/// By account, what one window after the other took of it, as the log has them.
#[derive(Debug, Default)]
pub(super) struct Spending(HashMap<String, Vec<Run>>);

/// Calls of one account and window that are recorded one after the other.
#[derive(Debug)]
struct Run {
    /// The beginning of their window.
    since: Timestamp,
    /// The first and the last time that was given to them.
    times: (Timestamp, Timestamp),
    window: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// By calls on record together.
    taken: u64,
    /// The most that one of them says was used, with its own cost.
    told: u64,
    /// The last of them.
    last: u64,
}

impl Window {
    fn join(&mut self, Self { taken, told, last }: Self) {
        self.taken = self.taken.saturating_add(taken);
        self.told = self.told.max(told);
        self.last = self.last.max(last);
    }
}

impl Spending {
    /// Takes what an intent that was permitted at a time says that was used.
    pub(super) fn intent(&mut self, (index, now): (u64, Timestamp), fact: Option<&Value>) {
        // In another form it is no fact of ours; what is decided by it is decided again.
        let uses = fact.and_then(|fact| BTreeMap::<String, Used>::deserialize(fact).ok()).unwrap_or_default();
        for (account, Used { used, cost, since, asks }) in uses {
            // A question is taken from its account when a person is asked.
            if asks {
                continue;
            }
            let taken = cost.unwrap_or(0);
            let window = Window { taken, told: used.saturating_add(taken), last: index };
            self.add(account, Run { since, times: (now, now), window });
        }
    }

    /// The same of the next part of the log.
    pub(super) fn join(&mut self, next: Self) {
        for (account, runs) in next.0 {
            runs.into_iter().for_each(|run| self.add(account.clone(), run));
        }
    }

    fn add(&mut self, account: String, run: Run) {
        let runs = self.0.entry(account).or_default();
        match runs.last_mut().filter(|last| last.since == run.since && !went_back(last.times.1, run.times.0)) {
            Some(last) => {
                last.times = (last.times.0.min(run.times.0), last.times.1.max(run.times.1));
                last.window.join(run.window);
            }
            None => runs.push(run),
        }
    }

    /// What was taken and not counted.
    pub(super) fn faults(self) -> impl Iterator<Item = Fault> {
        self.0.into_iter().flat_map(|(account, runs)| missed(&account, runs))
    }
}

/// What was taken of one account and not counted.
fn missed(account: &str, runs: Vec<Run>) -> Vec<Fault> {
    let (mut faults, mut windows, mut latest) = (Vec::new(), BTreeMap::<Timestamp, Window>::new(), None);
    let fault = |(since, Window { taken, told, last }): (Timestamp, Window)| {
        let message = format!(
            "of the budget `{account}` calls since {since} took {taken}, and none of them says that more than {told} was used"
        );
        (taken > told).then_some(Fault { entry: last, message })
    };
    for Run { since, times, window } in runs {
        if latest.is_some_and(|latest| went_back(latest, times.0)) {
            faults.extend(mem::take(&mut windows).into_iter().filter_map(fault));
            latest = None;
        }
        latest = latest.max(Some(times.1));
        windows.entry(since).or_default().join(window);
    }
    faults.extend(windows.into_iter().filter_map(fault));
    faults
}

/// Whether between calls on record the clock was set back as far as counts may begin anew.
fn went_back(before: Timestamp, now: Timestamp) -> bool {
    before.duration_since(now) > WINDOW_MIN
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

    fn at(minute: u32) -> Timestamp {
        format!("2026-01-02T03:{minute:02}:30Z").parse().unwrap()
    }

    fn faults(budgets: &[Value]) -> Vec<u64> {
        let timed: Vec<_> = budgets.iter().map(|budget| (4, budget.clone())).collect();
        faults_at(&timed)
    }

    /// Of calls that were judged in a minute.
    fn faults_at(budgets: &[(u32, Value)]) -> Vec<u64> {
        let (mut whole, mut parted) = (Spending::default(), Spending::default());
        for (index, (minute, budget)) in (0..).zip(budgets) {
            // Where a log is cut into parts makes no difference.
            let mut part = Spending::default();
            part.intent((index, at(*minute)), Some(budget));
            parted.join(part);
            whole.intent((index, at(*minute)), Some(budget));
        }
        let entries = |spending: Spending| spending.faults().map(|fault| fault.entry).collect::<Vec<_>>();
        let found = entries(whole);
        assert_eq!(entries(parted), found);
        found
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

    /// A machine that starts with a clock two windows ahead, which is set right then.
    #[test]
    fn a_clock_that_is_set_back_is_no_fault_of_whoever_counted() {
        let call = |minute: u32, before: u64| (minute, used(before, Some(1), minute, false));
        let wrong = [call(4, 0), call(4, 1), call(4, 2), call(9, 0)];
        let back = [call(4, 1), call(4, 2), call(9, 0), call(9, 1)];
        let whole: Vec<_> = wrong.iter().chain(&back).cloned().collect();
        assert_eq!(faults_at(&whole), [] as [u64; 0]);
        // Who counts nothing then is found all the same.
        let more: Vec<_> = whole.iter().cloned().chain([call(9, 0)]).collect();
        assert_eq!(faults_at(&more), [8]);
        // Side by side around the end of a window nothing begins anew.
        let side = [call(4, 0), call(5, 0), call(4, 1), call(5, 1), call(4, 1)];
        assert_eq!(faults_at(&side), [4]);
    }
}

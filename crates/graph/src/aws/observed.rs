//! What principals were seen to do, and what of it rests on one statement.

use std::collections::BTreeMap;

use super::condition::Context;
use super::estate::{Estate, StatementId};
use super::evaluate::{Evaluator, Request};
use super::truth::Truth;
use crate::plural;

/// Calls named in a sentence.
const CALLS_SHOWN: usize = 4;

/// A kind of call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The ARN of the user or role.
    pub principal: String,
    /// The action, for example `s3:GetObject`.
    pub action: String,
    /// The ARNs that the record names; empty where it names none.
    pub resources: Vec<String>,
}

/// How often a call was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// The last time, as the record has it.
    pub last: String,
}

/// Everything that the records hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    calls: BTreeMap<Call, Seen>,
    /// Records that were read, those of nobody in the files among them.
    records: u64,
    /// The times of the first and the last.
    span: Option<(String, String)>,
}

impl Calls {
    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Adds a record of a time (RFC 3339, in UTC) and the calls that it shows.
    pub fn add(&mut self, time: &str, calls: impl IntoIterator<Item = Call>) {
        self.records += 1;
        let (first, last) = self.span.get_or_insert_with(|| (time.to_owned(), time.to_owned()));
        if time < first.as_str() {
            time.clone_into(first);
        }
        if time > last.as_str() {
            time.clone_into(last);
        }
        for call in calls {
            let seen = self.calls.entry(call).or_default();
            seen.count += 1;
            if time > seen.last.as_str() {
                time.clone_into(&mut seen.last);
            }
        }
    }
}

/// What of the seen calls rests on a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resting<'e> {
    /// Calls that are allowed with the statement and not without it.
    pub stops: Vec<(&'e Call, &'e Seen)>,
    /// Calls of principals that have the statement, which it may have allowed: no resource of the record says.
    pub may_stop: Vec<(&'e Call, &'e Seen)>,
}

/// Decides every seen call again without a statement.
pub fn resting(estate: &Estate, statement: StatementId) -> Resting<'_> {
    let mut resting = Resting::default();
    let Some(said) = estate.statement(statement) else { return resting };
    let mut without = estate.clone();
    without.silence(statement);
    let (with, without) = (Evaluator::new(estate), Evaluator::new(&without));
    let context = Context::default();
    for (call, seen) in &estate.calls.calls {
        let Some(index) = estate.index_of(&call.principal) else { continue };
        if !said.has_action(&call.action.to_ascii_lowercase()) {
            continue;
        }
        let verdict = |evaluator: &Evaluator<'_>, resource: &str| {
            evaluator.decide(&Request::new(index, &call.action, resource, &context)).verdict
        };
        let resources = call.resources.iter().map(String::as_str).chain(call.resources.is_empty().then_some("*"));
        let allowed = resources.clone().find(|resource| verdict(&with, resource) != Truth::No);
        match allowed {
            Some(resource) if verdict(&without, resource) == Truth::No => resting.stops.push((call, seen)),
            Some(_) => {}
            None if estate.has_statement(index, statement) => resting.may_stop.push((call, seen)),
            None => {}
        }
    }
    resting
}

/// Why nothing is told of use.
pub const NO_RECORDS: &str =
    "what use a grant has was not observed: add CloudTrail's records (`aws cloudtrail lookup-events`) to the files";

/// What taking a statement away would break of what was seen, as a sentence; `None` where there are no records.
pub fn told(estate: &Estate, statement: StatementId) -> Option<String> {
    let (first, last) = estate.calls.span.as_ref()?;
    let resting = resting(estate, statement);
    let parts = [("would stop what was observed", &resting.stops), ("may stop", &resting.may_stop)];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, calls)| !calls.is_empty())
        .map(|(what, calls)| format!("{what}: {}", listed(estate, calls)))
        .collect();
    if parts.is_empty() {
        let records = plural(estate.calls.records, "record");
        return Some(format!("breaks nothing that was observed: no call of {records} from {first} to {last} needs it"));
    }
    Some(parts.join("; "))
}

/// The most frequent first, by action and caller.
fn listed(estate: &Estate, calls: &[(&Call, &Seen)]) -> String {
    let mut told: BTreeMap<(&str, &str), Seen> = BTreeMap::new();
    for (call, seen) in calls {
        let all = told.entry((&call.action, &call.principal)).or_default();
        all.count += seen.count;
        if seen.last > all.last {
            all.last.clone_from(&seen.last);
        }
    }
    let mut told: Vec<_> = told.into_iter().collect();
    told.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.count));
    let name = |arn| {
        let known = estate.index_of(arn).and_then(|at| estate.principals.get(at));
        known.map_or(arn, |principal| principal.short()).to_owned()
    };
    let shown = told.iter().take(CALLS_SHOWN).map(|((action, principal), seen)| {
        format!("{action} by {}, {}, the last at {}", name(principal), plural(seen.count, "time"), seen.last)
    });
    let text = shown.collect::<Vec<_>>().join("; ");
    match told.len().saturating_sub(CALLS_SHOWN) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

//! Calls that records of a platform show, counted by kind, and the sentence that says what of them rests on a grant.
//!
//! What a call needs the platforms decide ([`crate::aws::observed`], [`crate::kubernetes::observed`]).

use std::collections::BTreeMap;

use crate::plural;
use crate::world::World;

/// Calls named in a sentence.
const CALLS_SHOWN: usize = 4;

/// How often a call was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// The last time, as the record has it.
    pub last: String,
}

/// Everything that records hold, by the platform's own form of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls<C> {
    calls: BTreeMap<C, Seen>,
    /// Records that were read, those of nobody in the files among them.
    records: u64,
    /// The times of the first and the last.
    span: Option<(String, String)>,
}

impl<C> Default for Calls<C> {
    fn default() -> Self {
        Self { calls: BTreeMap::new(), records: 0, span: None }
    }
}

impl<C: Ord> Calls<C> {
    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Adds a record of a time (RFC 3339, in UTC) and the calls that it shows.
    pub fn add(&mut self, time: &str, calls: impl IntoIterator<Item = C>) {
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

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&C, &Seen)> {
        self.calls.iter()
    }

    /// What taking a grant away would break, as a sentence, from what certainly and what perhaps rests on it: what was
    /// called, by whom, and how often. `None` where there are no records.
    pub(crate) fn told<'c>(
        &self,
        stops: impl IntoIterator<Item = (String, String, &'c Seen)>,
        may_stop: impl IntoIterator<Item = (String, String, &'c Seen)>,
    ) -> Option<String> {
        let (first, last) = self.span.as_ref()?;
        let parts = [("would stop what was observed", listed(stops)), ("may stop", listed(may_stop))];
        let told: Vec<String> =
            parts.into_iter().filter_map(|(what, calls)| Some(format!("{what}: {}", calls?))).collect();
        if told.is_empty() {
            let records = plural(self.records, "record");
            return Some(format!(
                "breaks nothing that was observed: no call of {records} from {first} to {last} needs it"
            ));
        }
        Some(told.join("; "))
    }
}

/// The most frequent first, each with who made it; `None` where there are none.
fn listed<'c>(calls: impl IntoIterator<Item = (String, String, &'c Seen)>) -> Option<String> {
    let mut told: BTreeMap<(String, String), Seen> = BTreeMap::new();
    for (what, who, seen) in calls {
        let all = told.entry((what, who)).or_default();
        all.count += seen.count;
        if seen.last > all.last {
            all.last.clone_from(&seen.last);
        }
    }
    let mut told: Vec<_> = told.into_iter().collect();
    told.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.count));
    let shown = told.iter().take(CALLS_SHOWN).map(|((what, who), seen)| {
        format!("{what} by {who}, {}, the last at {}", plural(seen.count, "time"), seen.last)
    });
    let text = shown.collect::<Vec<_>>().join("; ");
    match told.len().saturating_sub(CALLS_SHOWN) {
        0 if told.is_empty() => None,
        0 => Some(text),
        more => Some(format!("{text} and {more} more")),
    }
}

/// Why nothing is told of use: the records that are not among the files.
pub fn lacking(world: &World) -> Option<String> {
    let lacks = [
        (
            !world.aws.principals.is_empty() && world.aws.calls.is_empty(),
            "CloudTrail's records (`aws cloudtrail lookup-events`)",
        ),
        (!world.cluster.bindings.is_empty() && world.cluster.calls.is_empty(), "the cluster's audit log"),
    ];
    let lacks: Vec<&str> =
        lacks.into_iter().filter(|(is_lacking, _)| *is_lacking).map(|(_, records)| records).collect();
    let add = || format!("what use a grant has was not observed: add {} to the files", lacks.join(" and "));
    (!lacks.is_empty()).then(add)
}

//! What a recorded decision rests on beside what its own entry says: the answer of a person, and the policies in force.
//! Both are entries of the same log, so whoever invents one is found out. Pure but for the reader.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use ledger::Reader;
use ledger::record::{Answered, Asked, Intent, Record, Scope};
use policy::{Action, Decision, Effect, ToolFacts, ToolId};

use super::{Fault, Typed, Whole, bound, read, whole};
use crate::ask;

/// A call that was being decided while another snapshot took effect may be recorded under the one before.
const SUPERSEDED_FOR: SignedDuration = SignedDuration::from_secs(10);
/// A decision is recorded at once, so the time that was given to it is about that of its entry. Whoever could give it any other
/// would decide by policies that are gone, or by what they say of another hour.
const RECORDED_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// Who announces the snapshot of what was recorded elsewhere, at times of its own.
const IMPORT: &str = "import";

/// Looks up what entries refer to.
pub(super) struct Approvals<'a> {
    log: &'a Reader,
    /// What was before this entry was pruned, and is taken to have been as it should.
    start: u64,
}

impl<'a> Approvals<'a> {
    pub(super) fn new(log: &'a Reader, start: u64) -> Self {
        Self { log, start }
    }

    /// Whether an entry is of the session that its decision was made for: whoever looks up a session goes by the entry.
    pub(super) fn session(intent: &Typed) -> Result<(), String> {
        let decided = &intent.action.principal.session;
        if intent.session == *decided {
            return Ok(());
        }
        Err(format!("it is of session `{}`, and was decided for `{decided}`", intent.session))
    }

    /// Whether the approval of a decision is what a person said to this very call. `tool` is what a snapshot knows of a
    /// tool; what it does not know has no scope.
    pub(super) fn check(
        &self,
        entry: u64,
        intent: &Typed,
        mut tool: impl FnMut(&str, &ToolId) -> Option<Arc<ToolFacts>>,
    ) -> Result<(), String> {
        let action = &intent.action;
        let (approval, number) = match (&action.approval, intent.uses) {
            (None, None) => return Ok(()),
            (Some(_), None) => return Err("it has an approval and says of no ask that it uses it up".to_owned()),
            (None, Some(ask)) => return Err(format!("it uses up ask {ask} and has no approval")),
            (Some(approval), Some(ask)) => (approval, ask),
        };
        if approval.entry < self.start && number < self.start {
            return Ok(());
        }
        let answered = self.answered(approval.entry, entry)?;
        if !answered.approved || answered.ask != number {
            return Err(format!("its approval, entry {}, does not approve ask {number}", approval.entry));
        }
        if number < self.start {
            return Ok(());
        }
        let asked = self.ask(number, entry)?;
        if let Some(group) = approval.groups.iter().find(|group| !asked.groups.contains(*group)) {
            return Err(format!("its approval lifts `{group}`, which ask {number} was not about"));
        }
        if asked.intent < self.start {
            return Ok(());
        }
        let Some((then, before, _)) = self.intent(asked.intent, entry)? else { return Ok(()) };
        let same = match answered.scope {
            Scope::Once => of_call(&before) == of_call(action),
            Scope::Session => {
                let mut scope = |snapshot: &str, action: &Action| {
                    Some(ask::scope(action, tool(snapshot, &action.tool)?.as_ref(), ""))
                };
                let scopes = (scope(&then.snapshot, &before), scope(&intent.snapshot, action));
                is_same_caller(&before, action) && scopes.0.is_some() && scopes.0 == scopes.1
            }
        };
        if same { Ok(()) } else { Err(format!("ask {number} was about another call than this")) }
    }

    /// Whether a person was asked about the call that the ask names, as it was to be decided, and what he was to lift. `law` is
    /// the pin that a snapshot has for a tool, and what approvals are bound to of its policies.
    pub(super) fn asked(
        &self,
        entry: u64,
        asked: &Asked,
        law: impl FnOnce(&str, &ToolId) -> Option<(String, String)>,
    ) -> Result<(), String> {
        let about = asked.intent;
        if about < self.start {
            return Ok(());
        }
        let Some((intent, action, decision)) = self.intent(about, entry)? else { return Ok(()) };
        match decision.effect {
            Effect::Ask { groups } if groups == asked.groups => {}
            Effect::Ask { groups } => {
                let (asks, is) = (asked.groups.join(", "), groups.join(", "));
                return Err(format!("it asks for `{asks}`, and entry {about} needs `{is}`"));
            }
            Effect::Permit | Effect::Deny => {
                return Err(format!("it asks about entry {about}, which needs no approval"));
            }
        }
        // That a snapshot cannot be read is said of the call.
        let Some((pin, policies)) = law(&intent.snapshot, &action.tool) else { return Ok(()) };
        let arguments = match &intent.payload {
            Some(payload) => self.log.payload(payload).ok().flatten().as_deref().and_then(bound::of_action),
            None => self.log.bytes(about).ok().as_deref().and_then(bound::of_entry),
        };
        let arguments = arguments.ok_or_else(|| format!("what was asked about, entry {about}, cannot be read"))?;
        let bound = ask::binding_of((&action, &arguments), &pin, &policies);
        if bound == asked.binding {
            return Ok(());
        }
        Err(format!("it binds another action than that of entry {about}: `{}`, `{bound}`", asked.binding))
    }

    fn entry(&self, index: u64, before: u64) -> Result<Record, String> {
        if index >= before {
            return Err(format!("it rests on entry {index}, which comes after it"));
        }
        self.log.read(index).map(|stored| stored.entry.record).map_err(|error| error.to_string())
    }

    fn answered(&self, index: u64, before: u64) -> Result<Answered, String> {
        match self.entry(index, before)? {
            Record::Answered(answered) => Ok(answered),
            _ => Err(format!("its approval, entry {index}, is no answer")),
        }
    }

    fn ask(&self, index: u64, before: u64) -> Result<Asked, String> {
        match self.entry(index, before)? {
            Record::Asked(asked) => Ok(asked),
            _ => Err(format!("it uses up entry {index}, which asks nothing")),
        }
    }

    /// What was asked about; `None` if it was erased.
    fn intent(&self, index: u64, before: u64) -> Result<Option<(Intent, Action, Decision)>, String> {
        let Record::Intent(intent) = self.entry(index, before)? else {
            return Err(format!("what was asked about, entry {index}, is no call"));
        };
        match whole(intent, |payload| self.log.payload(payload)) {
            Whole::Erased(_) => Ok(None),
            Whole::There(intent) => {
                let (action, decision) = read(&intent).map_err(|error| format!("what was asked about: {error}"))?;
                Ok(Some((intent, action, decision)))
            }
        }
    }
}

/// What an answer binds of the call itself. The pin and the policies are those of a snapshot, which may be another by now.
fn of_call(action: &Action) -> String {
    ask::binding(action, "", "")
}

fn is_same_caller(one: &Action, other: &Action) -> bool {
    let who = |action: &Action| {
        let principal = &action.principal;
        (principal.session.clone(), principal.agent.clone(), principal.user.clone())
    };
    who(one) == who(other) && one.verb == other.verb && one.tool == other.tool
}

/// What some entries say of snapshots, in order.
#[derive(Debug)]
pub(super) enum Seen {
    /// A process began: nothing is in force.
    Start,
    /// Another snapshot took effect.
    Announced { snapshot: String, time: Timestamp, is_import: bool },
    /// Decisions were made under a snapshot: how many, one of them, and the latest time that was given to any.
    Used { snapshot: String, entry: u64, now: Timestamp, count: u64, astray: Option<Astray>, own: Option<Astray> },
}

/// Decisions that were given another time than that of their entries: those that say that they were imported, or (`own`) the
/// others.
#[derive(Debug)]
pub(super) struct Astray {
    /// The first of them.
    entry: u64,
    now: Timestamp,
    time: Timestamp,
    count: u64,
}

impl Astray {
    fn of(entry: u64, now: Timestamp, time: Timestamp) -> Option<Self> {
        (time.duration_since(now).abs() > RECORDED_WITHIN).then_some(Self { entry, now, time, count: 1 })
    }

    /// Counts on from what was found before.
    fn join(found: &mut Option<Self>, other: Option<Self>) {
        match found {
            Some(found) => found.count += other.map_or(0, |other| other.count),
            None => *found = other,
        }
    }

    fn fault(self) -> Fault {
        let Self { entry, now, time, count } = self;
        let message = format!("it was recorded at {time}, and decided as of {now}{}", others(count));
        Fault { entry, message }
    }
}

fn others(count: u64) -> String {
    if count > 1 { format!(" ({count} decisions)") } else { String::new() }
}

/// Takes the entries of a part of a log.
#[derive(Debug, Default)]
pub(super) struct Sighting(Vec<Seen>);

impl Sighting {
    pub(super) fn record(&mut self, record: &Record, time: Timestamp) {
        match record {
            Record::Log { event, .. } if matches!(event.as_str(), "created" | "started" | "recovered") => {
                self.0.push(Seen::Start);
            }
            Record::Snapshot { snapshot, by } => {
                self.0.push(Seen::Announced { snapshot: snapshot.clone(), time, is_import: by == IMPORT });
            }
            _ => {}
        }
    }

    /// `is_imported`: it says so itself.
    pub(super) fn intent<A, D>(&mut self, (index, is_imported): (u64, bool), intent: &Intent<A, D>, time: Timestamp) {
        let (mut other, mut others) = (Astray::of(index, intent.now, time), None);
        if !is_imported {
            others = other.take();
        }
        match self.0.last_mut() {
            Some(Seen::Used { snapshot, entry, now, count, astray, own }) if *snapshot == intent.snapshot => {
                *count += 1;
                if intent.now > *now {
                    (*entry, *now) = (index, intent.now);
                }
                Astray::join(astray, other);
                Astray::join(own, others);
            }
            _ => {
                let (snapshot, now) = (intent.snapshot.clone(), intent.now);
                self.0.push(Seen::Used { snapshot, entry: index, now, count: 1, astray: other, own: others });
            }
        }
    }
}

/// Whether every decision was made under a snapshot that the log had announced as in force, by parts of the log in their
/// order. What was announced before a log's first start that is still there, nobody knows.
pub(super) fn announced(parts: Vec<Sighting>, is_pruned: bool, faults: &mut Vec<Fault>) {
    let (mut known, mut is_known) = (HashMap::<String, Option<Timestamp>>::new(), !is_pruned);
    // Of these the times are those of whoever recorded them first.
    let mut imported = HashSet::<String>::new();
    for seen in parts.into_iter().flat_map(|part| part.0) {
        match seen {
            Seen::Start => {
                known.clear();
                imported.clear();
                is_known = true;
            }
            Seen::Announced { snapshot, time, is_import } => {
                known.values_mut().for_each(|until| *until = until.or(Some(time)));
                if is_import {
                    imported.insert(snapshot.clone());
                }
                known.insert(snapshot, None);
            }
            Seen::Used { snapshot, entry, now, count, astray, own } => {
                let astray = astray.filter(|_| known.contains_key(&snapshot) && !imported.contains(&snapshot));
                faults.extend(astray.into_iter().chain(own).map(Astray::fault));
                let message = match known.get(&snapshot) {
                    Some(None) => continue,
                    Some(Some(until)) if now.duration_since(*until) <= SUPERSEDED_FOR => continue,
                    Some(Some(until)) => format!("its snapshot {snapshot} was superseded at {until}"),
                    None if !is_known => continue,
                    None => format!("the log does not say that its snapshot {snapshot} took effect in this run"),
                };
                faults.push(Fault { entry, message: message + &others(count) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap_or_default()
    }

    fn faults(is_pruned: bool, seen: Vec<Seen>) -> Vec<u64> {
        let mut faults = Vec::new();
        // Where a log is cut into parts makes no difference.
        announced(seen.into_iter().map(|seen| Sighting(vec![seen])).collect(), is_pruned, &mut faults);
        faults.into_iter().map(|fault| fault.entry).collect()
    }

    fn used(snapshot: &str, entry: u64, second: i64) -> Seen {
        Seen::Used { snapshot: snapshot.to_owned(), entry, now: at(second), count: 1, astray: None, own: None }
    }

    fn named(snapshot: &str, second: i64, is_import: bool) -> Seen {
        Seen::Announced { snapshot: snapshot.to_owned(), time: at(second), is_import }
    }

    #[test]
    fn a_decision_is_given_the_time_of_its_entry() {
        let astray = |entry, now, time| Astray::of(entry, at(now), at(time));
        assert!(astray(3, 100, 160).is_none() && astray(3, 160, 100).is_none(), "a slow disk, or a clock that was set");
        let decided =
            |astray| Seen::Used { snapshot: "a".to_owned(), entry: 3, now: at(1), count: 2, astray, own: None };
        let own = Seen::Used {
            snapshot: "a".to_owned(),
            entry: 3,
            now: at(1),
            count: 2,
            astray: None,
            own: astray(4, 1, 200),
        };
        assert_eq!(faults(false, vec![Seen::Start, named("a", 0, true), own]), [4], "under what an import announced");
        let of = |is_import, seen| faults(false, vec![Seen::Start, named("a", 0, is_import), decided(seen)]);
        assert_eq!(of(false, astray(4, 1, 200)), [4], "as of a time when other policies were in force");
        assert_eq!(of(false, astray(4, 200, 1)), [4], "as of a time to come");
        assert_eq!(of(true, astray(4, 1, 200)), [] as [u64; 0], "recorded elsewhere, and imported");
        assert_eq!(faults(true, vec![decided(astray(4, 1, 200))]), [] as [u64; 0], "what announced it was pruned");
        let mut found = astray(4, 1, 200);
        Astray::join(&mut found, astray(7, 1, 300));
        Astray::join(&mut found, None);
        assert_eq!(found.map(|found| (found.entry, found.count)), Some((4, 2)));
    }

    #[test]
    fn a_snapshot_decides_from_its_announcement_to_the_next() {
        let announced = |snapshot: &str, second| named(snapshot, second, false);
        let run = || vec![Seen::Start, announced("a", 0), used("a", 3, 1), announced("b", 100)];
        let with = |more: Vec<Seen>| faults(false, run().into_iter().chain(more).collect());
        assert_eq!(with(vec![used("b", 5, 101)]), [] as [u64; 0]);
        assert_eq!(with(vec![used("a", 5, 105), used("b", 6, 105)]), [] as [u64; 0], "it was being decided");
        assert_eq!(with(vec![used("a", 5, 111)]), [5], "long superseded");
        assert_eq!(with(vec![announced("a", 200), used("a", 6, 201), used("b", 7, 300)]), [7], "back again");
        assert_eq!(with(vec![Seen::Start, used("b", 6, 102)]), [6], "of another run");
        assert_eq!(faults(false, vec![Seen::Start, used("a", 1, 0), announced("a", 1)]), [1], "too early");
        assert_eq!(faults(true, vec![used("a", 1, 0), Seen::Start, used("a", 3, 1)]), [3], "pruned");
    }
}

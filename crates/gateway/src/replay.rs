//! Reads a ledger again: decides under the same policies, to prove the record ([`Recompute`]); under others, to see
//! what they would have changed ([`whatif`]); or tells what happened ([`story`]). [`import`] writes other people's
//! records so that they can be read like ours.
//!
//! To recompute, each record is judged by itself: an Intent carries its whole action with the labels, facts and
//! approval of its time. What it says of an approval and of its snapshot must be what the log says of them, and what a person
//! was asked must be what he was asked about (`grounds`). INVARIANT: but for [`import`], which fills a ledger of its own, nothing
//! here writes; and nothing here has a way to open a connection or a clock.

mod bound;
mod grounds;
pub mod import;
mod lost;
pub mod otel;
pub mod page;
mod spent;
pub mod story;
pub mod whatif;

use std::collections::HashMap;
use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use ledger::record::{self, Asked, Intent, Record};
pub use ledger::record::{Whole, whole};
use ledger::{ReadError, Reader, Stored};
use policy::bounds::USED;
use policy::{Action, Bounds, Decision, Effect, Snapshot, SnapshotId, Source, ToolFacts, ToolId, decide};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::grounds::{Approvals, Sighting};
use self::spent::Spending;
use crate::law;

/// Snapshots kept compiled at a time; a log seldom alternates between more.
const SNAPSHOTS_MAX: usize = 8;

/// As many as packs of payloads stay in a reader's memory.
const WORKERS_MAX: usize = 4;
/// A log is not cut into smaller parts: each compiles its snapshots anew.
const PART_MIN: u64 = 4_096;

/// Why a recorded decision could not be made again.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Unreadable {
    /// The action or decision is not of this version's form.
    #[error("the recorded {part} cannot be read: {error}")]
    Record {
        /// `action` or `decision`.
        part: String,
        /// What is wrong.
        error: String,
    },
    /// The snapshot's source is missing, damaged, or does not compile.
    #[error("snapshot {snapshot}: {error}")]
    Snapshot {
        /// Its id.
        snapshot: String,
        /// What is wrong.
        error: String,
    },
}

/// An intent whose action and decision are what they stand for.
pub(crate) type Typed = Intent<Action, Decision>;

/// A decision in the log that does not follow from what the log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The entry.
    pub entry: u64,
    /// In words.
    pub message: String,
}

/// The outcome of recomputing a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recomputation {
    /// Decisions made again.
    pub decisions: u64,
    /// Decisions that cannot be made again, because what was asked for was erased.
    #[serde(default)]
    pub erased: u64,
    /// Those that came out otherwise, could not be made, or rest on what the log does not have.
    pub faults: Vec<Fault>,
}

/// What the operator might write instead. What is absent stays as it was recorded.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    /// The policy files: name and text.
    pub policies: Option<Vec<(String, String)>>,
    /// Mandates and budgets.
    pub bounds: Option<Bounds>,
}

impl From<Vec<(String, String)>> for Proposal {
    fn from(policies: Vec<(String, String)>) -> Self {
        Self { policies: Some(policies), bounds: None }
    }
}

/// Compiled snapshots by id, from the ledger's objects.
pub(crate) struct Snapshots<F> {
    load: F,
    /// Instead of what was recorded.
    proposal: Option<Proposal>,
    compiled: HashMap<String, Result<Compiled, Unreadable>>,
}

/// A snapshot with its tools.
pub(crate) struct Compiled {
    pub(crate) snapshot: Snapshot,
    /// What an approval is bound to of its policies.
    policies: String,
    tools: HashMap<ToolId, Arc<ToolFacts>>,
}

impl Compiled {
    /// What is known of a tool. Of one that the snapshot has not: as much as its name says.
    pub(crate) fn tool(&self, id: &ToolId) -> Arc<ToolFacts> {
        self.tools.get(id).cloned().unwrap_or_else(|| {
            Arc::new(crate::tools::infer(&id.server, &serde_json::json!({ "name": id.name }), String::new()))
        })
    }
}

impl<F: FnMut(&str) -> Result<Vec<u8>, String>> Snapshots<F> {
    pub(crate) fn new(proposal: Option<Proposal>, load: F) -> Self {
        Self { load, proposal, compiled: HashMap::new() }
    }

    pub(crate) fn get(&mut self, id: &str) -> Result<&Compiled, Unreadable> {
        if self.compiled.len() >= SNAPSHOTS_MAX && !self.compiled.contains_key(id) {
            self.compiled.clear();
        }
        let Self { load, proposal, compiled } = self;
        if !compiled.contains_key(id) {
            compiled.insert(id.to_owned(), compile(id, load(id), proposal.as_ref()));
        }
        match compiled.get(id) {
            Some(Ok(snapshot)) => Ok(snapshot),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Unreadable::Snapshot { snapshot: id.to_owned(), error: "was forgotten".to_owned() }),
        }
    }
}

/// Makes recorded decisions again.
pub struct Recompute<F> {
    snapshots: Snapshots<F>,
    result: Recomputation,
}

impl<F: FnMut(&str) -> Result<Vec<u8>, String>> Recompute<F> {
    /// Nothing recomputed yet. `load` gives a snapshot's source by its id, from the ledger's objects.
    pub fn new(load: F) -> Self {
        Self { snapshots: Snapshots::new(None, load), result: Recomputation::default() }
    }

    /// Makes one decision again and compares effect, reasons, errors and snapshot.
    fn check(&mut self, intent: &Typed) -> Result<(), String> {
        let compiled = self.snapshots.get(&intent.snapshot).map_err(|error| error.to_string())?;
        let computed = decide(&compiled.snapshot, &intent.action, intent.now);
        if computed == intent.decision {
            return Ok(());
        }
        Err(format!("recorded {}, recomputed {}", show(&intent.decision), show(&computed)))
    }

    /// Checks one intent and keeps count.
    pub fn add(&mut self, entry: u64, intent: &Intent) {
        match typed(intent) {
            Ok(intent) => self.add_typed(entry, &intent),
            Err(error) => self.unreadable(entry, &error),
        }
    }

    fn unreadable(&mut self, entry: u64, error: &Unreadable) {
        self.result.decisions += 1;
        self.result.faults.push(Fault { entry, message: error.to_string() });
    }

    fn add_typed(&mut self, entry: u64, intent: &Typed) {
        self.result.decisions += 1;
        let checked = self.check(intent);
        self.result.faults.extend(checked.err().map(|message| Fault { entry, message }));
    }

    /// The same, and what a decision says of its session and of an approval.
    fn judge(&mut self, entry: u64, intent: &Typed, approvals: &Approvals<'_>) {
        self.add_typed(entry, intent);
        let tool = |snapshot: &str, id: &ToolId| self.snapshots.get(snapshot).ok().map(|compiled| compiled.tool(id));
        let checked = Approvals::session(intent).and_then(|()| approvals.check(entry, intent, tool));
        if let Err(message) = checked {
            self.result.faults.push(Fault { entry, message });
        }
    }

    /// Checks what a person was asked.
    fn asked(&mut self, entry: u64, asked: &Asked, approvals: &Approvals<'_>) {
        let law = |snapshot: &str, id: &ToolId| {
            let compiled = self.snapshots.get(snapshot).ok()?;
            Some((compiled.tool(id).pin.clone(), compiled.policies.clone()))
        };
        if let Err(message) = approvals.asked(entry, asked, law) {
            self.result.faults.push(Fault { entry, message });
        }
    }

    /// What was found.
    pub fn finish(self) -> Recomputation {
        self.result
    }
}

/// Makes every decision of a log again, on all processors. Each is judged by itself, with the labels, facts and approval
/// that its entry records; so the parts of a log can be, too.
pub fn recompute(log: &Reader) -> Result<Recomputation, ReadError> {
    let (start, end) = (log.start()?, log.len());
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS_MAX) as u64;
    let part = (end.saturating_sub(start)).div_ceil(workers).max(PART_MIN);
    let parts = thread::scope(|scope| {
        let run = |from: u64| scope.spawn(move || recompute_part(log, start, from..end.min(from + part)));
        let running: Vec<_> = (start..end).step_by(part as usize).map(run).collect();
        let done = |part: thread::ScopedJoinHandle<'_, _>| part.join().unwrap_or_else(|panic| resume_unwind(panic));
        running.into_iter().map(done).collect::<Result<Vec<_>, ReadError>>()
    })?;
    let (mut whole, mut sightings, mut spending) = (Recomputation::default(), Vec::new(), Spending::default());
    for (part, sighting, spent) in parts {
        spending.join(spent);
        whole.decisions += part.decisions;
        whole.erased += part.erased;
        whole.faults.extend(part.faults);
        sightings.push(sighting);
    }
    grounds::announced(sightings, start > 0, &mut whole.faults);
    whole.faults.extend(spending.faults());
    whole.faults.sort_by_key(|fault| fault.entry);
    Ok(whole)
}

fn recompute_part(
    log: &Reader,
    start: u64,
    range: Range<u64>,
) -> Result<(Recomputation, Sighting, Spending), ReadError> {
    let mut recompute = Recompute::new(|id: &str| log.object(id).map_err(|error| error.to_string()));
    let (approvals, mut sighting, mut spending) =
        (Approvals::new(log, start), Sighting::default(), Spending::default());
    for raw in log.raw(range) {
        let (index, bytes) = raw?;
        if let Some((time, intent)) = record::intent::<Action, Decision>(&bytes) {
            let is_imported = intent.action.principal.evidence.contains_key("imported");
            sighting.intent((index, is_imported), &intent, time);
            let used = intent.action.facts.get(USED).filter(|_| intent.decision.effect == Effect::Permit);
            spending.intent((index, intent.now), used);
            recompute.judge(index, &intent, &approvals);
            continue;
        }
        let entry = match Stored::parse(index, &bytes) {
            // One that was bent must not keep the others from being judged.
            Err(ReadError::Entry { index, error }) => {
                let message = format!("it cannot be read, and so not be judged: {error}");
                recompute.result.faults.push(Fault { entry: index, message });
                continue;
            }
            // For `verify` to say.
            Err(ReadError::Kind { .. }) => continue,
            stored => stored?.entry,
        };
        sighting.record(&entry.record, entry.time);
        let intent = match entry.record {
            Record::Intent(intent) => intent,
            Record::Asked(asked) => {
                recompute.asked(index, &asked, &approvals);
                continue;
            }
            _ => continue,
        };
        let is_imported = intent.action.pointer("/principal/evidence/imported").is_some();
        sighting.intent((index, is_imported), &intent, entry.time);
        let fact = intent.action.get("facts").and_then(|facts| facts.get(USED));
        spending.intent((index, intent.now), fact.filter(|_| intent.permits()));
        match whole(intent, |payload| log.payload(payload)) {
            Whole::There(intent) => match typed(&intent) {
                Ok(intent) => recompute.judge(index, &intent, &approvals),
                Err(error) => recompute.unreadable(index, &error),
            },
            Whole::Erased(_) => recompute.result.erased += 1,
        }
    }
    Ok((recompute.finish(), sighting, spending))
}

/// INVARIANT: a source is used only under the id that it hashes to, so an exchanged object is found even
/// if whoever exchanged it also exchanged its file's name.
fn compile(id: &str, loaded: Result<Vec<u8>, String>, proposal: Option<&Proposal>) -> Result<Compiled, Unreadable> {
    let fault = |error: String| Unreadable::Snapshot { snapshot: id.to_owned(), error };
    let mut source: Source =
        serde_json::from_slice(&loaded.map_err(fault)?).map_err(|error| fault(error.to_string()))?;
    let found = source.id();
    if found != SnapshotId(id.to_owned()) {
        return Err(fault(format!("its source has the id {found}")));
    }
    let policies = law::digest_of(&source.policies, &source.bounds).map_err(|error| fault(error.to_string()))?;
    let tools = source.tools.iter().map(|tool| (tool.id.clone(), Arc::new(tool.clone()))).collect();
    let made = match proposal {
        None => Snapshot::assemble(source),
        Some(Proposal { policies, bounds }) => {
            policies.iter().for_each(|policies| source.policies.clone_from(policies));
            bounds.iter().for_each(|bounds| source.bounds.clone_from(bounds));
            Snapshot::compile(source)
        }
    };
    let (snapshot, _) = made.map_err(|diagnostics| {
        let first = diagnostics.iter().find(|found| found.error);
        let first = first.map(|found| format!("{}:{}: {}", found.file, found.line, found.message));
        fault(format!("it does not compile: {}", first.unwrap_or_default()))
    })?;
    Ok(Compiled { snapshot, policies, tools })
}

pub(crate) fn read(intent: &Intent) -> Result<(Action, Decision), Unreadable> {
    let fault =
        |part: &str, error: serde_json::Error| Unreadable::Record { part: part.to_owned(), error: error.to_string() };
    let action = Action::deserialize(&intent.action).map_err(|error| fault("action", error))?;
    let decision = Decision::deserialize(&intent.decision).map_err(|error| fault("decision", error))?;
    Ok((action, decision))
}

fn typed(intent: &Intent) -> Result<Typed, Unreadable> {
    let (action, decision) = read(intent)?;
    let Intent { now, sequence, uses, .. } = *intent;
    let (snapshot, session, payload) = (intent.snapshot.clone(), intent.session.clone(), intent.payload.clone());
    Ok(Intent { action, decision, snapshot, now, session, sequence, uses, payload })
}

fn show(decision: &Decision) -> String {
    let reasons: Vec<_> = decision.reasons.iter().map(|reason| reason.policy.as_str()).collect();
    let errors =
        if decision.errors.is_empty() { String::new() } else { format!(" with {} errors", decision.errors.len()) };
    format!("{} by [{}]{errors}", Verdict::of(decision).word(), reasons.join(", "))
}

/// An effect without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Go ahead.
    Permit,
    /// Only with an approval.
    Ask,
    /// Never.
    Deny,
}

impl Verdict {
    pub(crate) fn of(decision: &Decision) -> Self {
        match decision.effect {
            Effect::Permit => Self::Permit,
            Effect::Ask { .. } => Self::Ask,
            Effect::Deny => Self::Deny,
        }
    }

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

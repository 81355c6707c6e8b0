//! The pipeline under a seeded schedule: calls, answers of an upstream and of approvers, jumps of the clock,
//! other policies, a disk that breaks, and the end of the process, in an order that the seed decides.
//!
//! The parts are the real ones: [`Authority`], [`pipeline`](crate::pipeline), asks, law, labels, and the ledger on
//! a disk in memory. What a door and an upstream would do, this module does. Afterwards the ledger is opened
//! again, as the next process would, and must tell what happened:
//!
//! 1. What was sent is an intent that the ledger holds, permitted, without an error, and sent once.
//! 2. What is denied was not sent; what is asked was sent only for an approval of this very action, used once.
//! 3. Every permitted intent has exactly one outcome.
//! 4. Every decision, made again from the ledger alone, is the same.
//! 5. No more calls of an agent left in a minute than its budget has.
//! 6. Nothing is owed and nothing is wrong with the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use ledger::record::{Answered, Intent, Record, Scope, Status};
use ledger::simulated::{Disk, Fault};
use ledger::{Ledger, SigningKey, Stored};
use policy::bounds::{Measure, Otherwise, Per, Used};
use policy::{Action, Bounds, Budget, Door, EffectKind, Principal, Snapshot, ToolFacts, ToolId, Verb};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::ask::{Answer, Asks, Pending};
use crate::authority::{Admitted, Asking, Authority, Errand, First, Returned};
use crate::breaker::Breakers;
use crate::budget::Budgets;
use crate::catalogue::Catalogue;
use crate::changes::Changes;
use crate::door::tasks::Tasks;
use crate::gateway::LABELS_KEY;
use crate::label::memory::Memory;
use crate::law::{Force, Law, Rules};
use crate::peers::Peers;
use crate::pipeline::{Act, Clock, Ending, Journal};
use crate::results::{Keep, Results};
use crate::session::{Caller, Key, Sessions};
use crate::{Limits, law};

/// When a simulation begins, in milliseconds.
const BEGINNING_MS: i64 = 1_800_000_000_000;

/// Reads are permitted, deletions denied, writes asked.
const STRICT: &str = r#"
@id("allow") permit (principal, action, resource);
@id("deny") @reason("no") forbid (principal, action == Action::"sim/delete", resource);
@id("ask") @ask("write") @reason("ask") forbid (principal, action == Action::"sim/write", resource);
"#;

/// The same, and nothing lifts the rule on writes.
const STRICTER: &str = r#"
@id("allow") permit (principal, action, resource);
@id("deny") @reason("no") forbid (principal, action in [Action::"sim/delete", Action::"sim/write"], resource);
"#;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Calls made.
    pub calls: u64,
    /// Calls sent.
    pub sent: u64,
    /// Asks that a human answered.
    pub answered: u64,
    /// Whether the disk broke.
    pub broke: bool,
    /// Whether the process ended without warning.
    pub crashed: bool,
}

/// Runs one seed; answers what it did, or which invariant it broke. `dir` holds no state between runs.
pub fn run(seed: u64, dir: &Path) -> Result<Summary, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (disk, sent, summary) = runtime.block_on(simulate(seed, dir))?;
    drop(runtime);
    check(&disk, &sent)?;
    Ok(summary)
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }
}

/// A call, as the upstream would get it.
#[derive(Clone, Debug)]
struct Order {
    tool: &'static str,
}

/// What left for the upstream: the intent, and the call.
type Sent = Vec<(u64, Order)>;

/// An act that the upstream has not answered.
struct Running {
    act: Act,
    tool: Arc<ToolFacts>,
    caller: Caller,
}

/// A call that waits for a human.
struct Waiting {
    asking: Box<Asking<Order>>,
    pending: Pending,
    caller: Caller,
    /// Answers in the ledger that the gateway has not heard of yet.
    unheard: Vec<Answer>,
    heard: bool,
}

struct World {
    random: Random,
    disk: Disk,
    clock: Arc<AtomicI64>,
    authority: Authority,
    callers: Vec<Caller>,
    running: Vec<Running>,
    waiting: Vec<Waiting>,
    sent: Sent,
    summary: Summary,
}

async fn simulate(seed: u64, dir: &Path) -> Result<(Disk, Sent, Summary), String> {
    let disk = Disk::default();
    let mut world = World::new(seed, dir, disk.clone())?;
    let steps = 8 + world.random.below(40);
    for _ in 0..steps {
        world.step().await;
    }
    let (sent, summary) = world.end().await;
    // The next process sees what was synced, or, after an orderly end, everything.
    Ok((disk.survives(), sent, summary))
}

impl World {
    fn new(seed: u64, dir: &Path, disk: Disk) -> Result<Self, String> {
        let clock = Arc::new(AtomicI64::new(BEGINNING_MS));
        let (ledger, _) = disk.open(key()?, options()).map_err(|error| error.to_string())?;
        let journal = Journal::new(ledger.clone(), Clock::Simulated(clock.clone()));
        let catalogue = catalogue(dir)?;
        let law = Law::of(forces()?.0.clone());
        let limits = Limits::default();
        let authority = Authority {
            law,
            catalogue,
            sessions: Sessions::new(dir.join("sessions"), None),
            asks: Arc::default(),
            tasks: Tasks::new(None, journal.clock()),
            memory: Memory::open(dir.join("memory.json")).map_err(|error| error.to_string())?,
            peers: Peers::open(&dir.join(LABELS_KEY), Vec::new()).map_err(|error| error.to_string())?,
            budgets: Budgets::open(dir.join("budgets.json"), None).map_err(|error| error.to_string())?,
            breakers: Breakers::open(dir.join("breakers.json")).map_err(|error| error.to_string())?,
            changes: Changes::open(dir.join("operator.json")).map_err(|error| error.to_string())?,
            home: PathBuf::from("/bailiwick"),
            own_ids: AtomicU64::new(1),
            results: Results::new(Keep::Macs).map_err(|error| error.to_string())?,
            journal,
            limits,
        };
        let callers = (0..3).map(|number| caller(&authority, number)).collect();
        let (running, waiting, sent) = (Vec::new(), Vec::new(), Vec::new());
        let (random, summary) = (Random(seed), Summary::default());
        Ok(Self { random, disk, clock, authority, callers, running, waiting, sent, summary })
    }

    async fn step(&mut self) {
        match self.random.below(20) {
            0..=6 => self.call().await,
            7..=9 => self.upstream_answers().await,
            10..=12 => self.approver_answers(),
            13 => self.gateway_hears(),
            14..=16 => self.caller_goes_on().await,
            17 => self.clock_jumps(),
            18 => self.policies_change(),
            _ => self.disk_breaks().await,
        }
    }

    async fn call(&mut self) {
        self.summary.calls += 1;
        const TOOLS: [&str; 5] = ["read", "read", "write", "delete", "unknown"];
        let tool = TOOLS.get(self.random.below(TOOLS.len())).copied().unwrap_or("read");
        let number = self.random.below(self.callers.len());
        let Some(caller) = self.callers.get(number).cloned() else { return };
        let errand = Errand {
            call: Order { tool },
            verb: Verb::CallTool,
            tool: ToolId { server: "sim".to_owned(), name: tool.to_owned() },
            arguments: json!({ "path": format!("/w/{}", self.random.below(3)) }),
            facts: BTreeMap::new(),
            carried: None,
        };
        match self.authority.first(&caller, errand).await {
            First::Admitted(admitted) => self.send(admitted, caller),
            First::Refused(_) => {}
            First::Asks(asking) => {
                let asked = self.authority.asked(&asking);
                let asks: &Arc<Asks> = &self.authority.asks;
                if let Ok(pending) = asks.ask((&caller.principal.agent, asked), &self.authority.journal).await {
                    self.waiting.push(Waiting { asking, pending, caller, unheard: Vec::new(), heard: false });
                }
            }
        }
    }

    fn send(&mut self, admitted: Admitted<Order>, caller: Caller) {
        self.summary.sent += 1;
        let Admitted { permit, tool } = admitted;
        let intent = permit.intent();
        let (order, act) = permit.spend();
        self.sent.push((intent, order));
        self.running.push(Running { act, tool, caller });
    }

    async fn upstream_answers(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let Running { act, tool, caller } = self.running.swap_remove(self.random.below(self.running.len()));
        match self.random.below(5) {
            0 => drop(act),
            1 => act.end(Ending::without_result(Status::TimedOut)),
            answers => {
                let (body, is_error) = if answers == 2 { ("no json", true) } else { ("{\"text\":\"x\"}", false) };
                drop(self.authority.conclude(&caller, &tool, act, &Returned { body, is_error }).await);
            }
        }
    }

    fn approver_answers(&mut self) {
        let number = self.random.below(self.waiting.len());
        let (wrong, approved, session) = (self.random.one_in(5), !self.random.one_in(4), self.random.one_in(4));
        let Some(waiting) = self.waiting.get_mut(number) else { return };
        let binding = if wrong { "of another action".to_owned() } else { waiting.pending.binding.clone() };
        let answered = Answered {
            ask: waiting.pending.ask,
            approved,
            scope: if session { Scope::Session } else { Scope::Once },
            by: "approver".to_owned(),
            binding,
            nonce: self.random.next().to_string(),
        };
        if let Some(entry) = self.authority.journal.note(Record::Answered(answered.clone())) {
            waiting.unheard.push(Answer { entry, answered });
            self.summary.answered += 1;
        }
    }

    /// Word of an answer comes late and sometimes twice, but in the log's order, in which the gateway follows it.
    fn gateway_hears(&mut self) {
        let number = self.random.below(self.waiting.len());
        let Some(waiting) = self.waiting.get_mut(number) else { return };
        if waiting.unheard.is_empty() {
            return;
        }
        let answer = waiting.unheard.remove(0);
        waiting.heard |= answer.answered.binding == waiting.pending.binding;
        self.authority.asks.hear(answer.clone());
        if self.random.one_in(3) {
            self.authority.asks.hear(answer);
        }
    }

    async fn caller_goes_on(&mut self) {
        let ready = |waiting: &Waiting| waiting.heard || waiting.pending.is_over();
        let Some(number) = self.waiting.iter().position(ready) else { return };
        let Waiting { asking, pending, caller, .. } = self.waiting.swap_remove(number);
        let Ok(answer) = pending.answer().await else { return };
        if !answer.answered.approved {
            return;
        }
        if let Ok(admitted) = self.authority.approved(&caller, *asking, answer).await {
            self.send(admitted, caller);
        }
    }

    fn clock_jumps(&mut self) {
        let jump = i64::try_from(self.random.below(200_000)).unwrap_or(0);
        let back = self.random.one_in(6);
        self.clock.fetch_add(if back { -jump } else { jump }, Ordering::Relaxed);
        self.authority.asks.expire(&self.authority.journal);
    }

    fn policies_change(&mut self) {
        if let Ok((strict, stricter)) = forces() {
            self.authority.law.to(if self.random.one_in(2) { strict } else { stricter }.clone());
        }
    }

    async fn disk_breaks(&mut self) {
        if !self.random.one_in(4) {
            return;
        }
        self.settle().await;
        self.summary.broke = true;
        self.disk.break_next(match self.random.below(3) {
            0 => Fault::Failed,
            1 => Fault::FailedButPersisted,
            _ => Fault::Torn,
        });
    }

    /// Waits until everything so far is durable, so that what fails next does not depend on threads.
    async fn settle(&self) {
        let details = serde_json::Map::new();
        drop(self.authority.journal.append(Record::Log { event: "step".to_owned(), details }).await);
    }

    /// The process ends: in order, or at once.
    async fn end(mut self) -> (Sent, Summary) {
        self.settle().await;
        if self.random.one_in(2) {
            self.summary.crashed = true;
            self.disk.stop();
        }
        self.running.clear();
        self.waiting.clear();
        self.settle().await;
        (self.sent, self.summary)
    }
}

fn key() -> Result<SigningKey, String> {
    SigningKey::from_seed(&[7; 32]).map_err(|error| error.to_string())
}

fn options() -> ledger::Options {
    let now = Timestamp::from_millisecond(BEGINNING_MS).unwrap_or(Timestamp::UNIX_EPOCH);
    ledger::Options {
        segment_bytes: 256 << 10,
        ride_max: std::time::Duration::ZERO,
        checkpoint_every: std::time::Duration::from_secs(3_600),
        ..ledger::Options::new(now)
    }
}

fn caller(authority: &Authority, number: u64) -> Caller {
    let name = format!("agent-{number}");
    let key = Key::Named { agent: name.clone(), name: "sim".to_owned() };
    let session = authority.sessions.join(&[key], || format!("s{number}"));
    let principal = Principal {
        agent: name,
        user: "user".to_owned(),
        session: session.id.clone(),
        delegation: Vec::new(),
        evidence: BTreeMap::new(),
    };
    Caller { door: Door::McpStdio, principal, session }
}

fn tools() -> Vec<ToolFacts> {
    let tool = |(name, effect): (&str, EffectKind)| ToolFacts {
        id: ToolId { server: "sim".to_owned(), name: name.to_owned() },
        input_schema: json!({ "type": "object", "properties": { "path": { "type": "string" } } }),
        effects: BTreeSet::from([effect]),
        reversible: true,
        open_world: false,
        roles: BTreeMap::from([("/path".to_owned(), policy::Role::Path)]),
        commands: BTreeMap::new(),
        results: BTreeMap::new(),
        readers: BTreeMap::new(),
        is_agent: false,
        pin: "pin".to_owned(),
    };
    [("read", EffectKind::Read), ("write", EffectKind::Write), ("delete", EffectKind::Delete)].map(tool).into()
}

/// A catalogue that knows the three tools; its file is written once.
fn catalogue(dir: &Path) -> Result<Catalogue, String> {
    let catalogue = Catalogue::open(dir.join("tools.json")).map_err(|error| error.to_string())?;
    catalogue.learn_facts(tools()).map_err(|error| error.to_string())?;
    Ok(catalogue)
}

type Forces = (Arc<Force>, Arc<Force>);

/// So many calls may each agent make in a minute.
const CALLS_A_MINUTE: u64 = 3;

fn budget() -> Budget {
    let (file, measure, per) = ("sim.toml".to_owned(), Measure::Calls, Per::Minute);
    let (line, limit, each_user, tools) = (1, CALLS_A_MINUTE, false, None);
    Budget { file, line, measure, per, limit, each_user, tools, otherwise: Otherwise::Deny }
}

/// The two laws, compiled once for all seeds.
fn forces() -> Result<&'static Forces, String> {
    static FORCES: OnceLock<Result<Forces, String>> = OnceLock::new();
    let make = |text: &str| {
        let policies = vec![("sim.cedar".to_owned(), text.to_owned())];
        let bounds = Bounds { budgets: vec![budget()], ..Bounds::default() };
        law::compile(Rules { policies, bounds, ..Rules::default() }, tools(), Snapshot::compile)
            .map(|(force, _)| Arc::new(force))
    };
    let both = || Ok((make(STRICT)?, make(STRICTER)?));
    let both = FORCES.get_or_init(|| both().map_err(|error: crate::LawError| error.to_string()));
    both.as_ref().map_err(Clone::clone)
}

/// Opens what is left, as the next process would, and holds it against what was sent.
fn check(disk: &Disk, sent: &[(u64, Order)]) -> Result<(), String> {
    let (ledger, _) = disk.open(key()?, options()).map_err(|error| format!("cannot be opened again: {error}"))?;
    let open = ledger.open_intents();
    if !open.is_empty() {
        return Err(format!("intents {open:?} still owe an outcome"));
    }
    let told = Told::read(&ledger)?;
    let mut once = BTreeSet::new();
    for (intent, order) in sent {
        if !once.insert(intent) {
            return Err(format!("intent {intent} was sent twice"));
        }
        told.allows(*intent, order)?;
    }
    told.is_within(sent)?;
    told.is_whole()?;
    drop(ledger);
    match disk.faults(&key()?.verifying_key()).iter().find(|fault| !is_approvers(fault)) {
        Some(fault) => Err(format!("the log is wrong: {fault}")),
        None => Ok(()),
    }
}

/// Our approvers answer twice, late, and to other actions on purpose; that the log says so is right.
fn is_approvers(fault: &str) -> bool {
    ["binds another action", "second answer"].iter().any(|word| fault.contains(word))
}

/// What the ledger tells.
struct Told {
    intents: HashMap<u64, Intent>,
    answers: HashMap<u64, Vec<(u64, Answered)>>,
    asked: HashMap<u64, String>,
    outcomes: HashMap<u64, usize>,
}

impl Told {
    fn read(ledger: &Ledger) -> Result<Self, String> {
        let mut told =
            Self { intents: HashMap::new(), answers: HashMap::new(), asked: HashMap::new(), outcomes: HashMap::new() };
        for stored in ledger.range(0..ledger.len()) {
            let Stored { index, entry, .. } = stored.map_err(|error| error.to_string())?;
            match entry.record {
                Record::Intent(intent) => drop(told.intents.insert(index, intent)),
                Record::Answered(answered) => told.answers.entry(answered.ask).or_default().push((index, answered)),
                Record::Asked(asked) => drop(told.asked.insert(index, asked.binding)),
                Record::Outcome(outcome) => *told.outcomes.entry(outcome.intent).or_default() += 1,
                _ => {}
            }
        }
        Ok(told)
    }

    /// Whether a call could be sent under an intent.
    fn allows(&self, index: u64, order: &Order) -> Result<(), String> {
        let intent = self.intents.get(&index).ok_or_else(|| format!("sent {index} without a durable intent"))?;
        if !is_permit(intent) {
            return Err(format!("sent {index}, which is {}", intent.decision));
        }
        if intent.action.pointer("/tool/name").and_then(Value::as_str) != Some(order.tool) {
            return Err(format!("sent {index} as another tool"));
        }
        match order.tool {
            "read" => Ok(()),
            "write" => self.is_approved(index, intent),
            other => Err(format!("sent {index}, a call of `{other}`")),
        }
    }

    /// Whether a human approved this very action before it was permitted.
    fn is_approved(&self, index: u64, intent: &Intent) -> Result<(), String> {
        let ask = intent.uses.ok_or_else(|| format!("{index} was permitted without an approval"))?;
        let binding = self.asked.get(&ask).ok_or_else(|| format!("{index} uses an ask {ask} that is none"))?;
        let answers = self.answers.get(&ask).map(Vec::as_slice).unwrap_or_default();
        let fits = |(entry, answer): &&(u64, Answered)| *entry < index && answer.approved && answer.binding == *binding;
        let fitting: Vec<_> = answers.iter().filter(fits).collect();
        if fitting.is_empty() {
            return Err(format!("{index} was permitted by no answer to ask {ask}"));
        }
        let uses = self.intents.values().filter(|other| other.uses == Some(ask) && is_permit(other)).count();
        if uses > 1 && fitting.iter().all(|(_, answer)| answer.scope == Scope::Once) {
            return Err(format!("the approval of ask {ask} was used {uses} times"));
        }
        Ok(())
    }

    /// Whether no more was sent than the budget has.
    fn is_within(&self, sent: &[(u64, Order)]) -> Result<(), String> {
        let mut sums: BTreeMap<(String, Timestamp), u64> = BTreeMap::new();
        for (index, _) in sent {
            let fact = self.intents.get(index).and_then(|intent| intent.action.pointer("/facts/budget"));
            let uses: BTreeMap<String, Used> =
                fact.and_then(|fact| BTreeMap::deserialize(fact).ok()).unwrap_or_default();
            if uses.is_empty() {
                return Err(format!("sent {index}, which draws on no budget"));
            }
            uses.into_iter().for_each(|(account, used)| *sums.entry((account, used.since)).or_default() += 1);
        }
        match sums.into_iter().find(|(_, sum)| *sum > CALLS_A_MINUTE) {
            Some(((account, since), sum)) => Err(format!("{sum} calls on `{account}` since {since}")),
            None => Ok(()),
        }
    }

    fn is_whole(&self) -> Result<(), String> {
        let (strict, stricter) = forces()?;
        for (index, intent) in &self.intents {
            let outcomes = self.outcomes.get(index).copied().unwrap_or(0);
            if outcomes != usize::from(is_permit(intent)) {
                return Err(format!("intent {index} has {outcomes} outcomes"));
            }
            let known = [&strict.snapshot, &stricter.snapshot].into_iter().find(|s| s.id().0 == intent.snapshot);
            let snapshot = known.ok_or_else(|| format!("intent {index} names an unknown snapshot"))?;
            let action: Action =
                serde_json::from_value(intent.action.clone()).map_err(|error| format!("intent {index}: {error}"))?;
            let again = serde_json::to_value(policy::decide(snapshot, &action, intent.now));
            if again.ok().as_ref() != Some(&intent.decision) {
                return Err(format!("intent {index} is decided otherwise the second time"));
            }
        }
        Ok(())
    }
}

fn is_permit(intent: &Intent) -> bool {
    let errors = intent.decision.get("errors").and_then(Value::as_array);
    intent.decision.pointer("/effect/effect").and_then(Value::as_str) == Some("permit")
        && errors.is_none_or(Vec::is_empty)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    /// Found by a simulation: an approval that the gateway heard of in time and used when its time was over.
    #[test]
    fn an_approval_whose_time_is_over_is_not_used() {
        seeds(90, 1);
    }

    fn seeds(from: u64, count: u64) -> Vec<Summary> {
        let dir = tempfile::tempdir().unwrap();
        let run = |seed| {
            run(seed, dir.path())
                .unwrap_or_else(|broken| panic!("seed {seed}: {broken}\nagain: cargo xtask simulate --seed {seed}"))
        };
        (from..from + count).map(run).collect()
    }

    #[test]
    fn the_invariants_hold_whatever_happens() {
        let done = seeds(0, 60);
        // A schedule in which nothing happens would hold anything.
        assert!(done.iter().map(|summary| summary.sent).sum::<u64>() > 120, "{done:?}");
        assert!(done.iter().filter(|summary| summary.answered > 0).count() > 8);
        assert!(done.iter().filter(|summary| summary.broke).count() > 8);
        assert!(done.iter().filter(|summary| summary.crashed).count() > 15);
    }

    #[test]
    fn a_seed_does_the_same_every_time() {
        assert_eq!(seeds(1_000, 8), seeds(1_000, 8));
    }

    /// The checks see what they are for: a call that was sent without an intent.
    #[test]
    fn a_lie_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (disk, mut sent, _) = runtime.block_on(simulate(3, dir.path())).unwrap();
        check(&disk, &sent).unwrap();
        sent.push((9_999, Order { tool: "read" }));
        assert!(check(&disk, &sent).unwrap_err().contains("without a durable intent"));
    }
}

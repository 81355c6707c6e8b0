//! The one way from a call to a permit, for every door: identify → label → decide → record, and ask where
//! the decision says so.
//!
//! This module never sends anything: it hands out permits and refusals. What comes back is `returned`'s matter.

mod returned;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use ledger::record::{Asked, Record, Scope};
use policy::action::Approved;
use policy::bounds::{OPENED, USED};
use policy::{Action, Decision, ToolFacts, ToolId, Verb};
use serde_json::{Value, json};

use crate::ask::{self, Answer, Asks, NoAnswer};
use crate::breaker::Breakers;
use crate::budget::{Budgets, Spent};
use crate::catalogue::{self, Catalogue, Known, Listed};
use crate::changes::Changes;
use crate::commands;
use crate::disk::DiskError;
use crate::door::tasks::Tasks;
use crate::facts;
use crate::label::{self, memory::Memory};
use crate::law::{Force, Law};
use crate::peers::{self, Carried, Peers};
use crate::pipeline::{self, Denied, Journal, Permit, Place, Question, Verdict};
use crate::results::{Keep, Results};
use crate::session::{Caller, Grant, Sessions, Unshared};
pub(crate) use returned::{Parts, Returned};

/// How many tools the log names whose definitions changed.
const CHANGED_MAX: usize = 8;

/// How long things may take and how many there may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a call waits for a human.
    pub ask_wait: Duration,
    /// How long an upstream may take to answer a call.
    pub call_wait: Duration,
    /// How often a waiting caller hears that it still waits.
    pub progress_every: Duration,
    /// Calls that one connection may have open at a time.
    pub calls_max: usize,
    /// Connections that a door serves at a time.
    pub connections_max: usize,
    /// How long a drain waits for open calls.
    pub drain_wait: Duration,
    /// How long an upstream process has to end by itself, after its input was closed and again after SIGTERM.
    pub grace: Duration,
    /// What is kept of results.
    pub keep: Keep,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ask_wait: Duration::from_secs(120),
            call_wait: Duration::from_secs(600),
            progress_every: Duration::from_secs(5),
            calls_max: 256,
            connections_max: 1_024,
            drain_wait: Duration::from_secs(10),
            grace: Duration::from_secs(2),
            keep: Keep::default(),
        }
    }
}

/// What all doors share.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) journal: Journal,
    pub(crate) law: Law,
    pub(crate) catalogue: Catalogue,
    pub(crate) sessions: Sessions,
    pub(crate) asks: Arc<Asks>,
    pub(crate) limits: Limits,
    pub(crate) results: Results,
    /// What was written down keeps its labels.
    pub(crate) memory: Memory,
    /// Other gateways that labels come from and go to.
    pub(crate) peers: Peers,
    pub(crate) budgets: Budgets,
    pub(crate) breakers: Breakers,
    pub(crate) changes: Changes,
    /// Calls whose results come later.
    pub(crate) tasks: Tasks,
    /// Bailiwick's own folder: a call that touches it touches the control itself.
    pub(crate) home: PathBuf,
    pub(crate) own_ids: AtomicU64,
}

/// What a caller wants: the call to send, and what policy needs to know of it.
#[derive(Debug)]
pub(crate) struct Errand<C> {
    pub(crate) call: C,
    pub(crate) verb: Verb,
    pub(crate) tool: ToolId,
    pub(crate) arguments: Value,
    /// Facts that only this door knows.
    pub(crate) facts: BTreeMap<String, Value>,
    /// What another gateway told of the arguments' labels.
    pub(crate) carried: Option<Carried>,
}

/// A permit, and the tool that it is for.
#[derive(Debug)]
pub(crate) struct Admitted<C> {
    pub(crate) permit: Permit<C>,
    pub(crate) tool: Arc<ToolFacts>,
}

/// Why a call does not pass.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// Policy denies it.
    Denied { intent: u64, decision: Decision, why: Vec<label::Why> },
    /// The tool's definition changed and waits for approval.
    Quarantined { intent: u64, tool: ToolId },
    /// Nobody has seen such a tool.
    Unknown { intent: u64, tool: ToolId },
    /// It was asked, and a human said no.
    Rejected { ask: u64, by: String },
    /// It was asked, and nobody answered.
    Unanswered { cause: NoAnswer, decision: Decision, why: Vec<label::Why> },
    /// The ledger cannot hold the decision.
    Unrecorded,
}

/// The first verdict on an errand, before any human is asked.
#[derive(Debug)]
pub(crate) enum First<C> {
    Admitted(Admitted<C>),
    Refused(Refusal),
    Asks(Box<Asking<C>>),
}

/// A question with everything that judging it again takes.
#[derive(Debug)]
pub(crate) struct Asking<C> {
    pub(crate) question: Question<C>,
    pub(crate) tool: Arc<ToolFacts>,
    force: Arc<Force>,
    /// What in its arguments speaks against it.
    pub(crate) why: Vec<label::Why>,
}

/// Tells a waiting caller that it still waits.
pub(crate) trait Patience {
    /// Called every [`Limits::progress_every`] with the seconds waited so far.
    fn waits(&mut self, seconds: u64, ask: u64) -> impl Future<Output = ()> + Send;
}

impl Authority {
    /// Judges, records, and asks where policy says so: a permit, or why not. If this future is dropped
    /// while it waits, the ask expires and nothing is sent.
    pub(crate) async fn admit<C>(
        &self,
        caller: &Caller,
        errand: Errand<C>,
        patience: impl Patience,
    ) -> Result<Admitted<C>, Refusal> {
        match self.first(caller, errand).await {
            First::Admitted(admitted) => Ok(admitted),
            First::Refused(refusal) => Err(refusal),
            First::Asks(asking) => Box::pin(self.ask(caller, *asking, patience)).await,
        }
    }

    /// Judges and records once; applies what a human already approved.
    pub(crate) async fn first<C>(&self, caller: &Caller, errand: Errand<C>) -> First<C> {
        caller.session.recorded().await;
        caller.session.belongs_to(&caller.principal);
        self.catch_up(caller).await;
        let known = self.catalogue.get(&errand.tool);
        let (quarantined, unknown) = (matches!(known, Known::Quarantined), matches!(known, Known::Unknown));
        let unknown = unknown && errand.verb == Verb::CallTool;
        let (tool, force) = match known {
            Known::Facts(facts) => (facts.clone(), self.law.force_for(&facts.id, Some(&facts.pin)).await),
            // Not in the snapshot, so policy denies it; the facts serve only to label the arguments.
            Known::Quarantined | Known::Unknown => {
                (Arc::new(unknown_tool(&errand)), self.law.force_for(&errand.tool, None).await)
            }
        };
        let (call, action) = self.action(caller, errand, &tool);
        let id = action.tool.clone();
        let place = self.place(caller, &action, None);
        let answered = |action: &Action| {
            caller.session.granted(&[], &ask::scope(action, &tool, &force.policies)).is_some()
                || self.asks.is_approved(&ask::binding(action, &tool.pin, &force.policies), self.journal.now())
        };
        match self.decide(call, (action, answered), place, &force).await {
            Err(refusal) => First::Refused(refusal),
            // Also should no law without the tool have come in time: a permit that is not spent sends nothing.
            Ok(verdict) if quarantined => First::Refused(Refusal::Quarantined { intent: verdict.intent(), tool: id }),
            Ok(Verdict::Permit(permit)) => {
                self.admitted(caller, permit, tool).await.map_or_else(First::Refused, First::Admitted)
            }
            Ok(Verdict::Deny(denied)) if unknown => {
                First::Refused(Refusal::Unknown { intent: denied.intent, tool: id })
            }
            Ok(Verdict::Deny(denied)) => First::Refused(self.denied(caller, &tool, denied, &force)),
            // No law came that knows the tool as it is now: of what the record says was asked nobody could see what it was.
            Ok(Verdict::Ask(question)) if force.snapshot.pin(&id).unwrap_or_default() != tool.pin => {
                let why = self.why(caller, &tool, (&question.action, &question.decision), &force);
                First::Refused(Refusal::Denied { intent: question.intent, decision: question.decision, why })
            }
            Ok(Verdict::Ask(question)) => {
                let why = self.why(caller, &tool, (&question.action, &question.decision), &force);
                Box::pin(self.already_approved(caller, Asking { question: *question, tool, force, why })).await
            }
        }
    }

    /// Asks a human, waits, and judges again.
    pub(crate) async fn ask<C>(
        &self,
        caller: &Caller,
        asking: Asking<C>,
        mut patience: impl Patience,
    ) -> Result<Admitted<C>, Refusal> {
        let decision = asking.question.decision.clone();
        let why = asking.why.clone();
        let unanswered = |cause| Refusal::Unanswered { cause, decision: decision.clone(), why: why.clone() };
        let pending =
            self.asks.ask((&caller.principal.agent, self.asked(&asking)), &self.journal).await.map_err(unanswered)?;
        let ask = pending.ask;
        let answer = pending.answer();
        tokio::pin!(answer);
        let mut seconds = 0;
        let answer = loop {
            tokio::select! {
                answer = &mut answer => break answer.map_err(unanswered)?,
                () = tokio::time::sleep(self.limits.progress_every) => {
                    seconds += self.limits.progress_every.as_secs();
                    patience.waits(seconds, ask).await;
                }
            }
        };
        if !answer.answered.approved {
            return Err(Refusal::Rejected { ask, by: answer.answered.by });
        }
        self.approved(caller, asking, answer).await
    }

    /// A human approved: the call is judged again, under the law of now.
    pub(crate) async fn approved<C>(
        &self,
        caller: &Caller,
        asking: Asking<C>,
        answer: Answer,
    ) -> Result<Admitted<C>, Refusal> {
        let groups = asking.question.groups.clone();
        if answer.answered.scope == Scope::Session {
            let scope = ask::scope(&asking.question.action, &asking.tool, &asking.force.policies);
            let (ask, answer) = (answer.answered.ask, answer.entry);
            caller.session.grant(Grant { ask, answer, groups: groups.clone(), scope });
            // Whoever lets this page or recipient pass for the session means it, whichever tool goes there next.
            caller.session.change().approved(&asking.tool, &asking.question.action.arguments);
        }
        let uses = Uses { ask: answer.answered.ask, answer: answer.entry, groups };
        self.again(caller, asking, uses).await
    }

    /// The record of what is asked.
    pub(crate) fn asked<C>(&self, asking: &Asking<C>) -> Asked {
        let wait = SignedDuration::try_from(self.limits.ask_wait).unwrap_or(SignedDuration::ZERO);
        Asked {
            intent: asking.question.intent,
            binding: self.binding(asking),
            groups: asking.question.groups.clone(),
            expires: self.journal.now().checked_add(wait).unwrap_or(jiff::Timestamp::MAX),
            summary: ask::summary(&asking.question.action, &asking.why),
        }
    }

    fn binding<C>(&self, asking: &Asking<C>) -> String {
        ask::binding(&asking.question.action, &asking.tool.pin, &asking.force.policies)
    }

    async fn already_approved<C>(&self, caller: &Caller, asking: Asking<C>) -> First<C> {
        let scope = ask::scope(&asking.question.action, &asking.tool, &asking.force.policies);
        let groups = asking.question.groups.clone();
        let granted = caller.session.granted(&groups, &scope);
        let uses = granted.map(|grant| Uses { ask: grant.ask, answer: grant.answer, groups: groups.clone() });
        let uses = uses.or_else(|| {
            let answer = self.asks.take_approved(&self.binding(&asking), self.journal.now())?;
            let ask = answer.answered.ask;
            // More may be asked by now than the person was: what he was not asked is not lifted.
            let Ok(Record::Asked(asked)) = self.journal.ledger().read(ask).map(|stored| stored.entry.record) else {
                return None;
            };
            let groups = groups.into_iter().filter(|group| asked.groups.contains(group)).collect();
            Some(Uses { ask, answer: answer.entry, groups })
        });
        let Some(uses) = uses else { return First::Asks(Box::new(asking)) };
        match self.again(caller, asking, uses).await {
            Ok(admitted) => First::Admitted(admitted),
            Err(refusal) => First::Refused(refusal),
        }
    }

    /// Judges once more, with an approval. What the approval was bound to must still hold.
    async fn again<C>(&self, caller: &Caller, asking: Asking<C>, uses: Uses) -> Result<Admitted<C>, Refusal> {
        let force = self.law.force();
        let mut action = asking.question.action;
        let pin_holds = matches!(self.catalogue.get(&action.tool), Known::Facts(facts) if facts.pin == asking.tool.pin);
        if force.policies != asking.force.policies || !(pin_holds || action.verb != Verb::CallTool) {
            let intent = asking.question.intent;
            return Err(Refusal::Denied { intent, decision: asking.question.decision, why: asking.why });
        }
        action.approval = Some(Approved { entry: uses.answer, groups: uses.groups });
        let place = self.place(caller, &action, Some(uses.ask));
        match self.decide(asking.question.call, (action, |_: &Action| true), place, &force).await {
            Ok(Verdict::Permit(permit)) => self.admitted(caller, permit, asking.tool).await,
            Ok(Verdict::Deny(denied)) => Err(self.denied(caller, &asking.tool, denied, &force)),
            // The approval lifts less than is asked now; to ask again and again would be no answer.
            Ok(Verdict::Ask(question)) => {
                let why = self.why(caller, &asking.tool, (&question.action, &question.decision), &force);
                Err(Refusal::Denied { intent: question.intent, decision: question.decision, why })
            }
            Err(refusal) => Err(refusal),
        }
    }

    fn denied(&self, caller: &Caller, tool: &ToolFacts, denied: Denied, force: &Force) -> Refusal {
        let why = self.why(caller, tool, (&denied.action, &denied.decision), force);
        Refusal::Denied { intent: denied.intent, decision: denied.decision, why }
    }

    /// What in the arguments of a call speaks against it, and what would let it pass.
    fn why(
        &self,
        caller: &Caller,
        tool: &ToolFacts,
        (action, decision): (&Action, &Decision),
        force: &Force,
    ) -> Vec<label::Why> {
        let ways = label::Ways::of(&force.snapshot, action, decision, self.journal.now());
        caller.session.labels().why((tool, &action.arguments), &action.labels, ways)
    }

    /// Decides with what is stopped and what was used by now, and records it.
    async fn decide<C>(
        &self,
        call: C,
        (action, answered): (Action, impl FnOnce(&Action) -> bool),
        place: Place,
        force: &Force,
    ) -> Result<Verdict<C>, Refusal> {
        let (judged, spent) = self.with_state(call, (action, answered), place, force);
        match judged.record(&self.journal).await {
            Ok(recorded) => Ok(recorded.verdict()),
            Err(error) => {
                tracing::error!(%error, "denied, because the ledger cannot hold the decision");
                self.budgets.refund(&spent);
                Err(Refusal::Unrecorded)
            }
        }
    }

    fn with_state<C>(
        &self,
        call: C,
        (mut action, answered): (Action, impl FnOnce(&Action) -> bool),
        place: Place,
        force: &Force,
    ) -> (pipeline::Judged<C>, Spent) {
        // Only the gateway says these, and what it said of an earlier judgement is over.
        action.facts.remove(USED);
        action.facts.remove(OPENED);
        let stopping = self.breakers.stopping(&action, &self.journal);
        if !stopping.is_empty() {
            action.facts.insert(OPENED.to_owned(), json!(stopping));
        }
        let now = self.journal.now();
        let held = self.budgets.hold(&force.snapshot, (&mut action, answered), now);
        let judged = pipeline::judge(call, action, place, &force.snapshot, now);
        let spent = held.map(|held| held.settle(judged.decision())).unwrap_or_default();
        self.breakers.decided(judged.action(), judged.decision(), &self.journal);
        (judged, spent)
    }

    fn place(&self, caller: &Caller, action: &Action, uses: Option<u64>) -> Place {
        let sequence = caller.session.next(&action.tool.server);
        let departures = caller.session.departures(&action.tool.server);
        self.journal.takes_call();
        Place { session: caller.session.id.clone(), sequence, uses, departures }
    }

    fn action<C>(&self, caller: &Caller, errand: Errand<C>, tool: &ToolFacts) -> (C, Action) {
        let mut labels = caller.session.derive(tool, &errand.arguments);
        let mut read = errand.facts;
        // Only the gateway says this.
        read.remove(peers::FROM);
        if let Some(carried) = &errand.carried {
            carried.told.join_arguments(carried.peer.lifts, &mut labels);
            read.insert(peers::FROM.to_owned(), carried.fact());
        }
        if errand.verb == Verb::CallTool {
            let shown = |server: &str| caller.session.is_protected(|other| other == server);
            let alike = self.catalogue.look_alikes(&errand.tool, shown);
            if !alike.is_empty() {
                read.insert("looks_like".to_owned(), json!(alike));
            }
        }
        if errand.verb == Verb::CallTool {
            commands::read(tool, &errand.arguments, &mut read);
        }
        facts::of_arguments(tool, &errand.arguments, &self.home, &mut read);
        let action = Action {
            principal: caller.principal.clone(),
            door: caller.door,
            verb: errand.verb,
            tool: errand.tool,
            arguments: errand.arguments,
            labels,
            facts: read,
            approval: None,
        };
        (errand.call, action)
    }

    /// Whether the caller may see a tool. Not an act, so it is not recorded by itself.
    pub(crate) fn may_see(&self, caller: &Caller, id: &ToolId, force: &Force) -> bool {
        let Known::Facts(tool) = self.catalogue.get(id) else { return false };
        let arguments = json!({});
        let (tool_id, facts) = (id.clone(), BTreeMap::new());
        let errand = Errand { call: (), verb: Verb::ListTool, tool: tool_id, arguments, facts, carried: None };
        let ((), action) = self.action(caller, errand, &tool);
        let decision = policy::decide(&force.snapshot, &action, self.journal.now());
        // What may be asked for may be seen, unless no call of it could pass.
        decision.errors.is_empty()
            && decision.effect != policy::Effect::Deny
            && !policy::denied_beforehand(&force.snapshot, &caller.principal.agent, id)
    }

    /// From now on the session knows that this was called, and with what; what it wrote keeps its labels.
    async fn admitted<C>(
        &self,
        caller: &Caller,
        permit: Permit<C>,
        tool: Arc<ToolFacts>,
    ) -> Result<Admitted<C>, Refusal> {
        match self.enters(caller, (permit.action(), &tool), permit.intent()).await {
            Ok(()) => Ok(Admitted { permit, tool }),
            Err(error) => {
                tracing::error!(%error, "not sent");
                Err(Refusal::Unrecorded)
            }
        }
    }

    async fn enters(
        &self,
        caller: &Caller,
        (action, tool): (&Action, &ToolFacts),
        intent: u64,
    ) -> Result<(), Unshared> {
        let arguments = &action.arguments;
        // What a server says to the model or the user has entered the session like its results.
        if matches!(action.verb, Verb::Sample | Verb::Elicit) {
            return caller.session.hears((tool, intent), (arguments, None), &self.memory).await.map(drop);
        }
        if let Some(gateway) =
            action.facts.get(peers::FROM).and_then(|from| from.get("gateway")).and_then(Value::as_str)
        {
            // Before what is written is looked at: it keeps these labels, too.
            let of = (arguments, action.labels.arguments.as_slice());
            caller.session.told((&format!("gateway {gateway}"), intent), of, &self.memory).await?;
            self.journal.note(peers::heard(&caller.session.id, &action.tool.to_string(), gateway));
        }
        let written = caller.session.labels().written(tool, arguments);
        if let Some(replicas) = self.sessions.replicas() {
            replicas.wrote(&self.memory, (&tool.id, intent), &written).await?;
        }
        self.memory.remember(&tool.id, intent, &written);
        caller.session.calls((tool, intent), arguments, &self.memory).await
    }

    /// Takes in what the session saw at other gateways.
    pub(crate) async fn catch_up(&self, caller: &Caller) {
        if let Some(record) = caller.session.catch_up(&self.memory).await {
            self.journal.note(record);
        }
    }

    /// Takes in a page of a server's tools; new ones take effect before this returns.
    pub(crate) async fn learn(self: &Arc<Self>, server: &str, result: &str) -> Result<(), String> {
        let (tools, more) = catalogue::read_list(result).map_err(|error| error.to_string())?;
        let learned = self.catalogue.learn(server, (&tools, more), self.journal.now());
        let learned = learned.map_err(|error| error.to_string())?;
        for (status, pins) in [("pinned", learned.pinned), ("changed", learned.changed)] {
            if status == "changed" && !pins.is_empty() {
                let (count, first) = (pins.len(), pins.iter().take(CHANGED_MAX).map(|(name, _)| name));
                let tools: Vec<_> = first.collect();
                tracing::warn!(server, count, ?tools, "tool definitions changed: quarantined until approved");
            }
            for record in catalogue::records(server, pins, (status, "")) {
                self.journal.note(record);
            }
        }
        // Also what another call has taken in a moment ago, or a definition that was approved before and is back.
        let force = self.law.force();
        let is_news = |tool: &Listed<'_>| {
            let id = ToolId { server: server.to_owned(), name: tool.name.clone() };
            match self.catalogue.get(&id) {
                Known::Facts(facts) => force.snapshot.pin(&id) != Some(&facts.pin),
                Known::Quarantined | Known::Unknown => force.snapshot.pin(&id).is_some(),
            }
        };
        if tools.iter().any(is_news) { self.relearn().await } else { Ok(()) }
    }

    /// Compiles the law again with the tools of now.
    pub(crate) async fn relearn(self: &Arc<Self>) -> Result<(), String> {
        let authority = self.clone();
        let compiled = tokio::task::spawn_blocking(move || {
            authority.law.extend(|| authority.catalogue.facts(), &authority.journal)
        });
        compiled.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Writes what sessions have seen and what was written down. Blocks.
    pub(crate) fn save(&self) {
        self.sessions.save();
        self.budgets.save(self.journal.ledger());
        if let Err(error) = self.memory.save() {
            tracing::error!(%error, "what was written down could not be saved");
        }
    }

    /// Erases what is kept of sessions that may be data of a subject. Of how many something was. Blocks.
    pub(crate) fn erase(&self, subject: &str) -> Result<usize, DiskError> {
        self.sessions.erase(subject)
    }

    /// A number for a request of the gateway's own.
    pub(crate) fn own_id(&self) -> u64 {
        self.own_ids.fetch_add(1, Ordering::Relaxed)
    }
}

struct Uses {
    ask: u64,
    answer: u64,
    groups: Vec<String>,
}

fn unknown_tool<C>(errand: &Errand<C>) -> ToolFacts {
    let definition = json!({ "name": errand.tool.name });
    crate::tools::infer(&errand.tool.server, &definition, String::new())
}

//! A ledger under other policies, with state carried forward.
//!
//! First every decision is made again with the labels that it had: sessions in which nothing flips are done. The
//! others are run again from their beginning, with the gateway's own [`label::Session`] fed from the recorded results:
//! after a call that would not have been permitted, its result is missing from what the session has seen, and the
//! labels of later calls are what they would have been. Approvals of people are carried forward, too.
//!
//! What was used of budgets is counted anew from the beginning of the log, over all sessions; what was stopped by a
//! breaker stays so.
//!
//! What nobody can know is counted and never guessed: what the agent would have done after the first flip of its
//! session, what a call that was never made would have returned, how a person would have answered.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use ledger::record::{Intent, Outcome, Payload, Record, Scope};
use ledger::{ReadError, Reader};
use policy::action::Approved;
use policy::bounds::{USED, Used};
use policy::{Action, ArgumentLabel, Decision, Effect, Labels, Snapshot, ToolFacts, ToolId, decide};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lost::session_of;
use super::{Fault, Proposal, Snapshots, Unreadable, Verdict, Whole, read, whole};
use crate::budget::Accounts;
use crate::peers::TOLD;
use crate::session::{OVERHEARD, SEEN_ASTRAY, SEEN_ELSEWHERE};
use crate::{ask, label};

/// Examples kept of one kind of flip.
const EXAMPLES_MAX: usize = 5;

/// Calls of a session that wait for a person at a time; beyond it the oldest is forgotten.
const ASKING_MAX: usize = 64;

/// Which decisions are asked about. The others are taken as they were recorded.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Of this agent.
    pub agent: Option<String>,
}

impl Window {
    fn holds(&self, intent: &Intent, agent: &str) -> bool {
        self.since.is_none_or(|since| intent.now >= since)
            && self.until.is_none_or(|until| intent.now < until)
            && self.agent.as_deref().is_none_or(|name| name == agent)
    }
}

/// One kind of flip: which agent's calls of which tool would have come out otherwise, and by which policies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FlipKind {
    /// Recorded.
    pub from: Verdict,
    /// Under the other policies.
    pub to: Verdict,
    /// The policies that decide now; none where nothing permits any more.
    pub policies: Vec<String>,
    /// The policies that decided then.
    pub were: Vec<String>,
    /// The agent.
    pub agent: String,
    /// The tool, as `server/tool`.
    pub tool: String,
}

/// How often a flip occurs, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flip {
    /// Which.
    #[serde(flatten)]
    pub kind: FlipKind,
    /// How often.
    pub count: u64,
    /// How many of them come after another flip of their session, so that the agent might not have called at all.
    pub after_first_flip: u64,
    /// The first entries.
    pub examples: Vec<u64>,
    /// Why, as the agent would be told, from the first example.
    pub text: String,
}

/// What could not be known any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// Decisions after the first flip of their session: made as if the agent had gone on as recorded.
    pub after_first_flip: u64,
    /// Results that would not have come back; later labels are without them.
    pub results_gone: u64,
    /// Results of calls that were not made then; later labels lack them.
    pub results_never_seen: u64,
    /// Approvals that nobody was asked for.
    pub answers_never_given: u64,
    /// Decisions made with the recorded labels, because a result or prompt before them is not kept or erased.
    pub labels_as_recorded: u64,
    /// Decisions before the first flip whose labels come out otherwise than recorded.
    pub labels_differ: u64,
    /// Decisions that cannot be made again, because what was asked for was erased.
    #[serde(default)]
    pub erased: u64,
    /// Decisions after an entry that cannot be read, of their session or of none that is known; and those that draw on a
    /// budget, on which any call may have drawn. It may have flipped itself, and what came of it is not known.
    #[serde(default)]
    pub after_unreadable: u64,
    /// Entries of kinds that this version does not know.
    #[serde(default)]
    pub other_kinds: u64,
}

/// What other policies would have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIf {
    /// Decisions made under the other policies.
    pub decisions: u64,
    /// Those with the same effect.
    pub same: u64,
    /// Sessions with such decisions.
    pub sessions: u64,
    /// Those with a flip.
    pub sessions_flipped: u64,
    /// Those with another effect, most frequent first.
    pub flips: Vec<Flip>,
    /// What could not be known any more.
    pub unknown: Unknown,
    /// Entries that could not be read.
    pub unreadable: Vec<Fault>,
}

/// Runs the decisions of a ledger again under other policies, mandates or budgets. The tools are those of the snapshot that each was made
/// under, so that only policies differ.
pub fn whatif(log: &Reader, proposal: impl Into<Proposal>, window: &Window) -> Result<WhatIf, ReadError> {
    let proposal = proposal.into();
    let survey = survey(log, proposal.clone(), window)?;
    let mut rerun = Rerun {
        log,
        snapshots: snapshots(log, proposal),
        window,
        survey: &survey,
        accounts: Accounts::default(),
        courses: HashMap::new(),
        running: HashMap::new(),
        is_lost: false,
        flips: BTreeMap::new(),
        result: WhatIf::default(),
    };
    if survey.flips {
        for stored in log.range(0..log.len()) {
            match stored {
                Err(ReadError::Entry { index, .. } | ReadError::Kind { index, .. }) => rerun.loses(index),
                stored => {
                    let stored = stored?;
                    rerun.entry(stored.index, stored.entry.record);
                }
            }
        }
    }
    Ok(rerun.finish())
}

type Load<'a> = Box<dyn FnMut(&str) -> Result<Vec<u8>, String> + 'a>;

fn snapshots<'a>(log: &'a Reader, proposal: Proposal) -> Snapshots<Load<'a>> {
    let load: Load<'a> = Box::new(|id| log.object(id).map_err(|error| error.to_string()));
    Snapshots::new(Some(proposal), load)
}

fn payload(log: &Reader, payload: &Payload) -> Result<Option<Vec<u8>>, String> {
    log.payload(payload).map_err(|error| error.to_string())
}

/// What the first look found.
#[derive(Default)]
struct Survey {
    sessions: HashMap<String, Surveyed>,
    /// Asks that led to the call being decided again with an approval.
    continued: HashSet<u64>,
    unreadable: Vec<Fault>,
    /// What cannot be read, each with the session that it is of, if that is known.
    lost: HashMap<u64, Option<String>>,
    /// One of those that cannot be read at all is of no session that is known, and so may be of any.
    is_lost: bool,
    after_unreadable: u64,
    other_kinds: u64,
    erased: u64,
    /// Whether calls draw on budgets, so that what happens in one session changes what may happen in another.
    budgeted: bool,
    /// Whether any session flips.
    flips: bool,
}

#[derive(Default)]
struct Surveyed {
    decisions: u64,
    flips: bool,
    last: u64,
    /// An entry of it cannot be read.
    is_lost: bool,
    /// The intents that asked.
    asked: Asking<u64>,
}

/// Calls that a person was asked about: what is remembered of each until it is decided again with the answer.
#[derive(Default)]
struct Asking<T>(Vec<(ToolId, Value, T)>);

impl<T> Asking<T> {
    fn push(&mut self, action: &Action, remembered: T) {
        if self.0.len() >= ASKING_MAX {
            self.0.remove(0);
        }
        self.0.push((action.tool.clone(), action.arguments.clone(), remembered));
    }

    /// What is remembered of the last call like this, if this one has an approval.
    fn take(&mut self, action: &Action) -> Option<T> {
        let like = |(tool, arguments, _): &(ToolId, Value, T)| *tool == action.tool && *arguments == action.arguments;
        let place = self.0.iter().rposition(like).filter(|_| action.approval.is_some())?;
        Some(self.0.remove(place).2)
    }
}

fn survey(log: &Reader, proposal: Proposal, window: &Window) -> Result<Survey, ReadError> {
    let mut snapshots = snapshots(log, proposal);
    let mut survey = Survey::default();
    let mut accounts = Accounts::default();
    for stored in log.range(0..log.len()) {
        let stored = match stored {
            Err(ReadError::Entry { index, error }) => {
                let session = session_of(log, index).ok().flatten();
                let whose = session.as_ref().map_or(", nor whose it is".to_owned(), |it| format!(" (session `{it}`)"));
                survey.loses(index, session, format!("it cannot be read{whose}: {error}"));
                continue;
            }
            Err(ReadError::Kind { index, .. }) => {
                survey.other_kinds += 1;
                // One of no session changes none.
                let session = session_of(log, index).ok().flatten();
                survey.lost.extend(session.map(|session| (index, Some(session))));
                continue;
            }
            stored => stored?,
        };
        let Record::Intent(intent) = stored.entry.record else { continue };
        let intent = match whole(intent, |at| payload(log, at)) {
            Whole::There(intent) => intent,
            Whole::Erased(_) => {
                survey.erased += 1;
                continue;
            }
        };
        let judged = read(&intent).and_then(|(mut action, recorded)| {
            let asked_about = window.holds(&intent, &action.principal.agent);
            let snapshot = match snapshots.get(&intent.snapshot) {
                Err(error) if asked_about => return Err(error),
                Err(_) => return Ok(Look { action, recorded, computed: None, draws: false }),
                Ok(compiled) => &compiled.snapshot,
            };
            let uses = told(&mut accounts, snapshot, &mut action, intent.now);
            let draws = !uses.is_empty();
            survey.budgeted |= draws;
            let computed = asked_about.then(|| decide(snapshot, &action, intent.now));
            let _ = accounts.take(uses, &computed.as_ref().unwrap_or(&recorded).effect);
            Ok(Look { action, recorded, computed, draws })
        });
        match judged {
            Err(error) => survey.loses(stored.index, Some(intent.session), error.to_string()),
            Ok(look) => survey.add(stored.index, &look),
        }
    }
    Ok(survey)
}

/// What was used in the other world takes the place of what the record says.
fn told(accounts: &mut Accounts, snapshot: &Snapshot, action: &mut Action, now: Timestamp) -> BTreeMap<String, Used> {
    // Where a person had answered, the record says that asking cost nothing.
    let free = |used: Used| used.asks && used.cost == Some(0);
    let recorded = action.facts.remove(USED).and_then(|fact| serde_json::from_value(fact).ok());
    let answered = recorded.is_some_and(|uses: BTreeMap<String, Used>| uses.into_values().any(free));
    accounts.tell(snapshot, (action, |_: &Action| answered), now)
}

impl Survey {
    /// Whether a session is run again.
    fn reruns(&self, session: &str) -> bool {
        let flips = self.sessions.get(session).is_some_and(|session| session.flips);
        flips || (self.budgeted && self.flips)
    }

    /// Nobody knows what an entry says, nor so what came of it in its session.
    fn loses(&mut self, entry: u64, session: Option<String>, message: String) {
        self.unreadable.push(Fault { entry, message });
        match &session {
            Some(session) => self.sessions.entry(session.clone()).or_default().is_lost = true,
            None => self.is_lost = true,
        }
        self.lost.insert(entry, session);
    }

    fn add(&mut self, entry: u64, look: &Look) {
        let Look { action, recorded, computed, draws } = look;
        let any_unreadable = !self.unreadable.is_empty();
        let session = self.sessions.entry(action.principal.session.clone()).or_default();
        session.last = entry;
        self.continued.extend(session.asked.take(action));
        if Verdict::of(recorded) == Verdict::Ask {
            session.asked.push(action, entry);
        }
        if let Some(computed) = computed {
            let depends = self.is_lost || session.is_lost || (*draws && any_unreadable);
            self.after_unreadable += u64::from(depends);
            session.decisions += 1;
            session.flips |= Verdict::of(recorded) != Verdict::of(computed);
            self.flips |= session.flips;
        }
    }
}

/// One decision at the first look.
struct Look {
    action: Action,
    recorded: Decision,
    /// `None` where the decision is not asked about.
    computed: Option<Decision>,
    /// It draws on a budget.
    draws: bool,
}

/// A session in the other world.
#[derive(Default)]
struct Course {
    labels: label::Session,
    /// Whether a result or prompt is missing that the recorded labels rest on.
    incomplete: bool,
    flipped: bool,
    /// Whether what the session has seen, or may do, differs from the record.
    apart: bool,
    /// The calls that were asked about, and whether that decision flipped.
    asked: Asking<bool>,
    /// What people approved for the rest of the session: scope and groups.
    grants: Vec<(String, BTreeSet<String>)>,
}

/// A call that is made in both worlds, until its outcome.
struct Running {
    session: String,
    tool: Arc<ToolFacts>,
}

/// The second look, at sessions with a flip.
struct Rerun<'a> {
    log: &'a Reader,
    snapshots: Snapshots<Load<'a>>,
    window: &'a Window,
    survey: &'a Survey,
    accounts: Accounts,
    courses: HashMap<String, Course>,
    running: HashMap<u64, Running>,
    /// An entry of no session that is known cannot be read: the past of each lacks it from there on.
    is_lost: bool,
    flips: BTreeMap<FlipKind, Flip>,
    result: WhatIf,
}

/// One decision in both worlds.
struct Judged {
    action: Action,
    recorded: Decision,
    /// `None` where the decision is not asked about.
    computed: Option<Decision>,
    tool: Arc<ToolFacts>,
}

impl Judged {
    fn was(&self) -> Verdict {
        Verdict::of(&self.recorded)
    }

    fn is(&self) -> Verdict {
        self.computed.as_ref().map_or_else(|| self.was(), Verdict::of)
    }
}

/// A session's course; one that begins after something of nobody knows whose was lost may lack that.
fn course(courses: &mut HashMap<String, Course>, session: String, is_lost: bool) -> &mut Course {
    courses.entry(session).or_insert_with(|| Course { incomplete: is_lost, ..Course::default() })
}

impl Rerun<'_> {
    fn course(&mut self, session: String) -> &mut Course {
        course(&mut self.courses, session, self.is_lost)
    }

    /// An entry cannot be read.
    fn loses(&mut self, entry: u64) {
        let survey = self.survey;
        match survey.lost.get(&entry) {
            Some(Some(session)) if survey.reruns(session) => self.course(session.clone()).incomplete = true,
            Some(None) if !self.is_lost => {
                self.is_lost = true;
                self.courses.values_mut().for_each(|course| course.incomplete = true);
            }
            _ => {}
        }
    }

    fn entry(&mut self, entry: u64, record: Record) {
        match record {
            Record::Intent(intent) if self.is_of_interest(&intent.session) => {
                let log = self.log;
                match whole(intent, |at| payload(log, at)) {
                    // What cannot be read was said by the first look.
                    Whole::There(intent) => match self.judge(&intent) {
                        Ok(judged) => self.take(entry, judged),
                        Err(_) => self.course(intent.session).incomplete = true,
                    },
                    // What the call brought into the session is not known any more.
                    Whole::Erased(intent) => self.course(intent.session).incomplete = true,
                }
            }
            Record::Outcome(outcome) => self.outcome(&outcome),
            Record::Prompt { session, payload } if self.is_of_interest(&session) => {
                let text = self::payload(self.log, &payload).ok().flatten();
                let course = self.course(session);
                match text.and_then(|text| String::from_utf8(text).ok()) {
                    Some(text) => course.labels.user_says(&text, Some(entry)),
                    None => course.incomplete = true,
                }
            }
            // What other gateways' ledgers hold is not in this one, nor is what came without its call, nor what servers say
            // beside results.
            Record::Log { event, details }
                if [SEEN_ELSEWHERE, SEEN_ASTRAY, OVERHEARD, TOLD].contains(&event.as_str()) =>
            {
                let session = details.get("session").and_then(Value::as_str).unwrap_or_default();
                if self.is_of_interest(session) {
                    self.course(session.to_owned()).incomplete = true;
                }
            }
            Record::Answered(answered) if answered.approved && answered.scope == Scope::Session => {
                self.granted(answered.ask);
            }
            _ => {}
        }
    }

    fn is_of_interest(&self, session: &str) -> bool {
        self.survey.reruns(session)
    }

    fn judge(&mut self, intent: &Intent) -> Result<Judged, Unreadable> {
        let (mut action, recorded) = read(intent)?;
        let compiled = self.snapshots.get(&intent.snapshot)?;
        let tool = compiled.tool(&action.tool);
        let course = course(&mut self.courses, action.principal.session.clone(), self.is_lost);
        if course.incomplete {
            self.result.unknown.labels_as_recorded += u64::from(course.apart);
        } else {
            let labels = course.labels.labels(&tool, &action.arguments);
            if course.apart {
                action.labels = labels;
            } else {
                self.result.unknown.labels_differ += u64::from(!same(&labels, &action.labels));
            }
        }
        let uses = told(&mut self.accounts, &compiled.snapshot, &mut action, intent.now);
        let asked_about = self.window.holds(intent, &action.principal.agent);
        let computed = asked_about.then(|| {
            let decision = decide(&compiled.snapshot, &action, intent.now);
            // Where it was asked then, too, the next entry applies what was approved.
            if Verdict::of(&recorded) == Verdict::Ask {
                return decision;
            }
            let granted = granted(&decision, &action, &tool, course);
            granted.map_or(decision, |action| decide(&compiled.snapshot, &action, intent.now))
        });
        let _ = self.accounts.take(uses, &computed.as_ref().unwrap_or(&recorded).effect);
        Ok(Judged { action, recorded, computed, tool })
    }

    /// A decision takes its effect in the other world.
    fn take(&mut self, entry: u64, judged: Judged) {
        let session = judged.action.principal.session.clone();
        let (was, is) = (judged.was(), judged.is());
        let continued = self.survey.continued.contains(&entry);
        let flips = self.count(entry, &judged);
        let Some(course) = self.courses.get_mut(&session) else { return };
        course.flipped |= flips;
        let Judged { action, tool, .. } = judged;
        match (was, is) {
            (Verdict::Permit, Verdict::Permit) => {
                course.labels.called(&tool, entry, &action.arguments);
                self.running.insert(entry, Running { session: session.clone(), tool });
            }
            (Verdict::Permit, _) => {
                course.apart = true;
                self.result.unknown.results_gone += 1;
                self.result.unknown.answers_never_given += u64::from(is == Verdict::Ask);
            }
            // With its approval it is decided again in the next entry, and runs from there.
            (Verdict::Ask, _) if continued => course.asked.push(&action, flips),
            (_, Verdict::Permit) => {
                course.apart = true;
                course.labels.called(&tool, entry, &action.arguments);
                self.result.unknown.results_never_seen += 1;
            }
            (Verdict::Deny, Verdict::Ask) => self.result.unknown.answers_never_given += 1,
            (Verdict::Ask, _) | (Verdict::Deny, Verdict::Deny) => {}
        }
        if self.survey.sessions.get(&session).is_some_and(|known| known.last <= entry) {
            // The last decision of the session; nothing asks for its state any more.
            if let Some(course) = self.courses.get_mut(&session) {
                course.labels = label::Session::default();
            }
        }
    }

    /// Counts a decision, and says whether it flips.
    fn count(&mut self, entry: u64, judged: &Judged) -> bool {
        let (was, is) = (judged.was(), judged.is());
        let (Some(computed), Some(course)) = (&judged.computed, self.courses.get_mut(&judged.action.principal.session))
        else {
            return false;
        };
        self.result.decisions += 1;
        self.result.unknown.after_first_flip += u64::from(course.flipped);
        // The second half of a call whose first half flipped is no second flip.
        let half_flipped = course.asked.take(&judged.action).unwrap_or(false);
        if was == is || half_flipped {
            self.result.same += u64::from(was == is);
            return false;
        }
        let policies = |decision: &Decision| decision.reasons.iter().map(|reason| reason.policy.clone()).collect();
        let kind = FlipKind {
            from: was,
            to: is,
            policies: policies(computed),
            were: policies(&judged.recorded),
            agent: judged.action.principal.agent.clone(),
            tool: judged.action.tool.to_string(),
        };
        let flip = self.flips.entry(kind.clone()).or_insert_with(|| Flip {
            kind,
            count: 0,
            after_first_flip: 0,
            examples: Vec::new(),
            text: policy::agent_text(computed),
        });
        flip.count += 1;
        flip.after_first_flip += u64::from(course.flipped);
        if flip.examples.len() < EXAMPLES_MAX {
            flip.examples.push(entry);
        }
        true
    }

    /// A result came back, in both worlds.
    fn outcome(&mut self, outcome: &Outcome) {
        let Some(running) = self.running.remove(&outcome.intent) else { return };
        let Some(course) = self.courses.get_mut(&running.session).filter(|course| !course.incomplete) else { return };
        let bytes = outcome.payload.as_ref().and_then(|at| payload(self.log, at).ok().flatten());
        match bytes.map(|bytes| serde_json::from_slice::<Value>(&bytes)) {
            Some(Ok(value)) => _ = course.labels.result(&running.tool, outcome.intent, &value),
            // What is no JSON gave the session nothing then, either.
            Some(Err(_)) => {}
            None => course.incomplete |= outcome.size_bytes > 0,
        }
    }

    /// A person approved for the rest of the session.
    fn granted(&mut self, ask: u64) {
        let Ok(Record::Asked(asked)) = self.log.read(ask).map(|stored| stored.entry.record) else { return };
        let Ok(Record::Intent(intent)) = self.log.read(asked.intent).map(|stored| stored.entry.record) else { return };
        if !self.is_of_interest(&intent.session) {
            return;
        }
        let log = self.log;
        let Whole::There(intent) = whole(intent, |at| payload(log, at)) else { return };
        let (Ok((action, _)), Ok(compiled)) = (read(&intent), self.snapshots.get(&intent.snapshot)) else { return };
        let scope = ask::scope(&action, &compiled.tool(&action.tool), "");
        let course = self.course(intent.session);
        course.grants.push((scope, asked.groups.into_iter().collect()));
    }

    fn finish(mut self) -> WhatIf {
        for (name, session) in self.survey.sessions.iter().filter(|(_, session)| session.decisions > 0) {
            self.result.sessions += 1;
            if self.survey.reruns(name) {
                let flipped = session.flips || self.courses.get(name).is_some_and(|course| course.flipped);
                self.result.sessions_flipped += u64::from(flipped);
            } else {
                self.result.decisions += session.decisions;
                self.result.same += session.decisions;
            }
        }
        self.result.unreadable.clone_from(&self.survey.unreadable);
        self.result.unknown.erased = self.survey.erased;
        self.result.unknown.after_unreadable = self.survey.after_unreadable;
        self.result.unknown.other_kinds = self.survey.other_kinds;
        self.result.flips = self.flips.into_values().collect();
        self.result.flips.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.kind.cmp(&b.kind)));
        self.result
    }
}

/// The action with what a person approved for the rest of the session, where that lifts what is asked; as the gateway
/// does. The policies that an approval is bound to are other ones here: it is carried over to them.
fn granted(decision: &Decision, action: &Action, tool: &ToolFacts, course: &Course) -> Option<Action> {
    let Effect::Ask { groups } = &decision.effect else { return None };
    let scope = ask::scope(action, tool, "");
    let covers =
        |(granted, of): &(String, BTreeSet<String>)| *granted == scope && groups.iter().all(|group| of.contains(group));
    if action.approval.is_some() || !course.grants.iter().any(covers) {
        return None;
    }
    Some(Action { approval: Some(Approved { entry: 0, groups: groups.clone() }), ..action.clone() })
}

/// Whether labels are the same. The record sorts the members of arguments, so their order says nothing.
fn same(one: &Labels, other: &Labels) -> bool {
    let sorted = |labels: &Labels| {
        let mut arguments: Vec<ArgumentLabel> = labels.arguments.clone();
        arguments.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        arguments
    };
    one.session == other.session && one.request == other.request && sorted(one) == sorted(other)
}

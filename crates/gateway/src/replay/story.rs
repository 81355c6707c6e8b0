//! What happened in one session, from its records alone: who, each call in order with what the agent had seen by
//! then, where the values that mattered came from, what was decided and what became of it.
//!
//! Nothing is derived anew: what is told is what was recorded, so that a story can be checked entry by entry.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use ledger::record::{Intent, Outcome, Payload, Record, Scope, Status};
use ledger::{ReadError, Reader, Stored};
use policy::action::Principal;
use policy::{
    Action, ArgumentLabel, Choice, Confidentiality, Door, EffectKind, Integrity, Origin, Reason, Request, Role,
    SessionLabels, ToolId, Verb,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lost::{About, session_of};
use super::{Snapshots, Verdict, Whole, read, whole};

/// Text that is told of a prompt or a value, in characters.
const TEXT_MAX_CHARS: usize = 400;

/// Whose story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Of the session that an entry belongs to.
    Entry(u64),
    /// Of a session.
    Session(String),
}

/// Why there is no story.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// The ledger.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The entry is about no session.
    #[error("entry {0} belongs to no session")]
    NoSession(u64),
    /// No entry names it.
    #[error("no entry of the ledger names the session `{0}`")]
    Unknown(String),
    /// No entry that can be read names it.
    #[error(
        "no entry that can be read names the session `{session}`, and {unreadable} cannot be, the first of them {first}"
    )]
    Lost {
        /// The session.
        session: String,
        /// How many entries cannot be read, and are of no session that is known.
        unreadable: usize,
        /// The first of them.
        first: u64,
    },
}

/// One session, told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// The session.
    pub session: String,
    /// Who acted, for whom, and what that rests on, as of the first call; absent if nothing was called.
    pub principal: Option<Principal>,
    /// What happened, in the order of the ledger.
    pub steps: Vec<Step>,
    /// Entries that could not be read, with the reason.
    pub unreadable: Vec<super::Fault>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The user said something.
    Prompt {
        /// The entry.
        entry: u64,
        /// When.
        time: Timestamp,
        /// The beginning of what was said; absent if it was erased or is missing.
        text: Option<String>,
        /// Nothing says that it was erased, and it is not there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        missing: bool,
    },
    /// Tools that the agent was not shown.
    Withheld {
        /// The entry.
        entry: u64,
        /// When.
        time: Timestamp,
        /// The server.
        server: String,
        /// Which.
        names: Vec<String>,
        /// Why.
        because: String,
    },
    /// A call.
    Call(Box<Call>),
    /// Something that cannot be read, and is of this session or of none that is known.
    Unreadable {
        /// The entry.
        entry: u64,
        /// What is wrong with it.
        message: String,
    },
}

/// A call, from the decision to what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The intent's entry.
    pub entry: u64,
    /// When it was decided.
    pub time: Timestamp,
    /// Through which door.
    pub door: Door,
    /// What was done.
    pub verb: Verb,
    /// Which tool.
    pub tool: ToolId,
    /// With what.
    pub arguments: Value,
    /// What the agent had seen by then.
    pub seen: SessionLabels,
    /// The call whose result first brought that integrity, if it was one of this story's.
    pub seen_since: Option<u64>,
    /// The last entry before it that cannot be read: what that brought, and what was approved by it, nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_unreadable: Option<u64>,
    /// Whether the user asked for it.
    pub request: Request,
    /// Arguments that others chose, or that are confidential, and where they came from.
    pub tainted: Vec<Taint>,
    /// What was decided.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Vec<Reason>,
    /// What went wrong while deciding.
    pub errors: Vec<String>,
    /// Under which snapshot.
    pub snapshot: String,
    /// Who was asked, and the answer.
    pub asked: Option<Ask>,
    /// The objects that it is about, by role.
    pub touched: Vec<Touched>,
    /// What it did to the world, if it ran: everything that is not reading.
    pub changed: Vec<EffectKind>,
    /// What became of it.
    pub outcome: Option<End>,
    /// The entry that cannot be read and may say what became of it, or what was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_in: Option<u64>,
}

/// An argument that somebody else chose, or that few may read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taint {
    /// The argument and its labels.
    #[serde(flatten)]
    pub argument: ArgumentLabel,
    /// Its value, shortened.
    pub value: String,
}

/// What a call is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Touched {
    /// Why it matters.
    pub role: Role,
    /// Which argument.
    pub pointer: String,
    /// Its value, shortened.
    pub value: String,
}

/// A question to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// The ask's entry.
    pub entry: u64,
    /// What was asked about.
    pub groups: Vec<String>,
    /// Approved or not; absent if nobody answered.
    pub approved: Option<bool>,
    /// Who answered.
    pub by: Option<String>,
    /// For how much.
    pub scope: Option<Scope>,
    /// The answer's entry.
    pub answer: Option<u64>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The outcome's entry.
    pub entry: u64,
    /// How it ended.
    pub status: Status,
    /// How long it took.
    pub duration_us: u64,
    /// How much came back.
    pub size_bytes: u64,
    /// The labels of what came back; absent if none are recorded.
    pub labels: Option<SessionLabels>,
    /// `kept`, `erased`, `missing`, `checked` (only what it can be checked by) or `none`.
    pub result: String,
}

/// A session of a ledger, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The session.
    pub session: String,
    /// The agent.
    pub agent: String,
    /// The user.
    pub user: String,
    /// Its first decision.
    pub since: Timestamp,
    /// Its last.
    pub until: Timestamp,
    /// Decisions.
    pub decisions: u64,
    /// Those that were not permitted.
    pub refused: u64,
    /// The last intent's entry.
    pub last: u64,
}

/// The sessions of a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// The last used last.
    pub sessions: Vec<Summary>,
    /// Entries that could not be read, with the reason: they may be of any.
    pub unreadable: Vec<super::Fault>,
}

/// The sessions of a ledger.
pub fn sessions(log: &Reader) -> Result<Sessions, ReadError> {
    let (mut found, mut unreadable) = (HashMap::<String, Summary>::new(), Vec::new());
    for stored in log.known(0..log.len()) {
        let stored = match stored {
            Err(ReadError::Entry { index, error }) => {
                unreadable.push(super::Fault { entry: index, message: format!("it cannot be read: {error}") });
                continue;
            }
            stored => stored?,
        };
        let Record::Intent(intent) = stored.entry.record else { continue };
        let word = |path: &str| intent.action.pointer(path).and_then(Value::as_str).unwrap_or("?").to_owned();
        let summary = found.entry(intent.session.clone()).or_insert_with(|| Summary {
            session: intent.session.clone(),
            agent: word("/principal/agent"),
            user: word("/principal/user"),
            since: intent.now,
            until: intent.now,
            decisions: 0,
            refused: 0,
            last: 0,
        });
        summary.until = intent.now;
        summary.decisions += 1;
        summary.refused += u64::from(!intent.permits());
        summary.last = stored.index;
    }
    let mut sessions: Vec<_> = found.into_values().collect();
    sessions.sort_by_key(|summary| summary.last);
    Ok(Sessions { sessions, unreadable })
}

/// Tells a session.
pub fn tell(log: &Reader, subject: &Subject) -> Result<Story, StoryError> {
    let session = match subject {
        Subject::Session(session) => session.clone(),
        Subject::Entry(entry) => session_of(log, *entry)?.ok_or(StoryError::NoSession(*entry))?,
    };
    let load = |id: &str| log.object(id).map_err(|error| error.to_string());
    let mut teller = Teller {
        log,
        snapshots: Snapshots::new(None, load),
        calls: BTreeMap::new(),
        asks: HashMap::new(),
        since: Vec::new(),
        holes: Holes::default(),
        expired: HashSet::new(),
        erased: HashSet::new(),
        gone: Vec::new(),
        story: Story { session, principal: None, steps: Vec::new(), unreadable: Vec::new() },
    };
    let needle = serde_json::to_string(&teller.story.session).unwrap_or_default();
    for raw in log.raw(0..log.len()) {
        let (index, bytes) = raw?;
        if may_matter(&bytes, needle.as_bytes()) {
            match parse(index, &bytes).map_err(|error| log.read(index).err().unwrap_or(error)) {
                Ok(entry) => teller.entry(Stored { index, entry }),
                Err(ReadError::Kind { kind, .. }) => {
                    let message = format!("unknown kind `{kind}`");
                    teller.story.unreadable.push(super::Fault { entry: index, message });
                }
                Err(ReadError::Entry { index, error }) => teller.loses(index, &bytes, &error),
                Err(error) => return Err(error.into()),
            }
        }
    }
    let holes = (teller.holes.anyones.first().copied(), teller.holes.anyones.len());
    let story = teller.finish();
    match (story.steps.len(), holes) {
        (0, _) => Err(StoryError::Unknown(story.session)),
        // Of nothing that is there is known that it is of this session.
        (steps, (Some(first), unreadable)) if steps == unreadable => {
            Err(StoryError::Lost { session: story.session, unreadable, first })
        }
        _ => Ok(story),
    }
}

fn parse(index: u64, bytes: &[u8]) -> Result<ledger::Entry, ReadError> {
    serde_json::from_slice(bytes).map_err(|error| ReadError::Entry { index, error })
}

/// Whether an entry may be about the session: intents name theirs, and to parse those of others would take most of
/// the time. One that names none may be bent.
fn may_matter(bytes: &[u8], session: &[u8]) -> bool {
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    !has(b"\"kind\":\"intent\"") || has(session) || !has(b"\"session\":\"")
}

/// What there is of a payload.
enum Kept {
    There(Vec<u8>),
    Erased,
    Missing,
}

/// Entries that cannot be read, in order.
#[derive(Default)]
struct Holes {
    /// Of this session, or of none that is known.
    all: Vec<u64>,
    /// Of none that is known.
    anyones: Vec<u64>,
    /// Those that say which call they are about, by its entry.
    about: HashMap<u64, u64>,
    /// Those that do not.
    others: Vec<u64>,
}

impl Holes {
    /// The one that may say what became of a call.
    fn of(&self, call: u64) -> Option<u64> {
        let next = self.others.get(self.others.partition_point(|hole| *hole <= call));
        self.about.get(&call).or(next).copied()
    }
}

struct Teller<'a, F> {
    log: &'a Reader,
    snapshots: Snapshots<F>,
    /// Where the calls stand among the steps, by entry.
    calls: BTreeMap<u64, usize>,
    /// The intents that asks are about.
    asks: HashMap<u64, u64>,
    /// The calls whose results raised what had been seen, and to what.
    since: Vec<(Integrity, u64)>,
    /// What cannot be read.
    holes: Holes,
    /// The calls whose asks ended without an answer.
    expired: HashSet<u64>,
    /// Subjects that were erased.
    erased: HashSet<String>,
    /// Steps of which a payload's key is gone, each with its subject.
    gone: Vec<(usize, String)>,
    story: Story,
}

impl<F: FnMut(&str) -> Result<Vec<u8>, String>> Teller<'_, F> {
    fn entry(&mut self, stored: Stored) {
        let (entry, time) = (stored.index, stored.entry.time);
        match stored.entry.record {
            Record::Intent(intent) if intent.session == self.story.session => self.intent(entry, intent),
            Record::Outcome(outcome) => self.outcome(entry, &outcome),
            Record::Prompt { session, payload } if session == self.story.session => {
                let kept = self.payload(&payload, self.story.steps.len());
                let missing = matches!(kept, Kept::Missing);
                let text =
                    if let Kept::There(text) = kept { Some(shorten(&String::from_utf8_lossy(&text))) } else { None };
                self.story.steps.push(Step::Prompt { entry, time, text, missing });
            }
            Record::Withheld { session, server, names, because } if session == self.story.session => {
                self.story.steps.push(Step::Withheld { entry, time, server, names, because });
            }
            Record::Asked(asked) => {
                let intent = asked.intent;
                let ask = Ask { entry, groups: asked.groups, approved: None, by: None, scope: None, answer: None };
                if let Some(call) = self.call(intent) {
                    call.asked = Some(ask);
                    self.asks.insert(entry, intent);
                }
            }
            Record::Log { event, details } if event == "erased" => {
                self.erased.extend(details.get("subject").and_then(Value::as_str).map(str::to_owned));
            }
            Record::Expired { ask } => self.expired.extend(self.asks.get(&ask)),
            Record::Answered(answered) => {
                let intent = self.asks.get(&answered.ask).copied();
                if let Some(ask) = intent.and_then(|intent| self.call(intent)).and_then(|call| call.asked.as_mut()) {
                    ask.approved = Some(answered.approved);
                    ask.by = Some(answered.by);
                    ask.scope = Some(answered.scope);
                    ask.answer = Some(entry);
                }
            }
            _ => {}
        }
    }

    /// An entry cannot be read. One that says that it is another session's is told there.
    fn loses(&mut self, entry: u64, bytes: &[u8], error: &serde_json::Error) {
        let session = session_of(self.log, entry).ok().flatten();
        if session.as_ref().is_some_and(|session| *session != self.story.session) {
            return;
        }
        let whose = if session.is_some() { "" } else { ", nor whose it is" };
        if session.is_none() {
            self.holes.anyones.push(entry);
        }
        let call = match About::of_bytes(bytes) {
            About::Earlier(earlier) if self.calls.contains_key(&earlier) => Some(earlier),
            About::Earlier(earlier) => self.asks.get(&earlier).copied(),
            About::Session(_) | About::Nothing => None,
        };
        match call {
            Some(call) => _ = self.holes.about.insert(call, entry),
            None => self.holes.others.push(entry),
        }
        self.hole(entry, format!("it cannot be read{whose}: {error}"));
    }

    fn hole(&mut self, entry: u64, message: String) {
        self.holes.all.push(entry);
        self.story.unreadable.push(super::Fault { entry, message: message.clone() });
        self.story.steps.push(Step::Unreadable { entry, message });
    }

    /// What there is of a step's payload. Whether one whose key is gone was erased, a later entry may say.
    fn payload(&mut self, payload: &Payload, step: usize) -> Kept {
        match self.log.payload(payload) {
            Ok(Some(bytes)) => Kept::There(bytes),
            Ok(None) => {
                self.gone.push((step, payload.subject.clone()));
                Kept::Erased
            }
            Err(_) => Kept::Missing,
        }
    }

    fn call(&mut self, intent: u64) -> Option<&mut Call> {
        match self.story.steps.get_mut(*self.calls.get(&intent)?) {
            Some(Step::Call(call)) => Some(call),
            _ => None,
        }
    }

    fn intent(&mut self, entry: u64, intent: Intent) {
        let log = self.log;
        let intent = match whole(intent, |at| log.payload(at)) {
            Whole::There(intent) => intent,
            Whole::Erased(_) => {
                let message = "what the call asked for was erased".to_owned();
                return self.story.unreadable.push(super::Fault { entry, message });
            }
        };
        let (action, decision) = match read(&intent) {
            Ok(read) => read,
            Err(error) => return self.hole(entry, error.to_string()),
        };
        // A snapshot that is gone takes the effects with it, and nothing else.
        let effects = self.snapshots.get(&intent.snapshot).map(|compiled| compiled.tool(&action.tool).effects.clone());
        let effects = effects.unwrap_or_default();
        let seen = action.labels.session.clone();
        let call = Call {
            entry,
            time: intent.now,
            door: action.door,
            verb: action.verb,
            tool: action.tool.clone(),
            after_unreadable: self.holes.all.last().copied(),
            seen_since: self.since.iter().find(|(integrity, _)| *integrity >= seen.integrity).map(|(_, entry)| *entry),
            seen,
            request: action.labels.request,
            tainted: tainted(&action),
            touched: touched(&action),
            verdict: Verdict::of(&decision),
            reasons: decision.reasons,
            errors: decision.errors,
            snapshot: intent.snapshot,
            asked: None,
            // Kept here until it is known whether it ran.
            changed: effects.into_iter().filter(|effect| *effect != EffectKind::Read).collect(),
            arguments: action.arguments,
            outcome: None,
            lost_in: None,
        };
        self.story.principal.get_or_insert(action.principal);
        self.calls.insert(entry, self.story.steps.len());
        self.story.steps.push(Step::Call(Box::new(call)));
    }

    fn outcome(&mut self, entry: u64, outcome: &Outcome) {
        let Some(step) = self.calls.get(&outcome.intent).copied() else { return };
        let result = match (&outcome.payload, &outcome.mac) {
            (Some(payload), _) => match self.payload(payload, step) {
                Kept::There(_) => "kept",
                Kept::Erased => "erased",
                Kept::Missing => "missing",
            },
            (None, Some(_)) => "checked",
            (None, None) => "none",
        };
        let labels: Option<SessionLabels> = serde_json::from_value(outcome.labels.clone()).ok();
        if let Some(labels) = &labels
            && self.since.last().is_none_or(|(highest, _)| labels.integrity > *highest)
        {
            self.since.push((labels.integrity, outcome.intent));
        }
        let end = End {
            entry,
            status: outcome.status,
            duration_us: outcome.duration_us,
            size_bytes: outcome.size_bytes,
            labels,
            result: result.to_owned(),
        };
        if let Some(call) = self.call(outcome.intent) {
            call.outcome = Some(end);
        }
    }

    fn finish(mut self) -> Story {
        // The entry that says so may have been pruned.
        let is_whole = self.log.start().is_ok_and(|start| start == 0);
        for (step, _) in self.gone.iter().filter(|(_, subject)| is_whole && !self.erased.contains(subject)) {
            match self.story.steps.get_mut(*step) {
                Some(Step::Prompt { missing, .. }) => *missing = true,
                Some(Step::Call(call)) => {
                    call.outcome.iter_mut().for_each(|end| "missing".clone_into(&mut end.result));
                }
                _ => {}
            }
        }
        for step in &mut self.story.steps {
            let Step::Call(call) = step else { continue };
            let is_open = match call.verdict {
                Verdict::Permit => call.outcome.is_none(),
                Verdict::Ask if self.expired.contains(&call.entry) => false,
                Verdict::Ask => call.asked.as_ref().is_none_or(|ask| ask.approved.is_none()),
                Verdict::Deny => false,
            };
            call.lost_in = self.holes.of(call.entry).filter(|_| is_open);
            // Where it may have run nobody knows that it changed nothing.
            if call.outcome.is_none() && (call.verdict != Verdict::Permit || call.lost_in.is_none()) {
                call.changed.clear();
            }
        }
        self.story
    }
}

/// The arguments that others chose or that few may read, the worst first.
fn tainted(action: &Action) -> Vec<Taint> {
    let speaks = |label: &&ArgumentLabel| {
        matches!(label.choice, Choice::Untrusted | Choice::Delegated)
            || label.label.confidentiality >= Confidentiality::Confidential
    };
    let mut tainted: Vec<Taint> = action
        .labels
        .arguments
        .iter()
        .filter(speaks)
        .map(|label| Taint { value: value(action, &label.pointer), argument: label.clone() })
        .collect();
    tainted.sort_by_key(|taint| std::cmp::Reverse((taint.argument.choice, taint.argument.label.integrity)));
    tainted
}

/// What a call is about: every argument whose role says which object, person or place.
fn touched(action: &Action) -> Vec<Touched> {
    let matters = |label: &&ArgumentLabel| !matches!(label.role, Role::Content | Role::Other | Role::Amount);
    let arguments = action.labels.arguments.iter().filter(matters);
    let mut touched: Vec<Touched> = arguments
        .map(|label| Touched { role: label.role, pointer: label.pointer.clone(), value: value(action, &label.pointer) })
        .collect();
    if matches!(action.verb, Verb::ReadResource | Verb::GetPrompt) {
        let value = shorten(&action.tool.name);
        touched.push(Touched { role: Role::Target, pointer: String::new(), value });
    }
    touched
}

fn value(action: &Action, pointer: &str) -> String {
    match action.arguments.pointer(pointer) {
        Some(Value::String(text)) => shorten(text),
        Some(other) => shorten(&other.to_string()),
        None => String::new(),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// The calls that a label's values came from.
pub fn sources(taint: &Taint) -> impl Iterator<Item = (u64, &Origin)> {
    taint.argument.label.origins.iter().filter_map(|origin| Some((origin.entry?, origin)))
}

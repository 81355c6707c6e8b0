//! The order of steps, held by types: a [`Permit`] exists only for a call that was judged and whose
//! judgement the ledger holds durably, and only a [`Permit`] opens an upstream.
//!
//! ```text
//! Action --judge--> Judged --record--> Recorded --verdict--> Permit --spend--> Act --end--> Outcome
//!                                                       \--> Denied
//!                                                       \--> Question --ask--> Action (again)
//! ```
//!
//! Each arrow consumes its input and each type has private fields and no other constructor, so a skipped,
//! repeated or reordered step does not compile (`tests/compile_fail.rs`). The call itself travels inside:
//! what is sent is what was judged.
//!
//! This module never opens a connection and never decides; it calls [`policy::decide`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use jiff::Timestamp;
use ledger::record::{Intent, Mac, Outcome, Payload, Record, Status};
use ledger::{Append, AppendError, Ledger, PayloadError, Receipt};
use policy::{Action, Decision, Effect, Principal, Snapshot};
use serde_json::Value;

use crate::call::Request;
use crate::peers::{Awaited, Owed};

/// Where the time comes from of all that is judged and recorded. What is said to others about tokens (`upstream::login`,
/// proofs of possession) goes by the machine's own clock, which is what they compare it with.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    System,
    /// Stands still; for tests.
    Fixed(Timestamp),
    /// Milliseconds that somebody else sets; for simulations.
    Simulated(Arc<AtomicI64>),
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Fixed(time) => *time,
            Self::Simulated(clock) => {
                Timestamp::from_millisecond(clock.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
            }
        }
    }
}

/// The ledger as the pipeline uses it: with a clock, and a count of the acts that still owe an outcome.
#[derive(Clone, Debug)]
pub struct Journal {
    ledger: Ledger,
    clock: Clock,
    open: Arc<AtomicUsize>,
    /// Calls that were taken at a door.
    called: Arc<AtomicU64>,
    /// Acts that left.
    sent: Arc<AtomicU64>,
}

impl Journal {
    /// A journal over a ledger.
    pub fn new(ledger: Ledger, clock: Clock) -> Self {
        Self { ledger, clock, open: Arc::default(), called: Arc::default(), sent: Arc::default() }
    }

    /// A call was taken at a door; it will be judged, and so recorded.
    pub(crate) fn takes_call(&self) {
        self.called.fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls were taken and how many acts left, for the record of this run's end.
    pub(crate) fn totals(&self) -> serde_json::Map<String, Value> {
        let count = |counter: &AtomicU64| Value::from(counter.load(Ordering::Relaxed));
        [("calls".to_owned(), count(&self.called)), ("sent".to_owned(), count(&self.sent))].into_iter().collect()
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock, for who keeps no journal.
    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// How many acts still owe an outcome.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Appends a record and waits until it is durable.
    pub async fn append(&self, record: Record) -> Result<Receipt, AppendError> {
        self.ledger.append(record, self.now())?.await
    }

    /// Appends a record without waiting: for what already happened. A refusal is said in the log, for
    /// there is nobody left to refuse.
    pub fn note(&self, record: Record) -> Option<u64> {
        match self.ledger.append(record, self.now()) {
            Ok(append) => Some(append.index()),
            Err(error) => {
                tracing::error!(%error, "the ledger refused a record of something that happened");
                None
            }
        }
    }
}

/// Counts what leaves for one server in one session. It is counted where the bytes leave and not where they are
/// recorded, so that an act which no outcome tells of leaves a gap.
#[derive(Clone, Debug, Default)]
pub struct Departures(Arc<AtomicU64>);

impl Departures {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The call's place in its session.
#[derive(Clone, Debug)]
pub struct Place {
    /// The session.
    pub session: String,
    /// The call's number within its session and server, from 1.
    pub sequence: u64,
    /// The ask whose approval this uses up.
    pub uses: Option<u64>,
    /// What has left for this server.
    pub departures: Departures,
}

/// A call that was judged, and nothing else yet.
#[derive(Debug)]
#[must_use]
pub struct Judged<C> {
    call: C,
    action: Action,
    decision: Decision,
    place: Place,
    now: Timestamp,
}

/// Judges. Pure.
pub fn judge<C>(call: C, action: Action, place: Place, snapshot: &Snapshot, now: Timestamp) -> Judged<C> {
    let decision = policy::decide(snapshot, &action, now);
    Judged { call, action, decision, place, now }
}

/// Whose data a call and its result are: one key erases all that an agent did for a user.
pub(crate) fn subject(principal: &Principal) -> String {
    format!("{} for {}", principal.agent, principal.user)
}

/// The ledger could not hold the judgement, so the call is denied.
#[derive(Debug, thiserror::Error)]
pub enum Unrecorded {
    /// The ledger refused.
    #[error("the decision could not be recorded: {0}")]
    Append(#[from] AppendError),
    /// The ledger refused the action's payload.
    #[error("the call could not be recorded: {0}")]
    Payload(#[from] PayloadError),
}

impl<C> Judged<C> {
    /// What was decided.
    pub(crate) fn decision(&self) -> &Decision {
        &self.decision
    }

    /// What was judged.
    pub(crate) fn action(&self) -> &Action {
        &self.action
    }

    fn intent<'a>(&'a self, action: &'a Action, payload: Option<Payload>) -> Intent<&'a Action, &'a Decision> {
        Intent {
            action,
            decision: &self.decision,
            snapshot: self.decision.snapshot.0.clone(),
            now: self.now,
            session: self.place.session.clone(),
            sequence: self.place.sequence,
            uses: self.place.uses,
            payload,
        }
    }

    /// The same for a call that is too large for an entry, such as a file that is written whole: the action is
    /// a payload, written before the entry that names it, and the entry says the rest.
    fn outsized(&self, journal: &Journal) -> Result<Append, Unrecorded> {
        let subject = subject(&self.action.principal);
        let action = serde_json::to_vec(&self.action).map_err(|error| AppendError::Json(Arc::new(error)))?;
        let payload = journal.ledger.put_payload(&subject, &action)?;
        let mut action = self.action.clone();
        action.arguments = Value::Object(serde_json::Map::new());
        action.labels.arguments.clear();
        // What it takes from budgets is read back after a restart.
        action.facts.retain(|name, _| name == policy::bounds::USED);
        Ok(self.append(journal, &action, Some(payload))?)
    }

    fn append(&self, journal: &Journal, action: &Action, payload: Option<Payload>) -> Result<Append, AppendError> {
        // As the entry says it, which is what verification goes by.
        let permits = self.decision.effect == Effect::Permit;
        journal.ledger.intend(&self.intent(action, payload), permits, journal.now())
    }

    /// Appends the intent and waits until it is durable. A denial is recorded like a permit.
    pub async fn record(self, journal: &Journal) -> Result<Recorded<C>, Unrecorded> {
        let append = match self.append(journal, &self.action, None) {
            Err(AppendError::TooLarge { .. }) => self.outsized(journal)?,
            other => other?,
        };
        // The debt begins here and not at the permit: if this future is dropped while it waits, the ledger
        // still gets the intent, and so must get its outcome.
        let act = permits(&self.decision).then(|| Act::begin(append.index(), journal.clone(), self.place.departures));
        match append.await {
            Ok(receipt) => {
                let (call, action, decision) = (self.call, self.action, self.decision);
                Ok(Recorded { call, action, decision, receipt, act })
            }
            Err(error) => {
                act.into_iter().for_each(Act::forgive);
                Err(error.into())
            }
        }
    }
}

/// INVARIANT: an error is a denial even if the effect says otherwise.
fn permits(decision: &Decision) -> bool {
    decision.errors.is_empty() && decision.effect == Effect::Permit
}

/// A call whose judgement the ledger holds durably.
#[derive(Debug)]
#[must_use]
pub struct Recorded<C> {
    call: C,
    action: Action,
    decision: Decision,
    receipt: Receipt,
    act: Option<Act>,
}

/// What the recorded judgement leads to.
#[derive(Debug)]
#[must_use]
pub enum Verdict<C> {
    /// Go ahead.
    Permit(Permit<C>),
    /// Never.
    Deny(Denied),
    /// Only if a human approves.
    Ask(Box<Question<C>>),
}

impl<C> Verdict<C> {
    /// The intent's entry.
    pub fn intent(&self) -> u64 {
        match self {
            Self::Permit(permit) => permit.intent(),
            Self::Deny(denied) => denied.intent,
            Self::Ask(question) => question.intent,
        }
    }
}

impl<C> Recorded<C> {
    /// Opens the envelope.
    pub fn verdict(self) -> Verdict<C> {
        let intent = self.receipt.index();
        match (self.act, self.decision.effect.clone()) {
            (Some(act), Effect::Permit) => {
                Verdict::Permit(Permit { call: self.call, action: Box::new(self.action), _receipt: self.receipt, act })
            }
            (_, Effect::Ask { groups }) if self.decision.errors.is_empty() => {
                let (call, action, decision) = (self.call, self.action, self.decision);
                Verdict::Ask(Box::new(Question { call, action, decision, groups, intent }))
            }
            _ => Verdict::Deny(Denied { intent, action: Box::new(self.action), decision: self.decision }),
        }
    }
}

/// A recorded denial.
#[derive(Clone, Debug)]
pub struct Denied {
    /// The intent's entry.
    pub intent: u64,
    /// What was judged.
    pub action: Box<Action>,
    /// Why.
    pub decision: Decision,
}

/// A recorded judgement that waits for a human.
#[derive(Debug)]
pub struct Question<C> {
    /// The call, to be judged again.
    pub call: C,
    /// What was judged.
    pub action: Action,
    /// Why.
    pub decision: Decision,
    /// The groups to approve.
    pub groups: Vec<String>,
    /// The intent's entry.
    pub intent: u64,
}

/// The only key that opens an upstream. Not `Clone`, made only by [`Recorded::verdict`].
#[derive(Debug)]
#[must_use]
pub struct Permit<C> {
    call: C,
    action: Box<Action>,
    _receipt: Receipt,
    act: Act,
}

impl<C> Permit<C> {
    /// The intent's entry.
    pub fn intent(&self) -> u64 {
        self.act.intent
    }

    /// What was judged.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// What may be sent.
    pub(crate) fn call(&self) -> &C {
        &self.call
    }

    /// Spends the permit: the call, to be sent now, and the act that owes an outcome.
    pub(crate) fn spend(mut self) -> (C, Act) {
        self.act.started = Instant::now();
        self.act.upstream = Some(self.act.departures.next());
        self.act.journal.sent.fetch_add(1, Ordering::Relaxed);
        (self.call, self.act)
    }
}

impl Permit<Request> {
    /// The same call with what travels beside it in `_meta`, which policy has no say in.
    pub(crate) fn accompanied(mut self, owed: Option<Owed>, along: Option<(Request, Awaited)>) -> Self {
        self.act.owed = owed.map(Box::new);
        if let Some((request, awaited)) = along {
            self.call = request;
            self.act.awaited = Some(Box::new(awaited));
        }
        self
    }
}

/// Something that is being done upstream. Whatever happens to it, one outcome is recorded: by
/// [`Act::end`], or, if it is dropped (the caller cancelled, the connection died), as cancelled.
#[derive(Debug)]
pub struct Act {
    intent: u64,
    started: Instant,
    departures: Departures,
    /// Its number among them, once it has left.
    upstream: Option<u64>,
    journal: Journal,
    ended: bool,
    /// The gateway that waits for the labels of the result, and the one that tells them.
    owed: Option<Box<Owed>>,
    awaited: Option<Box<Awaited>>,
}

/// How an act ended.
#[derive(Debug)]
pub struct Ending {
    /// How.
    pub status: Status,
    /// Size of the result in bytes.
    pub size_bytes: usize,
    /// Labels of the result.
    pub labels: Value,
    /// What the record keeps of the result.
    pub kept: Kept,
}

/// What the record keeps of a result.
#[derive(Debug)]
pub enum Kept {
    /// Nothing: there is none, or it could not be kept.
    Nothing,
    /// What it is checked by.
    Mac(Mac),
    /// The bytes.
    Whole(Payload),
}

impl Ending {
    /// An end without a result.
    pub fn without_result(status: Status) -> Self {
        Self { status, size_bytes: 0, labels: Value::Null, kept: Kept::Nothing }
    }
}

impl Act {
    fn begin(intent: u64, journal: Journal, departures: Departures) -> Self {
        journal.open.fetch_add(1, Ordering::AcqRel);
        Self {
            intent,
            started: Instant::now(),
            departures,
            upstream: None,
            journal,
            ended: false,
            owed: None,
            awaited: None,
        }
    }

    /// The intent never reached the ledger, so nothing is owed.
    fn forgive(mut self) {
        self.ended = true;
        self.journal.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// The intent's entry.
    pub fn intent(&self) -> u64 {
        self.intent
    }

    /// The gateway that waits for the labels of the result.
    pub(crate) fn owed(&self) -> Option<&Owed> {
        self.owed.as_deref()
    }

    /// The gateway whose labels of the result are waited for.
    pub(crate) fn awaited(&self) -> Option<&Awaited> {
        self.awaited.as_deref()
    }

    /// The ledger that waits for the outcome.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.journal.ledger
    }

    /// Records the outcome. It is not waited for: the act is done, and a crash now reads as unknown.
    pub fn end(mut self, ending: Ending) {
        self.write(ending);
    }

    fn write(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (payload, mac) = match ending.kept {
            Kept::Nothing => (None, None),
            Kept::Mac(mac) => (None, Some(mac)),
            Kept::Whole(payload) => (Some(payload), None),
        };
        self.journal.note(Record::Outcome(Outcome {
            intent: self.intent,
            status: ending.status,
            payload,
            mac,
            labels: ending.labels,
            upstream: self.upstream,
            duration_us,
            size_bytes: u64::try_from(ending.size_bytes).unwrap_or(u64::MAX),
        }));
        self.journal.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A record must not hang on a destructor, which may never run. This is not the path: it is the net under
/// it, for the exits that no code of ours takes, such as a task that is aborted.
impl Drop for Act {
    fn drop(&mut self) {
        self.write(Ending::without_result(Status::Cancelled));
    }
}

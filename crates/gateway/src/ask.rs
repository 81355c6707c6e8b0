//! Asks: a call that waits for a human, and the answer that belongs to it.
//!
//! An answer is an entry of the ledger that somebody else appends; this module only looks for it. It binds
//! to the exact action, is used once, and is never a reason to act by itself: the call is judged again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use jiff::Timestamp;
use ledger::record::{Answered, Asked, Record};
use policy::{Action, ArgumentLabel, Role, ToolFacts};
use serde_json::{Value, json};
use tokio::sync::{broadcast, oneshot};

use crate::label::Why;
use crate::pipeline::Journal;

/// The most asks that wait at a time.
const ASKS_MAX: usize = 1_000;
/// The longest summary, in characters.
const SUMMARY_MAX_CHARS: usize = 1_500;
/// How many of the reasons against it the approver reads.
const WHY_MAX: usize = 3;

/// The asks that wait.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    /// By entry of the ask. Held only for map work.
    open: Mutex<HashMap<u64, Open>>,
}

#[derive(Debug)]
struct Open {
    binding: String,
    expires: Timestamp,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Somebody waits for it here.
    Awaited(oneshot::Sender<Answer>),
    /// Nobody waits (the gateway was restarted): the caller may come again with the same action.
    Orphaned,
    /// Approved while nobody waited.
    Approved(Answer),
}

/// An answer with its own entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The answer's entry.
    pub(crate) entry: u64,
    /// What was answered.
    pub(crate) answered: Answered,
}

/// Why an ask ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Nobody answered in time.
    #[error("nobody answered in time")]
    Expired,
    /// Too many asks wait already.
    #[error("too many approvals are waiting already")]
    TooMany,
    /// The ledger refused the ask.
    #[error("the request for approval could not be recorded")]
    Unrecorded,
}

/// An ask that was recorded and waits. If it is dropped, the ask has expired.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The ask's entry.
    pub(crate) ask: u64,
    /// What it binds.
    pub(crate) binding: String,
    answer: oneshot::Receiver<Answer>,
    asks: Arc<Asks>,
    journal: Journal,
    expires: Timestamp,
}

impl Asks {
    /// Records an ask. What it binds is in `asked.binding`.
    pub(crate) async fn ask(self: &Arc<Self>, asked: Asked, journal: &Journal) -> Result<Pending, NoAnswer> {
        if self.lock().len() >= ASKS_MAX {
            return Err(NoAnswer::TooMany);
        }
        let (binding, expires) = (asked.binding.clone(), asked.expires);
        let append = journal.ledger().append(Record::Asked(asked), journal.now()).map_err(|_| NoAnswer::Unrecorded)?;
        let (tell, answer) = oneshot::channel();
        // Before it is durable, so that no answer can come between.
        let open = Open { binding: binding.clone(), expires, state: State::Awaited(tell) };
        self.lock().insert(append.index(), open);
        let (ask, asks) = (append.index(), self.clone());
        let pending = Pending { ask, binding, answer, asks, journal: journal.clone(), expires };
        append.await.map_err(|_| NoAnswer::Unrecorded)?;
        Ok(pending)
    }

    /// An ask that was found open in the ledger after a restart.
    pub(crate) fn adopt(&self, entry: u64, asked: &Asked) {
        let open = Open { binding: asked.binding.clone(), expires: asked.expires, state: State::Orphaned };
        self.lock().insert(entry, open);
    }

    /// An answer appeared in the ledger.
    pub(crate) fn hear(&self, answer: Answer) {
        let mut open = self.lock();
        let ask = answer.answered.ask;
        // INVARIANT: an answer to another action is no answer.
        let Some(held) = open.get(&ask).filter(|held| held.binding == answer.answered.binding) else {
            return tracing::warn!(ask, entry = answer.entry, "an answer fits no open ask");
        };
        let expires = held.expires;
        match open.remove(&ask).map(|held| (held.state, held.binding)) {
            Some((State::Awaited(tell), _)) => drop(tell.send(answer)),
            Some((State::Orphaned, binding)) if answer.answered.approved => {
                open.insert(ask, Open { binding, expires, state: State::Approved(answer) });
            }
            _ => {}
        }
    }

    /// Takes the approval that was given to this very action while nobody waited. Single use.
    pub(crate) fn take_approved(&self, binding: &str, now: Timestamp) -> Option<Answer> {
        let mut open = self.lock();
        let fits =
            |held: &Open| held.binding == binding && held.expires > now && matches!(held.state, State::Approved(_));
        let ask = open.iter().find(|(_, held)| fits(held)).map(|(ask, _)| *ask)?;
        match open.remove(&ask)?.state {
            State::Approved(answer) => Some(answer),
            State::Awaited(_) | State::Orphaned => None,
        }
    }

    /// Whether this very action was approved while nobody waited.
    pub(crate) fn is_approved(&self, binding: &str, now: Timestamp) -> bool {
        let fits = |held: &Open| held.binding == binding && held.expires > now;
        self.lock().values().any(|held| fits(held) && matches!(held.state, State::Approved(_)))
    }

    /// Records the end of asks whose time is over and for which nobody waits.
    pub(crate) fn expire(&self, journal: &Journal) {
        let now = journal.now();
        let mut open = self.lock();
        let over: Vec<u64> = open
            .iter()
            .filter(|(_, held)| held.expires <= now && !matches!(held.state, State::Awaited(_)))
            .map(|(ask, _)| *ask)
            .collect();
        for ask in over {
            // An approval that was never used needs no expiry: it was answered.
            if let Some(Open { state: State::Orphaned, .. }) = open.remove(&ask) {
                journal.note(Record::Expired { ask });
            }
        }
    }

    /// How many asks somebody waits for here.
    pub(crate) fn awaited(&self) -> usize {
        self.lock().values().filter(|open| matches!(open.state, State::Awaited(_))).count()
    }

    /// Follows the ledger for answers until it is closed.
    pub(crate) async fn follow(self: Arc<Self>, journal: Journal) {
        let mut stored = journal.ledger().answers();
        let mut next = journal.ledger().len();
        loop {
            match stored.recv().await {
                Ok(entry) => {
                    next = entry.index + 1;
                    if let Record::Answered(answered) = &entry.entry.record {
                        self.hear(Answer { entry: entry.index, answered: answered.clone() });
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => next = self.catch_up(next, &journal),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    /// Reads what a slow follower missed.
    fn catch_up(&self, from: u64, journal: &Journal) -> u64 {
        let end = journal.ledger().len();
        for stored in journal.ledger().range(from..end) {
            match stored.map(|stored| (stored.index, stored.entry.record)) {
                Ok((entry, Record::Answered(answered))) => self.hear(Answer { entry, answered }),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "an entry could not be read, and may have been an answer"),
            }
        }
        end
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Whether its time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.expires <= self.journal.now()
    }

    /// Waits for the answer, at most until the ask expires.
    pub(crate) async fn answer(mut self) -> Result<Answer, NoAnswer> {
        let left = self.expires.duration_since(self.journal.now());
        let left = Duration::try_from(left).unwrap_or_default();
        match tokio::time::timeout(left, &mut self.answer).await {
            // Word of it may come, or the caller go on, when its time is over.
            Ok(Ok(answer)) if !self.is_over() => Ok(answer),
            _ => Err(NoAnswer::Expired),
        }
    }
}

impl Drop for Pending {
    /// Nobody waits any more: answered, timed out, or the caller went away. Only the first removed it.
    fn drop(&mut self) {
        if self.asks.lock().remove(&self.ask).is_some() {
            self.journal.note(Record::Expired { ask: self.ask });
        }
    }
}

/// What the door read of a call where it stands: the same words do something else in another folder. What the gateway
/// counts (budgets, breakers) is not among it.
fn place(action: &Action) -> Value {
    json!({ "project": action.facts.get("project"), "shell": action.facts.get("shell") })
}

/// What an approval binds: caller, delegation chain, server, tool pin, canonical arguments, the place where they mean
/// something, and policies.
pub(crate) fn binding(action: &Action, pin: &str, policies: &str) -> String {
    digest_of(&json!({
        "agent": action.principal.agent,
        "user": action.principal.user,
        "delegation": action.principal.delegation,
        "session": action.principal.session,
        "verb": action.verb,
        "tool": action.tool,
        "pin": pin,
        "arguments": action.arguments,
        "place": place(action),
        "policies": policies,
    }))
}

/// What an approval for the rest of the session covers: the tool, its pin, the place, and the arguments that matter to
/// security. Content may differ; a recipient, path or command may not.
pub(crate) fn scope(action: &Action, facts: &ToolFacts, policies: &str) -> String {
    let matters = |label: &&ArgumentLabel| !matches!(label.role, Role::Content | Role::Other);
    let arguments = action.labels.arguments.iter().filter(matters);
    let arguments: Vec<_> = arguments.map(|label| (&label.pointer, action.arguments.pointer(&label.pointer))).collect();
    // Without labels nothing is known to be mere content, so everything must be equal.
    let arguments = if action.labels.arguments.is_empty() { json!(action.arguments) } else { json!(arguments) };
    let (tool, pin, place) = (&action.tool, &facts.pin, place(action));
    digest_of(&json!({ "tool": tool, "pin": pin, "arguments": arguments, "place": place, "policies": policies }))
}

/// What the approver is shown.
pub(crate) fn summary(action: &Action, why: &[Why]) -> String {
    let mut arguments = Vec::new();
    for (name, value) in action.arguments.as_object().into_iter().flatten() {
        let text = match value {
            _ if holds_secret(action, name) => "a secret".to_owned(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let short: String = text.chars().take(120).collect();
        let dots = if short.len() < text.len() { "…" } else { "" };
        arguments.push(format!("{name}={short}{dots}"));
    }
    let who = &action.principal;
    let mut text = format!("`{}` for `{}` wants `{}`: {}", who.agent, who.user, action.tool, arguments.join(", "));
    for why in why.iter().take(WHY_MAX) {
        text += &format!(". {}", why.text);
    }
    // Control characters could repaint the approver's terminal.
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(SUMMARY_MAX_CHARS).collect()
}

/// Whether an argument, or something in it, is for nobody's eyes.
fn holds_secret(action: &Action, name: &str) -> bool {
    let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    let within = |at: &str| at.strip_prefix(&pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    action.labels.arguments.iter().any(|argument| argument.label.is_secret() && within(&argument.pointer))
}

fn digest_of(value: &Value) -> String {
    // Canonical JSON of a `Value` fails only for numbers that JSON does not have.
    let bytes = serde_json_canonicalizer::to_vec(value).unwrap_or_else(|_| value.to_string().into_bytes());
    hex::encode(digest::digest(&digest::SHA256, &bytes))
}

//! Asks: a call that waits for a human, and the answer that belongs to it.
//!
//! An answer is an entry of the ledger that somebody else appends; this module only looks for it. It binds
//! to the exact action, is used once, and is never a reason to act by itself: the call is judged again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use graph::visible;
use jiff::Timestamp;
use ledger::Stored;
use ledger::record::{Answered, Asked, Record};
use policy::{Action, ArgumentLabel, Role, ToolFacts};
use serde_json::{Value, json};
use tokio::sync::{broadcast, oneshot};

use crate::label::Why;
use crate::pipeline::Journal;

/// The most asks that wait at a time.
const ASKS_MAX: usize = 1_000;
/// The most of them that are of one agent, so that one that asks without end takes no other's turn.
const ASKS_OF_AGENT_MAX: usize = 50;
/// How many of the reasons against it the approver reads in a summary, and how much of each, in characters.
const WHY_MAX: usize = 3;
const WHY_MAX_CHARS: usize = 300;
/// How many arguments a summary has, and how much of each name and value, in characters.
const ARGUMENTS_MAX: usize = 12;
const NAME_MAX_CHARS: usize = 40;
const VALUE_MAX_CHARS: usize = 120;

/// The asks that wait.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    /// By entry of the ask. Held only for map work, and while an ask is written.
    open: Mutex<HashMap<u64, Open>>,
}

#[derive(Debug)]
struct Open {
    agent: String,
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
    /// The same of one agent.
    #[error("too many approvals of this agent are waiting already")]
    TooManyOfAgent,
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
    /// Records an ask of an agent. What it binds is in `asked.binding`.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        (agent, asked): (&str, Asked),
        journal: &Journal,
    ) -> Result<Pending, NoAnswer> {
        let (binding, expires) = (asked.binding.clone(), asked.expires);
        let (tell, answer) = oneshot::channel();
        let open = Open { agent: agent.to_owned(), binding: binding.clone(), expires, state: State::Awaited(tell) };
        let append = {
            // Held over both: once it is written the ask can be durable and answered, on other threads, at any time.
            let mut asks = self.lock();
            has_room(&asks, agent)?;
            let append = journal.ledger().append(Record::Asked(asked), journal.now());
            let append = append.map_err(|_| NoAnswer::Unrecorded)?;
            asks.insert(append.index(), open);
            append
        };
        let (ask, asks) = (append.index(), self.clone());
        let pending = Pending { ask, binding, answer, asks, journal: journal.clone(), expires };
        append.await.map_err(|_| NoAnswer::Unrecorded)?;
        Ok(pending)
    }

    /// An ask that was found open in the ledger after a restart. Nobody's share has it: its caller is gone.
    pub(crate) fn adopt(&self, entry: u64, asked: &Asked) {
        let (agent, binding, expires) = (String::new(), asked.binding.clone(), asked.expires);
        let open = Open { agent, binding, expires, state: State::Orphaned };
        self.lock().insert(entry, open);
    }

    /// An answer appeared in the ledger.
    pub(crate) fn hear(&self, answer: Answer) {
        let mut open = self.lock();
        let ask = answer.answered.ask;
        // INVARIANT: an answer to another action is no answer.
        if open.get(&ask).is_none_or(|held| held.binding != answer.answered.binding) {
            return tracing::warn!(ask, entry = answer.entry, "an answer fits no open ask");
        }
        match open.remove(&ask) {
            Some(Open { state: State::Awaited(tell), .. }) => drop(tell.send(answer)),
            Some(held) if matches!(held.state, State::Orphaned) && answer.answered.approved => {
                open.insert(ask, Open { state: State::Approved(answer), ..held });
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

    /// Follows the ledger for answers until it is closed, from the moment of this call.
    pub(crate) fn follow(self: Arc<Self>, journal: Journal) -> impl Future<Output = ()> {
        let heard = journal.ledger().answers();
        let next = journal.ledger().len();
        self.hear_all(journal, heard, next)
    }

    async fn hear_all(self: Arc<Self>, journal: Journal, mut heard: broadcast::Receiver<Arc<Stored>>, mut next: u64) {
        loop {
            match heard.recv().await {
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

fn has_room(open: &HashMap<u64, Open>, agent: &str) -> Result<(), NoAnswer> {
    if open.len() >= ASKS_MAX {
        return Err(NoAnswer::TooMany);
    }
    match open.values().filter(|open| open.agent == agent).count() {
        ASKS_OF_AGENT_MAX.. => Err(NoAnswer::TooManyOfAgent),
        _ => Ok(()),
    }
}

impl Pending {
    /// Whether its time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.expires <= self.journal.now()
    }

    /// The answer that has come already, if one has.
    pub(crate) fn answered(&mut self) -> Option<Answer> {
        self.answer.try_recv().ok()
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
    binding_of((action, &text_of(&action.arguments)), pin, policies)
}

/// The same for an action whose arguments are known by their canonical text.
pub(crate) fn binding_of((action, arguments): (&Action, &str), pin: &str, policies: &str) -> String {
    let rest = text_of(&json!({
        "user": action.principal.user,
        "delegation": action.principal.delegation,
        "session": action.principal.session,
        "verb": action.verb,
        "tool": action.tool,
        "pin": pin,
        "place": place(action),
        "policies": policies,
    }));
    // Canonical JSON sorts members, and the first two are these.
    let agent = text_of(&Value::from(action.principal.agent.as_str()));
    let rest = rest.get(1..).unwrap_or_default();
    let text = format!("{{\"agent\":{agent},\"arguments\":{arguments},{rest}");
    hex::encode(digest::digest(&digest::SHA256, text.as_bytes()))
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

/// What the approver is shown: who wants what, what speaks against it, and the beginning of the arguments. INVARIANT: no
/// argument's name or value takes the place of what follows it, or reads as a sentence of ours: each is a string of JSON,
/// is cut by itself, and what is left out is said.
pub(crate) fn summary(action: &Action, why: &[Why]) -> String {
    let (who, name) = (&action.principal, |name: &str| visible::line(name, VALUE_MAX_CHARS));
    let (agent, user, tool) = (name(&who.agent), name(&who.user), name(&action.tool.to_string()));
    let mut text = format!("`{agent}` for `{user}` wants `{tool}`. ");
    for why in why.iter().take(WHY_MAX) {
        text += &format!("{}. ", visible::line(&why.sentence(), WHY_MAX_CHARS));
    }
    let all = action.arguments.as_object();
    let shown = all.into_iter().flatten().take(ARGUMENTS_MAX).map(|(name, value)| {
        let value = match value {
            _ if holds_secret(action, name) => "a secret".to_owned(),
            Value::String(text) => quoted(text, VALUE_MAX_CHARS),
            value => visible::line(&value.to_string(), VALUE_MAX_CHARS),
        };
        format!("{} = {value}", quoted(name, NAME_MAX_CHARS))
    });
    let mut shown: Vec<String> = shown.collect();
    let more = all.map_or(0, serde_json::Map::len).saturating_sub(shown.len());
    shown.extend((more > 0).then(|| format!("and {more} more")));
    text + "With " + &if shown.is_empty() { "no arguments".to_owned() } else { shown.join(", ") }
}

/// A text as a string of JSON on one line; what is cut is said behind it.
fn quoted(text: &str, max: usize) -> String {
    let more = text.chars().count().saturating_sub(max);
    let cut: String = text.chars().take(max).collect();
    let cut = visible::line(&Value::String(cut).to_string(), usize::MAX);
    if more > 0 { format!("{cut} and {more} characters more") } else { cut }
}

/// Whether an argument, or something in it, is for nobody's eyes.
fn holds_secret(action: &Action, name: &str) -> bool {
    let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    let within = |at: &str| at.strip_prefix(&pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    action.labels.arguments.iter().any(|argument| argument.label.is_secret() && within(&argument.pointer))
}

fn digest_of(value: &Value) -> String {
    hex::encode(digest::digest(&digest::SHA256, text_of(value).as_bytes()))
}

/// The ledger's form and not RFC 8785, which takes whole numbers beyond 2⁵³ for one another. It fails only for numbers that
/// JSON does not have.
fn text_of(value: &Value) -> String {
    let bytes = ledger::canonical::to_vec(value).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use policy::{Confidentiality, Door, Integrity, Labels, Principal, Request, SessionLabels, ToolId, Verb};

    use super::*;

    fn action(arguments: Value) -> Action {
        Action {
            principal: Principal {
                agent: "codex".to_owned(),
                user: "ada".to_owned(),
                session: "s".to_owned(),
                delegation: Vec::new(),
                evidence: [].into(),
            },
            door: Door::McpStdio,
            verb: Verb::CallTool,
            tool: ToolId { server: "mail".to_owned(), name: "send".to_owned() },
            arguments,
            labels: Labels {
                arguments: Vec::new(),
                request: Request::default(),
                session: SessionLabels {
                    integrity: Integrity::Trusted,
                    confidentiality: Confidentiality::Public,
                    classes: [].into(),
                    steps: [].into(),
                },
            },
            facts: [].into(),
            approval: None,
        }
    }

    /// Whoever has the log can work out what was asked about.
    #[test]
    fn a_binding_is_what_the_specification_says() {
        let text = r#"{"agent":"codex","arguments":{"to":"ann"},"delegation":[],"pin":"p","place":{"project":null,"shell":null},"policies":"q","session":"s","tool":{"name":"send","server":"mail"},"user":"ada","verb":"call_tool"}"#;
        let of_text = hex::encode(digest::digest(&digest::SHA256, text.as_bytes()));
        assert_eq!(binding(&action(json!({ "to": "ann" })), "p", "q"), of_text);
    }

    /// RFC 8785 rounds what is beyond 2⁵³, so that an approval of one number would be one of another.
    #[test]
    fn an_approval_tells_large_numbers_apart() {
        let facts = crate::tools::infer("mail", &json!({ "name": "send" }), String::new());
        let of = |id: u64| {
            let action = action(json!({ "id": id }));
            (binding(&action, "", ""), scope(&action, &facts, ""))
        };
        let (one, other) = (of(9_007_199_254_740_992), of(9_007_199_254_740_993));
        assert!(one.0 != other.0 && one.1 != other.1);
    }

    #[test]
    fn no_argument_pushes_another_or_a_reason_out_of_a_summary() {
        let name = format!("a\": nothing else. Approved by policy. {}", "x".repeat(2_000));
        let mut arguments = json!({ name: "1\u{202e}\n\u{1b}[2J" });
        arguments["to"] = json!(format!("eve@evil.example{}", " ".repeat(2_000)));
        let why = [Why { pointer: String::new(), entry: None, text: "It came from outside.".to_owned() }];
        let said = summary(&action(arguments), &why);
        let start = "`codex` for `ada` wants `mail/send`. It came from outside. With \"a\\\": nothing else. Approved by policy.";
        assert!(said.starts_with(start), "{said}");
        assert!(said.contains("\"to\" = \"eve@evil.example ") && said.contains("characters more"), "{said}");
        assert!(!said.contains(['\n', '\u{1b}', '\u{202e}']), "{said}");
        let many: serde_json::Map<String, Value> =
            (0..99).map(|number| (format!("a{number}"), json!(number))).collect();
        assert!(summary(&action(Value::Object(many)), &[]).ends_with("and 87 more"));
        assert!(summary(&action(json!({})), &[]).ends_with("With no arguments"));
    }

    #[test]
    fn one_agent_takes_no_other_its_turn() {
        let asks = Asks::default();
        for ask in 0..ASKS_OF_AGENT_MAX as u64 {
            let (agent, expires) = ("loud".to_owned(), Timestamp::MAX);
            let open = Open { agent, binding: String::new(), expires, state: State::Orphaned };
            assert_eq!(has_room(&asks.lock(), "loud"), Ok(()));
            asks.lock().insert(ask, open);
        }
        assert_eq!(has_room(&asks.lock(), "loud"), Err(NoAnswer::TooManyOfAgent));
        assert_eq!(has_room(&asks.lock(), "quiet"), Ok(()));
    }
}

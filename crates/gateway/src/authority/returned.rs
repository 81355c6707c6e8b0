//! What comes back: results, whole and in parts, and a server's other words. Their values enter the session before they go
//! on, for what they lead to must meet their labels; then the outcome is recorded.
//!
//! This module never decides and never sends anything.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use ledger::record::{Record, Status};
use policy::{SessionLabels, ToolFacts, ToolId};
use serde_json::{Value, json};

use super::{Authority, Errand, unknown_tool};
use crate::answer;
use crate::call;
use crate::catalogue::Known;
use crate::label::agent::Tails;
use crate::label::{self, overheard};
use crate::peers::{self, Distrust};
use crate::pipeline::{self, Act};
use crate::results::Came;
use crate::session::{Caller, OVERHEARD, SEEN_ASTRAY, Unshared};

/// What an upstream answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Returned<'a> {
    /// The JSON text of the result or error.
    pub(crate) body: &'a str,
    /// Whether it is a JSON-RPC error.
    pub(crate) is_error: bool,
}

/// The messages of one result that came so far.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Their JSON texts, with commas between.
    bodies: String,
    labels: Option<SessionLabels>,
    tails: Tails,
}

impl Parts {
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_none()
    }

    /// In bytes.
    pub(crate) fn size(&self) -> usize {
        self.bodies.len()
    }

    fn add(&mut self, body: &str, labels: SessionLabels) {
        if !self.bodies.is_empty() {
            self.bodies.push(',');
        }
        self.bodies.push_str(body);
        match &mut self.labels {
            None => self.labels = Some(labels),
            Some(all) => {
                all.integrity = all.integrity.max(labels.integrity);
                all.confidentiality = all.confidentiality.max(labels.confidentiality);
                all.classes.extend(labels.classes);
            }
        }
    }
}

impl Authority {
    /// A result came back: its values enter the session, and the outcome is recorded. Answers the result as it goes on,
    /// where that is not as it came: labels of others are taken off, and ours put on for a gateway that waits for them.
    ///
    /// An error: the result must not go on, because other gateways could not be told of it.
    pub(crate) async fn conclude(
        &self,
        caller: &Caller,
        tool: &ToolFacts,
        act: Act,
        result: &Returned<'_>,
    ) -> Result<Option<String>, Unshared> {
        let (value, seen) = self.takes_in(caller, (tool, &act), result, &mut Tails::default()).await;
        let labels = seen.as_ref().map_or(Value::Null, |(labels, _)| json!(labels));
        let failed = result.is_error || value.is_some_and(|value| value.get("isError") == Some(&Value::Bool(true)));
        if failed {
            self.breakers.failed(&tool.id.server, &self.journal);
        }
        let status = match failed {
            // Our own word, or a server's that says the same: nobody knows what became of the call.
            true if result.is_error && answer::is_lost(result.body) => Status::Unknown,
            true => Status::Error,
            false => Status::Ok,
        };
        let came = Came { subject: pipeline::subject(&caller.principal), body: result.body, status, labels };
        self.results.end(&caller.session, act, came);
        seen.map(|(_, passed)| passed)
    }

    /// A message that is part of a result came: its values enter the session. Answers it as it goes on, like
    /// [`Authority::conclude`].
    pub(crate) async fn hears_part(
        &self,
        caller: &Caller,
        of: (&ToolFacts, &Act),
        part: &Returned<'_>,
        parts: &mut Parts,
    ) -> Result<Option<String>, Unshared> {
        let (labels, passed) = self.takes_in(caller, of, part, &mut parts.tails).await.1?;
        parts.add(part.body, labels);
        Ok(passed)
    }

    /// All parts of a result came that will: the outcome is recorded.
    pub(crate) fn concludes_parts(
        &self,
        caller: &Caller,
        tool: &ToolFacts,
        act: Act,
        (status, parts): (Status, Parts),
    ) {
        if matches!(status, Status::Error) {
            self.breakers.failed(&tool.id.server, &self.journal);
        }
        let (body, labels) = (format!("[{}]", parts.bodies), json!(parts.labels));
        let came = Came { subject: pipeline::subject(&caller.principal), body: body.as_str(), status, labels };
        self.results.end(&caller.session, act, came);
    }

    /// Labels of a result, and the result as it goes on if that is not as it came; both before it does, because what it
    /// leads to must meet these labels.
    async fn takes_in(
        &self,
        caller: &Caller,
        (tool, act): (&ToolFacts, &Act),
        result: &Returned<'_>,
        tails: &mut Tails,
    ) -> (Option<Value>, Result<(SessionLabels, Option<String>), Unshared>) {
        let value = match serde_json::from_str::<Value>(result.body) {
            Ok(value) => value,
            // Nobody knows what is in it.
            Err(error) => return (None, Err(io::Error::from(error).into())),
        };
        // An error says nothing of labels.
        let told = if result.is_error { None } else { self.told_of(caller, (tool, act), &value) };
        let read = if tool.is_agent { Cow::Owned(tails.read(&value)) } else { Cow::Borrowed(&value) };
        let seen = self.hears(caller, (tool, act.intent()), (&read, told.as_ref())).await;
        drop(read);
        let seen = seen.map(|labels| (labels, self.passed(caller, act, &value, result)));
        (Some(value), seen)
    }

    /// What the gateway behind a server says of a result, if one stands there.
    fn told_of(&self, caller: &Caller, (tool, act): (&ToolFacts, &Act), value: &Value) -> Option<label::told::Told> {
        let awaited = act.awaited()?;
        let heard = self.peers.hear_result(awaited, (value, caller.door), self.journal.now());
        // A refusal of the other gateway's own says nothing of labels.
        let is_silent = peers::place(caller.door).of(value).is_none();
        match heard {
            Ok(told) => {
                let (session, tool) = (&caller.session.id, tool.id.to_string());
                self.journal.note(peers::heard(session, &tool, &awaited.peer.name));
                Some(told)
            }
            Err(_) if is_silent && value.get("isError") == Some(&Value::Bool(true)) => None,
            Err(why) => {
                self.distrusts(caller, &tool.id, why);
                None
            }
        }
    }

    /// What claims to be labels is none.
    pub(crate) fn distrusts(&self, caller: &Caller, tool: &ToolId, why: Distrust) {
        tracing::warn!(%tool, %why, "what claims to be another gateway's labels is not taken");
        self.journal.note(peers::not_heard(&caller.session.id, &tool.to_string(), why));
    }

    /// A result as it goes on, where it carries labels or must.
    fn passed(&self, caller: &Caller, act: &Act, value: &Value, result: &Returned<'_>) -> Option<String> {
        let place = peers::place(caller.door);
        let meta = value.get(place.object);
        // However they are written.
        let is_named =
            |meta: &serde_json::Map<String, Value>| meta.keys().any(|key| key.eq_ignore_ascii_case(place.name));
        let has_labels = meta.and_then(Value::as_object).is_some_and(is_named);
        let ours = act.owed().filter(|_| !result.is_error).and_then(|owed| {
            let entry = act.intent();
            let of = (value, caller.door);
            self.peers.answer(owed, of, (caller.session.tells(entry), entry), self.journal.now())
        });
        if !has_labels && ours.is_none() {
            return None;
        }
        if meta.is_some_and(Value::is_object) {
            return call::with_member(result.body, &[place.object], (place.name, ours.as_deref()));
        }
        let meta = format!("{{{}:{}}}", Value::from(place.name), ours?);
        call::with_member(result.body, &[], (place.object, Some(&meta)))
    }

    /// A result came back of a call that is not open any more: what it says has been seen all the same. The record of it
    /// tells those who run the log again that they do not know everything.
    pub(crate) async fn strays<C>(
        &self,
        caller: &Caller,
        errand: &Errand<C>,
        (result, why): (&Value, &str),
    ) -> Result<(), Unshared> {
        let tool = match self.catalogue.get(&errand.tool) {
            Known::Facts(facts) => facts,
            Known::Quarantined | Known::Unknown => Arc::new(unknown_tool(errand)),
        };
        let entry = self.astray(caller, &errand.tool, why);
        caller.session.calls((&tool, entry), &errand.arguments, &self.memory).await?;
        self.hears(caller, (&tool, entry), (result, None)).await.map(drop)
    }

    /// Records that something is seen of which there is no call, for whose entry it counts.
    fn astray(&self, caller: &Caller, tool: &ToolId, why: &str) -> u64 {
        caller.session.belongs_to(&caller.principal);
        let about = [("session", caller.session.id.clone()), ("tool", tool.to_string()), ("why", why.to_owned())];
        let details = about.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        let noted = self.journal.note(Record::Log { event: SEEN_ASTRAY.to_owned(), details });
        // Where the ledger takes nothing more, the labels hold without it.
        noted.unwrap_or_else(|| self.journal.ledger().len())
    }

    /// Words came as the user's of which nobody knows whose they are: they have been seen, as anyone's.
    pub(crate) async fn disowns(&self, caller: &Caller, words: &str) -> Result<(), Unshared> {
        let tool = overheard::facts(&caller.principal.agent);
        let entry = self.astray(caller, &tool.id, "nobody knows whose words they are");
        self.hears(caller, (&tool, entry), (&Value::from(words), None)).await.map(drop)
    }

    /// A server says something that is no result: a list, its instructions, a log message, progress.
    pub(crate) fn overhears(&self, caller: &Caller, server: &str, said: &str) {
        self.heard(caller, server, overheard::said(said));
    }

    /// The same of what a server tells by itself.
    pub(crate) fn is_told(&self, caller: &Caller, server: &str, notification: &call::Notification) {
        self.heard(caller, server, overheard::told(&notification.method, notification.params()));
    }

    fn heard(&self, caller: &Caller, server: &str, said: overheard::Said) {
        if said.values.is_empty() && !said.cut {
            return;
        }
        caller.session.belongs_to(&caller.principal);
        caller.session.overhears(server, said, |cut| {
            let about = [("session", caller.session.id.as_str()), ("server", server)];
            let about = about.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
            // Beyond its bounds it may have said anything.
            let details = about.chain(cut.then(|| ("cut".to_owned(), Value::from(true)))).collect();
            let noted = self.journal.note(Record::Log { event: OVERHEARD.to_owned(), details });
            // Where the ledger takes nothing more, the labels hold without it.
            noted.unwrap_or_else(|| self.journal.ledger().len())
        });
    }

    async fn hears(
        &self,
        caller: &Caller,
        of: (&ToolFacts, u64),
        result: (&Value, Option<&label::told::Told>),
    ) -> Result<SessionLabels, Unshared> {
        if let Some(replicas) = self.sessions.replicas() {
            replicas.reads_written(&self.memory).await?;
        }
        caller.session.hears(of, result, &self.memory).await
    }
}

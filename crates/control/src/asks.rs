//! Answers an ask: the one thing that the control plane adds to what an agent may do.
//!
//! INVARIANT: an answer is appended only while the ask is open, unexpired, unanswered, and the answerer
//! has seen exactly the action that is bound; under one lock, against the ledger itself, not the index.

use jiff::Timestamp;
use ledger::record::{Answered, Asked, Intent, Scope, Whole, whole};
use ledger::{Record, Stored};
use policy::Action;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

use crate::Control;
use crate::ancestry::refuse_agents;
use crate::guard::{Caller, Peer};
use crate::problem::Problem;
use crate::token::Token;
use crate::view::{Ask, AskState, Consequence, call};

/// An answer, as it arrives.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// Whether it is approved.
    pub approved: bool,
    /// For how much.
    pub scope: AnswerScope,
    /// The binding of the ask that was shown. An answer to another action is no answer.
    pub binding: String,
}

/// How much an answer covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerScope {
    /// This exact call, once.
    Once,
    /// The same groups, tool and security-relevant arguments for the rest of the session.
    Session,
}

impl Control {
    /// An ask with its call, arguments and consequence.
    pub(crate) fn complete(&self, mut ask: Ask, now: Timestamp) -> Ask {
        ask = ask.at(now);
        ask.call = self.store().call(ask.intent).ok().flatten();
        if let Some((action, is_whole)) = self.action(ask.intent) {
            (ask.arguments, ask.is_whole) = call::arguments(&action);
            ask.is_whole &= is_whole;
            if let Some(scan) = self.scan() {
                ask.consequence = Consequence::of(&scan.inventory, &action.principal.agent, &action.tool.server);
            }
        }
        ask
    }

    /// The action of an intent, and whether it has all of its arguments: those of a large call lie in a payload, which
    /// may have been erased.
    fn action(&self, intent: u64) -> Option<(Action, bool)> {
        let Record::Intent(intent) = self.ledger().read(intent).ok()?.entry.record else { return None };
        let (intent, is_whole) = self.whole(intent);
        Some((serde_json::from_value(intent.action).ok()?, is_whole))
    }

    /// The intent with as much of its action as there is, and whether that is all.
    pub(crate) fn whole(&self, intent: Intent) -> (Intent, bool) {
        if intent.payload.is_none() {
            return (intent, true);
        }
        let there = intent.action.clone();
        match whole(intent, |payload| self.ledger().payload(payload)) {
            Whole::Erased(intent) => (intent, false),
            // The payload cannot be read: what the entry says is left.
            Whole::There(intent) if intent.action.is_string() => (Intent { action: there, ..intent }, false),
            Whole::There(intent) => (intent, true),
        }
    }

    /// Appends the answer and waits until it is durable, also if the one who gave it does not wait: of an answer that is
    /// under way nobody is told that it was not given, and no second one comes between.
    pub(crate) async fn answer(&self, ask: u64, request: AnswerRequest, caller: Caller) -> Result<Ask, Problem> {
        let control = self.clone();
        let answered = tokio::spawn(async move { control.answer_now(ask, request, caller).await });
        answered.await.map_err(|error| Problem::internal(&error))?
    }

    async fn answer_now(&self, ask: u64, request: AnswerRequest, caller: Caller) -> Result<Ask, Problem> {
        let _guard = self.inner.answering.lock().await;
        self.catch_up().await?;
        let answered = self.blocking(move |control| control.check_answer(ask, &request, caller)).await?;
        let now = Timestamp::now();
        // The agent's own prompt may have been answered since.
        let append = self.ledger().answer(answered, now).map_err(|error| Problem::internal(&error))?;
        let append = append.ok_or_else(already_answered)?;
        append.await.map_err(|error| Problem::internal(&error))?;
        self.catch_up().await?;
        self.blocking(move |control| control.ask_now(ask)).await
    }

    /// An ask as it stands now.
    pub(crate) fn ask_now(&self, entry: u64) -> Result<Ask, Problem> {
        let found =
            self.store().ask(entry)?.ok_or_else(|| Problem::not_found("there is no ask with this entry number"))?;
        Ok(self.complete(found, Timestamp::now()))
    }

    fn check_answer(&self, ask: u64, request: &AnswerRequest, caller: Caller) -> Result<Answered, Problem> {
        let asked = self.asked(ask)?;
        let Ask { state, is_whole, .. } = self.ask_now(ask)?;
        match state {
            AskState::Open => {}
            AskState::Expired => {
                return Err(Problem::conflict("ask-expired", "this ask has expired; the call was denied"));
            }
            AskState::Approved | AskState::Denied => {
                return Err(already_answered());
            }
        }
        if !bool::from(asked.binding.as_bytes().ct_eq(request.binding.as_bytes())) {
            return Err(Problem::conflict(
                "other-action",
                "this answer is bound to another action than the one that waits",
            ));
        }
        if let Caller::Process(peer) = caller {
            self.refuse_own_agent(&asked, peer)?;
        }
        if request.approved && !is_whole {
            return Err(Problem::conflict(
                "not-shown",
                "the arguments of this call cannot be shown, so it cannot be approved; it can be denied",
            ));
        }
        let nonce = Token::new().map_err(|error| Problem::internal(&error))?;
        Ok(Answered {
            ask,
            approved: request.approved,
            scope: match request.scope {
                AnswerScope::Once => Scope::Once,
                AnswerScope::Session => Scope::Session,
            },
            by: self.who(caller),
            binding: asked.binding,
            nonce: nonce.reveal().to_owned(),
        })
    }

    fn asked(&self, entry: u64) -> Result<Asked, Problem> {
        let not_there = || Problem::not_found("there is no ask with this entry number");
        let Stored { entry, .. } = self.ledger().read(entry).map_err(|_| not_there())?;
        match entry.record {
            Record::Asked(asked) => Ok(asked),
            _ => Err(not_there()),
        }
    }

    /// A caller as records name him.
    pub(crate) fn who(&self, caller: Caller) -> String {
        let user = &self.options().user;
        match caller {
            Caller::Browser { .. } => format!("{user} (console, signed in by a one-time link)"),
            Caller::Process(peer) => format!("{user} (bailiwick approve, uid {})", peer.uid),
        }
    }

    /// An agent that runs a shell could answer its own ask, or another's.
    fn refuse_own_agent(&self, asked: &Asked, peer: Peer) -> Result<(), Problem> {
        let pids = self.action(asked.intent).map(|(action, _)| known_pids(&action)).unwrap_or_default();
        refuse_agents(peer, &pids)
    }
}

fn already_answered() -> Problem {
    Problem::conflict("ask-answered", "this ask has already been answered")
}

/// Process ids that the principal's evidence names: `pid` and everything that ends in `_pid`, at any depth.
fn known_pids(action: &Action) -> Vec<i64> {
    fn collect(name: &str, value: &Value, pids: &mut Vec<i64>) {
        match value {
            Value::Number(number) if name == "pid" || name.ends_with("_pid") => pids.extend(number.as_i64()),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| collect(name, value, pids)),
            Value::Array(items) => items.iter().for_each(|value| collect(name, value, pids)),
            _ => {}
        }
    }
    let mut pids = Vec::new();
    action.principal.evidence.iter().for_each(|(name, value)| collect(name, value, &mut pids));
    pids.retain(|pid| *pid > 1);
    pids
}

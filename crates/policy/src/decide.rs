//! Judges one action under a snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::{self, EntityUIDEntry};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use jiff::Timestamp;

use crate::action::{Action, Verb};
use crate::context::context;
use crate::decision::{Decision, Effect, Reason};
use crate::index::{Entry, Slice};
use crate::schema::{AGENT, EntityError, Target, other_target, uid};
use crate::shape::NOTHING;
use crate::snapshot::Snapshot;

/// Judges an action. Any error is a Deny: an unknown tool, a request that does not build, an evaluation
/// error of any policy that applies. Reasons and errors come in order of policy id, so that the same
/// snapshot, action and time give the same bytes.
pub fn decide(snapshot: &Snapshot, action: &Action, now: Timestamp) -> Decision {
    let (effect, reasons, errors) = match Question::new(snapshot, action, now) {
        Ok(question) => Findings::new(&question).verdict(action),
        Err(errors) => (Effect::Deny, Vec::new(), errors),
    };
    Decision { effect, reasons, errors, snapshot: snapshot.id().clone() }
}

/// What the agent is told. It never contains a policy's id or text, an error, or a value: an injected
/// instruction may be reading. The `@reason` of a policy is written for this purpose.
pub fn agent_text(decision: &Decision) -> String {
    let reasons = decision.reasons.iter().map(|reason| reason.text.as_str()).filter(|text| !text.is_empty());
    let reasons = reasons.collect::<Vec<_>>().join(" ");
    match &decision.effect {
        Effect::Permit => "Allowed.".to_owned(),
        Effect::Ask { .. } => {
            format!("This needs the approval of a person before it can be done. {reasons}").trim_end().to_owned()
        }
        Effect::Deny if !decision.errors.is_empty() => "Denied: this call could not be judged, so it was not made. \
            Do not retry it unchanged; check the tool's name and arguments, or ask the operator."
            .to_owned(),
        Effect::Deny if reasons.is_empty() => "Denied: no policy allows this. Do not retry it; choose another way, or \
            ask the operator for access."
            .to_owned(),
        Effect::Deny => format!("Denied. {reasons} Do not retry it unchanged."),
    }
}

/// One request, ready for Cedar.
pub(crate) struct Question {
    pub(crate) request: ast::Request,
    pub(crate) target: Target,
    pub(crate) slice: Slice,
}

impl Question {
    pub(crate) fn new(snapshot: &Snapshot, action: &Action, now: Timestamp) -> Result<Self, Vec<String>> {
        let tool = snapshot.tools.get(&action.tool);
        let (target, arguments) = match (action.verb, tool) {
            (Verb::CallTool, Some(tool)) => (tool.target.clone(), &tool.arguments),
            (Verb::CallTool, None) => return Err(vec![EntityError::UnknownTool(action.tool.clone()).to_string()]),
            (_, tool) => {
                let target = other_target(action, tool.map(|tool| &tool.facts));
                (target.map_err(|error| vec![error.to_string()])?, &NOTHING)
            }
        };
        let principal = uid(&AGENT, &action.principal.agent);
        let slice = snapshot.rules.slice(&principal, &target);
        let context = context(action, tool.map(|tool| &tool.facts), arguments, now)?;
        let known = |euid| EntityUIDEntry::Known { euid, loc: None };
        let request = ast::Request::new_unchecked(
            known(Arc::new(principal)),
            known(target.action.clone()),
            known(target.resource.clone()),
            Some(context),
        );
        Ok(Self { request, target, slice })
    }
}

/// What every rule of the slice said, each in order of id.
struct Findings<'a> {
    permits: Vec<&'a Entry>,
    forbids: Vec<&'a Entry>,
    errors: Vec<String>,
}

impl<'a> Findings<'a> {
    fn new(question: &'a Question) -> Self {
        let evaluator =
            Evaluator::new(question.request.clone(), &question.target.entities, Extensions::all_available());
        let mut findings = Self { permits: Vec::new(), forbids: Vec::new(), errors: Vec::new() };
        for candidate in question.slice.iter() {
            let entry = candidate.entry.as_ref();
            match candidate.satisfied(&evaluator) {
                Ok(false) => {}
                Ok(true) if entry.rule.forbids => findings.forbids.push(entry),
                Ok(true) => findings.permits.push(entry),
                Err(error) => findings.errors.push(format!("policy `{}`: {error}", entry.rule.id)),
            }
        }
        findings
    }

    /// INVARIANT: Permit needs a permit, no error, and no forbid that an approval has not lifted. Ask needs
    /// a permit too: what no rule permits no approval can permit.
    fn verdict(self, action: &Action) -> (Effect, Vec<Reason>, Vec<String>) {
        let lifted = |group: &String| action.approval.as_ref().is_some_and(|approval| approval.groups.contains(group));
        let standing: Vec<_> =
            self.forbids.into_iter().filter(|entry| !entry.rule.ask.as_ref().is_some_and(lifted)).collect();
        let effect = if !self.errors.is_empty() || self.permits.is_empty() {
            Effect::Deny
        } else if standing.is_empty() {
            Effect::Permit
        } else {
            let groups = standing.iter().map(|entry| entry.rule.ask.clone()).collect::<Option<BTreeSet<_>>>();
            groups.map_or(Effect::Deny, |groups| Effect::Ask { groups: groups.into_iter().collect() })
        };
        let decisive = if effect == Effect::Permit { self.permits } else { standing };
        (effect, decisive.into_iter().map(reason).collect(), self.errors)
    }
}

fn reason(entry: &Entry) -> Reason {
    Reason { policy: entry.rule.id.clone(), text: entry.rule.reason.clone() }
}

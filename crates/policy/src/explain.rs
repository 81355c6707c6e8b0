//! Why a decision came out as it did, for operators: the policies that decided, where they stand, which of
//! their conditions held with which values, and what would have to change. The agent gets
//! [`crate::agent_text`] instead; nothing here is for its eyes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cedar_policy_core::ast::{Expr, ExprKind, Literal, SlotEnv, Value, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::decide::{Question, decide};
use crate::decision::{Decision, Effect, Reason};
use crate::index::Entry;
use crate::rule::Location;
use crate::snapshot::Snapshot;

/// Permits shown where none matched.
const CLOSEST_MAX: usize = 3;
/// Characters of one value.
const VALUE_MAX: usize = 200;

/// A decision and all that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The policies that determined it.
    pub policies: Vec<Explained>,
    /// Where nothing permits: the permits that came closest, nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closest: Vec<Explained>,
    /// What would have to change, one sentence each. Empty for a permit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// One policy, seen from one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Its id.
    pub policy: String,
    /// `permit` or `forbid`.
    pub effect: String,
    /// The group whose approval lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// Its `@reason`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where it stands.
    pub location: Location,
    /// The conditions in order, up to and with the first that did not hold.
    pub conditions: Vec<Condition>,
}

/// One condition of a policy's scope, `when` or `unless`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// As it is written.
    pub text: String,
    /// Whether it held; absent if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// What it looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Explains the decision that [`decide`] makes.
pub fn explain(snapshot: &Snapshot, action: &Action, now: Timestamp) -> Explanation {
    let decision = decide(snapshot, action, now);
    let Ok(question) = Question::new(snapshot, action, now) else {
        let changes = decision.errors.iter().map(|error| format!("mend the call: {error}")).collect();
        return Explanation { decision, policies: Vec::new(), closest: Vec::new(), changes };
    };
    let reasons = decision.reasons.iter().map(|reason| (reason.policy.clone(), reason.text.clone())).collect();
    let witness = Witness::new(&question, reasons);
    let decisive = |entry: &&Entry| decision.reasons.iter().any(|reason| reason.policy == entry.rule.id);
    let entries = || snapshot.rules.entries();
    let policies: Vec<_> = entries().filter(decisive).map(|entry| witness.explain(entry)).collect();
    let permitted = entries().any(|entry| !entry.rule.forbids && witness.satisfied(entry));
    let closest = if permitted { Vec::new() } else { closest(entries().map(|entry| witness.explain(entry))) };
    let mut changes = changes(&decision, &policies, &closest, permitted);
    let ruled = |reason: &&Reason| policies.iter().all(|policy| policy.policy != reason.policy);
    changes.extend(decision.reasons.iter().filter(ruled).map(|reason| format!("{}: {}", reason.policy, reason.text)));
    Explanation { decision, policies, closest, changes }
}

impl Explanation {
    /// A text for an operator's terminal.
    pub fn operator_text(&self) -> String {
        let mut text = match &self.decision.effect {
            Effect::Permit => "permitted".to_owned(),
            Effect::Deny if self.policies.is_empty() && self.decision.errors.is_empty() => {
                "denied: nothing permits it".to_owned()
            }
            Effect::Deny => "denied".to_owned(),
            Effect::Ask { groups } => format!("asked: a person must approve {}", quoted(groups)),
        };
        text.push('\n');
        for error in &self.decision.errors {
            let _ = writeln!(text, "error: {error}");
        }
        self.policies.iter().for_each(|policy| policy.write(&mut text));
        if !self.closest.is_empty() {
            text.push_str("\nclosest permits:\n");
            self.closest.iter().for_each(|policy| policy.write(&mut text));
        }
        if !self.changes.is_empty() {
            text.push_str("\nwhat would have to change:\n");
            for change in &self.changes {
                let _ = writeln!(text, "  - {change}");
            }
        }
        text
    }
}

impl Explained {
    fn write(&self, text: &mut String) {
        let Location { file, line, column } = &self.location;
        let _ = writeln!(text, "\n{} `{}`  {file}:{line}:{column}", self.effect, self.policy);
        if !self.reason.is_empty() {
            let _ = writeln!(text, "  {}", self.reason);
        }
        for condition in &self.conditions {
            let mark = match condition.held {
                Some(true) => "holds",
                Some(false) => "does not hold",
                None => "failed",
            };
            let _ = writeln!(text, "  {mark}: {}", condition.text.split_whitespace().collect::<Vec<_>>().join(" "));
            for (path, value) in &condition.values {
                let _ = writeln!(text, "    {path} = {value}");
            }
            if let Some(error) = &condition.error {
                let _ = writeln!(text, "    {error}");
            }
        }
    }
}

/// Evaluates the parts of policies for one request.
struct Witness<'a> {
    evaluator: Evaluator<'a>,
    /// The reasons as they were given, by policy.
    reasons: BTreeMap<String, String>,
}

impl<'a> Witness<'a> {
    fn new(question: &'a Question, reasons: BTreeMap<String, String>) -> Self {
        let extensions = Extensions::all_available();
        let evaluator = Evaluator::new(question.request.clone(), &question.target.entities, extensions);
        Self { evaluator, reasons }
    }

    fn satisfied(&self, entry: &Entry) -> bool {
        self.evaluator.evaluate(&entry.policy).unwrap_or(false)
    }

    fn explain(&self, entry: &Entry) -> Explained {
        let condition = entry.policy.condition();
        let mut parts = Vec::new();
        conjuncts(&condition, &mut parts);
        let mut conditions = Vec::new();
        for part in parts {
            let condition = self.condition(part);
            let stop = condition.held != Some(true);
            conditions.push(condition);
            if stop {
                break;
            }
        }
        Explained {
            policy: entry.rule.id.clone(),
            effect: if entry.rule.forbids { "forbid" } else { "permit" }.to_owned(),
            ask: entry.rule.ask.clone(),
            reason: self.reasons.get(&entry.rule.id).unwrap_or(&entry.rule.reason).clone(),
            location: entry.rule.location.clone(),
            conditions,
        }
    }

    fn condition(&self, part: &Expr) -> Condition {
        let (held, error) = match self.evaluator.interpret(part, &SlotEnv::new()) {
            Ok(Value { value: ValueKind::Lit(Literal::Bool(held)), .. }) => (Some(held), None),
            Ok(other) => (None, Some(format!("is {}, not a boolean", shortened(&other.to_string())))),
            Err(error) => (None, Some(error.to_string())),
        };
        let written = part.source_loc().and_then(|loc| loc.snippet());
        let text = written.map_or_else(|| part.to_string(), str::to_owned);
        Condition { text, held, values: self.values(part), error }
    }

    /// The attributes that a condition reads and their values; records are left to their members.
    fn values(&self, part: &Expr) -> BTreeMap<String, String> {
        let attributes = part.subexpressions().filter(|expr| matches!(expr.expr_kind(), ExprKind::GetAttr { .. }));
        let known = attributes.filter_map(|expr| Some((expr, self.evaluator.interpret(expr, &SlotEnv::new()).ok()?)));
        let plain = known.filter(|(_, value)| !matches!(value.value, ValueKind::Record(_)));
        plain.map(|(expr, value)| (path(expr), shortened(&value.to_string()))).collect()
    }
}

/// The parts of `a && b && c`, without those that are always true.
fn conjuncts<'e>(expr: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match expr.expr_kind() {
        ExprKind::And { left, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        ExprKind::Lit(Literal::Bool(true)) => {}
        _ => parts.push(expr),
    }
}

fn path(expr: &Expr) -> String {
    match expr.expr_kind() {
        ExprKind::GetAttr { expr, attr } => format!("{}.{attr}", path(expr)),
        _ => expr.to_string(),
    }
}

/// The permits that got furthest.
fn closest(all: impl Iterator<Item = Explained>) -> Vec<Explained> {
    let mut permits: Vec<_> = all.filter(|policy| policy.effect == "permit").collect();
    let held = |policy: &Explained| policy.conditions.iter().filter(|condition| condition.held == Some(true)).count();
    permits.sort_by_key(|policy| std::cmp::Reverse(held(policy)));
    permits.truncate(CLOSEST_MAX);
    permits
}

fn changes(decision: &Decision, policies: &[Explained], closest: &[Explained], permitted: bool) -> Vec<String> {
    if decision.effect == Effect::Permit {
        return Vec::new();
    }
    let mut changes: Vec<String> =
        decision.errors.iter().map(|error| format!("mend what fails, since any error denies: {error}")).collect();
    changes.extend(policies.iter().filter(|policy| policy.effect == "forbid").map(forbidden));
    if !permitted {
        changes.push("some policy must permit it".to_owned());
        changes.extend(closest.iter().filter_map(nearly));
    }
    changes
}

fn forbidden(policy: &Explained) -> String {
    let Location { file, line, .. } = &policy.location;
    match &policy.ask {
        Some(group) => format!("a person approves \"{group}\", which `{}` ({file}:{line}) asks for", policy.policy),
        None => format!("`{}` ({file}:{line}) must no longer match; no approval lifts it", policy.policy),
    }
}

fn nearly(policy: &Explained) -> Option<String> {
    let failed = policy.conditions.iter().find(|condition| condition.held != Some(true))?;
    let Location { file, line, .. } = &policy.location;
    let text = failed.text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(format!("`{}` ({file}:{line}) would, if `{text}` held", policy.policy))
}

fn quoted(groups: &[String]) -> String {
    groups.iter().map(|group| format!("\"{group}\"")).collect::<Vec<_>>().join(" and ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

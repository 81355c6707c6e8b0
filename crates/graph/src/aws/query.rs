//! The three questions that people ask: can this principal do this, who can, and what can it do.
//!
//! They agree: who-can is can for everyone, and what-can lists exactly the grants on which can rests.

use super::attack::conditions;
use super::condition::Context;
use super::estate::{Boundary, Estate, PrincipalKind, StatementId};
use super::evaluate::{Answer, Evaluator, Request};
use super::pattern::glob;
use super::policy::{Choice, Effect, Statement};
use super::truth::Truth;

/// Every user and role that can do something, or could, each with its proof.
pub fn who_can(estate: &Estate, action: &str, resource: &str, context: &Context) -> Vec<(usize, Answer)> {
    let evaluator = Evaluator::new(estate);
    let insiders = estate
        .principals
        .iter()
        .enumerate()
        .filter(|(_, principal)| matches!(principal.kind, PrincipalKind::User | PrincipalKind::Role));
    let answers = insiders.map(|(index, _)| (index, evaluator.decide(&Request::new(index, action, resource, context))));
    answers.filter(|(_, answer)| answer.verdict != Truth::No).collect()
}

/// One grant that a principal has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The statement.
    pub statement: StatementId,
    /// What it covers.
    pub scope: Scope,
    /// Conditions that must hold.
    pub conditions: Vec<String>,
    /// What takes away from it: denies that overlap it.
    pub except: Vec<(StatementId, Scope)>,
    /// If not empty, only what one of these covers as well is granted (the permissions boundary).
    pub within: Vec<(StatementId, Scope)>,
}

/// Actions and resources by pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Actions, as they were written: their case means nothing.
    pub actions: Side,
    /// Resources.
    pub resources: Side,
}

/// One side of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// What any of these matches.
    Of(Vec<String>),
    /// What none of these matches.
    Except(Vec<String>),
}

impl Side {
    fn new(choice: Option<&Choice>) -> Self {
        let texts =
            |patterns: &[super::pattern::Pattern]| patterns.iter().map(|one| one.written().to_owned()).collect();
        match choice {
            None => Self::Of(vec!["*".to_owned()]),
            Some(Choice::Of(patterns)) => Self::Of(texts(patterns)),
            Some(Choice::Except(patterns)) => Self::Except(texts(patterns)),
        }
    }

    /// The same in lower case.
    fn folded(&self) -> Self {
        let lower = |texts: &[String]| texts.iter().map(|text| text.to_ascii_lowercase()).collect();
        match self {
            Self::Of(patterns) => Self::Of(lower(patterns)),
            Self::Except(patterns) => Self::Except(lower(patterns)),
        }
    }

    /// Whether it covers a text.
    pub fn covers(&self, text: &str) -> bool {
        match self {
            Self::Of(patterns) => patterns.iter().any(|pattern| glob(pattern, text)),
            Self::Except(patterns) => !patterns.iter().any(|pattern| glob(pattern, text)),
        }
    }

    fn may_overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Of(mine), Self::Of(theirs)) => mine
                .iter()
                .any(|mine| theirs.iter().any(|theirs| glob(mine, theirs) || glob(theirs, mine) || meet(mine, theirs))),
            (Self::Of(patterns), other) | (other, Self::Of(patterns)) => {
                patterns.iter().any(|one| one.contains('*') || other.covers(one))
            }
            (Self::Except(_), Self::Except(_)) => true,
        }
    }
}

/// Two patterns that share a beginning up to a wildcard may both match something.
fn meet(left: &str, right: &str) -> bool {
    let head = |text: &str| text.split(['*', '?']).next().unwrap_or_default().to_owned();
    let (left_head, right_head) = (head(left), head(right));
    left.contains(['*', '?'])
        && right.contains(['*', '?'])
        && (left_head.starts_with(&right_head) || right_head.starts_with(&left_head))
}

impl Scope {
    fn new(statement: &Statement) -> Self {
        Self { actions: Side::new(Some(&statement.actions)), resources: Side::new(statement.resources.as_ref()) }
    }

    /// Whether it covers an action and a resource.
    pub fn covers(&self, action: &str, resource: &str) -> bool {
        self.actions.folded().covers(&action.to_ascii_lowercase()) && self.resources.covers(resource)
    }

    fn may_overlap(&self, other: &Self) -> bool {
        self.actions.folded().may_overlap(&other.actions.folded()) && self.resources.may_overlap(&other.resources)
    }
}

impl Grant {
    /// Whether the grant gives an action on a resource, apart from its conditions.
    pub fn covers(&self, action: &str, resource: &str) -> bool {
        self.scope.covers(action, resource)
            && !self.except.iter().any(|(_, scope)| scope.covers(action, resource))
            && (self.within.is_empty() || self.within.iter().any(|(_, scope)| scope.covers(action, resource)))
    }
}

/// What a principal's policies grant, after denies and boundary. Grants of resource policies are
/// not among them: ask `can` about a resource.
pub fn what_can(estate: &Estate, principal: usize) -> Vec<Grant> {
    let evaluator = Evaluator::new(estate);
    let context = evaluator.context(principal);
    let policies = evaluator.identity(principal).to_vec();
    let boundary = match estate.principals.get(principal).map(|principal| &principal.boundary) {
        Some(Boundary::Policy(policy)) => vec![*policy],
        _ => Vec::new(),
    };
    let live = |effect: Effect, policies: &[super::estate::PolicyId]| -> Vec<(StatementId, Statement)> {
        let statements = policies.iter().flat_map(|policy| estate.statements(*policy));
        let wanted = statements
            .filter(|(_, statement)| statement.effect == effect && statement.conditions_hold(&context) != Truth::No);
        wanted.map(|(id, statement)| (id, statement.clone())).collect()
    };
    let scopes = |statements: Vec<(StatementId, Statement)>| -> Vec<(StatementId, Scope)> {
        statements.into_iter().map(|(id, statement)| (id, Scope::new(&statement))).collect()
    };
    let mut denies = live(Effect::Deny, &policies);
    denies.extend(live(Effect::Deny, &boundary));
    let denies = scopes(denies);
    let limits = scopes(live(Effect::Allow, &boundary));
    let mut grants = Vec::new();
    for (statement, allow) in live(Effect::Allow, &policies) {
        let scope = Scope::new(&allow);
        let overlapping = |list: &[(StatementId, Scope)]| {
            list.iter().filter(|(_, other)| other.may_overlap(&scope)).cloned().collect::<Vec<_>>()
        };
        let within = overlapping(&limits);
        if !boundary.is_empty() && within.is_empty() {
            continue;
        }
        let except = overlapping(&denies);
        grants.push(Grant { statement, scope, conditions: conditions(&allow), except, within });
    }
    grants
}

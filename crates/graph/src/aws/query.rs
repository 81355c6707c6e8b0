//! The three questions that people ask: can this principal do this, who can, and what can it do.
//!
//! They agree: who-can is can for everyone, and what-can lists exactly the grants on which can rests.

use super::arn::Arn;
use super::attack::conditions;
use super::attack::outside::{asked_by, is_named, named_in};
use super::condition::Context;
use super::estate::{Boundary, Estate, PolicyId, PrincipalKind, StatementId};
use super::evaluate::{Answer, Evaluator, Layer, Request, is_limited_by_rcp};
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

/// Those outside of the files whom the resource's own policy lets do it, by name: everyone, accounts, their principals.
pub fn who_can_outside(estate: &Estate, action: &str, resource: &str, context: &Context) -> Vec<(String, Answer)> {
    let evaluator = Evaluator::new(estate);
    let Some(policy) = evaluator.policy_for(action, resource) else { return Vec::new() };
    let mut found = Vec::new();
    for (kind, name, _) in named_in(estate, policy) {
        let answer = outsider_can(&evaluator, (kind, &name), action, resource, context);
        if answer.verdict != Truth::No {
            found.push((name, answer));
        }
    }
    found
}

/// What the resource's own policy lets somebody outside of the files do, of a kind and by name.
pub fn outsider_can(
    evaluator: &Evaluator<'_>,
    who: (PrincipalKind, &str),
    action: &str,
    resource: &str,
    context: &Context,
) -> Answer {
    let owner = evaluator.estate.principals.first().map_or("", |one| one.account());
    let account = Arn::parse(resource).map(|arn| arn.account).filter(|account| !account.is_empty()).unwrap_or(owner);
    let (kind, name) = who;
    let mut asked = asked_by(kind, name);
    asked.extend(context);
    evaluator.decide_outsider((resource, account), action, |named| is_named(named, who), &asked)
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
    pub except: Vec<Limit>,
    /// Of each of these (the permissions boundary, each level of service control policies), one must cover it as well.
    pub within: Vec<Vec<Limit>>,
    /// What may take away from it and is not in the files.
    pub unread: Vec<String>,
}

/// A statement beside a grant that narrows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The statement.
    pub statement: StatementId,
    /// What it covers.
    pub scope: Scope,
    /// Conditions without which it does not count; none if it does whatever they are.
    pub conditions: Vec<String>,
    /// Whether it is a resource control policy's, which speak of a few services alone.
    pub is_resource_control: bool,
}

impl Limit {
    fn covers(&self, action: &str, resource: &str) -> bool {
        self.scope.covers(action, resource)
            && (!self.is_resource_control || is_limited_by_rcp(&action.to_ascii_lowercase()))
    }
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
    /// Whether the grant gives an action on a resource; unknown where that hangs on conditions or on what was not read.
    pub fn gives(&self, action: &str, resource: &str) -> Truth {
        let any = |limits: &[Limit]| {
            let covering = limits.iter().filter(|limit| limit.covers(action, resource));
            Truth::any(covering.map(|limit| settled(limit.conditions.is_empty())))
        };
        if !self.scope.covers(action, resource) {
            return Truth::No;
        }
        let own = settled(self.conditions.is_empty() && self.unread.is_empty());
        let within = Truth::all(self.within.iter().map(|level| any(level)));
        own.and(within).and(any(&self.except).negate())
    }
}

fn settled(is_settled: bool) -> Truth {
    if is_settled { Truth::Yes } else { Truth::Unknown }
}

/// What a principal's policies grant, after denies, boundary and the policies of his organisation; of resource control policies,
/// those of his own account. Grants of resource policies are not among them: ask `can` about a resource.
pub fn what_can(estate: &Estate, principal: usize) -> Vec<Grant> {
    let Some(whose) = estate.principals.get(principal) else { return Vec::new() };
    let evaluator = Evaluator::new(estate);
    let context = evaluator.context(principal);
    let own = [evaluator.identity(principal)];
    let boundary: Vec<Vec<PolicyId>> = match whose.boundary {
        Boundary::Policy(policy) => vec![vec![policy]],
        Boundary::None | Boundary::Unread(_) => Vec::new(),
    };
    let service = evaluator.levels(principal, Layer::ServiceControl);
    let resource = evaluator.levels(principal, Layer::ResourceControl);
    let live = |effect: Effect, policies: &[PolicyId]| -> Vec<Limit> {
        let statements = policies.iter().flat_map(|policy| estate.statements(*policy));
        let held = statements.filter(|(_, statement)| statement.effect == effect);
        let held = held.map(|(id, statement)| (id, statement, statement.conditions_hold(&context)));
        let limit = |(id, statement, holds): (_, &Statement, _)| Limit {
            statement: id,
            scope: Scope::new(statement),
            conditions: if holds == Truth::Yes { Vec::new() } else { conditions(statement) },
            is_resource_control: resource.iter().flatten().any(|policy| *policy == id.policy),
        };
        held.filter(|(.., holds)| *holds != Truth::No).map(limit).collect()
    };
    let levels = || boundary.iter().chain(service);
    let all = own.iter().copied().chain(levels().map(Vec::as_slice)).chain(resource.iter().map(Vec::as_slice));
    let mut denies: Vec<Limit> = all.flat_map(|policies| live(Effect::Deny, policies)).collect();
    for possible in evaluator.possible(principal) {
        let is_resource_control = possible.is_of_resources;
        denies.extend(live(Effect::Deny, &[possible.policy]).into_iter().map(|limit| {
            let conditions = limit.conditions.into_iter().chain([possible.gap.clone()]).collect();
            Limit { conditions, is_resource_control, ..limit }
        }));
    }
    let limits: Vec<Vec<Limit>> = levels().map(|policies| live(Effect::Allow, policies)).collect();
    let unread = evaluator.unread_limits(principal);
    let mut grants = Vec::new();
    for (statement, allow) in own.iter().copied().flatten().flat_map(|policy| estate.statements(*policy)) {
        if allow.effect != Effect::Allow || allow.conditions_hold(&context) == Truth::No {
            continue;
        }
        let scope = Scope::new(allow);
        let overlapping = |list: &Vec<Limit>| -> Vec<Limit> {
            list.iter().filter(|other| other.scope.may_overlap(&scope)).cloned().collect()
        };
        let within: Vec<Vec<Limit>> = limits.iter().map(overlapping).collect();
        if within.iter().any(Vec::is_empty) {
            continue;
        }
        let (except, conditions, unread) = (overlapping(&denies), conditions(allow), unread.clone());
        grants.push(Grant { statement, scope, conditions, except, within, unread });
    }
    grants
}

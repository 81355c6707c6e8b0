//! What principals were seen to do, and what of it rests on one statement.

use super::condition::Context;
use super::estate::{Estate, StatementId};
use super::evaluate::{Evaluator, Request};
use super::truth::Truth;
use crate::observed::Seen;

/// A kind of call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The ARN of the user or role.
    pub principal: String,
    /// The action, for example `s3:GetObject`.
    pub action: String,
    /// The ARNs that the record names; empty where it names none.
    pub resources: Vec<String>,
}

/// What of the seen calls rests on a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resting<'e> {
    /// Calls that are allowed with the statement and not without it.
    pub stops: Vec<(&'e Call, &'e Seen)>,
    /// Calls of principals that have the statement, which it may have allowed: no resource of the record says.
    pub may_stop: Vec<(&'e Call, &'e Seen)>,
}

/// Decides every seen call again without a statement.
pub fn resting(estate: &Estate, statement: StatementId) -> Resting<'_> {
    let mut resting = Resting::default();
    let Some(said) = estate.statement(statement) else { return resting };
    let about = estate.calls.iter().filter(|(call, _)| said.has_action(&call.action.to_ascii_lowercase()));
    let about: Vec<_> =
        about.filter_map(|(call, seen)| Some((call, seen, estate.index_of(&call.principal)?))).collect();
    if about.is_empty() {
        return resting;
    }
    let mut without = estate.clone();
    without.silence(statement);
    let (with, without) = (Evaluator::new(estate), Evaluator::new(&without));
    let context = Context::default();
    for (call, seen, index) in about {
        let verdict = |evaluator: &Evaluator<'_>, resource: &str| {
            evaluator.decide(&Request::new(index, &call.action, resource, &context)).verdict
        };
        let resources = call.resources.iter().map(String::as_str).chain(call.resources.is_empty().then_some("*"));
        let allowed = resources.clone().find(|resource| verdict(&with, resource) != Truth::No);
        match allowed {
            Some(resource) if verdict(&without, resource) == Truth::No => resting.stops.push((call, seen)),
            Some(_) => {}
            None if estate.has_statement(index, statement) => resting.may_stop.push((call, seen)),
            None => {}
        }
    }
    resting
}

/// What taking a statement away would break of what was seen, as a sentence; `None` where there are no records.
pub fn told(estate: &Estate, statement: StatementId) -> Option<String> {
    let Resting { stops, may_stop } = resting(estate, statement);
    let name = |arn: &str| {
        let known = estate.index_of(arn).and_then(|at| estate.principals.get(at));
        known.map_or(arn, |principal| principal.short()).to_owned()
    };
    let each = |(call, seen)| {
        let Call { principal, action, .. }: &Call = call;
        (action.clone(), name(principal), seen)
    };
    estate.calls.told(stops.into_iter().map(each), may_stop.into_iter().map(each))
}

//! What principals were seen to do, and what of it rests on one statement.

use std::collections::BTreeMap;

use super::condition::Context;
use super::estate::{Estate, StatementId};
use super::evaluate::{Evaluator, Request};
use super::policy::{Effect, Named, Principals, Statement};
use super::truth::Truth;
use crate::observed::Seen;

/// Who made a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// A user or role, by ARN.
    Principal(String),
    /// Somebody of an account, by its number.
    Account(String),
    /// Somebody whom an OIDC or SAML provider vouches for; by the provider's name or ARN, as far as the record has it.
    Provider(String),
    /// A service, for example `lambda.amazonaws.com`.
    Service(String),
}

/// A kind of call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Who made it.
    pub caller: Caller,
    /// The action, for example `s3:GetObject`.
    pub action: String,
    /// The ARNs that the record names; empty where it names none.
    pub resources: Vec<String>,
}

/// Every call that was seen, decided once.
pub struct Uses<'e> {
    evaluator: Evaluator<'e>,
    decided: Vec<Decided<'e>>,
    /// The calls that a statement takes part in, by their places.
    by_statement: BTreeMap<StatementId, Vec<usize>>,
    /// Calls that nothing in the files allows.
    unexplained: Vec<usize>,
}

struct Decided<'e> {
    call: &'e Call,
    seen: &'e Seen,
    /// The principal, if the files have it.
    who: Option<usize>,
    /// The resources of which it was allowed, and how certainly.
    allowed: Vec<(&'e str, Truth)>,
}

impl<'e> Uses<'e> {
    /// Decides every call.
    pub fn new(estate: &'e Estate) -> Self {
        let (decided, by_statement, unexplained) = (Vec::new(), BTreeMap::new(), Vec::new());
        let mut uses = Self { evaluator: Evaluator::new(estate), decided, by_statement, unexplained };
        for (call, seen) in estate.calls.iter() {
            uses.add(call, seen);
        }
        uses
    }

    fn add(&mut self, call: &'e Call, seen: &'e Seen) {
        let estate = self.evaluator.estate;
        let at = self.decided.len();
        let who = match &call.caller {
            Caller::Principal(arn) => estate.index_of(arn),
            _ => None,
        };
        let mut allowed = Vec::new();
        for resource in resources(call) {
            let (verdict, statements) = match who {
                Some(index) => {
                    let context = Context::default();
                    let answer = self.evaluator.decide(&Request::new(index, &call.action, resource, &context));
                    (answer.verdict, answer.allows.into_iter().map(|cite| cite.statement).collect())
                }
                // A caller of whom the files know no more than whom a resource's policy lets in.
                None => (Truth::Unknown, self.letting_in(call, resource)),
            };
            if verdict != Truth::No && !statements.is_empty() {
                allowed.push((resource, verdict));
                for statement in statements {
                    let places = self.by_statement.entry(statement).or_default();
                    if places.last() != Some(&at) {
                        places.push(at);
                    }
                }
            }
        }
        if allowed.is_empty() && who.is_some() {
            self.unexplained.push(at);
        }
        self.decided.push(Decided { call, seen, who, allowed });
    }

    /// The statements of a resource's own policy that let such a caller in.
    fn letting_in(&self, call: &Call, resource: &str) -> Vec<StatementId> {
        let Some(policy) = self.evaluator.policy_for(&call.action, resource) else { return Vec::new() };
        let action = call.action.to_ascii_lowercase();
        let lets_in = |statement: &Statement| {
            statement.effect == Effect::Allow && statement.has_action(&action) && may_name(statement, &call.caller)
        };
        let statements = self.evaluator.estate.statements(policy);
        statements.filter(|(_, statement)| lets_in(statement)).map(|(id, _)| id).collect()
    }

    /// What taking a statement away would break of what was seen, as a sentence; `None` where there are no records.
    pub fn told(&self, statement: StatementId) -> Option<String> {
        let (mut stops, mut may_stop) = (Vec::new(), Vec::new());
        for one in self.by_statement.get(&statement).into_iter().flatten().filter_map(|at| self.decided.get(*at)) {
            let needs = one.allowed.iter().map(|(resource, with)| self.needs(one, resource, *with, statement));
            match Truth::any(needs) {
                Truth::Yes => stops.push(one),
                Truth::Unknown => may_stop.push(one),
                Truth::No => {}
            }
        }
        let estate = self.evaluator.estate;
        let said = estate.statement(statement)?;
        // It was allowed all the same: by something that the record does not show, where the caller has the statement.
        let unexplained = self.unexplained.iter().filter_map(|at| self.decided.get(*at)).filter(|one| {
            let has = one.who.is_some_and(|who| estate.has_statement(who, statement));
            has && said.has_action(&one.call.action.to_ascii_lowercase())
        });
        may_stop.extend(unexplained);
        let each = |one: &Decided<'e>| (one.call.action.clone(), self.name(&one.call.caller), one.seen);
        estate.calls.told(stops.into_iter().map(each), may_stop.into_iter().map(each))
    }

    /// Whether a call that was made needs a statement that takes part in allowing it. INVARIANT: it was allowed, so that
    /// what is unknown of it without the statement may have been what the statement allowed.
    fn needs(&self, one: &Decided<'_>, resource: &str, with: Truth, statement: StatementId) -> Truth {
        let Some(who) = one.who else {
            return if self.letting_in(one.call, resource) == [statement] { Truth::Yes } else { Truth::Unknown };
        };
        let context = Context::default();
        let request = Request::new(who, &one.call.action, resource, &context);
        let without = self.evaluator.decide(&Request { silenced: Some(statement), ..request }).verdict;
        match (with, without) {
            (_, Truth::No) => Truth::Yes,
            (_, Truth::Unknown) => Truth::Unknown,
            (_, Truth::Yes) => Truth::No,
        }
    }

    fn name(&self, caller: &Caller) -> String {
        let estate = self.evaluator.estate;
        match caller {
            Caller::Principal(arn) => {
                let known = estate.index_of(arn).and_then(|at| estate.principals.get(at));
                known.map_or(arn.as_str(), |principal| principal.short()).to_owned()
            }
            Caller::Account(account) => format!("account {account}"),
            Caller::Provider(name) | Caller::Service(name) => name.clone(),
        }
    }
}

/// What a call was about; of a record that names nothing, anything.
fn resources(call: &Call) -> impl Iterator<Item = &str> {
    call.resources.iter().map(String::as_str).chain(call.resources.is_empty().then_some("*"))
}

/// Whether a statement may be the one that lets such a caller in.
fn may_name(statement: &Statement, caller: &Caller) -> bool {
    let Some(Principals::Of(list)) = &statement.principals else { return statement.principals.is_some() };
    list.iter().any(|named| match (named, caller) {
        (Named::Anyone, _) => true,
        (Named::Aws(text), Caller::Account(account)) => text.contains(account.as_str()),
        (Named::Aws(text), Caller::Principal(arn)) => {
            let account = arn.split(':').nth(4).unwrap_or_default();
            text == arn || text == account || text.ends_with(&format!("::{account}:root"))
        }
        (Named::Federated(provider), Caller::Provider(name)) => name.is_empty() || provider.ends_with(name.as_str()),
        (Named::Service(service), Caller::Service(name)) => service == name,
        _ => false,
    })
}

//! What was asked of a cluster's API server and allowed, and what of it rests on one rule.

use std::collections::{BTreeMap, HashMap};

use super::estate::{Estate, Role, Subject};
use super::evaluate::{Cite, Evaluator, Request, role_name};
use crate::observed::Seen;
use crate::step::Grant;

/// A kind of call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Who asked.
    pub who: Subject,
    /// The groups that the API server took it to be in.
    pub groups: Vec<String>,
    /// For example `create`.
    pub verb: String,
    /// The API group; empty for the core.
    pub group: String,
    /// The resource, with its subresource behind a slash.
    pub resource: String,
    /// The namespace; `None` for objects of the cluster, and for all namespaces at once.
    pub namespace: Option<String>,
    /// The object, if one was meant.
    pub name: Option<String>,
}

impl Call {
    fn request(&self) -> Request<'_> {
        Request {
            verb: &self.verb,
            group: &self.group,
            resource: &self.resource,
            namespace: self.namespace.as_deref(),
            name: self.name.as_deref(),
        }
    }

    /// What was done, whichever object it was done to.
    fn text(&self) -> String {
        Request { name: None, ..self.request() }.text()
    }
}

/// What a person takes away with a grant: the rule, for everyone who has its role; of a built-in role, which stands in no
/// file, the binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Removed {
    Rule { role: usize, rule: usize },
    Binding(usize),
}

/// Every call, by what alone allows it.
pub struct Uses<'e> {
    estate: &'e Estate,
    removed: HashMap<Grant, Removed>,
    /// Rules only add, so that without what alone allows a call it is refused.
    resting: BTreeMap<Removed, Vec<(&'e Call, &'e Seen)>>,
}

impl<'e> Uses<'e> {
    /// Decides every call that was seen.
    pub fn new(evaluator: &Evaluator<'e>) -> Self {
        let estate = evaluator.estate;
        let mut uses = Self { estate, removed: HashMap::new(), resting: BTreeMap::new() };
        if estate.calls.is_empty() {
            return uses;
        }
        let removed = |cite: Cite| match evaluator.rule(cite) {
            Some(rule) if !rule.is_built_in() => Removed::Rule { role: cite.role, rule: cite.rule },
            _ => Removed::Binding(cite.binding),
        };
        uses.removed = evaluator.cites().filter_map(|cite| Some((evaluator.grant(cite)?, removed(cite)))).collect();
        for (call, seen) in estate.calls.iter() {
            let groups = call.groups.iter().cloned().map(Subject::Group);
            let allows =
                groups.chain([call.who.clone()]).flat_map(|who| evaluator.decide(&who, &call.request()).allows);
            let mut allows: Vec<Removed> = allows.map(removed).collect();
            allows.sort_unstable();
            allows.dedup();
            let is_master = call.groups.iter().any(|group| group == "system:masters");
            if let [only] = allows.as_slice()
                && !is_master
            {
                uses.resting.entry(*only).or_default().push((call, seen));
            }
        }
        uses
    }

    /// What taking a rule away would break of what was seen, as a sentence; `None` where there are no records, and of what is
    /// no rule.
    pub fn told(&self, grant: &Grant) -> Option<String> {
        let removed = self.removed(grant);
        if removed.is_empty() {
            return None;
        }
        let resting = removed.iter().filter_map(|one| self.resting.get(one)).flatten();
        self.estate.calls.told(resting.map(|(call, seen)| (call.text(), call.who.name(), *seen)), [])
    }

    /// What goes with a grant: a bound rule, or one of a role by itself.
    fn removed(&self, grant: &Grant) -> Vec<Removed> {
        if let Some(one) = self.removed.get(grant) {
            return vec![*one];
        }
        let is_it = |role: &Role| role.meta.source == grant.source && role_name(role) == grant.policy;
        let roles = self.estate.roles.iter().enumerate().filter(|(_, role)| is_it(role));
        let rules = roles.flat_map(|(at, role)| role.rules.iter().enumerate().map(move |(rule, one)| (at, rule, one)));
        let there = rules.filter(|(.., rule)| !rule.is_built_in() && Some(rule.line) == grant.line);
        there.map(|(role, rule, _)| Removed::Rule { role, rule }).collect()
    }
}

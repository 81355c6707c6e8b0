//! One principal for each ARN: an export and a plan, two exports or two templates may speak of the same.

use std::collections::HashMap;
use std::sync::Arc;

use super::estate::{Estate, PolicyId, Principal};
use super::policy::Statement;

/// A trust policy that another one, which was read later, stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Whose it is, as `role/deploy`.
    pub whose: String,
    /// Where it was read.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: Option<u32>,
    /// Where the one that holds was read.
    pub by: Arc<str>,
}

impl Estate {
    /// Makes one of the principals that have one ARN, in the place of the first. What any file gives it, it has; of what it
    /// has only one of (its trust policy, its boundary), what was read last holds. Returns the trust policies that say
    /// something else than the one that holds. Done again, it does nothing.
    ///
    /// INVARIANT: a principal's index is the index of its node, which holds only where no two have one ARN.
    pub fn unite(&mut self) -> Vec<Replaced> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut kept: Vec<Principal> = Vec::new();
        let mut replaced = Vec::new();
        for principal in std::mem::take(&mut self.principals) {
            let place = places.get(&principal.arn).copied();
            match place.and_then(|at| kept.get_mut(at)) {
                Some(known) => replaced.extend(self.join(known, principal)),
                None => {
                    places.insert(principal.arn.clone(), kept.len());
                    kept.push(principal);
                }
            }
        }
        self.principals = kept;
        replaced
    }

    fn join(&self, known: &mut Principal, later: Principal) -> Option<Replaced> {
        let replaced = known.trust.zip(later.trust).filter(|(one, other)| !self.say_the_same(*one, *other));
        let replaced = replaced.and_then(|(one, _)| self.policy(one)).map(|policy| Replaced {
            whose: known.short().to_owned(),
            source: policy.source.clone(),
            line: policy.document.statements.first().and_then(|statement| statement.line),
            by: later.source.clone(),
        });
        // What both say stands where it was read last.
        known.inline.retain(|one| !later.inline.iter().any(|other| self.are_the_same(*one, *other)));
        known.inline.extend(later.inline);
        add(&mut known.attached, later.attached);
        add(&mut known.groups, later.groups);
        add(&mut known.instance_profiles, later.instance_profiles);
        known.tags.extend(later.tags);
        known.trust = later.trust.or(known.trust);
        known.boundary_arn = later.boundary_arn.or_else(|| known.boundary_arn.take());
        if known.unique_id.is_empty() {
            known.unique_id = later.unique_id;
        }
        replaced
    }

    fn are_the_same(&self, one: PolicyId, other: PolicyId) -> bool {
        let name = |id| self.policy(id).map(|policy| policy.name.as_str());
        name(one) == name(other) && self.say_the_same(one, other)
    }

    /// Whether two documents hold the same statements, wherever these stand.
    fn say_the_same(&self, one: PolicyId, other: PolicyId) -> bool {
        let said = |id| -> Vec<Statement> {
            self.statements(id).map(|(_, statement)| Statement { line: None, ..statement.clone() }).collect()
        };
        said(one) == said(other)
    }
}

fn add(list: &mut Vec<String>, more: Vec<String>) {
    for one in more {
        if !list.contains(&one) {
            list.push(one);
        }
    }
}

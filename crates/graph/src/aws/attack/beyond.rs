//! What the administrator of one account gets in others: roles there that trust the account, or somebody in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Deriver;
use crate::aws::condition::Context;
use crate::aws::estate::{Estate, Principal, PrincipalKind, StatementId};
use crate::aws::evaluate::{Answer, Evaluator, Layer, Request};
use crate::aws::kinds::{self, Shape};
use crate::aws::policy::{Effect, Named, Principals};
use crate::aws::truth::Truth;
use crate::aws::{Arn, attack};
use crate::step::{Ground, Step, Steps};

/// Adds the steps from each account's administrator to roles of other accounts, for whoever is administrator takes any
/// principal of the account, or makes one.
pub(super) fn add(estate: &Estate, steps: &mut Steps) {
    let is_insider = |one: &Principal| matches!(one.kind, PrincipalKind::User | PrincipalKind::Role);
    let insiders: Vec<(usize, &Principal)> =
        estate.principals.iter().enumerate().filter(|(_, one)| is_insider(one)).collect();
    let accounts: BTreeSet<&str> = insiders.iter().map(|(_, one)| one.account()).collect();
    let Some(kind) = kinds::get("sts-assume-role").filter(|_| accounts.len() > 1) else { return };
    let (evaluator, grants) = (Evaluator::new(estate), estate.grants());
    for account in accounts {
        let Some(crown) = steps.administrator_of(account) else { continue };
        let own: Vec<usize> = insiders.iter().filter(|(_, one)| one.account() == account).map(|(at, _)| *at).collect();
        for (target, role) in insiders.iter().filter(|(_, one)| one.account() != account) {
            if !names_account(estate, role, account) {
                continue;
            }
            let (context, added) = (Context::default(), [estate.allow_all]);
            let ask = |one: &usize| {
                evaluator
                    .decide(&Request { added: &added, ..Request::new(*one, "sts:AssumeRole", &role.arn, &context) })
            };
            let answers = own.iter().map(ask).filter(|answer| answer.verdict != Truth::No);
            let Some(answer) = surest(answers) else { continue };
            let by_trust = answer.allows.iter().filter(|cite| cite.layer == Layer::Resource);
            let statements: Vec<StatementId> = by_trust.map(|cite| cite.statement).collect();
            let ground = Ground {
                claim: format!("the trust policy of {} lets account {account} in", role.short()),
                open: attack::open(estate, &answer),
                grants: grants.all(statements),
                truth: answer.verdict,
            };
            steps.push(Step { grounds: vec![Arc::new(ground)], ..Step::new(crown, *target, kind.page()) });
        }
    }
}

/// The first that is certain, or else the first.
fn surest(answers: impl Iterator<Item = Answer>) -> Option<Answer> {
    let mut first = None;
    for answer in answers {
        if answer.verdict == Truth::Yes {
            return Some(answer);
        }
        first.get_or_insert(answer);
    }
    first
}

/// Whether a role's trust policy may let in somebody of an account.
fn names_account(estate: &Estate, role: &Principal, account: &str) -> bool {
    let Some(trust) = role.trust else { return false };
    let named = |named: &Named| match named {
        Named::Anyone => true,
        Named::Aws(text) => text == account || Arn::parse(text).is_none_or(|arn| arn.account == account),
        Named::Service(_) | Named::Federated(_) | Named::Canonical(_) => false,
    };
    let mut allows = estate.statements(trust).filter(|(_, statement)| statement.effect == Effect::Allow);
    allows.any(|(_, statement)| match &statement.principals {
        Some(Principals::Of(list)) => list.iter().any(named),
        Some(Principals::Except(_)) => true,
        None => false,
    })
}

impl Deriver<'_> {
    /// What runs in other accounts and obeys an administrator of this one.
    pub(super) fn beyond(&mut self, index: usize) {
        let own = self.account(index);
        let foreign = |arn: &str| Arn::parse(arn).is_some_and(|arn| arn.account != own);
        if !self.estate.workloads.iter().any(|workload| foreign(&workload.arn)) {
            return;
        }
        for kind in kinds::all() {
            if let Shape::ExistingWorkload { .. } = &kind.shape {
                self.existing(index, kind, true);
            }
        }
    }
}

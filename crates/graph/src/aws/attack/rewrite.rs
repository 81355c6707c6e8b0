//! Steps by rewriting: of trust policies, and of what a principal is allowed.

use std::collections::BTreeSet;

use super::{CROWN, Deriver, step};
use crate::aws::arn::Arn;
use crate::aws::condition::{Context, Value};
use crate::aws::estate::{Estate, Principal, PrincipalKind};
use crate::aws::evaluate::{Layer, Request};
use crate::aws::kinds::{Kind, Rewrite, Whose};
use crate::aws::truth::Truth;

impl Deriver<'_> {
    pub(super) fn rewrite_trusts(&mut self, index: usize, principal: &Principal, kind: &'static Kind) {
        let action = "iam:UpdateAssumeRolePolicy";
        if !self.may_try(index, action) {
            return;
        }
        for (target, role) in self.estate.principals.iter().enumerate() {
            if role.kind != PrincipalKind::Role
                || role.account() != principal.account()
                || target == index
                || role.is_service_linked()
            {
                continue;
            }
            let context = Context::default();
            let answer = self.evaluator.decide(&Request::new(index, action, &role.arn, &context));
            // What denies assuming the role still denies it after the rewrite.
            let assume = self.evaluator.decide(&Request::new(index, "sts:AssumeRole", &role.arn, &context));
            let denied =
                Truth::any(assume.denies.iter().filter(|cite| cite.layer != Layer::Resource).map(|cite| cite.truth));
            let truth = answer.verdict.and(denied.negate());
            if truth != Truth::No {
                let grounds = self.grounds(&format!("{action} on {}", role.arn), &answer);
                self.push(step(index, target, kind.page(), truth, grounds));
            }
        }
    }

    pub(super) fn rewrites(&mut self, index: usize, kind: &'static Kind, rewrite: Rewrite) {
        if !self.may_try(index, rewrite.action()) {
            return;
        }
        let wanted = match rewrite {
            Rewrite::Inline(whose) | Rewrite::Attach(whose) => Some(whose),
            Rewrite::NewVersion | Rewrite::OtherVersion => None,
        };
        for of in 0..self.estate.principals.len() {
            let Some(principal) = self.estate.principals.get(of) else { continue };
            let insider = matches!(principal.kind, PrincipalKind::User | PrincipalKind::Role);
            if !insider || principal.account() != self.account(index) || principal.is_service_linked() {
                continue;
            }
            for (target, whose) in rewritable(self.estate, principal, wanted) {
                self.rewrite_one(index, of, kind, &Target { rewrite, arn: &target, whose });
            }
        }
    }

    fn rewrite_one(&mut self, index: usize, of: usize, kind: &'static Kind, target: &Target<'_>) {
        let mut context = Context::default();
        if matches!(target.rewrite, Rewrite::Attach(_)) {
            context.set("iam:PolicyARN", Value::one("arn:aws:iam::aws:policy/AdministratorAccess"));
        }
        let action = target.rewrite.action();
        let answer = self.evaluator.decide(&Request::new(index, action, target.arn, &context));
        if answer.verdict == Truth::No || !self.has_version(target) {
            return;
        }
        let (gained, missing) = self.gain(of, target);
        let truth = answer.verdict.and(gained);
        if truth == Truth::No {
            return;
        }
        let grounds = self.grounds(&format!("{action} on {}", target.arn), &answer);
        let mut step = step(index, CROWN, kind.page(), truth, grounds);
        step.also = (of != index).then_some(of);
        step.through = Some(target.arn.to_owned());
        step.assuming.extend(missing);
        if matches!(target.rewrite, Rewrite::Attach(_)) {
            step.assuming.push(
                "arn:aws:iam::aws:policy/AdministratorAccess, which every account has, is what it attaches".into(),
            );
        }
        self.push(step);
    }

    fn has_version(&self, target: &Target<'_>) -> bool {
        target.whose.is_some() || self.estate.managed.contains_key(target.arn)
    }

    fn unlimited(&self, of: usize) -> Truth {
        let ask = || self.administers(of, &[self.estate.allow_all]).0;
        self.unlimited.get(of).map_or(Truth::No, |known| *known.get_or_init(ask))
    }

    /// What the rewritten principal would be allowed: everything, or what another version allows.
    fn gain(&self, of: usize, target: &Target<'_>) -> (Truth, Option<String>) {
        if target.rewrite != Rewrite::OtherVersion {
            return (self.unlimited(of), None);
        }
        let others = self.estate.managed.get(target.arn).map(|managed| managed.others.as_slice()).unwrap_or_default();
        let best = Truth::any(others.iter().map(|other| self.administers(of, &[*other]).0));
        if best == Truth::No {
            return (
                Truth::Unknown.and(self.unlimited(of)),
                Some(format!(
                    "a version of {} that allows more exists when it is used; the files show none now",
                    target.arn
                )),
            );
        }
        (best, None)
    }
}

struct Target<'t> {
    rewrite: Rewrite,
    arn: &'t str,
    whose: Option<Whose>,
}

/// What can be rewritten to change a principal: itself, its groups, its attached policies.
fn rewritable(estate: &Estate, principal: &Principal, wanted: Option<Whose>) -> Vec<(String, Option<Whose>)> {
    let groups = || principal.member_of.iter().filter_map(|group| estate.principals.get(*group));
    match (wanted, principal.kind) {
        (Some(Whose::User), PrincipalKind::User) | (Some(Whose::Role), PrincipalKind::Role) => {
            vec![(principal.arn.clone(), wanted)]
        }
        (Some(Whose::Group), PrincipalKind::User) => groups().map(|group| (group.arn.clone(), wanted)).collect(),
        (Some(_), _) => Vec::new(),
        (None, _) => {
            let attached = principal.attached.iter().chain(groups().flat_map(|group| &group.attached));
            // AWS's own policies belong to AWS: nobody else writes a version of them.
            let own = attached.filter(|arn| Arn::parse(arn).is_some_and(|arn| arn.account != "aws"));
            own.map(|arn| (arn.clone(), None)).collect::<BTreeSet<_>>().into_iter().collect()
        }
    }
}

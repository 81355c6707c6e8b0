//! Steps by rewriting: of trust policies, and of what a principal is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Answers, CROWN, Deriver, step};
use crate::aws::arn::Arn;
use crate::aws::condition::{Context, Value};
use crate::aws::estate::{Estate, PolicyId, Principal, PrincipalKind};
use crate::aws::evaluate::{Answer, Layer, Request};
use crate::aws::kinds::{Kind, Rewrite, Whose};
use crate::aws::policy::Effect;
use crate::aws::truth::Truth;

pub(super) const ADMINISTRATOR_ACCESS: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// Policies of AWS that give everything: one by itself, the other since who may change permissions gives itself the rest.
const ATTACHED: [&str; 2] = [ADMINISTRATOR_ACCESS, "arn:aws:iam::aws:policy/IAMFullAccess"];

impl Deriver<'_> {
    pub(super) fn rewrite_trusts(&mut self, index: usize, kind: &'static Kind) {
        let action = "iam:UpdateAssumeRolePolicy";
        if !self.may_try(index, action) {
            return;
        }
        let mut answers = Answers::new(self, index, action);
        for (target, role) in self.estate.principals.iter().enumerate() {
            if role.kind != PrincipalKind::Role
                || self.account(target) != self.account(index)
                || target == index
                || role.is_service_linked()
            {
                continue;
            }
            let answer = answers.on(self, &role.arn);
            let truth = answer.verdict.and(self.is_kept_out(index, &role.arn).negate());
            if truth != Truth::No {
                let grounds = self.grounds(&format!("{action} on {}", role.arn), answer);
                self.push(step(index, target, kind.page(), truth, grounds));
            }
        }
    }

    /// Whether something keeps it from assuming a role that the trust policy, which is rewritten, has no part in.
    fn is_kept_out(&self, index: usize, role: &str) -> Truth {
        let action = "sts:AssumeRole";
        if !self.evaluator.may_be_denied(index, action) {
            return Truth::No;
        }
        let answer = self.evaluator.decide(&Request::new(index, action, role, &Context::default()));
        let is_user = self.estate.principals.get(index).is_some_and(|one| one.kind == PrincipalKind::User);
        let left_out = answer.lacks.iter().any(|layer| match layer {
            Layer::ServiceControl | Layer::ResourceControl => true,
            // A trust policy that names a user is not limited by the user's boundary.
            Layer::Boundary => !is_user,
            _ => false,
        });
        if left_out {
            return Truth::Yes;
        }
        Truth::any(answer.denies.iter().filter(|cite| cite.layer != Layer::Resource).map(|cite| cite.truth))
    }

    pub(super) fn rewrites(&mut self, index: usize, kind: &'static Kind, (rewrite, whose): (Rewrite, Of)) {
        if !self.may_try(index, rewrite.action()) {
            return;
        }
        let wanted = match rewrite {
            Rewrite::Inline(whose) | Rewrite::Attach(whose) => Some(whose),
            Rewrite::NewVersion | Rewrite::OtherVersion => None,
        };
        let same = self.evaluator.is_same_everywhere(index, rewrite.action());
        let all = self.rewritable.get(&(wanted, self.account(index))).cloned().unwrap_or_default();
        let mut last: Option<(&str, Answer)> = None;
        for one in all.iter().filter(|one| (one.of == index) == (whose == Of::Itself)) {
            let target = Target { rewrite, arn: one.arn, whose: wanted };
            let known = last.take().filter(|(arn, _)| same || *arn == one.arn);
            let (_, answer) =
                last.insert(known.unwrap_or_else(|| (one.arn, self.worth_rewriting(index, &target, whose))));
            if answer.verdict != Truth::No {
                self.rewrite_one(index, one.of, kind, (&target, answer));
            }
        }
    }

    /// Whether it may rewrite the target; no where it gets everything on the same grants without another principal.
    fn worth_rewriting(&self, index: usize, target: &Target<'_>, whose: Of) -> Answer {
        let answer = self.may_rewrite(index, target);
        if whose == Of::Others && answer.verdict != Truth::No && self.is_outdone(&answer) {
            return Answer::default();
        }
        answer
    }

    /// Whether it may rewrite, by the first policy that it may attach and that gives everything.
    fn may_rewrite(&self, index: usize, target: &Target<'_>) -> Answer {
        let action = target.rewrite.action();
        if !matches!(target.rewrite, Rewrite::Attach(_)) {
            return self.evaluator.decide(&Request::new(index, action, target.arn, &Context::default()));
        }
        let tried = ATTACHED.iter().map(|policy| {
            let context = Context::default().with("iam:PolicyARN", Value::one(self.form(index, policy)));
            self.evaluator.decide(&Request::new(index, action, target.arn, &context))
        });
        tried.rev().max_by_key(|answer| answer.verdict).unwrap_or_default()
    }

    fn rewrite_one(&mut self, index: usize, of: usize, kind: &'static Kind, (target, answer): (&Target<'_>, &Answer)) {
        let action = target.rewrite.action();
        if !self.has_version(target) {
            return;
        }
        let (gained, missing) = self.gain(of, target);
        let truth = answer.verdict.and(gained);
        if truth == Truth::No {
            return;
        }
        let grounds = self.grounds(&format!("{action} on {}", target.arn), answer);
        let mut step = step(index, CROWN, kind.page(), truth, grounds);
        step.also = (of != index).then_some(of);
        step.through = Some(target.arn.to_owned());
        step.assuming.extend(missing);
        self.push(step);
    }

    fn has_version(&self, target: &Target<'_>) -> bool {
        target.whose.is_some() || self.estate.managed.contains_key(target.arn)
    }

    fn unlimited(&self, of: usize) -> Truth {
        let ask = || self.administers(of, &[self.estate.allow_all], &[]).0;
        self.unlimited.get(of).map_or(Truth::No, |known| *known.get_or_init(ask))
    }

    /// What the rewritten principal would be allowed: everything, or what another version allows. What the rewritten
    /// policies denied, they deny no more.
    fn gain(&self, of: usize, target: &Target<'_>) -> (Truth, Option<String>) {
        let replaced = self.replaced(of, target);
        let everything = || {
            let denies = |policy: &PolicyId| self.estate.statements(*policy).any(|(_, one)| one.effect == Effect::Deny);
            match self.unlimited(of) {
                Truth::Yes => Truth::Yes,
                limited if !replaced.iter().any(denies) => limited,
                _ => self.administers(of, &[self.estate.allow_all], &replaced).0,
            }
        };
        if target.rewrite != Rewrite::OtherVersion {
            return (everything(), None);
        }
        let others = self.estate.managed.get(target.arn).map(|managed| managed.others.as_slice()).unwrap_or_default();
        let best = Truth::any(others.iter().map(|other| self.administers(of, &[*other], &replaced).0));
        if best == Truth::No {
            return (
                Truth::Unknown.and(everything()),
                Some(format!(
                    "a version of {} that allows more exists when it is used; the files show none now",
                    target.arn
                )),
            );
        }
        (best, None)
    }

    /// The policies in whose place the attacker's own comes.
    fn replaced(&self, of: usize, target: &Target<'_>) -> Vec<PolicyId> {
        match target.rewrite {
            Rewrite::Attach(_) => Vec::new(),
            Rewrite::Inline(_) => {
                let own = self.estate.principals.get(of).filter(|one| one.arn == target.arn);
                let owner = own.or_else(|| self.estate.principals.get(self.estate.index_of(target.arn)?));
                owner.map(|owner| owner.inline.clone()).unwrap_or_default()
            }
            Rewrite::NewVersion | Rewrite::OtherVersion => {
                self.estate.managed.get(target.arn).map(|managed| managed.default).into_iter().collect()
            }
        }
    }
}

/// Whose permissions are rewritten.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The attacker's own.
    Itself,
    /// Those of another principal, which the attacker must control as well.
    Others,
}

struct Target<'t> {
    rewrite: Rewrite,
    arn: &'t str,
    whose: Option<Whose>,
}

/// What can be rewritten to change a principal: itself, one of its groups, one of its attached policies.
pub(super) struct Rewritable<'a> {
    of: usize,
    arn: &'a str,
}

/// By whose policies are rewritten, and the account.
pub(super) type ByAccount<'a> = BTreeMap<(Option<Whose>, &'a str), Arc<[Rewritable<'a>]>>;

/// Everything that can be rewritten, those of one ARN together.
pub(super) fn rewritable(estate: &Estate) -> ByAccount<'_> {
    let mut found: BTreeMap<_, Vec<Rewritable<'_>>> = BTreeMap::new();
    let is =
        |one: &Principal| matches!(one.kind, PrincipalKind::User | PrincipalKind::Role) && !one.is_service_linked();
    for (of, principal) in estate.principals.iter().enumerate().filter(|(_, one)| is(one)) {
        for wanted in [None, Some(Whose::User), Some(Whose::Role), Some(Whose::Group)] {
            let list = found.entry((wanted, principal.account())).or_default();
            list.extend(arns(estate, principal, wanted).into_iter().map(|arn| Rewritable { of, arn }));
        }
    }
    for list in found.values_mut() {
        list.sort_by_key(|one| (one.arn, one.of));
    }
    found.into_iter().map(|(key, list)| (key, list.into())).collect()
}

fn arns<'a>(estate: &'a Estate, principal: &'a Principal, wanted: Option<Whose>) -> BTreeSet<&'a str> {
    let groups = || principal.member_of.iter().filter_map(|group| estate.principals.get(*group));
    match (wanted, principal.kind) {
        (Some(Whose::User), PrincipalKind::User) | (Some(Whose::Role), PrincipalKind::Role) => {
            BTreeSet::from([principal.arn.as_str()])
        }
        (Some(Whose::Group), PrincipalKind::User) => groups().map(|group| group.arn.as_str()).collect(),
        (Some(_), _) => BTreeSet::new(),
        (None, _) => {
            let attached = principal.attached.iter().chain(groups().flat_map(|group| &group.attached));
            // AWS's own policies belong to AWS: nobody else writes a version of them.
            let own = attached.filter(|arn| Arn::parse(arn).is_some_and(|arn| arn.account != "aws"));
            own.map(String::as_str).collect()
        }
    }
}

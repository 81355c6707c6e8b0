//! Steps to a user or role that the attacker makes: nothing of what limits the attacker limits it, but the organisation.

use super::rewrite::ADMINISTRATOR_ACCESS;
use super::workload::{meant, surest};
use super::{CROWN, Deriver, TRIED, chosen_region, step};
use crate::aws::condition::{Context, Value};
use crate::aws::evaluate::{Layer, Request};
use crate::aws::kinds::{Kind, Need};
use crate::aws::truth::Truth;

impl Deriver<'_> {
    /// A step to everything by somebody new of this form, for whom all needs are allowed.
    pub(super) fn makes(&mut self, index: usize, kind: &'static Kind, (form, needs): (&str, &[Need])) {
        if !needs.iter().all(|need| need.any_of.iter().any(|action| self.may_try(index, action))) {
            return;
        }
        // Whoever is made without a boundary has none, and a policy that asks for one denies it.
        let policy = self.form(index, ADMINISTRATOR_ACCESS);
        let context =
            Context::default().with("iam:PermissionsBoundary", Value::Absent).with("iam:PolicyARN", Value::one(policy));
        let needs: Vec<&Need> = needs.iter().collect();
        let new = self.candidates(index, &needs, &self.form(index, form));
        let tried = new.iter().filter(|arn| self.estate.index_of(arn).is_none());
        let ways = tried.filter_map(|arn| self.all_in(index, &needs, (arn, &context)));
        let Some(able) = surest(ways) else { return };
        let truth =
            able.truth.and(self.account_allows(index)).and(self.may_assume_what_names_it(index, &able.resource));
        let mut step = step(index, CROWN, kind.page(), truth, able.grounds);
        step.through = Some(meant(&able.resource));
        self.push(step);
    }

    /// Whether the organisation lets everything be done in a principal's account.
    fn account_allows(&self, index: usize) -> Truth {
        let allowed = |(action, resource): (&str, &str)| {
            let (resource, context) = (self.form(index, resource), chosen_region());
            let added = &[self.estate.allow_all];
            let answer = self.evaluator.decide(&Request { added, ..Request::new(index, action, &resource, &context) });
            let controls = |layer: Layer| matches!(layer, Layer::ServiceControl | Layer::ResourceControl);
            let denied = answer.denies.iter().filter(|cite| controls(cite.layer)).map(|cite| cite.truth);
            let lacks = answer.lacks.iter().any(|layer| controls(*layer));
            Truth::any(denied).negate().and(Truth::from_bool(!lacks))
        };
        Truth::all(TRIED.map(allowed))
    }

    /// A user is signed in to; a role is assumed by whom its trust policy names, unless something denies it or a
    /// boundary leaves it out.
    fn may_assume_what_names_it(&self, index: usize, arn: &str) -> Truth {
        if !arn.contains(":role/") {
            return Truth::Yes;
        }
        let context = Context::default();
        let answer = self.evaluator.decide(&Request::new(index, "sts:AssumeRole", arn, &context));
        let denied = Truth::any(answer.denies.iter().map(|cite| cite.truth));
        denied.negate().and(Truth::from_bool(!answer.lacks.contains(&Layer::Boundary)))
    }
}

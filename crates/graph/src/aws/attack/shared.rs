//! Steps through what an agent reads and another writes, and through what users let agents do.

use std::collections::BTreeSet;

use super::workload::{meant, partly};
use super::{CONSENTS, Deriver, step};
use crate::aws::kinds::{Kind, Need, On};
use crate::aws::truth::Truth;

pub(super) struct Sharing {
    pub(super) kind: &'static Kind,
    pub(super) services: &'static [&'static str],
    pub(super) resource: &'static str,
    pub(super) writes: &'static [&'static str],
    pub(super) reads: &'static [&'static str],
}

impl Deriver<'_> {
    /// A step to each role that an agent can have and that reads what this principal writes.
    pub(super) fn shares(&mut self, index: usize, sharing: &Sharing) {
        if !sharing.writes.iter().any(|action| self.may_try(index, action)) {
            return;
        }
        let form = self.form(index, sharing.resource);
        let writes = Need { any_of: sharing.writes, on: On::Workload };
        let reads = Need { any_of: sharing.reads, on: On::Workload };
        let readers = sharing.services.iter().flat_map(|service| self.trusted.get(service).into_iter().flatten());
        let readers: BTreeSet<usize> = readers.map(|(role, ..)| *role).filter(|role| *role != index).collect();
        for role in readers {
            let mut candidates = self.candidates(index, &[&writes], &form);
            candidates.extend(self.candidates(role, &[&reads], &form));
            let both = candidates.iter().filter_map(|one| {
                let (mine, its) = (self.all_on(index, &[&writes], one)?, self.all_on(role, &[&reads], one)?);
                Some((mine.truth.and(its.truth), mine, its))
            });
            let Some((truth, mine, its)) = both.max_by_key(|(truth, ..)| *truth) else { continue };
            let mut step = step(index, role, sharing.kind.page(), truth, mine.grounds);
            step.through = Some(meant(&mine.resource));
            step.grounds.extend(its.grounds);
            partly(&mut step, sharing.kind);
            self.push(step);
        }
    }

    pub(super) fn take_consents(&mut self, index: usize, kind: &'static Kind, needs: &[Need]) {
        if !needs.iter().all(|need| need.any_of.iter().any(|action| self.may_try(index, action))) {
            return;
        }
        let Some(able) = self.able(index, needs, &[], None).filter(|able| able.truth != Truth::No) else { return };
        let mut step = step(index, CONSENTS, kind.page(), able.truth, able.grounds);
        partly(&mut step, kind);
        self.push(step);
    }
}

//! Steps through what runs as a role: something new that the role is passed to, or something that is there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Deriver, chosen_region, conditions, step};
use crate::aws::arn::{ANY_REGION, Arn};
use crate::aws::condition::{Context, Value};
use crate::aws::estate::{Joint, Principal, StatementId, Workload};
use crate::aws::evaluate::{Request, resource_patterns};
use crate::aws::kinds::{self, Kind, Need, On, WorkloadKind};
use crate::aws::pattern::glob;
use crate::aws::policy::{Effect, placeholder};
use crate::aws::truth::Truth;
use crate::step::{GrantId, Ground, Step};

pub(super) struct New {
    pub(super) kind: &'static Kind,
    pub(super) services: &'static [&'static str],
    pub(super) profile: bool,
    pub(super) needs: &'static [Need],
    pub(super) existing: Option<&'static str>,
}

pub(super) struct Existing {
    pub(super) kind: &'static Kind,
    pub(super) workload: &'static WorkloadKind,
    pub(super) needs: &'static [Need],
    /// Whether only those of other accounts count: the own ones are an administrator's already.
    pub(super) only_foreign: bool,
}

/// What a principal is able to do for a list of needs.
#[derive(Clone)]
pub(super) struct Able {
    pub(super) truth: Truth,
    pub(super) grounds: Vec<Arc<Ground>>,
    pub(super) resource: String,
    /// The inventory that would have to list the resource.
    missing: Option<&'static WorkloadKind>,
}

/// The surest of several ways to the same. What others that are as sure rest on counts beside what it rests on: these are
/// left when its own grants are taken away.
pub(super) fn surest(ways: impl Iterator<Item = Able>) -> Option<Able> {
    let ways: Vec<Able> = ways.collect();
    let mut best = ways.iter().max_by_key(|able| able.truth)?.clone();
    let alike = |able: &&Able| able.truth == best.truth && able.grounds.len() == best.grounds.len();
    let others: Vec<&Able> = ways.iter().filter(alike).collect();
    for (at, other) in others.iter().flat_map(|able| able.grounds.iter().enumerate()) {
        let Some(own) = best.grounds.get_mut(at) else { continue };
        let lacks = |grant: &&GrantId| !own.grants.is_empty() && !own.grants.contains(grant);
        let more: Vec<GrantId> = other.grants.iter().filter(lacks).copied().collect();
        if !more.is_empty() {
            Arc::make_mut(own).grants.extend(more);
        }
    }
    Some(best)
}

/// What gives an instance profile to a role without one: a profile of its own, or the place of another role in one.
const FILLS_PROFILE: &[Need] = &[
    Need { any_of: &["iam:AddRoleToInstanceProfile"], on: On::Resource(PROFILES) },
    Need { any_of: &["iam:CreateInstanceProfile", "iam:RemoveRoleFromInstanceProfile"], on: On::Resource(PROFILES) },
];
const PROFILES: &str = "arn:aws:iam::{account}:instance-profile/*";

impl Deriver<'_> {
    pub(super) fn new_workloads(&mut self, index: usize, principal: &Principal, new: &New) {
        let may = |need: &Need| is_of_role(need) || need.any_of.iter().any(|action| self.may_try(index, action));
        if !new.needs.iter().all(may) || !self.may_try(index, "iam:PassRole") {
            return;
        }
        let Some(able) = self.able_to_make(index, new) else { return };
        let missing = able.missing;
        for service in new.services {
            for (role, trusts, trust) in self.trusted.get(service).cloned().unwrap_or_default() {
                let Some(target) = self.estate.principals.get(role) else { continue };
                if target.account() != principal.account() || role == index {
                    continue;
                }
                let lacks_profile = new.profile && target.instance_profiles.is_empty();
                let profile = if lacks_profile { self.able(index, FILLS_PROFILE, &[], None) } else { None };
                if lacks_profile && profile.is_none() {
                    continue;
                }
                let context = Context::default().with("iam:PassedToService", Value::one(*service));
                let pass = self.evaluator.decide(&Request::new(index, "iam:PassRole", &target.arn, &context));
                if pass.verdict == Truth::No {
                    continue;
                }
                let Some(by_role) = self.role_grounds(role, new.needs) else { continue };
                let mut grounds = self.grounds(&format!("iam:PassRole on {}", target.arn), &pass);
                grounds.extend(able.grounds.iter().cloned());
                grounds.extend(by_role);
                grounds.push(self.trust_ground(target, service, trusts, trust));
                grounds.extend(profile.into_iter().flat_map(|able| able.grounds));
                let mut step = step(index, role, new.kind.page(), able.truth.and(pass.verdict).and(trusts), grounds);
                step.missing.extend(missing.map(WorkloadKind::missing));
                partly(&mut step, new.kind);
                self.push(step);
            }
        }
    }

    /// Whether it can do what a new workload takes: where one of a kind must exist already, on one that does.
    fn able_to_make(&self, index: usize, new: &New) -> Option<Able> {
        let Some(existing) = new.existing.and_then(kinds::workload) else {
            return self.able(index, new.needs, &[], None);
        };
        let of_kind = self.estate.workloads.iter().filter(|one| one.kind == existing.id);
        let known: Vec<String> = of_kind.map(|one| one.arn.clone()).collect();
        let on_it = |need: &Need| match need.on {
            On::Resource(form) if form == existing.arn => Need { on: On::Workload, ..*need },
            _ => *need,
        };
        let needs: Vec<Need> = new.needs.iter().map(on_it).collect();
        if let Some(able) = self.able(index, &needs, &known, None).filter(|_| !known.is_empty()) {
            return Some(able);
        }
        if self.estate.listed.contains(existing.id) {
            return None;
        }
        let able = self.able(index, new.needs, &[], None)?;
        Some(Able { missing: Some(existing), ..able })
    }

    fn trust_ground(&self, role: &Principal, service: &str, truth: Truth, statement: StatementId) -> Arc<Ground> {
        let open =
            self.estate.statement(statement).filter(|_| truth == Truth::Unknown).map(conditions).unwrap_or_default();
        let claim = format!("the trust policy of {} lets {service} assume it", role.short());
        Arc::new(Ground { claim, grants: self.grants.all([statement]), truth, open })
    }

    pub(super) fn existing_workloads(&mut self, index: usize, existing: &Existing) {
        let may = |need: &Need| {
            is_of_role(need) || need.any_of.is_empty() || need.any_of.iter().any(|action| self.may_try(index, action))
        };
        if !existing.needs.iter().all(may) {
            return;
        }
        let of_kind = self.estate.workloads.iter().filter(|one| one.kind == existing.workload.id);
        let (unsaid, known): (Vec<&Workload>, Vec<&Workload>) =
            of_kind.partition(|one| self.estate.unsaid.contains(&one.arn));
        let mut got = BTreeSet::new();
        for workload in &known {
            let foreign = || Arn::parse(&workload.arn).is_none_or(|arn| arn.account != self.account(index));
            if existing.only_foreign && !foreign() {
                continue;
            }
            let one = std::slice::from_ref(&workload.arn);
            let Some(able) = self.able(index, existing.needs, one, Some(&workload.arn)) else { continue };
            for role in self.roles_of(workload, existing.workload) {
                got.insert(role);
                self.push_existing(index, role, existing, able.clone());
            }
        }
        let is_listed = self.estate.listed.contains(existing.workload.id);
        if existing.only_foreign || is_listed && unsaid.is_empty() {
            return;
        }
        let template = self.form(index, existing.workload.arn);
        let on_it: Vec<&Need> = existing.needs.iter().filter(|need| need.on == On::Workload).collect();
        let candidates: Vec<String> = if is_listed {
            unsaid.iter().map(|workload| workload.arn.clone()).collect()
        } else {
            // Those that are known were judged with the roles that they have.
            let mut candidates = self.candidates(index, &on_it, &template);
            candidates.retain(|one| !known.iter().any(|workload| is_same(one, &workload.arn)));
            candidates
        };
        let definitions =
            kinds::workload("ecs-task-definition").filter(|_| is_listed && existing.workload.id == "ecs-task");
        let missing = definitions.unwrap_or(existing.workload);
        let Some(able) = self.able(index, existing.needs, &candidates, None) else { return };
        let mut roles = BTreeSet::new();
        for service in existing.workload.services {
            roles.extend(self.trusted.get(service).into_iter().flatten().map(|(role, _, _)| *role));
        }
        for role in roles.difference(&got).copied() {
            let able = Able { missing: Some(missing), ..able.clone() };
            self.push_existing(index, role, existing, able);
        }
    }

    /// The role of a workload, or every role that it could be given without passing it.
    pub(super) fn roles_of(&self, workload: &Workload, kind: &WorkloadKind) -> Vec<usize> {
        let own = workload.role.as_deref().and_then(|role| self.estate.find(role).ok());
        let account = Arn::parse(&workload.arn).map(|arn| arn.account.to_owned()).unwrap_or_default();
        let any = |(index, role): (usize, &Principal)| {
            (kind.takes_any_profile() && !role.instance_profiles.is_empty() && role.account() == account)
                .then_some(index)
        };
        let others = self.estate.principals.iter().enumerate().filter_map(any);
        own.into_iter().chain(others).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn push_existing(&mut self, index: usize, role: usize, existing: &Existing, mut able: Able) {
        let Some(target) = self.estate.principals.get(role) else { return };
        let wrong_profile = existing.workload.profile && target.instance_profiles.is_empty() && able.missing.is_some();
        if role == index || wrong_profile || target.account() != self.account(index) && able.missing.is_some() {
            return;
        }
        let Some(by_role) = self.role_grounds(role, existing.needs) else { return };
        able.grounds.extend(by_role);
        let mut step = step(index, role, existing.kind.page(), able.truth, able.grounds);
        step.through = Some(meant(&able.resource));
        step.missing.extend(able.missing.map(WorkloadKind::missing));
        partly(&mut step, existing.kind);
        self.push(step);
    }

    /// What the role itself is allowed, where the needs ask for that; nothing where it is not.
    fn role_grounds(&self, role: usize, needs: &[Need]) -> Option<Vec<Arc<Ground>>> {
        let mut grounds = Vec::new();
        let forms: BTreeSet<&str> = needs.iter().filter_map(|need| of_role(need)).collect();
        for form in forms {
            let same: Vec<&Need> = needs.iter().filter(|need| of_role(need) == Some(form)).collect();
            let on =
                if form == "*" { vec![form.to_owned()] } else { self.candidates(role, &same, &self.form(role, form)) };
            let tried = on.iter().filter_map(|resource| self.role_grounds_on(role, &same, resource));
            let truth = |grounds: &Vec<Arc<Ground>>| Truth::all(grounds.iter().map(|ground| ground.truth));
            grounds.extend(tried.max_by_key(truth)?);
        }
        Some(grounds)
    }

    fn role_grounds_on(&self, role: usize, needs: &[&Need], resource: &str) -> Option<Vec<Arc<Ground>>> {
        let name = self.estate.principals.get(role).map_or("", Principal::short);
        let is_brought = Arn::parse(resource).is_some_and(|arn| arn.account == kinds::ELSEWHERE);
        let (at, context) = match is_brought {
            true => (" in another account", chosen_region().with("aws:ResourceAccount", Value::one(kinds::ELSEWHERE))),
            false => ("", Context::default()),
        };
        let mut grounds = Vec::new();
        for need in needs {
            let ask = |action| {
                let request = Request { is_brought, ..Request::new(role, action, resource, &context) };
                (action, self.evaluator.decide(&request))
            };
            let tried = need.any_of.iter().copied().map(ask);
            let (action, answer) = tried.max_by_key(|(_, answer)| (answer.verdict, answer.could_be()))?;
            let claim = format!("{name} may {action}{at}, which the way in needs");
            match (answer.verdict, answer.could_be()) {
                (Truth::No, Truth::No) => return None,
                // A policy of the role that is not in the files may be the one that allows it.
                (Truth::No, truth) => {
                    grounds.push(Arc::new(Ground { claim, grants: Vec::new(), truth, open: answer.gaps }));
                }
                _ => grounds.extend(self.grounds(&claim, &answer)),
            }
        }
        Some(grounds)
    }

    /// Whether the principal can do all needs; those on the workload on the same one of `workloads`, those on what it
    /// is joined to on what `known` is joined to, or on any of that form where no workload is known.
    pub(super) fn able(&self, index: usize, needs: &[Need], workloads: &[String], known: Option<&str>) -> Option<Able> {
        let on_workload: Vec<&Need> = needs.iter().filter(|need| need.on == On::Workload).collect();
        let mut able = Able { truth: Truth::Yes, grounds: Vec::new(), resource: String::new(), missing: None };
        if !on_workload.is_empty() {
            let tried = workloads.iter().filter_map(|workload| self.all_on_workload(index, &on_workload, workload));
            able = surest(tried)?;
        }
        let mut done: Vec<&str> = Vec::new();
        for need in needs {
            let best = match (need.on, known) {
                (On::Workload | On::Role(_), _) => continue,
                (On::Joined(relation), Some(workload)) => self.on_joined(index, need, (workload, relation))?,
                (On::Joined(relation), None) => self.on_form(index, &[need], kinds::joint(relation)?.form?)?,
                (On::Resource(form), _) if done.contains(&form) => continue,
                (On::Resource(form), _) => {
                    // What is made is what is started: all needs of one form are met on the same one.
                    done.push(form);
                    let same: Vec<&Need> = needs.iter().filter(|other| other.on == need.on).collect();
                    self.on_form(index, &same, form)?
                }
            };
            able.truth = able.truth.and(best.truth);
            able.grounds.extend(best.grounds);
            if able.resource.is_empty() && matches!(need.on, On::Joined(_)) {
                able.resource = best.resource;
            }
        }
        Some(able)
    }

    /// Needs that are all met on the same one of a form, or on the best that the principal's statements speak of.
    fn on_form(&self, index: usize, needs: &[&Need], form: &str) -> Option<Able> {
        let form = self.form(index, form);
        let candidates = self.candidates(index, needs, &form);
        let tried = candidates.iter().filter_map(|one| {
            let context = if is_sample(one) { chosen_region() } else { Context::default() };
            self.all_in(index, needs, (one, &context))
        });
        surest(tried)
    }

    /// A need on something that a workload is joined to, with the joint as a ground of its own.
    fn on_joined(&self, index: usize, need: &Need, (workload, relation): (&str, &str)) -> Option<Able> {
        let joints = self.estate.joints.iter().enumerate();
        let own = joints.filter(|(_, joint)| joint.workload == workload && joint.relation == relation);
        let tried = own.filter_map(|(at, joint)| {
            let mut able = if need.any_of.is_empty() {
                let resource = joint.resource.clone();
                Able { truth: Truth::Yes, grounds: Vec::new(), resource, missing: None }
            } else {
                self.on_form(index, &[need], &joint.resource)?
            };
            able.grounds.push(self.joint_ground(at, workload));
            Some(able)
        });
        surest(tried)
    }

    pub(super) fn joint_ground(&self, at: usize, workload: &str) -> Arc<Ground> {
        let what = self.estate.joints.get(at).map(Joint::what).unwrap_or_default();
        let claim = format!("{workload} has the {what}");
        Arc::new(Ground { claim, grants: vec![self.grants.joint(at)], truth: Truth::Yes, open: Vec::new() })
    }

    /// Whether the principal can do all needs on a workload. Of one whose region nobody said that is certain where it
    /// may do them in whatever region, and possible where it may in one.
    fn all_on_workload(&self, index: usize, needs: &[&Need], workload: &str) -> Option<Able> {
        let Some(arn) = Arn::parse(workload).filter(|arn| arn.region == ANY_REGION) else {
            return self.all_on(index, needs, workload);
        };
        let unsaid = Context::default().with("aws:RequestedRegion", Value::Unknown);
        let anywhere = Arn { region: SOME_REGION, ..arn }.to_string();
        if let Some(able) = self.all_in(index, needs, (&anywhere, &unsaid)) {
            return Some(Able { resource: workload.to_owned(), ..able });
        }
        let candidates = self.candidates(index, needs, workload);
        let mut able = candidates.iter().find_map(|one| self.all_on(index, needs, one))?;
        let region = Arn::parse(&able.resource).map_or(ANY_REGION, |arn| arn.region);
        let claim = format!("{workload} is in {region}");
        let open = vec!["which region it is in: its inventory does not say".to_owned()];
        able.grounds.push(Arc::new(Ground { claim, grants: Vec::new(), truth: Truth::Unknown, open }));
        able.truth = able.truth.and(Truth::Unknown);
        Some(able)
    }

    pub(super) fn all_on(&self, index: usize, needs: &[&Need], resource: &str) -> Option<Able> {
        self.all_in(index, needs, (resource, &Context::default()))
    }

    /// Whether the principal can do all needs on one resource, in this context.
    pub(super) fn all_in(&self, index: usize, needs: &[&Need], (resource, context): (&str, &Context)) -> Option<Able> {
        let mut able = Able { truth: Truth::Yes, grounds: Vec::new(), resource: resource.to_owned(), missing: None };
        for need in needs {
            let tried = need
                .any_of
                .iter()
                .map(|action| (*action, self.evaluator.decide(&Request::new(index, action, resource, context))));
            let ways = tried.filter(|(_, answer)| answer.verdict != Truth::No).map(|(action, answer)| {
                let grounds = self.grounds(&format!("{action} on {}", meant(resource)), &answer);
                Able { truth: answer.verdict, grounds, resource: resource.to_owned(), missing: None }
            });
            let best = surest(ways)?;
            able.truth = able.truth.and(best.truth);
            able.grounds.extend(best.grounds);
        }
        Some(able)
    }

    /// Resources of the template's form that the principal's own statements speak of: if the needs
    /// are allowed on any resource of that form, then on one of these.
    pub(super) fn candidates(&self, index: usize, needs: &[&Need], template: &str) -> Vec<String> {
        let speaking =
            needs.iter().flat_map(|need| need.any_of).flat_map(|action| self.evaluator.speaking(index, action));
        let allowing = speaking.filter(|statement| statement.effect == Effect::Allow);
        let mut patterns: Vec<&str> = allowing.flat_map(resource_patterns).collect();
        patterns.sort_unstable();
        patterns.dedup();
        let mut candidates = vec![instance_of(template, template).unwrap_or_default()];
        candidates.extend(patterns.iter().filter_map(|pattern| instance_of(pattern, template)));
        // What two patterns both cover, for needs that are allowed by one each.
        if needs.len() > 1 && patterns.len() <= PATTERNS_MAX {
            let pairs = patterns.iter().flat_map(|one| patterns.iter().map(move |other| meeting(one, other)));
            candidates.extend(pairs.flatten().filter_map(|both| instance_of(&both, template)));
        }
        candidates.sort();
        candidates.dedup();
        candidates
    }
}

/// The form of what the role itself must be allowed something on.
fn of_role(need: &Need) -> Option<&'static str> {
    match need.on {
        On::Role(form) => Some(form),
        On::Workload | On::Resource(_) | On::Joined(_) => None,
    }
}

fn is_of_role(need: &Need) -> bool {
    of_role(need).is_some()
}

/// Whether two names are of the same thing, in whatever region.
fn is_same(one: &str, other: &str) -> bool {
    let bare = |text| Arn::parse(text).map(|Arn { service, account, resource, .. }| (service, account, resource));
    bare(one).is_some_and(|name| bare(other) == Some(name))
}

/// How many patterns are paired with each other.
const PATTERNS_MAX: usize = 40;

/// A pattern that lies in both, part by part: one of the two where it lies in the other, or else the beginning and the
/// end of both.
fn meeting(one: &str, other: &str) -> Option<String> {
    let part = |(one, other): (&str, &str)| {
        if glob(other, one) {
            return Some(one.to_owned());
        }
        if glob(one, other) {
            return Some(other.to_owned());
        }
        let longer = |a: &str, b: &str| if a.len() >= b.len() { a.to_owned() } else { b.to_owned() };
        let (first, second) = (one.split_once('*')?, other.split_once('*')?);
        let ends = (first.1.rsplit('*').next()?, second.1.rsplit('*').next()?);
        Some(format!("{}*{}", longer(first.0, second.0), longer(ends.0, ends.1)))
    };
    let parts = one.splitn(6, ':').zip(other.splitn(6, ':')).map(part);
    let both = parts.collect::<Option<Vec<_>>>()?.join(":");
    let sample = both.replace('*', SAMPLES[5]);
    (one != other && glob(one, &sample) && glob(other, &sample)).then_some(both)
}

/// A kind that gives less than the whole role is never certain.
pub(super) fn partly(step: &mut Step, kind: &Kind) {
    if let Some(partial) = kind.partial {
        step.truth = step.truth.and(Truth::Unknown);
        step.assuming.push(partial.to_owned());
    }
}

/// What stands for any of a kind in a made-up name, part by part.
const SAMPLES: [&str; 6] = ["arn", "aws", "service", "us-east-1", "111122223333", "any-name"];

/// A region that no policy names, for asking what may be done in whatever region.
const SOME_REGION: &str = "some-region-0";

/// Whether a name's region is made up.
fn is_sample(resource: &str) -> bool {
    Arn::parse(resource).is_none_or(|arn| arn.region == SAMPLES[3])
}

/// A made-up name as what it stands for: any name there, in any region.
pub(super) fn meant(resource: &str) -> String {
    let is_made_up = |arn: &Arn<'_>| arn.region == SOME_REGION || arn.resource.contains(SAMPLES[5]);
    let Some(arn) = Arn::parse(resource).filter(is_made_up) else {
        return resource.to_owned();
    };
    let region = if [SAMPLES[3], SOME_REGION].contains(&arn.region) { ANY_REGION } else { arn.region };
    let Arn { partition, service, account, resource, .. } = arn;
    format!("arn:{partition}:{service}:{region}:{account}:{}", resource.replace(SAMPLES[5], "*"))
}

/// A concrete resource that both patterns cover, segment by segment; `None` when none is found.
fn instance_of(pattern: &str, template: &str) -> Option<String> {
    let whole = |text: &str| {
        let parts = text.splitn(6, ':').zip(SAMPLES).map(|(part, sample)| part.replace(['*', '?'], sample));
        parts.collect::<Vec<_>>().join(":")
    };
    let plain = whole(template);
    // A placeholder names nothing; what it stands for has the form of the template.
    if glob(pattern, &plain) || placeholder(pattern).is_some() {
        return Some(plain);
    }
    let merged: Vec<String> = pattern
        .splitn(6, ':')
        .zip(template.splitn(6, ':'))
        .zip(plain.splitn(6, ':'))
        .zip(SAMPLES)
        .map(
            |(((pattern, _), plain), sample)| {
                if glob(pattern, plain) { plain.to_owned() } else { pattern.replace(['*', '?'], sample) }
            },
        )
        .collect();
    let merged = merged.join(":");
    (glob(pattern, &merged) && glob(template, &merged)).then_some(merged)
}

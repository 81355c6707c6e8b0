//! Those whom trust policies let in and no file describes, and what they get.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::workload::partly;
use super::{Deriver, MAY_BE_KEPT_OUT, conditions, step};
use crate::aws::arn::Arn;
use crate::aws::condition::{Condition, Context, Value};
use crate::aws::estate::{Estate, Joint, PolicyId, Principal, PrincipalKind};
use crate::aws::kinds::outside::issues_to_workflows;
use crate::aws::kinds::{self, Kind, Need, On, Shape};
use crate::aws::policy::{Effect, Named, Principals, Statement};
use crate::aws::truth::Truth;
use crate::step::Ground;

/// Adds the users, roles, accounts and providers that trust policies and resources' own let in and no file describes.
pub(super) fn add(estate: &mut Estate) {
    let accounts: BTreeSet<String> = estate.principals.iter().map(|one| one.account().to_owned()).collect();
    let mut found: Vec<Principal> = Vec::new();
    for role in estate.principals.iter().filter(|one| one.kind == PrincipalKind::Role) {
        let Some(trust) = role.trust else { continue };
        for (_, statement) in estate.statements(trust).filter(|(_, statement)| statement.effect == Effect::Allow) {
            for named in let_in(statement) {
                let Some((kind, name)) = outsider(named, statement, (&accounts, role.partition())) else { continue };
                let known = estate.index_of(&name).is_some() || found.iter().any(|one| one.arn == name);
                if !known {
                    let mut principal = Principal::new(kind, name, role.source.clone());
                    principal.line = statement.line;
                    found.push(principal);
                }
            }
        }
    }
    for policy in estate.resource_policies.values().copied().collect::<BTreeSet<_>>() {
        let source = estate.policy(policy).map(|policy| policy.source.clone()).unwrap_or_default();
        for (kind, name, line) in named_in(estate, policy) {
            if estate.index_of(&name).is_none() && !found.iter().any(|one| one.arn == name) {
                let mut principal = Principal::new(kind, name, source.clone());
                principal.line = line;
                found.push(principal);
            }
        }
    }
    for joint in estate.joints.iter().filter(|joint| exposes(joint)) {
        let name = whoever_reaches(joint);
        if !found.iter().any(|one| one.arn == name) {
            let mut principal = Principal::new(PrincipalKind::Web, name, joint.source.clone());
            principal.line = joint.line;
            found.push(principal);
        }
    }
    estate.principals.extend(found);
    estate.link();
}

/// The kinds of step that take nothing but writing what a workload of a type is joined to: those, too, whom the policy
/// of that lets in from outside.
fn writers() -> impl Iterator<Item = (&'static Kind, &'static str, &'static Need, &'static str)> {
    kinds::all().filter_map(|kind| match &kind.shape {
        Shape::ExistingWorkload { workload, needs: [need] } => match need.on {
            On::Joined(relation) => Some((kind, *workload, need, relation)),
            On::Workload | On::Resource(_) | On::Role(_) => None,
        },
        _ => None,
    })
}

/// Whom a resource's policy lets in from outside of the files: everyone, accounts and their principals.
pub(crate) fn named_in(estate: &Estate, policy: PolicyId) -> Vec<(PrincipalKind, String, Option<u32>)> {
    let accounts: BTreeSet<String> = estate.principals.iter().map(|one| one.account().to_owned()).collect();
    let partition = estate.principals.iter().map(Principal::partition).find(|one| !one.is_empty()).unwrap_or("aws");
    let mut found = Vec::new();
    for (_, statement) in estate.statements(policy).filter(|(_, statement)| statement.effect == Effect::Allow) {
        let named = let_in(statement).iter().filter_map(|named| outsider(named, statement, (&accounts, partition)));
        for (kind, name) in named.filter(|(kind, _)| *kind != PrincipalKind::Federated) {
            let is_own = Arn::parse(&name).is_some_and(|arn| accounts.contains(arn.account));
            if !is_own && !found.iter().any(|(_, known, _)| *known == name) {
                found.push((kind, name, statement.line));
            }
        }
    }
    found
}

/// Whether a policy names one of [`named_in`].
pub(crate) fn is_named(named: &Named, (kind, name): (PrincipalKind, &str)) -> bool {
    match named {
        Named::Anyone => kind == PrincipalKind::Anyone,
        Named::Aws(text) => *text == name || name.ends_with(&format!("::{text}:root")),
        Named::Federated(_) | Named::Service(_) | Named::Canonical(_) => false,
    }
}

/// What is known of a request of one of [`named_in`].
pub(crate) fn asked_by(kind: PrincipalKind, name: &str) -> Context {
    let context = Context::default().with("aws:SecureTransport", Value::one("true"));
    match Arn::parse(name) {
        Some(arn) if kind == PrincipalKind::Outside => {
            context.with("aws:PrincipalArn", Value::one(name)).with("aws:PrincipalAccount", Value::one(arn.account))
        }
        // Who signs nothing has none of what a request says of who asks.
        _ => [
            "aws:PrincipalArn",
            "aws:PrincipalAccount",
            "aws:PrincipalOrgID",
            "aws:PrincipalOrgPaths",
            "aws:PrincipalTag/*",
        ]
        .into_iter()
        .fold(context, |context, key| context.with(key, Value::Absent)),
    }
}

/// Whether a joint lets in everyone.
fn exposes(joint: &Joint) -> bool {
    let by = |kind: &kinds::Kind| matches!(&kind.shape, Shape::Exposed { joint: relation, .. } if *relation == joint.relation);
    kinds::all().any(by)
}

fn whoever_reaches(joint: &Joint) -> String {
    let name = Arn::parse(&joint.workload).map_or(joint.workload.as_str(), |arn| arn.name());
    format!("whoever has the {} of {name}", joint.relation.replace('-', " ").replace("url", "URL"))
}

/// What is to be assumed of somebody's own account: it decides for itself, and whether it lets one of its own is in its
/// policies.
pub(crate) fn own_account(principal: &Principal) -> Option<String> {
    let is_one = principal.kind == PrincipalKind::Outside && !principal.arn.ends_with(":root");
    is_one.then(|| format!("account {} lets it", principal.account()))
}

/// Whom a statement that allows lets in: all but some are anyone.
fn let_in(statement: &Statement) -> &[Named] {
    const EVERYBODY: &[Named] = &[Named::Anyone];
    match &statement.principals {
        Some(Principals::Of(list)) => list,
        Some(Principals::Except(_)) => EVERYBODY,
        None => &[],
    }
}

fn outsider(
    named: &Named,
    statement: &Statement,
    (accounts, partition): (&BTreeSet<String>, &str),
) -> Option<(PrincipalKind, String)> {
    match named {
        Named::Anyone => Some((PrincipalKind::Anyone, ANYONE.to_owned())),
        Named::Federated(provider) => Some((PrincipalKind::Federated, federated(provider, statement))),
        Named::Aws(text) => match Arn::parse(text) {
            Some(arn) if arn.resource == "root" && accounts.contains(arn.account) => None,
            Some(arn) if arn.resource.starts_with("assumed-role/") => None,
            Some(_) => Some((PrincipalKind::Outside, text.clone())),
            None if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) && !accounts.contains(text) => {
                Some((PrincipalKind::Outside, root_of(text, partition)))
            }
            None => None,
        },
        Named::Service(_) | Named::Canonical(_) => None,
    }
}

fn root_of(account: &str, partition: &str) -> String {
    format!("arn:{partition}:iam::{account}:root")
}

const ANYONE: &str = "anyone with an AWS account";

/// The provider together with the subjects that the statement lets in: another subject is another
/// outsider.
fn federated(provider: &str, statement: &Statement) -> String {
    let subject = |condition: &&Condition| condition.key.to_ascii_lowercase().ends_with(":sub");
    let subjects: Vec<&str> =
        statement.conditions.iter().filter(subject).flat_map(|one| one.values.iter().map(String::as_str)).collect();
    if subjects.is_empty() {
        format!("{provider} (any subject)")
    } else {
        format!("{provider} ({})", subjects.join(", "))
    }
}

impl Deriver<'_> {
    /// Whom a trust policy lets in from outside the files.
    pub(super) fn outsider(&mut self, index: usize, principal: &Principal) {
        let by_workflow = principal.kind == PrincipalKind::Federated && issues_to_workflows(&principal.arn);
        let Some(kind) = kinds::get(if by_workflow { "ci-assume-role" } else { "sts-assume-role" }) else { return };
        for (target, role) in self.estate.principals.iter().enumerate() {
            let Some(trust) = role.trust else { continue };
            for (id, statement) in self.estate.statements(trust) {
                let named = let_in(statement).iter().any(|named| names_outsider(named, statement, principal));
                let assumes = ["sts:assumerole", "sts:assumerolewithwebidentity", "sts:assumerolewithsaml"];
                if statement.effect != Effect::Allow
                    || !named
                    || !assumes.iter().any(|action| statement.has_action(action))
                {
                    continue;
                }
                let context = self.outside_context(trust, principal);
                let is = |named: &Named| names_outsider(named, statement, principal);
                let assumed = assumes.iter().filter(|action| statement.has_action(&action.to_ascii_lowercase()));
                let kept = assumed.map(|action| self.evaluator.keeps_out(target, action, is, &context));
                let kept = kept.min().unwrap_or_default();
                let holds = statement.conditions_hold(&context);
                let truth = holds.and(kept.negate());
                let mut open = if holds == Truth::Unknown { conditions(statement) } else { Vec::new() };
                open.extend((kept == Truth::Unknown).then(|| MAY_BE_KEPT_OUT.to_owned()));
                let claim = format!("the trust policy of {} lets it in", role.short());
                let ground = Ground { claim, grants: self.grants.all([id]), truth, open };
                let mut step = step(index, target, kind.page(), truth, vec![Arc::new(ground)]);
                step.assuming.extend(own_account(principal).filter(|_| principal.account() != role.account()));
                self.push(step);
            }
        }
    }

    /// Whom the policy of what a workload is joined to lets write that.
    pub(super) fn writes_from_outside(&mut self, index: usize, principal: &Principal) {
        let who = (principal.kind, principal.arn.as_str());
        let context = asked_by(principal.kind, &principal.arn);
        for (kind, workload, need, relation) in writers() {
            let Some(of) = kinds::workload(workload) else { continue };
            for (at, joint) in self.estate.joints.iter().enumerate().filter(|(_, joint)| joint.relation == relation) {
                let resource = joint.resource.replace('*', "any-name");
                for workload in self.estate.workloads.iter().filter(|one| one.arn == joint.workload) {
                    for role in self.roles_of(workload, of) {
                        let on = (resource.as_str(), self.account(role));
                        let ask = |action: &&'static str| {
                            let answer =
                                self.evaluator.decide_outsider(on, action, |named| is_named(named, who), &context);
                            (*action, answer)
                        };
                        let Some((action, answer)) = need.any_of.iter().map(ask).max_by_key(|(_, one)| one.verdict)
                        else {
                            continue;
                        };
                        let ground = Ground {
                            claim: format!("{action} on {}", joint.resource),
                            grants: self.grants.all(answer.allows.iter().map(|cite| cite.statement)),
                            truth: answer.verdict,
                            open: super::open(self.estate, &answer),
                        };
                        let grounds = vec![Arc::new(ground), self.joint_ground(at, &workload.arn)];
                        let mut step = step(index, role, kind.page(), answer.verdict, grounds);
                        step.through = Some(joint.resource.clone());
                        partly(&mut step, kind);
                        self.push(step);
                    }
                }
            }
        }
    }

    /// What whoever has a public URL gets.
    pub(super) fn public(&mut self, index: usize, principal: &Principal) {
        for kind in kinds::all() {
            let Shape::Exposed { workload, joint: relation } = &kind.shape else { continue };
            let Some(of) = kinds::workload(workload) else { continue };
            for (at, joint) in self.estate.joints.iter().enumerate() {
                if joint.relation != *relation || whoever_reaches(joint) != principal.arn {
                    continue;
                }
                for workload in self.estate.workloads.iter().filter(|one| one.arn == joint.workload) {
                    for role in self.roles_of(workload, of) {
                        let ground = self.joint_ground(at, &workload.arn);
                        let mut step = step(index, role, kind.page(), Truth::Yes, vec![ground]);
                        step.through = Some(joint.workload.clone());
                        partly(&mut step, kind);
                        self.push(step);
                    }
                }
            }
        }
    }

    /// What is known of an outsider's request. The subject and audience of a federated one are who it is, so what asks
    /// for them holds.
    fn outside_context(&self, trust: PolicyId, principal: &Principal) -> Context {
        let mut context = Context::default().with("aws:SecureTransport", Value::one("true"));
        if principal.kind == PrincipalKind::Federated {
            for condition in self.estate.statements(trust).flat_map(|(_, statement)| &statement.conditions) {
                if condition.key.ends_with(":sub") || condition.key.ends_with(":aud") {
                    context.set(&condition.key, Value::Chosen);
                }
            }
        } else {
            context.set("aws:PrincipalArn", Value::one(&principal.arn));
            context.set("aws:PrincipalAccount", Value::one(principal.account()));
        }
        context
    }
}

fn names_outsider(named: &Named, statement: &Statement, principal: &Principal) -> bool {
    match named {
        Named::Anyone => principal.kind == PrincipalKind::Anyone,
        Named::Federated(provider) => federated(provider, statement) == principal.arn,
        Named::Aws(text) => *text == principal.arn || root_of(text, principal.partition()) == principal.arn,
        Named::Service(_) | Named::Canonical(_) => false,
    }
}

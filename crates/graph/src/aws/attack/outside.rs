//! Those whom trust policies let in and no file describes, and what they get.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::workload::partly;
use super::{Deriver, MAY_BE_KEPT_OUT, conditions, step};
use crate::aws::arn::Arn;
use crate::aws::condition::{Condition, Context, Value};
use crate::aws::estate::{Estate, Joint, PolicyId, Principal, PrincipalKind};
use crate::aws::kinds::outside::issues_to_workflows;
use crate::aws::kinds::{self, Shape};
use crate::aws::policy::{Effect, Named, Principals, Statement};
use crate::aws::truth::Truth;
use crate::step::Ground;

/// Adds the users, roles, accounts and providers that trust policies let in and no file describes.
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

/// Whether a joint lets in everyone.
fn exposes(joint: &Joint) -> bool {
    let by = |kind: &kinds::Kind| matches!(&kind.shape, Shape::Exposed { joint: relation, .. } if *relation == joint.relation);
    kinds::all().any(by)
}

fn whoever_reaches(joint: &Joint) -> String {
    let name = Arn::parse(&joint.workload).map_or(joint.workload.as_str(), |arn| arn.name());
    format!("whoever has the {} of {name}", joint.relation.replace('-', " ").replace("url", "URL"))
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
                // An account decides for itself; whether it lets one of its own is in its policies.
                let is_account = principal.arn.ends_with(":root");
                if principal.kind == PrincipalKind::Outside && !is_account && principal.account() != role.account() {
                    step.assuming.push(format!("account {} lets it assume the role", principal.account()));
                }
                self.push(step);
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

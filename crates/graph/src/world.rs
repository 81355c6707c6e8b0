//! Everything that the files describe in one: cloud accounts, a cluster, what was handed on beside them, and what
//! leads from where to where.
//!
//! Pure. [`World::derive`] makes the steps; [`World::target`] turns what people ask for into a goal.

pub mod bridge;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::aws::attack::{self, own_account};
use crate::aws::evaluate::{Evaluator, Request};
use crate::aws::kinds::UNREAD_TEXT;
use crate::aws::{self, Arn, Context, PrincipalKind, Truth, query};
use crate::delegation;
use crate::kubernetes;
use crate::step::paths::Target;
use crate::step::{ACCESS, CONTROL, Ground, Node, NodeKind, Step, Steps};

/// Accounts and a cluster with every step that follows from them.
pub struct World {
    /// The cloud accounts. A principal's index is the index of its node.
    pub aws: aws::Estate,
    /// The cluster.
    pub cluster: kubernetes::Estate,
    /// Every step.
    pub steps: Steps,
}

/// What people ask to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Administrator of an account or cluster, or root on a machine of a cluster.
    Administrator,
    /// A node.
    Node(usize),
    /// A resource, by an action on it.
    Resource {
        /// For example `s3:GetObject`.
        action: String,
        /// Its ARN.
        arn: String,
    },
}

impl World {
    /// Derives every step of linked accounts and a linked cluster, and those between them.
    pub fn derive(estate: aws::Estate, cluster: kubernetes::Estate, delegation: &delegation::Estate) -> Self {
        let attack::Derived { estate, mut steps } = attack::derive(estate);
        kubernetes::attack::derive(&cluster, &mut steps);
        if !cluster.is_empty() {
            bridge::derive(&estate, &cluster, &mut steps);
        }
        delegation::derive(delegation, &estate, &mut steps);
        let_administrators_out(&mut steps);
        Self { aws: estate, cluster, steps }
    }

    /// A goal as the search needs it.
    pub fn target(&self, goal: &Goal) -> Target {
        match goal {
            Goal::Administrator => Target::crowns(&self.steps),
            Goal::Node(index) => Target::node(&self.steps, *index),
            Goal::Resource { action, arn } => self.resource(action, arn),
        }
    }

    /// Whoever may use the resource gets there, and the administrator of its account.
    fn resource(&self, action: &str, arn: &str) -> Target {
        let goal = self.steps.nodes.len();
        let mut target =
            Target { what: format!("{action} on {arn}"), nodes: BTreeSet::from([goal]), ..Target::default() };
        let node = |key: &str| {
            let (key, name, source) = (key.to_owned(), key.to_owned(), "".into());
            Node { key, name, kind: NodeKind::Resource, domain: "".into(), source, line: None }
        };
        target.node = Some(node(arn));
        let named = Arn::parse(arn).map(|arn| arn.account.to_owned()).filter(|account| !account.is_empty());
        let accounts: BTreeSet<String> = match named {
            Some(account) => BTreeSet::from([account]),
            None => self.aws.principals.iter().map(|one| one.account().to_owned()).collect(),
        };
        // A bucket's name has no account in it: of several accounts, the administrator of one of them gets there.
        let certain = accounts.len() == 1;
        for account in &accounts {
            target.let_administrator(&self.steps, account, goal);
        }
        if !certain {
            target.there.clear();
            for step in &mut target.steps {
                step.assuming.push(format!("{arn} belongs to the administrator's account"));
                *step = step.clone().settled();
            }
        }
        let (evaluator, grants) = (Evaluator::new(&self.aws), self.aws.grants());
        for (index, principal) in self.aws.principals.iter().enumerate() {
            let context = Context::default();
            let answer = match principal.kind {
                PrincipalKind::User | PrincipalKind::Role => {
                    evaluator.decide(&Request::new(index, action, arn, &context))
                }
                PrincipalKind::Anyone | PrincipalKind::Outside => {
                    query::outsider_can(&evaluator, (principal.kind, &principal.arn), action, arn, &context)
                }
                PrincipalKind::Group | PrincipalKind::Federated | PrincipalKind::Web => continue,
            };
            if answer.verdict == Truth::No {
                target.steps.extend(self.spoken_of(index, arn).map(|step| Step { to: goal, ..step }));
                continue;
            }
            let ground = Ground {
                claim: format!("{action} on {arn}"),
                grants: grants.all(answer.allows.iter().map(|cite| cite.statement)),
                truth: answer.verdict,
                open: attack::open(&self.aws, &answer),
            };
            let assuming = own_account(principal).into_iter().collect();
            let step = Step { grounds: vec![Arc::new(ground)], assuming, ..Step::new(index, goal, ACCESS) };
            target.steps.push(step.settled());
        }
        target
    }
}

impl World {
    /// A possible step to a resource of which a policy of the principal speaks whose text is not in the files.
    fn spoken_of(&self, index: usize, arn: &str) -> Option<Step> {
        let unread = &self.aws.principals.get(index)?.unread;
        let about = |joint: &aws::estate::Joint| {
            joint.relation == UNREAD_TEXT && unread.contains(&joint.workload) && arn.starts_with(&joint.resource)
        };
        let at = self.aws.joints.iter().position(about)?;
        let claim = format!("{} speaks of it", self.aws.joints.get(at)?.workload);
        let grants = vec![self.aws.grants().joint(at)];
        let ground = Ground { claim, grants, truth: Truth::Unknown, open: Vec::new() };
        let assuming = vec!["the policy, whose text is not in the files, allows it".to_owned()];
        let step = Step { grounds: vec![Arc::new(ground)], assuming, ..Step::new(index, index, ACCESS) };
        Some(step.settled())
    }
}

/// The administrator of an account or cluster controls everything in it, and what leads out of it matters: who has
/// such a step is had by the administrator.
fn let_administrators_out(steps: &mut Steps) {
    let domain = |index: usize| steps.nodes.get(index).map(|node| node.domain.clone());
    let mut taken = BTreeSet::new();
    for step in &steps.steps {
        let (Some(own), Some(other)) = (domain(step.from), domain(step.to)) else { continue };
        let from = steps.nodes.get(step.from).filter(|node| node.kind != NodeKind::Outside);
        let crown = steps.administrator_of(&own).filter(|crown| own != other && *crown != step.from);
        if let (Some(_), Some(crown)) = (from, crown) {
            taken.insert((crown, step.from));
        }
    }
    for (crown, from) in taken {
        steps.push(Step::new(crown, from, CONTROL));
    }
}

/// The action that reads a resource, and the form of the resource that it is asked on.
pub fn reading(arn: &Arn<'_>) -> (String, String) {
    let whole = arn.to_string();
    let action = match arn.service {
        "s3" if arn.resource.contains('/') => "s3:GetObject",
        "s3" => return ("s3:GetObject".to_owned(), format!("{whole}/*")),
        "secretsmanager" => "secretsmanager:GetSecretValue",
        "dynamodb" => "dynamodb:GetItem",
        "kms" => "kms:Decrypt",
        "ssm" => "ssm:GetParameter",
        "sqs" => "sqs:ReceiveMessage",
        "lambda" => "lambda:InvokeFunction",
        "bedrock" => "bedrock:Retrieve",
        service => return (format!("{service}:Get*"), whole),
    };
    (action.to_owned(), whole)
}

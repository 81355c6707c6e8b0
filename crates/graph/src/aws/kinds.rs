//! The ways from one principal to another: one entry per kind, each a list of requirements that must
//! hold together.
//!
//! A kind is data, so its example and its counter-example are made from its requirements and cannot
//! drift: the example meets all of them, a counter-example lacks one ([`Kind::example`],
//! [`Kind::counter_examples`]). To add a kind, add an entry to the file of its service.

mod agent;
mod batch;
mod bedrock;
mod cloudformation;
mod codebuild;
mod ec2;
mod ecs;
mod example;
mod glue;
mod iam;
mod lambda;
mod more;
mod other;
pub(crate) mod outside;
mod sagemaker;
mod ssm;
mod sts;
mod unread;

use crate::step::{Missing, Page};

/// One kind of step.
#[derive(Debug)]
pub struct Kind {
    /// The stable id.
    pub id: &'static str,
    /// What the attacker does, as a clause: "creates a Lambda function with the role".
    pub title: &'static str,
    /// Ids in the public catalogue of pathfinding.cloud that this covers.
    pub catalogue: &'static [&'static str],
    /// Why it works.
    pub why: &'static str,
    /// What must hold.
    pub shape: Shape,
    /// What it gives less than the whole role, if so: such a step is possible, never certain.
    pub partial: Option<&'static str>,
    /// Where it is documented.
    pub references: &'static [&'static str],
}

impl Kind {
    /// What is the same for all steps of the kind.
    pub const fn page(&self) -> Page {
        let Self { id, title, catalogue, why, references, .. } = self;
        Page { id, title, catalogue, why, references }
    }
}

/// What a kind needs, and what it gives.
#[derive(Debug)]
pub enum Shape {
    /// `sts:AssumeRole` and a trust policy that lets it.
    Assume,
    /// An action on a user gives the user's credentials.
    TakeUser {
        /// The action.
        action: &'static str,
        /// What defeats it and no export shows.
        unless: &'static str,
    },
    /// The user's own group memberships may be changed.
    JoinGroup,
    /// A role's trust policy may be rewritten to name the attacker.
    RewriteTrust,
    /// A principal's policies may be rewritten: with access to that principal, everything.
    Rewrite(Rewrite),
    /// A role may be passed to something new that runs the attacker's instructions.
    NewWorkload {
        /// Services that the role's trust policy must let, any of them.
        services: &'static [&'static str],
        /// Whether the role needs an instance profile.
        profile: bool,
        /// What the attacker must be allowed besides `iam:PassRole`.
        needs: &'static [Need],
        /// A workload kind of which one must exist already.
        existing: Option<&'static str>,
    },
    /// Something that runs as a role obeys the attacker.
    ExistingWorkload {
        /// One of [`WORKLOADS`].
        workload: &'static str,
        /// What the attacker must be allowed on it.
        needs: &'static [Need],
    },
    /// Something that the role of an agent reads, by its policies, may be written by the attacker.
    Shared {
        /// Services of which one runs the agent.
        services: &'static [&'static str],
        /// The form of what both use.
        resource: &'static str,
        /// Any of these writes it.
        writes: &'static [&'static str],
        /// Any of these reads it.
        reads: &'static [&'static str],
    },
    /// What users of the account let its agents do elsewhere.
    Consents {
        /// What the attacker must be allowed.
        needs: &'static [Need],
    },
    /// A user or role that the attacker makes.
    Newcomer {
        /// The form of its ARN.
        form: &'static str,
        /// What the attacker must be allowed on it, all on the same one.
        needs: &'static [Need],
    },
    /// Whoever reaches a workload from the web.
    Exposed {
        /// One of [`WORKLOADS`].
        workload: &'static str,
        /// The one of [`JOINTS`] that exposes it.
        joint: &'static str,
    },
    /// A trust policy lets in the workflows of a repository.
    Workflow,
    /// A policy of the attacker speaks of something, and the files do not hold its text.
    UnreadPolicy,
    /// A role's trust policy speaks of the attacker, and the files do not hold its text.
    UnreadTrust,
}

/// How policies are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// An inline policy of a user, role or group.
    Inline(Whose),
    /// A managed policy is attached to a user, role or group.
    Attach(Whose),
    /// A new version of an attached customer-managed policy.
    NewVersion,
    /// Another existing version of an attached customer-managed policy is put in force.
    OtherVersion,
}

/// Whose policies are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// A user's.
    User,
    /// A role's.
    Role,
    /// A group's.
    Group,
}

impl Rewrite {
    /// The action that does it.
    pub fn action(self) -> &'static str {
        match self {
            Self::Inline(Whose::User) => "iam:PutUserPolicy",
            Self::Inline(Whose::Role) => "iam:PutRolePolicy",
            Self::Inline(Whose::Group) => "iam:PutGroupPolicy",
            Self::Attach(Whose::User) => "iam:AttachUserPolicy",
            Self::Attach(Whose::Role) => "iam:AttachRolePolicy",
            Self::Attach(Whose::Group) => "iam:AttachGroupPolicy",
            Self::NewVersion => "iam:CreatePolicyVersion",
            Self::OtherVersion => "iam:SetDefaultPolicyVersion",
        }
    }
}

/// One requirement: any of these actions on the workload, or on something else of its own type.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Any one of them.
    pub any_of: &'static [&'static str],
    /// On what.
    pub on: On,
}

/// What an action must be allowed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The workload itself, the same one for all needs.
    Workload,
    /// A resource of this form, in which `{account}` is the attacker's account.
    Resource(&'static str),
    /// What the workload is joined to in this way, one of [`JOINTS`]. Without an action it must only be there.
    Joined(&'static str),
    /// It is the role that must be allowed it for the way in to work, on a resource of this form. `{elsewhere}` is an
    /// account of the attacker's own, whose policies let in whom the attacker wants.
    Role(&'static str),
}

/// An account of the attacker's own, which no file describes.
pub const ELSEWHERE: &str = "000000000000";

/// A way in which a workload is joined to something.
#[derive(Debug)]
pub struct JointKind {
    /// The id used in [`On::Joined`] and [`super::estate::Joint`].
    pub id: &'static str,
    /// The form of what it is joined to, where any of that form is asked of when no inventory was given; `None` where
    /// too much has that form.
    pub form: Option<&'static str>,
}

/// A policy, by its ARN or another name, and what its text, which the files do not hold, speaks of.
pub const UNREAD_TEXT: &str = "unread-text-about";
/// A role and whom its trust policy speaks of, whose text the files do not hold.
pub const UNREAD_TRUST: &str = "unread-trust-about";

/// Every way.
pub const JOINTS: &[JointKind] = &[
    JointKind { id: "guardrail", form: Some("arn:aws:bedrock:*:{account}:guardrail/*") },
    JointKind { id: "knowledge-base", form: Some("arn:aws:bedrock:*:{account}:knowledge-base/*") },
    JointKind { id: "knowledge-bucket", form: None },
    JointKind { id: "tool", form: None },
    JointKind { id: "image", form: None },
    JointKind { id: "source", form: Some("arn:aws:codecommit:*:{account}:*") },
    JointKind { id: "public-url", form: None },
    JointKind { id: UNREAD_TEXT, form: None },
    JointKind { id: UNREAD_TRUST, form: None },
];

/// The joint kind with this id.
pub fn joint(id: &str) -> Option<&'static JointKind> {
    JOINTS.iter().find(|kind| kind.id == id)
}

/// A need on the workload.
const fn it(any_of: &'static [&'static str]) -> Need {
    Need { any_of, on: On::Workload }
}

/// A need on a resource of another form.
const fn on(resource: &'static str, any_of: &'static [&'static str]) -> Need {
    Need { any_of, on: On::Resource(resource) }
}

/// A need on what the workload is joined to.
const fn joined(relation: &'static str, any_of: &'static [&'static str]) -> Need {
    Need { any_of, on: On::Joined(relation) }
}

/// What the role itself must be allowed for the way in to work.
const fn by_role(resource: &'static str, any_of: &'static [&'static str]) -> Need {
    Need { any_of, on: On::Role(resource) }
}

/// A type of thing that runs as a role.
#[derive(Debug)]
pub struct WorkloadKind {
    /// The id used in [`Shape`] and inventories.
    pub id: &'static str,
    /// The plural that people use.
    pub noun: &'static str,
    /// The form of its ARN.
    pub arn: &'static str,
    /// Services that run it: a role that trusts none of them cannot be its role.
    pub services: &'static [&'static str],
    /// Whether its role has an instance profile.
    pub profile: bool,
    /// The command that lists them.
    pub listing: &'static str,
}

impl WorkloadKind {
    /// Whether a new version of it may name any instance profile: `iam:PassRole` is asked only of whoever
    /// launches, which is the service for an Auto Scaling group.
    pub fn takes_any_profile(&self) -> bool {
        self.id == "launch-template"
    }

    /// The inventory that would list it.
    pub const fn missing(&self) -> Missing {
        let Self { id, noun, listing, .. } = self;
        Missing { id, noun, listing }
    }
}

macro_rules! workloads {
    ($($id:literal $noun:literal $arn:literal [$($service:literal)*] $profile:literal $listing:literal;)*) => {
        /// Every type of workload.
        pub const WORKLOADS: &[WorkloadKind] = &[$(WorkloadKind {
            id: $id, noun: $noun, arn: $arn, services: &[$($service),*], profile: $profile, listing: $listing,
        },)*];
    };
}

workloads! {
    "lambda-function" "Lambda functions" "arn:aws:lambda:*:{account}:function:*" ["lambda.amazonaws.com"] false "aws lambda list-functions";
    "ec2-instance" "EC2 instances" "arn:aws:ec2:*:{account}:instance/*" ["ec2.amazonaws.com"] true "aws ec2 describe-instances";
    "launch-template" "EC2 launch templates" "arn:aws:ec2:*:{account}:launch-template/*" ["ec2.amazonaws.com"] true "aws ec2 describe-launch-template-versions";
    "ecs-task" "ECS tasks" "arn:aws:ecs:*:{account}:task/*" ["ecs-tasks.amazonaws.com"] false "aws ecs describe-tasks";
    "ecs-cluster" "ECS clusters" "arn:aws:ecs:*:{account}:cluster/*" ["ecs.amazonaws.com"] false "aws ecs describe-clusters";
    "ecs-task-definition" "ECS task definitions" "arn:aws:ecs:*:{account}:task-definition/*" ["ecs-tasks.amazonaws.com"] false "aws ecs describe-task-definition";
    "cloudformation-stack" "CloudFormation stacks" "arn:aws:cloudformation:*:{account}:stack/*" ["cloudformation.amazonaws.com"] false "aws cloudformation describe-stacks";
    "cloudformation-stackset" "CloudFormation stack sets" "arn:aws:cloudformation:*:{account}:stackset/*" ["cloudformation.amazonaws.com"] false "aws cloudformation describe-stack-set";
    "codebuild-project" "CodeBuild projects" "arn:aws:codebuild:*:{account}:project/*" ["codebuild.amazonaws.com"] false "aws codebuild batch-get-projects";
    "glue-dev-endpoint" "Glue development endpoints" "arn:aws:glue:*:{account}:devEndpoint/*" ["glue.amazonaws.com"] false "aws glue get-dev-endpoints";
    "glue-job" "Glue jobs" "arn:aws:glue:*:{account}:job/*" ["glue.amazonaws.com"] false "aws glue get-jobs";
    "sagemaker-notebook" "SageMaker notebook instances" "arn:aws:sagemaker:*:{account}:notebook-instance/*" ["sagemaker.amazonaws.com"] false "aws sagemaker describe-notebook-instance";
    "apprunner-service" "App Runner services" "arn:aws:apprunner:*:{account}:service/*" ["tasks.apprunner.amazonaws.com"] false "aws apprunner describe-service";
    "code-interpreter" "AgentCore code interpreters" "arn:aws:bedrock-agentcore:*:{account}:code-interpreter-custom/*" ["bedrock-agentcore.amazonaws.com"] false "aws bedrock-agentcore-control get-code-interpreter";
    "agent-runtime" "AgentCore runtimes" "arn:aws:bedrock-agentcore:*:{account}:runtime/*" ["bedrock-agentcore.amazonaws.com"] false "aws bedrock-agentcore-control get-agent-runtime";
    "agentcore-browser" "AgentCore browsers" "arn:aws:bedrock-agentcore:*:{account}:browser-custom/*" ["bedrock-agentcore.amazonaws.com"] false "aws bedrock-agentcore-control get-browser";
    "bedrock-agent" "Bedrock agents" "arn:aws:bedrock:*:{account}:agent/*" ["bedrock.amazonaws.com"] false "aws bedrock-agent get-agent";
    "event-source" "event sources (DynamoDB streams, Kinesis streams, queues)" "arn:aws:dynamodb:*:{account}:table/*" ["dynamodb.amazonaws.com"] false "aws lambda list-event-source-mappings";
    "batch-job-definition" "Batch job definitions" "arn:aws:batch:*:{account}:job-definition/*" ["ecs-tasks.amazonaws.com"] false "aws batch describe-job-definitions";
    "identity-pool" "Cognito identity pools that let in guests" "arn:aws:cognito-identity:*:{account}:identitypool/*" ["cognito-identity.amazonaws.com"] false "aws cognito-identity list-identity-pools";
    "state-machine" "Step Functions state machines" "arn:aws:states:*:{account}:stateMachine:*" ["states.amazonaws.com"] false "aws stepfunctions describe-state-machine";
}

/// The workload kind with this id.
pub fn workload(id: &str) -> Option<&'static WorkloadKind> {
    WORKLOADS.iter().find(|kind| kind.id == id)
}

/// Every kind, in the order of the services' names.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    [
        other::KINDS,
        agent::KINDS,
        batch::KINDS,
        bedrock::KINDS,
        cloudformation::KINDS,
        codebuild::KINDS,
        ec2::KINDS,
        ecs::KINDS,
        glue::KINDS,
        iam::KINDS,
        lambda::KINDS,
        more::KINDS,
        outside::KINDS,
        sagemaker::KINDS,
        ssm::KINDS,
        sts::KINDS,
        unread::KINDS,
    ]
    .into_iter()
    .flatten()
}

/// The kind with this id.
pub fn get(id: &str) -> Option<&'static Kind> {
    all().find(|kind| kind.id == id)
}

//! Accounts as the evaluation needs them: principals, policies, resources, and what is not known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::arn::{ANY_REGION, Arn};
use super::observed::Call;
use super::policy::{Document, Statement};
use crate::observed::Calls;
use crate::step::{FindError, Grant, GrantId};

/// The index of a policy in [`Estate::policies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u32);

/// One statement: the unit that a person can remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatementId {
    /// Its policy.
    pub policy: PolicyId,
    /// Its position in the document, from 0.
    pub statement: u32,
}

/// A policy with where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The name that people know it by.
    pub name: String,
    /// Set for managed policies.
    pub arn: Option<String>,
    /// The file or API object that it was read from.
    pub source: Arc<str>,
    /// What it says.
    pub document: Document,
}

/// What a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    /// An IAM user.
    User,
    /// An IAM role.
    Role,
    /// An IAM group: not a principal by itself, but what joining it gives.
    Group,
    /// A user, role or account that a trust policy names and no file describes.
    Outside,
    /// Identities of an OIDC or SAML provider.
    Federated,
    /// Everyone who has any AWS account.
    Anyone,
    /// Whoever reaches a public URL.
    Web,
}

/// The limit on what a principal's policies may grant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    /// No limit.
    #[default]
    None,
    /// This policy.
    Policy(PolicyId),
    /// A policy whose document is not in the files.
    Unread(String),
}

/// A principal, or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Its ARN; for providers and the public, their name.
    pub arn: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// The unique id (`AIDA…`, `AROA…`), empty when not known.
    pub unique_id: String,
    /// Inline policies.
    pub inline: Vec<PolicyId>,
    /// ARNs of attached managed policies.
    pub attached: Vec<String>,
    /// Names of a user's groups.
    pub groups: Vec<String>,
    /// The permissions boundary's ARN.
    pub boundary_arn: Option<String>,
    /// A role's trust policy.
    pub trust: Option<PolicyId>,
    /// Names of a role's instance profiles.
    pub instance_profiles: Vec<String>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// Where it was read.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: Option<u32>,
    /// Its own policies, resolved by [`Estate::link`]; without those of its groups.
    pub identity: Vec<PolicyId>,
    /// Indexes of its groups, resolved by [`Estate::link`].
    pub member_of: Vec<usize>,
    /// The boundary, resolved by [`Estate::link`].
    pub boundary: Boundary,
    /// Attached policies whose documents are not in the files.
    pub unread: Vec<String>,
}

impl Principal {
    /// A principal without policies.
    pub fn new(kind: PrincipalKind, arn: impl Into<String>, source: Arc<str>) -> Self {
        Self {
            arn: arn.into(),
            kind,
            unique_id: String::new(),
            inline: Vec::new(),
            attached: Vec::new(),
            groups: Vec::new(),
            boundary_arn: None,
            trust: None,
            instance_profiles: Vec::new(),
            tags: BTreeMap::new(),
            source,
            line: None,
            identity: Vec::new(),
            member_of: Vec::new(),
            boundary: Boundary::None,
            unread: Vec::new(),
        }
    }

    /// The account that it belongs to; empty for providers and the public.
    pub fn account(&self) -> &str {
        Arn::parse(&self.arn).map_or("", |arn| arn.account)
    }

    /// The partition that it belongs to; empty for providers and the public.
    pub fn partition(&self) -> &str {
        Arn::parse(&self.arn).map_or("", |arn| arn.partition)
    }

    /// `user/alice`: what people call it within an account.
    pub fn short(&self) -> &str {
        match self.kind {
            PrincipalKind::User | PrincipalKind::Role | PrincipalKind::Group => {
                Arn::parse(&self.arn).map_or(self.arn.as_str(), |arn| arn.resource)
            }
            PrincipalKind::Outside | PrincipalKind::Federated | PrincipalKind::Anyone | PrincipalKind::Web => &self.arn,
        }
    }

    /// Whether it is a service-linked role, which no SCP limits and nobody may change.
    pub fn is_service_linked(&self) -> bool {
        self.kind == PrincipalKind::Role && self.short().starts_with("role/aws-service-role/")
    }
}

/// A managed policy with all its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// The version in force.
    pub default: PolicyId,
    /// The versions that could be put in force.
    pub others: Vec<PolicyId>,
}

/// A thing that runs as a role, from an inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its type, one of [`crate::aws::kinds::WORKLOADS`].
    pub kind: String,
    /// Its ARN, with [`ANY_REGION`] where nobody said its region.
    pub arn: String,
    /// The role (ARN or name) that it acts as, if any.
    pub role: Option<String>,
    /// Where it was read.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: Option<u32>,
}

/// What a workload is joined to: the guardrail of an agent, the image of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joint {
    /// The workload's ARN, or the end of it from a slash on (`agent/ID`) until [`Estate::link`].
    pub workload: String,
    /// How, one of [`crate::aws::kinds::JOINTS`].
    pub relation: String,
    /// The ARN or pattern of what it is joined to.
    pub resource: String,
    /// Where it was read.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: Option<u32>,
}

impl Joint {
    /// What it is joined to, in words: `guardrail arn:…`, or `public URL` for what is nothing beside the workload.
    pub fn what(&self) -> String {
        let word = self.relation.replace('-', " ").replace("url", "URL");
        if self.resource == self.workload { word } else { format!("{word} {}", self.resource) }
    }
}

/// A policy of the organisation of which the files do not say whether it limits an account. What it denies is not known;
/// what it allows is taken to be allowed without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossibleLimit {
    /// The policy.
    pub policy: PolicyId,
    /// Whether it is a resource control policy.
    pub is_of_resources: bool,
    /// What is not in the files.
    pub gap: String,
}

/// Everything that was read of one or more accounts.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// All policies; a [`PolicyId`] points here.
    pub policies: Vec<Policy>,
    /// Users, roles, groups, and after [`Estate::link`] those whom trust policies name.
    pub principals: Vec<Principal>,
    /// Managed policies by ARN.
    pub managed: BTreeMap<String, Managed>,
    /// What runs as which role.
    pub workloads: Vec<Workload>,
    /// What workloads are joined to.
    pub joints: Vec<Joint>,
    /// Workload kinds of which a whole inventory was given.
    pub listed: BTreeSet<String>,
    /// Workloads, by their ARN, that are there with a role, if any, that no file says. Whole after [`Estate::link`].
    pub unsaid: BTreeSet<String>,
    /// The definitions, by ARN, of the tasks that run as those say.
    pub definitions: BTreeMap<String, String>,
    /// Resource policies by resource ARN.
    pub resource_policies: BTreeMap<String, PolicyId>,
    /// Whether public buckets are restricted (`RestrictPublicBuckets`), by a bucket's ARN, and by account.
    pub public_access: BTreeMap<String, bool>,
    /// Service control policies by account: one list for each level from the root down.
    pub scps: BTreeMap<String, Vec<Vec<PolicyId>>>,
    /// Resource control policies, likewise.
    pub rcps: BTreeMap<String, Vec<Vec<PolicyId>>>,
    /// What may limit an account beside those.
    pub possible_limits: BTreeMap<String, Vec<PossibleLimit>>,
    /// Accounts of which a policy of the organisation could not be read.
    pub unread_limits: BTreeSet<String>,
    /// The organisation's management account, which neither an SCP nor an RCP limits.
    pub management_account: Option<String>,
    /// The time of the question, in seconds since 1970.
    pub now: i64,
    /// What its principals were seen to do.
    pub calls: Calls<Call>,
    /// A policy that allows everything, for asking what a principal could be given.
    pub allow_all: PolicyId,
    by_arn: HashMap<String, usize>,
}

impl Default for PolicyId {
    /// No policy: an estate that was not linked has none of this index.
    fn default() -> Self {
        Self(u32::MAX)
    }
}

/// Statements and joints as grants: the place of each policy's first statement among all, and of the first joint.
#[derive(Clone, Debug, Default)]
pub struct Grants(Vec<u32>, u32);

impl Grants {
    /// The grants of these statements.
    pub fn all(&self, statements: impl IntoIterator<Item = StatementId>) -> Vec<GrantId> {
        statements.into_iter().map(|id| self.of(id)).collect()
    }

    fn of(&self, id: StatementId) -> GrantId {
        let first = usize::try_from(id.policy.0).ok().and_then(|policy| self.0.get(policy)).copied();
        GrantId(first.unwrap_or(u32::MAX).saturating_add(id.statement))
    }

    /// The statement that a grant is.
    pub fn statement(&self, grant: GrantId) -> Option<StatementId> {
        if grant.0 >= self.1 {
            return None;
        }
        // Of policies without statements the last begins where the next does.
        let policy = self.0.partition_point(|first| *first <= grant.0).checked_sub(1)?;
        let first = self.0.get(policy)?;
        Some(StatementId { policy: PolicyId(u32::try_from(policy).ok()?), statement: grant.0 - first })
    }

    /// The grant of a joint, by its place in [`Estate::joints`].
    pub fn joint(&self, at: usize) -> GrantId {
        GrantId(self.1.saturating_add(u32::try_from(at).unwrap_or(u32::MAX)))
    }

    /// All statements and then all joints, in their order.
    pub fn list(&self, estate: &Estate) -> Vec<Grant> {
        let mut grants = Vec::new();
        for policy in &estate.policies {
            for (statement, number) in policy.document.statements.iter().zip(1_u32..) {
                let sid = statement.sid.as_deref().map(|sid| format!(" `{sid}`")).unwrap_or_default();
                grants.push(Grant {
                    policy: policy.name.clone(),
                    arn: policy.arn.clone(),
                    part: format!("statement {number}{sid}"),
                    source: policy.source.clone(),
                    line: statement.line,
                });
            }
        }
        grants.extend(estate.joints.iter().map(|joint| Grant {
            policy: Arn::parse(&joint.workload).map_or(joint.workload.as_str(), |arn| arn.name()).to_owned(),
            arn: None,
            part: format!("its {}", joint.what()),
            source: joint.source.clone(),
            line: joint.line,
        }));
        grants
    }
}

impl Estate {
    /// Where each statement stands among all grants. Valid until a policy is added.
    pub fn grants(&self) -> Grants {
        let mut next = 0_u32;
        let first = |policy: &Policy| {
            let first = next;
            next = next.saturating_add(u32::try_from(policy.document.statements.len()).unwrap_or(u32::MAX));
            first
        };
        let statements = self.policies.iter().map(first).collect();
        Grants(statements, next)
    }

    /// Nothing yet, judged at a time in seconds since 1970.
    pub fn at(now: i64) -> Self {
        Self { now, ..Self::default() }
    }

    /// Adds a policy.
    pub fn add_policy(&mut self, policy: Policy) -> PolicyId {
        let id = PolicyId(u32::try_from(self.policies.len()).unwrap_or(u32::MAX));
        self.policies.push(policy);
        id
    }

    /// The policy of an id.
    pub fn policy(&self, id: PolicyId) -> Option<&Policy> {
        self.policies.get(usize::try_from(id.0).ok()?)
    }

    /// The statements of a policy with their ids.
    pub fn statements(&self, id: PolicyId) -> impl Iterator<Item = (StatementId, &Statement)> {
        let statements = self.policy(id).map(|policy| policy.document.statements.as_slice()).unwrap_or_default();
        statements
            .iter()
            .zip(0_u32..)
            .map(move |(statement, index)| (StatementId { policy: id, statement: index }, statement))
    }

    /// The statement of an id.
    pub fn statement(&self, id: StatementId) -> Option<&Statement> {
        self.policy(id.policy)?.document.statements.get(usize::try_from(id.statement).ok()?)
    }

    /// Whether a statement is of a principal's own policies, or of its groups'.
    pub fn has_statement(&self, principal: usize, id: StatementId) -> bool {
        let Some(principal) = self.principals.get(principal) else { return false };
        let groups = principal.member_of.iter().filter_map(|group| self.principals.get(*group));
        std::iter::once(principal).chain(groups).any(|one| one.identity.contains(&id.policy))
    }

    /// The index of the principal with this ARN.
    pub fn index_of(&self, arn: &str) -> Option<usize> {
        self.by_arn.get(arn).copied()
    }

    /// Finds a principal by ARN, `user/alice`, or a name that only one has.
    pub fn find(&self, name: &str) -> Result<usize, FindError> {
        if let Some(index) = self.index_of(name) {
            return Ok(index);
        }
        let hits: Vec<usize> = (0..self.principals.len())
            .filter(|index| {
                self.principals.get(*index).is_some_and(|principal| {
                    principal.short() == name || Arn::parse(&principal.arn).is_some_and(|arn| arn.name() == name)
                })
            })
            // A user joined to a group for the sake of a path has the user's own ARN, and comes later.
            .filter(|index| self.principals.get(*index).is_none_or(|one| self.index_of(&one.arn) == Some(*index)))
            .collect();
        match hits.as_slice() {
            [index] => Ok(*index),
            [] => Err(FindError::Nobody(name.to_owned())),
            many => {
                let names = many.iter().filter_map(|index| self.principals.get(*index)).map(|found| found.arn.clone());
                Err(FindError::Several(name.to_owned(), names.collect::<Vec<_>>().join(", ")))
            }
        }
    }

    /// Resolves names into indexes. Call it once, after everything is added.
    pub fn link(&mut self) {
        if self.policy(self.allow_all).is_none() {
            self.allow_all = self.add_policy(everything());
        }
        self.unite();
        self.by_arn = self.principals.iter().enumerate().map(|(at, principal)| (principal.arn.clone(), at)).collect();
        for index in 0..self.principals.len() {
            self.link_principal(index);
        }
        self.link_profiles();
        self.link_tasks();
        self.link_joints();
    }

    /// A task that says no role of its own runs as its definition's.
    fn link_tasks(&mut self) {
        let described = |one: &&Workload| one.kind == "ecs-task-definition" && !self.unsaid.contains(&one.arn);
        let roles: HashMap<String, Option<String>> =
            self.workloads.iter().filter(described).map(|one| (one.arn.clone(), one.role.clone())).collect();
        for task in self.workloads.iter_mut().filter(|one| one.role.is_none()) {
            match self.definitions.get(&task.arn).map(|definition| roles.get(definition)) {
                Some(Some(role)) => task.role.clone_from(role),
                Some(None) => {
                    self.unsaid.insert(task.arn.clone());
                }
                None => {}
            }
        }
        // One answer may mention what another describes.
        let said: BTreeSet<&str> =
            self.workloads.iter().filter(|one| one.role.is_some()).map(|one| one.arn.as_str()).collect();
        // A function may be mentioned with a version or an alias after its name.
        let whole = |arn: &str| arn.rsplit_once(':').is_some_and(|(name, _)| said.contains(name));
        self.unsaid.retain(|arn| !said.contains(arn.as_str()) && !whole(arn));
    }

    /// Joints of agents by id get the agent's ARN; what a knowledge base reads is what each of its agents reads.
    fn link_joints(&mut self) {
        let of_bases: Vec<Joint> =
            self.joints.iter().filter(|joint| joint.workload.starts_with("knowledge-base/")).cloned().collect();
        self.joints.retain(|joint| !joint.workload.starts_with("knowledge-base/"));
        let mut found = Vec::new();
        for joint in &mut self.joints {
            if !joint.workload.starts_with("arn:") {
                let ends = format!("/{}", joint.workload.rsplit('/').next().unwrap_or_default());
                let agent = self.workloads.iter().find(|one| one.arn.ends_with(&ends));
                joint.workload = agent.map_or_else(|| joint.workload.clone(), |one| one.arn.clone());
                joint.resource = beside(&joint.resource, &joint.workload);
            }
            let base = joint.resource.split_once(":knowledge-base/").filter(|_| joint.relation == "knowledge-base");
            for of_base in of_bases.iter().filter(|one| base.is_some_and(|(_, id)| one.workload.ends_with(id))) {
                found.push(Joint { workload: joint.workload.clone(), ..of_base.clone() });
            }
        }
        self.joints.extend(found);
        self.joints.dedup();
    }

    /// A workload whose inventory names an instance profile acts as the profile's role.
    fn link_profiles(&mut self) {
        for workload in &mut self.workloads {
            let profile = workload.role.as_deref().and_then(|role| role.split_once(":instance-profile/"));
            let Some(name) = profile.map(|(_, path)| path.rsplit('/').next().unwrap_or(path)) else { continue };
            let holds = |one: &&Principal| one.instance_profiles.iter().any(|profile| profile == name);
            if let Some(role) = self.principals.iter().find(holds) {
                workload.role = Some(role.arn.clone());
            }
        }
    }

    fn link_principal(&mut self, index: usize) {
        let Some(principal) = self.principals.get(index) else { return };
        let mut identity = principal.inline.clone();
        let mut unread = Vec::new();
        for arn in &principal.attached {
            match self.managed.get(arn) {
                Some(managed) if !identity.contains(&managed.default) => identity.push(managed.default),
                Some(_) => {}
                None => unread.push(arn.clone()),
            }
        }
        let boundary = match &principal.boundary_arn {
            None => Boundary::None,
            Some(arn) => match self.managed.get(arn) {
                Some(managed) => Boundary::Policy(managed.default),
                None => Boundary::Unread(arn.clone()),
            },
        };
        let account = principal.account();
        let group = |name: &String| {
            self.principals.iter().position(|group| {
                group.kind == PrincipalKind::Group
                    && group.account() == account
                    && Arn::parse(&group.arn).is_some_and(|arn| arn.name() == name)
            })
        };
        let member_of = principal.groups.iter().filter_map(group).collect();
        let Some(principal) = self.principals.get_mut(index) else { return };
        principal.identity = identity;
        principal.unread = unread;
        principal.boundary = boundary;
        principal.member_of = member_of;
    }
}

/// What a workload is joined to, in the workload's region where it is in one that nobody said.
fn beside(resource: &str, workload: &str) -> String {
    let of = Arn::parse(resource).filter(|arn| arn.region == ANY_REGION).zip(Arn::parse(workload));
    of.map_or_else(|| resource.to_owned(), |(arn, workload)| Arn { region: workload.region, ..arn }.to_string())
}

fn everything() -> Policy {
    let json = serde_json::json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
    let document = Document::parse(&json, &[]).unwrap_or_default();
    Policy { name: "(whatever the attacker writes)".to_owned(), arn: None, source: "".into(), document }
}

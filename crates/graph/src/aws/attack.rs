//! From permissions to steps: which principal can become which, by which kind, on which statements.
//!
//! Every step is a derived relation with its requirements ([`Ground`]s), all of which must hold; see
//! [`crate::step`] for what steps are.

mod beyond;
mod newcomer;
pub(super) mod outside;
mod rewrite;
mod shared;
mod unread;
mod workload;

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub(crate) use self::outside::own_account;
use self::rewrite::{ByAccount, Of};
use self::shared::Sharing;
use self::workload::{Existing, New};
use super::arn::in_partition;
use super::condition::{Condition, Context, Value};
use super::estate::{Estate, Grants, PolicyId, Principal, PrincipalKind, StatementId};
use super::evaluate::{Answer, Evaluator, Layer, LetsIn, Request, resource_patterns};
use super::kinds::{self, Kind, Shape};
use super::pattern::Pattern;
use super::policy::{Choice, Effect, Statement, is_later, placeholder};
use super::truth::Truth;
use crate::step::{ADMINISTRATOR, Ground, Node, NodeKind, Page, Step, Steps};

/// All steps of an estate.
pub struct Derived {
    /// The estate, with those whom trust policies name, and users as members of groups they can join.
    /// A principal's index is the index of its node.
    pub estate: Estate,
    /// Every step.
    pub steps: Steps,
}

/// What an administrator may do: actions of the services that matter most, each on a resource that nobody named.
const TRIED: [(&str, &str); 8] = [
    ("iam:AttachRolePolicy", "arn:aws:iam::{account}:role/tried"),
    ("iam:CreateUser", "arn:aws:iam::{account}:user/tried"),
    ("s3:GetObject", "arn:aws:s3:::tried/tried"),
    ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:{account}:secret:tried"),
    ("kms:Decrypt", "arn:aws:kms:us-east-1:{account}:key/tried"),
    ("ec2:TerminateInstances", "arn:aws:ec2:us-east-1:{account}:instance/tried"),
    ("dynamodb:GetItem", "arn:aws:dynamodb:us-east-1:{account}:table/tried"),
    ("lambda:UpdateFunctionCode", "arn:aws:lambda:us-east-1:{account}:function:tried"),
];

/// What is open where a deny hangs on what no file shows of a request from outside.
pub(crate) const MAY_BE_KEPT_OUT: &str = "whether a deny of the trust policy, or of the organisation, keeps it out";

/// The index that stands for the administrator of the acting principal's account until all are known.
const CROWN: usize = usize::MAX;
/// The index that stands for what users let the agents of that account do elsewhere.
const CONSENTS: usize = usize::MAX - 1;

/// Derives every step of a linked estate.
pub fn derive(mut estate: Estate) -> Derived {
    outside::add(&mut estate);
    let all: Vec<usize> = (0..estate.principals.len()).collect();
    let mut first = Deriver::new(&estate).run(&all);
    let joined = add_joined(&mut estate, &first.joins);
    if !joined.is_empty() {
        let added: Vec<usize> = joined.values().copied().collect();
        let second = Deriver::new(&estate).run(&added);
        first.steps.extend(second.steps);
        first.administrators.extend(second.administrators);
    }
    for join in first.joins {
        if let Some(to) = joined.get(&(join.user, join.group)) {
            let also = (join.step.from != join.user).then_some(join.user);
            first.steps.push(Step { to: *to, also, ..join.step });
        }
    }
    let mut steps = nodes(&estate, &joined);
    steps.administrators = first.administrators;
    for step in first.steps {
        let domain = steps.nodes.get(step.from).map(|node| node.domain.clone()).unwrap_or_default();
        let to = match step.to {
            CROWN => steps.administrator(&domain),
            CONSENTS => steps.add_node(consents(domain)),
            to => to,
        };
        steps.push(Step { to, ..step });
    }
    beyond::add(&estate, &mut steps);
    Derived { estate, steps }
}

/// What users let the agents of an account do elsewhere.
fn consents(domain: Arc<str>) -> Node {
    let name = format!("users' consents to agents of {domain}");
    Node { key: name.clone(), name, kind: NodeKind::Resource, domain, source: "".into(), line: None }
}

/// Every principal as a node, and every statement as a grant.
fn nodes(estate: &Estate, joined: &HashMap<(usize, usize), usize>) -> Steps {
    let mut steps = Steps::default();
    steps.grants = estate.grants().list(estate);
    let short = |at: usize| estate.principals.get(at).map_or("?", Principal::short);
    let names: HashMap<usize, String> =
        joined.iter().map(|((user, group), at)| (*at, format!("{} in {}", short(*user), short(*group)))).collect();
    for (index, principal) in estate.principals.iter().enumerate() {
        let joined = names.get(&index);
        let kind = match principal.kind {
            PrincipalKind::Group => NodeKind::Inner,
            _ if joined.is_some() || principal.is_service_linked() => NodeKind::Inner,
            PrincipalKind::User | PrincipalKind::Role => NodeKind::Principal,
            PrincipalKind::Outside | PrincipalKind::Federated | PrincipalKind::Anyone | PrincipalKind::Web => {
                NodeKind::Outside
            }
        };
        steps.add_node(Node {
            key: joined.map_or_else(|| principal.arn.clone(), |name| format!("{} ({name})", principal.arn)),
            name: joined.map_or_else(|| principal.short().to_owned(), String::clone),
            kind,
            domain: principal.account().into(),
            source: principal.source.clone(),
            line: principal.line,
        });
    }
    steps
}

/// A user whom someone can add to a group.
struct Join {
    user: usize,
    group: usize,
    step: Step,
}

#[derive(Default)]
struct Found {
    steps: Vec<Step>,
    joins: Vec<Join>,
    administrators: BTreeSet<usize>,
}

/// Users as they would be after joining a group: exact, because denies and boundaries stay.
fn add_joined(estate: &mut Estate, joins: &[Join]) -> HashMap<(usize, usize), usize> {
    let mut joined = HashMap::new();
    for join in joins {
        if joined.contains_key(&(join.user, join.group)) {
            continue;
        }
        let Some(mut principal) = estate.principals.get(join.user).cloned() else { continue };
        principal.member_of.push(join.group);
        joined.insert((join.user, join.group), estate.principals.len());
        estate.principals.push(principal);
    }
    joined
}

struct Deriver<'a> {
    estate: &'a Estate,
    evaluator: Evaluator<'a>,
    grants: Grants,
    trusted: HashMap<&'static str, Vec<(usize, Truth, StatementId)>>,
    /// Whether each principal would be administrator if its policies allowed everything.
    unlimited: Vec<OnceCell<Truth>>,
    rewritable: ByAccount<'a>,
    /// The account of each principal.
    accounts: Vec<&'a str>,
    /// Roles whose trust policies may let in a user or a role.
    roles: Vec<(usize, LetsIn)>,
    /// Where the steps of the principal that is derived now to everything, by itself, are in `found`.
    alone: Vec<usize>,
    found: Found,
}

impl<'a> Deriver<'a> {
    fn new(estate: &'a Estate) -> Self {
        let evaluator = Evaluator::new(estate);
        let mut trusted: HashMap<&'static str, Vec<(usize, Truth, StatementId)>> = HashMap::new();
        let services = kinds::all().flat_map(|kind| match &kind.shape {
            Shape::NewWorkload { services, .. } | Shape::Shared { services, .. } => *services,
            Shape::ExistingWorkload { workload, .. } => {
                kinds::workload(workload).map_or(&[] as &[_], |kind| kind.services)
            }
            _ => &[],
        });
        for service in services.copied().collect::<BTreeSet<_>>() {
            let roles = (0..estate.principals.len()).filter_map(|role| match evaluator.trusts_service(role, service) {
                (truth, Some(statement)) if truth != Truth::No => Some((role, truth, statement)),
                _ => None,
            });
            trusted.insert(service, roles.collect());
        }
        let unlimited = vec![OnceCell::new(); estate.principals.len()];
        let grants = estate.grants();
        let rewritable = rewrite::rewritable(estate);
        let accounts = estate.principals.iter().map(Principal::account).collect();
        let is_role = |at: &usize| estate.principals.get(*at).is_some_and(|one| one.kind == PrincipalKind::Role);
        let roles = (0..estate.principals.len()).filter(is_role).map(|at| (at, evaluator.lets_in(at)));
        let roles = roles.filter(|(_, lets)| *lets != LetsIn::Nobody).collect();
        let (alone, found) = (Vec::new(), Found::default());
        Self { estate, evaluator, grants, trusted, unlimited, rewritable, accounts, roles, alone, found }
    }

    fn run(mut self, principals: &[usize]) -> Found {
        for index in principals {
            let Some(principal) = self.estate.principals.get(*index) else { continue };
            match principal.kind {
                PrincipalKind::User | PrincipalKind::Role => self.insider(*index, principal),
                PrincipalKind::Outside | PrincipalKind::Federated | PrincipalKind::Anyone => {
                    self.outsider(*index, principal);
                    self.writes_from_outside(*index, principal);
                }
                PrincipalKind::Web => self.public(*index, principal),
                PrincipalKind::Group => {}
            }
        }
        self.found
    }

    fn insider(&mut self, index: usize, principal: &Principal) {
        let (truth, grounds) = self.administers(index, &[], &[]);
        if truth != Truth::No {
            self.push(step(index, CROWN, ADMINISTRATOR, truth, grounds));
        }
        if truth == Truth::Yes {
            // An administrator reaches everything in the account; its further steps there would only repeat that, unless it
            // holds them on grants that are left when it is none any more.
            self.found.administrators.insert(index);
            if self.has_one_grant(principal) {
                return self.beyond(index);
            }
        }
        self.alone.clear();
        for kind in kinds::all() {
            if let Shape::Rewrite(rewrite) = &kind.shape {
                self.rewrites(index, kind, (*rewrite, Of::Itself));
            }
        }
        for kind in kinds::all() {
            match &kind.shape {
                Shape::Assume => self.assume(index, kind),
                Shape::TakeUser { action, unless } => self.take_users(index, kind, action, unless),
                Shape::JoinGroup => self.join_groups(index, principal, kind),
                Shape::RewriteTrust => self.rewrite_trusts(index, kind),
                Shape::Rewrite(rewrite) => self.rewrites(index, kind, (*rewrite, Of::Others)),
                Shape::NewWorkload { services, profile, needs, existing } => {
                    let new = New { kind, services, profile: *profile, needs, existing: *existing };
                    self.new_workloads(index, principal, &new);
                }
                Shape::ExistingWorkload { .. } => self.existing(index, kind, false),
                Shape::Shared { services, resource, writes, reads } => {
                    self.shares(index, &Sharing { kind, services, resource, writes, reads });
                }
                Shape::Consents { needs } => self.take_consents(index, kind, needs),
                Shape::Newcomer { form, needs } => self.makes(index, kind, (form, needs)),
                Shape::UnreadPolicy => self.unread_policies(index, kind),
                Shape::UnreadTrust => self.unread_trusts(index, kind),
                Shape::Exposed { .. } | Shape::Workflow => {}
            }
        }
    }

    /// Whether nothing is left of what its policies and its groups' allow once one statement is taken away.
    fn has_one_grant(&self, principal: &Principal) -> bool {
        let groups = principal.member_of.iter().filter_map(|group| self.estate.principals.get(*group));
        let policies = std::iter::once(principal).chain(groups).flat_map(|one| &one.identity);
        let statements = policies.flat_map(|policy| self.estate.statements(*policy));
        statements.filter(|(_, statement)| statement.effect == Effect::Allow).count() == 1
    }

    fn existing(&mut self, index: usize, kind: &'static Kind, only_foreign: bool) {
        let Shape::ExistingWorkload { workload, needs } = &kind.shape else { return };
        if let Some(workload) = kinds::workload(workload) {
            self.existing_workloads(index, &Existing { kind, workload, needs, only_foreign });
        }
    }

    fn push(&mut self, step: Step) {
        let step = step.settled();
        if step.truth != Truth::No && step.from != step.to {
            if step.to == CROWN && step.also.is_none() {
                self.alone.push(self.found.steps.len());
            }
            self.found.steps.push(step);
        }
    }

    /// Whether the principal gets everything by itself as surely, and on grants that all hold while these do: what on
    /// them asks for control of another principal as well is then never shorter, and never what is left over.
    fn is_outdone(&self, answer: &Answer) -> bool {
        let grants = self.grants.all(identity_allows(answer));
        let holds = |ground: &Arc<Ground>| {
            ground.grants.is_empty() || !grants.is_empty() && grants.iter().all(|one| ground.grants.contains(one))
        };
        let steps = self.alone.iter().filter_map(|at| self.found.steps.get(*at));
        let mut as_sure = steps.filter(|step| step.truth >= answer.verdict);
        as_sure.any(|step| step.grounds.iter().all(holds))
    }

    /// Whether a principal, with policies added and without others, may do everything.
    fn administers(&self, index: usize, added: &[PolicyId], without: &[PolicyId]) -> (Truth, Vec<Arc<Ground>>) {
        let mut total = Truth::Yes;
        let mut needs: BTreeSet<BTreeSet<StatementId>> = BTreeSet::new();
        let mut open = BTreeSet::new();
        for (action, resource) in TRIED {
            let resource = self.form(index, resource);
            // The resources are made up, and so is their region; they are of the principal's own account.
            let context = chosen_region().with("aws:ResourceAccount", Value::one(self.account(index)));
            let answer =
                self.evaluator.decide(&Request { added, without, ..Request::new(index, action, &resource, &context) });
            total = total.and(answer.verdict);
            if total == Truth::No {
                return (Truth::No, Vec::new());
            }
            needs.insert(identity_allows(&answer).collect());
            open.extend(self::open(self.estate, &answer));
        }
        // Every action is needed, and of each any statement is enough: a need with more statements than another is met as
        // long as that is.
        needs.remove(&BTreeSet::new());
        let outlives = |need: &BTreeSet<StatementId>| needs.iter().any(|one| one != need && one.is_subset(need));
        let mut least: Vec<Vec<StatementId>> =
            needs.iter().filter(|need| !outlives(need)).map(|need| need.iter().copied().collect()).collect();
        if least.is_empty() {
            least.push(Vec::new());
        }
        let open: Vec<String> = open.into_iter().collect();
        let ground = |statements: Vec<StatementId>| {
            let claim = "every action on every resource".to_owned();
            Arc::new(Ground { claim, grants: self.grants.all(statements), truth: total, open: open.clone() })
        };
        (total, least.into_iter().map(ground).collect())
    }

    fn account(&self, index: usize) -> &'a str {
        self.accounts.get(index).copied().unwrap_or_default()
    }

    /// A form of an ARN in the account and the partition of a principal.
    fn form(&self, index: usize, form: &str) -> String {
        let partition = self.estate.principals.get(index).map_or("", Principal::partition);
        in_partition(form, partition).replace("{account}", self.account(index)).replace("{elsewhere}", kinds::ELSEWHERE)
    }

    fn assume(&mut self, index: usize, kind: &'static Kind) {
        // Without a grant of its own, only what a trust policy gives by itself is left.
        let least = if self.may_try(index, "sts:AssumeRole") { LetsIn::Accounts } else { LetsIn::Somebody };
        for (target, lets) in self.roles.clone() {
            if lets < least {
                continue;
            }
            let Some(role) = self.estate.principals.get(target) else { continue };
            if target == index {
                continue;
            }
            let context = Context::default();
            let answer = self.evaluator.decide(&Request::new(index, "sts:AssumeRole", &role.arn, &context));
            if answer.verdict != Truth::No {
                let grounds = self.grounds(&format!("sts:AssumeRole on {}", role.arn), &answer);
                self.push(step(index, target, kind.page(), answer.verdict, grounds));
            }
        }
    }

    fn take_users(&mut self, index: usize, kind: &'static Kind, action: &str, unless: &'static str) {
        if !self.may_try(index, action) {
            return;
        }
        let mut answers = Answers::new(self, index, action);
        for (target, user) in self.estate.principals.iter().enumerate() {
            if user.kind != PrincipalKind::User
                || self.account(target) != self.account(index)
                || user.arn == self.arn(index)
            {
                continue;
            }
            let answer = answers.on(self, &user.arn);
            if answer.verdict != Truth::No {
                let grounds = self.grounds(&format!("{action} on {}", user.arn), answer);
                let step = step(index, target, kind.page(), answer.verdict, grounds);
                self.push(Step { unless: Some(unless), ..step });
            }
        }
    }

    fn arn(&self, index: usize) -> &'a str {
        self.estate.principals.get(index).map_or("", |principal| principal.arn.as_str())
    }

    fn join_groups(&mut self, index: usize, principal: &Principal, kind: &'static Kind) {
        let action = "iam:AddUserToGroup";
        if !self.may_try(index, action) {
            return;
        }
        for (group, joined) in self.estate.principals.iter().enumerate() {
            if joined.kind != PrincipalKind::Group
                || joined.identity.is_empty()
                || self.account(group) != self.account(index)
            {
                continue;
            }
            let context = Context::default();
            let answer = self.evaluator.decide(&Request::new(index, action, &joined.arn, &context));
            if answer.verdict == Truth::No {
                continue;
            }
            let grounds = self.grounds(&format!("{action} on {}", joined.arn), &answer);
            let step = step(index, CROWN, kind.page(), answer.verdict, grounds);
            for user in self.joiners(index, principal) {
                let member = self.estate.principals.get(user).is_some_and(|user| user.member_of.contains(&group));
                if !member {
                    self.found.joins.push(Join { user, group, step: step.clone() });
                }
            }
        }
    }

    /// The user itself, and the users that it can take over directly.
    fn joiners(&self, index: usize, principal: &Principal) -> Vec<usize> {
        let own = (principal.kind == PrincipalKind::User).then_some(index);
        let is_user = |at: &usize| self.estate.principals.get(*at).is_some_and(|one| one.kind == PrincipalKind::User);
        let taken = self.found.steps.iter().filter(|step| step.from == index).map(|step| step.to).filter(is_user);
        own.into_iter().chain(taken).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn may_try(&self, index: usize, action: &str) -> bool {
        self.evaluator.may_try(index, action)
    }

    fn grounds(&self, claim: &str, answer: &Answer) -> Vec<Arc<Ground>> {
        let of = |layer: Layer| -> Vec<StatementId> {
            answer.allows.iter().filter(|cite| cite.layer == layer).map(|cite| cite.statement).collect()
        };
        let open = open(self.estate, answer);
        let ground = |statements: Vec<StatementId>| {
            let grants = self.grants.all(statements);
            Arc::new(Ground { claim: claim.to_owned(), grants, truth: answer.verdict, open: open.clone() })
        };
        let (identity, resource) = (of(Layer::Identity), of(Layer::Resource));
        if answer.by_resource {
            return vec![ground(resource)];
        }
        let mut grounds = vec![ground(identity)];
        if !resource.is_empty() && claim.starts_with("sts:") {
            let claim = "the trust policy lets the account decide".to_owned();
            let grants = self.grants.all(resource);
            grounds.push(Arc::new(Ground { claim, grants, truth: answer.verdict, open: Vec::new() }));
        }
        grounds
    }
}

/// What keeps an answer from being certain, as people read it: what its statements leave open, or else what is missing.
pub(crate) fn open(estate: &Estate, answer: &Answer) -> Vec<String> {
    if answer.verdict != Truth::Unknown {
        return Vec::new();
    }
    let cites = answer.allows.iter().chain(&answer.denies).filter(|cite| cite.truth == Truth::Unknown);
    let statements = cites.filter_map(|cite| estate.statement(cite.statement));
    let said: BTreeSet<String> = statements.flat_map(left_open).collect();
    if said.is_empty() { answer.gaps.clone() } else { said.into_iter().collect() }
}

/// What a statement leaves open: its conditions, and names that stand for something that the files do not hold.
pub(crate) fn left_open(statement: &Statement) -> Vec<String> {
    conditions(statement).into_iter().chain(placeholders(statement)).collect()
}

/// A context in which the caller chooses the region.
fn chosen_region() -> Context {
    Context::default().with("aws:RequestedRegion", Value::Chosen)
}

/// A principal's answers for one action, asked once where they are the same for every resource.
struct Answers<'q> {
    index: usize,
    action: &'q str,
    context: Context,
    is_same: bool,
    last: Option<Answer>,
}

impl<'q> Answers<'q> {
    fn new(deriver: &Deriver<'_>, index: usize, action: &'q str) -> Self {
        let is_same = deriver.evaluator.is_same_everywhere(index, action);
        Self { index, action, context: Context::default(), is_same, last: None }
    }

    fn on(&mut self, deriver: &Deriver<'_>, resource: &str) -> &Answer {
        if !self.is_same {
            self.last = None;
        }
        let Self { index, action, context, .. } = self;
        let ask = || deriver.evaluator.decide(&Request::new(*index, action, resource, context));
        self.last.get_or_insert_with(ask)
    }
}

fn step(from: usize, to: usize, kind: Page, truth: Truth, grounds: Vec<Arc<Ground>>) -> Step {
    Step { truth, grounds, ..Step::new(from, to, kind) }
}

fn identity_allows(answer: &Answer) -> impl Iterator<Item = StatementId> {
    answer.allows.iter().filter(|cite| cite.layer == Layer::Identity).map(|cite| cite.statement)
}

/// Resource names of a statement that name nothing.
fn placeholders(statement: &Statement) -> Vec<String> {
    let said = |name: &str| {
        if placeholder(name).is_some() {
            return Some(format!("{name} is a name that AWS would refuse: what it stands for is not in the files"));
        }
        is_later(name).then(|| format!("{name} holds what is not known before it is made"))
    };
    resource_patterns(statement).into_iter().filter_map(said).collect()
}

/// What may stay open of a statement, as people read it: its conditions, and exceptions by a policy variable.
pub(crate) fn conditions(statement: &Statement) -> Vec<String> {
    let text = |one: &Condition| format!("{} {} {}", one.operator, one.key, one.values.join(" | "));
    let excepted = match &statement.resources {
        Some(Choice::Except(patterns)) => patterns.as_slice(),
        Some(Choice::Of(_)) | None => &[],
    };
    let said = |pattern: &Pattern| {
        let name = pattern.as_str();
        format!("what NotResource {name} excepts where its variable has no value: AWS's documentation does not say")
    };
    let open = excepted.iter().filter(|pattern| pattern.has_variables()).map(said);
    statement.conditions.iter().map(text).chain(open).collect()
}

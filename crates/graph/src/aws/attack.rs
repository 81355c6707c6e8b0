//! From permissions to steps: which principal can become which, by which kind, on which statements.
//!
//! Every step is a derived relation with its requirements ([`Ground`]s), all of which must hold. A
//! step is certain only if each is; what hangs on a condition or on a resource that no inventory
//! lists is possible, and says so.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::arn::Arn;
use super::condition::{Condition, Context, Value};
use super::estate::{Estate, PolicyId, Principal, PrincipalKind, StatementId};
use super::evaluate::{Answer, Evaluator, Layer, Request, resource_patterns};
use super::kinds::{self, Kind, Need, On, Rewrite, Shape, Whose, WorkloadKind};
use super::pattern::glob;
use super::policy::{Effect, Named, Principals, Statement};
use super::truth::Truth;

/// The step of a principal that already may do everything.
pub static ADMINISTRATOR: Kind = Kind {
    id: "administrator",
    title: "is an administrator",
    catalogue: &[],
    why: "Its policies allow every action on every resource.",
    shape: Shape::Assume,
    partial: None,
    references: &[],
};

/// The step from a principal to a resource that it may use.
pub static ACCESS: Kind = Kind {
    id: "access",
    title: "may use the resource",
    catalogue: &[],
    why: "Its policies, or the resource's own, allow it.",
    shape: Shape::Assume,
    partial: None,
    references: &[],
};

/// One requirement of a step that holds, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// What is claimed, for example `iam:PassRole on arn:…`.
    pub claim: String,
    /// The statements of which any one is enough; empty when no statement is needed.
    pub statements: Vec<StatementId>,
    /// Whether it certainly holds.
    pub truth: Truth,
    /// The conditions that stay open.
    pub open: Vec<String>,
}

/// One step: whoever controls `from` (and `also`) can get `to`.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Index of the principal that acts.
    pub from: usize,
    /// Another principal that the attacker must control as well.
    pub also: Option<usize>,
    /// Index of what is gained: a principal, or [`Derived::admin`].
    pub to: usize,
    /// How.
    pub kind: &'static Kind,
    /// Whether the step is certain.
    pub truth: Truth,
    /// All of them must hold. Shared: one need is a ground of many steps.
    pub grounds: Vec<Arc<Ground>>,
    /// The resource that it goes through.
    pub through: Option<String>,
    /// Inventories without which the step stays possible.
    pub missing: Vec<&'static WorkloadKind>,
    /// What is taken to be so and no file shows.
    pub assuming: Vec<String>,
}

/// All steps of an estate.
pub struct Derived {
    /// The estate, with those whom trust policies name, and users as members of groups they can join.
    pub estate: Estate,
    /// Every step.
    pub edges: Vec<Edge>,
    /// For users joined to a group: the user and the group.
    pub joined: HashMap<usize, (usize, usize)>,
    /// Principals that are administrators as they stand.
    pub administrators: BTreeSet<usize>,
    /// The index that stands for "administrator".
    pub admin: usize,
}

/// Derives every step of a linked estate.
pub fn derive(mut estate: Estate) -> Derived {
    add_outsiders(&mut estate);
    let all: Vec<usize> = (0..estate.principals.len()).collect();
    let mut first = Deriver::new(&estate).run(&all);
    let joined = add_joined(&mut estate, &first.joins);
    if !joined.is_empty() {
        let added: Vec<usize> = joined.values().map(|at| at.0).collect();
        let second = Deriver::new(&estate).run(&added);
        first.edges.extend(second.edges);
        first.administrators.extend(second.administrators);
    }
    let admin = estate.principals.len();
    for edge in &mut first.edges {
        if edge.to == usize::MAX {
            edge.to = admin;
        }
    }
    for join in first.joins {
        if let Some((to, _)) = joined.get(&(join.user, join.group)) {
            let also = (join.edge.from != join.user).then_some(join.user);
            first.edges.push(Edge { to: *to, also, ..join.edge });
        }
    }
    let joined = joined.into_iter().map(|(key, (at, _))| (at, key)).collect();
    Derived { estate, edges: first.edges, joined, administrators: first.administrators, admin }
}

/// A user whom someone can add to a group.
struct Join {
    user: usize,
    group: usize,
    edge: Edge,
}

#[derive(Default)]
struct Found {
    edges: Vec<Edge>,
    joins: Vec<Join>,
    administrators: BTreeSet<usize>,
}

/// Users as they would be after joining a group: exact, because denies and boundaries stay.
fn add_joined(estate: &mut Estate, joins: &[Join]) -> HashMap<(usize, usize), (usize, ())> {
    let mut joined = HashMap::new();
    for join in joins {
        if joined.contains_key(&(join.user, join.group)) {
            continue;
        }
        let Some(mut principal) = estate.principals.get(join.user).cloned() else { continue };
        principal.member_of.push(join.group);
        joined.insert((join.user, join.group), (estate.principals.len(), ()));
        estate.principals.push(principal);
    }
    joined
}

/// Adds the users, roles, accounts and providers that trust policies let in and no file describes.
fn add_outsiders(estate: &mut Estate) {
    let accounts: BTreeSet<String> = estate.principals.iter().map(|one| one.account().to_owned()).collect();
    let mut found: Vec<Principal> = Vec::new();
    for role in estate.principals.iter().filter(|one| one.kind == PrincipalKind::Role) {
        let Some(trust) = role.trust else { continue };
        for (_, statement) in estate.statements(trust).filter(|(_, statement)| statement.effect == Effect::Allow) {
            let Some(Principals::Of(list)) = &statement.principals else { continue };
            for named in list {
                let Some((kind, name)) = outsider(named, statement, &accounts) else { continue };
                let known = estate.index_of(&name).is_some() || found.iter().any(|one| one.arn == name);
                if !known {
                    let mut principal = Principal::new(kind, name, role.source.clone());
                    principal.line = statement.line;
                    found.push(principal);
                }
            }
        }
    }
    estate.principals.extend(found);
    estate.link();
}

fn outsider(named: &Named, statement: &Statement, accounts: &BTreeSet<String>) -> Option<(PrincipalKind, String)> {
    match named {
        Named::Anyone => Some((PrincipalKind::Anyone, ANYONE.to_owned())),
        Named::Federated(provider) => Some((PrincipalKind::Federated, federated(provider, statement))),
        Named::Aws(text) => match Arn::parse(text) {
            Some(arn) if arn.resource == "root" && accounts.contains(arn.account) => None,
            Some(arn) if arn.resource.starts_with("assumed-role/") => None,
            Some(_) => Some((PrincipalKind::Outside, text.clone())),
            None if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) && !accounts.contains(text) => {
                Some((PrincipalKind::Outside, format!("arn:aws:iam::{text}:root")))
            }
            None => None,
        },
        Named::Service(_) | Named::Canonical(_) => None,
    }
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

struct Deriver<'a> {
    estate: &'a Estate,
    evaluator: Evaluator<'a>,
    trusted: HashMap<&'static str, Vec<(usize, Truth, StatementId)>>,
    /// Whether each principal would be administrator if its policies allowed everything.
    unlimited: Vec<OnceCell<Truth>>,
    found: Found,
}

/// What a principal is able to do for a list of needs.
struct Able {
    truth: Truth,
    grounds: Vec<Arc<Ground>>,
    resource: String,
}

impl<'a> Deriver<'a> {
    fn new(estate: &'a Estate) -> Self {
        let evaluator = Evaluator::new(estate);
        let mut trusted: HashMap<&'static str, Vec<(usize, Truth, StatementId)>> = HashMap::new();
        let services = kinds::all().flat_map(|kind| match &kind.shape {
            Shape::NewWorkload { services, .. } => *services,
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
        Self { estate, evaluator, trusted, unlimited, found: Found::default() }
    }

    fn run(mut self, principals: &[usize]) -> Found {
        for index in principals {
            let Some(principal) = self.estate.principals.get(*index) else { continue };
            match principal.kind {
                PrincipalKind::User | PrincipalKind::Role => self.insider(*index, principal),
                PrincipalKind::Outside | PrincipalKind::Federated | PrincipalKind::Anyone => {
                    self.outsider(*index, principal)
                }
                PrincipalKind::Group => {}
            }
        }
        self.found
    }

    fn insider(&mut self, index: usize, principal: &Principal) {
        let (truth, grounds) = self.administers(index, &[]);
        if truth != Truth::No {
            self.push(edge(index, usize::MAX, &ADMINISTRATOR, truth, grounds));
        }
        if truth == Truth::Yes {
            // An administrator reaches everything; its further steps would only repeat that.
            self.found.administrators.insert(index);
            return;
        }
        for kind in kinds::all() {
            match &kind.shape {
                Shape::Assume => self.assume(index, kind),
                Shape::TakeUser { action, assuming } => self.take_users(index, kind, action, assuming),
                Shape::JoinGroup => self.join_groups(index, principal, kind),
                Shape::RewriteTrust => self.rewrite_trusts(index, principal, kind),
                Shape::Rewrite(rewrite) => self.rewrites(index, kind, *rewrite),
                Shape::NewWorkload { services, profile, needs, existing } => {
                    let new = New { services, profile: *profile, needs, existing: *existing };
                    self.new_workloads(index, principal, kind, &new);
                }
                Shape::ExistingWorkload { workload, needs, role_needs } => {
                    let Some(workload) = kinds::workload(workload) else { continue };
                    self.existing_workloads(index, principal, kind, &Existing { workload, needs, role_needs });
                }
            }
        }
    }

    fn push(&mut self, mut edge: Edge) {
        let open = edge.grounds.iter().map(|ground| ground.truth);
        edge.truth = edge.truth.and(Truth::all(open));
        if !edge.missing.is_empty() || edge.kind.partial.is_some() {
            edge.truth = edge.truth.and(Truth::Unknown);
        }
        if edge.truth != Truth::No && edge.from != edge.to {
            self.found.edges.push(edge);
        }
    }

    /// Whether a principal, with policies added, may do everything: tried on actions of the services
    /// that matter most, each on a resource that nobody named.
    fn administers(&self, index: usize, added: &[PolicyId]) -> (Truth, Vec<Arc<Ground>>) {
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
        let account = self.account(index);
        let mut total = Truth::Yes;
        let mut statements = BTreeSet::new();
        let mut open = BTreeSet::new();
        for (action, resource) in TRIED {
            let resource = resource.replace("{account}", account);
            let context = Context::default();
            let answer = self.evaluator.decide(&Request { added, ..Request::new(index, action, &resource, &context) });
            total = total.and(answer.verdict);
            if total == Truth::No {
                return (Truth::No, Vec::new());
            }
            statements.extend(identity_allows(&answer));
            open.extend(self.open(&answer));
        }
        let claim = "every action on every resource".to_owned();
        let ground = Ground {
            claim,
            statements: statements.into_iter().collect(),
            truth: total,
            open: open.into_iter().collect(),
        };
        (total, vec![Arc::new(ground)])
    }

    fn account(&self, index: usize) -> &'a str {
        self.estate.principals.get(index).map_or("", Principal::account)
    }

    fn assume(&mut self, index: usize, kind: &'static Kind) {
        for (target, role) in self.estate.principals.iter().enumerate() {
            if role.kind != PrincipalKind::Role || target == index || role.trust.is_none() {
                continue;
            }
            let context = Context::default();
            let answer = self.evaluator.decide(&Request::new(index, "sts:AssumeRole", &role.arn, &context));
            if answer.verdict != Truth::No {
                let grounds = self.grounds(&format!("sts:AssumeRole on {}", role.arn), &answer);
                self.push(edge(index, target, kind, answer.verdict, grounds));
            }
        }
    }

    /// Whom a trust policy lets in from outside the files.
    fn outsider(&mut self, index: usize, principal: &Principal) {
        let Some(kind) = kinds::get("sts-assume-role") else { return };
        for (target, role) in self.estate.principals.iter().enumerate() {
            let Some(trust) = role.trust else { continue };
            for (id, statement) in self.estate.statements(trust) {
                let Some(Principals::Of(list)) = &statement.principals else { continue };
                let named = list.iter().any(|named| names_outsider(named, statement, principal));
                let assumes = ["sts:assumerole", "sts:assumerolewithwebidentity", "sts:assumerolewithsaml"];
                if statement.effect != Effect::Allow
                    || !named
                    || !assumes.iter().any(|action| statement.has_action(action))
                {
                    continue;
                }
                let truth = self.outside_conditions(statement, principal);
                let open = if truth == Truth::Unknown { conditions(statement) } else { Vec::new() };
                let claim = format!("the trust policy of {} lets it in", role.short());
                let ground = Ground { claim, statements: vec![id], truth, open };
                let mut edge = edge(index, target, kind, truth, vec![Arc::new(ground)]);
                if principal.kind == PrincipalKind::Outside && principal.account() != role.account() {
                    edge.assuming.push(format!("account {} lets it assume the role", principal.account()));
                }
                self.push(edge);
            }
        }
    }

    /// The subject and audience of a federated outsider are who it is, so they hold.
    fn outside_conditions(&self, statement: &Statement, principal: &Principal) -> Truth {
        let mut context = Context::default().with("aws:SecureTransport", Value::one("true"));
        if principal.kind == PrincipalKind::Federated {
            for condition in &statement.conditions {
                if condition.key.ends_with(":sub") || condition.key.ends_with(":aud") {
                    context.set(&condition.key, Value::Chosen);
                }
            }
        } else {
            context.set("aws:PrincipalArn", Value::one(&principal.arn));
            context.set("aws:PrincipalAccount", Value::one(principal.account()));
        }
        statement.conditions_hold(&context)
    }

    fn take_users(&mut self, index: usize, kind: &'static Kind, action: &str, assuming: &str) {
        if !self.may_try(index, action) {
            return;
        }
        for (target, user) in self.estate.principals.iter().enumerate() {
            if user.kind != PrincipalKind::User || user.account() != self.account(index) || user.arn == self.arn(index)
            {
                continue;
            }
            let context = Context::default();
            let answer = self.evaluator.decide(&Request::new(index, action, &user.arn, &context));
            if answer.verdict != Truth::No {
                let grounds = self.grounds(&format!("{action} on {}", user.arn), &answer);
                let mut edge = edge(index, target, kind, answer.verdict, grounds);
                edge.assuming.push(assuming.to_owned());
                self.push(edge);
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
                || joined.account() != principal.account()
            {
                continue;
            }
            let context = Context::default();
            let answer = self.evaluator.decide(&Request::new(index, action, &joined.arn, &context));
            if answer.verdict == Truth::No {
                continue;
            }
            let grounds = self.grounds(&format!("{action} on {}", joined.arn), &answer);
            let edge = edge(index, usize::MAX, kind, answer.verdict, grounds);
            for user in self.joiners(index, principal) {
                let member = self.estate.principals.get(user).is_some_and(|user| user.member_of.contains(&group));
                if !member {
                    self.found.joins.push(Join { user, group, edge: edge.clone() });
                }
            }
        }
    }

    /// The user itself, and the users that it can take over directly.
    fn joiners(&self, index: usize, principal: &Principal) -> Vec<usize> {
        let own = (principal.kind == PrincipalKind::User).then_some(index);
        let is_user = |at: &usize| self.estate.principals.get(*at).is_some_and(|one| one.kind == PrincipalKind::User);
        let taken = self.found.edges.iter().filter(|edge| edge.from == index).map(|edge| edge.to).filter(is_user);
        own.into_iter().chain(taken).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn rewrite_trusts(&mut self, index: usize, principal: &Principal, kind: &'static Kind) {
        let action = "iam:UpdateAssumeRolePolicy";
        if !self.may_try(index, action) {
            return;
        }
        for (target, role) in self.estate.principals.iter().enumerate() {
            if role.kind != PrincipalKind::Role
                || role.account() != principal.account()
                || target == index
                || role.is_service_linked()
            {
                continue;
            }
            let context = Context::default();
            let answer = self.evaluator.decide(&Request::new(index, action, &role.arn, &context));
            // What denies assuming the role still denies it after the rewrite.
            let assume = self.evaluator.decide(&Request::new(index, "sts:AssumeRole", &role.arn, &context));
            let denied =
                Truth::any(assume.denies.iter().filter(|cite| cite.layer != Layer::Resource).map(|cite| cite.truth));
            let truth = answer.verdict.and(denied.negate());
            if truth != Truth::No {
                let grounds = self.grounds(&format!("{action} on {}", role.arn), &answer);
                self.push(edge(index, target, kind, truth, grounds));
            }
        }
    }

    fn rewrites(&mut self, index: usize, kind: &'static Kind, rewrite: Rewrite) {
        if !self.may_try(index, rewrite.action()) {
            return;
        }
        let wanted = match rewrite {
            Rewrite::Inline(whose) | Rewrite::Attach(whose) => Some(whose),
            Rewrite::NewVersion | Rewrite::OtherVersion => None,
        };
        for of in 0..self.estate.principals.len() {
            let Some(principal) = self.estate.principals.get(of) else { continue };
            let insider = matches!(principal.kind, PrincipalKind::User | PrincipalKind::Role);
            if !insider || principal.account() != self.account(index) || principal.is_service_linked() {
                continue;
            }
            for (target, whose) in rewritable(self.estate, principal, wanted) {
                self.rewrite_one(index, of, kind, &Target { rewrite, arn: &target, whose });
            }
        }
    }

    fn rewrite_one(&mut self, index: usize, of: usize, kind: &'static Kind, target: &Target<'_>) {
        let mut context = Context::default();
        if matches!(target.rewrite, Rewrite::Attach(_)) {
            context.set("iam:PolicyARN", Value::one("arn:aws:iam::aws:policy/AdministratorAccess"));
        }
        let action = target.rewrite.action();
        let answer = self.evaluator.decide(&Request::new(index, action, target.arn, &context));
        if answer.verdict == Truth::No || !self.has_version(target) {
            return;
        }
        let (gained, missing) = self.gain(of, target);
        let truth = answer.verdict.and(gained);
        if truth == Truth::No {
            return;
        }
        let grounds = self.grounds(&format!("{action} on {}", target.arn), &answer);
        let mut edge = edge(index, usize::MAX, kind, truth, grounds);
        edge.also = (of != index).then_some(of);
        edge.through = Some(target.arn.to_owned());
        edge.assuming.extend(missing);
        if matches!(target.rewrite, Rewrite::Attach(_)) {
            edge.assuming.push(
                "arn:aws:iam::aws:policy/AdministratorAccess, which every account has, is what it attaches".into(),
            );
        }
        self.push(edge);
    }

    fn has_version(&self, target: &Target<'_>) -> bool {
        target.whose.is_some() || self.estate.managed.contains_key(target.arn)
    }

    fn unlimited(&self, of: usize) -> Truth {
        let ask = || self.administers(of, &[self.estate.allow_all]).0;
        self.unlimited.get(of).map_or(Truth::No, |known| *known.get_or_init(ask))
    }

    /// What the rewritten principal would be allowed: everything, or what another version allows.
    fn gain(&self, of: usize, target: &Target<'_>) -> (Truth, Option<String>) {
        if target.rewrite != Rewrite::OtherVersion {
            return (self.unlimited(of), None);
        }
        let others = self.estate.managed.get(target.arn).map(|managed| managed.others.as_slice()).unwrap_or_default();
        let best = Truth::any(others.iter().map(|other| self.administers(of, &[*other]).0));
        if best == Truth::No {
            return (
                Truth::Unknown.and(self.unlimited(of)),
                Some(format!(
                    "a version of {} that allows more exists when it is used; the files show none now",
                    target.arn
                )),
            );
        }
        (best, None)
    }

    fn new_workloads(&mut self, index: usize, principal: &Principal, kind: &'static Kind, new: &New) {
        let actions = new.needs.iter().all(|need| need.any_of.iter().any(|action| self.may_try(index, action)));
        if !actions || !self.may_try(index, "iam:PassRole") {
            return;
        }
        let Some(able) = self.able(index, new.needs, &[]) else { return };
        let missing = new.existing.filter(|existing| !self.exists(existing)).and_then(kinds::workload);
        if missing.is_some_and(|missing| self.estate.listed.contains(missing.id)) {
            return;
        }
        for service in new.services {
            for (role, trusts, trust) in self.trusted.get(service).cloned().unwrap_or_default() {
                let Some(target) = self.estate.principals.get(role) else { continue };
                if target.account() != principal.account()
                    || role == index
                    || new.profile && target.instance_profiles.is_empty()
                {
                    continue;
                }
                let context = Context::default().with("iam:PassedToService", Value::one(*service));
                let pass = self.evaluator.decide(&Request::new(index, "iam:PassRole", &target.arn, &context));
                if pass.verdict == Truth::No {
                    continue;
                }
                let mut grounds = self.grounds(&format!("iam:PassRole on {}", target.arn), &pass);
                grounds.extend(able.grounds.iter().cloned());
                grounds.push(self.trust_ground(target, service, trusts, trust));
                let mut edge = edge(index, role, kind, able.truth.and(pass.verdict).and(trusts), grounds);
                edge.missing.extend(missing);
                edge.assuming.extend(kind.partial.map(str::to_owned));
                self.push(edge);
            }
        }
    }

    fn trust_ground(&self, role: &Principal, service: &str, truth: Truth, statement: StatementId) -> Arc<Ground> {
        let open =
            self.estate.statement(statement).filter(|_| truth == Truth::Unknown).map(conditions).unwrap_or_default();
        let claim = format!("the trust policy of {} lets {service} assume it", role.short());
        Arc::new(Ground { claim, statements: vec![statement], truth, open })
    }

    fn exists(&self, workload: &str) -> bool {
        self.estate.workloads.iter().any(|one| one.kind == workload)
    }

    fn existing_workloads(&mut self, index: usize, principal: &Principal, kind: &'static Kind, existing: &Existing) {
        if !existing.needs.iter().all(|need| need.any_of.iter().any(|action| self.may_try(index, action))) {
            return;
        }
        let known: Vec<_> = self.estate.workloads.iter().filter(|one| one.kind == existing.workload.id).collect();
        for workload in &known {
            let Some(role) = workload.role.as_deref().and_then(|role| self.estate.find(role).ok()) else { continue };
            let Some(able) = self.able(index, existing.needs, std::slice::from_ref(&workload.arn)) else { continue };
            self.push_existing(index, role, kind, existing, able, None);
        }
        if !known.is_empty() || self.estate.listed.contains(existing.workload.id) {
            return;
        }
        let template = existing.workload.arn.replace("{account}", principal.account());
        let candidates = self.candidates(index, existing.needs, &template);
        let Some(able) = self.able(index, existing.needs, &candidates) else { return };
        let mut roles = BTreeSet::new();
        for service in existing.workload.services {
            roles.extend(self.trusted.get(service).into_iter().flatten().map(|(role, _, _)| *role));
        }
        for role in roles {
            let able = Able { grounds: able.grounds.clone(), resource: able.resource.clone(), truth: able.truth };
            self.push_existing(index, role, kind, existing, able, Some(existing.workload));
        }
    }

    fn push_existing(
        &mut self,
        index: usize,
        role: usize,
        kind: &'static Kind,
        existing: &Existing,
        able: Able,
        missing: Option<&'static WorkloadKind>,
    ) {
        let Some(target) = self.estate.principals.get(role) else { return };
        let wrong_profile = existing.workload.profile && target.instance_profiles.is_empty() && missing.is_some();
        if role == index || wrong_profile || target.account() != self.account(index) && missing.is_some() {
            return;
        }
        let mut grounds = able.grounds;
        for action in existing.role_needs {
            let context = Context::default();
            let answer = self.evaluator.decide(&Request::new(role, action, "*", &context));
            if answer.verdict == Truth::No {
                return;
            }
            grounds.extend(self.grounds(&format!("{} may {action}, which the way in needs", target.short()), &answer));
        }
        let mut edge = edge(index, role, kind, able.truth, grounds);
        edge.through = Some(able.resource);
        edge.missing.extend(missing);
        edge.assuming.extend(kind.partial.map(str::to_owned));
        self.push(edge);
    }

    fn may_try(&self, index: usize, action: &str) -> bool {
        self.evaluator.may_try(index, action)
    }

    /// Whether the principal can do all needs; those on the workload on the same one of `workloads`.
    fn able(&self, index: usize, needs: &[Need], workloads: &[String]) -> Option<Able> {
        let on_workload: Vec<&Need> = needs.iter().filter(|need| need.on == On::Workload).collect();
        let mut able = Able { truth: Truth::Yes, grounds: Vec::new(), resource: String::new() };
        if !on_workload.is_empty() {
            let tried = workloads.iter().filter_map(|workload| self.all_on(index, &on_workload, workload));
            able = tried.max_by_key(|able| able.truth)?;
        }
        for need in needs {
            let On::Resource(template) = need.on else { continue };
            let template = template.replace("{account}", self.account(index));
            let candidates = self.candidates(index, std::slice::from_ref(need), &template);
            let tried = candidates.iter().filter_map(|candidate| self.all_on(index, &[need], candidate));
            let best = tried.max_by_key(|able| able.truth)?;
            able.truth = able.truth.and(best.truth);
            able.grounds.extend(best.grounds);
        }
        Some(able)
    }

    fn all_on(&self, index: usize, needs: &[&Need], resource: &str) -> Option<Able> {
        let mut able = Able { truth: Truth::Yes, grounds: Vec::new(), resource: resource.to_owned() };
        for need in needs {
            let tried = need.any_of.iter().map(|action| {
                let context = Context::default();
                (*action, self.evaluator.decide(&Request::new(index, action, resource, &context)))
            });
            let (action, answer) = tried.max_by_key(|(_, answer)| answer.verdict)?;
            if answer.verdict == Truth::No {
                return None;
            }
            able.truth = able.truth.and(answer.verdict);
            able.grounds.extend(self.grounds(&format!("{action} on {resource}"), &answer));
        }
        Some(able)
    }

    /// Resources of the template's form that the principal's own statements speak of: if the needs
    /// are allowed on any resource of that form, then on one of these.
    fn candidates(&self, index: usize, needs: &[Need], template: &str) -> Vec<String> {
        let mut candidates = vec![instance_of(template, template).unwrap_or_default()];
        let actions: Vec<String> =
            needs.iter().flat_map(|need| need.any_of).map(|action| action.to_ascii_lowercase()).collect();
        for policy in self.evaluator.identity(index) {
            for (_, statement) in self.estate.statements(*policy) {
                if statement.effect == Effect::Deny || !actions.iter().any(|action| statement.has_action(action)) {
                    continue;
                }
                candidates.extend(
                    resource_patterns(statement).into_iter().filter_map(|pattern| instance_of(pattern, template)),
                );
            }
        }
        candidates.sort();
        candidates.dedup();
        candidates
    }

    fn grounds(&self, claim: &str, answer: &Answer) -> Vec<Arc<Ground>> {
        let of = |layer: Layer| -> Vec<StatementId> {
            answer.allows.iter().filter(|cite| cite.layer == layer).map(|cite| cite.statement).collect()
        };
        let open = self.open(answer);
        let ground = |statements| {
            Arc::new(Ground { claim: claim.to_owned(), statements, truth: answer.verdict, open: open.clone() })
        };
        let (identity, resource) = (of(Layer::Identity), of(Layer::Resource));
        if answer.by_resource {
            return vec![ground(resource)];
        }
        let mut grounds = vec![ground(identity)];
        if !resource.is_empty() && claim.starts_with("sts:") {
            let claim = "the trust policy lets the account decide".to_owned();
            grounds.push(Arc::new(Ground { claim, statements: resource, truth: answer.verdict, open: Vec::new() }));
        }
        grounds
    }

    fn open(&self, answer: &Answer) -> Vec<String> {
        if answer.verdict != Truth::Unknown {
            return Vec::new();
        }
        let cites = answer.allows.iter().chain(&answer.denies).filter(|cite| cite.truth == Truth::Unknown);
        cites
            .filter_map(|cite| self.estate.statement(cite.statement))
            .flat_map(conditions)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }
}

struct New {
    services: &'static [&'static str],
    profile: bool,
    needs: &'static [Need],
    existing: Option<&'static str>,
}

struct Existing {
    workload: &'static WorkloadKind,
    needs: &'static [Need],
    role_needs: &'static [&'static str],
}

struct Target<'t> {
    rewrite: Rewrite,
    arn: &'t str,
    whose: Option<Whose>,
}

/// What can be rewritten to change a principal: itself, its groups, its attached policies.
fn rewritable(estate: &Estate, principal: &Principal, wanted: Option<Whose>) -> Vec<(String, Option<Whose>)> {
    let groups = || principal.member_of.iter().filter_map(|group| estate.principals.get(*group));
    match (wanted, principal.kind) {
        (Some(Whose::User), PrincipalKind::User) | (Some(Whose::Role), PrincipalKind::Role) => {
            vec![(principal.arn.clone(), wanted)]
        }
        (Some(Whose::Group), PrincipalKind::User) => groups().map(|group| (group.arn.clone(), wanted)).collect(),
        (Some(_), _) => Vec::new(),
        (None, _) => {
            let attached = principal.attached.iter().chain(groups().flat_map(|group| &group.attached));
            // AWS's own policies belong to AWS: nobody else writes a version of them.
            let own = attached.filter(|arn| Arn::parse(arn).is_some_and(|arn| arn.account != "aws"));
            own.map(|arn| (arn.clone(), None)).collect::<BTreeSet<_>>().into_iter().collect()
        }
    }
}

fn names_outsider(named: &Named, statement: &Statement, principal: &Principal) -> bool {
    match named {
        Named::Anyone => principal.kind == PrincipalKind::Anyone,
        Named::Federated(provider) => federated(provider, statement) == principal.arn,
        Named::Aws(text) => *text == principal.arn || format!("arn:aws:iam::{text}:root") == principal.arn,
        Named::Service(_) | Named::Canonical(_) => false,
    }
}

fn edge(from: usize, to: usize, kind: &'static Kind, truth: Truth, grounds: Vec<Arc<Ground>>) -> Edge {
    Edge { from, also: None, to, kind, truth, grounds, through: None, missing: Vec::new(), assuming: Vec::new() }
}

fn identity_allows(answer: &Answer) -> impl Iterator<Item = StatementId> {
    answer.allows.iter().filter(|cite| cite.layer == Layer::Identity).map(|cite| cite.statement)
}

/// A statement's conditions as people read them.
pub(crate) fn conditions(statement: &Statement) -> Vec<String> {
    let text = |one: &Condition| format!("{} {} {}", one.operator, one.key, one.values.join(" | "));
    statement.conditions.iter().map(text).collect()
}

/// A concrete resource that both patterns cover, segment by segment; `None` when none is found.
fn instance_of(pattern: &str, template: &str) -> Option<String> {
    const SAMPLES: [&str; 6] = ["arn", "aws", "service", "us-east-1", "111122223333", "example"];
    let whole = |text: &str| {
        let parts = text.splitn(6, ':').zip(SAMPLES).map(|(part, sample)| part.replace(['*', '?'], sample));
        parts.collect::<Vec<_>>().join(":")
    };
    let plain = whole(template);
    if glob(pattern, &plain) {
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

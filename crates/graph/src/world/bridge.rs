//! Steps between a cluster and the cloud it runs in, and of the agents that a cluster describes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::aws::estate::{Grants, Principal};
use crate::aws::evaluate::{Evaluator, Request};
use crate::aws::policy::{Effect, Named, Principals, Statement};
use crate::aws::{self, Context, PrincipalKind, Truth, Value, attack};
use crate::kubernetes::attack::DOMAIN;
use crate::kubernetes::estate::{
    Container, Custom, Meta, Opening, Peers, Pod, PodIdentity, Port, Service, Share, Token,
};
use crate::kubernetes::{Estate, Subject};
use crate::step::{Grant, Ground, Missing, Node, NodeKind, Page, Step, Steps};

const fn page(id: &'static str, title: &'static str, why: &'static str, references: &'static [&'static str]) -> Page {
    Page { id, title, catalogue: &[], why, references }
}

/// A service account's token is exchanged for a role.
pub const IRSA: Page = page(
    "k8s-irsa",
    "exchanges its token for the role",
    "The role trusts the cluster's token issuer for this service account.",
    &[
        "https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html",
        "https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/",
    ],
);
/// EKS hands a role to pods of a service account.
pub const POD_IDENTITY: Page = page(
    "k8s-pod-identity",
    "is handed the role by EKS Pod Identity",
    "The agent on the machine gives pods of the service account credentials of the role.",
    &["https://docs.aws.amazon.com/eks/latest/userguide/pod-identities.html"],
);
/// A service account stands for an identity of another cloud.
pub const WORKLOAD_IDENTITY: Page = page(
    "k8s-workload-identity",
    "exchanges its token for the cloud identity",
    "The annotation names the identity of Google Cloud or Azure that the service account stands for.",
    &[
        "https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity",
        "https://azure.github.io/azure-workload-identity/docs/",
    ],
);
/// A machine has an instance role.
pub const MACHINE_ROLE: Page = page(
    "k8s-node-role",
    "reads the credentials of the machine's role",
    "The metadata service gives them to whoever asks from the machine.",
    &["https://docs.aws.amazon.com/eks/latest/userguide/create-node-role.html"],
);
/// A pod reaches the metadata service of its machine.
pub const METADATA: Page = page(
    "k8s-metadata",
    "asks the machine's metadata service for its role",
    "Unless a network policy or the hop limit forbids it, a pod reaches 169.254.169.254.",
    &["https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html"],
);
/// A cloud identity is a user of the cluster.
pub const MAPPED: Page = page(
    "eks-access",
    "signs in to the cluster",
    "An access entry or the `aws-auth` map makes the cloud identity a user and a member of groups.",
    &["https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html"],
);
/// A cloud identity makes itself an administrator of the cluster.
pub const ADMITTED: Page = page(
    "eks-access-entry",
    "gives itself an access entry, and makes itself",
    "Whoever may make access entries and associate access policies with them lets in whom it likes, as administrator.",
    &["https://docs.aws.amazon.com/eks/latest/userguide/access-policies.html"],
);
/// An agent runs as a service account.
pub const AGENT_ACCOUNT: Page = page(
    "k8s-agent-account",
    "runs as the service account",
    "What an agent is talked into, it does with the rights of its service account.",
    &["https://kagent.dev/docs/kagent"],
);
/// An agent calls a server's tools.
pub const AGENT_TOOLS: Page = page(
    "k8s-agent-tools",
    "calls the tools of the server",
    "A server does for an agent what the server's own identity may do.",
    &["https://kagent.dev/docs/kmcp"],
);
/// A server is what answers at its address.
pub const AGENT_SERVER: Page = page(
    "k8s-agent-server",
    "is served by",
    "The address of a remote server is a service of the cluster: what it leads to acts with its own service account.",
    &["https://kagent.dev/docs/kagent", "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/"],
);

/// Every kind of step of this module.
pub const PAGES: &[Page] = &[
    IRSA,
    POD_IDENTITY,
    WORKLOAD_IDENTITY,
    MACHINE_ROLE,
    METADATA,
    MAPPED,
    ADMITTED,
    AGENT_ACCOUNT,
    AGENT_TOOLS,
    AGENT_SERVER,
];

/// What would show whether a role trusts the cluster.
const DETAILS: Missing = Missing {
    id: "account-details",
    noun: "roles of the cloud account",
    listing: "aws iam get-account-authorization-details",
};
/// The audience that STS takes tokens for.
const STS: &str = "sts.amazonaws.com";
/// Steps to a service account of those who choose the audience of its token: they ask for it, or write the pod's volumes.
const CHOOSES_AUDIENCE: &[&str] =
    &["k8s-token-request", "k8s-create-pod", "k8s-patch-workload", "k8s-namespace-contents"];
const NO_TOKEN: &str =
    "it has a token for `sts.amazonaws.com`: only pods of accounts that name a role are given one unasked";
const OTHER_ISSUER: &str = "the issuer that the role trusts is this cluster's: the accounts trust several";
/// What gives a service account a role.
const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
const METADATA_ADDRESS: &str = "169.254.169.254";
const METADATA_PORT: &str = "80";

pub(super) fn derive(aws: &aws::Estate, cluster: &Estate, steps: &mut Steps) {
    let mut bridge = Bridge { aws, cluster, steps, evaluator: Evaluator::new(aws), grants: aws.grants() };
    bridge.annotated_accounts();
    bridge.trusted_accounts();
    for identity in &cluster.pod_identities {
        bridge.pod_identity(identity);
    }
    bridge.machines();
    bridge.mappings();
    bridge.admitted();
    bridge.agents();
}

struct Bridge<'b> {
    aws: &'b aws::Estate,
    cluster: &'b Estate,
    steps: &'b mut Steps,
    evaluator: Evaluator<'b>,
    grants: Grants,
}

impl Bridge<'_> {
    fn node(&mut self, name: &str, kind: NodeKind, meta: &Meta) -> usize {
        let (key, source, line) = (format!("{DOMAIN}/{name}"), meta.source.clone(), Some(meta.line));
        self.steps.add_node(Node { key, name: name.to_owned(), kind, domain: DOMAIN.into(), source, line })
    }

    fn account(&mut self, namespace: &str, name: &str, meta: &Meta) -> usize {
        let subject = Subject::ServiceAccount(namespace.to_owned(), name.to_owned());
        self.node(&subject.name(), NodeKind::Principal, meta)
    }

    /// The node of a cloud identity, and its place in the accounts if they have it.
    fn cloud(&mut self, arn: &str, (source, line): (&Arc<str>, u32)) -> (usize, Option<usize>) {
        if let Some(index) = self.aws.index_of(arn) {
            return (index, Some(index));
        }
        let domain = aws::Arn::parse(arn).map_or("", |arn| arn.account).into();
        let (key, name) = (arn.to_owned(), arn.to_owned());
        let node = Node { key, name, kind: NodeKind::Inner, domain, source: source.clone(), line: Some(line) };
        (self.steps.add_node(node), None)
    }

    fn said(&mut self, policy: String, part: String, (source, line): (&Arc<str>, u32)) -> Arc<Ground> {
        let claim = part.clone();
        let grant = Grant { policy, arn: None, part, source: source.clone(), line: Some(line) };
        let grants = vec![self.steps.add_grant(grant)];
        Arc::new(Ground { claim, grants, truth: Truth::Yes, open: Vec::new() })
    }

    fn annotated_accounts(&mut self) {
        for account in &self.cluster.accounts {
            let meta = &account.meta;
            let from = self.account(&meta.namespace, &meta.name, meta);
            let policy = format!("ServiceAccount {}/{}", meta.namespace, meta.name);
            let place = (&meta.source, meta.line);
            if let Some(role) = meta.annotations.get(ROLE_ANNOTATION) {
                let said = self.named(meta, role);
                self.irsa(from, role, (meta, said));
            }
            for (key, cloud) in
                [("iam.gke.io/gcp-service-account", "Google Cloud"), ("azure.workload.identity/client-id", "Azure")]
            {
                if let Some(identity) = meta.annotations.get(key) {
                    let said = self.said(policy.clone(), format!("names the {cloud} identity {identity}"), place);
                    let name = format!("{cloud} identity {identity}");
                    let to = self.node(&name, NodeKind::Inner, meta);
                    self.steps.push(Step { grounds: vec![said], ..Step::new(from, to, WORKLOAD_IDENTITY) });
                }
            }
        }
    }

    /// Service accounts that a role trusts, whether they name it or not: what a trust policy lets in is not limited to who
    /// was told of it.
    fn trusted_accounts(&mut self) {
        let roles: Vec<(usize, &Principal)> =
            self.aws.principals.iter().enumerate().filter(|(_, role)| self.trusts_accounts(role)).collect();
        if roles.is_empty() {
            return;
        }
        let mut accounts: BTreeMap<(&str, &str), &Meta> = BTreeMap::new();
        for pod in &self.cluster.pods {
            accounts.insert((&pod.meta.namespace, &pod.account), &pod.meta);
        }
        for account in &self.cluster.accounts {
            accounts.insert((&account.meta.namespace, &account.meta.name), &account.meta);
        }
        let choosing = self.choosing();
        for ((namespace, name), meta) in accounts {
            let named = meta.annotations.get(ROLE_ANNOTATION).filter(|_| meta.name == name);
            for (to, role) in roles.iter().copied() {
                let meta = Meta { namespace: namespace.to_owned(), name: name.to_owned(), ..meta.clone() };
                let Some(trusted) = self.issuer_trusted((to, role), &meta).map(Arc::new) else { continue };
                let account = self.account(namespace, name, &meta);
                self.chosen_token((&meta, account), (to, &trusted), &choosing);
                self.projected_token(&meta, to, &trusted);
                // `annotated_accounts` has it.
                if named == Some(&role.arn) {
                    continue;
                }
                let mut step = Step { grounds: vec![trusted], ..Step::new(account, to, IRSA) };
                match named {
                    Some(own) => step.grounds.push(self.named(&meta, own)),
                    None => step.assuming.push(NO_TOKEN.to_owned()),
                }
                self.steps.push(step.clone());
                if named.is_some() {
                    self.without_token(&meta, &step);
                }
            }
        }
    }

    /// The steps of those who choose the audience of an account's token, by the account.
    fn choosing(&self) -> BTreeMap<usize, Vec<Step>> {
        let mut choosing: BTreeMap<usize, Vec<Step>> = BTreeMap::new();
        for step in self.steps.steps.iter().filter(|step| CHOOSES_AUDIENCE.contains(&step.kind.id)) {
            choosing.entry(step.to).or_default().push(step.clone());
        }
        choosing
    }

    /// STS looks at subject and audience alone: whoever chooses the audience of a trusted account's token has the role,
    /// whatever the account names. The administrator of the cluster is one of them.
    fn chosen_token(
        &mut self,
        (meta, account): (&Meta, usize),
        (to, trusted): (usize, &Arc<Ground>),
        choosing: &BTreeMap<usize, Vec<Step>>,
    ) {
        let steps = choosing.get(&account).map(Vec::as_slice).unwrap_or_default();
        if steps.is_empty() && self.steps.administrator_of(DOMAIN).is_none() {
            return;
        }
        let name = format!("a token of {} for {STS}", self.steps.name(account));
        let is_new = self.steps.index_of(&format!("{DOMAIN}/{name}")).is_none();
        let token = self.node(&name, NodeKind::Inner, meta);
        // Several roles may trust the account.
        for step in steps.iter().filter(|_| is_new) {
            self.steps.push(Step { to: token, ..step.clone() });
        }
        self.steps.push(Step { grounds: vec![trusted.clone()], ..Step::new(token, to, IRSA) });
    }

    /// Containers that mount a token for the cloud need not be given one.
    fn projected_token(&mut self, account: &Meta, to: usize, trusted: &Arc<Ground>) {
        let cluster = self.cluster;
        let of = |pod: &&Pod| pod.meta.namespace == account.namespace && pod.account == account.name;
        for pod in cluster.pods.iter().filter(of) {
            for (from, container) in self.containers(pod).into_iter().zip(&pod.containers) {
                let for_sts = |token: &&Token| token.audience.as_deref() == Some(STS);
                let Some(token) = container.tokens.iter().find(for_sts) else { continue };
                let policy = format!("{} {}/{}", pod.kind, pod.meta.namespace, pod.meta.name);
                let part = format!("mounts a token of service account {} for {STS}", pod.account);
                let said = self.said(policy, part, (&pod.meta.source, token.line));
                self.steps.push(Step { grounds: vec![said, trusted.clone()], ..Step::new(from, to, IRSA) });
            }
        }
    }

    /// That a service account names a role: its pods are given a token for it.
    fn named(&mut self, meta: &Meta, role: &str) -> Arc<Ground> {
        let policy = format!("ServiceAccount {}/{}", meta.namespace, meta.name);
        self.said(policy, format!("names the role {role}"), (&meta.source, meta.line))
    }

    /// Pods that do not mount the token of their service account are given the one for the cloud all the same.
    fn without_token(&mut self, account: &Meta, step: &Step) {
        let of = |pod: &&Pod| pod.meta.namespace == account.namespace && pod.account == account.name;
        let pods = self.cluster.pods.iter().filter(of).filter(|pod| !self.cluster.mounts_token(pod));
        for pod in pods.collect::<Vec<_>>() {
            for from in self.containers(pod) {
                self.steps.push(Step { from, ..step.clone() });
            }
        }
    }

    fn containers(&mut self, pod: &Pod) -> Vec<usize> {
        let several = pod.containers.len() > 1;
        let name = |one: &Container| {
            let container = if several { format!(":{}", one.name) } else { String::new() };
            format!("{}/{}/{}{container}", pod.kind, pod.meta.namespace, pod.meta.name)
        };
        pod.containers.iter().map(|one| self.node(&name(one), NodeKind::Workload, &pod.meta)).collect()
    }

    /// Whether a role's trust policy speaks of service accounts.
    fn trusts_accounts(&self, role: &Principal) -> bool {
        let mut statements = role.trust.into_iter().flat_map(|trust| self.aws.statements(trust));
        statements.any(|(_, statement)| is_for_accounts(statement))
    }

    fn irsa(&mut self, from: usize, role: &str, (meta, said): (&Meta, Arc<Ground>)) {
        let (to, known) = self.cloud(role, (&meta.source, meta.line));
        let mut step = Step { grounds: vec![said], ..Step::new(from, to, IRSA) };
        match known.and_then(|index| Some((index, self.aws.principals.get(index)?))) {
            None => step.missing.push(DETAILS),
            Some(role) => match self.issuer_trusted(role, meta) {
                Some(ground) => step.grounds.push(Arc::new(ground)),
                None => return,
            },
        }
        self.steps.push(step.clone());
        self.without_token(meta, &step);
    }

    /// Whether a role trusts a token issuer for this service account. That the issuer is this cluster's no file says:
    /// it is certain where the accounts speak of one issuer for service accounts alone.
    fn issuer_trusted(&self, (at, role): (usize, &Principal), meta: &Meta) -> Option<Ground> {
        const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
        let subject = format!("system:serviceaccount:{}:{}", meta.namespace, meta.name);
        let trust = role.trust?;
        let mut context = Context::default();
        for condition in self.aws.statements(trust).flat_map(|(_, statement)| &statement.conditions) {
            if condition.key.ends_with(":sub") {
                context.set(&condition.key, Value::one(&subject));
            } else if condition.key.ends_with(":aud") {
                context.set(&condition.key, Value::one(STS));
            }
        }
        let federated = |named: &Named| matches!(named, Named::Federated(_));
        let kept = self.evaluator.keeps_out(at, ACTION, federated, &context);
        let issuer = if self.issuers() > 1 { Truth::Unknown } else { Truth::Yes };
        let mut best: Option<Ground> = None;
        for (id, statement) in self.aws.statements(trust) {
            let named = matches!(&statement.principals, Some(Principals::Of(list)) if list.iter().any(federated));
            if statement.effect != Effect::Allow || !named || !statement.has_action(&ACTION.to_ascii_lowercase()) {
                continue;
            }
            let holds = statement.conditions_hold(&context);
            let held = holds.and(kept.negate());
            if held > best.as_ref().map_or(Truth::No, |ground| ground.truth) {
                let claim = format!("the trust policy of {} lets {subject} assume it", role.short());
                let mut open = if holds == Truth::Unknown { attack::conditions(statement) } else { Vec::new() };
                open.extend((kept == Truth::Unknown).then(|| attack::MAY_BE_KEPT_OUT.to_owned()));
                open.extend((issuer == Truth::Unknown).then(|| OTHER_ISSUER.to_owned()));
                best = Some(Ground { claim, grants: self.grants.all([id]), truth: held, open });
            }
        }
        best.map(|ground| Ground { truth: ground.truth.and(issuer), ..ground })
    }

    /// How many token issuers the accounts trust for service accounts.
    fn issuers(&self) -> usize {
        let roles = self.aws.principals.iter().filter_map(|role| role.trust);
        let statements = roles.flat_map(|trust| self.aws.statements(trust)).map(|(_, statement)| statement);
        let named = statements.filter(|one| is_for_accounts(one)).filter_map(|statement| match &statement.principals {
            Some(Principals::Of(list)) => Some(list),
            _ => None,
        });
        let issuers = named.flatten().filter_map(|named| match named {
            Named::Federated(issuer) => Some(issuer.as_str()),
            _ => None,
        });
        issuers.collect::<std::collections::BTreeSet<_>>().len()
    }

    fn pod_identity(&mut self, identity: &PodIdentity) {
        let place = (&identity.source, identity.line);
        let (namespace, name) = &identity.account;
        let meta = Meta { source: identity.source.clone(), line: identity.line, ..Meta::default() };
        let from = self.account(namespace, name, &meta);
        let (to, known) = self.cloud(&identity.role, place);
        let said = self.said("pod identity association".into(), format!("gives {}", identity.role), place);
        let mut step = Step { grounds: vec![said], ..Step::new(from, to, POD_IDENTITY) };
        match known {
            None => step.missing.push(DETAILS),
            Some(role) => match self.evaluator.trusts_service(role, "pods.eks.amazonaws.com") {
                (truth, Some(statement)) => {
                    let claim = "its trust policy lets pods.eks.amazonaws.com assume it".to_owned();
                    let grants = self.grants.all([statement]);
                    step.grounds.push(Arc::new(Ground { claim, grants, truth, open: Vec::new() }));
                }
                (_, None) => return,
            },
        }
        self.steps.push(step.clone());
        let account = Meta { namespace: namespace.clone(), name: name.clone(), ..meta };
        self.without_token(&account, &step);
    }

    fn machines(&mut self) {
        for machine in &self.cluster.machines {
            let Some(instance) = machine.provider.strip_prefix("aws://").and_then(|id| id.rsplit('/').next()) else {
                continue;
            };
            let ends = format!("/{instance}");
            let workloads =
                self.aws.workloads.iter().filter(|one| one.kind == "ec2-instance" && one.arn.ends_with(&ends));
            let role = workloads.filter_map(|one| self.aws.find(one.role.as_deref()?).ok()).next();
            let Some(to) = role else { continue };
            let host = self.node(&format!("node/{}", machine.meta.name), NodeKind::Host, &machine.meta);
            let place = (&machine.meta.source, machine.meta.line);
            let said = self.said(format!("Node {}", machine.meta.name), format!("is the instance {instance}"), place);
            self.steps.push(Step { grounds: vec![said.clone()], ..Step::new(host, to, MACHINE_ROLE) });
            for pod in self.cluster.pods.iter().filter(|pod| pod.node.as_deref() == Some(&machine.meta.name)) {
                self.metadata(pod, to, &said);
            }
        }
    }

    fn metadata(&mut self, pod: &Pod, to: usize, said: &Arc<Ground>) {
        let on_host = pod.shares.contains_key(&Share::HostNetwork);
        if !on_host && !asks_metadata(self.cluster, pod) {
            return;
        }
        for from in self.containers(pod) {
            let mut step = Step { grounds: vec![said.clone()], ..Step::new(from, to, METADATA) };
            if !on_host {
                step.assuming.push("the instance's metadata service answers over more than one hop".to_owned());
            }
            self.steps.push(step);
        }
    }

    fn mappings(&mut self) {
        for mapping in &self.cluster.mappings {
            let (from, _) = self.cloud(&mapping.arn, (&mapping.source, mapping.line));
            let user = mapping.user.iter().filter(|user| !user.contains("{{")).cloned().map(Subject::User);
            let subjects: Vec<Subject> = user.chain(mapping.groups.iter().cloned().map(Subject::Group)).collect();
            for subject in subjects {
                let place = (&mapping.source, mapping.line);
                let said =
                    self.said("access of cloud identities".into(), format!("makes it {}", subject.name()), place);
                let meta = Meta { source: mapping.source.clone(), line: mapping.line, ..Meta::default() };
                let to = self.node(&subject.name(), NodeKind::Principal, &meta);
                self.steps.push(Step { grounds: vec![said], ..Step::new(from, to, MAPPED) });
            }
        }
    }

    /// Who may associate the policy of administrators with an access entry: its own, or one that it makes.
    fn admitted(&mut self) {
        for cluster in &self.cluster.clusters {
            let Some(arn) = aws::Arn::parse(cluster) else { continue };
            let entries = arn.resource.replacen("cluster/", "access-entry/", 1);
            let entries = format!("arn:{}:eks:{}:{}:{entries}", arn.partition, arn.region, arn.account);
            for (index, principal) in self.aws.principals.iter().enumerate() {
                if !matches!(principal.kind, PrincipalKind::User | PrincipalKind::Role) {
                    continue;
                }
                // `user/ann` as `user/111122223333/ann/…`.
                let name = principal.short();
                let own = name.replacen('/', &format!("/{}/", principal.account()), 1);
                let entry = format!("{entries}/{own}/example");
                let has_one = self.cluster.mappings.iter().any(|mapping| mapping.arn == principal.arn);
                let needs = [("eks:CreateAccessEntry", cluster), ("eks:AssociateAccessPolicy", &entry)];
                let needs = needs.into_iter().skip(usize::from(has_one));
                let grounds: Option<Vec<Ground>> = needs.map(|(action, on)| self.may(index, action, on)).collect();
                let Some(grounds) = grounds else { continue };
                let to = self.steps.administrator(&DOMAIN.into());
                let grounds = grounds.into_iter().map(Arc::new).collect();
                self.steps.push(Step { grounds, ..Step::new(index, to, ADMITTED) });
            }
        }
    }

    /// The ground that a principal may do something, if it may.
    fn may(&self, principal: usize, action: &str, resource: &str) -> Option<Ground> {
        let answer = self.evaluator.decide(&Request::new(principal, action, resource, &Context::default()));
        let grants = self.grants.all(answer.allows.iter().map(|cite| cite.statement));
        let claim = format!("{action} on {resource}");
        let open = attack::open(self.aws, &answer);
        (answer.verdict != Truth::No).then_some(Ground { claim, grants, truth: answer.verdict, open })
    }

    fn agents(&mut self) {
        for custom in &self.cluster.customs {
            let (meta, from) = (&custom.meta, self.custom(custom));
            let own = self
                .cluster
                .accounts
                .iter()
                .any(|one| one.meta.namespace == meta.namespace && one.meta.name == meta.name);
            let account = custom.account.clone().or_else(|| own.then(|| meta.name.clone()));
            let policy = format!("{}/{}", meta.namespace, meta.name);
            if let Some(account) = account {
                let said =
                    self.said(policy.clone(), format!("runs as service account {account}"), (&meta.source, meta.line));
                let to = self.account(&meta.namespace, &account, meta);
                self.steps.push(Step { grounds: vec![said], ..Step::new(from, to, AGENT_ACCOUNT) });
            }
            for (namespace, name, line) in &custom.uses {
                let used =
                    self.cluster.customs.iter().find(|one| one.meta.namespace == *namespace && one.meta.name == *name);
                let Some(used) = used else { continue };
                let said = self.said(policy.clone(), format!("uses {namespace}/{name}"), (&meta.source, *line));
                let to = self.custom(used);
                self.steps.push(Step { grounds: vec![said], ..Step::new(from, to, AGENT_TOOLS) });
            }
            self.served(custom, from);
        }
    }

    fn custom(&mut self, custom: &Custom) -> usize {
        self.node(&custom.name(), custom.node_kind(), &custom.meta)
    }

    /// From a server whose address is a service of the cluster to what listens behind it.
    fn served(&mut self, custom: &Custom, from: usize) {
        let cluster = self.cluster;
        let own = custom.meta.namespace.as_str();
        let Some((name, namespace, number)) = custom.url.as_deref().and_then(|url| service_at(url, own)) else {
            return;
        };
        let is_it = |one: &&Service| one.meta.namespace == namespace && one.meta.name == name;
        let Some(service) = cluster.services.iter().find(is_it) else { return };
        for pod in cluster.pods.iter().filter(|pod| service.leads_to(pod)) {
            for (to, container) in self.containers(pod).into_iter().zip(&pod.containers) {
                let mut ports = service.ports.iter().filter(|port| port.number == number);
                if !ports.any(|port| port.listening(pod, container).is_some()) {
                    continue;
                }
                let (meta, policy) = (&custom.meta, format!("{own}/{}", custom.meta.name));
                let at = self.said(policy, format!("is at service {namespace}/{name}"), (&meta.source, meta.line));
                let (meta, policy) = (&service.meta, format!("service {name}"));
                let leads = self.said(policy, format!("leads to {}", pod.meta.name), (&meta.source, meta.line));
                self.steps.push(Step { grounds: vec![at, leads], ..Step::new(from, to, AGENT_SERVER) });
            }
        }
    }
}

/// The name, the namespace and the port of the service that an address names, seen from a namespace; `None` where it
/// leads out of the cluster.
fn service_at<'u>(url: &'u str, own: &'u str) -> Option<(&'u str, &'u str, &'u str)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let usual = if scheme == "https" { "443" } else { "80" };
    let (host, port) = authority.split_once(':').unwrap_or((authority, usual));
    let mut parts = host.split('.');
    let (name, namespace) = (parts.next()?, parts.next().unwrap_or(own));
    // `NAME.NAMESPACE.svc.cluster.local`, or any beginning of it.
    parts.next().is_none_or(|third| third == "svc").then_some((name, namespace, port))
}

/// Whether a statement speaks of service accounts, or of an issuer that is a cluster's.
fn is_for_accounts(statement: &Statement) -> bool {
    let mut values = statement.conditions.iter().flat_map(|one| &one.values);
    let of_cluster =
        |named: &Named| matches!(named, Named::Federated(issuer) if issuer.contains("oidc-provider/oidc.eks."));
    values.any(|value| value.starts_with("system:serviceaccount:"))
        || matches!(&statement.principals, Some(Principals::Of(list)) if list.iter().any(of_cluster))
}

/// Whether network policies let a pod ask the metadata service.
fn asks_metadata(cluster: &Estate, pod: &Pod) -> bool {
    let limits = cluster.policies.iter().filter(|policy| policy.limits(pod));
    let mut limits = limits.filter_map(|policy| policy.egress.as_ref()).peekable();
    let is_block = |(block, except): &(String, Vec<String>)| {
        contains(block, METADATA_ADDRESS) && !except.iter().any(|except| contains(except, METADATA_ADDRESS))
    };
    let lets = |opening: &Opening| {
        let named = match &opening.peers {
            Peers::All => true,
            Peers::Some { blocks, .. } => blocks.iter().any(is_block),
        };
        named && opening.is_at(&Port { number: METADATA_PORT.to_owned(), ..Port::default() })
    };
    limits.peek().is_none() || limits.flatten().any(lets)
}

/// Whether a block of IPv4 addresses contains one.
fn contains(block: &str, address: &str) -> bool {
    let bits = |text: &str| text.parse::<std::net::Ipv4Addr>().ok().map(u32::from);
    let Some((network, length)) = block.split_once('/') else { return block == address };
    let (Some(network), Some(address), Ok(length)) = (bits(network), bits(address), length.parse::<u32>()) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0);
    length <= 32 && network & mask == address & mask
}

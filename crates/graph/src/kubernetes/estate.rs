//! The objects of a cluster as far as the evaluation needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::evaluate::{Request, aggregated, allows};
use super::observed::Call;
use crate::observed::Calls;
use crate::step::NodeKind;

/// What every object has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Empty for objects of the whole cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Where it was read.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: u32,
}

/// A label selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Labels that must be so.
    pub equals: BTreeMap<String, String>,
    /// Key, operator and values of each expression.
    pub expressions: Vec<(String, String, Vec<String>)>,
}

impl Selector {
    /// Whether it selects an object with these labels. An empty selector selects everything.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let expression = |(key, operator, values): &(String, String, Vec<String>)| {
            let value = labels.get(key);
            match operator.as_str() {
                "In" => value.is_some_and(|value| values.contains(value)),
                "NotIn" => value.is_none_or(|value| !values.contains(value)),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        };
        self.equals.iter().all(|(key, value)| labels.get(key) == Some(value)) && self.expressions.iter().all(expression)
    }
}

/// A Role or ClusterRole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// Its namespace is empty for a ClusterRole.
    pub meta: Meta,
    /// What it allows.
    pub rules: Vec<Rule>,
    /// ClusterRoles with these labels add their rules.
    pub aggregates: Vec<Selector>,
}

/// One rule of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Verbs, or `*`.
    pub verbs: Vec<String>,
    /// API groups; the core group is empty.
    pub groups: Vec<String>,
    /// Resources, with their subresource behind a slash.
    pub resources: Vec<String>,
    /// If not empty, only objects with these names.
    pub names: Vec<String>,
    /// Paths of the API server that are no resources, for example `/metrics` or `/debug/*`.
    pub urls: Vec<String>,
    /// The line, from 1; 0 where the role is built in and stands in no file.
    pub line: u32,
}

impl Rule {
    /// Whether it is of a role that every cluster has, and stands in no file.
    pub fn is_built_in(&self) -> bool {
        self.line == 0
    }
}

/// The user that a request without credentials is taken for.
const ANONYMOUS: &str = "system:anonymous";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// Everyone in a group.
    Group(String),
    /// A service account by namespace and name.
    ServiceAccount(String, String),
}

impl Subject {
    /// Whom the API server knows by this user name: a service account has one, too.
    pub fn of_user(name: &str) -> Self {
        match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
            Some((namespace, name)) => Self::ServiceAccount(namespace.to_owned(), name.to_owned()),
            None => Self::User(name.to_owned()),
        }
    }

    /// What people call it.
    pub fn name(&self) -> String {
        match self {
            Self::User(name) => format!("kube-user/{name}"),
            Self::Group(name) => format!("kube-group/{name}"),
            Self::ServiceAccount(namespace, name) => format!("serviceaccount/{namespace}/{name}"),
        }
    }

    /// Whether it is whoever sends no credentials: the API server takes each for this user, alone in this group.
    pub fn is_anonymous(&self) -> bool {
        match self {
            Self::User(name) => name == ANONYMOUS,
            Self::Group(name) => name == "system:unauthenticated",
            Self::ServiceAccount(..) => false,
        }
    }

    /// Whether it is everyone who has an account of the cluster; in some clouds that is everyone who has one of the cloud.
    pub fn is_everyone(&self) -> bool {
        matches!(self, Self::Group(name) if name == "system:authenticated")
    }

    /// The one that asks: of those without credentials the user, who has the rights of its group too.
    #[must_use]
    pub fn asking(self) -> Self {
        if self.is_anonymous() { Self::User(ANONYMOUS.to_owned()) } else { self }
    }

    /// Whether what is granted to `other` is granted to this subject too.
    pub fn includes(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        match (self, other) {
            (Self::ServiceAccount(namespace, name), Self::User(user)) => {
                *user == format!("system:serviceaccount:{namespace}:{name}")
            }
            (Self::ServiceAccount(namespace, _), Self::Group(group)) => {
                group == "system:serviceaccounts"
                    || group == "system:authenticated"
                    || *group == format!("system:serviceaccounts:{namespace}")
            }
            (Self::User(user), Self::Group(group)) => {
                group == "system:authenticated" && user != ANONYMOUS
                    || group == "system:unauthenticated" && user == ANONYMOUS
                    || group == "system:nodes" && user.starts_with("system:node:")
            }
            (Self::Group(own), Self::Group(group)) => {
                group == "system:authenticated" && own != "system:unauthenticated"
            }
            _ => false,
        }
    }
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its namespace is empty for a ClusterRoleBinding.
    pub meta: Meta,
    /// Whether the role is a ClusterRole, and its name.
    pub role: RoleRef,
    /// To whom.
    pub subjects: Vec<Subject>,
}

/// The role that a binding names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleRef {
    /// A Role of the binding's namespace.
    Role(String),
    /// A ClusterRole.
    ClusterRole(String),
}

/// What stands before the name of an EKS access policy where it is a role: no name of a role has a slash.
pub(super) const ACCESS_POLICY: &str = "eks/";

impl RoleRef {
    /// An access policy of EKS, by its ARN: it allows what a ClusterRole of the same rules would.
    pub fn access_policy(arn: &str) -> Self {
        Self::ClusterRole(format!("{ACCESS_POLICY}{}", arn.rsplit('/').next().unwrap_or(arn)))
    }
}

/// What a pod shares with its host, or its containers with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// The host's processes.
    HostPid,
    /// The host's network.
    HostNetwork,
    /// The host's shared memory.
    HostIpc,
    /// The processes of the pod's containers.
    Processes,
}

/// A pod, or the template of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Of the object that was read.
    pub meta: Meta,
    /// `pod`, `deployment`, …
    pub kind: String,
    /// Labels of the pods themselves.
    pub labels: BTreeMap<String, String>,
    /// The service account that it runs as.
    pub account: String,
    /// The line that names it, if one does.
    pub account_line: Option<u32>,
    /// Whether the token is mounted, where the pod says so.
    pub automount: Option<bool>,
    /// What it shares, with the line that says so.
    pub shares: BTreeMap<Share, u32>,
    /// The machine it runs on, if it says.
    pub node: Option<String>,
    /// Its containers.
    pub containers: Vec<Container>,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// The line, from 1.
    pub line: u32,
    /// The line that makes it privileged.
    pub privileged: Option<u32>,
    /// Capabilities that are added, with the line.
    pub capabilities: BTreeMap<String, u32>,
    /// The numeric user that it must run as, if that is said.
    pub user: Option<String>,
    /// Paths of the host that it mounts.
    pub mounts: Vec<Mount>,
    /// Tokens of the pod's service account that it mounts by a projected volume.
    pub tokens: Vec<Token>,
    /// Names of secrets that it mounts, with the line of the mount.
    pub secrets: Vec<(String, u32)>,
    /// Ports that it opens.
    pub ports: Vec<Port>,
}

/// A token of a service account in a projected volume, which no `automountServiceAccountToken` takes away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// For whom it is, if that is said.
    pub audience: Option<String>,
    /// The line of the mount.
    pub line: u32,
}

impl Token {
    /// Whether the API server takes it: what names no audience is for it alone, and what names another is not.
    pub fn is_for_server(&self) -> bool {
        self.audience.as_deref().is_none_or(|audience| audience.contains("kubernetes.default.svc"))
    }
}

/// A path of the host in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// The path on the host.
    pub host: String,
    /// Whether it may only be read.
    pub read_only: bool,
    /// The line of the mount.
    pub line: u32,
}

impl Mount {
    /// Whether a path of the host lies in it.
    pub fn covers(&self, path: &str) -> bool {
        let own = self.host.trim_end_matches('/');
        path == own || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// A port of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its name, if it has one.
    pub name: String,
    /// Its number.
    pub number: String,
    /// `TCP` unless it says something else.
    pub protocol: Option<String>,
    /// The host's port that leads there.
    pub host: Option<String>,
    /// The line, from 1.
    pub line: u32,
}

/// A service account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its name and annotations.
    pub meta: Meta,
    /// Whether its token is mounted, where it says so.
    pub automount: Option<bool>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub meta: Meta,
    /// The provider's id of it, for example `aws:///eu-west-1a/i-0123`.
    pub provider: String,
}

/// A secret: what it is for, never what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub meta: Meta,
    /// The service account whose token it is.
    pub account: Option<String>,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub meta: Meta,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`.
    pub kind: String,
    /// The pods behind it; none when empty.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

impl Service {
    /// Whether it leads to a pod.
    pub(crate) fn leads_to(&self, pod: &Pod) -> bool {
        let selected = self.selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value));
        self.meta.namespace == pod.meta.namespace && !self.selector.is_empty() && selected
    }
}

/// A port of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, if it has one.
    pub name: String,
    /// Its number.
    pub number: String,
    /// `TCP` unless it says something else.
    pub protocol: Option<String>,
    /// The name or number of the pods' port.
    pub target: String,
}

impl ServicePort {
    /// The port of a container that it leads to: one that it lists, or, for ports need not be listed, the number where no
    /// container of the pod lists it.
    pub(crate) fn listening(&self, pod: &Pod, container: &Container) -> Option<Port> {
        let target = self.target.as_str();
        let of = |one: &Container| one.ports.iter().find(|port| target == port.name || target == port.number).cloned();
        let by_number = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit());
        let unlisted = || by_number && !pod.containers.iter().any(|one| of(one).is_some());
        of(container).or_else(|| {
            unlisted().then(|| Port { number: target.to_owned(), protocol: self.protocol.clone(), ..Port::default() })
        })
    }
}

/// An Ingress, or a route of the Gateway API: what leads from outside to services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub meta: Meta,
    /// `ingress`, `httproute`, …
    pub kind: String,
    /// Namespace, name and port (by name or number, if it is said) of each service.
    pub backends: Vec<(String, String, Option<String>)>,
}

/// A network policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Its name.
    pub meta: Meta,
    /// The pods that it limits.
    pub selector: Selector,
    /// What may come in, if it limits that.
    pub ingress: Option<Vec<Opening>>,
    /// What may go out, if it limits that.
    pub egress: Option<Vec<Opening>>,
}

impl NetworkPolicy {
    /// Whether it limits a pod.
    pub(crate) fn limits(&self, pod: &Pod) -> bool {
        self.meta.namespace == pod.meta.namespace && self.selector.selects(&pod.labels)
    }
}

/// One rule of a network policy: who gets through, at which ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Who.
    pub peers: Peers,
    /// The pods' ports at which; every port if there are none.
    pub ports: Vec<PortRange>,
}

impl Opening {
    /// Whether it lets through at a port of a pod.
    pub fn is_at(&self, port: &Port) -> bool {
        self.ports.is_empty() || self.ports.iter().any(|range| range.covers(port))
    }
}

/// Ports of a network policy's rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortRange {
    /// `TCP` unless it says something else.
    pub protocol: Option<String>,
    /// The name or number; every port if there is none.
    pub first: Option<String>,
    /// The last of several.
    pub last: Option<u32>,
}

impl PortRange {
    fn covers(&self, port: &Port) -> bool {
        let of = |protocol: &Option<String>| protocol.as_deref().unwrap_or("TCP").to_owned();
        if of(&self.protocol) != of(&port.protocol) {
            return false;
        }
        let Some(first) = &self.first else { return true };
        let within =
            |first: u32, number: u32| number == first || self.last.is_some_and(|last| (first..=last).contains(&number));
        match (first.parse(), port.number.parse()) {
            (Ok(first), Ok(number)) => within(first, number),
            _ => *first == port.name && !port.name.is_empty(),
        }
    }
}

/// Whom one rule of a network policy lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Everyone.
    All,
    /// Those of address blocks, each with what is taken from it, and perhaps pods by their labels.
    Some {
        /// The blocks.
        blocks: Vec<(String, Vec<String>)>,
        /// Whether some pods are among them.
        pods: bool,
    },
}

/// A cloud identity that a service account may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    /// Namespace and name of the service account.
    pub account: (String, String),
    /// The role's ARN.
    pub role: String,
    /// Where it was read.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: u32,
}

/// A cloud identity that the cluster takes for a user and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The ARN of the role or user.
    pub arn: String,
    /// The user that it becomes, if it is said.
    pub user: Option<String>,
    /// The groups that it becomes a member of.
    pub groups: Vec<String>,
    /// Where it was read.
    pub source: Arc<str>,
    /// The line there, from 1.
    pub line: u32,
}

/// What a custom resource describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CustomKind {
    /// An agent.
    Agent,
    /// An MCP server.
    Server,
}

/// An agent or MCP server that is described by a custom resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// Its name.
    pub meta: Meta,
    /// What it is.
    pub kind: CustomKind,
    /// The API group of the object.
    pub group: String,
    /// The resource that it is one of, for example `agents`.
    pub resource: String,
    /// The service account that it says it runs as.
    pub account: Option<String>,
    /// Namespaces and names of servers and agents that it uses, with the line.
    pub uses: Vec<(String, String, u32)>,
    /// The address of a remote server.
    pub url: Option<String>,
    /// The command or image of a local one.
    pub command: Option<String>,
}

impl Custom {
    /// What people call it.
    pub fn name(&self) -> String {
        let word = match self.kind {
            CustomKind::Agent => "agent",
            CustomKind::Server => "mcpserver",
        };
        format!("{word}/{}/{}", self.meta.namespace, self.meta.name)
    }

    /// An agent reads what others wrote, and can be talked into something; a server does what it is asked.
    pub fn node_kind(&self) -> NodeKind {
        match self.kind {
            CustomKind::Agent => NodeKind::Workload,
            CustomKind::Server => NodeKind::Inner,
        }
    }
}

/// Everything that was read of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Estate {
    /// Roles and ClusterRoles.
    pub roles: Vec<Role>,
    /// RoleBindings and ClusterRoleBindings.
    pub bindings: Vec<Binding>,
    /// Pods and templates of pods.
    pub pods: Vec<Pod>,
    /// Service accounts.
    pub accounts: Vec<ServiceAccount>,
    /// Machines.
    pub machines: Vec<Machine>,
    /// Namespaces, whose labels say what pods may do.
    pub namespaces: Vec<Meta>,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Services.
    pub services: Vec<Service>,
    /// What leads to them from outside.
    pub routes: Vec<Route>,
    /// Network policies.
    pub policies: Vec<NetworkPolicy>,
    /// Cloud identities of service accounts.
    pub pod_identities: Vec<PodIdentity>,
    /// Cloud identities that become users of the cluster.
    pub mappings: Vec<Mapping>,
    /// ARNs of EKS clusters that take access entries.
    pub clusters: BTreeSet<String>,
    /// Agents and MCP servers.
    pub customs: Vec<Custom>,
    /// What its API server was asked and allowed.
    pub calls: Calls<Call>,
}

impl Estate {
    /// Whether a pod carries the token of its service account unasked: unless it or the account says otherwise.
    pub fn mounts_token(&self, pod: &Pod) -> bool {
        let mut accounts = self.accounts.iter();
        let account = accounts.find(|one| one.meta.namespace == pod.meta.namespace && one.meta.name == pod.account);
        pod.automount.or(account.and_then(|one| one.automount)) != Some(false)
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
            && self.bindings.is_empty()
            && self.pods.is_empty()
            && self.accounts.is_empty()
            && self.machines.is_empty()
            && self.mappings.is_empty()
            && self.clusters.is_empty()
            && self.customs.is_empty()
    }

    /// Adds the roles that every cluster has, where a file names them and none holds them.
    pub fn link(&mut self) {
        for role in super::builtin::roles() {
            let named = self.bindings.iter().any(|one| one.role == RoleRef::ClusterRole(role.meta.name.clone()));
            let known = self.roles.iter().any(|one| one.meta.namespace.is_empty() && one.meta.name == role.meta.name);
            if named && !known {
                self.roles.push(role);
            }
        }
    }

    /// Whether a role allows something, by its own rules or by those that it aggregates.
    pub fn role_allows(&self, role: usize, request: &Request<'_>) -> bool {
        let of = aggregated(self, role).into_iter().filter_map(|at| self.roles.get(at));
        of.flat_map(|role| &role.rules).any(|rule| allows(rule, request))
    }

    /// Everyone whom the files name, each once.
    pub fn subjects(&self) -> BTreeSet<Subject> {
        let account = |namespace: &str, name: &str| Subject::ServiceAccount(namespace.to_owned(), name.to_owned());
        let mut subjects: BTreeSet<Subject> =
            self.bindings.iter().flat_map(|binding| binding.subjects.iter().cloned()).collect();
        subjects.extend(self.accounts.iter().map(|one| account(&one.meta.namespace, &one.meta.name)));
        subjects.extend(self.pods.iter().map(|pod| account(&pod.meta.namespace, &pod.account)));
        for mapping in &self.mappings {
            subjects.extend(mapping.user.iter().cloned().map(Subject::User));
            subjects.extend(mapping.groups.iter().cloned().map(Subject::Group));
        }
        subjects
    }

    /// The namespaces in which something is, and those that every cluster has, whatever the files name.
    pub fn all_namespaces(&self) -> BTreeSet<String> {
        let metas = self
            .pods
            .iter()
            .map(|one| &one.meta)
            .chain(self.accounts.iter().map(|one| &one.meta))
            .chain(self.roles.iter().map(|one| &one.meta))
            .chain(self.bindings.iter().map(|one| &one.meta));
        let mut names: BTreeSet<String> =
            metas.map(|meta| meta.namespace.clone()).filter(|name| !name.is_empty()).collect();
        names.extend(self.namespaces.iter().map(|meta| meta.name.clone()));
        if !self.is_empty() {
            names.extend(["default", "kube-system"].map(str::to_owned));
        }
        names
    }
}

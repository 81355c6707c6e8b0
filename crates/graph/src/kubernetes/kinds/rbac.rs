//! Ways through what RBAC grants about RBAC itself and about identities.

use std::sync::Arc;

use super::Kind;
use crate::aws::Truth;
use crate::kubernetes::attack::Deriver;
use crate::kubernetes::estate::{RoleRef, Rule, Subject};
use crate::kubernetes::evaluate::{Request, role_name};
use crate::step::{Ground, Page};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        page: Page {
            id: "k8s-cluster-admin",
            title: "holds everything in the cluster",
            catalogue: &["PERMISSION_DISCOVER"],
            why: "A ClusterRoleBinding gives it every verb on every resource.",
            references: &["https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles"],
        },
        derive: administrators,
        example: "{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: User, name: ann}]}",
    },
    Kind {
        page: Page {
            id: "k8s-namespace-admin",
            title: "holds everything in the namespace",
            catalogue: &["PERMISSION_DISCOVER"],
            why: "A RoleBinding gives it every verb on every resource of the namespace.",
            references: &["https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles"],
        },
        derive: namespace_administrators,
        example: "{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: User, name: ann}]}",
    },
    Kind {
        page: Page {
            id: "k8s-impersonate",
            title: "impersonates another identity",
            catalogue: &["IDENTITY_IMPERSONATE", "PERMISSION_DISCOVER"],
            why: "A request with `Impersonate-User` or `Impersonate-Group` is judged as if that identity had sent it.",
            references: &[
                "https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation",
                "https://kubehound.io/reference/attacks/IDENTITY_IMPERSONATE/",
            ],
        },
        derive: impersonate,
        example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [''], resources: [users, groups], verbs: [impersonate]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [''], resources: [groups], verbs: [impersonate]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}",
    },
    Kind {
        page: Page {
            id: "k8s-role-bind",
            title: "binds a role to itself",
            catalogue: &["ROLE_BIND", "PERMISSION_DISCOVER"],
            why: "Who may write bindings and has the verb `bind` on a role need not hold what the role grants.",
            references: &[
                "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-binding-creation-or-update",
                "https://kubehound.io/reference/attacks/ROLE_BIND/",
            ],
        },
        derive: bind,
        example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterrolebindings], verbs: [create]}, {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [bind]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterrolebindings], verbs: [create]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}",
    },
    Kind {
        page: Page {
            id: "k8s-role-escalate",
            title: "writes into its own role what it does not hold",
            catalogue: &[],
            why: "Who may change a role and has the verb `escalate` on it may add rules that it does not hold.",
            references: &[
                "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#restrictions-on-role-creation-or-update",
            ],
        },
        derive: escalate,
        example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [escalate, patch]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [patch]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}",
    },
    Kind {
        page: Page {
            id: "k8s-approve-certificate",
            title: "signs itself a client certificate",
            catalogue: &[],
            why: "Who may request and approve certificates for the API server's client signer is whoever it writes into them.",
            references: &[
                "https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization",
            ],
        },
        derive: approve,
        example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [create]}, {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests/approval], verbs: [update]}, {apiGroups: [certificates.k8s.io], resources: [signers], verbs: [approve]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: c}, roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: User, name: root}]}",
        counter_example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests], verbs: [create]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: c}, roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: User, name: root}]}",
    },
];

/// Tried in place of everything: the verbs and resources that matter most, and one that nobody named.
const TRIED: &[(&str, &str, &str)] = &[
    ("escalate", RBAC, "clusterroles"),
    ("bind", RBAC, "clusterroles"),
    ("get", "", "secrets"),
    ("create", "", "pods"),
    ("create", "", "pods/exec"),
    ("delete", "example.com", "tried"),
];

/// The ground that a subject holds everything, in a namespace or in the cluster.
fn everything(deriver: &mut Deriver<'_>, subject: &Subject, namespace: Option<&str>) -> Option<Arc<Ground>> {
    let mut first = None;
    for (verb, group, resource) in TRIED {
        let ground = deriver.allowed(subject, &Request { verb, group, resource, namespace, name: None })?;
        first.get_or_insert(ground);
    }
    first.map(|ground| Arc::new(Ground { claim: "every verb on every resource".into(), ..(*ground).clone() }))
}

fn administrators(deriver: &mut Deriver<'_>) {
    for (subject, node) in deriver.subjects.clone() {
        if let Some(ground) = everything(deriver, &subject, None) {
            let administrator = deriver.administrator();
            deriver.holds_everything(&subject, node);
            deriver.push(node, administrator, vec![ground]);
        }
    }
}

fn namespace_administrators(deriver: &mut Deriver<'_>) {
    for (subject, node) in deriver.actors() {
        for namespace in deriver.estate.all_namespaces() {
            if everything(deriver, &subject, None).is_some() {
                break;
            }
            if let Some(ground) = everything(deriver, &subject, Some(&namespace)) {
                let holder = deriver.holder(&namespace);
                deriver.push(node, holder, vec![ground]);
            }
        }
    }
}

fn impersonate(deriver: &mut Deriver<'_>) {
    for (subject, node) in deriver.actors() {
        // A request that names groups names a user too, and each is judged for itself.
        let someone = someone(deriver, &subject);
        let masters = Request::core("impersonate", "groups", None).named(MASTERS);
        if let (Some(someone), Some(groups)) = (&someone, deriver.allowed(&subject, &masters)) {
            let administrator = deriver.administrator();
            deriver.push(node, administrator, vec![someone.clone(), groups]);
        }
        for (target, to) in deriver.subjects.clone() {
            let (resource, namespace, name) = match &target {
                Subject::User(name) => ("users", None, name),
                Subject::Group(name) => ("groups", None, name),
                Subject::ServiceAccount(namespace, name) => ("serviceaccounts", Some(namespace.as_str()), name),
            };
            let request = Request::core("impersonate", resource, namespace).named(name);
            let Some(ground) = deriver.allowed(&subject, &request) else { continue };
            match (&target, &someone) {
                (Subject::Group(_), Some(someone)) => deriver.push(node, to, vec![someone.clone(), ground]),
                (Subject::Group(_), None) => {}
                _ => deriver.push(node, to, vec![ground]),
            }
        }
        without_effect(deriver, &subject, node);
    }
}

/// The group that nothing limits.
const MASTERS: &str = "system:masters";

/// The ground that a subject may impersonate some user or service account.
fn someone(deriver: &mut Deriver<'_>, subject: &Subject) -> Option<Arc<Ground>> {
    let users = Request::core("impersonate", "users", None);
    if let Some(ground) = deriver.allowed(subject, &users) {
        return Some(ground);
    }
    for name in deriver.names(subject, "impersonate", "users") {
        if let Some(ground) = deriver.allowed(subject, &users.named(&name)) {
            return Some(ground);
        }
    }
    let accounts = Request::core("impersonate", "serviceaccounts", None);
    if let Some((_, ground)) = deriver.places(subject, &["impersonate"], accounts).into_iter().next() {
        return Some(ground);
    }
    let names = deriver.names(subject, "impersonate", "serviceaccounts");
    names.iter().find_map(|name| {
        let places = deriver.places(subject, &["impersonate"], accounts.named(name));
        places.into_iter().next().map(|(_, ground)| ground)
    })
}

/// A RoleBinding gives nothing on users and groups, which have no namespace; what its author meant holds
/// as soon as the role is bound in the whole cluster.
fn without_effect(deriver: &mut Deriver<'_>, subject: &Subject, node: usize) {
    for resource in ["users", "groups"] {
        let places = deriver.places(subject, &["impersonate"], Request::core("", resource, None));
        let cluster = deriver.allowed(subject, &Request::core("impersonate", resource, None)).is_some();
        if let (Some((_, ground)), false) = (places.into_iter().next(), cluster) {
            let administrator = deriver.administrator();
            let assuming = format!(
                "a ClusterRoleBinding ever binds this role: a RoleBinding gives nothing on {resource}, which have no namespace"
            );
            deriver.push_possible((node, administrator), vec![ground], &assuming);
        }
    }
}

const WRITES: &[&str] = &["create", "update", "patch"];

fn rbac<'r>(resource: &'r str, namespace: Option<&'r str>) -> Request<'r> {
    Request { verb: "", group: RBAC, resource, namespace, name: None }
}

fn bind(deriver: &mut Deriver<'_>) {
    for (subject, node) in deriver.actors() {
        let writes = deriver.allowed_any(&subject, WRITES, rbac("clusterrolebindings", None));
        let in_places = deriver.places(&subject, WRITES, rbac("rolebindings", None));
        if let Some(writes) = &writes {
            bind_all(deriver, (&subject, node), writes);
        }
        for (namespace, writes) in in_places {
            bind_in(deriver, (&subject, node), &namespace, &writes);
        }
    }
}

/// A ClusterRoleBinding gives a ClusterRole everywhere.
fn bind_all(deriver: &mut Deriver<'_>, (subject, node): (&Subject, usize), writes: &Arc<Ground>) {
    let request = Request { verb: "bind", ..rbac("clusterroles", None) };
    for (name, gives) in cluster_roles(deriver) {
        let Some(binds) = deriver.allowed(subject, &request.named(&name)) else { continue };
        match gives {
            Gives::Everything => {
                let administrator = deriver.administrator();
                deriver.push(node, administrator, vec![writes.clone(), binds]);
                return;
            }
            Gives::Workloads => {
                for namespace in deriver.estate.all_namespaces() {
                    let holder = deriver.holder(&namespace);
                    deriver.push(node, holder, vec![writes.clone(), binds.clone()]);
                }
            }
        }
    }
}

/// What a role gives whoever is bound to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gives {
    /// Every verb on every resource.
    Everything,
    /// What makes pods and reads secrets, and so whatever is in a namespace.
    Workloads,
}

/// The ClusterRoles that are worth binding, those that give most first.
fn cluster_roles(deriver: &Deriver<'_>) -> Vec<(String, Gives)> {
    let of_files = deriver.estate.roles.iter().enumerate().filter(|(_, role)| role.meta.namespace.is_empty());
    let mut found: Vec<(String, Gives)> =
        of_files.filter_map(|(at, role)| Some((role.meta.name.clone(), gives(deriver, at)?))).collect();
    for (name, gives) in [("cluster-admin", Gives::Everything), ("admin", Gives::Workloads), ("edit", Gives::Workloads)]
    {
        // Every cluster has these, also where no file shows them.
        if !deriver.estate.roles.iter().any(|role| role.meta.namespace.is_empty() && role.meta.name == name) {
            found.push((name.to_owned(), gives));
        }
    }
    found.sort_by_key(|(_, gives)| *gives);
    found
}

fn gives(deriver: &Deriver<'_>, role: usize) -> Option<Gives> {
    const WORKLOADS: &[(&str, &str, &str)] = &[("create", "", "pods"), ("get", "", "secrets")];
    let all = |tried: &[(&str, &str, &str)]| {
        tried.iter().all(|(verb, group, resource)| {
            let request = Request { verb, group, resource, namespace: None, name: None };
            deriver.estate.role_allows(role, &request)
        })
    };
    if all(TRIED) {
        return Some(Gives::Everything);
    }
    all(WORKLOADS).then_some(Gives::Workloads)
}

/// A RoleBinding may give a ClusterRole, `cluster-admin` too, or a Role of the namespace.
fn bind_in(deriver: &mut Deriver<'_>, (subject, node): (&Subject, usize), namespace: &str, writes: &Arc<Ground>) {
    let holder = deriver.holder(namespace);
    let place = Some(namespace);
    for (name, _) in cluster_roles(deriver) {
        let request = Request { verb: "bind", ..rbac("clusterroles", place) };
        if let Some(binds) = deriver.allowed(subject, &request.named(&name)) {
            deriver.push(node, holder, vec![writes.clone(), binds]);
            return;
        }
    }
    let Some(binds) = deriver.allowed(subject, &Request { verb: "bind", ..rbac("roles", place) }) else { return };
    let all =
        |rule: &Rule| [&rule.verbs, &rule.groups, &rule.resources].iter().all(|one| one.iter().any(|one| one == "*"));
    let mut roles = deriver.estate.roles.iter().filter(|role| role.meta.namespace == namespace);
    let whole = roles.find_map(|role| Some((role, role.rules.iter().find(|rule| all(rule))?)));
    if let Some((role, rule)) = whole {
        let part = (role_name(role), "a rule allows every verb on every resource".to_owned());
        let whole = deriver.setting(&role.meta, part, rule.line);
        deriver.push(node, holder, vec![writes.clone(), binds, whole]);
    } else {
        let assuming = format!("a Role of namespace {namespace} grants more than this identity holds");
        deriver.push_possible((node, holder), vec![writes.clone(), binds], &assuming);
    }
}

fn escalate(deriver: &mut Deriver<'_>) {
    let changes = &["update", "patch"];
    for (subject, node) in deriver.actors() {
        let escalates = deriver.allowed(&subject, &Request { verb: "escalate", ..rbac("clusterroles", None) });
        let writes = deriver.allowed_any(&subject, changes, rbac("clusterroles", None));
        if let (Some(escalates), Some(writes)) = (escalates, writes) {
            let administrator = deriver.administrator();
            deriver.push(node, administrator, vec![writes, escalates]);
        }
        for (namespace, writes) in deriver.places(&subject, changes, rbac("roles", None)) {
            let request = Request { verb: "escalate", ..rbac("roles", Some(&namespace)) };
            if let Some(escalates) = deriver.allowed(&subject, &request) {
                let holder = deriver.holder(&namespace);
                deriver.push(node, holder, vec![writes, escalates]);
            }
        }
        escalate_own(deriver, (&subject, node), changes);
    }
}

/// Writing into a role that one is bound to oneself, where the rules name it.
fn escalate_own(deriver: &mut Deriver<'_>, (subject, node): (&Subject, usize), changes: &[&str]) {
    let own = deriver.estate.bindings.iter().filter(|one| one.subjects.iter().any(|named| subject.includes(named)));
    for binding in own {
        let place = Some(binding.meta.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let request = match &binding.role {
            RoleRef::ClusterRole(name) => rbac("clusterroles", None).named(name),
            RoleRef::Role(name) => rbac("roles", place).named(name),
        };
        let escalates = deriver.allowed(subject, &Request { verb: "escalate", ..request });
        let writes = deriver.allowed_any(subject, changes, request);
        if let (Some(escalates), Some(writes)) = (escalates, writes) {
            let to = match place {
                Some(namespace) => deriver.holder(namespace),
                None => deriver.administrator(),
            };
            deriver.push(node, to, vec![writes, escalates]);
        }
    }
}

fn approve(deriver: &mut Deriver<'_>) {
    const GROUP: &str = "certificates.k8s.io";
    let request = |verb, resource| Request { verb, group: GROUP, resource, namespace: None, name: None };
    for (subject, node) in deriver.actors() {
        // Signers are named one by one, or all of a domain.
        let signer = ["kubernetes.io/kube-apiserver-client", "kubernetes.io/*"]
            .iter()
            .find_map(|name| deriver.allowed(&subject, &request("approve", "signers").named(name)));
        let needs = [
            deriver.allowed(&subject, &request("create", "certificatesigningrequests")),
            deriver.allowed_any(&subject, &["update", "patch"], request("", "certificatesigningrequests/approval")),
            signer,
        ];
        let Some(grounds) = needs.into_iter().collect::<Option<Vec<_>>>() else { continue };
        for (target, to) in deriver.subjects.clone() {
            // The API server refuses certificates of the group that nothing limits.
            let refused = target == Subject::Group("system:masters".into());
            if !refused && grounds.iter().all(|ground| ground.truth == Truth::Yes) {
                deriver.push(node, to, grounds.clone());
            }
        }
    }
}

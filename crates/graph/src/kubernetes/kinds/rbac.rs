//! Ways through what RBAC grants about RBAC itself and about identities.

use std::sync::Arc;

use super::Kind;
use crate::aws::Truth;
use crate::kubernetes::attack::Deriver;
use crate::kubernetes::estate::{Rule, Subject};
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
        example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [''], resources: [groups], verbs: [impersonate]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [''], resources: [groups], verbs: [get]}]}
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
            deriver.is_administrator(node);
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
        if let Some(ground) = deriver.allowed(&subject, &Request::core("impersonate", "groups", None)) {
            let administrator = deriver.administrator();
            deriver.push(node, administrator, vec![ground]);
        }
        for (target, to) in deriver.subjects.clone() {
            let (resource, namespace, name) = match &target {
                Subject::User(name) => ("users", None, name),
                Subject::Group(name) => ("groups", None, name),
                Subject::ServiceAccount(namespace, name) => ("serviceaccounts", Some(namespace.as_str()), name),
            };
            let request = Request::core("impersonate", resource, namespace).named(name);
            if let Some(ground) = deriver.allowed(&subject, &request) {
                deriver.push(node, to, vec![ground]);
            }
        }
        without_effect(deriver, &subject, node);
    }
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
        let binds =
            deriver.allowed(&subject, &Request { verb: "bind", ..rbac("clusterroles", None) }.named("cluster-admin"));
        if let (Some(writes), Some(binds)) = (writes, binds) {
            let administrator = deriver.administrator();
            deriver.push(node, administrator, vec![writes, binds]);
        }
        for (namespace, writes) in deriver.places(&subject, WRITES, rbac("rolebindings", None)) {
            bind_in(deriver, (&subject, node), &namespace, &writes);
        }
    }
}

/// A RoleBinding may give a ClusterRole, `cluster-admin` too, or a Role of the namespace.
fn bind_in(deriver: &mut Deriver<'_>, (subject, node): (&Subject, usize), namespace: &str, writes: &Arc<Ground>) {
    let holder = deriver.holder(namespace);
    let place = Some(namespace);
    let request = Request { verb: "bind", ..rbac("clusterroles", place) }.named("cluster-admin");
    if let Some(binds) = deriver.allowed(subject, &request) {
        deriver.push(node, holder, vec![writes.clone(), binds]);
        return;
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
    }
}

fn approve(deriver: &mut Deriver<'_>) {
    const GROUP: &str = "certificates.k8s.io";
    let request = |verb, resource| Request { verb, group: GROUP, resource, namespace: None, name: None };
    for (subject, node) in deriver.actors() {
        let signer = Request { name: Some("kubernetes.io/kube-apiserver-client"), ..request("approve", "signers") };
        let needs = [
            deriver.allowed(&subject, &request("create", "certificatesigningrequests")),
            deriver.allowed_any(&subject, &["update", "patch"], request("", "certificatesigningrequests/approval")),
            deriver.allowed(&subject, &signer),
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

//! The roles that every cluster has, for files that bind them without holding them, and the access policies of EKS.
//!
//! After "Default roles and role bindings" of the Kubernetes documentation, and the policy that the API server
//! starts with (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy`). EKS documents its policies as these roles, beside
//! one that reads everything; no role adds to them.

use super::estate::{ACCESS_POLICY, Meta, Role, Rule, Selector};

/// The group of resources that every cluster has and that are not of the core group.
const GROUPS: &[(&str, &[&str])] = &[
    ("apps", &["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("batch", &["cronjobs", "jobs"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("policy", &["poddisruptionbudgets"]),
    ("networking.k8s.io", &["ingressclasses", "ingresses", "networkpolicies"]),
    ("rbac.authorization.k8s.io", &["clusterrolebindings", "clusterroles", "rolebindings", "roles"]),
    ("certificates.k8s.io", &["certificatesigningrequests", "signers"]),
    ("storage.k8s.io", &["csidrivers", "csinodes", "storageclasses", "volumeattachments"]),
    ("coordination.k8s.io", &["leases"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("scheduling.k8s.io", &["priorityclasses"]),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    (
        "admissionregistration.k8s.io",
        &[
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
    ),
    ("authentication.k8s.io", &["selfsubjectreviews", "tokenreviews", "userextras"]),
    (
        "authorization.k8s.io",
        &["localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"],
    ),
];

/// The group that is meant where a resource is named without one, as `kubectl` takes it: a core resource has none.
pub fn group_of(resource: &str) -> &'static str {
    GROUPS.iter().find(|(_, resources)| resources.contains(&resource)).map_or("", |(group, _)| group)
}

const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const READ: &[&str] = &["get", "list", "watch"];

/// Verbs, groups, resources.
type Line = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// What `edit` adds to `view`.
const EDIT: &[Line] = &[
    (READ, &[""], &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"]),
    (&["impersonate"], &[""], &["serviceaccounts"]),
    (WRITE, &[""], &["pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"]),
    (&["create"], &[""], &["pods/eviction", "serviceaccounts/token"]),
    (WRITE, &[""], &["configmaps", "events", "persistentvolumeclaims", "replicationcontrollers"]),
    (WRITE, &[""], &["replicationcontrollers/scale", "secrets", "serviceaccounts", "services", "services/proxy"]),
    (WRITE, &["apps"], &["daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets"]),
    (WRITE, &["apps"], &["replicasets/scale", "statefulsets", "statefulsets/scale"]),
    (WRITE, &["autoscaling"], &["horizontalpodautoscalers"]),
    (WRITE, &["batch"], &["cronjobs", "jobs"]),
    (WRITE, &["policy"], &["poddisruptionbudgets"]),
    (WRITE, &["networking.k8s.io"], &["ingresses", "networkpolicies"]),
    (
        &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        &["coordination.k8s.io"],
        &["leases"],
    ),
];

/// What `admin` adds to `edit`.
const ADMIN: &[Line] = &[
    (READ, &["rbac.authorization.k8s.io"], &["rolebindings", "roles"]),
    (WRITE, &["rbac.authorization.k8s.io"], &["rolebindings", "roles"]),
    (&["create"], &["authorization.k8s.io"], &["localsubjectaccessreviews"]),
];

const VIEW: &[Line] = &[
    (READ, &[""], &["configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods"]),
    (READ, &[""], &["replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services"]),
    (READ, &[""], &["services/status", "bindings", "events", "limitranges", "namespaces/status", "pods/log"]),
    (
        READ,
        &[""],
        &["pods/status", "replicationcontrollers/status", "resourcequotas", "resourcequotas/status", "namespaces"],
    ),
    (READ, &["discovery.k8s.io"], &["endpointslices"]),
    (READ, &["apps"], &["controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale"]),
    (
        READ,
        &["apps"],
        &["deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets"],
    ),
    (READ, &["apps"], &["statefulsets/scale", "statefulsets/status"]),
    (READ, &["autoscaling"], &["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
    (READ, &["batch"], &["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
    (READ, &["policy"], &["poddisruptionbudgets", "poddisruptionbudgets/status"]),
    (READ, &["networking.k8s.io"], &["ingresses", "ingresses/status", "networkpolicies"]),
];

/// What everybody may ask about oneself.
const ONESELF: &[Line] = &[
    (&["create"], &["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    (&["create"], &["authentication.k8s.io"], &["selfsubjectreviews"]),
];

const PUBLIC: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];
const DISCOVERY: &[&str] = &[
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];

pub(super) fn roles() -> Vec<Role> {
    let everything: &[Line] = &[(&["*"], &["*"], &["*"])];
    // Roles with these labels add to a built-in one; `edit` takes in what adds to `view`, and `admin` both.
    let selector = |name: &str| {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{name}");
        Selector { equals: [(label, "true".to_owned())].into(), ..Selector::default() }
    };
    let role = |name: &str, parts: &[&[Line]], takes: &[&str]| {
        let source = "built into Kubernetes".into();
        let meta = Meta { name: name.to_owned(), source, line: 0, ..Meta::default() };
        Role {
            meta,
            rules: parts.iter().flat_map(|part| part.iter()).map(rule).collect(),
            aggregates: takes.iter().map(|one| selector(one)).collect(),
        }
    };
    let paths = |verb: &str, urls: &[&str]| Rule { verbs: texts(&[verb]), urls: texts(urls), ..Rule::default() };
    let with_paths = |role: Role, rule: Rule| Role { rules: role.rules.into_iter().chain([rule]).collect(), ..role };
    let reads: &[Line] = &[(READ, &["*"], &["*"])];
    let access = |name: &str, parts: &[&[Line]]| role(&format!("{ACCESS_POLICY}AmazonEKS{name}Policy"), parts, &[]);
    vec![
        with_paths(access("ClusterAdmin", &[everything]), paths("*", &["*"])),
        access("Admin", &[VIEW, EDIT, ADMIN]),
        access("AdminView", &[reads]),
        access("Edit", &[VIEW, EDIT]),
        access("View", &[VIEW]),
        with_paths(role("cluster-admin", &[everything], &[]), paths("*", &["*"])),
        role("admin", &[VIEW, EDIT, ADMIN], &["admin", "edit", "view"]),
        role("edit", &[VIEW, EDIT], &["edit", "view"]),
        role("view", &[VIEW], &["view"]),
        // What every cluster grants to whoever has an account, and the second to everybody.
        with_paths(role("system:discovery", &[], &[]), paths("get", DISCOVERY)),
        with_paths(role("system:public-info-viewer", &[], &[]), paths("get", PUBLIC)),
        role("system:basic-user", &[ONESELF], &[]),
    ]
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

fn rule((verbs, groups, resources): &Line) -> Rule {
    Rule { verbs: texts(verbs), groups: texts(groups), resources: texts(resources), ..Rule::default() }
}

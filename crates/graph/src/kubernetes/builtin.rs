//! The roles that every cluster has, for files that bind them without holding them.
//!
//! After "Default roles and role bindings" of the Kubernetes documentation. Of `admin`, `edit` and
//! `view` only what leads on is listed: workloads, secrets, service accounts and roles.

use super::estate::{Meta, Role, Rule};

const ALL: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
const WRITE: &[&str] = &["create", "delete", "patch", "update"];
const READ: &[&str] = &["get", "list", "watch"];

/// Verbs, groups, resources.
type Line = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

const EDIT: &[Line] = &[
    (ALL, &[""], &["pods", "secrets", "configmaps", "services", "persistentvolumeclaims", "serviceaccounts"]),
    (&["create"], &[""], &["serviceaccounts/token"]),
    (&["impersonate"], &[""], &["serviceaccounts"]),
    (READ, &[""], &["pods/log", "namespaces"]),
    (ALL, &[""], &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"]),
    (ALL, &["apps", "batch"], &["deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"]),
    (WRITE, &[""], &["replicationcontrollers", "pods/eviction"]),
];

const ADMIN: &[Line] = &[(ALL, &["rbac.authorization.k8s.io"], &["roles", "rolebindings"])];

const VIEW: &[Line] = &[
    (READ, &[""], &["pods", "pods/log", "configmaps", "services", "serviceaccounts", "namespaces"]),
    (READ, &["apps", "batch"], &["deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"]),
];

pub(super) fn roles() -> Vec<Role> {
    let everything: &[Line] = &[(&["*"], &["*"], &["*"])];
    let role = |name: &str, parts: &[&[Line]]| {
        let source = "built into Kubernetes".into();
        let meta = Meta { name: name.to_owned(), source, line: 0, ..Meta::default() };
        Role { meta, rules: parts.iter().flat_map(|part| part.iter()).map(rule).collect(), aggregates: Vec::new() }
    };
    vec![
        role("cluster-admin", &[everything]),
        role("admin", &[EDIT, ADMIN]),
        role("edit", &[EDIT]),
        role("view", &[VIEW]),
    ]
}

fn rule((verbs, groups, resources): &Line) -> Rule {
    let texts = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
    Rule { verbs: texts(verbs), groups: texts(groups), resources: texts(resources), ..Rule::default() }
}

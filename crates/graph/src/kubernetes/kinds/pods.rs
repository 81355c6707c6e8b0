//! Ways through the right to make, change or enter pods.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Kind;
use crate::kubernetes::attack::Deriver;
use crate::kubernetes::evaluate::Request;
use crate::step::{Ground, Page};

/// Resources that make pods: group and name.
const MAKERS: &[(&str, &str)] = &[
    ("", "pods"),
    ("", "replicationcontrollers"),
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
];

pub(super) const KINDS: &[Kind] = &[
    Kind {
        page: Page {
            id: "k8s-create-pod",
            title: "creates a pod of its own choice",
            catalogue: &["POD_CREATE", "PERMISSION_DISCOVER"],
            why: "Who makes a pod chooses its service account and, unless pod security forbids it, gives it the host.",
            references: &[
                "https://kubehound.io/reference/attacks/POD_CREATE/",
                "https://kubernetes.io/docs/concepts/security/rbac-good-practices/#workload-creation",
            ],
        },
        derive: create,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [apps], resources: [deployments], verbs: [create]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}",
        counter_example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [apps], resources: [deployments], verbs: [create]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Namespace, apiVersion: v1, metadata: {name: n, labels: {pod-security.kubernetes.io/enforce: restricted}}}",
    },
    Kind {
        page: Page {
            id: "k8s-exec",
            title: "opens a shell",
            catalogue: &["POD_EXEC", "CONTAINER_ATTACH", "PERMISSION_DISCOVER"],
            why: "`create` on `pods/exec` runs a command of the caller's choice in the container.",
            references: &["https://kubehound.io/reference/attacks/POD_EXEC/"],
        },
        derive: exec,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [pods/exec], verbs: [create]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: c, image: i}]}}",
        counter_example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: c, image: i}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-patch-pod",
            title: "replaces the image",
            catalogue: &["POD_PATCH", "PERMISSION_DISCOVER"],
            why: "The image of a running pod may be changed in place.",
            references: &["https://kubehound.io/reference/attacks/POD_PATCH/"],
        },
        derive: patch,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [pods], verbs: [patch]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: c, image: i}]}}",
        counter_example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: other}, rules: [{apiGroups: [''], resources: [pods], verbs: [patch]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: other}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: c, image: i}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-patch-workload",
            title: "rewrites the template of a workload",
            catalogue: &["POD_PATCH", "PERMISSION_DISCOVER"],
            why: "The template of a workload names its service account and, unless pod security forbids it, takes the host: \
                  who changes it may do what who makes one may do.",
            references: &["https://kubernetes.io/docs/concepts/security/rbac-good-practices/#workload-creation"],
        },
        derive: rewrite,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [apps], resources: [deployments], verbs: [patch]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}
---
{kind: Deployment, apiVersion: apps/v1, metadata: {name: d, namespace: n}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}",
        counter_example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [apps], resources: [deployments], verbs: [get]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}
---
{kind: Deployment, apiVersion: apps/v1, metadata: {name: d, namespace: n}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}",
    },
    Kind {
        page: Page {
            id: "k8s-ephemeral-container",
            title: "adds a debugging container",
            catalogue: &[],
            why: "An ephemeral container joins the pod with an image of the caller's choice.",
            references: &["https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/"],
        },
        derive: ephemeral,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [pods/ephemeralcontainers], verbs: [patch]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: c, image: i}]}}",
        counter_example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [pods/ephemeralcontainers], verbs: [get]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: c, image: i}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-nodes-proxy",
            title: "runs commands through the kubelet",
            catalogue: &[],
            why: "`nodes/proxy` reaches the kubelet's own API, which runs commands in any of its containers and writes no audit log.",
            references: &["https://kubernetes.io/docs/concepts/security/rbac-good-practices/#access-to-proxy-subresource-of-nodes"],
        },
        derive: proxy,
        example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [''], resources: [nodes/proxy], verbs: [get]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: c, image: i}]}}",
        counter_example: "{kind: ClusterRole, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r}, rules: [{apiGroups: [''], resources: [nodes], verbs: [get]}]}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: User, name: ann}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {containers: [{name: c, image: i}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-namespace-contents",
            title: "uses what is in the namespace",
            catalogue: &[],
            why: "Who holds everything in a namespace runs what it likes as any of its service accounts.",
            references: &["https://kubernetes.io/docs/concepts/security/rbac-good-practices/"],
        },
        derive: contents,
        example: "{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: [{kind: User, name: ann}]}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}",
        counter_example: "{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: User, name: ann}]}
---
{kind: ServiceAccount, apiVersion: v1, metadata: {name: s, namespace: n}}",
    },
];

const UNSECURED: &str = "a pod security label or an admission controller forbids it: the files hold none that does";

fn create(deriver: &mut Deriver<'_>) {
    for (subject, node) in deriver.actors() {
        for (group, resource) in MAKERS {
            for (namespace, ground) in
                deriver.places(&subject, &["create"], Request { group, ..Request::core("", resource, None) })
            {
                gets_pods(deriver, node, (&namespace, &ground));
            }
        }
    }
}

/// Every container on which one of the verbs is allowed.
fn enter(deriver: &mut Deriver<'_>, verbs: &[&str], request: Request<'_>, kind: Option<&str>) {
    for (subject, node) in deriver.actors() {
        let whole = deriver.places(&subject, verbs, request);
        for (namespace, ground) in &whole {
            for (pod, _, to) in deriver.containers.clone() {
                if pod.meta.namespace == *namespace && kind.is_none_or(|kind| pod.kind == kind) {
                    deriver.push(node, to, vec![ground.clone()]);
                }
            }
        }
        let names: Vec<String> =
            verbs.iter().flat_map(|verb| deriver.names(&subject, verb, request.resource)).collect();
        for (pod, _, to) in deriver.containers.clone() {
            let here = names.contains(&pod.meta.name) && kind.is_none_or(|kind| pod.kind == kind);
            let place = Some(pod.meta.namespace.as_str());
            if !here || whole.iter().any(|(namespace, _)| *namespace == pod.meta.namespace) {
                continue;
            }
            let request = Request { namespace: place, ..request }.named(&pod.meta.name);
            if let Some(ground) = deriver.allowed_any(&subject, verbs, request) {
                deriver.push(node, to, vec![ground]);
            }
        }
    }
}

fn exec(deriver: &mut Deriver<'_>) {
    // Over WebSockets a `get` is enough.
    enter(deriver, &["create", "get"], Request::core("", "pods/exec", None), None);
}

fn patch(deriver: &mut Deriver<'_>) {
    for (group, resource) in MAKERS {
        let kind = resource.trim_end_matches('s');
        enter(deriver, &["patch", "update"], Request { group, ..Request::core("", resource, None) }, Some(kind));
    }
}

/// Workloads whose template may be changed: a job's may not, and a pod has none.
fn rewrite(deriver: &mut Deriver<'_>) {
    let has_template = |(_, resource): &&(&str, &str)| !["pods", "jobs"].contains(resource);
    let pods: Vec<(String, String, String)> = deriver
        .estate
        .pods
        .iter()
        .map(|pod| (pod.kind.clone(), pod.meta.namespace.clone(), pod.meta.name.clone()))
        .collect();
    for (subject, node) in deriver.actors() {
        let mut done = BTreeSet::new();
        for (group, resource) in MAKERS.iter().filter(has_template) {
            for (_, namespace, name) in pods.iter().filter(|(kind, ..)| kind == resource.trim_end_matches('s')) {
                let request = Request { group, ..Request::core("", resource, Some(namespace)) }.named(name);
                let Some(ground) = deriver.allowed_any(&subject, &["patch", "update"], request) else { continue };
                if done.insert(namespace) {
                    gets_pods(deriver, node, (namespace, &ground));
                }
            }
        }
    }
}

/// What whoever decides what a pod of a namespace is gets: its service accounts, and the machines.
fn gets_pods(deriver: &mut Deriver<'_>, node: usize, (namespace, ground): (&str, &Arc<Ground>)) {
    for (_, to) in deriver.accounts_in(namespace) {
        deriver.push(node, to, vec![ground.clone()]);
    }
    if !deriver.is_secured(namespace) {
        for machine in deriver.machines() {
            deriver.push_unless((node, machine), vec![ground.clone()], UNSECURED);
        }
    }
}

fn ephemeral(deriver: &mut Deriver<'_>) {
    enter(deriver, &["patch", "update"], Request::core("", "pods/ephemeralcontainers", None), None);
}

fn proxy(deriver: &mut Deriver<'_>) {
    for (subject, node) in deriver.actors() {
        let request = Request::core("", "nodes/proxy", None);
        if let Some(ground) = deriver.allowed_any(&subject, &["create", "get"], request) {
            for (_, _, to) in deriver.containers.clone() {
                deriver.push(node, to, vec![ground.clone()]);
            }
        }
    }
}

fn contents(deriver: &mut Deriver<'_>) {
    for namespace in deriver.estate.all_namespaces() {
        let Some(holder) = deriver.held(&namespace) else { continue };
        for (_, to) in deriver.accounts_in(&namespace) {
            deriver.push(holder, to, Vec::new());
        }
        for (_, to) in deriver.containers_in(&namespace) {
            deriver.push(holder, to, Vec::new());
        }
        if !deriver.is_secured(&namespace) {
            for machine in deriver.machines() {
                deriver.push_unless((holder, machine), Vec::new(), UNSECURED);
            }
        }
    }
}

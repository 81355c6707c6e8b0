//! What a machine gives to whoever has taken it over.

use super::Kind;
use crate::kubernetes::attack::Deriver;
use crate::kubernetes::estate::Subject;
use crate::step::Page;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        page: Page {
            id: "k8s-node-identity",
            title: "uses the kubelet's credentials",
            catalogue: &["IDENTITY_ASSUME"],
            why: "The kubelet's client certificate lies on the machine and speaks for a member of system:nodes.",
            references: &["https://kubehound.io/reference/attacks/IDENTITY_ASSUME/"],
        },
        derive: identity,
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: Group, name: 'system:nodes'}]}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}}
---
{kind: ClusterRoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b}, roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: Group, name: 'people'}]}",
    },
    Kind {
        page: Page {
            id: "k8s-node-pods",
            title: "enters its containers and volumes",
            catalogue: &["POD_ATTACH", "CONTAINER_ATTACH", "VOLUME_ACCESS"],
            why: "Root on the machine enters every container on it and reads its volumes.",
            references: &[
                "https://kubehound.io/reference/attacks/POD_ATTACH/",
                "https://kubehound.io/reference/attacks/VOLUME_ACCESS/",
            ],
        },
        derive: pods,
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {nodeName: a, containers: [{name: c, image: i, securityContext: {privileged: true}}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: q}, spec: {nodeName: a, containers: [{name: c, image: i}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {nodeName: a, containers: [{name: c, image: i}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: q}, spec: {nodeName: b, containers: [{name: c, image: i}]}}",
    },
];

fn identity(deriver: &mut Deriver<'_>) {
    let nodes = Subject::Group("system:nodes".to_owned());
    if !deriver.subjects.iter().any(|(subject, _)| *subject == nodes) {
        return;
    }
    let to = deriver.subject(&nodes);
    for machine in deriver.machines() {
        deriver.push(machine, to, Vec::new());
    }
}

fn pods(deriver: &mut Deriver<'_>) {
    for (pod, _, to) in deriver.containers.clone() {
        let (machine, known) = deriver.machine_of(pod);
        // A machine that nothing gets to leads nowhere.
        if !deriver.is_reached(machine) {
            continue;
        }
        if known {
            deriver.push(machine, to, Vec::new());
        } else {
            deriver.push_possible((machine, to), Vec::new(), "it runs on the same machine");
        }
    }
}

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
            title: "enters its containers",
            catalogue: &["POD_ATTACH", "CONTAINER_ATTACH"],
            why: "Root on the machine enters every container on it.",
            references: &["https://kubehound.io/reference/attacks/POD_ATTACH/"],
        },
        derive: pods,
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {nodeName: a, containers: [{name: c, image: i, securityContext: {privileged: true}}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: q}, spec: {nodeName: a, containers: [{name: c, image: i}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {nodeName: a, containers: [{name: c, image: i}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: q}, spec: {nodeName: b, containers: [{name: c, image: i}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-node-volumes",
            title: "reads the volumes of its pods",
            catalogue: &["VOLUME_ACCESS"],
            why: "The volumes of all pods on a machine, tokens among them, are folders of the machine.",
            references: &["https://kubehound.io/reference/attacks/VOLUME_ACCESS/"],
        },
        derive: volumes,
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {nodeName: a, containers: [{name: c, image: i, securityContext: {privileged: true}}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {nodeName: a, containers: [{name: c, image: i}]}}",
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

fn volumes(deriver: &mut Deriver<'_>) {
    for machine in deriver.machines_of_pods() {
        if deriver.is_reached(machine) {
            let volumes = deriver.part_of(machine, "volumes of the pods");
            deriver.push(machine, volumes, Vec::new());
        }
    }
}

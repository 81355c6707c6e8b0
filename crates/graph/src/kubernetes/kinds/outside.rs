//! Ways in from outside, with network policies as a control.

use std::collections::BTreeMap;

use super::Kind;
use crate::aws::Truth;
use crate::kubernetes::attack::Deriver;
use crate::kubernetes::estate::{Estate, Meta, Pod, Service};
use crate::step::{NodeKind, Page};

pub(super) const KINDS: &[Kind] = &[Kind {
    page: Page {
        id: "k8s-endpoint",
        title: "attacks what listens",
        catalogue: &["ENDPOINT_EXPLOIT"],
        why: "What listens can be attacked; a service or a port of the machine makes it reachable.",
        references: &["https://kubehound.io/reference/attacks/ENDPOINT_EXPLOIT/"],
    },
    derive: endpoints,
    example: "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n, labels: {app: a}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: s, namespace: n}, spec: {type: LoadBalancer, selector: {app: a}, ports: [{port: 80}]}}",
    counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n, labels: {app: a}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: s, namespace: n}, spec: {type: LoadBalancer, selector: {app: a}, ports: [{port: 80}]}}
---
{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, metadata: {name: d, namespace: n}, spec: {podSelector: {}, policyTypes: [Ingress]}}",
}];

const FLAWED: &str = "what listens there has a flaw";

fn endpoints(deriver: &mut Deriver<'_>) {
    for (pod, container, to) in deriver.containers.clone() {
        let host_network = pod.shares.contains_key(&crate::kubernetes::estate::Share::HostNetwork);
        // A network policy does not limit pods on the machine's own network.
        let let_in = if host_network { Truth::Yes } else { ingress(deriver.estate, pod) };
        for port in container.ports.iter().filter(|_| let_in != Truth::No) {
            if let Some(host) = &port.host {
                let from = outside(deriver, &format!("whoever reaches port {host} of a machine"), &pod.meta);
                let ground = deriver.pod_setting(pod, format!("hostPort {host}"), port.line);
                deriver.push_possible((from, to), vec![ground], FLAWED);
            }
            for service in deriver.estate.services.iter().filter(|service| serves(service, pod)) {
                let target = |target: &String| *target == port.name || *target == port.number;
                if !service.targets.iter().any(target) {
                    continue;
                }
                let who = match service.kind.as_str() {
                    "LoadBalancer" | "NodePort" => "whoever reaches",
                    _ => "whoever is in the cluster and reaches",
                };
                let name = format!("{who} service {}/{}", service.meta.namespace, service.meta.name);
                let from = outside(deriver, &name, &service.meta);
                let part = (format!("service {}", service.meta.name), format!("leads to {}", pod.meta.name));
                let ground = deriver.setting(&service.meta, part, service.meta.line);
                deriver.push_possible((from, to), vec![ground], FLAWED);
            }
        }
    }
}

fn outside(deriver: &mut Deriver<'_>, name: &str, meta: &Meta) -> usize {
    deriver.node(name, NodeKind::Outside, (&meta.source, Some(meta.line)))
}

fn serves(service: &Service, pod: &Pod) -> bool {
    let selected =
        |labels: &BTreeMap<String, String>| service.selector.iter().all(|(key, value)| labels.get(key) == Some(value));
    service.meta.namespace == pod.meta.namespace && !service.selector.is_empty() && selected(&pod.labels)
}

/// Whether traffic from outside the namespace gets to a pod: unknown where a policy lets some in.
fn ingress(estate: &Estate, pod: &Pod) -> Truth {
    let policies = estate
        .policies
        .iter()
        .filter(|policy| policy.meta.namespace == pod.meta.namespace && policy.selector.selects(&pod.labels));
    let mut limits = policies.filter_map(|policy| policy.ingress.as_ref()).peekable();
    if limits.peek().is_none() {
        return Truth::Yes;
    }
    let all: Vec<_> = limits.flatten().collect();
    if all.is_empty() { Truth::No } else { Truth::Unknown }
}

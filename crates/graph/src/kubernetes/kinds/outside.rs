//! Ways in from outside, with network policies as a control.

use std::sync::Arc;

use super::Kind;
use crate::aws::Truth;
use crate::kubernetes::attack::Deriver;
use crate::kubernetes::estate::{Container, Estate, Meta, Peers, Pod, Port, Route, Service, ServicePort, Share};
use crate::step::{Ground, NodeKind, Page};

const POD_BEHIND_A_SERVICE: &str = "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n, labels: {app: a}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: s, namespace: n}, spec: {type: LoadBalancer, selector: {app: a}, ports: [{port: 80}]}}";
const POD_BEHIND_A_POLICY: &str = "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n, labels: {app: a}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: s, namespace: n}, spec: {type: LoadBalancer, selector: {app: a}, ports: [{port: 80}]}}
---
{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, metadata: {name: d, namespace: n}, spec: {podSelector: {}, policyTypes: [Ingress]}}";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        page: Page {
            id: "k8s-endpoint",
            title: "gets through to",
            catalogue: &["ENDPOINT_EXPLOIT"],
            why: "A service, an Ingress, a route of the Gateway API or a port of the machine leads to the container's port.",
            references: &["https://kubehound.io/reference/attacks/ENDPOINT_EXPLOIT/"],
        },
        derive: endpoints,
        example: POD_BEHIND_A_SERVICE,
        counter_example: POD_BEHIND_A_POLICY,
    },
    Kind {
        page: Page {
            id: "k8s-flaw",
            title: "breaks into what listens",
            catalogue: &["ENDPOINT_EXPLOIT"],
            why: "What listens can be attacked, by flaws that are known and others.",
            references: &["https://kubehound.io/reference/attacks/ENDPOINT_EXPLOIT/"],
        },
        derive: flaws,
        example: POD_BEHIND_A_SERVICE,
        counter_example: POD_BEHIND_A_POLICY,
    },
];

const FLAWED: &str = "what listens there has a flaw";

/// Where traffic comes from, as network policies see it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Outside of the cluster: no pod, whatever its labels.
    Outside,
    /// Some pod of the cluster.
    Pod,
}

fn endpoints(deriver: &mut Deriver<'_>) {
    let estate = deriver.estate;
    for (pod, container, _) in deriver.containers.clone() {
        for port in &container.ports {
            let Some(host) = &port.host else { continue };
            let let_in = let_in(estate, pod, (port, Origin::Outside));
            let from = outside(deriver, &format!("whoever reaches port {host} of a machine"), &pod.meta);
            let ground = deriver.pod_setting(pod, format!("hostPort {host}"), port.line);
            reach(deriver, from, (pod, container), (ground, let_in));
        }
        for service in estate.services.iter().filter(|service| service.leads_to(pod)) {
            let own = Entrance::of(service, pod);
            let routes = estate.routes.iter().flat_map(|route| Entrance::routed(route, service));
            for entrance in std::iter::once(own).chain(routes) {
                enter(deriver, &entrance, service, (pod, container));
            }
        }
    }
}

/// A way to a service.
struct Entrance<'e> {
    /// Who takes it.
    who: String,
    /// What leads there, and where to.
    said: (String, String),
    meta: &'e Meta,
    origin: Origin,
    /// The only port of the service to which it leads, by name or number.
    port: Option<&'e str>,
}

impl<'e> Entrance<'e> {
    /// The service itself.
    fn of(service: &'e Service, pod: &Pod) -> Self {
        let meta = &service.meta;
        let (who, origin) = match service.kind.as_str() {
            "LoadBalancer" | "NodePort" => ("whoever reaches", Origin::Outside),
            _ => ("whoever is in the cluster and reaches", Origin::Pod),
        };
        let who = format!("{who} service {}/{}", meta.namespace, meta.name);
        let said = (format!("service {}", meta.name), format!("leads to {}", pod.meta.name));
        Self { who, said, meta, origin, port: None }
    }

    /// What leads from an Ingress or a route to a service. What comes that way comes from the pod that routes it.
    fn routed(route: &'e Route, service: &Service) -> impl Iterator<Item = Self> {
        let to = (service.meta.namespace.clone(), service.meta.name.clone());
        let backends = route.backends.iter().filter(move |(namespace, name, _)| (namespace, name) == (&to.0, &to.1));
        backends.map(|(namespace, name, port)| Self {
            who: format!("whoever reaches {} {}/{}", route.kind, route.meta.namespace, route.meta.name),
            said: (format!("{} {}", route.kind, route.meta.name), format!("leads to service {namespace}/{name}")),
            meta: &route.meta,
            origin: Origin::Pod,
            port: port.as_deref(),
        })
    }

    fn takes(&self, port: &ServicePort) -> bool {
        self.port.is_none_or(|wanted| wanted == port.number || wanted == port.name)
    }
}

/// A step to what listens behind a service's ports.
fn enter(deriver: &mut Deriver<'_>, entrance: &Entrance<'_>, service: &Service, (pod, container): (&Pod, &Container)) {
    let ports = service.ports.iter().filter(|port| entrance.takes(port));
    let ports = ports.filter_map(|port| port.listening(pod, container));
    let let_in = ports.map(|port| let_in(deriver.estate, pod, (&port, entrance.origin))).max();
    let Some(let_in) = let_in else { return };
    let from = outside(deriver, &entrance.who, entrance.meta);
    let ground = deriver.setting(entrance.meta, entrance.said.clone(), entrance.meta.line);
    reach(deriver, from, (pod, container), (ground, let_in));
}

fn reach(
    deriver: &mut Deriver<'_>,
    from: usize,
    (pod, container): (&Pod, &Container),
    (ground, let_in): (Arc<Ground>, Truth),
) {
    if let_in == Truth::No {
        return;
    }
    let to = listening(deriver, pod, container);
    match let_in {
        Truth::Yes => deriver.push(from, to, vec![ground]),
        _ => deriver.push_possible((from, to), vec![ground], "a network policy lets it in"),
    }
}

/// What listens in a container: less than the container itself.
fn listening(deriver: &mut Deriver<'_>, pod: &Pod, container: &Container) -> usize {
    let name = format!("what listens in {}/{}:{}", pod.meta.namespace, pod.meta.name, container.name);
    deriver.node(&name, NodeKind::Inner, (&pod.meta.source, Some(container.line)))
}

fn flaws(deriver: &mut Deriver<'_>) {
    for (pod, container, to) in deriver.containers.clone() {
        let from = listening(deriver, pod, container);
        if deriver.is_reached(from) {
            deriver.push_possible((from, to), Vec::new(), FLAWED);
        }
    }
}

fn outside(deriver: &mut Deriver<'_>, name: &str, meta: &Meta) -> usize {
    deriver.node(name, NodeKind::Outside, (&meta.source, Some(meta.line)))
}

/// Whether network policies let traffic in to a port of a pod: unknown where they let some in.
fn let_in(estate: &Estate, pod: &Pod, (port, origin): (&Port, Origin)) -> Truth {
    // A network policy does not limit pods on the machine's own network.
    if pod.shares.contains_key(&Share::HostNetwork) {
        return Truth::Yes;
    }
    let mut limits = estate
        .policies
        .iter()
        .filter(|policy| policy.limits(pod))
        .filter_map(|policy| policy.ingress.as_ref())
        .peekable();
    if limits.peek().is_none() {
        return Truth::Yes;
    }
    let openings = limits.flatten().filter(|opening| opening.is_at(port));
    Truth::any(openings.map(|opening| match (&opening.peers, origin) {
        (Peers::All, _) => Truth::Yes,
        (Peers::Some { blocks, .. }, Origin::Outside) if blocks.iter().any(is_everywhere) => Truth::Yes,
        (Peers::Some { blocks, .. }, Origin::Outside) => {
            if blocks.is_empty() {
                Truth::No
            } else {
                Truth::Unknown
            }
        }
        (Peers::Some { .. }, Origin::Pod) => Truth::Unknown,
    }))
}

/// Whether a block is all addresses, with nothing taken from it.
fn is_everywhere((block, except): &(String, Vec<String>)) -> bool {
    except.is_empty() && (block.ends_with(".0/0") || block == "::/0")
}

//! Kubernetes objects: manifests, `kubectl get -o json` lists, admission reviews, and KubeHound's dumps.
//!
//! Takes from an object only what says who may do what and what runs where: never the contents of a
//! secret, an environment variable or a command line. Objects of other kinds are passed over.

mod audit;
mod custom;
pub(crate) mod eks;
mod pod;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use graph::kubernetes::estate::{
    Binding, Machine, Mapping, Meta, NetworkPolicy, Opening, Peers, PortRange, Role, RoleRef, Route, Rule, Secret,
    Selector, Service, ServiceAccount, ServicePort, Subject,
};

use crate::aws::{Reader, text};
use crate::document::{Document, Node};

/// Where `kubectl apply` puts what names no namespace.
pub(crate) const NAMESPACE: &str = "default";

/// The namespace that a file is meant for whose objects name none: where its bindings look for service accounts that it
/// makes. Whoever wrote it has it applied there (`kubectl apply -n`), and nowhere else do its bindings hold. Nothing where
/// they look in several.
pub(crate) fn meant(root: &Node) -> Option<&str> {
    let documents = if root.is_list() { root.items() } else { std::slice::from_ref(root) };
    let listed = documents.iter().flat_map(|one| match one.get("items").filter(|items| items.is_list()) {
        Some(items) => items.items(),
        None => std::slice::from_ref(one),
    });
    let objects: Vec<&Node> = listed.collect();
    let word = |one: &Node, key: &str| text(one.get("metadata")?, key).map(str::to_owned);
    let without = of_kind(&objects, "ServiceAccount").filter(|one| word(one, "namespace").is_none());
    let made: BTreeSet<String> = without.filter_map(|one| word(one, "name")).collect();
    if made.is_empty() {
        return None;
    }
    let bindings = of_kind(&objects, "ClusterRoleBinding").chain(of_kind(&objects, "RoleBinding"));
    let subjects = bindings.flat_map(|one| one.get("subjects").map(Node::items).unwrap_or_default());
    let is_made = |one: &&Node| {
        text(one, "kind") == Some("ServiceAccount") && text(one, "name").is_some_and(|name| made.contains(name))
    };
    let places: BTreeSet<&str> = subjects.filter(is_made).filter_map(|one| text(one, "namespace")).collect();
    places.first().copied().filter(|_| places.len() == 1)
}

fn of_kind<'n>(objects: &[&'n Node], kind: &str) -> impl Iterator<Item = &'n Node> {
    objects.iter().copied().filter(move |one| text(one, "kind") == Some(kind))
}

/// Reads an object or a list of objects; false when the document is none.
pub(crate) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    if eks::read(reader, root) || audit::read(reader, root) {
        return true;
    }
    let (Some(_), Some(kind)) = (text(root, "apiVersion"), text(root, "kind")) else { return dump(reader, root) };
    match kind.strip_suffix("List").filter(|_| root.get("items").is_some_and(Node::is_list)) {
        Some(of) => {
            for item in root.get("items").map(Node::items).unwrap_or_default() {
                object(reader, item, text(item, "kind").unwrap_or(of));
            }
        }
        None => object(reader, root, kind),
    }
    true
}

/// The files of a KubeHound dump, and the kind of what each lists.
pub(crate) const DUMPED: &[(&str, &str)] = &[
    ("pods.json", "Pod"),
    ("nodes.json", "Node"),
    ("roles.rbac.authorization.k8s.io.json", "Role"),
    ("rolebindings.rbac.authorization.k8s.io.json", "RoleBinding"),
    ("clusterroles.rbac.authorization.k8s.io.json", "ClusterRole"),
    ("clusterrolebindings.rbac.authorization.k8s.io.json", "ClusterRoleBinding"),
    ("endpointslices.discovery.k8s.io.json", "EndpointSlice"),
];

/// The kind of what a file lists, if it has a name of those.
pub(crate) fn dumped(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?;
    DUMPED.iter().find(|(known, _)| name == *known).map(|(_, kind)| *kind)
}

/// Neither the lists of a KubeHound dump nor their objects say what kind they are of; their file's name does.
fn dump(reader: &mut Reader<'_>, root: &Node) -> bool {
    let source = reader.source.clone();
    let items = root.get("items").filter(|items| items.is_list());
    let Some((kind, items)) = dumped(Path::new(&*source)).zip(items) else {
        // What it says of its own making.
        return source.ends_with("metadata.json") && text(root, "run_id").is_some() && root.get("cluster").is_some();
    };
    items.items().iter().for_each(|item| object(reader, item, kind));
    true
}

fn object(reader: &mut Reader<'_>, node: &Node, kind: &str) {
    let spec = node.get("spec");
    match kind {
        "Role" | "ClusterRole" => {
            let meta = meta(reader, node, kind.starts_with("Cluster"));
            let rules = node.get("rules").map(Node::items).unwrap_or_default();
            let rules = rules.iter().map(|rule| role_rule(reader, rule)).collect();
            let aggregates = node.get("aggregationRule").and_then(|rule| rule.get("clusterRoleSelectors"));
            let aggregates = aggregates.map(Node::items).unwrap_or_default().iter().map(selector).collect();
            reader.cluster.roles.push(Role { meta, rules, aggregates });
        }
        "RoleBinding" | "ClusterRoleBinding" => binding(reader, node, kind.starts_with("Cluster")),
        "ServiceAccount" => {
            let automount = node.get("automountServiceAccountToken").and_then(Node::bool);
            let meta = meta(reader, node, false);
            reader.cluster.accounts.push(ServiceAccount { meta, automount });
        }
        "Node" => {
            let provider = spec.and_then(|spec| text(spec, "providerID")).unwrap_or_default().to_owned();
            let meta = meta(reader, node, true);
            reader.cluster.machines.push(Machine { meta, provider });
        }
        "Namespace" => {
            let meta = meta(reader, node, true);
            reader.cluster.namespaces.push(meta);
        }
        "Secret" => {
            let meta = meta(reader, node, false);
            let account = meta.annotations.get("kubernetes.io/service-account.name").cloned();
            let account = account.filter(|_| text(node, "type") == Some("kubernetes.io/service-account-token"));
            reader.cluster.secrets.push(Secret { meta, account });
        }
        "Service" => service(reader, node),
        "Ingress" | "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute" => route(reader, node, kind),
        "NetworkPolicy" => network_policy(reader, node),
        "ConfigMap" => config_map(reader, node),
        // What an API server asks its webhooks about: the object as it will be.
        "AdmissionReview" => {
            let review = node.get("request").and_then(|request| request.get("object"));
            if let Some((review, kind)) = review.and_then(|object| Some((object, text(object, "kind")?))) {
                object(reader, review, kind);
            }
        }
        _ if pod::read(reader, node, kind) => {}
        _ => custom::read(reader, node, kind),
    }
}

/// The metadata of an object. What names no namespace is where its file is meant for, or in `default`.
fn meta(reader: &Reader<'_>, node: &Node, of_cluster: bool) -> Meta {
    let metadata = node.get("metadata");
    let word = |key: &str| metadata.and_then(|metadata| text(metadata, key)).map(str::to_owned);
    let namespace =
        if of_cluster { String::new() } else { word("namespace").unwrap_or_else(|| reader.namespace.clone()) };
    Meta {
        namespace,
        name: word("name").or_else(|| word("generateName")).unwrap_or_default(),
        labels: texts(metadata.and_then(|metadata| metadata.get("labels"))),
        annotations: texts(metadata.and_then(|metadata| metadata.get("annotations"))),
        source: reader.source.clone(),
        line: reader.line(node),
    }
}

fn texts(node: Option<&Node>) -> BTreeMap<String, String> {
    let entries = node.map(Node::entries).unwrap_or_default().iter();
    entries.filter_map(|entry| Some((entry.key.clone(), entry.node.scalar()?))).collect()
}

fn list(node: &Node, key: &str) -> Vec<String> {
    node.get(key).map(Node::items).unwrap_or_default().iter().filter_map(Node::scalar).collect()
}

fn role_rule(reader: &Reader<'_>, node: &Node) -> Rule {
    Rule {
        verbs: list(node, "verbs"),
        groups: list(node, "apiGroups"),
        resources: list(node, "resources"),
        names: list(node, "resourceNames"),
        urls: list(node, "nonResourceURLs"),
        line: reader.line(node),
    }
}

fn selector(node: &Node) -> Selector {
    let expressions = node.get("matchExpressions").map(Node::items).unwrap_or_default().iter();
    let expression =
        |one: &Node| Some((text(one, "key")?.to_owned(), text(one, "operator")?.to_owned(), list(one, "values")));
    Selector { equals: texts(node.get("matchLabels")), expressions: expressions.filter_map(expression).collect() }
}

fn binding(reader: &mut Reader<'_>, node: &Node, of_cluster: bool) {
    let meta = meta(reader, node, of_cluster);
    let reference = node.get("roleRef");
    let word = |key: &str| reference.and_then(|reference| text(reference, key));
    let Some(name) = word("name").map(str::to_owned) else {
        reader.miss(node, format!("the binding `{}` names no role", meta.name));
        return;
    };
    let role = if word("kind") == Some("ClusterRole") { RoleRef::ClusterRole(name) } else { RoleRef::Role(name) };
    let mut subjects = Vec::new();
    for one in node.get("subjects").map(Node::items).unwrap_or_default() {
        let Some(name) = text(one, "name").map(str::to_owned) else { continue };
        subjects.push(match text(one, "kind") {
            Some("ServiceAccount") => {
                // The API server refuses a service account without namespace; files that leave it out mean the binding's.
                let namespace = text(one, "namespace").unwrap_or(&meta.namespace).to_owned();
                Subject::ServiceAccount(namespace, name)
            }
            Some("Group") => Subject::Group(name),
            _ => Subject::of_user(&name),
        });
    }
    reader.cluster.bindings.push(Binding { meta, role, subjects });
}

fn service(reader: &mut Reader<'_>, node: &Node) {
    let meta = meta(reader, node, false);
    let Some(spec) = node.get("spec") else { return };
    let ports = spec.get("ports").map(Node::items).unwrap_or_default().iter();
    let port = |one: &Node| {
        let number = one.get("port").and_then(Node::scalar)?;
        let target = one.get("targetPort").and_then(Node::scalar).unwrap_or_else(|| number.clone());
        let protocol = text(one, "protocol").map(str::to_owned);
        Some(ServicePort { name: text(one, "name").unwrap_or_default().to_owned(), number, protocol, target })
    };
    let ports = ports.filter_map(port).collect();
    let kind = text(spec, "type").unwrap_or("ClusterIP").to_owned();
    reader.cluster.services.push(Service { meta, kind, selector: texts(spec.get("selector")), ports });
}

/// The services that an Ingress or a route of the Gateway API leads to, wherever they stand in it.
fn route(reader: &mut Reader<'_>, node: &Node, kind: &str) {
    fn backends(node: &Node, namespace: &str, found: &mut Vec<(String, String, Option<String>)>) {
        if let Some(service) = node.get("service").filter(|service| service.is_map()) {
            let port = service.get("port").and_then(|port| port.get("number").or_else(|| port.get("name")));
            found.extend(
                text(service, "name").map(|name| (namespace.to_owned(), name.to_owned(), port.and_then(Node::scalar))),
            );
        }
        for backend in node.get("backendRefs").map(Node::items).unwrap_or_default() {
            let namespace = text(backend, "namespace").unwrap_or(namespace).to_owned();
            let port = backend.get("port").and_then(Node::scalar);
            let is_service = text(backend, "kind").is_none_or(|kind| kind == "Service");
            found.extend(text(backend, "name").filter(|_| is_service).map(|name| (namespace, name.to_owned(), port)));
        }
        node.entries().iter().for_each(|entry| backends(&entry.node, namespace, found));
        node.items().iter().for_each(|item| backends(item, namespace, found));
    }
    let meta = meta(reader, node, false);
    let mut found = Vec::new();
    if let Some(spec) = node.get("spec") {
        backends(spec, &meta.namespace, &mut found);
    }
    reader.cluster.routes.push(Route { meta, kind: kind.to_ascii_lowercase(), backends: found });
}

fn network_policy(reader: &mut Reader<'_>, node: &Node) {
    let meta = meta(reader, node, false);
    let Some(spec) = node.get("spec") else { return };
    let types = list(spec, "policyTypes");
    let side = |word: &str, key: &str, peers: &str| {
        let rules = spec.get(key).map(Node::items).unwrap_or_default();
        let named = types.iter().any(|one| one == word) || types.is_empty() && (word == "Ingress" || !rules.is_empty());
        named.then(|| rules.iter().map(|rule| opening(rule, peers)).collect::<Vec<_>>())
    };
    let (ingress, egress) = (side("Ingress", "ingress", "from"), side("Egress", "egress", "to"));
    let selector = spec.get("podSelector").map(selector).unwrap_or_default();
    reader.cluster.policies.push(NetworkPolicy { meta, selector, ingress, egress });
}

fn opening(rule: &Node, key: &str) -> Opening {
    let ports = rule.get("ports").map(Node::items).unwrap_or_default().iter();
    let range = |port: &Node| PortRange {
        protocol: text(port, "protocol").map(str::to_owned),
        first: port.get("port").and_then(Node::scalar),
        last: port.get("endPort").and_then(Node::scalar).and_then(|last| last.parse().ok()),
    };
    let ports = ports.map(range).collect();
    let peers = rule.get(key).map(Node::items).unwrap_or_default();
    if peers.is_empty() {
        return Opening { peers: Peers::All, ports };
    }
    let block = |peer: &Node| {
        let block = peer.get("ipBlock")?;
        Some((text(block, "cidr")?.to_owned(), list(block, "except")))
    };
    let pods = peers.iter().any(|peer| peer.get("ipBlock").is_none());
    Opening { peers: Peers::Some { blocks: peers.iter().filter_map(block).collect(), pods }, ports }
}

/// EKS's older map of cloud identities to users of the cluster.
fn config_map(reader: &mut Reader<'_>, node: &Node) {
    let meta = meta(reader, node, false);
    if meta.name != "aws-auth" || meta.namespace != "kube-system" {
        return;
    }
    for (key, arn) in [("mapRoles", "rolearn"), ("mapUsers", "userarn")] {
        let Some(written) = node.get("data").and_then(|data| data.get(key)) else { continue };
        let line = reader.line(written);
        let Ok(document) = Document::stream(written.text().unwrap_or_default()) else {
            reader.miss(written, format!("`{key}` is not YAML"));
            continue;
        };
        for one in document.root().items().iter().flat_map(Node::items) {
            let Some(arn) = text(one, arn).map(str::to_owned) else { continue };
            let user = text(one, "username").map(str::to_owned);
            let (groups, source) = (list(one, "groups"), reader.source.clone());
            reader.cluster.mappings.push(Mapping { arn, user, groups, source, line });
        }
    }
}

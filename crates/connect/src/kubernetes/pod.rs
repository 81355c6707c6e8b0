//! Pods and the objects that make them: what a container may do to its machine.

use std::collections::BTreeMap;

use graph::kubernetes::estate::{Container, Mount, Pod, Port, Share};

use super::{list, meta, texts};
use crate::aws::{Reader, text};
use crate::document::Node;

/// Reads a pod or what makes pods; false when the object is neither.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, kind: &str) -> bool {
    let spec = node.get("spec");
    let template = match kind {
        "Pod" => Some(node),
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            spec.and_then(|spec| spec.get("template"))
        }
        "CronJob" => spec.and_then(|spec| spec.get("jobTemplate")?.get("spec")?.get("template")),
        _ => return false,
    };
    let Some((template, spec)) = template.and_then(|template| Some((template, template.get("spec")?))) else {
        reader.miss(node, format!("a {kind} has no `spec` of a pod"));
        return true;
    };
    // What a controller made is known from the controller's template where that is in the files too.
    let pod = pod(reader, node, (template, spec), kind);
    reader.cluster.pods.push(pod);
    true
}

fn pod(reader: &Reader<'_>, node: &Node, (template, spec): (&Node, &Node), kind: &str) -> Pod {
    let mut shares = BTreeMap::new();
    for (key, share) in [
        ("hostPID", Share::HostPid),
        ("hostNetwork", Share::HostNetwork),
        ("hostIPC", Share::HostIpc),
        ("shareProcessNamespace", Share::Processes),
    ] {
        if let Some(said) = spec.get(key).filter(|said| said.bool() == Some(true)) {
            shares.insert(share, reader.line(said));
        }
    }
    let volumes = host_paths(spec);
    let user = spec.get("securityContext").and_then(|context| context.get("runAsUser")).and_then(Node::scalar);
    let keys = ["initContainers", "containers", "ephemeralContainers"];
    let listed = keys.iter().flat_map(|key| spec.get(key).map(Node::items).unwrap_or_default());
    let containers = listed.map(|one| container(reader, one, &volumes, user.clone())).collect();
    let account = spec.get("serviceAccountName").or_else(|| spec.get("serviceAccount"));
    let account = account.and_then(|node| Some((node.text()?.to_owned(), reader.line(node))));
    Pod {
        meta: meta(reader, node, false),
        kind: kind.to_ascii_lowercase(),
        labels: texts(template.get("metadata").and_then(|metadata| metadata.get("labels"))),
        account_line: account.as_ref().map(|(_, line)| *line),
        account: account.map_or_else(|| "default".to_owned(), |(name, _)| name),
        automount: spec.get("automountServiceAccountToken").and_then(Node::bool),
        shares,
        node: text(spec, "nodeName").map(str::to_owned),
        containers,
    }
}

/// The host's path of each volume that has one.
fn host_paths(spec: &Node) -> BTreeMap<String, String> {
    let volumes = spec.get("volumes").map(Node::items).unwrap_or_default().iter();
    let path =
        |volume: &Node| Some((text(volume, "name")?.to_owned(), text(volume.get("hostPath")?, "path")?.to_owned()));
    volumes.filter_map(path).collect()
}

fn container(reader: &Reader<'_>, node: &Node, volumes: &BTreeMap<String, String>, user: Option<String>) -> Container {
    let context = node.get("securityContext");
    let privileged = context.and_then(|context| context.get("privileged")).filter(|said| said.bool() == Some(true));
    let added = context.and_then(|context| context.get("capabilities")?.get("add"));
    let capabilities = added.map(Node::items).unwrap_or_default().iter();
    let capability = |one: &Node| Some((one.text()?.trim_start_matches("CAP_").to_owned(), reader.line(one)));
    let mounts = node.get("volumeMounts").map(Node::items).unwrap_or_default().iter();
    let mount = |one: &Node| {
        let mut host = volumes.get(text(one, "name")?)?.clone();
        if let Some(below) = text(one, "subPath") {
            host = format!("{}/{below}", host.trim_end_matches('/'));
        }
        let read_only = one.get("readOnly").and_then(Node::bool) == Some(true);
        Some(Mount { host, read_only, line: reader.line(one) })
    };
    let ports = node.get("ports").map(Node::items).unwrap_or_default().iter();
    let port = |one: &Node| Port {
        name: text(one, "name").unwrap_or_default().to_owned(),
        number: one.get("containerPort").and_then(Node::scalar).unwrap_or_default(),
        protocol: text(one, "protocol").map(str::to_owned),
        host: one.get("hostPort").and_then(Node::scalar),
        line: reader.line(one),
    };
    Container {
        name: text(node, "name").unwrap_or_default().to_owned(),
        line: reader.line(node),
        privileged: privileged.map(|said| reader.line(said)),
        capabilities: capabilities.filter_map(capability).collect(),
        user: context.and_then(|context| context.get("runAsUser")).and_then(Node::scalar).or(user),
        mounts: mounts.filter_map(mount).collect(),
        ports: ports.map(port).collect(),
    }
}

/// The command of a container, without its arguments: they may hold secrets.
pub(super) fn program(node: &Node) -> Option<String> {
    let command = list(node, "command").into_iter().next().or_else(|| text(node, "cmd").map(str::to_owned));
    command.or_else(|| text(node, "image").map(str::to_owned))
}

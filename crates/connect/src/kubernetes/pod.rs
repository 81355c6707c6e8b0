//! Pods and the objects that make them: what a container may do to its machine.

use std::collections::BTreeMap;

use graph::kubernetes::estate::{Container, Mount, Pod, Port, Share, Token};

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
    let volumes = volumes(spec);
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

/// What a volume holds, as far as it matters here.
struct Volume {
    /// A path of the host.
    host: Option<String>,
    /// The audiences of tokens of the pod's service account, where they are said.
    audiences: Vec<Option<String>>,
    /// The names of secrets.
    secrets: Vec<String>,
}

/// The volumes of a pod by their names.
fn volumes(spec: &Node) -> BTreeMap<String, Volume> {
    let volumes = spec.get("volumes").map(Node::items).unwrap_or_default().iter();
    volumes.filter_map(|one| Some((text(one, "name")?.to_owned(), volume(one)))).collect()
}

fn volume(node: &Node) -> Volume {
    let word = |of: Option<&Node>, key: &str| of.and_then(|of| text(of, key)).map(str::to_owned);
    let projected = node.get("projected").and_then(|one| one.get("sources"));
    let sources = projected.map(Node::items).unwrap_or_default();
    let tokens = sources.iter().filter_map(|source| source.get("serviceAccountToken"));
    let secrets = sources.iter().filter_map(|source| word(source.get("secret"), "name"));
    Volume {
        host: word(node.get("hostPath"), "path"),
        audiences: tokens.map(|token| word(Some(token), "audience").filter(|said| !said.is_empty())).collect(),
        secrets: secrets.chain(word(node.get("secret"), "secretName")).collect(),
    }
}

fn container(reader: &Reader<'_>, node: &Node, volumes: &BTreeMap<String, Volume>, user: Option<String>) -> Container {
    let context = node.get("securityContext");
    let privileged = context.and_then(|context| context.get("privileged")).filter(|said| said.bool() == Some(true));
    let added = context.and_then(|context| context.get("capabilities")?.get("add"));
    let capabilities = added.map(Node::items).unwrap_or_default().iter();
    let capability = |one: &Node| Some((one.text()?.trim_start_matches("CAP_").to_owned(), reader.line(one)));
    let mounted = node.get("volumeMounts").map(Node::items).unwrap_or_default().iter();
    let mounted = mounted.filter_map(|one| Some((one, volumes.get(text(one, "name")?)?)));
    let mount = |(one, volume): (&Node, &Volume)| {
        let mut host = volume.host.clone()?;
        if let Some(below) = text(one, "subPath") {
            host = format!("{}/{below}", host.trim_end_matches('/'));
        }
        let read_only = one.get("readOnly").and_then(Node::bool) == Some(true);
        Some(Mount { host, read_only, line: reader.line(one) })
    };
    let tokens = mounted.clone().flat_map(|(one, volume)| {
        let line = reader.line(one);
        volume.audiences.iter().map(move |audience| Token { audience: audience.clone(), line })
    });
    let secrets = mounted.clone().flat_map(|(one, volume)| {
        let line = reader.line(one);
        volume.secrets.iter().map(move |secret| (secret.clone(), line))
    });
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
        tokens: tokens.collect(),
        secrets: secrets.collect(),
        mounts: mounted.filter_map(mount).collect(),
        ports: ports.map(port).collect(),
    }
}

/// The command of a container, without its arguments: they may hold secrets.
pub(super) fn program(node: &Node) -> Option<String> {
    let command = list(node, "command").into_iter().next().or_else(|| text(node, "cmd").map(str::to_owned));
    command.or_else(|| text(node, "image").map(str::to_owned))
}

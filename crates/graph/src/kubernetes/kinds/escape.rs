//! Ways out of a container to its machine.

use std::sync::Arc;

use super::Kind;
use crate::kubernetes::Subject;
use crate::kubernetes::attack::Deriver;
use crate::kubernetes::estate::{Container, Mount, Pod, Share};
use crate::kubernetes::evaluate::Request;
use crate::step::{Ground, Page};

const STANDARDS: &str = "https://kubernetes.io/docs/concepts/security/pod-security-standards/";

pub(super) const KINDS: &[Kind] = &[
    Kind {
        page: Page {
            id: "k8s-privileged-mount",
            title: "mounts the disk of its machine",
            catalogue: &["CE_PRIV_MOUNT"],
            why: "A privileged container sees the machine's devices and may mount its file system.",
            references: &["https://kubehound.io/reference/attacks/CE_PRIV_MOUNT/", STANDARDS],
        },
        derive: |deriver| escapes(deriver, |_, container| Some(vec![privileged(container)?])),
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i, securityContext: {privileged: false}}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-nsenter",
            title: "enters the namespaces of its machine",
            catalogue: &["CE_NSENTER"],
            why: "A privileged container that sees the machine's processes runs `nsenter` on the first of them.",
            references: &["https://kubehound.io/reference/attacks/CE_NSENTER/", STANDARDS],
        },
        derive: |deriver| {
            escapes(deriver, |pod, container| Some(vec![share(pod, Share::HostPid, "hostPID")?, privileged(container)?]));
        },
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {hostPID: true, containers: [{name: c, image: i, securityContext: {privileged: true}}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-load-module",
            title: "loads a kernel module on its machine",
            catalogue: &["CE_MODULE_LOAD"],
            why: "The kernel is the machine's: what a container loads into it runs outside of every container.",
            references: &["https://kubehound.io/reference/attacks/CE_MODULE_LOAD/", STANDARDS],
        },
        derive: |deriver| {
            escapes(deriver, |_, container| Some(vec![privileged(container).or_else(|| capability(container, "SYS_MODULE"))?]));
        },
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i, securityContext: {capabilities: {add: [SYS_MODULE]}}}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i, securityContext: {capabilities: {add: [SYS_TIME], drop: [SYS_MODULE]}}}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-ptrace",
            title: "writes into a process of its machine",
            catalogue: &["CE_SYS_PTRACE"],
            why: "A container that sees the machine's processes and may trace them puts its code into one.",
            references: &["https://kubehound.io/reference/attacks/CE_SYS_PTRACE/", STANDARDS],
        },
        derive: |deriver| {
            each_escape(deriver, |pod, container| {
                let Some(host) = share(pod, Share::HostPid, "hostPID") else { return Vec::new() };
                let traces = capability(container, "SYS_PTRACE").zip(capability(container, "SYS_ADMIN"));
                let able = [privileged(container).map(|one| vec![one]), traces.map(|(one, other)| vec![one, other])];
                able.into_iter().flatten().map(|able| std::iter::once(host.clone()).chain(able).collect()).collect()
            });
        },
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {hostPID: true, containers: [{name: c, image: i, securityContext: {capabilities: {add: [SYS_PTRACE, SYS_ADMIN]}}}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i, securityContext: {capabilities: {add: [SYS_PTRACE, SYS_ADMIN]}}}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-core-pattern",
            title: "has the machine's kernel run its program",
            catalogue: &["CE_UMH_CORE_PATTERN"],
            why: "Whatever stands in the machine's /proc/sys/kernel/core_pattern, the kernel runs as root when a process crashes.",
            references: &["https://kubehound.io/reference/attacks/CE_UMH_CORE_PATTERN/"],
        },
        derive: |deriver| {
            escapes(deriver, |_, container| {
                let is_root = container.user.as_deref().is_none_or(|user| user == "0");
                let mount = mount(container, "/proc/sys/kernel/core_pattern", Access::Write).filter(|_| is_root)?;
                Some(vec![mount])
            });
        },
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, hostPath: {path: /proc/sys/kernel}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /k}]}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, hostPath: {path: /proc/sys/kernel}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /k, readOnly: true}]}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-var-log",
            title: "reads any file of its machine through the kubelet's logs",
            catalogue: &["CE_VAR_LOG_SYMLINK"],
            why: "The kubelet follows, as root, the links that a container puts into the machine's /var/log when somebody reads logs.",
            references: &["https://kubehound.io/reference/attacks/CE_VAR_LOG_SYMLINK/"],
        },
        derive: var_log,
        example: "{kind: Role, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: r, namespace: n}, rules: [{apiGroups: [''], resources: [pods/log], verbs: [get]}]}
---
{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, metadata: {name: b, namespace: n}, roleRef: {kind: Role, name: r}, subjects: [{kind: ServiceAccount, name: s, namespace: n}]}
---
{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {serviceAccountName: s, volumes: [{name: v, hostPath: {path: /var/log}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /l}]}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p, namespace: n}, spec: {serviceAccountName: s, volumes: [{name: v, hostPath: {path: /var/log}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /l}]}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-network",
            title: "reads and changes the traffic of its machine",
            catalogue: &["CE_NET_MITM"],
            why: "On the machine's own network, NET_ADMIN or NET_RAW is enough to answer in the place of others.",
            references: &["https://kubehound.io/reference/attacks/", STANDARDS],
        },
        derive: network,
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {hostNetwork: true, containers: [{name: c, image: i, securityContext: {capabilities: {add: [NET_ADMIN]}}}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {containers: [{name: c, image: i, securityContext: {capabilities: {add: [NET_ADMIN]}}}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-host-write",
            title: "writes what its machine runs or trusts",
            catalogue: &["EXPLOIT_HOST_WRITE"],
            why: "A file in /etc, /root or the kubelet's folders is run or trusted by the machine.",
            references: &["https://kubehound.io/reference/attacks/EXPLOIT_HOST_WRITE/"],
        },
        derive: |deriver| {
            const TRUSTED: &[&str] = &[
                "/etc/cron.d", "/etc/kubernetes/manifests", "/root/.ssh", "/home", "/usr/bin", "/usr/local/bin", "/bin", "/lib",
                "/opt/cni/bin", "/etc/systemd/system", "/var/lib/kubelet", "/proc/sys", "/var/spool/cron", "/dev",
            ];
            each_escape(deriver, |_, container| each_alone(mounts(container, TRUSTED, Access::Write)));
        },
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, hostPath: {path: /}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /h}]}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, hostPath: {path: /srv/data}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /h}]}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-host-read",
            title: "reads the keys of its machine",
            catalogue: &["EXPLOIT_HOST_READ", "VOLUME_DISCOVER"],
            why: "The machine's private keys, kubelet credentials and cluster certificates are files.",
            references: &["https://kubehound.io/reference/attacks/EXPLOIT_HOST_READ/"],
        },
        derive: host_read,
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, hostPath: {path: /root/.ssh}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /h, readOnly: true}]}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, hostPath: {path: /srv/data}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /h, readOnly: true}]}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-host-traverse",
            title: "reads the volumes of all pods on its machine",
            catalogue: &["EXPLOIT_HOST_TRAVERSE"],
            why: "The kubelet keeps the tokens and secrets of the machine's pods below /var/lib/kubelet/pods.",
            references: &["https://kubehound.io/reference/attacks/EXPLOIT_HOST_TRAVERSE/"],
        },
        derive: traverse,
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, hostPath: {path: /var/lib/kubelet/pods}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /h, readOnly: true}]}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, hostPath: {path: /var/lib/data}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /h, readOnly: true}]}]}}",
    },
    Kind {
        page: Page {
            id: "k8s-runtime-socket",
            title: "tells the machine's container runtime what to run",
            catalogue: &["EXPLOIT_CONTAINERD_SOCK"],
            why: "Whoever speaks to the runtime's socket starts a privileged container beside the kubelet's.",
            references: &["https://kubehound.io/reference/attacks/EXPLOIT_CONTAINERD_SOCK/"],
        },
        derive: |deriver| {
            const SOCKETS: &[&str] = &[
                "/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock", "/var/run/docker.sock",
                "/run/docker.sock", "/var/run/crio/crio.sock", "/run/crio/crio.sock", "/run/k3s/containerd/containerd.sock",
            ];
            each_escape(deriver, |_, container| each_alone(mounts(container, SOCKETS, Access::Read)));
        },
        example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, hostPath: {path: /run/containerd/containerd.sock}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /s}]}]}}",
        counter_example: "{kind: Pod, apiVersion: v1, metadata: {name: p}, spec: {volumes: [{name: v, emptyDir: {}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /run/containerd/containerd.sock}]}]}}",
    },
];

/// What a pod says, with its line.
type Said = (String, u32);

/// A step to the machine for each container for which all that is needed is said.
fn escapes(deriver: &mut Deriver<'_>, needs: impl Fn(&Pod, &Container) -> Option<Vec<Said>>) {
    each_escape(deriver, |pod, container| needs(pod, container).into_iter().collect());
}

/// The same for each of several ways: whoever takes one away has left the others.
fn each_escape(deriver: &mut Deriver<'_>, ways: impl Fn(&Pod, &Container) -> Vec<Vec<Said>>) {
    for (pod, container, node) in deriver.containers.clone() {
        for said in ways(pod, container) {
            let grounds = grounds(deriver, pod, said);
            let (machine, _) = deriver.machine_of(pod);
            deriver.push(node, machine, grounds);
        }
    }
}

fn each_alone(said: Vec<Said>) -> Vec<Vec<Said>> {
    said.into_iter().map(|one| vec![one]).collect()
}

fn grounds(deriver: &mut Deriver<'_>, pod: &Pod, said: Vec<Said>) -> Vec<Arc<Ground>> {
    said.into_iter().map(|(part, line)| deriver.pod_setting(pod, part, line)).collect()
}

fn privileged(container: &Container) -> Option<Said> {
    container.privileged.map(|line| (format!("container {} is privileged", container.name), line))
}

fn capability(container: &Container, name: &str) -> Option<Said> {
    let line = container.capabilities.get(name).or_else(|| container.capabilities.get("ALL"))?;
    Some((format!("container {} has the capability {name}", container.name), *line))
}

fn share(pod: &Pod, share: Share, name: &str) -> Option<Said> {
    pod.shares.get(&share).map(|line| (name.to_owned(), *line))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn mount(container: &Container, path: &str, access: Access) -> Option<Said> {
    mounts(container, &[path], access).into_iter().next()
}

/// Every mount that shows one of some paths.
fn mounts(container: &Container, paths: &[&str], access: Access) -> Vec<Said> {
    let shows = |mount: &Mount| paths.iter().any(|path| mount.covers(path) || within(&mount.host, path));
    let fits = |mount: &&Mount| shows(mount) && (access == Access::Read || !mount.read_only);
    let said = |mount: &Mount| {
        let how = if mount.read_only { "reads" } else { "writes" };
        (format!("container {} {how} {} of the machine", container.name, mount.host), mount.line)
    };
    container.mounts.iter().filter(fits).map(said).collect()
}

/// Whether a mounted path lies below a path that matters.
fn within(host: &str, path: &str) -> bool {
    Mount { host: path.to_owned(), ..Mount::default() }.covers(host.trim_end_matches('/'))
}

fn network(deriver: &mut Deriver<'_>) {
    for (pod, container, node) in deriver.containers.clone() {
        let Some(host) = share(pod, Share::HostNetwork, "hostNetwork") else { continue };
        let able = [capability(container, "NET_ADMIN"), capability(container, "NET_RAW"), privileged(container)];
        for able in able.into_iter().flatten() {
            let grounds = grounds(deriver, pod, vec![host.clone(), able]);
            let (machine, _) = deriver.machine_of(pod);
            let traffic = deriver.part_of(machine, "traffic");
            if !deriver.is_reached(traffic) {
                deriver.push_possible((traffic, machine), Vec::new(), "credentials pass over the network in clear");
            }
            deriver.push(node, traffic, grounds);
        }
    }
}

fn var_log(deriver: &mut Deriver<'_>) {
    for (pod, container, node) in deriver.containers.clone() {
        let said = mounts(container, &["/var/log"], Access::Write);
        let account = Subject::ServiceAccount(pod.meta.namespace.clone(), pod.account.clone());
        let place = Some(pod.meta.namespace.as_str());
        let reads = [Request::core("get", "pods/log", place), Request::core("get", "nodes/log", None)];
        let Some(ground) = reads.iter().find_map(|request| deriver.allowed(&account, request)) else { continue };
        for said in said {
            let mut grounds = grounds(deriver, pod, vec![said]);
            grounds.push(ground.clone());
            let (machine, _) = deriver.machine_of(pod);
            deriver.push(node, machine, grounds);
        }
    }
}

fn host_read(deriver: &mut Deriver<'_>) {
    const CERTAIN: &[&str] = &["/etc/kubernetes/pki", "/var/lib/kubelet/pki", "/var/lib/etcd"];
    const LIKELY: &[&str] = &["/root/.ssh", "/home", "/etc/shadow", "/root/.kube", "/proc"];
    for (pod, container, node) in deriver.containers.clone() {
        let (machine, _) = deriver.machine_of(pod);
        let certain = mounts(container, CERTAIN, Access::Read);
        for said in mounts(container, LIKELY, Access::Read).into_iter().filter(|one| !certain.contains(one)) {
            let keys = deriver.part_of(machine, "private files");
            if !deriver.is_reached(keys) {
                deriver.push_possible(
                    (keys, machine),
                    Vec::new(),
                    "a key or password that opens the machine lies there",
                );
            }
            let grounds = grounds(deriver, pod, vec![said]);
            deriver.push(node, keys, grounds);
        }
        for said in certain {
            let grounds = grounds(deriver, pod, vec![said]);
            deriver.push(node, machine, grounds);
        }
    }
}

fn traverse(deriver: &mut Deriver<'_>) {
    for (pod, container, node) in deriver.containers.clone() {
        let said = mounts(container, &["/var/lib/kubelet/pods"], Access::Read);
        if said.is_empty() {
            continue;
        }
        let (machine, known) = deriver.machine_of(pod);
        let volumes = deriver.part_of(machine, "volumes of the pods");
        for said in said {
            let grounds = grounds(deriver, pod, vec![said]);
            deriver.push(node, volumes, grounds);
        }
        for (other, _, _) in deriver.containers.clone() {
            let to = deriver.subject(&Subject::ServiceAccount(other.meta.namespace.clone(), other.account.clone()));
            let (there, sure) = deriver.machine_of(other);
            if known && sure && there == machine {
                deriver.push(volumes, to, Vec::new());
            } else if !known || !sure {
                deriver.push_possible((volumes, to), Vec::new(), "both pods run on the same machine");
            }
        }
    }
}

//! The rule `container-breaks-out`.

use super::assess::{factor, server_factors, with};
use super::{Match, Rule, start};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::EntityKind;

pub(super) const RULE: Rule = Rule {
    id: "container-breaks-out",
    title: "A server's container is no boundary",
    why: "It runs privileged, has the container engine's socket, a root of the host or the host's processes: code in it has \
          the machine, and the container only looks like a limit.",
    fix: "Take the flag away. A server needs at most one folder of its own, read-only where that is enough.",
    cites: &[Cite::Llm("LLM06"), Cite::Agentic("ASI05"), Cite::Maestro("L4"), Cite::Nist("AC-6"), Cite::Nist("SC-39")],
    fires: "agent claude uses lab scope=user\nserver lab command=docker args=[\"run\",\"-i\",\"--rm\",\"-v\",\"/var/run/docker.sock:/var/run/docker.sock\",\"lab-mcp\"]",
    silent: "agent claude uses lab scope=user\nserver lab command=docker args=[\"run\",\"-i\",\"--rm\",\"-v\",\"/srv/lab:/data:ro\",\"lab-mcp\"]",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    graph.of_kind(EntityKind::Server).filter_map(|(at, server)| matched(graph, at, server)).collect()
}

/// What in the arguments opens the container, as a clause.
fn opening(server: &Entity) -> Option<String> {
    let command = server.text("command")?.rsplit(['/', '\\']).next()?;
    if !matches!(command, "docker" | "podman" | "nerdctl" | "docker.exe") {
        return None;
    }
    let args: Vec<&str> = server.list("args").collect();
    let value = |at: usize, flag: &str| {
        args.get(at).and_then(|arg| arg.strip_prefix(flag)?.strip_prefix('=')).or_else(|| args.get(at + 1).copied())
    };
    (0..args.len()).find_map(|at| {
        let arg = *args.get(at)?;
        let flag = arg.split('=').next()?;
        match flag {
            "--privileged" => Some("runs privileged".to_owned()),
            "--pid" | "--ipc" | "--userns" if value(at, flag) == Some("host") => {
                Some(format!("shares the host's {}", flag.trim_start_matches('-')))
            }
            "--cap-add" => value(at, flag)
                .filter(|cap| ["ALL", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE"].contains(cap))
                .map(|cap| format!("has the capability {cap}")),
            "-v" | "--volume" | "--mount" => value(at, flag).and_then(mounted),
            _ => None,
        }
    })
}

fn mounted(spec: &str) -> Option<String> {
    let part = |name: &str| spec.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let source = part("source").or_else(|| part("src")).unwrap_or_else(|| spec.split(':').next().unwrap_or_default());
    if source.ends_with("docker.sock") || source.ends_with("containerd.sock") || source.ends_with("podman.sock") {
        return Some("has the container engine's socket".to_owned());
    }
    ["/", "/etc", "/proc", "/sys", "/root", "/var", "/dev"]
        .contains(&source)
        .then(|| format!("mounts the host's `{source}`"))
}

fn matched(graph: &Graph, at: u32, server: &Entity) -> Option<Match> {
    let opening = opening(server)?;
    let privilege = factor(FactorName::Privilege, 1.0, format!("its container {opening}"));
    Some(Match {
        subject: server.id.clone(),
        part: String::new(),
        message: format!("the container of server `{}` {opening}: code in it has the machine", server.name),
        factors: with(server_factors(graph, at, server), privilege),
        path: vec![start(graph, at)?.noted(format!("its container {opening}"))],
        choke_point: None,
        fix: "take that flag away; a server needs at most one folder of its own".to_owned(),
    })
}

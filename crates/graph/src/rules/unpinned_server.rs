//! The rule `unpinned-server`.

use super::assess::{factor, server_factors, with};
use super::{Match, Rule, start, step};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "unpinned-server",
    title: "A server runs whatever its registry serves today",
    why: "A server started by `npx -y`, `uvx`, `@latest`, `:latest` or without a version takes the newest \
          release at every start. Whoever takes over the package, or its maintainer's account, runs code with \
          the user's rights and the server's credentials on the next start.",
    fix: "Name an exact version; for an image, its digest. Take a new one on purpose, after looking at it.",
    cites: &[
        Cite::Llm("LLM03"),
        Cite::Agentic("ASI04"),
        Cite::Mcp("MCP04"),
        Cite::Maestro("L7"),
        Cite::Nist("CM-2"),
        Cite::Nist("SR-3"),
        Cite::Atlas("T0109"),
    ],
    fires: "agent claude uses notes transport=stdio scope=user command=npx\nnotes runs notes-server ecosystem=npm pinned=false",
    silent: "agent claude uses notes transport=stdio scope=user command=npx\nnotes runs notes-server ecosystem=npm version=1.4.2 pinned=true",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let servers = graph.of_kind(EntityKind::Server);
    servers
        .flat_map(|(at, server)| {
            let packages =
                graph.targets(at, RelationKind::Runs).filter(|(_, package)| package.flag("pinned") == Some(false));
            packages.filter_map(move |(package_at, package)| matched(graph, (at, server), (package_at, package)))
        })
        .collect()
}

fn matched(graph: &Graph, (at, server): (u32, &Entity), (package_at, package): (u32, &Entity)) -> Option<Match> {
    let asked = match package.text("version") {
        Some(version) => format!("`{}` at `{version}`", package.name),
        None => format!("`{}` without a version", package.name),
    };
    let reach = factor(FactorName::Reach, 0.4, "only who can publish the package, but every start of it");
    let trust = factor(FactorName::InputTrust, 0.5, "the registry's content changes without anyone here looking");
    let factors = with(with(server_factors(graph, at, server), reach), trust);
    Some(Match {
        subject: server.id.clone(),
        part: package.id.key.clone(),
        message: format!("server `{}` runs {asked}: what it does can change at its next start", server.name),
        factors,
        path: vec![start(graph, at)?, step(graph, at, RelationKind::Runs, package_at)?],
        choke_point: None,
        fix: fix(package),
    })
}

fn fix(package: &Entity) -> String {
    let name = package.name.as_str();
    match package.text("ecosystem") {
        Some("npm") => format!("write `{name}@X.Y.Z`, the exact version that you have looked at"),
        Some("pypi") => format!("write `{name}==X.Y.Z`, the exact version that you have looked at"),
        Some("oci" | "docker") => format!("write `{name}@sha256:…`, the digest of the image that you have looked at"),
        _ => format!("name the exact version of `{name}` that you have looked at"),
    }
}

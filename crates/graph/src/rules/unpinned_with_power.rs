//! The rule `unpinned-with-power`.

use super::assess::{factor, server_factors, with};
use super::{Match, Rule, start, step};
use crate::behaviour::{self, Behaviour};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "unpinned-with-power",
    title: "What may change at any start runs commands or holds a secret",
    why: "The next version is whatever its publisher, or who took their account, makes it; it starts with the user's rights, \
          and here it also has a shell or a key. A rug pull needs nothing more.",
    fix: "Pin the version that you looked at, and take the secret or the shell from it.",
    cites: &[
        Cite::Llm("LLM03"),
        Cite::Agentic("ASI04"),
        Cite::Mcp("MCP04"),
        Cite::Maestro("L7"),
        Cite::Nist("CM-14"),
        Cite::Nist("SR-11"),
        Cite::Nist("SI-7"),
        Cite::Atlas("T0109"),
        Cite::Atlas("T0110"),
    ],
    fires: "agent claude uses deploy scope=user\nserver deploy runs deploy-mcp\npackage deploy-mcp pinned=false\ndeploy holds k3y via.name=TOKEN",
    silent: "agent claude uses deploy scope=user\nserver deploy runs deploy-mcp\npackage deploy-mcp pinned=true\ndeploy holds k3y via.name=TOKEN",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    graph
        .of_kind(EntityKind::Server)
        .filter(|(_, server)| behaviour::enabled(server))
        .filter_map(|(at, server)| matched(graph, at, server))
        .collect()
}

fn matched(graph: &Graph, at: u32, server: &Entity) -> Option<Match> {
    let (package_at, package) =
        graph.targets(at, RelationKind::Runs).find(|(_, package)| package.flag("pinned") == Some(false))?;
    let secret =
        graph.outgoing(at).iter().find(|relation| matches!(relation.kind, RelationKind::Holds | RelationKind::ActsAs));
    let shell = behaviour::of_server(graph, at).into_iter().find(|placed| placed.sign.behaviour == Behaviour::Executes);
    let (power, last) = match (secret, shell) {
        (Some(held), _) => (format!("holds `{}`", graph.entity(held.to)?.name), step(graph, at, held.kind, held.to)?),
        (None, Some(placed)) => {
            let shown = step(graph, at, placed.kind, placed.at)?.noted(placed.sign.because);
            ("runs commands".to_owned(), shown)
        }
        (None, None) => return None,
    };
    Some(Match {
        subject: server.id.clone(),
        part: String::new(),
        message: format!("server `{}` runs whatever `{}` is at its next start, and {power}", server.name, package.name),
        factors: with(server_factors(graph, at, server), factor(FactorName::Sensitivity, 0.9, power)),
        path: vec![
            start(graph, at)?,
            step(graph, at, RelationKind::Runs, package_at)?.noted("in whatever version there is"),
            last,
        ],
        choke_point: Some(package.id.clone()),
        fix: format!("pin `{}` to the version that you looked at", package.name),
    })
}

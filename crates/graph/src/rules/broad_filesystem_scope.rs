//! The rule `broad-filesystem-scope`.

use super::assess::{called_factors, factor, is_wide, with};
use super::{Match, Rule, start, step};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "broad-filesystem-scope",
    title: "A server may touch a whole home or file system",
    why: "A home holds keys, browser profiles, mail and the agents' own configuration. One instruction hidden in \
          a page or file that the agent reads is enough to have them read, or to have the agent rewrite its own \
          limits.",
    fix: "Give the server the one project folder that it is for.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Llm("LLM02"),
        Cite::Agentic("ASI02"),
        Cite::Mcp("MCP02"),
        Cite::Maestro("L3"),
        Cite::Nist("AC-6"),
        Cite::Nist("CM-7"),
        Cite::Atlas("T0053"),
    ],
    fires: "agent claude uses files transport=stdio scope=user\nfiles reaches /home/sam breadth=home",
    silent: "agent claude uses files transport=stdio scope=user\nfiles reaches /home/sam/work/site breadth=folder",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let servers = graph.of_kind(EntityKind::Server);
    servers
        .flat_map(|(at, server)| {
            let wide = graph.targets(at, RelationKind::Reaches).filter(|(_, path)| is_wide(path));
            wide.filter_map(move |(to, path)| matched(graph, (at, server), (to, path)))
        })
        .collect()
}

fn matched(graph: &Graph, (at, server): (u32, &Entity), (to, path): (u32, &Entity)) -> Option<Match> {
    let (value, what) = match path.text("breadth") {
        Some("root") => (1.0, "the whole file system"),
        _ => (0.9, "a whole home"),
    };
    let sensitivity = factor(FactorName::Sensitivity, value, format!("`{}` is {what}", path.name));
    Some(Match {
        subject: server.id.clone(),
        part: path.id.key.clone(),
        message: format!("server `{}` may touch {what}: `{}`", server.name, path.name),
        factors: with(called_factors(graph, at, server), sensitivity),
        path: vec![start(graph, at)?, step(graph, at, RelationKind::Reaches, to)?],
        choke_point: None,
        fix: format!("replace `{}` by the one project folder that `{}` is for", path.name, server.name),
    })
}

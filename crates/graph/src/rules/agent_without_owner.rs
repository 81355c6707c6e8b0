//! The rule `agent-without-owner`.

use super::assess::{factor, input_trust_of_agent, privilege_of_agent, reach_of_config};
use super::{Match, Rule, start};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "agent-without-owner",
    title: "Nobody is named as the agent's owner",
    why: "An agent without an owner keeps its access when the people who set it up have gone, and nobody answers \
          for what it does or can say whether it still should.",
    fix: "Name the owner in a `mandate.toml` beside the agent's configuration: `bailiwick mandate init` writes one.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI10"),
        Cite::Mcp("MCP09"),
        Cite::Maestro("L6"),
        Cite::Nist("CM-8"),
        Cite::Nist("PS-4"),
    ],
    fires: "agent claude client=claude-code scope=user",
    silent: "agent claude client=claude-code scope=user\nperson sam@example.com owns claude",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let agents = graph.of_kind(EntityKind::Agent);
    let alone = agents.filter(|(at, _)| graph.sources(*at, RelationKind::Owns).next().is_none());
    alone.filter_map(|(at, agent)| matched(graph, at, agent)).collect()
}

fn matched(graph: &Graph, at: u32, agent: &Entity) -> Option<Match> {
    Some(Match {
        subject: agent.id.clone(),
        part: String::new(),
        message: format!("nobody is named as the owner of agent `{}`", agent.name),
        factors: vec![
            reach_of_config(agent),
            privilege_of_agent(graph, at),
            factor(FactorName::Sensitivity, 0.2, "by itself it opens nothing; it hides who should have closed it"),
            input_trust_of_agent(graph, at),
        ],
        path: vec![start(graph, at)?],
        choke_point: None,
        fix: "name the owner: `bailiwick mandate init` writes the `mandate.toml` to fill in".to_owned(),
    })
}

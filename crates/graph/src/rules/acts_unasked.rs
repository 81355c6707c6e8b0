//! The rule `acts-unasked`.

use serde_json::Value;

use super::assess::{control_of_all, factor, guarded, input_trust_of_agent, reach_of_config};
use super::{Match, Rule, start, step};
use crate::behaviour::{Behaviour, of_agent};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "acts-unasked",
    title: "An agent runs, deletes or pays without asking anybody",
    why: "The question to a person is what stands between a text that the agent read and an act that cannot be taken \
          back. Here the configuration has switched it off.",
    fix: "Let the client ask again for what runs, deletes or pays, or put the agent behind the gateway and let its \
          policy ask.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI02"),
        Cite::Agentic("ASI09"),
        Cite::Mcp("MCP05"),
        Cite::Maestro("L3"),
        Cite::Maestro("L6"),
        Cite::Nist("AC-3(2)"),
        Cite::Nist("CM-5"),
        Cite::Atlas("T0101"),
    ],
    fires: "agent claude scope=project permissions={\"default_mode\":\"bypassPermissions\"}\nclaude offers Bash description=\"Runs a shell command.\"",
    silent: "agent claude scope=project permissions={\"default_mode\":\"default\",\"allow\":[\"Bash(npm test)\"]}\nclaude offers Bash description=\"Runs a shell command.\"",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    graph.of_kind(EntityKind::Agent).filter_map(|(at, agent)| matched(graph, at, agent)).collect()
}

/// What the configuration says that lets the agent act without a question, if it does.
pub(super) fn licence(agent: &Entity) -> Option<String> {
    let permissions = agent.props.get("permissions")?;
    let mode = permissions.get("default_mode").and_then(Value::as_str);
    if let Some(mode @ ("bypassPermissions" | "dontAsk")) = mode {
        return Some(format!("its mode is `{mode}`"));
    }
    let allowed = permissions.get("allow").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut whole = allowed.filter(|entry| matches!(*entry, "*" | "Bash" | "Bash(*)" | "Bash(:*)" | "Bash(*:*)"));
    whole.next().map(|entry| format!("`{entry}` is allowed without a question"))
}

fn matched(graph: &Graph, at: u32, agent: &Entity) -> Option<Match> {
    let licence = licence(agent)?;
    let grave = [Behaviour::Executes, Behaviour::Pays, Behaviour::Destroys];
    let all = of_agent(graph, at);
    let act = all
        .iter()
        .filter(|placed| grave.contains(&placed.sign.behaviour))
        .min_by_key(|placed| (guarded(graph, at, placed), placed.sign.behaviour))?;
    let tool = graph.entity(act.at)?;
    let mut path = vec![start(graph, at)?.noted(licence.clone())];
    if let Some(server) = act.server {
        path.push(step(graph, at, RelationKind::Uses, server)?);
    }
    path.push(step(graph, act.server.unwrap_or(at), act.kind, act.at)?.noted(act.sign.behaviour.as_str()));
    Some(Match {
        subject: agent.id.clone(),
        part: String::new(),
        message: format!(
            "agent `{}` has `{}`, which {}, and asks nobody: {licence}",
            agent.name,
            tool.name,
            act.sign.behaviour.as_str()
        ),
        factors: [
            reach_of_config(agent),
            factor(FactorName::Privilege, 1.0, format!("`{}` {}", tool.name, act.sign.behaviour.as_str())),
            factor(FactorName::Sensitivity, 0.8, "what it does cannot be taken back"),
            input_trust_of_agent(graph, at),
        ]
        .into_iter()
        .chain(control_of_all(graph, [(at, act)]))
        .collect(),
        path,
        choke_point: Some(tool.id.clone()),
        fix: "let the client ask again for this tool, or put the agent behind the gateway and let its policy ask"
            .to_owned(),
    })
}

//! The rule `identity-shared`.

use std::collections::BTreeSet;

use super::assess::factor;
use super::{Match, Rule, few, start};
use crate::finding::{FactorName, Step};
use crate::frameworks::Cite;
use crate::model::{Entity, Graph, Relation};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "identity-shared",
    title: "Several agents act as one identity",
    why: "What one of them did cannot be told from what another did, none can be stopped alone, and each has what any needs.",
    fix: "Give each agent an identity of its own with only what it needs.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Maestro("L6"),
        Cite::Nist("IA-4"),
        Cite::Nist("IA-9"),
        Cite::Atlas("T0012"),
    ],
    fires: "agent claude client=claude-code uses a\nagent cursor client=cursor uses b\na holds k3y\nb holds k3y",
    silent: "agent claude client=claude-code uses a\nagent cursor client=cursor uses b\na holds k3y\nb holds 0ther",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let held = graph.of_kind(EntityKind::Credential).map(|found| (found, RelationKind::Holds));
    let acted = graph.of_kind(EntityKind::Identity).map(|found| (found, RelationKind::ActsAs));
    held.chain(acted).filter_map(|((at, entity), kind)| matched(graph, (at, entity), kind)).collect()
}

/// The agents that hold it themselves or by a server.
fn agents(graph: &Graph, relation: &Relation) -> Vec<u32> {
    match graph.entity(relation.from).map(|entity| entity.id.kind) {
        Some(EntityKind::Agent) => vec![relation.from],
        Some(EntityKind::Server) => graph.sources(relation.from, RelationKind::Uses).map(|(agent, _)| agent).collect(),
        _ => Vec::new(),
    }
}

fn matched(graph: &Graph, (at, entity): (u32, &Entity), kind: RelationKind) -> Option<Match> {
    let held: Vec<(u32, &Relation)> = graph
        .incoming(at)
        .filter(|relation| relation.kind == kind)
        .flat_map(|relation| agents(graph, relation).into_iter().map(move |agent| (agent, relation)))
        .collect();
    let names: BTreeSet<u32> = held.iter().map(|(agent, _)| *agent).collect();
    if names.len() < 2 {
        return None;
    }
    let named: Vec<String> = names.iter().filter_map(|agent| graph.entity(*agent)).map(place_of).collect();
    let mut path: Vec<Step> = vec![start(graph, at)?.noted("one identity for all of them")];
    path.extend(held.iter().filter_map(|(agent, relation)| {
        let agent = graph.entity(*agent)?;
        let note = Some("acts with it".to_owned());
        Some(Step {
            entity: agent.id.clone(),
            name: agent.name.clone(),
            via: None,
            note,
            evidence: relation.evidence.clone(),
        })
    }));
    let what = if kind == RelationKind::Holds { "one secret" } else { "one identity" };
    let many = f64::from(u32::try_from(names.len()).unwrap_or(u32::MAX));
    Some(Match {
        subject: entity.id.clone(),
        part: String::new(),
        message: format!("{} agents act with {what}, `{}`: {}", names.len(), entity.name, few(&named, 3)),
        factors: vec![
            factor(FactorName::Reach, 1.0 - 1.0 / many, format!("{} agents", names.len())),
            factor(FactorName::Privilege, 0.6, "each has what any of them needs"),
            factor(FactorName::Sensitivity, 0.6, "what was done cannot be told apart"),
            factor(FactorName::InputTrust, 0.7, "the weakest of them decides"),
        ],
        path,
        choke_point: Some(entity.id.clone()),
        fix: "give each of these agents an identity of its own, then rotate this one".to_owned(),
    })
}

fn place_of(agent: &Entity) -> String {
    match agent.text("config") {
        Some(config) => format!("`{}` ({config})", agent.name),
        None => format!("`{}`", agent.name),
    }
}

//! The rule `shared-cascade`.

use std::collections::BTreeSet;

use super::assess::{factor, input_trust_of_agent};
use super::{Match, Rule, few, start, step};
use crate::finding::{FactorName, Step};
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "shared-cascade",
    title: "Many agents hang on one server or package",
    why: "When it fails they all fail, and whoever takes it over has all of them at once.",
    fix: "Pin what they run, know who runs what they call, and have a second for what must not stop.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Llm("LLM10"),
        Cite::Agentic("ASI08"),
        Cite::Maestro("X"),
        Cite::Maestro("L7"),
        Cite::Nist("CP-2"),
        Cite::Nist("SC-5"),
    ],
    fires: "agent a uses a-mail; agent b uses b-mail; agent c uses c-mail\na-mail connects https://mail.example\nb-mail connects https://mail.example\nc-mail connects https://mail.example",
    silent: "agent a uses a-mail; agent b uses b-mail\na-mail connects https://mail.example\nb-mail connects https://mail.example",
    check,
};

/// So many agents make a cascade.
const AGENTS_MIN: usize = 3;

fn check(graph: &Graph) -> Vec<Match> {
    let packages = graph.of_kind(EntityKind::Package).filter(|(_, package)| package.flag("pinned") != Some(true));
    let endpoints = graph.of_kind(EntityKind::Endpoint).filter(|(_, endpoint)| endpoint.flag("loopback") != Some(true));
    let shared =
        packages.map(|found| (found, RelationKind::Runs)).chain(endpoints.map(|found| (found, RelationKind::Connects)));
    shared.filter_map(|((at, entity), kind)| matched(graph, (at, entity), kind)).collect()
}

fn matched(graph: &Graph, (at, entity): (u32, &Entity), kind: RelationKind) -> Option<Match> {
    let servers: Vec<u32> = graph
        .sources(at, kind)
        .filter(|(_, from)| from.id.kind == EntityKind::Server)
        .map(|(server, _)| server)
        .collect();
    let agents: BTreeSet<(u32, u32)> = servers
        .iter()
        .flat_map(|server| graph.sources(*server, RelationKind::Uses).map(|(agent, _)| (agent, *server)))
        .collect();
    let names: BTreeSet<u32> = agents.iter().map(|(agent, _)| *agent).collect();
    if names.len() < AGENTS_MIN {
        return None;
    }
    let named: Vec<String> =
        names.iter().filter_map(|agent| graph.entity(*agent)).map(|agent| format!("`{}`", agent.name)).collect();
    let trust =
        names.iter().map(|agent| input_trust_of_agent(graph, *agent)).max_by(|a, b| a.value.total_cmp(&b.value))?;
    let mut path: Vec<Step> = vec![start(graph, at)?.noted("one for all of them")];
    path.extend(agents.iter().filter_map(|(agent, server)| step(graph, *agent, RelationKind::Uses, *server)));
    let many = f64::from(u32::try_from(names.len()).unwrap_or(u32::MAX));
    Some(Match {
        subject: entity.id.clone(),
        part: String::new(),
        message: format!("{} agents hang on `{}`: {}", names.len(), entity.name, few(&named, 3)),
        factors: vec![
            factor(FactorName::Reach, 1.0 - 1.0 / many, format!("{} agents", names.len())),
            factor(FactorName::Privilege, 0.6, "it decides what it answers them"),
            factor(FactorName::Sensitivity, 0.5, "their work stops, or follows it"),
            trust,
        ],
        path,
        choke_point: Some(entity.id.clone()),
        fix: format!("pin `{}` or know who runs it, and have a second for what must not stop", entity.name),
    })
}

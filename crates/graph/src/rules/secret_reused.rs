//! The rule `secret-reused`.

use std::collections::BTreeSet;

use super::assess::{factor, input_trust_of_server};
use super::{Match, Rule, start};
use crate::finding::{FactorName, Step};
use crate::frameworks::Cite;
use crate::model::{Entity, Graph, Relation};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "secret-reused",
    title: "The same secret is used in several places",
    why: "Whoever gets it from the weakest place has all the others, a leak cannot be traced to one of them, and \
          it cannot be rotated in one without breaking the rest.",
    fix: "Issue one credential for each agent and server, with only the rights that one needs.",
    cites: &[
        Cite::Llm("LLM02"),
        Cite::Agentic("ASI03"),
        Cite::Mcp("MCP01"),
        Cite::Maestro("L4"),
        Cite::Nist("IA-5"),
        Cite::Nist("SC-12"),
        Cite::Atlas("T0083"),
        Cite::Atlas("T0098"),
    ],
    fires: "agent claude uses tracker scope=user\nclaude uses wiki\ntracker holds a1b2c3 via.name=TRACKER_TOKEN\nwiki holds a1b2c3 via.name=WIKI_KEY",
    silent: "agent claude uses tracker scope=user\nclaude uses wiki\ntracker holds a1b2c3 via.name=API_KEY\nwiki holds d4e5f6 via.name=API_KEY",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let credentials = graph.of_kind(EntityKind::Credential);
    credentials.filter_map(|(at, credential)| matched(graph, at, credential)).collect()
}

fn matched(graph: &Graph, at: u32, credential: &Entity) -> Option<Match> {
    let holds: Vec<&Relation> = graph.incoming(at).filter(|relation| relation.kind == RelationKind::Holds).collect();
    if holds.len() < 2 {
        return None;
    }
    let names: BTreeSet<String> = holds.iter().filter_map(|held| full_name(graph, held.from)).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let trust = holds.iter().map(|held| input_trust_of_server(graph, held.from));
    let trust = trust.max_by(|a, b| a.value.total_cmp(&b.value))?;
    let reach = 1.0 - 1.0 / f64::from(u32::try_from(holds.len()).unwrap_or(u32::MAX));
    let mut path = vec![start(graph, at)?.noted("one value, known by its salted digest")];
    path.extend(holds.iter().filter_map(|held| holder(graph, held)));
    Some(Match {
        subject: credential.id.clone(),
        part: String::new(),
        message: format!("one secret is used in {} places: {names}", holds.len()),
        factors: vec![
            factor(FactorName::Reach, reach, format!("{} places hold it", holds.len())),
            factor(FactorName::Privilege, 0.5, "it opens what each of them needs, to all of them"),
            factor(FactorName::Sensitivity, 0.7, "a credential"),
            trust,
        ],
        path,
        choke_point: Some(credential.id.clone()),
        fix: format!("issue one credential for each of {names}; then rotate this one"),
    })
}

fn holder(graph: &Graph, held: &Relation) -> Option<Step> {
    let holder = graph.entity(held.from)?;
    Some(Step {
        entity: holder.id.clone(),
        name: holder.name.clone(),
        via: None,
        note: Some(
            held.text("name")
                .filter(|name| !name.is_empty())
                .map_or("holds it".to_owned(), |name| format!("holds it as `{name}`")),
        ),
        evidence: held.evidence.clone(),
    })
}

/// A server with the agent that uses it: two agents often call theirs the same.
fn full_name(graph: &Graph, at: u32) -> Option<String> {
    let name = &graph.entity(at)?.name;
    match graph.sources(at, RelationKind::Uses).next() {
        Some((_, agent)) => Some(format!("`{name}` of `{}`", agent.name)),
        None => Some(format!("`{name}`")),
    }
}

//! The rule `outsiders-reach-data`.

use super::assess::{factor, reach_of_config};
use super::by_path::{links, named, steps};
use super::{Match, Rule, few};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::Graph;
use crate::observation::EntityKind;
use crate::paths::{Goal, Model, Path, Place};

pub(super) const RULE: Rule = Rule {
    id: "outsiders-reach-data",
    title: "What outsiders write leads through an agent and an identity to data",
    why: "A page, mail or issue that an agent reads is an instruction away from the identity that its server acts as, and \
          that identity reads stores of data. No bug is needed on the way.",
    fix: "Narrow what the identity reads to what the agent is for, or take the source of outsiders' text from the agent.",
    cites: &[
        Cite::Llm("LLM01"),
        Cite::Llm("LLM02"),
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI01"),
        Cite::Agentic("ASI02"),
        Cite::Agentic("ASI03"),
        Cite::Maestro("X"),
        Cite::Nist("AC-4"),
        Cite::Nist("AC-6"),
        Cite::Nist("RA-3"),
        Cite::Atlas("T0051.001"),
        Cite::Atlas("T0053"),
    ],
    fires: "agent claude uses web scope=user\nweb offers fetch_page description=\"Fetches a web page.\"\nclaude uses reports\nreports acts_as reader\nreader reaches store customers",
    silent: "agent claude uses files scope=user\nfiles offers add description=\"Adds two numbers.\"\nclaude uses reports\nreports offers sum description=\"Sums numbers.\"\nreports acts_as reader\nreader reaches store customers",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let goals = Goal::Data.entities(graph);
    if goals.is_empty() {
        return Vec::new();
    }
    let model = Model::new(graph);
    let mut paths = model.pairs(&[Place::Outsiders], &goals);
    paths.sort_by_key(|path| (agent(graph, &model, path), !path.certain, path.steps.len(), path.to));
    let groups = paths.chunk_by(|a, b| agent(graph, &model, a) == agent(graph, &model, b));
    groups.filter_map(|group| matched(graph, &model, group)).collect()
}

/// The agent that is got at first.
fn agent(graph: &Graph, model: &Model<'_>, path: &Path) -> Option<u32> {
    let is_agent = |at: u32| graph.entity(at).is_some_and(|entity| entity.id.kind == EntityKind::Agent);
    links(model, path).map(|link| link.to).find(|at| is_agent(*at))
}

fn matched(graph: &Graph, model: &Model<'_>, group: &[Path]) -> Option<Match> {
    let first = group.first()?;
    let at = agent(graph, model, first)?;
    let entity = graph.entity(at)?;
    let stores: Vec<String> = group.iter().map(|path| format!("`{}`", named(graph, path.to))).collect();
    let can = if first.certain { "can" } else { "may" };
    let value = if first.certain { 0.95 } else { 0.75 };
    Some(Match {
        subject: entity.id.clone(),
        part: String::new(),
        message: format!("whoever writes what `{}` reads {can} get at {}", entity.name, few(&stores, 3)),
        factors: vec![
            reach_of_config(entity),
            factor(FactorName::Privilege, 0.8, "the identity reads what the agent was never meant to"),
            factor(FactorName::Sensitivity, value, format!("{} of data", crate::plural(stores.len(), "store"))),
            factor(FactorName::InputTrust, 1.0, "outsiders write what the agent reads"),
        ],
        path: steps(graph, model, first),
        choke_point: None,
        fix: "narrow what the identity reads; `bailiwick paths --from outsiders --to data` names the grants that end most paths".to_owned(),
    })
}

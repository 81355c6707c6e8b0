//! The rule `agent-uses-consent`.

use super::by_path::{factors, links, named, of_agents, steps};
use super::{Match, Rule, few};
use crate::frameworks::Cite;
use crate::model::Graph;
use crate::observation::EntityKind;
use crate::paths::{Path, Place};

pub(super) const RULE: Rule = Rule {
    id: "agent-uses-consent",
    title: "An agent gets at others' mail, files or directory through consent to its app",
    why: "The app's consent was given to a program; an agent uses it for whoever steers it. What a whole directory \
          consented to, one page that the agent reads can ask for.",
    fix: "Give the agent an app of its own with the scopes that it needs, for the users that it serves.",
    cites: &[
        Cite::Llm("LLM02"),
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Maestro("L7"),
        Cite::Nist("AC-20"),
        Cite::Nist("AC-6(5)"),
        Cite::Atlas("T0091.000"),
    ],
    fires: "agent claude uses office scope=user\noffice offers run_command description=\"Runs a shell command.\"\noffice acts_as helper\nidentity helper reaches store mail via.ways=[{\"kind\":\"oauth-consent\",\"title\":\"uses what was consented to and reads\",\"certain\":true,\"needs\":[]}]",
    silent: "agent claude uses office scope=user\noffice offers run_command description=\"Runs a shell command.\"\nidentity helper reaches store mail via.ways=[{\"kind\":\"oauth-consent\",\"title\":\"uses what was consented to and reads\",\"certain\":true,\"needs\":[]}]",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let stores = graph.of_kind(EntityKind::Store);
    let consented =
        |at: u32| graph.incoming(at).any(|relation| super::handed_on::way_of(relation, "oauth-consent").is_some());
    let goals: Vec<u32> = stores.map(|(at, _)| at).filter(|at| consented(*at)).collect();
    let Some((model, mut paths)) = of_agents(graph, &goals) else { return Vec::new() };
    paths.retain(|path| links(&model, path).next_back().is_some_and(|link| link.kind == "oauth-consent"));
    paths.sort_by_key(|path| (path.from, !path.certain, path.steps.len(), path.to));
    let groups = paths.chunk_by(|a, b| a.from == b.from);
    groups.filter_map(|group| matched(graph, &model, group)).collect()
}

fn matched(graph: &Graph, model: &crate::paths::Model<'_>, group: &[Path]) -> Option<Match> {
    let first = group.first()?;
    let Place::Entity(agent) = first.from else { return None };
    let stores: Vec<String> = group.iter().map(|path| format!("`{}`", named(graph, path.to))).collect();
    let everyone = group.iter().any(|path| named(graph, path.to).ends_with("of everyone"));
    let (sensitivity, what) =
        if everyone { (0.95, "data of everyone in the directory") } else { (0.7, "data of who consented") };
    let can = if first.certain { "can" } else { "may" };
    Some(Match {
        subject: graph.entity(agent)?.id.clone(),
        part: String::new(),
        message: format!("`{}` {can} get at {} through consent to its app", named(graph, agent), few(&stores, 3)),
        factors: factors(graph, agent, first.certain, (sensitivity, what)),
        path: steps(graph, model, first),
        choke_point: None,
        fix: "give the agent an app of its own with the scopes that it needs, or take the consent back".to_owned(),
    })
}

//! The rule `single-choke-point`.

use super::assess::factor;
use super::by_path::step;
use super::{Match, Rule, start};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::Graph;
use crate::observation::RelationKind;
use crate::paths::{Ending, Found, Goal, Link, Model, Place, Start, patch};
use crate::plural;

pub(super) const RULE: Rule = Rule {
    id: "single-choke-point",
    title: "One grant carries many attack paths",
    why: "Many ways from outside to what matters pass the same grant. Taking that one away, or guarding it, ends all of \
          them at once: it is the first thing to do.",
    fix: "Take the grant away or put a policy before it; `bailiwick paths` prints the patch.",
    cites: &[Cite::Llm("LLM06"), Cite::Agentic("ASI08"), Cite::Maestro("X"), Cite::Nist("RA-3"), Cite::Nist("SC-3")],
    fires: "agent claude uses web scope=user\nweb offers fetch_page description=\"Fetches a web page.\" @c.json:2\nclaude uses reports @c.json:3\nreports acts_as reader @c.json:4\nreader reaches store a; reader reaches store b; reader reaches store c\nreader reaches store d; reader reaches store e",
    silent: "agent claude uses web scope=user\nweb offers fetch_page description=\"Fetches a web page.\" @c.json:2\nclaude uses reports @c.json:3\nreports acts_as reader @c.json:4\nreader reaches store a",
    check,
};

/// Fewer paths are no crowd.
const PATHS_MIN: usize = 5;

fn check(graph: &Graph) -> Vec<Match> {
    let goals: Vec<u32> = [Goal::Data, Goal::Administrators].iter().flat_map(|goal| goal.entities(graph)).collect();
    if goals.is_empty() {
        return Vec::new();
    }
    let model = Model::new(graph);
    let found = model.find(&Start::Outside.places(graph), &goals);
    let best = found.chokes.iter().filter(|ending| ending.ends >= PATHS_MIN);
    // Grants that end as many, one after the other on the same ways, are one finding: the first that a policy can hold.
    let top = best.clone().map(|ending| ending.ends).max();
    let mut first = best.filter(|ending| Some(ending.ends) == top);
    let preferred = first.clone().find(|ending| !patch::uses(&model, ending.grant).is_empty());
    preferred.or_else(|| first.next()).and_then(|ending| matched(graph, &model, &found, ending)).into_iter().collect()
}

fn matched(graph: &Graph, model: &Model<'_>, found: &Found, ending: &Ending) -> Option<Match> {
    let grant = model.grants().get(ending.grant)?;
    let links = patch::links_of(model, ending.grant);
    let link: &Link = links
        .iter()
        .copied()
        .find(|link| RelationKind::ALL.iter().any(|kind| kind.as_str() == link.kind))
        .or(links.first().copied())?;
    let from = link.from.iter().find_map(|place| match place {
        Place::Entity(at) => Some(*at),
        Place::Outsiders => None,
    });
    let subject = from.unwrap_or(link.to);
    let path = from.and_then(|at| start(graph, at)).into_iter().chain(step(graph, link)).collect();
    let (ends, total) = (ending.ends, found.paths.len());
    Some(Match {
        subject: graph.entity(subject)?.id.clone(),
        part: grant.place(),
        message: format!(
            "without one grant, at {}, {ends} of {} from outside end",
            grant.place(),
            plural(total, "path")
        ),
        factors: vec![
            factor(FactorName::Reach, 0.9, format!("{ends} of {total} paths pass it")),
            factor(FactorName::Privilege, 0.8, "it leads to what matters"),
            factor(FactorName::Sensitivity, 0.8, format!("it leads to {}", plural(found.goals.len(), "goal"))),
            factor(FactorName::InputTrust, 0.9, "the paths begin outside"),
        ],
        path,
        choke_point: Some(graph.entity(link.to)?.id.clone()),
        fix: "take this grant away or put a policy before it; `bailiwick paths` prints the patch".to_owned(),
    })
}

//! The rule `outsiders-run-workflow`.

use super::assess::factor;
use super::handed_on::{leaving, matched, names, way_of};
use super::{Match, Rule};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Graph, Relation};
use crate::way::Way;

pub(super) const RULE: Rule = Rule {
    id: "outsiders-run-workflow",
    title: "Outsiders decide what a workflow does that holds a role, a secret or the code",
    why: "Whoever opens a pull request, an issue or a comment needs no rights. What they send is run, or read by an agent, in \
          a job that deploys, publishes or holds keys: the next version of what agents run is theirs.",
    fix: "Run what outsiders send in a workflow of `pull_request` without secrets; hand their text to scripts through `env`, \
          never through an expression; and let the job that holds the role or secret start only after a person's approval.",
    cites: &[
        Cite::Llm("LLM03"),
        Cite::Agentic("ASI04"),
        Cite::Maestro("L4"),
        Cite::Nist("SA-10"),
        Cite::Nist("CM-3"),
        Cite::Nist("SR-4"),
        Cite::Atlas("T0010.001"),
    ],
    fires: "identity sender outside=true acts_as job via.ways=[{\"kind\":\"workflow-injection\",\"title\":\"sends text\",\"certain\":true,\"needs\":[]}]\nidentity job acts_as deploy via.ways=[{\"kind\":\"workflow-role\",\"title\":\"takes the role\",\"certain\":true,\"needs\":[]}]",
    silent: "identity sender outside=true acts_as job via.ways=[{\"kind\":\"workflow-injection\",\"title\":\"sends text\",\"certain\":true,\"needs\":[]}]\nidentity job\nidentity other acts_as deploy via.ways=[{\"kind\":\"workflow-role\",\"title\":\"takes the role\",\"certain\":true,\"needs\":[]}]",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let outside =
        |relation: &Relation| graph.entity(relation.from).is_some_and(|from| from.flag("outside") == Some(true));
    let entered = graph.relations().iter().filter(|relation| outside(relation));
    let entered = entered.filter_map(|relation| Some((relation, way_of(relation, "workflow-")?)));
    entered.filter_map(|(relation, way)| found(graph, relation, &way)).collect()
}

fn found(graph: &Graph, relation: &Relation, entered: &Way) -> Option<Match> {
    let held: Vec<(&Relation, Way)> = leaving(graph, relation.to, "workflow-").collect();
    let (first, way) = held.first()?;
    let (who, job) = (graph.entity(relation.from)?, graph.entity(relation.to)?);
    let (known, because) = match entered.open.first() {
        None => (1.0, "nothing keeps them out".to_owned()),
        Some(open) => (0.7, format!("possible if {open}")),
    };
    let can = if entered.certain { "decides" } else { "may decide" };
    let factors = vec![
        factor(FactorName::Reach, known, because),
        factor(FactorName::Privilege, 0.9, names(graph, &held)),
        factor(FactorName::Sensitivity, 0.8, "what the job deploys or publishes others run"),
        factor(FactorName::InputTrust, 1.0, "outsiders write what the job takes up"),
    ];
    let message = format!("{} {can} what `{}` does, which holds {}", who.name, job.name, names(graph, &held));
    let needed = entered.needs.last().map_or_else(|| "outsiders' text".to_owned(), |need| need.claim.clone());
    let fix = format!("change the step that {needed}, or take the secrets from `{}`", job.name);
    matched(graph, (relation, entered), (first, way), (message, factors, fix))
}

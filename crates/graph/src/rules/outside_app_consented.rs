//! The rule `outside-app-consented`.

use super::assess::factor;
use super::handed_on::{leaving, matched, names, way_of};
use super::{Match, Rule};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Graph, Relation};

pub(super) const RULE: Rule = Rule {
    id: "outside-app-consented",
    title: "An app that others run holds consent to data",
    why: "Its operator gets tokens for what was consented to, at any time and from anywhere, until the consent is taken \
          back. Where an administrator consented for all, one decision gave everybody's data away.",
    fix: "Take the consent back, or narrow it to the users and scopes that the app is for.",
    cites: &[
        Cite::Llm("LLM03"),
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Agentic("ASI04"),
        Cite::Maestro("L7"),
        Cite::Nist("AC-20"),
        Cite::Nist("CM-11"),
        Cite::Atlas("T0091.000"),
    ],
    fires: "identity operator outside=true acts_as helper via.ways=[{\"kind\":\"oauth-app-owner\",\"title\":\"runs the app, and acts as\",\"certain\":true,\"needs\":[]}]\nidentity helper reaches store mail via.ways=[{\"kind\":\"oauth-consent\",\"title\":\"uses what was consented to and reads\",\"certain\":true,\"needs\":[]}]",
    silent: "identity helper reaches store mail via.ways=[{\"kind\":\"oauth-consent\",\"title\":\"uses what was consented to and reads\",\"certain\":true,\"needs\":[]}]",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let owners = graph.relations().iter().filter_map(|relation| Some((relation, way_of(relation, "oauth-app-owner")?)));
    owners.filter_map(|(relation, way)| found(graph, relation, &way)).collect()
}

fn found(graph: &Graph, relation: &Relation, owned: &crate::way::Way) -> Option<Match> {
    let data: Vec<_> = leaving(graph, relation.to, "oauth-consent").collect();
    let (first, way) = data.first()?;
    let (owner, app) = (graph.entity(relation.from)?, graph.entity(relation.to)?);
    let everyone =
        data.iter().any(|(one, _)| graph.entity(one.to).is_some_and(|store| store.name.ends_with("of everyone")));
    let (reach, whose) =
        if everyone { (1.0, "it concerns everyone in the directory") } else { (0.6, "it concerns who consented") };
    let (trust, who) =
        if owned.certain { (0.9, "another organisation runs it") } else { (0.7, "who runs it is not known") };
    let factors = vec![
        factor(FactorName::Reach, reach, whose),
        factor(FactorName::Privilege, 0.8, "its tokens need nobody to be there"),
        factor(FactorName::Sensitivity, 0.8, names(graph, &data)),
        factor(FactorName::InputTrust, trust, who),
    ];
    let message = format!("`{}` gets at {} through `{}`", owner.name, names(graph, &data), app.name);
    let fix = format!("take the consent back from `{}`, or narrow its scopes", app.name);
    matched(graph, (relation, owned), (first, way), (message, factors, fix))
}

//! The graph as BloodHound OpenGraph, to be loaded beside what BloodHound collected itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Report;
use crate::model::{Entity, Relation};
use crate::observation::Evidence;
use crate::paths::{Link, Model, Place};

/// Nodes and edges; an edge that an attacker could take is `traversable`, in the direction in which it is taken.
pub fn opengraph(report: &Report) -> String {
    let graph = &report.graph;
    let id = |at: u32| graph.entity(at).map_or_else(String::new, |entity| entity.id.to_string());
    let mut nodes: Vec<Value> = graph.entities().iter().map(node).collect();
    nodes.push(json!({ "id": OUTSIDERS, "kinds": ["BailiwickOutsiders"], "properties": { "name": "outsiders" } }));
    let seen = graph.relations().iter().map(|relation| edge(relation, &id(relation.from), &id(relation.to)));
    let model = Model::new(graph);
    // BloodHound keeps one edge of a kind between two nodes.
    let mut taken: BTreeMap<(String, String, bool), Vec<&Link>> = BTreeMap::new();
    for link in model.links() {
        for from in &link.from {
            let from = match from {
                Place::Outsiders => OUTSIDERS.to_owned(),
                Place::Entity(at) => id(*at),
            };
            taken.entry((from, id(link.to), link.from.len() > 1)).or_default().push(link);
        }
    }
    let taken = taken.iter().map(|((from, to, together), links)| attack((from, to), *together, links));
    let edges: Vec<Value> = seen.chain(taken).collect();
    super::pretty(&json!({
        "metadata": { "source_kind": "Bailiwick" },
        "graph": { "nodes": nodes, "edges": edges },
    }))
}

const OUTSIDERS: &str = "outsiders";

/// `acts_as` as `ActsAs`: kinds are letters only.
pub(super) fn pascal(word: &str) -> String {
    let parts = word.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            part.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(part.chars().skip(1)).collect::<String>()
        })
        .collect()
}

fn node(entity: &Entity) -> Value {
    let mut properties = plain(&entity.props);
    properties.insert("name".to_owned(), entity.name.clone().into());
    properties.insert("evidence".to_owned(), places(&entity.evidence));
    let kind = format!("Bailiwick{}", pascal(entity.id.kind.as_str()));
    json!({ "id": entity.id.to_string(), "kinds": [kind], "properties": properties })
}

fn edge(relation: &Relation, from: &str, to: &str) -> Value {
    let mut properties = plain(&relation.props);
    properties.insert("evidence".to_owned(), places(&relation.evidence));
    properties.insert("traversable".to_owned(), false.into());
    let kind = format!("Bailiwick{}", pascal(relation.kind.as_str()));
    json!({ "kind": kind, "start": end(from), "end": end(to), "properties": properties })
}

/// What an attacker could do from one node to another, in all its ways. What asks for control of another node as well
/// is an edge of its own that is not traversable: BloodHound would take it for enough.
fn attack((from, to): (&str, &str), together: bool, links: &[&Link]) -> Value {
    let steps: BTreeSet<&str> = links.iter().map(|link| link.kind.as_str()).collect();
    let certain = links.iter().any(|link| link.is_certain());
    let how = links.iter().find(|link| link.is_certain() == certain).map_or("", |link| link.title.as_str());
    let seen: BTreeSet<String> = links.iter().flat_map(|link| &link.evidence).map(Evidence::place).collect();
    json!({
        "kind": if together { "BailiwickHelpsControl" } else { "BailiwickControls" },
        "start": end(from),
        "end": end(to),
        "properties": {
            "steps": steps,
            "how": how,
            "certain": certain,
            "traversable": !together,
            "evidence": seen,
        },
    })
}

fn end(id: &str) -> Value {
    json!({ "value": id, "match_by": "id" })
}

fn places(evidence: &[Evidence]) -> Value {
    evidence.iter().map(|evidence| Value::from(evidence.place())).collect()
}

/// Properties are plain values or lists of one type; what is neither is left to the JSON report. Names are lower case.
fn plain(props: &crate::observation::Props) -> Map<String, Value> {
    let is_plain = |value: &Value| match value {
        Value::Array(items) => items.iter().all(Value::is_string),
        Value::Object(_) | Value::Null => false,
        _ => true,
    };
    props
        .iter()
        .filter(|(_, value)| is_plain(value))
        .map(|(name, value)| (name.to_lowercase(), value.clone()))
        .collect()
}

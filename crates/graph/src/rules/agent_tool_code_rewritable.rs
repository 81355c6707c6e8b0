//! The rule `agent-tool-code-rewritable`.

use super::assess::factor;
use super::{Match, Rule, start, step};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph, Relation};
use crate::observation::{EntityKind, RelationKind};
use crate::way;

pub(super) const RULE: Rule = Rule {
    id: "agent-tool-code-rewritable",
    title: "A principal can rewrite the code behind an agent's tool",
    why: "The tool keeps its name and its description, and does what the principal wrote. Every agent that calls it then works \
          for the principal, with the function's role.",
    fix: "Let only the pipeline that builds the tool update its code or its action group.",
    cites: &[
        Cite::Llm("LLM03"),
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI02"),
        Cite::Agentic("ASI04"),
        Cite::Maestro("L3"),
        Cite::Maestro("L4"),
        Cite::Nist("CM-5"),
        Cite::Nist("SI-7"),
        Cite::Atlas("T0110"),
    ],
    fires: "identity dev acts_as tool-role via.ways=[{\"kind\":\"bedrock-update-action-group\",\"title\":\"replaces the function behind an action group\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity tool-role",
    silent: "identity dev acts_as tool-role via.ways=[{\"kind\":\"ec2-run-instances\",\"title\":\"starts an instance with the role\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity tool-role",
    check,
};

/// The kinds of step that are meant.
const KINDS: &[&str] =
    &["bedrock-update-action-group", "lambda-update-code-invoke", "lambda-update-code", "lambda-add-layer"];

fn check(graph: &Graph) -> Vec<Match> {
    graph
        .relations()
        .iter()
        .filter(|relation| relation.kind == RelationKind::ActsAs)
        .filter_map(|relation| matched(graph, relation))
        .collect()
}

fn matched(graph: &Graph, relation: &Relation) -> Option<Match> {
    let (from, to) = (graph.entity(relation.from)?, graph.entity(relation.to)?);
    let way = way::of(relation).into_iter().find(|way| KINDS.contains(&way.kind.as_str()))?;
    let identity = |entity: &Entity| entity.id.kind == EntityKind::Identity;
    if !identity(from) || !identity(to) || from.flag("administrator") == Some(true) {
        return None;
    }
    let certain = if way.certain { 1.0 } else { 0.7 };
    let because = if way.certain { "the statements allow it" } else { "it holds if what stays open does" };
    Some(Match {
        subject: from.id.clone(),
        part: format!("{}/{}", way.kind, to.id.key),
        message: format!("`{}` {} and so gets `{}`", from.name, way.title, to.name),
        factors: vec![
            factor(FactorName::Reach, certain, because),
            factor(
                FactorName::Privilege,
                if to.flag("administrator") == Some(true) { 1.0 } else { 0.8 },
                format!("what `{}` may do", to.name),
            ),
            factor(FactorName::Sensitivity, 0.8, "what the function's role may read and change"),
            factor(FactorName::InputTrust, 0.7, "who directs this principal is not known"),
        ],
        path: vec![
            start(graph, relation.from)?,
            step(graph, relation.from, relation.kind, relation.to)?.noted(way.title.clone()),
        ],
        choke_point: None,
        fix: way.needs.first().map_or_else(
            || "take one of the needed grants away".to_owned(),
            |need| format!("take `{}` from `{}`, or limit it to named resources", need.claim, from.name),
        ),
    })
}

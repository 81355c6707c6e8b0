//! The rule `role-passed-to-agent-runtime`.

use super::assess::factor;
use super::{Match, Rule, start, step};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph, Relation};
use crate::observation::{EntityKind, RelationKind};
use crate::way;

pub(super) const RULE: Rule = Rule {
    id: "role-passed-to-agent-runtime",
    title: "A principal can run code as a role by making an agent runtime or interpreter",
    why: "An agent runtime, a code interpreter or an agent that is created with a role hands that role's credentials to the code \
          inside. Whoever may create one and pass the role has the role.",
    fix: "Allow `iam:PassRole` only for the roles that agents need, with `iam:PassedToService`, and who may create runtimes.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Agentic("ASI05"),
        Cite::Maestro("L4"),
        Cite::Nist("AC-6"),
        Cite::Nist("CM-5"),
        Cite::Atlas("T0012"),
    ],
    fires: "identity dev acts_as runner via.ways=[{\"kind\":\"agentcore-create-runtime\",\"title\":\"creates an AgentCore runtime that runs as the role\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity runner",
    silent: "identity dev acts_as runner via.ways=[{\"kind\":\"sts-assume-role\",\"title\":\"assumes the role\",\"certain\":true,\"needs\":[{\"claim\":\"x\",\"any\":[]}]}]\nidentity runner",
    check,
};

/// The kinds of step that are meant.
const KINDS: &[&str] = &[
    "agentcore-create-interpreter",
    "agentcore-create-runtime",
    "agentcore-create-browser",
    "bedrock-create-agent",
    "agentcore-use-interpreter",
];

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
            factor(FactorName::Sensitivity, 0.8, "the role's data and what it may change"),
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

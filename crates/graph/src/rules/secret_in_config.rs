//! The rule `secret-in-config`.

use super::assess::{controls_of_server, factor, input_trust_of_agent, input_trust_of_server, reach_of_config};
use super::{Match, Rule, place, start, step};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Graph, Relation};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "secret-in-config",
    title: "A secret lies in a configuration file",
    why: "Whoever reads the file has the secret: a backup, a repository, another program of the same user, or \
          the agent itself when its input tells it to. A secret in a file is also never rotated.",
    fix: "Rotate the secret, then keep it where only the server gets it: the system's keychain, or an \
          environment variable that the client fills in when it starts the server.",
    cites: &[
        Cite::Llm("LLM02"),
        Cite::Agentic("ASI03"),
        Cite::Mcp("MCP01"),
        Cite::Maestro("L4"),
        Cite::Nist("IA-5(7)"),
        Cite::Atlas("T0055"),
        Cite::Atlas("T0083"),
    ],
    fires: "agent claude uses tracker scope=user\ntracker holds a1b2c3 via.name=TRACKER_TOKEN @~/.claude.json:12",
    silent: "agent claude uses tracker scope=user\ntracker holds a1b2c3 via.name=TRACKER_TOKEN via.literal=false @~/.claude.json:12",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let holds = graph.relations().iter().filter(|relation| relation.kind == RelationKind::Holds);
    holds.filter(|relation| is_literal(relation)).filter_map(|relation| matched(graph, relation)).collect()
}

/// The value itself stands in the file, rather than a reference such as `${TOKEN}`.
fn is_literal(relation: &Relation) -> bool {
    relation.props.get("literal").and_then(serde_json::Value::as_bool) != Some(false)
}

fn matched(graph: &Graph, relation: &Relation) -> Option<Match> {
    let (holder, credential) = (graph.entity(relation.from)?, graph.entity(relation.to)?);
    if credential.id.kind != EntityKind::Credential {
        return None;
    }
    let named = relation.text("name").filter(|name| !name.is_empty());
    let what = named.map_or_else(
        || format!("a secret in {}", relation.text("place").unwrap_or("a value")),
        |name| format!("`{name}`"),
    );
    let trust = match holder.id.kind {
        EntityKind::Agent => input_trust_of_agent(graph, relation.from),
        _ => input_trust_of_server(graph, relation.from),
    };
    let mut factors = vec![
        reach_of_config(holder),
        factor(FactorName::Privilege, 0.8, "the secret opens whatever it was issued for"),
        factor(FactorName::Sensitivity, 1.0, "the value stands in the file in clear"),
        trust,
    ];
    factors.extend(controls_of_server(holder));
    let seen = place(&relation.evidence);
    Some(Match {
        subject: holder.id.clone(),
        part: credential.id.key.clone(),
        message: format!("{what} of `{}` is written in clear in {seen}", holder.name),
        factors,
        path: vec![start(graph, relation.from)?, step(graph, relation.from, RelationKind::Holds, relation.to)?],
        choke_point: None,
        fix: format!(
            "rotate the secret, then replace the value at {seen} with a reference to the environment or the keychain"
        ),
    })
}

//! The rule `code-with-cloud-key`.

use super::assess::{control_of_all, factor, guarded, input_trust_of_agent, reach_of_config};
use super::{Match, Rule, start, step};
use crate::behaviour::{Behaviour, of_agent};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "code-with-cloud-key",
    title: "An agent that runs code holds a cloud credential",
    why: "Code that the agent runs reads the key from the environment or the file, uses it, or sends it away; it works from \
          anywhere until it is rotated.",
    fix: "Take the key out of the configuration: a short-lived role for the one server that needs it, and no shell beside it.",
    cites: &[
        Cite::Llm("LLM05"),
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI05"),
        Cite::Agentic("ASI03"),
        Cite::Maestro("L4"),
        Cite::Nist("SC-39"),
        Cite::Nist("AC-6"),
        Cite::Nist("IA-5"),
        Cite::Atlas("T0055"),
        Cite::Atlas("T0098"),
    ],
    fires: "agent claude uses deploy scope=user\ndeploy offers run_command description=\"Runs a shell command.\"\ndeploy holds k3y\ncredential k3y rule=aws-access-key-id",
    silent: "agent claude uses deploy scope=user\ndeploy offers run_command description=\"Runs a shell command.\"\ndeploy holds k3y\ncredential k3y rule=slack-token",
    check,
};

/// The rules of secrets that open a cloud.
const CLOUD: &[&str] = &["aws-access-key-id", "google-oauth-token", "azure-account-key", "digitalocean-token"];

fn check(graph: &Graph) -> Vec<Match> {
    graph.of_kind(EntityKind::Agent).filter_map(|(at, agent)| matched(graph, at, agent)).collect()
}

fn opens_cloud(entity: &Entity) -> bool {
    match entity.id.kind {
        EntityKind::Identity => true,
        _ => entity.text("rule").is_some_and(|rule| CLOUD.contains(&rule)),
    }
}

fn matched(graph: &Graph, at: u32, agent: &Entity) -> Option<Match> {
    let all = of_agent(graph, at);
    let runs = all
        .iter()
        .filter(|placed| placed.sign.behaviour == Behaviour::Executes)
        .min_by_key(|placed| (guarded(graph, at, placed), placed.server.is_none()))?;
    let servers = graph.targets(at, RelationKind::Uses).map(|(server, _)| server);
    let mut held = [at].into_iter().chain(servers).flat_map(|from| graph.outgoing(from)).filter(|relation| {
        matches!(relation.kind, RelationKind::Holds | RelationKind::ActsAs)
            && graph.entity(relation.to).is_some_and(opens_cloud)
    });
    let key = held.next()?;
    let (tool, secret) = (graph.entity(runs.at)?, graph.entity(key.to)?);
    let mut path = vec![start(graph, at)?];
    path.extend(runs.server.and_then(|server| step(graph, at, RelationKind::Uses, server)));
    path.push(step(graph, runs.server.unwrap_or(at), runs.kind, runs.at)?.noted(runs.sign.because.clone()));
    path.push(step(graph, key.from, key.kind, key.to)?);
    Some(Match {
        subject: agent.id.clone(),
        part: String::new(),
        message: format!("`{}` runs code with `{}` and holds `{}`", agent.name, tool.name, secret.name),
        factors: [
            reach_of_config(agent),
            factor(FactorName::Privilege, 1.0, format!("`{}` runs code", tool.name)),
            factor(FactorName::Sensitivity, 0.9, "a cloud credential"),
            input_trust_of_agent(graph, at),
        ]
        .into_iter()
        .chain(control_of_all(graph, [(at, runs)]))
        .collect(),
        path,
        choke_point: Some(secret.id.clone()),
        fix: format!("take `{}` out of what code of this agent can read", secret.name),
    })
}

//! The rule `agent-holds-administrator`.

use super::by_path::{factors, links, named, of_agents, steps};
use super::{Match, Rule};
use crate::frameworks::Cite;
use crate::model::Graph;
use crate::observation::{EntityKind, RelationKind};
use crate::paths::{Model, Path, Place};

pub(super) const RULE: Rule = Rule {
    id: "agent-holds-administrator",
    title: "An agent acts as an administrator",
    why: "The identity that the agent or its server holds may do everything. There is nothing left to escalate.",
    fix: "Give the agent an identity with only the actions and resources that it needs.",
    cites: &[Cite::Llm("LLM06"), Cite::Agentic("ASI03"), Cite::Maestro("L4"), Cite::Nist("AC-6"), Cite::Atlas("T0053")],
    fires: "agent claude uses deploy scope=user\ndeploy holds k3y\ncredential k3y acts_as root\nidentity root administrator=true",
    silent: "agent claude uses deploy scope=user\ndeploy holds k3y\ncredential k3y acts_as ci\nci acts_as root\nidentity root administrator=true",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let is_admin = |at: &u32| graph.entity(*at).is_some_and(|entity| entity.flag("administrator") == Some(true));
    let holders = [EntityKind::Credential, EntityKind::Server, EntityKind::Agent];
    let direct = |relation: &&crate::model::Relation| {
        relation.kind == RelationKind::ActsAs
            && graph.entity(relation.from).is_some_and(|entity| holders.contains(&entity.id.kind))
    };
    let mut goals: Vec<u32> =
        graph.relations().iter().filter(direct).map(|relation| relation.to).filter(is_admin).collect();
    goals.sort_unstable();
    goals.dedup();
    let Some((model, paths)) = of_agents(graph, &goals) else { return Vec::new() };
    paths.iter().filter(|path| is_direct(graph, &model, path)).filter_map(|path| matched(graph, &model, path)).collect()
}

/// Whether no other identity lies on the way.
fn is_direct(graph: &Graph, model: &Model<'_>, path: &Path) -> bool {
    let is_identity = |at: u32| graph.entity(at).is_some_and(|entity| entity.id.kind == EntityKind::Identity);
    links(model, path).filter(|link| is_identity(link.to)).count() == 1
}

fn matched(graph: &Graph, model: &Model<'_>, path: &Path) -> Option<Match> {
    let Place::Entity(agent) = path.from else { return None };
    let identity = named(graph, path.to);
    Some(Match {
        subject: graph.entity(agent)?.id.clone(),
        part: graph.entity(path.to)?.id.key.clone(),
        message: format!("`{}` acts as `{identity}`, which may do everything", named(graph, agent)),
        factors: factors(graph, agent, path.certain, (1.0, "everything of that account")),
        path: steps(graph, model, path),
        choke_point: None,
        fix: format!("give it an identity with only what it needs in place of `{identity}`"),
    })
}

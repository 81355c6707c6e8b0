//! The rule `foreign-trust`.

use super::by_path::{factors, links, named, of_agents, steps};
use super::{Match, Rule};
use crate::frameworks::Cite;
use crate::model::Graph;
use crate::observation::EntityKind;
use crate::paths::{Model, Path, Place};

pub(super) const RULE: Rule = Rule {
    id: "foreign-trust",
    title: "An agent's identity can cross into another account without a condition",
    why: "The other account lets the identity in and asks nothing: no external id, no source, no organisation. What \
          happens to the agent happens there too.",
    fix: "Ask for an external id or an organisation in the trust policy, or take the identity out of it.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Maestro("L4"),
        Cite::Maestro("L7"),
        Cite::Nist("AC-20"),
        Cite::Nist("AC-3"),
        Cite::Atlas("T0012"),
    ],
    fires: "agent claude uses deploy scope=user\ndeploy offers run_command description=\"Runs a shell command.\"\ndeploy acts_as ci\nidentity ci account=\"111122223333\"\nci acts_as partner\nidentity partner account=\"444455556666\"",
    silent: "agent claude uses deploy scope=user\ndeploy offers run_command description=\"Runs a shell command.\"\ndeploy acts_as ci\nidentity ci account=\"111122223333\"\nci acts_as partner via.truth=unknown\nidentity partner account=\"444455556666\"",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let account =
        |at: u32| graph.entity(at).and_then(|entity| entity.text("account")).filter(|account| !account.is_empty());
    let crosses = |relation: &&crate::model::Relation| {
        let certain = relation.text("truth") != Some("unknown");
        certain && matches!((account(relation.from), account(relation.to)), (Some(from), Some(to)) if from != to)
    };
    let mut goals: Vec<u32> = graph.relations().iter().filter(crosses).map(|relation| relation.to).collect();
    goals.sort_unstable();
    goals.dedup();
    let Some((model, paths)) = of_agents(graph, &goals) else { return Vec::new() };
    let through = |path: &Path| last_crosses(&model, path, &account);
    paths.iter().filter(|path| path.certain && through(path)).filter_map(|path| matched(graph, &model, path)).collect()
}

/// Whether the last step of the path is the one that crosses.
fn last_crosses<'a>(model: &Model<'_>, path: &Path, account: &impl Fn(u32) -> Option<&'a str>) -> bool {
    let Some(last) = links(model, path).next_back() else { return false };
    let from = last.from.iter().filter_map(|place| match place {
        Place::Entity(at) => account(*at),
        Place::Outsiders => None,
    });
    from.into_iter().any(|from| account(last.to).is_some_and(|to| to != from))
}

fn matched(graph: &Graph, model: &Model<'_>, path: &Path) -> Option<Match> {
    let Place::Entity(agent) = path.from else { return None };
    let to = graph.entity(path.to).filter(|entity| entity.id.kind == EntityKind::Identity)?;
    let account = to.text("account")?;
    Some(Match {
        subject: graph.entity(agent)?.id.clone(),
        part: to.id.key.clone(),
        message: format!(
            "`{}` reaches `{}` in the other account {account}, which asks for nothing",
            named(graph, agent),
            to.name
        ),
        factors: factors(graph, agent, path.certain, (0.85, "another account's role")),
        path: steps(graph, model, path),
        choke_point: Some(to.id.clone()),
        fix: format!("ask for an external id or the organisation in the trust policy of `{}`", to.name),
    })
}

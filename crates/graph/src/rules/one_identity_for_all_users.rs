//! The rule `one-identity-for-all-users`.

use super::assess::{factor, input_trust_of_server, privilege_of_server, reach_of_config};
use super::{Match, Rule, start, step};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph, Relation};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "one-identity-for-all-users",
    title: "Everybody who has the project acts as one service identity",
    why: "The configuration travels with the project or is every user's, and its server holds a credential: whoever opens the \
          project, or writes what its agent reads, acts with rights that are not theirs. That is a confused deputy.",
    fix: "Let each user sign in, or refer to a variable that each user sets: `${NAME}`.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Maestro("L3"),
        Cite::Maestro("L6"),
        Cite::Nist("AC-3"),
        Cite::Nist("IA-2"),
        Cite::Atlas("T0053"),
        Cite::Atlas("T0012"),
    ],
    fires: "agent claude scope=project\nclaude uses crm\nserver crm scope=project\ncrm holds t0ken via.name=CRM_TOKEN",
    silent: "agent claude scope=user\nclaude uses crm\nserver crm scope=user\ncrm holds t0ken via.name=CRM_TOKEN",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let held =
        graph.relations().iter().filter(|relation| matches!(relation.kind, RelationKind::Holds | RelationKind::ActsAs));
    held.filter_map(|relation| matched(graph, relation)).collect()
}

fn matched(graph: &Graph, relation: &Relation) -> Option<Match> {
    let (server, key) = (graph.entity(relation.from)?, graph.entity(relation.to)?);
    let (agent_at, agent) = graph.sources(relation.from, RelationKind::Uses).find(|(_, agent)| is_shared(agent))?;
    // A profile is what each user's own file makes of its name.
    let own = relation.text("setting").is_some_and(|setting| setting.ends_with("_PROFILE"));
    if server.id.kind != EntityKind::Server || own {
        return None;
    }
    let name = relation.text("name").filter(|name| !name.is_empty()).unwrap_or(&key.name);
    Some(Match {
        subject: server.id.clone(),
        part: key.id.key.chars().take(12).collect(),
        message: format!("everybody who has the project acts through `{}` with the one `{name}`", server.name),
        factors: vec![
            reach_of_config(agent),
            privilege_of_server(graph, relation.from),
            factor(FactorName::Sensitivity, 0.8, "what the identity sees, every user sees"),
            input_trust_of_server(graph, relation.from),
        ],
        path: vec![
            start(graph, agent_at)?.noted("its configuration is not one user's"),
            step(graph, agent_at, RelationKind::Uses, relation.from)?,
            step(graph, relation.from, relation.kind, relation.to)?,
        ],
        choke_point: Some(key.id.clone()),
        fix: match relation.text("setting") {
            Some(setting) => format!("write `${{{setting}}}` there and let each user set it, or let each sign in"),
            None => "write the name of a variable there and let each user set it, or let each sign in".to_owned(),
        },
    })
}

fn is_shared(agent: &Entity) -> bool {
    matches!(agent.text("scope"), Some("project" | "workspace" | "system" | "enterprise" | "managed"))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_role_is_everybodys_and_a_profile_each_users_own() {
        let found = |setting: &str| {
            let text = format!(
                "agent claude scope=project\nclaude uses aws\nserver aws scope=project\naws acts_as identity boss via.setting={setting}"
            );
            check(&crate::text::parse(&text).unwrap())
        };
        assert!(found("AWS_ROLE_ARN")[0].fix.contains("`${AWS_ROLE_ARN}`"));
        assert_eq!(found("AWS_PROFILE").len(), 0);
    }
}

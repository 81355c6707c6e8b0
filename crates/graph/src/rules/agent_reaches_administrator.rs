//! The rule `agent-reaches-administrator`.

use super::by_path::{factors, named, of_agents, steps};
use super::{Match, Rule};
use crate::frameworks::Cite;
use crate::model::Graph;
use crate::paths::{Goal, Place};

pub(super) const RULE: Rule = Rule {
    id: "agent-reaches-administrator",
    title: "An agent can become administrator of a cloud or cluster",
    why: "A chain of grants leads from what the agent holds to an administrator. Each grant looks small; text that the \
          agent reads can have it walk all of them.",
    fix: "Take away the grant that most of these paths rest on: `bailiwick paths --from agents --to admin` names it with \
          its patch.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Maestro("L4"),
        Cite::Nist("AC-6"),
        Cite::Nist("AC-6(10)"),
        Cite::Atlas("T0012"),
        Cite::Atlas("T0053"),
    ],
    fires: "agent claude uses deploy scope=user\ndeploy offers run_command description=\"Runs a shell command.\"\ndeploy acts_as ci\nci acts_as ops\nidentity ops administrator=true",
    silent: "agent claude uses deploy scope=user\ndeploy offers run_command description=\"Runs a shell command.\"\ndeploy acts_as ci\nci acts_as ops\nidentity root administrator=true",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let goals = Goal::Administrators.entities(graph);
    let Some((model, mut paths)) = of_agents(graph, &goals) else { return Vec::new() };
    // One finding for each agent: its shortest path, certain before possible.
    paths.sort_by_key(|path| (path.from, !path.certain, path.steps.len(), path.to));
    paths.dedup_by_key(|path| path.from);
    let matched = |path: &crate::paths::Path| {
        let Place::Entity(agent) = path.from else { return None };
        let (who, goal) = (named(graph, agent), named(graph, path.to));
        let can = if path.certain { "can" } else { "may be able to" };
        Some(Match {
            subject: graph.entity(agent)?.id.clone(),
            part: String::new(),
            message: format!("`{who}` {can} become `{goal}` in {} steps", path.steps.len()),
            factors: factors(graph, agent, path.certain, (1.0, "everything of that cloud or cluster")),
            path: steps(graph, &model, path),
            choke_point: None,
            fix: "cut a step of this path; `bailiwick paths --from agents --to admin` shows which ends most, with the patch"
                .to_owned(),
        })
    };
    paths.iter().filter_map(matched).collect()
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_step_says_how_what_stands_before_the_note_is_reached() {
        let way = r#"via.ways=[{"kind":"k","title":"writes its policy","certain":true,"needs":[]}]"#;
        let text = format!("agent claude acts_as ci\nidentity ci acts_as identity ops administrator=true {way}");
        let found = check(&crate::text::parse(&text).unwrap());
        let notes: Vec<&str> = found[0].path.iter().filter_map(|step| step.note.as_deref()).collect();
        assert_eq!(notes, ["how: writes its policy"]);
    }
}

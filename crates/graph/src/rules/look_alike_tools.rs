//! The rule `look-alike-tools`.

use std::collections::BTreeMap;

use super::assess::{called_factors, factor, with};
use super::{Match, Rule, start, step};
use crate::behaviour::enabled;
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::lookalike;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "look-alike-tools",
    title: "A server offers tools whose names look alike",
    why: "The model, and the person who approves a call, tell tools apart by their names. Two names of one server that \
          differ in case, separators or look-alike characters only, or a name with characters that are not what they \
          seem, let one tool be taken for another.",
    fix: "Ask the server's author why. Switch off the tool whose name imitates the other, or the server.",
    cites: &[
        Cite::Llm("LLM03"),
        Cite::Llm("LLM01"),
        Cite::Agentic("ASI02"),
        Cite::Agentic("ASI04"),
        Cite::Mcp("MCP03"),
        Cite::Maestro("L7"),
        Cite::Nist("SI-7"),
        Cite::Atlas("T0110"),
        Cite::Atlas("T0074"),
    ],
    fires: "agent claude uses bank scope=user\nbank offers tool bank/send_money name=send_money\nbank offers tool bank/send_m0ney name=send_m0ney",
    silent: "agent claude uses bank scope=user\nbank offers tool bank/send_money name=send_money\nbank offers tool bank/spend_money name=spend_money",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let servers = graph.of_kind(EntityKind::Server).filter(|(_, server)| enabled(server));
    servers.filter_map(|(at, server)| of_server(graph, at, server)).collect()
}

/// One match for a server, however many names: it is one decision to take.
fn of_server(graph: &Graph, at: u32, server: &Entity) -> Option<Match> {
    let mut by_skeleton: BTreeMap<String, BTreeMap<&str, u32>> = BTreeMap::new();
    let tools = graph.targets(at, RelationKind::Offers).filter(|(_, tool)| tool.id.kind == EntityKind::Tool);
    for (tool_at, tool) in tools {
        let name = tool.text("name").unwrap_or(&tool.name);
        by_skeleton.entry(lookalike::skeleton(name)).or_default().insert(name, tool_at);
    }
    let suspect =
        |names: &&BTreeMap<&str, u32>| names.len() > 1 || names.keys().any(|name| lookalike::is_disguised(name));
    let suspects: Vec<_> = by_skeleton.values().filter(suspect).collect();
    let first = suspects.first()?;
    let mut path = vec![start(graph, at)?];
    for (name, tool) in first.iter().take(2) {
        path.push(step(graph, at, RelationKind::Offers, *tool)?.noted(spelled(name)));
    }
    let said = |names: &&BTreeMap<&str, u32>| {
        let names: Vec<String> = names.keys().map(|name| format!("`{}`", spelled(name))).collect();
        names.join(" and ")
    };
    let shown = super::few(&suspects.iter().map(said).collect::<Vec<_>>(), 3);
    let trust = factor(FactorName::InputTrust, 0.9, "the server's author chose the names, and the model goes by them");
    Some(Match {
        subject: server.id.clone(),
        part: String::new(),
        message: format!("server `{}` offers tools whose names look like others: {shown}", server.name),
        factors: with(called_factors(graph, at, server), trust),
        path,
        choke_point: None,
        fix: format!("ask the author of `{}` what {shown} are, and switch off what imitates", server.name),
    })
}

/// A name with what is not ASCII written out, so that the difference is seen.
fn spelled(name: &str) -> String {
    let spell = |char: char| if char.is_ascii() { char.to_string() } else { format!("\\u{{{:x}}}", u32::from(char)) };
    name.chars().map(spell).collect()
}

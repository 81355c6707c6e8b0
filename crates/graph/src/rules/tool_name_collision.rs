//! The rule `tool-name-collision`.

use std::collections::{BTreeMap, BTreeSet};

use super::assess::{factor, input_trust_of_agent, privilege_of_server, reach_of_config};
use super::{Match, Rule, start, step};
use crate::behaviour::enabled;
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::lookalike::skeleton;
use crate::model::Graph;
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "tool-name-collision",
    title: "Two servers of one agent offer tools of the same name",
    why: "The model picks a tool by its name and description. A server that takes another one's name, or one that \
          looks like it, gets calls and their arguments that were meant for the other.",
    fix: "Rename or switch off one of the two, or let only one server offer the tool.",
    cites: &[
        Cite::Llm("LLM03"),
        Cite::Llm("LLM01"),
        Cite::Agentic("ASI02"),
        Cite::Agentic("ASI04"),
        Cite::Mcp("MCP03"),
        Cite::Maestro("L7"),
        Cite::Nist("CM-8"),
        Cite::Nist("SI-7"),
        Cite::Atlas("T0110"),
        Cite::Atlas("T0074"),
    ],
    fires: "agent claude uses bank scope=user\nclaude uses weather\nbank offers tool bank/send_money name=send_money\nweather offers tool weather/SendMoney name=SendMoney",
    silent: "agent claude uses bank scope=user\nagent codex uses weather\nbank offers tool bank/send_money name=send_money\nweather offers tool weather/SendMoney name=SendMoney",
    check,
};

/// A tool as one server offers it: the server's index, the tool's index, the tool's name.
type Offer<'a> = (u32, u32, &'a str);

fn check(graph: &Graph) -> Vec<Match> {
    graph.of_kind(EntityKind::Agent).flat_map(|(agent, _)| of_agent(graph, agent)).collect()
}

/// One match for each two servers, however many names they share: it is one decision to take.
fn of_agent(graph: &Graph, agent: u32) -> Vec<Match> {
    let mut by_name: BTreeMap<String, Vec<Offer<'_>>> = BTreeMap::new();
    let servers = graph.targets(agent, RelationKind::Uses).filter(|(_, server)| enabled(server));
    for (server, _) in servers {
        let tools = graph.targets(server, RelationKind::Offers).filter(|(_, tool)| tool.id.kind == EntityKind::Tool);
        for (at, tool) in tools {
            let name = tool.text("name").unwrap_or(&tool.name);
            by_name.entry(skeleton(name)).or_default().push((server, at, name));
        }
    }
    let mut pairs: BTreeMap<(u32, u32), Vec<(Offer<'_>, Offer<'_>)>> = BTreeMap::new();
    for offers in by_name.values() {
        for (position, a) in offers.iter().enumerate() {
            for b in offers.iter().skip(position + 1).filter(|b| b.0 != a.0) {
                pairs.entry((a.0, b.0)).or_default().push((*a, *b));
            }
        }
    }
    pairs.iter().filter_map(|(servers, clashes)| matched(graph, agent, *servers, clashes)).collect()
}

fn matched(graph: &Graph, agent: u32, servers: (u32, u32), clashes: &[(Offer<'_>, Offer<'_>)]) -> Option<Match> {
    let subject = graph.entity(agent)?;
    let (a, b) = (graph.entity(servers.0)?, graph.entity(servers.1)?);
    let names: BTreeSet<String> = clashes.iter().map(|(one, other)| clash(one.2, other.2)).collect();
    let shown = super::few(&names.into_iter().collect::<Vec<_>>(), 4);
    let privileges = [privilege_of_server(graph, servers.0), privilege_of_server(graph, servers.1)];
    let privilege = privileges.into_iter().max_by(|a, b| a.value.total_cmp(&b.value))?;
    let mut path = vec![start(graph, agent)?];
    let ((_, tool_a, _), (_, tool_b, _)) = clashes.first()?;
    for (server, tool) in [(servers.0, *tool_a), (servers.1, *tool_b)] {
        path.push(step(graph, agent, RelationKind::Uses, server)?);
        path.push(step(graph, server, RelationKind::Offers, tool)?);
    }
    Some(Match {
        subject: subject.id.clone(),
        part: format!("{}+{}", a.id.key, b.id.key),
        message: format!("servers `{}` and `{}` of agent `{}` both offer {shown}", a.name, b.name, subject.name),
        factors: vec![
            reach_of_config(subject),
            privilege,
            factor(FactorName::Sensitivity, 0.5, "the arguments of a call that goes to the wrong server"),
            input_trust_of_agent(graph, agent),
        ],
        path,
        choke_point: None,
        fix: format!("rename or switch off {shown} in `{}` or `{}`", a.name, b.name),
    })
}

fn clash(a: &str, b: &str) -> String {
    if a == b { format!("`{a}`") } else { format!("`{a}` and `{b}`") }
}

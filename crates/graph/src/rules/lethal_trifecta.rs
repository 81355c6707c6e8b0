//! The rule `lethal-trifecta`.

use std::collections::BTreeSet;

use super::assess::{control_of_all, factor, guarded, privilege_of_agent, reach_of_config};
use super::{Match, Rule, start, step};
use crate::behaviour::{Behaviour, Placed, of_agent};
use crate::finding::{Factor, FactorName, Step};
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{Basis, EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "lethal-trifecta",
    title: "One agent reads outsiders' text, reads private data and can send it out",
    why: "Whoever can put text where the agent reads it, a web page, a mail, an issue, can have it fetch private \
          data and send it to them. No bug is needed: the model follows the text it reads. Each of the three alone \
          is harmless.",
    fix: "Take one of the three away from this agent: another agent for the open web, a narrower data scope, or a \
          channel that reaches only known recipients. Or put it behind the gateway, where private data may not \
          flow to what outsiders chose.",
    cites: &[
        Cite::Llm("LLM01"),
        Cite::Llm("LLM02"),
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI01"),
        Cite::Agentic("ASI02"),
        Cite::Mcp("MCP06"),
        Cite::Mcp("MCP10"),
        Cite::Maestro("L3"),
        Cite::Maestro("L7"),
        Cite::Nist("AC-4"),
        Cite::Nist("SC-7"),
        Cite::Nist("SI-10"),
        Cite::Atlas("T0051.001"),
        Cite::Atlas("T0053"),
        Cite::Atlas("T0086"),
    ],
    fires: "agent claude uses web scope=user\nclaude uses files\nclaude uses mail\nweb offers fetch_page description=\"Fetches a web page.\"\nfiles offers read_file description=\"Reads a file.\"\nmail offers send_mail description=\"Sends a mail.\"",
    silent: "agent claude uses files scope=user\nclaude uses mail\nagent surfer uses web\nweb offers fetch_page description=\"Fetches a web page.\"\nfiles offers read_file description=\"Reads a file.\"\nmail offers send_mail description=\"Sends a mail.\"",
    check,
};

/// What each leg is, and the behaviours that make it. A shell reads files and opens connections.
const LEGS: [(&str, &[Behaviour]); 3] = [
    ("outsiders' text in", &[Behaviour::ReadsUntrusted]),
    ("private data read", &[Behaviour::ReadsSensitive, Behaviour::Executes]),
    ("a way out", &[Behaviour::SendsOut, Behaviour::Executes]),
];

fn check(graph: &Graph) -> Vec<Match> {
    graph.of_kind(EntityKind::Agent).filter_map(|(at, agent)| matched(graph, at, agent)).collect()
}

fn matched(graph: &Graph, at: u32, agent: &Entity) -> Option<Match> {
    let all = of_agent(graph, at);
    let legs = LEGS.map(|(_, wanted)| sources(graph, at, (&all, wanted)));
    let best = [leg(&legs, 0)?, leg(&legs, 1)?, leg(&legs, 2)?];
    let name =
        |placed: &Placed| graph.entity(placed.server.unwrap_or(placed.at)).map(|entity| format!("`{}`", entity.name));
    let is_builtin = best.iter().all(|placed| placed.server.is_none()) && super::acts_unasked::licence(agent).is_none();
    if is_builtin && !is_first_of_client(graph, at, agent) {
        return None;
    }
    let (input, data, out) = (name(best[0])?, name(best[1])?, name(best[2])?);
    let path = path(graph, at, &best)?;
    let choke = choke(&legs);
    let choke = choke.and_then(|at| graph.entity(at));
    Some(Match {
        subject: agent.id.clone(),
        part: String::new(),
        message: format!(
            "whoever writes what {input} brings in can have `{}` read through {data} and send it out through {out}",
            agent.name
        ),
        factors: factors(graph, (at, agent), &best),
        path,
        choke_point: choke.map(|entity| entity.id.clone()),
        fix: match choke {
            Some(entity) => format!("take `{}` from this agent: all three meet only because of it", entity.name),
            None => {
                let each: BTreeSet<String> = [input, data, out].into();
                let each: Vec<String> = each.into_iter().collect();
                format!(
                    "take {} and what else does the same from this agent, or put it behind the gateway",
                    each.join(" or ")
                )
            }
        },
    })
}

/// What brings one leg, the best witness first: what nothing stops before what a policy does, what was read as such before
/// what was concluded, a server before what is built in.
fn sources<'a>(graph: &Graph, agent: u32, (all, wanted): (&'a [Placed], &[Behaviour])) -> Vec<&'a Placed> {
    let mut found: Vec<&Placed> = all.iter().filter(|placed| wanted.contains(&placed.sign.behaviour)).collect();
    found.sort_by_cached_key(|placed| {
        let guarded = guarded(graph, agent, placed);
        (guarded, placed.sign.basis, placed.sign.behaviour == Behaviour::Executes, placed.server.is_none(), placed.at)
    });
    found
}

fn leg<'a>(legs: &[Vec<&'a Placed>; 3], which: usize) -> Option<&'a Placed> {
    legs.get(which)?.first().copied()
}

/// The server, or built-in tool, without which a leg is gone: one that is a leg's only source, of the leg that has it.
fn choke(legs: &[Vec<&Placed>; 3]) -> Option<u32> {
    legs.iter().find_map(|sources| {
        let distinct: BTreeSet<u32> = sources.iter().map(|placed| placed.server.unwrap_or(placed.at)).collect();
        (distinct.len() == 1).then(|| distinct.first().copied()).flatten()
    })
}

fn path(graph: &Graph, agent: u32, best: &[&Placed; 3]) -> Option<Vec<Step>> {
    let mut path = vec![start(graph, agent)?];
    for (placed, (title, _)) in best.iter().zip(LEGS) {
        if let Some(server) = placed.server {
            path.push(step(graph, agent, RelationKind::Uses, server)?);
        }
        let from = placed.server.unwrap_or(agent);
        let inferred = if placed.sign.basis == Basis::Inferred { " (inferred)" } else { "" };
        let note = format!("{title}: {}{inferred}", placed.sign.because);
        path.push(step(graph, from, placed.kind, placed.at)?.noted(note));
    }
    Some(path)
}

fn factors(graph: &Graph, (at, agent): (u32, &Entity), best: &[&Placed; 3]) -> Vec<Factor> {
    let inferred = best.iter().filter(|placed| placed.sign.basis == Basis::Inferred).count();
    let (certainty, because) = match inferred {
        0 => (1.0, "all three are stated by the tools themselves"),
        1 | 2 => (0.9, "not all three are stated; some are concluded from words"),
        _ => (0.85, "all three are concluded from words"),
    };
    let mut factors = vec![
        reach_of_config(agent),
        privilege_of_agent(graph, at),
        factor(FactorName::Sensitivity, certainty, format!("private data can leave; {because}")),
        factor(FactorName::InputTrust, 1.0, "outsiders write what the agent reads"),
    ];
    let builtin = best.iter().filter(|placed| placed.server.is_none()).count();
    if builtin > 0 && super::acts_unasked::licence(agent).is_none() {
        let value = if builtin == best.len() { 0.5 } else { 0.1 };
        factors.push(factor(
            FactorName::Control,
            value,
            "the client asks a person before its built-in tools act, by default",
        ));
    }
    factors.extend(control_of_all(graph, best.iter().map(|placed| (at, *placed))));
    factors
}

/// What a client has built in is the same in each of its configurations: it is said once.
fn is_first_of_client(graph: &Graph, at: u32, agent: &Entity) -> bool {
    let client = agent.text("client");
    let mut same =
        graph.of_kind(EntityKind::Agent).filter(|(_, other)| client.is_some() && other.text("client") == client);
    same.next().is_none_or(|(first, _)| first == at)
}

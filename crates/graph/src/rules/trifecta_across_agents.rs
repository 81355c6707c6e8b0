//! The rule `trifecta-across-agents`.

use std::collections::BTreeSet;

use super::assess::{control_of_all, factor, guarded, reach_of_config};
use super::{Match, Rule, start, step};
use crate::behaviour::{Behaviour, Placed, enabled, of_agent};
use crate::finding::{FactorName, Step};
use crate::frameworks::Cite;
use crate::model::Graph;
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "trifecta-across-agents",
    title: "Two agents that share something make a lethal trifecta together",
    why: "The one reads what outsiders write and leaves it where the other finds it; the other reads private data or sends \
          it out. Neither looks dangerous alone.",
    fix: "Part them: a folder or server of its own for the agent that reads outsiders' text, or a policy at the gateway that \
          lets nothing from there flow out.",
    cites: &[
        Cite::Llm("LLM01"),
        Cite::Llm("LLM02"),
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI01"),
        Cite::Agentic("ASI07"),
        Cite::Agentic("ASI08"),
        Cite::Maestro("X"),
        Cite::Maestro("L7"),
        Cite::Nist("AC-4"),
        Cite::Nist("SC-7"),
        Cite::Nist("CA-3"),
        Cite::Atlas("T0051.001"),
        Cite::Atlas("T0086"),
        Cite::Atlas("T0080"),
    ],
    fires: "agent scout uses feeds; feeds offers read_feed description=\"Reads an RSS feed.\"\nscout uses notes-a; notes-a reaches /srv/notes breadth=folder; notes-a offers write_note\nagent clerk uses notes-b; notes-b reaches /srv/notes breadth=folder; notes-b offers list_entries\nclerk uses outbox; outbox offers send_mail description=\"Sends a mail.\"",
    silent: "agent scout uses feeds; feeds offers read_feed description=\"Reads an RSS feed.\"\nscout uses notes-a; notes-a reaches /srv/notes breadth=folder; notes-a offers write_note\nagent clerk uses notes-b; notes-b reaches /srv/other breadth=folder; notes-b offers list_entries\nclerk uses outbox; outbox offers send_mail description=\"Sends a mail.\"",
    check,
};

const LEGS: [&[Behaviour]; 3] = [
    &[Behaviour::ReadsUntrusted],
    &[Behaviour::ReadsSensitive, Behaviour::Executes],
    &[Behaviour::SendsOut, Behaviour::Executes],
];

fn check(graph: &Graph) -> Vec<Match> {
    let agents: Vec<(u32, Vec<Placed>)> =
        graph.of_kind(EntityKind::Agent).map(|(at, _)| (at, least_guarded(graph, at))).collect();
    let mut found = Vec::new();
    for (reader, its) in agents.iter().filter(|(_, all)| leg(all, 0).is_some() && !has_all(all)) {
        for (other, theirs) in
            agents.iter().filter(|(other, all)| other != reader && !has_all(all) && leg(all, 2).is_some())
        {
            let data = leg(theirs, 1).or_else(|| leg(its, 1));
            let Some(shared) = shared(graph, *reader, *other).filter(|_| data.is_some()) else { continue };
            found.extend(matched(graph, (*reader, its), (*other, theirs), shared));
        }
    }
    found
}

/// Everything that an agent can do, what nothing stops first.
fn least_guarded(graph: &Graph, agent: u32) -> Vec<Placed> {
    let mut all = of_agent(graph, agent);
    all.sort_by_cached_key(|placed| guarded(graph, agent, placed));
    all
}

fn leg(all: &[Placed], which: usize) -> Option<&Placed> {
    let wanted = LEGS.get(which)?;
    all.iter().find(|placed| wanted.contains(&placed.sign.behaviour))
}

/// Such an agent has its own finding.
fn has_all(all: &[Placed]) -> bool {
    (0..LEGS.len()).all(|which| leg(all, which).is_some())
}

/// What a server of the one and a server of the other both touch: a folder, or a remote server.
fn shared(graph: &Graph, one: u32, other: u32) -> Option<(u32, u32, u32, RelationKind)> {
    let touched = |agent: u32| {
        let servers = graph.targets(agent, RelationKind::Uses).filter(|(_, server)| enabled(server));
        servers
            .flat_map(|(server, _)| graph.outgoing(server))
            .filter(|relation| matches!(relation.kind, RelationKind::Reaches | RelationKind::Connects))
            .map(|relation| (relation.to, relation.from, relation.kind))
            .collect::<BTreeSet<_>>()
    };
    let theirs = touched(other);
    let mut both = touched(one).into_iter().filter_map(|(thing, mine, kind)| {
        let (_, server, _) = theirs.iter().find(|(same, _, _)| *same == thing)?;
        Some((thing, mine, *server, kind))
    });
    both.next()
}

type Shared = (u32, u32, u32, RelationKind);

fn matched(
    graph: &Graph,
    (reader, its): (u32, &[Placed]),
    (other, theirs): (u32, &[Placed]),
    (thing, mine, server, kind): Shared,
) -> Option<Match> {
    let (one, two, what) = (graph.entity(reader)?, graph.entity(other)?, graph.entity(thing)?);
    let show = |agent: u32, placed: &Placed| -> Vec<Step> {
        let used = placed.server.and_then(|server| step(graph, agent, RelationKind::Uses, server));
        let shown = step(graph, placed.server.unwrap_or(agent), placed.kind, placed.at)
            .map(|step| step.noted(placed.sign.because.clone()));
        used.into_iter().chain(shown).collect()
    };
    let mut path = vec![start(graph, reader)?];
    path.extend(show(reader, leg(its, 0)?));
    path.push(step(graph, mine, kind, thing)?.noted("both touch it"));
    path.push(start(graph, other)?);
    path.push(step(graph, server, kind, thing)?);
    path.extend(show(other, leg(theirs, 2)?));
    Some(Match {
        subject: one.id.clone(),
        part: two.id.key.clone(),
        message: format!(
            "`{}` reads outsiders' text and shares `{}` with `{}`, which can send data out",
            one.name, what.name, two.name
        ),
        factors: [
            reach_of_config(one),
            factor(FactorName::Privilege, 0.7, "together they read and send"),
            factor(FactorName::Sensitivity, 0.8, "private data can leave, over two agents"),
            factor(FactorName::InputTrust, 0.9, "outsiders write what the first reads"),
        ]
        .into_iter()
        .chain(control_of_all(graph, [(reader, leg(its, 0)?), (other, leg(theirs, 2)?)]))
        .collect(),
        path,
        choke_point: Some(what.id.clone()),
        fix: format!("give `{}` something of its own in place of `{}`", one.name, what.name),
    })
}

//! The factors that rules share, each with its reason.
//!
//! What is not known counts as more than half: absence of evidence is not safety, and it is not proof either.

use crate::behaviour::{self, Behaviour, Placed};
use crate::finding::{Factor, FactorName};
use crate::guard::{self, Effect};
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) fn factor(name: FactorName, value: f64, because: impl Into<String>) -> Factor {
    Factor { name, value: (value * 100.0).round() / 100.0, because: because.into() }
}

/// Who gets what a configuration says: a project's file travels with the repository.
pub(super) fn reach_of_config(entity: &Entity) -> Factor {
    let (value, because) = match entity.text("scope") {
        Some("project" | "workspace" | "local") => (1.0, "the file lies in a project and travels with it"),
        Some("system" | "enterprise" | "managed") => (1.0, "every user of this machine has it"),
        Some("user" | "global") => (0.6, "it is in one user's configuration"),
        Some("plugin") => (0.8, "a plugin brings it"),
        _ => (0.6, "where the configuration applies is not known"),
    };
    factor(FactorName::Reach, value, because)
}

/// How much each behaviour can do, the worst first.
const LEVELS: &[(Behaviour, f64)] = &[
    (Behaviour::Executes, 1.0),
    (Behaviour::Pays, 1.0),
    (Behaviour::Destroys, 0.9),
    (Behaviour::Writes, 0.8),
    (Behaviour::SendsOut, 0.8),
    (Behaviour::ReadsSensitive, 0.7),
    (Behaviour::ReadsUntrusted, 0.5),
];

/// What a server could do in the worst case.
pub(super) fn privilege_of_server(graph: &Graph, server: u32) -> Factor {
    let all = behaviour::of_server(graph, server);
    let does = |wanted: Behaviour| all.iter().any(|placed| placed.sign.behaviour == wanted);
    match LEVELS.iter().copied().find(|(behaviour, _)| does(*behaviour)) {
        Some((behaviour, value)) => factor(FactorName::Privilege, value, format!("it {}", behaviour.as_str())),
        None if behaviour::tools_known(graph, server) => {
            factor(FactorName::Privilege, 0.4, "none of its tools is known to change or send anything")
        }
        None if runs_locally(graph, server) => {
            factor(FactorName::Privilege, 0.8, "it runs as a process with the user's own rights")
        }
        None => factor(FactorName::Privilege, 0.6, "its tools were not asked"),
    }
}

fn runs_locally(graph: &Graph, server: u32) -> bool {
    graph.entity(server).and_then(|server| server.text("transport")) == Some("stdio")
}

/// What lies behind a server: credentials and folders.
pub(super) fn sensitivity_of_server(graph: &Graph, server: u32) -> Factor {
    let credentials = graph.targets(server, RelationKind::Holds).count();
    let wide = graph.targets(server, RelationKind::Reaches).find(|(_, path)| is_wide(path));
    match (credentials, wide) {
        (0, Some((_, path))) => factor(FactorName::Sensitivity, 0.9, format!("it reaches `{}`", path.name)),
        (0, None) => factor(FactorName::Sensitivity, 0.5, "it holds no credential that was found"),
        (1, _) => factor(FactorName::Sensitivity, 0.9, "it holds a credential"),
        (many, _) => factor(FactorName::Sensitivity, 0.9, format!("it holds {many} credentials")),
    }
}

/// Whether a path entity stands for a whole home or a whole file system.
pub(super) fn is_wide(path: &Entity) -> bool {
    path.id.kind == EntityKind::Path && matches!(path.text("breadth"), Some("root" | "home"))
}

/// Who can write what the agent reads.
pub(super) fn input_trust_of_agent(graph: &Graph, agent: u32) -> Factor {
    let all = behaviour::of_agent(graph, agent);
    let untrusted = all.iter().find(|placed| placed.sign.behaviour == Behaviour::ReadsUntrusted);
    let unknown = || graph.targets(agent, RelationKind::Uses).any(|(server, _)| !behaviour::tools_known(graph, server));
    match untrusted.and_then(|placed| graph.entity(placed.at)) {
        Some(source) => {
            factor(FactorName::InputTrust, 1.0, format!("`{}` brings in what outsiders write", source.name))
        }
        None if unknown() => factor(FactorName::InputTrust, 0.7, "not every tool that the agent reads from is known"),
        None => factor(FactorName::InputTrust, 0.5, "no source of outsiders' text is known"),
    }
}

/// The same over every agent that uses a server: the worst of them.
pub(super) fn input_trust_of_server(graph: &Graph, server: u32) -> Factor {
    let agents = graph.sources(server, RelationKind::Uses);
    let all = agents.map(|(agent, _)| input_trust_of_agent(graph, agent));
    all.max_by(|a, b| a.value.total_cmp(&b.value))
        .unwrap_or_else(|| factor(FactorName::InputTrust, 0.5, "no agent that uses it is known"))
}

/// How much of the danger a gateway takes away that the calls pass, by what its policy does to them whatever they carry.
const PASSED: f64 = 0.3;
const PASSES: &str = "its calls pass the Bailiwick gateway";
const ASKED: f64 = 0.6;
const DENIED: f64 = 0.95;

/// What stands between an agent and a server, or one of its tools.
pub(super) fn control_between(graph: &Graph, agent: u32, server: u32, tool: Option<u32>) -> Option<Factor> {
    graph.entity(server).filter(|server| server.flag("protected") == Some(true))?;
    let (value, because) = match guard::before(graph, agent, server, tool) {
        Some(guard) => (if guard.effect == Effect::Asks { ASKED } else { DENIED }, guard.why()),
        None => (PASSED, PASSES.to_owned()),
    };
    Some(factor(FactorName::Control, value, because))
}

/// What stands in the way of a server, if anything, whoever misuses it.
pub(super) fn controls_of_server(server: &Entity) -> Vec<Factor> {
    let passes = (server.flag("protected") == Some(true)).then(|| factor(FactorName::Control, PASSED, PASSES));
    let off = "the configuration has it switched off";
    passes.into_iter().chain((!behaviour::enabled(server)).then(|| factor(FactorName::Control, 0.5, off))).collect()
}

/// What stands in the way of an agent that is made to misuse a server: over its agents and all that it does, the least.
fn control_of_calls(graph: &Graph, server: u32) -> Option<Factor> {
    let does = behaviour::of_server(graph, server);
    let tools: Vec<Option<u32>> = if does.is_empty() { vec![None] } else { does.iter().map(Placed::tool).collect() };
    let agents = graph.sources(server, RelationKind::Uses);
    let pairs = agents.flat_map(|(agent, _)| tools.iter().map(move |tool| (agent, *tool)));
    let controls = pairs.map(|(agent, tool)| control_between(graph, agent, server, tool));
    controls.min_by(|a, b| worth(a.as_ref()).total_cmp(&worth(b.as_ref()))).flatten()
}

fn worth(control: Option<&Factor>) -> f64 {
    control.map_or(0.0, |control| control.value)
}

/// How strictly policy stops what an agent would do by this: a rule shows what is stopped least.
pub(super) fn guarded(graph: &Graph, agent: u32, placed: &Placed) -> Option<Effect> {
    behaviour::guard(graph, agent, placed).map(|guard| guard.effect)
}

/// What stands in the way of something that an agent does by several means, all of which it takes: the most that stands
/// before any of them.
pub(super) fn control_of_all<'a>(graph: &Graph, means: impl IntoIterator<Item = (u32, &'a Placed)>) -> Option<Factor> {
    let controls =
        means.into_iter().filter_map(|(agent, placed)| control_between(graph, agent, placed.server?, placed.tool()));
    controls.max_by(|a, b| a.value.total_cmp(&b.value))
}

/// The four factors of a server and its controls; a rule replaces the ones that it knows better.
pub(super) fn server_factors(graph: &Graph, at: u32, server: &Entity) -> Vec<Factor> {
    let mut factors = vec![
        reach_of_config(server),
        privilege_of_server(graph, at),
        sensitivity_of_server(graph, at),
        input_trust_of_server(graph, at),
    ];
    factors.extend(controls_of_server(server));
    factors
}

/// The same of a server that does harm only where an agent calls it.
pub(super) fn called_factors(graph: &Graph, at: u32, server: &Entity) -> Vec<Factor> {
    let factors = server_factors(graph, at, server);
    match control_of_calls(graph, at).filter(|control| control.value > PASSED) {
        Some(control) => factors.into_iter().filter(|factor| factor.because != PASSES).chain([control]).collect(),
        None => factors,
    }
}

/// Replaces the factor of the same name.
pub(super) fn with(mut factors: Vec<Factor>, known: Factor) -> Vec<Factor> {
    factors.retain(|factor| factor.name != known.name);
    factors.push(known);
    factors.sort_by_key(|factor| factor.name);
    factors
}

/// What an agent could do in the worst case, over its servers and what it has built in.
pub(super) fn privilege_of_agent(graph: &Graph, agent: u32) -> Factor {
    let all = behaviour::of_agent(graph, agent);
    let worst = LEVELS.iter().find_map(|&(wanted, value)| {
        let placed = all.iter().find(|placed| placed.sign.behaviour == wanted)?;
        Some((graph.entity(placed.at)?, wanted, value))
    });
    match worst {
        Some((by, behaviour, value)) => {
            factor(FactorName::Privilege, value, format!("`{}` {}", by.name, behaviour.as_str()))
        }
        None => factor(FactorName::Privilege, 0.6, "what it can do is not known"),
    }
}

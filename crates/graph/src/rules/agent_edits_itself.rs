//! The rule `agent-edits-itself`.

use super::assess::{called_factors, factor, with};
use super::{Match, Rule, start, step};
use crate::behaviour::{self, Behaviour};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "agent-edits-itself",
    title: "An agent can rewrite its own configuration",
    why: "Text that the agent reads can have it add a server, switch off a question or change a hook, and the next \
          start obeys. A limit that the limited can move is none.",
    fix: "Give the server a folder that does not hold the agent's configuration, or let it only read.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI10"),
        Cite::Agentic("ASI06"),
        Cite::Mcp("MCP02"),
        Cite::Maestro("L3"),
        Cite::Maestro("L6"),
        Cite::Nist("CM-5"),
        Cite::Nist("AC-6"),
        Cite::Atlas("T0081"),
    ],
    fires: "agent claude config=/home/sam/.claude.json scope=user\nclaude uses files transport=stdio\nfiles reaches /home/sam breadth=home\nfiles offers write_file",
    silent: "agent claude config=/home/sam/.claude.json scope=user\nclaude uses files transport=stdio\nfiles reaches /home/sam/work breadth=folder\nfiles offers write_file\nclaude uses pages\npages reaches /home/sam breadth=home\npages offers read_file",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let agents = graph.of_kind(EntityKind::Agent);
    agents
        .filter_map(|(at, agent)| Some((at, agent, agent.text("config")?)))
        .flat_map(|(at, agent, config)| {
            let servers = graph.targets(at, RelationKind::Uses).filter(|(_, server)| behaviour::enabled(server));
            let open = servers.filter(|(server, _)| may_write(graph, *server));
            open.filter_map(move |(server, _)| matched(graph, (at, agent, config), server))
        })
        .collect()
}

/// A server is taken to write if a tool of it does, or if its tools are not known.
fn may_write(graph: &Graph, server: u32) -> bool {
    let writes = [Behaviour::Writes, Behaviour::Executes];
    !behaviour::tools_known(graph, server)
        || behaviour::of_server(graph, server).iter().any(|placed| writes.contains(&placed.sign.behaviour))
}

fn matched(graph: &Graph, (at, agent, config): (u32, &Entity, &str), server_at: u32) -> Option<Match> {
    let server = graph.entity(server_at)?;
    let mut reached =
        graph.targets(server_at, RelationKind::Reaches).filter(|(_, path)| path.id.kind == EntityKind::Path);
    let (path_at, path) = reached.find(|(_, path)| holds(&path.id.key, config))?;
    let privilege = match behaviour::tools_known(graph, server_at) {
        true => factor(FactorName::Privilege, 1.0, "it can change what the agent may do"),
        false => factor(
            FactorName::Privilege,
            0.8,
            "it can change what the agent may do, if it writes: its tools were not asked",
        ),
    };
    Some(Match {
        subject: agent.id.clone(),
        part: server.id.key.clone(),
        message: format!(
            "agent `{}` can rewrite its own configuration `{config}` through server `{}`",
            agent.name, server.name
        ),
        factors: with(called_factors(graph, server_at, server), privilege),
        path: vec![
            start(graph, at)?,
            step(graph, at, RelationKind::Uses, server_at)?,
            step(graph, server_at, RelationKind::Reaches, path_at)?.noted(format!("`{config}` lies in it")),
        ],
        choke_point: Some(server.id.clone()),
        fix: format!(
            "replace `{}` by a folder that does not hold `{config}`, or start `{}` read-only",
            path.id.key, server.name
        ),
    })
}

/// Whether a file lies in a folder, or is it; by whole names, so that `/a/b` does not hold `/a/bc`.
fn holds(folder: &str, file: &str) -> bool {
    let folder = folder.trim_end_matches(['/', '\\']);
    file.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '\\']))
}

//! The tools that agent clients have built in. No configuration names them, so they are concluded from
//! which client it is; every fact made here is inferred and says so.

use crate::model::Graph;
use crate::observation::{Basis, EntityId, EntityKind, Evidence, Fact, Observation, Props, RelationKind};

/// The connector's name in evidence.
pub const CONNECTOR: &str = "builtin";

type BuiltIn = (&'static str, &'static str);

const SHELL: &str = "Runs a shell command.";
const READ: &str = "Reads a file.";
const WRITE: &str = "Writes a file.";
const FETCH: &str = "Fetches the page of a url.";
const SEARCH: &str = "Searches the web.";

/// The names that the kernel shows for the program of each client that runs as one of its own.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("claude-code", &["claude"]),
    ("codex", &["codex"]),
    ("gemini-cli", &["gemini"]),
    ("cursor", &["cursor-agent"]),
    ("opencode", &["opencode"]),
    ("goose", &["goose", "goosed"]),
    ("kiro", &["kiro-cli"]),
    ("amazon-q", &["q", "qchat"]),
    ("copilot-cli", &["copilot"]),
];

/// What runs a script that is the program.
const INTERPRETERS: &[&str] = &["node", "bun", "deno", "python", "python3"];

/// The client whose program a process runs: by the name that the kernel has of it, and, where that is an interpreter's,
/// by the first of its arguments. Who wants to be taken for another program can be.
pub fn client_of_process(name: &str, argument: Option<&str>) -> Option<&'static str> {
    let script = argument.filter(|_| INTERPRETERS.contains(&name)).and_then(|path| path.rsplit('/').next());
    let is = |program: &&str| *program == name || script == Some(*program);
    PROGRAMS.iter().find(|(_, programs)| programs.iter().any(is)).map(|(client, _)| *client)
}

/// What each client offers its model without any server, as its documentation says. A client that is
/// not here is taken to have nothing built in.
const CLIENTS: &[(&str, &[BuiltIn])] = &[
    (
        "claude-code",
        &[
            ("Bash", SHELL),
            ("Read", READ),
            ("Edit", WRITE),
            ("Write", WRITE),
            ("WebFetch", FETCH),
            ("WebSearch", SEARCH),
        ],
    ),
    ("codex", &[("shell", SHELL), ("apply_patch", WRITE), ("web_search", SEARCH)]),
    ("cursor", &[("run_terminal_cmd", SHELL), ("read_file", READ), ("edit_file", WRITE), ("web_search", SEARCH)]),
    (
        "gemini-cli",
        &[
            ("run_shell_command", SHELL),
            ("read_file", READ),
            ("write_file", WRITE),
            ("web_fetch", FETCH),
            ("google_web_search", SEARCH),
        ],
    ),
    ("vscode", &[("run_in_terminal", SHELL), ("read_file", READ), ("edit_files", WRITE), ("fetch_webpage", FETCH)]),
    ("copilot-cli", &[("bash", SHELL), ("view", READ), ("edit", WRITE), ("web_fetch", FETCH)]),
    ("windsurf", &[("run_command", SHELL), ("view_file", READ), ("edit_file", WRITE), ("read_url_content", FETCH)]),
    ("zed", &[("terminal", SHELL), ("read_file", READ), ("edit_file", WRITE), ("fetch", FETCH)]),
    ("cline", &[("execute_command", SHELL), ("read_file", READ), ("write_to_file", WRITE), ("web_fetch", FETCH)]),
    ("roo", &[("execute_command", SHELL), ("read_file", READ), ("write_to_file", WRITE)]),
    (
        "continue",
        &[
            ("run_terminal_command", SHELL),
            ("read_file", READ),
            ("edit_existing_file", WRITE),
            ("fetch_url_content", FETCH),
        ],
    ),
    ("goose", &[("shell", SHELL), ("text_editor", WRITE)]),
    ("opencode", &[("bash", SHELL), ("read", READ), ("edit", WRITE), ("webfetch", FETCH)]),
    ("amazon-q", &[("execute_bash", SHELL), ("fs_read", READ), ("fs_write", WRITE)]),
    ("kiro", &[("execute_bash", SHELL), ("read_file", READ), ("fs_write", WRITE)]),
];

/// The graph of what was seen, with what clients have built in.
pub fn joined(mut seen: Vec<Observation>) -> Graph {
    seen.extend(observations(&seen));
    Graph::build(seen)
}

/// The built-in tools of every agent that these observations name.
pub fn observations(seen: &[Observation]) -> Vec<Observation> {
    let agents = seen.iter().filter_map(|observation| match &observation.fact {
        Fact::Entity { id, name, props } if id.kind == EntityKind::Agent => {
            Some((id, name.as_str(), props.get("client")?.as_str()?))
        }
        _ => None,
    });
    agents.flat_map(|(id, name, client)| of_agent(id, name, client)).collect()
}

fn of_agent(agent: &EntityId, name: &str, client: &str) -> Vec<Observation> {
    let tools = CLIENTS.iter().filter(|(id, _)| *id == client).flat_map(|(_, tools)| tools.iter());
    tools.flat_map(|(tool, description)| offer(agent, name, tool, description)).collect()
}

fn offer(agent: &EntityId, agent_name: &str, tool: &str, description: &str) -> [Observation; 2] {
    let id = EntityId::new(EntityKind::Tool, format!("{}/{tool}", agent.key));
    let evidence = Evidence {
        source: format!("built into {agent_name}"),
        line: None,
        connector: CONNECTOR.to_owned(),
        basis: Basis::Inferred,
    };
    let props: Props = [("description", description.into()), ("builtin", true.into())]
        .map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value))
        .into();
    let entity = Fact::Entity { id: id.clone(), name: tool.to_owned(), props };
    let relation = Fact::Relation { from: agent.clone(), kind: RelationKind::Offers, to: id, props: Props::new() };
    [entity, relation].map(|fact| Observation { fact, evidence: evidence.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::{Behaviour, of_tool};
    use crate::{Graph, text};

    #[test]
    fn a_known_client_brings_its_tools_and_an_unknown_one_nothing() {
        let seen = text::observations("agent a client=claude-code\nagent b client=unheard-of\nagent c").unwrap();
        let graph = Graph::build(observations(&seen));
        assert_eq!(graph.of_kind(EntityKind::Tool).count(), 6);
        assert!(graph.entities().iter().all(|entity| entity.evidence[0].basis == Basis::Inferred));
    }

    #[test]
    fn the_words_of_the_table_show_what_each_tool_does() {
        for (client, _) in CLIENTS {
            let seen = text::observations(&format!("agent a client={client}")).unwrap();
            let graph = Graph::build(observations(&seen));
            let all: Vec<Behaviour> = graph
                .of_kind(EntityKind::Tool)
                .flat_map(|(_, tool)| of_tool(tool))
                .map(|sign| sign.behaviour)
                .collect();
            assert!(all.contains(&Behaviour::Executes) && all.contains(&Behaviour::Writes), "{client}: {all:?}");
        }
    }
}

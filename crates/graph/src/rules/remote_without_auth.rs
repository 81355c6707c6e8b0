//! The rule `remote-without-auth`.

use super::assess::{factor, server_factors, with};
use super::url::Url;
use super::{Match, Rule, start, step};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::{Entity, Graph};
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "remote-without-auth",
    title: "A remote server is used without authentication",
    why: "A server that asks nobody who they are answers everybody: whoever finds its address has its tools. \
          And what it does cannot be traced to an agent or a person.",
    fix: "Have the server demand a token or OAuth, and give the agent one of its own. If it already signs in by \
          OAuth when it runs, record that in the mandate.",
    cites: &[
        Cite::Llm("LLM06"),
        Cite::Agentic("ASI03"),
        Cite::Agentic("ASI07"),
        Cite::Mcp("MCP07"),
        Cite::Maestro("L4"),
        Cite::Nist("IA-9"),
        Cite::Atlas("T0049"),
    ],
    fires: "agent claude uses wiki transport=http scope=user auth=false\nwiki connects https://wiki.example",
    silent: "agent claude uses wiki transport=http scope=user auth=true headers=[\"Authorization\"]\nwiki connects https://wiki.example",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let open = graph.of_kind(EntityKind::Server).filter(|(_, server)| server.flag("auth") == Some(false));
    open.flat_map(|(at, server)| {
        graph.targets(at, RelationKind::Connects).filter_map(move |(to, end)| matched(graph, (at, server), (to, end)))
    })
    .collect()
}

fn matched(graph: &Graph, (at, server): (u32, &Entity), (to, endpoint): (u32, &Entity)) -> Option<Match> {
    if Url::parse(&endpoint.id.key)?.is_loopback() {
        return None;
    }
    let reach = factor(FactorName::Reach, 0.5, "whoever can reach the address; a sign-in at run time is not seen here");
    Some(Match {
        subject: server.id.clone(),
        part: endpoint.id.key.clone(),
        message: format!(
            "nothing in the configuration of server `{}` says who is calling `{}`",
            server.name, endpoint.name
        ),
        factors: with(server_factors(graph, at, server), reach),
        path: vec![start(graph, at)?, step(graph, at, RelationKind::Connects, to)?],
        choke_point: None,
        fix: format!("have `{}` demand a token or OAuth and give `{}` one of its own", endpoint.id.key, server.name),
    })
}

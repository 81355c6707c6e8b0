//! The rule `remote-over-http`.

use super::assess::{factor, server_factors, with};
use super::{Match, Rule, start, step};
use crate::finding::FactorName;
use crate::frameworks::Cite;
use crate::model::Graph;
use crate::observation::{EntityKind, RelationKind};

pub(super) const RULE: Rule = Rule {
    id: "remote-over-http",
    title: "A remote server is reached over plain http",
    why: "Anyone on the way reads the calls and their credentials, and can answer in the server's place: the \
          answer goes into the model as if the server had said it.",
    fix: "Use `https`. A server on this machine may stay on `http` at a loopback address.",
    cites: &[
        Cite::Llm("LLM02"),
        Cite::Agentic("ASI07"),
        Cite::Mcp("MCP07"),
        Cite::Maestro("L4"),
        Cite::Nist("SC-8"),
        Cite::Atlas("T0049"),
    ],
    fires: "agent claude uses wiki transport=http scope=user url=http://wiki.example/mcp\nwiki connects http://wiki.example",
    silent: "agent claude uses wiki transport=http scope=user url=http://127.0.0.1:8080/mcp\nwiki connects http://127.0.0.1:8080",
    check,
};

fn check(graph: &Graph) -> Vec<Match> {
    let servers = graph.of_kind(EntityKind::Server);
    servers
        .flat_map(|(at, _)| graph.targets(at, RelationKind::Connects).map(move |(endpoint, _)| (at, endpoint)))
        .filter_map(|(at, endpoint)| matched(graph, at, endpoint))
        .collect()
}

fn matched(graph: &Graph, at: u32, endpoint_at: u32) -> Option<Match> {
    let (server, endpoint) = (graph.entity(at)?, graph.entity(endpoint_at)?);
    let url = super::url::Url::parse(&endpoint.id.key)?;
    if url.scheme != "http" || url.is_loopback() {
        return None;
    }
    let reach = factor(FactorName::Reach, 0.9, "anyone on the network between here and there");
    let trust = factor(FactorName::InputTrust, 1.0, "whoever is on the way can write the answers");
    Some(Match {
        subject: server.id.clone(),
        part: endpoint.id.key.clone(),
        message: format!("server `{}` is reached over plain http at `{}`", server.name, endpoint.id.key),
        factors: with(with(server_factors(graph, at, server), reach), trust),
        path: vec![start(graph, at)?, step(graph, at, RelationKind::Connects, endpoint_at)?],
        choke_point: None,
        fix: format!("use `https://{}`; if the server has no TLS, put it behind a proxy that has", url.authority),
    })
}

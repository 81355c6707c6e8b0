//! Mandate against reach: what an agent was meant to do, what it can do and what it did, side by side, and the policy
//! that leaves only what it was meant to.
//!
//! A list that a mandate does not have says nothing: nothing is excess against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::behaviour;
use crate::model::{Entity, Graph};
use crate::observation::{EntityId, EntityKind, RelationKind};
use crate::paths::{Model, Place};

/// One agent beside its mandate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The agent.
    pub agent: EntityId,
    /// The name that policy and record know it by.
    pub client: String,
    /// What it is for, as the mandate says.
    pub purpose: String,
    /// Its tools, or servers where the tools are not known, and its destinations.
    pub rows: Vec<Row>,
    /// What it gets at in the end, by kind.
    pub reaches: BTreeMap<String, Vec<String>>,
    /// A Cedar policy that forbids what was not meant; absent where the mandate lists no tools.
    pub policy: Option<String>,
}

/// One thing that an agent was meant to have, or has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `server/tool`, `server/*`, or a host.
    pub what: String,
    /// Whether the mandate lists it; absent where the mandate says nothing of such things.
    pub meant: Option<bool>,
    /// Whether it is there.
    pub granted: bool,
    /// How often it was used; absent where no record was read.
    pub used: Option<u64>,
}

/// How a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Meant, there, and used or not known to be unused.
    Fits,
    /// There and not meant.
    Excess,
    /// Meant and there, and never used.
    Unused,
    /// Meant and not there.
    Absent,
    /// The mandate says nothing.
    Unsaid,
}

impl Row {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        match (self.meant, self.granted, self.used) {
            (None, _, _) => Standing::Unsaid,
            (Some(false), _, _) => Standing::Excess,
            (Some(true), false, _) => Standing::Absent,
            (Some(true), true, Some(0)) => Standing::Unused,
            (Some(true), true, _) => Standing::Fits,
        }
    }
}

/// Calls by client and `server/tool`; `None` where no record was read.
pub type Calls = Option<BTreeMap<(String, String), u64>>;

/// Every agent that a mandate governs.
pub fn compare(graph: &Graph, calls: &Calls) -> Vec<Compared> {
    let governed = graph.of_kind(EntityKind::Mandate);
    let model = Model::new(graph);
    governed
        .flat_map(|(at, mandate)| graph.targets(at, RelationKind::Governs).map(move |(agent, _)| (mandate, agent)))
        .filter_map(|(mandate, agent)| one(&model, mandate, agent, calls))
        .collect()
}

fn one(model: &Model<'_>, mandate: &Entity, at: u32, calls: &Calls) -> Option<Compared> {
    let graph = model.graph();
    let agent = graph.entity(at)?;
    let client = agent.text("client").unwrap_or(&agent.name).to_owned();
    let tools = list(mandate, "tools");
    let used = |what: &str| {
        let calls = calls.as_ref()?;
        let server = what.strip_suffix("/*");
        let is = |tool: &str| server.map_or(tool == what, |server| tool.split('/').next() == Some(server));
        Some(calls.iter().filter(|((by, tool), _)| *by == client && is(tool)).map(|(_, count)| count).sum())
    };
    let granted = granted(graph, at, &client);
    let mut rows: Vec<Row> = granted
        .iter()
        .map(|what| Row {
            what: what.clone(),
            meant: tools.as_ref().map(|meant| meant.iter().any(|meant| covers(meant, what) || covers(what, meant))),
            granted: true,
            used: used(what),
        })
        .collect();
    for meant in
        tools.iter().flatten().filter(|meant| !granted.iter().any(|what| covers(meant, what) || covers(what, meant)))
    {
        rows.push(Row { what: meant.clone(), meant: Some(true), granted: false, used: used(meant) });
    }
    rows.extend(destinations(graph, at, list(mandate, "destinations").as_deref()));
    Some(Compared {
        agent: agent.id.clone(),
        purpose: mandate.name.clone(),
        reaches: reaches(model, at),
        policy: tools.map(|meant| policy(&client, &meant)),
        client,
        rows,
    })
}

fn list(mandate: &Entity, name: &str) -> Option<Vec<String>> {
    mandate.props.get(name)?;
    Some(mandate.list(name).map(str::to_owned).collect())
}

/// Its tools by server, its own by its name; a server whose tools are not known is one row.
fn granted(graph: &Graph, agent: u32, client: &str) -> BTreeSet<String> {
    let own = graph.targets(agent, RelationKind::Offers).filter(|(_, tool)| tool.id.kind == EntityKind::Tool);
    let mut all: BTreeSet<String> = own.map(|(_, tool)| format!("{client}/{}", tool.name)).collect();
    for (at, server) in graph.targets(agent, RelationKind::Uses).filter(|(_, server)| behaviour::enabled(server)) {
        let name = server.name.replace('/', "-");
        let tools: Vec<&Entity> = graph
            .targets(at, RelationKind::Offers)
            .map(|(_, tool)| tool)
            .filter(|tool| tool.id.kind == EntityKind::Tool)
            .collect();
        if tools.is_empty() {
            all.insert(format!("{name}/*"));
        }
        all.extend(tools.into_iter().map(|tool| format!("{name}/{}", tool.name)));
    }
    all
}

/// Whether a pattern of `*` covers a name.
pub fn covers(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len())
                .filter(|at| tail.is_char_boundary(*at))
                .any(|at| tail.get(at..).is_some_and(|tail| covers(rest, tail)))
        }),
    }
}

fn destinations(graph: &Graph, agent: u32, meant: Option<&[String]>) -> Vec<Row> {
    let servers = graph.targets(agent, RelationKind::Uses).filter(|(_, server)| behaviour::enabled(server));
    let hosts: BTreeSet<String> = servers
        .flat_map(|(at, _)| graph.targets(at, RelationKind::Connects))
        .filter(|(_, endpoint)| endpoint.flag("loopback") != Some(true))
        .map(|(_, endpoint)| endpoint.text("host").unwrap_or(&endpoint.name).to_owned())
        .collect();
    let row = |host: String| Row {
        meant: meant.map(|meant| meant.iter().any(|meant| covers(meant, &host))),
        what: host,
        granted: true,
        used: None,
    };
    hosts.into_iter().map(row).collect()
}

/// What it gets at in the end, by kind.
fn reaches(model: &Model<'_>, agent: u32) -> BTreeMap<String, Vec<String>> {
    let kinds = [EntityKind::Credential, EntityKind::Identity, EntityKind::Store, EntityKind::Path];
    let mut reaches: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let entities = model.reached_from(Place::Entity(agent)).into_iter().filter_map(|at| model.graph().entity(at));
    for entity in entities.filter(|entity| kinds.contains(&entity.id.kind)) {
        let mark = if entity.flag("administrator") == Some(true) { " (administrator)" } else { "" };
        reaches.entry(entity.id.kind.to_string()).or_default().push(format!("{}{mark}", entity.name));
    }
    reaches
}

/// Forbids the agent everything but what was meant. What it forbids wins over every permit, and it permits nothing.
fn policy(client: &str, meant: &[String]) -> String {
    let allowed: Vec<String> = meant
        .iter()
        .map(|meant| match meant.strip_suffix("/*") {
            Some("*") => "true".to_owned(),
            Some(server) => format!("resource in Server::{server:?}"),
            None if !meant.contains('*') => format!("resource == Tool::{meant:?}"),
            None => {
                let (server, tool) = meant.split_once('/').unwrap_or(("*", meant));
                let of_server =
                    if server == "*" { String::new() } else { format!("resource in Server::{server:?} && ") };
                format!("({of_server}resource.name like {tool:?})")
            }
        })
        .collect();
    let mut text = String::from("@reason(\"the mandate does not name it\")\n");
    let _ = write!(text, "forbid (principal == Agent::{client:?}, action in Action::\"call_tool\", resource)");
    if allowed.is_empty() {
        text + ";\n"
    } else {
        format!("{text}\nunless {{\n    {}\n}};\n", allowed.join(" ||\n    "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    #[test]
    fn what_was_meant_what_is_there_and_what_was_used() {
        let graph = text::parse(
            "agent claude client=claude-code uses mail; mail offers read; mail offers send; claude uses web\nmandate m tools=[\"mail/read\",\"web/*\",\"files/*\"] governs claude\nmail holds k3y",
        )
        .unwrap();
        let calls = Some(BTreeMap::from([(("claude-code".to_owned(), "mail/read".to_owned()), 3)]));
        let found = compare(&graph, &calls);
        let rows: Vec<(&str, Standing)> = found[0].rows.iter().map(|row| (row.what.as_str(), row.standing())).collect();
        assert_eq!(
            rows,
            [
                ("mail/read", Standing::Fits),
                ("mail/send", Standing::Excess),
                ("web/*", Standing::Unused),
                ("files/*", Standing::Absent)
            ]
        );
        assert_eq!(found[0].reaches["credential"], ["k3y"]);
        insta::assert_snapshot!(found[0].policy.as_ref().unwrap(), @r#"
        @reason("the mandate does not name it")
        forbid (principal == Agent::"claude-code", action in Action::"call_tool", resource)
        unless {
            resource == Tool::"mail/read" ||
            resource in Server::"web" ||
            resource in Server::"files"
        };
        "#);
    }

    #[test]
    fn what_an_agent_brings_itself_is_meant_or_excess_like_the_rest() {
        let of = |tools: &str| {
            let text = format!("agent claude client=claude-code offers Bash\nmandate m tools={tools} governs claude");
            let found = compare(&text::parse(&text).unwrap(), &None);
            found[0].rows.iter().map(|row| (row.what.clone(), row.standing())).collect::<Vec<_>>()
        };
        let bash = || "claude-code/Bash".to_owned();
        assert_eq!(of("[\"claude-code/*\"]"), [(bash(), Standing::Fits)]);
        assert_eq!(of("[]"), [(bash(), Standing::Excess)]);
    }

    #[test]
    fn a_mandate_without_a_list_says_nothing_and_an_empty_one_says_none() {
        let of = |tools: &str| {
            let graph = text::parse(&format!("agent a client=c uses s\nmandate m {tools} governs a")).unwrap();
            let found = compare(&graph, &None);
            (found[0].rows[0].standing(), found[0].policy.clone())
        };
        assert_eq!(of(""), (Standing::Unsaid, None));
        let (standing, policy) = of("tools=[]");
        assert_eq!(standing, Standing::Excess);
        assert!(policy.unwrap().ends_with("resource);\n"));
    }
}

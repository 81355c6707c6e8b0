//! What a gateway's policy does to calls before they are made: those that it denies, or leaves to a person, whatever they carry.
//!
//! Nothing here evaluates policy. Whoever can tells [`write`], which notes each guard at the relation by which an agent uses
//! a server; [`before`] reads it there. What a call would have to carry to be stopped makes no guard.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Entity, Graph, Relation};
use crate::observation::{EntityKind, RelationKind};

/// The property of a relation that holds its guards.
const GUARDS: &str = "guards";

/// What stands before every call of a tool, or before all that a server has. The strictest is the greatest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Guard {
    /// What becomes of a call.
    pub effect: Effect,
    /// The tool, by name; absent for all that the server has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The policy, as `id (file:line)`; absent where it is that none permits the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// What a policy does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A person is asked to approve it.
    Asks,
    /// It is denied.
    Denies,
}

impl Guard {
    /// Who stops it, as a clause.
    pub fn why(&self) -> String {
        match (&self.policy, self.effect) {
            (Some(policy), Effect::Denies) => {
                format!("the gateway's policy {policy} denies it, whatever a call carries")
            }
            (Some(policy), Effect::Asks) => format!("the gateway's policy {policy} has a person approve it"),
            (None, _) => "no policy of the gateway permits it, whatever a call carries".to_owned(),
        }
    }
}

/// Notes the guards of every server whose calls pass the gateway, and forgets what was noted before. `guard` is asked for a
/// client, a server and a tool, by name; without a tool for all that the server has.
pub fn write(graph: &mut Graph, guard: impl Fn(&str, &str, Option<&str>) -> Option<Guard>) {
    let guards = |from: u32, to: u32| -> Option<Value> {
        let server = graph.entity(to).filter(|server| server.flag("protected") == Some(true))?;
        let client = graph.entity(from)?.text("client")?;
        let whole = guard(client, &server.name, None);
        let effect = whole.as_ref().map(|whole| whole.effect);
        let each = tools(graph, to).filter_map(|(_, tool)| guard(client, &server.name, Some(name(tool))));
        let mut all: Vec<Guard> = each.filter(|one| Some(one.effect) > effect).chain(whole).collect();
        all.sort();
        (!all.is_empty()).then(|| serde_json::to_value(all).ok()).flatten()
    };
    let uses = graph.relations().iter().enumerate().filter(|(_, relation)| relation.kind == RelationKind::Uses);
    let noted: Vec<(usize, Option<Value>)> =
        uses.map(|(at, relation)| (at, guards(relation.from, relation.to))).collect();
    for (at, value) in noted {
        graph.annotate(at, GUARDS, value);
    }
}

/// Forgets every guard.
pub fn clear(graph: &mut Graph) {
    write(graph, |_, _, _| None);
}

/// The strictest guard between an agent and a server, or one of its tools.
pub fn before(graph: &Graph, agent: u32, server: u32, tool: Option<u32>) -> Option<Guard> {
    let tool = tool.and_then(|tool| graph.entity(tool)).filter(|tool| tool.id.kind == EntityKind::Tool).map(name);
    let guards = noted(graph.relation(agent, RelationKind::Uses, server)?)?;
    guards.into_iter().filter(|guard| guard.tool.is_none() || guard.tool.as_deref() == tool).max()
}

/// Where a guard stands before every tool of a server that is known: the least strict.
pub fn before_each_tool(graph: &Graph, agent: u32, server: u32) -> Option<Guard> {
    let guards: Option<Vec<Guard>> =
        tools(graph, server).map(|(tool, _)| before(graph, agent, server, Some(tool))).collect();
    guards?.into_iter().min()
}

/// Every relation that has guards.
pub fn all(graph: &Graph) -> impl Iterator<Item = (&Relation, Vec<Guard>)> {
    graph.relations().iter().filter_map(|relation| Some((relation, noted(relation)?)))
}

fn noted(relation: &Relation) -> Option<Vec<Guard>> {
    Vec::deserialize(relation.props.get(GUARDS)?).ok()
}

fn tools(graph: &Graph, server: u32) -> impl Iterator<Item = (u32, &Entity)> {
    graph.targets(server, RelationKind::Offers).filter(|(_, tool)| tool.id.kind == EntityKind::Tool)
}

/// The name by which a tool is called.
fn name(tool: &Entity) -> &str {
    tool.text("name").unwrap_or(&tool.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    const ESTATE: &str = "agent claude client=c uses web\nagent other client=o uses web\nagent third client=c uses raw\n\
        web protected=true offers fetch\nweb offers post\nraw offers fetch";

    fn index(graph: &Graph, name: &str) -> u32 {
        (0..).zip(graph.entities()).find(|(_, entity)| entity.name == name).unwrap().0
    }

    #[test]
    fn a_guard_is_of_its_agent_server_and_tool_and_the_strictest_counts() {
        let mut graph = text::parse(ESTATE).unwrap();
        write(&mut graph, |client, _, tool| {
            let guard = |effect| Guard { effect, tool: tool.map(str::to_owned), policy: None };
            match (client, tool) {
                ("c", None) => Some(guard(Effect::Asks)),
                ("c", Some("post")) => Some(guard(Effect::Denies)),
                _ => None,
            }
        });
        let at = |name: &str| index(&graph, name);
        let before = |agent: &str, server: &str, tool: Option<&str>| {
            super::before(&graph, at(agent), at(server), tool.map(at)).map(|guard| guard.effect)
        };
        assert_eq!(before("claude", "web", None), Some(Effect::Asks));
        assert_eq!(before("claude", "web", Some("post")), Some(Effect::Denies));
        assert_eq!(before("claude", "web", Some("fetch")), Some(Effect::Asks));
        assert_eq!(before("other", "web", Some("post")), None);
        assert_eq!(before("third", "raw", None), None, "its calls do not pass the gateway");
        let least = before_each_tool(&graph, at("claude"), at("web"));
        assert_eq!(least.map(|guard| guard.effect), Some(Effect::Asks));
        assert_eq!(before_each_tool(&graph, at("other"), at("web")), None);
    }

    #[test]
    fn what_was_noted_before_is_forgotten() {
        let mut graph = text::parse(ESTATE).unwrap();
        let unguarded = graph.clone();
        write(&mut graph, |_, _, _| Some(Guard { effect: Effect::Denies, tool: None, policy: None }));
        assert_ne!(graph, unguarded);
        clear(&mut graph);
        assert_eq!(graph, unguarded);
    }
}

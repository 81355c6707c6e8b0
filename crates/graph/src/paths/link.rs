//! What each relation means to an attacker: whoever controls the one end gets the other, on which grants.

use std::collections::BTreeSet;

use crate::behaviour::{self, Behaviour};
use crate::guard::{self, Effect};
use crate::model::{Entity, Graph, Relation};
use crate::observation::{Basis, EntityKind, Evidence, RelationKind};
use crate::way::{self, Grant, Need};

/// One step of an attacker.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// What must be controlled, all of it.
    pub from: Vec<Place>,
    /// What is gained.
    pub to: u32,
    /// How, as a clause between the two names.
    pub title: String,
    /// A stable word for the kind of step.
    pub kind: String,
    /// What it rests on.
    pub needs: Vec<Need>,
    /// Where it was seen.
    pub evidence: Vec<Evidence>,
    /// What is not known of it; where something is, it may work, and is not certain to.
    pub open: Vec<String>,
}

impl Link {
    /// Whether it certainly works.
    pub fn is_certain(&self) -> bool {
        self.open.is_empty()
    }
}

/// Where an attacker can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Writing what agents read: web pages, mail, issues.
    Outsiders,
    /// At an entity, by its index.
    Entity(u32),
}

/// Every step that a graph shows.
pub fn links(graph: &Graph) -> Vec<Link> {
    let mut links: Vec<Link> = graph.relations().iter().flat_map(|relation| of_relation(graph, relation)).collect();
    for (agent, _) in graph.of_kind(EntityKind::Agent) {
        links.extend(untrusted(graph, agent));
    }
    links.extend(secrets_in_reach(graph));
    links.extend(configurations_in_reach(graph));
    links
}

fn of_relation(graph: &Graph, relation: &Relation) -> Vec<Link> {
    let (Some(from), Some(to)) = (graph.entity(relation.from), graph.entity(relation.to)) else { return Vec::new() };
    match relation.kind {
        RelationKind::Uses if behaviour::enabled(to) => used(graph, relation),
        RelationKind::Offers => vec![plain(graph, relation, "offers")],
        RelationKind::Holds => vec![held(graph, relation)],
        RelationKind::Runs if to.id.kind == EntityKind::Package && to.flag("pinned") == Some(false) => {
            vec![turned(graph, relation, "publishes", "is run, in whatever version there is, by")]
        }
        RelationKind::Connects if !is_loopback(to) && from.id.kind == EntityKind::Server => {
            vec![plain(graph, relation, "connects to"), turned(graph, relation, "serves", "is what answers as")]
        }
        RelationKind::Connects => vec![plain(graph, relation, "connects to")],
        RelationKind::Reaches | RelationKind::ActsAs | RelationKind::Publishes => explained(graph, relation),
        RelationKind::Uses | RelationKind::Runs | RelationKind::Owns | RelationKind::Governs => Vec::new(),
    }
}

fn is_loopback(endpoint: &Entity) -> bool {
    endpoint.flag("loopback") == Some(true)
}

fn plain(graph: &Graph, relation: &Relation, title: &str) -> Link {
    Link {
        from: vec![Place::Entity(relation.from)],
        to: relation.to,
        title: title.to_owned(),
        kind: relation.kind.to_string(),
        needs: vec![shown(graph, relation)],
        evidence: relation.evidence.clone(),
        open: Vec::new(),
    }
}

fn turned(graph: &Graph, relation: &Relation, kind: &str, title: &str) -> Link {
    let link = plain(graph, relation, title);
    Link { from: vec![Place::Entity(relation.to)], to: relation.from, kind: kind.to_owned(), ..link }
}

/// Of what the gateway's policy denies whole, only what the server says of itself comes to the agent.
fn used(graph: &Graph, relation: &Relation) -> Vec<Link> {
    let uses = plain(graph, relation, "uses");
    let answers = turned(graph, relation, "answers", "is read by");
    let guard = guard::before(graph, relation.from, relation.to, None);
    let open = |link: Link, what: &str, why: &str| Link { open: vec![format!("{what}: {why}")], ..link };
    match guard.map(|guard| (guard.effect, guard.why())) {
        None => match guard::before_each_tool(graph, relation.from, relation.to) {
            Some(guard) => {
                let tools = format!("of each tool that is known {}", guard.why());
                vec![open(uses, "what it gives beside its tools", &tools), open(answers, "what else it says", &tools)]
            }
            None => vec![uses, answers],
        },
        Some((Effect::Asks, why)) => {
            vec![open(uses, "whether it is approved", &why), open(answers, "whether it is asked anything", &why)]
        }
        Some((Effect::Denies, why)) => vec![open(answers, "whether its own introduction does", &why)],
    }
}

/// The need for a relation itself: any of the places that assert it is enough.
fn shown(graph: &Graph, relation: &Relation) -> Need {
    let name = |at: u32| graph.entity(at).map_or("", |entity| entity.name.as_str());
    let claim = format!("{} {} {}", name(relation.from), relation.kind, name(relation.to));
    let any: BTreeSet<Grant> = relation
        .evidence
        .iter()
        .map(|evidence| Grant {
            source: evidence.source.clone(),
            line: evidence.line,
            // A line of a file is one thing to remove whatever it says; a source without lines is as many as it asserts.
            name: if evidence.line.is_some() { String::new() } else { claim.clone() },
        })
        .collect();
    Need { claim, any: any.into_iter().collect() }
}

/// A secret that a process holds is the attacker's if the attacker runs code there, and else as far as its tools go.
fn held(graph: &Graph, relation: &Relation) -> Link {
    let placed = match graph.entity(relation.from).map(|entity| entity.id.kind) {
        Some(EntityKind::Agent) => behaviour::of_agent(graph, relation.from),
        _ => behaviour::of_server(graph, relation.from),
    };
    let runs = placed.iter().any(|placed| placed.sign.behaviour == Behaviour::Executes);
    let open = if runs { Vec::new() } else { vec!["how far its tools let the secret be used".to_owned()] };
    Link { open, ..plain(graph, relation, "holds") }
}

/// A relation with the ways that its connector wrote down.
fn explained(graph: &Graph, relation: &Relation) -> Vec<Link> {
    let title = match relation.kind {
        RelationKind::ActsAs => "acts as",
        RelationKind::Publishes => "publishes",
        _ => "may touch",
    };
    let mut plain = plain(graph, relation, title);
    if relation.text("truth") == Some("unknown") {
        let beside = relation.text("setting").map(|setting| format!(" beside `{setting}`")).unwrap_or_default();
        plain.open.push(format!("whether anything{beside} lets it do that"));
    }
    if graph.entity(relation.from).is_some_and(|entity| entity.id.kind == EntityKind::Credential) {
        // Whose key it is is a fact and no grant: nobody can take it away but by taking the key.
        plain.needs.clear();
    }
    let ways = way::of(relation);
    if ways.is_empty() {
        return vec![plain];
    }
    let also = |way: &way::Way| way.also.as_ref().map(|id| graph.index(id));
    ways.into_iter()
        .filter(|way| also(way) != Some(None))
        .map(|way| Link {
            from: plain.from.iter().copied().chain(also(&way).flatten().map(Place::Entity)).collect(),
            title: format!("{}, and gets", way.title),
            evidence: way.evidence(relation),
            kind: way.kind,
            needs: way.needs,
            open: way.open,
            ..plain.clone()
        })
        .collect()
}

/// Who writes what an agent reads can have the agent act.
fn untrusted(graph: &Graph, agent: u32) -> Vec<Link> {
    let sources = behaviour::of_agent(graph, agent);
    let sources = sources.into_iter().filter(|placed| placed.sign.behaviour == Behaviour::ReadsUntrusted);
    sources
        .filter_map(|placed| {
            let source = graph.entity(placed.at)?;
            let guard = behaviour::guard(graph, agent, &placed);
            if guard.as_ref().is_some_and(|guard| guard.effect == Effect::Denies) {
                return None;
            }
            let used = placed.server.and_then(|server| graph.relation(agent, RelationKind::Uses, server));
            let offered = graph.relation(placed.server.unwrap_or(agent), placed.kind, placed.at)?;
            let how = placed.server.and_then(|server| graph.entity(server)).map_or_else(
                || format!("`{}`", source.name),
                |server| format!("`{}` of `{}`", source.name, server.name),
            );
            let inferred = if placed.sign.basis == Basis::Inferred { " (inferred)" } else { "" };
            Some(Link {
                from: vec![Place::Outsiders],
                to: agent,
                title: format!("write what {how} brings in{inferred} to"),
                kind: "untrusted".to_owned(),
                needs: used.into_iter().chain([offered]).map(|relation| shown(graph, relation)).collect(),
                evidence: used.into_iter().chain([offered]).flat_map(|relation| relation.evidence.clone()).collect(),
                open: guard.map(|guard| format!("whether it is approved: {}", guard.why())).into_iter().collect(),
            })
        })
        .collect()
}

/// A secret in a file is held by whoever may touch a folder that the file lies in.
fn secrets_in_reach(graph: &Graph) -> Vec<Link> {
    let folders: Vec<(u32, &Entity)> = folders(graph);
    let mut links = Vec::new();
    for (credential, entity) in graph.of_kind(EntityKind::Credential) {
        for evidence in &entity.evidence {
            for (folder, path) in folders.iter().filter(|(_, path)| holds(&path.id.key, &evidence.source)) {
                let name = entity.name.clone();
                let grant = Grant { source: evidence.source.clone(), line: evidence.line, name: String::new() };
                links.push(Link {
                    from: vec![Place::Entity(*folder)],
                    to: credential,
                    title: "holds a file with".to_owned(),
                    kind: "lies-in".to_owned(),
                    needs: vec![Need { claim: format!("{name} lies in {}", path.id.key), any: vec![grant] }],
                    evidence: vec![evidence.clone()],
                    open: Vec::new(),
                });
            }
        }
    }
    links
}

fn folders(graph: &Graph) -> Vec<(u32, &Entity)> {
    graph.of_kind(EntityKind::Path).filter(|(_, path)| path.text("breadth") != Some("file")).collect()
}

/// Each agent with the files that decide what it does: its configuration, and instructions that it reads by itself.
fn steering(graph: &Graph) -> impl Iterator<Item = (u32, &str)> {
    graph.of_kind(EntityKind::Agent).flat_map(|(agent, entity)| {
        let prompts = graph.targets(agent, RelationKind::Offers).filter(|(_, to)| to.id.kind == EntityKind::Prompt);
        let paths = prompts.filter_map(|(_, prompt)| prompt.text("path"));
        entity.text("config").into_iter().chain(paths).map(move |path| (agent, path))
    })
}

/// Whoever may write a folder that an agent's configuration or instructions lie in decides what the agent does next.
fn configurations_in_reach(graph: &Graph) -> Vec<Link> {
    let mut links = Vec::new();
    for (path, folder) in folders(graph) {
        for (agent, steering) in steering(graph) {
            if !holds(&folder.id.key, steering) {
                continue;
            }
            for relation in graph.incoming(path).filter(|relation| relation.kind == RelationKind::Reaches) {
                let known = behaviour::tools_known(graph, relation.from);
                let changes = |placed: &behaviour::Placed| {
                    matches!(placed.sign.behaviour, Behaviour::Writes | Behaviour::Executes)
                };
                if known && !behaviour::of_server(graph, relation.from).iter().any(changes) {
                    continue;
                }
                let open =
                    if known { Vec::new() } else { vec!["whether it writes: its tools were not asked".to_owned()] };
                links.push(Link {
                    to: agent,
                    title: format!("may rewrite `{steering}`, which steers"),
                    kind: "rewrites".to_owned(),
                    open,
                    ..plain(graph, relation, "")
                });
            }
        }
    }
    links
}

/// Whether a file lies in a folder, or is it; by whole names, so that `/a/b` does not hold `/a/bc`.
pub(crate) fn holds(folder: &str, file: &str) -> bool {
    let folder = folder.trim_end_matches(['/', '\\']);
    file.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '\\']))
}

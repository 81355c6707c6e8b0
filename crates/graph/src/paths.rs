//! Attack paths over the joined graph: from where an attacker can stand, through agents, servers, credentials and
//! identities, to what matters; and the grants without which they end.
//!
//! The set of pairs is complete; each has one shortest witness. A pair is certain if some way to it has only certain
//! steps. Start with [`Model::new`] and [`Model::find`]; [`report`] writes the answer down.

mod goal;
mod link;
pub mod patch;
pub mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use goal::{Goal, Start, UnknownName};
pub(crate) use goal::{is_administrator, is_crown, is_jewel};
pub use link::{Link, Place, links};

use crate::model::Graph;
use crate::observation::EntityKind;
use crate::reach::{Builder, Choke, Cut, Network, Question, Reached, StepId, Ways, Without};
use crate::way::Grant;

/// The joined graph as an attacker sees it.
pub struct Model<'g> {
    graph: &'g Graph,
    links: Vec<Link>,
    grants: Vec<Grant>,
    all: Steps,
    certain: Steps,
}

/// The links as a network. Its nodes: the graph's entities, the outsiders, the grants, and for each need with several
/// grants a node that any of them leads to.
struct Steps {
    network: Network,
    /// The link behind each step.
    link: HashMap<(Vec<u32>, u32), usize>,
}

/// Everything that leads to some goals.
pub struct Found {
    /// One path for each pair, grouped by [`Found::stories`].
    pub paths: Vec<Path>,
    /// The grants without which paths end, most first.
    pub chokes: Vec<Ending>,
    /// A smallest set of grants without which all end; `None` where a path rests on no grant.
    pub cut: Option<Cutting>,
    /// The places that were taken as starts.
    pub starts: Vec<Place>,
    /// The entities that were taken as goals.
    pub goals: Vec<u32>,
}

/// One pair of start and goal with its witness.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Where the attacker stands.
    pub from: Place,
    /// What is gained.
    pub to: u32,
    /// Whether every step is certain.
    pub certain: bool,
    /// The steps, as indexes into [`Model::links`]; each after those that it rests on.
    pub steps: Vec<usize>,
}

/// A grant and how many paths end without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Index into [`Model::grants`].
    pub grant: usize,
    /// How many pairs have no way without it.
    pub ends: usize,
}

/// A set of grants without which no pair has a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cutting {
    /// Indexes into [`Model::grants`].
    pub grants: Vec<usize>,
    /// Whether it is proved that no smaller set does it.
    pub is_least: bool,
}

/// Paths that go the same way from different starts, or to different goals: what a person can read as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// The paths, certain ones first.
    pub paths: Vec<Path>,
}

impl<'g> Model<'g> {
    /// Derives every step.
    pub fn new(graph: &'g Graph) -> Self {
        let links = links(graph);
        let grants: BTreeSet<&Grant> = links.iter().flat_map(|link| &link.needs).flat_map(|need| &need.any).collect();
        let grants: Vec<Grant> = grants.into_iter().cloned().collect();
        let numbers = Numbers::new(graph, &grants);
        let all = numbers.steps(&links, |_| true);
        let certain = numbers.steps(&links, |link| link.is_certain());
        Self { graph, links, grants, all, certain }
    }

    /// The graph.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// Every step.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Every place that grants something.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    fn node(&self, place: Place) -> u32 {
        match place {
            Place::Entity(at) => at,
            Place::Outsiders => self.outsiders(),
        }
    }

    fn outsiders(&self) -> u32 {
        count(self.graph.entities())
    }

    /// Every pair of a start and a goal with a way between them.
    pub fn pairs(&self, starts: &[Place], goals: &[u32]) -> Vec<Path> {
        let (sources, given) = (self.sources(starts), self.given());
        let reached = self.all.reached(&sources, &given);
        self.paths(starts, goals, &reached)
    }

    /// The pairs, and what ends the ways between them.
    pub fn find(&self, starts: &[Place], goals: &[u32]) -> Found {
        let (sources, given) = (self.sources(starts), self.given());
        let reached = self.all.reached(&sources, &given);
        let question = Question { network: &self.all.network, sources: &sources, given: &given, targets: goals };
        let first = self.outsiders() + 1;
        let is_grant = |node: u32| node >= first && ((node - first) as usize) < self.grants.len();
        let grant = |node: u32| (node - first) as usize;
        let ending = |Choke { node, ends }| Ending { grant: grant(node), ends };
        let cutting = |Cut { nodes, is_least }| Cutting { grants: nodes.into_iter().map(grant).collect(), is_least };
        Found {
            chokes: question.chokes(&reached, is_grant).into_iter().map(ending).collect(),
            cut: question.cut(&reached, is_grant).map(cutting),
            paths: self.paths(starts, goals, &reached),
            starts: starts.to_vec(),
            goals: goals.to_vec(),
        }
    }

    fn sources(&self, starts: &[Place]) -> Vec<u32> {
        starts.iter().map(|start| self.node(*start)).collect()
    }

    /// The grants: everybody has them, until one is taken away.
    fn given(&self) -> Vec<u32> {
        (self.outsiders() + 1..).take(self.grants.len()).collect()
    }

    fn paths(&self, starts: &[Place], goals: &[u32], reached: &Reached<'_>) -> Vec<Path> {
        let (sources, given) = (self.sources(starts), self.given());
        let certainly = self.certain.reached(&sources, &given);
        let mut paths = Vec::new();
        for (position, (start, source)) in starts.iter().zip(&sources).enumerate() {
            let have: Vec<u32> = given.iter().copied().chain([*source]).collect();
            let whole = Without::default();
            let (sure, any) =
                (Ways::from(&self.certain.network, &have, &whole), Ways::from(&self.all.network, &have, &whole));
            for goal in goals.iter().filter(|goal| *goal != source && reached.has(position, **goal)) {
                let certain = certainly.has(position, *goal);
                let steps = if certain { self.certain.links(sure.to(*goal)) } else { self.all.links(any.to(*goal)) };
                paths.push(Path { from: *start, to: *goal, certain, steps });
            }
        }
        paths
    }

    /// Every entity that a place leads to, the nearest kinds first.
    pub fn reached_from(&self, start: Place) -> Vec<u32> {
        let reached = self.all.reached(&[self.node(start)], &self.given());
        let entities = 0..count(self.graph.entities());
        entities.filter(|at| Place::Entity(*at) != start && reached.has(0, *at)).collect()
    }
}

impl Steps {
    fn reached(&self, sources: &[u32], given: &[u32]) -> Reached<'_> {
        crate::reach::reach_together(&self.network, sources, given)
    }

    /// The links behind the steps of a way.
    fn links(&self, way: Option<Vec<StepId>>) -> Vec<usize> {
        let ends = way.into_iter().flatten().filter_map(|step| self.network.ends(step));
        ends.filter_map(|(mut from, to)| {
            from.sort_unstable();
            self.link.get(&(from, to)).copied()
        })
        .collect()
    }
}

/// How entities, grants and needs are numbered.
struct Numbers<'a> {
    outsiders: u32,
    grants: HashMap<&'a Grant, u32>,
}

impl<'a> Numbers<'a> {
    fn new(graph: &Graph, grants: &'a [Grant]) -> Self {
        let outsiders = count(graph.entities());
        Self { outsiders, grants: grants.iter().zip(outsiders + 1..).collect() }
    }

    fn steps(&self, links: &[Link], kept: impl Fn(&Link) -> bool) -> Steps {
        let mut needs: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        let first = self.outsiders + 1 + u32::try_from(self.grants.len()).unwrap_or(u32::MAX);
        let mut steps: Vec<(Vec<u32>, u32)> = Vec::new();
        let mut link_of = HashMap::new();
        for (at, link) in links.iter().enumerate().filter(|(_, link)| kept(link)) {
            let mut from: BTreeSet<u32> = link.from.iter().map(|place| self.place(*place)).collect();
            for need in &link.needs {
                let grants: Vec<u32> = need.any.iter().filter_map(|grant| self.grants.get(grant).copied()).collect();
                match grants.as_slice() {
                    [] => {}
                    [one] => {
                        from.insert(*one);
                    }
                    _ => {
                        let next = first + u32::try_from(needs.len()).unwrap_or(u32::MAX);
                        from.insert(*needs.entry(grants).or_insert(next));
                    }
                }
            }
            let from: Vec<u32> = from.into_iter().collect();
            link_of.entry((from.clone(), link.to)).or_insert(at);
            steps.push((from, link.to));
        }
        let mut builder = Builder::new(first + u32::try_from(needs.len()).unwrap_or(u32::MAX));
        for (from, to) in &steps {
            builder.joint(from, *to);
        }
        for (grants, need) in &needs {
            for grant in grants {
                builder.step(*grant, *need);
            }
        }
        Steps { network: builder.build(), link: link_of }
    }

    fn place(&self, place: Place) -> u32 {
        match place {
            Place::Entity(at) => at,
            Place::Outsiders => self.outsiders,
        }
    }
}

/// Whether only possible, then what is passed and by which kind of step.
type Shape<'k> = (bool, Vec<(u32, &'k str)>);

impl Found {
    /// The paths as stories, the largest first, certain before possible: those that end the same way. The end begins at
    /// the last server, for what comes before it is how that server is got at.
    pub fn stories(&self, model: &Model<'_>) -> Vec<Story> {
        let mut groups: BTreeMap<Shape<'_>, Vec<Path>> = BTreeMap::new();
        for path in &self.paths {
            let links = path.steps.iter().filter_map(|step| model.links.get(*step)).filter(|link| link.to != path.to);
            let inner: Vec<(u32, &str)> = links.map(|link| (link.to, link.kind.as_str())).collect();
            let is_server = |at: u32| model.graph.entity(at).is_some_and(|entity| entity.id.kind == EntityKind::Server);
            let last = inner.iter().rposition(|(at, _)| is_server(*at));
            let mut end: Vec<(u32, &str)> = inner.get(last.unwrap_or_default()..).unwrap_or_default().to_vec();
            if let (Some(_), Some(first)) = (last, end.first_mut()) {
                first.1 = "";
            }
            groups.entry((!path.certain, end)).or_default().push(path.clone());
        }
        let mut stories: Vec<(bool, Story)> = groups
            .into_iter()
            .map(|((possible, _), mut paths)| {
                paths.sort_by_key(|path| (path.steps.len(), path.from, path.to));
                (possible, Story { paths })
            })
            .collect();
        stories.sort_by_key(|(possible, story)| (*possible, std::cmp::Reverse(story.paths.len())));
        stories.into_iter().map(|(_, story)| story).collect()
    }
}

fn count<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

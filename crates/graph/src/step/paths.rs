//! What follows from the steps: who can reach what, by which shortest way, and which single grant
//! would stop most of it.
//!
//! The set of reachable pairs is complete; each has one witness, which has the fewest uncertain
//! steps and among those the fewest steps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

pub use super::cut::Cut;
use super::{GrantId, Node, Step, Steps, cut};
use crate::aws::Truth;

/// Where paths lead.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// What is done there, as people read it: "become administrator".
    pub what: String,
    /// The nodes any of which is the goal.
    pub nodes: BTreeSet<usize>,
    /// A node that exists for the question only; its index is the number of nodes.
    pub node: Option<Node>,
    /// Steps that exist for the question only.
    pub steps: Vec<Step>,
    /// Starts that are there already.
    pub there: BTreeSet<usize>,
}

impl Target {
    /// Administrator of an account or cluster, or root on a machine of a cluster.
    pub fn crowns(steps: &Steps) -> Self {
        let crowns = steps.nodes.iter().enumerate().filter(|(_, node)| node.kind.is_crown());
        let nodes: BTreeSet<usize> = crowns.map(|(index, _)| index).collect();
        let there = steps.administrators.union(&nodes).copied().collect();
        Self { what: "become administrator".to_owned(), nodes, there, ..Self::default() }
    }

    /// One node. The administrator of its domain gets there too.
    pub fn node(steps: &Steps, index: usize) -> Self {
        let domain = steps.nodes.get(index).map(|node| node.domain.clone()).unwrap_or_default();
        let mut target = Self { nodes: BTreeSet::from([index]), ..Self::default() };
        target.what = format!("become {}", steps.name(index));
        target.there = BTreeSet::from([index]);
        target.let_administrator(steps, &domain, index);
        target
    }

    /// The administrator of a domain gets to a node, and those who are it are there already.
    pub fn let_administrator(&mut self, steps: &Steps, domain: &str, node: usize) {
        if let Some(administrator) = steps.administrator_of(domain).filter(|administrator| *administrator != node) {
            self.steps.push(Step::new(administrator, node, super::ACCESS));
        }
        let of_domain = |index: &usize| steps.nodes.get(*index).is_some_and(|node| *node.domain == *domain);
        self.there.extend(steps.administrators.iter().copied().filter(of_domain));
    }
}

/// One start that reaches the goal, with its witness.
#[derive(Clone, Debug)]
pub struct Path {
    /// The node that starts.
    pub from: usize,
    /// The node of the goal that it reaches.
    pub to: usize,
    /// Whether every step is certain.
    pub truth: Truth,
    /// The steps in order, as indexes into [`Paths::steps`]. A step that needs a second node
    /// comes after the steps that get it.
    pub steps: Vec<usize>,
}

/// A grant whose removal ends paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choke {
    /// The grant.
    pub grant: GrantId,
    /// How many of the paths' starts no longer reach the goal without it.
    pub ends: usize,
    /// The steps that do not hold without it, whether a path takes them or not: indexes into those of [`Steps`] and, behind
    /// them, those of [`Target`].
    pub steps: Vec<usize>,
}

/// Everything that reaches one goal.
pub struct Paths {
    /// The steps of the paths, those to the goal included.
    pub steps: Vec<Step>,
    /// One path for each start, ordered by certainty, length and name.
    pub paths: Vec<Path>,
    /// Grants by how many paths they end, most first.
    pub chokes: Vec<Choke>,
    /// Grants that together end every path that rests on any.
    pub cut: Cut,
}

/// Finds every path to a goal; from one node if given, else from all that are not there yet.
pub fn find(steps: &Steps, target: &Target, from: Option<usize>) -> Paths {
    let all: Vec<&Step> = steps.steps.iter().chain(&target.steps).collect();
    let network = Network::new(all, steps.nodes.len() + 1, &target.nodes);
    let alive = network.alive();
    let mut paths: Vec<Path> = starts(steps, target, from).filter_map(|start| network.path(start, &alive)).collect();
    let key = |path: &Path| steps.nodes.get(path.from).map(|node| node.key.clone());
    paths.sort_by_cached_key(|path| (Reverse(path.truth), path.steps.len(), key(path)));
    let chokes = chokes(&network, &paths);
    let cut = cut::cut(&network, &paths);
    let steps = keep_used(&network, &mut paths);
    Paths { steps, paths, chokes, cut }
}

/// Copies the steps that some path takes, and renumbers the paths' steps.
fn keep_used(network: &Network<'_>, paths: &mut [Path]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for at in paths.iter_mut().flat_map(|path| &mut path.steps) {
        let Some(step) = network.steps.get(*at) else { continue };
        *at = *places.entry(*at).or_insert_with(|| {
            steps.push((*step).clone());
            steps.len() - 1
        });
    }
    steps
}

fn starts(steps: &Steps, target: &Target, from: Option<usize>) -> impl Iterator<Item = usize> {
    let possible = move |(index, node): &(usize, &Node)| match from {
        Some(from) => *index == from,
        None => node.kind.starts() && !target.there.contains(index),
    };
    steps.nodes.iter().enumerate().filter(possible).map(|(index, _)| index)
}

/// Steps indexed by where they start.
pub(super) struct Network<'e> {
    pub(super) steps: Vec<&'e Step>,
    out: Vec<Vec<Edge>>,
    /// The steps that a grant is part of, by its index.
    resting: Vec<Vec<usize>>,
    goal: &'e BTreeSet<usize>,
    size: usize,
}

/// Uncertain steps first, then all steps.
type Cost = (u32, u32);

/// A step as the search needs it: they are looked at millions of times.
#[derive(Clone, Copy)]
struct Edge {
    step: usize,
    to: usize,
    /// The other node that it needs.
    also: Option<usize>,
    uncertain: bool,
}

impl<'e> Network<'e> {
    /// Keeps only steps to what can lead to the target: nothing else is ever worth a visit.
    fn new(steps: Vec<&'e Step>, size: usize, goal: &'e BTreeSet<usize>) -> Self {
        let useful = leading_to(&steps, size, goal);
        let mut out: Vec<Vec<Edge>> = vec![Vec::new(); size];
        let mut resting: Vec<Vec<usize>> = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            if !useful.get(step.to).copied().unwrap_or_default() {
                continue;
            }
            let edge = Edge { step: index, to: step.to, also: step.also, uncertain: step.truth != Truth::Yes };
            if let Some(list) = out.get_mut(step.from) {
                list.push(edge);
            }
            if let Some(list) = step.also.and_then(|also| out.get_mut(also)) {
                list.push(Edge { also: Some(step.from), ..edge });
            }
            for grant in step.grounds.iter().flat_map(|ground| &ground.grants) {
                let at = grant.0 as usize;
                if at >= resting.len() && grant.0 != u32::MAX {
                    resting.resize_with(at + 1, Vec::new);
                }
                if let Some(list) = resting.get_mut(at).filter(|list| list.last() != Some(&index)) {
                    list.push(index);
                }
            }
        }
        Self { steps, out, resting, goal, size }
    }

    /// Every step alive.
    pub(super) fn alive(&self) -> Vec<bool> {
        vec![false; self.steps.len()]
    }

    /// Marks the steps that end when one more grant is removed, and says which they are.
    pub(super) fn kill(&self, grant: GrantId, removed: &BTreeSet<GrantId>, dead: &mut [bool]) -> Vec<usize> {
        let mut killed = Vec::new();
        for index in self.resting.get(grant.0 as usize).into_iter().flatten() {
            let (Some(step), Some(slot)) = (self.steps.get(*index), dead.get_mut(*index)) else { continue };
            if !*slot && !survives(step, removed) {
                *slot = true;
                killed.push(*index);
            }
        }
        killed
    }

    /// The cheapest way from `start` to the goal without the dead steps. A step that needs
    /// two nodes is taken once both are reached, and costs what both cost.
    pub(super) fn path(&self, start: usize, dead: &[bool]) -> Option<Path> {
        let mut settled: Vec<Option<(Cost, Option<usize>)>> = vec![None; self.size];
        let mut best: Vec<Option<Cost>> = vec![None; self.size];
        let mut queue = BinaryHeap::from([Reverse(((0, 0), start, None::<usize>))]);
        while let Some(Reverse((cost, node, by))) = queue.pop() {
            let Some(slot) = settled.get_mut(node).filter(|slot| slot.is_none()) else { continue };
            *slot = Some((cost, by));
            if self.goal.contains(&node) && node != start {
                return Some(self.unrolled(start, node, &settled));
            }
            for edge in self.out.get(node).into_iter().flatten() {
                let reached = |node: usize| settled.get(node).copied().flatten().map(|(cost, _)| cost);
                let (Some(also), None) = (edge.also.map_or(Some((0, 0)), reached), reached(edge.to)) else { continue };
                let next = (cost.0 + also.0 + u32::from(edge.uncertain), cost.1 + also.1 + 1);
                // A step that is no better than one already queued for the same place is not queued.
                let Some(best) = best.get_mut(edge.to).filter(|best| best.is_none_or(|best| next < best)) else {
                    continue;
                };
                if dead.get(edge.step) == Some(&false) {
                    *best = Some(next);
                    queue.push(Reverse((next, edge.to, Some(edge.step))));
                }
            }
        }
        None
    }

    fn unrolled(&self, from: usize, to: usize, settled: &[Option<(Cost, Option<usize>)>]) -> Path {
        let mut steps = Vec::new();
        self.unroll(to, settled, &mut steps);
        let truth = Truth::all(steps.iter().filter_map(|step| self.steps.get(*step)).map(|step| step.truth));
        Path { from, to, truth, steps }
    }

    fn unroll(&self, node: usize, settled: &[Option<(Cost, Option<usize>)>], steps: &mut Vec<usize>) {
        let Some((_, Some(index))) = settled.get(node).copied().flatten() else { return };
        let Some(step) = self.steps.get(index).filter(|_| !steps.contains(&index)) else { return };
        self.unroll(step.from, settled, steps);
        if let Some(also) = step.also {
            self.unroll(also, settled, steps);
        }
        steps.push(index);
    }
}

/// Which nodes have a way to the target, the second principal of a step counting as one.
fn leading_to(steps: &[&Step], size: usize, goal: &BTreeSet<usize>) -> Vec<bool> {
    let mut into: Vec<Vec<usize>> = vec![Vec::new(); size];
    for step in steps {
        if let Some(list) = into.get_mut(step.to) {
            list.extend(std::iter::once(step.from).chain(step.also));
        }
    }
    let mut useful = vec![false; size];
    let mut queue: Vec<usize> = goal.iter().copied().collect();
    while let Some(node) = queue.pop() {
        let Some(slot) = useful.get_mut(node).filter(|slot| !**slot) else { continue };
        *slot = true;
        queue.extend(into.get(node).into_iter().flatten());
    }
    useful
}

/// A step survives as long as each of its requirements keeps a grant.
fn survives(step: &Step, removed: &BTreeSet<GrantId>) -> bool {
    step.grounds
        .iter()
        .all(|ground| ground.grants.is_empty() || ground.grants.iter().any(|grant| !removed.contains(grant)))
}

/// Only a grant on a start's own witness can end that start's paths, so no other is tried.
pub(super) fn used_by<'p>(
    network: &Network<'_>,
    paths: &'p [Path],
    removed: &BTreeSet<GrantId>,
) -> BTreeMap<GrantId, Vec<&'p Path>> {
    let mut users: BTreeMap<GrantId, Vec<&Path>> = BTreeMap::new();
    for path in paths {
        let steps = path.steps.iter().filter_map(|step| network.steps.get(*step));
        let grants: BTreeSet<GrantId> =
            steps.flat_map(|step| &step.grounds).flat_map(|ground| ground.grants.iter().copied()).collect();
        for grant in grants.difference(removed).copied() {
            users.entry(grant).or_default().push(path);
        }
    }
    users
}

/// Whether no step of the path has ended.
pub(super) fn holds(path: &Path, dead: &[bool]) -> bool {
    path.steps.iter().all(|step| dead.get(*step) == Some(&false))
}

fn chokes(network: &Network<'_>, paths: &[Path]) -> Vec<Choke> {
    let mut dead = network.alive();
    let mut chokes: Vec<Choke> = used_by(network, paths, &BTreeSet::new())
        .into_iter()
        .map(|(grant, users)| {
            let killed = network.kill(grant, &BTreeSet::from([grant]), &mut dead);
            // A witness that still holds is a way that still leads there.
            let ends = |path: &&&Path| !holds(path, &dead) && network.path(path.from, &dead).is_none();
            let ends = users.iter().filter(ends).count();
            for index in &killed {
                if let Some(slot) = dead.get_mut(*index) {
                    *slot = false;
                }
            }
            Choke { grant, ends, steps: killed }
        })
        .filter(|choke| choke.ends > 0)
        .collect();
    chokes.sort_by_key(|choke| (Reverse(choke.ends), choke.grant));
    chokes
}

//! What ends ways: single nodes with how many ways they end, and smallest sets that end all.
//!
//! Everything here is exact under joint steps: a claim is made only after the search was done again without the nodes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::flow;
use super::network::{Network, StepId};
use super::sweep::{Reached, Without, reach_together};
use super::witness::{Ways, witness};

/// Who could start, what everybody has, where nobody should get, and what could be taken away.
pub struct Question<'q> {
    /// The network.
    pub network: &'q Network,
    /// Each starts alone.
    pub sources: &'q [u32],
    /// What every one of them has.
    pub given: &'q [u32],
    /// Where ways end.
    pub targets: &'q [u32],
}

/// A node without which some pairs of source and target have no way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choke {
    /// The node.
    pub node: u32,
    /// How many pairs have no way without it.
    pub ends: usize,
}

/// A set of nodes without which no pair has a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The nodes, in order.
    pub nodes: Vec<u32>,
    /// Whether no smaller set does it: proved, or the search was ended by its bound first.
    pub is_least: bool,
}

impl<'q> Question<'q> {
    /// Who reaches what.
    pub fn reached(&self) -> Reached<'q> {
        reach_together(self.network, self.sources, self.given)
    }

    /// How many pairs of different source and target there are with a way.
    pub fn pairs(&self, reached: &Reached<'_>) -> usize {
        let own = |target: &u32| self.sources.iter().filter(|source| *source == target).count();
        self.targets.iter().map(|target| reached.count(*target).saturating_sub(own(target))).sum()
    }

    /// Of the nodes that may be taken away, those whose absence ends a way, most first. Complete: a node that ends a
    /// pair is on that pair's shortest way, so no other is tried.
    pub fn chokes(&self, reached: &Reached<'_>, removable: impl Fn(u32) -> bool) -> Vec<Choke> {
        let mut tried: BTreeSet<u32> = BTreeSet::new();
        let whole = Without::default();
        for (position, source) in self.sources.iter().enumerate() {
            let starts: Vec<u32> = self.given.iter().copied().chain([*source]).collect();
            let ways = Ways::from(self.network, &starts, &whole);
            for target in self.targets.iter().filter(|target| *target != source && reached.has(position, **target)) {
                tried.extend(self.nodes_of(&ways.to(*target).unwrap_or_default(), *source, *target));
            }
        }
        let all: usize = self.targets.iter().map(|target| reached.count(*target)).sum();
        let mut chokes: Vec<Choke> = tried
            .into_iter()
            .filter(|node| removable(*node))
            .map(|node| {
                let changed = reached.without(&Without::node(node));
                let left: usize = self.targets.iter().map(|target| changed.count(*target)).sum();
                Choke { node, ends: all - left }
            })
            .filter(|choke| choke.ends > 0)
            .collect();
        chokes.sort_by_key(|choke| (Reverse(choke.ends), choke.node));
        chokes
    }

    /// A smallest set of removable nodes that ends every way; `None` if some way has none on it.
    ///
    /// Without joint steps a maximum flow gives it. With them the problem is that of a smallest hitting set over all
    /// ways; ways are found as they are needed (Moreno-Centeno and Karp, "The Implicit Hitting Set Approach", 2013).
    pub fn cut(&self, reached: &Reached<'_>, removable: impl Fn(u32) -> bool) -> Option<Cut> {
        if !self.network.has_joint() && self.given.is_empty() {
            let is_removable =
                |node: u32| removable(node) && !self.sources.contains(&node) && !self.targets.contains(&node);
            let nodes = flow::cut(self.network, self.sources, self.targets, is_removable)?;
            return Some(Cut { nodes, is_least: true });
        }
        let mut ways: Vec<BTreeSet<u32>> = Vec::new();
        let mut is_least = true;
        loop {
            let (nodes, proved) = hit(&ways);
            is_least &= proved;
            let fresh = self.ways_without(reached, &nodes, &removable)?;
            if fresh.is_empty() {
                return Some(Cut { nodes: nodes.into_iter().collect(), is_least });
            }
            ways.extend(fresh);
        }
    }

    /// For some of the pairs that still have a way, the removable nodes on it; `None` if a way has none.
    fn ways_without(
        &self,
        reached: &Reached<'_>,
        nodes: &BTreeSet<u32>,
        removable: &impl Fn(u32) -> bool,
    ) -> Option<Vec<BTreeSet<u32>>> {
        let without = Without::nodes(nodes.iter().copied());
        let changed = reached.without(&without);
        let mut found = Vec::new();
        // Ways found together share no removable node where they can: that many nodes at least are needed.
        let mut apart = without.clone();
        for (position, source) in self.sources.iter().enumerate() {
            for target in self.targets.iter().filter(|target| *target != source && changed.has(position, **target)) {
                let apart_way = self.nodes_on_way(*source, *target, &apart);
                if apart_way.is_none() && !found.is_empty() {
                    continue;
                }
                let way = apart_way.or_else(|| self.nodes_on_way(*source, *target, &without))?;
                let way: BTreeSet<u32> = way.into_iter().filter(|node| removable(*node)).collect();
                if way.is_empty() {
                    return None;
                }
                apart.nodes.extend(way.iter().copied());
                found.push(way);
                if found.len() == WAYS_AT_ONCE {
                    return Some(found);
                }
            }
        }
        Some(found)
    }

    /// The nodes that a shortest way rests on, its ends excepted.
    fn nodes_on_way(&self, source: u32, target: u32, without: &Without) -> Option<BTreeSet<u32>> {
        let starts: Vec<u32> = self.given.iter().copied().chain([source]).collect();
        Some(self.nodes_of(&witness(self.network, &starts, target, without)?, source, target))
    }

    fn nodes_of(&self, way: &[StepId], source: u32, target: u32) -> BTreeSet<u32> {
        let ends = way.iter().filter_map(|step| self.network.ends(*step));
        let nodes = ends.flat_map(|(from, to)| from.into_iter().chain([to]));
        nodes.filter(|node| *node != source && *node != target).collect()
    }
}

/// How many ways are looked for before the hitting set is computed again.
const WAYS_AT_ONCE: usize = 32;
/// How many branches the search for a smallest hitting set may open.
const BRANCHES_MAX: u32 = 200_000;

/// A smallest set that meets each of some sets, and whether that it is smallest was proved.
fn hit(sets: &[BTreeSet<u32>]) -> (BTreeSet<u32>, bool) {
    let mut search = Hitting { best: greedy(sets), branches: 0 };
    search.branch(sets.iter().collect(), &mut Vec::new());
    (search.best, search.branches < BRANCHES_MAX)
}

fn greedy(sets: &[BTreeSet<u32>]) -> BTreeSet<u32> {
    let mut chosen = BTreeSet::new();
    let mut open: Vec<&BTreeSet<u32>> = sets.iter().collect();
    while !open.is_empty() {
        let mut uses: BTreeMap<u32, usize> = BTreeMap::new();
        for node in open.iter().copied().flatten() {
            *uses.entry(*node).or_default() += 1;
        }
        let Some((node, _)) = uses.into_iter().max_by_key(|(node, uses)| (*uses, Reverse(*node))) else { break };
        chosen.insert(node);
        open.retain(|set| !set.contains(&node));
    }
    chosen
}

struct Hitting {
    best: BTreeSet<u32>,
    branches: u32,
}

impl Hitting {
    /// Some node of the smallest open set must be chosen: tries each, unless sets that share nothing already need more.
    fn branch(&mut self, open: Vec<&BTreeSet<u32>>, chosen: &mut Vec<u32>) {
        self.branches += 1;
        if self.branches >= BRANCHES_MAX || chosen.len() + apart(&open) >= self.best.len() {
            return;
        }
        let Some(smallest) = open.iter().copied().min_by_key(|set| set.len()) else {
            self.best = chosen.iter().copied().collect();
            return;
        };
        for node in smallest {
            chosen.push(*node);
            self.branch(open.iter().copied().filter(|set| !set.contains(node)).collect(), chosen);
            chosen.pop();
        }
    }
}

/// How many of the sets, taken greedily, share nothing.
fn apart(sets: &[&BTreeSet<u32>]) -> usize {
    let mut used: BTreeSet<u32> = BTreeSet::new();
    let mut count = 0;
    for set in sets {
        if set.is_disjoint(&used) {
            used.extend(set.iter().copied());
            count += 1;
        }
    }
    count
}

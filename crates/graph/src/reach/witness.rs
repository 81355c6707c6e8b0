//! Shortest ways, and further ones that differ from them.

#![expect(clippy::indexing_slicing, reason = "INVARIANT: every index comes from the network's own arrays")]

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::network::{Network, StepId};
use super::sweep::Without;

const NONE: u32 = u32::MAX;

/// The steps of a way from `sources`, which are held together, to `target`, each after those that it rests on:
/// with the fewest steps, where a start that two steps rest on counts twice (Knuth 1977). Empty if the target is a
/// source; `None` if there is no way.
pub fn witness(network: &Network, sources: &[u32], target: u32, without: &Without) -> Option<Vec<StepId>> {
    if target >= network.nodes() {
        return None;
    }
    let mut search = Search::new(network, without);
    search.run(sources, Some(network.rank(target)));
    search.way(network.rank(target))
}

/// The shortest ways from some sources to everything, for many targets.
pub struct Ways<'n>(Search<'n>);

impl<'n> Ways<'n> {
    /// From sources that are held together.
    pub fn from(network: &'n Network, sources: &[u32], without: &'n Without) -> Self {
        let mut search = Search::new(network, without);
        search.run(sources, None);
        Self(search)
    }

    /// As [`witness`].
    pub fn to(&self, target: u32) -> Option<Vec<StepId>> {
        let network = self.0.network;
        if target < network.nodes() { self.0.way(network.rank(target)) } else { None }
    }
}

/// Up to `count` ways of which each shares no inner node with those before where that is possible: the shortest
/// first, then the shortest that avoids what was used, and so on.
pub fn diverse(network: &Network, sources: &[u32], target: u32, count: usize) -> Vec<Vec<StepId>> {
    let mut ways: Vec<Vec<StepId>> = Vec::new();
    let mut without = Without::default();
    while ways.len() < count {
        let Some(way) = witness(network, sources, target, &without) else { break };
        let inner = way.iter().filter_map(|step| network.ends(*step)).map(|(_, to)| to).filter(|to| *to != target);
        let before = without.nodes.len();
        without.nodes.extend(inner.filter(|node| !sources.contains(node)));
        let is_last = without.nodes.len() == before;
        ways.push(way);
        if is_last {
            break;
        }
    }
    ways
}

struct Search<'n> {
    network: &'n Network,
    without: &'n Without,
    barred: BTreeSet<u32>,
    /// The step by which each rank was first reached; `NONE` at sources and where not reached.
    by: Vec<u32>,
    cost: Vec<u32>,
    done: Vec<bool>,
}

impl<'n> Search<'n> {
    fn new(network: &'n Network, without: &'n Without) -> Self {
        let count = network.nodes() as usize;
        let barred =
            without.nodes.iter().filter(|node| **node < network.nodes()).map(|node| network.rank(*node)).collect();
        Self { network, without, barred, by: vec![NONE; count], cost: vec![NONE; count], done: vec![false; count] }
    }

    fn run(&mut self, sources: &[u32], target: Option<u32>) {
        let mut queue = BinaryHeap::new();
        for source in sources.iter().filter(|node| **node < self.network.nodes()) {
            self.arrive(self.network.rank(*source), NONE, 0, &mut queue);
        }
        while let Some(Reverse((_, rank))) = queue.pop() {
            if std::mem::replace(&mut self.done[rank as usize], true) {
                continue;
            }
            if Some(rank) == target {
                return;
            }
            for (to, step) in self.network.leaving(rank) {
                self.arrive(*to, *step, self.cost[rank as usize].saturating_add(1), &mut queue);
            }
            for joint in self.network.joint.leaving(rank) {
                let tails = self.network.joint.tails(*joint);
                if tails.iter().all(|tail| self.done[*tail as usize]) {
                    let cost = tails.iter().fold(1u32, |sum, tail| sum.saturating_add(self.cost[*tail as usize]));
                    let to = self.network.joint.to[*joint as usize];
                    self.arrive(to, self.network.plain() + joint, cost, &mut queue);
                }
            }
        }
    }

    fn arrive(&mut self, rank: u32, step: u32, cost: u32, queue: &mut BinaryHeap<Reverse<(u32, u32)>>) {
        let barred = self.barred.contains(&rank) || (step != NONE && self.without.steps.contains(&StepId(step)));
        if !barred && cost < self.cost[rank as usize] {
            self.cost[rank as usize] = cost;
            self.by[rank as usize] = step;
            queue.push(Reverse((cost, rank)));
        }
    }

    /// The steps to a rank, each once and after those that it rests on.
    fn way(&self, target: u32) -> Option<Vec<StepId>> {
        if !self.done[target as usize] {
            return None;
        }
        let (mut taken, mut steps) = (BTreeSet::new(), Vec::new());
        // An explicit stack: ways can be as long as the network.
        let mut open = vec![(target, false)];
        while let Some((rank, ready)) = open.pop() {
            let step = self.by[rank as usize];
            if step == NONE || taken.contains(&step) {
                continue;
            }
            if ready {
                taken.insert(step);
                steps.push(StepId(step));
                continue;
            }
            open.push((rank, true));
            match step.checked_sub(self.network.plain()) {
                None => open.push((self.network.in_from[step as usize], false)),
                Some(joint) => open.extend(self.network.joint.tails(joint).iter().rev().map(|tail| (*tail, false))),
            }
        }
        Some(steps)
    }
}

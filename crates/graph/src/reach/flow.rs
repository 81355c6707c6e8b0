//! Smallest node cuts by maximum flow (Dinic 1970 on split nodes; Menger's theorem).

#![expect(clippy::indexing_slicing, reason = "INVARIANT: every index is a half node or an arc of the flow itself")]

use super::network::{Network, len, starts};

const UNBOUNDED: u32 = u32::MAX / 4;
const NONE: u32 = u32::MAX;

/// A smallest set of removable nodes that parts every source from every target; `None` if there is none. Joint steps
/// are not followed. Of several smallest sets it is the one nearest to the sources.
pub(super) fn cut(
    network: &Network,
    sources: &[u32],
    targets: &[u32],
    removable: impl Fn(u32) -> bool,
) -> Option<Vec<u32>> {
    let (sources, targets) = (ranks(network, sources), ranks(network, targets));
    let useful = Useful::of(network, &sources, &targets);
    let mut flow = Flow::new(network, &useful, (&sources, &targets), removable);
    while flow.layers() {
        flow.block()?;
    }
    let mut nodes: Vec<u32> = flow.cut().map(|inner| network.node(useful.rank[inner as usize])).collect();
    nodes.sort_unstable();
    Some(nodes)
}

fn ranks(network: &Network, nodes: &[u32]) -> Vec<u32> {
    let mut ranks: Vec<u32> =
        nodes.iter().filter(|node| **node < network.nodes()).map(|node| network.rank(*node)).collect();
    ranks.sort_unstable();
    ranks.dedup();
    ranks
}

/// What lies on a way from a source to a target: nothing else can be part of a cut.
struct Useful {
    /// The number of each rank, or `NONE`.
    number: Vec<u32>,
    /// The rank of each number.
    rank: Vec<u32>,
}

impl Useful {
    fn of(network: &Network, sources: &[u32], targets: &[u32]) -> Self {
        let count = network.nodes() as usize;
        let (mut ahead, mut back) = (vec![false; count], vec![false; count]);
        let mut open = sources.to_vec();
        while let Some(rank) = open.pop() {
            if !std::mem::replace(&mut ahead[rank as usize], true) {
                open.extend(network.leaving(rank).iter().map(|(to, _)| *to).filter(|to| !ahead[*to as usize]));
            }
        }
        open.extend(targets.iter().filter(|rank| ahead[**rank as usize]));
        while let Some(rank) = open.pop() {
            if !std::mem::replace(&mut back[rank as usize], true) {
                let from = network.arriving(rank).map(|step| network.in_from[step as usize]);
                open.extend(from.filter(|from| ahead[*from as usize] && !back[*from as usize]));
            }
        }
        let rank: Vec<u32> = (0..network.nodes()).filter(|rank| back[*rank as usize]).collect();
        let mut number = vec![NONE; count];
        for (at, rank) in (0..).zip(&rank) {
            number[*rank as usize] = at;
        }
        Self { number, rank }
    }
}

/// Number `n` is entered at half `2n` and left at `2n + 1`; the last two halves are where all flow begins and ends.
struct Flow {
    start: Vec<u32>,
    to: Vec<u32>,
    /// The arc that takes back what this one sends.
    back: Vec<u32>,
    left: Vec<u32>,
    level: Vec<u32>,
    source: u32,
    sink: u32,
}

impl Flow {
    fn new(
        network: &Network,
        useful: &Useful,
        (sources, targets): (&[u32], &[u32]),
        removable: impl Fn(u32) -> bool,
    ) -> Self {
        let count = len(&useful.rank);
        let (source, sink) = (2 * count, 2 * count + 1);
        let mut arcs: Vec<(u32, u32, u32)> = Vec::new();
        for (number, rank) in (0..).zip(&useful.rank) {
            let through = if removable(network.node(*rank)) { 1 } else { UNBOUNDED };
            arcs.push((2 * number, 2 * number + 1, through));
            let to = network.leaving(*rank).iter().map(|(to, _)| useful.number[*to as usize]).filter(|to| *to != NONE);
            arcs.extend(to.map(|to| (2 * number + 1, 2 * to, UNBOUNDED)));
        }
        let numbers = |ranks: &[u32]| {
            ranks.iter().map(|rank| useful.number[*rank as usize]).filter(|at| *at != NONE).collect::<Vec<_>>()
        };
        arcs.extend(numbers(sources).into_iter().map(|number| (source, 2 * number, UNBOUNDED)));
        arcs.extend(numbers(targets).into_iter().map(|number| (2 * number + 1, sink, UNBOUNDED)));
        Self::of_arcs(&arcs, source, sink)
    }

    fn of_arcs(arcs: &[(u32, u32, u32)], source: u32, sink: u32) -> Self {
        let start = starts(sink + 1, arcs.iter().flat_map(|(from, to, _)| [*from, *to]));
        let mut next = start.clone();
        let (mut to, mut back, mut left) = (vec![0; 2 * arcs.len()], vec![0; 2 * arcs.len()], vec![0; 2 * arcs.len()]);
        for (from, target, capacity) in arcs {
            let there = next[*from as usize];
            next[*from as usize] += 1;
            let again = next[*target as usize];
            next[*target as usize] += 1;
            (to[there as usize], back[there as usize], left[there as usize]) = (*target, again, *capacity);
            (to[again as usize], back[again as usize], left[again as usize]) = (*from, there, 0);
        }
        Self { start, to, back, left, level: Vec::new(), source, sink }
    }

    /// Numbers the halves by distance in what capacity is left; false when the sink is out of reach.
    fn layers(&mut self) -> bool {
        self.level = vec![NONE; self.start.len() - 1];
        self.level[self.source as usize] = 0;
        let mut queue = std::collections::VecDeque::from([self.source]);
        while let Some(half) = queue.pop_front() {
            for arc in self.start[half as usize]..self.start[half as usize + 1] {
                let to = self.to[arc as usize];
                if self.left[arc as usize] > 0 && self.level[to as usize] == NONE {
                    self.level[to as usize] = self.level[half as usize] + 1;
                    queue.push_back(to);
                }
            }
        }
        self.level[self.sink as usize] != NONE
    }

    /// Sends what fits along shortest ways; `None` if a way has no bound.
    fn block(&mut self) -> Option<()> {
        let mut next = self.start.clone();
        let mut way: Vec<u32> = Vec::new();
        let mut half = self.source;
        loop {
            if half == self.sink {
                let fits = way.iter().map(|arc| self.left[*arc as usize]).min().unwrap_or(UNBOUNDED);
                if fits >= UNBOUNDED / 2 {
                    return None;
                }
                for arc in &way {
                    self.left[*arc as usize] -= fits;
                    self.left[self.back[*arc as usize] as usize] += fits;
                }
                let full = way.iter().position(|arc| self.left[*arc as usize] == 0).unwrap_or_default();
                half = self.to[self.back[way[full] as usize] as usize];
                way.truncate(full);
                continue;
            }
            let onward = (next[half as usize]..self.start[half as usize + 1]).find(|arc| {
                let to = self.to[*arc as usize] as usize;
                self.left[*arc as usize] > 0 && self.level[to] == self.level[half as usize] + 1
            });
            match onward {
                Some(arc) => {
                    next[half as usize] = arc;
                    way.push(arc);
                    half = self.to[arc as usize];
                }
                None => {
                    let Some(arc) = way.pop() else { return Some(()) };
                    half = self.to[self.back[arc as usize] as usize];
                    next[half as usize] = arc + 1;
                }
            }
        }
    }

    /// Numbers whose entry is still reached and whose exit is not. `layers` has just failed to reach the sink.
    fn cut(&self) -> impl Iterator<Item = u32> {
        let reached = |half: u32| self.level[half as usize] != NONE;
        (0..self.source / 2).filter(move |number| reached(2 * number) && !reached(2 * number + 1))
    }
}

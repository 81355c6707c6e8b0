//! The steps of a graph as arrays: what every search runs on.
//!
//! Nodes are renumbered by *rank*: strongly connected components lie together and a step leads to the same
//! component or a later one, so that one pass in rank order sees every input before its use. Callers see
//! their own numbers; ranks stay inside [`crate::reach`].

#![expect(clippy::indexing_slicing, reason = "INVARIANT: every index comes from arrays that `Builder::build` bounds")]

use super::order;

/// A step of a network, by number. Plain steps come first, joint steps after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u32);

/// Collects steps for a [`Network`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    nodes: u32,
    plain: Vec<(u32, u32)>,
    joint_to: Vec<u32>,
    joint_start: Vec<u32>,
    joint_tails: Vec<u32>,
}

impl Builder {
    /// For nodes `0..nodes`.
    pub fn new(nodes: u32) -> Self {
        Self { nodes, joint_start: vec![0], ..Self::default() }
    }

    /// From steps that are there already.
    pub fn from_steps(nodes: u32, plain: Vec<(u32, u32)>) -> Self {
        Self { plain, ..Self::new(nodes) }
    }

    /// Whoever is at `from` gets to `to`. A step with an end outside of the network is not taken: it leads nowhere.
    pub fn step(&mut self, from: u32, to: u32) {
        self.plain.push((from, to));
    }

    /// Whoever is at all of `from` gets to `to`. With one start it is a plain step; with none it is no step.
    pub fn joint(&mut self, from: &[u32], to: u32) {
        let mut tails = from.to_vec();
        tails.sort_unstable();
        tails.dedup();
        match tails.as_slice() {
            [] => {}
            [one] => self.step(*one, to),
            _ if to < self.nodes && tails.iter().all(|tail| *tail < self.nodes) => {
                self.joint_to.push(to);
                self.joint_tails.extend(tails);
                self.joint_start.push(len(&self.joint_tails));
            }
            _ => {}
        }
    }

    /// The network. Equal plain steps become one.
    pub fn build(mut self) -> Network {
        let nodes = self.nodes;
        self.plain.retain(|(from, to)| *from < nodes && *to < nodes && from != to);
        let order = order::components(nodes, &self.relaxed());
        let rank = &order.rank;
        for (from, to) in &mut self.plain {
            (*from, *to) = (rank[*from as usize], rank[*to as usize]);
        }
        for node in self.joint_to.iter_mut().chain(&mut self.joint_tails) {
            *node = rank[*node as usize];
        }
        let (in_start, in_from) = incoming(nodes, self.plain);
        let (out_start, out) = outgoing(nodes, &in_start, &in_from);
        let joint = Joint::new(nodes, self.joint_to, self.joint_start, self.joint_tails);
        Network { order, in_start, in_from, out_start, out, joint }
    }

    /// Every step, a joint one as one from each of its starts.
    fn relaxed(&self) -> order::Adjacency {
        let joint = self.joint_to.iter().zip(self.joint_start.windows(2)).flat_map(|(to, range)| {
            self.joint_tails[range[0] as usize..range[1] as usize].iter().map(|tail| (*tail, *to))
        });
        order::Adjacency::new(self.nodes, self.plain.iter().copied().chain(joint))
    }
}

/// The steps, immutable.
#[derive(Clone, Debug)]
pub struct Network {
    pub(super) order: order::Order,
    /// Where the plain steps into each rank begin in `in_from`.
    pub(super) in_start: Vec<u32>,
    /// The rank that each plain step comes from. Its index is the step's id.
    pub(super) in_from: Vec<u32>,
    pub(super) out_start: Vec<u32>,
    /// Target rank and step id, by source rank.
    pub(super) out: Vec<(u32, u32)>,
    pub(super) joint: Joint,
}

/// Steps with several starts, by the rank of their end.
#[derive(Clone, Debug, Default)]
pub(super) struct Joint {
    pub(super) to: Vec<u32>,
    tail_start: Vec<u32>,
    tails: Vec<u32>,
    in_start: Vec<u32>,
    out_start: Vec<u32>,
    out: Vec<u32>,
}

impl Joint {
    fn new(nodes: u32, to: Vec<u32>, start: Vec<u32>, tails: Vec<u32>) -> Self {
        if to.is_empty() {
            return Self::default();
        }
        let mut sorted: Vec<u32> = (0..len(&to)).collect();
        sorted.sort_by_key(|at| to[*at as usize]);
        let tails_of = |at: u32| &tails[start[at as usize] as usize..start[at as usize + 1] as usize];
        let mut joint = Self { tail_start: vec![0], ..Self::default() };
        for at in sorted {
            joint.to.push(to[at as usize]);
            joint.tails.extend_from_slice(tails_of(at));
            joint.tail_start.push(len(&joint.tails));
        }
        joint.in_start = starts(nodes, joint.to.iter().copied());
        let tails = (0..len(&joint.to)).flat_map(|at| joint.tails(at).iter().map(move |tail| (*tail, at)));
        let (out_start, out) = by_key(nodes, tails);
        Self { out_start, out, ..joint }
    }

    /// The starts of a joint step.
    pub(super) fn tails(&self, at: u32) -> &[u32] {
        &self.tails[self.tail_start[at as usize] as usize..self.tail_start[at as usize + 1] as usize]
    }

    /// The joint steps into a rank.
    pub(super) fn arriving(&self, rank: u32) -> std::ops::Range<u32> {
        if self.to.is_empty() { 0..0 } else { self.in_start[rank as usize]..self.in_start[rank as usize + 1] }
    }

    /// The joint steps that a rank is a start of.
    pub(super) fn leaving(&self, rank: u32) -> &[u32] {
        if self.to.is_empty() {
            return &[];
        }
        &self.out[self.out_start[rank as usize] as usize..self.out_start[rank as usize + 1] as usize]
    }
}

impl Network {
    /// How many nodes there are.
    pub fn nodes(&self) -> u32 {
        len(&self.order.rank)
    }

    /// How many steps there are.
    pub fn steps(&self) -> u32 {
        self.plain() + len(&self.joint.to)
    }

    /// Whether some step has several starts.
    pub fn has_joint(&self) -> bool {
        !self.joint.to.is_empty()
    }

    pub(super) fn plain(&self) -> u32 {
        len(&self.in_from)
    }

    pub(super) fn rank(&self, node: u32) -> u32 {
        self.order.rank[node as usize]
    }

    pub(super) fn node(&self, rank: u32) -> u32 {
        self.order.node[rank as usize]
    }

    /// The plain steps into a rank, as ids.
    pub(super) fn arriving(&self, rank: u32) -> std::ops::Range<u32> {
        self.in_start[rank as usize]..self.in_start[rank as usize + 1]
    }

    /// Target rank and id of the plain steps from a rank.
    pub(super) fn leaving(&self, rank: u32) -> &[(u32, u32)] {
        &self.out[self.out_start[rank as usize] as usize..self.out_start[rank as usize + 1] as usize]
    }

    /// The plain step between two nodes.
    pub fn find(&self, from: u32, to: u32) -> Option<StepId> {
        let (from, range) = (self.order.rank.get(from as usize)?, self.arriving(*self.order.rank.get(to as usize)?));
        let at = self.in_from[range.start as usize..range.end as usize].binary_search(from).ok()?;
        Some(StepId(range.start + u32::try_from(at).ok()?))
    }

    /// The starts and the end of a step.
    pub fn ends(&self, step: StepId) -> Option<(Vec<u32>, u32)> {
        if let Some(from) = self.in_from.get(step.0 as usize) {
            let to = self.in_start.partition_point(|start| *start <= step.0) - 1;
            return Some((vec![self.node(*from)], self.order.node[to]));
        }
        let at = step.0 - self.plain();
        let to = *self.joint.to.get(at as usize)?;
        Some((self.joint.tails(at).iter().map(|tail| self.node(*tail)).collect(), self.node(to)))
    }
}

/// Steps by target and, within it, by source; equal ones once.
fn incoming(nodes: u32, steps: Vec<(u32, u32)>) -> (Vec<u32>, Vec<u32>) {
    let (start, mut from) = by_key(nodes, steps.iter().map(|(from, to)| (*to, *from)));
    drop(steps);
    let mut kept = Vec::with_capacity(nodes as usize + 1);
    let mut end = 0;
    for range in start.windows(2) {
        kept.push(end as u32);
        let (low, high) = (range[0] as usize, range[1] as usize);
        from[low..high].sort_unstable();
        let mut last = None;
        for at in low..high {
            if last.replace(from[at]) != Some(from[at]) {
                from[end] = from[at];
                end += 1;
            }
        }
    }
    kept.push(end as u32);
    from.truncate(end);
    (kept, from)
}

fn outgoing(nodes: u32, in_start: &[u32], in_from: &[u32]) -> (Vec<u32>, Vec<(u32, u32)>) {
    let into = (0u32..).zip(in_start.windows(2));
    let steps = into.flat_map(|(to, range)| (range[0]..range[1]).map(move |step| (to, step)));
    by_key(nodes, in_from.iter().copied().zip(steps))
}

/// How many neighbouring keys make a block: what is written for as many stays in the cache.
const BLOCK: usize = 4096;

/// The values of each key in the order in which they come: where those of each key begin, and all of them.
///
/// A counting sort in two passes, into blocks of keys and from there to each key's place: written at once, nearly every
/// value of a large network would miss the cache.
pub(super) fn by_key<T: Copy + Default>(
    keys: u32,
    pairs: impl Iterator<Item = (u32, T)> + Clone,
) -> (Vec<u32>, Vec<T>) {
    let start = starts(keys, pairs.clone().map(|(key, _)| key));
    let count = start[keys as usize] as usize;
    let mut blocks = vec![(0, T::default()); count];
    let mut next: Vec<u32> = start.iter().copied().step_by(BLOCK).collect();
    for (key, value) in pairs {
        let slot = &mut next[key as usize / BLOCK];
        blocks[*slot as usize] = (key, value);
        *slot += 1;
    }
    let mut next = start.clone();
    let mut values = vec![T::default(); count];
    for (key, value) in blocks {
        let slot = &mut next[key as usize];
        values[*slot as usize] = value;
        *slot += 1;
    }
    (start, values)
}

/// Where the items of each node begin in an array ordered by node.
pub(super) fn starts(nodes: u32, items: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut start = vec![0u32; nodes as usize + 1];
    for node in items {
        start[node as usize + 1] += 1;
    }
    let mut total = 0;
    for count in &mut start {
        total += *count;
        *count = total;
    }
    start
}

/// INVARIANT: a network has less than 2^32 steps and nodes; `Builder` takes them by `u32` numbers.
pub(super) fn len<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

//! Who reaches what: forward chaining for 512 sources at a time, one bit each.
//!
//! A node has the bit of a source if some step leads to it all of whose starts have the bit. In rank order one
//! pass is enough outside of components; inside a component the pass repeats until nothing changes (a variation
//! of Then et al., "The More the Merrier", VLDB 2014, with AND-steps). Nothing is capped.

#![expect(clippy::indexing_slicing, reason = "INVARIANT: every index comes from the network's own arrays")]

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::network::{Network, StepId};
use super::untouched::{Base, Untouched};

/// One bit for each source of a batch.
pub(super) type Bits = [u64; WORDS];
const WORDS: usize = 8;
/// Sources in a batch.
pub(super) const BATCH: usize = 64 * WORDS;

/// What is taken out of a network for one question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// Nodes that nobody can be at.
    pub nodes: BTreeSet<u32>,
    /// Steps that nobody can take.
    pub steps: BTreeSet<StepId>,
}

impl Without {
    /// Without one node.
    pub fn node(node: u32) -> Self {
        Self { nodes: BTreeSet::from([node]), ..Self::default() }
    }

    /// Without some nodes.
    pub fn nodes(nodes: impl IntoIterator<Item = u32>) -> Self {
        Self { nodes: nodes.into_iter().collect(), ..Self::default() }
    }

    /// Without one step.
    pub fn step(step: StepId) -> Self {
        Self { steps: BTreeSet::from([step]), ..Self::default() }
    }

    fn ranks(&self, network: &Network) -> BTreeSet<u32> {
        self.nodes.iter().filter(|node| **node < network.nodes()).map(|node| network.rank(*node)).collect()
    }
}

/// What a list of starts reaches. A start is one node, or several that are held together.
#[derive(Clone, Debug)]
pub struct Reached<'n> {
    network: &'n Network,
    sources: usize,
    batches: Vec<Batch>,
}

#[derive(Clone, Debug)]
struct Batch {
    /// By rank.
    bits: Vec<Bits>,
    /// What each rank has without any step.
    own: HashMap<u32, Bits>,
}

/// What a changed network would change: for the nodes concerned, who reaches them then.
pub struct Changed<'r, 'n> {
    base: &'r Reached<'n>,
    batches: Vec<HashMap<u32, Bits>>,
}

/// What each of `sources` reaches alone.
pub fn reach<'n>(network: &'n Network, sources: &[u32]) -> Reached<'n> {
    reach_together(network, sources, &[])
}

/// What each of `sources` reaches together with all of `given`, which everybody has.
pub fn reach_together<'n>(network: &'n Network, sources: &[u32], given: &[u32]) -> Reached<'n> {
    let work = |chunk: &[u32]| batch(network, chunk, given);
    let chunks: Vec<&[u32]> = sources.chunks(BATCH).collect();
    let batches = match chunks.as_slice() {
        [] => Vec::new(),
        [one] => vec![work(one)],
        many => in_parallel(many, work),
    };
    Reached { network, sources: sources.len(), batches }
}

fn in_parallel(chunks: &[&[u32]], work: impl Fn(&[u32]) -> Batch + Sync) -> Vec<Batch> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(chunks.len());
    std::thread::scope(|scope| {
        let of_worker = |worker: usize| {
            let (work, mine) = (&work, chunks.iter().skip(worker).step_by(workers));
            move || mine.map(|chunk| work(chunk)).collect::<Vec<Batch>>()
        };
        let others: Vec<_> = (1..workers).map(|worker| scope.spawn(of_worker(worker))).collect();
        let mut lists = vec![of_worker(0)().into_iter()];
        for other in others {
            match other.join() {
                Ok(list) => lists.push(list.into_iter()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (0..chunks.len()).filter_map(|chunk| lists[chunk % workers].next()).collect()
    })
}

fn batch(network: &Network, sources: &[u32], given: &[u32]) -> Batch {
    let mut own: HashMap<u32, Bits> = HashMap::new();
    let known = |node: &&u32| **node < network.nodes();
    for (bit, source) in sources.iter().enumerate().filter(|(_, node)| known(node)) {
        own.entry(network.rank(*source)).or_default()[bit / 64] |= 1 << (bit % 64);
    }
    for node in given.iter().filter(known) {
        own.insert(network.rank(*node), [u64::MAX; WORDS]);
    }
    let mut bits = vec![[0; WORDS]; network.nodes() as usize];
    for (rank, own) in &own {
        bits[*rank as usize] = *own;
    }
    for component in 0..network.order.components() {
        let members = network.order.members(component);
        loop {
            let mut changed = false;
            for rank in members.clone() {
                let new = pull(network, rank, bits[rank as usize], |from| bits[from as usize], |_| true);
                changed |= new != bits[rank as usize];
                bits[rank as usize] = new;
            }
            if !changed || members.len() == 1 {
                break;
            }
        }
    }
    Batch { bits, own }
}

/// What a rank has when its steps have been taken.
#[inline]
fn pull(
    network: &Network,
    rank: u32,
    mut bits: Bits,
    of: impl Fn(u32) -> Bits,
    takes: impl Fn(StepId) -> bool,
) -> Bits {
    for step in network.arriving(rank).filter(|step| takes(StepId(*step))) {
        let from = of(network.in_from[step as usize]);
        for word in 0..WORDS {
            bits[word] |= from[word];
        }
    }
    for joint in network.joint.arriving(rank).filter(|joint| takes(StepId(network.plain() + *joint))) {
        let mut all = [u64::MAX; WORDS];
        for tail in network.joint.tails(joint) {
            let from = of(*tail);
            for word in 0..WORDS {
                all[word] &= from[word];
            }
        }
        for word in 0..WORDS {
            bits[word] |= all[word];
        }
    }
    bits
}

fn has(bits: &Bits, bit: usize) -> bool {
    bits[bit / 64] >> (bit % 64) & 1 == 1
}

fn count(bits: &Bits) -> usize {
    bits.iter().map(|word| word.count_ones() as usize).sum()
}

/// The bits that stand for sources: a node that everybody is given has all of them.
fn mask(sources: usize, batch: usize) -> Bits {
    let mut mask = [0; WORDS];
    for bit in 0..sources.saturating_sub(batch * BATCH).min(BATCH) {
        mask[bit / 64] |= 1 << (bit % 64);
    }
    mask
}

fn and(a: &Bits, b: &Bits) -> Bits {
    std::array::from_fn(|word| a[word] & b[word])
}

impl<'n> Reached<'n> {
    /// Whether the source at this position of the list reaches the node. A source reaches itself.
    pub fn has(&self, source: usize, node: u32) -> bool {
        let known = source < self.sources && node < self.network.nodes();
        known && has(self.bits(source / BATCH, self.network.rank(node)), source % BATCH)
    }

    /// How many of the sources reach the node.
    pub fn count(&self, node: u32) -> usize {
        if node >= self.network.nodes() {
            return 0;
        }
        let rank = self.network.rank(node);
        (0..self.batches.len()).map(|batch| count(&and(self.bits(batch, rank), &mask(self.sources, batch)))).sum()
    }

    /// The positions of the sources that reach the node.
    pub fn sources(&self, node: u32) -> impl Iterator<Item = usize> {
        (0..self.sources).filter(move |source| self.has(*source, node))
    }

    fn bits(&self, batch: usize, rank: u32) -> &Bits {
        &self.batches[batch].bits[rank as usize]
    }

    /// What is reached without some nodes and steps: exact, and only what depends on them is looked at again.
    pub fn without<'r>(&'r self, without: &Without) -> Changed<'r, 'n> {
        let ranks = without.ranks(self.network);
        let batches = (0..self.batches.len()).map(|batch| self.shrink(batch, without, &ranks)).collect();
        Changed { base: self, batches }
    }

    /// Components are looked at in order, each once: what they rest on is settled by then. A component that comes out
    /// as it was ends the search there; in a large one only what may have changed is looked at.
    fn shrink(&self, batch: usize, without: &Without, barred: &BTreeSet<u32>) -> HashMap<u32, Bits> {
        let (network, order) = (self.network, &self.network.order);
        let own = &self.batches[batch].own;
        let carries = |starts: &[u32]| {
            let all = starts.iter().fold([u64::MAX; WORDS], |all, from| and(&all, self.bits(batch, *from)));
            all != Bits::default()
        };
        let base = Base { carries, is_source: |rank: u32| own.contains_key(&rank) };
        let mut untouched = Untouched::of(network, without, base);
        let mut shrink = Shrink { base: self, batch, without, barred, new: HashMap::new() };
        let mut open: BTreeSet<u32> = barred.clone();
        for step in &without.steps {
            open.extend(network.ends(*step).map(|(_, to)| network.rank(to)));
        }
        while let Some(rank) = open.pop_first() {
            let component = order.component[rank as usize];
            let members = order.members(component);
            let mut seeds = vec![rank];
            while let Some(next) = open.first().copied().filter(|next| members.contains(next)) {
                open.remove(&next);
                seeds.push(next);
            }
            let touched = match (&mut untouched, members.len()) {
                (Some(untouched), 2..) => touched(network, untouched, seeds, &members, barred),
                _ => None,
            };
            let changed = match touched {
                Some(ranks) => shrink.settle(ranks.iter().copied()),
                None => shrink.settle(members.clone()),
            };
            for rank in changed {
                open.extend(following(network, rank).filter(|to| !members.contains(to)));
            }
        }
        shrink.new
    }

    /// What is reached with some more steps, each from all of its starts to its end.
    pub fn with<'r>(&'r self, steps: &[(Vec<u32>, u32)]) -> Changed<'r, 'n> {
        let nodes = self.network.nodes();
        let known = |node: &u32| *node < nodes;
        let ranked = |(from, to): &(Vec<u32>, u32)| {
            let all = !from.is_empty() && from.iter().chain([to]).all(known);
            all.then(|| (from.iter().map(|node| self.network.rank(*node)).collect(), self.network.rank(*to)))
        };
        let steps: Vec<(Vec<u32>, u32)> = steps.iter().filter_map(ranked).collect();
        let batches = (0..self.batches.len()).map(|batch| self.grow(batch, &steps)).collect();
        Changed { base: self, batches }
    }

    /// Bits only come to be, so any order ends in the same place; this one passes on what is new from node to node.
    fn grow(&self, batch: usize, steps: &[(Vec<u32>, u32)]) -> HashMap<u32, Bits> {
        let network = self.network;
        let mut new: HashMap<u32, Bits> = HashMap::new();
        let mut open: BTreeSet<u32> = steps.iter().map(|(_, to)| *to).collect();
        while let Some(rank) = open.pop_first() {
            let of = |from: u32| new.get(&from).copied().unwrap_or_else(|| *self.bits(batch, from));
            let before = of(rank);
            let mut after = pull(network, rank, before, of, |_| true);
            for (from, _) in steps.iter().filter(|(_, to)| *to == rank) {
                let all = from.iter().map(|from| of(*from)).fold([u64::MAX; WORDS], |a, b| and(&a, &b));
                after = std::array::from_fn(|word| after[word] | all[word]);
            }
            if after == before {
                continue;
            }
            new.insert(rank, after);
            open.extend(network.leaving(rank).iter().map(|(to, _)| *to));
            open.extend(network.joint.leaving(rank).iter().map(|at| network.joint.to[*at as usize]));
            open.extend(steps.iter().filter(|(from, _)| from.contains(&rank)).map(|(_, to)| *to));
        }
        new
    }
}

/// The nodes of a component that may have lost something, from those that certainly lost an input; nothing when that
/// cannot be told in a short time.
fn touched(
    network: &Network,
    untouched: &mut Untouched<'_, impl Fn(&[u32]) -> bool, impl Fn(u32) -> bool>,
    mut open: Vec<u32>,
    members: &Range<u32>,
    barred: &BTreeSet<u32>,
) -> Option<BTreeSet<u32>> {
    let mut touched = BTreeSet::new();
    while let Some(rank) = open.pop() {
        if touched.contains(&rank) || !barred.contains(&rank) && untouched.keeps(rank) {
            continue;
        }
        if untouched.is_over() || touched.len() > members.len() / 2 {
            return None;
        }
        touched.insert(rank);
        open.extend(following(network, rank).filter(|to| members.contains(to)));
    }
    Some(touched)
}

/// The ends of the steps from a rank.
fn following(network: &Network, rank: u32) -> impl Iterator<Item = u32> + '_ {
    let joint = network.joint.leaving(rank).iter().map(|at| network.joint.to[*at as usize]);
    network.leaving(rank).iter().map(|(to, _)| *to).chain(joint)
}

/// What is left when something is taken out, component by component.
struct Shrink<'s, 'n> {
    base: &'s Reached<'n>,
    batch: usize,
    without: &'s Without,
    barred: &'s BTreeSet<u32>,
    /// Only what differs.
    new: HashMap<u32, Bits>,
}

impl Shrink<'_, '_> {
    /// Finds again what some ranks of one component have, all else being settled; those that come out differently.
    fn settle(&mut self, ranks: impl Iterator<Item = u32> + Clone) -> Vec<u32> {
        let own = &self.base.batches[self.batch].own;
        for rank in ranks.clone() {
            let own = own.get(&rank).copied().unwrap_or_default();
            self.new.insert(rank, if self.barred.contains(&rank) { Bits::default() } else { own });
        }
        let takes = |step: StepId| self.without.steps.is_empty() || !self.without.steps.contains(&step);
        let is_one = ranks.clone().nth(1).is_none();
        loop {
            let mut changed = false;
            for rank in ranks.clone().filter(|rank| !self.barred.contains(rank)) {
                let before = self.new[&rank];
                let of = |from: u32| self.new.get(&from).copied().unwrap_or_else(|| *self.base.bits(self.batch, from));
                let after = pull(self.base.network, rank, before, of, takes);
                changed |= before != after;
                self.new.insert(rank, after);
            }
            if !changed || is_one {
                break;
            }
        }
        let differs = |rank: &u32| self.new[rank] != *self.base.bits(self.batch, *rank);
        let (changed, same): (Vec<u32>, Vec<u32>) = ranks.partition(differs);
        for rank in same {
            self.new.remove(&rank);
        }
        changed
    }
}

impl Changed<'_, '_> {
    /// Whether the source at this position of the list reaches the node after the change.
    pub fn has(&self, source: usize, node: u32) -> bool {
        let network = self.base.network;
        if source >= self.base.sources || node >= network.nodes() {
            return false;
        }
        match self.batches.get(source / BATCH).and_then(|batch| batch.get(&network.rank(node))) {
            Some(bits) => has(bits, source % BATCH),
            None => self.base.has(source, node),
        }
    }

    /// How many of the sources reach the node after the change.
    pub fn count(&self, node: u32) -> usize {
        let network = self.base.network;
        if node >= network.nodes() {
            return 0;
        }
        let rank = network.rank(node);
        let of = |(batch, new): (usize, &HashMap<u32, Bits>)| {
            let bits = new.get(&rank).unwrap_or_else(|| self.base.bits(batch, rank));
            count(&and(bits, &mask(self.base.sources, batch)))
        };
        self.batches.iter().enumerate().map(of).sum()
    }

    /// How many nodes the change concerns.
    pub fn nodes(&self) -> usize {
        self.batches.iter().map(HashMap::len).max().unwrap_or_default()
    }
}

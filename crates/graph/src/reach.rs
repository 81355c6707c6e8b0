//! Who reaches what, by which shortest way, and where the ways can be cut.
//!
//! Every search takes the relations to follow as a predicate, so that a rule says what counts as a step.
//! Nothing is capped: an answer is complete or it is not given.

use std::collections::VecDeque;

use crate::model::{Graph, Relation};

/// What a set of sources reaches.
pub struct Reached {
    sources: usize,
    /// One word for each 64 sources, for each node: bit `s` of a node is set if source `s` reaches it.
    words: Vec<Vec<u64>>,
}

impl Reached {
    /// Whether the source at this position of the list reaches the node. A source reaches itself.
    pub fn has(&self, source: usize, node: u32) -> bool {
        let word = self.words.get(source / 64).and_then(|nodes| nodes.get(node as usize));
        source < self.sources && word.is_some_and(|word| word >> (source % 64) & 1 == 1)
    }

    /// How many of the sources reach the node.
    pub fn count(&self, node: u32) -> usize {
        self.words.iter().filter_map(|nodes| nodes.get(node as usize)).map(|word| word.count_ones() as usize).sum()
    }
}

/// Multi-source search, 64 sources at a time in the bits of one word (Then et al., "The More the Merrier",
/// VLDB 2014): an edge is followed once for all the sources whose frontier stands at its start.
pub fn reach(graph: &Graph, sources: &[u32], follows: impl Fn(&Relation) -> bool) -> Reached {
    let words = sources.chunks(64).map(|batch| reach_batch(graph, batch, &follows)).collect();
    Reached { sources: sources.len(), words }
}

fn reach_batch(graph: &Graph, sources: &[u32], follows: &impl Fn(&Relation) -> bool) -> Vec<u64> {
    let mut seen = vec![0u64; graph.entities().len()];
    // Bits that arrived at a node and were not yet passed on. A node is in the queue iff its word is not 0.
    let mut fresh = seen.clone();
    let mut queue = VecDeque::new();
    let mut arrive = |node: u32, bits: u64, fresh: &mut Vec<u64>, queue: &mut VecDeque<u32>| {
        let (Some(seen), Some(fresh)) = (seen.get_mut(node as usize), fresh.get_mut(node as usize)) else { return };
        let new = bits & !*seen;
        *seen |= new;
        if new != 0 && *fresh == 0 {
            queue.push_back(node);
        }
        *fresh |= new;
    };
    for (bit, source) in sources.iter().enumerate() {
        arrive(*source, 1 << bit, &mut fresh, &mut queue);
    }
    while let Some(node) = queue.pop_front() {
        let bits = fresh.get_mut(node as usize).map(std::mem::take).unwrap_or_default();
        for relation in graph.outgoing(node).iter().filter(|relation| follows(relation)) {
            arrive(relation.to, bits, &mut fresh, &mut queue);
        }
    }
    seen
}

/// A shortest way from any of the sources to a node that is wanted. Empty if a source is wanted itself.
pub fn witness<'g>(
    graph: &'g Graph,
    sources: &[u32],
    wanted: impl Fn(u32) -> bool,
    follows: impl Fn(&Relation) -> bool,
) -> Option<Vec<&'g Relation>> {
    let mut parent: Vec<Option<&Relation>> = vec![None; graph.entities().len()];
    let mut seen = vec![false; graph.entities().len()];
    let mut queue: VecDeque<u32> = VecDeque::new();
    let mut first = |node: u32| seen.get_mut(node as usize).is_some_and(|seen| !std::mem::replace(seen, true));
    queue.extend(sources.iter().copied().filter(|source| first(*source)));
    while let Some(node) = queue.pop_front() {
        if wanted(node) {
            return Some(way_back(&parent, node));
        }
        for relation in graph.outgoing(node).iter().filter(|relation| follows(relation)) {
            if first(relation.to) {
                if let Some(parent) = parent.get_mut(relation.to as usize) {
                    *parent = Some(relation);
                }
                queue.push_back(relation.to);
            }
        }
    }
    None
}

fn way_back<'g>(parent: &[Option<&'g Relation>], end: u32) -> Vec<&'g Relation> {
    let mut way = Vec::new();
    let mut node = end;
    while let Some(relation) = parent.get(node as usize).copied().flatten() {
        way.push(relation);
        node = relation.from;
    }
    way.reverse();
    way
}

/// A smallest set of nodes whose removal parts every source from every target; sources and targets
/// themselves are not removed. `None` if some source is a target or reaches one in one step: no set does it.
///
/// By Menger's theorem it is as large as the number of ways that share no inner node; found by augmenting
/// paths over split nodes. Of several smallest sets it is the one nearest to the sources.
pub fn min_cut(
    graph: &Graph,
    sources: &[u32],
    targets: &[u32],
    follows: impl Fn(&Relation) -> bool,
) -> Option<Vec<u32>> {
    let mut flow = Flow::of(graph, sources, targets, follows)?;
    while flow.augment() {}
    Some(flow.cut())
}

/// A network in which every inner node is two, joined by an arc of capacity 1. Node `n` is entered at `2n`
/// and left at `2n + 1`.
struct Flow {
    /// Target and index of the reverse arc, by arc.
    arcs: Vec<Arc>,
    /// The arcs that leave each half node.
    out: Vec<Vec<usize>>,
    source: usize,
    sink: usize,
}

struct Arc {
    to: usize,
    capacity: u32,
}

const UNBOUNDED: u32 = u32::MAX / 2;

impl Flow {
    fn of(graph: &Graph, sources: &[u32], targets: &[u32], follows: impl Fn(&Relation) -> bool) -> Option<Self> {
        let nodes = graph.entities().len();
        let (source, sink) = (2 * nodes, 2 * nodes + 1);
        let mut flow = Self { arcs: Vec::new(), out: vec![Vec::new(); 2 * nodes + 2], source, sink };
        let mark = |list: &[u32]| {
            let mut marks = vec![false; nodes];
            for node in list {
                if let Some(mark) = marks.get_mut(*node as usize) {
                    *mark = true;
                }
            }
            marks
        };
        let (is_source, is_target) = (mark(sources), mark(targets));
        let is = |marks: &[bool], node: usize| marks.get(node).copied().unwrap_or_default();
        for node in 0..nodes {
            match (is(&is_source, node), is(&is_target, node)) {
                (true, true) => return None,
                (true, false) => flow.join(source, 2 * node + 1, UNBOUNDED),
                (false, true) => flow.join(2 * node, sink, UNBOUNDED),
                (false, false) => flow.join(2 * node, 2 * node + 1, 1),
            }
        }
        for relation in graph.relations().iter().filter(|relation| follows(relation)) {
            let (from, to) = (relation.from as usize, relation.to as usize);
            if is(&is_source, from) && is(&is_target, to) {
                return None;
            }
            if !is(&is_source, to) && !is(&is_target, from) {
                flow.join(2 * from + 1, 2 * to, UNBOUNDED);
            }
        }
        Some(flow)
    }

    /// An arc and, beside it, its reverse: the reverse of arc `a` is `a ^ 1`.
    fn join(&mut self, from: usize, to: usize, capacity: u32) {
        for (from, to, capacity) in [(from, to, capacity), (to, from, 0)] {
            if let Some(out) = self.out.get_mut(from) {
                out.push(self.arcs.len());
            }
            self.arcs.push(Arc { to, capacity });
        }
    }

    /// The arc by which each half node is first reached in what capacity is left.
    fn residual(&self) -> Vec<Option<usize>> {
        let mut by = vec![None; self.out.len()];
        let mut queue = VecDeque::from([self.source]);
        while let Some(node) = queue.pop_front() {
            for &at in self.out.get(node).into_iter().flatten() {
                let Some(arc) = self.arcs.get(at).filter(|arc| arc.capacity > 0 && arc.to != self.source) else {
                    continue;
                };
                if let Some(by) = by.get_mut(arc.to).filter(|by| by.is_none()) {
                    *by = Some(at);
                    queue.push_back(arc.to);
                }
            }
        }
        by
    }

    /// Sends one more unit, if there is a way for it.
    fn augment(&mut self) -> bool {
        let by = self.residual();
        let mut node = self.sink;
        while let Some(at) = by.get(node).copied().flatten() {
            if let Some(arc) = self.arcs.get_mut(at) {
                arc.capacity -= 1;
            }
            if let Some(back) = self.arcs.get_mut(at ^ 1) {
                back.capacity += 1;
                node = back.to;
            }
        }
        node == self.source
    }

    /// The nodes whose entry is reached and whose exit is not.
    fn cut(&self) -> Vec<u32> {
        let by = self.residual();
        let reached = |half: usize| by.get(half).is_some_and(Option::is_some);
        (0u32..)
            .take(self.source / 2)
            .filter(|node| reached(2 * *node as usize) && !reached(2 * *node as usize + 1))
            .collect()
    }
}

/// For each node that the source reaches, the last node that every way to it passes: its immediate dominator
/// (Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm"). `None` for the source and what it does not reach.
pub fn dominators(graph: &Graph, source: u32, follows: impl Fn(&Relation) -> bool) -> Vec<Option<u32>> {
    let order = postorder(graph, source, &follows);
    let mut number: Vec<Option<u32>> = vec![None; graph.entities().len()];
    for (position, node) in (0u32..).zip(&order) {
        if let Some(number) = number.get_mut(*node as usize) {
            *number = Some(position);
        }
    }
    let number_of = |node: u32| number.get(node as usize).copied().flatten();
    // By post-order number; the source is the last and dominates itself until the end.
    let mut dominator: Vec<Option<u32>> = vec![None; order.len()];
    if let Some(last) = dominator.last_mut() {
        *last = number_of(source);
    }
    let mut changed = true;
    while changed {
        changed = false;
        for (position, node) in order.iter().enumerate().rev().skip(1) {
            let before = graph
                .incoming(*node)
                .filter(|relation| follows(relation))
                .filter_map(|relation| number_of(relation.from));
            let known = before.filter(|from| dominator.get(*from as usize).is_some_and(Option::is_some));
            let new = known.reduce(|a, b| meet(&dominator, a, b));
            if let Some(old) = dominator.get_mut(position).filter(|old| **old != new) {
                *old = new;
                changed = true;
            }
        }
    }
    let node_of = |position: u32| order.get(position as usize).copied();
    let of = |node: u32| dominator.get(number_of(node)? as usize).copied().flatten().and_then(node_of);
    (0u32..).take(graph.entities().len()).map(|node| of(node).filter(|_| node != source)).collect()
}

/// The nearest common ancestor of two nodes in the tree so far. Numbers grow towards the source.
fn meet(dominator: &[Option<u32>], mut a: u32, mut b: u32) -> u32 {
    let up = |node: u32| dominator.get(node as usize).copied().flatten();
    while a != b {
        let (low, high) = (a.min(b), a.max(b));
        match up(low) {
            Some(next) if next != low => (a, b) = (next, high),
            _ => return high,
        }
    }
    a
}

fn postorder(graph: &Graph, source: u32, follows: &impl Fn(&Relation) -> bool) -> Vec<u32> {
    let mut seen = vec![false; graph.entities().len()];
    let mut first = |node: u32| seen.get_mut(node as usize).is_some_and(|seen| !std::mem::replace(seen, true));
    let mut order = Vec::new();
    let mut open: Vec<(u32, std::slice::Iter<'_, Relation>)> = Vec::new();
    if first(source) {
        open.push((source, graph.outgoing(source).iter()));
    }
    while let Some((node, rest)) = open.last_mut() {
        match rest.find(|relation| follows(relation) && first(relation.to)) {
            Some(relation) => open.push((relation.to, graph.outgoing(relation.to).iter())),
            None => {
                order.push(*node);
                open.pop();
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::text;

    /// A graph of `n` nodes from pairs; every node exists.
    fn graph(n: u32, edges: &[(u32, u32)]) -> Graph {
        let nodes: String = (0..n).map(|node| format!("server {node:03}\n")).collect();
        let edges: String = edges.iter().map(|(a, b)| format!("server {a:03} uses server {b:03}\n")).collect();
        text::parse(&(nodes + &edges)).unwrap()
    }

    fn arb() -> impl Strategy<Value = (u32, Vec<(u32, u32)>)> {
        (2..9u32).prop_flat_map(|n| (Just(n), proptest::collection::vec((0..n, 0..n), 0..20)))
    }

    /// Reach by the definition, without some nodes.
    fn naive(n: u32, edges: &[(u32, u32)], from: u32, without: &BTreeSet<u32>) -> BTreeSet<u32> {
        let mut seen = BTreeSet::from([from]);
        for _ in 0..n {
            let more: Vec<u32> = edges
                .iter()
                .filter(|(a, b)| seen.contains(a) && !without.contains(b) && !without.contains(a))
                .map(|(_, b)| *b)
                .collect();
            seen.extend(more);
        }
        seen
    }

    proptest! {
        #[test]
        fn reach_and_witness_agree_with_the_definition((n, edges) in arb()) {
            let graph = graph(n, &edges);
            let sources: Vec<u32> = (0..n).cycle().take(130).collect();
            let reached = reach(&graph, &sources, |_| true);
            for (position, source) in sources.iter().enumerate() {
                let expected = naive(n, &edges, *source, &BTreeSet::new());
                for node in 0..n {
                    prop_assert_eq!(reached.has(position, node), expected.contains(&node));
                    let way = witness(&graph, &[*source], |at| at == node, |_| true);
                    prop_assert_eq!(way.is_some(), expected.contains(&node));
                    let mut at = *source;
                    for relation in way.into_iter().flatten() {
                        prop_assert_eq!(relation.from, at);
                        at = relation.to;
                    }
                    prop_assert!(!expected.contains(&node) || at == node);
                }
            }
        }

        #[test]
        fn a_dominator_is_on_every_way((n, edges) in arb()) {
            let graph = graph(n, &edges);
            let found = dominators(&graph, 0, |_| true);
            let all = naive(n, &edges, 0, &BTreeSet::new());
            for node in 1..n {
                let strict = (1..n).filter(|other| *other != node && all.contains(&node)
                    && !naive(n, &edges, 0, &BTreeSet::from([*other])).contains(&node));
                let mut chain = BTreeSet::new();
                let mut at = node;
                while let Some(up) = found[at as usize] { chain.insert(up); at = up; }
                chain.remove(&0);
                prop_assert_eq!(chain, strict.collect::<BTreeSet<_>>());
            }
        }

        #[test]
        fn a_cut_parts_and_no_smaller_one_does((n, edges) in arb()) {
            let graph = graph(n, &edges);
            let target = n - 1;
            let parts = |without: &BTreeSet<u32>| !naive(n, &edges, 0, without).contains(&target);
            let inner: Vec<u32> = (1..target).collect();
            let smallest = (0u32..1 << inner.len())
                .map(|bits| inner.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, node)| *node).collect())
                .filter(|set: &BTreeSet<u32>| parts(set))
                .map(|set| set.len())
                .min();
            let cut = min_cut(&graph, &[0], &[target], |_| true);
            prop_assert_eq!(cut.as_ref().map(Vec::len), smallest);
            prop_assert!(cut.is_none_or(|cut| parts(&cut.into_iter().collect())));
        }
    }
}

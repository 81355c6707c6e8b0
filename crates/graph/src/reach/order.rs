//! Strongly connected components in topological order (Tarjan 1972, without recursion).

#![expect(clippy::indexing_slicing, reason = "INVARIANT: every index is a node below the length of all arrays")]

use super::network::by_key;

/// Targets by source.
pub(super) struct Adjacency {
    start: Vec<u32>,
    to: Vec<u32>,
}

impl Adjacency {
    pub(super) fn new(nodes: u32, steps: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let (start, to) = by_key(nodes, steps.filter(|(from, to)| *from < nodes && *to < nodes));
        Self { start, to }
    }
}

/// The order that a network is kept in.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// The rank of each node.
    pub(super) rank: Vec<u32>,
    /// The node of each rank.
    pub(super) node: Vec<u32>,
    /// The component of each rank: components are numbered in order, so this never falls.
    pub(super) component: Vec<u32>,
    /// The first rank of each component, and the number of nodes at the end.
    pub(super) component_start: Vec<u32>,
}

impl Order {
    /// The ranks of a component.
    pub(super) fn members(&self, component: u32) -> std::ops::Range<u32> {
        self.component_start[component as usize]..self.component_start[component as usize + 1]
    }

    pub(super) fn components(&self) -> u32 {
        super::network::len(&self.component_start).saturating_sub(1)
    }
}

const UNSEEN: u32 = u32::MAX;
const DONE: u32 = u32::MAX - 1;

/// Tarjan's search finishes components from the end of the order to its start, so ranks are given out backwards.
pub(super) fn components(nodes: u32, adjacency: &Adjacency) -> Order {
    let count = nodes as usize;
    let mut low = vec![UNSEEN; count];
    let mut order =
        Order { rank: vec![0; count], node: vec![0; count], component: vec![0; count], component_start: vec![nodes] };
    let mut next = adjacency.start.clone();
    let (mut calls, mut open): (Vec<(u32, u32)>, Vec<u32>) = (Vec::new(), Vec::new());
    let (mut clock, mut free) = (0, nodes);
    for root in 0..nodes {
        if low[root as usize] != UNSEEN {
            continue;
        }
        calls.push((root, clock));
        while let Some((node, entered)) = calls.last().copied() {
            let at = node as usize;
            if low[at] == UNSEEN {
                low[at] = clock;
                clock += 1;
                open.push(node);
            }
            let mut deeper = None;
            while next[at] < adjacency.start[at + 1] {
                let target = adjacency.to[next[at] as usize];
                let seen = low[target as usize];
                if seen == UNSEEN {
                    deeper = Some(target);
                    break;
                }
                next[at] += 1;
                if seen != DONE {
                    low[at] = low[at].min(seen);
                }
            }
            if let Some(target) = deeper {
                calls.push((target, clock));
                continue;
            }
            calls.pop();
            if low[at] == entered {
                close(&mut order, &mut open, &mut low, (node, &mut free));
            }
            // The caller looks at this node again and takes what it found, unless it is done.
        }
    }
    order.component_start.reverse();
    let components = order.components();
    for component in 0..components {
        for rank in order.members(component) {
            order.component[rank as usize] = component;
        }
    }
    order
}

fn close(order: &mut Order, open: &mut Vec<u32>, low: &mut [u32], (root, free): (u32, &mut u32)) {
    while let Some(member) = open.pop() {
        *free -= 1;
        low[member as usize] = DONE;
        order.rank[member as usize] = *free;
        order.node[*free as usize] = member;
        if member == root {
            break;
        }
    }
    order.component_start.push(*free);
}

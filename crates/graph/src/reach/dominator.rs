//! What every way passes: dominators of everything at once (semi-NCA: Georgiadis, "Linear-Time Algorithms for
//! Dominators and Related Problems", 2005).
//!
//! Joint steps are taken as one step from each of their starts. That only adds ways, so what is named here is on
//! every way; with joint steps there may be more of it, which [`super::choke`] finds by trying.

#![expect(clippy::indexing_slicing, reason = "INVARIANT: every index is a number below the count of reached nodes")]

use super::network::Network;

/// For each node that some source reaches, the last node before it that every way from every source passes. `None`
/// for the sources, what nobody reaches, and where the ways share nothing.
pub fn dominators(network: &Network, sources: &[u32]) -> Vec<Option<u32>> {
    let tree = Tree::search(network, sources);
    let above = tree.immediate(network);
    let mut found = vec![None; network.nodes() as usize];
    for number in 1..tree.rank.len() {
        let up = above[number] as usize;
        if up != 0 {
            found[network.node(tree.rank[number]) as usize] = Some(network.node(tree.rank[up]));
        }
    }
    found
}

/// A depth-first search from a root, number 0, that leads to all sources.
struct Tree {
    /// The rank of each number.
    rank: Vec<u32>,
    /// The number of each rank; 0 where not reached.
    number: Vec<u32>,
    parent: Vec<u32>,
    is_source: Vec<bool>,
}

impl Tree {
    fn search(network: &Network, sources: &[u32]) -> Self {
        let count = network.nodes() as usize;
        let mut tree = Self { rank: vec![0], number: vec![0; count], parent: vec![0], is_source: vec![false; count] };
        let mut open: Vec<(u32, u32)> = Vec::new();
        for source in sources.iter().filter(|node| **node < network.nodes()) {
            tree.is_source[network.rank(*source) as usize] = true;
        }
        for source in sources.iter().filter(|node| **node < network.nodes()) {
            // Entries pushed last are entered first, and an entry that was entered meanwhile is passed over: that is
            // a depth-first order, with the parent from which it was entered.
            open.push((network.rank(*source), 0));
            while let Some((rank, parent)) = open.pop() {
                if tree.number[rank as usize] != 0 {
                    continue;
                }
                let number = super::network::len(&tree.rank);
                tree.number[rank as usize] = number;
                tree.rank.push(rank);
                tree.parent.push(parent);
                let plain = network.leaving(rank).iter().map(|(to, _)| *to);
                let joint = network.joint.leaving(rank).iter().map(|at| network.joint.to[*at as usize]);
                let fresh = plain.chain(joint).filter(|to| tree.number[*to as usize] == 0);
                open.extend(fresh.map(|to| (to, number)));
            }
        }
        tree
    }

    fn immediate(&self, network: &Network) -> Vec<u32> {
        let count = super::network::len(&self.rank);
        let mut semi: Vec<u32> = (0..count).collect();
        let mut forest = Forest { ancestor: self.parent.clone(), label: semi.clone(), path: Vec::new() };
        for number in (1..count).rev() {
            let rank = self.rank[number as usize];
            let mut least = self.parent[number as usize];
            if self.is_source[rank as usize] {
                least = 0;
            }
            let plain = network.arriving(rank).map(|step| network.in_from[step as usize]);
            let joint = network.joint.arriving(rank).flat_map(|joint| network.joint.tails(joint).iter().copied());
            for from in plain.chain(joint).map(|from| self.number[from as usize]).filter(|from| *from != 0) {
                least = least.min(semi[forest.lowest(from, number + 1, &semi) as usize]);
            }
            semi[number as usize] = least;
        }
        let mut above = self.parent.clone();
        for number in 1..count as usize {
            while above[number] > semi[number] {
                above[number] = above[above[number] as usize];
            }
        }
        above
    }
}

/// The numbers from some bound on, as trees that shrink as they are climbed.
struct Forest {
    ancestor: Vec<u32>,
    label: Vec<u32>,
    path: Vec<u32>,
}

impl Forest {
    /// The number with the least semidominator on the way up from `at` among those from `bound` on.
    fn lowest(&mut self, at: u32, bound: u32, semi: &[u32]) -> u32 {
        let mut at = at;
        while self.ancestor[at as usize] >= bound {
            self.path.push(at);
            at = self.ancestor[at as usize];
        }
        let mut label = self.label[at as usize];
        while let Some(below) = self.path.pop() {
            self.ancestor[below as usize] = self.ancestor[at as usize];
            let own = self.label[below as usize];
            if semi[label as usize] < semi[own as usize] {
                self.label[below as usize] = label;
            } else {
                label = own;
            }
            at = below;
        }
        self.label[at as usize]
    }
}

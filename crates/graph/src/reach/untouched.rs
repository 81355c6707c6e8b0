//! Which nodes a removal leaves as they were, found without looking at all that lies behind it.
//!
//! What a removed step carried, its starts have without it: the shortest derivation of each start cannot use the step,
//! which needs the start first. So a node that plain steps still connect with a start of the step keeps everything
//! that the step could have brought. The same holds for a removed node and the starts of each step into it. Such a
//! connection is searched from both ends at once, so that inside of a giant component it is found after a small part
//! of it. Where a start leads nowhere else, what it has came to it from outside of the few nodes that it still leads
//! to, and the connection is searched from there. A search that grows too long is given up, and then nothing is claimed.

use std::collections::{HashSet, VecDeque};

use super::network::{Network, StepId};
use super::sweep::Without;

/// Steps looked at for one change before it is given up; few under test, so that giving up is tested too.
const LOOKED_MAX: usize = if cfg!(test) { 400 } else { 400_000 };
/// A node with more steps into it than this is not searched for: each step has starts of its own.
const GROUPS_MAX: usize = 32;
/// The most nodes that count as few.
const FEW: usize = 256;

/// What is known of the network without a change.
pub(super) struct Base<C, S> {
    /// Whether starts, given by rank, have anything together.
    pub(super) carries: C,
    /// Whether a rank has something without any step.
    pub(super) is_source: S,
}

/// The starts that carried what is removed, and what they are still connected with.
pub(super) struct Untouched<'n, C, S> {
    network: &'n Network,
    without: &'n Without,
    base: Base<C, S>,
    barred: u32,
    lowest: u32,
    groups: Vec<Group>,
    /// Nodes that are known to keep everything, whatever the groups say.
    kept: HashSet<u32>,
    has_climbed: bool,
    looked: usize,
}

/// The starts of one removed step, any of which will do, with all nodes known to be connected.
struct Group {
    known: HashSet<u32>,
    open: VecDeque<u32>,
    /// Nodes that are connected with none of them.
    cut_off: HashSet<u32>,
}

/// No rank: nothing is barred.
const NOBODY: u32 = u32::MAX;

impl<'n, C: Fn(&[u32]) -> bool, S: Fn(u32) -> bool> Untouched<'n, C, S> {
    /// For the removal of one step, or of one node that is no source; nothing for any other change.
    pub(super) fn of(network: &'n Network, without: &'n Without, base: Base<C, S>) -> Option<Self> {
        let (barred, into) = match (without.nodes.first(), without.steps.first()) {
            (None, Some(step)) if without.steps.len() == 1 => (NOBODY, vec![starts(network, *step)]),
            (Some(node), None) if without.nodes.len() == 1 && *node < network.nodes() => {
                let rank = network.rank(*node);
                if (base.is_source)(rank) {
                    return None;
                }
                (rank, arriving(network, rank).map(|step| starts(network, step)).collect())
            }
            _ => return None,
        };
        let (groups, kept) = (Vec::new(), HashSet::new());
        let mut untouched =
            Self { network, without, base, barred, lowest: 0, groups, kept, has_climbed: barred != NOBODY, looked: 0 };
        untouched.search_from(into).then_some(untouched)
    }

    /// Searches from the starts of these steps, as far as they carry anything; false when there are too many.
    fn search_from(&mut self, into: Vec<Vec<u32>>) -> bool {
        let carrying = into.into_iter().filter(|starts| (self.base.carries)(starts));
        let group = |starts: Vec<u32>| Group {
            known: starts.iter().copied().collect(),
            open: starts.into(),
            cut_off: HashSet::new(),
        };
        self.groups = carrying.map(group).collect();
        let component = |rank: &u32| self.network.order.component.get(*rank as usize).copied().unwrap_or_default();
        self.lowest = self.groups.iter().flat_map(|group| &group.known).map(component).min().unwrap_or_default();
        self.groups.len() <= GROUPS_MAX
    }

    /// Whether the node certainly keeps what it had. No is no claim.
    pub(super) fn keeps(&mut self, rank: u32) -> bool {
        if self.kept.contains(&rank) || (0..self.groups.len()).all(|group| self.connected(group, rank)) {
            return true;
        }
        self.climb() && (0..self.groups.len()).all(|group| self.connected(group, rank))
    }

    /// When the start of the removed step leads to few other nodes: searches from where these have it from.
    ///
    /// Nothing leads out of those nodes but the step itself, so that the first of them that something comes to on its
    /// way has it from outside, where it does not rest on the step.
    fn climb(&mut self) -> bool {
        let [group] = self.groups.as_slice() else { return false };
        if self.has_climbed || !group.open.is_empty() || group.known.len() > FEW {
            return false;
        }
        self.has_climbed = true;
        let closed = group.known.clone();
        let starts_of_step: Vec<u32> =
            self.without.steps.first().map(|step| starts(self.network, *step)).unwrap_or_default();
        let [start] = starts_of_step.as_slice() else { return false };
        // Those of the few that lead back to the start.
        let (mut back, mut open) = (HashSet::from([*start]), vec![*start]);
        let mut into = Vec::new();
        while let Some(rank) = open.pop() {
            if (self.base.is_source)(rank) {
                return false;
            }
            for step in arriving(self.network, rank).filter(|step| !self.without.steps.contains(step)) {
                let from = starts(self.network, step);
                match from.as_slice() {
                    [one] if closed.contains(one) => open.extend(back.insert(*one).then_some(*one)),
                    many if many.iter().any(|one| closed.contains(one)) => return false,
                    _ => into.push(from),
                }
            }
        }
        self.kept = closed;
        self.search_from(into)
    }

    /// Whether the search was given up.
    pub(super) fn is_over(&self) -> bool {
        self.looked > LOOKED_MAX
    }

    fn connected(&mut self, group: usize, rank: u32) -> bool {
        let Some(Group { known, open, cut_off }) = self.groups.get_mut(group) else { return false };
        if known.contains(&rank) || cut_off.contains(&rank) {
            return known.contains(&rank);
        }
        let network = self.network;
        let mut behind = HashSet::from([rank]);
        let mut back = VecDeque::from([rank]);
        while let Some(at) = back.pop_front() {
            for step in network.arriving(at) {
                self.looked += 1;
                let Some(from) = network.in_from.get(step as usize).copied() else { continue };
                if from == self.barred || self.without.steps.contains(&StepId(step)) || cut_off.contains(&from) {
                    continue;
                }
                if known.contains(&from) {
                    return true;
                }
                // A step never leads to an earlier component.
                let component = network.order.component.get(from as usize).copied().unwrap_or_default();
                if component >= self.lowest && behind.insert(from) {
                    back.push_back(from);
                }
            }
            let Some(at) = open.pop_front() else {
                // Everything connected is known, and the node is not among it.
                return false;
            };
            let mut met = false;
            for (to, step) in network.leaving(at) {
                self.looked += 1;
                if *to != self.barred && !self.without.steps.contains(&StepId(*step)) && known.insert(*to) {
                    open.push_back(*to);
                    met |= behind.contains(to);
                }
            }
            if met {
                return true;
            }
            if self.looked > LOOKED_MAX {
                return false;
            }
        }
        cut_off.extend(behind);
        false
    }
}

/// The steps into a rank.
fn arriving(network: &Network, rank: u32) -> impl Iterator<Item = StepId> + '_ {
    let joint = network.joint.arriving(rank).map(|at| StepId(network.plain() + at));
    network.arriving(rank).map(StepId).chain(joint)
}

/// The ranks that a step starts from.
fn starts(network: &Network, step: StepId) -> Vec<u32> {
    match network.in_from.get(step.0 as usize) {
        Some(from) => vec![*from],
        None => network.joint.tails(step.0 - network.plain()).to_vec(),
    }
}

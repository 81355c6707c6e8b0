//! Which nodes a removal leaves as they were, found without looking at all that lies behind it.
//!
//! What a removed step carried, its starts have without it: the shortest derivation of each start cannot use the step,
//! which needs the start first. So a node that plain steps still connect with a start of the step keeps everything
//! that the step could have brought. The same holds for a removed node and the starts of each step into it. Such a
//! connection is searched from both ends at once, so that inside of a giant component it is found after a small part
//! of it. A search that grows too long is given up, and then nothing is claimed.

use std::collections::{HashSet, VecDeque};

use super::network::{Network, StepId};
use super::sweep::Without;

/// Steps looked at for one change before it is given up; few under test, so that giving up is tested too.
const LOOKED_MAX: usize = if cfg!(test) { 400 } else { 400_000 };
/// A node with more steps into it than this is not searched for: each step has starts of its own.
const GROUPS_MAX: usize = 8;

/// The starts that carried what is removed, and what they are still connected with.
pub(super) struct Untouched<'n> {
    network: &'n Network,
    without: &'n Without,
    barred: u32,
    lowest: u32,
    groups: Vec<Group>,
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

impl<'n> Untouched<'n> {
    /// For the removal of one step, or of one node; `carries` says whether starts (ranks) have anything together.
    pub(super) fn of(network: &'n Network, without: &'n Without, carries: impl Fn(&[u32]) -> bool) -> Option<Self> {
        let (barred, into) = match (without.nodes.first(), without.steps.first()) {
            (None, Some(step)) if without.steps.len() == 1 => (NOBODY, vec![starts(network, *step)]),
            (Some(node), None) if without.nodes.len() == 1 && *node < network.nodes() => {
                let rank = network.rank(*node);
                let plain = network.arriving(rank).map(StepId);
                let joint = network.joint.arriving(rank).map(|at| StepId(network.plain() + at));
                (rank, plain.chain(joint).map(|step| starts(network, step)).collect())
            }
            _ => return None,
        };
        let groups: Vec<Group> = into
            .into_iter()
            .filter(|starts| carries(starts))
            .map(|starts| Group {
                known: starts.iter().copied().collect(),
                open: starts.into(),
                cut_off: HashSet::new(),
            })
            .collect();
        let component = |rank: &u32| network.order.component.get(*rank as usize).copied().unwrap_or_default();
        let lowest = groups.iter().flat_map(|group| &group.known).map(component).min().unwrap_or_default();
        (groups.len() <= GROUPS_MAX).then_some(Self { network, without, barred, lowest, groups, looked: 0 })
    }

    /// Whether the node certainly keeps what it had. No is no claim.
    pub(super) fn keeps(&mut self, rank: u32) -> bool {
        (0..self.groups.len()).all(|group| self.connected(group, rank))
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

/// The ranks that a step starts from.
fn starts(network: &Network, step: StepId) -> Vec<u32> {
    match network.in_from.get(step.0 as usize) {
        Some(from) => vec![*from],
        None => network.joint.tails(step.0 - network.plain()).to_vec(),
    }
}

//! Few grants that together end every path.
//!
//! A path ends when one of its steps has lost every grant of one of its needs, so that a smallest set is a hitting set
//! over needs, which is hard in general. A set is found greedily, what it does not need is put back, and then it is
//! proved that no smaller one does: by paths that share no grant, or else by trying all smaller ones as far as
//! [`SEARCHES_MAX`] goes. [`Cut::is_least`] says whether the proof was had.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::GrantId;
use super::paths::{Network, Path, holds, used_by};

/// How many searches for a way may be made to prove that a set is a smallest one.
const SEARCHES_MAX: u32 = 400;

/// Grants that together end paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The grants.
    pub grants: Vec<GrantId>,
    /// Whether no fewer would do.
    pub is_least: bool,
    /// How many paths remain, since they rest on no grant that a person could remove.
    pub left: usize,
}

pub(super) fn cut(network: &Network<'_>, paths: &[Path]) -> Cut {
    let (grants, left) = greedy(network, paths);
    let ends: Vec<&Path> = paths.iter().filter(|path| !left.contains(&path.from)).collect();
    let least = apart(network, &ends);
    let mut cut = Cut { is_least: grants.len() <= least, grants, left: left.len() };
    if cut.is_least {
        return cut;
    }
    let mut search = Search { network, ends, removed: BTreeSet::new(), dead: network.alive(), searches: 0 };
    search.drop_unneeded(&mut cut.grants);
    for size in least..cut.grants.len() {
        if search.branch(size) {
            cut.grants = search.removed.into_iter().collect();
            break;
        }
        if search.searches >= SEARCHES_MAX {
            return cut;
        }
    }
    cut.is_least = true;
    cut
}

/// Removes, again and again, the grant that most of the remaining witnesses use. Also gives the starts that no grant
/// ends.
fn greedy(network: &Network<'_>, paths: &[Path]) -> (Vec<GrantId>, BTreeSet<usize>) {
    let mut removed = BTreeSet::new();
    let mut cut = Vec::new();
    let mut left: Vec<Path> = paths.to_vec();
    let mut dead = network.alive();
    while !left.is_empty() {
        let users = used_by(network, &left, &removed);
        let Some((grant, _)) = users.into_iter().max_by_key(|(id, users)| (users.len(), Reverse(*id))) else {
            break;
        };
        removed.insert(grant);
        cut.push(grant);
        network.kill(grant, &removed, &mut dead);
        // A witness that still holds is still the best: what is removed makes no other way cheaper.
        let next = |path: Path| if holds(&path, &dead) { Some(path) } else { network.path(path.from, &dead) };
        left = left.into_iter().filter_map(next).collect();
    }
    (cut, left.iter().map(|path| path.from).collect())
}

/// The needs of a path: of each, the grants that are left of it. A path that has lost one of them whole is ended.
fn needs(network: &Network<'_>, path: &Path, removed: &BTreeSet<GrantId>) -> BTreeSet<Vec<GrantId>> {
    let steps = path.steps.iter().filter_map(|step| network.steps.get(*step));
    let left = steps.flat_map(|step| &step.grounds).map(|ground| {
        let grants: BTreeSet<GrantId> = ground.grants.iter().filter(|one| !removed.contains(one)).copied().collect();
        grants.into_iter().collect::<Vec<_>>()
    });
    left.filter(|grants| !grants.is_empty()).collect()
}

/// How many grants at least end all paths: those that paths without a grant in common need.
fn apart(network: &Network<'_>, paths: &[&Path]) -> usize {
    let none = BTreeSet::new();
    let mut needs: Vec<BTreeSet<Vec<GrantId>>> = paths.iter().map(|path| needs(network, path, &none)).collect();
    needs.sort_by_key(|needs| needs.iter().map(Vec::len).sum::<usize>());
    let mut used: BTreeSet<GrantId> = BTreeSet::new();
    let mut count = 0;
    for needs in needs {
        if needs.iter().flatten().all(|grant| !used.contains(grant)) {
            count += needs.iter().map(Vec::len).min().unwrap_or_default();
            used.extend(needs.into_iter().flatten());
        }
    }
    count
}

/// The state of a search for a set of a given size.
struct Search<'s> {
    network: &'s Network<'s>,
    /// The paths that are to end.
    ends: Vec<&'s Path>,
    removed: BTreeSet<GrantId>,
    dead: Vec<bool>,
    searches: u32,
}

impl Search<'_> {
    /// Whether no more than so many further grants end every path; if so they are in `removed`. Some need of a path
    /// that still leads there must lose all its grants: each is tried.
    fn branch(&mut self, left: usize) -> bool {
        let Some(way) = self.way() else { return true };
        if left == 0 || self.searches >= SEARCHES_MAX {
            return false;
        }
        for need in needs(self.network, &way, &self.removed).into_iter().filter(|need| need.len() <= left) {
            let killed = self.remove(&need);
            if self.branch(left - need.len()) {
                return true;
            }
            self.put_back(&need, &killed);
        }
        false
    }

    /// Leaves out of a set that ends all what it does not need for that, the last taken first.
    fn drop_unneeded(&mut self, cut: &mut Vec<GrantId>) {
        for at in (0..cut.len()).rev() {
            let others: Vec<GrantId> =
                cut.iter().enumerate().filter(|(one, _)| *one != at).map(|(_, one)| *one).collect();
            let killed = self.remove(&others);
            if self.way().is_none() {
                cut.remove(at);
            }
            self.put_back(&others, &killed);
        }
    }

    /// A way that is still there.
    fn way(&mut self) -> Option<Path> {
        for path in &self.ends {
            if holds(path, &self.dead) || self.searches >= SEARCHES_MAX {
                return Some((*path).clone());
            }
            self.searches += 1;
            if let Some(other) = self.network.path(path.from, &self.dead) {
                return Some(other);
            }
        }
        None
    }

    fn remove(&mut self, grants: &[GrantId]) -> Vec<usize> {
        self.removed.extend(grants);
        grants.iter().flat_map(|grant| self.network.kill(*grant, &self.removed, &mut self.dead)).collect()
    }

    fn put_back(&mut self, grants: &[GrantId], killed: &[usize]) {
        for grant in grants {
            self.removed.remove(grant);
        }
        for index in killed {
            if let Some(slot) = self.dead.get_mut(*index) {
                *slot = false;
            }
        }
    }
}

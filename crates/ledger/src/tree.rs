//! The Merkle tree of RFC 6962: hashes, roots, inclusion and consistency proofs. Pure.

use std::cell::RefCell;

use aws_lc_rs::digest::{Context, SHA256, digest};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Hashes in a full tile (C2SP tlog-tiles), and entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Levels of the tree that one tile covers: 2^8 = 256.
pub(crate) const TILE_HEIGHT: u32 = 8;

/// SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Hash {
    into_hash(digest(&SHA256, bytes).as_ref())
}

/// Up to this size a copy behind the prefix is cheaper than a hash in two parts, which allocates its state.
const COPY_MAX: usize = 64 << 10;

thread_local! {
    /// The last entry that was hashed here, behind its prefix.
    static PREFIXED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The hash of an entry: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    if entry.len() > COPY_MAX {
        let mut context = Context::new(&SHA256);
        context.update(&[0x00]);
        context.update(entry);
        return into_hash(context.finish().as_ref());
    }
    PREFIXED.with_borrow_mut(|bytes| {
        bytes.clear();
        bytes.push(0x00);
        bytes.extend_from_slice(entry);
        sha256(bytes)
    })
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0x01; 65];
    let [_prefix, hashes @ ..] = &mut bytes;
    let (first, second) = hashes.split_at_mut(left.len());
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    sha256(&bytes)
}

fn into_hash(bytes: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(bytes);
    hash
}

/// The Merkle tree hash over nodes that are already hashes: leaves, or the roots of complete subtrees of
/// one size of which only the last may be smaller. Nothing hashes to SHA-256 of nothing.
pub fn root_of(nodes: &[Hash]) -> Hash {
    match nodes {
        [] => sha256(&[]),
        [single] => *single,
        _ => {
            let (left, right) = nodes.split_at(largest_power_below(nodes.len() as u64) as usize);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The largest power of two smaller than `size`, which is at least 2.
fn largest_power_below(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// The right edge of the tree: at each tile level the hashes of the tile that is not full yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

/// A tile that became full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FullTile {
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) hashes: Vec<Hash>,
}

impl Edge {
    /// From the partial tiles of a log of this size, level by level. `None` if their widths do not fit.
    pub(crate) fn from_levels(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let fits = |(level, hashes): (usize, &Vec<Hash>)| hashes.len() as u64 == partial_width(size, level as u8);
        let complete = levels.len() == level_count(size) && levels.iter().enumerate().all(fits);
        complete.then_some(Self { size, levels })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The partial tiles, level 0 first; some may be empty.
    pub(crate) fn levels(&self) -> &[Vec<Hash>] {
        &self.levels
    }

    /// Adds a leaf; tiles that became full go to `full`, lower levels first.
    pub(crate) fn push(&mut self, leaf: Hash, full: &mut Vec<FullTile>) {
        self.size += 1;
        let mut carried = leaf;
        for level in 0..=u8::MAX {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::with_capacity(TILE_WIDTH as usize));
            }
            let Some(hashes) = self.levels.get_mut(usize::from(level)) else { return };
            hashes.push(carried);
            if (hashes.len() as u64) < TILE_WIDTH {
                return;
            }
            let hashes = std::mem::take(hashes);
            carried = root_of(&hashes);
            full.push(FullTile { level, index: tile_span(self.size, level) - 1, hashes });
        }
    }

    /// The tree's root.
    pub(crate) fn root(&self) -> Hash {
        let mut rest: Option<Hash> = None;
        for hashes in &self.levels {
            let mut nodes = hashes.clone();
            nodes.extend(rest);
            rest = (!nodes.is_empty()).then(|| root_of(&nodes));
        }
        rest.unwrap_or_else(|| root_of(&[]))
    }
}

/// How many full tiles of a level a log of this size has.
fn tile_span(size: u64, level: u8) -> u64 {
    size.checked_shr(TILE_HEIGHT * (u32::from(level) + 1)).unwrap_or(0)
}

/// How many hashes a level has in a log of this size: complete subtrees of 256^level leaves.
pub(crate) fn level_size(size: u64, level: u8) -> u64 {
    size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0)
}

/// How many hashes the partial tile at the right edge of a level has.
pub(crate) fn partial_width(size: u64, level: u8) -> u64 {
    level_size(size, level) % TILE_WIDTH
}

/// How many tile levels a log of this size has.
pub(crate) fn level_count(size: u64) -> usize {
    (0..8).take_while(|level| level_size(size, *level) > 0).count()
}

/// A complete subtree: 2^level leaves from `index << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Height above the leaves.
    pub level: u32,
    /// Its number among the subtrees of that height.
    pub index: u64,
}

/// Root of the leaves `start..end` of a log, as they appear in RFC 6962's recursion.
fn range_root<E>(start: u64, end: u64, node: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    let width = end - start;
    if width.is_power_of_two() && start.is_multiple_of(width) {
        let level = width.trailing_zeros();
        return node(Node { level, index: start >> level });
    }
    let middle = start + largest_power_below(width);
    Ok(node_hash(&range_root(start, middle, node)?, &range_root(middle, end, node)?))
}

/// The inclusion proof (RFC 6962 §2.1.1) for entry `index` in a log of `size`, leaf end first.
/// INVARIANT: `index < size`; otherwise the proof is empty and proves nothing.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    node: &mut impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut start, mut end, mut proof) = (0, size, Vec::new());
    while end - start > 1 && index < size {
        let middle = start + largest_power_below(end - start);
        if index < middle {
            proof.push(range_root(middle, end, node)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, node)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The consistency proof (RFC 6962 §2.1.2) that the log of size `old` is a prefix of the log of size `new`.
/// Empty when `old` is 0 or equals `new`.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    node: &mut impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut start, mut end, mut whole, mut proof) = (0, new, true, Vec::new());
    if old == 0 || old >= new {
        return Ok(proof);
    }
    while old != end {
        let middle = start + largest_power_below(end - start);
        if old <= middle {
            proof.push(range_root(middle, end, node)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, node)?);
            start = middle;
            whole = false;
        }
    }
    if !whole {
        proof.push(range_root(start, end, node)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks an inclusion proof (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut first, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if first % 2 == 1 || first == last {
            hash = node_hash(sibling, &hash);
            while first.is_multiple_of(2) && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        first >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Checks a consistency proof (RFC 9162 §2.1.4.2) between `old` and `new`, each a size and a root.
pub fn verify_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 {
        return proof.is_empty() && *old_root == root_of(&[]);
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size > new_size {
        return false;
    }
    let (seed, rest) = match (old_size.is_power_of_two(), proof) {
        (true, rest) => (*old_root, rest),
        (false, [seed, rest @ ..]) => (*seed, rest),
        (false, []) => return false,
    };
    let shift = (old_size - 1).trailing_ones();
    let (mut first, mut last) = ((old_size - 1) >> shift, (new_size - 1) >> shift);
    let (mut old_hash, mut new_hash) = (seed, seed);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if first % 2 == 1 || first == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while first.is_multiple_of(2) && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        first >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    fn nodes(leaves: &[Hash]) -> impl FnMut(Node) -> Result<Hash, Infallible> + '_ {
        |node| {
            let start = (node.index << node.level) as usize;
            Ok(root_of(&leaves[start..start + (1 << node.level)]))
        }
    }

    #[test]
    fn the_edge_has_the_root_of_all_leaves() {
        let all = leaves(70_000);
        let (mut edge, mut full) = (Edge::default(), Vec::new());
        for (count, leaf) in all.iter().enumerate() {
            if count < 1_100 || count % 9_973 == 0 || count > 69_990 {
                assert_eq!(edge.root(), root_of(&all[..count]), "at size {count}");
            }
            edge.push(*leaf, &mut full);
        }
        assert_eq!(full.iter().filter(|tile| tile.level == 0).count(), 273);
        assert_eq!(full.iter().filter(|tile| tile.level == 1).count(), 1);
        assert_eq!(Edge::from_levels(edge.size(), edge.levels().to_vec()), Some(edge));
    }

    proptest! {
        #[test]
        fn inclusion_holds_and_nothing_else_does(size in 1_u64..600, pick: u64, wrong: u64) {
            let all = leaves(size);
            let (index, root) = (pick % size, root_of(&all));
            let proof = inclusion_proof(index, size, &mut nodes(&all)).unwrap();
            let leaf = all[index as usize];
            prop_assert!(verify_inclusion(&leaf, index, size, &proof, &root));
            let other = wrong % size;
            prop_assert_eq!(verify_inclusion(&leaf, other, size, &proof, &root), other == index);
            prop_assert!(!verify_inclusion(&leaf, index, size, &[proof.as_slice(), &[root]].concat(), &root));
            for position in 0..proof.len() {
                let mut bent = proof.clone();
                bent[position][7] ^= 1;
                prop_assert!(!verify_inclusion(&leaf, index, size, &bent, &root));
            }
        }

        #[test]
        fn consistency_holds_and_nothing_else_does(new in 1_u64..600, pick: u64) {
            let all = leaves(new);
            let old = pick % (new + 1);
            let (old_root, new_root) = (root_of(&all[..old as usize]), root_of(&all));
            let proof = consistency_proof(old, new, &mut nodes(&all)).unwrap();
            prop_assert!(verify_consistency((old, &old_root), (new, &new_root), &proof));
            let mut bent = all.clone();
            bent[0][0] ^= 1;
            if old > 0 && old < new {
                prop_assert!(!verify_consistency((old, &root_of(&bent[..old as usize])), (new, &new_root), &proof));
                prop_assert!(!verify_consistency((old, &old_root), (new, &root_of(&bent)), &proof));
            }
        }
    }
}

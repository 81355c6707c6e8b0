//! Names and contents of the files of C2SP tlog-tiles. Pure.

use crate::tree::{Hash, TILE_WIDTH};

/// The largest entry that a bundle's 16-bit length can hold.
pub const ENTRY_SIZE_MAX: usize = u16::MAX as usize;

/// The name of a tile of hashes; `width` is 256 for a full one.
pub(crate) fn hash_tile(level: u8, index: u64, width: u64) -> String {
    format!("tile/{level}/{}{}", spread(index), partial(width))
}

/// The name of a bundle of entries.
pub(crate) fn bundle(index: u64, width: u64) -> String {
    format!("tile/entries/{}{}", spread(index), partial(width))
}

/// `1234067` is `x001/x234/067`.
fn spread(index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

fn partial(width: u64) -> String {
    if width == TILE_WIDTH { String::new() } else { format!(".p/{width}") }
}

/// Hashes of a tile's bytes. `None` if the length is no multiple of a hash.
pub(crate) fn split_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}

/// Adds an entry to a bundle. INVARIANT: it is no longer than [`ENTRY_SIZE_MAX`].
pub(crate) fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) {
    bundle.extend_from_slice(&(entry.len() as u16).to_be_bytes());
    bundle.extend_from_slice(entry);
}

/// The entries of a bundle, in order. `None` after the last whole one if bytes are left.
pub(crate) fn entries(bundle: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = bundle;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let split = rest
            .split_first_chunk::<2>()
            .and_then(|(length, tail)| tail.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        rest = split.map_or(&[], |(_, tail)| tail);
        Some(split.map(|(entry, _)| entry))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        assert_eq!(hash_tile(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(hash_tile(2, 0, 17), "tile/2/000.p/17");
        assert_eq!(bundle(1_000, 256), "tile/entries/x001/000");
    }

    #[test]
    fn a_cut_bundle_says_so() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, b"one");
        push_entry(&mut bundle, b"");
        assert_eq!(entries(&bundle).collect::<Vec<_>>(), [Some(b"one".as_slice()), Some(b"")]);
        bundle.pop();
        assert_eq!(entries(&bundle).collect::<Vec<_>>(), [Some(b"one".as_slice()), None]);
    }
}

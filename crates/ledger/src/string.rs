//! Where the strings of JSON end, and the order of names. Pure.

use std::cmp::Ordering;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// The place, from `at` on, of the first quote, backslash or control character: what a string has only with escapes.
/// The end, if there is none.
#[inline]
pub(crate) fn end(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, |word| stops(word) & !word)
}

/// The same, or of the first byte that is not ASCII.
#[inline]
pub(crate) fn name_end(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, |word| stops(word) | word)
}

/// The order of two names of ASCII. Most differ in their first letter.
#[inline]
pub(crate) fn order(one: &[u8], other: &[u8]) -> Ordering {
    match (one.first(), other.first()) {
        (Some(first), Some(second)) if first != second => first.cmp(second),
        _ => one.cmp(other),
    }
}

/// The place of the first byte whose highest bit is set by `marks`, which takes eight at a time.
#[inline]
fn first(bytes: &[u8], mut at: usize, marks: impl Fn(u64) -> u64) -> usize {
    while let Some(chunk) = bytes.get(at..at + 8).and_then(<[u8]>::first_chunk) {
        let marked = marks(u64::from_le_bytes(*chunk)) & HIGH;
        if marked != 0 {
            return at + marked.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| marks(u64::from(*byte)) & 0x80 == 0) {
        at += 1;
    }
    at
}

/// Marks quotes, backslashes and control characters among eight bytes by their highest bits: quotes with their second
/// bit turned and control characters are what is below 0x21. Borrows go upwards, so the first mark is right. The mark of
/// a byte that is not ASCII says nothing.
#[inline]
fn stops(word: u64) -> u64 {
    let quotes_and_controls = (word ^ (0x02 * ONES)).wrapping_sub(0x21 * ONES);
    let backslashes = (word ^ (0x5c * ONES)).wrapping_sub(ONES);
    quotes_and_controls | backslashes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_ends_where_it_should(mut bytes: Vec<u8>, place: usize, byte in prop::sample::select(b"\"\\\x00\x1f\x20\x21\x23\x5b\x5d\x7f\x80\xa2\xdc\xff".to_vec()), at in 0_usize..20) {
            if let Some(place) = place.checked_rem(bytes.len()) {
                bytes[place] = byte;
            }
            let stops = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            let rest = bytes.get(at..).unwrap_or_default();
            let place = |found: Option<usize>| at + found.unwrap_or(rest.len());
            prop_assert_eq!(end(&bytes, at), place(rest.iter().position(stops)));
            prop_assert_eq!(name_end(&bytes, at), place(rest.iter().position(|byte| stops(byte) || !byte.is_ascii())));
        }

        #[test]
        fn names_are_in_the_order_of_their_bytes(one in "[ -~]{0,3}", other in "[ -~]{0,3}") {
            prop_assert_eq!(order(one.as_bytes(), other.as_bytes()), one.cmp(&other));
        }
    }
}

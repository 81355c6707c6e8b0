//! Counted things, as people write them. Pure.

use std::fmt::Display;

/// `1 path`, `2 paths`, `2 entries`.
pub fn plural<N: Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    if count == N::from(1) {
        return format!("{count} {noun}");
    }
    match noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u'])) {
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let said = [plural(1, "path"), plural(0_u64, "path"), plural(2_u64, "entry"), plural(3_usize, "key")];
        assert_eq!(said, ["1 path", "0 paths", "2 entries", "3 keys"]);
    }
}

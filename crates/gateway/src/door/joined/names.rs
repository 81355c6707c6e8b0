//! Names at an endpoint that joins several servers.
//!
//! A name is a function of the server's name and its own and of nothing else, so it stays what it is when servers come
//! and go, and no server can take the name of another's tool. Most are `SERVER__NAME`. What would be too long, or holds
//! what some clients do not take, or would not be unique so, becomes readable words and a digest.

use aws_lc_rs::digest;

/// The longest name, in bytes: clients take 64, of which they use some for a prefix of their own (`mcp__bailiwick__`).
const NAME_MAX: usize = 48;
/// Between a server's name and what it names.
const BETWEEN: &str = "__";
/// Between a server's name and a URI: no scheme that a server's name becomes has it.
const BEFORE_URI: char = '+';
/// Hexadecimal digits of a digest: enough that nobody finds a second name with the same.
const DIGEST_CHARS: usize = 16;

/// The name of a server's tool or prompt.
pub(crate) fn joined(server: &str, name: &str) -> String {
    let plain = format!("{server}{BETWEEN}{name}");
    // INVARIANT: the first `__` of a plain name ends the server, and no digest has one.
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    let splits = !server.is_empty() && !server.contains(BETWEEN) && !server.ends_with('_');
    if splits && !name.is_empty() && plain.len() <= NAME_MAX && plain.chars().all(is_plain) {
        return plain;
    }
    let readable: String = words(&format!("{server}-{name}")).chars().take(NAME_MAX - DIGEST_CHARS - 1).collect();
    format!("{readable}-{}", digest_of(server, name))
}

/// Server and name of a plain name; `None` if it is a digest, which only whoever made it can undo.
pub(crate) fn split(joined: &str) -> Option<(&str, &str)> {
    joined.split_once(BETWEEN)
}

/// What the URIs of a server's resources begin with: a scheme that clients leave as it is.
pub(crate) fn scheme(server: &str) -> String {
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '.' | '-');
    if server.starts_with(|char: char| char.is_ascii_lowercase()) && server.chars().all(is_plain) {
        return server.to_owned();
    }
    format!("x-{}-{}", words(server).to_ascii_lowercase(), digest_of(server, ""))
}

/// A server's URI at the endpoint.
pub(crate) fn joined_uri(scheme: &str, uri: &str) -> String {
    format!("{scheme}{BEFORE_URI}{uri}")
}

/// The scheme and the server's own URI.
pub(crate) fn split_uri(joined: &str) -> Option<(&str, &str)> {
    joined.split_once(BEFORE_URI)
}

fn words(text: &str) -> String {
    text.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect()
}

fn digest_of(server: &str, name: &str) -> String {
    let text = format!("{server}\0{name}");
    let mut digits = hex::encode(digest::digest(&digest::SHA256, text.as_bytes()));
    digits.truncate(DIGEST_CHARS);
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_plain_where_they_can_be() {
        assert_eq!(joined("files", "read_text_file"), "files__read_text_file");
        assert_eq!(split("files___x"), Some(("files", "_x")));
        let long = joined("files", &"x".repeat(60));
        assert!(long.starts_with("files-xxx") && long.len() == NAME_MAX, "{long}");
        assert!(split(&long).is_none(), "{long}");
        assert_eq!(split(&joined("a_", "b")), None);
        assert_eq!(split(&joined("api.example", "b")), None);
    }

    #[test]
    fn no_two_tools_have_one_name() {
        let parts = ["a", "b", "_", "__", "-", "a_", "_a", "a__b", "a.b", "A", "é", "a b", "a-b"];
        let mut names = BTreeSet::new();
        let mut schemes = BTreeSet::new();
        for server in parts {
            assert!(schemes.insert(scheme(server)), "{server}");
            for name in parts {
                assert!(names.insert(joined(server, name)), "{server} {name}");
                // A server that gives its tool another's name gets another name still.
                assert!(names.insert(joined("evil", &joined(server, name))), "{server} {name}");
            }
        }
        let taken = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        assert!(names.iter().all(|name| name.len() <= NAME_MAX && name.chars().all(taken)), "{names:?}");
        assert_eq!(split_uri(&joined_uri("git", "git+ssh://x")), Some(("git", "git+ssh://x")));
    }
}

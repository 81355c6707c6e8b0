//! Addresses that stand where a path may stand: which texts are one, and which path a `file:` address opens.

use crate::host;

/// The path that a `file:` address opens. `None` if the text is no such address.
pub fn file_path(text: &str) -> Option<String> {
    let rest = of_file(text)?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => rest,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(String::from_utf8_lossy(&host::decoded(path)).into_owned())
}

/// The paths that a text may be to who opens it: it itself, for a `file:` address or one without a host what that says, and for
/// another address none, unless it has steps that lead out of what looks like its scheme to who takes it for a path.
pub(crate) fn paths(text: &str) -> Vec<String> {
    if let Some(path) = file_path(text) {
        // Some only cut off how it begins.
        let rest = of_file(text).unwrap_or_default();
        return vec![path, rest.strip_prefix("//").unwrap_or(rest).to_owned()];
    }
    let rest = scheme(text).and_then(|(_, rest)| rest.strip_prefix("//"));
    // Without a host what it names is here: `git+file:///a`, `sqlite:///a`.
    if let Some(path) = rest.filter(|rest| rest.starts_with('/')) {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        return vec![String::from_utf8_lossy(&host::decoded(path)).into_owned(), text.to_owned()];
    }
    let is_address = rest.is_some_and(|rest| rest.split(['/', '\\']).all(|step| step != ".."));
    if is_address { Vec::new() } else { vec![text.to_owned()] }
}

fn of_file(text: &str) -> Option<&str> {
    scheme(text).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("file")).map(|(_, rest)| rest)
}

/// The scheme that a text begins with, and what follows its colon.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.trim_start().split_once(':')?;
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_with_a_scheme_is_an_address() {
        for (text, expected) in [
            ("/a/b", vec!["/a/b"]),
            ("/a/b://../c", vec!["/a/b://../c"]),
            ("https://x.example/a", vec![]),
            ("x://../../a", vec!["x://../../a"]),
            ("git+file:///a/.ssh%2Fb#c", vec!["/a/.ssh/b", "git+file:///a/.ssh%2Fb#c"]),
            ("c:/a", vec!["c:/a"]),
            ("file:///a/.e%6Ev?q", vec!["/a/.env", "/a/.e%6Ev?q"]),
            ("FILE:/a", vec!["/a", "/a"]),
            ("file://host/a#b", vec!["/a", "host/a#b"]),
        ] {
            assert_eq!(paths(text), expected, "{text}");
        }
        assert_eq!(file_path("/a"), None);
    }
}

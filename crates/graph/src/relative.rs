//! Facts with what lies below a folder named relative to it, so that two checkouts side by side are one project.
//!
//! A folder is replaced where a path can begin, never within a longer path or an address, and what others call their
//! things is a path only if it begins like one.

use serde_json::Value;

use crate::observation::{EntityId, Fact, Observation, Unread};

impl Observation {
    /// The fact with `folder`, as sources write it (`/srv/main`, `main`), named `.` in its evidence, ids and properties.
    #[must_use]
    pub fn relative_to(mut self, folder: &str) -> Self {
        self.evidence.source = place(&self.evidence.source, folder);
        let id = |id: &mut EntityId| id.key = place(&id.key, folder);
        let props = match &mut self.fact {
            Fact::Entity { id: own, name, props } => {
                id(own);
                *name = within(name, folder);
                props
            }
            Fact::Relation { from, to, props, .. } => {
                id(from);
                id(to);
                props
            }
        };
        props.values_mut().for_each(|value| within_value(value, folder));
        self
    }
}

impl Unread {
    /// It with `folder` named `.`, likewise.
    #[must_use]
    pub fn relative_to(mut self, folder: &str) -> Self {
        self.source = place(&self.source, folder);
        self
    }
}

/// A text that is a place: it may begin with the folder as it is given.
fn place(text: &str, folder: &str) -> String {
    let folder = folder.trim_end_matches('/').trim_start_matches("./");
    match text.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) if !folder.is_empty() && folder != "." => format!("./{}", within(rest, folder)),
        _ => within(text, folder),
    }
}

/// A text in which the folder may stand: where it is told from the root, or from here.
fn within(text: &str, folder: &str) -> String {
    let folder = folder.trim_end_matches('/').trim_start_matches("./");
    if folder.is_empty() || folder == "." {
        return text.to_owned();
    }
    let whole = if folder.starts_with('/') { format!("{folder}/") } else { format!("./{folder}/") };
    let text = replaced(text, &whole, "./");
    // The path of a local program is a part of its package URL.
    if text.starts_with("pkg:") { replaced(&text, &encoded(&whole), &encoded("./")) } else { text }
}

/// A path as a part of a package URL.
fn encoded(path: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    path.bytes().map(letter).collect()
}

/// A text with one part of it replaced where a path can begin.
fn replaced(text: &str, whole: &str, with: &str) -> String {
    let mut out = String::new();
    let mut behind = 0;
    for (at, found) in text.match_indices(whole) {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let begins = before.is_none_or(|before| !(before.is_alphanumeric() || "._-/~\\".contains(before)));
        if begins && at >= behind {
            out.push_str(text.get(behind..at).unwrap_or_default());
            out.push_str(with);
            behind = at + found.len();
        }
    }
    out + text.get(behind..).unwrap_or_default()
}

fn within_value(value: &mut Value, folder: &str) {
    match value {
        Value::String(text) => *text = within(text, folder),
        Value::Array(items) => items.iter_mut().for_each(|item| within_value(item, folder)),
        Value::Object(entries) => entries.iter_mut().for_each(|(name, item)| match item {
            // A grant's source is a place, as that of evidence is.
            Value::String(source) if name == "source" => *source = place(source, folder),
            item => within_value(item, folder),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::observations;

    #[test]
    fn a_folder_is_named_where_a_path_begins_and_nowhere_else() {
        for (text, folder, expected) in [
            ("/srv/main/.mcp.json", "/srv/main", "./.mcp.json"),
            ("claude:/srv/main/.mcp.json#a", "/srv/main/", "claude:./.mcp.json#a"),
            ("./main/.mcp.json", "main", "./.mcp.json"),
            ("main/.mcp.json", "./main/", "./.mcp.json"),
            ("https://h.example/srv/main/x", "/srv/main", "https://h.example/srv/main/x"),
            ("https://h.example/x", "/", "https://h.example/x"),
            ("/else/srv/main/x", "/srv/main", "/else/srv/main/x"),
            ("/srv/main2/x", "/srv/main", "/srv/main2/x"),
            ("main/x", "", "main/x"),
            ("./x", ".", "./x"),
            ("pkg:generic/a.js?path=%2Fsrv%2Fmain%2Fa.js", "/srv/main", "pkg:generic/a.js?path=.%2Fa.js"),
            ("pkg:generic/a.js?path=%2Fsrv%2Fmain2%2Fa.js", "/srv/main", "pkg:generic/a.js?path=%2Fsrv%2Fmain2%2Fa.js"),
        ] {
            assert_eq!(place(text, folder), expected, "{text} in {folder}");
        }
        assert_eq!(within("main/read", "main"), "main/read", "a tool's name is no path");
        assert_eq!(within("run /srv/main/a /srv/main/b", "/srv/main"), "run ./a ./b");
    }

    #[test]
    fn a_fact_is_renamed_as_a_whole() {
        let text = "agent Claude config=/srv/main/.mcp.json @/srv/main/.mcp.json:1";
        let expected = text.replace("/srv/main/", "./");
        let renamed: Vec<_> = observations(text).unwrap().into_iter().map(|one| one.relative_to("/srv/main")).collect();
        assert_eq!(renamed, observations(&expected).unwrap());
    }
}

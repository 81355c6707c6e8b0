//! What a call says beyond its arguments: the paths and hosts in it, and whether it touches Bailiwick.
//!
//! Policies see them as `context.facts`. A door that knows more (a parsed shell command) says it first;
//! what it said is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use policy::{Role, ToolFacts, glob};
use serde_json::{Value, json};

/// The most paths or hosts that are read out of one call; beyond it the call touches everything.
const FOUND_MAX: usize = 256;

/// Reads paths and hosts out of the arguments and adds what is not yet known.
pub(crate) fn of_arguments(tool: &ToolFacts, arguments: &Value, home: &Path, facts: &mut BTreeMap<String, Value>) {
    let mut found = Found::default();
    let project = facts.get("project").and_then(Value::as_str).map(PathBuf::from);
    found.walk(tool, arguments, &mut Vec::new());
    if let Some(shell) = facts.get("shell") {
        for name in ["reads", "writes"] {
            found.paths.extend(shell.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(text));
        }
        found.hosts.extend(shell.get("hosts").and_then(Value::as_array).into_iter().flatten().filter_map(text));
    }
    let absolute = |path: &String| resolve(path, project.as_deref());
    let touches = |path: PathBuf| path.starts_with(home) || home.starts_with(&path) && path.components().count() > 1;
    let patterns = facts.get("shell").and_then(|shell| shell.get("patterns")).and_then(Value::as_array);
    let touches = found.paths.iter().map(absolute).any(touches)
        || patterns
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|pattern| may_touch(&absolute(&pattern.to_owned()), home))
        || arguments.to_string().contains(&*home.to_string_lossy());
    if !found.paths.is_empty() {
        facts.entry("paths".to_owned()).or_insert_with(|| json!(found.paths));
    }
    if !found.hosts.is_empty() {
        facts.entry("hosts".to_owned()).or_insert_with(|| json!(found.hosts));
    }
    if touches {
        facts.insert("self_touch".to_owned(), Value::Bool(true));
    }
}

/// Whether what a shell finds for a pattern may lie in the home, or be a folder above it.
fn may_touch(pattern: &Path, home: &Path) -> bool {
    let steps = |path: &Path| path.iter().map(|step| step.to_string_lossy().into_owned()).collect::<Vec<_>>();
    let (pattern, home) = (steps(pattern), steps(home));
    let pattern: Vec<&str> = pattern.iter().map(String::as_str).collect();
    let home: Vec<&str> = home.iter().map(String::as_str).collect();
    glob::is_within(&pattern, &home) || glob::is_above(&pattern, &home)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A path made absolute and free of `.` and `..`, without asking the file system.
pub(crate) fn resolve(path: &str, folder: Option<&Path>) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let below = if path == "~" { Some("") } else { path.strip_prefix("~/") };
    let path = match (below, home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    };
    let path = folder.map_or_else(|| path.clone(), |folder| folder.join(&path));
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// The host of a URL, in lower case.
pub(crate) fn host_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
        return None;
    }
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = if let Some(v6) = host.strip_prefix('[') { v6.split(']').next()? } else { host.split(':').next()? };
    (!host.is_empty() && scheme != "file").then(|| host.trim_end_matches('.').to_ascii_lowercase())
}

#[derive(Debug, Default)]
struct Found {
    paths: BTreeSet<String>,
    hosts: BTreeSet<String>,
}

impl Found {
    fn walk(&mut self, tool: &ToolFacts, value: &Value, pattern: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    pattern.push(key.replace('~', "~0").replace('/', "~1"));
                    self.walk(tool, value, pattern);
                    pattern.pop();
                }
            }
            Value::Array(items) => {
                for item in items {
                    pattern.push("*".to_owned());
                    self.walk(tool, item, pattern);
                    pattern.pop();
                }
            }
            Value::String(string) => self.take(role(tool, pattern), string),
            _ => {}
        }
    }

    fn take(&mut self, role: Option<Role>, string: &str) {
        if self.paths.len() + self.hosts.len() >= FOUND_MAX || string.len() > 4_096 {
            return;
        }
        if let Some(host) = host_of(string) {
            self.hosts.insert(host);
        } else if let Some(path) = string.strip_prefix("file://") {
            self.paths.insert(path.to_owned());
        } else if role == Some(Role::Path) || looks_like_path(string) {
            self.paths.insert(string.to_owned());
        }
    }
}

fn role(tool: &ToolFacts, pattern: &[String]) -> Option<Role> {
    let mut pointer = String::new();
    for part in pattern {
        pointer.push('/');
        pointer.push_str(part);
    }
    tool.roles.get(&pointer).copied()
}

fn looks_like_path(string: &str) -> bool {
    let one_line = !string.contains('\n') && string.len() < 1_024;
    one_line
        && (string.starts_with('/')
            || string.starts_with("~/")
            || string.starts_with("../")
            || string.starts_with("./"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_a_browser_would_contact() {
        let host = |url| host_of(url);
        assert_eq!(host("https://User@EXAMPLE.com:8443/a@b"), Some("example.com".to_owned()));
        assert_eq!(host("http://good.example\\@evil.example/"), Some("good.example".to_owned()));
        assert_eq!(host("http://[::1]:80/"), Some("::1".to_owned()));
        assert_eq!(host("file:///etc/passwd"), None);
        assert_eq!(host("no url"), None);
    }

    #[test]
    fn dots_do_not_hide_a_path() {
        assert_eq!(resolve("a/../../x", Some(Path::new("/p/q"))), PathBuf::from("/p/x"));
        assert_eq!(resolve("/../etc", None), PathBuf::from("/etc"));
    }
}

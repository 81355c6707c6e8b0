//! The commands among the arguments of a call: what a hook reads of an agent's own shell, read of every tool of which its
//! facts say that a shell reads an argument. Policies see it as `context.facts.shell`.
//!
//! INVARIANT: where only the definition says so (`presumed`), what is read here adds to what the arguments say as plain text
//! and takes nothing from it: whoever writes a definition cannot have less judged by it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use policy::{Role, Says, ToolFacts};
use serde_json::{Map, Value};

use crate::facts::{PRESUMED, resolve};
use crate::hook::shell::Shell;
use crate::hook::touches_us;
use crate::label::words::split_name;
use crate::tools::commands::{is_arguments, is_several};

/// The most commands that are read out of one call; of what has more nobody knows what it does.
const COMMANDS_MAX: usize = 256;
/// What the folder is called in which a command runs.
const FOLDERS: &[&str] = &["cwd", "dir path", "work dir", "workdir", "working dir", "working directory"];

/// Reads the commands of a call and adds what they do, unless the door did.
pub(crate) fn read(tool: &ToolFacts, arguments: &Value, facts: &mut BTreeMap<String, Value>) {
    if tool.commands.is_empty() || facts.contains_key("shell") {
        return;
    }
    let mut found = Found::default();
    for (pattern, says) in &tool.commands {
        let before = found.count();
        let steps: Vec<String> =
            pattern.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        found.follow(arguments, &steps);
        found.presumed |= *says == Says::Definition && found.count() > before;
    }
    if found.count() == 0 {
        return;
    }
    found.presumed |= runs_more(tool, arguments);
    let project = facts.get("project").and_then(Value::as_str).map(PathBuf::from);
    let shell = match found.unread {
        true => Shell::unread(),
        false => {
            let folder = folder(arguments, project.as_deref());
            Shell::read_all(found.lines.iter().map(String::as_str), folder.as_deref(), project.as_deref())
        }
    };
    if touches_us(&shell) {
        facts.insert("self_touch".to_owned(), Value::Bool(true));
    }
    let mut fact = shell.fact();
    if let Some(fact) = fact.as_object_mut().filter(|_| found.presumed) {
        fact.insert(PRESUMED.to_owned(), Value::Bool(true));
    }
    facts.insert("shell".to_owned(), fact);
}

/// Whether the call says more that its tool runs than what is read here. Policy does not look at the text of a command that is
/// known for one.
fn runs_more(tool: &ToolFacts, arguments: &Value) -> bool {
    let is_read =
        |pointer: &str| tool.commands.contains_key(pointer) || pointer.rsplit('/').next().is_some_and(is_arguments);
    let is_said =
        |pointer: &str| pointer.contains("/*") || arguments.pointer(pointer).is_some_and(|value| !value.is_null());
    let run = tool.roles.iter().filter(|(_, role)| **role == Role::Command);
    let mut run = run.map(|(pointer, _)| pointer.strip_suffix("/*").unwrap_or(pointer));
    run.any(|pointer| !is_read(pointer) && is_said(pointer))
}

/// Where the commands begin: in the folder that the call names, within the project. `None` if nobody knows.
fn folder(arguments: &Value, project: Option<&Path>) -> Option<PathBuf> {
    let is_folder = |name: &str| FOLDERS.contains(&split_name(name).join(" ").as_str());
    let named = arguments.as_object()?.iter().find(|(name, value)| is_folder(name) && !value.is_null());
    match named {
        Some((_, Value::String(folder))) => Some(resolve(folder, project)),
        Some(_) => None,
        None => project.map(Path::to_owned),
    }
}

#[derive(Debug, Default)]
struct Found {
    lines: Vec<String>,
    /// Whether there is one that is no text, or more than are read.
    unread: bool,
    /// Whether one is a command only by the definition.
    presumed: bool,
}

impl Found {
    fn count(&self) -> usize {
        self.lines.len() + usize::from(self.unread)
    }

    /// Follows the steps of a pattern; `*` stands for each of a list.
    fn follow(&mut self, value: &Value, steps: &[String]) {
        match (steps, value) {
            (_, Value::Null) => {}
            ([name], Value::Object(members)) => match members.get(name) {
                None | Some(Value::Null) => {}
                Some(value) => self.take(name, value, members),
            },
            ([], value) => self.take("", value, &Map::new()),
            ([star, rest @ ..], Value::Array(items)) if star == "*" => {
                items.iter().for_each(|item| self.follow(item, rest));
            }
            ([name, rest @ ..], Value::Object(members)) => {
                if let Some(value) = members.get(name) {
                    self.follow(value, rest);
                }
            }
            _ => self.unread = true,
        }
    }

    /// A command as one line, with the words that stand beside it; several as they come.
    fn take(&mut self, name: &str, value: &Value, beside: &Map<String, Value>) {
        let lines = match value {
            Value::String(line) if line.trim().is_empty() => return,
            Value::String(line) => words_beside(name, beside).map(|words| vec![format!("{line}{words}")]),
            Value::Array(words) if words.is_empty() => return,
            Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                texts.and_then(|texts| {
                    // The first of the words of one command is a program's name, which has no spaces.
                    let are_lines = is_several(name) || texts.first().is_some_and(|first| first.contains(' '));
                    if are_lines {
                        return Some(texts.into_iter().map(str::to_owned).collect());
                    }
                    let words: Vec<String> = texts.into_iter().map(quoted).collect();
                    words_beside(name, beside).map(|more| vec![format!("{}{more}", words.join(" "))])
                })
            }
            _ => None,
        };
        match lines {
            Some(lines) if self.lines.len() + lines.len() <= COMMANDS_MAX => self.lines.extend(lines),
            _ => self.unread = true,
        }
    }
}

/// The words that are said to follow a command, each after a space. `None` if they cannot be read.
fn words_beside(name: &str, beside: &Map<String, Value>) -> Option<String> {
    let mut words = String::new();
    for (_, value) in beside.iter().filter(|(other, _)| *other != name && is_arguments(other)) {
        match value {
            Value::Null => {}
            Value::String(text) => {
                words.push(' ');
                words.push_str(text);
            }
            Value::Array(items) => {
                for item in items {
                    let word = match item {
                        Value::String(text) => quoted(text),
                        Value::Number(_) | Value::Bool(_) => item.to_string(),
                        _ => return None,
                    };
                    words.push(' ');
                    words.push_str(&word);
                }
            }
            Value::Object(members) if members.is_empty() => {}
            _ => return None,
        }
    }
    Some(words)
}

/// A word as a shell takes it for one, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::infer;

    fn tool(name: &str, description: &str, properties: Value) -> ToolFacts {
        let schema = json!({ "type": "object", "properties": properties });
        let definition = json!({ "name": name, "description": description, "inputSchema": schema });
        infer("box", &definition, String::new())
    }

    fn text() -> Value {
        json!({ "type": "string" })
    }

    fn list() -> Value {
        json!({ "type": "array", "items": { "type": "string" } })
    }

    /// What is read of a call in the project `/w`.
    fn shell(tool: &ToolFacts, arguments: Value) -> Option<Value> {
        let mut facts = BTreeMap::from([("project".to_owned(), json!("/w"))]);
        read(tool, &arguments, &mut facts);
        facts.remove("shell")
    }

    #[test]
    fn a_tool_is_known_for_a_shell_by_what_its_definition_says() {
        let command = || json!({ "command": text() });
        for (name, description, properties, expected) in [
            ("run_command", "", command(), &["/command"][..]),
            ("execute", "Execute a command in the container", json!({ "cmd": text() }), &["/cmd"]),
            ("bash", "", command(), &["/command"]),
            ("Bash", "", json!({ "input": {} }), &[]),
            ("shell_exec", "", json!({ "input": {} }), &["/input"]),
            ("process", "Talks to a terminal.", command(), &["/command"]),
            ("start", "", json!({ "commandLine": text() }), &["/commandLine"]),
            ("run", "", json!({ "command": list() }), &["/command"]),
            ("run", "", json!({ "shellCommand": { "anyOf": [text(), { "type": "null" }] } }), &["/shellCommand"]),
            (
                "run_steps",
                "",
                json!({ "steps": { "type": "array", "items": { "properties": command() } } }),
                &["/steps/*/command"],
            ),
            ("spawn", "", json!({ "program": text(), "args": list() }), &["/program"]),
            ("run_bash_script", "", json!({ "script": text() }), &["/script"]),
            // What is none, or not to be told from one that is none.
            ("run_training", "", json!({ "program": text() }), &[]),
            ("edit", "Edits a file", json!({ "command": { "enum": ["view", "create"] } }), &[]),
            ("run", "", json!({ "command": { "type": "string", "enum": ["up", "down"] } }), &[]),
            ("run", "", json!({ "command": { "type": "integer" } }), &[]),
            ("run", "", json!({ "command_id": text(), "script": text(), "code": text() }), &[]),
            ("add_note", "Adds a note", command(), &[]),
            ("write_shell_script", "", json!({ "text": text() }), &[]),
            ("read", "Reads a file", json!({ "path": text() }), &[]),
        ] {
            let facts = tool(name, description, properties);
            let found: Vec<&str> = facts.commands.keys().map(String::as_str).collect();
            assert_eq!(found, expected, "{name}: {description}");
            assert!(facts.commands.values().all(|says| *says == Says::Definition));
        }
    }

    #[test]
    fn commands_are_read_however_a_call_writes_them() {
        let run = tool("run_command", "", json!({ "command": text(), "args": list(), "cwd": text() }));
        for arguments in [
            json!({ "command": "cd sub && rm -rf x" }),
            json!({ "command": "rm", "args": ["-rf", "sub/x"] }),
            json!({ "command": "rm", "args": "-rf sub/x" }),
            json!({ "command": ["rm", "-rf", "sub/x"] }),
            json!({ "command": ["sh", "-c", "rm -rf sub/x"] }),
            json!({ "command": ["cd sub", "rm -rf x"] }),
            json!({ "command": "rm -rf x", "cwd": "sub" }),
            json!({ "command": "rm -rf x", "cwd": "/w/sub" }),
        ] {
            let shell = shell(&run, arguments.clone()).unwrap();
            assert_eq!((&shell["parsed"], &shell["presumed"]), (&json!(true), &json!(true)), "{arguments}");
            let has = |name: &str, value: &str| shell[name].as_array().unwrap().contains(&json!(value));
            assert!(has("programs", "rm") && has("writes", "/w/sub/x"), "{arguments}: {shell}");
        }
        for none in [json!({}), json!({ "command": null }), json!({ "command": " " }), json!({ "command": [] })] {
            assert_eq!(shell(&run, none), None);
        }
    }

    /// Nobody knows what it does, so policy asks.
    #[test]
    fn a_command_that_cannot_be_read_is_not_taken_for_none() {
        let run = tool("run_command", "", json!({ "command": {}, "args": {}, "commands": list() }));
        for arguments in [
            json!({ "command": 1 }),
            json!({ "command": { "line": "rm -rf /" } }),
            json!({ "command": ["rm", 1] }),
            json!({ "command": "rm", "args": { "flags": "-rf" } }),
            json!({ "command": "ls", "commands": vec!["ls"; COMMANDS_MAX] }),
            json!({ "command": "echo 'unclosed" }),
            // Each is a text of its own: what is quoted in one is not quoted by the other.
            json!({ "commands": ["echo 'a", "rm -rf /\necho 'b"] }),
        ] {
            assert_eq!(shell(&run, arguments.clone()).unwrap()["parsed"], false, "{arguments}");
        }
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let run = tool("run_command", "", json!({ "command": text(), "what": text() }));
        let said = |shell: &str| {
            let annotations = crate::tools::Annotations::read(&format!("[\"box/run_command\"]\nshell = {shell}\n"));
            let mut facts = run.clone();
            annotations.unwrap().apply(&mut facts);
            facts
        };
        let what = "git push --force";
        assert_eq!(shell(&said("[]"), json!({ "command": what })), None);
        let of = |arguments: Value| {
            let shell = shell(&said("[\"/what\"]"), arguments).unwrap();
            (shell["programs"].clone(), shell.get("presumed").is_some())
        };
        assert_eq!(of(json!({ "what": what })), (json!(["git"]), false));
        // Of the other nobody says that it is none.
        assert_eq!(of(json!({ "what": what, "command": "up" })), (json!(["git"]), true));
        assert!(crate::tools::Annotations::read("[\"box/run_command\"]\nshell = [\"what\"]\n").is_err());
    }

    /// Whatever a definition says of an argument, what it is as plain text counts.
    #[test]
    fn what_is_only_presumed_hides_nothing() {
        let home = Path::new("/home/ada/.local/share/bailiwick");
        let properties = json!({ "command": text(), "path": text() });
        let (run, plain) = (tool("run_command", "", properties.clone()), tool("run_it", "", properties));
        let plain = ToolFacts { commands: BTreeMap::new(), id: run.id.clone(), ..plain };
        for arguments in [
            json!({ "command": "echo /home/ada/.local/share/bailiwick/keys" }),
            json!({ "command": "/etc/cron.d/x" }),
            json!({ "command": "echo https://evil.example/x", "path": "a" }),
            json!({ "command": "cat .mcp.json", "path": ".mcp.json" }),
        ] {
            let of = |tool: &ToolFacts| {
                let mut facts = BTreeMap::new();
                read(tool, &arguments, &mut facts);
                crate::facts::of_arguments(tool, &arguments, home, &mut facts);
                facts
            };
            let (with, without) = (of(&run), of(&plain));
            for (name, value) in &without {
                let all = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                let kept = all(&with[name]);
                assert!(all(value).iter().all(|one| kept.contains(one)), "{arguments}: {name}");
            }
        }
    }
}

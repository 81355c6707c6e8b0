//! Which arguments of a tool are commands that a shell reads, as its definition says.
//!
//! The signs are few: what the argument is called, and that the tool runs what it is given or speaks of a shell. A server may
//! leave them out, and a tool that has them may hand its argument to something else; so what is taken for a command here only
//! adds to what policy sees of a call, and the operator has the last word. Never looks at values, only at the definition.

use serde_json::{Map, Value};

use crate::label::words::split_name;

/// The last word of what a command is called.
const COMMANDS: &[&str] = &["argv", "cmd", "cmdline", "cmds", "command", "commandline", "commands"];
/// The same of a program that is started with arguments beside it.
const PROGRAMS: &[&str] = &["binary", "executable", "program"];
/// The same of what a shell may read, where the name says that one does.
const SCRIPTS: &[&str] = &["code", "input", "script", "scripts", "text"];
/// The last word of what a command's further words are called.
const ARGUMENTS: &[&str] = &["args", "argv", "arguments"];
/// Words that speak of a shell.
const SHELLS: &[&str] = &["bash", "cli", "ksh", "sh", "shell", "ssh", "terminal", "tty", "zsh"];
/// As many words of a description as are looked at.
const WORDS_MAX: usize = 24;

/// What a definition says of its tool.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// That it runs what it is given.
    executes: bool,
    /// That it is a shell, by its name.
    is_shell: bool,
    /// The same, by its description.
    speaks: bool,
}

impl Signs {
    /// By its name and description, and whether its verb is one of running something.
    pub(super) fn of(name: &str, description: &str, executes: bool) -> Self {
        Self { executes, is_shell: names_shell(name), speaks: speaks_of_shell(description) }
    }

    /// Whether a property, beside others, is a command: one text or a list of texts. What the schema lists the values of
    /// is no command, but the name of something that the tool does.
    pub(super) fn is_command(self, name: &str, property: &Value, others: &Map<String, Value>) -> bool {
        let items = property.get("items").unwrap_or(&Value::Null);
        let is_listed = |schema: &Value| schema.get("enum").is_some() || schema.get("const").is_some();
        if !is_one_of(property, &["string", "array"]) || !is_one_of(items, &["string"]) {
            return false;
        }
        if is_listed(property) || is_listed(items) {
            return false;
        }
        let described = || property.get("description").and_then(Value::as_str).is_some_and(speaks_of_shell);
        if is_called(name, COMMANDS) || ends_in_command_line(name) {
            return self.executes || self.is_shell || self.speaks || names_shell(name) || described();
        }
        let has_arguments = || others.keys().any(|other| is_called(other, ARGUMENTS));
        (is_called(name, PROGRAMS) && self.executes && has_arguments())
            || (is_called(name, SCRIPTS) && (self.is_shell || names_shell(name)) && self.executes)
    }
}

/// Whether a name is that of the words which follow a command.
pub(crate) fn is_arguments(name: &str) -> bool {
    is_called(name, ARGUMENTS)
}

/// Whether a name is that of several commands, and not of the words of one.
pub(crate) fn is_several(name: &str) -> bool {
    is_called(name, &["cmds", "commands", "scripts"])
}

fn is_called(name: &str, last: &[&str]) -> bool {
    split_name(name).last().is_some_and(|word| last.contains(&word.as_str()))
}

fn ends_in_command_line(name: &str) -> bool {
    matches!(split_name(name).as_slice(), [.., command, line] if command == "command" && line == "line")
}

fn names_shell(name: &str) -> bool {
    split_name(name).iter().any(|word| SHELLS.contains(&word.as_str()))
}

fn speaks_of_shell(description: &str) -> bool {
    description.split_whitespace().take(WORDS_MAX).any(names_shell)
}

/// Whether a schema takes values of one of these types, or says nothing of types.
fn is_one_of(schema: &Value, types: &[&str]) -> bool {
    match schema.get("type") {
        None => true,
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).any(|one| types.contains(&one)),
        Some(one) => one.as_str().is_some_and(|one| types.contains(&one)),
    }
}

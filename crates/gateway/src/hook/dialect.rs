//! What every agent's dialect has in common: the event it is turned into, the verdict it is made from, and the
//! facts of built-in tools.

use std::collections::BTreeMap;
use std::path::Path;

use policy::uri::file_path;
use policy::{EffectKind, Role, ToolFacts, ToolId};
use serde_json::{Value, json};

use crate::facts::resolve;

/// How one agent speaks to its hooks.
pub(super) struct Dialect {
    /// The agent's id; its built-in tools have it as their server.
    pub(super) agent: &'static str,
    /// Whether the agent itself can ask its user when a hook says so.
    pub(super) can_ask: bool,
    /// Reads an event.
    pub(super) read: fn(&Value) -> Result<Event, String>,
    /// Writes an answer. The empty object says nothing: the agent goes on as if there were no hook.
    pub(super) answer: fn(&Event, &Verdict) -> Value,
    /// How the agent writes a tool of an MCP server: the server as its configuration names it, and the tool's name.
    pub(super) written: fn(&str, &str) -> String,
    /// The built-in tools. One that is not here is unknown, and so denied.
    pub(super) tools: &'static [BuiltIn],
}

/// An event of an agent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// When.
    pub(super) moment: Moment,
    /// The agent's name for its session.
    pub(super) session: String,
    /// The folder that the agent works in; empty if it does not say.
    pub(super) folder: String,
    /// The tool, as the agent names it; empty for a prompt.
    pub(super) tool: String,
    /// Server and tool, if the agent says that it is one of an MCP server.
    pub(super) server: Option<(String, String)>,
    /// The tool's arguments.
    pub(super) arguments: Value,
    /// The agent's id for this use of the tool.
    pub(super) id: Option<String>,
}

/// When an event happens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Moment {
    /// The user has said this.
    Prompt(String),
    /// A tool is about to run.
    Before,
    /// A tool has run.
    After {
        /// What came of it.
        result: Value,
        /// Whether it failed.
        failed: bool,
    },
}

/// What the agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: the agent goes on, and asks its user whatever it would have asked.
    Pass,
    /// The operator wants what policy permits to run without the agent's own prompt.
    Vouch(String),
    /// The agent must ask its user.
    Ask(String),
    /// The tool must not run.
    Deny(String),
}

/// Name, effects, whether undone easily, whether it reaches the world, and the roles of arguments.
pub(super) type BuiltIn = (&'static str, &'static [EffectKind], bool, bool, &'static [(&'static str, Role)]);

impl Dialect {
    /// Whether a tool is built in.
    pub(super) fn has(&self, tool: &str) -> bool {
        self.tool(tool).is_some()
    }

    /// Whether a tool, as the agent names it, is this one of an MCP server. The whole name counts, for where in it
    /// the server's ends is anybody's guess; the agent writes letters, digits, `_` and `-` only.
    pub(super) fn is_written(&self, tool: &str, (server, name): (&str, &str)) -> bool {
        plain(tool) == plain(&(self.written)(server, name))
    }

    /// Whether what its tool is to do can be judged. Arguments that a later version of the agent calls otherwise, or that
    /// its own reader takes and ours does not, must not read as a call without any.
    pub(super) fn can_be_judged(&self, event: &Event) -> Result<(), String> {
        let says = match self.tool(&event.tool) {
            Some((.., roles)) if event.arguments.is_null() => roles.is_empty(),
            _ => event.arguments.is_object() || event.arguments.is_null(),
        };
        says.then_some(()).ok_or_else(|| format!("the arguments of `{}` are no object", event.tool))
    }

    /// The shell command of an event, if its tool runs one.
    pub(super) fn command<'e>(&self, event: &'e Event) -> Option<&'e str> {
        event.arguments.pointer(self.command_of(&event.tool)?)?.as_str()
    }

    /// Whether the tool runs a command that the event does not say as text.
    pub(super) fn hides_command(&self, event: &Event) -> bool {
        let (Some(pointer), Some((.., roles))) = (self.command_of(&event.tool), self.tool(&event.tool)) else {
            return false;
        };
        let says = |pointer: &str| event.arguments.pointer(pointer).is_some_and(|value| !value.is_null());
        // Some do something else instead, with what such an argument names.
        let other = |(pointer, role): &(&str, Role)| matches!(role, Role::Destination | Role::Target) && says(pointer);
        self.command(event).is_none() && (says(pointer) || !roles.iter().any(other))
    }

    /// The files and folders that an event's tool works on, as they are called from the folder in which the agent stands:
    /// an agent in `.git` that writes `config` writes `.git/config`. A tool that reads and names none looks there.
    pub(super) fn places(&self, event: &Event) -> Vec<String> {
        let Some((_, effects, _, _, roles)) = self.tool(&event.tool) else { return Vec::new() };
        let is_path = |(_, role): &&(&str, Role)| *role == Role::Path;
        if event.folder.is_empty() || effects.contains(&EffectKind::Execute) || !roles.iter().any(|role| is_path(&role))
        {
            return Vec::new();
        }
        let mut named: Vec<&str> =
            roles.iter().filter(is_path).flat_map(|(pointer, _)| texts_at(&event.arguments, pointer)).collect();
        if named.is_empty() {
            // A later version may call it otherwise.
            let arguments = event.arguments.as_object().into_iter().flatten();
            let has_role = |name: &str| roles.iter().any(|(pointer, _)| pointer.strip_prefix('/') == Some(name));
            named = arguments.filter(|(name, _)| !has_role(name)).filter_map(|(_, value)| value.as_str()).collect();
            named.extend(effects.iter().all(|effect| *effect == EffectKind::Read).then_some("."));
        }
        let folder = Path::new(&event.folder);
        let is_relative = |path: &&str| !path.starts_with(['/', '~']) && file_path(path).is_none();
        let named = named.into_iter().map(str::trim).filter(is_relative);
        named.map(|path| resolve(path, Some(folder)).to_string_lossy().into_owned()).collect()
    }

    /// The texts that a tool hands to another agent, or to this one for later.
    pub(super) fn handed<'e>(&self, event: &'e Event) -> Vec<&'e str> {
        let Some((.., roles)) = self.tool(&event.tool) else { return Vec::new() };
        let hands =
            roles.iter().any(|(pointer, role)| *role == Role::Content && matches!(*pointer, "/prompt" | "/message"));
        // What is asked about a page is told to nobody who asks back.
        let hands = hands && !roles.iter().any(|(_, role)| *role == Role::Destination);
        let mut texts = Vec::new();
        if hands {
            words_in(&event.arguments, 0, &mut texts);
        }
        texts
    }

    fn tool(&self, name: &str) -> Option<&'static BuiltIn> {
        self.tools.iter().find(|(other, ..)| *other == name)
    }

    /// Where a tool that runs commands has its command.
    fn command_of(&self, tool: &str) -> Option<&'static str> {
        let (_, effects, _, _, roles) = self.tool(tool)?;
        let (pointer, _) = roles.iter().find(|(_, role)| *role == Role::Command)?;
        effects.contains(&EffectKind::Execute).then_some(*pointer)
    }

    /// What is known of the built-in tools.
    pub(super) fn built_in(&self) -> Vec<ToolFacts> {
        self.tools.iter().map(|tool| facts(self.agent, tool)).collect()
    }
}

fn facts(agent: &str, (name, effects, reversible, open_world, roles): &BuiltIn) -> ToolFacts {
    let top = roles.iter().filter_map(|(pointer, _)| pointer.strip_prefix('/')).filter(|name| !name.contains('/'));
    let string = |name: &str| (name.to_owned(), json!({ "type": "string" }));
    let properties: serde_json::Map<String, Value> = top.map(string).collect();
    ToolFacts {
        id: ToolId { server: agent.to_owned(), name: (*name).to_owned() },
        input_schema: json!({ "type": "object", "properties": properties }),
        effects: effects.iter().copied().collect(),
        reversible: *reversible,
        open_world: *open_world,
        roles: roles.iter().map(|(pointer, role)| ((*pointer).to_owned(), *role)).collect(),
        commands: BTreeMap::new(),
        results: BTreeMap::new(),
        readers: BTreeMap::new(),
        is_agent: false,
        pin: "built-in".to_owned(),
    }
}

/// The texts that a pointer leads to; a `*` at its end stands for each of a list.
fn texts_at<'v>(value: &'v Value, pointer: &str) -> Vec<&'v str> {
    match pointer.strip_suffix("/*") {
        Some(list) => {
            value.pointer(list).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
        }
        None => value.pointer(pointer).and_then(Value::as_str).into_iter().collect(),
    }
}

/// What the members of a value tell somebody, as they are called.
fn words_in<'v>(value: &'v Value, depth: usize, texts: &mut Vec<&'v str>) {
    const DEPTH_MAX: usize = 8;
    const TEXTS_MAX: usize = 32;
    match value {
        _ if depth > DEPTH_MAX => {}
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if matches!(name.as_str(), "message" | "prompt" | "text") && texts.len() < TEXTS_MAX => {
                        texts.push(text);
                    }
                    _ => words_in(value, depth + 1, texts),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| words_in(item, depth + 1, texts)),
        _ => {}
    }
}

/// A text of an event; empty if it is not there.
pub(super) fn text(event: &Value, name: &str) -> String {
    event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A text that an event must have.
pub(super) fn must(event: &Value, name: &str) -> Result<String, String> {
    let found = event.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.map(str::to_owned).ok_or_else(|| format!("`{name}` is missing"))
}

/// Anything of an event; null if it is not there.
pub(super) fn value(event: &Value, name: &str) -> Value {
    event.get(name).cloned().unwrap_or_default()
}

/// `mcp__SERVER__TOOL` is a tool of that server.
pub(super) fn underscored(tool: &str) -> Option<(String, String)> {
    let (server, name) = tool.strip_prefix("mcp__")?.split_once("__")?;
    Some((server.to_owned(), name.to_owned()))
}

/// The same the other way round.
pub(super) fn underscored_as(server: &str, name: &str) -> String {
    format!("mcp__{server}__{name}")
}

/// A name with letters, digits, `_` and `-` only.
fn plain(name: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
    name.chars().map(|char| if plain(char) { char } else { '_' }).collect()
}

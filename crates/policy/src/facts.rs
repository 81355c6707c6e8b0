//! The typed facts of an action: what the door read out of a call beyond its arguments.
//!
//! A door records facts by name in [`Action::facts`]; the ones listed here are what policies can speak of
//! as `context.facts.NAME`, each optional (`context.facts has shell`). A fact of a wrong type is an error,
//! hence a Deny; a fact that this version does not know is kept in the record and not seen by policy.

use std::collections::BTreeSet;

use cedar_policy_core::ast;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::Action;
use crate::shape::literal;

/// A shell command, taken apart by the door. Nothing here is ever a guess: `parsed` is false unless every
/// part of the command was understood.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Shell {
    /// Whether the whole command was understood.
    pub(crate) parsed: bool,
    /// Programs started, by name, without their folder.
    pub(crate) programs: BTreeSet<String>,
    /// All their arguments.
    pub(crate) arguments: BTreeSet<String>,
    /// Files read.
    pub(crate) reads: BTreeSet<String>,
    /// Files written, moved or deleted.
    pub(crate) writes: BTreeSet<String>,
    /// Hosts reached.
    pub(crate) hosts: BTreeSet<String>,
    /// Files run as scripts or programs, which may do anything.
    pub(crate) runs: BTreeSet<String>,
    /// Those of the arguments and files that the shell expands first. Marks look at it; policies cannot.
    pub(crate) patterns: BTreeSet<String>,
    /// Those of the arguments that are text to their program, never the name of anything; likewise.
    pub(crate) texts: BTreeSet<String>,
    /// What it does beyond the files of the project: it `erases` others, `destroys` what another system holds, or
    /// `publishes`. Marks look at it; policies cannot.
    pub(crate) beyond: BTreeSet<String>,
    /// `unknown` if a program of it may reach hosts that its text does not name; likewise.
    pub(crate) reaches: Option<String>,
    /// Whether it is a command only by what the definition of its tool says; likewise. What such a text would be as anything
    /// else counts, too.
    pub(crate) presumed: bool,
}

/// All facts that policy knows by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) shell: Option<Shell>,
    /// Paths in the call.
    pub(crate) paths: Option<BTreeSet<String>>,
    /// Hosts in the call.
    pub(crate) hosts: Option<BTreeSet<String>>,
    /// Whether the call touches Bailiwick itself.
    pub(crate) self_touch: Option<bool>,
    /// The folder that the session works in.
    pub(crate) project: Option<String>,
    /// Other tools of the session whose names look like the called one's, as `server/tool`.
    pub(crate) looks_like: Option<BTreeSet<String>>,
    /// Whether an argument is only being completed, as it is typed.
    pub(crate) completes: Option<bool>,
    /// What the user may do by himself, from the principal's evidence; absent where nobody said.
    pub(crate) user_rights: Option<BTreeSet<String>>,
}

impl Facts {
    pub(crate) fn of(action: &Action) -> Result<Self, String> {
        Ok(Self {
            shell: fact(action, "shell")?,
            paths: fact(action, "paths")?,
            hosts: fact(action, "hosts")?,
            self_touch: fact(action, "self_touch")?,
            project: fact(action, "project")?,
            looks_like: fact(action, "looks_like")?,
            completes: fact(action, "completes")?,
            user_rights: of("user_rights", action.principal.evidence.get("user_rights"))?,
        })
    }

    /// `context.facts`.
    pub(crate) fn value(&self) -> ast::Value {
        let pairs = [
            ("shell", self.shell.as_ref().map(Shell::value)),
            ("paths", self.paths.as_ref().map(texts)),
            ("hosts", self.hosts.as_ref().map(texts)),
            ("self_touch", self.self_touch.map(literal)),
            ("project", self.project.as_deref().map(literal)),
            ("looks_like", self.looks_like.as_ref().map(texts)),
            ("completes", self.completes.map(literal)),
            ("user_rights", self.user_rights.as_ref().map(texts)),
        ];
        ast::Value::record(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))), None)
    }

    /// The type of `context.facts` in Cedar's JSON schema format.
    pub(crate) fn cedar_type() -> Value {
        let set = json!({ "type": "Set", "element": { "type": "String" } });
        let optional_set = json!({ "type": "Set", "element": { "type": "String" }, "required": false });
        json!({ "type": "Record", "attributes": {
            "shell": { "type": "Record", "required": false, "attributes": {
                "parsed": { "type": "Boolean" },
                "programs": set, "arguments": set, "reads": set, "writes": set, "hosts": set, "runs": set,
            } },
            "paths": optional_set,
            "hosts": optional_set,
            "self_touch": { "type": "Boolean", "required": false },
            "project": { "type": "String", "required": false },
            "looks_like": optional_set,
            "completes": { "type": "Boolean", "required": false },
            "user_rights": optional_set,
        } })
    }
}

impl Shell {
    fn value(&self) -> ast::Value {
        let pairs = [
            ("parsed", literal(self.parsed)),
            ("programs", texts(&self.programs)),
            ("arguments", texts(&self.arguments)),
            ("reads", texts(&self.reads)),
            ("writes", texts(&self.writes)),
            ("hosts", texts(&self.hosts)),
            ("runs", texts(&self.runs)),
        ];
        ast::Value::record(pairs, None)
    }
}

fn fact<'a, T: Deserialize<'a>>(action: &'a Action, name: &str) -> Result<Option<T>, String> {
    of(name, action.facts.get(name))
}

fn of<'a, T: Deserialize<'a>>(name: &str, value: Option<&'a Value>) -> Result<Option<T>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::deserialize(value).map(Some).map_err(|error| format!("fact `{name}`: {error}")),
    }
}

pub(crate) fn texts<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> ast::Value {
    ast::Value::set_of_lits(values.into_iter().map(|value| ast::Literal::from(value.as_ref())), None)
}

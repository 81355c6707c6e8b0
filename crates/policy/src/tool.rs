//! What is known of a tool: its schema and what calling it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::label::{Confidentiality, DataClass, Integrity, Role};

/// A tool by server and name. Built-in tools of an agent have the agent's name as server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ToolId {
    /// The server as the agent configures it.
    pub server: String,
    /// The tool's name at that server.
    pub name: String,
}

impl fmt::Display for ToolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server, self.name)
    }
}

/// What a tool does to the world. Each is a Cedar action group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Reads.
    Read,
    /// Creates or changes.
    Write,
    /// Deletes.
    Delete,
    /// Sends to somebody.
    Send,
    /// Moves money.
    Pay,
    /// Gives somebody access.
    Share,
    /// Runs code or commands.
    Execute,
    /// Makes public.
    Publish,
}

impl EffectKind {
    /// The word in records and annotation files, and the name of the effect's group in policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Send => "send",
            Self::Pay => "pay",
            Self::Share => "share",
            Self::Execute => "execute",
            Self::Publish => "publish",
        }
    }
}

/// Who says something of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Its definition, as it is understood.
    Definition,
    /// The operator.
    Operator,
}

/// What is known of a tool. Part of the [`crate::Snapshot`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolFacts {
    /// Which tool.
    pub id: ToolId,
    /// Its JSON schema for arguments.
    pub input_schema: serde_json::Value,
    /// What it does.
    pub effects: BTreeSet<EffectKind>,
    /// Whether what it does can be undone.
    pub reversible: bool,
    /// Whether it reaches beyond its own data: the web, other people.
    pub open_world: bool,
    /// The roles of its arguments, by JSON pointer pattern (`/to`, `/items/*/path`).
    pub roles: BTreeMap<String, Role>,
    /// The arguments that a shell reads, by JSON pointer pattern, and who says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<String, Says>,
    /// What the operator says of the fields of a result: by name of the field or by JSON pointer pattern
    /// (`/*/sender`); `*` alone is every other field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, FieldFacts>,
    /// What may be read where the tool brings things, where the operator says so: by the destination's value, with
    /// `*` at either end for any text; `*` alone is every other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub readers: BTreeMap<String, Confidentiality>,
    /// Whether another agent answers, so that every word of its answers is its own, also where they look like records.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_agent: bool,
    /// Digest of the raw definition that was pinned.
    pub pin: String,
}

/// What is said of one field of a result: one word, or several (`["third_party", "confidential", "personal"]`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Words", into = "Words")]
pub struct FieldFacts {
    /// Who could have written it.
    pub writer: Option<Integrity>,
    /// Who may read it.
    pub confidentiality: Option<Confidentiality>,
    /// Which protected classes it holds.
    pub classes: BTreeSet<DataClass>,
}

impl From<Integrity> for FieldFacts {
    fn from(writer: Integrity) -> Self {
        Self { writer: Some(writer), ..Self::default() }
    }
}

/// Field facts as they are written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Words {
    One(Word),
    Several(Vec<Word>),
}

/// One thing that can be said of a field. No two of these are spelled alike.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Word {
    Writer(Integrity),
    Confidentiality(Confidentiality),
    Class(DataClass),
}

impl TryFrom<Words> for FieldFacts {
    type Error = &'static str;

    fn try_from(words: Words) -> Result<Self, Self::Error> {
        let words = match words {
            Words::One(word) => vec![word],
            Words::Several(words) => words,
        };
        let mut facts = Self::default();
        for word in words {
            let is_new = match word {
                Word::Writer(writer) => facts.writer.replace(writer).is_none(),
                Word::Confidentiality(readers) => facts.confidentiality.replace(readers).is_none(),
                Word::Class(class) => facts.classes.insert(class),
            };
            if !is_new {
                return Err("a field is said twice who writes it, who reads it or what it holds");
            }
        }
        if facts == Self::default() { Err("nothing is said of a field") } else { Ok(facts) }
    }
}

impl From<FieldFacts> for Words {
    fn from(facts: FieldFacts) -> Self {
        let writer = facts.writer.map(Word::Writer);
        let confidentiality = facts.confidentiality.map(Word::Confidentiality);
        let words: Vec<Word> =
            writer.into_iter().chain(confidentiality).chain(facts.classes.into_iter().map(Word::Class)).collect();
        match words.as_slice() {
            [word] => Self::One(*word),
            _ => Self::Several(words),
        }
    }
}

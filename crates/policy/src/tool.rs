//! What is known of a tool: its schema and what calling it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::label::{Integrity, Role};

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
    /// Who could have written which field of a result, where the operator says so: by name of the field or by JSON
    /// pointer pattern (`/*/sender`); `*` alone is every other field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, Integrity>,
    /// Digest of the raw definition that was pinned.
    pub pin: String,
}

//! What a connector saw: one fact with its evidence. The wire format is `spec/observation.md`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Further facts about an entity or relation, by name. Never holds a secret value.
pub type Props = BTreeMap<String, serde_json::Value>;

/// One fact that a connector saw, with where it saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The entity or relation that was seen.
    pub fact: Fact,
    /// Where it was seen.
    pub evidence: Evidence,
}

/// The entity or relation that an [`Observation`] asserts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// A thing exists.
    Entity {
        /// Its identity.
        id: EntityId,
        /// The name that a person knows it by.
        name: String,
        /// Its properties.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        props: Props,
    },
    /// Two things are related.
    Relation {
        /// The source.
        from: EntityId,
        /// The kind.
        kind: RelationKind,
        /// The target.
        to: EntityId,
        /// Its properties.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        props: Props,
    },
}

/// Where a fact was seen. Every entity, relation and finding cites at least one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Evidence {
    /// A file path or the name of an API object.
    pub source: String,
    /// The line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The connector that saw it.
    pub connector: String,
    /// Whether it was read as such or concluded.
    pub basis: Basis,
}

impl Evidence {
    /// `source:line`, or the source where there is no line.
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.source),
            None => self.source.clone(),
        }
    }
}

/// A source that is there and could not be read, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unread {
    /// A file path or the name of an API object.
    pub source: String,
    /// The line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Why not.
    pub reason: String,
    /// Who could.
    #[serde(skip)]
    pub lack: Lack,
}

/// Whether what could not be read can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// Somebody else may read it: what it says is hidden from us.
    #[default]
    Hidden,
    /// Nobody can yet: it is known once a plan is applied or a stack made.
    Pending,
    /// It was read, and what it means is not judged here.
    Unjudged,
}

impl Unread {
    /// What is there and could not be read.
    pub fn new(source: impl Into<String>, line: Option<u32>, reason: impl Into<String>) -> Self {
        Self { source: source.into(), line, reason: reason.into(), lack: Lack::Hidden }
    }

    /// What is not known yet.
    pub fn pending(source: impl Into<String>, line: Option<u32>, reason: impl Into<String>) -> Self {
        Self { lack: Lack::Pending, ..Self::new(source, line, reason) }
    }

    /// What is not judged.
    pub fn unjudged(source: impl Into<String>, line: Option<u32>, reason: impl Into<String>) -> Self {
        Self { lack: Lack::Unjudged, ..Self::new(source, line, reason) }
    }

    /// What it is, in words.
    pub const fn word(&self) -> &'static str {
        match self.lack {
            Lack::Hidden => "could not be read",
            Lack::Pending => "not known yet",
            Lack::Unjudged => "not judged",
        }
    }

    /// All of it in words: `could not be read: FILE:LINE: why`.
    pub fn said(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}: {}{line}: {}", self.word(), self.source, self.reason)
    }
}

/// A source that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Looked {
    /// A file path or the name of an API object.
    pub source: String,
    /// Whether it is there.
    pub found: bool,
}

/// Whether a fact was read as such or concluded from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The source says it.
    Collected,
    /// We conclude it from what the source says.
    Inferred,
}

/// The identity of an entity: its kind and a key that is stable across scans. Entities are joined on
/// this and nothing else, so a key is made from evidence (a path, a digest, an account id), never from
/// a variable's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntityId {
    /// The kind.
    pub kind: EntityKind,
    /// The stable key, unique within the kind.
    pub key: String,
}

impl EntityId {
    /// An id from its parts.
    pub fn new(kind: EntityKind, key: impl Into<String>) -> Self {
        Self { kind, key: key.into() }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.key)
    }
}

macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }
        impl $name {
            /// Every variant, in declaration order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// The name on the wire.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

names! {
    /// What an entity is.
    EntityKind {
        /// A program that lets a model act: a client with its configuration.
        Agent = "agent",
        /// A human or team.
        Person = "person",
        /// An MCP server as one agent configures it.
        Server = "server",
        /// A package, image or program that a server runs.
        Package = "package",
        /// A tool that a server or agent offers.
        Tool = "tool",
        /// An MCP resource.
        Resource = "resource",
        /// An MCP prompt.
        Prompt = "prompt",
        /// A secret, known by the salted digest of its value.
        Credential = "credential",
        /// A remote address.
        Endpoint = "endpoint",
        /// A file or folder on a machine.
        Path = "path",
        /// What an agent is meant to do.
        Mandate = "mandate",
        /// A principal of a cloud, cluster or identity provider.
        Identity = "identity",
        /// A store of data.
        Store = "store",
    }
}

names! {
    /// How two entities are related. Read as "from … to".
    RelationKind {
        /// An agent uses a server.
        Uses = "uses",
        /// A server runs a package.
        Runs = "runs",
        /// A server or agent offers a tool, resource or prompt.
        Offers = "offers",
        /// An agent or server holds a credential.
        Holds = "holds",
        /// A server or tool connects to an endpoint.
        Connects = "connects",
        /// A server or identity may reach a path or store.
        Reaches = "reaches",
        /// A person owns an agent.
        Owns = "owns",
        /// A mandate governs an agent.
        Governs = "governs",
        /// An agent or server acts as an identity.
        ActsAs = "acts_as",
        /// An identity publishes a package.
        Publishes = "publishes",
    }
}

//! Policies, schema and facts, compiled once, immutable, named by the digest of their source.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::decision::{Decision, Effect};
use crate::tool::ToolFacts;

/// SHA-256 of the canonical JSON of the [`Source`], in hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId(pub String);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that a snapshot is compiled from. Stored in the ledger by its digest, once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Policy files: name and Cedar text, in order of name.
    pub policies: Vec<(String, String)>,
    /// The tools that were seen.
    pub tools: Vec<ToolFacts>,
}

/// A problem in a policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The policy file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Whether the snapshot is refused because of it.
    pub error: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Policies, schema and facts, compiled.
#[derive(Debug)]
pub struct Snapshot {
    id: SnapshotId,
}

impl Snapshot {
    /// The snapshot's name.
    pub fn id(&self) -> &SnapshotId {
        &self.id
    }
}

/// Judges an action. Any error is a Deny.
pub fn decide(snapshot: &Snapshot, _action: &Action, _now: Timestamp) -> Decision {
    Decision { effect: Effect::Deny, reasons: Vec::new(), errors: Vec::new(), snapshot: snapshot.id.clone() }
}

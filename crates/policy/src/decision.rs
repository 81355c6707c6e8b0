//! The verdict, always with its reasons, its errors and the snapshot it was made under.

use serde::{Deserialize, Serialize};

use crate::snapshot::SnapshotId;

/// The verdict on an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What is decided.
    pub effect: Effect,
    /// The policies that determined it, in order of id.
    pub reasons: Vec<Reason>,
    /// Everything that went wrong while deciding; not empty means Deny.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The snapshot it was made under.
    pub snapshot: SnapshotId,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Go ahead.
    Permit,
    /// Never.
    Deny,
    /// Only if a human approves all of these groups.
    Ask {
        /// The `@ask` groups that forbid, sorted.
        groups: Vec<String>,
    },
}

/// One policy that determined a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The policy's id: its `@id`, else file name and number.
    pub policy: String,
    /// Its `@reason`: one sentence for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

//! What a rule concluded: severity with the factors that made it, the path as evidence, and a fix.

use serde::{Deserialize, Serialize};

use crate::observation::{EntityId, Evidence, RelationKind};

/// A rule that matched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable across scans: rule and subject, never a position in a file.
    pub id: String,
    /// The rule's id, for example `secret-in-config`.
    pub rule: String,
    /// One sentence for this case, naming the things concerned.
    pub message: String,
    /// How bad.
    pub severity: Severity,
    /// What made the severity.
    pub factors: Vec<Factor>,
    /// The entity that the finding is about.
    pub subject: EntityId,
    /// The witness: the steps that make the finding true, each with its evidence.
    pub path: Vec<Step>,
    /// The smallest change that ends it.
    pub fix: String,
}

/// One step of a witness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The entity at this step.
    pub entity: EntityId,
    /// Its name.
    pub name: String,
    /// How the step before leads here; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<RelationKind>,
    /// Where this was seen.
    pub evidence: Vec<Evidence>,
}

/// One factor of a severity: reach, privilege, sensitivity, input trust or a compensating control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// The factor's name.
    pub name: String,
    /// From 0 (nothing) to 1 (the worst).
    pub value: f64,
    /// Why it has this value, in one clause.
    pub because: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth doing some day.
    Low,
    /// Worth planning.
    Medium,
    /// Worth doing this week.
    High,
    /// Worth doing now.
    Critical,
}

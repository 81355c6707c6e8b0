//! What a rule concluded: severity with the factors that made it, the path as evidence, and a fix.

use std::fmt;

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
    /// The one entity without which the finding would not hold, where there is one on which several of
    /// its steps rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choke_point: Option<EntityId>,
    /// The smallest change that ends it.
    pub fix: String,
    /// What the rule means in the published frameworks.
    pub frameworks: Vec<Citation>,
}

impl Finding {
    /// The places to show, the best first: a line of a file before a whole source, and of these the last
    /// step's, which is what makes the finding true.
    pub fn places(&self) -> Vec<&Evidence> {
        let mut places: Vec<&Evidence> = self.path.iter().rev().flat_map(|step| &step.evidence).collect();
        places.sort_by_key(|evidence| evidence.line.is_none());
        places
    }
}

/// One step of a witness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The entity at this step.
    pub entity: EntityId,
    /// Its name.
    pub name: String,
    /// How an entity before leads here; absent where a path begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<RelationKind>,
    /// What this step adds to the finding, in one clause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where this was seen.
    pub evidence: Vec<Evidence>,
}

/// One factor of a severity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// What it measures.
    pub name: FactorName,
    /// From 0 (nothing) to 1 (the worst); of a control, how much of the danger it takes away.
    pub value: f64,
    /// Why it has this value, in one clause.
    pub because: String,
}

/// What a [`Factor`] measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorName {
    /// How many can get at it, or how much it leads to.
    Reach,
    /// What can be done with it.
    Privilege,
    /// What could be seen or lost.
    Sensitivity,
    /// How far those who can write the input are trusted: 1 is anyone.
    InputTrust,
    /// Something that stands in the way.
    Control,
}

impl FactorName {
    /// The name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Privilege => "privilege",
            Self::Sensitivity => "sensitivity",
            Self::InputTrust => "input trust",
            Self::Control => "control",
        }
    }
}

/// A published framework's item, always with its edition: one list reuses another edition's codes with
/// new meanings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Citation {
    /// The framework's title.
    pub framework: String,
    /// Its edition.
    pub edition: String,
    /// The item's code in that edition.
    pub id: String,
    /// The item's title in that edition.
    pub title: String,
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

impl Severity {
    /// Every severity, the least first.
    pub const ALL: &[Self] = &[Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name on the wire and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity that its factors make.
    pub fn from_factors(factors: &[Factor]) -> Self {
        match score(factors) {
            score if score >= 0.85 => Self::Critical,
            score if score >= 0.65 => Self::High,
            score if score >= 0.45 => Self::Medium,
            score if score >= 0.25 => Self::Low,
            _ => Self::Info,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// From 0 to 1: the geometric mean of the factors that endanger, so that any one of them at 0 makes it 0
/// and the scale stays that of one factor, times what each control leaves.
pub fn score(factors: &[Factor]) -> f64 {
    let of = |control: bool| {
        factors
            .iter()
            .filter(move |factor| (factor.name == FactorName::Control) == control)
            .map(|factor| factor.value.clamp(0.0, 1.0))
    };
    let count = of(false).count();
    if count == 0 {
        return 0.0;
    }
    let product: f64 = of(false).product();
    let exponent = 1.0 / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    product.powf(exponent) * of(true).map(|taken| 1.0 - taken).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(values: &[(FactorName, f64)]) -> Vec<Factor> {
        values.iter().map(|&(name, value)| Factor { name, value, because: String::new() }).collect()
    }

    #[test]
    fn every_danger_counts_and_a_control_takes_away() {
        use FactorName::{Control, InputTrust, Privilege, Reach, Sensitivity};
        let worst = [(Reach, 1.0), (Privilege, 1.0), (Sensitivity, 1.0), (InputTrust, 1.0)];
        assert_eq!(Severity::from_factors(&factors(&worst)), Severity::Critical);
        let controlled = [worst.as_slice(), &[(Control, 0.5)]].concat();
        assert_eq!(Severity::from_factors(&factors(&controlled)), Severity::Medium);
        let harmless = [(Reach, 1.0), (Privilege, 0.0), (Sensitivity, 1.0), (InputTrust, 1.0)];
        assert_eq!(Severity::from_factors(&factors(&harmless)), Severity::Info);
        assert_eq!(Severity::from_factors(&[]), Severity::Info);
    }
}

//! The ways in which one relation holds: alternatives, each with what it needs.
//!
//! A connector that knows more of a relation than "it holds" writes them into the relation's property `ways`;
//! a relation without them holds in one way, by its own evidence. See `spec/observation.md`.

pub mod world;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Relation;
use crate::observation::{EntityId, Evidence};

/// The property of a relation that holds its ways.
pub const WAYS: &str = "ways";

/// One way in which a relation holds. All of its needs must be met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// The kind of step, for example `lambda-create-function`.
    pub kind: String,
    /// What it does, as a clause after the start's name.
    pub title: String,
    /// Whether it certainly holds; otherwise it may.
    pub certain: bool,
    /// What must be held besides the relation's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also: Option<EntityId>,
    /// What it rests on.
    pub needs: Vec<Need>,
    /// What stays open where it is not certain: conditions, inventories, assumptions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<String>,
}

impl Way {
    /// Where it was seen: of the relation's evidence what it rests on, in the order of what it needs; all of it where it
    /// rests on nothing.
    pub fn evidence(&self, relation: &Relation) -> Vec<Evidence> {
        let of = |grant: &Grant| {
            let same = |one: &&Evidence| one.source == grant.source && one.line == grant.line;
            relation.evidence.iter().find(same)
        };
        let mut seen: Vec<Evidence> = Vec::new();
        for evidence in self.needs.iter().flat_map(|need| &need.any).filter_map(of) {
            if !seen.contains(evidence) {
                seen.push(evidence.clone());
            }
        }
        if seen.is_empty() { relation.evidence.clone() } else { seen }
    }

    /// Certain is what leaves nothing open, and what is not certain says what is.
    fn settled(mut self) -> Self {
        if !self.certain && self.open.is_empty() {
            self.open.push("whether it holds".to_owned());
        }
        self.certain = self.open.is_empty();
        self
    }
}

/// One thing that a way needs. Any of the grants is enough; without any grant it holds by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// What is claimed, for example `iam:PassRole on arn:…`.
    pub claim: String,
    /// Where it is granted.
    pub any: Vec<Grant>,
}

/// A place that grants something: the unit that a person can remove.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Grant {
    /// The file or API object.
    pub source: String,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What it is called there, for example a policy's name and the statement's number.
    pub name: String,
}

impl Grant {
    /// `source:line`, or the source where there is no line.
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.source),
            None => self.source.clone(),
        }
    }
}

/// The ways of a relation that its connector wrote down; empty where it wrote none.
pub fn of(relation: &Relation) -> Vec<Way> {
    let ways = relation.props.get(WAYS).and_then(Value::as_array);
    ways.into_iter().flatten().filter_map(|way| Way::deserialize(way).ok()).map(Way::settled).collect()
}

//! A report in the forms that others read: pure functions from a [`Report`] to text.

mod aivss;
mod cyclonedx;
mod cypher;
mod graphml;
mod html;
mod json;
mod opengraph;
mod sarif;

use serde::{Deserialize, Serialize};

pub use aivss::aivss;
pub use cyclonedx::cyclonedx;
pub use cypher::cypher;
pub use graphml::graphml;
pub use html::html;
pub use json::json;
pub use opengraph::opengraph;
pub use sarif::sarif;

use crate::finding::Finding;
use crate::model::Graph;
use crate::observation::{Looked, Unread};
use crate::rules::{self, Rule};

/// The result of one scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this form; see `spec/report.md`.
    pub format: u32,
    /// The version of Bailiwick that made it.
    pub version: String,
    /// When the scan was made, RFC 3339.
    pub at: String,
    /// The folder that the scan was started for; paths below it are shown relative to it where a form allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What is there and could not be read.
    pub unread: Vec<Unread>,
    /// What was looked for.
    pub looked: Vec<Looked>,
    /// What was seen.
    pub graph: Graph,
}

/// The version of the JSON form.
pub const FORMAT: u32 = 1;

impl Report {
    /// A report in stable order.
    pub fn new(version: &str, at: &str, graph: Graph, findings: Vec<Finding>) -> Self {
        Self {
            format: FORMAT,
            version: version.to_owned(),
            at: at.to_owned(),
            base: None,
            findings,
            unread: Vec::new(),
            looked: Vec::new(),
            graph,
        }
    }

    /// The report over a graph: every given rule is applied.
    pub fn of<'a>(version: &str, at: &str, graph: Graph, rules: impl Iterator<Item = &'a Rule>) -> Self {
        let findings = rules::run_some(&graph, rules);
        Self::new(version, at, graph, findings)
    }

    /// With what was looked for and what of it could not be read.
    pub fn with_sources(mut self, mut unread: Vec<Unread>, mut looked: Vec<Looked>) -> Self {
        unread.sort();
        unread.dedup();
        looked.sort();
        looked.dedup();
        self.unread = unread;
        self.looked = looked;
        self
    }
}

/// Pretty JSON that ends in a line feed.
fn pretty(value: &impl Serialize) -> String {
    // Maps are ordered and keys are text, so nothing here can fail; factors are finite numbers.
    serde_json::to_string_pretty(value).map(|text| text + "\n").unwrap_or_default()
}

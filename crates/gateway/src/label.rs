//! Labels: where each value of a session came from, and what that says about an argument.

use policy::{Confidentiality, Integrity, Labels, Request, SessionLabels, ToolFacts};
use serde_json::Value;

/// What one session has seen. Bounded.
#[derive(Debug, Default)]
pub struct Session {}

impl Session {
    /// The user's own words entered the session.
    pub fn user_says(&mut self, _text: &str, _entry: Option<u64>) {}

    /// A tool's result entered the session, recorded as `entry`.
    pub fn result(&mut self, _tool: &ToolFacts, _entry: u64, _result: &Value) {}

    /// Derives the labels of a call's arguments. Until values are traced, everything is from anyone.
    pub fn labels(&self, _tool: &ToolFacts, _arguments: &Value) -> Labels {
        let session = SessionLabels {
            integrity: Integrity::Anyone,
            confidentiality: Confidentiality::Internal,
            classes: std::collections::BTreeSet::new(),
        };
        Labels { arguments: Vec::new(), request: Request::Unheard, session }
    }
}

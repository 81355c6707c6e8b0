//! The leaves of a call's arguments, each with its label. What nobody labelled is from anyone.

use serde_json::Value;

use crate::label::{ArgumentLabel, Role};
use crate::shape::pointer;
use crate::tool::ToolFacts;

/// One leaf of the arguments.
pub(crate) struct Leaf<'a> {
    pub(crate) value: &'a Value,
    pub(crate) role: Role,
    /// `None` means that the door gave no label: treat it as written by anyone.
    pub(crate) label: Option<&'a ArgumentLabel>,
}

/// All scalar leaves in document order.
pub(crate) fn leaves<'a>(arguments: &'a Value, labels: &'a [ArgumentLabel], tool: Option<&ToolFacts>) -> Vec<Leaf<'a>> {
    let mut walk = Walk { labels, next: 0, tool, leaves: Vec::with_capacity(labels.len()) };
    walk.visit(arguments, "");
    walk.leaves
}

struct Walk<'a, 't> {
    labels: &'a [ArgumentLabel],
    /// Labels come in document order, so the next label is nearly always the one at hand.
    next: usize,
    tool: Option<&'t ToolFacts>,
    leaves: Vec<Leaf<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn visit(&mut self, value: &'a Value, at: &str) {
        match value {
            Value::Null => {}
            Value::Object(object) => {
                for (name, value) in object {
                    self.visit(value, &pointer(at, name));
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.visit(value, &format!("{at}/{index}"));
                }
            }
            _ => {
                let label = self.label(at);
                let role = label.map_or_else(|| role(self.tool, at), |label| label.role);
                self.leaves.push(Leaf { value, role, label });
            }
        }
    }

    fn label(&mut self, at: &str) -> Option<&'a ArgumentLabel> {
        let found = match self.labels.get(self.next) {
            Some(label) if label.pointer == at => Some(self.next),
            _ => self.labels.iter().position(|label| label.pointer == at),
        }?;
        self.next = found + 1;
        self.labels.get(found)
    }
}

/// The role that the tool's facts give to a pointer; `*` stands for any one step.
fn role(tool: Option<&ToolFacts>, at: &str) -> Role {
    let matches = |pattern: &str| {
        let (mut wanted, mut steps) = (pattern.split('/'), at.split('/'));
        loop {
            match (wanted.next(), steps.next()) {
                (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(step)) if wanted == step => {}
                _ => return false,
            }
        }
    };
    tool.and_then(|tool| tool.roles.iter().find(|(pattern, _)| matches(pattern))).map_or(Role::Other, |(_, role)| *role)
}

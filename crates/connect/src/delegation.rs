//! Power that was handed on beside clouds and clusters: consents of directories (Microsoft Graph, Google's Admin SDK),
//! publishers of packages (npm, PyPI), workflows of GitHub Actions.
//!
//! Reads answers of those APIs as files, and never asks them. What a secret or a script holds stays here: from a
//! workflow only names of secrets and the shape of its steps go on.

mod consent;
mod publisher;
pub(crate) mod revoke;
#[cfg(test)]
mod tests;
mod workflow;

use crate::aws::Reader;
use crate::document::Node;

/// Reads one document; false when it is none of these.
pub(crate) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    consent::read(reader, root) || publisher::read(reader, root) || workflow::read(reader, root)
}

impl Reader<'_> {
    fn place(&self, node: &Node) -> graph::delegation::Place {
        graph::delegation::Place { source: self.source.clone(), line: self.line(node) }
    }
}

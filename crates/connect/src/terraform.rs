//! `terraform show -json`: the accounts that a plan would make.

use crate::aws::Reader;
use crate::document::Node;

/// Reads a plan; false when the document is none.
pub(crate) fn read(_reader: &mut Reader<'_>, root: &Node) -> bool {
    root.get("planned_values").is_some()
}

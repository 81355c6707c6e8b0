//! Ways through the security token service.

use super::{Kind, Shape};

pub(super) const KINDS: &[Kind] = &[Kind {
    id: "sts-assume-role",
    title: "assumes the role",
    catalogue: &["sts-001"],
    why: "The trust policy lets it, and where it names only the account, a policy of the principal does.",
    shape: Shape::Assume,
    partial: None,
    references: &["https://pathfinding.cloud/paths/sts-001"],
}];

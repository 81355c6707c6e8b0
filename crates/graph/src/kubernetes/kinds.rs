//! The ways from one identity, container or machine of a cluster to another: one entry per kind, with
//! its page, its example and its counter-example.
//!
//! Examples are manifests; a test of `connect`, which reads manifests, shows that each fires on its
//! example and is silent on its counter-example. To add a kind, add an entry to the file of its theme.

mod agents;
mod escape;
mod host;
mod outside;
mod pods;
mod rbac;
mod tokens;

use super::attack::Deriver;
use crate::step::Page;

/// One kind of step.
pub struct Kind {
    /// What is the same for all its steps.
    pub page: Page,
    /// Finds all its steps.
    pub derive: fn(&mut Deriver<'_>),
    /// A manifest in which it exists.
    pub example: &'static str,
    /// One in which it does not, and little is different.
    pub counter_example: &'static str,
}

/// Every kind.
pub fn all() -> impl Iterator<Item = &'static Kind> {
    [rbac::KINDS, tokens::KINDS, pods::KINDS, escape::KINDS, host::KINDS, outside::KINDS, agents::KINDS]
        .into_iter()
        .flatten()
}

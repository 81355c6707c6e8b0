//! What Kubernetes really allows: RBAC, pods and their hosts, and the attack paths that follow.
//!
//! Pure, and in the same shapes as [`crate::aws`]: objects come in as an [`Estate`] (files are read by
//! `connect::kubernetes`), [`evaluate`] answers one question with its proof, [`kinds`] are the ways from
//! one identity, container or machine to another, [`attack`] derives them as [`crate::step`]s.
//! Nothing here guesses: a role that no file holds, or a machine that no file names, makes an answer
//! possible, not certain.

pub mod attack;
pub mod builtin;
pub mod estate;
pub mod evaluate;
pub mod kinds;
pub mod observed;
pub mod report;

pub use estate::{Estate, Subject};
pub use evaluate::{Answer, Evaluator, Request};

//! What AWS really allows: policy documents, the evaluation logic, and the attack paths that follow.
//!
//! Pure: documents come in as parsed JSON values ([`policy::Document::parse`]), accounts as an
//! [`Estate`]; files are read by `connect::aws`. Nothing here guesses: a condition whose value is
//! not known is [`Truth::Unknown`], a resource that no inventory lists makes a path possible, not
//! certain, and every answer names the statements that it rests on.
//!
//! Start with [`evaluate::decide`] for one question, [`query`] for the three questions that people
//! ask, [`kinds`] for the ways from one principal to another, and [`crate::step`] for what follows.

pub mod arn;
pub mod attack;
pub mod condition;
pub mod estate;
pub mod evaluate;
#[cfg(test)]
mod fixture;
pub mod kinds;
pub mod observed;
pub mod pattern;
pub mod policy;
mod public;
pub mod query;
pub mod report;
#[cfg(test)]
mod tests;
pub mod truth;
mod unite;

pub use arn::{ANY_REGION, Arn};
pub use condition::{Context, Value};
pub use estate::{Estate, Principal, PrincipalKind};
pub use evaluate::{Answer, Cite, Layer, decide};
pub use truth::Truth;

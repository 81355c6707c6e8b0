//! Who reaches what, by which ways, and what ends them: the engine under paths, differences and rules.
//!
//! It knows nodes by number and steps with one start or several (AND-conditions); what they mean is its caller's
//! ([`crate::paths`] for the joined graph). Nothing is capped: an answer is complete, or says what it lacks. Start
//! with [`Builder`], then [`reach()`] for everything at once, [`witness()`] for one way, [`Question`] for what ends ways.

mod choke;
mod dominator;
mod flow;
mod network;
mod order;
mod sweep;
#[cfg(test)]
mod tests;
mod untouched;
mod witness;

pub use choke::{Choke, Cut, Question};
pub use dominator::dominators;
pub use network::{Builder, Network, StepId};
pub use sweep::{Changed, Reached, Without, reach, reach_together};
pub use witness::{Ways, diverse, witness};

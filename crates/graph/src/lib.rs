//! One graph of what agents are meant to reach, can reach and did reach.
//!
//! Pure: no IO, no clock, no async. Connectors emit [`Observation`]s, [`Graph::build`] joins them,
//! [`rules`] turn the graph into [`Finding`]s. Nothing here reads a file or knows a client's format;
//! see the crate `connect` for that.

pub mod aws;
pub mod behaviour;
pub mod builtin;
pub mod compare;
pub mod delegation;
mod deny;
pub mod difference;
pub mod export;
pub mod finding;
pub mod frameworks;
pub mod guard;
pub mod host;
pub mod kubernetes;
pub mod lookalike;
pub mod model;
pub mod observation;
pub mod observed;
pub mod paths;
mod plural;
pub mod poison;
pub mod reach;
mod relative;
pub mod rules;
pub mod step;
pub mod text;
pub mod visible;
pub mod way;
pub mod world;

pub use export::Report;
pub use finding::{Citation, Factor, FactorName, Finding, Severity, Step};
pub use model::{Entity, Graph, Relation};
pub use observation::{
    Basis, EntityId, EntityKind, Evidence, Fact, Lack, Looked, Observation, Props, RelationKind, Unread,
};
pub use plural::plural;

//! Decides. Cedar policies and facts are compiled into a [`Snapshot`]; [`decide`] judges an [`Action`]
//! under it and answers a [`Decision`].
//!
//! Pure: no IO, no clock, no async; `now` is an argument. Given the same snapshot, action and time the
//! decision is the same bit for bit, which is what `ledger verify --recompute` relies on.
//!
//! INVARIANT: absence denies. No policy, an unparsable policy, an evaluation error, an unknown tool:
//! each is [`Effect::Deny`].

pub mod action;
mod beforehand;
pub mod bounds;
mod context;
mod decide;
pub mod decision;
mod explain;
mod facts;
pub mod glob;
pub mod host;
mod index;
pub mod label;
mod leaves;
mod lint;
pub mod marks;
mod packs;
mod readers;
mod rule;
mod schema;
mod shape;
pub mod snapshot;
pub mod tool;
pub mod uri;

pub use action::{Action, Door, Principal, Verb};
pub use beforehand::{denied_beforehand, guard};
pub use bounds::{Bounds, Budget, Mandate};
pub use decide::{agent_text, decide};
pub use decision::{Decision, Effect, Reason};
pub use explain::{Condition, Explained, Explanation, explain};
pub use label::{
    ArgumentLabel, Choice, Confidentiality, DataClass, Integrity, Label, Labels, Origin, Request, Role, SessionLabels,
};
pub use leaves::{is_declared_name, is_value, name_pointer};
pub use packs::packs;
pub use rule::Location;
pub use shape::is_malformed;
pub use snapshot::{Diagnostic, Snapshot, SnapshotId, Source};
pub use tool::{EffectKind, FieldFacts, Says, ToolFacts, ToolId};

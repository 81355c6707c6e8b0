//! What is known of the tools behind the gateway.

pub mod annotations;
pub(crate) mod commands;
pub(crate) mod infer;
mod observed;
mod roles;

pub use annotations::Annotations;
pub(crate) use infer::AGENT_CARD;
pub use infer::{Annotation, annotate, infer};
pub use observed::observed;

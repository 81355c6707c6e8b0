//! What is known of the tools behind the gateway.

pub mod annotations;
mod infer;

pub use annotations::Annotations;
pub use infer::{Annotation, annotate, infer};

//! What is known of the tools behind the gateway.

mod infer;

pub use infer::{Annotation, annotate, infer};

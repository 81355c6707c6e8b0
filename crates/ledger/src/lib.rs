//! Proves. An append-only, tamper-evident record of every decision and what came of it.
//!
//! [`record`], [`tree`] and [`proof`] are pure. [`Ledger`] owns a directory: a journal with group commit,
//! C2SP tiles, signed checkpoints, payloads beside them. This crate never decides and knows no policy:
//! an [`record::Intent`] carries its action and decision as JSON that only `policy` understands.

pub mod record;

pub use record::{Entry, Record};

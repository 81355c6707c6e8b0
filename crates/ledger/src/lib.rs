//! Proves. An append-only, tamper-evident record of every decision and what came of it.
//!
//! [`record`], [`tree`], [`note`] and [`canonical`] are pure. [`Ledger`] owns a directory: a journal with
//! group commit, C2SP tiles, signed checkpoints, payloads beside them. [`Reader`] reads it without a lock.
//! This crate never decides and knows no policy: an [`record::Intent`] carries its action and decision as
//! JSON that only `policy` understands. The formats are in `spec/record.md` and `spec/ledger.md`.

mod append;
pub mod archive;
mod brief;
pub mod canonical;
mod commit;
mod cosign;
mod end;
pub mod export;
#[cfg(test)]
mod faults;
pub mod files;
#[cfg(fuzzing)]
#[allow(clippy::panic, missing_docs, reason = "fuzz targets panic")]
pub mod fuzzing;
pub mod handover;
mod journal;
mod keep;
mod keyfile;
mod lock;
mod log;
pub mod note;
mod parquet;
mod payload;
pub mod private;
pub mod proof;
mod read;
pub mod record;
mod recover;
mod seal;
mod semantics;
pub mod simulated;
mod storage;
mod string;
mod tile;
pub mod tree;
pub mod verify;
pub mod witness;

pub use append::{Append, AppendError, Receipt};
pub use keyfile::{KeyFile, KeyFileError, Rotated};
pub use log::{Ledger, OpenError, Options, Recovery};
pub use note::{SigningKey, VerifyingKey};
pub use payload::{PAYLOAD_SIZE_MAX, PayloadError};
pub use read::{RawEntries, ReadError, Reader, Stored};
pub use record::{Entry, Record};
pub use tile::ENTRY_SIZE_MAX;

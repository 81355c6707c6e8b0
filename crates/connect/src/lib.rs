//! Reads what agents are configured to do, and rewrites it when asked to.
//!
//! [`scan()`] turns the configurations of agent clients into `Observation`s; `live` also asks the
//! servers found; [`history`] reads recorded sessions; [`protect`] puts the gateway between a client and its servers; `mandate` reads what
//! an agent is meant to do. The formats are in [`document`], the clients' places in [`clients`].
//!
//! Never runs anything that it finds, except `live`, which is told to. Never lets a secret's value
//! out: see [`secret`]. Never stops at one broken file: it is said in [`Scan::unread`].

mod account;
pub mod aws;
mod budget;
pub mod clients;
pub mod cloud;
mod cloudformation;
pub mod config;
mod delegation;
pub mod document;
pub mod file;
#[cfg(fuzzing)]
#[allow(clippy::panic, missing_docs, reason = "fuzz targets panic")]
pub mod fuzzing;
mod hcl;
pub mod history;
pub mod hook;
pub mod hunk;
mod kubernetes;
pub mod live;
pub mod mandate;
pub mod observe;
pub mod owner;
pub mod package;
mod profile;
mod prompt;
pub mod protect;
pub mod scan;
pub mod secret;
pub mod server;
mod terraform;

pub use clients::{Machine, Os, Scope};
pub use graph::Unread;
pub use scan::{FoundServer, Looked, Scan, ScanOptions, scan};
pub use secret::Salt;

//! The doors. Every byte that an agent sends to a tool passes here:
//! identify → label → decide → record → act → record.
//!
//! Start at [`pipeline`], which holds the order of these steps by types; [`call`] reads messages,
//! `authority` is the one way from a call to a permit, `door` are the ways in, [`upstream`] the way out.
//! This crate never decides (that is `policy`) and never answers an ask (that is `control`).

mod answer;
mod ask;
mod authority;
pub mod breaker;
mod budget;
pub mod call;
pub mod catalogue;
mod changes;
mod commands;
mod disk;
pub mod door;
pub mod dpop;
mod facts;
mod filter;
#[cfg(fuzzing)]
#[allow(clippy::panic, missing_docs, reason = "fuzz targets panic")]
pub mod fuzzing;
mod gateway;
mod hook;
mod identity;
pub mod label;
mod lanes;
mod law;
pub mod lease;
mod lines;
pub mod peers;
pub mod pipeline;
mod recovery;
pub mod replay;
mod results;
mod seal;
mod session;
mod signin;
pub mod simulation;
mod sse;
pub mod story;
pub mod tools;
pub mod upstream;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests;

pub use authority::Limits;
pub use disk::DiskError;
pub use door::http::{Fronts, Tls, TlsError, TlsFiles, Upstream};
pub use gateway::{Gateway, LABELS_KEY, Options, Reloaded, StartError};
pub use hook::agents as hook_agents;
pub use hook::built_in as built_in_tools;
pub use identity::local_user;
pub use law::{Ahead, LawError, Rules};
pub use results::Keep;
pub use session::erase as erase_sessions;
pub use signin::{Identity, Issuer, Kind, Right};
pub use upstream::child::{Minder, Program};

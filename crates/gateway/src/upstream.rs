//! What stands behind the gateway. A message goes out only against a [`Permit`], or if it is [`Plumbing`].

pub mod child;
pub mod http;
pub mod link;
pub mod login;
pub(crate) mod remote;

pub use link::{Gone, Link};

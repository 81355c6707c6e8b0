//! Stops agents from the console, and lets them go on.
//!
//! INVARIANT: only a signed-in browser does; a process on the Unix socket has `bailiwick stop`, where the kernel names
//! its user to the gateway. What is stopped is known to whoever stops: nothing is kept here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Control;
use crate::guard::Caller;
use crate::problem::Problem;

/// The longest reason, in bytes.
const BECAUSE_MAX: usize = 1_000;

/// What can stop agents: the gateway, which the control plane does not know. Whoever starts both joins them.
pub trait Brake: Send + Sync {
    /// What is stopped.
    fn stopped(&self) -> Vec<Stop>;
    /// Stops, or lets go on; the error says what cannot be stopped.
    fn set(&self, order: StopOrder) -> Result<(), String>;
}

/// An agent, a server or everything that is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stop {
    /// `agent NAME`, `server NAME` or `everything`.
    pub of: String,
    /// Whether a person is asked about each call; otherwise each is denied.
    pub asks: bool,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Until when; until somebody resumes it if absent.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// Who stopped it.
    pub by: String,
    /// Why.
    pub because: String,
}

/// A change, as it arrives.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// `agent NAME`, `server NAME` or `everything`.
    pub of: String,
    /// Whether it is to be stopped, or to go on.
    pub stopped: bool,
    /// Why, for the record.
    #[serde(default)]
    pub because: String,
}

/// A change, and who wants it.
#[derive(Clone, Debug)]
pub struct StopOrder {
    /// What is wanted.
    pub request: StopRequest,
    /// Who wants it, as the record names him.
    pub by: String,
}

impl Control {
    /// From now on stops go there. The first one counts.
    pub fn stop_with(&self, brake: Box<dyn Brake>) {
        _ = self.inner.brake.set(brake);
    }

    /// What is stopped.
    pub(crate) fn stopped(&self) -> Vec<Stop> {
        self.inner.brake.get().map(|brake| brake.stopped()).unwrap_or_default()
    }

    /// Stops, or lets go on, and says what is stopped then.
    pub(crate) fn set_stop(&self, request: StopRequest, caller: Caller) -> Result<Vec<Stop>, Problem> {
        if let Caller::Process(_) = caller {
            return Err(Problem::forbidden("on the command line it is `bailiwick stop` and `bailiwick resume`"));
        }
        if request.because.len() > BECAUSE_MAX {
            return Err(Problem::conflict("too-long", format!("a reason has at most {BECAUSE_MAX} bytes")));
        }
        let brake =
            self.inner.brake.get().ok_or_else(|| Problem::conflict("not-ready", "the gateway is still starting"))?;
        let by = self.who(caller);
        brake.set(StopOrder { request, by }).map_err(|error| Problem::conflict("not-stopped", error))?;
        Ok(brake.stopped())
    }
}

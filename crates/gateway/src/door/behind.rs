//! What a conversation of the gateway's own goes to: a program that it starts, a server over HTTP, or all servers as one.

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::header::HeaderMap;
use serde_json::Value;
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};

use crate::door::era;
use crate::door::http::Upstream;
use crate::gateway::Shared;
use crate::upstream::child::Server;
use crate::upstream::remote::{self, Remote};

/// A server, and the caller's headers that it hears.
#[derive(Clone, Debug)]
pub(crate) struct Behind {
    pub(crate) upstream: Upstream,
    /// Those of the newest request: a caller's token may be renewed.
    pub(crate) headers: Arc<Mutex<HeaderMap>>,
}

impl Behind {
    /// A server that hears nothing of who calls.
    pub(crate) fn of(upstream: Upstream) -> Self {
        Self { upstream, headers: Arc::default() }
    }

    pub(crate) fn hold_headers(&self) -> MutexGuard<'_, HeaderMap> {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that speaks lines, of either era.
pub(crate) struct Open {
    /// To be ended after the conversation, where there is a process.
    pub(crate) process: Option<Server>,
    pub(crate) from_server: ReadHalf<DuplexStream>,
    pub(crate) to_server: WriteHalf<DuplexStream>,
}

pub(crate) fn open(shared: &Shared, behind: &Behind) -> io::Result<Open> {
    let (process, (from_server, to_server)) = match &behind.upstream {
        Upstream::Program(program) => {
            let (process, to_server, from_server) = Server::start(program, shared.minder.as_ref(), Stdio::null())?;
            (Some(process), era::bridge(from_server, to_server))
        }
        Upstream::Http(uri) => {
            let (outbound, uri, headers) = (shared.outbound().clone(), uri.clone(), behind.headers.clone());
            let wait = shared.authority.limits.call_wait;
            let (from_server, to_server) = remote::connect(Remote { outbound, uri, headers, wait });
            (None, era::bridge(from_server, to_server))
        }
    };
    Ok(Open { process, from_server, to_server })
}

/// What policy may know of a server's calls beside the call.
pub(crate) fn facts(upstream: &Upstream) -> BTreeMap<String, Value> {
    let Upstream::Program(program) = upstream else { return BTreeMap::new() };
    let project = program.cwd.as_ref().map(|cwd| Value::from(cwd.to_string_lossy().into_owned()));
    project.into_iter().map(|project| ("project".to_owned(), project)).collect()
}

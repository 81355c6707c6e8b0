//! Which agent is at the other end of a connection: the one whose key it shows, its own or a lent one, else the one that a token of a
//! trusted issuer names, else the one whose program the kernel says it is.
//!
//! Over TLS a certificate counts like a key, after it. With replicas only keys, tokens and certificates count. A key, token
//! or certificate that is wrong is never made good by a program, and an agent is never known by a name in the address, for
//! whoever can connect can write that.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::Request;
use hyper::header::{HeaderMap, HeaderValue};
use policy::{Door, Principal};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::sync::OnceCell;

use super::tls::Shown;
use super::{Fronts, HttpDoor};
use crate::identity::{self, Process};
use crate::lease::Holder;
use crate::session::{Caller, Key};
use crate::signin::{self, Refused, SignedIn};
use crate::upstream::http::KEY_HEADER;

/// The other end of one connection.
#[derive(Debug)]
pub(crate) struct Peer {
    ours: SocketAddr,
    theirs: SocketAddr,
    /// Over TLS: the certificate that it showed, if it showed one.
    secure: Option<Option<Shown>>,
    /// Looked up once, and only for a client without a key: it reads all of this user's open files.
    program: OnceCell<Option<Program>>,
}

/// What the kernel says of a peer.
#[derive(Clone, Debug)]
struct Program {
    path: PathBuf,
    process: Process,
    evidence: BTreeMap<String, Value>,
}

/// Who calls, and what a token says beyond that.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) caller: Caller,
    /// Absent for an agent of this machine, known by its key or program.
    pub(crate) signed_in: Option<SignedIn>,
}

impl Known {
    fn local(caller: Caller) -> Self {
        Self { caller, signed_in: None }
    }
}

impl Peer {
    pub(crate) fn new(ours: SocketAddr, theirs: SocketAddr) -> Self {
        Self { ours, theirs, secure: None, program: OnceCell::new() }
    }

    /// The same over TLS, with what it showed.
    pub(super) fn secured(self, shown: Option<Shown>) -> Self {
        Self { secure: Some(shown), ..self }
    }

    pub(super) fn is_secure(&self) -> bool {
        self.secure.is_some()
    }

    /// Who calls a server.
    pub(crate) async fn caller<B>(
        &self,
        door: &Arc<HttpDoor>,
        fronts: &Fronts,
        (request, server): (&Request<B>, &str),
    ) -> Result<Known, Refused> {
        let headers = request.headers();
        if headers.contains_key(KEY_HEADER) || fronts.identity.issuer.is_empty() {
            return self.local(door, fronts, headers).await.map(Known::local).ok_or(Refused::Nobody);
        }
        let certificate = self.secure.iter().flatten().next().map(Shown::digest);
        let Some(presented) = signin::presented(request, certificate)? else {
            return self.local(door, fronts, headers).await.map(Known::local).ok_or(Refused::Nobody);
        };
        let now = door.shared.authority.journal.now();
        let who = door.tokens.verify(&fronts.identity, &presented, (&self.base(), server), now).await?;
        let session = Key::Named { agent: who.agent.clone(), name: who.session.clone() };
        let mut caller = made(door, &who.agent, session, who.evidence.clone());
        caller.principal.user.clone_from(&who.user);
        caller.principal.delegation.clone_from(&who.delegation);
        Ok(Known { caller, signed_in: Some(who) })
    }

    /// The gateway's address as the client reached it.
    pub(crate) fn base(&self) -> String {
        format!("{}://{}", if self.is_secure() { "https" } else { "http" }, self.ours)
    }

    /// Whose key or program it is; `None` if it is nobody's that is known.
    async fn local(&self, door: &Arc<HttpDoor>, fronts: &Fronts, headers: &HeaderMap) -> Option<Caller> {
        if let Some(key) = headers.get(KEY_HEADER).map(HeaderValue::as_bytes) {
            let by_header = ("key".to_owned(), Value::from("x-bailiwick-key"));
            let (agent, evidence) = match agent_of(&fronts.keys, key) {
                Some(agent) => (agent.to_owned(), BTreeMap::from([by_header])),
                None => leased(door, key).map(|(agent, lease)| (agent, BTreeMap::from([by_header, lease])))?,
            };
            // All requests of an agent are one session: what one server told it, it can tell another.
            let session = Key::Named { agent: agent.clone(), name: "http".to_owned() };
            return Some(made(door, &agent, session, evidence));
        }
        // A certificate that stands for nobody is made good by a program no more than a wrong key is.
        if let Some(Some(shown)) = &self.secure {
            let agent = fronts.tls.as_ref()?.agent(shown)?;
            // The agent's one session, as with a key.
            let session = Key::Named { agent: agent.to_owned(), name: "http".to_owned() };
            return Some(made(door, agent, session, shown.evidence()));
        }
        // Where there are replicas, whoever spreads requests over them is the program that is seen; and a process is
        // known on its own machine only.
        if fronts.programs.is_empty() || door.shared.authority.sessions.replicas().is_some() {
            return None;
        }
        let program = self.program.get_or_init(|| self.look(door)).await.as_ref()?;
        let agent = fronts.programs.get(&program.path)?;
        let Process { pid, started, .. } = program.process;
        let session = Key::Process { agent: agent.clone(), pid, started };
        Some(made(door, agent, session, program.evidence.clone()))
    }

    async fn look(&self, door: &Arc<HttpDoor>) -> Option<Program> {
        let (ours, theirs, door) = (self.ours, self.theirs, door.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let uid = rustix::process::getuid().as_raw();
            let (process, path) = identity::owner_of(theirs, ours, uid)?;
            let evidence = door.shared.programs.evidence(process.pid, uid);
            Some(Program { path, process, evidence })
        });
        looked.await.ok().flatten()
    }
}

/// The agent whose key this is. Every key is compared, and each in constant time.
fn agent_of<'a>(keys: &'a [(String, String)], key: &[u8]) -> Option<&'a str> {
    let mut found = None;
    for (agent, known) in keys {
        if !known.is_empty() && bool::from(known.as_bytes().ct_eq(key)) {
            found = Some(agent.as_str());
        }
    }
    found
}

/// The agent that a key was lent to, and the evidence for that.
fn leased(door: &HttpDoor, key: &[u8]) -> Option<(String, (String, Value))> {
    let Holder { agent, lease, entry } = door.shared.leases.holder(key, &door.shared.authority.journal)?;
    Some((agent, ("lease".to_owned(), json!({ "lease": lease, "entry": entry }))))
}

fn made(door: &HttpDoor, agent: &str, key: Key, evidence: BTreeMap<String, Value>) -> Caller {
    let session = door.shared.authority.sessions.join_anywhere(key, || door.shared.fresh_session());
    let principal = Principal {
        agent: agent.to_owned(),
        user: door.user.clone(),
        session: session.id.clone(),
        delegation: Vec::new(),
        evidence,
    };
    Caller { door: Door::McpHttp, principal, session }
}

//! Sessions: what one agent process has seen, and what a human approved for the rest of it.
//!
//! All doors of one agent meet in one session, because data that came in through one leaves by another.
//! On a local machine the agent's process says which session it is: the shims of its MCP servers and its
//! hooks are all its children.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::{Door, Principal};

use crate::label;

/// The most sessions that are kept; beyond it the one that was idle longest is forgotten.
const SESSIONS_MAX: usize = 10_000;
/// The most approvals for the rest of a session.
const GRANTS_MAX: usize = 64;

/// What names a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The agent's process, with its start time, because process ids are used again.
    Process {
        /// The agent.
        agent: String,
        /// Process id.
        pid: u32,
        /// Start, in ticks since boot.
        started: u64,
    },
    /// A name that the agent gives.
    Named {
        /// The agent.
        agent: String,
        /// The name.
        name: String,
    },
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its name in the ledger.
    pub(crate) id: String,
    /// What was seen. Held for one derivation or one result, never across an await.
    labels: Mutex<label::Session>,
    sequences: Mutex<HashMap<String, u64>>,
    grants: Mutex<Vec<Grant>>,
    withheld: Mutex<HashMap<String, Vec<String>>>,
    /// Servers whose calls pass another door of this session.
    protected: Mutex<BTreeSet<String>>,
    used: AtomicU64,
}

/// A human's answer that covers more than one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The ask.
    pub(crate) ask: u64,
    /// The answer.
    pub(crate) answer: u64,
    /// The groups that were approved.
    pub(crate) groups: Vec<String>,
    /// Digest of the tool, its pin and the arguments that matter to security.
    pub(crate) scope: String,
}

impl Session {
    fn new(id: String) -> Self {
        Self {
            id,
            labels: Mutex::default(),
            sequences: Mutex::default(),
            grants: Mutex::default(),
            withheld: Mutex::default(),
            protected: Mutex::default(),
            used: AtomicU64::new(0),
        }
    }

    /// What was seen.
    pub(crate) fn labels(&self) -> MutexGuard<'_, label::Session> {
        hold(&self.labels)
    }

    /// The next call's number at a server, from 1.
    pub(crate) fn next(&self, server: &str) -> u64 {
        let mut sequences = hold(&self.sequences);
        if let Some(last) = sequences.get_mut(server) {
            *last += 1;
            return *last;
        }
        sequences.insert(server.to_owned(), 1);
        1
    }

    /// A human approved for the rest of the session.
    pub(crate) fn grant(&self, grant: Grant) {
        let mut grants = hold(&self.grants);
        if grants.len() >= GRANTS_MAX {
            grants.remove(0);
        }
        grants.push(grant);
    }

    /// The approval that covers these groups in this scope.
    pub(crate) fn granted(&self, groups: &[String], scope: &str) -> Option<Grant> {
        let covers = |grant: &&Grant| grant.scope == scope && groups.iter().all(|group| grant.groups.contains(group));
        hold(&self.grants).iter().find(covers).cloned()
    }

    /// Calls to this server pass an MCP door of the gateway.
    pub(crate) fn protects(&self, server: &str) {
        hold(&self.protected).insert(server.to_owned());
    }

    /// Whether calls to a server pass an MCP door; `fits` compares names as the agent writes them.
    pub(crate) fn is_protected(&self, fits: impl Fn(&str) -> bool) -> bool {
        hold(&self.protected).iter().any(|server| fits(server))
    }

    /// Whether what is withheld from a list differs from the last time.
    pub(crate) fn withholds(&self, list: &str, names: &[String]) -> bool {
        let mut withheld = hold(&self.withheld);
        if withheld.get(list).is_some_and(|last| last == names) || (names.is_empty() && !withheld.contains_key(list)) {
            return false;
        }
        withheld.insert(list.to_owned(), names.to_vec());
        !names.is_empty()
    }
}

/// Who calls, and in which session.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The door.
    pub(crate) door: Door,
    /// Who, with the evidence.
    pub(crate) principal: Principal,
    /// The session.
    pub(crate) session: Arc<Session>,
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    known: Mutex<HashMap<Key, Arc<Session>>>,
    clock: AtomicU64,
}

impl Sessions {
    /// The session of the first key that is known, else a new one named `id`; all keys name it from now on.
    pub(crate) fn join(&self, keys: &[Key], id: impl FnOnce() -> String) -> Arc<Session> {
        let mut known = hold(&self.known);
        let session = keys.iter().find_map(|key| known.get(key).cloned());
        let session = session.unwrap_or_else(|| Arc::new(Session::new(id())));
        session.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        for key in keys {
            known.entry(key.clone()).or_insert_with(|| session.clone());
        }
        while known.len() > SESSIONS_MAX {
            let oldest = known.iter().min_by_key(|(_, session)| session.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            known.remove(&oldest);
        }
        session
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Breakers: an agent, a server or everything is stopped until a person resumes it or a cool-down is over. A person
//! opens one (`bailiwick stop`); too many denials of an agent or errors of a server open one if the settings say so.
//!
//! What is open is a fact of every action it concerns, so the verdict can be recomputed; what follows from it is
//! `policy`'s matter. Calls that already left are not ended. A restart forgets what is counted, never what is open.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use ledger::record::Record;
use policy::bounds::{Opened, Otherwise};
use policy::{Action, Decision, Effect};
use serde::{Deserialize, Serialize};

use crate::disk::{self, DiskError};
use crate::pipeline::Journal;

/// The name of the breaker for all calls.
pub const EVERYTHING: &str = "everything";
/// The most agents and servers whose denials and errors are counted; beyond it the counts begin anew.
const COUNTS_MAX: usize = 4_096;
/// The most breakers that are open at a time.
const OPEN_MAX: usize = 1_024;

/// When a breaker opens by itself. The default: never.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trip {
    /// So many denials of an agent in a window stop it.
    pub denials: Option<u32>,
    /// So many errors of a server in a window stop it.
    pub errors: Option<u32>,
    /// The window.
    pub window_seconds: u32,
    /// It closes by itself after so long; 0: only a person closes it.
    pub cool_down_seconds: u32,
    /// What becomes of calls.
    pub otherwise: Otherwise,
}

impl Default for Trip {
    fn default() -> Self {
        let otherwise = Otherwise::Deny;
        Self { denials: None, errors: None, window_seconds: 300, cool_down_seconds: 900, otherwise }
    }
}

/// A breaker that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What becomes of calls.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// Since when.
    pub since: Timestamp,
    /// Until when; until somebody closes it if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who opened it.
    pub by: String,
    /// Why.
    pub because: String,
}

/// All breakers.
#[derive(Debug)]
pub(crate) struct Breakers {
    path: PathBuf,
    /// Whether any is open, so that calls need not look.
    any: AtomicBool,
    /// Whether anything is counted.
    counts: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: BTreeMap<String, Standing>,
    trip: Trip,
    /// By breaker: the first second of the window, and how many in it.
    counted: HashMap<String, (i64, u32)>,
}

impl Breakers {
    /// What an earlier process left open. A file that cannot be read is an error: what was stopped stays stopped.
    pub(crate) fn open(path: PathBuf) -> Result<Self, DiskError> {
        let open: BTreeMap<String, Standing> = disk::read_json(&path)?.unwrap_or_default();
        let any = AtomicBool::new(!open.is_empty());
        let state = Mutex::new(State { open, ..State::default() });
        Ok(Self { path, any, counts: AtomicBool::new(false), state })
    }

    /// When breakers open by themselves from now on.
    pub(crate) fn trip_at(&self, trip: Trip) {
        self.counts.store(trip.denials.is_some() || trip.errors.is_some(), Ordering::Release);
        self.lock().trip = trip;
    }

    /// What stops an action. A cool-down that is over ends here.
    pub(crate) fn stopping(&self, action: &Action, journal: &Journal) -> Vec<Opened> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let now = journal.now();
        let mut state = self.lock();
        let over = |standing: &Standing| standing.until.is_some_and(|until| until <= now);
        let ended: Vec<String> =
            state.open.iter().filter(|(_, standing)| over(standing)).map(|(of, _)| of.clone()).collect();
        for of in ended {
            state.open.remove(&of);
            self.keep(&state.open);
            journal.note(closed(&of, "gateway", "the cool-down is over"));
        }
        let of = [EVERYTHING.to_owned(), agent(&action.principal.agent), server(&action.tool.server)];
        let open = of.into_iter().filter_map(|of| {
            let standing = state.open.get(&of)?;
            Some(Opened { otherwise: standing.otherwise, until: standing.until, of })
        });
        open.collect()
    }

    /// Opens a breaker. It holds before the record of it is durable: an emergency stop waits for no disk.
    pub(crate) fn set(&self, of: &str, standing: Standing, journal: &Journal) -> Result<(), String> {
        is_breaker(of)?;
        let mut state = self.lock();
        if state.open.len() >= OPEN_MAX && !state.open.contains_key(of) {
            return Err(format!("{OPEN_MAX} breakers are open already; stop `{EVERYTHING}` instead"));
        }
        let (by, because, until) = (standing.by.clone(), standing.because.clone(), standing.until);
        state.open.insert(of.to_owned(), standing);
        self.keep(&state.open);
        let (of, opened) = (of.to_owned(), "opened".to_owned());
        journal.note(Record::Breaker { of, state: opened, by, because, until });
        Ok(())
    }

    /// Closes a breaker; says whether it was open.
    pub(crate) fn reset(&self, of: &str, (by, because): (&str, &str), journal: &Journal) -> Result<bool, String> {
        is_breaker(of)?;
        let mut state = self.lock();
        let was_open = state.open.remove(of).is_some();
        if was_open {
            state.counted.remove(of);
            self.keep(&state.open);
            journal.note(closed(of, by, because));
        }
        Ok(was_open)
    }

    /// All that are open.
    pub(crate) fn list(&self) -> BTreeMap<String, Standing> {
        self.lock().open.clone()
    }

    /// A decision was made: a denial counts against its agent, unless it says no more than a bound.
    pub(crate) fn decided(&self, action: &Action, decision: &Decision, journal: &Journal) {
        if !self.counts.load(Ordering::Acquire) || decision.effect != Effect::Deny {
            return;
        }
        let bound = |policy: &str| matches!(policy, "breaker" | "budget" | "deny-over-budget");
        let only_bounds = !decision.reasons.is_empty() && decision.reasons.iter().all(|reason| bound(&reason.policy));
        if !only_bounds {
            self.count(agent(&action.principal.agent), |trip| trip.denials, "denials", journal);
        }
    }

    /// A server answered with an error.
    pub(crate) fn failed(&self, name: &str, journal: &Journal) {
        if self.counts.load(Ordering::Acquire) {
            self.count(server(name), |trip| trip.errors, "errors", journal);
        }
    }

    fn count(&self, of: String, limit: impl Fn(&Trip) -> Option<u32>, what: &str, journal: &Journal) {
        let now = journal.now();
        let standing = {
            let mut state = self.lock();
            let Some(limit) = limit(&state.trip) else { return };
            if state.counted.len() >= COUNTS_MAX {
                state.counted.clear();
            }
            let window = i64::from(state.trip.window_seconds.max(1));
            let counted = state.counted.entry(of.clone()).or_insert((now.as_second(), 0));
            if now.as_second() - counted.0 >= window {
                *counted = (now.as_second(), 0);
            }
            counted.1 += 1;
            if counted.1 < limit || state.open.contains_key(&of) {
                return;
            }
            let cool = SignedDuration::from_secs(i64::from(state.trip.cool_down_seconds));
            let until = (!cool.is_zero()).then(|| now.checked_add(cool).unwrap_or(Timestamp::MAX));
            let because = format!("{limit} {what} within {window} s");
            state.counted.remove(&of);
            Standing { otherwise: state.trip.otherwise, since: now, until, by: "gateway".to_owned(), because }
        };
        if let Err(error) = self.set(&of, standing, journal) {
            tracing::error!(%error, breaker = of, "a breaker could not open");
        }
    }

    fn keep(&self, open: &BTreeMap<String, Standing>) {
        self.any.store(!open.is_empty(), Ordering::Release);
        if let Err(error) = disk::write_json(&self.path, open) {
            tracing::error!(%error, "what is stopped could not be saved: it would not survive a restart");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The breaker of an agent.
pub(crate) fn agent(name: &str) -> String {
    format!("agent {name}")
}

/// The breaker of a server.
pub(crate) fn server(name: &str) -> String {
    format!("server {name}")
}

fn is_breaker(of: &str) -> Result<(), String> {
    let named = |kind| of.strip_prefix(kind).is_some_and(|name: &str| !name.is_empty());
    let known = of == EVERYTHING || named("agent ") || named("server ");
    if known && of.len() < 512 { Ok(()) } else { Err(format!("`{of}` is nothing that can be stopped")) }
}

fn closed(of: &str, by: &str, because: &str) -> Record {
    let (of, state) = (of.to_owned(), "closed".to_owned());
    Record::Breaker { of, state, by: by.to_owned(), because: because.to_owned(), until: None }
}

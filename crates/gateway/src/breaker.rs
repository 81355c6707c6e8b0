//! Breakers: an agent, a server or everything is stopped until a person resumes it or a cool-down is over. A person
//! opens one (`bailiwick stop`); too many denials of an agent or errors of a server open one if the settings say so.
//!
//! What is open is a fact of every action it concerns, so the verdict can be recomputed; what follows from it is
//! `policy`'s matter. Gateways that share the file stop together; each counts for itself. Calls that already left are not
//! ended. A restart forgets what is counted, never what is open.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ledger::record::Record;
use policy::bounds::{Opened, Otherwise};
use policy::{Action, Decision, Effect};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::disk::{self, DiskError};
use crate::pipeline::Journal;

/// The name of the breaker for all calls.
pub const EVERYTHING: &str = "everything";
/// The most agents and servers whose denials and errors are counted; beyond it the counts begin anew.
const COUNTS_MAX: usize = 4_096;
/// How long another gateway is waited for that changes what is stopped.
const LOCK_TRIES: u8 = 100;
const LOCK_POLL: Duration = Duration::from_millis(2);
/// The longest reason that is taken, in bytes: nobody waits for the record of a stop, so that the reason has to fit it.
const BECAUSE_MAX_BYTES: usize = 4_096;
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
    /// Whether other gateways write the same file: it is then looked at before each decision.
    is_shared: bool,
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
    /// The shared file as it was last read.
    seen: Option<Stamp>,
}

/// Whether other gateways are kept from changing what is stopped.
#[derive(Debug)]
enum Alone {
    /// There are none.
    Unshared,
    /// They wait for this file.
    Locked(#[expect(dead_code, reason = "held, not read")] File),
    /// One of them changes it for longer than anybody waits.
    Not,
}

impl Alone {
    fn is_alone(&self) -> bool {
        !matches!(self, Self::Not)
    }
}

/// What is said where nothing may be changed without the lock.
const BUSY: &str = "another gateway is changing what is stopped; try again";

/// What tells a file from one that was put in its place.
type Stamp = (u64, u64, i64, i64);

impl Breakers {
    /// What an earlier process left open. A file that cannot be read is an error: what was stopped stays stopped.
    pub(crate) fn open(path: PathBuf) -> Result<Self, DiskError> {
        let open: BTreeMap<String, Standing> = disk::read_json(&path)?.unwrap_or_default();
        let any = AtomicBool::new(!open.is_empty());
        let state = Mutex::new(State { open, ..State::default() });
        Ok(Self { path, is_shared: false, any, counts: AtomicBool::new(false), state })
    }

    /// The same for a file that other gateways write, too: what one stops is stopped at all.
    pub(crate) fn shared(path: PathBuf) -> Result<Self, DiskError> {
        Ok(Self { is_shared: true, ..Self::open(path)? })
    }

    /// When breakers open by themselves from now on.
    pub(crate) fn trip_at(&self, trip: Trip) {
        self.counts.store(trip.denials.is_some() || trip.errors.is_some(), Ordering::Release);
        self.lock().trip = trip;
    }

    /// What stops an action. A cool-down that is over ends here.
    pub(crate) fn stopping(&self, action: &Action, journal: &Journal) -> Vec<Opened> {
        let mut state = match self.is_shared {
            true => self.lock(),
            false if self.any.load(Ordering::Acquire) => self.lock(),
            false => return Vec::new(),
        };
        if let Err(error) = self.refresh(&mut state) {
            tracing::error!(%error, "what is stopped at other gateways cannot be read: everything is");
            return vec![Opened { otherwise: Otherwise::Deny, until: None, of: EVERYTHING.to_owned() }];
        }
        let now = journal.now();
        let over = |standing: &Standing| standing.until.is_some_and(|until| until <= now);
        let ended: Vec<String> =
            state.open.iter().filter(|(_, standing)| over(standing)).map(|(of, _)| of.clone()).collect();
        // Without the lock what another gateway stops meanwhile could be lost: the cool-down then ends a little later.
        if !ended.is_empty()
            && let Ok(alone) = self.alone(&mut state, 1)
            && alone.is_alone()
        {
            for of in ended.into_iter().filter(|of| state.open.get(of).is_some_and(over)).collect::<Vec<_>>() {
                state.open.remove(&of);
                // If it cannot be kept, it ends again after a restart.
                _ = self.keep(&state.open);
                journal.note(closed(&of, "gateway", "the cool-down is over"));
            }
        }
        let of = [EVERYTHING.to_owned(), agent(&action.principal.agent), server(&action.tool.server)];
        let open = of.into_iter().filter_map(|of| {
            let standing = state.open.get(&of)?;
            Some(Opened { otherwise: standing.otherwise, until: standing.until, of })
        });
        open.collect()
    }

    /// Opens a breaker. It holds before the record of it is durable: an emergency stop waits for no disk. The error also
    /// says where it holds and could not be saved.
    pub(crate) fn set(&self, of: &str, standing: Standing, journal: &Journal) -> Result<(), String> {
        is_breaker(of)?;
        is_reason(&standing.because)?;
        let mut state = self.lock();
        // An emergency stop waits for nobody for long, and may then undo what another gateway does just now.
        let _alone = self.alone(&mut state, LOCK_TRIES)?;
        self.insert(&mut state, (of, standing), journal)
    }

    /// Opens a breaker that is closed. INVARIANT: what stands, stands: what a person has stopped until he resumes it does
    /// not become what a cool-down ends.
    pub(crate) fn trip(&self, of: &str, standing: Standing, journal: &Journal) -> Result<(), String> {
        let mut state = self.lock();
        let alone = self.alone(&mut state, LOCK_TRIES)?;
        if !alone.is_alone() {
            return Err(BUSY.to_owned());
        }
        let stands = |stands: &Standing| stands.until.is_none_or(|until| until > standing.since);
        if state.open.get(of).is_some_and(stands) {
            return Ok(());
        }
        self.insert(&mut state, (of, standing), journal)
    }

    fn insert(&self, state: &mut State, (of, standing): (&str, Standing), journal: &Journal) -> Result<(), String> {
        if state.open.len() >= OPEN_MAX && of != EVERYTHING && !state.open.contains_key(of) {
            return Err(format!("{OPEN_MAX} breakers are open already; stop `{EVERYTHING}` instead"));
        }
        let (by, because, until) = (standing.by.clone(), standing.because.clone(), standing.until);
        state.open.insert(of.to_owned(), standing);
        let kept = self.keep(&state.open);
        let (of, opened) = (of.to_owned(), "opened".to_owned());
        journal.note(Record::Breaker { of, state: opened, by, because, until });
        kept.map_err(|error| {
            format!("it is stopped, and that could not be saved, so a restart would forget it: {error}")
        })
    }

    /// Closes a breaker; says whether it was open.
    pub(crate) fn reset(&self, of: &str, (by, because): (&str, &str), journal: &Journal) -> Result<bool, String> {
        is_breaker(of)?;
        is_reason(because)?;
        let mut state = self.lock();
        // What another gateway stops meanwhile would be lost.
        let alone = self.alone(&mut state, LOCK_TRIES)?;
        if !alone.is_alone() {
            return Err(BUSY.to_owned());
        }
        if state.open.remove(of).is_none() {
            return Ok(false);
        }
        state.counted.remove(of);
        let kept = self.keep(&state.open);
        journal.note(closed(of, by, because));
        let unsaved =
            |error| format!("it goes on, and that could not be saved, so a restart would stop it again: {error}");
        kept.map(|()| true).map_err(unsaved)
    }

    /// If it says so, no other gateway changes what is stopped until this is dropped. What they changed is known.
    fn alone(&self, state: &mut State, tries: u8) -> Result<Alone, String> {
        if !self.is_shared {
            return Ok(Alone::Unshared);
        }
        let lock = || {
            let path = self.path.with_extension("lock");
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
            let locks = || flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
            let mut tries = (0..tries).inspect(|tried| thread::sleep(LOCK_POLL * u32::from(*tried > 0)));
            if tries.any(|_| locks()) {
                return Ok(Alone::Locked(file));
            }
            tracing::warn!("another gateway holds what is stopped for long");
            Ok(Alone::Not)
        };
        let alone = lock().map_err(|error: io::Error| error.to_string())?;
        self.refresh(state).map_err(|error| error.to_string())?;
        Ok(alone)
    }

    /// Takes in what other gateways changed.
    fn refresh(&self, state: &mut State) -> Result<(), DiskError> {
        if !self.is_shared {
            return Ok(());
        }
        let stamp = stamp_of(&self.path).map_err(|error| DiskError::Io { path: self.path.clone(), error })?;
        if stamp != state.seen {
            state.open = disk::read_json(&self.path)?.unwrap_or_default();
            state.seen = stamp;
            self.any.store(!state.open.is_empty(), Ordering::Release);
        }
        Ok(())
    }

    /// All that are open.
    pub(crate) fn list(&self) -> BTreeMap<String, Standing> {
        let mut state = self.lock();
        if let Err(error) = self.refresh(&mut state) {
            tracing::error!(%error, "what is stopped at other gateways cannot be read");
        }
        state.open.clone()
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
        if let Err(error) = self.trip(&of, standing, journal) {
            tracing::error!(%error, breaker = of, "a breaker did not open as it should");
        }
    }

    fn keep(&self, open: &BTreeMap<String, Standing>) -> Result<(), DiskError> {
        self.any.store(!open.is_empty(), Ordering::Release);
        disk::write_json(&self.path, open)
            .inspect_err(|error| tracing::error!(%error, "what is stopped could not be saved"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` without a file.
fn stamp_of(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
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

fn is_reason(because: &str) -> Result<(), String> {
    let size = because.len();
    if size > BECAUSE_MAX_BYTES {
        return Err(format!("the reason is too long to be recorded: {size} bytes > {BECAUSE_MAX_BYTES}"));
    }
    Ok(())
}

fn closed(of: &str, by: &str, because: &str) -> Record {
    let (of, state) = (of.to_owned(), "closed".to_owned());
    Record::Breaker { of, state, by: by.to_owned(), because: because.to_owned(), until: None }
}

//! Sessions: what one agent process has seen, and what a human approved for the rest of it.
//!
//! All doors of one agent meet in one session, because data that came in through one leaves by another.
//! On a local machine the agent's process says which session it is: the shims of its MCP servers and its
//! hooks are all its children.

mod forgotten;
mod log;
mod shared;
mod subjects;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use policy::{Door, Principal};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::disk::DiskError;
use crate::identity::{self, Process};
use crate::label::overheard::{self, Overheard, Said};
use crate::pipeline::Departures;
use crate::{disk, label};
use forgotten::Forgotten;
use shared::Shared;
pub(crate) use shared::{Replicas, SEEN_ELSEWHERE, Unshared};
use subjects::Subjects;

/// The ledger's word for a result of a call that was not open any more.
pub(crate) const SEEN_ASTRAY: &str = "seen without its call";

/// The ledger's word for what a server said beside results.
pub(crate) const OVERHEARD: &str = "a server's own words";

/// Where they are kept, in the gateway's folder.
pub(crate) const FOLDER: &str = "sessions";
/// The most sessions that are kept; beyond it the one that was idle longest is forgotten.
const SESSIONS_MAX: usize = 10_000;
/// The most sessions whose past is kept on disk; of the others is known that they had one.
const FILES_MAX: usize = 256;
/// The most approvals for the rest of a session.
const GRANTS_MAX: usize = 64;

/// What names a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Whose data that is. Held for one look or note.
    subjects: Mutex<Subjects>,
    sequences: Mutex<HashMap<String, u64>>,
    departures: Mutex<HashMap<String, Departures>>,
    /// Results that labels have heard of and the ledger has not.
    unrecorded: Unrecorded,
    grants: Mutex<Vec<Grant>>,
    withheld: Mutex<HashMap<String, Vec<String>>>,
    /// What servers said beside results. Held for one message, never across an await.
    overheard: Mutex<Overheard>,
    /// Servers whose calls pass another door of this session.
    protected: Mutex<BTreeSet<String>>,
    /// The agent's process from which the user's words came first.
    speaker: Mutex<Option<Process>>,
    used: AtomicU64,
    /// Whether there is something to save.
    changed: AtomicBool,
    /// Whether it was saved before.
    is_saved: AtomicBool,
    /// Where it goes on at other gateways, too.
    shared: Option<Shared>,
}

/// The record of something that entered the session.
pub(crate) type Recording = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Unrecorded {
    /// In the order in which it entered the session.
    queue: Mutex<VecDeque<Recording>>,
    /// Held while one is made, so that the next is not made before it.
    order: Mutex<()>,
    count: AtomicUsize,
    done: Notify,
}

impl fmt::Debug for Unrecorded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Unrecorded").field("count", &self.count).finish_non_exhaustive()
    }
}

/// One thing less that is not recorded, whatever became of its recording.
struct Less<'a>(&'a Unrecorded);

impl Drop for Less<'_> {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.done.notify_waiters();
        }
    }
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
    fn new(id: String, labels: label::Session) -> Self {
        Self {
            id,
            labels: Mutex::new(labels),
            subjects: Mutex::new(Subjects::nobodys()),
            sequences: Mutex::default(),
            departures: Mutex::default(),
            unrecorded: Unrecorded::default(),
            grants: Mutex::default(),
            withheld: Mutex::default(),
            overheard: Mutex::default(),
            protected: Mutex::default(),
            speaker: Mutex::default(),
            used: AtomicU64::new(0),
            changed: AtomicBool::new(false),
            is_saved: AtomicBool::new(false),
            shared: None,
        }
    }

    /// One that was saved by an earlier process.
    fn saved(saved: Saved<label::Session>) -> Self {
        let Saved { id, labels, subjects } = saved;
        Self { subjects: Mutex::new(subjects), is_saved: AtomicBool::new(true), ..Self::new(id, labels) }
    }

    /// Whoever this is acts in the session: what enters it from now on may be data of his. Said before anything does.
    pub(crate) fn belongs_to(&self, principal: &Principal) {
        if hold(&self.subjects).add(principal) && self.is_saved.load(Ordering::Acquire) {
            self.changed.store(true, Ordering::Release);
        }
    }

    /// Forgets what was seen if it may be data of a subject.
    fn erase(&self, subject: &str) {
        let has_any = self.changed.load(Ordering::Acquire) || self.is_saved.load(Ordering::Acquire);
        // What replicas share of a session is no file of this gateway.
        if self.shared.is_none() && has_any && hold(&self.subjects).may_hold(subject) {
            *self.change() = label::Session::lost();
        }
    }

    /// What was seen.
    pub(crate) fn labels(&self) -> MutexGuard<'_, label::Session> {
        hold(&self.labels)
    }

    /// What was seen, to be added to: it is saved soon.
    pub(crate) fn change(&self) -> MutexGuard<'_, label::Session> {
        self.changed.store(true, Ordering::Release);
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

    /// A result entered the session whose record comes later. Whoever calls this sees to it that
    /// [`Session::records_one`] is called as often, by any thread.
    pub(crate) fn records_later(&self, recording: Recording) {
        self.unrecorded.count.fetch_add(1, Ordering::AcqRel);
        hold(&self.unrecorded.queue).push_back(recording);
    }

    /// Makes the oldest record that is not made.
    pub(crate) fn records_one(&self) {
        let _in_order = hold(&self.unrecorded.order);
        let oldest = hold(&self.unrecorded.queue).pop_front();
        if let Some(recording) = oldest {
            let _less = Less(&self.unrecorded);
            recording();
        }
    }

    /// Whether something is not recorded yet.
    fn is_behind(&self) -> bool {
        self.unrecorded.count.load(Ordering::Acquire) > 0
    }

    /// Waits until the ledger has everything that entered the session. INVARIANT: a call is judged after that, so the
    /// record of what its labels rest on stands before it, and the session can be run again from the log alone.
    pub(crate) async fn recorded(&self) {
        let mut changed = std::pin::pin!(self.unrecorded.done.notified());
        // Enabled before the look, so that no end is missed between look and wait.
        changed.as_mut().enable();
        while self.is_behind() {
            changed.as_mut().await;
            changed.set(self.unrecorded.done.notified());
            changed.as_mut().enable();
        }
    }

    /// What leaves for a server.
    pub(crate) fn departures(&self, server: &str) -> Departures {
        let mut departures = hold(&self.departures);
        if let Some(known) = departures.get(server) {
            return known.clone();
        }
        departures.entry(server.to_owned()).or_default().clone()
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

    /// A server says something beside results: values of it that are new enter the session. `note` makes the entry that
    /// they are known by, and is told whether there is more than is heard. Where the session goes on at other gateways, each hears for itself.
    pub(crate) fn overhears(&self, server: &str, said: Said, note: impl FnOnce(bool) -> u64) {
        let news = hold(&self.overheard).news(server, said, note);
        if let Some((entry, news)) = news {
            self.change().overhears(&overheard::facts(server), entry, &news);
        }
    }

    /// Whether the user's words may come from an agent's process: from the one from which they came first, or from any once
    /// that has ended. One that nobody knows says them only as long as no known one did.
    pub(crate) fn is_spoken_from(&self, process: Option<Process>) -> bool {
        let mut speaker = hold(&self.speaker);
        let is_there =
            |first: &Process| identity::process(first.pid).is_some_and(|process| process.started == first.started);
        match speaker.as_ref().filter(|first| is_there(first)) {
            Some(first) => process.is_some_and(|process| (process.pid, process.started) == (first.pid, first.started)),
            None => {
                *speaker = process;
                true
            }
        }
    }

    /// Calls to this server pass an MCP door of the gateway.
    pub(crate) fn protects(&self, server: &str) {
        hold(&self.protected).insert(server.to_owned());
    }

    /// The servers whose calls pass an MCP door.
    fn protected(&self) -> MutexGuard<'_, BTreeSet<String>> {
        hold(&self.protected)
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

/// All sessions. What they have seen is kept on disk, so that a restart forgets nothing that speaks against
/// a later call.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// Private files, one a key.
    dir: PathBuf,
    /// The gateways at which sessions of the HTTP door go on.
    replicas: Option<Replicas>,
    known: Mutex<HashMap<Key, Arc<Session>>>,
    /// Held for one look, one note, or while it is written; never while `known` is waited for.
    forgotten: Mutex<Forgotten>,
    /// Held while files are written or erased, so that nothing comes back that was copied before.
    saving: Mutex<()>,
    clock: AtomicU64,
}

/// A session on disk.
#[derive(Serialize, Deserialize)]
struct Saved<L> {
    id: String,
    labels: L,
    #[serde(default = "Subjects::anybodys")]
    subjects: Subjects,
}

/// As much of it as says whose it is.
#[derive(Deserialize)]
struct Whose {
    id: String,
    #[serde(default = "Subjects::anybodys")]
    subjects: Subjects,
}

/// What is left of a session's past.
enum Past {
    Saved(Box<Saved<label::Session>>),
    /// There was one, and it cannot be read.
    Lost,
}

impl Sessions {
    /// Sessions that are kept in a folder.
    pub(crate) fn new(dir: PathBuf, replicas: Option<Replicas>) -> Self {
        let forgotten = Mutex::new(Forgotten::open(&dir));
        Self { dir, replicas, known: Mutex::default(), forgotten, saving: Mutex::default(), clock: AtomicU64::new(1) }
    }

    /// The gateways at which sessions of the HTTP door go on.
    pub(crate) fn replicas(&self) -> Option<&Replicas> {
        self.replicas.as_ref()
    }

    /// The session of this name at all replicas, if there are any.
    pub(crate) fn join_anywhere(&self, key: Key, id: impl FnOnce() -> String) -> Arc<Session> {
        let Some(replicas) = &self.replicas else { return self.join(&[key], id) };
        let mut known = hold(&self.known);
        let session = known.get(&key).cloned().unwrap_or_else(|| {
            let (id, shared) = replicas.session(&key);
            Arc::new(Session { shared: Some(shared), ..Session::new(id, label::Session::default()) })
        });
        self.joined(&mut known, &[key], session)
    }

    /// The session of the first key that is known, else a new one; all keys name it from now on.
    pub(crate) fn join(&self, keys: &[Key], id: impl FnOnce() -> String) -> Arc<Session> {
        let mut known = hold(&self.known);
        let session = keys.iter().find_map(|key| known.get(key).cloned());
        let session = session.unwrap_or_else(|| {
            Arc::new(match keys.iter().find_map(|key| self.past(key)) {
                Some(Past::Saved(saved)) => Session::saved(*saved),
                Some(Past::Lost) => Session::new(id(), label::Session::lost()),
                None => Session::new(id(), label::Session::default()),
            })
        });
        self.joined(&mut known, keys, session)
    }

    fn joined(&self, known: &mut HashMap<Key, Arc<Session>>, keys: &[Key], session: Arc<Session>) -> Arc<Session> {
        session.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        for key in keys {
            if !known.contains_key(key) {
                known.insert(key.clone(), session.clone());
            }
        }
        while known.len() > SESSIONS_MAX {
            let oldest = known.iter().min_by_key(|(_, session)| session.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            let gone = known.remove(&oldest);
            // What of it is not on disk nobody will know.
            if gone.is_some_and(|gone| gone.shared.is_none() && gone.changed.load(Ordering::Acquire)) {
                hold(&self.forgotten).add(&digest_of(&oldest));
            }
        }
        session
    }

    /// Makes every record that is not made, whoever was to make it. Blocks.
    pub(crate) fn record_all(&self) {
        let known: Vec<_> = hold(&self.known).values().cloned().collect();
        for session in known {
            while session.is_behind() {
                session.records_one();
            }
        }
    }

    /// Writes what changed. Blocks.
    pub(crate) fn save(&self) {
        let _saving = hold(&self.saving);
        let known: Vec<_> = hold(&self.known).iter().map(|(key, session)| (key.clone(), session.clone())).collect();
        let changed: Vec<_> =
            known.into_iter().filter(|(_, session)| session.changed.load(Ordering::Acquire)).collect();
        // First, so that the file of a session that goes on after its past was lost is not the one that goes.
        self.write_forgotten();
        let any = !changed.is_empty();
        for (_, session) in &changed {
            session.changed.store(false, Ordering::Release);
        }
        for (key, session) in changed {
            // A copy, so that no call waits for the disk.
            let labels = session.labels().clone();
            // After it: whose data enters is said before it does.
            let subjects = hold(&session.subjects).clone();
            let saved = Saved { id: session.id.clone(), labels, subjects };
            session.is_saved.store(true, Ordering::Release);
            if let Err(error) = disk::write_json(&self.file(&key), &saved) {
                tracing::error!(%error, "what a session has seen could not be saved");
                session.changed.store(true, Ordering::Release);
            }
        }
        if any {
            self.forget_old();
        }
    }

    /// Erases what sessions have seen that may be data of a subject: they go on as having seen the worst. Of how many
    /// something was kept. What cannot be read may be anybody's. Blocks.
    pub(crate) fn erase(&self, subject: &str) -> Result<usize, DiskError> {
        let _saving = hold(&self.saving);
        let known: Vec<_> = hold(&self.known).values().cloned().collect();
        known.iter().for_each(|session| session.erase(subject));
        let io = |error| DiskError::Io { path: self.dir.clone(), error };
        let files = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            files => files.map_err(io)?,
        };
        // A session has a file for each of its keys.
        let mut erased = BTreeSet::new();
        for file in files {
            let path = file.map_err(io)?.path();
            let is_file = path.extension().is_some_and(|end| end == "json");
            let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_file);
            match stem {
                Some(_) if path.ends_with(forgotten::FILE) => {}
                Some(digest) => {
                    let whose = disk::read_json::<Whose>(&path).ok().flatten();
                    if whose.as_ref().is_none_or(|whose| whose.subjects.may_hold(subject)) {
                        hold(&self.forgotten).add(digest);
                        erased.insert(whose.map_or_else(|| digest.to_owned(), |whose| whose.id));
                    }
                }
                // What a write left that a crash broke off.
                None => std::fs::remove_file(&path).map_err(io)?,
            }
        }
        // The note first, then the files.
        hold(&self.forgotten).save()?;
        Ok(erased.len())
    }

    /// What an earlier process saved of a session; none if nothing was.
    fn past(&self, key: &Key) -> Option<Past> {
        let digest = digest_of(key);
        let lost = || {
            tracing::warn!("what a session had seen is not kept any more; it counts as the worst");
            Past::Lost
        };
        if hold(&self.forgotten).is_going(&digest) {
            return Some(lost());
        }
        match disk::read_json(&self.file(key)) {
            Ok(Some(saved)) => Some(Past::Saved(Box::new(saved))),
            Ok(None) => hold(&self.forgotten).may_hold(&digest).then(lost),
            Err(error) => {
                tracing::warn!(%error, "a saved session cannot be read; what it had seen counts as the worst");
                Some(Past::Lost)
            }
        }
    }

    fn file(&self, key: &Key) -> PathBuf {
        file_of(&self.dir, &digest_of(key))
    }

    /// Keeps the newest files only.
    fn forget_old(&self) {
        let files = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let files = files.filter(|file| file.file_name() != forgotten::FILE);
        let mut dated: Vec<_> =
            files.filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path()))).collect();
        dated.sort();
        let excess = dated.len().saturating_sub(FILES_MAX);
        for path in dated.into_iter().take(excess).map(|(_, path)| path) {
            path.file_stem()
                .and_then(|digest| digest.to_str())
                .into_iter()
                .for_each(|it| hold(&self.forgotten).add(it));
        }
        self.write_forgotten();
    }

    fn write_forgotten(&self) {
        if let Err(error) = hold(&self.forgotten).save() {
            tracing::error!(%error, "which sessions are forgotten could not be saved, so their files stay");
        }
    }
}

/// Erases what sessions have seen that may be data of a subject, of a gateway with this folder that does not run; of how many
/// something was kept. Blocks.
pub fn erase(gateway: &Path, subject: &str) -> Result<usize, DiskError> {
    Sessions::new(gateway.join(FOLDER), None).erase(subject)
}

/// The file of the session with this digest.
fn file_of(dir: &Path, digest: &str) -> PathBuf {
    dir.join(format!("{digest}.json"))
}

/// What names a session on disk.
fn digest_of(key: &Key) -> String {
    let text = serde_json::to_vec(key).unwrap_or_default();
    hex::encode(digest::digest(&digest::SHA256, &text))
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::panic::{self, AssertUnwindSafe};

    use super::*;

    #[test]
    fn whoever_records_records_what_entered_first() {
        let session = Session::new("s".to_owned(), label::Session::default());
        let recorded = Arc::<Mutex<Vec<u32>>>::default();
        for number in 0..400 {
            let recorded = recorded.clone();
            session.records_later(Box::new(move || {
                hold(&recorded).push(number);
                assert_ne!(number, 200, "a recording that fails holds nobody up");
            }));
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                // Each must be called as often as it was said, or the session's next call would wait for ever.
                scope.spawn(|| {
                    (0..100).for_each(|_| drop(panic::catch_unwind(AssertUnwindSafe(|| session.records_one()))))
                });
            }
        });
        assert_eq!(*hold(&recorded), (0..400).collect::<Vec<_>>());
        assert!(!session.is_behind());
    }

    #[test]
    fn a_session_that_finds_no_room_goes_on_as_one_that_has_seen_the_worst() {
        let dir = tempfile::tempdir().unwrap();
        let key = |pid: u32| Key::Process { agent: "a".to_owned(), pid, started: 9 };
        let all = FILES_MAX as u32 + 3;
        let sessions = Sessions::new(dir.path().to_owned(), None);
        for pid in 0..all {
            sessions.join(&[key(pid)], || pid.to_string()).change().user_says("hi", None);
        }
        sessions.save();
        let again = Sessions::new(dir.path().to_owned(), None);
        let is_lost = |sessions: &Sessions, key: Key| {
            let session = sessions.join(&[key], || "new".to_owned());
            let labels = serde_json::to_value(&*session.labels()).unwrap().to_string();
            labels.contains("\"overflowed\":true")
        };
        let lost = (0..all).filter(|pid| is_lost(&again, key(*pid))).count();
        assert_eq!(lost, 3);
        assert!(!is_lost(&again, key(all)), "a new one");
        std::fs::write(dir.path().join(forgotten::FILE), "{").unwrap();
        assert!(is_lost(&Sessions::new(dir.path().to_owned(), None), key(all + 1)), "nobody knows which");
    }

    #[test]
    fn a_session_that_made_room_is_noted_where_nothing_else_changed() {
        let dir = tempfile::tempdir().unwrap();
        let key = |pid: u32| Key::Process { agent: "a".to_owned(), pid, started: 9 };
        let sessions = Sessions::new(dir.path().to_owned(), None);
        sessions.join(&[key(0)], || "first".to_owned()).change().user_says("hi", None);
        for pid in 1..=SESSIONS_MAX as u32 {
            sessions.join(&[key(pid)], || pid.to_string());
        }
        sessions.save();
        let again = Sessions::new(dir.path().to_owned(), None);
        assert!(matches!(again.past(&key(0)), Some(Past::Lost)));
        assert!(again.past(&key(1)).is_none());
    }

    #[test]
    fn what_was_saved_of_a_session_goes_once_it_is_noted_that_its_past_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let key = |pid: u32| Key::Process { agent: "a".to_owned(), pid, started: 9 };
        let sessions = Sessions::new(dir.path().to_owned(), None);
        let first = sessions.join(&[key(0)], || "first".to_owned());
        first.change().user_says("hi", None);
        sessions.save();
        first.change().user_says("and more", None);
        for pid in 1..=SESSIONS_MAX as u32 {
            sessions.join(&[key(pid)], || pid.to_string());
        }
        assert!(matches!(sessions.past(&key(0)), Some(Past::Lost)), "what the file says is not all");
        let restarted = || Sessions::new(dir.path().to_owned(), None).past(&key(0));
        assert!(matches!(restarted(), Some(Past::Saved(_))), "before the note is written the file is there");
        sessions.save();
        assert!(matches!(restarted(), Some(Past::Lost)));
        assert!(!sessions.file(&key(0)).exists());
    }

    #[test]
    fn what_was_erased_of_a_session_does_not_come_back_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(dir.path().to_owned(), None);
        let key = |pid: u32| Key::Process { agent: "codex".to_owned(), pid, started: 9 };
        let named = Key::Named { agent: "codex".to_owned(), name: "x".to_owned() };
        let of = |user: &str| Principal {
            agent: "codex".to_owned(),
            user: user.to_owned(),
            session: String::new(),
            delegation: Vec::new(),
            evidence: [].into(),
        };
        let ada = sessions.join(&[key(1), named], || "s1".to_owned());
        let (bob, new) = (sessions.join(&[key(2)], || "s2".to_owned()), sessions.join(&[key(3)], || "s3".to_owned()));
        for (session, user) in [(&ada, "ada"), (&bob, "bob"), (&new, "ada")] {
            session.belongs_to(&of(user));
        }
        ada.change().user_says("send it to ann@example.com", None);
        bob.change().user_says("send it to ben@example.com", None);
        sessions.save();
        // It is bob's by now, too, and was ada's alone when it was saved.
        ada.belongs_to(&of("bob"));
        ada.change().user_says("and to eve@example.com", None);
        assert_eq!(sessions.erase("codex for ada").unwrap(), 1);
        let text = |session: &Session| serde_json::to_value(&*session.labels()).unwrap().to_string();
        let kept = || {
            let files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
            files.map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>()
        };
        for is_saved in [false, true] {
            assert!(!text(&ada).contains("example.com") && text(&ada).contains("\"overflowed\":true"));
            assert!(!kept().contains("ann@example.com") && !kept().contains("eve@example.com"), "{is_saved}");
            assert!(kept().contains("ben@example.com") && text(&bob).contains("ben@example.com"));
            assert!(!text(&new).contains("\"overflowed\":true"), "it had seen nothing");
            let again = Sessions::new(dir.path().to_owned(), None);
            assert!(text(&again.join(&[key(1)], || "s9".to_owned())).contains("\"overflowed\":true"));
            sessions.save();
        }
        assert_eq!(erase(dir.path(), "codex for ada").unwrap(), 0, "it is the gateway's folder");
    }

    #[test]
    fn a_session_survives_a_restart_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let process = Key::Process { agent: "a".to_owned(), pid: 7, started: 9 };
        let named = Key::Named { agent: "a".to_owned(), name: "x".to_owned() };
        let sessions = Sessions::new(dir.path().to_owned(), None);
        let session = sessions.join(&[process.clone(), named.clone()], || "s1".to_owned());
        session.change().user_says("send it to ann@example.com", None);
        sessions.save();
        for key in [process, named] {
            let again = Sessions::new(dir.path().to_owned(), None).join(&[key], || "s2".to_owned());
            assert_eq!(again.id, "s1");
            let labels = serde_json::to_value(&*again.labels()).unwrap();
            assert!(labels.to_string().contains("ann@example.com"), "{labels}");
        }
        let mode = |file: std::fs::DirEntry| file.metadata().unwrap().permissions().mode() & 0o777;
        assert!(std::fs::read_dir(dir.path()).unwrap().all(|file| mode(file.unwrap()) == 0o600));
        let kept: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
        kept.iter().for_each(|file| std::fs::write(file, "{").unwrap());
        let lost = Key::Process { agent: "a".to_owned(), pid: 7, started: 9 };
        let lost = Sessions::new(dir.path().to_owned(), None).join(&[lost], || "s4".to_owned());
        let labels = serde_json::to_value(&*lost.labels()).unwrap().to_string();
        assert!(labels.contains("\"overflowed\":true") && labels.contains("\"anyone\""), "{labels}");
        let other = Key::Process { agent: "a".to_owned(), pid: 7, started: 10 };
        assert_eq!(sessions.join(&[other], || "s3".to_owned()).id, "s3", "a process id that is used again");
    }
}

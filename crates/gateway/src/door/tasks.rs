//! Tasks: calls whose result comes later, and is asked for.
//!
//! The act of such a call stays open until its result has come: that is its outcome, labelled as what its tool returns.
//! A task belongs to the session whose call became it; to any other it does not exist, and nothing about it reaches the
//! server. What is told to a task (`tasks/update`) is judged as the call itself, again.
//!
//! A gateway that starts again, and another replica, know the task too ([`Kept`]), but not the act: there its result is
//! heard as one whose call is not open any more. This module never sends anything.

mod kept;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use ledger::record::Status;
use policy::{Action, ToolFacts, ToolId, Verb};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wish;
use crate::answer;
use crate::authority::{Authority, Errand, Returned};
use crate::call::{self, Created, Request, Response, Standing, Subject};
use crate::pipeline::{Act, Clock, Ending};
use crate::session::{Caller, Unshared};
pub(crate) use kept::Kept;
use kept::Row;

/// The most tasks that are known at a time. A call that would be one more ends with what its server said of the task.
const TASKS_MAX: usize = 1_024;
/// The most of them that are of one session, so that one that begins tasks without end takes no other its own.
const TASKS_OF_SESSION_MAX: usize = 256;
/// The longest that a task is known, whatever its server says.
const KNOWN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The tasks of all sessions.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// Held only for map work.
    known: Mutex<HashMap<Key, Task>>,
    clock: Clock,
    /// Where they are written down; nowhere in a simulation.
    kept: Option<Kept>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    session: String,
    server: String,
    task: String,
}

#[derive(Debug)]
struct Task {
    until: Timestamp,
    origin: Origin,
    /// Until its result has come; with the tool of its call.
    act: Option<(Act, Arc<ToolFacts>)>,
    /// How its act ends if nobody asks for the result.
    unasked: Status,
}

/// The call that may become a task, or became one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Origin {
    tool: ToolId,
    arguments: Value,
}

impl Origin {
    /// Of a call whose client takes a task for an answer.
    pub(crate) fn of(request: &Request, action: &Action) -> Option<Box<Self>> {
        let origin = || Box::new(Self { tool: action.tool.clone(), arguments: action.arguments.clone() });
        (action.verb == Verb::CallTool && call::may_become_task(request)).then(origin)
    }

    /// Of a task that is not known any more.
    fn unknown(server: &str) -> Self {
        Self { tool: ToolId { server: server.to_owned(), name: "tasks/result".to_owned() }, arguments: json!({}) }
    }

    fn errand(self) -> Errand<()> {
        Errand {
            call: (),
            verb: Verb::CallTool,
            tool: self.tool,
            arguments: self.arguments,
            facts: BTreeMap::new(),
            carried: None,
        }
    }
}

/// An act, with what is needed if its answer is a task.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) act: Act,
    pub(crate) tool: Arc<ToolFacts>,
    pub(crate) origin: Option<Box<Origin>>,
}

impl Tasks {
    /// None yet but those that were written down.
    pub(crate) fn new(kept: Option<Kept>, clock: Clock) -> Self {
        Self { known: Mutex::default(), clock, kept }
    }

    /// How many acts wait for the result of a task.
    pub(crate) fn len(&self) -> usize {
        self.hold().values().filter(|task| task.act.is_some()).count()
    }

    /// Gives up on tasks that their servers keep no longer.
    pub(crate) fn expire(&self) {
        let now = self.clock.now();
        let ended = self.remove(|task| task.until <= now);
        if let Some(kept) = &self.kept {
            ended.iter().for_each(|(key, _)| kept.remove(key));
        }
        Self::close(ended);
    }

    /// Removes what was written down since longer than any task is known. Blocks.
    pub(crate) fn sweep(&self) {
        self.kept.iter().for_each(Kept::sweep);
    }

    /// The gateway ends: nobody will hear here what these came to.
    pub(crate) fn forget(&self) {
        Self::close(self.remove(|_| true));
    }

    /// What is told to the task is judged as this call; `None` if the session has no such task.
    pub(crate) fn subject(&self, caller: &Caller, server: &str, task: &str) -> Option<Subject> {
        let origin = self.origin(&key(caller, server, task))?;
        Some(Subject::Tool { name: origin.tool.name, arguments: origin.arguments })
    }

    /// Whether this session has the task.
    pub(crate) fn has(&self, caller: &Caller, server: &str, task: &str) -> bool {
        self.origin(&key(caller, server, task)).is_some()
    }

    /// A call became a task; its act comes back if there is no room, or if its session has that task already.
    fn begin(&self, key: Key, created: &Created, origin: Origin, (act, tool): (Act, Arc<ToolFacts>)) -> Option<Act> {
        let mut known = self.hold();
        let own = known.keys().filter(|other| other.session == key.session).count();
        if known.len() >= TASKS_MAX || own >= TASKS_OF_SESSION_MAX || known.contains_key(&key) {
            return Some(act);
        }
        let until = after(self.clock.now(), keeps(created));
        known.insert(key, Task { until, origin, act: Some((act, tool)), unasked: Status::Unknown });
        None
    }

    /// Writes a task down, before its client hears of it.
    async fn keep(&self, key: Key, row: Row) {
        let Some(kept) = self.kept.clone() else { return };
        let written = tokio::task::spawn_blocking(move || kept.write(&key, &row)).await;
        if let Err(error) = written.map_err(std::io::Error::other).and_then(|written| written) {
            tracing::warn!(%error, "a task is known to this gateway only, and until it ends");
        }
    }

    /// The call that became a task; taken up again if it was written down.
    fn origin(&self, key: &Key) -> Option<Origin> {
        if let Some(task) = self.hold().get(key) {
            return Some(task.origin.clone());
        }
        let now = self.clock.now();
        let row = self.kept.as_ref()?.read(key, now)?;
        let (until, origin) = (after(now, row.lasts(now)), row.origin);
        let mut known = self.hold();
        if known.len() < TASKS_MAX {
            let task = Task { until, origin: origin.clone(), act: None, unasked: Status::Unknown };
            known.entry(key.clone()).or_insert(task);
        }
        Some(origin)
    }

    fn take(&self, key: &Key) -> Option<(Act, Arc<ToolFacts>)> {
        self.hold().get_mut(key)?.act.take()
    }

    fn stands(&self, key: &Key, standing: Standing) {
        if let Some(task) = self.hold().get_mut(key) {
            task.unasked = match standing {
                Standing::Open => Status::Unknown,
                Standing::Completed => Status::Ok,
                Standing::Failed => Status::Error,
                Standing::Cancelled => Status::Cancelled,
            };
        }
    }

    fn remove(&self, ends: impl Fn(&Task) -> bool) -> Vec<(Key, Task)> {
        self.hold().extract_if(|_, task| ends(task)).collect()
    }

    fn close(ended: Vec<(Key, Task)>) {
        for (_, Task { act, unasked, .. }) in ended {
            if let Some((act, _)) = act {
                act.end(Ending::without_result(unasked));
            }
        }
    }

    fn hold(&self) -> MutexGuard<'_, HashMap<Key, Task>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a task is known.
fn keeps(created: &Created) -> Duration {
    created.ttl_ms.map_or(KNOWN_MAX, Duration::from_millis).min(KNOWN_MAX)
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn key(caller: &Caller, server: &str, task: &str) -> Key {
    Key { session: caller.session.id.clone(), server: server.to_owned(), task: task.to_owned() }
}

/// A call was answered: that is its outcome, or a task from which the outcome will come.
pub(crate) async fn settle(
    authority: &Authority,
    caller: &Caller,
    Owed { act, tool, origin }: Owed,
    returned: &Returned<'_>,
) -> Result<Option<String>, Unshared> {
    let created = origin.filter(|_| !returned.is_error).zip(Created::read(returned.body));
    let Some((origin, created)) = created else { return authority.conclude(caller, &tool, act, returned).await };
    let key = key(caller, &tool.id.server, &created.id);
    let row = Row::new((*origin).clone(), keeps(&created), authority.journal.now());
    match authority.tasks.begin(key.clone(), &created, *origin, (act, tool.clone())) {
        None => {
            authority.tasks.keep(key.clone(), row).await;
            hears(authority, caller, &key, returned.body).await.map(|()| None)
        }
        Some(act) => authority.conclude(caller, &tool, act, returned).await,
    }
}

/// A request about a task was answered: what was said enters the session, and its result ends the call.
pub(crate) async fn answered(
    authority: &Authority,
    caller: &Caller,
    (server, task, method): (&str, &str, &str),
    returned: &Returned<'_>,
) -> Result<Option<String>, Unshared> {
    let key = key(caller, server, task);
    if method == "tasks/result" {
        return match authority.tasks.take(&key) {
            Some((act, tool)) => authority.conclude(caller, &tool, act, returned).await,
            None => strays(authority, caller, &key, returned.body).await.map(|()| None),
        };
    }
    if returned.is_error {
        strays(authority, caller, &key, returned.body).await?;
    } else {
        said(authority, caller, &key, returned.body).await?;
    }
    Ok(None)
}

/// A server tells how a task stands, unasked. Whether the client is to hear it: only of a task of its own.
pub(crate) async fn told(authority: &Authority, caller: &Caller, server: &str, params: &str) -> Result<bool, Unshared> {
    let [task] = call::fields(params, &["taskId"]).unwrap_or_default();
    let task = task.and_then(|task| serde_json::from_str::<String>(task.get()).ok());
    let Some(task) = task.filter(|task| authority.tasks.has(caller, server, task)) else {
        tracing::warn!(server, "dropped a word about a task that the session does not have");
        return Ok(false);
    };
    said(authority, caller, &key(caller, server, &task), params).await?;
    Ok(true)
}

/// A `tasks/list` answer with the session's own tasks only.
pub(crate) async fn listed(authority: &Authority, caller: &Caller, server: &str, response: &Response) -> Bytes {
    let mut worded = Vec::new();
    let list = call::tasks_list(response, |task, said| {
        let own = authority.tasks.has(caller, server, task);
        if own && !call::is_bare(said, task) {
            worded.push((key(caller, server, task), said.to_owned()));
        }
        own
    });
    for (key, said) in worded {
        if let Err(error) = strays(authority, caller, &key, &said).await {
            return answer::withheld(Some(&response.id), &error);
        }
    }
    list.unwrap_or_else(|| {
        answer::error(Some(&response.id), answer::UPSTREAM, "the server's list of tasks cannot be read")
    })
}

/// Judges what a client wants to hear of, all of it or none: addresses leave with the request. `Err`: the answer.
pub(crate) async fn admit_listening(
    authority: &Authority,
    caller: &Caller,
    server: &str,
    (request, uris, tasks): (&Request, &[String], &[String]),
) -> Result<(), Bytes> {
    if !tasks.iter().all(|task| authority.tasks.has(caller, server, task)) {
        return Err(answer::no_such_task(request));
    }
    let mut admitted = Vec::new();
    for uri in uris {
        let subject = Subject::Resource { uri: uri.clone() };
        let errand = super::errand(server, (), &subject, BTreeMap::new());
        match authority.admit(caller, errand, wish::Silent).await {
            Ok(one) => admitted.push(one),
            Err(refusal) => return Err(answer::refusal(request, &subject, server, &refusal)),
        }
    }
    for one in admitted {
        let ((), act) = one.permit.spend();
        act.end(Ending::without_result(Status::Ok));
    }
    Ok(())
}

/// How a task stands, and perhaps its result.
async fn said(authority: &Authority, caller: &Caller, key: &Key, said: &str) -> Result<(), Unshared> {
    hears(authority, caller, key, said).await?;
    let Some((standing, result)) = call::told_task(said) else { return Ok(()) };
    authority.tasks.stands(key, standing);
    let Some(result) = result.filter(|_| standing != Standing::Open) else { return Ok(()) };
    let Some((act, tool)) = authority.tasks.take(key) else { return Ok(()) };
    let returned = Returned { body: result, is_error: standing == Standing::Failed };
    // Labels for another gateway stand in an answer of its own, which this is not.
    authority.conclude(caller, &tool, act, &returned).await.map(drop)
}

/// What is said of a task beside its form enters the session.
async fn hears(authority: &Authority, caller: &Caller, key: &Key, said: &str) -> Result<(), Unshared> {
    if call::is_bare(said, &key.task) { Ok(()) } else { strays(authority, caller, key, said).await }
}

async fn strays(authority: &Authority, caller: &Caller, key: &Key, said: &str) -> Result<(), Unshared> {
    // A server that says when a task is forgotten, and answers after that, is heard like one that nobody knows.
    let origin = authority.tasks.origin(key).unwrap_or_else(|| Origin::unknown(&key.server));
    // What cannot be read is a text for whoever reads it all the same.
    let value = serde_json::from_str(said).unwrap_or_else(|_| json!(said));
    authority.strays(caller, &origin.errand(), (&value, "it is of a task")).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::seal::Sealer;

    #[test]
    fn a_task_is_known_as_long_as_the_gateways_clock_says() {
        let dir = tempfile::tempdir().unwrap();
        let sealer = Arc::new(Sealer::open(&dir.path().join("key")).unwrap());
        let kept = Kept::open(dir.path().join("tasks"), sealer).unwrap();
        let [session, server, task] = ["s", "files", "t"].map(str::to_owned);
        let (key, origin) = (Key { session, server, task }, Origin::unknown("files"));
        kept.write(&key, &Row::new(origin, Duration::from_secs(60), Timestamp::UNIX_EPOCH)).unwrap();
        let now = Arc::new(AtomicI64::new(0));
        let tasks = Tasks::new(Some(kept), Clock::Simulated(now.clone()));
        assert!(tasks.origin(&key).is_some());
        now.store(59_000, Ordering::Relaxed);
        tasks.expire();
        assert!(tasks.hold().contains_key(&key) && tasks.origin(&key).is_some());
        now.store(60_000, Ordering::Relaxed);
        tasks.expire();
        assert!(tasks.hold().is_empty() && tasks.origin(&key).is_none());
    }
}

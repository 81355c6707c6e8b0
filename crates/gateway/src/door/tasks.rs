//! Tasks: calls whose result comes later, and is asked for.
//!
//! The act of such a call stays open until its result has come: that is its outcome, labelled as what its tool returns.
//! A task belongs to the session whose call became it; to any other it does not exist, and nothing about it reaches the
//! server. What is told to a task (`tasks/update`) is judged as the call itself, again.
//!
//! Known here only: after a restart, and at another replica, a task is unknown. This module never sends anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ledger::record::Status;
use policy::{Action, ToolFacts, ToolId, Verb};
use serde_json::{Value, json};

use super::wish;
use crate::answer;
use crate::authority::{Authority, Errand, Returned};
use crate::call::{self, Created, Request, Response, Standing, Subject};
use crate::pipeline::{Act, Ending};
use crate::session::{Caller, Unshared};

/// The most tasks that are known at a time. A call that would be one more ends with what its server said of the task.
const TASKS_MAX: usize = 1_024;
/// The longest that a task is known, whatever its server says.
const KNOWN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The tasks of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// Held only for map work.
    known: Mutex<HashMap<Key, Task>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    session: String,
    server: String,
    task: String,
}

#[derive(Debug)]
struct Task {
    until: Instant,
    origin: Origin,
    tool: Arc<ToolFacts>,
    /// Until its result has come.
    act: Option<Act>,
    /// How its act ends if nobody asks for the result.
    unasked: Status,
}

/// The call that may become a task, or became one.
#[derive(Clone, Debug)]
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
    /// How many acts wait for the result of a task.
    pub(crate) fn len(&self) -> usize {
        self.hold().values().filter(|task| task.act.is_some()).count()
    }

    /// Gives up on tasks that their servers keep no longer.
    pub(crate) fn expire(&self) {
        self.end(|task| task.until <= Instant::now());
    }

    /// The gateway ends: nobody will hear what these came to.
    pub(crate) fn forget(&self) {
        self.end(|_| true);
    }

    /// What is told to the task is judged as this call; `None` if the session has no such task.
    pub(crate) fn subject(&self, caller: &Caller, server: &str, task: &str) -> Option<Subject> {
        let known = self.hold();
        let origin = &known.get(&key(caller, server, task))?.origin;
        Some(Subject::Tool { name: origin.tool.name.clone(), arguments: origin.arguments.clone() })
    }

    /// Whether this session has the task.
    pub(crate) fn has(&self, caller: &Caller, server: &str, task: &str) -> bool {
        self.hold().contains_key(&key(caller, server, task))
    }

    /// A call became a task; its act comes back if there is no room, or if its session has that task already.
    fn begin(&self, key: Key, created: &Created, origin: Origin, (act, tool): (Act, Arc<ToolFacts>)) -> Option<Act> {
        let mut known = self.hold();
        if known.len() >= TASKS_MAX || known.contains_key(&key) {
            return Some(act);
        }
        let keeps = created.ttl_ms.map_or(KNOWN_MAX, Duration::from_millis).min(KNOWN_MAX);
        let until = Instant::now() + keeps;
        known.insert(key, Task { until, origin, tool, act: Some(act), unasked: Status::Unknown });
        None
    }

    fn origin(&self, key: &Key) -> Option<Origin> {
        self.hold().get(key).map(|task| task.origin.clone())
    }

    fn take(&self, key: &Key) -> Option<(Act, Arc<ToolFacts>)> {
        let mut known = self.hold();
        let task = known.get_mut(key)?;
        Some((task.act.take()?, task.tool.clone()))
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

    fn end(&self, ends: impl Fn(&Task) -> bool) {
        let mut known = self.hold();
        let keys: Vec<Key> = known.iter().filter(|(_, task)| ends(task)).map(|(key, _)| key.clone()).collect();
        let ended: Vec<Task> = keys.iter().filter_map(|key| known.remove(key)).collect();
        drop(known);
        for Task { act, unasked, .. } in ended {
            if let Some(act) = act {
                act.end(Ending::without_result(unasked));
            }
        }
    }

    fn hold(&self) -> MutexGuard<'_, HashMap<Key, Task>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    match authority.tasks.begin(key.clone(), &created, *origin, (act, tool.clone())) {
        None => hears(authority, caller, &key, returned.body).await.map(|()| None),
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
    authority.strays(caller, &origin.errand(), &value).await
}

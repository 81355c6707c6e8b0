//! One MCP conversation over two streams of lines: a client on one side, a server on the other.
//!
//! Requests are judged side by side; one that waits for a human holds up no other. What policy has no say
//! in keeps its order. A response that nobody asked for is dropped and said in the log, never passed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ledger::record::Status;
use policy::Verb;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::answer;
use crate::authority::{Admitted, Authority, Patience, Returned};
use crate::call::{self, Call, Id, Message, Notification, Plumbing, Request, Response, Subject, Wish};
use crate::catalogue::Known;
use crate::door::tasks::{self, Origin, Owed};
use crate::door::{self, shown, wish};
use crate::lines::{Line, Lines};
use crate::pipeline::Ending;
use crate::session::{Caller, Unshared};
use crate::upstream::link::{Gone, Link, pump};

/// The most requests of a server that may wait for the client.
const REVERSE_MAX: usize = 256;

/// One conversation.
#[derive(Debug)]
pub(crate) struct Relay {
    authority: Arc<Authority>,
    caller: Caller,
    server: String,
    /// Facts that hold for the whole conversation.
    facts: BTreeMap<String, Value>,
    link: Link,
    client: mpsc::Sender<Bytes>,
    /// The client's requests that are not answered yet. Held only for map work.
    open: Mutex<HashMap<Id, Slot>>,
    /// The server's requests that the client has not answered yet. Held only for map work.
    reverse: Mutex<HashMap<Id, Asked>>,
    /// Held while the gateway lists the server's tools by itself, so that it does so once.
    listed: tokio::sync::Mutex<bool>,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Slot {
    cancel: Arc<Notify>,
    /// Where the server's answer goes; absent as long as nothing was sent.
    answer: Option<oneshot::Sender<Response>>,
}

/// A server's request that the client has not answered yet.
#[derive(Debug)]
enum Asked {
    /// Policy has no say in it: the answer passes.
    Plumbing,
    /// It is judged, and then the client is told.
    Judged { cancel: Arc<Notify>, answer: Option<oneshot::Sender<Response>> },
}

/// The four ends of a conversation.
#[derive(Debug)]
pub(crate) struct Ends<R, W, S, T> {
    pub(crate) from_client: R,
    pub(crate) to_client: W,
    pub(crate) from_server: S,
    pub(crate) to_server: T,
}

/// Whose conversation it is.
#[derive(Debug)]
pub(crate) struct Parties {
    pub(crate) caller: Caller,
    pub(crate) server: String,
    pub(crate) facts: BTreeMap<String, Value>,
}

/// Runs a conversation until either side closes.
pub(crate) async fn run<R, W, S, T>(authority: Arc<Authority>, parties: Parties, ends: Ends<R, W, S, T>)
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
    S: AsyncRead + Unpin + Send,
    T: AsyncWrite + Unpin + Send + 'static,
{
    let (link, to_server) = Link::new();
    let (client, to_client) = mpsc::channel(crate::upstream::link::QUEUE);
    let grace = authority.limits.grace;
    let relay = Arc::new(Relay {
        authority,
        caller: parties.caller,
        server: parties.server,
        facts: parties.facts,
        link,
        client,
        open: Mutex::default(),
        reverse: Mutex::default(),
        listed: tokio::sync::Mutex::default(),
    });
    let server_writer = tokio::spawn(pump(to_server, ends.to_server));
    let mut client_writer = tokio::spawn(pump(to_client, ends.to_client));
    let mut calls = JoinSet::new();
    {
        let from_server = relay.read_server(Lines::new(ends.from_server));
        tokio::pin!(from_server);
        tokio::select! {
            () = relay.read_client(Lines::new(ends.from_client), &mut calls) => {
                // The client will say no more, but may still read what it asked for.
                let finish = async { while calls.join_next().await.is_some() {} };
                tokio::select! {
                    _ = tokio::time::timeout(grace, finish) => {}
                    () = &mut from_server => {}
                    _ = &mut client_writer => {}
                }
            }
            () = &mut from_server => {}
        }
    }
    // The server is gone or the client is: what waits for an answer gets none. Each open act records its end.
    relay.hold_open().clear();
    drop(tokio::time::timeout(Duration::from_millis(200), async { while calls.join_next().await.is_some() {} }).await);
    calls.shutdown().await;
    drop(relay);
    server_writer.abort();
    if !client_writer.is_finished() {
        drop(tokio::time::timeout(grace, &mut client_writer).await);
        client_writer.abort();
    }
}

impl Relay {
    async fn read_client<R: AsyncRead + Unpin>(self: &Arc<Self>, mut lines: Lines<R>, calls: &mut JoinSet<()>) {
        while let Some(line) = lines.next().await {
            while calls.try_join_next().is_some() {}
            let passed = match read(line) {
                Ok(Message::Request(request)) => self.request(request, calls).await,
                Ok(Message::Notification(notification)) => self.notification(notification).await,
                Ok(Message::Response(response)) => self.client_answers(response).await,
                Ok(Message::Fault(_)) => {
                    tracing::warn!("dropped an error of the client that names no request");
                    Ok(())
                }
                Err(fault) => self.tell(answer::malformed(None, &fault)).await,
            };
            if passed.is_err() {
                return;
            }
        }
    }

    async fn read_server<R: AsyncRead + Unpin>(self: &Arc<Self>, mut lines: Lines<R>) {
        let mut wishes = JoinSet::new();
        while let Some(line) = lines.next().await {
            while wishes.try_join_next().is_some() {}
            let passed = match read(line) {
                Ok(Message::Response(response)) => self.server_answers(response).await,
                Ok(Message::Notification(notification)) => self.server_tells(notification).await,
                Ok(Message::Request(request)) => self.server_asks(request, &mut wishes).await,
                // The server could not read a message; which one, only the client can guess.
                Ok(Message::Fault(fault)) => {
                    self.authority.overhears(&self.caller, &self.server, fault.body());
                    self.tell(fault.raw().clone()).await
                }
                Err(fault) => {
                    tracing::warn!(server = self.server, %fault, "dropped a message of the server");
                    Ok(())
                }
            };
            if passed.is_err() {
                return;
            }
        }
    }

    async fn tell(&self, line: Bytes) -> Result<(), Gone> {
        self.client.send(line).await.map_err(|_| Gone)
    }

    async fn request(self: &Arc<Self>, request: Request, calls: &mut JoinSet<()>) -> Result<(), Gone> {
        let id = request.id.clone();
        if id.is_own() {
            return self.tell(answer::error(Some(&id), -32_600, "the id is reserved for the gateway")).await;
        }
        let cancel = Arc::new(Notify::new());
        if let Err((code, fault)) = self.reserve(&id, &cancel) {
            return self.tell(answer::error(Some(&id), code, fault)).await;
        }
        let call = match Call::sort(request.clone()) {
            Ok(Some(call)) => call,
            Ok(None) => return self.refuse(&id, answer::unknown_method(&request)).await,
            Err(fault) => return self.refuse(&id, answer::malformed(Some(&id), &fault)).await,
        };
        if let Call::Plumbing(request) = call {
            // In order, and so not in a task: `initialized` must not overtake `initialize`.
            return self.forward(request, calls).await;
        }
        let relay = self.clone();
        calls.spawn(async move {
            let work = async {
                match call {
                    Call::Judged { request, subject } => relay.judged(request, subject).await,
                    Call::ListTools(request) => relay.list_tools(request).await,
                    Call::Task { request, task } => relay.of_task(request, &task).await,
                    Call::ListTasks(request) => relay.list_tasks(request).await,
                    Call::Listen { request, uris, tasks } => relay.listens(request, (&uris, &tasks)).await,
                    Call::Plumbing(_) => None,
                }
            };
            let line = tokio::select! {
                biased;
                () = cancel.notified() => None,
                line = work => line,
            };
            relay.hold_open().remove(&id);
            if let Some(line) = line {
                // That the client reads no more ends the conversation elsewhere.
                let _ = relay.tell(line).await;
            }
        });
        Ok(())
    }

    /// Takes up a request's id until it is answered.
    fn reserve(&self, id: &Id, cancel: &Arc<Notify>) -> Result<(), (i64, &'static str)> {
        let mut open = self.hold_open();
        if open.contains_key(id) {
            return Err((-32_600, "the id is in use by a request that is not answered yet"));
        }
        if open.len() >= self.authority.limits.calls_max {
            return Err((answer::BUSY, "too many requests are open at a time"));
        }
        open.insert(id.clone(), Slot { cancel: cancel.clone(), answer: None });
        Ok(())
    }

    async fn refuse(&self, id: &Id, line: Bytes) -> Result<(), Gone> {
        self.hold_open().remove(id);
        self.tell(line).await
    }

    /// Passes a request, and later its answer.
    async fn forward(self: &Arc<Self>, request: Request, calls: &mut JoinSet<()>) -> Result<(), Gone> {
        let Some(answer) = self.expect(&request.id) else { return Ok(()) };
        self.link.pass(&Plumbing::aside(request.raw().clone())).await?;
        let relay = self.clone();
        calls.spawn(async move {
            let line = match answer.await {
                Ok(response) => {
                    relay.authority.overhears(&relay.caller, &relay.server, response.body());
                    response.raw().clone()
                }
                Err(_) => answer::error(Some(&request.id), answer::UPSTREAM, "the server ended before it answered"),
            };
            relay.hold_open().remove(&request.id);
            let _ = relay.tell(line).await;
        });
        Ok(())
    }

    /// From now on an answer of the server to this id is expected. `None` if the request was cancelled.
    fn expect(&self, id: &Id) -> Option<oneshot::Receiver<Response>> {
        let (tell, answer) = oneshot::channel();
        self.hold_open().get_mut(id)?.answer = Some(tell);
        Some(answer)
    }

    async fn judged(&self, request: Request, subject: Subject) -> Option<Bytes> {
        let (id, parties) = (request.id.clone(), (&self.caller, self.server.as_str()));
        let received = door::received(&self.authority, parties, (request, &subject), self.facts.clone());
        let (request, errand) = match received {
            Ok(received) => received,
            Err(fault) => return Some(answer::malformed(Some(&id), &fault)),
        };
        if errand.verb == Verb::CallTool && matches!(self.authority.catalogue.get(&errand.tool), Known::Unknown) {
            self.list_by_itself(call::envelope(&request)).await;
        }
        let patience = Progress { token: call::progress_token(&request), client: self.client.clone() };
        let Admitted { permit, tool } = match self.authority.admit(&self.caller, errand, patience).await {
            Ok(admitted) => admitted,
            Err(refusal) => return Some(answer::refusal(&request, &subject, &self.server, &refusal)),
        };
        let origin = Origin::of(&request, permit.action());
        let answer = self.expect(&request.id)?;
        let permit = self.authority.peers.send(permit, self.authority.journal.now());
        let (act, sent) = self.link.send(permit).await;
        let ended = match sent {
            Ok(()) => tokio::time::timeout(self.authority.limits.call_wait, answer).await.map(Result::ok),
            Err(Gone) => Ok(None),
        };
        match ended {
            Ok(Some(response)) => {
                let returned = Returned { body: response.body(), is_error: response.is_error };
                let owed = Owed { act, tool, origin };
                let settled = tasks::settle(&self.authority, &self.caller, owed, &returned).await;
                Some(self.unless_it_wishes(&response, settled).await)
            }
            Ok(None) => {
                act.end(Ending::without_result(Status::Unknown));
                Some(answer::error(Some(&request.id), answer::UPSTREAM, "the server ended before it answered"))
            }
            Err(_) => {
                act.end(Ending::without_result(Status::TimedOut));
                self.tell_cancelled(&request.id).await;
                Some(answer::error(Some(&request.id), answer::UPSTREAM, "the server did not answer in time"))
            }
        }
    }

    /// A result that is settled, as it goes on, unless it asks the client for what it may not have.
    async fn unless_it_wishes(&self, response: &Response, settled: Result<Option<String>, Unshared>) -> Bytes {
        let passed = match settled {
            Ok(passed) => passed,
            Err(error) => return answer::withheld(Some(&response.id), &error),
        };
        match wish::admit_all(&self.authority, &self.caller, &self.server, response.body()).await {
            Ok(_) => passed.map_or_else(|| response.raw().clone(), |body| response.with_body(&body)),
            Err(refused) => answer::error(Some(&response.id), answer::DENIED, &refused),
        }
    }

    /// About a call that became a task: nothing about another session's reaches the server.
    async fn of_task(&self, request: Request, task: &str) -> Option<Bytes> {
        let Some(subject) = self.authority.tasks.subject(&self.caller, &self.server, task) else {
            return Some(answer::no_such_task(&request));
        };
        if request.method == "tasks/update" {
            return self.judged(request, subject).await;
        }
        let response = match self.asks(&request).await? {
            Ok(response) => response,
            Err(ended) => return Some(ended),
        };
        let returned = Returned { body: response.body(), is_error: response.is_error };
        let of = (self.server.as_str(), task, request.method.as_str());
        let settled = tasks::answered(&self.authority, &self.caller, of, &returned).await;
        Some(self.unless_it_wishes(&response, settled).await)
    }

    async fn list_tasks(&self, request: Request) -> Option<Bytes> {
        match self.asks(&request).await? {
            Ok(response) if response.is_error => Some(response.raw().clone()),
            Ok(response) => Some(tasks::listed(&self.authority, &self.caller, &self.server, &response).await),
            Err(ended) => Some(ended),
        }
    }

    async fn listens(&self, request: Request, (uris, tasks): (&[String], &[String])) -> Option<Bytes> {
        let of = (&request, uris, tasks);
        if let Err(refused) = tasks::admit_listening(&self.authority, &self.caller, &self.server, of).await {
            return Some(refused);
        }
        Some(self.asks(&request).await?.map_or_else(|ended| ended, |response| response.raw().clone()))
    }

    /// Passes a request, and waits for its answer; `Err` if there is none.
    async fn asks(&self, request: &Request) -> Option<Result<Response, Bytes>> {
        let answer = self.expect(&request.id)?;
        self.link.pass(&Plumbing::aside(request.raw().clone())).await.ok()?;
        let ended = || answer::error(Some(&request.id), answer::UPSTREAM, "the server ended before it answered");
        Some(answer.await.map_err(|_| ended()))
    }

    /// Tells the server that nobody waits any more.
    async fn tell_cancelled(&self, id: &Id) {
        let line = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"timed out"}}}}"#
        );
        let _ = self.link.pass(&Plumbing::aside(Bytes::from(line))).await;
    }

    async fn list_tools(&self, request: Request) -> Option<Bytes> {
        let response = match self.asks(&request).await? {
            Ok(response) if response.is_error => return Some(response.raw().clone()),
            Ok(response) => response,
            Err(ended) => return Some(ended),
        };
        if let Err(error) = self.authority.learn(&self.server, response.body()).await {
            tracing::warn!(server = self.server, error, "the server's tools were not taken in");
        }
        Some(shown::tools(&self.authority, &self.caller, &self.server, &response).await)
    }

    /// Lists the server's tools, because a client calls one that nobody has listed.
    async fn list_by_itself(&self, envelope: Option<Value>) {
        let mut listed = self.listed.lock().await;
        if std::mem::replace(&mut *listed, true) {
            return;
        }
        let mut params = json!({});
        if let Some(envelope) = envelope {
            call::put(&mut params, "_meta", envelope);
        }
        for _ in 0..door::PAGES_MAX {
            let Some(result) = self.own_request("tools/list", &params).await else { return };
            if let Err(error) = self.authority.learn(&self.server, result.body()).await {
                return tracing::warn!(server = self.server, error, "the server's tools were not taken in");
            }
            let cursor = call::fields(result.body(), &["nextCursor"]).ok().and_then(|[cursor]| cursor);
            let Some(cursor) = cursor.and_then(|cursor| serde_json::from_str::<String>(cursor.get()).ok()) else {
                return;
            };
            call::put(&mut params, "cursor", cursor);
        }
    }

    async fn own_request(&self, method: &str, params: &Value) -> Option<Response> {
        let request = Request::own(self.authority.own_id(), method, params).ok()?;
        let slot = Slot { cancel: Arc::default(), answer: None };
        self.hold_open().insert(request.id.clone(), slot);
        let answer = self.expect(&request.id)?;
        self.link.pass(&Plumbing::aside(request.raw().clone())).await.ok()?;
        let answer = tokio::time::timeout(Duration::from_secs(30), answer).await;
        self.hold_open().remove(&request.id);
        answer.ok()?.ok().filter(|response| !response.is_error)
    }

    async fn notification(&self, notification: Notification) -> Result<(), Gone> {
        if !notification.method.starts_with("notifications/") {
            tracing::warn!(method = notification.method, "dropped a notification of an unknown kind");
            return Ok(());
        }
        let Some(id) = call::cancelled(&notification) else {
            return self.link.pass(&Plumbing::aside(notification.raw().clone())).await;
        };
        let Some(slot) = self.hold_open().remove(&id) else { return Ok(()) };
        slot.cancel.notify_one();
        // Nothing was sent yet, so there is nothing for the server to cancel.
        if slot.answer.is_none() {
            return Ok(());
        }
        self.link.pass(&Plumbing::aside(notification.raw().clone())).await
    }

    async fn client_answers(&self, response: Response) -> Result<(), Gone> {
        let asked = {
            let mut reverse = self.hold_reverse();
            match reverse.get_mut(&response.id) {
                Some(Asked::Judged { answer, .. }) => answer.take().map(Some),
                Some(Asked::Plumbing) => reverse.remove(&response.id).map(|_| None),
                None => None,
            }
        };
        match asked {
            Some(None) => self.link.pass(&Plumbing::aside(response.raw().clone())).await,
            // The receiver is gone when the server cancelled meanwhile.
            Some(Some(tell)) => {
                drop(tell.send(response));
                Ok(())
            }
            None => {
                tracing::warn!(id = %response.id, "dropped an answer of the client to a request that nobody made");
                Ok(())
            }
        }
    }

    async fn server_tells(&self, notification: Notification) -> Result<(), Gone> {
        if let Some(id) = call::cancelled(&notification) {
            match self.hold_reverse().remove(&id) {
                // The client was not told, so there is nothing for it to cancel.
                Some(Asked::Judged { cancel, answer: None }) => {
                    cancel.notify_one();
                    return Ok(());
                }
                Some(Asked::Judged { cancel, .. }) => cancel.notify_one(),
                Some(Asked::Plumbing) | None => {}
            }
        }
        if notification.method.starts_with("notifications/tasks") {
            match tasks::told(&self.authority, &self.caller, &self.server, notification.params()).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    tracing::error!(%error, "a word about a task is withheld");
                    return Ok(());
                }
            }
        } else {
            self.authority.is_told(&self.caller, &self.server, &notification);
        }
        self.tell(notification.raw().clone()).await
    }

    async fn server_answers(&self, response: Response) -> Result<(), Gone> {
        let expected = self.hold_open().get_mut(&response.id).and_then(|slot| slot.answer.take());
        match expected {
            // The receiver is gone when the call was cancelled meanwhile.
            Some(tell) => drop(tell.send(response)),
            None => {
                tracing::warn!(server = self.server, id = %response.id, "dropped an answer to a request that nobody made")
            }
        }
        Ok(())
    }

    async fn server_asks(self: &Arc<Self>, request: Request, wishes: &mut JoinSet<()>) -> Result<(), Gone> {
        let id = request.id.clone();
        let refuse = |line| Plumbing::aside(line);
        let wish = match Wish::sort(&request.method, request.params()) {
            Ok(Some(wish)) => wish,
            Ok(None) => return self.link.pass(&refuse(answer::unknown_method(&request))).await,
            Err(fault) => return self.link.pass(&refuse(answer::malformed(Some(&id), &fault))).await,
        };
        let cancel = Arc::new(Notify::new());
        let asked = match &wish {
            Wish::Plumbing => Asked::Plumbing,
            Wish::Judged { .. } => Asked::Judged { cancel: cancel.clone(), answer: None },
        };
        if let Err(fault) = self.owe(&id, asked) {
            return self.link.pass(&refuse(answer::error(Some(&id), answer::BUSY, fault))).await;
        }
        let Wish::Judged { verb, arguments } = wish else { return self.tell(request.raw().clone()).await };
        let relay = self.clone();
        wishes.spawn(async move {
            let line = tokio::select! {
                biased;
                () = cancel.notified() => None,
                line = relay.wished(request, verb, arguments) => line,
            };
            relay.hold_reverse().remove(&id);
            if let Some(line) = line {
                let _ = relay.link.pass(&Plumbing::aside(line)).await;
            }
        });
        Ok(())
    }

    /// From now on the server waits for an answer of the client to this id.
    fn owe(&self, id: &Id, asked: Asked) -> Result<(), &'static str> {
        let mut reverse = self.hold_reverse();
        if reverse.len() >= REVERSE_MAX {
            return Err("too many requests wait for the client");
        }
        if reverse.contains_key(id) {
            return Err("the id is in use by a request that is not answered yet");
        }
        reverse.insert(id.clone(), asked);
        Ok(())
    }

    /// Judges a server's request, tells the client, and answers what the server hears.
    async fn wished(&self, request: Request, verb: Verb, arguments: Value) -> Option<Bytes> {
        let id = request.id.clone();
        let admitted = wish::admit(&self.authority, &self.caller, &self.server, (request, verb, arguments)).await;
        let permit = match admitted {
            Ok(Admitted { permit, .. }) => permit,
            Err(refused) => return Some(answer::error(Some(&id), answer::DENIED, &refused)),
        };
        let (tell, answer) = oneshot::channel();
        match self.hold_reverse().get_mut(&id) {
            Some(Asked::Judged { answer, .. }) => *answer = Some(tell),
            _ => return None,
        }
        let (request, act) = permit.spend();
        self.tell(request.raw().clone()).await.ok()?;
        match tokio::time::timeout(self.authority.limits.call_wait, answer).await {
            Ok(Ok(response)) => {
                let status = if response.is_error { Status::Error } else { Status::Ok };
                act.end(Ending { size_bytes: response.body().len(), ..Ending::without_result(status) });
                Some(response.raw().clone())
            }
            Ok(Err(_)) => None,
            Err(_) => {
                act.end(Ending::without_result(Status::TimedOut));
                Some(answer::error(Some(&id), answer::UPSTREAM, "the client did not answer in time"))
            }
        }
    }

    fn hold_open(&self) -> MutexGuard<'_, HashMap<Id, Slot>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold_reverse(&self) -> MutexGuard<'_, HashMap<Id, Asked>> {
        self.reverse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(line: Line) -> Result<Message, call::Malformed> {
    match line {
        Line::Whole(line) => Message::read(line),
        Line::TooLong => Err(call::Malformed::TooLarge { size: call::SIZE_MAX_BYTES + 1 }),
    }
}

/// Progress notifications for a client that asked for them.
struct Progress {
    token: Option<String>,
    client: mpsc::Sender<Bytes>,
}

impl Patience for Progress {
    async fn waits(&mut self, seconds: u64, ask: u64) {
        if let Some(token) = &self.token {
            drop(self.client.send(answer::progress(token, seconds, ask)).await);
        }
    }
}

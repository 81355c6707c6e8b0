//! What a server sends back over HTTP, message by message: the end of an act is recorded, a list of tools is
//! filtered, and an answer that nobody waits for does not pass.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use ledger::record::Status;
use policy::Principal;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::HttpDoor;
use crate::answer;
use crate::authority::Returned;
use crate::call::{Fault, Id, Malformed, Message, Notification, Plumbing, Request, Response, Wish};
use crate::door::tasks::{self, Owed};
use crate::door::{shown, wish};
use crate::pipeline::{Act, Ending};
use crate::session::{Caller, Unshared};
use crate::signin::USER_RIGHTS;
use crate::sse;
use crate::upstream::http::Target;

/// The most requests of a server on one stream that are judged at a time; then the stream waits.
const WISHES_MAX: usize = 64;
/// What a server hears whose requests nobody answers.
const TOO_MANY: &str = "too many requests wait for the client";

/// Which answer is expected, and what is to be done with it.
#[derive(Debug)]
pub(crate) struct Expect {
    pub(crate) id: Option<Id>,
    pub(crate) end: End,
}

#[derive(Debug)]
pub(crate) enum End {
    /// It passes.
    Pass,
    /// It is a list of tools.
    List,
    /// It is a list of tasks.
    Tasks,
    /// It is about a task: its id, and the method.
    Task(String, String),
    /// It ends an act, or becomes a task.
    Act(Owed),
}

impl Expect {
    pub(crate) fn nothing() -> Self {
        Self { id: None, end: End::Pass }
    }

    /// There will be no result.
    pub(crate) fn ends(&mut self, status: Status) {
        if let End::Act(Owed { act, .. }) = std::mem::replace(&mut self.end, End::Pass) {
            act.end(Ending::without_result(status));
        }
    }
}

/// One conversation of an agent with a server, as their headers name it; of the protocol's stateful era.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Conversation {
    pub(crate) agent: String,
    /// On whose behalf, by whom handed on, with what rights and by which lease: who differs in these is not judged as the
    /// other.
    pub(crate) whose: String,
    pub(crate) server: String,
    pub(crate) session: Vec<u8>,
}

/// Looks at the messages of a server.
pub(crate) struct Screen {
    pub(crate) door: Arc<HttpDoor>,
    pub(crate) caller: Caller,
    pub(crate) server: String,
    /// Absent where the protocol has no sessions.
    pub(crate) session: Option<HeaderValue>,
}

impl Screen {
    /// What of a message goes on to the client.
    pub(crate) async fn message(&self, read: Result<Message, Malformed>, expect: &mut Expect) -> Option<Bytes> {
        match read {
            Ok(Message::Response(response)) if expect.id.as_ref() == Some(&response.id) => {
                expect.id = None;
                Some(self.answer(&response, std::mem::replace(&mut expect.end, End::Pass)).await)
            }
            Ok(Message::Response(response)) => {
                let Some(mut promised) = self.promised(&response.id) else {
                    tracing::warn!(
                        server = self.server,
                        id = %response.id,
                        "dropped an answer to a request that nobody made"
                    );
                    return None;
                };
                Some(self.answer(&response, std::mem::replace(&mut promised.end, End::Pass)).await)
            }
            Ok(Message::Fault(fault)) => Some(self.fault(&fault, expect).await),
            Ok(Message::Notification(notification)) => self.told(&notification).await,
            // Only on a stream can the client be asked something; there, `events` takes it.
            Ok(Message::Request(request)) => {
                tracing::warn!(server = self.server, method = request.method, "dropped a request of the server");
                None
            }
            Err(fault) => {
                tracing::warn!(server = self.server, %fault, "dropped a message of the server");
                None
            }
        }
    }

    async fn answer(&self, response: &Response, end: End) -> Bytes {
        let authority = &self.door.shared.authority;
        match end {
            End::Act(owed) => {
                let returned = Returned { body: response.body(), is_error: response.is_error };
                let settled = tasks::settle(authority, &self.caller, owed, &returned).await;
                return self.unless_it_wishes(response, settled).await;
            }
            End::Task(task, method) => {
                let returned = Returned { body: response.body(), is_error: response.is_error };
                let of = (self.server.as_str(), task.as_str(), method.as_str());
                let settled = tasks::answered(authority, &self.caller, of, &returned).await;
                return self.unless_it_wishes(response, settled).await;
            }
            End::Tasks if !response.is_error => {
                return tasks::listed(authority, &self.caller, &self.server, response).await;
            }
            End::List if !response.is_error => {
                if let Err(error) = authority.learn(&self.server, response.body()).await {
                    tracing::warn!(server = self.server, error, "the server's tools were not taken in");
                }
                return shown::tools(authority, &self.caller, &self.server, response).await;
            }
            End::List | End::Tasks => {}
            End::Pass => authority.overhears(&self.caller, &self.server, response.body()),
        }
        response.raw().clone()
    }

    /// A result that is settled, as it goes on, unless it asks the client for what it may not have.
    async fn unless_it_wishes(&self, response: &Response, settled: Result<Option<String>, Unshared>) -> Bytes {
        let passed = match settled {
            Ok(passed) => passed,
            Err(error) => return answer::withheld(Some(&response.id), &error),
        };
        let authority = &self.door.shared.authority;
        match wish::admit_all(authority, &self.caller, &self.server, response.body()).await {
            Ok(_) => passed.map_or_else(|| response.raw().clone(), |body| response.with_body(&body)),
            Err(refused) => answer::error(Some(&response.id), answer::DENIED, &refused),
        }
    }

    /// What a server tells by itself; `None` if the client is not to hear it.
    async fn told(&self, notification: &Notification) -> Option<Bytes> {
        if notification.method.starts_with("notifications/tasks") {
            let authority = &self.door.shared.authority;
            match tasks::told(authority, &self.caller, &self.server, notification.params()).await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    tracing::error!(%error, "a word about a task is withheld");
                    return None;
                }
            }
        } else {
            self.door.shared.authority.is_told(&self.caller, &self.server, notification);
        }
        Some(notification.raw().clone())
    }

    /// The server could not read what it got, so nothing was done.
    async fn fault(&self, fault: &Fault, expect: &mut Expect) -> Bytes {
        if let End::Act(Owed { act, tool, .. }) = std::mem::replace(&mut expect.end, End::Pass) {
            let returned = Returned { body: fault.body(), is_error: true };
            if let Err(error) = self.door.shared.authority.conclude(&self.caller, &tool, act, &returned).await {
                return answer::withheld(expect.id.as_ref(), &error);
            }
        } else {
            self.door.shared.authority.overhears(&self.caller, &self.server, fault.body());
        }
        fault.raw().clone()
    }

    fn place(&self) -> Conversation {
        place(&self.caller, &self.server, self.session.as_ref())
    }

    /// Whether something waits for the same agent.
    fn is_same(&self, (other, _): &(Conversation, Id)) -> bool {
        other.agent == self.caller.principal.agent
    }

    /// What waits for an answer that was promised on a stream of this conversation.
    fn promised(&self, id: &Id) -> Option<Expect> {
        self.door.promised.take(&(self.place(), id.clone()))
    }

    /// A server may answer on any stream of a conversation: leaves what is expected of this one where each finds it, and
    /// says for which request.
    fn promise(&self, expect: &mut Expect) -> Option<Id> {
        self.session.as_ref()?;
        let id = expect.id.clone()?;
        let own = std::mem::replace(expect, Expect::nothing());
        match self.door.promised.keep((self.place(), id.clone()), own, None, |other| self.is_same(other)) {
            Ok(()) => Some(id),
            Err(back) => {
                *expect = back;
                None
            }
        }
    }

    /// The stream ended. A client of the stateful protocol may take up a stream with numbered events again; else, if the
    /// answer has not come, the end is unknown, and it is answered with who waits for what comes no more.
    fn ended(&self, promised: Option<Id>, expect: Expect, is_numbered: bool, is_left: bool) -> Option<Id> {
        let mut expect = match promised {
            Some(id) if is_numbered => {
                let wait = self.door.shared.authority.limits.call_wait;
                self.door.promised.waits(&(self.place(), id), wait);
                return None;
            }
            Some(id) => self.promised(&id).unwrap_or_else(Expect::nothing),
            None => expect,
        };
        // An act that is dropped says in the ledger that the client left.
        if is_left {
            return None;
        }
        // What only listens has nothing to wait for.
        let waits = matches!(expect.end, End::Act(_) | End::List | End::Task(..));
        expect.ends(Status::Unknown);
        expect.id.filter(|_| waits)
    }

    /// A request of the server on a stream: judged, and then the client is asked or the server told why not.
    async fn wished(&self, target: &Target, request: Request, event: Bytes, to: mpsc::Sender<Bytes>) {
        let key = (self.place(), request.id.clone());
        let wait = self.door.shared.authority.limits.call_wait;
        let refused = match Wish::sort(&request.method, request.params()) {
            Ok(None) => answer::unknown_method(&request),
            Err(fault) => answer::malformed(Some(&request.id), &fault),
            // Before it is judged: who asks without end would else be judged, and recorded, without end.
            Ok(Some(_)) if !self.door.asked.has_room(|other| self.is_same(other)) => {
                answer::error(Some(&request.id), answer::BUSY, TOO_MANY)
            }
            Ok(Some(wish)) => match self.admitted(wish).await {
                Ok(act) => match self.door.asked.keep(key.clone(), act, Some(wait), |other| self.is_same(other)) {
                    Ok(()) => {
                        if to.send(event).await.is_err() {
                            // The client left: an act that is dropped says so.
                            drop(self.door.asked.take(&key));
                        }
                        return;
                    }
                    Err(_) => answer::error(Some(&request.id), answer::BUSY, TOO_MANY),
                },
                Err(refused) => answer::error(Some(&request.id), answer::DENIED, &refused),
            },
        };
        if let Err(error) = self.door.outbound.pass(&Plumbing::aside(refused), target.clone()).await {
            tracing::warn!(server = self.server, %error, "the server was not told that its request is refused");
        }
    }

    async fn admitted(&self, wish: Wish) -> Result<Option<Act>, String> {
        let Wish::Judged { verb, arguments } = wish else { return Ok(None) };
        let authority = &self.door.shared.authority;
        let admitted = wish::admit(authority, &self.caller, &self.server, ((), verb, arguments)).await?;
        Ok(Some(admitted.permit.spend().1))
    }
}

pub(crate) fn place(caller: &Caller, server: &str, session: Option<&HeaderValue>) -> Conversation {
    let session = session.map(|session| session.as_bytes().to_vec()).unwrap_or_default();
    let Principal { agent, user, delegation, evidence, .. } = &caller.principal;
    let whose = json!([user, delegation, evidence.get(USER_RIGHTS), evidence.get("lease")]).to_string();
    Conversation { agent: agent.clone(), whose, server: server.to_owned(), session }
}

/// Passes a stream of events on, to its end or until the client leaves. With the screen comes how the server was asked, to
/// tell it more in the same conversation.
pub(crate) async fn events(
    stream: Arc<(Screen, Target)>,
    mut body: Incoming,
    to: mpsc::Sender<Bytes>,
    mut expect: Expect,
) {
    let screen = &stream.0;
    let mut events = sse::Events::default();
    let mut is_numbered = false;
    let wishes = Arc::new(Semaphore::new(WISHES_MAX));
    let promised = screen.promise(&mut expect);
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            let Some(bytes) = frame.data_ref() else { continue };
            if events.push(bytes).is_err() {
                tracing::warn!(server = screen.server, "closed a stream whose event is too large");
                return;
            }
            while let Some(event) = events.next() {
                is_numbered |= sse::is_numbered(&event);
                let Some(data) = sse::data(&event) else {
                    let Some(event) = sse::without_data(&event) else { continue };
                    if to.send(event).await.is_err() {
                        return;
                    }
                    continue;
                };
                let read = match Message::read(data) {
                    Ok(Message::Request(request)) => {
                        // Beside the stream, which goes on while somebody thinks about it, unless too many do.
                        let Ok(turn) = wishes.clone().acquire_owned().await else { return };
                        let (stream, to) = (stream.clone(), to.clone());
                        let event = sse::with_data(&event, request.raw());
                        tokio::spawn(async move {
                            stream.0.wished(&stream.1, request, event, to).await;
                            drop(turn);
                        });
                        continue;
                    }
                    read => read,
                };
                // It names no request: the one that was made on this stream.
                if let (Ok(Message::Fault(_)), Some(id)) = (&read, &promised)
                    && let Some(own) = screen.promised(id)
                {
                    expect = own;
                }
                let Some(passed) = screen.message(read, &mut expect).await else { continue };
                if to.send(sse::with_data(&event, &passed)).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = all => {}
        () = to.closed() => {}
    }
    if let Some(id) = screen.ended(promised, expect, is_numbered, to.is_closed()) {
        let line = answer::error(Some(&id), answer::UPSTREAM, "the server's events ended without its answer");
        // The client may have left meanwhile.
        drop(to.send(sse::event(&line)).await);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use policy::Door;

    use super::*;
    use crate::session::{Key, Sessions};

    #[test]
    fn who_differs_in_user_or_rights_has_a_place_of_his_own() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::Named { agent: "app".to_owned(), name: "x".to_owned() };
        let session = Sessions::new(dir.path().to_owned(), None).join(&[key], || "s".to_owned());
        let of = |user: &str, rights: &[&str], via: &[&str], lease: u32| {
            let evidence = [(USER_RIGHTS, json!(rights)), ("token", json!(user)), ("lease", json!(lease))];
            let evidence = evidence.map(|(name, value)| (name.to_owned(), value)).into();
            let delegation = via.iter().map(|actor| (*actor).to_owned()).collect();
            let (agent, user) = ("app".to_owned(), user.to_owned());
            let principal = Principal { agent, user, session: "s".to_owned(), delegation, evidence };
            place(&Caller { door: Door::McpHttp, principal, session: session.clone() }, "files", None)
        };
        let both = ["read", "write"];
        let ann = of("ann", &both, &[], 1);
        assert_eq!(ann, of("ann", &both, &[], 1));
        for other in [
            of("bob", &both, &[], 1),
            of("ann", &["read"], &[], 1),
            of("ann", &both, &["x"], 1),
            of("ann", &both, &[], 2),
        ] {
            assert_ne!(ann, other);
        }
    }
}

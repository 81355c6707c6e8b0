//! What a server sends back over HTTP, message by message: the end of an act is recorded, a list of tools is
//! filtered, and an answer that nobody waits for does not pass.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use ledger::record::Status;
use policy::ToolFacts;
use tokio::sync::mpsc;

use super::HttpDoor;
use crate::authority::Returned;
use crate::call::{Fault, Id, Message, Response};
use crate::door::relay;
use crate::pipeline::{Act, Ending};
use crate::session::Caller;
use crate::sse;

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
    /// It ends an act.
    Act(Act, Arc<ToolFacts>),
}

impl Expect {
    pub(crate) fn nothing() -> Self {
        Self { id: None, end: End::Pass }
    }

    /// There will be no result.
    pub(crate) fn ends(&mut self, status: Status) {
        if let End::Act(act, _) = std::mem::replace(&mut self.end, End::Pass) {
            act.end(Ending::without_result(status));
        }
    }
}

/// One conversation of an agent with a server, as their headers name it; of the protocol's stateful era.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Conversation {
    pub(crate) agent: String,
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
    pub(crate) async fn message(&self, bytes: Bytes, expect: &mut Expect) -> Option<Bytes> {
        match Message::read(bytes.clone()) {
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
            Ok(Message::Fault(fault)) => {
                self.fault(&fault, expect);
                Some(bytes)
            }
            Ok(Message::Request(_) | Message::Notification(_)) => Some(bytes),
            Err(fault) => {
                tracing::warn!(server = self.server, %fault, "dropped a message of the server");
                None
            }
        }
    }

    async fn answer(&self, response: &Response, end: End) -> Bytes {
        let authority = &self.door.shared.authority;
        match end {
            End::Act(act, tool) => {
                let returned = Returned { body: response.body(), is_error: response.is_error };
                authority.conclude(&self.caller, &tool, act, &returned);
            }
            End::List if !response.is_error => {
                if let Err(error) = authority.learn(&self.server, response.body()).await {
                    tracing::warn!(server = self.server, error, "the server's tools were not taken in");
                }
                return relay::filter(authority, &self.caller, &self.server, response);
            }
            End::List | End::Pass => {}
        }
        response.raw().clone()
    }

    /// The server could not read what it got, so nothing was done.
    fn fault(&self, fault: &Fault, expect: &mut Expect) {
        if let End::Act(act, tool) = std::mem::replace(&mut expect.end, End::Pass) {
            let returned = Returned { body: fault.body(), is_error: true };
            self.door.shared.authority.conclude(&self.caller, &tool, act, &returned);
        }
    }

    fn conversation(&self) -> Option<Conversation> {
        let session = self.session.as_ref()?.as_bytes().to_vec();
        Some(Conversation { agent: self.caller.principal.agent.clone(), server: self.server.clone(), session })
    }

    /// What waits for an answer that was promised on a stream that ended without it.
    fn promised(&self, id: &Id) -> Option<Expect> {
        self.door.promised.take(&(self.conversation()?, id.clone()))
    }

    /// The stream ended before the answer. A client of the stateful protocol may take up a stream with numbered
    /// events again; else the end is unknown.
    fn broke_off(&self, mut expect: Expect, is_numbered: bool) {
        let wait = self.door.shared.authority.limits.call_wait;
        if is_numbered && let (Some(conversation), Some(id)) = (self.conversation(), expect.id.clone()) {
            let kept = self.door.promised.keep((conversation, id), expect, wait);
            let Err(back) = kept else { return };
            expect = back;
        }
        expect.ends(Status::Unknown);
    }

    /// Passes a stream of events on, to its end or until the client leaves.
    pub(crate) async fn events(&self, mut body: Incoming, to: &mpsc::Sender<Bytes>, mut expect: Expect) {
        let mut events = sse::Events::default();
        let mut is_numbered = false;
        let all = async {
            while let Some(Ok(frame)) = body.frame().await {
                let Some(bytes) = frame.data_ref() else { continue };
                if events.push(bytes).is_err() {
                    tracing::warn!(server = self.server, "closed a stream whose event is too large");
                    return;
                }
                while let Some(event) = events.next() {
                    is_numbered |= sse::is_numbered(&event);
                    let Some(event) = self.event(event, &mut expect).await else { continue };
                    if to.send(event).await.is_err() {
                        return;
                    }
                }
            }
        };
        tokio::select! {
            () = all => {}
            () = to.closed() => {}
        }
        let left = to.is_closed();
        if left && !(is_numbered && self.session.is_some()) {
            // The client left: the act is dropped, and says so in the ledger.
            return;
        }
        self.broke_off(expect, is_numbered);
    }

    async fn event(&self, event: Bytes, expect: &mut Expect) -> Option<Bytes> {
        let Some(data) = sse::data(&event) else { return Some(event) };
        let passed = self.message(data.clone(), expect).await?;
        Some(if passed == data { event } else { sse::with_data(&event, &passed) })
    }
}

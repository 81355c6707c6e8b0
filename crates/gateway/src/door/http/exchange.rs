//! One request to a server that speaks HTTP: judged, passed on, and its answer looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::response::Parts;
use hyper::{Request as HttpRequest, Response as HttpResponse, StatusCode, Uri};
use ledger::record::Status;
use policy::{ToolId, Verb};
use serde_json::Value;
use tokio::sync::mpsc;

use super::handle;
use super::retract::Requested;
use super::screen::{self, End, Expect, Screen};
use super::wire::{
    JSON, Reply, accepts_events, header_mismatch, into_events, is_type, json, nothing, only_answer, param_mismatch,
    params, read_body, stream, whole,
};
use super::{HEADER_MISMATCH, HttpDoor, QUEUE, Ticket};
use crate::answer;
use crate::authority::{Admitted, Asking, Authority, First, Patience, Refusal};
use crate::call::{self, Call, Id, Message, Notification, Plumbing, Request, Response, SIZE_MAX_BYTES, Subject};
use crate::catalogue::Known as Tool;
use crate::door;
use crate::door::tasks::{self, Origin, Owed};
use crate::pipeline::Ending;
use crate::session::Caller;
use crate::sse;
use crate::upstream::http::{Target, Unreachable, pass_headers};
use crate::upstream::remote::{METHOD_HEADER, NAME_HEADER};

/// One request to one server by one agent.
pub(super) struct Exchange {
    pub(super) door: Arc<HttpDoor>,
    pub(super) caller: Caller,
    /// Absent for an agent of this machine.
    pub(super) ticket: Option<Ticket>,
    pub(super) server: String,
    pub(super) uri: Uri,
    /// Whether the client speaks the protocol without sessions.
    pub(super) is_stateless: bool,
    /// As the server knows it; absent where there is no session.
    pub(super) session: Option<HeaderValue>,
}

impl Exchange {
    pub(super) fn authority(&self) -> &Arc<Authority> {
        &self.door.shared.authority
    }

    pub(super) fn target(&self, headers: &HeaderMap) -> Target {
        self.door.target((&self.server, &self.uri), headers, self.ticket.is_some())
    }

    pub(super) async fn get(self, request: &HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let opening = self.door.openings.begin(screen::place(&self.caller, &self.server, self.session.as_ref()));
        let answer = self.door.outbound.listen(self.target(request.headers())).await;
        drop(opening);
        self.relay(request.headers(), answer, Expect::nothing()).await
    }

    pub(super) async fn delete(self, request: &HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let answer = self.door.outbound.leave(self.target(request.headers())).await;
        self.relay(request.headers(), answer, Expect::nothing()).await
    }

    pub(super) async fn post(self, request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let (mut head, body) = request.into_parts();
        let body = match read_body(&head.headers, body).await {
            Ok(body) => body,
            Err(refused) => return *refused,
        };
        let request = match Message::read(body) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Notification(note)) if self.retracts(&note) => return nothing(),
            Ok(Message::Notification(note)) => return self.aside(&head.headers, note.raw().clone()).await,
            Ok(Message::Response(response)) => return self.client_answers(&head.headers, &response).await,
            Ok(Message::Fault(_)) => {
                tracing::warn!("dropped an error of the client that names no request");
                return nothing();
            }
            Err(fault) => return json(StatusCode::BAD_REQUEST, answer::malformed(None, &fault)),
        };
        if request.id.is_own() {
            return json(
                StatusCode::BAD_REQUEST,
                answer::error(Some(&request.id), -32_600, "the id is reserved for the gateway"),
            );
        }
        let call = match Call::sort(request.clone()) {
            Ok(Some(call)) => call,
            Ok(None) => return self.unknown_method(&request),
            Err(_)
                if self.is_stateless
                    && ["resources/subscribe", "resources/unsubscribe"].contains(&&*request.method) =>
            {
                return self.unknown_method(&request);
            }
            Err(fault) => return json(StatusCode::BAD_REQUEST, answer::malformed(Some(&request.id), &fault)),
        };
        let mismatch = header_mismatch(&head.headers, &request, &call);
        if let Some(mismatch) = mismatch.or_else(|| self.compare_params(&mut head.headers, &call)) {
            let line = answer::error(Some(&request.id), HEADER_MISMATCH, mismatch);
            return json(StatusCode::BAD_REQUEST, line);
        }
        if let Some(answer) = self.ticket.as_ref().and_then(|ticket| ticket.step_up(&self.door, &self.server, &call)) {
            return answer;
        }
        if self.needs_translation(&head.headers, &request).await {
            return Box::pin(self.visit(&head.headers, None).request(&head.headers, request)).await;
        }
        self.door.openings.over(|| screen::place(&self.caller, &self.server, self.session.as_ref())).await;
        match call {
            Call::Judged { request, subject } => self.judged(head.headers, request, subject).await,
            Call::ListTools(request) => self.asks(&head.headers, &request, End::List).await,
            Call::ListTasks(request) => self.asks(&head.headers, &request, End::Tasks).await,
            Call::Task { request, task } => self.of_task(head.headers, request, task).await,
            Call::Listen { request, uris, tasks } => {
                let of = (&request, uris.as_slice(), tasks.as_slice());
                match tasks::admit_listening(self.authority(), &self.caller, &self.server, of).await {
                    Ok(()) => self.asks(&head.headers, &request, End::Pass).await,
                    Err(refused) => json(StatusCode::OK, refused),
                }
            }
            Call::Plumbing(request) => {
                let reply = self.asks(&head.headers, &request, End::Pass).await;
                if self.has_no_handshake(&head.headers, &request, &reply).await {
                    return Box::pin(self.visit(&head.headers, None).request(&head.headers, request)).await;
                }
                reply
            }
        }
    }

    /// What a header says of an argument otherwise than the body does. Where nobody knows the schema that declares such
    /// headers they are left out.
    fn compare_params(&self, headers: &mut HeaderMap, call: &Call) -> Option<&'static str> {
        if let Call::Judged { subject: Subject::Tool { name, arguments }, .. } = call {
            let id = ToolId { server: self.server.clone(), name: name.clone() };
            if let Tool::Facts(tool) = self.authority().catalogue.get(&id) {
                return param_mismatch(headers, &tool.input_schema, arguments);
            }
        }
        for (name, _) in params(headers) {
            headers.remove(name);
        }
        None
    }

    /// Passes a request that needs no permit of its own.
    async fn asks(&self, headers: &HeaderMap, request: &Request, end: End) -> HttpResponse<Reply> {
        let expect = Expect { id: Some(request.id.clone()), end };
        let answer = self.door.outbound.pass(&Plumbing::aside(request.raw().clone()), self.target(headers)).await;
        self.relay(headers, answer, expect).await
    }

    /// About a call that became a task: nothing about another session's reaches the server.
    async fn of_task(self, headers: HeaderMap, request: Request, task: String) -> HttpResponse<Reply> {
        match self.authority().tasks.subject(&self.caller, &self.server, &task) {
            None => json(StatusCode::OK, answer::no_such_task(&request)),
            Some(subject) if request.method == "tasks/update" => self.judged(headers, request, subject).await,
            Some(_) => {
                let end = End::Task(task, request.method.clone());
                self.asks(&headers, &request, end).await
            }
        }
    }

    /// The client answers a request of the server: the act ends, and the answer passes.
    async fn client_answers(self, headers: &HeaderMap, response: &Response) -> HttpResponse<Reply> {
        let place = screen::place(&self.caller, &self.server, self.session.as_ref());
        let Some(asked) = self.door.asked.take(&(place, response.id.clone())) else {
            tracing::warn!(id = %response.id, "dropped an answer of the client to a request that nobody made");
            return nothing();
        };
        if let Some(act) = asked {
            let status = if response.is_error { Status::Error } else { Status::Ok };
            act.end(Ending { size_bytes: response.body().len(), ..Ending::without_result(status) });
        }
        self.aside(headers, response.raw().clone()).await
    }

    fn unknown_method(&self, request: &Request) -> HttpResponse<Reply> {
        let status = if self.is_stateless { StatusCode::NOT_FOUND } else { StatusCode::OK };
        json(status, answer::unknown_method(request))
    }

    async fn aside(self, headers: &HeaderMap, raw: Bytes) -> HttpResponse<Reply> {
        let answer = self.door.outbound.pass(&Plumbing::aside(raw), self.target(headers)).await;
        self.relay(headers, answer, Expect::nothing()).await
    }

    async fn judged(self, headers: HeaderMap, request: Request, subject: Subject) -> HttpResponse<Reply> {
        let (id, parties) = (request.id.clone(), (&self.caller, self.server.as_str()));
        let received = door::received(self.authority(), parties, (request, &subject), BTreeMap::new());
        let (request, errand) = match received {
            Ok(received) => received,
            Err(fault) => return json(StatusCode::BAD_REQUEST, answer::malformed(Some(&id), &fault)),
        };
        if errand.verb == Verb::CallTool && matches!(self.authority().catalogue.get(&errand.tool), Tool::Unknown) {
            Box::pin(self.list_by_itself(&headers, call::envelope(&request))).await;
        }
        match self.authority().first(&self.caller, errand).await {
            First::Admitted(admitted) => self.act(&headers, admitted, &request).await,
            First::Refused(refusal) => self.refused(&request, &subject, &refusal),
            First::Asks(asking) if accepts_events(&headers) => {
                let (events, reply) = mpsc::channel(QUEUE);
                // The stream begins before the answer is known: a client that hears progress waits longer.
                tokio::spawn(async move {
                    let patience = Progress { token: call::progress_token(&request), events: events.clone() };
                    let work = async {
                        let answer = self.asks_human(&request, *asking, patience).await?;
                        Some(self.acts(&headers, (&request, &subject), answer).await)
                    };
                    let reply = tokio::select! {
                        reply = work => reply,
                        () = events.closed() => None,
                    };
                    // The stream of what was retracted ends with nothing.
                    if let Some(reply) = reply {
                        into_events(reply, &events, &request.id).await;
                    }
                });
                stream(StatusCode::OK, HeaderMap::new(), reply)
            }
            First::Asks(asking) => {
                let patience = Progress { token: None, events: mpsc::channel(1).0 };
                match self.asks_human(&request, *asking, patience).await {
                    Some(answer) => self.acts(&headers, (&request, &subject), answer).await,
                    None => nothing(),
                }
            }
        }
    }

    /// What comes of asking a human about a request; `None` if its client retracted it.
    async fn asks_human(
        &self,
        request: &Request,
        asking: Asking<Request>,
        patience: Progress,
    ) -> Option<Result<Admitted<Request>, Refusal>> {
        let answer = Box::pin(self.authority().ask(&self.caller, asking, patience));
        self.door.retractable.unless_retracted(self.requested(&request.id), answer).await
    }

    /// Whether a client retracts with this what waits for a human: the server knows nothing of it, and hears nothing.
    fn retracts(&self, note: &Notification) -> bool {
        let requested = call::cancelled(note).and_then(|id| self.requested(&id));
        requested.is_some_and(|requested| self.door.retractable.retract(&requested))
    }

    /// A request of this session, by its id.
    fn requested(&self, id: &Id) -> Option<Requested> {
        let session = self.session.as_ref()?;
        Some((screen::place(&self.caller, &self.server, Some(session)), id.clone()))
    }

    async fn acts(
        &self,
        headers: &HeaderMap,
        (request, subject): (&Request, &Subject),
        answer: Result<Admitted<Request>, Refusal>,
    ) -> HttpResponse<Reply> {
        match answer {
            Ok(admitted) => self.act(headers, admitted, request).await,
            Err(refusal) => self.refused(request, subject, &refusal),
        }
    }

    fn refused(&self, request: &Request, subject: &Subject, refusal: &Refusal) -> HttpResponse<Reply> {
        json(StatusCode::OK, answer::refusal(request, subject, &self.server, refusal))
    }

    async fn act(&self, headers: &HeaderMap, admitted: Admitted<Request>, request: &Request) -> HttpResponse<Reply> {
        let (id, origin) = (&request.id, Origin::of(request, admitted.permit.action()));
        let permit = self.authority().peers.send(admitted.permit, self.authority().journal.now());
        let mut target = self.target(headers);
        target.headers.extend(params(headers));
        let (act, answer) = self.door.outbound.send(permit, target).await;
        match &answer {
            Err(error) => act.end(Ending::without_result(error.status())),
            Ok(_) => {
                let expect = Expect { id: Some(id.clone()), end: End::Act(Owed { act, tool: admitted.tool, origin }) };
                return self.relay(headers, answer, expect).await;
            }
        }
        self.relay(headers, answer, Expect { id: Some(id.clone()), end: End::Pass }).await
    }

    /// Lists the server's tools with the headers of the call, because it calls one that nobody has listed.
    async fn list_by_itself(&self, headers: &HeaderMap, envelope: Option<Value>) {
        let mut headers = headers.clone();
        headers.remove(NAME_HEADER);
        if headers.contains_key(METHOD_HEADER) {
            headers.insert(METHOD_HEADER, HeaderValue::from_static("tools/list"));
        }
        let mut params = serde_json::json!({});
        if let Some(envelope) = envelope {
            call::put(&mut params, "_meta", envelope);
        }
        for _ in 0..door::PAGES_MAX {
            let Ok(request) = Request::own(self.authority().own_id(), "tools/list", &params) else { return };
            let plumbing = Plumbing::aside(request.raw().clone());
            let answer = tokio::time::timeout(Duration::from_secs(30), async {
                let answer = self.door.outbound.pass(&plumbing, self.target(&headers)).await.ok()?;
                only_answer(answer, &request.id).await
            });
            let Ok(Some(response)) = answer.await else { return };
            if response.is_error {
                return;
            }
            if let Err(error) = self.authority().learn(&self.server, response.body()).await {
                return tracing::warn!(server = self.server, error, "the server's tools were not taken in");
            }
            let cursor = call::fields(response.body(), &["nextCursor"]).ok().and_then(|[cursor]| cursor);
            let Some(cursor) = cursor.and_then(|cursor| serde_json::from_str::<String>(cursor.get()).ok()) else {
                return;
            };
            call::put(&mut params, "cursor", cursor);
        }
    }

    /// Passes the server's answer on, looking at every message in it.
    async fn relay(
        &self,
        asked_with: &HeaderMap,
        answer: Result<HttpResponse<Incoming>, Unreachable>,
        mut expect: Expect,
    ) -> HttpResponse<Reply> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let line = answer::error(expect.id.as_ref(), error.code(), &error.to_string());
                // Words for the user; what is told in a status is hidden by many clients.
                let is_login = matches!(error, Unreachable::Login(_));
                return json(if is_login { StatusCode::OK } else { StatusCode::BAD_GATEWAY }, line);
            }
        };
        let (head, body) = answer.into_parts();
        let mut headers = pass_headers(&head.headers);
        let now = self.authority().journal.now();
        handle::seal_header(&mut headers, &self.door.shared.sealer, (&self.caller, &self.server), now);
        let screen = Screen {
            door: self.door.clone(),
            caller: self.caller.clone(),
            server: self.server.clone(),
            session: self.session.clone(),
        };
        // Nobody asked for a coding, and nothing that is coded can be looked at.
        if head.headers.contains_key(CONTENT_ENCODING) {
            return no_message(&head, headers, expect);
        }
        if is_type(&head.headers, "text/event-stream") {
            let (events, reply) = mpsc::channel(QUEUE);
            let again = self.target(asked_with);
            tokio::spawn(screen::events(Arc::new((screen, again)), body, events, expect));
            return stream(head.status, headers, reply);
        }
        let wait = self.authority().limits.call_wait;
        let bytes = match tokio::time::timeout(wait, Limited::new(body, SIZE_MAX_BYTES).collect()).await {
            Ok(Ok(bytes)) => bytes.to_bytes(),
            Ok(Err(_)) => {
                expect.ends(Status::Unknown);
                let line = answer::error(
                    expect.id.as_ref(),
                    answer::UPSTREAM,
                    "the server's answer broke off or is too large",
                );
                return json(StatusCode::BAD_GATEWAY, line);
            }
            Err(_) => {
                expect.ends(Status::TimedOut);
                let line = answer::error(expect.id.as_ref(), answer::UPSTREAM, "the server did not answer in time");
                return json(StatusCode::GATEWAY_TIMEOUT, line);
            }
        };
        if bytes.is_empty() {
            // An HTTP error, or the 202 of a notification.
            expect.ends(if head.status.is_success() { Status::Ok } else { Status::Error });
            return whole(head.status, headers, bytes);
        }
        let passed = match is_type(&head.headers, "application/json") {
            true => screen.message(Message::read(bytes), &mut expect).await,
            false => None,
        };
        match passed {
            Some(bytes) => {
                // As it was read here, whatever charset the server names.
                headers.insert(CONTENT_TYPE, JSON);
                whole(head.status, headers, bytes)
            }
            None => no_message(&head, headers, expect),
        }
    }
}

/// The answer in our words where the server's are no message: nothing that could not be read goes on. An error keeps its
/// status, and what the client must know to sign in; where no message is awaited, words beside a success are left out.
fn no_message(head: &Parts, mut headers: HeaderMap, mut expect: Expect) -> HttpResponse<Reply> {
    if head.status.is_success() && expect.id.is_none() {
        expect.ends(Status::Ok);
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_ENCODING);
        return whole(head.status, headers, Bytes::new());
    }
    expect.ends(Status::Error);
    let line = answer::error(expect.id.as_ref(), answer::UPSTREAM, "the server answered something else");
    let status = if head.status.is_success() { StatusCode::BAD_GATEWAY } else { head.status };
    let mut reply = json(status, line);
    let challenges = head.headers.get_all(WWW_AUTHENTICATE).iter().cloned();
    reply.headers_mut().extend(challenges.map(|challenge| (WWW_AUTHENTICATE, challenge)));
    reply
}

/// Progress events for a client that asked for them.
struct Progress {
    token: Option<String>,
    events: mpsc::Sender<Bytes>,
}

impl Patience for Progress {
    async fn waits(&mut self, seconds: u64, ask: u64) {
        if let Some(token) = &self.token {
            let _ = self.events.send(sse::event(&answer::progress(token, seconds, ask))).await;
        }
    }
}

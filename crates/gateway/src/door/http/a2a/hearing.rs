//! What an agent answers: each message is labelled before it goes on, in an envelope of ours, so that nothing stands
//! beside what was read.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::WWW_AUTHENTICATE;
use hyper::{Response as HttpResponse, StatusCode};
use ledger::record::Status;
use policy::ToolFacts;
use tokio::sync::mpsc;

use super::super::wire::{Reply, json};
use crate::answer;
use crate::authority::{Authority, Parts, Returned};
use crate::call::{Id, Message, SIZE_MAX_BYTES};
use crate::pipeline::{Act, Ending};
use crate::session::Caller;
use crate::sse;

/// The most bytes of all events of one answer.
const STREAM_MAX_BYTES: usize = 64 * 1024 * 1024;

/// An act whose answer comes.
pub(super) struct Hearing {
    pub(super) authority: Arc<Authority>,
    pub(super) caller: Caller,
    pub(super) tool: Arc<ToolFacts>,
    pub(super) act: Act,
    pub(super) id: Id,
}

impl Hearing {
    /// The answer in one piece.
    pub(super) async fn whole(self, answer: HttpResponse<Incoming>) -> HttpResponse<Reply> {
        let (head, body) = answer.into_parts();
        let wait = self.authority.limits.call_wait;
        let bytes = match tokio::time::timeout(wait, Limited::new(body, SIZE_MAX_BYTES).collect()).await {
            Ok(Ok(bytes)) => bytes.to_bytes(),
            Ok(Err(_)) => return self.lost(Status::Unknown, "the agent's answer broke off or is too large"),
            Err(_) => return self.lost(Status::TimedOut, "the agent did not answer in time"),
        };
        let (name, body, is_error) = match Message::read(bytes) {
            Ok(Message::Response(response)) if response.id == self.id => {
                (if response.is_error { "error" } else { "result" }, response.body().to_owned(), response.is_error)
            }
            // An error that names no request is the answer to the only one that was sent.
            Ok(Message::Fault(fault)) => ("error", fault.body().to_owned(), true),
            _ => {
                let status = if head.status.is_success() { Status::Unknown } else { Status::Error };
                let mut reply = self.lost(status, &format!("the agent answered {} and no message", head.status));
                if head.status == StatusCode::UNAUTHORIZED || head.status == StatusCode::FORBIDDEN {
                    *reply.status_mut() = head.status;
                    let challenge = head.headers.get(WWW_AUTHENTICATE).cloned();
                    reply.headers_mut().extend(challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
                }
                return reply;
            }
        };
        let Self { authority, caller, tool, act, id } = self;
        let line = match authority.conclude(&caller, &tool, act, &Returned { body: &body, is_error }).await {
            Ok(passed) => envelope(&id, name, passed.as_deref().unwrap_or(&body)),
            Err(error) => answer::withheld(Some(&id), &error),
        };
        json(StatusCode::OK, line)
    }

    fn lost(self, status: Status, why: &str) -> HttpResponse<Reply> {
        self.act.end(Ending::without_result(status));
        json(StatusCode::BAD_GATEWAY, answer::error(Some(&self.id), answer::UPSTREAM, why))
    }

    /// The answer as events, to its end or until the client leaves. What has come by then is its result.
    pub(super) async fn events(self, body: Incoming, to: mpsc::Sender<Bytes>) {
        let mut parts = Parts::default();
        let status = tokio::select! {
            status = self.pass_on(body, &to, &mut parts) => status,
            () = to.closed() => Status::Cancelled,
        };
        let Self { authority, caller, tool, act, .. } = self;
        authority.concludes_parts(&caller, &tool, act, (status, parts));
    }

    async fn pass_on(&self, mut body: Incoming, to: &mpsc::Sender<Bytes>, parts: &mut Parts) -> Status {
        let mut events = sse::Events::default();
        let wait = self.authority.limits.call_wait;
        loop {
            let bytes = match tokio::time::timeout(wait, body.frame()).await {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(None) if parts.is_empty() => {
                    return self.breaks(to, Status::Unknown, "the agent answered no message").await;
                }
                Ok(None) => return Status::Ok,
                Ok(Some(Err(_))) => return self.breaks(to, Status::Unknown, "the agent's answer broke off").await,
                Err(_) => return self.breaks(to, Status::TimedOut, "the agent did not go on in time").await,
            };
            if events.push(&bytes).is_err() || parts.size() > STREAM_MAX_BYTES {
                return self.breaks(to, Status::Unknown, "the agent's answer is too large").await;
            }
            while let Some(event) = events.next() {
                let Some(data) = sse::data(&event) else { continue };
                if let Some(ended) = self.event(data, to, parts).await {
                    return ended;
                }
            }
        }
    }

    /// One event; says how the answer ended, if it did with that.
    async fn event(&self, data: Bytes, to: &mpsc::Sender<Bytes>, parts: &mut Parts) -> Option<Status> {
        let response = match Message::read(data) {
            Ok(Message::Response(response)) if response.id == self.id => response,
            _ => {
                tracing::warn!(server = self.tool.id.server, "dropped an event that is no answer");
                return None;
            }
        };
        let returned = Returned { body: response.body(), is_error: response.is_error };
        let name = if response.is_error { "error" } else { "result" };
        let line = match self.authority.hears_part(&self.caller, (&self.tool, &self.act), &returned, parts).await {
            Ok(passed) => envelope(&self.id, name, passed.as_deref().unwrap_or(response.body())),
            Err(error) => {
                drop(to.send(sse::event(&answer::withheld(Some(&self.id), &error))).await);
                return Some(Status::Unknown);
            }
        };
        if to.send(sse::event(&line)).await.is_err() {
            return Some(Status::Cancelled);
        }
        response.is_error.then_some(Status::Error)
    }

    /// Tells the client that nothing more comes.
    async fn breaks(&self, to: &mpsc::Sender<Bytes>, status: Status, why: &str) -> Status {
        drop(to.send(sse::event(&answer::error(Some(&self.id), answer::UPSTREAM, why))).await);
        status
    }
}

/// A message of ours with what was read of the agent's. On one line, as an event needs it.
fn envelope(id: &Id, name: &str, body: &str) -> Bytes {
    let body = body.replace(['\n', '\r'], " ");
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"{name}":{body}}}"#))
}

//! Servers over HTTP that do not speak their client's era of the protocol: how that is known, and that they are translated.
//!
//! Who speaks the client's era is passed through byte for byte. That a server does not is learned from its own answers,
//! for each agent by itself, and asked again after a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};
use hyper::{Response as HttpResponse, StatusCode, Uri};
use serde_json::{Value, json};

use super::handle::Handle;
use super::hosted::{Goal, Visit};
use super::wire::{Reply, only_answer};
use super::{Exchange, Upstream};
use crate::call::{self, Message, Plumbing, Request};
use crate::door::behind::Behind;
use crate::door::era;
use crate::upstream::remote::{METHOD_HEADER, NAME_HEADER, SESSION_HEADER, VERSION_HEADER};

/// How long what a server speaks is taken for granted.
const KNOWN_FOR: Duration = Duration::from_secs(10 * 60);
/// The most servers, by agent, of which it is known.
const KNOWN_MAX: usize = 4_096;
/// How long a server may take to say what it speaks.
const ASK_WAIT: Duration = Duration::from_secs(20);

/// What servers were found to speak, by agent and address.
#[derive(Debug, Default)]
pub(crate) struct Eras(Mutex<HashMap<(String, Uri), (Found, Instant)>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The protocol without sessions, and perhaps the other.
    Stateless,
    /// Not the protocol without sessions.
    NoStateless,
    /// Not the protocol with a handshake.
    NoHandshake,
}

impl Eras {
    fn get(&self, agent: &str, uri: &Uri) -> Option<Found> {
        let known = self.lock();
        let (found, since) = known.get(&(agent.to_owned(), uri.clone()))?;
        (since.elapsed() < KNOWN_FOR).then_some(*found)
    }

    fn set(&self, agent: &str, uri: &Uri, found: Found) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, (_, since)| since.elapsed() < KNOWN_FOR);
        }
        if known.len() < KNOWN_MAX {
            known.insert((agent.to_owned(), uri.clone()), (found, Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Uri), (Found, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// The same request to the same server, through the translation.
    pub(super) fn visit(self, headers: &HeaderMap, session: Option<Handle>) -> Visit {
        let headers = std::sync::Arc::new(Mutex::new(self.target(headers).headers));
        let behind = Behind { upstream: Upstream::Http(self.uri), headers };
        let Self { door, caller, ticket, server, is_stateless, .. } = self;
        Visit { door, caller, ticket, server, goal: Goal::One(behind), is_stateless, session }
    }

    /// Whether a request must be translated, asked of the server if it is not known.
    pub(super) async fn needs_translation(&self, headers: &HeaderMap, request: &Request) -> bool {
        let (agent, eras) = (&self.caller.principal.agent, &self.door.eras);
        let known = eras.get(agent, &self.uri);
        if !self.is_stateless {
            return request.method == "initialize" && known == Some(Found::NoHandshake);
        }
        // A client that speaks both eras asks this first, and is to hear the server itself.
        if request.method == "server/discover" {
            return false;
        }
        if let Some(known) = known {
            return known == Found::NoStateless;
        }
        let Some(envelope) = call::envelope(request) else { return false };
        let Some(speaks) = self.discovers(headers, &envelope).await else { return false };
        eras.set(agent, &self.uri, if speaks { Found::Stateless } else { Found::NoStateless });
        !speaks
    }

    /// Whether a server that refused a handshake speaks only the protocol without sessions.
    pub(super) async fn has_no_handshake(
        &self,
        headers: &HeaderMap,
        request: &Request,
        reply: &HttpResponse<Reply>,
    ) -> bool {
        if request.method != "initialize" || self.is_stateless || !refuses(reply) {
            return false;
        }
        let opening: Value = serde_json::from_str(request.params()).unwrap_or_default();
        let found = self.discovers(headers, &era::envelope_of(&opening)).await == Some(true);
        if found {
            self.door.eras.set(&self.caller.principal.agent, &self.uri, Found::NoHandshake);
        }
        found
    }

    /// Whether the server speaks the protocol without sessions; `None` if it does not say.
    async fn discovers(&self, headers: &HeaderMap, envelope: &Value) -> Option<bool> {
        let authority = self.authority();
        let request = Request::own(authority.own_id(), "server/discover", &json!({ "_meta": envelope })).ok()?;
        let mut headers = headers.clone();
        headers.remove(NAME_HEADER);
        headers.remove(SESSION_HEADER);
        headers.insert(VERSION_HEADER, HeaderValue::from_static(era::STATELESS));
        headers.insert(METHOD_HEADER, HeaderValue::from_static("server/discover"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let asked = async {
            let plumbing = Plumbing::aside(request.raw().clone());
            let answer = self.door.outbound.pass(&plumbing, self.target(&headers)).await.ok()?;
            let status = answer.status();
            // Who is not let in, or comes at a bad time, learns nothing of the server.
            let says = status.is_success()
                || matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::NOT_ACCEPTABLE);
            if !says {
                return None;
            }
            Some(only_answer(answer, &request.id).await.is_some_and(|answer| era::speaks_stateless(&answer)))
        };
        tokio::time::timeout(ASK_WAIT, asked).await.ok().flatten()
    }
}

/// Whether a reply is an error of the protocol, not of access or of the network.
fn refuses(reply: &HttpResponse<Reply>) -> bool {
    let is_error = |bytes: &Bytes| match Message::read(bytes.clone()) {
        Ok(Message::Response(response)) => response.is_error,
        Ok(Message::Fault(_)) => true,
        _ => false,
    };
    match (reply.status(), reply.body()) {
        (StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND, _) => true,
        (status, Reply::Whole(Some(bytes))) if status.is_success() => is_error(bytes),
        _ => false,
    }
}

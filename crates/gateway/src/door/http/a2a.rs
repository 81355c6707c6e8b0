//! The A2A door: `/a2a/NAME`, in front of another agent that speaks A2A's JSON-RPC binding, of 0.3 or 1.0.
//!
//! To policy that agent is a server, and what can be asked of it are its tools (`send_message`, `get_task`, `list_tasks`,
//! `follow_task`, `cancel_task`), whichever generation's names a client uses. Its card is pinned like a definition; what
//! it answers, in one piece or as events, is labelled before it goes on. What would come to the client past this door is
//! refused: push notifications, and a second card for those who sign in. This module carries and never decides.

mod card;
mod hearing;
mod method;

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method as HttpMethod, Request as HttpRequest, Response as HttpResponse, StatusCode, Uri};
use ledger::record::Record;
use policy::{Door, ToolId};
use tokio::sync::mpsc;

use super::who::{Known as Who, Peer};
use super::wire::{Reply, into_events, is_type, json, plain, read_body, stream};
use super::{Fronts, HttpDoor, QUEUE, Ticket};
use crate::answer;
use crate::authority::{Admitted, Authority, First, Patience, Refusal};
use crate::call::{Call, Id, Message, Request, Subject};
use crate::catalogue::Known;
use crate::door;
use crate::pipeline::Ending;
use crate::session::Caller;
use crate::upstream::http::Target;
pub(super) use card::Cards;
#[cfg(fuzzing)]
pub(crate) use card::fuzz as fuzz_card;
use card::{Card, NoCard};
use hearing::Hearing;
use method::{Asked, Method};

/// What the path names of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Card,
    Endpoint,
}

/// The agent that a path names, and what of it.
pub(super) fn place(path: &str) -> Option<(&str, Part)> {
    let rest = path.strip_prefix("/a2a/")?;
    let (name, part) = match rest.split_once('/') {
        None | Some((_, "")) => (rest.trim_end_matches('/'), Part::Endpoint),
        Some((name, card::PLACE)) => (name, Part::Card),
        Some(_) => return None,
    };
    (!name.is_empty()).then_some((name, part))
}

/// One HTTP request to an agent.
pub(super) struct Visit {
    pub(super) door: Arc<HttpDoor>,
    pub(super) caller: Caller,
    /// Absent for an agent of this machine.
    pub(super) ticket: Option<Ticket>,
    pub(super) server: String,
    pub(super) uri: Uri,
    pub(super) part: Part,
    /// The agent's address as clients reach it here.
    pub(super) own: String,
}

/// A caller's way to an agent. To policy and the record it came by this door.
pub(super) fn visit(
    door: &Arc<HttpDoor>,
    (fronts, peer): (&Arc<Fronts>, &Peer),
    Who { mut caller, signed_in }: Who,
    (name, uri, part): (&str, Uri, Part),
) -> Visit {
    caller.door = Door::A2a;
    let ticket = signed_in.map(|who| Ticket { who, fronts: fronts.clone(), base: peer.base() });
    let own = format!("{}/a2a/{name}", peer.base());
    Visit { door: door.clone(), caller, ticket, server: name.to_owned(), uri, part, own }
}

impl Visit {
    pub(super) async fn serve(self, request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
        match (self.part, request.method()) {
            (Part::Card, &HttpMethod::GET) => self.card().await,
            (Part::Endpoint, &HttpMethod::POST) => self.post(request).await,
            (Part::Card, _) => plain(StatusCode::METHOD_NOT_ALLOWED, "use GET"),
            (Part::Endpoint, _) => plain(StatusCode::METHOD_NOT_ALLOWED, "use POST"),
        }
    }

    fn authority(&self) -> &Arc<Authority> {
        &self.door.shared.authority
    }

    fn target(&self, headers: &HeaderMap, uri: &Uri) -> Target {
        self.door.target((&self.server, uri), headers, self.ticket.is_some())
    }

    fn tool(&self, name: &str) -> ToolId {
        ToolId { server: self.server.clone(), name: name.to_owned() }
    }

    /// The agent's card, with this door in place of its addresses.
    async fn card(&self) -> HttpResponse<Reply> {
        let card = match self.read_card().await {
            Ok(card) => card,
            Err(error) => {
                return json(StatusCode::BAD_GATEWAY, answer::error(None, answer::UPSTREAM, &error.to_string()));
            }
        };
        let authority = self.authority();
        authority.catch_up(&self.caller).await;
        let tool = self.tool(method::SEND);
        let because = match authority.catalogue.get(&tool) {
            Known::Facts(_) if authority.may_see(&self.caller, &tool, &authority.law.force()) => {
                return json(StatusCode::OK, card.shown(&self.own).to_string().into());
            }
            Known::Quarantined => "definition changed",
            Known::Facts(_) | Known::Unknown => "policy",
        };
        self.withholds(because, tool.name);
        plain(
            StatusCode::FORBIDDEN,
            match because {
                "policy" => "policy does not show this agent",
                _ => "the agent's card changed since it was approved: `bailiwick tools approve` shows and approves it",
            },
        )
    }

    fn withholds(&self, because: &str, name: String) {
        let names = vec![name];
        if self.caller.session.withholds(&format!("{} {because}", self.server), &names) {
            let (session, server, because) = (self.caller.session.id.clone(), self.server.clone(), because.to_owned());
            self.authority().journal.note(Record::Withheld { session, server, names, because });
        }
    }

    /// The agent's card as it is now, or was a moment ago; what it says is pinned. Every caller gets the same, so that nothing
    /// of this one goes along.
    async fn read_card(&self) -> Result<Arc<Card>, NoCard> {
        if let Some(card) = self.door.cards.fresh(&self.server, &self.uri) {
            return Ok(card);
        }
        let target = self.target(&HeaderMap::new(), &card::place(&self.uri)?);
        let card = match card::fetch(&self.door.outbound, target, &self.uri).await {
            Ok(card) => Arc::new(card),
            // Whose card was read before is still known by it.
            Err(error) => return self.door.cards.known(&self.server, &self.uri).ok_or(error),
        };
        self.authority().learn(&self.server, &card.definitions().to_string()).await.map_err(NoCard::NotTaken)?;
        self.door.cards.keep(&self.server, &self.uri, card.clone());
        Ok(card)
    }

    async fn post(self, request: HttpRequest<Incoming>) -> HttpResponse<Reply> {
        let (head, body) = request.into_parts();
        let body = match read_body(&head.headers, body).await {
            Ok(body) => body,
            Err(refused) => return *refused,
        };
        let request = match Message::read(body) {
            Ok(Message::Request(request)) if !request.id.is_own() => request,
            Ok(_) => {
                return json(StatusCode::BAD_REQUEST, answer::error(None, -32_600, "no request that is taken here"));
            }
            Err(fault) => return json(StatusCode::BAD_REQUEST, answer::malformed(None, &fault)),
        };
        let refuse = |line| json(StatusCode::OK, line);
        let method = match Asked::of(&request.method) {
            Some(Asked::Judged(method)) => method,
            Some(Asked::Refused(code, why)) => return refuse(answer::error(Some(&request.id), code, why)),
            None => return refuse(answer::unknown_method(&request)),
        };
        let arguments = match method::arguments(&request) {
            Ok(arguments) => arguments,
            Err(fault) => return refuse(answer::malformed(Some(&request.id), &fault)),
        };
        if method::wants_push(&arguments) {
            return refuse(answer::error(Some(&request.id), method::NO_PUSH, method::WHY_NO_PUSH));
        }
        let subject = Subject::Tool { name: method.tool.to_owned(), arguments };
        let lost = |why: &str| json(StatusCode::BAD_GATEWAY, answer::error(Some(&request.id), answer::UPSTREAM, why));
        let card = match self.read_card().await {
            Ok(card) => card,
            Err(error) => return lost(&error.to_string()),
        };
        let Some(endpoint) = card.endpoint(method.era) else {
            return lost("the agent's card names no address of the JSON-RPC binding on its own host");
        };
        let call = Call::Judged { request: request.clone(), subject: subject.clone() };
        if let Some(answer) = self.ticket.as_ref().and_then(|it| it.step_up(&self.door, &self.server, &call)) {
            return answer;
        }
        self.judged(head.headers, (request, subject), (method, endpoint.clone())).await
    }

    async fn judged(
        self,
        headers: HeaderMap,
        (request, subject): (Request, Subject),
        (method, endpoint): (Method, Uri),
    ) -> HttpResponse<Reply> {
        let to = (&self.caller, self.server.as_str());
        let id = request.id.clone();
        let errand = match door::received(self.authority(), to, (request, &subject), BTreeMap::new()) {
            Ok((_, errand)) => errand,
            Err(fault) => return json(StatusCode::BAD_REQUEST, answer::malformed(Some(&id), &fault)),
        };
        match self.authority().first(&self.caller, errand).await {
            First::Admitted(admitted) => self.act(&headers, admitted, (id, &endpoint)).await,
            First::Refused(refusal) => self.refused(&id, method, &refusal),
            First::Asks(asking) if method.streams => {
                let (events, reply) = mpsc::channel(QUEUE);
                tokio::spawn(async move {
                    let work = async {
                        match self.authority().ask(&self.caller, *asking, Comments(Some(events.clone()))).await {
                            Ok(admitted) => self.act(&headers, admitted, (id.clone(), &endpoint)).await,
                            Err(refusal) => self.refused(&id, method, &refusal),
                        }
                    };
                    tokio::select! {
                        reply = work => into_events(reply, &events, &id).await,
                        () = events.closed() => {}
                    }
                });
                stream(StatusCode::OK, HeaderMap::new(), reply)
            }
            First::Asks(asking) => match Box::pin(self.authority().ask(&self.caller, *asking, Comments(None))).await {
                Ok(admitted) => self.act(&headers, admitted, (id, &endpoint)).await,
                Err(refusal) => self.refused(&id, method, &refusal),
            },
        }
    }

    fn refused(&self, id: &Id, method: Method, refusal: &Refusal) -> HttpResponse<Reply> {
        let what = format!("`{}/{}`", self.server, method.tool);
        json(StatusCode::OK, answer::error(Some(id), answer::DENIED, &answer::sentence(&what, refusal)))
    }

    async fn act(
        &self,
        headers: &HeaderMap,
        Admitted { permit, tool }: Admitted<Request>,
        (id, endpoint): (Id, &Uri),
    ) -> HttpResponse<Reply> {
        let permit = self.authority().peers.send(permit, self.authority().journal.now());
        let (act, answer) = self.door.outbound.send(permit, self.target(headers, endpoint)).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                act.end(Ending::without_result(error.status()));
                let line = answer::error(Some(&id), answer::UPSTREAM, &error.to_string());
                return json(StatusCode::BAD_GATEWAY, line);
            }
        };
        let hearing = Hearing { authority: self.authority().clone(), caller: self.caller.clone(), tool, act, id };
        if !is_type(answer.headers(), "text/event-stream") {
            return hearing.whole(answer).await;
        }
        let (events, reply) = mpsc::channel(QUEUE);
        tokio::spawn(hearing.events(answer.into_body(), events));
        stream(StatusCode::OK, HeaderMap::new(), reply)
    }
}

/// Comments of a stream, so that a client that waits for a human sees that it is not forgotten.
struct Comments(Option<mpsc::Sender<bytes::Bytes>>);

impl Patience for Comments {
    async fn waits(&mut self, seconds: u64, ask: u64) {
        if let Some(events) = &self.0 {
            let line = format!(": waiting for a human to approve (ask {ask}), {seconds} s\n\n");
            drop(events.send(line.into()).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_an_agent_or_its_card() {
        assert_eq!(place("/a2a/helper"), Some(("helper", Part::Endpoint)));
        assert_eq!(place("/a2a/helper/"), Some(("helper", Part::Endpoint)));
        assert_eq!(place("/a2a/helper/.well-known/agent-card.json"), Some(("helper", Part::Card)));
        for path in ["/a2a/", "/a2a", "/a2a//", "/a2a/helper/x", "/a2a//.well-known/agent-card.json", "/mcp/helper"] {
            assert_eq!(place(path), None, "{path}");
        }
    }
}

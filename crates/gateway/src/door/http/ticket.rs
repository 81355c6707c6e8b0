//! What an agent showed that signed in with a token, and which tools that is enough for.

use std::sync::Arc;

use hyper::header::WWW_AUTHENTICATE;
use hyper::{Response as HttpResponse, StatusCode};
use policy::ToolId;

use super::{Fronts, HttpDoor, Reply, plain};
use crate::authority::Authority;
use crate::call::{Call, Subject};
use crate::catalogue::Known as Tool;
use crate::door::joined::names;
use crate::signin::{SignedIn, metadata};

/// What an agent showed that signed in with a token.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(super) who: SignedIn,
    pub(super) fronts: Arc<Fronts>,
    /// The gateway's address as the client reached it.
    pub(super) base: String,
}

impl Ticket {
    /// What a caller is told whose token is good and lacks a scope that this tool needs.
    pub(super) fn step_up(&self, door: &HttpDoor, server: &str, call: &Call) -> Option<HttpResponse<Reply>> {
        let authority = &door.shared.authority;
        let Call::Judged { subject: Subject::Tool { name, .. }, .. } = call else { return None };
        let identity = &self.fronts.identity;
        let tool = if server.is_empty() { self.joined(authority, name) } else { Some(tool_id(server, name)) };
        let missing = match tool.map(|tool| authority.catalogue.get(&tool)) {
            Some(Tool::Facts(facts)) => identity.missing(&self.who, &facts.effects),
            // What a tool does that nobody has listed is not known: it may do anything.
            Some(Tool::Quarantined | Tool::Unknown) | None => identity.missing_any(&self.who),
        };
        if missing.is_empty() {
            return None;
        }
        let why = format!("the token lacks a scope: {}", missing.join(" "));
        door.turned_away(&self.fronts, server, Some(&self.who.agent), why);
        let mut answer = plain(StatusCode::FORBIDDEN, "the token lacks a scope that this tool needs");
        let challenge = metadata::insufficient(identity, &self.who, (&self.base, server), &missing);
        answer.headers_mut().extend(challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
        Some(answer)
    }
}

impl Ticket {
    /// The tool that has this name where all servers are one.
    fn joined(&self, authority: &Authority, joined: &str) -> Option<ToolId> {
        if let Some((server, name)) = names::split(joined) {
            return Some(tool_id(server, name));
        }
        let servers = self.fronts.upstreams.keys();
        let mut named =
            servers.flat_map(|server| authority.catalogue.names(server).into_iter().map(move |name| (server, name)));
        named.find(|(server, name)| names::joined(server, name) == joined).map(|(server, name)| tool_id(server, &name))
    }
}

fn tool_id(server: &str, name: &str) -> ToolId {
    ToolId { server: server.to_owned(), name: name.to_owned() }
}

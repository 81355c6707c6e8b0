//! The doors: how agents reach the gateway.

pub(crate) mod behind;
mod claims;
pub(crate) mod era;
pub mod hello;
pub mod http;
pub(crate) mod joined;
pub(crate) mod orders;
pub(crate) mod relay;
pub(crate) mod shown;
pub(crate) mod tasks;
pub(crate) mod unix;
mod wish;

use std::collections::BTreeMap;

use policy::{ToolId, Verb};
use serde_json::{Value, json};

use crate::authority::{Authority, Errand};
use crate::call::{Malformed, Reference, Request, Subject};
use crate::peers::Received;
use crate::session::Caller;

/// The most pages of a `tools/list` that the gateway reads by itself.
pub(crate) const PAGES_MAX: usize = 50;

/// The same of a request as it comes from an agent, which may be another gateway: what it says of labels is taken off
/// and, if it is to be believed, goes along. What cannot be taken off goes nowhere.
pub(crate) fn received(
    authority: &Authority,
    (caller, server): (&Caller, &str),
    (request, subject): (Request, &Subject),
    facts: BTreeMap<String, Value>,
) -> Result<(Request, Errand<Request>), Malformed> {
    let (from, now) = ((caller.principal.agent.as_str(), caller.door), authority.journal.now());
    let Received { bare, heard } = authority.peers.receive(from, request, subject, now)?;
    let mut errand = errand(server, bare.clone(), subject, facts);
    match heard {
        Ok(carried) => errand.carried = carried,
        Err(why) => authority.distrusts(caller, &errand.tool, why),
    }
    Ok((bare, errand))
}

/// What policy needs to know of an MCP request.
pub(crate) fn errand<C>(server: &str, call: C, subject: &Subject, mut facts: BTreeMap<String, Value>) -> Errand<C> {
    let (verb, name, arguments) = match subject {
        Subject::Tool { name, arguments } => (Verb::CallTool, name, arguments.clone()),
        Subject::Resource { uri } => (Verb::ReadResource, uri, json!({ "uri": uri })),
        Subject::Prompt { name, arguments } => (Verb::GetPrompt, name, arguments.clone()),
        Subject::Completion { of: Reference::Prompt(name), arguments } => (Verb::GetPrompt, name, arguments.clone()),
        Subject::Completion { of: Reference::Template(uri), arguments } => {
            (Verb::ReadResource, uri, json!({ "uri": uri, "arguments": arguments }))
        }
    };
    if matches!(subject, Subject::Completion { .. }) {
        facts.insert("completes".to_owned(), json!(true));
    }
    let tool = ToolId { server: server.to_owned(), name: name.clone() };
    Errand { call, verb, tool, arguments, facts, carried: None }
}

//! An agent's card: what it says of itself and where it answers. Pinned as it came but for its signatures; shown with this
//! door in place of its addresses.
//!
//! INVARIANT: a card never leads away from the host that the operator wrote down: whoever writes the card would then say
//! where the gateway connects to. That a card is signed is not checked: its pin is what holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use http_body_util::{BodyExt as _, Limited};
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{StatusCode, Uri};
use serde_json::{Map, Value, json};

use super::method::{self, Era};
use crate::call;
use crate::tools::AGENT_CARD;
use crate::upstream::http::{Outbound, Target, Unreachable};

/// Where a card lies below an agent's address.
pub(super) const PLACE: &str = ".well-known/agent-card.json";
/// The largest card that is read, in bytes.
const SIZE_MAX_BYTES: usize = 128 * 1024;
/// How long a card counts as what the agent says now.
const FRESH: Duration = Duration::from_secs(60);
/// How long an agent may take to show it.
const WAIT: Duration = Duration::from_secs(30);
/// How much of a description stands in a definition.
const DESCRIPTION_MAX_CHARS: usize = 1_000;
/// The binding that this door speaks.
const BINDING: &str = "JSONRPC";

/// Why there is no card.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCard {
    #[error("the agent's card: {0}")]
    Unreachable(#[from] Unreachable),
    #[error("the agent's card: the agent answered {0}")]
    Status(StatusCode),
    #[error("the agent's card broke off, took too long, or is larger than {SIZE_MAX_BYTES} bytes")]
    TooLarge,
    #[error("the agent's card is not one JSON object that can be read in one way only")]
    Unreadable,
    #[error("the agent's address is none")]
    NoAddress,
    #[error("the agent's card could not be taken in: {0}")]
    NotTaken(String),
}

/// The cards that were read last, by agent and address. Held only for map work.
#[derive(Debug, Default)]
pub(in super::super) struct Cards(Mutex<BTreeMap<String, Known>>);

#[derive(Debug)]
struct Known {
    at: Uri,
    card: Arc<Card>,
    read: Instant,
}

impl Cards {
    pub(super) fn known(&self, server: &str, uri: &Uri) -> Option<Arc<Card>> {
        self.find(server, uri, |_| true)
    }

    pub(super) fn fresh(&self, server: &str, uri: &Uri) -> Option<Arc<Card>> {
        self.find(server, uri, |read| read.elapsed() < FRESH)
    }

    fn find(&self, server: &str, uri: &Uri, fits: impl Fn(Instant) -> bool) -> Option<Arc<Card>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(server).filter(|known| known.at == *uri && fits(known.read)).map(|known| known.card.clone())
    }

    /// One for each agent that the operator wrote down, so that there are no more than those.
    pub(super) fn keep(&self, server: &str, uri: &Uri, card: Arc<Card>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(server.to_owned(), Known { at: uri.clone(), card, read: Instant::now() });
    }
}

/// Where the card of the agent at an address lies.
pub(super) fn place(uri: &Uri) -> Result<Uri, NoCard> {
    let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or(NoCard::NoAddress)?;
    let path = uri.path().trim_end_matches('/');
    format!("{scheme}://{authority}{path}/{PLACE}").parse().map_err(|_| NoCard::NoAddress)
}

/// Reads the card of the agent at an address.
pub(super) async fn fetch(outbound: &Outbound, mut target: Target, uri: &Uri) -> Result<Card, NoCard> {
    target.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    target.wait = WAIT;
    let answer = outbound.fetch(target).await?;
    if answer.status() != StatusCode::OK {
        return Err(NoCard::Status(answer.status()));
    }
    let body = tokio::time::timeout(WAIT, Limited::new(answer.into_body(), SIZE_MAX_BYTES).collect());
    let body = body.await.ok().and_then(Result::ok).ok_or(NoCard::TooLarge)?.to_bytes();
    Card::read(&body, uri)
}

/// One card.
#[derive(Debug)]
pub(in super::super) struct Card {
    says: Map<String, Value>,
    older: Option<Uri>,
    newer: Option<Uri>,
}

impl Card {
    /// What the agent at this address says of itself.
    fn read(text: &[u8], agent: &Uri) -> Result<Self, NoCard> {
        let text = std::str::from_utf8(text).map_err(|_| NoCard::Unreadable)?;
        match call::strict_value(text) {
            Ok(Value::Object(card)) => Ok(Self::new(card, agent)),
            _ => Err(NoCard::Unreadable),
        }
    }

    fn new(mut says: Map<String, Value>, agent: &Uri) -> Self {
        // Over addresses that are not shown; and with each reading another, where an agent signs anew.
        says.remove("signatures");
        let at = |url: Option<&Value>| {
            let uri: Uri = url?.as_str()?.parse().ok()?;
            is_same_host(&uri, agent).then_some(uri)
        };
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let listed = |name: &str| says.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let newer = listed("supportedInterfaces");
        let newer: Vec<_> = newer.iter().filter(|one| is_ours(one, "protocolBinding")).collect();
        let of = |is_older: bool| {
            let fits = newer.iter().filter(|one| is_of_older(text(one, "protocolVersion").as_deref()) == is_older);
            fits.filter_map(|one| at(one.get("url"))).next()
        };
        let whole = Value::Object(says.clone());
        let is_preferred = text(&whole, "preferredTransport").is_none_or(|binding| binding == BINDING);
        let main = at(says.get("url")).filter(|_| is_preferred);
        let further = || {
            listed("additionalInterfaces")
                .iter()
                .filter(|one| is_ours(one, "transport"))
                .find_map(|one| at(one.get("url")))
        };
        let older = of(true).or(main).or_else(further);
        let newer = of(false).or_else(|| older.clone());
        Self { older: older.or_else(|| newer.clone()), newer, says }
    }

    /// Where the agent answers methods of a generation.
    pub(super) fn endpoint(&self, era: Era) -> Option<&Uri> {
        match era {
            Era::Older => self.older.as_ref(),
            Era::Newer => self.newer.as_ref(),
        }
    }

    /// What can be asked of the agent, as a list of tools. Each is another if the card is.
    pub(super) fn definitions(&self) -> Value {
        let text = |name: &str| self.says.get(name).and_then(Value::as_str).unwrap_or_default();
        let about: String = text("description").chars().take(DESCRIPTION_MAX_CHARS).collect();
        let card = Value::Object(self.says.clone());
        let digest = digest::digest(&digest::SHA256, card.to_string().as_bytes());
        let digest = Value::from(format!("sha256:{}", hex::encode(digest)));
        let object = json!({ "type": "object" });
        let message = json!({ "message": object, "configuration": object, "metadata": object });
        // The agent's own names of its tasks choose among these, so that no role stands on them.
        let task = json!({});
        let tool = |name: &str, (what, reads): (&str, bool), properties: &Value, card: &Value| {
            json!({
                "name": name,
                "description": what,
                "inputSchema": { "type": "object", "properties": properties },
                "annotations": { "readOnlyHint": reads, "openWorldHint": true },
                AGENT_CARD: card,
            })
        };
        let sends = format!("Sends a message to another agent, {}: {about}", text("name"));
        json!({ "tools": [
            tool(method::SEND, (&sends, false), &message, &card),
            tool("get_task", ("Gets a task of the agent", true), &task, &digest),
            tool("list_tasks", ("Lists tasks of the agent", true), &task, &digest),
            tool("follow_task", ("Follows a task of the agent", true), &task, &digest),
            tool("cancel_task", ("Cancels a task of the agent", false), &task, &digest),
        ] })
    }

    /// The card as a client gets it: every address is ours, and what is not to be had here is not offered.
    pub(super) fn shown(&self, own: &str) -> Value {
        let mut shown = self.says.clone();
        let mut set = |name: &str, value: Value| {
            if let Some(member) = shown.get_mut(name) {
                *member = value;
            }
        };
        set("url", Value::from(own));
        set("preferredTransport", Value::from(BINDING));
        set("supportsAuthenticatedExtendedCard", Value::from(false));
        set("additionalInterfaces", json!([{ "url": own, "transport": BINDING }]));
        if let Some(Value::Object(capabilities)) = shown.get_mut("capabilities") {
            for name in ["pushNotifications", "extendedAgentCard"] {
                if capabilities.contains_key(name) {
                    capabilities.insert(name.to_owned(), Value::from(false));
                }
            }
        }
        if let Some(Value::Array(interfaces)) = shown.get_mut("supportedInterfaces") {
            interfaces.retain(|one| is_ours(one, "protocolBinding"));
            interfaces.iter_mut().for_each(|one| call::put(one, "url", own));
        }
        Value::Object(shown)
    }
}

fn is_ours(interface: &Value, binding: &str) -> bool {
    interface.get(binding).and_then(Value::as_str) == Some(BINDING)
}

fn is_of_older(version: Option<&str>) -> bool {
    version.is_some_and(|version| version.starts_with("0."))
}

fn is_same_host(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    host(one).is_some() && host(one) == host(other) && port(one) == port(other) && one.scheme() == other.scheme()
}

/// A card leads nowhere but to its own host, is five tools, and is shown with no address but ours.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &[u8]) {
    let agent = Uri::from_static("https://agent.example/a");
    let Ok(card) = Card::read(text, &agent) else { return };
    for era in [Era::Older, Era::Newer] {
        assert!(card.endpoint(era).is_none_or(|uri| is_same_host(uri, &agent)), "another host");
    }
    let definitions = card.definitions();
    assert_eq!(definitions.get("tools").and_then(Value::as_array).map(Vec::len), Some(5));
    let shown = card.shown("ours");
    assert!(shown.get("url").is_none_or(|url| url == "ours"), "an address of the agent");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(says: Value) -> Card {
        let Value::Object(says) = says else { panic!() };
        Card::new(says, &"https://agent.example/a".parse().unwrap())
    }

    #[test]
    fn a_card_leads_nowhere_but_to_its_own_host() {
        for url in
            ["http://agent.example/a", "https://agent.example:8443/", "https://evil.example/", "ftp://x", "/a", ""]
        {
            let card =
                card(json!({ "url": url, "supportedInterfaces": [{ "url": url, "protocolBinding": "JSONRPC" }] }));
            assert_eq!(card.endpoint(Era::Older), None, "{url}");
            assert_eq!(card.endpoint(Era::Newer), None, "{url}");
        }
        let good = card(json!({ "url": "https://AGENT.example:443/rpc" }));
        assert!(good.endpoint(Era::Newer).is_some());
    }

    #[test]
    fn each_generation_has_its_own_address() {
        let at = |card: &Card, era| card.endpoint(era).map(ToString::to_string);
        let both =
            card(json!({ "url": "https://agent.example/old", "preferredTransport": "GRPC", "supportedInterfaces": [
            { "url": "https://agent.example/grpc", "protocolBinding": "GRPC", "protocolVersion": "1.0" },
            { "url": "https://agent.example/new", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" },
            { "url": "https://agent.example/older", "protocolBinding": "JSONRPC", "protocolVersion": "0.3" },
        ] }));
        assert_eq!(at(&both, Era::Older).as_deref(), Some("https://agent.example/older"));
        assert_eq!(at(&both, Era::Newer).as_deref(), Some("https://agent.example/new"));
    }

    #[test]
    fn what_is_shown_names_this_door_only_and_offers_what_passes_it() {
        let card = card(json!({
            "name": "helper",
            "url": "https://agent.example/a",
            "additionalInterfaces": [{ "url": "https://agent.example/grpc", "transport": "GRPC" }],
            "supportedInterfaces": [
                { "url": "https://agent.example/rest", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0" },
                { "url": "https://agent.example/new", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" },
            ],
            "capabilities": { "streaming": true, "pushNotifications": true },
            "signatures": [{ "protected": "x" }],
        }));
        let shown = card.shown("http://127.0.0.1:7/a2a/helper");
        assert!(!shown.to_string().contains("agent.example"), "{shown}");
        assert_eq!(shown["supportedInterfaces"].as_array().map(Vec::len), Some(1));
        assert_eq!(shown["capabilities"], json!({ "streaming": true, "pushNotifications": false }));
        assert!(shown.get("signatures").is_none());
    }

    #[test]
    fn every_tool_is_another_if_the_card_is() {
        let one = card(json!({ "name": "helper", "skills": [] })).definitions();
        let other = card(json!({ "name": "helper", "skills": [{ "id": "x" }] })).definitions();
        let signed = card(json!({ "name": "helper", "skills": [], "signatures": [1] })).definitions();
        assert_eq!(one, signed);
        let tools = |list: &Value| list["tools"].as_array().cloned().unwrap();
        assert!(tools(&one).iter().zip(&tools(&other)).all(|(one, other)| one != other));
    }
}

//! Handles: the `Mcp-Session-Id` that a client gets.
//!
//! It is sealed and says what any replica needs to go on: the server's own session id, or how the client opened a
//! conversation that the gateway holds. So there is no table of sessions, and a handle that somebody else shows, or
//! that is shown at another server, or that is too old, is no session. A handle is no credential: the agent signs in
//! with every request.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::header::{HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::Request;
use crate::seal::{self, Sealer};
use crate::session::Caller;
use crate::upstream::remote::SESSION_HEADER;

/// How long a session lasts at most; its client then opens another.
const LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The longest session id of a server that is taken, in bytes.
const ID_MAX_BYTES: usize = 1_024;
/// The longest opening that is carried, in bytes.
const OPENING_MAX_BYTES: usize = 2_048;
/// The longest handle that is looked at, in bytes.
const HANDLE_MAX_BYTES: usize = 8_192;

/// What a session id that a client shows stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Handle {
    /// The session's name at the server, or in this gateway where the gateway holds the conversation.
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
    /// Seconds since 1970.
    expires: i64,
}

/// A conversation that the gateway holds: with a server that it started, a translated one, or all servers as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The parameters of the client's `initialize` with the version that was agreed on; absent if they are too long
    /// to carry, and then only the replica that holds the conversation can go on with it.
    pub(crate) opening: Option<Value>,
}

impl Handle {
    /// A conversation that the gateway holds under this name.
    pub(crate) fn held(id: &HeaderValue, opening: Option<Value>) -> Option<Self> {
        Some(Self { id: id.to_str().ok()?.to_owned(), held: Some(Held { opening }), expires: 0 })
    }

    /// The name of the session where it is held.
    pub(crate) fn id(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.id).ok()
    }

    /// What the gateway holds, if it does.
    pub(crate) fn holds(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// The handle as the client gets it.
    pub(crate) fn sealed(
        mut self,
        sealer: &Sealer,
        (caller, server): (&Caller, &str),
        now: Timestamp,
    ) -> Option<HeaderValue> {
        self.expires = (now + LASTS).as_second();
        let text = serde_json::to_vec(&self).ok()?;
        let sealed = sealer.seal(&about(caller, server), &text)?;
        HeaderValue::from_str(&BASE64_URL_SAFE_NO_PAD.encode(sealed)).ok()
    }

    /// What a handle says, if we gave it to this caller for this server and it still lasts.
    pub(crate) fn open(
        handle: &HeaderValue,
        sealer: &Sealer,
        (caller, server): (&Caller, &str),
        now: Timestamp,
    ) -> Option<Self> {
        let handle = Some(handle.as_bytes()).filter(|handle| handle.len() <= HANDLE_MAX_BYTES)?;
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(handle).ok()?;
        let text = sealer.open_sealed(&about(caller, server), &sealed)?;
        let handle: Self = serde_json::from_slice(&text).ok()?;
        (handle.expires > now.as_second()).then_some(handle)
    }
}

/// Puts our handle in place of a server's session id. One that is too long to carry is left out, so that the client
/// has no session rather than one that nobody can go on with.
pub(crate) fn seal_header(headers: &mut HeaderMap, sealer: &Sealer, of: (&Caller, &str), now: Timestamp) {
    let Some(id) = headers.remove(SESSION_HEADER) else { return };
    let id = id.to_str().ok().filter(|id| id.len() <= ID_MAX_BYTES).map(str::to_owned);
    let handle = id.and_then(|id| Handle { id, held: None, expires: 0 }.sealed(sealer, of, now));
    match handle {
        Some(handle) => drop(headers.insert(SESSION_HEADER, handle)),
        None => tracing::warn!(server = of.1, "a server's session id cannot be carried"),
    }
}

/// How a client opened a conversation, short enough to carry.
pub(crate) fn opening(request: &Request, agreed: Option<&Value>) -> Option<Value> {
    let params: Value = serde_json::from_str(request.params()).ok()?;
    let info = |name: &str| params.pointer(&format!("/clientInfo/{name}")).cloned().unwrap_or_default();
    let opening = json!({
        "protocolVersion": agreed.or_else(|| params.get("protocolVersion"))?,
        "capabilities": params.get("capabilities")?,
        "clientInfo": { "name": info("name"), "version": info("version") },
    });
    (opening.to_string().len() <= OPENING_MAX_BYTES).then_some(opening)
}

/// What a handle is bound to.
fn about(caller: &Caller, server: &str) -> Vec<u8> {
    seal::about("mcp session", [&caller.principal.agent, &caller.principal.user, server])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use policy::{Door, Principal};

    use super::*;
    use crate::session::{Key, Sessions};

    fn caller(agent: &str, user: &str) -> Caller {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::Named { agent: agent.to_owned(), name: "x".to_owned() };
        let session = Sessions::new(dir.path().to_owned(), None).join(&[key], || "s".to_owned());
        let (agent, user) = (agent.to_owned(), user.to_owned());
        let principal =
            Principal { agent, user, session: "s".to_owned(), delegation: vec![], evidence: BTreeMap::new() };
        Caller { door: Door::McpHttp, principal, session }
    }

    #[test]
    fn a_handle_is_good_for_its_agent_user_and_server_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(&dir.path().join("key")).unwrap();
        let (ann, now) = (caller("ann", "u"), Timestamp::UNIX_EPOCH);
        let opening = Some(json!({"protocolVersion": "2025-06-18"}));
        let handle = Handle::held(&HeaderValue::from_static("id"), opening).unwrap();
        let sealed = handle.clone().sealed(&sealer, (&ann, "files"), now).unwrap();
        let opened = |caller: &Caller, server: &str, now| Handle::open(&sealed, &sealer, (caller, server), now);
        assert_eq!(opened(&ann, "files", now).and_then(|handle| handle.held), handle.held);
        assert!(opened(&ann, "files", now + LASTS - SignedDuration::from_secs(1)).is_some());
        assert!(opened(&ann, "files", now + LASTS).is_none());
        assert!(opened(&ann, "mail", now).is_none());
        assert!(opened(&caller("bob", "u"), "files", now).is_none());
        assert!(opened(&caller("ann", "v"), "files", now).is_none());
        assert!(opened(&caller("an", "nu"), "files", now).is_none());
        assert!(Handle::open(&HeaderValue::from_static("id"), &sealer, (&ann, "files"), now).is_none());
        let long = HeaderValue::from_str(&"a".repeat(HANDLE_MAX_BYTES + 1)).unwrap();
        assert!(Handle::open(&long, &sealer, (&ann, "files"), now).is_none());
    }
}

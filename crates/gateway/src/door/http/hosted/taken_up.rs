//! Sessions that began elsewhere: at another replica, or before a restart.
//!
//! The server is started here, too, and opened as the session's client opened it, with what its handle carries. What a
//! server keeps in its process it therefore keeps once for each replica. A session that ended here stays ended, and
//! one whose handle does not say how it was opened is known only where it began.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Response as HttpResponse, StatusCode};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{EVENTS, Event, Host, Refused, Visit, Waiting};
use crate::call::{self, Message, Notification, Request};
use crate::door::http::handle::{Handle, Held};
use crate::door::http::wire::{Reply, nothing, plain};

/// How long a server may take to open.
const OPEN_WAIT: Duration = Duration::from_secs(60);

impl Visit {
    /// The conversation of this session, opened here in its client's name if it began elsewhere.
    pub(super) async fn taken_up(&self) -> Result<Arc<Host>, Refused> {
        let place = self.place();
        let none = || (StatusCode::NOT_FOUND, "no such session".to_owned());
        let host = match self.known() {
            Some(host) => host,
            None if self.door.hosts.has_ended(&place) => return Err(none()),
            None if self.opening().is_none() => return Err(none()),
            None => self.known_or_started(place)?,
        };
        let opened = host.opened.get_or_try_init(|| self.open(&host)).await;
        match opened {
            Ok(()) => Ok(host),
            Err(why) => {
                host.over.notify_one();
                tracing::warn!(server = self.server, why, "a session of another replica could not be taken up");
                Err(none())
            }
        }
    }

    fn opening(&self) -> Option<&Value> {
        self.session.as_ref().and_then(Handle::holds).and_then(|Held { opening }| opening.as_ref())
    }

    async fn open(&self, host: &Arc<Host>) -> Result<(), &'static str> {
        let opening = self.opening().ok_or("its handle does not say how it was opened")?;
        let number = self.door.shared.authority.own_id();
        let request = Request::own(number, "initialize", opening).map_err(|_| "its opening is none")?;
        let (events, mut came) = mpsc::channel(EVENTS);
        let wait = Waiting::begin(host.clone(), &request, events, false);
        host.to_server.send(wait.line.clone()).await.map_err(|_| "the server ended")?;
        let answer = async {
            loop {
                match came.recv().await {
                    Some(Event::Answer(bytes)) => break Some(bytes),
                    // What a server says before it is open is for nobody here.
                    Some(Event::Aside(_)) => {}
                    Some(Event::Cancelled) | None => break None,
                }
            }
        };
        let answer = tokio::time::timeout(OPEN_WAIT, answer).await.map_err(|_| "the server did not open in time")?;
        match agreed_on(&answer.ok_or("the server ended")?) {
            Some(version) if opening.get("protocolVersion") == Some(&version) => Ok(()),
            _ => Err("the server does not agree on the version that it agreed on before"),
        }
    }

    /// The client says that it is open. A server hears that once, from whichever replica runs it.
    pub(super) async fn opens_fully(&self, note: Notification) -> HttpResponse<Reply> {
        match self.known() {
            Some(host) if !self.is_stateless && host.told.swap(true, Ordering::AcqRel) => nothing(),
            _ => self.aside(note.raw().clone()).await,
        }
    }

    /// A message to a conversation that runs at another replica, if anywhere: nobody here waits for it.
    pub(super) fn elsewhere(&self) -> HttpResponse<Reply> {
        let is_ours = self.opening().is_some() && !self.door.hosts.has_ended(&self.place());
        if is_ours { nothing() } else { plain(StatusCode::NOT_FOUND, "no such session") }
    }
}

impl Host {
    /// Tells a server that it is open, if nobody has: the client's own word may have gone to another replica.
    pub(super) async fn tell_open(&self) {
        if !self.told.swap(true, Ordering::AcqRel) {
            let line = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
            // Gone: the request that comes next says so.
            drop(self.to_server.send(line).await);
        }
    }
}

/// The version that an answer to an `initialize` agrees on.
pub(super) fn agreed_on(answer: &Bytes) -> Option<Value> {
    let Ok(Message::Response(response)) = Message::read(answer.clone()) else { return None };
    let [version] = call::fields(response.body(), &["protocolVersion"]).ok().filter(|_| !response.is_error)?;
    serde_json::from_str(version?.get()).ok()
}

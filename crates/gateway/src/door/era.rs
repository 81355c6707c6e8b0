//! Between a conversation and a server of another era: the protocol with an opening handshake (2024-11-05 to
//! 2025-11-25) and the one without sessions (2026-07-28).
//!
//! As long as both sides speak the same era every line passes as it is. Who is translated sees its own era only; what
//! cannot be translated stands in `docs/mcp.md`. This module never decides: it stands on the server's side of what
//! does, so a request that it passes was permitted, and a request that it makes of a server's result is judged.

mod newer;
mod older;

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::mpsc;

use crate::call::{self, Id, Message, Request, Response};
use crate::lines::{Line, Lines};
use crate::upstream::link::{QUEUE, pump};

/// The version without sessions that is spoken.
pub(crate) const STATELESS: &str = "2026-07-28";
/// The version with a handshake that is asked for.
pub(crate) const HANDSHAKE: &str = "2025-11-25";
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_KEY: &str = "io.modelcontextprotocol/clientInfo";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";
const LOG_KEY: &str = "io.modelcontextprotocol/logLevel";

/// How long a server may take to say which era it speaks: it may have just been started.
const PROBE_WAIT: Duration = Duration::from_secs(20);
/// How much of a message is under way.
const PIPE_BYTES: usize = 64 * 1024;
/// The most requests that the translation remembers of one conversation.
const OPEN_MAX: usize = 1_024;

/// Stands between a conversation and its server; answers what the conversation reads and writes instead.
pub(crate) fn bridge<S, T>(from_server: S, to_server: T) -> (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>)
where
    S: AsyncRead + Unpin + Send + Sync + 'static,
    T: AsyncWrite + Unpin + Send + 'static,
{
    stand_between(from_server, to_server, false)
}

/// The same before a server that is known to have a handshake, so that even a client's first question is translated.
pub(crate) fn before_handshake<S, T>(from_server: S, to_server: T) -> (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>)
where
    S: AsyncRead + Unpin + Send + Sync + 'static,
    T: AsyncWrite + Unpin + Send + 'static,
{
    stand_between(from_server, to_server, true)
}

fn stand_between<S, T>(
    from_server: S,
    to_server: T,
    has_handshake: bool,
) -> (ReadHalf<DuplexStream>, WriteHalf<DuplexStream>)
where
    S: AsyncRead + Unpin + Send + Sync + 'static,
    T: AsyncWrite + Unpin + Send + 'static,
{
    let (ours, theirs) = duplex(PIPE_BYTES);
    let (from_client, to_client) = split(theirs);
    let (client, client_queue) = mpsc::channel(QUEUE);
    let (server, server_queue) = mpsc::channel(QUEUE);
    tokio::spawn(pump(client_queue, to_client));
    tokio::spawn(pump(server_queue, to_server));
    let ends = Ends { clients: Lines::new(from_client), servers: Lines::new(from_server), client, server, next: 0 };
    // Ends when either side does: then the other's end is dropped, which it sees.
    tokio::spawn(async move { drop(run(ends, has_handshake).await) });
    split(ours)
}

/// The four ends, and a number for requests of our own.
struct Ends<R, S> {
    clients: Lines<R>,
    servers: Lines<S>,
    client: mpsc::Sender<Bytes>,
    server: mpsc::Sender<Bytes>,
    next: u64,
}

/// One side is gone.
#[derive(Debug)]
struct Over;

/// A message, and which side it came from.
enum From {
    Client(Bytes),
    Server(Bytes),
}

async fn run<R: AsyncRead + Unpin, S: AsyncRead + Unpin>(
    mut ends: Ends<R, S>,
    has_handshake: bool,
) -> Result<(), Over> {
    let mut is_old = false;
    loop {
        let line = match ends.next().await? {
            From::Client(line) => line,
            From::Server(line) => {
                ends.tell_client(line).await?;
                continue;
            }
        };
        let Ok(Message::Request(request)) = Message::read(line.clone()) else {
            ends.tell_server(line).await?;
            continue;
        };
        if request.method == "initialize" {
            if let Some(client) = ends.greet(&request).await? {
                return older::run(ends, client).await;
            }
            return ends.pass().await;
        }
        let Some(envelope) = call::envelope(&request).filter(|_| call::is_stateless(&request)) else {
            ends.tell_server(line).await?;
            continue;
        };
        if has_handshake {
            return newer::run(ends, request, &envelope).await;
        }
        if request.method == "server/discover" {
            ends.tell_server(line).await?;
            let answer = ends.answer_to(&request.id).await?;
            let Some(answer) = answer else { continue };
            let is_new = speaks_stateless(&answer);
            ends.tell_client(answer.raw().clone()).await?;
            if is_new {
                return ends.pass().await;
            }
            // A client that speaks both eras hears it and opens the other; one that goes on is translated.
            is_old = true;
            continue;
        }
        if !is_old && ends.discover(&envelope).await?.is_some() {
            ends.tell_server(line).await?;
            return ends.pass().await;
        }
        return newer::run(ends, request, &envelope).await;
    }
}

impl<R: AsyncRead + Unpin, S: AsyncRead + Unpin> Ends<R, S> {
    /// The next message of either side. A line that is too long is no message.
    async fn next(&mut self) -> Result<From, Over> {
        loop {
            let (line, is_client) = tokio::select! {
                line = self.clients.next() => (line, true),
                line = self.servers.next() => (line, false),
            };
            match line {
                Some(Line::Whole(line)) if is_client => return Ok(From::Client(line)),
                Some(Line::Whole(line)) => return Ok(From::Server(line)),
                Some(Line::TooLong) => tracing::warn!("dropped a message that is too large"),
                None => return Err(Over),
            }
        }
    }

    async fn tell_client(&self, line: Bytes) -> Result<(), Over> {
        self.client.send(line).await.map_err(|_| Over)
    }

    async fn tell_server(&self, line: Bytes) -> Result<(), Over> {
        self.server.send(line).await.map_err(|_| Over)
    }

    async fn answer_client(&self, id: &Id, result: &Value) -> Result<(), Over> {
        self.tell_client(Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))).await
    }

    async fn answer_server(&self, id: &Id, result: &Value) -> Result<(), Over> {
        self.tell_server(Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))).await
    }

    /// An id of our own towards the client or the server.
    fn own_id(&mut self) -> Id {
        self.next += 1;
        Id::of_bridge(self.next)
    }

    /// Asks the server something of our own; its answer comes like any other.
    async fn ask_server(&mut self, method: &str, params: &Value) -> Result<Id, Over> {
        let id = self.own_id();
        let line = json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string();
        let line = format!(r#"{{"id":{id},{}"#, line.get(1..).unwrap_or_default());
        self.tell_server(Bytes::from(line)).await?;
        Ok(id)
    }

    /// Waits for the server's answer to one request; `None` if it takes too long. Everything else passes meanwhile.
    async fn answer_to(&mut self, id: &Id) -> Result<Option<Response>, Over> {
        let wait = tokio::time::sleep(PROBE_WAIT);
        tokio::pin!(wait);
        loop {
            let line = tokio::select! {
                line = self.servers.next() => line.ok_or(Over)?,
                () = &mut wait => return Ok(None),
            };
            let Line::Whole(line) = line else { continue };
            match Message::read(line.clone()) {
                Ok(Message::Response(response)) if response.id == *id => return Ok(Some(response)),
                _ => self.tell_client(line).await?,
            }
        }
    }

    /// What the server says of itself, if it speaks the protocol without sessions.
    async fn discover(&mut self, envelope: &Value) -> Result<Option<Value>, Over> {
        let id = self.ask_server("server/discover", &json!({ "_meta": envelope })).await?;
        let Some(answer) = self.answer_to(&id).await? else { return Ok(None) };
        Ok(speaks_stateless(&answer).then(|| serde_json::from_str(answer.body()).ok()).flatten())
    }

    /// A client opens with a handshake: the server's answer passes, unless the server knows no handshakes. Then, what
    /// the client said of itself and the server of itself.
    async fn greet(&mut self, request: &Request) -> Result<Option<older::Opening>, Over> {
        self.tell_server(request.raw().clone()).await?;
        // No limit: a server may take its time to start, and the client has its own patience.
        let answer = loop {
            if let Some(answer) = self.answer_to(&request.id).await? {
                break answer;
            }
        };
        if answer.is_error {
            let opening: Value = serde_json::from_str(request.params()).unwrap_or_default();
            let envelope = older::envelope(&opening, None);
            if let Some(server) = self.discover(&envelope).await? {
                return Ok(Some(older::Opening { id: request.id.clone(), opening, server }));
            }
        }
        self.tell_client(answer.raw().clone()).await?;
        Ok(None)
    }

    /// Both sides speak the same era: every line passes, in both directions side by side.
    async fn pass(self) -> Result<(), Over> {
        let Self { clients, servers, client, server, .. } = self;
        tokio::select! {
            () = relay(clients, server) => {}
            () = relay(servers, client) => {}
        }
        Ok(())
    }
}

async fn relay<R: AsyncRead + Unpin>(mut from: Lines<R>, to: mpsc::Sender<Bytes>) {
    while let Some(line) = from.next().await {
        let Line::Whole(line) = line else {
            tracing::warn!("dropped a message that is too large");
            continue;
        };
        if to.send(line).await.is_err() {
            return;
        }
    }
}

pub(crate) fn speaks_stateless(answer: &Response) -> bool {
    let versions = || {
        let [versions] = call::fields(answer.body(), &["supportedVersions"]).ok()?;
        serde_json::from_str::<Vec<String>>(versions?.get()).ok()
    };
    !answer.is_error && versions().is_some_and(|versions| versions.iter().any(|version| version == STATELESS))
}

/// What a client said of itself in a handshake, as the protocol without sessions says it.
pub(crate) fn envelope_of(opening: &Value) -> Value {
    older::envelope(opening, None)
}

/// An error answer.
fn refused(id: &Id, text: &str) -> Bytes {
    crate::answer::error(Some(id), -32_601, text)
}

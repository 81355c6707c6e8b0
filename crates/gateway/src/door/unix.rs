//! The Unix socket of the gateway: MCP stdio shims, hooks, and a few orders of the same user.
//!
//! The peer is whoever the kernel says it is, and must be the user that the gateway runs as; what a hello
//! says of agent and server is a claim within that user.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ledger::Record;
use policy::{Door, Principal};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};

use crate::answer;
use crate::call::{Message, Request};
use crate::door::era;
use crate::door::hello::{ACCEPTED, Change, Configured, HELLO_MAX_BYTES, Hello, Mcp, Reply};
use crate::door::joined;
use crate::door::orders;
use crate::door::relay::{self, Ends, Parties};
use crate::gateway::Shared;
use crate::hook;
use crate::identity;
use crate::session::{Caller, Key};
use crate::upstream::child::{Program, Server};

/// How long a peer has to say hello.
const HELLO_WAIT: Duration = Duration::from_secs(5);

/// Binds the socket. The ledger's lock is held, so a socket that lies there already is a dead one's.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves one connection.
pub(crate) async fn serve(shared: Arc<Shared>, stream: UnixStream) {
    let peer = match stream.peer_cred() {
        Ok(peer) if peer.uid() == rustix::process::getuid().as_raw() => peer,
        Ok(peer) => return tracing::warn!(uid = peer.uid(), "refused a connection of another user"),
        Err(error) => return tracing::warn!(%error, "refused a connection of nobody"),
    };
    let mut opening = Opening::default();
    let hello = match tokio::time::timeout(HELLO_WAIT, opening.read(&stream)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(error)) => return tracing::warn!(%error, "refused a connection without a hello"),
        Err(_) => return tracing::debug!("a connection said nothing"),
    };
    let Some(_running) = shared.enter() else {
        return tracing::info!("refused a connection: the gateway is ending");
    };
    let mut stream = stream;
    if stream.write_all(&[ACCEPTED]).await.is_err() {
        return;
    }
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    if hello.loosens()
        && let Some(agent) = identity::agent_above(pid)
    {
        let error =
            format!("the command comes from below `{agent}`: no agent may allow itself more; run it in a terminal");
        return reply(stream, &Reply::Failed { error }).await;
    }
    let answer = match hello {
        Hello::Mcp(hello) => return mcp(&shared, stream, opening, Peer { pid, uid: peer.uid() }, hello).await,
        Hello::McpAll { agent } => return all(&shared, stream, opening, Peer { pid, uid: peer.uid() }, &agent).await,
        Hello::ApproveTools { server, pins } => {
            match shared.approve(&server, &pins, orders::who(peer.uid(), "tools approve")).await {
                Ok(approved) => Reply::Done { output: serde_json::json!({ "tools": approved }) },
                Err(error) => Reply::Failed { error },
            }
        }
        Hello::WaitingTools { server } => {
            Reply::Done { output: serde_json::json!({ "tools": shared.authority.catalogue.waiting(&server) }) }
        }
        Hello::Memory { forget: Some(entry) } => forget(&shared, entry, orders::who(peer.uid(), "memory forget")).await,
        Hello::Memory { forget: None } => Reply::Done { output: serde_json::json!(shared.authority.memory.list()) },
        Hello::Configured { changes } => configured(&shared, peer.uid(), changes).await,
        Hello::Ledger(change) => change_ledger(&shared, change, peer.uid()).await,
        Hello::Order(order) => orders::obey(&shared, Peer { pid, uid: peer.uid() }, order).await,
        Hello::Yield { force } => shared.give_way(force),
        Hello::Hook(hook) => hook::answer(&shared, Peer { pid, uid: peer.uid() }, hook).await,
    };
    reply(stream, &answer).await;
}

async fn reply(mut stream: UnixStream, answer: &Reply) {
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    drop(stream.write_all(&line).await);
}

/// Order: the entry first. What is forgotten no longer holds a later session back, so that is never without a record.
async fn forget(shared: &Shared, entry: u64, by: String) -> Reply {
    let details = [("entry".to_owned(), Value::from(entry)), ("by".to_owned(), Value::from(by))].into_iter().collect();
    let record = Record::Log { event: "forgotten".to_owned(), details };
    match shared.authority.journal.append(record).await {
        Ok(_) => Reply::Done { output: serde_json::json!({ "forgotten": shared.authority.memory.forget(entry) }) },
        Err(error) => Reply::Failed { error: error.to_string() },
    }
}

async fn change_ledger(shared: &Shared, change: Change, uid: u32) -> Reply {
    let authority = shared.authority.clone();
    let make = move || {
        let journal = &authority.journal;
        change.make(journal.ledger(), (uid, journal.now()), |subject| authority.erase(subject))
    };
    match tokio::task::spawn_blocking(make).await {
        Ok(Ok(output)) => Reply::Done { output },
        Ok(Err(error)) => Reply::Failed { error: error.to_string() },
        Err(error) => Reply::Failed { error: error.to_string() },
    }
}

async fn configured(shared: &Shared, uid: u32, changes: Vec<Configured>) -> Reply {
    for change in changes {
        if let Err(error) = shared.authority.journal.append(change.record(uid)).await {
            return Reply::Failed { error: error.to_string() };
        }
    }
    Reply::Done { output: Value::Null }
}

/// Who the kernel says is at the other end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) pid: u32,
    pub(crate) uid: u32,
}

/// The bytes up to the end of the hello, what came after them, and the file that came with them.
#[derive(Debug, Default)]
struct Opening {
    held: BytesMut,
    stderr: Option<OwnedFd>,
}

impl Opening {
    async fn read(&mut self, stream: &UnixStream) -> io::Result<Hello> {
        let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
        let end = loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                break end;
            }
            if self.held.len() > HELLO_MAX_BYTES {
                return Err(invalid("the hello is too long"));
            }
            if stream.async_io(Interest::READABLE, || self.receive(stream)).await? == 0 {
                return Err(invalid("the peer left"));
            }
        };
        let line = self.held.split_to(end + 1);
        serde_json::from_slice(&line).map_err(|error| invalid(&error.to_string()))
    }

    fn receive(&mut self, stream: &UnixStream) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let read = {
            let mut slices = [io::IoSliceMut::new(&mut buffer)];
            recvmsg(stream, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?.bytes
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut files) = message {
                self.stderr = self.stderr.take().or(files.next());
            }
        }
        self.held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

async fn mcp(shared: &Arc<Shared>, stream: UnixStream, opening: Opening, peer: Peer, hello: Mcp) {
    let program = Program { command: hello.command, env: hello.env, cwd: Some(hello.cwd.clone()) };
    let stderr = opening.stderr.map_or_else(Stdio::null, Stdio::from);
    let (from_client, to_client) = stream.into_split();
    // What was read beyond the hello comes first.
    let from_client = io::Cursor::new(opening.held.freeze()).chain(from_client);
    let (server, to_server, from_server) = match Server::start(&program, shared.minder.as_ref(), stderr) {
        Ok(started) => started,
        Err(error) => {
            let name = program.command.first().cloned().unwrap_or_default();
            let text = format!("cannot start the server `{}`: `{name}`: {error}", hello.server);
            tracing::warn!("{text}");
            return turn_away(from_client, to_client, &text).await;
        }
    };
    // The server starts up while the caller's program is digested, which takes a while if it is large.
    let caller = caller(shared, Door::McpStdio, peer, &hello.agent, None).await;
    caller.session.protects(&hello.server);
    let facts = [("project".to_owned(), Value::from(hello.cwd.to_string_lossy().into_owned()))];
    let parties = Parties { caller, server: hello.server, facts: facts.into() };
    let (from_server, to_server) = era::bridge(from_server, to_server);
    let ends = Ends { from_client, to_client, from_server, to_server };
    tokio::select! {
        () = relay::run(shared.authority.clone(), parties, ends) => {}
        () = shared.closing() => {}
    }
    server.end(shared.authority.limits.grace).await;
}

/// All servers as one.
async fn all(shared: &Arc<Shared>, stream: UnixStream, opening: Opening, peer: Peer, agent: &str) {
    let (from_client, mut to_client) = stream.into_split();
    let mut from_client = io::Cursor::new(opening.held.freeze()).chain(from_client);
    let caller = caller(shared, Door::McpStdio, peer, agent, None).await;
    let (mut from_joint, mut to_joint) = joined::open(shared.clone(), caller, &shared.fronts().upstreams);
    let there = async {
        drop(tokio::io::copy(&mut from_client, &mut to_joint).await);
        drop(to_joint.shutdown().await);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = there => {}
        _ = tokio::io::copy(&mut from_joint, &mut to_client) => {}
        () = shared.closing() => {}
    }
}

/// Who calls, known by the agent's process: shims and hooks are its children.
pub(crate) async fn caller(shared: &Arc<Shared>, door: Door, peer: Peer, agent: &str, name: Option<&str>) -> Caller {
    let process = identity::agent_process(peer.pid).or_else(|| identity::process(peer.pid));
    let programs = shared.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let pid = process.map_or(peer.pid, |process| process.pid);
        (programs.programs.evidence(pid, peer.uid), identity::user_name(peer.uid))
    });
    let (evidence, user) = looked.await.unwrap_or_default();
    let agent = agent.to_owned();
    let named = name.map(|name| Key::Named { agent: agent.clone(), name: name.to_owned() });
    let process =
        process.map(|process| Key::Process { agent: agent.clone(), pid: process.pid, started: process.started });
    let keys: Vec<Key> = named.into_iter().chain(process).collect();
    let session = shared.authority.sessions.join(&keys, || shared.fresh_session());
    let principal = Principal { agent, user, session: session.id.clone(), delegation: Vec::new(), evidence };
    Caller { door, principal, session }
}

/// The server did not start: every request hears why, until the client leaves.
async fn turn_away(from: impl AsyncRead + Unpin, mut to: impl tokio::io::AsyncWrite + Unpin, text: &str) {
    let mut lines = crate::lines::Lines::new(from);
    while let Some(crate::lines::Line::Whole(line)) = lines.next().await {
        let Ok(Message::Request(Request { id, .. })) = Message::read(line) else { continue };
        let mut line = answer::error(Some(&id), answer::UPSTREAM, text).to_vec();
        line.push(b'\n');
        if to.write_all(&line).await.is_err() {
            return;
        }
    }
}

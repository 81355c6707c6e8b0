//! One server of an endpoint that joins several: its start, its end, and what it says by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{mpsc, watch};

use super::{Came, Joint, PIPE_BYTES, REVERSE_MAX, Reverse, names, shapes};
use crate::answer;
use crate::call::{self, Message, Notification, Request};
use crate::door::behind::{self, Behind};
use crate::door::http::Upstream;
use crate::door::relay::{self, Ends, Parties};
use crate::lines::{Line, Lines};
use crate::upstream::link::pump;

/// How long a server may take to answer the handshake: it may be fetched first.
const START_WAIT: Duration = Duration::from_secs(60);
/// How long a call waits for its server to start.
const READY_WAIT: Duration = Duration::from_secs(15);
/// How long until a server that failed is started again, if somebody wants it.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How many messages wait for a server that does not read. Beyond it, it is told nothing more.
const INPUT: usize = 64;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// What its resources' addresses begin with here.
    pub(super) scheme: String,
    upstream: Upstream,
    phase: watch::Sender<Phase>,
    /// Its input, while it runs. Held only to look and to set.
    input: Mutex<Option<mpsc::Sender<Bytes>>>,
    /// Whether it was said that it is left out.
    is_said: AtomicBool,
}

/// The input of one conversation, which does not keep it open, and what comes in by it.
type Input = (mpsc::WeakSender<Bytes>, mpsc::Receiver<Bytes>);

#[derive(Clone, Debug)]
enum Phase {
    /// Since when, if it ran before, and why.
    Absent(Option<Instant>, String),
    Starting,
    /// With its answer to the handshake.
    Ready(Arc<Value>),
}

impl Member {
    pub(super) fn new(name: &str, upstream: &Upstream) -> Self {
        Self {
            name: name.to_owned(),
            scheme: names::scheme(name),
            upstream: upstream.clone(),
            phase: watch::Sender::new(Phase::Absent(None, "it was not started".to_owned())),
            input: Mutex::default(),
            is_said: AtomicBool::new(false),
        }
    }

    /// What it answered to the handshake, if it is there.
    pub(super) fn hello(&self) -> Option<Arc<Value>> {
        match &*self.phase.borrow() {
            Phase::Ready(hello) => Some(hello.clone()),
            Phase::Absent(..) | Phase::Starting => None,
        }
    }

    pub(super) fn logs(&self) -> bool {
        self.hello().is_some_and(|hello| hello.pointer("/capabilities/logging").is_some())
    }

    /// Waits until it is there or is not.
    pub(super) async fn started(&self) {
        let mut phase = self.phase.subscribe();
        // The sender lives as long as `self`.
        drop(phase.wait_for(|phase| !matches!(phase, Phase::Starting)).await);
    }

    /// Tells it something, without waiting.
    pub(super) fn tell(&self, line: Bytes) -> Result<(), &'static str> {
        let input = self.hold_input();
        let input = input.as_ref().ok_or("it is not there")?;
        input.try_send(line).map_err(|_| "it does not read what it is told")
    }

    pub(super) fn set_level(&self, number: u64, params: &Value) {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"logging/setLevel","params":{params}}}"#);
        // Its answer is nobody's: that the level is set is the endpoint's own word.
        let _ = self.tell(Bytes::from(line));
    }

    /// Nobody will tell it anything more, and so it ends.
    pub(super) fn close(&self) {
        self.hold_input().take();
    }

    /// Whether it is to be started now; then it is starting.
    fn is_due(&self) -> bool {
        self.phase.send_if_modified(|phase| {
            let due = match phase {
                Phase::Absent(since, _) => since.is_none_or(|since| since.elapsed() >= AGAIN_AFTER),
                Phase::Starting | Phase::Ready(_) => false,
            };
            if due {
                *phase = Phase::Starting;
            }
            due
        })
    }

    /// A message with what it names at a path as the endpoint names it.
    fn with_own(&self, raw: &Bytes, path: &[&'static str]) -> Option<Bytes> {
        let named = names::joined_uri(&self.scheme, &call::at(raw, path)?);
        call::replaced(raw, path, &Value::from(named).to_string())
    }

    fn hold_input(&self) -> MutexGuard<'_, Option<mpsc::Sender<Bytes>>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joint {
    /// Starts a server in the background, if it is not there and was not just tried.
    pub(super) fn begin(self: &Arc<Self>, at: usize) {
        if self.members.get(at).is_some_and(Member::is_due) {
            let joint = self.clone();
            tokio::spawn(async move { joint.start(at).await });
        }
    }

    /// Waits a while until a server is there; else, why it is not.
    pub(super) async fn ready(self: &Arc<Self>, at: usize) -> Result<(), String> {
        self.begin(at);
        let Some(member) = self.members.get(at) else { return Err("there is no such server".to_owned()) };
        drop(tokio::time::timeout(READY_WAIT, member.started()).await);
        match &*member.phase.borrow() {
            Phase::Ready(_) => Ok(()),
            Phase::Starting => Err("it is still starting".to_owned()),
            Phase::Absent(_, why) => Err(why.clone()),
        }
    }

    async fn start(self: Arc<Self>, at: usize) {
        let Some(member) = self.members.get(at) else { return };
        let behind = Behind::of(member.upstream.clone());
        self.shared.authority.peers.introduce(&member.name, &mut behind.hold_headers());
        let why = match behind::open(&self.shared, &behind) {
            Err(error) => format!("it cannot be started: {error}"),
            Ok(behind) => {
                let (input, lines) = mpsc::channel(INPUT);
                let ours = input.downgrade();
                *member.hold_input() = Some(input);
                tokio::spawn(self.clone().talk(at, behind, (ours, lines)));
                match tokio::time::timeout(START_WAIT, self.greet(at)).await {
                    Ok(Ok(hello)) => return self.arrives(at, hello).await,
                    Ok(Err(why)) => why,
                    Err(_) => "it did not answer the handshake in time".to_owned(),
                }
            }
        };
        tracing::warn!(server = member.name, why, "a server is left out of the joined endpoint");
        member.close();
        member.phase.send_replace(Phase::Absent(Some(Instant::now()), why));
    }

    /// The handshake in the client's name.
    async fn greet(&self, at: usize) -> Result<Value, String> {
        let opening = self.opening.get().cloned().unwrap_or_default();
        let answer = self.ask(at, "initialize", &opening).await.ok_or("it ended before it answered the handshake")?;
        if answer.is_error {
            let [message] = call::fields(answer.body(), &["message"]).unwrap_or_default();
            let message = message.and_then(|message| serde_json::from_str::<String>(message.get()).ok());
            return Err(format!("it refused the handshake: {}", message.unwrap_or_default()));
        }
        self.pass_on(at, Some(Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)));
        Ok(serde_json::from_str(answer.body()).unwrap_or_default())
    }

    async fn arrives(&self, at: usize, hello: Value) {
        let Some(member) = self.members.get(at) else { return };
        member.phase.send_replace(Phase::Ready(Arc::new(hello)));
        let level = self.level.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(level) = level.filter(|_| member.logs()) {
            member.set_level(self.next.fetch_add(1, Ordering::Relaxed), &level);
        }
        member.is_said.store(false, Ordering::Release);
        self.lists_changed().await;
    }

    /// A server came late or left: the client has to list again.
    async fn lists_changed(&self) {
        if !self.is_open.load(Ordering::Acquire) {
            return;
        }
        for list in ["tools", "prompts", "resources"] {
            let line = format!(r#"{{"jsonrpc":"2.0","method":"notifications/{list}/list_changed"}}"#);
            let _ = self.tell(Bytes::from(line)).await;
        }
    }

    /// Says once that a server is left out, to the client and in the log.
    pub(super) async fn leaves_out(&self, at: usize, why: &str) {
        let Some(member) = self.members.get(at) else { return };
        if member.is_said.swap(true, Ordering::AcqRel) {
            return;
        }
        let why = match &*member.phase.borrow() {
            Phase::Absent(_, why) => why.clone(),
            Phase::Starting => "it is still starting".to_owned(),
            Phase::Ready(_) => why.to_owned(),
        };
        tracing::warn!(server = member.name, why, "a server is left out of the joined endpoint");
        let params = json!({ "level": "warning", "logger": "bailiwick", "data": format!("`{}` is left out: {why}", member.name) });
        let line = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params });
        let _ = self.tell(Bytes::from(line.to_string())).await;
    }

    /// One server's conversation, to its end.
    async fn talk(self: Arc<Self>, at: usize, behind: behind::Open, (input, lines): Input) {
        let Some(member) = self.members.get(at) else { return };
        let behind::Open { process, from_server, to_server } = behind;
        if let Some(_running) = self.shared.enter() {
            let (ours, theirs) = duplex(PIPE_BYTES);
            let ((from_client, to_client), (from_relay, to_relay)) = (split(theirs), split(ours));
            self.caller.session.protects(&member.name);
            let facts = behind::facts(&member.upstream);
            let parties = Parties { caller: self.caller.clone(), server: member.name.clone(), facts };
            let ends: Ends<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>, _, _> =
                Ends { from_client, to_client, from_server, to_server };
            let talk = async {
                tokio::join!(
                    relay::run(self.shared.authority.clone(), parties, ends),
                    self.read_member(at, Lines::new(from_relay))
                )
            };
            let feed = async {
                pump(lines, to_relay).await;
                // The relay ends by itself when its client has.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _ = talk => {}
                () = feed => {}
                () = self.shared.closing() => {}
            }
        }
        // Closed by us already, another conversation may have begun.
        if input.upgrade().is_some() {
            self.leaves(at).await;
        }
        if let Some(process) = process {
            process.end(self.shared.authority.limits.grace).await;
        }
    }

    async fn leaves(&self, at: usize) {
        let Some(member) = self.members.get(at) else { return };
        member.close();
        // Who waits for an answer hears that none comes.
        self.hold_open().retain(|_, open| open.member != at);
        self.hold_reverse().retain(|_, reverse| reverse.member != at);
        let was_ready = member.phase.send_if_modified(|phase| {
            let was_ready = matches!(phase, Phase::Ready(_));
            if was_ready {
                *phase = Phase::Absent(Some(Instant::now()), "it has ended".to_owned());
            }
            was_ready
        });
        if was_ready {
            self.lists_changed().await;
        }
    }

    async fn read_member<R: AsyncRead + Unpin>(&self, at: usize, mut lines: Lines<R>) {
        while let Some(line) = lines.next().await {
            let Line::Whole(line) = line else { continue };
            let passed = match Message::read(line) {
                Ok(Message::Response(response)) => {
                    let number = response.id.json().parse().ok();
                    let mut open = self.hold_open();
                    let is_own = |number: &u64| open.get(number).is_some_and(|open| open.member == at);
                    let found = number.filter(is_own).and_then(|number| open.remove(&number));
                    drop(open);
                    if let Some(found) = found {
                        drop(found.came.send(Came::Answer(response)));
                    }
                    Ok(())
                }
                Ok(Message::Notification(note)) => match self.member_tells(at, &note) {
                    Some(line) => self.tell(line).await,
                    None => Ok(()),
                },
                Ok(Message::Request(request)) => match self.member_asks(at, &request) {
                    Ok(line) => self.tell(line).await,
                    Err(refusal) => {
                        self.pass_on(at, Some(refusal));
                        Ok(())
                    }
                },
                Ok(Message::Fault(_)) | Err(_) => Ok(()),
            };
            if passed.is_err() {
                return;
            }
        }
    }

    /// A request of a server, as the client hears it: under a number of the endpoint's.
    fn member_asks(&self, at: usize, request: &Request) -> Result<Bytes, Bytes> {
        let refuse = |text| answer::error(Some(&request.id), answer::BUSY, text);
        let Some(member) = self.members.get(at) else { return Err(refuse("there is no such server")) };
        if request.method.starts_with("tasks/") {
            return Err(answer::unknown_method(request));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let token = call::progress_token(request);
        let own = number.to_string();
        let mut line = call::replaced(request.raw(), &["id"], &own).ok_or_else(|| refuse("it cannot be read"))?;
        if token.is_some() {
            line = call::replaced(&line, &["params", "_meta", "progressToken"], &own).unwrap_or(line);
        }
        let path = ["params", shapes::RELATED[0], shapes::RELATED[1], shapes::RELATED[2]];
        line = member.with_own(&line, &path).unwrap_or(line);
        // Who is asked must see who asks: here all servers look like one.
        if request.method == "elicitation/create"
            && let Some(message) = call::at(&line, &["params", "message"])
        {
            let message = Value::from(format!("[{}] {message}", member.name)).to_string();
            line = call::replaced(&line, &["params", "message"], &message).unwrap_or(line);
        }
        let mut reverse = self.hold_reverse();
        if reverse.len() >= REVERSE_MAX {
            return Err(refuse("too many requests wait for the client"));
        }
        reverse.insert(number, Reverse { member: at, id: request.id.clone(), token });
        Ok(line)
    }

    /// A notification of a server, as the client hears it; `None` if it is not for the client.
    fn member_tells(&self, at: usize, note: &Notification) -> Option<Bytes> {
        let member = self.members.get(at)?;
        match note.method.as_str() {
            "notifications/cancelled" => {
                let id = call::cancelled(note)?;
                let mut reverse = self.hold_reverse();
                let number =
                    reverse.iter().find(|(_, it)| it.member == at && it.id == id).map(|(number, _)| *number)?;
                reverse.remove(&number);
                call::replaced(note.raw(), &["params", "requestId"], &number.to_string())
            }
            "notifications/progress" => {
                let [token] = call::fields(note.params(), &["progressToken"]).ok()?;
                let number: u64 = token?.get().parse().ok()?;
                let token = self.hold_open().get(&number).filter(|open| open.member == at)?.token.clone()?;
                call::replaced(note.raw(), &["params", "progressToken"], &token)
            }
            "notifications/resources/updated" => member.with_own(note.raw(), &["params", "uri"]),
            "notifications/tasks/status" => member.with_own(note.raw(), &["params", "taskId"]),
            "notifications/message" => {
                let mut params = call::strict_value(note.params()).ok()?;
                let logger = match params.get("logger").and_then(Value::as_str) {
                    Some(logger) => format!("{}/{logger}", member.name),
                    None => member.name.clone(),
                };
                call::put(&mut params, "logger", logger);
                let line = json!({ "jsonrpc": "2.0", "method": note.method, "params": params });
                Some(Bytes::from(line.to_string()))
            }
            _ => Some(note.raw().clone()),
        }
    }
}

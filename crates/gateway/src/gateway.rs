//! The gateway: its doors over one ledger, one law, one catalogue of tools.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ledger::Ledger;
use ledger::record::Record;
use policy::Diagnostic;
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::authority::{Authority, Limits};
use crate::breaker::{Breakers, Standing};
use crate::budget::Budgets;
use crate::catalogue::{self, Catalogue, CatalogueError, Change};
use crate::changes::Changes;
use crate::disk;
use crate::door::hello::Reply;
use crate::door::http::{self, Fronts, HttpDoor, Idle};
use crate::door::tasks::{Kept, Tasks};
use crate::door::unix;
use crate::hook::Hooks;
use crate::identity::Programs;
use crate::label::memory::Memory;
use crate::lanes::Lanes;
use crate::law::{Ahead, Law, LawError, Rules};
use crate::lease::Leases;
use crate::peers::{Peer, Peers};
use crate::pipeline::{Clock, Journal};
use crate::results::Results;
use crate::seal::Sealer;
use crate::session::{self, Replicas, Sessions};
use crate::upstream::child::Minder;
use crate::upstream::http::Outbound;

/// What a gateway is started with.
#[derive(Debug)]
pub struct Options {
    /// Its own folder: tool catalogue, pins, session state.
    pub dir: PathBuf,
    /// Bailiwick's home, which agents should not touch.
    pub home: PathBuf,
    /// What the operator wrote.
    pub rules: Rules,
    /// The law that this is likely to be, if somebody compiles it already.
    pub ahead: Option<Ahead>,
    /// Bounds.
    pub limits: Limits,
    /// The folder that this gateway shares with its replicas, if it has any.
    pub replicas: Option<PathBuf>,
    /// Other gateways that labels come from and go to.
    pub peers: Vec<Peer>,
    /// Under what servers run that the gateway starts; without it they outlive a gateway that is killed.
    pub minder: Option<Minder>,
}

/// A gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the gateway's own.
    #[error(transparent)]
    Disk(#[from] disk::DiskError),
    /// The catalogue.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// Not even the law that denies everything compiles.
    #[error(transparent)]
    Law(#[from] LawError),
    /// A socket or file.
    #[error("`{what}`: {error}")]
    Io {
        /// Which.
        what: String,
        /// Why.
        error: io::Error,
    },
}

/// A running gateway. Clones are the same gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
}

/// What became of the operator's files, for whoever asked for them to be read.
pub type Reloaded = oneshot::Sender<Result<(), String>>;

/// The file of the key by which other gateways know this one's labels, beside that of sessions.
pub const LABELS_KEY: &str = "labels.key";

/// How many may wait for the operator's files to be read, and how long.
const RELOADS_MAX: usize = 16;
const RELOAD_WAIT: Duration = Duration::from_secs(30);

/// What the doors share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) authority: Arc<Authority>,
    /// Seals the sessions that clients are given.
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) programs: Programs,
    connections: Arc<Semaphore>,
    /// HTTP connections, which make room if nobody uses them.
    pub(crate) idle: Arc<Idle>,
    running: AtomicUsize,
    /// Whether new work is still taken.
    open: AtomicBool,
    idle_since: Mutex<Instant>,
    closing: watch::Sender<bool>,
    asked_to_end: Notify,
    /// Whoever wants the operator's files read again, and waits for it.
    reloads: (mpsc::Sender<Reloaded>, tokio::sync::Mutex<mpsc::Receiver<Reloaded>>),
    sessions_named: AtomicU64,
    started: String,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// The HTTP door, once it is open.
    http: Mutex<Option<Arc<HttpDoor>>>,
    /// The servers that are known, and who may come over HTTP. Held only to look and to set.
    fronts: RwLock<Arc<Fronts>>,
    /// Made when it is first needed: it reads the machine's certificates.
    outbound: OnceLock<Outbound>,
    /// Built-in tools that were allowed or asked and have not reported back.
    pub(crate) hooks: Hooks,
    /// Keys that agents have for a while.
    pub(crate) leases: Leases,
    /// Under what servers run that the gateway starts.
    pub(crate) minder: Option<Minder>,
}

/// A piece of work that a drain waits for.
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gateway {
    /// Starts without any door. Policies that are refused are said, and then everything is denied.
    /// Must be called within a tokio runtime.
    pub async fn start(options: Options, ledger: Ledger) -> Result<(Self, Vec<Diagnostic>), StartError> {
        let rules = options.rules.clone();
        let (dir, minder) = (options.dir.clone(), options.minder.clone());
        let leases = Leases::open(dir.join("leases.json"))?;
        let opened = opened(options, Journal::new(ledger, Clock::System))?;
        let gateway = Self { shared: Arc::new(Shared::new(opened, (&dir, leases), minder)) };
        gateway.recover();
        let diagnostics = match gateway.reload(rules).await {
            Ok(diagnostics) | Err(LawError::Refused(diagnostics)) => diagnostics,
            Err(error) => return Err(error.into()),
        };
        gateway.follow();
        Ok((gateway, diagnostics))
    }

    /// What is done beside the doors, for as long as the gateway runs.
    fn follow(&self) {
        let authority = &self.shared.authority;
        self.keep(tokio::spawn(authority.asks.clone().follow(authority.journal.clone())));
        self.keep(tokio::spawn(expire(self.shared.clone())));
        self.keep(tokio::spawn(save_sessions(authority.clone())));
        self.keep(tokio::spawn(sweep_sessions(authority.clone())));
        self.keep(tokio::spawn(sweep_tasks(authority.clone())));
    }

    /// New rules take effect, or are refused and the old ones stay.
    pub async fn reload(&self, rules: Rules) -> Result<Vec<Diagnostic>, LawError> {
        let authority = self.shared.authority.clone();
        authority.breakers.trip_at(rules.trip.clone());
        let compiled = tokio::task::spawn_blocking(move || {
            authority.law.enact(rules, authority.catalogue.facts(), &authority.journal)
        });
        compiled.await.map_err(|error| LawError::Unrecorded(error.to_string()))?
    }

    /// Other gateways that labels come from and go to, from now on.
    pub fn reload_peers(&self, peers: Vec<Peer>) {
        self.shared.authority.peers.know(peers);
    }

    /// The operator's files as they are now: path from the home, and bytes. What changed is recorded.
    pub fn saw(&self, read: impl FnOnce() -> Vec<(String, Vec<u8>)>) {
        self.shared.authority.changes.saw(read, &self.shared.authority.journal);
    }

    /// What is stopped: `agent NAME`, `server NAME` or `everything`.
    pub fn stopped(&self) -> BTreeMap<String, Standing> {
        self.shared.authority.breakers.list()
    }

    /// Stops an agent, a server or everything, from this moment.
    pub fn stop(&self, of: &str, standing: Standing) -> Result<(), String> {
        let authority = &self.shared.authority;
        authority.breakers.set(of, standing, &authority.journal)
    }

    /// Lets it go on; says whether it was stopped.
    pub fn resume(&self, of: &str, by: &str, because: &str) -> Result<bool, String> {
        let authority = &self.shared.authority;
        authority.breakers.reset(of, (by, because), &authority.journal)
    }

    /// Resolves when somebody wants the operator's files read again; he waits for the answer.
    pub async fn asked_to_reload(&self) -> Reloaded {
        match self.shared.reloads.1.lock().await.recv().await {
            Some(waits) => waits,
            // The sender lives as long as `self`.
            None => std::future::pending().await,
        }
    }

    /// Opens the door for shims and hooks.
    pub fn listen_unix(&self, path: PathBuf) -> Result<(), StartError> {
        let listener = unix::bind(&path).map_err(|error| StartError::Io { what: path.display().to_string(), error })?;
        let shared = self.shared.clone();
        self.keep(tokio::spawn(async move {
            loop {
                let Some(permit) = shared.connection().await else { return };
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let shared = shared.clone();
                        tokio::spawn(async move {
                            unix::serve(shared, stream).await;
                            drop(permit);
                        });
                    }
                    // Out of files, most likely: to try again at once would only burn the processor.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        }));
        Ok(())
    }

    /// Opens the Streamable HTTP door; answers the address that it got. Only loopback addresses are taken.
    pub async fn listen_http(&self, address: SocketAddr, fronts: Fronts) -> Result<SocketAddr, StartError> {
        let failed = |error| StartError::Io { what: address.to_string(), error };
        if !address.ip().is_loopback() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a loopback address")));
        }
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let lanes = Lanes::start().map_err(failed)?;
        self.reload_fronts(fronts);
        let door = Arc::new(HttpDoor::new(self.shared.clone()));
        *self.shared.http.lock().unwrap_or_else(PoisonError::into_inner) = Some(door.clone());
        self.keep(tokio::spawn(http::serve(door, (listener, false), lanes)));
        Ok(bound)
    }

    /// Opens the same door over TLS, at any address, after [`Gateway::listen_http`]; answers the address that it got.
    pub async fn listen_tls(&self, address: SocketAddr) -> Result<SocketAddr, StartError> {
        let failed = |error| StartError::Io { what: address.to_string(), error };
        let door = self.shared.http().ok_or_else(|| failed(io::Error::other("the HTTP door is not open")))?;
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let lanes = Lanes::start().map_err(failed)?;
        self.keep(tokio::spawn(http::serve(door, (listener, true), lanes)));
        Ok(bound)
    }

    /// Other servers that are known, and keys for the Streamable HTTP door.
    pub fn reload_fronts(&self, fronts: Fronts) {
        *self.shared.fronts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fronts);
        if let Some(door) = self.shared.http() {
            door.tokens.forget();
        }
    }

    /// Resolves when another process asks for the ledger.
    pub async fn asked_to_end(&self) {
        self.shared.asked_to_end.notified().await;
    }

    /// How long nobody has used the gateway; `None` while somebody does.
    pub fn idle(&self) -> Option<Duration> {
        let idle = self.shared.running.load(Ordering::Acquire) == 0 && self.shared.hooks.len() == 0;
        idle.then(|| self.shared.idle_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed())
    }

    /// Takes no more work, gives open calls [`Limits::drain_wait`] to end, ends what is left, and waits
    /// until every outcome is in the ledger. The ledger is sealed by whoever opened it.
    pub async fn drain(&self) {
        let shared = &self.shared;
        shared.open.store(false, Ordering::Release);
        let deadline = Instant::now() + shared.authority.limits.drain_wait;
        while shared.authority.journal.open() > shared.hooks.len() + shared.authority.tasks.len()
            && Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shared.closing.send_replace(true);
        shared.hooks.forget();
        shared.authority.tasks.forget();
        if let Some(door) = shared.http() {
            door.forget();
        }
        let deadline = Instant::now() + shared.authority.limits.grace * 4;
        while (shared.running.load(Ordering::Acquire) > 0
            || shared.authority.journal.open() > 0
            || shared.authority.asks.awaited() > 0)
            && Instant::now() < deadline
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // What came back is here already: it is recorded, however long that takes, also where a lane was to do it.
        let authority = shared.authority.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || authority.sessions.record_all()).await {
            tracing::error!(%error, "what came back last could not be recorded");
        }
        while !shared.authority.results.is_idle() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let tasks = std::mem::take(&mut *shared.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().for_each(JoinHandle::abort);
        for task in tasks {
            // It is over when all that it owned is gone: the lanes of the HTTP door, too.
            let _ = task.await;
        }
        shared.http.lock().unwrap_or_else(PoisonError::into_inner).take();
        shared.authority.save();
        let details = shared.authority.journal.totals();
        let ended = Record::Log { event: "drained".to_owned(), details };
        if let Err(error) = shared.authority.journal.append(ended).await {
            tracing::error!(%error, "the ledger did not take the last record");
        }
    }

    /// Approves the tool definitions that wait at a server, in somebody's name; answers what they were and are.
    pub async fn approve_tools(&self, server: &str, by: String) -> Result<Vec<Change>, String> {
        let waiting = self.shared.authority.catalogue.waiting(server);
        self.shared.approve(server, &waiting.into_iter().map(|change| change.pin).collect(), by).await
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    fn keep(&self, task: JoinHandle<()>) {
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Settles what an earlier process left open.
    fn recover(&self) {
        crate::recovery::settle(&self.shared.authority);
    }
}

/// Opens everything that the doors share and that lies on disk.
fn opened(options: Options, journal: Journal) -> Result<(Arc<Authority>, Arc<Sealer>), StartError> {
    let io = |path: &Path| {
        let what = path.display().to_string();
        move |error| StartError::Io { what, error }
    };
    let Options { dir, limits, .. } = options;
    let sessions = dir.join(session::FOLDER);
    disk::make_private(&sessions).map_err(io(&sessions))?;
    let common = options.replicas.as_ref().unwrap_or(&dir);
    disk::make_private(common).map_err(io(common))?;
    let key = common.join("session.key");
    let sealer = Sealer::open(&key).map(Arc::new).map_err(io(&key))?;
    let labels_key = common.join(LABELS_KEY);
    let peers = Peers::open(&labels_key, options.peers).map_err(io(&labels_key))?;
    let replicas = options
        .replicas
        .as_ref()
        .map(|folder| Replicas::new(folder, sealer.clone(), replica_name(&journal)).map_err(io(folder)));
    let tasks = common.join("tasks");
    let past = options.rules.bounds.has_budgets().then_some((journal.ledger(), journal.now()));
    let authority = Authority {
        law: Law::none(&dir, options.ahead)?,
        catalogue: Catalogue::open(dir.join("tools.json"))?,
        sessions: Sessions::new(sessions, replicas.transpose()?),
        memory: Memory::open(dir.join("memory.json"))?,
        peers,
        budgets: Budgets::open(dir.join("budgets.json"), past)?,
        breakers: match &options.replicas {
            Some(folder) => Breakers::shared(folder.join("breakers.json"))?,
            None => Breakers::open(dir.join("breakers.json"))?,
        },
        changes: Changes::open(dir.join("operator.json"))?,
        asks: Arc::default(),
        tasks: Tasks::new(Some(Kept::open(tasks.clone(), sealer.clone()).map_err(io(&tasks))?), journal.clock()),
        home: options.home,
        own_ids: AtomicU64::new(1),
        results: Results::new(limits.keep).map_err(io(Path::new("a thread for results")))?,
        journal,
        limits,
    };
    Ok((Arc::new(authority), sealer))
}

/// Ends, once a second, what nobody answered in time.
async fn expire(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shared.authority.asks.expire(&shared.authority.journal);
        shared.hooks.expire();
        shared.leases.expire(&shared.authority.journal);
        shared.authority.tasks.expire();
        shared.programs.save();
        if let Some(door) = shared.http() {
            door.expire();
        }
    }
}

/// Saves sessions as they change. A large one takes a while, so the pause grows with it: at most two parts
/// in a hundred of one processor.
async fn save_sessions(authority: Arc<Authority>) {
    loop {
        let began = Instant::now();
        let saves = authority.clone();
        if tokio::task::spawn_blocking(move || saves.save()).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1).max(began.elapsed() * 50)).await;
    }
}

/// Removes what dead sessions left in the folder that replicas share, now and once a day.
async fn sweep_sessions(authority: Arc<Authority>) {
    while authority.sessions.replicas().is_some() {
        let sweeps = authority.clone();
        let swept = tokio::task::spawn_blocking(move || sweeps.sessions.replicas().map(Replicas::sweep));
        if swept.await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_hours(24)).await;
    }
}

/// Removes once an hour what was written down of tasks that no gateway knows any more.
async fn sweep_tasks(authority: Arc<Authority>) {
    loop {
        tokio::time::sleep(Duration::from_hours(1)).await;
        let sweeps = authority.clone();
        if tokio::task::spawn_blocking(move || sweeps.tasks.sweep()).await.is_err() {
            return;
        }
    }
}

/// A replica is known to the others by its ledger.
fn replica_name(journal: &Journal) -> String {
    let key = journal.ledger().verifying_key();
    format!("{}+{}", key.name(), hex::encode(key.key_id()))
}

impl Shared {
    fn new(
        (authority, sealer): (Arc<Authority>, Arc<Sealer>),
        (dir, leases): (&Path, Leases),
        minder: Option<Minder>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(RELOADS_MAX);
        Self {
            leases,
            minder,
            programs: Programs::open(dir.join("programs.json")),
            connections: Arc::new(Semaphore::new(authority.limits.connections_max)),
            idle: Arc::default(),
            running: AtomicUsize::new(0),
            open: AtomicBool::new(true),
            idle_since: Mutex::new(Instant::now()),
            closing: watch::Sender::new(false),
            asked_to_end: Notify::new(),
            reloads: (sender, tokio::sync::Mutex::new(receiver)),
            sessions_named: AtomicU64::new(1),
            started: format!("{:x}", authority.journal.now().as_millisecond()),
            tasks: Mutex::default(),
            http: Mutex::default(),
            fronts: RwLock::default(),
            outbound: OnceLock::new(),
            hooks: Hooks::default(),
            sealer,
            authority,
        }
    }

    /// Waits for a free place for one more connection; `None` when there will be none. If all are taken, one that
    /// nobody uses ends.
    pub(crate) async fn connection(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = self.connections.clone().try_acquire_owned() {
                return Some(place);
            }
            self.idle.end_oldest();
            tokio::select! {
                place = self.connections.clone().acquire_owned() => return place.ok(),
                () = self.idle.more() => {}
            }
        }
    }

    /// Begins a piece of work that a drain waits for; `None` if no more is taken.
    pub(crate) fn enter(&self) -> Option<Running<'_>> {
        self.running.fetch_add(1, Ordering::AcqRel);
        let running = Running(self);
        self.open.load(Ordering::Acquire).then_some(running)
    }

    /// Resolves when what still runs must end.
    pub(crate) async fn closing(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives as long as `self`.
        drop(closing.wait_for(|closing| *closing).await);
    }

    /// The HTTP door, if it is open.
    fn http(&self) -> Option<Arc<HttpDoor>> {
        self.http.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The servers that are known, and who may come over HTTP.
    pub(crate) fn fronts(&self) -> Arc<Fronts> {
        self.fronts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The way to servers over HTTP.
    pub(crate) fn outbound(&self) -> &Outbound {
        let logins = || self.authority.home.join("gateway/logins");
        self.outbound.get_or_init(|| Outbound::new().with_logins(logins()))
    }

    /// A name for a session that has none.
    pub(crate) fn fresh_session(&self) -> String {
        format!("s{}-{}", self.started, self.sessions_named.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn approve(
        &self,
        server: &str,
        pins: &BTreeSet<String>,
        by: String,
    ) -> Result<Vec<Change>, String> {
        let approved = self.authority.catalogue.approve(server, pins).map_err(|error| error.to_string())?;
        if !approved.is_empty() {
            let pins = approved.iter().map(|change| (change.name.clone(), change.pin.clone())).collect();
            for record in catalogue::records(server, pins, ("approved", &by)) {
                self.authority.journal.note(record);
            }
            self.authority.relearn().await?;
        }
        Ok(approved)
    }

    /// Has whoever watches the operator's files read them now.
    pub(crate) async fn reload(&self) -> Result<(), String> {
        let (tell, heard) = oneshot::channel();
        self.reloads.0.try_send(tell).map_err(|_| "too many changes at a time".to_owned())?;
        match tokio::time::timeout(RELOAD_WAIT, heard).await {
            Ok(Ok(done)) => done,
            _ => Err("it is written, and nobody took it up".to_owned()),
        }
    }

    pub(crate) fn give_way(&self, force: bool) -> Reply {
        // Without the connection that asks.
        let running = self.running.load(Ordering::Acquire).saturating_sub(1);
        if running > 0 && !force {
            let sessions = if running == 1 { "1 session is".to_owned() } else { format!("{running} sessions are") };
            return Reply::Failed { error: format!("{sessions} open") };
        }
        self.asked_to_end.notify_one();
        Reply::Done { output: serde_json::json!({ "sessions": running }) }
    }
}

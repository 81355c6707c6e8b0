//! The control plane: HTTP API, store, approvals, and the console it serves.
//!
//! [`Control`] joins what a scan found (in the [`Store`]) with what the ledger shows, and is the only part
//! that appends an answer to an ask. It never decides, never opens an upstream connection, and does not
//! know the gateway: both meet in the ledger. It listens on loopback for the console and on a Unix socket
//! for the command line, with the same API behind both; see `guard` for who may speak to it.

mod ancestry;
mod api;
mod asks;
mod assets;
pub mod client;
pub mod cosign;
mod guard;
mod ledger_view;
mod problem;
pub mod replica;
mod server;
mod stops;
mod store;
mod token;
mod trail;
mod verification;
pub mod view;
pub mod witness;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use ledger::Ledger;
use tokio::sync::{Semaphore, watch};

pub use api::openapi;
pub use asks::{AnswerRequest, AnswerScope};
pub use problem::Problem;
pub use server::{ListenError, Listening};
pub use stops::{Brake, Stop, StopOrder, StopRequest};
pub use store::{CallFilter, Counts, ScanInfo, Store, StoreError, StoredScan};
pub use token::{NoRandomness, Token};
pub use verification::{Verification, VerificationState};

/// What the control plane is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The ledger's directory, for verification.
    pub ledger: PathBuf,
    /// The ledger's public key.
    pub ledger_key: ledger::VerifyingKey,
    /// The witnesses whose cosignatures verification demands: those that are asked.
    pub witnesses: Vec<ledger::VerifyingKey>,
    /// The operator's policy files.
    pub policy: PathBuf,
    /// The version to show.
    pub version: String,
    /// The name of the user that everything runs as: who an answer is recorded to be from.
    pub user: String,
}

/// The control plane. Cheap to clone; every clone is the same one.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    store: Store,
    ledger: Ledger,
    /// The newest scan, parsed. Replaced whole.
    scan: RwLock<Option<Arc<StoredScan>>>,
    /// The index of the ledger: one reader at a time moves it forward.
    indexing: tokio::sync::Mutex<()>,
    /// The next entry that the index will read; what it has read is in the store.
    indexed: watch::Sender<u64>,
    /// Only who holds it answers an ask, so that no ask is answered twice.
    answering: tokio::sync::Mutex<()>,
    sign_ins: guard::SignInLimit,
    /// Open event streams.
    streams: Arc<Semaphore>,
    /// Changes when a session ends before its time.
    signed_out: watch::Sender<u64>,
    verification: verification::Job,
    /// What can stop agents, once it runs.
    brake: OnceLock<Box<dyn Brake>>,
    /// The console's port, once it listens.
    console_port: OnceLock<u16>,
    /// Turns true once, when everything is to end.
    closing: watch::Sender<bool>,
}

/// How many event streams are open at once.
const STREAMS_MAX: usize = 32;
/// How long a sign-in link can be used.
const LINK_MINUTES: i64 = 10;

/// Why the control plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index of the ledger.
    #[error("cannot read the ledger into the index: {0}")]
    Index(String),
}

impl Control {
    /// Starts on a ledger that this process holds: reads what the index has not seen yet, then follows.
    pub async fn start(options: Options, store: Store, ledger: Ledger) -> Result<Self, StartError> {
        // A console of an earlier process may have told its key to whoever had the port in between.
        store.end_sessions()?;
        let scan = store.last_scan()?.map(Arc::new);
        let control = Self {
            inner: Arc::new(Inner {
                options,
                store,
                ledger,
                scan: RwLock::new(scan),
                indexing: tokio::sync::Mutex::new(()),
                indexed: watch::Sender::new(0),
                answering: tokio::sync::Mutex::new(()),
                sign_ins: guard::SignInLimit::new(Timestamp::now()),
                streams: Arc::new(Semaphore::new(STREAMS_MAX)),
                signed_out: watch::Sender::new(0),
                verification: verification::Job::default(),
                brake: OnceLock::new(),
                console_port: OnceLock::new(),
                closing: watch::Sender::new(false),
            }),
        };
        // Subscribed before the first read, so that nothing falls between.
        let news = control.inner.ledger.length();
        control.catch_up().await.map_err(|problem| StartError::Index(problem.detail))?;
        tokio::spawn(trail::follow(control.clone(), news));
        Ok(control)
    }

    /// Makes a one-time sign-in link's token. The link carries it in its fragment, which no browser sends
    /// in a request: it stands in no log and no `Referer`.
    pub async fn sign_in_token(&self) -> Result<Token, Problem> {
        let token = Token::new().map_err(|error| Problem::internal(&error))?;
        let (hash, now) = (token.hash(), Timestamp::now());
        let expires = now + SignedDuration::from_mins(LINK_MINUTES);
        self.blocking(move |control| Ok(control.store().put_link(&hash, now, expires)?)).await?;
        Ok(token)
    }

    /// A fresh sign-in link; the console must be listening.
    pub async fn sign_in_link(&self) -> Result<String, Problem> {
        let port = *self.inner.console_port.get().ok_or_else(|| Problem::not_found("the console is not listening"))?;
        Ok(format!("http://127.0.0.1:{port}/#sign-in={}", self.sign_in_token().await?.reveal()))
    }

    /// Keeps the result of a scan and shows it from now on.
    pub async fn put_scan(&self, scan: StoredScan) -> Result<(), Problem> {
        self.blocking(move |control| {
            control.store().put_scan(&scan)?;
            *control.inner.scan.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(scan));
            Ok(())
        })
        .await
    }

    /// The newest scan.
    pub fn scan(&self) -> Option<Arc<StoredScan>> {
        self.inner.scan.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends listeners and streams. Requests that are under way are answered.
    pub fn close(&self) {
        self.inner.closing.send_replace(true);
    }

    fn store(&self) -> &Store {
        &self.inner.store
    }

    fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Runs something that blocks off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let control = self.clone();
        match tokio::task::spawn_blocking(move || work(&control)).await {
            Ok(result) => result,
            Err(error) => Err(Problem::internal(&error)),
        }
    }
}

/// Waits until everything is to end; also when there is nobody left to say so.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

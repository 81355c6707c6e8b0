//! `bailiwick up`.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use control::client::{self, ClientError};
use control::cosign::Cosigning;
use control::replica::follow::CopyState;
use control::{Control, ListenError, Listening, Options, Store, StoredScan};
use gateway::door::hello::{Hello, Reply};
use graph::export::Report;
use graph::{Severity, plural};
use jiff::Timestamp;
use ledger::{Ledger, Record, Recovery, VerifyingKey};
use serde_json::{Map, Value};

use crate::brake::GatewayBrake;
use crate::home::Home;
use crate::output;
use crate::progress;
use crate::settings;
use crate::start::{self, Opened};

/// Where the console listens unless told.
const CONSOLE_PORT: u16 = 7681;
/// How many ports after a taken one are tried.
const PORTS_TRIED: u16 = 20;
/// How long a gateway in the background may take to give its place.
const RELIEF_WAIT: Duration = Duration::from_secs(20);
/// How many findings are named; the console has them all.
const NAMED: usize = 3;

/// Scan this machine, start the gateway and the console.
///
/// Stays until Ctrl-C, which lets open calls end and seals the ledger. Where it is already up, it says
/// where, and prints a new sign-in link.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick up                 start everything, and print the console's address with a sign-in link
  bailiwick up --open          and open the console in the browser
  bailiwick up --no-scan       start at once, with what the last scan found
  bailiwick up --port 9000     the console on this port and no other")]
pub(crate) struct Args {
    /// The console's port; by default 7681, or the next free one.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Show what the last scan found instead of scanning.
    #[arg(long)]
    no_scan: bool,
    /// Cloud exports to join with the agents, as for `bailiwick scan`.
    #[arg(long, value_name = "PATH")]
    cloud: Vec<PathBuf>,
    /// Open the console in the browser.
    #[arg(long)]
    open: bool,
    /// The port on which the gateway fronts remote MCP servers, as `protect` wrote it.
    #[arg(long, value_name = "PORT", default_value_t = connect::protect::PORT)]
    gateway_port: u16,
    /// Take the place of a gateway in the background even if sessions are open on it.
    #[arg(long)]
    take_over: bool,
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    home.create()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let opened = match progress::of("opening the ledger", || start::ledger(home))? {
        Opened::Held(holder) if !runtime.block_on(has_control(home)) => relieve(args, home, &holder)?,
        opened => opened,
    };
    let (ledger, key, recovery) = match opened {
        Opened::Ours(ledger, key, recovery) => (ledger, key, recovery),
        Opened::Held(holder) => return runtime.block_on(already_up(args, home, &holder)),
    };
    let report = if args.no_scan {
        None
    } else {
        let request = super::scan::Request { cloud: args.cloud.clone(), ..super::scan::Request::default() };
        Some(progress::of("looking at configurations", || super::scan::report(&request, home))?)
    };
    runtime.block_on(serve(args, home, Started { ledger, key, recovery, report }))
}

/// What stands before anything listens.
struct Started {
    ledger: Ledger,
    key: VerifyingKey,
    recovery: Recovery,
    report: Option<Report>,
}

#[derive(serde::Deserialize)]
struct NewLink {
    link: String,
}

/// Whether the process that holds the home is an `up`.
async fn has_control(home: &Home) -> bool {
    client::get::<Value>(&home.control_socket(), "/api/session").await.is_ok()
}

/// A gateway in the background, which a shim or hook started, gives its place to `up`.
fn relieve(args: &Args, home: &Home, holder: &str) -> anyhow::Result<Opened> {
    match super::mcp::ask(home, &Hello::Yield { force: args.take_over })? {
        Some(Reply::Failed { error }) => {
            anyhow::bail!(
                "a gateway that an agent started ({holder}) is in use: {error}. Close those agents and try again, or \
                 `bailiwick up --take-over`, which ends their sessions"
            )
        }
        Some(Reply::Done { .. }) | None => {}
    }
    let deadline = Instant::now() + RELIEF_WAIT;
    loop {
        let opened = start::ledger(home)?;
        if matches!(opened, Opened::Ours(..)) || Instant::now() > deadline {
            return Ok(opened);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Another process holds the home: if it is an `up`, it gives a link; else we say who it is.
async fn already_up(args: &Args, home: &Home, holder: &str) -> anyhow::Result<ExitCode> {
    match client::post::<NewLink>(&home.control_socket(), "/api/sign-in-links", &serde_json::json!({})).await {
        Ok(NewLink { link }) => {
            output::print(&format!(
                "Bailiwick is already up ({holder}).\n\nConsole    {link}\n           works once, within ten minutes\n"
            ))?;
            if args.open {
                open_browser(home, &link)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(ClientError::NotRunning) => {
            anyhow::bail!("the ledger in `{}` is in use by {holder}", home.ledger().display())
        }
        Err(error) => Err(error).with_context(|| format!("the home is in use by {holder}")),
    }
}

async fn serve(args: &Args, home: &Home, started: Started) -> anyhow::Result<ExitCode> {
    let Started { ledger, key, recovery, report } = started;
    let options = Options {
        ledger: home.ledger(),
        ledger_key: key,
        witnesses: settings::read(home.root())?.ledger.witness_keys()?,
        policy: home.policy(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        user: gateway::local_user(),
    };
    let control = Control::start(options, Store::open(&home.store())?, ledger.clone()).await?;
    if let Some(report) = &report {
        record_scan(&ledger, report).await?;
        let scan = StoredScan::of(report, Timestamp::now());
        control.put_scan(scan).await.map_err(|problem| anyhow::anyhow!("{}", problem.detail))?;
    }
    let mut end = Signals::new()?;
    let socket = control.listen_unix(&home.control_socket())?;
    let console = listen(&control, args.port).await?;
    let seen = start::Seen::now(home);
    let (gateway, cosigning) = start::gateway(home, ledger.clone(), None).await?;
    control.stop_with(Box::new(GatewayBrake(gateway.clone())));
    let fronted = front(home, &gateway, args.gateway_port).await;
    let copying = start::copy(home, ledger.clone())?;
    let link = control.sign_in_link().await.map_err(|problem| anyhow::anyhow!("{}", problem.detail))?;
    output::print(&summary(home, &control, &recovery, report.as_ref(), (&link, &fronted)))?;
    if args.open {
        open_browser(home, &link)?;
    }
    tokio::select! {
        () = end.wait() => {}
        () = gateway.asked_to_end() => {}
        () = start::watch(home, &gateway, seen) => {}
    }
    output::print("\nEnding: open calls may finish, then the ledger is sealed. Again to leave at once.\n")?;
    let orderly = async {
        // The console stays until the gateway has ended: an open ask may still be answered.
        gateway.drain().await;
        control.close();
        console.ended().await;
        socket.ended().await;
    };
    tokio::select! {
        () = orderly => {}
        () = end.wait() => {}
    }
    for stale in [home.root().join("run/open.html"), home.gateway_socket()] {
        drop(fs::remove_file(stale));
    }
    let sealed = tokio::task::spawn_blocking(move || ledger.seal()).await??;
    output::print(&format!("Sealed at {} entries.\n", sealed.checkpoint.size))?;
    if let Some(cosigning) = cosigning {
        output::print(&cosigned(cosigning, &mut end).await)?;
    }
    if let Some(copying) = copying {
        output::print(&copied(&tokio::task::spawn_blocking(|| copying.end()).await?))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the witnesses say to the last checkpoint.
async fn cosigned(cosigning: Cosigning, end: &mut Signals) -> String {
    let cosigned = tokio::select! {
        cosigned = cosigning.end() => cosigned,
        () = end.wait() => None,
    };
    match cosigned {
        Some((count, of)) => format!("Cosigned by {count} of {of} witnesses.\n"),
        None => "The witnesses took too long: they are asked at the next start.\n".to_owned(),
    }
}

/// What the last push left.
fn copied(state: &CopyState) -> String {
    match &state.error {
        Some(error) => format!("`{}` has {} entries only: {error}\n", state.to, state.entries),
        None => format!("`{}` has {} entries.\n", state.to, state.entries),
    }
}

/// Ctrl-C, or the system asks us to end.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The port that was asked for and no other; else ours, or the next free one.
async fn listen(control: &Control, port: Option<u16>) -> anyhow::Result<Listening> {
    if let Some(port) = port {
        return control.listen_http(port).await.map_err(|error| anyhow::anyhow!("{error}; choose another `--port`"));
    }
    let mut last = None;
    for port in CONSOLE_PORT..CONSOLE_PORT + PORTS_TRIED {
        match control.listen_http(port).await {
            Ok(listening) => return Ok(listening),
            Err(error @ ListenError::Port { .. }) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("no port was tried"), Into::into))
}

/// That a scan was made, and what it counted, is part of the record; what it found is in the store.
async fn record_scan(ledger: &Ledger, report: &Report) -> anyhow::Result<()> {
    let bytes = serde_json::to_vec(report)?;
    let digest = ledger.put_object(&bytes)?;
    let record = Record::Scan { digest, counts: counts(report) };
    ledger.append(record, Timestamp::now())?.await?;
    Ok(())
}

fn counts(report: &Report) -> Map<String, Value> {
    let kinds = graph::EntityKind::ALL.iter().map(|kind| (kind.to_string(), report.graph.of_kind(*kind).count()));
    let severities = SEVERITIES.iter().map(|severity| {
        (format!("{severity} findings"), report.findings.iter().filter(|found| found.severity == *severity).count())
    });
    kinds.chain(severities).filter(|(_, count)| *count > 0).map(|(name, count)| (name, Value::from(count))).collect()
}

const SEVERITIES: [Severity; 5] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

fn summary(
    home: &Home,
    control: &Control,
    recovery: &Recovery,
    report: Option<&Report>,
    (link, fronted): (&str, &str),
) -> String {
    let mut text = format!("Bailiwick {} in {}\n\n", env!("CARGO_PKG_VERSION"), home.root().display());
    text += &format!("Found      {}\n", found(control));
    text += &worrying(control);
    if let Some(unread) = report.map(|report| report.unread.len()).filter(|unread| *unread > 0) {
        text += &format!("Unread     {}; `bailiwick scan` says which and why\n", plural(unread, "source"));
    }
    text += &format!("Ledger     {}\n", recovered(recovery));
    text += &format!("Gateway    {fronted}\n");
    text += &format!("\nConsole    {link}\n           works once, within ten minutes\n");
    text += "Next       bailiwick protect --dry-run   what changes when calls go through Bailiwick\n";
    text += "\nCtrl-C ends it.\n";
    text
}

/// Opens the door for remote servers. Without it local servers still work, so a failure is said and not fatal.
async fn front(home: &Home, gateway: &gateway::Gateway, port: u16) -> String {
    let port = match start::http_door(home, gateway, port).await {
        Ok(port) => port,
        Err(error) => return format!("ready for local servers only: {error:#}"),
    };
    let secure = match start::tls_door(home, gateway).await {
        Ok(address) => address.map(|address| format!("\n           over TLS at https://{address}/mcp/NAME")),
        Err(error) => Some(format!("\n           not over TLS: {error:#}")),
    };
    let secure = secure.unwrap_or_default();
    format!("ready for local servers, and for remote ones at http://127.0.0.1:{port}/mcp/NAME{secure}")
}

fn found(control: &Control) -> String {
    let Some(scan) = control.scan() else { return "nothing yet; start without `--no-scan`".to_owned() };
    let info = scan.info();
    let counts = [
        (info.agents, "agent"),
        (info.servers, "server"),
        (info.tools, "tool"),
        (info.credentials, "credential"),
        (info.packages, "package"),
    ];
    let counts: Vec<String> = counts.iter().map(|(count, name)| plural(*count, name)).collect();
    counts.join(", ")
}

fn worrying(control: &Control) -> String {
    let Some(scan) = control.scan() else { return String::new() };
    if scan.findings.is_empty() {
        return "Worrying   nothing that the rules know\n".to_owned();
    }
    let count = |severity: &Severity| scan.findings.iter().filter(|found| found.severity == severity.as_str()).count();
    let counts: Vec<String> = SEVERITIES
        .iter()
        .filter(|severity| count(severity) > 0)
        .map(|severity| format!("{} {severity}", count(severity)))
        .collect();
    let mut text = format!("Worrying   {}\n", counts.join(", "));
    for finding in scan.findings.iter().take(NAMED) {
        text += &format!("           {:8} {}\n", finding.severity, graph::visible::line(&finding.message, 100));
    }
    text
}

fn recovered(recovery: &Recovery) -> String {
    if recovery.created {
        return "new".to_owned();
    }
    let mut text = plural(recovery.entries, "entry");
    if recovery.torn > 0 {
        text += &format!("; recovered: {} cut off", plural(recovery.torn, "torn write"));
    }
    if !recovery.unknown.is_empty() {
        text += &format!(
            "; {} ended without an outcome and are recorded as unknown",
            plural(recovery.unknown.len(), "call")
        );
    }
    text
}

/// Opens a private page that leads to the link: the link itself must not stand in a command line, which
/// every user of the machine can read.
fn open_browser(home: &Home, link: &str) -> anyhow::Result<()> {
    let page: PathBuf = home.root().join("run/open.html");
    drop(fs::remove_file(&page));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&page)?;
    write!(
        file,
        "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0; url={link}\"><title>Bailiwick</title>"
    )?;
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = std::process::Command::new(program)
        .arg(&page)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    if started.is_err() && io::stderr().is_terminal() {
        complain!("bailiwick: `{program}` could not be started; open the address yourself");
    }
    Ok(())
}

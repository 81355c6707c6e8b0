//! `bailiwick mcp`: a pipe between an agent and the gateway, which starts the server and owns it.
//!
//! If no gateway runs, one is started in the background over the same home and ends when nobody uses it;
//! so whichever process of the agent comes first may also leave first.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway::door::hello::{ACCEPTED, Hello, Mcp, Reply};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::home::Home;
use crate::start;

/// How long the gateway may take to be there.
const START_WAIT: Duration = Duration::from_secs(15);
/// How often another process's gateway is looked for while ours starts.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long an answer may take: less than agents wait for a hook, for some of them then let the tool run.
const ANSWER_WAIT: Duration = Duration::from_secs(570);
/// How long a gateway without `up` stays when nobody uses it.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Run an MCP server behind the gateway (named by protected configurations).
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bailiwick mcp --agent claude-code --server files -- npx -y @modelcontextprotocol/server-filesystem .
  bailiwick mcp --agent claude-code --all")]
pub(crate) struct Args {
    /// The agent's name, as policies know it.
    #[arg(long, default_value = "agent", value_name = "NAME")]
    agent: String,
    /// The server's name in the agent's configuration.
    #[arg(long, default_value = "server", value_name = "NAME")]
    server: String,
    /// All servers of `bailiwick upstream` as one: tools and prompts are named `SERVER__NAME`.
    #[arg(long, conflicts_with_all = ["command", "server"])]
    all: bool,
    /// Be the gateway in the background.
    #[arg(long, hide = true, conflicts_with = "command")]
    host: bool,
    /// The server's command.
    #[arg(last = true, required_unless_present_any = ["host", "all"], value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    if args.host {
        return host(home);
    }
    let hello = if args.all {
        Hello::McpAll { agent: args.agent.clone() }
    } else {
        Hello::Mcp(Mcp {
            agent: args.agent.clone(),
            server: args.server.clone(),
            command: args.command.clone(),
            cwd: std::env::current_dir()?,
            env: environment(),
        })
    };
    let gateway = greet(home, &hello, true)?;
    relay(gateway)?;
    Ok(ExitCode::SUCCESS)
}

/// What of our environment can be written in JSON.
fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// Connects to the gateway, starts one if none runs, and says hello. Nothing was read from standard input
/// before the gateway accepted, so trying again loses nothing.
fn greet(home: &Home, hello: &Hello, with_stderr: bool) -> anyhow::Result<UnixStream> {
    let mut line = serde_json::to_vec(hello)?;
    line.push(b'\n');
    let deadline = Instant::now() + START_WAIT;
    let mut started: Option<Starting> = None;
    loop {
        if let Ok(stream) = UnixStream::connect(home.gateway_socket())
            && say(&stream, &line, with_stderr).is_ok()
            && accepted(&stream, START_WAIT)
        {
            // What a server says may take its time.
            stream.set_read_timeout(None)?;
            stream.set_write_timeout(None)?;
            return Ok(stream);
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "no gateway answers at `{}`{}",
            home.gateway_socket().display(),
            last_words(home)
        );
        if started.as_mut().is_none_or(Starting::has_ended) {
            // Another process may hold the ledger and be about to listen, so a host that ended is no failure yet.
            if started.is_some() {
                std::thread::sleep(LOOK_EVERY);
            }
            started = Some(start_host(home)?);
        }
        if let Some(starting) = &mut started {
            starting.hears();
        }
    }
}

/// A gateway that we started, and the end at which it says that it listens.
struct Starting {
    host: Child,
    word: UnixStream,
}

impl Starting {
    fn has_ended(&mut self) -> bool {
        self.host.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Returns when it listens, when it has ended, and at the latest when it is time to look for another's.
    fn hears(&mut self) {
        let heard = self.word.set_read_timeout(Some(LOOK_EVERY)).and_then(|()| self.word.read(&mut [0]));
        if matches!(heard, Ok(0)) {
            // It ends, or has.
            drop(self.host.wait());
        }
    }
}

/// Says one thing to a gateway that runs, and hears its answer; `None` if none runs.
pub(crate) fn ask(home: &Home, hello: &Hello) -> anyhow::Result<Option<Reply>> {
    let Ok(stream) = UnixStream::connect(home.gateway_socket()) else { return Ok(None) };
    let mut line = serde_json::to_vec(hello)?;
    line.push(b'\n');
    say(&stream, &line, false)?;
    anyhow::ensure!(
        accepted(&stream, START_WAIT),
        "the gateway at `{}` takes nothing more",
        home.gateway_socket().display()
    );
    reply(&stream, ANSWER_WAIT).map(Some)
}

/// Says one thing to the gateway, which is started if none runs, and answers what it has to be told.
pub(crate) fn order(home: &Home, hello: &Hello) -> anyhow::Result<serde_json::Value> {
    let begun = Instant::now();
    let stream = greet(home, hello, false)?;
    match reply(&stream, ANSWER_WAIT.saturating_sub(begun.elapsed()))? {
        Reply::Done { output } => Ok(output),
        Reply::Failed { error } => anyhow::bail!(error),
    }
}

fn reply(stream: &UnixStream, within: Duration) -> anyhow::Result<Reply> {
    // A gateway that was stopped says nothing and closes nothing.
    stream.set_read_timeout(Some(within.max(Duration::from_millis(1))))?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("the gateway gave no answer in time")?;
    serde_json::from_str(&line).context("the gateway gave no answer")
}

fn accepted(mut stream: &UnixStream, within: Duration) -> bool {
    let mut byte = [0];
    stream.set_read_timeout(Some(within)).is_ok() && stream.read_exact(&mut byte).is_ok() && byte == [ACCEPTED]
}

/// Sends the hello, and with its first bytes our standard error, which the server will write to.
fn say(mut stream: &UnixStream, line: &[u8], with_stderr: bool) -> io::Result<()> {
    let stderr = io::stderr();
    let files = [stderr.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if with_stderr {
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
    }
    stream.set_write_timeout(Some(START_WAIT))?;
    let sent = sendmsg(stream, &[IoSlice::new(line)], &mut ancillary, SendFlags::NOSIGNAL)?;
    stream.write_all(line.get(sent..).unwrap_or_default())
}

fn relay(gateway: UnixStream) -> anyhow::Result<()> {
    let mut to_gateway = gateway.try_clone()?;
    // Not joined: it blocks on standard input, and the process ends when the gateway closes.
    std::thread::spawn(move || {
        // That the gateway closed is seen below.
        drop(io::copy(&mut io::stdin().lock(), &mut to_gateway));
        drop(to_gateway.shutdown(Shutdown::Write));
    });
    let mut from_gateway = gateway;
    let mut stdout = io::stdout().lock();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from_gateway.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        if stdout.write_all(bytes).and_then(|()| stdout.flush()).is_err() {
            return Ok(());
        }
    }
}

fn start_host(home: &Home) -> anyhow::Result<Starting> {
    home.create()?;
    let log = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(home.gateway().join("host.log"))?;
    let (word, theirs) = UnixStream::pair()?;
    let host = Command::new(std::env::current_exe()?)
        .arg("--home")
        .arg(home.root())
        .args(["mcp", "--host"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(theirs))
        .stderr(log)
        .spawn()
        .context("cannot start a gateway in the background")?;
    Ok(Starting { host, word })
}

fn last_words(home: &Home) -> String {
    let log = fs::read_to_string(home.gateway().join("host.log")).unwrap_or_default();
    log.lines().last().map(|line| format!("; the last one said: {line}")).unwrap_or_default()
}

/// The gateway in the background.
fn host(home: &Home) -> anyhow::Result<ExitCode> {
    home.create()?;
    // Away from the agent's session and process group: its end must not be ours.
    let _ = rustix::process::setsid();
    tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let ahead = start::ahead(home);
        let (ledger, recovery) = match start::ledger(home)? {
            start::Opened::Ours(ledger, _, recovery) => (ledger, recovery),
            start::Opened::Held(holder) => anyhow::bail!("the ledger is in use by {holder}"),
        };
        tracing::info!(?recovery, "opened the ledger");
        let seen = start::Seen::now(home);
        let (gateway, cosigning) = start::gateway(home, ledger.clone(), ahead).await?;
        // Whoever started us waits for it; there may be nobody.
        let mut stdout = io::stdout();
        drop(stdout.write_all(b"+").and_then(|()| stdout.flush()));
        let copying = start::copy(home, ledger.clone())?;
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        tokio::select! {
            _ = term.recv() => {}
            // The terminal that started us may close.
            () = async { while hangup.recv().await.is_some() {} } => {}
            () = gateway.asked_to_end() => {}
            () = start::watch(home, &gateway, seen) => {}
            () = unused(&gateway) => {}
        }
        gateway.drain().await;
        drop(fs::remove_file(home.gateway_socket()));
        ledger.seal()?;
        if let Some(cosigning) = cosigning {
            let cosigned = cosigning.end().await;
            tracing::info!(?cosigned, "asked the witnesses for the last time");
        }
        if let Some(copying) = copying {
            tokio::task::spawn_blocking(|| copying.end()).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Resolves when nobody has used the gateway for a while.
async fn unused(gateway: &gateway::Gateway) {
    while gateway.idle().is_none_or(|idle| idle <= IDLE_MAX) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// As one that got SIGSTOP: the kernel takes what is sent to it, and nothing comes back.
    #[test]
    fn a_gateway_that_says_nothing_gives_no_answer() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(!accepted(&ours, Duration::from_millis(1)));
        let error = reply(&ours, Duration::ZERO).unwrap_err();
        assert!(format!("{error:#}").contains("no answer in time"), "{error:#}");
    }
}

//! `bench gateway`: one `tools/call` direct, through Bailiwick with policy, labels and the durable ledger on (the agent
//! signed in with its key, and with a JSON Web Token), through replicas that share their sessions, and through other gateways
//! if they are there (which keep no durable log); interleaved in one run, every answer checked. Then the same under more and
//! more policies.

mod issuer;
mod peers;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Half load is half of what goes through at so many connections.
const HALF_OF: usize = 16;
const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A tool call direct, through Bailiwick, and through other gateways.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How often everything is measured.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Closed loop: connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 32, 256])]
    connections: Vec<usize>,
    /// Open loop: calls a second.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 4_000])]
    rate: Vec<u64>,
    /// With so many policies beside the shipped ones, at 16 connections.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1_000, 10_000])]
    policies: Vec<usize>,
    /// So many agents call once and are then idle: the memory that their sessions take.
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Leave out the rows in which the agent signs in with a token of an issuer (ES256, keys fetched over HTTP).
    #[arg(long)]
    no_jwt: bool,
    /// The folder of the ledger; its disk is part of what is measured.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Another gateway: `mcp-proxy` (0.6, a crate), `agent-bom` (0.108.3), `litellm` or `contextforge`
    /// (PyPI; its program is `mcpgateway`); `NAME=PROGRAM` if it is elsewhere.
    #[arg(long, value_name = "NAME")]
    peer: Vec<peers::Wanted>,
    /// So many gateways over shared sessions, one after the other taking a connection.
    #[arg(long, default_value_t = 0)]
    replicas: usize,
    #[arg(long, hide = true)]
    role: Option<Role>,
    #[arg(long, hide = true)]
    upstream: Option<SocketAddr>,
    #[arg(long, hide = true, default_value_t = 0)]
    more_policies: usize,
    #[arg(long, hide = true, default_value_t = 0)]
    agents: usize,
    #[arg(long, hide = true)]
    shared: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Role {
    Echo,
    Gateway,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match args.role {
            Some(Role::Echo) => echo().await,
            Some(Role::Gateway) => serve_gateway(args).await,
            None => measure(args).await,
        }
    })
}

/// A part of the measurement in a process of its own, so that its processor time is its own.
struct Part {
    child: Child,
    address: SocketAddr,
    /// What else it said: the token of an agent.
    said: Option<String>,
}

impl Part {
    fn start(words: &[String]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("gateway")
            .args(words)
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|word| word.parse().ok()).context("it said no address")?;
        Ok(Self { child, address, said: words.next().map(str::to_owned) })
    }
}

/// What `/proc` counts processor time in: `USER_HZ` is 100 on every machine that this builds for.
const TICK_US: u64 = 10_000;

/// Processor time of a process so far, in microseconds: the scheduler's own count, with the threads that
/// have ended.
fn cpu_us(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which may hold anything: state, ten more, user time, system time.
    let behind = text.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks: u64 = behind.split_ascii_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    ticks * TICK_US
}

impl Drop for Part {
    fn drop(&mut self) {
        // Closing its input ends it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

async fn until_input_ends() {
    let mut byte = [0];
    let _ = tokio::io::stdin().read(&mut byte).await;
}

fn say_address(address: SocketAddr, more: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{address} {more}")?;
    Ok(stdout.flush()?)
}

async fn serve_gateway(args: &Args) -> anyhow::Result<()> {
    let scratch =
        args.dir.clone().unwrap_or_else(std::env::temp_dir).join(format!("bailiwick-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let upstream = args.upstream.context("no upstream")?;
    let options = ledger::Options::new(jiff::Timestamp::now());
    let (ledger, _) = ledger::Ledger::open(&scratch.join("ledger"), ledger::SigningKey::generate()?, options)?;
    let mut policies: Vec<(String, String)> =
        policy::packs().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    policies.push(("more.cedar".to_owned(), more_policies(args.more_policies)));
    let options = gateway::Options {
        dir: scratch.clone(),
        home: scratch.clone(),
        rules: gateway::Rules { policies, ..gateway::Rules::default() },
        ahead: None,
        limits: gateway::Limits::default(),
        replicas: args.shared.clone(),
        peers: Vec::new(),
        minder: None,
    };
    let (gateway, diagnostics) = gateway::Gateway::start(options, ledger.clone()).await?;
    anyhow::ensure!(
        diagnostics.iter().all(|diagnostic| !diagnostic.error),
        "the policies are refused: {diagnostics:?}"
    );
    let (identity, token) = issuer::start().await?;
    let fronts = gateway::Fronts {
        identity,
        upstreams: BTreeMap::from([(
            "echo".to_owned(),
            gateway::Upstream::Http(format!("http://{upstream}/mcp").parse()?),
        )]),
        keys: (0..=args.agents).map(|number| (format!("bench-{number}"), key(number))).collect(),
        ..gateway::Fronts::default()
    };
    let address = gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts).await?;
    say_address(address, &token)?;
    until_input_ends().await;
    gateway.drain().await;
    eprintln!("  ledger: {} entries, {} intents without an outcome", ledger.len(), ledger.open_intents().len());
    recompute(&ledger)?;
    drop(ledger);
    // What a session has seen may be being written still; the folder is a temporary one.
    let _ = std::fs::remove_dir_all(scratch);
    Ok(())
}

/// An agent's key.
fn key(number: usize) -> String {
    let end = number.to_string();
    format!("{}{end}", KEY.get(end.len()..).unwrap_or_default())
}

/// Makes every decision of the log again, as `ledger verify --recompute` does.
fn recompute(ledger: &ledger::Ledger) -> anyhow::Result<()> {
    let load = |id: &str| ledger.object(id).map_err(|error| error.to_string());
    let (mut recompute, began) = (::gateway::replay::Recompute::new(load), Instant::now());
    for stored in ledger.range(0..ledger.len()) {
        let stored = stored?;
        if let ledger::Record::Intent(intent) = &stored.entry.record {
            recompute.add(stored.index, intent);
        }
    }
    let (found, took) = (recompute.finish(), began.elapsed().as_secs_f64());
    anyhow::ensure!(found.faults.is_empty(), "a decision came out otherwise: {:?}", found.faults.first());
    let rate = found.decisions as f64 / took;
    eprintln!("  recompute: {} decisions read and made again on one core, {rate:.0}/s, 0 differ", found.decisions);
    Ok(())
}

/// As a company writes them: what each agent may do with each tool, and a few rules for all.
fn more_policies(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        text += &match number % 10 {
            0 => format!(
                "forbid(principal, action == Action::\"s{number}/send\", resource) when {{ context.door == \"hook\" }};\n"
            ),
            1 => format!("permit(principal, action in Action::\"call_tool\", resource in Server::\"s{number}\");\n"),
            _ => format!(
                "permit(principal == Agent::\"agent-{}\", action == Action::\"s{}/read_{number}\", resource) when {{ context.user == \"u{number}\" }};\n",
                number % 97,
                number % 31,
            ),
        };
    }
    text
}

/// A server with one tool that gives back its arguments.
async fn echo() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    say_address(listener.local_addr()?, "")?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(echo_connection(stream));
        }
    });
    until_input_ends().await;
    Ok(())
}

async fn echo_connection(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut held = Vec::new();
    loop {
        let Some(body) = read_message(&mut stream, &mut held).await? else { return Ok(()) };
        let message: serde_json::Value = serde_json::from_slice(&body)?;
        if message.get("id").is_none() {
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        }
        let result = match message.get("method").and_then(serde_json::Value::as_str) {
            Some("initialize") => serde_json::json!({
                "protocolVersion": message.pointer("/params/protocolVersion"),
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "echo", "version": "1" },
            }),
            Some("ping") => serde_json::json!({}),
            Some("tools/list") => serde_json::json!({ "tools": [{
                "name": "read_echo",
                "description": "Reads back its arguments.",
                "inputSchema": { "type": "object", "properties": { "n": { "type": "integer" }, "text": { "type": "string" } } },
                "annotations": { "readOnlyHint": true, "openWorldHint": false },
            }] }),
            _ => {
                let arguments = message.pointer("/params/arguments").cloned().unwrap_or_default();
                serde_json::json!({ "content": [{ "type": "text", "text": arguments.to_string() }] })
            }
        };
        let answer = serde_json::json!({ "jsonrpc": "2.0", "id": message.get("id"), "result": result }).to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all(format!("{head}{answer}").as_bytes()).await?;
    }
}

/// One HTTP message's body.
async fn read_message(stream: &mut TcpStream, held: &mut Vec<u8>) -> anyhow::Result<Option<Vec<u8>>> {
    Ok(read_answer(stream, held).await?.map(|(_, body)| body))
}

/// One HTTP message: its head in lower case, and its body. Of events, the data of the last.
async fn read_answer(stream: &mut TcpStream, held: &mut Vec<u8>) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    let end = loop {
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(held).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(held.get(..end).unwrap_or_default()).to_ascii_lowercase();
    held.drain(..end + 4);
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let body = if value("transfer-encoding:") == Some("chunked") {
        let mut body = Vec::new();
        loop {
            let Some(line) = upto(stream, held, None).await? else { return Ok(None) };
            let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16)?;
            let Some(chunk) = upto(stream, held, Some(size + 2)).await? else { return Ok(None) };
            if size == 0 {
                break body;
            }
            body.extend_from_slice(chunk.get(..size).unwrap_or_default());
        }
    } else {
        let length = value("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
        let Some(body) = upto(stream, held, Some(length)).await? else { return Ok(None) };
        body
    };
    if !value("content-type:").is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return Ok(Some((head, body)));
    }
    let text = String::from_utf8_lossy(&body);
    let data = text.lines().filter_map(|line| line.strip_prefix("data:")).next_back().unwrap_or_default();
    Ok(Some((head, data.trim().as_bytes().to_vec())))
}

/// So many bytes, or those before the end of a line; `None` if the connection ends before.
async fn upto(stream: &mut TcpStream, held: &mut Vec<u8>, length: Option<usize>) -> anyhow::Result<Option<Vec<u8>>> {
    loop {
        let ends = || held.windows(2).position(|window| window == b"\r\n");
        let (take, skip) = match length {
            Some(length) => ((held.len() >= length).then_some(length), 0),
            None => (ends(), 2),
        };
        if let Some(take) = take {
            let taken = held.drain(..take).collect();
            held.drain(..skip);
            return Ok(Some(taken));
        }
        if stream.read_buf(held).await? == 0 {
            return Ok(None);
        }
    }
}

#[derive(Clone)]
struct Way {
    name: &'static str,
    /// Of several, each takes a connection in turn.
    addresses: Vec<SocketAddr>,
    path: &'static str,
    tool: &'static str,
    /// A header of its clients, whole.
    header: &'static str,
    /// The processes in the middle.
    processes: Vec<u32>,
    /// The peer's session, which its clients must name.
    session: Option<String>,
    /// How an agent signs in, if not with its key.
    token: Option<String>,
}

impl Way {
    /// To a server, and nothing in the middle.
    fn to(name: &'static str, address: SocketAddr) -> Self {
        let (path, tool, header) = ("/mcp", "read_echo", "");
        Self { name, addresses: vec![address], path, tool, header, processes: Vec::new(), session: None, token: None }
    }

    /// Processor time of what is in the middle, in microseconds.
    fn cpu_us(&self) -> u64 {
        self.processes.iter().map(|process| cpu_us(*process)).sum()
    }
}

#[derive(Default)]
struct Figures {
    latencies_us: Vec<u64>,
    errors: u64,
    seconds: f64,
    cpu_us: u64,
}

fn start_gateway(args: &Args, echo: SocketAddr, more: &[String]) -> anyhow::Result<Part> {
    let mut words = vec!["--role".to_owned(), "gateway".into(), "--upstream".into(), echo.to_string()];
    words.extend_from_slice(more);
    if let Some(dir) = &args.dir {
        words.extend(["--dir".to_owned(), dir.display().to_string()]);
    }
    Part::start(&words)
}

fn through(gateway: &Part) -> Way {
    let processes = vec![gateway.child.id()];
    Way { path: "/mcp/echo", processes, ..Way::to("bailiwick", gateway.address) }
}

type Table = BTreeMap<(String, &'static str), Figures>;

async fn measure(args: &Args) -> anyhow::Result<()> {
    let echo = Part::start(&["--role".into(), "echo".into()])?;
    let gateway = start_gateway(args, echo.address, &[])?;
    let mut ways = vec![Way::to("direct", echo.address), through(&gateway)];
    if !args.no_jwt {
        ways.push(Way { name: "… with JWT", token: gateway.said.clone(), ..through(&gateway) });
    }
    let shared = tempfile::tempdir()?;
    let folder = ["--shared".to_owned(), shared.path().display().to_string()];
    let replicas = (0..args.replicas).map(|_| start_gateway(args, echo.address, &folder));
    let replicas: Vec<Part> = replicas.collect::<anyhow::Result<_>>()?;
    if let Some(first) = replicas.first() {
        let addresses = replicas.iter().map(|part| part.address).collect();
        let processes = replicas.iter().map(|part| part.child.id()).collect();
        ways.push(Way { name: "… replicas", addresses, processes, ..through(first) });
    }
    let peers = peers::started(&args.peer, echo.address).await;
    ways.extend(peers.iter().map(|peer| peer.way.clone()));
    let counter = Arc::new(AtomicU64::new(1));
    for way in &ways {
        closed(way, 4, Duration::from_millis(300), &counter).await?;
    }
    let mut table = Table::new();
    let lasts = Duration::from_secs(args.seconds);
    for _ in 0..args.rounds {
        for connections in &args.connections {
            for way in &ways {
                let figures = closed(way, *connections, lasts, &counter).await?;
                let rate = figures.latencies_us.len() as f64 / figures.seconds;
                table.entry((format!("{connections:>3} connections"), way.name)).or_default().add(figures);
                if *connections == HALF_OF && !way.processes.is_empty() {
                    let figures = open(way, (rate / 2.0) as u64, lasts, &counter).await?;
                    table.entry((format!("half of {HALF_OF}'s"), way.name)).or_default().add(figures);
                }
            }
        }
        for rate in &args.rate {
            for way in &ways {
                let figures = open(way, *rate, lasts, &counter).await?;
                table.entry((format!("rate {rate}/s"), way.name)).or_default().add(figures);
            }
        }
    }
    print(&mut table);
    drop((gateway, replicas, peers));
    under_policies(args, echo.address, &counter).await?;
    idle_sessions(args, echo.address).await
}

/// What sessions cost that have called once and are idle.
async fn idle_sessions(args: &Args, echo: SocketAddr) -> anyhow::Result<()> {
    if args.idle == 0 {
        return Ok(());
    }
    let part = start_gateway(args, echo, &["--agents".to_owned(), args.idle.to_string()])?;
    let way = through(&part);
    Caller::new(&way, 0).await?.call(1).await?;
    let before = resident_mb(part.child.id())?;
    let mut caller = Caller::new(&way, 0).await?;
    for number in 1..=args.idle {
        caller.key = key(number);
        caller.call(u64::try_from(number)?).await?;
    }
    let after = resident_mb(part.child.id())?;
    println!(
        "{} sessions that called once: {after:.0} MB resident in all, {before:.0} MB before them, {:.1} kB each",
        args.idle,
        (after - before) * 1e3 / args.idle as f64
    );
    Ok(())
}

/// The memory that a process has.
pub(crate) fn resident_mb(process: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? * 1.024 / 1e3)
}

/// What more policies cost, at 16 connections.
async fn under_policies(args: &Args, echo: SocketAddr, counter: &Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut table = Table::new();
    let mut parts = Vec::new();
    for count in &args.policies {
        let began = Instant::now();
        let part = start_gateway(args, echo, &["--more-policies".to_owned(), count.to_string()])?;
        println!("{count} more policies: started in {:.1} s", began.elapsed().as_secs_f64());
        closed(&through(&part), 4, Duration::from_millis(300), counter).await?;
        parts.push((*count, part));
    }
    for _ in 0..args.rounds {
        for (count, part) in &parts {
            let figures = closed(&through(part), 16, Duration::from_secs(args.seconds), counter).await?;
            table.entry((format!("{count:>6} policies"), "bailiwick")).or_default().add(figures);
        }
    }
    if !table.is_empty() {
        print(&mut table);
    }
    Ok(())
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        self.errors += other.errors;
        self.seconds += other.seconds;
        self.cpu_us += other.cpu_us;
    }

    fn quantile(&self, of: f64) -> u64 {
        let at = (self.latencies_us.len() as f64 * of) as usize;
        self.latencies_us.get(at.min(self.latencies_us.len().saturating_sub(1))).copied().unwrap_or(0)
    }
}

fn print(table: &mut BTreeMap<(String, &'static str), Figures>) {
    println!(
        "{:<16} {:<10} {:>9} {:>9} {:>9} {:>11} {:>7} {:>8}",
        "load", "way", "p50 µs", "p99 µs", "calls/s", "CPU a call", "errors", "added"
    );
    for figures in table.values_mut() {
        figures.latencies_us.sort_unstable();
    }
    let mut loads: Vec<String> = table.keys().map(|(load, _)| load.clone()).collect();
    loads.dedup();
    for load in loads {
        let mut direct = None;
        for name in
            ["direct", "bailiwick", "… with JWT", "… replicas", "mcp-proxy", "agent-bom", "litellm", "contextforge"]
        {
            let Some(figures) = table.get(&(load.clone(), name)) else { continue };
            let (p50, p99, calls) = (figures.quantile(0.5), figures.quantile(0.99), figures.latencies_us.len() as f64);
            if name == "direct" {
                direct = Some(p50);
            }
            let cpu =
                if name == "direct" { "-".to_owned() } else { format!("{:.1} µs", figures.cpu_us as f64 / calls) };
            let rate = calls / figures.seconds;
            println!(
                "{load:<16} {name:<10} {p50:>9} {p99:>9} {rate:>9.0} {cpu:>11} {:>7} {:>8}",
                figures.errors,
                direct.map_or_else(|| "-".to_owned(), |direct| p50.saturating_sub(direct).to_string())
            );
        }
    }
}

/// As many calls as go through, one after the other on each connection.
async fn closed(way: &Way, connections: usize, lasts: Duration, counter: &Arc<AtomicU64>) -> anyhow::Result<Figures> {
    let (start, cpu) = (Instant::now(), way.cpu_us());
    let mut tasks = Vec::new();
    for number in 0..connections {
        let (counter, way) = (counter.clone(), way.clone());
        tasks.push(tokio::spawn(async move {
            let mut caller = Caller::new(&way, number).await?;
            let mut figures = Figures::default();
            while start.elapsed() < lasts {
                let began = Instant::now();
                match caller.call(counter.fetch_add(1, Ordering::Relaxed)).await {
                    Ok(()) => figures.latencies_us.push(u64::try_from(began.elapsed().as_micros())?),
                    Err(_) => {
                        figures.errors += 1;
                        caller = Caller::new(&way, number).await?;
                    }
                }
            }
            anyhow::Ok(figures)
        }));
    }
    gather(tasks, start, (cpu, way)).await
}

/// Calls at a fixed rate; what is late is late from when it was due.
async fn open(way: &Way, rate: u64, lasts: Duration, counter: &Arc<AtomicU64>) -> anyhow::Result<Figures> {
    const LANES: usize = 32;
    let (start, cpu) = (Instant::now(), way.cpu_us());
    let (mut tasks, mut lanes) = (Vec::new(), Vec::new());
    for number in 0..LANES {
        let (counter, way) = (counter.clone(), way.clone());
        let (lane, mut dues) = tokio::sync::mpsc::unbounded_channel::<Instant>();
        lanes.push(lane);
        tasks.push(tokio::spawn(async move {
            let mut caller = Caller::new(&way, number).await?;
            let mut figures = Figures::default();
            while let Some(due) = dues.recv().await {
                match caller.call(counter.fetch_add(1, Ordering::Relaxed)).await {
                    Ok(()) => figures.latencies_us.push(u64::try_from(due.elapsed().as_micros())?),
                    Err(_) => {
                        figures.errors += 1;
                        caller = Caller::new(&way, number).await?;
                    }
                }
            }
            anyhow::Ok(figures)
        }));
    }
    // A thread, because the runtime's own timer knows milliseconds only.
    let pace = std::thread::spawn(move || {
        let mut due = start;
        for lane in lanes.iter().cycle() {
            due += Duration::from_nanos(1_000_000_000 / rate.max(1));
            if due >= start + lasts {
                return;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // A lane that failed says so itself.
            let _ = lane.send(due);
        }
    });
    let figures = gather(tasks, start, (cpu, way)).await;
    pace.join().map_err(|_panic| anyhow::anyhow!("the pace was lost"))?;
    figures
}

async fn gather(
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<Figures>>>,
    start: Instant,
    (cpu, way): (u64, &Way),
) -> anyhow::Result<Figures> {
    let mut all = Figures::default();
    for task in tasks {
        all.add(task.await??);
    }
    all.seconds = start.elapsed().as_secs_f64();
    all.cpu_us = way.cpu_us().saturating_sub(cpu);
    Ok(all)
}

/// One connection that calls.
struct Caller {
    stream: TcpStream,
    held: Vec<u8>,
    head: String,
    key: String,
    tool: &'static str,
}

impl Caller {
    async fn new(way: &Way, number: usize) -> anyhow::Result<Self> {
        let Way { addresses, path, tool, header, session, token, .. } = way;
        let address = addresses.get(number % addresses.len().max(1)).context("no address")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let session = session.as_ref().map(|id| format!("mcp-session-id: {id}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\n{header}{session}content-type: application/json\r\naccept: application/json, text/event-stream\r\n{}: ",
            if token.is_some() { "authorization" } else { "x-bailiwick-key" }
        );
        let key = token.as_ref().map_or_else(|| key(0), |token| format!("Bearer {token}"));
        Ok(Self { stream, held: Vec::new(), head, key, tool })
    }

    /// One call; the answer must be to this call and hold these arguments.
    async fn call(&mut self, number: u64) -> anyhow::Result<()> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":"{}","arguments":{{"n":{number},"text":"line {number} of the report"}}}}}}"#,
            self.tool
        );
        self.stream
            .write_all(format!("{}{}\r\ncontent-length: {}\r\n\r\n{body}", self.head, self.key, body.len()).as_bytes())
            .await?;
        let answer = read_message(&mut self.stream, &mut self.held).await?.context("the connection closed")?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        anyhow::ensure!(
            answer.get("id").and_then(serde_json::Value::as_u64) == Some(number),
            "another answer: {answer}"
        );
        let text = answer.pointer("/result/content/0/text").and_then(serde_json::Value::as_str).context("no text")?;
        let said: serde_json::Value = serde_json::from_str(text)?;
        anyhow::ensure!(said.get("n").and_then(serde_json::Value::as_u64) == Some(number), "another body: {answer}");
        Ok(())
    }
}

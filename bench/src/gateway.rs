//! `bench gateway`: one `tools/call` direct, through Bailiwick with policy, labels and the durable ledger on,
//! and through `mcp-proxy` if it is there; interleaved in one run, every answer checked.

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

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A tool call direct, through Bailiwick, and through mcp-proxy.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How often everything is measured.
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// Closed loop: connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 32])]
    connections: Vec<usize>,
    /// Open loop: calls a second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// The folder of the ledger; its disk is part of what is measured.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// An address of `mcp-proxy`, started in front of the echo server that `--echo-port` fixes.
    #[arg(long)]
    mcp_proxy: Option<SocketAddr>,
    /// The port of the echo server.
    #[arg(long, default_value_t = 0)]
    echo_port: u16,
    #[arg(long, hide = true)]
    role: Option<Role>,
    #[arg(long, hide = true)]
    upstream: Option<SocketAddr>,
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
            Some(Role::Echo) => echo(args.echo_port).await,
            Some(Role::Gateway) => serve_gateway(args).await,
            None => measure(args).await,
        }
    })
}

/// A part of the measurement in a process of its own, so that its processor time is its own.
struct Part {
    child: Child,
    address: SocketAddr,
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
        Ok(Self { child, address: line.trim().parse().with_context(|| format!("`{line}` is no address"))? })
    }

    /// Processor time so far, in microseconds, from the scheduler's own count.
    fn cpu_us(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let task_ns = |task: std::fs::DirEntry| -> Option<u64> {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_ascii_whitespace().next()?.parse().ok()
        };
        tasks.into_iter().flatten().filter_map(|task| task_ns(task.ok()?)).sum::<u64>() / 1_000
    }
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

fn say_address(address: SocketAddr) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{address}")?;
    Ok(stdout.flush()?)
}

async fn serve_gateway(args: &Args) -> anyhow::Result<()> {
    let scratch =
        args.dir.clone().unwrap_or_else(std::env::temp_dir).join(format!("bailiwick-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let upstream = args.upstream.context("no upstream")?;
    let options = ledger::Options::new(jiff::Timestamp::now());
    let (ledger, _) = ledger::Ledger::open(&scratch.join("ledger"), ledger::SigningKey::generate()?, options)?;
    let policies = policy::packs().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let options =
        gateway::Options { dir: scratch.clone(), home: scratch.clone(), policies, limits: gateway::Limits::default() };
    let (gateway, diagnostics) = gateway::Gateway::start(options, ledger.clone()).await?;
    anyhow::ensure!(
        diagnostics.iter().all(|diagnostic| !diagnostic.error),
        "the policies are refused: {diagnostics:?}"
    );
    let fronts = gateway::Fronts {
        upstreams: BTreeMap::from([(
            "echo".to_owned(),
            gateway::Upstream::Http(format!("http://{upstream}/mcp").parse()?),
        )]),
        keys: vec![("bench".to_owned(), KEY.to_owned())],
        ..gateway::Fronts::default()
    };
    let address = gateway.listen_http(([127, 0, 0, 1], 0).into(), fronts).await?;
    say_address(address)?;
    until_input_ends().await;
    gateway.drain().await;
    eprintln!("  ledger: {} entries, {} intents without an outcome", ledger.len(), ledger.open_intents().len());
    drop(ledger);
    std::fs::remove_dir_all(scratch)?;
    Ok(())
}

/// A server with one tool that gives back its arguments.
async fn echo(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    say_address(listener.local_addr()?)?;
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
        let result = match message.get("method").and_then(serde_json::Value::as_str) {
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

/// One HTTP message's body, of a known length.
async fn read_message(stream: &mut TcpStream, held: &mut Vec<u8>) -> anyhow::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(held.get(..end).unwrap_or_default()).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok())
                .unwrap_or(0);
            let all = end + 4 + length;
            while held.len() < all {
                if stream.read_buf(held).await? == 0 {
                    return Ok(None);
                }
            }
            let body = held.get(end + 4..all).unwrap_or_default().to_vec();
            held.drain(..all);
            return Ok(Some(body));
        }
        if stream.read_buf(held).await? == 0 {
            return Ok(None);
        }
    }
}

struct Way {
    name: &'static str,
    address: SocketAddr,
    path: &'static str,
}

#[derive(Default)]
struct Figures {
    latencies_us: Vec<u64>,
    errors: u64,
    seconds: f64,
    cpu_us: u64,
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let echo = Part::start(&["--role".into(), "echo".into(), "--echo-port".into(), args.echo_port.to_string()])?;
    let mut words = vec!["--role".to_owned(), "gateway".into(), "--upstream".into(), echo.address.to_string()];
    if let Some(dir) = &args.dir {
        words.extend(["--dir".to_owned(), dir.display().to_string()]);
    }
    let gateway = Part::start(&words)?;
    let mut ways = vec![
        Way { name: "direct", address: echo.address, path: "/mcp" },
        Way { name: "bailiwick", address: gateway.address, path: "/mcp/echo" },
    ];
    match args.mcp_proxy {
        Some(address) => ways.push(Way { name: "mcp-proxy", address, path: "/mcp" }),
        None => println!("mcp-proxy: skipped, no `--mcp-proxy ADDRESS` was given"),
    }
    let counter = Arc::new(AtomicU64::new(1));
    for way in &ways {
        closed(way, 4, Duration::from_millis(300), &counter, &gateway).await?;
    }
    let mut table: BTreeMap<(String, &'static str), Figures> = BTreeMap::new();
    let lasts = Duration::from_secs(args.seconds);
    for _ in 0..args.rounds {
        for connections in &args.connections {
            for way in &ways {
                let figures = closed(way, *connections, lasts, &counter, &gateway).await?;
                table.entry((format!("{connections:>3} connections"), way.name)).or_default().add(figures);
            }
        }
        for way in &ways {
            let figures = open(way, args.rate, lasts, &counter, &gateway).await?;
            table.entry((format!("rate {}/s", args.rate), way.name)).or_default().add(figures);
        }
    }
    print(&mut table);
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
        "load", "way", "p50 µs", "p99 µs", "calls/s", "gateway CPU", "errors", "added"
    );
    let mut direct = 0;
    for figures in table.values_mut() {
        figures.latencies_us.sort_unstable();
    }
    let mut loads: Vec<String> = table.keys().map(|(load, _)| load.clone()).collect();
    loads.dedup();
    for load in loads {
        for name in ["direct", "bailiwick", "mcp-proxy"] {
            let Some(figures) = table.get(&(load.clone(), name)) else { continue };
            let (p50, p99, calls) = (figures.quantile(0.5), figures.quantile(0.99), figures.latencies_us.len() as f64);
            if name == "direct" {
                direct = p50;
            }
            let cpu =
                if name == "bailiwick" { format!("{:.1} µs", figures.cpu_us as f64 / calls) } else { "-".to_owned() };
            let rate = calls / figures.seconds;
            println!(
                "{load:<16} {name:<10} {p50:>9} {p99:>9} {rate:>9.0} {cpu:>11} {:>7} {:>8}",
                figures.errors,
                p50.saturating_sub(direct)
            );
        }
    }
}

/// As many calls as go through, one after the other on each connection.
async fn closed(
    way: &Way,
    connections: usize,
    lasts: Duration,
    counter: &Arc<AtomicU64>,
    gateway: &Part,
) -> anyhow::Result<Figures> {
    let (start, cpu) = (Instant::now(), gateway.cpu_us());
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (counter, address, path) = (counter.clone(), way.address, way.path);
        tasks.push(tokio::spawn(async move {
            let mut caller = Caller::new(address, path).await?;
            let mut figures = Figures::default();
            while start.elapsed() < lasts {
                let began = Instant::now();
                match caller.call(counter.fetch_add(1, Ordering::Relaxed)).await {
                    Ok(()) => figures.latencies_us.push(u64::try_from(began.elapsed().as_micros())?),
                    Err(_) => {
                        figures.errors += 1;
                        caller = Caller::new(address, path).await?;
                    }
                }
            }
            anyhow::Ok(figures)
        }));
    }
    gather(tasks, start, cpu, gateway).await
}

/// Calls at a fixed rate; what is late is late from when it was due.
async fn open(
    way: &Way,
    rate: u64,
    lasts: Duration,
    counter: &Arc<AtomicU64>,
    gateway: &Part,
) -> anyhow::Result<Figures> {
    const LANES: u64 = 32;
    let (start, cpu) = (Instant::now(), gateway.cpu_us());
    let mut tasks = Vec::new();
    for lane in 0..LANES {
        let (counter, address, path) = (counter.clone(), way.address, way.path);
        tasks.push(tokio::spawn(async move {
            let mut caller = Caller::new(address, path).await?;
            let mut figures = Figures::default();
            let mut due = start + Duration::from_nanos(1_000_000_000 * lane / rate);
            while due < start + lasts {
                tokio::time::sleep_until(due.into()).await;
                match caller.call(counter.fetch_add(1, Ordering::Relaxed)).await {
                    Ok(()) => figures.latencies_us.push(u64::try_from(due.elapsed().as_micros())?),
                    Err(_) => {
                        figures.errors += 1;
                        caller = Caller::new(address, path).await?;
                    }
                }
                due += Duration::from_nanos(1_000_000_000 * LANES / rate);
            }
            anyhow::Ok(figures)
        }));
    }
    gather(tasks, start, cpu, gateway).await
}

async fn gather(
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<Figures>>>,
    start: Instant,
    cpu: u64,
    gateway: &Part,
) -> anyhow::Result<Figures> {
    let mut all = Figures::default();
    for task in tasks {
        all.add(task.await??);
    }
    all.seconds = start.elapsed().as_secs_f64();
    all.cpu_us = gateway.cpu_us().saturating_sub(cpu);
    Ok(all)
}

/// One connection that calls.
struct Caller {
    stream: TcpStream,
    held: Vec<u8>,
    head: String,
}

impl Caller {
    async fn new(address: SocketAddr, path: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\nx-bailiwick-key: {KEY}\r\ncontent-length: "
        );
        Ok(Self { stream, held: Vec::new(), head })
    }

    /// One call; the answer must be to this call and hold these arguments.
    async fn call(&mut self, number: u64) -> anyhow::Result<()> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":"read_echo","arguments":{{"n":{number},"text":"line {number} of the report"}}}}}}"#
        );
        self.stream.write_all(format!("{}{}\r\n\r\n{body}", self.head, body.len()).as_bytes()).await?;
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

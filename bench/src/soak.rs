//! `bench soak`: the real binary under mixed hostile load for as long as one likes, its memory sampled.
//!
//! Beside one agent that behaves there are clients that read slowly, leave half-way, send heads byte by byte, junk,
//! giant ids, bodies that are too large, ids that are in use, handles of nobody, and many calls that a slow server
//! keeps open. The agent that behaves must be served without an error all the time, and the memory of the last fifth
//! must not be more than that of the second fifth and the bound.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

const KEY: &str = "a key of the soak";
/// How long a socket of ours waits.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the slow tool takes.
const SLOW: Duration = Duration::from_secs(3);

/// Mixed hostile load against the real binary; fails if its memory grows.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask soak\n  cargo xtask soak --minutes 5 --bound-mb 32")]
pub(crate) struct Args {
    /// How long.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// How much more memory the last fifth of the time may take than the second.
    #[arg(long, default_value_t = 64.0)]
    bound_mb: f64,
    /// How many of each kind of hostile client there are at a time.
    #[arg(long, default_value_t = 4)]
    each: usize,
    /// The binary; by default the one beside this program.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// What all clients share.
struct Field {
    door: SocketAddr,
    ends: AtomicBool,
    /// Connections that the hostile made.
    attacks: AtomicU64,
    served: AtomicU64,
    failed: AtomicU64,
    /// What the agent that behaves got instead of its first answer that was none.
    failure: OnceLock<String>,
    slowest_us: AtomicU64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?.with_file_name("bailiwick"),
    };
    let upstream = serve()?;
    let (gateway, door) = start(&binary, folder.path(), upstream)?;
    let new = AtomicU64::new;
    let field = Arc::new(Field {
        door,
        ends: AtomicBool::new(false),
        attacks: new(0),
        served: new(0),
        failed: new(0),
        failure: OnceLock::new(),
        slowest_us: new(0),
    });
    let mut threads = vec![spawn(&field, behaves)];
    for attack in ATTACKS {
        threads.extend((0..args.each).map(|_| spawn(&field, *attack)));
    }
    let curve = sample(args, gateway.0.id(), &field)?;
    field.ends.store(true, Ordering::Relaxed);
    drop(gateway);
    for thread in threads {
        thread.join().map_err(|_panic| anyhow::anyhow!("a client of the soak failed"))?;
    }
    judge(args, &curve, &field)
}

/// The gateway; killed when it is dropped.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(binary: &Path, folder: &Path, upstream: SocketAddr) -> anyhow::Result<(Gateway, SocketAddr)> {
    let home = folder.join("bailiwick");
    let command = || {
        let mut command = Command::new(binary);
        command.env("BAILIWICK_HOME", &home).env("HOME", folder).stdin(Stdio::null()).current_dir(folder);
        command
    };
    let added = command().args(["upstream", "add", "far", &format!("http://{upstream}/mcp")]).status();
    let added =
        added.with_context(|| format!("`{}` does not run; `cargo build --release -p cli`", binary.display()))?;
    anyhow::ensure!(added.success(), "`bailiwick upstream add` failed");
    std::fs::write(home.join("keys/agent-soak.key"), KEY)?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut child = command()
        .args(["up", "--no-scan", "--port", "0", "--gateway-port", &port.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let gateway = Gateway(child);
    let mut lines = lines.map_while(Result::ok);
    anyhow::ensure!(lines.any(|line| line.contains("Ctrl-C ends it")), "`bailiwick up` ended");
    thread::spawn(move || lines.for_each(drop));
    Ok((gateway, SocketAddr::from(([127, 0, 0, 1], port))))
}

/// A server with a quick tool, a slow one, and one that answers much.
fn serve() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || while let Some(()) = answer(&stream) {});
        }
    });
    Ok(address)
}

fn answer(mut stream: &TcpStream) -> Option<()> {
    let (_, body) = message(stream)?;
    let request: Value = serde_json::from_slice(&body).ok()?;
    let tool = |name: &str| {
        json!({ "name": name, "description": "Reads.", "inputSchema": { "type": "object" },
        "annotations": { "readOnlyHint": true, "openWorldHint": false } })
    };
    let text = |text: String| json!({ "content": [{ "type": "text", "text": text }] });
    let result = match (at(&request, "/method").as_str()?, at(&request, "/params/name").as_str()) {
        ("tools/list", _) => json!({ "tools": [tool("read_quick"), tool("read_slow"), tool("read_much")] }),
        (_, Some("read_slow")) => {
            thread::sleep(SLOW);
            text("late".to_owned())
        }
        (_, Some("read_much")) => text("0123456789 ".repeat(100_000)),
        _ => text("served".to_owned()),
    };
    let answer = json!({ "jsonrpc": "2.0", "id": at(&request, "/id"), "result": result }).to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
    stream.write_all(format!("{head}{answer}").as_bytes()).ok()
}

fn at(value: &Value, pointer: &str) -> Value {
    value.pointer(pointer).cloned().unwrap_or_default()
}

/// One HTTP message of a known length: its head and body.
fn message(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head += &line;
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

type Client = fn(&Field, u64) -> Option<()>;

/// Does one thing again and again.
fn spawn(field: &Arc<Field>, client: Client) -> thread::JoinHandle<()> {
    let field = field.clone();
    thread::spawn(move || {
        let mut number = 0;
        while !field.ends.load(Ordering::Relaxed) {
            number += 1;
            // That the gateway hangs up on the hostile is as it should be.
            let _ = client(&field, number);
            thread::sleep(Duration::from_millis(20));
        }
    })
}

fn connect(field: &Field) -> Option<TcpStream> {
    let stream = TcpStream::connect(field.door).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

fn attacks(field: &Field) -> Option<TcpStream> {
    field.attacks.fetch_add(1, Ordering::Relaxed);
    connect(field)
}

fn head(length: usize, more: &str) -> String {
    format!(
        "POST /mcp/far HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nx-bailiwick-key: {KEY}\r\n{more}content-length: {length}\r\n\r\n"
    )
}

fn call(id: &Value, tool: &str) -> String {
    let params = json!({ "name": tool, "arguments": { "n": 1 } });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }).to_string()
}

fn posted(body: &str) -> Vec<u8> {
    format!("{}{body}", head(body.len(), "")).into_bytes()
}

/// The agent that behaves: its answer must be the one to its call.
fn behaves(field: &Field, number: u64) -> Option<()> {
    let began = Instant::now();
    let served = || {
        let stream = connect(field).ok_or("no connection")?;
        (&stream).write_all(&posted(&call(&json!(number), "read_quick"))).map_err(|error| error.to_string())?;
        let (head, body) = message(&stream).ok_or("no answer")?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let is_right = at(&answer, "/id") == number && at(&answer, "/result/content/0/text") == "served";
        if is_right { Ok(()) } else { Err(format!("{head}{}", String::from_utf8_lossy(&body))) }
    };
    match served() {
        Ok(()) => {
            field.served.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) if field.ends.load(Ordering::Relaxed) => {}
        Err(failure) => {
            field.failed.fetch_add(1, Ordering::Relaxed);
            field.failure.get_or_init(|| failure);
        }
    }
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    field.slowest_us.fetch_max(took, Ordering::Relaxed);
    Some(())
}

const ATTACKS: &[Client] = &[
    // Reads a large answer slowly, and leaves.
    |field, number| {
        let mut stream = attacks(field)?;
        stream.write_all(&posted(&call(&json!(number), "read_much"))).ok()?;
        let mut some = [0; 512];
        for _ in 0..100 {
            stream.read_exact(&mut some).ok()?;
            thread::sleep(Duration::from_millis(30));
        }
        Some(())
    },
    // Sends half a body, closes its side, waits.
    |field, number| {
        let mut stream = attacks(field)?;
        let whole = posted(&call(&json!(number), "read_quick"));
        stream.write_all(whole.get(..whole.len() - 9)?).ok()?;
        stream.shutdown(Shutdown::Write).ok()?;
        stream.read_to_end(&mut Vec::new()).ok()?;
        Some(())
    },
    // A head byte by byte.
    |field, _| {
        let mut stream = attacks(field)?;
        for byte in head(10, "x-more: ").as_bytes().iter().cycle().take(400) {
            stream.write_all(&[*byte]).ok()?;
            thread::sleep(Duration::from_millis(20));
        }
        Some(())
    },
    // Giant ids and names, in bodies and in headers.
    |field, number| {
        let mut stream = attacks(field)?;
        let giant = "i".repeat(1 << (10 + number % 12));
        stream.write_all(&posted(&call(&json!(giant), "read_quick"))).ok()?;
        message(&stream)?;
        let body = call(&json!(number), &giant);
        let head = head(body.len(), &format!("mcp-session-id: {giant}\r\nmcp-name: {giant}\r\n"));
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
        message(&stream).map(drop)
    },
    // Junk, too deep, twice the same key, no text.
    |field, number| {
        let mut stream = attacks(field)?;
        let deep = "[".repeat(100_000);
        let twice = r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#;
        let junk: [&[u8]; 4] = [deep.as_bytes(), twice.as_bytes(), b"\xff\xfe\x00{", b"{\"a\":"];
        let junk = *junk.get(usize::try_from(number % 4).ok()?)?;
        stream.write_all(head(junk.len(), "").as_bytes()).ok()?;
        stream.write_all(junk).ok()?;
        message(&stream)?;
        stream.write_all(b"\x16\x03\x01 no HTTP at all\r\n\r\n").ok()?;
        stream.read_to_end(&mut Vec::new()).ok().map(drop)
    },
    // A body that is larger than any may be, of a length that is said or not.
    |field, number| {
        let mut stream = attacks(field)?;
        let block = [b'x'; 64 * 1024];
        if number % 2 == 0 {
            stream.write_all(head(1 << 30, "").as_bytes()).ok()?;
        } else {
            let head = head(0, "transfer-encoding: chunked\r\n").replace("content-length: 0\r\n", "");
            stream.write_all(head.as_bytes()).ok()?;
        }
        for _ in 0..512 {
            if number % 2 == 1 {
                stream.write_all(b"10000\r\n").ok()?;
            }
            stream.write_all(&block).ok()?;
            if number % 2 == 1 {
                stream.write_all(b"\r\n").ok()?;
            }
        }
        Some(())
    },
    // Many calls that stay open, all with one id; some wait, some leave.
    |field, number| {
        let many: Vec<TcpStream> = (0..16).filter_map(|_| attacks(field)).collect();
        let body = posted(&call(&json!(7), "read_slow"));
        many.iter().for_each(|mut stream| drop(stream.write_all(&body)));
        if number % 2 == 0 {
            many.iter().for_each(|stream| drop(message(stream)));
        }
        Some(())
    },
    // Streams that are opened and left, sessions of nobody, answers to nothing, keys of nobody.
    |field, number| {
        let mut stream = attacks(field)?;
        let wrong = format!("wrong {number}");
        let text = match number % 4 {
            0 => "GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n".to_owned(),
            1 => {
                let answer = json!({ "jsonrpc": "2.0", "id": number, "result": {} }).to_string();
                format!("{}{answer}", head(answer.len(), ""))
            }
            2 => String::from_utf8(posted(&call(&json!(number), "read_quick"))).ok()?.replace(KEY, &wrong),
            _ => format!("DELETE /mcp/far HTTP/1.1\r\nhost: 127.0.0.1\r\nmcp-session-id: {wrong}\r\n\r\n"),
        };
        stream.write_all(text.as_bytes()).ok()?;
        message(&stream).map(drop)
    },
];

/// The memory of the gateway over time, in megabytes, said as it goes.
fn sample(args: &Args, gateway: u32, field: &Field) -> anyhow::Result<Vec<f64>> {
    let (began, lasts) = (Instant::now(), Duration::from_secs_f64(args.minutes * 60.0));
    let every = (lasts / 600).max(Duration::from_millis(250));
    let (mut curve, mut said) = (Vec::new(), 0);
    println!("{:>8} {:>9} {:>10} {:>8} {:>7} {:>12}", "seconds", "RSS MB", "attacks", "served", "failed", "slowest ms");
    while began.elapsed() < lasts {
        thread::sleep(every);
        let now = crate::gateway::resident_mb(gateway).context("the gateway is gone")?;
        curve.push(now);
        let twentieth = (began.elapsed().as_secs_f64() / lasts.as_secs_f64() * 20.0) as u64;
        if twentieth > said {
            said = twentieth;
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            println!(
                "{:>8.0} {now:>9.1} {:>10} {:>8} {:>7} {:>12.1}",
                began.elapsed().as_secs_f64(),
                count(&field.attacks),
                count(&field.served),
                count(&field.failed),
                field.slowest_us.swap(0, Ordering::Relaxed) as f64 / 1e3,
            );
        }
    }
    Ok(curve)
}

fn judge(args: &Args, curve: &[f64], field: &Field) -> anyhow::Result<()> {
    let fifth = |number: usize| {
        let mut part = curve.get(curve.len() * number / 5..curve.len() * (number + 1) / 5).unwrap_or_default().to_vec();
        part.sort_by(f64::total_cmp);
        part.get(part.len() / 2).copied().context("too short: nothing was sampled")
    };
    let (early, late) = (fifth(1)?, fifth(4)?);
    let (served, failed) = (field.served.load(Ordering::Relaxed), field.failed.load(Ordering::Relaxed));
    println!("median of the second fifth {early:.1} MB, of the last {late:.1} MB; bound {:.0} MB more", args.bound_mb);
    anyhow::ensure!(late - early <= args.bound_mb, "the memory grew by {:.1} MB", late - early);
    anyhow::ensure!(
        served > 0 && failed == 0,
        "the agent that behaves was served {served} times, and {failed} times not; first: {}",
        field.failure.get().map_or("", String::as_str)
    );
    Ok(())
}

//! The ledger beside the physical limit of the same run: a raw group commit with the same pattern of writes
//! and syncs, and SHA-256 of the same bytes.
//!
//! Four limits stand beside the ledger's rate, all over zeros that are on the disk already:
//! - *raw*: one thread writes frames of an entry's size, as many at once as there are callers, and syncs: one after another,
//!   through segments that a second thread fills with zeros ahead. It makes no JSON, hashes nothing, writes no tile, and has
//!   no callers.
//! - *in place*: the same over one segment again and again, which no log can do. With many callers it is copying memory, not
//!   syncing, that takes its time.
//! - *in place with SHA-256*: the same with the one hash that an entry cannot do without, on the same thread.
//! - *group commit*: as many concurrent callers as the ledger has, each waiting until its frame is durable, over the same
//!   queue with the same wakes and syncs, and still no JSON, hash, next segment or tile ([`queue`]).

mod queue;
mod raw;
mod whole;

use std::path::Path;
use std::time::{Duration, Instant};

use ::ledger::record::{Intent, Outcome, Status};
use ::ledger::{Entry, Ledger, Options, Record, SigningKey};
use jiff::Timestamp;
use serde_json::json;

/// Appends with durable acknowledgement, verification and opening, beside the raw disk and SHA-256.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds; medians are reported. 0: only the log of `--calls`.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Calls in the log that is verified and opened; each is two entries.
    #[arg(long, default_value_t = 200_000)]
    calls: u64,
    /// Where to measure; a temporary folder is made there.
    #[arg(long, default_value = ".")]
    dir: std::path::PathBuf,
}

/// What one measurement of appends gave.
struct Appends {
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(&args.dir)?;
    if args.rounds > 0 {
        beside_the_disk(folder.path(), args)?;
    }
    whole::run(&folder.path().join("whole"), args.calls)
}

fn beside_the_disk(folder: &Path, args: &Args) -> anyhow::Result<()> {
    let time = Duration::from_secs_f64(args.seconds);
    let entry = Entry { v: 1, time: Timestamp::UNIX_EPOCH, record: intent("deny", 1), unknown: serde_json::Map::new() };
    let size = ::ledger::canonical::to_vec(&entry)?.len();
    println!("an intent of {size} bytes; medians of {} rounds of {} s", args.rounds, args.seconds);
    println!(
        "callers |  appends/s    p50 µs    p99 µs  CPU µs |      raw/s  ratio | in place/s  ratio | with SHA-256/s  ratio | group commit/s  ratio"
    );
    for callers in [1, 32, 256] {
        let (mut ours, mut sequential, mut in_place) = (Vec::new(), Vec::new(), Vec::new());
        let (mut hashed, mut queued) = (Vec::new(), Vec::new());
        let (path, group) = (folder.join("raw"), (callers, size));
        for round in 0..args.rounds {
            queued.push(queue::appends(&path, callers, size, time)?);
            in_place.push(raw::in_place(&path, group, time, false)?);
            hashed.push(raw::in_place(&path, group, time, true)?);
            sequential.push(raw::sequential(&folder.join(format!("raw-{callers}-{round}")), group, time)?);
            ours.push(appends(&folder.join(format!("log-{callers}-{round}")), callers, time)?);
        }
        let (raw, in_place) = (median(sequential), median(in_place));
        let (hashed, queued) = (median(hashed), median(queued));
        let pick = |what: fn(&Appends) -> f64| median(ours.iter().map(what).collect());
        let rate = pick(|one| one.rate);
        println!(
            "{callers:>7} | {rate:>10.0} {:>9.0} {:>9.0} {:>7.1} | {raw:>10.0} {:>4.0} % | {in_place:>10.0} {:>4.0} % | {hashed:>14.0} {:>4.0} % | {queued:>14.0} {:>4.0} %",
            pick(|one| one.p50_us),
            pick(|one| one.p99_us),
            pick(|one| one.cpu_us),
            100.0 * rate / raw,
            100.0 * rate / in_place,
            100.0 * rate / hashed,
            100.0 * rate / queued
        );
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// As a gateway writes it; a denied one needs no outcome.
fn intent(effect: &str, sequence: u64) -> Record {
    Record::Intent(Intent {
        action: json!({
            "principal": {"agent": "claude-code", "user": "user:alice", "session": "0b51a6ce", "evidence": {"uid": 1000, "program": "/usr/bin/claude"}},
            "door": "mcp_stdio", "verb": "call_tool",
            "tool": {"server": "filesystem", "name": "write_file"},
            "arguments": {"path": "/home/alice/project/notes.md", "content": "a line of text that an agent writes\n".repeat(4)},
            "labels": {"path": {"integrity": 3, "confidentiality": 1, "origins": [17, 42]}, "content": {"integrity": 1, "confidentiality": 1, "origins": [44]}},
        }),
        decision: json!({"effect": {"effect": effect}, "reasons": [{"policy": "base.write", "text": "Writes in the project are allowed."}], "snapshot": "9d1f"}),
        snapshot: "9d1f63a2b5c84d70".repeat(4),
        now: Timestamp::UNIX_EPOCH,
        session: "0b51a6ce".to_owned(),
        sequence,
        uses: None,
        payload: None,
    })
}

fn outcome(intent: u64) -> Record {
    let labels = json!({"integrity": 1, "confidentiality": 1});
    Record::Outcome(Outcome { labels, duration_us: 1234, size_bytes: 321, ..Outcome::bare(intent, Status::Ok) })
}

fn open(dir: &Path) -> anyhow::Result<Ledger> {
    Ok(Ledger::open(dir, SigningKey::from_seed(&[1; 32])?, Options::new(Timestamp::UNIX_EPOCH))?.0)
}

/// Callers that each append the next intent when the last is durable.
fn appends(dir: &Path, callers: usize, time: Duration) -> anyhow::Result<Appends> {
    let ledger = open(dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let (cpu, start) = (cpu_time()?, Instant::now());
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let ledger = ledger.clone();
            runtime.spawn(async move {
                let mut latencies = Vec::new();
                // What a caller's own work costs is not the ledger's.
                let Record::Intent(mut intent) = intent("deny", 0) else { anyhow::bail!("no intent") };
                while start.elapsed() < time {
                    intent.sequence += 1;
                    let before = Instant::now();
                    ledger.intend(&intent, false, Timestamp::UNIX_EPOCH)?.await?;
                    latencies.push(before.elapsed().as_secs_f64() * 1e6);
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(runtime.block_on(task)??);
    }
    let (elapsed, cpu) = (start.elapsed(), cpu_time()? - cpu);
    anyhow::ensure!(ledger.len() == latencies.len() as u64 + 1, "an acknowledged entry is missing");
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    let count = latencies.len() as f64;
    Ok(Appends {
        rate: count / elapsed.as_secs_f64(),
        p50_us: at(0.5),
        p99_us: at(0.99),
        cpu_us: cpu.as_secs_f64() * 1e6 / count,
    })
}

/// CPU time of this process, all threads.
pub(crate) fn cpu_time() -> anyhow::Result<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

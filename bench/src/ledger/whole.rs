//! A whole log: written through the ledger by callers that wait for nothing, opened, read and verified, with the memory
//! that each takes.

use std::path::Path;
use std::time::Instant;

use ::ledger::{Append, AppendError, Ledger, Reader, Record, SigningKey, verify};
use anyhow::Context as _;
use jiff::Timestamp;

use super::{cpu_time, intent, open, outcome};
use crate::memory::{forget_peak, peak_mib};

/// So many entries are read, then hashed.
const AT_ONCE: usize = 65_536;

/// A log of so many calls, each of which is two entries.
pub(crate) fn run(dir: &Path, calls: u64) -> anyhow::Result<()> {
    let (entries, written) = timed(|| write(dir, calls))?;
    println!("{entries} entries written by one caller that never waits, and sealed: {:.0}/s", entries as f64 / written);

    forget_peak()?;
    let (held, (ledger, opened)) = (peak_mib()?, timed(|| open(dir))?);
    println!("opened in {:.0} ms, with {} MiB more at most", opened * 1e3, peak_mib()?.saturating_sub(held));
    drop(ledger);

    let (read, hashed) = read_and_hash(dir)?;
    let key = SigningKey::from_seed(&[1; 32])?.verifying_key();
    let options = verify::Options { complete: true, ..verify::Options::default() };
    forget_peak()?;
    let (held, cpu) = (peak_mib()?, cpu_time()?);
    let (report, verified) = timed(|| Ok(verify::verify(dir, &key, &options)?))?;
    anyhow::ensure!(report.faults.is_empty(), "{:?}", report.faults.first().context("a fault"));
    // What else runs on the machine takes time, but not this process's.
    let cpu = (cpu_time()? - cpu).as_secs_f64();
    let rate = |seconds: f64| report.entries as f64 / seconds;
    println!(
        "read {:.0}/s, SHA-256 of the same bytes {:.0}/s, everything verified {:.0}/s, {:.0} per second of CPU: {:.0} % of SHA-256; \
         with {} MiB more at most",
        rate(read),
        rate(hashed),
        rate(verified),
        rate(cpu),
        100.0 * hashed / verified,
        peak_mib()?.saturating_sub(held)
    );
    Ok(())
}

fn write(dir: &Path, calls: u64) -> anyhow::Result<u64> {
    let ledger = open(dir)?;
    let mut last = None;
    for sequence in 1..=calls {
        let permitted = append(&ledger, || intent("permit", sequence), &mut last)?;
        append(&ledger, || outcome(permitted.index()), &mut last)?;
        last = Some(permitted);
    }
    ledger.seal()?;
    Ok(ledger.len())
}

/// Nobody waits here but at the bound, and there for the last one.
fn append(ledger: &Ledger, record: impl Fn() -> Record, last: &mut Option<Append>) -> anyhow::Result<Append> {
    loop {
        match (ledger.append(record(), Timestamp::UNIX_EPOCH), last.take()) {
            (Err(AppendError::Full { .. }), Some(last)) => _ = last.wait()?,
            // The tiles are behind.
            (Err(AppendError::Full { .. }), None) => std::thread::yield_now(),
            (append, before) => {
                *last = before;
                return Ok(append?);
            }
        }
    }
}

/// The seconds that all entries take to be read, and their bytes to be hashed.
fn read_and_hash(dir: &Path) -> anyhow::Result<(f64, f64)> {
    let reader = Reader::open(dir)?;
    let (mut read, mut hashed, mut some) = (0.0, 0.0, Vec::with_capacity(AT_ONCE));
    let mut all = reader.raw(0..u64::MAX);
    loop {
        let (_, took) = timed(|| {
            for entry in all.by_ref().take(AT_ONCE) {
                some.push(entry?.1);
            }
            Ok(())
        })?;
        read += took;
        if some.is_empty() {
            return Ok((read, hashed));
        }
        let (_, took) = timed(|| {
            some.iter().for_each(|entry| _ = std::hint::black_box(::ledger::tree::leaf_hash(entry)));
            Ok(())
        })?;
        hashed += took;
        some.clear();
    }
}

fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, f64)> {
    let start = Instant::now();
    let value = work()?;
    Ok((value, start.elapsed().as_secs_f64()))
}

//! Simulates the pipeline over many seeds, on all processors, and prints the first seeds that break an invariant.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use gateway::simulation::{self, Summary};

/// Simulate the pipeline over many seeds.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// So many seeds.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (from, count) = args.seed.map_or((args.from, args.seeds), |seed| (seed, 1));
    let start = Instant::now();
    let next = AtomicU64::new(from);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Totals::default());
    let broken = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let Ok(dir) = tempfile::tempdir() else { return };
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    match simulation::run(seed, dir.path()) {
                        Ok(summary) => hold(&total).add(&summary),
                        Err(fault) => {
                            hold(&broken).push(format!("seed {seed}: {fault}"));
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    println!("{} in {:.1} s", hold(&total).text(), start.elapsed().as_secs_f64());
    let broken = hold(&broken);
    for fault in broken.iter() {
        println!("BROKEN {fault}");
    }
    anyhow::ensure!(broken.is_empty(), "an invariant is broken; again: cargo xtask simulate --seed N");
    Ok(())
}

fn hold<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Totals {
    seeds: u64,
    calls: u64,
    sent: u64,
    answered: u64,
    broke: u64,
    crashed: u64,
}

impl Totals {
    fn add(&mut self, summary: &Summary) {
        self.seeds += 1;
        self.calls += summary.calls;
        self.sent += summary.sent;
        self.answered += summary.answered;
        self.broke += u64::from(summary.broke);
        self.crashed += u64::from(summary.crashed);
    }

    fn text(&self) -> String {
        let Self { seeds, calls, sent, answered, broke, crashed } = self;
        format!(
            "{seeds} seeds hold: {calls} calls, {sent} sent, {answered} answers, {broke} runs with a broken disk, \
             {crashed} ended without warning"
        )
    }
}

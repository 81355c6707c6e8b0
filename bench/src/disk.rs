//! What one durable write costs here, the limit under every other figure: `fdatasync` after an append and after
//! overwriting zero-filled space.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What one durable write costs on this disk.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder on the disk to measure.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Writes per kind.
    #[arg(long, default_value_t = 400)]
    writes: u64,
}

const BLOCK: usize = 512;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    println!("{:<28} {:>9} {:>9}", "fdatasync after", "p50 ms", "p99 ms");
    for (name, filled) in [("an append", 0), ("a zero-filled overwrite", args.writes)] {
        let path = args.dir.join(format!(".bailiwick-bench-disk.{}", std::process::id()));
        let file = OpenOptions::new().create_new(true).write(true).open(&path)?;
        let measured = measure(&file, args.writes, filled);
        std::fs::remove_file(&path)?;
        let times = measured?;
        println!("{name:<28} {:>9.3} {:>9.3}", quantile(&times, 0.50), quantile(&times, 0.99));
    }
    Ok(())
}

/// Times `writes` durable blocks, the first `filled` of them over zeros that are already on the disk.
fn measure(file: &File, writes: u64, filled: u64) -> anyhow::Result<Vec<Duration>> {
    file.write_all_at(&vec![0; BLOCK * usize::try_from(filled)?], 0)?;
    file.sync_all()?;
    let mut times = Vec::new();
    for number in 0..writes {
        let start = Instant::now();
        file.write_all_at(&[1; BLOCK], number * BLOCK as u64)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// The `q` quantile of sorted times, in milliseconds.
fn quantile(sorted: &[Duration], q: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
    let index = ((sorted.len().saturating_sub(1)) as f64 * q).round() as usize;
    sorted.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

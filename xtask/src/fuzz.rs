//! `cargo xtask fuzz`: every parser under libFuzzer, one target after the other. What reaches code that nothing else
//! reaches is kept, packed, in `fuzz/corpus/TARGET.tar.gz`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::run;

/// Fuzz the parsers: all targets, or those that are named.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The targets; all if none is named.
    targets: Vec<String>,
    /// How long each runs, in minutes; 0 only tries what is in the corpus.
    #[arg(long, default_value_t = 10)]
    minutes: u32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if !run::answers("cargo-fuzz") {
        run::run(run::cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    let root = run::root().join("fuzz");
    let all = targets(&root)?;
    let unknown = args.targets.iter().find(|name| !all.contains(name));
    anyhow::ensure!(
        unknown.is_none(),
        "no such target: {}; there are {}",
        unknown.map_or("", |name| name),
        all.join(", ")
    );
    run::run(fuzz("build").arg("--dev"))?;
    for target in if args.targets.is_empty() { &all } else { &args.targets } {
        let packed = root.join("corpus").join(format!("{target}.tar.gz"));
        let corpus = unpacked(target, &packed)?;
        let limit = match args.minutes {
            0 => "-runs=0".to_owned(),
            minutes => format!("-max_total_time={}", minutes * 60),
        };
        // A text that takes ten seconds, or a gigabyte, is a fault like a panic.
        let bounds = ["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0"];
        run::run(fuzz("run").args(["--dev", target]).arg(&corpus).arg("--").args(bounds).arg(limit))?;
        if args.minutes > 0 {
            run::run(fuzz("cmin").args(["--dev", target]).arg(&corpus))?;
            pack(&corpus, &packed)?;
        }
    }
    Ok(())
}

/// Sanitizers are behind a switch of the compiler's nightly channel.
fn fuzz(command: &str) -> std::process::Command {
    let mut fuzz = run::cargo();
    fuzz.args(["fuzz", command]).env("RUSTC_BOOTSTRAP", "1");
    fuzz
}

/// The corpus as files, where the fuzzer may add to it.
fn unpacked(target: &str, packed: &Path) -> anyhow::Result<PathBuf> {
    let corpus = run::target().join("fuzz-corpus").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create `{}`", corpus.display()))?;
    if packed.exists() {
        run::run(run::program("tar", &corpus).arg("-xzf").arg(packed))?;
    }
    Ok(corpus)
}

/// The same files make the same bytes.
fn pack(corpus: &Path, packed: &Path) -> anyhow::Result<()> {
    let same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-czf"];
    run::run(run::program("tar", corpus).args(same).arg(packed).arg("."))
}

fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let dir = root.join("fuzz_targets");
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot read `{}`", dir.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

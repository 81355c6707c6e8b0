//! `cargo xtask bench`: builds the package `bench` in release and runs it.

use crate::run;

/// Measure: `agentdojo`, `flow`, `gateway`, `graph`, `ledger` … (`cargo xtask bench -- --help` lists them).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The benchmark and its options.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    // Benchmarks that start the gateway start the real binary.
    run::run(run::cargo().args(["build", "--release", "--quiet", "--package", "cli"]))?;
    run::run(run::cargo().args(["run", "--release", "--quiet", "--package", "bench", "--"]).args(&args.words))
}

/// Simulate the gateway's pipeline under a seeded schedule: `--seeds N`, or `--seed N` to run one again.
#[derive(clap::Args)]
pub(crate) struct Simulate {
    /// Options of the simulation.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

pub(crate) fn simulate(args: &Simulate) -> anyhow::Result<()> {
    let words = ["run", "--release", "--quiet", "--package", "bench", "--", "simulate"];
    run::run(run::cargo().args(words).args(&args.words))
}

/// Hold the gateway under mixed hostile load and watch its memory: `--minutes 30 --bound-mb 64`.
#[derive(clap::Args)]
pub(crate) struct Soak {
    /// Options of the soak.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

pub(crate) fn soak(args: &Soak) -> anyhow::Result<()> {
    run::run(run::cargo().args(["build", "--release", "--quiet", "--package", "cli"]))?;
    let words = ["run", "--release", "--quiet", "--package", "bench", "--", "soak"];
    run::run(run::cargo().args(words).args(&args.words))
}

//! `cargo xtask differential`: random small accounts against the naive reference evaluator.

use crate::run;

/// Compare the evaluation of random accounts with a reference written separately.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many accounts.
    #[arg(long, default_value_t = 100_000)]
    accounts: u32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let words = ["test", "--release", "--quiet", "--package", "graph", "--test", "differential", "--", "--nocapture"];
    run::run(run::cargo().args(words).env("BAILIWICK_DIFFERENTIAL_ACCOUNTS", args.accounts.to_string()))
}

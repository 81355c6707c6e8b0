//! `cargo xtask differential`: random small accounts against the naive reference evaluator, and against those of
//! moto and of cloud-copilot.

use std::path::PathBuf;

use crate::run;

/// Compare the evaluation of random accounts with a reference written separately.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many accounts.
    #[arg(long, default_value_t = 100_000)]
    accounts: u32,
    /// A Python that has moto, whose evaluator is asked too, where it is sound; skipped with a word if none is given.
    #[arg(long, value_name = "PYTHON")]
    with: Option<PathBuf>,
    /// A folder whose `node_modules` has `@cloud-copilot/iam-simulate`, which is asked too; skipped likewise.
    #[arg(long, value_name = "FOLDER")]
    node: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let words = ["test", "--release", "--quiet", "--package", "graph", "--test", "differential", "--", "--nocapture"];
    let mut command = run::cargo();
    command.args(words).env("BAILIWICK_DIFFERENTIAL_ACCOUNTS", args.accounts.to_string());
    if let Some(python) = &args.with {
        command.env("BAILIWICK_DIFFERENTIAL_PYTHON", std::path::absolute(python)?);
    }
    if let Some(folder) = &args.node {
        command.env("BAILIWICK_DIFFERENTIAL_NODE", std::path::absolute(folder)?);
    }
    run::run(&mut command)
}

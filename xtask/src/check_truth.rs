//! `cargo xtask check-truth DIR`: judges labelled accounts, and prints what is found, possible, missed or
//! wrong, with the reason for each.

use std::path::PathBuf;

use crate::run;

/// Judge a folder of labelled AWS accounts.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder; it may have folders of scenarios below it.
    dir: PathBuf,
    /// A folder with what the accounts lack: `NAME/*.json` inventories for each `NAME.json`.
    #[arg(long, value_name = "DIR")]
    inventories: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    // The program is an example of `connect`, because xtask depends on no crate of ours.
    let dir = std::path::absolute(&args.dir)?;
    let words = ["run", "--release", "--quiet", "--package", "connect", "--example", "check_truth", "--"];
    let inventories = args.inventories.as_ref().map(std::path::absolute).transpose()?;
    run::run(run::cargo().args(words).arg(dir).args(inventories))
}

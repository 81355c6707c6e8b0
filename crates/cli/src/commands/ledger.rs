//! `bailiwick ledger`.

use std::process::ExitCode;

use crate::home::Home;

/// Show, follow, prove and verify the ledger.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`ledger` is not built yet")
}

//! `bailiwick up`.

use std::process::ExitCode;

use crate::home::Home;

/// Scan this machine, start the gateway and the console.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`up` is not built yet")
}

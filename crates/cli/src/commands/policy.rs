//! `bailiwick policy`.

use std::process::ExitCode;

use crate::home::Home;

/// Check and explain policies.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`policy` is not built yet")
}

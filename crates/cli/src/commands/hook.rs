//! `bailiwick hook`.

use std::process::ExitCode;

use crate::home::Home;

/// Answer an agent's hook event from standard input.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`hook` is not built yet")
}

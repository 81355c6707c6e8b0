//! `bailiwick approve`.

use std::process::ExitCode;

use crate::home::Home;

/// Answer an open ask.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`approve` is not built yet")
}

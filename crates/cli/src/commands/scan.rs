//! `bailiwick scan`.

use std::process::ExitCode;

use crate::home::Home;

/// Find agents, their servers, credentials and reach; report what is worrying.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`scan` is not built yet")
}

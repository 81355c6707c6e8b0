//! `bailiwick protect`.

use std::process::ExitCode;

use crate::home::Home;

/// Put the gateway between agent clients and their tools.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`protect` is not built yet")
}

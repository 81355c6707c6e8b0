//! `bailiwick mandate`.

use std::process::ExitCode;

use crate::home::Home;

/// Write down what an agent is meant to do.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`mandate` is not built yet")
}

//! `bailiwick unprotect`.

use std::process::ExitCode;

use crate::home::Home;

/// Take the gateway out again: the exact original configuration.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`unprotect` is not built yet")
}

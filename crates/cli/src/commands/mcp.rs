//! `bailiwick mcp`.

use std::process::ExitCode;

use crate::home::Home;

/// Run an MCP server behind the gateway (named by protected configurations).
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _home: &Home) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`mcp` is not built yet")
}

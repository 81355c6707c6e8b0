//! `bailiwick completions`.

use std::process::ExitCode;

/// Print a completion script for your shell.
#[derive(clap::Args)]
#[command(after_help = "Example: bailiwick completions bash > ~/.local/share/bash-completion/completions/bailiwick")]
pub(crate) struct Args {
    /// Which shell.
    shell: clap_complete::Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    clap_complete::generate(args.shell, &mut crate::command(), "bailiwick", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}

//! `cargo xtask up`: README's first command. Builds the console and the binary, then starts it.

use crate::{console, run};

/// Build the console and the binary, then run `bailiwick up`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Options for `bailiwick up`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    console::build()?;
    run::run(run::cargo().args(["build", "--release", "--package", "cli"]))?;
    let mut command = std::process::Command::new(run::target().join("release/bailiwick"));
    command.arg("up").args(&args.words);
    // Replaces this process, so that Ctrl-C and the exit code are the program's own.
    Err(std::os::unix::process::CommandExt::exec(&mut command).into())
}

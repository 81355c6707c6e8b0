//! One file per command. Each has `Args` and `run(&Args, &Home) -> anyhow::Result<ExitCode>`.

use anyhow::Context as _;
use connect::clients::Machine;

pub(crate) mod approve;
pub(crate) mod can;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod estate;
pub(crate) mod hook;
pub(crate) mod import;
pub(crate) mod lease;
pub(crate) mod ledger;
pub(crate) mod login;
pub(crate) mod mandate;
pub(crate) mod mcp;
pub(crate) mod memory;
pub(crate) mod minder;
pub(crate) mod paths;
pub(crate) mod peer;
pub(crate) mod policy;
pub(crate) mod protect;
pub(crate) mod replay;
pub(crate) mod scan;
pub(crate) mod stop;
pub(crate) mod tools;
pub(crate) mod trace;
pub(crate) mod unprotect;
pub(crate) mod up;
pub(crate) mod upstream;
pub(crate) mod whatif;
pub(crate) mod witness;

/// The machine that this process runs on, seen from the current folder.
fn machine() -> anyhow::Result<Machine> {
    let current = std::env::current_dir().context("the current folder is gone")?;
    Machine::here(current).context("`$HOME` does not say where the user's files are")
}

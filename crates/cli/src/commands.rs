//! One file per command. Each has `Args` and `run(&Args, &Home) -> anyhow::Result<ExitCode>`.

pub(crate) mod approve;
pub(crate) mod can;
pub(crate) mod completions;
pub(crate) mod hook;
pub(crate) mod ledger;
pub(crate) mod mandate;
pub(crate) mod mcp;
pub(crate) mod paths;
pub(crate) mod policy;
pub(crate) mod protect;
pub(crate) mod scan;
pub(crate) mod tools;
pub(crate) mod unprotect;
pub(crate) mod up;
pub(crate) mod whatif;

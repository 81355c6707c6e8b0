//! `cargo xtask rust-sdk`: the official Rust SDK's client, unchanged, through the gateway.

use crate::{run, tools};

/// Build a client with the official Rust SDK (two CPU-minutes) and drive it through the gateway, as `cargo xtask test`
/// does with those of TypeScript and Python.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<()> {
    let tools = tools::install()?;
    let dir = run::root().join("tests/rust-sdk");
    let target = run::target().join("rust-sdk");
    run::run(run::cargo().current_dir(&dir).args(["build", "--locked"]).env("CARGO_TARGET_DIR", &target))?;
    run::run(
        run::cargo()
            .args(["nextest", "run", "--workspace", "--test", "sdk"])
            .env("BAILIWICK_TEST_TOOLS", tools)
            .env("BAILIWICK_RUST_SDK", target.join("debug/rust-sdk")),
    )
}

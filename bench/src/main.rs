//! Measurements over the product's own crates: `cargo xtask bench NAME` runs this in release.
//!
//! One file per benchmark, each `pub(crate) struct Args` and `pub(crate) fn run(&Args) -> anyhow::Result<()>`.
//! Every figure is printed beside what it is compared with in the same run, with errors counted and results checked.

mod agentdojo;
mod disk;
mod flow;
mod gateway;
mod graph;
mod hook;
mod ledger;
mod memory;
mod simulate;
mod soak;
mod whatif;

use clap::{Parser, Subcommand};

/// That of the product's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure Bailiwick beside its peers and limits.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    Agentdojo(agentdojo::Args),
    Disk(disk::Args),
    Flow(flow::Args),
    Gateway(gateway::Args),
    Graph(graph::Args),
    Hook(hook::Args),
    Ledger(ledger::Args),
    Simulate(simulate::Args),
    Soak(soak::Args),
    Whatif(whatif::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().bench {
        Bench::Agentdojo(args) => agentdojo::run(&args),
        Bench::Disk(args) => disk::run(&args),
        Bench::Flow(args) => flow::run(&args),
        Bench::Gateway(args) => gateway::run(&args),
        Bench::Graph(args) => graph::run(&args),
        Bench::Hook(args) => hook::run(&args),
        Bench::Ledger(args) => ledger::run(&args),
        Bench::Simulate(args) => simulate::run(&args),
        Bench::Soak(args) => soak::run(&args),
        Bench::Whatif(args) => whatif::run(&args),
    }
}

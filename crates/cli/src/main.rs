//! `bailiwick`: flags → library call → text or JSON. No logic lives here; one file per command.
#![deny(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "`say!` and `complain!` do not panic where nobody reads, and show what others wrote as it is"
)]

#[macro_use]
mod output;

mod brake;
mod commands;
mod format;
mod home;
mod progress;
mod settings;
mod start;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The control layer for AI agents: see what they can reach, decide what they may do, prove what they did.
#[derive(Parser)]
#[command(
    name = "bailiwick",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Start here:
  bailiwick replay docs/examples/mail.json   what a poisoned mail makes of an agent, step by step
  bailiwick scan                             what is on this machine, and what is worrying
  bailiwick up                               the gateway and the console
  bailiwick protect --dry-run                what would change to put it between agents and their tools

`mcp`, `hook` and `minder` are started by agents and by the gateway, not by hand."
)]
struct Cli {
    /// Where Bailiwick keeps its keys, policies, store and ledger.
    #[arg(long, global = true, env = "BAILIWICK_HOME", value_name = "DIR", hide_env_values = true)]
    home: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(commands::up::Args),
    Scan(commands::scan::Args),
    Protect(commands::protect::Args),
    Unprotect(commands::unprotect::Args),
    Upstream(commands::upstream::Args),
    Peer(commands::peer::Args),
    Login(commands::login::Args),
    Logout(commands::login::LogoutArgs),
    Mcp(commands::mcp::Args),
    Minder(commands::minder::Args),
    Hook(commands::hook::Args),
    Tools(commands::tools::Args),
    Memory(commands::memory::Args),
    Replay(commands::replay::Args),
    Approve(commands::approve::Args),
    Stop(commands::stop::Args),
    Resume(commands::stop::ResumeArgs),
    Lease(commands::lease::Args),
    Policy(commands::policy::Args),
    Whatif(commands::whatif::Args),
    Trace(commands::trace::Args),
    Witness(commands::witness::Args),
    Import(commands::import::Args),
    Ledger(commands::ledger::Args),
    Mandate(commands::mandate::Args),
    Can(commands::can::Args),
    WhoCan(commands::can::WhoArgs),
    WhatCan(commands::can::WhatArgs),
    Paths(commands::paths::Args),
    Diff(commands::diff::Args),
    Check(commands::check::Args),
    Completions(commands::completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = home::Home::resolve(cli.home).and_then(|home| match cli.command {
        Command::Up(args) => commands::up::run(&args, &home),
        Command::Scan(args) => commands::scan::run(&args, &home),
        Command::Protect(args) => commands::protect::run(&args, &home),
        Command::Unprotect(args) => commands::unprotect::run(&args, &home),
        Command::Upstream(args) => commands::upstream::run(&args, &home),
        Command::Peer(args) => commands::peer::run(&args, &home),
        Command::Login(args) => commands::login::run(&args, &home),
        Command::Logout(args) => commands::login::logout(&args, &home),
        Command::Mcp(args) => commands::mcp::run(&args, &home),
        Command::Minder(args) => commands::minder::run(&args),
        Command::Hook(args) => commands::hook::run(&args, &home),
        Command::Tools(args) => commands::tools::run(&args, &home),
        Command::Memory(args) => commands::memory::run(&args, &home),
        Command::Replay(args) => commands::replay::run(&args, &home),
        Command::Approve(args) => commands::approve::run(&args, &home),
        Command::Stop(args) => commands::stop::run(&args, &home),
        Command::Resume(args) => commands::stop::resume(&args, &home),
        Command::Lease(args) => commands::lease::run(&args, &home),
        Command::Policy(args) => commands::policy::run(&args, &home),
        Command::Whatif(args) => commands::whatif::run(&args, &home),
        Command::Trace(args) => commands::trace::run(&args, &home),
        Command::Witness(args) => commands::witness::run(&args, &home),
        Command::Import(args) => commands::import::run(&args),
        Command::Ledger(args) => commands::ledger::run(&args, &home),
        Command::Mandate(args) => commands::mandate::run(&args, &home),
        Command::Can(args) => commands::can::run(&args),
        Command::WhoCan(args) => commands::can::who(&args),
        Command::WhatCan(args) => commands::can::what(&args),
        Command::Paths(args) => commands::paths::run(&args, &home),
        Command::Diff(args) => commands::diff::run(&args, &home),
        Command::Check(args) => commands::check::run(&args, &home),
        Command::Completions(args) => commands::completions::run(&args),
    });
    result.unwrap_or_else(|error| {
        complain!("bailiwick: {error:#}");
        ExitCode::from(2)
    })
}

/// The command line, for completions.
fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    /// Help is wrapped to the terminal that it is shown in: a line that was ended by hand within a paragraph is ragged there.
    fn ragged(command: &clap::Command, found: &mut Vec<String>) {
        let helps = [command.get_after_help(), command.get_after_long_help()].into_iter().flatten();
        for help in helps.map(ToString::to_string) {
            let lines: Vec<&str> = help.lines().collect();
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
            let pairs = lines.windows(2).filter(|pair| pair.iter().all(|line| is_prose(line)));
            let is_ended = |pair: &&[&str]| pair.first().is_some_and(|line| line.ends_with(':'));
            found.extend(pairs.filter(|pair| !is_ended(pair)).map(|pair| pair.join(" | ")));
        }
        command.get_subcommands().for_each(|command| ragged(command, found));
    }

    #[test]
    fn paragraphs_of_help_are_lines() {
        let mut found = Vec::new();
        ragged(&super::command(), &mut found);
        assert_eq!(found, [] as [&str; 0]);
    }
}

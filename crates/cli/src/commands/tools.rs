//! `bailiwick tools`: definitions of tools that changed since they were approved, and corrections of what was
//! inferred of them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use gateway::catalogue::{Catalogue, Change};
use gateway::door::hello::Hello;
use gateway::tools::annotations::{self, Seen};
use graph::visible;
use similar::TextDiff;

use crate::commands::mcp;
use crate::format::Format;
use crate::home::Home;
use crate::output;

/// Show and approve definitions of tools that changed; correct what is known of tools.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bailiwick tools waiting files      what changed at the server `files` since it was approved
  bailiwick tools approve files      shows it again, asks, and approves what it showed

Exit codes: 0 done, 1 nothing was approved, 2 it could not run.")]
pub(crate) struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand)]
enum Task {
    /// Show the definitions that wait for approval at a server.
    Waiting {
        /// The server's name.
        server: String,
    },
    /// Show the definitions that wait at a server, ask, and approve them as they were shown.
    Approve {
        /// The server's name.
        server: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    Annotate(Annotate),
    Check(Check),
}

/// Print an annotation file for the tools that were seen, to correct and keep.
///
/// A tool has at most three of five lines: what it does (`effects`), whether it reaches beyond its own data (`open_world`),
/// what its arguments are (`roles`), who writes and may read its results (`results`), who reads where it brings things
/// (`readers`).
/// Kept as `gateway/annotations.toml` in the home directory, they take effect when the gateway starts.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick tools annotate                        tools whose definition leaves something open\n  \
    bailiwick tools annotate --all --server mail    every tool of one server, as it was understood")]
struct Annotate {
    /// Only this server's tools.
    #[arg(long)]
    server: Option<String>,
    /// Every tool, not only the doubtful ones.
    #[arg(long)]
    all: bool,
}

/// Check an annotation file against the tools that were seen.
///
/// Exit code 0: nothing that the gateway refuses. 1: the gateway would refuse it. 2: could not run.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick tools check                     the file in use\n  \
    bailiwick tools check ./annotations.toml  one that is not in use yet")]
struct Check {
    /// The file; `gateway/annotations.toml` in the home directory if absent.
    file: Option<PathBuf>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn annotate(args: &Annotate, home: &Home) -> anyhow::Result<ExitCode> {
    let mut tools = inferred(home)?;
    tools.retain(|seen| args.server.as_ref().is_none_or(|server| seen.facts.id.server == *server));
    let text = annotations::propose(&tools, !args.all);
    if tools.is_empty() {
        let of = args.server.as_ref().map(|server| format!(" of `{server}`")).unwrap_or_default();
        say!("# no tool{of} was seen yet: it is once an agent lists the tools of a server behind the gateway")?;
    } else if text.is_empty() {
        say!("# {} tools were seen, and none leaves anything open; `--all` prints them", tools.len())?;
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn check(args: &Check, home: &Home) -> anyhow::Result<ExitCode> {
    let path = args.file.clone().unwrap_or_else(|| home.gateway().join("annotations.toml"));
    if args.file.is_none() && args.format == Format::Text && !path.exists() {
        say!("no annotation file is in use (`{}`); `bailiwick tools annotate` proposes one", path.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let faults = annotations::check(&text, &inferred(home)?);
    if args.format == Format::Json {
        output::json(&faults)?;
    } else {
        for fault in &faults {
            let word = if fault.error { "error" } else { "warning" };
            say!("{}:{}: {word}: {}", path.display(), fault.line, fault.message)?;
        }
        if faults.is_empty() {
            say!("{}: no faults", path.display())?;
        }
    }
    Ok(if faults.iter().any(|fault| fault.error) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// What was inferred of every tool that was seen.
fn inferred(home: &Home) -> anyhow::Result<Vec<Seen>> {
    Ok(Catalogue::inferred(home.gateway().join("tools.json"))?.seen())
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    match &args.task {
        Task::Waiting { server } => waiting(server, home).map(|_| ExitCode::SUCCESS),
        Task::Approve { server, yes } => approve(server, *yes, home),
        Task::Annotate(args) => annotate(args, home),
        Task::Check(args) => check(args, home),
    }
}

/// What waits at a server, which is shown.
fn waiting(server: &str, home: &Home) -> anyhow::Result<Vec<Change>> {
    let tools = ordered(home, &Hello::WaitingTools { server: server.to_owned() })?;
    if tools.is_empty() {
        say!("No definition waits for approval.")?;
        if !inferred(home)?.iter().any(|seen| seen.facts.id.server == server) {
            complain!("No tool of `{server}` was seen so far: is that its name?");
        }
    }
    for Change { name, before, after, .. } in &tools {
        let after = shown(after);
        match before.as_deref().map(shown) {
            Some(before) => say!("{name}: waits for approval; what changed:\n{}", difference(&before, &after))?,
            None => {
                say!("{name}: waits for approval; it is new or was approved before definitions were kept\n{after}\n")?;
            }
        }
    }
    Ok(tools)
}

/// Only what was shown is approved: what the server says meanwhile waits.
fn approve(server: &str, yes: bool, home: &Home) -> anyhow::Result<ExitCode> {
    let shown = waiting(server, home)?;
    if shown.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !yes && !output::agreed("Approve?", "`--yes` approves it.")? {
        return Ok(ExitCode::from(1));
    }
    let pins = shown.into_iter().map(|change| change.pin).collect();
    let approved = ordered(home, &Hello::ApproveTools { server: server.to_owned(), pins })?;
    let names: Vec<String> = approved.iter().map(|change| change.name.clone()).collect();
    say!("Approved: {}.", if names.is_empty() { "none is as it was shown".to_owned() } else { names.join(", ") })?;
    Ok(if names.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn ordered(home: &Home, hello: &Hello) -> anyhow::Result<Vec<Change>> {
    let output = mcp::order(home, hello)?;
    Ok(serde_json::from_value(output.get("tools").cloned().unwrap_or_default())?)
}

/// Line by line, with the unchanged lines that say where.
fn difference(before: &str, after: &str) -> String {
    let text = TextDiff::from_lines(before, after).unified_diff().context_radius(2).to_string();
    if text.is_empty() {
        "nothing that is shown: only members that are there twice, or how numbers are written\n".to_owned()
    } else {
        text
    }
}

/// A definition as a person reads it. What could repaint the terminal or hide in it is escaped.
fn shown(definition: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(definition).unwrap_or_default();
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    // One line end, so that the last line is like the others.
    visible::text(&text) + "\n"
}

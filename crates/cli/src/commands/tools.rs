//! `bailiwick tools`: definitions of tools that changed since they were approved, and corrections of what was
//! inferred of them.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use gateway::catalogue::{Catalogue, Change};
use gateway::door::hello::Hello;
use gateway::tools::annotations::{self, Seen};
use similar::TextDiff;

use crate::commands::mcp;
use crate::format::Format;
use crate::home::Home;

/// Show and approve definitions of tools that changed; correct what is known of tools.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bailiwick tools waiting files      what changed at the server `files` since it was approved
  bailiwick tools approve files")]
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
    /// Approve the definitions that wait at a server; it prints what it approves.
    Approve {
        /// The server's name.
        server: String,
    },
    Annotate(Annotate),
    Check(Check),
}

/// Print an annotation file for the tools that were seen, to correct and keep.
///
/// A tool has at most three lines: what it does, what its arguments are, who writes which field of its results, or
/// whether it reaches beyond its own data.
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
    let mut stdout = io::stdout().lock();
    if text.is_empty() {
        writeln!(stdout, "# {} tools were seen, and none leaves anything open; `--all` prints them", tools.len())?;
    }
    write!(stdout, "{text}")?;
    Ok(ExitCode::SUCCESS)
}

fn check(args: &Check, home: &Home) -> anyhow::Result<ExitCode> {
    let path = args.file.clone().unwrap_or_else(|| home.gateway().join("annotations.toml"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let faults = annotations::check(&text, &inferred(home)?);
    let mut stdout = io::stdout().lock();
    if args.format == Format::Json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&faults)?)?;
    } else {
        for fault in &faults {
            let word = if fault.error { "error" } else { "warning" };
            writeln!(stdout, "{}:{}: {word}: {}", path.display(), fault.line, fault.message)?;
        }
        if faults.is_empty() {
            writeln!(stdout, "{}: nothing to say against it", path.display())?;
        }
    }
    Ok(if faults.iter().any(|fault| fault.error) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// What was inferred of every tool that was seen.
fn inferred(home: &Home) -> anyhow::Result<Vec<Seen>> {
    Ok(Catalogue::inferred(home.gateway().join("tools.json"))?.seen())
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let (hello, title) = match &args.task {
        Task::Waiting { server } => (Hello::WaitingTools { server: server.clone() }, "waits for approval"),
        Task::Annotate(args) => return annotate(args, home),
        Task::Check(args) => return check(args, home),
        Task::Approve { server } => (Hello::ApproveTools { server: server.clone() }, "approved"),
    };
    let output = mcp::order(home, &hello)?;
    let tools: Vec<Change> = serde_json::from_value(output.get("tools").cloned().unwrap_or_default())?;
    let mut stdout = io::stdout().lock();
    if tools.is_empty() {
        writeln!(stdout, "nothing waits")?;
    }
    for Change { name, before, after } in tools {
        let (name, after) = (escaped(&name), shown(&after));
        match before.as_deref().map(shown) {
            Some(before) => writeln!(stdout, "{name}: {title}; what changed:\n{}", difference(&before, &after))?,
            None => {
                writeln!(stdout, "{name}: {title}; it is new or was approved before definitions were kept\n{after}\n")?
            }
        }
    }
    Ok(ExitCode::SUCCESS)
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
    escaped(&text) + "\n"
}

fn escaped(text: &str) -> String {
    let plain = |char: char| char == '\n' || (!char.is_control() && (char.is_ascii() || char.is_alphanumeric()));
    text.chars().map(|char| if plain(char) { char.to_string() } else { char.escape_unicode().to_string() }).collect()
}

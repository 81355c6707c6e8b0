//! `bailiwick tools`: definitions of tools that changed since they were approved.

use std::io::{self, Write as _};
use std::process::ExitCode;

use gateway::catalogue::Change;
use gateway::door::hello::Hello;
use similar::TextDiff;

use crate::commands::mcp;
use crate::home::Home;

/// Show and approve definitions of tools that changed.
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
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let (hello, title) = match &args.task {
        Task::Waiting { server } => (Hello::WaitingTools { server: server.clone() }, "waits for approval"),
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

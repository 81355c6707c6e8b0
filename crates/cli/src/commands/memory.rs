//! `bailiwick memory`: labels of what agents wrote down.

use std::process::ExitCode;

use gateway::door::hello::Hello;
use gateway::label::memory::Listed;
use policy::{Confidentiality, Integrity};

use crate::commands::mcp;
use crate::format::Format;
use crate::home::Home;
use crate::output;

/// Show or forget the labels of what agents wrote down.
///
/// What came from others' text and was written to a file, a note, a contact or a memory stays others' text in later
/// sessions and at other agents. Values are known by salted digests; no text is kept.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick memory list           which calls wrote what came from others, or what is confidential\n  \
    bailiwick memory forget 1042    what entry 1042 wrote counts as its reader finds it")]
pub(crate) struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand)]
enum Task {
    /// Show the calls whose writings are remembered.
    List {
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Forget what one call wrote.
    Forget {
        /// The ledger entry of the call.
        entry: u64,
    },
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    match &args.task {
        Task::Forget { entry } => {
            let output = mcp::order(home, &Hello::Memory { forget: Some(*entry) })?;
            let forgotten = output.get("forgotten").and_then(serde_json::Value::as_u64).unwrap_or_default();
            match forgotten {
                0 => say!("nothing that entry {entry} wrote is remembered")?,
                _ => say!("{} of entry {entry} forgotten", values(forgotten))?,
            }
        }
        Task::List { format } => {
            let output = mcp::order(home, &Hello::Memory { forget: None })?;
            if *format == Format::Json {
                output::json(&output)?;
                return Ok(ExitCode::SUCCESS);
            }
            let listed: Listed = serde_json::from_value(output)?;
            for one in &listed.written {
                let (integrity, confidentiality) = (who(one.integrity), for_whom(one.confidentiality));
                say!("{:>8}  {}  {}, {integrity}, {confidentiality}", one.entry, one.tool, values(one.values as u64))?;
            }
            if listed.written.is_empty() {
                say!("nothing is remembered")?;
            }
            if listed.left_out > 0 {
                say!(
                    "full: {} values more are known only as the worst of them; they go with the last entry that is forgotten",
                    listed.left_out
                )?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn values(count: u64) -> String {
    format!("{count} value{}", if count == 1 { "" } else { "s" })
}

fn who(integrity: Integrity) -> &'static str {
    match integrity {
        Integrity::Trusted => "trusted",
        Integrity::FirstParty => "first party",
        Integrity::ThirdParty => "third party",
        Integrity::Anyone => "anyone",
    }
}

fn for_whom(confidentiality: Confidentiality) -> &'static str {
    match confidentiality {
        Confidentiality::Public => "public",
        Confidentiality::Internal => "internal",
        Confidentiality::Confidential => "confidential",
        Confidentiality::Secret => "secret",
    }
}

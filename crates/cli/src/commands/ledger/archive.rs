//! `bailiwick ledger archive` and `prune`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gateway::door::hello::{Hello, Reply};
use jiff::{Timestamp, ToSpan as _};
use ledger::archive::Pruned;
use ledger::{OpenError, Options, Reader};
use serde_json::json;

use super::{key_file, print_line};
use crate::format::Format;
use crate::home::Home;

#[derive(clap::Args)]
#[command(
    after_help = "Only whole bundles of 256 signed entries are taken. Check an archive anywhere, with nothing but the log's key:
`bailiwick ledger verify ARCHIVE.json --key KEY`.

Examples:
  bailiwick ledger archive /backup --older-than 90
  bailiwick ledger archive /backup --before 51200"
)]
pub(super) struct Args {
    /// The folder; it may hold other archives.
    folder: PathBuf,
    /// Entries before this one.
    #[arg(long, value_name = "ENTRY", required_unless_present = "older_than")]
    before: Option<u64>,
    /// Entries that are more than so many days old.
    #[arg(long, value_name = "DAYS", conflicts_with = "before", value_parser = clap::value_parser!(u32).range(..=36_500))]
    older_than: Option<u32>,
}

pub(super) fn archive(args: &Args, reader: &Reader, format: Format) -> anyhow::Result<ExitCode> {
    let to = match (args.before, args.older_than) {
        (Some(entry), _) => entry,
        (None, days) => first_since(reader, days.unwrap_or(u32::MAX))?,
    };
    let (path, statement) = reader.archive(to, &args.folder)?;
    if format == Format::Json {
        return print_line(&json!({ "statement": path, "archive": statement }).to_string());
    }
    print_line(&format!("archived   entries {} to {}, root {}", statement.from, statement.to - 1, statement.root))?;
    print_line(&format!("statement  {}", path.display()))?;
    print_line(&format!("entries    {}", args.folder.join(&statement.entries.file).display()))?;
    print_line(&format!(
        "payloads   {} packs, still encrypted under keys that only the log has",
        statement.payloads.len()
    ))?;
    print_line(&format!("next       bailiwick ledger prune {} --yes", path.display()))
}

/// The first entry that is not older than so many days.
fn first_since(reader: &Reader, days: u32) -> anyhow::Result<u64> {
    let since = Timestamp::now().checked_sub((i64::from(days) * 24).hours())?;
    let (mut low, mut high) = (reader.start()?, reader.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if reader.read(middle)?.entry.time < since { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

pub(super) fn prune(dir: &Path, home: &Home, statement: &Path, yes: bool) -> anyhow::Result<ExitCode> {
    if !yes {
        anyhow::bail!("the entries will be in the archive alone; say `--yes` to prune them");
    }
    let statement = std::path::absolute(statement)?;
    let pruned = match key_file(dir, home).open(dir, Options::new(Timestamp::now())) {
        Ok((ledger, _)) => ledger.prune(&statement, Timestamp::now())?,
        // The gateway that holds it does it for us.
        Err(OpenError::Locked { holder, .. }) if dir == home.ledger() => {
            match super::super::mcp::ask(home, &Hello::Prune { statement })? {
                Some(Reply::Done { output }) => serde_json::from_value(output)?,
                Some(Reply::Failed { error }) => anyhow::bail!("the gateway could not prune: {error}"),
                None => anyhow::bail!("the ledger is in use by {holder}, and no gateway answers"),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let Pruned { entry, to, .. } = pruned;
    print_line(&format!("pruned: the log now begins at entry {to}; entry {entry} says so, and every proof still holds"))
}

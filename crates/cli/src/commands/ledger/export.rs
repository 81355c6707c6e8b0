//! `bailiwick ledger export`.

use std::path::PathBuf;
use std::process::ExitCode;

use ledger::Reader;
use serde_json::json;

use super::print_line;
use crate::format::Format;

#[derive(clap::Args)]
#[command(
    after_help = "Only signed entries that are there are taken. Each is a row; the columns are in `spec/ledger.md`. An erased payload \
is a row with the state `erased`. It is a copy for questions: evidence are the log, its archives and proofs.

Examples:
  bailiwick ledger export calls.parquet
  bailiwick ledger export march.parquet --from 51200 --to 102400
  duckdb -c \"SELECT agent, tool, effect, count(*) FROM 'calls.parquet' WHERE kind = 'intent' GROUP BY ALL\""
)]
pub(super) struct Args {
    /// The file to make, in the format of Apache Parquet, compressed with Zstandard.
    file: PathBuf,
    /// From this entry on.
    #[arg(long, value_name = "ENTRY", default_value_t = 0)]
    from: u64,
    /// Before this entry.
    #[arg(long, value_name = "ENTRY", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Also the bytes of prompts and results, decrypted: erasing a subject does not reach what was exported.
    #[arg(long)]
    payloads: bool,
}

pub(super) fn run(args: &Args, reader: &Reader, format: Format) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!args.file.exists(), "`{}` is there already, and is not written over", args.file.display());
    let exported = reader.export(args.from..args.to, &args.file, args.payloads)?;
    let (entries, bytes) = (&exported.entries, std::fs::metadata(&args.file)?.len());
    if format == Format::Json {
        let entries = json!({ "from": entries.start, "to": entries.end });
        return print_line(
            &json!({ "file": args.file, "bytes": bytes, "entries": entries, "kept": exported.kept, "erased": exported.erased })
                .to_string(),
        );
    }
    print_line(&format!("wrote      {}, {bytes} bytes", args.file.display()))?;
    print_line(&format!("entries    {} to {}", entries.start, entries.end - 1))?;
    print_line(&format!(
        "payloads   {} kept{}, {} erased",
        exported.kept,
        if args.payloads { " and exported in plain text" } else { ", not exported" },
        exported.erased
    ))
}

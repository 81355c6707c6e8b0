//! `bailiwick ledger stats`.

use std::path::Path;
use std::process::ExitCode;

use ledger::Reader;
use serde_json::{Value, json};

use super::print_line;
use crate::format::Format;

pub(super) fn run(dir: &Path, reader: &Reader, format: Format) -> anyhow::Result<ExitCode> {
    let entries = reader.len();
    let files = sizes(dir)?;
    // The journal is room for what comes next, most of it empty.
    let total: u64 = files.iter().filter(|(name, _)| name != "journal").map(|(_, bytes)| bytes).sum();
    let per_entry = total.checked_div(entries - reader.start()?).unwrap_or(0);
    let span = match entries {
        0 => 0.0,
        _ => {
            let (first, last) = (reader.read(reader.start()?)?.entry.time, reader.read(entries - 1)?.entry.time);
            last.duration_since(first).as_secs_f64() / 86_400.0
        }
    };
    let start = reader.start()?;
    let sealed = reader.checkpoint().map_or(0, |signed| signed.checkpoint.size);
    if format == Format::Json {
        let files: serde_json::Map<String, Value> =
            files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect();
        return print_line(
            &json!({"entries": entries, "signed": sealed, "pruned": start, "bytes": total, "bytes_per_entry": per_entry, "days": span, "files": files})
                .to_string(),
        );
    }
    let cosigned = reader.cosigned()?;
    let most = cosigned.iter().map(|signed| signed.signatures.len().saturating_sub(1)).max().unwrap_or(0);
    let size = cosigned.iter().map(|signed| signed.checkpoint.size).max().unwrap_or(0);
    let mut rows = vec![
        ("entries".to_owned(), format!("{entries} ({sealed} signed)")),
        ("cosigned".to_owned(), format!("by {most} witnesses at once; the newest cosignature covers {size} entries")),
        ("bytes".to_owned(), format!("{total} ({per_entry} per entry), without the journal")),
    ];
    if start > 0 {
        rows.push(("pruned".to_owned(), format!("the first {start} entries, except for their hashes")));
    }
    if span >= 1.0 {
        let daily = total as f64 / span / 1e6;
        rows.push(("growth".to_owned(), format!("{daily:.1} MB a day over {span:.0} days")));
    }
    rows.extend(files.into_iter().map(|(name, bytes)| (format!("  {name}"), bytes.to_string())));
    let lines: Vec<String> = rows.iter().map(|(name, text)| format!("{name:<14} {text}")).collect();
    print_line(&lines.join("\n"))
}

/// Bytes by the first folder or file below the ledger's directory.
fn sizes(dir: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    fn size(path: &Path) -> std::io::Result<u64> {
        let metadata = std::fs::symlink_metadata(path)?;
        if !metadata.is_dir() {
            return Ok(metadata.len());
        }
        std::fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
    }
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        sizes.push((entry.file_name().to_string_lossy().into_owned(), size(&entry.path())?));
    }
    sizes.sort();
    Ok(sizes)
}

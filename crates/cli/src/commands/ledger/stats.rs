//! `bailiwick ledger stats`.

use std::path::Path;
use std::process::ExitCode;

use control::replica::follow::CopyState;
use ledger::Reader;
use serde_json::{Value, json};

use super::print_line;
use crate::format::Format;

pub(super) fn run(dir: &Path, reader: &Reader, format: Format) -> anyhow::Result<ExitCode> {
    let (entries, start) = (reader.len(), reader.start()?);
    let files = sizes(dir)?;
    // The journal is room for what comes next, most of it empty.
    let total: u64 = files.iter().filter(|(name, _)| name != "journal").map(|(_, bytes)| bytes).sum();
    let span = match entries {
        0 => 0.0,
        _ => {
            let (first, last) = (reader.read(start)?.entry.time, reader.read(entries - 1)?.entry.time);
            last.duration_since(first).as_secs_f64() / 86_400.0
        }
    };
    let sealed = reader.checkpoint().map_or(0, |signed| signed.checkpoint.size);
    let parts = parts(&files, dir, (sealed, start.min(sealed)))?;
    let per_entry = total.checked_div(entries - start).unwrap_or(0);
    let copy = CopyState::read(dir);
    if format == Format::Json {
        let parts: serde_json::Map<String, Value> = parts.iter().map(Part::json).collect();
        let files: serde_json::Map<String, Value> =
            files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect();
        return print_line(
            &json!({"entries": entries, "signed": sealed, "pruned": start, "bytes": total, "bytes_per_entry": per_entry, "days": span, "parts": parts, "files": files, "copy": copy})
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
    rows.extend(parts.iter().map(Part::row));
    if start > 0 {
        rows.push(("pruned".to_owned(), format!("the first {start} entries, except for their hashes")));
    }
    rows.push(("growth".to_owned(), growth(total, span)));
    rows.extend(copy.map(|copy| ("copy".to_owned(), copied(&copy))));
    let lines: Vec<String> = rows.iter().map(|(name, text)| format!("{name:<14} {text}")).collect();
    print_line(&lines.join("\n"))
}

/// How fast so many bytes came in so many days.
fn growth(total: u64, days: f64) -> String {
    let megabytes = total as f64 / 1e6;
    match days {
        days if days >= 1.0 => format!("{:.1} MB a day over {days:.0} days", megabytes / days),
        days => format!("{megabytes:.1} MB in the {:.1} hours since it began", days * 24.0),
    }
}

/// How the copy that the gateway keeps stands.
fn copied(copy: &CopyState) -> String {
    let CopyState { to, entries, .. } = copy;
    let has = match copy.at {
        Some(at) => format!("`{to}` had {entries} entries at {}", at.strftime("%Y-%m-%d %H:%M:%S")),
        None => format!("`{to}` has nothing yet"),
    };
    match &copy.error {
        Some(error) if copy.given_up => format!("{has}; GIVEN UP until the next start: {error}"),
        Some(error) => format!("{has}; NOT since: {error}"),
        None => has,
    }
}

/// What some of the bytes are for.
struct Part {
    name: &'static str,
    what: &'static str,
    bytes: u64,
    /// `None` where that says nothing.
    per_entry: Option<u64>,
}

impl Part {
    fn json(&self) -> (String, Value) {
        (self.name.to_owned(), json!({ "bytes": self.bytes, "bytes_per_entry": self.per_entry }))
    }

    fn row(&self) -> (String, String) {
        let per_entry = self.per_entry.map_or_else(String::new, |bytes| format!(" ({bytes} per entry)"));
        (format!("  {}", self.name), format!("{}{per_entry}: {}", self.bytes, self.what))
    }
}

/// The bytes by what they are for, in a log of so many signed entries, of which the first were pruned.
fn parts(files: &[(String, u64)], dir: &Path, (sealed, pruned): (u64, u64)) -> anyhow::Result<Vec<Part>> {
    let of = |name: &str| files.iter().find(|(file, _)| file == name).map_or(0, |(_, bytes)| *bytes);
    let bundles = dir.join("tile/entries");
    let entries = if bundles.is_dir() { size(&bundles)? } else { 0 };
    let named = [
        ("entries", "signed entries", entries, sealed - pruned),
        ("tiles", "hashes of the tree, which stay when entries are pruned", of("tile").saturating_sub(entries), sealed),
        ("payloads", "results and prompts of segments that are over, encrypted", of("payloads"), sealed - pruned),
        ("objects", "snapshots of policies and tools, each once", of("objects"), sealed),
    ];
    let mut parts: Vec<Part> = named
        .into_iter()
        .map(|(name, what, bytes, of)| Part { name, what, bytes, per_entry: bytes.checked_div(of) })
        .collect();
    let known = ["tile", "payloads", "objects", "journal"];
    let others = files.iter().filter(|(name, _)| !known.contains(&name.as_str())).map(|(_, bytes)| bytes).sum();
    parts.push(Part { name: "other", what: "checkpoint, cosignatures, keys", bytes: others, per_entry: None });
    let what = "entries and payloads of the running segments, and room for more";
    parts.push(Part { name: "journal", what, bytes: of("journal"), per_entry: None });
    Ok(parts)
}

/// Bytes by the first folder or file below the ledger's directory.
fn sizes(dir: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        sizes.push((entry.file_name().to_string_lossy().into_owned(), size(&entry.path())?));
    }
    sizes.sort();
    Ok(sizes)
}

fn size(path: &Path) -> std::io::Result<u64> {
    let metadata = std::fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    std::fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

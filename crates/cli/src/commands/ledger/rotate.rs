//! `bailiwick ledger rotate-key` and `key`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use gateway::door::hello::Change;
use serde_json::{Value, json};

use super::{change, first_key, open};
use crate::format::Format;
use crate::home::Home;

pub(super) fn run(dir: &Path, home: &Home, yes: bool, format: Format) -> anyhow::Result<ExitCode> {
    if !yes {
        anyhow::bail!("the old key will sign nothing more; say `--yes` to rotate it");
    }
    let done = change(dir, home, &Change::RotateKey)?;
    let entry = done.get("entry").and_then(Value::as_u64);
    let key = done.get("key").and_then(Value::as_str);
    let (entry, key) = entry.zip(key).with_context(|| format!("the gateway gave another answer: {done}"))?;
    let first = first_key(dir, home)?;
    format.tell(&json!({"entry": entry, "key": key, "first": first.to_string()}), || {
        format!(
            "entry {entry} announces the new key, which signs from now on:\n  {key}\n\
             verifiers go on with the first key, and follow from it:\n  {first}"
        )
    })
}

pub(super) fn keys(dir: &Path, home: &Home, all: bool, format: Format) -> anyhow::Result<ExitCode> {
    let first = first_key(dir, home)?;
    if !all {
        return format.tell(&json!({"key": first.to_string()}), || first.to_string());
    }
    let (keys, faults) = open(dir)?.keys(&first)?;
    let spans: Vec<_> = keys.spans().map(|span| (span.key.to_string(), span.announced)).collect();
    let told = spans.iter().map(|(key, announced)| json!({"key": key, "announced": announced}));
    format.tell(&json!({"keys": told.collect::<Vec<_>>(), "faults": faults}), || {
        let since = |announced: &Option<u64>| {
            announced.map_or("from the start".to_owned(), |entry| format!("from entry {entry} on"))
        };
        let keys = spans.iter().map(|(key, announced)| format!("{key}  {}", since(announced)));
        keys.chain(faults.iter().map(|fault| format!("FAULT {fault}"))).collect::<Vec<_>>().join("\n")
    })?;
    Ok(ExitCode::from(u8::from(!faults.is_empty())))
}

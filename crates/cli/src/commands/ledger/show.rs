//! `bailiwick ledger show` and `tail`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use graph::visible;
use ledger::record::{FileChange, Record};
use ledger::{ReadError, Reader, Stored};
use serde_json::{Value, json};

use super::{print_line, shorten};
use crate::format::Format;
use crate::output;

fn as_json(stored: &Stored) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(&stored.entry)?;
    if let Some(members) = value.as_object_mut() {
        members.insert("index".to_owned(), stored.index.into());
    }
    Ok(value)
}

pub(super) fn show(reader: &Reader, index: u64, format: Format) -> anyhow::Result<ExitCode> {
    let stored = reader.read(index)?;
    let payload = stored.entry.record.payload().map(|payload| reader.payload(payload)).transpose()?;
    let text = payload.map(|bytes| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    let mut value = as_json(&stored)?;
    let (state, verifies) = match reader.prove(index) {
        Ok(_) => ("signed".to_owned(), true),
        Err(ReadError::Unsealed { .. }) => ("durable, not in a checkpoint yet".to_owned(), true),
        Err(ReadError::Proof(error)) => (format!("DOES NOT VERIFY: {error}"), false),
        Err(error) => (format!("CANNOT BE VERIFIED: {error}"), false),
    };
    let exit = ExitCode::from(u8::from(!verifies));
    if format == Format::Json {
        if let Some(members) = value.as_object_mut() {
            members.insert("state".to_owned(), state.into());
        }
        if let (Some(text), Some(members)) = (text, value.as_object_mut()) {
            members.insert("payload_text".to_owned(), text.map_or(json!({"erased": true}), Value::from));
        }
        output::json_line(&value)?;
        return Ok(exit);
    }
    let leaf = ledger::tree::leaf_hash(&reader.bytes(index)?);
    print_line(&format!("entry {index} · {} · {state}", stored.entry.time))?;
    print_line(&summary(&stored.entry.record))?;
    print_line(&format!("leaf hash {}", hex(&leaf)))?;
    output::json(&value)?;
    match text {
        Some(Some(text)) => print_line(&format!("payload:\n{text}"))?,
        Some(None) => print_line("payload: erased")?,
        None => ExitCode::SUCCESS,
    };
    Ok(exit)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line about a record.
fn summary(record: &Record) -> String {
    let text = match record {
        Record::Intent(intent) => {
            let at = |path: &str| intent.action.pointer(path).and_then(Value::as_str).unwrap_or("?");
            let effect = intent.decision.pointer("/effect/effect").or_else(|| intent.decision.get("effect"));
            let effect = effect.and_then(Value::as_str).unwrap_or("?").to_owned();
            let reasons: Vec<&str> = intent
                .decision
                .get("reasons")
                .and_then(Value::as_array)
                .map(|reasons| reasons.iter().filter_map(|reason| reason.get("policy")?.as_str()).collect())
                .unwrap_or_default();
            let (agent, server, name) = (at("/principal/agent"), at("/tool/server"), at("/tool/name"));
            let arguments = intent.action.get("arguments").map(Value::to_string).unwrap_or_default();
            format!("{effect:<6} {agent} → {server}/{name} {} [{}]", shorten(&arguments, 80), reasons.join(", "))
        }
        Record::Outcome(outcome) => {
            let status = serde_json::to_value(outcome.status).ok();
            let status = status.as_ref().and_then(Value::as_str).unwrap_or("?").to_owned();
            let duration = Duration::from_micros(outcome.duration_us);
            format!("outcome of {}: {status}, {} bytes, {duration:?}", outcome.intent, outcome.size_bytes)
        }
        Record::Asked(asked) => format!("asked for {}: {}", asked.groups.join(", "), asked.summary),
        Record::Answered(answered) => {
            let word = if answered.approved { "approved" } else { "refused" };
            format!("{word} ask {} by {}", answered.ask, answered.by)
        }
        Record::Expired { ask } => format!("ask {ask} expired"),
        Record::Withheld { server, names, because, .. } => {
            format!("withheld from `{server}`: {} ({because})", names.join(", "))
        }
        Record::Prompt { session, payload } => format!("prompt in session {session}, {} bytes", payload.size_bytes),
        Record::Tools { server, pins, status, by } => {
            let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
            format!("{} tools of `{server}` {status}{by}", pins.len())
        }
        Record::Snapshot { snapshot, by } => format!("policy snapshot {} by {by}", shorten(snapshot, 16)),
        Record::Scan { counts, .. } => format!("scan: {}", Value::Object(counts.clone())),
        Record::SignIn { method, from } => format!("sign-in by {method} from {from}"),
        Record::Configuration { path, change, by, .. } if by.is_empty() => format!("{change} `{path}`"),
        Record::Configuration { path, change, by, .. } => format!("{change} `{path}` by {by}"),
        Record::Changed { what, files, by, because } => {
            let files: Vec<_> = files.iter().map(changed).collect();
            let because = if because.is_empty() { String::new() } else { format!(": {because}") };
            format!("{what} changed by {by}: {}{because}", files.join(", "))
        }
        Record::Breaker { of, state, by, because, until } => {
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            let because = if because.is_empty() { String::new() } else { format!(": {because}") };
            format!("breaker of {of} {state} by {by}{until}{because}")
        }
        Record::Lease { lease, agent, state, until, by, because } => {
            let because = if because.is_empty() { String::new() } else { format!(": {because}") };
            format!("lease {lease} for {agent} until {until} {state} by {by}{because}")
        }
        Record::Log { event, details } => format!("log {event} {}", Value::Object(details.clone())),
    };
    visible::line(&text, usize::MAX)
}

fn changed(file: &FileChange) -> String {
    let digest = |digest: &Option<String>| digest.as_deref().map_or_else(|| "none".to_owned(), |text| shorten(text, 8));
    format!("{} {} → {}", file.path, digest(&file.before), digest(&file.after))
}

fn kind(record: &Record) -> String {
    let value = serde_json::to_value(record).unwrap_or_default();
    value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn tail(reader: &Reader, lines: u64, follow: bool, format: Format) -> anyhow::Result<ExitCode> {
    let mut next = reader.len().saturating_sub(lines);
    loop {
        for stored in reader.range(next..u64::MAX) {
            let (index, line) = match stored {
                Ok(stored) if format == Format::Json => (stored.index, as_json(&stored)?.to_string()),
                Ok(stored) => (stored.index, line(&stored)),
                // A later version wrote it; what follows may be known again.
                Err(ReadError::Kind { index, kind }) => (index, unknown(index, &kind, format)),
                Err(error) => return Err(error.into()),
            };
            next = index + 1;
            if writeln!(std::io::stdout(), "{line}").is_err() {
                return Ok(ExitCode::SUCCESS);
            }
        }
        if !follow {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(200));
        reader.refresh()?;
    }
}

/// What is said of an entry of a kind that this version does not know.
fn unknown(index: u64, kind: &str, format: Format) -> String {
    match format {
        Format::Json => json!({ "index": index, "kind": kind, "unknown": true }).to_string(),
        Format::Text => visible::line(&format!("{index:>7} unknown kind `{kind}`"), usize::MAX),
    }
}

fn line(stored: &Stored) -> String {
    let time = stored.entry.time.strftime("%Y-%m-%d %H:%M:%S");
    let line =
        format!("{:>7} {time} {:<13} {}", stored.index, kind(&stored.entry.record), summary(&stored.entry.record));
    if std::io::stdout().is_terminal() { shorten(&line, width()) } else { line }
}

fn width() -> usize {
    let columns = comfy_table::Table::new().width().map_or(120, usize::from);
    columns.saturating_sub(1).max(40)
}

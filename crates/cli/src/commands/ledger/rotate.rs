//! `bailiwick ledger rotate-key` and `key`.

use std::path::Path;
use std::process::ExitCode;

use gateway::door::hello::{Hello, Reply};
use jiff::Timestamp;
use ledger::{OpenError, Options};
use serde_json::Value;

use super::{first_key, key_file, open, print_line};
use crate::home::Home;

pub(super) fn run(dir: &Path, home: &Home, yes: bool) -> anyhow::Result<ExitCode> {
    if !yes {
        anyhow::bail!("the old key will sign nothing more; say `--yes` to rotate it");
    }
    open(dir)?;
    let (entry, key) = match key_file(dir, home).open(dir, Options::new(Timestamp::now())) {
        Ok((ledger, _)) => {
            let rotated = ledger.rotate_key(Timestamp::now())?;
            (rotated.entry, rotated.key.to_string())
        }
        // The gateway that holds it does it for us.
        Err(OpenError::Locked { holder, .. }) if dir == home.ledger() => {
            match super::super::mcp::ask(home, &Hello::RotateKey)? {
                Some(Reply::Done { output }) => said(&output)?,
                Some(Reply::Failed { error }) => anyhow::bail!("the gateway could not rotate the key: {error}"),
                None => anyhow::bail!("the ledger is in use by {holder}, and no gateway answers"),
            }
        }
        Err(error) => return Err(error.into()),
    };
    print_line(&format!("entry {entry} announces the new key, which signs from now on:\n  {key}"))?;
    print_line(&format!("verifiers go on with the first key, and follow from it:\n  {}", first_key(dir, home)?))
}

fn said(output: &Value) -> anyhow::Result<(u64, String)> {
    let entry = output.get("entry").and_then(Value::as_u64);
    let key = output.get("key").and_then(Value::as_str);
    let (Some(entry), Some(key)) = (entry, key) else { anyhow::bail!("the gateway gave another answer: {output}") };
    Ok((entry, key.to_owned()))
}

pub(super) fn keys(dir: &Path, home: &Home, all: bool) -> anyhow::Result<ExitCode> {
    let first = first_key(dir, home)?;
    if !all {
        return print_line(&first.to_string());
    }
    let (keys, faults) = open(dir)?.keys(&first)?;
    for span in keys.spans() {
        let since = span.announced.map_or("from the start".to_owned(), |entry| format!("from entry {entry} on"));
        print_line(&format!("{}  {since}", span.key))?;
    }
    faults.iter().try_for_each(|fault| print_line(&format!("FAULT {fault}")).map(drop))?;
    Ok(ExitCode::from(u8::from(!faults.is_empty())))
}

//! An exported table, read by others: every row has the entry's bytes, and erased payloads are shown as erased.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, too")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::*;
use ledger::export::ExportError;
use ledger::{Ledger, Reader, Record};
use serde_json::Value;

/// Rows as JSON, one a line, read by two implementations, which must agree.
const PROGRAM: &str = r#"
import base64, json, sys
import duckdb, pyarrow.parquet
file = pyarrow.parquet.ParquetFile(sys.argv[1])
table = file.read()
rows = table.to_pylist()
cursor = duckdb.execute("SELECT * FROM read_parquet(?) ORDER BY index", [sys.argv[1]])
names = [column[0] for column in cursor.description]
for row, other in zip(rows, cursor.fetchall(), strict=True):
    other = dict(zip(names, other, strict=True))
    assert {**row, "time": 0} == {**other, "time": 0}, (row, other)
    assert row["time"].timestamp() == other["time"].timestamp(), (row, other)
    row["time"] = row["time"].isoformat()
    if "payload" in row and row["payload"] is not None:
        row["payload"] = base64.b64encode(row["payload"]).decode()
    print(json.dumps(row))
about = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
print(json.dumps({"about": about, "groups": file.num_row_groups, "codec": file.metadata.row_group(0).column(0).compression}))
"#;

fn python() -> Option<PathBuf> {
    let tools = PathBuf::from(std::env::var_os("BAILIWICK_TEST_TOOLS")?);
    let python = tools.join("venv/bin/python");
    let has = Command::new(&python).args(["-c", "import duckdb, pyarrow"]).output();
    has.is_ok_and(|output| output.status.success()).then_some(python)
}

fn log(dir: &Path) -> Ledger {
    let (ledger, _) = Ledger::open(dir, key(), options()).unwrap();
    for sequence in 1..=300 {
        call(&ledger, sequence);
        if sequence % 50 == 0 {
            let subject = if sequence < 200 { "bob" } else { "alice" };
            let payload = ledger.put_payload(subject, format!("prompt {sequence} \u{20ac}").as_bytes()).unwrap();
            append(&ledger, Record::Prompt { session: "session".to_owned(), payload });
        }
    }
    ledger.erase("bob", now()).unwrap();
    ledger.seal().unwrap();
    ledger
}

#[test]
fn others_read_every_row_and_value() {
    let Some(python) = python() else { return println!("SKIPPED: no duckdb and pyarrow in the test tools") };
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("log");
    let ledger = log(&log_dir);
    let reader = Reader::open(&log_dir).unwrap();
    let path = dir.path().join("table.parquet");
    let exported = reader.export(3..u64::MAX, &path, true).unwrap();
    assert_eq!((exported.entries, exported.kept, exported.erased), (3..ledger.len(), 3, 3));
    let output = Command::new(python).args(["-c", PROGRAM]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let about = rows.pop().unwrap();
    assert_eq!(about["codec"], "ZSTD");
    assert!(about["about"]["bailiwick.checkpoint"].as_str().unwrap().contains(&format!("\n{}\n", ledger.len())));
    assert_eq!(rows.len() as u64, ledger.len() - 3);
    let mut states = Vec::new();
    for (row, raw) in rows.iter().zip(reader.raw(3..u64::MAX)) {
        let (index, bytes) = raw.unwrap();
        let entry: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(row["index"], index);
        assert_eq!(row["entry"].as_str().unwrap().as_bytes(), bytes, "the entry's own bytes");
        assert_eq!(row["leaf_hash"], hex::encode(ledger::tree::leaf_hash(&bytes)));
        for member in ["kind", "session", "sequence", "intent", "status", "snapshot", "event", "duration_us"] {
            assert_eq!(row[member], entry.get(member).cloned().unwrap_or_default(), "{member} of {index}");
        }
        if let Some(state) = row["payload_state"].as_str() {
            states.push((state.to_owned(), row["payload"].is_null(), row["payload_subject"].clone()));
        }
    }
    let (erased, kept) = (("erased".to_owned(), true, "bob".into()), ("kept".to_owned(), false, "alice".into()));
    assert_eq!(states, [erased.clone(), erased.clone(), erased, kept.clone(), kept.clone(), kept]);
}

#[test]
fn nothing_unsigned_is_exported_and_no_file_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let log_dir = dir.path().join("log");
    let ledger = log(&log_dir);
    let reader = Reader::open(&log_dir).unwrap();
    let path = dir.path().join("table.parquet");
    let nothing = reader.export(ledger.len()..u64::MAX, &path, false).unwrap_err();
    assert!(matches!(nothing, ExportError::Nothing { .. }), "{nothing}");
    assert!(!path.exists());
    reader.export(0..u64::MAX, &path, false).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((&bytes[..4], &bytes[bytes.len() - 4..]), (b"PAR1".as_slice(), b"PAR1".as_slice()));
    let plain = "prompt 250".as_bytes();
    assert!(!bytes.windows(plain.len()).any(|window| window == plain));
    assert!(reader.export(0..1, &path, false).is_err(), "what is there stays");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

//! Logs to test with.
#![allow(dead_code, unreachable_pub, reason = "each test uses some of it")]

use std::path::Path;

use jiff::Timestamp;
use ledger::record::{Answered, Asked, Intent, Outcome, Scope, Status};
use ledger::{Ledger, Options, Record, Recovery, SigningKey};
use serde_json::json;

pub fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub fn key() -> SigningKey {
    SigningKey::from_seed(&[3; 32]).unwrap()
}

pub fn options() -> Options {
    Options { segment_bytes: 64 << 10, ..Options::new(now()) }
}

pub fn open(dir: &Path) -> (Ledger, Recovery) {
    Ledger::open(dir, key(), options()).unwrap()
}

pub fn plain_intent(effect: &str, sequence: u64) -> Intent {
    Intent {
        action: json!({"arguments": {"path": format!("/tmp/{sequence}")}, "tool": {"server": "files", "name": "read"}}),
        decision: json!({"effect": {"effect": effect}, "reasons": []}),
        snapshot: "s1".to_owned(),
        now: now(),
        session: "session".to_owned(),
        sequence,
        uses: None,
        payload: None,
    }
}

pub fn intent(effect: &str, sequence: u64) -> Record {
    Record::Intent(plain_intent(effect, sequence))
}

pub fn outcome(intent: u64) -> Record {
    Record::Outcome(Outcome { duration_us: 17, size_bytes: 2, ..Outcome::bare(intent, Status::Ok) })
}

pub fn asked(intent: u64, binding: &str) -> Record {
    let (groups, summary) = (vec!["send".to_owned()], "May it send?".to_owned());
    let expires = "2026-01-02T04:00:00Z".parse().unwrap();
    Record::Asked(Asked { intent, binding: binding.to_owned(), groups, expires, summary })
}

pub fn answered(ask: u64, binding: &str) -> Record {
    let (by, nonce) = ("user:tester".to_owned(), format!("nonce-{ask}"));
    Record::Answered(Answered { ask, approved: true, scope: Scope::Once, by, binding: binding.to_owned(), nonce })
}

pub fn append(ledger: &Ledger, record: Record) -> u64 {
    ledger.append(record, now()).unwrap().wait().unwrap().index()
}

/// A call that is permitted and done.
pub fn call(ledger: &Ledger, sequence: u64) -> u64 {
    let index = append(ledger, intent("permit", sequence));
    ledger.append(outcome(index), now()).unwrap();
    index
}

pub fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

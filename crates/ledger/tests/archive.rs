//! What is archived can be proved to have been in the log, what is pruned is known by its hashes, and nothing that
//! remains loses its proof.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, too")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use ledger::archive::{Archive, ArchiveError};
use ledger::verify::{Options, Report, verify};
use ledger::{Ledger, ReadError, Reader, Record, SigningKey};

fn check(dir: &Path) -> Report {
    verify(dir, &key().verifying_key(), &Options { complete: true, ..Options::default() }).unwrap()
}

fn faults(report: &Report) -> String {
    report.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A log of some bundles with payloads, one of which is erased, asks that are answered, and two keys.
fn log(dir: &Path) -> Ledger {
    let small = ledger::Options { segment_bytes: 32 << 10, ..options() };
    let (ledger, _) = Ledger::open(dir, key(), small).unwrap();
    for sequence in 1..=500 {
        call(&ledger, sequence);
        if sequence % 50 == 0 {
            let subject = if sequence < 200 { "bob" } else { "alice" };
            let payload = ledger.put_payload(subject, format!("prompt {sequence}").as_bytes()).unwrap();
            append(&ledger, Record::Prompt { session: "session".to_owned(), payload });
            ledger.seal().unwrap();
        }
        if sequence == 300 {
            ledger.erase("bob", now()).unwrap();
            let next = SigningKey::from_seed(&[31; 32]).unwrap().named(key().name()).unwrap();
            ledger.hand_over(next, now()).unwrap();
        }
    }
    // Everything has its outcome, and the packs are where they stay.
    ledger.seal().unwrap();
    ledger
}

fn archived(log: &Path, to: u64, folder: &Path) -> PathBuf {
    Reader::open(log).unwrap().archive(to, folder).unwrap().0
}

#[test]
fn what_was_pruned_is_proved_and_the_rest_verifies() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = log(dir.path());
    let before = Reader::open(dir.path()).unwrap().prove(3).unwrap();
    for to in [300, 700] {
        let statement = archived(dir.path(), to, folder.path());
        let archive = Archive::verify(&statement, &key().verifying_key()).unwrap();
        assert_eq!(archive.statement.to, to / 256 * 256);
        let pruned = ledger.prune(&statement, now()).unwrap();
        assert_eq!(ledger.prune(&statement, now()).unwrap(), pruned, "a second time it is done already");
        let report = check(dir.path());
        assert_eq!(faults(&report), "");
        assert_eq!(report.pruned, Some(pruned));
        for read in [ledger.read(3).map(drop), Reader::open(dir.path()).unwrap().read(3).map(drop)] {
            assert!(matches!(read, Err(ReadError::Pruned { index: 3, .. })), "{read:?}");
        }
        let reader = Reader::open(dir.path()).unwrap();
        assert_eq!(reader.range(0..u64::MAX).next().unwrap().unwrap().index, to / 256 * 256);
        let mut keys = ledger::handover::Chain::new(key().verifying_key());
        for (_, handover) in reader.handovers().unwrap() {
            keys.follow(&handover.parse().unwrap()).unwrap();
        }
        for index in [to, reader.len() - 2] {
            reader.prove(index).unwrap().verify_by(&keys).unwrap();
        }
        before.verify_by(&keys).unwrap();
        call(&ledger, 1000 + to);
        ledger.seal().unwrap();
    }
    drop(ledger);
    assert!(!dir.path().join("tile/entries/000").exists());
    assert!(
        fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .any(|file| { file.file_name().to_string_lossy().contains(".payloads-") }),
        "payloads that only they used went with them"
    );
    // It opens as before, also when the list of open intents is lost.
    fs::remove_file(dir.path().join("open")).unwrap();
    let by = SigningKey::from_seed(&[31; 32]).unwrap().named(key().name()).unwrap();
    drop(Ledger::open(dir.path(), by, options()).unwrap());
    assert_eq!(faults(&check(dir.path())), "");
}

#[test]
fn an_archive_with_a_flipped_byte_is_none() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = log(dir.path());
    let statement = archived(dir.path(), 512, folder.path());
    let mut flips = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let whole = fs::read(&path).unwrap();
        for position in (0..whole.len()).step_by((whole.len() / 40).max(1)) {
            let mut bent = whole.clone();
            bent[position] ^= 1;
            fs::write(&path, bent).unwrap();
            let named = path.display();
            assert!(Archive::verify(&statement, &key().verifying_key()).is_err(), "byte {position} of {named}");
            flips += 1;
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(flips > 80);
    let stranger = SigningKey::from_seed(&[9; 32]).unwrap().verifying_key();
    assert!(Archive::verify(&statement, &stranger).is_err());
    let whole = fs::read(&statement).unwrap();
    for (name, value) in [("to", 0), ("to", 511), ("from", 1), ("from", 512), ("from", 768)] {
        let mut said: serde_json::Value = serde_json::from_slice(&whole).unwrap();
        said[name] = value.into();
        fs::write(&statement, said.to_string()).unwrap();
        let refused = Archive::verify(&statement, &key().verifying_key()).unwrap_err().to_string();
        assert!(refused.contains("are no whole bundles"), "{name} {value}: {refused}");
    }
    let said: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let mut later = said.clone();
    later["v"] = 2.into();
    let pretty = serde_json::to_string_pretty(&said).unwrap();
    for (text, part) in [(later.to_string(), "is of version 2"), (pretty, "not in canonical form")] {
        fs::write(&statement, text).unwrap();
        let refused = Archive::verify(&statement, &key().verifying_key()).unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    }
    fs::write(&statement, whole).unwrap();
    ledger.prune(&statement, now()).unwrap();
}

#[test]
fn what_is_missing_without_a_word_in_the_log_is_missing() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = log(dir.path());
    ledger.prune(&archived(dir.path(), 256, folder.path()), now()).unwrap();
    drop(ledger);
    let path = dir.path().join("pruned");
    let whole = fs::read_to_string(&path).unwrap();
    // More than the log says.
    fs::write(&path, whole.replace("\"to\":256", "\"to\":512")).unwrap();
    fs::rename(dir.path().join("tile/entries/001"), dir.path().join("kept")).unwrap();
    assert!(faults(&check(dir.path())).contains("says something else"));
    fs::write(&path, &whole).unwrap();
    assert!(faults(&check(dir.path())).contains("tile/entries/001: it is missing"));
    fs::rename(dir.path().join("kept"), dir.path().join("tile/entries/001")).unwrap();
    for position in 0..whole.len() {
        let mut bent = whole.clone().into_bytes();
        bent[position] ^= 1;
        fs::write(&path, bent).unwrap();
        assert!(!check(dir.path()).faults.is_empty(), "byte {position}");
    }
    fs::write(&path, &whole).unwrap();
    // Hashes of what was pruned are looked at as before.
    let tile = dir.path().join("tile/0/000");
    let mut bent = fs::read(&tile).unwrap();
    bent[40] ^= 1;
    fs::write(&tile, bent).unwrap();
    assert!(faults(&check(dir.path())).contains("tile/0/000: its hashes are all that is left"));
}

#[test]
fn a_pack_that_is_still_needed_is_not_pruned_whatever_the_statement_lists() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = log(dir.path());
    let statement = archived(dir.path(), 256, folder.path());
    let whole = fs::read(&statement).unwrap();
    let mut packs: Vec<_> =
        fs::read_dir(dir.path().join("payloads")).unwrap().map(|file| file.unwrap().path()).collect();
    packs.sort();
    let pack = packs.last().unwrap();
    let bytes = fs::read(pack).unwrap();
    let file = format!("more.payloads-{}", pack.file_name().unwrap().to_str().unwrap());
    fs::write(folder.path().join(&file), &bytes).unwrap();
    let sha256: String = ledger::tree::sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut said: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    said["payloads"].as_array_mut().unwrap().push(serde_json::json!({"file": file, "sha256": sha256}));
    fs::write(&statement, said.to_string()).unwrap();
    assert!(Archive::verify(&statement, &key().verifying_key()).is_ok(), "nobody signed that list");
    let refused = ledger.prune(&statement, now()).unwrap_err().to_string();
    assert!(refused.contains("refer to") && pack.exists(), "{refused}");
    fs::write(&statement, whole).unwrap();
    ledger.prune(&statement, now()).unwrap();
    assert!(pack.exists());
}

#[test]
fn what_was_changed_is_neither_archived_nor_proved() {
    let dir = tempfile::tempdir().unwrap();
    drop(log(dir.path()));
    for name in ["tile/entries/000", "tile/0/000"] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        let mut bent = whole.clone();
        bent[70] ^= 1;
        fs::write(&path, bent).unwrap();
        let reader = Reader::open(dir.path()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let refused = reader.archive(256, &folder.path().join("archive")).unwrap_err().to_string();
        assert_eq!(refused, format!("`{name}` is missing or damaged"));
        assert!(!folder.path().join("archive").exists(), "nothing was written");
        assert!((0..4).any(|index| matches!(reader.prove(index), Err(ReadError::Proof(_)))), "{name}");
        fs::write(&path, whole).unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    assert!((0..4).all(|index| reader.prove(index).is_ok()));
}

#[test]
fn nothing_else_is_pruned() {
    let (dir, other, folder) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = log(dir.path());
    // Another log's, though by the same key.
    let (elsewhere, _) = open(other.path());
    (1..=300).for_each(|sequence| _ = append(&elsewhere, intent("deny", sequence)));
    elsewhere.seal().unwrap();
    let theirs = archived(other.path(), 256, folder.path());
    assert!(matches!(ledger.prune(&theirs, now()), Err(ArchiveError::Other(_))));
    // Not the oldest; something is open; nothing whole is there.
    let mine = tempfile::tempdir().unwrap();
    let statement = archived(dir.path(), 256, mine.path());
    ledger.prune(&statement, now()).unwrap();
    assert!(matches!(Reader::open(dir.path()).unwrap().archive(300, mine.path()), Err(ArchiveError::Nothing { .. })));
    let open = append(&elsewhere, intent("permit", 301));
    (302..=900).for_each(|sequence| _ = append(&elsewhere, intent("deny", sequence)));
    elsewhere.seal().unwrap();
    let more = tempfile::tempdir().unwrap();
    let statement = archived(other.path(), 600, more.path());
    assert!(matches!(elsewhere.prune(&statement, now()), Err(ArchiveError::Open(found)) if found == open));
    assert!(Reader::open(other.path()).unwrap().archive(600, more.path()).is_err(), "an archive is never overwritten");
}

//! The key of a log changes, and whoever trusts the first one follows; a key that no predecessor announced is nobody's.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, too")]

mod common;

use std::fs;
use std::path::Path;

use common::*;
use ledger::handover::{Chain, HandoverError};
use ledger::note::{Checkpoint, SignedCheckpoint};
use ledger::proof::Proof;
use ledger::verify::{Options, Report, verify};
use ledger::{KeyFile, Ledger, Reader, SigningKey, VerifyingKey};

/// A home with a ledger whose key lies in a file.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.0.path().join("key"), key().seed()).unwrap();
        home
    }

    fn log(&self) -> std::path::PathBuf {
        self.0.path().join("log")
    }

    fn key_file(&self) -> KeyFile {
        KeyFile::new(self.0.path().join("key"))
    }

    fn open(&self) -> Ledger {
        self.key_file().open(&self.log(), options()).unwrap().0
    }

    fn verify(&self, trusted: &VerifyingKey) -> Report {
        verify(&self.log(), trusted, &Options { complete: true, ..Options::default() }).unwrap()
    }
}

fn faults(report: &Report) -> String {
    report.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Calls, a rotation, calls, a rotation, calls; the keys in order.
fn rotated_twice(home: &Home) -> Vec<VerifyingKey> {
    let mut keys = vec![key().verifying_key()];
    let ledger = home.open();
    for sequence in 1..=300 {
        call(&ledger, sequence);
        if sequence % 100 == 0 && keys.len() < 3 {
            keys.push(ledger.rotate_key(now()).unwrap().key);
            assert_eq!(ledger.verifying_key(), *keys.last().unwrap());
        }
    }
    keys
}

#[test]
fn whoever_trusts_any_of_the_keys_follows_to_the_last() {
    let home = Home::new();
    let keys = rotated_twice(&home);
    drop(home.open());
    for (place, trusted) in keys.iter().enumerate() {
        let report = home.verify(trusted);
        assert_eq!(faults(&report), "");
        assert_eq!(report.keys.len(), 3 - place);
    }
    assert_eq!(home.key_file().first().unwrap(), keys[0]);
    assert_eq!(home.key_file().read().unwrap().verifying_key(), keys[2]);
    let stranger = SigningKey::from_seed(&[9; 32]).unwrap().named(key().name()).unwrap().verifying_key();
    assert!(faults(&home.verify(&stranger)).contains("no signature by"));
}

#[test]
fn a_proof_holds_by_the_key_of_its_time() {
    let home = Home::new();
    let ledger = home.open();
    let first = call(&ledger, 1);
    ledger.seal().unwrap();
    let before = Reader::open(&home.log()).unwrap().prove(first).unwrap();
    ledger.rotate_key(now()).unwrap();
    let last = call(&ledger, 2);
    ledger.seal().unwrap();
    let reader = Reader::open(&home.log()).unwrap();
    let after = reader.prove(last).unwrap();
    let mut keys = Chain::new(key().verifying_key());
    assert!(after.verify_by(&keys).is_err(), "without the handover nobody knows the second key");
    let (_, handover) = reader.handovers().unwrap().remove(0);
    keys.follow(&handover.parse::<Proof>().unwrap()).unwrap();
    before.verify_by(&keys).unwrap();
    after.verify_by(&keys).unwrap();
    assert_eq!(reader.keys(&key().verifying_key()).unwrap(), (keys, Vec::new()));
}

/// Signs what the checkpoint says, or more entries, with another key.
fn sign_again(log: &Path, by: &SigningKey, entries: u64) {
    let path = log.join("checkpoint");
    let now = SignedCheckpoint::parse(&fs::read(&path).unwrap()).unwrap().checkpoint;
    let forged = by.sign(Checkpoint { size: now.size + entries, ..now });
    fs::write(path, forged.to_string()).unwrap();
}

#[test]
fn a_key_that_was_not_announced_is_found() {
    let home = Home::new();
    rotated_twice(&home);
    let trusted = key().verifying_key();
    let stranger = SigningKey::from_seed(&[9; 32]).unwrap().named(key().name()).unwrap();
    sign_again(&home.log(), &stranger, 0);
    assert!(faults(&home.verify(&trusted)).contains("checkpoint: no signature by"));
    // A retired key adds nothing, either.
    sign_again(&home.log(), &key(), 0);
    assert!(faults(&home.verify(&trusted)).contains("had handed over to another key before"));
    assert!(home.key_file().open(&home.log(), options()).is_err(), "nothing is appended to it");
}

#[test]
fn a_handover_that_is_missing_or_changed_is_found() {
    let home = Home::new();
    rotated_twice(&home);
    let trusted = key().verifying_key();
    for entry in fs::read_dir(home.log().join("handover")).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(faults(&home.verify(&trusted)).contains("the handover is missing"));
        for position in (0..whole.len()).step_by(13) {
            let mut bent = whole.clone();
            bent[position] ^= 1;
            fs::write(&path, bent).unwrap();
            assert!(faults(&home.verify(&trusted)).contains("handover/"), "byte {position}");
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(faults(&home.verify(&trusted)), "");
}

#[test]
fn a_handover_of_another_log_hands_nothing_over() {
    // Somebody with the first key lets it announce his own, in a log that he wrote for it.
    let (home, other) = (Home::new(), Home::new());
    let ledger = home.open();
    call(&ledger, 1);
    drop(ledger);
    let thief = SigningKey::from_seed(&[9; 32]).unwrap().named(key().name()).unwrap();
    let (elsewhere, _) = Ledger::open(&other.log(), key(), options()).unwrap();
    elsewhere.hand_over(thief.clone(), now()).unwrap();
    drop(elsewhere);
    fs::create_dir(home.log().join("handover")).unwrap();
    for entry in fs::read_dir(other.log().join("handover")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), home.log().join("handover").join(entry.file_name())).unwrap();
    }
    sign_again(&home.log(), &thief, 0);
    let said = faults(&home.verify(&key().verifying_key()));
    assert!(said.contains("of another history than this log"), "{said}");
}

#[test]
fn an_entry_that_announces_nothing_hands_nothing_over() {
    let home = Home::new();
    let ledger = home.open();
    let plain = call(&ledger, 1);
    ledger.seal().unwrap();
    let proof = Reader::open(&home.log()).unwrap().prove(plain).unwrap();
    assert_eq!(Chain::new(key().verifying_key()).follow(&proof), Err(HandoverError::NoAnnouncement));
}

#[test]
fn a_rotation_that_was_interrupted_is_finished() {
    // The new key is written, and then the process is gone.
    let home = Home::new();
    drop(home.open());
    let next = SigningKey::generate().unwrap().named(key().name()).unwrap();
    fs::write(home.0.path().join("key.next"), next.to_file()).unwrap();
    let ledger = home.open();
    assert_eq!(ledger.verifying_key(), next.verifying_key());
    drop(ledger);
    // The log is handed over, and only the file is not moved into place.
    let last = SigningKey::generate().unwrap().named(key().name()).unwrap();
    fs::write(home.0.path().join("key.next"), last.to_file()).unwrap();
    let (ledger, _) = Ledger::open(&home.log(), next, options()).unwrap();
    ledger.hand_over(last.clone(), now()).unwrap();
    drop(ledger);
    assert_eq!(home.open().verifying_key(), last.verifying_key());
    assert!(!home.0.path().join("key.next").exists());
    let report = home.verify(&key().verifying_key());
    assert_eq!((faults(&report), report.keys.len()), (String::new(), 3));
}

//! A witness over HTTP: what grows is cosigned; what was replaced, or shown to two people in two forms, is not.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::path::Path;
use std::sync::Arc;

use control::cosign::{Cosigners, Cosigning, WitnessAt};
use jiff::Timestamp;
use ledger::record::Record;
use ledger::verify::{self, Report};
use ledger::witness::Witness;
use ledger::{Ledger, Options, Reader, SigningKey, VerifyingKey};
use serde_json::Map;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

fn log_key() -> SigningKey {
    SigningKey::from_seed(&[3; 32]).unwrap()
}

fn open(dir: &Path) -> Ledger {
    Ledger::open(dir, log_key(), Options::new(Timestamp::now())).unwrap().0
}

fn grow(ledger: &Ledger, events: &[&str]) {
    for event in events {
        let record = Record::Log { event: (*event).to_owned(), details: Map::new() };
        ledger.append(record, Timestamp::now()).unwrap();
    }
    ledger.seal().unwrap();
}

struct Running {
    _dir: tempfile::TempDir,
    _end: oneshot::Sender<()>,
    at: WitnessAt,
    key: VerifyingKey,
}

async fn witness(name: &str, seed: u8) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::from_seed(&[seed; 32]).unwrap().named(name).unwrap();
    let witness = Arc::new(Witness::open(dir.path(), key.clone(), vec![log_key().verifying_key()]).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (end, ended) = oneshot::channel::<()>();
    tokio::spawn(control::witness::serve(witness, listener, async { drop(ended.await) }));
    let key = key.witness_key();
    Running { _dir: dir, _end: end, at: WitnessAt::new(&url, key.clone()).unwrap(), key }
}

fn verified(dir: &Path, witnesses: &[&Running]) -> Report {
    let witnesses = witnesses.iter().map(|witness| witness.key.clone()).collect();
    let options = verify::Options { witnesses, ..verify::Options::default() };
    verify::verify(dir, &log_key().verifying_key(), &options).unwrap()
}

#[tokio::test]
async fn what_grows_is_cosigned_by_all_and_proofs_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (witness("witness.example/1", 21).await, witness("witness.example/2", 22).await);
    let ledger = open(dir.path());
    let mut cosigners = Cosigners::new(ledger.clone(), vec![one.at.clone(), two.at.clone()]);
    assert_eq!(cosigners.round().await, 2);
    assert_eq!(cosigners.round().await, 0, "nothing new");
    grow(&ledger, &["a"; 300]);
    assert_eq!(cosigners.round().await, 2);
    // Another process knows where the first left off; and the log goes on without its witnesses for a while.
    grow(&ledger, &["b"; 40]);
    assert_eq!(Cosigners::new(ledger.clone(), vec![one.at.clone()]).round().await, 1);
    grow(&ledger, &["c"; 5]);
    drop((cosigners, ledger));
    let report = verified(dir.path(), &[&one, &two]);
    assert_eq!(report.faults, []);
    assert_eq!(report.cosigned.len(), 2);
    assert!(report.witnessed["witness.example/1"] > report.witnessed["witness.example/2"]);
    let proof = Reader::open(dir.path()).unwrap().prove(3).unwrap();
    proof.verify(&log_key().verifying_key()).unwrap();
    assert!(proof.checkpoint.verify(&two.key).is_ok(), "the proof has the checkpoint with the most cosignatures");
}

#[tokio::test]
async fn what_is_signed_last_is_cosigned_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let there = witness("witness.example/1", 21).await;
    let away = WitnessAt::new("http://127.0.0.1:1", SigningKey::from_seed(&[9; 32]).unwrap().witness_key()).unwrap();
    let ledger = open(dir.path());
    let cosigning = Cosigning::start(ledger.clone(), vec![away, there.at.clone()]);
    while ledger.cosigned(&there.key).unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    // The next round would be some seconds away.
    grow(&ledger, &["a"; 7]);
    assert_eq!(cosigning.end().await, Some((1, 2)));
    let size = ledger.checkpoint().unwrap().checkpoint.size;
    drop(ledger);
    assert_eq!(verified(dir.path(), &[&there]).witnessed["witness.example/1"], size);
}

#[tokio::test]
async fn neither_a_replaced_log_nor_a_second_one_is_cosigned() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let witness = witness("witness.example/1", 21).await;
    let ledger = open(dir.path());
    grow(&ledger, &["a"; 20]);
    assert_eq!(Cosigners::new(ledger.clone(), vec![witness.at.clone()]).round().await, 1);
    // The operator has the key and shows somebody else another history.
    let second = open(other.path());
    for longer in [false, true] {
        grow(&second, if longer { &["x"; 50] } else { &["x"; 2] });
        let mut cosigners = Cosigners::new(second.clone(), vec![witness.at.clone()]);
        assert_eq!(cosigners.round().await, 0);
    }
    second.seal().unwrap();
    let said =
        |stored: &ledger::Stored| matches!(&stored.entry.record, Record::Log { event, .. } if event == "contradicted");
    assert!(second.range(0..second.len()).any(|stored| said(&stored.unwrap())), "the contradiction is recorded");
    drop((ledger, second));
    assert_eq!(verified(dir.path(), &[&witness]).faults, []);
    let report = verified(other.path(), &[&witness]);
    let [unsigned, contradicted @ ..] = report.faults.as_slice() else { panic!("{report:?}") };
    assert!(unsigned.text.contains("no signature"), "{report:?}");
    assert!(!contradicted.is_empty() && contradicted.iter().all(|fault| fault.text.contains("another history")));
    // Of a witness that nobody demands it is told, and no fault.
    let report = verified(other.path(), &[]);
    assert_eq!((report.faults.len(), report.contradicted.len()), (0, contradicted.len()));
    // Another history cannot borrow the cosignature of the first.
    std::fs::create_dir(other.path().join("cosigned")).unwrap();
    for file in std::fs::read_dir(dir.path().join("cosigned")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), other.path().join("cosigned").join(file.file_name())).unwrap();
    }
    let faults = verified(other.path(), &[&witness]).faults;
    let replaced = faults.iter().filter(|fault| fault.text.contains("it was replaced"));
    // Of the checkpoint, which lacks the cosignature, and of what was cosigned.
    assert!(replaced.count() == 2 && faults.len() == contradicted.len() + 2, "{faults:?}");
}

#[tokio::test]
async fn a_witness_that_is_away_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let there = witness("witness.example/1", 21).await;
    let away = WitnessAt::new("http://127.0.0.1:1", SigningKey::from_seed(&[9; 32]).unwrap().witness_key()).unwrap();
    let ledger = open(dir.path());
    assert_eq!(Cosigners::new(ledger.clone(), vec![away, there.at.clone()]).round().await, 1);
}

#[tokio::test]
async fn a_witness_goes_on_with_a_log_whose_key_changes() {
    let dir = tempfile::tempdir().unwrap();
    let witness = witness("witness.example/1", 21).await;
    let ledger = open(dir.path());
    let mut cosigners = Cosigners::new(ledger.clone(), vec![witness.at.clone()]);
    assert_eq!(cosigners.round().await, 1);
    for seed in [31, 32] {
        let next = SigningKey::from_seed(&[seed; 32]).unwrap().named(log_key().name()).unwrap();
        grow(&ledger, &["a"; 30]);
        ledger.hand_over(next, Timestamp::now()).unwrap();
        grow(&ledger, &["b"; 30]);
        assert_eq!(cosigners.round().await, 1, "after the rotation to {seed}");
    }
    // A witness that comes later hears of all keys from the first on.
    let later = self::witness("witness.example/2", 22).await;
    grow(&ledger, &["c"; 3]);
    assert_eq!(Cosigners::new(ledger.clone(), vec![later.at.clone()]).round().await, 1);
    drop((cosigners, ledger));
    let report = verified(dir.path(), &[&witness, &later]);
    assert_eq!((report.faults, report.cosigned.len(), report.keys.len()), (vec![], 2, 3));
}

#[test]
fn addresses_without_tls_are_of_this_machine_only() {
    let key = log_key().witness_key();
    assert!(WitnessAt::new("http://witness.example", key.clone()).is_err());
    assert!(WitnessAt::new("ftp://127.0.0.1", key.clone()).is_err());
    assert!(WitnessAt::new("https://witness.example/w1", key).is_ok());
    assert!(WitnessAt::new("https://witness.example", log_key().verifying_key()).is_err());
}

//! With one witness, neither the whole log can be replaced nor two people be shown two logs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, too")]

mod common;

use std::path::Path;

use common::*;
use ledger::note::SignedCheckpoint;
use ledger::verify::{Options, verify};
use ledger::witness::{HandoverRequest, Refusal, Request, Witness};
use ledger::{Ledger, Reader, SigningKey};

fn witness(dir: &Path) -> Witness {
    let key = SigningKey::from_seed(&[21; 32]).unwrap().named("witness.example/w1").unwrap();
    Witness::open(dir, key, vec![key_of_log()]).unwrap()
}

fn options_at(now: jiff::Timestamp) -> ledger::Options {
    ledger::Options { now, ..options() }
}

fn key_of_log() -> ledger::VerifyingKey {
    key().verifying_key()
}

/// What a log sends to a witness that saw `old` entries of it; as text, as it goes over the wire.
fn request(dir: &Path, old: u64) -> Request {
    let reader = Reader::open(dir).unwrap();
    let checkpoint = SignedCheckpoint::clone(&reader.checkpoint().unwrap());
    let request = Request { old, proof: reader.prove_consistency(old).unwrap(), checkpoint };
    let parsed = Request::parse(&request.to_string()).unwrap();
    assert_eq!(parsed, request);
    parsed
}

fn extend(dir: &Path, calls: u64) -> u64 {
    let (ledger, _) = Ledger::open(dir, key(), options()).unwrap();
    (0..calls).for_each(|sequence| _ = call(&ledger, sequence + 1));
    ledger.seal().unwrap().checkpoint.size
}

#[test]
fn a_log_that_grows_is_cosigned() {
    let (log, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let witness = witness(home.path());
    let mut old = 0;
    for calls in [3, 1, 200, 0] {
        let size = extend(log.path(), calls);
        let mut request = request(log.path(), old);
        let cosignature = witness.add_checkpoint(&request, 1_800_000_000).unwrap();
        request.checkpoint.signatures.push(cosignature);
        std::fs::write(log.path().join("checkpoint"), request.checkpoint.to_string()).unwrap();
        let options = Options { witnesses: vec![witness.key()], ..Options::default() };
        let report = verify(log.path(), &key_of_log(), &options).unwrap();
        assert_eq!(report.faults, []);
        assert_eq!(report.cosigned, [("witness.example/w1".to_owned(), 1_800_000_000)]);
        old = size;
    }
}

#[test]
fn a_cosigned_checkpoint_that_was_damaged_is_what_is_blamed() {
    let (log, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ledger, _) = open(log.path());
    call(&ledger, 1);
    ledger.seal().unwrap();
    let witness = witness(home.path());
    let mut cosigned = request(log.path(), 0).checkpoint;
    cosigned.signatures.push(witness.add_checkpoint(&request(log.path(), 0), 1).unwrap());
    ledger.keep_cosigned(&cosigned, &witness.key()).unwrap();
    drop(ledger);
    let file = std::fs::read_dir(log.path().join("cosigned")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.trim_end()).unwrap();
    for witnesses in [vec![], vec![witness.key()]] {
        let report = verify(log.path(), &key().verifying_key(), &Options { witnesses, ..Options::default() }).unwrap();
        let blamed = report.faults.iter().any(|fault| file.ends_with(&fault.file));
        assert!(blamed, "{:?}", report.faults);
    }
}

#[test]
fn a_replaced_log_is_not_cosigned() {
    let (log, other, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old = extend(log.path(), 5);
    witness(home.path()).add_checkpoint(&request(log.path(), 0), 1).unwrap();
    // The operator has the key, and writes a longer history from the start. The witness was restarted.
    let (ledger, _) = open(other.path());
    append(&ledger, intent("deny", 77));
    drop(ledger);
    extend(other.path(), 9);
    let witness = witness(home.path());
    assert_eq!(witness.add_checkpoint(&request(other.path(), old), 2), Err(Refusal::Inconsistent));
    assert_eq!(witness.add_checkpoint(&request(other.path(), 0), 2), Err(Refusal::Conflict(old)));
    // Whoever asks for the witness's signature sees that the new history has none.
    let options = Options { witnesses: vec![witness.key()], ..Options::default() };
    assert_eq!(verify(other.path(), &key_of_log(), &options).unwrap().faults.len(), 1);
}

#[test]
fn a_fork_behind_what_was_cosigned_is_found() {
    let (log, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let size = extend(log.path(), 5);
    let witness = witness(home.path());
    let mut cosigned = request(log.path(), 0).checkpoint;
    let at = now().as_second().unsigned_abs();
    cosigned.signatures.push(witness.add_checkpoint(&request(log.path(), 0), at).unwrap());
    let (ledger, _) = open(log.path());
    ledger.keep_cosigned(&cosigned, &witness.key()).unwrap();
    drop(ledger);
    let options = Options { witnesses: vec![witness.key()], ..Options::default() };
    // The operator has the key. What the witness saw last is the beginning of everything that he writes behind it.
    let write = |after: i64| {
        let later = now() + jiff::SignedDuration::from_secs(after);
        let (ledger, _) = Ledger::open(log.path(), key(), options_at(later)).unwrap();
        ledger.append(intent("deny", 9), later).unwrap().wait().unwrap();
    };
    // Some minutes a witness may be away.
    for after in [60, 599] {
        write(after);
        let report = verify(log.path(), &key_of_log(), &options).unwrap();
        assert_eq!((report.faults, report.witnessed["witness.example/w1"]), (vec![], size));
    }
    write(700);
    let report = verify(log.path(), &key_of_log(), &options).unwrap();
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    let (text, entry) = (&report.faults[0].text, report.faults[0].entry);
    assert!(text.contains("does not vouch for the entries from") && entry == Some(size), "{text}");
    assert_eq!(verify(log.path(), &key_of_log(), &Options::default()).unwrap().faults, []);
}

#[test]
fn no_date_makes_up_for_a_cosignature() {
    // Behind what the witness cosigned the operator writes within a minute, as if a year before it or after it.
    for (years, because) in [(-1, "were not written then"), (1, "too long before")] {
        let (log, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dated = now() + jiff::SignedDuration::from_hours(years * 365 * 24);
        extend(log.path(), 5);
        let witness = witness(home.path());
        let mut cosigned = request(log.path(), 0).checkpoint;
        let at = now().as_second().unsigned_abs();
        cosigned.signatures.push(witness.add_checkpoint(&request(log.path(), 0), at).unwrap());
        let (ledger, _) = Ledger::open(log.path(), key(), options_at(dated)).unwrap();
        ledger.keep_cosigned(&cosigned, &witness.key()).unwrap();
        ledger.append(intent("deny", 9), dated).unwrap().wait().unwrap();
        drop(ledger);
        let options = Options { witnesses: vec![witness.key()], ..Options::default() };
        let faults = verify(log.path(), &key_of_log(), &options).unwrap().faults;
        assert!(faults.len() == 1 && faults[0].text.contains(because), "{faults:?}");
    }
}

#[test]
fn a_cosigned_checkpoint_tells_that_the_log_was_rolled_back() {
    let (log, before, home) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    extend(log.path(), 5);
    copy_all(log.path(), before.path());
    extend(log.path(), 5);
    let witness = witness(home.path());
    let mut cosigned = request(log.path(), 0).checkpoint;
    cosigned.signatures.push(witness.add_checkpoint(&request(log.path(), 0), 1).unwrap());
    let (ledger, _) = open(log.path());
    ledger.keep_cosigned(&cosigned, &witness.key()).unwrap();
    drop(ledger);
    assert_eq!(verify(log.path(), &key_of_log(), &Options::default()).unwrap().faults, []);
    // The older files are put back, and what was cosigned is left there.
    std::fs::create_dir(before.path().join("cosigned")).unwrap();
    copy_all(&log.path().join("cosigned"), &before.path().join("cosigned"));
    for witnesses in [vec![], vec![witness.key()]] {
        let options = Options { witnesses: witnesses.clone(), ..Options::default() };
        let faults = verify(before.path(), &key_of_log(), &options).unwrap().faults;
        assert_eq!(faults.len(), 1 + witnesses.len(), "{faults:?}");
        assert!(faults.iter().all(|fault| fault.text.contains("it was rolled back")), "{faults:?}");
    }
    // Another history of the same length is none of this log's either.
    let other = tempfile::tempdir().unwrap();
    let (ledger, _) = open(other.path());
    (0..21).for_each(|sequence| _ = append(&ledger, intent("deny", sequence)));
    ledger.keep_cosigned(&cosigned, &witness.key()).unwrap();
    drop(ledger);
    let faults = verify(other.path(), &key_of_log(), &Options::default()).unwrap().faults;
    assert!(faults.len() == 1 && faults[0].text.contains("it was replaced"), "{faults:?}");
}

#[test]
fn two_logs_of_one_size_are_not_both_cosigned() {
    let (log, other, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let witness = witness(home.path());
    let (ledger, _) = open(log.path());
    append(&ledger, intent("deny", 1));
    drop(ledger);
    let (ledger, _) = open(other.path());
    append(&ledger, intent("deny", 2));
    drop(ledger);
    witness.add_checkpoint(&request(log.path(), 0), 1).unwrap();
    let size = Reader::open(other.path()).unwrap().len();
    assert_eq!(witness.add_checkpoint(&request(other.path(), size), 1), Err(Refusal::Conflict(size)));
}

#[test]
fn a_stranger_gets_no_cosignature() {
    let (log, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stranger = SigningKey::from_seed(&[99; 32]).unwrap();
    drop(Ledger::open(log.path(), stranger, options()).unwrap());
    let witness = witness(home.path());
    assert_eq!(witness.add_checkpoint(&request(log.path(), 0), 1), Err(Refusal::UnknownLog));
    let impostor = SigningKey::from_seed(&[99; 32]).unwrap().named(key().name()).unwrap();
    let other = tempfile::tempdir().unwrap();
    drop(Ledger::open(other.path(), impostor, options()).unwrap());
    assert_eq!(witness.add_checkpoint(&request(other.path(), 0), 1), Err(Refusal::Unsigned));
}

#[test]
fn a_key_that_the_log_did_not_announce_to_the_witness_is_nobodys() {
    let (log, other, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let seen = extend(log.path(), 5);
    witness(home.path()).add_checkpoint(&request(log.path(), 0), 1).unwrap();
    // Whoever has stolen the key lets it announce his own, in a history that the witness has not seen.
    let thief = SigningKey::from_seed(&[9; 32]).unwrap().named(key().name()).unwrap();
    let (elsewhere, _) = open(other.path());
    (31..=39).for_each(|sequence| _ = call(&elsewhere, sequence));
    elsewhere.hand_over(thief, now()).unwrap();
    let handover = elsewhere.handovers().unwrap().remove(0);
    let size = handover.checkpoint.checkpoint.size;
    let proof = elsewhere.prove_consistency(seen, size).unwrap();
    let witness = witness(home.path());
    let refused = witness.add_handover(&HandoverRequest::new(seen, proof, handover), 2);
    assert_eq!(refused, Err(Refusal::Inconsistent));
    assert_eq!(witness.add_checkpoint(&request(other.path(), seen), 2), Err(Refusal::Unsigned));
}

#[test]
fn a_witness_remembers_a_handover() {
    let (log, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ledger, _) = open(log.path());
    call(&ledger, 1);
    let next = SigningKey::from_seed(&[9; 32]).unwrap().named(key().name()).unwrap();
    ledger.hand_over(next, now()).unwrap();
    call(&ledger, 2);
    ledger.seal().unwrap();
    assert_eq!(witness(home.path()).add_checkpoint(&request(log.path(), 0), 1), Err(Refusal::Unsigned));
    let handover = ledger.handovers().unwrap().remove(0);
    let size = handover.checkpoint.checkpoint.size;
    let asked = HandoverRequest::new(0, Vec::new(), handover).to_string();
    witness(home.path()).add_handover(&HandoverRequest::parse(&asked).unwrap(), 1).unwrap();
    // It was restarted in between, and the old key counts for nothing any more.
    witness(home.path()).add_checkpoint(&request(log.path(), size), 2).unwrap();
}

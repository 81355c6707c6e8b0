//! Verification finds what is wrong, and says where.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, too")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use ledger::proof::Proof;
use ledger::record::{Intent, Outcome, Status};
use ledger::verify::{Options, Report, verify};
use ledger::{Reader, Record, SigningKey};

fn check(dir: &Path) -> Report {
    verify(dir, &key().verifying_key(), &Options { complete: true, ..Options::default() }).unwrap()
}

fn faults(report: &Report) -> String {
    report.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A log with every kind of file: full and partial tiles, packs, segments, keys, objects.
fn whole_log(dir: &Path) {
    let small = ledger::Options { segment_bytes: 16 << 10, ..options() };
    let (ledger, _) = ledger::Ledger::open(dir, key(), small).unwrap();
    let bob = ledger.put_payload("bob", b"to be erased").unwrap();
    append(&ledger, Record::Prompt { session: "session".to_owned(), payload: bob });
    for sequence in 1..=140 {
        call(&ledger, sequence);
        if sequence % 40 == 0 {
            let payload = ledger.put_payload("alice", format!("prompt {sequence}").as_bytes()).unwrap();
            append(&ledger, Record::Prompt { session: "session".to_owned(), payload });
            ledger.seal().unwrap();
        }
    }
    ledger.erase("bob", now()).unwrap();
    let payload = ledger.put_payload("alice", b"the last prompt").unwrap();
    append(&ledger, Record::Prompt { session: "session".to_owned(), payload });
    ledger.put_object(b"permit(principal, action, resource);").unwrap();
}

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.file_name().unwrap() != "lock" {
            out.push(path);
        }
    }
}

#[test]
fn a_whole_log_has_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    whole_log(dir.path());
    let report = check(dir.path());
    assert_eq!(faults(&report), "");
    assert_eq!((report.payloads, report.erased, report.objects), (4, 1, 1));
    assert_eq!((report.kinds["intent"], report.kinds["outcome"]), (140, 140));
    assert_eq!(report.entries, report.sealed);
}

#[test]
fn what_is_left_out_leaves_a_gap() {
    // An operator with the key writes the log again without one call.
    for left_out in [1, 3, 5] {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, _) = open(dir.path());
        for sequence in (1..=5).filter(|sequence| *sequence != left_out) {
            let index = append(&ledger, intent("permit", sequence));
            let outcome = Outcome { upstream: Some(sequence), ..Outcome::bare(index, Status::Ok) };
            append(&ledger, Record::Outcome(outcome));
        }
        let details = serde_json::json!({"calls": 5, "sent": 5}).as_object().unwrap().clone();
        append(&ledger, Record::Log { event: "drained".to_owned(), details });
        drop(ledger);
        let text = faults(&check(dir.path()));
        assert!(text.contains("counted 5 calls in this run, 4 are recorded"), "{text}");
        assert!(text.contains("counted 5 acts in this run, 4 are recorded"), "{text}");
        let gap = format!("call {left_out} was made at the door and is not recorded (1 missing)");
        assert_eq!(text.contains(&gap), left_out < 5, "{text}");
        assert_eq!(text.contains(&format!("act {left_out} left")), left_out < 5, "{text}");
    }
}

#[test]
fn calls_side_by_side_and_a_new_run_leave_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    for order in [[2, 1, 3], [3, 2, 1]] {
        let (ledger, _) = open(dir.path());
        order.into_iter().for_each(|sequence| _ = call(&ledger, sequence));
    }
    assert_eq!(faults(&check(dir.path())), "");
    let (ledger, _) = open(dir.path());
    call(&ledger, 1);
    call(&ledger, 1);
    drop(ledger);
    assert!(faults(&check(dir.path())).contains("a second call 1"));
}

#[test]
fn a_flipped_byte_anywhere_is_found_and_located() {
    let dir = tempfile::tempdir().unwrap();
    whole_log(dir.path());
    let mut all = Vec::new();
    files(dir.path(), &mut all);
    let folders = [
        "checkpoint",
        "open",
        "tile/0/000",
        "tile/0/001.p",
        "tile/1/000.p",
        "tile/entries",
        "journal",
        "payloads",
        "objects",
        "subjects",
    ];
    for folder in folders {
        let found = all.iter().any(|path| path.strip_prefix(dir.path()).unwrap().starts_with(folder));
        assert!(found, "the log has no `{folder}`");
    }
    let mut flips = 0;
    for path in all {
        let relative = path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / 17).max(1);
        for position in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
            let mut bent = whole.clone();
            bent[position] ^= 1 << (position % 8);
            fs::write(&path, &bent).unwrap();
            let report = check(dir.path());
            let located = report.faults.iter().any(|fault| fault.file == relative);
            assert!(located, "byte {position} of `{relative}`: {}", faults(&report));
            // What follows from a changed entry may be said of others; no tile is blamed for it.
            let blamed =
                |fault: &&ledger::verify::Fault| fault.file != relative && fault.text.contains("the tile was changed");
            assert_eq!(
                report.faults.iter().filter(blamed).count(),
                0,
                "byte {position} of `{relative}`: {}",
                faults(&report)
            );
            flips += 1;
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(flips > 200);
    assert_eq!(faults(&check(dir.path())), "");
}

#[test]
fn a_missing_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    whole_log(dir.path());
    let mut all = Vec::new();
    files(dir.path(), &mut all);
    for path in all {
        let relative = path.strip_prefix(dir.path()).unwrap().to_str().unwrap();
        // The list of open intents only saves time; nothing refers to an object; a sealed segment is spare.
        if relative == "open" || relative.starts_with("objects") || relative.starts_with("journal") {
            continue;
        }
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!check(dir.path()).faults.is_empty(), "without `{relative}`");
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn what_is_the_cause_is_said_first_and_once() {
    let dir = tempfile::tempdir().unwrap();
    whole_log(dir.path());
    // The last bundle has the entry that says that bob's key was erased.
    let last = fs::read_dir(dir.path().join("tile/entries/001.p")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&last).unwrap();
    let report = check(dir.path());
    let place = |what: &dyn Fn(&ledger::verify::Fault) -> bool| report.faults.iter().position(what);
    let cause = place(&|fault| last.ends_with(&fault.file) && fault.text == "it is missing").unwrap();
    let follows = place(&|fault| fault.text.contains("its key is gone")).unwrap();
    assert!(cause < follows, "{}", faults(&report));
    assert_eq!(report.faults.iter().filter(|fault| fault.text.contains("were changed")).count(), 0);
}

#[test]
fn a_payload_of_another_size_than_its_entry_says_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let mut payload = ledger.put_payload("alice", b"four").unwrap();
    payload.size_bytes = 5;
    let entry = append(&ledger, Record::Prompt { session: "session".to_owned(), payload });
    drop(ledger);
    let found = check(dir.path()).faults;
    assert_eq!(found.iter().map(|fault| fault.entry).collect::<Vec<_>>(), [Some(entry)], "{found:?}");
    assert!(found[0].text.contains("has 4 bytes, and its entry says 5"), "{found:?}");
}

#[test]
fn a_log_by_another_key_is_not_this_log() {
    let (dir, other) = (tempfile::tempdir().unwrap(), SigningKey::from_seed(&[4; 32]).unwrap());
    drop(ledger::Ledger::open(dir.path(), other, options()).unwrap());
    assert!(faults(&check(dir.path())).contains("no signature by"));
}

#[test]
fn what_nobody_signed_does_not_verify() {
    // Whoever has no key at all writes a journal like ours.
    let (log, forged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ledger, _) = open(log.path());
    call(&ledger, 1);
    copy_all(&log.path().join("journal"), &{
        let journal = forged.path().join("journal");
        fs::create_dir(&journal).unwrap();
        journal
    });
    drop(ledger);
    let witness = SigningKey::from_seed(&[21; 32]).unwrap().named("witness.example/w1").unwrap().witness_key();
    let options = Options { witnesses: vec![witness], ..Options::default() };
    let report = verify(forged.path(), &key().verifying_key(), &options).unwrap();
    let texts: Vec<_> = report.faults.iter().map(|fault| (fault.file.as_str(), fault.text.as_str())).collect();
    assert!(texts.contains(&("checkpoint", "it is missing: nothing here is signed")), "{texts:?}");
    assert!(texts.contains(&("checkpoint", "no signature by `witness.example/w1`")), "{texts:?}");
    assert!(report.entries > 0 && report.sealed == 0);
    let empty = tempfile::tempdir().unwrap();
    assert!(faults(&check(empty.path())).contains("nothing here is signed"));
}

#[test]
fn an_erased_key_that_is_still_here_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let payload = ledger.put_payload("bob", b"to be erased").unwrap();
    append(&ledger, Record::Prompt { session: "session".to_owned(), payload });
    let name = fs::read_dir(dir.path().join("subjects")).unwrap().next().unwrap().unwrap().path();
    let key = fs::read(&name).unwrap();
    ledger.erase("bob", now()).unwrap();
    drop(ledger);
    assert_eq!(faults(&check(dir.path())), "");
    fs::write(&name, key).unwrap();
    assert!(faults(&check(dir.path())).contains("recorded as erased and still here"));
}

/// Exchanges two files.
fn exchange(one: &Path, two: &Path) {
    let (first, second) = (fs::read(one).unwrap(), fs::read(two).unwrap());
    fs::write(one, second).unwrap();
    fs::write(two, first).unwrap();
}

#[test]
fn keys_that_were_exchanged_are_found_and_erase_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let mut kept = Vec::new();
    for subject in ["alice", "bob"] {
        let payload = ledger.put_payload(subject, subject.as_bytes()).unwrap();
        append(&ledger, Record::Prompt { session: "session".to_owned(), payload: payload.clone() });
        kept.push(payload);
    }
    drop(ledger);
    let mut keys = Vec::new();
    files(&dir.path().join("subjects"), &mut keys);
    exchange(&keys[0], &keys[1]);
    let text = faults(&check(dir.path()));
    assert_eq!(text.matches("files were exchanged").count(), 2, "{text}");
    let (ledger, _) = open(dir.path());
    let refused = ledger.erase("alice", now()).unwrap_err().to_string();
    assert!(refused.contains("holds the key of `bob`"), "{refused}");
    drop(ledger);
    exchange(&keys[0], &keys[1]);
    let (ledger, _) = open(dir.path());
    assert!(ledger.erase("alice", now()).unwrap());
    assert_eq!(ledger.payload(&kept[0]).unwrap(), None);
    assert_eq!(ledger.payload(&kept[1]).unwrap().unwrap(), b"bob");
    drop(ledger);
    assert_eq!(faults(&check(dir.path())), "");
}

#[test]
fn packs_that_were_exchanged_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    whole_log(dir.path());
    let mut packs = Vec::new();
    files(&dir.path().join("payloads"), &mut packs);
    assert!(packs.len() > 1, "{packs:?}");
    exchange(&packs[0], &packs[1]);
    let text = faults(&check(dir.path()));
    assert!(text.lines().count() > 1 && text.lines().all(|line| line.contains("is missing")), "{text}");
}

#[test]
fn an_approval_is_used_once_and_for_what_it_binds() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let ask = |sequence: u64, binding: &str| {
        let intent = append(&ledger, intent("ask", sequence));
        append(&ledger, asked(intent, binding))
    };
    let using = |sequence: u64, ask: u64| {
        let index = append(&ledger, Record::Intent(Intent { uses: Some(ask), ..plain_intent("permit", sequence) }));
        append(&ledger, outcome(index));
        index
    };
    let good = ask(1, "binding-1");
    append(&ledger, answered(good, "binding-1"));
    using(1, good);
    let twice = using(2, good);
    let other = ask(3, "binding-3");
    let swapped = append(&ledger, answered(other, "binding-1"));
    let unanswered = using(3, other);
    drop(ledger);
    let report = check(dir.path());
    let entries: Vec<_> = report.faults.iter().map(|fault| fault.entry.unwrap()).collect();
    assert_eq!(entries, [twice, swapped, unanswered], "{}", faults(&report));
}

#[test]
fn what_a_scan_found_is_there_and_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let digest = ledger.put_object(b"what was found").unwrap();
    let scan =
        |digest: &str| append(&ledger, Record::Scan { digest: digest.to_owned(), counts: serde_json::Map::new() });
    let entry = scan(&digest);
    assert_eq!(scan(&digest), entry + 1);
    drop(ledger);
    assert_eq!(faults(&check(dir.path())), "");
    let object = dir.path().join(format!("objects/{}/{digest}", &digest[..2]));
    fs::write(&object, b"what was found elsewhere").unwrap();
    assert!(faults(&check(dir.path())).contains("does not have the digest that is its name"));
    fs::remove_file(&object).unwrap();
    let report = check(dir.path());
    assert!(faults(&report).contains(&format!("what the scan `{digest}` found is missing")), "{}", faults(&report));
    assert_eq!((report.faults.len(), report.faults[0].entry), (1, Some(entry)));
}

#[test]
fn a_copy_that_was_made_while_a_call_was_under_way_has_no_fault() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ledger, _) = open(dir.path());
    let open = append(&ledger, intent("permit", 1));
    call(&ledger, 3);
    ledger.seal().unwrap();
    copy_all(dir.path(), copy.path());
    for file in ["lock", "open"] {
        fs::remove_file(copy.path().join(file)).unwrap();
    }
    fs::remove_dir_all(copy.path().join("journal")).unwrap();
    let report = check(copy.path());
    assert_eq!((faults(&report), report.in_flight, report.unjudged), (String::new(), vec![open], 1), "2 may come");
    drop(ledger);
}

#[test]
fn a_log_can_be_verified_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    call(&ledger, 1);
    let open = append(&ledger, intent("permit", 2));
    let report = check(dir.path());
    assert_eq!((faults(&report), report.in_flight), (String::new(), vec![open]));
}

#[test]
fn a_gap_in_a_log_that_is_written_is_told_and_judged_when_nothing_can_close_it() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    [1, 2, 4].into_iter().for_each(|sequence| _ = call(&ledger, sequence));
    let mut sequence = 4;
    let mut later = |minutes| {
        sequence += 1;
        let time = now() + jiff::SignedDuration::from_mins(minutes);
        ledger.append(intent("deny", sequence), time).unwrap().wait().unwrap();
        check(dir.path())
    };
    let report = later(10);
    assert_eq!((faults(&report), report.unjudged), (String::new(), 1));
    let report = later(16);
    assert!(faults(&report).contains("call 3 was made at the door and is not recorded (1 missing)"), "{report:?}");
    assert_eq!(report.unjudged, 0);
    // In one that is not written nothing closes any more.
    drop(ledger);
    assert!(faults(&check(dir.path())).contains("call 3 was made at the door"));
}

#[test]
fn a_proof_holds_for_its_entry_alone() {
    let dir = tempfile::tempdir().unwrap();
    whole_log(dir.path());
    let reader = Reader::open(dir.path()).unwrap();
    for index in [0, 1, 255, 256, reader.len() - 1] {
        let proof = reader.prove(index).unwrap();
        let text = proof.to_string();
        let read: Proof = text.parse().unwrap();
        assert_eq!(read, proof);
        read.verify(&key().verifying_key()).unwrap();
        assert!(Proof { index: index ^ 1, ..proof.clone() }.verify(&key().verifying_key()).is_err());
        let other = SigningKey::from_seed(&[4; 32]).unwrap().verifying_key();
        assert!(proof.verify(&other).is_err());
        for position in (0..text.len()).step_by(11) {
            let mut bent = text.clone().into_bytes();
            bent[position] ^= 1;
            let holds = String::from_utf8(bent).is_ok_and(|bent| {
                bent.parse::<Proof>().is_ok_and(|proof| proof.verify(&key().verifying_key()).is_ok())
            });
            assert!(!holds, "byte {position} of the proof of {index}");
        }
    }
}

#[test]
fn a_reader_follows_a_log_whose_partial_tiles_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let first = call(&ledger, 1);
    ledger.seal().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    for sequence in 2..200 {
        call(&ledger, sequence);
        if sequence % 20 == 0 {
            ledger.seal().unwrap();
            assert_eq!(reader.read(first).unwrap().index, first);
            reader.prove(first).unwrap().verify(&key().verifying_key()).unwrap();
        }
    }
}

#[test]
fn a_log_is_verified_while_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    call(&ledger, 1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for sequence in 2..400 {
                call(&ledger, sequence);
                if sequence % 10 == 0 {
                    ledger.seal().unwrap();
                }
            }
        });
        while !writer.is_finished() {
            assert_eq!(faults(&check(dir.path())), "");
        }
    });
}

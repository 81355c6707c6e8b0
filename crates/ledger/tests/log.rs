//! The ledger as its users see it: what is acknowledged is there, after any end.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

use std::future::Future as _;

use ledger::record::Status;
use ledger::{AppendError, Ledger, OpenError, Reader, Record, Recovery, SigningKey};
use serde_json::json;

mod common;

use common::*;

#[test]
fn what_is_appended_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, recovery) = open(dir.path());
    assert!(recovery.created);
    let receipt = ledger.append(intent("permit", 1), now()).unwrap().wait().unwrap();
    ledger.append(outcome(receipt.index()), now()).unwrap();
    assert_eq!(ledger.read(receipt.index()).unwrap().entry.record, intent("permit", 1));
    drop(ledger);

    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.len(), 3);
    assert_eq!(reader.checkpoint().unwrap().checkpoint.size, 3, "closing seals");
    assert_eq!(reader.read(2).unwrap().entry.record, outcome(1));

    let (ledger, recovery) = open(dir.path());
    assert_eq!(recovery, Recovery { entries: 3, ..Recovery::default() });
    assert_eq!(ledger.len(), 4, "opening is recorded");
}

#[test]
fn many_writers_over_many_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    std::thread::scope(|scope| {
        for writer in 0..8_u64 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for sequence in 0..300 {
                    let receipt =
                        ledger.append(intent("permit", writer * 1000 + sequence), now()).unwrap().wait().unwrap();
                    assert!(ledger.len() > receipt.index());
                    let read = ledger.read(receipt.index()).unwrap();
                    assert_eq!(read.entry.record, intent("permit", writer * 1000 + sequence));
                    ledger.append(outcome(receipt.index()), now()).unwrap();
                }
            });
        }
    });
    let size = ledger.seal().unwrap().checkpoint.size;
    assert_eq!(size, 1 + 8 * 600);
    let entries: Vec<_> = ledger.range(0..size).map(Result::unwrap).collect();
    drop(ledger);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.range(0..u64::MAX).map(Result::unwrap).collect::<Vec<_>>(), entries);
    let segments = std::fs::read_dir(dir.path().join("journal")).unwrap().count();
    assert!(segments <= 3, "sealed segments are removed, {segments} are left");
}

#[test]
fn an_outcome_ends_one_permitted_intent_once() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let denied = ledger.append(intent("deny", 1), now()).unwrap().wait().unwrap();
    let refused = ledger.append(outcome(denied.index()), now()).unwrap_err();
    assert!(matches!(refused, AppendError::NotOpen(1)), "{refused}");
    let permitted = ledger.append(intent("permit", 2), now()).unwrap().wait().unwrap();
    ledger.append(outcome(permitted.index()), now()).unwrap().wait().unwrap();
    assert!(ledger.append(outcome(permitted.index()), now()).is_err());
    assert!(ledger.open_intents().is_empty());
}

#[test]
fn a_copy_taken_at_any_moment_opens_and_closes_what_was_open() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let first = ledger.append(intent("permit", 1), now()).unwrap().wait().unwrap();
    ledger.seal().unwrap();
    let second = ledger.append(intent("permit", 2), now()).unwrap().wait().unwrap();
    ledger.append(outcome(first.index()), now()).unwrap().wait().unwrap();
    // What a killed process leaves behind.
    let copy = tempfile::tempdir().unwrap();
    copy_all(dir.path(), copy.path());
    let (ledger, recovery) = open(copy.path());
    assert_eq!(recovery.unknown, [second.index()]);
    let found = ledger.range(0..u64::MAX).map(Result::unwrap).any(|stored| {
        matches!(&stored.entry.record, Record::Outcome(outcome) if outcome.intent == second.index() && outcome.status == Status::Unknown)
    });
    assert!(found);
    let last = ledger.read(ledger.len() - 1).unwrap().entry.record;
    assert!(matches!(last, Record::Log { event, .. } if event == "recovered"));
}

#[test]
fn two_writers_on_one_log() {
    let dir = tempfile::tempdir().unwrap();
    let (_ledger, _) = open(dir.path());
    let refused = Ledger::open(dir.path(), key(), options()).unwrap_err();
    assert!(matches!(&refused, OpenError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
}

#[test]
fn another_key_does_not_continue_a_log() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let other = SigningKey::generate().unwrap();
    assert!(matches!(Ledger::open(dir.path(), other, options()), Err(OpenError::Checkpoint(_))));
}

#[test]
fn payloads_are_read_until_erased() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let kept = ledger.put_payload("alice", b"kept").unwrap();
    let gone = ledger.put_payload("bob", b"gone").unwrap();
    assert_eq!(ledger.payload(&kept).unwrap().unwrap(), b"kept");
    assert_eq!(ledger.payload(&gone).unwrap().unwrap(), b"gone");
    assert!(ledger.erase("bob", now()).unwrap());
    assert!(!ledger.erase("bob", now()).unwrap());
    assert_eq!(ledger.payload(&gone).unwrap(), None);
    let again = ledger.put_payload("bob", b"new data of bob").unwrap();
    // Far enough that the segment is retired.
    for sequence in 0..400 {
        ledger.append(intent("deny", sequence), now()).unwrap();
    }
    ledger.seal().unwrap();
    for sequence in 0..400 {
        ledger.append(intent("deny", sequence), now()).unwrap();
    }
    ledger.seal().unwrap();
    for (payload, bytes) in
        [(&kept, Some(b"kept".to_vec())), (&gone, None), (&again, Some(b"new data of bob".to_vec()))]
    {
        assert_eq!(ledger.payload(payload).unwrap(), bytes);
    }
    drop(ledger);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.payload(&kept).unwrap().unwrap(), b"kept");
    assert_eq!(reader.payload(&gone).unwrap(), None);
    assert!(dir.path().join("payloads").read_dir().unwrap().count() > 0);
}

#[test]
fn an_object_is_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let id = ledger.put_object(b"policies").unwrap();
    assert_eq!(ledger.put_object(b"policies").unwrap(), id);
    assert_eq!(ledger.object(&id).unwrap(), b"policies");
    assert!(ledger.object("../../etc/passwd").is_err());
}

#[tokio::test]
async fn subscribers_hear_of_durable_answers_alone_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let mut answers = ledger.answers();
    let answer = |ask| {
        let [by, binding, nonce] = ["ada", "b", "n"].map(str::to_owned);
        let scope = ledger::record::Scope::Once;
        Record::Answered(ledger::record::Answered { ask, approved: true, scope, by, binding, nonce })
    };
    let record = |number| if number % 2 == 0 { answer(number) } else { intent("deny", number) };
    let appends: Vec<_> = (0..50).map(|number| ledger.append(record(number), now()).unwrap()).collect();
    for (append, number) in appends.into_iter().zip(0..) {
        let index = append.await.unwrap().index();
        if number % 2 == 0 {
            let heard = answers.recv().await.unwrap();
            assert_eq!((heard.index, &heard.entry.record), (index, &answer(number)));
            assert!(ledger.len() > index, "it is durable");
        }
    }
    assert!(answers.try_recv().is_err(), "nothing but answers");
}

#[test]
fn of_two_answers_to_one_ask_that_come_at_once_one_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let ask = append(&ledger, asked(append(&ledger, intent("deny", 1)), "b"));
    let Record::Answered(answer) = answered(ask, "b") else { unreachable!() };
    let first = ledger.answer(answer.clone(), now()).unwrap().unwrap().wait().unwrap().index();
    assert!(ledger.answer(answer.clone(), now()).unwrap().is_none());
    assert_eq!(ledger.len(), first + 1);
    let other = ledger::record::Answered { ask: ask + 100, ..answer };
    assert!(ledger.answer(other, now()).unwrap().is_some(), "to another ask");
}

#[tokio::test]
async fn an_outcome_nobody_waits_for_becomes_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let receipt = ledger.append(intent("permit", 1), now()).unwrap().await.unwrap();
    let expected = ledger.append(outcome(receipt.index()), now()).unwrap().index();
    ledger.length().wait_for(|length| *length > expected).await.unwrap();
    assert_eq!(ledger.read(expected).unwrap().entry.record, outcome(receipt.index()));
}

#[tokio::test]
async fn an_intent_in_its_writers_types_is_the_same_entry() {
    #[derive(serde::Serialize)]
    struct Action<'a> {
        tool: &'a str,
        arguments: f64,
    }
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let Record::Intent(plain) = intent("permit", 1) else { unreachable!() };
    let ledger::record::Intent { decision, snapshot, now: time, session, sequence, uses, payload, .. } = plain.clone();
    let action = Action { tool: "b/a", arguments: 1e21 };
    let own =
        ledger::record::Intent { action, decision: &decision, snapshot, now: time, session, sequence, uses, payload };
    let written = ledger.intend(&own, true, now()).unwrap().await.unwrap().index();
    let plain = ledger::record::Intent { action: json!({"tool": "b/a", "arguments": 1e21}), ..plain };
    assert_eq!(ledger.read(written).unwrap().entry.record, Record::Intent(plain));
    assert_eq!(ledger.open_intents(), [written]);

    // Whoever changes his mind about waiting has not undone it.
    let dropped = ledger.intend(&own, true, now()).unwrap();
    let expected = dropped.index() + 1;
    drop(dropped);
    ledger.length().wait_for(|length| *length >= expected).await.unwrap();
}

#[test]
fn an_entry_has_a_largest_size() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let Record::Intent(mut large) = intent("deny", 1) else { unreachable!() };
    large.action = json!("x".repeat(70_000));
    assert!(matches!(ledger.append(Record::Intent(large), now()), Err(AppendError::TooLarge { .. })));
}

#[test]
fn an_append_is_a_future_of_its_own() {
    fn is_send_future<T: std::future::Future + Send + 'static>(_: &T) {}
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let append = ledger.append(intent("deny", 1), now()).unwrap();
    is_send_future(&append);
    let mut boxed = Box::pin(append);
    _ = boxed.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
}

#[test]
fn unknown_members_survive() {
    let text = r#"{"ask":7,"future":{"b":[1,2],"a":null},"kind":"expired","time":"2026-01-02T03:04:05Z","v":1}"#;
    let entry: ledger::Entry = serde_json::from_str(text).unwrap();
    assert_eq!(entry.record, Record::Expired { ask: 7 });
    let bytes = ledger::canonical::to_vec(&entry).unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        r#"{"ask":7,"future":{"a":null,"b":[1,2]},"kind":"expired","time":"2026-01-02T03:04:05Z","v":1}"#
    );
}

#[test]
fn an_entry_is_read_while_its_bundle_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    ledger.seal().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for sequence in 0..100 {
                ledger.append(intent("permit", sequence), now()).unwrap().wait().unwrap();
                ledger.seal().unwrap();
            }
        });
        while !writer.is_finished() {
            assert_eq!(ledger.read(0).unwrap().index, 0);
        }
    });
}

//! What a decision rests on is what the log says of it, whatever the decision says of itself.

use ledger::Reader;
use ledger::record::Intent;
use policy::{Action, Snapshot, Source};
use serde::Deserialize as _;

use super::*;
use crate::replay::whatif::{Window, whatif};
use crate::replay::{Recomputation, Verdict, recompute};

async fn asks(world: &World, count: usize) -> Vec<(u64, Asked)> {
    let asked = |(index, record)| match record {
        Record::Asked(asked) => Some((index, asked)),
        _ => None,
    };
    let all = |records: Vec<_>| records.into_iter().filter_map(asked).collect::<Vec<_>>();
    world.once(|records| Some(all(records)).filter(|asks| asks.len() >= count)).await
}

/// A call that a person approves, and the same once more if he approves for the session.
async fn approved(scope: Scope) -> World {
    let world = World::new().await;
    let mut client = world.connect();
    let id = client.start("tools/call", json!({ "name": "write", "arguments": { "path": "a" } })).await;
    let (ask, asked) = world.asked().await;
    world.answer(ask, &asked.binding, true, scope);
    while client.read().await.unwrap()["id"] != id {}
    if scope == Scope::Session {
        assert!(client.call("write", json!({ "path": "a" })).await["result"]["isError"].is_null());
    }
    client.close().await;
    world.gateway.drain().await;
    world
}

fn reader(world: &World) -> Reader {
    world.ledger.seal().unwrap();
    Reader::open(&world.dir.path().join("ledger")).unwrap()
}

fn recomputed(world: &World) -> Recomputation {
    recompute(&reader(world)).unwrap()
}

/// The last call that was permitted with an approval.
fn permitted(world: &World) -> Intent {
    let mut found = world.records().into_iter().filter_map(|(_, record)| match record {
        Record::Intent(intent) if intent.uses.is_some() => Some(intent),
        _ => None,
    });
    found.next_back().unwrap()
}

fn forge(world: &World, intent: Intent, change: impl FnOnce(&mut Intent)) -> u64 {
    let mut forged = intent;
    change(&mut forged);
    world.ledger.append(Record::Intent(forged), jiff::Timestamp::now()).unwrap().wait().unwrap().index()
}

#[tokio::test]
async fn an_approval_that_nobody_gave_is_found() {
    for scope in [Scope::Once, Scope::Session] {
        let world = approved(scope).await;
        assert_eq!(recomputed(&world).faults, [], "{scope:?}");
        let good = permitted(&world);
        let ask = good.uses.unwrap();
        let forged = [
            forge(&world, good.clone(), |intent| {
                (intent.action["approval"]["entry"], intent.uses) = (json!(0), None);
            }),
            forge(&world, good.clone(), |intent| intent.uses = Some(ask - 1)),
            forge(&world, good.clone(), |intent| intent.action["approval"]["entry"] = json!(ask)),
            forge(&world, good.clone(), |intent| intent.action["approval"]["entry"] = json!(1_u64 << 40)),
            forge(&world, good.clone(), |intent| intent.action["approval"]["groups"] = json!(["write", "more"])),
            forge(&world, good.clone(), |intent| intent.action["arguments"]["path"] = json!("b")),
            forge(&world, good.clone(), |intent| intent.action["principal"]["user"] = json!("another")),
            forge(&world, good.clone(), |intent| intent.action["principal"]["session"] = json!("another")),
        ];
        let found = recomputed(&world);
        let entries: Vec<u64> = found.faults.iter().map(|fault| fault.entry).collect();
        assert_eq!(entries, forged, "{scope:?}: {found:?}");
        assert!(found.faults[5].message.contains("was about another call"), "{found:?}");
    }
}

#[tokio::test]
async fn an_ask_is_about_the_call_that_it_binds() {
    let world = approved(Scope::Once).await;
    let (ask, asked) = asks(&world, 1).await.remove(0);
    let calls = |permitted: bool| {
        let is =
            move |(_, record): &(u64, Record)| matches!(record, Record::Intent(it) if it.uses.is_some() == permitted);
        world.records().into_iter().find(is).unwrap().0
    };
    assert_eq!((recomputed(&world).faults, calls(false)), (vec![], asked.intent));
    let forge = |change: &dyn Fn(&mut Asked)| {
        let mut forged = asked.clone();
        change(&mut forged);
        world.ledger.append(Record::Asked(forged), jiff::Timestamp::now()).unwrap().wait().unwrap().index()
    };
    let forged = [
        forge(&|asked| asked.binding = "0".repeat(64)),
        forge(&|asked| asked.groups.push("more".to_owned())),
        forge(&|asked| asked.intent = calls(true)),
        forge(&|asked| asked.intent = ask),
        forge(&|asked| asked.intent = 1 << 40),
    ];
    let found = recomputed(&world).faults;
    assert_eq!(found.iter().map(|fault| fault.entry).collect::<Vec<_>>(), forged, "{found:?}");
    for (fault, text) in
        found.iter().zip(["binds another action", "asks for", "needs no approval", "is no call", "after it"])
    {
        assert!(fault.message.contains(text), "{text}: {fault:?}");
    }
}

/// Fractions, of which a reader of JSON may see a neighbour; and what is too large for an entry.
#[tokio::test]
async fn what_an_ask_binds_is_found_again_to_the_last_bit() {
    let world = World::new().await;
    let mut clients = Vec::new();
    let numbers = r#"[0.30000000000000004, 7.0420557077594588e-2, 3745574400595258.3, 1e21, -0.0, 9007199254740993]"#;
    for (count, path) in [(1, "a".to_owned()), (2, "x".repeat(80_000))] {
        let arguments = format!(r#"{{"path": "{path}", "numbers": {numbers}, "\ufb33": 1, "\ud83d\ude00": 2}}"#);
        let mut client = world.connect();
        client.start("tools/call", json!({ "name": "write", "arguments": from_str(&arguments) })).await;
        asks(&world, count).await;
        clients.push(client);
    }
    assert_eq!(recomputed(&world).faults, []);
    for client in clients {
        client.close().await;
    }
    world.gateway.drain().await;
    assert_eq!(recomputed(&world).faults, []);
}

fn from_str(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_decision_is_of_the_session_and_the_time_of_its_entry() {
    let world = approved(Scope::Once).await;
    let good = permitted(&world);
    let forged = [
        forge(&world, good.clone(), |intent| intent.session = "another".to_owned()),
        forge(&world, good, |intent| intent.now = jiff::Timestamp::UNIX_EPOCH),
    ];
    let found = recomputed(&world).faults;
    assert_eq!(found.iter().map(|fault| fault.entry).collect::<Vec<_>>(), forged, "{found:?}");
    assert!(
        found[0].message.contains("of session `another`") && found[1].message.contains("decided as of"),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_answer_that_was_a_refusal_approves_nothing() {
    let world = approved(Scope::Once).await;
    let good = permitted(&world);
    let ask = good.uses.unwrap();
    let Record::Asked(asked) = world.ledger.read(ask).unwrap().entry.record else { panic!("no ask") };
    let again = world.ledger.append(Record::Asked(asked.clone()), jiff::Timestamp::now()).unwrap().wait().unwrap();
    world.answer(again.index(), &asked.binding, false, Scope::Once);
    let answer = world.ledger.len() - 1;
    let forged = forge(&world, good, |intent| {
        (intent.action["approval"]["entry"], intent.uses) = (json!(answer), Some(again.index()));
    });
    let found = recomputed(&world).faults;
    assert!(found.len() == 1 && found[0].entry == forged, "{found:?}");
}

#[tokio::test]
async fn policies_that_were_never_announced_decide_nothing() {
    let world = approved(Scope::Once).await;
    let good = permitted(&world);
    let bytes = world.ledger.object(&good.snapshot).unwrap();
    let mut source: Source = serde_json::from_slice(&bytes).unwrap();
    source.policies = vec![("all.cedar".to_owned(), r#"@id("all") permit (principal, action, resource);"#.to_owned())];
    let id = world.ledger.put_object(&source.canonical()).unwrap();
    let (snapshot, _) = Snapshot::assemble(source).unwrap();
    let forged = forge(&world, good, |intent| {
        let mut action = Action::deserialize(&intent.action).unwrap();
        action.approval = None;
        intent.decision = serde_json::to_value(policy::decide(&snapshot, &action, intent.now)).unwrap();
        (intent.action, intent.uses) = (serde_json::to_value(action).unwrap(), None);
        intent.snapshot.clone_from(&id);
    });
    let found = recomputed(&world).faults;
    assert!(found.len() == 1 && found[0].entry == forged && found[0].message.contains("took effect"), "{found:?}");
}

#[tokio::test]
async fn what_was_erased_is_no_fault() {
    let world = World::new().await;
    let mut client = world.connect();
    client.call("read", json!({ "path": "x".repeat(80_000) })).await;
    client.close().await;
    world.gateway.drain().await;
    assert_eq!((recomputed(&world).decisions, recomputed(&world).erased), (1, 0));
    let subjects = world.records().into_iter().filter_map(|(_, record)| match record {
        Record::Intent(intent) => intent.payload.map(|payload| payload.subject),
        _ => None,
    });
    for subject in subjects {
        assert!(world.ledger.erase(&subject, jiff::Timestamp::now()).unwrap());
    }
    let found = recomputed(&world);
    assert_eq!((found.decisions, found.erased, found.faults), (0, 1, vec![]));
    let policies = vec![("all.cedar".to_owned(), "permit (principal, action, resource);".to_owned())];
    let found = whatif(&reader(&world), policies, &Window::default()).unwrap();
    assert_eq!((found.unknown.erased, found.unreadable), (1, vec![]));
}

#[tokio::test]
async fn asks_that_overlap_are_told_apart() {
    let world = World::new().await;
    let (mut one, mut two) = (world.connect(), world.connect());
    let first = one.start("tools/call", json!({ "name": "write", "arguments": { "path": "a" } })).await;
    asks(&world, 1).await;
    let second = two.start("tools/call", json!({ "name": "write", "arguments": { "path": "b" } })).await;
    for (ask, asked) in asks(&world, 2).await {
        world.answer(ask, &asked.binding, true, Scope::Once);
    }
    while one.read().await.unwrap()["id"] != first {}
    while two.read().await.unwrap()["id"] != second {}
    one.close().await;
    two.close().await;
    world.gateway.drain().await;
    assert_eq!(recomputed(&world).faults, []);
    let policies = vec![("all.cedar".to_owned(), r#"@id("all") permit (principal, action, resource);"#.to_owned())];
    let found = whatif(&reader(&world), policies, &Window::default()).unwrap();
    assert_eq!(found.flips.iter().map(|flip| (flip.kind.to, flip.count)).collect::<Vec<_>>(), [(Verdict::Permit, 2)]);
    assert_eq!((found.same, found.unknown.results_never_seen), (2, 0), "both were made in the end: {found:?}");
}

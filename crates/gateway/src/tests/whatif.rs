//! Approvals of people, carried into another world.

use super::*;
use crate::replay::Verdict;
use crate::replay::whatif::{WhatIf, Window, whatif};

/// A call that is asked, approved for the session and repeated; and one that is denied.
async fn recorded() -> World {
    let world = World::new().await;
    let mut client = world.connect();
    let id = client.start("tools/call", json!({ "name": "write", "arguments": { "path": "a" } })).await;
    let (ask, asked) = world.asked().await;
    world.answer(ask, &asked.binding, true, Scope::Session);
    while client.read().await.unwrap()["id"] != id {}
    assert!(client.call("write", json!({ "path": "a" })).await["result"]["isError"].is_null());
    client.call("delete", json!({ "path": "a" })).await;
    client.close().await;
    world.gateway.drain().await;
    world
}

fn run(world: &World, policy: &str) -> WhatIf {
    world.ledger.seal().unwrap();
    let log = ledger::Reader::open(&world.dir.path().join("ledger")).unwrap();
    let found = whatif(&log, vec![("other.cedar".to_owned(), policy.to_owned())], &Window::default()).unwrap();
    assert_eq!(found.unreadable, []);
    found
}

fn flips(found: &WhatIf) -> Vec<(Verdict, Verdict, &str, u64)> {
    found.flips.iter().map(|flip| (flip.kind.from, flip.kind.to, flip.kind.tool.as_str(), flip.count)).collect()
}

#[tokio::test]
async fn the_same_policies_flip_nothing() {
    let world = recorded().await;
    let found = run(&world, POLICY);
    assert_eq!((found.decisions, found.same, found.flips.len()), (5, 5, 0), "{found:?}");
}

#[tokio::test]
async fn what_is_no_longer_asked_is_one_flip_a_call_and_its_result_is_known() {
    let world = recorded().await;
    let found = run(&world, r#"@id("allow") permit (principal, action, resource);"#);
    assert_eq!(
        flips(&found),
        [(Verdict::Ask, Verdict::Permit, "files/write", 2), (Verdict::Deny, Verdict::Permit, "files/delete", 1)]
    );
    assert_eq!(found.unknown.results_never_seen, 1, "only that of the call that was denied: {found:?}");
}

#[tokio::test]
async fn what_a_person_approved_stays_approved_where_more_is_asked() {
    let world = recorded().await;
    // Everything is asked now: the approval of writing covers writing, and nobody was asked about the rest.
    let found = run(
        &world,
        r#"@id("allow") permit (principal, action, resource);
           @id("ask-all") @ask("write") forbid (principal, action in Action::"call_tool", resource);"#,
    );
    assert_eq!(flips(&found), [(Verdict::Deny, Verdict::Ask, "files/delete", 1)], "{found:?}");
    assert_eq!(found.unknown.answers_never_given, 1);
}

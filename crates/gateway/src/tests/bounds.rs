//! Mandates, budgets and breakers at a door: what is outside sends nothing, the last unit is taken once, a crash
//! forgets nothing, and everything can be recomputed and tried with other bounds.

use std::path::Path;

use policy::bounds::{Budget, Listed, Measure, Otherwise, Per};
use policy::{Action, Bounds, Effect, Mandate};

use super::*;
use crate::breaker::{Breakers, EVERYTHING, Standing, Trip};
use crate::budget::Accounts;
use crate::replay::whatif::{WhatIf, Window, whatif};
use crate::replay::{Proposal, Recompute, Verdict};

const ALL: &str = r#"@id("allow") permit (principal, action, resource);
@id("no-delete") @reason("Nothing is deleted here.") forbid (principal, action == Action::"files/delete", resource);"#;

fn budget(measure: Measure, limit: u64) -> Budget {
    let (file, line, per) = ("shop.toml".to_owned(), 7, Per::Day);
    Budget { file, line, measure, per, limit, each_user: false, tools: None, otherwise: Otherwise::Deny }
}

fn bounds(tools: &[&str], budgets: Vec<Budget>) -> Bounds {
    let items = tools.iter().map(|tool| (*tool).to_owned()).collect();
    let tools = Some(Listed { items, line: 5 });
    Bounds {
        mandates: vec![Mandate { name: "shop.toml".to_owned(), tools, budgets, ..Mandate::default() }],
        budgets: vec![],
    }
}

fn rules(policy: &str, bounds: Bounds) -> Rules {
    Rules { policies: vec![("test.cedar".to_owned(), policy.to_owned())], bounds, ..Rules::default() }
}

async fn world(policy: &str, bounds: Bounds) -> World {
    let (dir, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    World::start(dir, key, rules(policy, bounds), limits()).await.unwrap()
}

/// Every decision, made again from the ledger alone, is the same.
fn recomputes(world: &World) {
    let mut recompute = Recompute::new(|id: &str| world.ledger.object(id).map_err(|error| error.to_string()));
    for (entry, record) in world.records() {
        if let Record::Intent(intent) = record {
            recompute.add(entry, &intent);
        }
    }
    let found = recompute.finish();
    assert!(found.decisions > 0 && found.faults.is_empty(), "{found:?}");
}

fn tried(world: &World, bounds: Bounds) -> WhatIf {
    world.ledger.seal().unwrap();
    let log = ledger::Reader::open(&world.dir.path().join("ledger")).unwrap();
    let proposal = Proposal { policies: None, bounds: Some(bounds) };
    let found = whatif(&log, proposal, &Window::default()).unwrap();
    assert_eq!(found.unreadable, []);
    found
}

fn flips(found: &WhatIf) -> Vec<(Verdict, Verdict, &str, u64)> {
    found.flips.iter().map(|flip| (flip.kind.from, flip.kind.to, flip.kind.tool.as_str(), flip.count)).collect()
}

fn denied(answer: &Value) -> bool {
    answer["result"]["isError"] == true
}

#[tokio::test]
async fn a_call_outside_the_mandate_sends_no_byte() {
    let world = world(ALL, bounds(&["files/read"], vec![])).await;
    let mut client = world.connect();
    let listed = client.request("tools/list", json!({})).await.to_string();
    assert!(listed.contains("\"read\"") && !listed.contains("\"write\""), "what is outside is not shown: {listed}");
    assert!(!denied(&client.call("read", json!({ "path": "a" })).await));
    let answer = client.call("write", json!({ "path": "a" })).await;
    assert!(denied(&answer) && text(&answer).contains("`shop.toml` line 5"), "{answer}");
    client.close().await;
    assert_eq!(world.calls_seen(), ["read"]);
    recomputes(&world);
    let found = tried(&world, Bounds::default());
    assert_eq!(flips(&found), [(Verdict::Deny, Verdict::Permit, "files/write", 1)]);
    world.check().await;
}

/// Set far ahead and back, as by a server of time that was wrong, or by a few seconds over the end of a window.
#[tokio::test]
async fn a_clock_that_is_put_back_opens_no_window_anew_and_uses_up_no_later_one() {
    let minute = Budget { per: Per::Minute, ..budget(Measure::Calls, 3) };
    let world = world(ALL, bounds(&["*/*"], vec![minute])).await;
    let mut client = world.connect();
    client.call("read", json!({ "path": "a" })).await;
    client.close().await;
    let recorded = world.records().into_iter().find_map(|(_, record)| match record {
        Record::Intent(intent) => Some(intent.action),
        _ => None,
    });
    let mut action: Action = serde_json::from_value(recorded.unwrap()).unwrap();
    let force = world.gateway.shared().authority.law.force();
    let mut accounts = Accounts::default();
    let mut used = |second: i64| {
        let now = jiff::Timestamp::from_second(600_000 + second).unwrap();
        let uses = accounts.tell(&force.snapshot, (&mut action, |_: &Action| false), now);
        let used = uses.values().map(|used| used.used).sum::<u64>();
        accounts.take(uses, &Effect::Permit);
        used
    };
    assert_eq!((used(0), used(59)), (0, 1));
    assert_eq!((used(61), used(59), used(62)), (0, 1, 2), "the next window, a little back, and on");
    assert_eq!(used(2 * 86_400), 0, "far ahead");
    assert_eq!((used(63), used(64)), (4, 5), "what was used then counts now, and what was before");
    assert_eq!((used(121), used(122)), (0, 1), "and in no later window");
    assert_eq!((used(-86_400), used(123), used(124)), (2, 2, 3), "far back for a moment renews nothing");
    world.check().await;
}

#[tokio::test]
async fn of_many_calls_at_once_only_as_many_pass_as_the_budget_has() {
    let world = world(ALL, bounds(&["*/*"], vec![budget(Measure::Calls, 3)])).await;
    let mut clients: Vec<_> = (0..12).map(|_| world.connect()).collect();
    clients[0].request("tools/list", json!({})).await;
    for client in &mut clients {
        client.start("tools/call", json!({ "name": "read", "arguments": { "path": "a" } })).await;
    }
    let mut passed = 0;
    for client in &mut clients {
        let answer = loop {
            let line = client.read().await.unwrap();
            if line["result"]["content"].is_array() {
                break line;
            }
        };
        passed += usize::from(!denied(&answer));
        assert!(!denied(&answer) || text(&answer).contains("3 of 3 are used; free again at"), "{answer}");
    }
    for client in clients {
        client.close().await;
    }
    assert_eq!((passed, world.calls_seen().len()), (3, 3));
    recomputes(&world);
    world.check().await;
}

#[tokio::test]
async fn other_budgets_are_carried_forward_over_a_recorded_history() {
    let of = |limit| bounds(&["*/*"], vec![budget(Measure::Calls, limit)]);
    let world = world(ALL, of(3)).await;
    let mut client = world.connect();
    for count in 0..5 {
        let answer = client.call("read", json!({ "path": "a" })).await;
        assert_eq!(denied(&answer), count >= 3, "{answer}");
    }
    client.close().await;
    world.gateway.drain().await;
    recomputes(&world);
    assert_eq!(flips(&tried(&world, of(3))), []);
    assert_eq!(flips(&tried(&world, of(4))), [(Verdict::Deny, Verdict::Permit, "files/read", 1)]);
    assert_eq!(flips(&tried(&world, of(1))), [(Verdict::Permit, Verdict::Deny, "files/read", 2)]);
}

/// Copies what a gateway that runs has on disk. What it writes under another name first may be gone meanwhile.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &target),
            kind if kind.is_file() => match std::fs::copy(entry.path(), target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            },
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_crash_gives_no_budget_back() {
    let key = SigningKey::generate().unwrap();
    let of = || rules(ALL, bounds(&["*/*"], vec![budget(Measure::Calls, 2)]));
    let world = World::start(tempfile::tempdir().unwrap(), key.clone(), of(), limits()).await.unwrap();
    let mut client = world.connect();
    assert!(!denied(&client.call("read", json!({ "path": "a" })).await));
    // What the disk holds at this moment is all that the next process finds; nothing was drained. Nothing is written while
    // it is copied, which takes longer than a crash.
    tasks::ends(&world).await;
    world.ledger.seal().unwrap();
    let left = tempfile::tempdir().unwrap();
    copy(&world.dir.path().join("ledger"), &left.path().join("ledger"));
    client.close().await;
    let next = World::start(left, key, of(), limits()).await.unwrap();
    let mut client = next.connect();
    client.request("tools/list", json!({})).await;
    assert!(!denied(&client.call("read", json!({ "path": "b" })).await), "one is left");
    let answer = client.call("read", json!({ "path": "c" })).await;
    assert!(denied(&answer) && text(&answer).contains("2 of 2 are used"), "{answer}");
    client.close().await;
    recomputes(&next);
    next.check().await;
}

#[tokio::test]
async fn people_are_asked_only_so_often() {
    let asks =
        format!("{ALL}\n@id(\"ask\") @ask(\"write\") forbid (principal, action == Action::\"files/write\", resource);");
    let world = world(&asks, bounds(&["*/*"], vec![budget(Measure::Asks, 1)])).await;
    let mut client = world.connect();
    let id = client.start("tools/call", json!({ "name": "write", "arguments": { "path": "a" } })).await;
    let (ask, asked) = world.asked().await;
    world.answer(ask, &asked.binding, true, Scope::Session);
    while client.read().await.unwrap()["id"] != id {}
    assert!(!denied(&client.call("write", json!({ "path": "a" })).await), "nobody is asked again");
    let answer = client.call("write", json!({ "path": "b" })).await;
    assert!(denied(&answer) && text(&answer).contains("No person may be asked now."), "{answer}");
    client.close().await;
    recomputes(&world);
    world.check().await;
}

#[tokio::test]
async fn a_breaker_opens_by_itself_and_a_person_closes_it() {
    let trip = Trip { denials: Some(2), cool_down_seconds: 0, ..Trip::default() };
    let rules = Rules { trip, ..rules(ALL, Bounds::default()) };
    let (dir, key) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap());
    let world = World::start(dir, key, rules, limits()).await.unwrap();
    let mut client = world.connect();
    for path in ["a", "b"] {
        assert!(denied(&client.call("delete", json!({ "path": path })).await));
    }
    let answer = client.call("read", json!({ "path": "a" })).await;
    assert!(denied(&answer) && text(&answer).contains("This agent is stopped until a person resumes it"), "{answer}");
    assert_eq!(world.calls_seen(), [""; 0]);
    let authority = world.gateway.shared().authority.clone();
    assert_eq!(authority.breakers.reset("agent agent", ("ada", "seen"), &authority.journal), Ok(true));
    assert!(!denied(&client.call("read", json!({ "path": "a" })).await));
    client.close().await;
    let changed = |(_, record)| match record {
        Record::Breaker { of, state, by, .. } => Some((of, state, by)),
        _ => None,
    };
    let states: Vec<_> = world.records().into_iter().filter_map(changed).collect();
    let row = |state: &str, by: &str| ("agent agent".to_owned(), state.to_owned(), by.to_owned());
    assert_eq!(states, [row("opened", "gateway"), row("closed", "ada")]);
    recomputes(&world);
    world.check().await;
}

#[tokio::test]
async fn a_stop_survives_a_restart_and_a_cool_down_ends_it() {
    let key = SigningKey::generate().unwrap();
    let world = World::start(tempfile::tempdir().unwrap(), key.clone(), rules(ALL, Bounds::default()), limits());
    let world = world.await.unwrap();
    let authority = world.gateway.shared().authority.clone();
    let (since, by, because) = (jiff::Timestamp::now(), "ada".to_owned(), "odd".to_owned());
    let standing = Standing { otherwise: Otherwise::Deny, since, until: None, by, because };
    authority.breakers.set(EVERYTHING, standing.clone(), &authority.journal).unwrap();
    world.ledger.seal().unwrap();
    let left = tempfile::tempdir().unwrap();
    copy(world.dir.path(), left.path());
    let next = World::start(left, key, rules(ALL, Bounds::default()), limits()).await.unwrap();
    let mut client = next.connect();
    let answer = client.call("read", json!({ "path": "a" })).await;
    assert!(denied(&answer) && text(&answer).contains("Everything is stopped"), "{answer}");
    let authority = next.gateway.shared().authority.clone();
    let over = Standing { until: Some(since), ..standing };
    authority.breakers.set(EVERYTHING, over, &authority.journal).unwrap();
    assert!(!denied(&client.call("read", json!({ "path": "a" })).await), "its time is over");
    client.close().await;
    recomputes(&next);
    next.check().await;
}

fn standing(by: &str, until: Option<jiff::Timestamp>) -> Standing {
    let (since, because) = (jiff::Timestamp::UNIX_EPOCH, String::new());
    Standing { otherwise: Otherwise::Deny, since, until, by: by.to_owned(), because }
}

/// Also where another gateway has just stopped it, which this one has not looked at yet.
#[tokio::test]
async fn what_a_person_stopped_is_not_shortened_by_a_breaker_that_opens_by_itself() {
    let world = world(ALL, bounds(&["*/*"], vec![])).await;
    let journal = &world.gateway.shared().authority.journal;
    let path = world.dir.path().join("shared.json");
    let (one, other) = (Breakers::shared(path.clone()).unwrap(), Breakers::shared(path).unwrap());
    one.set("server files", standing("ada", None), journal).unwrap();
    other.trip("server files", standing("gateway", Some(jiff::Timestamp::MAX)), journal).unwrap();
    assert_eq!(other.list()["server files"], standing("ada", None));
    assert_eq!(one.list()["server files"], standing("ada", None));
    one.trip("agent agent", standing("gateway", Some(jiff::Timestamp::MAX)), journal).unwrap();
    assert_eq!(other.list().len(), 2);
}

#[tokio::test]
async fn a_stop_that_cannot_be_saved_holds_and_says_so() {
    let world = world(ALL, bounds(&["*/*"], vec![])).await;
    let journal = &world.gateway.shared().authority.journal;
    let breakers = Breakers::open(world.dir.path().join("nowhere/breakers.json")).unwrap();
    let said = breakers.set(EVERYTHING, standing("ada", None), journal).unwrap_err();
    assert!(said.contains("it is stopped") && said.contains("could not be saved"), "{said}");
    assert_eq!(breakers.list().len(), 1);
    assert!(breakers.reset(EVERYTHING, ("ada", "x"), journal).unwrap_err().contains("it goes on"));
}

#[test]
fn what_was_stopped_and_cannot_be_read_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("breakers.json"), "{").unwrap();
    assert!(crate::breaker::Breakers::open(dir.path().join("breakers.json")).is_err());
}

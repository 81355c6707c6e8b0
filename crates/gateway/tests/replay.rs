//! Recorded decisions are made again bit for bit, and a changed record is found.
#![allow(clippy::unwrap_used, reason = "a test may unwrap; clippy knows only `#[test]` functions as tests")]

use std::collections::{BTreeMap, BTreeSet};

use gateway::replay::Recompute;
use jiff::Timestamp;
use ledger::record::Intent;
use policy::{
    Action, Confidentiality, Door, EffectKind, Integrity, Labels, Principal, Request, SessionLabels, Snapshot, Source,
    ToolFacts, ToolId, Verb, decide, packs,
};
use serde_json::{Value, json};

fn source() -> Source {
    let schema = json!({ "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] });
    let tool = ToolFacts {
        id: ToolId { server: "fs".to_owned(), name: "read_file".to_owned() },
        input_schema: schema,
        effects: BTreeSet::from([EffectKind::Read]),
        reversible: true,
        open_world: false,
        roles: BTreeMap::new(),
        commands: BTreeMap::new(),
        results: BTreeMap::new(),
        readers: BTreeMap::new(),
        is_agent: false,
        pin: String::new(),
    };
    let policies = packs().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Source { policies, tools: vec![tool], ..Source::default() }
}

fn intent(snapshot: &Snapshot, session: &str, path: &str) -> Intent {
    let action = Action {
        principal: Principal {
            agent: "claude-code".to_owned(),
            user: "ada".to_owned(),
            session: session.to_owned(),
            delegation: vec![],
            evidence: BTreeMap::new(),
        },
        door: Door::McpStdio,
        verb: Verb::CallTool,
        tool: ToolId { server: "fs".to_owned(), name: "read_file".to_owned() },
        arguments: json!({ "path": path }),
        labels: Labels {
            arguments: vec![],
            request: Request::Unheard,
            session: SessionLabels {
                integrity: Integrity::Trusted,
                confidentiality: Confidentiality::Public,
                classes: BTreeSet::new(),
                steps: [].into(),
            },
        },
        facts: BTreeMap::new(),
        approval: None,
    };
    let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
    Intent {
        decision: serde_json::to_value(decide(snapshot, &action, now)).unwrap(),
        action: serde_json::to_value(action).unwrap(),
        snapshot: snapshot.id().0.clone(),
        now,
        session: session.to_owned(),
        sequence: 1,
        uses: None,
        payload: None,
    }
}

fn load(id: &str) -> Result<Vec<u8>, String> {
    (id == source().id().0).then(|| source().canonical()).ok_or_else(|| "absent".to_owned())
}

fn faults(change: impl FnOnce(&mut Intent)) -> Vec<String> {
    let (snapshot, _) = Snapshot::compile(source()).unwrap();
    let mut changed = intent(&snapshot, "s", "notes.txt");
    change(&mut changed);
    let mut recompute = Recompute::new(load);
    recompute.add(0, &intent(&snapshot, "s", "/home/a/.ssh/id_rsa"));
    recompute.add(1, &changed);
    let found = recompute.finish();
    assert_eq!(found.decisions, 2);
    assert!(found.faults.iter().all(|fault| fault.entry == 1));
    found.faults.into_iter().map(|fault| fault.message).collect()
}

#[test]
fn a_true_record_recomputes() {
    assert_eq!(faults(|_| {}), [] as [&str; 0]);
}

#[test]
fn a_changed_record_does_not() {
    let deny = |intent: &mut Intent| intent.decision["effect"] = json!({ "effect": "deny" });
    assert_eq!(faults(deny), ["recorded deny by [allow-reads], recomputed permit by [allow-reads]"]);
    let text = |intent: &mut Intent| intent.decision["reasons"][0]["text"] = json!("because");
    assert_eq!(faults(text).len(), 1);
    let errors = |intent: &mut Intent| intent.decision["errors"] = json!(["once"]);
    assert_eq!(faults(errors).len(), 1);
    let path = |intent: &mut Intent| intent.action["arguments"]["path"] = json!("~/.ssh/id_rsa");
    assert_eq!(faults(path), ["recorded permit by [allow-reads], recomputed deny by [deny-private-keys]"]);
    let action = |intent: &mut Intent| intent.action = Value::Null;
    assert_eq!(faults(action).len(), 1);
    let snapshot = |intent: &mut Intent| intent.snapshot = "0".repeat(64);
    assert!(faults(snapshot)[0].starts_with("snapshot 000"));
}

#[test]
fn an_exchanged_snapshot_is_found() {
    let (snapshot, _) = Snapshot::compile(source()).unwrap();
    let mut other = source();
    other.policies = vec![("all.cedar".to_owned(), "permit (principal, action, resource);".to_owned())];
    let mut recompute = Recompute::new(|_: &str| Ok(other.canonical()));
    recompute.add(0, &intent(&snapshot, "s", "a"));
    let found = recompute.finish().faults;
    assert!(found[0].message.contains("its source has the id"), "{found:?}");
}

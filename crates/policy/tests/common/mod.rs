//! Tools and actions for tests: the project's own, small, and readable at the call.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may unwrap; clippy knows only `#[test]` functions as tests")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use policy::action::Approved;
use policy::{
    Action, ArgumentLabel, Choice, Confidentiality, Decision, Door, Effect, EffectKind, Integrity, Label, Labels,
    Origin, Principal, Request, Role, SessionLabels, Snapshot, Source, ToolFacts, ToolId, Verb, packs,
};
use serde_json::{Value, json};

pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:30:00.125Z".parse().unwrap()
}

pub(crate) fn tool(name: &str, effects: &[EffectKind], input_schema: Value) -> ToolFacts {
    let (server, name) = name.split_once('/').unwrap();
    ToolFacts {
        id: ToolId { server: server.to_owned(), name: name.to_owned() },
        input_schema,
        effects: effects.iter().copied().collect(),
        reversible: true,
        open_world: false,
        roles: BTreeMap::new(),
        commands: BTreeMap::new(),
        results: BTreeMap::new(),
        readers: BTreeMap::new(),
        is_agent: false,
        pin: "0".repeat(64),
    }
}

pub(crate) fn tools() -> Vec<ToolFacts> {
    let path = json!({ "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] });
    let mail = json!({ "type": "object", "required": ["to"], "properties": {
        "to": { "type": "array", "items": { "type": "string" } },
        "body": { "type": "string" },
        "copies": { "type": "integer" },
    } });
    let pay = json!({ "type": "object", "required": ["amount"], "properties": {
        "amount": { "type": "number" }, "account": { "type": "string" },
    } });
    let command =
        json!({ "type": "object", "properties": { "command": { "type": "string" } }, "required": ["command"] });
    let url = json!({ "type": "object", "properties": { "url": { "type": "string" } }, "required": ["url"] });
    let mut all = vec![
        tool("fs/read_file", &[EffectKind::Read], path.clone()),
        tool(
            "fs/write_file",
            &[EffectKind::Write],
            json!({ "type": "object", "required": ["path"], "properties": {
            "path": { "type": "string" }, "content": { "type": "string" },
        } }),
        ),
        tool("mail/send", &[EffectKind::Send], mail),
        tool("bank/pay", &[EffectKind::Pay, EffectKind::Write], pay),
        tool("claude-code/Bash", &[EffectKind::Execute, EffectKind::Write], command),
        tool("web/fetch", &[EffectKind::Read], url),
    ];
    for tool in &mut all {
        tool.roles = [
            ("/path", Role::Path),
            ("/content", Role::Content),
            ("/to/*", Role::Recipient),
            ("/body", Role::Content),
            ("/command", Role::Command),
            ("/url", Role::Destination),
            ("/amount", Role::Amount),
            ("/account", Role::Account),
        ]
        .map(|(pointer, role)| (pointer.to_owned(), role))
        .into();
    }
    all
}

pub(crate) fn pack() -> Vec<(String, String)> {
    packs().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

pub(crate) fn compile(policies: &[(&str, &str)]) -> Snapshot {
    let policies = policies.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Snapshot::compile(Source { policies, tools: tools(), ..Source::default() }).unwrap().0
}

pub(crate) fn default_snapshot() -> Snapshot {
    let (snapshot, diagnostics) =
        Snapshot::compile(Source { policies: pack(), tools: tools(), ..Source::default() }).unwrap();
    assert_eq!(diagnostics, []);
    snapshot
}

/// A call whose every argument the user named.
pub(crate) fn call(tool: &str, arguments: Value) -> Action {
    let (server, name) = tool.split_once('/').unwrap();
    let roles =
        tools().into_iter().find(|facts| facts.id.to_string() == tool).map(|facts| facts.roles).unwrap_or_default();
    let mut labels = Vec::new();
    label_leaves(&arguments, String::new(), &roles, &mut labels);
    Action {
        principal: Principal {
            agent: "claude-code".to_owned(),
            user: "ada".to_owned(),
            session: "s1".to_owned(),
            delegation: vec![],
            evidence: BTreeMap::new(),
        },
        door: Door::McpStdio,
        verb: Verb::CallTool,
        tool: ToolId { server: server.to_owned(), name: name.to_owned() },
        arguments,
        labels: Labels {
            arguments: labels,
            request: Request::Named,
            session: SessionLabels {
                integrity: Integrity::Trusted,
                confidentiality: Confidentiality::Public,
                classes: BTreeSet::new(),
                steps: [].into(),
            },
        },
        facts: BTreeMap::new(),
        approval: None,
    }
}

fn label_leaves(value: &Value, at: String, roles: &BTreeMap<String, Role>, labels: &mut Vec<ArgumentLabel>) {
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(name, value)| label_leaves(value, format!("{at}/{name}"), roles, labels));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| label_leaves(value, format!("{at}/{index}"), roles, labels));
        }
        _ => {
            let star = at.rsplit_once('/').map(|(front, _)| format!("{front}/*")).unwrap_or_default();
            let role = roles.get(&at).or_else(|| roles.get(&star)).copied().unwrap_or(Role::Other);
            let origin = Origin { entry: None, source: "user".to_owned(), field: None };
            let label = Label {
                integrity: Integrity::Trusted,
                confidentiality: Confidentiality::Public,
                classes: BTreeSet::new(),
                origins: vec![origin],
            };
            labels.push(ArgumentLabel { pointer: at, role, named_by_user: true, choice: Choice::User, label });
        }
    }
}

/// The same call, its values written by a stranger.
pub(crate) fn tainted(mut action: Action) -> Action {
    for label in &mut action.labels.arguments {
        label.named_by_user = false;
        label.choice = Choice::Untrusted;
        label.label.integrity = Integrity::Anyone;
        label.label.origins = vec![Origin { entry: Some(3), source: "web/fetch".to_owned(), field: None }];
    }
    action
}

pub(crate) fn with_fact(mut action: Action, name: &str, value: Value) -> Action {
    action.facts.insert(name.to_owned(), value);
    action
}

pub(crate) fn approved(mut action: Action, groups: &[&str]) -> Action {
    action.approval = Some(Approved { entry: 9, groups: groups.iter().map(|group| (*group).to_owned()).collect() });
    action
}

/// Effect, policies and errors on one line each.
pub(crate) fn show(decision: &Decision) -> String {
    let effect = match &decision.effect {
        Effect::Permit => "permit".to_owned(),
        Effect::Deny => "deny".to_owned(),
        Effect::Ask { groups } => format!("ask {groups:?}"),
    };
    let reasons: Vec<_> = decision.reasons.iter().map(|reason| reason.policy.as_str()).collect();
    let errors: String = decision.errors.iter().map(|error| format!("\n! {error}")).collect();
    format!("{effect} {reasons:?}{errors}")
}

//! `decide` against a naive evaluator: every policy, every tool's entities, contexts from JSON, Cedar's own
//! authorizer one policy at a time, and the rule of combination written as plainly as it can be.
#![allow(clippy::unwrap_used, reason = "a test may unwrap; clippy knows only `#[test]` functions as tests")]

mod common;

use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::sync::LazyLock;

use cedar_policy::{Authorizer, Context, Decision as Answer, Entities, EntityUid, PolicySet, Request};
use common::{approved, call, now, tools};
use graph::{EntityId, EntityKind, Graph, guard};
use policy::{Action, Choice, Effect, Snapshot, Source, decide};
use proptest::prelude::*;
use serde_json::{Value, json};

const GROUPS: [&str; 2] = ["g", "h"];

/// One random policy: effect, group, principal, action, resource, condition.
fn rule() -> impl Strategy<Value = (bool, Option<&'static str>, &'static str, &'static str, &'static str, &'static str)>
{
    let principals = [
        "principal",
        "principal",
        "principal == Agent::\"claude-code\"",
        "principal in Agent::\"other\"",
        "principal is Agent",
    ];
    let actions = [
        "action",
        "action in Action::\"call_tool\"",
        "action in Action::\"write\"",
        "action in [Action::\"send\", Action::\"read\"]",
        "action == Action::\"mail/send\"",
        "action in [Action::\"mail/send\", Action::\"fs/write_file\"]",
    ];
    let resources = [
        "resource",
        "resource",
        "resource is Tool",
        "resource in Server::\"mail\"",
        "resource == Tool::\"fs/write_file\"",
    ];
    let conditions = [
        "true",
        "context.user == \"ada\"",
        "context.flow.untrusted.contains(\"recipient\")",
        "context.arguments has copies && context.arguments.copies > 1",
        // Overflows for some numbers of copies.
        "context.arguments has copies && context.arguments.copies * 4611686018427387904 > 0",
        "context.facts has shell && !context.facts.shell.parsed",
        "context.marks.contains(\"private_key\")",
        "context.now > datetime(\"2026-03-01\")",
        "resource.reversible",
        "resource.effects.contains(\"send\")",
        "context.seen.integrity == 0 && context.door == \"mcp_stdio\"",
        "principal == Agent::\"other\" || context.user == \"ada\"",
        "!(principal == Agent::\"other\" && context.arguments has copies)",
        "if principal == Agent::\"third\" then true else context.marks.contains(\"private_key\")",
        // May err before it comes to what is known.
        "context.arguments has copies && context.arguments.copies * 4611686018427387904 > 0 || true",
    ];
    (
        any::<bool>(),
        prop::option::of(prop::sample::select(&GROUPS[..])),
        prop::sample::select(principals.to_vec()),
        prop::sample::select(actions.to_vec()),
        prop::sample::select(resources.to_vec()),
        prop::sample::select(conditions.to_vec()),
    )
}

fn action() -> impl Strategy<Value = Action> {
    let calls = prop_oneof![
        Just(("fs/read_file", json!({ "path": "notes" }))),
        Just(("fs/read_file", json!({ "path": "~/.ssh/id_rsa" }))),
        Just(("fs/write_file", json!({ "path": "notes", "content": "x" }))),
        (0..4i64).prop_map(|copies| ("mail/send", json!({ "to": ["b@example.org"], "copies": copies }))),
        Just(("bank/pay", json!({ "amount": 1 }))),
        Just(("fs/unknown", json!({}))),
    ];
    let agent = prop::sample::select(&["claude-code", "other", "third"][..]);
    let choice = prop::sample::select(&[Choice::User, Choice::Untrusted][..]);
    let lifted = prop::option::of(prop::sample::subsequence(GROUPS.to_vec(), 0..=2));
    let shell = prop::option::of(any::<bool>());
    (calls, agent, choice, lifted, shell).prop_map(|((tool, arguments), agent, choice, lifted, shell)| {
        let mut action = call(tool, arguments);
        action.principal.agent = agent.to_owned();
        action.labels.arguments.iter_mut().for_each(|label| label.choice = choice);
        if let Some(parsed) = shell {
            action.facts.insert("shell".to_owned(), json!({ "parsed": parsed }));
        }
        match lifted {
            Some(groups) => approved(action, &groups),
            None => action,
        }
    })
}

/// What the naive evaluator knows of a policy.
struct Plain {
    id: String,
    forbids: bool,
    ask: Option<String>,
    text: String,
}

static ENTITIES: LazyLock<Entities> = LazyLock::new(entities);

fn entities() -> Entities {
    let mut all = Vec::new();
    for facts in tools() {
        let effects: Vec<_> = facts.effects.iter().map(|effect| serde_json::to_value(effect).unwrap()).collect();
        let tool = facts.id.to_string();
        let parents: Vec<Value> = effects
            .iter()
            .cloned()
            .chain([json!("call_tool")])
            .map(|id| json!({ "type": "Action", "id": id }))
            .collect();
        all.push(json!({ "uid": { "type": "Action", "id": tool }, "attrs": {}, "parents": parents }));
        all.push(json!({
            "uid": { "type": "Tool", "id": tool },
            "parents": [{ "type": "Server", "id": facts.id.server }],
            "attrs": { "server": facts.id.server, "name": facts.id.name, "effects": effects,
                "reversible": facts.reversible, "open_world": facts.open_world },
        }));
    }
    Entities::from_json_value(Value::Array(all), None).unwrap()
}

fn context(action: &Action) -> Context {
    let mut arguments = action.arguments.clone();
    if let Some(amount) = arguments.get_mut("amount") {
        *amount = json!({ "__extn": { "fn": "decimal", "arg": format!("{amount}.0") } });
    }
    let chosen = |choice| {
        let labels = action.labels.arguments.iter().filter(move |label| label.choice == choice);
        labels
            .map(|label| serde_json::to_value(label.role).unwrap().as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let marks =
        if action.arguments.to_string().contains(".ssh") { vec!["outside_project", "private_key"] } else { vec![] };
    let facts = match action.facts.get("shell") {
        Some(shell) => {
            json!({ "shell": { "parsed": shell["parsed"], "programs": [], "arguments": [], "reads": [], "writes": [], "hosts": [] } })
        }
        None => json!({}),
    };
    let json = json!({
        "user": action.principal.user, "session": action.principal.session, "door": "mcp_stdio", "delegation": [],
        "now": { "__extn": { "fn": "datetime", "arg": "2026-03-01T12:30:00.125Z" } },
        "arguments": arguments, "unlisted": [],
        "flow": { "untrusted": chosen(Choice::Untrusted), "invented": [], "delegated": [], "request": "named", "confidentiality": 0, "classes": [], "exceeds": false, "cleared": false },
        "seen": { "integrity": 0, "confidentiality": 0, "classes": [] },
        "marks": marks, "facts": facts,
    });
    Context::from_json_value(json, None).unwrap()
}

/// Effect, ids of the reasons, and ids of the policies that failed.
fn reference(policies: &[Plain], action: &Action) -> (Effect, Vec<String>, Vec<String>) {
    if !tools().iter().any(|facts| facts.id == action.tool) {
        return (Effect::Deny, vec![], vec![String::new()]);
    }
    let uid = |kind: &str, id: &str| EntityUid::from_str(&format!("{kind}::{id:?}")).unwrap();
    let tool = action.tool.to_string();
    let principal = uid("Agent", &action.principal.agent);
    let request = Request::new(principal, uid("Action", &tool), uid("Tool", &tool), context(action), None).unwrap();
    let (mut permits, mut hard, mut asks, mut failed) = (vec![], vec![], vec![], vec![]);
    for policy in policies {
        // A forbid alone never says whether it matched, so every policy is asked as a permit.
        let text = policy.text.replacen("forbid", "permit", 1);
        let response = Authorizer::new().is_authorized(&request, &PolicySet::from_str(&text).unwrap(), &ENTITIES);
        let matched = response.decision() == Answer::Allow;
        if response.diagnostics().errors().next().is_some() {
            failed.push(policy.id.clone());
        } else if matched && !policy.forbids {
            permits.push(policy.id.clone());
        } else if matched {
            match &policy.ask {
                Some(group) if action.approval.as_ref().is_some_and(|approval| approval.groups.contains(group)) => {}
                Some(group) => asks.push((policy.id.clone(), group.clone())),
                None => hard.push(policy.id.clone()),
            }
        }
    }
    let mut forbids: Vec<String> = hard.iter().cloned().chain(asks.iter().map(|(id, _)| id.clone())).collect();
    forbids.sort();
    if !failed.is_empty() || permits.is_empty() || !hard.is_empty() {
        return (Effect::Deny, forbids, failed);
    }
    if asks.is_empty() {
        return (Effect::Permit, permits, failed);
    }
    let groups: BTreeSet<String> = asks.into_iter().map(|(_, group)| group).collect();
    (Effect::Ask { groups: groups.into_iter().collect() }, forbids, failed)
}

/// Every agent and tool, with what is stopped of it whatever a call carries.
fn estate(snapshot: &Snapshot) -> Graph {
    let servers = ["fs", "mail", "bank"].map(|server| format!("server {server} protected=true\n"));
    let uses = ["claude-code", "other", "third"]
        .into_iter()
        .flat_map(|agent| ["fs", "mail", "bank"].map(|server| format!("agent {agent} client={agent} uses {server}\n")));
    let offers = tools().into_iter().map(|facts| {
        let (server, tool) = (facts.id.server, facts.id.name);
        format!("server {server} offers tool {server}/{tool} name={tool}\n")
    });
    let mut graph = graph::text::parse(&servers.into_iter().chain(uses).chain(offers).collect::<String>()).unwrap();
    policy::guard(&mut graph, snapshot);
    graph
}

fn guarded(graph: &Graph, action: &Action, tool: Option<&str>) -> Option<guard::Effect> {
    let at = |kind, key: &str| graph.index(&EntityId::new(kind, key));
    let server = &action.tool.server;
    let tool = tool.and_then(|tool| at(EntityKind::Tool, &format!("{server}/{tool}")));
    let agent = at(EntityKind::Agent, &action.principal.agent)?;
    guard::before(graph, agent, at(EntityKind::Server, server)?, tool).map(|guard| guard.effect)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn decisions_are_those_of_the_naive_evaluator(
        rules in prop::collection::vec(rule(), 0..7),
        actions in prop::collection::vec(action(), 1..6),
    ) {
        let policies: Vec<Plain> = rules
            .into_iter()
            .enumerate()
            .map(|(number, (forbids, ask, principal, action, resource, condition))| {
                let ask = ask.filter(|_| forbids);
                // A tool's attributes are there for every request here, but only for calls to the validator.
                let action = if condition.starts_with("resource") && action == "action" { "action in Action::\"call_tool\"" } else { action };
                let effect = if forbids { "forbid" } else { "permit" };
                let text = format!("{effect} ({principal}, {action}, {resource}) when {{ {condition} }};");
                Plain { id: format!("p{number}"), forbids, ask: ask.map(str::to_owned), text }
            })
            .collect();
        let annotated: String = policies
            .iter()
            .map(|policy| {
                let ask = policy.ask.as_ref().map(|group| format!("@ask(\"{group}\")")).unwrap_or_default();
                format!("@id(\"{}\") {ask} {}\n", policy.id, policy.text)
            })
            .collect();
        let source = Source { policies: vec![("rules.cedar".to_owned(), annotated)], tools: tools(), ..Source::default() };
        let compiled = Snapshot::compile(source);
        // Some scopes contradict each other (`mail/send` on another tool): the linter refuses those.
        prop_assume!(compiled.is_ok());
        let (snapshot, _) = compiled.unwrap();
        let estate = estate(&snapshot);
        for action in actions {
            let guarded = |tool: Option<&str>| guarded(&estate, &action, tool);
            let strictest = guarded(Some(&action.tool.name)).max(guarded(None));
            let alone = Action { approval: None, ..action.clone() };
            match strictest {
                Some(guard::Effect::Denies) => prop_assert_eq!(decide(&snapshot, &action, now()).effect, Effect::Deny),
                Some(guard::Effect::Asks) => prop_assert_ne!(decide(&snapshot, &alone, now()).effect, Effect::Permit),
                None => {}
            }
            let decision = decide(&snapshot, &action, now());
            prop_assert_eq!(&decision, &decide(&snapshot, &action, now()));
            let (effect, reasons, failed) = reference(&policies, &action);
            prop_assert_eq!(decision.effect, effect);
            prop_assert_eq!(decision.reasons.into_iter().map(|reason| reason.policy).collect::<Vec<_>>(), reasons);
            prop_assert_eq!(decision.errors.len(), failed.len());
            for (error, id) in decision.errors.iter().zip(failed.iter().filter(|id| !id.is_empty())) {
                prop_assert!(error.starts_with(&format!("policy `{id}`: ")), "{}", error);
            }
        }
    }
}

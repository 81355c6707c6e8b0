//! What is stopped whatever a call carries. That nothing else is said to be stopped `reference.rs` tests.
#![allow(clippy::unwrap_used, reason = "a test may unwrap; clippy knows only `#[test]` functions as tests")]

mod common;

use common::tools;
use graph::guard;
use policy::bounds::{Listed, Otherwise};
use policy::{Bounds, Mandate, Snapshot, Source, ToolId, denied_beforehand, packs};

const ALLOW: &str = "@id(\"allow\") permit (principal, action, resource);\n";

/// What is stopped for `claude-code`, a line each.
fn guards(policies: &str, mandates: Vec<Mandate>) -> String {
    let bounds = Bounds { mandates, ..Bounds::default() };
    let source = Source { policies: vec![("p.cedar".to_owned(), policies.to_owned())], bounds, tools: tools() };
    let (snapshot, _) = Snapshot::assemble(source).unwrap();
    // `mail/new` was never seen by the gateway.
    let estate = "agent a client=claude-code uses fs\na uses mail\nserver fs protected=true\nserver mail protected=true\n\
        fs offers tool fs/write_file name=write_file\nmail offers tool mail/send name=send\nmail offers tool mail/new name=new";
    let mut graph = graph::text::parse(estate).unwrap();
    policy::guard(&mut graph, &snapshot);
    let name = |at: u32| graph.entity(at).unwrap().name.clone();
    let lines = guard::all(&graph).flat_map(|(relation, guards)| {
        let server = name(relation.to);
        guards.into_iter().map(move |guard| {
            let policy = guard.policy.unwrap_or_default();
            format!("{:?} {server}/{} {policy}", guard.effect, guard.tool.as_deref().unwrap_or("*"))
                .trim_end()
                .to_owned()
        })
    });
    lines.collect::<Vec<_>>().join("; ")
}

#[test]
fn what_no_call_can_get_past_is_stopped() {
    for (policies, expected) in [
        (ALLOW, ""),
        ("", "Denies fs/*; Denies mail/*"),
        ("permit (principal == Agent::\"other\", action, resource);", "Denies fs/*; Denies mail/*"),
        // A permit that may hold.
        ("permit (principal, action in Action::\"read\", resource);", "Denies fs/write_file; Denies mail/send"),
        (
            "permit (principal, action == Action::\"mail/send\", resource) when { context.user == \"ada\" };",
            "Denies fs/*; Denies mail/new",
        ),
        ("permit (principal, action, resource in Server::\"mail\");", "Denies fs/*"),
        (
            "permit (principal, action in [Action::\"list_tool\", Action::\"list_roots\"], resource);",
            "Denies fs/*; Denies mail/*",
        ),
    ] {
        assert_eq!(guards(policies, Vec::new()), expected, "{policies}");
    }
    for (forbid, expected) in [
        ("forbid (principal, action, resource in Server::\"mail\");", "Denies mail/* `x` (p.cedar:2)"),
        (
            "forbid (principal == Agent::\"claude-code\", action in Action::\"call_tool\", resource in Server::\"mail\");",
            "Denies mail/new `x` (p.cedar:2); Denies mail/send `x` (p.cedar:2)",
        ),
        ("forbid (principal == Agent::\"other\", action, resource);", ""),
        // What the gateway never saw may have any effect.
        ("forbid (principal, action in Action::\"send\", resource);", "Denies mail/send `x` (p.cedar:2)"),
        ("forbid (principal, action == Action::\"mail/new\", resource);", "Denies mail/new `x` (p.cedar:2)"),
        (
            "forbid (principal, action, resource is Tool) when { resource.effects.contains(\"send\") };",
            "Denies mail/send `x` (p.cedar:2)",
        ),
        (
            "forbid (principal, action in Action::\"send\", resource) when { context.flow.untrusted.contains(\"recipient\") };",
            "",
        ),
        ("forbid (principal, action in Action::\"send\", resource) unless { context.user == \"ada\" };", ""),
        (
            "forbid (principal, action in Action::\"send\", resource) when { true || context.user == \"ada\" };",
            "Denies mail/send `x` (p.cedar:2)",
        ),
        ("@ask(\"mail\") forbid (principal, action in Action::\"send\", resource);", "Asks mail/send `x` (p.cedar:2)"),
    ] {
        assert_eq!(guards(&format!("{ALLOW}@id(\"x\") {forbid}"), Vec::new()), expected, "{forbid}");
    }
}

#[test]
fn a_tool_is_denied_beforehand_where_no_call_of_it_can_pass() {
    for (rule, expected) in [
        ("forbid (principal, action == Action::\"mail/send\", resource);", true),
        ("forbid (principal == Agent::\"claude-code\", action in Action::\"send\", resource);", true),
        ("forbid (principal == Agent::\"other\", action == Action::\"mail/send\", resource);", false),
        ("forbid (principal, action == Action::\"fs/write_file\", resource);", false),
        ("forbid (principal, action == Action::\"mail/send\", resource) when { context.user == \"ada\" };", false),
        ("@ask(\"mail\") forbid (principal, action == Action::\"mail/send\", resource);", false),
    ] {
        let policies = vec![("p.cedar".to_owned(), format!("{ALLOW}@id(\"x\") {rule}"))];
        let (snapshot, _) = Snapshot::assemble(Source { policies, tools: tools(), ..Source::default() }).unwrap();
        let denied = |name: &str| {
            let tool = ToolId { server: "mail".to_owned(), name: name.to_owned() };
            denied_beforehand(&snapshot, "claude-code", &tool)
        };
        assert_eq!(denied("send"), expected, "{rule}");
        assert!(denied("unheard_of"), "{rule}");
    }
}

#[test]
fn what_a_mandate_does_not_name_is_stopped_as_the_mandate_says() {
    let mandate = |otherwise, tools: &[&str]| Mandate {
        agents: vec!["claude-code".to_owned()],
        tools: Some(Listed { items: tools.iter().map(|tool| (*tool).to_owned()).collect(), line: 3 }),
        otherwise,
        ..Mandate::default()
    };
    let shipped: String = packs().iter().map(|(_, text)| *text).collect();
    for (policies, denies, asks) in [
        (ALLOW, "`mandate`", "`mandate`"),
        (&shipped, "`deny-outside-mandate`", "`ask-outside-mandate`"),
        // A rule that speaks of mandates and lets this through.
        (
            &format!(
                "{ALLOW}forbid (principal, action, resource) when {{ context has mandate && context.mandate.denies.contains(\"data\") }};"
            ),
            "",
            "",
        ),
    ] {
        for (otherwise, word, policy) in [(Otherwise::Deny, "Denies", denies), (Otherwise::Ask, "Asks", asks)] {
            let told = guards(policies, vec![mandate(otherwise, &["mail/se*"])]);
            let told: Vec<&str> = told.split("; ").map(|guard| guard.split(" (").next().unwrap()).collect();
            let expected = ["fs/*", "mail/new"].map(|what| format!("{word} {what} {policy}"));
            let expected = if policy.is_empty() { vec![String::new()] } else { expected.into() };
            assert_eq!(told, expected, "{policies}");
        }
    }
    let other = Mandate { agents: vec!["other".to_owned()], ..mandate(Otherwise::Deny, &[]) };
    assert_eq!(guards(ALLOW, vec![other]), "");
}

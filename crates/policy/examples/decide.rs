//! What a decision costs, on one core: `cargo run --release -p policy --example decide`.
//!
//! The default pack alone, and with 10, 1,000 and 10,000 further policies that name other agents.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use policy::{
    Action, ArgumentLabel, Choice, Confidentiality, Door, EffectKind, Integrity, Label, Labels, Origin, Principal,
    Request, Role, SessionLabels, Snapshot, Source, ToolFacts, ToolId, Verb, decide, packs,
};
use serde_json::json;

const ROUNDS: usize = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = "2026-03-01T12:30:00Z".parse()?;
    for further in [0, 10, 1_000, 10_000] {
        let start = Instant::now();
        let source = Source { policies: policies(further), tools: vec![write_file()], ..Source::default() };
        let snapshot = Snapshot::compile(source).map_err(|diagnostics| format!("{diagnostics:?}"))?.0;
        let compiled = start.elapsed();
        let actions: Vec<Action> = (0..64).map(action).collect();
        decide(&snapshot, actions.first().ok_or("no action")?, now);
        let mut times: Vec<u128> = (0..ROUNDS)
            .filter_map(|round| actions.get(round % actions.len()))
            .map(|action| {
                let start = Instant::now();
                std::hint::black_box(decide(&snapshot, action, now));
                start.elapsed().as_nanos()
            })
            .collect();
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default() as f64 / 1000.0;
        let mean = times.iter().sum::<u128>() as f64 / times.len() as f64 / 1000.0;
        println!(
            "{:>6} policies: mean {mean:.1} µs, p50 {:.1} µs, p99 {:.1} µs; compiled in {:.0} ms",
            snapshot.policies(),
            at(50),
            at(99),
            compiled.as_secs_f64() * 1000.0
        );
    }
    Ok(())
}

fn policies(further: usize) -> Vec<(String, String)> {
    let text: String = (0..further)
        .map(|n| {
            format!(
                "@id(\"further-{n}\") permit (principal == Agent::\"agent-{n}\", action in Action::\"write\", resource)\n\
                 when {{ context.user == \"ada\" && context.seen.integrity < 3 }};\n"
            )
        })
        .collect();
    let packs = packs().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    packs.chain([("further.cedar".to_owned(), text)]).collect()
}

fn write_file() -> ToolFacts {
    ToolFacts {
        id: ToolId { server: "fs".to_owned(), name: "write_file".to_owned() },
        input_schema: json!({ "type": "object", "required": ["path", "content"], "properties": {
            "path": { "type": "string" }, "content": { "type": "string" }, "mode": { "type": "integer" },
        } }),
        effects: BTreeSet::from([EffectKind::Write]),
        reversible: false,
        open_world: false,
        roles: BTreeMap::from([("/path".to_owned(), Role::Path), ("/content".to_owned(), Role::Content)]),
        commands: BTreeMap::new(),
        results: BTreeMap::new(),
        readers: BTreeMap::new(),
        is_agent: false,
        pin: String::new(),
    }
}

fn action(n: usize) -> Action {
    let label = |pointer: &str, role| ArgumentLabel {
        pointer: pointer.to_owned(),
        role,
        named_by_user: true,
        choice: Choice::User,
        label: Label {
            integrity: Integrity::Trusted,
            confidentiality: Confidentiality::Internal,
            classes: BTreeSet::new(),
            origins: vec![Origin { entry: None, source: "user".to_owned(), field: None }],
        },
    };
    Action {
        principal: Principal {
            agent: "claude-code".to_owned(),
            user: "ada".to_owned(),
            session: format!("session-{n}"),
            delegation: vec![],
            evidence: BTreeMap::new(),
        },
        door: Door::McpStdio,
        verb: Verb::CallTool,
        tool: ToolId { server: "fs".to_owned(), name: "write_file".to_owned() },
        arguments: json!({ "path": format!("/home/ada/project/src/file-{n}.rs"), "content": "fn main() {}\n".repeat(20), "mode": 420 }),
        labels: Labels {
            arguments: vec![label("/content", Role::Content), label("/mode", Role::Other), label("/path", Role::Path)],
            request: Request::Named,
            session: SessionLabels {
                integrity: Integrity::ThirdParty,
                confidentiality: Confidentiality::Internal,
                classes: BTreeSet::new(),
                steps: [].into(),
            },
        },
        facts: BTreeMap::from([("paths".to_owned(), json!([format!("/home/ada/project/src/file-{n}.rs")]))]),
        approval: None,
    }
}

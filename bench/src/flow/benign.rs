//! Chat transcripts without attacks (OpenAI messages, arguments as JSON in strings): what is asked or denied
//! here is asked or denied for nothing. No schemas lie beside them; tools are known by name and arguments only.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use gateway::label::Session;
use gateway::tools::observed;
use policy::ToolFacts;
use serde_json::{Value, json};

use super::Policy;
use super::replay::Verdict;

pub(crate) fn run(path: &Path, cases: bool) -> anyhow::Result<()> {
    let runs: Vec<Value> = serde_json::from_slice(&super::traces::bytes(path)?)?;
    let tools = tools(&runs);
    let policy = Policy::of(tools.values().cloned())?;
    let (mut touched, mut calls, mut changes, mut asked) = (0, 0, 0, 0);
    for (at, run) in runs.iter().enumerate() {
        let stopped = replay(run, &tools, &policy)?;
        touched += usize::from(stopped.iter().any(|(_, verdict)| *verdict != Verdict::Permit));
        calls += stopped.len();
        changes += stopped.iter().filter(|(tool, _)| tools.get(tool).is_some_and(changes_something)).count();
        asked += stopped.iter().filter(|(_, verdict)| *verdict != Verdict::Permit).count();
        for (tool, verdict) in stopped.iter().filter(|(_, verdict)| cases && *verdict != Verdict::Permit) {
            println!("  run {at} {tool}: {verdict:?}");
        }
    }
    println!(
        "\nbenign transcripts: {touched}/{} runs with an Ask or Deny; {asked} of {calls} calls ({changes} of them change something)",
        runs.len()
    );
    Ok(())
}

fn changes_something(facts: &ToolFacts) -> bool {
    facts.effects.iter().any(|effect| *effect != policy::EffectKind::Read)
}

fn replay(run: &Value, tools: &BTreeMap<String, ToolFacts>, policy: &Policy) -> anyhow::Result<Vec<(String, Verdict)>> {
    let mut session = Session::default();
    let mut verdicts = Vec::new();
    let mut open: BTreeMap<String, (String, u64)> = BTreeMap::new();
    for message in messages(run) {
        let content = message.get("content").and_then(Value::as_str);
        match message.get("role").and_then(Value::as_str) {
            Some("user") => session.user_says(content.unwrap_or_default(), None),
            Some("tool") => {
                let id = message.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
                let Some((tool, entry)) = open.remove(id) else { continue };
                let facts = tools.get(&tool).context("a result of an unknown tool")?;
                session.result(facts, entry, &json!(content.unwrap_or_default()));
            }
            _ => {}
        }
        for (id, tool, arguments) in calls(message) {
            let facts = tools.get(&tool).context("a call of an unknown tool")?;
            let labels = session.labels(facts, &arguments);
            let entry = verdicts.len() as u64 + 1;
            let verdict = policy.judge(facts, &arguments, &labels)?;
            session.called(facts, entry, &arguments);
            verdicts.push((tool.clone(), verdict));
            open.insert(id, (tool, entry));
        }
    }
    Ok(verdicts)
}

fn messages(run: &Value) -> impl Iterator<Item = &Value> {
    run.get("traj").and_then(Value::as_array).into_iter().flatten()
}

fn calls(message: &Value) -> Vec<(String, String, Value)> {
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let read = |call: &Value| {
        let name = call.pointer("/function/name")?.as_str()?.to_owned();
        let arguments = serde_json::from_str(call.pointer("/function/arguments")?.as_str()?).ok()?;
        Some((call.get("id")?.as_str()?.to_owned(), name, arguments))
    };
    calls.filter_map(read).collect()
}

/// Tools by the names and arguments that occur.
fn tools(runs: &[Value]) -> BTreeMap<String, ToolFacts> {
    let calls: Vec<_> = runs.iter().flat_map(messages).flat_map(calls).collect();
    let facts = observed(calls.iter().map(|(_, tool, arguments)| ("transcript", tool.as_str(), arguments)));
    facts.into_iter().map(|facts| (facts.id.name.clone(), facts)).collect()
}

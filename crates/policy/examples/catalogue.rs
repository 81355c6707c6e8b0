//! Compiles the default pack with the tool definitions in JSON-lines files (`{"server": …, "tool": {"name": …,
//! "inputSchema": …}}`) and says what could not be expressed: `cargo run -p policy --example catalogue -- FILE…`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use policy::{EffectKind, Snapshot, Source, ToolFacts, ToolId, packs};
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut tools = BTreeMap::new();
    for path in std::env::args().skip(1) {
        for line in std::fs::read_to_string(path)?.lines().filter(|line| !line.is_empty()) {
            if let Some(facts) = facts(&serde_json::from_str(line)?) {
                tools.insert(facts.id.clone(), facts);
            }
        }
    }
    let tools: Vec<_> = tools.into_values().collect();
    let policies = packs().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let (count, start) = (tools.len(), Instant::now());
    let compiled = Snapshot::compile(Source { policies, tools, ..Source::default() });
    println!("{count} tools, compiled in {:.0} ms", start.elapsed().as_secs_f64() * 1000.0);
    let (refused, diagnostics) = match compiled {
        Ok((_, diagnostics)) => (false, diagnostics),
        Err(diagnostics) => (true, diagnostics),
    };
    for found in &diagnostics {
        println!("{}: {} ({})", found.file, found.message, found.hint.as_deref().unwrap_or("no hint"));
    }
    println!("{} complaints{}", diagnostics.len(), if refused { ", refused" } else { "" });
    Ok(())
}

fn facts(line: &Value) -> Option<ToolFacts> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let tool = line.get("tool")?;
    Some(ToolFacts {
        id: ToolId { server: text(line.get("server"))?, name: text(tool.get("name"))? },
        input_schema: tool.get("inputSchema").cloned().unwrap_or(Value::Null),
        effects: BTreeSet::from([EffectKind::Read]),
        reversible: false,
        open_world: true,
        roles: BTreeMap::new(),
        commands: BTreeMap::new(),
        results: BTreeMap::new(),
        readers: BTreeMap::new(),
        is_agent: false,
        pin: String::new(),
    })
}

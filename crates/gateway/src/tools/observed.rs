//! Facts of tools of which only calls are known: their names, and the arguments that they were called with.

use std::collections::BTreeMap;

use policy::{ToolFacts, ToolId};
use serde_json::{Map, Value, json};

use super::infer::infer;

/// How deep arguments are read.
const DEPTH_MAX: usize = 8;

/// Facts from calls: server, tool and arguments of each.
pub fn observed<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str, &'a Value)>) -> Vec<ToolFacts> {
    let mut tools: BTreeMap<ToolId, Map<String, Value>> = BTreeMap::new();
    for (server, name, arguments) in calls {
        let properties = tools.entry(ToolId { server: server.to_owned(), name: name.to_owned() }).or_default();
        for (name, value) in arguments.as_object().into_iter().flatten() {
            properties.entry(name.clone()).or_insert_with(|| schema(value, 0));
        }
    }
    let facts = |(id, properties): (ToolId, Map<String, Value>)| {
        let schema = json!({"type": "object", "properties": properties});
        infer(&id.server, &json!({"name": id.name, "inputSchema": schema}), "observed".to_owned())
    };
    tools.into_iter().map(facts).collect()
}

/// A schema that says no more than which names there are: a tool may take other types than it was seen to take.
fn schema(value: &Value, depth: usize) -> Value {
    match value {
        _ if depth >= DEPTH_MAX => json!({}),
        Value::Object(object) => {
            let properties = object.iter().map(|(name, value)| (name.clone(), schema(value, depth + 1)));
            json!({"type": "object", "properties": properties.collect::<Map<_, _>>()})
        }
        Value::Array(items) => {
            json!({"type": "array", "items": items.first().map_or_else(|| json!({}), |item| schema(item, depth + 1))})
        }
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use policy::Role;

    use super::*;

    #[test]
    fn names_of_arguments_are_enough_for_roles() {
        let calls = [json!({"to": ["a"], "text": "x"}), json!({"to": [], "cc": "b"})];
        let facts = observed(calls.iter().map(|arguments| ("mail", "send_mail", arguments)));
        let roles = facts.first().map(|facts| (facts.roles.get("/to/*"), facts.roles.get("/cc")));
        assert_eq!(roles, Some((Some(&Role::Recipient), Some(&Role::Recipient))));
    }
}

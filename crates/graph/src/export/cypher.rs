//! The graph as Cypher statements, for Neo4j, Memgraph and their like. Loading twice gives the same graph.

use std::fmt::Write as _;

use serde_json::Value;

use super::Report;
use super::opengraph::pascal;
use crate::observation::{Evidence, Props};

/// One statement a line.
pub fn cypher(report: &Report) -> String {
    let graph = &report.graph;
    let mut text =
        String::from("CREATE CONSTRAINT bailiwick_id IF NOT EXISTS FOR (n:Bailiwick) REQUIRE n.id IS UNIQUE;\n");
    for entity in graph.entities() {
        let _ = writeln!(
            text,
            "MERGE (n:Bailiwick {{id: {}}}) SET n:{}, n += {{name: {}, at: {}{}}};",
            quoted(&entity.id.to_string()),
            pascal(entity.id.kind.as_str()),
            quoted(&entity.name),
            places(&entity.evidence),
            plain(&entity.props)
        );
    }
    for relation in graph.relations() {
        let id = |at: u32| graph.entity(at).map_or_else(String::new, |entity| quoted(&entity.id.to_string()));
        let _ = writeln!(
            text,
            "MATCH (a:Bailiwick {{id: {}}}), (b:Bailiwick {{id: {}}}) MERGE (a)-[r:{}]->(b) SET r += {{at: {}{}}};",
            id(relation.from),
            id(relation.to),
            relation.kind.as_str().to_uppercase(),
            places(&relation.evidence),
            plain(&relation.props)
        );
    }
    text
}

fn places(evidence: &[Evidence]) -> String {
    let all: Vec<String> = evidence.iter().map(|evidence| quoted(&evidence.place())).collect();
    format!("[{}]", all.join(", "))
}

/// Texts, numbers and truth values; names in backticks.
fn plain(props: &Props) -> String {
    let mut out = String::new();
    for (name, value) in props {
        let value = match value {
            Value::String(text) => quoted(text),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) | Value::Null => continue,
        };
        let _ = write!(out, ", `{}`: {value}", name.replace('`', "``"));
    }
    out
}

fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\\' => out += "\\\\",
            '\'' => out += "\\'",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "'"
}

//! The graph as GraphML, for Gephi, yEd, Cytoscape, networkx.

use std::fmt::Write as _;

use super::Report;
use crate::model::Entity;
use crate::observation::Evidence;

/// Nodes with kind, name and place; edges with kind, certainty and place.
pub fn graphml(report: &Report) -> String {
    let graph = &report.graph;
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
    );
    for (id, on, name) in [
        ("kind", "node", "kind"),
        ("name", "node", "name"),
        ("at", "node", "at"),
        ("relation", "edge", "relation"),
        ("truth", "edge", "truth"),
        ("where", "edge", "at"),
    ] {
        let _ = writeln!(xml, "  <key id=\"{id}\" for=\"{on}\" attr.name=\"{name}\" attr.type=\"string\"/>");
    }
    xml += "  <graph id=\"bailiwick\" edgedefault=\"directed\">\n";
    for entity in graph.entities() {
        let _ = writeln!(xml, "    <node id=\"{}\">", text(&entity.id.to_string()));
        data(&mut xml, "kind", entity.id.kind.as_str());
        data(&mut xml, "name", &entity.name);
        data(&mut xml, "at", &place(&entity.evidence));
        xml += "    </node>\n";
    }
    let id = |at: u32| graph.entity(at).map_or_else(String::new, |entity: &Entity| text(&entity.id.to_string()));
    for relation in graph.relations() {
        let _ = writeln!(xml, "    <edge source=\"{}\" target=\"{}\">", id(relation.from), id(relation.to));
        data(&mut xml, "relation", relation.kind.as_str());
        data(&mut xml, "truth", relation.text("truth").unwrap_or("yes"));
        data(&mut xml, "where", &place(&relation.evidence));
        xml += "    </edge>\n";
    }
    xml + "  </graph>\n</graphml>\n"
}

fn data(xml: &mut String, key: &str, value: &str) {
    let _ = writeln!(xml, "      <data key=\"{key}\">{}</data>", text(value));
}

fn place(evidence: &[Evidence]) -> String {
    evidence.first().map(Evidence::place).unwrap_or_default()
}

/// XML text: marks are escaped, and what XML 1.0 cannot hold is written as its replacement.
fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

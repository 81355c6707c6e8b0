//! JSON with comments and trailing commas, and nothing looser: what a client would refuse, we refuse.

use std::ops::Range;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions};

use super::{Entry, Lines, Malformed, Node, Value};

const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn parse(text: &str, lines: Lines<'_>) -> Result<Node, Malformed> {
    let collect = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: false };
    let parsed = jsonc_parser::parse_to_ast(text, &collect, &OPTIONS).map_err(|error| Malformed {
        line: lines.of(error.range().start),
        reason: lower_first(&error.kind().to_string()),
    })?;
    Ok(parsed.value.map_or(Node { span: 0..0, value: Value::Null }, |value| node(&value)))
}

/// Each line that holds something by itself, with spans in the whole text, and what is wrong with those that are none.
pub(super) fn lines(text: &str) -> Result<(Vec<Node>, Vec<Malformed>), Malformed> {
    let (mut nodes, mut malformed) = (Vec::new(), Vec::new());
    let (mut start, first_line) = (0, vec![0]);
    for (line, part) in (1..).zip(text.split_inclusive('\n')) {
        if !part.trim().is_empty() {
            match parse(part, Lines(&first_line)) {
                Ok(mut node) => {
                    shift(&mut node, start);
                    nodes.push(node);
                }
                Err(error) if nodes.is_empty() => return Err(Malformed { line, ..error }),
                Err(error) => malformed.push(Malformed { line, ..error }),
            }
        }
        start += part.len();
    }
    Ok((nodes, malformed))
}

fn shift(node: &mut Node, by: usize) {
    let moved = |span: &mut Range<usize>| *span = span.start + by..span.end + by;
    moved(&mut node.span);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            moved(&mut entry.key_span);
            shift(&mut entry.node, by);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn node(value: &ast::Value<'_>) -> Node {
    let range = value.range();
    let converted = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
        ast::Value::NumberLit(literal) => Value::Number(literal.value.to_owned()),
        ast::Value::StringLit(literal) => Value::Text(literal.value.clone().into_owned()),
        ast::Value::Array(array) => Value::List(array.elements.iter().map(node).collect()),
        ast::Value::Object(object) => Value::Map(object.properties.iter().map(entry).collect()),
    };
    Node { span: range.start..range.end, value: converted }
}

fn entry(property: &ast::ObjectProp<'_>) -> Entry {
    let range = property.name.range();
    Entry { key: property.name.as_str().to_owned(), key_span: range.start..range.end, node: node(&property.value) }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

//! TOML with spans.

use toml_edit::{Item, TableLike};

use super::{Entry, Lines, Malformed, Node, Value};

pub(super) fn parse(text: &str, lines: Lines<'_>) -> Result<Node, Malformed> {
    let document = toml_edit::Document::parse(text).map_err(|error| Malformed {
        line: lines.of(error.span().map_or(0, |span| span.start)),
        // The first line only: the rest of a TOML error quotes the file.
        reason: error.message().lines().next().unwrap_or("is not TOML").to_owned(),
    })?;
    Ok(item(document.as_item()))
}

fn item(item: &Item) -> Node {
    match item {
        Item::None => Node { span: 0..0, value: Value::Null },
        Item::Value(value) => self::value(value),
        Item::Table(table) => block(Value::Map(entries(table))),
        Item::ArrayOfTables(tables) => {
            block(Value::List(tables.iter().map(|table| block(Value::Map(entries(table)))).collect()))
        }
    }
}

fn value(value: &toml_edit::Value) -> Node {
    let span = value.span().unwrap_or_default();
    let converted = match value {
        toml_edit::Value::String(text) => Value::Text(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::Number(number.value().to_string()),
        toml_edit::Value::Float(number) => Value::Number(number.value().to_string()),
        toml_edit::Value::Boolean(truth) => Value::Bool(*truth.value()),
        toml_edit::Value::Datetime(date) => Value::Number(date.value().to_string()),
        toml_edit::Value::Array(array) => Value::List(array.iter().map(self::value).collect()),
        toml_edit::Value::InlineTable(table) if table.is_dotted() => return block(Value::Map(entries(table))),
        toml_edit::Value::InlineTable(table) => Value::Map(entries(table)),
    };
    Node { span, value: converted }
}

fn entries(table: &dyn TableLike) -> Vec<Entry> {
    table
        .iter()
        .filter_map(|(name, _)| table.get_key_value(name))
        .map(|(key, item)| Entry {
            key: key.get().to_owned(),
            key_span: key.span().unwrap_or_default(),
            node: self::item(item),
        })
        .collect()
}

/// A table written as lines has no brackets of its own: it spans its values.
fn block(value: Value) -> Node {
    let spans: Vec<_> = match &value {
        Value::Map(entries) => entries.iter().flat_map(|entry| [&entry.key_span, &entry.node.span]).collect(),
        Value::List(items) => items.iter().map(|item| &item.span).collect(),
        _ => Vec::new(),
    };
    let filled = || spans.iter().filter(|span| !span.is_empty());
    let start = filled().map(|span| span.start).min().unwrap_or_default();
    let end = filled().map(|span| span.end).max().unwrap_or_default();
    Node { span: start..end, value }
}

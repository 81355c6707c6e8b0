//! Reads a whole text as one strict YAML mapping or sequence.
//!
//! Plain text is often accidentally YAML (`Total: 5`); such a reading would let a stranger write fields. So a
//! mapping counts only if every key is a name such as programs give, and no anchors, tags or several documents.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Number, Value};

const DEPTH_MAX: usize = 24;

/// Parses a whole text, if it is a mapping or sequence with names for keys.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let first = text.chars().next()?;
    if !(first.is_ascii_alphanumeric() || matches!(first, '-' | '_' | '\'' | '"' | '{' | '[')) || has_anchor(text) {
        return None;
    }
    if first != '-' && !matches!(first, '{' | '[') && !first_line_is_entry(text) {
        return None;
    }
    let documents = Yaml::load_from_str(text).ok()?;
    let [document] = documents.as_slice() else { return None };
    let value = convert(document, 0)?;
    (value.is_object() || value.is_array()).then_some(value)
}

/// Aliases can multiply a small text into a large value; programs that print records use none.
fn has_anchor(text: &str) -> bool {
    text.split_whitespace().any(|token| {
        token.len() > 1
            && token.starts_with(['&', '*'])
            && token.chars().skip(1).all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn first_line_is_entry(text: &str) -> bool {
    text.lines()
        .next()
        .and_then(|line| line.split_once(':'))
        .is_some_and(|(key, rest)| is_name(key) && (rest.is_empty() || rest.starts_with(' ')))
}

/// A key as programs give it: no spaces, and short.
fn is_name(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 64
        && !key.starts_with(char::is_uppercase)
        && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | '@' | '/'))
}

fn convert(yaml: &Yaml<'_>, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    match yaml {
        Yaml::Mapping(mapping) => {
            let mut map = Map::new();
            for (key, value) in mapping {
                let Value::String(key) = convert(key, depth + 1).map(key_text)? else { return None };
                map.insert(key, convert(value, depth + 1)?);
            }
            Some(Value::Object(map))
        }
        Yaml::Sequence(items) => {
            items.iter().map(|item| convert(item, depth + 1)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Yaml::Value(scalar) => Some(scalar_value(scalar)),
        Yaml::Representation(text, ..) => Some(Value::String(text.to_string())),
        _ => None,
    }
}

fn key_text(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text),
        other => Value::String(other.to_string()),
    }
}

fn scalar_value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::Number(Number::from(*value)),
        Scalar::FloatingPoint(value) => Number::from_f64(value.into_inner()).map_or(Value::Null, Value::Number),
        Scalar::String(text) => Value::String(text.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_are_read_and_letters_are_not() {
        assert_eq!(parse("- id: 7\n  body: 'two\n\n    lines'"), Some(json!([{"id": 7, "body": "two\nlines"}])));
        assert_eq!(parse("Dear all: hello"), None);
        assert_eq!(parse("hello: [unclosed"), None);
    }
}

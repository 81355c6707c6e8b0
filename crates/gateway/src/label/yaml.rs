//! Reads a whole text as one strict YAML mapping or sequence.
//!
//! Plain text is often accidentally YAML (`Total: 5`); such a reading would let a stranger write fields. So a
//! mapping counts only if every key is a name such as programs give, and no anchors, tags or several documents.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

const DEPTH_MAX: usize = 24;

/// Parses a whole text, if it is a mapping or sequence with names for keys.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let first = text.chars().next()?;
    if !(first.is_ascii_alphanumeric() || matches!(first, '-' | '_' | '\'' | '"' | '{' | '[')) {
        return None;
    }
    if first != '-' && !matches!(first, '{' | '[') && !first_line_is_entry(text) {
        return None;
    }
    let mut events = Events { parser: Parser::new_from_str(text) };
    let prologue = [events.next()?, events.next()?];
    if !matches!(prologue, [Event::StreamStart, Event::DocumentStart(_)]) {
        return None;
    }
    let start = events.next()?;
    let value = events.value(start, 0)?;
    let epilogue = [events.next()?, events.next()?];
    let whole = matches!(epilogue, [Event::DocumentEnd, Event::StreamEnd]);
    (whole && (value.is_object() || value.is_array())).then_some(value)
}

fn first_line_is_entry(text: &str) -> bool {
    let entry = text.lines().next().and_then(|line| line.split_once(':'));
    entry.is_some_and(|(key, rest)| is_name(key) && (rest.is_empty() || rest.starts_with(' ')))
}

/// A key as programs give it: short, without spaces, not the start of a sentence.
fn is_name(key: &str) -> bool {
    let name = key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | '@' | '/'));
    name && !key.is_empty() && key.len() <= 64 && !key.starts_with(char::is_uppercase)
}

struct Events<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Option<Event<'a>> {
        self.parser.next()?.ok().map(|(event, _)| event)
    }

    /// Anchors and aliases (which can multiply a small text into a large value) and tags end the reading:
    /// programs that print records use none.
    fn value(&mut self, event: Event<'a>, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        match event {
            Event::Scalar(text, style, 0, None) => {
                let null = style == ScalarStyle::Plain && matches!(text.as_ref(), "null" | "~" | "");
                Some(if null { Value::Null } else { Value::String(text.into_owned()) })
            }
            Event::SequenceStart(0, None) => self.sequence(depth),
            Event::MappingStart(0, None) => self.mapping(depth),
            _ => None,
        }
    }

    fn sequence(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Some(Value::Array(items)),
                event => items.push(self.value(event, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Some(Value::Object(map)),
                Event::Scalar(key, _, 0, None) => key.into_owned(),
                _ => return None,
            };
            let event = self.next()?;
            let value = self.value(event, depth + 1)?;
            // Of two entries of one name, which one a reader believes is anyone's guess.
            if map.insert(key, value).is_some() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn records_are_read_and_letters_are_not() {
        assert_eq!(parse("- id: 7\n  body: 'two\n\n    lines'"), Some(json!([{"id": "7", "body": "two\nlines"}])));
        assert_eq!(parse("Dear all: hello"), None);
        assert_eq!(parse("hello: [unclosed"), None);
    }
}

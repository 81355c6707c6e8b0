//! A small text form of a graph, for examples, tests and documentation.
//!
//! ```text
//! agent claude client=claude-code scope=user   # an entity and its properties
//! claude uses fs transport=stdio               # a relation; properties belong to the entity before them
//! fs reaches path /home/x breadth=home         # the kind may be said; each relation has a usual one
//! fs holds token via.name=API_TOKEN            # `via.` marks a property of the relation
//! tool fetch description="Reads a \"page\""    # values: a JSON string, list, number, true, false, or a bare word
//! ```
//!
//! One statement a line or between `;`. Entities are known by the name they have here. The evidence of
//! a fact is its line in the text, unless the statement ends in `@file:line`; a trailing `?` marks it inferred.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::Graph;
use crate::observation::{Basis, EntityId, EntityKind, Evidence, Fact, Observation, Props, RelationKind};

/// A text that is not a graph.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct TextError {
    line: u32,
    what: String,
}

/// Reads a graph from its text form.
pub fn parse(text: &str) -> Result<Graph, TextError> {
    Ok(Graph::build(observations(text)?))
}

/// Reads the observations that a text asserts.
pub fn observations(text: &str) -> Result<Vec<Observation>, TextError> {
    let mut reader = Reader { kinds: BTreeMap::new(), seen: Vec::new() };
    for (line, statements) in (1..).zip(text.lines()) {
        for statement in words(statements).map_err(|what| TextError { line, what })?.split(|word| word == ";") {
            reader.statement(statement, line).map_err(|what| TextError { line, what })?;
        }
    }
    Ok(reader.seen)
}

struct Reader {
    kinds: BTreeMap<String, EntityKind>,
    seen: Vec<Observation>,
}

impl Reader {
    fn statement(&mut self, words: &[String], line: u32) -> Result<(), String> {
        let (words, evidence) = evidence(words, line);
        let mut words = words.iter().map(String::as_str).peekable();
        if words.peek().is_none() {
            return Ok(());
        }
        let from = self.entity(&mut words, None)?;
        let (props, via) = props_of(&mut words)?;
        no_via(&via)?;
        self.assert_entity(&from, props, &evidence);
        let Some(verb) = words.next() else { return Ok(()) };
        let kind = find(RelationKind::ALL, RelationKind::as_str, verb)
            .ok_or_else(|| format!("`{verb}` is no kind of relation"))?;
        let to = self.entity(&mut words, Some(usual_target(kind)))?;
        let (to_props, via) = props_of(&mut words)?;
        self.assert_entity(&to, to_props, &evidence);
        self.seen.push(Observation { fact: Fact::Relation { from, kind, to, props: via }, evidence });
        match words.next() {
            Some(rest) => Err(format!("`{rest}` is left over")),
            None => Ok(()),
        }
    }

    /// `[kind] name`, where the kind may be left out if the name has one or the relation says it.
    fn entity<'a>(
        &mut self,
        words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
        usual: Option<EntityKind>,
    ) -> Result<EntityId, String> {
        let first = words.next().ok_or("an entity is missing")?;
        let said = find(EntityKind::ALL, EntityKind::as_str, first);
        let (kind, name) = match (said, words.peek()) {
            (Some(kind), Some(_)) if !self.kinds.contains_key(first) => {
                (kind, words.next().ok_or("a name is missing")?)
            }
            _ => {
                let kind = self.kinds.get(first).copied().or(usual);
                (kind.ok_or_else(|| format!("`{first}` has no kind yet"))?, first)
            }
        };
        self.kinds.insert(name.to_owned(), kind);
        Ok(EntityId::new(kind, name))
    }

    fn assert_entity(&mut self, id: &EntityId, props: Props, evidence: &Evidence) {
        let fact = Fact::Entity { id: id.clone(), name: id.key.clone(), props };
        self.seen.push(Observation { fact, evidence: evidence.clone() });
    }
}

fn find<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|item| name(*item) == text)
}

const fn usual_target(kind: RelationKind) -> EntityKind {
    match kind {
        RelationKind::Uses => EntityKind::Server,
        RelationKind::Runs | RelationKind::Publishes => EntityKind::Package,
        RelationKind::Offers => EntityKind::Tool,
        RelationKind::Holds => EntityKind::Credential,
        RelationKind::Connects => EntityKind::Endpoint,
        RelationKind::Reaches => EntityKind::Path,
        RelationKind::Owns | RelationKind::Governs => EntityKind::Agent,
        RelationKind::ActsAs => EntityKind::Identity,
    }
}

/// Splits off `@source:line` and `?` at the end.
fn evidence(words: &[String], line: u32) -> (&[String], Evidence) {
    let (words, basis) = match words.split_last() {
        Some((last, rest)) if last == "?" => (rest, Basis::Inferred),
        _ => (words, Basis::Collected),
    };
    let seen = |source: &str, line| Evidence { source: source.to_owned(), line, connector: "text".to_owned(), basis };
    match words.split_last().and_then(|(last, rest)| Some((last.strip_prefix('@')?, rest))) {
        Some((place, rest)) => match place.rsplit_once(':') {
            Some((source, line)) => (rest, seen(source, line.parse().ok())),
            None => (rest, seen(place, None)),
        },
        None => (words, seen("text", Some(line))),
    }
}

/// `name=value` words, those of the entity and those of the relation (`via.name=value`).
fn props_of<'a>(words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> Result<(Props, Props), String> {
    let (mut own, mut via) = (Props::new(), Props::new());
    while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
        let value = value_of(value)?;
        match name.strip_prefix("via.") {
            Some(name) => via.insert(name.to_owned(), value),
            None => own.insert(name.to_owned(), value),
        };
        words.next();
    }
    Ok((own, via))
}

fn no_via(via: &Props) -> Result<(), String> {
    match via.keys().next() {
        Some(name) => Err(format!("`via.{name}` stands before a relation")),
        None => Ok(()),
    }
}

fn value_of(text: &str) -> Result<Value, String> {
    match text.chars().next() {
        Some('"' | '[' | '{') => serde_json::from_str(text).map_err(|error| format!("`{text}`: {error}")),
        _ => Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))),
    }
}

/// Words between blanks, keeping JSON strings and lists whole; `#` at the start of a word begins a comment; `;` is a word.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut escaped, mut depth) = (false, false, 0u32);
    for c in line.chars() {
        let blank = words.last().is_none_or(String::is_empty);
        match c {
            '#' if !quoted && depth == 0 && blank => break,
            ';' if !quoted && depth == 0 => words.extend([";".to_owned(), String::new()]),
            c if c.is_whitespace() && !quoted && depth == 0 => words.push(String::new()),
            c => {
                match c {
                    '"' if !escaped => quoted = !quoted,
                    '[' | '{' if !quoted => depth += 1,
                    ']' | '}' if !quoted => depth = depth.saturating_sub(1),
                    _ => {}
                }
                escaped = quoted && c == '\\' && !escaped;
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    if quoted || depth > 0 {
        return Err("a string or list is not closed".to_owned());
    }
    words.retain(|word| !word.is_empty());
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_become_entities_and_relations_with_their_line() {
        let graph = parse(
            "agent claude uses fs transport=stdio # a comment\nfs reaches /home/x breadth=home; fs holds c via.name=A @f.json:7\n\
             tool t description=\"a \\\"b\\\"; c\" ?",
        )
        .unwrap();
        let kinds: Vec<_> = graph.entities().iter().map(|entity| entity.id.to_string()).collect();
        assert_eq!(kinds, ["agent:claude", "server:fs", "tool:t", "credential:c", "path:/home/x"]);
        let holds = graph.relations().iter().find(|relation| relation.kind == RelationKind::Holds).unwrap();
        assert_eq!(
            (holds.text("name"), holds.evidence[0].source.as_str(), holds.evidence[0].line),
            (Some("A"), "f.json", Some(7))
        );
        let tool = graph.get(&EntityId::new(EntityKind::Tool, "t")).unwrap();
        assert_eq!((tool.text("description"), tool.evidence[0].basis), (Some("a \"b\"; c"), Basis::Inferred));
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_with_its_line() {
        assert_eq!(parse("agent a\nb uses c").unwrap_err().to_string(), "line 2: `b` has no kind yet");
        assert_eq!(parse("agent a likes b").unwrap_err().to_string(), "line 1: `likes` is no kind of relation");
        assert_eq!(parse("agent a p=[1").unwrap_err().to_string(), "line 1: a string or list is not closed");
    }
}

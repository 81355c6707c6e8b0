//! One tree for JSON, TOML and YAML, in which every node knows the bytes it came from.
//!
//! Reading needs the line of a fact, rewriting needs the exact range of a value, so that everything
//! around it (comments, order, indentation) stays byte for byte. This module never evaluates anything:
//! no includes, no variables, and a YAML alias is resolved under a bound.

mod json;
mod toml;
mod yaml;

use std::ops::Range;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, with comments and trailing commas as most clients accept them.
    Json,
    /// TOML 1.1.
    Toml,
    /// YAML 1.2, the first document of the stream.
    Yaml,
}

impl Format {
    /// The format that a file name promises.
    pub fn of(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "json" | "jsonc" | "json5" | "code-workspace" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }
}

/// Why a text is not a document. The reason never quotes the text: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Malformed {
    /// From 1.
    pub line: u32,
    /// In one clause.
    pub reason: String,
}

/// A parsed text.
#[derive(Clone, PartialEq)]
pub struct Document {
    text: String,
    format: Format,
    root: Node,
    line_starts: Vec<usize>,
}

/// A value and where it was written.
#[derive(Clone, PartialEq)]
pub struct Node {
    /// Byte range in the text. A block of TOML or YAML spans from its first to its last value.
    pub span: Range<usize>,
    /// The value.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number or date, as written.
    Number(String),
    /// A string, decoded.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text.
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// The key, decoded.
    pub key: String,
    /// Where the key was written.
    pub key_span: Range<usize>,
    /// Its value.
    pub node: Node,
}

/// One step from a node to a node below it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// The list element whose `name` is this.
    Named(String),
    /// The list element at this place, from 0.
    At(usize),
}

impl Document {
    /// Parses `text`. An empty text is a document that holds nothing.
    pub fn parse(text: &str, format: Format) -> Result<Self, Malformed> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let lines = Lines(&line_starts);
        let root = match format {
            Format::Json => json::parse(text, lines),
            Format::Toml => toml::parse(text, lines),
            Format::Yaml => yaml::parse(text),
        }?;
        Ok(Self { text: text.to_owned(), format, root, line_starts })
    }

    /// Parses a stream of YAML documents: the root is the list of them. A value with a tag of its own
    /// (`!Ref name`) becomes a map of one key, as CloudFormation writes it in JSON (`{"Ref": "name"}`).
    pub fn stream(text: &str) -> Result<Self, Malformed> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let roots = yaml::stream(text)?;
        let root = Node { span: 0..text.len(), value: Value::List(roots) };
        Ok(Self { text: text.to_owned(), format: Format::Yaml, root, line_starts })
    }

    /// Parses a text of which each line is a JSON document: the root is the list of them. What is said of a line that is
    /// none stands beside it; a text whose first line is none is not of that form.
    pub fn lines(text: &str) -> Result<(Self, Vec<Malformed>), Malformed> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let (roots, malformed) = json::lines(text)?;
        let root = Node { span: 0..text.len(), value: Value::List(roots) };
        Ok((Self { text: text.to_owned(), format: Format::Json, root, line_starts }, malformed))
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The format it was parsed as.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The top node.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> u32 {
        Lines(&self.line_starts).of(offset)
    }

    /// The bytes of a line, from 1, with its end.
    pub fn line_span(&self, line: u32) -> Option<Range<usize>> {
        let at = usize::try_from(line).ok()?;
        let start = *self.line_starts.get(at.checked_sub(1)?)?;
        Some(start..self.line_starts.get(at).copied().unwrap_or(self.text.len()))
    }

    /// The bytes of a node.
    pub fn slice(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }
}

/// Line starts, to find a line by offset.
#[derive(Clone, Copy)]
struct Lines<'a>(&'a Vec<usize>);

impl Lines<'_> {
    fn of(self, offset: usize) -> u32 {
        u32::try_from(self.0.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }
}

impl Node {
    /// The value of `key`. Of a repeated key the last counts, as it does for the clients.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The entry of `key`.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().rev().find(|entry| entry.key == key)
    }

    /// The entries of a map; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The elements of a list; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The scalar as a program would see it in its environment.
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            Value::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is a map.
    pub fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self.value, Value::List(_))
    }

    /// The value without its positions.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.as_str())),
            Value::Text(text) => Json::from(text.as_str()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect())
            }
        }
    }

    /// What it is, for a person.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The node below, along `steps`.
    pub fn at(&self, steps: &[Step]) -> Option<&Node> {
        steps.iter().try_fold(self, |node, step| match step {
            Step::Key(key) => node.get(key),
            Step::Named(name) => {
                node.items().iter().find(|item| item.get("name").and_then(Node::text) == Some(name.as_str()))
            }
            Step::At(index) => node.items().get(*index),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(document: &Document, node: &Node, out: &mut String, depth: usize) {
        let pad = "  ".repeat(depth);
        let line = document.line(node.span.start);
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    out.push_str(&format!("{pad}{}@{}\n", entry.key, document.slice(&entry.key_span)));
                    show(document, &entry.node, out, depth + 1);
                }
            }
            Value::List(items) => items.iter().for_each(|item| show(document, item, out, depth + 1)),
            _ => out.push_str(&format!("{pad}{:?} from `{}` line {line}\n", node.scalar(), document.slice(&node.span))),
        }
    }

    fn check(text: &str, format: Format, expected: &str) {
        let document = Document::parse(text, format).unwrap();
        let mut out = String::new();
        show(&document, document.root(), &mut out, 0);
        assert_eq!(out, expected);
    }

    #[test]
    fn json_with_comments_and_trailing_commas() {
        check(
            "{\n  // why\n  \"a\": [\"x\\n\", 1,],\n  \"ü\": {\"b\": true},\n}\n",
            Format::Json,
            "a@\"a\"\n    Some(\"x\\n\") from `\"x\\n\"` line 3\n    Some(\"1\") from `1` line 3\nü@\"ü\"\n  b@\"b\"\n    Some(\"true\") from `true` line 4\n",
        );
    }

    #[test]
    fn toml_tables_inline_and_dotted() {
        check(
            "# c\n[s.a]\ncommand = \"npx\" # why\nargs = [\n  \"-y\", # yes\n]\n[s]\nb = { url = 'u' }\nc.url = \"w\"\n",
            Format::Toml,
            "s@s\n  a@a\n    command@command\n      Some(\"npx\") from `\"npx\"` line 3\n    args@args\n        Some(\"-y\") from `\"-y\"` line 5\n  b@b\n    url@url\n      Some(\"u\") from `'u'` line 8\n  c@c\n    url@url\n      Some(\"w\") from `\"w\"` line 9\n",
        );
    }

    #[test]
    fn yaml_blocks_flows_and_aliases() {
        check(
            "# ü\ns:\n  - name: é # c\n    args:\n      - -y\n      - \"p q\"\n    on: true\n  - {name: b, args: [x, 'y']}\nx: &a k\ny: *a\n",
            Format::Yaml,
            "s@s\n    name@name\n      Some(\"é\") from `é` line 3\n    args@args\n        Some(\"-y\") from `-y` line 5\n        Some(\"p q\") from `\"p q\"` line 6\n    on@on\n      Some(\"true\") from `true` line 7\n    name@name\n      Some(\"b\") from `b` line 8\n    args@args\n        Some(\"x\") from `x` line 8\n        Some(\"y\") from `'y'` line 8\nx@x\n  Some(\"k\") from `&a k` line 9\ny@y\n  Some(\"k\") from `*a` line 10\n",
        );
    }

    #[test]
    fn malformed_texts_name_their_line_and_quote_nothing() {
        for (text, format, line) in [
            ("{\n  \"a\": \"s3cret\" \"b\"\n}", Format::Json, 2),
            ("{\"a\": 1", Format::Json, 1),
            ("a = 1\nb = s3cret\n", Format::Toml, 2),
            ("a: 1\nb: [s3cret\n", Format::Yaml, 3),
            ("a: 1\n\tb: s3cret: x\n", Format::Yaml, 2),
        ] {
            let malformed = Document::parse(text, format).err().unwrap();
            assert!(malformed.line == line || malformed.line + 1 == line, "{malformed} != {line}");
            assert!(!malformed.reason.contains("s3cret"), "{malformed}");
        }
    }

    #[test]
    fn a_text_that_aliases_repeat_too_often_is_refused() {
        let text = |copies: usize| {
            let copies = vec!["*a"; copies].join(", ");
            format!("a: &a {}\nb: [{copies}]\n", "x".repeat(1 << 17))
        };
        assert!(Document::stream(&text(16)).is_ok());
        assert!(Document::stream(&text(1_000)).is_err_and(|error| error.reason.contains("16777216 bytes")));
        // Keys are text, too, and an anchor that holds an alias holds what it repeats.
        let keys =
            format!("a: &a {{{}: 1}}\nb: &b [*a, *a, *a, *a]\nc: [{}]\n", "k".repeat(1 << 17), "*b, ".repeat(60));
        assert!(Document::parse(&keys, Format::Yaml).is_err());
    }

    #[test]
    fn a_merged_map_is_read_as_programs_read_it_and_rewritten_as_it_stands() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\nd:\n  <<: *b\n";
        let of = |document: &Document, path: [&str; 2]| {
            let root = document.root().items().first().unwrap_or(document.root());
            root.get(path[0]).and_then(|map| map.get(path[1])?.scalar())
        };
        let read = Document::stream(text).unwrap();
        let expected = [(["c", "x"], "3"), (["c", "y"], "1"), (["c", "z"], "2"), (["d", "z"], "2")];
        for (path, value) in expected {
            assert_eq!(of(&read, path).as_deref(), Some(value), "{path:?}");
        }
        let kept = Document::parse(text, Format::Yaml).unwrap();
        assert_eq!(of(&kept, ["d", "z"]), None);
    }

    #[test]
    fn a_yaml_bomb_is_refused() {
        let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12u8 {
            let (here, below) = (char::from(b'a' + level), char::from(b'a' + level - 1));
            text.push_str(&format!("{here}: &{here} [{}]\n", vec![format!("*{below}"); 10].join(", ")));
        }
        assert!(Document::parse(&text, Format::Yaml).is_err());
        assert!(Document::parse(&"[".repeat(100_000), Format::Yaml).is_err());
        assert!(Document::parse(&"[".repeat(100_000), Format::Json).is_err());
        assert!(Document::parse(&format!("a = {}", "[".repeat(100_000)), Format::Toml).is_err());
    }
}

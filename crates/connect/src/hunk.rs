//! The hunk of a patch that removes what begins at a line of a configuration file.
//!
//! It is made only where whole lines can go and what is left is still a document. Values that are secrets are blanked,
//! so a hunk that touches one shows what to do and does not apply as it is.

mod block;

use std::fmt::Write as _;
use std::ops::Range;

use crate::document::{Document, Format, Node};
use crate::secret;

/// Longer hunks help nobody.
const LINES_MAX: usize = 60;
const CONTEXT: usize = 1;

/// The hunk, or nothing where no whole element begins at the line.
pub fn removal(name: &str, text: &str, line: u32) -> Option<String> {
    File::new(name, text).removal(line)
}

/// A file that several elements are to be taken out of, one by one: it is parsed once.
pub struct File {
    name: String,
    kind: Kind,
}

enum Kind {
    /// Terraform's sources.
    Blocks(String),
    /// A document, and its text without secrets.
    Document(Format, Document, String),
    /// Nothing that can be changed in place.
    Other,
}

impl File {
    /// A file of this name and text.
    pub fn new(name: &str, text: &str) -> Self {
        let document = || {
            let format = Format::of(name)?;
            let document = parsed(text, format)?;
            let blank = blanked(&document);
            Some(Kind::Document(format, document, blank))
        };
        let kind = if name.ends_with(".tf") { Some(Kind::Blocks(text.to_owned())) } else { document() };
        Self { name: name.to_owned(), kind: kind.unwrap_or(Kind::Other) }
    }

    /// The hunk that removes what begins at a line, or nothing where no whole element begins there.
    pub fn removal(&self, line: u32) -> Option<String> {
        match &self.kind {
            Kind::Blocks(text) => block::removal(&self.name, text, line),
            Kind::Document(format, document, blank) => of_document(&self.name, (*format, document, blank), line),
            Kind::Other => None,
        }
    }
}

/// A YAML file may hold several documents, each of which may go as a whole.
fn parsed(text: &str, format: Format) -> Option<Document> {
    match format {
        Format::Yaml => Document::stream(text).ok(),
        Format::Json | Format::Toml => Document::parse(text, format).ok(),
    }
}

fn of_document(name: &str, (format, document, blank): (Format, &Document, &str), line: u32) -> Option<String> {
    let text = document.text();
    let span = element(document, line)?;
    let (first, last) =
        (document.line(span.start) as usize - 1, document.line(span.end.saturating_sub(1)) as usize - 1);
    let lines: Vec<&str> = text.lines().collect();
    let removed = lines.get(first..=last)?;
    if removed.len() > LINES_MAX || !is_alone(text, &span) {
        return None;
    }
    let comma = format == Format::Json && !removed.last()?.trim_end().ends_with(',');
    // The last element of a list goes with the comma before it.
    let before =
        first.checked_sub(1).filter(|at| comma && lines.get(*at).is_some_and(|line| line.trim_end().ends_with(',')));
    let mut left: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    if let Some(at) = before {
        *left.get_mut(at)? = without_comma(lines.get(at)?);
    }
    left.drain(first..=last);
    parsed(&left.join("\n"), format)?;
    let shown: Vec<&str> = blank.lines().collect();
    Some(hunk(name, &shown, (first, last), before))
}

fn hunk(name: &str, lines: &[&str], (first, last): (usize, usize), before: Option<usize>) -> String {
    let start = before.unwrap_or(first).saturating_sub(CONTEXT);
    let end = (last + 1 + CONTEXT).min(lines.len());
    let (old, new) = (end - start, end - start - (last - first + 1));
    let mut text = format!("--- {name}\n+++ {name}\n@@ -{},{old} +{},{new} @@\n", start + 1, start + 1);
    for at in start..end {
        let Some(line) = lines.get(at) else { break };
        if Some(at) == before {
            let _ = write!(text, "-{line}\n+{}\n", without_comma(line));
        } else {
            let sign = if (first..=last).contains(&at) { '-' } else { ' ' };
            let _ = writeln!(text, "{sign}{line}");
        }
    }
    text
}

fn without_comma(line: &str) -> String {
    let kept = line.trim_end();
    kept.strip_suffix(',').unwrap_or(kept).to_owned()
}

/// The widest entry or list item that begins at the line.
fn element(document: &Document, line: u32) -> Option<Range<usize>> {
    let mut open: Vec<&Node> = vec![document.root()];
    let mut found: Option<Range<usize>> = None;
    while let Some(node) = open.pop() {
        let entries = node.entries().iter().map(|entry| (entry.key_span.start..entry.node.span.end, &entry.node));
        let items = node.items().iter().map(|item| (item.span.clone(), item));
        for (span, below) in entries.chain(items) {
            open.push(below);
            let wider = found.as_ref().is_none_or(|found| span.len() > found.len());
            if document.line(span.start) == line && wider {
                found = Some(span);
            }
        }
    }
    found
}

/// Whether only spaces, quotes, a dash or a comma stand on the element's lines beside it.
fn is_alone(text: &str, span: &Range<usize>) -> bool {
    let before = text.get(..span.start).and_then(|text| text.rsplit('\n').next()).unwrap_or_default();
    let after = text.get(span.end..).and_then(|text| text.split('\n').next()).unwrap_or_default();
    before.chars().all(|c| c.is_whitespace() || matches!(c, '"' | '-'))
        && after.chars().all(|c| c.is_whitespace() || matches!(c, '"' | ','))
}

/// The text with every value that is a secret as dots.
fn blanked(document: &Document) -> String {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut open: Vec<(&str, &Node)> = vec![("", document.root())];
    while let Some((name, node)) = open.pop() {
        open.extend(node.entries().iter().map(|entry| (entry.key.as_str(), &entry.node)));
        open.extend(node.items().iter().map(|item| (name, item)));
        if node.text().is_some_and(|text| !secret::find_named(name, text).is_empty()) {
            ranges.push(node.span.clone());
        }
    }
    ranges.sort_by_key(|range| range.start);
    let mut out = String::new();
    let mut at = 0;
    for range in ranges {
        out.push_str(document.text().get(at..range.start).unwrap_or_default());
        out.push_str("\"…\"");
        at = range.end.max(at);
    }
    out.push_str(document.text().get(at..).unwrap_or_default());
    // A secret that is no value by itself, such as one within a comment.
    secret::mask(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "{\n  \"mcpServers\": {\n    \"a\": {\n      \"command\": \"a\"\n    },\n    \"b\": {\n      \"command\": \"b\",\n      \"env\": {\n        \"API_TOKEN\": \"q8Zk2mV9x7Lp4Rt6\"\n      }\n    }\n  }\n}\n";

    #[test]
    fn an_element_goes_with_its_comma() {
        insta::assert_snapshot!(removal("c.json", CONFIG, 3).unwrap(), @r#"
        --- c.json
        +++ c.json
        @@ -2,5 +2,2 @@
           "mcpServers": {
        -    "a": {
        -      "command": "a"
        -    },
             "b": {
        "#);
        let last = removal("c.json", CONFIG, 6).unwrap();
        assert!(last.contains("@@ -4,9 +4,3 @@\n       \"command\": \"a\"\n-    },\n+    }\n-    \"b\": {"), "{last}");
    }

    #[test]
    fn no_secret_is_shown_and_a_line_within_another_is_no_element() {
        for line in 1..=13 {
            let hunk = removal("c.json", CONFIG, line).unwrap_or_default();
            assert!(!hunk.contains("q8Zk2mV9x7Lp4Rt6"), "{hunk}");
        }
        assert_eq!(removal("c.json", "{\"a\": {\"b\": 1}, \"c\": 2}", 1), None);
        assert_eq!(removal("c.json", CONFIG, 5), None);
        assert_eq!(removal("c.txt", CONFIG, 3), None);
        assert_eq!(removal("c.json", "{", 1), None);
    }

    #[test]
    fn what_is_left_is_a_document() {
        let yaml = "Statement:\n  - Effect: Allow\n    Action: x\n  - Effect: Allow\n    Action: y\n";
        assert!(removal("p.yaml", yaml, 4).unwrap().contains("-    Action: y"));
    }
}

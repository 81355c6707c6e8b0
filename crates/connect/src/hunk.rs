//! The hunk of a patch that removes what begins at a line of a configuration file.
//!
//! It is made only where whole lines can go and what is left is still a document. Values that are secrets are blanked,
//! so a hunk that touches one shows what to do and does not apply as it is.

mod block;

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use crate::cloud::is_workflow;
use crate::document::{Document, Format, Node};
use crate::secret;

/// Longer hunks help nobody.
const LINES_MAX: usize = 60;
const CONTEXT: u32 = 1;

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
    /// A document.
    Document(Format, Document),
    /// Nothing that can be changed in place.
    Other,
}

impl File {
    /// A file of this name and text.
    pub fn new(name: &str, text: &str) -> Self {
        let document = || {
            let format = Format::of(name)?;
            // Of a workflow, which is one document, an event at its beginning goes and not the whole.
            let one = is_workflow(Path::new(name));
            let document = if one { Document::parse(text, format).ok()? } else { parsed(text, format)? };
            Some(Kind::Document(format, document))
        };
        let kind = if name.ends_with(".tf") { Some(Kind::Blocks(text.to_owned())) } else { document() };
        Self { name: name.to_owned(), kind: kind.unwrap_or(Kind::Other) }
    }

    /// The hunk that removes what begins at a line, or nothing where no whole element begins there.
    pub fn removal(&self, line: u32) -> Option<String> {
        match &self.kind {
            Kind::Blocks(text) => block::removal(&self.name, text, line),
            Kind::Document(format, document) => of_document(&self.name, (*format, document), line),
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

/// Whether a text is a document. Plain JSON, of which exports have megabytes, is not built for that.
fn is_document(text: &str, format: Format) -> bool {
    format == Format::Json && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        || parsed(text, format).is_some()
}

fn of_document(name: &str, (format, document): (Format, &Document), line: u32) -> Option<String> {
    let text = document.text();
    let span = element(document, line)?;
    let (first, last) = (document.line(span.start), document.line(span.end.saturating_sub(1)));
    if (last - first) as usize >= LINES_MAX || !is_alone(text, &span) {
        return None;
    }
    let gone = document.line_span(first)?.start..document.line_span(last)?.end;
    let (above, below) = (text.get(..gone.start)?, text.get(gone.end..)?);
    // The last element of a list goes with the comma before it.
    let comma = format == Format::Json && !text.get(gone.clone())?.trim_end().ends_with(',');
    let before = above.lines().next_back().filter(|line| comma && line.trim_end().ends_with(','));
    let kept = above.len() - before.map_or(0, |line| line.len() - without_comma(line).len() + ending(above));
    if !is_document(&[above.get(..kept)?, if before.is_some() { "\n" } else { "" }, below].concat(), format) {
        return None;
    }
    let from = first.saturating_sub(CONTEXT + u32::from(before.is_some())).max(1);
    let to = (last + CONTEXT).min(document.line(text.trim_end().len().saturating_sub(1)).max(last));
    let shown = blanked(document, (from, to))?;
    Some(hunk(name, &shown, (from, first, last), before.is_some()))
}

/// How many bytes end the last line of a text.
fn ending(text: &str) -> usize {
    text.len() - text.trim_end_matches(['\n', '\r']).len()
}

/// The lines from `from` on, of which those from `first` to `last` go; numbers are from 1.
fn hunk(name: &str, lines: &[String], (from, first, last): (u32, u32, u32), with_comma: bool) -> String {
    let (old, gone) = (lines.len(), (last - first + 1) as usize);
    let mut text = format!("--- {name}\n+++ {name}\n@@ -{from},{old} +{from},{} @@\n", old.saturating_sub(gone));
    for (line, at) in lines.iter().zip(from..) {
        if with_comma && at + 1 == first {
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
    let within = document.line_span(line)?;
    let mut open: Vec<&Node> = vec![document.root()];
    let mut found: Option<Range<usize>> = None;
    while let Some(node) = open.pop() {
        let entries = node.entries().iter().map(|entry| (entry.key_span.start..entry.node.span.end, &entry.node));
        let items = node.items().iter().map(|item| (item.span.clone(), item));
        for (span, below) in entries.chain(items) {
            // What ends before the line, or begins after it, has nothing that begins there.
            if span.start >= within.end || span.end < within.start {
                continue;
            }
            open.push(below);
            let wider = found.as_ref().is_none_or(|found| span.len() > found.len());
            if within.contains(&span.start) && wider {
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

/// Some lines with every value that is a secret as dots. Nothing where they lie in a key that no value holds, such as
/// one in a comment: its parts could not be known for what they are.
fn blanked(document: &Document, (from, to): (u32, u32)) -> Option<Vec<String>> {
    let text = document.text();
    let whole = document.line_span(from)?.start..document.line_span(to)?.end;
    let secrets = secrets(document, &whole);
    let is_in_key = |found: &secret::Found| {
        found.range.start < whole.end
            && whole.start < found.range.end
            && !secrets.iter().any(|one| one.contains(&found.range.start))
    };
    if text.contains("PRIVATE KEY") && secret::find(text).iter().any(is_in_key) {
        return None;
    }
    (from..=to).map(|line| Some(secret::mask(&blanked_line(text, document.line_span(line)?, &secrets)?))).collect()
}

/// One line with the parts of it that lie in these ranges as dots.
fn blanked_line(text: &str, line: Range<usize>, secrets: &[Range<usize>]) -> Option<String> {
    let mut out = String::new();
    let mut at = line.start;
    for secret in secrets.iter().filter(|secret| secret.start < line.end && line.start < secret.end) {
        out.push_str(text.get(at..secret.start.max(at))?);
        out.push_str("\"…\"");
        at = secret.end.clamp(at, line.end);
    }
    out.push_str(text.get(at..line.end)?.trim_end_matches(['\n', '\r']));
    Some(out)
}

/// The values of a document that are secrets and lie, in part, in a range.
fn secrets(document: &Document, within: &Range<usize>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut open: Vec<(&str, &Node)> = vec![("", document.root())];
    while let Some((name, node)) = open.pop() {
        let overlaps = |node: &Node| node.span.start < within.end && within.start < node.span.end;
        let entries = node.entries().iter().map(|entry| (entry.key.as_str(), &entry.node));
        let items = node.items().iter().map(|item| (name, item));
        open.extend(entries.chain(items).filter(|(_, below)| overlaps(below)));
        if node.text().is_some_and(|text| !secret::find_named(name, text).is_empty()) {
            ranges.push(node.span.clone());
        }
    }
    ranges.sort_by_key(|range| range.start);
    ranges
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
    fn a_key_in_a_comment_is_not_shown_in_parts() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEAq7BFUpkGp3wm\n-----END RSA PRIVATE KEY-----";
        let text = format!("{{ /* {key} */\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}}\n");
        for line in 1..=8 {
            let hunk = removal("c.json", &text, line).unwrap_or_default();
            assert!(!hunk.contains("MIIB") && !hunk.contains("-----END"), "{hunk}");
        }
        assert!(removal("c.json", &text, 5).is_some(), "what lies away from it is shown");
    }

    #[test]
    fn what_is_left_is_a_document() {
        let yaml = "Statement:\n  - Effect: Allow\n    Action: x\n  - Effect: Allow\n    Action: y\n";
        assert!(removal("p.yaml", yaml, 4).unwrap().contains("-    Action: y"));
    }
}

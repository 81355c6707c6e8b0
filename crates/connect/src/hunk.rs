//! The hunk of a patch that removes what begins at a line of a configuration file.
//!
//! `git apply` and `patch -p1` take it as it is ([`render`]), from the folder that it names where that is not the one that
//! names are relative to. It is made only where whole lines can go, what is left is still a document, and nothing that is
//! left is refused by who reads it ([`holder`]) or speaks of what is gone. Values that are secrets are blanked, so a hunk
//! that touches one shows what to do and does not apply as it is.

#[cfg(test)]
mod again;
mod block;
mod holder;
mod render;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use graph::paths::patch::Patch;

use crate::aws::{command, inventory};
use crate::cloud::is_workflow;
use crate::delegation::revoke::revocation;
use crate::document::{Document, Format, Node};
use crate::{file, secret, terraform};
use render::{Name, render};

/// Longer hunks help nobody.
const LINES_MAX: usize = 60;
const CONTEXT: u32 = 1;
/// Files of a folder that may speak of a block.
const SIBLINGS_MAX: usize = 500;

/// The hunk, or nothing where no whole element begins at the line.
pub fn removal(name: &str, text: &str, line: u32) -> Option<String> {
    File::new(name, text).removal(line)
}

/// A file that several elements are to be taken out of, one by one: it is parsed once.
pub struct File {
    name: Name,
    kind: Kind,
}

enum Kind {
    /// One of Terraform's sources, and those beside it.
    Blocks(String, Vec<String>),
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
            // What a program made of something else is no place to change it.
            if terraform::is_plan(document.root()) || inventory::is_answer(document.root()) {
                return None;
            }
            Some(Kind::Document(format, document))
        };
        let kind = if name.ends_with(".tf") { Some(Kind::Blocks(text.to_owned(), Vec::new())) } else { document() };
        Self { name: Name::of(name), kind: kind.unwrap_or(Kind::Other) }
    }

    /// The file at a path, by the name that a patch is to give it. Nothing where it cannot be read.
    pub fn read(path: &Path, name: &str) -> Option<Self> {
        let mut file = Self::new(name, &file::read(path).ok()?);
        if let Kind::Blocks(_, beside) = &mut file.kind {
            *beside = siblings(path);
        }
        Some(file)
    }

    /// The change that takes away what begins at a line: a hunk of the file, or the command that revokes a consent or
    /// changes an account, for an export of those is no place to change anything.
    pub fn patch(&self, line: u32) -> Option<Patch> {
        if let Kind::Document(Format::Json, document) = &self.kind {
            if command::is_account(document) {
                return command::taking_out(document, line);
            }
            if let Some(command) = revocation(document, line) {
                return Some(command);
            }
        }
        let (title, language) = ("take it out of the file".to_owned(), "diff".to_owned());
        self.removal(line).map(|text| Patch { title, language, text })
    }

    /// The commands that take a policy of AWS's own from principals, given by their ARN, where the file is an account's
    /// export. In other files an attachment stands at a line of its own.
    pub fn detaching(&self, principals: &[&str], policy: &str) -> Option<String> {
        match &self.kind {
            Kind::Document(Format::Json, document) if command::is_account(document) => {}
            _ => return None,
        }
        let command = |arn: &&str| {
            let (word, name) = arn.rsplit(':').next()?.split_once('/')?;
            let name = name.rsplit('/').next()?;
            Some(format!("aws iam detach-{word}-policy --{word}-name {name} --policy-arn {policy}\n"))
        };
        let commands: String = principals.iter().filter_map(command).collect();
        (!commands.is_empty()).then_some(commands)
    }

    /// The hunk that removes what begins at a line, or nothing where no whole element begins there.
    pub fn removal(&self, line: u32) -> Option<String> {
        match &self.kind {
            Kind::Blocks(text, beside) => block::removal(&self.name, (text, beside), line),
            Kind::Document(format, document) => of_document(&self.name, (*format, document), line),
            Kind::Other => None,
        }
    }
}

/// What Terraform reads together with a file.
fn siblings(path: &Path) -> Vec<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let is_other =
        |other: &Path| other.extension().is_some_and(|kind| kind == "tf") && other.file_name() != path.file_name();
    let others = entries.map(|entry| entry.path()).filter(|other| is_other(other)).take(SIBLINGS_MAX);
    others.filter_map(|other| file::read(&other).ok()).collect()
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

/// What becomes of lines, by their number from 1: they go, or are these.
type Edits = BTreeMap<u32, Option<String>>;

fn of_document(name: &Name, (format, document): (Format, &Document), line: u32) -> Option<String> {
    let text = document.text();
    let trail = holder::holding(document, holder::trail(document, line)?)?;
    let element = trail.last()?;
    let (first, last) = element.lines(document);
    if (last - first) as usize >= LINES_MAX || !is_alone(text, &element.span) {
        return None;
    }
    let mut edits: Edits = (first..=last).map(|line| (line, None)).collect();
    if let Some(with) = holder::instead(document, &trail) {
        edits.insert(first, Some(with));
    } else {
        edits.extend(holder::emptied(document, format, &trail));
        edits.extend(comma(document, format, (first, last)));
    }
    if !is_document(&edited(document, &edits), format) {
        return None;
    }
    let (from, to) = (*edits.keys().next()?, *edits.keys().next_back()?);
    if (to - from) as usize >= LINES_MAX {
        return None;
    }
    let end = document.line(text.len().saturating_sub(1));
    let shown = blanked(document, (from.saturating_sub(CONTEXT).max(1), (to + CONTEXT).min(end).max(to)))?;
    render(name, from.saturating_sub(CONTEXT).max(1), &shown, &edits)
}

/// The last element of a list or map goes with the comma before it.
fn comma(document: &Document, format: Format, (first, last): (u32, u32)) -> Option<(u32, Option<String>)> {
    let line = |number: u32| Some(document.slice(&document.line_span(number)?));
    let goes_alone = format == Format::Json && !line(last)?.trim_end().ends_with(',');
    let before = first.checked_sub(1).filter(|before| goes_alone && *before > 0)?;
    let kept = line(before)?.trim_end();
    kept.strip_suffix(',').map(|kept| (before, Some(kept.to_owned())))
}

/// The text as the edits leave it.
fn edited(document: &Document, edits: &Edits) -> String {
    let mut out = String::new();
    let mut at = 0;
    for (line, with) in edits {
        let Some(span) = document.line_span(*line) else { continue };
        out.push_str(document.text().get(at..span.start).unwrap_or_default());
        if let Some(with) = with {
            out.push_str(with);
            out.push('\n');
        }
        at = span.end;
    }
    out + document.text().get(at..).unwrap_or_default()
}

/// Whether only spaces, quotes, a dash, a comma or the colon of a key without a value stand on the element's lines
/// beside it.
fn is_alone(text: &str, span: &Range<usize>) -> bool {
    let before = text.get(..span.start).and_then(|text| text.rsplit('\n').next()).unwrap_or_default();
    let after = text.get(span.end..).and_then(|text| text.split('\n').next()).unwrap_or_default();
    before.chars().all(|c| c.is_whitespace() || matches!(c, '"' | '-'))
        && after.chars().all(|c| c.is_whitespace() || matches!(c, '"' | ',' | ':'))
}

/// Some lines with every value that is a secret as dots, each with the end that it has. Nothing where they lie in a key
/// that no value holds, such as one in a comment: its parts could not be known for what they are.
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
        if at == line.end && text.get(..at)?.ends_with('\n') {
            out.push('\n');
        }
    }
    out.push_str(text.get(at..line.end)?);
    Some(out)
}

fn keys_of(document: &Document) -> BTreeSet<&str> {
    let mut keys = BTreeSet::new();
    let mut open = vec![document.root()];
    while let Some(node) = open.pop() {
        keys.extend(node.entries().iter().map(|entry| entry.key.as_str()));
        open.extend(node.entries().iter().map(|entry| &entry.node).chain(node.items()));
    }
    keys
}

/// The values of a document that are secrets and lie, in part, in a range.
fn secrets(document: &Document, within: &Range<usize>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let keys: OnceCell<BTreeSet<&str>> = OnceCell::new();
    let mut open: Vec<(&str, &Node)> = vec![("", document.root())];
    while let Some((name, node)) = open.pop() {
        let overlaps = |node: &Node| node.span.start < within.end && within.start < node.span.end;
        let entries = node.entries().iter().map(|entry| (entry.key.as_str(), &entry.node));
        let items = node.items().iter().map(|item| (name, item));
        open.extend(entries.chain(items).filter(|(_, below)| overlaps(below)));
        let found = node.text().map(|text| (text, secret::find_named(name, text)));
        let is_secret = |(text, found): (&str, Vec<secret::Found>)| {
            // What only looks drawn at random and is a key of the document is what something in it is called by.
            let looks_only = found.iter().all(|one| one.rule == "high-entropy");
            let called = text.split('.').next().unwrap_or(text);
            !(found.is_empty() || looks_only && keys.get_or_init(|| keys_of(document)).contains(called))
        };
        if found.is_some_and(is_secret) {
            ranges.push(node.span.clone());
        }
    }
    ranges.sort_by_key(|range| range.start);
    ranges
}

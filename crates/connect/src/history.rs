//! Reads what agents did before Bailiwick was there: recorded sessions in the formats of other tools.
//!
//! One [`Session`] is who said what, what was called with what, and what came back, in order. Formats are told
//! apart by their content, never by a file's name:
//!
//! | module | what it reads |
//! |---|---|
//! | [`chat`] | logs of messages as OpenAI (Chat Completions, Responses) and Anthropic (Messages) take and give them |
//! | [`claude_code`] | the transcripts that Claude Code keeps (JSON lines) |
//! | [`runs`] | benchmark runs, one JSON object a line with `events` |
//! | [`spans`] | OpenTelemetry spans with the GenAI conventions, as OTLP JSON |
//!
//! Never opens a connection, never decides or labels anything, never believes that the text is well meant: it
//! is data of strangers. What could not be read is said in [`History::unread`], and the rest is still read.
//! Bounded by [`SIZE_MAX_BYTES`], [`SESSIONS_MAX`] and [`STEPS_MAX`].

pub mod chat;
pub mod claude_code;
pub mod runs;
pub mod spans;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use crate::Unread;

/// The largest file that is read.
pub const SIZE_MAX_BYTES: u64 = 512 * 1024 * 1024;
/// How many sessions one [`History`] holds.
pub const SESSIONS_MAX: usize = 100_000;
/// How many steps one session holds.
pub const STEPS_MAX: usize = 200_000;
/// How many files of a folder are read.
const FILES_MAX: usize = 10_000;
/// How deep folders are followed.
const DEPTH_MAX: usize = 12;
/// How many reasons why something could not be read are kept.
const UNREAD_MAX: usize = 1_000;

/// Sessions that were read, and what could not be read.
#[derive(Debug, Default)]
pub struct History {
    /// In the order in which they begin in their files.
    pub sessions: Vec<Session>,
    /// What was passed over, at most a thousand reasons.
    pub unread: Vec<Unread>,
    /// Where a session stands in `sessions`, by its key.
    keys: HashMap<String, usize>,
    /// Digests of the steps that formats which repeat themselves have told, by session.
    told: HashSet<(String, u64)>,
    /// What spans say of each other, which may stand far apart in a file.
    spans: spans::Known,
    /// Kinds of things that this version does not know, each with the file that has it: said once.
    unknown: HashSet<(PathBuf, String)>,
}

/// In which format a session was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A log of messages.
    Chat,
    /// A transcript of Claude Code.
    ClaudeCode,
    /// A run of a benchmark.
    Run,
    /// OpenTelemetry spans.
    Spans,
}

impl Format {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Format::Chat => "message log",
            Format::ClaudeCode => "Claude Code transcript",
            Format::Run => "benchmark run",
            Format::Spans => "OpenTelemetry spans",
        }
    }
}

/// One recorded session.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// As the format names it, else the file's name and line.
    pub id: String,
    /// The file.
    pub source: PathBuf,
    /// The format it was read from.
    pub format: Format,
    /// The agent or model, as the format names it; empty if it does not.
    pub agent: String,
    /// Definitions of tools, if the format carries them, in the shape of MCP (`name`, `description`,
    /// `inputSchema`).
    pub tools: Vec<Value>,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The line in the file, from 1.
    pub line: u32,
    /// When, if the format says.
    pub at: Option<Timestamp>,
    /// What.
    pub what: What,
}

/// What happened in one step.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The operator's instructions to the model.
    System {
        /// The words.
        text: String,
    },
    /// The user's own words.
    User {
        /// The words.
        text: String,
    },
    /// The agent spoke, to the user or to another agent.
    Says {
        /// The words.
        text: String,
    },
    /// The agent called a tool.
    Call(Call),
    /// A tool gave something back.
    Result(Answer),
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// As the format names it; empty if it does not.
    pub id: String,
    /// The MCP server, or empty for a tool of the agent's own.
    pub server: String,
    /// The tool's name at that server.
    pub tool: String,
    /// The arguments; an empty object if there were none.
    pub arguments: Value,
}

/// What a tool gave back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The id of its call; empty if the format has none, and then it answers the first call that is still open.
    pub id: String,
    /// A text, or an object with `content` blocks as in MCP.
    pub content: Value,
    /// Whether the format says that the call failed.
    pub failed: bool,
}

/// Reads files, and all `.json` and `.jsonl` files of folders.
pub fn read(paths: &[PathBuf]) -> History {
    let (mut history, mut known) = (History::default(), HashSet::new());
    for path in paths {
        let mut files = Vec::new();
        collect(path, 0, &mut files, &mut history);
        // A file that is named twice, or beside its folder, tells nothing twice.
        for file in files.into_iter().filter(|file| file.canonicalize().map_or(true, |real| known.insert(real))) {
            read_file(&file, &mut history);
        }
    }
    history
}

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>, history: &mut History) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    let mut entries: Vec<PathBuf> = match std::fs::read_dir(path) {
        Ok(entries) => entries.filter_map(Result::ok).map(|entry| entry.path()).collect(),
        Err(error) => return history.skip(path, None, format!("cannot be read: {}", error.kind())),
    };
    entries.sort();
    for entry in entries {
        let is_link = entry.is_symlink();
        let suffix = entry.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
        if files.len() >= FILES_MAX {
            return history.skip(path, None, format!("has more than the {FILES_MAX} files that are read"));
        }
        if entry.is_dir() && !is_link && depth < DEPTH_MAX {
            collect(&entry, depth + 1, files, history);
        } else if entry.is_file() && matches!(suffix, "json" | "jsonl") {
            files.push(entry);
        }
    }
}

fn read_file(path: &Path, history: &mut History) {
    match bytes_of(path).map(String::from_utf8) {
        Ok(Ok(text)) => read_text(path, &text, history),
        Ok(Err(error)) => read_broken(path, error.as_bytes(), history),
        Err(reason) => history.skip(path, None, reason),
    }
}

/// Reads what is not text as a whole: a log of which some lines are damaged, or no text at all.
fn read_broken(path: &Path, bytes: &[u8], history: &mut History) {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(std::str::from_utf8).peekable();
    if bytes.contains(&0) || lines.peek().is_none_or(Result::is_err) {
        return history.skip(path, None, "is not UTF-8 text (packed files must be unpacked first)".to_owned());
    }
    let mut text = String::with_capacity(bytes.len());
    for (number, line) in (1..).zip(lines) {
        match line {
            Ok(line) => text.push_str(line),
            Err(_) => history.skip(path, Some(number), "is not UTF-8 text".to_owned()),
        }
        text.push('\n');
    }
    read_text(path, &text, history);
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, String> {
    let refused = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        kind => format!("cannot be read: {kind}"),
    };
    // Before the open: opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(refused)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(refused)?.take(SIZE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > SIZE_MAX_BYTES {
        return Err(format!("is larger than the {SIZE_MAX_BYTES} bytes that are read"));
    }
    Ok(bytes)
}

/// Reads a text: one JSON value, or one a line. `path` is only named.
pub fn read_text(path: &Path, text: &str, history: &mut History) {
    let text = crate::file::without_mark(text);
    if let Ok(whole) = serde_json::from_str::<Value>(text) {
        history.spans.look(&whole);
        return document(Place { path, line: 1, item: None }, &whole, history);
    }
    for batch in text.lines().filter(|line| line.contains(spans::BATCH)) {
        history.spans.look(&serde_json::from_str(batch).unwrap_or_default());
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (at, line) in lines {
        let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
        match serde_json::from_str::<Value>(line) {
            Ok(value) => document(Place { path, line: number, item: None }, &value, history),
            Err(error) => history.skip(path, Some(number), format!("is not JSON: {error}")),
        }
    }
}

/// One JSON value, whatever it is.
fn document(place: Place<'_>, value: &Value, history: &mut History) {
    let known = runs::read(place, value, history)
        || claude_code::read(place, value, history)
        || spans::read(place, value, history)
        || chat::read(place, value, history);
    match value {
        _ if known => {}
        Value::Array(items) => {
            (1..).zip(items).for_each(|(item, value)| document(Place { item: Some(item), ..place }, value, history));
        }
        _ => history.skip(place.path, Some(place.line), "has the shape of no known record of a session".to_owned()),
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a Path,
    pub(crate) line: u32,
    /// Which of a list, from 1.
    pub(crate) item: Option<usize>,
}

impl Place<'_> {
    /// A name for a session that has none.
    fn name(self) -> String {
        let file = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let item = self.item.map(|item| format!(".{item}")).unwrap_or_default();
        format!("{file}:{}{item}", self.line)
    }

    fn step(self, what: What) -> Step {
        Step { line: self.line, at: None, what }
    }
}

impl History {
    fn skip(&mut self, path: &Path, line: Option<u32>, reason: String) {
        if self.unread.len() < UNREAD_MAX {
            self.unread.push(Unread::new(path.display().to_string(), line, reason));
        }
    }

    /// Says of a kind of things that nothing is known of it, once a file: what it stands for may have been a call.
    fn unknown(&mut self, place: Place<'_>, kind: &str) {
        if self.unknown.len() < UNREAD_MAX && self.unknown.insert((place.path.to_owned(), kind.to_owned())) {
            self.skip(place.path, Some(place.line), format!("holds `{kind}`, of which this version knows nothing"));
        }
    }

    /// The session of this key, begun if it is new; nothing beyond the bound.
    fn session(&mut self, place: Place<'_>, format: Format, id: &str) -> Option<&mut Session> {
        let key = format!("{}\u{0}{id}", place.path.display());
        if let Some(at) = self.keys.get(&key) {
            return self.sessions.get_mut(*at);
        }
        if self.sessions.len() >= SESSIONS_MAX {
            self.skip(place.path, Some(place.line), format!("more than the {SESSIONS_MAX} sessions that are read"));
            return None;
        }
        self.keys.insert(key, self.sessions.len());
        self.sessions.push(Session {
            id: id.to_owned(),
            source: place.path.to_owned(),
            format,
            agent: String::new(),
            tools: Vec::new(),
            steps: Vec::new(),
        });
        self.sessions.last_mut()
    }
}

impl Session {
    /// Adds steps up to the bound, and answers whether there was room for all.
    fn extend(&mut self, steps: impl IntoIterator<Item = Step>) -> bool {
        for step in steps {
            if self.steps.len() >= STEPS_MAX {
                return false;
            }
            self.steps.push(step);
        }
        true
    }

    /// All calls, in order.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.steps.iter().filter_map(|step| if let What::Call(call) = &step.what { Some(call) } else { None })
    }
}

/// Adds steps to a session and says what did not fit.
fn add(history: &mut History, place: Place<'_>, format: Format, id: &str, steps: Vec<Step>) {
    let fits = history.session(place, format, id).is_none_or(|session| session.extend(steps));
    if !fits {
        history.skip(place.path, Some(place.line), format!("session `{id}` has more than {STEPS_MAX} steps"));
    }
}

/// The server and the tool of a name as agents write it: `mcp__server__tool`, or a tool of their own.
fn tool_name(name: &str) -> (String, String) {
    let at_server = name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__"));
    match at_server {
        Some((server, tool)) if !server.is_empty() && !tool.is_empty() => (server.to_owned(), tool.to_owned()),
        _ => (String::new(), name.to_owned()),
    }
}

/// Arguments as an object, or as the text of one.
fn arguments(value: Option<&Value>) -> Value {
    match value {
        Some(Value::String(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| serde_json::json!({ "input": text }))
        }
        None | Some(Value::Null) => serde_json::json!({}),
        Some(other) => other.clone(),
    }
}

/// What a tool gave back, as a text or as blocks.
fn content(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Array(blocks)) if blocks.iter().all(|block| block.get("type").is_some()) => {
            serde_json::json!({ "content": blocks })
        }
        Some(other) => other.clone(),
        None => Value::Null,
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;

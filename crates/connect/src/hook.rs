//! Hooks: programs that a client runs at its own events, with the user's rights and without asking.

use crate::document::{Document, Node};
use crate::server::Located;

/// A program that runs at an event.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    /// The event, as the client names it.
    pub event: String,
    /// Which tools it is for, if not all.
    pub matcher: Option<String>,
    /// The command line as written.
    pub command: Located,
}

/// Single settings of Claude Code whose value is a command line.
const COMMANDS: &[&str] = &["apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "otelHeadersHelper"];

/// Reads a document's hooks, in the spellings of Claude Code, Cursor, Gemini CLI, Kiro and Codex.
pub fn read(document: &Document) -> Vec<Hook> {
    let root = document.root();
    let mut hooks = Vec::new();
    for event in root.get("hooks").into_iter().flat_map(|node| node.entries()) {
        for item in event.node.items() {
            let matcher = item.get("matcher").and_then(Node::text).filter(|text| !text.is_empty() && *text != "*");
            let inner = item.get("hooks").map(Node::items).unwrap_or_default();
            for program in inner.iter().chain(std::iter::once(item)) {
                let Some(command) = program.get("command").or_else(|| program.get("bash")) else { continue };
                hooks.extend(hook(document, &event.key, matcher, command));
            }
        }
    }
    for key in COMMANDS {
        hooks.extend(root.get(key).and_then(|node| hook(document, key, None, node)));
    }
    if let Some(command) = root.get("statusLine").and_then(|line| line.get("command")) {
        hooks.extend(hook(document, "statusLine", None, command));
    }
    if let Some(words) = root.get("notify").filter(|node| node.is_list()) {
        let value = words.items().iter().filter_map(Node::text).collect::<Vec<_>>().join(" ");
        let line = document.line(words.span.start);
        hooks.push(Hook { event: "notify".to_owned(), matcher: None, command: Located { value, line } });
    }
    hooks
}

fn hook(document: &Document, event: &str, matcher: Option<&str>, command: &Node) -> Option<Hook> {
    let line = document.line(command.span.start);
    let value = command.text().filter(|text| !text.trim().is_empty())?.to_owned();
    Some(Hook { event: event.to_owned(), matcher: matcher.map(str::to_owned), command: Located { value, line } })
}

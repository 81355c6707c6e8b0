//! `gateway/upstreams.toml`: which remote server stands behind `/mcp/NAME`.
//!
//! ```toml
//! [upstreams.docs]
//! url = "https://docs.example/mcp"
//! ```
//!
//! Written here, read by the gateway. Private: an address may hold a key.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::document::{Document, Format, Malformed, Node};

/// Addresses by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Upstreams(BTreeMap<String, String>);

impl Upstreams {
    /// Reads the file; none is an empty one.
    pub fn read(path: &Path) -> Result<Self, Malformed> {
        let text = match crate::file::read(path) {
            Ok(text) => text,
            Err(crate::file::Unreadable::Absent) => return Ok(Self::default()),
            Err(error) => return Err(Malformed { line: 1, reason: error.to_string() }),
        };
        let document = Document::parse(&text, Format::Toml)?;
        let entries = document.root().get("upstreams").map(Node::entries).unwrap_or_default();
        let pair = |entry: &crate::document::Entry| {
            Some((entry.key.clone(), entry.node.get("url").and_then(Node::text)?.to_owned()))
        };
        Ok(Self(entries.iter().filter_map(pair).collect()))
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut out = String::from("# Remote servers behind the gateway. Written by `bailiwick protect`.\n");
        for (name, url) in &self.0 {
            let (name, url) = (serde_json::Value::from(name.as_str()), serde_json::Value::from(url.as_str()));
            let _ = write!(out, "\n[upstreams.{name}]\nurl = {url}\n");
        }
        out
    }

    /// The address behind a name.
    pub fn url(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, url)| (name.as_str(), url.as_str()))
    }

    /// A name for `url`: the server's own, in letters that an address takes, or that with a number if
    /// another address has it.
    pub fn name_for(&mut self, server: &str, url: &str) -> String {
        let slug: String =
            server.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
        let slug = if slug.trim_matches(['.', '-']).is_empty() { "server".to_owned() } else { slug };
        let mut name = slug.clone();
        for number in 2u32.. {
            match self.0.get(&name) {
                Some(other) if other != url => name = format!("{slug}-{number}"),
                _ => break,
            }
        }
        self.0.insert(name.clone(), url.to_owned());
        name
    }
}

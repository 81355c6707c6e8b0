//! `gateway/upstreams.toml`: which server stands behind `/mcp/NAME`, which agent behind `/a2a/NAME`, and which agents are
//! known by their program.
//!
//! ```toml
//! [upstreams.docs]
//! url = "https://docs.example/mcp"
//!
//! [upstreams.files]
//! added = true
//! command = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/data"]
//! cwd = "/data"
//! env = { "LOG" = "debug" }
//!
//! [upstreams.helper]
//! added = true
//! url = "https://helper.example"
//! transport = "a2a"
//!
//! [agents.inspector]
//! program = "/usr/bin/node"
//! ```
//!
//! Written by `protect` and `upstream`, read by the gateway. Private: an address or a setting may hold a key.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value as Json;

use crate::document::{Document, Entry, Format, Malformed, Node};

/// Servers and agents by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Upstreams {
    servers: BTreeMap<String, Upstream>,
    /// Programs by agent.
    agents: BTreeMap<String, String>,
}

/// One server.
#[derive(Clone, PartialEq, Eq)]
pub struct Upstream {
    /// How it is reached.
    pub launch: Launch,
    /// Whether a person added it; else it is here because a protected configuration names it.
    pub is_added: bool,
}

/// How a server is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Launch {
    /// Streamable HTTP.
    Http(String),
    /// HTTP with server-sent events, as the protocol of 2024 has it.
    Sse(String),
    /// Another agent that speaks A2A.
    A2a(String),
    /// A program that the gateway starts.
    Program {
        /// The program and its arguments.
        command: Vec<String>,
        /// Its folder.
        cwd: Option<String>,
        /// Its environment beside the usual.
        env: BTreeMap<String, String>,
    },
}

impl Launch {
    /// Where the server is, without what may be a secret: a query, a path, arguments. `None` if that is nowhere.
    pub fn place(&self) -> Option<String> {
        let url = match self {
            Self::Http(url) | Self::Sse(url) | Self::A2a(url) => url,
            Self::Program { command, .. } => return command.first().cloned(),
        };
        let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
        let authority = rest.split(['/', '?', '#', '\\']).next()?;
        let host = authority.rsplit('@').next().filter(|host| !host.is_empty())?;
        Some(format!("{scheme}://{host}"))
    }
}

impl Upstreams {
    /// Reads the file; none is an empty one.
    pub fn read(path: &Path) -> Result<Self, Malformed> {
        let text = match crate::file::read(path) {
            Ok(text) => text,
            Err(crate::file::Unreadable::Absent) => return Ok(Self::default()),
            Err(error) => return Err(Malformed { line: 1, reason: error.to_string() }),
        };
        let document = Document::parse(&text, Format::Toml)?;
        let entries = |name| document.root().get(name).map(Node::entries).unwrap_or_default();
        let wrong = |entry: &Entry, reason: &str| Malformed {
            line: document.line(entry.key_span.start),
            reason: format!("`{}` {reason}", entry.key),
        };
        let mut out = Self::default();
        for entry in entries("upstreams") {
            let launch = launch(&entry.node).map_err(|reason| wrong(entry, reason))?;
            let is_added = entry.node.get("added").and_then(Node::bool).unwrap_or_default();
            out.servers.insert(entry.key.clone(), Upstream { launch, is_added });
        }
        for entry in entries("agents") {
            let program = entry.node.get("program").and_then(Node::text).filter(|path| path.starts_with('/'));
            let program = program.ok_or_else(|| wrong(entry, "needs a `program`, an absolute path"))?;
            out.know(&entry.key, program).map_err(|reason| wrong(entry, &reason))?;
        }
        Ok(out)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut out = String::from(
            "# Servers behind the gateway. Written by `bailiwick protect` and `bailiwick upstream`; edit it as you like.\n",
        );
        for (name, upstream) in &self.servers {
            let _ = writeln!(out, "\n[upstreams.{}]", quoted(name));
            if upstream.is_added {
                out.push_str("added = true\n");
            }
            out.push_str(&written(&upstream.launch));
        }
        for (agent, program) in &self.agents {
            let _ = write!(out, "\n[agents.{}]\nprogram = {}\n", quoted(agent), quoted(program));
        }
        out
    }

    /// The address behind a name.
    pub fn url(&self, name: &str) -> Option<&str> {
        match &self.servers.get(name)?.launch {
            Launch::Http(url) | Launch::Sse(url) => Some(url),
            Launch::A2a(_) | Launch::Program { .. } => None,
        }
    }

    /// The servers by name.
    pub fn servers(&self) -> impl Iterator<Item = (&str, &Upstream)> {
        self.servers.iter().map(|(name, upstream)| (name.as_str(), upstream))
    }

    /// Agents and their programs.
    pub fn agents(&self) -> impl Iterator<Item = (&str, &str)> {
        self.agents.iter().map(|(agent, program)| (agent.as_str(), program.as_str()))
    }

    /// A person adds a server.
    pub fn add(&mut self, name: &str, launch: Launch) -> Result<(), String> {
        if name.is_empty() || slug(name) != name {
            return Err(format!("`{name}` is no name for an address: letters, digits, `.`, `_` and `-` are"));
        }
        if launch.place().is_none() {
            return Err(format!("the address of `{name}` is neither http nor https"));
        }
        match self.servers.get(name) {
            Some(other) if other.launch != launch => Err(format!("another server is `{name}` already")),
            _ => {
                self.servers.insert(name.to_owned(), Upstream { launch, is_added: true });
                Ok(())
            }
        }
    }

    /// Takes a server or an agent away; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let server = self.servers.remove(name).is_some();
        self.agents.remove(name).is_some() || server
    }

    /// From now on this program is this agent.
    pub fn know(&mut self, agent: &str, program: &str) -> Result<(), String> {
        match self.agents.iter().find(|(other, known)| *known == program && *other != agent) {
            Some((other, _)) => Err(format!("has the program of `{other}`: nobody could tell them apart")),
            None => {
                self.agents.insert(agent.to_owned(), program.to_owned());
                Ok(())
            }
        }
    }

    /// Without the servers that only protected configurations named.
    pub fn without_protected(mut self) -> Self {
        self.servers.retain(|_, upstream| upstream.is_added);
        self
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.agents.is_empty()
    }

    /// A name for `url`: the server's own, in letters that an address takes, or that with a number if
    /// another server has it.
    pub fn name_for(&mut self, server: &str, url: &str) -> String {
        let slug = slug(server);
        let slug = if slug.trim_matches(['.', '-']).is_empty() { "server".to_owned() } else { slug };
        let mut name = slug.clone();
        let launch = Launch::Http(url.to_owned());
        for number in 2u32.. {
            match self.servers.get(&name) {
                Some(other) if other.launch != launch => name = format!("{slug}-{number}"),
                _ => break,
            }
        }
        self.servers.entry(name.clone()).or_insert(Upstream { launch, is_added: false });
        name
    }
}

fn launch(node: &Node) -> Result<Launch, &'static str> {
    let url = node.get("url").map(|url| url.text().ok_or("has a `url` that is no text")).transpose()?;
    match (url, node.get("command")) {
        (Some(url), None) => match node.get("transport").map(Node::text) {
            None | Some(Some("http")) => Ok(Launch::Http(url.to_owned())),
            Some(Some("sse")) => Ok(Launch::Sse(url.to_owned())),
            Some(Some("a2a")) => Ok(Launch::A2a(url.to_owned())),
            Some(_) => Err("has a `transport` that is none of `http`, `sse` and `a2a`"),
        },
        (None, Some(command)) => {
            let command: Option<Vec<String>> =
                command.items().iter().map(|word| word.text().map(str::to_owned)).collect();
            let command =
                command.filter(|words| !words.is_empty()).ok_or("has a `command` that is no list of words")?;
            let cwd = node.get("cwd").and_then(Node::text).map(str::to_owned);
            let settings = node.get("env").map(Node::entries).unwrap_or_default();
            let pair = |entry: &Entry| Some((entry.key.clone(), entry.node.scalar()?));
            Ok(Launch::Program { command, cwd, env: settings.iter().filter_map(pair).collect() })
        }
        _ => Err("needs either a `url` or a `command`"),
    }
}

fn written(launch: &Launch) -> String {
    match launch {
        Launch::Http(url) => format!("url = {}\n", quoted(url)),
        Launch::Sse(url) => format!("url = {}\ntransport = \"sse\"\n", quoted(url)),
        Launch::A2a(url) => format!("url = {}\ntransport = \"a2a\"\n", quoted(url)),
        Launch::Program { command, cwd, env } => {
            let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
            let mut out = format!("command = [{}]\n", command.join(", "));
            if let Some(cwd) = cwd {
                let _ = writeln!(out, "cwd = {}", quoted(cwd));
            }
            let env: Vec<String> =
                env.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
            if !env.is_empty() {
                let _ = writeln!(out, "env = {{ {} }}", env.join(", "));
            }
            out
        }
    }
}

/// A text as TOML writes it, which for these is as JSON does.
fn quoted(text: &str) -> String {
    // JSON leaves one control character as it is that TOML does not take.
    Json::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn slug(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Upstreams, Malformed> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upstreams.toml");
        std::fs::write(&path, text).unwrap();
        Upstreams::read(&path)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut upstreams = Upstreams::default();
        upstreams.name_for("docs", "https://a/?k=\u{7f}\"'");
        let env = BTreeMap::from([("A B".to_owned(), "c\nd".to_owned())]);
        let command = vec!["npx".to_owned(), "-y".to_owned(), "x\\y".to_owned()];
        upstreams.add("files", Launch::Program { command, cwd: Some("/w".to_owned()), env }).unwrap();
        upstreams.add("old", Launch::Sse("http://127.0.0.1/sse".to_owned())).unwrap();
        upstreams.add("helper", Launch::A2a("http://127.0.0.1/agent".to_owned())).unwrap();
        upstreams.know("inspector", "/usr/bin/node").unwrap();
        assert!(read(&upstreams.text()).unwrap() == upstreams, "{}", upstreams.text());
        let kept = upstreams.without_protected();
        assert_eq!(kept.servers().map(|(name, _)| name).collect::<Vec<_>>(), ["files", "helper", "old"]);
    }

    #[test]
    fn a_place_says_no_secret() {
        let place = |url: &str| Launch::Http(url.to_owned()).place();
        assert_eq!(
            place("https://user:pass@docs.example:8443/k/secret?key=1"),
            Some("https://docs.example:8443".to_owned())
        );
        assert_eq!(place("file:///etc/passwd"), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        for text in [
            "[upstreams.a]\n",
            "[upstreams.a]\nurl = 1\n",
            "[upstreams.a]\nurl = \"x\"\ncommand = [\"y\"]\n",
            "[upstreams.a]\ncommand = \"y\"\n",
            "[upstreams.a]\nurl = \"x\"\ntransport = \"carrier pigeon\"\n",
            "[agents.a]\nprogram = \"node\"\n",
        ] {
            assert_eq!(read(text).err().map(|error| error.line), Some(1), "{text}");
        }
        let same = "[agents.a]\nprogram = \"/n\"\n[agents.b]\nprogram = \"/n\"\n";
        assert_eq!(read(same).err().map(|error| error.line), Some(3));
        let mut upstreams = Upstreams::default();
        assert!(upstreams.add("a", Launch::Http("ftp://x".to_owned())).is_err());
        assert!(upstreams.add("../a", Launch::Http("http://x".to_owned())).is_err());
        upstreams.add("a", Launch::Http("http://x".to_owned())).unwrap();
        assert!(upstreams.add("a", Launch::Http("http://y".to_owned())).is_err());
    }
}

//! One configuration file of one client, read.

use std::path::{Path, PathBuf};

use crate::clients::{ANY_SERVERS, Candidate, Client, Scope, recognise};
use crate::document::{Document, Format, Node, Value};
use crate::server::{Problem, Server, Servers};
use crate::{Unread, file, hook, server};

/// A configuration file.
pub struct Config {
    /// The client's id, or `unknown`.
    pub client: &'static str,
    /// For whom it holds.
    pub scope: Scope,
    /// The file.
    pub path: PathBuf,
    /// Its text, parsed.
    pub document: Document,
    /// The servers that it declares.
    pub servers: Vec<Server>,
    /// Programs that the client runs at its events.
    pub hooks: Vec<hook::Hook>,
    /// What in it could not be read.
    pub problems: Vec<Problem>,
    /// Whether the file says that an agent is here.
    pub is_agent: bool,
}

fn unread(path: &Path, line: Option<u32>, reason: impl Into<String>) -> Unread {
    Unread::new(path.display().to_string(), line, reason)
}

/// Reads a file that the table of clients names. `Ok(None)` if it is gone.
pub fn read(candidate: &Candidate) -> Result<Option<Config>, Unread> {
    let Some(document) = parse(&candidate.path, candidate.place.format)? else { return Ok(None) };
    let found = server::read(&document, candidate.place.servers);
    Ok(Some(
        assemble(candidate.client, candidate.place.scope, candidate.path.clone(), document, found)
            .shared(candidate.place.is_shared),
    ))
}

/// Reads a file that was found by walking, if it has the shape of a configuration. `named` is whether
/// its name promises one: then a file that is none is said, else it is passed over. So is one that cannot be read, unless
/// somebody asked for just this one.
pub fn read_by_shape(path: &Path, is_asked: bool) -> Result<Option<Config>, Unread> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let known = recognise(path);
    let is_named = known.is_some() || promises(name);
    let format = match known.map(|(_, place)| place.format).or_else(|| Format::of(name)) {
        Some(format) => format,
        None => return Ok(None),
    };
    let document = match parse(path, format) {
        Ok(Some(document)) => document,
        Ok(None) => return Ok(None),
        Err(unread) if is_named || is_asked => return Err(unread),
        Err(_) => return Ok(None),
    };
    let mut places: Vec<&str> = known.map(|(_, place)| place.servers.to_vec()).unwrap_or_default();
    places.extend(ANY_SERVERS.iter().filter(|place| !places.contains(place)).collect::<Vec<_>>());
    let is_meant = is_named && !is_object(document.root());
    let found = read_guessed(&document, &places, known.map_or(&[][..], |(_, place)| place.servers), is_meant);
    let other = kind_of_other(document.root());
    let hooks = hook::read(&document);
    if !found.any_place && hooks.is_empty() {
        if is_object(document.root()) {
            return Ok(None);
        }
        if let (true, Some(problem)) = (is_named, found.problems.first()) {
            return Err(unread(path, Some(problem.line), problem.reason.clone()));
        }
        return match (other, known) {
            (Some(other), _) if is_named => {
                Err(unread(path, Some(1), format!("is named like an agent's configuration, but is {other}")))
            }
            (None, Some((client, place))) if !place.is_shared => {
                Ok(Some(assemble(client.id, place.scope, path.to_owned(), document, found)))
            }
            (None, None) if is_named && !matches!(document.root().value, Value::Null) => {
                Err(unread(path, Some(1), "is named like an agent's configuration, but declares no servers"))
            }
            _ => Ok(None),
        };
    }
    let client = known.map(|(client, _)| client).or_else(|| client_of_name(name));
    let scope = known.map_or(Scope::Project, |(_, place)| place.scope);
    Ok(Some(assemble(client.map_or("unknown", |client| client.id), scope, path.to_owned(), document, found)))
}

impl Config {
    /// The key of the agent that it configures.
    pub fn agent_key(&self) -> String {
        format!("{}@{}", self.client, self.path.display())
    }

    /// The key of one of its servers.
    pub fn server_key(&self, server: &Server) -> String {
        match &server.project {
            None => format!("{}#{}", self.agent_key(), server.name),
            Some(project) => format!("{}#{project}#{}", self.agent_key(), server.name),
        }
    }

    fn shared(mut self, is_shared: bool) -> Self {
        self.is_agent = !is_shared || !self.servers.is_empty() || !self.hooks.is_empty();
        self
    }
}

fn parse(path: &Path, format: Format) -> Result<Option<Document>, Unread> {
    let text = match file::read(path) {
        Ok(text) => text,
        Err(file::Unreadable::Absent) if path.symlink_metadata().is_err() => return Ok(None),
        Err(error) => return Err(unread(path, None, error.to_string())),
    };
    let document = Document::parse(file::without_mark(&text), format)
        .map_err(|malformed| unread(path, Some(malformed.line), malformed.reason))?;
    match document.root().value {
        Value::Map(_) | Value::Null => Ok(Some(document)),
        _ => Err(unread(path, Some(1), format!("holds {}, not a map", document.root().kind()))),
    }
}

fn assemble(client: &'static str, scope: Scope, path: PathBuf, document: Document, found: Servers) -> Config {
    let hooks = hook::read(&document);
    let Servers { servers, problems, .. } = found;
    Config { client, scope, path, document, servers, hooks, problems, is_agent: true }
}

/// Servers of a file of unknown shape: a place that is not surely meant for servers counts only if
/// something in it looks like one. An odd value at a key that every client means for servers is said.
/// The whole file is a place where its name promises servers, or where it holds nothing that could be none.
fn read_guessed(document: &Document, places: &[&str], sure: &[&str], is_meant: bool) -> Servers {
    let sure = |place: &str| {
        sure.contains(&place) && !place.is_empty() || matches!(place, "mcpServers" | "mcp_servers" | "context_servers")
    };
    let kept: Vec<&str> = places
        .iter()
        .copied()
        .filter(|place| {
            sure(place)
                || place.is_empty() && (is_meant || holds_maps_alone(document.root()))
                || has_server(document.root(), place)
                || *place == "mcp" && !document.root().get("mcp").is_some_and(Node::is_map)
        })
        .collect();
    server::read(document, &kept)
}

/// Many a file has an address under some key, and beside it what is no server.
fn holds_maps_alone(root: &Node) -> bool {
    root.entries().iter().all(|entry| entry.node.is_map() || entry.key.starts_with('$'))
}

fn has_server(root: &Node, place: &str) -> bool {
    let mut nodes = vec![root];
    for key in place.split('/') {
        nodes = nodes
            .into_iter()
            .flat_map(|node| node.entries().iter().filter(|entry| key == "*" || entry.key == key))
            .map(|entry| &entry.node)
            .collect();
    }
    nodes
        .iter()
        .any(|node| node.entries().iter().map(|entry| &entry.node).chain(node.items()).any(server::looks_like_server))
}

/// Whether a file name promises a configuration of servers.
fn promises(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let stem = lower.rsplit_once('.').map_or(lower.as_str(), |(stem, _)| stem);
    stem.ends_with("mcp")
        || ["mcp_config", "mcp-config", "mcp_settings", "mcpservers", "claude_desktop_config"]
            .iter()
            .any(|word| stem.contains(word))
}

/// The client that a file name speaks of, for copies that lie elsewhere: `claude_desktop.json`.
fn client_of_name(name: &str) -> Option<&'static Client> {
    let spelled = name.to_ascii_lowercase().replace('_', "-");
    crate::clients::CLIENTS.iter().filter(|client| spelled.starts_with(client.id)).max_by_key(|client| client.id.len())
}

/// Whether it is an object of a cluster, an MCP server's for example: those are read with the cloud exports.
fn is_object(root: &Node) -> bool {
    ["apiVersion", "kind"].iter().all(|key| root.get(key).and_then(Node::text).is_some())
}

/// What a file is that is no configuration, if we know its kind.
fn kind_of_other(root: &Node) -> Option<&'static str> {
    let has = |keys: &[&str]| keys.iter().all(|key| root.get(key).is_some());
    if has(&["nodes", "connections"]) || root.get("nodes").is_some_and(Node::is_list) {
        Some("a workflow export")
    } else if has(&["protocolVersion", "skills"])
        || has(&["skills", "capabilities", "url"])
        || has(&["skills", "supportedInterfaces"])
    {
        Some("an A2A agent card")
    } else if has(&["$schema", "properties"]) {
        Some("a JSON schema")
    } else if has(&["packages", "name", "version"]) || has(&["server", "_meta"]) {
        Some("an entry of an MCP registry")
    } else if has(&["tools"]) && root.get("tools").is_some_and(Node::is_list) {
        Some("a list of tools")
    } else {
        None
    }
}

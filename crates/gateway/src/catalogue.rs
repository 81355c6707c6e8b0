//! The tools that were seen at each server, and the pins of their definitions.
//!
//! Trust on first use: the first list of a server is pinned, as far as it is read within a minute. A definition that changes later, or
//! a tool that appears later, is quarantined until somebody approves it: it is not shown and calls to it
//! are denied, because a server that changes what a tool says after it was trusted is an attack
//! ("rug pull") as often as an upgrade. The pin is over the canonical bytes: no change of content is too small to notice.
//!
//! The file is private to the user and trusted: who can write it can approve.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;
use graph::lookalike::skeleton;
use jiff::{SignedDuration, Timestamp};
use ledger::record::Record;
use policy::{Role, ToolFacts, ToolId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::{self, Malformed};
use crate::disk;
use crate::tools::annotations::{Annotations, Fault, Seen};

/// The most tools that are kept of one server.
const TOOLS_MAX: usize = 2_000;
/// The most servers that are kept.
const SERVERS_MAX: usize = 500;
/// The most look-alikes of a tool that are named.
const LOOK_ALIKES_MAX: usize = 8;
/// How long the pages of a server's first list may take: a server whose list never ends would add tools for ever, and what
/// nobody read is not trusted because somebody read what stood before it.
const FIRST_LIST_MAX: SignedDuration = SignedDuration::from_secs(60);
/// The largest definition that is kept, in bytes.
const DEFINITION_MAX_BYTES: usize = 256 * 1024;
/// The longest name of a tool that is taken, in bytes.
const NAME_MAX_BYTES: usize = 1_024;
/// The most bytes of names and pins in one entry of the ledger, which takes none of 64 KiB.
const ENTRY_MAX_BYTES: usize = 48 * 1024;

/// The tools that were seen. Shared by all doors.
#[derive(Debug)]
pub struct Catalogue {
    path: PathBuf,
    /// Held only for map work and the write of the file, never across an await.
    servers: Mutex<BTreeMap<String, Server>>,
    /// The same tools by what their names look like. Held only for map work, after `servers`.
    looks: Mutex<HashMap<String, BTreeSet<ToolId>>>,
    /// The operator's corrections of what was inferred.
    annotations: Annotations,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Server {
    /// Whether the first list is over; until then new tools are pinned, not quarantined.
    complete: bool,
    /// When its first tool was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<Timestamp>,
    tools: BTreeMap<String, Tool>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tool {
    /// The facts of the approved definition; absent while a new tool waits for approval.
    approved: Option<Arc<ToolFacts>>,
    /// Pins that were approved, newest last: two agents may run two versions of one server.
    pins: Vec<String>,
    /// The approved definition, to show what changed; absent if it was approved before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    definition: Option<Box<RawValue>>,
    /// The definition that waits for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    pin: String,
    definition: Box<RawValue>,
}

/// A definition that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The tool.
    pub name: String,
    /// The digest of the definition that waits.
    pub pin: String,
    /// The definition that was approved, as the server wrote it; absent if the tool is new.
    pub before: Option<String>,
    /// The definition that waits, as the server wrote it.
    pub after: String,
}

/// What the catalogue says of a tool.
#[derive(Clone, Debug)]
pub enum Known {
    /// Its definition is approved.
    Facts(Arc<ToolFacts>),
    /// Its definition changed, or it is new at a known server.
    Quarantined,
    /// Never seen.
    Unknown,
}

/// One tool of a list.
#[derive(Debug)]
pub struct Listed<'a> {
    /// Its name.
    pub name: String,
    /// Its definition as the server wrote it.
    pub definition: &'a RawValue,
}

/// What a list changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// Tools newly pinned, with their pins.
    pub pinned: Vec<(String, String)>,
    /// Tools newly quarantined, with the pins that wait.
    pub changed: Vec<(String, String)>,
}

/// The catalogue cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The file.
    #[error("tool catalogue: {0}")]
    Disk(#[from] disk::DiskError),
    /// The operator's corrections.
    #[error("annotations: `{path}`, line {}: {}", first.line, first.message)]
    Annotations {
        /// The file.
        path: PathBuf,
        /// The first of its faults.
        first: Fault,
    },
    /// No such server.
    #[error("no server `{0}` was seen yet")]
    NoServer(String),
}

/// Reads one page of a `tools/list` result: the tools, and whether more follow.
pub fn read_list(result: &str) -> Result<(Vec<Listed<'_>>, bool), Malformed> {
    let [tools, cursor] = call::fields(result, &["tools", "nextCursor"])?;
    let tools: Vec<&RawValue> = tools
        .map(|tools| serde_json::from_str(tools.get()))
        .transpose()
        .map_err(|error| Malformed::NotJson(error.to_string()))?
        .unwrap_or_default();
    let listed = |definition: &'_ RawValue| {
        let [name] = call::fields(definition.get(), &["name"]).ok()?;
        serde_json::from_str(name?.get()).ok().filter(|name: &String| name.len() <= NAME_MAX_BYTES)
    };
    let more = cursor.is_some_and(|cursor| cursor.get() != "null");
    // A definition whose name cannot be read, or is no name any more, is left out, which withholds it.
    Ok((tools.into_iter().filter_map(|raw| Some(Listed { name: listed(raw)?, definition: raw })).collect(), more))
}

/// The records of what became of tools: as many as it takes, for a server lists as many as it likes, and an entry that is too
/// large would be none.
pub(crate) fn records(server: &str, pins: Vec<(String, String)>, (status, by): (&str, &str)) -> Vec<Record> {
    let mut parts: Vec<Vec<(String, String)>> = Vec::new();
    let mut left = 0;
    for (name, pin) in pins {
        // As JSON has them, with what stands around both.
        let size = Value::from(name.as_str()).to_string().len() + pin.len() + 8;
        match parts.last_mut().filter(|_| size <= left) {
            Some(part) => {
                left -= size;
                part.push((name, pin));
            }
            None => {
                left = ENTRY_MAX_BYTES.saturating_sub(size);
                parts.push(vec![(name, pin)]);
            }
        }
    }
    let record = |pins| Record::Tools { server: server.to_owned(), pins, status: status.to_owned(), by: by.to_owned() };
    parts.into_iter().map(record).collect()
}

fn looks_of(servers: &BTreeMap<String, Server>) -> HashMap<String, BTreeSet<ToolId>> {
    let mut looks: HashMap<String, BTreeSet<ToolId>> = HashMap::new();
    for (server, known) in servers {
        for name in known.tools.keys() {
            let id = ToolId { server: server.clone(), name: name.clone() };
            looks.entry(skeleton(name)).or_default().insert(id);
        }
    }
    looks
}

/// The digest of a definition, over its canonical JSON: a server that writes the same definition with its members
/// in another order, as some do for clients of another protocol version, has not changed it. A definition that two
/// parsers could read differently (duplicate members) has no such form and is digested as it stands.
pub fn pin(definition: &RawValue) -> String {
    let canonical = call::strict_value(definition.get()).ok().and_then(|value| ledger::canonical::to_vec(&value).ok());
    let bytes = canonical.unwrap_or_else(|| definition.get().as_bytes().to_vec());
    hex::encode(digest::digest(&digest::SHA256, &bytes))
}

fn read_annotations(path: &Path) -> Result<Annotations, CatalogueError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Annotations::default()),
        Err(error) => return Err(disk::DiskError::Io { path: path.to_owned(), error }.into()),
    };
    Annotations::read(&text).map_err(|faults| {
        let none = Fault { line: 1, error: true, message: "cannot be read".to_owned() };
        CatalogueError::Annotations { path: path.to_owned(), first: faults.into_iter().next().unwrap_or(none) }
    })
}

impl Catalogue {
    /// Reads the catalogue, or begins one; `annotations.toml` beside it corrects what was inferred.
    pub fn open(path: PathBuf) -> Result<Self, CatalogueError> {
        let annotations = read_annotations(&path.with_file_name("annotations.toml"))?;
        Ok(Self { annotations, ..Self::inferred(path)? })
    }

    /// Reads the catalogue without the operator's corrections.
    pub fn inferred(path: PathBuf) -> Result<Self, CatalogueError> {
        let mut servers: BTreeMap<String, Server> = disk::read_json(&path)?.unwrap_or_default();
        for (name, server) in &mut servers {
            server.tools.values_mut().for_each(|tool| tool.complete(name));
        }
        let looks = Mutex::new(looks_of(&servers));
        Ok(Self { path, servers: Mutex::new(servers), looks, annotations: Annotations::default() })
    }

    /// Other tools whose names look like this one's, at servers of a kind. What nobody has approved is shown to nobody and cannot
    /// be called: else a server could have every other's tools asked about by listing names that look like theirs.
    pub(crate) fn look_alikes(&self, id: &ToolId, of: impl Fn(&str) -> bool) -> Vec<String> {
        let mut alike: Vec<ToolId> = {
            let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(alike) = looks.get(&skeleton(&id.name)).filter(|alike| alike.len() > 1) else { return Vec::new() };
            let other = |tool: &&ToolId| tool.name != id.name && (tool.server == id.server || of(&tool.server));
            alike.iter().filter(other).cloned().collect()
        };
        let servers = self.lock();
        let known = |tool: &ToolId| servers.get(&tool.server).and_then(|server| server.tools.get(&tool.name));
        alike.retain(|tool| known(tool).is_some_and(|tool| tool.approved.is_some()));
        alike.iter().take(LOOK_ALIKES_MAX).map(ToString::to_string).collect()
    }

    fn look(&self, server: &str, names: impl Iterator<Item = String>) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let alike = looks.entry(skeleton(&name)).or_default();
            alike.insert(ToolId { server: server.to_owned(), name });
        }
    }

    fn corrected(&self, facts: &Arc<ToolFacts>) -> Arc<ToolFacts> {
        if !self.annotations.names(&facts.id) {
            return facts.clone();
        }
        let mut corrected = ToolFacts::clone(facts);
        self.annotations.apply(&mut corrected);
        Arc::new(corrected)
    }

    /// What is known of a tool.
    pub fn get(&self, id: &ToolId) -> Known {
        let servers = self.lock();
        match servers.get(&id.server).and_then(|server| server.tools.get(&id.name)) {
            Some(Tool { waiting: Some(_), .. }) => Known::Quarantined,
            Some(Tool { approved: Some(facts), .. }) => Known::Facts(self.corrected(facts)),
            _ => Known::Unknown,
        }
    }

    /// The names of the tools that were seen of a server.
    pub(crate) fn names(&self, server: &str) -> Vec<String> {
        self.lock().get(server).into_iter().flat_map(|server| server.tools.keys().cloned()).collect()
    }

    /// The facts of every approved tool, in order.
    pub fn facts(&self) -> Vec<ToolFacts> {
        let servers = self.lock();
        let tools = servers.values().flat_map(|server| server.tools.values());
        tools
            .filter(|tool| tool.waiting.is_none())
            .filter_map(|tool| Some(ToolFacts::clone(&self.corrected(tool.approved.as_ref()?))))
            .collect()
    }

    /// Every approved tool with the schema of its results, in order.
    pub fn seen(&self) -> Vec<Seen> {
        let servers = self.lock();
        let tools = servers.values().flat_map(|server| server.tools.values()).filter(|tool| tool.waiting.is_none());
        let seen = |tool: &Tool| {
            let definition = tool.definition.as_ref().and_then(|definition| call::strict_value(definition.get()).ok());
            let output = definition.and_then(|definition| definition.get("outputSchema").cloned()).unwrap_or_default();
            Some(Seen { facts: ToolFacts::clone(&self.corrected(tool.approved.as_ref()?)), output })
        };
        tools.filter_map(seen).collect()
    }

    /// Takes in one page of a server's list, which says whether more follow.
    pub fn learn(
        &self,
        server_name: &str,
        (tools, more): (&[Listed<'_>], bool),
        now: Timestamp,
    ) -> Result<Learned, CatalogueError> {
        let mut servers = self.lock();
        if servers.len() >= SERVERS_MAX && !servers.contains_key(server_name) {
            return Ok(Learned::default());
        }
        let server = servers.entry(server_name.to_owned()).or_default();
        let mut learned = Learned::default();
        let mut dirty = server.closes(now);
        for tool in tools {
            dirty |= server.learn(server_name, tool, &mut learned);
        }
        if !server.complete && !server.tools.is_empty() {
            // The last page may be empty.
            let begun = *server.begun.get_or_insert(now);
            dirty |= !more || begun == now;
            server.complete = !more;
        }
        if dirty {
            self.look(server_name, server.tools.keys().cloned());
            disk::write_json(&self.path, &*servers)?;
        }
        Ok(learned)
    }

    /// Takes in tools whose facts are built in.
    pub fn learn_facts(&self, facts: Vec<ToolFacts>) -> Result<bool, CatalogueError> {
        let mut servers = self.lock();
        let mut dirty = false;
        for facts in facts {
            let server = servers.entry(facts.id.server.clone()).or_default();
            server.complete = true;
            let name = facts.id.name.clone();
            let pins = vec![facts.pin.clone()];
            let new = Tool { pins, approved: Some(Arc::new(facts)), definition: None, waiting: None };
            if server.tools.get(&name).is_none_or(|tool| tool.approved != new.approved) {
                server.tools.insert(name, new);
                dirty = true;
            }
        }
        if dirty {
            disk::write_json(&self.path, &*servers)?;
        }
        Ok(dirty)
    }

    /// Approves what waits at a server and was seen by whoever approves: definitions with these pins. Answers them.
    pub fn approve(&self, server_name: &str, pins: &BTreeSet<String>) -> Result<Vec<Change>, CatalogueError> {
        let mut servers = self.lock();
        let server = servers.get_mut(server_name).ok_or_else(|| CatalogueError::NoServer(server_name.to_owned()))?;
        let mut approved = Vec::new();
        for (name, tool) in &mut server.tools {
            if let Some(waiting) = tool.waiting.take_if(|waiting| pins.contains(&waiting.pin)) {
                approved.push(tool.change(name, &waiting));
                tool.approve(server_name, &waiting);
            }
        }
        if !approved.is_empty() {
            disk::write_json(&self.path, &*servers)?;
        }
        Ok(approved)
    }

    /// The definitions that wait for approval at a server.
    pub fn waiting(&self, server: &str) -> Vec<Change> {
        let servers = self.lock();
        let tools = servers.get(server).into_iter().flat_map(|server| &server.tools);
        tools.filter_map(|(name, tool)| Some(tool.change(name, tool.waiting.as_ref()?))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Server>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Whether the time of a first list that nobody read to its end is over now.
    fn closes(&mut self, now: Timestamp) -> bool {
        let is_late = !self.complete && self.begun.is_some_and(|begun| begun.duration_until(now) > FIRST_LIST_MAX);
        self.complete |= is_late;
        is_late
    }

    /// Whether anything changed.
    fn learn(&mut self, server: &str, tool: &Listed<'_>, learned: &mut Learned) -> bool {
        let seen = Waiting { pin: pin(tool.definition), definition: tool.definition.to_owned() };
        let full = self.tools.len() >= TOOLS_MAX || tool.definition.get().len() > DEFINITION_MAX_BYTES;
        match self.tools.get_mut(&tool.name) {
            // At the bound a tool stays unknown, which denies it.
            None if full => false,
            None => {
                let mut new = Tool { approved: None, pins: Vec::new(), definition: None, waiting: None };
                let event = (tool.name.clone(), seen.pin.clone());
                if self.complete {
                    new.waiting = Some(seen);
                    learned.changed.push(event);
                } else {
                    new.approve(server, &seen);
                    learned.pinned.push(event);
                }
                self.tools.insert(tool.name.clone(), new);
                true
            }
            Some(known) if known.pins.contains(&seen.pin) => {
                // The approved definition is back, so nothing waits any more.
                let was_waiting = known.waiting.take().is_some();
                let other = known.approved.as_ref().is_none_or(|facts| facts.pin != seen.pin);
                let unseen = known.definition.is_none();
                if other {
                    known.approve(server, &seen);
                } else if unseen {
                    known.definition = Some(seen.definition);
                }
                was_waiting || other || unseen
            }
            Some(known) if known.waiting.as_ref().is_some_and(|waiting| waiting.pin == seen.pin) => false,
            Some(known) => {
                learned.changed.push((tool.name.clone(), seen.pin.clone()));
                known.waiting = Some(seen);
                true
            }
        }
    }
}

impl Tool {
    fn change(&self, name: &str, waiting: &Waiting) -> Change {
        let before = self.definition.as_ref().map(|definition| definition.get().to_owned());
        let after = waiting.definition.get().to_owned();
        Change { name: name.to_owned(), pin: waiting.pin.clone(), before, after }
    }

    /// Facts that were written before arguments were looked at for commands do not name them.
    fn complete(&mut self, server: &str) {
        let (Some(facts), Some(definition)) = (&mut self.approved, &self.definition) else { return };
        if facts.commands.is_empty() && facts.roles.values().any(|role| *role == Role::Command) {
            let definition = call::strict_value(definition.get()).unwrap_or(Value::Null);
            let commands = crate::tools::infer(server, &definition, String::new()).commands;
            if !commands.is_empty() {
                Arc::make_mut(facts).commands = commands;
            }
        }
    }

    fn approve(&mut self, server: &str, seen: &Waiting) {
        let definition = call::strict_value(seen.definition.get()).unwrap_or(Value::Null);
        // A definition that two parsers may read differently gets no facts, and so stays unknown.
        self.approved =
            definition.is_object().then(|| Arc::new(crate::tools::infer(server, &definition, seen.pin.clone())));
        self.definition = Some(seen.definition.clone());
        self.pins.retain(|pin| *pin != seen.pin);
        self.pins.push(seen.pin.clone());
        let excess = self.pins.len().saturating_sub(8);
        self.pins.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn raw(text: &str) -> String {
        pin(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn order_is_no_change_and_any_content_is() {
        let one = raw(r#"{"name":"read","inputSchema":{"type":"object","title":"r"}}"#);
        assert_eq!(one, raw(r#"{ "inputSchema": {"title":"r","type":"object"}, "name":"read" }"#));
        assert_ne!(one, raw(r#"{"name":"read","inputSchema":{"type":"object","title":"r "}}"#));
        assert_ne!(one, raw(r#"{"name":"read","inputSchema":{"type":"object","title":"r"},"x":null}"#));
    }

    /// It is shown to nobody, so that nobody takes another for it.
    #[test]
    fn what_nobody_approved_looks_like_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(dir.path().join("tools.json")).unwrap();
        let raw = |name: &str| RawValue::from_string(format!(r#"{{"name":"{name}"}}"#)).unwrap();
        let learn = |server: &str, name: &str| {
            let definition = raw(name);
            let listed = [Listed { name: name.to_owned(), definition: &definition }];
            catalogue.learn(server, (&listed, false), NOW).unwrap();
        };
        learn("files", "read_note");
        learn("evil", "other");
        learn("evil", "Read_Note");
        let note = ToolId { server: "files".to_owned(), name: "read_note".to_owned() };
        assert!(catalogue.look_alikes(&note, |_| true).is_empty());
        assert_eq!(catalogue.approve("evil", &[pin(&raw("Read_Note"))].into()).unwrap().len(), 1);
        assert_eq!(catalogue.look_alikes(&note, |_| true), ["evil/Read_Note"]);
        assert!(catalogue.look_alikes(&note, |_| false).is_empty());
    }

    #[test]
    fn a_change_shows_what_was_approved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tools.json");
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let (old, new) = (raw(r#"{"name":"a","description":"reads"}"#), raw(r#"{"name":"a","description":"sends"}"#));
        let listed = |definition| [Listed { name: "a".to_owned(), definition }];
        let catalogue = Catalogue::open(path.clone()).unwrap();
        catalogue.learn("s", (&listed(&old), false), NOW).unwrap();
        catalogue.learn("s", (&listed(&new), false), NOW).unwrap();
        let before = Some(old.get().to_owned());
        let change = Change { name: "a".to_owned(), pin: pin(&new), before, after: new.get().to_owned() };
        assert_eq!(Catalogue::open(path).unwrap().waiting("s"), [change]);
        assert!(catalogue.approve("s", &[pin(&old)].into()).unwrap().is_empty(), "what nobody saw is not approved");
        assert_eq!(catalogue.waiting("s").len(), 1);
        assert_eq!(catalogue.approve("s", &[pin(&new)].into()).unwrap().len(), 1);
        catalogue.learn("s", (&listed(&old), false), NOW).unwrap();
        assert!(catalogue.waiting("s").is_empty(), "an approved definition that is back is no change");
    }

    #[test]
    fn a_shell_that_was_approved_before_shells_were_known_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tools.json");
        let definition = r#"{"name":"run","inputSchema":{"properties":{"command":{"type":"string"}}}}"#;
        let definition = RawValue::from_string(definition.to_owned()).unwrap();
        let listed = [Listed { name: "run".to_owned(), definition: &definition }];
        Catalogue::open(path.clone()).unwrap().learn("s", (&listed, false), NOW).unwrap();
        let mut written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let facts = written["s"]["tools"]["run"]["approved"].as_object_mut().unwrap();
        assert!(facts.remove("commands").is_some());
        std::fs::write(&path, written.to_string()).unwrap();
        let id = ToolId { server: "s".to_owned(), name: "run".to_owned() };
        let Known::Facts(facts) = Catalogue::open(path).unwrap().get(&id) else { panic!("it is approved") };
        assert!(facts.commands.contains_key("/command"));
    }

    #[test]
    fn a_tool_that_comes_after_a_list_whose_last_page_was_empty_waits() {
        let dir = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(dir.path().join("tools.json")).unwrap();
        let raw = |name: &str| RawValue::from_string(format!(r#"{{"name":"{name}"}}"#)).unwrap();
        let (first, later) = (raw("a"), raw("b"));
        let listed = |name: &str, definition| [Listed { name: name.to_owned(), definition }];
        catalogue.learn("s", (&listed("a", &first), true), NOW).unwrap();
        catalogue.learn("s", (&[], false), NOW).unwrap();
        catalogue.learn("s", (&listed("b", &later), false), NOW).unwrap();
        assert_eq!(catalogue.waiting("s").len(), 1);
    }

    /// As of a server that gives a cursor with every page, or a client that reads the first page only.
    #[test]
    fn a_first_list_that_nobody_read_to_its_end_is_over_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tools.json");
        let catalogue = Catalogue::open(path.clone()).unwrap();
        let raw = |name: &str| RawValue::from_string(format!(r#"{{"name":"{name}"}}"#)).unwrap();
        let page = |catalogue: &Catalogue, name: &str, second: i64| {
            let listed = [Listed { name: name.to_owned(), definition: &raw(name) }];
            let now = NOW.checked_add(SignedDuration::from_secs(second)).unwrap();
            catalogue.learn("s", (&listed, true), now).unwrap()
        };
        assert_eq!(page(&catalogue, "a", 0).pinned.len(), 1);
        assert_eq!(page(&catalogue, "b", 60).pinned.len(), 1, "a page of the first list");
        let again = Catalogue::open(path).unwrap();
        assert_eq!(page(&again, "c", 61).changed.len(), 1);
        assert_eq!(again.waiting("s").len(), 1);
    }

    #[test]
    fn what_a_lenient_parser_drops_or_rounds_is_seen() {
        assert_ne!(raw(r#"{"o":{"d":"evil","d":"good"}}"#), raw(r#"{"o":{"d":"good"}}"#));
        assert_ne!(raw(r#"{"n":9007199254740993}"#), raw(r#"{"n":9007199254740992}"#));
    }
}

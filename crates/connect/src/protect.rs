//! Puts the gateway between clients and their servers, and takes it out again.
//!
//! [`plan`] and [`plan_undo`] say what would change and change nothing; [`apply`] does one file. Every
//! edit is small, is proved when it is planned (the file still parses, this server runs as before but
//! through the gateway, every other server is unchanged, and taking the edit back gives the same
//! bytes), and is remembered in the [`Store`]. A server for which that proof fails is left as it is,
//! and the plan says so.
//!
//! Never rewrites a file that changed between plan and apply. Never shows a secret: see [`Plan`].

mod edit;
mod hooks;
mod store;
mod upstreams;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

pub use edit::Change;
pub use store::{Manifest, Store, digest, write};
pub use upstreams::{Launch as UpstreamLaunch, Upstream, Upstreams};

use crate::clients::{Candidate, Machine, Scope};
use crate::document::{Document, Format, Step};
use crate::server::{CommandForm, Launch, Remote, Server, Stdio, Transport};
use crate::{file, package, secret, server};
use edit::Undone;

/// The header that tells the gateway which agent calls.
pub const KEY_HEADER: &str = "x-bailiwick-key";

/// The loopback port of the fronted servers, unless another is asked for.
pub const PORT: u16 = 7682;

/// How a rewritten configuration reaches the gateway.
#[derive(Clone)]
pub struct Gateway {
    /// The absolute path of the `bailiwick` binary.
    pub program: PathBuf,
    /// Its home, if it is not where the binary looks by itself.
    pub home: Option<PathBuf>,
    /// The loopback port of the fronted servers.
    pub port: u16,
    /// The key of each client, by id.
    pub keys: BTreeMap<String, String>,
    /// Whether clients are told to run what policy permits without asking their user.
    pub skip_prompts: bool,
}

/// What to plan.
pub struct Options<'a> {
    /// Where the clients are.
    pub machine: &'a Machine,
    /// Only these clients, by id; all if empty.
    pub clients: &'a [String],
    /// The originals.
    pub store: &'a Store,
}

/// What would be done.
pub struct Plan {
    /// File by file.
    pub files: Vec<FilePlan>,
    /// The remote servers that the gateway must know.
    pub upstreams: Upstreams,
    /// Files that were passed over, and why.
    pub unread: Vec<crate::Unread>,
}

/// What would be done to one file. Holds its bytes, so it has no `Debug`; show it with [`FilePlan::masked`].
pub struct FilePlan {
    /// The client's id.
    pub client: String,
    /// For whom the file holds.
    pub scope: Scope,
    /// The file, with symbolic links resolved.
    pub path: PathBuf,
    /// The bytes now; none if there is no file.
    pub before: Option<Vec<u8>>,
    /// The bytes afterwards; none if the file goes.
    pub after: Option<Vec<u8>>,
    /// What becomes of each server and hook, and notes.
    pub outcomes: Vec<Outcome>,
    /// What is remembered afterwards: the bytes to restore and how; none if nothing is left to undo.
    keep: Option<(Manifest, Vec<u8>)>,
    /// Texts that must not be shown.
    secrets: BTreeSet<(String, &'static str)>,
}

/// What becomes of one server or hook.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// The server's or event's name.
    pub name: String,
    /// What becomes of it.
    pub status: Status,
    /// Why, if that needs a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// What becomes of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It goes through the gateway.
    Protected,
    /// It is as it was before.
    Restored,
    /// It is left as it is.
    Left,
}

impl Outcome {
    fn new(name: &str, status: Status, because: Option<String>) -> Self {
        Self { name: name.to_owned(), status, because }
    }
}

impl FilePlan {
    /// Whether the file's bytes change.
    pub fn changes(&self) -> bool {
        self.before != self.after
    }

    /// The text before and after, for a diff, with every secret replaced by its rule's name.
    pub fn masked(&self) -> (String, String) {
        let mask = |bytes: &Option<Vec<u8>>| {
            let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
            self.secrets.iter().fold(text, |text, (secret, rule)| text.replace(secret.as_str(), &format!("[{rule}]")))
        };
        (mask(&self.before), mask(&self.after))
    }
}

/// Whether a command line already goes through the gateway.
pub fn is_shim(command: &str, args: &[String]) -> bool {
    package::base_name(command) == "bailiwick" && shim_length(args).is_some()
}

/// How many arguments of a shim come before the original command.
fn shim_length(args: &[String]) -> Option<usize> {
    let dashes = args.iter().position(|arg| arg == "--")?;
    args.iter().take(dashes).any(|arg| arg == "mcp").then_some(dashes + 1)
}

/// The server behind a shim, if it is one.
pub fn behind_shim(stdio: &Stdio) -> Option<Stdio> {
    let clear: Vec<String> = stdio.args.iter().map(|arg| arg.value.clone()).collect();
    if package::base_name(&stdio.command.value) != "bailiwick" {
        return None;
    }
    let (command, args) = stdio.args.get(shim_length(&clear)?..)?.split_first()?;
    Some(Stdio { command: command.clone(), args: args.to_vec(), ..stdio.clone() })
}

/// Whether a remote server already goes through the gateway.
pub fn is_fronted(server: &Server) -> bool {
    match &server.launch {
        Launch::Remote(remote) => remote.headers.iter().any(|header| header.name.eq_ignore_ascii_case(KEY_HEADER)),
        _ => false,
    }
}

/// Says how every found configuration would be rewritten.
pub fn plan(options: &Options<'_>, gateway: &Gateway, upstreams: Upstreams) -> io::Result<Plan> {
    let mut plan = Plan { files: Vec::new(), upstreams, unread: Vec::new() };
    for candidate in candidates(options) {
        let path = candidate.path.canonicalize().unwrap_or_else(|_| candidate.path.clone());
        let manifest = options.store.manifest(&path)?;
        match plan_file(options.store, gateway, (&candidate, &path, manifest), &mut plan.upstreams) {
            Ok(file) => plan.files.extend(file),
            Err(reason) => {
                plan.unread.push(crate::Unread { source: path.display().to_string(), line: None, reason });
            }
        }
    }
    Ok(plan)
}

/// The files to rewrite: each once, and those of a client's hooks even if they are not there yet.
fn candidates(options: &Options<'_>) -> Vec<Candidate> {
    let mut seen = BTreeSet::new();
    let named = |client: &str| options.clients.iter().any(|named| named == client);
    let wanted = |client: &str| options.clients.is_empty() || named(client);
    let mut found = options.machine.find();
    let of_user = found.iter().filter(|candidate| candidate.found && candidate.place.scope == Scope::User);
    let installed: BTreeSet<&str> = of_user.map(|candidate| candidate.client).collect();
    found.extend(hooks::candidates(options.machine, &found));
    found.retain(|candidate| {
        let is_there = installed.contains(candidate.client) || named(candidate.client);
        let hooked = hooks::of(candidate).is_some() && is_there;
        let real = candidate.path.canonicalize().unwrap_or_else(|_| candidate.path.clone());
        wanted(candidate.client)
            && candidate.place.scope != Scope::System
            && (candidate.found || hooked)
            && seen.insert(real)
    });
    found
}

/// A text that is being rewritten.
struct Work {
    document: Document,
    changes: Vec<Change>,
    outcomes: Vec<Outcome>,
}

impl Work {
    /// Makes one server's edits, or none of them: the proof is that the result parses, that `proof`
    /// holds of it, and that taking the edits back gives the bytes from before.
    fn attempt(&mut self, edits: &[Edit<'_>], proof: impl Fn(&Document) -> bool) -> Result<(), String> {
        let format = self.document.format();
        let parse =
            |text: &str| Document::parse(text, format).map_err(|_| "would not be readable afterwards".to_owned());
        let mut document = self.document.clone();
        let mut changes = Vec::new();
        for edit in edits {
            let (text, change) = edit(&document).map_err(|refused| refused.to_string())?;
            document = parse(&text)?;
            changes.push(change);
        }
        if !proof(&document) {
            return Err("would not mean the same afterwards".to_owned());
        }
        let mut back = document.clone();
        for change in changes.iter().rev() {
            let Undone::Text(text) = edit::take_back(&back, change) else {
                return Err("could not be restored afterwards".to_owned());
            };
            back = parse(&text)?;
        }
        if back.text() != self.document.text() {
            return Err("could not be restored byte for byte afterwards".to_owned());
        }
        self.document = document;
        self.changes.extend(changes);
        Ok(())
    }
}

type Edit<'a> = Box<dyn Fn(&Document) -> edit::Changed + 'a>;

type Found<'a> = (&'a Candidate, &'a Path, Option<Manifest>);

fn plan_file(
    store: &Store,
    gateway: &Gateway,
    (candidate, path, manifest): Found<'_>,
    upstreams: &mut Upstreams,
) -> Result<Option<FilePlan>, String> {
    let hooks = hooks::of(candidate);
    if let Some(own) = hooks.filter(|hooks| hooks.is_own()) {
        return own.plan_own(gateway, (path, manifest.as_ref())).map(Some);
    }
    let before = read(path)?;
    let format = candidate.place.format;
    if before.is_none() && hooks.is_none() {
        return Ok(None);
    }
    let (base, mut outcomes) = baseline(store, manifest.as_ref(), before.as_deref(), format)?;
    let (mark, text) = text_of(base.as_deref())?;
    let start =
        if text.trim().is_empty() && format == Format::Json { hooks.map_or("{}\n", hooks::Hooks::start) } else { text };
    let document = Document::parse(start, format).map_err(|malformed| malformed.to_string())?;
    let found = server::read(&document, candidate.place.servers);
    outcomes.extend(found.problems.iter().map(|problem| Outcome::new("", Status::Left, Some(problem.reason.clone()))));
    let mut secrets = secrets_of(&document);
    let mut work = Work { document, changes: Vec::new(), outcomes };
    for server in &found.servers {
        let result = protect_server(&mut work, gateway, candidate, server, upstreams);
        work.outcomes.push(match result {
            Ok(()) => Outcome::new(&server.name, Status::Protected, None),
            Err(because) => Outcome::new(&server.name, Status::Left, Some(because)),
        });
    }
    if let Some(hooks) = hooks {
        hooks.protect(&mut work, gateway, (&candidate.path, store));
    }
    if work.outcomes.is_empty() {
        return Ok(None);
    }
    let written = if work.changes.is_empty() { base.clone() } else { Some(encode(mark, &pretty_if_new(&work, text))) };
    let keep = (!work.changes.is_empty()).then(|| {
        let original = base.clone().unwrap_or_default();
        let manifest = Manifest {
            path: path.to_owned(),
            client: candidate.client.to_owned(),
            existed: base.is_some(),
            before: digest(&original),
            after: digest(written.as_deref().unwrap_or_default()),
            changes: work.changes.clone(),
        };
        (manifest, original)
    });
    secrets.extend(gateway.keys.values().map(|key| (key.clone(), "gateway-key")));
    Ok(Some(FilePlan {
        client: candidate.client.to_owned(),
        scope: candidate.place.scope,
        path: path.to_owned(),
        before,
        after: written,
        outcomes: work.outcomes,
        keep,
        secrets,
    }))
}

/// A file that was made by us is written as a person would.
fn pretty_if_new(work: &Work, text: &str) -> String {
    if text.trim().is_empty() && work.document.format() == Format::Json {
        let value = edit::plain(work.document.root());
        return serde_json::to_string_pretty(&value).map(|text| text + "\n").unwrap_or_default();
    }
    work.document.text().to_owned()
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match file::read(path) {
        Ok(text) => Ok(Some(text.into_bytes())),
        Err(file::Unreadable::Absent) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The byte order mark, and the text after it.
fn text_of(bytes: Option<&[u8]>) -> Result<(bool, &str), String> {
    let text = std::str::from_utf8(bytes.unwrap_or_default()).map_err(|_| "is not UTF-8".to_owned())?;
    let bare = file::without_mark(text);
    Ok((bare.len() != text.len(), bare))
}

fn encode(mark: bool, text: &str) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    format!("{mark}{text}").into_bytes()
}

/// The file as it would be without us: the original bytes if it is as we left it, else what is there
/// minus our changes.
fn baseline(
    store: &Store,
    manifest: Option<&Manifest>,
    before: Option<&[u8]>,
    format: Format,
) -> Result<(Option<Vec<u8>>, Vec<Outcome>), String> {
    let now = before.map(digest);
    let Some(manifest) = manifest.filter(|manifest| now.as_ref() != Some(&manifest.before)) else {
        return Ok((before.map(<[u8]>::to_vec), Vec::new()));
    };
    let Some(bytes) = before else { return Ok((None, Vec::new())) };
    if now.as_ref() == Some(&manifest.after) {
        let original =
            store.original(manifest).map_err(|error| format!("original cannot be read: {}", error.kind()))?;
        if let Some(original) = original {
            return Ok((manifest.existed.then_some(original), Vec::new()));
        }
    }
    let (mark, text) = text_of(Some(bytes))?;
    let mut document = Document::parse(text, format).map_err(|malformed| malformed.to_string())?;
    let mut outcomes = Vec::new();
    for change in manifest.changes.iter().rev() {
        match edit::take_back(&document, change) {
            Undone::Text(text) => match Document::parse(&text, format) {
                Ok(next) => document = next,
                Err(_) => outcomes.push(left(change)),
            },
            Undone::Gone => {}
            Undone::Changed => outcomes.push(left(change)),
        }
    }
    let is_empty = document.root().entries().is_empty();
    let kept = manifest.existed || !is_empty;
    Ok((kept.then(|| encode(mark, document.text())), outcomes))
}

fn left(change: &Change) -> Outcome {
    let at = match change {
        Change::Value { at, .. }
        | Change::Items { at, .. }
        | Change::Entry { at, .. }
        | Change::Hook { at, .. }
        | Change::Table { at, .. } => at.as_slice(),
        Change::Whole => &[],
    };
    let name = |step: &Step| match step {
        Step::Key(key) | Step::Named(key) => key.clone(),
        Step::At(index) => index.to_string(),
    };
    let name = at.iter().map(name).collect::<Vec<_>>().join("/");
    Outcome::new(&name, Status::Left, Some("was changed by somebody else since, so it stays".to_owned()))
}

fn protect_server(
    work: &mut Work,
    gateway: &Gateway,
    candidate: &Candidate,
    server: &Server,
    upstreams: &mut Upstreams,
) -> Result<(), String> {
    let mut body = server.at.clone();
    body.extend(server.body.iter().cloned());
    match &server.launch {
        Launch::Internal => Err("is a part of the client and has no command".to_owned()),
        Launch::Stdio(stdio) => protect_stdio(work, gateway, (candidate, server), stdio, &body),
        Launch::Remote(remote) => protect_remote(work, gateway, (candidate, server), (remote, &body), upstreams),
    }
}

type Where<'a> = (&'a Candidate, &'a Server);

fn protect_stdio(
    work: &mut Work,
    gateway: &Gateway,
    (candidate, server): Where<'_>,
    stdio: &Stdio,
    body: &[Step],
) -> Result<(), String> {
    let clear: Vec<String> = stdio.args.iter().map(|arg| arg.value.clone()).collect();
    if is_shim(&stdio.command.value, &clear) {
        return Err("goes through the gateway already".to_owned());
    }
    let program = gateway.program.to_str().ok_or("the path of `bailiwick` is not UTF-8")?.to_owned();
    let mut words: Vec<String> = Vec::new();
    if let Some(home) = &gateway.home {
        words.extend(["--home".to_owned(), home.to_str().ok_or("the home is not UTF-8")?.to_owned()]);
    }
    let named = ["mcp", "--agent", candidate.client, "--server", &server.name, "--"].map(str::to_owned);
    words.extend(named);
    words.push(stdio.command.value.clone());
    let expected: Vec<String> = std::iter::once(&program).chain(&words).chain(&clear).cloned().collect();
    let step = |key: &str| {
        let mut at = body.to_vec();
        at.push(Step::Key(key.to_owned()));
        at
    };
    let mut edits: Vec<Edit<'_>> = Vec::new();
    match stdio.form {
        CommandForm::Joined => {
            // `["npx", …]`: everything up to the original program goes in front of it.
            let mut front = vec![program.clone()];
            front.extend(words.iter().take(words.len() - 1).cloned());
            let key = ["command", "cmd"]
                .into_iter()
                .find(|key| work.document.root().at(&step(key)).is_some_and(|node| node.is_list()));
            let at = step(key.unwrap_or("command"));
            edits.push(Box::new(move |document| edit::prepend(document, &at, &front)));
        }
        CommandForm::Split(key) => split_edits(&mut edits, &work.document, (body.to_vec(), key), (&program, &words)),
        CommandForm::Nested => split_edits(&mut edits, &work.document, (step("command"), "path"), (&program, &words)),
    }
    let others = shapes(&work.document, candidate, Some(&server.at));
    work.attempt(&edits, |document| {
        let found = server::read(document, candidate.place.servers);
        let ours = found.servers.iter().find(|other| other.at == server.at);
        let runs = ours.is_some_and(|ours| match &ours.launch {
            Launch::Stdio(now) => {
                let line: Vec<&String> =
                    std::iter::once(&now.command).chain(&now.args).map(|word| &word.value).collect();
                line.into_iter().eq(&expected) && same_settings(&now.env, &stdio.env)
            }
            _ => false,
        });
        runs && shapes(document, candidate, Some(&server.at)) == others
    })
}

/// The edits for a program and arguments under two keys of one map.
fn split_edits<'a>(
    edits: &mut Vec<Edit<'a>>,
    document: &Document,
    (map, key): (Vec<Step>, &'static str),
    (program, words): (&'a String, &'a [String]),
) {
    let mut args = map.clone();
    args.push(Step::Key("args".to_owned()));
    let mut command = map.clone();
    command.push(Step::Key(key.to_owned()));
    match document.root().at(&args) {
        Some(node) if node.is_list() => edits.push(Box::new(move |document| edit::prepend(document, &args, words))),
        Some(_) => edits.push(Box::new(move |document| edit::set(document, &args, &Json::from(words.to_vec())))),
        None => edits.push(Box::new(move |document| edit::insert_list(document, &map, key, ("args", words)))),
    }
    edits.push(Box::new(move |document| edit::set(document, &command, &Json::from(program.as_str()))));
}

fn same_settings(a: &[server::Setting], b: &[server::Setting]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name == b.name && a.value.value == b.value.value)
}

/// What every server but one means, without positions.
fn shapes(document: &Document, candidate: &Candidate, except: Option<&Vec<Step>>) -> Vec<Json> {
    let servers = server::read(document, candidate.place.servers).servers;
    let others = servers.iter().filter(|server| Some(&server.at) != except);
    others.filter_map(|server| document.root().at(&server.at)).map(edit::plain).collect()
}

fn protect_remote(
    work: &mut Work,
    gateway: &Gateway,
    (candidate, server): Where<'_>,
    (remote, body): (&Remote, &[Step]),
    upstreams: &mut Upstreams,
) -> Result<(), String> {
    if is_fronted(server) {
        return Err("goes through the gateway already".to_owned());
    }
    if remote.transport == Transport::Sse {
        return Err("uses the old SSE transport, which the gateway does not front".to_owned());
    }
    let url = &remote.url.value;
    if url.contains("${") || url.contains("{{") || url.contains('%') && url.contains("%}") {
        return Err("has an address with variables that only the client knows".to_owned());
    }
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err("has an address that is neither http nor https".to_owned());
    }
    let key = gateway.keys.get(candidate.client).ok_or("the client has no key")?;
    // Reserved only if the edits hold, so that a server that is left leaves no name behind.
    let mut reserved = upstreams.clone();
    let front = format!("http://127.0.0.1:{}/mcp/{}", gateway.port, reserved.name_for(&server.name, url));
    let mut at = body.to_vec();
    at.push(Step::Key(remote.url_key.to_owned()));
    let keys = crate::clients::client(candidate.client).map_or(&["headers"][..], |client| client.headers_key);
    let path: Vec<&str> = keys.iter().copied().chain([KEY_HEADER]).collect();
    let edits: Vec<Edit<'_>> = vec![
        Box::new(|document| edit::insert_entry(document, body, remote.url_key, (&path, key))),
        Box::new(|document| edit::set(document, &at, &Json::from(front.as_str()))),
    ];
    let others = shapes(&work.document, candidate, Some(&server.at));
    work.attempt(&edits, |document| {
        let found = server::read(document, candidate.place.servers);
        let ours = found.servers.iter().find(|other| other.at == server.at);
        let fronted = ours.is_some_and(|ours| match &ours.launch {
            Launch::Remote(now) => {
                let rest: Vec<_> = now.headers.iter().filter(|header| header.name != KEY_HEADER).cloned().collect();
                now.url.value == front && is_fronted(ours) && same_settings(&rest, &remote.headers)
            }
            _ => false,
        });
        fronted && shapes(document, candidate, Some(&server.at)) == others
    })?;
    *upstreams = reserved;
    Ok(())
}

/// Says how every rewritten configuration would be restored.
pub fn plan_undo(options: &Options<'_>) -> io::Result<Plan> {
    let mut plan = Plan { files: Vec::new(), upstreams: Upstreams::default(), unread: Vec::new() };
    let mut seen = BTreeSet::new();
    for manifest in options.store.manifests()? {
        if !options.clients.is_empty() && !options.clients.contains(&manifest.client) {
            continue;
        }
        seen.insert(manifest.path.clone());
        match undo_file(options.store, &manifest) {
            Ok(file) => plan.files.push(file),
            Err(reason) => {
                plan.unread.push(crate::Unread { source: manifest.path.display().to_string(), line: None, reason });
            }
        }
    }
    Ok(plan)
}

fn undo_file(store: &Store, manifest: &Manifest) -> Result<FilePlan, String> {
    let before = read(&manifest.path)?;
    let name = manifest.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let format = Format::of(name).unwrap_or(Format::Json);
    let (after, mut outcomes) = baseline(store, Some(manifest), before.as_deref(), format)?;
    let exact = before.as_deref().map(digest).as_ref() == Some(&manifest.after);
    let because = match (&before, exact) {
        (None, _) => Some("the file is gone; nothing is restored".to_owned()),
        (Some(_), true) => None,
        (Some(_), false) => Some("the file was changed since: only our edits were taken out".to_owned()),
    };
    outcomes.push(Outcome::new("", Status::Restored, because));
    let secrets = [&before, &after]
        .into_iter()
        .filter_map(|bytes| Document::parse(text_of(bytes.as_deref()).ok()?.1, format).ok())
        .flat_map(|document| secrets_of(&document))
        .collect();
    Ok(FilePlan {
        client: manifest.client.clone(),
        scope: Scope::User,
        path: manifest.path.clone(),
        before,
        after,
        outcomes,
        keep: None,
        secrets,
    })
}

/// Every text of a document that must not be shown, with its rule.
fn secrets_of(document: &Document) -> BTreeSet<(String, &'static str)> {
    let mut secrets = BTreeSet::new();
    let mut open = vec![("", document.root())];
    while let Some((name, node)) = open.pop() {
        open.extend(node.entries().iter().map(|entry| (entry.key.as_str(), &entry.node)));
        let mut before = "";
        for item in node.items() {
            let flag = Some(before).filter(|flag| flag.starts_with('-')).unwrap_or(name);
            open.push((flag, item));
            before = item.text().unwrap_or_default();
        }
        let Some(text) = node.text() else { continue };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if !name.contains([' ', ':']) => (name, value),
            _ => (name, text),
        };
        let rule = |name: &str| if name == KEY_HEADER { "gateway-key" } else { "" };
        for found in secret::find_named(name, value) {
            let own = rule(name);
            let rule = if own.is_empty() { found.rule } else { own };
            secrets.extend(value.get(found.range).map(|text| (text.to_owned(), rule)));
        }
    }
    secrets
}

/// A file could not be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else wrote it meanwhile.
    #[error("`{0}` was changed by somebody else just now; nothing was written: run the command again")]
    Changed(PathBuf),
    /// The system refused.
    #[error("cannot write `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Does what a plan says for one file. The caller holds [`Store::lock`].
pub fn apply(plan: &FilePlan, store: &Store) -> Result<(), ApplyError> {
    let failed = |source| ApplyError::Io { path: plan.path.clone(), source };
    let unchanged = || read(&plan.path).is_ok_and(|now| now == plan.before);
    if !unchanged() {
        return Err(ApplyError::Changed(plan.path.clone()));
    }
    if let Some((manifest, original)) = &plan.keep {
        store.keep(manifest, original).map_err(failed)?;
    }
    match (&plan.after, plan.changes()) {
        (Some(bytes), true) => write(&plan.path, bytes, None).map_err(failed)?,
        (None, true) => std::fs::remove_file(&plan.path).map_err(failed)?,
        (_, false) => {}
    }
    if plan.keep.is_none() {
        store.forget(&plan.path).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Looks at a machine and at folders, and says what is there, what is not, and what could not be read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use graph::{EntityId, EntityKind, Observation};
use ignore::WalkBuilder;

use crate::clients::{Candidate, Machine};
use crate::config::{self, Config};
use crate::document::Format;
use crate::observe::Observer;
use crate::prompt::{self, Prompt};
use crate::protect::Upstreams;
use crate::secret::Salt;
use crate::server::{Problem, Server};
use crate::{Unread, file, mandate, owner};

/// What to look at.
#[derive(Clone)]
pub struct ScanOptions {
    /// The machine; its clients are looked for unless `paths` are given.
    pub machine: Machine,
    /// Folders and files to look through by shape, instead of the machine's clients.
    pub paths: Vec<PathBuf>,
    /// The key of credential digests.
    pub salt: Salt,
    /// What stands behind servers that go through the gateway.
    pub upstreams: Upstreams,
}

/// What was seen.
#[derive(Default)]
pub struct Scan {
    /// The facts, in a stable order.
    pub observations: Vec<Observation>,
    /// What is there but could not be read.
    pub unread: Vec<Unread>,
    /// Where the clients' configurations were looked for.
    pub looked: Vec<Looked>,
    /// The servers, with what is needed to start them.
    pub servers: Vec<FoundServer>,
    /// Files of instructions that are to be read.
    prompts: BTreeSet<Prompt>,
}

/// A place that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Looked {
    /// The client whose place it is.
    pub client: String,
    /// The file.
    pub source: String,
    /// Whether something is there.
    pub found: bool,
}

/// A server with what is needed to start it. Holds secrets, so it has no `Debug`.
pub struct FoundServer {
    /// Its identity.
    pub id: EntityId,
    /// The client that uses it.
    pub client: &'static str,
    /// The configuration that declares it.
    pub config: PathBuf,
    /// As declared.
    pub server: Server,
}

/// Files that are looked at in all given folders.
const FILES_MAX: usize = 100_000;
/// How deep a given folder is walked.
const DEPTH_MAX: usize = 16;

/// Scans.
pub fn scan(options: &ScanOptions) -> Scan {
    let mut scan = Scan::default();
    let configs = if options.paths.is_empty() {
        from_machine(&options.machine, &mut scan)
    } else {
        from_paths(&options.paths, &mut scan)
    };
    for prompt in std::mem::take(&mut scan.prompts) {
        let readers = configs.iter().filter(|config| config.is_agent && prompt.is_read_by(config));
        let agents: Vec<EntityId> =
            readers.map(|config| EntityId::new(EntityKind::Agent, config.agent_key())).collect();
        scan.observations.extend(prompt.observe(&agents, &mut scan.unread));
    }
    for config in configs {
        add(options, config, &mut scan);
    }
    scan.unread.sort_by(|a, b| (&a.source, a.line).cmp(&(&b.source, b.line)));
    scan
}

fn add(options: &ScanOptions, config: Config, scan: &mut Scan) {
    let source = config.path.display().to_string();
    let unread = |problem: &Problem| Unread::new(source.as_str(), Some(problem.line), problem.reason.as_str());
    scan.unread.extend(config.problems.iter().map(unread));
    if !config.is_agent {
        return;
    }
    let mut observer = Observer::new(options, &config.path);
    observer.config(&config);
    let mandate = mandate::beside(&config.path, &options.machine.home).and_then(|path| read_mandate(&path, scan));
    if let Some((path, mandate)) = mandate.filter(|(_, mandate)| mandate.governs(config.client)) {
        observer.mandate(&config, &path, &mandate);
    }
    for owner in owner::of(&config.path, config.scope, &options.machine.root) {
        observer.owner(&config, &owner);
    }
    scan.observations.extend(observer.finish());
    let keys: Vec<String> = config.servers.iter().map(|server| config.server_key(server)).collect();
    let (client, path) = (config.client, config.path);
    scan.servers.extend(config.servers.into_iter().zip(keys).map(|(server, key)| FoundServer {
        id: EntityId::new(EntityKind::Server, key),
        client,
        config: path.clone(),
        server,
    }));
}

fn read_mandate(path: &Path, scan: &mut Scan) -> Option<(PathBuf, mandate::Mandate)> {
    let source = path.display().to_string();
    let unread = |line, reason| Unread::new(source.as_str(), line, reason);
    let faults = match file::read(path) {
        Err(error) => vec![unread(None, error.to_string())],
        Ok(text) => match mandate::parse(&text) {
            Ok(mandate) => return Some((path.to_owned(), mandate)),
            Err(faults) => faults.into_iter().map(|fault| unread(Some(fault.line), fault.reason)).collect(),
        },
    };
    // A mandate governs several configurations; its faults are told once.
    for fault in faults {
        if !scan.unread.contains(&fault) {
            scan.unread.push(fault);
        }
    }
    None
}

/// The configurations that the table of clients names, each file once even if two rows or two links
/// lead to it.
fn from_machine(machine: &Machine, scan: &mut Scan) -> Vec<Config> {
    let mut seen = BTreeSet::new();
    let mut configs = Vec::new();
    scan.prompts = prompt::on_machine(machine, &mut scan.unread);
    for candidate in machine.find() {
        let Candidate { client, path, found, .. } = &candidate;
        scan.looked.push(Looked { client: (*client).to_owned(), source: path.display().to_string(), found: *found });
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !found || !seen.insert((*client, real)) {
            continue;
        }
        match config::read(&candidate) {
            Ok(config) => configs.extend(config),
            Err(unread) => scan.unread.push(unread),
        }
    }
    configs
}

/// The configurations in folders, known by name or by shape.
fn from_paths(paths: &[PathBuf], scan: &mut Scan) -> Vec<Config> {
    let mut files = BTreeSet::new();
    for path in paths {
        match path.canonicalize() {
            Ok(real) if real.is_dir() => walk(&real, &mut files, scan),
            Ok(real) => {
                files.insert(real);
            }
            Err(error) => {
                let source = path.display().to_string();
                scan.unread.push(Unread::new(source, None, format!("cannot be read: {}", error.kind())));
            }
        }
    }
    let asked: BTreeSet<PathBuf> = paths.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut configs = Vec::new();
    for file in files {
        let is_asked = asked.contains(&file);
        if let Some(prompt) = prompt::of_project(&file) {
            scan.prompts.insert(prompt);
            continue;
        }
        match config::read_by_shape(&file, is_asked) {
            Ok(Some(config)) => configs.push(config),
            Ok(None) if is_asked => {
                let reason = "declares no servers or hooks that we know".to_owned();
                scan.unread.push(Unread::new(file.display().to_string(), None, reason));
            }
            Ok(None) => {}
            Err(unread) => scan.unread.push(unread),
        }
    }
    configs
}

fn walk(folder: &Path, files: &mut BTreeSet<PathBuf>, scan: &mut Scan) {
    let skipped =
        |name: &str| ["node_modules", ".git", "target", ".venv", "venv", "__pycache__", ".cache"].contains(&name);
    let walker = WalkBuilder::new(folder)
        .standard_filters(false)
        .follow_links(false)
        .max_depth(Some(DEPTH_MAX))
        .filter_entry(move |entry| entry.depth() == 0 || !entry.file_name().to_str().is_some_and(skipped))
        .build();
    for (count, entry) in walker.enumerate() {
        if count >= FILES_MAX {
            let reason = format!("has more than {FILES_MAX} files; the rest was not looked at");
            scan.unread.push(Unread::new(folder.display().to_string(), None, reason));
            return;
        }
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) && may_be_config(entry.path()) => {
                files.insert(entry.into_path());
            }
            Ok(_) => {}
            Err(error) => {
                let source = folder.display().to_string();
                scan.unread.push(Unread::new(source, None, error.to_string()));
            }
        }
    }
}

fn may_be_config(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).and_then(Format::of).is_some() || prompt::of_project(path).is_some()
}

//! `bailiwick paths` over the stored graph: agents, servers, credentials, identities and data joined.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use graph::paths::patch::Patch;
use graph::paths::report::{self, Beside};
use graph::paths::{Goal, Model, Start};
use graph::{Graph, visible};
use ledger::Record;

use super::super::policy;
use super::super::scan::write;
use crate::format::Format;
use crate::home::Home;

/// What to look for.
pub(crate) struct Wanted<'a> {
    /// Where attackers stand.
    pub(crate) from: &'a str,
    /// What they want.
    pub(crate) to: &'a str,
    /// Whether each path is told.
    pub(crate) all: bool,
    /// How to print.
    pub(crate) format: Format,
}

/// Exit code 1 when a path exists.
pub(crate) fn run(home: &Home, wanted: &Wanted<'_>) -> anyhow::Result<ExitCode> {
    let mut graph = stored(home, 0)?
        .context("no scan is stored yet; run `bailiwick scan`, `bailiwick scan --keep PATH` or `bailiwick up` first")?;
    // Policies may have changed since, or be gone.
    if let Err(error) = policy::guard(home, &mut graph) {
        complain!("bailiwick: what policies stop does not count here: {error:#}");
    }
    over(home, &graph, wanted)
}

/// The same over files alone; from `everyone` is from all who are described in them and outside of them.
pub(crate) fn over_files(home: &Home, files: &[PathBuf], wanted: &Wanted<'_>) -> anyhow::Result<ExitCode> {
    let graph = graph::builtin::joined(super::super::estate::scanned(home, &[], files)?.said());
    over(home, &graph, wanted)
}

fn over(home: &Home, graph: &Graph, wanted: &Wanted<'_>) -> anyhow::Result<ExitCode> {
    let model = Model::new(graph);
    let starts = match wanted.from {
        "everyone" => [Start::Outside, Start::Insiders].iter().flat_map(|start| start.places(graph)).collect(),
        from => Start::parse(graph, from)?.places(graph),
    };
    let goals = Goal::parse(graph, wanted.to)?.entities(graph);
    let found = model.find(&starts, &goals);
    let beside = Reader::new(home)?;
    match wanted.format {
        Format::Json => write(None, &format!("{:#}\n", report::json(&model, &found, &beside)))?,
        Format::Text => write(None, &visible::text(&report::text(&model, &found, wanted.all, &beside)))?,
    }
    Ok(if found.paths.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The graph of the scan that is this many older than the newest.
pub(crate) fn stored(home: &Home, age: u32) -> anyhow::Result<Option<Graph>> {
    if !home.store().exists() {
        return Ok(None);
    }
    let scan = control::Store::open(&home.store())?.scan_before(age)?;
    Ok(scan.map(|scan| Graph::clone(&scan.graph)))
}

/// Reads files and the ledger for what a report cannot know.
pub(crate) struct Reader {
    here: PathBuf,
    user: Option<String>,
    /// Calls by agent and server; read once, when first asked for.
    calls: RefCell<Option<Observed>>,
    ledger: PathBuf,
}

/// What the ledger says of calls.
#[derive(Default)]
struct Observed {
    entries: u64,
    calls: BTreeMap<(String, String), (u64, String)>,
    tools: BTreeMap<(String, String), u64>,
}

impl Reader {
    pub(crate) fn new(home: &Home) -> anyhow::Result<Self> {
        let here = std::env::current_dir().context("the current folder is gone")?;
        let user = std::env::var("HOME").ok().filter(|home| home.len() > 1);
        Ok(Self { here, user, calls: RefCell::new(None), ledger: home.ledger() })
    }

    /// Calls by agent and tool; `None` where there is no record.
    pub(crate) fn tools(&self) -> graph::compare::Calls {
        self.read().ok().filter(|observed| observed.entries > 0).map(|observed| observed.tools)
    }

    fn read(&self) -> anyhow::Result<Observed> {
        let mut observed = Observed::default();
        let reader = ledger::Reader::open(&self.ledger)?;
        observed.entries = reader.len();
        for stored in reader.range(0..reader.len()) {
            let Record::Intent(intent) = stored?.entry.record else { continue };
            let text = |pointer: &str| intent.action.pointer(pointer).and_then(serde_json::Value::as_str);
            let (Some(agent), Some(server), Some(tool)) =
                (text("/principal/agent"), text("/tool/server"), text("/tool/name"))
            else {
                continue;
            };
            *observed.tools.entry((agent.to_owned(), format!("{server}/{tool}"))).or_default() += 1;
            let last = observed.calls.entry((agent.to_owned(), server.to_owned())).or_default();
            *last = (last.0 + 1, intent.now.to_string());
        }
        Ok(observed)
    }
}

impl Beside for Reader {
    fn shown(&self, place: &str) -> String {
        if let Ok(below) = Path::new(place).strip_prefix(&self.here) {
            return below.display().to_string();
        }
        match self.user.as_deref().and_then(|home| place.strip_prefix(home)).filter(|rest| rest.starts_with('/')) {
            Some(rest) => format!("~{rest}"),
            None => place.to_owned(),
        }
    }

    fn hunks(&self, source: &str, line: Option<u32>) -> Vec<Patch> {
        let file = connect::hunk::File::read(Path::new(source), &self.shown(source));
        file.and_then(|file| file.patch(line?)).into_iter().collect()
    }

    fn observed(&self, uses: &[(String, String)]) -> String {
        if uses.is_empty() {
            return "what legitimate use it has was not observed: no record of it is read here".to_owned();
        }
        let mut calls = self.calls.borrow_mut();
        let read = || self.read().unwrap_or_default();
        let observed = calls.get_or_insert_with(read);
        let seen: Vec<String> = uses
            .iter()
            .filter_map(|used| Some((used, observed.calls.get(used)?)))
            .map(|((agent, server), (count, last))| {
                format!("{} of {agent} to {server}, the last at {last}", graph::plural(*count, "call"))
            })
            .collect();
        match (observed.entries, seen.is_empty()) {
            (0, _) => "what legitimate use it has was not observed: the ledger has no entry yet".to_owned(),
            (entries, true) => {
                format!("breaks nothing that was observed: no call through it in {entries} ledger entries")
            }
            (_, false) => format!("would stop what the ledger observed: {}", seen.join("; ")),
        }
    }
}

//! What commands are given as "a graph": a scan's JSON, a stored scan, or files and folders to scan.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use connect::protect::Upstreams;
use connect::{Salt, ScanOptions};
use graph::builtin::joined;
use graph::{Graph, Observation, Report, Unread};

use super::paths::joined::stored;
use super::scan::{is_same, salt};
use crate::home::Home;

/// A graph, and what of its sources could not be read.
#[derive(Default)]
pub(crate) struct Estate {
    pub(crate) graph: Graph,
    pub(crate) unread: Vec<Unread>,
}

/// What files say, and what of them could not be read.
pub(crate) struct Scanned {
    pub(crate) observations: Vec<Observation>,
    pub(crate) unread: Vec<Unread>,
}

impl Scanned {
    fn relative_to(self, folder: &str) -> Self {
        Self {
            observations: self.observations.into_iter().map(|one| one.relative_to(folder)).collect(),
            unread: self.unread.into_iter().map(|one| one.relative_to(folder)).collect(),
        }
    }

    /// The facts alone; the rest is said on standard error.
    pub(crate) fn said(self) -> Vec<Observation> {
        said(&self.unread);
        self.observations
    }
}

/// Says on standard error what could not be read.
pub(crate) fn said(unread: &[Unread]) {
    unread.iter().for_each(|unread| complain!("{}", unread.said()));
}

/// The graph that a word names: `@0` is the newest stored scan, `@1` the one before; a scan's JSON; else files to scan.
pub(crate) fn graph(home: &Home, word: &str) -> anyhow::Result<Estate> {
    if let Some(age) = word.strip_prefix('@') {
        let age: u32 = age.parse().with_context(|| format!("`{word}` is no stored scan; `@0` is the newest"))?;
        let graph = stored(home, age)?.with_context(|| {
            format!("there is no stored scan `{word}`; `bailiwick scan` without paths stores one each time")
        })?;
        return Ok(Estate { graph: Graph::build(here(graph.observations())), unread: Vec::new() });
    }
    let path = Path::new(word);
    anyhow::ensure!(path.exists(), "`{word}` does not exist");
    match report(path) {
        Some(estate) => Ok(estate),
        None => {
            let Scanned { observations, unread } = below(path, scanned(home, &[path.to_owned()], &[])?);
            Ok(Estate { graph: joined(observations), unread })
        }
    }
}

/// What lies below a folder, named relative to it: two checkouts side by side are one project.
pub(crate) fn below(folder: &Path, scanned: Scanned) -> Scanned {
    if !folder.is_dir() {
        return scanned;
    }
    let whole = std::fs::canonicalize(folder).map(|whole| whole.display().to_string()).unwrap_or_default();
    scanned.relative_to(&folder.display().to_string()).relative_to(&whole)
}

/// A scan's JSON, with what lies below its folder named relative to it: two checkouts of a project are one.
fn report(path: &Path) -> Option<Estate> {
    if !path.is_file() || path.extension().is_none_or(|extension| extension != "json") {
        return None;
    }
    let text = connect::file::read(path).ok()?;
    let report: Report = serde_json::from_str(&text).ok()?;
    let scanned = Scanned { observations: report.graph.observations(), unread: report.unread };
    let Scanned { observations, unread } = scanned.relative_to(&report.base.unwrap_or_default());
    Some(Estate { graph: Graph::build(observations), unread })
}

/// What configurations and cloud exports in some places say, without what clients have built in.
pub(crate) fn scanned(home: &Home, paths: &[PathBuf], cloud: &[PathBuf]) -> anyhow::Result<Scanned> {
    home.create()?;
    let salt = Salt::new(&home.secret("scan.salt", salt)?);
    let options = ScanOptions {
        machine: super::machine()?,
        paths: paths.to_vec(),
        salt: salt.clone(),
        upstreams: Upstreams::default(),
    };
    let mut exports = connect::cloud::find(paths);
    exports.extend(cloud.iter().cloned());
    let unplanned = connect::cloud::unplanned(paths, &exports);
    let unplanned = unplanned.iter().map(|folder| folder.display().to_string());
    let mut unread: Vec<Unread> =
        unplanned.map(|folder| Unread::pending(folder, None, connect::cloud::NOT_PLANNED)).collect();
    let scan = if paths.is_empty() { connect::Scan::default() } else { connect::scan(&options) };
    let is_export = |source: &str| exports.iter().any(|path| is_same(path, source));
    unread.extend(scan.unread.into_iter().filter(|unread| !is_export(&unread.source)));
    let mut observations = scan.observations;
    if !exports.is_empty() {
        let read = connect::cloud::read(&exports, &salt, jiff::Timestamp::now().as_second());
        unread.extend(read.unread);
        observations.extend(read.observations);
    }
    unread.sort();
    unread.dedup();
    let here = std::env::current_dir().map(|here| here.display().to_string()).unwrap_or_default();
    Ok(Scanned { observations, unread }.relative_to(&here))
}

/// What plans in some places say was there before them, beside what the exports say.
pub(crate) fn before(paths: &[PathBuf], cloud: &[PathBuf]) -> Vec<Observation> {
    let exports = connect::cloud::find(paths);
    here(connect::cloud::before(&exports, cloud, jiff::Timestamp::now().as_second()))
}

/// Facts with what lies below the current folder named relative to it.
fn here(observations: Vec<Observation>) -> Vec<Observation> {
    let here = std::env::current_dir().map(|here| here.display().to_string()).unwrap_or_default();
    observations.into_iter().map(|one| one.relative_to(&here)).collect()
}

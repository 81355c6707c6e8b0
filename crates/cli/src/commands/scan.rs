//! `bailiwick scan`.

mod terminal;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use connect::live::LiveOptions;
use connect::{Salt, ScanOptions};
use graph::{Looked, Report, Severity, Unread, export, rules};

use crate::commands::upstream;
use crate::home::Home;
use crate::output;
use crate::progress;

/// Find agents, their servers, credentials and reach; report what is worrying.
///
/// A scan of this machine is stored for `paths`, `diff` and the console.
///
/// Exit code: 0 if no finding is at or above `--fail-on`, 1 if there is one, 2 if the scan could not run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folders and files to look through; by default this machine's clients and the current folder's.
    paths: Vec<PathBuf>,
    /// Also start the stdio servers found and ask them for their tools (runs what the configurations name).
    #[arg(long)]
    live: bool,
    /// Exports to join with the agents: authorization details, access keys, inventories, plans, consents of a directory
    /// (Microsoft Graph, Google's Admin SDK), registries' answers on packages (npm, PyPI), or folders of them. Workflows
    /// in `.github/workflows` are read wherever the scan looks, and exports that are named as files.
    #[arg(long, value_name = "PATH")]
    cloud: Vec<PathBuf>,
    /// Store this scan of given paths for `paths`, `diff` and the console, as one of this machine is.
    #[arg(long)]
    keep: bool,
    /// How to show the result.
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: Format,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The least severity that makes the exit code 1.
    #[arg(long, value_enum, default_value = "high", value_name = "SEVERITY")]
    fail_on: FailOn,
    /// Apply only these rules.
    #[arg(long, value_name = "RULE", value_delimiter = ',', value_parser = rule_ids())]
    only: Vec<String>,
    /// Leave these rules out.
    #[arg(long, value_name = "RULE", value_delimiter = ',', value_parser = rule_ids())]
    skip: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For the terminal.
    Table,
    /// The whole report; see `spec/report.md`.
    Json,
    /// SARIF 2.1.0, for code hosts.
    Sarif,
    /// One self-contained page.
    Html,
    /// CycloneDX 1.6, the inventory.
    Cyclonedx,
    /// BloodHound OpenGraph, with the steps of attackers.
    Opengraph,
    /// GraphML, for Gephi, yEd and Cytoscape.
    Graphml,
    /// Cypher statements, for Neo4j and its like.
    Cypher,
    /// OWASP AIVSS scores of the findings.
    Aivss,
}

#[derive(Clone, Copy, ValueEnum)]
enum FailOn {
    Info,
    Low,
    Medium,
    High,
    Critical,
    /// Whatever is found, the exit code is 0.
    Never,
}

impl FailOn {
    fn least(self) -> Option<Severity> {
        match self {
            Self::Info => Some(Severity::Info),
            Self::Low => Some(Severity::Low),
            Self::Medium => Some(Severity::Medium),
            Self::High => Some(Severity::High),
            Self::Critical => Some(Severity::Critical),
            Self::Never => None,
        }
    }
}

fn rule_ids() -> clap::builder::PossibleValuesParser {
    rules::RULES.iter().map(|rule| rule.id).collect::<Vec<_>>().into()
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let request = Request {
        paths: args.paths.clone(),
        live: args.live,
        cloud: args.cloud.clone(),
        only: args.only.clone(),
        skip: args.skip.clone(),
    };
    let report = progress::of("looking at configurations", || report(&request, home))?;
    if args.keep || args.paths.is_empty() {
        control::Store::open(&home.store())?.put_scan(&control::StoredScan::of(&report, jiff::Timestamp::now()))?;
    }
    let text = match args.format {
        Format::Table => terminal::render(&report, &style(args)),
        Format::Json => export::json(&report),
        Format::Sarif => export::sarif(&report),
        Format::Html => export::html(&report),
        Format::Cyclonedx => export::cyclonedx(&report),
        Format::Opengraph => export::opengraph(&report),
        Format::Graphml => export::graphml(&report),
        Format::Cypher => export::cypher(&report),
        Format::Aivss => export::aivss(&report),
    };
    write(args.output.as_deref(), &text)?;
    let failed = args.fail_on.least().is_some_and(|least| report.findings.iter().any(|found| found.severity >= least));
    Ok(ExitCode::from(u8::from(failed)))
}

/// What to scan and by which rules.
#[derive(Default)]
pub(crate) struct Request {
    /// Folders and files; empty for this machine and the current folder.
    pub(crate) paths: Vec<PathBuf>,
    /// Whether to start servers and ask them.
    pub(crate) live: bool,
    /// Cloud exports to join.
    pub(crate) cloud: Vec<PathBuf>,
    /// The rules to apply; empty for all.
    pub(crate) only: Vec<String>,
    /// The rules to leave out.
    pub(crate) skip: Vec<String>,
}

/// Scans and applies the rules.
pub(crate) fn report(request: &Request, home: &Home) -> anyhow::Result<Report> {
    home.create()?;
    let here = std::env::current_dir().context("the current folder is gone")?;
    if let Some(missing) = request.paths.iter().chain(&request.cloud).find(|path| !path.exists()) {
        anyhow::bail!("`{}` does not exist", missing.display());
    }
    let options = ScanOptions {
        machine: super::machine()?,
        paths: request.paths.clone(),
        salt: Salt::new(&home.secret("scan.salt", salt)?),
        upstreams: upstream::read(home)?,
    };
    let mut scan = connect::scan(&options);
    if request.live {
        ask(&mut scan)?;
    }
    let places = if request.paths.is_empty() { vec![here.join(".github")] } else { request.paths.clone() };
    let workflows = connect::cloud::workflows(&places);
    // An export that is named itself was meant, with `--cloud` or without.
    let files: Vec<PathBuf> = request.paths.iter().filter(|path| path.is_file()).cloned().collect();
    let named = connect::cloud::find(&files);
    let exports: BTreeSet<PathBuf> = request.cloud.iter().chain(&workflows).chain(&named).cloned().collect();
    let exports: Vec<PathBuf> = exports.into_iter().collect();
    scan.unread.retain(|unread| !workflows.iter().chain(&named).any(|path| is_same(path, &unread.source)));
    if !exports.is_empty() {
        let cloud = connect::cloud::read(&exports, &options.salt, jiff::Timestamp::now().as_second());
        scan.observations.extend(cloud.observations);
        scan.unread.extend(cloud.unread);
    }
    let chosen = rules::RULES.iter().filter(|rule| {
        let named = |ids: &[String]| ids.iter().any(|id| id == rule.id);
        (request.only.is_empty() || named(&request.only)) && !named(&request.skip)
    });
    let now = jiff::Timestamp::now().round(jiff::Unit::Second).map(|now| now.to_string())?;
    let mut graph = graph::builtin::joined(scan.observations);
    if let Err(error) = super::policy::guard(home, &mut graph) {
        scan.unread.push(Unread::new(home.policy().display().to_string(), None, format!("{error:#}")));
    }
    let mut report = Report::of(env!("CARGO_PKG_VERSION"), &now, graph, chosen);
    report.base = Some(here.display().to_string());
    let looked = scan.looked.into_iter().map(|looked| Looked { source: looked.source, found: looked.found });
    Ok(report.with_sources(scan.unread, looked.collect()))
}

/// Whether a source is this file: a workflow declares no servers, and is no configuration that could not be read.
pub(crate) fn is_same(path: &Path, source: &str) -> bool {
    path.display().to_string() == source || path.canonicalize().is_ok_and(|path| path.display().to_string() == source)
}

/// How long a server may take to start and to tell what it offers; a package may have to be fetched.
const LIVE_LIMIT: Duration = Duration::from_secs(60);

/// Starts the servers found and adds what they say.
fn ask(scan: &mut connect::Scan) -> anyhow::Result<()> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let options = LiveOptions { time_limit: LIVE_LIMIT, environment: &environment };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let live = runtime.block_on(connect::live::ask(&scan.servers, &options));
    scan.observations.extend(live.observations);
    scan.unread.extend(live.unread);
    Ok(())
}

/// A key for the digests of credentials: they can be compared within this home and nowhere else.
pub(crate) fn salt() -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(bytes)
}

fn style(args: &Args) -> terminal::Style {
    let stdout = std::io::stdout();
    let is_terminal = args.output.is_none() && stdout.is_terminal();
    let width = comfy_table::Table::new().width().filter(|_| is_terminal).map_or(100, usize::from);
    terminal::Style {
        width: width.clamp(40, 140),
        color: is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        home: std::env::var("HOME").ok().filter(|home| home.len() > 1),
    }
}

/// Writes to a file or standard output.
pub(crate) fn write(output: Option<&Path>, text: &str) -> anyhow::Result<()> {
    match output {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display())),
        None => output::exact(text).context("cannot write to standard output"),
    }
}

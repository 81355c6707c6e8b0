//! `bailiwick check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use graph::builtin::joined;
use graph::difference::Difference;
use graph::{Fact, Graph, Lack, Observation, Report, Severity, Unread, export, visible};

use super::diff;
use super::estate::{Scanned, before, below, graph, said, scanned};
use super::scan::write;
use crate::home::Home;
use crate::progress;

/// Admit or deny a change: MCP configurations, cloud exports and Terraform plans against what is there.
///
/// Denied is what opens a new attack path (from outside, or from a cloud identity to administrator; who is made one has
/// such a path) or brings a new finding, by the same rules as everywhere. Without a baseline everything is new but what a
/// Terraform plan itself says was there before it: an account's administrators, too.
#[derive(clap::Args)]
#[command(after_help = "\
What cannot be read is in every output, and denies, unless the baseline has it too or `--allow-unread` is given: what \
a client or a cloud makes of it is not known. What nobody knows yet (Terraform without a plan, a value that a plan \
learns when it is applied) is said and denies nothing by itself.

Exit codes: 0 admitted, 1 denied, 2 it could not run.

Examples:
  bailiwick check .mcp.json                               one configuration by itself
  bailiwick check . --baseline main.json --format sarif   a branch against a scan of main, for the code host
  bailiwick check plan.json --cloud account.json          a Terraform plan against the account that it changes
  bailiwick check .mcp.json --baseline @0                 against the last scan of this machine")]
pub(crate) struct Args {
    /// What is to be admitted.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What is there already: a scan's JSON, files or folders, or `@0` for the last stored scan. Without it, what a
    /// Terraform plan says was there before.
    #[arg(long, value_name = "GRAPH")]
    baseline: Option<String>,
    /// Cloud exports that are there already, and that the change adds to.
    #[arg(long, value_name = "PATH")]
    cloud: Vec<PathBuf>,
    /// The least severity that denies.
    #[arg(long, value_enum, default_value = "medium", value_name = "SEVERITY")]
    deny: Deny,
    /// Admit what cannot be read. It is said all the same.
    #[arg(long)]
    allow_unread: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Shown,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Deny {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Deny {
    const fn severity(self) -> Severity {
        match self {
            Self::Info => Severity::Info,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Shown {
    /// For people.
    #[default]
    Text,
    /// The difference.
    Json,
    /// SARIF 2.1.0 with what denies, for code hosts.
    Sarif,
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    for path in args.paths.iter().chain(&args.cloud) {
        anyhow::ensure!(path.exists(), "`{}` does not exist", path.display());
    }
    let checked = progress::of("looking for new paths", || checked(args, home))?;
    let denied = checked.difference.denied(args.deny.severity());
    let is_admitted = denied.is_empty() && (args.allow_unread || checked.hidden == 0);
    match args.format {
        Shown::Json => {
            let told = Told { admitted: is_admitted, difference: &checked.difference, unread: &checked.unread };
            write(None, &format!("{}\n", serde_json::to_string_pretty(&told)?))?;
        }
        Shown::Sarif => {
            let now = jiff::Timestamp::now().round(jiff::Unit::Second)?.to_string();
            let mut report = Report::new(env!("CARGO_PKG_VERSION"), &now, Graph::default(), denied)
                .with_sources(checked.unread.clone(), Vec::new());
            report.base = std::env::current_dir().ok().map(|here| here.display().to_string());
            write(None, &export::sarif(&report))?;
        }
        Shown::Text => write(None, &visible::text(&text(&checked, denied.len(), (is_admitted, args))))?,
    }
    if !matches!(args.format, Shown::Text) {
        said(&checked.unread);
    }
    Ok(ExitCode::from(u8::from(!is_admitted)))
}

/// What a change brings.
struct Checked {
    difference: Difference,
    /// What of it could not be read.
    unread: Vec<Unread>,
    /// How much of that is new and somebody else can read.
    hidden: usize,
}

/// The same for programs.
#[derive(serde::Serialize)]
struct Told<'a> {
    admitted: bool,
    #[serde(flatten)]
    difference: &'a Difference,
    unread: &'a [Unread],
}

fn text(checked: &Checked, denied: usize, (is_admitted, args): (bool, &Args)) -> String {
    let mut text = diff::text(&checked.difference);
    for unread in &checked.unread {
        text += &format!("{}\n", unread.said());
    }
    let word = if is_admitted { "admitted" } else { "denied" };
    let what = if denied == 1 { "new path or finding" } else { "new paths and findings" };
    text += &format!("{word}: {denied} {what} at or above {}", args.deny.severity());
    match (checked.hidden, args.allow_unread) {
        (0, _) => {}
        (hidden, true) => text += &format!("; {hidden} could not be read"),
        (hidden, false) => text += &format!("; {hidden} could not be read (`--allow-unread` admits that)"),
    }
    text + "\n"
}

fn checked(args: &Args, home: &Home) -> anyhow::Result<Checked> {
    let baseline = args.baseline.as_deref().map(|word| graph(home, word)).transpose()?.unwrap_or_default();
    let there = scanned(home, &[], &args.cloud)?;
    let mut change = scanned(home, &args.paths, &args.cloud)?;
    if let ([folder], Some(word)) = (args.paths.as_slice(), &args.baseline)
        && Path::new(word).is_dir()
    {
        change = below(folder, change);
    }
    let hidden = hidden(&change, &baseline.unread, &there);
    let before = if args.baseline.is_none() { before(&args.paths, &args.cloud) } else { Vec::new() };
    let old = baseline.graph.observations().into_iter().chain(there.observations).chain(before);
    let old = joined(old.collect());
    let difference = Difference::between(&old, &changed(&baseline.graph, change.observations));
    Ok(Checked { difference, unread: change.unread, hidden })
}

/// How much of a change could not be read although somebody can, and is not there already. Of a cloud export something
/// may be, but not all: against nothing a change cannot be judged.
fn hidden(change: &Scanned, known: &[Unread], there: &Scanned) -> usize {
    let same = |one: &Unread, other: &Unread| one.source == other.source && one.reason == other.reason;
    let is_read = |source: &str| there.observations.iter().any(|one| one.evidence.source == source);
    let is_there = |one: &&Unread| {
        known.iter().any(|known| same(one, known))
            || there.unread.iter().any(|known| same(one, known)) && is_read(&one.source)
    };
    change.unread.iter().filter(|one| one.lack == Lack::Hidden && !is_there(one)).count()
}

/// What is there after the change: files that the change has too are taken from the change alone.
fn changed(baseline: &Graph, change: Vec<Observation>) -> Graph {
    let files: std::collections::BTreeSet<&str> =
        change.iter().map(|observation| observation.evidence.source.as_str()).collect();
    let kept = |observation: &Observation| {
        let builtin = matches!(&observation.fact, Fact::Entity { props, .. } if props.get("builtin").is_some());
        builtin || !files.contains(observation.evidence.source.as_str())
    };
    let kept: Vec<Observation> = baseline.observations().into_iter().filter(kept).collect();
    joined(kept.into_iter().chain(change).collect())
}

//! `bailiwick policy`: check, explain and show policies.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ledger::record::{Intent, Record, Whole, whole};
use policy::{Action, Diagnostic, Snapshot, Source, ToolFacts};

use crate::format::Format;
use crate::home::Home;
use crate::output;

/// Check and explain policies.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(Check),
    Explain(Explain),
    Show(Show),
}

/// Check policy files against the tools that were seen.
///
/// Exit code 0: no error. 1: errors, the gateway would refuse these policies. 2: could not run.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick policy check                    the policies in use\n  \
    bailiwick policy check ./policy           those of a folder, before they are in use\n  \
    bailiwick policy check --format json      for an editor or CI")]
struct Check {
    /// A folder of `*.cedar` files; the home's `policy` if absent.
    dir: Option<PathBuf>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Say which policies decided an entry of the ledger, and what would have to change.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick policy explain 1042                  an entry, as `bailiwick ledger show` numbers it\n  \
    bailiwick policy explain 1042 --format json\n  \
    bailiwick policy explain 1042 --agent          only what the agent was told")]
struct Explain {
    /// The entry of the decision, or of its outcome, ask or answer.
    entry: u64,
    /// A ledger's directory, if it is not the home's.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t, conflicts_with = "agent")]
    format: Format,
    /// Print only the text that the agent was given.
    #[arg(long)]
    agent: bool,
}

/// Show the policies in use, or a shipped file, or the marks that policies can speak of.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick policy show                     every policy with its place and reason\n  \
    bailiwick policy show --shipped secrets   a file as it ships, to compare or restore\n  \
    bailiwick policy show --marks             the dangers that `context.marks` can name")]
struct Show {
    /// A shipped file, by name.
    #[arg(long, value_name = "FILE", conflicts_with = "marks")]
    shipped: Option<String>,
    /// The marks.
    #[arg(long)]
    marks: bool,
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Check(args) => check(args, home),
        Command::Explain(args) => explain(args, home),
        Command::Show(args) => show(args, home),
    }
}

fn check(args: &Check, home: &Home) -> anyhow::Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(|| home.policy());
    let source =
        Source { policies: some_policies(&dir)?, bounds: crate::start::bounds(home)?, tools: read_tools(home)? };
    let (files, tools) = (source.policies.clone(), source.tools.len());
    let compiled = Snapshot::compile(source);
    let (policies, diagnostics) = match &compiled {
        Ok((snapshot, diagnostics)) => (Some(snapshot.policies()), diagnostics),
        Err(diagnostics) => (None, diagnostics),
    };
    let errors = diagnostics.iter().filter(|found| found.error).count();
    let warnings = diagnostics.len() - errors;
    match args.format {
        Format::Json => output::json(diagnostics)?,
        Format::Text => {
            diagnostics.iter().try_for_each(|found| output::print(&snippet(found, &dir, &files)))?;
            let counted = policies.map_or_else(String::new, |policies| format!("{policies} policies in "));
            say!("{counted}{} files, {tools} tools: {errors} errors, {warnings} warnings", files.len())?;
        }
    }
    Ok(ExitCode::from(u8::from(errors > 0)))
}

fn explain(args: &Explain, home: &Home) -> anyhow::Result<ExitCode> {
    let reader = super::ledger::open(&args.dir.clone().unwrap_or_else(|| home.ledger()))?;
    let (index, intent) = intent(&reader, args.entry)?;
    // The action of a large call is a payload.
    let intent = match whole(intent, |payload| reader.payload(payload)) {
        Whole::There(intent) => intent,
        Whole::Erased(_) => anyhow::bail!("entry {index} cannot be explained: its arguments were erased"),
    };
    let action: Action = serde_json::from_value(intent.action).context("the entry's action cannot be read")?;
    let recorded: policy::Decision =
        serde_json::from_value(intent.decision).context("the entry's decision cannot be read")?;
    if args.agent {
        say!("{}", policy::agent_text(&recorded))?;
        return Ok(ExitCode::SUCCESS);
    }
    let source = reader.object(&intent.snapshot).context("the policies of that decision are not in the ledger")?;
    let source: Source = serde_json::from_slice(&source).context("the policies of that decision cannot be read")?;
    let Ok((snapshot, _)) = Snapshot::assemble(source) else {
        anyhow::bail!("the policies of that decision no longer compile with this version");
    };
    let explanation = policy::explain(&snapshot, &action, intent.now);
    match args.format {
        Format::Json => output::json(&explanation)?,
        Format::Text => {
            let Action { principal, tool, .. } = &action;
            say!("entry {index}: `{}` for {} called `{tool}` at {}", principal.agent, principal.user, intent.now)?;
            output::print(&explanation.operator_text())?;
            say!("\nthe agent was told: {}", policy::agent_text(&recorded))?;
        }
    }
    anyhow::ensure!(
        explanation.decision == recorded,
        "this version decides otherwise than the record says; see `bailiwick ledger verify --recompute`"
    );
    Ok(ExitCode::SUCCESS)
}

fn show(args: &Show, home: &Home) -> anyhow::Result<ExitCode> {
    if args.marks {
        policy::marks::MARKS.iter().try_for_each(|(mark, meaning)| say!("{mark:<20} {meaning}"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &args.shipped {
        let packs = policy::packs();
        let found = packs.iter().find(|(file, _)| file == name || file.strip_suffix(".cedar") == Some(name));
        let names = || packs.iter().map(|(file, _)| format!("`{file}`")).collect::<Vec<_>>().join(", ");
        let (_, text) = found.with_context(|| format!("no shipped file `{name}`; there are {}", names()))?;
        output::print(text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(snapshot) = in_force(home)? else {
        anyhow::bail!("there is no `{}`; {SHIPPED_HINT}", home.policy().display());
    };
    say!("snapshot {}", snapshot.id())?;
    for policy in snapshot.list() {
        let ask = policy.ask.map(|group| format!(" unless a person approves \"{group}\"")).unwrap_or_default();
        let location = policy.location;
        say!("{} {}{ask}\n    {}\n    {}:{}", policy.effect, policy.id, policy.reason, location.file, location.line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The `*.cedar` files of a folder in order of name.
pub(crate) fn read_policies(dir: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read policies from `{}`", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            files.push((name, text));
        }
    }
    files.sort();
    Ok(files)
}

/// The same, where no policy at all can only be a mistake.
pub(crate) fn some_policies(dir: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let files = read_policies(dir)?;
    anyhow::ensure!(!files.is_empty(), "no `*.cedar` file in `{}`; {SHIPPED_HINT}", dir.display());
    Ok(files)
}

/// What to do about a folder without policies.
pub(crate) const SHIPPED_HINT: &str = "`bailiwick policy show --shipped NAME` prints the shipped ones";

/// The policies, mandates and tools as the gateway would compile them now; none where nobody wrote a policy.
pub(crate) fn in_force(home: &Home) -> anyhow::Result<Option<Snapshot>> {
    let dir = home.policy();
    if !dir.exists() {
        return Ok(None);
    }
    let source =
        Source { policies: read_policies(&dir)?, bounds: crate::start::bounds(home)?, tools: read_tools(home)? };
    match Snapshot::assemble(source) {
        Ok((snapshot, _)) => Ok(Some(snapshot)),
        Err(_) => {
            anyhow::bail!("the policies in `{}` do not compile; `bailiwick policy check` says why", dir.display())
        }
    }
}

/// Notes in a graph what the policies in force stop of what its agents could use. Without any, or where they cannot be
/// read, nothing is stopped, whatever was noted before.
pub(crate) fn guard(home: &Home, graph: &mut graph::Graph) -> anyhow::Result<()> {
    let snapshot = in_force(home);
    match &snapshot {
        Ok(Some(snapshot)) => policy::guard(graph, snapshot),
        Ok(None) | Err(_) => graph::guard::clear(graph),
    }
    snapshot.map(drop)
}

/// The gateway's catalogue of tools; none before it ran.
pub(crate) fn read_tools(home: &Home) -> anyhow::Result<Vec<ToolFacts>> {
    Ok(gateway::catalogue::Catalogue::open(home.gateway().join("tools.json"))?.facts())
}

/// The decision at an entry, or the one that the entry is about.
fn intent(reader: &ledger::Reader, index: u64) -> anyhow::Result<(u64, Intent)> {
    let mut at = index;
    // Answered → Asked → Intent is the longest way.
    for _ in 0..3 {
        let stored = reader.read(at).with_context(|| format!("cannot read entry {at}"))?;
        at = match stored.entry.record {
            Record::Intent(intent) => return Ok((at, intent)),
            Record::Outcome(outcome) => outcome.intent,
            Record::Asked(asked) => asked.intent,
            Record::Answered(answered) => answered.ask,
            Record::Expired { ask } => ask,
            _ => break,
        };
    }
    anyhow::bail!("entry {index} is no decision and belongs to none")
}

/// One complaint with the line it is about.
fn snippet(found: &Diagnostic, dir: &Path, files: &[(String, String)]) -> String {
    let word = if found.error { "error" } else { "warning" };
    let mut text = format!("{word}: {}\n", found.message);
    let source = files.iter().find(|(file, _)| *file == found.file).map(|(_, text)| text);
    let line = source.and_then(|source| source.lines().nth(found.line.saturating_sub(1) as usize));
    if let Some(line) = line {
        let number = found.line.to_string();
        let margin = " ".repeat(number.len());
        let before: String = line.chars().take(found.column.saturating_sub(1) as usize).map(blank).collect();
        let place = dir.join(&found.file);
        let _ = writeln!(text, "{margin}--> {}:{}:{}", place.display(), found.line, found.column);
        let _ = writeln!(text, "{margin} |\n{number} | {line}\n{margin} | {before}^");
        if let Some(hint) = &found.hint {
            let _ = writeln!(text, "{margin} = help: {hint}");
        }
    } else {
        let _ = writeln!(text, " --> {}", found.file);
        if let Some(hint) = &found.hint {
            let _ = writeln!(text, "  = help: {hint}");
        }
    }
    text.push('\n');
    text
}

/// Keeps tabs, so that the caret stands under its character.
fn blank(c: char) -> char {
    if c == '\t' { '\t' } else { ' ' }
}

//! Information flow on recorded attacks: `cargo xtask bench flow --traces DIR`.
//!
//! DIR holds `traces.jsonl.zst` (or `traces.jsonl`) and `catalog.json`. Each recorded call goes through the
//! gateway's labels and `policy::decide` under the shipped packs, as a live call would; scores are those that
//! the data's README defines. Never names a value of the data; `--lint` holds that for the whole repository.

mod benign;
mod lint;
pub(crate) mod replay;
mod score;
mod sessions;
mod table;
pub(crate) mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gateway::tools::{Annotations, infer};
use policy::{Action, Door, Effect, Labels, Principal, Snapshot, Source, ToolFacts, Verb};
use serde_json::Value;

use replay::Verdict;
use table::Scored;

/// How often injected text gets what it wants, and how often people are asked for nothing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with `traces.jsonl.zst` and `catalog.json`.
    #[arg(long)]
    traces: Option<PathBuf>,
    /// A file of chat transcripts without attacks (JSON or `.zst`): every Ask or Deny is a false one.
    #[arg(long)]
    benign: Option<PathBuf>,
    /// Annotations of tools (a TOML file or a folder of them): with them it is track B.
    #[arg(long)]
    annotations: Option<PathBuf>,
    /// A folder of `*.cedar` files in place of the shipped policies.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Only these suites.
    #[arg(long, value_delimiter = ',')]
    suites: Vec<String>,
    /// Only pipelines whose name holds one of these.
    #[arg(long, value_delimiter = ',')]
    pipelines: Vec<String>,
    /// Write all figures as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// List what still succeeds and what is asked for nothing.
    #[arg(long)]
    cases: bool,
    /// What a decision costs after 10, 1,000 and 100,000 results, and what such a session takes in memory.
    #[arg(long)]
    sessions: bool,
    /// Check that nothing under this folder names a value of the data.
    #[arg(long)]
    lint: Option<PathBuf>,
}

pub(crate) type Suites = BTreeMap<String, BTreeMap<String, ToolFacts>>;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(dir) = &args.traces {
        let catalog: Value =
            serde_json::from_slice(&std::fs::read(dir.join("catalog.json")).context("read `catalog.json`")?)?;
        if let Some(root) = &args.lint {
            return lint::lint(&catalog, root);
        }
        recorded(args, dir, &catalog)?;
    }
    if let Some(path) = &args.benign {
        benign::run(path, args.cases)?;
    }
    if args.sessions {
        sessions::run()?;
    }
    let something = args.traces.is_some() || args.benign.is_some() || args.sessions;
    anyhow::ensure!(something, "give `--traces DIR`, `--benign FILE` or `--sessions`");
    Ok(())
}

fn recorded(args: &Args, dir: &Path, catalog: &Value) -> anyhow::Result<()> {
    let tools = suites(catalog, args.annotations.as_deref())?;
    let tools_of_all = tools.values().flat_map(BTreeMap::values).cloned();
    let policy = match &args.policy {
        Some(dir) => Policy::under(read_policies(dir)?, tools_of_all)?,
        None => Policy::of(tools_of_all)?,
    };
    let packed = dir.join("traces.jsonl.zst");
    let mut runs = traces::read(&if packed.exists() { packed } else { dir.join("traces.jsonl") })?;
    runs.retain(|run| args.suites.is_empty() || args.suites.contains(&run.suite));
    runs.retain(|run| args.pipelines.is_empty() || args.pipelines.iter().any(|name| run.pipeline.contains(name)));
    let scored = table::score(runs.iter(), &tools, &|facts, arguments, labels| policy.judge(facts, arguments, labels))?;
    let mut tables = BTreeMap::new();
    for (title, part) in parts(&scored) {
        let table = table::table(&part);
        table::print(&title, &table);
        tables.insert(title, table);
    }
    if args.cases {
        cases(&scored);
    }
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&tables)?)?;
    }
    Ok(())
}

/// All runs, then by suite, then by attack.
fn parts<'a, 'b>(scored: &'b [Scored<'a>]) -> Vec<(String, Vec<&'b Scored<'a>>)> {
    let suites: BTreeSet<&str> = scored.iter().map(|scored| scored.run.suite.as_str()).collect();
    let attacks: BTreeSet<&str> = scored.iter().filter_map(|scored| scored.run.attack.as_deref()).collect();
    let mut parts = vec![("all".to_owned(), scored.iter().collect::<Vec<_>>())];
    parts.extend(
        suites.into_iter().map(|suite| {
            (format!("suite {suite}"), scored.iter().filter(|scored| scored.run.suite == suite).collect())
        }),
    );
    parts.extend(attacks.into_iter().map(|attack| {
        (
            format!("attack {attack}"),
            scored.iter().filter(|scored| scored.run.attack.as_deref() == Some(attack)).collect(),
        )
    }));
    parts
}

fn cases(scored: &[Scored<'_>]) {
    println!("\nstill succeed:");
    for scored in scored.iter().filter(|scored| scored.right.attack_succeeds(scored.run)) {
        println!("  {}", scored.run.id);
    }
    println!("\nstopped in attack runs with another source than the injection's result:");
    for scored in scored.iter().filter(|scored| scored.run.kind() == traces::Kind::Attack) {
        let carries = |text: &str| scored.run.carries_injection(text);
        for call in scored.right.interventions().filter(|call| !call.source.as_deref().is_some_and(carries)) {
            let deciding = if scored.run.attack_calls().contains(&call.i) { "deciding " } else { "" };
            println!("  {} {deciding}{} #{}: {}", scored.run.id, call.tool, call.i + 1, call.why.join("; "));
        }
    }
    for (title, kind) in [("benign runs", traces::Kind::Benign), ("runs that want it", traces::Kind::Wanted)] {
        println!("\nasked or denied in {title}:");
        for scored in scored.iter().filter(|scored| scored.run.kind() == kind) {
            for call in scored.right.interventions() {
                println!("  {} {}: {}", scored.run.id, call.tool, call.said());
            }
        }
    }
}

pub(crate) fn suites(catalog: &Value, annotations: Option<&Path>) -> anyhow::Result<Suites> {
    let annotations = annotations.map(annotations_text).transpose()?.unwrap_or_default();
    let annotations = Annotations::read(&annotations).map_err(|faults| anyhow::anyhow!("annotations: {faults:?}"))?;
    let suites = catalog.as_object().context("`catalog.json` is not an object")?;
    let facts = |suite: &str, definition: &Value| {
        let mut facts = infer(suite, definition, String::new());
        annotations.apply(&mut facts);
        (facts.id.name.clone(), facts)
    };
    Ok(suites
        .iter()
        .map(|(suite, about)| {
            (
                suite.clone(),
                about
                    .get("tools")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .map(|definition| facts(suite, definition))
                    .collect(),
            )
        })
        .collect())
}

/// The policies of a folder, by name.
fn read_policies(dir: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|suffix| suffix == "cedar"));
    files.sort();
    let read = |file: &PathBuf| Ok((file.display().to_string(), std::fs::read_to_string(file)?));
    files.iter().map(read).collect()
}

/// A file of annotations, or all of a folder as one.
pub(crate) fn annotations_text(path: &Path) -> anyhow::Result<String> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|suffix| suffix == "toml"));
        files.sort();
    }
    let texts: Vec<String> = files.iter().map(std::fs::read_to_string).collect::<std::io::Result<_>>()?;
    Ok(texts.join("\n"))
}

/// The shipped packs over some tools.
pub(crate) struct Policy {
    snapshot: Snapshot,
    now: jiff::Timestamp,
}

impl Policy {
    pub(crate) fn of(tools: impl Iterator<Item = ToolFacts>) -> anyhow::Result<Self> {
        let policies = policy::packs().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Self::under(policies, tools)
    }

    fn under(policies: Vec<(String, String)>, tools: impl Iterator<Item = ToolFacts>) -> anyhow::Result<Self> {
        let (snapshot, _) = Snapshot::compile(Source { policies, tools: tools.collect(), ..Source::default() })
            .map_err(|errors| anyhow::anyhow!("the policies do not compile: {errors:?}"))?;
        Ok(Policy { snapshot, now: jiff::Timestamp::UNIX_EPOCH })
    }

    pub(crate) fn judge(&self, facts: &ToolFacts, arguments: &Value, labels: &Labels) -> anyhow::Result<Verdict> {
        let principal = Principal {
            agent: "bench".to_owned(),
            user: "user".to_owned(),
            session: "session".to_owned(),
            delegation: Vec::new(),
            evidence: BTreeMap::new(),
        };
        let action = Action {
            principal,
            door: Door::McpStdio,
            verb: Verb::CallTool,
            tool: facts.id.clone(),
            arguments: arguments.clone(),
            labels: labels.clone(),
            facts: BTreeMap::new(),
            approval: None,
        };
        let decision = policy::decide(&self.snapshot, &action, self.now);
        Ok(match decision.effect {
            Effect::Permit => Verdict::Permit,
            Effect::Ask { groups } => Verdict::Ask(groups),
            Effect::Deny => Verdict::Deny(
                decision.errors.into_iter().chain(decision.reasons.into_iter().map(|reason| reason.policy)).collect(),
            ),
        })
    }
}

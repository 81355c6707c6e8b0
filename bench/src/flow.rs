//! Information flow on recorded attacks: `cargo xtask bench flow --traces DIR`.
//!
//! DIR holds `traces.jsonl.zst` (or `traces.jsonl`) and `catalog.json`. Each recorded call goes through the
//! gateway's labels and `policy::decide` under the shipped packs, as a live call would; scores are those that
//! the data's README defines. Track A knows nothing but the tools' schemas; track B also what `bench/annotations` says,
//! which was written from these schemas. Never names a value of the data; `--lint` holds that for the whole repository.

mod aims;
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

use replay::{Judged, Verdict};
use table::{Scored, Table};

/// How often injected text gets what it wants, and how often people are asked for nothing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with `traces.jsonl.zst` and `catalog.json`.
    #[arg(long)]
    traces: Option<PathBuf>,
    /// A file of chat transcripts without attacks (JSON or `.zst`): every Ask or Deny is a false one.
    #[arg(long)]
    benign: Option<PathBuf>,
    /// Annotations of tools for track B (a TOML file or a folder of them), in place of those of this repository.
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
    /// List what still succeeds, which stops name another source, and what is asked for nothing.
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

/// What an operator may say of AgentDojo's tools.
const ANNOTATIONS: &str = include_str!("../annotations/agentdojo.toml");

fn recorded(args: &Args, dir: &Path, catalog: &Value) -> anyhow::Result<()> {
    let packed = dir.join("traces.jsonl.zst");
    let mut runs = traces::read(&if packed.exists() { packed } else { dir.join("traces.jsonl") })?;
    runs.retain(|run| args.suites.is_empty() || args.suites.contains(&run.suite));
    runs.retain(|run| args.pipelines.is_empty() || args.pipelines.iter().any(|name| run.pipeline.contains(name)));
    let annotations = args.annotations.as_deref().map(annotations_text).transpose()?;
    let score = |annotations: &str| {
        let tools = suites(catalog, annotations)?;
        let tools_of_all = tools.values().flat_map(BTreeMap::values).cloned();
        let policy = match &args.policy {
            Some(dir) => Policy::under(read_policies(dir)?, tools_of_all)?,
            None => Policy::of(tools_of_all)?,
        };
        table::score(runs.iter(), &tools, &|facts, arguments, labels| policy.judge(facts, arguments, labels))
    };
    let tracks = [("A", score("")?), ("B", score(annotations.as_deref().unwrap_or(ANNOTATIONS))?)];
    let tables = tracks.each_ref().map(|(_, scored)| {
        parts(scored).into_iter().map(|(title, part)| (title, table::table(&part))).collect::<Vec<_>>()
    });
    let [a, b] = &tables;
    a.iter().zip(b).for_each(|((title, a), (_, b))| table::print(title, a, b));
    if let (Some((_, a)), Some((_, b))) = (a.first(), b.first()) {
        aims::print(a, b);
    }
    for (track, scored) in &tracks {
        misses(track, scored);
        if args.cases {
            cases(track, scored);
        }
    }
    if let Some(path) = &args.json {
        let of = |tables: &[(String, Table)]| tables.iter().cloned().collect::<BTreeMap<_, _>>();
        let tracks = BTreeMap::from([("A", of(a)), ("B", of(b))]);
        std::fs::write(path, serde_json::to_vec_pretty(&tracks)?)?;
    }
    Ok(())
}

/// The stops of attacked runs whose stated source is not the result that carried the injection.
fn missed<'a>(scored: &'a [Scored<'_>]) -> impl Iterator<Item = (&'a traces::Run, &'a Judged, &'static str)> {
    let attacked = scored.iter().filter(|scored| scored.run.kind() == traces::Kind::Attack);
    attacked.flat_map(|scored| {
        let calls = scored.right.interventions();
        calls.filter_map(|call| Some((scored.run, call, table::missed(scored.run, call)?)))
    })
}

/// How many of them there are, by reason.
fn misses(track: &str, scored: &[Scored<'_>]) {
    let mut reasons: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (_, call, reason) in missed(scored) {
        *reasons.entry(reason).or_default().entry(&call.tool).or_default() += 1;
    }
    println!("\ntrack {track}: stops in attacked runs that name another source, {} in all", missed(scored).count());
    for (reason, tools) in reasons {
        let of = tools.iter().map(|(tool, count)| format!("{tool} {count}")).collect::<Vec<_>>().join(", ");
        println!("  {:>4}  {reason}: {of}", tools.values().sum::<usize>());
    }
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

fn cases(track: &str, scored: &[Scored<'_>]) {
    println!("\ntrack {track}: attacks that still succeed");
    for scored in scored.iter().filter(|scored| scored.right.attack_succeeds(scored.run)) {
        println!("  {}", scored.run.id);
    }
    println!("\ntrack {track}: stopped in attacked runs with another source than the injection's result");
    let mut found: Vec<_> = missed(scored).collect();
    found.sort_by_key(|(.., reason)| *reason);
    for (run, call, reason) in found {
        let deciding = if run.attack_calls().contains(&call.i) { "deciding " } else { "" };
        println!("  {} {deciding}{} #{}: {reason}: {}", run.id, call.tool, call.i + 1, call.said());
    }
    for (title, kind) in [("benign runs", traces::Kind::Benign), ("runs that want it", traces::Kind::Wanted)] {
        println!("\ntrack {track}: asked or denied in {title}");
        for scored in scored.iter().filter(|scored| scored.run.kind() == kind) {
            for call in scored.right.interventions() {
                println!("  {} {}: {}", scored.run.id, call.tool, call.said());
            }
        }
    }
}

/// The tools of each suite, corrected by annotations.
pub(crate) fn suites(catalog: &Value, annotations: &str) -> anyhow::Result<Suites> {
    let annotations = Annotations::read(annotations).map_err(|faults| anyhow::anyhow!("annotations: {faults:?}"))?;
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

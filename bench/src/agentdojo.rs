//! AgentDojo end to end: `cargo xtask bench agentdojo --traces DIR`.
//!
//! The benchmark's own environments stand as MCP servers behind the real `bailiwick up` with the shipped policies. For
//! each recorded run an agent says the user's prompt through a hook and makes the recorded calls over HTTP; a person
//! answers Asks with `bailiwick approve`; then the benchmark's own checkers judge the state that is left. What comes
//! out is compared with `bench flow`, which scores the same runs without any of that.
//!
//! The reading is *skip*: a refused call does not run, all later ones are made. Nothing is shared between two runs but
//! the gateway and its ledger: what agents wrote down is forgotten after each (`bailiwick memory forget`), because the
//! scorer knows one run at a time.

mod compare;
mod parts;
mod select;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use connect::history::{Answer, Call, Step, What};
use serde_json::Value;

use crate::flow::replay::{Human, replay};
use crate::flow::traces::{self, Run};
use crate::flow::{Policy, Suites, annotations_text, suites};
use compare::Compared;
use parts::{Came, Environment, Gateway, Tools};

/// Recorded AgentDojo runs through the real gateway, judged by the benchmark's own checkers.
///
/// Exit code 0: every verdict is the scorer's, or the scorer is known to be too strict there, and says so. 1: one differs.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench agentdojo --traces DIR                     the first time, AgentDojo is installed from PyPI
  cargo xtask bench agentdojo --traces DIR --human denies-all  nobody approves anything
  cargo xtask bench agentdojo --traces DIR --annotations bench/annotations  with what an operator says of the tools
  cargo xtask bench agentdojo --traces DIR --keep HOME         then `bailiwick --home HOME up`: all sessions in the console")]
pub(crate) struct Args {
    /// Folder with `traces.jsonl.zst` and `catalog.json`.
    #[arg(long)]
    traces: PathBuf,
    /// A file of annotations for the tools, or a folder of them, as `bench/annotations`: track B. Absent: track A.
    #[arg(long)]
    annotations: Option<PathBuf>,
    /// So many runs, spread evenly over suites, attacked and not, stopped and not.
    #[arg(long, default_value_t = 108)]
    runs: usize,
    /// Who answers an Ask: `right` denies what an attack rests on and approves the rest.
    #[arg(long, value_enum, default_value_t = Human::Right)]
    human: Human,
    /// Only runs whose id holds this.
    #[arg(long)]
    only: Option<String>,
    /// The gateway's program; the one beside this if absent.
    #[arg(long)]
    bailiwick: Option<PathBuf>,
    /// A Python environment with `bench/agentdojo/requirements.txt`; made in the target folder if absent.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Keep the gateway's home in this folder: `bailiwick --home DIR up` shows all sessions.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Write every run's comparison as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let catalog = std::fs::read(args.traces.join("catalog.json")).context("read `catalog.json`")?;
    let scorer = Scorer::of(&serde_json::from_slice(&catalog)?, args.annotations.as_deref())?;
    let packed = args.traces.join("traces.jsonl.zst");
    let runs = traces::read(&if packed.exists() { packed } else { args.traces.join("traces.jsonl") })?;
    let chosen = select::choose(&runs, &scorer, args)?;
    anyhow::ensure!(!chosen.is_empty(), "no run was chosen");
    let tools = Tools::find(args.python.as_deref(), args.bailiwick.as_deref())?;
    let compared = through_the_gateway(&chosen, &scorer, &tools, args)?;
    compare::print(&compared, args.human);
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&compared)?)?;
    }
    let differ = compared.iter().filter(|compared| !compared.agrees()).count();
    anyhow::ensure!(differ == 0, "{differ} runs came out otherwise than the scorer says");
    Ok(())
}

/// What `bench flow` would say.
struct Scorer {
    tools: Suites,
    policy: Policy,
}

impl Scorer {
    fn of(catalog: &Value, annotations: Option<&Path>) -> anyhow::Result<Self> {
        let annotations = annotations.map(annotations_text).transpose()?.unwrap_or_default();
        let tools = suites(catalog, &annotations)?;
        let policy = Policy::of(tools.values().flat_map(BTreeMap::values).cloned())?;
        Ok(Self { tools, policy })
    }

    fn score(&self, run: &Run, human: Human) -> anyhow::Result<crate::flow::replay::Replayed> {
        let tools = self.tools.get(&run.suite).with_context(|| format!("no suite `{}`", run.suite))?;
        replay(run, tools, &|facts, arguments, labels| self.policy.judge(facts, arguments, labels), human)
    }
}

fn through_the_gateway(chosen: &[&Run], scorer: &Scorer, tools: &Tools, args: &Args) -> anyhow::Result<Vec<Compared>> {
    let mut environments = BTreeMap::new();
    for run in chosen {
        if !environments.contains_key(&run.suite) {
            environments.insert(run.suite.clone(), Environment::start(tools, &run.suite)?);
        }
    }
    let ports = environments.iter().map(|(suite, environment)| (suite.as_str(), environment.port));
    let mut gateway = Gateway::start(tools, ports, (args.keep.as_deref(), args.annotations.as_deref()))?;
    let mut compared = Vec::new();
    for (at, run) in chosen.iter().enumerate() {
        let environment = environments.get_mut(&run.suite).context("no environment")?;
        let one = one(run, scorer, args.human, (&mut gateway, environment, tools))
            .with_context(|| format!("the run `{}`", run.id))?;
        eprintln!("{:>4}/{} {} {}", at + 1, chosen.len(), if one.agrees() { "agrees " } else { "DIFFERS" }, run.id);
        compared.push(one);
    }
    gateway.end(tools)?;
    Ok(compared)
}

fn one(
    run: &Run,
    scorer: &Scorer,
    human: Human,
    (gateway, environment, tools): (&mut Gateway, &mut Environment, &Tools),
) -> anyhow::Result<Compared> {
    environment.begin(run)?;
    let came = gateway.play(tools, run, human)?;
    let checked = environment.check(run)?;
    gateway.forget(tools)?;
    // The same texts that the gateway saw, so that any difference is the gateway's.
    let seen = with_results(run, &came);
    Ok(Compared::of(run, &came, &checked, (&scorer.score(run, human)?, &scorer.score(&seen, human)?)))
}

/// The run as it went here: each call with the text that the agent got for it, one after another.
fn with_results(run: &Run, came: &[Came]) -> Run {
    let mut steps: Vec<Step> = Vec::new();
    let mut came = came.iter().enumerate();
    for step in &run.steps {
        match &step.what {
            What::Result(_) => {}
            What::Call(call) => {
                let Some((number, came)) = came.next() else { continue };
                let id = number.to_string();
                let answer = Answer { id: id.clone(), content: Value::String(came.text.clone()), failed: false };
                let call = Call { id, ..call.clone() };
                steps.push(Step { what: What::Call(call), ..step.clone() });
                steps.push(Step { what: What::Result(answer), ..step.clone() });
            }
            _ => steps.push(step.clone()),
        }
    }
    let mut seen = run.clone();
    seen.steps = steps;
    seen
}

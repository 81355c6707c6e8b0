//! `graph`: the engine under paths, beside `petgraph`, `ascent`, networkx, PMapper and agent-bom, on generated graphs.
//!
//! Graphs are made in layers as real estates are (agents, servers, credentials, identities, stores), with a seed. Every
//! peer gets the same arrays in the same run and its answer is compared with ours before its time counts.

mod generate;
mod peers;
mod table;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ::graph::reach::{Builder, Network, Question, StepId, Without, dominators, reach};
use anyhow::Context as _;

use crate::memory::peak_mib;
use generate::{Generated, Size};
use table::{Row, Table};

/// Measure reach, choke points and change on generated graphs, beside petgraph, ascent, networkx, PMapper and agent-bom.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The seed of the generated graphs.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Leave the largest graph (1 million nodes, 10 million edges) out.
    #[arg(long)]
    small: bool,
    /// A Python that has networkx, principalmapper and agent-bom; what it lacks is skipped with a word.
    #[arg(long, value_name = "PYTHON")]
    python: Option<PathBuf>,
    /// Write the growth of cost as an SVG plot.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// The bounds that the engine is held to.
const PAIRS_MS: f64 = 50.0;
const LOAD_MS: f64 = 3_000.0;
const REACH_MS: f64 = 2_000.0;
const CHOKE_MS: f64 = 10_000.0;
const CHANGE_MS: f64 = 50.0;
const PEAK_MIB: u64 = 2_048;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let sizes: Vec<Size> = Size::ALL.iter().copied().filter(|size| !args.small || size.nodes < 1_000_000).collect();
    let mut table = Table::default();
    for size in sizes {
        let generated = Generated::new(size, args.seed);
        println!(
            "\n{} nodes, {} edges, {} exposed agents, {} sensitive stores (seed {})",
            size.nodes,
            generated.steps.len(),
            generated.sources.len(),
            generated.targets.len(),
            args.seed
        );
        let rows = measure(&generated, args)?;
        rows.iter().for_each(Row::print);
        table.add(size, rows);
    }
    table.print_growth();
    if let Some(path) = &args.plot {
        std::fs::write(path, table.svg()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

fn measure(generated: &Generated, args: &Args) -> anyhow::Result<Vec<Row>> {
    let large = generated.size.nodes >= 1_000_000;
    let named = generated.size.nodes == 38_500;
    let before = peak_mib()?;
    let steps = generated.steps.clone();
    let (network, load) = timed(|| Builder::from_steps(generated.size.nodes, steps).build());
    let (reached, took) = steady(|| reach(&network, &generated.sources));
    let pairs: usize = generated.targets.iter().map(|target| reached.count(*target)).sum();
    let mut rows = vec![
        Row::new("ours", "load", load).bound(large.then_some(LOAD_MS)),
        Row::new("ours", "all pairs", took)
            .bound(if named { Some(PAIRS_MS) } else { large.then_some(REACH_MS) })
            .said(format!("{pairs} pairs")),
    ];
    rows.extend(choke(&network, generated, large)?);
    rows.push(change(&network, generated, &reached, large)?);
    let peak = peak_mib()?;
    println!("  peak memory of this process so far {peak} MiB, {before} MiB before this size");
    anyhow::ensure!(!large || peak < PEAK_MIB, "peak memory {peak} MiB");
    drop(reached);
    rows.extend(peers::petgraph(generated, pairs)?);
    rows.extend(peers::ascent(generated, pairs)?);
    rows.extend(peers::scripts(generated, pairs, args.python.as_deref())?);
    Ok(rows)
}

/// Dominators over all starts at once and a smallest cut; each claim is tried by a search without it.
fn choke(network: &Network, generated: &Generated, large: bool) -> anyhow::Result<Vec<Row>> {
    let question = Question { network, sources: &generated.sources, given: &[], targets: &generated.targets };
    let (tree, tree_took) = steady(|| dominators(network, &generated.sources));
    let inner: BTreeSet<u32> = generated.sources.iter().chain(&generated.targets).copied().collect();
    let reached = question.reached();
    let (cut, cut_took) = timed(|| question.cut(&reached, |node| !inner.contains(&node)));
    let cut = cut.context("no cut: an agent touches a store itself")?;
    let left = reached.without(&Without::nodes(cut.nodes.iter().copied()));
    let survivors: usize = generated.targets.iter().map(|target| left.count(*target)).sum();
    anyhow::ensure!(survivors == 0, "{survivors} pairs survive the cut");
    let dominated: BTreeSet<u32> =
        generated.targets.iter().filter_map(|target| tree.get(*target as usize).copied().flatten()).collect();
    for node in dominated.iter().take(50) {
        let left = reached.without(&Without::node(*node));
        let held = generated.targets.iter().filter(|target| tree.get(**target as usize) == Some(&Some(*node)));
        anyhow::ensure!(held.clone().all(|target| left.count(*target) == 0), "node {node} dominates nothing after all");
    }
    let together = tree_took + cut_took;
    let behind =
        generated.targets.iter().filter(|target| tree.get(**target as usize).is_some_and(Option::is_some)).count();
    let said = format!("{behind} stores behind one node; {} nodes end all, verified", cut.nodes.len());
    let mut rows = vec![
        Row::new("ours", "dominators", tree_took),
        Row::new("ours", "smallest cut", cut_took),
        Row::new("ours", "choke points", together).bound(large.then_some(CHOKE_MS)).said(said),
    ];
    if generated.size.edges <= 100_000 {
        let (chokes, took) = timed(|| question.chokes(&reached, |node| !inner.contains(&node)));
        let best = chokes.first().map_or(0, |choke| choke.ends);
        let said = format!("{} nodes end a pair or more, the best {best}; complete, each tried", chokes.len());
        rows.push(Row::new("ours", "every choke point, by pairs", took).said(said));
    }
    Ok(rows)
}

/// Takes out one grant, and puts one in, many times: the slowest and the usual.
fn change(
    network: &Network,
    generated: &Generated,
    reached: &::graph::reach::Reached<'_>,
    large: bool,
) -> anyhow::Result<Row> {
    let mut times: Vec<Duration> = Vec::new();
    let mut random = generate::Random::new(11);
    for turn in 0..200u32 {
        let step = StepId(random.below(network.steps()));
        let (from, to) = network.ends(step).context("a step without ends")?;
        let (changed, took) = timed(|| reached.without(&Without::step(step)));
        times.push(took);
        let added = (vec![random.below(generated.size.nodes)], random.below(generated.size.nodes));
        let (grown, took) = timed(|| reached.with(std::slice::from_ref(&added)));
        times.push(took);
        if turn < 3 && !large {
            let kept =
                generated.steps.iter().copied().filter(|step| *step != (from.first().copied().unwrap_or_default(), to));
            same(&Builder::from_steps(generated.size.nodes, kept.collect()).build(), generated, |store| {
                changed.count(store)
            })?;
            let all = generated.steps.iter().copied().chain([(added.0.first().copied().unwrap_or_default(), added.1)]);
            same(&Builder::from_steps(generated.size.nodes, all.collect()).build(), generated, |store| {
                grown.count(store)
            })?;
        }
    }
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    let slowest = times.last().copied().unwrap_or_default();
    let said =
        format!("400 changes: p50 {:.3} ms, p99 {:.2} ms, slowest {:.1} ms", ms(at(50)), ms(at(99)), ms(slowest));
    Ok(Row::new("ours", "one changed grant (p99)", at(99)).bound(large.then_some(CHANGE_MS)).said(said))
}

fn same(network: &Network, generated: &Generated, count: impl Fn(u32) -> usize) -> anyhow::Result<()> {
    let anew = reach(network, &generated.sources);
    for store in &generated.targets {
        anyhow::ensure!(anew.count(*store) == count(*store), "store {store} differs from a graph built anew");
    }
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// What is over in a moment is done five times, and its median counts: the first time pays for memory that the process
/// does not have yet.
fn steady<T>(mut work: impl FnMut() -> T) -> (T, Duration) {
    const MOMENT: Duration = Duration::from_millis(100);
    let (mut result, mut took) = timed(&mut work);
    if took < MOMENT {
        let mut all = vec![took];
        for _ in 0..4 {
            (result, took) = timed(&mut work);
            all.push(took);
        }
        all.sort_unstable();
        took = all.get(all.len() / 2).copied().unwrap_or(took);
    }
    (result, took)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

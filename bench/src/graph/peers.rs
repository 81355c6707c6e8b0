//! The same questions to other libraries. A peer that would take far longer than ours is asked at smaller sizes only.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use petgraph::algo::dominators::simple_fast;
use petgraph::csr::Csr;
use petgraph::visit::{Bfs, IntoNeighbors as _};

use super::generate::Generated;
use super::table::Row;
use super::timed;

/// `petgraph`'s compressed sparse rows, and its dominators.
pub(super) fn petgraph(generated: &Generated, pairs: usize) -> anyhow::Result<Vec<Row>> {
    let mut sorted = generated.steps.clone();
    // Sorting is part of its load: `from_sorted_edges` asks for it.
    let (graph, load) = timed(|| {
        // A root before all exposed agents, for the dominators.
        let root = generated.size.nodes;
        sorted.extend(generated.sources.iter().map(|source| (root, *source)));
        sorted.sort_unstable();
        sorted.dedup();
        Csr::<(), ()>::from_sorted_edges(&sorted)
    });
    let graph = graph.map_err(|_| anyhow::anyhow!("petgraph takes the edges for unsorted"))?;
    let mut rows = vec![Row::new("petgraph", "load", load)];
    if generated.size.edges <= 1_000_000 {
        let mut is_target = vec![false; graph.node_count()];
        for target in &generated.targets {
            if let Some(mark) = is_target.get_mut(*target as usize) {
                *mark = true;
            }
        }
        let (found, took) = timed(|| {
            let mut found = 0usize;
            for source in &generated.sources {
                let mut search = Bfs::new(&graph, *source);
                while let Some(node) = search.next(&graph) {
                    found += usize::from(is_target.get(node as usize) == Some(&true));
                }
            }
            found
        });
        anyhow::ensure!(found == pairs, "petgraph finds {found} pairs, we {pairs}");
        rows.push(Row::new("petgraph", "all pairs", took).said("the same pairs"));
    } else {
        rows.push(Row::skipped("petgraph", "all pairs", "one search for each agent would take minutes"));
    }
    let root = generated.size.nodes;
    if graph.neighbors(root).next().is_some() {
        let (tree, took) = timed(|| simple_fast(&graph, root));
        let held = generated
            .targets
            .iter()
            .filter(|target| tree.immediate_dominator(**target).is_some_and(|up| up != root))
            .count();
        rows.push(Row::new("petgraph", "dominators", took).said(format!("{held} stores behind one node")));
    }
    Ok(rows)
}

const SCRIPT: &str = "import sys, time, networkx as nx\n\
lines = sys.stdin.read().split('\\n')\n\
n = int(lines[0]); s = list(map(int, lines[1].split())); t = set(map(int, lines[2].split()))\n\
edges = [tuple(map(int, line.split())) for line in lines[3:] if line]\n\
a = time.perf_counter(); g = nx.DiGraph(); g.add_nodes_from(range(n)); g.add_edges_from(edges); b = time.perf_counter()\n\
pairs = sum(len((nx.descendants(g, x) | {x}) & t) for x in s); c = time.perf_counter()\n\
g.add_edges_from((n, x) for x in s); d = time.perf_counter(); nx.immediate_dominators(g, n); e = time.perf_counter()\n\
print(pairs, b - a, c - b, e - d)\n";

/// networkx, in a Python of its own; the time to hand the edges over does not count.
pub(super) fn networkx(generated: &Generated, pairs: usize, python: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let Some(python) = python else {
        return Ok(vec![Row::skipped("networkx", "all pairs", "no `--python` was given")]);
    };
    if generated.size.edges > 100_000 {
        return Ok(vec![Row::skipped("networkx", "all pairs", "would take hours")]);
    }
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let numbers = |list: &[u32]| list.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let mut text =
        format!("{}\n{}\n{}\n", generated.size.nodes, numbers(&generated.sources), numbers(&generated.targets));
    generated.steps.iter().for_each(|(from, to)| text += &format!("{from} {to}\n"));
    child.stdin.take().context("no standard input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Ok(vec![Row::skipped("networkx", "all pairs", "this Python has no networkx, or it failed")]);
    }
    let text = String::from_utf8(output.stdout)?;
    let words: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [found, load, reach, tree] = words.as_slice() else { anyhow::bail!("networkx answered `{text}`") };
    anyhow::ensure!(
        (*found - f64::from(u32::try_from(pairs)?)).abs() < 0.5,
        "networkx finds {found} pairs, we {pairs}"
    );
    let row = |what, seconds: &f64| Row::new("networkx", what, Duration::from_secs_f64(*seconds));
    Ok(vec![row("load", load), row("all pairs", reach).said("the same pairs"), row("dominators", tree)])
}

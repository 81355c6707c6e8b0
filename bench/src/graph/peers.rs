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
use super::{steady, timed};

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
        let (found, took) = steady(|| {
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
        let (tree, took) = steady(|| simple_fast(&graph, root));
        let held = generated
            .targets
            .iter()
            .filter(|target| tree.immediate_dominator(**target).is_some_and(|up| up != root))
            .count();
        rows.push(Row::new("petgraph", "dominators", took).said(format!("{held} stores behind one node")));
    }
    Ok(rows)
}

ascent::ascent! {
    struct Datalog;
    relation step(u32, u32);
    relation source(u32);
    relation held(u32, u32);

    held(start, start) <-- source(start);
    held(start, to) <-- held(start, from), step(from, to);
}

/// `ascent`, a Datalog engine: which start holds what, as two rules.
pub(super) fn ascent(generated: &Generated, pairs: usize) -> anyhow::Result<Vec<Row>> {
    if generated.size.edges > 100_000 {
        return Ok(vec![Row::skipped("ascent", "all pairs", "holds every start with every node: too much memory")]);
    }
    // It indexes what it is given when it runs: there is no load to speak of.
    let mut datalog = Datalog {
        step: generated.steps.clone(),
        source: generated.sources.iter().map(|source| (*source,)).collect(),
        ..Datalog::default()
    };
    let ((), took) = timed(|| datalog.run());
    let targets: std::collections::BTreeSet<u32> = generated.targets.iter().copied().collect();
    let found = datalog.held.iter().filter(|(_, node)| targets.contains(node)).count();
    anyhow::ensure!(found == pairs, "ascent finds {found} pairs, we {pairs}");
    Ok(vec![Row::new("ascent", "all pairs", took).said("the same pairs")])
}

/// A peer in Python: reads the graph from standard input, prints the number of pairs and seconds for load and all
/// pairs, and for dominators if it has them.
struct Script {
    who: &'static str,
    code: &'static str,
    /// Beyond this many edges it is not asked: it is a thousand times slower by then.
    edges_max: u32,
}

/// The longest that a script may take.
const SECONDS_MAX: u32 = 180;

const READ: &str = "import sys, time, signal\n\
lines = sys.stdin.read().split('\\n')\n\
n = int(lines[0]); s = list(map(int, lines[1].split())); t = set(map(int, lines[2].split()))\n\
edges = [tuple(map(int, line.split())) for line in lines[3:] if line]\n";

const SCRIPTS: &[Script] = &[
    Script {
        who: "networkx",
        edges_max: 100_000,
        code: "import networkx as nx\n\
a = time.perf_counter(); g = nx.DiGraph(); g.add_nodes_from(range(n)); g.add_edges_from(edges); b = time.perf_counter()\n\
pairs = sum(len((nx.descendants(g, x) | {x}) & t) for x in s); c = time.perf_counter()\n\
g.add_edges_from((n, x) for x in s); d = time.perf_counter(); nx.immediate_dominators(g, n); e = time.perf_counter()\n\
print(pairs, b - a, c - b, e - d)\n",
    },
    // PMapper's own search over its own graph, as its privilege escalation queries use it.
    Script {
        who: "PMapper",
        edges_max: 5_000,
        code: "import collections, collections.abc\n\
for name in ('Mapping', 'MutableMapping', 'Sequence'): setattr(collections, name, getattr(collections.abc, name))\n\
from principalmapper.common import Edge, Graph, Node\n\
from principalmapper.querying.query_utils import get_search_list\n\
a = time.perf_counter()\n\
nodes = [Node(f'arn:aws:iam::111122223333:role/r{x}', f'AROA{x}', [], [], {}, None, 0, False, False, None, False, {}) for x in range(n)]\n\
g = Graph(nodes, [Edge(nodes[x], nodes[y], 'step', 'step') for x, y in edges], [], [], {'account_id': '111122223333', 'pmapper_version': '1'}); b = time.perf_counter()\n\
ends = {nodes[x].arn for x in t}; pairs = 0\n\
for x in s:\n\
\x20   reached = {e.destination.arn for path in get_search_list(g, nodes[x]) for e in path} | {nodes[x].arn}\n\
\x20   pairs += len(reached & ends)\n\
c = time.perf_counter(); print(pairs, b - a, c - b)\n",
    },
    // agent-bom's own search; by itself it goes six steps and says nothing of what lies behind.
    Script {
        who: "agent-bom",
        edges_max: 100_000,
        code: "from agent_bom.graph.container import UnifiedGraph\n\
from agent_bom.graph.node import UnifiedNode\n\
from agent_bom.graph.edge import UnifiedEdge\n\
from agent_bom.graph.types import EntityType, RelationshipType\n\
kind = list(EntityType)[0]; step = list(RelationshipType)[0]\n\
a = time.perf_counter(); g = UnifiedGraph()\n\
for x in range(n): g.add_node(UnifiedNode(id=str(x), entity_type=kind, label=str(x)))\n\
for x, y in edges: g.add_edge(UnifiedEdge(source=str(x), target=str(y), relationship=step))\n\
b = time.perf_counter(); ends = {str(x) for x in t}\n\
pairs = sum(len(g.reachable_from(str(x), max_depth=n) & ends) for x in s); c = time.perf_counter()\n\
print(pairs, b - a, c - b)\n",
    },
];

/// Every peer in Python; the time to hand the edges over does not count.
pub(super) fn scripts(generated: &Generated, pairs: usize, python: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for script in SCRIPTS {
        rows.extend(run(script, generated, pairs, python)?);
    }
    Ok(rows)
}

fn run(script: &Script, generated: &Generated, pairs: usize, python: Option<&Path>) -> anyhow::Result<Vec<Row>> {
    let skipped = |why: String| Ok(vec![Row::skipped(script.who, "all pairs", why)]);
    let Some(python) = python else { return skipped("no `--python` was given".to_owned()) };
    if generated.size.edges > script.edges_max {
        return skipped(format!("not asked beyond {} edges", script.edges_max));
    }
    let code = format!("{READ}signal.alarm({SECONDS_MAX})\n{}", script.code);
    let piped = Stdio::piped;
    let mut child = Command::new(python).args(["-c", &code]).stdin(piped()).stdout(piped()).stderr(piped()).spawn()?;
    let numbers = |list: &[u32]| list.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let mut text =
        format!("{}\n{}\n{}\n", generated.size.nodes, numbers(&generated.sources), numbers(&generated.targets));
    generated.steps.iter().for_each(|(from, to)| text += &format!("{from} {to}\n"));
    child.stdin.take().context("no standard input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or("it was ended after 180 seconds").to_owned();
        return skipped(last);
    }
    let text = String::from_utf8(output.stdout)?;
    let words: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [found, load, reach, tree @ ..] = words.as_slice() else { anyhow::bail!("{} answered `{text}`", script.who) };
    let same = (*found - f64::from(u32::try_from(pairs)?)).abs() < 0.5;
    let row = |what, seconds: &f64| Row::new(script.who, what, Duration::from_secs_f64(*seconds));
    let said = if same { "the same pairs".to_owned() } else { format!("finds {found} of {pairs} pairs") };
    let mut rows = vec![row("load", load), row("all pairs", reach).said(said)];
    rows.extend(tree.first().map(|seconds| row("dominators", seconds)));
    Ok(rows)
}

//! What follows from the steps: who can reach what, by which shortest way, and which single grant
//! would stop most of it.
//!
//! The set of reachable pairs is complete; each has one witness, which has the fewest uncertain
//! steps and among those the fewest steps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use super::arn::Arn;
use super::attack::{ACCESS, Derived, Edge, Ground};
use super::condition::Context;
use super::estate::{PrincipalKind, StatementId};
use super::evaluate::{Evaluator, Request};
use super::truth::Truth;

/// Where paths lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Everything.
    Administrator,
    /// A principal.
    Principal(usize),
    /// A resource, by an action on it.
    Resource {
        /// For example `s3:GetObject`.
        action: String,
        /// Its ARN.
        arn: String,
    },
}

/// The action that reads a resource, and the form of the resource that it is asked on.
pub fn reading(arn: &Arn<'_>) -> (String, String) {
    let whole = arn.to_string();
    let action = match arn.service {
        "s3" if arn.resource.contains('/') => "s3:GetObject",
        "s3" => return ("s3:GetObject".to_owned(), format!("{whole}/*")),
        "secretsmanager" => "secretsmanager:GetSecretValue",
        "dynamodb" => "dynamodb:GetItem",
        "kms" => "kms:Decrypt",
        "ssm" => "ssm:GetParameter",
        "sqs" => "sqs:ReceiveMessage",
        "lambda" => "lambda:InvokeFunction",
        "bedrock" => "bedrock:Retrieve",
        service => return (format!("{service}:Get*"), whole),
    };
    (action.to_owned(), whole)
}

/// One start that reaches the goal, with its witness.
#[derive(Clone, Debug)]
pub struct Path {
    /// The principal that starts.
    pub from: usize,
    /// Whether every step is certain.
    pub truth: Truth,
    /// The steps in order, as indexes into [`Paths::edges`]. A step that needs a second principal
    /// comes after the steps that get it.
    pub steps: Vec<usize>,
}

/// A grant whose removal ends paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choke {
    /// The statement.
    pub statement: StatementId,
    /// How many of the paths' starts no longer reach the goal without it.
    pub ends: usize,
}

/// Everything that reaches one goal.
pub struct Paths {
    /// The steps of the paths, those to the goal included.
    pub edges: Vec<Edge>,
    /// One path for each start, ordered by certainty, length and name.
    pub paths: Vec<Path>,
    /// Grants by how many paths they end, most first.
    pub chokes: Vec<Choke>,
    /// A small set of grants that together end every path, found greedily.
    pub cut: Vec<StatementId>,
}

/// Finds every path to a goal; from one principal if given, else from all that are not there yet.
pub fn find(derived: &Derived, goal: &Goal, from: Option<usize>) -> Paths {
    let (last, target) = to_goal(derived, goal);
    let all: Vec<&Edge> = derived.edges.iter().chain(&last).collect();
    let network = Network::new(all, derived.admin + 2, target);
    let alive = network.dead(&BTreeSet::new());
    let mut paths: Vec<Path> = starts(derived, from)
        .filter(|start| from.is_some() || !trivially_there(derived, goal, *start))
        .filter_map(|start| network.path(start, target, &alive))
        .collect();
    let name = |path: &Path| derived.estate.principals.get(path.from).map(|principal| principal.arn.clone());
    paths.sort_by_cached_key(|path| (Reverse(path.truth), path.steps.len(), name(path)));
    let chokes = chokes(&network, &paths, target);
    let cut = cut(&network, &paths, target);
    let edges = keep_used(&network, &mut paths);
    Paths { edges, paths, chokes, cut }
}

/// Copies the steps that some path takes, and renumbers the paths' steps.
fn keep_used(network: &Network<'_>, paths: &mut [Path]) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for step in paths.iter_mut().flat_map(|path| &mut path.steps) {
        let Some(edge) = network.edges.get(*step) else { continue };
        *step = *places.entry(*step).or_insert_with(|| {
            edges.push((*edge).clone());
            edges.len() - 1
        });
    }
    edges
}

/// Who could start: everything but groups, service-linked roles and users as future group members.
fn starts(derived: &Derived, from: Option<usize>) -> impl Iterator<Item = usize> {
    let all = derived.estate.principals.iter().enumerate();
    let possible = move |(index, principal): &(usize, &super::estate::Principal)| match from {
        Some(from) => *index == from,
        None => {
            principal.kind != PrincipalKind::Group
                && !principal.is_service_linked()
                && !derived.joined.contains_key(index)
        }
    };
    all.filter(possible).map(|(index, _)| index)
}

fn trivially_there(derived: &Derived, goal: &Goal, start: usize) -> bool {
    match goal {
        Goal::Administrator => derived.administrators.contains(&start),
        Goal::Principal(index) => *index == start || derived.administrators.contains(&start),
        Goal::Resource { .. } => derived.administrators.contains(&start),
    }
}

/// The steps that lead from principals to the goal itself, and the goal's index.
fn to_goal(derived: &Derived, goal: &Goal) -> (Vec<Edge>, usize) {
    let mut edges = Vec::new();
    let beyond = derived.admin + 1;
    match goal {
        Goal::Administrator => (edges, derived.admin),
        Goal::Principal(index) => {
            edges.push(access(derived.admin, *index, Truth::Yes, Vec::new()));
            (edges, *index)
        }
        Goal::Resource { action, arn } => {
            edges.push(access(derived.admin, beyond, Truth::Yes, Vec::new()));
            let evaluator = Evaluator::new(&derived.estate);
            for (index, principal) in derived.estate.principals.iter().enumerate() {
                if !matches!(principal.kind, PrincipalKind::User | PrincipalKind::Role) {
                    continue;
                }
                let context = Context::default();
                let answer = evaluator.decide(&Request::new(index, action, arn, &context));
                if answer.verdict == Truth::No {
                    continue;
                }
                let statements = answer.allows.iter().map(|cite| cite.statement).collect();
                let claim = format!("{action} on {arn}");
                let ground = Arc::new(Ground { claim, statements, truth: answer.verdict, open: Vec::new() });
                edges.push(access(index, beyond, answer.verdict, vec![ground]));
            }
            (edges, beyond)
        }
    }
}

fn access(from: usize, to: usize, truth: Truth, grounds: Vec<Arc<Ground>>) -> Edge {
    let (through, missing, assuming) = (None, Vec::new(), Vec::new());
    Edge { from, also: None, to, kind: &ACCESS, truth, grounds, through, missing, assuming }
}

/// Steps indexed by where they start.
struct Network<'e> {
    edges: Vec<&'e Edge>,
    out: Vec<Vec<usize>>,
    /// The steps that a statement is part of.
    resting: HashMap<StatementId, Vec<usize>>,
    size: usize,
}

/// Uncertain steps first, then all steps.
type Cost = (u32, u32);

impl<'e> Network<'e> {
    /// Keeps only steps to what can lead to the target: nothing else is ever worth a visit.
    fn new(edges: Vec<&'e Edge>, size: usize, target: usize) -> Self {
        let useful = leading_to(&edges, size, target);
        let mut out = vec![Vec::new(); size];
        for (index, edge) in edges.iter().enumerate() {
            if !useful.get(edge.to).copied().unwrap_or_default() {
                continue;
            }
            for node in std::iter::once(edge.from).chain(edge.also) {
                if let Some(list) = out.get_mut(node) {
                    list.push(index);
                }
            }
        }
        let mut resting: HashMap<StatementId, Vec<usize>> = HashMap::new();
        for index in out.iter().flatten() {
            let grounds = edges.get(*index).into_iter().flat_map(|edge| &edge.grounds);
            for statement in grounds.flat_map(|ground| &ground.statements) {
                resting.entry(*statement).or_default().push(*index);
            }
        }
        Self { edges, out, resting, size }
    }

    /// Which steps end when these statements are removed.
    fn dead(&self, removed: &BTreeSet<StatementId>) -> Vec<bool> {
        let mut dead = vec![false; self.edges.len()];
        let touched = removed.iter().filter_map(|statement| self.resting.get(statement)).flatten();
        for index in touched {
            if let (Some(edge), Some(slot)) = (self.edges.get(*index), dead.get_mut(*index)) {
                *slot = !survives(edge, removed);
            }
        }
        dead
    }

    /// The cheapest way from `start` to `target` without the dead steps. A step that needs
    /// two principals is taken once both are reached, and costs what both cost.
    fn path(&self, start: usize, target: usize, dead: &[bool]) -> Option<Path> {
        let mut settled: Vec<Option<(Cost, Option<usize>)>> = vec![None; self.size];
        let mut best: Vec<Option<Cost>> = vec![None; self.size];
        let mut queue = BinaryHeap::from([Reverse(((0, 0), start, None::<usize>))]);
        while let Some(Reverse((cost, node, by))) = queue.pop() {
            let Some(slot) = settled.get_mut(node).filter(|slot| slot.is_none()) else { continue };
            *slot = Some((cost, by));
            if node == target {
                break;
            }
            for index in self.out.get(node).into_iter().flatten() {
                let Some(edge) = self.edges.get(*index).filter(|_| dead.get(*index) == Some(&false)) else { continue };
                let reached = |node: usize| settled.get(node).copied().flatten().map(|(cost, _)| cost);
                let also = edge.also.map_or(Some((0, 0)), reached);
                let (Some(from), Some(also), None) = (reached(edge.from), also, reached(edge.to)) else { continue };
                let uncertain = u32::from(edge.truth != Truth::Yes);
                let next = (from.0 + also.0 + uncertain, from.1 + also.1 + 1);
                // A step that is no better than one already queued for the same place is not queued.
                if let Some(best) = best.get_mut(edge.to).filter(|best| best.is_none_or(|best| next < best)) {
                    *best = Some(next);
                    queue.push(Reverse((next, edge.to, Some(*index))));
                }
            }
        }
        let mut steps = Vec::new();
        settled.get(target).copied().flatten()?;
        self.unroll(target, &settled, &mut steps);
        let truth = Truth::all(steps.iter().filter_map(|step| self.edges.get(*step)).map(|edge| edge.truth));
        Some(Path { from: start, truth, steps })
    }

    fn unroll(&self, node: usize, settled: &[Option<(Cost, Option<usize>)>], steps: &mut Vec<usize>) {
        let Some((_, Some(index))) = settled.get(node).copied().flatten() else { return };
        let Some(edge) = self.edges.get(index).filter(|_| !steps.contains(&index)) else { return };
        self.unroll(edge.from, settled, steps);
        if let Some(also) = edge.also {
            self.unroll(also, settled, steps);
        }
        steps.push(index);
    }
}

/// Which nodes have a way to the target, the second principal of a step counting as one.
fn leading_to(edges: &[&Edge], size: usize, target: usize) -> Vec<bool> {
    let mut into: Vec<Vec<usize>> = vec![Vec::new(); size];
    for edge in edges {
        if let Some(list) = into.get_mut(edge.to) {
            list.extend(std::iter::once(edge.from).chain(edge.also));
        }
    }
    let mut useful = vec![false; size];
    let mut queue = vec![target];
    while let Some(node) = queue.pop() {
        let Some(slot) = useful.get_mut(node).filter(|slot| !**slot) else { continue };
        *slot = true;
        queue.extend(into.get(node).into_iter().flatten());
    }
    useful
}

/// A step survives as long as each of its requirements keeps a statement.
fn survives(edge: &Edge, removed: &BTreeSet<StatementId>) -> bool {
    edge.grounds.iter().all(|ground| {
        ground.statements.is_empty() || ground.statements.iter().any(|statement| !removed.contains(statement))
    })
}

/// Only a statement on a start's own witness can end that start's paths, so no other is tried.
fn used_by<'p>(
    network: &Network<'_>,
    paths: &'p [Path],
    removed: &BTreeSet<StatementId>,
) -> BTreeMap<StatementId, Vec<&'p Path>> {
    let mut users: BTreeMap<StatementId, Vec<&Path>> = BTreeMap::new();
    for path in paths {
        let edges = path.steps.iter().filter_map(|step| network.edges.get(*step));
        let statements: BTreeSet<StatementId> =
            edges.flat_map(|edge| &edge.grounds).flat_map(|ground| ground.statements.iter().copied()).collect();
        for statement in statements.difference(removed).copied() {
            users.entry(statement).or_default().push(path);
        }
    }
    users
}

fn chokes(network: &Network<'_>, paths: &[Path], target: usize) -> Vec<Choke> {
    let mut chokes: Vec<Choke> = used_by(network, paths, &BTreeSet::new())
        .into_iter()
        .map(|(statement, users)| {
            let dead = network.dead(&BTreeSet::from([statement]));
            let ends = users.iter().filter(|path| network.path(path.from, target, &dead).is_none()).count();
            Choke { statement, ends }
        })
        .filter(|choke| choke.ends > 0)
        .collect();
    chokes.sort_by_key(|choke| (Reverse(choke.ends), choke.statement));
    chokes
}

/// Removes, again and again, the statement that most of the remaining witnesses use.
fn cut(network: &Network<'_>, paths: &[Path], target: usize) -> Vec<StatementId> {
    let mut removed = BTreeSet::new();
    let mut cut = Vec::new();
    let mut left: Vec<Path> = paths.to_vec();
    while !left.is_empty() {
        let users = used_by(network, &left, &removed);
        let Some((statement, _)) = users.into_iter().max_by_key(|(id, users)| (users.len(), Reverse(*id))) else {
            break;
        };
        removed.insert(statement);
        cut.push(statement);
        let dead = network.dead(&removed);
        left = left.iter().filter_map(|path| network.path(path.from, target, &dead)).collect();
    }
    cut
}

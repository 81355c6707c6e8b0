//! The engine against brute force on random small networks.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A network as brute force sees it: starts and end of every step.
type Steps = Vec<(Vec<u32>, u32)>;

fn arb(joint: bool) -> impl Strategy<Value = (u32, Steps)> {
    (2u32..9).prop_flat_map(move |nodes| {
        let starts = if joint { 1..4 } else { 1..2usize };
        let step = (proptest::collection::vec(0..nodes, starts), 0..nodes);
        (Just(nodes), proptest::collection::vec(step, 0..22))
    })
}

fn network(nodes: u32, steps: &Steps) -> Network {
    let mut builder = Builder::new(nodes);
    for (from, to) in steps {
        builder.joint(from, *to);
    }
    builder.build()
}

/// Everything that follows from `have`, tried until nothing changes.
fn naive(steps: &Steps, have: &[u32], without: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut all: BTreeSet<u32> = have.iter().copied().filter(|node| !without.contains(node)).collect();
    loop {
        let next: Vec<u32> = steps
            .iter()
            .filter(|(from, to)| {
                !without.contains(to) && !all.contains(to) && from.iter().all(|node| all.contains(node))
            })
            .map(|(_, to)| *to)
            .collect();
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

/// Every subset of some nodes, the smallest first.
fn subsets(nodes: &[u32]) -> Vec<BTreeSet<u32>> {
    let mut all: Vec<BTreeSet<u32>> = (0u32..1 << nodes.len())
        .map(|bits| nodes.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, node)| *node).collect())
        .collect();
    all.sort_by_key(BTreeSet::len);
    all
}

/// How many ways of choosing the ends of a question are tried per network.
fn ends(nodes: u32) -> (Vec<u32>, Vec<u32>) {
    let sources: Vec<u32> = (0..nodes / 2).collect();
    (sources, (nodes / 2..nodes).rev().take(2).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn reach_is_what_follows((nodes, steps) in arb(true), given in proptest::collection::vec(0u32..9, 0..3)) {
        let network = network(nodes, &steps);
        let sources: Vec<u32> = (0..nodes).chain((0..nodes).cycle().take(600)).collect();
        let given: Vec<u32> = given.into_iter().filter(|node| *node < nodes).collect();
        let found = reach_together(&network, &sources, &given);
        for (position, source) in sources.iter().enumerate().take(nodes as usize).chain([(550, &sources[550])]) {
            let have: Vec<u32> = given.iter().copied().chain([*source]).collect();
            let all = naive(&steps, &have, &BTreeSet::new());
            for node in 0..nodes {
                prop_assert_eq!(found.has(position, node), all.contains(&node), "{} to {}", source, node);
            }
        }
        let counted: usize = (0..nodes).map(|node| found.count(node)).sum();
        let one_by_one: usize = (0..nodes).map(|node| found.sources(node).count()).sum();
        prop_assert_eq!(counted, one_by_one);
    }

    #[test]
    fn a_changed_network_is_one_built_anew((nodes, steps) in arb(true), out in proptest::collection::vec(0u32..9, 0..3),
                                           more in proptest::collection::vec((proptest::collection::vec(0u32..9, 1..3), 0u32..9), 0..3)) {
        let network = network(nodes, &steps);
        let sources: Vec<u32> = (0..nodes).collect();
        let base = reach(&network, &sources);
        let out: BTreeSet<u32> = out.into_iter().filter(|node| *node < nodes).collect();
        let more: Steps = more.into_iter().filter(|(from, to)| *to < nodes && from.iter().all(|node| *node < nodes)).collect();
        let (less, grown) = (base.without(&Without::nodes(out.iter().copied())), base.with(&more));
        let all: Steps = steps.iter().chain(&more).cloned().collect();
        for source in 0..nodes {
            let (fewer, further) = (naive(&steps, &[source], &out), naive(&all, &[source], &BTreeSet::new()));
            for node in 0..nodes {
                prop_assert_eq!(less.has(source as usize, node), fewer.contains(&node));
                prop_assert_eq!(grown.has(source as usize, node), further.contains(&node));
            }
        }
    }

    #[test]
    fn a_step_taken_out_is_taken_out((nodes, steps) in arb(true), which in 0usize..22) {
        let network = network(nodes, &steps);
        prop_assume!(network.steps() > 0);
        let step = StepId(u32::try_from(which).unwrap() % network.steps());
        let (from, to) = network.ends(step).unwrap();
        let from: BTreeSet<u32> = from.into_iter().collect();
        let same = |other: &(Vec<u32>, u32)| other.1 == to && other.0.iter().copied().collect::<BTreeSet<_>>() == from;
        prop_assert!(steps.iter().any(same));
        // Equal joint steps stay several; only then is the one not the last of its kind.
        prop_assume!(from.len() == 1 || steps.iter().filter(|other| same(other)).count() == 1);
        let kept: Steps = steps.iter().filter(|other| !same(other)).cloned().collect();
        let sources: Vec<u32> = (0..nodes).collect();
        let base = reach(&network, &sources);
        let less = base.without(&Without::step(step));
        for source in 0..nodes {
            let all = naive(&kept, &[source], &BTreeSet::new());
            for node in 0..nodes {
                prop_assert_eq!(less.has(source as usize, node), all.contains(&node));
            }
        }
    }

    #[test]
    fn a_witness_is_a_way_and_as_short_as_any((nodes, steps) in arb(true)) {
        let network = network(nodes, &steps);
        for target in 0..nodes {
            let all = naive(&steps, &[0], &BTreeSet::new());
            let way = witness(&network, &[0], target, &Without::default());
            prop_assert_eq!(way.is_some(), all.contains(&target));
            let mut have = BTreeSet::from([0]);
            for step in way.iter().flatten() {
                let (from, to) = network.ends(*step).unwrap();
                prop_assert!(from.iter().all(|node| have.contains(node)), "a step before what it rests on");
                have.insert(to);
            }
            prop_assert!(way.is_none() || have.contains(&target));
            if let (Some(way), false) = (way, network.has_joint()) {
                let mut ring = BTreeSet::from([0]);
                for _ in 0..way.len().saturating_sub(1) {
                    ring.extend(steps.iter().filter(|(from, _)| ring.contains(&from[0])).map(|(_, to)| *to).collect::<Vec<_>>());
                }
                prop_assert!(way.is_empty() || !ring.contains(&target), "there is a shorter way");
            }
        }
    }

    #[test]
    fn dominators_are_on_every_way((nodes, steps) in arb(false), both in any::<bool>()) {
        let network = network(nodes, &steps);
        let sources: &[u32] = if both { &[0, 1] } else { &[0] };
        let found = dominators(&network, sources);
        let all = naive(&steps, sources, &BTreeSet::new());
        for node in (0..nodes).filter(|node| !sources.contains(node)) {
            let needed: BTreeSet<u32> = (0..nodes)
                .filter(|other| *other != node && all.contains(&node))
                .filter(|other| !naive(&steps, sources, &BTreeSet::from([*other])).contains(&node))
                .collect();
            let mut chain = BTreeSet::new();
            let mut at = node;
            while let Some(up) = found[at as usize] { chain.insert(up); at = up; }
            prop_assert_eq!(chain, needed);
        }
    }

    #[test]
    fn dominators_with_joint_steps_never_claim_too_much((nodes, steps) in arb(true)) {
        let found = dominators(&network(nodes, &steps), &[0]);
        for (node, up) in (0u32..).zip(&found) {
            let still = |up: &u32| *up != 0 && naive(&steps, &[0], &BTreeSet::from([*up])).contains(&node);
            prop_assert!(!up.as_ref().is_some_and(still));
        }
    }

    #[test]
    fn choke_points_are_all_and_only_those_that_end_ways((nodes, steps) in arb(true)) {
        let network = network(nodes, &steps);
        let (sources, targets) = ends(nodes);
        let question = Question { network: &network, sources: &sources, given: &[], targets: &targets };
        let inner = |node: u32| !sources.contains(&node) && !targets.contains(&node);
        let found = question.chokes(&question.reached(), inner);
        let pairs = |without: &BTreeSet<u32>| -> usize {
            sources.iter().map(|source| naive(&steps, &[*source], without)).map(|all| targets.iter().filter(|to| all.contains(to)).count()).sum()
        };
        prop_assert_eq!(question.pairs(&question.reached()), pairs(&BTreeSet::new()));
        for node in (0..nodes).filter(|node| inner(*node)) {
            let ends = pairs(&BTreeSet::new()) - pairs(&BTreeSet::from([node]));
            let claimed = found.iter().find(|choke| choke.node == node).map_or(0, |choke| choke.ends);
            prop_assert_eq!(claimed, ends);
        }
    }

    #[test]
    fn a_cut_ends_all_ways_and_no_smaller_set_does((nodes, steps) in prop_oneof![arb(true), arb(false)]) {
        let network = network(nodes, &steps);
        let (sources, targets) = ends(nodes);
        let question = Question { network: &network, sources: &sources, given: &[], targets: &targets };
        let inner: Vec<u32> = (0..nodes).filter(|node| !sources.contains(node) && !targets.contains(node)).collect();
        let ends_all = |without: &BTreeSet<u32>| sources.iter().all(|source| {
            let all = naive(&steps, &[*source], without);
            targets.iter().all(|target| !all.contains(target))
        });
        let least = subsets(&inner).into_iter().find(ends_all).map(|set| set.len());
        let cut = question.cut(&question.reached(), |node| inner.contains(&node));
        prop_assert_eq!(cut.as_ref().map(|cut| cut.nodes.len()), least);
        if let Some(cut) = cut {
            prop_assert!(cut.is_least && ends_all(&cut.nodes.into_iter().collect()));
        }
    }

    #[test]
    fn further_ways_differ((nodes, steps) in arb(true)) {
        let network = network(nodes, &steps);
        let ways = diverse(&network, &[0], nodes - 1, 4);
        let inner = |way: &Vec<StepId>| -> BTreeSet<u32> {
            way.iter().filter_map(|step| network.ends(*step)).map(|(_, to)| to).filter(|to| *to != 0 && *to != nodes - 1).collect()
        };
        for (at, way) in ways.iter().enumerate() {
            prop_assert!(ways.iter().skip(at + 1).all(|other| inner(way).is_disjoint(&inner(other))));
        }
    }
}

/// Two to four hundred nodes, most of them in one component, with a few tails that hang on one step.
fn giant() -> impl Strategy<Value = (u32, Steps)> {
    (200u32..400, 2usize..5).prop_flat_map(|(nodes, degree)| {
        let plain = proptest::collection::vec((0..nodes, 0..nodes), nodes as usize * degree / 2);
        let joint = proptest::collection::vec((proptest::collection::vec(0..nodes, 2..4), 0..nodes), 0..30);
        (Just(nodes), plain, joint).prop_map(|(nodes, plain, joint)| {
            (nodes, plain.into_iter().map(|(from, to)| (vec![from], to)).chain(joint).collect())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases().div_ceil(8)))]

    #[test]
    fn a_removal_within_a_giant_component_is_exact((nodes, steps) in giant(), picks in proptest::collection::vec(any::<u32>(), 12)) {
        let network = network(nodes, &steps);
        let sources: Vec<u32> = (0..nodes).step_by(7).collect();
        let base = reach(&network, &sources);
        for (turn, pick) in picks.into_iter().enumerate() {
            let (step, node) = (StepId(pick % network.steps()), pick % nodes);
            let (from, to) = network.ends(step).unwrap();
            let from: BTreeSet<u32> = from.into_iter().collect();
            let same = |other: &(Vec<u32>, u32)| other.1 == to && other.0.iter().copied().collect::<BTreeSet<_>>() == from;
            let (without, kept): (Without, Steps) = if turn % 2 == 0 && steps.iter().filter(|one| same(one)).count() == 1 {
                (Without::step(step), steps.iter().filter(|other| !same(other)).cloned().collect())
            } else {
                (Without::node(node), steps.iter().filter(|(from, to)| *to != node && !from.contains(&node)).cloned().collect())
            };
            let (less, anew) = (base.without(&without), reach(&self::network(nodes, &kept), &sources).clone_bits(nodes));
            for (position, source) in sources.iter().enumerate() {
                for other in 0..nodes {
                    let barred = without.nodes.contains(&other) || without.nodes.contains(source);
                    prop_assert_eq!(less.has(position, other), !barred && anew[position][other as usize], "{:?}: {} to {}", &without, source, other);
                }
            }
        }
    }
}

impl Reached<'_> {
    /// Every answer, so that the network need not live on.
    fn clone_bits(&self, nodes: u32) -> Vec<Vec<bool>> {
        (0..)
            .take_while(|source| *source < nodes as usize)
            .map(|source| (0..nodes).map(|node| self.has(source, node)).collect())
            .collect()
    }
}

/// `BAILIWICK_CASES` sets how many random networks each test tries.
fn cases() -> u32 {
    std::env::var("BAILIWICK_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(512)
}

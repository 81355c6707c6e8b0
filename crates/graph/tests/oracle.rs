//! `ascent`, a Datalog engine, as an oracle for what follows from derived relations: reach under AND-conditions, and
//! which grants it rests on, over random small networks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what it did not expect")]

use graph::reach::{Builder, Without, reach_together};

ascent::ascent! {
    struct Datalog;
    /// Nodes that everybody has: the grants.
    relation given(u32);
    relation source(u32);
    relation step(u32, u32);
    relation joint(u32, u32, u32);
    relation held(u32, u32);

    held(start, start) <-- source(start);
    held(start, grant) <-- source(start), given(grant);
    held(start, to) <-- held(start, from), step(from, to);
    held(start, to) <-- held(start, one), joint(one, other, to), held(start, other);
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        u32::try_from((z ^ (z >> 31)) % u64::from(bound)).unwrap()
    }
}

struct Case {
    nodes: u32,
    sources: Vec<u32>,
    given: Vec<u32>,
    steps: Vec<(u32, u32)>,
    joints: Vec<(u32, u32, u32)>,
}

fn case(seed: u64) -> Case {
    let mut random = Random(seed);
    let (inner, grants) = (4 + random.below(10), random.below(4));
    let nodes = inner + grants;
    let step = |random: &mut Random| (random.below(nodes), random.below(inner));
    let steps = (0..random.below(2 * inner)).map(|_| step(&mut random)).filter(|(from, to)| from != to).collect();
    let joints = (0..random.below(2 * inner)).map(|_| (random.below(nodes), random.below(nodes), random.below(inner)));
    let joints = joints.filter(|(one, other, to)| one != other && one != to && other != to).collect();
    let mut sources: Vec<u32> = (0..1 + random.below(3)).map(|_| random.below(inner)).collect();
    sources.sort_unstable();
    sources.dedup();
    Case { nodes, sources, given: (inner..nodes).collect(), steps, joints }
}

/// What each source gets, by the oracle, with one node taken out.
fn oracle(case: &Case, without: Option<u32>) -> Vec<(u32, u32)> {
    let kept = |node: &u32| Some(*node) != without;
    let mut datalog = Datalog {
        given: case.given.iter().filter(|node| kept(node)).map(|node| (*node,)).collect(),
        source: case.sources.iter().filter(|node| kept(node)).map(|node| (*node,)).collect(),
        step: case.steps.iter().filter(|(from, to)| kept(from) && kept(to)).copied().collect(),
        joint: case.joints.iter().filter(|(one, other, to)| kept(one) && kept(other) && kept(to)).copied().collect(),
        ..Datalog::default()
    };
    datalog.run();
    let mut held: Vec<(u32, u32)> = datalog.held.into_iter().filter(|(_, node)| !case.given.contains(node)).collect();
    held.sort_unstable();
    held
}

#[test]
fn what_follows_from_derived_relations_is_what_a_datalog_engine_says() {
    let (mut pairs, mut lost) = (0_usize, 0_usize);
    for seed in 0..3_000 {
        let case = case(seed);
        let mut builder = Builder::new(case.nodes);
        case.steps.iter().for_each(|(from, to)| builder.step(*from, *to));
        case.joints.iter().for_each(|(one, other, to)| builder.joint(&[*one, *other], *to));
        let network = builder.build();
        let reached = reach_together(&network, &case.sources, &case.given);
        let inner = case.nodes - u32::try_from(case.given.len()).unwrap();
        let all = oracle(&case, None);
        for (at, source) in case.sources.iter().enumerate() {
            for node in 0..inner {
                assert_eq!(reached.has(at, node), all.contains(&(*source, node)), "seed {seed}: {source} to {node}");
            }
        }
        pairs += all.len();
        for grant in &case.given {
            let (left, without) = (reached.without(&Without::node(*grant)), oracle(&case, Some(*grant)));
            for (at, source) in case.sources.iter().enumerate() {
                for node in 0..inner {
                    assert_eq!(
                        left.has(at, node),
                        without.contains(&(*source, node)),
                        "seed {seed}: {source} to {node} without {grant}"
                    );
                }
            }
            lost += all.len() - without.len();
        }
    }
    assert!(pairs > 10_000 && lost > 500, "{pairs} pairs, {lost} lost with a grant: too few to say anything");
}

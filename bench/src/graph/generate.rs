//! Generated estates: layers of agents, servers, credentials, identities and stores, with hubs and a few ways back.

/// How large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Nodes.
    pub(super) nodes: u32,
    /// Edges.
    pub(super) edges: u32,
    /// Agents whose input outsiders write.
    pub(super) exposed: u32,
    /// Stores that matter.
    pub(super) sensitive: u32,
}

impl Size {
    /// Every size, the least first.
    pub(super) const ALL: &[Self] = &[
        Self { nodes: 1_000, edges: 2_300, exposed: 50, sensitive: 50 },
        Self { nodes: 10_000, edges: 23_000, exposed: 250, sensitive: 250 },
        Self { nodes: 38_500, edges: 88_600, exposed: 500, sensitive: 500 },
        Self { nodes: 200_000, edges: 1_000_000, exposed: 500, sensitive: 500 },
        Self { nodes: 1_000_000, edges: 10_000_000, exposed: 500, sensitive: 500 },
    ];
}

/// A graph with the question that is asked of it.
pub(super) struct Generated {
    /// How large.
    pub(super) size: Size,
    /// From and to.
    pub(super) steps: Vec<(u32, u32)>,
    /// The exposed agents.
    pub(super) sources: Vec<u32>,
    /// The sensitive stores.
    pub(super) targets: Vec<u32>,
}

/// The layers and their part of all nodes, in thousandths.
const LAYERS: [u32; 5] = [150, 250, 200, 250, 150];

impl Generated {
    /// The same for the same seed.
    pub(super) fn new(size: Size, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut start = vec![0u32];
        for part in LAYERS {
            let last = start.last().copied().unwrap_or_default();
            start.push(last + u32::try_from(u64::from(size.nodes) * u64::from(part) / 1_000).unwrap_or_default());
        }
        let layer =
            |at: usize| start.get(at).copied().unwrap_or_default()..start.get(at + 1).copied().unwrap_or_default();
        let mut steps = Vec::with_capacity(size.edges as usize);
        while steps.len() < size.edges as usize {
            let kind = random.below(1_000);
            let (from, to) = match kind {
                0..300 => (layer(0), layer(1)),
                300..520 => (layer(1), layer(2)),
                520..720 => (layer(2), layer(3)),
                720..850 => (layer(3), layer(3)),
                _ => (layer(3), layer(4)),
            };
            let (from, mut to) = (random.within(&from), random.hub(&to));
            if (720..850).contains(&kind) && from >= to && !kind.is_multiple_of(20) {
                // Roles are assumed downwards, and one in twenty upwards.
                to = from.saturating_add(1 + random.below(50)).min(layer(3).end - 1);
            }
            if from != to {
                steps.push((from, to));
            }
        }
        let mut sources: Vec<u32> = (0..size.exposed).map(|_| random.within(&layer(0))).collect();
        let mut targets: Vec<u32> = (0..size.sensitive).map(|_| random.within(&layer(4))).collect();
        for list in [&mut sources, &mut targets] {
            list.sort_unstable();
            list.dedup();
        }
        Self { size, steps, sources, targets }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound.max(1))).unwrap_or_default()
    }

    fn within(&mut self, range: &std::ops::Range<u32>) -> u32 {
        range.start + self.below(range.end - range.start)
    }

    /// Within, and the first of them more often: some servers and roles are everybody's.
    fn hub(&mut self, range: &std::ops::Range<u32>) -> u32 {
        if self.below(10) == 0 {
            range.start + self.below(((range.end - range.start) / 50).max(1))
        } else {
            self.within(range)
        }
    }
}

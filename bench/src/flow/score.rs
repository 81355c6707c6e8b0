//! Counts, and intervals by bootstrap over user tasks.

use std::collections::BTreeMap;

use serde::Serialize;

/// A share or a mean with its 95 % interval.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// Sum over the runs counted.
    pub(crate) sum: f64,
    /// How many runs or calls were counted.
    pub(crate) n: f64,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// One observation: the user task it belongs to, numerator, denominator.
pub(crate) type Sample = (String, f64, f64);

const RESAMPLES: usize = 1_000;

/// The ratio of sums, with an interval from resampling tasks.
pub(crate) fn figure(name: &str, samples: impl IntoIterator<Item = Sample>) -> Figure {
    let mut tasks: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (task, sum, n) in samples {
        let task = tasks.entry(task).or_default();
        task.0 += sum;
        task.1 += n;
    }
    let tasks: Vec<(f64, f64)> = tasks.into_values().collect();
    let ratio = |(sum, n): (f64, f64)| if n > 0.0 { sum / n } else { 0.0 };
    let total = tasks.iter().fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn = tasks.iter().filter_map(|_| tasks.get(random.below(tasks.len())));
            ratio(drawn.fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1)))
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |index: usize| ratios.get(index).copied().unwrap_or_default();
    Figure {
        name: name.to_owned(),
        sum: total.0,
        n: total.1,
        value: ratio(total),
        low: at(RESAMPLES / 40),
        high: at(RESAMPLES - 1 - RESAMPLES / 40),
    }
}

/// xorshift64: the same intervals on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (bound.max(1) as u64)).unwrap_or_default()
    }
}

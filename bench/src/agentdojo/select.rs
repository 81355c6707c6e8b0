//! Which runs: evenly over suites and over what became of them, the same ones every time.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{Args, Scorer};
use crate::flow::traces::{Kind, Run};

/// What a run is an example of.
type Stratum<'a> = (&'a str, &'static str);

/// Takes one of each stratum in turn until there are enough. Runs that ended with an error say nothing.
pub(super) fn choose<'a>(runs: &'a [Run], scorer: &Scorer, args: &Args) -> anyhow::Result<Vec<&'a Run>> {
    let mut strata: BTreeMap<Stratum<'_>, Vec<&Run>> = BTreeMap::new();
    let whole = runs.iter().filter(|run| run.error.as_ref().is_none_or(serde_json::Value::is_null));
    for run in whole.filter(|run| args.only.as_ref().is_none_or(|only| run.id.contains(only.as_str()))) {
        strata.entry((run.suite.as_str(), class(run, scorer, args)?)).or_default().push(run);
    }
    for runs in strata.values_mut() {
        runs.sort_by_key(|run| {
            let mut hasher = DefaultHasher::new();
            run.id.hash(&mut hasher);
            hasher.finish()
        });
        runs.reverse();
    }
    let mut chosen = Vec::new();
    while chosen.len() < args.runs && !strata.is_empty() {
        let left = args.runs - chosen.len();
        chosen.extend(strata.values_mut().filter_map(Vec::pop).take(left));
        strata.retain(|_, runs| !runs.is_empty());
    }
    Ok(chosen)
}

fn class(run: &Run, scorer: &Scorer, args: &Args) -> anyhow::Result<&'static str> {
    let scored = scorer.score(run, args.human)?;
    let touched = scored.interventions().next().is_some();
    Ok(match (run.kind(), touched) {
        (Kind::Attack, _) if !run.replay.s0 => "attack that failed by itself",
        (Kind::Attack, _) if scored.attack_succeeds(run) => "attack that still succeeds",
        (Kind::Attack, _) => "attack that is stopped",
        (Kind::Benign, true) => "benign, asked or denied",
        (Kind::Benign, false) => "benign, untouched",
        (Kind::Wanted, true) => "wanted, asked or denied",
        (Kind::Wanted, false) => "wanted, untouched",
    })
}

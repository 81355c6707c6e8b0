//! Judges a folder of Kubernetes manifests whose file names are attacks.
//!
//! A file whose name begins with the catalogue id of a kind of step must have such a step, alone or
//! together with the other files. A file named `CONTROL…` must lead nowhere, and so must a principal
//! whose name says `fail`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use graph::aws::Truth;
use graph::kubernetes::kinds;
use graph::step::paths;
use graph::world::{Goal, World};

use super::{Score, entries};

/// Nothing when the folder has no file that is named after an attack.
pub(super) fn check(folder: &Path) -> Score {
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    let files: Vec<PathBuf> = entries(folder).into_iter().filter(is_yaml).collect();
    let ids: BTreeSet<&str> = kinds::all().flat_map(|kind| kind.page.catalogue).copied().collect();
    let mut score = Score::default();
    if !files.iter().any(|file| ids.iter().any(|id| stem(file).starts_with(id))) {
        return score;
    }
    let all = world(&files);
    let mut seen: BTreeMap<&str, Truth> = BTreeMap::new();
    for step in &all.steps.steps {
        for id in step.kind.catalogue {
            let best = seen.entry(id).or_default();
            *best = best.or(step.truth);
        }
    }
    for file in &files {
        judge(file, &all, &ids, &mut score);
    }
    println!("  of {} attacks in the catalogue, somewhere in the folder:", ids.len());
    for id in &ids {
        let truth = seen.get(id).copied().unwrap_or_default();
        let word = match truth {
            Truth::Yes => "found",
            Truth::Unknown => "possible",
            Truth::No => "in no file",
        };
        println!("    {word:<10} {id}");
    }
    println!("{}: {score}", folder.display());
    score
}

fn judge(file: &Path, all: &World, ids: &BTreeSet<&str>, score: &mut Score) {
    let (name, alone) = (stem(file), world(&[file.to_owned()]));
    let wanted: Vec<&str> = ids.iter().filter(|id| name.starts_with(**id)).copied().collect();
    if name.starts_with("CONTROL") {
        let found = paths::find(&alone.steps, &alone.target(&Goal::Administrator), None);
        let word = if found.paths.is_empty() { "silent" } else { "wrong" };
        score.silent += usize::from(found.paths.is_empty());
        score.wrong += usize::from(!found.paths.is_empty());
        println!("  {word:<8} {name}");
        return;
    }
    let Some(id) = wanted.iter().max_by_key(|id| id.len()) else {
        println!("  no such  {name}: the catalogue has no attack of this name");
        return;
    };
    let (first, note) = match best(&alone, id, None) {
        None => (best(all, id, Some(file)), " (with the other files)"),
        found => (found, ""),
    };
    match first {
        Some((Truth::Yes, step)) => {
            score.found += 1;
            println!("  found    {name}: {step}{note}");
        }
        Some((_, step)) => {
            score.possible += 1;
            println!("  possible {name}: {step}{note}");
        }
        None => {
            score.missed += 1;
            println!("  missed   {name}");
        }
    }
    for step in &alone.steps.steps {
        let from = alone.steps.name(step.from);
        let to_the_top = alone.steps.nodes.get(step.to).is_some_and(|node| node.kind.is_crown());
        if from.contains("fail") && to_the_top && step.kind.catalogue.contains(id) {
            score.wrong += 1;
            println!("    wrong: {from} {}", step.kind.title);
        }
    }
}

/// The most certain step of an attack, on evidence from one file if given.
fn best(world: &World, id: &str, file: Option<&Path>) -> Option<(Truth, String)> {
    let steps = &world.steps;
    let here = |step: &&graph::step::Step| {
        let grants = step.grounds.iter().flat_map(|ground| &ground.grants).filter_map(|grant| steps.grant(*grant));
        let mut sources = grants.map(|grant| grant.source.to_string());
        let own = steps.nodes.get(step.from).map(|node| node.source.to_string());
        file.is_none_or(|file| {
            let file = file.display().to_string();
            own.as_ref() == Some(&file) || sources.any(|source| source == file)
        })
    };
    let matching = steps.steps.iter().filter(|step| step.kind.catalogue.contains(&id)).filter(here);
    let text = |step: &graph::step::Step| {
        let assuming =
            if step.assuming.is_empty() { String::new() } else { format!(" [if {}]", step.assuming.join("; ")) };
        format!("{} {} {}{assuming}", steps.name(step.from), step.kind.title, steps.name(step.to))
    };
    matching.map(|step| (step.truth, text(step))).max_by_key(|(truth, _)| *truth)
}

fn world(files: &[PathBuf]) -> World {
    let loaded = connect::aws::load(files, 0);
    loaded.world()
}

fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

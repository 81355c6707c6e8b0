//! Paths as people and programs read them: text like a compiler's, and JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::paths::{Choke, Path, Paths, Target};
use super::{Grant, GrantId, Ground, Missing, Node, NodeKind, Step, Steps};
use crate::aws::Truth;
use crate::paths::patch::Patch;
use crate::{deny, plural};

/// Paths with what they are about.
#[derive(Clone, Copy)]
pub struct View<'v> {
    /// All steps.
    pub steps: &'v Steps,
    /// The goal.
    pub target: &'v Target,
    /// What was found.
    pub found: &'v Paths,
    /// The change of the file that takes a grant out of it, as a hunk, or the command that revokes it, where one can be
    /// made.
    pub patch: &'v dyn Fn(&Grant) -> Option<String>,
    /// What taking a grant away would break of what was observed, as a sentence, where that can be known of one.
    pub observed: &'v dyn Fn(GrantId) -> Option<String>,
    /// Why nothing is told of use, where nothing is.
    pub unobserved: Option<&'v str>,
    /// What the files name and do not hold, and what therefore nothing is said of.
    pub gaps: &'v [String],
}

/// How many names a closing line holds.
const NAMES_MAX: usize = 10;

/// How many single grants are offered as text.
const CHOKES_SHOWN: usize = 5;

/// Hunks with more lines are not shown as text.
const HUNK_LINES_MAX: usize = 20;

/// Starts that take the same steps through the same places: what a person can read as one.
#[derive(Clone, Debug)]
pub struct Story {
    /// The paths, the shortest witness first.
    pub paths: Vec<Path>,
}

/// Whether only possible, then the steps with where each leads.
type Shape<'k> = (bool, Vec<(&'k str, usize)>);

/// Groups paths into stories, the largest first; certain ones before possible ones.
pub fn stories(found: &Paths) -> Vec<Story> {
    let mut groups: BTreeMap<Shape<'_>, Vec<Path>> = BTreeMap::new();
    for path in &found.paths {
        let steps = path.steps.iter().filter_map(|step| found.steps.get(*step));
        let shape = steps.map(|step| (step.kind.id, if step.to == path.from { 0 } else { step.to })).collect();
        groups.entry((path.truth != Truth::Yes, shape)).or_default().push(path.clone());
    }
    let mut stories: Vec<((bool, usize), Story)> =
        groups.into_iter().map(|((possible, shape), paths)| ((possible, shape.len()), Story { paths })).collect();
    stories.sort_by_key(|((possible, length), story)| (*possible, std::cmp::Reverse(story.paths.len()), *length));
    stories.into_iter().map(|(_, story)| story).collect()
}

/// The inventories that possible paths hang on, each with the number of paths.
pub fn missing(found: &Paths) -> BTreeMap<Missing, usize> {
    let mut counts = BTreeMap::new();
    for path in &found.paths {
        let steps = path.steps.iter().filter_map(|step| found.steps.get(*step));
        for one in steps.flat_map(|step| step.missing.iter().copied()).collect::<BTreeSet<_>>() {
            *counts.entry(one).or_insert(0) += 1;
        }
    }
    counts
}

/// The first names of a list, and how many more there are.
fn first(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        all if all.len() <= NAMES_MAX => format!(": {}", all.join(", ")),
        all => {
            let shown = all.get(..NAMES_MAX).unwrap_or_default();
            format!(": {} and {} more (all in --format json)", shown.join(", "), all.len() - NAMES_MAX)
        }
    }
}

impl View<'_> {
    /// Everything that reaches the goal, as text. With `verbose`, one witness for each start.
    pub fn text(&self, verbose: bool) -> String {
        let mut text = String::new();
        for story in stories(self.found) {
            let shown = if verbose { story.paths.len() } else { 1 };
            for (at, path) in story.paths.iter().take(shown).enumerate() {
                let others = if at == 0 && !verbose { story.paths.get(1..).unwrap_or_default() } else { &[] };
                self.witness(&mut text, path, others);
            }
        }
        self.helps(&mut text);
        for gap in self.gaps {
            let _ = writeln!(text, "note: {gap}: what it gives is not judged");
        }
        let certain = self.found.paths.iter().filter(|path| path.truth == Truth::Yes).count();
        let possible = self.found.paths.len() - certain;
        let starts = |index: &&usize| self.steps.nodes.get(**index).is_some_and(|node| node.kind.starts());
        let there: Vec<&str> = self.target.there.iter().filter(starts).map(|index| self.name(*index)).collect();
        let _ = writeln!(
            text,
            "{}: {certain} {} certainly, {possible} possibly; {} {} there already{}",
            self.target.what,
            if certain == 1 { "start gets there" } else { "starts get there" },
            there.len(),
            if there.len() == 1 { "is" } else { "are" },
            first(&there),
        );
        text
    }

    fn node(&self, index: usize) -> Option<&Node> {
        self.steps.nodes.get(index).or(self.target.node.as_ref())
    }

    fn name(&self, index: usize) -> &str {
        self.node(index).map_or("the goal", |node| node.name.as_str())
    }

    fn witness(&self, text: &mut String, path: &Path, others: &[Path]) {
        let (level, can) = if path.truth == Truth::Yes { ("error", "can") } else { ("warning", "may be able to") };
        let what = match self.node(path.to) {
            Some(node) if node.kind == NodeKind::Host => format!("take over {}", node.name),
            Some(node) if node.kind == NodeKind::Administrator && self.domains() > 1 => {
                format!("become administrator of {}", node.domain)
            }
            _ => self.target.what.clone(),
        };
        let _ = writeln!(text, "{level}: {} {can} {what}", self.name(path.from));
        if let Some(node) = self.node(path.from).filter(|node| !node.source.is_empty()) {
            let line = node.line.map(|line| format!(":{line}")).unwrap_or_default();
            let _ = writeln!(text, "  --> {}{line}", node.source);
        }
        for (number, step) in path.steps.iter().enumerate() {
            let Some(step) = self.found.steps.get(*step) else { continue };
            let also = step.also.map(|also| format!(" (controlling {} too)", self.name(also))).unwrap_or_default();
            let (from, to) = (self.name(step.from), self.name(step.to));
            let _ = writeln!(text, "   |\n {:>2} | {from}{also} {} -> {to}", number + 1, step.kind.title);
            self.step_lines(text, step);
        }
        if !others.is_empty() {
            let names: Vec<&str> = others.iter().map(|path| self.name(path.from)).collect();
            let _ = writeln!(text, "   = the same way: {}", names.join(", "));
        }
        text.push('\n');
    }

    fn domains(&self) -> usize {
        let crowns = self.steps.nodes.iter().filter(|node| node.kind == NodeKind::Administrator);
        crowns.map(|node| &node.domain).collect::<BTreeSet<_>>().len()
    }

    fn cite(&self, id: GrantId) -> String {
        self.steps.grant(id).map_or_else(|| "(a grant that is not there)".to_owned(), super::Grant::cite)
    }

    fn step_lines(&self, text: &mut String, step: &Step) {
        for ground in &step.grounds {
            let cited = ground.grants.first().map(|one| self.cite(*one)).unwrap_or_default();
            let more = match ground.grants.len() {
                0 | 1 => String::new(),
                all => format!(", and {} more", all - 1),
            };
            // The name of a setting may say all that it gives.
            let said = match cited.contains(&ground.claim) {
                true => cited,
                false if cited.is_empty() => ground.claim.clone(),
                false => format!("{}: {cited}", ground.claim),
            };
            let _ = writeln!(text, "    |   {said}{more}");
            for open in &ground.open {
                let _ = writeln!(text, "    |     open: {open}");
            }
        }
        if let Some(through) = &step.through {
            let _ = writeln!(text, "    |   through {through}");
        }
        for missing in &step.missing {
            let _ = writeln!(text, "    |   not known: which {} exist ({})", missing.noun, missing.listing);
        }
        for assumed in &step.assuming {
            let _ = writeln!(text, "    |   if {assumed}");
        }
        if let Some(unless) = step.unless {
            let _ = writeln!(text, "    |   unless {unless}");
        }
    }

    fn hunk(&self, text: &mut String, grant: GrantId) {
        let Some(hunk) = self.steps.grant(grant).and_then(|grant| (self.patch)(grant)) else {
            let arn = self.steps.grant(grant).and_then(|grant| grant.arn.as_deref());
            if arn.is_some_and(|arn| arn.contains(":iam::aws:policy/")) {
                let _ = writeln!(text, "   | AWS owns this policy: detach it from whoever need not have it");
            }
            return;
        };
        // The first two lines of a hunk name the file, which stands above; a command has none.
        let named = if hunk.starts_with("--- ") { 2 } else { 0 };
        let lines: Vec<&str> = hunk.lines().skip(named).collect();
        if lines.len() > HUNK_LINES_MAX {
            let _ = writeln!(text, "   | (a patch of {} lines: in --format json)", lines.len());
            return;
        }
        for line in lines {
            let _ = writeln!(text, "   | {line}");
        }
    }

    /// The policy that denies what every step does that does not hold without a grant.
    fn deny(&self, choke: &Choke) -> Option<Patch> {
        let own = self.steps.steps.len();
        let at =
            |index: &usize| self.steps.steps.get(*index).or_else(|| self.target.steps.get(index.checked_sub(own)?));
        let uses = choke.steps.iter().filter_map(at).map(|step| {
            let grounds = step.grounds.iter().filter(|ground| ground.grants.contains(&choke.grant));
            let whom = [Some(step.from), step.also].into_iter().flatten().map(|at| {
                let node =
                    self.node(at).filter(|node| node.kind == NodeKind::Principal && node.key.starts_with("arn:"));
                node.map(|node| node.name.as_str())
            });
            (grounds.map(|ground| ground.claim.as_str()).collect(), whom.collect())
        });
        let target = self.target.node.as_ref();
        deny::patch(uses, |arn| self.steps.index_of(arn).is_some() || target.is_some_and(|node| node.key == arn))
    }

    fn helps(&self, text: &mut String) {
        let found = self.found;
        let total = found.paths.len();
        for choke in found.chokes.iter().take(CHOKES_SHOWN) {
            let at = self.cite(choke.grant);
            let all = plural(total, "path");
            let verb = if choke.ends == 1 { "dies" } else { "die" };
            let _ = writeln!(text, "help: remove this one grant: {} of {all} {verb}\n  --> {at}", choke.ends);
            self.hunk(text, choke.grant);
            if let Some(deny) = self.deny(choke) {
                let _ = writeln!(text, "   | or {}:", deny.title);
                let lines: Vec<&str> = deny.text.lines().collect();
                if lines.len() > HUNK_LINES_MAX {
                    let _ = writeln!(text, "   |     (a policy of {} lines: in --format json)", lines.len());
                } else {
                    lines.iter().for_each(|line| _ = writeln!(text, "   |     {line}"));
                }
            }
            if let Some(observed) = (self.observed)(choke.grant) {
                let _ = writeln!(text, "   = {observed}");
            }
        }
        if found.chokes.len() > CHOKES_SHOWN {
            let more = found.chokes.len() - CHOKES_SHOWN;
            let grants = if more == 1 { "grant ends" } else { "grants end" };
            let _ = writeln!(text, "help: {more} more {grants} one path or more (all in --format json)");
        }
        if !found.cut.grants.is_empty() {
            let (grants, paths) = (plural(found.cut.grants.len(), "grant"), plural(total, "path"));
            let ends = match found.cut.left {
                0 => format!("all of {paths}"),
                left => format!("{} of {paths} (no grant ends the rest)", total - left),
            };
            let fewer = if found.cut.is_least { "no fewer would do" } else { "fewer may do" };
            let _ = writeln!(text, "help: removing {grants} ends {ends}; {fewer}:");
            let is_shown = |grant| found.chokes.iter().take(CHOKES_SHOWN).any(|choke| choke.grant == grant);
            for grant in &found.cut.grants {
                let _ = writeln!(text, "  --> {}", self.cite(*grant));
                if !is_shown(*grant) {
                    self.hunk(text, *grant);
                }
            }
        }
        if let Some(why) = self.unobserved.filter(|_| !found.chokes.is_empty()) {
            let _ = writeln!(text, "note: {why}");
        }
        for (missing, count) in missing(found) {
            let paths = if count == 1 { "path hangs" } else { "paths hang" };
            let _ = writeln!(
                text,
                "help: {count} {paths} on which {} exist: add the answer of `{}` to the files",
                missing.noun, missing.listing
            );
        }
    }

    /// Everything that reaches the goal, as JSON; nothing is left out.
    pub fn json(&self) -> Json {
        let found = self.found;
        let key = |index: usize| self.node(index).map_or("", |node| node.key.as_str()).to_owned();
        let path = |path: &Path| {
            let steps = path.steps.iter().filter_map(|step| found.steps.get(*step));
            let steps: Vec<Json> = steps.map(|step| self.step_json(step)).collect();
            json!({"from": key(path.from), "to": key(path.to), "truth": path.truth, "steps": steps})
        };
        let patch = |id: GrantId| self.steps.grant(id).and_then(|grant| (self.patch)(grant));
        let choke = |choke: &Choke| {
            let (patch, deny, observed) = (patch(choke.grant), self.deny(choke), (self.observed)(choke.grant));
            json!({"at": self.cite_json(choke.grant), "ends": choke.ends, "patch": patch, "deny": deny.map(|deny| deny.text), "observed_use": observed})
        };
        let cut = |grant: GrantId| {
            let mut at = self.cite_json(grant);
            if let Some(fields) = at.as_object_mut() {
                fields.insert("patch".to_owned(), patch(grant).into());
            }
            at
        };
        let missing = missing(found);
        let missing = missing.iter().map(
            |(one, paths)| json!({"inventory": one.id, "noun": one.noun, "listed_by": one.listing, "paths": paths}),
        );
        json!({
            "goal": self.target.what,
            "administrators": self.steps.administrators.iter().map(|index| key(*index)).collect::<Vec<_>>(),
            "paths": found.paths.iter().map(path).collect::<Vec<_>>(),
            "choke_points": found.chokes.iter().map(choke).collect::<Vec<_>>(),
            "cut": found.cut.grants.iter().map(|grant| cut(*grant)).collect::<Vec<_>>(),
            "cut_is_least": found.cut.is_least,
            "paths_that_no_grant_ends": found.cut.left,
            "missing": missing.collect::<Vec<_>>(),
            "not_in_the_files": self.gaps,
        })
    }

    fn cite_json(&self, id: GrantId) -> Json {
        let Some(grant) = self.steps.grant(id) else { return Json::Null };
        json!({
            "policy": grant.policy,
            "policy_arn": grant.arn,
            "part": grant.part,
            "source": grant.source.as_ref(),
            "line": grant.line,
        })
    }

    fn step_json(&self, step: &Step) -> Json {
        let ground = |ground: &Ground| {
            json!({
                "claim": ground.claim,
                "truth": ground.truth,
                "open": ground.open,
                "any_of": ground.grants.iter().map(|id| self.cite_json(*id)).collect::<Vec<_>>(),
            })
        };
        let missing = |one: &Missing| json!({"inventory": one.id, "noun": one.noun, "listed_by": one.listing});
        json!({
            "from": self.name(step.from),
            "also": step.also.map(|also| self.name(also)),
            "to": self.name(step.to),
            "kind": step.kind.id,
            "title": step.kind.title,
            "catalogue": step.kind.catalogue,
            "truth": step.truth,
            "grounds": step.grounds.iter().map(|one| ground(one)).collect::<Vec<_>>(),
            "through": step.through,
            "missing": step.missing.iter().map(missing).collect::<Vec<_>>(),
            "assuming": step.assuming,
            "unless": step.unless,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn a_closing_line_names_the_first_and_counts_the_rest() {
        let names: Vec<String> = (0..12).map(|at| format!("user/{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(first(&[]), "");
        assert_eq!(first(&names[..2]), ": user/0, user/1");
        assert!(first(&names).ends_with("user/9 and 2 more (all in --format json)"), "{}", first(&names));
    }
}

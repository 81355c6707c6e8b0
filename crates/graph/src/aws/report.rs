//! Answers and paths as people and programs read them: text like a compiler's, and JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::attack::{Derived, Edge, Ground, conditions};
use super::estate::{Estate, StatementId};
use super::evaluate::Answer;
use super::paths::{Goal, Path, Paths};
use super::query::{Grant, Side};
use super::truth::Truth;

/// A statement with where it stands, in one line.
pub fn cite(estate: &Estate, id: StatementId) -> String {
    let Some(policy) = estate.policy(id.policy) else { return "(a statement that is not there)".into() };
    let statement = estate.statement(id);
    let sid =
        statement.and_then(|statement| statement.sid.as_deref()).map(|sid| format!(" `{sid}`")).unwrap_or_default();
    let line = statement.and_then(|statement| statement.line).map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}, statement {}{sid} ({}{line})", policy.name, id.statement + 1, policy.source)
}

fn cite_json(estate: &Estate, id: StatementId) -> Json {
    let policy = estate.policy(id.policy);
    let statement = estate.statement(id);
    json!({
        "policy": policy.map(|policy| policy.name.clone()),
        "policy_arn": policy.and_then(|policy| policy.arn.clone()),
        "statement": id.statement + 1,
        "sid": statement.and_then(|statement| statement.sid.clone()),
        "source": policy.map(|policy| policy.source.to_string()),
        "line": statement.and_then(|statement| statement.line),
    })
}

/// What a principal, the administrator or the goal is called.
pub fn name(derived: &Derived, goal: &Goal, index: usize) -> String {
    if let Some((user, group)) = derived.joined.get(&index) {
        let short = |at: &usize| derived.estate.principals.get(*at).map_or("?", |one| one.short()).to_owned();
        return format!("{} in {}", short(user), short(group));
    }
    match derived.estate.principals.get(index) {
        Some(principal) => principal.short().to_owned(),
        None if index == derived.admin => "administrator".to_owned(),
        None => match goal {
            Goal::Resource { arn, .. } => arn.clone(),
            Goal::Administrator | Goal::Principal(_) => "the goal".to_owned(),
        },
    }
}

/// One answer as text.
pub fn answer(estate: &Estate, question: &str, answer: &Answer) -> String {
    let mut text = format!("{}: {question}\n", answer.verdict.as_str());
    for (word, cites) in [("denied by", &answer.denies), ("allowed by", &answer.allows)] {
        for one in cites {
            let _ = writeln!(text, "  = {word} {}: {}", one.layer.as_str(), cite(estate, one.statement));
            for open in estate
                .statement(one.statement)
                .filter(|_| one.truth == Truth::Unknown)
                .map(conditions)
                .unwrap_or_default()
            {
                let _ = writeln!(text, "      open: {open}");
            }
        }
    }
    for layer in &answer.lacks {
        let _ = writeln!(text, "  = no {} allows it", layer.as_str());
    }
    for gap in &answer.gaps {
        let _ = writeln!(text, "  = not known: {gap}");
    }
    text
}

/// One answer as JSON.
pub fn answer_json(estate: &Estate, answer: &Answer) -> Json {
    let cites = |cites: &[super::evaluate::Cite]| -> Vec<Json> {
        let one = |one: &super::evaluate::Cite| json!({"layer": one.layer.as_str(), "truth": one.truth, "at": cite_json(estate, one.statement)});
        cites.iter().map(one).collect()
    };
    json!({
        "verdict": answer.verdict,
        "allowed_by": cites(&answer.allows),
        "denied_by": cites(&answer.denies),
        "lacks": answer.lacks.iter().map(|layer| layer.as_str()).collect::<Vec<_>>(),
        "not_known": answer.gaps,
    })
}

/// A principal's grants as text.
pub fn grants(estate: &Estate, grants: &[Grant]) -> String {
    let mut text = String::new();
    for grant in grants {
        let _ = writeln!(text, "{} on {}", side(&grant.scope.actions), side(&grant.scope.resources));
        let _ = writeln!(text, "  = {}", cite(estate, grant.statement));
        for condition in &grant.conditions {
            let _ = writeln!(text, "  = if {condition}");
        }
        for (id, scope) in &grant.except {
            let _ = writeln!(
                text,
                "  = but not {} on {}: {}",
                side(&scope.actions),
                side(&scope.resources),
                cite(estate, *id)
            );
        }
        for (id, scope) in &grant.within {
            let _ = writeln!(
                text,
                "  = only within {} on {}: {}",
                side(&scope.actions),
                side(&scope.resources),
                cite(estate, *id)
            );
        }
    }
    text
}

fn side(side: &Side) -> String {
    match side {
        Side::Of(patterns) => patterns.join(", "),
        Side::Except(patterns) => format!("everything but {}", patterns.join(", ")),
    }
}

/// A principal's grants as JSON.
pub fn grants_json(estate: &Estate, grants: &[Grant]) -> Json {
    let scope =
        |scope: &super::query::Scope| json!({"actions": side(&scope.actions), "resources": side(&scope.resources)});
    let one = |grant: &Grant| {
        json!({
            "scope": scope(&grant.scope),
            "at": cite_json(estate, grant.statement),
            "conditions": grant.conditions,
            "except": grant.except.iter().map(|(id, one)| json!({"scope": scope(one), "at": cite_json(estate, *id)})).collect::<Vec<_>>(),
            "within": grant.within.iter().map(|(id, one)| json!({"scope": scope(one), "at": cite_json(estate, *id)})).collect::<Vec<_>>(),
        })
    };
    Json::Array(grants.iter().map(one).collect())
}

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
        let steps = path.steps.iter().filter_map(|step| found.edges.get(*step));
        let shape = steps.map(|edge| (edge.kind.id, if edge.to == path.from { 0 } else { edge.to })).collect();
        groups.entry((path.truth != Truth::Yes, shape)).or_default().push(path.clone());
    }
    let mut stories: Vec<((bool, usize), Story)> =
        groups.into_iter().map(|((possible, shape), paths)| ((possible, shape.len()), Story { paths })).collect();
    stories.sort_by_key(|((possible, length), story)| (*possible, std::cmp::Reverse(story.paths.len()), *length));
    stories.into_iter().map(|(_, story)| story).collect()
}

/// Everything that reaches a goal, as text. With `verbose`, one witness for each start.
pub fn paths(derived: &Derived, goal: &Goal, found: &Paths, verbose: bool) -> String {
    let mut text = String::new();
    for story in stories(found) {
        let shown = if verbose { story.paths.len() } else { 1 };
        for (at, path) in story.paths.iter().take(shown).enumerate() {
            let others = if at == 0 && !verbose { story.paths.get(1..).unwrap_or_default() } else { &[] };
            witness(&mut text, derived, goal, &Witness { found, path, others });
        }
    }
    chokes(&mut text, derived, found);
    let certain = found.paths.iter().filter(|path| path.truth == Truth::Yes).count();
    let possible = found.paths.len() - certain;
    let _ = writeln!(
        text,
        "{certain} {} certainly, {possible} possibly; {} {} there already",
        starts(certain),
        derived.administrators.len(),
        is_are(derived.administrators.len())
    );
    text
}

fn starts(count: usize) -> &'static str {
    if count == 1 { "principal gets there" } else { "principals get there" }
}

fn is_are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

struct Witness<'w> {
    found: &'w Paths,
    path: &'w Path,
    others: &'w [Path],
}

fn witness(text: &mut String, derived: &Derived, goal: &Goal, witness: &Witness<'_>) {
    let path = witness.path;
    let (level, can) = if path.truth == Truth::Yes { ("error", "can") } else { ("warning", "may be able to") };
    let target = match goal {
        Goal::Administrator => "become administrator".to_owned(),
        Goal::Principal(index) => format!("become {}", name(derived, goal, *index)),
        Goal::Resource { action, arn } => format!("{action} on {arn}"),
    };
    let _ = writeln!(text, "{level}: {} {can} {target}", name(derived, goal, path.from));
    if let Some(principal) = derived.estate.principals.get(path.from) {
        let line = principal.line.map(|line| format!(":{line}")).unwrap_or_default();
        let _ = writeln!(text, "  --> {}{line}", principal.source);
    }
    for (number, step) in path.steps.iter().enumerate() {
        if let Some(edge) = witness.found.edges.get(*step) {
            let also =
                edge.also.map(|also| format!(" (controlling {} too)", name(derived, goal, also))).unwrap_or_default();
            let _ = writeln!(
                text,
                "   |\n {:>2} | {}{also} {} -> {}",
                number + 1,
                name(derived, goal, edge.from),
                edge.kind.title,
                name(derived, goal, edge.to),
            );
            step_lines(text, &derived.estate, edge);
        }
    }
    if !witness.others.is_empty() {
        let names: Vec<String> = witness.others.iter().map(|path| name(derived, goal, path.from)).collect();
        let _ = writeln!(text, "   = the same way: {}", names.join(", "));
    }
    text.push('\n');
}

fn step_lines(text: &mut String, estate: &Estate, edge: &Edge) {
    for ground in &edge.grounds {
        let at = match ground.statements.as_slice() {
            [] => String::new(),
            [one] => format!(": {}", cite(estate, *one)),
            [one, rest @ ..] => format!(": {}, and {} more", cite(estate, *one), rest.len()),
        };
        let _ = writeln!(text, "    |   {}{at}", ground.claim);
        for open in &ground.open {
            let _ = writeln!(text, "    |     open: {open}");
        }
    }
    if let Some(through) = &edge.through {
        let _ = writeln!(text, "    |   through {through}");
    }
    for missing in &edge.missing {
        let _ = writeln!(text, "    |   not known: which {} exist ({})", missing.noun, missing.listing);
    }
    for assumed in &edge.assuming {
        let _ = writeln!(text, "    |   if {assumed}");
    }
}

fn chokes(text: &mut String, derived: &Derived, found: &Paths) {
    let total = found.paths.len();
    for choke in found.chokes.iter().take(5) {
        let _ = writeln!(
            text,
            "help: remove this one grant: {} of {total} paths die\n  --> {}",
            choke.ends,
            cite(&derived.estate, choke.statement)
        );
    }
    if found.chokes.len() > 5 {
        let _ = writeln!(
            text,
            "help: {} more grants end one path or more each (all in --format json)",
            found.chokes.len() - 5
        );
    }
    if total > 0 {
        let _ = writeln!(text, "help: removing {} grants ends all {total} paths:", found.cut.len());
        for statement in &found.cut {
            let _ = writeln!(text, "  --> {}", cite(&derived.estate, *statement));
        }
    }
}

/// Everything that reaches a goal, as JSON; nothing is left out.
pub fn paths_json(derived: &Derived, goal: &Goal, found: &Paths) -> Json {
    let estate = &derived.estate;
    let arn =
        |index: usize| estate.principals.get(index).map_or_else(|| name(derived, goal, index), |one| one.arn.clone());
    let path = |path: &Path| {
        let steps: Vec<Json> = path
            .steps
            .iter()
            .filter_map(|step| found.edges.get(*step))
            .map(|edge| step_json(derived, goal, edge))
            .collect();
        json!({"from": arn(path.from), "truth": path.truth, "steps": steps})
    };
    let choke = |choke: &super::paths::Choke| json!({"at": cite_json(estate, choke.statement), "ends": choke.ends});
    json!({
        "administrators": derived.administrators.iter().map(|index| arn(*index)).collect::<Vec<_>>(),
        "paths": found.paths.iter().map(path).collect::<Vec<_>>(),
        "choke_points": found.chokes.iter().map(choke).collect::<Vec<_>>(),
        "cut": found.cut.iter().map(|statement| cite_json(estate, *statement)).collect::<Vec<_>>(),
    })
}

fn step_json(derived: &Derived, goal: &Goal, edge: &Edge) -> Json {
    let ground = |ground: &Ground| {
        json!({
            "claim": ground.claim,
            "truth": ground.truth,
            "open": ground.open,
            "any_of": ground.statements.iter().map(|id| cite_json(&derived.estate, *id)).collect::<Vec<_>>(),
        })
    };
    json!({
        "from": name(derived, goal, edge.from),
        "also": edge.also.map(|also| name(derived, goal, also)),
        "to": name(derived, goal, edge.to),
        "kind": edge.kind.id,
        "title": edge.kind.title,
        "catalogue": edge.kind.catalogue,
        "truth": edge.truth,
        "grounds": edge.grounds.iter().map(|one| ground(one)).collect::<Vec<_>>(),
        "through": edge.through,
        "missing": edge.missing.iter().map(|one| json!({"inventory": one.noun, "listed_by": one.listing})).collect::<Vec<_>>(),
        "assuming": edge.assuming,
    })
}

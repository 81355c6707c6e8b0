//! Paths as text that reads like a compiler's error, and as JSON that leaves nothing out.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::patch::{self, Patch};
use super::{Found, Link, Model, Path, Place, Story};
use crate::guard::{self, Guard};
use crate::model::Relation;
use crate::observation::{EntityKind, Evidence};
use crate::plural;

/// How many choke points the text names; the JSON names all.
pub const CHOKES_SHOWN: usize = 3;
const NAMES_SHOWN: usize = 6;
const GUARDS_SHOWN: usize = 6;

/// What the text cannot know by itself.
pub trait Beside {
    /// A path as it is shown: relative to where the reader stands.
    fn shown(&self, place: &str) -> String;
    /// Changes to the files themselves that take a grant away.
    fn hunks(&self, source: &str, line: Option<u32>) -> Vec<Patch>;
    /// What use of an agent and server was observed, as a sentence.
    fn observed(&self, uses: &[(String, String)]) -> String;
}

/// What a place is called.
pub fn name(model: &Model<'_>, place: Place) -> String {
    let Place::Entity(at) = place else { return "outsiders".to_owned() };
    let Some(entity) = model.graph().entity(at) else { return "?".to_owned() };
    match entity.id.kind {
        EntityKind::Credential => {
            format!("secret {} ({}…)", entity.name, entity.id.key.get(..8).unwrap_or(&entity.id.key))
        }
        EntityKind::Package => format!("whoever publishes {}", entity.name),
        EntityKind::Endpoint => format!("whoever runs {}", entity.name),
        EntityKind::Server => format!("server {}", entity.name),
        EntityKind::Tool => format!("tool {}", entity.name),
        _ => entity.name.clone(),
    }
}

fn kind(model: &Model<'_>, at: u32) -> &'static str {
    match model.graph().entity(at).map(|entity| entity.id.kind) {
        Some(EntityKind::Credential) => "secret",
        Some(EntityKind::Path) => "folder",
        Some(kind) => kind.as_str(),
        None => "thing",
    }
}

/// Everything that was found, as text. With `all`, one witness for each path instead of one for each story.
pub fn text(model: &Model<'_>, found: &Found, all: bool, beside: &impl Beside) -> String {
    let mut text = String::new();
    for story in found.stories(model) {
        let shown = if all { story.paths.len() } else { 1 };
        for path in story.paths.iter().take(shown) {
            let told = if all { Story { paths: vec![path.clone()] } } else { story.clone() };
            one(&mut text, model, (path, &told), beside);
        }
    }
    endings(&mut text, model, found, beside);
    if found.goals.is_empty() {
        let _ =
            writeln!(text, "note: nothing to get to was read: no administrator, no secret and no data of this kind");
    }
    guards(&mut text, model);
    let certain = found.paths.iter().filter(|path| path.certain).count();
    let _ = writeln!(
        text,
        "{} certain and {} possible, from {} to {}",
        plural(certain, "path"),
        found.paths.len() - certain,
        plural(found.starts.len(), "start"),
        plural(found.goals.len(), "goal"),
    );
    text
}

/// What policy takes away from the paths, so that what is not there has its reason.
fn guards(text: &mut String, model: &Model<'_>) {
    let graph = model.graph();
    let name = |at: u32| graph.entity(at).map_or("?", |entity| entity.name.as_str());
    let line = |relation: &Relation, guard: &Guard| {
        let tool = guard.tool.as_ref().map_or_else(|| "all".to_owned(), |tool| format!("`{tool}`"));
        format!("{tool} of `{}` for `{}`: {}", name(relation.to), name(relation.from), guard.why())
    };
    let lines = guard::all(graph)
        .flat_map(|(relation, guards)| guards.iter().map(|guard| line(relation, guard)).collect::<Vec<_>>());
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return;
    }
    text.push_str("note: stopped before it is called:\n");
    for line in lines.iter().take(GUARDS_SHOWN) {
        let _ = writeln!(text, "   | {line}");
    }
    if let more @ 1.. = lines.len().saturating_sub(GUARDS_SHOWN) {
        let _ = writeln!(text, "   | and {more} more; `--format json` has them all");
    }
}

fn one(text: &mut String, model: &Model<'_>, (path, story): (&Path, &Story), beside: &impl Beside) {
    let froms: BTreeSet<Place> = story.paths.iter().map(|path| path.from).collect();
    let tos: BTreeSet<u32> = story.paths.iter().map(|path| path.to).collect();
    let (level, can) = if path.certain { ("error", "can get") } else { ("warning", "may get") };
    let from = and_more(name(model, path.from), froms.len());
    let to = and_more(goal(model, path.to), tos.len());
    let _ = writeln!(text, "{level}: {from} {can} {to}");
    let links = || path.steps.iter().filter_map(|step| model.links().get(*step));
    if let Some(place) = links().filter_map(|link| best(&link.evidence)).next_back() {
        let _ = writeln!(text, "  --> {}", beside.shown(&place.place()));
    }
    let _ = writeln!(text, "   |");
    for (number, link) in (1..).zip(links()) {
        let starts: Vec<String> = link.from.iter().map(|place| name(model, *place)).collect();
        let _ = writeln!(text, "{number:>2} | {} {} {}", starts.join(" with "), link.title, end(model, link.to));
        proof(text, link, beside);
    }
    let _ = writeln!(text, "   |");
    if froms.len() > 1 {
        let names = froms.iter().filter(|place| **place != path.from).map(|place| name(model, *place)).collect();
        let _ = writeln!(text, "   = the same way from: {}", few(names));
    }
    if tos.len() > 1 {
        let names = tos.iter().filter(|at| **at != path.to).map(|at| goal(model, *at)).collect();
        let _ = writeln!(text, "   = the same way to: {}", few(names));
    }
    text.push('\n');
}

fn proof(text: &mut String, link: &Link, beside: &impl Beside) {
    let explained =
        link.needs.iter().any(|need| need.any.iter().any(|grant| !grant.name.is_empty() && grant.line.is_some()));
    if !explained && let Some(evidence) = best(&link.evidence) {
        let _ = writeln!(text, "   |      {}", beside.shown(&evidence.place()));
    }
    for need in link.needs.iter().filter(|_| explained) {
        let at = match need.any.as_slice() {
            [] => String::new(),
            [one] => format!(": {}, {}", one.name, beside.shown(&one.place())),
            [one, rest @ ..] => format!(": {}, {}, and {} more", one.name, beside.shown(&one.place()), rest.len()),
        };
        let _ = writeln!(text, "   |      {}{at}", need.claim);
    }
    for open in &link.open {
        let _ = writeln!(text, "   |      not known: {open}");
    }
}

/// A line of a file before a whole source.
fn best(evidence: &[Evidence]) -> Option<&Evidence> {
    evidence.iter().min_by_key(|evidence| (evidence.line.is_none(), evidence.basis))
}

fn end(model: &Model<'_>, at: u32) -> String {
    match model.graph().entity(at).map(|entity| entity.id.kind) {
        Some(EntityKind::Endpoint | EntityKind::Package) => {
            model.graph().entity(at).map_or_else(String::new, |entity| entity.name.clone())
        }
        _ => name(model, Place::Entity(at)),
    }
}

fn goal(model: &Model<'_>, at: u32) -> String {
    match kind(model, at) {
        "store" | "folder" => format!("the {} {}", kind(model, at), end(model, at)),
        _ => end(model, at),
    }
}

fn endings(text: &mut String, model: &Model<'_>, found: &Found, beside: &impl Beside) {
    let total = found.paths.len();
    for ending in found.chokes.iter().take(CHOKES_SHOWN) {
        let Some(grant) = model.grants().get(ending.grant) else { continue };
        let named = if grant.name.is_empty() { what(model, ending.grant) } else { grant.name.clone() };
        let (ends, all) = (ending.ends, plural(total, "path"));
        let verb = if ends == 1 { "ends" } else { "end" };
        let _ = writeln!(text, "help: without this one grant, {ends} of {all} {verb}: {named}");
        let _ = writeln!(text, "  --> {}", beside.shown(&grant.place()));
        let changes = beside.hunks(&grant.source, grant.line).into_iter().chain(patch::patches(model, ending.grant));
        for patch in changes {
            let _ = writeln!(text, "   | {}:", patch.title);
            for line in patch.text.lines() {
                let _ = writeln!(text, "   |     {line}");
            }
        }
        let _ = writeln!(text, "   = {}\n", beside.observed(&patch::uses(model, ending.grant)));
    }
    if found.chokes.len() > CHOKES_SHOWN {
        let more = found.chokes.len() - CHOKES_SHOWN;
        let _ = writeln!(text, "help: {more} more grants end a path or more each; `--format json` has them all");
    }
    match &found.cut {
        Some(cut) if total > 0 => {
            let least = if cut.is_least { "no fewer do" } else { "fewer may do" };
            let these = if cut.grants.len() == 1 {
                "this one grant".to_owned()
            } else {
                format!("these {} grants", cut.grants.len())
            };
            let _ = writeln!(text, "help: without {these} every path ends; {least}:");
            for grant in cut.grants.iter().filter_map(|grant| model.grants().get(*grant)) {
                let name = if grant.name.is_empty() { String::new() } else { format!("  {}", grant.name) };
                let _ = writeln!(text, "  --> {}{name}", beside.shown(&grant.place()));
            }
        }
        None if total > 0 => {
            let _ = writeln!(text, "help: no set of grants ends every path: some rest on none that the scan saw");
        }
        _ => {}
    }
}

/// What a line grants, where it has no name of its own.
pub fn what(model: &Model<'_>, grant: usize) -> String {
    let links = patch::links_of(model, grant);
    let told: BTreeSet<String> = links
        .iter()
        .filter(|link| !["answers", "publishes", "serves", "untrusted"].contains(&link.kind.as_str()))
        .filter_map(|link| Some(format!("{} {} {}", name(model, *link.from.first()?), link.title, end(model, link.to))))
        .collect();
    few(told.into_iter().collect())
}

fn and_more(name: String, count: usize) -> String {
    match count {
        0 | 1 => name,
        2 => format!("{name} and one more"),
        many => format!("{name} and {} more", many - 1),
    }
}

fn few(names: Vec<String>) -> String {
    let shown = names.get(..names.len().min(NAMES_SHOWN)).unwrap_or_default().join(", ");
    match names.len().saturating_sub(NAMES_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more (`--all` names them)"),
    }
}

/// Everything that was found, as JSON.
pub fn json(model: &Model<'_>, found: &Found, beside: &impl Beside) -> Value {
    let id = |place: Place| match place {
        Place::Outsiders => "outsiders".to_owned(),
        Place::Entity(at) => model.graph().entity(at).map_or_else(String::new, |entity| entity.id.to_string()),
    };
    let path = |path: &Path| {
        let steps: Vec<Value> =
            path.steps.iter().filter_map(|step| model.links().get(*step)).map(|link| step(link, &id)).collect();
        json!({ "from": id(path.from), "to": id(Place::Entity(path.to)), "name": goal(model, path.to), "certain": path.certain, "steps": steps })
    };
    let choke = |ending: &super::Ending| {
        let grant = model.grants().get(ending.grant);
        let hunks = grant.map(|grant| beside.hunks(&grant.source, grant.line)).unwrap_or_default();
        let patches: Vec<Patch> = hunks.into_iter().chain(patch::patches(model, ending.grant)).collect();
        json!({
            "grant": grant,
            "what": what(model, ending.grant),
            "ends": ending.ends,
            "patches": patches,
            "observed_use": beside.observed(&patch::uses(model, ending.grant)),
        })
    };
    let cut = found.cut.as_ref().map(|cut| {
        let grants: Vec<_> = cut.grants.iter().filter_map(|grant| model.grants().get(*grant)).collect();
        json!({ "grants": grants, "least": cut.is_least })
    });
    let stories: Vec<Value> = found
        .stories(model)
        .iter()
        .map(|story| story.paths.iter().map(|path| json!([id(path.from), id(Place::Entity(path.to))])).collect())
        .collect();
    let guarded: Vec<Value> = guard::all(model.graph())
        .map(|(relation, guards)| {
            let [agent, server] = [relation.from, relation.to].map(|at| id(Place::Entity(at)));
            json!({ "agent": agent, "server": server, "guards": guards })
        })
        .collect();
    json!({
        "starts": found.starts.iter().map(|place| id(*place)).collect::<Vec<_>>(),
        "goals": found.goals.iter().map(|at| id(Place::Entity(*at))).collect::<Vec<_>>(),
        "paths": found.paths.iter().map(path).collect::<Vec<_>>(),
        "stories": stories,
        "choke_points": found.chokes.iter().map(choke).collect::<Vec<_>>(),
        "cut": cut,
        "guarded": guarded,
    })
}

fn step(link: &Link, id: &impl Fn(Place) -> String) -> Value {
    json!({
        "from": link.from.iter().map(|place| id(*place)).collect::<Vec<_>>(),
        "to": id(Place::Entity(link.to)),
        "kind": link.kind,
        "how": link.title,
        "certain": link.is_certain(),
        "needs": link.needs,
        "evidence": link.evidence,
        "open": link.open,
    })
}

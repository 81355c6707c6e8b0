//! Attack paths as the console shows them.

use graph::paths::patch::{self, Patch};
use graph::paths::report::{self, name};
use graph::paths::{Found, Model, Place, Story};
use graph::visible;
use graph::{EntityKind, Graph};
use serde::Serialize;
use utoipa::ToSchema;

use super::finding::places;
use super::inventory::Place as PlaceView;

/// Everything that leads from some starts to some goals.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PathsView {
    /// How many pairs of start and goal have a way.
    pub paths: u64,
    /// How many of them are certain.
    pub certain: u64,
    /// Where attackers were taken to stand.
    pub starts: u64,
    /// What they were taken to want.
    pub goals: u64,
    /// The paths, grouped: the largest first, certain before possible.
    pub stories: Vec<StoryView>,
    /// The grants without which most paths end.
    pub endings: Vec<EndingView>,
    /// How many further grants end a path or more.
    pub more_endings: u64,
    /// A smallest set of grants without which all end; empty where none does.
    pub cut: Vec<GrantView>,
    /// Whether it is proved that no smaller set does it.
    pub cut_is_least: bool,
}

/// Paths that end the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoryView {
    /// Whether every step is certain.
    pub certain: bool,
    /// From where.
    pub from: Vec<String>,
    /// To what.
    pub to: Vec<String>,
    /// The shortest of them.
    pub steps: Vec<PathStep>,
}

/// One step of an attacker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PathStep {
    /// What is controlled.
    pub from: String,
    /// How it leads on.
    pub how: String,
    /// What is gained.
    pub to: String,
    /// Whether it certainly works.
    pub certain: bool,
    /// What it rests on.
    pub claims: Vec<String>,
    /// What stays open.
    pub open: Vec<String>,
    /// Where it was seen.
    pub places: Vec<PlaceView>,
}

/// A grant and how many paths end without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct EndingView {
    /// The grant.
    pub grant: GrantView,
    /// How many paths end.
    pub ends: u64,
    /// Changes that take it away.
    pub patches: Vec<PatchView>,
    /// Agent and server of the calls that go through it.
    pub uses: Vec<String>,
}

/// A place that grants something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GrantView {
    /// What it is called there; empty where it is only a line.
    pub name: String,
    /// Where it stands.
    pub place: PlaceView,
}

/// A change to apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PatchView {
    /// What it does.
    pub title: String,
    /// `cedar`, `iam` or `diff`.
    pub language: String,
    /// The text.
    pub text: String,
}

/// Something that a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ThingView {
    /// Its id, for `from` and `to`.
    pub id: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where it was seen.
    pub places: Vec<PlaceView>,
}

/// Stories and endings that are shown; the counts say what there is.
const SHOWN_MAX: usize = 50;
/// Names in one story.
const NAMES_MAX: usize = 50;

impl PathsView {
    /// The view of an answer; `change` is what takes away what stands at a line of a file.
    pub fn of(model: &Model<'_>, found: &Found, change: impl Fn(&str, u32) -> Option<Patch>) -> Self {
        let stories = found.stories(model);
        let endings = found.chokes.iter().take(SHOWN_MAX).map(|ending| {
            let grant = model.grants().get(ending.grant);
            let own = grant.and_then(|grant| change(&grant.source, grant.line?));
            EndingView {
                grant: grant_view(model, ending.grant),
                ends: ending.ends as u64,
                patches: own.into_iter().chain(patch::patches(model, ending.grant)).map(patch_view).collect(),
                uses: patch::uses(model, ending.grant)
                    .into_iter()
                    .map(|(agent, server)| visible::line(&format!("{agent} to {server}"), 200))
                    .collect(),
            }
        });
        Self {
            paths: found.paths.len() as u64,
            certain: found.paths.iter().filter(|path| path.certain).count() as u64,
            starts: found.starts.len() as u64,
            goals: found.goals.len() as u64,
            stories: stories.iter().take(SHOWN_MAX).filter_map(|story| story_view(model, story)).collect(),
            endings: endings.collect(),
            more_endings: found.chokes.len().saturating_sub(SHOWN_MAX) as u64,
            cut: found.cut.iter().flat_map(|cut| &cut.grants).map(|grant| grant_view(model, *grant)).collect(),
            cut_is_least: found.cut.as_ref().is_some_and(|cut| cut.is_least),
        }
    }
}

fn grant_view(model: &Model<'_>, at: usize) -> GrantView {
    let grant = model.grants().get(at);
    let (source, line) = grant.map_or(("", None), |grant| (grant.source.as_str(), grant.line));
    let own = grant.map(|grant| grant.name.clone()).filter(|name| !name.is_empty());
    let name = own.unwrap_or_else(|| report::what(model, at));
    GrantView { name: visible::line(&name, 300), place: PlaceView { source: visible::line(source, 500), line } }
}

fn patch_view(patch: Patch) -> PatchView {
    PatchView { title: visible::line(&patch.title, 300), language: patch.language, text: visible::text(&patch.text) }
}

fn story_view(model: &Model<'_>, story: &Story) -> Option<StoryView> {
    let first = story.paths.first()?;
    let names = |places: Vec<Place>| {
        let mut places = places;
        places.sort();
        places.dedup();
        let more = places.len().saturating_sub(NAMES_MAX);
        let mut names: Vec<String> =
            places.iter().take(NAMES_MAX).map(|place| visible::line(&name(model, *place), 300)).collect();
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        names
    };
    let steps = first.steps.iter().filter_map(|step| model.links().get(*step));
    Some(StoryView {
        certain: first.certain,
        from: names(story.paths.iter().map(|path| path.from).collect()),
        to: names(story.paths.iter().map(|path| Place::Entity(path.to)).collect()),
        steps: steps
            .map(|link| PathStep {
                from: link
                    .from
                    .iter()
                    .map(|place| visible::line(&name(model, *place), 300))
                    .collect::<Vec<_>>()
                    .join(" with "),
                how: visible::line(&link.title, 300),
                to: visible::line(&name(model, Place::Entity(link.to)), 300),
                certain: link.is_certain(),
                claims: link
                    .needs
                    .iter()
                    .filter(|need| need.any.iter().any(|grant| !grant.name.is_empty()))
                    .map(|need| visible::line(&need.claim, 300))
                    .collect(),
                open: link.open.iter().map(|open| visible::line(open, 300)).collect(),
                places: places(&link.evidence),
            })
            .collect(),
    })
}

/// The things whose name or key holds every word, agents and data first; and how many there are in all.
pub fn search(graph: &Graph, wanted: &str, shown: usize) -> (Vec<ThingView>, u64) {
    let words: Vec<String> = wanted.split_whitespace().map(str::to_lowercase).collect();
    let matches = |entity: &&graph::Entity| {
        let text = format!("{} {}", entity.name, entity.id).to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    let mut found: Vec<&graph::Entity> = graph.entities().iter().filter(matches).collect();
    let rank = |kind: EntityKind| match kind {
        EntityKind::Agent => 0,
        EntityKind::Store => 1,
        EntityKind::Identity => 2,
        EntityKind::Credential => 3,
        EntityKind::Server => 4,
        EntityKind::Path => 5,
        _ => 6,
    };
    // A way station, such as a user as a member of a group that it is not in, is seldom what somebody looks for.
    found.sort_by_key(|entity| (entity.text("role") == Some("inner"), rank(entity.id.kind)));
    let view = |entity: &&graph::Entity| ThingView {
        id: entity.id.to_string(),
        kind: entity.id.kind.to_string(),
        name: visible::line(&entity.name, 300),
        places: places(&entity.evidence).into_iter().take(3).collect(),
    };
    (found.iter().take(shown).map(view).collect(), found.len() as u64)
}

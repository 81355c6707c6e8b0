//! What changed between two graphs, as far as it matters: things, relations, attack paths and findings that are new or
//! gone, and for a new path the step that was not there before.
//!
//! Things are the same if their ids are; paths if they join the same start and goal.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::finding::{Factor, FactorName, Finding, Severity, Step};
use crate::model::{Entity, Graph};
use crate::observation::{EntityId, EntityKind, Evidence, RelationKind};
use crate::paths::report::name;
use crate::paths::{Goal, Link, Model, Path, Place, Start, is_administrator, is_crown, is_jewel};
use crate::rules;

/// The id of the finding that a new path is.
pub const NEW_PATH: &str = "new-attack-path";

/// The kind of step by which a trust policy lets somebody become a role.
const TRUST: &str = "sts-assume-role";

/// What changed from one graph to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Things that were not there.
    pub added: Vec<EntityId>,
    /// Things that are no longer there.
    pub removed: Vec<EntityId>,
    /// Relations that were not there.
    pub related: Vec<Tie>,
    /// Relations that are no longer there.
    pub unrelated: Vec<Tie>,
    /// Paths that were not there, or that are certain now and were not.
    pub opened: Vec<Opened>,
    /// Paths that are gone, as start and goal.
    pub closed: Vec<(String, String)>,
    /// Findings that were not there.
    pub found: Vec<Finding>,
    /// Ids of findings that are gone.
    pub settled: Vec<String>,
}

/// A relation by the ids of its ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Tie {
    /// From.
    pub from: EntityId,
    /// How.
    pub kind: RelationKind,
    /// To.
    pub to: EntityId,
    /// Where it is, or was, seen.
    pub at: Vec<String>,
}

/// A path that was not there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Opened {
    /// Where the attacker stands.
    pub from: String,
    /// What is gained.
    pub to: String,
    /// Whether every step is certain.
    pub certain: bool,
    /// The steps in words.
    pub steps: Vec<Told>,
    /// It as a finding.
    #[serde(skip)]
    pub finding: Finding,
}

/// One step of a new path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// In words.
    pub text: String,
    /// Where it is seen.
    pub at: Option<String>,
    /// Whether it was not there before: this is what opened the path.
    pub is_new: bool,
}

impl Difference {
    /// From the old graph to the new.
    pub fn between(old: &Graph, new: &Graph) -> Self {
        let ids = |graph: &Graph| graph.entities().iter().map(|entity| entity.id.clone()).collect::<BTreeSet<_>>();
        let (before, after) = (ids(old), ids(new));
        let (ties_before, ties_after) = (ties(old), ties(new));
        let minus = |a: &BTreeMap<Key, Tie>, b: &BTreeMap<Key, Tie>| {
            a.iter().filter(|(key, _)| !b.contains_key(*key)).map(|(_, tie)| tie.clone()).collect()
        };
        let (findings_before, findings_after) = (rules::run(old), rules::run(new));
        let known: BTreeSet<&str> = findings_before.iter().map(|finding| finding.id.as_str()).collect();
        let left: BTreeSet<&str> = findings_after.iter().map(|finding| finding.id.as_str()).collect();
        let settled = known.difference(&left).map(|id| (*id).to_owned()).collect();
        let (opened, closed) = paths(old, new);
        Self {
            added: after.difference(&before).cloned().collect(),
            removed: before.difference(&after).cloned().collect(),
            related: minus(&ties_after, &ties_before),
            unrelated: minus(&ties_before, &ties_after),
            opened,
            closed,
            settled,
            found: findings_after.iter().filter(|finding| !known.contains(finding.id.as_str())).cloned().collect(),
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a change may not bring: new paths and new findings of at least this severity, as findings.
    pub fn denied(&self, least: Severity) -> Vec<Finding> {
        let paths = self.opened.iter().map(|opened| &opened.finding);
        let mut all: Vec<Finding> =
            paths.chain(&self.found).filter(|finding| finding.severity >= least).cloned().collect();
        all.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
        all
    }
}

type Key = (EntityId, RelationKind, EntityId);

fn ties(graph: &Graph) -> BTreeMap<Key, Tie> {
    let tie = |relation: &crate::model::Relation| {
        let id = |at: u32| graph.entity(at).map(|entity| entity.id.clone());
        let (from, to) = (id(relation.from)?, id(relation.to)?);
        let at = relation.evidence.iter().map(Evidence::place).collect();
        Some(((from.clone(), relation.kind, to.clone()), Tie { from, kind: relation.kind, to, at }))
    };
    graph.relations().iter().filter_map(tie).collect()
}

/// A start or goal in a way that two graphs share.
fn shared_name(graph: &Graph, place: Place) -> String {
    match place {
        Place::Outsiders => "outsiders".to_owned(),
        Place::Entity(at) => graph.entity(at).map_or_else(String::new, |entity| entity.id.to_string()),
    }
}

/// From outside to all that matters and to the identities that trust it, and from every identity to the administrators.
fn pairs<'g>(graph: &'g Graph) -> (Model<'g>, Vec<Path>) {
    let model = Model::new(graph);
    let mut paths = model.pairs(&Start::Outside.places(graph), &Goal::Jewels.entities(graph));
    paths.extend(let_in(&model));
    let mut crowns = Goal::Administrators.entities(graph);
    crowns.retain(|at| graph.entity(*at).is_some_and(is_crown));
    paths.extend(model.pairs(&insiders(graph), &crowns));
    (model, paths)
}

/// Whoever may act in a cloud or cluster. Administrators too: the grant that makes one is a path. Of a cluster's own
/// groups, such as `system:unauthenticated`, no file names the members, so one that administers it stands for them.
fn insiders(graph: &Graph) -> Vec<Place> {
    let stands_for_others = |entity: &Entity| {
        entity.text("role") == Some("inner") && entity.text("cloud") == Some("kubernetes") && is_administrator(entity)
    };
    let acts = |entity: &Entity| entity.text("role") == Some("principal") || stands_for_others(entity);
    graph.of_kind(EntityKind::Identity).filter(|(_, entity)| acts(entity)).map(|(at, _)| Place::Entity(at)).collect()
}

/// Whom a trust policy lets in from no account or from another one. What a role is worth no file may say, so becoming it
/// counts by itself.
fn let_in(model: &Model<'_>) -> Vec<Path> {
    let graph = model.graph();
    let path = |(at, link): (usize, &Link)| {
        let [from] = link.from.as_slice() else { return None };
        let (start, goal) = (graph.entity(entity_of(*from))?, graph.entity(link.to)?);
        let is_foreign = start.flag("outside") == Some(true) && start.text("account") != goal.text("account");
        let counts = link.kind == TRUST && is_foreign && !is_jewel(goal);
        counts.then(|| Path { from: *from, to: link.to, certain: link.is_certain(), steps: vec![at] })
    };
    let mut paths: Vec<Path> = model.links().iter().enumerate().filter_map(path).collect();
    paths.sort_by_key(|path| (path.from, path.to, !path.certain));
    paths.dedup_by_key(|path| (path.from, path.to));
    paths
}

fn paths(old: &Graph, new: &Graph) -> (Vec<Opened>, Vec<(String, String)>) {
    let ((was, before), (is, after)) = (pairs(old), pairs(new));
    let ends = |graph: &Graph, path: &Path| (shared_name(graph, path.from), shared_name(graph, Place::Entity(path.to)));
    let known: BTreeMap<(String, String), bool> = before.iter().map(|path| (ends(old, path), path.certain)).collect();
    let left: BTreeSet<(String, String)> = after.iter().map(|path| ends(new, path)).collect();
    let steps: BTreeSet<Same> = was.links().iter().map(|link| same(old, link)).collect();
    let entities = old.entities().iter().flat_map(|entity| &entity.evidence);
    let places = was.links().iter().flat_map(|link| &link.evidence).chain(entities).map(Evidence::place).collect();
    let known_before = Known { steps, places };
    let opened = after
        .iter()
        .filter(|path| known.get(&ends(new, path)).is_none_or(|certain| path.certain && !certain))
        .filter_map(|path| opened(new, &is, path, &known_before))
        .collect();
    (opened, known.into_keys().filter(|pair| !left.contains(pair)).collect())
}

/// The entity of a place; no entity has the number of the outsiders.
fn entity_of(place: Place) -> u32 {
    match place {
        Place::Entity(at) => at,
        Place::Outsiders => u32::MAX,
    }
}

/// What was there before.
struct Known {
    steps: BTreeSet<Same>,
    places: BTreeSet<String>,
}

impl Known {
    /// Where a step was seen, the best first: a line that was not there before, then any line of a file. A policy that the
    /// cloud itself keeps stands in no file; the identity that has it does.
    fn evidence(&self, graph: &Graph, link: &Link) -> Vec<Evidence> {
        let mut evidence = link.evidence.clone();
        if evidence.iter().all(|one| one.line.is_none()) {
            let holders = link.from.iter().filter_map(|place| graph.entity(entity_of(*place)));
            let identities = holders.filter(|holder| holder.id.kind == EntityKind::Identity);
            evidence.extend(identities.flat_map(|one| &one.evidence).filter(|one| one.line.is_some()).cloned());
        }
        evidence.sort_by_key(|one| (one.line.is_none(), self.places.contains(&one.place())));
        evidence
    }
}

/// What makes two steps of two graphs the same.
type Same = (Vec<String>, String, String, bool);

fn same(graph: &Graph, link: &Link) -> Same {
    let from = link.from.iter().map(|place| shared_name(graph, *place)).collect();
    (from, link.kind.clone(), shared_name(graph, Place::Entity(link.to)), link.is_certain())
}

fn opened(graph: &Graph, model: &Model<'_>, path: &Path, known: &Known) -> Option<Opened> {
    let links: Vec<&Link> = path.steps.iter().filter_map(|step| model.links().get(*step)).collect();
    let told = |link: &&Link| {
        let from: Vec<String> = link.from.iter().map(|place| name(model, *place)).collect();
        Told {
            text: format!("{} {} {}", from.join(" with "), link.title, name(model, Place::Entity(link.to))),
            at: known.evidence(graph, link).first().map(Evidence::place),
            is_new: !known.steps.contains(&same(graph, link)),
        }
    };
    let steps: Vec<Told> = links.iter().map(told).collect();
    let (from, to) = (shared_name(graph, path.from), shared_name(graph, Place::Entity(path.to)));
    let finding = finding(graph, model, path, &links, known)?;
    Some(Opened { from, to, certain: path.certain, steps, finding })
}

/// The privilege of a path that leads further than to an identity.
const MATTERS: (f64, &str) = (0.8, "it leads to what matters");

/// Whether an entity is an identity of the account or cluster.
fn is_inside(entity: &Entity) -> bool {
    entity.id.kind == EntityKind::Identity && entity.flag("outside") != Some(true)
}

fn finding(graph: &Graph, model: &Model<'_>, path: &Path, links: &[&Link], known: &Known) -> Option<Finding> {
    let goal = graph.entity(path.to)?;
    let (from, to) = (name(model, path.from), name(model, Place::Entity(path.to)));
    let factor = |name, value, because: &str| Factor { name, value, because: because.to_owned() };
    let (privilege, sensitivity) = match goal.id.kind {
        EntityKind::Identity if !is_administrator(goal) => ((0.5, "what the identity may do"), (0.5, "an identity")),
        EntityKind::Identity => (MATTERS, (1.0, "an administrator")),
        EntityKind::Store => (MATTERS, (0.9, "a store of data")),
        _ => (MATTERS, (0.8, "a secret, or a whole home")),
    };
    let factors = vec![
        factor(
            FactorName::Reach,
            if path.certain { 0.9 } else { 0.6 },
            if path.certain { "every step is certain" } else { "not every step is certain" },
        ),
        factor(FactorName::Privilege, privilege.0, privilege.1),
        factor(FactorName::Sensitivity, sensitivity.0, sensitivity.1),
        match graph.entity(entity_of(path.from)).is_some_and(is_inside) {
            true => factor(FactorName::InputTrust, 0.4, "it begins at an identity of the account or cluster"),
            false => factor(FactorName::InputTrust, 0.9, "it begins outside"),
        },
    ];
    let step = |link: &&Link| {
        let entity = graph.entity(link.to)?;
        let via = RelationKind::ALL.iter().copied().find(|kind| kind.as_str() == link.kind);
        let new = if known.steps.contains(&same(graph, link)) { "" } else { " (new)" };
        let note = Some(format!("{}{new}", link.title));
        let evidence = known.evidence(graph, link);
        Some(Step { entity: entity.id.clone(), name: entity.name.clone(), via, note, evidence })
    };
    // The first new step comes last, for that is the line to show: one that stands in a file, if there is such a one.
    let mut steps: Vec<Step> = links.iter().filter_map(step).collect();
    let is_new = |link: &&&Link| !known.steps.contains(&same(graph, link));
    let has_line = |link: &&&Link| link.evidence.iter().any(|evidence| evidence.line.is_some());
    let written = links.iter().position(|link| is_new(&link) && has_line(&link));
    let first = written.or_else(|| links.iter().position(|link| is_new(&link)));
    if let Some(first) = first.filter(|at| *at < steps.len()) {
        steps.truncate(first + 1);
    }
    Some(Finding {
        id: format!("{NEW_PATH}@{}/{}", shared_name(graph, path.from), goal.id),
        rule: NEW_PATH.to_owned(),
        message: format!("this change opens a path: {from} {} get {to}", if path.certain { "can" } else { "may" }),
        severity: Severity::from_factors(&factors),
        factors,
        subject: goal.id.clone(),
        path: steps,
        choke_point: None,
        fix: "take the new step back, or narrow what it grants; `bailiwick paths` names what else ends the path"
            .to_owned(),
        frameworks: crate::frameworks::citations(&[
            crate::frameworks::Cite::Llm("LLM06"),
            crate::frameworks::Cite::Agentic("ASI02"),
            crate::frameworks::Cite::Agentic("ASI03"),
            crate::frameworks::Cite::Nist("CM-3"),
        ]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    const OLD: &str = "agent claude client=claude-code uses web @c.json:2\nweb offers fetch_page description=\"Fetches a web page.\" @c.json:2\nidentity reader reaches store customers @iam.json:4";

    #[test]
    fn a_new_grant_opens_a_path_and_is_named_as_what_opened_it() {
        let old = text::parse(OLD).unwrap();
        let new =
            text::parse(&format!("{OLD}\nclaude uses reports @c.json:7\nreports acts_as reader @c.json:9")).unwrap();
        let difference = Difference::between(&old, &new);
        let opened: Vec<(&str, &str)> =
            difference.opened.iter().map(|one| (one.from.as_str(), one.to.as_str())).collect();
        assert_eq!(opened, [("outsiders", "store:customers")]);
        let fresh: Vec<&str> = difference.opened[0]
            .steps
            .iter()
            .filter(|step| step.is_new)
            .filter_map(|step| step.at.as_deref())
            .collect();
        assert_eq!(fresh, ["c.json:7", "c.json:9"]);
        assert_eq!(difference.denied(Severity::Info)[0].places()[0].place(), "c.json:7");
        let back = Difference::between(&new, &old);
        assert_eq!((back.opened.len(), back.closed.len()), (0, 1));
        assert!(Difference::between(&new, &new).is_empty());
    }

    #[test]
    fn the_line_to_show_is_one_that_the_change_wrote() {
        let old = text::parse(OLD).unwrap();
        let built = format!("{OLD}\nclaude uses reports @built_into_claude\nreports acts_as reader @c.json:9");
        let new = text::parse(&built).unwrap();
        let denied = Difference::between(&old, &new).denied(Severity::Info);
        let opened = denied.iter().find(|finding| finding.rule == NEW_PATH).unwrap();
        assert_eq!(opened.places()[0].place(), "c.json:9");
    }

    #[test]
    fn an_identity_that_becomes_administrator_is_a_new_path() {
        let old = "identity ann role=principal\nidentity root role=administrator administrator=true\nidentity boss role=principal administrator=true\nboss acts_as root @iam.json:9";
        let new = format!("{old}\nann acts_as boss @iam.json:3");
        let difference = Difference::between(&text::parse(old).unwrap(), &text::parse(&new).unwrap());
        let opened: Vec<(&str, &str)> =
            difference.opened.iter().map(|one| (one.from.as_str(), one.to.as_str())).collect();
        assert_eq!(opened, [("identity:ann", "identity:root")], "who is one already opens nothing");
        let denied = difference.denied(Severity::High);
        assert_eq!(denied[0].places()[0].place(), "iam.json:3");
    }

    const ESTATE: &str = "identity ann role=principal @iam.json:1\nidentity boss role=principal administrator=true @iam.json:5\nidentity root role=administrator administrator=true @iam.json:5\nboss acts_as root @iam.json:6";

    /// What a change to an account opens, and the finding that shows the first of it.
    fn opened_by(change: &str) -> (Vec<(String, String)>, Finding) {
        let (old, new) = (text::parse(ESTATE).unwrap(), text::parse(&format!("{ESTATE}\n{change}")).unwrap());
        let Difference { opened, .. } = Difference::between(&old, &new);
        let finding = opened[0].finding.clone();
        (opened.into_iter().map(|one| (one.from, one.to)).collect(), finding)
    }

    fn pair(from: &str, to: &str) -> (String, String) {
        (format!("identity:{from}"), format!("identity:{to}"))
    }

    #[test]
    fn the_grant_that_makes_an_administrator_is_the_path_and_his_own_line_where_it_has_none() {
        let (opened, finding) = opened_by("identity ann administrator=true @iam.json:1\nann acts_as root @iam.json:3");
        assert_eq!(opened, [pair("ann", "root")], "who is one already opens nothing");
        assert_eq!((finding.severity, finding.places()[0].place()), (Severity::High, "iam.json:3".to_owned()));
        let (opened, finding) = opened_by("ann acts_as root @AWS");
        assert_eq!((opened, finding.places()[0].place()), (vec![pair("ann", "root")], "iam.json:1".to_owned()));
        let everyone =
            "identity everyone role=inner cloud=kubernetes administrator=true\neveryone acts_as root @r.yaml:1";
        assert_eq!(opened_by(everyone).0, [pair("everyone", "root")]);
        let all_new = Difference::between(&Graph::default(), &text::parse(ESTATE).unwrap());
        assert_eq!(all_new.opened.len(), 1, "where nothing was there, who is one is new");
    }

    #[test]
    fn whom_a_trust_policy_lets_in_from_elsewhere_is_a_path() {
        let way = |certain: bool| {
            format!(
                "via.ways=[{{\"kind\":\"{TRUST}\",\"title\":\"assumes the role\",\"certain\":{certain},\"needs\":[]}}]"
            )
        };
        let change = |certain| {
            format!(
                "identity fn role=principal account=a\nidentity anyone outside=true\nidentity ci outside=true account=a\nidentity partner outside=true account=b\nanyone acts_as fn {0} @iam.json:9\nci acts_as fn {0}\npartner acts_as fn {0}\nann acts_as fn {0}",
                way(certain)
            )
        };
        let (opened, finding) = opened_by(&change(true));
        assert_eq!(opened, [pair("anyone", "fn"), pair("partner", "fn")], "the account's own provider is none of them");
        assert_eq!((finding.severity, finding.places()[0].place()), (Severity::High, "iam.json:9".to_owned()));
        assert_eq!(opened_by(&change(false)).1.severity, Severity::Medium);
        let of_another_kind = change(true).replace(TRUST, "lambda-update-code");
        let new = text::parse(&format!("{ESTATE}\n{of_another_kind}")).unwrap();
        assert_eq!(Difference::between(&text::parse(ESTATE).unwrap(), &new).opened, []);
    }

    #[test]
    fn another_order_or_line_is_no_difference() {
        let moved = OLD.replace("c.json:2", "c.json:20").lines().rev().collect::<Vec<_>>().join("\n");
        let moved = moved.replace("web offers", "server web offers");
        assert!(Difference::between(&text::parse(OLD).unwrap(), &text::parse(&moved).unwrap()).is_empty());
    }
}

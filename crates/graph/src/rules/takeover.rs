//! What the rules share that fire where a principal gets a role by one of certain kinds of step.

use super::assess::factor;
use super::{Match, start, step};
use crate::finding::{FactorName, Step};
use crate::model::{Entity, Graph, Relation};
use crate::observation::{EntityKind, RelationKind};
use crate::way;

/// Every principal that is no administrator and gets another identity by a step of these kinds. `sensitive` says
/// whose data is at stake.
pub(super) fn by(graph: &Graph, kinds: &[&str], sensitive: &str) -> Vec<Match> {
    acting(graph).filter_map(|relation| matched(graph, relation, (kinds, sensitive))).collect()
}

/// Every relation by which one identity acts as another.
pub(super) fn acting(graph: &Graph) -> impl Iterator<Item = &Relation> {
    graph.relations().iter().filter(|relation| relation.kind == RelationKind::ActsAs)
}

fn matched(graph: &Graph, relation: &Relation, (kinds, sensitive): (&[&str], &str)) -> Option<Match> {
    let (from, to) = (graph.entity(relation.from)?, graph.entity(relation.to)?);
    let way = way::of(relation).into_iter().find(|way| kinds.contains(&way.kind.as_str()))?;
    let identity = |entity: &Entity| entity.id.kind == EntityKind::Identity;
    if !identity(from) || !identity(to) || from.flag("administrator") == Some(true) {
        return None;
    }
    let step = step(graph, relation.from, relation.kind, relation.to)?.noted(way.title.clone());
    let step = Step { evidence: way.evidence(relation), ..step };
    let certain = if way.certain { 1.0 } else { 0.7 };
    let because = if way.certain { "the statements allow it" } else { "it holds if what stays open does" };
    Some(Match {
        subject: from.id.clone(),
        part: format!("{}/{}", way.kind, to.id.key),
        message: format!("`{}` {} and so gets `{}`", from.name, way.title, to.name),
        factors: vec![
            factor(FactorName::Reach, certain, because),
            factor(
                FactorName::Privilege,
                if to.flag("administrator") == Some(true) { 1.0 } else { 0.8 },
                format!("what `{}` may do", to.name),
            ),
            factor(FactorName::Sensitivity, 0.8, sensitive),
            factor(FactorName::InputTrust, 0.7, "who directs this principal is not known"),
        ],
        path: vec![start(graph, relation.from)?, step],
        choke_point: None,
        fix: way.needs.first().map_or_else(
            || "take one of the needed grants away".to_owned(),
            |need| format!("take `{}` from `{}`, or limit it to named resources", need.claim, from.name),
        ),
    })
}

//! What the rules share that fire on apps with consent and on workflows.

use super::{Match, few, start, step};
use crate::finding::{Factor, Step};
use crate::model::{Graph, Relation};
use crate::way;

/// The way of a relation whose kind begins so; certain before possible.
pub(super) fn way_of(relation: &Relation, begins: &str) -> Option<way::Way> {
    let ways = way::of(relation).into_iter().filter(|way| way.kind.starts_with(begins));
    ways.max_by_key(|way| way.certain)
}

/// The relations that leave an entity by a way of this kind.
pub(super) fn leaving<'g>(
    graph: &'g Graph,
    at: u32,
    begins: &'g str,
) -> impl Iterator<Item = (&'g Relation, way::Way)> {
    graph.outgoing(at).iter().filter_map(move |relation| Some((relation, way_of(relation, begins)?)))
}

/// The names of what some relations lead to.
pub(super) fn names(graph: &Graph, relations: &[(&Relation, way::Way)]) -> String {
    let named = |(relation, _): &(&Relation, way::Way)| Some(format!("`{}`", graph.entity(relation.to)?.name));
    few(&relations.iter().filter_map(named).collect::<Vec<_>>(), 3)
}

/// A witness of two relations, one after the other.
pub(super) fn witness(
    graph: &Graph,
    (first, how): (&Relation, &way::Way),
    (second, what): (&Relation, &way::Way),
) -> Option<Vec<Step>> {
    Some(vec![
        start(graph, first.from)?,
        step(graph, first.from, first.kind, first.to)?.noted(how.title.clone()),
        step(graph, second.from, second.kind, second.to)?.noted(what.title.clone()),
    ])
}

/// A match on the entity in the middle of a witness.
pub(super) fn matched(
    graph: &Graph,
    (first, how): (&Relation, &way::Way),
    second: (&Relation, &way::Way),
    (message, factors, fix): (String, Vec<Factor>, String),
) -> Option<Match> {
    Some(Match {
        subject: graph.entity(first.to)?.id.clone(),
        part: graph.entity(first.from)?.id.key.clone(),
        message,
        factors,
        path: witness(graph, (first, how), second)?,
        choke_point: None,
        fix,
    })
}

//! The graph in memory: entities and relations in CSR arrays, each with its evidence.
//!
//! Immutable: a new scan builds a new one. It never invents a join: two observations meet only where
//! their [`EntityId`]s are equal. For searches over it see [`crate::reach`].

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::observation::{EntityId, EntityKind, Evidence, Fact, Observation, Props, RelationKind};

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Its identity.
    pub id: EntityId,
    /// The name that a person knows it by.
    pub name: String,
    /// Its properties, joined over all observations of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub props: Props,
    /// Where it was seen.
    pub evidence: Vec<Evidence>,
}

impl Entity {
    /// A property that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.props.get(name).and_then(Value::as_str)
    }

    /// A property that is yes or no; `None` where nobody said.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.props.get(name).and_then(Value::as_bool)
    }

    /// A property that is a list of texts; empty where nobody said.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.props.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
}

/// A typed edge between two entities, by their index in [`Graph::entities`].
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// Index of the source.
    pub from: u32,
    /// The kind.
    pub kind: RelationKind,
    /// Index of the target.
    pub to: u32,
    /// Its properties.
    pub props: Props,
    /// Where it was seen.
    pub evidence: Vec<Evidence>,
}

impl Relation {
    /// A property that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.props.get(name).and_then(Value::as_str)
    }
}

/// The joined graph.
///
/// INVARIANT: `entities` is sorted by id without repeats, `relations` by (from, kind, to) without
/// repeats, every index in a relation is in bounds, and the two offset arrays have one more item than
/// `entities`. Only [`Graph::build`] makes one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    entities: Vec<Entity>,
    relations: Vec<Relation>,
    /// Where the relations of each source begin in `relations`.
    out_start: Vec<u32>,
    /// Where the relations of each target begin in `in_index`.
    in_start: Vec<u32>,
    /// Indexes of relations, ordered by target.
    in_index: Vec<u32>,
}

/// What is known so far of one entity or relation.
#[derive(Default)]
struct Joined {
    name: Option<String>,
    props: Props,
    evidence: Vec<Evidence>,
    /// Where only a relation speaks of it.
    mentions: Vec<Evidence>,
}

impl Joined {
    /// Notes that a relation at this place ends in it.
    fn mention(&mut self, evidence: Evidence) {
        self.mentions.push(evidence);
    }

    fn add(&mut self, name: Option<String>, props: Props, evidence: Evidence) {
        self.name = match (self.name.take(), name) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        join_props(&mut self.props, props);
        self.evidence.push(evidence);
    }

    /// Where it was asserted; of what nobody asserts, where it is spoken of.
    fn evidence(self) -> Vec<Evidence> {
        let mut evidence = if self.evidence.is_empty() { self.mentions } else { self.evidence };
        evidence.sort();
        evidence.dedup();
        evidence
    }
}

/// Joins two sets of properties. Where they disagree the lesser wins, in an order that does not depend
/// on who came first and that puts `false` before `true`: of two sources, one saying `pinned` and one
/// not, the claim of safety loses. Of [`DANGER`] that claim is `false`.
fn join_props(into: &mut Props, from: Props) {
    for (name, value) in from {
        if value.is_null() {
            continue;
        }
        match into.entry(name) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(value);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let is_danger = entry.key() == DANGER;
                if rank(&value, is_danger) < rank(entry.get(), is_danger) {
                    entry.insert(value);
                }
            }
        }
    }
}

/// The property of which `true` is the danger: who was none before a change and is one by it must not stay none where
/// both sides are joined.
const DANGER: &str = "administrator";

/// A total order over JSON values. (`serde_json`'s maps are ordered here, so equal values have equal text.)
fn rank(value: &Value, first: bool) -> (bool, String) {
    (value != &Value::Bool(first), value.to_string())
}

impl Graph {
    /// Joins observations. The order of the input does not change the result. A relation's ends exist
    /// even if nobody asserted them: they are named by their key.
    pub fn build(observations: impl IntoIterator<Item = Observation>) -> Self {
        let mut entities: BTreeMap<EntityId, Joined> = BTreeMap::new();
        let mut relations: BTreeMap<(EntityId, RelationKind, EntityId), Joined> = BTreeMap::new();
        for Observation { fact, evidence } in observations {
            match fact {
                Fact::Entity { id, name, props } => {
                    entities.entry(id).or_default().add(Some(name), props, evidence);
                }
                Fact::Relation { from, kind, to, props } => {
                    for end in [&from, &to] {
                        entities.entry(end.clone()).or_default().mention(evidence.clone());
                    }
                    relations.entry((from, kind, to)).or_default().add(None, props, evidence);
                }
            }
        }
        Self::freeze(entities, relations)
    }

    fn freeze(
        entities: BTreeMap<EntityId, Joined>,
        relations: BTreeMap<(EntityId, RelationKind, EntityId), Joined>,
    ) -> Self {
        let index: BTreeMap<EntityId, u32> = entities.keys().cloned().zip(0..).collect();
        let at = |id: &EntityId| index.get(id).copied();
        let relations: Vec<Relation> = relations
            .into_iter()
            .filter_map(|((from, kind, to), joined)| {
                let (from, to) = (at(&from)?, at(&to)?);
                Some(Relation { from, kind, to, props: joined.props.clone(), evidence: joined.evidence() })
            })
            .collect();
        let entities: Vec<Entity> = entities
            .into_iter()
            .map(|(id, mut joined)| {
                let name = joined.name.take().unwrap_or_else(|| id.key.clone());
                let props = std::mem::take(&mut joined.props);
                Entity { id, name, props, evidence: joined.evidence() }
            })
            .collect();
        let out_start = offsets(entities.len(), relations.iter().map(|relation| relation.from));
        let in_start = offsets(entities.len(), relations.iter().map(|relation| relation.to));
        let mut in_index: Vec<u32> = (0..).take(relations.len()).collect();
        in_index.sort_by_key(|&at| relations.get(at as usize).map(|relation| relation.to));
        Self { entities, relations, out_start, in_start, in_index }
    }

    /// The observations that make this graph again, one for each evidence.
    pub fn observations(&self) -> Vec<Observation> {
        let entities = self.entities.iter().flat_map(|entity| {
            entity.evidence.iter().map(|evidence| Observation {
                fact: Fact::Entity { id: entity.id.clone(), name: entity.name.clone(), props: entity.props.clone() },
                evidence: evidence.clone(),
            })
        });
        let relations = self.relations.iter().flat_map(|relation| {
            let id = |at: u32| self.entity(at).map(|entity| entity.id.clone());
            relation.evidence.iter().filter_map(move |evidence| {
                let (from, to) = (id(relation.from)?, id(relation.to)?);
                let fact = Fact::Relation { from, kind: relation.kind, to, props: relation.props.clone() };
                Some(Observation { fact, evidence: evidence.clone() })
            })
        });
        entities.chain(relations).collect()
    }

    /// All entities, ordered by id.
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// All relations, ordered by source, kind and target.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// The index of an entity.
    pub fn index(&self, id: &EntityId) -> Option<u32> {
        let at = self.entities.binary_search_by(|entity| entity.id.cmp(id)).ok()?;
        u32::try_from(at).ok()
    }

    /// An entity by its id.
    pub fn get(&self, id: &EntityId) -> Option<&Entity> {
        self.index(id).and_then(|at| self.entity(at))
    }

    /// An entity by its index.
    pub fn entity(&self, at: u32) -> Option<&Entity> {
        self.entities.get(at as usize)
    }

    /// Every entity of one kind with its index. They lie together, so this costs what it yields.
    pub fn of_kind(&self, kind: EntityKind) -> impl Iterator<Item = (u32, &Entity)> {
        let start = self.entities.partition_point(|entity| entity.id.kind < kind);
        (0u32..).zip(&self.entities).skip(start).take_while(move |(_, entity)| entity.id.kind == kind)
    }

    /// The relations that leave an entity.
    pub fn outgoing(&self, at: u32) -> &[Relation] {
        slice(&self.relations, &self.out_start, at)
    }

    /// The relations that enter an entity.
    pub fn incoming(&self, at: u32) -> impl Iterator<Item = &Relation> {
        slice(&self.in_index, &self.in_start, at).iter().filter_map(|&at| self.relations.get(at as usize))
    }

    /// The targets of the relations of one kind that leave an entity.
    pub fn targets(&self, at: u32, kind: RelationKind) -> impl Iterator<Item = (u32, &Entity)> {
        self.outgoing(at)
            .iter()
            .filter(move |relation| relation.kind == kind)
            .filter_map(|relation| Some((relation.to, self.entity(relation.to)?)))
    }

    /// The sources of the relations of one kind that enter an entity.
    pub fn sources(&self, at: u32, kind: RelationKind) -> impl Iterator<Item = (u32, &Entity)> {
        self.incoming(at)
            .filter(move |relation| relation.kind == kind)
            .filter_map(|relation| Some((relation.from, self.entity(relation.from)?)))
    }

    /// Sets a property of the relation at this place of [`Self::relations`], or takes it away.
    pub fn annotate(&mut self, relation: usize, name: &str, value: Option<Value>) {
        let Some(relation) = self.relations.get_mut(relation) else { return };
        match value {
            Some(value) => relation.props.insert(name.to_owned(), value),
            None => relation.props.remove(name),
        };
    }

    /// The relation between two entities, if there is one of this kind.
    pub fn relation(&self, from: u32, kind: RelationKind, to: u32) -> Option<&Relation> {
        self.outgoing(from).iter().find(|relation| relation.kind == kind && relation.to == to)
    }
}

/// Prefix sums of how often each node occurs: where its items begin in an array ordered by node.
fn offsets(nodes: usize, items: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut start = vec![0u32; nodes + 1];
    for node in items {
        if let Some(count) = start.get_mut(node as usize + 1) {
            *count += 1;
        }
    }
    let mut total = 0;
    for count in &mut start {
        total += *count;
        *count = total;
    }
    start
}

fn slice<'a, T>(items: &'a [T], start: &[u32], at: u32) -> &'a [T] {
    let at = at as usize;
    match (start.get(at), start.get(at + 1)) {
        (Some(&from), Some(&to)) => items.get(from as usize..to as usize).unwrap_or_default(),
        _ => &[],
    }
}

/// The graph on the wire (`spec/report.md`): relations name their ends by id.
#[derive(Serialize, Deserialize)]
struct Wire {
    entities: Vec<Entity>,
    relations: Vec<WireRelation>,
}

#[derive(Serialize, Deserialize)]
struct WireRelation {
    from: EntityId,
    kind: RelationKind,
    to: EntityId,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    props: Props,
    evidence: Vec<Evidence>,
}

impl Serialize for Graph {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let id = |at| self.entity(at).map(|entity| entity.id.clone());
        let relations = self.relations.iter().filter_map(|relation| {
            Some(WireRelation {
                from: id(relation.from)?,
                kind: relation.kind,
                to: id(relation.to)?,
                props: relation.props.clone(),
                evidence: relation.evidence.clone(),
            })
        });
        Wire { entities: self.entities.clone(), relations: relations.collect() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Graph {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let entities = wire.entities.into_iter().flat_map(|Entity { id, name, props, evidence }| {
            evidence.into_iter().map(move |evidence| Observation {
                fact: Fact::Entity { id: id.clone(), name: name.clone(), props: props.clone() },
                evidence,
            })
        });
        let relations = wire.relations.into_iter().flat_map(|WireRelation { from, kind, to, props, evidence }| {
            evidence.into_iter().map(move |evidence| Observation {
                fact: Fact::Relation { from: from.clone(), kind, to: to.clone(), props: props.clone() },
                evidence,
            })
        });
        Ok(Self::build(entities.chain(relations)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::observation::Basis;

    fn arb_observation() -> impl Strategy<Value = Observation> {
        let id = || {
            (0..EntityKind::ALL.len(), 0..4u8)
                .prop_map(|(kind, key)| EntityId::new(EntityKind::ALL[kind], key.to_string()))
        };
        let props = || {
            proptest::collection::btree_map(
                "[ab]",
                prop_oneof![any::<bool>().prop_map(Value::from), (0..3i32).prop_map(Value::from), Just(Value::Null)],
                0..3,
            )
        };
        let fact = prop_oneof![
            (id(), "[xy]", props()).prop_map(|(id, name, props)| Fact::Entity { id, name, props }),
            (id(), 0..RelationKind::ALL.len(), id(), props()).prop_map(|(from, kind, to, props)| Fact::Relation {
                from,
                kind: RelationKind::ALL[kind],
                to,
                props
            }),
        ];
        (fact, 1..4u32).prop_map(|(fact, line)| Observation {
            fact,
            evidence: Evidence { source: "s".into(), line: Some(line), connector: "t".into(), basis: Basis::Collected },
        })
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_change_the_graph(
            (straight, shuffled) in proptest::collection::vec(arb_observation(), 0..40)
                .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
        ) {
            let once = Graph::build(straight.clone());
            prop_assert_eq!(&once, &Graph::build(shuffled.clone()));
            prop_assert_eq!(&once, &Graph::build(straight.into_iter().chain(shuffled)));
        }

        #[test]
        fn both_directions_hold_every_relation_once(all in proptest::collection::vec(arb_observation(), 0..40)) {
            let graph = Graph::build(all);
            let nodes = || 0..u32::try_from(graph.entities().len()).unwrap();
            let out: Vec<_> = nodes().flat_map(|at| graph.outgoing(at)).collect();
            prop_assert!(out.iter().copied().eq(graph.relations()));
            let mut into: Vec<_> = nodes()
                .flat_map(|at| { assert!(graph.incoming(at).all(|relation| relation.to == at)); graph.incoming(at) })
                .collect();
            into.sort_by_key(|relation| (relation.from, relation.kind, relation.to));
            prop_assert!(into.into_iter().eq(graph.relations()));
            for (at, entity) in (0u32..).zip(graph.entities()) {
                prop_assert_eq!(graph.index(&entity.id), Some(at));
                prop_assert!(graph.of_kind(entity.id.kind).any(|(found, _)| found == at));
            }
        }

        #[test]
        fn the_wire_form_reads_back_as_the_same_graph(all in proptest::collection::vec(arb_observation(), 0..40)) {
            let graph = Graph::build(all);
            let text = serde_json::to_string(&graph).unwrap();
            prop_assert_eq!(serde_json::from_str::<Graph>(&text).unwrap(), graph);
        }
    }

    #[test]
    fn of_two_sources_the_claim_of_safety_loses() {
        let graph = crate::text::parse("server s pinned=true auth=false\nserver s pinned=false auth=true").unwrap();
        assert_eq!(graph.entities()[0].flag("pinned"), Some(false));
        assert_eq!(graph.entities()[0].flag("auth"), Some(false));
        for values in [[true, false], [false, true]] {
            let said: String = values.map(|value| format!("identity u administrator={value}\n")).concat();
            assert_eq!(crate::text::parse(&said).unwrap().entities()[0].flag("administrator"), Some(true));
        }
    }
}

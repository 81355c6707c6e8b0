//! The graph in memory: entities and relations in CSR arrays, each with its evidence.

use crate::observation::{EntityId, Evidence, Observation, Props, RelationKind};

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Its identity.
    pub id: EntityId,
    /// The name that a person knows it by.
    pub name: String,
    /// Its properties, joined over all observations of it.
    pub props: Props,
    /// Where it was seen.
    pub evidence: Vec<Evidence>,
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

/// The joined graph. Immutable; a new scan builds a new one.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    entities: Vec<Entity>,
    relations: Vec<Relation>,
}

impl Graph {
    /// Joins observations. The order of the input does not change the result.
    pub fn build(_observations: impl IntoIterator<Item = Observation>) -> Self {
        Self::default()
    }

    /// All entities, ordered by id.
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// All relations, ordered by source, kind and target.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }
}

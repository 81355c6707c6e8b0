//! Where attackers stand and what they want, by name.

use super::Place;
use crate::model::{Entity, Graph};
use crate::observation::EntityKind;

/// A name that no entity has, or that several have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// None.
    #[error("nothing in the graph is called `{0}`")]
    Nothing(String),
    /// Several.
    #[error("`{0}` is more than one thing: {1}")]
    Several(String, String),
}

/// Where an attacker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Everywhere that someone outside can be: writing what agents read, publishing a package that is not pinned,
    /// running a remote server.
    Outside,
    /// Writing what agents read.
    Outsiders,
    /// Each agent.
    Agents,
    /// Each identity of a cloud or cluster that is no administrator.
    Insiders,
    /// At this entity.
    At(u32),
}

/// What an attacker wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Everything that matters: administrators, stores, secrets, whole homes.
    Jewels,
    /// Administrators of clouds and clusters.
    Administrators,
    /// Stores of data.
    Data,
    /// This entity.
    At(u32),
}

impl Start {
    /// `outside`, `outsiders`, `agents`, `insiders`, or an entity by id, key, name or a unique part of its key.
    pub fn parse(graph: &Graph, text: &str) -> Result<Self, UnknownName> {
        match text {
            "outside" => Ok(Self::Outside),
            "outsiders" => Ok(Self::Outsiders),
            "agents" => Ok(Self::Agents),
            "insiders" => Ok(Self::Insiders),
            name => find(graph, name).map(Self::At),
        }
    }

    /// The places.
    pub fn places(&self, graph: &Graph) -> Vec<Place> {
        let agents = || graph.of_kind(EntityKind::Agent).map(|(at, _)| Place::Entity(at));
        let unpinned = |entity: &Entity| entity.id.kind == EntityKind::Package && entity.flag("pinned") == Some(false);
        let remote = |entity: &Entity| entity.id.kind == EntityKind::Endpoint && entity.flag("loopback") != Some(true);
        match self {
            Self::Outsiders => vec![Place::Outsiders],
            Self::Agents => agents().collect(),
            Self::Insiders => {
                let insider = |entity: &Entity| entity.text("role") == Some("principal") && !is_administrator(entity);
                let identities = graph.of_kind(EntityKind::Identity).filter(|(_, entity)| insider(entity));
                identities.map(|(at, _)| Place::Entity(at)).collect()
            }
            Self::At(at) => vec![Place::Entity(*at)],
            Self::Outside => {
                let all = (0u32..).zip(graph.entities());
                let others = all
                    .filter(|(_, entity)| unpinned(entity) || remote(entity) || entity.flag("outside") == Some(true));
                [Place::Outsiders].into_iter().chain(others.map(|(at, _)| Place::Entity(at))).collect()
            }
        }
    }
}

impl Goal {
    /// `jewels`, `admin`, `data`, or an entity as for [`Start::parse`].
    pub fn parse(graph: &Graph, text: &str) -> Result<Self, UnknownName> {
        match text {
            "jewels" => Ok(Self::Jewels),
            "admin" => Ok(Self::Administrators),
            "data" => Ok(Self::Data),
            name => find(graph, name).map(Self::At),
        }
    }

    /// The entities.
    pub fn entities(&self, graph: &Graph) -> Vec<u32> {
        if let Self::At(at) = self {
            return vec![*at];
        }
        let wanted = |entity: &Entity| match self {
            Self::Administrators => is_administrator(entity),
            Self::Data => entity.id.kind == EntityKind::Store,
            Self::Jewels | Self::At(_) => is_jewel(entity),
        };
        (0u32..).zip(graph.entities()).filter(|(_, entity)| wanted(entity)).map(|(at, _)| at).collect()
    }
}

/// Whether an entity is an administrator of a cloud or cluster, or stands for one.
pub(crate) fn is_administrator(entity: &Entity) -> bool {
    entity.id.kind == EntityKind::Identity && entity.flag("administrator") == Some(true)
}

/// Whether an entity stands for the administrator of a whole account, cluster or machine, whoever that is.
pub(crate) fn is_crown(entity: &Entity) -> bool {
    is_administrator(entity) && entity.text("role") == Some("administrator")
}

/// Whether an entity is what attackers want.
pub(crate) fn is_jewel(entity: &Entity) -> bool {
    match entity.id.kind {
        EntityKind::Credential | EntityKind::Store => true,
        EntityKind::Path => matches!(entity.text("breadth"), Some("root" | "home")),
        EntityKind::Identity => is_administrator(entity),
        _ => false,
    }
}

/// The entity of this id, else key, else name, else with a key that ends so.
pub(crate) fn find(graph: &Graph, text: &str) -> Result<u32, UnknownName> {
    let all = || (0u32..).zip(graph.entities());
    let tests: [&dyn Fn(&Entity) -> bool; 4] = [
        &|entity| entity.id.to_string() == text,
        &|entity| entity.id.key == text,
        &|entity| entity.name.eq_ignore_ascii_case(text) || entity.text("client") == Some(text),
        &|entity| entity.id.key.strip_suffix(text).is_some_and(|rest| rest.ends_with(['/', '#', ':', '@'])),
    ];
    for test in tests {
        let hits: Vec<(u32, &Entity)> = all().filter(|(_, entity)| test(entity)).collect();
        match hits.as_slice() {
            [] => {}
            [(at, _)] => return Ok(*at),
            many => {
                let mut names: Vec<String> = many.iter().take(5).map(|(_, entity)| entity.id.to_string()).collect();
                if many.len() > 5 {
                    names.push(format!("and {} more", many.len() - 5));
                }
                return Err(UnknownName::Several(text.to_owned(), names.join(", ")));
            }
        }
    }
    Err(UnknownName::Nothing(text.to_owned()))
}

//! What rules over attack paths share: the paths themselves and how one becomes a witness.

use super::assess::{factor, input_trust_of_agent, privilege_of_agent, reach_of_config};
use crate::finding::{Factor, FactorName, Step};
use crate::model::Graph;
use crate::observation::{EntityKind, RelationKind};
use crate::paths::{Link, Model, Path, Place};

/// Every agent's paths to some goals: one search for all agents.
pub(super) fn of_agents<'g>(graph: &'g Graph, goals: &[u32]) -> Option<(Model<'g>, Vec<Path>)> {
    let agents: Vec<Place> = graph.of_kind(EntityKind::Agent).map(|(at, _)| Place::Entity(at)).collect();
    if goals.is_empty() || agents.is_empty() {
        return None;
    }
    let model = Model::new(graph);
    let paths = model.pairs(&agents, goals);
    Some((model, paths))
}

/// The links of a path.
pub(super) fn links<'m>(model: &'m Model<'_>, path: &'m Path) -> impl DoubleEndedIterator<Item = &'m Link> {
    path.steps.iter().filter_map(|step| model.links().get(*step))
}

/// A path as the steps of a finding.
pub(super) fn steps(graph: &Graph, model: &Model<'_>, path: &Path) -> Vec<Step> {
    let first = match path.from {
        Place::Entity(at) => super::start(graph, at),
        Place::Outsiders => None,
    };
    first.into_iter().chain(links(model, path).filter_map(|link| step(graph, link))).collect()
}

/// One link as a step of a finding.
pub(super) fn step(graph: &Graph, link: &Link) -> Option<Step> {
    let entity = graph.entity(link.to)?;
    let via = RelationKind::ALL.iter().copied().find(|kind| kind.as_str() == link.kind);
    // A title stands before what it leads to, a note after it.
    let how = || match link.title.strip_suffix(", and gets") {
        Some(title) => format!("how: {title}"),
        None => format!("how: {} it", link.title),
    };
    let note = via.is_none().then(how);
    Some(Step { entity: entity.id.clone(), name: entity.name.clone(), via, note, evidence: link.evidence.clone() })
}

/// The four factors of an agent, the sensitivity being what it gets at.
pub(super) fn factors(graph: &Graph, agent: u32, certain: bool, (sensitivity, what): (f64, &str)) -> Vec<Factor> {
    let reach = graph.entity(agent).map(reach_of_config);
    let known = if certain { 1.0 } else { 0.8 };
    let because = if certain { what.to_owned() } else { format!("{what}; not every step is certain") };
    let fixed = [
        privilege_of_agent(graph, agent),
        factor(FactorName::Sensitivity, sensitivity * known, because),
        input_trust_of_agent(graph, agent),
    ];
    reach.into_iter().chain(fixed).collect()
}

/// The name of an entity, for sentences.
pub(super) fn named(graph: &Graph, at: u32) -> String {
    graph.entity(at).map(|entity| entity.name.clone()).unwrap_or_default()
}

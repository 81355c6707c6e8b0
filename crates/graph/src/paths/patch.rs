//! The change that takes a grant away, as text that can be applied: a Cedar policy for what passes the gateway, an IAM
//! statement for what a cloud allows. The hunk for the file itself needs the file, so its reader makes it.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Link, Model, Place};
use crate::deny;
use crate::observation::{EntityId, EntityKind, RelationKind};
use crate::way::Grant;

/// A change to apply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Patch {
    /// What it does, in one clause.
    pub title: String,
    /// `cedar`, `iam`, `diff` or `sh`.
    pub language: String,
    /// The text.
    pub text: String,
}

/// The links that rest on a grant.
pub fn links_of<'m>(model: &'m Model<'_>, grant: usize) -> Vec<&'m Link> {
    let Some(grant) = model.grants().get(grant) else { return Vec::new() };
    model.links().iter().filter(|link| link.needs.iter().any(|need| need.any.contains(grant))).collect()
}

/// The agent and server of each use that a grant makes: what policy and record know a call by.
pub fn uses(model: &Model<'_>, grant: usize) -> Vec<(String, String)> {
    let mut pairs = BTreeSet::new();
    for link in links_of(model, grant) {
        let ends = link.from.iter().filter_map(|place| match place {
            Place::Entity(at) => Some(*at),
            Place::Outsiders => None,
        });
        for at in ends.chain([link.to]) {
            pairs.extend(pairs_of(model, at));
        }
    }
    pairs.into_iter().collect()
}

fn pairs_of(model: &Model<'_>, at: u32) -> Vec<(String, String)> {
    let graph = model.graph();
    let Some(server) = graph.entity(at).filter(|entity| entity.id.kind == EntityKind::Server) else {
        return Vec::new();
    };
    let agents = graph.sources(at, RelationKind::Uses);
    agents.filter_map(|(_, agent)| Some((agent.text("client")?.to_owned(), server.name.clone()))).collect()
}

/// The policies that take a grant away.
pub fn patches(model: &Model<'_>, grant: usize) -> Vec<Patch> {
    let mut patches: Vec<Patch> = uses(model, grant).iter().map(|(agent, server)| cedar(agent, server)).collect();
    if let Some(wanted) = model.grants().get(grant) {
        patches.extend(iam(model, wanted, &links_of(model, grant)));
    }
    patches
}

/// Statements that deny what every link that rests on the grant does.
fn iam(model: &Model<'_>, wanted: &Grant, links: &[&Link]) -> Option<Patch> {
    let graph = model.graph();
    let uses = links.iter().map(|link| {
        let claims = link.needs.iter().filter(|need| need.any.contains(wanted)).map(|need| need.claim.as_str());
        let whom = link.from.iter().map(|place| {
            let Place::Entity(at) = place else { return None };
            let entity = graph.entity(*at).filter(|entity| entity.id.key.starts_with("arn:"));
            entity.map(|entity| entity.name.as_str())
        });
        (claims.collect(), whom.collect())
    });
    let kinds = [EntityKind::Identity, EntityKind::Store];
    deny::patch(uses, |resource| kinds.iter().any(|kind| graph.get(&EntityId::new(*kind, resource)).is_some()))
}

fn cedar(agent: &str, server: &str) -> Patch {
    let quoted = |text: &str| format!("{text:?}");
    Patch {
        title: format!("forbid {agent} the server {server}, where its calls pass the gateway"),
        language: "cedar".to_owned(),
        text: format!(
            "@reason(\"an attack path leads through it\")\nforbid (principal == Agent::{}, action, resource in Server::{});\n",
            quoted(agent),
            quoted(server)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Goal;
    use super::*;
    use crate::text;

    #[test]
    fn a_patch_that_would_leave_a_step_is_not_printed() {
        let way = |claim: &str| {
            format!(
                "via.ways=[{{\"kind\":\"k\",\"title\":\"t\",\"certain\":true,\"needs\":[{{\"claim\":\"{claim}\",\"any\":[{{\"source\":\"p.json\",\"line\":3,\"name\":\"p\"}}]}}]}}]"
            )
        };
        let arn = "arn:aws:iam::111122223333";
        let patches_of = |claims: &[&str]| {
            let lines = claims.iter().enumerate().map(|(at, claim)| {
                format!(
                    "identity {arn}:user/u acts_as {arn}:role/r{at} {}\nidentity {arn}:role/r{at} administrator=true\n",
                    way(claim)
                )
            });
            let graph = text::parse(&lines.collect::<String>()).unwrap();
            let model = Model::new(&graph);
            assert!(!Goal::Administrators.entities(&graph).is_empty());
            let grant = model.grants().iter().position(|grant| grant.source == "p.json").unwrap();
            patches(&model, grant)
        };
        let one = patches_of(&["sts:AssumeRole on *"]);
        assert_eq!(one.len(), 1);
        assert!(one[0].title.contains("user/u") && one[0].text.contains("sts:AssumeRole"), "{one:?}");
        assert_eq!(patches_of(&["sts:AssumeRole on *", "every action on every resource"]), []);
    }
}

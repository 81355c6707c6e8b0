//! The change that takes a grant away, as text that can be applied: a Cedar policy for what passes the gateway, an IAM
//! statement for what a cloud allows. The hunk for the file itself needs the file, so its reader makes it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use super::{Link, Model, Place};
use crate::observation::{EntityKind, RelationKind};

/// A change to apply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Patch {
    /// What it does, in one clause.
    pub title: String,
    /// `cedar`, `iam` or `diff`.
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
    let needs = links_of(model, grant).into_iter().flat_map(|link| &link.needs);
    let Some(wanted) = model.grants().get(grant) else { return patches };
    let claims: BTreeSet<&str> =
        needs.filter(|need| need.any.contains(wanted)).map(|need| need.claim.as_str()).collect();
    let statements: Vec<serde_json::Value> = claims.into_iter().filter_map(deny).collect();
    if !statements.is_empty() {
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        patches.push(Patch {
            title: "deny it in a permissions boundary or SCP".to_owned(),
            language: "iam".to_owned(),
            text: format!("{document:#}\n"),
        });
    }
    patches
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

/// `iam:PassRole on arn:…` as a statement that denies it.
fn deny(claim: &str) -> Option<serde_json::Value> {
    let (actions, resource) = claim.split_once(" on ")?;
    let actions: Vec<&str> = actions.split([' ', ',']).filter(|word| word.contains(':')).collect();
    let known = !actions.is_empty() && (resource == "*" || resource.starts_with("arn:"));
    known.then(|| json!({ "Effect": "Deny", "Action": actions, "Resource": resource }))
}

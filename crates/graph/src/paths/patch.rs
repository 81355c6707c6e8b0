//! The change that takes a grant away, as text that can be applied: a Cedar policy for what passes the gateway, an IAM
//! statement for what a cloud allows. The hunk for the file itself needs the file, so its reader makes it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use super::{Link, Model, Place};
use crate::model::Graph;
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

/// Statements that deny what every link that rests on the grant does; nothing where one of them does something that no
/// statement names, for then the path would stay.
fn iam(model: &Model<'_>, wanted: &Grant, links: &[&Link]) -> Option<Patch> {
    let mut denied: BTreeSet<(Vec<&str>, String)> = BTreeSet::new();
    let mut whom: BTreeSet<&str> = BTreeSet::new();
    for link in links {
        let claims = link.needs.iter().filter(|need| need.any.contains(wanted)).map(|need| need.claim.as_str());
        let before = claims.filter_map(|claim| deny(model.graph(), claim)).collect::<Vec<_>>();
        if before.is_empty() {
            return None;
        }
        denied.extend(before);
        for place in &link.from {
            let Place::Entity(at) = place else { return None };
            let entity = model.graph().entity(*at).filter(|entity| entity.id.key.starts_with("arn:"))?;
            whom.insert(entity.name.as_str());
        }
    }
    if denied.is_empty() {
        return None;
    }
    let statement = |(actions, resource): &(Vec<&str>, String)| json!({ "Effect": "Deny", "Action": actions, "Resource": resource });
    let statements: Vec<serde_json::Value> = denied.iter().map(statement).collect();
    let whom: Vec<&str> = whom.into_iter().collect();
    Some(Patch {
        title: format!("deny it by an inline policy of {}, or by an SCP", whom.join(" and ")),
        language: "iam".to_owned(),
        text: format!("{:#}\n", json!({ "Version": "2012-10-17", "Statement": statements })),
    })
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

/// `iam:PassRole on arn:…` as the actions and the resource of a statement that denies it.
fn deny<'c>(graph: &Graph, claim: &'c str) -> Option<(Vec<&'c str>, String)> {
    let (actions, resource) = claim.split_once(" on ")?;
    let is_action = |word: &&str| {
        word.split_once(':').is_some_and(|(service, action)| {
            let plain =
                |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-*".contains(c));
            plain(service) && plain(action)
        })
    };
    let actions: Vec<&str> = actions.split([' ', ',']).filter(is_action).collect();
    let known = !actions.is_empty() && (resource == "*" || resource.starts_with("arn:"));
    known.then(|| (actions, all_like(graph, resource)))
}

/// A resource that the graph knows is denied by its name. Of any other the claim names one that would do: another that
/// nobody has made yet would do as well, so that all of its form are denied.
fn all_like(graph: &Graph, resource: &str) -> String {
    let kinds = [EntityKind::Identity, EntityKind::Store];
    if kinds.iter().any(|kind| graph.get(&EntityId::new(*kind, resource)).is_some()) {
        return resource.to_owned();
    }
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    let [arn, partition, service, region, account, name] = parts.as_slice() else { return "*".to_owned() };
    let any = |part: &str| if part.is_empty() { "" } else { "*" }.to_owned();
    // The kind of resource, of a name that says it (`function:…`, `instance/…`).
    let kind = name.find(['/', ':']).filter(|_| !region.is_empty() || !account.is_empty());
    let kind = kind.and_then(|at| name.get(..=at)).unwrap_or_default();
    [(*arn).to_owned(), (*partition).to_owned(), (*service).to_owned(), any(region), any(account), format!("{kind}*")]
        .join(":")
}

#[cfg(test)]
mod tests {
    use super::super::Goal;
    use super::*;
    use crate::text;

    #[test]
    fn what_is_denied_is_what_is_known_or_all_of_its_form() {
        let graph = text::parse("identity boss key=x\nidentity arn:aws:iam::111122223333:role/boss").unwrap();
        for (resource, expected) in [
            ("arn:aws:iam::111122223333:role/boss", "arn:aws:iam::111122223333:role/boss"),
            ("arn:aws:lambda:us-east-1:111122223333:function:example", "arn:aws:lambda:*:*:function:*"),
            ("arn:aws:ec2:us-east-1:111122223333:instance/i-1", "arn:aws:ec2:*:*:instance/*"),
            ("arn:aws:sqs:us-east-1:111122223333:jobs", "arn:aws:sqs:*:*:*"),
            ("arn:aws:iam::111122223333:user/x", "arn:aws:iam::*:user/*"),
            ("arn:aws:s3:::bucket/key", "arn:aws:s3:::*"),
            ("*", "*"),
        ] {
            assert_eq!(all_like(&graph, resource), expected);
        }
        assert_eq!(deny(&graph, "lambda:CreateFunction, lambda:InvokeFunction on *").unwrap().0.len(), 2);
        assert_eq!(deny(&graph, "create pods on namespace a"), None);
    }

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

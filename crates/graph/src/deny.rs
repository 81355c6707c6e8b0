//! The IAM statements that deny what steps do, as far as what they rest on says it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::paths::patch::Patch;

/// The actions and the resource of a statement.
type Denied<'c> = (Vec<&'c str>, String);

/// A policy that denies something of every use of a grant, as little as does it: each use is what it claims, all of which it
/// takes (`iam:PassRole on arn:…`), and the names of those who do it, `None` for somebody who can be given no policy. Nothing
/// where one of the uses does something that no statement names, for then it would stay possible.
pub(crate) fn patch<'c>(
    uses: impl IntoIterator<Item = (Vec<&'c str>, Option<Vec<&'c str>>)>,
    is_known: impl Fn(&str) -> bool,
) -> Option<Patch> {
    let mut whom: BTreeSet<&str> = BTreeSet::new();
    let mut left: Vec<BTreeSet<Denied<'c>>> = Vec::new();
    for (claims, who) in uses {
        left.push(claims.into_iter().filter_map(|claim| statement(claim, &is_known)).collect());
        whom.extend(who?);
    }
    let mut denied: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    while !left.is_empty() {
        let (actions, resource) = widest(&left, &is_known)?;
        left.retain(|ways| !ways.contains(&(actions.clone(), resource.clone())));
        denied.entry(resource).or_default().extend(actions);
    }
    if denied.is_empty() {
        return None;
    }
    let mut alike: BTreeMap<BTreeSet<&str>, Vec<String>> = BTreeMap::new();
    for (resource, actions) in denied {
        alike.entry(actions).or_default().push(resource);
    }
    let statements: Vec<Value> = alike
        .into_iter()
        .map(|(actions, resources)| {
            let actions: Vec<&str> = actions.into_iter().collect();
            json!({ "Effect": "Deny", "Action": one_or_all(&actions), "Resource": one_or_all(&resources) })
        })
        .collect();
    let whom: Vec<&str> = whom.into_iter().collect();
    Some(Patch {
        title: format!("deny it by an inline policy of {}, or by an SCP", whom.join(" and ")),
        language: "iam".to_owned(),
        text: format!("{:#}\n", json!({ "Version": "2012-10-17", "Statement": statements })),
    })
}

/// A list, or what it holds where that is one thing.
fn one_or_all<T: Serialize>(items: &[T]) -> Value {
    match items {
        [one] => json!(one),
        items => json!(items),
    }
}

/// What the most uses take; of several, what names a resource that is known, and then the first by name. `None` where a use
/// has nothing that could be denied.
fn widest<'c>(uses: &[BTreeSet<Denied<'c>>], is_known: impl Fn(&str) -> bool) -> Option<Denied<'c>> {
    if uses.iter().any(BTreeSet::is_empty) {
        return None;
    }
    let mut counts: BTreeMap<&Denied<'c>, usize> = BTreeMap::new();
    for denied in uses.iter().flatten() {
        *counts.entry(denied).or_default() += 1;
    }
    let best = counts.into_iter().rev().max_by_key(|((_, resource), count)| (*count, is_known(resource)));
    best.map(|(denied, _)| denied.clone())
}

/// The actions of a claim and the resource of a statement that denies them.
fn statement<'c>(claim: &'c str, is_known: impl Fn(&str) -> bool) -> Option<Denied<'c>> {
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
    known.then(|| (actions, all_like(resource, is_known)))
}

/// A resource that is known is denied by its name. Of any other the claim names one that would do: another that nobody has
/// made yet would do as well, so that all of its form are denied.
fn all_like(resource: &str, is_known: impl Fn(&str) -> bool) -> String {
    if is_known(resource) {
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
    use super::*;

    #[test]
    fn what_is_denied_is_what_is_known_or_all_of_its_form() {
        let boss = "arn:aws:iam::111122223333:role/boss";
        let is_known = |resource: &str| resource == boss;
        for (resource, expected) in [
            (boss, boss),
            ("arn:aws:lambda:us-east-1:111122223333:function:example", "arn:aws:lambda:*:*:function:*"),
            ("arn:aws:ec2:us-east-1:111122223333:instance/i-1", "arn:aws:ec2:*:*:instance/*"),
            ("arn:aws:sqs:us-east-1:111122223333:jobs", "arn:aws:sqs:*:*:*"),
            ("arn:aws:iam::111122223333:user/x", "arn:aws:iam::*:user/*"),
            ("arn:aws:s3:::bucket/key", "arn:aws:s3:::*"),
            ("*", "*"),
        ] {
            assert_eq!(all_like(resource, is_known), expected);
        }
        assert_eq!(statement("lambda:CreateFunction, lambda:InvokeFunction on *", is_known).unwrap().0.len(), 2);
        assert_eq!(statement("create pods on namespace a", is_known), None);
    }

    #[test]
    fn of_what_a_step_takes_one_thing_is_denied_and_of_all_steps_what_most_take() {
        let boss = "iam:PassRole on arn:aws:iam::111122223333:role/boss";
        let other = "iam:PassRole on arn:aws:iam::111122223333:role/other";
        let create = "lambda:CreateFunction on arn:aws:lambda:*:111122223333:function:*";
        let denied = |uses: &[&[&str]]| {
            let uses = uses.iter().map(|claims| (claims.to_vec(), Some(vec!["user/ann"])));
            let patch = patch(uses, |arn| arn.ends_with("role/boss"))?;
            let policy: Value = serde_json::from_str(&patch.text).unwrap();
            let actions = policy["Statement"].as_array().unwrap().iter().map(|one| one["Action"].to_string());
            Some(actions.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(denied(&[&[boss, create]]).unwrap(), "\"iam:PassRole\"", "what is known is named");
        assert_eq!(denied(&[&[boss, create], &[other, create]]).unwrap(), "\"lambda:CreateFunction\"");
        assert_eq!(denied(&[&[boss], &[create]]).unwrap().matches('"').count(), 4, "each has its own");
        assert_eq!(denied(&[&[boss], &[other]]).unwrap(), "\"iam:PassRole\"", "the same of several is one statement");
        assert_eq!(denied(&[&[boss], &["create pods on namespace a"]]), None, "one would stay");
        assert_eq!(patch([(vec![boss], None)], |_| true), None, "nobody's policy");
        assert_eq!(denied(&[]), None);
    }
}

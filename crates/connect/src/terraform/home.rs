//! Whose account a plan changes.
//!
//! A plan seldom says it. Evidence is what it asked of AWS, and the ARNs in its values: one that names what the plan
//! makes is surest. Whom a policy lets in proves nothing, for that may be anywhere.

use std::collections::{BTreeMap, BTreeSet};

use graph::aws::Arn;
use serde_json::Value as Json;

use super::plan::Resource;
use crate::aws::text;
use crate::document::Node;

/// The account of what a plan makes when nothing in it names one.
const UNKNOWN_ACCOUNT: &str = "000000000000";

/// The partition and the account of what a plan makes: what it asked of AWS, or else what its values name ([`named`]).
pub(super) fn home(resources: &[Resource], planned: &Node) -> (String, String) {
    let asked = |kind: &str, key: &str| {
        resources.iter().find(|one| one.kind == kind).and_then(|one| text(&one.values, key)).map(str::to_owned)
    };
    let (partition, account) = named(resources, planned).unzip();
    let usual = || "aws".to_owned();
    (
        asked("aws_partition", "partition").or(partition).unwrap_or_else(usual),
        asked("aws_caller_identity", "account_id").or(account).unwrap_or_else(|| UNKNOWN_ACCOUNT.to_owned()),
    )
}

/// The partition and account of the ARNs in a plan's values: of one that names what the plan makes, of one that is a
/// whole value, or of most resources that its policies speak of. Whom a policy lets in may be anywhere.
fn named(resources: &[Resource], planned: &Node) -> Option<(String, String)> {
    let mut arns = Arns::default();
    arns.gather(planned);
    let made: BTreeSet<&str> = resources.iter().filter(|one| !one.is_data).map(Resource::label).collect();
    let of_made: Vec<&String> = arns.whole.iter().chain(&arns.spoken_of).filter(|arn| names(arn, &made)).collect();
    most(of_made.into_iter()).or_else(|| home_of(arns.whole.first()?)).or_else(|| most(arns.spoken_of.iter()))
}

fn names(arn: &str, made: &BTreeSet<&str>) -> bool {
    Arn::parse(arn).is_some_and(|arn| made.contains(arn.name()))
}

fn home_of(arn: &str) -> Option<(String, String)> {
    Arn::parse(arn).map(|arn| (arn.partition.to_owned(), arn.account.to_owned()))
}

/// The home that most ARNs name; of several the first by name, so that the answer does not change from run to run.
fn most<'a>(arns: impl Iterator<Item = &'a String>) -> Option<(String, String)> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for home in arns.filter_map(|arn| home_of(arn)) {
        *counts.entry(home).or_default() += 1;
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(home, _)| home)
}

/// ARNs that name an account.
#[derive(Default)]
struct Arns {
    /// Those that are a whole value.
    whole: Vec<String>,
    /// Resources that policies in the values speak of.
    spoken_of: Vec<String>,
}

impl Arns {
    fn gather(&mut self, node: &Node) {
        match node.text() {
            Some(text) if names_account(text) => self.whole.push(text.to_owned()),
            Some(text) if text.trim_start().starts_with('{') && text.contains("Statement") => {
                if let Ok(document) = serde_json::from_str::<Json>(text) {
                    self.document(&document);
                }
            }
            _ => {}
        }
        node.entries().iter().for_each(|entry| self.gather(&entry.node));
        node.items().iter().for_each(|item| self.gather(item));
    }

    fn document(&mut self, document: &Json) {
        let statements = document.get("Statement").map(listed).unwrap_or_default();
        let spoken_of: Vec<Json> = statements.iter().filter_map(|one| one.get("Resource")).flat_map(listed).collect();
        let arns = spoken_of.iter().filter_map(Json::as_str).filter(|arn| names_account(arn)).map(str::to_owned);
        self.spoken_of.extend(arns);
    }
}

/// The elements of a list, or the one that stands for a list.
fn listed(json: &Json) -> Vec<Json> {
    json.as_array().cloned().unwrap_or_else(|| vec![json.clone()])
}

fn names_account(text: &str) -> bool {
    let account = Arn::parse(text).map(|arn| arn.account).unwrap_or_default();
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Format};

    fn account(values: &str) -> String {
        let made = |name: &str| {
            let node = Document::parse(&format!("{{\"name\": \"{name}\"}}"), Format::Json).unwrap().root().clone();
            let (kind, name) = ("aws_iam_role".to_owned(), name.to_owned());
            Resource { module: String::new(), kind, name, index: None, is_data: false, values: node.clone(), node }
        };
        home(&[made("own")], Document::parse(values, Format::Json).unwrap().root()).1
    }

    #[test]
    fn the_account_is_that_of_what_the_plan_makes_or_of_what_its_policies_speak_of() {
        let policy = |resources: &str, principal: &str| {
            let document = format!(
                r#"{{"Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{principal}"}}, "Resource": {resources}}}}}"#
            );
            serde_json::json!([{ "policy": document }]).to_string()
        };
        let elsewhere = "arn:aws:iam::444455556666:root";
        assert_eq!(account(&policy("[]", elsewhere)), "000000000000", "whom it lets in may be anywhere");
        let most = r#"["arn:aws:s3:us-east-1:111122223333:a", "arn:aws:sqs:us-east-1:111122223333:b", "arn:aws:iam::444455556666:role/x", "*"]"#;
        assert_eq!(account(&policy(most, elsewhere)), "111122223333");
        let own = r#"["arn:aws:s3:us-east-1:111122223333:a", "arn:aws:sqs:us-east-1:111122223333:b", "arn:aws:iam::444455556666:role/own"]"#;
        assert_eq!(account(&policy(own, elsewhere)), "444455556666", "it names what the plan makes");
        assert_eq!(account(r#"[{"role": "arn:aws:iam::777788889999:role/other"}]"#), "777788889999");
    }
}

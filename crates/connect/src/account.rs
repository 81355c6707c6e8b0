//! Whose account it is that a plan or template makes things in.
//!
//! They seldom say it. Evidence are the ARNs in their values: one that names what is made is surest. Whom a policy lets in
//! proves nothing, for that may be anywhere.

use std::collections::{BTreeMap, BTreeSet};

use graph::aws::Arn;
use serde_json::Value as Json;

use crate::document::Node;

/// The account of what is made when nothing names one.
pub(crate) const UNKNOWN: &str = "000000000000";

/// How little a file says of the account that it is about; the least first. Exports say it, plans and templates in what
/// they name, if at all.
pub(crate) fn doubt(text: &str) -> u8 {
    let is_made_later = ["AWSTemplateFormatVersion", "AWS::", "planned_values"].iter().any(|word| text.contains(word));
    let names = || text.match_indices("arn:").any(|(at, _)| text.get(at..).is_some_and(names_account));
    if !is_made_later { 0 } else { 2 - u8::from(names()) }
}

/// The partition and account of what is made: of an ARN among its values that names it, what is `known` from other files,
/// of an ARN that is a whole value, or of most resources that policies among them speak of. A whole value may be of another
/// account, as the layer of a function often is, and whom a policy lets in may be anywhere.
pub(crate) fn named(
    values: &Node,
    made: &BTreeSet<&str>,
    known: impl FnOnce() -> Option<(String, String)>,
) -> Option<(String, String)> {
    let mut arns = Arns::default();
    arns.gather(values);
    let of_made: Vec<&String> = arns.whole.iter().chain(&arns.spoken_of).filter(|arn| names(arn, made)).collect();
    most(of_made.into_iter())
        .or_else(known)
        .or_else(|| home_of(arns.whole.first()?))
        .or_else(|| most(arns.spoken_of.iter()))
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
        if node.get("Statement").is_some() {
            return self.document(&node.to_json());
        }
        node.entries().iter().for_each(|entry| self.gather(&entry.node));
        node.items().iter().for_each(|item| self.gather(item));
    }

    fn document(&mut self, document: &Json) {
        let statements = document.get("Statement").map(listed).unwrap_or_default();
        for resource in statements.iter().filter_map(|one| one.get("Resource")) {
            self.spoken_of(resource);
        }
    }

    /// Of a template's function its arguments are as good.
    fn spoken_of(&mut self, resource: &Json) {
        match resource {
            Json::String(arn) if names_account(arn) => self.spoken_of.push(arn.clone()),
            Json::Array(items) => items.iter().for_each(|item| self.spoken_of(item)),
            Json::Object(functions) => functions.values().for_each(|argument| self.spoken_of(argument)),
            _ => {}
        }
    }
}

/// The elements of a list, or the one that stands for a list.
fn listed(json: &Json) -> Vec<Json> {
    json.as_array().cloned().unwrap_or_else(|| vec![json.clone()])
}

/// Whether a text is, or begins with, an ARN that names an account.
fn names_account(text: &str) -> bool {
    let account = Arn::parse(text).map(|arn| arn.account).unwrap_or_default();
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

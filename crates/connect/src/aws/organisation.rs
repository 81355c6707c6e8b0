//! Policies that no account export holds: of the organisation, and of resources.
//!
//! One JSON object: `ServiceControlPolicies` and `ResourceControlPolicies` map an account id to a list
//! of levels (root first), each a list of policy documents; `ResourcePolicies` maps a resource's ARN to
//! its policy; `PublicAccessBlocks` maps a bucket's ARN, or an account id, to its `PublicAccessBlockConfiguration`;
//! `ManagementAccount` names the account that no service control policy limits. Of a resource's policy what
//! `aws s3api get-bucket-policy` and its like answer is read as well, where it says whose policy it is.

use std::collections::BTreeSet;

use graph::aws::Arn;
use serde_json::Value as Json;

use super::{Reader, Signs, decoded, text};
use crate::document::Node;

/// By what these files are known among others.
pub(super) const SIGNS: Signs = &[
    &["\"ServiceControlPolicies\":{", "Statement"],
    &["\"ResourceControlPolicies\":{", "Statement"],
    &["\"ResourcePolicies\":{\"arn:"],
    &["\"ManagementAccount\":\""],
    &["\"Policy\":\"{", "\\\"Statement\\\""],
    &["\"ResourcePolicy\":\"{", "\\\"Statement\\\""],
];

/// Reads an organisation file; false when the document is none.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    let mut known = answer(reader, root);
    if let Some(account) = root.get("ManagementAccount").and_then(Node::text) {
        reader.estate.management_account = Some(account.to_owned());
        known = true;
    }
    for entry in root.get("ResourcePolicies").map(Node::entries).unwrap_or_default() {
        known = true;
        if let Some(policy) = reader.policy(&entry.node, &format!("policy of {}", entry.key), None) {
            reader.estate.resource_policies.insert(entry.key.clone(), policy);
        }
    }
    for entry in root.get("PublicAccessBlocks").map(Node::entries).unwrap_or_default() {
        known = true;
        let block = entry.node.get("PublicAccessBlockConfiguration").unwrap_or(&entry.node);
        let restricts = block.get("RestrictPublicBuckets").and_then(Node::bool) == Some(true);
        reader.estate.public_access.insert(entry.key.clone(), restricts);
    }
    if root.get("PublicAccessBlockConfiguration").is_some() {
        known = true;
        reader.miss(root, "does not say what it is of: give it as `{\"PublicAccessBlocks\": {\"ARN or account\": …}}`");
    }
    for (key, service) in [("ServiceControlPolicies", true), ("ResourceControlPolicies", false)] {
        for entry in root.get(key).map(Node::entries).unwrap_or_default() {
            known = true;
            let mut levels = Vec::new();
            for level in entry.node.items() {
                let name = format!("{key} of {}", entry.key);
                let read: Vec<_> = level.items().iter().map(|policy| reader.policy(policy, &name, None)).collect();
                if read.iter().any(Option::is_none) {
                    reader.estate.unread_limits.insert(entry.key.clone());
                }
                levels.push(read.into_iter().flatten().collect());
            }
            let policies = if service { &mut reader.estate.scps } else { &mut reader.estate.rcps };
            policies.insert(entry.key.clone(), levels);
        }
    }
    known
}

/// The answer that holds one resource's policy as text. Whose it is, it says beside it or in its statements, which AWS
/// lets speak of nothing else.
fn answer(reader: &mut Reader<'_>, root: &Node) -> bool {
    let written =
        |key: &str| root.get(key).filter(|node| node.text().is_some_and(|text| text.trim_start().starts_with('{')));
    let Some(policy) = written("ResourcePolicy").or_else(|| written("Policy")) else { return false };
    let own = policy.text().and_then(decoded).map(|document| owners(&document)).unwrap_or_default();
    let arn = text(root, "ARN").map(str::to_owned).or_else(|| match own.iter().collect::<Vec<_>>().as_slice() {
        [one] => Some((*one).clone()),
        _ => None,
    });
    let Some(arn) = arn else {
        reader.miss(root, "does not say whose policy it is: give it as `{\"ResourcePolicies\": {\"ARN\": …}}`");
        return true;
    };
    if let Some(id) = reader.policy(policy, &format!("policy of {arn}"), None) {
        reader.estate.resource_policies.insert(arn, id);
    }
    true
}

/// The resources that a document speaks of, of objects their bucket; of patterns nothing.
fn owners(document: &Json) -> BTreeSet<String> {
    let each = |value: Option<&Json>| match value {
        Some(Json::Array(items)) => items.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    let statements = each(document.get("Statement"));
    let named = statements.iter().flat_map(|statement| each(statement.get("Resource")));
    let owner = |resource: Json| {
        let arn = Arn::parse(resource.as_str()?)?;
        let resource = if arn.service == "s3" { arn.resource.split('/').next()? } else { arn.resource };
        (!resource.contains(['*', '?', '$'])).then(|| Arn { resource, ..arn }.to_string())
    };
    named.filter_map(owner).collect()
}

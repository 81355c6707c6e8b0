//! AWS's own managed policies, for exports that leave them out (`--filter LocalManagedPolicy`) and for plans, which
//! never hold them.
//!
//! The file has one line for each: what stands behind `policy/` in its ARN, a tab, the document. It is made by
//! `tests/tools/managed_policies.py`, of what AWS's API answered on [`AS_OF`]. AWS changes them now and then; a text
//! that the files hold is used instead, and evidence says where a statement is from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use graph::aws::Arn;
use graph::aws::estate::{Estate, Managed, Policy};
use graph::aws::policy::Document;

const AS_OF: &str = "2026-09-29";
const COMPRESSED: &[u8] = include_bytes!("managed.tsv.zst");

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let bytes = zstd::decode_all(COMPRESSED).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
});
static BY_NAME: LazyLock<BTreeMap<&'static str, &'static str>> =
    LazyLock::new(|| TEXT.lines().filter_map(|line| line.split_once('\t')).collect());

/// Adds those of AWS's own policies that a principal has or is bounded by, and no file holds.
pub(super) fn fill(estate: &mut Estate) {
    let named = estate.principals.iter().flat_map(|one| one.attached.iter().chain(&one.boundary_arn));
    let missing: BTreeSet<String> = named.filter(|arn| !estate.managed.contains_key(*arn)).cloned().collect();
    for arn in missing {
        let Some((name, document)) = document(&arn) else { continue };
        let source: Arc<str> = format!("AWS managed policy, as of {AS_OF}").into();
        let default = estate.add_policy(Policy { name, arn: Some(arn.clone()), source, document });
        estate.managed.insert(arn, Managed { default, others: Vec::new() });
    }
}

fn document(arn: &str) -> Option<(String, Document)> {
    let parsed = Arn::parse(arn).filter(|arn| arn.service == "iam" && arn.account == "aws")?;
    let text = BY_NAME.get(parsed.resource.strip_prefix("policy/")?)?;
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    Some((parsed.name().to_owned(), Document::parse(&json, &[]).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_of_the_list_can_be_read() {
        assert!(BY_NAME.len() > 1_000);
        for name in BY_NAME.keys() {
            assert!(document(&format!("arn:aws:iam::aws:policy/{name}")).is_some(), "{name}");
        }
        assert!(document("arn:aws-us-gov:iam::aws:policy/AdministratorAccess").is_some());
        assert!(document("arn:aws:iam::111122223333:policy/AdministratorAccess").is_none());
    }
}

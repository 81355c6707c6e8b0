//! Blocks of public access to S3: they keep out whom a public bucket's own policy lets in.
//!
//! After "Blocking public access to your Amazon S3 storage" of the S3 documentation: where a bucket or its account restricts
//! public buckets (`RestrictPublicBuckets`), a bucket with a public policy lets in nobody but services and principals of its
//! own account, whomever else the policy names. A policy is public unless each of its statements for everybody holds for
//! fixed values alone of one of some condition keys ("The meaning of 'public'").

use super::condition::Condition;
use super::estate::{Estate, PolicyId};
use super::policy::{Effect, Named, Principals, Statement};
use super::truth::Truth;

/// The keys of which a fixed value makes a statement for everybody one that is not public.
const FIXING: [&str; 11] = [
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

/// A range of addresses with fewer bits than this is as good as all of them.
const RANGE_MIN_BITS: u8 = 8;

/// Whether a block keeps out those who are not of the account of a bucket with this policy.
pub(super) fn is_blocked(estate: &Estate, policy: PolicyId, bucket: &str, account: Option<&str>) -> Truth {
    let public = Truth::any(estate.statements(policy).map(|(_, statement)| is_public(statement)));
    if public == Truth::No {
        return Truth::No;
    }
    let known = [Some(bucket), account].map(|key| estate.public_access.get(key?).copied());
    let blocks = match known {
        [Some(true), _] | [_, Some(true)] => Truth::Yes,
        [Some(false), Some(false)] => Truth::No,
        _ => Truth::Unknown,
    };
    public.and(blocks)
}

fn is_public(statement: &Statement) -> Truth {
    let everybody = match &statement.principals {
        Some(Principals::Of(list)) => list.contains(&Named::Anyone),
        Some(Principals::Except(_)) => true,
        None => false,
    };
    if statement.effect == Effect::Deny || !everybody {
        return Truth::No;
    }
    if statement.conditions.iter().any(fixes) {
        return Truth::No;
    }
    // The documentation names an organisation's id, and says nothing of other keys of who asks.
    let of_principal = |condition: &Condition| condition.key.to_ascii_lowercase().starts_with("aws:principal");
    if statement.conditions.iter().any(of_principal) { Truth::Unknown } else { Truth::Yes }
}

/// Whether a condition holds for fixed values alone of one of the keys.
fn fixes(condition: &Condition) -> bool {
    let key = condition.key.to_ascii_lowercase();
    let is_fixed = |value: &String| match key.as_str() {
        "aws:sourceip" => {
            value.split_once('/').is_none_or(|(_, bits)| bits.parse::<u8>().is_ok_and(|bits| bits >= RANGE_MIN_BITS))
        }
        _ => !value.contains(['*', '?', '$']),
    };
    FIXING.contains(&key.as_str()) && condition.is_demanded() && condition.values.iter().all(is_fixed)
}

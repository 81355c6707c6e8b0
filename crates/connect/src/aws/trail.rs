//! CloudTrail's records: what principals did. Files of a trail (`Records`), answers of `aws cloudtrail lookup-events`
//! (`Events`), and records by themselves.
//!
//! Source of the forms: "CloudTrail record contents" and "CloudTrail userIdentity element" of the AWS documentation. What was
//! refused for want of a permission is no use of one, and is left out.

use std::collections::BTreeSet;

use graph::Unread;
use graph::aws::observed::{Call, Caller};

use super::{Reader, moment, text};
use crate::document::{Document, Format, Node};

/// Services whose name in records is not that of their actions.
const SERVICES: &[(&str, &str)] =
    &[("monitoring", "cloudwatch"), ("email", "ses"), ("tagging", "tag"), ("resource-explorer", "resource-explorer-2")];

/// Calls that have another name than the action that allows them.
const ACTIONS: &[(&str, &str)] = &[
    ("lambda:Invoke", "lambda:InvokeFunction"),
    ("s3:ListObjects", "s3:ListBucket"),
    ("s3:ListObjectsV2", "s3:ListBucket"),
    ("s3:ListObjectVersions", "s3:ListBucketVersions"),
    ("s3:HeadBucket", "s3:ListBucket"),
    ("s3:HeadObject", "s3:GetObject"),
    ("s3:ListBuckets", "s3:ListAllMyBuckets"),
    ("s3:DeleteObjects", "s3:DeleteObject"),
    ("s3:UploadPart", "s3:PutObject"),
    ("s3:CreateMultipartUpload", "s3:PutObject"),
    ("s3:CompleteMultipartUpload", "s3:PutObject"),
];

/// What a call answers that its principal may not make.
const REFUSED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "Client.UnauthorizedOperation",
    "NotAuthorized",
];

/// Reads records; false where there are none.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    let lists = ["Records", "Events"].iter().filter_map(|key| root.get(key)).flat_map(|list| list.items());
    let all: Vec<&Node> = lists.chain(std::iter::once(root)).filter(|one| is_record(one)).collect();
    let unread = all.iter().filter(|one| record(reader, one).is_none()).count();
    if unread > 0 {
        let reason = format!("{} without a time or a caller", graph::plural(unread, "record of CloudTrail"));
        reader.unread.push(Unread::new(&*reader.source, None, reason));
    }
    !all.is_empty()
}

fn is_record(node: &Node) -> bool {
    let service = text(node, "eventSource").unwrap_or_default();
    let is_aws = [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|domain| service.ends_with(domain));
    let whole = is_aws && text(node, "eventName").is_some();
    whole || text(node, "CloudTrailEvent").is_some()
}

/// `None` where the record cannot be read.
fn record(reader: &mut Reader<'_>, node: &Node) -> Option<()> {
    if let Some(inner) = text(node, "CloudTrailEvent") {
        let inner = Document::parse(inner, Format::Json).ok()?;
        return record(reader, inner.root());
    }
    let time = moment(text(node, "eventTime")?)?;
    let who = node.get("userIdentity")?;
    let calls = match caller(who, node) {
        Some(caller) if !is_refused(node) => calls(node, &caller)?,
        _ => Vec::new(),
    };
    reader.estate.calls.add(&time, calls);
    Some(())
}

/// Who called; nobody for the root user, whom no policy lets do anything.
fn caller(who: &Node, node: &Node) -> Option<Caller> {
    let arn = text(who, "arn");
    let issuer = || who.get("sessionContext").and_then(|context| text(context.get("sessionIssuer")?, "arn"));
    match text(who, "type")? {
        "IAMUser" => arn.map(|arn| Caller::Principal(arn.to_owned())),
        "AssumedRole" => issuer().map(str::to_owned).or_else(|| role(arn?)).map(Caller::Principal),
        "FederatedUser" => issuer().map(|issuer| Caller::Principal(issuer.to_owned())),
        "AWSAccount" => text(who, "accountId").map(|account| Caller::Account(account.to_owned())),
        "AWSService" => text(who, "invokedBy").map(|service| Caller::Service(service.to_owned())),
        "WebIdentityUser" => Some(Caller::Provider(text(who, "identityProvider").unwrap_or_default().to_owned())),
        "SAMLUser" => {
            let provider = node.get("requestParameters").and_then(|parameters| text(parameters, "principalArn"));
            Some(Caller::Provider(provider.unwrap_or_default().to_owned()))
        }
        _ => None,
    }
}

/// `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION` as the role's own.
fn role(session: &str) -> Option<String> {
    let (head, rest) = session.split_once(":assumed-role/")?;
    let name = rest.split('/').next()?;
    Some(format!("{}:role/{name}", head.replacen(":sts:", ":iam:", 1)))
}

fn is_refused(node: &Node) -> bool {
    text(node, "errorCode").is_some_and(|code| REFUSED.contains(&code))
}

/// The call, and the handing over of each role that it names: that is no record of its own.
fn calls(node: &Node, caller: &Caller) -> Option<Vec<Call>> {
    let service = text(node, "eventSource")?.split('.').next()?;
    let service = SERVICES.iter().find(|(source, _)| *source == service).map_or(service, |(_, known)| known);
    let action = format!("{service}:{}", unversioned(text(node, "eventName")?));
    let action =
        ACTIONS.iter().find(|(call, _)| *call == action).map_or(action.as_str(), |(_, known)| known).to_owned();
    let mut named = BTreeSet::new();
    if let Some(parameters) = node.get("requestParameters") {
        arns(parameters, &mut named);
    }
    let is_role = |arn: &&String| arn.contains(":iam::") && arn.contains(":role/");
    let passed = named.iter().filter(|_| !["iam", "sts"].contains(&service)).filter(is_role);
    let call =
        |action: &str, resources: Vec<String>| Call { caller: caller.clone(), action: action.to_owned(), resources };
    let mut calls: Vec<Call> = passed.map(|role| call("iam:PassRole", vec![role.clone()])).collect();
    let listed = node.get("resources").map(Node::items).unwrap_or_default();
    let mut resources: BTreeSet<String> =
        listed.iter().filter_map(|one| text(one, "ARN").or_else(|| text(one, "arn"))).map(str::to_owned).collect();
    if resources.is_empty() {
        resources = named;
        resources.extend(node.get("requestParameters").and_then(object));
    }
    calls.push(call(&action, resources.into_iter().collect()));
    Some(calls)
}

/// `CreateFunction20150331v2` without its version.
fn unversioned(name: &str) -> &str {
    let digits = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let bare = name.get(..digits(name)).unwrap_or(name);
    let bare = bare.strip_suffix('v').map_or(bare, |rest| rest.get(..digits(rest)).unwrap_or(rest));
    // A version is a date; `ListObjectsV2` and what ends in a number have none.
    if name.len() - bare.len() >= 8 { bare } else { name }
}

/// The object or bucket that S3's parameters name.
fn object(parameters: &Node) -> Option<String> {
    let bucket = text(parameters, "bucketName")?;
    let key = text(parameters, "key").map(|key| format!("/{key}")).unwrap_or_default();
    Some(format!("arn:aws:s3:::{bucket}{key}"))
}

fn arns(node: &Node, found: &mut BTreeSet<String>) {
    if let Some(arn) = node.text().filter(|text| text.starts_with("arn:")) {
        found.insert(arn.to_owned());
    }
    node.entries().iter().for_each(|entry| arns(&entry.node, found));
    node.items().iter().for_each(|item| arns(item, found));
}

#[cfg(test)]
mod tests {
    use super::unversioned;

    #[test]
    fn a_version_of_a_call_is_no_part_of_its_name() {
        for (name, bare) in [
            ("CreateFunction20150331", "CreateFunction"),
            ("UpdateFunctionCode20150331v2", "UpdateFunctionCode"),
            ("ListObjectsV2", "ListObjectsV2"),
            ("DescribeInstances", "DescribeInstances"),
            ("Invoke", "Invoke"),
        ] {
            assert_eq!(unversioned(name), bare);
        }
    }
}

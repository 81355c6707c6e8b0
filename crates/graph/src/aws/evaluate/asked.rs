//! What is known of a request by itself: who asks, what the action and the resource tell, whose the resource is.

use crate::aws::arn::Arn;
use crate::aws::condition::{Context, Value};
use crate::aws::estate::{Estate, PolicyId, Principal, PrincipalKind, StatementId};

/// What AWS itself puts into the request because of who asks.
pub(super) fn principal_context(estate: &Estate, principal: &Principal) -> Context {
    let account = principal.account();
    let user = principal.kind == PrincipalKind::User;
    let mut context = Context::default()
        .with("aws:PrincipalArn", Value::one(&principal.arn))
        .with("aws:PrincipalAccount", Value::one(account))
        .with("aws:PrincipalIsAWSService", Value::one("false"))
        .with("aws:ViaAWSService", Value::one("false"))
        .with("aws:PrincipalType", Value::one(if user { "User" } else { "AssumedRole" }))
        // The caller chooses to use TLS; every SDK does.
        .with("aws:SecureTransport", Value::one("true"))
        .with("aws:PrincipalTag/*", Value::Absent)
        .with("aws:CurrentTime", Value::one(estate.now.to_string()))
        .with("aws:EpochTime", Value::one(estate.now.to_string()))
        // A user's long-term key has no issue time, but the user may ask for a session token.
        .with(
            "aws:TokenIssueTime",
            Value::Recent { earliest: estate.now - 129_600, latest: estate.now, maybe_absent: user },
        );
    if user {
        let name = Arn::parse(&principal.arn).map(|arn| arn.name()).unwrap_or_default();
        context.set("aws:username", Value::one(name));
        if !principal.unique_id.is_empty() {
            context.set("aws:userid", Value::one(&principal.unique_id));
        }
    } else {
        context.set("aws:username", Value::Absent);
    }
    for (key, value) in &principal.tags {
        context.set(&format!("aws:PrincipalTag/{key}"), Value::one(value));
    }
    context
}

/// An action with what follows from its name alone, and the statements that speak of it.
pub(super) struct Asked {
    /// In lower case.
    pub(super) action: String,
    /// Ordered by policy.
    statements: Vec<StatementId>,
    /// Whether what it is asked on may have a policy of its own.
    pub(super) has_resource_policy: bool,
    /// Whether resource control policies limit it.
    pub(super) limited_by_rcp: bool,
    endpoint: Endpoint,
    tags: Option<Value>,
}

/// Whether resource control policies limit an action, given in lower case.
pub(crate) fn is_limited_by_rcp(action: &str) -> bool {
    LIMITED_BY_RCPS.iter().any(|service| action.starts_with(service))
}

/// Which region an action is called in.
enum Endpoint {
    /// The one that services without regions have.
    Global,
    /// The caller's choice.
    Any,
    /// That of the resource.
    OfResource,
}

impl Asked {
    /// An action in lower case with the statements that speak of it, in order.
    pub(super) fn new(action: String, statements: Vec<StatementId>) -> Self {
        let of = |services: &[&str]| services.iter().any(|service| action.starts_with(service));
        let endpoint = match () {
            () if of(WITHOUT_REGIONS) => Endpoint::Global,
            () if of(&["sts:"]) => Endpoint::Any,
            () => Endpoint::OfResource,
        };
        let (has_resource_policy, limited_by_rcp) = (of(WITH_RESOURCE_POLICIES), is_limited_by_rcp(&action));
        let tags = tags_of(&action);
        Self { action, statements, has_resource_policy, limited_by_rcp, endpoint, tags }
    }

    /// The statements of a policy that speak of it.
    pub(super) fn of(&self, policy: PolicyId) -> &[StatementId] {
        let from = self.statements.partition_point(|id| id.policy < policy);
        let rest = self.statements.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|id| id.policy == policy)).unwrap_or_default()
    }

    /// Whether it is one of a service, given with its colon.
    pub(super) fn is_of(&self, service: &str) -> bool {
        self.action.starts_with(service)
    }

    /// Whether it takes on a role.
    pub(super) fn assumes(&self) -> bool {
        self.is_of("sts:assumerole")
    }

    /// What the request itself carries, as far as the action and the resource tell.
    pub(super) fn tell(&self, context: &mut Context, resource: Option<&Arn<'_>>) {
        if let Some(region) = self.region(resource) {
            context.lay("aws:requestedregion", region);
        }
        if let Some(tags) = &self.tags {
            context.lay("aws:requesttag/*", tags.clone());
            context.lay("aws:tagkeys", tags.clone());
        }
        if self.is_of("sts:") {
            context.lay("sts:rolesessionname", Value::Chosen);
            context.lay("sts:sourceidentity", Value::Chosen);
        }
    }

    /// The region of the endpoint that is called: that of the resource, or the one that services without regions have.
    /// Only where the request names no resource, or asks for a session, the caller chooses it.
    fn region(&self, resource: Option<&Arn<'_>>) -> Option<Value> {
        match (&self.endpoint, resource) {
            (Endpoint::Global, arn) => Some(Value::one(match arn.map_or("", |arn| arn.partition) {
                "aws-us-gov" => "us-gov-west-1",
                "aws-cn" => "cn-north-1",
                _ => "us-east-1",
            })),
            (Endpoint::Any, _) | (Endpoint::OfResource, None) => Some(Value::Chosen),
            (Endpoint::OfResource, Some(arn)) if arn.region.contains(['*', '?']) => Some(Value::Chosen),
            (Endpoint::OfResource, Some(arn)) if !arn.region.is_empty() => Some(Value::one(arn.region)),
            // A bucket has a region that its name does not tell.
            (Endpoint::OfResource, Some(_)) => None,
        }
    }
}

const WITHOUT_REGIONS: &[&str] =
    &["iam:", "organizations:", "route53:", "cloudfront:", "support:", "account:", "budgets:", "ce:"];
const WITH_RESOURCE_POLICIES: &[&str] = &["s3:", "sqs:", "sns:", "secretsmanager:", "lambda:", "ecr:", "dynamodb:"];
const LIMITED_BY_RCPS: &[&str] =
    &["s3:", "sts:", "kms:", "sqs:", "secretsmanager:", "ecr:", "dynamodb:", "aoss:", "cognito-idp:", "logs:"];

/// Tags that a request passes: the caller's choice where the action takes some, and none where it only reads or
/// takes away.
fn tags_of(action: &str) -> Option<Value> {
    let name = action.split_once(':').map_or(action, |(_, name)| name);
    let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    if begins(&["create", "tag", "untag", "run", "register", "import", "allocate", "request", "assumerole"]) {
        return Some(Value::Chosen);
    }
    begins(&["get", "list", "describe", "head", "delete", "batchget", "query", "scan"]).then_some(Value::Absent)
}

/// A resource as it is asked for.
#[derive(Clone, Copy)]
pub(super) struct Resource<'r> {
    /// Its ARN, or `*`.
    pub(super) text: &'r str,
    /// Its parts, where it has them.
    pub(super) arn: Option<Arn<'r>>,
}

impl<'r> Resource<'r> {
    pub(super) fn new(text: &'r str) -> Self {
        Self { text, arn: Arn::parse(text) }
    }

    /// The account that owns it; nothing where its name has none, as in S3.
    pub(super) fn account(&self) -> Option<&'r str> {
        let account = self.arn.map(|arn| arn.account)?;
        (!account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit())).then_some(account)
    }

    /// The bucket of an object; otherwise the resource itself.
    pub(super) fn container(&self) -> &'r str {
        match self.arn {
            Some(arn) if arn.service == "s3" => self.text.split('/').next().unwrap_or(self.text),
            _ => self.text,
        }
    }
}

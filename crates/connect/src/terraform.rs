//! `terraform show -json`: the accounts that a plan would make.
//!
//! A plan does not know the ARNs of what it will make, nor the policies that hold one, so a value that is not known
//! yet is followed through the references of the configuration ([`plan`]), and a policy document that a data source
//! will make is made here ([`document`]). What cannot be followed is said, never guessed. Where the `.tf` files lie
//! beside the plan, evidence is their line ([`files`]).
//!
//! Plans hold secrets in clear: only names, ARNs and policies are taken from them.

mod document;
mod eks;
mod files;
mod home;
mod joints;
mod organization;
mod plan;
mod state;
#[cfg(test)]
mod tests;
mod unread;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

use graph::aws::estate::{Managed, PolicyId, Principal, PrincipalKind, Workload};
use serde_json::Value as Json;

use self::files::Files;
use self::plan::{Plan, Resource, Target};
use crate::aws::{Reader, text, unnamed};
use crate::document::Node;
use crate::hcl::{Expression, Part};
use crate::kubernetes;

/// Resource type, the way to the attribute with the role, workload kind.
const WORKLOADS: &[(&str, &[&str], &str)] = &[
    ("aws_lambda_function", &["role"], "lambda-function"),
    ("aws_instance", &["iam_instance_profile"], "ec2-instance"),
    ("aws_launch_template", &["iam_instance_profile", "name"], "launch-template"),
    ("aws_bedrockagent_agent", &["agent_resource_role_arn"], "bedrock-agent"),
    ("aws_bedrockagentcore_code_interpreter", &["execution_role_arn"], "code-interpreter"),
    ("aws_bedrockagentcore_agent_runtime", &["role_arn"], "agent-runtime"),
    ("aws_sagemaker_notebook_instance", &["role_arn"], "sagemaker-notebook"),
    ("aws_codebuild_project", &["service_role"], "codebuild-project"),
    ("aws_glue_job", &["role_arn"], "glue-job"),
    ("aws_glue_dev_endpoint", &["role_arn"], "glue-dev-endpoint"),
    ("aws_sfn_state_machine", &["role_arn"], "state-machine"),
    ("aws_cloudformation_stack", &["iam_role_arn"], "cloudformation-stack"),
    ("aws_ecs_task_definition", &["task_role_arn"], "ecs-task-definition"),
    ("aws_ecs_cluster", &[], "ecs-cluster"),
    ("aws_apprunner_service", &["instance_configuration", "instance_role_arn"], "apprunner-service"),
    ("aws_cloudformation_stack_set", &["administration_role_arn"], "cloudformation-stackset"),
    ("aws_bedrockagentcore_browser", &["execution_role_arn"], "agentcore-browser"),
    ("aws_dynamodb_table", &[], "event-source"),
    ("aws_kinesis_stream", &[], "event-source"),
    ("aws_sqs_queue", &[], "event-source"),
];

/// Resource type and the attribute that says whose policy it holds; without one, its own.
const RESOURCE_POLICIES: &[(&str, &str)] = &[
    ("aws_s3_bucket_policy", "bucket"),
    ("aws_sqs_queue_policy", "queue_url"),
    ("aws_sns_topic_policy", "arn"),
    ("aws_secretsmanager_secret_policy", "secret_arn"),
    ("aws_kms_key_policy", "key_id"),
    ("aws_kms_key", ""),
    ("aws_sqs_queue", ""),
    ("aws_secretsmanager_secret", ""),
];

/// Reads a plan; false when the document is none.
pub(crate) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    let Some(mut plan) = Plan::of(root, reader.moment, || reader.only_home()) else { return false };
    if let Some(folder) = &reader.folder {
        plan.files = Files::beside(folder, root.get("configuration").and_then(|one| one.get("root_module")));
    }
    for kind in [PrincipalKind::User, PrincipalKind::Group, PrincipalKind::Role] {
        for resource in plan.made().filter(|resource| Some(kind) == principal_kind(&resource.kind)) {
            principal(reader, &plan, resource, kind);
        }
    }
    for read in [policy, attach, resource_policy, public_access, workload, joints::read, eks::read, organization::read]
    {
        for resource in plan.made() {
            read(reader, &plan, resource);
        }
    }
    others(reader, &plan, root);
    if let Some(reason) = plan.budget.said() {
        reader.miss(root, reason);
    }
    true
}

/// Whether a document is a plan or a state.
pub(crate) fn is_plan(root: &Node) -> bool {
    root.get("terraform_version").is_some() || root.get("planned_values").is_some()
}

/// Providers whose resources give nobody anything.
const WITHOUT_RIGHTS: &[&str] =
    &["archive", "external", "http", "local", "null", "random", "template", "terraform", "time", "tls"];
/// How many types a line names.
const TYPES_SHOWN: usize = 3;

/// Manifests that a plan holds, and what it makes that is not judged: by provider, and policies that let others in.
fn others(reader: &mut Reader<'_>, plan: &Plan, root: &Node) {
    let mut unjudged: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for resource in plan.made() {
        let provider = resource.kind.split('_').next().unwrap_or_default();
        if let Some(manifest) = resource.values.get("manifest").filter(|_| provider == "kubernetes") {
            kubernetes::read(reader, manifest);
        } else if provider != "aws" && !WITHOUT_RIGHTS.contains(&provider) {
            *unjudged.entry(provider).or_default().entry(&resource.kind).or_default() += 1;
        } else if lets_others_in(resource) {
            reader.miss(&resource.node, format!("whom `{}` lets in is not read from a plan", resource.address()));
        }
    }
    for (provider, types) in unjudged {
        let (count, more) = (types.values().sum::<usize>(), types.len().saturating_sub(TYPES_SHOWN));
        let shown: Vec<&str> = types.keys().copied().take(TYPES_SHOWN).collect();
        let more = if more == 0 { String::new() } else { format!(" and {more} more types") };
        let what = format!("{} of `{provider}` ({}{more})", graph::plural(count, "resource"), shown.join(", "));
        reader.unjudged(root, format!("{what}: of a plan only what it makes in AWS is, and manifests of a cluster"));
    }
}

/// Whether a resource holds a policy of another that is not read, and that may let in somebody beside a service.
fn lets_others_in(resource: &Resource) -> bool {
    let kind = resource.kind.as_str();
    let invoked = || {
        let principal = text(&resource.values, "principal").unwrap_or_default();
        kind == "aws_lambda_permission" && !principal.ends_with(".amazonaws.com")
    };
    ACCESS_POLICIES.contains(&kind) || invoked()
}

/// Types that hold who may use a resource, and that are not read.
const ACCESS_POLICIES: &[&str] = &[
    "aws_ecr_repository_policy",
    "aws_cloudwatch_event_bus_policy",
    "aws_backup_vault_policy",
    "aws_dynamodb_resource_policy",
    "aws_efs_file_system_policy",
    "aws_elasticsearch_domain_policy",
    "aws_opensearch_domain_policy",
];

fn principal_kind(kind: &str) -> Option<PrincipalKind> {
    match kind {
        "aws_iam_user" => Some(PrincipalKind::User),
        "aws_iam_group" => Some(PrincipalKind::Group),
        "aws_iam_role" => Some(PrincipalKind::Role),
        _ => None,
    }
}

/// The policy of an attribute: as it stands there, or as the data source that it refers to will make it.
fn document(
    reader: &mut Reader<'_>,
    plan: &Plan,
    (resource, attribute): (&Resource, &str),
    (name, arn): (&str, Option<String>),
) -> Option<PolicyId> {
    if let Some(known) = resource.values.get(attribute).filter(|known| known.text().is_some()) {
        let id = reader.policy(known, name, arn)?;
        place(reader, plan, (resource, attribute), id);
        return Some(id);
    }
    if let Some((json, lines)) = document::built(plan, resource, attribute) {
        said_unnamed(reader, resource, (name, &json));
        let id = reader.parsed((&json, &lines), &resource.node, name, arn)?;
        place(reader, plan, (resource, attribute), id);
        return Some(id);
    }
    let source = document::source(plan, resource, &[attribute]);
    let Some(made) = source.and_then(|data| document::made(plan, data)) else {
        let refers: Vec<String> = plan.targets(resource, &[attribute]).iter().map(said).collect();
        let refers = if refers.is_empty() { String::new() } else { format!(": it refers to {}", refers.join(", ")) };
        let what =
            format!("{name} ({} of {}) is not known before the plan is applied{refers}", attribute, resource.address());
        reader.pending(&resource.node, what);
        return None;
    };
    said_unnamed(reader, resource, (name, &made.json));
    let lines: Vec<u32> = made.nodes.iter().map(|node| reader.line(node)).collect();
    let id = reader.parsed((&made.json, &lines), &resource.node, name, arn)?;
    place(reader, plan, (resource, attribute), id);
    Some(id)
}

/// Says which principals and actions of a document name nothing.
fn said_unnamed(reader: &mut Reader<'_>, resource: &Resource, (name, json): (&str, &Json)) {
    for (key, reference) in unnamed(json) {
        let what = format!("{name}: what {reference} is as {key} is not known before the plan is applied");
        reader.pending(&resource.node, what);
    }
}

/// Points a policy at the `.tf` file that it is written in: at its statements, or at the resource that has it.
fn place(reader: &mut Reader<'_>, plan: &Plan, (resource, attribute): (&Resource, &str), id: PolicyId) {
    let own = plan.files.get(&resource.plain());
    let policy = usize::try_from(id.0).ok().and_then(|at| reader.estate.policies.get_mut(at));
    let (Some(own), Some(policy)) = (own, policy) else { return };
    let count = policy.document.statements.len();
    let written = plan.expression(resource, &[attribute]).map(|one| plan.follow(resource, one)).unwrap_or_default();
    let data = match written.as_slice() {
        [Target::Of(data, _)] if data.is_data => plan.files.get(&data.plain()),
        _ => None,
    };
    let block = data.filter(|block| block.statements.len() == count);
    policy.source = block.unwrap_or(own).source.clone();
    let built = document::statement_lines(plan, resource, attribute);
    let built = if built.len() == count { built.as_slice() } else { &[] };
    let lines = block.map_or(built, |block| block.statements.as_slice());
    for (at, statement) in policy.document.statements.iter_mut().enumerate() {
        statement.line = Some(lines.get(at).copied().unwrap_or(own.line));
    }
}

/// Where a resource is written: in a `.tf` file, or else in the plan.
fn written(reader: &Reader<'_>, plan: &Plan, resource: &Resource) -> (Arc<str>, u32) {
    match plan.files.get(&resource.plain()) {
        Some(block) => (block.source.clone(), block.line),
        None => (reader.source.clone(), reader.line(&resource.node)),
    }
}

fn said(target: &Target<'_>) -> String {
    match target {
        Target::Open(reference) => reference.clone(),
        Target::Of(resource, attribute) => format!("{}.{attribute}", resource.address()),
        Target::Text(text) => text.clone(),
    }
}

fn principal(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource, kind: PrincipalKind) {
    let (source, line) = written(reader, plan, resource);
    let mut principal = Principal::new(kind, plan.arn(resource), source);
    principal.line = Some(line);
    // A boundary that nobody can name is one all the same.
    let boundary = plan.targets(resource, &["permissions_boundary"]);
    let named = boundary.iter().find_map(|target| plan.text(target));
    principal.boundary_arn = named.or_else(|| boundary.first().map(said));
    principal.attached = plan.texts(resource, &["managed_policy_arns"]);
    for entry in resource.values.get("tags").map(Node::entries).unwrap_or_default() {
        principal.tags.extend(entry.node.text().map(|value| (entry.key.clone(), value.to_owned())));
    }
    for inline in resource.values.get("inline_policy").map(Node::items).unwrap_or_default() {
        let name = text(inline, "name").unwrap_or("(inline)");
        match inline.get("policy").filter(|policy| policy.text().is_some()) {
            Some(document) => principal.inline.extend(reader.policy(document, name, None)),
            // A block without a name is how a plan says that there is none.
            None if text(inline, "name").is_none() => {}
            None => match written_inline(reader, plan, (resource, inline), name) {
                Some(id) => principal.inline.push(id),
                None => {
                    let unread_name = format!("{name} of {}", resource.address());
                    if let Some(expression) = inline_expression(plan, resource, name) {
                        unread::block(reader, plan, (resource, expression), &unread_name);
                    }
                    principal.attached.push(unread_name);
                    let what = format!(
                        "{name} (inline policy of {}) is not known before the plan is applied",
                        resource.address()
                    );
                    reader.pending(inline, what);
                }
            },
        }
    }
    if kind == PrincipalKind::Role {
        let name = format!("trust policy of {}", resource.address());
        principal.trust = document(reader, plan, (resource, "assume_role_policy"), (&name, None));
        if principal.trust.is_none() {
            unread::trust(reader, plan, resource);
        }
    }
    reader.estate.principals.push(principal);
}

/// The policy of an `inline_policy` block that a plan does not know: as the `.tf` file builds it, or as the data source
/// that the configuration refers to will make it. Blocks are a set: their names tell which is which.
fn written_inline(
    reader: &mut Reader<'_>,
    plan: &Plan,
    (resource, inline): (&Resource, &Node),
    name: &str,
) -> Option<PolicyId> {
    let block = plan.files.get(&resource.plain());
    let blocks = block.map(|block| block.inline.as_slice()).unwrap_or_default();
    let of = |wanted: &str, block: &[(String, Expression)]| {
        block.iter().find(|(own, _)| own == wanted).map(|(_, expression)| expression.clone())
    };
    let named = |block: &&Vec<(String, Expression)>| {
        blocks.len() == 1
            || matches!(of("name", block), Some(Expression::Text(parts)) if parts == [Part::Plain(name.to_owned())])
    };
    let built = blocks.iter().find(named).and_then(|block| of("policy", block));
    if let Some((json, lines)) = built.and_then(|built| document::encoded(plan, resource, &built)) {
        said_unnamed(reader, resource, (name, &json));
        let id = reader.parsed((&json, &lines), inline, name, None)?;
        let policy = usize::try_from(id.0).ok().and_then(|at| reader.estate.policies.get_mut(at));
        if let (Some(policy), Some(block)) = (policy, block) {
            policy.source = block.source.clone();
        }
        return Some(id);
    }
    let refers = inline_expression(plan, resource, name)?;
    let made = document::made(plan, document::among(&plan.follow(resource, refers))?)?;
    let lines: Vec<u32> = made.nodes.iter().map(|node| reader.line(node)).collect();
    reader.parsed((&made.json, &lines), inline, name, None)
}

/// What the configuration gives the policy of an `inline_policy` block.
fn inline_expression<'p>(plan: &'p Plan, resource: &Resource, name: &str) -> Option<&'p Node> {
    let expressions = plan.expression(resource, &["inline_policy"]).map(Node::items).unwrap_or_default();
    let is = |one: &&Node| {
        expressions.len() == 1 || one.get("name").and_then(|name| text(name, "constant_value")) == Some(name)
    };
    expressions.iter().find(is).and_then(|one| one.get("policy"))
}

fn policy(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let owner = match resource.kind.as_str() {
        "aws_iam_policy" => None,
        "aws_iam_role_policy" => Some("role"),
        "aws_iam_user_policy" => Some("user"),
        "aws_iam_group_policy" => Some("group"),
        _ => return,
    };
    let name = resource.label();
    let arn = owner.is_none().then(|| plan.arn(resource));
    let id = document(reader, plan, (resource, "policy"), (name, arn.clone()));
    if id.is_none() {
        let known_as = arn.clone().unwrap_or_else(|| resource.address());
        unread::policy(reader, plan, (resource, "policy"), &known_as);
    }
    match (owner, arn, id) {
        (None, Some(arn), Some(id)) => {
            reader.estate.managed.insert(arn, Managed { default: id, others: Vec::new() });
        }
        (Some(owner), _, id) => {
            let unread = resource.address();
            owned(reader, plan, (resource, owner, owner), |principal| match id {
                Some(id) => principal.inline.push(id),
                // What an attached document says that is not in the files is a gap of every answer.
                None => principal.attached.push(unread.clone()),
            });
        }
        (None, ..) => {}
    }
}

/// Changes the principals that an attribute names; says so where it names none.
fn owned(
    reader: &mut Reader<'_>,
    plan: &Plan,
    (resource, attribute, word): (&Resource, &str, &str),
    change_one: impl Fn(&mut Principal),
) {
    for target in plan.targets(resource, &[attribute]) {
        match plan.text(&target) {
            Some(name) => change(reader, resource, (word, &name), &change_one),
            None => {
                let what = format!(
                    "{} belongs to a {word} that is not known before the plan is applied: {}",
                    resource.address(),
                    said(&target)
                );
                reader.pending(&resource.node, what);
            }
        }
    }
}

fn attach(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let names = |texts: Vec<String>| -> Vec<String> {
        texts.iter().filter_map(|text| text.rsplit('/').next()).map(str::to_owned).collect()
    };
    let owners: &[(&str, &str)] = match resource.kind.as_str() {
        "aws_iam_role_policy_attachment" => &[("role", "role")],
        "aws_iam_user_policy_attachment" => &[("user", "user")],
        "aws_iam_group_policy_attachment" => &[("group", "group")],
        "aws_iam_policy_attachment" => &[("roles", "role"), ("users", "user"), ("groups", "group")],
        "aws_iam_user_group_membership" => {
            let groups = names(plan.texts(resource, &["groups"]));
            owned(reader, plan, (resource, "user", "user"), |one| one.groups.extend(groups.iter().cloned()));
            return;
        }
        "aws_iam_group_membership" => {
            let groups = names(plan.texts(resource, &["group"]));
            owned(reader, plan, (resource, "users", "user"), |one| one.groups.extend(groups.iter().cloned()));
            return;
        }
        "aws_iam_instance_profile" => {
            let name = resource.label().to_owned();
            owned(reader, plan, (resource, "role", "role"), |one| one.instance_profiles.push(name.clone()));
            return;
        }
        _ => return,
    };
    let policies = plan.texts(resource, &["policy_arn"]);
    if policies.is_empty() {
        let what = format!("what {} attaches is not known before the plan is applied", resource.address());
        reader.pending(&resource.node, what);
    }
    for (attribute, word) in owners {
        owned(reader, plan, (resource, attribute, word), |one| one.attached.extend(policies.iter().cloned()));
    }
}

/// Changes the principal of a kind that a name or an ARN points to.
fn change(reader: &mut Reader<'_>, resource: &Resource, (word, target): (&str, &str), change: impl Fn(&mut Principal)) {
    let name = target.rsplit('/').next().unwrap_or(target);
    let own = |principal: &Principal| {
        principal.arn == target
            || principal.arn.rsplit('/').next() == Some(name) && principal.arn.contains(&format!(":{word}/"))
    };
    match reader.estate.principals.iter_mut().find(|principal| own(principal)) {
        Some(principal) => change(principal),
        None => reader.miss(
            &resource.node,
            format!("{} belongs to {word} `{name}`, which the plan does not make", resource.address()),
        ),
    }
}

fn resource_policy(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let Some((_, attribute)) = RESOURCE_POLICIES.iter().find(|(kind, _)| *kind == resource.kind) else { return };
    let own = attribute.is_empty();
    // A queue or key without a policy of its own leaves it out, and the provider fills in what it knows later.
    if own
        && resource.values.get("policy").is_none_or(|policy| policy.text().is_none())
        && plan.expression(resource, &["policy"]).is_none()
    {
        return;
    }
    let whose = if own { vec![plan.arn(resource)] } else { owners(plan, resource, attribute) };
    let name = format!("policy of {}", resource.address());
    let Some(id) = document(reader, plan, (resource, "policy"), (&name, None)) else { return };
    for arn in whose {
        reader.estate.resource_policies.insert(arn, id);
    }
}

/// What an attribute says that a resource is of, as ARNs; a bucket is named without one.
fn owners(plan: &Plan, resource: &Resource, attribute: &str) -> Vec<String> {
    let arn = |target: &Target<'_>| match target {
        Target::Of(of, _) if !of.is_data => Some(plan.arn(of)),
        other => plan
            .text(other)
            .map(|text| if text.starts_with("arn:") { text } else { format!("arn:{}:s3:::{text}", plan.partition) }),
    };
    plan.targets(resource, &[attribute]).iter().filter_map(arn).collect()
}

/// Whether public buckets are restricted, of a bucket or of the account.
fn public_access(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let whose = match resource.kind.as_str() {
        "aws_s3_bucket_public_access_block" => owners(plan, resource, "bucket"),
        "aws_s3_account_public_access_block" => {
            let account = text(&resource.values, "account_id").unwrap_or(&plan.account);
            vec![account.to_owned()]
        }
        _ => return,
    };
    let restricts = resource.values.get("restrict_public_buckets").and_then(Node::bool) == Some(true);
    reader.estate.public_access.extend(whose.into_iter().map(|one| (one, restricts)));
}

fn workload(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    if resource.kind == "aws_ecs_service" {
        return service(reader, plan, resource);
    }
    let streams = resource.values.get("stream_enabled").and_then(Node::bool) == Some(true);
    if resource.kind == "aws_dynamodb_table" && !streams {
        return;
    }
    let Some((_, path, kind)) = WORKLOADS.iter().find(|(kind, ..)| *kind == resource.kind) else { return };
    let mut role = plan.texts(resource, path).into_iter().next();
    if matches!(*kind, "ec2-instance" | "launch-template") {
        role = role.or_else(|| plan.texts(resource, &["iam_instance_profile", "arn"]).into_iter().next());
        let profile = role.as_deref().and_then(|profile| profile.rsplit('/').next()).map(str::to_owned);
        let holds = |one: &&Principal| profile.as_ref().is_some_and(|profile| one.instance_profiles.contains(profile));
        role = reader.estate.principals.iter().find(holds).map(|one| one.arn.clone());
    }
    let (source, line) = written(reader, plan, resource);
    let (kind, arn) = ((*kind).to_owned(), plan.arn(resource));
    reader.estate.workloads.push(Workload { kind, arn, role, source, line: Some(line) });
}

/// The task that a service keeps running, where commands may be run in it.
fn service(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    if resource.values.get("enable_execute_command").and_then(Node::bool) != Some(true) {
        return;
    }
    let definitions = plan.targets(resource, &["task_definition"]);
    let role = definitions.iter().find_map(|target| {
        let definition = match target {
            Target::Of(definition, _) => Some(*definition),
            Target::Text(arn) => plan.made().find(|one| text(&one.values, "arn") == Some(arn)),
            Target::Open(_) => None,
        };
        plan.texts(definition?, &["task_role_arn"]).into_iter().next()
    });
    let cluster = plan.targets(resource, &["cluster"]).iter().find_map(|target| match target {
        Target::Of(cluster, _) => Some(cluster.label().to_owned()),
        Target::Text(text) => text.rsplit('/').next().map(str::to_owned),
        Target::Open(_) => None,
    });
    let Plan { partition, region, account, .. } = plan;
    let cluster = cluster.unwrap_or_else(|| "default".to_owned());
    let arn = format!("arn:{partition}:ecs:{region}:{account}:task/{cluster}/{}", resource.label());
    let (source, line) = written(reader, plan, resource);
    reader.estate.workloads.push(Workload { kind: "ecs-task".to_owned(), arn, role, source, line: Some(line) });
}

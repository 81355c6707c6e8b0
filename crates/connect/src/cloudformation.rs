//! CloudFormation templates, in JSON and YAML: the account that a stack would make.
//!
//! Values are followed as far as the template tells ([`value`]). A document of which something could not be followed is
//! said, and is a gap of every answer about the principal that has it.
//!
//! Never evaluates a macro or a transform. A resource is made where its condition holds, and where the template does not
//! decide that, which is said.

#[cfg(test)]
mod tests;
mod value;

use graph::aws::estate::{Managed, Policy, PolicyId, Principal, PrincipalKind, Workload};
use graph::aws::policy::Document;
use graph::kubernetes::estate::{Mapping, PodIdentity};

use self::value::Template;
use crate::aws::{Reader, joint, text, unnamed};
use crate::document::{Node, Value};
use crate::kubernetes::eks::{Access, grant};

/// Resource type, the property with the role, the property with the name, workload kind, the form of the ARN.
const WORKLOADS: &[(&str, &str, &str, &str, &str)] = &[
    ("AWS::Lambda::Function", "Role", "FunctionName", "lambda-function", "lambda:us-east-1:{account}:function:"),
    ("AWS::Serverless::Function", "Role", "FunctionName", "lambda-function", "lambda:us-east-1:{account}:function:"),
    ("AWS::EC2::Instance", "IamInstanceProfile", "", "ec2-instance", "ec2:us-east-1:{account}:instance/"),
    ("AWS::Bedrock::Agent", "AgentResourceRoleArn", "AgentName", "bedrock-agent", "bedrock:us-east-1:{account}:agent/"),
    (
        "AWS::BedrockAgentCore::Runtime",
        "RoleArn",
        "AgentRuntimeName",
        "agent-runtime",
        "bedrock-agentcore:us-east-1:{account}:runtime/",
    ),
    (
        "AWS::BedrockAgentCore::CodeInterpreterCustom",
        "ExecutionRoleArn",
        "Name",
        "code-interpreter",
        "bedrock-agentcore:us-east-1:{account}:code-interpreter-custom/",
    ),
    (
        "AWS::SageMaker::NotebookInstance",
        "RoleArn",
        "NotebookInstanceName",
        "sagemaker-notebook",
        "sagemaker:us-east-1:{account}:notebook-instance/",
    ),
    ("AWS::CodeBuild::Project", "ServiceRole", "Name", "codebuild-project", "codebuild:us-east-1:{account}:project/"),
    ("AWS::Glue::Job", "Role", "Name", "glue-job", "glue:us-east-1:{account}:job/"),
    ("AWS::Glue::DevEndpoint", "RoleArn", "EndpointName", "glue-dev-endpoint", "glue:us-east-1:{account}:devEndpoint/"),
    (
        "AWS::StepFunctions::StateMachine",
        "RoleArn",
        "StateMachineName",
        "state-machine",
        "states:us-east-1:{account}:stateMachine:",
    ),
    (
        "AWS::ECS::TaskDefinition",
        "TaskRoleArn",
        "Family",
        "ecs-task-definition",
        "ecs:us-east-1:{account}:task-definition/",
    ),
    ("AWS::ECS::Cluster", "", "ClusterName", "ecs-cluster", "ecs:us-east-1:{account}:cluster/"),
];

/// Reads a template; false when the document is none.
pub(crate) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    let Some(resources) = root.get("Resources").filter(|node| node.is_map()) else { return false };
    let typed = |node: &Node| text(node, "Type").is_some_and(|kind| kind.contains("::"));
    if root.get("AWSTemplateFormatVersion").is_none() && !resources.entries().iter().any(|one| typed(&one.node)) {
        return false;
    }
    let template = Template::new(root, resources, || reader.only_home()).apart(&reader.source, reader.made_up);
    let mut made = Vec::new();
    for entry in resources.entries() {
        if template.is_made(&entry.key, &entry.node) {
            made.push(entry);
        }
        template.report(reader, &entry.node);
    }
    let each = |reader: &mut Reader<'_>, read: fn(&mut Reader<'_>, &Template<'_>, &Item<'_>)| {
        for entry in &made {
            let empty = Node { span: entry.node.span.clone(), value: Value::Null };
            let properties = entry.node.get("Properties").unwrap_or(&empty);
            let item = Item {
                id: &entry.key,
                kind: text(&entry.node, "Type").unwrap_or_default(),
                properties,
                node: &entry.node,
            };
            read(reader, &template, &item);
        }
    };
    each(reader, principal);
    each(reader, policy);
    each(reader, membership);
    each(reader, workload);
    each(reader, joints);
    each(reader, eks);
    template.report(reader, root);
    true
}

/// One resource of a template.
struct Item<'t> {
    id: &'t str,
    kind: &'t str,
    properties: &'t Node,
    node: &'t Node,
}

fn principal_kind(kind: &str) -> Option<(PrincipalKind, &'static str, &'static str)> {
    match kind {
        "AWS::IAM::User" => Some((PrincipalKind::User, "UserName", "user")),
        "AWS::IAM::Group" => Some((PrincipalKind::Group, "GroupName", "group")),
        "AWS::IAM::Role" => Some((PrincipalKind::Role, "RoleName", "role")),
        _ => None,
    }
}

/// What came of a policy document.
struct Read {
    id: Option<PolicyId>,
    /// What a principal has attached that is not in the files, if the document was not read whole.
    gap: Option<String>,
}

/// Adds the policy that a node holds, with the line of each statement.
fn document(
    reader: &mut Reader<'_>,
    template: &Template<'_>,
    node: &Node,
    (name, arn): (&str, Option<String>),
) -> Read {
    let node = template.chosen(node);
    let lines: Option<Vec<u32>> = node.entry("Statement").map(|entry| match &template.chosen(&entry.node).value {
        Value::List(items) => {
            items.iter().filter(|item| !template.is_absent(item)).map(|item| reader.line(item)).collect()
        }
        // Of a statement that stands in no list the key's line: in a block its own first line is that of one of its parts.
        _ => vec![reader.line_at(entry.key_span.start)],
    });
    let lines = lines.unwrap_or_default();
    let json = template.value(node);
    let gap = format!("what `{name}` says beside what could be read");
    let whole = !template.report(reader, node) && unnamed(&json).is_empty();
    match Document::parse(&json, &lines) {
        Ok(document) => {
            let source = reader.source.clone();
            let policy = Policy { name: name.to_owned(), arn, source, document };
            Read { id: Some(reader.estate.add_policy(policy)), gap: (!whole).then_some(gap) }
        }
        Err(error) => {
            reader.miss(node, format!("policy `{name}`: {error}"));
            Read { id: None, gap: Some(gap) }
        }
    }
}

fn principal(reader: &mut Reader<'_>, template: &Template<'_>, item: &Item<'_>) {
    let generated = item.kind == "AWS::Serverless::Function" && item.properties.get("Role").is_none();
    if generated {
        let role = generated_role(reader, template, item);
        reader.estate.principals.push(role);
        return;
    }
    let Some((kind, _, _)) = principal_kind(item.kind) else { return };
    let mut principal = Principal::new(kind, template.arn(item.id), reader.source.clone());
    principal.line = Some(reader.line(item.node));
    principal.attached = template.texts(item.properties.get("ManagedPolicyArns"));
    principal.boundary_arn = template.text(item.properties.get("PermissionsBoundary"));
    principal.groups = template.texts(item.properties.get("Groups"));
    for inline in item.properties.get("Policies").map(|all| template.chosen(all).items()).unwrap_or_default() {
        let inline = template.chosen(inline);
        let name = template.text(inline.get("PolicyName")).unwrap_or_else(|| "(inline)".to_owned());
        if let Some(written) = inline.get("PolicyDocument") {
            let read = document(reader, template, written, (&name, None));
            principal.inline.extend(read.id);
            principal.attached.extend(read.gap);
        } else if !template.is_absent(inline) {
            principal.attached.push(format!("an inline policy of `{}`", item.id));
            reader.miss(inline, format!("an inline policy of `{}` has no document that can be read", item.id));
        }
    }
    if let Some(trust) = item.properties.get("AssumeRolePolicyDocument") {
        principal.trust = document(reader, template, trust, (&format!("trust policy of {}", item.id), None)).id;
    }
    reader.estate.principals.push(principal);
}

/// The role that the serverless transform makes for a function: what its `Policies` name or hold. The transform's own
/// templates of policies are said and not read.
fn generated_role(reader: &mut Reader<'_>, template: &Template<'_>, item: &Item<'_>) -> Principal {
    let arn = template.generated_role(item.id);
    let mut role = Principal::new(PrincipalKind::Role, arn, reader.source.clone());
    role.line = Some(reader.line(item.node));
    role.boundary_arn = template.text(item.properties.get("PermissionsBoundary"));
    role.attached.push("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole".to_owned());
    let all = item.properties.get("Policies").map(|all| template.chosen(all));
    let several = all.map(Node::items).filter(|items| !items.is_empty());
    for (at, one) in
        several.map_or_else(|| all.into_iter().collect(), |all| all.iter().collect::<Vec<_>>()).iter().enumerate()
    {
        let one = template.chosen(one);
        if one.get("Statement").is_some() {
            let read = document(reader, template, one, (&format!("policy {} of {}", at + 1, item.id), None));
            role.inline.extend(read.id);
            role.attached.extend(read.gap);
            continue;
        }
        match template.text(Some(one)) {
            Some(arn) if arn.starts_with("arn:") => role.attached.push(arn),
            Some(name) if !name.contains("${") => role.attached.push(format!("arn:aws:iam::aws:policy/{name}")),
            _ if template.is_absent(one) => {}
            _ => {
                let what =
                    format!("policy {} of `{}`, which the serverless transform makes, is not read", at + 1, item.id);
                role.attached.push(what.clone());
                reader.pending(one, what);
            }
        }
    }
    role
}

/// Types that hold a policy of a resource: the property with the document, and the one with what it is of; without
/// the latter, the resource itself.
const RESOURCE_POLICIES: &[(&str, &str, &str)] = &[
    ("AWS::S3::BucketPolicy", "PolicyDocument", "Bucket"),
    ("AWS::SQS::QueuePolicy", "PolicyDocument", "Queues"),
    ("AWS::SNS::TopicPolicy", "PolicyDocument", "Topics"),
    ("AWS::SecretsManager::ResourcePolicy", "ResourcePolicy", "SecretId"),
    ("AWS::KMS::Key", "KeyPolicy", ""),
];

/// Types with one inline policy of one principal.
const INLINE_POLICIES: &[(&str, &str, &str)] = &[
    ("AWS::IAM::RolePolicy", "RoleName", "role"),
    ("AWS::IAM::UserPolicy", "UserName", "user"),
    ("AWS::IAM::GroupPolicy", "GroupName", "group"),
];

/// Properties with a policy that lets others in.
const POLICY_KEYS: &[&str] = &["PolicyDocument", "ResourcePolicy", "KeyPolicy", "RepositoryPolicyText"];

fn policy(reader: &mut Reader<'_>, template: &Template<'_>, item: &Item<'_>) {
    if let Some((_, key, of)) = RESOURCE_POLICIES.iter().find(|one| one.0 == item.kind) {
        return resource_policy(reader, template, item, (key, of));
    }
    if let Some((_, key, word)) = INLINE_POLICIES.iter().find(|one| one.0 == item.kind) {
        let owners = template.texts(item.properties.get(key)).into_iter().map(|owner| (*word, owner)).collect();
        return inline_policy(reader, template, item, owners);
    }
    let owners = || {
        let keys = [("Users", "user"), ("Groups", "group"), ("Roles", "role")];
        let named = |(key, word): (&str, &'static str)| {
            template.texts(item.properties.get(key)).into_iter().map(move |owner| (word, owner)).collect::<Vec<_>>()
        };
        keys.into_iter().flat_map(named).collect::<Vec<_>>()
    };
    match (item.kind, item.properties.get("PolicyDocument")) {
        ("AWS::IAM::Policy", _) => inline_policy(reader, template, item, owners()),
        ("AWS::IAM::ManagedPolicy", Some(written)) => {
            let (name, arn) = (template.name(item.id), template.arn(item.id));
            let read = document(reader, template, written, (&name, Some(arn.clone())));
            if let Some(default) = read.id {
                reader.estate.managed.insert(arn.clone(), Managed { default, others: Vec::new() });
            }
            for owner in owners() {
                change(reader, item, &owner, |principal| {
                    principal.attached.push(arn.clone());
                    principal.attached.extend(read.gap.clone());
                });
            }
        }
        ("AWS::Lambda::Permission", _) => {
            // A service calls what it is told to by whoever configured it.
            let is_service = |whom: String| whom.ends_with(".amazonaws.com");
            if !template.text(item.properties.get("Principal")).is_some_and(is_service) {
                unread_policy(reader, item);
            }
        }
        (kind, _)
            if !kind.starts_with("AWS::IAM::") && POLICY_KEYS.iter().any(|key| item.properties.get(key).is_some()) =>
        {
            unread_policy(reader, item);
        }
        _ => {}
    }
}

fn unread_policy(reader: &mut Reader<'_>, item: &Item<'_>) {
    let what = format!("whom `{}` ({}) lets in is not read from a template", item.id, item.kind);
    reader.miss(item.node, what);
}

/// An inline policy that stands apart from those who have it.
fn inline_policy(
    reader: &mut Reader<'_>,
    template: &Template<'_>,
    item: &Item<'_>,
    owners: Vec<(&'static str, String)>,
) {
    let Some(written) = item.properties.get("PolicyDocument") else { return };
    let name = template.text(item.properties.get("PolicyName")).unwrap_or_else(|| template.name(item.id));
    let read = document(reader, template, written, (&name, None));
    for owner in owners {
        change(reader, item, &owner, |principal| {
            principal.inline.extend(read.id);
            principal.attached.extend(read.gap.clone());
        });
    }
}

fn resource_policy(reader: &mut Reader<'_>, template: &Template<'_>, item: &Item<'_>, (key, of): (&str, &str)) {
    let Some(written) = item.properties.get(key) else { return };
    let name = match item.kind {
        "AWS::S3::BucketPolicy" => {
            format!("policy of bucket {}", template.texts(item.properties.get(of)).join(", "))
        }
        _ => format!("policy {}", item.id),
    };
    let Some(id) = document(reader, template, written, (&name, None)).id else { return };
    let owners = if of.is_empty() { vec![template.arn(item.id)] } else { template.texts(item.properties.get(of)) };
    for owner in owners {
        reader.estate.resource_policies.insert(template.owner(item.kind, &owner), id);
    }
}

fn membership(reader: &mut Reader<'_>, template: &Template<'_>, item: &Item<'_>) {
    match item.kind {
        "AWS::S3::Bucket" => {
            let Some(block) = item.properties.get("PublicAccessBlockConfiguration") else { return };
            let restricts = template.text(block.get("RestrictPublicBuckets")).as_deref() == Some("true");
            reader.estate.public_access.insert(template.arn(item.id), restricts);
        }
        "AWS::IAM::InstanceProfile" => {
            let name = template.name(item.id);
            for role in template.texts(item.properties.get("Roles")) {
                change(reader, item, &("role", role), |principal| principal.instance_profiles.push(name.clone()));
            }
        }
        "AWS::IAM::UserToGroupAddition" => {
            let Some(group) = template.text(item.properties.get("GroupName")) else { return };
            for user in template.texts(item.properties.get("Users")) {
                change(reader, item, &("user", user), |principal| principal.groups.push(group.clone()));
            }
        }
        _ => {}
    }
}

/// Changes the principal of a kind that has a name.
fn change(reader: &mut Reader<'_>, item: &Item<'_>, (word, name): &(&str, String), change: impl Fn(&mut Principal)) {
    let kind = format!(":{word}/");
    let own = |one: &&mut Principal| one.arn.contains(&kind) && one.arn.rsplit('/').next() == Some(name);
    match reader.estate.principals.iter_mut().find(own) {
        Some(principal) => change(principal),
        None => reader
            .miss(item.node, format!("`{}` belongs to {word} `{name}`, which the template does not make", item.id)),
    }
}

fn workload(reader: &mut Reader<'_>, template: &Template<'_>, item: &Item<'_>) {
    let Some((_, role, _, kind, _)) = WORKLOADS.iter().find(|one| one.0 == item.kind) else { return };
    let mut role = template.text(item.properties.get(role));
    if item.kind == "AWS::Serverless::Function" && role.is_none() {
        role = Some(template.generated_role(item.id));
    }
    if *kind == "ec2-instance" {
        role = role.map(|profile| format!("arn:aws:iam::{}:instance-profile/{profile}", template.account));
    }
    let (arn, source, line) = (template.arn(item.id), reader.source.clone(), Some(reader.line(item.node)));
    reader.estate.workloads.push(Workload { kind: (*kind).to_owned(), arn, role, source, line });
}

/// What a template's workloads are joined to.
fn joints(reader: &mut Reader<'_>, template: &Template<'_>, item: &Item<'_>) {
    let bedrock = |word: &str, id: String| match id.starts_with("arn:") {
        true => id,
        false => format!("arn:aws:bedrock:us-east-1:{}:{word}/{id}", template.account),
    };
    match item.kind {
        "AWS::Lambda::Url" if template.text(item.properties.get("AuthType")).as_deref() == Some("NONE") => {
            if let Some(function) = template.text(item.properties.get("TargetFunctionArn")) {
                let form = format!("arn:aws:lambda:us-east-1:{}:function:", template.account);
                let arn = if function.starts_with("arn:") { function } else { form + &function };
                reader.join(item.node, &arn, ("public-url", arn.clone()));
            }
        }
        "AWS::Bedrock::DataSource" => {
            let base = template.text(item.properties.get("KnowledgeBaseId"));
            let configuration = item.properties.get("DataSourceConfiguration");
            let bucket = configuration.and_then(|one| one.get("S3Configuration")?.get("BucketArn"));
            if let (Some(base), Some(bucket)) = (base, template.text(bucket)) {
                let resource = joint::objects(&bucket);
                reader.join(item.node, &format!("knowledge-base/{base}"), ("knowledge-bucket", resource));
            }
        }
        "AWS::Bedrock::Agent" => {
            let agent = template.arn(item.id);
            let guardrail =
                item.properties.get("GuardrailConfiguration").and_then(|one| one.get("GuardrailIdentifier"));
            if let Some(id) = template.text(guardrail) {
                reader.join(item.node, &agent, ("guardrail", bedrock("guardrail", id)));
            }
            for base in item.properties.get("KnowledgeBases").map(Node::items).unwrap_or_default() {
                if let Some(id) = template.text(base.get("KnowledgeBaseId")) {
                    reader.join(base, &agent, ("knowledge-base", bedrock("knowledge-base", id)));
                }
            }
            for group in item.properties.get("ActionGroups").map(Node::items).unwrap_or_default() {
                let tool = group.get("ActionGroupExecutor").and_then(|executor| executor.get("Lambda"));
                if let Some(tool) = template.text(tool) {
                    reader.join(group, &agent, ("tool", tool));
                }
            }
        }
        _ => {}
    }
}

/// Who may sign in to a cluster of EKS, and which roles its pods are handed.
fn eks(reader: &mut Reader<'_>, template: &Template<'_>, item: &Item<'_>) {
    let (source, line) = (reader.source.clone(), reader.line(item.node));
    // What could not be followed is left as `${…}` and names nobody.
    let is_known = |text: &String| !text.contains("${");
    let word = |key: &str| template.text(item.properties.get(key)).filter(is_known);
    match item.kind {
        "AWS::EKS::AccessEntry" => {
            let Some(arn) = word("PrincipalArn") else {
                return reader.pending(item.node, format!("whom `{}` lets in is not known here", item.id));
            };
            for one in item.properties.get("AccessPolicies").map(|all| template.chosen(all).items()).unwrap_or_default()
            {
                let one = template.chosen(one);
                let scope = |key: &str| one.get("AccessScope").and_then(|scope| scope.get(key));
                let mut namespaces = template.texts(scope("Namespaces"));
                namespaces.retain(is_known);
                if namespaces.is_empty() && template.text(scope("Type")).as_deref() != Some("cluster") {
                    reader.pending(
                        one,
                        format!("what an access policy of `{}` is limited to is not known here", item.id),
                    );
                    continue;
                }
                let Some(policy) = template.text(one.get("PolicyArn")).filter(is_known) else {
                    reader.pending(one, format!("what an access policy of `{}` gives is not known here", item.id));
                    continue;
                };
                let place = (source.clone(), reader.line(one));
                grant(reader.cluster, Access { principal: arn.clone(), policy, namespaces }, place);
            }
            let groups = template.texts(item.properties.get("KubernetesGroups"));
            reader.cluster.mappings.push(Mapping { arn, user: word("Username"), groups, source, line });
        }
        "AWS::EKS::PodIdentityAssociation" => {
            let (Some(namespace), Some(account), Some(role)) =
                (word("Namespace"), word("ServiceAccount"), word("RoleArn"))
            else {
                return reader.pending(item.node, format!("whom `{}` gives a role is not known here", item.id));
            };
            reader.cluster.pod_identities.push(PodIdentity { account: (namespace, account), role, source, line });
        }
        _ => {}
    }
}

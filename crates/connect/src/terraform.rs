//! `terraform show -json`: the accounts that a plan would make.
//!
//! A plan does not know the ARNs of what it will make, so a value that is not known yet is followed
//! through the references of the configuration. What cannot be followed is said, never guessed.
//!
//! Plans hold secrets in clear: only names, ARNs and policies are taken from them.

use std::collections::BTreeMap;

use graph::aws::estate::{Managed, Principal, PrincipalKind, Workload};

use crate::aws::{Reader, text};
use crate::document::Node;

/// The account of what a plan makes when no ARN in it names one.
const UNKNOWN_ACCOUNT: &str = "000000000000";

/// Resource type, the attribute with the role, workload kind, the form of the ARN.
const WORKLOADS: &[(&str, &str, &str, &str)] = &[
    ("aws_lambda_function", "role", "lambda-function", "lambda:us-east-1:{account}:function:"),
    ("aws_instance", "iam_instance_profile", "ec2-instance", "ec2:us-east-1:{account}:instance/"),
    ("aws_bedrockagent_agent", "agent_resource_role_arn", "bedrock-agent", "bedrock:us-east-1:{account}:agent/"),
    (
        "aws_bedrockagentcore_code_interpreter",
        "execution_role_arn",
        "code-interpreter",
        "bedrock-agentcore:us-east-1:{account}:code-interpreter-custom/",
    ),
    (
        "aws_bedrockagentcore_agent_runtime",
        "role_arn",
        "agent-runtime",
        "bedrock-agentcore:us-east-1:{account}:runtime/",
    ),
    (
        "aws_sagemaker_notebook_instance",
        "role_arn",
        "sagemaker-notebook",
        "sagemaker:us-east-1:{account}:notebook-instance/",
    ),
    ("aws_codebuild_project", "service_role", "codebuild-project", "codebuild:us-east-1:{account}:project/"),
    ("aws_glue_job", "role_arn", "glue-job", "glue:us-east-1:{account}:job/"),
    ("aws_glue_dev_endpoint", "role_arn", "glue-dev-endpoint", "glue:us-east-1:{account}:devEndpoint/"),
    ("aws_sfn_state_machine", "role_arn", "state-machine", "states:us-east-1:{account}:stateMachine:"),
    ("aws_cloudformation_stack", "iam_role_arn", "cloudformation-stack", "cloudformation:us-east-1:{account}:stack/"),
    ("aws_ecs_task_definition", "task_role_arn", "ecs-task-definition", "ecs:us-east-1:{account}:task-definition/"),
];

/// A planned resource.
struct Resource {
    /// Module path and name without indexes: what references speak of.
    plain: String,
    module: String,
    kind: String,
    name: String,
    values: Node,
    node: Node,
}

struct Plan {
    account: String,
    resources: Vec<Resource>,
    /// References of each attribute, by plain address and attribute.
    references: BTreeMap<(String, String), Vec<String>>,
}

/// Reads a plan; false when the document is none.
pub(crate) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    let Some(planned) = root.get("planned_values").and_then(|planned| planned.get("root_module")) else {
        return root.get("planned_values").is_some();
    };
    let mut plan = Plan { account: account(planned), resources: Vec::new(), references: BTreeMap::new() };
    resources(planned, "", &mut plan.resources);
    if let Some(module) = root.get("configuration").and_then(|one| one.get("root_module")) {
        references(module, "", &mut plan.references);
    }
    for kind in [PrincipalKind::User, PrincipalKind::Group, PrincipalKind::Role] {
        for resource in plan.resources.iter().filter(|resource| Some(kind) == principal_kind(&resource.kind)) {
            principal(reader, &plan, resource, kind);
        }
    }
    for resource in &plan.resources {
        policy(reader, &plan, resource);
    }
    for resource in &plan.resources {
        attach(reader, &plan, resource);
    }
    for resource in &plan.resources {
        workload(reader, &plan, resource);
    }
    true
}

/// The first account that an ARN in the values names.
fn account(node: &Node) -> String {
    fn search(node: &Node) -> Option<String> {
        let own = node.text().filter(|text| text.starts_with("arn:")).and_then(|text| text.split(':').nth(4));
        let own = own.filter(|account| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()));
        let below = || {
            node.entries().iter().find_map(|entry| search(&entry.node)).or_else(|| node.items().iter().find_map(search))
        };
        own.map(str::to_owned).or_else(below)
    }
    search(node).unwrap_or_else(|| UNKNOWN_ACCOUNT.to_owned())
}

fn resources(module: &Node, path: &str, found: &mut Vec<Resource>) {
    for node in module.get("resources").map(Node::items).unwrap_or_default() {
        let (Some(kind), Some(name)) = (text(node, "type"), text(node, "name")) else { continue };
        let Some(values) = node.get("values").filter(|_| text(node, "mode") != Some("data")) else { continue };
        found.push(Resource {
            plain: format!("{path}{kind}.{name}"),
            module: path.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            values: values.clone(),
            node: node.clone(),
        });
    }
    for child in module.get("child_modules").map(Node::items).unwrap_or_default() {
        let address = text(child, "address").unwrap_or_default();
        resources(child, &format!("{}.", without_indexes(address)), found);
    }
}

fn references(module: &Node, path: &str, found: &mut BTreeMap<(String, String), Vec<String>>) {
    for node in module.get("resources").map(Node::items).unwrap_or_default() {
        let (Some(kind), Some(name)) = (text(node, "type"), text(node, "name")) else { continue };
        for entry in node.get("expressions").map(Node::entries).unwrap_or_default() {
            let listed = entry.node.get("references").map(Node::items).unwrap_or_default();
            let texts = listed.iter().filter_map(Node::text).map(str::to_owned).collect();
            found.insert((format!("{path}{kind}.{name}"), entry.key.clone()), texts);
        }
    }
    for call in module.get("module_calls").map(Node::entries).unwrap_or_default() {
        if let Some(module) = call.node.get("module") {
            references(module, &format!("{path}module.{}.", call.key), found);
        }
    }
}

fn without_indexes(address: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for letter in address.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            letter if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    plain
}

impl Plan {
    /// The resources that an attribute points to through the configuration.
    fn referred(&self, resource: &Resource, attribute: &str) -> Vec<&Resource> {
        let key = (resource.plain.clone(), attribute.to_owned());
        let texts = self.references.get(&key).map(Vec::as_slice).unwrap_or_default();
        let wanted = |text: &String| {
            let plain = without_indexes(text);
            let mut parts = plain.split('.');
            let (kind, name) = (parts.next()?, parts.next()?);
            Some(format!("{}{kind}.{name}", resource.module))
        };
        let names: Vec<String> = texts.iter().filter_map(wanted).collect();
        self.resources.iter().filter(|one| names.contains(&one.plain)).collect()
    }

    /// What the attribute names: as text in the values, or what the resource it refers to will be.
    fn targets(&self, resource: &Resource, attribute: &str) -> Vec<String> {
        if let Some(node) = resource.values.get(attribute) {
            let texts = node.text().into_iter().chain(node.items().iter().filter_map(Node::text));
            let texts: Vec<String> = texts.map(str::to_owned).collect();
            if !texts.is_empty() {
                return texts;
            }
        }
        self.referred(resource, attribute).into_iter().map(|one| self.arn(one)).collect()
    }

    fn arn(&self, resource: &Resource) -> String {
        if let Some(arn) = text(&resource.values, "arn") {
            return arn.to_owned();
        }
        let name = text(&resource.values, "name").unwrap_or(&resource.name);
        let path = text(&resource.values, "path").unwrap_or("/");
        let word = resource.kind.trim_start_matches("aws_iam_").replace('_', "-");
        format!("arn:aws:iam::{}:{word}{path}{name}", self.account)
    }
}

fn principal_kind(kind: &str) -> Option<PrincipalKind> {
    match kind {
        "aws_iam_user" => Some(PrincipalKind::User),
        "aws_iam_group" => Some(PrincipalKind::Group),
        "aws_iam_role" => Some(PrincipalKind::Role),
        _ => None,
    }
}

fn principal(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource, kind: PrincipalKind) {
    let mut principal = Principal::new(kind, plan.arn(resource), reader.source.clone());
    principal.line = Some(reader.line(&resource.node));
    principal.boundary_arn = plan.targets(resource, "permissions_boundary").into_iter().next();
    let attached = resource.values.get("managed_policy_arns").map(Node::items).unwrap_or_default();
    principal.attached = attached.iter().filter_map(Node::text).map(str::to_owned).collect();
    for inline in resource.values.get("inline_policy").map(Node::items).unwrap_or_default() {
        let name = text(inline, "name").unwrap_or("(inline)");
        let document = inline.get("policy").filter(|policy| policy.text().is_some());
        principal.inline.extend(document.and_then(|document| reader.policy(document, name, None)));
    }
    if kind == PrincipalKind::Role {
        let name = format!("trust policy of {}", resource.plain);
        match resource.values.get("assume_role_policy").filter(|policy| policy.text().is_some()) {
            Some(trust) => principal.trust = reader.policy(trust, &name, None),
            None => reader.miss(&resource.node, format!("{name} is not known before the plan is applied")),
        }
    }
    reader.estate.principals.push(principal);
}

fn policy(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let owner = match resource.kind.as_str() {
        "aws_iam_policy" => None,
        "aws_iam_role_policy" => Some("role"),
        "aws_iam_user_policy" => Some("user"),
        "aws_iam_group_policy" => Some("group"),
        _ => return,
    };
    let Some(document) = resource.values.get("policy").filter(|policy| policy.text().is_some()) else {
        reader.miss(
            &resource.node,
            format!("the document of {} is not known before the plan is applied", resource.plain),
        );
        return;
    };
    let name = text(&resource.values, "name").unwrap_or(&resource.name);
    let arn = owner.is_none().then(|| plan.arn(resource));
    let Some(id) = reader.policy(document, name, arn.clone()) else { return };
    match (owner, arn) {
        (Some(owner), _) => {
            for target in plan.targets(resource, owner) {
                change(reader, resource, (owner, &target), |principal| principal.inline.push(id));
            }
        }
        (None, Some(arn)) => {
            reader.estate.managed.insert(arn, Managed { default: id, others: Vec::new() });
        }
        (None, None) => {}
    }
}

fn attach(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let owners: &[(&str, &str)] = match resource.kind.as_str() {
        "aws_iam_role_policy_attachment" => &[("role", "role")],
        "aws_iam_user_policy_attachment" => &[("user", "user")],
        "aws_iam_group_policy_attachment" => &[("group", "group")],
        "aws_iam_policy_attachment" => &[("roles", "role"), ("users", "user"), ("groups", "group")],
        "aws_iam_user_group_membership" => {
            let groups = plan.targets(resource, "groups");
            for user in plan.targets(resource, "user") {
                let names =
                    groups.iter().filter_map(|group| group.rsplit('/').next()).map(str::to_owned).collect::<Vec<_>>();
                change(reader, resource, ("user", &user), |principal| principal.groups.extend(names.iter().cloned()));
            }
            return;
        }
        "aws_iam_instance_profile" => {
            let name = text(&resource.values, "name").unwrap_or(&resource.name).to_owned();
            for role in plan.targets(resource, "role") {
                change(reader, resource, ("role", &role), |principal| principal.instance_profiles.push(name.clone()));
            }
            return;
        }
        _ => return,
    };
    let policies = plan.targets(resource, "policy_arn");
    if policies.is_empty() {
        reader
            .miss(&resource.node, format!("what {} attaches is not known before the plan is applied", resource.plain));
    }
    for (attribute, word) in owners {
        for target in plan.targets(resource, attribute) {
            change(reader, resource, (word, &target), |principal| principal.attached.extend(policies.iter().cloned()));
        }
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
            format!("{} belongs to {word} `{name}`, which the plan does not make", resource.plain),
        ),
    }
}

fn workload(reader: &mut Reader<'_>, plan: &Plan, resource: &Resource) {
    let Some((_, attribute, kind, form)) = WORKLOADS.iter().find(|(kind, ..)| *kind == resource.kind) else { return };
    let mut role = plan.targets(resource, attribute).into_iter().next();
    if *kind == "ec2-instance" {
        let profile = role.as_deref().and_then(|profile| profile.rsplit('/').next()).map(str::to_owned);
        let holds = |one: &&Principal| profile.as_ref().is_some_and(|profile| one.instance_profiles.contains(profile));
        role = reader.estate.principals.iter().find(holds).map(|one| one.arn.clone());
    }
    let name = ["function_name", "agent_name", "name"]
        .iter()
        .find_map(|key| text(&resource.values, key))
        .unwrap_or(&resource.name);
    let made = || format!("arn:aws:{}{name}", form.replace("{account}", &plan.account));
    let arn = text(&resource.values, "arn").map_or_else(made, str::to_owned);
    let (line, source) = (Some(reader.line(&resource.node)), reader.source.clone());
    reader.estate.workloads.push(Workload { kind: (*kind).to_owned(), arn, role, source, line });
}

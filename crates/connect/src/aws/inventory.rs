//! What runs as which role: the answers of `list-…`, `describe-…` and `get-…` commands.
//!
//! A workload is known by its ARN's key wherever it stands in the document, so an answer is read
//! whether it was wrapped, filtered or concatenated into a list.

use graph::aws::Arn;
use graph::aws::estate::Workload;

use super::{Reader, Signs, has_signs, joint, text};
use crate::document::Node;

/// The key of the ARN, the keys of the role, the workload kind.
const FORMS: &[(&str, &[&str], &str)] = &[
    ("FunctionArn", &["Role"], "lambda-function"),
    ("StackId", &["RoleARN"], "cloudformation-stack"),
    ("NotebookInstanceArn", &["RoleArn"], "sagemaker-notebook"),
    ("ServiceArn", &["InstanceRoleArn"], "apprunner-service"),
    ("codeInterpreterArn", &["executionRoleArn"], "code-interpreter"),
    ("agentRuntimeArn", &["roleArn"], "agent-runtime"),
    ("browserArn", &["executionRoleArn"], "agentcore-browser"),
    ("agentArn", &["agentResourceRoleArn"], "bedrock-agent"),
    ("stateMachineArn", &["roleArn"], "state-machine"),
    ("taskArn", &["taskRoleArn"], "ecs-task"),
    ("clusterArn", &[], "ecs-cluster"),
    ("taskDefinitionArn", &["taskRoleArn"], "ecs-task-definition"),
    ("jobDefinitionArn", &["jobRoleArn"], "batch-job-definition"),
];

/// Top keys of answers that list all of a kind, the kind, and what such an answer says beside the ARNs of [`FORMS`], by
/// which it is known among other files: all signs of one group, in a text without its white space.
const LISTS: &[(&str, &str, Signs)] = &[
    ("Functions", "lambda-function", &[&["{\"Functions\":[]"]]),
    ("Reservations", "ec2-instance", &[&["\"Reservations\":[{", "\"InstanceId\":\""], &["{\"Reservations\":[]"]]),
    ("LaunchTemplateVersions", "launch-template", &[&["\"LaunchTemplateVersions\":["]]),
    ("Stacks", "cloudformation-stack", &[&["{\"Stacks\":[]"]]),
    (
        "projects",
        "codebuild-project",
        &[&["\"projects\":[{", "\"serviceRole\":\""], &["{\"projects\":[],\"projectsNotFound\":["]],
    ),
    ("DevEndpoints", "glue-dev-endpoint", &[&["\"DevEndpoints\":["]]),
    ("Jobs", "glue-job", &[&["\"Jobs\":[{", "\"Role\":\"", "\"Command\":{"], &["{\"Jobs\":[]}"]]),
    ("tasks", "ecs-task", &[&["{\"tasks\":[],\"failures\":["]]),
    ("clusters", "ecs-cluster", &[&["{\"clusters\":[],\"failures\":["]]),
    ("jobDefinitions", "batch-job-definition", &[&["{\"jobDefinitions\":[]"]]),
];

/// What answers say that join agents to something by their id.
const JOINED: Signs = &[
    &["\"knowledgeBaseId\":\"", "\"agentId\":\""],
    &["\"knowledgeBaseId\":\"", "\"bucketArn\":\"arn:"],
    &["\"actionGroupExecutor\":{", "\"agentId\":\""],
];

/// Reads an inventory; false when the document has nothing of one.
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> bool {
    let before = reader.estate.workloads.len();
    walk(reader, root);
    named(reader, root);
    let mut listed = false;
    for (key, kind, _) in LISTS {
        let Some(list) = root.get(key).filter(|list| list.is_list()) else { continue };
        let mut found = reader.estate.workloads.iter().skip(before);
        // Tasks of an editor and clusters of a kubeconfig are no inventory.
        if list.items().is_empty() || *kind == "ec2-instance" || found.any(|one| one.kind == *kind) {
            reader.estate.listed.insert((*kind).to_owned());
            listed = true;
        }
    }
    let joints = reader.estate.joints.len();
    joined(reader, root, None);
    listed || reader.estate.workloads.len() > before || reader.estate.joints.len() > joints
}

/// Whether a text, given without its white space, says what an inventory does.
pub(super) fn is_said(text: &str) -> bool {
    let form = |key: &str| text.contains(&format!("\"{key}\":\"arn:"));
    text.contains("\"arn:") && FORMS.iter().any(|(key, ..)| form(key))
        || LISTS.iter().any(|(.., signs)| has_signs(text, signs))
        || has_signs(text, JOINED)
}

/// Whether a document is what an API answered of workloads and what they are joined to.
pub(crate) fn is_answer(node: &Node) -> bool {
    let arn = |key: &str| text(node, key).is_some_and(|arn| arn.starts_with("arn:"));
    let own = FORMS.iter().any(|(key, ..)| arn(key))
        || ["InstanceId", "LaunchTemplateId", "FunctionUrl", "knowledgeBaseId"]
            .iter()
            .any(|key| text(node, key).is_some());
    own || node.entries().iter().any(|entry| is_answer(&entry.node)) || node.items().iter().any(is_answer)
}

fn walk(reader: &mut Reader<'_>, node: &Node) {
    for (key, roles, kind) in FORMS {
        if let Some(arn) = text(node, key).filter(|arn| arn.starts_with("arn:")) {
            let role = roles.iter().find_map(|role| find(node, role, 3));
            push(reader, node, kind, (arn.to_owned(), role));
        }
    }
    for entry in node.entries() {
        walk(reader, &entry.node);
    }
    for item in node.items() {
        walk(reader, item);
    }
}

/// What workloads are joined to, wherever it stands: agents by their id, others by the ARN above it.
fn joined(reader: &mut Reader<'_>, node: &Node, above: Option<&str>) {
    let key = |name: &str| text(node, name);
    let arns = ["agentArn", "FunctionArn", "agentRuntimeArn", "taskDefinitionArn"];
    let here = arns.iter().find_map(|name| key(name)).filter(|arn| arn.starts_with("arn:")).or(above);
    if let (Some(workload), Some(id)) = (here, key("guardrailIdentifier")) {
        let arn = if id.starts_with("arn:") {
            id.to_owned()
        } else {
            sibling(workload, "bedrock", &format!("guardrail/{id}"))
        };
        reader.join(node, workload, ("guardrail", arn));
    }
    if let (Some(workload), Some("NONE"), Some(_)) = (here, key("AuthType"), key("FunctionUrl")) {
        reader.join(node, workload, ("public-url", workload.to_owned()));
    }
    for name in ["ImageUri", "containerUri", "image"] {
        if let (Some(workload), Some(arn)) = (here, key(name).and_then(joint::repository)) {
            reader.join(node, workload, ("image", arn));
        }
    }
    if let (Some(arn), Some(source)) = (key("arn").filter(|arn| arn.contains(":codebuild:")), node.get("source")) {
        let account = arn.split(':').nth(4).unwrap_or_default();
        if let Some(repository) = text(source, "location").and_then(|location| joint::source(location, account)) {
            reader.join(source, arn, ("source", repository));
        }
    }
    of_agent(reader, node);
    for entry in node.entries() {
        joined(reader, &entry.node, here);
    }
    for item in node.items() {
        joined(reader, item, here);
    }
}

/// What an agent, or a knowledge base, is joined to by its id.
fn of_agent(reader: &mut Reader<'_>, node: &Node) {
    let base = text(node, "knowledgeBaseId");
    if let (Some(agent), Some(base)) = (text(node, "agentId"), base) {
        let (partition, account) = home(reader);
        let arn = format!("arn:{partition}:bedrock:us-east-1:{account}:knowledge-base/{base}");
        reader.join(node, &format!("agent/{agent}"), ("knowledge-base", arn));
    }
    if let (Some(base), Some(bucket)) = (base, find(node, "bucketArn", 3)) {
        reader.join(node, &format!("knowledge-base/{base}"), ("knowledge-bucket", joint::objects(&bucket)));
    }
    let tool = node.get("actionGroupExecutor").and_then(|executor| text(executor, "lambda"));
    if let (Some(agent), Some(tool)) = (text(node, "agentId"), tool) {
        reader.join(node, &format!("agent/{agent}"), ("tool", tool.to_owned()));
    }
}

/// Something else of a workload's account and region.
fn sibling(workload: &str, service: &str, resource: &str) -> String {
    let (partition, region, account) =
        Arn::parse(workload).map_or(("aws", "", ""), |arn| (arn.partition, arn.region, arn.account));
    format!("arn:{partition}:{service}:{region}:{account}:{resource}")
}

/// The partition and the account of the first principal.
fn home(reader: &Reader<'_>) -> (String, String) {
    let first = reader.estate.principals.iter().find(|one| !one.account().is_empty());
    first.map_or(("aws".to_owned(), String::new()), |one| (one.partition().to_owned(), one.account().to_owned()))
}

/// A key at most `depth` levels below.
fn find(node: &Node, key: &str, depth: u32) -> Option<String> {
    let own = text(node, key).map(str::to_owned);
    let below = || node.entries().iter().filter(|_| depth > 0).find_map(|entry| find(&entry.node, key, depth - 1));
    own.or_else(below)
}

/// Kinds whose answers carry a name instead of an ARN.
fn named(reader: &mut Reader<'_>, root: &Node) {
    let (partition, account) = home(reader);
    for (list, kind, name, role, form) in [
        ("DevEndpoints", "glue-dev-endpoint", "EndpointName", "RoleArn", "glue:us-east-1:{account}:devEndpoint/"),
        ("Jobs", "glue-job", "Name", "Role", "glue:us-east-1:{account}:job/"),
        ("projects", "codebuild-project", "name", "serviceRole", "codebuild:us-east-1:{account}:project/"),
    ] {
        for item in root.get(list).map(Node::items).unwrap_or_default() {
            let Some(name) = text(item, name) else { continue };
            let arn = text(item, "arn").map_or_else(
                || format!("arn:{partition}:{}{name}", form.replace("{account}", &account)),
                str::to_owned,
            );
            let role = text(item, role).map(str::to_owned);
            push(reader, item, kind, (arn, role));
        }
    }
    for reservation in root.get("Reservations").map(Node::items).unwrap_or_default() {
        for instance in reservation.get("Instances").map(Node::items).unwrap_or_default() {
            let Some(id) = text(instance, "InstanceId") else { continue };
            let zone = instance
                .get("Placement")
                .and_then(|placement| text(placement, "AvailabilityZone"))
                .unwrap_or("us-east-1a");
            let region = zone.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
            let owner = text(reservation, "OwnerId").unwrap_or(&account);
            let profile = instance.get("IamInstanceProfile").and_then(|profile| text(profile, "Arn"));
            let role = profile.map(str::to_owned);
            push(
                reader,
                instance,
                "ec2-instance",
                (format!("arn:{partition}:ec2:{region}:{owner}:instance/{id}"), role),
            );
        }
    }
    for version in root.get("LaunchTemplateVersions").map(Node::items).unwrap_or_default() {
        let Some(id) = text(version, "LaunchTemplateId") else { continue };
        let profile = version.get("LaunchTemplateData").and_then(|data| data.get("IamInstanceProfile"));
        let named = |name: &str| format!("arn:{partition}:iam::{account}:instance-profile/{name}");
        let role = profile.and_then(|one| text(one, "Arn").map(str::to_owned).or_else(|| text(one, "Name").map(named)));
        push(
            reader,
            version,
            "launch-template",
            (format!("arn:{partition}:ec2:us-east-1:{account}:launch-template/{id}"), role),
        );
    }
}

fn push(reader: &mut Reader<'_>, node: &Node, kind: &str, (arn, role): (String, Option<String>)) {
    let line = Some(reader.line(node));
    let source = reader.source.clone();
    reader.estate.workloads.push(Workload { kind: kind.to_owned(), arn, role, source, line });
}

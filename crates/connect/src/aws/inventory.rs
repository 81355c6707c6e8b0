//! What runs as which role: the answers of `list-…`, `describe-…` and `get-…` commands.
//!
//! A workload is known by its ARN's key wherever it stands in the document, so an answer is read
//! whether it was wrapped, filtered or concatenated into a list.

use std::collections::BTreeSet;

use graph::aws::estate::Workload;
use graph::aws::{ANY_REGION, Arn};

use super::{Reader, Signs, has_signs, joint, text};
use crate::document::Node;

/// The key of the ARN, the keys of the role, the workload kind, and keys of which an answer that describes one has some: of
/// one with such a key and without a role there is none; other answers mention it and do not say its role.
const FORMS: &[(&str, &[&str], &str, &[&str])] = &[
    ("FunctionArn", &["Role"], "lambda-function", &[]),
    ("StackId", &["RoleARN"], "cloudformation-stack", &["DisableRollback", "NotificationARNs", "Capabilities"]),
    ("NotebookInstanceArn", &["RoleArn"], "sagemaker-notebook", &[]),
    ("ServiceArn", &["InstanceRoleArn"], "apprunner-service", &["SourceConfiguration", "InstanceConfiguration"]),
    ("codeInterpreterArn", &["executionRoleArn"], "code-interpreter", &["networkConfiguration"]),
    ("agentRuntimeArn", &["roleArn"], "agent-runtime", &[]),
    ("browserArn", &["executionRoleArn"], "agentcore-browser", &["networkConfiguration"]),
    ("agentArn", &["agentResourceRoleArn"], "bedrock-agent", &[]),
    ("stateMachineArn", &["roleArn"], "state-machine", &[]),
    ("taskArn", &["taskRoleArn"], TASK, &[]),
    ("clusterArn", &[], "ecs-cluster", &[]),
    (DEFINITION, &["taskRoleArn"], "ecs-task-definition", &["containerDefinitions", "family"]),
    ("jobDefinitionArn", &["jobRoleArn"], "batch-job-definition", &["jobDefinitionName"]),
];

const TASK: &str = "ecs-task";
const DEFINITION: &str = "taskDefinitionArn";

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
    ("tasks", TASK, &[&["{\"tasks\":[],\"failures\":["]]),
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
    for (key, roles, kind, described) in FORMS {
        let Some(arn) = text(node, key).filter(|arn| arn.starts_with("arn:")) else { continue };
        let is_task = text(node, "taskArn").is_some();
        // A task names its definition, and each of its containers the task.
        if is_task && (*key == DEFINITION || text(node, "containerArn").is_some()) {
            continue;
        }
        let role = roles.iter().find_map(|role| find(node, role, 3));
        let definition = text(node, DEFINITION).filter(|_| *kind == TASK);
        match (&role, definition) {
            (Some(_), _) => {}
            (None, Some(definition)) => {
                reader.estate.definitions.insert(arn.to_owned(), definition.to_owned());
            }
            (None, None) if roles.is_empty() || described.iter().any(|key| node.get(key).is_some()) => {}
            (None, None) => {
                reader.estate.unsaid.insert(arn.to_owned());
            }
        }
        push(reader, node, kind, (arn.to_owned(), role));
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
    let arns = ["agentArn", "FunctionArn", "agentRuntimeArn", DEFINITION];
    // What describes a function holds its code beside its configuration.
    let configured = || node.get("Code").and(node.get("Configuration")).and_then(|one| text(one, "FunctionArn"));
    let own = arns.iter().find_map(|name| key(name)).or_else(configured);
    let here = own.filter(|arn| arn.starts_with("arn:")).or(above);
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
        // The region is the agent's, which another answer says.
        let arn = Home::of(reader, node).arn("bedrock", &format!("knowledge-base/{base}"));
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

/// Where something is whose answer names it and says no ARN of it.
struct Home {
    partition: String,
    region: String,
    account: String,
}

impl Home {
    /// As the ARNs of an answer say, where they agree; of the account, else that of the first principal. Where no ARN has a
    /// region it may be any.
    fn of(reader: &Reader<'_>, root: &Node) -> Self {
        let first = reader.estate.principals.iter().find(|one| !one.account().is_empty());
        let usual = Self {
            partition: first.map_or("aws", |one| one.partition()).to_owned(),
            region: ANY_REGION.to_owned(),
            account: first.map_or("", |one| one.account()).to_owned(),
        };
        usual.at(root)
    }

    /// The same for an item of the answer, which may say more.
    fn at(&self, item: &Node) -> Self {
        let said = |part: fn(Arn<'_>) -> &str, usual: &String| {
            let mut found = BTreeSet::new();
            parts(item, part, &mut found);
            found.first().filter(|_| found.len() == 1).map_or_else(|| usual.clone(), |only| (*only).to_owned())
        };
        Self {
            partition: said(partition_of, &self.partition),
            region: said(place_of, &self.region),
            account: said(owner_of, &self.account),
        }
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        let Self { partition, region, account } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

fn partition_of(arn: Arn<'_>) -> &str {
    arn.partition
}

fn place_of(arn: Arn<'_>) -> &str {
    arn.region
}

/// The account; that of AWS's own policies and images is nobody's.
fn owner_of(arn: Arn<'_>) -> &str {
    if arn.account == "aws" { "" } else { arn.account }
}

/// What a part of each ARN in some values is, where it is something.
fn parts<'n>(node: &'n Node, part: fn(Arn<'n>) -> &'n str, found: &mut BTreeSet<&'n str>) {
    if let Some(arn) = node.text().and_then(Arn::parse) {
        found.extend(Some(part(arn)).filter(|part| !part.is_empty()));
    }
    for entry in node.entries() {
        parts(&entry.node, part, found);
    }
    for item in node.items() {
        parts(item, part, found);
    }
}

/// The region of a zone: `us-west-2` of `us-west-2-lax-1a`.
fn region_of(zone: &str) -> Option<&str> {
    let is_digit = |at: &usize| zone.as_bytes().get(*at).is_some_and(u8::is_ascii_digit);
    let from = zone.match_indices('-').map(|(at, _)| at + 1).find(is_digit)?;
    let digits = zone.bytes().skip(from).take_while(u8::is_ascii_digit).count();
    zone.get(..from + digits)
}

/// The region of the zone that something is placed in.
fn placed(node: &Node) -> Option<String> {
    region_of(text(node.get("Placement")?, "AvailabilityZone")?).map(str::to_owned)
}

/// A key at most `depth` levels below.
fn find(node: &Node, key: &str, depth: u32) -> Option<String> {
    let own = text(node, key).map(str::to_owned);
    let below = || node.entries().iter().filter(|_| depth > 0).find_map(|entry| find(&entry.node, key, depth - 1));
    own.or_else(below)
}

/// Lists of what carries a name instead of an ARN.
const NAMED: [&str; 5] = ["DevEndpoints", "Jobs", "projects", "Reservations", "LaunchTemplateVersions"];

/// Kinds whose answers carry a name instead of an ARN.
fn named(reader: &mut Reader<'_>, root: &Node) {
    if !NAMED.iter().any(|list| root.get(list).is_some()) {
        return;
    }
    let home = Home::of(reader, root);
    for (list, kind, name, role, (service, form)) in [
        ("DevEndpoints", "glue-dev-endpoint", "EndpointName", "RoleArn", ("glue", "devEndpoint")),
        ("Jobs", "glue-job", "Name", "Role", ("glue", "job")),
        ("projects", "codebuild-project", "name", "serviceRole", ("codebuild", "project")),
    ] {
        for item in root.get(list).map(Node::items).unwrap_or_default() {
            let Some(name) = text(item, name) else { continue };
            let made_up = || home.at(item).arn(service, &format!("{form}/{name}"));
            let arn = text(item, "arn").map_or_else(made_up, str::to_owned);
            let role = text(item, role).map(str::to_owned);
            push(reader, item, kind, (arn, role));
        }
    }
    for reservation in root.get("Reservations").map(Node::items).unwrap_or_default() {
        for instance in reservation.get("Instances").map(Node::items).unwrap_or_default() {
            let Some(id) = text(instance, "InstanceId").filter(|_| !is_gone(instance)) else { continue };
            let mut home = home.at(instance);
            home.region = placed(instance).unwrap_or(home.region);
            home.account = text(reservation, "OwnerId").map_or(home.account, str::to_owned);
            let profile = instance.get("IamInstanceProfile").and_then(|profile| text(profile, "Arn"));
            let role = profile.map(str::to_owned);
            push(reader, instance, "ec2-instance", (home.arn("ec2", &format!("instance/{id}")), role));
        }
    }
    for version in root.get("LaunchTemplateVersions").map(Node::items).unwrap_or_default() {
        let Some(id) = text(version, "LaunchTemplateId") else { continue };
        let mut home = home.at(version);
        let data = version.get("LaunchTemplateData");
        home.region = data.and_then(placed).unwrap_or(home.region);
        let profile = data.and_then(|data| data.get("IamInstanceProfile"));
        let named = |name: &str| format!("arn:{}:iam::{}:instance-profile/{name}", home.partition, home.account);
        let role = profile.and_then(|one| text(one, "Arn").map(str::to_owned).or_else(|| text(one, "Name").map(named)));
        push(reader, version, "launch-template", (home.arn("ec2", &format!("launch-template/{id}")), role));
    }
}

/// Whether an instance is terminated, or about to be: it is listed for an hour after, and nothing runs on it again.
fn is_gone(instance: &Node) -> bool {
    let state = instance.get("State").and_then(|state| text(state, "Name"));
    matches!(state, Some("terminated" | "shutting-down"))
}

fn push(reader: &mut Reader<'_>, node: &Node, kind: &str, (arn, role): (String, Option<String>)) {
    let line = Some(reader.line(node));
    let source = reader.source.clone();
    reader.estate.workloads.push(Workload { kind: kind.to_owned(), arn, role, source, line });
}

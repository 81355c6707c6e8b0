//! What cloud exports say, as observations that join the agents: principals with their steps and data, and which
//! access key is whose.
//!
//! Keys are joined by the salted digest of their id, roles by their ARN; never by a name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use graph::{Basis, EntityId, EntityKind, Evidence, Fact, Observation, Props, RelationKind, Unread, way};

use crate::aws::read;
use crate::document::{Document, Format, Node};
use crate::secret::Salt;
use crate::{aws, file, kubernetes};

/// The connector's name in evidence.
pub const CONNECTOR: &str = "cloud";

/// What the exports say.
#[derive(Default)]
pub struct Cloud {
    /// The facts.
    pub observations: Vec<Observation>,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

/// Reads exports, or folders of them. `now` is in seconds since 1970.
pub fn read(paths: &[PathBuf], salt: &Salt, now: i64) -> Cloud {
    let mut loaded = aws::load(paths, now);
    let mut cloud = Cloud { observations: Vec::new(), unread: std::mem::take(&mut loaded.unread) };
    let world = loaded.world();
    for path in files(paths) {
        keys(&path, salt, &mut cloud);
    }
    cloud.observations.extend(way::world::observe(&world));
    cloud
}

/// What plans among some exports say was there before them, beside what is in others. Nothing where none is a plan.
pub fn before(changes: &[PathBuf], there: &[PathBuf], now: i64) -> Vec<Observation> {
    let is_plan = |path: &&PathBuf| says(&head(path), PLANNED);
    let mut paths: Vec<PathBuf> = changes.iter().filter(is_plan).cloned().collect();
    if paths.is_empty() {
        return Vec::new();
    }
    paths.extend(there.iter().cloned());
    way::world::observe(&aws::before(&paths, now).world())
}

/// How deep folders are looked through for exports, and how much of a file is looked at.
const DEPTH_MAX: usize = 8;
const HEAD_BYTES: u64 = 1 << 20;

/// What only exports of clouds, directories and registries, plans and policies say, beside what inventories and
/// organisation files do ([`aws::is_said`]).
const SIGNS: &[&str] = &[
    "\"UserDetailList\"",
    "\"CloudTrailEvent\"",
    "\"RoleDetailList\"",
    "\"AccessKeyMetadata\"",
    "\"PolicyDocument\"",
    "\"AssumeRolePolicyDocument\"",
    "AWS::IAM::",
    "\"consentType\"",
    "\"appRoleId\"",
    "\"appOwnerOrganizationId\"",
    "\"roleDefinitionId\"",
    "admin#directory#token",
    "\"dist-tags\"",
    "\"package_url\"",
];

/// What a plan or a state of Terraform says.
const PLAN: &[&str] = &[PLANNED, "\"terraform_version\""];
const PLANNED: &str = "\"planned_values\"";

/// What objects of a cluster have, all of them, and what records of CloudTrail have.
const OBJECT: &[&str] = &["apiVersion", "kind"];
const RECORD: &[&str] = &["\"eventSource\"", ".amazonaws.com", "\"userIdentity\""];

/// Where workflows lie.
pub(crate) const WORKFLOWS: &str = ".github/workflows";

/// The cloud exports and workflows among files and in folders, known by what they say or where they lie. A file that is
/// named itself was meant: it is one if anything in it is read.
pub fn find(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = below(paths);
    let is_read = |path: &&PathBuf| {
        path.is_file() && !found.contains(*path) && aws::load(std::slice::from_ref(*path), 0).files > 0
    };
    let named: Vec<PathBuf> = paths.iter().filter(is_read).cloned().collect();
    found.extend(named);
    found.sort();
    found.dedup();
    found
}

/// The same by what they say or where they lie alone.
pub(crate) fn below(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = files_below(paths).into_iter().filter(|path| is_export(path)).collect();
    found.sort();
    found.dedup();
    found
}

/// The workflows below some folders, or among files.
pub fn workflows(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = files_below(paths).into_iter().filter(|path| is_workflow(path)).collect();
    found.sort();
    found.dedup();
    found
}

pub(crate) fn is_workflow(path: &Path) -> bool {
    let is_yaml = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
    is_yaml && path.parent().is_some_and(|folder| folder.ends_with(WORKFLOWS))
}

/// Why Terraform's sources say nothing by themselves.
pub const NOT_PLANNED: &str = "holds Terraform's sources and no plan of them: \
    `terraform plan -out p && terraform show -json p > plan.json` makes what is read";

/// The folders with Terraform's sources and, among these exports, no plan or state beside or above them.
pub fn unplanned(paths: &[PathBuf], exports: &[PathBuf]) -> Vec<PathBuf> {
    let plans = exports.iter().filter(|path| PLAN.iter().any(|sign| says(&head(path), sign)));
    let planned: BTreeSet<&Path> = plans.filter_map(|path| path.parent()).collect();
    let sources = files_below(paths).into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "tf"));
    let folders: BTreeSet<PathBuf> = sources.filter_map(|path| Some(path.parent()?.to_owned())).collect();
    // A plan speaks of the modules below it too, and sources below others are mostly their modules.
    let covered = |folder: &Path| {
        folder.ancestors().any(|above| planned.contains(above))
            || folder.ancestors().skip(1).any(|above| folders.contains(above))
    };
    folders.iter().filter(|folder| !covered(folder)).cloned().collect()
}

fn files_below(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in paths {
        let walker = ignore::WalkBuilder::new(path)
            .standard_filters(false)
            .follow_links(false)
            .max_depth(Some(DEPTH_MAX))
            .filter_entry(|entry| !matches!(entry.file_name().to_str(), Some("node_modules" | ".git" | "target")))
            .build();
        let files = walker.filter_map(Result::ok).filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
        found.extend(files.map(ignore::DirEntry::into_path));
    }
    found
}

fn is_export(path: &Path) -> bool {
    if !read::may_hold(path) {
        return false;
    }
    if is_workflow(path) {
        return true;
    }
    let head = head(path);
    let all = |signs: &[&str]| signs.iter().all(|sign| says(&head, sign));
    let is_dump = || match read::is_archive(&head) {
        true => kubernetes::DUMPED.iter().any(|(name, _)| says(&head, name)),
        false => kubernetes::dumped(path).is_some() && all(&["\"metadata\"", "\"items\""]),
    };
    // A program's log may hold an answer of AWS and is none.
    let is_document = || read::is_document(path) || read::is_document(&path.with_extension(""));
    let is_answer = || (is_document() || read::is_archive(&head)) && aws::is_said(&dense(&head));
    SIGNS.iter().chain(PLAN).any(|sign| says(&head, sign)) || all(OBJECT) || all(RECORD) || is_dump() || is_answer()
}

/// A text without its white space, of which programs put in as much as they like.
fn dense(head: &[u8]) -> String {
    let letters: Vec<u8> = head.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    String::from_utf8_lossy(&letters).into_owned()
}

fn head(path: &Path) -> Vec<u8> {
    read::head(path, HEAD_BYTES)
}

fn says(head: &[u8], sign: &str) -> bool {
    head.windows(sign.len()).any(|part| part == sign.as_bytes())
}

fn files(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        match std::fs::read_dir(path) {
            Ok(entries) => {
                files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()))
            }
            Err(_) => files.push(path.clone()),
        }
    }
    files.sort();
    files
}

/// `aws iam list-access-keys` answers: whose each key is. Such a file is read whole or, as larger files never are one, not.
fn keys(path: &Path, salt: &Salt, cloud: &mut Cloud) {
    let Ok(text) = file::read(path) else { return };
    if !text.contains("AccessKeyMetadata") {
        return;
    }
    let source = path.display().to_string();
    let Ok(document) = Document::parse(&text, Format::Json) else { return };
    // The file is known now; that it is nothing else is no fault.
    cloud.unread.retain(|unread| unread.source != source);
    let mut open: Vec<&Node> = vec![document.root()];
    while let Some(node) = open.pop() {
        open.extend(node.entries().iter().map(|entry| &entry.node));
        open.extend(node.items());
        let text = |key: &str| node.get(key).and_then(Node::text);
        let (Some(id), Some(user)) = (text("AccessKeyId"), text("UserName")) else { continue };
        let line = document.line(node.span.start);
        match account_of(id) {
            Some(account) => cloud.observations.extend(key(salt, (id, user, &account), &source, line)),
            None => {
                let reason = "the access key's id does not say its account";
                cloud.unread.push(Unread::new(source.as_str(), Some(line), reason));
            }
        }
    }
}

fn key(salt: &Salt, (id, user, account): (&str, &str, &str), source: &str, line: u32) -> [Observation; 2] {
    let credential = EntityId::new(EntityKind::Credential, salt.digest(id));
    let identity = EntityId::new(EntityKind::Identity, format!("arn:aws:iam::{account}:user/{user}"));
    let evidence = Evidence {
        source: source.to_owned(),
        line: Some(line),
        connector: CONNECTOR.to_owned(),
        basis: Basis::Collected,
    };
    let name = format!("access key of {user}");
    let props = Props::from([("rule".to_owned(), "aws-access-key-id".into())]);
    let entity = Fact::Entity { id: credential.clone(), name, props };
    let acts = Fact::Relation { from: credential, kind: RelationKind::ActsAs, to: identity, props: Props::new() };
    [entity, acts].map(|fact| Observation { fact, evidence: evidence.clone() })
}

/// The account that an access key's id was issued for: 40 bits of its base 32 after the prefix. Ids from before 2019
/// do not hold it.
pub fn account_of(id: &str) -> Option<String> {
    let body = id.strip_prefix("AKIA").or_else(|| id.strip_prefix("ASIA"))?;
    let digit = |letter: char| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(letter);
    let mut bits: u128 = 0;
    for letter in body.get(..10)?.chars() {
        bits = bits << 5 | u128::try_from(digit(letter)?).ok()?;
    }
    // Ten letters are 50 bits; the account is bits 1 to 40 of the first 48.
    let first_48 = bits >> 2;
    let account = first_48 >> 7 & ((1 << 40) - 1);
    (body.chars().next()? >= 'Q' && account < 1_000_000_000_000).then(|| format!("{account:012}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The id of an access key of this account, as AWS would write it.
    pub(crate) fn id_for(account: u64, rest: &str) -> String {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".as_bytes();
        let bits: u128 = (1 << 47 | u128::from(account) << 7) << 2;
        let body: String = (0..10).rev().map(|at| char::from(letters[(bits >> (5 * at) & 31) as usize])).collect();
        format!("AKIA{body}{rest}")
    }

    #[test]
    fn a_key_says_its_account() {
        assert_eq!(account_of(&id_for(111_122_223_333, "ABCDEF")).as_deref(), Some("111122223333"));
        assert_eq!(account_of(&id_for(42, "ABCDEF")).as_deref(), Some("000000000042"));
        assert_eq!(account_of("AKIAIOSFODNN7EXAMPLE"), None);
        assert_eq!(account_of("AKIA"), None);
        assert_eq!(account_of("ghp_x"), None);
    }

    #[test]
    fn inventories_and_organisation_files_are_known_among_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let known = [
            r#"{"Functions": [{"FunctionArn" : "arn:aws:lambda:eu-west-1:111122223333:function:f"}]}"#,
            "{\n  \"Functions\": []\n}",
            r#"{"Jobs": [{"Name": "etl", "Role": "etl", "Command": {"Name": "glueetl"}}]}"#,
            r#"{"DevEndpoints": [{"EndpointName": "e", "RoleArn": "arn:aws:iam::111122223333:role/r"}]}"#,
            r#"{"Reservations": [{"Instances": [{"InstanceId": "i-1"}]}]}"#,
            r#"{"LaunchTemplateVersions": [{"LaunchTemplateId": "lt-1"}]}"#,
            r#"{"projects": [{"name": "p", "serviceRole": "arn:aws:iam::111122223333:role/r"}]}"#,
            r#"{"tasks": [{"taskArn": "arn:aws:ecs:eu-west-1:111122223333:task/main/1"}]}"#,
            r#"{"tasks": [], "failures": []}"#,
            r#"{"agent": {"agentArn": "arn:aws:bedrock:eu-west-1:111122223333:agent/A"}}"#,
            r#"{"agentKnowledgeBase": {"agentId": "A", "knowledgeBaseId": "K"}}"#,
            r#"{"ServiceControlPolicies": {"111122223333": [[{"Statement": []}]]}}"#,
            r#"{"ResourcePolicies": {"arn:aws:s3:::docs": {"Statement": []}}}"#,
            r#"{"Policy": "{\"Version\":\"2012-10-17\",\"Statement\":[]}"}"#,
            r#"{"Parents": [{"Id": "r-ab12", "Type": "ROOT"}]}"#,
            r#"{"Targets": [{"TargetId": "r-ab12", "Type": "ROOT"}]}"#,
            r#"{"Policies": [{"Id": "p-1", "Type": "SERVICE_CONTROL_POLICY"}]}"#,
        ];
        for (at, text) in known.iter().enumerate() {
            write(&format!("known-{at}.json"), text);
        }
        for (at, text) in [
            r#"{"name": "agent", "scripts": {"build": "tsc"}, "projects": ["a"], "dependencies": {}}"#,
            r#"{"version": "2.0.0", "tasks": [{"label": "build", "type": "shell"}]}"#,
            r#"{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"arn": "arn:aws:s3:::docs"}}}]}"#,
            r#"{"LambdaFunctionConfigurations": [{"LambdaFunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:f"}]}"#,
            r#"{"openapi": "3.0.0", "components": {"schemas": {"A": {"properties":
                {"agentId": {"type": "string"}, "knowledgeBaseId": {"type": "string"}, "FunctionArn": {"type": "string"}}}}}}"#,
            r#"{"Targets": [{"Id": "1", "Arn": "arn:aws:sqs:eu-west-1:111122223333:q"}]}"#,
        ]
        .iter()
        .enumerate()
        {
            write(&format!("other-{at}.json"), text);
        }
        write("app.log", known[0]);
        let found = find(&[dir.path().to_owned()]);
        let mut wanted: Vec<PathBuf> = (0..known.len()).map(|at| dir.path().join(format!("known-{at}.json"))).collect();
        wanted.sort();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_file_that_is_named_is_an_export_if_anything_in_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("lines.log"), r#"{"FunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:f"}"#)
            .unwrap();
        std::fs::write(path("mcp.json"), r#"{"mcpServers": {"a": {"command": "npx"}}}"#).unwrap();
        assert_eq!(find(&[dir.path().to_owned()]), [] as [PathBuf; 0]);
        assert_eq!(find(&[path("lines.log"), path("mcp.json")]), [path("lines.log")]);
    }

    #[test]
    fn a_listed_key_is_its_users() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let id = id_for(111_122_223_333, "ABCDEF");
        std::fs::write(
            &path,
            format!("{{\"AccessKeyMetadata\": [\n{{\"UserName\": \"ci\", \"AccessKeyId\": \"{id}\"}}]}}"),
        )
        .unwrap();
        let salt = Salt::new(b"s");
        let cloud = read(&[path], &salt, 0);
        assert_eq!(cloud.unread, []);
        let graph = graph::Graph::build(cloud.observations);
        let key = graph.get(&EntityId::new(EntityKind::Credential, salt.digest(&id))).unwrap();
        assert_eq!((key.name.as_str(), key.evidence[0].line), ("access key of ci", Some(2)));
        assert!(graph.get(&EntityId::new(EntityKind::Identity, "arn:aws:iam::111122223333:user/ci")).is_some());
    }
}

//! Every patch that is printed is applied to the files, and the question asked again: what it was said to end is gone.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use graph::Graph;
use graph::paths::{Found, Goal, Model, Place, Start, patch};
use serde_json::{Value as Json, json};

use super::File;
use crate::cloud;
use crate::secret::Salt;

const ACCOUNT: &str = r#"{
 "UserDetailList": [
  {
   "UserName": "ann",
   "Arn": "arn:aws:iam::111122223333:user/ann",
   "UserPolicyList": [
    {
     "PolicyName": "p",
     "PolicyDocument": {"Statement": [
       {
        "Effect": "Allow",
        "Action": ["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"],
        "Resource": "*"
       }
     ]}
    }
   ]
  }
 ],
 "RoleDetailList": [
  {
   "RoleName": "boss",
   "Arn": "arn:aws:iam::111122223333:role/boss",
   "AssumeRolePolicyDocument": {"Statement": [
     {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
   ]},
   "RolePolicyList": [
    {
     "PolicyName": "q",
     "PolicyDocument": {"Statement": [
       {"Effect": "Allow", "Action": "*", "Resource": "*"}
     ]}
    }
   ]
  }
 ]
}
"#;

const TEMPLATE: &str = "Resources:
  Strong:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement:
        - Effect: Allow
          Action: sts:AssumeRole
          Principal: {Service: lambda.amazonaws.com}
      ManagedPolicyArns:
      - arn:aws:iam::aws:policy/AdministratorAccess
  Person:
    Type: AWS::IAM::User
    Properties:
      UserName: ann
  Deploys:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: deploys
      Users: [!Ref Person]
      PolicyDocument:
        Statement:
        - Effect: Allow
          Action: [lambda:CreateFunction, lambda:InvokeFunction]
          Resource: '*'
        - Effect: Allow
          Action: iam:PassRole
          Resource: !GetAtt Strong.Arn
";

const CLUSTER: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: maker}
rules:
- apiGroups: ['']
  resources: [pods]
  verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: makers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: maker}
subjects:
- kind: User
  name: ann
  apiGroup: rbac.authorization.k8s.io
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: default}
spec:
  nodeName: n1
  containers:
  - name: c
    image: x
";

const WORKFLOW: &str = "on:
  issues:
    types: [opened]
permissions:
  contents: write
jobs:
  t:
    steps:
      - run: echo ${{ github.event.issue.title }}
";

/// Pairs of start and goal, by name.
type Pairs = BTreeSet<(String, String)>;

fn found(model: &Model<'_>) -> Found {
    let graph = model.graph();
    let starts: Vec<Place> = [Start::Outside, Start::Insiders].iter().flat_map(|start| start.places(graph)).collect();
    model.find(&starts, &Goal::Jewels.entities(graph))
}

fn pairs(graph: &Graph, found: &Found) -> Pairs {
    let key = |at: u32| graph.entity(at).map(|entity| entity.id.to_string()).unwrap_or_default();
    let from = |place: Place| match place {
        Place::Outsiders => "outsiders".to_owned(),
        Place::Entity(at) => key(at),
    };
    found.paths.iter().map(|path| (from(path.from), key(path.to))).collect()
}

fn graph_of(folder: &Path) -> Graph {
    let read = cloud::read(&cloud::find(&[folder.to_owned()]), &Salt::new(b"salt"), 0);
    assert_eq!(read.unread, []);
    Graph::build(read.observations)
}

fn pairs_in(folder: &Path) -> Pairs {
    let graph = graph_of(folder);
    pairs(&graph, &found(&Model::new(&graph)))
}

/// A folder with the file alone.
fn folder(name: &str, text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
    dir
}

fn apply_hunk(folder: &Path, hunk: &str) {
    std::fs::write(folder.join("change.patch"), hunk).unwrap();
    let mut git = Command::new("git");
    git.args(["apply", "change.patch"]).current_dir(folder).env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap());
    let output = git.output().unwrap();
    assert!(output.status.success(), "{output:?}\n{hunk}");
}

/// What AWS would make of a command that takes a statement out of an inline or a trust policy.
fn apply_command(account: &Path, command: &str) {
    let mut value: Json = serde_json::from_slice(&std::fs::read(account).unwrap()).unwrap();
    let (words, document) = command.split_once(" --policy-document ").unwrap_or((command.trim_end(), "''"));
    let words: Vec<&str> = words.split(' ').collect();
    let option = |name: &str| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
    let document: Option<Json> = serde_json::from_str(document.trim_end().trim_matches('\'')).ok();
    let mut changed = 0;
    for (list, key, inline) in
        [("UserDetailList", "UserName", "UserPolicyList"), ("RoleDetailList", "RoleName", "RolePolicyList")]
    {
        for one in value[list].as_array_mut().unwrap() {
            let own = one[key].as_str().map(str::to_owned);
            if !["--user-name", "--role-name"].iter().any(|name| option(name) == own.as_deref()) {
                continue;
            }
            changed += 1;
            match (words[2], &document) {
                ("update-assume-role-policy", Some(document)) => one["AssumeRolePolicyDocument"] = document.clone(),
                (put, document) => {
                    let policies = one[inline].as_array_mut().unwrap();
                    policies.retain(|policy| policy["PolicyName"].as_str() != option("--policy-name"));
                    let kept =
                        document.iter().map(|document| json!({ "PolicyName": "kept", "PolicyDocument": document }));
                    assert_eq!(put.starts_with("put-"), document.is_some(), "{command}");
                    policies.extend(kept);
                }
            }
        }
    }
    assert_eq!(changed, 1, "{command}");
    std::fs::write(account, value.to_string()).unwrap();
}

/// The statements as a policy of the users that the title names.
fn apply_statements(account: &Path, change: &patch::Patch) {
    let mut value: Json = serde_json::from_slice(&std::fs::read(account).unwrap()).unwrap();
    let document: Json = serde_json::from_str(&change.text).unwrap();
    let mut given = 0;
    for user in value["UserDetailList"].as_array_mut().unwrap() {
        if change.title.contains(&format!("user/{}", user["UserName"].as_str().unwrap())) {
            let policy = json!({ "PolicyName": "denied", "PolicyDocument": document });
            user["UserPolicyList"].as_array_mut().unwrap().push(policy);
            given += 1;
        }
    }
    assert_eq!(given, 1, "{}", change.title);
    std::fs::write(account, value.to_string()).unwrap();
}

#[test]
fn what_a_patch_was_said_to_end_is_gone_once_it_is_applied() {
    for (name, text, hunks, statements) in [
        ("account.json", ACCOUNT, 3, 1),
        ("stack.yaml", TEMPLATE, 2, 0),
        ("cluster.yaml", CLUSTER, 1, 0),
        (".github/workflows/w.yml", WORKFLOW, 1, 0),
    ] {
        let dir = folder(name, text);
        let graph = graph_of(dir.path());
        let model = Model::new(&graph);
        let found = found(&model);
        let before = pairs(&graph, &found);
        assert!(!before.is_empty(), "{name}");
        let (mut by_hunk, mut by_statement) = (0, 0);
        for choke in &found.chokes {
            let grant = &model.grants()[choke.grant];
            let ended = |after: Pairs, what: &str| {
                assert!(after.is_subset(&before), "{name}: {what}: {after:?}");
                assert!(after.len() + choke.ends <= before.len(), "{name}: {grant:?} leaves {after:?}:\n{what}");
            };
            let change = File::read(&dir.path().join(name), name).and_then(|file| file.patch(grant.line?));
            if let Some(change) = change {
                let copy = folder(name, text);
                match change.language.as_str() {
                    "sh" => apply_command(&copy.path().join(name), &change.text),
                    _ => apply_hunk(copy.path(), &change.text),
                }
                ended(pairs_in(copy.path()), &change.text);
                by_hunk += 1;
            }
            for change in patch::patches(&model, choke.grant).iter().filter(|one| one.language == "iam") {
                // A template is no account: of it the statements are only looked at.
                if name != "account.json" {
                    continue;
                }
                let copy = folder(name, text);
                apply_statements(&copy.path().join(name), change);
                ended(pairs_in(copy.path()), &change.text);
                by_statement += 1;
            }
        }
        assert!(by_hunk >= hunks && by_statement >= statements, "{name}: {by_hunk} hunks, {by_statement} statements");
    }
}

//! Hunks of every kind of file, as `git apply` and `patch` take them.

use std::process::Command;

use super::*;

const CONFIG: &str = "{\n  \"mcpServers\": {\n    \"a\": {\n      \"command\": \"a\"\n    },\n    \"b\": {\n      \"command\": \"b\",\n      \"env\": {\n        \"API_TOKEN\": \"q8Zk2mV9x7Lp4Rt6\"\n      }\n    }\n  }\n}\n";

/// The file after the hunk for a line, which both programs must make of it.
fn applied(name: &str, text: &str, line: u32) -> Option<String> {
    let patch = removal(name, text, line)?;
    let run = |program: &str, arguments: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        std::fs::write(dir.path().join("change.patch"), &patch).unwrap();
        let mut command = Command::new(program);
        command.current_dir(dir.path()).args(arguments).env("GIT_CEILING_DIRECTORIES", dir.path().parent().unwrap());
        let output = command.output().unwrap_or_else(|error| panic!("`{program}` does not run: {error}"));
        assert!(output.status.success(), "{program} {name}:{line}: {output:?}\n{patch}");
        std::fs::read_to_string(&file).unwrap()
    };
    let by_git = run("git", &["apply", "change.patch"]);
    let by_patch = run("patch", &["-p1", "--fuzz=0", "--no-backup-if-mismatch", "-i", "change.patch"]);
    assert_eq!(by_git, by_patch, "{patch}");
    assert_ne!(by_git, text);
    Some(by_git)
}

#[test]
fn an_element_goes_with_its_comma() {
    insta::assert_snapshot!(removal("c.json", CONFIG, 3).unwrap(), @r#"
    --- a/c.json
    +++ b/c.json
    @@ -2,5 +2,2 @@
       "mcpServers": {
    -    "a": {
    -      "command": "a"
    -    },
         "b": {
    "#);
    let last = removal("c.json", CONFIG, 6).unwrap();
    assert!(last.contains("@@ -4,9 +4,3 @@\n       \"command\": \"a\"\n-    },\n+    }\n-    \"b\": {"), "{last}");
}

#[test]
fn no_secret_is_shown_and_a_line_within_another_is_no_element() {
    for line in 1..=13 {
        let hunk = removal("c.json", CONFIG, line).unwrap_or_default();
        assert!(!hunk.contains("q8Zk2mV9x7Lp4Rt6"), "{hunk}");
    }
    assert_eq!(removal("c.json", "{\"a\": {\"b\": 1}, \"c\": 2}", 1), None);
    assert_eq!(removal("c.json", CONFIG, 5), None);
    assert_eq!(removal("c.txt", CONFIG, 3), None);
    assert_eq!(removal("c.json", "{", 1), None);
}

/// Ids that a program makes look drawn at random, and a hunk with one blanked does not apply.
#[test]
fn what_a_document_calls_its_own_by_is_no_secret() {
    let text = "Resources:
  WorkerServiceRoleDefaultPolicy7F3A9C21Qx:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: WorkerServiceRoleDefaultPolicy7F3A9C21Qx
      Roles: [WorkerServiceRoleB84D6E27Kz]
  WorkerServiceRoleB84D6E27Kz:
    Type: AWS::IAM::Role
";
    let hunk = removal("t.yaml", text, 2).unwrap();
    assert!(hunk.contains("-      PolicyName: WorkerServiceRoleDefaultPolicy7F3A9C21Qx\n"), "{hunk}");
    assert!(hunk.contains("-      Roles: [WorkerServiceRoleB84D6E27Kz]\n"), "{hunk}");
    let other =
        text.replace("PolicyName: WorkerServiceRoleDefaultPolicy7F3A9C21Qx", "PolicyName: qT7xR2vL9mK4wZ8pB3nY6cF1");
    assert!(!removal("t.yaml", &other, 2).unwrap().contains("qT7xR2vL9mK4wZ8pB3nY6cF1"), "what nothing is called by");
}

#[test]
fn a_key_in_a_comment_is_not_shown_in_parts() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEAq7BFUpkGp3wm\n-----END RSA PRIVATE KEY-----";
    let text = format!("{{ /* {key} */\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}}\n");
    for line in 1..=8 {
        let hunk = removal("c.json", &text, line).unwrap_or_default();
        assert!(!hunk.contains("MIIB") && !hunk.contains("-----END"), "{hunk}");
    }
    assert!(removal("c.json", &text, 5).is_some(), "what lies away from it is shown");
}

const PODS: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostPID: true\n  containers:\n  - name: c\n    securityContext:\n      privileged: true\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r}\nrules:\n- apiGroups: ['']\n  resources: [pods]\n  verbs: ['*']\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: z}\n";
const TEMPLATE: &str = "Resources:\n  R:\n    Type: AWS::IAM::Role\n    Properties:\n      Policies:\n      - PolicyName: p\n        PolicyDocument:\n          Statement:\n          - Effect: Allow\n            Action: '*'\n            Resource: '*'\n  P:\n    Type: AWS::IAM::Policy\n    Properties:\n      PolicyName: q\n      Roles: [!Ref R]\n      PolicyDocument:\n        Statement:\n        - Effect: Allow\n          Action: s3:*\n          Resource: '*'\n        - Effect: Allow\n          Action: iam:*\n          Resource: '*'\n";
const POLICY: &str = "{\n  \"Statement\": [\n    {\n      \"Effect\": \"Allow\"\n    },\n    {\n      \"Effect\": \"Deny\"\n    }\n  ]\n}\n";
const WORKFLOW: &str = "on:\n  issues:\n    types: [opened]\n  push:\npermissions:\n  contents: write\njobs:\n  t:\n    steps:\n      - run: x\n";
const TERRAFORM: &str = "data \"aws_iam_policy_document\" \"a\" {\n  statement {\n    actions = [\"s3:*\"] # }\n  }\n  statement {\n    actions = [\"iam:*\"]\n  }\n}\n\nresource \"aws_iam_policy\" \"b\" {\n  policy = jsonencode({\n    Statement = [\n      {\n        Effect = \"Allow\"\n      },\n      { Effect = \"Deny\" }\n    ]\n  })\n}\n";

/// Name, text and the lines that a hunk is made for; at all others there is none that applies to something else.
const FILES: &[(&str, &str, &[u32])] = &[
    ("c.json", CONFIG, &[3]),
    ("deep/er/pods.yaml", PODS, &[1, 5, 9, 15, 19]),
    ("a folder/stack.yaml", TEMPLATE, &[9, 19, 22]),
    ("stack.json", POLICY, &[3, 6]),
    (".github/workflows/w.yml", WORKFLOW, &[2, 4, 6]),
    ("main.tf", TERRAFORM, &[2, 5, 10, 13]),
];

#[test]
fn both_programs_take_every_kind_of_hunk_with_every_kind_of_end() {
    for (name, text, lines) in FILES {
        for line in *lines {
            let plain = applied(name, text, *line).unwrap_or_else(|| panic!("{name}:{line} has no hunk"));
            let carriage = text.replace('\n', "\r\n");
            assert_eq!(applied(name, &carriage, *line).unwrap(), plain.replace('\n', "\r\n"), "{name}:{line}");
            let bare = applied(name, text.trim_end(), *line).unwrap();
            assert_eq!(bare.trim_end(), plain.trim_end(), "{name}:{line}");
            let whole = applied(name, carriage.trim_end(), *line).unwrap();
            assert_eq!(whole.trim_end(), plain.replace('\n', "\r\n").trim_end(), "{name}:{line}");
        }
    }
}

#[test]
fn a_file_elsewhere_is_told_from_its_own_folder() {
    for (name, folder) in
        [("/etc/agent/c.json", "/etc/agent"), ("../c.json", ".."), ("~/c.json", "~"), ("/c.json", "/")]
    {
        let hunk = removal(name, CONFIG, 3).unwrap();
        assert!(hunk.starts_with(&format!("in {folder}:\n--- a/c.json\n+++ b/c.json\n")), "{hunk}");
    }
    assert!(removal("./x/c.json", CONFIG, 3).unwrap().starts_with("--- a/x/c.json\n"));
    assert_eq!(removal("a\nb.json", CONFIG, 3), None);
}

#[test]
fn what_is_left_is_taken_by_who_reads_it() {
    let left = |name: &str, text: &str, line: u32| applied(name, text, line).unwrap();
    // A policy without a statement is none: it goes as a whole, or stays.
    let without = left("stack.yaml", TEMPLATE, 9);
    assert!(without.contains("      Policies: []\n  P:") && !without.contains("PolicyName: p"), "{without}");
    let one = left("stack.yaml", TEMPLATE, 22);
    assert!(!left("stack.yaml", &one, 19).contains("  P:"), "{one}");
    let short = "Resources:\n  R:\n    Type: AWS::IAM::Role\n    Properties:\n      AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: '*'}]}\n  P:\n    Type: AWS::IAM::RolePolicy\n    Properties:\n      RoleName: !Ref R\n      PolicyDocument: {Statement: [{Effect: Allow, Action: '*', Resource: '*'}]}\n";
    assert_eq!(removal("stack.yaml", short, 5), None, "a role has to have one");
    assert!(!left("stack.yaml", short, 10).contains("  P:"), "nor is a policy one without a document");
    let trust = "Resources:\n  R:\n    Properties:\n      AssumeRolePolicyDocument:\n        Statement:\n        - Effect: Allow\n          Principal: '*'\n";
    assert_eq!(removal("stack.yaml", trust, 6), None, "a role has to have one");
    let named = one.replace("  P:\n", "  P:\n    DependsOn: R\n") + "  Q:\n    DependsOn: P\n";
    assert_eq!(removal("stack.yaml", &named, 20), None, "another resource speaks of it");
    assert_eq!(removal("p.json", &left("p.json", POLICY, 3), 3), None);
    // A workflow without an event is none; somebody may start it by hand.
    assert!(left(".github/workflows/w.yml", WORKFLOW, 2).starts_with("on:\n  push:\n"));
    for (events, line) in [
        ("on:\n  issues:\n    types: [opened]\n", 2),
        ("on:\n- issues\n", 2),
        ("on: issues\n", 1),
        ("on: [issues]\n", 1),
    ] {
        let text = format!("{events}jobs:\n  t:\n    steps:\n      - run: x\n");
        let after = left(".github/workflows/w.yml", &text, line);
        assert!(
            after.starts_with("on:") && after.contains("workflow_dispatch") && !after.contains("issues"),
            "{after}"
        );
        assert!(Document::parse(&after, Format::Yaml).is_ok());
    }
    // A key keeps an empty list or map.
    assert!(left("pods.yaml", PODS, 15).contains("\nrules: []\n---\n"));
    assert!(left(".github/workflows/w.yml", WORKFLOW, 6).contains("\npermissions: {}\njobs:\n"));
}

#[test]
fn a_statement_of_terraform_goes_as_a_block_and_as_an_object() {
    insta::assert_snapshot!(removal("main.tf", TERRAFORM, 5).unwrap(), @r#"
    --- a/main.tf
    +++ b/main.tf
    @@ -4,5 +4,2 @@
       }
    -  statement {
    -    actions = ["iam:*"]
    -  }
     }
    "#);
    assert!(removal("main.tf", TERRAFORM, 13).unwrap().contains("-      },\n       { Effect = \"Deny\" }\n"));
    assert!(removal("main.tf", TERRAFORM, 16).unwrap().contains("-      { Effect = \"Deny\" }\n"));
    // The only statement goes with the policy, or not at all.
    let one = applied("main.tf", TERRAFORM, 5).unwrap();
    assert_eq!(removal("main.tf", &one, 2), None);
    let object = applied("main.tf", TERRAFORM, 13).unwrap();
    assert!(!applied("main.tf", &object, 13).unwrap().contains("aws_iam_policy\" \"b"));
}

#[test]
fn a_resource_goes_unless_something_speaks_of_it_and_no_secret_is_shown() {
    let secret = TERRAFORM.replace("  policy =", "  password = \"q8Zk2mV9x7Lp4Rt6\"\n  policy =");
    let hunk = removal("main.tf", &secret, 10).unwrap();
    assert!(hunk.contains("-resource") && !hunk.contains("q8Zk2mV9x7Lp4Rt6"), "{hunk}");
    for reference in
        ["aws_iam_policy.b.arn", "[aws_iam_policy.b]", "aws_iam_policy.b[0].arn", "\"${aws_iam_policy.b.arn}\""]
    {
        let speaks = format!("output \"x\" {{\n  value = {reference}\n}}\n");
        assert_eq!(removal("main.tf", &format!("{TERRAFORM}{speaks}"), 10), None, "{reference}");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("main.tf"), TERRAFORM).unwrap();
        let at = |dir: &Path| File::read(&dir.join("main.tf"), "main.tf").unwrap().removal(10);
        assert!(at(dir.path()).is_some());
        std::fs::write(dir.path().join("out.tf"), &speaks).unwrap();
        assert_eq!(at(dir.path()), None, "{reference} in another file");
    }
    for other in ["aws_iam_policy.bb.arn", "data.aws_iam_policy.b.arn", "x_aws_iam_policy.b"] {
        let text = format!("{TERRAFORM}output \"x\" {{\n  value = {other}\n}}\n");
        assert!(removal("main.tf", &text, 10).is_some(), "{other}");
    }
    for line in [0, 3, 4, 11, 12, 99] {
        assert_eq!(removal("main.tf", TERRAFORM, line), None, "{line}");
    }
    assert_eq!(removal("main.tf", "resource \"a\" \"b\" {", 1), None);
}

//! `paths`, `diff`, `check` and `mandate check` as a pipeline runs them: by exit code, and by what a code host reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use serde_json::{Value, json};
use support::World;

/// An account in which ann may read reports; `boss` administers it and trusts whoever the account lets.
const ACCOUNT: &str = r#"{"UserDetailList": [{"UserName": "ann", "Arn": "arn:aws:iam::111122223333:user/ann", "UserPolicyList": [
  {"PolicyName": "own", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}}]}],
 "RoleDetailList": [{"RoleName": "boss", "Arn": "arn:aws:iam::111122223333:role/boss",
  "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "sts:AssumeRole"}]},
  "AttachedManagedPolicies": [{"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}]}]}"#;

const SERVER: &str =
    r#"{"mcpServers": {"files": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/"]}}}"#;

fn world() -> World {
    let world = World::bare();
    world.write("files/old.json", ACCOUNT);
    world.write("files/new.json", &ACCOUNT.replace("\"s3:GetObject\"", "[\"s3:GetObject\", \"sts:AssumeRole\"]"));
    world
}

/// The exit code and the standard output.
fn run(world: &World, words: &[&str]) -> (i32, String) {
    let output = world.bailiwick(words);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn paths_say_by_their_exit_code_whether_there_is_one() {
    let world = world();
    let (code, text) = run(&world, &["paths", "new.json"]);
    assert_eq!(code, 1);
    assert!(text.contains("user/ann can become administrator") && text.contains("(new.json:3)"), "{text}");
    assert_eq!(run(&world, &["paths", "old.json"]).0, 0);
    let (code, json) = run(&world, &["paths", "new.json", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["goal"]), (1, &Value::from("become administrator")));
    world.write("files/broken.json", "{\"UserDetailList\": [");
    assert_eq!(run(&world, &["paths", "broken.json"]).0, 2, "what cannot be read is not an account without paths");
    assert_eq!(run(&world, &["paths", "new.json", "--to", "nobody"]).0, 2);
}

#[test]
fn a_goal_that_many_have_is_asked_for_and_what_cannot_be_read_is_said_once() {
    let world = world();
    let user = "{\"UserName\": \"boss\", \"Arn\": \"arn:aws:iam::111122223333:user/boss\"}, ";
    world.write("files/two.json", &ACCOUNT.replace("\"UserDetailList\": [", &format!("\"UserDetailList\": [{user}")));
    let said = |words: &[&str]| String::from_utf8(world.bailiwick(words).stderr).unwrap();
    let asked = said(&["paths", "two.json", "--to", "boss"]);
    assert!(asked.contains("is more than one principal") && asked.contains("user/boss"), "{asked}");
    world.write("files/some/other.json", "{\"neither\": 1}");
    world.write("files/some/.github/workflows/w.yml", "on: push\njobs: {t: {steps: [{run: make}]}}\n");
    assert_eq!(said(&["paths", "some"]).matches("other.json").count(), 1);
}

#[test]
fn a_policy_of_the_gateway_ends_the_paths_that_its_patch_says_it_ends_and_counts_as_a_control() {
    let world = World::bare();
    let home = world.path("home").display().to_string();
    let files = json!({"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem@1.0.0", home]});
    world.write("home/.claude.json", &json!({ "mcpServers": { "files": files } }).to_string());
    world.ok(&["protect", "claude-code"]);
    let scope = || {
        let report: Value =
            serde_json::from_str(&world.ok(&["scan", "--format", "json", "--fail-on", "never"])).unwrap();
        let found =
            report["findings"].as_array().unwrap().iter().find(|found| found["rule"] == "broad-filesystem-scope");
        found.unwrap().clone()
    };
    let unstopped = scope();
    let (code, json) = run(&world, &["paths", "--from", "outsiders", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let patches = json["choke_points"][0]["patches"].as_array().unwrap();
    let cedar = patches.iter().find(|patch| patch["language"] == "cedar").unwrap()["text"].as_str().unwrap();
    assert!(code == 1 && json["choke_points"][0]["ends"] == json["paths"].as_array().unwrap().len(), "{json:#}");
    let allow = "permit (principal, action, resource);\n";
    for (policies, code) in [(allow.to_owned(), 1), (format!("{allow}@id(\"stop\")\n{cedar}"), 0)] {
        world.write("bailiwick/policy/p.cedar", &policies);
        let (found, text) = run(&world, &["paths", "--from", "outsiders"]);
        assert_eq!(found, code, "{text}");
        let said = "all of `files` for `Claude Code`: the gateway's policy `stop` (p.cedar:2) denies it";
        assert_eq!(text.contains(said), code == 0, "{text}");
    }
    let stopped = scope();
    let control = |found: &Value| {
        let factors = found["factors"].as_array().unwrap().iter();
        factors.filter(|factor| factor["name"] == "control").cloned().collect::<Vec<_>>()
    };
    let [control] = control(&stopped).try_into().unwrap();
    assert!(control["because"].as_str().unwrap().contains("`stop` (p.cedar:2)"), "{control}");
    assert_eq!((&unstopped["severity"], &stopped["severity"]), (&json!("medium"), &json!("info")));
    // The scan that is stored knows of the policy; without one that is in force nothing is stopped.
    world.write("bailiwick/policy/p.cedar", "permit (");
    assert_eq!(run(&world, &["paths", "--from", "outsiders"]).0, 1);
    std::fs::remove_dir_all(world.path("bailiwick/policy")).unwrap();
    assert_eq!(run(&world, &["paths", "--from", "outsiders"]).0, 1);
}

#[test]
fn a_checkout_with_nothing_but_workflows_is_judged_by_what_outsiders_get() {
    let world = World::bare();
    let text = "on: issues\npermissions:\n  id-token: write\n  contents: write\njobs:\n  t:\n    steps:\n      - run: echo ${{ github.event.issue.title }}\n";
    world.write("files/repository/.github/workflows/triage.yml", text);
    let (code, text) = run(&world, &["paths", "repository"]);
    assert!(code == 1 && text.contains("-  contents: write"), "{code} {text}");
    assert!(!text.contains("-  id-token"), "{text}");
    let (code, text) = run(&world, &["paths", "repository", "--to", "admin"]);
    assert!(code == 0 && text.contains("0 starts get there certainly"), "{code} {text}");
}

#[test]
fn two_checkouts_side_by_side_are_one_project() {
    let world = World::bare();
    // A clone that has no remote is known by its folder alone.
    let workflow = "on: issues\npermissions: {contents: write}\njobs: {t: {steps: [{run: 'echo ${{ github.event.issue.title }}'}]}}\n";
    for folder in ["main", "branch"] {
        world.write(&format!("files/{folder}/.mcp.json"), SERVER);
        world.write(&format!("files/{folder}/.github/workflows/triage.yml"), workflow);
    }
    assert_eq!(run(&world, &["diff", "main", "branch"]), (0, "nothing changed\n".to_owned()));
    let (code, text) = run(&world, &["check", "branch", "--baseline", "main"]);
    assert!(code == 0 && text.starts_with("nothing changed"), "{code} {text}");
    world.write("files/branch/.mcp.json", &SERVER.replace("\"files\": {", "\"all\": {"));
    let (code, text) = run(&world, &["diff", "main/", "./branch"]);
    assert!(code == 1 && text.contains("#all") && !text.contains("branch/"), "{code} {text}");
}

#[test]
fn a_difference_is_told_with_the_line_that_opened_it() {
    let world = world();
    let (code, text) = run(&world, &["diff", "old.json", "new.json"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("this change opens a path: user/ann can get "), "{text}");
    assert!(text.contains("new.json:3") && text.contains("<- new"), "{text}");
    assert_eq!(run(&world, &["diff", "new.json", "old.json"]).0, 0, "what closes a path is no fault");
    assert_eq!(run(&world, &["diff", "old.json", "old.json"]), (0, "nothing changed\n".to_owned()));
    assert_eq!(run(&world, &["diff", "old.json", "none.json"]).0, 2);
    let (_, json) = run(&world, &["diff", "old.json", "new.json", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["opened"].as_array().unwrap().len(), 1);
}

#[test]
fn a_step_is_shown_at_the_line_that_the_change_wrote() {
    let world = World::bare();
    let cluster = "apiVersion: v1
kind: ServiceAccount
metadata: {name: strong, namespace: n}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: strong, namespace: n}]
";
    let agent = "---
apiVersion: kagent.dev/v1alpha2
kind: Agent
metadata: {name: helper, namespace: n}
spec: {type: Declarative, declarative: {deployment: {serviceAccountName: strong}}}
";
    world.write("files/main/cluster.yaml", cluster);
    world.write("files/branch/cluster.yaml", &format!("{cluster}{agent}"));
    let (code, text) = run(&world, &["check", "branch", "--baseline", "main"]);
    assert_eq!(code, 1, "{text}");
    // An agent of a cluster that administers it is a workload that escapes, at its own line.
    let finding = "[workload-escapes]: whoever breaks into `agent/n/helper` gets `serviceaccount/n/strong`\n  --> ./cluster.yaml:11";
    assert!(text.contains(finding), "{text}");
    for folder in ["a", "b"] {
        world.write(&format!("files/{folder}/iam.json"), ACCOUNT);
    }
    let later = r#"{"UserDetailList": [{"UserName": "bob", "Arn": "arn:aws:iam::111122223333:user/bob",
  "UserPolicyList": [{"PolicyName": "new", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}}]}]}"#;
    world.write("files/b/more.json", later);
    let (_, text) = run(&world, &["diff", "a", "b"]);
    assert!(text.contains("user/bob assumes the role, and gets role/boss  ./more.json:3   <- new"), "{text}");
}

#[test]
fn what_a_plan_makes_beside_aws_is_said_and_a_plan_is_no_place_to_change() {
    let world = World::bare();
    let plan = r#"{
  "terraform_version": "1.9.0",
  "planned_values": {"root_module": {"resources": [
    {
      "address": "google_project_iam_member.a", "mode": "managed", "type": "google_project_iam_member", "name": "a",
      "values": {"role": "roles/owner"}
    },
    {
      "address": "random_id.a", "mode": "managed", "type": "random_id", "name": "a", "values": {}
    },
    {
      "address": "aws_ecr_repository_policy.a", "mode": "managed", "type": "aws_ecr_repository_policy", "name": "a",
      "values": {"policy": "{}"}
    }
  ]}}
}"#;
    world.write("files/plan.json", plan);
    let (code, text) = run(&world, &["check", "plan.json"]);
    let said = "not judged: plan.json:1: 1 resource of `google` (google_project_iam_member): of a plan only";
    assert!(text.contains(said) && !text.contains("random"), "{text}");
    assert!(code == 1 && text.contains("whom `aws_ecr_repository_policy.a` lets in is not read"), "{text}");
    let without = plan.replace("aws_ecr_repository_policy", "aws_ecr_repository");
    world.write("files/plan.json", &without);
    assert_eq!(run(&world, &["check", "plan.json"]).0, 0, "what is not judged denies nothing");
    let (code, text) = run(&world, &["paths", "plan.json"]);
    assert!(code == 0 && text.contains("note: nothing to get to was read"), "{text}");
}

#[test]
fn a_policy_that_aws_owns_is_taken_from_who_has_it() {
    let world = world();
    let (_, text) = run(&world, &["paths", "new.json"]);
    let command =
        "   | aws iam detach-role-policy --role-name boss --policy-arn arn:aws:iam::aws:policy/AdministratorAccess\n";
    assert!(text.contains(command), "{text}");
}

#[test]
fn a_resource_of_the_cluster_is_known_by_its_short_name() {
    let world = World::bare();
    let cluster = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: c}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], verbs: [escalate]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: c}
subjects: [{kind: User, name: ann, apiGroup: rbac.authorization.k8s.io}]
";
    world.write("files/c.yaml", cluster);
    assert_eq!(run(&world, &["can", "ann", "escalate", "clusterroles", "c.yaml"]).0, 0);
    assert_eq!(run(&world, &["can", "ann", "escalate", "clusterroles.example.org", "c.yaml"]).0, 1);
    let (_, text) = run(&world, &["who-can", "escalate", "clusterroles", "c.yaml"]);
    assert!(text.contains("yes: kube-user/ann"), "{text}");
    let output = world.bailiwick(&["can", "ann", "sts:AssumeRole", "arn:aws:iam::1:role/r", "c.yaml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && said.contains("paths FILE… --from ann --to arn:aws:iam::1:role/r"),
        "{said}"
    );
}

#[test]
fn a_change_is_denied_for_what_it_opens_and_the_code_host_is_told_where() {
    let world = world();
    assert_eq!(run(&world, &["check", "old.json", "--baseline", "old.json"]).0, 0);
    let (code, text) = run(&world, &["check", "new.json", "--baseline", "old.json"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.ends_with("denied: 1 new path or finding at or above medium\n"), "{text}");
    assert_eq!(run(&world, &["check", "new.json", "--baseline", "old.json", "--deny", "critical"]).0, 0);
    assert_eq!(run(&world, &["check", "none.json"]).0, 2);

    let (code, sarif) = run(&world, &["check", "new.json", "--baseline", "old.json", "--format", "sarif"]);
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!((code, &sarif["version"]), (1, &Value::from("2.1.0")));
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["ruleId"], "new-attack-path");
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("new.json"), "{place}");
    assert_eq!(place["region"]["startLine"], 3);
}

#[test]
fn the_grant_of_everything_is_a_path_of_every_comparison() {
    let world = world();
    let harmless = ACCOUNT.replace("s3:GetObject", "logs:GetLogEvents");
    let attached = r#""AttachedManagedPolicies": [{"PolicyName": "a", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}],"#;
    for (name, account, line) in [
        ("own.json", ACCOUNT.replace("\"s3:GetObject\"", "\"*\""), 3),
        // The cloud's own policy has no line; who is given it has.
        ("given.json", harmless.replace("\"UserPolicyList\":", &format!("{attached} \"UserPolicyList\":")), 1),
    ] {
        world.write(&format!("files/{name}"), &account);
        let said =
            format!("this change opens a path: user/ann can get administrator of 111122223333\n  --> {name}:{line}\n");
        let (code, text) = run(&world, &["diff", "old.json", name]);
        assert!(code == 1 && text.contains(&said) && text.contains("1 path opened"), "{code} {text}");
        let (code, text) = run(&world, &["check", name, "--baseline", "old.json"]);
        assert!(code == 1 && text.contains(&said) && text.contains("1 path opened"), "{code} {text}");
        let (code, text) = run(&world, &["check", name]);
        assert!(code == 1 && text.contains(&said) && text.contains("role/boss can get"), "{code} {text}");
        assert_eq!(run(&world, &["check", name, "--baseline", name]).0, 0, "whoever stands is not new");
        let (code, sarif) = run(&world, &["check", name, "--baseline", "old.json", "--format", "sarif"]);
        let sarif: Value = serde_json::from_str(&sarif).unwrap();
        let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!((code, &place["region"]["startLine"]), (1, &Value::from(line)), "{sarif:#}");
    }
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n";
    let bound = |subject: &str| {
        format!(
            "{namespace}---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: s, namespace: web}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: b}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{subject}]
"
        )
    };
    world.write("files/namespace.yaml", namespace);
    for (subject, name) in [
        ("{kind: ServiceAccount, name: s, namespace: web}", "serviceaccount/web/s"),
        (
            "{kind: Group, name: 'system:unauthenticated', apiGroup: rbac.authorization.k8s.io}",
            "whoever reaches the API server (system:unauthenticated)",
        ),
    ] {
        world.write("files/bound.yaml", &bound(subject));
        let said = format!("{name} can get administrator of kubernetes");
        for words in [&["check", "bound.yaml", "--baseline", "namespace.yaml"][..], &["check", "bound.yaml"]] {
            let (code, text) = run(&world, words);
            assert!(code == 1 && text.contains(&said), "{code} {text}");
        }
    }
}

#[test]
fn a_role_that_lets_in_everybody_or_another_account_is_a_path_from_outside() {
    let world = world();
    let trusting = |principal: &str| {
        let role = r#""RoleDetailList": [{"RoleName": "fn", "Arn": "arn:aws:iam::111122223333:role/fn", "AssumeRolePolicyDocument":
  {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": WHO, "Action": "sts:AssumeRole"}]}}, "#;
        ACCOUNT.replace("\"RoleDetailList\": [", &role.replace("WHO", principal))
    };
    world.write("files/old.json", &trusting(r#"{"Service": "lambda.amazonaws.com"}"#));
    let compared = [
        &["diff", "old.json", "new.json"][..],
        &["check", "new.json", "--baseline", "old.json"],
        &["check", "new.json"],
    ];
    for (principal, who) in
        [(r#"{"AWS": "*"}"#, "anyone with an AWS account"), (r#"{"AWS": "444455556666"}"#, "444455556666")]
    {
        world.write("files/new.json", &trusting(principal));
        for words in compared {
            let (code, text) = run(&world, words);
            let line = text.lines().find(|line| line.ends_with(" can get role/fn")).unwrap_or_default();
            assert!(code == 1 && line.contains(who) && text.contains("new.json:5"), "{code} {text}");
        }
    }
    world.write("files/new.json", &trusting(r#"{"Service": "ec2.amazonaws.com"}"#));
    assert_eq!(run(&world, &["diff", "old.json", "new.json"]).0, 0);
}

#[test]
fn what_a_plan_says_was_there_before_it_is_not_new() {
    let world = World::bare();
    let resource = |kind: &str, values: Value| json!({ "address": format!("{kind}.x"), "mode": "managed", "type": kind, "name": "x", "values": values });
    let user = resource("aws_iam_user", json!({ "name": "ann", "arn": "arn:aws:iam::111122223333:user/ann" }));
    let policy = |action: &str| {
        let policy = json!({ "Statement": { "Effect": "Allow", "Action": action, "Resource": "*" } }).to_string();
        resource("aws_iam_user_policy", json!({ "name": "p", "user": "ann", "policy": policy }))
    };
    let plan = |before: &[Value], after: &[Value]| {
        let values = |resources: &[Value]| json!({ "root_module": { "resources": resources } });
        let plan = json!({ "format_version": "1.2", "terraform_version": "1.9.0", "resource_changes": [],
            "planned_values": values(after), "prior_state": { "values": values(before) }, "configuration": {} });
        world.write("files/plan.json", &plan.to_string());
        run(&world, &["check", "plan.json"])
    };
    let (harmless, leads_on) = (policy("s3:GetObject"), policy("iam:PutUserPolicy"));
    assert_eq!(plan(&[], &[user.clone(), leads_on.clone()]).0, 1, "nothing was there");
    assert_eq!(plan(&[user.clone(), harmless.clone()], &[user.clone(), leads_on.clone()]).0, 1);
    let (code, text) = plan(&[user.clone(), leads_on.clone()], &[user.clone(), leads_on.clone()]);
    assert_eq!(code, 0, "{text}");
    world.write("files/empty/none.json", "{}");
    assert_eq!(run(&world, &["check", "plan.json", "--baseline", "empty"]).0, 1, "the baseline that is given counts");
    let (code, text) = plan(&[user.clone(), leads_on], &[user, harmless]);
    assert!(code == 0 && text.contains("gone: the path from"), "{code} {text}");
}

#[test]
fn an_agents_new_server_is_denied_until_it_is_in_the_baseline() {
    let world = world();
    world.write("files/agent/.mcp.json", SERVER);
    let (code, sarif) = run(&world, &["check", "agent", "--format", "sarif"]);
    assert_eq!(code, 1);
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    let rules: Vec<&str> =
        sarif["runs"][0]["results"].as_array().unwrap().iter().filter_map(|one| one["ruleId"].as_str()).collect();
    assert!(rules.contains(&"new-attack-path") && rules.contains(&"unpinned-server"), "{rules:?}");
    assert_eq!(run(&world, &["check", "agent", "--baseline", "agent"]).0, 0);
}

#[test]
fn a_mandate_is_checked_and_its_faults_have_lines() {
    let world = world();
    world.write("files/agent/.mcp.json", SERVER);
    assert_eq!(run(&world, &["mandate", "init", "agent"]).0, 0);
    let (code, text) = run(&world, &["mandate", "check", "agent"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("files/*") && text.contains("reaches path: /"), "{text}");
    let mandate = std::fs::read_to_string(world.path("files/agent/mandate.toml")).unwrap();
    let line = mandate.lines().position(|line| line.starts_with("purpose")).unwrap() + 1;
    world.write("files/agent/mandate.toml", &mandate.replace("\npurpose", "\npurpos"));
    let (code, text) = run(&world, &["mandate", "check", "agent"]);
    assert_eq!(code, 1);
    assert!(text.contains(&format!("mandate.toml:{line}: error: `purpos` is no field")), "{text}");
    world.write("files/agent/mandate.toml", &mandate.replace("files/*", "filez/*"));
    let (code, text) = run(&world, &["mandate", "check", "agent"]);
    assert_eq!(code, 0, "a name that is not there is a note: {text}");
    assert!(text.contains("note: `filez/*` names a server that no agent in this folder has"), "{text}");
}

#[test]
fn a_manifest_is_judged_whether_or_not_it_speaks_of_roles() {
    let world = world();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: agent}\nspec:\n  containers:\n  - {name: c, image: i, securityContext: {privileged: true}}\n";
    world.write("files/deploy/pod.yaml", pod);
    let (code, text) = run(&world, &["check", "deploy"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("new high[workload-escapes]") && text.contains("deploy/pod.yaml"), "{text}");
    world.write("files/deploy/pod.yaml", &pod.replace("true", "false"));
    assert_eq!(run(&world, &["check", "deploy"]).0, 0);
}

/// The hunk as `patch` would apply it: what it keeps must stand where it says.
fn patched(text: &str, hunk: &str) -> String {
    let mut lines = hunk.lines().skip(2);
    let start: usize =
        lines.next().and_then(|head| head.strip_prefix("@@ -")?.split(',').next()?.parse().ok()).unwrap();
    let mut rest = text.lines().skip(start - 1);
    let mut kept: Vec<&str> = text.lines().take(start - 1).collect();
    for line in lines {
        match line.split_at(1) {
            ("+", added) => kept.push(added),
            (sign, old) => {
                assert_eq!(rest.next(), Some(old), "{hunk}");
                kept.extend((sign == " ").then_some(old));
            }
        }
    }
    kept.extend(rest);
    kept.join("\n") + "\n"
}

const BINDING: &str = "apiVersion: v1
kind: Pod
metadata: {name: p, namespace: n}
spec: {serviceAccountName: strong, containers: [{name: c, image: i}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: all}
rules:
- apiGroups: ['*']
  resources: ['*']
  verbs: ['*']
- apiGroups: ['']
  resources: [pods]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {kind: ClusterRole, name: all}
subjects: [{kind: ServiceAccount, name: strong, namespace: n}]
";

const TEMPLATE: &str = "Resources:
  Ann:
    Type: AWS::IAM::User
    Properties:
      Policies:
        - PolicyName: own
          PolicyDocument:
            Version: '2012-10-17'
            Statement:
              - Effect: Allow
                Action: s3:GetObject
                Resource: '*'
              - Effect: Allow
                Action: iam:PutUserPolicy
                Resource: '*'
";

/// A template with one statement that stands in no list.
const BLOCK: &str = "Resources:
  Ann:
    Type: AWS::IAM::User
    Properties:
      Policies:
        - PolicyName: own
          PolicyDocument:
            Version: '2012-10-17'
            Statement:
              Effect: Allow
              Action: iam:PutUserPolicy
              Resource: '*'
";

#[test]
fn the_patch_of_a_choke_point_applies_and_ends_the_path() {
    let world = world();
    let (version, statement) =
        ("            Version: '2012-10-17'\n", "{Effect: Allow, Action: iam:PutUserPolicy, Resource: '*'}");
    let (head, parts) = BLOCK.split_once("Statement:").unwrap();
    let flow = format!("{head}Statement: {statement}\n");
    let last = format!("{}            Statement:{parts}{version}", head.replace(version, "").trim_end_matches(' '));
    for (name, text) in [
        ("cluster.yaml", BINDING),
        ("stack.yaml", TEMPLATE),
        ("block.yaml", BLOCK),
        ("flow.yaml", flow.as_str()),
        ("last.yaml", last.as_str()),
    ] {
        world.write(&format!("files/{name}"), text);
        let (code, json) = run(&world, &["paths", name, "--format", "json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        let paths = json["paths"].as_array().unwrap().len();
        assert_eq!(code, 1, "{name}");
        let patches = json["choke_points"].as_array().unwrap().iter().filter(|choke| choke["ends"] == paths);
        let patches: Vec<&str> = patches.filter_map(|choke| choke["patch"].as_str()).collect();
        assert!(!patches.is_empty(), "{name}: {json:#}");
        for patch in patches {
            world.write(&format!("files/after-{name}"), &patched(text, patch));
            assert_eq!(run(&world, &["paths", &format!("after-{name}")]).0, 0, "{name}: {patch}");
        }
    }
}

/// A record of CloudTrail: the caller's part, the action, the parameters.
fn record(who: &Value, (source, name): (&str, &str), parameters: Value) -> Value {
    json!({"eventTime": "2026-10-01T08:00:00Z", "eventSource": source, "eventName": name, "userIdentity": who,
        "requestParameters": parameters})
}

#[test]
fn a_choke_point_says_what_it_would_break_of_what_was_recorded_and_its_denial_ends_the_path() {
    let world = world();
    let ann = json!({"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ann"});
    let read = || record(&ann, ("s3.amazonaws.com", "GetObject"), json!({"bucketName": "b", "key": "k"}));
    let choke = |files: &[&str]| {
        let words = [&["paths", "--format", "json"], files].concat();
        let json: Value = serde_json::from_str(&run(&world, &words).1).unwrap();
        json["choke_points"].as_array().unwrap().iter().find(|choke| choke["at"]["policy"] == "own").unwrap().clone()
    };
    let told = |files: &[&str]| choke(files)["observed_use"].as_str().unwrap().to_owned();
    assert_eq!(choke(&["new.json"])["observed_use"], Value::Null);
    assert!(
        run(&world, &["paths", "new.json"]).1.contains("add CloudTrail's records (`aws cloudtrail lookup-events`)")
    );
    let mut refused = read();
    refused["errorCode"] = json!("AccessDenied");
    let listed = record(&ann, ("s3.amazonaws.com", "ListBuckets"), Value::Null);
    world.write("files/idle.json", &json!({"Records": [refused, listed]}).to_string());
    let idle = told(&["new.json", "idle.json"]);
    assert!(
        idle.starts_with("breaks nothing that was observed: no call of 2 records from 2026-10-01T08:00:00Z"),
        "{idle}"
    );
    let event = |record: Value| json!({"EventName": record["eventName"], "CloudTrailEvent": record.to_string()});
    world.write("files/busy.json", &json!({"Events": [event(read()), event(read())]}).to_string());
    let busy = told(&["new.json", "busy.json"]);
    let said = "would stop what was observed: s3:GetObject by user/ann, 2 times, the last at 2026-10-01T08:00:00Z";
    assert_eq!(busy, said);
    let (_, text) = run(&world, &["paths", "new.json", "busy.json"]);
    assert!(
        text.contains(&format!("   = {said}\n")) && text.contains("or deny it by an inline policy of user/ann"),
        "{text}"
    );

    let deny: Value = serde_json::from_str(choke(&["new.json"])["deny"].as_str().unwrap()).unwrap();
    let mut account: Value =
        serde_json::from_str(&std::fs::read_to_string(world.path("files/new.json")).unwrap()).unwrap();
    let policies = account["UserDetailList"][0]["UserPolicyList"].as_array_mut().unwrap();
    policies.push(json!({"PolicyName": "deny", "PolicyDocument": deny}));
    world.write("files/denied.json", &account.to_string());
    assert_eq!(run(&world, &["paths", "denied.json"]).0, 0, "{deny:#}");
    assert_eq!(
        run(&world, &["can", "ann", "s3:GetObject", "arn:aws:s3:::b/k", "denied.json"]).0,
        0,
        "it denies more: {deny:#}"
    );
}

#[test]
fn the_patch_of_an_account_is_a_command_and_not_an_edit_of_its_export() {
    let world = world();
    let (_, text) = run(&world, &["paths", "new.json"]);
    assert!(text.contains("   | aws iam delete-user-policy --user-name ann --policy-name own\n"), "{text}");
    assert!(text.contains("   | aws iam update-assume-role-policy --role-name boss --policy-document '"), "{text}");
    assert!(!text.contains("@@"), "{text}");
}

#[test]
fn sources_of_terraform_without_a_plan_are_said_and_never_passed_over() {
    let world = world();
    world.write("files/infra/main.tf", "resource \"aws_iam_user\" \"ann\" {\n  name = \"ann\"\n}\n");
    world.write("files/infra/other.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n");
    let said = |words: &[&str]| {
        let output = world.bailiwick(words);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(said(&["check", "infra"]).contains("infra: holds Terraform's sources and no plan"));
    assert!(said(&["paths", "infra/main.tf"]).contains("holds Terraform's sources and no plan"));
    world.write("files/infra/plan.json", r#"{"planned_values": {}, "terraform_version": "1.9.0"}"#);
    assert!(!said(&["check", "infra"]).contains("no plan"));
}

#[test]
fn what_cannot_be_read_denies_and_is_in_every_output() {
    let world = world();
    for (name, text) in [
        ("files/broken/.mcp.json", "{\"mcpServers\": {"),
        (
            "files/circle/stack.json",
            "{\"Resources\": {\"R\": {\"Type\": \"AWS::IAM::Role\", \"Properties\": {\"RoleName\": {\"Ref\": \"R\"}}}}}",
        ),
    ] {
        world.write(name, text);
        let folder = name.split('/').nth(1).unwrap();
        let (code, text) = run(&world, &["check", folder]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("could not be read: "), "{text}");
        assert!(text.ends_with("could not be read (`--allow-unread` admits that)\n"), "{text}");
        assert_eq!(run(&world, &["check", folder, "--allow-unread"]).0, 0);
        assert_eq!(run(&world, &["check", folder, "--baseline", folder]).0, 0, "it is there already");

        let (code, json) = run(&world, &["check", folder, "--format", "json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((code, &json["admitted"]), (1, &Value::from(false)));
        assert!(json["unread"][0]["source"].as_str().unwrap().ends_with(".json"), "{json}");
        let (code, sarif) = run(&world, &["check", folder, "--format", "sarif"]);
        let sarif: Value = serde_json::from_str(&sarif).unwrap();
        let said = &sarif["runs"][0]["invocations"][0]["toolExecutionNotifications"];
        assert!(code == 1 && said[0]["message"]["text"].as_str().unwrap().contains("could not be read"), "{said}");
    }
    // Of a file that was asked for by its name the reason is told, whatever it is called.
    world.write("files/cut.json", "{\"a\": ");
    let (code, text) = run(&world, &["check", "cut.json"]);
    assert!(code == 1 && text.contains("cut.json:1: ") && !text.contains("declares no servers"), "{code} {text}");
    // What is known once it is made is said and denies nothing.
    world.write("files/terraform/main.tf", "resource \"aws_iam_user\" \"u\" {}\n");
    let (code, text) = run(&world, &["check", "terraform"]);
    assert!(code == 0 && text.contains("not known yet: "), "{code} {text}");
    // An account that cannot be read is none to judge against.
    world.write("files/account.json", "{\"UserDetailList\": [");
    assert_eq!(run(&world, &["check", "new.json", "--baseline", "old.json", "--cloud", "account.json"]).0, 1);
    assert_eq!(run(&world, &["check", "old.json", "--baseline", "old.json", "--cloud", "account.json"]).0, 1);
}

#[test]
fn inventories_and_organisation_files_count_among_the_others_of_a_folder() {
    let world = World::bare();
    world.write("files/estate/account.json", &ACCOUNT.replace("\"s3:GetObject\"", "\"sts:AssumeRole\""));
    let (code, text) = run(&world, &["check", "estate"]);
    assert!(code == 1 && text.contains("user/ann can get administrator"), "{text}");
    let denies = json!([[{"Statement": [{"Effect": "Deny", "Action": "sts:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "Resource": "*"}]}]]);
    let organisation = json!({"ServiceControlPolicies": {"111122223333": denies}}).to_string();
    world.write("files/estate/organisation.json", &organisation);
    let named = ["check", "estate/account.json", "estate/organisation.json"];
    for words in [&["check", "estate"][..], &named] {
        let (_, text) = run(&world, words);
        let is_denied = !text.contains("user/ann can get administrator");
        assert!(is_denied && text.contains("role/boss can get") && !text.contains("could not be read"), "{text}");
    }
    let (_, text) = run(&world, &["scan", "estate/organisation.json", "--fail-on", "never"]);
    assert!(!text.contains("declares no servers"), "{text}");
}

#[test]
fn in_the_root_folder_an_address_stays_one() {
    let world = World::bare();
    world.write("files/.mcp.json", r#"{"mcpServers": {"docs": {"url": "https://docs.example/mcp"}}}"#);
    let path = world.path("files/.mcp.json");
    let mut command = world.command(env!("CARGO_BIN_EXE_bailiwick"));
    command.current_dir("/").args(["check", path.to_str().unwrap(), "--format", "json"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("https://docs.example") && !text.contains("https:./"), "{text}");
}

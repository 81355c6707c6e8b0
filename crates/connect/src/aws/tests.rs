//! Exports, inventories, organisation files and plans of our own, whole and broken.

use graph::aws::attack::derive;
use graph::aws::estate::{PolicyId, StatementId};
use graph::aws::observed::Uses;
use graph::aws::{Context, Truth, decide, query};
use graph::step::paths::{Target, find};

use super::{Loaded, add};

const DETAILS: &str = r#"{
  "UserDetailList": [
    {"UserName": "ann", "Arn": "arn:aws:iam::111122223333:user/ann", "UserId": "AIDAANN", "GroupList": ["team"],
     "UserPolicyList": [
       {"PolicyName": "inline", "PolicyDocument":
         "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3AGetObject%22%2C%22Resource%22%3A%22%2A%22%7D%7D"}
     ]}
  ],
  "GroupDetailList": [
    {"GroupName": "team", "Arn": "arn:aws:iam::111122223333:group/team",
     "AttachedManagedPolicies": [{"PolicyName": "deploy", "PolicyArn": "arn:aws:iam::111122223333:policy/deploy"}]}
  ],
  "RoleDetailList": [
    {"RoleName": "runner", "Arn": "arn:aws:iam::111122223333:role/runner",
     "AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]},
     "AttachedManagedPolicies": [{"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}]}
  ],
  "Policies": [
    {"PolicyName": "deploy", "Arn": "arn:aws:iam::111122223333:policy/deploy", "DefaultVersionId": "v1", "PolicyVersionList": [
      {"VersionId": "v1", "IsDefaultVersion": true, "Document": {"Statement": [
        {"Effect": "Allow",
         "Action": ["lambda:UpdateFunctionCode", "lambda:InvokeFunction"],
         "Resource": "*"}
      ]}}]}
  ]
}"#;

const FUNCTIONS: &str = r#"{"Functions": [{"FunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:f", "Role": "arn:aws:iam::111122223333:role/runner"}]}"#;

fn loaded(texts: &[&str]) -> Loaded {
    let mut loaded = Loaded::default();
    for text in texts {
        add(&mut loaded, "account.json", text);
    }
    loaded.estate.link();
    loaded
}

fn to_administrator(loaded: Loaded, who: &str) -> Truth {
    let derived = derive(loaded.estate);
    let who = derived.estate.find(who).unwrap();
    find(&derived.steps, &Target::crowns(&derived.steps), Some(who)).paths.first().map_or(Truth::No, |path| path.truth)
}

#[test]
fn an_export_is_read_with_encoded_policies_and_lines() {
    let loaded = loaded(&[DETAILS]);
    assert_eq!(loaded.unread, []);
    let ann = loaded.estate.find("ann").unwrap();
    assert_eq!(decide(&loaded.estate, ann, "s3:GetObject", "arn:aws:s3:::b/x").verdict, Truth::Yes);
    let answer =
        decide(&loaded.estate, ann, "lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:111122223333:function:f");
    assert_eq!(loaded.estate.statement(answer.allows[0].statement).unwrap().line, Some(21));
}

#[test]
fn pages_of_an_export_in_one_list_are_one_export() {
    let loaded = loaded(&[&format!("[{DETAILS}, {FUNCTIONS}]")]);
    assert_eq!(loaded.unread, []);
    assert_eq!(to_administrator(loaded, "ann"), Truth::Yes);
}

#[test]
fn an_inventory_turns_a_possible_path_into_a_certain_one() {
    assert_eq!(to_administrator(loaded(&[DETAILS]), "ann"), Truth::Unknown);
    assert_eq!(to_administrator(loaded(&[DETAILS, FUNCTIONS]), "ann"), Truth::Yes);
    assert_eq!(to_administrator(loaded(&[DETAILS, r#"{"Functions": []}"#]), "ann"), Truth::No);
}

#[test]
fn an_organisation_limits_its_accounts() {
    let organisation = r#"{"ServiceControlPolicies": {"111122223333": [[
        {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "lambda:Update*", "Resource": "*"}]}]]}}"#;
    assert_eq!(to_administrator(loaded(&[DETAILS, FUNCTIONS, organisation]), "ann"), Truth::No);
}

#[test]
fn what_is_broken_is_said_with_its_line_and_the_rest_is_read() {
    let broken =
        DETAILS.replace("\"Effect\": \"Allow\",\n         \"Action\"", "\"Effect\": \"Perhaps\",\n         \"Action\"");
    let loaded = loaded(&[&broken, "{\"UserDetailList\": [", "[1, 2]"]);
    let reasons: Vec<String> = loaded.unread.iter().map(|one| format!("{:?} {}", one.line, one.reason)).collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(reasons[0].contains("statement 0 has no `Effect`"), "{reasons:?}");
    let ann = loaded.estate.find("ann").unwrap();
    let verdict = decide(&loaded.estate, ann, "s3:GetObject", "arn:aws:s3:::b/x").verdict;
    assert_eq!(verdict, Truth::Unknown, "what her group has and nobody could read may deny");
    assert!(!decide(&loaded.estate, loaded.estate.find("team").unwrap(), "s3:GetObject", "*").gaps.is_empty());
}

/// Every ARN of what the plan makes is unknown in it: the attachments show only in the configuration.
const PLAN: &str = r#"{
  "planned_values": {"root_module": {"resources": [
    {"mode": "managed", "type": "aws_iam_role", "name": "runner", "values": {"name": "runner-role",
      "assume_role_policy": "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"lambda.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}}"}},
    {"mode": "managed", "type": "aws_iam_role_policy_attachment", "name": "all", "values": {"role": "runner-role", "policy_arn": "arn:aws:iam::aws:policy/AdministratorAccess"}},
    {"mode": "managed", "type": "aws_iam_user", "name": "ann", "values": {"name": "ann"}},
    {"mode": "managed", "type": "aws_iam_policy", "name": "deploy", "values": {"name": "deploy",
      "policy": "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":[\"lambda:UpdateFunctionCode\",\"lambda:InvokeFunction\"],\"Resource\":\"*\"}}"}},
    {"mode": "managed", "type": "aws_iam_user_policy_attachment", "name": "deploy", "values": {"user": "ann"}},
    {"mode": "managed", "type": "aws_lambda_function", "name": "bot", "values": {"function_name": "bot"}}
  ]}},
  "configuration": {"root_module": {"resources": [
    {"type": "aws_iam_user_policy_attachment", "name": "deploy", "expressions": {"policy_arn": {"references": ["aws_iam_policy.deploy.arn", "aws_iam_policy.deploy"]}}},
    {"type": "aws_lambda_function", "name": "bot", "expressions": {"role": {"references": ["aws_iam_role.runner.arn", "aws_iam_role.runner"]}}}
  ]}}
}"#;

#[test]
fn a_plan_is_followed_through_the_references_of_its_configuration() {
    let planned = loaded(&[PLAN]);
    assert_eq!(planned.unread, []);
    assert_eq!(to_administrator(planned, "ann"), Truth::Yes);
    let detached = PLAN.replace("aws_iam_policy.deploy", "aws_iam_policy.other");
    let planned = loaded(&[&detached]);
    assert_eq!(planned.unread.len(), 1, "{:?}", planned.unread);
    assert_eq!(to_administrator(planned, "ann"), Truth::No);
}

/// A user who may change and start a job in one region, or on any resource, and the role of the job.
fn job(resource: &str) -> String {
    let grant = |action: &str, resource: &str| {
        format!(r#"{{"Effect": "Allow", "Action": {action}, "Resource": "{resource}"}}"#)
    };
    let statements = [
        grant(r#"["glue:UpdateJob", "glue:StartJobRun"]"#, resource),
        grant(r#""iam:PassRole""#, "arn:aws:iam::111122223333:role/etl"),
    ];
    format!(
        r#"{{"UserDetailList": [{{"UserName": "dev", "Arn": "arn:aws:iam::111122223333:user/dev", "UserPolicyList": [
          {{"PolicyName": "p", "PolicyDocument": {{"Statement": [{}]}}}}]}}],
         "RoleDetailList": [{{"RoleName": "etl", "Arn": "arn:aws:iam::111122223333:role/etl",
          "AssumeRolePolicyDocument": {{"Statement": [{{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"Service": "glue.amazonaws.com"}}}}]}},
          "AttachedManagedPolicies": [{{"PolicyName": "a", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}}]}}]}}"#,
        statements.join(", ")
    )
}

#[test]
fn what_is_in_a_region_that_nobody_said_may_be_in_any() {
    let jobs = r#"{"Jobs": [{"Name": "etl", "Role": "arn:aws:iam::111122223333:role/etl"}]}"#;
    let path = |resource: &str, jobs: &str| to_administrator(loaded(&[&job(resource), jobs]), "dev");
    for region in ["eu-west-1", "us-east-1"] {
        let there = format!("arn:aws:glue:{region}:111122223333:job/etl");
        assert_eq!(path(&there, jobs), Truth::Unknown, "{region}");
        assert_eq!(path(&there.replace("etl", "other"), jobs), Truth::No, "the job is another");
        let said = jobs.replace("\"Name\"", &format!("\"Key\": \"arn:aws:kms:{region}:111122223333:key/k\", \"Name\""));
        assert_eq!(path(&there, &said), Truth::Yes, "an ARN beside it says the region");
        assert_eq!(path(&there.replace(region, "ap-south-1"), &said), Truth::No, "and that it is no other");
    }
    assert_eq!(path("*", jobs), Truth::Yes);
}

#[test]
fn an_instance_is_in_the_region_of_its_zone_until_it_is_terminated() {
    let arns = |zone: &str, state: &str| {
        let instance = format!(
            r#"{{"Reservations": [{{"OwnerId": "111122223333", "Instances": [{{"InstanceId": "i-1", "State": {{"Name": "{state}"}},
                "Placement": {{"AvailabilityZone": "{zone}"}}}}]}}]}}"#
        );
        let estate = loaded(&[&instance]).estate;
        assert!(estate.listed.contains("ec2-instance"));
        estate.workloads.into_iter().map(|one| one.arn).collect::<Vec<_>>()
    };
    for (zone, region) in [
        ("eu-west-1a", "eu-west-1"),
        ("us-west-2-lax-1a", "us-west-2"),
        ("us-east-1-wl1-bos-wlz-1", "us-east-1"),
        ("us-gov-west-1b", "us-gov-west-1"),
        ("", "*"),
    ] {
        assert_eq!(arns(zone, "running"), [format!("arn:aws:ec2:{region}:111122223333:instance/i-1")]);
    }
    assert_eq!(arns("eu-west-1a", "terminated"), [] as [String; 0]);
}

#[test]
fn a_knowledge_base_is_where_its_agent_is() {
    let loaded = loaded(&[AGENT, &JOINED.replace("bedrock:us-east-1", "bedrock:eu-west-1")]);
    let base = loaded.estate.joints.iter().find(|joint| joint.relation == "knowledge-base").unwrap();
    assert_eq!(base.resource, "arn:aws:bedrock:eu-west-1:111122223333:knowledge-base/K1");
}

/// A user who may do something, and a role with everything that a service takes.
fn served(action: &str, service: &str) -> String {
    job("*").replace("[\"glue:UpdateJob\", \"glue:StartJobRun\"]", &format!("\"{action}\"")).replace("glue.", service)
}

#[test]
fn a_task_runs_as_its_definition_says() {
    let account = served("ecs:ExecuteCommand", "ecs-tasks.");
    let task = r#"{"tasks": [{"taskArn": "arn:aws:ecs:eu-west-1:111122223333:task/main/1", "clusterArn": "arn:aws:ecs:eu-west-1:111122223333:cluster/main",
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:3", "overrides": {"containerOverrides": [{"name": "web"}]},
        "containers": [{"containerArn": "arn:aws:ecs:eu-west-1:111122223333:container/main/1/2", "taskArn": "arn:aws:ecs:eu-west-1:111122223333:task/main/1"}]}], "failures": []}"#;
    let definition = |rest: &str| {
        format!(
            r#"{{"taskDefinition": {{"taskDefinitionArn": "arn:aws:ecs:eu-west-1:111122223333:task-definition/web:3", "family": "web"{rest}}}}}"#
        )
    };
    fn path(texts: &[&str]) -> Truth {
        to_administrator(loaded(texts), "dev")
    }
    assert_eq!(path(&[&account, task]), Truth::Unknown, "its definition is not in the files");
    let own = r#", "taskRoleArn": "arn:aws:iam::111122223333:role/etl""#;
    assert_eq!(path(&[&account, task, &definition(own)]), Truth::Yes);
    assert_eq!(path(&[&account, task, &definition("")]), Truth::No, "its definition has no role");
    assert_eq!(path(&[&account, task, &definition(own).replace("web:3", "web:4")]), Truth::Unknown);
    let overridden =
        task.replace("\"overrides\": {", r#""overrides": {"taskRoleArn": "arn:aws:iam::111122223333:role/etl", "#);
    assert_eq!(path(&[&account, &overridden]), Truth::Yes);
    assert_eq!(path(&[&account, r#"{"tasks": [], "failures": []}"#]), Truth::No);
}

#[test]
fn what_is_mentioned_without_its_role_is_there_with_whatever_role() {
    let account = served("sagemaker:CreatePresignedNotebookInstanceUrl", "sagemaker.");
    let listed = r#"{"NotebookInstances": [{"NotebookInstanceName": "nb", "NotebookInstanceArn": "arn:aws:sagemaker:eu-west-1:111122223333:notebook-instance/nb"}]}"#;
    let one = account.replace(
        "\"Resource\": \"*\"",
        "\"Resource\": \"arn:aws:sagemaker:eu-west-1:111122223333:notebook-instance/nb\"",
    );
    assert_eq!(to_administrator(loaded(&[&one, listed]), "dev"), Truth::Unknown);
    let described = listed.replace("\"nb\",", r#""nb", "RoleArn": "arn:aws:iam::111122223333:role/etl","#);
    assert_eq!(to_administrator(loaded(&[&one, listed, &described]), "dev"), Truth::Yes);
    let other = described.replace("role/etl", "role/other");
    assert_eq!(to_administrator(loaded(&[&one, listed, &other]), "dev"), Truth::No);
}

#[test]
fn an_alias_of_a_listed_function_is_no_other_function() {
    let alias = r#"{"EventSourceMappings": [{"UUID": "1", "FunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:f:live"}]}"#;
    let loaded = loaded(&[DETAILS, FUNCTIONS, alias]);
    assert!(loaded.estate.unsaid.is_empty(), "{:?}", loaded.estate.unsaid);
}

#[test]
fn a_described_function_has_the_image_of_its_code() {
    let answer = r#"{"Configuration": {"FunctionArn": "arn:aws:lambda:eu-west-1:111122223333:function:f", "Role": "arn:aws:iam::111122223333:role/etl"},
        "Code": {"ImageUri": "111122223333.dkr.ecr.eu-west-1.amazonaws.com/f:latest"}}"#;
    let joints = loaded(&[answer]).estate.joints;
    let image = joints.iter().find(|joint| joint.relation == "image").unwrap();
    assert_eq!(image.workload, "arn:aws:lambda:eu-west-1:111122223333:function:f");
    assert_eq!(image.resource, "arn:aws:ecr:eu-west-1:111122223333:repository/f");
}

/// A small account: who writes what an agent reads, and a role of an agent and of its function.
const AGENT: &str = r#"{"UserDetailList": [{"UserName": "ann", "Arn": "arn:aws:iam::111122223333:user/ann", "UserPolicyList": [
  {"PolicyName": "p", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": "arn:aws:s3:::docs/*"}]}}]}],
 "GroupDetailList": [], "Policies": [], "RoleDetailList": [{"RoleName": "agent", "Arn": "arn:aws:iam::111122223333:role/agent",
  "AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": ["bedrock.amazonaws.com", "lambda.amazonaws.com"]}}]},
  "RolePolicyList": [], "AttachedManagedPolicies": [{"PolicyName": "a", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}]}]}"#;
const JOINED: &str = r#"[
 {"agent": {"agentId": "A1", "agentArn": "arn:aws:bedrock:us-east-1:111122223333:agent/A1", "agentResourceRoleArn": "arn:aws:iam::111122223333:role/agent"}},
 {"agentKnowledgeBase": {"agentId": "A1", "knowledgeBaseId": "K1"}},
 {"dataSource": {"knowledgeBaseId": "K1", "dataSourceConfiguration": {"s3Configuration": {"bucketArn": "arn:aws:s3:::docs"}}}},
 {"FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:f", "Role": "arn:aws:iam::111122223333:role/agent"},
 {"FunctionUrlConfigs": [{"FunctionUrl": "https://x.example/", "FunctionArn": "arn:aws:lambda:us-east-1:111122223333:function:f", "AuthType": "NONE"}]}
]"#;

#[test]
fn what_an_agent_is_joined_to_is_read_from_its_inventory() {
    let kinds = |joined: &str| {
        let mut loaded = Loaded::default();
        add(&mut loaded, "accounts.json", AGENT);
        add(&mut loaded, "agents.json", joined);
        assert_eq!(loaded.unread, []);
        loaded.estate.link();
        let steps = loaded.world().steps;
        let agent = steps.find("role/agent").unwrap();
        let found: std::collections::BTreeSet<&str> =
            steps.steps.iter().filter(|step| step.to == agent).map(|step| step.kind.id).collect();
        found.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(kinds(JOINED), ["bedrock-poison-bucket", "lambda-public-url"]);
    assert_eq!(kinds(&JOINED.replace("\"NONE\"", "\"AWS_IAM\"")), ["bedrock-poison-bucket"]);
    assert_eq!(kinds(&JOINED.replace("arn:aws:s3:::docs", "arn:aws:s3:::other")), ["lambda-public-url"]);
    assert_eq!(
        kinds(&JOINED.replace("\"agentId\": \"A1\", \"knowledgeBaseId\"", "\"agentId\": \"A2\", \"knowledgeBaseId\"")),
        ["lambda-public-url"]
    );
}

/// What those outside of the files get of the agent whose knowledge lies in a bucket with this policy.
fn from_outside(policy: &str) -> Vec<(String, &'static str, Truth)> {
    let mut loaded = Loaded::default();
    let text = serde_json::json!({ "Policy": policy }).to_string();
    for (name, text) in [("accounts.json", AGENT), ("agents.json", JOINED), ("policy.json", text.as_str())] {
        add(&mut loaded, name, text);
    }
    assert_eq!(loaded.unread, [], "{policy}");
    loaded.link();
    let steps = loaded.world().steps;
    let poisons = steps.steps.iter().filter(|step| step.kind.id == "bedrock-poison-bucket");
    let outside = poisons.filter(|step| steps.nodes[step.from].kind == graph::step::NodeKind::Outside);
    outside.map(|step| (steps.name(step.from).to_owned(), step.kind.id, step.truth)).collect()
}

#[test]
fn who_writes_what_an_agent_reads_may_be_named_by_the_buckets_own_policy_alone() {
    let kind = "bedrock-poison-bucket";
    let policy = |rest: &str| {
        format!(
            r#"{{"Statement": [{{"Effect": "Allow", "Resource": "arn:aws:s3:::docs/*", "Action": "s3:Put*", {rest}}}]}}"#
        )
    };
    let anyone = ("anyone with an AWS account".to_owned(), kind, Truth::Unknown);
    assert_eq!(from_outside(&policy(r#""Principal": "*""#)), [anyone]);
    let other = ("arn:aws:iam::444455556666:root".to_owned(), kind, Truth::Unknown);
    assert_eq!(from_outside(&policy(r#""Principal": {"AWS": "444455556666"}"#)), [other]);
    for (closed, why) in [
        (policy(r#""Principal": {"AWS": "arn:aws:iam::111122223333:root"}"#), "the own account"),
        (policy(r#""Principal": {"Service": "s3.amazonaws.com"}"#), "a service"),
        (policy(r#""Principal": "*""#).replace("s3:Put*", "s3:Get*"), "reading is no writing"),
        (policy(r#""Principal": "*""#).replace("docs/*", "docs/public/*"), "not what the agent is filled from"),
        (
            policy(r#""Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": "111122223333"}}"#)
                .replace("\"AWS\": \"*\"", ""),
            "a condition that only the own account meets",
        ),
        (
            policy(r#""Principal": "*""#).replace(
                "]}",
                r#", {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "arn:aws:s3:::docs/*"}]}"#,
            ),
            "a deny",
        ),
    ] {
        assert_eq!(from_outside(&closed), [], "{why}: {closed}");
    }
}

#[test]
fn a_resources_policy_is_read_as_it_is_answered() {
    let read = |text: &str| {
        let mut loaded = Loaded::default();
        add(&mut loaded, "policy.json", text);
        let unread = loaded.unread.iter().map(|one| one.reason.clone()).collect::<Vec<_>>();
        (loaded.estate.resource_policies.into_keys().collect::<Vec<_>>(), unread)
    };
    let answer = |resource: &str| {
        let document = format!(
            r#"{{"Statement": [{{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": {resource}}}]}}"#
        );
        serde_json::json!({ "Policy": document }).to_string()
    };
    let bucket = r#"["arn:aws:s3:::docs", "arn:aws:s3:::docs/*"]"#;
    assert_eq!(read(&answer(bucket)), (vec!["arn:aws:s3:::docs".to_owned()], Vec::new()));
    let (read_of, unread) = read(&answer("\"*\""));
    assert!(read_of.is_empty() && unread[0].contains("does not say whose policy it is"), "{unread:?}");
    let secret =
        r#"{"ARN": "arn:aws:secretsmanager:us-east-1:111122223333:secret:s", "ResourcePolicy": "{\"Statement\": []}"}"#;
    assert_eq!(read(secret).0, ["arn:aws:secretsmanager:us-east-1:111122223333:secret:s"]);
}

#[test]
fn who_is_let_in_from_outside_is_told_of_a_resource_and_of_a_role() {
    let mut loaded = Loaded::default();
    add(
        &mut loaded,
        "accounts.json",
        &AGENT.replace(r#"{"Service": ["bedrock"#, r#"{"AWS": "444455556666", "Service": ["bedrock"#),
    );
    let policy = r#"{"ResourcePolicies": {"arn:aws:s3:::docs": {"Statement": [
      {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::docs/*"},
      {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/ann"}, "Action": "s3:PutObject", "Resource": "arn:aws:s3:::docs/*"}]}}}"#;
    add(&mut loaded, "policy.json", policy);
    loaded.link();
    let outside = |action: &str, resource: &str| {
        let found = query::who_can_outside(&loaded.estate, action, resource, &Context::default());
        found.into_iter().map(|(name, answer)| (name, answer.verdict)).collect::<Vec<_>>()
    };
    let docs = "arn:aws:s3:::docs/x";
    // Whether public access is blocked, nothing says.
    assert_eq!(outside("s3:GetObject", docs), [("anyone with an AWS account".to_owned(), Truth::Unknown)]);
    assert_eq!(outside("s3:PutObject", docs), []);
    let role = outside("sts:AssumeRole", "arn:aws:iam::111122223333:role/agent");
    assert_eq!(role, [("arn:aws:iam::444455556666:root".to_owned(), Truth::Yes)]);
}

/// A user who may start instances with a role that has no instance profile, and a role of instances.
const PROFILES: &str = r#"{"UserDetailList": [{"UserName": "ann", "Arn": "arn:aws:iam::111122223333:user/ann", "UserPolicyList": [
  {"PolicyName": "p", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Resource": "*",
    "Action": ["ec2:RunInstances", "iam:PassRole", "iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile"]}]}}]}],
 "RoleDetailList": [{"RoleName": "boss", "Arn": "arn:aws:iam::111122223333:role/boss",
  "AssumeRolePolicyDocument": {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]},
  "AttachedManagedPolicies": [{"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}]}]}"#;

#[test]
fn a_role_without_an_instance_profile_gets_one_from_who_may_fill_profiles() {
    assert_eq!(to_administrator(loaded(&[PROFILES]), "ann"), Truth::Yes);
    for needed in ["iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile"] {
        let lacks = PROFILES.replace(needed, "iam:GetRole");
        assert_eq!(to_administrator(loaded(&[&lacks]), "ann"), Truth::No, "{needed}");
    }
}

#[test]
fn other_partitions_are_judged_like_the_first() {
    for partition in ["aws-us-gov", "aws-cn"] {
        let there = |text: &str| text.replace("arn:aws:", &format!("arn:{partition}:"));
        assert_eq!(to_administrator(loaded(&[&there(PROFILES)]), "ann"), Truth::Yes);
        let narrow = there(PROFILES).replace(
            "\"Resource\": \"*\"",
            &format!("\"Resource\": [\"arn:{partition}:ec2:*:*:instance/*\", \"arn:{partition}:iam::*:*\"]"),
        );
        assert_eq!(to_administrator(loaded(&[&narrow]), "ann"), Truth::Yes);
        assert_eq!(to_administrator(loaded(&[&there(DETAILS), &there(FUNCTIONS)]), "ann"), Truth::Yes);
    }
}

#[test]
fn a_policy_of_the_role_that_no_file_holds_leaves_the_way_in_possible() {
    let account = |policy: &str| {
        AGENT
            .replace(
                "\"s3:PutObject\"], \"Resource\": \"arn:aws:s3:::docs/*\"",
                "\"ssm:StartSession\"], \"Resource\": \"*\"",
            )
            .replace("\"bedrock.amazonaws.com\", \"lambda.amazonaws.com\"", "\"ec2.amazonaws.com\"")
            .replace("\"RolePolicyList\": []", "\"InstanceProfileList\": [{\"InstanceProfileName\": \"p\"}]")
            .replace("arn:aws:iam::aws:policy/AdministratorAccess", policy)
    };
    let instances = r#"{"Reservations": [{"OwnerId": "111122223333", "Instances": [{"InstanceId": "i-1",
        "IamInstanceProfile": {"Arn": "arn:aws:iam::111122223333:instance-profile/p"}}]}]}"#;
    let step = |policy: &str| {
        let steps = derive(loaded(&[&account(policy), instances]).estate).steps;
        let found = steps.steps.iter().find(|step| step.kind.id == "ssm-start-session").map(|step| step.truth);
        found.unwrap_or_default()
    };
    assert_eq!(step("arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"), Truth::Yes, "AWS's own text is known");
    assert_eq!(step("arn:aws:iam::111122223333:policy/unknown"), Truth::Unknown);
    assert_eq!(step("arn:aws:iam::aws:policy/AWSSupportAccess"), Truth::No);
}

#[test]
fn a_template_is_said_to_be_one() {
    let template =
        "apiVersion: v1\nkind: Role\nmetadata:\n  name: {{ include \"a.name\" . }}\n  {{- with .Values.b }}\n";
    let mut loaded = Loaded::default();
    add(&mut loaded, "templates/role.yaml", template);
    assert!(loaded.unread[0].reason.contains("`helm template`"), "{:?}", loaded.unread);
}

#[test]
fn a_policy_that_cannot_be_read_may_deny() {
    let broken = DETAILS.replace("{\"PolicyName\": \"inline\"", "{\"PolicyName\": \"torn\", \"PolicyDocument\": {\"Statement\": {\"Effect\": \"Deny\", \"Action\": \"*\", \"Resource\": \"*\", \"Condition\": []}}},\n       {\"PolicyName\": \"inline\"");
    let of_user = loaded(&[&broken]);
    assert_eq!(of_user.unread.len(), 1);
    let ann = of_user.estate.find("ann").unwrap();
    let answer = decide(&of_user.estate, ann, "s3:GetObject", "arn:aws:s3:::b/x");
    assert_eq!(answer.verdict, Truth::Unknown);
    assert!(answer.gaps.iter().any(|gap| gap.contains("torn")), "{:?}", answer.gaps);
    let limits = r#"{"ServiceControlPolicies": {"111122223333": [[{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}, {"Statement": {"Effect": "Denied"}}]]}}"#;
    let of_account = loaded(&[DETAILS, limits]);
    assert_eq!(decide(&of_account.estate, ann, "s3:GetObject", "arn:aws:s3:::b/x").verdict, Truth::Unknown);
}

/// A record of CloudTrail by ann or by a session of the role, with the rest of its fields.
fn record(by: &str, source: &str, name: &str, rest: &str) -> String {
    let who = match by {
        "ann" => r#"{"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ann"}"#,
        _ => {
            r#"{"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/runner/s", "sessionContext":
                {"sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/runner"}}}"#
        }
    };
    format!(
        r#"{{"eventTime": "2026-10-01T08:00:00Z", "eventSource": "{source}.amazonaws.com", "eventName": "{name}", "userIdentity": {who}{rest}}}"#
    )
}

#[test]
fn what_rests_on_a_statement_is_what_is_allowed_with_it_and_not_without_it() {
    let code = r#", "requestParameters": {"functionName": "f"}"#;
    let object =
        r#", "resources": [{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k"}, {"ARN": "arn:aws:s3:::b"}]"#;
    let records = [
        record("ann", "lambda", "UpdateFunctionCode20150331v2", code),
        record("ann", "s3", "GetObject", object),
        record("runner", "s3", "GetObject", object),
        record("ann", "s3", "HeadObject", r#", "requestParameters": {"bucketName": "b", "key": "k"}"#),
        record("ann", "s3", "PutObject", object),
        record("ann", "lambda", "Invoke", &format!(r#"{code}, "errorCode": "AccessDenied""#)),
        r#"{"eventSource": "s3.amazonaws.com", "eventName": "GetObject"}"#.to_owned(),
    ];
    let loaded = loaded(&[DETAILS, &format!(r#"{{"Records": [{}]}}"#, records.join(","))]);
    let unread: Vec<&str> = loaded.unread.iter().map(|unread| unread.reason.as_str()).collect();
    assert_eq!(unread, ["1 record of CloudTrail without a time or a caller"]);
    let estate = &loaded.estate;
    let uses = Uses::new(estate);
    let of = |policy: &str| {
        let id = (0..).map(PolicyId).find(|id| estate.policy(*id).unwrap().name == policy).unwrap();
        uses.told(StatementId { policy: id, statement: 0 }).unwrap()
    };
    let at = "the last at 2026-10-01T08:00:00Z";
    let times =
        |action: &str, times: &str| format!("would stop what was observed: {action} by user/ann, {times}, {at}");
    assert_eq!(of("deploy"), times("lambda:UpdateFunctionCode", "1 time"));
    assert_eq!(of("inline"), times("s3:GetObject", "2 times"));
}

#[test]
fn a_role_that_a_call_hands_over_is_passed_by_it() {
    let passes = DETAILS.replace("\"lambda:UpdateFunctionCode\", \"lambda:InvokeFunction\"", "\"iam:PassRole\"");
    let role = r#", "requestParameters": {"role": "arn:aws:iam::111122223333:role/runner"}"#;
    let trail = record("ann", "lambda", "CreateFunction20150331", role);
    let loaded = loaded(&[&passes, &trail]);
    let id = (0..).map(PolicyId).find(|id| loaded.estate.policy(*id).unwrap().name == "deploy").unwrap();
    let told = Uses::new(&loaded.estate).told(StatementId { policy: id, statement: 0 }).unwrap();
    assert!(told.contains("stop what was observed: iam:PassRole by user/ann, 1 time"), "{told}");
}

/// An account in which what is allowed hangs on conditions and on whom policies of resources let in.
const LET_IN: &str = r#"{"UserDetailList": [{"UserName": "ann", "Arn": "arn:aws:iam::111122223333:user/ann", "UserPolicyList": [
  {"PolicyName": "bucket", "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::b"}}},
  {"PolicyName": "objects", "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}}},
  {"PolicyName": "anywhere", "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}}},
  {"PolicyName": "inside", "PolicyDocument": {"Statement": {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*",
    "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}}}]}],
 "RoleDetailList": [{"RoleName": "r", "Arn": "arn:aws:iam::111122223333:role/r", "AssumeRolePolicyDocument": {"Statement": [
  {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:root"}, "Action": "sts:AssumeRole"},
  {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
  {"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.example"},
   "Action": "sts:AssumeRoleWithWebIdentity"}]}}]}"#;

#[test]
fn what_may_have_been_allowed_by_a_statement_alone_is_never_said_to_be_safe() {
    let role = r#", "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/r"}"#;
    let from = |who: &str, source: &str, name: &str, rest: &str| {
        format!(
            r#"{{"eventTime": "2026-10-01T08:00:00Z", "eventSource": "{source}.amazonaws.com", "eventName": "{name}", "userIdentity": {who}{rest}}}"#
        )
    };
    let ann = r#"{"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ann"}"#;
    let object = r#", "resources": [{"ARN": "arn:aws:s3:::b"}, {"ARN": "arn:aws:s3:::b/k"}]"#;
    let foreign = r#"{"type": "AWSAccount", "accountId": "444455556666"}"#;
    let service = r#"{"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}"#;
    let web =
        r#"{"type": "WebIdentityUser", "identityProvider": "arn:aws:iam::111122223333:oidc-provider/token.example"}"#;
    let records = [
        from(ann, "s3", "GetObject", object),
        from(ann, "s3", "PutObject", r#", "requestParameters": {"bucketName": "b", "key": "k"}"#),
        from(foreign, "sts", "AssumeRole", role),
        from(service, "sts", "AssumeRole", role),
        from(web, "sts", "AssumeRoleWithWebIdentity", role),
    ];
    // A notification of S3 looks like a record and is none.
    let notification = r#"{"eventVersion": "2.1", "eventSource": "aws:s3", "eventTime": "1970-01-01T00:00:00Z", "eventName": "ObjectCreated:Put"}"#;
    let loaded = loaded(&[LET_IN, &format!(r#"{{"Records": [{}, {notification}]}}"#, records.join(","))]);
    let uses = Uses::new(&loaded.estate);
    let told = |policy: &str, statement: u32| {
        let id = (0..).map(PolicyId).find(|id| loaded.estate.policy(*id).unwrap().name == policy).unwrap();
        uses.told(StatementId { policy: id, statement }).unwrap()
    };
    let at = "1 time, the last at 2026-10-01T08:00:00Z";
    let stops = |what: &str| format!("would stop what was observed: {what}, {at}");
    assert!(
        told("bucket", 0).starts_with("would stop what was observed: s3:GetObject by user/ann"),
        "the bucket is named"
    );
    assert_eq!(told("objects", 0), stops("s3:GetObject by user/ann"), "each resource that a record names counts");
    assert_eq!(told("anywhere", 0), format!("may stop: s3:PutObject by user/ann, {at}"), "the other has a condition");
    assert!(told("inside", 0).starts_with("breaks nothing that was observed: no call of 5 records"));
    let trust = "trust policy of r";
    assert_eq!(told(trust, 0), stops("sts:AssumeRole by account 444455556666"));
    assert_eq!(told(trust, 1), stops("sts:AssumeRole by lambda.amazonaws.com"));
    assert_eq!(
        told(trust, 2),
        stops("sts:AssumeRoleWithWebIdentity by arn:aws:iam::111122223333:oidc-provider/token.example")
    );
}

#[test]
fn a_block_of_public_access_keeps_out_whom_a_public_policy_lets_in() {
    let account = r#"{"UserDetailList": [{"UserName": "ann", "Arn": "arn:aws:iam::111122223333:user/ann"}], "RoleDetailList": []}"#;
    let statement = |principal: &str, condition: &str| {
        format!(
            r#"{{"Effect": "Allow", "Principal": {principal}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"{condition}}}"#
        )
    };
    let everybody = statement("\"*\"", "");
    let named = statement(r#"{"AWS": "arn:aws:iam::444455556666:root"}"#, "");
    let only = |key: &str, value: &str| {
        statement("\"*\"", &format!(r#", "Condition": {{"StringEquals": {{"{key}": "{value}"}}}}"#))
    };
    let verdicts = |statements: &[&str], blocks: &str| {
        let policy =
            format!(r#"{{"ResourcePolicies": {{"arn:aws:s3:::b": {{"Statement": [{}]}}}}}}"#, statements.join(","));
        let loaded = loaded(&[account, &policy, &format!(r#"{{"PublicAccessBlocks": {{{blocks}}}}}"#)]);
        assert_eq!(loaded.unread, []);
        let context = Context::default();
        let found = query::who_can_outside(&loaded.estate, "s3:GetObject", "arn:aws:s3:::b/x", &context);
        found.into_iter().map(|(_, answer)| answer.verdict).collect::<Vec<_>>()
    };
    let (on, off) = (r#"{"RestrictPublicBuckets": true}"#, r#"{"RestrictPublicBuckets": false}"#);
    let both = |bucket: &str, account: &str| format!(r#""arn:aws:s3:::b": {bucket}, "111122223333": {account}"#);
    assert_eq!(verdicts(&[&everybody], &both(off, off)), [Truth::Yes]);
    assert_eq!(verdicts(&[&everybody], &both(on, off)), []);
    assert_eq!(verdicts(&[&everybody], &both(off, on)), []);
    assert_eq!(
        verdicts(&[&everybody], &format!(r#""arn:aws:s3:::b": {off}"#)),
        [Truth::Unknown],
        "the account's is not known"
    );
    assert_eq!(verdicts(&[&named], &both(on, on)), [Truth::Yes], "a policy that names accounts is not public");
    assert_eq!(verdicts(&[&named, &everybody], &both(on, on)), [], "a public one lets in nobody of elsewhere");
    assert_eq!(verdicts(&[&only("aws:SourceVpc", "vpc-1")], &both(on, on)), [Truth::Unknown], "not public");
    let tagged = only("s3:ExistingObjectTag/x", "y");
    assert_eq!(verdicts(&[&tagged], &both(on, on)), [], "public, whatever the tag");
    assert_eq!(verdicts(&[&tagged], &both(off, off)), [Truth::Unknown]);
}

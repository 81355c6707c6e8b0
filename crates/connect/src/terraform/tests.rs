//! A plan that Terraform itself made of `fixture/main.tf` (what no reader needs is cut out), and changes of it.

use graph::aws::{Truth, decide};
use graph::step::paths::find;
use graph::world::Goal;
use proptest::prelude::*;

use crate::aws::{Loaded, add};

const PLAN: &str = include_str!("fixture/plan.json");

fn loaded(text: &str) -> Loaded {
    let mut loaded = Loaded::default();
    add(&mut loaded, "plan.json", text);
    loaded.link();
    loaded
}

fn administers(text: &str, who: &str) -> Truth {
    let loaded = loaded(text);
    let world = loaded.world();
    let from = world.steps.find(who).unwrap();
    let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
    found.paths.first().map_or(Truth::No, |path| path.truth)
}

#[test]
fn a_document_that_is_not_known_yet_is_made_of_its_data_source() {
    assert_eq!(administers(PLAN, "user/ann"), Truth::Yes);
    assert_eq!(administers(PLAN, "user/bob"), Truth::Yes);
    let elsewhere = PLAN.replace("aws_iam_role.runner.arn", "aws_sqs_queue.jobs.arn");
    let elsewhere = elsewhere.replace("\"aws_iam_role.runner\"", "\"aws_sqs_queue.jobs\"");
    assert_eq!(administers(&elsewhere, "user/ann"), Truth::Unknown, "what the plan does not explain may be the role");
    assert_eq!(administers(&elsewhere.replace("iam:PassRole", "iam:GetRole"), "user/ann"), Truth::No);
}

#[test]
fn a_module_is_followed_in_and_out() {
    assert_eq!(administers(PLAN, "user/counted-0"), Truth::Yes);
    assert_eq!(administers(PLAN, "user/counted-1"), Truth::No, "the index says which of the two");
    assert_eq!(
        administers(&PLAN.replace("module.policies.pass_arn", "module.policies.other"), "user/counted-0"),
        Truth::No
    );
}

#[test]
fn a_reference_stands_for_the_thing_alone() {
    let loaded = loaded(PLAN);
    let ann = loaded.estate.find("user/ann").unwrap();
    let verdict = |resource: &str| decide(&loaded.estate, ann, "iam:PassRole", resource).verdict;
    assert_eq!(verdict("arn:aws:iam::000000000000:role/runner"), Truth::Yes);
    assert_eq!(verdict("arn:aws:iam::000000000000:role/runner/more"), Truth::Unknown);
    assert_eq!(verdict("arn:aws:iam::000000000000:role/boss"), Truth::No);
}

#[test]
fn a_value_that_only_the_configuration_files_explain_is_said() {
    let loaded = loaded(PLAN);
    let reasons: Vec<&str> = loaded.unread.iter().map(|unread| unread.reason.as_str()).collect();
    let said = |part: &str| reasons.iter().any(|reason| reason.contains(part));
    assert!(said("it refers to aws_iam_role.boss.arn"), "{reasons:?}");
    assert!(said("a role that is not known before the plan is applied: local.boss.id"), "{reasons:?}");
    assert_eq!(reasons.len(), 3, "{reasons:?}");
}

#[test]
fn evidence_is_the_line_of_the_configuration_file_where_it_lies_beside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    let (main, module) = (include_str!("fixture/main.tf"), include_str!("fixture/policies/main.tf"));
    for (name, text) in [("plan.json", PLAN), ("main.tf", main), ("policies/main.tf", module)] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let loaded = crate::aws::load(&[dir.path().join("plan.json")], 0);
    let policy = |name: &str| loaded.estate.policies.iter().find(|policy| policy.name == name).unwrap();
    let line = |text: &str, part: &str| 1 + text.lines().position(|line| line.contains(part)).unwrap() as u32;
    let pass = policy("pass");
    assert_eq!(&*pass.source, dir.path().join("main.tf").display().to_string());
    assert_eq!(pass.document.statements[0].line, Some(line(main, "\"Pass\"") - 1), "the statement's own line");
    let inner = policy("pass-of-module");
    assert_eq!(&*inner.source, dir.path().join("policies/main.tf").display().to_string());
    assert_eq!(inner.document.statements[0].line, Some(line(module, "statement {")));
    let runner = loaded.estate.find("role/runner").unwrap();
    let wanted = Some(line(main, "resource \"aws_iam_role\" \"runner\""));
    assert_eq!(loaded.estate.principals[runner].line, wanted);
}

#[test]
fn circles_end() {
    let circle = PLAN.replace("\"var.role\"", "\"module.policies.pass_arn\"").replace(
        "\"expression\": {\n        \"references\": [\n         \"aws_iam_policy.pass.arn\"",
        "\"expression\": {\n        \"references\": [\n         \"var.role\"",
    );
    assert_eq!(administers(&circle, "user/counted-1"), Truth::No);
}

#[test]
fn locals_and_what_is_built_in_place_are_followed_where_the_files_lie_beside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plan.json"), PLAN).unwrap();
    std::fs::write(dir.path().join("main.tf"), include_str!("fixture/main.tf")).unwrap();
    let loaded = crate::aws::load(&[dir.path().join("plan.json")], 0);
    let said = |part: &str| loaded.unread.iter().any(|unread| unread.reason.contains(part));
    assert!(!said("local.boss") && !said("assume_role_policy"), "{:?}", loaded.unread);
    let pass2 = loaded.estate.policies.iter().find(|policy| policy.name == "pass2").unwrap();
    let resource = &pass2.document.statements[0].resources;
    assert!(format!("{resource:?}").contains("arn:aws:iam::000000000000:role/boss"), "{resource:?}");
    assert!(pass2.source.ends_with("main.tf") && pass2.document.statements[0].line.is_some());
    let world = loaded.world();
    let from = world.steps.find("user/counted-1").unwrap();
    let found = find(&world.steps, &world.target(&Goal::Administrator), Some(from));
    assert_eq!(found.paths.first().map(|path| path.truth), Some(Truth::Yes));
}

const STATE: &str = r#"{"version": 4, "terraform_version": "1.9.0", "resources": [
  {"mode": "managed", "type": "aws_iam_user", "name": "ann", "module": "module.people", "instances": [
    {"index_key": "ann", "attributes": {"name": "ann", "arn": "arn:aws-us-gov:iam::111122223333:user/ann"}}]},
  {"mode": "managed", "type": "aws_iam_user_policy_attachment", "name": "all", "instances": [
    {"attributes": {"user": "ann", "policy_arn": "arn:aws-us-gov:iam::aws:policy/AdministratorAccess"}}]},
  {"mode": "managed", "type": "aws_lambda_function", "name": "f", "instances": [{"attributes": {"function_name": "f"}}]}]}"#;

#[test]
fn a_state_is_read_as_it_is_kept_and_as_it_is_shown() {
    let shown = r#"{"format_version": "1.0", "terraform_version": "1.9.0", "values": {"root_module": {"resources": [
      {"mode": "managed", "type": "aws_iam_user", "name": "ann", "values": {"name": "ann", "arn": "arn:aws-us-gov:iam::111122223333:user/ann"}},
      {"mode": "managed", "type": "aws_iam_user_policy_attachment", "name": "all", "values":
        {"user": "ann", "policy_arn": "arn:aws-us-gov:iam::aws:policy/AdministratorAccess"}}]}}}"#;
    for state in [STATE, shown] {
        let loaded = loaded(state);
        assert_eq!(loaded.unread, []);
        let ann = loaded.estate.find("user/ann").unwrap();
        assert_eq!(decide(&loaded.estate, ann, "iam:CreateUser", "*").verdict, Truth::Yes);
    }
    assert_eq!(loaded(STATE).estate.workloads[0].arn, "arn:aws-us-gov:lambda:us-east-1:111122223333:function:f");
    let empty = loaded(r#"{"version": 4, "terraform_version": "1.9.0", "resources": []}"#);
    assert_eq!(empty.unread, [], "a state without resources is a state");
    assert_eq!(loaded(r#"{"resources": []}"#).unread.len(), 1);
}

const COMPUTED: &str = r#"
locals {
  extra  = merge({ a = "sqs:SendMessage" }, { b = "sqs:ReceiveMessage" })
  team   = { reader = { actions = ["s3:GetObject"] }, boss = { actions = ["iam:*", "s3:*"] } }
  strict = "no"
}
resource "aws_iam_user_policy" "one" {
  for_each = local.team
  name     = each.key
  user     = each.key
  policy = jsonencode({
    Statement = concat(
      [for action in each.value.actions : { Effect = "Allow", Action = action, Resource = format("%s/*", aws_s3_bucket.data.arn) }],
      local.strict == "yes" ? [] : [{ Effect = "Allow", Action = values(local.extra), Resource = "*" }],
    )
  })
}
resource "aws_iam_role" "runner" {
  name = "runner"
  inline_policy {
    name   = "in"
    policy = jsonencode({ Statement = [{ Effect = "Allow", Action = "s3:PutObject", Resource = "${aws_s3_bucket.data.arn}/*" }] })
  }
  inline_policy {
    name   = "later"
    policy = jsonencode({ Statement = [{ Effect = "Allow", Action = file("x"), Resource = "*" }] })
  }
}
"#;

/// A plan of resources: type, name, index, values.
fn plan_of(resources: &[(&str, &str, Option<&str>, serde_json::Value)]) -> String {
    let planned = resources.iter().map(|(kind, name, index, values)| {
        serde_json::json!({"mode": "managed", "type": kind, "name": name, "index": index, "values": values})
    });
    let planned: Vec<serde_json::Value> = planned.collect();
    serde_json::json!({"planned_values": {"root_module": {"resources": planned}}, "configuration": {"root_module": {}}})
        .to_string()
}

#[test]
fn calls_choices_rules_and_inline_blocks_of_the_files_beside_are_computed() {
    use serde_json::json;
    let trust = r#"{"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}}"#;
    let plan = plan_of(&[
        ("aws_s3_bucket", "data", None, json!({"bucket": "data"})),
        ("aws_iam_user", "reader", None, json!({"name": "reader"})),
        ("aws_iam_user", "boss", None, json!({"name": "boss"})),
        ("aws_iam_user_policy", "one", Some("reader"), json!({"name": "reader", "user": "reader"})),
        ("aws_iam_user_policy", "one", Some("boss"), json!({"name": "boss", "user": "boss"})),
        (
            "aws_iam_role",
            "runner",
            None,
            json!({"name": "runner", "assume_role_policy": trust, "inline_policy": [{"name": "later"}, {"name": "in"}]}),
        ),
    ]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plan.json"), plan).unwrap();
    std::fs::write(dir.path().join("main.tf"), COMPUTED).unwrap();
    let loaded = crate::aws::load(&[dir.path().join("plan.json")], 0);
    let verdict = |who: &str, action: &str, resource: &str| {
        decide(&loaded.estate, loaded.estate.find(who).unwrap(), action, resource).verdict
    };
    assert_eq!(verdict("user/reader", "s3:GetObject", "arn:aws:s3:::data/x"), Truth::Yes, "{:?}", loaded.unread);
    assert_eq!(verdict("user/reader", "s3:PutObject", "arn:aws:s3:::data/x"), Truth::No);
    assert_eq!(verdict("user/boss", "s3:PutObject", "arn:aws:s3:::data/x"), Truth::Yes);
    assert_eq!(verdict("user/reader", "sqs:SendMessage", "*"), Truth::Yes, "strict is not `yes`");
    assert_eq!(verdict("role/runner", "s3:PutObject", "arn:aws:s3:::data/x"), Truth::Yes);
    let reasons: Vec<&str> = loaded.unread.iter().map(|unread| unread.reason.as_str()).collect();
    assert!(
        matches!(reasons.as_slice(), [one] if one.starts_with("later: what") && one.contains("as Action")),
        "{reasons:?}"
    );
}

#[test]
fn what_a_plan_makes_runs_as_its_role_under_the_name_that_policies_use() {
    use serde_json::json;
    let trust = |service: &str| {
        json!({"Statement": {"Effect": "Allow", "Principal": {"Service": format!("{service}.amazonaws.com")}, "Action": "sts:AssumeRole"}})
            .to_string()
    };
    let may = |action: &str, resource: &str| {
        json!({"Statement": {"Effect": "Allow", "Action": action, "Resource": resource}}).to_string()
    };
    let home = "000000000000";
    let (stack, task) =
        (format!("arn:aws:cloudformation:*:{home}:stack/web/*"), format!("arn:aws:ecs:*:{home}:task/c/*"));
    let role = |name: &str, service: &str| json!({"name": name, "assume_role_policy": trust(service), "managed_policy_arns": ["arn:aws:iam::aws:policy/AdministratorAccess"]});
    let arn = |name: &str| format!("arn:aws:iam::{home}:role/{name}");
    let plan = |exec: bool| {
        plan_of(&[
            ("aws_iam_user", "ann", None, json!({"name": "ann"})),
            (
                "aws_iam_user_policy",
                "ann",
                None,
                json!({"name": "p", "user": "ann", "policy": may("cloudformation:UpdateStack", &stack)}),
            ),
            ("aws_iam_user", "bob", None, json!({"name": "bob"})),
            (
                "aws_iam_user_policy",
                "bob",
                None,
                json!({"name": "p", "user": "bob", "policy": may("ecs:ExecuteCommand", &task)}),
            ),
            ("aws_iam_role", "stack", None, role("stack", "cloudformation")),
            ("aws_iam_role", "task", None, role("task", "ecs-tasks")),
            ("aws_cloudformation_stack", "web", None, json!({"name": "web", "iam_role_arn": arn("stack")})),
            (
                "aws_ecs_task_definition",
                "t",
                None,
                json!({"family": "t", "arn": "arn:aws:ecs:us-east-1:000000000000:task-definition/t:1", "task_role_arn": arn("task")}),
            ),
            (
                "aws_ecs_service",
                "s",
                None,
                json!({"name": "s", "cluster": "c", "enable_execute_command": exec, "task_definition": "arn:aws:ecs:us-east-1:000000000000:task-definition/t:1"}),
            ),
        ])
    };
    assert_eq!(administers(&plan(true), "user/ann"), Truth::Yes);
    assert_eq!(administers(&plan(true), "user/bob"), Truth::Yes);
    assert_eq!(administers(&plan(false), "user/bob"), Truth::Unknown, "no command may be run in what the service runs");
}

#[test]
fn a_text_that_a_plan_does_not_know_makes_possible_what_it_speaks_of() {
    use serde_json::json;
    let admin = json!({"name": "strong", "assume_role_policy": r#"{"Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}}"#,
      "managed_policy_arns": ["arn:aws:iam::aws:policy/AdministratorAccess"]});
    let trusting = json!({"name": "trusting", "managed_policy_arns": ["arn:aws:iam::aws:policy/AdministratorAccess"]});
    let planned = [
        json!({"mode": "managed", "type": "aws_iam_user", "name": "ann", "values": {"name": "ann"}}),
        json!({"mode": "managed", "type": "aws_iam_user", "name": "bob", "values": {"name": "bob"}}),
        json!({"mode": "managed", "type": "aws_iam_user", "name": "eve", "values": {"name": "eve"}}),
        json!({"mode": "managed", "type": "aws_iam_role", "name": "strong", "values": admin}),
        json!({"mode": "managed", "type": "aws_iam_role", "name": "trusting", "values": trusting}),
        json!({"mode": "managed", "type": "aws_iam_user_policy", "name": "p", "values": {"name": "p", "user": "ann"}}),
        json!({"mode": "managed", "type": "aws_iam_user_policy", "name": "q", "values": {"name": "q", "user": "eve"}}),
    ];
    let refers = |kind: &str, name: &str, attribute: &str, to: &str| json!({"mode": "managed", "type": kind, "name": name, "expressions": {attribute: {"references": [format!("{to}.arn"), to]}}});
    let configured = [
        refers("aws_iam_user_policy", "p", "policy", "aws_iam_role.strong"),
        refers("aws_iam_user_policy", "q", "policy", "aws_s3_bucket.none"),
        refers("aws_iam_role", "trusting", "assume_role_policy", "aws_iam_user.bob"),
    ];
    let plan = json!({"planned_values": {"root_module": {"resources": planned}}, "configuration": {"root_module": {"resources": configured}}});
    let plan = plan.to_string();
    assert_eq!(administers(&plan, "user/ann"), Truth::Unknown);
    assert_eq!(administers(&plan, "user/bob"), Truth::Unknown);
    assert_eq!(administers(&plan, "user/eve"), Truth::No);
}

/// A plan of a user whose policy, or other attribute, is given by a reference; with further resources.
fn plan_with(attribute: &str, reference: &str, further: &[serde_json::Value]) -> String {
    use serde_json::json;
    let user = json!({ "mode": "managed", "type": "aws_iam_user", "name": "u" });
    let policy = json!({ "mode": "managed", "type": "aws_iam_user_policy", "name": "p" });
    let with = |one: &serde_json::Value, key: &str, value: serde_json::Value| {
        let mut one = one.clone();
        one[key] = value;
        one
    };
    let values =
        [with(&user, "values", json!({ "name": "u" })), with(&policy, "values", json!({ "name": "p", "user": "u" }))];
    let given = json!({ attribute: { "references": [reference] } });
    let (of_user, of_policy) = if attribute == "policy" { (json!({}), given) } else { (given, json!({})) };
    let expressions = [with(&user, "expressions", of_user), with(&policy, "expressions", of_policy)];
    let all = |own: [serde_json::Value; 2]| own.into_iter().chain(further.iter().cloned()).collect::<Vec<_>>();
    json!({
        "format_version": "1.2",
        "planned_values": { "root_module": { "resources": all(values) } },
        "configuration": { "root_module": { "resources": all(expressions) } },
    })
    .to_string()
}

fn beside(plan: &str, main: &str) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plan.json"), plan).unwrap();
    std::fs::write(dir.path().join("main.tf"), main).unwrap();
    crate::aws::load(&[dir.path().join("plan.json")], 0)
}

#[test]
fn locals_that_multiply_end_and_are_said() {
    let lists = |times: usize| -> String {
        let local = |at: usize| format!("  l{at} = [{}]\n", vec![format!("local.l{}", at + 1); times].join(", "));
        (0..22).map(local).chain(["  l22 = \"x\"\n".to_owned()]).collect()
    };
    let texts: String = (0..22)
        .map(|at| format!("  l{at} = \"${{local.l{0}}}${{local.l{0}}}\"\n", at + 1))
        .chain(["  l22 = \"xxxxxxxxxxxxxxxx\"\n".to_owned()])
        .collect();
    let grown: String = (0..22)
        .map(|at| format!("  l{at} = replace(local.l{}, \"x\", \"xxxxxxxx\")\n", at + 1))
        .chain(["  l22 = \"x\"\n".to_owned()])
        .collect();
    for (locals, attribute) in [(lists(4), "permissions_boundary"), (texts.clone(), "permissions_boundary")] {
        let loaded = beside(&plan_with(attribute, "local.l0", &[]), &format!("locals {{\n{locals}}}\n"));
        assert!(loaded.unread.iter().any(|unread| unread.reason.contains("not computed")), "{:?}", loaded.unread);
    }
    for locals in [lists(4), texts, grown] {
        let policy = "resource \"aws_iam_user_policy\" \"p\" {\n  policy = jsonencode({\n    Statement = [{ Effect = \"Allow\", Action = local.l0, Resource = \"*\" }]\n  })\n}\n";
        let loaded = beside(&plan_with("policy", "local.l0", &[]), &format!("locals {{\n{locals}}}\n{policy}"));
        let (ann, arn) = (loaded.estate.find("user/u").unwrap(), "arn:aws:s3:::b/x");
        assert_ne!(decide(&loaded.estate, ann, "s3:GetObject", arn).verdict, Truth::Yes);
        assert!(loaded.unread.iter().any(|unread| unread.reason.contains("not ")), "{:?}", loaded.unread);
    }
}

#[test]
fn a_statement_takes_the_place_of_one_with_its_sid() {
    use serde_json::json;
    let data = |name: &str, values: serde_json::Value, expressions: serde_json::Value| json!({ "mode": "data", "type": "aws_iam_policy_document", "name": name, "values": values, "expressions": expressions });
    let one = |effect: &str, sid: &str| json!([{ "sid": sid, "effect": effect, "actions": ["*"], "resources": ["*"] }]);
    let verdict = |key: &str, inner: (&str, &str), own: serde_json::Value| {
        let below = data("below", json!({ "statement": one(inner.0, inner.1) }), json!({}));
        let refers = json!({ key: { "references": ["data.aws_iam_policy_document.below.json"] } });
        let above = data("above", json!({ key: [null], "statement": own }), refers);
        let plan = plan_with("policy", "data.aws_iam_policy_document.above.json", &[below, above]);
        let loaded = loaded(&plan);
        let user = loaded.estate.find("user/u").unwrap();
        decide(&loaded.estate, user, "s3:GetObject", "arn:aws:s3:::b/x").verdict
    };
    assert_eq!(verdict("override_policy_documents", ("Allow", "S"), one("Deny", "S")), Truth::Yes);
    assert_eq!(verdict("override_policy_documents", ("Deny", "S"), one("Allow", "S")), Truth::No);
    assert_eq!(
        verdict("source_policy_documents", ("Deny", "S"), one("Allow", "S")),
        Truth::Yes,
        "one's own comes later"
    );
    for key in ["override_policy_documents", "source_policy_documents"] {
        assert_eq!(verdict(key, ("Deny", "T"), one("Allow", "S")), Truth::No, "another Sid adds");
        assert_eq!(verdict(key, ("Deny", ""), one("Allow", "")), Truth::No, "none adds");
    }
}

/// A plan of some resources, with what the configuration gives them.
fn whole_plan(resources: &[serde_json::Value], modules: serde_json::Value, configuration: serde_json::Value) -> String {
    serde_json::json!({
        "format_version": "1.2", "resource_changes": [],
        "planned_values": {"root_module": {"resources": resources, "child_modules": modules}},
        "configuration": {"root_module": configuration},
    })
    .to_string()
}

fn role(name: &str, index: &str) -> serde_json::Value {
    serde_json::json!({ "address": format!("aws_iam_role.r[\"{index}\"]"), "mode": "managed", "type": "aws_iam_role",
        "name": "r", "index": index, "values": { "name": name, "permissions_boundary": null,
        "assume_role_policy": "{\"Statement\": {\"Effect\": \"Allow\", \"Action\": \"sts:AssumeRole\", \"Principal\": {\"Service\": \"lambda.amazonaws.com\"}}}" } })
}

#[test]
fn what_a_module_of_several_is_given_is_that_of_its_own_key() {
    use serde_json::json;
    let function = |key: &str| {
        json!({ "address": format!("module.fn[\"{key}\"]"), "resources": [{
            "address": format!("module.fn[\"{key}\"].aws_lambda_function.f"), "mode": "managed",
            "type": "aws_lambda_function", "name": "f", "values": { "function_name": key } }] })
    };
    let plan = |given: serde_json::Value, over: serde_json::Value| {
        let module = json!({ "resources": [{ "type": "aws_lambda_function", "name": "f", "mode": "managed",
            "expressions": { "role": { "references": ["var.role"] } } }] });
        let calls =
            json!({ "fn": { "expressions": { "role": given }, "for_each_expression": over, "module": module } });
        let roles = json!([{ "type": "aws_iam_role", "name": "r", "mode": "managed", "expressions": {},
            "for_each_expression": { "constant_value": ["a", "b"] } }]);
        let (a, b) = (role("alpha", "a"), role("beta", "b"));
        whole_plan(&[a, b], json!([function("a"), function("b")]), json!({ "resources": roles, "module_calls": calls }))
    };
    let roles = |plan: &str| {
        let loaded = loaded(plan);
        let role = |one: &graph::aws::estate::Workload| {
            let name = one.role.as_deref().and_then(|role| role.rsplit('/').next()).unwrap_or("nothing").to_owned();
            (one.arn.rsplit(':').next().unwrap().to_owned(), name)
        };
        let mut roles: Vec<(String, String)> = loaded.estate.workloads.iter().map(role).collect();
        roles.sort();
        roles.into_iter().map(|(_, role)| role).collect::<Vec<_>>()
    };
    let set = json!({ "constant_value": ["a", "b"] });
    let paired = json!({ "references": ["aws_iam_role.r", "each.key"] });
    assert_eq!(roles(&plan(paired, set)), ["alpha", "beta"]);
    let value = json!({ "references": ["each.value.arn", "each.value"] });
    assert_eq!(roles(&plan(value.clone(), json!({ "references": ["aws_iam_role.r"] }))), ["alpha", "beta"]);
    let map = json!({ "constant_value": { "a": { "arn": "arn:aws:iam::1:role/one" }, "b": { "arn": "arn:aws:iam::1:role/two" } } });
    assert_eq!(roles(&plan(value, map)), ["one", "two"]);
}

#[test]
fn what_a_plan_knows_to_be_nothing_is_not_looked_for_in_the_configuration() {
    use serde_json::json;
    let boundary = |values: serde_json::Value, refers: &str| {
        let user = json!({ "address": "aws_iam_user.u", "mode": "managed", "type": "aws_iam_user", "name": "u", "values": values });
        let policy = json!({ "address": "aws_iam_policy.b", "mode": "managed", "type": "aws_iam_policy", "name": "b",
            "values": { "name": "b", "policy": "{\"Statement\": {\"Effect\": \"Allow\", \"Action\": \"s3:*\", \"Resource\": \"*\"}}" } });
        let grant = json!({ "address": "aws_iam_user_policy.p", "mode": "managed", "type": "aws_iam_user_policy", "name": "p",
            "values": { "name": "p", "user": "u", "policy": "{\"Statement\": {\"Effect\": \"Allow\", \"Action\": \"*\", \"Resource\": \"*\"}}" } });
        let written = json!({ "resources": [{ "type": "aws_iam_user", "name": "u", "mode": "managed",
            "expressions": { "permissions_boundary": { "references": [refers] } } }] });
        let loaded = loaded(&whole_plan(&[user, policy, grant], json!([]), written));
        let user = loaded.estate.find("user/u").unwrap();
        decide(&loaded.estate, user, "iam:CreateUser", "*").verdict
    };
    let unknown = || json!({ "name": "u" });
    assert_eq!(boundary(unknown(), "aws_iam_policy.b.arn"), Truth::No, "left out: it will be what is referred to");
    assert_eq!(boundary(json!({ "name": "u", "permissions_boundary": null }), "aws_iam_policy.b.arn"), Truth::Yes);
    assert_eq!(boundary(unknown(), "local.boundary"), Truth::Unknown, "some boundary, and nobody says which");
}

#[test]
fn access_to_a_cluster_is_read_from_a_plan() {
    use serde_json::json;
    let one = |kind: &str, values: serde_json::Value| json!({ "address": format!("{kind}.x"), "mode": "managed", "type": kind, "name": "x", "values": values });
    let plan = |scope: serde_json::Value| {
        let role = json!({ "address": "aws_iam_role.ci", "mode": "managed", "type": "aws_iam_role", "name": "ci",
            "values": { "name": "ci", "assume_role_policy": "{\"Statement\": []}" } });
        let association = one(
            "aws_eks_access_policy_association",
            json!({ "cluster_name": "prod", "access_scope": [scope],
            "policy_arn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy" }),
        );
        let entry = one("aws_eks_access_entry", json!({ "cluster_name": "prod", "kubernetes_groups": ["ops"] }));
        let identity = one(
            "aws_eks_pod_identity_association",
            json!({ "cluster_name": "prod", "namespace": "n", "service_account": "s" }),
        );
        let refers = |kind: &str, key: &str| {
            json!({ "type": kind, "name": "x", "mode": "managed",
            "expressions": { key: { "references": ["aws_iam_role.ci.arn", "aws_iam_role.ci"] } } })
        };
        let written = json!({ "resources": [refers("aws_eks_access_policy_association", "principal_arn"),
            refers("aws_eks_access_entry", "principal_arn"), refers("aws_eks_pod_identity_association", "role_arn")] });
        whole_plan(&[role, association, entry, identity], json!([]), written)
    };
    let whole = plan(json!({ "type": "cluster", "namespaces": null }));
    assert_eq!(administers(&whole, "role/ci"), Truth::Yes);
    let loaded = loaded(&whole);
    assert_eq!(loaded.cluster.pod_identities[0].role, "arn:aws:iam::000000000000:role/ci");
    assert_eq!(loaded.cluster.mappings.iter().find(|one| one.user.is_none()).unwrap().groups, ["ops"]);
    assert_eq!(loaded.cluster.clusters.first().unwrap(), "arn:aws:eks:us-east-1:000000000000:cluster/prod");
    let bindings = |scope: serde_json::Value| {
        let bindings = self::loaded(&plan(scope)).cluster.bindings;
        bindings.into_iter().map(|one| one.meta.namespace).collect::<Vec<_>>()
    };
    assert_eq!(bindings(json!({ "type": "namespace", "namespaces": ["n", "m"] })), ["n", "m"]);
    assert_eq!(bindings(json!({ "type": "namespace" })), [""; 0], "not known yet is not everywhere");
    let takes = |mode: &str| {
        let cluster =
            one("aws_eks_cluster", json!({ "name": "own", "access_config": [{ "authentication_mode": mode }] }));
        self::loaded(&whole_plan(&[cluster], json!([]), json!({}))).cluster.clusters.len()
    };
    assert_eq!((takes("API"), takes("CONFIG_MAP")), (1, 0));
}

/// A value of a local, over five others.
fn local() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("\"x\"".to_owned()), (0..6u8).prop_map(|at| format!("local.l{at}"))];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let list = |all: Vec<String>| all.join(", ");
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(move |all| format!("[{}]", list(all))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(move |all| format!("concat({})", list(all))),
            (0..6u8, 0..6u8).prop_map(|(one, other)| format!("\"${{local.l{one}}}${{local.l{other}}}\"")),
            inner.clone().prop_map(|over| format!("[for x in {over} : \"${{x}}${{x}}\"]")),
            (inner.clone(), inner).prop_map(|(one, other)| format!("replace({one}, \"x\", {other})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    /// However locals refer to one another: reading ends, and the user is there.
    #[test]
    fn reading_ends(values in prop::collection::vec(local(), 6)) {
        let locals: String = values.iter().enumerate().map(|(at, value)| format!("  l{at} = {value}\n")).collect();
        let policy = "resource \"aws_iam_user_policy\" \"p\" {\n  policy = jsonencode({\n    Statement = [{ Effect = \"Allow\", Action = local.l0, Resource = local.l1 }]\n  })\n}\n";
        for attribute in ["policy", "permissions_boundary"] {
            let loaded = beside(&plan_with(attribute, "local.l0", &[]), &format!("locals {{\n{locals}}}\n{policy}"));
            prop_assert!(loaded.estate.find("user/u").is_ok());
        }
    }
}

//! A plan that Terraform itself made of `fixture/main.tf` (what no reader needs is cut out), and changes of it.

use graph::aws::{Truth, decide};
use graph::step::paths::find;
use graph::world::Goal;

use crate::aws::{Loaded, add};

const PLAN: &str = include_str!("fixture/plan.json");

fn loaded(text: &str) -> Loaded {
    let mut loaded = Loaded::default();
    add(&mut loaded, "plan.json", text);
    loaded.estate.link();
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

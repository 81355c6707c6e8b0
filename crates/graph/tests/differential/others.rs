//! Evaluators that others wrote, from the registries, where they are sound and where they are installed.

use graph::aws::estate::{Policy, Principal};
use graph::aws::evaluate::{Evaluator, Request};
use graph::aws::policy::Document;
use graph::aws::{Context, Estate, PrincipalKind, Truth};
use serde_json::{Value as Json, json};

use super::{ACCOUNT, ACTIONS, Account, OTHER, RESOURCES, Random, account, context, estate};

/// Reads an account a line and answers a letter a question. Of moto's evaluator only what it does right is asked: it
/// knows no `?`, no case of actions, no `NotResource`, no variables, and denies where a condition fails.
const MOTO: &str = r#"
import json, sys
from moto.iam.access_control import IAMPolicy, PermissionResult as R
for line in sys.stdin:
    one = json.loads(line)
    policies = [IAMPolicy(json.dumps(p)) for p in one['policies']]
    said = ''
    for action, resource in one['ask']:
        results = [p.is_action_permitted(action, resource) for p in policies]
        said += 'n' if R.DENIED in results or R.PERMITTED not in results else 'y'
    print(said)
"#;

fn plain_policy(random: &mut Random) -> Json {
    let statements = (0..1 + random.below(3)).map(|_| {
        let action = if random.one_in(6) { "NotAction" } else { "Action" };
        let actions = ["*", "s3:*", "s3:GetObject", "s3:Get*", "sqs:SendMessage", "iam:Pass*", "ec2:*"];
        let resources = ["*", "arn:aws:s3:::b/*", "arn:aws:s3:::*/x", "arn:aws:sqs:*", RESOURCES[4]];
        let effect = if random.one_in(4) { "Deny" } else { "Allow" };
        json!({"Effect": effect, action: random.some(&actions), "Resource": random.some(&resources)})
    });
    json!({"Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>()})
}

fn plain_policies(seed: u64) -> Vec<Json> {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0BAD_CAFE);
    (0..1 + random.below(3)).map(|_| plain_policy(&mut random)).collect()
}

/// Runs where `BAILIWICK_DIFFERENTIAL_PYTHON` names a Python that has moto; says so where it does not.
#[test]
fn the_engine_agrees_with_the_evaluator_of_moto_where_that_is_sound() {
    let Some(python) = std::env::var_os("BAILIWICK_DIFFERENTIAL_PYTHON") else {
        println!("moto: skipped, no Python was given");
        return;
    };
    let accounts: u64 = 2_000;
    let ask: Vec<(&str, &str)> =
        ACTIONS.iter().flat_map(|action| RESOURCES.iter().map(move |resource| (*action, *resource))).collect();
    let ask: Vec<(&str, &str)> = ask.into_iter().filter(|(action, _)| *action != "sts:AssumeRole").collect();
    // Across accounts the other side must allow too, which identity policies do not say.
    let ask: Vec<(&str, &str)> = ask.into_iter().filter(|(_, resource)| !resource.contains(OTHER)).collect();
    let mut command = std::process::Command::new(python);
    let piped = std::process::Stdio::piped;
    let mut child = command.args(["-c", MOTO]).stdin(piped()).stdout(piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let asked = ask.clone();
    let writer = std::thread::spawn(move || {
        for seed in 0..accounts {
            use std::io::Write as _;
            writeln!(input, "{}", json!({"policies": plain_policies(seed), "ask": asked})).unwrap();
        }
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the Python has no moto, or it failed");
    let said = String::from_utf8(output.stdout).unwrap();
    let mut allowed = 0;
    for (seed, line) in (0..accounts).zip(said.lines()) {
        let policies = plain_policies(seed);
        let mut estate = Estate::at(1_800_000_000);
        let mut user = Principal::new(PrincipalKind::User, format!("arn:aws:iam::{ACCOUNT}:user/alice"), "x".into());
        for json in &policies {
            let document = Document::parse(json, &[]).unwrap();
            user.inline.push(estate.add_policy(Policy { name: "p".into(), arn: None, source: "x".into(), document }));
        }
        estate.principals = vec![user];
        estate.link();
        let (evaluator, context) = (Evaluator::new(&estate), Context::default());
        for ((action, resource), theirs) in ask.iter().zip(line.chars()) {
            let ours = evaluator.decide(&Request::new(0, action, resource, &context)).verdict;
            assert_eq!(ours == Truth::Yes, theirs == 'y', "account {seed}: {action} on {resource}: {policies:?}");
            allowed += u32::from(theirs == 'y');
        }
    }
    assert_eq!(said.lines().count() as u64, accounts);
    println!("moto: {accounts} accounts, {} requests, {allowed} allowed; no difference", accounts * ask.len() as u64);
}

// ---- cloud-copilot's simulator: identity, resource, session and boundary policies, SCPs, conditions ----------------

/// Reads an account a line and answers a letter a question; `e` where its checks refuse a policy.
const SIMULATOR: &str = r#"
import { runSimulation } from '@cloud-copilot/iam-simulate';
import { createInterface } from 'node:readline';
const named = (policies) => policies.map((policy, at) => ({ name: `p${at}`, policy }));
for await (const line of createInterface({ input: process.stdin })) {
  const one = JSON.parse(line);
  let said = '';
  for (const { action, resource, account, policy } of one.ask) {
    const result = await runSimulation({
      request: { principal: one.principal, action, resource: { resource, accountId: account }, contextVariables: one.context },
      identityPolicies: named(one.identity),
      permissionBoundaryPolicies: one.boundary ? named([one.boundary]) : undefined,
      sessionPolicy: one.session ?? undefined,
      serviceControlPolicies: one.scps.map((policy, at) => ({ orgIdentifier: `level-${at}`, policies: named([policy]) })),
      resourceControlPolicies: [],
      resourcePolicy: policy ?? undefined,
    }, {});
    said += result.resultType === 'error' ? 'e' : result.overallResult === 'Allowed' ? 'y' : 'n';
  }
  console.log(said);
}
"#;

/// The questions that have a resource of the action's own type.
const QUESTIONS: &[(&str, usize)] = &[
    ("s3:GetObject", 0),
    ("s3:GetObject", 1),
    ("s3:PutObject", 2),
    ("sqs:SendMessage", 3),
    ("sqs:SendMessage", 5),
    ("iam:PassRole", 4),
    ("sts:AssumeRole", 4),
];

/// An account in which every key of a condition is one of AWS's, and known.
fn simulated(seed: u64) -> Account {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x51AB_1E55);
    let mut one = account(&mut random);
    let lists = [&mut one.user, &mut one.group, &mut one.role, &mut one.scps];
    let documents = lists.into_iter().flatten().chain(&mut one.boundary).chain(&mut one.session);
    for json in documents.chain([&mut one.trust]).chain(one.resources.iter_mut().map(|(_, json)| json)) {
        known_keys(json);
    }
    let address = one.keys.iter().find(|(key, _)| *key == "aws:SourceIp").and_then(|(_, value)| value.clone());
    one.keys = vec![("aws:SourceIp", address)];
    one
}

fn known_keys(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(known_keys),
        Json::Object(entries) => {
            if let Some(Json::Object(operators)) = entries.get_mut("Condition") {
                operators.retain(|_, keys| !keys.as_object().unwrap().keys().any(|key| key.starts_with("app:")));
            }
            entries.values_mut().for_each(known_keys);
        }
        // A unique id needs an id of the session that nothing here says.
        Json::String(text) if text == "AIDALICE" => *text = format!("arn:aws:iam::{OTHER}:root"),
        // The simulator takes no name of fewer than six parts for one that something is excepted from.
        Json::String(text) if text == "arn:aws:sqs:*" => "arn:aws:sqs:*:*:*".clone_into(text),
        _ => {}
    }
}

/// What AWS documents in a way that the two read differently, and what is therefore not compared: an exception by a
/// variable without a value, and whether `*` in a resource's policy names a role's session past its limits.
fn is_unclear(one: &Json, user: bool, policy: &Json) -> bool {
    let excepted = one.to_string();
    let by_variable = excepted.split("\"NotResource\":").skip(1).any(|rest| {
        rest.split_once(['}', ']']).is_some_and(|(list, _)| list.contains("aws:username"))
            || rest.starts_with("\"arn:aws:s3:::b/${")
    });
    let limited = !one["boundary"].is_null() || !one["session"].is_null();
    !user && (by_variable || limited && policy.to_string().contains("\"Principal\":\"*\""))
}

fn asked(one: &Account, user: bool) -> Json {
    let policy = |action: &str, resource: &str| match action {
        "sts:AssumeRole" => Some(one.trust.clone()),
        _ => one.resources.iter().find(|(arn, _)| resource.starts_with(arn)).map(|(_, json)| json.clone()),
    };
    let ask = QUESTIONS.iter().map(|(action, at)| {
        let resource = RESOURCES[*at];
        let account = if resource.contains(OTHER) { OTHER } else { ACCOUNT };
        json!({"action": action, "resource": resource, "account": account, "policy": policy(action, resource)})
    });
    let mut keys = json!({"aws:SecureTransport": "true"});
    if let (_, Some(address)) = &one.keys[0] {
        keys["aws:SourceIp"] = json!(address[0]);
    }
    if let Some(tag) = &one.tag {
        keys["aws:PrincipalTag/team"] = json!(tag);
    }
    let own: Vec<&Json> = if user { one.user.iter().chain(&one.group).collect() } else { one.role.iter().collect() };
    keys["aws:PrincipalArn"] = json!(format!("arn:aws:iam::{ACCOUNT}:{}", if user { "user/alice" } else { "role/r" }));
    if user {
        keys["aws:username"] = json!("alice");
    }
    let session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/r/s");
    json!({
        "principal": if user { format!("arn:aws:iam::{ACCOUNT}:user/alice") } else { session },
        "identity": own, "boundary": one.boundary, "scps": one.scps, "context": keys,
        "session": if user { None } else { one.session.as_ref() },
        "ask": ask.collect::<Vec<_>>(),
    })
}

/// Runs where `BAILIWICK_DIFFERENTIAL_NODE` names a folder whose `node_modules` has the simulator.
#[test]
fn the_engine_agrees_with_the_simulator_of_cloud_copilot() {
    let Some(folder) = std::env::var_os("BAILIWICK_DIFFERENTIAL_NODE").map(std::path::PathBuf::from) else {
        println!("iam-simulate: skipped, no folder was given");
        return;
    };
    let accounts: u64 = 2_000;
    let own = folder.join("node_modules/.bin/node");
    let node = if own.exists() { own } else { "node".into() };
    let piped = std::process::Stdio::piped;
    let mut command = std::process::Command::new(node);
    command.args(["--input-type=module", "-e", SIMULATOR]).current_dir(folder);
    let mut child = command.stdin(piped()).stdout(piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        for seed in 0..accounts {
            let one = simulated(seed);
            writeln!(input, "{}\n{}", asked(&one, true), asked(&one, false)).unwrap();
        }
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "the folder has no simulator, or it failed");
    let said = String::from_utf8(output.stdout).unwrap();
    let (mut compared, mut allowed, mut refused, mut differ) = (0, 0, 0, Vec::new());
    for (line, number) in said.lines().zip(0..) {
        let (seed, user) = (number / 2, number % 2 == 0);
        let one = simulated(seed);
        let (estate, session) = estate(&one);
        let (evaluator, context) = (Evaluator::new(&estate), context(&one));
        let policies: Vec<_> = session.into_iter().filter(|_| !user).collect();
        for ((action, at), theirs) in QUESTIONS.iter().zip(line.chars()) {
            let question = asked(&one, user);
            let own = question["ask"].as_array().unwrap().iter();
            let policy = own
                .filter(|own| own["action"] == **action && own["resource"] == RESOURCES[*at])
                .map(|own| &own["policy"]);
            if theirs == 'e' || policy.clone().any(|policy| is_unclear(&question, user, policy)) {
                refused += 1;
                continue;
            }
            let request =
                Request { session: &policies, ..Request::new(usize::from(!user), action, RESOURCES[*at], &context) };
            let ours = evaluator.decide(&request).verdict;
            compared += 1;
            allowed += u32::from(theirs == 'y');
            if (ours == Truth::Yes) != (theirs == 'y') {
                differ.push(format!(
                    "account {seed}, user {user}: {action} on {}: {ours:?}, they {theirs}: {}",
                    RESOURCES[*at], question
                ));
            }
        }
    }
    assert_eq!(said.lines().count() as u64, 2 * accounts);
    assert!(
        differ.is_empty(),
        "{} of {compared} differ, the first {:#?}",
        differ.len(),
        &differ[..differ.len().min(40)]
    );
    println!(
        "iam-simulate: {accounts} accounts, {compared} requests, {allowed} allowed, {refused} not compared; no difference"
    );
}

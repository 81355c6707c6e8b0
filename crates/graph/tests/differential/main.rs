//! Random small accounts against a naive reference of AWS's evaluation logic.
//!
//! The reference is written from the documentation alone, statement by statement, over the JSON as it
//! stands: it shares no code with the engine. A default run is small; `cargo xtask differential` runs
//! 100,000 accounts. Evaluators that others wrote are asked in [`others`].

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]
#![allow(clippy::manual_try_fold, reason = "`None` means not known here, and does not end a fold")]

mod others;

use graph::aws::estate::{Managed, Policy, Principal};
use graph::aws::evaluate::{Evaluator, Request};
use graph::aws::policy::Document;
use graph::aws::{Context, Estate, PrincipalKind, Truth, Value, query};
use serde_json::{Value as Json, json};

/// A linear congruential generator (Knuth's MMIX): seeded, so a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }

    fn some(&mut self, texts: &[&str]) -> Json {
        let count = 1 + self.below(2);
        let list: Vec<&str> = (0..count).map(|_| self.pick(texts)).collect();
        if list.len() == 1 && self.one_in(2) { json!(list[0]) } else { json!(list) }
    }
}

const ACCOUNT: &str = "111122223333";
const OTHER: &str = "444455556666";
const ACTIONS: &[&str] =
    &["s3:GetObject", "s3:PutObject", "sqs:SendMessage", "iam:PassRole", "ec2:RunInstances", "sts:AssumeRole"];
const ACTION_PATTERNS: &[&str] = &[
    "*",
    "s3:*",
    "S3:get*",
    "s3:GetObject",
    "s3:?etObject",
    "sqs:SendMessage",
    "iam:Pass*",
    "sts:AssumeRole",
    "ec2:*",
];
const RESOURCES: &[&str] = &[
    "arn:aws:s3:::b/alice/x",
    "arn:aws:s3:::b/x",
    "arn:aws:s3:::c/x",
    "arn:aws:sqs:us-east-1:111122223333:q",
    "arn:aws:iam::111122223333:role/r",
    "arn:aws:sqs:us-east-1:444455556666:q",
];
const RESOURCE_PATTERNS: &[&str] = &[
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::?/x",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:sqs:*",
    "arn:aws:iam::111122223333:role/r",
    "arn:aws:s3:::c/${aws:PrincipalTag/team, 'x'}",
];
const PRINCIPALS: &[&str] = &[
    "arn:aws:iam::111122223333:user/alice",
    "arn:aws:iam::111122223333:role/r",
    "arn:aws:iam::111122223333:root",
    "111122223333",
    "arn:aws:iam::444455556666:root",
    "AIDALICE",
];
const CONDITIONS: &[(&str, &str, &[&str])] = &[
    ("StringEquals", "aws:PrincipalTag/team", &["red"]),
    ("StringNotEquals", "aws:PrincipalTag/team", &["red", "blue"]),
    ("StringEqualsIfExists", "aws:PrincipalTag/team", &["blue"]),
    ("StringLike", "aws:username", &["al*"]),
    ("StringNotLike", "aws:username", &["al*"]),
    ("StringLike", "app:free", &["x*"]),
    ("StringNotEquals", "app:free", &["xy"]),
    ("Null", "app:free", &["true"]),
    ("Null", "aws:username", &["false"]),
    ("Bool", "aws:SecureTransport", &["true"]),
    ("IpAddress", "aws:SourceIp", &["10.0.0.0/8"]),
    ("NotIpAddress", "aws:SourceIp", &["10.0.0.0/8"]),
    ("NumericLessThan", "app:count", &["10"]),
    ("NumericGreaterThanEquals", "app:count", &["7"]),
    ("DateGreaterThan", "app:date", &["2020-01-01T00:00:00Z"]),
    ("ForAllValues:StringEquals", "app:many", &["a", "b"]),
    ("ForAnyValue:StringLike", "app:many", &["b*"]),
    ("ArnLike", "aws:PrincipalArn", &["arn:aws:iam::*:user/*"]),
];

/// One random account, as JSON only: both sides read the same text.
struct Account {
    user: Vec<Json>,
    group: Vec<Json>,
    role: Vec<Json>,
    boundary: Option<Json>,
    trust: Json,
    scps: Vec<Json>,
    session: Option<Json>,
    resources: Vec<(String, Json)>,
    tag: Option<String>,
    /// The request's keys: absent keys are absent, keys not listed are unknown.
    keys: Vec<(&'static str, Option<Vec<&'static str>>)>,
}

fn statement(random: &mut Random, with_principal: bool, with_resource: bool) -> Json {
    let mut statement = json!({"Effect": if random.one_in(4) { "Deny" } else { "Allow" }});
    let action = if random.one_in(6) { "NotAction" } else { "Action" };
    statement[action] = random.some(ACTION_PATTERNS);
    if with_resource {
        let resource = if random.one_in(6) { "NotResource" } else { "Resource" };
        statement[resource] = random.some(RESOURCE_PATTERNS);
    }
    if with_principal {
        statement["Principal"] = if random.one_in(5) { json!("*") } else { json!({"AWS": random.some(PRINCIPALS)}) };
    }
    for _ in 0..2 {
        if random.one_in(4) {
            let (operator, key, values) = CONDITIONS[random.below(CONDITIONS.len())];
            statement["Condition"][operator][key] = json!(values);
        }
    }
    statement
}

fn document(random: &mut Random, with_principal: bool, with_resource: bool) -> Json {
    let count = 1 + random.below(3);
    let statements: Vec<Json> = (0..count).map(|_| statement(random, with_principal, with_resource)).collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn account(random: &mut Random) -> Account {
    let policies =
        |random: &mut Random| -> Vec<Json> { (0..random.below(3)).map(|_| document(random, false, true)).collect() };
    let key = |random: &mut Random, values: &[&'static [&'static str]]| {
        (!random.one_in(3)).then(|| values[random.below(values.len())].to_vec())
    };
    let mut keys = Vec::new();
    for (name, values) in [
        ("aws:SourceIp", &[&["10.1.2.3"] as &[_], &["192.0.2.1"]] as &[_]),
        ("app:free", &[&["xy"] as &[_], &["yx"]]),
        ("app:count", &[&["7"] as &[_], &["12"]]),
        ("app:date", &[&["2019-12-31T00:00:00Z"] as &[_], &["2021-06-01T00:00:00Z"]]),
        ("app:many", &[&["a"] as &[_], &["a", "c"], &["b", "bb"]]),
    ] {
        // A key that is not listed at all is unknown to both sides.
        if !random.one_in(4) {
            keys.push((name, key(random, values)));
        }
    }
    Account {
        user: policies(random),
        group: policies(random),
        role: policies(random),
        boundary: random.one_in(3).then(|| document(random, false, true)),
        trust: document(random, true, false),
        scps: (0..if random.one_in(3) { 1 + random.below(2) } else { 0 })
            .map(|_| document(random, false, true))
            .collect(),
        session: random.one_in(5).then(|| document(random, false, true)),
        resources: [RESOURCES[3], RESOURCES[5], "arn:aws:s3:::b"]
            .iter()
            .map(|arn| (random.one_in(2), (*arn).to_owned(), document(random, true, true)))
            .filter_map(|(has, arn, json)| has.then_some((arn, json)))
            .collect(),
        tag: random.one_in(2).then(|| random.pick(&["red", "blue"]).to_owned()),
        keys,
    }
}

// ---- the engine's side -------------------------------------------------------------------------

fn estate(account: &Account) -> (Estate, Option<graph::aws::estate::PolicyId>) {
    let mut estate = Estate::at(1_800_000_000);
    let add = |estate: &mut Estate, json: &Json| {
        let document = Document::parse(json, &[]).unwrap();
        estate.add_policy(Policy { name: "p".into(), arn: None, source: "random".into(), document })
    };
    let boundary = account.boundary.as_ref().map(|json| add(&mut estate, json));
    let principal = |kind, name: &str| Principal::new(kind, format!("arn:aws:iam::{ACCOUNT}:{name}"), "random".into());
    let mut user = principal(PrincipalKind::User, "user/alice");
    user.unique_id = "AIDALICE".into();
    user.groups = vec!["team".into()];
    user.inline = account.user.iter().map(|json| add(&mut estate, json)).collect();
    let mut group = principal(PrincipalKind::Group, "group/team");
    group.inline = account.group.iter().map(|json| add(&mut estate, json)).collect();
    let mut role = principal(PrincipalKind::Role, "role/r");
    role.inline = account.role.iter().map(|json| add(&mut estate, json)).collect();
    role.trust = Some(add(&mut estate, &account.trust));
    let arn = format!("arn:aws:iam::{ACCOUNT}:policy/limit");
    if let Some(default) = boundary {
        estate.managed.insert(arn.clone(), Managed { default, others: Vec::new() });
    }
    for principal in [&mut user, &mut role] {
        principal.boundary_arn = boundary.map(|_| arn.clone());
        if let Some(tag) = &account.tag {
            principal.tags.insert("team".into(), tag.clone());
        }
    }
    estate.principals = vec![user, role, group];
    let levels: Vec<_> = account.scps.iter().map(|json| vec![add(&mut estate, json)]).collect();
    if !levels.is_empty() {
        estate.scps.insert(ACCOUNT.into(), levels);
    }
    for (arn, json) in &account.resources {
        let policy = add(&mut estate, json);
        estate.resource_policies.insert(arn.clone(), policy);
    }
    let session = account.session.as_ref().map(|json| add(&mut estate, json));
    estate.link();
    (estate, session)
}

fn context(account: &Account) -> Context {
    let mut context = Context::default();
    for (key, value) in &account.keys {
        let value = match value {
            Some(values) => Value::Known(values.iter().map(ToString::to_string).collect()),
            None => Value::Absent,
        };
        context.set(key, value);
    }
    context
}

// ---- the reference: from the documentation, with `None` for "not known" ---------------------------

/// `Some(true)`, `Some(false)`, or not known.
type Known = Option<bool>;

fn both(left: Known, right: Known) -> Known {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn either(left: Known, right: Known) -> Known {
    both(left.map(|left| !left), right.map(|right| !right)).map(|neither| !neither)
}

struct Asker<'a> {
    arn: String,
    user: bool,
    account: &'a Account,
}

enum Key {
    Present(Vec<String>),
    Absent,
    NotKnown,
}

impl Asker<'_> {
    fn key(&self, key: &str) -> Key {
        let present = |text: &str| Key::Present(vec![text.to_owned()]);
        match key {
            "aws:username" if self.user => present("alice"),
            "aws:username" => Key::Absent,
            "aws:PrincipalArn" => present(&self.arn),
            "aws:SecureTransport" => present("true"),
            "aws:PrincipalTag/team" => self.account.tag.as_deref().map_or(Key::Absent, present),
            key => match self.account.keys.iter().find(|(name, _)| *name == key) {
                Some((_, Some(values))) => Key::Present(values.iter().map(ToString::to_string).collect()),
                Some((_, None)) => Key::Absent,
                None => Key::NotKnown,
            },
        }
    }
}

/// Wildcards by recursion: slow and plain.
fn wild(pattern: &[char], text: &[char]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some('*'), _) => wild(&pattern[1..], text) || !text.is_empty() && wild(pattern, &text[1..]),
        (Some('?'), Some(_)) => wild(&pattern[1..], &text[1..]),
        (Some(a), Some(b)) if a == b => wild(&pattern[1..], &text[1..]),
        _ => false,
    }
}

fn wild_text(pattern: &str, text: &str) -> bool {
    wild(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

fn strings(json: &Json) -> Vec<String> {
    match json {
        Json::Array(items) => items.iter().map(|item| item.as_str().unwrap().to_owned()).collect(),
        text => vec![text.as_str().unwrap().to_owned()],
    }
}

/// A variable without a value matches nothing; what it excepts is not documented, unless no value of it would.
fn resource_matches(pattern: &str, resource: &str, asker: &Asker<'_>, excepts: bool) -> Known {
    let tag = asker.account.tag.as_deref().unwrap_or("x");
    let pattern = pattern.replace("${aws:PrincipalTag/team, 'x'}", tag);
    if pattern.contains("${aws:username}") && !asker.user {
        let could = wild_text(&pattern.replace("${aws:username}", "*"), resource);
        return if excepts && could { None } else { Some(false) };
    }
    Some(wild_text(&pattern.replace("${aws:username}", "alice"), resource))
}

fn condition_holds(operator: &str, key: &str, wanted: &[String], asker: &Asker<'_>) -> Known {
    let value = asker.key(key);
    if operator == "Null" {
        let absent = wanted[0] == "true";
        return match value {
            Key::NotKnown => None,
            Key::Absent => Some(absent),
            Key::Present(_) => Some(!absent),
        };
    }
    let (quantifier, rest) = operator.split_once(':').unwrap_or(("", operator));
    let if_exists = rest.ends_with("IfExists");
    let bare = rest.trim_end_matches("IfExists");
    let negated = bare.contains("Not");
    let values = match value {
        Key::NotKnown => return None,
        Key::Absent => {
            return Some(if quantifier == "ForAllValues" || if_exists {
                true
            } else {
                quantifier.is_empty() && negated
            });
        }
        Key::Present(values) => values,
    };
    let single = |value: &String| -> bool {
        let hit = wanted.iter().any(|wanted| match bare.replace("Not", "").as_str() {
            "StringEquals" => wanted == value,
            "StringLike" => wild_text(wanted, value),
            "Bool" => wanted == value,
            "IpAddress" => value.starts_with("10."),
            "NumericLessThan" => value.parse::<i64>().unwrap() < wanted.parse::<i64>().unwrap(),
            "NumericGreaterThanEquals" => value.parse::<i64>().unwrap() >= wanted.parse::<i64>().unwrap(),
            // Dates of one form and offset compare as text.
            "DateGreaterThan" => value > wanted,
            "ArnLike" => wild_text(wanted, value),
            other => panic!("{other}"),
        });
        hit != negated
    };
    Some(if quantifier == "ForAllValues" || quantifier.is_empty() && negated {
        values.iter().all(single)
    } else {
        values.iter().any(single)
    })
}

fn covers(statement: &Json, action: &str, resource: &str, asker: &Asker<'_>) -> Known {
    let action_hit =
        |json: &Json| strings(json).iter().any(|pattern| wild_text(&pattern.to_lowercase(), &action.to_lowercase()));
    let in_actions = statement.get("Action").map(action_hit).unwrap_or_else(|| !action_hit(&statement["NotAction"]));
    let resource_hit = |json: &Json, excepts: bool| {
        let hits = strings(json).into_iter().map(|pattern| resource_matches(&pattern, resource, asker, excepts));
        hits.fold(Some(false), either)
    };
    let in_resources = match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(json), _) => resource_hit(json, false),
        (None, Some(json)) => resource_hit(json, true).map(|hit| !hit),
        (None, None) => Some(true),
    };
    if !in_actions || in_resources == Some(false) {
        return Some(false);
    }
    let mut holds = in_resources;
    for (operator, keys) in statement.get("Condition").and_then(Json::as_object).into_iter().flatten() {
        for (key, wanted) in keys.as_object().unwrap() {
            holds = both(holds, condition_holds(operator, key, &strings(wanted), asker));
        }
    }
    holds
}

fn any_with(effect: &str, documents: &[&Json], action: &str, resource: &str, asker: &Asker<'_>) -> Known {
    let statements = documents.iter().flat_map(|document| document["Statement"].as_array().unwrap());
    let wanted = statements.filter(|statement| statement["Effect"] == effect);
    wanted.fold(Some(false), |hit, statement| either(hit, covers(statement, action, resource, asker)))
}

/// How a statement names an asker.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Account,
    Name,
    Everyone,
}

const WAYS: [By; 3] = [By::Account, By::Name, By::Everyone];

/// Whether a resource policy's statements of one effect name the asker in one of the ways.
fn named(effect: &str, document: &Json, action: &str, resource: &str, asker: &Asker<'_>, by: By) -> Known {
    let statements = document["Statement"].as_array().unwrap().iter();
    let names = |statement: &Json| {
        if statement["Principal"] == "*" {
            return by == By::Everyone;
        }
        strings(&statement["Principal"]["AWS"]).iter().any(|name| match by {
            By::Account => name == ACCOUNT || *name == format!("arn:aws:iam::{ACCOUNT}:root"),
            By::Name => *name == asker.arn || asker.user && name == "AIDALICE",
            By::Everyone => false,
        })
    };
    let wanted = statements.filter(|statement| statement["Effect"] == effect && names(statement));
    wanted.fold(Some(false), |hit, statement| either(hit, covers(statement, action, resource, asker)))
}

fn reference(account: &Account, user: bool, action: &str, resource: &str, with_session: bool) -> Known {
    let arn = format!("arn:aws:iam::{ACCOUNT}:{}", if user { "user/alice" } else { "role/r" });
    let asker = Asker { arn, user, account };
    let own: Vec<&Json> =
        if user { account.user.iter().chain(&account.group).collect() } else { account.role.iter().collect() };
    let boundary: Vec<&Json> = account.boundary.iter().collect();
    let session: Vec<&Json> = account.session.iter().filter(|_| with_session).collect();
    let scps: Vec<&Json> = account.scps.iter().collect();
    let assume = action == "sts:AssumeRole";
    let bucket = resource.split('/').next().unwrap();
    let policy = if assume {
        (resource == RESOURCES[4]).then_some(&account.trust)
    } else {
        account
            .resources
            .iter()
            .find(|(arn, _)| arn == resource || arn == bucket && resource.starts_with("arn:aws:s3"))
            .map(|(_, json)| json)
    };

    // 1. An explicit deny anywhere.
    let mut denied = Some(false);
    for documents in [&own, &boundary, &session, &scps] {
        denied = either(denied, any_with("Deny", documents, action, resource, &asker));
    }
    if let Some(policy) = policy {
        for by in WAYS {
            denied = either(denied, named("Deny", policy, action, resource, &asker, by));
        }
    }
    // 2. Every level of service control policies allows.
    let organisation =
        scps.iter().fold(Some(true), |all, scp| both(all, any_with("Allow", &[scp], action, resource, &asker)));
    // 3. What limits the principal.
    let limit = |documents: &[&Json]| {
        if documents.is_empty() { Some(true) } else { any_with("Allow", documents, action, resource, &asker) }
    };
    let limits = both(limit(&boundary), limit(&session));
    let identity = both(any_with("Allow", &own, action, resource, &asker), limits);
    // 4. The resource's own policy: a user named by ARN is not limited, a role is; what `*` does is not said.
    let grant = |by| policy.map_or(Some(false), |policy| named("Allow", policy, action, resource, &asker, by));
    let direct = if user {
        either(grant(By::Name), grant(By::Everyone))
    } else {
        either(both(grant(By::Name), limits), both(grant(By::Everyone), either(limits, None)))
    };
    let delegated = both(grant(By::Account), identity);
    let cross_account = resource.contains(OTHER);
    let access = if cross_account {
        both(identity, WAYS.into_iter().fold(Some(false), |some, by| either(some, grant(by))))
    } else if assume {
        either(direct, delegated)
    } else {
        either(direct, identity)
    };
    both(both(denied.map(|denied| !denied), organisation), access)
}

fn known(truth: Truth) -> Known {
    match truth {
        Truth::Yes => Some(true),
        Truth::No => Some(false),
        Truth::Unknown => None,
    }
}

#[test]
fn the_engine_agrees_with_the_reference_on_random_accounts() {
    let wanted = std::env::var("BAILIWICK_DIFFERENTIAL_ACCOUNTS").ok().and_then(|count| count.parse().ok());
    let accounts: u64 = wanted.unwrap_or(150);
    let (mut asked, mut counts) = (0_u64, [0_u64; 3]);
    for seed in 0..accounts {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66);
        let account = account(&mut random);
        let (estate, session) = estate(&account);
        let context = context(&account);
        let evaluator = Evaluator::new(&estate);
        for action in ACTIONS {
            for resource in RESOURCES {
                for (index, user) in [(0, true), (1, false)] {
                    let policies: Vec<_> = session.into_iter().filter(|_| !user).collect();
                    let request = Request { session: &policies, ..Request::new(index, action, resource, &context) };
                    let answer = evaluator.decide(&request);
                    let expected = reference(&account, user, action, resource, !policies.is_empty());
                    assert_eq!(
                        known(answer.verdict),
                        expected,
                        "seed {seed}: user {user}, {action} on {resource}: {answer:?}"
                    );
                    counts[answer.verdict as usize] += 1;
                    asked += 1;
                }
                agree(&evaluator, action, resource, &context);
            }
        }
    }
    println!(
        "{accounts} accounts, {asked} requests: {} no, {} unknown, {} yes; no difference",
        counts[0], counts[1], counts[2]
    );
}

/// Who-can lists exactly those whom can does not refuse.
fn agree(evaluator: &Evaluator<'_>, action: &str, resource: &str, context: &Context) {
    let who: Vec<usize> =
        query::who_can(evaluator.estate, action, resource, context).into_iter().map(|(index, _)| index).collect();
    for index in 0..2 {
        let can = evaluator.decide(&Request::new(index, action, resource, context)).verdict;
        assert_eq!(who.contains(&index), can != Truth::No);
    }
}

//! Small accounts as text, for tests: a principal a line, what it has below it, then assertions.
//!
//! ```text
//! account 111122223333
//! role target
//!   trusts lambda.amazonaws.com
//!   refuses anyone StringNotEquals aws:PrincipalAccount 111122223333
//!   allow s3:GetObject on arn:aws:s3:::b/*
//! user alice
//!   in team
//!   deny s3:* on *
//!   if StringEquals aws:SourceIp 10.0.0.1        (of the statement above)
//! ? alice s3:GetObject arn:aws:s3:::b/x = no
//! ```
//!
//! Each `?` is asked three times: of can, of who-can and of what-can.

use serde_json::{Value as Json, json};

use super::condition::Context;
use super::estate::{Estate, Joint, Managed, Policy, Principal, PrincipalKind, Workload};
use super::evaluate::{Evaluator, Request};
use super::policy::Document;
use super::query;
use super::truth::Truth;

/// A parsed account and its assertions: principal, action, resource, expected.
pub(crate) struct Fixture {
    pub(crate) estate: Estate,
    asserted: Vec<(String, String, String, Truth)>,
}

#[derive(Default)]
struct Block {
    word: String,
    name: String,
    account: String,
    lines: Vec<String>,
}

impl Fixture {
    pub(crate) fn parse(text: &str) -> Self {
        let mut account = "111122223333".to_owned();
        let mut blocks: Vec<Block> = Vec::new();
        let mut fixture = Self { estate: Estate::at(1_800_000_000), asserted: Vec::new() };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                _ if line.starts_with(' ') => blocks.last_mut().unwrap().lines.push(line.trim().to_owned()),
                ["account", id] => account = (*id).to_owned(),
                ["listed", kind] => {
                    fixture.estate.listed.insert((*kind).to_owned());
                }
                ["workload", kind, arn, rest @ ..] => {
                    let role = rest.get(1).map(|role| format!("arn:aws:iam::{account}:{role}"));
                    let (kind, arn, source) = ((*kind).to_owned(), (*arn).to_owned(), "fixture".into());
                    fixture.estate.workloads.push(Workload { kind, arn, role, source, line: None });
                }
                ["joined", relation, workload, resource] => fixture.estate.joints.push(Joint {
                    workload: (*workload).to_owned(),
                    relation: (*relation).to_owned(),
                    resource: (*resource).to_owned(),
                    source: "fixture".into(),
                    line: None,
                }),
                ["?", who, action, resource, "=", expected] => {
                    let expected = match *expected {
                        "yes" => Truth::Yes,
                        "no" => Truth::No,
                        _ => Truth::Unknown,
                    };
                    let expand = |text: &str| expand(text, &account);
                    fixture.asserted.push((expand(who), (*action).to_owned(), expand(resource), expected));
                }
                [word, name] => {
                    let (word, name, account) = ((*word).to_owned(), (*name).to_owned(), account.clone());
                    blocks.push(Block { word, name, account, lines: Vec::new() });
                }
                _ => panic!("not a fixture line: {line}"),
            }
        }
        for block in &blocks {
            fixture.add(block, &block.account);
        }
        fixture.estate.link();
        fixture
    }

    fn add(&mut self, block: &Block, account: &str) {
        match block.word.as_str() {
            "policy" => {
                let versions = block.lines.split(|line| line == "version");
                let arn = format!("arn:aws:iam::{account}:policy/{}", block.name);
                let ids: Vec<_> = versions.map(|lines| self.policy(&block.name, &statements(lines, account))).collect();
                self.estate.managed.insert(arn, Managed { default: ids[0], others: ids[1..].to_vec() });
            }
            "resource" => {
                let policy = self.policy(&block.name, &statements(&block.lines, account));
                self.estate.resource_policies.insert(block.name.clone(), policy);
            }
            "scp" => {
                let policy = self.policy("scp", &statements(&block.lines, account));
                self.estate.scps.entry(block.name.clone()).or_default().push(vec![policy]);
            }
            "rcp" => {
                let policy = self.policy("rcp", &statements(&block.lines, account));
                self.estate.rcps.entry(block.name.clone()).or_default().push(vec![policy]);
            }
            word => {
                let kind = match word {
                    "user" => PrincipalKind::User,
                    "role" => PrincipalKind::Role,
                    "group" => PrincipalKind::Group,
                    word => panic!("not a fixture word: {word}"),
                };
                let mut principal =
                    Principal::new(kind, format!("arn:aws:iam::{account}:{word}/{}", block.name), "fixture".into());
                let mut trusted = Vec::new();
                for line in &block.lines {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    match words.as_slice() {
                        ["in", group] => principal.groups.push((*group).to_owned()),
                        ["attached", policy] => {
                            principal.attached.push(format!("arn:aws:iam::{account}:policy/{policy}"))
                        }
                        ["boundary", policy] => {
                            principal.boundary_arn = Some(format!("arn:aws:iam::{account}:policy/{policy}"))
                        }
                        ["profile"] => principal.instance_profiles.push(block.name.clone()),
                        ["trusts", whom] => trusted.push(trust(whom, account)),
                        ["trusts", "all-but", whom] => {
                            let mut trusting = trust(whom, account);
                            trusting["NotPrincipal"] = trusting["Principal"].take();
                            trusting.as_object_mut().unwrap().remove("Principal");
                            trusted.push(trusting);
                        }
                        ["refuses", whom, operator, key, value] => {
                            let mut refused = trust(whom, account);
                            refused["Effect"] = json!("Deny");
                            refused["Condition"][operator][key] = json!(value);
                            trusted.push(refused);
                        }
                        ["tag", key, value] => {
                            principal.tags.insert((*key).to_owned(), (*value).to_owned());
                        }
                        _ => {}
                    }
                }
                let own = statements(&block.lines, account);
                if !own.is_empty() {
                    principal.inline.push(self.policy(&block.name, &own));
                }
                if !trusted.is_empty() {
                    principal.trust = Some(self.policy(&format!("trust policy of {}", block.name), &trusted));
                }
                self.estate.principals.push(principal);
            }
        }
    }

    fn policy(&mut self, name: &str, statements: &[Json]) -> super::estate::PolicyId {
        let document = Document::parse(&json!({"Version": "2012-10-17", "Statement": statements}), &[]).unwrap();
        self.estate.add_policy(Policy { name: name.to_owned(), arn: None, source: "fixture".into(), document })
    }

    /// Asks every assertion of can, who-can and what-can; the three agree or the test fails.
    pub(crate) fn check(&self) {
        let context = Context::default();
        let evaluator = Evaluator::new(&self.estate);
        for (who, action, resource, expected) in &self.asserted {
            let index = self.estate.find(who).unwrap();
            let answer = evaluator.decide(&Request::new(index, action, resource, &context));
            assert_eq!(answer.verdict, *expected, "can {who} {action} {resource}: {answer:?}");
            let listed = query::who_can(&self.estate, action, resource, &context).iter().any(|(one, _)| *one == index);
            assert_eq!(listed, *expected != Truth::No, "who-can {action} {resource}: {who}");
            // What-can lists what the principal's own policies grant; a trust policy's word is not among them.
            if !action.starts_with("sts:")
                && answer.allows.iter().chain(&answer.denies).all(|cite| cite.layer != super::Layer::Resource)
            {
                let grants = query::what_can(&self.estate, index);
                let given = Truth::any(grants.iter().map(|grant| grant.gives(action, resource)));
                assert!(*expected == Truth::No || given != Truth::No, "what-can {who} lacks {action} {resource}");
                assert!(*expected != Truth::No || given != Truth::Yes, "what-can {who} has {action} {resource}");
            }
        }
    }
}

fn expand(text: &str, account: &str) -> String {
    if text.starts_with("role/")
        || text.starts_with("user/")
        || text.starts_with("group/")
        || text.starts_with("policy/")
    {
        return format!("arn:aws:iam::{account}:{text}");
    }
    text.to_owned()
}

fn trust(whom: &str, account: &str) -> Json {
    let principal = match whom {
        "anyone" => json!("*"),
        service if service.ends_with(".amazonaws.com") => json!({"Service": service}),
        provider if provider.contains("oidc-provider") => json!({"Federated": provider}),
        id if id.bytes().all(|byte| byte.is_ascii_digit()) => json!({"AWS": format!("arn:aws:iam::{id}:root")}),
        name => json!({"AWS": expand(name, account)}),
    };
    json!({"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"], "Principal": principal})
}

fn statements(lines: &[String], account: &str) -> Vec<Json> {
    let mut statements: Vec<Json> = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [effect @ ("allow" | "deny"), rest @ ..] => {
                let (effect, mut statement) = (if *effect == "allow" { "Allow" } else { "Deny" }, json!({}));
                statement["Effect"] = json!(effect);
                let split = rest.iter().position(|word| *word == "on").unwrap();
                let (actions, resources) = (&rest[..split], &rest[split + 1..]);
                let list = |words: &[&str]| -> Vec<String> {
                    words.iter().map(|word| expand(word.trim_end_matches(','), account)).collect()
                };
                match actions {
                    ["except", actions @ ..] => statement["NotAction"] = json!(list(actions)),
                    actions => statement["Action"] = json!(list(actions)),
                }
                let (resources, whom) = match resources.iter().position(|word| *word == "to") {
                    Some(at) => (&resources[..at], Some(resources[at + 1])),
                    None => (resources, None),
                };
                match resources {
                    ["except", resources @ ..] => statement["NotResource"] = json!(list(resources)),
                    resources => statement["Resource"] = json!(list(resources)),
                }
                if let Some(whom) = whom {
                    statement["Principal"] = trust(whom, account)["Principal"].clone();
                }
                statements.push(statement);
            }
            ["if", operator, key, values @ ..] => {
                statements.last_mut().unwrap()["Condition"][operator][key] = json!(values)
            }
            _ => {}
        }
    }
    statements
}

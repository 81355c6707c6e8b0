//! Paths over small joined graphs.

use super::patch::Patch;
use super::report::Beside;
use super::*;
use crate::text;

struct Nothing;

impl Beside for Nothing {
    fn shown(&self, place: &str) -> String {
        place.to_owned()
    }
    fn hunks(&self, _: &str, _: Option<u32>) -> Vec<Patch> {
        Vec::new()
    }
    fn observed(&self, _: &[(String, String)]) -> String {
        "no use of it was observed".to_owned()
    }
}

fn check(fixture: &str, from: &str, to: &str) -> String {
    let graph = text::parse(fixture).unwrap();
    let model = Model::new(&graph);
    let starts = Start::parse(&graph, from).unwrap().places(&graph);
    let goals = Goal::parse(&graph, to).unwrap().entities(&graph);
    report::text(&model, &model.find(&starts, &goals), false, &Nothing)
}

const SHOP: &str = "agent claude client=claude-code @c.json:1
claude uses web @c.json:2
web offers fetch_page description=\"Fetches a web page.\" @c.json:2
claude uses shell @c.json:3
shell offers run_command description=\"Runs a shell command.\" @c.json:3
shell holds k3y via.name=AWS_ACCESS_KEY_ID @c.json:4
credential k3y acts_as ci @keys.json:1
identity ci acts_as admin administrator=true @iam.json:9";

#[test]
fn what_outsiders_write_leads_to_the_administrator() {
    insta::assert_snapshot!(check(SHOP, "outsiders", "admin"));
}

#[test]
fn without_the_page_reader_nothing_leads_anywhere() {
    let quiet: String =
        SHOP.lines().filter(|line| !line.contains("fetch_page")).map(|line| format!("{line}\n")).collect();
    assert!(check(&quiet, "outsiders", "jewels").starts_with("0 paths certain and 0 possible"));
}

#[test]
fn two_grants_that_do_the_same_are_cut_together() {
    let graph = text::parse(&format!("{SHOP}\nclaude uses other @c.json:7\nother offers run_command2 description=\"Runs a shell command.\" @c.json:7\nother holds k3y @c.json:8")).unwrap();
    let model = Model::new(&graph);
    let goals = Goal::Administrators.entities(&graph);
    let found = model.find(&[Place::Outsiders], &goals);
    assert_eq!((found.paths.len(), found.cut.as_ref().unwrap().grants.len()), (1, 1));
    let lines: Vec<Option<u32>> = found.chokes.iter().map(|choke| model.grants()[choke.grant].line).collect();
    assert!(!lines.contains(&Some(3)) && !lines.contains(&Some(7)), "neither server alone is a choke point: {lines:?}");
}

#[test]
fn a_name_that_nothing_or_several_have_is_said() {
    let graph = text::parse("agent a client=claude-code\nagent b client=claude-code").unwrap();
    assert_eq!(Start::parse(&graph, "c"), Err(UnknownName::Nothing("c".to_owned())));
    assert!(matches!(Start::parse(&graph, "claude-code"), Err(UnknownName::Several(..))));
    assert_eq!(Start::parse(&graph, "agent:b"), Ok(Start::At(1)));
}

#[test]
fn a_step_that_needs_two_principals_needs_both() {
    let fixture = |user: &str| {
        format!(
            "identity a acts_as goal administrator=true via.ways=[{{\"kind\":\"k\",\"title\":\"does it\",\"certain\":true,\"also\":{{\"kind\":\"identity\",\"key\":\"b\"}},\"needs\":[]}}]\nidentity b\n{user}"
        )
    };
    assert!(check(&fixture(""), "a", "admin").contains("0 paths certain"));
    assert!(check(&fixture("a acts_as b"), "a", "admin").contains("1 path certain"));
}

#[test]
fn a_step_that_is_not_certain_says_what_is_open() {
    let text = "agent a uses s\ns acts_as identity boss administrator=true via.truth=unknown via.setting=AWS_ROLE_ARN";
    let said = check(text, "agents", "admin");
    assert!(said.contains("not known: whether anything beside `AWS_ROLE_ARN` lets it do that"), "{said}");
}

//! What operators read.

#![allow(clippy::unwrap_used, reason = "a test may unwrap; clippy knows only `#[test]` functions as tests")]

mod common;

use common::{approved, call, compile, default_snapshot, now, tainted};
use policy::{Action, Snapshot, explain};
use serde_json::json;

#[track_caller]
fn check(snapshot: &Snapshot, action: &Action, expected: &str) {
    let explanation = explain(snapshot, action, now());
    assert_eq!(explanation.operator_text().trim(), expected.trim());
    let json = serde_json::to_string(&explanation).unwrap();
    assert_eq!(serde_json::from_str::<policy::Explanation>(&json).unwrap(), explanation);
}

const RULES: &str = r#"@id("read")
permit (principal, action in Action::"read", resource);

@id("pay-a-little")
@reason("Small payments are allowed.")
permit (principal == Agent::"claude-code", action == Action::"bank/pay", resource)
when { context.arguments.amount.lessThan(decimal("100.0")) && context.user == "ada" };

@id("ask-strange-accounts")
@ask("pay to a new account")
forbid (principal, action in Action::"pay", resource)
unless { context.arguments has account && context.arguments.account == "known" };
"#;

#[test]
fn an_ask_names_the_group_and_the_values() {
    let action = call("bank/pay", json!({ "amount": 5, "account": "other" }));
    check(
        &compile(&[("rules.cedar", RULES)]),
        &action,
        r#"
asked: a person must approve "pay to a new account"

forbid `ask-strange-accounts`  rules.cedar:9:1
  holds: action in [Action::"pay"]
  holds: unless { context.arguments has account && context.arguments.account == "known" }
    context.arguments.account = "other"

what would have to change:
  - a person approves "pay to a new account", which `ask-strange-accounts` (rules.cedar:9) asks for
"#,
    );
    let snapshot = compile(&[("rules.cedar", RULES)]);
    let explanation = explain(&snapshot, &approved(action, &["pay to a new account"]), now());
    assert_eq!(explanation.changes, [] as [String; 0]);
}

#[test]
fn a_default_deny_names_the_nearest_permit_and_what_it_lacks() {
    let action = call("bank/pay", json!({ "amount": 500, "account": "known" }));
    let explanation = explain(&compile(&[("rules.cedar", RULES)]), &action, now());
    assert_eq!(explanation.closest[0].policy, "pay-a-little");
    assert_eq!(
        explanation.changes,
        [
            "some policy must permit it".to_owned(),
            "`pay-a-little` (rules.cedar:4) would, if `context.arguments.amount.lessThan(decimal(\"100.0\"))` held"
                .to_owned(),
            "`read` (rules.cedar:1) would, if `action in [Action::\"read\"]` held".to_owned(),
        ]
    );
}

#[test]
fn a_hard_forbid_says_that_no_approval_lifts_it() {
    let action = tainted(call("fs/read_file", json!({ "path": "~/.ssh/id_rsa" })));
    let explanation = explain(&default_snapshot(), &action, now());
    assert_eq!(explanation.changes.len(), 1);
    assert!(explanation.changes[0].ends_with("no approval lifts it"), "{:?}", explanation.changes);
    assert!(
        explanation.operator_text().contains("context.marks = [\"outside_project\", \"private_key\"]"),
        "{}",
        explanation.operator_text()
    );
}

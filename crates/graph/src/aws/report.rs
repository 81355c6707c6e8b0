//! Answers as people and programs read them: text like a compiler's, and JSON.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::attack::left_open;
use super::estate::{Estate, StatementId};
use super::evaluate::{Answer, Cite};
use super::query::{Grant, Limit, Side};
use super::truth::Truth;

/// A statement with where it stands, in one line.
pub fn cite(estate: &Estate, id: StatementId) -> String {
    let Some(policy) = estate.policy(id.policy) else { return "(a statement that is not there)".into() };
    let statement = estate.statement(id);
    let sid =
        statement.and_then(|statement| statement.sid.as_deref()).map(|sid| format!(" `{sid}`")).unwrap_or_default();
    let line = statement.and_then(|statement| statement.line).map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}, statement {}{sid} ({}{line})", policy.name, id.statement + 1, policy.source)
}

fn cite_json(estate: &Estate, id: StatementId) -> Json {
    let policy = estate.policy(id.policy);
    let statement = estate.statement(id);
    json!({
        "policy": policy.map(|policy| policy.name.clone()),
        "policy_arn": policy.and_then(|policy| policy.arn.clone()),
        "statement": id.statement + 1,
        "sid": statement.and_then(|statement| statement.sid.clone()),
        "source": policy.map(|policy| policy.source.to_string()),
        "line": statement.and_then(|statement| statement.line),
    })
}

/// One answer as text.
pub fn answer(estate: &Estate, question: &str, answer: &Answer) -> String {
    let mut text = format!("{}: {question}\n", answer.verdict.as_str());
    for (word, cites) in [("denied by", &answer.denies), ("allowed by", &answer.allows)] {
        for one in cites {
            let _ = writeln!(text, "  = {word} {}: {}", one.layer.as_str(), cite(estate, one.statement));
            for open in open(estate, one) {
                let _ = writeln!(text, "      open: {open}");
            }
        }
    }
    for layer in &answer.lacks {
        let _ = writeln!(text, "  = no {} allows it", layer.as_str());
    }
    if answer.is_blocked {
        let _ = writeln!(text, "  = denied by a block of public access");
    }
    for gap in &answer.gaps {
        let _ = writeln!(text, "  = not known: {gap}");
    }
    text
}

/// What stays open of a statement that takes part.
fn open(estate: &Estate, cite: &Cite) -> Vec<String> {
    let statement = estate.statement(cite.statement).filter(|_| cite.truth == Truth::Unknown);
    statement.map(left_open).unwrap_or_default()
}

/// One answer as JSON.
pub fn answer_json(estate: &Estate, answer: &Answer) -> Json {
    let cites = |cites: &[super::evaluate::Cite]| -> Vec<Json> {
        let one = |one: &Cite| json!({"layer": one.layer.as_str(), "truth": one.truth, "at": cite_json(estate, one.statement), "open": open(estate, one)});
        cites.iter().map(one).collect()
    };
    json!({
        "verdict": answer.verdict,
        "allowed_by": cites(&answer.allows),
        "denied_by": cites(&answer.denies),
        "lacks": answer.lacks.iter().map(|layer| layer.as_str()).collect::<Vec<_>>(),
        "blocked": answer.is_blocked,
        "not_known": answer.gaps,
    })
}

/// A principal's grants as text.
pub fn grants(estate: &Estate, grants: &[Grant]) -> String {
    let mut text = String::new();
    for grant in grants {
        let _ = writeln!(text, "{} on {}", side(&grant.scope.actions), side(&grant.scope.resources));
        let _ = writeln!(text, "  = {}", cite(estate, grant.statement));
        for condition in &grant.conditions {
            let _ = writeln!(text, "  = if {condition}");
        }
        let mut limit = |what: &str, limit: &Limit| {
            let (actions, resources) = (side(&limit.scope.actions), side(&limit.scope.resources));
            let conditions: String = limit.conditions.iter().map(|condition| format!(" if {condition}")).collect();
            let at = cite(estate, limit.statement);
            let _ = writeln!(text, "  = {what} {actions} on {resources}{conditions}: {at}");
        };
        grant.except.iter().for_each(|deny| limit("but not", deny));
        for level in &grant.within {
            for (at, one) in level.iter().enumerate() {
                limit(if at == 0 { "only within" } else { "         or" }, one);
            }
        }
        for gap in &grant.unread {
            let _ = writeln!(text, "  = as far as is known: {gap}");
        }
    }
    text
}

fn side(side: &Side) -> String {
    match side {
        Side::Of(patterns) => patterns.join(", "),
        Side::Except(patterns) => format!("everything but {}", patterns.join(", ")),
    }
}

/// A principal's grants as JSON.
pub fn grants_json(estate: &Estate, grants: &[Grant]) -> Json {
    let scope =
        |scope: &super::query::Scope| json!({"actions": side(&scope.actions), "resources": side(&scope.resources)});
    let limit = |limit: &Limit| {
        let at = cite_json(estate, limit.statement);
        json!({"scope": scope(&limit.scope), "at": at, "conditions": limit.conditions})
    };
    let one = |grant: &Grant| {
        json!({
            "scope": scope(&grant.scope),
            "at": cite_json(estate, grant.statement),
            "conditions": grant.conditions,
            "except": grant.except.iter().map(limit).collect::<Vec<_>>(),
            "within": grant.within.iter().map(|level| level.iter().map(limit).collect()).collect::<Vec<Vec<_>>>(),
            "not_known": grant.unread,
        })
    };
    Json::Array(grants.iter().map(one).collect())
}

//! Answers about a cluster as people and programs read them.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::estate::Subject;
use super::evaluate::{Answer, Cite, Evaluator, Held, rule_text};
use crate::step::Grant;

fn cite(evaluator: &Evaluator<'_>, cite: Cite) -> String {
    evaluator.grant(cite).map_or_else(String::new, |grant: Grant| grant.cite())
}

/// One answer as text.
pub fn answer(evaluator: &Evaluator<'_>, question: &str, answer: &Answer) -> String {
    let mut text = format!("{}: {question}\n", answer.verdict.as_str());
    for one in &answer.allows {
        let _ = writeln!(text, "  = allowed by {}", cite(evaluator, *one));
    }
    if answer.allows.is_empty() && answer.verdict == crate::aws::Truth::No {
        let _ = writeln!(text, "  = no role that is bound to it allows it");
    }
    for gap in &answer.gaps {
        let _ = writeln!(text, "  = not known: {gap}");
    }
    text
}

/// One answer as JSON.
pub fn answer_json(evaluator: &Evaluator<'_>, answer: &Answer) -> Json {
    json!({
        "verdict": answer.verdict,
        "allowed_by": answer.allows.iter().map(|one| cite_json(evaluator, *one)).collect::<Vec<_>>(),
        "not_known": answer.gaps,
    })
}

fn cite_json(evaluator: &Evaluator<'_>, cite: Cite) -> Json {
    let Some(grant) = evaluator.grant(cite) else { return Json::Null };
    json!({"policy": grant.policy, "part": grant.part, "source": grant.source.as_ref(), "line": grant.line})
}

/// Everything that a subject has, as text.
pub fn held(evaluator: &Evaluator<'_>, held: &[Held]) -> String {
    let mut text = String::new();
    for one in held {
        let rule = evaluator.rule(one.cite).map(rule_text).unwrap_or_default();
        let place = one.namespace.as_ref().map_or_else(String::new, |name| format!(" in namespace {name}"));
        let _ = writeln!(text, "{rule}{place}\n  = {}", cite(evaluator, one.cite));
    }
    text
}

/// Everything that a subject has, as JSON.
pub fn held_json(evaluator: &Evaluator<'_>, subject: &Subject, held: &[Held]) -> Json {
    let one = |one: &Held| {
        let rule = evaluator.rule(one.cite);
        json!({
            "verbs": rule.map(|rule| &rule.verbs),
            "groups": rule.map(|rule| &rule.groups),
            "resources": rule.map(|rule| &rule.resources),
            "names": rule.map(|rule| &rule.names),
            "urls": rule.map(|rule| &rule.urls),
            "namespace": one.namespace,
            "at": cite_json(evaluator, one.cite),
        })
    };
    json!({"subject": subject.name(), "rules": held.iter().map(one).collect::<Vec<_>>()})
}

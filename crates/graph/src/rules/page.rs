//! A rule's page in the documentation, made from the rule.

use std::collections::BTreeMap;

use super::{RULES, Rule};

/// The Markdown page of a rule, `docs/rules/<id>.md`.
pub fn page(rule: &Rule) -> String {
    format!(
        "# {}: `{}`\n\n{}\n\n## What to do\n\n{}\n\n## Fires\n\n```text\n{}\n```\n\n## Stays silent\n\n```text\n{}\n```\n\n\
         ## In published frameworks\n\n{}\n<!-- Made from `crates/graph/src/rules/{}.rs`; a test holds it current. -->\n",
        rule.title,
        rule.id,
        rule.why,
        rule.fix,
        rule.fires,
        rule.silent,
        frameworks(rule),
        rule.id.replace('-', "_"),
    )
}

/// The list of all rules, `docs/rules/README.md`.
pub fn index() -> String {
    let rows: String = RULES.iter().map(|rule| format!("| [`{0}`]({0}.md) | {1} |\n", rule.id, rule.title)).collect();
    format!("# Rules\n\nWhat `bailiwick scan` looks for, one page each.\n\n| rule | what is wrong |\n|---|---|\n{rows}")
}

fn frameworks(rule: &Rule) -> String {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for cited in rule.citations() {
        let name = format!("{} ({})", cited.framework, cited.edition);
        by_name.entry(name).or_default().push(format!("{} {}", cited.id, cited.title));
    }
    by_name.into_iter().map(|(name, items)| format!("- {name}: {}\n", items.join("; "))).collect()
}

//! Holds that nothing of ours names a value of the data: an account, an address, a person's mail, a host, a file.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// Folders that are not ours or hold no text of ours.
const SKIPPED: &[&str] = &["target", ".git", "node_modules", "dist"];
const SUFFIXES: &[&str] = &["rs", "cedar", "toml", "md", "json", "ts", "tsx", "py", "txt", "yaml"];

/// Fails, with places, if a file under `root` holds a telling string of the catalog.
pub(crate) fn lint(catalog: &Value, root: &Path) -> anyhow::Result<()> {
    let mut telling = BTreeSet::new();
    for suite in catalog.as_object().into_iter().flat_map(|suites| suites.values()) {
        for tasks in ["user_tasks", "injection_tasks"] {
            collect(suite.get(tasks).unwrap_or(&Value::Null), &mut telling);
        }
    }
    let mut hits = Vec::new();
    search(root, &telling, &mut hits)?;
    anyhow::ensure!(hits.is_empty(), "strings of the data in the repository:\n{}", hits.join("\n"));
    println!("{} strings of the data, none in `{}`", telling.len(), root.display());
    Ok(())
}

fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => object.values().for_each(|child| collect(child, into)),
        Value::Array(items) => items.iter().for_each(|child| collect(child, into)),
        Value::String(text) => {
            let tokens = text
                .split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ',' | '(' | ')' | '!' | '?' | ';' | ':'))
                .map(|token| token.trim_end_matches('.'));
            into.extend(tokens.filter(|token| is_telling(token)).map(str::to_lowercase));
        }
        _ => {}
    }
}

/// Addresses, hosts, file names, account numbers and codes; not words, dates and plain numbers.
fn is_telling(token: &str) -> bool {
    let letters = token.chars().filter(|c| c.is_alphabetic()).count();
    let digits = token.chars().filter(char::is_ascii_digit).count();
    let dotted = token.split('.').filter(|part| part.len() >= 2).count() >= 2;
    token.len() >= 6 && letters >= 2 && (token.contains('@') || dotted || digits >= 3)
}

fn search(folder: &Path, telling: &BTreeSet<String>, hits: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && !SKIPPED.contains(&name) {
            search(&path, telling, hits)?;
        } else if path.extension().and_then(|suffix| suffix.to_str()).is_some_and(|suffix| SUFFIXES.contains(&suffix)) {
            let text = std::fs::read_to_string(&path).unwrap_or_default().to_lowercase();
            hits.extend(
                telling
                    .iter()
                    .filter(|token| text.contains(token.as_str()))
                    .map(|token| format!("{}: `{token}`", path.display())),
            );
        }
    }
    Ok(())
}

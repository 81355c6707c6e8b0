//! The pages in `docs/rules` are those that the rules make. `UPDATE_DOCS=1` writes them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use std::collections::BTreeMap;
use std::path::Path;

use graph::rules;

#[test]
fn the_pages_of_the_rules_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules");
    let pages = rules::RULES.iter().map(|rule| (format!("{}.md", rule.id), rules::page(rule)));
    let wanted: BTreeMap<String, String> = pages.chain([("README.md".to_owned(), rules::index())]).collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in &wanted {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
    };
    let there: BTreeMap<String, String> = std::fs::read_dir(&folder).unwrap().map(read).collect();
    let stale: Vec<&String> =
        wanted.keys().chain(there.keys()).filter(|name| wanted.get(*name) != there.get(*name)).collect();
    assert!(stale.is_empty(), "run `UPDATE_DOCS=1 cargo nextest run -p graph`: {stale:?}");
}

#[test]
fn the_table_of_steps_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/steps.md");
    let wanted = graph::step::docs::table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap() == wanted, "run `UPDATE_DOCS=1 cargo nextest run -p graph`");
}

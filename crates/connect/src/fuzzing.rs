//! What the fuzz targets call. Built for them alone (`cfg(fuzzing)`).

use std::path::Path;

use crate::document::{Document, Format};
use crate::{aws, hcl, history as histories, hook, hunk, mandate as mandates, secret, server};

/// A configuration in every format: what is read has its place in the text.
pub fn config(text: &str) {
    for format in [Format::Json, Format::Toml, Format::Yaml] {
        let Ok(document) = Document::parse(text, format) else { continue };
        let _ = server::read(&document, &["mcpServers", "servers", ""]);
        let _ = hook::read(&document);
        let mut open = vec![document.root()];
        while let Some(node) = open.pop() {
            assert!(text.get(node.span.clone()).is_some(), "a place outside the text");
            open.extend(node.entries().iter().map(|entry| &entry.node).chain(node.items()));
        }
    }
    let _ = secret::find_named("name", text);
}

/// A mandate.
pub fn mandate(text: &str) {
    let _ = mandates::parse(text);
}

/// What accounts, plans, templates and clusters say: every step that follows, and every hunk of a patch.
pub fn estate(text: &str) {
    let mut loaded = aws::Loaded::default();
    aws::add(&mut loaded, "file", text);
    loaded.link();
    let _ = loaded.world();
    for name in ["file.json", "file.yaml", "file.tf"] {
        for line in 1..=8 {
            let _ = hunk::removal(name, text, line);
        }
    }
}

/// Records of sessions, and the attributes of Terraform's files.
pub fn history(text: &str) {
    let mut history = histories::History::default();
    histories::read_text(Path::new("file"), text, &mut history);
    let _ = hcl::attributes(text, 1);
}

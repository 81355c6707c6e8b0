//! What the fuzz targets call. Built for them alone (`cfg(fuzzing)`).

use crate::document::{Document, Format};
use crate::{hook, mandate as mandates, secret, server};

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

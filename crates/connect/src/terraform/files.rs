//! Where the `.tf` files beside a plan say what the plan makes.
//!
//! A strict scan by lines, no parser of HCL: a block is found by `resource "TYPE" "NAME"` or `data "TYPE" "NAME"` at
//! the start of a line and ends at the next `}` at the start of a line, as `terraform fmt` writes it. What is written
//! in another way is not found, and the plan's own line stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::aws::text;
use crate::document::Node;
use crate::hcl::{self, Expression};

/// Bounds: modules within modules, files of a module, and bytes of a file.
const DEPTH_MAX: u32 = 8;
const FILES_MAX: usize = 500;
const SIZE_MAX_BYTES: u64 = 4 << 20;

/// A block of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    pub(super) source: Arc<str>,
    pub(super) line: u32,
    /// The lines of its `statement` blocks.
    pub(super) statements: Vec<u32>,
    /// What its attributes are given.
    pub(super) attributes: Vec<(String, Expression)>,
    /// What the attributes of its `inline_policy` blocks are given.
    pub(super) inline: Vec<Vec<(String, Expression)>>,
}

impl Block {
    pub(super) fn attribute(&self, name: &str) -> Option<&Expression> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, expression)| expression)
    }
}

/// Blocks by the plain address of what they make, and locals by the path of their module and their name.
#[derive(Debug, Default)]
pub(super) struct Files {
    blocks: BTreeMap<String, Block>,
    locals: BTreeMap<(String, String), Expression>,
}

impl Files {
    /// The files of a plan's configuration that lie in a folder, and those of its local modules.
    pub(super) fn beside(folder: &Path, configuration: Option<&Node>) -> Self {
        let mut files = Self::default();
        if let Some(root) = configuration {
            files.module(folder, root, ("", 0));
        }
        files
    }

    pub(super) fn get(&self, plain: &str) -> Option<&Block> {
        self.blocks.get(plain)
    }

    pub(super) fn local(&self, module: &str, name: &str) -> Option<&Expression> {
        self.locals.get(&(module.to_owned(), name.to_owned()))
    }

    fn module(&mut self, folder: &Path, module: &Node, (path, depth): (&str, u32)) {
        if depth > DEPTH_MAX {
            return;
        }
        for file in listed(folder) {
            let small = std::fs::metadata(&file).is_ok_and(|meta| meta.is_file() && meta.len() <= SIZE_MAX_BYTES);
            if let (true, Ok(written)) = (small, std::fs::read_to_string(&file)) {
                self.blocks.extend(blocks(&file.display().to_string(), path, &written));
                self.locals.extend(locals(&written).into_iter().map(|(name, is)| ((path.to_owned(), name), is)));
            }
        }
        for call in module.get("module_calls").map(Node::entries).unwrap_or_default() {
            let local =
                text(&call.node, "source").filter(|source| source.starts_with("./") || source.starts_with("../"));
            if let (Some(source), Some(below)) = (local, call.node.get("module")) {
                let path = format!("{path}module.{}.", call.key);
                self.module(&folder.join(source.trim_start_matches("./")), below, (&path, depth + 1));
            }
        }
    }
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(here) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut files: Vec<PathBuf> =
        names.map(|name| folder.join(name)).filter(|path| path.extension().is_some_and(|kind| kind == "tf")).collect();
    files.sort();
    files.truncate(FILES_MAX);
    files
}

/// The blocks of one file, by address.
fn blocks(source: &str, path: &str, written: &str) -> Vec<(String, Block)> {
    let source: Arc<str> = source.into();
    let mut found: Vec<(String, Block)> = Vec::new();
    let mut inside = false;
    let mut behind = 0_usize;
    for (line, row) in (1..).zip(written.split('\n')) {
        behind += row.len() + 1;
        let (whole, written) = (written, row.trim_end_matches('\r'));
        if let Some(address) = header(written) {
            let body = whole.get(behind..).unwrap_or_default();
            let (attributes, inline) = (hcl::attributes(body, line + 1), hcl::nested(body, line + 1, "inline_policy"));
            let block = Block { source: source.clone(), line, statements: Vec::new(), attributes, inline };
            found.push((format!("{path}{address}"), block));
            inside = true;
        } else if written.starts_with('}') {
            inside = false;
        } else if let (true, Some((_, block))) = (inside && written.trim() == "statement {", found.last_mut()) {
            block.statements.push(line);
        }
    }
    found
}

/// What the `locals` blocks of a file say.
fn locals(written: &str) -> Vec<(String, Expression)> {
    let mut found = Vec::new();
    let mut behind = 0_usize;
    for (line, row) in (1..).zip(written.split('\n')) {
        behind += row.len() + 1;
        if row.trim_end() == "locals {" {
            found.extend(hcl::attributes(written.get(behind..).unwrap_or_default(), line + 1));
        }
    }
    found
}

/// `data "a" "b" {` is `data.a.b`, `resource "a" "b" {` is `a.b`.
fn header(line: &str) -> Option<String> {
    let (data, rest) = match line.strip_prefix("resource ") {
        Some(rest) => ("", rest),
        None => ("data.", line.strip_prefix("data ")?),
    };
    let mut parts = rest.trim_end().strip_suffix('{')?.split('"');
    let (before, kind, between, name, after) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let bare = [before, between, after].iter().all(|part| part.trim().is_empty()) && parts.next().is_none();
    bare.then(|| format!("{data}{kind}.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_as_terraform_formats_them() {
        let written = include_str!("fixture/main.tf");
        let found: BTreeMap<String, Block> = blocks("main.tf", "", written).into_iter().collect();
        let line = |text: &str| 1 + u32::try_from(written.lines().position(|line| line == text).unwrap()).unwrap();
        assert_eq!(found["aws_iam_role.runner"].line, line("resource \"aws_iam_role\" \"runner\" {"));
        assert_eq!(found["data.aws_iam_policy_document.pass"].statements.len(), 3);
        assert!(found["aws_iam_role.boss"].statements.is_empty());
        assert_eq!(header("  resource \"a\" \"b\" {"), None);
        assert_eq!(header("resource \"a\" {"), None);
    }
}

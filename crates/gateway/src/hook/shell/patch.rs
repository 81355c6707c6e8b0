//! Patches, and the here documents in which they stand: which files they touch.

use tree_sitter::Node;

/// The files that a patch of Codex's own format touches.
pub(in crate::hook) fn patched(patch: &str) -> Vec<&str> {
    const MARKS: [&str; 4] = ["*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "];
    named_after(patch, &MARKS)
}

/// The files that the output of `diff` and of `git diff` touches, with the folder before each that `-p1` takes off, and
/// without.
pub(super) fn compared(patch: &str) -> Vec<&str> {
    const MARKS: [&str; 9] =
        ["+++ ", "--- ", "*** ", "Index: ", "rename to ", "rename from ", "copy to ", "copy from ", "diff --git "];
    let words = named_after(patch, &MARKS).into_iter().flat_map(|names| names.split([' ', '\t', '"']));
    words
        .filter(|name| !name.is_empty() && *name != "/dev/null")
        .flat_map(|name| [name, name.split_once('/').map_or(name, |(_, rest)| rest)])
        .collect()
}

fn named_after<'p>(patch: &'p str, marks: &[&str]) -> Vec<&'p str> {
    patch
        .lines()
        .filter_map(|line| marks.iter().find_map(|mark| line.trim().strip_prefix(mark)).map(str::trim))
        .collect()
}

/// What a command gets as its input, if that is one here document and its text alone says what it holds.
pub(super) fn document<'t>(command: Node<'_>, text: &'t str) -> Option<&'t str> {
    let mut body = command;
    // In `cd x && cmd <<END` the document is the last one's.
    if let Some(list) = body.parent().filter(|parent| parent.kind() == "list") {
        if body.next_named_sibling().is_some() {
            return None;
        }
        body = list;
    }
    let statement = body.parent().filter(|parent| parent.kind() == "redirected_statement")?;
    let (first, redirect) = (statement.named_child(0)?, statement.named_child(1)?);
    if first.id() != body.id() || statement.named_child_count() != 2 || redirect.kind() != "heredoc_redirect" {
        return None;
    }
    let mut cursor = redirect.walk();
    let parts: Vec<_> = redirect.named_children(&mut cursor).collect();
    let [start, content, end] = parts.as_slice() else { return None };
    if (start.kind(), content.kind(), end.kind()) != ("heredoc_start", "heredoc_body", "heredoc_end") {
        return None;
    }
    let document = text.get(content.byte_range())?;
    let is_quoted = start.utf8_text(text.as_bytes()).is_ok_and(|start| start.starts_with(['\'', '"']));
    // Otherwise the shell takes backslashes away, and lines together.
    let is_plain = content.named_child_count() == 0 && !document.contains('\\');
    (is_quoted || is_plain).then_some(document)
}

#[cfg(test)]
mod tests {
    use super::{compared, patched};

    #[test]
    fn a_patch_names_the_files_that_it_touches() {
        let patch = "*** Begin Patch\n*** Update File: src/a.rs\n*** Move to: ../b.rs\n@@\n-x\n+*** Add File: no\n\
                     *** Delete File: /etc/passwd \n*** End Patch";
        assert_eq!(patched(patch), ["src/a.rs", "../b.rs", "/etc/passwd"]);
    }

    #[test]
    fn a_difference_names_the_files_that_it_touches() {
        let patch = "--- a/x/y.rs\t2026-01-01\n+++ b/x/y.rs\n@@ -1 +1 @@\n-x\n+y\n";
        assert_eq!(compared(patch), ["a/x/y.rs", "x/y.rs", "2026-01-01", "2026-01-01", "b/x/y.rs", "x/y.rs"]);
        assert_eq!(compared("--- /dev/null\n+++ new"), ["new", "new"]);
    }
}

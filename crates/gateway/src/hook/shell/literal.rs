//! The text of words, as far as the text alone says it.

use tree_sitter::Node;

use super::Word;

/// The text of a word, if it does not depend on anything but itself.
pub(super) fn literal(node: Node<'_>, text: &str) -> Word {
    let source = node.utf8_text(text.as_bytes()).ok()?;
    if source == "{}" {
        return Some(source.to_owned());
    }
    match node.kind() {
        "word" | "number" | "test_operator" | "regex" | "special_character" | "extglob_pattern" => {
            // `~name` is another's home, `~+` and `~-` are folders of this shell.
            let strange = source.strip_prefix('~').is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
            let computed = source.contains(['$', '`', '{']);
            if strange || computed { None } else { Some(unescape(source)) }
        }
        "raw_string" => Some(source.strip_prefix('\'')?.strip_suffix('\'')?.to_owned()),
        "string" => {
            let mut cursor = node.walk();
            if node.named_children(&mut cursor).any(|part| part.kind() != "string_content") {
                return home(node, text).or_else(|| document(node, text));
            }
            Some(unescape_quoted(source.strip_prefix('"')?.strip_suffix('"')?))
        }
        "concatenation" => {
            let mut cursor = node.walk();
            node.children(&mut cursor)
                .map(|part| literal(part, text))
                .collect::<Option<Vec<_>>>()
                .map(|parts| parts.concat())
        }
        "simple_expansion" => (source == "$HOME").then(|| "~".to_owned()),
        "ansi_c_string" => {
            (!source.contains('\\')).then(|| source.trim_start_matches('$').trim_matches('\'').to_owned())
        }
        _ => None,
    }
}

/// Whether the shell looks for files that a word describes.
pub(super) fn is_pattern(node: Node<'_>, text: &str) -> bool {
    match node.kind() {
        "word" | "extglob_pattern" | "regex" => node.utf8_text(text.as_bytes()).is_ok_and(policy::glob::is_pattern),
        // `[a-z]` may stand in several parts, one of them quoted.
        "concatenation" => {
            let mut cursor = node.walk();
            let has_bracket =
                |part: Node<'_>| node_is_plain(part) && text.get(part.byte_range()).is_some_and(|t| t.contains('['));
            node.children(&mut cursor).any(|part| is_pattern(part, text) || has_bracket(part))
        }
        _ => false,
    }
}

fn node_is_plain(node: Node<'_>) -> bool {
    !matches!(node.kind(), "string" | "raw_string" | "ansi_c_string")
}

/// `"$HOME/x"`.
fn home(node: Node<'_>, text: &str) -> Word {
    let source = node.utf8_text(text.as_bytes()).ok()?;
    let rest = source.strip_prefix("\"$HOME")?.strip_suffix('"')?;
    let plain = (rest.is_empty() || rest.starts_with('/')) && !rest.contains(['$', '`', '\\', '"']);
    plain.then(|| format!("~{rest}"))
}

/// `"$(cat <<'END' … END)"`, as long texts are given to `git commit -m`: what the document holds.
fn document(node: Node<'_>, text: &str) -> Word {
    let statement = only_child(only_child(node, "command_substitution")?, "redirected_statement")?;
    // Nothing stands around the substitution.
    let is_alone = text.get(node.byte_range())?.starts_with("\"$(") && text.get(node.byte_range())?.ends_with(")\"");
    let (body, redirect) = (statement.named_child(0)?, statement.named_child(1)?);
    let is_cat = body.utf8_text(text.as_bytes()) == Ok("cat");
    if !is_alone || !is_cat || statement.named_child_count() != 2 || redirect.kind() != "heredoc_redirect" {
        return None;
    }
    let mut cursor = redirect.walk();
    let parts: Vec<_> = redirect.named_children(&mut cursor).collect();
    let [start, content, end] = parts.as_slice() else { return None };
    let is_quoted = start.utf8_text(text.as_bytes()).is_ok_and(|start| start.starts_with(['\'', '"']));
    let kinds = (start.kind(), content.kind(), end.kind()) == ("heredoc_start", "heredoc_body", "heredoc_end");
    (kinds && is_quoted).then(|| text.get(content.byte_range()).map(|body| body.trim_end_matches('\n').to_owned()))?
}

fn only_child<'tree>(node: Node<'tree>, kind: &str) -> Option<Node<'tree>> {
    node.named_child(0).filter(|child| child.kind() == kind && node.named_child_count() == 1)
}

fn unescape(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.extend(chars.next().filter(|next| *next != '\n')),
            char => out.push(char),
        }
    }
    out
}

fn unescape_quoted(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek()) {
            ('\\', Some('$' | '`' | '"' | '\\')) => out.extend(chars.next()),
            ('\\', Some('\n')) => drop(chars.next()),
            (char, _) => out.push(char),
        }
    }
    out
}

//! Code that a shell finds in text: what it evaluates of expansions, arithmetic and tests.
//!
//! Arithmetic runs the commands in the subscripts of what its variables hold, so nothing may stand in it but numbers
//! and variables that the command itself sets to numbers. What a variable gets is never text with commands in it.

use std::collections::BTreeSet;

use tree_sitter::Node;

use super::literal::literal;
use super::programs::is_setting;
use super::{TREE_DEPTH_MAX, Walk, words_of};

/// Variables that a shell itself sets to numbers.
const NUMBERS: &[&str] = &[
    "BASHPID",
    "COLUMNS",
    "EPOCHSECONDS",
    "EUID",
    "LINENO",
    "LINES",
    "OPTIND",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHLVL",
    "UID",
];
/// Names in small letters that change what other names mean to some shell.
const TIED: &[&str] = &[
    "aliases",
    "argv",
    "builtins",
    "cdpath",
    "commands",
    "dirstack",
    "fignore",
    "fpath",
    "functions",
    "galiases",
    "mailpath",
    "manpath",
    "modules",
    "nameddirs",
    "options",
    "path",
    "prompt",
    "saliases",
];
/// What `[[` does arithmetic for.
const COMPARISONS: &[&str] = &["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];

/// What a command does with its variables. When is not looked at: a loop may set one after it was used.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Those that were set to numbers.
    numbers: BTreeSet<String>,
    /// Those that were set to anything else.
    others: BTreeSet<String>,
    /// Those whose value is evaluated.
    counted: BTreeSet<String>,
}

impl Variables {
    pub(super) fn set(&mut self, name: &str, is_number: bool) {
        let names = if is_number { &mut self.numbers } else { &mut self.others };
        names.insert(name.to_owned());
    }

    /// Whether all that is evaluated are numbers.
    pub(super) fn are_numbers(&self) -> bool {
        let is_number = |name: &String| self.numbers.contains(name) || NUMBERS.contains(&name.as_str());
        self.counted.iter().all(|name| is_number(name) && !self.others.contains(name))
    }
}

/// Whether text would run commands where a shell evaluates it.
pub(super) fn hides_code(text: &str) -> bool {
    text.contains("$(") || text.contains("${") || text.contains('`') || has_subscript(text)
}

/// Whether text would run commands where a shell takes it for a variable's name or for a number: `a[$(cmd)]`.
pub(super) fn has_subscript(text: &str) -> bool {
    text.match_indices('[').any(|(at, _)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
        let index = after.split(']').next().unwrap_or_default();
        before.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '_') && index.contains(['$', '`'])
    })
}

pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a variable of this name is the command's own, and nothing to other programs.
fn is_own(name: &str) -> bool {
    let is_plain = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_setting(name) || (is_plain && !name.ends_with("_proxy") && !TIED.contains(&name))
}

/// Whether all that a substitution prints is one number, or with `seq` several.
fn is_count(node: Node<'_>, text: &str) -> bool {
    let mut node = node;
    let body = loop {
        let Some(next) = (match node.kind() {
            "command" => break node,
            "command_substitution" if node.named_child_count() == 1 => node.named_child(0),
            "redirected_statement" => node.child_by_field_name("body"),
            "pipeline" => {
                let mut cursor = node.walk();
                node.named_children(&mut cursor).last()
            }
            _ => None,
        }) else {
            return false;
        };
        node = next;
    };
    let words = words_of(body, text).unwrap_or_default();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["nproc"] | ["date", "+%s"] => true,
        ["wc", option] => matches!(*option, "-l" | "-c" | "-w" | "-m"),
        ["seq", numbers @ ..] => numbers.iter().all(|word| is_number(word)),
        _ => false,
    }
}

/// Whether what a loop's variable gets from this word are numbers.
fn gives_numbers(node: Node<'_>, text: &str) -> bool {
    match node.kind() {
        "command_substitution" => is_count(node, text),
        "brace_expression" => {
            let mut cursor = node.walk();
            node.named_children(&mut cursor).all(|part| part.kind() == "number")
        }
        _ => literal(node, text).is_some_and(|word| is_number(&word)),
    }
}

impl Walk {
    /// What a shell evaluates of a node, beside the commands in it.
    pub(super) fn evaluated(&mut self, node: Node<'_>, text: &str) {
        // In a string the grammar counts the blanks before an expansion as its own.
        let source = text.get(node.byte_range()).unwrap_or_default().trim_start();
        match node.kind() {
            "expansion" => self.expansion(source),
            "arithmetic_expansion" => self.counts(node, text, 0),
            "compound_statement" if source.starts_with("((") => self.count_parts(node, text, 0),
            "c_style_for_statement" => {
                let mut cursor = node.walk();
                let is_head =
                    |part: &Node<'_>| !matches!(part.kind(), "variable_assignment" | "do_group" | "compound_statement");
                for part in node.named_children(&mut cursor).filter(is_head) {
                    self.counts(part, text, 0);
                }
            }
            // In a here document the grammar takes arithmetic for a subshell.
            "command_substitution" if source.starts_with("$((") => self.give_up(),
            "test_command" => self.tests(node, text, source.starts_with("[["), 0),
            "for_statement" => self.looped(node, text),
            _ => {}
        }
    }

    /// A variable gets a value that is not in the text.
    pub(super) fn binds(&mut self, name: &str, is_number: bool) {
        if !is_own(name) {
            self.give_up();
        }
        self.variables.set(name, is_number);
    }

    fn looped(&mut self, node: Node<'_>, text: &str) {
        let variable = node.child_by_field_name("variable").and_then(|name| text.get(name.byte_range()));
        let Some(variable) = variable else { return self.give_up() };
        let mut cursor = node.walk();
        let values: Vec<Node<'_>> = node.children_by_field_name("value", &mut cursor).collect();
        let chosen = node.child(0).is_some_and(|keyword| keyword.kind() == "select");
        let are_numbers = !chosen && !values.is_empty() && values.iter().all(|value| gives_numbers(*value, text));
        self.binds(variable, are_numbers);
        if values.iter().filter_map(|value| literal(*value, text)).any(|value| hides_code(&value)) {
            self.give_up();
        }
    }

    /// `${…}`: transformations evaluate the value (`${x@P}`), so does following it as a name (`${!x}`); subscripts and
    /// offsets are arithmetic.
    fn expansion(&mut self, source: &str) {
        let inner = source.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')).unwrap_or("!");
        let inner = inner.strip_prefix('#').filter(|inner| !inner.is_empty()).unwrap_or(inner);
        let name = inner.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').next().unwrap_or_default();
        let special = name.is_empty() && inner.starts_with(['@', '*', '#', '?', '$', '-']);
        let mut rest = inner.get(if special { 1 } else { name.len() }..).unwrap_or_default();
        if let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            if !matches!(index, "@" | "*") {
                self.index(index);
            }
            rest = after;
        }
        let substitutes = [":-", ":+", ":?", "-", "+", "?", "#", "%", "/", "^", ","];
        if name.is_empty() && !special {
            self.give_up();
        } else if rest.is_empty() || substitutes.iter().any(|sign| rest.starts_with(sign)) {
        } else if let Some(offset) = rest.strip_prefix(':').filter(|offset| !offset.starts_with('=')) {
            self.index(offset);
        } else {
            self.give_up();
        }
    }

    /// A subscript, or an offset and a length.
    fn index(&mut self, text: &str) {
        for part in text.split(|char: char| "+-*/%: ".contains(char)).filter(|part| !part.is_empty()) {
            match part.strip_prefix('$') {
                Some(name) => self.parameter(name),
                None => self.counted(part),
            }
        }
    }

    /// What stands behind a `$`. A parameter without a name may be anything, but for those that count something.
    fn parameter(&mut self, text: &str) {
        let name = text.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(text);
        match name.strip_prefix('#') {
            Some(_) => {}
            None if is_name(name) => self.counted(name),
            None if matches!(name, "?" | "$" | "!") => {}
            None => self.give_up(),
        }
    }

    fn counted(&mut self, word: &str) {
        let is_constant = word.starts_with(|first: char| first.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#');
        if is_name(word) {
            self.variables.counted.insert(word.to_owned());
        } else if !is_constant {
            self.give_up();
        }
    }

    /// Arithmetic.
    fn counts(&mut self, node: Node<'_>, text: &str, depth: usize) {
        if depth > TREE_DEPTH_MAX {
            return self.give_up();
        }
        let source = text.get(node.byte_range()).unwrap_or_default().trim_start();
        match node.kind() {
            "number" | "test_operator" => {}
            "variable_name" | "word" | "string_content" => self.counted(source),
            "raw_string" => self.counted(source.trim_matches('\'')),
            "simple_expansion" | "expansion" => self.parameter(source.trim_start_matches('$')),
            "command_substitution" if is_count(node, text) => {}
            "arithmetic_expansion"
            | "binary_expression"
            | "unary_expression"
            | "postfix_expression"
            | "ternary_expression"
            | "parenthesized_expression"
            | "string"
            | "concatenation" => self.count_parts(node, text, depth),
            _ => self.give_up(),
        }
    }

    fn count_parts(&mut self, node: Node<'_>, text: &str, depth: usize) {
        let mut cursor = node.walk();
        for part in node.named_children(&mut cursor) {
            self.counts(part, text, depth + 1);
        }
    }

    fn tests(&mut self, node: Node<'_>, text: &str, is_double: bool, depth: usize) {
        if depth > TREE_DEPTH_MAX {
            return self.give_up();
        }
        let operator = node.child_by_field_name("operator").and_then(|sign| text.get(sign.byte_range()));
        let operator = operator.unwrap_or_default();
        let mut cursor = node.walk();
        let parts: Vec<Node<'_>> = node.named_children(&mut cursor).collect();
        let word = literal(node, text);
        // Whether a variable is set: the subscript of its name is evaluated.
        let asks_for_name =
            operator == "-v" && !parts.last().and_then(|part| literal(*part, text)).is_some_and(|word| is_name(&word));
        if asks_for_name || word.is_some_and(|word| has_subscript(&word)) {
            self.give_up();
        }
        if is_double && COMPARISONS.contains(&operator) {
            return self.count_parts(node, text, depth);
        }
        for part in parts {
            self.tests(part, text, is_double, depth + 1);
        }
    }

    /// Builtins that give values to the variables among their words; `valued` are the options that take a value.
    pub(super) fn names(&mut self, valued: &str, words: &[&String]) {
        let mut is_value = false;
        for word in words {
            if std::mem::take(&mut is_value) {
                continue;
            }
            match word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                Some(letters) => {
                    is_value = letters.find(|letter| valued.contains(letter)).is_some_and(|at| at + 1 == letters.len());
                }
                None => self.binds(word, false),
            }
        }
    }
}

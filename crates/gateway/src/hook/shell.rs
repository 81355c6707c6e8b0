//! What a shell command does, read from its syntax tree: programs, arguments, files, hosts.
//!
//! Nothing here is a guess: what cannot be known from the text alone (a variable, a computed program name,
//! code of another language) makes `parsed` false, and policy asks. A program that is not in the tables may
//! read and write every path among its arguments. A script that is run may do anything, and so may what follows a
//! script that was sourced: that it runs is known.

mod expansion;
mod interpreter;
mod literal;
mod options;
pub(super) mod patch;
mod programs;
mod sed;
mod statements;
mod tables;
mod verbs;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tree_sitter::{Node, Parser};

use crate::facts::resolve;
use expansion::{Variables, hides_code, is_number};
use literal::{is_pattern, literal};
use policy::glob;

/// The longest command that is parsed, in bytes.
const COMMAND_MAX_BYTES: usize = 64 * 1024;
/// How deep commands may stand in commands (`sh -c "sh -c …"`).
const NESTING_MAX: usize = 4;
/// How deep the syntax tree is walked.
const TREE_DEPTH_MAX: usize = 200;
/// In how many folders a command may stand, as far as its text says.
const FOLDERS_MAX: usize = 16;

/// Folders whose files nobody keeps.
const TEMPORARY: &[&str] = &["/tmp", "/var/tmp", "/private/tmp", "/private/var/folders", "/var/folders", "/dev/shm"];

/// A shell command, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shell {
    pub(crate) parsed: bool,
    pub(crate) programs: BTreeSet<String>,
    pub(crate) arguments: BTreeSet<String>,
    pub(crate) reads: BTreeSet<String>,
    pub(crate) writes: BTreeSet<String>,
    pub(crate) hosts: BTreeSet<String>,
    /// Files run as scripts or programs.
    pub(crate) runs: BTreeSet<String>,
    /// Those of the arguments that are text to their program and no argument of another, such as what `grep` looks for.
    pub(crate) texts: BTreeSet<String>,
    /// Those of the arguments and files that the shell expands before anything runs.
    pub(crate) patterns: BTreeSet<String>,
    /// What it does beyond the files of the project, in the words of [`verbs`].
    pub(crate) beyond: BTreeSet<&'static str>,
    /// Whether a program of it may reach hosts that its text does not name.
    pub(crate) reaches_unknown: bool,
    /// Whether it may end or stop this very process.
    pub(crate) ends_us: bool,
}

impl Shell {
    /// Takes a command apart as it would run in `folder`, which is the project's.
    pub(crate) fn read(command: &str, folder: Option<&Path>) -> Self {
        Self::read_all([command], folder, folder)
    }

    /// The same for commands one after the other, in a folder and a project.
    pub(crate) fn read_all<'c>(
        commands: impl IntoIterator<Item = &'c str>,
        folder: Option<&Path>,
        project: Option<&Path>,
    ) -> Self {
        let mut walk = Walk::from(folder);
        walk.project = project.map(Path::to_owned);
        let mut size = 0;
        for command in commands {
            size += command.len();
            if size > COMMAND_MAX_BYTES {
                walk.give_up();
                break;
            }
            walk.stand();
            walk.script(command);
        }
        let Walk { mut shell, named, variables, .. } = walk;
        shell.parsed &= variables.are_numbers();
        shell.texts.retain(|text| !named.contains(text));
        shell
    }

    /// A command that no event says.
    pub(crate) fn unread() -> Self {
        Self { reaches_unknown: true, ..Self::default() }
    }

    /// The fact as policy knows it.
    pub(crate) fn fact(&self) -> Value {
        let mut fact = json!({
            "parsed": self.parsed,
            "programs": self.programs,
            "arguments": self.arguments,
            "reads": self.reads,
            "writes": self.writes,
            "hosts": self.hosts,
        });
        let reaches = self.reaches_unknown.then(|| ("reaches".to_owned(), json!("unknown")));
        if let Some(fact) = fact.as_object_mut() {
            for (name, some) in [("patterns", &self.patterns), ("runs", &self.runs), ("texts", &self.texts)] {
                if !some.is_empty() {
                    fact.insert(name.to_owned(), json!(some));
                }
            }
            fact.extend(Some(&self.beyond).filter(|all| !all.is_empty()).map(|all| ("beyond".to_owned(), json!(all))));
            fact.extend(reaches);
        }
        fact
    }
}

/// INVARIANT: a folder is lost only where the shell itself would not stand in it: beyond `&&` and `||`, and behind what
/// has a shell of its own. Where a `cd` may have failed, what follows counts in both folders.
struct Walk {
    shell: Shell,
    /// Arguments that are more than text to a program.
    named: BTreeSet<String>,
    /// The files whose names a part of a pipeline gets, if it gets nothing else.
    piped: Option<Listed>,
    /// What the command gets as its input, if the text says all of it.
    document: Option<String>,
    /// What may be in the input of what runs: here documents, and the words of what stands before it in a pipeline.
    input: Vec<String>,
    variables: Variables,
    /// Where the shell may stand, as far as what ran last succeeded; an empty path if nobody knows.
    folders: BTreeSet<PathBuf>,
    /// The same, as far as it failed.
    failed: BTreeSet<PathBuf>,
    /// Where the command began.
    start: PathBuf,
    /// The folder that is worked in, if anybody said it.
    project: Option<PathBuf>,
    nesting: usize,
}

/// A word of a command: its text, if the text alone says it.
type Word = Option<String>;

/// Files whose names a command prints.
struct Listed {
    /// The folders below which they lie.
    roots: Vec<String>,
    /// What is said of their names.
    patterns: Vec<String>,
}

/// Whether the statement gets its input from a redirection.
fn has_input(node: Node<'_>) -> bool {
    let Some(whole) = node.parent().filter(|parent| parent.kind() == "redirected_statement") else { return false };
    let mut cursor = whole.walk();
    whole.named_children(&mut cursor).any(|child| match child.kind() {
        "file_redirect" => {
            (0..child.child_count()).filter_map(|at| child.child(at)).any(|part| part.kind().starts_with('<'))
        }
        kind => kind.ends_with("_redirect"),
    })
}

/// The texts that a node hands to what it runs: the body of a here document, the words behind `<<<`.
fn documents(node: Node<'_>, text: &str) -> Vec<String> {
    let mut cursor = node.walk();
    let children: Vec<Node<'_>> = node.named_children(&mut cursor).collect();
    let of_kind = |kind: &'static str| children.iter().filter(move |child| child.kind() == kind);
    match node.kind() {
        "heredoc_redirect" => of_kind("heredoc_body").map(|body| said(*body, text)).collect(),
        "herestring_redirect" => children.iter().map(|word| said(*word, text)).collect(),
        "command" => of_kind("herestring_redirect").flat_map(|redirect| documents(*redirect, text)).collect(),
        _ => Vec::new(),
    }
}

/// The words of a command, each and all together: what it prints may be made of them.
fn said_by(node: Node<'_>, text: &str) -> Vec<String> {
    if node.kind() != "command" {
        return Vec::new();
    }
    let mut cursor = node.walk();
    let words = node.children_by_field_name("argument", &mut cursor).map(|word| said(word, text));
    let words: Vec<String> = words.chain(documents(node, text)).collect();
    let all = words.join(" ");
    words.into_iter().chain([all]).collect()
}

/// The text of a word, as it stands there where nobody knows what it becomes.
fn said(node: Node<'_>, text: &str) -> String {
    literal(node, text).unwrap_or_else(|| text.get(node.byte_range()).unwrap_or_default().to_owned())
}

/// The words of a command that has nothing but words which the text says.
fn words_of(node: Node<'_>, text: &str) -> Option<Vec<String>> {
    if node.kind() != "command" {
        return None;
    }
    let mut cursor = node.walk();
    let words = node.named_children(&mut cursor).map(|child| match child.kind() {
        "command_name" => literal(child.named_child(0).unwrap_or(child), text),
        _ => literal(child, text),
    });
    words.collect()
}

impl Walk {
    fn from(folder: Option<&Path>) -> Self {
        let start = folder.map(Path::to_owned).unwrap_or_default();
        let folders = BTreeSet::from([start.clone()]);
        let shell = Shell { parsed: true, ..Shell::default() };
        let (named, variables) = (BTreeSet::new(), Variables::default());
        let (piped, document, input, failed) = (None, None, Vec::new(), folders.clone());
        Self { shell, named, piped, document, input, variables, failed, folders, start, project: None, nesting: 0 }
    }

    fn script(&mut self, text: &str) {
        if text.len() > COMMAND_MAX_BYTES || self.nesting > NESTING_MAX {
            return self.give_up();
        }
        let mut parser = Parser::new();
        let tree = parser.set_language(&tree_sitter_bash::LANGUAGE.into()).ok().and_then(|()| parser.parse(text, None));
        let Some(tree) = tree else { return self.give_up() };
        if tree.root_node().has_error() {
            self.give_up();
        }
        self.node(tree.root_node(), text, 0);
    }

    fn give_up(&mut self) {
        self.shell.parsed = false;
    }

    fn node(&mut self, node: Node<'_>, text: &str, depth: usize) {
        if depth > TREE_DEPTH_MAX {
            return self.give_up();
        }
        self.evaluated(node, text);
        match node.kind() {
            "command" => self.command(node, text, depth),
            "list" => self.list(node, text, depth),
            "subshell" | "command_substitution" | "process_substitution" => {
                self.apart(|walk| walk.each(node, text, depth));
            }
            "pipeline" => self.pipeline(node, text, depth),
            "redirected_statement" => self.redirected(node, text, depth),
            "negated_command" => {
                self.each(node, text, depth);
                std::mem::swap(&mut self.folders, &mut self.failed);
            }
            "for_statement" | "c_style_for_statement" | "while_statement" => {
                let before = self.stand();
                self.each(node, text, depth);
                // The next round would begin elsewhere.
                if self.stand() != before {
                    self.give_up();
                }
            }
            "if_statement" | "case_statement" => {
                self.each(node, text, depth);
                self.stand();
            }
            "variable_assignment" => {
                self.assignment(node, text);
                self.substitutions(node, text, depth);
            }
            "file_redirect" => {
                self.redirect(node, text);
                self.each(node, text, depth);
            }
            // What the names mean changes from here on.
            "function_definition" | "declaration_command" | "unset_command" | "ERROR" => {
                self.give_up();
                self.each(node, text, depth);
            }
            _ => self.each(node, text, depth),
        }
    }

    /// One after the other, whatever came of the one before.
    fn each(&mut self, node: Node<'_>, text: &str, depth: usize) {
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            self.stand();
            self.node(child, text, depth + 1);
        }
    }

    /// Where the shell may stand, whatever came of what ran last.
    fn stand(&mut self) -> BTreeSet<PathBuf> {
        self.folders.append(&mut self.failed);
        self.failed = self.folders.clone();
        self.folders.clone()
    }

    /// What runs in a shell of its own leaves this one where it is.
    fn apart(&mut self, run: impl FnOnce(&mut Self)) {
        let folders = self.stand();
        run(self);
        self.failed = folders.clone();
        self.folders = folders;
    }

    fn list(&mut self, node: Node<'_>, text: &str, depth: usize) {
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "&&" => {
                    let failed = std::mem::replace(&mut self.failed, self.folders.clone());
                    self.right(child, text, depth);
                    self.failed.extend(failed);
                }
                "||" => {
                    let succeeded = std::mem::replace(&mut self.folders, self.failed.clone());
                    self.right(child, text, depth);
                    self.folders.extend(succeeded);
                }
                _ if child.prev_sibling().is_none() => self.node(child, text, depth + 1),
                _ => {}
            }
        }
    }

    /// What stands to the right of an operator.
    fn right(&mut self, operator: Node<'_>, text: &str, depth: usize) {
        match operator.next_named_sibling() {
            Some(next) => self.node(next, text, depth + 1),
            None => self.give_up(),
        }
    }

    /// Each part begins where the shell stands; whether the last one is the shell itself differs between shells.
    fn pipeline(&mut self, node: Node<'_>, text: &str, depth: usize) {
        let (start, before) = (self.stand(), self.input.len());
        let mut ends = start.clone();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            (self.folders, self.failed) = (start.clone(), start.clone());
            let words = words_of(child, text);
            let listed = self.piped.take();
            match &words {
                // A redirection behind a pipeline is its last part's.
                _ if has_input(node) => self.node(child, text, depth + 1),
                Some(words) if programs::is_filter(words) => {
                    self.node(child, text, depth + 1);
                    self.piped = listed;
                }
                Some(words) => {
                    self.piped = listed;
                    self.node(child, text, depth + 1);
                    self.piped = programs::lists(words);
                }
                // It may have another input.
                None => self.node(child, text, depth + 1),
            }
            self.input.extend(said_by(child, text));
            ends.append(&mut self.stand());
        }
        self.piped = None;
        self.input.truncate(before);
        (self.folders, self.failed) = (ends.clone(), ends);
    }

    /// A redirection belongs to the body's last part, and is opened before that runs.
    fn redirected(&mut self, node: Node<'_>, text: &str, depth: usize) {
        let mut cursor = node.walk();
        let children: Vec<_> = node.named_children(&mut cursor).collect();
        let (redirects, body): (Vec<Node<'_>>, Vec<Node<'_>>) =
            children.into_iter().partition(|child| child.kind() == "file_redirect");
        redirects.iter().for_each(|redirect| self.node(*redirect, text, depth + 1));
        let before = self.input.len();
        self.input.extend(body.iter().flat_map(|child| documents(*child, text)));
        for (at, child) in body.into_iter().enumerate() {
            // After the body stand here documents, and what follows on their line.
            if at > 0 {
                self.stand();
            }
            self.node(child, text, depth + 1);
        }
        self.input.truncate(before);
        let after = (self.folders.clone(), self.failed.clone());
        self.stand();
        redirects.iter().for_each(|redirect| self.redirect(*redirect, text));
        (self.folders, self.failed) = after;
    }

    fn command(&mut self, node: Node<'_>, text: &str, depth: usize) {
        self.stand();
        let (mut words, before) = (Vec::new(), self.input.len());
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "variable_assignment" => self.assignment(child, text),
                "command_name" => words.push(self.word(child.named_child(0).unwrap_or(child), text)),
                "file_redirect" | "herestring_redirect" | "heredoc_redirect" => self.node(child, text, depth + 1),
                _ if child.is_named() => words.push(self.word(child, text)),
                _ => {}
            }
            // Commands inside words run too.
            self.substitutions(child, text, depth + 1);
        }
        self.input.extend(documents(node, text));
        let document = patch::document(node, text).map(str::to_owned);
        let outer = std::mem::replace(&mut self.document, document);
        self.words(&words);
        self.document = outer;
        self.input.truncate(before);
    }

    /// The text of a word; what a shell expands by itself is remembered.
    fn word(&mut self, node: Node<'_>, text: &str) -> Word {
        let word = literal(node, text)?;
        if is_pattern(node, text) {
            let (folders, _) = word.rsplit_once('/').unwrap_or_default();
            // Some shells take `.?` for `..` too.
            if folders.split('/').any(|step| glob::is_pattern(step) && glob::matches(step, "..")) {
                self.give_up();
            }
            self.shell.patterns.insert(word.clone());
        }
        Some(word)
    }

    fn substitutions(&mut self, node: Node<'_>, text: &str, depth: usize) {
        if depth > TREE_DEPTH_MAX {
            return self.give_up();
        }
        if matches!(node.kind(), "file_redirect" | "herestring_redirect" | "heredoc_redirect") {
            return;
        }
        self.evaluated(node, text);
        if matches!(node.kind(), "command_substitution" | "process_substitution") {
            return self.node(node, text, depth + 1);
        }
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            self.substitutions(child, text, depth + 1);
        }
    }

    /// `LD_PRELOAD=… cmd`, `PATH=…; cmd`: what runs, and what words mean, may no longer be what the text says.
    fn assignment(&mut self, node: Node<'_>, text: &str) {
        let name = node.child_by_field_name("name").and_then(|name| name.utf8_text(text.as_bytes()).ok());
        let is_plain = node.child(1).is_some_and(|sign| sign.kind() == "=");
        let value = node.child_by_field_name("value");
        let value = value.map_or_else(|| Some(String::new()), |value| literal(value, text));
        match (name, value) {
            (Some("PYTHONPATH" | "NODE_PATH"), Some(value)) if is_plain => {
                let places: Vec<String> = value.split(':').flat_map(|folder| self.places(folder)).collect();
                self.shell.runs.extend(places);
            }
            (Some(name), Some(value)) if is_plain && programs::is_setting(name) && !hides_code(&value) => {
                self.variables.set(name, is_number(&value));
            }
            _ => self.give_up(),
        }
    }

    fn redirect(&mut self, node: Node<'_>, text: &str) {
        let operator = (0..node.child_count()).filter_map(|at| node.child(at)).find(|child| !child.is_named());
        let operator = operator.map_or("", |child| child.kind());
        let Some(target) = node.child_by_field_name("destination") else { return self.give_up() };
        let Some(target) = self.word(target, text) else { return self.give_up() };
        let device = target.strip_prefix("/dev/tcp/").or_else(|| target.strip_prefix("/dev/udp/"));
        if let Some(host) = device.and_then(|rest| rest.split('/').next()) {
            self.shell.hosts.insert(host.to_ascii_lowercase());
        } else if operator.ends_with('&') && (target == "-" || target.bytes().all(|byte| byte.is_ascii_digit())) {
            // Another descriptor, no file.
        } else if target == "/dev/null" {
        } else if operator.starts_with('<') && operator != "<>" {
            self.reads(&target);
        } else {
            self.writes(&target);
        }
    }

    /// One command, word by word.
    fn words(&mut self, words: &[Word]) {
        let Some((name, arguments)) = words.split_first() else { return };
        let Some(name) = name else { return self.give_up() };
        // A name that the shell makes another of.
        if self.shell.patterns.contains(name) || (name.starts_with('=') && name.len() > 1) {
            self.give_up();
        }
        let program = name.rsplit('/').next().unwrap_or(name).to_owned();
        self.shell.programs.insert(program.clone());
        let known: Vec<&String> = arguments.iter().flatten().collect();
        self.shell.arguments.extend(known.iter().map(|word| (*word).clone()));
        let texts = programs::texts(&program, &known);
        for (at, word) in known.iter().enumerate() {
            let words = if texts.contains(&at) { &mut self.shell.texts } else { &mut self.named };
            // What starts another program says of each word what it is when it comes to that.
            if !programs::is_wrapper(&program) {
                words.insert((*word).clone());
            }
        }
        // The text of `echo` is only shown; everywhere else an unknown word may be anything.
        if known.len() < arguments.len() && !programs::is_quiet(&program) {
            self.give_up();
        }
        self.urls(&known);
        self.beyond(&program, &known);
        if !programs::is_usual(name) {
            self.runs(name);
        }
        let files: Vec<&String> =
            known.iter().enumerate().filter(|(at, _)| !texts.contains(at)).map(|(_, word)| *word).collect();
        self.program(&program, arguments, &files);
    }

    fn nested(&mut self, script: &str) {
        self.nesting += 1;
        self.script(script);
        self.nesting -= 1;
    }

    fn change_folder(&mut self, words: &[&String]) {
        let Some(to) = words.first().filter(|to| !to.starts_with('-')) else { return self.give_up() };
        self.folders = self.places(to).into_iter().map(PathBuf::from).collect();
        if self.folders.len() > FOLDERS_MAX {
            self.give_up();
        }
    }

    /// A script, or a program of the project's own.
    fn runs(&mut self, path: &str) {
        self.shell.reaches_unknown = true;
        let places = self.places(path);
        self.shell.reads.extend(places.iter().cloned());
        self.shell.runs.extend(places);
    }

    fn reads(&mut self, path: &str) {
        let places = self.places(path);
        self.shell.reads.extend(places);
    }

    fn writes(&mut self, path: &str) {
        let places = self.places(path);
        self.shell.writes.extend(places);
    }

    /// Files of names that the text does not say, in a folder.
    fn fills(&mut self, folder: &str) {
        for place in self.places(folder) {
            let within = format!("{}/*", place.trim_end_matches('/'));
            self.shell.patterns.insert(within.clone());
            self.shell.writes.extend([place, within]);
        }
    }

    /// Whether a path may lie outside the project, and in no folder for passing things. Where nobody said what the project
    /// is, any absolute one may.
    fn is_elsewhere(&mut self, path: &str) -> bool {
        let kept =
            |place: &Path| TEMPORARY.iter().all(|folder| !place.starts_with(folder) || place == Path::new(folder));
        let places = self.places(path);
        let outside = |place: &Path| match &self.project {
            Some(project) => !place.starts_with(project),
            None => place.is_absolute(),
        };
        places.iter().map(Path::new).any(|place| outside(place) && kept(place))
    }

    /// What a path may name, from wherever the shell may stand.
    fn places(&mut self, path: &str) -> Vec<String> {
        let expands = |patterns: &BTreeSet<String>| patterns.iter().any(|pattern| pattern.ends_with(path));
        let is_pattern = glob::is_pattern(path) && expands(&self.shell.patterns);
        let mut places = Vec::new();
        for folder in &self.folders {
            let place = resolve(path, Some(folder)).to_string_lossy().into_owned();
            let from = folder.to_string_lossy();
            if is_pattern || (self.shell.patterns.contains(&*from) && place.starts_with(&*from)) {
                self.shell.patterns.insert(place.clone());
            }
            places.push(place);
        }
        places
    }
}

#[cfg(test)]
mod tests;

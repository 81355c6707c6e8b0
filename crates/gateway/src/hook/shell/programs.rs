//! What programs do with their words: which they start, read, write and reach.

use std::ops::Range;
use std::path::Path;

use policy::host::of_url_otherwise;

use super::expansion::{has_subscript, is_name, is_number};
use super::interpreter::{Runs, interpreter_of};
use super::patch::{compared, patched};
use super::sed::{Sed, is_plain};
use super::tables::{
    ASKED, BIN, CALLERS, CODE, ERASERS, EVALUATES, FETCHERS, GIT_HERE, GIT_SETTINGS, LONG, PHRASES, QUIET, READERS,
    RUNNERS, SETTINGS, SHELLS, SOCKETS, WRAPPERS, WRITERS,
};
use super::verbs::ERASES;
use super::{Listed, Walk, Word};
use crate::facts::host_of;

/// The files whose names a command prints, if it prints nothing else.
pub(super) fn lists(words: &[String]) -> Option<Listed> {
    let here = || vec![".".to_owned()];
    let (name, words) = words.split_first()?;
    match name.as_str() {
        "find" => {
            let is_root = |word: &&String| !word.starts_with(['-', '(', '!']);
            let roots: Vec<String> = words.iter().take_while(is_root).cloned().collect();
            let tests = words.get(roots.len()..)?;
            // What they print may be the caller's own text.
            let others = ["-exec", "-ok", "-printf", "-fprint", "-fls", "-files0-from"];
            if tests.iter().any(|test| others.iter().any(|other| test.starts_with(other))) {
                return None;
            }
            let of_names = |pair: &[String]| match pair {
                [test, pattern] if test.ends_with("name") || test.ends_with("path") => Some(pattern.clone()),
                _ => None,
            };
            let patterns = tests.windows(2).filter_map(of_names).collect();
            Some(Listed { roots: if roots.is_empty() { here() } else { roots }, patterns })
        }
        "git" if words.first()? == "ls-files" => {
            let patterns = words.iter().skip(1).filter(|word| !word.starts_with('-')).cloned().collect();
            Some(Listed { roots: here(), patterns })
        }
        _ => None,
    }
}

/// Whether a command hands on some of the lines that it gets, as they are.
pub(super) fn is_filter(words: &[String]) -> bool {
    let Some((name, words)) = words.split_first() else { return false };
    matches!(name.as_str(), "head" | "tail" | "sort" | "uniq")
        && words.iter().all(|word| word.starts_with('-') || word.bytes().all(|byte| byte.is_ascii_digit()))
        && !words.iter().any(|word| word == "-c" || word == "-o" || word.starts_with("--"))
}

pub(super) fn is_quiet(program: &str) -> bool {
    QUIET.contains(&program)
}

pub(super) fn is_wrapper(program: &str) -> bool {
    WRAPPERS.contains(&program)
}

/// Whether a variable of this name changes no program and no word of ours.
pub(super) fn is_setting(name: &str) -> bool {
    SETTINGS.contains(&name) || name.starts_with("LC_") || matches!(name.as_bytes(), [letter] if *letter != b'_')
}

/// Which of a program's words are text to it: what `echo` shows, and what is looked for. Where the options leave that
/// open, none is.
pub(super) fn texts(program: &str, words: &[&String]) -> Range<usize> {
    let (valued, unclear) = match program {
        // It sets a variable, or takes a word for a number, which a shell evaluates.
        "printf" if words.iter().any(|word| word.starts_with("-v") || has_subscript(word)) => return 0..0,
        "echo" | "printf" => return 0..words.len(),
        // `-C` has a value for one `grep` and none for another.
        "grep" | "egrep" | "fgrep" => ("ABm", "CdDef"),
        "rg" => ("ABCEMTgjmrt", "ef"),
        "jq" => ("", "fL"),
        _ => return 0..0,
    };
    let mut is_value = false;
    for (at, word) in words.iter().enumerate() {
        if std::mem::take(&mut is_value) {
            continue;
        }
        match cluster(word) {
            Some(letters) if letters.contains(|letter| unclear.contains(letter)) => break,
            // What follows the first letter that takes a value is the value.
            Some(letters) => {
                is_value = letters.find(|letter| valued.contains(letter)).is_some_and(|at| at + 1 == letters.len());
            }
            // Long options may be shortened, and may have a value.
            None if word.starts_with("--") => {
                if !LONG.contains(&word.as_str()) && !word.contains('=') || names_patterns(word) {
                    break;
                }
            }
            None => return at..at + 1,
        }
    }
    0..0
}

/// Whether a long option may give the patterns, so that no word does.
fn names_patterns(word: &str) -> bool {
    word.starts_with("--r") && word.contains('=') || word.starts_with("--f") && word.contains('=')
}

/// Whether a program, as it was called, is the one of that name.
pub(super) fn is_usual(name: &str) -> bool {
    name.rsplit_once('/').is_none_or(|(folder, _)| BIN.contains(&folder))
}

/// The letters of an option such as `-la`.
pub(super) fn cluster(word: &str) -> Option<&str> {
    word.strip_prefix('-').filter(|letters| !letters.is_empty() && !letters.starts_with('-'))
}

impl Walk {
    /// One program with its words.
    pub(super) fn program(&mut self, program: &str, arguments: &[Word], known: &[&String]) {
        // Of their words a shell may take each for the name of a variable or a number.
        let is_builtin = (is_quiet(program) && program != "echo") || matches!(program, "test" | "[");
        if is_builtin && known.iter().any(|word| has_subscript(word)) {
            self.give_up();
        }
        self.options(program, known);
        self.phrases(program, known);
        match program {
            "cd" | "pushd" => self.change_folder(known),
            "eval" => {
                self.stand();
                self.nested(&known.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(" "));
            }
            "source" | "." => match known.first() {
                Some(script) => self.runs(script),
                None => self.give_up(),
            },
            program if EVALUATES.contains(&program) => self.give_up(),
            "read" => self.names("dinNptu", known),
            "mapfile" | "readarray" => {
                // `-C` runs a command for each line.
                if known.iter().any(|word| cluster(word).is_some_and(|letters| letters.contains('C'))) {
                    self.give_up();
                }
                self.names("dnOsuCc", known);
            }
            "hash" | "printf" if known.iter().any(|word| word.starts_with("-p") || word.starts_with("-v")) => {
                self.give_up();
            }
            "test" | "[" if known.windows(2).any(is_unset) => self.give_up(),
            // What the names mean changes from here on.
            "alias" | "hash" if known.iter().any(|word| word.contains('=')) => self.give_up(),
            // It can change what patterns mean.
            "shopt" if known.iter().any(|word| word.starts_with("-s")) => self.give_up(),
            // They show all that is in the environment.
            "set" if arguments.is_empty() => self.reads("/proc/self/environ"),
            "printenv" if arguments.len() == known.len() && known.iter().all(|word| word.starts_with('-')) => {
                self.reads("/proc/self/environ");
            }
            "find" => self.find(arguments, known),
            "dd" => self.dd(known),
            "cp" | "mv" | "ln" | "install" => self.copies(program, known),
            "tar" | "gtar" | "bsdtar" | "unzip" => {
                self.other(known);
                self.unpacks(program, known);
            }
            // The second word is what they write.
            "uniq" => {
                self.files(known, Self::reads);
                self.writes_second("fsw", known);
            }
            "xxd" => {
                self.files(known, Self::reads);
                self.writes_second("cglnos", known);
            }
            "sed" => self.sed(known),
            "git" => self.git(known),
            "curl" | "wget" | "rsync" | "scp" => {
                if matches!(program, "rsync" | "scp") {
                    self.copies("rsync", known);
                }
                self.downloads(program, known);
                self.calls(program, known);
            }
            "ls" => self.list_names(known),
            // Codex's own program.
            "apply_patch" | "applypatch" => self.patches(known),
            "patch" => {
                self.files(known, Self::writes);
                self.compares();
            }
            "kill" | "pkill" | "killall" => self.kill(program, known),
            program if WRAPPERS.contains(&program) => self.wrapper(program, arguments),
            program if SHELLS.contains(&program) => self.subshell(known),
            program if CODE.contains(&program) => self.give_up(),
            program if QUIET.contains(&program) => {}
            program if READERS.contains(&program) => self.files(known, Self::reads),
            program if WRITERS.contains(&program) => {
                self.erases(program, known);
                self.files(known, Self::writes);
            }
            program => {
                self.hands_over(program, arguments);
                match interpreter_of(program).map(|known_one| known_one.runs(known)) {
                    Some(Runs::Code) => return self.give_up(),
                    Some(Runs::Script(script)) => self.runs(script),
                    Some(Runs::Nothing) | None => {}
                }
                self.calls(program, known);
            }
        }
    }

    /// Words that make a program run others, or read a secret.
    fn phrases(&mut self, program: &str, words: &[&String]) {
        let has = |phrase: &[&str]| {
            let mut words = words.iter();
            phrase.iter().all(|part| words.any(|word| *word == part))
        };
        for (_, phrase, file) in PHRASES.iter().filter(|(name, ..)| *name == program) {
            match file {
                _ if !has(phrase) => {}
                Some(file) => self.reads(file),
                None => self.give_up(),
            }
        }
        let asked = ASKED.iter().find(|(name, _)| *name == program);
        if asked.is_some_and(|(_, unless)| !words.first().is_some_and(|word| unless.contains(&word.as_str()))) {
            self.give_up();
        }
        let begins = |word: &str, starts: &[&str]| starts.iter().any(|start| word.starts_with(start));
        let mut before = "";
        for word in words {
            let is_address = begins(word, &["http:", "https:", "git+", "git:", "github:", "file:"]);
            // Where packages are looked for.
            let is_index = begins(before, &["-i", "-f", "--index", "--extra", "--find", "--proxy", "--registry"]);
            if FETCHERS.contains(&program) && is_address && !is_index {
                self.give_up();
            }
            before = word.as_str();
        }
        // Statements, and what the program does besides.
        let runs: &[&str] = match program {
            "sqlite3" => &[".import", ".load", ".once", ".output", ".read", ".shell", ".system", "load_extension"],
            "psql" => &["\\!", "\\copy", "\\gexec", "\\o ", "from program", "to program"],
            "mysql" | "mariadb" => &["\\!", "system "],
            _ => &[],
        };
        if words.iter().any(|word| runs.iter().any(|part| word.to_ascii_lowercase().contains(part))) {
            self.give_up();
        }
        if interpreter_of(program).is_some_and(|known| known.has_code(words)) {
            self.give_up();
        }
    }

    /// What a program starts that is an interpreter, a shell, or starts others itself.
    fn hands_over(&mut self, program: &str, arguments: &[Word]) {
        let has =
            |phrase: &[&str]| phrase.iter().all(|part| arguments.iter().any(|word| word.as_deref() == Some(*part)));
        let Some((_, phrase)) = RUNNERS.iter().find(|(name, phrase)| *name == program && has(phrase)) else { return };
        if program.starts_with("np") || program.starts_with("pnp") {
            let words = arguments.iter().map(|word| word.as_deref().unwrap_or_default());
            let mut is_value = false;
            // What follows the name of the package is its own.
            for word in words.filter(|word| !phrase.contains(word)) {
                match word {
                    "-c" | "--call" => self.give_up(),
                    "-p" | "--package" | "-w" | "--workspace" => is_value = true,
                    word if word.starts_with("--call=") => self.give_up(),
                    word if std::mem::take(&mut is_value) || word.starts_with('-') => {}
                    _ => break,
                }
            }
        }
        let runs = |word: &Word| {
            let name = word.as_deref().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
            interpreter_of(name).is_some()
                || SHELLS.contains(&name)
                || CODE.contains(&name)
                || matches!(name, "env" | "sudo" | "xargs")
        };
        if let Some(at) = arguments.iter().position(runs) {
            self.words(arguments.get(at..).unwrap_or_default());
        }
    }

    fn calls(&mut self, program: &str, words: &[&String]) {
        match CALLERS.iter().find(|(name, _)| *name == program) {
            Some((_, valued)) => self.caller(program, valued, words),
            None => self.other(words),
        }
    }

    /// A program that no table knows may read and write what looks like a path, or every value of an option would
    /// count, and reach any host.
    fn other(&mut self, words: &[&String]) {
        self.shell.reaches_unknown = true;
        for word in words.iter().filter(|word| word.contains('/') || word.starts_with('~') || word.contains('.')) {
            let value = word.split_once('=').map_or(word.as_str(), |(_, value)| value);
            if !value.starts_with('-') && host_of(value).is_none() {
                self.reads(value);
                self.writes(value);
            }
        }
    }

    pub(super) fn urls(&mut self, words: &[&String]) {
        let tail = |word: &str| {
            word.split_once("://").map(|(scheme, _)| {
                scheme.rsplit(|char: char| !char.is_ascii_alphanumeric()).next().map_or(0, str::len) + 3
            })
        };
        for word in words {
            let start = word.find("://").zip(tail(word)).map(|(at, length)| at + 3 - length);
            let Some(address) = start.and_then(|start| word.get(start..)) else { continue };
            for host in [host_of(address), of_url_otherwise(address)].into_iter().flatten() {
                self.shell.reaches_unknown |= !host.is_read;
                self.shell.hosts.insert(host.name);
            }
        }
    }

    fn wrapper(&mut self, program: &str, arguments: &[Word]) {
        // Options of wrappers take values in too many ways to know which word is the program.
        let plain = |word: &&Word| word.as_ref().is_some_and(|word| !word.starts_with('-') && !word.contains('='));
        let skip = usize::from(program == "timeout" || program == "chroot");
        let at = arguments.iter().position(|word| plain(&word));
        let options = arguments.get(..at.unwrap_or(arguments.len())).unwrap_or_default().iter().flatten();
        let mut options = options.filter(|word| word.starts_with('-')).peekable();
        if program == "command" && options.peek().is_some_and(|word| matches!(word.as_str(), "-v" | "-V")) {
            // It says only where the program is.
            return;
        }
        let Some(at) = at else {
            if program == "env" && !options.any(|word| matches!(word.as_str(), "--version" | "--help")) {
                self.reads("/proc/self/environ");
            }
            return;
        };
        let is_known = |word: &str| match program {
            "time" => word == "-p",
            "xargs" => matches!(word, "-0" | "-r" | "--null" | "--no-run-if-empty"),
            _ => false,
        };
        if options.any(|word| !is_known(word)) {
            self.give_up();
        }
        // `env A=b cmd`, and of others what `time` is to the shell.
        let names = arguments.get(..at).unwrap_or_default().iter().flatten().filter_map(|word| word.split_once('='));
        if names.filter(|(name, _)| !name.starts_with('-')).any(|(name, _)| !is_setting(name)) {
            self.give_up();
        }
        if program == "xargs" {
            let is_reader = arguments.get(at).and_then(Option::as_deref).is_some_and(|name| READERS.contains(&name));
            match self.piped.take() {
                Some(listed) if is_reader => self.reads_listed(listed),
                // What the program gets is not in the text.
                _ => self.give_up(),
            }
        }
        let start = self.folders.clone();
        self.words(arguments.get(at + skip..).unwrap_or_default());
        // Some of them change the folder of this shell, others that of a process of theirs.
        self.folders.extend(start);
    }

    /// Files somewhere in the folder that the command began in.
    fn reads_listed(&mut self, listed: Listed) {
        for root in &listed.roots {
            if self.places(root).iter().any(|place| !Path::new(place).starts_with(&self.start)) {
                self.give_up();
            }
            self.reads(root);
        }
        self.shell.patterns.extend(listed.patterns);
    }

    fn subshell(&mut self, words: &[&String]) {
        let flag = words.iter().position(|word| cluster(word).is_some_and(|letters| letters.ends_with('c')));
        let script = flag.and_then(|at| words.get(at + 1)).filter(|script| !script.starts_with(['-', '+']));
        match script {
            Some(script) => {
                let before = words.iter().take(flag.unwrap_or_default());
                let known = ["--norc", "--noprofile", "--login", "--posix"];
                // Others take values, or files that run first.
                if before.clone().any(|word| cluster(word).is_none() && !known.contains(&word.as_str())) {
                    self.give_up();
                }
                self.apart(|walk| walk.nested(script));
            }
            None => match words.iter().find(|word| !word.starts_with(['-', '+'])) {
                // What options beside these take is not known, and `s` is standard input.
                Some(script)
                    if options(words).all(|letters| letters.chars().all(|letter| "eflnuvx".contains(letter))) =>
                {
                    self.runs(script);
                    self.files(words, Self::reads);
                }
                // Standard input: what runs is not in the text.
                _ => {
                    self.give_up();
                    self.files(words, Self::reads);
                }
            },
        }
    }

    /// Files outside the project that nobody gets back.
    fn erases(&mut self, program: &str, words: &[&String]) {
        let erases = matches!(program, "rm" | "shred" | "truncate" | "unlink");
        if erases && words.iter().any(|word| !word.starts_with('-') && self.is_elsewhere(word)) {
            self.shell.beyond.insert(ERASES);
        }
    }

    /// `ls` shows names, and those of the home folder itself are no secret.
    fn list_names(&mut self, words: &[&String]) {
        let is_deep = words.iter().any(|word| *word == "--recursive" || cluster(word).is_some_and(|l| l.contains('R')));
        let is_home = |word: &&&String| !is_deep && matches!(word.as_str(), "~" | "~/");
        let words: Vec<&String> = words.iter().filter(|word| !is_home(word)).copied().collect();
        self.files(&words, Self::reads);
    }

    /// A signal may end or stop the gateway itself, which nobody could then ask.
    fn kill(&mut self, program: &str, words: &[&String]) {
        let is_signal = |letters: &str| letters.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
        let selects = |word: &str| match cluster(word) {
            Some(letters) => !is_signal(letters) && letters.contains(['u', 'U', 'g', 'G', 'P', 's', 't', 'F']),
            None => word.starts_with("--") && word.len() > 2,
        };
        if program != "kill" && words.iter().any(|word| selects(word)) {
            self.give_up();
        }
        // `-9`, or `-s KILL`.
        let signals = match words.first().map(|word| word.as_str()) {
            Some("-s" | "-n" | "-l" | "-L") if program == "kill" => 2,
            first => usize::from(first.is_some_and(|word| word.starts_with('-'))),
        };
        let targets = words.iter().skip(signals).filter(|word| word.as_str() != "--");
        let pid = i64::from(std::process::id());
        let ours: Vec<String> = std::env::args().collect();
        let ours = format!("bailiwick {}", ours.join(" "));
        for target in targets {
            match target.trim().parse::<i64>() {
                Ok(number) if program == "kill" => {
                    self.shell.ends_us |= number == -1 || number.abs() == pid;
                    // Shells differ in what they take for a number.
                    if !is_number(target) {
                        self.give_up();
                    }
                }
                _ if program == "kill" && !target.starts_with('%') => self.give_up(),
                // A pattern, a user, a session.
                _ if program != "kill" && !target.chars().all(|c| c.is_ascii_alphanumeric() || "_/ ".contains(c)) => {
                    self.give_up();
                }
                _ => self.shell.ends_us |= program != "kill" && ours.contains(target.as_str()),
            }
        }
    }

    fn find(&mut self, arguments: &[Word], words: &[&String]) {
        let roots: Vec<&String> = words.iter().take_while(|word| !word.starts_with(['-', '(', '!'])).copied().collect();
        let runs = |word: &str| matches!(word, "-exec" | "-execdir" | "-ok" | "-okdir");
        let deletes = words.iter().any(|word| *word == "-delete");
        let changes = deletes || words.iter().any(|word| runs(word));
        for root in &roots {
            if changes || !matches!(root.as_str(), "~" | "~/") {
                self.reads(root);
            }
            if changes {
                // `{}` stands for what was found.
                self.writes(root);
            }
        }
        if changes {
            for pair in words.windows(2) {
                if let [test, pattern] = pair
                    && (test.ends_with("name") || test.ends_with("path"))
                {
                    self.matching(pattern);
                }
            }
        }
        let (mut rest, mut erases) = (arguments, deletes);
        while let Some(at) = rest.iter().position(|word| word.as_deref().is_some_and(runs)) {
            rest = rest.get(at + 1..).unwrap_or_default();
            let ends = |word: &Word| word.as_deref().is_some_and(|word| matches!(word, ";" | "\\;" | "+"));
            let (command, after) = rest.split_at(rest.iter().position(ends).unwrap_or(rest.len()));
            let name = command.first().and_then(Option::as_deref).and_then(|name| name.rsplit('/').next());
            erases |= name.is_some_and(|name| ERASERS.contains(&name));
            self.words(command);
            rest = after;
        }
        // Whole folders, as with `rm -r`.
        erases = erases && roots.iter().any(|root| self.is_elsewhere(root));
        if erases || words.iter().any(|word| word.starts_with("-fprint") || *word == "-fls") {
            self.give_up();
        }
    }

    fn dd(&mut self, words: &[&String]) {
        for word in words {
            match word.split_once('=') {
                Some(("if", path)) => self.reads(path),
                Some(("of", path)) => self.writes(path),
                _ => {}
            }
        }
    }

    /// What is copied, moved or linked, and where it comes to lie: as the last word, or in the folder of that name.
    fn copies(&mut self, program: &str, words: &[&String]) {
        let (mut folder, mut plain) = (None, Vec::new());
        let deletes = program == "rsync" && words.iter().any(|word| word.starts_with("--del"));
        let mut words = words.iter().map(|word| word.as_str());
        while let Some(word) = words.next() {
            if program != "rsync" && word.starts_with("--t") {
                folder = word.split_once('=').map(|(_, folder)| folder).or_else(|| words.next());
            } else if let Some(letters) = cluster(word).filter(|_| program != "rsync") {
                match letters.split_once('t') {
                    Some((_, "")) => folder = words.next(),
                    Some((_, attached)) => folder = Some(attached),
                    None => {}
                }
            } else if !word.starts_with('-') {
                plain.push(word);
            }
        }
        let Some(folder) = folder.or_else(|| plain.pop()) else { return };
        // Another host's.
        let is_remote = |path: &str| path.split('/').next().is_some_and(|first| first.contains(':'));
        if !is_remote(folder) {
            self.writes(folder);
            if deletes && self.is_elsewhere(folder) {
                self.give_up();
            }
        }
        for from in plain {
            if matches!(program, "cp" | "rsync") {
                self.reads(from);
            } else {
                self.writes(from);
            }
            // What has no ending may be a whole folder.
            let name = from.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            if program == "mv" && !name.trim_start_matches('.').contains('.') && self.is_elsewhere(from) {
                self.give_up();
            }
            if !is_remote(folder) {
                self.puts(from, folder);
            }
        }
    }

    /// Puts what has the last name of a path into a folder, or what it holds.
    fn puts(&mut self, from: &str, folder: &str) {
        let name = from.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        if from.ends_with('/') || matches!(name, "" | "." | ".." | "~") {
            self.fills(folder);
        }
        if !matches!(name, "" | "." | ".." | "~") {
            let place = format!("{}/{name}", folder.trim_end_matches('/'));
            if self.shell.patterns.contains(from) {
                self.shell.patterns.insert(place.clone());
            }
            self.writes(&place);
        }
    }

    /// A patch of Codex's stands in its word or in a here document.
    fn patches(&mut self, words: &[&String]) {
        let document = self.document.clone();
        let patch = words.first().map(|word| word.as_str()).or(document.as_deref());
        let paths = patch.map(patched).unwrap_or_default();
        if paths.is_empty() {
            self.give_up();
        }
        paths.into_iter().for_each(|path| self.writes(path));
    }

    /// The files of a patch that stands in a here document.
    fn compares(&mut self) {
        let document = self.document.clone();
        document.iter().flat_map(|patch| compared(patch)).for_each(|path| self.writes(path));
    }

    fn writes_second(&mut self, valued: &str, words: &[&String]) {
        let (mut is_value, mut plain) = (false, Vec::new());
        for word in words {
            match cluster(word) {
                Some(letters) => is_value = letters.ends_with(|last| valued.contains(last)),
                None if std::mem::take(&mut is_value) || word.starts_with("--") => {}
                None => plain.push(word.as_str()),
            }
        }
        if let Some(to) = plain.get(1) {
            self.writes(to);
        }
    }

    /// What lies in an archive has any name.
    fn unpacks(&mut self, program: &str, words: &[&String]) {
        let has = |letters: &[char]| {
            let first = words.first().filter(|word| !word.starts_with('-')).map(|word| word.as_str());
            let first = first.filter(|_| program != "unzip");
            let mut clusters = first.into_iter().chain(words.iter().filter_map(|word| cluster(word)));
            clusters.any(|word| word.split(['C', 'd']).next().is_some_and(|word| word.contains(letters)))
        };
        let (folder, long, unpacks) = match program {
            "unzip" => ('d', "--", !has(&['l', 'p', 't', 'v', 'z', 'Z'])),
            _ => (
                'C',
                "--directory",
                has(&['x']) || words.iter().any(|word| matches!(word.as_str(), "--extract" | "--get")),
            ),
        };
        if !unpacks {
            return;
        }
        let mut folders = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let next = words.get(at + 1).map(|next| next.as_str());
            let option = cluster(word).or_else(|| (at == 0 && program != "unzip").then_some(word.as_str()));
            if word.len() > 4 && word.split('=').next().is_some_and(|name| long.starts_with(name)) {
                folders.extend(word.split_once('=').map(|(_, folder)| folder).or(next));
            } else if let Some((_, attached)) = option.and_then(|letters| letters.split_once(folder)) {
                folders.extend(Some(attached).filter(|attached| !attached.is_empty()).or(next));
            }
        }
        if folders.is_empty() {
            folders.push(".");
        }
        folders.into_iter().for_each(|folder| self.fills(folder));
    }

    /// What is fetched and kept under its own name.
    fn downloads(&mut self, program: &str, words: &[&String]) {
        let has = |letter: char, long: &[&str]| {
            words.iter().any(|word| {
                cluster(word).is_some_and(|letters| letters.contains(letter))
                    || long.iter().any(|long| word.starts_with(long))
            })
        };
        let (keeps, option) = match program {
            "curl" => (has('O', &["--remote-name"]), "--output-dir"),
            "wget" => (!has('O', &["--output-document", "--spider"]), "--directory-prefix"),
            _ => return,
        };
        if !keeps {
            return;
        }
        let long = |word: &&String| {
            word.split_once('=').filter(|(name, _)| *name == option).map(|(_, folder)| folder.to_owned())
        };
        let short = |word: &&String| {
            let (_, folder) = cluster(word).filter(|_| program == "wget")?.split_once('P')?;
            Some(folder.to_owned())
        };
        let mut folder = ".".to_owned();
        for (at, word) in words.iter().enumerate() {
            let named = if *word == option { Some(String::new()) } else { long(word).or_else(|| short(word)) };
            let next = words.get(at + 1).map(|next| (*next).clone());
            folder = named.map_or(folder, |named| if named.is_empty() { next.unwrap_or_default() } else { named });
        }
        if folder != "." {
            self.fills(&folder);
        }
        for word in words.iter().filter(|word| !word.starts_with('-')) {
            let address = word.split_once("://").map_or(word.as_str(), |(_, address)| address);
            let path = address.split(['?', '#']).next().unwrap_or_default();
            if let Some((_, name)) = path.rsplit_once('/').filter(|(_, name)| !name.is_empty()) {
                self.puts(name, &folder);
            }
        }
    }

    fn sed(&mut self, words: &[&String]) {
        let Some(sed) = Sed::of(words) else { return self.give_up() };
        if !sed.scripts.iter().all(|script| is_plain(script)) {
            self.give_up();
        }
        for path in sed.files {
            self.reads(path);
            if sed.in_place {
                self.writes(path);
            }
        }
    }

    fn git(&mut self, words: &[&String]) {
        // `-c` can set programs to run; so can an alias, but that is the user's own configuration.
        if words.iter().any(|word| *word == "-c" || word.starts_with("--upload-pack") || word.starts_with("--exec")) {
            self.give_up();
        }
        // Which host a remote is stands in the repository.
        if !words.iter().any(|word| GIT_HERE.contains(&word.as_str())) {
            self.shell.reaches_unknown = true;
        }
        let subcommand = subcommand(words).unwrap_or_default();
        self.options(&format!("git {subcommand}"), words);
        let has = |word: &str| words.iter().any(|other| *other == word);
        if subcommand == "config" {
            self.git_config(words);
        }
        if discards(subcommand, words) {
            let folders = words.windows(2).filter(|pair| pair.first().is_some_and(|option| *option == "-C"));
            let folders: Vec<&String> = folders.filter_map(|pair| pair.get(1).copied()).collect();
            if self.is_elsewhere(".") || folders.iter().any(|folder| self.is_elsewhere(folder)) {
                self.give_up();
            }
        }
        if matches!(subcommand, "show" | "cat-file") {
            // `HEAD:PATH` is the file as it was.
            words.iter().filter_map(|word| word.split_once(':')).for_each(|(_, path)| self.reads(path));
        }
        if matches!(subcommand, "apply" | "am") {
            self.compares();
        }
        // What is named is written as another commit has it; names that end in nothing are branches.
        if matches!(subcommand, "checkout" | "restore") {
            let is_file = |word: &&&String| !word.starts_with('-') && **word != subcommand;
            words.iter().filter(is_file).for_each(|word| self.writes(word));
        }
        if subcommand == "grep" {
            let all = has("--no-index");
            for word in words.iter().skip_while(|word| !all && **word != "--").filter(|word| !word.starts_with('-')) {
                self.matching(word);
            }
        }
        for word in words {
            self.remote(word);
        }
    }

    /// What is set may be a program that `git` runs from then on.
    fn git_config(&mut self, words: &[&String]) {
        let mut plain = words.iter().skip_while(|word| **word != "config").skip(1).peekable();
        let mut key = None;
        while let Some(word) = plain.next() {
            match word.as_str() {
                "get" | "list" | "unset" | "-l" | "--list" => return,
                word if word.starts_with("--get") || word.starts_with("--unset") => return,
                "-f" | "--file" | "--blob" | "--type" | "--default" | "--comment" => drop(plain.next()),
                "set" => {}
                word if word.starts_with('-') => {}
                word => {
                    key = Some(word.to_ascii_lowercase());
                    break;
                }
            }
        }
        let is_known = |key: &String| GIT_SETTINGS.iter().any(|known| key.starts_with(known));
        if plain.peek().is_some() && !key.as_ref().is_some_and(is_known) {
            self.give_up();
        }
        if words.iter().any(|word| matches!(word.as_str(), "-e" | "--edit" | "edit")) {
            self.give_up();
        }
    }

    fn caller(&mut self, program: &str, valued: &str, words: &[&String]) {
        let mut names_host = words.iter().any(|word| host_of(word).is_some());
        let mut option = "";
        for word in words {
            let of = std::mem::replace(&mut option, if word.starts_with('-') { word } else { "" });
            if self.remote(word) {
                names_host = true;
            } else if host_of(word).is_some() {
                // It is among the URLs.
                if program == "curl" && has_ranges(word) {
                    self.give_up();
                }
            } else if let Some(host) = word.strip_prefix('@').filter(|_| program == "dig") {
                names_host |= self.address(program, host);
            } else if let Some((_, file)) = word.split_once('@').filter(|_| matches!(program, "http" | "https" | "xh"))
            {
                self.reads(file);
            } else if let Some(file) = word.strip_prefix('@').or_else(|| word.split_once("=@").map(|(_, file)| file)) {
                self.reads(file);
            } else if word.starts_with('/') || word.starts_with("./") || word.starts_with("~/") {
                self.reads(word);
                self.writes(word);
            } else if matches!(of, "-o" | "--output") || (of == "-O" && program == "wget") {
                self.writes(word);
            } else if is_host(word, of, valued) {
                if program == "curl" && has_ranges(word) {
                    self.give_up();
                }
                names_host |= self.address(program, word);
            }
        }
        let only_says = |word: &&String| matches!(word.as_str(), "--version" | "--help" | "-V" | "-h" | "--manual");
        if !names_host && !words.iter().all(only_says) {
            self.give_up();
        }
    }

    /// The host of a word without a scheme; `TCP:host:port` and the like of socat, which reaches files, too.
    fn address(&mut self, program: &str, word: &str) -> bool {
        let host = match word.split_once(':') {
            Some((kind, rest)) if program == "socat" => {
                let kind = kind.to_ascii_uppercase();
                let reaches = SOCKETS.iter().any(|socket| kind.starts_with(socket)) && !word.contains("!!");
                if ["FILE", "OPEN", "GOPEN", "CREATE"].contains(&kind.as_str()) && reaches {
                    let path = rest.split(',').next().unwrap_or_default();
                    self.reads(path);
                    self.writes(path);
                    return false;
                }
                if !reaches {
                    self.give_up();
                }
                rest
            }
            _ => word,
        };
        let host = host.split(['/', ':', '?', ',']).next().unwrap_or_default();
        self.shell.hosts.insert(host.rsplit('@').next().unwrap_or(host).to_ascii_lowercase());
        true
    }

    /// `user@host:path` and `host:path`.
    fn remote(&mut self, word: &str) -> bool {
        let Some((place, _)) = word.split_once(':') else { return false };
        let host = place.rsplit('@').next().unwrap_or(place);
        let plausible = host.contains('.') || place.contains('@');
        if word.contains("://") || !plausible || host.contains('/') || word.starts_with('-') {
            return false;
        }
        self.shell.hosts.insert(host.to_ascii_lowercase());
        true
    }

    pub(super) fn files(&mut self, words: &[&String], take: impl Fn(&mut Self, &str)) {
        for word in words.iter().filter(|word| !word.starts_with('-')) {
            take(self, word);
        }
    }
}

/// Whether `test` looks for a variable whose name is more than that.
fn is_unset(pair: &[&String]) -> bool {
    matches!(pair, [test, name] if *test == "-v" && !is_name(name))
}

/// Whether a caller's word is a host, after an option whose value it may be.
fn is_host(word: &str, option: &str, valued: &str) -> bool {
    if word.starts_with('-') || word.is_empty() {
        return false;
    }
    match cluster(option).map(|letters| letters.ends_with(|letter| valued.contains(letter))) {
        Some(is_value) => !is_value,
        None if option.is_empty() || option == "--" => true,
        // A longer option: the word is its value, or the option has none.
        None => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._:@/-%?&=~+".contains(c);
            !option.contains('=')
                && word.contains(['.', ':'])
                && word.chars().all(plain)
                && word.parse::<f64>().is_err()
        }
    }
}

/// Whether `git` forgets work that was not committed, or commits that nothing else names.
fn discards(subcommand: &str, words: &[&String]) -> bool {
    let has = |names: &[&str]| words.iter().any(|word| names.contains(&word.as_str()));
    match subcommand {
        "clean" | "restore" => true,
        "reset" => has(&["--hard"]),
        "checkout" => has(&["--", ".", "-f", "--force"]),
        "stash" => has(&["clear", "drop"]),
        "branch" => has(&["-D"]),
        _ => false,
    }
}

/// What `git` is to do.
fn subcommand<'w>(words: &[&'w String]) -> Option<&'w str> {
    let mut words = words.iter().map(|word| word.as_str());
    loop {
        match words.next()? {
            "-C" | "-c" | "--git-dir" | "--work-tree" | "--namespace" | "--config-env" => drop(words.next()),
            option if option.starts_with('-') => {}
            name => return Some(name),
        }
    }
}

/// Whether `curl` makes several hosts of this one: `http://1.2.3.[4-5]/`.
fn has_ranges(word: &str) -> bool {
    let address = word.split_once("://").map_or(word, |(_, address)| address);
    let host = address.split(['/', '?', '#']).next().unwrap_or_default();
    let literal = host.strip_prefix('[').and_then(|host| host.split_once(']'));
    match literal {
        Some((address, port)) => address.parse::<std::net::Ipv6Addr>().is_err() || port.contains(['[', '{']),
        None => host.contains(['[', '{']),
    }
}

/// The options before the first other word, without their signs.
fn options<'a>(words: &[&'a String]) -> impl Iterator<Item = &'a str> {
    words.iter().map_while(|word| word.strip_prefix(['-', '+']))
}

//! Programs that run code of another language: from their words, a file, or standard input.

use super::programs::cluster;

/// A program that reads code of another language from an option or from standard input.
pub(super) struct Interpreter {
    /// Without the digits of a version.
    names: &'static [&'static str],
    /// Options of one letter that mean code.
    code: &'static str,
    /// Those that take a value, which may be the next word.
    valued: &'static str,
    /// Those whose value follows at once.
    attached: &'static str,
    /// Those after which everything belongs to a module.
    module: &'static str,
    /// Longer ones, and words, that mean code.
    long: &'static [&'static str],
}

const fn interpreter(
    names: &'static [&'static str],
    code: &'static str,
    valued: &'static str,
    long: &'static [&'static str],
) -> Interpreter {
    Interpreter { names, code, valued, attached: "", module: "", long }
}

const INTERPRETERS: &[Interpreter] = &[
    Interpreter { module: "m", ..interpreter(&["python", "pypy"], "c", "WXQ", &[]) },
    interpreter(&["node", "nodejs"], "ep", "rC", &["eval", "print"]),
    interpreter(&["bun"], "ep", "r", &["eval", "print"]),
    interpreter(&["deno"], "", "", &["eval"]),
    Interpreter { attached: "MmDFVx", ..interpreter(&["perl"], "eEi", "I", &[]) },
    Interpreter { attached: "KTWx", ..interpreter(&["ruby"], "e", "ICrE", &[]) },
    interpreter(&["php"], "rBRE", "dcz", &["run", "process-begin", "process-code", "process-end"]),
    interpreter(&["lua", "luajit"], "e", "l", &[]),
    interpreter(&["csh", "tcsh", "fish", "nu", "elvish", "xonsh", "pwsh"], "cCeE", "", &["command", "init-command"]),
    interpreter(&["tsx", "ts-node"], "ep", "r", &["eval", "print"]),
    interpreter(&["osascript"], "e", "l", &[]),
    interpreter(&["Rscript", "julia", "elixir"], "eE", "", &["eval", "print"]),
];

/// Modules of Python that run the code among their words, or on their input.
const CODE_MODULES: &[&str] = &["cProfile", "code", "pdb", "profile", "runpy", "timeit", "trace"];

/// The interpreter that a program is.
pub(super) fn interpreter_of(program: &str) -> Option<&'static Interpreter> {
    let stem = program.trim_end_matches(|char: char| char.is_ascii_digit() || char == '.');
    INTERPRETERS.iter().find(|known| known.names.contains(&stem))
}

/// What an interpreter is given to run.
pub(super) enum Runs<'a> {
    /// Code among its words, or on its standard input.
    Code,
    Script(&'a str),
    /// A module, or nothing at all.
    Nothing,
}

impl Interpreter {
    /// Whether a module is loaded that runs code, or with a name that is more than one.
    pub(super) fn has_code(&self, words: &[&String]) -> bool {
        let is_python = !self.module.is_empty();
        let is_perl = self.names.contains(&"perl");
        words.iter().enumerate().any(|(at, word)| {
            let Some(letters) = cluster(word) else { return false };
            let name = |letter: char| {
                let (_, name) = letters.split_once(letter)?;
                if name.is_empty() { words.get(at + 1).map(|next| next.as_str()) } else { Some(name) }
            };
            let is_plain =
                |name: &str| name.chars().all(|char| char.is_ascii_alphanumeric() || ":_=,.-".contains(char));
            (is_python && name('m').is_some_and(|name| CODE_MODULES.contains(&name)))
                || (is_perl && letters.starts_with(['M', 'm']) && !is_plain(letters))
        })
    }

    /// What follows a script's name is the script's own. Without a script it reads code from standard input.
    pub(super) fn runs<'a>(&self, words: &[&'a String]) -> Runs<'a> {
        let is_input = |word: &str| matches!(word, "-" | "/dev/stdin" | "/dev/fd/0" | "/proc/self/fd/0");
        if let [only] = words
            && matches!(only.as_str(), "--version" | "--help" | "-V" | "-v" | "-h")
        {
            return Runs::Nothing;
        }
        let (mut script, mut is_value, mut maybe_value) = (None, false, false);
        for word in words {
            if is_input(word) || word.starts_with("data:") || word.contains("=data:") {
                return Runs::Code;
            }
            if std::mem::take(&mut is_value) {
                continue;
            }
            if let Some(long) = word.strip_prefix("--") {
                if self.long.contains(&long.split('=').next().unwrap_or(long)) {
                    return Runs::Code;
                }
                maybe_value = !long.is_empty() && !long.contains('=');
            } else if let Some(letters) = cluster(word) {
                match self.option(letters) {
                    Letters::Code => return Runs::Code,
                    Letters::Module => return Runs::Nothing,
                    Letters::Value => is_value = true,
                    Letters::Plain => {}
                }
                maybe_value = false;
            } else {
                if self.long.contains(&word.as_str()) && script.is_none() {
                    return Runs::Code;
                }
                script = Some(word.as_str());
                if !std::mem::take(&mut maybe_value) {
                    break;
                }
            }
        }
        script.map_or(Runs::Code, Runs::Script)
    }

    fn option(&self, letters: &str) -> Letters {
        for (at, letter) in letters.char_indices() {
            if self.code.contains(letter) {
                return Letters::Code;
            }
            if self.module.contains(letter) {
                return Letters::Module;
            }
            if self.valued.contains(letter) {
                let is_last = at + letter.len_utf8() == letters.len();
                return if is_last { Letters::Value } else { Letters::Plain };
            }
            if self.attached.contains(letter) {
                return Letters::Plain;
            }
        }
        Letters::Plain
    }
}

/// What options of one letter, written together, say.
enum Letters {
    Code,
    Module,
    /// The next word is a value.
    Value,
    Plain,
}

//! What options make programs do, beside what their other words do: one table.

use super::programs::cluster;
use super::{Walk, glob};

/// What an option, or its value, does.
#[derive(Clone, Copy)]
enum Does {
    /// It runs code, or does what only another file says.
    Asks,
    /// Its value is asked about if one of these stands in it.
    AsksIf(&'static [&'static str]),
    /// Its value is a command, asked about but for these programs.
    Runs(&'static [&'static str]),
    Reads,
    Writes,
    /// A folder that gets files of any name.
    Fills,
    /// `@file`.
    Data,
    /// `name@file`, or only `@file`.
    Named,
    /// `name=@file`, `name=<file`.
    Form,
    /// A file, unless there is a `=` in it.
    Cookie,
    /// Hosts and ports, between colons.
    Hosts,
    /// What the names of the files are like that are read.
    Matches,
    /// All other words are files that are written.
    InPlace,
    /// `source:target`, for a program that runs with other rights.
    Mounts,
}

use Does::{Asks, AsksIf, Cookie, Data, Fills, Form, Hosts, InPlace, Matches, Mounts, Named, Reads, Runs, Writes};

struct Options {
    programs: &'static [&'static str],
    /// Letters of other options that take a value.
    valued: &'static str,
    options: &'static [(&'static str, Does)],
}

const fn of(
    programs: &'static [&'static str],
    valued: &'static str,
    options: &'static [(&'static str, Does)],
) -> Options {
    Options { programs, valued, options }
}

/// Programs that make something smaller, as `tar` runs them.
const PACKERS: &[&str] = &["bzip2", "gzip", "lz4", "pigz", "xz", "zstd", "zstdmt"];

/// Parts of the settings of `ssh` that run something, or read more settings.
const SSH_RUNS: &[&str] = &["command", "include", "exec", "provider", "xauthlocation"];

/// Parts of the settings of `wget` that name hosts, files or programs.
const RULES: &[&str] = &["proxy", "file", "input", "output", "prefix", "config", "askpass", "tree", "base"];

const OPTIONS: &[Options] = &[
    of(
        &["curl"],
        "ACehmPQrtuUwxXYyz",
        &[
            ("-b", Cookie),
            ("-c", Writes),
            ("-d", Data),
            ("-D", Writes),
            ("-E", Reads),
            ("-F", Form),
            ("-H", Data),
            ("-K", Asks),
            ("-o", Writes),
            ("-T", Reads),
            ("--cacert", Reads),
            ("--cert", Reads),
            ("--config", Asks),
            ("--connect-to", Hosts),
            ("--cookie", Cookie),
            ("--cookie-jar", Writes),
            ("--data", Data),
            ("--data-ascii", Data),
            ("--data-binary", Data),
            ("--data-urlencode", Named),
            ("--dump-header", Writes),
            ("--etag-save", Writes),
            ("--form", Form),
            ("--header", Data),
            ("--json", Data),
            ("--key", Reads),
            ("--libcurl", Writes),
            ("--netrc-file", Reads),
            ("--output", Writes),
            ("--preproxy", Hosts),
            ("--resolve", Hosts),
            ("--stderr", Writes),
            ("--trace", Writes),
            ("--trace-ascii", Writes),
            ("--upload-file", Reads),
            ("--url-query", Named),
        ],
    ),
    of(
        &["wget"],
        "aADIlOPQRtTUwX",
        &[
            ("-e", AsksIf(RULES)),
            ("-i", Asks),
            ("-o", Writes),
            ("--body-file", Reads),
            ("--config", Asks),
            ("--execute", AsksIf(RULES)),
            ("--input-file", Asks),
            ("--output-document", Writes),
            ("--post-file", Reads),
            ("--use-askpass", Asks),
        ],
    ),
    of(&["aria2c"], "doxsj", &[("-i", Asks), ("--conf-path", Asks), ("--input-file", Asks)]),
    of(
        &["nc", "ncat", "netcat"],
        "iImMOpPqsTVwxX",
        &[("-c", Asks), ("-e", Asks), ("--exec", Asks), ("--lua-exec", Asks), ("--sh-exec", Asks)],
    ),
    of(
        &["sort"],
        "kStT",
        &[("-o", Writes), ("--output", Writes), ("--compress-program", Asks), ("--files0-from", Asks)],
    ),
    of(&["grep", "egrep", "fgrep"], "ABCDdefm", &[("--include", Matches)]),
    of(
        &["rg"],
        "ABCEMTdefjmrt",
        &[("-g", Matches), ("--glob", Matches), ("--iglob", Matches), ("--hostname-bin", Asks), ("--pre", Asks)],
    ),
    of(
        &["tar", "gtar", "bsdtar"],
        "bCfgHKLNTVX",
        &[
            ("-F", Asks),
            ("-I", Runs(PACKERS)),
            ("-P", Asks),
            ("--absolute-names", Asks),
            ("--checkpoint-action", Asks),
            ("--info-script", Asks),
            ("--new-volume-script", Asks),
            ("--remove-files", Asks),
            ("--rsh-command", Asks),
            ("--to-command", Asks),
            ("--use-compress-program", Runs(PACKERS)),
        ],
    ),
    of(&["tree"], "LPI", &[("-o", Writes)]),
    of(&["yq"], "opI", &[("-i", InPlace), ("--inplace", InPlace), ("--in-place", InPlace)]),
    of(&["git"], "", &[("--output", Writes), ("--receive-pack", Asks), ("--upload-pack", Asks)]),
    of(&["git clone"], "bjo", &[("-u", Asks), ("--config", Asks), ("--template", Asks)]),
    of(&["git difftool"], "t", &[("-x", Asks), ("--extcmd", Asks)]),
    of(&["git grep"], "ABCefm", &[("-O", Asks), ("--open-files-in-pager", Asks)]),
    of(&["git rebase"], "sSX", &[("-x", Asks)]),
    of(&["bat", "less"], "", &[("--pager", Asks)]),
    of(&["fd"], "dEeStc", &[("-X", Asks), ("-x", Asks), ("--exec-batch", Asks), ("--exec", Asks)]),
    of(&["flock"], "Ew", &[("-c", Asks), ("--command", Asks)]),
    of(&["script"], "", &[("-c", Asks), ("--command", Asks)]),
    of(&["rsync"], "BfMT", &[("-e", Runs(&["ssh"])), ("--rsh", Runs(&["ssh"])), ("--rsync-path", Asks)]),
    of(&["split"], "abClnt", &[("--filter", Asks)]),
    of(&["ssh", "scp", "sftp"], "BbcDEeiIJlLmpQRwWX", &[("-F", Asks), ("-o", AsksIf(SSH_RUNS))]),
    of(
        &["docker", "podman", "nerdctl"],
        "ehlmuw",
        &[
            ("-v", Mounts),
            ("--cap-add", Asks),
            ("--device", Asks),
            ("--mount", AsksIf(&["type=bind", "docker.sock"])),
            ("--pid", Asks),
            ("--privileged", Asks),
            ("--security-opt", Asks),
            ("--volume", Mounts),
        ],
    ),
    of(&["cargo"], "", &[("--git", Asks)]),
    of(&["fuser"], "nM", &[("-k", Asks), ("--kill", Asks)]),
    of(&["prlimit"], "", &[("-p", Asks), ("--pid", Asks)]),
    of(&["strace", "ltrace", "perf"], "aeEoOPsSuX", &[("-p", Asks), ("--attach", Asks)]),
    of(&["git archive"], "", &[("-o", Writes)]),
    of(&["git format-patch"], "", &[("-o", Fills), ("--output-directory", Fills)]),
    of(&["openssl"], "", &[("-connect", Hosts), ("-proxy", Hosts), ("-in", Reads), ("-out", Writes)]),
];

/// Whether a path is a standard stream.
fn is_stream(path: &str) -> bool {
    matches!(path, "-" | "")
}

impl Options {
    /// The option that a word is, exactly or, if it is a long one, shortened.
    fn find(&self, word: &str) -> Option<Does> {
        let exact = self.options.iter().find(|(option, _)| *option == word);
        let short = |option: &str| word.len() > 4 && word.starts_with("--") && option.starts_with(word);
        exact.or_else(|| self.options.iter().find(|(option, _)| short(option))).map(|(_, does)| *does)
    }

    /// What each word says, with the value that belongs to it.
    fn of_word<'w>(&self, word: &'w str, next: Option<&'w str>) -> Option<(Does, Option<&'w str>)> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, next),
        };
        if let Some(does) = self.find(name).filter(|_| word.starts_with("--") || value == next) {
            return Some((does, value));
        }
        let letters = cluster(word)?;
        for (at, letter) in letters.char_indices() {
            let end = at + letter.len_utf8();
            let option = self.options.iter().find(|(option, _)| option.strip_prefix('-') == letters.get(at..end));
            if let Some((_, does)) = option {
                let rest = letters.get(end..).filter(|rest| !rest.is_empty());
                return Some((*does, rest.or(next)));
            }
            if self.valued.contains(letter) {
                return None;
            }
        }
        None
    }
}

impl Walk {
    /// What the options of a program do; `program` may be one with its subcommand.
    pub(super) fn options(&mut self, program: &str, words: &[&String]) {
        for row in OPTIONS.iter().filter(|row| row.programs.contains(&program)) {
            for (at, word) in words.iter().enumerate() {
                let next = words.get(at + 1).map(|next| next.as_str());
                match row.of_word(word, next) {
                    Some((InPlace, _)) => self.files(words, Self::writes),
                    Some((does, value)) => self.option(does, value.unwrap_or_default()),
                    None => {}
                }
            }
        }
    }

    fn option(&mut self, does: Does, value: &str) {
        let attached = |sign: char| value.split_once(sign).map(|(_, file)| file);
        match does {
            Asks => self.give_up(),
            AsksIf(parts) => {
                let value = value.to_ascii_lowercase();
                if parts.iter().any(|part| value.contains(part)) {
                    self.give_up();
                }
            }
            Runs(known) => {
                let mut words = value.split_whitespace();
                if !words.next().is_some_and(|name| known.contains(&name))
                    || words.any(|word| !word.starts_with('-') && !is_port(word))
                {
                    self.give_up();
                }
            }
            Reads => self.reads_file(value),
            Writes if is_stream(value) => {}
            Writes => self.writes(value),
            Fills => self.fills(value),
            Data => {
                if let Some(file) = value.strip_prefix('@') {
                    self.reads_file(file);
                }
            }
            Named => {
                let file = attached('@').filter(|_| value.split('@').next().is_some_and(|name| !name.contains('=')));
                if let Some(file) = file {
                    self.reads_file(file);
                }
            }
            Form => {
                let file = attached('=').and_then(|value| value.strip_prefix(['@', '<']));
                let file = file.and_then(|file| file.split(';').next());
                for file in file.unwrap_or_default().split(',') {
                    self.reads_file(file);
                }
            }
            Cookie if value.contains('=') => {}
            Cookie => self.reads_file(value),
            Hosts => {
                let is_host = |part: &&str| part.contains('.') || part.len() > 5 || !is_port(part);
                let value = value.split_once("://").map_or(value, |(_, rest)| rest);
                for part in value.split([':', ',', '+', '[', ']']).filter(|part| !part.is_empty()).filter(is_host) {
                    self.shell.hosts.insert(part.to_ascii_lowercase());
                }
                // Of an address of version 6 the parts say nothing.
                if value.contains('[') {
                    self.give_up();
                }
            }
            Matches if value.starts_with('!') => {}
            Matches => self.matching(value),
            InPlace => {}
            Mounts => {
                let source = value.split(':').next().unwrap_or_default();
                if source.starts_with(['/', '~', '.']) && self.is_elsewhere(source) {
                    self.give_up();
                }
            }
        }
    }

    /// Files whose names a program compares with a pattern. To such a program `*` is a dot, too.
    pub(super) fn matching(&mut self, pattern: &str) {
        for pattern in alternatives(pattern) {
            let rest = pattern.strip_prefix('*').filter(|rest| !rest.is_empty());
            let dotted = rest.map(|rest| format!(".{}", rest.strip_prefix('.').unwrap_or(rest)));
            for pattern in dotted.into_iter().chain([pattern.clone()]) {
                if glob::is_pattern(&pattern) {
                    self.shell.patterns.insert(pattern.clone());
                }
                self.reads_file(&pattern);
            }
        }
    }

    fn reads_file(&mut self, path: &str) {
        if !is_stream(path) {
            self.reads(path);
        }
    }
}

/// What `a{b,c}d` stands for.
fn alternatives(pattern: &str) -> Vec<String> {
    let braces = pattern.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match braces {
        Some((before, (inner, after))) => inner.split(',').map(|part| format!("{before}{part}{after}")).collect(),
        None => vec![pattern.to_owned()],
    }
}

fn is_port(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
}

//! What a command line really runs: a package of a registry, an image, or a program on this machine,
//! and whether tomorrow's run is the same code as today's.
//!
//! Reads words only; nothing is looked up and nothing is run.

/// A package, image or program, and the words that are left for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The ecosystem of the package URL: `npm`, `pypi`, `docker`, `golang`, `github`, `generic`.
    pub ecosystem: &'static str,
    /// The name in its ecosystem.
    pub name: String,
    /// The version as asked for.
    pub version: Option<String>,
    /// How firmly the version is said.
    pub pin: Pin,
    /// The package URL (purl-spec).
    pub purl: String,
    /// The words after the package: the server's own arguments.
    pub arguments: Vec<String>,
    /// Folders of the machine that a container is given.
    pub mounts: Vec<String>,
    /// Folders that the launcher starts in.
    pub folders: Vec<String>,
    /// The file that a program on this machine is, as written; none if it is looked up by name.
    pub file: Option<String>,
}

/// How firmly a version is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// One version of a registry that does not change versions.
    Exact,
    /// A digest of the content.
    Digest,
    /// A commit.
    Commit,
    /// What is installed on this machine.
    Local,
    /// A range of versions.
    Range,
    /// A tag or branch, which its publisher can move.
    Tag,
    /// Whatever is newest, said so.
    Latest,
    /// Nothing is said: whatever is newest.
    Unstated,
}

impl Pin {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Digest => "digest",
            Self::Commit => "commit",
            Self::Local => "local",
            Self::Range => "range",
            Self::Tag => "tag",
            Self::Latest => "latest",
            Self::Unstated => "none",
        }
    }

    /// Whether the next run is the same code.
    pub const fn is_pinned(self) -> bool {
        matches!(self, Self::Exact | Self::Digest | Self::Commit | Self::Local)
    }
}

/// Levels of wrappers (`cmd /c`, `sh -c`, `env`, …) that are looked through.
const WRAPPERS_MAX: usize = 6;

/// Identifies what `command args` runs.
pub fn identify(command: &str, args: &[String]) -> Program {
    let mut words = first_words(command);
    words.extend(args.iter().cloned());
    for _ in 0..WRAPPERS_MAX {
        match unwrap(&words) {
            Some(inner) if !inner.is_empty() => words = inner,
            _ => break,
        }
    }
    let (head, rest) = words.split_first().map_or(("", &[][..]), |(head, rest)| (head.as_str(), rest));
    match (base_name(head).as_str(), rest.first().map(String::as_str)) {
        ("npx" | "bunx" | "pnpx", _) => npm(head, rest),
        ("npm", Some("exec" | "x")) | ("pnpm" | "yarn", Some("dlx" | "exec")) | ("bun", Some("x")) => {
            npm(head, rest.get(1..).unwrap_or_default())
        }
        ("uvx", _) => python(head, rest),
        ("uv", Some("tool" | "x")) => {
            python(head, rest.get(usize::from(rest.get(1).is_some_and(|word| word == "run")) + 1..).unwrap_or_default())
        }
        ("pipx", Some("run")) => python(head, rest.get(1..).unwrap_or_default()),
        ("uv", Some("run")) => uv_run(rest.get(1..).unwrap_or_default()),
        ("docker" | "podman" | "nerdctl", _) => container(head, rest),
        ("deno", _) => deno(head, rest),
        ("go", Some("run")) => go(rest.get(1..).unwrap_or_default()),
        ("python" | "python3" | "py", _) => python_interpreter(head, rest),
        ("node" | "bun" | "ruby" | "java" | "tsx" | "ts-node" | "perl" | "php" | "dotnet", _) => {
            interpreter(head, rest)
        }
        _ => local(head, rest.to_vec()),
    }
}

/// A `command` that holds several words, as some clients accept it.
fn first_words(command: &str) -> Vec<String> {
    let is_path = command.starts_with(['/', '~', '.', '$']) || command.get(1..2) == Some(":");
    if is_path { vec![command.to_owned()] } else { split(command) }
}

/// The program's name without folder and extension.
pub(crate) fn base_name(command: &str) -> String {
    let name = command.rsplit(['/', '\\']).next().unwrap_or(command).to_ascii_lowercase();
    [".exe", ".cmd", ".bat", ".ps1"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name).to_owned()
}

/// The command inside a wrapper, if it is one.
fn unwrap(words: &[String]) -> Option<Vec<String>> {
    let (head, rest) = words.split_first()?;
    let after = |skip: usize| Some(rest.get(skip..)?.to_vec());
    let dashes = || after(rest.iter().position(|word| word == "--")? + 1);
    match base_name(head).as_str() {
        "cmd" => {
            after(rest.iter().position(|word| word.eq_ignore_ascii_case("/c") || word.eq_ignore_ascii_case("/k"))? + 1)
        }
        "sh" | "bash" | "zsh" | "dash" | "fish" | "powershell" | "pwsh" => {
            let is_command = |word: &String| word == "-Command" || (word.starts_with('-') && word.ends_with('c'));
            Some(script(rest.get(rest.iter().position(is_command)? + 1)?))
        }
        "env" => after(rest.iter().take_while(|word| word.starts_with('-') || word.contains('=')).count()),
        "sudo" | "nice" | "nohup" | "exec" | "stdbuf" | "arch" => {
            after(rest.iter().take_while(|word| word.starts_with('-')).count())
        }
        "timeout" => after(rest.iter().take_while(|word| word.starts_with('-')).count() + 1),
        "dotenvx" | "dotenv" | "infisical" | "doppler" | "op" | "aws-vault" | "direnv" | "bailiwick" => dashes(),
        _ => None,
    }
}

/// The command of a shell script that starts a server: the one after the preparations.
fn script(text: &str) -> Vec<String> {
    let segments: Vec<Vec<String>> = text
        .split(['\n', ';'])
        .flat_map(|part| part.split("&&"))
        .flat_map(|part| part.split("||"))
        .map(|part| part.split('|').next().unwrap_or_default())
        .map(split)
        .map(|words| words.into_iter().skip_while(|word| word == "exec" || is_assignment(word)).collect::<Vec<_>>())
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect();
    let prepares = |words: &&Vec<String>| {
        words
            .first()
            .is_some_and(|word| ["cd", "source", ".", "export", "set", "echo", "mkdir"].contains(&word.as_str()))
    };
    let keywords =
        ["if", "for", "while", "until", "case", "select", "function", "test", "[", "[[", "{", "(", "!", "time"];
    match segments.iter().find(|words| !prepares(words)).or(segments.first()) {
        // A script that decides for itself: which program runs cannot be read off.
        Some(words) if words.first().is_some_and(|word| keywords.contains(&word.as_str())) => vec!["sh".to_owned()],
        Some(words) => words.clone(),
        None => Vec::new(),
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Words of a command line, with quotes but without expansion.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn program(ecosystem: &'static str, name: &str, version: Option<&str>, pin: Pin, arguments: &[String]) -> Program {
    let purl = purl(ecosystem, name, version.filter(|_| pin.is_pinned()), &[]);
    Program {
        ecosystem,
        name: name.to_owned(),
        version: version.map(str::to_owned),
        pin,
        purl,
        arguments: arguments.to_vec(),
        mounts: Vec::new(),
        folders: Vec::new(),
        file: None,
    }
}

impl Program {
    /// The program with its file's absolute path, so that two scripts of one name are two programs.
    pub fn located(mut self, absolute: &str) -> Self {
        self.purl = purl("generic", &self.name, None, &[("path", absolute)]);
        self
    }
}

/// A name of PyPI as its registry compares names.
pub(crate) fn pypi_name(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

/// A package URL. Segments are percent-encoded as the specification asks.
pub(crate) fn purl(ecosystem: &str, name: &str, version: Option<&str>, qualifiers: &[(&str, &str)]) -> String {
    let segments: Vec<String> = name.split('/').filter(|part| !part.is_empty()).map(encode).collect();
    let version = version.map(|version| format!("@{}", encode(version))).unwrap_or_default();
    let qualifiers: Vec<String> = qualifiers.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
    let question = if qualifiers.is_empty() { "" } else { "?" };
    format!("pkg:{ecosystem}/{}{version}{question}{}", segments.join("/"), qualifiers.join("&"))
}

fn encode(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The first word that is no flag, and what follows it. `valued` are the flags that take a word.
fn first_plain<'w>(words: &'w [String], valued: &[&str]) -> Option<(&'w str, &'w [String])> {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word == "--" {
            at += 1;
        } else if valued.contains(&word.as_str()) {
            at += 2;
        } else if word.starts_with('-') {
            at += 1;
        } else {
            return Some((word, words.get(at + 1..).unwrap_or_default()));
        }
    }
    words.get(at).map(|word| (word.as_str(), words.get(at + 1..).unwrap_or_default()))
}

/// The value of a flag, as `--flag value` or `--flag=value`.
fn flag<'w>(words: &'w [String], names: &[&str]) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(at, word)| {
        if names.contains(&word.as_str()) {
            return words.get(at + 1).map(String::as_str);
        }
        let (name, value) = word.split_once('=')?;
        names.contains(&name).then_some(value)
    })
}

fn npm(head: &str, words: &[String]) -> Program {
    let valued = ["-p", "--package", "-c", "--call", "--registry", "--cache", "--userconfig", "-w", "--workspace"];
    let Some((first, rest)) = first_plain(words, &valued) else {
        return match flag(words, &["-p", "--package"]) {
            Some(spec) => npm_spec(spec, &[]),
            None => local(head, words.to_vec()),
        };
    };
    let flags = words.get(..words.len().saturating_sub(rest.len() + 1)).unwrap_or_default();
    npm_spec(flag(flags, &["-p", "--package"]).unwrap_or(first), rest)
}

fn npm_spec(spec: &str, rest: &[String]) -> Program {
    if spec.starts_with(['.', '/', '~']) || spec.starts_with("file:") {
        return local(spec.trim_start_matches("file:"), rest.to_vec());
    }
    if let Some(program) =
        git(spec.trim_start_matches("git+"), rest).filter(|_| spec.contains("://") || spec.starts_with("github:"))
    {
        return program;
    }
    let spec = spec.strip_prefix("npm:").unwrap_or(spec);
    let at = spec.get(1..).and_then(|tail| tail.rfind('@')).map(|at| at + 1);
    let (name, version) = match at.and_then(|at| Some((spec.get(..at)?, spec.get(at + 1..)?))) {
        Some((name, version)) => (name, Some(version).filter(|version| !version.is_empty())),
        None => (spec, None),
    };
    let pin = match version {
        None => Pin::Unstated,
        Some("latest" | "*" | "x") => Pin::Latest,
        Some(version) if is_exact(version) => Pin::Exact,
        Some(version) if version.starts_with(|c: char| c.is_ascii_digit() || "^~<>=v".contains(c)) => Pin::Range,
        Some(_) => Pin::Tag,
    };
    program("npm", name, version.map(|version| version.trim_start_matches(['=', 'v'])), pin, rest)
}

/// Whether a version is one version: at least two dots of numbers, and no operator.
fn is_exact(version: &str) -> bool {
    let core = version.trim_start_matches(['=', 'v']);
    let numbers = core.split(['-', '+']).next().unwrap_or(core);
    let parts: Vec<&str> = numbers.split('.').collect();
    parts.len() >= 3
        && parts.iter().all(|part| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric())
                && part.starts_with(|c: char| c.is_ascii_digit())
        })
}

fn python(head: &str, words: &[String]) -> Program {
    let valued = [
        "--from",
        "--spec",
        "--with",
        "--with-editable",
        "--with-requirements",
        "--python",
        "-p",
        "--index-url",
        "--index",
        "--default-index",
        "--extra-index-url",
        "-i",
        "--directory",
        "--project",
        "--cache-dir",
        "--env-file",
        "--pip-args",
        "--index-strategy",
    ];
    let Some((first, rest)) = first_plain(words, &valued) else { return local(head, words.to_vec()) };
    let flags = words.get(..words.len().saturating_sub(rest.len() + 1)).unwrap_or_default();
    python_spec(flag(flags, &["--from", "--spec"]).unwrap_or(first), rest)
}

fn python_spec(spec: &str, rest: &[String]) -> Program {
    let spec = spec.trim();
    // `name @ git+https://…`
    let address = spec.split_once(" @ ").map_or(spec, |(_, address)| address.trim());
    if let Some(program) = address.contains("://").then(|| git(address.trim_start_matches("git+"), rest)).flatten() {
        return program;
    }
    if spec.starts_with(['.', '/', '~']) {
        return local(spec, rest.to_vec());
    }
    let end = spec.find(|c: char| "=<>!~@[; ".contains(c)).unwrap_or(spec.len());
    let (name, tail) = spec.split_at(end);
    let tail = match (tail.find('['), tail.find(']')) {
        (Some(0), Some(close)) => tail.get(close + 1..).unwrap_or_default(),
        _ => tail,
    };
    let name = pypi_name(name);
    let (version, pin) = if let Some(version) = tail.strip_prefix("===").or_else(|| tail.strip_prefix("==")) {
        let pin = if version.contains(['*', ',']) { Pin::Range } else { Pin::Exact };
        (Some(version), pin)
    } else if let Some(version) = tail.strip_prefix('@') {
        (Some(version), if version == "latest" { Pin::Latest } else { Pin::Exact })
    } else if tail.trim().is_empty() {
        (None, Pin::Unstated)
    } else {
        (Some(tail.trim()), Pin::Range)
    };
    program("pypi", &name, version, pin, rest)
}

/// `uv run`: the project of a folder, or a script.
fn uv_run(words: &[String]) -> Program {
    let valued = [
        "--with",
        "--directory",
        "--project",
        "--python",
        "-p",
        "--extra",
        "--group",
        "--env-file",
        "--with-editable",
        "--with-requirements",
        "--index",
    ];
    let folder = flag(words, &["--directory", "--project"]).map(str::to_owned);
    let with = flag(words, &["--with"]).map(str::to_owned);
    let (first, rest) = first_plain(words, &valued).unwrap_or(("uv", &[]));
    let mut found = match (with, base_name(first).as_str(), &folder) {
        // `uv run --with mcp-server-x mcp-server-x` fetches, like `uvx`.
        (Some(with), _, None) => python_spec(&with, rest),
        (_, "python" | "python3", _) => python_interpreter(first, rest),
        _ => local(first, rest.to_vec()),
    };
    if found.pin == Pin::Local
        && let Some(folder) = &folder
    {
        found.purl = purl("generic", &found.name, None, &[("path", folder)]);
    }
    found.folders.extend(folder);
    found
}

fn python_interpreter(head: &str, words: &[String]) -> Program {
    if let Some(module) = flag(words, &["-m"]) {
        let at = words.iter().position(|word| word == "-m").map_or(words.len(), |at| at + 2);
        let name = module.split('.').next().unwrap_or(module).to_ascii_lowercase().replace('_', "-");
        let mut found = program("pypi", &name, None, Pin::Local, words.get(at..).unwrap_or_default());
        found.purl = purl("pypi", &name, None, &[]);
        return found;
    }
    interpreter(head, words)
}

fn interpreter(head: &str, words: &[String]) -> Program {
    if words.iter().any(|word| word == "-c" || word == "-e" || word == "--eval") {
        return local(head, Vec::new());
    }
    let valued =
        ["--import", "-r", "--require", "--loader", "-W", "-X", "-cp", "-classpath", "-jar", "--env-file", "-I"];
    match (flag(words, &["-jar"]), first_plain(words, &valued)) {
        (Some(jar), _) => script_file(jar, &[]),
        (None, Some((script, rest))) => script_file(script, rest),
        (None, None) => local(head, Vec::new()),
    }
}

/// A script: a file even if its name has no folder.
fn script_file(path: &str, rest: &[String]) -> Program {
    Program { file: Some(path.to_owned()), ..local(path, rest.to_vec()) }
}

/// A program or script on this machine, known by its path.
fn local(path: &str, arguments: Vec<String>) -> Program {
    let name = path.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
    let qualifiers: &[(&str, &str)] = if path.contains(['/', '\\']) { &[("path", path)] } else { &[] };
    let purl = purl("generic", &name, None, qualifiers);
    let file = path.contains(['/', '\\']).then(|| path.to_owned());
    Program { purl, arguments, file, ..program("generic", &name, None, Pin::Local, &[]) }
}

/// A repository address with an optional `@ref` or `#ref`.
fn git(address: &str, rest: &[String]) -> Option<Program> {
    let address = address.split_once('#').filter(|(_, tail)| tail.contains('=')).map_or(address, |(head, _)| head);
    let (base, reference) = match address.rsplit_once('#').or_else(|| {
        let at = address.rfind('@').filter(|at| *at > address.rfind('/').unwrap_or(usize::MAX))?;
        Some((address.get(..at)?, address.get(at + 1..)?))
    }) {
        Some((base, reference)) => (base, Some(reference)),
        None => (address, None),
    };
    let pin = match reference {
        None => Pin::Unstated,
        Some(text) if text.len() >= 7 && text.chars().all(|c| c.is_ascii_hexdigit()) && text.len() >= 40 => Pin::Commit,
        Some(_) => Pin::Tag,
    };
    let path = base.strip_prefix("github:").or_else(|| base.split_once("://").map(|(_, rest)| rest))?;
    let path = path.rsplit_once('@').map_or(path, |(_, path)| path);
    let path = path.strip_suffix(".git").unwrap_or(path);
    let found = match path.strip_prefix("github.com/").or(base.strip_prefix("github:")) {
        Some(name) => program("github", &name.to_ascii_lowercase(), reference, pin, rest),
        None => {
            let name = path.rsplit('/').next().unwrap_or(path);
            let version = reference.filter(|_| pin.is_pinned());
            let purl = purl("generic", name, version, &[("vcs_url", &format!("git+https://{path}"))]);
            Program { purl, ..program("generic", name, reference, pin, rest) }
        }
    };
    Some(found)
}

fn container(head: &str, words: &[String]) -> Program {
    let valued = [
        "-e",
        "--env",
        "--env-file",
        "-v",
        "--volume",
        "--mount",
        "--name",
        "--network",
        "--net",
        "-p",
        "--publish",
        "-u",
        "--user",
        "-w",
        "--workdir",
        "--entrypoint",
        "--platform",
        "--memory",
        "-m",
        "--cpus",
        "-l",
        "--label",
        "--add-host",
        "--pull",
        "--tmpfs",
        "--cap-add",
        "--cap-drop",
        "--security-opt",
        "--device",
        "--gpus",
        "-h",
        "--hostname",
        "--log-driver",
        "--restart",
        "--ulimit",
        "--dns",
        "--ip",
        "--shm-size",
        "--pid",
        "--ipc",
        "--userns",
        "--runtime",
        "--context",
        "-c",
        "--host",
        "-H",
        "--config",
    ];
    let Some(at) = words.iter().position(|word| word == "run") else { return local(head, words.to_vec()) };
    let words = words.get(at + 1..).unwrap_or_default();
    let Some((image, rest)) = first_plain(words, &valued) else { return local(head, words.to_vec()) };
    let flags = words.get(..words.len().saturating_sub(rest.len() + 1)).unwrap_or_default();
    let mut found = image_program(image, rest);
    found.mounts = mounts(flags);
    found
}

fn image_program(image: &str, rest: &[String]) -> Program {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    // A colon after the last slash separates the tag; before it, a port.
    let tag_at = name.rfind(':').filter(|at| *at > name.rfind('/').unwrap_or(0) || !name.contains('/'));
    let (name, tag) = match tag_at.and_then(|at| Some((name.get(..at)?, name.get(at + 1..)?))) {
        Some((name, tag)) => (name, Some(tag)),
        None => (name, None),
    };
    let pin = match (digest, tag) {
        (Some(_), _) => Pin::Digest,
        (None, None) => Pin::Unstated,
        (None, Some("latest")) => Pin::Latest,
        // A registry lets its publisher move any tag.
        (None, Some(_)) => Pin::Tag,
    };
    let (registry, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
        _ => (None, name),
    };
    let qualifiers: Vec<(&str, &str)> = registry.map(|host| ("repository_url", host)).into_iter().collect();
    let purl = purl("docker", path, digest, &qualifiers);
    Program { purl, ..program("docker", name, digest.or(tag), pin, rest) }
}

/// The machine's side of `-v` and `--mount`.
fn mounts(flags: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    for (at, word) in flags.iter().enumerate() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value)),
            _ => (word.as_str(), flags.get(at + 1).map(String::as_str)),
        };
        let Some(value) = value else { continue };
        let source = match name {
            "-v" | "--volume" => {
                let skip = if value.get(1..3) == Some(":\\") { 2 } else { 0 };
                let end = value.get(skip..).and_then(|tail| tail.find(':')).map_or(value.len(), |at| at + skip);
                value.get(..end)
            }
            "--mount" => value.split(',').find_map(|part| part.strip_prefix("src=").or(part.strip_prefix("source="))),
            _ => None,
        };
        // A name without a slash is a volume of the engine, not a folder of the machine.
        out.extend(source.filter(|source| source.contains(['/', '\\', '~', '$'])).map(str::to_owned));
    }
    out
}

fn deno(head: &str, words: &[String]) -> Program {
    let words = words.get(usize::from(words.first().is_some_and(|word| word == "run"))..).unwrap_or_default();
    let Some((spec, rest)) = first_plain(words, &["-c", "--config", "--import-map", "--lock"]) else {
        return local(head, words.to_vec());
    };
    if let Some(spec) = spec.strip_prefix("npm:") {
        return npm_spec(spec, rest);
    }
    if let Some(spec) = spec.strip_prefix("jsr:") {
        let mut found = npm_spec(spec, rest);
        found.ecosystem = "jsr";
        found.purl = found.purl.replacen("pkg:npm/", "pkg:jsr/", 1);
        return found;
    }
    if spec.contains("://") {
        let name = spec.rsplit('/').next().unwrap_or(spec).to_owned();
        let purl = purl("generic", &name, None, &[("download_url", spec)]);
        return Program { purl, ..program("generic", &name, None, Pin::Unstated, rest) };
    }
    local(spec, rest.to_vec())
}

fn go(words: &[String]) -> Program {
    let Some((spec, rest)) = first_plain(words, &["-mod", "-modfile", "-tags", "-ldflags"]) else {
        return local("go", words.to_vec());
    };
    if spec.starts_with(['.', '/']) || !spec.contains('.') {
        return local(spec, rest.to_vec());
    }
    let (name, version) = spec.split_once('@').map_or((spec, None), |(name, version)| (name, Some(version)));
    let pin = match version {
        None => Pin::Local,
        Some("latest") => Pin::Latest,
        Some(version) if version.starts_with('v') && is_exact(version) => Pin::Exact,
        Some(version) if version.len() >= 12 && version.chars().all(|c| c.is_ascii_hexdigit()) => Pin::Commit,
        Some(_) => Pin::Tag,
    };
    program("golang", &name.to_ascii_lowercase(), version, pin, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let words = split(line);
        let found = identify(&words[0], &words[1..]);
        let mut shown = format!("{} {}", found.purl, found.pin.as_str());
        for (mark, words) in [(" |", &found.arguments), (" mounts", &found.mounts), (" in", &found.folders)] {
            if !words.is_empty() {
                shown.push_str(&format!("{mark} {}", words.join(" ")));
            }
        }
        assert_eq!(shown, expected, "{line}");
    }

    #[test]
    fn npm_packages() {
        check("npx -y @scope/x", "pkg:npm/%40scope/x none");
        check("npx -y @scope/x@1.2.3 /data", "pkg:npm/%40scope/x@1.2.3 exact | /data");
        check("npx x@latest", "pkg:npm/x latest");
        check("npx x@^1.2", "pkg:npm/x range");
        check("npx x@next", "pkg:npm/x tag");
        check("npx --package=@s/x@2.0.0-rc.1 -- x-cli --a", "pkg:npm/%40s/x@2.0.0-rc.1 exact | --a");
        check("npx -p x y", "pkg:npm/x none");
        check("bunx x@1.0.0", "pkg:npm/x@1.0.0 exact");
        check("pnpm dlx x", "pkg:npm/x none");
        check("npm exec -- x@1.0.0", "pkg:npm/x@1.0.0 exact");
        check("npx ./local", "pkg:generic/local?path=.%2Flocal local");
        check("npx github:o/r#v1", "pkg:github/o/r tag");
        check("npx -y git+https://github.com/o/r.git", "pkg:github/o/r none");
        check("C:\\\\nodejs\\\\npx.cmd -y x", "pkg:npm/x none");
    }

    #[test]
    fn python_packages() {
        check("uvx x", "pkg:pypi/x none");
        check("uvx X_y==1", "pkg:pypi/x-y@1 exact");
        check("uvx x@1.2", "pkg:pypi/x@1.2 exact");
        check("uvx x@latest --a", "pkg:pypi/x latest | --a");
        check("uvx --from x[a]==1.0 y z", "pkg:pypi/x@1.0 exact | z");
        check("uvx --from 'x>=1' y", "pkg:pypi/x range");
        check("uv tool run x", "pkg:pypi/x none");
        check("pipx run --spec x==2 y", "pkg:pypi/x@2 exact");
        let commit = "0123456789abcdef0123456789abcdef01234567";
        check(&format!("uvx --from git+https://github.com/o/r@{commit} y"), &format!("pkg:github/o/r@{commit} commit"));
        check(
            "uvx --from git+https://git.example.org/o/r y",
            "pkg:generic/r?vcs_url=git%2Bhttps:%2F%2Fgit.example.org%2Fo%2Fr none",
        );
        check("uv --directory", "pkg:generic/uv local | --directory");
        check("uv run --directory /srv/x main.py", "pkg:generic/main.py?path=%2Fsrv%2Fx local in /srv/x");
        check("uv run --with x y", "pkg:pypi/x none");
        check("python -m mcp_server_git --repository /r", "pkg:pypi/mcp-server-git local | --repository /r");
        check("python3 /srv/s.py -a", "pkg:generic/s.py?path=%2Fsrv%2Fs.py local | -a");
    }

    #[test]
    fn images_and_other_launchers() {
        check(
            "docker run -i --rm -e A -v /:/host:ro ghcr.io/o/r",
            "pkg:docker/o/r?repository_url=ghcr.io none mounts /",
        );
        check("docker run -i o/r:1.2 x", "pkg:docker/o/r tag | x");
        check("docker run o/r:latest", "pkg:docker/o/r latest");
        check(
            "podman run --mount type=bind,src=/home/u,dst=/d localhost:5000/r@sha256:ab",
            "pkg:docker/r@sha256:ab?repository_url=localhost:5000 digest mounts /home/u",
        );
        check("deno run -A npm:x@1.0.0", "pkg:npm/x@1.0.0 exact");
        check("deno run jsr:@s/x", "pkg:jsr/%40s/x none");
        check("deno run https://h.example/x.ts", "pkg:generic/x.ts?download_url=https:%2F%2Fh.example%2Fx.ts none");
        check("go run example.org/X/y@v1.2.3", "pkg:golang/example.org/x/y@v1.2.3 exact");
        check("go run ./cmd", "pkg:generic/cmd?path=.%2Fcmd local");
        check("node --import tsx /srv/a.js /d", "pkg:generic/a.js?path=%2Fsrv%2Fa.js local | /d");
        check("java -jar /srv/a.jar", "pkg:generic/a.jar?path=%2Fsrv%2Fa.jar local");
        check("/usr/bin/thing --x", "pkg:generic/thing?path=%2Fusr%2Fbin%2Fthing local | --x");
        check("thing", "pkg:generic/thing local");
    }

    #[test]
    fn wrappers_are_looked_through() {
        check("cmd /c npx -y x", "pkg:npm/x none");
        check("bash -lc 'cd /x && A=1 exec npx -y x@1.0.0 /d'", "pkg:npm/x@1.0.0 exact | /d");
        check("env A=1 B=2 uvx x", "pkg:pypi/x none");
        check("op run --env-file=e -- npx x", "pkg:npm/x none");
        check("/usr/bin/bailiwick mcp --agent a --server s -- npx x", "pkg:npm/x none");
        assert_eq!(
            identify("uv run python", &["a.py".to_owned()]).purl,
            "pkg:generic/a.py local".split(' ').next().unwrap()
        );
    }

    #[test]
    fn no_words_panic() {
        for line in [
            "npx",
            "npx -p",
            "uvx --from",
            "docker run",
            "docker",
            "go run",
            "bash -c",
            "cmd /c",
            "env",
            "timeout 5",
            "deno run",
            "uv run",
            "npx @",
            "uvx [",
            "npx é@",
            "uvx é[é]é",
        ] {
            let words = split(line);
            let _ = identify(&words[0], &words[1..]);
        }
        let _ = identify("", &[]);
    }
}

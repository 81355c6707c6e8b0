//! What is known of programs by name.

/// Programs that start the program among their arguments.
pub(super) const WRAPPERS: &[&str] = &[
    "sudo", "doas", "env", "nice", "ionice", "nohup", "time", "timeout", "command", "exec", "builtin", "stdbuf",
    "setsid", "xargs", "watch", "strace", "busybox", "chroot", "unshare",
];

/// Programs that read a script of the same language.
pub(super) const SHELLS: &[&str] =
    &["sh", "bash", "dash", "zsh", "ksh", "ash", "mksh", "rbash", "rksh", "rzsh", "yash"];

/// Programs whose first plain word is itself code.
pub(super) const CODE: &[&str] = &["awk", "gawk", "mawk", "nawk"];

/// Programs that only read the files among their arguments.
pub(super) const READERS: &[&str] = &[
    "cat",
    "less",
    "more",
    "head",
    "tail",
    "grep",
    "egrep",
    "fgrep",
    "rg",
    "ls",
    "stat",
    "file",
    "wc",
    "sort",
    "uniq",
    "cut",
    "diff",
    "cmp",
    "md5sum",
    "sha1sum",
    "sha256sum",
    "xxd",
    "od",
    "hexdump",
    "strings",
    "tree",
    "du",
    "df",
    "readlink",
    "realpath",
    "basename",
    "dirname",
    "jq",
    "yq",
    "test",
    "[",
    "column",
    "nl",
    "tac",
    "fd",
    "locate",
    "which",
    "type",
    "base64",
    "base32",
    "zcat",
    "bat",
];

/// Programs after which a file or what it held is gone.
pub(super) const ERASERS: &[&str] = &["rm", "rmdir", "shred", "unlink", "truncate", "mv", "sh", "bash"];

/// Programs that change or delete every file among their arguments.
pub(super) const WRITERS: &[&str] = &[
    "rm", "rmdir", "touch", "mkdir", "chmod", "chown", "chgrp", "truncate", "shred", "tee", "unlink", "mkfifo",
    "patch", "setfacl", "split",
];

/// Programs that touch no file and no host by themselves.
pub(super) const QUIET: &[&str] = &[
    "echo", "printf", "true", "false", ":", "pwd", "date", "whoami", "id", "uname", "sleep", "exit", "return", "break",
    "continue", "seq", "hostname", "uptime", "ps", "wait", "umask", "set", "shopt", "tr", "rev", "expr", "nproc",
    "arch", "tty", "clear", "alias",
];

/// Programs whose plain words are hosts or URLs, with the options of one letter whose value is neither.
pub(super) const CALLERS: &[(&str, &str)] = &[
    ("curl", "AbcCDdEeFHhKmoQrTtuwXYyz"),
    ("wget", "aADeiIloOPQRtTUwX"),
    ("ssh", "BbcDEeFIilmOopQSWw"),
    ("scp", "cFiloPSX"),
    ("sftp", "BbcDFiloPRSsX"),
    ("rsync", "eBfMT"),
    ("nc", "iIMmOPpqsTtVwXx"),
    ("ncat", "deghimopqswx"),
    ("netcat", "iIMmOPpqsTtVwXx"),
    ("telnet", "belnSX"),
    ("ftp", "NoPPqrsTu"),
    ("ping", "cIiLlMmpQSsTtWw"),
    ("dig", "bcfkpqty"),
    ("nslookup", ""),
    ("host", "cNRtWm"),
    ("http", "absopA"),
    ("https", "absopA"),
    ("xh", "absopA"),
    ("socat", "lbtTL"),
    ("openssl", ""),
];

/// The beginnings of what `socat` connects without running anything.
pub(super) const SOCKETS: &[&str] =
    &["CREATE", "FILE", "GOPEN", "OPEN", "SCTP", "SOCKS", "SSL", "STDI", "STDO", "TCP", "UDP", "UNIX", "DTLS", "PROXY"];

/// Environment variables that say how much is shown, or in which form or place, and lead to no other code.
pub(super) const SETTINGS: &[&str] = &[
    "CARGO_INCREMENTAL",
    "CARGO_TERM_COLOR",
    "CI",
    "CLICOLOR",
    "COLUMNS",
    "DEBIAN_FRONTEND",
    "DEBUG",
    "FORCE_COLOR",
    "GIT_TERMINAL_PROMPT",
    "LANG",
    "LINES",
    "NEXT_TELEMETRY_DISABLED",
    "NODE_ENV",
    "NO_COLOR",
    "PORT",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONIOENCODING",
    "PYTHONUNBUFFERED",
    "PYTHONUTF8",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "TERM",
    "TZ",
];

/// Programs that run what is among their words, with the words behind which they do not.
pub(super) const ASKED: &[(&str, &[&str])] = &[
    ("at", &[]),
    ("batch", &[]),
    ("crontab", &["-l"]),
    ("ed", &[]),
    ("emacs", &["--version"]),
    ("emacsclient", &["--version"]),
    ("ex", &[]),
    ("expect", &[]),
    ("gdb", &["--version"]),
    ("lldb", &["--version"]),
    ("nvim", &["--version"]),
    ("parallel", &["--version"]),
    ("screen", &["-ls", "-list", "--version"]),
    (
        "tmux",
        &["ls", "list-sessions", "list-windows", "list-panes", "capture-pane", "has-session", "kill-session", "-V"],
    ),
    ("vi", &["--version"]),
    ("view", &[]),
    ("vim", &["--version"]),
    ("vimdiff", &[]),
];

/// Words that stand, in this order, among those of a program: what it then reads, or nothing if it runs other words of
/// its own, now or later.
pub(super) const PHRASES: &[(&str, &[&str], Option<&str>)] = &[
    ("aws", &["configure", "export-credentials"], Some("~/.aws/credentials")),
    ("aws", &["configure", "get", "aws_secret_access_key"], Some("~/.aws/credentials")),
    ("aws", &["configure", "get", "aws_session_token"], Some("~/.aws/credentials")),
    ("aws", &["ecr", "get-login-password"], Some("~/.aws/credentials")),
    ("aws", &["sts", "get-session-token"], Some("~/.aws/credentials")),
    ("az", &["account", "get-access-token"], Some("~/.azure/token")),
    ("gcloud", &["auth", "print-access-token"], Some("~/.config/gcloud/credentials.db")),
    ("gcloud", &["auth", "print-identity-token"], Some("~/.config/gcloud/credentials.db")),
    ("gh", &["auth", "token"], Some("~/.config/gh/hosts.yml")),
    ("gh", &["auth", "status", "--show-token"], Some("~/.config/gh/hosts.yml")),
    ("gh", &["auth", "status", "-t"], Some("~/.config/gh/hosts.yml")),
    ("git", &["bisect", "run"], None),
    ("git", &["credential", "fill"], Some("~/.git-credentials")),
    ("git", &["filter-branch"], None),
    ("git", &["submodule", "foreach"], None),
    ("gpg", &["--export-secret-keys"], Some("~/.gnupg/private-keys-v1.d")),
    ("gpg", &["--export-secret-subkeys"], Some("~/.gnupg/private-keys-v1.d")),
    ("kubectl", &["config", "view", "--raw"], Some("~/.kube/config")),
    ("pass", &["show"], Some("~/.password-store/x")),
    ("secret-tool", &["lookup"], Some("~/.local/share/keyrings/login.keyring")),
    ("security", &["find-generic-password"], Some("~/Library/Keychains/login.keychain-db")),
    ("security", &["find-internet-password"], Some("~/Library/Keychains/login.keychain-db")),
    ("systemctl", &["edit"], None),
    ("systemctl", &["enable"], None),
    ("systemctl", &["link"], None),
    ("systemctl", &["reenable"], None),
];

/// Programs that start the interpreter behind these words.
pub(super) const RUNNERS: &[(&str, &[&str])] = &[
    ("bundle", &["exec"]),
    ("bunx", &[]),
    ("conda", &["run"]),
    ("dbus-run-session", &[]),
    ("direnv", &["exec"]),
    ("flock", &[]),
    ("hatch", &["run"]),
    ("mise", &["exec"]),
    ("npm", &["exec"]),
    ("npx", &[]),
    ("pdm", &["run"]),
    ("pipenv", &["run"]),
    ("pixi", &["run"]),
    ("pnpm", &["dlx"]),
    ("pnpm", &["exec"]),
    ("poetry", &["run"]),
    ("rye", &["run"]),
    ("uv", &["run"]),
    ("uvx", &[]),
    ("xvfb-run", &[]),
    ("yarn", &["exec"]),
];

/// Programs that run, or make part of the project, what lies at an address among their words.
pub(super) const FETCHERS: &[&str] = &["bunx", "deno", "npx", "pip", "pip3", "pipx", "pnpx", "uvx"];

/// What can be said of `git` without a program that it then runs, or another place that it then goes to.
pub(super) const GIT_SETTINGS: &[&str] = &[
    "advice.",
    "branch.",
    "color.",
    "column.",
    "commit.gpgsign",
    "core.abbrev",
    "core.autocrlf",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.longpaths",
    "core.quotepath",
    "core.safecrlf",
    "core.symlinks",
    "core.whitespace",
    "diff.algorithm",
    "diff.colormoved",
    "diff.renamelimit",
    "diff.renames",
    "fetch.",
    "http.postbuffer",
    "init.defaultbranch",
    "log.",
    "merge.conflictstyle",
    "merge.ff",
    "pull.",
    "push.",
    "rebase.",
    "remote.origin.fetch",
    "remote.origin.url",
    "remote.pushdefault",
    "rerere.",
    "safe.directory",
    "status.",
    "tag.",
    "user.",
];

/// What of git stays in the repository.
pub(super) const GIT_HERE: &[&str] = &[
    "add",
    "am",
    "apply",
    "bisect",
    "blame",
    "branch",
    "cat-file",
    "check-ignore",
    "checkout",
    "cherry-pick",
    "clean",
    "commit",
    "config",
    "describe",
    "diff",
    "diff-tree",
    "for-each-ref",
    "format-patch",
    "gc",
    "grep",
    "hash-object",
    "help",
    "init",
    "log",
    "ls-files",
    "ls-tree",
    "merge",
    "merge-base",
    "mv",
    "name-rev",
    "notes",
    "rebase",
    "reflog",
    "reset",
    "restore",
    "rev-list",
    "rev-parse",
    "revert",
    "rm",
    "shortlog",
    "show",
    "show-ref",
    "stash",
    "status",
    "switch",
    "symbolic-ref",
    "tag",
    "version",
    "worktree",
    "write-tree",
];

/// What a shell does by itself and changes what the names mean from there on, or evaluates its words.
pub(super) const EVALUATES: &[&str] = &[
    "autoload",
    "bind",
    "compgen",
    "complete",
    "coproc",
    "disable",
    "emulate",
    "enable",
    "fc",
    "functions",
    "getopts",
    "let",
    "popd",
    "sched",
    "setopt",
    "trap",
    "unsetopt",
    "vared",
    "zle",
    "zmodload",
    "zparseopts",
    "zstyle",
];

/// Folders of programs that are what their names say.
pub(super) const BIN: &[&str] = &["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/// Long options without a value of programs that look for something.
pub(super) const LONG: &[&str] = &[
    "--count",
    "--files-with-matches",
    "--fixed-strings",
    "--hidden",
    "--ignore-case",
    "--line-number",
    "--multiline",
    "--no-heading",
    "--no-ignore",
    "--only-matching",
    "--recursive",
    "--raw-output",
    "--compact-output",
    "--slurp",
    "--invert-match",
    "--word-regexp",
    "--extended-regexp",
    "--smart-case",
    "--pcre2",
    "--text",
];

//! Well-known dangers, recognised in the paths, hosts and commands of a call: `context.marks`.
//!
//! Cedar cannot look inside a set of paths, so the looking is done here and policies speak of its result:
//! `context.marks.contains("private_key")`. Each mark says what was recognised, never what to do about it;
//! that is the pack's business. Only values that name something are looked at (paths, hosts, commands),
//! not text that is written or sent: a document *about* `~/.ssh` is no danger.
//!
//! Limits: recognition is by name. A link or a copy under another name is not seen here; what makes one of Bailiwick's own
//! program is.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use crate::facts::{Facts, Shell};
use crate::glob::{self, Open};
use crate::host::{self, Host};
use crate::label::Role;
use crate::leaves::Leaf;
use crate::tool::{EffectKind, ToolFacts};
use crate::uri;

/// The longest text that can be a host, or a name among other arguments.
const NAME_MAX_BYTES: usize = 4_096;

/// A private key or a key store.
pub const PRIVATE_KEY: &str = "private_key";
/// A file of passwords, tokens or cloud credentials.
pub const CREDENTIALS: &str = "credentials";
/// A `.env` file.
pub const DOTENV: &str = "dotenv";
/// An address at which a cloud hands out credentials of the machine.
pub const METADATA: &str = "metadata_endpoint";
/// Bailiwick itself: its home, or a command that would answer its asks.
pub const BAILIWICK: &str = "bailiwick";
/// A write to the configuration or hooks of an agent.
pub const AGENT_CONFIG: &str = "agent_config";
/// A write to what runs by itself later: shell profiles, git hooks, cron, autostart, `authorized_keys`.
pub const STARTUP: &str = "startup";
/// A write to the operating system's own files.
pub const SYSTEM: &str = "system";
/// A path outside the folder that the session works in.
pub const OUTSIDE: &str = "outside_project";
/// A command that deletes whole folders or devices, or single files outside the project.
pub const DESTRUCTIVE: &str = "destructive";
/// A command that destroys what another system holds: a cloud, a cluster, a repository, a database, a container engine.
pub const DESTROYS_REMOTE: &str = "destroys_remote";
/// A command that publishes in the user's name.
pub const PUBLISHES: &str = "publishes";

/// Every mark and what it means, for documentation and completion.
pub const MARKS: &[(&str, &str)] = &[
    (PRIVATE_KEY, "a private key or a key store"),
    (CREDENTIALS, "a file of passwords, tokens or cloud credentials"),
    (DOTENV, "a .env file"),
    (METADATA, "an address at which a cloud hands out credentials of the machine"),
    (BAILIWICK, "Bailiwick itself: its home, or a command that would answer its asks"),
    (AGENT_CONFIG, "a write to the configuration or hooks of an agent"),
    (STARTUP, "a write to what runs by itself later"),
    (SYSTEM, "a write to the operating system's own files"),
    (OUTSIDE, "a path outside the folder that the session works in"),
    (DESTRUCTIVE, "a command that deletes whole folders or devices, or files outside the project"),
    (DESTROYS_REMOTE, "a command that destroys what a cloud, cluster, repository, database or container engine holds"),
    (PUBLISHES, "a command that publishes in the user's name"),
];

/// Places and their marks. `a/b/` is that folder and all below it, `*.x` a file name's end, `x*` its
/// start, anything else the last steps of a path.
const SECRET_PLACES: &[(&str, &str)] = &[
    (PRIVATE_KEY, ".ssh/"),
    (PRIVATE_KEY, ".gnupg/"),
    (PRIVATE_KEY, "id_rsa"),
    (PRIVATE_KEY, "id_dsa"),
    (PRIVATE_KEY, "id_ecdsa"),
    (PRIVATE_KEY, "id_ed25519"),
    (PRIVATE_KEY, "id_ed25519_sk"),
    (PRIVATE_KEY, "*.key"),
    (PRIVATE_KEY, "*.pem"),
    (PRIVATE_KEY, "*.p12"),
    (PRIVATE_KEY, "*.pfx"),
    (PRIVATE_KEY, "*.ppk"),
    (PRIVATE_KEY, "*.kdbx"),
    (PRIVATE_KEY, "*.jks"),
    (PRIVATE_KEY, "*.keystore"),
    (DOTENV, ".env"),
    (DOTENV, ".env.*"),
    (DOTENV, ".envrc"),
    (CREDENTIALS, ".aws/"),
    (CREDENTIALS, ".azure/"),
    (CREDENTIALS, ".config/gcloud/"),
    (CREDENTIALS, "application_default_credentials.json"),
    (CREDENTIALS, ".kube/config"),
    (CREDENTIALS, ".docker/config.json"),
    (CREDENTIALS, ".config/containers/auth.json"),
    (CREDENTIALS, ".netrc"),
    (CREDENTIALS, "_netrc"),
    (CREDENTIALS, ".npmrc"),
    (CREDENTIALS, ".pypirc"),
    (CREDENTIALS, ".git-credentials"),
    (CREDENTIALS, ".pgpass"),
    (CREDENTIALS, ".my.cnf"),
    (CREDENTIALS, ".vault-token"),
    (CREDENTIALS, ".config/gh/hosts.yml"),
    (CREDENTIALS, ".cargo/credentials"),
    (CREDENTIALS, ".cargo/credentials.toml"),
    (CREDENTIALS, ".terraform.d/credentials.tfrc.json"),
    (CREDENTIALS, ".password-store/"),
    (CREDENTIALS, "keyrings/"),
    (CREDENTIALS, "library/keychains/"),
    (CREDENTIALS, "login data"),
    (CREDENTIALS, "logins.json"),
    (CREDENTIALS, ".claude/.credentials.json"),
    (CREDENTIALS, ".codex/auth.json"),
    (CREDENTIALS, "etc/shadow"),
    (CREDENTIALS, "etc/gshadow"),
    (CREDENTIALS, "etc/sudoers"),
    (CREDENTIALS, "run/secrets/"),
    (BAILIWICK, ".local/share/bailiwick/"),
    // The program: a link or a copy of it has another name, by which nobody sees what it does.
    (BAILIWICK, "bin/bailiwick"),
];

/// Places that matter when they are written. A client's folder itself stands beside what is in it: who moves it away, or
/// another to its place, changes all of that. A test of the command line holds that every file of the table of clients is
/// here.
const WRITTEN_PLACES: &[(&str, &str)] = &[
    (AGENT_CONFIG, ".mcp.json"),
    (AGENT_CONFIG, "mcp_config.json"),
    (AGENT_CONFIG, "mcp_settings.json"),
    (AGENT_CONFIG, "cline_mcp_settings.json"),
    (AGENT_CONFIG, "mandate.toml"),
    (AGENT_CONFIG, ".claude"),
    (AGENT_CONFIG, ".claude.json"),
    (AGENT_CONFIG, ".claude/settings.json"),
    (AGENT_CONFIG, ".claude/settings.local.json"),
    (AGENT_CONFIG, ".claude/hooks/"),
    (AGENT_CONFIG, ".claude/plugins/"),
    (AGENT_CONFIG, "etc/claude-code/"),
    (AGENT_CONFIG, "managed-mcp.json"),
    (AGENT_CONFIG, "managed-settings.json"),
    (AGENT_CONFIG, "claude_desktop_config.json"),
    (AGENT_CONFIG, ".cursor"),
    (AGENT_CONFIG, ".cursor/mcp.json"),
    (AGENT_CONFIG, ".cursor/hooks.json"),
    (AGENT_CONFIG, ".cursor/hooks/"),
    (AGENT_CONFIG, ".cursor/plugins/"),
    (AGENT_CONFIG, ".vscode"),
    (AGENT_CONFIG, ".vscode/mcp.json"),
    (AGENT_CONFIG, ".vscode/settings.json"),
    (AGENT_CONFIG, "*.code-workspace"),
    (AGENT_CONFIG, ".devcontainer/devcontainer.json"),
    (AGENT_CONFIG, "code/user"),
    (AGENT_CONFIG, "code/user/mcp.json"),
    (AGENT_CONFIG, "code/user/settings.json"),
    (AGENT_CONFIG, "code/user/profiles/"),
    (AGENT_CONFIG, "code - insiders/user"),
    (AGENT_CONFIG, "code - insiders/user/mcp.json"),
    (AGENT_CONFIG, "code - insiders/user/settings.json"),
    (AGENT_CONFIG, "vscodium/user"),
    (AGENT_CONFIG, "vscodium/user/mcp.json"),
    (AGENT_CONFIG, "vscodium/user/settings.json"),
    (AGENT_CONFIG, ".codeium"),
    (AGENT_CONFIG, ".codeium/windsurf"),
    (AGENT_CONFIG, ".codex"),
    (AGENT_CONFIG, ".codex/config.toml"),
    (AGENT_CONFIG, ".codex/hooks.json"),
    (AGENT_CONFIG, ".codex/plugins/"),
    (AGENT_CONFIG, "etc/codex/"),
    (AGENT_CONFIG, ".gemini"),
    (AGENT_CONFIG, ".gemini/settings.json"),
    (AGENT_CONFIG, ".gemini/extensions/"),
    (AGENT_CONFIG, "gemini-cli/settings.json"),
    (AGENT_CONFIG, "geminicli/settings.json"),
    (AGENT_CONFIG, "etc/gemini-cli/"),
    (AGENT_CONFIG, ".zed"),
    (AGENT_CONFIG, ".zed/settings.json"),
    (AGENT_CONFIG, ".config/zed"),
    (AGENT_CONFIG, "zed/settings.json"),
    (AGENT_CONFIG, ".cline"),
    (AGENT_CONFIG, ".roo"),
    (AGENT_CONFIG, ".roo/mcp.json"),
    (AGENT_CONFIG, ".continue/"),
    (AGENT_CONFIG, ".config/goose/"),
    (AGENT_CONFIG, "block/goose/config/"),
    (AGENT_CONFIG, ".config/opencode/"),
    (AGENT_CONFIG, ".opencode"),
    (AGENT_CONFIG, ".opencode/plugin/"),
    (AGENT_CONFIG, ".opencode/plugins/"),
    (AGENT_CONFIG, "opencode.json"),
    (AGENT_CONFIG, "opencode.jsonc"),
    (AGENT_CONFIG, ".aws/amazonq/"),
    (AGENT_CONFIG, ".amazonq"),
    (AGENT_CONFIG, ".amazonq/mcp.json"),
    (AGENT_CONFIG, ".amazonq/default.json"),
    (AGENT_CONFIG, ".amazonq/cli-agents/"),
    (AGENT_CONFIG, ".kiro"),
    (AGENT_CONFIG, ".kiro/settings/"),
    (AGENT_CONFIG, ".kiro/agents/"),
    (AGENT_CONFIG, ".kiro/hooks/"),
    (AGENT_CONFIG, ".kiro/powers/"),
    (AGENT_CONFIG, ".lmstudio"),
    (AGENT_CONFIG, ".lmstudio/mcp.json"),
    (AGENT_CONFIG, "lm-studio/mcp.json"),
    (AGENT_CONFIG, ".copilot"),
    (AGENT_CONFIG, ".copilot/mcp-config.json"),
    (AGENT_CONFIG, ".copilot/settings.json"),
    (AGENT_CONFIG, ".copilot/config.json"),
    (AGENT_CONFIG, ".copilot/hooks/"),
    (AGENT_CONFIG, ".config/mcp-config.json"),
    (AGENT_CONFIG, "etc/github-copilot/"),
    (AGENT_CONFIG, ".github/mcp.json"),
    (AGENT_CONFIG, ".github/hooks/"),
    (AGENT_CONFIG, ".github/copilot/settings.json"),
    (STARTUP, ".bash_aliases"),
    (STARTUP, ".bash_logout"),
    (STARTUP, ".bashrc"),
    (STARTUP, ".bash_profile"),
    (STARTUP, ".bash_login"),
    (STARTUP, ".profile"),
    (STARTUP, ".zshrc"),
    (STARTUP, ".zshenv"),
    (STARTUP, ".zprofile"),
    (STARTUP, ".zlogin"),
    (STARTUP, ".zlogout"),
    (STARTUP, ".xprofile"),
    (STARTUP, "config.fish"),
    (STARTUP, ".config/fish/"),
    (STARTUP, "authorized_keys"),
    (STARTUP, ".git/hooks/"),
    (STARTUP, ".git/config"),
    // What submodules and worktrees have in the place of these.
    (STARTUP, ".git/config.worktree"),
    (STARTUP, ".git/modules/"),
    (STARTUP, ".git/worktrees/"),
    (STARTUP, ".husky/"),
    (STARTUP, ".gitconfig"),
    (STARTUP, ".config/git/"),
    (STARTUP, ".config/autostart/"),
    (STARTUP, ".config/environment.d/"),
    (STARTUP, ".config/systemd/"),
    (STARTUP, ".local/share/systemd/"),
    (STARTUP, ".local/bin/"),
    (STARTUP, "library/launchagents/"),
    (STARTUP, "etc/cron*"),
    (STARTUP, "var/spool/cron/"),
];

/// What the program does that only tells. What else it does changes what judges agents, answers for their user, or lends
/// rights.
const TELLS: &[&str] = &[
    "scan",
    "replay",
    "whatif",
    "trace",
    "can",
    "who-can",
    "what-can",
    "paths",
    "diff",
    "check",
    "completions",
    "help",
    "--help",
    "-h",
    "--version",
    "-V",
];

/// What its groups of commands do that only tells.
const GROUPS_TELL: &[(&str, &[&str])] = &[
    ("upstream", &["list"]),
    ("peer", &["list", "key"]),
    ("tools", &["waiting", "annotate", "check"]),
    ("memory", &["list"]),
    ("policy", &["check", "explain", "show"]),
    ("witness", &["list", "--print-key"]),
    ("ledger", &["show", "tail", "prove", "verify", "stats", "key", "list"]),
    ("mandate", &["list", "check"]),
];

/// What else the program does, by itself and in its groups.
const CHANGES: &[&str] = &[
    "up",
    "protect",
    "unprotect",
    "login",
    "logout",
    "mcp",
    "minder",
    "hook",
    "approve",
    "stop",
    "resume",
    "lease",
    "import",
    "adopt",
    "withdraw",
];
const GROUPS_CHANGE: &[&str] =
    &["add", "remove", "know", "forget", "init", "erase", "prune", "rotate-key", "export", "archive", "push", "pull"];

/// What may be written below `/dev`: where a program's own text goes, memory, what forgets, and what a shell takes for hosts.
const NO_DEVICES: &[&str] =
    &["null", "zero", "full", "random", "urandom", "stdin", "stdout", "stderr", "tty", "fd", "shm", "tcp", "udp"];

/// Folders at the root whose content belongs to the operating system.
const SYSTEM_ROOTS: &[&str] = &[
    "etc",
    "usr",
    "bin",
    "sbin",
    "lib",
    "lib64",
    "boot",
    "sys",
    "proc",
    "system",
    "library",
    "windows",
    "program files",
];

/// Hosts that hand out a machine's credentials, beside the link-local addresses.
const METADATA_HOSTS: &[&str] =
    &["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

/// What the door says that a command does beyond the files of the project, and the mark of it.
const BEYOND: &[(&str, &str)] = &[("erases", DESTRUCTIVE), ("destroys", DESTROYS_REMOTE), ("publishes", PUBLISHES)];

/// How a place is touched. What is not known to be a read counts as a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Touch {
    Read,
    Write,
}

/// The marks of a call.
pub(crate) fn marks(facts: &Facts, leaves: &[Leaf<'_>], tool: Option<&ToolFacts>) -> BTreeSet<&'static str> {
    let patterns = facts.shell.as_ref().map(|shell| &shell.patterns);
    let mut marks = Marks { project: facts.project.as_deref(), patterns, found: BTreeSet::new() };
    let touch = if reads_only(tool) { Touch::Read } else { Touch::Write };
    if facts.self_touch == Some(true) {
        marks.found.insert(BAILIWICK);
    }
    let presumed = facts.shell.as_ref().is_some_and(|shell| shell.presumed);
    let said = if presumed { said(leaves) } else { BTreeSet::new() };
    // Of what a command touches the door says how; of what the arguments name by themselves only if it knows the command for one.
    let is_read = |path: &String| {
        facts.shell.as_ref().is_some_and(|s| s.parsed && s.reads.contains(path) && !s.writes.contains(path))
            && !said.contains(path)
    };
    for path in facts.paths.iter().flatten() {
        marks.path(path, if is_read(path) { Touch::Read } else { touch });
    }
    facts.hosts.iter().flatten().for_each(|host| marks.found_at(&Host::of(host)));
    if let Some(shell) = &facts.shell {
        marks.shell(shell);
    }
    let parsed = facts.shell.as_ref().is_some_and(|shell| shell.parsed && !presumed);
    for leaf in leaves {
        if let Value::String(text) = &*leaf.value {
            marks.argument(text, leaf.role, touch, parsed);
        }
    }
    marks.found
}

/// The texts of the arguments, and the paths that they are.
fn said(leaves: &[Leaf<'_>]) -> BTreeSet<String> {
    let texts = leaves.iter().filter_map(|leaf| leaf.value.as_str()).map(str::trim);
    texts.flat_map(|text| [Some(text.to_owned()), uri::file_path(text)]).flatten().collect()
}

/// Every command of the program that a rule about its words knows. A test of the command line holds that none is missing.
pub fn commands() -> BTreeSet<&'static str> {
    let of_groups = GROUPS_TELL.iter().flat_map(|(group, tells)| std::iter::once(group).chain(*tells));
    [TELLS, CHANGES, GROUPS_CHANGE].into_iter().flatten().chain(of_groups).copied().collect()
}

/// The marks of a write to one path.
pub fn of_written(path: &str) -> BTreeSet<&'static str> {
    let mut marks = Marks { project: None, patterns: None, found: BTreeSet::new() };
    marks.path(path, Touch::Write);
    marks.found
}

fn reads_only(tool: Option<&ToolFacts>) -> bool {
    tool.is_some_and(|tool| !tool.effects.is_empty() && tool.effects.iter().all(|effect| *effect == EffectKind::Read))
}

struct Marks<'a> {
    project: Option<&'a str>,
    /// What a shell expands, among the paths and arguments.
    patterns: Option<&'a BTreeSet<String>>,
    found: BTreeSet<&'static str>,
}

impl Marks<'_> {
    fn argument(&mut self, text: &str, role: Role, touch: Touch, parsed: bool) {
        match role {
            Role::Content => {}
            // The door took the command apart; its parts are looked at instead.
            Role::Command if parsed => {}
            Role::Command => self.words(text),
            _ => {
                let text = text.trim();
                if one_name(text, role) {
                    for text in glob::alternatives(text) {
                        // Patterns say which files are meant; what is looked for in them is written otherwise.
                        let is_pattern = role != Role::Query && glob::is_pattern(&text);
                        self.places(&text, touch, is_pattern);
                    }
                    self.leads(text, role == Role::Path);
                } else {
                    let hosts = [host::of_url(text), host::of_url_otherwise(text)];
                    hosts.iter().flatten().for_each(|host| self.found_at(host));
                }
            }
        }
    }

    /// An address, or a bare host; what a file is called after an address is not.
    fn leads(&mut self, text: &str, is_path: bool) {
        let bare = || Some(text).filter(|text| text.len() <= NAME_MAX_BYTES).and_then(host::bare);
        match host::of_url(text) {
            Some(host) => self.found_at(&host),
            None if is_path => bare().iter().for_each(|host| self.found_itself(host)),
            None => bare().iter().for_each(|host| self.found_at(host)),
        }
        host::of_url_otherwise(text).iter().for_each(|host| self.found_at(host));
    }

    /// A command that nobody took apart: every word may be a path that is written, or a host.
    fn words(&mut self, command: &str) {
        for word in
            command.split(|c: char| c.is_whitespace() || "'\"`;|&<>(){}=,".contains(c)).filter(|word| !word.is_empty())
        {
            self.path(word, Touch::Write);
            self.leads(word, false);
            if word == "bailiwick" || word.ends_with("/bailiwick") {
                self.found.insert(BAILIWICK);
            }
        }
    }

    fn shell(&mut self, shell: &Shell) {
        shell.reads.iter().for_each(|path| self.path(path, Touch::Read));
        shell.writes.iter().for_each(|path| self.path(path, Touch::Write));
        shell.hosts.iter().for_each(|host| self.found_at(&Host::of(host)));
        for argument in shell.arguments.difference(&shell.texts) {
            // Programs name files in arguments that no table of ours knows to be files.
            let value = argument.split_once('=').map_or(argument.as_str(), |(_, value)| value);
            self.path(value.trim_start_matches('@'), Touch::Read);
            if self.patterns.is_some_and(|patterns| patterns.contains(argument)) {
                self.path(argument, Touch::Read);
            }
            // A name of one word may be a folder's, unless a program that nobody knows has it.
            let is_host =
                |host: &Host| shell.reaches.is_some() || value.contains(['.', ':']) || host.address().is_some();
            match (host::of_url(value), host::bare(value)) {
                (Some(host), _) if is_host(&host) => self.found_at(&host),
                (None, Some(host)) if shell.reaches.is_some() => self.found_at(&host),
                (None, Some(host)) if is_host(&host) => self.found_itself(&host),
                _ => {}
            }
        }
        let ends = ["kill", "pkill", "killall"].iter().any(|name| shell.programs.contains(*name));
        if ends && shell.arguments.iter().any(|argument| argument.to_lowercase().contains("bailiwick")) {
            self.found.insert(BAILIWICK);
        }
        if shell.programs.contains("bailiwick") && !only_tells(shell) {
            self.found.insert(BAILIWICK);
        }
        if destructive(shell) {
            self.found.insert(DESTRUCTIVE);
        }
        self.found.extend(BEYOND.iter().filter(|(what, _)| shell.beyond.contains(*what)).map(|(_, mark)| *mark));
    }

    fn path(&mut self, path: &str, touch: Touch) {
        let is_pattern = self.patterns.is_some_and(|patterns| patterns.contains(path));
        self.places(path, touch, is_pattern);
    }

    fn places(&mut self, text: &str, touch: Touch, is_pattern: bool) {
        for path in uri::paths(text) {
            self.place(&path, touch, is_pattern);
        }
    }

    fn place(&mut self, path: &str, touch: Touch, is_pattern: bool) {
        let is_pattern = is_pattern && path.len() <= NAME_MAX_BYTES;
        let Some(path) = Place::of(path) else { return };
        let is_outside = self.project.is_none_or(|project| path.outside(project)) && path.is_anchored();
        let is = |place: &str| path.is(place) || (is_pattern && path.may_be(place, is_outside));
        if !path.only_looks_secret() {
            self.found.extend(SECRET_PLACES.iter().filter(|(_, place)| is(place)).map(|(mark, _)| *mark));
        }
        if path.is_environment() || (is_pattern && path.may_be("proc/*/environ", is_outside)) {
            self.found.insert(CREDENTIALS);
        }
        if is_outside {
            self.found.insert(OUTSIDE);
        }
        if touch == Touch::Write {
            // Who changes whatever is in a folder changes the folder.
            let folder = path.whole_folder().filter(|_| is_pattern);
            let is = |place: &str| is(place) || folder.as_ref().is_some_and(|folder| folder.is(place));
            self.found.extend(WRITTEN_PLACES.iter().filter(|(_, place)| is(place)).map(|(mark, _)| *mark));
            if path.is_system() {
                self.found.insert(SYSTEM);
            }
            if path.is_device() {
                self.found.insert(DESTRUCTIVE);
            }
        }
    }

    /// A host that is contacted, and the addresses in its name: who asked for the name may be answered with them.
    fn found_at(&mut self, host: &Host) {
        self.found_itself(host);
        let held = host.embedded();
        if held.spelled.into_iter().any(hands_out_credentials) || held.hex.into_iter().any(is_well_known) {
            self.found.insert(METADATA);
        }
    }

    fn found_itself(&mut self, host: &Host) {
        if METADATA_HOSTS.contains(&host.name.as_str()) || host.address().is_some_and(hands_out_credentials) {
            self.found.insert(METADATA);
        }
    }
}

/// A path in one spelling: lower case, `/` between steps, `.` and `..` resolved, the home as `~`.
struct Place {
    steps: Vec<String>,
    anchor: Anchor,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Anchor {
    Root,
    Home,
    Relative,
}

impl Place {
    fn of(path: &str) -> Option<Self> {
        let path = path.trim();
        if path.is_empty() {
            return None;
        }
        let path = path
            .to_lowercase()
            .replace('\\', "/")
            .replace("${home}", "~")
            .replace("$home", "~")
            .replace("%userprofile%", "~");
        let path = path
            .strip_prefix(|c: char| c.is_ascii_alphabetic())
            .and_then(|rest| rest.strip_prefix(':'))
            .unwrap_or(&path);
        let anchor = match path.as_bytes().first() {
            Some(b'/') => Anchor::Root,
            Some(b'~') => Anchor::Home,
            _ => Anchor::Relative,
        };
        let mut steps: Vec<String> = Vec::new();
        for step in path.split('/').filter(|step| !step.is_empty() && *step != ".") {
            match step {
                // Nobody knows what the home lies in.
                ".." if anchor == Anchor::Home && steps.len() == 1 => steps.push(step.to_owned()),
                ".." if steps.last().is_some_and(|last| last != "..") => drop(steps.pop()),
                ".." if anchor == Anchor::Root => {}
                step => steps.push(step.to_owned()),
            }
        }
        Some(Self { steps, anchor })
    }

    fn is(&self, pattern: &str) -> bool {
        let Some(name) = self.steps.last() else { return false };
        if let Some(folder) = pattern.strip_suffix('/') {
            return self.contains(folder);
        }
        if let Some(end) = pattern.strip_prefix('*') {
            return name.len() > end.len() && name.ends_with(end);
        }
        if let Some(start) = pattern.strip_suffix('*') {
            return match start.rsplit_once('/') {
                Some((folder, start)) => self.steps.windows(2).any(|pair| {
                    pair.first().is_some_and(|f| f == folder) && pair.get(1).is_some_and(|s| s.starts_with(start))
                }),
                None => name.starts_with(start),
            };
        }
        let wanted = pattern.rsplit('/');
        let steps = self.steps.iter().rev();
        wanted.clone().count() <= self.steps.len() && wanted.zip(steps).all(|(wanted, step)| wanted == step)
    }

    fn contains(&self, folder: &str) -> bool {
        let wanted: Vec<&str> = folder.split('/').collect();
        self.steps.windows(wanted.len()).any(|steps| steps.iter().zip(&wanted).all(|(step, wanted)| step == wanted))
    }

    /// Whether a shell may find this place for a pattern that spells out at least half of its name. A step that
    /// begins with a dot says enough by it, for few names do; without a letter only outside the project. What says
    /// less (`*`) names everything and nothing, and is no more recognised than the folder itself.
    fn may_be(&self, place: &str, is_outside: bool) -> bool {
        let (names, ends) = match place.strip_suffix('/') {
            Some(folder) => (folder, false),
            None => (place, !(place.ends_with('*') && place.contains('/'))),
        };
        let names: Vec<&str> = names.split('/').collect();
        let mut steps: Vec<&str> = self.steps.iter().map(String::as_str).collect();
        steps.dedup_by(|a, b| *a == "**" && a == b);
        let length = |name: &&str| name.chars().filter(|char| !".*".contains(*char)).count();
        let fits = |step: &str, name: &str| {
            let open = Open { start: name.starts_with('*'), end: name.ends_with('*') };
            let bare = if name == "*" { "" } else { name.trim_matches('*') };
            let spelled = glob::spelled(step, bare, open)?;
            let dotted = glob::is_pattern(step) && step.starts_with('.') && bare.starts_with('.') && !open.start;
            let says = is_outside || step.contains(char::is_alphanumeric);
            Some(if dotted && says { place.len() } else { spelled })
        };
        let needed: usize = names.iter().map(length).sum();
        (0..steps.len())
            .filter_map(|start| glob::begins(steps.get(start..)?, &names, ends, &fits))
            .max()
            .is_some_and(|spelled| spelled * 2 >= needed)
    }

    /// Public halves and examples that share a secret file's name.
    fn only_looks_secret(&self) -> bool {
        let Some(name) = self.steps.last() else { return false };
        let certificate = name.ends_with(".pem")
            && ["cert", "chain", "ca.", "ca-", "cacert", "public", "pub."].iter().any(|part| name.contains(part));
        let public = self.contains(".ssh") && (name.ends_with(".pub") || name == "known_hosts" || name == "config");
        let example = name.starts_with(".env.")
            && [".example", ".sample", ".template", ".dist"].iter().any(|end| name.ends_with(end));
        certificate || public || example
    }

    /// The environment of a running process: `/proc/PID/environ`.
    fn is_environment(&self) -> bool {
        self.steps.first().is_some_and(|first| first == "proc")
            && self.steps.last().is_some_and(|last| last == "environ")
    }

    fn is_anchored(&self) -> bool {
        self.anchor != Anchor::Relative || self.steps.first().is_some_and(|step| step == "..")
    }

    fn is_system(&self) -> bool {
        self.anchor == Anchor::Root
            && self.steps.first().is_some_and(|first| {
                SYSTEM_ROOTS.iter().any(|root| first == root || (glob::is_pattern(first) && glob::matches(first, root)))
            })
    }

    /// What lies below `/dev` and is a device, or may be one.
    fn is_device(&self) -> bool {
        let mut steps = self.steps.iter().map(String::as_str);
        self.anchor == Anchor::Root
            && steps.next() == Some("dev")
            && steps.next().is_some_and(|name| !NO_DEVICES.contains(&name))
    }

    /// The folder of which a pattern names whatever is in it.
    fn whole_folder(&self) -> Option<Self> {
        let says = |step: &String| step.contains(char::is_alphanumeric);
        let length = self.steps.iter().rposition(says)? + 1;
        let steps = self.steps.get(..length).filter(|steps| steps.len() < self.steps.len())?;
        Some(Self { steps: steps.to_vec(), anchor: self.anchor })
    }

    fn outside(&self, project: &str) -> bool {
        let Some(project) = Place::of(project) else { return true };
        !(self.anchor == project.anchor && self.steps.starts_with(&project.steps))
    }
}

/// Whether a string can be one path or address rather than prose. What a tool takes for a path is one whatever its folders
/// are called.
fn one_name(text: &str, role: Role) -> bool {
    let may_be_long = text.len() <= NAME_MAX_BYTES || text.starts_with(['/', '~', '.']);
    role == Role::Path || (may_be_long && text.split_whitespace().take(5).count() <= 4)
}

/// AWS, GCP, Azure and others at link-local addresses; Alibaba and Oracle at their own.
fn hands_out_credentials(address: IpAddr) -> bool {
    /// AWS, Google, Oracle and OpenStack.
    const OF_VERSION_6: [Ipv6Addr; 4] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    ];
    match address {
        IpAddr::V4(address) => {
            address.is_link_local()
                || address == Ipv4Addr::new(100, 100, 100, 200)
                || address == Ipv4Addr::new(192, 0, 0, 192)
        }
        IpAddr::V6(address) => {
            OF_VERSION_6.contains(&address) || translated(address).is_some_and(hands_out_credentials)
        }
    }
}

/// Those that are the same everywhere. Of the others, what is only a row of hex digits is a hash more often.
fn is_well_known(address: IpAddr) -> bool {
    /// Nearly all; of containers at AWS; Alibaba; Oracle.
    const OF_VERSION_4: [Ipv4Addr; 5] = [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(169, 254, 170, 2),
        Ipv4Addr::new(169, 254, 170, 23),
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    match address {
        IpAddr::V4(address) => OF_VERSION_4.contains(&address),
        IpAddr::V6(_) => hands_out_credentials(address),
    }
}

/// The address of version 4 that a translator at `64:ff9b::/96` (RFC 6052) makes of it, or that it is compatible with.
fn translated(address: Ipv6Addr) -> Option<IpAddr> {
    let [first, second, a, b, c, d, high, low] = address.segments();
    let is_translated = matches!((first, second), (0x64, 0xff9b) | (0, 0)) && [a, b, c, d] == [0; 4];
    is_translated.then(|| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))))
}

/// Whether all that a command does with the program is to have it tell something.
fn only_tells(shell: &Shell) -> bool {
    let any = |words: &[&str]| words.iter().any(|word| shell.arguments.contains(*word));
    let groups: Vec<_> = GROUPS_TELL.iter().filter(|&&(group, _)| any(&[group])).collect();
    let tells = any(TELLS) || !groups.is_empty();
    let changes = any(CHANGES) || groups.iter().any(|&&(_, tells)| any(GROUPS_CHANGE) || !any(tells));
    tells && !changes
}

/// Commands that delete whole folders, devices or histories.
fn destructive(shell: &Shell) -> bool {
    let program = |name: &str| shell.programs.contains(name);
    let argument = |name: &str| shell.arguments.contains(name);
    let flag = |letters: [char; 2]| {
        shell.arguments.iter().any(|argument| {
            argument.strip_prefix('-').is_some_and(|flags| !flags.starts_with('-') && flags.contains(letters))
        })
    };
    let recursive = flag(['r', 'R']) || argument("--recursive");
    let folders = ["rm", "chmod", "chown"].iter().any(|name| program(name));
    (folders && recursive)
        || ["mkfs", "shred", "wipefs", "fdisk", "parted"].iter().any(|name| program(name))
        || shell.programs.iter().any(|name| name.starts_with("mkfs."))
        || (program("dd") && shell.arguments.iter().any(|argument| argument.starts_with("of=/dev/")))
        || (program("find") && argument("-delete"))
        || (program("git") && argument("clean") && flag(['x', 'd']))
}

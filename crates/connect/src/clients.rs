//! Which agent clients exist and where each keeps its configuration: a table, for three systems.
//!
//! Nothing here touches a disk except [`Machine::find`], which looks for the files that the table
//! names. The home, the system and the current folder are parameters, so that every system's row is
//! tested on any of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::document::Format;

/// An operating system, as far as paths differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Os {
    /// Linux and other Unix systems.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

impl Os {
    /// The system that this binary was built for.
    pub const fn here() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::MacOs
        } else {
            Self::Linux
        }
    }
}

/// For whom a configuration holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everybody on the machine; written by its administrator.
    System,
    /// One user.
    User,
    /// One folder; often comes with a repository, so written by whoever wrote that.
    Project,
    /// A package of the client's marketplace.
    Plugin,
}

impl Scope {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Project => "project",
            Self::Plugin => "plugin",
        }
    }
}

/// A program that lets a model act.
#[derive(Debug)]
pub struct Client {
    /// The id, as in entity keys and on the command line.
    pub id: &'static str,
    /// The name that people use.
    pub name: &'static str,
    /// The key under which a remote server's extra headers stand.
    pub headers_key: &'static [&'static str],
    /// Where it keeps its configuration.
    pub places: &'static [Place],
}

/// A place where a client keeps configuration.
#[derive(Debug)]
pub struct Place {
    /// For whom it holds.
    pub scope: Scope,
    /// On which systems.
    pub on: &'static [Os],
    /// `~/` the home, `{config}/` the user's configuration folder, `./` the project, `/` the root of the
    /// file system. `*` is one name, `**` up to [`DEEP_MAX`] folders.
    pub path: &'static str,
    /// How it is written.
    pub format: Format,
    /// Where the servers stand: keys joined by `/`, `*` for every key, the empty text for the whole file.
    pub servers: &'static [&'static str],
    /// Whether the file serves the client for more than agents, so that its presence alone says nothing.
    pub is_shared: bool,
}

/// Folders that `**` crosses at most.
pub const DEEP_MAX: usize = 6;
/// Matches of one place at most; more are reported as unread.
pub const MATCHES_MAX: usize = 512;

const ALL: &[Os] = &[Os::Linux, Os::MacOs, Os::Windows];
const UNIX: &[Os] = &[Os::Linux, Os::MacOs];
const LINUX: &[Os] = &[Os::Linux];
const MAC: &[Os] = &[Os::MacOs];
const WINDOWS: &[Os] = &[Os::Windows];
const MCP_SERVERS: &[&str] = &["mcpServers"];
const HEADERS: &[&str] = &["headers"];

use Format::{Json, Toml, Yaml};
use Scope::{Plugin, Project, System, User};

const fn place(
    scope: Scope,
    on: &'static [Os],
    path: &'static str,
    format: Format,
    servers: &'static [&'static str],
) -> Place {
    Place { scope, on, path, format, servers, is_shared: false }
}

const fn shared(
    scope: Scope,
    on: &'static [Os],
    path: &'static str,
    format: Format,
    servers: &'static [&'static str],
) -> Place {
    Place { scope, on, path, format, servers, is_shared: true }
}

/// A user's file of one client, on every system.
pub(crate) const fn user_place(path: &'static str, format: Format) -> Place {
    place(User, ALL, path, format, &[])
}

/// Every client we know, in the order of the documentation.
pub const CLIENTS: &[Client] = &[
    Client {
        id: "claude-code",
        name: "Claude Code",
        headers_key: HEADERS,
        places: &[
            place(System, LINUX, "/etc/claude-code/managed-mcp.json", Json, MCP_SERVERS),
            place(System, LINUX, "/etc/claude-code/managed-settings.json", Json, &[]),
            place(System, LINUX, "/etc/claude-code/managed-settings.d/*.json", Json, &[]),
            place(System, MAC, "/Library/Application Support/ClaudeCode/managed-mcp.json", Json, MCP_SERVERS),
            place(System, MAC, "/Library/Application Support/ClaudeCode/managed-settings.json", Json, &[]),
            place(System, WINDOWS, "/Program Files/ClaudeCode/managed-mcp.json", Json, MCP_SERVERS),
            place(System, WINDOWS, "/Program Files/ClaudeCode/managed-settings.json", Json, &[]),
            place(System, WINDOWS, "/ProgramData/ClaudeCode/managed-mcp.json", Json, MCP_SERVERS),
            place(System, WINDOWS, "/ProgramData/ClaudeCode/managed-settings.json", Json, &[]),
            place(User, ALL, "~/.claude.json", Json, &["mcpServers", "projects/*/mcpServers"]),
            place(User, ALL, "~/.claude/settings.json", Json, MCP_SERVERS),
            place(User, ALL, "~/.claude/settings.local.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.mcp.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.claude/settings.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.claude/settings.local.json", Json, MCP_SERVERS),
            place(Plugin, ALL, "~/.claude/plugins/cache/**/.mcp.json", Json, &["mcpServers", ""]),
            place(Plugin, ALL, "~/.claude/plugins/cache/**/.claude-plugin/plugin.json", Json, MCP_SERVERS),
            place(Plugin, ALL, "~/.claude/plugins/cache/**/hooks/hooks.json", Json, &[]),
            place(Plugin, ALL, "~/.claude/plugins/marketplaces/**/.mcp.json", Json, &["mcpServers", ""]),
            place(Plugin, ALL, "~/.claude/plugins/marketplaces/**/.claude-plugin/plugin.json", Json, MCP_SERVERS),
            place(Plugin, ALL, "~/.claude/plugins/marketplaces/**/hooks/hooks.json", Json, &[]),
        ],
    },
    Client {
        id: "claude-desktop",
        name: "Claude Desktop",
        headers_key: HEADERS,
        places: &[
            place(User, ALL, "{config}/Claude/claude_desktop_config.json", Json, MCP_SERVERS),
            place(
                User,
                WINDOWS,
                "~/AppData/Local/Packages/Claude_*/LocalCache/Roaming/Claude/claude_desktop_config.json",
                Json,
                MCP_SERVERS,
            ),
        ],
    },
    Client {
        id: "cursor",
        name: "Cursor",
        headers_key: HEADERS,
        places: &[
            place(User, ALL, "~/.cursor/mcp.json", Json, MCP_SERVERS),
            place(User, ALL, "~/.cursor/hooks.json", Json, &[]),
            place(Project, ALL, "./.cursor/mcp.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.cursor/hooks.json", Json, &[]),
            place(Plugin, ALL, "~/.cursor/plugins/**/mcp.json", Json, &["mcpServers", ""]),
        ],
    },
    Client {
        id: "vscode",
        name: "VS Code",
        headers_key: HEADERS,
        places: &[
            place(User, ALL, "{config}/Code/User/mcp.json", Json, &["servers"]),
            place(User, ALL, "{config}/Code/User/profiles/*/mcp.json", Json, &["servers"]),
            place(User, ALL, "{config}/Code - Insiders/User/mcp.json", Json, &["servers"]),
            place(User, ALL, "{config}/VSCodium/User/mcp.json", Json, &["servers"]),
            shared(User, ALL, "{config}/Code/User/settings.json", Json, &["mcp/servers", "mcp.servers"]),
            shared(User, ALL, "{config}/Code - Insiders/User/settings.json", Json, &["mcp/servers", "mcp.servers"]),
            shared(User, ALL, "{config}/VSCodium/User/settings.json", Json, &["mcp/servers", "mcp.servers"]),
            place(Project, ALL, "./.vscode/mcp.json", Json, &["servers"]),
            shared(Project, ALL, "./.vscode/settings.json", Json, &["mcp/servers", "mcp.servers"]),
            shared(Project, ALL, "./*.code-workspace", Json, &["settings/mcp/servers", "mcp/servers"]),
            shared(Project, ALL, "./.devcontainer/devcontainer.json", Json, &["customizations/vscode/mcp/servers"]),
        ],
    },
    Client {
        id: "windsurf",
        name: "Windsurf",
        headers_key: HEADERS,
        places: &[
            place(User, ALL, "~/.codeium/windsurf/mcp_config.json", Json, MCP_SERVERS),
            place(User, ALL, "~/.codeium/windsurf-next/mcp_config.json", Json, MCP_SERVERS),
            place(User, ALL, "~/.codeium/mcp_config.json", Json, MCP_SERVERS),
        ],
    },
    Client {
        id: "codex",
        name: "Codex",
        headers_key: &["http_headers"],
        places: &[
            place(System, UNIX, "/etc/codex/config.toml", Toml, &["mcp_servers"]),
            place(System, UNIX, "/etc/codex/managed_config.toml", Toml, &["mcp_servers"]),
            place(User, ALL, "~/.codex/config.toml", Toml, &["mcp_servers"]),
            place(User, ALL, "~/.codex/hooks.json", Json, &[]),
            place(Project, ALL, "./.codex/config.toml", Toml, &["mcp_servers"]),
            place(Plugin, ALL, "~/.codex/plugins/**/.mcp.json", Json, &["mcpServers", ""]),
        ],
    },
    Client {
        id: "gemini-cli",
        name: "Gemini CLI",
        headers_key: HEADERS,
        places: &[
            place(System, LINUX, "/etc/gemini-cli/settings.json", Json, MCP_SERVERS),
            place(System, LINUX, "/etc/gemini-cli/system-defaults.json", Json, MCP_SERVERS),
            place(System, MAC, "/Library/Application Support/GeminiCli/settings.json", Json, MCP_SERVERS),
            place(System, WINDOWS, "/ProgramData/gemini-cli/settings.json", Json, MCP_SERVERS),
            place(User, ALL, "~/.gemini/settings.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.gemini/settings.json", Json, MCP_SERVERS),
            place(Plugin, ALL, "~/.gemini/extensions/*/gemini-extension.json", Json, MCP_SERVERS),
        ],
    },
    Client {
        id: "zed",
        name: "Zed",
        headers_key: HEADERS,
        places: &[
            shared(User, UNIX, "~/.config/zed/settings.json", Json, &["context_servers"]),
            shared(User, WINDOWS, "{config}/Zed/settings.json", Json, &["context_servers"]),
            shared(Project, ALL, "./.zed/settings.json", Json, &["context_servers"]),
        ],
    },
    Client {
        id: "cline",
        name: "Cline",
        headers_key: HEADERS,
        places: &[
            place(
                User,
                ALL,
                "{config}/*/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
                Json,
                MCP_SERVERS,
            ),
            place(User, ALL, "~/.cline/data/settings/cline_mcp_settings.json", Json, MCP_SERVERS),
        ],
    },
    Client {
        id: "roo",
        name: "Roo Code",
        headers_key: HEADERS,
        places: &[
            place(
                User,
                ALL,
                "{config}/*/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json",
                Json,
                MCP_SERVERS,
            ),
            place(
                User,
                ALL,
                "{config}/*/User/globalStorage/rooveterinaryinc.roo-cline/settings/cline_mcp_settings.json",
                Json,
                MCP_SERVERS,
            ),
            place(Project, ALL, "./.roo/mcp.json", Json, MCP_SERVERS),
        ],
    },
    Client {
        id: "continue",
        name: "Continue",
        headers_key: &["requestOptions", "headers"],
        places: &[
            place(User, ALL, "~/.continue/config.yaml", Yaml, MCP_SERVERS),
            place(
                User,
                ALL,
                "~/.continue/config.json",
                Json,
                &["mcpServers", "experimental/modelContextProtocolServers"],
            ),
            place(User, ALL, "~/.continue/mcpServers/*.yaml", Yaml, MCP_SERVERS),
            place(User, ALL, "~/.continue/mcpServers/*.json", Json, &["mcpServers", ""]),
            place(Project, ALL, "./.continue/mcpServers/*.yaml", Yaml, MCP_SERVERS),
            place(Project, ALL, "./.continue/mcpServers/*.yml", Yaml, MCP_SERVERS),
            place(Project, ALL, "./.continue/mcpServers/*.json", Json, &["mcpServers", ""]),
            place(Project, ALL, "./.continue/agents/*.yaml", Yaml, MCP_SERVERS),
        ],
    },
    Client {
        id: "goose",
        name: "Goose",
        headers_key: HEADERS,
        places: &[
            place(User, UNIX, "~/.config/goose/config.yaml", Yaml, &["extensions"]),
            place(User, WINDOWS, "{config}/Block/goose/config/config.yaml", Yaml, &["extensions"]),
        ],
    },
    Client {
        id: "opencode",
        name: "opencode",
        headers_key: HEADERS,
        places: &[
            place(User, ALL, "~/.config/opencode/opencode.json", Json, &["mcp"]),
            place(User, ALL, "~/.config/opencode/opencode.jsonc", Json, &["mcp"]),
            place(User, ALL, "~/.config/opencode/config.json", Json, &["mcp"]),
            place(Project, ALL, "./opencode.json", Json, &["mcp"]),
            place(Project, ALL, "./opencode.jsonc", Json, &["mcp"]),
            place(Project, ALL, "./.opencode/opencode.json", Json, &["mcp"]),
            place(Project, ALL, "./.opencode/opencode.jsonc", Json, &["mcp"]),
        ],
    },
    Client {
        id: "amazon-q",
        name: "Amazon Q Developer",
        headers_key: HEADERS,
        places: &[
            place(User, ALL, "~/.aws/amazonq/mcp.json", Json, MCP_SERVERS),
            place(User, ALL, "~/.aws/amazonq/default.json", Json, MCP_SERVERS),
            place(User, ALL, "~/.aws/amazonq/agents/*.json", Json, MCP_SERVERS),
            place(User, ALL, "~/.aws/amazonq/cli-agents/*.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.amazonq/mcp.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.amazonq/default.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.amazonq/cli-agents/*.json", Json, MCP_SERVERS),
        ],
    },
    Client {
        id: "kiro",
        name: "Kiro",
        headers_key: HEADERS,
        places: &[
            place(User, ALL, "~/.kiro/settings/mcp.json", Json, MCP_SERVERS),
            place(User, ALL, "~/.kiro/agents/*.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.kiro/settings/mcp.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.kiro/agents/*.json", Json, MCP_SERVERS),
            place(Plugin, ALL, "~/.kiro/powers/**/mcp.json", Json, MCP_SERVERS),
        ],
    },
    Client {
        id: "lm-studio",
        name: "LM Studio",
        headers_key: HEADERS,
        places: &[
            place(User, ALL, "~/.lmstudio/mcp.json", Json, MCP_SERVERS),
            place(User, UNIX, "~/.cache/lm-studio/mcp.json", Json, MCP_SERVERS),
        ],
    },
    Client {
        id: "copilot-cli",
        name: "Copilot CLI",
        headers_key: HEADERS,
        places: &[
            place(User, ALL, "~/.copilot/mcp-config.json", Json, MCP_SERVERS),
            place(User, UNIX, "~/.config/mcp-config.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.copilot/mcp-config.json", Json, MCP_SERVERS),
            place(Project, ALL, "./.github/mcp.json", Json, MCP_SERVERS),
        ],
    },
];

/// Where servers may stand in a file whose client we do not know.
pub const ANY_SERVERS: &[&str] = &[
    "mcpServers",
    "mcp_servers",
    "context_servers",
    "mcp/servers",
    "mcp.servers",
    "servers",
    "mcp",
    "extensions",
    "projects/*/mcpServers",
    "experimental/modelContextProtocolServers",
    "customizations/vscode/mcp/servers",
    "settings/mcp/servers",
    "augment.advanced/mcpServers",
    "augment/advanced/mcpServers",
    "",
];

/// The client of this id.
pub fn client(id: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.id == id)
}

/// The machine that is looked at. All paths of the table are resolved against it and nothing else.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Whose paths hold.
    pub os: Os,
    /// The user's home.
    pub home: PathBuf,
    /// The folder of the user's configuration, if it is not where the system puts it (`XDG_CONFIG_HOME`).
    pub config: Option<PathBuf>,
    /// The root of the file system, or of the drive.
    pub root: PathBuf,
    /// The current folder. Its parents up to the repository's top are projects too.
    pub current: PathBuf,
    /// The folders that the user's environment names instead of a client's usual one, by variable of [`MOVES`].
    pub moved: BTreeMap<&'static str, PathBuf>,
}

/// The variables by which a user moves a client's folder: variable, the paths of the table that it moves, and what
/// stands in their place below the named folder.
pub const MOVES: &[(&str, &str, &str)] = &[
    ("CLAUDE_CONFIG_DIR", "~/.claude/", ""),
    ("CLAUDE_CONFIG_DIR", "~/.claude.json", ".claude.json"),
    ("CODEX_HOME", "~/.codex/", ""),
];

/// A file that the table names.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The client's id.
    pub client: &'static str,
    /// The row that names it.
    pub place: &'static Place,
    /// The file.
    pub path: PathBuf,
    /// Whether something is there.
    pub found: bool,
}

impl Machine {
    /// The machine that this process runs on, as its environment describes it; none where nothing says where the
    /// user's files are.
    pub fn here(current: PathBuf) -> Option<Self> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Some(Self {
            os: Os::here(),
            home: absolute("HOME").or_else(|| absolute("USERPROFILE"))?,
            config: absolute("XDG_CONFIG_HOME").filter(|_| Os::here() == Os::Linux),
            root: PathBuf::from("/"),
            current,
            moved: MOVES.iter().filter_map(|(variable, ..)| Some((*variable, absolute(variable)?))).collect(),
        })
    }

    /// Where a path of the table lies, `~/` and what the environment moved resolved.
    pub fn user_path(&self, path: &str) -> PathBuf {
        let (base, rest) = self.user_base(path);
        base.join(rest)
    }

    /// The folder in which the user's file lies, and its path below.
    fn user_base(&self, path: &str) -> (PathBuf, String) {
        let moved = MOVES.iter().find_map(|(variable, prefix, place)| {
            let rest = path.strip_prefix(prefix)?;
            Some((self.moved.get(variable)?.clone(), format!("{place}{rest}")))
        });
        moved.unwrap_or_else(|| (self.home.clone(), path.trim_start_matches("~/").to_owned()))
    }

    /// The user's configuration folder.
    fn config_dir(&self) -> PathBuf {
        match (&self.config, self.os) {
            (Some(config), _) => config.clone(),
            (None, Os::Linux) => self.home.join(".config"),
            (None, Os::MacOs) => self.home.join("Library/Application Support"),
            (None, Os::Windows) => self.home.join("AppData/Roaming"),
        }
    }

    /// The current folder and its parents up to the top of the repository; the home is no project.
    pub fn projects(&self) -> Vec<PathBuf> {
        let top = self.current.ancestors().take(32).position(|folder| folder.join(".git").exists()).unwrap_or(0);
        self.current.ancestors().take(top + 1).filter(|folder| *folder != self.home).map(Path::to_owned).collect()
    }

    /// Every file that the table names for this machine, found or not.
    pub fn find(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        let projects = self.projects();
        for client in CLIENTS {
            for place in client.places.iter().filter(|place| place.on.contains(&self.os)) {
                for (base, pattern) in self.bases(place.path, &projects) {
                    candidates.extend(matches(&base, &pattern).into_iter().map(|(path, found)| Candidate {
                        client: client.id,
                        place,
                        path,
                        found,
                    }));
                }
            }
        }
        candidates
    }

    fn bases(&self, path: &str, projects: &[PathBuf]) -> Vec<(PathBuf, String)> {
        if path.starts_with("~/") {
            vec![self.user_base(path)]
        } else if let Some(rest) = path.strip_prefix("{config}/") {
            vec![(self.config_dir(), rest.to_owned())]
        } else if let Some(rest) = path.strip_prefix("./") {
            projects.iter().map(|project| (project.clone(), rest.to_owned())).collect()
        } else {
            vec![(self.root.clone(), path.trim_start_matches('/').to_owned())]
        }
    }
}

/// The files under `base` that match. A pattern without wildcards is always listed, found or not.
fn matches(base: &Path, pattern: &str) -> Vec<(PathBuf, bool)> {
    if !pattern.contains('*') {
        let path = base.join(pattern);
        let found = path.symlink_metadata().is_ok();
        return vec![(path, found)];
    }
    let mut found = vec![base.to_owned()];
    for segment in pattern.split('/') {
        found = match segment {
            "**" => found.iter().flat_map(|folder| folders_below(folder)).collect(),
            _ if segment.contains('*') => found.iter().flat_map(|folder| named_like(folder, segment)).collect(),
            _ => {
                found.iter().map(|folder| folder.join(segment)).filter(|path| path.symlink_metadata().is_ok()).collect()
            }
        };
        found.truncate(MATCHES_MAX);
    }
    found.into_iter().map(|path| (path, true)).collect()
}

/// Names in a folder that match a pattern with one `*`, sorted.
fn named_like(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let (head, tail) = pattern.split_once('*').unwrap_or((pattern, ""));
    let fits = |name: &str| name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> =
        entries.filter(|entry| entry.file_name().to_str().is_some_and(fits)).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The folder and those below it, never through a symbolic link.
fn folders_below(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    let mut level = vec![folder.to_owned()];
    for _ in 0..DEEP_MAX {
        level = level
            .iter()
            .flat_map(|folder| named_like(folder, "*"))
            .filter(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()))
            .filter(|path| !path.ends_with("node_modules") && !path.ends_with(".git"))
            .take(MATCHES_MAX * 8)
            .collect();
        all.extend(level.iter().cloned());
    }
    all
}

/// The client and the row that a path looks like, for files that were found by walking: the row whose
/// last names fit most of the path.
pub fn recognise(path: &Path) -> Option<(&'static Client, &'static Place)> {
    let names: Vec<&str> = path.iter().filter_map(|name| name.to_str()).collect();
    let mut best: Option<(usize, (&'static Client, &'static Place))> = None;
    for client in CLIENTS {
        for place in client.places {
            let pattern = place.path.trim_start_matches(['~', '.']).trim_start_matches("{config}");
            // `trim_start_matches` took the dot of a hidden file too: put it back.
            let pattern = place.path.strip_prefix("./").unwrap_or(pattern);
            let segments: Vec<&str> = pattern.split('/').filter(|segment| !segment.is_empty()).collect();
            // A folder that was walked is a project rather than somebody's home.
            let score = fit(&names, &segments) * 2;
            let score = if place.scope == Project { score + usize::from(score > 0) } else { score };
            if score > best.as_ref().map_or(0, |(score, _)| *score) {
                best = Some((score, (client, place)));
            }
        }
    }
    best.map(|(_, found)| found)
}

/// How many trailing names of a path the whole pattern covers; 0 if it does not.
fn fit(names: &[&str], segments: &[&str]) -> usize {
    let one = |name: &str, segment: &str| match segment.split_once('*') {
        None => name == segment,
        Some((head, tail)) => name.len() > head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail),
    };
    match segments.iter().position(|segment| *segment == "**") {
        None => {
            let Some(skip) = names.len().checked_sub(segments.len()) else { return 0 };
            let fits = names.iter().skip(skip).zip(segments).all(|(name, segment)| one(name, segment));
            let literal = segments.iter().filter(|segment| !segment.contains('*')).count();
            if fits { literal } else { 0 }
        }
        Some(at) => {
            let (head, tail) = segments.split_at(at);
            let tail: Vec<&str> = tail.iter().skip(1).copied().collect();
            let anchored = names
                .windows(head.len().max(1))
                .any(|window| window.iter().zip(head).all(|(name, segment)| one(name, segment)));
            if anchored && !head.is_empty() && fit(names, &tail) > 0 { head.len() + tail.len() } else { 0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_client_has_a_user_place_on_every_system() {
        for client in CLIENTS {
            for os in ALL {
                assert!(
                    client.places.iter().any(|place| place.scope == User && place.on.contains(os)),
                    "{} on {os:?}",
                    client.id
                );
            }
        }
        let ids: BTreeSet<_> = CLIENTS.iter().map(|client| client.id).collect();
        assert_eq!(ids.len(), CLIENTS.len());
    }

    #[test]
    fn paths_are_those_of_each_system() {
        let machine = |os| Machine {
            os,
            home: "/h".into(),
            config: None,
            root: "/r".into(),
            current: "/h/p".into(),
            moved: BTreeMap::new(),
        };
        let paths = |os| -> BTreeSet<String> {
            machine(os).find().iter().map(|found| found.path.display().to_string()).collect()
        };
        assert!(paths(Os::Linux).contains("/h/.config/Claude/claude_desktop_config.json"));
        assert!(paths(Os::MacOs).contains("/h/Library/Application Support/Claude/claude_desktop_config.json"));
        assert!(paths(Os::Windows).contains("/h/AppData/Roaming/Claude/claude_desktop_config.json"));
        assert!(paths(Os::Windows).contains("/r/Program Files/ClaudeCode/managed-mcp.json"));
        assert!(paths(Os::Windows).contains("/h/AppData/Roaming/Block/goose/config/config.yaml"));
        assert!(paths(Os::MacOs).contains("/h/.config/zed/settings.json"));
        assert!(paths(Os::Linux).contains("/h/p/.mcp.json"));
    }

    #[test]
    fn the_environment_moves_a_clients_folder_and_nothing_else() {
        let moved = BTreeMap::from([("CLAUDE_CONFIG_DIR", PathBuf::from("/elsewhere"))]);
        let machine =
            Machine { os: Os::Linux, home: "/h".into(), config: None, root: "/r".into(), current: "/p".into(), moved };
        let paths: BTreeSet<_> = machine.find().into_iter().map(|found| found.path.display().to_string()).collect();
        for there in
            ["/elsewhere/settings.json", "/elsewhere/.claude.json", "/h/.codex/config.toml", "/p/.claude/settings.json"]
        {
            assert!(paths.contains(there), "{there}");
        }
        assert!(!paths.contains("/h/.claude.json") && !paths.contains("/h/.claude/settings.json"));
        assert_eq!(machine.user_path("~/.claude/settings.json"), Path::new("/elsewhere/settings.json"));
    }

    #[test]
    fn a_path_is_recognised_by_its_last_names() {
        for (path, client, scope) in [
            ("/x/.mcp.json", "claude-code", Project),
            ("/x/.claude/settings.json", "claude-code", Project),
            ("/x/.claude/plugins/cache/m/p/1.0/.mcp.json", "claude-code", Plugin),
            ("/x/.vscode/mcp.json", "vscode", Project),
            ("/x/y/Code/User/mcp.json", "vscode", User),
            ("/x/.cursor/mcp.json", "cursor", User),
            ("/x/opencode.json", "opencode", Project),
            ("/x/.continue/mcpServers/a.yaml", "continue", User),
            ("/x/claude_desktop_config.json", "", System),
            ("/x/.codex/config.toml", "codex", User),
        ] {
            match recognise(Path::new(path)) {
                None => assert_eq!(client, "", "{path}"),
                Some((found, place)) => {
                    assert_eq!(found.id, client, "{path}");
                    if scope != User && scope != Project {
                        assert_eq!(place.scope, scope, "{path}");
                    }
                }
            }
        }
    }
}

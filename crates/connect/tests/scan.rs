//! A whole machine in a temporary folder, for each system.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use connect::clients::CLIENTS;
use connect::document::Format;
use connect::protect::Upstreams;
use connect::{Machine, Os, Salt, Scan, ScanOptions, Scope, scan};
use graph::{EntityKind, Fact, RelationKind};

fn machine(root: &Path, os: Os) -> Machine {
    let root = root.canonicalize().unwrap();
    let machine = Machine {
        os,
        home: root.join("home"),
        config: None,
        root: root.join("root"),
        current: root.join("project/deep"),
        moved: std::collections::BTreeMap::new(),
    };
    for folder in [&machine.home, &machine.root, &machine.current, &root.join("project/.git")] {
        fs::create_dir_all(folder).unwrap();
    }
    machine
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn look(machine: &Machine, paths: Vec<PathBuf>) -> Scan {
    scan(&ScanOptions { machine: machine.clone(), paths, salt: Salt::new(b"salt"), upstreams: Upstreams::default() })
}

/// `kind key name` of every entity, with the temporary folder cut off.
fn entities(scan: &Scan, root: &Path) -> BTreeSet<String> {
    let root = root.canonicalize().unwrap().display().to_string();
    let entity = |fact: &Fact| match fact {
        Fact::Entity { id, name, .. } => Some(format!("{id} {name}").replace(&root, "")),
        Fact::Relation { .. } => None,
    };
    scan.observations.iter().filter_map(|observation| entity(&observation.fact)).collect()
}

/// A configuration with one server called `s`, as the place wants it.
fn text_for(format: Format, servers: &str) -> String {
    let keys: Vec<&str> = servers.split('/').filter(|key| !key.is_empty()).collect();
    match format {
        Format::Json => {
            let server = r#"{"s": {"command": "npx", "args": ["-y", "p@1.2.3"]}}"#.to_owned();
            keys.iter().rev().fold(server, |inner, key| format!("{{\"{key}\": {inner}}}"))
        }
        Format::Toml => format!("[{}.s]\ncommand = \"npx\"\nargs = [\"-y\", \"p@1.2.3\"]\n", keys.join(".")),
        Format::Yaml => format!("{}:\n  s:\n    cmd: npx\n    args: [-y, p@1.2.3]\n", keys.join(":\n")),
    }
}

#[test]
fn every_client_is_found_on_every_system() {
    for os in [Os::Linux, Os::MacOs, Os::Windows] {
        let folder = tempfile::tempdir().unwrap();
        let machine = machine(folder.path(), os);
        let mut written = 0;
        for candidate in machine.find() {
            let servers = candidate.place.servers.first().filter(|place| !place.contains('*'));
            let Some(servers) = servers.filter(|_| !candidate.path.exists()) else { continue };
            put(&candidate.path, &text_for(candidate.place.format, servers));
            written += 1;
        }
        let scan = look(&machine, vec![]);
        assert!(scan.unread.is_empty(), "{os:?}: {:?}", scan.unread);
        let found: BTreeSet<&str> = scan.servers.iter().map(|server| server.client).collect();
        // Cline and Roo lie in the folders of an editor, whose name is a wildcard: they have their own test.
        let missing: Vec<_> =
            CLIENTS.iter().map(|client| client.id).filter(|id| !found.contains(id) && *id != "roo").collect();
        assert!(missing.is_empty() || missing == ["cline"], "{os:?}: {missing:?}");
        assert_eq!(scan.servers.len(), written, "{os:?}");
        let scopes: BTreeSet<Scope> =
            machine.find().iter().filter(|candidate| candidate.found).map(|candidate| candidate.place.scope).collect();
        assert!(scopes.contains(&Scope::System) && scopes.contains(&Scope::User) && scopes.contains(&Scope::Project));
    }
}

#[test]
fn wildcards_find_editors_profiles_and_plugins_but_follow_no_loop() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path(), Os::Linux);
    let servers = r#"{"mcpServers": {"s": {"command": "npx"}}}"#;
    let config = machine.home.join(".config");
    put(&config.join("VSCodium/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"), servers);
    put(&config.join("Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"), servers);
    put(&config.join("Code/User/profiles/1a/mcp.json"), r#"{"servers": {"s": {"command": "npx"}}}"#);
    let plugins = machine.home.join(".claude/plugins/cache");
    put(&plugins.join("m/p/1.0/.mcp.json"), r#"{"s": {"command": "npx"}}"#);
    put(
        &plugins.join("m/p/1.0/hooks/hooks.json"),
        r#"{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "./x"}]}]}}"#,
    );
    #[cfg(unix)]
    std::os::unix::fs::symlink(&plugins, plugins.join("m/loop")).unwrap();
    let scan = look(&machine, vec![]);
    let clients: Vec<_> = scan.servers.iter().map(|server| server.client).collect();
    assert_eq!(clients, ["claude-code", "vscode", "cline", "roo"]);
    assert!(scan.unread.is_empty(), "{:?}", scan.unread);
}

#[test]
fn one_broken_file_is_said_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path(), Os::Linux);
    put(
        &machine.home.join(".cursor/mcp.json"),
        "{\n  \"mcpServers\": {\n    \"a\": { \"command\": \"x\" \"s3cret\" }\n}}",
    );
    put(
        &machine.home.join(".kiro/settings/mcp.json"),
        "{\"mcpServers\": {\"ok\": {\"command\": \"x\"},\n\"bad\": {\"args\": []}}}",
    );
    put(&machine.home.join(".lmstudio/mcp.json"), "[]");
    fs::create_dir_all(machine.home.join(".gemini/settings.json")).unwrap();
    fs::create_dir_all(machine.home.join(".copilot")).unwrap();
    fs::write(machine.home.join(".copilot/mcp-config.json"), [0xff, 0xfe, b'{', 0]).unwrap();
    put(&machine.home.join(".codex/config.toml"), "[mcp_servers.ok]\ncommand = 'x'\n");
    let scan = look(&machine, vec![]);
    let home = machine.home.display().to_string();
    let unread: Vec<String> = scan
        .unread
        .iter()
        .map(|unread| format!("{}:{:?} {}", unread.source.replace(&home, "~"), unread.line, unread.reason))
        .collect();
    assert_eq!(unread.len(), 5, "{unread:#?}");
    assert!(unread[0].starts_with("~/.copilot/mcp-config.json:None is UTF-16"), "{unread:#?}");
    assert!(unread[1].starts_with("~/.cursor/mcp.json:Some(3)") && !unread[1].contains("s3cret"), "{unread:#?}");
    assert_eq!(unread[2], "~/.gemini/settings.json:None is not a regular file");
    assert_eq!(unread[3], "~/.kiro/settings/mcp.json:Some(2) server `bad` has neither a command nor a url");
    assert_eq!(unread[4], "~/.lmstudio/mcp.json:Some(1) holds a list, not a map");
    assert_eq!(scan.servers.len(), 2);
    assert!(scan.looked.iter().any(|looked| looked.client == "zed" && !looked.found));
}

#[test]
fn folders_are_looked_through_by_shape() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path(), Os::Linux);
    let project = machine.current.parent().unwrap().to_owned();
    put(&project.join("a/agents.json"), r#"{"mcpServers": {"s": {"command": "uvx", "args": ["x==1"]}}}"#);
    put(&project.join("b/.vscode/mcp.json"), r#"{"servers": {"s": {"url": "http://h.example/mcp"}}}"#);
    put(&project.join("c/mcp.json"), r#"{"nodes": [], "connections": {}}"#);
    put(&project.join("d/package.json"), r#"{"name": "x", "servers": 7, "mcp": false}"#);
    // An address under a key makes no server of it where the file says other things as well.
    let about = r#"{"name": "x", "repository": {"url": "git+https://h.example/x.git"}, "bugs": {"url": "https://h.example/b"}}"#;
    put(&project.join("f/package.json"), about);
    put(&project.join("f/app.json"), r#"{"name": "x", "hook": {"url": "https://h.example/hook"}}"#);
    let resource = "apiVersion: v1\nkind: RemoteMCPServer\nmetadata: {name: x}\nspec: {url: 'http://h.example/mcp'}\n";
    put(&project.join("f/remotemcpservers.yaml"), resource);
    put(
        &project.join("f/all.json"),
        r#"{"$schema": "https://h.example/s", "whole": {"url": "https://whole.example/mcp"}}"#,
    );
    put(&project.join("node_modules/x/.mcp.json"), r#"{"mcpServers": {"s": {"command": "x"}}}"#);
    put(&project.join("e/mandate.toml"), "version = 1\nowner = \"a@example.org\"\npurpose = \"p\"\n");
    put(&project.join("e/.cursor/mcp.json"), r#"{"mcpServers": {"s": {"command": "node", "args": ["s.js"]}}}"#);
    let scan = look(&machine, vec![project.clone()]);
    let found = entities(&scan, folder.path());
    for expected in [
        "agent:unknown@/project/a/agents.json an unknown client",
        "package:pkg:pypi/x@1 x",
        "agent:vscode@/project/b/.vscode/mcp.json VS Code",
        "endpoint:http://h.example h.example",
        "agent:cursor@/project/e/.cursor/mcp.json Cursor",
        "mandate:/project/e/mandate.toml p",
        "person:a@example.org a@example.org",
    ] {
        assert!(found.contains(expected), "{expected} is not in {found:#?}");
    }
    assert!(found.contains("endpoint:https://whole.example whole.example"), "{found:#?}");
    assert_eq!(scan.servers.len(), 4);
    assert_eq!(scan.unread.len(), 1);
    assert_eq!(scan.unread[0].reason, "is named like an agent's configuration, but is a workflow export");
}

#[test]
fn no_secret_leaves_in_any_place_and_one_secret_is_one_entity() {
    let secret = "ghp_aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM5";
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path(), Os::Linux);
    put(
        &machine.home.join(".cursor/mcp.json"),
        &format!(
            r#"{{"mcpServers": {{
  "env": {{"command": "npx", "args": ["p"], "env": {{"X": "{secret}"}}}},
  "arg": {{"command": "npx", "args": ["p", "{secret}", "--token={secret}", "-e", "A={secret}"]}},
  "command": {{"command": "npx p {secret}"}},
  "package": {{"command": "uvx", "args": ["--from", "git+https://{secret}@github.com/o/r", "r"]}},
  "url": {{"url": "https://u:{secret}@h.example/mcp?k={secret}"}},
  "header": {{"url": "https://h.example/mcp", "headers": {{"Authorization": "Bearer {secret}"}}}},
  "setting": {{"settings": {{"deep": ["{secret}"]}}}},
  "broken": {{"args": ["{secret}"]}},
  "remote": {{"command": "npx", "args": ["mcp-remote", "https://h.example/mcp", "--header", "Authorization: Bearer {secret}"]}}
}}}}"#
        ),
    );
    put(
        &machine.home.join(".claude/settings.json"),
        &format!(
            r#"{{"env": {{"K": "{secret}"}}, "permissions": {{"allow": ["Bash(curl -H {secret})"]}},
               "hooks": {{"Stop": [{{"hooks": [{{"type": "command", "command": "curl -H 'Authorization: Bearer {secret}' h"}}]}}]}}}}"#
        ),
    );
    let scan = look(&machine, vec![]);
    let text = serde_json::to_string(&scan.observations).unwrap() + &format!("{:?}{:?}", scan.unread, scan.looked);
    assert!(!text.contains(secret) && !text.contains("aB3dE5gH7"), "{text}");
    let holders: BTreeSet<String> = scan
        .observations
        .iter()
        .filter_map(|observation| match &observation.fact {
            Fact::Relation { from, kind: RelationKind::Holds, .. } => {
                Some(from.key.rsplit(['#', '/']).next()?.to_owned())
            }
            _ => None,
        })
        .collect();
    // What stands in an entry that is no server is held by the agent.
    let expected =
        ["arg", "command", "env", "header", "mcp.json", "package", "remote", "setting", "settings.json", "url"];
    assert_eq!(holders, expected.map(str::to_owned).into());
    let credentials: BTreeSet<_> = scan
        .observations
        .iter()
        .filter_map(|observation| match &observation.fact {
            Fact::Entity { id, .. } if id.kind == EntityKind::Credential => Some(id.key.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(credentials.len(), 1);
    for observation in &scan.observations {
        assert!(
            observation.evidence.line.is_some()
                || observation.evidence.source.ends_with("passwd")
                || matches!(&observation.fact, Fact::Entity { id, .. } if id.kind == EntityKind::Person)
                || matches!(&observation.fact, Fact::Relation { kind: RelationKind::Owns, .. })
        );
    }
}

#[test]
fn a_scan_is_the_same_twice() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path(), Os::Linux);
    put(
        &machine.home.join(".cursor/mcp.json"),
        r#"{"mcpServers": {"a": {"command": "npx", "args": ["x", "~", "/"]}}}"#,
    );
    assert_eq!(look(&machine, vec![]).observations, look(&machine, vec![]).observations);
}

#[test]
fn behind_the_gateway_a_server_is_still_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path(), Os::Linux);
    put(
        &machine.home.join(".cursor/mcp.json"),
        r#"{"mcpServers": {
          "files": {"command": "/opt/bailiwick", "args": ["mcp", "--agent", "cursor", "--server", "files", "--", "npx", "-y", "fs", "/"]},
          "docs": {"url": "http://127.0.0.1:7682/mcp/docs", "headers": {"x-bailiwick-key": "0123456789abcdef0123456789abcdef"}}
        }}"#,
    );
    let mut upstreams = Upstreams::default();
    upstreams.name_for("docs", "https://docs.example/mcp");
    let scan = scan(&ScanOptions { machine, paths: vec![], salt: Salt::new(b"salt"), upstreams });
    let found = entities(&scan, folder.path());
    for expected in ["endpoint:https://docs.example docs.example", "package:pkg:npm/fs fs", "path:/ /"] {
        assert!(found.contains(expected), "{expected} is not in {found:#?}");
    }
    assert!(!found.iter().any(|entity| entity.starts_with("credential")), "{found:#?}");
    for observation in &scan.observations {
        match &observation.fact {
            Fact::Entity { id, name, props } if id.kind == EntityKind::Server => {
                assert_eq!(props["protected"], true);
                assert!(props.get("auth").is_none_or(|auth| auth == false), "{name}");
                assert!(props.get("command").is_none_or(|command| command == "npx"), "{name}");
            }
            _ => {}
        }
    }
}

/// The agents that read each file of instructions, and the signs in it with their lines.
fn prompts(scan: &Scan, root: &Path) -> Vec<String> {
    let root = root.canonicalize().unwrap().display().to_string();
    let mut told = Vec::new();
    for observation in &scan.observations {
        match &observation.fact {
            Fact::Entity { id, props, .. } if id.kind == EntityKind::Prompt => {
                let signs = props["signs"].as_array().unwrap().iter();
                let signs: Vec<String> = signs.map(|sign| format!("{}:{}", sign["line"], sign["kind"])).collect();
                told.push(format!("{} {}", id.key, signs.join(" ")));
            }
            Fact::Relation { from, kind: RelationKind::Offers, to, .. } if to.kind == EntityKind::Prompt => {
                told.push(format!("{} is read by {}", to.key, from.key));
            }
            _ => {}
        }
    }
    told.sort();
    told.iter().map(|line| line.replace(&root, "").trim_end().to_owned()).collect()
}

#[test]
fn instructions_are_read_with_whose_they_are_and_what_hides_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let machine = machine(folder.path(), Os::Linux);
    let project = folder.path().canonicalize().unwrap().join("project");
    put(&machine.home.join(".claude.json"), r#"{"mcpServers": {}}"#);
    put(&machine.home.join(".claude/CLAUDE.md"), "Be brief.\n");
    put(
        &project.join("CLAUDE.md"),
        "# Rules\nUse tabs.\u{E0041}\u{E0042}\nToken ghp_x7Kd92mQvTzR4LpWn8sYb3HcJf6GuE1oAiXt\n",
    );
    put(&project.join("AGENTS.md"), "You must run the tests.\n");
    put(&project.join(".cursor/mcp.json"), r#"{"mcpServers": {"s": {"command": "npx", "args": ["-y", "p@1.2.3"]}}}"#);
    put(&project.join(".cursor/rules/style.mdc"), "a\n\u{202E}b\n");
    let expected = [
        "/home/.claude/CLAUDE.md",
        "/home/.claude/CLAUDE.md is read by claude-code@/home/.claude.json",
        "/project/.cursor/rules/style.mdc 2:\"characters that turn the reading direction\"",
        "/project/.cursor/rules/style.mdc is read by cursor@/project/.cursor/mcp.json",
        "/project/AGENTS.md",
        "/project/AGENTS.md is read by cursor@/project/.cursor/mcp.json",
        "/project/CLAUDE.md 2:\"text in invisible tag characters\"",
        "/project/CLAUDE.md is read by claude-code@/home/.claude.json",
    ];
    let seen = look(&machine, vec![]);
    assert_eq!(prompts(&seen, folder.path()), expected);
    let text = serde_json::to_string(&seen.observations).unwrap();
    assert!(!text.contains("ghp_x7"), "a file's text is not kept");
    // Of a folder that is given, without the home: what lies in it, and who is configured there.
    let given = prompts(&look(&machine, vec![project.clone()]), folder.path());
    let below: Vec<&str> =
        expected.into_iter().filter(|line| line.starts_with("/project") && !line.contains("claude-code")).collect();
    assert_eq!(given, below);
    assert_eq!(prompts(&look(&machine, vec![project.join("AGENTS.md")]), folder.path()), ["/project/AGENTS.md"]);
}

//! Real servers, and servers that misbehave.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use connect::live::{Live, LiveOptions, ask};
use connect::protect::Upstreams;
use connect::{Machine, Os, Salt, ScanOptions, scan};
use graph::{EntityKind, Fact};
use serde_json::{Value, json};

/// Asks the servers of one configuration.
async fn check(folder: &Path, servers: Value, time_limit: Duration) -> Live {
    let config = folder.join("agents.json");
    fs::write(&config, json!({ "mcpServers": servers }).to_string()).unwrap();
    let machine = Machine {
        os: Os::Linux,
        home: folder.to_owned(),
        config: None,
        root: folder.to_owned(),
        current: folder.to_owned(),
        moved: std::collections::BTreeMap::new(),
    };
    let found =
        scan(&ScanOptions { machine, paths: vec![config], salt: Salt::new(b"x"), upstreams: Upstreams::default() });
    let environment: BTreeMap<String, String> =
        ["PATH", "HOME"].into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect();
    ask(&found.servers, &LiveOptions { time_limit, environment: &environment }).await
}

fn names(live: &Live, kind: EntityKind) -> BTreeSet<String> {
    let name = |fact: &Fact| match fact {
        Fact::Entity { id, name, .. } if id.kind == kind => Some(name.clone()),
        _ => None,
    };
    live.observations.iter().filter_map(|observation| name(&observation.fact)).collect()
}

const LONG: Duration = Duration::from_secs(120);

/// A server in shell that answers by method. `answers` are cases of `case "$method"`.
fn shell(answers: &str) -> Value {
    let script = format!(
        r#"while IFS= read -r line; do
             id=${{line#*\"id\":}}; id=${{id%%[,\}}]*}}
             case "$line" in {answers} esac
           done"#
    );
    json!({ "command": "/bin/sh", "args": ["-c", script] })
}

const HELLO: &str = r#"*'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}' ;;"#;

#[tokio::test]
async fn a_real_server_tells_its_tools() {
    let Some(tools) = std::env::var_os("BAILIWICK_TEST_TOOLS").map(PathBuf::from) else {
        println!("skipped: `BAILIWICK_TEST_TOOLS` is not set");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let filesystem = tools.join("node_modules/@modelcontextprotocol/server-filesystem/dist/index.js");
    let git = tools.join("venv/bin/mcp-server-git");
    let servers = json!({
        "files": { "command": "node", "args": [filesystem, folder.path()] },
        "git": { "command": git, "args": [] },
        "shim": { "command": "/nowhere/bailiwick", "args": ["mcp", "--agent", "a", "--server", "shim", "--", git] },
    });
    let live = check(folder.path(), servers, LONG).await;
    assert!(live.unread.is_empty(), "{:?}", live.unread);
    let tools = names(&live, EntityKind::Tool);
    assert!(tools.contains("read_text_file") && tools.contains("git_status"), "{tools:?}");
    let described = live.observations.iter().any(|observation| match &observation.fact {
        Fact::Entity { name, props, .. } if name == "read_text_file" => {
            props["annotations"]["readOnlyHint"] == true && props["input_schema"]["properties"]["path"].is_object()
        }
        _ => false,
    });
    assert!(described);
}

#[tokio::test]
async fn pages_are_followed_and_a_server_that_asks_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let answers = format!(
        r#"{HELLO}
        *'"cursor":"2"'*) echo 'a stray line'; echo '{{"jsonrpc":"2.0","id":'$id',"result":{{"tools":[{{"name":"b","description":"holds ghp_aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM5"}}]}}}}' ;;
        *'"tools/list"'*) echo '{{"jsonrpc":"2.0","id":77,"method":"roots/list"}}'; IFS= read -r reply; case "$reply" in *-32601*) ;; *) exit 1 ;; esac
          echo '{{"jsonrpc":"2.0","id":'$id',"result":{{"tools":[{{"name":"a"}}],"nextCursor":"2"}}}}' ;;"#
    );
    let live = check(folder.path(), json!({ "s": shell(&answers) }), LONG).await;
    assert!(live.unread.is_empty(), "{:?}", live.unread);
    assert_eq!(names(&live, EntityKind::Tool), ["a", "b"].map(str::to_owned).into());
    assert!(!serde_json::to_string(&live.observations).unwrap().contains("ghp_"));
}

#[tokio::test]
async fn failures_are_said_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let servers = json!({
        "absent": { "command": "/nowhere/at-all" },
        "ends": { "command": "/bin/true" },
        "needs": { "command": "/bin/cat", "args": ["${input:key}"] },
        "off": { "command": "/nowhere", "disabled": true },
        "refuses": shell(r#"*'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":1,"message":"no"}}' ;;"#),
    });
    let live = check(folder.path(), servers, LONG).await;
    let unread: Vec<String> = live
        .unread
        .iter()
        .map(|unread| format!("{} {}", unread.source.rsplit('#').next().unwrap(), unread.reason))
        .collect();
    assert_eq!(
        unread,
        [
            "absent cannot be started: entity not found",
            "ends ended before it answered `initialize`",
            "needs needs `${input:key}`, which only its client knows",
            "refuses answered `initialize` with an error: no",
        ]
    );
    assert!(live.observations.is_empty());
}

#[tokio::test]
async fn a_server_that_hangs_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let held = folder.path().join("held");
    // A child that ignores its parent's end and the polite signals, and holds a lock while it lives.
    let script = format!(
        "exec 9>{}; flock 9; (trap '' TERM HUP; while :; do sleep 1000; done) & echo ready >&9; wait",
        held.display()
    );
    let servers = json!({ "s": { "command": "/bin/sh", "args": ["-c", script] } });
    // Long enough to get that far on a loaded machine.
    let live = check(folder.path(), servers, Duration::from_secs(8)).await;
    assert_eq!(live.unread.len(), 1);
    assert!(live.unread[0].reason.contains("did not finish within 8 seconds"), "{:?}", live.unread);
    assert_eq!(fs::read_to_string(&held).unwrap(), "ready\n");
    // Granted only when every process that held it is dead.
    fs::File::open(&held).unwrap().lock().unwrap();
}

#[tokio::test]
async fn a_server_sees_only_what_its_configuration_gives() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("env");
    // It ends by itself, and nobody waits for time.
    let script = format!("env > {}", out.display());
    let servers = json!({ "s": { "command": "/bin/sh", "args": ["-c", script], "env": { "GIVEN": "1" } } });
    check(folder.path(), servers, LONG).await;
    let seen = fs::read_to_string(&out).unwrap();
    let names: BTreeSet<&str> = seen.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let allowed: BTreeSet<&str> = ["PATH", "HOME", "GIVEN", "PWD", "OLDPWD", "SHLVL", "_"].into();
    assert!(names.is_subset(&allowed) && names.contains("GIVEN"), "{names:?}");
}

//! A mandate from its draft to its withdrawal, with the real binary: nothing binds before a person adopts it, nothing
//! changes afterwards without one, and the ledger says who did what. And the emergency stop.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::fs;

use ledger::record::Record;
use serde_json::{Value, json};
use support::{World, wait_for};

fn is_denied(answer: &Value) -> bool {
    answer["hookSpecificOutput"]["permissionDecision"] == "deny"
}

fn changes(world: &World) -> Vec<(String, String, String)> {
    let records = world.records().into_iter();
    let changed = records.filter_map(|(_, record)| match record {
        Record::Changed { what, files, by, .. } => Some((what, files[0].path.clone(), by)),
        _ => None,
    });
    changed.collect()
}

const HEAD: &str = "version = 1\nowner = \"ada@example.org\"\npurpose = \"Tests.\"\nagents = [\"claude-code\"]\n";

#[test]
fn a_draft_is_a_mandate_and_faults_are_told_with_their_lines() {
    let world = World::bare();
    let files = json!({"mcpServers": {"files": {"command": "true"}}});
    world.write("files/.mcp.json", &files.to_string());
    assert!(world.ok(&["mandate", "init", "--stdout"]).contains("files/*"));
    world.ok(&["mandate", "init"]);
    let said = world.ok(&["mandate", "check"]);
    let unsaid = ["`owner` still says what the draft said", "`purpose` still says what the draft said"];
    assert!(unsaid.iter().all(|unsaid| said.contains(unsaid)), "{said}");
    assert_eq!(world.bailiwick(&["mandate", "init"]).status.code(), Some(2), "what is there stays");
    world.write("files/mandate.toml", &format!("{HEAD}[budget]\ncalls_per_week = 1\n"));
    for command in ["check", "adopt"] {
        let output = world.bailiwick(&["mandate", command]);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(
            output.status.code() == Some(1) && said.contains("6: error: `budget.calls_per_week` is no field"),
            "{said}"
        );
    }
    assert!(!world.path("bailiwick/mandates").exists());
}

#[test]
fn a_draft_that_is_adopted_as_it_is_lets_agents_read() {
    let world = World::bare();
    let files = json!({"mcpServers": {"files": {"command": "true"}}});
    world.write("files/.mcp.json", &files.to_string());
    let _up = world.up();
    world.ok(&["mandate", "init"]);
    let said = world.ok(&["mandate", "adopt", "--yes"]);
    assert!(!said.contains("`triggers` does not name"), "{said}");
    let input = json!({"file_path": world.path("files/.mcp.json")});
    let read = world.hook(json!({"hook_event_name": "PreToolUse", "tool_name": "Read", "tool_input": input}));
    let written = world.bash("touch x");
    assert!(!is_denied(&read), "{read}");
    assert!(is_denied(&written), "{written}");
}

#[test]
fn only_a_person_puts_a_mandate_in_force() {
    let world = World::bare();
    let _up = world.up();
    assert!(!is_denied(&world.bash("ls")));
    world.write("files/mandate.toml", &format!("{HEAD}[allow]\nactions = [\"read\"]\n"));
    assert!(!is_denied(&world.bash("ls")), "a file beside the agent binds nothing");
    assert_eq!(world.bailiwick(&["mandate", "adopt"]).status.code(), Some(1), "nobody agreed");
    assert!(!is_denied(&world.bash("ls")));

    let said = world.ok(&["mandate", "adopt", "--yes", "--because", "review 12"]);
    assert!(said.contains("+actions = [\"read\"]") && said.contains("in force"), "{said}");
    let answer = world.bash("ls");
    assert!(is_denied(&answer) && answer.to_string().contains("`files.toml` line 6"), "{answer}");

    // The agent writes itself a wider one; it is said, and nothing changes.
    world.write("files/mandate.toml", &format!("{HEAD}[allow]\nactions = [\"read\", \"execute\", \"write\"]\n"));
    let list = world.bailiwick(&["mandate", "list"]);
    assert!(list.status.code() == Some(1) && String::from_utf8(list.stdout).unwrap().contains("changed since"));
    assert!(is_denied(&world.bash("ls")));
    let said = world.ok(&["mandate", "adopt", "--yes"]);
    assert!(said.contains("-actions = [\"read\"]"), "what changes is shown: {said}");
    assert!(!is_denied(&world.bash("ls")));
    world.ok(&["mandate", "withdraw", "files"]);
    assert!(world.ok(&["mandate", "list"]).contains("No mandate is adopted"));

    let made: Vec<_> = changes(&world).into_iter().filter(|(what, ..)| what == "mandate").collect();
    assert_eq!(made.len(), 3, "{made:?}");
    let uid = format!("(uid {}, bailiwick mandate ", rustix::process::getuid().as_raw());
    assert!(made.iter().all(|(_, path, by)| path == "mandates/files.toml" && by.contains(&uid)), "{made:?}");
    world.verify();
    let tried = world.ok(&["whatif", "--mandate", "mandate.toml"]);
    assert!(!tried.is_empty());
}

#[test]
fn a_file_that_is_changed_on_disk_is_recorded_as_by_nobody_who_is_known() {
    let world = World::bare();
    let _up = world.up();
    let policy = world.path("bailiwick/policy/shell.cedar");
    fs::write(&policy, "// mine\n").unwrap();
    let seen = |by: &str, path: &str| {
        wait_for("the change", || changes(&world).into_iter().find(|one| one.1 == path && one.2 == by))
    };
    seen("unknown: file changed on disk", "policy/shell.cedar");
    world.write("bailiwick/mandates/own.toml", &format!("{HEAD}[allow]\ntools = []\n"));
    seen("unknown: file changed on disk", "mandates/own.toml");
    wait_for("the mandate", || is_denied(&world.bash("ls")).then_some(()));
    let key = ledger::SigningKey::from_seed(&[1; 32]).unwrap().witness_key().to_string();
    world.ok(&["ledger", "witness", "add", "http://127.0.0.1:1", "--key", &key]);
    let settings: Vec<_> = changes(&world).into_iter().filter(|(what, ..)| what == "settings").collect();
    assert!(settings.len() == 1 && settings[0].2.contains("bailiwick ledger witness)"), "{settings:?}");
    let last = world.records().len() - 1;
    assert!((0..=last).any(|entry| world.ok(&["ledger", "show", &entry.to_string()]).contains("mandates/own.toml")));
}

/// Agents have other names than those of clients: by a lease, by `identity.toml`, by `mcp --agent`.
#[test]
fn a_mandate_may_govern_an_agent_that_is_no_client() {
    let world = World::bare();
    let _up = world.up();
    let head = HEAD.replace("claude-code", "nightly-build");
    world.write("files/mandate.toml", &format!("{head}[allow]\nactions = [\"read\"]\n"));
    let said = world.ok(&["mandate", "check"]);
    assert!(said.contains("4: note: `nightly-build` is no client that we know"), "{said}");
    let said = world.ok(&["mandate", "adopt", "--yes"]);
    assert!(said.contains("`nightly-build` is no client that we know") && said.contains("in force"), "{said}");
    assert!(!is_denied(&world.bash("touch x")), "another agent's");
}

/// What lets agents do more, or takes something from the record, is a person's: not what runs below an agent's program.
/// What holds agents back is anybody's.
#[test]
fn no_agent_allows_itself_more() {
    let world = World::bare();
    let _up = world.up();
    let agent = world.path("claude");
    std::os::unix::fs::symlink("/bin/bash", &agent).unwrap();
    let below = |words: &[&str]| {
        let line = format!("'{}' {}; exit $?", env!("CARGO_BIN_EXE_bailiwick"), words.join(" "));
        world.command(&agent).args(["-c", &line]).output().unwrap()
    };
    let stop = below(&["stop", "--everything"]);
    assert!(stop.status.success(), "{stop:?}");
    for words in [
        vec!["resume", "--everything"],
        vec!["lease", "robot", "--minutes", "5"],
        vec!["ledger", "erase", "--subject", "ada", "--yes"],
        vec!["memory", "forget", "3"],
        vec!["up"],
    ] {
        let output = below(&words);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let refused = said.contains("no agent may allow itself more") || said.contains("an agent may not answer");
        assert!(!output.status.success() && refused, "{words:?}: {said}");
    }
    assert!(world.ok(&["stop"]).contains("everything: denied"));
    world.ok(&["resume", "--everything"]);
}

#[test]
fn a_stop_holds_until_a_person_resumes_it() {
    let world = World::bare();
    let _up = world.up();
    assert!(world.ok(&["stop"]).contains("Nothing is stopped."));
    assert!(!is_denied(&world.bash("ls")));
    let said = world.ok(&["stop", "claude-code", "--because", "odd mails"]);
    assert!(!said.contains("is that its name?"), "{said}");
    // The ledger could not say why, nor that it was.
    let long = "x".repeat(100_000);
    let refused = world.bailiwick(&["stop", "claude-code", "--because", &long]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("too long to be recorded"));
    let said = world.ok(&["stop", "claud-code"]);
    assert!(said.contains("Stopped: agent claud-code") && said.contains("is that its name?"), "{said}");
    world.ok(&["resume", "claud-code"]);
    let answer = world.bash("ls");
    assert!(is_denied(&answer) && answer.to_string().contains("This agent is stopped"), "{answer}");
    let list = world.ok(&["stop"]);
    assert!(list.contains("agent claude-code: denied since") && list.contains("odd mails"), "{list}");
    world.ok(&["resume", "claude-code"]);
    assert_eq!(world.bailiwick(&["resume", "claude-code"]).status.code(), Some(1), "it goes on already");
    assert!(!is_denied(&world.bash("ls")));
    world.ok(&["stop", "--everything"]);
    assert!(is_denied(&world.bash("ls")));
    let stops = world.records().into_iter().filter(|(_, record)| matches!(record, Record::Breaker { .. })).count();
    assert_eq!(stops, 5);
    world.verify();
}

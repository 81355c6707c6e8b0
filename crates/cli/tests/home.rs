//! The home directory over its life: made once and private, kept by every later start, never repaired against its
//! owner's will.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Running, World};

/// Everything below a folder, with its mode. What a gateway writes under another name first may be gone meanwhile.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            meta => meta.unwrap(),
        };
        found.push((path.clone(), meta.permissions().mode() & 0o777));
        if meta.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

/// Ctrl-C, and what the process says until its end.
fn interrupt(world: &World, mut running: Running) {
    let done = Command::new("kill").args(["-INT", &running.0.id().to_string()]).status().unwrap();
    assert!(done.success());
    assert!(running.0.wait().unwrap().success(), "an orderly end is a success");
    assert!(!world.path("bailiwick/run/gateway.sock").exists(), "the socket goes with its gateway");
}

fn verdict(answer: &Value) -> &str {
    answer["hookSpecificOutput"]["permissionDecision"].as_str().unwrap_or("none")
}

#[test]
fn all_that_the_first_start_makes_is_private() {
    let world = World::bare();
    let up = world.up();
    let home = world.path("bailiwick");
    let private = |path: &Path, mode: u32| if path.is_dir() { mode == 0o700 } else { mode == 0o600 };
    let open: Vec<_> = modes(&home).into_iter().filter(|(path, mode)| !private(path, *mode)).collect();
    assert!(open.is_empty(), "others may read {open:?}");
    assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    interrupt(&world, up);
    world.verify();
}

#[test]
fn a_second_start_keeps_keys_policies_and_ledger() {
    let world = World::bare();
    interrupt(&world, world.up());
    let key = fs::read(world.path("bailiwick/keys/ledger.ed25519")).unwrap();
    let entries = world.records().len();
    let edited = world.path("bailiwick/policy/secrets.cedar");
    let deleted = world.path("bailiwick/policy/flow.cedar");
    let text = format!("// mine\n{}", fs::read_to_string(&edited).unwrap());
    fs::write(&edited, &text).unwrap();
    fs::remove_file(&deleted).unwrap();

    interrupt(&world, world.up());
    assert_eq!(fs::read(world.path("bailiwick/keys/ledger.ed25519")).unwrap(), key);
    assert_eq!(fs::read_to_string(&edited).unwrap(), text, "an edited policy stays edited");
    assert!(!deleted.exists(), "a deleted policy stays deleted");
    assert!(world.records().len() > entries);
    world.verify();
}

#[test]
fn without_any_policy_everything_is_denied_and_nothing_comes_back() {
    let world = World::bare();
    interrupt(&world, world.up());
    let folder = world.path("bailiwick/policy");
    for entry in fs::read_dir(&folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let up = world.up();
    let answer = world.bash("ls");
    assert_eq!(verdict(&answer), "deny", "{answer}");
    interrupt(&world, up);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "an emptied folder is its owner's choice");
}

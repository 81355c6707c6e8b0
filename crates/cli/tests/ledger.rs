//! `bailiwick ledger`, as an operator and an auditor use it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::fs;
use std::path::Path;

use support::World;

fn world() -> World {
    World::new(Path::new("no test tools are needed"))
}

/// A line of the output that begins so, without its beginning.
fn after<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find_map(|line| line.trim().strip_prefix(start)).unwrap_or_else(|| panic!("no `{start}` in {text}"))
}

#[test]
fn the_key_changes_and_the_first_one_still_verifies_everything() {
    let world = world();
    let running = world.up();
    let first = world.ok(&["ledger", "key"]);
    let seed = fs::read(world.path("bailiwick/keys/ledger.ed25519")).unwrap();
    assert!(!world.bailiwick(&["ledger", "rotate-key"]).status.success(), "not without `--yes`");
    // Through the running gateway, and again when it is gone.
    let said = world.ok(&["ledger", "rotate-key", "--yes"]);
    assert!(said.contains(first.trim()), "{said}");
    drop(running);
    world.ok(&["ledger", "rotate-key", "--yes"]);
    assert_eq!(world.ok(&["ledger", "key"]), first);
    assert_eq!(world.ok(&["ledger", "key", "--all"]).lines().count(), 3);
    let now = fs::read(world.path("bailiwick/keys/ledger.ed25519")).unwrap();
    assert!(!now.starts_with(&seed), "the old private key is gone");
    let report = world.ok(&["ledger", "verify", "--complete", "--key", first.trim()]);
    assert!(after(&report, "keys").contains("3: the last was announced in entry"), "{report}");

    // A stranger has the proof, the first key and the handovers.
    let proof = world.path("entry.proof").display().to_string();
    world.ok(&["ledger", "prove", "0", "-o", &proof]);
    world.ok(&["ledger", "verify", &proof]);
    let mut handovers: Vec<_> = fs::read_dir(world.path("bailiwick/ledger/handover")).unwrap().flatten().collect();
    handovers.sort_by_key(fs::DirEntry::file_name);
    let handovers: Vec<String> = handovers.iter().map(|entry| entry.path().display().to_string()).collect();
    let empty = world.path("empty").display().to_string();
    let stranger = ["--home", empty.as_str(), "ledger", "verify", &proof, "--key", first.trim()];
    assert!(!world.bailiwick(&stranger).status.success());
    let followed = [&stranger[..], &["--handover", &handovers[0], "--handover", &handovers[1]]].concat();
    world.ok(&followed);
}

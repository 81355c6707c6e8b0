//! `bailiwick ledger`, as an operator and an auditor use it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod support;

use std::fs;
use std::path::Path;

use support::{World, wait_for};

/// A line of the output that begins so, without its beginning.
fn after<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find_map(|line| line.trim().strip_prefix(start)).unwrap_or_else(|| panic!("no `{start}` in {text}"))
}

#[test]
fn the_key_changes_and_the_first_one_still_verifies_everything() {
    let world = World::bare();
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

#[test]
fn the_oldest_entries_move_into_an_archive_that_proves_them() {
    let world = World::bare();
    let running = world.up();
    let log = ledger_of(&world, 600);
    let backup = world.path("backup").display().to_string();
    let said = world.ok(&["--home", &log, "ledger", "archive", &backup, "--before", "512"]);
    assert_eq!(after(&said, "archived   entries 0 to 511, root").len(), 65, "{said}");
    let statement = after(&said, "statement  ").to_owned();
    assert!(!world.bailiwick(&["--home", &log, "ledger", "prune", &statement]).status.success(), "not without `--yes`");
    assert!(world.ok(&["--home", &log, "ledger", "prune", &statement, "--yes"]).contains("begins at entry 512"));
    let report = world.ok(&["--home", &log, "ledger", "verify", "--complete"]);
    assert!(after(&report, "pruned").contains("the first 512 entries: their hashes hold"), "{report}");
    let shown = world.bailiwick(&["--home", &log, "ledger", "show", "7"]);
    assert!(String::from_utf8_lossy(&shown.stderr).contains("was pruned"), "{shown:?}");
    world.ok(&["--home", &log, "ledger", "show", "530"]);
    let stats = world.ok(&["--home", &log, "ledger", "stats"]);
    for part in ["entries", "tiles", "payloads", "objects", "journal"] {
        assert!(!after(&stats, part).is_empty(), "{part}: {stats}");
    }
    let table = world.path("table.parquet").display().to_string();
    let said = world.ok(&["--home", &log, "ledger", "export", &table]);
    assert!(after(&said, "entries").trim().starts_with("512 to "), "what is there: {said}");
    assert!(std::fs::read(&table).unwrap().starts_with(b"PAR1"));
    assert!(!world.bailiwick(&["--home", &log, "ledger", "export", &table]).status.success(), "what is there stays");
    println!("{stats}\n{said}");
    let first = world.ok(&["--home", &log, "ledger", "key"]);
    let stranger = world.path("empty").display().to_string();
    let valid = world.ok(&["--home", &stranger, "ledger", "verify", &statement, "--key", first.trim()]);
    assert!(valid.contains("the entries 0 to 511"), "{valid}");
    // Through a running gateway an order is answered, too; this archive is not of its log.
    let refused = world.bailiwick(&["ledger", "prune", &statement, "--yes"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not of the oldest entries of this log"), "{refused:?}");
    drop(running);
}

#[test]
fn a_copy_is_pushed_to_safe_places_only_and_with_credentials_of_the_environment() {
    let world = World::bare();
    let log = ledger_of(&world, 10);
    let said = |words: &[&str]| {
        let output = world.bailiwick(&[&["--home", &log, "ledger", "push"], words].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["s3://audit/ledger"]).contains("there are no credentials"));
    assert!(said(&["s3://audit/ledger", "--endpoint", "http://storage.example"]).contains("no place for a ledger"));
    assert!(said(&["https://audit.example/ledger"]).contains("no place for a ledger"));
}

#[test]
fn nothing_but_the_homes_own_ledger_is_signed_with_its_key() {
    let world = World::bare();
    let home = ledger_of(&world, 10);
    let (log, copy, none) = (world.path("other/ledger"), world.path("copy"), world.path("none"));
    copy_of(&world, &log, &copy);
    let key = fs::read(world.path("other/keys/ledger.ed25519")).unwrap();
    let before = ledger::Reader::open(&copy).unwrap().len();
    for (dir, because) in [(&copy, "the home's key signs nothing but"), (&none, "there is no ledger")] {
        for words in [&["rotate-key"][..], &["erase", "--subject", "alice"], &["prune", "nothing.json"]] {
            let place = ["--home", home.as_str(), "ledger", "--dir", dir.to_str().unwrap()];
            let refused = world.bailiwick(&[&place[..], words, &["--yes"]].concat());
            assert_eq!(refused.status.code(), Some(2), "{refused:?}");
            assert!(String::from_utf8_lossy(&refused.stderr).contains(because), "{refused:?}");
        }
    }
    assert!(!none.exists(), "nothing was made");
    assert_eq!(ledger::Reader::open(&copy).unwrap().len(), before, "nothing was appended");
    assert_eq!(fs::read(world.path("other/keys/ledger.ed25519")).unwrap(), key);
    // By another path it is the same ledger.
    let same = world.path("files/../other/ledger").display().to_string();
    world.ok(&["--home", &home, "ledger", "--dir", &same, "rotate-key", "--yes"]);
    world.ok(&["--home", &home, "ledger", "verify"]);
}

#[test]
fn damage_is_a_fault_also_where_nothing_can_be_decided_again() {
    let world = World::bare();
    let home = ledger_of(&world, 10);
    let log = world.path("other/ledger");
    let bundle = fs::read_dir(log.join("tile/entries/000.p")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(bundle).unwrap();
    let output = world.bailiwick(&["--home", &home, "ledger", "verify", "--recompute"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("it is missing"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not recomputed: "), "{output:?}");
}

#[test]
fn a_key_that_lies_in_a_ledger_says_nothing_of_who_made_it() {
    let world = World::bare();
    let home = ledger_of(&world, 10);
    let log = world.path("other/ledger");
    fs::remove_dir_all(&log).unwrap();
    // Somebody writes another log with a key of his own, and leaves it there as an import would.
    let key = ledger::SigningKey::generate().unwrap();
    let seed = key.seed().to_vec();
    drop(ledger::Ledger::open(&log, key, ledger::Options::new(jiff::Timestamp::now())).unwrap());
    fs::write(log.join("import.ed25519"), seed).unwrap();
    let refused = world.bailiwick(&["--home", &home, "ledger", "verify"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("no signature by"), "{refused:?}");
    // Elsewhere it is taken, and said to be.
    let elsewhere = world.path("elsewhere");
    copy_of(&world, &log, &elsewhere);
    let place = ["--home", home.as_str(), "ledger", "verify", "--dir", elsewhere.to_str().unwrap()];
    assert!(after(&world.ok(&place), "key ").contains("proves nothing about who made it"));
    let told = world.ok(&[&place[..], &["--recompute", "--format", "json"]].concat());
    let told: serde_json::Value = serde_json::from_str(&told).expect("one object");
    assert!(told["key_from"].as_str().unwrap().ends_with("import.ed25519"), "{told}");
    assert_eq!((&told["recomputed"]["decisions"], &told["faults"]), (&serde_json::json!(0), &serde_json::json!([])));
}

#[test]
fn an_entry_that_was_changed_is_shown_as_such() {
    let world = World::bare();
    let home = ledger_of(&world, 300);
    let show = |format: &str| world.bailiwick(&["--home", &home, "ledger", "show", "7", "--format", format]);
    assert!(String::from_utf8_lossy(&show("text").stdout).contains("· signed"));
    let path = world.path("other/ledger/tile/entries/000");
    let mut changed = fs::read(&path).unwrap();
    // Still entries.
    for at in 0..changed.len() {
        if changed[at..].starts_with(b"\"test\"") {
            changed[at + 2] = b'a';
        }
    }
    fs::write(&path, changed).unwrap();
    for format in ["text", "json"] {
        let shown = show(format);
        assert_eq!(shown.status.code(), Some(1), "{shown:?}");
        assert!(String::from_utf8_lossy(&shown.stdout).contains("DOES NOT VERIFY"), "{shown:?}");
    }
    let proved = world.bailiwick(&["--home", &home, "ledger", "prove", "7"]);
    assert!(!proved.status.success() && proved.stdout.is_empty(), "{proved:?}");
}

#[test]
fn the_tail_goes_on_behind_an_entry_of_an_unknown_kind() {
    let world = World::bare();
    let home = ledger_of(&world, 5);
    let folder = world.path("other/ledger/tile/entries/000.p");
    let bundle = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&bundle).unwrap();
    let known = b"\"event\":\"test\",\"kind\":\"log\"";
    let at = (0..bytes.len()).find(|at| bytes[*at..].starts_with(known)).unwrap();
    bytes[at + known.len() - 3] = b'a';
    fs::write(&bundle, bytes).unwrap();
    let tail = world.ok(&["--home", &home, "ledger", "tail"]);
    assert!(tail.contains("unknown kind `lag`"), "{tail}");
    assert_eq!(tail.lines().count(), 6, "{tail}");
    assert_eq!(world.ok(&["--home", &home, "ledger", "tail", "--format", "json"]).lines().count(), 6);
}

#[test]
fn an_erasure_reaches_what_a_gateway_kept_of_sessions_and_says_what_it_does_not() {
    let world = World::bare();
    let home = ledger_of(&world, 1);
    let erase = || {
        let erased = world.bailiwick(&["--home", &home, "ledger", "erase", "--subject", "codex for ann", "--yes"]);
        (erased.status.code(), String::from_utf8(erased.stdout).unwrap())
    };
    assert_eq!(erase(), (Some(1), "there are no payloads of `codex for ann`\n".to_owned()));
    let folder = world.path("other/gateway/sessions");
    fs::create_dir_all(&folder).unwrap();
    let kept = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    kept("aa.json", r#"{"id":"s1","labels":{"a":"words"},"subjects":["codex for ann"]}"#);
    kept("bb.json", r#"{"id":"s2","labels":{"a":"words"},"subjects":["codex for bob"]}"#);
    kept("cc.json", r#"{"id":"s3","labels":{"a":"words"}}"#);
    kept("dd.json", "damaged words");
    kept("aa.json.0123.new", "half of the words");
    let (code, said) = erase();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("erased what the gateway kept of 3 sessions;") && !said.contains("not erased"), "{said}");
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["bb.json", "forgotten.json"]);
    fs::write(world.path("other/settings.toml"), "[replicas]\nfolder = \"/shared\"\n").unwrap();
    let (code, said) = erase();
    assert!(code == Some(1) && after(&said, "not erased:").contains("`/shared/sessions`"), "{said}");
}

#[test]
fn an_erasure_reaches_what_the_running_gateway_keeps_of_sessions() {
    let world = World::bare();
    let running = world.up();
    let words = "wanda@words.example";
    world.hook(serde_json::json!({"hook_event_name": "UserPromptSubmit", "prompt": format!("write to {words}")}));
    let folder = world.path("bailiwick/gateway/sessions");
    let are_kept = || {
        let files = fs::read_dir(&folder).unwrap().flatten();
        files.filter_map(|file| fs::read_to_string(file.path()).ok()).any(|text| text.contains(words))
    };
    wait_for("the session", || are_kept().then_some(()));
    let subject = world.records().into_iter().find_map(|(_, record)| match record {
        ledger::Record::Prompt { payload, .. } => Some(payload.subject),
        _ => None,
    });
    let said = world.ok(&["ledger", "erase", "--subject", &subject.unwrap(), "--yes"]);
    assert!(said.contains("are erased") && said.contains("erased what the gateway kept of 1 session;"), "{said}");
    assert!(!are_kept());
    // Nor do they come back, now or at the end.
    world.bash("ls");
    drop(running);
    assert!(!are_kept());
    world.verify();
}

#[test]
fn the_homes_witnesses_are_demanded_where_none_is_named() {
    let world = World::bare();
    let home = ledger_of(&world, 3);
    let key = |seed: u8| {
        let key = ledger::SigningKey::from_seed(&[seed; 32]).unwrap();
        key.named(&format!("witness-{seed}")).unwrap().witness_key().to_string()
    };
    let verify = |words: &[&str]| {
        let output = world.bailiwick(&[&["--home", &home, "ledger", "verify"][..], words].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(verify(&[]).0, Some(0));
    world.ok(&["--home", &home, "ledger", "witness", "add", "http://127.0.0.1:1", "--key", &key(1)]);
    world.ok(&["--home", &home, "ledger", "witness", "add", "http://127.0.0.1:2", "--key", &key(1)]);
    let (code, text) = verify(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("by 0 of 1 witnesses") && text.contains("FAULT      checkpoint: ") && text.contains("witness-1"),
        "{text}"
    );
    let (code, named) = verify(&["--witness", &key(2)]);
    assert!(code == Some(1) && named.contains("witness-2") && !named.contains("witness-1"), "{named}");
    let json: serde_json::Value = serde_json::from_str(&verify(&["--format", "json"]).1).unwrap();
    assert_eq!((&json["demanded"], json["faults"].as_array().unwrap().len()), (&serde_json::json!(["witness-1"]), 1));
    // What is no log of the home has no witnesses by its settings.
    copy_of(&world, &world.path("other/ledger"), &world.path("copy"));
    let copy = world.path("copy").display().to_string();
    let first = world.ok(&["--home", &home, "ledger", "key"]);
    assert_eq!(verify(&["--dir", &copy, "--key", first.trim()]).0, Some(0));
    world.ok(&["--home", &home, "ledger", "witness", "remove", "http://127.0.0.1:1"]);
    world.ok(&["--home", &home, "ledger", "witness", "remove", "http://127.0.0.1:2"]);
    assert_eq!(verify(&[]).0, Some(0));
}

#[test]
fn what_was_signed_and_is_no_entry_is_told_as_such() {
    let world = World::bare();
    let key = ledger::SigningKey::from_seed(&[4; 32]).unwrap();
    let entry = b"\x1b[2Jno entry".to_vec();
    let root = ledger::tree::leaf_hash(&entry);
    let checkpoint = key.sign(ledger::note::Checkpoint { origin: key.name().to_owned(), size: 1, root });
    let proof = ledger::proof::Proof { index: 0, entry, hashes: Vec::new(), checkpoint };
    let (path, public) = (world.path("odd.proof").display().to_string(), key.verifying_key().to_string());
    fs::write(&path, proof.to_string()).unwrap();
    let words = ["ledger", "verify", &path, "--key", &public];
    let text = world.ok(&words);
    assert!(text.starts_with("valid: entry 0") && text.contains("no entry") && !text.contains('\x1b'), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&world.ok(&[&words[..], &["--format", "json"]].concat())).unwrap();
    assert!(json["valid"] == true && json["entry"].as_str().unwrap().ends_with("no entry"), "{json}");
}

#[test]
fn a_witness_cosigns_for_logs_alone() {
    let world = World::bare();
    let key = ledger::SigningKey::generate().unwrap().witness_key().to_string();
    let refused = world.bailiwick(&["witness", "--log", &key]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("this is a witness's key"), "{refused:?}");
}

/// A copy of a folder with all that is in it.
fn copy_of(world: &World, from: &Path, to: &Path) {
    assert!(world.command("cp").arg("-r").args([from, to]).status().unwrap().success());
}

/// A home with a ledger of so many entries.
fn ledger_of(world: &World, entries: u64) -> String {
    let home = world.path("other");
    fs::create_dir_all(home.join("keys")).unwrap();
    let key = ledger::SigningKey::generate().unwrap();
    fs::write(home.join("keys/ledger.ed25519"), key.seed()).unwrap();
    let (ledger, _) =
        ledger::Ledger::open(&home.join("ledger"), key, ledger::Options::new(jiff::Timestamp::now())).unwrap();
    for _ in 0..entries {
        let record = ledger::Record::Log { event: "test".to_owned(), details: serde_json::Map::new() };
        ledger.append(record, jiff::Timestamp::now()).unwrap();
    }
    ledger.seal().unwrap();
    home.display().to_string()
}

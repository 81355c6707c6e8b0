//! Our logs verify with implementations that are not ours, and theirs with ours.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests, too")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::*;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{InclusionProof, RootHash};
use ledger::note::SignedCheckpoint;
use ledger::tree::{leaf_hash, verify_consistency, verify_inclusion};
use ledger::{Reader, SigningKey};
use sha2::Sha256;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{Tile, TileHashReader, TileReader};

fn log_of(calls: u64) -> (tempfile::TempDir, Reader) {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    for sequence in 1..=calls {
        call(&ledger, sequence);
    }
    drop(ledger);
    let reader = Reader::open(dir.path()).unwrap();
    (dir, reader)
}

/// Reads our directory as a `tlog_tiles` client would; its paths name the tile height, C2SP's do not.
struct Directory(PathBuf);

impl TileReader for Directory {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let path = |tile: &Tile| self.0.join(tile.path().replace("tile/8/", "tile/"));
        Ok(tiles.iter().map(|tile| fs::read(path(tile)).unwrap_or_else(|_| panic!("{}", tile.path()))).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[test]
fn signed_note_and_tlog_tiles_verify_our_log() {
    let (dir, reader) = log_of(400);
    let verifier = StandardVerifier::new(&key().verifying_key().to_string()).unwrap();
    let note = Note::from_bytes(&fs::read(dir.path().join("checkpoint")).unwrap()).unwrap();
    let (verified, _) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
    assert_eq!(verified.len(), 1);
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(checkpoint.size(), 801);

    let directory = Directory(dir.path().to_owned());
    let hashes = TileHashReader::new(checkpoint.size(), *checkpoint.hash(), &directory);
    for index in [0, 1, 255, 256, 511, 512, 799, 800] {
        let theirs = tlog_tiles::prove_record(checkpoint.size(), index, &hashes).unwrap();
        let ours = reader.prove(index).unwrap();
        assert_eq!(theirs.iter().map(|hash| hash.0).collect::<Vec<_>>(), ours.hashes, "entry {index}");
        let leaf = tlog_tiles::record_hash(&ours.entry);
        tlog_tiles::check_record(&theirs, checkpoint.size(), *checkpoint.hash(), index, leaf).unwrap();
    }
    for old in [1, 2, 255, 256, 257, 600, 800] {
        let theirs = tlog_tiles::prove_tree(checkpoint.size(), old, &hashes).unwrap();
        let ours = reader.prove_consistency(old).unwrap();
        assert_eq!(theirs.iter().map(|hash| hash.0).collect::<Vec<_>>(), ours, "from {old}");
        let root = tlog_tiles::tree_hash(old, &hashes).unwrap();
        assert!(verify_consistency((old, &root.0), (checkpoint.size(), &checkpoint.hash().0), &ours));
    }
}

#[test]
fn we_verify_their_notes() {
    let key = SigningKey::from_seed(&[11; 32]).unwrap();
    let public = key.verifying_key().to_string();
    let id = public.split('+').nth(1).unwrap();
    let seed = BASE64.encode([&[1], key.seed()].concat());
    let signer = StandardSigner::new(&format!("PRIVATE+KEY+{}+{id}+{seed}", key.name())).unwrap();
    let text = format!("{}\n7\n{}\n", key.name(), BASE64.encode([9; 32]));
    let mut note = Note::new(text.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let signed = SignedCheckpoint::open(&note.to_bytes(), &key.verifying_key()).unwrap();
    assert_eq!(signed.checkpoint.size, 7);
}

#[test]
fn ct_merkle_and_we_verify_each_other() {
    let (_dir, reader) = log_of(150);
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let entries: Vec<Vec<u8>> = reader.raw(0..u64::MAX).map(|item| item.unwrap().1).collect();
    entries.iter().for_each(|entry| tree.push(entry.clone()));
    let checkpoint = reader.checkpoint().unwrap().checkpoint.clone();
    assert_eq!(tree.root().as_bytes().as_slice(), checkpoint.root);
    let root = RootHash::<Sha256>::new(checkpoint.root.into(), checkpoint.size);
    for (index, entry) in entries.iter().enumerate() {
        let theirs = tree.prove_inclusion(index);
        let (hashes, _) = theirs.as_bytes().as_chunks::<32>();
        assert!(verify_inclusion(&leaf_hash(entry), index as u64, checkpoint.size, hashes, &checkpoint.root));
        let ours = reader.prove(index as u64).unwrap().hashes.concat();
        root.verify_inclusion(entry, index as u64, &InclusionProof::try_from_bytes(ours).unwrap()).unwrap();
    }
}

fn python(proof: &Path, key: &str) -> (bool, String) {
    python_with(proof, key, &[])
}

fn python_with(proof: &Path, key: &str, handovers: &[PathBuf]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/verify.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(proof).arg(key);
    if !handovers.is_empty() {
        command.arg("--handover").args(handovers);
    }
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_verifier_in_python_knows_only_the_specification() {
    let (dir, reader) = log_of(140);
    let path = dir.path().join("entry.proof");
    let public = key().verifying_key().to_string();
    for index in [0, 137, 280] {
        let proof = reader.prove(index).unwrap();
        fs::write(&path, proof.to_string()).unwrap();
        let (valid, text) = python(&path, &public);
        assert!(valid, "{text}");
        assert!(text.contains(&format!("entry {index}")), "{text}");
        for bent in [
            proof.to_string().replace(&format!("index {index}"), &format!("index {}", index + 1)),
            proof.to_string().replace("extra eyJ", "extra eyA"),
            proof.to_string().replacen("\n281\n", "\n282\n", 1),
        ] {
            fs::write(&path, &bent).unwrap();
            assert!(!python(&path, &public).0, "{bent}");
        }
    }
    let proof = reader.prove(5).unwrap();
    fs::write(&path, proof.to_string()).unwrap();
    let other = SigningKey::from_seed(&[4; 32]).unwrap().verifying_key().to_string();
    assert!(!python(&path, &other).0);
}

#[test]
fn the_verifier_in_python_follows_the_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let mut proofs = Vec::new();
    for seed in [31, 32, 33] {
        let index = call(&ledger, seed);
        ledger.seal().unwrap();
        proofs.push(Reader::open(dir.path()).unwrap().prove(index).unwrap());
        let next = SigningKey::from_seed(&[seed as u8; 32]).unwrap().named(key().name()).unwrap();
        ledger.hand_over(next, now()).unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    // Over the very checkpoint that was signed by the old key and by the new one.
    proofs.push(reader.prove(reader.checkpoint().unwrap().checkpoint.size - 1).unwrap());
    let public = key().verifying_key().to_string();
    let handovers: Vec<PathBuf> =
        reader.handovers().unwrap().iter().map(|(index, _)| dir.path().join(format!("handover/{index:08}"))).collect();
    let path = dir.path().join("entry.proof");
    for (rotations, proof) in proofs.iter().enumerate() {
        fs::write(&path, proof.to_string()).unwrap();
        for given in 0..=handovers.len() {
            let (valid, text) = python_with(&path, &public, &handovers[..given]);
            assert_eq!(valid, given >= rotations, "{rotations} {given} {text}");
        }
        let (valid, _) = python_with(&path, &public, &handovers[1..]);
        assert!(!valid, "one is left out");
    }
}

/// The next letter of base64: of one that stands before the padding it changes only bits that decode to nothing.
fn next_letter(text: &str) -> String {
    let at = text.trim_end_matches('=').len() - 1;
    let next = char::from(text.as_bytes()[at] + 1);
    format!("{}{next}{}", &text[..at], &text[at + 1..])
}

/// The signature line of any text, by the log's own key.
fn signed_by_the_log(text: &str) -> String {
    let (key, public) = (key(), key().verifying_key());
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(key.seed()).unwrap();
    let bytes = [&public.key_id()[..], pair.sign(text.as_bytes()).as_ref()].concat();
    format!("— {} {}", public.name(), BASE64.encode(bytes))
}

#[test]
fn sloppy_proofs_hold_for_neither_verifier() {
    let (dir, reader) = log_of(20);
    let proof = reader.prove(7).unwrap();
    let (whole, path, public) = (proof.to_string(), dir.path().join("sloppy.proof"), key().verifying_key());
    let line = |start: &str| whole.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let (signed, hash) = (line("— "), whole.lines().nth(3).unwrap().to_owned());
    let root = BASE64.encode(reader.checkpoint().unwrap().checkpoint.root);
    let short = format!("— other {}", BASE64.encode([1, 2, 3, 4]));
    let long = BASE64.encode([1; 68]);
    let before = |more: &str| whole.replace(&signed, &format!("{more}\n{signed}"));
    for (what, text, holds) in [
        ("as it is", whole.clone(), true),
        ("another signature", before(&format!("— other {long}")), true),
        ("trailing bits of a hash", whole.replace(&hash, &next_letter(&hash)), false),
        ("trailing bits of the root", whole.replace(&root, &next_letter(&root)), false),
        ("a line feed in base64", whole.replace(&hash, &format!("{hash} ")), false),
        ("a hyphen for a dash", before(&format!("- other {long}")), false),
        ("a plus in a name", before(&format!("— oth+er {long}")), false),
        ("white space at the end of a name", before(&format!("— other\t {long}")), false),
        ("other white space before a name", before(&format!("— \u{a0}other {long}")), false),
        ("no name", before(&format!("—  {long}")), false),
        ("four bytes of signature", before(&short), false),
        ("an empty line", before(""), false),
        ("an index with a zero", whole.replace("\nindex 7\n", "\nindex 07\n"), false),
    ] {
        fs::write(&path, &text).unwrap();
        let ours = text.parse::<ledger::proof::Proof>().is_ok_and(|proof| proof.verify(&public).is_ok());
        let (theirs, said) = python(&path, &public.to_string());
        assert_eq!((ours, theirs), (holds, holds), "{what}: {said}");
        assert_eq!(said.starts_with("valid"), holds, "{what}: {said}");
    }
    for (line, holds) in [("more", true), ("mo\tre", false), ("mo\rre", false), ("mo\0re", false), ("mo\u{7f}re", true)]
    {
        let text = format!("{}\n{}\n{root}\n{line}\n", public.name(), reader.checkpoint().unwrap().checkpoint.size);
        let signed = signed_by_the_log(&text);
        let head = whole.split_once("\n\n").unwrap().0;
        let proof = format!("{head}\n\n{text}\n{signed}\n");
        fs::write(&path, &proof).unwrap();
        let ours = proof.parse::<ledger::proof::Proof>().is_ok_and(|proof| proof.verify(&public).is_ok());
        let (theirs, said) = python(&path, &public.to_string());
        assert_eq!((ours, theirs), (holds, holds), "{line:?}: {said}");
    }
    let text = format!("{}\n5\n{root}\n", public.name());
    assert!(text.parse::<ledger::note::Checkpoint>().is_ok());
    assert!(format!("{text}more\n").parse::<ledger::note::Checkpoint>().is_ok());
    assert!(format!("{text}\nmore\n").parse::<ledger::note::Checkpoint>().is_err(), "an empty extension line");
}

#[test]
fn odd_handovers_hand_nothing_over() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let (public, next) =
        (key().verifying_key(), SigningKey::from_seed(&[31; 32]).unwrap().named(key().name()).unwrap());
    let (from, to) = (public.to_string(), next.verifying_key().to_string());
    let odd = [
        serde_json::json!({"from": 5, "to": to}),
        serde_json::json!({"from": from, "to": [to]}),
        serde_json::json!({"from": from, "to": format!("{to} ")}),
        serde_json::json!({"from": from, "to": next.witness_key().to_string()}),
        serde_json::json!({"to": to}),
        serde_json::json!({"from": from, "to": to}),
    ];
    let entries: Vec<u64> = odd
        .iter()
        .map(|details| {
            let details = details.as_object().unwrap().clone();
            append(&ledger, ledger::Record::Log { event: "rotated".to_owned(), details })
        })
        .collect();
    ledger.seal().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let (path, handover) = (dir.path().join("entry.proof"), dir.path().join("odd.handover"));
    fs::write(&path, reader.prove(0).unwrap().to_string()).unwrap();
    let (last, entries) = entries.split_last().unwrap();
    let sound = reader.prove(*last).unwrap();
    for entry in entries {
        let proof = reader.prove(*entry).unwrap();
        fs::write(&handover, proof.to_string()).unwrap();
        let (theirs, said) = python_with(&path, &from, std::slice::from_ref(&handover));
        // A traceback would be no answer.
        assert!(!theirs && said.starts_with("not valid"), "{said}");
        assert!(ledger::handover::Chain::new(public.clone()).follow(&proof).is_err(), "{entry}");
    }
    ledger::handover::Chain::new(public).follow(&sound).unwrap();
}

#[test]
fn the_verifier_in_python_tells_keys_apart() {
    let (dir, reader) = log_of(3);
    let path = dir.path().join("entry.proof");
    fs::write(&path, reader.prove(1).unwrap().to_string()).unwrap();
    let (log, witness) = (key().verifying_key().to_string(), key().witness_key().to_string());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/verify.py");
    for (keys, code) in [
        (vec![&log], 0),
        (vec![&log, &witness], 1),
        (vec![&witness], 2),
        (vec![&log, &log], 2),
        (vec![&log, &witness, &witness], 2),
    ] {
        let output = Command::new("python3").arg(&script).arg(&path).args(&keys).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{keys:?}");
    }
}

//! Day one: what an agent did before, as a ledger that can be verified, told and run again under policies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests, too")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn bailiwick(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bailiwick")).env("BAILIWICK_HOME", home).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A transcript as Claude Code keeps it: a page is read, and a command is run that stood on it.
fn transcript() -> String {
    let line = |value: Value| value.to_string();
    let assistant = |id: &str, name: &str, input: Value| {
        line(json!({"type": "assistant", "sessionId": "day-one", "timestamp": "2026-01-02T03:04:05Z",
            "message": {"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": name, "input": input}]}}))
    };
    let result = |id: &str, text: &str| {
        line(json!({"type": "user", "sessionId": "day-one", "timestamp": "2026-01-02T03:04:06Z",
            "message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": text}]}}))
    };
    [
        line(json!({"type": "user", "sessionId": "day-one", "timestamp": "2026-01-02T03:04:04Z",
            "message": {"role": "user", "content": "Read the notes and fetch what they name"}})),
        assistant("t1", "Read", json!({"file_path": "/project/notes.md"})),
        result("t1", "see https://pages.example/setup?key=1234567"),
        assistant("t2", "WebFetch", json!({"url": "https://pages.example/setup?key=1234567", "prompt": "what is it"})),
        result("t2", "a page"),
        assistant("t3", "Read", json!({"file_path": "/home/u/.ssh/id_ed25519"})),
    ]
    .join("\n")
}

#[test]
fn a_transcript_becomes_a_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let (home, log, policy) = (dir.path().join("home"), dir.path().join("log"), dir.path().join("policy"));
    std::fs::write(dir.path().join("session.jsonl"), transcript()).unwrap();
    let (source, into) = (dir.path().join("session.jsonl"), log.to_str().unwrap());
    let import = bailiwick(&home, &["import", source.to_str().unwrap(), "--into", into]);
    assert!(import.status.success(), "{}", said(&import));
    assert!(said(&import).contains("1 session with 1 prompt, 3 calls and 2 results"), "{}", said(&import));
    assert!(!bailiwick(&home, &["import", source.to_str().unwrap(), "--into", into]).status.success(), "not twice");

    let verify = bailiwick(&home, &["ledger", "verify", "--dir", into, "--complete", "--recompute"]);
    assert!(verify.status.success(), "{}", said(&verify));
    assert!(said(&verify).contains("3 decisions recomputed, 0 differ"), "{}", said(&verify));

    let trace = bailiwick(&home, &["trace", "day-one", "--dir", into]);
    let text = said(&trace);
    assert!(text.contains("session day-one: claude-code for user"), "{text}");
    assert!(text.contains("PERMIT claude-code/WebFetch"), "{text}");
    assert!(text.contains("Claude Code transcript"), "{text}");
    let spans = bailiwick(&home, &["trace", "day-one", "--dir", into, "--format", "otel"]);
    let (exported, again) = (dir.path().join("spans.json"), dir.path().join("again"));
    std::fs::write(&exported, &spans.stdout).unwrap();
    let spans: Value = serde_json::from_slice(&spans.stdout).unwrap();
    assert_eq!(spans["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len(), 4);
    // What is exported comes back as the same calls of the same agent.
    let import = bailiwick(&home, &["import", exported.to_str().unwrap(), "--into", again.to_str().unwrap()]);
    assert!(said(&import).contains("1 session with 0 prompts, 3 calls"), "{}", said(&import));
    let calls = |of: &str| {
        let story = bailiwick(&home, &["trace", "day-one", "--dir", of, "--format", "json"]);
        let story: Value = serde_json::from_slice(&story.stdout).unwrap();
        let steps = story["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "call");
        let calls: Vec<Value> = steps.map(|step| json!([step["tool"], step["arguments"]])).collect();
        (story["principal"]["agent"].clone(), calls)
    };
    assert_eq!(calls(again.to_str().unwrap()), calls(into));
    assert!(said(&bailiwick(&home, &["trace", "--dir", into])).contains("day-one"));
    let all = bailiwick(&home, &["trace", "--dir", into, "--format", "otel"]);
    assert_eq!((all.status.code(), all.stdout.as_slice()), (Some(2), &[][..]), "{}", said(&all));

    std::fs::create_dir(&policy).unwrap();
    let rule = "@id(\"all\") permit (principal, action, resource);\n@id(\"no-web\") forbid (principal, action == Action::\"claude-code/WebFetch\", resource);";
    std::fs::write(policy.join("rule.cedar"), rule).unwrap();
    let arguments = ["whatif", "--dir", into, "--policy", policy.to_str().unwrap()];
    let found = bailiwick(&home, &[&arguments[..], &["--fail-on", "permit-deny"]].concat());
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    assert!(said(&found).contains("1 × permit → deny  claude-code claude-code/WebFetch"), "{}", said(&found));
    let mistyped = bailiwick(&home, &[&arguments[..], &["--fail-on", "any", "--agent", "claude"]].concat());
    assert_eq!(mistyped.status.code(), Some(2), "{}", said(&mistyped));
    assert!(said(&mistyped).contains("there are: claude-code"), "{}", said(&mistyped));
    let fine = bailiwick(&home, &[&arguments[..], &["--fail-on", "deny→permit", "--format", "json"]].concat());
    assert_eq!(fine.status.code(), Some(0), "{}", said(&fine));
    let fine: Value = serde_json::from_slice(&fine.stdout).unwrap();
    assert_eq!((&fine["decisions"], &fine["unknown"]["results_gone"]), (&json!(3), &json!(1)));
    let page = bailiwick(&home, &[&arguments[..], &["--format", "html"]].concat());
    assert!(said(&page).starts_with("<!doctype html>"));

    // One entry that nobody can read ends nothing, is told, and keeps a check from passing.
    let bundle = std::fs::read_dir(log.join("tile/entries/000.p")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&bundle).unwrap();
    let at = bytes.windows(13).position(|window| window == b"\"status\":\"ok\"").unwrap();
    bytes[at + 11] = b'x';
    std::fs::write(&bundle, bytes).unwrap();
    for (told, parts) in [
        (
            &["trace", "day-one", "--dir", into][..],
            &["it cannot be read: unknown variant `ox`", "PERMIT claude-code/WebFetch", "may be in entry"][..],
        ),
        (&["trace", "--dir", into][..], &["day-one", "it cannot be read"][..]),
        (
            &arguments[..],
            &[
                "1 × permit → deny  claude-code claude-code/WebFetch",
                "it cannot be read (session `day-one`)",
                "; 1 entry unreadable",
                "2 decisions come after an entry that cannot be read",
            ][..],
        ),
    ] {
        let output = bailiwick(&home, told);
        let text = said(&output);
        assert_eq!((output.status.code(), parts.iter().find(|part| !text.contains(**part))), (Some(2), None), "{text}");
    }
}

/// The sentences that `docs/labels.md` quotes are those that a replay of its examples says.
#[test]
fn the_documented_examples_are_told_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let examples = docs.join("examples/labels.jsonl");
    let mut told = String::new();
    for session in ["reply", "invite", "spent"] {
        told += &said(&bailiwick(dir.path(), &["replay", examples.to_str().unwrap(), "--session", session]));
    }
    let page = std::fs::read_to_string(docs.join("labels.md")).unwrap();
    let mut quotes = vec![String::new()];
    for line in page.lines().map(str::trim) {
        match line.strip_prefix("> ") {
            Some(quoted) => quotes.last_mut().unwrap().push_str(&format!("{quoted} ")),
            None => quotes.push(String::new()),
        }
    }
    let quotes: Vec<&str> = quotes.iter().map(|quote| quote.trim()).filter(|quote| !quote.is_empty()).collect();
    assert_eq!(quotes.len(), 2);
    for quote in quotes {
        assert!(told.contains(quote), "{quote}\n{told}");
    }
    // With one address on the page the user points at it; with two it is asked about.
    assert_eq!(told.matches("would ask:").count(), 3, "{told}");
    assert!(told.contains("where the user pointed"), "{told}");
}

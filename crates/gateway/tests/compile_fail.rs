//! A skipped, repeated or forged step of the pipeline does not compile, and for the reason that is meant:
//! each snippet must fail with one error code, and its twin, which does it right, must compile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a snippet starts with.
const HEAD: &str = "#![allow(unused)]
use gateway::call::{Plumbing, Request};
use gateway::pipeline::{Act, Judged, Journal, Permit, Recorded, Verdict};
use gateway::upstream::Link;
";

struct Case {
    name: &'static str,
    code: &'static str,
    wrong: &'static str,
    right: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "a permit is not made by hand",
        code: "E0451",
        wrong: "pub fn f(call: Request, action: Box<policy::Action>, act: Act, receipt: ledger::Receipt) -> Permit<Request> { Permit { call, action, act, _receipt: receipt } }",
        right: "pub fn f(recorded: Recorded<Request>) -> Verdict<Request> { recorded.verdict() }",
    },
    Case {
        name: "a permit is spent once",
        code: "E0382",
        wrong: "pub async fn f(link: &Link, permit: Permit<Request>) { let _ = link.send(permit).await; let _ = link.send(permit).await; }",
        right: "pub async fn f(link: &Link, permit: Permit<Request>) { let _ = link.send(permit).await; }",
    },
    Case {
        name: "a permit is not copied",
        code: "E0277",
        wrong: "pub fn f(permit: &Permit<Request>) -> Permit<Request> { Permit::clone(permit) }",
        right: "pub fn f(permit: &Permit<Request>) -> u64 { Permit::intent(permit) }",
    },
    Case {
        name: "a judgement that is not recorded has no verdict",
        code: "E0599",
        wrong: "pub fn f(judged: Judged<Request>) -> Verdict<Request> { judged.verdict() }",
        right: "pub async fn f(judged: Judged<Request>, journal: &Journal) -> Option<Verdict<Request>> { Some(judged.record(journal).await.ok()?.verdict()) }",
    },
    Case {
        name: "a judgement is recorded once",
        code: "E0382",
        wrong: "pub async fn f(judged: Judged<Request>, journal: &Journal) { let _ = judged.record(journal).await; let _ = judged.record(journal).await; }",
        right: "pub async fn f(judged: Judged<Request>, journal: &Journal) { let _ = judged.record(journal).await; }",
    },
    Case {
        name: "a request does not go upstream without a permit",
        code: "E0308",
        wrong: "pub async fn f(link: &Link, request: Request) { let _ = link.send(request).await; }",
        right: "pub async fn f(link: &Link, request: Permit<Request>) { let _ = link.send(request).await; }",
    },
    Case {
        name: "a request does not go upstream as plumbing",
        code: "E0451",
        wrong: "pub async fn f(link: &Link, request: Request) { let raw = request.raw().clone(); let _ = link.pass(&Plumbing { raw }).await; }",
        right: "pub async fn f(link: &Link, plumbing: &Plumbing) { let raw = plumbing.raw().clone(); let _ = link.pass(plumbing).await; }",
    },
    Case {
        name: "a permit is spent only by sending",
        code: "E0624",
        wrong: "pub fn f(permit: Permit<Request>) { let _ = permit.spend(); }",
        right: "pub fn f(permit: Permit<Request>) { let _ = permit.intent(); }",
    },
    Case {
        name: "a receipt is made by the ledger alone",
        code: "E0451",
        wrong: "pub fn f(old: &ledger::Receipt) -> ledger::Receipt { ledger::Receipt { index: 0, leaf_hash: *old.leaf_hash() } }",
        right: "pub async fn f(append: ledger::Append) -> Option<ledger::Receipt> { append.await.ok() }",
    },
    Case {
        name: "an act ends once",
        code: "E0382",
        wrong: "pub fn f(act: Act, a: gateway::pipeline::Ending, b: gateway::pipeline::Ending) { act.end(a); act.end(b); }",
        right: "pub fn f(act: Act, a: gateway::pipeline::Ending) { act.end(a); }",
    },
];

#[test]
fn a_wrong_order_of_steps_does_not_compile() {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let scratch = tempfile::tempdir().unwrap();
    let libraries = libraries(&deps, scratch.path());
    let mut faults = Vec::new();
    for case in CASES {
        match (compile(&libraries, scratch.path(), case.wrong), compile(&libraries, scratch.path(), case.right)) {
            (Err(codes), Ok(())) if codes == [case.code] => {}
            (wrong, right) => {
                faults.push(format!("{}: wanted [{}], got {wrong:?}; twin: {right:?}", case.name, case.code))
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The error codes, if it does not compile.
fn compile(libraries: &[Library], scratch: &Path, body: &str) -> Result<(), Vec<String>> {
    let source = scratch.join("snippet.rs");
    std::fs::write(&source, format!("{HEAD}{body}\n")).unwrap();
    let mut command = Command::new(option_env!("RUSTC").unwrap_or("rustc"));
    command.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--error-format=json"]);
    command.arg("--out-dir").arg(scratch);
    for (name, path) in libraries {
        command.arg("--extern").arg(format!("{name}={}", path.display()));
        command.arg("-L").arg(format!("dependency={}", path.parent().unwrap().display()));
    }
    let output = command.arg(&source).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8(output.stderr).unwrap();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut codes: Vec<String> = messages
        .filter_map(|message| Some(message["code"]["code"].as_str()?.to_owned()))
        .filter(|code| code.starts_with('E'))
        .collect();
    codes.sort();
    codes.dedup();
    Err(if codes.is_empty() { vec![text] } else { codes })
}

/// A crate's name, and its library.
type Library = (&'static str, PathBuf);

/// Compiles where a library of policy and one of the ledger are those that gateway was built with.
const PROBE: &str = "pub fn f(journal: &Journal) -> (&ledger::Ledger, Vec<policy::ToolFacts>) { (journal.ledger(), gateway::built_in_tools().collect()) }";

/// The libraries as they were built for this test. A folder that was built into in several ways has more by these names.
fn libraries(deps: &Path, scratch: &Path) -> [Library; 3] {
    let gateway = built(deps, "gateway").remove(0);
    let ledgers = built(deps, "ledger");
    let all = built(deps, "policy").into_iter().flat_map(|policy| {
        let gateway = gateway.clone();
        ledgers
            .iter()
            .map(move |ledger| [("gateway", gateway.clone()), ("policy", policy.clone()), ("ledger", ledger.clone())])
    });
    let mut fitting = all.filter(|libraries| compile(libraries, scratch, PROBE).is_ok());
    fitting.next().expect("libraries that were built together")
}

/// Every library of the crate, the newest first.
fn built(deps: &Path, name: &str) -> Vec<PathBuf> {
    let prefix = format!("lib{name}-");
    let files = std::fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        let file = path.file_name().unwrap().to_string_lossy();
        file.starts_with(&prefix) && file.ends_with(".rlib")
    };
    let mut ours: Vec<PathBuf> = files.filter(is_ours).collect();
    ours.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().modified().unwrap()));
    ours
}

//! `whatif` over a long log. The log is written by the importer, so with the labels, results and policies that a gateway
//! would have recorded; what has to flip is known from how it is made. `whatif` then runs in a process of its own, so that
//! the peak of its memory is its own, too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use ::ledger::{Ledger, Options, Reader, SigningKey};
use anyhow::Context as _;
use gateway::replay::import::{Begun, Course, Importer, Tools};
use gateway::replay::whatif::{WhatIf, Window, whatif};
use gateway::replay::{Verdict, recompute};
use jiff::Timestamp;
use policy::ToolId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ledger::cpu_time;
use crate::memory::peak_mib;

/// `whatif` and `verify --recompute` over a log of a million entries, flips checked.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// About so many entries in the log.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Where the log is made, in a temporary folder.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Only run on the log that is there, and print as JSON what came of it.
    #[arg(long, hide = true)]
    on: Option<PathBuf>,
}

/// Calls in a session; each is two entries, and the prompt one.
const CALLS: u64 = 20;
/// The call that fetches a page, and the one that sends a mail.
const FETCHES: u64 = 3;
const MAILS: u64 = CALLS - 1;
/// So many sessions go on side by side.
const AT_ONCE: u64 = 32;

/// The other policies: one judges who calls what, the other where a value came from.
const OTHER: &str = r#"
@id("allow") @reason("Everything else goes.") permit (principal, action, resource);
@id("no-scraping") @reason("The scraper fetches nothing.")
forbid (principal == Agent::"scraper", action == Action::"web/fetch_page", resource);
@id("no-led-mail") @reason("A page chose who gets this.")
forbid (principal, action == Action::"mail/send_email", resource)
when { context.flow.untrusted.contains("recipient") };
"#;

/// What a session does beside reading and writing files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// Mails whom the user named.
    Asked,
    /// Mails whom a page named: flips where the labels are as recorded.
    Led,
    /// The same, but the page may not be fetched: that flips, and nothing names anybody to the mail any more.
    Cut,
    /// Neither.
    Quiet,
}

struct Session {
    number: u64,
    plan: Plan,
}

impl Session {
    fn new(number: u64) -> Self {
        let plan = [Plan::Asked, Plan::Led, Plan::Cut, Plan::Quiet];
        Self { number, plan: plan.get((number % 4) as usize).copied().unwrap_or(Plan::Quiet) }
    }

    fn agent(&self) -> &'static str {
        match (self.plan, self.number / 4 % 3) {
            (Plan::Cut, _) => "scraper",
            (_, 0) => "assistant",
            (_, 1) => "planner",
            _ => "reviewer",
        }
    }

    fn address(&self) -> String {
        format!("desk-{}@example.net", self.number)
    }

    fn prompt(&self) -> String {
        let number = self.number;
        match self.plan {
            Plan::Asked => format!("Sum up project {number} and send an email with that to {}.", self.address()),
            Plan::Led | Plan::Cut => {
                format!("Read https://news.example.org/item/{number} and send an email to whoever asks for one there.")
            }
            Plan::Quiet => format!("Tidy up the notes of project {number}."),
        }
    }

    /// The tool, the arguments and the result of a call.
    fn call(&self, turn: u64) -> (&'static str, &'static str, Value, Value) {
        let number = self.number;
        match (self.plan, turn) {
            (Plan::Led | Plan::Cut, FETCHES) => {
                let url = format!("https://news.example.org/item/{number}");
                let text = format!("Item {number}. {} Write to {} for the details.", words(number), self.address());
                ("web", "fetch_page", json!({ "url": url }), json!({ "text": text }))
            }
            (Plan::Asked | Plan::Led | Plan::Cut, MAILS) => {
                let body = format!("Project {number}: {}", words(number + turn));
                let arguments = json!({ "recipient": self.address(), "subject": "The summary", "body": body });
                ("mail", "send_email", arguments, json!({ "sent": true }))
            }
            _ if turn % 5 == 4 => {
                let arguments = json!({ "path": format!("/srv/project-{number}/summary-{turn}.md"), "content": words(number * turn) });
                ("files", "write_file", arguments, json!({ "written": true }))
            }
            _ => {
                let path = format!("/srv/project-{number}/notes-{turn}.md");
                ("files", "read_file", json!({ "path": path }), json!({ "content": words(number + 7 * turn) }))
            }
        }
    }
}

/// Some prose, different for each number.
fn words(number: u64) -> String {
    let list = ["plan", "review", "draft", "budget", "meeting", "figure", "table", "release", "question", "answer"];
    let word =
        |place: u64| list.get(((number >> (place % 13)) + place) as usize % list.len()).copied().unwrap_or_default();
    (0..30).map(word).collect::<Vec<_>>().join(" ")
}

/// What must come out.
#[derive(Default)]
struct Expected {
    sessions: u64,
    flips: BTreeMap<(String, String), u64>,
    after_first_flip: u64,
    results_gone: u64,
}

/// What the process that ran it says.
#[derive(Serialize, Deserialize)]
struct Ran {
    found: WhatIf,
    entries: u64,
    seconds: f64,
    cpu_seconds: f64,
    peak_mib: u64,
    recomputed: u64,
    recompute_seconds: f64,
    recompute_cpu_seconds: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(dir) = &args.on {
        println!("{}", serde_json::to_string(&judge(dir)?)?);
        return Ok(());
    }
    let folder = tempfile::tempdir_in(&args.dir)?;
    let dir = folder.path().join("log");
    let start = Instant::now();
    let expected = write(&dir, args.entries)?;
    println!("a log of {} sessions, written in {:.0} s", expected.sessions, start.elapsed().as_secs_f64());
    let ran = Command::new(std::env::current_exe()?).args(["whatif", "--on"]).arg(&dir).output()?;
    anyhow::ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let ran: Ran = serde_json::from_slice(&ran.stdout).context("what the other process said")?;
    check(&ran, &expected)?;
    let flips: u64 = ran.found.flips.iter().map(|flip| flip.count).sum();
    println!(
        "whatif: {} entries, {} decisions, {flips} flips in {} of {} sessions, all as expected",
        ran.entries, ran.found.decisions, ran.found.sessions_flipped, ran.found.sessions
    );
    println!(
        "  {:.1} s ({:.1} s of CPU), {:.0} entries/s, peak {} MiB (aim 120 s and 1,024 MiB for a million)",
        ran.seconds,
        ran.cpu_seconds,
        ran.entries as f64 / ran.seconds,
        ran.peak_mib
    );
    println!(
        "verify --recompute: {} decisions in {:.1} s, {:.0}/s; {:.0} per second of CPU (aim 20,000); none differs",
        ran.recomputed,
        ran.recompute_seconds,
        ran.recomputed as f64 / ran.recompute_seconds,
        ran.recomputed as f64 / ran.recompute_cpu_seconds
    );
    Ok(())
}

fn judge(dir: &Path) -> anyhow::Result<Ran> {
    let reader = Reader::open(dir)?;
    // What else runs on the machine takes time, but not this process's.
    let (start, cpu) = (Instant::now(), cpu_time()?);
    let found = whatif(&reader, vec![("other.cedar".to_owned(), OTHER.to_owned())], &Window::default())?;
    let (seconds, cpu_seconds, peak_mib) =
        (start.elapsed().as_secs_f64(), (cpu_time()? - cpu).as_secs_f64(), peak_mib()?);
    let (start, cpu) = (Instant::now(), cpu_time()?);
    let again = recompute(&reader)?;
    anyhow::ensure!(again.faults.is_empty(), "recompute: {:?}", again.faults.first());
    Ok(Ran {
        found,
        entries: reader.len(),
        seconds,
        cpu_seconds,
        peak_mib,
        recomputed: again.decisions,
        recompute_seconds: start.elapsed().as_secs_f64(),
        recompute_cpu_seconds: (cpu_time()? - cpu).as_secs_f64(),
    })
}

fn check(ran: &Ran, expected: &Expected) -> anyhow::Result<()> {
    let found = &ran.found;
    anyhow::ensure!(found.unreadable.is_empty(), "unreadable: {:?}", found.unreadable.first());
    anyhow::ensure!(found.sessions == expected.sessions, "{} sessions", found.sessions);
    anyhow::ensure!(found.decisions == expected.sessions * CALLS, "{} decisions", found.decisions);
    let mut flips = BTreeMap::new();
    for flip in &found.flips {
        anyhow::ensure!((flip.kind.from, flip.kind.to) == (Verdict::Permit, Verdict::Deny), "{flip:?}");
        *flips.entry((flip.kind.agent.clone(), flip.kind.tool.clone())).or_insert(0) += flip.count;
    }
    anyhow::ensure!(flips == expected.flips, "flips {flips:?}, expected {:?}", expected.flips);
    let unknown = (found.unknown.after_first_flip, found.unknown.results_gone);
    anyhow::ensure!(unknown == (expected.after_first_flip, expected.results_gone), "unknown: {:?}", found.unknown);
    anyhow::ensure!(found.unknown.labels_differ == 0, "labels differ: {:?}", found.unknown);
    Ok(())
}

fn tools() -> Tools {
    let mut tools = Tools::default();
    let definitions = [
        ("web", "fetch_page", "Fetch a page of the web.", vec!["url"]),
        ("mail", "send_email", "Send an email.", vec!["recipient", "subject", "body"]),
        ("files", "read_file", "Read a file.", vec!["path"]),
        ("files", "write_file", "Write a file.", vec!["path", "content"]),
    ];
    for (server, name, description, arguments) in definitions {
        let properties: serde_json::Map<String, Value> =
            arguments.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
        let schema = json!({ "type": "object", "properties": properties });
        tools.define(server, &json!({ "name": name, "description": description, "inputSchema": schema }));
        tools.called(&ToolId { server: server.to_owned(), name: name.to_owned() }, &json!({}));
    }
    tools
}

fn write(dir: &Path, entries: u64) -> anyhow::Result<Expected> {
    let now = Timestamp::UNIX_EPOCH;
    let (ledger, _) = Ledger::open(dir, SigningKey::from_seed(&[1; 32])?, Options::new(now))?;
    let mut importer = Importer::new(&ledger, &tools(), now)?;
    let mut expected = Expected::default();
    let sessions = entries.div_ceil(1 + 2 * CALLS);
    for first in (0..sessions).step_by(AT_ONCE as usize) {
        let mut running = Vec::new();
        for session in (first..sessions.min(first + AT_ONCE)).map(Session::new) {
            let mut course = importer.begin(Begun {
                session: format!("session-{}", session.number),
                agent: session.agent().to_owned(),
                user: format!("user-{}", session.number % 50),
                evidence: json!({ "made": "for a measurement" }),
            });
            importer.says(&mut course, &session.prompt())?;
            expect(&mut expected, &session);
            running.push((session, course));
        }
        for turn in 0..CALLS {
            running.iter_mut().try_for_each(|(session, course)| one(&mut importer, session, course, turn))?;
        }
        running.into_iter().try_for_each(|(_, course)| importer.end(course))?;
    }
    importer.finish(&["made for a measurement".to_owned()])?;
    ledger.seal()?;
    Ok(expected)
}

fn one(importer: &mut Importer<'_>, session: &Session, course: &mut Course, turn: u64) -> anyhow::Result<()> {
    let (server, name, arguments, result) = session.call(turn);
    let tool = ToolId { server: server.to_owned(), name: name.to_owned() };
    importer.call(course, (&tool, &arguments), "", None)?;
    Ok(importer.result(course, "", (&result, false), None)?)
}

fn expect(expected: &mut Expected, session: &Session) {
    expected.sessions += 1;
    let (tool, rest) = match session.plan {
        Plan::Led => ("mail/send_email", CALLS - 1 - MAILS),
        Plan::Cut => ("web/fetch_page", CALLS - 1 - FETCHES),
        Plan::Asked | Plan::Quiet => return,
    };
    *expected.flips.entry((session.agent().to_owned(), tool.to_owned())).or_insert(0) += 1;
    expected.after_first_flip += rest;
    expected.results_gone += 1;
}

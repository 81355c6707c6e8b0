//! `bailiwick import`: other people's records as a ledger.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use connect::history::{self, History, Session, What};
use gateway::replay::import::{Begun, Course, Importer, Tools};
use graph::plural;
use jiff::Timestamp;
use ledger::{Ledger, Options, SigningKey};
use policy::ToolId;
use serde_json::json;

use super::ledger::{OWN_KEY, print_line};
use super::replay::unread;
use crate::progress;

/// Write recorded sessions of other tools into a ledger of their own, to run `whatif`, `trace` and
/// `ledger verify` on.
///
/// Reads transcripts of Claude Code, message logs of OpenAI and Anthropic, OpenTelemetry GenAI spans (OTLP JSON) and
/// benchmark runs, one JSON object a line. Formats are told apart by their content. Nothing is executed. Every call
/// stands in the ledger as permitted by the policy `imported`, because it was done; the evidence of each session
/// says where it came from.
///
/// Exit code 0: all was read. 1: something was passed over; it is said. 2: could not run.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick import ~/.claude/projects --into ./imported     what Claude Code did here before\n  \
    bailiwick whatif --dir ./imported --policy ./policy       what these policies would have said to it\n  \
    bailiwick trace --dir ./imported                          the sessions, to tell one")]
pub(crate) struct Args {
    /// Files, or folders with `*.json` and `*.jsonl`.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A directory for the ledger; it must be empty or not there.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// On whose behalf the agents acted; the formats do not say.
    #[arg(long, value_name = "NAME", default_value = "user")]
    user: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let occupied = std::fs::read_dir(&args.into).is_ok_and(|mut entries| entries.next().is_some());
    anyhow::ensure!(!occupied, "`{}` is not empty; an import makes a ledger of its own", args.into.display());
    let history = progress::of("reading the history", || history::read(&args.paths));
    unread(&history);
    anyhow::ensure!(
        history.sessions.iter().any(|session| session.calls().next().is_some()),
        "no call was found to import"
    );
    let ledger = create(&args.into)?;
    let done = progress::of("writing the ledger", || write(&history, &ledger, args))?;
    ledger.seal()?;
    print_line(&format!(
        "imported {} with {}, {} and {} into `{}`; {} passed over",
        plural(done.sessions, "session"),
        plural(done.prompts, "prompt"),
        plural(done.calls, "call"),
        plural(done.results, "result"),
        args.into.display(),
        history.unread.len()
    ))?;
    if done.unread > 0 {
        print_line(&format!("{} calls have arguments that policy cannot read, and stand as denied", done.unread))?;
    }
    print_line(&format!(
        "next: bailiwick trace --dir {0}; bailiwick whatif --dir {0} --policy DIR",
        args.into.display()
    ))?;
    Ok(ExitCode::from(u8::from(!history.unread.is_empty())))
}

/// A ledger with a key of its own beside it: it proves nothing about its sources, and must not be taken for the log
/// of a gateway.
fn create(dir: &Path) -> anyhow::Result<Ledger> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let context = || format!("cannot write `{}`", dir.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(context)?;
    let key = SigningKey::generate()?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(OWN_KEY))?;
    file.write_all(key.seed().as_ref()).with_context(context)?;
    file.sync_all()?;
    Ok(Ledger::open(dir, key, Options::new(Timestamp::now()))?.0)
}

/// The tool as policy names it: built-in tools have the agent's name as server.
fn tool_of(agent: &str, call: &history::Call) -> ToolId {
    let server = if call.server.is_empty() { agent } else { &call.server };
    ToolId { server: server.to_owned(), name: call.tool.clone() }
}

fn agent_of(session: &Session) -> &str {
    if session.agent.is_empty() { "agent" } else { &session.agent }
}

fn write(history: &History, ledger: &Ledger, args: &Args) -> anyhow::Result<gateway::replay::import::Imported> {
    let mut tools = Tools::default();
    for session in &history.sessions {
        let agent = agent_of(session);
        session.tools.iter().for_each(|definition| tools.define(agent, definition));
        session.calls().for_each(|call| tools.called(&tool_of(agent, call), &call.arguments));
    }
    let mut importer = Importer::new(ledger, &tools, Timestamp::now())?;
    let mut names = std::collections::HashMap::new();
    for session in &history.sessions {
        let count = names.entry(session.id.as_str()).and_modify(|count| *count += 1).or_insert(1);
        let name = if *count == 1 { session.id.clone() } else { format!("{}#{count}", session.id) };
        let file = session.source.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut course = importer.begin(Begun {
            session: name,
            agent: agent_of(session).to_owned(),
            user: args.user.clone(),
            evidence: json!({ "format": session.format.name(), "file": file }),
        });
        for step in &session.steps {
            take(&mut importer, &mut course, agent_of(session), step)?;
        }
        importer.end(course)?;
    }
    let sources: Vec<String> = args.paths.iter().map(|path| path.display().to_string()).collect();
    Ok(importer.finish(&sources)?)
}

fn take(importer: &mut Importer<'_>, course: &mut Course, agent: &str, step: &history::Step) -> anyhow::Result<()> {
    match &step.what {
        What::User { text } => importer.says(course, text)?,
        What::Call(call) => {
            let tool = tool_of(agent, call);
            importer.call(course, (&tool, &call.arguments), &call.id, step.at)?;
        }
        What::Result(answer) => importer.result(course, &answer.id, (&answer.content, answer.failed), step.at)?,
        // The gateway would have heard neither.
        What::System { .. } | What::Says { .. } => {}
    }
    Ok(())
}

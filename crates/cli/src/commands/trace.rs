//! `bailiwick trace`: the story of one session.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use gateway::replay::story::{self, Call, End, Step, Story, Subject, Summary, Taint};
use gateway::replay::{Verdict, otel};
use graph::{plural, visible};
use policy::{Label, Request, SessionLabels};
use serde::Serialize;
use serde_json::Value;

use super::ledger::{print_line, shorten};
use crate::home::Home;
use crate::output;

/// Tell the story of a session: who, what it had seen, what was decided and why, what became of it.
///
/// Give an entry's number or a session's name; without either, the sessions of the ledger are listed.
///
/// Exit code 0: told. 2: could not run, or an entry could not be read that is of the session, or of none that is known:
/// the rest is told, and what may rest on it is marked.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick trace                          the sessions of the ledger, the last one last\n  \
    bailiwick trace 1742                     the session that entry 1742 belongs to\n  \
    bailiwick trace s19a2b3c-4 --format json\n  \
    bailiwick trace 1742 --format otel > spans.json    OTLP JSON, for any OpenTelemetry collector")]
pub(crate) struct Args {
    /// An entry's number or a session's name.
    #[arg(value_name = "ENTRY|SESSION")]
    of: Option<String>,
    /// A ledger's directory, if it is not the home's.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A tree for people.
    #[default]
    Text,
    /// The story, for programs.
    Json,
    /// OpenTelemetry spans with the conventions for generative AI and MCP, as OTLP JSON.
    Otel,
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(|| home.ledger());
    let reader = super::ledger::open(&dir)?;
    anyhow::ensure!(
        args.of.is_some() || args.format != Format::Otel,
        "spans are of one session: `bailiwick trace SESSION --format otel`; `bailiwick trace` lists the sessions"
    );
    let Some(of) = &args.of else {
        let story::Sessions { sessions, unreadable } = story::sessions(&reader)?;
        list(&sessions, args.format)?;
        unreadable.iter().for_each(|fault| complain!("bailiwick: entry {}: {}", fault.entry, fault.message));
        return Ok(ended(unreadable.is_empty()));
    };
    let subject = of.parse().map_or_else(|_| Subject::Session(of.clone()), Subject::Entry);
    let told = story::tell(&reader, &subject)?;
    match args.format {
        Format::Json => output::json(&told)?,
        Format::Otel => output::json(&otel::spans(&told))?,
        Format::Text => say!("{}", tree(&told, &subject))?,
    }
    Ok(ended(!told.steps.iter().any(|step| matches!(step, Step::Unreadable { .. }))))
}

/// Of what cannot be read nobody knows what the story lacks.
fn ended(is_whole: bool) -> ExitCode {
    ExitCode::from(if is_whole { 0 } else { 2 })
}

fn list(sessions: &[Summary], format: Format) -> anyhow::Result<ExitCode> {
    if format != Format::Text {
        output::json(sessions)?;
        return Ok(ExitCode::SUCCESS);
    }
    for one in sessions {
        let (agent, user, since) = (&one.agent, &one.user, one.since.strftime("%Y-%m-%d %H:%M:%S"));
        let line = format!(
            "{since}  {}  {agent} for {user}: {}, {} not permitted",
            one.session,
            plural(one.decisions, "decision"),
            one.refused
        );
        print_line(&line)?;
    }
    print_line(&format!("{}; `bailiwick trace SESSION` tells one", plural(sessions.len(), "session")))
}

/// A type's word as the record writes it.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word.replace('_', " "),
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn tree(story: &Story, subject: &Subject) -> String {
    let mut lines = Vec::new();
    match &story.principal {
        Some(principal) => {
            lines.push(format!("session {}: {} for {}", story.session, principal.agent, principal.user));
            if !principal.delegation.is_empty() {
                lines.push(format!("│  through {}", principal.delegation.join(" → ")));
            }
            for (name, value) in &principal.evidence {
                lines.push(format!("│  known by {name}: {}", shorten(&value.to_string(), 160)));
            }
        }
        None => lines.push(format!("session {}: nothing was called", story.session)),
    }
    let last = story.steps.len().saturating_sub(1);
    for (place, step) in story.steps.iter().enumerate() {
        let (branch, stem) = if place == last { ("└─", "   ") } else { ("├─", "│  ") };
        let mut told = tell(step, story, subject).into_iter();
        lines.extend(told.next().map(|line| format!("{branch} {line}")));
        lines.extend(told.map(|line| format!("{stem}      {line}")));
    }
    // Those in which something may be lost stand among the steps.
    let steps = story.steps.iter();
    let told: BTreeSet<u64> =
        steps.filter_map(|step| if let Step::Unreadable { entry, .. } = step { Some(*entry) } else { None }).collect();
    let unreadable = story.unreadable.iter().filter(|fault| !told.contains(&fault.entry));
    lines.extend(unreadable.map(|fault| format!("entry {}: {}", fault.entry, fault.message)));
    let lines: Vec<String> = lines.iter().map(|line| visible::line(line, usize::MAX)).collect();
    lines.join("\n")
}

fn tell(step: &Step, story: &Story, subject: &Subject) -> Vec<String> {
    match step {
        // When it was said is not known there; the entry was written by the import.
        Step::Prompt { entry, text, missing, .. } if is_imported(story) => {
            vec![format!("{entry} the user: {}", quoted(text, *missing))]
        }
        Step::Prompt { entry, time, text, missing } => {
            vec![format!("{entry} {} the user: {}", time.strftime("%H:%M:%S"), quoted(text, *missing))]
        }
        Step::Withheld { entry, time, server, names, because } => {
            let time = time.strftime("%H:%M:%S");
            vec![format!("{entry} {time} not shown of `{server}`: {} ({because})", shorten(&names.join(", "), 160))]
        }
        Step::Call(call) => tell_call(call, subject),
        Step::Unreadable { entry, message } => vec![format!("{entry} {message}")],
    }
}

fn is_imported(story: &Story) -> bool {
    story.principal.as_ref().is_some_and(|principal| principal.evidence.contains_key("imported"))
}

fn quoted(text: &Option<String>, missing: bool) -> String {
    match text {
        Some(text) => format!("“{}”", shorten(text, 160)),
        None if missing => "(missing)".to_owned(),
        None => "(erased)".to_owned(),
    }
}

fn tell_call(call: &Call, subject: &Subject) -> Vec<String> {
    let mark = if *subject == Subject::Entry(call.entry) { " ◀" } else { "" };
    let because: Vec<&str> = call.reasons.iter().map(|reason| reason.policy.as_str()).collect();
    let mut lines = vec![format!(
        "{} {} {} {} {} [{}]{mark}",
        call.entry,
        call.time.strftime("%H:%M:%S"),
        call.verdict.word().to_uppercase(),
        call.tool,
        shorten(&call.arguments.to_string(), 120),
        because.join(", ")
    )];
    let since = match (call.seen_since, call.after_unreadable) {
        (Some(entry), None) => format!(", since entry {entry}"),
        (Some(entry), Some(lost)) => {
            format!(", since entry {entry} or what cannot be read, the last of it entry {lost}")
        }
        (None, Some(lost)) => format!(", perhaps since what cannot be read, the last of it entry {lost}"),
        (None, None) => String::new(),
    };
    let asked_for = match call.request {
        Request::Named => "the user asked for it",
        Request::Delegated => "the user asked to do what some place says",
        Request::Unheard => "the user was not heard at this door",
        Request::Unnamed => "the user did not ask for it",
    };
    lines.push(format!("seen by then: {}{since}; {asked_for}", seen(&call.seen)));
    for taint in &call.tainted {
        let Taint { argument, value } = taint;
        let (role, choice) = (word(&argument.role), word(&argument.choice));
        let (value, from) = (shorten(value, 60), from(&argument.label));
        lines.push(format!("{role} {} = `{value}`: {choice}{from}", argument.pointer));
    }
    if !call.touched.is_empty() {
        let one = |touched: &story::Touched| format!("{} `{}`", word(&touched.role), shorten(&touched.value, 80));
        lines.push(format!("about: {}", call.touched.iter().map(one).collect::<Vec<_>>().join(", ")));
    }
    lines.extend(call.errors.iter().map(|error| format!("error while deciding: {error}")));
    lines.extend(call.asked.as_ref().map(|ask| asked(call, ask)));
    lines.extend(call.outcome.as_ref().map(|end| outcome(call, end)));
    lines.extend(call.lost_in.map(|entry| lost(call, entry)));
    lines
}

/// Where a value came from, in words.
fn from(label: &Label) -> String {
    let from: Vec<String> = label
        .origins
        .iter()
        .map(|origin| {
            let entry = origin.entry.map(|entry| format!("entry {entry}, ")).unwrap_or_default();
            let field = origin.field.as_deref().map(|field| format!(", field {field}")).unwrap_or_default();
            format!("{entry}{}{field}", origin.source)
        })
        .collect();
    let from = if from.is_empty() { String::new() } else { format!(", from {}", from.join("; ")) };
    let (integrity, confidentiality) = (word(&label.integrity), word(&label.confidentiality));
    format!("{from} (written by {integrity}, {confidentiality})")
}

fn seen(labels: &SessionLabels) -> String {
    let classes: Vec<String> = labels.classes.iter().map(word).collect();
    let classes = if classes.is_empty() { String::new() } else { format!(", {}", classes.join(", ")) };
    format!("{}, {}{classes}", word(&labels.integrity), word(&labels.confidentiality))
}

fn asked(call: &Call, ask: &story::Ask) -> String {
    let groups = ask.groups.join(", ");
    match (ask.approved, &ask.by, ask.answer) {
        (Some(approved), Some(by), Some(answer)) => {
            let word = if approved { "approved" } else { "refused" };
            let scope = ask.scope.map(|scope| format!(", {}", self::word(&scope))).unwrap_or_default();
            format!("asked for {groups} (entry {}): {word} by {by} (entry {answer}{scope})", ask.entry)
        }
        _ if call.lost_in.is_some() => format!("asked for {groups} (entry {})", ask.entry),
        _ => format!("asked for {groups} (entry {}): nobody answered", ask.entry),
    }
}

/// What nobody knows because an entry cannot be read.
fn lost(call: &Call, entry: u64) -> String {
    let what = if call.verdict == Verdict::Ask { "the answer" } else { "what became of it" };
    format!("→ {what} may be in entry {entry}, which cannot be read")
}

fn outcome(call: &Call, end: &End) -> String {
    let took = std::time::Duration::from_micros(end.duration_us);
    let changed: Vec<String> = call.changed.iter().map(word).collect();
    let changed = if changed.is_empty() { String::new() } else { format!("; it can {}", changed.join(", ")) };
    let labels = end.labels.as_ref().map(|labels| format!("; brought {}", seen(labels))).unwrap_or_default();
    let status = word(&end.status);
    format!(
        "→ {status}, {} bytes in {took:?} (entry {}, result {}){labels}{changed}",
        end.size_bytes, end.entry, end.result
    )
}

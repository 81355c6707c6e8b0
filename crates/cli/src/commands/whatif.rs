//! `bailiwick whatif`: recorded decisions under other policies.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use gateway::replay::{Rerun, Verdict, WhatIf};
use jiff::Timestamp;
use ledger::record::{Intent, Record};

use super::policy::some_policies;
use crate::home::Home;

/// Re-run recorded decisions under other policies and print every flip.
///
/// Nothing is executed and no connection is opened. Each recorded action is judged by itself, with the labels,
/// facts and approvals of its time; what an agent would have done after its first flip is not known, and those
/// decisions are counted apart.
///
/// Exit code 0: done. 1: a flip named by --fail-on. 2: could not run, or entries could not be read.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick whatif --policy ./policy                               what would a change have meant\n  \
    bailiwick whatif --policy ./policy --fail-on deny-to-permit      a CI check: nothing denied becomes permitted\n  \
    bailiwick whatif --policy ./policy --agent claude-code --since 2026-03-01T00:00:00Z --format json")]
pub(crate) struct Args {
    /// A folder of `*.cedar` files.
    #[arg(long, value_name = "DIR")]
    policy: PathBuf,
    /// Only decisions from this time on.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only this agent's.
    #[arg(long)]
    agent: Option<String>,
    /// Exit with 1 if there is a flip of this kind; may be given several times.
    #[arg(long, value_enum, value_name = "FLIP")]
    fail_on: Vec<FailOn>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Something denied becomes permitted.
    DenyToPermit,
    /// Something asked becomes permitted.
    AskToPermit,
    /// Something permitted becomes denied.
    PermitToDeny,
    /// Something permitted becomes asked.
    PermitToAsk,
    /// Any flip at all.
    Any,
}

impl FailOn {
    fn is(self, from: Verdict, to: Verdict) -> bool {
        match self {
            Self::DenyToPermit => (from, to) == (Verdict::Deny, Verdict::Permit),
            Self::AskToPermit => (from, to) == (Verdict::Ask, Verdict::Permit),
            Self::PermitToDeny => (from, to) == (Verdict::Permit, Verdict::Deny),
            Self::PermitToAsk => (from, to) == (Verdict::Permit, Verdict::Ask),
            Self::Any => true,
        }
    }
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let reader = ledger::Reader::open(&home.ledger()).context("cannot read the ledger")?;
    let load = |id: &str| reader.object(id).map_err(|error| error.to_string());
    let mut rerun = Rerun::new(some_policies(&args.policy)?, load);
    for stored in reader.range(0..reader.len()) {
        let stored = stored?;
        if let Record::Intent(intent) = stored.entry.record
            && chosen(args, &intent)
        {
            let intent =
                gateway::replay::whole(intent, |payload| reader.payload(payload).map_err(|error| error.to_string()));
            rerun.add(stored.index, &intent);
        }
    }
    let found = rerun.finish();
    match args.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&found)?),
        Format::Text => print(&found),
    }
    let failed = found.flips.iter().any(|flip| args.fail_on.iter().any(|fail| fail.is(flip.kind.from, flip.kind.to)));
    // An entry that could not be judged may be the one that CI looks for.
    Ok(ExitCode::from(if !found.unreadable.is_empty() { 2 } else { u8::from(failed) }))
}

fn chosen(args: &Args, intent: &Intent) -> bool {
    let agent = intent.action.pointer("/principal/agent").and_then(serde_json::Value::as_str);
    args.since.is_none_or(|since| intent.now >= since) && args.agent.as_deref().is_none_or(|name| agent == Some(name))
}

fn print(found: &WhatIf) {
    for flip in &found.flips {
        let kind = &flip.kind;
        let entries = flip.examples.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        println!("{:>6} × {} → {}  {} {}", flip.count, kind.from.word(), kind.to.word(), kind.agent, kind.tool);
        let by = if kind.policies.is_empty() { "no policy permits it".to_owned() } else { kind.policies.join(", ") };
        println!(
            "         by {by}; entries {entries}{}",
            if flip.count > flip.examples.len() as u64 { ", …" } else { "" }
        );
    }
    for fault in &found.unreadable {
        println!("entry {}: {}", fault.entry, fault.message);
    }
    let flipped = found.decisions - found.same;
    println!("{} decisions, {flipped} flips, {} unreadable", found.decisions, found.unreadable.len());
    if found.after_first_flip > 0 {
        println!(
            "{} decisions come after the first flip of their session: what the agent would have done there is not known",
            found.after_first_flip
        );
    }
}

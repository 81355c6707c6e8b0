//! `bailiwick whatif`: recorded decisions under other policies.

use std::path::PathBuf;
use std::process::ExitCode;

use gateway::replay::whatif::{Flip, WhatIf, Window, whatif};
use gateway::replay::{Proposal, Verdict, page, story};
use graph::plural;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use policy::Bounds;

use super::mandate::adopted;
use super::policy::some_policies;
use crate::format::PageFormat;
use crate::home::Home;
use crate::output;
use crate::progress;

/// Re-run recorded decisions under other policies, mandates or budgets and print every flip.
///
/// Nothing is executed and no connection is opened. Sessions in which a decision flips are run again with their state
/// carried forward: a call that would have been denied leaves no result behind, and later calls are judged by what
/// the agent would have seen. What nobody can know any more is counted apart.
///
/// Exit code 0: done. 1: a flip named by --fail-on. 2: could not run, or entries could not be read.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    bailiwick whatif --policy ./policy                               what would a change have meant\n  \
    bailiwick whatif --policy ./policy --fail-on deny-permit         a CI check: nothing denied becomes permitted\n  \
    bailiwick whatif --mandate ./mandate.toml                        if this mandate had been in force\n  \
    bailiwick whatif --policy ./policy --agent claude-code --since 2026-03-01T00:00:00Z --format json\n  \
    bailiwick whatif --policy ./policy --dir ./imported --format html > whatif.html")]
pub(crate) struct Args {
    /// A folder of `*.cedar` files; with `--mandate` alone, the recorded policies.
    #[arg(long, value_name = "DIR", required_unless_present = "mandate")]
    policy: Option<PathBuf>,
    /// A mandate, or a folder that holds one, in place of those that were in force; may be repeated.
    #[arg(long, value_name = "PATH")]
    mandate: Vec<PathBuf>,
    /// A ledger's directory, if it is not the home's.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Only decisions from this time on (`2026-03-01T00:00:00Z`, or a day of UTC); the policies take effect here.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only decisions before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only this agent's.
    #[arg(long)]
    agent: Option<String>,
    /// Exit with 1 if there is a flip of this kind; may be given several times.
    #[arg(long, value_enum, value_name = "FLIP")]
    fail_on: Vec<FailOn>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t)]
    format: PageFormat,
}

/// A time, or the beginning of a day.
fn time(text: &str) -> Result<Timestamp, String> {
    // Of a date with a time and without a zone nobody knows when it is.
    let day = || text.parse::<Date>().ok().filter(|day| day.to_string() == text)?.to_zoned(TimeZone::UTC).ok();
    let time = text.parse().ok().or_else(|| day().map(|begun| begun.timestamp()));
    time.ok_or_else(|| "give a time such as `2026-03-01T00:00:00Z`, or a day of UTC such as `2026-03-01`".to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Something denied becomes permitted.
    #[value(aliases = ["deny→permit", "deny-to-permit"])]
    DenyPermit,
    /// Something asked becomes permitted.
    #[value(aliases = ["ask→permit", "ask-to-permit"])]
    AskPermit,
    /// Something permitted becomes denied.
    #[value(aliases = ["permit→deny", "permit-to-deny"])]
    PermitDeny,
    /// Something permitted becomes asked.
    #[value(aliases = ["permit→ask", "permit-to-ask"])]
    PermitAsk,
    /// Any flip at all.
    Any,
}

impl FailOn {
    fn is(self, from: Verdict, to: Verdict) -> bool {
        match self {
            Self::DenyPermit => (from, to) == (Verdict::Deny, Verdict::Permit),
            Self::AskPermit => (from, to) == (Verdict::Ask, Verdict::Permit),
            Self::PermitDeny => (from, to) == (Verdict::Permit, Verdict::Deny),
            Self::PermitAsk => (from, to) == (Verdict::Permit, Verdict::Ask),
            Self::Any => true,
        }
    }
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let dir = args.dir.clone().unwrap_or_else(|| home.ledger());
    let reader = super::ledger::open(&dir)?;
    if let Some(agent) = &args.agent {
        let mut agents: Vec<String> =
            story::sessions(&reader)?.sessions.into_iter().map(|session| session.agent).collect();
        agents.sort();
        agents.dedup();
        // A name that is mistyped must not pass a check.
        anyhow::ensure!(agents.contains(agent), "no agent `{agent}` is recorded; there are: {}", agents.join(", "));
    }
    let window = Window { since: args.since, until: args.until, agent: args.agent.clone() };
    let proposal = proposal(args, home)?;
    let found = progress::of("deciding everything again", || whatif(&reader, proposal, &window))?;
    match args.format {
        PageFormat::Json => output::json(&found)?,
        PageFormat::Html => output::exact(&page::html(&found))?,
        PageFormat::Text => say!("{}", text(&found))?,
    }
    let failed = found.flips.iter().any(|flip| args.fail_on.iter().any(|fail| fail.is(flip.kind.from, flip.kind.to)));
    // An entry that could not be judged may be the one that CI looks for.
    Ok(ExitCode::from(if !found.unreadable.is_empty() { 2 } else { u8::from(failed) }))
}

fn proposal(args: &Args, home: &Home) -> anyhow::Result<Proposal> {
    let policies = args.policy.as_ref().map(|dir| some_policies(dir)).transpose()?;
    if args.mandate.is_empty() {
        return Ok(Proposal { policies, bounds: None });
    }
    let budgets = crate::settings::read(home.root())?.budgets()?;
    Ok(Proposal { policies, bounds: Some(Bounds { mandates: adopted::read_some(&args.mandate)?, budgets }) })
}

fn text(found: &WhatIf) -> String {
    let mut lines: Vec<String> = found.flips.iter().flat_map(flip).collect();
    lines.extend(found.unreadable.iter().map(|fault| format!("entry {}: {}", fault.entry, fault.message)));
    let flipped: u64 = found.flips.iter().map(|flip| flip.count).sum();
    lines.push(format!(
        "{} in {}; {} in {}; {} unreadable",
        plural(found.decisions, "decision"),
        plural(found.sessions, "session"),
        plural(flipped, "flip"),
        plural(found.sessions_flipped, "session"),
        plural(found.unreadable.len(), "entry")
    ));
    let unknowns = page::unknowns(found).into_iter().filter(|(count, _)| *count > 0);
    lines.extend(unknowns.map(|(count, text)| format!("  {count} {text}")));
    lines.join("\n")
}

fn flip(flip: &Flip) -> [String; 3] {
    let kind = &flip.kind;
    let names = |policies: &[String]| {
        if policies.is_empty() { "no policy permits it".to_owned() } else { policies.join(", ") }
    };
    let entries = flip.examples.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let dots = if flip.count > flip.examples.len() as u64 { ", …" } else { "" };
    let after = match flip.after_first_flip {
        0 => String::new(),
        count => format!("; {count} after an earlier flip of their session"),
    };
    [
        format!("{:>6} × {} → {}  {} {}", flip.count, kind.from.word(), kind.to.word(), kind.agent, kind.tool),
        format!("         by {} (was: {}): {}", names(&kind.policies), names(&kind.were), flip.text),
        format!("         entries {entries}{dots}{after}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_at_a_time_or_with_a_day() {
        let at = |text: &str| time(text).map(|time| time.to_string());
        assert_eq!(at("2026-03-01T01:00:00+01:00").as_deref(), Ok("2026-03-01T00:00:00Z"));
        assert_eq!(at("2026-03-01").as_deref(), Ok("2026-03-01T00:00:00Z"));
        for text in ["yesterday", "2026-03-01T10:00:00", "2026-13-01", ""] {
            assert!(at(text).is_err_and(|said| said.contains("give a time such as")), "{text}");
        }
    }
}

//! `bailiwick diff`.

use std::fmt::Write as _;
use std::process::ExitCode;

use graph::difference::{Difference, Opened, Tie};
use graph::plural;
use graph::{EntityKind, Unread, visible};

use super::scan::write;
use crate::format::Format;
use crate::home::Home;
use crate::progress;

/// Say what changed between two graphs: new attack paths with the line that opened them, findings, things.
#[derive(clap::Args)]
#[command(after_help = "\
Each side is a scan's JSON, files or folders to scan, a cloud export, a Terraform plan, or a stored scan: `@0` is the \
newest, `@1` the one before.

Exit codes: 0 no new path and no new finding, 1 there is one, 2 it could not run.

Examples:
  bailiwick diff                          the last two scans of this machine
  bailiwick diff main.json branch.json    two scans
  bailiwick diff account.json plan.json   an account, and what a plan makes of it")]
pub(crate) struct Args {
    /// The old side.
    #[arg(default_value = "@1", value_name = "OLD")]
    old: String,
    /// The new side.
    #[arg(default_value = "@0", value_name = "NEW")]
    new: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args, home: &Home) -> anyhow::Result<ExitCode> {
    let (difference, unread) = progress::of("comparing", || {
        let (old, new) = (super::estate::graph(home, &args.old)?, super::estate::graph(home, &args.new)?);
        let unread = Sides { old: old.unread, new: new.unread };
        anyhow::Ok((Difference::between(&old.graph, &new.graph), unread))
    })?;
    unread.old.iter().chain(&unread.new).for_each(|unread| complain!("{}", unread.said()));
    match args.format {
        Format::Json => {
            let told = Told { difference: &difference, unread: &unread };
            write(None, &format!("{}\n", serde_json::to_string_pretty(&told)?))?;
        }
        Format::Text => write(None, &visible::text(&text(&difference)))?,
    }
    Ok(ExitCode::from(u8::from(!difference.opened.is_empty() || !difference.found.is_empty())))
}

/// What could not be read of each side.
#[derive(serde::Serialize)]
struct Sides {
    old: Vec<Unread>,
    new: Vec<Unread>,
}

/// The difference for programs.
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    difference: &'a Difference,
    unread: &'a Sides,
}

/// The difference for people: paths first.
pub(crate) fn text(difference: &Difference) -> String {
    let mut text = String::new();
    for opened in &difference.opened {
        path(&mut text, opened);
    }
    for finding in &difference.found {
        let place = finding.places().first().map(|place| format!("\n  --> {}", place.place())).unwrap_or_default();
        let _ = writeln!(
            text,
            "new {}[{}]: {}{place}\n   = fix: {}\n",
            finding.severity, finding.rule, finding.message, finding.fix
        );
    }
    for id in &difference.settled {
        let _ = writeln!(text, "gone: finding {id}");
    }
    for (from, to) in &difference.closed {
        let _ = writeln!(text, "gone: the path from {from} to {to}");
    }
    for (sign, ties) in [('+', &difference.related), ('-', &difference.unrelated)] {
        for Tie { from, kind, to, at } in ties.iter().filter(|tie| !tie.at.iter().all(|at| is_builtin(at))) {
            let at = at.first().map(|at| format!("  {at}")).unwrap_or_default();
            let _ = writeln!(text, "{sign} {from} {kind} {to}{at}");
        }
    }
    for (sign, things) in [('+', &difference.added), ('-', &difference.removed)] {
        for id in things.iter().filter(|id| id.kind != EntityKind::Tool) {
            let _ = writeln!(text, "{sign} {id}");
        }
    }
    if difference.is_empty() {
        return "nothing changed\n".to_owned();
    }
    let _ = writeln!(
        text,
        "{} opened, {} closed; {} new, {} gone",
        plural(difference.opened.len(), "path"),
        difference.closed.len(),
        plural(difference.found.len(), "finding"),
        difference.settled.len()
    );
    text
}

/// What a client brings is no line that a person can change.
fn is_builtin(at: &str) -> bool {
    at.starts_with("built into ")
}

fn path(text: &mut String, opened: &Opened) {
    let _ = writeln!(text, "error: {}", opened.finding.message);
    if let Some(at) =
        opened.steps.iter().filter(|step| step.is_new).filter_map(|step| step.at.as_ref()).find(|at| !is_builtin(at))
    {
        let _ = writeln!(text, "  --> {at}");
    }
    for (number, step) in (1..).zip(&opened.steps) {
        let (mark, new) = if step.is_new { ('+', "   <- new") } else { ('|', "") };
        let at = step.at.as_ref().map(|at| format!("  {at}")).unwrap_or_default();
        let _ = writeln!(text, "{number:>2} {mark} {}{at}{new}", step.text);
    }
    text.push('\n');
}

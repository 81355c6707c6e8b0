//! Stories for the terminal. Everything in them was written by others and is made harmless before it is shown.

use std::fmt::Write as _;

use gateway::story::{Told, Verdict};
use graph::visible;
use policy::{ArgumentLabel, Choice, Confidentiality, Integrity, SessionLabels};
use serde_json::Value;

use super::excerpt::{self, Piece};
use super::{Happened, Line, Quote, Taken, Tale, given};

/// How much of a text is shown.
const SHOWN_MAX_CHARS: usize = 160;

/// A colour by what it says.
#[derive(Clone, Copy)]
enum Tone {
    Bold,
    Dim,
    /// The user's own.
    Own,
    /// A record's.
    Record,
    /// The model's.
    Model,
    /// Written by a known party.
    Third,
    /// Written by anyone.
    Anyone,
    Stop,
}

/// `whole`: every step, not only what would have been stopped.
pub(super) fn render(tales: &[Tale], color: bool, whole: bool) -> String {
    let page = Page { color, whole };
    let mut out: String = tales.iter().map(|tale| page.tale(tale)).collect();
    let (asked, denied): (usize, usize) =
        tales.iter().fold((0, 0), |sum, tale| (sum.0 + tale.asked, sum.1 + tale.denied));
    let calls = tales.iter().map(|tale| tale.calls).sum();
    let counts = format!("{}, {}", counted(tales.len(), "session"), counted(calls, "call"));
    let stopped = format!("{asked} would have been asked, {denied} denied");
    let stopped = if asked + denied > 0 { page.paint(Tone::Stop, &stopped) } else { stopped };
    let summary = format!("{counts}: {stopped}. {}", page.legend());
    let _ = writeln!(out, "{}", summary.trim_end());
    if !whole {
        let _ = writeln!(out, "`--session ID` tells one step by step, `--steps` every one.");
    }
    out
}

/// So many of something.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

struct Page {
    color: bool,
    whole: bool,
}

impl Page {
    fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Bold => "1",
            Tone::Dim => "2",
            Tone::Own => "32",
            Tone::Record => "36",
            Tone::Model => "34",
            Tone::Third => "33",
            Tone::Anyone => "31",
            Tone::Stop => "1;31",
        };
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn legend(&self) -> String {
        let tones = [
            (Tone::Own, "the user's"),
            (Tone::Record, "a record's"),
            (Tone::Model, "the model's"),
            (Tone::Third, "third party's"),
            (Tone::Anyone, "anyone's"),
        ];
        if !self.color {
            return String::new();
        }
        let words: Vec<String> = tones.iter().map(|(tone, text)| self.paint(*tone, text)).collect();
        format!("Values: {}", words.join(", "))
    }

    fn tale(&self, tale: &Tale) -> String {
        let agent = if tale.agent.is_empty() { String::new() } else { format!(", {}", short(&tale.agent)) };
        let head = self.paint(Tone::Bold, &short(&tale.id));
        let mut out = format!("{head} ({}{agent}, {})\n", tale.format, counted(tale.calls, "call"));
        for line in tale.lines.iter().filter(|line| self.whole || is_stopped(line)) {
            out += &self.line(line);
        }
        if tale.unknown > 0 && self.whole {
            let _ = writeln!(out, "     {} of tools of which nothing is known", counted(tale.unknown, "call"));
        }
        if self.whole || tale.asked + tale.denied > 0 {
            out.push('\n');
        }
        out
    }

    fn line(&self, line: &Line) -> String {
        let at = self.paint(Tone::Dim, &format!("{:>4}", line.step));
        match &line.what {
            Happened::System { text } => format!("{at} system  {}\n", self.paint(Tone::Dim, &short(text))),
            Happened::User { text } => format!("{at} user    {}\n", self.paint(Tone::Own, &short(text))),
            Happened::Says { text } => format!("{at} says    {}\n", self.paint(Tone::Model, &short(text))),
            Happened::Call { tool, arguments, told, quotes } => {
                let mut out = format!("{at} call    {}\n", self.paint(Tone::Bold, &short(tool)));
                if let Some(told) = told {
                    out += &self.arguments(told, arguments);
                    out += &self.verdict(told, quotes);
                }
                out
            }
            Happened::Result { of, text, labels, failed, taken, .. } => {
                let word = if *failed { "failed" } else { "gave" };
                let said = labels.as_ref().map(label).unwrap_or_default();
                let tone = labels.as_ref().map_or(Tone::Anyone, |labels| of_integrity(labels.integrity));
                let head = self.paint(Tone::Dim, &format!("to {of}, {said}:"));
                let mut out = format!("{at} {word:<7} {head} {}\n", self.pieces(tone, text, taken));
                for Taken { by, value } in taken {
                    let value = self.paint(Tone::Stop, &short(value));
                    let _ = writeln!(
                        out,
                        "             ↳ {value} {}",
                        self.paint(Tone::Dim, &format!("step {by} used it"))
                    );
                }
                out
            }
        }
    }

    /// The beginning of a result, and what was taken from it in its place.
    fn pieces(&self, tone: Tone, text: &str, taken: &[Taken]) -> String {
        let pieces = excerpt::excerpt(&one_line(text), taken, SHOWN_MAX_CHARS);
        let said = pieces.into_iter().map(|piece| match piece {
            Piece::Gap => self.paint(Tone::Dim, " … "),
            Piece::Plain(text) => self.paint(tone, &text),
            Piece::Taken(text, _) => self.paint(Tone::Stop, &text),
        });
        said.collect()
    }

    fn arguments(&self, told: &Told, arguments: &Value) -> String {
        let mut out = String::new();
        for (name, value, label) in given(told, arguments) {
            let said = match value.is_empty() {
                true => self.paint(Tone::Dim, "(empty)"),
                false => self.paint(of_choice(label), &short(&value)) + &self.paint(Tone::Dim, &origin(label)),
            };
            let _ = writeln!(out, "             {} = {said}", short(name));
        }
        out
    }

    fn verdict(&self, told: &Told, quotes: &[Quote]) -> String {
        let word = match told.verdict {
            Verdict::Permit => return String::new(),
            Verdict::Ask => format!("would ask: {}", told.groups.join(", ")),
            Verdict::Deny => format!("would deny: {}", told.reasons.join(", ")),
        };
        let mut out = format!("     {}\n", self.paint(Tone::Stop, &format!("■ {word}")));
        for why in &told.why {
            let _ = writeln!(out, "       {}", visible::text(&why.text));
        }
        for quote in quotes {
            let source = format!("{} {}: ", quote.step, quote.source);
            let _ = writeln!(
                out,
                "       {}{}{}{}",
                self.paint(Tone::Dim, &format!("step {source}…")),
                in_line(&quote.before),
                self.paint(Tone::Stop, &in_line(&quote.value)),
                in_line(&quote.after) + "…"
            );
        }
        out
    }
}

fn is_stopped(line: &Line) -> bool {
    matches!(&line.what, Happened::Call { told: Some(told), .. } if told.verdict != Verdict::Permit)
}

/// Where a value came from, in words.
fn origin(label: &ArgumentLabel) -> String {
    let who = match label.choice {
        Choice::User => return "  the user named it".to_owned(),
        Choice::Model => return "  the model's own".to_owned(),
        Choice::Delegated => "where the user pointed",
        Choice::System => "a record",
        Choice::Untrusted => "text of others",
    };
    let step = label.label.origins.first().and_then(|origin| origin.entry);
    format!("  {who}{}", step.map(|step| format!(", step {step}")).unwrap_or_default())
}

fn of_choice(label: &ArgumentLabel) -> Tone {
    match label.choice {
        Choice::User => Tone::Own,
        Choice::Model => Tone::Model,
        Choice::Delegated | Choice::System => Tone::Record,
        Choice::Untrusted => of_integrity(label.label.integrity),
    }
}

fn of_integrity(integrity: Integrity) -> Tone {
    match integrity {
        Integrity::Trusted => Tone::Own,
        Integrity::FirstParty => Tone::Record,
        Integrity::ThirdParty => Tone::Third,
        Integrity::Anyone => Tone::Anyone,
    }
}

/// A label in words.
pub(super) fn label(labels: &SessionLabels) -> String {
    let who = match labels.integrity {
        Integrity::Trusted => "trusted",
        Integrity::FirstParty => "first party",
        Integrity::ThirdParty => "third party",
        Integrity::Anyone => "anyone",
    };
    let for_whom = match labels.confidentiality {
        Confidentiality::Public => "public",
        Confidentiality::Internal => "internal",
        Confidentiality::Confidential => "confidential",
        Confidentiality::Secret => "secret",
    };
    format!("{who}, {for_whom}")
}

/// A text on one line, in which nothing can repaint a terminal or hide.
pub(super) fn one_line(text: &str) -> String {
    in_line(text).trim().to_owned()
}

/// The same as a part of a line: the space at its ends belongs to it.
fn in_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            char if !char.is_whitespace() => line.push_str(&visible::character(char)),
            _ if line.ends_with(' ') => {}
            _ => line.push(' '),
        }
    }
    line
}

/// A text on one line, cut.
fn short(text: &str) -> String {
    let line = one_line(text);
    let cut: String = line.chars().take(SHOWN_MAX_CHARS).collect();
    if cut.len() < line.len() { format!("{cut}…") } else { cut }
}

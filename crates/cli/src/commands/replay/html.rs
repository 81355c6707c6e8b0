//! Stories as one HTML file that needs nothing else: no script, no font, no address but its own.

use std::fmt::Write as _;

use gateway::story::{Told, Verdict};
use graph::visible;
use policy::{ArgumentLabel, Choice, Integrity};
use serde_json::Value;

use super::excerpt::{self, Piece};
use super::{Happened, Line, Quote, Taken, Tale, given, text};

const STYLE: &str = include_str!("style.css");
/// How much of a text is shown at once.
const SHOWN_MAX_CHARS: usize = 420;
/// How much is there on demand.
const WHOLE_MAX_CHARS: usize = 20_000;

pub(super) fn render(tales: &[Tale]) -> String {
    let (asked, denied): (usize, usize) =
        tales.iter().fold((0, 0), |sum, tale| (sum.0 + tale.asked, sum.1 + tale.denied));
    let calls = tales.iter().map(|tale| tale.calls).sum();
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Bailiwick replay</title><style>{STYLE}</style><header class=top><h1>What would have been stopped</h1>\
         <p class=counts><span>{}</span><span>{}</span><span class={}>{asked} asked</span><span class={}>{denied} denied</span></p>\
         <p class=legend>Who chose a value: <b class=user>the user</b> <b class=record>a record</b> <b class=model>the model</b> \
         <b class=third>a third party’s text</b> <b class=anyone>anyone’s text</b></p>\
         <p class=note>Nothing was executed for this. What would have been stopped did happen then, so each story goes on as it went.</p></header>",
        text::counted(tales.len(), "session"),
        text::counted(calls, "call"),
        if asked > 0 { "ask" } else { "from" },
        if denied > 0 { "deny" } else { "from" },
    );
    for (at, tale) in tales.iter().enumerate() {
        out += &Page { at }.tale(tale);
    }
    out + "</html>\n"
}

/// One session's part of the page; its number makes its anchors its own.
struct Page {
    at: usize,
}

impl Page {
    fn tale(&self, tale: &Tale) -> String {
        let agent = if tale.agent.is_empty() { String::new() } else { format!("{}, ", visible::html(&tale.agent)) };
        let (id, format, calls) =
            (visible::html(&tale.id), visible::html(tale.format), text::counted(tale.calls, "call"));
        let mut out = format!("<section><h2>{id}</h2><p class=from>{agent}{format}, {calls}</p>");
        let stops: String = tale.lines.iter().filter_map(|line| self.in_short(line)).collect();
        if !stops.is_empty() {
            let _ = write!(out, "<ul class=stops>{stops}</ul>");
        }
        if tale.unknown > 0 {
            let _ = write!(
                out,
                "<p class=from>{} of tools of which nothing is known</p>",
                text::counted(tale.unknown, "call")
            );
        }
        out += "<ol>";
        for line in &tale.lines {
            let _ = write!(
                out,
                "<li id=\"{}\" class=\"{}\"><span class=at>{}</span><span class=what>{}</span><div>{}</div></li>",
                self.anchor(line.step),
                kind(&line.what),
                line.step,
                word(&line.what),
                self.body(&line.what)
            );
        }
        out + "</ol></section>"
    }

    fn anchor(&self, step: u64) -> String {
        format!("s{}-{step}", self.at)
    }

    fn link(&self, step: u64) -> String {
        format!("<a href=\"#{}\">step {step}</a>", self.anchor(step))
    }

    /// A stop in one line: what, and where that came from.
    fn in_short(&self, line: &Line) -> Option<String> {
        let Happened::Call { tool, told: Some(told), .. } = &line.what else { return None };
        let (class, head) = verdict(told)?;
        let from: Vec<u64> = told.why.iter().filter_map(|why| why.entry).collect();
        let from = from.first().map(|step| format!(" ← {}", self.link(*step))).unwrap_or_default();
        let (step, tool, head) = (self.link(line.step), visible::html(tool), visible::html(&head));
        Some(format!("<li class={class}>{step} <code>{tool}</code> <strong>{head}</strong>{from}</li>"))
    }

    fn body(&self, what: &Happened) -> String {
        match what {
            Happened::System { text } => format!("<p class=from>{}</p>", long(text)),
            Happened::User { text } => format!("<p class=user>{}</p>", long(text)),
            Happened::Says { text } => format!("<p class=model>{}</p>", long(text)),
            Happened::Result { of, text, labels, failed, taken, .. } => {
                let class = labels.as_ref().map_or("anyone", |labels| of_integrity(labels.integrity));
                let said = labels.as_ref().map(text::label).unwrap_or_default();
                let failed = if *failed { "failed, " } else { "" };
                let head = format!("<p class=from>{} gave, {failed}{said}</p>", self.link(*of));
                format!("{head}<div class=\"text {class}\">{}</div>", self.result(text, taken))
            }
            Happened::Call { tool, arguments, told, quotes } => {
                let mut out = format!("<p><code class=tool>{}</code></p>", visible::html(tool));
                if let Some(told) = told {
                    out += &self.arguments(told, arguments);
                    out += &self.stop(told, quotes);
                }
                out
            }
        }
    }

    fn result(&self, text: &str, taken: &[Taken]) -> String {
        let mut out = String::new();
        for piece in excerpt::excerpt(text, taken, SHOWN_MAX_CHARS) {
            let _ = match piece {
                Piece::Gap => write!(out, "<i> … </i>"),
                Piece::Plain(text) => write!(out, "{}", visible::html(&text)),
                Piece::Taken(text, by) => {
                    write!(out, "<mark>{}</mark><sup>{}</sup>", visible::html(&text), self.link(by))
                }
            };
        }
        out + &whole(text)
    }

    fn arguments(&self, told: &Told, arguments: &Value) -> String {
        let mut out = String::new();
        for (name, value, label) in given(told, arguments) {
            let name = visible::html(name);
            let _ = match value.is_empty() {
                true => write!(out, "<tr><th>{name}<td class=from>(empty)<td></tr>"),
                false => {
                    let (class, value, from) = (of_choice(label), long(&value), self.origin(label));
                    write!(out, "<tr><th>{name}<td class={class}>{value}<td class=from>{from}</tr>")
                }
            };
        }
        if out.is_empty() { out } else { format!("<table>{out}</table>") }
    }

    /// Where a value came from.
    fn origin(&self, label: &ArgumentLabel) -> String {
        let who = match label.choice {
            Choice::User => return "the user named it".to_owned(),
            Choice::Model => return "the model’s own".to_owned(),
            Choice::Delegated => "where the user pointed",
            Choice::System => "a record",
            Choice::Untrusted => "text of others",
        };
        let step = label.label.origins.first().and_then(|origin| origin.entry);
        step.map_or_else(|| who.to_owned(), |step| format!("{who}, {}", self.link(step)))
    }

    fn stop(&self, told: &Told, quotes: &[Quote]) -> String {
        let Some((class, head)) = verdict(told) else { return String::new() };
        let mut out = format!("<div class=\"stop {class}\"><strong>{}</strong>", visible::html(&head));
        for why in &told.why {
            let _ = write!(out, "<p>{}</p>", marked(&why.text));
        }
        for quote in quotes {
            let (before, value, after) =
                (visible::html(&quote.before), visible::html(&quote.value), visible::html(&quote.after));
            let (step, source) = (self.link(quote.step), visible::html(&quote.source));
            let _ = write!(
                out,
                "<blockquote>…{before}<mark>{value}</mark>{after}…<cite>{step}, {source}</cite></blockquote>"
            );
        }
        out + "</div>"
    }
}

/// What would have been said; none if it would have passed.
fn verdict(told: &Told) -> Option<(&'static str, String)> {
    match told.verdict {
        Verdict::Permit => None,
        Verdict::Ask => Some(("ask", format!("would ask: {}", told.groups.join(", ")))),
        Verdict::Deny => Some(("deny", format!("would deny: {}", told.reasons.join(", ")))),
    }
}

fn word(what: &Happened) -> &'static str {
    match what {
        Happened::System { .. } => "system",
        Happened::User { .. } => "user",
        Happened::Says { .. } => "says",
        Happened::Call { .. } => "call",
        Happened::Result { .. } => "gave",
    }
}

/// How a step looks on the line.
fn kind(what: &Happened) -> &'static str {
    match what {
        Happened::User { .. } => "of-user",
        Happened::Call { told: Some(told), .. } => verdict(told).map_or("of-call", |(class, _)| class),
        Happened::Call { told: None, .. } => "of-call",
        _ => "of-text",
    }
}

fn of_choice(label: &ArgumentLabel) -> &'static str {
    match label.choice {
        Choice::User => "user",
        Choice::Model => "model",
        Choice::System | Choice::Delegated => "record",
        Choice::Untrusted => of_integrity(label.label.integrity),
    }
}

fn of_integrity(integrity: Integrity) -> &'static str {
    match integrity {
        Integrity::Trusted => "user",
        Integrity::FirstParty => "record",
        Integrity::ThirdParty => "third",
        Integrity::Anyone => "anyone",
    }
}

/// A text, its end on demand.
fn long(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN_MAX_CHARS).collect();
    let dots = if cut.len() < text.len() { "<i> … </i>" } else { "" };
    visible::html(&cut) + dots + &whole(text)
}

/// All of a text that is longer than what is shown at once.
fn whole(text: &str) -> String {
    if text.chars().nth(SHOWN_MAX_CHARS).is_none() {
        return String::new();
    }
    let cut: String = text.chars().take(WHOLE_MAX_CHARS).collect();
    let dots = if cut.len() < text.len() { " …" } else { "" };
    format!("<details><summary>all of it</summary>{}{dots}</details>", visible::html(&cut))
}

/// The same, what stands between backticks as code.
fn marked(text: &str) -> String {
    let parts = text.split('`').map(visible::html).enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part }).collect()
}

//! Stories as one HTML file that needs nothing else: no script, no font, no link.

use std::fmt::Write as _;

use gateway::story::Verdict;
use policy::{Choice, Integrity, Role};
use serde_json::Value;

use super::{Happened, Tale, text};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h2{font-size:1rem;margin:2.5rem 0 .5rem;border-bottom:1px solid #d0d7de}ol{list-style:none;padding:0}li{padding:.25rem 0 .25rem 6.5rem;position:relative;overflow-wrap:anywhere}\
li>b:first-child{position:absolute;left:0;width:6rem;color:#59636e;font-weight:600}code{font:13px ui-monospace,monospace}\
.user{color:#116329}.record{color:#0b6478}.model{color:#0a4fae}.third{color:#855300}.anyone{color:#b3261e}.from{color:#59636e;font-size:.85em}\
.stop{border-left:4px solid #b3261e;background:#fff1f0;padding:.5rem .8rem;margin:.4rem 0}.stop mark{background:#b3261e;color:#fff;padding:0 .2em}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}.user{color:#56d364}.record{color:#56d4dd}.model{color:#79c0ff}.third{color:#e3b341}.anyone{color:#ff7b72}.stop{background:#2d1214}li>b:first-child,.from{color:#9198a1}}";

pub(super) fn render(tales: &[Tale]) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Bailiwick replay</title><style>{STYLE}</style><h1>What would have been stopped</h1><p>Values: <span class=user>the user's</span>, <span class=record>a record's</span>, <span class=model>the model's</span>, <span class=third>a third party's</span>, <span class=anyone>anyone's</span></p>"
    );
    for tale in tales {
        out += &self::tale(tale);
    }
    out + "</html>\n"
}

fn tale(tale: &Tale) -> String {
    let mut out = format!(
        "<section><h2>{}</h2><p class=from>{}, {} calls: {} would have been asked, {} denied</p><ol>",
        escaped(&tale.id),
        escaped(tale.format),
        tale.calls,
        tale.asked,
        tale.denied
    );
    for line in &tale.lines {
        let _ = write!(out, "<li><b>{} {}</b>{}</li>", line.step, word(&line.what), body(&line.what));
    }
    out + "</ol></section>"
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

fn body(what: &Happened) -> String {
    match what {
        Happened::System { text } => format!("<span class=from>{}</span>", escaped(&cut(text))),
        Happened::User { text } => format!("<span class=user>{}</span>", escaped(&cut(text))),
        Happened::Says { text } => format!("<span class=model>{}</span>", escaped(&cut(text))),
        Happened::Result { of, text, labels, .. } => {
            let class = labels.as_ref().map_or("anyone", |labels| of_integrity(labels.integrity));
            let said = labels.as_ref().map(text::label).unwrap_or_default();
            format!("<span class=from>to {of}, {said}:</span> <span class={class}>{}</span>", escaped(&cut(text)))
        }
        Happened::Call { tool, arguments, told, quotes } => {
            let mut out = format!("<code>{}</code>", escaped(tool));
            let Some(told) = told else { return out };
            for label in told.labels.arguments.iter().filter(|label| label.role != Role::Link) {
                let value = match arguments.pointer(&label.pointer) {
                    Some(Value::String(text)) => cut(text),
                    Some(other) => cut(&other.to_string()),
                    None => continue,
                };
                let class = match label.choice {
                    Choice::User => "user",
                    Choice::Model => "model",
                    Choice::System | Choice::Delegated => "record",
                    Choice::Untrusted => of_integrity(label.label.integrity),
                };
                let name = label.pointer.trim_start_matches('/');
                let _ =
                    write!(out, "<br><code>{} = <span class={class}>{}</span></code>", escaped(name), escaped(&value));
            }
            let head = match told.verdict {
                Verdict::Permit => return out,
                Verdict::Ask => format!("would ask: {}", told.groups.join(", ")),
                Verdict::Deny => format!("would deny: {}", told.reasons.join(", ")),
            };
            let _ = write!(out, "<div class=stop><strong>{}</strong>", escaped(&head));
            for why in &told.why {
                let _ = write!(out, "<br>{}", escaped(&why.text));
            }
            for quote in quotes {
                let (before, value, after) = (escaped(&quote.before), escaped(&quote.value), escaped(&quote.after));
                let _ = write!(
                    out,
                    "<br><span class=from>step {}:</span> …{before}<mark>{value}</mark>{after}…",
                    quote.step
                );
            }
            out + "</div>"
        }
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

fn cut(text: &str) -> String {
    let cut: String = text.chars().take(600).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

fn escaped(text: &str) -> String {
    let visible = text::visible(text);
    visible
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

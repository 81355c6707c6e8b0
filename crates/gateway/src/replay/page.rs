//! What other policies would have changed, as one HTML file that needs nothing else. Pure.

use std::fmt::Write as _;

use graph::{plural, visible};

use super::whatif::{Flip, WhatIf};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c1c1e;background:#fff}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.45rem .6rem;border-bottom:1px solid #ddd}\
td.n{text-align:right;font-variant-numeric:tabular-nums}.permit{color:#1a7f37}.ask{color:#9a6700}.deny{color:#cf222e}\
code{font-size:.92em;overflow-wrap:anywhere}td:nth-child(4){min-width:13rem}td:nth-child(2){white-space:nowrap}small{color:#57606a}\
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}th,td{border-color:#333}small{color:#9aa}\
.permit{color:#4ac26b}.ask{color:#d4a72c}.deny{color:#ff7b72}}\
@media(max-width:45rem){thead{display:none}tr,td,td.n{display:block;text-align:left}td{border:0;padding:.1rem 0}\
tr{padding:.6rem 0;border-bottom:1px solid #8886}td.n{font-weight:600}}";

/// The page.
pub fn html(found: &WhatIf) -> String {
    let flipped: u64 = found.flips.iter().map(|flip| flip.count).sum();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>What if</title><style>{STYLE}</style><h1>What other policies would have changed</h1>\
         <p>{} in {}; <strong>{}</strong> in {}.</p>",
        plural(found.decisions, "decision"),
        plural(found.sessions, "session"),
        plural(flipped, "flip"),
        plural(found.sessions_flipped, "session")
    );
    page.push_str(
        "<table><thead><tr><th>Count<th>Flip<th>Agent<th>Tool<th>Policies then → now<th>Entries</tr></thead><tbody>",
    );
    found.flips.iter().for_each(|flip| row(&mut page, flip));
    page.push_str("</tbody></table><h2>What could no longer be known</h2><ul>");
    for (count, text) in unknowns(found).into_iter().filter(|(count, _)| *count > 0) {
        _ = write!(page, "<li>{count} {text}");
    }
    page.push_str("</ul>");
    if !found.unreadable.is_empty() {
        page.push_str("<h2>Could not be read</h2><ul>");
        for fault in &found.unreadable {
            _ = write!(page, "<li>entry {}: {}", fault.entry, visible::html(&fault.message));
        }
        page.push_str("</ul>");
    }
    page.push_str("</html>\n");
    page
}

fn row(page: &mut String, flip: &Flip) {
    let kind = &flip.kind;
    let (from, to) = (kind.from.word(), kind.to.word());
    let entries: Vec<String> = flip.examples.iter().map(u64::to_string).collect();
    let dots = if flip.count > flip.examples.len() as u64 { ", …" } else { "" };
    _ = write!(
        page,
        "<tr><td class=\"n\">{} ×<td><span class=\"{from}\">{from}</span> → <span class=\"{to}\">{to}</span><td>{}<td><code>{}</code>\
         <td>{} → {}<br><small>{}</small><td>{}{dots}</tr>",
        flip.count,
        visible::html(&kind.agent),
        visible::html(&kind.tool),
        visible::html(&names(&kind.were)),
        visible::html(&names(&kind.policies)),
        visible::html(&flip.text),
        entries.join(", ")
    );
}

fn names(policies: &[String]) -> String {
    if policies.is_empty() { "no policy permits".to_owned() } else { policies.join(", ") }
}

/// What could not be known any more: how often, and what, as the end of a sentence.
pub fn unknowns(found: &WhatIf) -> [(u64, &'static str); 9] {
    let unknown = &found.unknown;
    [
        (
            unknown.after_first_flip,
            "decisions come after the first flip of their session: made as if the agent had gone on as recorded",
        ),
        (unknown.results_gone, "results would not have come back; later labels are without them"),
        (unknown.results_never_seen, "calls were not made then: what they would have returned is not known"),
        (unknown.answers_never_given, "times a person would have been asked who was not: the answer is not known"),
        (
            unknown.labels_as_recorded,
            "decisions use the recorded labels, because a result or prompt before them is not kept or cannot be read",
        ),
        (unknown.labels_differ, "decisions before the first flip have other labels when derived again"),
        (unknown.erased, "decisions cannot be made again: what was asked for was erased"),
        (
            unknown.after_unreadable,
            "decisions come after an entry that cannot be read: what that would have changed for them is not known",
        ),
        (unknown.other_kinds, "entries are of kinds that this version does not know"),
    ]
}

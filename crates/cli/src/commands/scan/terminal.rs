//! A report for the terminal: each finding as a compiler would say it, then what there is, then what is missing.
//!
//! Texts of the graph were written by others: each passes [`graph::visible`], so none can command the terminal.

use std::collections::BTreeSet;

use comfy_table::{ContentArrangement, Table, presets};
use graph::observation::RelationKind;
use graph::{
    Basis, EntityKind, Factor, FactorName, Finding, Graph, Report, Severity, Step, behaviour, finding, rules, visible,
};

/// How to write.
pub(super) struct Style {
    /// Columns.
    pub(super) width: usize,
    /// Whether to colour.
    pub(super) color: bool,
    /// The home to write as `~`.
    pub(super) home: Option<String>,
}

#[derive(Clone, Copy)]
enum Tone {
    Bold,
    Dim,
    Of(Severity),
    Good,
    Warn,
}

/// The report as text.
pub(super) fn render(report: &Report, style: &Style) -> String {
    let page = Page { report, style };
    let parts = [page.findings(), page.inventory(), page.unread(), page.summary()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

struct Page<'a> {
    report: &'a Report,
    style: &'a Style,
}

impl Page<'_> {
    fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Bold => "1",
            Tone::Dim => "2",
            Tone::Of(Severity::Critical) => "1;35",
            Tone::Of(Severity::High) => "1;31",
            Tone::Of(Severity::Medium) | Tone::Warn => "33",
            Tone::Of(Severity::Low) => "34",
            Tone::Of(Severity::Info) => "2",
            Tone::Good => "32",
        };
        if self.style.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A path with the home as `~`, and safe to show.
    fn place(&self, text: &str) -> String {
        let text = clean(text);
        let below = self.style.home.as_deref().and_then(|home| text.strip_prefix(home));
        match below {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{rest}"),
            _ => text,
        }
    }

    /// Text with every path of the home shortened.
    fn prose(&self, text: &str) -> String {
        let text = clean(text);
        match self.style.home.as_deref() {
            Some(home) => text.replace(&format!("{home}/"), "~/").replace(&format!("`{home}`"), "`~`"),
            None => text,
        }
    }

    fn findings(&self) -> String {
        let mut explained = BTreeSet::new();
        let mut out = String::new();
        let (urgent, others): (Vec<&Finding>, Vec<&Finding>) =
            self.report.findings.iter().partition(|finding| finding.severity >= Severity::Medium);
        for finding in urgent {
            let first = explained.insert(finding.rule.as_str());
            out.push_str(&self.finding(finding, first));
        }
        for finding in others {
            out.push_str(&self.line(finding));
        }
        out
    }

    /// A finding that can wait, in a line.
    fn line(&self, finding: &Finding) -> String {
        let place = finding.places().first().map(|evidence| self.place(&evidence.place())).unwrap_or_default();
        let head = self.head(finding);
        wrap(&format!("{} ({place})", self.prose(&finding.message)), self.style.width, &head, "  ")
    }

    fn head(&self, finding: &Finding) -> Lead {
        let plain = format!("{}[{}]: ", finding.severity, finding.rule);
        let painted = self.paint(Tone::Of(finding.severity), plain.trim_end_matches(": ")) + ": ";
        Lead { columns: plain.chars().count(), text: painted }
    }

    fn finding(&self, finding: &Finding, explain: bool) -> String {
        let mut out = wrap(&self.prose(&finding.message), self.style.width, &self.head(finding), "  ");
        if let Some(evidence) = finding.places().first() {
            out.push_str(&format!("  {} {}\n", self.paint(Tone::Dim, "-->"), self.place(&evidence.place())));
        }
        for step in &finding.path {
            out.push_str(&self.step(step));
        }
        if let (true, Some(rule)) = (explain, rules::find(&finding.rule)) {
            out.push_str(&self.label("why", rule.why, Tone::Dim));
        }
        out.push_str(&self.label("fix", &finding.fix, Tone::Good));
        for control in finding.factors.iter().filter(|factor| is_telling(factor)) {
            out.push_str(&self.label("control", &control.because, Tone::Good));
        }
        let factors = finding.factors.iter().map(|factor| format!("{} {}", factor.name.as_str(), factor.value));
        let factors = factors.collect::<Vec<_>>().join(", ");
        out.push_str(&self.label(
            "score",
            &format!("{:.2} of 1: {factors}", finding::score(&finding.factors)),
            Tone::Dim,
        ));
        out + "\n"
    }

    fn label(&self, name: &str, text: &str, tone: Tone) -> String {
        let lead = Lead { columns: 5 + name.len() + 2, text: format!("   = {}: ", self.paint(tone, name)) };
        wrap(&self.prose(text), self.style.width, &lead, &" ".repeat(5 + name.len() + 2))
    }

    /// `   | uses server web … file:line`, the place on the same line if it fits.
    fn step(&self, step: &Step) -> String {
        let bar = self.paint(Tone::Dim, "|");
        let via = step.via.map(|via| format!("{} ", via.as_str().replace('_', " "))).unwrap_or_default();
        let indent = match step.via {
            None => "",
            Some(RelationKind::Uses) => "  ",
            Some(_) => "    ",
        };
        let inferred = step.evidence.iter().all(|evidence| evidence.basis == Basis::Inferred);
        let name = self.place(&step.name);
        let name = if step.entity.kind == EntityKind::Credential { cut(&name, 40) } else { name };
        let what = format!("{indent}{via}{} {name}{}", step.entity.kind, if inferred { " (inferred)" } else { "" });
        let place = step.evidence.first().map(|evidence| self.place(&evidence.place())).unwrap_or_default();
        let room = self.style.width.saturating_sub(6 + what.chars().count() + place.chars().count());
        let mut out = match room {
            0 => format!("   {bar} {what}\n   {bar} {indent}  {}\n", self.paint(Tone::Dim, &place)),
            room => format!("   {bar} {what}{}{}\n", " ".repeat(room.min(2)), self.paint(Tone::Dim, &place)),
        };
        if let Some(note) = &step.note {
            let lead = Lead { columns: 7 + indent.len(), text: format!("   {bar} {indent}  ") };
            out.push_str(&wrap(&self.prose(note), self.style.width, &lead, &lead.text));
        }
        out
    }

    fn inventory(&self) -> String {
        let graph = &self.report.graph;
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(self.style.width).unwrap_or(u16::MAX));
        table.set_header(["AGENT", "CONFIGURATION", "SERVERS", "TOOLS", "SECRETS", "OWNER", "WORST"]);
        let agents: Vec<u32> = graph.of_kind(EntityKind::Agent).map(|(at, _)| at).collect();
        for at in &agents {
            table.add_row(self.row(graph, *at));
        }
        if agents.is_empty() {
            return "No agent was found.\n".to_owned();
        }
        table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    fn row(&self, graph: &Graph, at: u32) -> Vec<String> {
        let Some(agent) = graph.entity(at) else { return Vec::new() };
        let servers: Vec<u32> = graph.targets(at, RelationKind::Uses).map(|(server, _)| server).collect();
        let asked = servers.iter().filter(|server| behaviour::tools_known(graph, **server)).count();
        let tools: usize = servers.iter().map(|server| graph.targets(*server, RelationKind::Offers).count()).sum();
        let tools = if asked == 0 && !servers.is_empty() { "not asked".to_owned() } else { tools.to_string() };
        let holders = servers.iter().chain([&at]);
        let secrets: BTreeSet<u32> =
            holders.flat_map(|holder| graph.targets(*holder, RelationKind::Holds)).map(|(secret, _)| secret).collect();
        let owner = graph.sources(at, RelationKind::Owns).map(|(_, person)| clean(&person.name)).next();
        let ids: BTreeSet<_> =
            servers.iter().chain([&at]).filter_map(|at| graph.entity(*at)).map(|entity| &entity.id).collect();
        let concerns = |finding: &&Finding| {
            ids.contains(&finding.subject) || finding.path.iter().any(|step| ids.contains(&step.entity))
        };
        let worst = self.report.findings.iter().find(concerns);
        vec![
            clean(&agent.name),
            self.place(agent.text("config").unwrap_or_default()),
            servers.len().to_string(),
            tools,
            secrets.len().to_string(),
            owner.unwrap_or_else(|| "nobody".to_owned()),
            worst.map_or_else(|| "–".to_owned(), |finding| finding.severity.to_string()),
        ]
    }

    fn unread(&self) -> String {
        if self.report.unread.is_empty() {
            return String::new();
        }
        let mut out = self.paint(Tone::Warn, "could not be read:") + "\n";
        for unread in &self.report.unread {
            let line = unread.line.map(|line| format!(":{line}")).unwrap_or_default();
            let lead = Lead { columns: 2, text: "  ".to_owned() };
            let text = format!("{}{line}: {}", self.place(&unread.source), clean(&unread.reason));
            out.push_str(&wrap(&text, self.style.width, &lead, "    "));
        }
        out
    }

    fn summary(&self) -> String {
        let findings = &self.report.findings;
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let counts: Vec<String> = Severity::ALL
            .iter()
            .rev()
            .filter(|severity| count(**severity) > 0)
            .map(|severity| self.paint(Tone::Of(*severity), &format!("{} {severity}", count(*severity))))
            .collect();
        let found = self.report.looked.iter().filter(|looked| looked.found).count();
        let missing = self.report.looked.len() - found;
        let looked = match self.report.looked.len() {
            0 => String::new(),
            _ => format!("Looked in {} places: {found} are there, {missing} are not.", found + missing),
        };
        let verdict = match findings.len() {
            0 => self.paint(Tone::Good, "Nothing worrying was found."),
            1 => format!("1 finding: {}.", counts.join(", ")),
            many => format!("{many} findings: {}.", counts.join(", ")),
        };
        let graph = &self.report.graph;
        let unasked = graph.of_kind(EntityKind::Server).any(|(at, _)| !behaviour::tools_known(graph, at));
        let next = if unasked {
            "Tools were not asked for everywhere: `bailiwick scan --live` starts the servers and asks."
        } else {
            ""
        };
        let plain = |text: &str| wrap(text, self.style.width, &Lead { columns: 0, text: String::new() }, "");
        let notes: String = [looked.as_str(), next].into_iter().filter(|note| !note.is_empty()).map(plain).collect();
        format!("{notes}{}\n", self.paint(Tone::Bold, &verdict))
    }
}

fn clean(text: &str) -> String {
    text.chars().map(visible::character).collect()
}

fn cut(text: &str, max: usize) -> String {
    match text.chars().count() > max {
        true => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// What stands before a wrapped text: its columns are counted apart, since colours take none.
struct Lead {
    columns: usize,
    text: String,
}

/// Words into lines of `width` columns. A word that is longer stands alone on its line.
fn wrap(text: &str, width: usize, lead: &Lead, indent: &str) -> String {
    let indent_columns = plain_columns(indent);
    let (mut out, mut column, mut is_first) = (lead.text.clone(), lead.columns, true);
    for word in text.split_whitespace() {
        let columns = word.chars().count();
        if !is_first && column + 1 + columns > width {
            out = out.trim_end().to_owned() + "\n" + indent;
            (column, is_first) = (indent_columns, true);
        }
        if !is_first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += columns;
        is_first = false;
    }
    out + "\n"
}

/// Columns of a text without its colours.
fn plain_columns(text: &str) -> usize {
    let mut columns = 0;
    let mut in_escape = false;
    for c in text.chars() {
        match (in_escape, c) {
            (false, '\u{1b}') => in_escape = true,
            (false, _) => columns += 1,
            (true, 'm') => in_escape = false,
            (true, _) => {}
        }
    }
    columns
}

/// Whether a factor is a control that takes most of the danger away, which a reader wants named.
fn is_telling(factor: &Factor) -> bool {
    factor.name == FactorName::Control && factor.value > 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fixture: &str, columns: usize, expect: impl FnOnce(String)) {
        let graph = graph::builtin::joined(graph::text::observations(fixture).unwrap());
        let report = Report::of("0.1.0", "2026-01-02T03:04:05Z", graph, rules::RULES.iter());
        let unread = graph::Unread::new("/home/sam/.codex/config.toml", Some(3), "expected `]`");
        let looked = [("/home/sam/.claude.json", true), ("/home/sam/.none", false)];
        let looked = looked.map(|(source, found)| graph::Looked { source: source.into(), found });
        let report = report.with_sources(vec![unread], looked.into());
        let style = Style { width: columns, color: false, home: Some("/home/sam".to_owned()) };
        let text = render(&report, &style);
        for line in text.lines() {
            assert!(line.chars().count() <= columns || !line.trim().contains(' '), "{columns} columns: {line}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "a text commands the terminal");
        expect(text);
    }

    const FIXTURE: &str = "agent Claude scope=user config=/home/sam/.claude.json @/home/sam/.claude.json:1
person sam owns Claude
Claude uses tracker transport=stdio @/home/sam/.claude.json:4
tracker runs tracker-mcp ecosystem=npm pinned=false @/home/sam/.claude.json:5
tracker holds a1b2c3 via.name=TRACKER_TOKEN via.place=env @/home/sam/.claude.json:7";

    #[test]
    fn a_finding_reads_like_a_compilers_error() {
        check(FIXTURE, 80, |text| {
            for part in [
                "medium[unpinned-server]: server `tracker` runs `tracker-mcp` without a version",
                "  --> ~/.claude.json:5\n   | server tracker",
                "   = fix: write `tracker-mcp@X.Y.Z`",
                "could not be read:\n  ~/.codex/config.toml:3: expected `]`\n",
                "Looked in 2 places: 1 are there, 1 are not.\n",
            ] {
                assert!(text.contains(part), "{part}\n{text}");
            }
        });
    }

    #[test]
    fn it_fits_wide_and_narrow_terminals_and_hostile_names_do_nothing() {
        let hostile = "agent \"evil\" scope=user\nClaude uses x\nx offers tool t description=\"\\u001b[2J\\u202e <!-- hidden -->\"";
        for columns in [60, 80, 140] {
            check(&format!("{FIXTURE}\n{hostile}"), columns, drop);
        }
    }
}

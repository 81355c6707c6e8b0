//! The findings as SARIF 2.1.0, for code hosts and viewers that read it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Report;
use crate::finding::{Citation, Finding, Severity, Step, score};
use crate::observation::{Evidence, Lack, Unread};
use crate::rules::{RULES, Rule};

/// The findings as SARIF. A fact without a file, such as an API object, is a logical location.
pub fn sarif(report: &Report) -> String {
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run(report)],
    });
    super::pretty(&log)
}

fn run(report: &Report) -> Value {
    let rules: Vec<&Rule> = RULES.iter().collect();
    let mut run = json!({
        "tool": { "driver": {
            "name": "Bailiwick",
            "semanticVersion": report.version,
            "rules": rules.iter().map(|rule| descriptor(rule, report)).collect::<Vec<_>>(),
        }},
        "taxonomies": taxonomies(&rules),
        "invocations": [{
            "executionSuccessful": true,
            "endTimeUtc": report.at,
            "toolExecutionNotifications":
                report.unread.iter().map(|unread| notification(report, unread)).collect::<Vec<_>>(),
        }],
        "columnKind": "utf16CodeUnits",
        "results": report.findings.iter().map(|finding| result(report, finding)).collect::<Vec<_>>(),
    });
    if let (Some(base), Some(run)) = (&report.base, run.as_object_mut()) {
        let uri = format!("{}/", file_uri(base).trim_end_matches('/'));
        run.insert("originalUriBaseIds".to_owned(), json!({ "SRCROOT": { "uri": uri } }));
    }
    run
}

fn descriptor(rule: &Rule, report: &Report) -> Value {
    let findings = || report.findings.iter().filter(|finding| finding.rule == rule.id);
    let worst = findings().map(|finding| finding.severity).max().unwrap_or(Severity::Medium);
    let worst_score = findings().map(|finding| score(&finding.factors)).fold(0.5, f64::max);
    let citations = rule.citations();
    let cited = citations.iter().map(|cited| Value::from(format!("{}/{}", taxonomy(cited), cited.id)));
    let tags: Vec<Value> = [Value::from("security")].into_iter().chain(cited).collect();
    json!({
        "id": rule.id,
        "shortDescription": { "text": format!("{}.", rule.title) },
        "fullDescription": { "text": rule.why },
        "help": {
            "text": format!("{}\n\n{}", rule.why, rule.fix),
            "markdown": format!("{}\n\n**Fix.** {}", rule.why, rule.fix),
        },
        "defaultConfiguration": { "level": level(worst) },
        "relationships": citations.iter().map(relationship).collect::<Vec<_>>(),
        "properties": {
            "tags": tags,
            "security-severity": format!("{:.1}", worst_score * 10.0),
        },
    })
}

fn relationship(cited: &Citation) -> Value {
    json!({ "target": { "id": cited.id, "toolComponent": { "name": taxonomy(cited) } }, "kinds": ["relevant"] })
}

/// A framework's edition as one name: codes of two editions never meet in one list.
fn taxonomy(cited: &Citation) -> String {
    format!("{} {}", cited.framework, cited.edition)
}

fn taxonomies(rules: &[&Rule]) -> Vec<Value> {
    let mut by_name: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for cited in rules.iter().flat_map(|rule| rule.citations()) {
        by_name.entry(taxonomy(&cited)).or_default().insert((cited.id, cited.title));
    }
    let taxon = |(id, title): (String, String)| json!({ "id": id, "name": title });
    by_name
        .into_iter()
        .map(|(name, items)| json!({ "name": name, "taxa": items.into_iter().map(taxon).collect::<Vec<_>>() }))
        .collect()
}

fn result(report: &Report, finding: &Finding) -> Value {
    let at: Vec<Value> = finding.places().into_iter().map(|evidence| location(report, evidence, None)).collect();
    let index = RULES.iter().position(|rule| rule.id == finding.rule);
    json!({
        "ruleId": finding.rule,
        "ruleIndex": index.map_or(Value::from(-1), Value::from),
        "level": level(finding.severity),
        "rank": (score(&finding.factors) * 1000.0).round() / 10.0,
        "message": { "text": format!("{}. Fix: {}", finding.message, finding.fix) },
        "locations": at.into_iter().take(1).collect::<Vec<_>>(),
        "codeFlows": [{ "threadFlows": [{ "locations":
            finding.path.iter().map(|step| json!({ "location": step_location(report, step) })).collect::<Vec<_>>() }] }],
        "partialFingerprints": { "bailiwick/v1": finding.id },
        "properties": {
            "severity": finding.severity,
            "factors": finding.factors,
            "subject": finding.subject.to_string(),
            "fix": finding.fix,
        },
    })
}

fn step_location(report: &Report, step: &Step) -> Value {
    let note = step.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    let text = match step.via {
        Some(via) => format!("{via} {} {}{note}", step.entity.kind, step.name),
        None => format!("{} {}{note}", step.entity.kind, step.name),
    };
    match step.evidence.first() {
        Some(evidence) => location(report, evidence, Some(text)),
        None => json!({ "message": { "text": text } }),
    }
}

fn location(report: &Report, evidence: &Evidence, message: Option<String>) -> Value {
    let mut location = place(report, &evidence.source, evidence.line);
    if let (Some(text), Some(location)) = (message, location.as_object_mut()) {
        location.insert("message".to_owned(), json!({ "text": text }));
    }
    location
}

fn place(report: &Report, source: &str, line: Option<u32>) -> Value {
    match line.is_some() || is_file(source) {
        true => json!({ "physicalLocation": physical(report, source, line) }),
        false => json!({ "logicalLocations": [{ "fullyQualifiedName": source }] }),
    }
}

fn physical(report: &Report, source: &str, line: Option<u32>) -> Value {
    // What is not told from the root is told from the folder that the report was made in.
    let told = || report.base.as_ref().and_then(|_| relative(source));
    let below = report.base.as_deref().and_then(|base| source.strip_prefix(base)?.strip_prefix('/')).or_else(told);
    let artifact = match below {
        Some(relative) => json!({ "uri": encode(relative), "uriBaseId": "SRCROOT" }),
        None => json!({ "uri": file_uri(source) }),
    };
    match line {
        Some(line) => json!({ "artifactLocation": artifact, "region": { "startLine": line } }),
        None => json!({ "artifactLocation": artifact }),
    }
}

fn notification(report: &Report, unread: &Unread) -> Value {
    json!({
        "level": if unread.lack == Lack::Hidden { "warning" } else { "note" },
        "message": { "text": format!("{}: {}", unread.word(), unread.reason) },
        "locations": [place(report, &unread.source, unread.line)],
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// Whether a source without a line is a file: not what a client has built in, nor an object of an API.
fn is_file(source: &str) -> bool {
    let windows = source.as_bytes().get(1) == Some(&b':');
    let is_object = source.contains([':', '@', '#']) || source.starts_with("built into ");
    source.starts_with(['/', '.', '~']) || windows || !is_object
}

fn relative(source: &str) -> Option<&str> {
    let windows = source.as_bytes().get(1) == Some(&b':');
    let below = source.strip_prefix("./").unwrap_or(source);
    let is_below = !below.starts_with(['/', '~']) && !windows && below.split('/').all(|part| part != "..");
    is_below.then_some(below)
}

fn file_uri(path: &str) -> String {
    match path.starts_with('/') {
        true => format!("file://{}", encode(path)),
        false if path.as_bytes().get(1) == Some(&b':') => format!("file:///{}", encode(&path.replace('\\', "/"))),
        false => encode(path),
    }
}

/// Percent-encodes what may not stand in the path of a URI (RFC 3986 §3.3).
fn encode(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Graph;

    #[test]
    fn a_place_is_a_file_below_the_folder_or_a_name() {
        let mut report = Report::new("0", "2026-01-02T03:04:05Z", Graph::default(), Vec::new());
        report.base = Some("/srv/p".to_owned());
        let below = |uri: &str| json!({ "uri": uri, "uriBaseId": "SRCROOT" });
        for (source, line, expected) in [
            ("/srv/p/a b.json", Some(3), below("a%20b.json")),
            ("./c@1#x.json", Some(3), below("c%401%23x.json")),
            ("d/main.tf", None, below("d/main.tf")),
            ("/etc/e.json", None, json!({ "uri": "file:///etc/e.json" })),
            ("../f.json", None, json!({ "uri": "../f.json" })),
        ] {
            assert_eq!(place(&report, source, line)["physicalLocation"]["artifactLocation"], expected, "{source}");
        }
        for source in ["built into Claude Code", "pkg:npm/x@1", "arn:aws:iam::1:role/r"] {
            assert_eq!(place(&report, source, None)["logicalLocations"][0]["fullyQualifiedName"], source);
        }
    }
}

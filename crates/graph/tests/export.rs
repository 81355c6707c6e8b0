//! Every export of a report with each rule's example in it holds to its format's published schema.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use graph::{Looked, Report, Unread, export, rules, text};
use serde_json::Value;

/// A report in which every rule fires, over texts that try to break out of each form.
fn report() -> Report {
    let hostile = "tool evil description=\"</style><script>alert(1)</script>\\u001b[31m\\u202e\" @/srv/a%bé/<x>.json:3";
    let package = "package pkg:npm/notes@1.0.0 ecosystem=npm version=1.0.0 pinned=true\nserver extra runs pkg:npm/notes@1.0.0\nextra offers evil";
    let two = "identity a acts_as goal administrator=true via.ways=[{\"kind\":\"k\",\"title\":\"does it\",\"certain\":true,\"also\":{\"kind\":\"identity\",\"key\":\"b\"},\"needs\":[]}]\nidentity b";
    let all: Vec<&str> = rules::RULES.iter().map(|rule| rule.fires).chain([hostile, package, two]).collect();
    let graph = text::parse(&all.join("\n")).unwrap();
    let findings = rules::run(&graph);
    let unread = Unread::new("/srv/broken file.json", Some(2), "expected `}`");
    let looked = Looked { source: "/srv/none.json".into(), found: false };
    let mut report = Report::new("0.1.0", "2026-01-02T03:04:05Z", graph, findings);
    report.base = Some("/srv".to_owned());
    report.with_sources(vec![unread], vec![looked])
}

fn schema(name: &str) -> Value {
    let path = format!("{}/tests/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    // A lone `]` in one pattern of SARIF's schema is a literal in ECMAScript and an error here.
    let text = std::fs::read_to_string(path).unwrap().replace("{2}]?$", "{2}\\\\]?$");
    serde_json::from_str(&text).unwrap()
}

fn check(validator: &jsonschema::Validator, text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    value
}

#[test]
fn sarif_holds_to_its_schema_and_has_every_finding() {
    let validator = jsonschema::options().should_validate_formats(true).build(&schema("sarif-2.1.0")).unwrap();
    let report = report();
    let sarif = check(&validator, &export::sarif(&report));
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), report.findings.len());
    assert_eq!(sarif["runs"][0]["invocations"][0]["toolExecutionNotifications"].as_array().unwrap().len(), 1);
}

#[test]
fn cyclonedx_holds_to_its_schema_and_its_references_lead_somewhere() {
    let resource = |name: &str| jsonschema::Resource::from_contents(schema(name));
    let registry = jsonschema::Registry::new()
        .add("http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json", resource("spdx"))
        .and_then(|registry| {
            registry.add("http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json", resource("jsf-0.82"))
        })
        .and_then(|registry| registry.prepare())
        .unwrap();
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .with_registry(&registry)
        .build(&schema("cyclonedx-1.6"))
        .unwrap();
    let bom = check(&validator, &export::cyclonedx(&report()));
    let refs =
        |list: &str| bom[list].as_array().unwrap().iter().map(|item| item["bom-ref"].as_str().unwrap().to_owned());
    let known: std::collections::BTreeSet<String> = refs("components").chain(refs("services")).collect();
    for dependency in bom["dependencies"].as_array().unwrap() {
        assert!(dependency["dependsOn"].as_array().unwrap().iter().all(|on| known.contains(on.as_str().unwrap())));
    }
    for annotation in bom["annotations"].as_array().unwrap() {
        assert!(annotation["subjects"].as_array().unwrap().iter().all(|on| known.contains(on.as_str().unwrap())));
    }
}

#[test]
fn json_reads_back_as_the_same_report() {
    let report = report();
    let text = export::json(&report);
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    assert_eq!(export::json(&serde_json::from_str::<Report>(&text).unwrap()), text);
}

#[test]
fn html_shows_every_finding_and_runs_nothing() {
    let report = report();
    let page = export::html(&report);
    assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
    assert!(!page.contains("http://") || !page.contains("src="), "nothing may be loaded");
    for rule in rules::RULES {
        assert!(page.contains(rule.id), "{}", rule.id);
    }
    assert!(page.contains("/srv/broken file.json") && page.contains("/srv/none.json"));
}

/// The rules of BloodHound's ingest (`jsonschema/{node,edge,metadata}.json` of its source), in words of our own.
fn opengraph_schema() -> Value {
    let properties = serde_json::json!({
        "type": ["object", "null"],
        "additionalProperties": {
            "type": ["string", "number", "boolean", "array"],
            "items": { "type": ["string", "number", "boolean"] },
        },
    });
    let end = serde_json::json!({
        "type": "object", "required": ["value"],
        "properties": { "match_by": { "enum": ["id", "name"] }, "value": { "type": "string", "minLength": 1 } },
    });
    serde_json::json!({
        "type": "object", "required": ["graph"],
        "properties": {
            "metadata": {
                "type": "object", "additionalProperties": false,
                "properties": { "source_kind": { "type": ["string", "null"] } },
            },
            "graph": {
                "type": "object", "required": ["nodes", "edges"],
                "properties": {
                    "nodes": { "type": "array", "items": {
                        "type": "object", "required": ["id", "kinds"],
                        "properties": {
                            "id": { "type": "string", "minLength": 1 },
                            "kinds": { "type": "array", "minItems": 1, "maxItems": 3,
                                "items": { "type": "string", "pattern": "^[A-Za-z0-9_]+$" } },
                            "properties": properties,
                        },
                    }},
                    "edges": { "type": "array", "items": {
                        "type": "object", "required": ["start", "end", "kind"],
                        "properties": {
                            "start": end, "end": end, "properties": properties,
                            "kind": { "type": "string", "pattern": "^[A-Za-z0-9_]+$" },
                        },
                    }},
                },
            },
        },
    })
}

#[test]
fn opengraph_holds_to_the_rules_of_its_ingest() {
    let validator = jsonschema::validator_for(&opengraph_schema()).unwrap();
    let value = check(&validator, &export::opengraph(&report()));
    let nodes = value["graph"]["nodes"].as_array().unwrap();
    let edges = value["graph"]["edges"].as_array().unwrap();
    assert!(!nodes.is_empty() && !edges.is_empty());
    for one in nodes.iter().chain(edges) {
        for (name, value) in one["properties"].as_object().unwrap() {
            assert_eq!(*name, name.to_lowercase(), "names are lower case");
            assert_ne!(name, "objectid", "which BloodHound sets itself");
            let kinds = value.as_array().into_iter().flatten().map(std::mem::discriminant);
            assert!(kinds.collect::<std::collections::HashSet<_>>().len() <= 1, "a list is of one type: {name}");
        }
    }
    // BloodHound compares ids in upper case.
    let ids: std::collections::BTreeSet<String> =
        nodes.iter().map(|node| node["id"].as_str().unwrap().to_uppercase()).collect();
    assert_eq!(ids.len(), nodes.len());
}

/// The tokens of the part of Cypher that an export may use: anything else is an error.
fn tokens(statement: &str) -> Result<Vec<String>, String> {
    let chars: Vec<char> = statement.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(c) = chars.get(at).copied() {
        let start = at;
        at += 1;
        match c {
            ' ' => continue,
            '\'' => loop {
                match (chars.get(at), chars.get(at + 1)) {
                    (Some('\''), _) => break at += 1,
                    (Some('\\'), Some('\\' | '\'' | 'n' | 'r' | 't')) => at += 2,
                    (Some('\\'), Some('u')) => {
                        let digits: String = chars.iter().skip(at + 2).take(4).collect();
                        u32::from_str_radix(&digits, 16).map_err(|_| format!("an escape: {statement}"))?;
                        at += 6;
                    }
                    (Some(c), _) if *c != '\\' && !c.is_control() => at += 1,
                    other => return Err(format!("{other:?} in a text: {statement}")),
                }
            },
            '`' => {
                while chars.get(at) != Some(&'`') || chars.get(at + 1) == Some(&'`') {
                    at += if chars.get(at) == Some(&'`') { 2 } else { 1 };
                    if at >= chars.len() {
                        return Err(format!("a name has no end: {statement}"));
                    }
                }
                at += 1;
            }
            c if c.is_ascii_alphanumeric() || c == '_' => {
                while chars.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')) {
                    at += 1;
                }
            }
            '-' if chars.get(at) == Some(&'>') => at += 1,
            '+' if chars.get(at) == Some(&'=') => at += 1,
            '(' | ')' | '{' | '}' | '[' | ']' | ':' | ',' | ';' | '-' => {}
            other => return Err(format!("`{other}` outside of a text: {statement}")),
        }
        tokens.push(chars[start..at].iter().collect());
    }
    Ok(tokens)
}

/// Names with values, which are plain or lists of plain ones, and the end.
fn is_map(form: &str) -> bool {
    let text = form.replace("- value", "value").replace(" , value", "");
    let text = text.replace("[ ]", "value").replace("[ value ]", "value").replace(" at : ", " name : ");
    text.replace(" , name : value", "") == "{ name : value } ;"
}

/// A token's place in a grammar: what a text, a name and a number are is all the same.
fn class(token: &str) -> &str {
    match token.as_bytes() {
        [b'\'', ..] | [b'0'..=b'9', ..] => "value",
        [b'`', ..] => "name",
        _ if matches!(token, "true" | "false") => "value",
        _ => token,
    }
}

#[test]
fn cypher_is_statements_of_three_forms_whatever_its_texts_hold() {
    let report = report();
    let text = export::cypher(&report);
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("CREATE CONSTRAINT bailiwick_id IF NOT EXISTS FOR (n:Bailiwick)"));
    let mut counts = (0, 0);
    for line in lines {
        let tokens = tokens(line).unwrap();
        let words: Vec<&str> = tokens.iter().map(|token| class(token)).collect();
        let form = words.join(" ");
        let one = |name: &str| format!("( {name} : Bailiwick {{ id : value }} )");
        let entity = format!("MERGE {} SET n : ", one("n"));
        let relation = format!("MATCH {} , {} MERGE ( a ) - [ r : ", one("a"), one("b"));
        let told = if let Some(rest) = form.strip_prefix(&entity) {
            counts.0 += 1;
            rest.split_once(" , n += ")
        } else if let Some(rest) = form.strip_prefix(&relation) {
            counts.1 += 1;
            rest.split_once(" ] -> ( b ) SET r += ")
        } else {
            panic!("no form of ours: {line}")
        };
        let (kind, map) = told.unwrap();
        assert!(kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && is_map(map), "{line}");
    }
    assert_eq!(counts, (report.graph.entities().len(), report.graph.relations().len()));
}

#[test]
fn opengraph_has_one_edge_of_a_kind_between_two_nodes_and_none_that_is_not_enough_alone() {
    let report = report();
    let value: Value = serde_json::from_str(&export::opengraph(&report)).unwrap();
    let ids: Vec<&str> =
        value["graph"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    let mut seen = std::collections::BTreeSet::new();
    for edge in value["graph"]["edges"].as_array().unwrap() {
        let (from, to) = (edge["start"]["value"].as_str().unwrap(), edge["end"]["value"].as_str().unwrap());
        assert!(ids.contains(&from) && ids.contains(&to), "{edge}");
        let kind = edge["kind"].as_str().unwrap();
        if kind == "BailiwickControls" || kind == "BailiwickHelpsControl" {
            assert!(seen.insert((from, to, kind)), "twice: {edge}");
            assert_eq!(edge["properties"]["traversable"], kind == "BailiwickControls");
        }
    }
    let model = graph::paths::Model::new(&report.graph);
    let alone = model.links().iter().filter(|link| link.from.len() == 1).count();
    let goal = ("identity:b", "identity:goal", "BailiwickHelpsControl");
    assert!(seen.contains(&goal), "{seen:?}");
    assert!(alone > 0 && seen.iter().filter(|(.., kind)| *kind == "BailiwickControls").count() <= alone);
}

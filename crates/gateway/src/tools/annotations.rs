//! Annotation files: corrections of what was inferred of tools, at most three lines a tool. Format and examples
//! stand in `spec/annotations.md`.
//!
//! A file with any fault corrects nothing, because a correction that is silently left out may be the one that
//! says that a tool is dangerous. Never looks at values, only at definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use policy::{Confidentiality, EffectKind, FieldFacts, Integrity, Role, Says, ToolFacts, ToolId};
use serde::Deserialize;
use serde_json::Value;

use super::infer::{Annotation, annotate};
use crate::label::{read::is_prose_key, source, writers};

/// The largest file that is read, in bytes.
pub const SIZE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How many lines one tool may have, beside its header.
const LINES_MAX: usize = 3;
/// The name that stands for every tool of a server.
const EVERY_TOOL: &str = "*";
/// How many fields of a schema of results are read, and how deep.
const FIELDS_MAX: usize = 100;
const FIELDS_DEPTH_MAX: usize = 8;

/// Corrections by tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    tools: BTreeMap<String, Annotation>,
}

/// One tool as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What was inferred of it.
    pub facts: ToolFacts,
    /// The schema of its results; null if it has none.
    pub output: Value,
}

/// Something that is wrong with a file, or that its author may not mean.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// From 1.
    pub line: usize,
    /// Whether the gateway refuses the file for it.
    pub error: bool,
    /// One clause.
    pub message: String,
}

impl Annotations {
    /// Reads a file, or says all that is wrong with it.
    pub fn read(text: &str) -> Result<Self, Vec<Fault>> {
        let (annotations, faults) = parse(text);
        if faults.is_empty() { Ok(annotations) } else { Err(faults) }
    }

    /// How many tools are corrected.
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether nothing is corrected.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// Corrects the facts of one tool; answers whether there was something to correct.
    pub fn apply(&self, facts: &mut ToolFacts) -> bool {
        let id = facts.id.clone();
        self.of(&id).map(|annotation| annotate(facts, annotation)).count() > 0
    }

    /// Whether a tool is corrected.
    pub fn names(&self, tool: &ToolId) -> bool {
        !self.tools.is_empty() && self.of(tool).next().is_some()
    }

    /// What is said of a tool: of all tools of its server, and then of itself.
    fn of(&self, tool: &ToolId) -> impl Iterator<Item = &Annotation> {
        let names = [format!("{}/{EVERY_TOOL}", tool.server), tool.to_string()];
        names.into_iter().filter_map(|name| self.tools.get(&name))
    }
}

/// All that is wrong with a file, and all that its author may not mean, given what was inferred.
pub fn check(text: &str, seen: &[Seen]) -> Vec<Fault> {
    let (annotations, mut faults) = parse(text);
    for (name, annotation) in &annotations.tools {
        let line = line_of_tool(text, name);
        let doubt = |message: String| Fault { line, error: false, message };
        if let Some((server, EVERY_TOOL)) = name.split_once('/') {
            if !seen.iter().any(|seen| seen.facts.id.server == server) {
                faults.push(doubt(format!("no tool of `{server}` was seen yet")));
            }
            continue;
        }
        let Some(Seen { facts, output }) = seen.iter().find(|seen| seen.facts.id.to_string() == *name) else {
            faults.push(doubt(format!("`{name}` was not seen yet")));
            continue;
        };
        // What is said of all tools of the server holds before it.
        let mut known = facts.clone();
        if let Some(of_all) = annotations.tools.get(&format!("{}/{EVERY_TOOL}", facts.id.server)) {
            annotate(&mut known, of_all);
        }
        let mut corrected = known.clone();
        annotate(&mut corrected, annotation);
        if corrected == known {
            faults.push(doubt(format!("`{name}` says only what is inferred anyway")));
        }
        let named = annotation.roles.keys().chain(annotation.shell.iter().flatten());
        let unknown = named.filter(|pointer| !facts.roles.contains_key(*pointer));
        faults.extend(unknown.map(|pointer| doubt(format!("`{name}` has no argument `{pointer}`"))));
        let unread = known.commands.keys().filter(|pointer| !corrected.commands.contains_key(*pointer));
        faults.extend(unread.map(|pointer| {
            doubt(format!("`{name}` no longer has a command in `{pointer}`: what it would run is not looked at"))
        }));
        faults.extend(doubts_of_results(name, annotation, output).into_iter().map(doubt));
        faults.extend(doubts_of_readers(name, annotation, &corrected).into_iter().map(doubt));
        let lost: Vec<&str> = known.effects.difference(&corrected.effects).map(|effect| effect.as_str()).collect();
        if !lost.is_empty() {
            faults.push(doubt(format!("`{name}` no longer counts as {}: fewer rules hold for it", lost.join(", "))));
        }
    }
    faults.sort_by_key(|fault| fault.line);
    faults
}

fn parse(text: &str) -> (Annotations, Vec<Fault>) {
    let fault = |line: usize, message: String| Fault { line, error: true, message };
    if text.len() > SIZE_MAX_BYTES {
        return (Annotations::default(), vec![fault(1, format!("is larger than {SIZE_MAX_BYTES} bytes"))]);
    }
    let line_at = |span: Option<std::ops::Range<usize>>| line_of(text, span.map_or(0, |span| span.start));
    let document = match toml_edit::Document::parse(text) {
        Ok(document) => document,
        // The first line only: the rest of a TOML error quotes the file.
        Err(error) => {
            let message = error.message().lines().next().unwrap_or("is not TOML").to_owned();
            return (Annotations::default(), vec![fault(line_at(error.span()), message)]);
        }
    };
    let (mut annotations, mut faults) = (Annotations::default(), Vec::new());
    for (name, item) in document.as_table() {
        let line = line_of_tool(text, name);
        if name.split_once('/').is_none_or(|(server, tool)| server.is_empty() || tool.is_empty()) {
            faults.push(fault(line, format!("`{name}` is not `server/tool`")));
            continue;
        }
        let lines = item.as_table().map_or(0, |table| table.len());
        let lines = lines.max(lines_of(text, line));
        if lines > LINES_MAX {
            faults.push(fault(line, format!("`{name}` has {lines} lines, more than {LINES_MAX}")));
        }
        let table = item.clone().into_table().unwrap_or_default();
        match Annotation::deserialize(toml_edit::de::Deserializer::from(toml_edit::DocumentMut::from(table))) {
            Ok(mut annotation) => {
                let unnamed = annotation.results.keys().filter(|field| !names_a_field(field));
                faults.extend(
                    unnamed.map(|field| fault(line, format!("`{name}`: `{field}` names no field of a result"))),
                );
                let placeless = annotation.readers.keys().filter(|place| !names_a_destination(place));
                faults.extend(placeless.map(|place| fault(line, format!("`{name}`: `{place}` names no destination"))));
                let nowhere = annotation.shell.iter().flatten().filter(|pointer| !pointer.starts_with('/'));
                faults.extend(nowhere.map(|pointer| fault(line, format!("`{name}`: `{pointer}` names no argument"))));
                annotation.results = std::mem::take(&mut annotation.results).into_iter().map(by_normal_name).collect();
                annotations.tools.insert(name.to_owned(), annotation);
            }
            Err(error) => {
                let message = error.message().lines().next().unwrap_or("cannot be read").to_owned();
                let line = error.span().map_or(line, |span| line_at(Some(span)));
                faults.push(fault(line, format!("`{name}`: {message}")));
            }
        }
    }
    (annotations, faults)
}

/// A name, a JSON pointer pattern, or `*`.
fn names_a_field(field: &str) -> bool {
    field == writers::OTHERS || (field.starts_with('/') && field.len() > 1) || !writers::normal(field).is_empty()
}

fn by_normal_name((field, facts): (String, FieldFacts)) -> (String, FieldFacts) {
    let verbatim = field == writers::OTHERS || field.starts_with('/');
    (if verbatim { field } else { writers::normal(&field) }, facts)
}

/// A destination's value, with `*` for any text at either end; not in the middle, where it would mean nothing.
fn names_a_destination(pattern: &str) -> bool {
    let inner = pattern.strip_prefix('*').unwrap_or(pattern);
    let inner = inner.strip_suffix('*').unwrap_or(inner);
    pattern == writers::OTHERS || (!inner.trim().is_empty() && !inner.contains('*'))
}

/// What the author of a `results` line may not mean.
fn doubts_of_results(name: &str, annotation: &Annotation, output: &Value) -> Vec<String> {
    let mut doubts = Vec::new();
    let known = fields_of(output);
    for (field, facts) in &annotation.results {
        let last = field.rsplit('/').next().unwrap_or_default();
        let is_own = facts.writer.is_some_and(|writer| writer <= Integrity::FirstParty);
        if is_own && is_prose_key(&writers::normal(last)) {
            doubts.push(format!(
                "`{name}` takes `{field}` for the system's own: text in it may then choose what a call does"
            ));
        }
        let (usual, _) = source::of_name(last);
        let is_protected = usual > Confidentiality::Internal;
        if let Some(said) = facts.confidentiality.filter(|said| is_protected && *said < usual) {
            let (said, usual) = (word(&said), word(&usual));
            doubts.push(format!(
                "`{name}` lets more people read `{field}` than its name does: {said} instead of {usual}"
            ));
        }
        let same = |property: &Property| {
            let normal = writers::normal(&property.name);
            field == writers::OTHERS || normal == writers::normal(last) || normal.ends_with(&format!("_{last}"))
        };
        if !known.is_empty() && !known.iter().any(same) {
            doubts.push(format!("`{name}` gives back no field `{field}`"));
        }
    }
    doubts
}

/// What the author of a `readers` line may not mean.
fn doubts_of_readers(name: &str, annotation: &Annotation, corrected: &ToolFacts) -> Vec<String> {
    let mut doubts = Vec::new();
    let is_place = |role: &Role| matches!(role, Role::Recipient | Role::Destination | Role::Account);
    let has_place = corrected.roles.values().any(is_place);
    let named = annotation.readers.keys().filter(|place| *place != writers::OTHERS && !has_place);
    doubts.extend(named.map(|place| format!("`{name}` has no argument that could be the destination `{place}`")));
    if annotation.readers.get(writers::OTHERS).is_some_and(|may| *may >= Confidentiality::Secret)
        && corrected.open_world
    {
        doubts.push(format!("`{name}` may bring secrets anywhere, and it reaches beyond its own data"));
    }
    doubts
}

/// One field that a schema of results promises.
struct Property {
    name: String,
    /// Whether only a system fills it: a number, a flag, a date.
    machine: bool,
}

/// The fields of a schema of results that have no fields of their own.
fn fields_of(output: &Value) -> Vec<Property> {
    let mut found: Vec<Property> = Vec::new();
    let mut open = vec![(String::new(), output, 0)];
    while let Some((name, schema, depth)) = open.pop() {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        let schema = target.and_then(|path| output.pointer(path)).unwrap_or(schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        if found.len() >= FIELDS_MAX || depth > FIELDS_DEPTH_MAX {
            break;
        } else if let Some(properties) = properties {
            open.extend(properties.iter().rev().map(|(name, property)| (name.clone(), property, depth + 1)));
        } else if let Some(items) = schema.get("items") {
            open.push((name, items, depth + 1));
        } else if !name.is_empty() && !found.iter().any(|property| property.name == name) {
            let word = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
            let machine = ["integer", "number", "boolean"].contains(&word("type"))
                || ["date", "date-time", "time", "uuid"].contains(&word("format"));
            found.push(Property { name, machine });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// The `results` line that says what is taken for granted anyway.
fn proposed_results(seen: &Seen) -> Vec<String> {
    if source::Kind::of(&seen.facts) == source::Kind::Web {
        return vec![format!("{} = {}", quoted(writers::OTHERS), quoted("anyone"))];
    }
    let line = |property: Property| {
        let writer = if property.machine { Integrity::FirstParty } else { Integrity::ThirdParty };
        let (usual, classes) = source::of_name(&property.name);
        let confidentiality = Some(usual).filter(|usual| *usual > Confidentiality::Internal);
        let facts = FieldFacts { writer: Some(writer), confidentiality, classes };
        format!("{} = {}", quoted(&property.name), words(&facts))
    };
    fields_of(&seen.output).into_iter().map(line).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1)
}

/// The line of a tool's header, or 1.
fn line_of_tool(text: &str, name: &str) -> usize {
    let header = |line: &str| {
        let line = line.trim();
        line.starts_with('[') && line.trim_start_matches(['[', '"', '\'', ' ']).starts_with(name)
    };
    text.lines().position(header).map_or(1, |at| at + 1)
}

/// How many lines stand below a header, without comments.
fn lines_of(text: &str, header: usize) -> usize {
    let below = text.lines().skip(header).take_while(|line| !line.trim_start().starts_with('['));
    below.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')).count()
}

/// A file that says what was inferred, for people to correct: the tools of which the least is known first. With
/// `doubtful`, only those whose definition leaves something open.
pub fn propose(seen: &[Seen], doubtful: bool) -> String {
    let mut text = String::new();
    let mut tools: Vec<(&Seen, Vec<String>)> = seen.iter().map(|seen| (seen, doubts(&seen.facts))).collect();
    tools.retain(|(_, doubts)| !doubtful || !doubts.is_empty());
    tools.sort_by_key(|(seen, doubts)| (std::cmp::Reverse(doubts.len()), seen.facts.id.clone()));
    for (seen, doubts) in tools {
        let facts = &seen.facts;
        for doubt in doubts {
            let _ = writeln!(text, "# {}", on_one_line(&doubt));
        }
        let _ = writeln!(text, "[{}]", quoted(&facts.id.to_string()));
        let effects: Vec<String> = facts.effects.iter().map(|effect| quoted(effect.as_str())).collect();
        let _ = writeln!(text, "effects = [{}]", effects.join(", "));
        let listed = facts.roles.iter().filter(|(pointer, _)| !pointer.ends_with("/*"));
        let roles: Vec<String> =
            listed.map(|(pointer, role)| format!("{} = {}", quoted(pointer), quoted(role.as_str()))).collect();
        if !roles.is_empty() {
            let _ = writeln!(text, "roles = {{ {} }}", roles.join(", "));
        }
        // Who changes something and says where its results come from needs no more lines than there are.
        let full = !roles.is_empty() && !facts.readers.is_empty();
        let results = if full { Vec::new() } else { proposed_results(seen) };
        if !results.is_empty() {
            let _ = writeln!(text, "results = {{ {} }}", results.join(", "));
        }
        let readers: Vec<String> =
            facts.readers.iter().map(|(place, may)| format!("{} = {}", quoted(place), quoted(&word(may)))).collect();
        if !readers.is_empty() {
            let _ = writeln!(text, "readers = {{ {} }}", readers.join(", "));
        }
        // A further kind of line has room only where others have nothing to say.
        let lines = [&roles, &results, &readers].into_iter().filter(|line| !line.is_empty()).count() + 1;
        if lines < LINES_MAX {
            let _ = writeln!(text, "open_world = {}", facts.open_world);
        }
        text.push('\n');
    }
    text
}

/// What a tool's definition leaves open.
fn doubts(facts: &ToolFacts) -> Vec<String> {
    let mut doubts = Vec::new();
    if facts.effects == BTreeSet::from([EffectKind::Write, EffectKind::Execute]) {
        doubts.push("nothing in the definition says what it does".to_owned());
    }
    let presumed = facts.commands.iter().filter(|(_, says)| **says == Says::Definition);
    let presumed: Vec<&str> = presumed.map(|(pointer, _)| pointer.as_str()).collect();
    if !presumed.is_empty() {
        doubts
            .push(format!("a shell seems to read {}; a line `shell` says so, or that none does", presumed.join(", ")));
    }
    let consequential = facts.effects.iter().any(|effect| *effect != EffectKind::Read);
    let is_text = |pointer: &str| {
        let name = pointer.trim_start_matches('/');
        let property = facts.input_schema.get("properties").and_then(|properties| properties.get(name));
        property.and_then(|property| property.get("type")).is_none_or(|kind| kind == "string")
    };
    let open = facts.roles.iter().filter(|(pointer, role)| **role == Role::Other && is_text(pointer));
    let open: Vec<&str> = open.map(|(pointer, _)| pointer.as_str()).collect();
    if consequential && !open.is_empty() {
        doubts.push(format!("nothing in the definition says what matters about {}", open.join(", ")));
    }
    doubts
}

/// Field facts as a TOML value. JSON's strings and lists of words are TOML's, too.
fn words(facts: &FieldFacts) -> String {
    serde_json::to_string(facts).unwrap_or_default().replace(',', ", ")
}

/// The word of a label.
fn word(label: &impl serde::Serialize) -> String {
    serde_json::to_value(label).ok().and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
}

/// A comment's text. A server names its arguments as it likes; what it says ends with the line.
fn on_one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A TOML string. What could repaint a terminal is escaped.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::infer;

    fn seen() -> Vec<Seen> {
        let tool = |name: &str, argument: &str| {
            let definition = json!({"name": name, "inputSchema": {"properties": {argument: {"type": "string"}}}});
            Seen { facts: infer("desk", &definition, String::new()), output: Value::Null }
        };
        vec![tool("frobnicate", "thing"), tool("send_note", "to"), tool("list_notes", "query")]
    }

    #[test]
    fn what_is_said_of_a_server_holds_for_its_tools_and_is_said_over() {
        let text = "[\"desk/*\"]\nopen_world = true\nresults = { \"*\" = \"anyone\" }\n[\"desk/list_notes\"]\nopen_world = false\n";
        let annotations = Annotations::read(text).unwrap();
        let corrected = |name: &str, server: &str| {
            let mut facts = infer(server, &json!({ "name": name }), String::new());
            let is_named = annotations.names(&facts.id);
            assert_eq!(annotations.apply(&mut facts), is_named);
            (is_named, facts.open_world, facts.results.len())
        };
        assert_eq!(corrected("frobnicate", "desk"), (true, true, 1));
        assert_eq!(corrected("list_notes", "desk"), (true, false, 1));
        assert_eq!(corrected("list_notes", "other"), (false, false, 0));
        assert!(check(text, &seen()).is_empty());
        assert!(check("[\"bench/*\"]\nopen_world = true\n", &seen())[0].message.contains("no tool of `bench`"));
    }

    #[test]
    fn a_proposal_is_a_file_that_changes_nothing() {
        let seen = seen();
        let text = propose(&seen, false);
        let annotations = Annotations::read(&text).unwrap();
        assert_eq!(annotations.len(), seen.len());
        for Seen { facts, .. } in &seen {
            let mut corrected = facts.clone();
            assert!(annotations.apply(&mut corrected));
            assert_eq!(corrected.effects, facts.effects);
            assert_eq!(corrected.roles, facts.roles);
        }
        let doubtful = propose(&seen, true);
        assert!(doubtful.contains("desk/frobnicate") && !doubtful.contains("desk/list_notes"), "{doubtful}");
    }

    /// Else a server could write lines of the file about others' tools.
    #[test]
    fn what_a_server_calls_its_arguments_stays_in_its_comment() {
        let name = "x\n[\"files/*\"]\neffects = [\"read\"]\n\u{1b}[2J#";
        let definition = json!({"name": "frobnicate", "inputSchema": {"properties": {name: {"type": "string"}}}});
        let seen = Seen { facts: infer("desk", &definition, String::new()), output: Value::Null };
        let text = propose(&[seen], false);
        assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.starts_with("[\"files")), "{text}");
        let annotations = Annotations::read(&text).unwrap();
        assert!(!annotations.names(&ToolId { server: "files".to_owned(), name: "write".to_owned() }));
    }

    #[test]
    fn faults_have_lines_and_a_faulty_file_corrects_nothing() {
        let text = "# ours\n[\"desk/send_note\"]\neffects = [\"fly\"]\n\n[\"desk/list_notes\"]\neffect = [\"read\"]\n\n[alone]\n";
        let faults = Annotations::read(text).unwrap_err();
        let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [3, 6, 8], "{faults:?}");
        assert_eq!(Annotations::read("[\"a/b\"]\neffects = [").unwrap_err().first().map(|fault| fault.line), Some(2));
    }

    #[test]
    fn what_is_not_meant_is_doubted() {
        let text = "[\"desk/send_note\"]\neffects = [\"write\"]\nroles = { \"/too\" = \"recipient\" }\n\n[\"desk/list_notes\"]\neffects = [\"read\"]\n\n[\"desk/gone\"]\neffects = [\"read\"]\n";
        let faults = check(text, &seen());
        let said: Vec<String> =
            faults.iter().map(|fault| format!("{} {} {}", fault.line, fault.error, fault.message)).collect();
        assert_eq!(
            said,
            [
                "1 false `desk/send_note` has no argument `/too`",
                "1 false `desk/send_note` no longer counts as send: fewer rules hold for it",
                "5 false `desk/list_notes` says only what is inferred anyway",
                "8 false `desk/gone` was not seen yet",
            ]
        );
    }

    fn mails() -> Seen {
        let definition = json!({"name": "list_mails", "inputSchema": {"properties": {"folder": {"type": "string"}}}});
        let mail = json!({"properties": {"fileId": {"type": "integer"}, "sender": {"type": "string"}, "body": {}}});
        let output = json!({"properties": {"result": {"type": "array", "items": {"$ref": "#/$defs/mail"}}}, "$defs": {"mail": mail}});
        Seen { facts: infer("desk", &definition, String::new()), output }
    }

    #[test]
    fn who_writes_results_is_proposed_from_their_schema_and_read_back() {
        let text = propose(&[mails()], false);
        let line = r#"results = { "body" = "third_party", "fileId" = "first_party", "sender" = "third_party" }"#;
        assert!(text.lines().any(|found| found == line), "{text}");
        let mut facts = mails().facts;
        assert!(Annotations::read(&text).unwrap().apply(&mut facts));
        assert_eq!(facts.results.get("file_id"), Some(&Integrity::FirstParty.into()));
    }

    #[test]
    fn a_results_line_that_trusts_prose_or_names_nothing_is_doubted() {
        let text = "[\"desk/list_mails\"]\nresults = { \"body\" = \"first_party\", \"id\" = \"first_party\", \"colour\" = \"anyone\" }\n";
        let said: Vec<String> = check(text, &[mails()]).into_iter().map(|fault| fault.message).collect();
        assert_eq!(
            said,
            [
                "`desk/list_mails` takes `body` for the system's own: text in it may then choose what a call does",
                "`desk/list_mails` gives back no field `colour`",
            ]
        );
        let text = "[\"desk/list_mails\"]\nresults = { \"--\" = \"anyone\" }\n";
        assert!(Annotations::read(text).is_err());
    }

    #[test]
    fn who_may_read_is_proposed_read_and_doubted() {
        let mut account = mails();
        account.output =
            json!({"properties": {"iban": {"type": "string"}, "api_token": {}, "id": {"type": "integer"}}});
        let text = propose(&[account.clone()], false);
        let line = r#"results = { "api_token" = ["third_party", "secret", "credential"], "iban" = ["third_party", "confidential", "payment"], "id" = "first_party" }"#;
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(Annotations::read(&text).is_ok());
        let text = "[\"desk/list_mails\"]\nresults = { \"iban\" = [\"third_party\", \"public\"] }\nreaders = { \"*@corp.example\" = \"secret\" }\n";
        let said: Vec<String> = check(text, &[account]).into_iter().map(|fault| fault.message).collect();
        assert_eq!(
            said,
            [
                "`desk/list_mails` lets more people read `iban` than its name does: public instead of confidential",
                "`desk/list_mails` has no argument that could be the destination `*@corp.example`",
            ]
        );
        for line in [
            "results = { iban = [] }",
            "results = { iban = [\"public\", \"secret\"] }",
            "readers = { \"a*b\" = \"public\" }",
        ] {
            assert!(Annotations::read(&format!("[\"a/b\"]\n{line}\n")).is_err(), "{line}");
        }
    }
}

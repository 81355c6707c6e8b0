//! Who could have written a field and who may read it: by tool, by key, by the shape of the value.

use std::collections::{BTreeSet, HashMap};

use policy::{Confidentiality, DataClass, EffectKind, Integrity, Role, ToolFacts};
use serde_json::Value;

use super::apart::Text;
use super::memory::Memory;
use super::read::Leaf;
use super::words::split_name;
use super::{read, writers};
use crate::hook::shell::Shell;

/// What kind of source a tool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It gives back the content of a page that anyone could have put there.
    Web,
    /// It gives back the content of one document.
    Document,
    /// It looks for documents and gives back what a system knows of each, and perhaps their content.
    Listing,
    /// It gives back records that a system keeps.
    Records,
    /// It changes something and gives back what came of it.
    Receipt,
    /// Another agent answers.
    Agent,
}

impl Kind {
    pub(crate) fn of(tool: &ToolFacts) -> Kind {
        if tool.is_agent {
            return Kind::Agent;
        }
        let has = |role: Role| tool.roles.values().any(|of| *of == role);
        // What a command prints is whatever lies where it looks.
        if has(Role::Command) || opens_text(tool) {
            return Kind::Document;
        }
        if !looks_up(tool) {
            return Kind::Receipt;
        }
        let asks = has(Role::Query) || tool.effects.contains(&EffectKind::Send);
        if has(Role::Destination) || (tool.open_world && asks && !keeps_records(&tool.id.name)) {
            Kind::Web
        } else if has(Role::Path) {
            if looks_for(&tool.id.name) { Kind::Listing } else { Kind::Document }
        } else {
            Kind::Records
        }
    }
}

/// Whether a tool gives back one text that somebody wrote, as its name says: all of it is that text, whatever it looks like.
fn opens_text(tool: &ToolFacts) -> bool {
    const TEXTS: &[&str] = &["body", "comment", "content", "contents", "note", "text", "transcript"];
    let words = split_name(&tool.id.name);
    looks_up(tool) && !tool.roles.is_empty() && words.last().is_some_and(|word| TEXTS.contains(&word.as_str()))
}

/// Whether a tool only gives back what it is asked for, be it that the question leaves the machine.
pub(crate) fn looks_up(tool: &ToolFacts) -> bool {
    let effects = &tool.effects;
    let asks = |effect: &EffectKind| matches!(effect, EffectKind::Read | EffectKind::Send);
    effects.iter().all(asks) && (effects.is_empty() || effects.contains(&EffectKind::Read))
}

/// Whether a command of the call reaches another machine: what it prints is then what anyone could have put there.
pub(crate) fn reaches_out(tool: &ToolFacts, arguments: &Value) -> bool {
    let commands = tool.roles.iter().filter(|(_, role)| **role == Role::Command);
    commands.filter_map(|(pointer, _)| command_line(arguments.pointer(pointer)?)).any(|line| is_outward(&line))
}

/// A command as one line, also where its words come one by one.
fn command_line(command: &Value) -> Option<String> {
    let quoted = |word: &Value| Some(format!("'{}'", word.as_str()?.replace('\'', "'\\''")));
    match command {
        Value::String(line) => Some(line.clone()),
        Value::Array(words) => Some(words.iter().filter_map(quoted).collect::<Vec<_>>().join(" ")),
        _ => None,
    }
}

/// Whether a command reaches another machine, as far as one can see, or cannot be read.
pub(crate) fn is_outward(command: &str) -> bool {
    let shell = Shell::read(command, None);
    !shell.parsed || !shell.hosts.iter().all(|host| graph::host::is_loopback(host))
}

/// Whether a tool's own verb says that it looks for things instead of opening one.
pub(crate) fn looks_for(name: &str) -> bool {
    const VERBS: &[&str] = &["search", "find", "list", "lookup", "query", "browse", "count"];
    split_name(name).first().is_some_and(|verb| VERBS.contains(&verb.as_str()))
}

/// Whether a tool's name says that it looks through records that some system keeps. Others may write into them, but
/// not change who is recorded as their author.
fn keeps_records(name: &str) -> bool {
    const NOUNS: &[&str] = &[
        "account",
        "appointment",
        "calendar",
        "channel",
        "chat",
        "commit",
        "contact",
        "conversation",
        "customer",
        "document",
        "drive",
        "email",
        "employee",
        "event",
        "file",
        "folder",
        "inbox",
        "invoice",
        "issue",
        "mail",
        "mailbox",
        "meeting",
        "member",
        "message",
        "note",
        "order",
        "project",
        "reminder",
        "repository",
        "reservation",
        "row",
        "table",
        "task",
        "thread",
        "ticket",
        "transaction",
        "user",
    ];
    let singular = |word: &String| word.strip_suffix('s').unwrap_or(word).to_owned();
    split_name(name).iter().any(|word| NOUNS.contains(&word.as_str()) || NOUNS.contains(&singular(word).as_str()))
}

/// What is known of a field without looking at the rest of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// Whether somebody could have written an instruction here.
    pub(crate) prose: bool,
    pub(crate) integrity: Integrity,
    pub(crate) confidentiality: Confidentiality,
    pub(crate) classes: BTreeSet<DataClass>,
}

/// Values that somebody wrote down earlier, with the integrity they had.
pub(crate) type Recalled = HashMap<String, Integrity>;

impl Judged {
    /// Gives a field back the labels that values in it had when they were written: a record that somebody filled
    /// with others' text is that text, and what was confidential is. Prose stays as it is judged, but for the values.
    pub(crate) fn recall(&mut self, text: &Text, memory: &Memory) -> Recalled {
        let mut recalled = Recalled::new();
        for value in text.values() {
            let Some(remembered) = memory.recall(value) else { continue };
            if !self.prose && remembered.integrity >= Integrity::ThirdParty {
                self.prose = true;
                self.integrity = self.integrity.max(remembered.integrity);
            }
            self.confidentiality = self.confidentiality.max(remembered.confidentiality);
            self.classes.extend(remembered.classes);
            recalled.insert(value.to_owned(), remembered.integrity);
        }
        recalled
    }
}

/// Keys whose value the system itself made.
const SYSTEM_KEYS: &[&str] = &[
    "id",
    "uuid",
    "created",
    "updated",
    "modified",
    "date",
    "time",
    "timestamp",
    "count",
    "size",
    "status",
    "state",
    "type",
    "kind",
    "number",
    "balance",
    "version",
    "amount",
    "total",
    "read",
    "index",
    "start",
    "end",
];
const CREDENTIAL_KEYS: &[&str] =
    &["password", "passwd", "secret", "token", "apikey", "credential", "credentials", "passphrase", "otp", "pin"];
const PAYMENT_KEYS: &[&str] = &["iban", "card", "cvv", "cvc", "account", "bic", "swift"];
const PERSONAL_KEYS: &[&str] = &[
    "email",
    "mail",
    "phone",
    "address",
    "street",
    "birth",
    "birthday",
    "dob",
    "ssn",
    "passport",
    "salary",
    "diagnosis",
    "nationality",
];

/// Labels a field.
pub(crate) fn judge(tool: &ToolFacts, kind: Kind, leaf: &Leaf) -> Judged {
    // What a listing gives back without a name may be a line of a document.
    let nameless = kind == Kind::Listing && leaf.key.is_empty();
    let key = split_name(&leaf.key);
    let is = |list: &[&str]| key.iter().any(|word| list.contains(&word.as_str()));
    let inferred = leaf.prose || nameless || matches!(kind, Kind::Web | Kind::Document);
    let (prose, integrity) = match (writers::of(&tool.results, leaf), kind) {
        (Some(Integrity::ThirdParty | Integrity::Anyone) | None, _) if leaf.part == read::Part::Hidden => {
            (true, Integrity::Anyone)
        }
        // Long text of a trusted author has parts like any other; what stands in them is the author's.
        (Some(writer), _) if writer <= Integrity::FirstParty => {
            (leaf.part != read::Part::Whole || read::is_prose(&leaf.text), writer)
        }
        // Whoever answers for an agent wrote all of it; what looks like a record is its word, too.
        (Some(Integrity::ThirdParty) | None, Kind::Agent) => (true, Integrity::ThirdParty),
        (Some(Integrity::ThirdParty), _) if !leaf.pointer.is_empty() => (leaf.prose || nameless, Integrity::ThirdParty),
        (Some(Integrity::Anyone), _) => (true, Integrity::Anyone),
        (_, Kind::Web) => (true, Integrity::Anyone),
        _ if inferred => (true, Integrity::ThirdParty),
        // Who wrote a string wrote every id in it.
        _ if (is(SYSTEM_KEYS) || key.is_empty()) && !leaf.encoded => (false, Integrity::FirstParty),
        _ => (false, Integrity::ThirdParty),
    };
    let text = leaf.text.as_str();
    let mut classes = if text.is_empty() { BTreeSet::new() } else { classes_of(&key) };
    if holds_credential(text) {
        classes.insert(DataClass::Credential);
    }
    if holds_payment(text) {
        classes.insert(DataClass::Payment);
    }
    let (said, further) = writers::readers(&tool.results, leaf);
    classes.extend(further);
    // Whatever is said of a field, what has the shape of a key is one.
    let shape = if holds_credential(text) { Confidentiality::Secret } else { Confidentiality::Public };
    let confidentiality = said.unwrap_or_else(|| confidentiality(kind, &classes)).max(shape);
    Judged { prose, integrity, confidentiality, classes }
}

/// The classes of data that the words of a field's name speak of.
fn classes_of(key: &[String]) -> BTreeSet<DataClass> {
    let is = |list: &[&str]| key.iter().any(|word| list.contains(&word.as_str()));
    let lists = [
        (CREDENTIAL_KEYS, DataClass::Credential),
        (PAYMENT_KEYS, DataClass::Payment),
        (PERSONAL_KEYS, DataClass::Personal),
    ];
    lists.into_iter().filter(|(list, _)| is(list)).map(|(_, class)| class).collect()
}

/// What a field's name alone says of who may read it and of what it holds, in a record.
pub(crate) fn of_name(name: &str) -> (Confidentiality, BTreeSet<DataClass>) {
    let classes = classes_of(&split_name(name));
    (confidentiality(Kind::Records, &classes), classes)
}

fn confidentiality(kind: Kind, classes: &BTreeSet<DataClass>) -> Confidentiality {
    if classes.contains(&DataClass::Credential) {
        return Confidentiality::Secret;
    }
    if kind == Kind::Web {
        return Confidentiality::Public;
    }
    if classes.contains(&DataClass::Payment) { Confidentiality::Confidential } else { Confidentiality::Internal }
}

/// Shapes that only keys have: vendor prefixes with a long random tail, PEM blocks, signed tokens.
fn holds_credential(text: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "AKIA",
        "ASIA",
        "ghp_",
        "gho_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "sk-",
        "sk_live_",
        "rk_live_",
        "AIza",
        "npm_",
        "pypi-",
        "hf_",
        "eyJhbGciOi",
    ];
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return true;
    }
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .any(|token| token.len() >= 16 && PREFIXES.iter().any(|prefix| token.starts_with(prefix)))
}

/// A card number by its check digit, an account number by ISO 13616.
fn holds_payment(text: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|token| is_card(token) || is_iban(token))
}

fn is_card(token: &str) -> bool {
    let digits: Vec<u32> = token.chars().filter_map(|c| c.to_digit(10)).collect();
    let shape = (13..=19).contains(&digits.len()) && token.chars().all(|c| c.is_ascii_digit() || c == '-');
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| if at % 2 == 1 { (digit * 2) / 10 + (digit * 2) % 10 } else { *digit })
        .sum();
    shape && sum.is_multiple_of(10)
}

fn is_iban(token: &str) -> bool {
    let shape = (15..=34).contains(&token.len())
        && token.chars().take(2).all(|c| c.is_ascii_uppercase())
        && token.chars().skip(2).take(2).all(|c| c.is_ascii_digit())
        && token.chars().all(|c| c.is_ascii_alphanumeric());
    if !shape {
        return false;
    }
    let (head, tail) = token.split_at_checked(4).unwrap_or(("", ""));
    let remainder = tail.chars().chain(head.chars()).filter_map(|c| c.to_digit(36)).fold(0u32, |rest, value| {
        let shifted = if value > 9 { rest * 100 + value } else { rest * 10 + value };
        shifted % 97
    });
    remainder == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_tell_numbers_from_accounts() {
        assert!(is_card("4242-4242-4242-4242") && !is_card("4242-4242-4242-4243"));
        assert!(is_iban("FR1420041010050500013M02606") && !is_iban("FR1420041010050500013M02607"));
    }

    #[test]
    fn a_name_that_begins_like_this_machine_is_another() {
        for away in
            ["curl http://127.0.0.1.nip.io/x", "curl http://127.evil.example/x", "curl http://localhost.example"]
        {
            assert!(is_outward(away), "{away}");
        }
        for here in ["curl http://127.0.0.1:8080/x", "curl http://localhost/x", "curl http://[::1]/x"] {
            assert!(!is_outward(here), "{here}");
        }
    }

    #[test]
    fn keys_are_secret_wherever_they_stand() {
        assert!(holds_credential("use ghp_0123456789abcdefABCDEF0123456789 please"));
        assert!(!holds_credential("use sk-ip please"));
    }
}

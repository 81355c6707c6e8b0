//! The user's own words: which values they name, which places they point at, which actions they ask for.

use std::collections::{BTreeSet, HashMap, HashSet};

use policy::{ArgumentLabel, Choice, EffectKind, Request, Role, ToolFacts};
use serde::{Deserialize, Serialize};

use super::atoms;
use super::index::Pointed;
use super::read::{Leaf, Part};
use super::{nouns, words};
use crate::tools::infer;

/// How much of the user's words is kept.
const WORDS_MAX_BYTES: usize = 256 * 1024;
/// How much is kept of the places to which the user handed the choice of steps.
const HANDED_MAX_BYTES: usize = 64 * 1024;
/// A record is meant, not merely touched, if this many of its values are named.
const EXACTLY: usize = 2;

/// Everything the user said in this session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct User {
    /// Normalised, one space between words and at both ends.
    text: String,
    words: HashSet<String>,
    /// The stems of its words.
    #[serde(default)]
    stems: HashSet<String>,
    asked: Vec<EffectKind>,
    verbs: HashSet<String>,
    delegates: bool,
    entries: Vec<u64>,
    /// What stands in the places to which the user handed the choice of steps, as `text`. It points at records, it
    /// never names a value.
    #[serde(default)]
    handed: String,
}

impl User {
    pub(crate) fn says(&mut self, text: &str, entry: Option<u64>) {
        if self.text.len() + text.len() > WORDS_MAX_BYTES {
            return;
        }
        let normal = atoms::normal(text);
        self.words
            .extend(normal.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned));
        self.stems.extend(normal.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() >= 3).map(words::stem));
        self.words.extend(atoms::atoms(text, 10_000).into_iter().map(|atom| atom.text));
        self.text.push(' ');
        self.text.push_str(&normal);
        self.text.push(' ');
        self.asked.extend(words::asked(text));
        self.verbs.extend(words::verbs_in(text));
        self.delegates |= words::delegates(text);
        self.entries.extend(entry);
        self.entries.truncate(1_000);
    }

    /// A place that the user named was read. If the user leaves the steps to it, its words point at where to go on.
    pub(crate) fn reads_steps(&mut self, text: &str) {
        if self.delegates && self.handed.len() + text.len() <= HANDED_MAX_BYTES {
            self.handed.push(' ');
            self.handed.push_str(&atoms::normal(text));
            self.handed.push(' ');
        }
    }

    /// Whether the user asked for what a tool does with a verb of that kind.
    pub(crate) fn asks_for(&self, tool: &ToolFacts) -> bool {
        let all: Vec<EffectKind> = tool.effects.iter().copied().filter(|effect| *effect != EffectKind::Read).collect();
        // Beside what its name says, a tool may do more. Who asks only for the rest does not ask for this tool.
        let said = if all.len() > 1 { effects_of_name(&tool.id.name) } else { BTreeSet::new() };
        let told = all.iter().any(|effect| said.contains(effect));
        let asks = |effect: &EffectKind| {
            let name = &tool.id.name;
            let is_asked = match effect {
                EffectKind::Write if self.asked.contains(&EffectKind::Pay) && nouns::are_of_a_purchase(name) => true,
                EffectKind::Write => self.asked.contains(effect) && nouns::speaks_of(&self.stems, name),
                _ => self.asked.contains(effect),
            };
            (!told || said.contains(effect)) && is_asked
        };
        all.iter().any(asks) || own_verb(self, tool)
    }

    pub(crate) fn is_heard(&self) -> bool {
        !self.text.is_empty()
    }

    /// Whether the user's words name a value: as a whole, between word boundaries, in any spelling.
    pub(crate) fn names(&self, value: &str) -> bool {
        let normal = atoms::normal(value);
        if normal.is_empty() {
            return false;
        }
        if contains_word(&self.text, &normal) || self.words.contains(&normal) {
            return true;
        }
        if let Some(link) = atoms::link(value) {
            return contains_word(&self.text, &link.full) || contains_word(&self.text, &format!("www.{}", link.full));
        }
        if let Some(number) = atoms::number(&normal) {
            return self.words.contains(&number);
        }
        let squeezed = atoms::squeezed(&normal);
        squeezed.len() >= 8 && squeezed.chars().any(|c| c.is_ascii_digit()) && self.words.contains(&squeezed)
    }

    /// Whether the user's words name a whole site, not just a page of it.
    pub(crate) fn names_site(&self, host: &str) -> bool {
        let is_page = |after: &str| {
            let mut rest = after.chars();
            rest.next() == Some('/') && rest.next().is_some_and(char::is_alphanumeric)
        };
        occurrences(&self.text, host).any(|end| self.text.get(end..).is_some_and(|after| !is_page(after)))
    }

    /// Whether every word of a composed name (`reports_2024`, `Ann Lee`) is the user's; parts of only digits or
    /// of one or two letters may be missing, because people leave them out.
    pub(crate) fn names_parts_of(&self, value: &str) -> bool {
        let parts = words::split_name(value);
        let telling: Vec<&String> =
            parts.iter().filter(|part| part.chars().count() >= 3 && part.chars().any(char::is_alphabetic)).collect();
        !telling.is_empty() && !value.contains('@') && telling.iter().all(|part| self.words.contains(part.as_str()))
    }
}

fn contains_word(text: &str, word: &str) -> bool {
    occurrences(text, word).next().is_some()
}

/// Where a word ends in a text, each time that it stands there as a word of its own.
fn occurrences<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(at) = text.get(from..).and_then(|rest| rest.find(word)) {
            let start = from + at;
            let end = start + word.len();
            from = end.max(from + 1);
            if stands_alone(text, start, end) {
                return Some(end);
            }
        }
        None
    })
}

fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let (head, tail) = (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
    let before = head.chars().next_back().is_none_or(|c| !c.is_alphanumeric());
    let after = tail.chars().next().is_none_or(|c| !c.is_alphanumeric());
    // Part of a longer address or host is another address or host.
    before && after && !head.ends_with(['@', '-']) && !tail.starts_with('@')
}

/// The records of a result that the user's words, or the places they hand over to, point at.
pub(crate) fn pointed_records(user: &User, leaves: &[Leaf]) -> HashMap<u32, Pointed> {
    let mut named: HashMap<u32, [BTreeSet<&str>; 2]> = HashMap::new();
    if !user.is_heard() {
        return HashMap::new();
    }
    for leaf in leaves.iter().filter(|leaf| can_point(leaf)) {
        let text = leaf.text.trim();
        let handed = !user.handed.is_empty() && !leaf.prose && contains_word(&user.handed, &atoms::normal(text));
        for (by, names) in [(0, points(user, text)), (1, handed)] {
            if names && let Some(values) = named.entry(leaf.record).or_default().get_mut(by) {
                values.insert(text);
            }
        }
    }
    let pointed = |[by_user, handed]: [BTreeSet<&str>; 2]| Pointed {
        by_user: !by_user.is_empty(),
        exactly: by_user.len() >= EXACTLY,
        onward: handed.len() >= EXACTLY,
    };
    named.into_iter().map(|(record, values)| (record, pointed(values))).collect()
}

fn can_point(leaf: &Leaf) -> bool {
    let text = leaf.text.trim();
    let short = (3..=80).contains(&text.len()) && !text.contains('\n');
    let telling = text.chars().any(char::is_alphabetic) && !matches!(text, "true" | "false" | "null" | "None");
    short && telling && !leaf.pointer.is_empty() && leaf.part == Part::Whole
}

fn points(user: &User, text: &str) -> bool {
    user.names(text) || (text.split_whitespace().count() > 1 && user.names_parts_of(text))
}

/// Whether the user asks for what a tool does.
pub(crate) fn judge(user: &User, tool: &ToolFacts, arguments: &[ArgumentLabel]) -> Request {
    if !user.is_heard() {
        return Request::Unheard;
    }
    if tool.effects.iter().all(|effect| *effect == EffectKind::Read) || user.asks_for(tool) {
        return Request::Named;
    }
    let untrusted = arguments
        .iter()
        .any(|argument| argument.choice == Choice::Untrusted && !matches!(argument.role, Role::Content | Role::Other));
    // What an agent notes for itself and whom it asks for help nobody else gains by.
    let name = &tool.id.name;
    let writes = tool.effects.iter().all(|effect| matches!(effect, EffectKind::Read | EffectKind::Write));
    let keeps = writes && (nouns::are_the_agents(name) || infer::asks_a_person(name));
    if keeps || (user.delegates && !untrusted) { Request::Delegated } else { Request::Unnamed }
}

/// What a tool's name says that it does: by its verb, and by the verb beside its noun.
fn effects_of_name(name: &str) -> BTreeSet<EffectKind> {
    let verb = words::split_name(name).iter().map(|word| words::effects_of(word)).find(|effects| !effects.is_empty());
    infer::effects(name, "").into_iter().chain(verb.unwrap_or_default()).collect()
}

/// The verb of the tool's own name among the user's verbs.
fn own_verb(user: &User, tool: &ToolFacts) -> bool {
    words::split_name(&tool.id.name).iter().take(2).any(|word| user.verbs.contains(&words::stem(word)))
}

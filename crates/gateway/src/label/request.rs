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
/// The longest value that a person's approval names.
const NAMED_MAX_BYTES: usize = 120;
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
    /// Words that stand where verbs do, whatever they mean.
    #[serde(default)]
    commands: HashSet<String>,
    delegates: bool,
    entries: Vec<u64>,
    /// What stands in the places to which the user handed the choice of steps, as `text`. It points at records, it
    /// never names a value.
    #[serde(default)]
    handed: String,
    /// As `text`, but letters that imitate others are what they are: an imitation of what the user named is not named.
    #[serde(default)]
    plain: String,
    /// The sentences, each for itself.
    #[serde(default)]
    sentences: Vec<Sentence>,
    /// Words that are written as names are.
    #[serde(default)]
    proper: HashSet<String>,
    /// By such a name the one address that goes by it; none once there are two.
    #[serde(default)]
    people: HashMap<String, Option<String>>,
}

/// One sentence of the user's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sentence {
    text: String,
    /// Whether it asks for a change.
    changes: bool,
    /// What it says can be found somewhere.
    kinds: BTreeSet<Kind>,
}

/// What a user says is to be found in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Where somebody is reached.
    Address,
    /// What one signs in with.
    Account,
    /// A key of a pair.
    Key,
}

impl Kind {
    /// What a word, of a sentence or of the name of an argument, speaks of.
    fn of(word: &str) -> &'static [Kind] {
        const ADDRESS: &[&str] = &["address", "addresses", "contact", "email", "emails", "mail"];
        const ACCOUNT: &[&str] =
            &["account", "accounts", "credentials", "login", "password", "passwords", "user", "username"];
        match word {
            "details" | "info" | "information" => &[Kind::Address, Kind::Account],
            _ if ADDRESS.contains(&word) => &[Kind::Address],
            _ if ACCOUNT.contains(&word) => &[Kind::Account],
            "key" | "keys" => &[Kind::Key],
            _ => &[],
        }
    }

    /// What the name of an argument speaks of.
    pub(crate) fn named(words: &[String]) -> BTreeSet<Kind> {
        words.iter().flat_map(|word| Kind::of(word)).copied().collect()
    }

    /// What a sentence says can be found: somebody's, and where.
    fn found(sentence: &str) -> BTreeSet<Kind> {
        let words: Vec<&str> = sentence.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        if !words.iter().any(|word| FOUND.contains(word)) {
            return BTreeSet::new();
        }
        let whose = |(at, _): &(usize, &&str)| {
            words
                .get(at.saturating_sub(WHOSE_WORDS)..*at)
                .is_some_and(|before| before.iter().any(|word| WHOSE.contains(word)))
        };
        words.iter().enumerate().filter(whose).flat_map(|(_, word)| Kind::of(word)).copied().collect()
    }
}

/// Words by which a sentence says where something is.
const FOUND: &[&str] = &["find", "found", "kept", "listed", "lies", "saved", "stands", "stored"];
/// Whose it is, at most so many words before it.
const WHOSE: &[&str] = &["her", "his", "its", "my", "our", "s", "the", "their", "your"];
const WHOSE_WORDS: usize = 4;

/// The most sentences that are kept apart, and the longest of them.
const SENTENCES_MAX: usize = 500;
const SENTENCE_MAX_BYTES: usize = 2_000;
/// The most names of people that are kept.
const PEOPLE_MAX: usize = 2_000;

impl User {
    pub(crate) fn says(&mut self, text: &str, entry: Option<u64>) {
        let room = WORDS_MAX_BYTES.saturating_sub(self.text.len());
        if text.len() > room {
            // What nobody reads asks for nothing; but the user has spoken.
            self.text.push(' ');
            // Who pastes much says what to do with it before it or behind it. Half of the room is left for what follows.
            for part in [first_words(text, room / 4), last_words(text, room / 4)] {
                self.hears(part);
            }
        } else {
            self.hears(text);
        }
        self.entries.extend(entry);
        self.entries.truncate(1_000);
    }

    fn hears(&mut self, text: &str) {
        let text = &parted(text);
        self.says_apart(text);
        let normal = atoms::normal(text);
        self.words
            .extend(normal.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned));
        self.stems.extend(normal.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() >= 3).map(words::stem));
        self.words.extend(atoms::atoms(text, 10_000).into_iter().map(|atom| atom.text));
        self.hold(&normal, text);
        self.asked.extend(words::asked(text));
        self.verbs.extend(words::verbs_in(text));
        self.commands.extend(words::commands_in(text));
        self.delegates |= words::delegates(text);
    }

    fn hold(&mut self, normal: &str, text: &str) {
        for (held, text) in [(&mut self.text, normal), (&mut self.plain, &atoms::plain(text))] {
            held.push(' ');
            held.push_str(text);
            held.push(' ');
        }
    }

    /// A person let a value pass for the rest of the session: it is as good as named by the user.
    pub(crate) fn names_from_now(&mut self, value: &str) {
        let fits = (3..=NAMED_MAX_BYTES).contains(&value.len()) && !value.contains(char::is_whitespace);
        if fits && self.text.len() + value.len() <= WORDS_MAX_BYTES {
            self.hold(&atoms::normal(value), value);
        }
    }

    fn says_apart(&mut self, text: &str) {
        let capital = |word: &&str| word.chars().count() >= 3 && word.starts_with(char::is_uppercase);
        self.proper.extend(text.split(|c: char| !c.is_alphanumeric()).filter(capital).map(str::to_lowercase));
        let ends = |(at, sign): &(usize, char)| {
            *sign == '\n'
                || (matches!(sign, '.' | '!' | '?' | ';')
                    && text.get(at + 1..).is_none_or(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)))
        };
        let mut from = 0;
        let ends: Vec<usize> = text.char_indices().filter(ends).map(|(at, _)| at).chain([text.len()]).collect();
        for end in ends {
            let sentence = text.get(from..end).unwrap_or_default().trim();
            from = end + 1;
            if sentence.is_empty() || sentence.len() > SENTENCE_MAX_BYTES || self.sentences.len() >= SENTENCES_MAX {
                continue;
            }
            let normal = atoms::normal(sentence);
            let kinds = Kind::found(&normal);
            let changes = words::asked(sentence).iter().any(|effect| *effect != EffectKind::Read);
            self.sentences.push(Sentence { text: normal, changes, kinds });
        }
    }

    /// What the user says can be found at a place, given by one of its names: in the file or page itself, or in a folder
    /// that it lies in.
    pub(crate) fn kinds_at(&self, name: &str) -> BTreeSet<Kind> {
        let name = atoms::normal(name);
        // What somebody searches for is no place.
        if !name.contains(['/', '.']) || name.contains(' ') {
            return BTreeSet::new();
        }
        let folders = name.match_indices('/').filter(|(at, _)| *at > 0).filter_map(|(at, _)| name.get(..at));
        // One folder below the root holds everything.
        let folders: Vec<&str> = folders.filter(|folder| folder.matches('/').count() >= 2).collect();
        let says = |sentence: &&Sentence| {
            !sentence.kinds.is_empty()
                && std::iter::once(name.as_str())
                    .chain(folders.iter().copied())
                    .any(|place| contains_word(&sentence.text, place))
        };
        self.sentences.iter().filter(says).flat_map(|sentence| sentence.kinds.iter().copied()).collect()
    }

    /// Whether one sentence names a site and asks for a change.
    pub(crate) fn wants_a_change_at(&self, host: &str) -> bool {
        self.sentences.iter().any(|sentence| sentence.changes && contains_word(&sentence.text, host))
    }

    /// Somebody with this address wrote. Whoever goes by a name alone is meant by it.
    fn meets(&mut self, address: &str) {
        let Some(name) = given_name(address).filter(|name| self.proper.contains(name)) else { return };
        if self.people.len() >= PEOPLE_MAX && !self.people.contains_key(&name) {
            return;
        }
        let known = self.people.entry(name).or_insert_with(|| Some(address.to_owned()));
        if known.as_deref().is_some_and(|known| known != address) {
            *known = None;
        }
    }

    fn means(&self, address: &str) -> bool {
        let by_name = given_name(address).and_then(|name| self.people.get(&name));
        by_name.is_some_and(|known| known.as_deref() == Some(address))
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
                EffectKind::Delete if self.asked.contains(&EffectKind::Pay) && nouns::are_of_a_cart(name) => true,
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
        if let Some(plain) = atoms::imitates(value, &normal) {
            return contains_word(&self.plain, &plain);
        }
        if contains_word(&self.text, &normal) || self.words.contains(&normal) {
            return true;
        }
        if let Some(link) = atoms::link(value).filter(|link| link.is_web) {
            return contains_word(&self.text, &link.full) || contains_word(&self.text, &format!("www.{}", link.full));
        }
        if let Some(number) = atoms::number(&normal) {
            return self.words.contains(&number);
        }
        let squeezed = atoms::squeezed(&normal);
        squeezed.len() >= 8 && squeezed.chars().any(|c| c.is_ascii_digit()) && self.words.contains(&squeezed)
    }

    /// Whether the user's words name a whole site, not just a page of it. What only looks like a site that he named
    /// is none.
    pub(crate) fn names_site(&self, host: &str) -> bool {
        let is_page = |after: &str| {
            let mut rest = after.chars();
            rest.next() == Some('/') && rest.next().is_some_and(char::is_alphanumeric)
        };
        occurrences(&self.plain, host).any(|end| self.plain.get(end..).is_some_and(|after| !is_page(after)))
    }

    /// Whether the user's words name each part of a path such as `owner/name`.
    pub(crate) fn names_path(&self, value: &str) -> bool {
        let parts: Vec<&str> = value.split('/').collect();
        (2..=4).contains(&parts.len()) && parts.iter().all(|part| part.len() >= 3 && self.names(part))
    }

    /// Whether every word of a composed name (`reports_2024`, `Ann Lee`) is the user's; parts of only digits or
    /// of one or two letters may be missing, because people leave them out.
    pub(crate) fn names_parts_of(&self, value: &str) -> bool {
        let parts = words::split_name(value);
        let telling: Vec<&String> =
            parts.iter().filter(|part| part.chars().count() >= 3 && part.chars().any(char::is_alphabetic)).collect();
        !telling.is_empty()
            && !value.contains('@')
            && atoms::link(value).is_none()
            && telling.iter().all(|part| self.words.contains(part.as_str()))
    }
}

/// The beginning of a text, at most so long, of whole words: half an address is another address.
fn first_words(text: &str, max: usize) -> &str {
    let head = text.get(..text.floor_char_boundary(max)).unwrap_or_default();
    head.rfind(char::is_whitespace).and_then(|end| head.get(..end)).unwrap_or_default()
}

/// The end of a text, likewise.
fn last_words(text: &str, max: usize) -> &str {
    let tail = text.get(text.ceil_char_boundary(text.len().saturating_sub(max))..).unwrap_or_default();
    tail.find(char::is_whitespace).and_then(|start| tail.get(start..)).unwrap_or_default()
}

/// The first word of a mail address: `ann` of `ann.lee@shop.example`.
fn given_name(address: &str) -> Option<String> {
    let local = address.split_once('@')?.0;
    let name = local.split(|c: char| !c.is_alphabetic()).next()?;
    (name.chars().count() >= 3).then(|| name.to_owned())
}

/// The text with a blank behind a full stop that lacks it: behind an address in small letters a capital begins a sentence
/// and no further part of the address.
fn parted(text: &str) -> String {
    let begins = |next: &str| {
        let mut letters = next.chars();
        letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase)
    };
    let part = |token: &str| match token.rsplit_once('.') {
        Some((address, next)) if address.contains('.') && !address.contains(char::is_uppercase) && begins(next) => {
            format!("{address}. {next}")
        }
        _ => token.to_owned(),
    };
    text.split_inclusive(char::is_whitespace).map(part).collect()
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
    // Part of a longer address or host is another address or host, whatever it begins with.
    let is_address = text.get(start..end).is_some_and(|word| word.contains(['.', '@']));
    let goes_on = |rest: &str| rest.starts_with(char::is_alphanumeric);
    let is_begun = is_address && tail.strip_prefix(['.', '-']).is_some_and(goes_on);
    before && after && !is_begun && !head.ends_with(['@', '-']) && !tail.starts_with('@')
}

/// The records of a result that the user's words, or the places they hand over to, point at.
pub(crate) fn pointed_records(user: &mut User, leaves: &[Leaf]) -> HashMap<u32, Pointed> {
    let mut named: HashMap<u32, [BTreeSet<&str>; 2]> = HashMap::new();
    if !user.is_heard() {
        return HashMap::new();
    }
    let authors: Vec<(u32, String)> = leaves.iter().filter_map(|leaf| Some((leaf.record, author(leaf)?))).collect();
    authors.iter().for_each(|(_, author)| user.meets(author));
    let user = &*user;
    let by_name: HashSet<u32> =
        authors.iter().filter(|(_, author)| user.means(author)).map(|(record, _)| *record).collect();
    for leaf in leaves.iter().filter(|leaf| can_point(leaf)) {
        let text = leaf.text.trim();
        let handed = !user.handed.is_empty() && !leaf.prose && contains_word(&user.handed, &atoms::normal(text));
        for (by, names) in [(0, points(user, text)), (1, handed)] {
            if names && let Some(values) = named.entry(leaf.record).or_default().get_mut(by) {
                values.insert(text);
            }
        }
    }
    for record in &by_name {
        named.entry(*record).or_default();
    }
    let pointed = |record: u32, [by_user, handed]: [BTreeSet<&str>; 2]| Pointed {
        by_user: !by_user.is_empty(),
        exactly: by_user.len() >= EXACTLY,
        onward: handed.len() >= EXACTLY || by_name.contains(&record),
    };
    named.into_iter().map(|(record, values)| (record, pointed(record, values))).collect()
}

/// Who wrote a record, by the field that says so.
fn author(leaf: &Leaf) -> Option<String> {
    let says = matches!(leaf.key.as_str(), "author" | "from" | "sender") && !leaf.prose && leaf.part == Part::Whole;
    if says { atoms::mail(leaf.text.trim()) } else { None }
}

fn can_point(leaf: &Leaf) -> bool {
    tells(&leaf.text) && leaf.text.trim().len() <= 80 && !leaf.pointer.is_empty() && leaf.part == Part::Whole
}

/// Whether a value tells one thing from another, so that who names it means that thing.
pub(crate) fn tells(text: &str) -> bool {
    let text = text.trim();
    let telling = text.chars().any(char::is_alphabetic) && !matches!(text, "true" | "false" | "null" | "None");
    text.len() >= 3 && telling && !text.contains('\n')
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
    let words = words::split_name(&tool.id.name);
    let unknown = words.iter().all(|word| words::effects_of(word).is_empty());
    let said = |word: &String| user.verbs.contains(&words::stem(word)) || (unknown && user.commands.contains(word));
    words.iter().take(2).any(said)
}

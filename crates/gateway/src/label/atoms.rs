//! The values that can be recognised again: addresses, links, identifiers, numbers, words, each normalised so
//! that case, white space, encodings and look-alike letters do not hide it.
//!
//! Pure functions of text. Never says whether a value is good or bad.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use base64::Engine as _;
use unicode_normalization::UnicodeNormalization as _;

use super::hosts;

/// The longest value that is kept; what is longer is prose and is taken apart instead.
pub(crate) const VALUE_MAX_BYTES: usize = 256;

/// Longer tokens are taken apart further.
const TOKEN_MAX_BYTES: usize = 4 * VALUE_MAX_BYTES;

/// In how many groups a value is printed.
const GROUPS_MIN: usize = 3;
const GROUPS_MAX: usize = 16;
/// In a run of so many groups a value may begin at each.
const RUN_MAX: usize = 16;

/// The longest value that is parted by signs.
const GROUPED_MAX: usize = 48;

/// How many links of one token are read whole; of the others the hosts are known as words.
const GLUED_MAX: usize = 16;

/// What kind of value an atom is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Word,
    Number,
    /// Letters and digits together, or long digits: account numbers, keys, dates.
    Identifier,
    Mail,
    /// A link without scheme, `www.` and trailing slash.
    Link,
    Path,
}

/// One recognisable value, normalised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Atom {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

impl Atom {
    fn new(kind: Kind, text: impl Into<String>) -> Self {
        Atom { kind, text: text.into() }
    }

    /// Whether two of these in one place are alternatives between which somebody chose.
    pub(crate) fn is_distinctive(&self) -> bool {
        match self.kind {
            Kind::Mail | Kind::Link => true,
            Kind::Identifier => self.text.len() >= 8 && !looks_like_date(&self.text),
            Kind::Word | Kind::Number | Kind::Path => false,
        }
    }
}

/// Lower case, NFKC, look-alikes as the ASCII letters they imitate, invisible characters removed, white space
/// collapsed. Stops an address that only looks like a trusted one from matching nothing, or the other way round.
pub(crate) fn normal(text: &str) -> String {
    let folded: String = if text.is_ascii() { text.to_ascii_lowercase() } else { fold(text) };
    if !folded.contains(char::is_whitespace) {
        return folded;
    }
    let mut out = String::with_capacity(folded.len());
    for word in folded.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

fn fold(text: &str) -> String {
    let visible = text.nfkc().filter(|c| !is_invisible(*c));
    let mut out = String::new();
    for character in visible {
        if let Some(digit) = digit(character) {
            out.push(digit);
        } else if character.is_ascii() || is_letter_of_its_own(character) {
            out.extend(character.to_lowercase());
        } else {
            out.extend(unicode_security::skeleton(character.encode_utf8(&mut [0; 4])).flat_map(char::to_lowercase));
        }
    }
    out
}

/// The same without taking look-alikes for what they imitate.
pub(crate) fn plain(text: &str) -> String {
    if text.is_ascii() {
        return normal(text);
    }
    let visible: String = text.nfkc().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase).collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a value really spells, if letters in it imitate others. It must then not be taken for what it imitates.
pub(crate) fn imitates(text: &str, normal: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let plain = plain(text);
    (plain != normal).then_some(plain)
}

/// Accented Latin letters are themselves, not imitations.
fn is_letter_of_its_own(character: char) -> bool {
    ('\u{c0}'..='\u{24f}').contains(&character)
}

/// What nobody sees (`Default_Ignorable_Code_Point`).
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// A decimal digit of another script as that of ASCII.
fn digit(character: char) -> Option<char> {
    /// Where the zeros stand; the other digits follow.
    const ZEROS: &[u32] = &[
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
        0x1040, 0x1090, 0x17e0, 0x1810,
    ];
    let value = ZEROS.iter().find_map(|zero| u32::from(character).checked_sub(*zero).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

/// Only letters and digits, as account numbers are compared.
pub(crate) fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The values of a text, at most `max`, without repetition, in order of appearance.
pub(crate) fn atoms(text: &str, max: usize) -> Vec<Atom> {
    let plain = without_escapes(text);
    let mut found = Found { atoms: Vec::new(), seen: HashSet::new(), hasher: RandomState::new(), max };
    let mut group: Vec<&str> = Vec::new();
    for token in plain.split(is_separator) {
        let token = trim(token);
        if !token.is_ascii() || token.len() > TOKEN_MAX_BYTES {
            found.runs(token);
        }
        if token.is_empty() || token.len() > TOKEN_MAX_BYTES {
            continue;
        }
        found.token(token);
        // An account number printed in groups is one value.
        if token.len() <= 4 && token.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()) {
            group.push(token);
        } else {
            found.groups(&std::mem::take(&mut group));
        }
    }
    found.groups(&group);
    found.atoms
}

/// Line breaks and tabs that are written as escapes are white space.
fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\\n", " ").replace("\\r", " ").replace("\\t", " "))
}

struct Found {
    atoms: Vec<Atom>,
    /// Their hashes, under a key of this text's own, so that nobody can write one value that hides another.
    seen: HashSet<u64>,
    hasher: RandomState,
    max: usize,
}

impl Found {
    fn push(&mut self, atom: Atom) {
        if self.atoms.len() < self.max
            && !atom.text.is_empty()
            && atom.text.len() <= VALUE_MAX_BYTES
            && self.seen.insert(self.hasher.hash_one(&atom))
        {
            self.atoms.push(atom);
        }
    }

    /// A value that is printed in groups; numbers and short words in capitals may stand before it and behind it. Of a longer
    /// run, as of a table, those at its beginning and those that begin with a letter in them.
    fn groups(&mut self, groups: &[&str]) {
        self.group(Kind::Identifier, groups);
        let begins = |from: usize| {
            let is_account = groups.get(from).is_some_and(|group| group.contains(|c: char| c.is_ascii_uppercase()));
            is_account || from == 0 || groups.len() <= RUN_MAX
        };
        for from in (0..groups.len()).filter(|from| begins(*from)) {
            let last = groups.len().min(from + GROUPS_MAX);
            for part in (from + GROUPS_MIN..=last).filter_map(|until| groups.get(from..until)) {
                self.group(Kind::Word, part);
            }
        }
    }

    fn group(&mut self, kind: Kind, groups: &[&str]) {
        let text = groups.concat();
        if groups.len() >= GROUPS_MIN && text.len() >= 8 && text.contains(|c: char| c.is_ascii_digit()) {
            let text = text.to_ascii_lowercase();
            let is_known = self.seen.contains(&self.hasher.hash_one(Atom::new(Kind::Identifier, text.as_str())));
            if !is_known {
                self.push(Atom::new(kind, text));
            }
        }
    }

    /// The values in a token that other signs, or letters of a script without spaces, stand around, or that is too long.
    fn runs(&mut self, token: &str) {
        let is_of_value = |c: char| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '@' | ':' | '/' | '?' | '&' | '~')
        };
        for run in token.split(|c: char| !is_of_value(c)).map(trim).filter(|run| run.len() >= 4 && *run != token) {
            let telling = run.contains(['@', '.']) || run.chars().any(|c| c.is_ascii_digit());
            if telling && run.len() <= TOKEN_MAX_BYTES {
                self.token(run);
            } else if run.len() > TOKEN_MAX_BYTES {
                embedded_mails(run).iter().for_each(|mail| self.mail(mail));
                // Of links the hosts, of the rest each part.
                let parts = run.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
                for part in parts.map(trim).filter(|part| part.len() >= 4 && part.len() <= TOKEN_MAX_BYTES) {
                    self.token(part);
                }
            }
        }
    }

    fn mail(&mut self, mail: &str) {
        let domain = mail.split_once('@').map(|(_, domain)| domain).unwrap_or_default();
        self.push(Atom::new(Kind::Mail, mail));
        self.push(Atom::new(Kind::Word, domain));
    }

    /// Links behind a name and a sign, as in `href=https://shop.example/a`.
    fn glued_links(&mut self, token: &str) {
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || c == '+';
        for (at, _) in token.match_indices("://").take(GLUED_MAX) {
            let before = token.get(..at).unwrap_or_default();
            let from = before.trim_end_matches(is_scheme).len();
            if let Some(link) = token.get(from..).and_then(link) {
                let full = if link.full.len() > VALUE_MAX_BYTES { &link.host } else { &link.full };
                self.push(Atom::new(Kind::Link, full));
                self.push(Atom::new(Kind::Word, &link.host));
            }
        }
    }

    /// The values in a token, and in what it says once its encoding is undone.
    fn token(&mut self, token: &str) {
        if let Some(host) = hosts::of_token(token) {
            self.push(Atom::new(Kind::Word, host));
        }
        self.spelled(token);
        for reading in decoded(token).iter().flat_map(|reading| reading.split(is_separator)).map(trim) {
            if (4..=TOKEN_MAX_BYTES).contains(&reading.len()) {
                self.spelled(reading);
            }
        }
    }

    fn spelled(&mut self, token: &str) {
        let whole = mail(token);
        whole.iter().for_each(|whole| self.mail(whole));
        embedded_mails(token).iter().for_each(|mail| self.mail(mail));
        if whole.is_some() {
            return;
        }
        if let Some(link) = link(token) {
            // One that is too long is known by its host.
            let full = if link.full.len() > VALUE_MAX_BYTES { &link.host } else { &link.full };
            self.push(Atom::new(Kind::Link, full));
            self.push(Atom::new(Kind::Word, &link.host));
            for part in &link.parts {
                self.push(Atom::new(Kind::Word, part));
            }
            return;
        }
        self.glued_links(token);
        let text = normal(token);
        // Most tokens are words: nothing in them has a meaning of its own.
        if text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return self.push(Atom::new(Kind::Word, text));
        }
        self.push(Atom::new(kind(&text), number(&text).unwrap_or_else(|| text.clone())));
        // An account number is one value, however its groups are parted.
        let grouped =
            text.contains(is_joint) && text.len() <= GROUPED_MAX && text.contains(|c: char| c.is_ascii_digit());
        if let Some(squeezed) = grouped.then(|| squeezed(&text)).filter(|squeezed| squeezed.len() >= 8) {
            self.push(Atom::new(Kind::Word, squeezed));
        }
        // `owner/name` and `key=value` are one value and several.
        if text.contains(['/', '=', ':', '\\']) {
            for part in text.split(['/', '=', ':', '\\']).filter(|part| !part.is_empty()) {
                self.push(Atom::new(kind(part), number(part).unwrap_or_else(|| part.to_owned())));
            }
        }
        if text.ends_with("'s") {
            self.push(Atom::new(Kind::Word, text.trim_end_matches("'s")));
        }
    }
}

/// Whether an address or a link stands in a text of a few words.
pub(crate) fn holds_address(text: &str) -> bool {
    const FEW: usize = 1_000;
    atoms(text, FEW).iter().any(|atom| matches!(atom.kind, Kind::Mail | Kind::Link))
}

fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '"' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | ',' | ';' | '`' | '*' | '“' | '”' | '‘'
        )
}

/// What parts the groups of one value.
pub(crate) fn is_joint(character: char) -> bool {
    matches!(character, ' ' | '-' | '.' | '_' | '/')
}

fn trim(token: &str) -> &str {
    token.trim_matches(|c: char| matches!(c, '.' | ':' | '!' | '?' | '\'' | '’' | '_' | '#' | '…' | '-') || c == '\\')
}

/// The kind of a normalised token that is neither link nor address.
fn kind(text: &str) -> Kind {
    if number(text).is_some() {
        return Kind::Number;
    }
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if digits > 0
        && text.len() >= 6
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
    {
        return Kind::Identifier;
    }
    if text.contains('/') || text.contains('\\') { Kind::Path } else { Kind::Word }
}

fn looks_like_date(text: &str) -> bool {
    text.len() <= 10 && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '/' | '.'))
}

/// A decimal number in one form: `1,200.50` and `$1200.5` are the same.
pub(crate) fn number(text: &str) -> Option<String> {
    // Most tokens are words.
    if !text.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches(['$', '€', '£', '+']).trim_end_matches(['%', '$', '€', '£']).replace(',', "");
    let ok = !digits.is_empty()
        && digits.len() <= 18
        && digits.trim_start_matches('-').chars().all(|c| c.is_ascii_digit() || c == '.');
    if !ok || digits.matches('.').count() > 1 {
        return None;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// A mail address in normal form.
pub(crate) fn mail(token: &str) -> Option<String> {
    // Most tokens are no addresses. What is not ASCII may become an `@` when it is normalised.
    if token.is_ascii() && !token.contains('@') {
        return None;
    }
    let token = token.strip_prefix("mailto:").unwrap_or(token);
    let text = normal(token);
    let (local, domain) = text.split_once('@')?;
    let local_ok =
        !local.is_empty() && local.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '\''));
    let domain_ok = domain.contains('.') && domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'));
    (local_ok && domain_ok).then(|| text.clone())
}

/// Addresses inside a token that is more than one: quoted, named, or glued to the next sentence, as in
/// `'ann@shop.example'.The` or `to:ann@shop.example`.
fn embedded_mails(token: &str) -> Vec<String> {
    if !token.contains('@') {
        return Vec::new();
    }
    let is_local = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let is_domain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let around = |(at, sign): (usize, &str)| {
        let (before, after) = (token.get(..at)?, token.get(at + sign.len()..)?);
        let from = before.trim_end_matches(is_local).len();
        let until = after.len() - after.trim_start_matches(is_domain).len();
        let (domain, _) = before_glued_sentence(after.get(..until)?);
        mail(&format!("{}@{domain}", before.get(from..)?))
    };
    // No part of an address has another sign in it, so that the work is the token's length.
    token.match_indices('@').filter_map(around).collect()
}

/// A link in normal form, and its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Host and path and query, without scheme, user, `www.`, trailing slash.
    pub(crate) full: String,
    /// The host without `www.`.
    pub(crate) host: String,
    /// The same as it is spelled: letters in it that imitate others are what they are, and so is the site.
    pub(crate) spelled: String,
    /// Segments of the path and values of the query, percent-decoded.
    pub(crate) parts: Vec<String>,
    /// Whether it is read as a page of the web is, and by nobody otherwise: no scheme of another kind, nobody's name or
    /// password before the host.
    pub(crate) is_web: bool,
}

const FILE_SUFFIXES: &[&str] = &[
    "txt", "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "csv", "tsv", "md", "rst", "py", "rs", "js", "ts",
    "tsx", "jsx", "go", "java", "rb", "sh", "json", "jsonl", "html", "htm", "css", "png", "jpg", "jpeg", "gif", "svg",
    "zip", "tar", "gz", "yaml", "yml", "toml", "xml", "log", "lock", "sql", "db", "mp3", "mp4", "ini", "cfg", "conf",
    "env", "bak", "exe", "ps", "odt", "ics", "eml", "tex", "ipynb",
];

/// Reads a token as a link: with a scheme, with `www.`, or as a bare host.
pub(crate) fn link(token: &str) -> Option<Link> {
    // Most tokens are no links: they have neither a scheme nor a dot, nor anything that could become one.
    if token.is_ascii() && !token.contains('.') && !token.contains("://") {
        return None;
    }
    let (scheme, rest) = token.split_once("://").map_or((None, token), |(scheme, rest)| (Some(scheme), rest));
    if scheme.is_some_and(|scheme| scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'))
    {
        return None;
    }
    // Browsers take a backslash for a slash.
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end)?;
    let web =
        scheme.is_none_or(|scheme| ["http", "https", "ws", "wss"].iter().any(|of| scheme.eq_ignore_ascii_case(of)));
    let is_web = web && !authority.contains('@') && !token.contains(['\\', '\t', '\r', '\n']);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (authority, cut) = before_glued_sentence(authority);
    let tail = if cut { "" } else { tail };
    let named = authority.split(':').next().unwrap_or_default();
    let host = normal(named);
    let marked = scheme.is_some() || host.starts_with("www.");
    let bare = |host: &str| host.strip_prefix("www.").unwrap_or(host).trim_matches('.').to_owned();
    let spelled = bare(imitates(named, &host).as_deref().unwrap_or(&host));
    let host = bare(&host);
    if !is_host(&host, marked) {
        return None;
    }
    let tail = tail.trim_end_matches(['/', '.', '!', '?', ':', '\'']);
    let parts = tail
        .split(['/', '\\', '?', '&', '=', '#'])
        .filter(|part| !part.is_empty())
        .map(|part| normal(&percent_decoded(part)))
        .collect();
    Some(Link { full: normal(&format!("{host}{}", percent_decoded(tail))), host, spelled, parts, is_web })
}

/// `example.com.They` is a host and the next sentence.
fn before_glued_sentence(authority: &str) -> (&str, bool) {
    let mut at = 0;
    let mut lower_seen = false;
    for label in authority.split('.') {
        if lower_seen && label.starts_with(|c: char| c.is_ascii_uppercase()) {
            return (authority.get(..at.max(1) - 1).unwrap_or(authority), true);
        }
        lower_seen |= label.chars().any(|c| c.is_ascii_lowercase());
        at += label.len() + 1;
    }
    (authority, false)
}

fn is_host(host: &str, marked: bool) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let labels_ok = labels
        .iter()
        .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_')));
    if !labels_ok {
        return false;
    }
    if marked {
        return true;
    }
    let last = labels.last().copied().unwrap_or_default();
    labels.len() >= 2
        && (2..=18).contains(&last.len())
        && last.chars().all(|c| c.is_ascii_alphabetic())
        && !FILE_SUFFIXES.contains(&last)
        && labels.iter().all(|label| label.len() > 1)
}

/// Undoes percent encoding.
pub(crate) fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let decoded = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|two| std::str::from_utf8(two).ok())
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(decoded.unwrap_or(first));
        rest = if decoded.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Other readings of a value: what it says once its encoding is undone. At most a handful.
pub(crate) fn decoded(text: &str) -> Vec<String> {
    let mut readings = Vec::new();
    if text.contains('%') {
        readings.push(percent_decoded(text));
    }
    readings.extend(with_letters(text));
    let trimmed = text.trim();
    if trimmed.len() >= 12 && trimmed.len() <= 4 * 1024 && !trimmed.contains(' ') {
        let bare = trimmed.trim_end_matches('=');
        // Hex is base64, too: each reading that is text counts.
        let bytes = [
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(bare).ok(),
            base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(bare).ok(),
            hex::decode(trimmed).ok(),
        ];
        let texts = bytes.into_iter().flatten().filter_map(|bytes| String::from_utf8(bytes).ok());
        readings.extend(texts.filter(|text| text.chars().all(|c| !c.is_control() || c.is_whitespace())));
    }
    readings.dedup();
    readings.retain(|reading| reading != text);
    readings
}

/// A text whose hosts are written as names of the DNS are (`xn--…`) with the letters that they stand for.
fn with_letters(text: &str) -> Option<String> {
    let is_encoded = |label: &str| label.get(..4).is_some_and(|mark| mark.eq_ignore_ascii_case("xn--"));
    // Most texts have none, and no text is longer for it than a value may be.
    if text.len() > TOKEN_MAX_BYTES || !text.as_bytes().windows(4).any(|mark| mark.eq_ignore_ascii_case(b"xn--")) {
        return None;
    }
    let ends = |c: char| !(c.is_alphanumeric() || c == '-');
    let letters = |label: &str| {
        let (name, end) = label.split_at(label.find(ends).unwrap_or(label.len()));
        // What no host may be called stands for nothing else: in other letters it could be taken for a host that is.
        match idna::domain_to_unicode(name) {
            (letters, Ok(())) if is_encoded(name) => format!("{letters}{end}"),
            _ => label.to_owned(),
        }
    };
    Some(text.split_inclusive(ends).map(letters).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_and_invisible_letters_do_not_hide() {
        assert_eq!(normal("p\u{430}yroll@ex\u{200b}ample.org"), "payroll@example.org");
        // What nobody sees is no imitation of anything.
        assert_eq!(imitates("pay\u{2066}roll", &normal("pay\u{2066}roll")), None);
    }

    #[test]
    fn a_link_is_one_value_in_many_spellings() {
        for spelling in ["https://www.example.org/a%20b/", "example.org/a b", "HTTP://user@Example.org:80/a%20b"] {
            let first = spelling.split(' ').next().unwrap_or_default();
            assert!(
                link(spelling).or_else(|| link(first)).is_some_and(|link| link.host == "example.org"),
                "{spelling}"
            );
        }
        assert_eq!(link("notes.txt"), None);
        assert_eq!(link("shop.example.Then").map(|link| link.host), Some("shop.example".to_owned()));
    }

    #[test]
    fn an_address_glued_to_what_stands_around_it_is_one() {
        let found =
            |text: &str| atoms(text, 100).into_iter().any(|atom| atom == Atom::new(Kind::Mail, "ann@shop.example"));
        for text in [
            "ann@shop.example",
            "to 'ann@shop.example'.The subject",
            "to ann@shop.example.Then wait",
            "to:ann@shop.example",
            "mailto=ann@shop.example&x",
            "lee@shop.example/ann@shop.example",
            "ann@shop.example's",
            "send@ann@shop.example!",
        ] {
            assert!(found(text), "{text}");
        }
        for text in ["joann@shop.example", "ann@shop.example-two.example", "@shop.example", "ann@"] {
            assert!(!found(text), "{text}");
        }
        assert!(atoms(&"a@b.example/".repeat(1_000), 100).len() <= 100);
    }

    #[test]
    fn nothing_that_stands_around_a_value_hides_it() {
        let found = |text: &str, value: &str| atoms(text, 1_000).into_iter().any(|atom| atom.text == value);
        for text in [
            "\u{8bf7}\u{4ed8}\u{6b3e}\u{5230}ann@shop.example\u{8c22}\u{8c22}",
            "\u{ab}ann@shop.example\u{bb}",
            &format!("{}ann@shop.example", "=".repeat(1_100)),
            &format!("{}ann@shop.example", "@".repeat(40)),
        ] {
            assert!(found(text, "ann@shop.example"), "{text}");
        }
        assert!(found("\u{2192}shop.example", "shop.example") && found("\u{2022}XX1234567890", "xx1234567890"));
        let long = format!("![](https://shop.example/?d={})", "x".repeat(1_200));
        assert!(found(&long, "shop.example"));
        let is_link = |atom: Atom| atom.kind == Kind::Link && atom.text.starts_with("shop.example");
        let links = |text: &str| atoms(text, 1_000).into_iter().any(is_link);
        assert!(links(&long) && links(&format!("https://shop.example/?d={}", "x".repeat(300))));
    }

    #[test]
    fn a_browser_reads_a_backslash_as_a_slash() {
        let evil = link("https://evil.example\\@shop.example/x").unwrap();
        assert!(evil.host == "evil.example" && !evil.is_web, "{evil:?}");
        assert!(!link("javascript://shop.example/%0aalert").unwrap().is_web);
        assert!(link("https://shop.example/a").unwrap().is_web && link("shop.example").unwrap().is_web);
    }

    #[test]
    fn an_account_printed_in_groups_is_one_value() {
        let found = atoms("to XX12 3456 7890 1234 today", 100);
        assert!(found.iter().any(|atom| atom.text == "xx12345678901234"), "{found:?}");
        // Whatever stands around it, and a table of numbers is no list of accounts.
        let years = "1999 ".repeat(500);
        let around = ["rooms 12 14 XX12 3456 7890 1234 EUR 20", &format!("{years}XX12 3456 7890 1234 {years}")];
        for text in around {
            assert!(atoms(text, 100).iter().any(|atom| atom.text == "xx12345678901234"), "{text}");
        }
        assert!(atoms("pay 12 34 5678 9012 3456 7890 100", 100).iter().any(|atom| atom.text == "5678901234567890"));
        let table: String = (1000..3000).map(|number| format!("{number} ")).collect();
        assert!(atoms(&table, 20_000).len() < 2_100);
    }

    #[test]
    fn neither_signs_nor_scripts_nor_an_encoding_hide_a_value() {
        let found = |text: &str, value: &str| atoms(text, 1_000).into_iter().any(|atom| atom.text == value);
        for account in [
            "1234-5678-9012-3456",
            "1234.5678.9012.3456",
            "12345678\u{2066}90123456",
            "1234\u{2011}5678\u{2011}9012\u{2011}3456",
            "\u{661}\u{662}\u{663}\u{664}567890123456",
            "MTIzNDU2Nzg5MDEyMzQ1Ng==",
            "31323334353637383930313233343536",
        ] {
            assert!(found(&format!("pay {account} now"), "1234567890123456"), "{account}");
        }
        assert!(found("to YXVkaXRAZXZpbC5leGFtcGxl please", "audit@evil.example"));
        assert!(found("to audit@xn--bcher-kva.example please", "audit@b\u{fc}cher.example"));
        assert!(found("to audit%40evil.example please", "audit@evil.example"));
        assert_eq!(atoms("internationalisation", 9).len(), 1);
    }

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(number("1,200.50"), number("$1200.5"));
        assert_eq!(number("1.2.3"), None);
    }

    #[test]
    fn encodings_are_undone() {
        assert_eq!(decoded("bWVldEBleGFtcGxlLm9yZw=="), ["meet@example.org"]);
        assert_eq!(decoded("6d656574406578616d706c652e6f72672121"), ["meet@example.org!!"], "hex that is base64, too");
    }
}

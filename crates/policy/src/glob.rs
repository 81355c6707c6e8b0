//! Patterns as a shell expands them to the names of files: `*`, `?`, `[…]` and, between slashes, `**`.
//!
//! It never looks at a file system: it says whether a pattern fits a name that matters, and how much of that name the
//! pattern spells out.

/// One place of a pattern.
#[derive(Debug)]
enum Token {
    Char(char),
    /// One character of those in brackets, or any.
    One(Option<Class>),
    /// Any number of any characters.
    Any,
}

#[derive(Debug)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

/// Which end of a name is open: `*.key` has an open start, `cron*` an open end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Open {
    pub(crate) start: bool,
    pub(crate) end: bool,
}

/// Whether a shell would expand this text.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?']) || text.split_once('[').is_some_and(|(_, rest)| rest.contains(']'))
}

/// The most that is made of the braces of one text.
const ALTERNATIVES_MAX: usize = 64;

/// What a text with braces stands for, `{a,b}c` for `ac` and `bc`; any other text for itself. One that stands for too much is
/// taken apart at its braces, and each part may go on.
pub(crate) fn alternatives(text: &str) -> Vec<String> {
    let (mut done, mut open) = (Vec::new(), vec![text.to_owned()]);
    while let Some(next) = open.pop() {
        let Some((before, inner, after)) = braces(&next) else {
            done.push(next);
            continue;
        };
        let choices = inner.split(',').take(ALTERNATIVES_MAX + 1);
        open.extend(choices.map(|choice| format!("{before}{choice}{after}")));
        if done.len() + open.len() > ALTERNATIVES_MAX {
            return text.split(['{', '}', ',']).map(|part| format!("{part}*")).collect();
        }
    }
    done
}

/// The innermost braces that come first, with a comma in them, and what stands around them.
fn braces(text: &str) -> Option<(&str, &str, &str)> {
    let mut opened = None;
    for (at, letter) in text.char_indices() {
        match (letter, opened) {
            ('{', _) => opened = Some(at),
            ('}', Some(start)) => {
                let inner = text.get(start + 1..at)?;
                if inner.contains(',') {
                    return Some((text.get(..start)?, inner, text.get(at + 1..)?));
                }
                opened = None;
            }
            _ => {}
        }
    }
    None
}

/// Whether a pattern without slashes fits a name.
pub fn matches(pattern: &str, name: &str) -> bool {
    spelled(pattern, name, Open::default()).is_some()
}

/// Whether a path with patterns in it may lie in a folder, or be it.
pub fn is_within(path: &[&str], folder: &[&str]) -> bool {
    begins(path, folder, false, &|step, name| spelled(step, name, Open::default())).is_some()
}

/// Whether a path with patterns in it may be a folder above another, and says something of its name.
pub fn is_above(path: &[&str], folder: &[&str]) -> bool {
    let says = |step: &&str| step.starts_with('.') || step.contains(char::is_alphanumeric);
    path.len() < folder.len()
        && path.last().is_some_and(says)
        && path.iter().zip(folder).all(|(step, name)| matches(step, name))
}

/// How many letters of `names` the first steps of a path spell out, if they fit; with `ends`, they must be all there is.
pub(crate) fn begins(
    steps: &[&str],
    names: &[&str],
    ends: bool,
    fits: &impl Fn(&str, &str) -> Option<usize>,
) -> Option<usize> {
    match (steps.split_first(), names.split_first()) {
        (rest, None) => (!ends || rest.is_none()).then_some(0),
        (None, _) => None,
        (Some((&"**", rest)), Some((name, others))) => {
            let none = begins(rest, names, ends, fits);
            let one = if name.starts_with('.') { None } else { begins(steps, others, ends, fits) };
            none.max(one)
        }
        (Some((step, rest)), Some((name, others))) => Some(fits(step, name)? + begins(rest, others, ends, fits)?),
    }
}

/// How many characters of a name a pattern spells out (dots are none), if it fits.
pub(crate) fn spelled(pattern: &str, name: &str, open: Open) -> Option<usize> {
    let tokens = tokens(pattern);
    // A dot at the beginning is found only by a dot.
    if name.starts_with('.') && !open.start && !matches!(tokens.first(), Some(Token::Char('.'))) {
        return None;
    }
    let name: Vec<char> = name.chars().collect();
    // What is spelled out at best when that many characters of the name are found.
    let mut best: Vec<Option<usize>> = vec![None; name.len() + 1];
    let mut ended = None;
    if let Some(first) = best.first_mut() {
        *first = Some(0);
    }
    for token in &tokens {
        best = next(&best, token, &name);
        if let Some(first) = best.first_mut().filter(|_| open.start) {
            *first = Some(0);
        }
        ended = ended.max(best.last().copied().flatten());
    }
    if open.end { ended } else { best.last().copied().flatten() }
}

fn next(best: &[Option<usize>], token: &Token, name: &[char]) -> Vec<Option<usize>> {
    let mut out = vec![None; best.len()];
    let mut running = None;
    for (at, slot) in out.iter_mut().enumerate() {
        let here = best.get(at).copied().flatten();
        let before = at.checked_sub(1).and_then(|at| Some((best.get(at).copied().flatten()?, *name.get(at)?)));
        *slot = match token {
            Token::Any => {
                running = running.max(here);
                running
            }
            Token::Char(char) => before.filter(|(_, of)| of == char).map(|(count, of)| count + usize::from(of != '.')),
            Token::One(class) => {
                before.filter(|(_, of)| class.as_ref().is_none_or(|class| class.has(*of))).map(|(count, _)| count)
            }
        };
    }
    out
}

impl Class {
    fn has(&self, char: char) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&char)) != self.negated
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(char) = chars.get(at) {
        at += 1;
        tokens.push(match char {
            '*' if matches!(tokens.last(), Some(Token::Any)) => continue,
            '*' => Token::Any,
            '?' => Token::One(None),
            '[' => match class(chars.get(at..).unwrap_or_default()) {
                Some((class, length)) => {
                    at += length;
                    Token::One(class)
                }
                None => Token::Char('['),
            },
            char => Token::Char(*char),
        });
    }
    tokens
}

/// What stands in brackets, and its length with the closing one. A named class counts as any character.
fn class(chars: &[char]) -> Option<(Option<Class>, usize)> {
    let negated = matches!(chars.first(), Some('!' | '^'));
    let start = usize::from(negated);
    // A bracket that comes first is a character.
    let close = chars.iter().skip(start + 1).position(|char| *char == ']')? + start + 1;
    let inside = chars.get(start..close)?;
    if inside.windows(2).any(|pair| matches!(pair, ['[', ':' | '.' | '='])) {
        let end = chars.windows(2).position(|pair| matches!(pair, [':' | '.' | '=', ']']))? + 2;
        let close = chars.iter().skip(end).position(|char| *char == ']')? + end;
        return Some((None, close + 1));
    }
    let mut ranges = Vec::new();
    let mut rest = inside;
    loop {
        rest = match rest {
            [from, '-', to, rest @ ..] => {
                ranges.push((*from, *to));
                rest
            }
            [one, rest @ ..] => {
                ranges.push((*one, *one));
                rest
            }
            [] => break,
        };
    }
    Some((Some(Class { negated, ranges }), close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_what_a_shell_would_find() {
        let fits = [
            (".s?h", ".ssh"),
            ("id_r*", "id_rsa"),
            ("[i]d_[!x]sa", "id_rsa"),
            ("*", "a"),
            ("a*b*c", "aXbYc"),
            (".[[:alpha:]]sh", ".ssh"),
            (".*", ".."),
            ("[a-c]x", "bx"),
            ("x[", "x["),
        ];
        let misses =
            [("*", ".env"), ("?env", ".env"), ("[.]env", ".env"), ("id_?", "id_rsa"), ("[!i]d", "id"), ("*.rs", "key")];
        fits.iter().for_each(|(pattern, name)| assert!(matches(pattern, name), "{pattern} {name}"));
        misses.iter().for_each(|(pattern, name)| assert!(!matches(pattern, name), "{pattern} {name}"));
    }

    #[test]
    fn braces_stand_for_each_of_their_texts() {
        let of = |text: &str| {
            let mut all = alternatives(text);
            all.sort();
            all.dedup();
            all
        };
        assert_eq!(of("a{.e,x{y,z}}"), ["a.e", "axy", "axz"]);
        assert_eq!(of("${home}/{a}"), ["${home}/{a}"]);
        assert_eq!(of(&"{a,.e}nv".repeat(40)), ["*", ".e*", "a*", "nv*"]);
    }

    #[test]
    fn what_is_spelled_out_is_counted() {
        let start = Open { start: true, end: false };
        assert_eq!(spelled("a.ke*", ".key", start), Some(2));
        assert_eq!(spelled("a.rs", ".key", start), None);
        assert_eq!(spelled("*", ".key", start), Some(0));
        assert_eq!(spelled("cr?n.d", "cron", Open { start: false, end: true }), Some(3));
        assert_eq!(spelled("id*", "id_rsa", Open::default()), Some(2));
    }

    #[test]
    fn two_stars_are_any_number_of_folders() {
        let home = [".local", "share", "bailiwick"];
        assert!(is_within(&[".local", "**", "policy"], &home[..1]));
        assert!(is_within(&[".l*", "**"], &home) && is_within(&[".local", "share", "**", "bailiwick", "x"], &home));
        assert!(!is_within(&["**", "share"], &home));
        assert!(is_above(&[".l*"], &home) && !is_above(&["*"], &["share", "x"]));
    }
}

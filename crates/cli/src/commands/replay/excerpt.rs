//! The beginning of a text, and whatever in it somebody used, with a little of what stands around.

use std::cmp::Reverse;

use super::Taken;

/// What is shown around something that was used, in characters.
const AROUND: usize = 70;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Something is left out here.
    Gap,
    Plain(String),
    /// What the call of this step used.
    Taken(String, u64),
}

/// At most `max` characters from the beginning, and every first occurrence of what was taken.
pub(super) fn excerpt(text: &str, taken: &[Taken], max: usize) -> Vec<Piece> {
    let mut marks: Vec<(usize, Reverse<usize>, u64)> = Vec::new();
    for one in taken {
        let value = super::text::one_line(&one.value);
        let found =
            [one.value.as_str(), value.as_str()].into_iter().find_map(|value| Some((text.find(value)?, value.len())));
        if let Some((from, length)) = found.filter(|(_, length)| *length > 0) {
            // Of two that begin together the longer comes first: it is the one to mark.
            marks.push((from, Reverse(from + length), one.by));
        }
    }
    marks.sort_unstable();
    let head = after(text, 0, max);
    let mut pieces = Vec::new();
    let mut shown = 0;
    for (from, Reverse(to), by) in marks {
        // One value inside another is marked once.
        if from < shown {
            continue;
        }
        plain(&mut pieces, text, (shown, before(text, from, AROUND)), (head, from));
        pieces.push(Piece::Taken(text.get(from..to).unwrap_or_default().to_owned(), by));
        shown = to;
    }
    let end = if shown == 0 { head } else { after(text, shown, AROUND).max(head) };
    plain(&mut pieces, text, (shown, end), (head, end));
    if end < text.len() {
        pieces.push(Piece::Gap);
    }
    pieces
}

/// What stands between two marks: all that belongs to the head, and what is near the next.
fn plain(pieces: &mut Vec<Piece>, text: &str, (shown, near): (usize, usize), (head, until): (usize, usize)) {
    let mut push = |from: usize, to: usize| {
        if let Some(part) = text.get(from..to).filter(|part| !part.is_empty()) {
            pieces.push(Piece::Plain(part.to_owned()));
        }
    };
    let first = head.max(if shown == 0 { 0 } else { after(text, shown, AROUND) });
    if first >= near {
        return push(shown, until);
    }
    push(shown, first);
    pieces.push(Piece::Gap);
    if let Some(part) = text.get(near..until).filter(|part| !part.is_empty()) {
        pieces.push(Piece::Plain(part.to_owned()));
    }
}

/// So many characters behind a place.
fn after(text: &str, from: usize, count: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.char_indices().nth(count).map_or(text.len(), |(at, _)| from + at)
}

/// So many characters before a place.
fn before(text: &str, from: usize, count: usize) -> usize {
    let rest = text.get(..from).unwrap_or_default();
    rest.char_indices().rev().take(count).last().map_or(from, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, values: &[&str], max: usize) -> String {
        let taken: Vec<Taken> = (7..).zip(values).map(|(by, value)| Taken { by, value: (*value).to_owned() }).collect();
        let pieces = excerpt(text, &taken, max);
        pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Gap => "…".to_owned(),
                Piece::Plain(text) => text,
                Piece::Taken(text, by) => format!("[{text}|{by}]"),
            })
            .collect()
    }

    #[test]
    fn what_was_taken_is_shown_wherever_it_stands() {
        assert_eq!(told("short", &[], 10), "short");
        assert_eq!(told("a longer text", &[], 8), "a longer…");
        assert_eq!(told("to eve, now", &["eve"], 60), "to [eve|7], now");
        let far = format!("{} to eve, now {}", "x".repeat(300), "y".repeat(300));
        let said = told(&far, &["eve"], 10);
        assert!(said.starts_with("xxxxxxxxxx…") && said.contains("to [eve|7], now") && said.ends_with('…'), "{said}");
        assert_eq!(told("ä eve ö bob ü", &["bob", "eve"], 3), "ä [eve|8] ö [bob|7] ü");
        assert_eq!(told("evelyn", &["evelyn", "eve"], 3), "[evelyn|7]");
    }
}

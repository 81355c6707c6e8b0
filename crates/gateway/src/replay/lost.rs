//! Entries that cannot be read: whose they may be, as far as their bytes still say. What was damaged, or bent by whoever has
//! the log's key, keeps nobody from reading the rest, and is never passed over. Pure but for the reader.

use ledger::record::{Intent, Record};
use ledger::{ReadError, Reader};
use serde_json::Value;

/// How many entries lead from one to the call that it is about: from the answer to the ask, from there to the call; and some.
const STEPS_MAX: usize = 8;

/// What an entry is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A session.
    Session(String),
    /// What an earlier entry is about.
    Earlier(u64),
    /// Nobody knows, or no session.
    Nothing,
}

impl About {
    /// Of an entry that cannot be read: what its members still say, where they are members.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let session = value.get("session").or_else(|| value.pointer("/details/session"));
        if let Some(session) = session.and_then(Value::as_str) {
            return Self::Session(session.to_owned());
        }
        let earlier = ["intent", "ask"].iter().find_map(|name| value.get(*name)?.as_u64());
        earlier.map_or(Self::Nothing, Self::Earlier)
    }

    fn of(record: Record) -> Self {
        match record {
            Record::Intent(Intent { session, .. })
            | Record::Prompt { session, .. }
            | Record::Withheld { session, .. } => Self::Session(session),
            Record::Outcome(outcome) => Self::Earlier(outcome.intent),
            Record::Asked(asked) => Self::Earlier(asked.intent),
            Record::Answered(answered) => Self::Earlier(answered.ask),
            Record::Expired { ask } => Self::Earlier(ask),
            _ => Self::Nothing,
        }
    }
}

/// The session that an entry belongs to, also where it cannot be read; none if nobody knows.
pub(super) fn session_of(log: &Reader, entry: u64) -> Result<Option<String>, ReadError> {
    let mut at = entry;
    for _ in 0..STEPS_MAX {
        let about = match log.read(at) {
            Err(ReadError::Entry { .. } | ReadError::Kind { .. }) => About::of_bytes(&log.bytes(at)?),
            stored => About::of(stored?.entry.record),
        };
        match about {
            About::Session(session) => return Ok(Some(session)),
            About::Earlier(earlier) if earlier < at => at = earlier,
            About::Earlier(_) | About::Nothing => return Ok(None),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_entry_is_about_is_taken_from_what_is_left_of_it() {
        let of = |text: &str| About::of_bytes(text.as_bytes());
        assert_eq!(of(r#"{"kind":"intent","session":"s","v":1}"#), About::Session("s".to_owned()));
        assert_eq!(of(r#"{"details":{"session":"s"},"kind":"log"}"#), About::Session("s".to_owned()));
        assert_eq!(of(r#"{"intent":7,"kind":"outcome","status":9}"#), About::Earlier(7));
        assert_eq!(of(r#"{"ask":8,"kind":"answered"}"#), About::Earlier(8));
        for nothing in [r#"{"intent":"7"}"#, r#"{"session":"s""#, "[]", ""] {
            assert_eq!(of(nothing), About::Nothing, "{nothing}");
        }
    }
}

//! The few members of an entry that verification looks at. Pure.
//!
//! Entries are canonical, so in one pass over the bytes most of them can be passed over: [`scan`] takes members
//! that come sorted, each once, without white space and, where they count, without escapes. For everything else it
//! has no answer, and serde_json says what the entry is or why it is none. INVARIANT: whatever `scan` answers,
//! serde_json answers too, and the same; `agrees_with_serde_json` holds them together.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::record::Scope;
use crate::{canonical, string};

/// As many levels as `scan` follows; serde_json goes to 128.
const DEPTH_MAX: u32 = 100;
/// Whole numbers of so many digits fit into 64 bits.
const DIGITS_MAX: usize = 18;
/// What every entry has: `kind`, `time` and `v`.
const HEADS: u8 = 3;
/// What every payload has: `digest`, `size_bytes` and `subject`.
const PAYLOAD_HEADS: u8 = 3;

/// The members that matter.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Brief<'a> {
    pub(crate) v: u64,
    pub(crate) time: Time<'a>,
    #[serde(borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) action: Action<'a>,
    #[serde(default)]
    pub(crate) decision: Decision,
    pub(crate) now: Option<Time<'a>>,
    #[serde(borrow, default)]
    pub(crate) session: Cow<'a, str>,
    #[serde(default)]
    pub(crate) sequence: u64,
    pub(crate) uses: Option<u64>,
    pub(crate) intent: Option<u64>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    duration_us: Option<u64>,
    pub(crate) size_bytes: Option<u64>,
    pub(crate) ask: Option<u64>,
    #[serde(default)]
    pub(crate) approved: bool,
    pub(crate) upstream: Option<u64>,
    pub(crate) scope: Option<Scope>,
    #[serde(borrow, default)]
    pub(crate) binding: Cow<'a, str>,
    pub(crate) expires: Option<Time<'a>>,
    #[serde(borrow)]
    pub(crate) payload: Option<Payload<'a>>,
    #[serde(borrow, default)]
    pub(crate) snapshot: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) event: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) details: Option<Details<'a>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Action<'a> {
    #[serde(borrow, default)]
    pub(crate) tool: Tool<'a>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Tool<'a> {
    #[serde(borrow, default)]
    pub(crate) server: Cow<'a, str>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Decision {
    #[serde(default)]
    pub(crate) effect: Effect,
}

/// Whether the effect is a permit: a word, or an object with the word in its member `effect`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Effect {
    pub(crate) permits: bool,
    /// There is one.
    is_there: bool,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Payload<'a> {
    #[serde(borrow)]
    pub(crate) digest: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) subject: Cow<'a, str>,
    pub(crate) size_bytes: u64,
    #[serde(default)]
    pub(crate) segment: u64,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Details<'a> {
    #[serde(borrow)]
    pub(crate) key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) from: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) witness: Option<Cow<'a, str>>,
    pub(crate) calls: Option<u64>,
    pub(crate) sent: Option<u64>,
}

/// A time that is known to be one, and worked out only when it is compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Time<'a>(Cow<'a, str>);

impl<'a> Time<'a> {
    fn new(text: Cow<'a, str>) -> Option<Self> {
        (is_plain_time(text.as_bytes()) || text.parse::<Timestamp>().is_ok()).then_some(Self(text))
    }

    pub(crate) fn get(&self) -> Option<Timestamp> {
        self.0.parse().ok()
    }

    /// It to the second, as far as the order of its text is that of times.
    pub(crate) fn second(&self) -> Option<&[u8; 19]> {
        self.0.as_bytes().first_chunk().filter(|_| self.is_utc())
    }

    /// Whether it is written as a time in UTC, as the format wants it.
    pub(crate) fn is_utc(&self) -> bool {
        self.0.ends_with('Z')
    }
}

/// Whether this is a time as we write it, of a day that every month has. Any other is parsed to find out.
fn is_plain_time(text: &[u8]) -> bool {
    let Some((head, fraction)) = text.split_first_chunk() else { return false };
    let [c, e, y, n, b'-', m, o, b'-', d, a, b'T', h, r, b':', i, u, b':', s, k] = *head else { return false };
    let number = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        if tens < 10 && ones < 10 { tens * 10 + ones } else { u8::MAX }
    };
    let date = number(c, e) < 100 && number(y, n) < 100 && matches!((number(m, o), number(d, a)), (1..=12, 1..=28));
    let fraction = match fraction {
        [b'Z'] => true,
        [b'.', digits @ .., b'Z'] => matches!(digits.len(), 1..=9) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    date && number(h, r) < 24 && number(i, u) < 60 && number(s, k) < 60 && fraction
}

impl<'de> Deserialize<'de> for Time<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<Timestamp>().map_err(D::Error::custom)?;
        Ok(Self(Cow::Owned(text)))
    }
}

impl<'de> Deserialize<'de> for Effect {
    /// By hand: serde would keep the whole value before it tries one form and then the other.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EffectForms)
    }
}

struct EffectForms;

impl<'de> Visitor<'de> for EffectForms {
    type Value = Effect;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an effect")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Effect, E> {
        Ok(Effect { permits: word == "permit", is_there: true })
    }

    fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<Effect, M::Error> {
        #[derive(Deserialize)]
        struct Tagged<'a> {
            #[serde(borrow)]
            effect: Cow<'a, str>,
        }
        let tagged = Tagged::deserialize(MapAccessDeserializer::new(members))?;
        Ok(Effect { permits: tagged.effect == "permit", is_there: true })
    }
}

impl<'a> Brief<'a> {
    /// Of an entry's bytes.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        let mut brief = Self::default();
        if scan(bytes, &mut brief).is_some() {
            return Ok(brief);
        }
        let brief = serde_json::from_slice(bytes)?;
        if is_canonical(bytes)? {
            Ok(brief)
        } else {
            Err(serde_json::Error::custom("its bytes are not in canonical form"))
        }
    }

    /// Whether it is seen here that an entry has all that its kind has. That of the few that make up most of a log; of any
    /// other whoever wants to know reads it whole.
    pub(crate) fn is_whole(&self) -> bool {
        match self.kind.as_ref() {
            "intent" => {
                let named =
                    !(self.action.tool.server.is_empty() || self.session.is_empty() || self.snapshot.is_empty());
                named && self.now.is_some() && self.sequence > 0 && self.decision.effect.is_there
            }
            "outcome" => {
                let ended = matches!(self.status.as_ref(), "ok" | "error" | "cancelled" | "timed_out" | "unknown");
                ended && self.intent.is_some() && self.duration_us.is_some() && self.size_bytes.is_some()
            }
            _ => false,
        }
    }
}

/// Whether these are the bytes that their value has; for what `scan` has no answer for. What serde_json reads of a
/// fraction may be off by the last bit, so of fractions the text itself is looked at.
fn is_canonical(bytes: &[u8]) -> Result<bool, serde_json::Error> {
    let value: serde_json::Value = serde_json::from_slice(bytes)?;
    let made = canonical::to_vec(&value)?;
    let (mut ours, mut theirs) = (made.as_slice(), bytes);
    loop {
        let same = ours.iter().zip(theirs).take_while(|(one, other)| one == other).count();
        if same == ours.len() && same == theirs.len() {
            return Ok(true);
        }
        // From the beginning of the number in which they differ, if it is one.
        let digits = bytes.get(..bytes.len() - theirs.len() + same).unwrap_or_default();
        let back = digits.iter().rev().take_while(|byte| is_of_number(**byte)).count().min(same);
        let (Some(one), Some(other)) = (ours.get(same - back..), theirs.get(same - back..)) else { return Ok(false) };
        let (one, other) = (split_number(one), split_number(other));
        if !is_canonical_fraction(other.0) || !are_next_to_each_other(one.0, other.0) {
            return Ok(false);
        }
        (ours, theirs) = (one.1, other.1);
    }
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')
}

/// The number that this begins with, and the rest.
fn split_number(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().take_while(|byte| is_of_number(**byte)).count();
    bytes.split_at_checked(end).unwrap_or_default()
}

fn fraction(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is_canonical_fraction(text: &[u8]) -> bool {
    fraction(text).and_then(|value| canonical::to_vec(&value).ok()).is_some_and(|made| made == text)
}

fn are_next_to_each_other(one: &[u8], other: &[u8]) -> bool {
    let (Some(one), Some(other)) = (fraction(one), fraction(other)) else { return false };
    one.to_bits().abs_diff(other.to_bits()) <= 1
}

/// Reads the same from an entry that is as we write it; `None` says nothing about it.
fn scan<'a>(bytes: &'a [u8], brief: &mut Brief<'a>) -> Option<()> {
    let text = Text(std::str::from_utf8(bytes).ok()?);
    let mut heads = 0;
    let end = text.members(0, |name, at| match name {
        b"kind" => set(&mut brief.kind, text.string(at)?).inspect(|_| heads += 1),
        b"time" => set(&mut brief.time, text.time(at)?).inspect(|_| heads += 1),
        b"v" => set(&mut brief.v, text.count(at)?).inspect(|_| heads += 1),
        b"action" => set(&mut brief.action, text.action(at)?),
        b"decision" => set(&mut brief.decision, text.decision(at)?),
        b"now" => set(&mut brief.now, text.time(at)?),
        b"session" => set(&mut brief.session, text.string(at)?),
        b"sequence" => set(&mut brief.sequence, text.count(at)?),
        b"uses" => set(&mut brief.uses, text.count(at)?),
        b"intent" => set(&mut brief.intent, text.count(at)?),
        b"status" => set(&mut brief.status, text.string(at)?),
        b"duration_us" => set(&mut brief.duration_us, text.count(at)?),
        b"size_bytes" => set(&mut brief.size_bytes, text.count(at)?),
        b"ask" => set(&mut brief.ask, text.count(at)?),
        b"approved" => set(&mut brief.approved, text.truth(at)?),
        b"upstream" => set(&mut brief.upstream, text.count(at)?),
        b"scope" => set(&mut brief.scope, text.scope(at)?),
        b"binding" => set(&mut brief.binding, text.string(at)?),
        b"expires" => set(&mut brief.expires, text.time(at)?),
        b"payload" => set(&mut brief.payload, text.payload(at)?),
        b"snapshot" => set(&mut brief.snapshot, text.string(at)?),
        b"event" => set(&mut brief.event, text.string(at)?),
        b"details" => set(&mut brief.details, text.details(at)?),
        _ => text.pass(at, 0),
    })?;
    (heads == HEADS && end == bytes.len()).then_some(())
}

/// Puts what was read into its place, and gives on where it ended.
fn set<P: From<T>, T>(place: &mut P, (value, end): (T, usize)) -> Option<usize> {
    *place = value.into();
    Some(end)
}

/// An entry's text. Whatever reads a part of it is told where that begins, and says where it ends: a place that is
/// handed on stays in a register, and most of the time that this takes is spent waiting for the next place.
#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// The byte at a place. Behind the last one it is 0, which is allowed nowhere.
    fn byte(self, at: usize) -> u8 {
        self.0.as_bytes().get(at).copied().unwrap_or(0)
    }

    fn word(self, at: usize, word: &str) -> Option<usize> {
        self.0.as_bytes().get(at..)?.starts_with(word.as_bytes()).then_some(at + word.len())
    }

    /// The members of an object, sorted by their names, which are of ASCII and have no escapes.
    #[inline]
    fn members(self, at: usize, mut each: impl FnMut(&'a [u8], usize) -> Option<usize>) -> Option<usize> {
        match (self.byte(at), self.byte(at + 1)) {
            (b'{', b'}') => return Some(at + 2),
            (b'{', _) => {}
            _ => return None,
        }
        let mut last: Option<&[u8]> = None;
        let mut at = at + 1;
        loop {
            let end = string::name_end(self.0.as_bytes(), at + 1);
            if (self.byte(at), self.byte(end), self.byte(end + 1)) != (b'"', b'"', b':') {
                return None;
            }
            let name = self.0.as_bytes().get(at + 1..end)?;
            if last.is_some_and(|last| string::order(last, name).is_ge()) {
                return None;
            }
            at = each(name, end + 2)?;
            match self.byte(at) {
                b',' => at += 1,
                b'}' => return Some(at + 1),
                _ => return None,
            }
            last = Some(name);
        }
    }

    /// A string without escapes.
    #[inline]
    fn string(self, at: usize) -> Option<(Cow<'a, str>, usize)> {
        let end = string::end(self.0.as_bytes(), at + 1);
        let quoted = (self.byte(at), self.byte(end)) == (b'"', b'"');
        quoted.then_some((Cow::Borrowed(self.0.get(at + 1..end)?), end + 1))
    }

    fn time(self, at: usize) -> Option<(Time<'a>, usize)> {
        let (text, end) = self.string(at)?;
        Some((Time::new(text)?, end))
    }

    /// A whole number that is not negative. Fractions have more forms than the canonical one, and what is too large is
    /// one for serde_json.
    #[inline]
    fn count(self, at: usize) -> Option<(u64, usize)> {
        let (mut number, mut end) = (0_u64, at);
        while let digit @ b'0'..=b'9' = self.byte(end) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            end += 1;
        }
        let fits = matches!(end - at, 1..=DIGITS_MAX) && (self.byte(at) != b'0' || end - at == 1);
        (fits && !matches!(self.byte(end), b'.' | b'e' | b'E')).then_some((number, end))
    }

    fn truth(self, at: usize) -> Option<(bool, usize)> {
        match self.byte(at) {
            b't' => Some((true, self.word(at, "true")?)),
            _ => Some((false, self.word(at, "false")?)),
        }
    }

    fn scope(self, at: usize) -> Option<(Scope, usize)> {
        let (word, end) = self.string(at)?;
        match word.as_ref() {
            "once" => Some((Scope::Once, end)),
            "session" => Some((Scope::Session, end)),
            _ => None,
        }
    }

    fn action(self, at: usize) -> Option<(Action<'a>, usize)> {
        let mut action = Action::default();
        let end = self.members(at, |name, at| match name {
            b"tool" => self.members(at, |name, at| match name {
                b"server" => set(&mut action.tool.server, self.string(at)?),
                _ => self.pass(at, 2),
            }),
            _ => self.pass(at, 1),
        })?;
        Some((action, end))
    }

    fn decision(self, at: usize) -> Option<(Decision, usize)> {
        let mut decision = Decision::default();
        let end = self.members(at, |name, at| match name {
            b"effect" => set(&mut decision.effect, self.effect(at)?),
            _ => self.pass(at, 1),
        })?;
        Some((decision, end))
    }

    fn effect(self, at: usize) -> Option<(Effect, usize)> {
        let mut word = None;
        let end = match self.byte(at) {
            b'{' => self.members(at, |name, at| match name {
                b"effect" => set(&mut word, self.string(at)?),
                _ => self.pass(at, 2),
            }),
            _ => set(&mut word, self.string(at)?),
        }?;
        let word: Cow<'_, str> = word?;
        Some((Effect { permits: word == "permit", is_there: true }, end))
    }

    fn payload(self, at: usize) -> Option<(Payload<'a>, usize)> {
        let (mut payload, mut heads) = (Payload::default(), 0);
        let end = self.members(at, |name, at| match name {
            b"digest" => set(&mut payload.digest, self.string(at)?).inspect(|_| heads += 1),
            b"subject" => set(&mut payload.subject, self.string(at)?).inspect(|_| heads += 1),
            b"size_bytes" => set(&mut payload.size_bytes, self.count(at)?).inspect(|_| heads += 1),
            b"segment" => set(&mut payload.segment, self.count(at)?),
            _ => self.pass(at, 1),
        })?;
        (heads == PAYLOAD_HEADS).then_some((payload, end))
    }

    fn details(self, at: usize) -> Option<(Details<'a>, usize)> {
        let mut details = Details::default();
        let end = self.members(at, |name, at| match name {
            b"key" => set(&mut details.key, self.string(at)?),
            b"from" => set(&mut details.from, self.string(at)?),
            b"witness" => set(&mut details.witness, self.string(at)?),
            b"calls" => set(&mut details.calls, self.count(at)?),
            b"sent" => set(&mut details.sent, self.count(at)?),
            _ => self.pass(at, 1),
        })?;
        Some((details, end))
    }

    /// Any value, which must be JSON.
    fn pass(self, at: usize, depth: u32) -> Option<usize> {
        match self.byte(at) {
            b'"' => self.pass_string(at + 1),
            b'0'..=b'9' => Some(self.count(at)?.1),
            b'{' if depth < DEPTH_MAX => self.members(at, |_, at| self.pass(at, depth + 1)),
            b'[' if depth < DEPTH_MAX => self.pass_array(at + 1, depth + 1),
            b't' => self.word(at, "true"),
            b'f' => self.word(at, "false"),
            b'n' => self.word(at, "null"),
            // Zero has no sign.
            b'-' if self.byte(at + 1) != b'0' => Some(self.count(at + 1)?.1),
            _ => None,
        }
    }

    /// The rest of an array.
    fn pass_array(self, mut at: usize, depth: u32) -> Option<usize> {
        if self.byte(at) == b']' {
            return Some(at + 1);
        }
        loop {
            at = self.pass(at, depth)?;
            match self.byte(at) {
                b',' => at += 1,
                b']' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// The rest of a string.
    #[inline]
    fn pass_string(self, mut at: usize) -> Option<usize> {
        loop {
            at = string::end(self.0.as_bytes(), at);
            match (self.byte(at), self.byte(at + 1)) {
                (b'"', _) => return Some(at + 1),
                // Ours are these and control characters; the others are rare enough for serde_json.
                (b'\\', b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => at += 2,
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::canonical;

    /// Whatever `scan` answers, serde_json answers the same, of bytes that are canonical.
    fn agrees(bytes: &[u8]) -> bool {
        let mut scanned = Brief::default();
        if scan(bytes, &mut scanned).is_none() {
            return false;
        }
        let parsed = serde_json::from_slice::<Brief<'_>>(bytes);
        assert_eq!(parsed.ok(), Some(scanned), "{}", String::from_utf8_lossy(bytes));
        let made = serde_json::from_slice::<Value>(bytes).and_then(|value| canonical::to_vec(&value)).unwrap();
        assert!(made == bytes, "{} is not {}", String::from_utf8_lossy(bytes), String::from_utf8_lossy(&made));
        true
    }

    fn entries() -> Vec<Value> {
        let time = "2026-01-02T03:04:05.123456789Z";
        let payload = json!({"digest": "ab", "subject": "alice", "size_bytes": 3, "segment": 2});
        let action = json!({"tool": {"server": "files", "name": "read"}, "door": "mcp",
            "arguments": {"a": [1, -2, true, false, null, {}, [], "a\"\\\nö😀\t"]}});
        vec![
            json!({"v": 1, "time": time, "kind": "intent", "action": action, "now": time, "session": "s",
                "decision": {"effect": {"effect": "permit"}, "reasons": []}, "sequence": 7, "uses": 3, "payload": payload}),
            json!({"v": 1, "time": time, "kind": "intent", "action": {}, "decision": {"effect": "permit"}}),
            json!({"v": 1, "time": time, "kind": "intent", "decision": {"effect": {"effect": "ask", "groups": ["x"]}}}),
            json!({"v": 1, "time": time, "kind": "outcome", "intent": 4, "status": "ok", "upstream": 1, "labels": {},
                "duration_us": 12, "size_bytes": 3, "payload": payload}),
            json!({"v": 1, "time": time, "kind": "asked", "intent": 4, "binding": "b", "groups": [], "expires": time, "summary": "?"}),
            json!({"v": 1, "time": time, "kind": "answered", "ask": 5, "approved": true, "scope": "once", "binding": "b"}),
            json!({"v": 1, "time": time, "kind": "answered", "ask": 5, "approved": false, "scope": "session"}),
            json!({"v": 1, "time": time, "kind": "log", "event": "drained", "details": {"calls": 3, "sent": 2, "more": [1]}}),
            json!({"v": 1, "time": time, "kind": "log", "event": "erased", "details": {"key": "00", "from": "x", "subject": "alice"}}),
            json!({"v": 1, "time": time, "kind": "log", "event": "contradicted", "details": {"size": 39, "witness": "w"}}),
        ]
    }

    #[test]
    fn entries_as_we_write_them_are_scanned() {
        for entry in entries() {
            assert!(agrees(&canonical::to_vec(&entry).unwrap()), "{entry}");
        }
    }

    #[test]
    fn what_makes_up_most_of_a_log_is_seen_to_be_whole() {
        let time = "2026-01-02T03:04:05Z";
        let intent = json!({"v": 1, "time": time, "kind": "intent", "now": time, "session": "s", "sequence": 1, "snapshot": "p",
            "action": {"tool": {"server": "files"}}, "decision": {"effect": {"effect": "deny"}}});
        let outcome = json!({"v": 1, "time": time, "kind": "outcome", "intent": 4, "status": "timed_out",
            "duration_us": 1, "size_bytes": 0});
        let is_whole = |entry: &Value| Brief::read(&canonical::to_vec(entry).unwrap()).unwrap().is_whole();
        for entry in [intent, outcome.clone()] {
            assert!(is_whole(&entry), "{entry}");
            for name in entry.as_object().unwrap().keys().filter(|name| !matches!(name.as_str(), "v" | "time" | "kind"))
            {
                let mut less = entry.clone();
                less.as_object_mut().unwrap().remove(name);
                assert!(!is_whole(&less), "{less}");
            }
        }
        let mut bent = outcome;
        bent["status"] = json!("fine");
        assert!(!is_whole(&bent));
    }

    #[test]
    fn what_is_not_canonical_is_no_entry() {
        let entry = |x: &str| format!(r#"{{"kind":"log","time":"2026-01-02T03:04:05Z","v":1,"x":{x}}}"#);
        for x in [
            r#"{"a":1,"b":2}"#,
            r#"{"":0,"a":{},"ab":[],"b":null}"#,
            r#"{"ö":1,"€":2}"#,
            "1.5",
            "-0.25",
            "1e+30",
            "0.30000000000000004",
            "5e-324",
            "2.2250738585072014e-308",
            "9007199254740993",
            "18446744073709551615",
            "-9223372036854775808",
            r#""\u001f""#,
            r#"{"a\"b":1}"#,
            r#"["1.50",1.5]"#,
        ] {
            let made = Brief::read(entry(x).as_bytes()).map(|brief| brief.kind.into_owned());
            assert_eq!(made.ok().as_deref(), Some("log"), "{x}");
        }
        for x in [
            r#"{"b":2,"a":1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":2,"b":2}}"#,
            r#"[{"b":1,"a":2}]"#,
            r#"{"ö":1,"a":2}"#,
            r#"{"ab":1,"a":2}"#,
            "1.0",
            "1.50",
            "-0",
            "-0.0",
            "1e30",
            "1E+30",
            "10e1",
            r#""\u0061""#,
            r#""\/""#,
            " 1",
            "1 ",
            r#"["1.50", 1.5]"#,
            "123456789012345678901234567890",
        ] {
            assert!(Brief::read(entry(x).as_bytes()).is_err(), "{x}");
        }
        let raw = |text: &str| Brief::read(text.as_bytes()).is_err();
        assert!(raw(r#"{"kind":"log","time":"2026-01-02T03:04:05Z","v":1,"v":1}"#));
        assert!(raw(r#"{"v":1,"time":"2026-01-02T03:04:05Z","kind":"log"}"#));
        assert!(raw(r#"{"kind":"log","time":"yesterday","v":1}"#) && raw(r#"{"kind":"log","v":1}"#));
        assert!(raw(r#"{"kind":"log","time":"2026-01-02T03:04:05Z"}"#));
    }

    #[test]
    fn agrees_with_serde_json_on_every_changed_byte() {
        for entry in entries() {
            let whole = canonical::to_vec(&entry).unwrap();
            for place in 0..whole.len() {
                for byte in [
                    b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b' ', b'0', b'9', b'-', b'e', b'u', 0, 0x1f, 0x80,
                    0xff,
                ] {
                    let mut bent = whole.clone();
                    bent[place] = byte;
                    agrees(&bent);
                }
                let mut shorter = whole.clone();
                shorter.remove(place);
                agrees(&shorter);
                agrees(&whole[..place]);
                agrees(&[&whole[..place], &whole[place.saturating_sub(3)..]].concat());
            }
        }
    }

    #[test]
    fn a_time_is_one_for_both() {
        for text in [
            "2026-02-28T23:59:59Z",
            "2026-02-30T00:00:00Z",
            "2024-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "9999-12-28T23:59:59Z",
            "2026-01-01T00:00:00+01:00",
            "2026-1-01T00:00:00Z",
            "",
            "Z",
        ] {
            let head = "2026-01-02T03:04:05Z";
            let bytes = canonical::to_vec(&json!({"kind": "intent", "now": text, "time": head, "v": 1})).unwrap();
            let parsed = text.parse::<Timestamp>();
            assert_eq!(agrees(&bytes), parsed.is_ok(), "{text}");
            assert_eq!(Brief::read(&bytes).ok().and_then(|brief| brief.now?.get()), parsed.ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in r#"[\{\}\[\]",:\\ a0-9eE+.utrfn\-]{0,40}"#) {
            let head = r#""time":"2026-01-02T03:04:05Z","v":1"#;
            agrees(format!(r#"{{"action":{{"tool":{text}}},"kind":"intent",{head}}}"#).as_bytes());
            agrees(format!(r#"{{"kind":"intent",{head},"x":{text}}}"#).as_bytes());
            agrees(format!(r#"{{"kind":"{text}",{head}}}"#).as_bytes());
        }

        #[test]
        fn values_are_scanned_as_they_are_written(value in values(), place: u16, byte: u8) {
            let entry = json!({"v": 1, "time": "2026-01-02T03:04:05Z", "kind": "log", "details": {"x": value}});
            let mut whole = canonical::to_vec(&entry).unwrap();
            prop_assert!(agrees(&whole), "{entry}");
            let place = usize::from(place) % whole.len();
            whole[place] = byte;
            agrees(&whole);
            whole.remove(place);
            agrees(&whole);
        }
    }

    /// What `scan` has an answer for, of any depth and form.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-(10_i64.pow(17))..10_i64.pow(18)).prop_map(Value::from),
            r#"[a-zö€😀"\\\n\t \[\]\{\},:0-9]{0,40}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::btree_map("[ -!#-\\[\\]-~]{0,20}", inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn what_is_deeper_than_anybody_reads_is_no_entry() {
        let entry = |depth: usize| {
            let (open, close) = ([r#"{"a":["#].repeat(depth).concat(), ["]}"].repeat(depth).concat());
            format!(r#"{{"kind":"log","time":"2026-01-02T03:04:05Z","v":1,"x":{open}{close}}}"#)
        };
        assert!(agrees(entry(49).as_bytes()) && !agrees(entry(51).as_bytes()));
        assert!(Brief::read(entry(60).as_bytes()).is_ok() && Brief::read(entry(70).as_bytes()).is_err());
        assert!(Brief::read(entry(20_000).as_bytes()).is_err());
    }
}

//! JSON read strictly: where two parsers could differ, it is refused. And the few edits that keep every other byte.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{DEPTH_MAX, Malformed, SIZE_MAX_BYTES};

/// Reads chosen keys of a JSON object strictly; other keys pass unread.
pub(crate) fn fields<'a, const N: usize>(
    text: &'a str,
    names: &[&'static str; N],
) -> Result<[Option<&'a RawValue>; N], Malformed> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut fault = None;
    let found = Fields { names, fault: &mut fault }.deserialize(&mut deserializer);
    let found = found.and_then(|found| deserializer.end().map(|()| found));
    found.map_err(|error| fault.unwrap_or_else(|| not_json(error)))
}

/// Reads a JSON value of which no object, at any depth, has a key twice.
pub(crate) fn strict_value(text: &str) -> Result<Value, Malformed> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut fault = None;
    let value = Strict { fault: &mut fault }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| fault.unwrap_or_else(|| not_json(error)))
}

/// Puts a member into an object; into anything else nothing is put.
pub(crate) fn put(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value.into());
    }
}

/// The message with the value at a path of keys replaced; `None` if nothing is there.
pub(crate) fn replaced(raw: &Bytes, path: &[&'static str], with: &str) -> Option<Bytes> {
    let text = std::str::from_utf8(raw).ok()?;
    let mut span = 0..text.len();
    for name in path {
        let [found] = fields(text.get(span)?, &[*name]).ok()?;
        span = span_in(text, found?);
    }
    Some(Bytes::from([text.get(..span.start)?, with, text.get(span.end..)?].concat()))
}

/// The members of an object in their order, each value as it stands. A name that is there twice is there twice.
pub(crate) fn members(text: &str) -> Result<Vec<(String, &RawValue)>, Malformed> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let found = deserializer.deserialize_map(Members);
    found.and_then(|found| deserializer.end().map(|()| found)).map_err(not_json)
}

/// The JSON text with a member of the object at a path of keys set, or taken away: of that object every other value
/// keeps its bytes, and of the rest every byte. A member whose name differs only in case goes, too. `None` if there is
/// no such object.
pub(crate) fn with_member(text: &str, path: &[&'static str], (name, value): (&str, Option<&str>)) -> Option<String> {
    let mut span = 0..text.len();
    for step in path {
        let part = text.get(span)?;
        let [found] = fields(part, &[*step]).ok()?;
        span = span_in(text, found?);
    }
    let kept = members(text.get(span.clone())?).ok()?;
    let kept = kept.iter().filter(|(key, _)| !key.eq_ignore_ascii_case(name));
    let one = |key: &str, value: &str| format!("{}:{value}", Value::from(key));
    let mut all: Vec<String> = kept.map(|(key, value)| one(key, value.get())).collect();
    all.extend(value.map(|value| one(name, value)));
    Some([text.get(..span.start)?, "{", &all.join(","), "}", text.get(span.end..)?].concat())
}

/// The string at a path of keys.
pub(crate) fn at(raw: &Bytes, path: &[&'static str]) -> Option<String> {
    let mut text = std::str::from_utf8(raw).ok()?;
    for name in path {
        let [found] = fields(text, &[*name]).ok()?;
        text = found?.get();
    }
    serde_json::from_str(text).ok()
}

pub(super) fn not_json(error: serde_json::Error) -> Malformed {
    Malformed::NotJson(error.to_string())
}

/// Where `part`, which was borrowed from `text`, lies in it.
pub(crate) fn span_in(text: &str, part: &RawValue) -> Range<usize> {
    let start = (part.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.get().len()
}

/// A message that every parser reads, with the bytes it came in. Half of a surrogate pair, which some programs write where
/// they cut a text and which others refuse, becomes U+FFFD; a number that is no double is refused. INVARIANT: what is
/// answered here `serde_json` reads as a [`Value`], so that no part of it goes on unseen.
pub(super) fn readable(raw: Bytes) -> Result<Bytes, Malformed> {
    let Err(error) = serde_json::from_str::<Sound>(checked(&raw)?) else { return Ok(raw) };
    let mended = without_lone_surrogates(&raw);
    match serde_json::from_slice::<Sound>(&mended) {
        Ok(Sound) => Ok(Bytes::from(mended)),
        Err(_) => Err(not_json(error)),
    }
}

/// JSON with each half of a surrogate pair that stands alone exchanged for U+FFFD, which is written as long.
fn without_lone_surrogates(raw: &[u8]) -> Vec<u8> {
    let unit = |at: usize| {
        let digits = raw.get(at..)?.strip_prefix(br"\u")?.get(..4)?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut mended = raw.to_vec();
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        at += match (byte, unit(at)) {
            (b'\\', Some(0xd800..0xdc00)) if matches!(unit(at + 6), Some(0xdc00..0xe000)) => 12,
            (b'\\', Some(0xd800..0xe000)) => {
                if let Some(digits) = mended.get_mut(at + 2..at + 6) {
                    digits.copy_from_slice(b"fffd");
                }
                6
            }
            (b'\\', _) => 2,
            _ => 1,
        };
    }
    mended
}

/// Any JSON value that can be read, of which nothing is kept.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Sound {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// The text of a message of bearable size and depth.
fn checked(raw: &Bytes) -> Result<&str, Malformed> {
    if raw.len() > SIZE_MAX_BYTES {
        return Err(Malformed::TooLarge { size: raw.len() });
    }
    let text = std::str::from_utf8(raw).map_err(|error| Malformed::NotJson(error.to_string()))?;
    if depth(raw) > DEPTH_MAX { Err(Malformed::TooDeep) } else { Ok(text) }
}

/// The deepest nesting, counted without recursion.
fn depth(raw: &[u8]) -> usize {
    let (mut now, mut deepest, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in raw {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

struct Fields<'n, const N: usize> {
    names: &'n [&'static str; N],
    fault: &'n mut Option<Malformed>,
}

impl<'de, const N: usize> DeserializeSeed<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(place) = map.next_key_seed(Place { names: self.names, fault: &mut *self.fault })? {
            let value: &'de RawValue = map.next_value()?;
            let Some((slot, name)) = place.and_then(|at| found.get_mut(at).zip(self.names.get(at))) else { continue };
            if slot.replace(value).is_some() {
                *self.fault = Some(Malformed::DuplicateKey((*name).to_owned()));
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(found)
    }
}

/// Finds a key among the known ones.
struct Place<'n, const N: usize> {
    names: &'n [&'static str; N],
    fault: &'n mut Option<Malformed>,
}

impl<'de, const N: usize> DeserializeSeed<'de> for Place<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for Place<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        let Some(at) = self.names.iter().position(|name| name.eq_ignore_ascii_case(key)) else { return Ok(None) };
        if self.names.get(at) == Some(&key) {
            return Ok(Some(at));
        }
        *self.fault = Some(Malformed::AmbiguousKey(key.to_owned()));
        Err(E::custom("ambiguous key"))
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

struct Strict<'f> {
    fault: &'f mut Option<Malformed>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Strict { fault: &mut *self.fault })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Strict { fault: &mut *self.fault })?;
            if object.contains_key(&key) {
                *self.fault = Some(Malformed::DuplicateKey(key));
                return Err(A::Error::custom("duplicate key"));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

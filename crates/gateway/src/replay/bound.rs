//! The arguments of a recorded call, as the text that an ask binds. Pure.
//!
//! What serde_json reads of a fraction may be off by the last bit, and is then written as another text than was digested when
//! the person was asked. So here the recorded text itself is brought into canonical form, number by number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    action: Action<'a>,
}

#[derive(Deserialize)]
struct Action<'a> {
    #[serde(borrow)]
    arguments: &'a RawValue,
}

/// Those of an intent's entry.
pub(super) fn of_entry(bytes: &[u8]) -> Option<String> {
    let entry: Entry<'_> = serde_json::from_slice(bytes).ok()?;
    canonical(entry.action.arguments)
}

/// Those of an action that is a payload.
pub(super) fn of_action(bytes: &[u8]) -> Option<String> {
    let action: Action<'_> = serde_json::from_slice(bytes).ok()?;
    canonical(action.arguments)
}

fn canonical(raw: &RawValue) -> Option<String> {
    let mut text = String::with_capacity(raw.get().len());
    write(raw, &mut text)?;
    Some(text)
}

/// INVARIANT: no deeper than what serde_json reads whole, which whoever judges the action has done before.
fn write(raw: &RawValue, text: &mut String) -> Option<()> {
    match raw.get().as_bytes() {
        [b'{', ..] => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).ok()?;
            let mut members: Vec<_> = members.into_iter().collect();
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                text.push_str(if place > 0 { "," } else { "" });
                put(&name, text)?;
                text.push(':');
                write(value, text)?;
            }
            text.push('}');
        }
        [b'[', ..] => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
            text.push('[');
            for (place, value) in items.into_iter().enumerate() {
                text.push_str(if place > 0 { "," } else { "" });
                write(value, text)?;
            }
            text.push(']');
        }
        [b'-' | b'0'..=b'9', rest @ ..] if rest.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => {
            put(&raw.get().parse::<f64>().ok()?, text)?;
        }
        _ => put(&serde_json::from_str::<Value>(raw.get()).ok()?, text)?,
    }
    Some(())
}

fn put(value: &(impl Serialize + ?Sized), text: &mut String) -> Option<()> {
    text.push_str(&String::from_utf8(ledger::canonical::to_vec(value).ok()?).ok()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_arguments_is_canonical_to_the_last_bit() {
        let action = |arguments: &str| format!(r#"{{"arguments": {arguments}, "tool": 1}}"#);
        for (written, canonical) in [
            (
                r#"{"b": [1, -2, "é\n\u0041"], "a": {"z": null, "": true}}"#,
                r#"{"a":{"":true,"z":null},"b":[1,-2,"é\nA"]}"#,
            ),
            ("{\"\u{fb33}\": 1, \"\u{1f600}\": 2}", "{\"\u{1f600}\":2,\"\u{fb33}\":1}"),
            (r#"{"n": 9007199254740993}"#, r#"{"n":9007199254740993}"#),
            (r#"{"n": [1.0, 1e21, -0.0, 1E-7]}"#, r#"{"n":[1,1e+21,0,1e-7]}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(of_action(action(written).as_bytes()).as_deref(), Some(canonical), "{written}");
        }
        // Seventeen digits, of which serde_json may read a neighbour.
        for number in ["0.30000000000000004", "7.0420557077594588e-2", "3.7455744005952583e15", "9.5367431640625e-7"] {
            let exact = number.parse::<f64>().unwrap_or_default();
            let text = of_action(action(&format!("[{number}]")).as_bytes()).unwrap_or_default();
            let read = text.trim_matches(['[', ']']).parse::<f64>().unwrap_or_default();
            assert_eq!(read.to_bits(), exact.to_bits(), "{text}");
        }
        assert_eq!(of_entry(format!(r#"{{"action":{},"v":1}}"#, action("[2]")).as_bytes()).as_deref(), Some("[2]"));
        assert_eq!(of_action(b"{}"), None);
    }
}

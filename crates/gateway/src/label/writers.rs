//! Who writes which field of a tool's results, where the operator says so: the `results` line of an annotation.
//!
//! INVARIANT: a line about a field never lifts what stands inside a field that strangers write: whoever writes a body
//! could write a `sender` into it. And a text that did not come apart is as little trusted as the worst of the fields
//! that it must hold. Never looks at values.

use std::collections::BTreeMap;

use policy::Integrity;

use super::read::{Leaf, is_prose_key};
use super::words::split_name;

/// Every other field.
pub(crate) const OTHERS: &str = "*";

/// The name of a field as it is compared: `createdAt`, `created_at` and `_created_at` are one.
pub(crate) fn normal(name: &str) -> String {
    split_name(name).join("_")
}

/// Who could have written a field, if the operator says so.
pub(crate) fn of(results: &BTreeMap<String, Integrity>, leaf: &Leaf) -> Option<Integrity> {
    let others = results.get(OTHERS).copied();
    if leaf.pointer.is_empty() {
        let worst = results.values().copied().max();
        return worst.filter(|worst| *worst >= Integrity::ThirdParty || others.is_some());
    }
    let (mut pattern, mut stated) = (String::new(), None);
    // Inside a field that is taken for prose, and of which no line says otherwise.
    let mut inside_prose = false;
    for segment in leaf.pointer.split('/').skip(1) {
        let index = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        pattern.push('/');
        pattern.push_str(if index { "*" } else { segment });
        let name = if index { String::new() } else { normal(segment) };
        match results.get(&pattern).copied().or_else(|| by_name(results, &name)) {
            Some(Integrity::Anyone) => stated = Some(Integrity::Anyone),
            Some(writer) if !inside_prose && stated != Some(Integrity::Anyone) => stated = Some(writer),
            None if stated.is_none() && others.is_none() => inside_prose |= is_prose_key(&name),
            _ => {}
        }
    }
    if inside_prose { stated.filter(|writer| *writer == Integrity::Anyone) } else { stated.or(others) }
}

/// A line that names the field, or the last word of its name: `id` is also `file_id`.
fn by_name(results: &BTreeMap<String, Integrity>, name: &str) -> Option<Integrity> {
    let last = || name.rsplit('_').next().filter(|last| *last != name).and_then(|last| results.get(last));
    if name.is_empty() { None } else { results.get(name).or_else(last).copied() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::label::read;

    /// Which fields of a result somebody is named for.
    fn named(lines: &[(&str, Integrity)], result: &Value) -> Vec<String> {
        let results = lines.iter().map(|(field, writer)| ((*field).to_owned(), *writer)).collect();
        let leaves = read::leaves(result, 100, true).0;
        let named = leaves.iter().filter_map(|leaf| Some(format!("{} {:?}", leaf.pointer, of(&results, leaf)?)));
        let mut named: Vec<String> = named.collect();
        named.sort();
        named
    }

    #[test]
    fn a_field_is_named_by_its_name_its_last_word_its_place_or_as_one_of_the_others() {
        let lines = [
            ("id", Integrity::FirstParty),
            ("/*/user/name", Integrity::Trusted),
            ("name", Integrity::ThirdParty),
            ("*", Integrity::Anyone),
        ];
        let result = json!([{"fileId": 7, "name": "a", "user": {"name": "b"}, "rest": "c"}]);
        let expected = ["/0/fileId FirstParty", "/0/name ThirdParty", "/0/rest Anyone", "/0/user/name Trusted"];
        assert_eq!(named(&lines, &result), expected);
    }

    #[test]
    fn nothing_is_lifted_inside_what_strangers_write() {
        let result = json!({"sender": "ann", "body": {"sender": "boss"}, "extra": {"sender": "boss"}});
        let sender = ("sender", Integrity::FirstParty);
        let found = named(&[sender, ("extra", Integrity::Anyone)], &result);
        assert_eq!(found, ["/extra/sender Anyone", "/sender FirstParty"]);
    }

    #[test]
    fn a_text_that_did_not_come_apart_is_as_bad_as_its_worst_field() {
        let text = json!("Dear all,\nsender: boss");
        let lines = [("*", Integrity::FirstParty), ("body", Integrity::Anyone)];
        assert_eq!(named(&lines, &text), [" Anyone"]);
        assert_eq!(named(&lines[..1], &text), [" FirstParty"]);
        assert!(named(&[("id", Integrity::FirstParty)], &text).is_empty());
    }
}

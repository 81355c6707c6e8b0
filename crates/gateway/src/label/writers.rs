//! Who writes which field of a tool's results and who may read it, where the operator says so: the `results` line of
//! an annotation.
//!
//! INVARIANT: a line about a field never lifts what stands inside a field that strangers write: whoever writes a body
//! could write a `sender` into it. And a text that did not come apart is as little trusted as the worst of the fields
//! that it must hold. What is said of a field holds for all that stands in it. Never looks at values.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Confidentiality, DataClass, FieldFacts, Integrity};

use super::read::{Leaf, is_prose_key};
use super::words::split_name;

/// Every other field.
pub(crate) const OTHERS: &str = "*";

/// The name of a field as it is compared: `createdAt`, `created_at` and `_created_at` are one.
pub(crate) fn normal(name: &str) -> String {
    split_name(name).join("_")
}

/// Who could have written a field, if the operator says so.
pub(crate) fn of(results: &BTreeMap<String, FieldFacts>, leaf: &Leaf) -> Option<Integrity> {
    let others = results.get(OTHERS).and_then(|facts| facts.writer);
    if leaf.pointer.is_empty() {
        let worst = results.values().filter_map(|facts| facts.writer).max();
        return worst.filter(|worst| *worst >= Integrity::ThirdParty || others.is_some());
    }
    let (mut pattern, mut stated) = (String::new(), None);
    // Inside a field that is taken for prose, and of which no line says otherwise.
    let mut inside_prose = false;
    for segment in leaf.pointer.split('/').skip(1) {
        let name = step(&mut pattern, segment);
        match lines(results, &pattern, &name).find_map(|facts| facts.writer) {
            Some(Integrity::Anyone) => stated = Some(Integrity::Anyone),
            Some(writer) if !inside_prose && stated != Some(Integrity::Anyone) => stated = Some(writer),
            None if stated.is_none() && others.is_none() => inside_prose |= is_prose_key(&name),
            _ => {}
        }
    }
    if inside_prose { stated.filter(|writer| *writer == Integrity::Anyone) } else { stated.or(others) }
}

/// Who may read a field and which classes of data it holds, if the operator says so: the join of all that is said of it
/// and of what it stands in.
pub(crate) fn readers(
    results: &BTreeMap<String, FieldFacts>,
    leaf: &Leaf,
) -> (Option<Confidentiality>, BTreeSet<DataClass>) {
    let (mut said, mut classes): (Option<Confidentiality>, BTreeSet<DataClass>) = Default::default();
    let mut take = |facts: &FieldFacts| {
        said = said.max(facts.confidentiality);
        classes.extend(facts.classes.iter().copied());
        facts.confidentiality.is_some() || !facts.classes.is_empty()
    };
    if leaf.pointer.is_empty() {
        for facts in results.values() {
            take(facts);
        }
        return (said, classes);
    }
    let (mut pattern, mut is_named) = (String::new(), false);
    for segment in leaf.pointer.split('/').skip(1) {
        let name = step(&mut pattern, segment);
        is_named |= lines(results, &pattern, &name).any(&mut take);
    }
    if let Some(others) = results.get(OTHERS).filter(|_| !is_named) {
        take(others);
    }
    (said, classes)
}

/// Goes one step down a pointer: the pattern grows, and the name of the step is answered, empty for an index.
fn step(pattern: &mut String, segment: &str) -> String {
    let index = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    pattern.push('/');
    pattern.push_str(if index { "*" } else { segment });
    if index { String::new() } else { normal(segment) }
}

/// The lines about a field: by its place, by its name, by the last word of its name (`id` is also `file_id`).
fn lines<'a>(
    results: &'a BTreeMap<String, FieldFacts>,
    pattern: &str,
    name: &str,
) -> impl Iterator<Item = &'a FieldFacts> {
    let last = name.rsplit('_').next().filter(|last| *last != name).and_then(|last| results.get(last));
    let named = if name.is_empty() { [None, None] } else { [results.get(name), last] };
    results.get(pattern).into_iter().chain(named.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::label::read;

    /// Which fields of a result somebody is named for.
    fn named(lines: &[(&str, Integrity)], result: &Value) -> Vec<String> {
        let results = lines.iter().map(|(field, writer)| ((*field).to_owned(), FieldFacts::from(*writer))).collect();
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

    #[test]
    fn who_may_read_a_field_holds_for_all_that_stands_in_it() {
        let facts = |confidentiality, classes: &[DataClass]| FieldFacts {
            writer: None,
            confidentiality,
            classes: classes.iter().copied().collect(),
        };
        let results = BTreeMap::from([
            ("salary".to_owned(), facts(Some(Confidentiality::Confidential), &[DataClass::Personal])),
            ("*".to_owned(), facts(Some(Confidentiality::Public), &[])),
        ]);
        let leaves = read::leaves(&json!([{"salary": {"net": "9", "code": 1}, "name": "a"}]), 100, true).0;
        let of = |pointer: &str| readers(&results, leaves.iter().find(|leaf| leaf.pointer == pointer).unwrap());
        let personal = BTreeSet::from([DataClass::Personal]);
        assert_eq!(of("/0/salary/net"), (Some(Confidentiality::Confidential), personal.clone()));
        assert_eq!(of("/0/name"), (Some(Confidentiality::Public), BTreeSet::new()));
        // A text that did not come apart may hold all of them.
        let text = read::leaves(&json!("salary: 9 and more of it"), 100, true).0;
        assert_eq!(readers(&results, &text[0]), (Some(Confidentiality::Confidential), personal));
        assert_eq!(of_writer(&results), None, "nothing is said of who writes it");
    }

    fn of_writer(results: &BTreeMap<String, FieldFacts>) -> Option<Integrity> {
        of(results, &read::leaves(&json!([{"salary": 1}]), 10, true).0[0])
    }
}

//! Labels that another gateway tells: of the arguments of a call that it sends, of the fields of a result that it gives
//! back.
//!
//! INVARIANT: joined to what this gateway infers itself, never in its place, so that nobody's word makes a value better.
//! Only where the operator says that a gateway lifts does its user count as ours. Never looks at values.

use std::collections::{BTreeMap, BTreeSet};

use policy::{ArgumentLabel, Choice, Confidentiality, DataClass, Integrity, Label, Labels, Origin, Request, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::apart::Text;
use super::index::{Field, Place, Pointed};
use super::read::{Leaf, Part};
use super::source::{Judged, Recalled};
use super::{Session, trace};

/// What is said of one value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    pub(crate) integrity: Integrity,
    pub(crate) confidentiality: Confidentiality,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) classes: BTreeSet<DataClass>,
    /// Who chose it; of arguments only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) choice: Option<Choice>,
    /// Whether somebody can write what he likes there; of fields only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) prose: bool,
    /// Digests of where it came from, which the teller alone can match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) origins: Vec<String>,
}

impl Said {
    /// The join of two.
    pub(crate) fn join(mut self, other: &Said) -> Said {
        self.integrity = self.integrity.max(other.integrity);
        self.confidentiality = self.confidentiality.max(other.confidentiality);
        self.classes.extend(other.classes.iter().copied());
        self.choice = self.choice.max(other.choice);
        self.prose |= other.prose;
        self.origins.truncate(0);
        self
    }

    /// Of one argument.
    pub(crate) fn of_argument(label: &ArgumentLabel, digest: impl Fn(&Origin) -> Option<String>) -> Said {
        Said {
            integrity: label.label.integrity,
            confidentiality: label.label.confidentiality,
            classes: label.label.classes.clone(),
            choice: Some(label.choice),
            prose: false,
            origins: label.label.origins.iter().filter_map(digest).collect(),
        }
    }

    fn of_field(field: &Field) -> Said {
        Said {
            integrity: field.integrity,
            confidentiality: field.confidentiality,
            classes: field.classes.clone(),
            choice: None,
            prose: field.prose,
            origins: Vec::new(),
        }
    }

    /// Whether it was chosen by text that others wrote.
    fn is_others(&self) -> bool {
        self.choice == Some(Choice::Untrusted)
    }
}

/// All that one gateway says of one call or result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    /// By JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) values: BTreeMap<String, Said>,
    /// Of all other values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rest: Option<Said>,
    /// Arguments that carry a link which others chose.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) links: BTreeSet<String>,
    /// Whether the user there asked for it; of calls only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<Request>,
}

impl Told {
    /// What is said of a value: of itself, else of the nearest value that it stands in, else of all others.
    fn of(&self, pointer: &str) -> Option<&Said> {
        let parents = pointer.rmatch_indices(['/', '#']).filter_map(|(at, _)| pointer.get(..at));
        std::iter::once(pointer).chain(parents).find_map(|at| self.values.get(at)).or(self.rest.as_ref())
    }

    /// Joins what is said of one field of a result to what was judged of it.
    pub(super) fn join_field(&self, leaf: &Leaf, judged: &mut Judged) {
        let Some(said) = self.of(&format!("{}{}", leaf.pointer, leaf.part.suffix())) else { return };
        // What others can write is theirs wherever it stands here.
        judged.prose |= said.prose && said.integrity >= Integrity::ThirdParty;
        judged.integrity = judged.integrity.max(said.integrity);
        judged.confidentiality = judged.confidentiality.max(said.confidentiality);
        judged.classes.extend(said.classes.iter().copied());
    }

    /// Joins what is said of arguments to what was derived of them. `lifts`: what the user named there, he named here.
    pub(crate) fn join_arguments(&self, lifts: bool, labels: &mut Labels) {
        for argument in &mut labels.arguments {
            let Some(said) = self.of(&argument.pointer) else { continue };
            if said.is_others() {
                argument.choice = Choice::Untrusted;
                argument.named_by_user = false;
                argument.label.integrity = argument.label.integrity.max(said.integrity);
            } else if lifts && said.choice == Some(Choice::User) {
                argument.choice = Choice::User;
                argument.named_by_user = true;
            }
            argument.label.confidentiality = argument.label.confidentiality.max(said.confidentiality);
            argument.label.classes.extend(said.classes.iter().copied());
            labels.session.integrity = labels.session.integrity.max(argument.label.integrity);
            labels.session.confidentiality = labels.session.confidentiality.max(argument.label.confidentiality);
            labels.session.classes.extend(argument.label.classes.iter().copied());
        }
        labels.arguments.extend(self.links.iter().map(|pointer| self.link(pointer)));
        labels.request = match (labels.request, self.request) {
            (Request::Unheard, Some(Request::Unnamed)) => Request::Unnamed,
            (Request::Unheard | Request::Unnamed, Some(Request::Named)) if lifts => Request::Named,
            (own, _) => own,
        };
    }

    /// A link inside content that others chose, as far as one knows there.
    fn link(&self, pointer: &str) -> ArgumentLabel {
        let integrity = self.of(pointer).map_or(Integrity::Anyone, |said| said.integrity.max(Integrity::ThirdParty));
        let origins = vec![Origin { entry: None, source: "another gateway".to_owned(), field: None }];
        let confidentiality = Confidentiality::Public;
        ArgumentLabel {
            pointer: pointer.to_owned(),
            role: Role::Link,
            named_by_user: false,
            choice: Choice::Untrusted,
            label: Label { integrity, confidentiality, classes: BTreeSet::new(), origins },
        }
    }
}

impl Session {
    /// A call was let through whose labels another gateway told in part: what of its values is others' or protected is
    /// so from now on, wherever it turns up again.
    pub(crate) fn told(&mut self, source: &str, entry: u64, (arguments, labels): (&Value, &[ArgumentLabel])) {
        let place = Place { entry, source: source.into(), ..Place::default() };
        let place = self.index.place(place);
        for (pointer, text) in trace::leaves(arguments) {
            let of = || labels.iter().filter(|label| label.pointer == pointer);
            let others =
                of().filter(|label| label.choice == Choice::Untrusted).map(|label| label.label.integrity).max();
            let confidentiality = of().map(|label| label.label.confidentiality).max();
            let confidentiality = confidentiality.unwrap_or(Confidentiality::Public);
            let classes: BTreeSet<_> = of().flat_map(|label| label.label.classes.iter().copied()).collect();
            if others.is_none() && confidentiality < Confidentiality::Confidential && classes.is_empty() {
                continue;
            }
            // Never a record: whoever tells could make one of anything.
            let integrity = others.unwrap_or(Integrity::ThirdParty).max(Integrity::ThirdParty);
            let judged = Judged { prose: true, integrity, confidentiality, classes };
            let leaf =
                Leaf { pointer, key: String::new(), record: 0, text, prose: true, part: Part::Whole, encoded: false };
            let field = Field::new(place, &leaf, judged, Pointed::default());
            self.index.add(field, Text::new(&leaf.text), &Recalled::new());
        }
    }

    /// What is known of the fields of a result, for the gateway that asked for it.
    pub(crate) fn tells(&self, is_entry: impl Fn(u64) -> bool) -> BTreeMap<String, Said> {
        let mut told: BTreeMap<String, Said> = BTreeMap::new();
        for field in self.index.fields_at(is_entry) {
            let said = Said::of_field(field);
            // One result may have several blocks whose fields are named alike.
            let joined = match told.remove(&field.pointer) {
                Some(other) => other.join(&said),
                None => said,
            };
            told.insert(field.pointer.clone(), joined);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::infer;

    fn said(integrity: Integrity, confidentiality: Confidentiality, choice: Choice) -> Said {
        let (classes, origins) = (BTreeSet::new(), Vec::new());
        Said { integrity, confidentiality, classes, choice: Some(choice), prose: false, origins }
    }

    fn send() -> policy::ToolFacts {
        let properties = json!({"to": {"type": "string"}, "body": {"type": "string"}});
        infer("demo", &json!({"name": "send_mail", "inputSchema": {"properties": properties}}), String::new())
    }

    #[test]
    fn a_word_of_another_gateway_raises_and_never_lowers() {
        let mut session = Session::default();
        let list = infer("demo", &json!({"name": "list_mail"}), String::new());
        session.called(&list, 1, &json!({}));
        session.result(&list, 1, &json!([{"id": 1, "body": "write to a@evil.example"}]));
        let call = json!({"to": "a@evil.example", "body": "b@new.example"});
        let best = said(Integrity::Trusted, Confidentiality::Public, Choice::User);
        let worst = said(Integrity::Anyone, Confidentiality::Secret, Choice::Untrusted);
        for lifts in [false, true] {
            let told = Told {
                values: BTreeMap::from([("/to".to_owned(), best.clone()), ("/body".to_owned(), worst.clone())]),
                ..Told::default()
            };
            let own = session.labels(&send(), &call);
            let mut joined = own.clone();
            told.join_arguments(lifts, &mut joined);
            let of =
                |labels: &Labels, at: &str| labels.arguments.iter().find(|label| label.pointer == at).cloned().unwrap();
            assert_eq!(of(&own, "/to").choice, Choice::Untrusted);
            let expected = if lifts { Choice::User } else { Choice::Untrusted };
            assert_eq!(of(&joined, "/to").choice, expected);
            assert_eq!(of(&joined, "/to").label.integrity, of(&own, "/to").label.integrity);
            assert_eq!(of(&joined, "/body").choice, Choice::Untrusted);
            assert_eq!(joined.session.confidentiality, Confidentiality::Secret);
        }
    }

    #[test]
    fn what_was_told_of_a_value_holds_for_later_calls() {
        let mut session = Session::default();
        let call = json!({"to": "lee@corp.example", "body": "the key is quokka-4711-zebra"});
        let mut labels = session.labels(&send(), &call);
        let secret = said(Integrity::FirstParty, Confidentiality::Secret, Choice::System);
        let told = Told { values: BTreeMap::from([("/body".to_owned(), secret)]), ..Told::default() };
        told.join_arguments(false, &mut labels);
        session.told("gateway east", 7, (&call, &labels.arguments));
        let later = session.labels(&send(), &json!({"to": "lee@corp.example", "body": "quokka-4711-zebra"}));
        assert_eq!(
            later.arguments.iter().map(|label| label.label.confidentiality).max(),
            Some(Confidentiality::Secret)
        );
        // What was neither others' nor protected is as unknown as before: nobody's word makes it a record.
        assert_eq!(later.arguments.first().map(|label| label.choice), Some(Choice::Model));
    }

    #[test]
    fn what_a_value_stands_in_is_said_of_it() {
        let worst = said(Integrity::Anyone, Confidentiality::Secret, Choice::Untrusted);
        let best = said(Integrity::Trusted, Confidentiality::Public, Choice::User);
        let told = Told {
            values: BTreeMap::from([("/a".to_owned(), worst.clone())]),
            rest: Some(best.clone()),
            ..Told::default()
        };
        assert_eq!(told.of("/a/b#shown"), Some(&worst));
        assert_eq!(told.of("/ab"), Some(&best));
    }
}

//! The session's memory: which value was seen in which fields. Incremental, bounded, flat in cost.
//!
//! A value keeps at most a few sightings: as a value of its own in a record (the latest), and in prose (the
//! first and the latest few). So neither the cost of a lookup nor the size of an answer grows with the session.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use policy::{Confidentiality, DataClass, Integrity, Origin, Role, SessionLabels, ToolFacts};
use serde::{Deserialize, Serialize};

use super::apart::Text;
use super::atoms::{self, Atom, Kind};
use super::read::{Leaf, Part};
use super::request::{self, User, tells};
use super::source::{self, Judged, Recalled};
use super::{FIELDS_MAX, VALUES_MAX};

/// How many sightings in prose a value keeps.
const PROSE_SIGHTINGS: usize = 4;
/// How many places are remembered.
const PLACES_MAX: usize = 50_000;
/// How many of the latest places and fields are searched for one call's.
const PLACES_SEARCHED: usize = 64;
const FIELDS_SEARCHED: usize = 50_000;
/// How many arguments of a call name its place.
const PLACE_NAMES_MAX: usize = 8;

/// Where fields stand: one call and its result.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The entry that recorded it.
    pub(crate) entry: u64,
    /// `server/tool`.
    pub(crate) source: Arc<str>,
    /// The strings that the call was made with: a file's name, a page's address, a folder.
    pub(crate) names: Vec<String>,
    /// Whether it is another machine, however the tool got there.
    #[serde(default)]
    pub(crate) outside: bool,
    /// Whether it is files or what commands print, not what other people sent.
    #[serde(default)]
    pub(crate) of_files: bool,
    /// Whether it was searched, so that only what has the form of a place among the strings is one.
    #[serde(default)]
    pub(crate) searched: bool,
    /// Whether what it was asked for stands only in others' text, so that this text chose what was found.
    #[serde(default)]
    pub(crate) led: bool,
}

impl Place {
    pub(crate) fn new(tool: &ToolFacts, entry: u64, mut names: Vec<String>, outside: bool) -> Self {
        names.retain(|name| (2..=atoms::VALUE_MAX_BYTES).contains(&name.len()));
        names.truncate(PLACE_NAMES_MAX);
        let has = |wanted: Role| tool.roles.values().any(|role| *role == wanted);
        let of_files = !outside && (has(Role::Command) || (has(Role::Path) && !tool.open_world));
        Place {
            entry,
            source: tool.id.to_string().into(),
            names,
            outside,
            of_files,
            searched: source::looks_for(&tool.id.name),
            led: false,
        }
    }
}

/// Who points at a record by naming values of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pointed {
    /// The user's words name one of its values.
    pub(crate) by_user: bool,
    /// They name several, so that it is this record that they mean.
    #[serde(default)]
    pub(crate) exactly: bool,
    /// A place to which the user handed the choice of steps names several, or the user calls its author by name. Enough to
    /// read on.
    #[serde(default)]
    pub(crate) onward: bool,
}

/// One field of a result, without its text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Field {
    pub(crate) place: u64,
    pub(crate) pointer: String,
    pub(crate) prose: bool,
    pub(crate) integrity: Integrity,
    pub(crate) confidentiality: Confidentiality,
    pub(crate) classes: BTreeSet<DataClass>,
    /// Who points at its record.
    #[serde(default)]
    pub(crate) pointed: Pointed,
    /// Whether its markup hides it from whoever looks at it.
    #[serde(default)]
    pub(crate) hidden: bool,
    /// How many different addresses, links and long identifiers stand in it.
    pub(crate) mails: u16,
    pub(crate) links: u16,
    pub(crate) identifiers: u16,
    /// How many different words and values stand in it.
    pub(crate) size: u32,
}

impl Field {
    pub(crate) fn new(place: u64, leaf: &Leaf, judged: Judged, pointed: Pointed) -> Self {
        Field {
            place,
            pointer: format!("{}{}", leaf.pointer, leaf.part.suffix()),
            hidden: leaf.part == Part::Hidden,
            prose: judged.prose,
            integrity: judged.integrity,
            confidentiality: judged.confidentiality,
            classes: judged.classes,
            pointed,
            mails: 0,
            links: 0,
            identifiers: 0,
            size: 0,
        }
    }

    /// How many values of one kind compete in it.
    pub(crate) fn rivals(&self, kind: Kind) -> u16 {
        match kind {
            // Nobody who points at a page means what it does not show.
            _ if self.hidden => u16::MAX,
            Kind::Mail => self.mails,
            Kind::Link => self.links,
            Kind::Identifier => self.identifiers,
            Kind::Word | Kind::Number | Kind::Path => u16::MAX,
        }
    }

    /// Whether it stands in the same record as another field.
    pub(crate) fn is_beside(&self, other: &Field) -> bool {
        let record = other.pointer.rsplit_once('/').map_or("", |(record, _)| record);
        let within = self.pointer.strip_prefix(record).is_some_and(|rest| rest.starts_with('/'));
        self.place == other.place && within
    }

    fn count(&mut self, atoms: &[Atom]) {
        let of = |kind: Kind| {
            u16::try_from(atoms.iter().filter(|atom| atom.kind == kind && atom.is_distinctive()).count())
                .unwrap_or(u16::MAX)
        };
        self.mails = of(Kind::Mail);
        self.links = of(Kind::Link);
        self.identifiers = of(Kind::Identifier);
        self.size = u32::try_from(atoms.len()).unwrap_or(u32::MAX);
    }
}

/// Where a value was seen. Numbers of fields count from the start of the session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sightings {
    /// The latest field that holds exactly this value, in a record.
    pub(crate) value: Option<u64>,
    /// The first and the latest fields of prose in which it stands.
    pub(crate) prose: Vec<u64>,
    /// Whether it stands in more of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) more: bool,
    /// Whether the agent itself has used it in a call that was let through and could have written it somewhere.
    pub(crate) used: bool,
    /// Whether it stood inside a longer argument of such a call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) carried: bool,
    /// The latest call that was let through and carried it to be looked up. Results of that and of earlier calls may
    /// only repeat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) looked_up: Option<u64>,
    /// The same inside a longer argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) carried_to: Option<u64>,
    /// The worst integrity of the fields it was seen in, kept when their details are dropped.
    pub(crate) worst: Option<Integrity>,
}

/// All values of a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    values: HashMap<String, Sightings>,
    fields: VecDeque<Field>,
    /// The number of the first field still held.
    fields_from: u64,
    places: VecDeque<Place>,
    places_from: u64,
    /// Whether something could not be remembered.
    overflowed: bool,
    seen: Option<SessionLabels>,
}

impl Index {
    pub(crate) fn overflow(&mut self) {
        self.overflowed = true;
    }

    /// An index of which nobody knows what it held: what was seen nowhere may be anybody's, and anything may have
    /// been seen.
    pub(crate) fn lost() -> Self {
        let seen = SessionLabels {
            integrity: Integrity::Anyone,
            confidentiality: Confidentiality::Secret,
            classes: BTreeSet::new(),
            // Of a lost past nobody knows the steps; those that policies ask about are assumed.
            steps: ["logging_off", "credential_made"].map(|step| (step.to_owned(), 1)).into(),
        };
        Self { overflowed: true, seen: Some(seen), ..Self::default() }
    }

    pub(crate) fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Remembers a place and answers its number.
    pub(crate) fn place(&mut self, place: Place) -> u64 {
        self.places.push_back(place);
        if self.places.len() > PLACES_MAX {
            self.places.pop_front();
            self.places_from += 1;
        }
        self.places_from + self.places.len() as u64 - 1
    }

    /// The place that a call made, or a new one for a result whose call was not heard of.
    pub(crate) fn place_of(&mut self, tool: &ToolFacts, entry: u64) -> u64 {
        let recent = self.places.iter().enumerate().rev().take(PLACES_SEARCHED);
        let found = recent.filter(|(_, place)| place.entry == entry).map(|(at, _)| at as u64).next();
        match found {
            Some(at) => self.places_from + at,
            None => self.place(Place::new(tool, entry, Vec::new(), false)),
        }
    }

    pub(crate) fn at_place(&self, number: u64) -> Option<&Place> {
        self.places.get(usize::try_from(number.checked_sub(self.places_from)?).ok()?)
    }

    /// The fields of the result of a call, by its entry; of one that was long ago none.
    pub(crate) fn fields_at(&self, is_entry: impl Fn(u64) -> bool) -> impl Iterator<Item = &Field> {
        let recent = self.places.iter().enumerate().rev().take(PLACES_SEARCHED);
        let found =
            recent.filter(|(_, place)| is_entry(place.entry)).map(|(at, _)| self.places_from + at as u64).next();
        self.fields.iter().rev().take(FIELDS_SEARCHED).filter(move |field| Some(field.place) == found)
    }

    pub(crate) fn field(&self, number: u64) -> Option<&Field> {
        self.fields.get(usize::try_from(number.checked_sub(self.fields_from)?).ok()?)
    }

    /// The agent used a value, whole or inside a longer argument, in a call that was let through and is recorded as `entry`. What
    /// comes back of it is what it was.
    pub(crate) fn mark(&mut self, text: &Text, reads: bool, entry: u64) {
        for key in text.keys() {
            self.remember(key.as_str(), |sightings| match reads {
                true => sightings.looked_up = sightings.looked_up.max(Some(entry)),
                false => sightings.used = true,
            });
        }
        for value in text.telling() {
            self.remember(value, |sightings| match reads {
                true => sightings.carried_to = sightings.carried_to.max(Some(entry)),
                false => sightings.carried = true,
            });
        }
    }

    /// Adds one field with its text; `recalled` are values in it that somebody less trusted wrote first.
    pub(crate) fn add(&mut self, mut field: Field, text: Text, recalled: &Recalled) {
        if text.is_cut() {
            self.overflowed = true;
        }
        field.count(text.atoms());
        self.widen(&field);
        let number = self.fields_from + self.fields.len() as u64;
        let (prose, integrity) = (field.prose, field.integrity);
        let entry = self.at_place(field.place).map(|place| place.entry);
        self.fields.push_back(field);
        if self.fields.len() > FIELDS_MAX {
            self.fields.pop_front();
            self.fields_from += 1;
        }
        if prose {
            for atom in text.into_atoms() {
                let integrity = recalled.get(&atom.text).map_or(integrity, |first| integrity.max(*first));
                self.remember(atom.text, |sightings| sightings.saw_in_prose(number, integrity));
            }
        } else {
            let imitation = atoms::imitates(text.as_str().trim(), &atoms::normal(text.as_str()));
            for key in text.keys().iter().chain(&imitation) {
                self.remember(key.as_str(), |sightings| sightings.saw_as_value(number, integrity, entry));
            }
            // A short sentence is no record of what it speaks of. What a system wrote has no other author.
            if integrity >= Integrity::ThirdParty {
                for value in text.among_words() {
                    let integrity = recalled.get(value).map_or(integrity, |first| integrity.max(*first));
                    self.remember(value, |sightings| sightings.saw_in_prose(number, integrity));
                }
            }
        }
    }

    fn remember<K: AsRef<str> + Into<String>>(&mut self, key: K, change: impl FnOnce(&mut Sightings)) {
        if let Some(sightings) = self.values.get_mut(key.as_ref()) {
            return change(sightings);
        }
        if self.values.len() >= VALUES_MAX {
            self.overflowed = true;
            return;
        }
        let mut sightings = Sightings::default();
        change(&mut sightings);
        self.values.insert(key.into(), sightings);
    }

    fn widen(&mut self, field: &Field) {
        let seen = self.seen.get_or_insert_with(super::nothing_seen);
        seen.integrity = seen.integrity.max(field.integrity);
        seen.confidentiality = seen.confidentiality.max(field.confidentiality);
        seen.classes.extend(field.classes.iter().copied());
    }

    /// A call that was let through took these steps.
    pub(crate) fn took(&mut self, steps: &[&str]) {
        if steps.is_empty() {
            return;
        }
        let seen = self.seen.get_or_insert_with(super::nothing_seen);
        for step in steps {
            *seen.steps.entry((*step).to_owned()).or_default() += 1;
        }
    }

    /// What has entered so far.
    pub(crate) fn session(&self) -> SessionLabels {
        self.seen.clone().unwrap_or_else(super::nothing_seen)
    }

    /// What the session has seen is this.
    pub(super) fn has_seen(&mut self, seen: SessionLabels) {
        self.seen = Some(seen);
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Sightings> {
        self.values.get(key)
    }

    /// Where a field stands, for people and for the record.
    pub(crate) fn origin(&self, number: u64) -> Option<Origin> {
        let field = self.field(number)?;
        let place = self.at_place(field.place);
        Some(Origin {
            entry: place.map(|place| place.entry),
            source: place.map_or_else(|| "an earlier result".to_owned(), |place| place.source.to_string()),
            field: (!field.pointer.is_empty()).then(|| field.pointer.clone()),
        })
    }

    /// Whether the user's words point at where a field stands: at its record, or at the call that fetched it.
    pub(crate) fn is_pointed_at(&self, field: &Field, user: &User) -> bool {
        field.pointed.by_user || self.is_named(field.place, user)
    }

    /// Whether a field stands in the result of a call that was made with this value.
    pub(crate) fn repeats(&self, field: &Field, value: &str) -> bool {
        self.at_place(field.place).is_some_and(|place| place.names.iter().any(|name| is_same(name, value)))
    }

    /// Whether the user's words name the place that a call reads.
    pub(crate) fn is_named(&self, place: u64, user: &User) -> bool {
        let Some(place) = self.at_place(place) else { return false };
        // Who speaks of what is searched for does not point at all that is found.
        let is_place = |name: &str| !place.searched || (!name.contains(' ') && name.contains(['/', '.', '@']));
        place.names.iter().any(|name| tells(name) && is_place(name) && user.names(name))
    }

    /// What the user says can be found where a field stands.
    pub(crate) fn kinds_at(&self, field: &Field, user: &User) -> BTreeSet<request::Kind> {
        let names = self.at_place(field.place).into_iter().flat_map(|place| &place.names);
        names.flat_map(|name| user.kinds_at(name)).collect()
    }

    /// Whether a field stands in a page of the host that is spelled so.
    pub(crate) fn is_at_host(&self, field: &Field, host: &str) -> bool {
        let is_of_host = |name: &String| atoms::link(name).is_some_and(|link| link.spelled == host);
        self.at_place(field.place).is_some_and(|place| place.names.iter().any(is_of_host))
    }
}

/// Whether two strings are one value, or one address of a page.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    one == other || atoms::link(one).is_some_and(|one| atoms::link(other).is_some_and(|other| one.full == other.full))
}

impl Sightings {
    fn saw_in_prose(&mut self, field: u64, integrity: Integrity) {
        self.worst = self.worst.max(Some(integrity));
        if self.prose.last() == Some(&field) {
            return;
        }
        if self.prose.len() >= PROSE_SIGHTINGS {
            self.prose.remove(1);
            self.more = true;
        }
        self.prose.push(field);
    }

    fn saw_as_value(&mut self, field: u64, integrity: Integrity, entry: Option<u64>) {
        // A value that the agent took from prose and wrote somewhere comes back in a field of its own: that
        // must not launder it. See `memory` in docs/labels.md. Nor must a search that repeats what was searched.
        let asked = self.looked_up.max(self.carried_to);
        let echoed = asked.is_some_and(|asked| entry.is_none_or(|entry| entry <= asked));
        if (self.used || self.carried || echoed) && self.value.is_none() && !self.prose.is_empty() {
            return;
        }
        self.worst = self.worst.max(Some(integrity));
        self.value = Some(field);
    }
}

/// The keys under which a whole value is known.
pub(crate) fn keys(text: &str) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > atoms::VALUE_MAX_BYTES {
        return Vec::new();
    }
    let normal = atoms::normal(text);
    let mut keys = vec![];
    if let Some(mail) = atoms::mail(text) {
        keys.push(mail);
    } else if let Some(link) = atoms::link(text) {
        keys.push(link.full);
    } else if let Some(number) = atoms::number(&normal) {
        keys.push(number);
    } else if normal.contains(|c: char| c.is_ascii_digit()) && normal.contains(atoms::is_joint) {
        let squeezed = atoms::squeezed(&normal);
        if squeezed.len() >= 8 {
            keys.push(squeezed);
        }
    }
    if !keys.contains(&normal) {
        keys.push(normal);
    }
    keys
}

//! Derives who chose each argument of a call: what `value` finds of each, and then what the arguments say of each other.

use std::collections::BTreeSet;

use policy::{ArgumentLabel, Choice, Confidentiality, EffectKind, Integrity, Label, Origin, Role, ToolFacts};
use serde_json::Value;

use super::apart::{ATOMS_MAX, Apart, Text};
use super::atoms::{self, Kind};
use super::index::{Field, Index, Sightings};
use super::memory::Remembered;
use super::request::User;
use super::value::{Found, Step, kind_of};
use super::{hosts, read, source, words};

/// How many leaves of the arguments are traced.
const LEAVES_MAX: usize = 512;
/// How many origins a label names.
const ORIGINS_MAX: usize = 4;
/// How many links of one argument are told.
const LINKS_MAX: usize = 8;

/// The leaves of arguments as text, with their pointers: values, and names that can be values.
pub(crate) fn leaves(arguments: &Value) -> Vec<(String, String)> {
    let mut leaves = Vec::new();
    walk(arguments, String::new(), &mut leaves);
    leaves
}

fn walk(value: &Value, pointer: String, leaves: &mut Vec<(String, String)>) {
    if leaves.len() >= LEAVES_MAX {
        return;
    }
    match value {
        Value::Object(object) => {
            for (name, child) in object {
                let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                if policy::is_value(name) {
                    leaves.push((policy::name_pointer(&pointer), name.clone()));
                }
                walk(child, pointer, leaves);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| walk(item, format!("{pointer}/{at}"), leaves))
        }
        Value::Null => {}
        Value::String(text) => leaves.push((pointer, text.clone())),
        other => leaves.push((pointer, other.to_string())),
    }
}

/// Traces the arguments of one call.
pub(crate) struct Tracer<'a> {
    pub(crate) user: &'a User,
    pub(crate) index: &'a Index,
    pub(crate) tool: &'a ToolFacts,
    pub(crate) apart: &'a Apart,
}

impl Tracer<'_> {
    /// One label for each leaf, in document order, and one more for each link or address inside content that
    /// somebody else chose.
    pub(crate) fn arguments(&self, arguments: &Value) -> Vec<ArgumentLabel> {
        let mut labels: Vec<ArgumentLabel> = Vec::new();
        // For each label: whether the user said or means it, and whether it is of a link that content carries.
        let mut meant: Vec<(bool, bool)> = Vec::new();
        let step = self.step();
        for (pointer, text) in &leaves(arguments) {
            if policy::is_declared_name(Some(self.tool), pointer) {
                continue;
            }
            let role = self.role(pointer);
            let (label, named) = self.argument((pointer, role), text, step);
            // What is empty names nothing.
            let said = label.choice == Choice::User && !text.trim().is_empty();
            labels.push(label);
            meant.push((named || said, false));
            if matches!(role, Role::Content | Role::Other) {
                labels.extend(self.links_in(pointer, text));
                meant.resize(labels.len(), (false, true));
            }
        }
        self.withdraw_delegation(&mut labels, &meant);
        self.accept_sign_in_page(arguments, &mut labels);
        self.contest_payees(arguments, &mut labels);
        self.accept_parts_of_the_page(arguments, &mut labels);
        // A link that somebody was asked to mention needs no line of its own.
        let mut carried = meant.iter().map(|(_, carried)| *carried);
        labels.retain(|label| !carried.next().unwrap_or(false) || label.choice == Choice::Untrusted);
        labels
    }

    /// Whether something that is looked for stands only in others' text.
    pub(crate) fn is_led<'t>(&self, mut named: impl Iterator<Item = &'t str>) -> bool {
        let theirs = |text: &str| {
            let found = self.value(text, Step::Other);
            found.choice == Choice::Untrusted && found.integrity >= Integrity::ThirdParty
        };
        let may = 3..=atoms::VALUE_MAX_BYTES;
        named.any(|text| may.contains(&text.len()) && text.chars().any(char::is_alphabetic) && theirs(text))
    }

    /// The values in the arguments of a call that changes something which stand in others' text only, or in what is
    /// confidential, with their labels.
    pub(crate) fn written(&self, arguments: &Value) -> Vec<(String, Remembered)> {
        if self.tool.effects.iter().all(|effect| *effect == EffectKind::Read) {
            return Vec::new();
        }
        let leaves = leaves(arguments).into_iter().filter(|(_, text)| !self.user.names(text));
        let mut written = Vec::new();
        for (_, text) in leaves {
            let records: Vec<Text> =
                read::values_of_records(&text, ATOMS_MAX).iter().map(|value| Text::new(value)).collect();
            let text = self.apart.of(&text);
            let values = text.values().chain(records.iter().flat_map(Text::values));
            let values = values.filter(|value| !self.user.names(value));
            written.extend(values.filter_map(|value| Some((value.to_owned(), self.worth_remembering(value)?))));
        }
        written
    }

    fn worth_remembering(&self, value: &str) -> Option<Remembered> {
        let sightings = self.index.get(value)?;
        let fields = || sightings.value.iter().chain(&sightings.prose).filter_map(|number| self.index.field(*number));
        let confidentiality = fields().map(|field| field.confidentiality).max().unwrap_or(Confidentiality::Public);
        let of_others = sightings.value.is_none() && !sightings.prose.is_empty();
        let integrity = if of_others { sightings.worst.unwrap_or(Integrity::Anyone) } else { Integrity::FirstParty };
        let worth = integrity >= Integrity::ThirdParty || confidentiality >= Confidentiality::Confidential;
        let classes = fields().flat_map(|field| field.classes.iter().copied()).collect();
        worth.then_some(Remembered { integrity, confidentiality, classes })
    }

    /// A delegated value may complete a call whose object the user named ("invite X, her address is on her page");
    /// it may not be the object itself, because whoever writes the place would then choose it. A read may follow
    /// what a known party wrote where the user pointed, not what anyone wrote.
    fn withdraw_delegation(&self, labels: &mut [ArgumentLabel], meant: &[(bool, bool)]) {
        let reads = self.tool.effects.iter().all(|effect| *effect == EffectKind::Read);
        let chooses = |role: Role| {
            matches!(role, Role::Recipient | Role::Destination | Role::Target | Role::Account | Role::Path)
        };
        let object_named = labels
            .iter()
            .zip(meant)
            .any(|(label, (said, _))| label.choice == Choice::User && *said && chooses(label.role));
        let pays = self.tool.effects.contains(&EffectKind::Pay);
        let delegated = labels.iter_mut().zip(meant).filter(|(label, _)| label.choice == Choice::Delegated);
        for (label, (meant, _)) in delegated {
            let known = label.label.integrity <= Integrity::ThirdParty;
            let allowed = if reads { known } else { (object_named || *meant) && !pays };
            if !allowed {
                label.choice = Choice::Untrusted;
            }
        }
    }

    /// Whom the user named is paid what the user says. If others' text names the payee, too, an amount that the user did not
    /// name may be that text's, and so may the payment.
    fn contest_payees(&self, arguments: &Value, labels: &mut [ArgumentLabel]) {
        let is_theirs = |label: &ArgumentLabel| label.role == Role::Amount && label.choice != Choice::User;
        if !self.tool.effects.contains(&EffectKind::Pay) || !labels.iter().any(is_theirs) {
            return;
        }
        let named = |label: &&mut ArgumentLabel| {
            matches!(label.role, Role::Recipient | Role::Account) && label.choice == Choice::User
        };
        for label in labels.iter_mut().filter(named) {
            let Some(Value::String(text)) = arguments.pointer(&label.pointer) else { continue };
            // What a call with this payee gave back repeats it.
            let (fields, worst) = self.named_by_others(text, |field| !self.index.repeats(field, text));
            if let Some(integrity) = worst.filter(|_| kind_of(text) != Kind::Word) {
                label.choice = Choice::Untrusted;
                label.label = self.label(Found { choice: Choice::Untrusted, fields, integrity, meant: false });
            }
        }
    }

    /// What the parts of a page are called (its buttons, the fields of its forms) its owner says, and nobody asks whoever
    /// goes to that page to know it.
    fn accept_parts_of_the_page(&self, arguments: &Value, labels: &mut [ArgumentLabel]) {
        let text_of = |label: &ArgumentLabel| arguments.pointer(&label.pointer)?.as_str();
        let is_page = |label: &&ArgumentLabel| label.role == Role::Destination && label.choice != Choice::Untrusted;
        let pages: Vec<&str> = labels.iter().filter(is_page).filter_map(text_of).collect();
        let is_on_page = |number: &u64| {
            let field = self.index.field(*number);
            field.is_some_and(|field| pages.iter().any(|page| self.index.repeats(field, page)))
        };
        let is_part = |label: &ArgumentLabel| {
            let text = self.apart.of(text_of(label).unwrap_or_default());
            let fields = text.keys().iter().filter_map(|key| self.index.get(key)).flat_map(|seen| &seen.prose);
            // A field that asks who somebody is stands in many forms; and what a call with this name gave back repeats it.
            let asks_who = text_of(label).is_some_and(Self::asks_who);
            let repeats = |number: &u64| {
                let (field, text) = (self.index.field(*number), text_of(label).unwrap_or_default());
                field.is_some_and(|field| self.index.repeats(field, text))
            };
            let fields: Vec<&u64> = fields.collect();
            let on_page = fields.iter().any(|number| is_on_page(number));
            on_page && (asks_who || fields.iter().all(|number| is_on_page(number) || repeats(number)))
        };
        let is_part: Vec<bool> = labels
            .iter()
            .map(|label| label.role == Role::Target && label.choice == Choice::Untrusted && is_part(label))
            .collect();
        for (label, _) in labels.iter_mut().zip(is_part).filter(|(_, is_part)| *is_part) {
            label.choice = Choice::System;
        }
    }

    /// The fields of prose by others in which a value stands, and the least trusted of their authors.
    fn named_by_others(&self, text: &str, counts: impl Fn(&Field) -> bool) -> (Vec<u64>, Option<Integrity>) {
        let of_others = |number: &u64| {
            self.index.field(*number).map(|field| field.integrity).filter(|writer| *writer >= Integrity::ThirdParty)
        };
        let text = self.apart.of(text);
        let seen = text.keys().iter().filter_map(|key| self.index.get(key));
        let prose = seen.flat_map(|sightings| &sightings.prose).copied();
        let prose = prose.filter(|number| of_others(number).is_some());
        let fields: Vec<u64> = prose.filter(|number| self.index.field(*number).is_none_or(&counts)).collect();
        let worst = fields.iter().filter_map(of_others).max();
        (fields, worst)
    }

    /// The role of an argument, with `*` for the index of an item.
    fn role(&self, pointer: &str) -> Role {
        let roles = &self.tool.roles;
        if let Some(role) = roles.get(pointer) {
            return *role;
        }
        let pattern: String = pointer
            .split('/')
            .skip(1)
            .map(|part| if part.chars().all(|c| c.is_ascii_digit()) { "/*".to_owned() } else { format!("/{part}") })
            .collect();
        let parents = pattern
            .match_indices('/')
            .map(|(at, _)| at)
            .rev()
            .filter_map(|at| pattern.get(..at))
            .filter(|parent| !parent.is_empty());
        std::iter::once(pattern.as_str())
            .chain(parents)
            .find_map(|pattern| roles.get(pattern))
            .copied()
            .unwrap_or(Role::Other)
    }

    fn argument(&self, (pointer, role): (&str, Role), text: &str, step: Step) -> (ArgumentLabel, bool) {
        let mut found = match role {
            Role::Content => self.content(text),
            _ => self.contacted((role, text), step, self.value(text, step)),
        };
        if found.choice == Choice::System && matches!(role, Role::Recipient | Role::Account | Role::Target) {
            self.contest(text, &mut found);
        }
        // What a working copy says about its own files and commands is the work itself; a page that anyone can write is
        // not, nor is a command that reaches another machine. Dangerous paths and commands have rules of their own.
        let reads_or_writes =
            self.tool.effects.iter().all(|effect| matches!(effect, EffectKind::Read | EffectKind::Write));
        let of_copy = |number: &u64| {
            let field = self.index.field(*number);
            field.is_some_and(|field| self.index.at_place(field.place).is_some_and(|place| place.of_files))
        };
        let local = matches!(role, Role::Path | Role::Command)
            && found.integrity <= Integrity::ThirdParty
            && (role == Role::Path && reads_or_writes || found.fields.iter().all(of_copy));
        if local && found.choice == Choice::Untrusted && !(role == Role::Command && source::is_outward(text)) {
            found.choice = Choice::System;
        }
        if role == Role::Destination {
            self.add_parts(text, &mut found);
        }
        let may = self.user.asks_for(self.tool) || self.is_sign_in();
        if matches!(found.choice, Choice::Untrusted | Choice::Delegated)
            && !found.meant
            && may
            && self.is_handed_over((pointer, role), text)
        {
            (found.choice, found.meant) = (Choice::Delegated, true);
        }
        let meant = found.meant;
        let label = ArgumentLabel {
            pointer: pointer.to_owned(),
            role,
            named_by_user: found.choice == Choice::User,
            choice: found.choice,
            label: self.label(found),
        };
        (label, meant)
    }

    /// What a value was found to be, or what the hosts and the mailbox are that it leads to, where that is worse: others' text
    /// may have spelled them otherwise.
    fn contacted(&self, (role, text): (Role, &str), step: Step, found: Found) -> Found {
        if found.choice == Choice::Untrusted || self.user.names(text) {
            return found;
        }
        let apart = self.apart.of(text);
        // Those that are written as they are called were looked up with the value.
        let ends = |rest: &str| rest.is_empty() || rest.starts_with(['/', '\\', '?', '#']);
        let is_read = |name: &String| {
            let mut links = apart.atoms().iter().filter(|atom| atom.kind == Kind::Link);
            links.any(|atom| atom.text.strip_prefix(name.as_str()).is_some_and(ends))
        };
        let hosts = hosts::of(role, text).into_iter().filter(|name| !is_read(name));
        let links = hosts.map(|name| if name.contains(':') { name } else { format!("http://{name}") });
        let mailbox = hosts::mailbox(text).filter(|mailbox| *mailbox != atoms::normal(text));
        let others = links.chain(mailbox).map(|other| self.reading(&other, step));
        let worst = others.max_by_key(|other| (other.choice == Choice::Untrusted, other.integrity));
        let is_worse = |other: &Found| match other.choice {
            Choice::Untrusted => true,
            Choice::Delegated => found.choice == Choice::Model,
            _ => false,
        };
        worst.filter(is_worse).unwrap_or(found)
    }

    /// What cannot be undone, to a thing or a payee that the user did not name and that others' text names: a record
    /// knows it, but the text may have chosen it among the records.
    fn contest(&self, text: &str, found: &mut Found) {
        if !self.tool.effects.iter().any(|effect| matches!(effect, EffectKind::Delete | EffectKind::Pay)) {
            return;
        }
        // What was found only because others' text said what to look for is what that text chose.
        let led = |number: &u64| {
            let place = self.index.field(*number).and_then(|field| self.index.at_place(field.place));
            place.is_some_and(|place| place.led)
        };
        if found.fields.iter().all(led) && !found.fields.is_empty() {
            found.choice = Choice::Untrusted;
            found.integrity = found.integrity.max(Integrity::ThirdParty);
            return;
        }
        // What stands in the thing's own record does not choose it among others, nor does what a call with this value
        // gave back.
        let own = found.fields.first().and_then(|number| self.index.field(*number));
        let elsewhere = |field: &Field| own.is_none_or(|own| !field.is_beside(own) && !self.index.repeats(field, text));
        let (mut fields, _) = self.named_by_others(text, elsewhere);
        // A bare number or word names nothing, unless the text also speaks of what the tool does.
        if kind_of(text) == Kind::Word {
            let speaks = |verb: &&str| self.index.get(verb).map(|sightings| sightings.prose.as_slice());
            let verbs = self.tool.effects.iter().flat_map(|effect| words::verbs_of(*effect)).filter_map(speaks);
            let speaking: BTreeSet<u64> = verbs.flatten().copied().collect();
            fields.retain(|number| speaking.contains(number));
        }
        let writer = |number: &u64| self.index.field(*number).map(|field| field.integrity);
        if let Some(worst) = fields.iter().filter_map(writer).max() {
            *found = Found { choice: Choice::Untrusted, fields, integrity: worst, meant: false };
        }
    }

    /// The path and the query of an address carry data to its owner, whoever named the host.
    fn add_parts(&self, text: &str, found: &mut Found) {
        let parts = atoms::link(text).map(|link| link.parts).unwrap_or_default();
        let seen = parts.iter().filter(|part| part.len() >= 6).filter_map(|part| self.index.get(part));
        let confidential = |number: &u64| {
            self.index.field(*number).is_some_and(|field| field.confidentiality >= Confidentiality::Confidential)
        };
        let fields: Vec<u64> = seen
            .flat_map(|sightings| sightings.value.iter().chain(&sightings.prose))
            .copied()
            .filter(confidential)
            .collect();
        found.fields.extend(fields);
    }

    /// Links that stand inside content and that neither the user nor a record nor the agent's own earlier calls account for.
    fn links_in(&self, pointer: &str, text: &str) -> Vec<ArgumentLabel> {
        let label = |(_, found): (String, Found)| ArgumentLabel {
            pointer: pointer.to_owned(),
            role: Role::Link,
            named_by_user: false,
            choice: found.choice,
            label: self.label(found),
        };
        self.links(text).into_iter().map(label).collect()
    }

    /// Those of them that somebody else wrote, with their labels.
    pub(crate) fn labelled_links(&self, text: &str) -> Vec<(String, Label)> {
        let of_others = |found: &Found| matches!(found.choice, Choice::Untrusted | Choice::Delegated);
        let links = self.links(text).into_iter().filter(|(_, found)| of_others(found));
        links.map(|(link, found)| (link, self.label(found))).collect()
    }

    fn links(&self, text: &str) -> Vec<(String, Found)> {
        let apart = self.apart.of(text);
        let links = apart.atoms().iter().filter(|atom| atom.kind == Kind::Link);
        if self.is_name_handed_over(text) {
            return Vec::new();
        }
        let asked = |sightings: &Sightings| sightings.used || sightings.looked_up.is_some();
        let chosen = links.filter(|atom| !self.index.get(&atom.text).is_some_and(asked));
        let mut found: Vec<(String, Found)> =
            chosen.map(|atom| (atom.text.clone(), self.value(&atom.text, Step::Onward))).collect();
        if apart.is_cut() {
            // What was not read may be anybody's.
            found.push((text.to_owned(), Found::by(Choice::Untrusted, Integrity::Anyone)));
        }
        // The worst first, so that no number of others hides it.
        found.sort_by_key(|(_, found)| found.choice != Choice::Untrusted);
        found.truncate(LINKS_MAX);
        found
    }

    fn label(&self, found: Found) -> Label {
        let fields: Vec<_> = found.fields.iter().filter_map(|number| self.index.field(*number)).collect();
        let confidentiality = fields.iter().map(|field| field.confidentiality).max().unwrap_or(Confidentiality::Public);
        let classes: BTreeSet<_> = fields.iter().flat_map(|field| field.classes.iter().copied()).collect();
        let mut origins: Vec<Origin> = Vec::new();
        for origin in found.fields.iter().filter_map(|number| self.index.origin(*number)) {
            if !origins.contains(&origin) && origins.len() < ORIGINS_MAX {
                origins.push(origin);
            }
        }
        if origins.is_empty() {
            let source = if found.choice == Choice::User { "user" } else { "model" };
            origins.push(Origin { entry: None, source: source.to_owned(), field: None });
        }
        Label { integrity: found.integrity, confidentiality, classes, origins }
    }
}

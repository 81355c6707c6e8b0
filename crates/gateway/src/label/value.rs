//! Who chose one value, by where it was seen: as a whole, in its parts, in prose or in a record.

use std::collections::HashMap;

use policy::{Choice, EffectKind, Integrity};

use super::atoms::{self, Atom, Kind};
use super::index::{Field, Sightings};
use super::trace::Tracer;

/// How long an identifier is that is looked for in pieces, and each of them at least.
const PIECED: std::ops::RangeInclusive<usize> = 8..=48;
const PIECE_MIN: usize = 4;
/// How many words a name may have.
const WORDS_MAX: usize = 32;
/// A content that shares this many values with a field quotes it.
const QUOTE_MIN: u32 = 6;

/// What one value was found to be.
pub(super) struct Found {
    pub(super) choice: Choice,
    /// The fields it stands in, the most telling first.
    pub(super) fields: Vec<u64>,
    /// Its integrity where no field says so any more.
    pub(super) integrity: Integrity,
    /// Whether it is a name in a record that the user means, so that it may be the object of the call.
    pub(super) meant: bool,
}

/// What a value is looked up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To read on, or to mention: it may follow a place to which the user handed the steps.
    Onward,
    /// To do what the user asked for with a verb of its kind.
    Asked,
    /// For anything else.
    Other,
}

impl Found {
    pub(super) fn by(choice: Choice, integrity: Integrity) -> Self {
        Found { choice, fields: Vec::new(), integrity, meant: false }
    }
}

impl Tracer<'_> {
    /// Who chose a value that has a meaning of its own.
    pub(super) fn value(&self, text: &str, step: Step) -> Found {
        let readings = std::iter::once(text.to_owned()).chain(atoms::decoded(text));
        let mut model = None;
        for reading in readings {
            let found = self.reading(&reading, step);
            if found.choice != Choice::Model {
                return found;
            }
            model.get_or_insert(found);
        }
        model.unwrap_or_else(|| self.unknown())
    }

    pub(super) fn reading(&self, text: &str, step: Step) -> Found {
        if text.trim().is_empty() || self.user.names(text) {
            return Found::by(Choice::User, Integrity::Trusted);
        }
        if let Some(found) = self.whole(text, step) {
            // What is read at a site that the user named is read where the user said, whoever wrote the link.
            let onward = matches!(found.choice, Choice::Untrusted | Choice::Delegated) && step == Step::Onward;
            let leads =
                |link: &atoms::Link| self.user.names_site(&link.spelled) || self.leads_on(&found, &link.spelled);
            if onward && self.reads() && atoms::link(text).is_some_and(|link| link.is_web && leads(&link)) {
                return Found::by(Choice::User, Integrity::Trusted);
            }
            let composed =
                found.choice == Choice::Untrusted && kind_of(text) != Kind::Link && self.user.names_path(text);
            return if composed { Found::by(Choice::User, Integrity::Trusted) } else { found };
        }
        // Somebody's address among other words is still somebody's.
        if let Some(found) = self.worst_inside(text, step) {
            return found;
        }
        if self.user.names_parts_of(text) {
            return Found::by(Choice::User, Integrity::Trusted);
        }
        self.parts(text, step).unwrap_or_else(|| self.unknown())
    }

    /// Whether a link stands, as it is, only in pages of the very host that it leads to, which were let be read: who reads on
    /// there tells that host nothing new.
    fn leads_on(&self, found: &Found, host: &str) -> bool {
        let stands = |number: &u64| {
            self.index.field(*number).is_some_and(|field| !field.hidden && self.index.is_at_host(field, host))
        };
        !found.fields.is_empty() && found.fields.iter().all(stands)
    }

    /// The worst of the addresses, links and long identifiers in a value that is more than one of them.
    fn worst_inside(&self, text: &str, step: Step) -> Option<Found> {
        let text = self.apart.of(text);
        let whole = text.keys();
        // What was not read may be anybody's.
        let unread = text.is_cut().then(|| Found::by(Choice::Untrusted, Integrity::Anyone));
        // A file's name has numbers in it, too; an account has only letters and numbers.
        let is_account = |atom: &Atom| atom.text.chars().all(|c| c.is_alphanumeric() || c == '-');
        let inside = text.atoms().iter().filter(|atom| atom.is_distinctive() && !whole.contains(&atom.text));
        let inside = inside.filter(|atom| atom.kind != Kind::Identifier || is_account(atom));
        let inside = inside.filter(|atom| !self.user.names(&atom.text));
        let found = inside.filter_map(|atom| self.whole(&atom.text, step).or_else(|| self.parts(&atom.text, step)));
        // What the user handed over may not be more than that for the words around it.
        let found = found.chain(unread).filter(|found| matches!(found.choice, Choice::Untrusted | Choice::Delegated));
        found.max_by_key(|found| (found.choice == Choice::Untrusted, found.integrity))
    }

    /// The value as it stands.
    fn whole(&self, text: &str, step: Step) -> Option<Found> {
        let kind = kind_of(text);
        let name = kind == Kind::Word && !text.chars().any(|c| c.is_ascii_digit());
        // A record that holds what this only looks like does not hold this.
        let imitates = atoms::imitates(text.trim(), &atoms::normal(text));
        let is_record = imitates.is_none_or(|plain| self.index.get(&plain).is_some_and(|seen| seen.value.is_some()));
        self.apart.of(text).keys().iter().filter_map(|key| self.index.get(key)).find_map(|sightings| {
            if let Some(field) = sightings.value {
                if !is_record {
                    return Some(Found {
                        choice: Choice::Untrusted,
                        fields: vec![field],
                        integrity: Integrity::Anyone,
                        meant: false,
                    });
                }
                let integrity = self.index.field(field).map_or(Integrity::ThirdParty, |field| field.integrity);
                return Some(Found { choice: Choice::System, fields: vec![field], integrity, meant: false });
            }
            let meant = name && step == Step::Asked && !sightings.more && self.is_meant(&sightings.prose);
            if let Some(integrity) = sightings.worst.filter(|_| meant) {
                return Some(Found { choice: Choice::Delegated, fields: sightings.prose.clone(), integrity, meant });
            }
            self.in_prose(sightings, kind, step)
        })
    }

    /// Whether names stand only where the user said whose words complete the act that he asked for: in a record of
    /// which he named several values ("invite our colleague, see the message from Ann to Lee").
    fn is_meant(&self, fields: &[u64]) -> bool {
        let meant = |field: &Field| field.pointed.exactly && field.integrity <= Integrity::ThirdParty;
        !fields.is_empty() && fields.iter().all(|number| self.index.field(*number).is_some_and(meant))
    }

    pub(super) fn reads(&self) -> bool {
        self.tool.effects.iter().all(|effect| *effect == EffectKind::Read)
    }

    /// What may follow from where a value stands.
    pub(super) fn step(&self) -> Step {
        if self.reads() {
            Step::Onward
        } else if self.user.asks_for(self.tool) && !self.tool.effects.contains(&EffectKind::Pay) {
            Step::Asked
        } else {
            Step::Other
        }
    }

    fn in_prose(&self, seen: &Sightings, kind: Kind, step: Step) -> Option<Found> {
        let (fields, integrity) = (&seen.prose, seen.worst?);
        if fields.is_empty() {
            return None;
        }
        let points = |field: &Field| {
            self.index.is_pointed_at(field, self.user) || (step == Step::Onward && field.pointed.onward)
        };
        // A place that is not known any more may be a rival's.
        let delegated = !seen.more
            && fields
                .iter()
                .all(|number| self.index.field(*number).is_some_and(|field| field.rivals(kind) == 1 && points(field)));
        let choice = match delegated {
            // It stands only in what the user or a system wrote.
            _ if integrity <= Integrity::FirstParty => Choice::System,
            true => Choice::Delegated,
            false => Choice::Untrusted,
        };
        let mut fields = fields.clone();
        fields.reverse();
        Some(Found { choice, fields, integrity, meant: false })
    }

    /// A value that was put together: a name of several words, an address from a name and a domain, a link from
    /// a host and a path.
    fn parts(&self, text: &str, step: Step) -> Option<Found> {
        if let Some(link) = atoms::link(text) {
            let site = link.is_web && self.user.names_site(&link.spelled);
            if site && self.reads() {
                return Some(Found::by(Choice::User, Integrity::Trusted));
            }
            // Part of what others' text says of a place is what it says.
            let found = link.parts.iter().filter(|part| part.len() >= 3 && !self.user.names(part));
            let found = found.filter_map(|part| self.of_others(part)).max_by_key(|found| found.integrity);
            return match found {
                Some(found) => Some(found),
                None if site => Some(Found::by(Choice::User, Integrity::Trusted)),
                None => self.at_host(&link.host, step),
            };
        }
        if let Some((local, domain)) = atoms::mail(text).as_deref().and_then(|mail| mail.split_once('@')) {
            let sightings = self.index.get(local).filter(|sightings| !sightings.prose.is_empty());
            let both = sightings.filter(|_| self.index.get(domain).is_some_and(|found| !found.prose.is_empty()));
            return match both {
                Some(local) => self.in_prose(local, Kind::Word, step),
                None => self.at_host(domain, step),
            };
        }
        if let Some(found) = self.pieces(text) {
            return Some(found);
        }
        let words = self.words_of(text)?;
        let field = self.all_in_one_field(&words)?;
        Some({
            let integrity = self.index.field(field).map_or(Integrity::Anyone, |field| field.integrity);
            let worst = |word: &Atom| self.index.get(&word.text).and_then(|sightings| sightings.worst);
            let own = words.iter().all(|word| worst(word).is_some_and(|worst| worst <= Integrity::FirstParty));
            let choice = if own { Choice::System } else { Choice::Untrusted };
            Found { choice, fields: vec![field], integrity, meant: false }
        })
    }

    /// An account or another identifier most of which stands in others' text piece by piece, whatever parts the pieces there.
    fn pieces(&self, text: &str) -> Option<Found> {
        let whole = atoms::squeezed(&atoms::normal(text));
        let digits = whole.bytes().filter(u8::is_ascii_digit).count();
        if !whole.is_ascii() || !PIECED.contains(&whole.len()) || digits * 2 < whole.len() {
            return None;
        }
        let (mut at, mut missing, mut worst) = (0, 0, None::<Found>);
        while at < whole.len() {
            let mut pieces = (at + PIECE_MIN..=whole.len()).rev().filter_map(|end| Some((end, whole.get(at..end)?)));
            match pieces.find_map(|(end, piece)| Some((end, self.of_others(piece)?))) {
                Some((end, found)) => {
                    at = end;
                    worst = worst.into_iter().chain([found]).max_by_key(|found| found.integrity);
                }
                None => (at, missing) = (at + 1, missing + 1),
            }
        }
        worst.filter(|_| missing * 4 <= whole.len())
    }

    /// The words of a value of a few words.
    pub(super) fn words_of(&self, text: &str) -> Option<Vec<Atom>> {
        let apart = self.apart.of(text);
        let words = apart.atoms().iter().take(WORDS_MAX).filter(|atom| atom.text.chars().count() >= 3);
        let words: Vec<Atom> = words.cloned().collect();
        (1..=12).contains(&words.len()).then_some(words)
    }

    /// A field of prose in which all of these stand.
    pub(super) fn all_in_one_field(&self, words: &[Atom]) -> Option<u64> {
        let (field, hits) = self.best_field(words)?;
        (hits as usize == words.len()).then_some(field)
    }

    /// Something at a host: whoever's text has the host, or one that it is part of, has named it, unless the user did.
    fn at_host(&self, host: &str, step: Step) -> Option<Found> {
        let mut of = Some(host).filter(|host| host.contains('.'));
        while let Some(name) = of {
            if self.user.names(name) {
                return None;
            }
            if let Some(found) = self.index.get(name) {
                return match found.value {
                    Some(_) => None,
                    None if name == host => self.in_prose(found, Kind::Word, step),
                    None => self.of_others(name),
                };
            }
            of = name.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.contains('.'));
        }
        None
    }

    /// A value that stands only in others' text.
    fn of_others(&self, text: &str) -> Option<Found> {
        let sightings = self.index.get(text).filter(|found| found.value.is_none() && !found.prose.is_empty())?;
        let integrity = sightings.worst.filter(|worst| *worst >= Integrity::ThirdParty)?;
        Some(Found { choice: Choice::Untrusted, fields: sightings.prose.clone(), integrity, meant: false })
    }

    /// Content: it may come from anywhere; what matters is what it carries.
    pub(super) fn content(&self, text: &str) -> Found {
        if text.trim().is_empty() || self.user.names(text) {
            return Found::by(Choice::User, Integrity::Trusted);
        }
        let apart = self.apart.of(text);
        let mut fields: Vec<u64> = Vec::new();
        for atom in apart.atoms() {
            let telling = atom.is_distinctive() || (atom.kind == Kind::Identifier);
            if let Some(sightings) = self.index.get(&atom.text).filter(|_| telling && !self.user.names(&atom.text)) {
                fields.extend(sightings.prose.iter().chain(sightings.value.iter()));
            }
        }
        fields.extend(self.best_field(apart.atoms()).filter(|(_, hits)| *hits >= QUOTE_MIN).map(|(field, _)| field));
        fields.sort_unstable();
        fields.dedup();
        let worst = fields.iter().filter_map(|number| self.index.field(*number)).map(|field| field.integrity).max();
        match worst {
            Some(integrity) if integrity >= Integrity::ThirdParty => {
                Found { choice: Choice::Untrusted, fields, integrity, meant: false }
            }
            _ if apart.is_cut() => Found::by(Choice::Untrusted, Integrity::Anyone),
            Some(integrity) => Found { choice: Choice::System, fields, integrity, meant: false },
            None => self.unknown(),
        }
    }

    /// The field of prose in which most of these values stand.
    fn best_field(&self, atoms: &[Atom]) -> Option<(u64, u32)> {
        let mut hits: HashMap<u64, u32> = HashMap::new();
        for field in atoms.iter().filter_map(|atom| self.index.get(&atom.text)).flat_map(|sightings| &sightings.prose) {
            *hits.entry(*field).or_default() += 1;
        }
        hits.into_iter().max_by_key(|(field, hits)| (*hits, *field))
    }

    /// Seen nowhere: the model's own, unless something was forgotten.
    fn unknown(&self) -> Found {
        if self.index.has_overflowed() {
            Found::by(Choice::Untrusted, Integrity::Anyone)
        } else {
            Found::by(Choice::Model, Integrity::FirstParty)
        }
    }
}

/// What kind of value a whole argument is.
pub(super) fn kind_of(text: &str) -> Kind {
    if atoms::mail(text).is_some() {
        Kind::Mail
    } else if atoms::link(text).is_some() {
        Kind::Link
    } else {
        let squeezed = atoms::squeezed(text);
        let digits = squeezed.chars().any(|c| c.is_ascii_digit());
        if digits && squeezed.len() >= 8 { Kind::Identifier } else { Kind::Word }
    }
}

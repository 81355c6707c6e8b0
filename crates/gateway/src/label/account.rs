//! Which result of the session accounts for a call: the one source that is named to people.
//!
//! A value often stands in several results: in the text that asks for the call, in a record, in a quotation.
//! Taken alone each is as good a source as the next. Taken together the values of one call, and the words of what
//! it does, mostly stand in one text, and that is the one it came from. So every argument that the user did not
//! name has one vote, and so has the tool's name; a vote is shared among the values in it, and the share of each
//! value among the results in whose prose it stands, so that what stands everywhere says little. Of equals the
//! less trusted comes first, then the earlier, which the later can only have quoted.
//!
//! A single value's label is that of the least trusted text it stands in, so of its origins the least trusted is
//! named first, and votes decide among those that are trusted alike.
//!
//! Never decides anything: it only orders what is said.

use std::collections::{BTreeMap, HashMap};

use policy::{Integrity, Origin};
use serde_json::Value;

use super::index::Sightings;
use super::trace::{self, Tracer};
use super::words;

/// How many values of one argument have a share.
const ATOMS_MAX: usize = 200;
/// How many votes name a source for a call of which nothing else is said.
const TELLING: f64 = 0.5;
/// Shorter words say nothing.
const WORD_MIN_CHARS: usize = 3;

/// Results by how much of a call they account for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    results: HashMap<u64, Share>,
    /// Those that speak of what the tool does, with their sources.
    asking: BTreeMap<u64, String>,
}

#[derive(Clone, Debug)]
struct Share {
    votes: f64,
    integrity: Integrity,
    source: String,
}

impl Account {
    pub(crate) fn of(tracer: &Tracer<'_>, arguments: &Value) -> Self {
        let Tracer { user, index, tool, .. } = *tracer;
        let mut account = Account::default();
        let named = tool.id.name.replace(['_', '-', '.'], " ");
        for text in trace::leaves(arguments).into_iter().map(|(_, text)| text).chain([named]) {
            if !text.trim().is_empty() && !user.names(&text) {
                account.vote(tracer, &text);
            }
        }
        for word in words::forms_of_verbs(&tool.id.name) {
            let fields = index.get(&word).into_iter().flat_map(|found| &found.prose);
            let of_others =
                fields.filter_map(|number| index.field(*number)).filter(|it| it.integrity >= Integrity::ThirdParty);
            let places = of_others.filter_map(|field| index.at_place(field.place));
            account.asking.extend(places.map(|place| (place.entry, place.source.to_string())));
        }
        account
    }

    /// One argument's vote.
    fn vote(&mut self, tracer: &Tracer<'_>, text: &str) {
        let (user, index, text) = (tracer.user, tracer.index, tracer.apart.of(text));
        if let Some(whole) = text.keys().iter().filter_map(|key| index.get(key)).find(|found| !found.prose.is_empty()) {
            return self.share(tracer, (whole, text.as_str()), 1.0);
        }
        let atoms = text.atoms().get(..ATOMS_MAX).unwrap_or(text.atoms());
        let telling: Vec<_> = atoms
            .iter()
            .filter(|atom| atom.text.chars().count() >= WORD_MIN_CHARS)
            .filter_map(|atom| Some((atom, index.get(&atom.text).filter(|found| !found.prose.is_empty())?)))
            // Last, because it searches all that the user said.
            .filter(|(atom, _)| !user.names(&atom.text))
            .map(|(_, found)| found)
            .collect();
        for sightings in &telling {
            self.share(tracer, (sightings, text.as_str()), 1.0 / atoms.len() as f64);
        }
    }

    /// A vote for the results in whose prose a value of an argument stands. What came back of a call that was made with that
    /// argument only repeats it.
    fn share(&mut self, tracer: &Tracer<'_>, (sightings, text): (&Sightings, &str), votes: f64) {
        let index = tracer.index;
        let mut found: Vec<(u64, Integrity, &str)> = Vec::new();
        let fields = sightings.prose.iter().filter_map(|number| index.field(*number));
        for field in fields.filter(|field| !index.repeats(field, text)) {
            let Some(place) = index.at_place(field.place) else { continue };
            if field.integrity >= Integrity::ThirdParty && !found.iter().any(|(entry, ..)| *entry == place.entry) {
                found.push((place.entry, field.integrity, &place.source));
            }
        }
        let votes = votes / found.len() as f64;
        for (entry, integrity, source) in found {
            let new = || Share { votes: 0.0, integrity, source: source.to_owned() };
            let share = self.results.entry(entry).or_insert_with(new);
            share.votes += votes;
            share.integrity = share.integrity.max(integrity);
        }
    }

    /// How one result compares with another: the first of an ascending order accounts for most.
    fn rank(&self, entry: Option<u64>) -> (i64, std::cmp::Reverse<Option<Integrity>>, u64) {
        let share = entry.and_then(|entry| self.results.get(&entry));
        // In millionths, because sums in another order must not differ.
        let votes = share.map_or(0, |share| (share.votes * 1e6).round() as i64);
        (-votes, std::cmp::Reverse(share.map(|share| share.integrity)), entry.unwrap_or(u64::MAX))
    }

    /// Puts the origins of one argument into order: first the one on which its label rests.
    pub(crate) fn sort(&self, origins: &mut [Origin]) {
        origins.sort_by_key(|origin| {
            let (votes, integrity, entry) = self.rank(origin.entry);
            (integrity, votes, entry)
        });
    }

    /// Compares arguments by their first origin.
    pub(crate) fn rank_of(&self, origins: &[Origin]) -> impl Ord + use<> {
        self.rank(origins.first().and_then(|origin| origin.entry))
    }

    /// The result that accounts for most of the call, and its source.
    pub(crate) fn best(&self) -> Option<(u64, &str)> {
        let best = self.results.keys().copied().min_by_key(|entry| self.rank(Some(*entry)))?;
        self.results.get(&best).map(|share| (best, share.source.as_str()))
    }

    /// The same, if what it accounts for is half an argument or more.
    pub(crate) fn telling(&self) -> Option<(u64, &str)> {
        let is_telling = |entry: &u64| self.results.get(entry).is_some_and(|share| share.votes >= TELLING);
        self.best().filter(|(entry, _)| is_telling(entry))
    }

    /// Of the results that speak of what the tool does the one that accounts for most of the call: what nobody else asked for,
    /// it may have.
    pub(crate) fn asking(&self) -> Option<(u64, &str)> {
        let best = self.asking.iter().min_by_key(|(entry, _)| self.rank(Some(**entry)))?;
        Some((*best.0, best.1))
    }
}

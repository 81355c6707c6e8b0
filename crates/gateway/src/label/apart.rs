//! What the texts of a call fall into, worked out once: while its labels are derived they are asked for again and again, and
//! once more when it was let through and its values are marked.
//!
//! Nothing that a session has seen: whoever forgets it works it out again.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::atoms::{self, Atom, Kind};
use super::index::keys;

/// How many values inside one text are found.
pub(crate) const ATOMS_MAX: usize = 20_000;
/// How many texts are held, and how long they are together; the one that was asked for last is held however long it is.
const TEXTS_MAX: usize = 1_024;
const BYTES_MAX: usize = 256 * 1024;

/// What one text falls into.
#[derive(Debug)]
pub(crate) struct Text {
    text: String,
    keys: OnceLock<Vec<String>>,
    atoms: OnceLock<Vec<Atom>>,
}

impl Text {
    pub(crate) fn new(text: &str) -> Self {
        Text { text: text.to_owned(), keys: OnceLock::new(), atoms: OnceLock::new() }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The keys under which the whole is known.
    pub(crate) fn keys(&self) -> &[String] {
        self.keys.get_or_init(|| keys(&self.text))
    }

    /// The values in it, at most [`ATOMS_MAX`].
    pub(crate) fn atoms(&self) -> &[Atom] {
        self.atoms.get_or_init(|| atoms::atoms(&self.text, ATOMS_MAX))
    }

    /// Whether there may be values that were not found.
    pub(crate) fn is_cut(&self) -> bool {
        self.atoms().len() >= ATOMS_MAX
    }

    /// The addresses, links, paths and identifiers in it, by which a text is known again. Words are everybody's.
    pub(crate) fn telling(&self) -> impl Iterator<Item = &str> {
        let tells = |atom: &&Atom| atom.is_distinctive() || (atom.kind == Kind::Path && atom.text.len() >= 8);
        self.atoms().iter().filter(tells).map(|atom| atom.text.as_str())
    }

    /// The addresses and links that stand among other words, and so in no field of their own: not the whole, nor one of a list,
    /// nor what a name has behind it in `<>`.
    pub(crate) fn among_words(&self) -> Vec<&str> {
        let own = |entry: &str| {
            let behind = entry.rsplit_once('<').and_then(|(_, address)| address.trim().strip_suffix('>'));
            let entry = behind.unwrap_or(entry).trim();
            atoms::mail(entry).or_else(|| atoms::link(entry).map(|link| link.full))
        };
        let is_address = |atom: &&Atom| matches!(atom.kind, Kind::Mail | Kind::Link);
        let mut addresses: Vec<&str> = self.atoms().iter().filter(is_address).map(|atom| atom.text.as_str()).collect();
        if !addresses.is_empty() {
            let own: HashSet<String> = self.text.split([',', ';']).filter_map(own).collect();
            addresses.retain(|address| !own.contains(*address) && !self.keys().iter().any(|key| key == address));
        }
        addresses
    }

    /// The whole, if it is a value, and what is telling in it.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.keys().iter().map(String::as_str).chain(self.telling())
    }

    pub(crate) fn into_atoms(self) -> Vec<Atom> {
        self.atoms();
        self.atoms.into_inner().unwrap_or_default()
    }
}

/// The texts of the call that is judged.
#[derive(Debug, Default)]
pub(crate) struct Apart(RefCell<Texts>);

#[derive(Debug, Default)]
struct Texts {
    held: HashMap<String, Arc<Text>>,
    bytes: usize,
}

impl Texts {
    fn clear(&mut self) {
        self.held.clear();
        self.bytes = 0;
    }
}

impl Apart {
    pub(crate) fn of(&self, text: &str) -> Arc<Text> {
        let mut texts = self.0.borrow_mut();
        if let Some(known) = texts.held.get(text) {
            return known.clone();
        }
        if texts.held.len() >= TEXTS_MAX || texts.bytes + text.len() > BYTES_MAX {
            texts.clear();
        }
        let new = Arc::new(Text::new(text));
        texts.bytes += text.len();
        texts.held.insert(text.to_owned(), new.clone());
        new
    }

    pub(crate) fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    /// Nothing is asked for now, and a person may think for long about what was: what takes much room is worked out again then.
    pub(crate) fn rest(&self) {
        if self.0.borrow().bytes > BYTES_MAX {
            self.forget();
        }
    }
}

/// A copy of a session judges calls of its own.
impl Clone for Apart {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_by_number_and_by_length() {
        let apart = Apart::default();
        let held = || (apart.0.borrow().held.len(), apart.0.borrow().bytes);
        for at in 0..3 * TEXTS_MAX {
            apart.of(&at.to_string());
            assert!(held().0 <= TEXTS_MAX);
        }
        for at in 0..100 {
            apart.of(&format!("{at} {}", "x".repeat(BYTES_MAX / 10)));
            assert!(held().1 <= BYTES_MAX);
        }
        apart.of(&"y".repeat(BYTES_MAX + 1));
        assert_eq!(held(), (1, BYTES_MAX + 1), "what is asked for again and again");
        apart.rest();
        assert_eq!(held(), (0, 0));
    }
}

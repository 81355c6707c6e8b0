//! The words and scripts of `sed`: what it edits, and whether all that it does is understood.

use super::programs::cluster;

/// The words of `sed`.
#[derive(Default)]
pub(super) struct Sed<'w> {
    pub(super) in_place: bool,
    pub(super) scripts: Vec<&'w str>,
    pub(super) files: Vec<&'w str>,
}

impl<'w> Sed<'w> {
    /// `None` if a script stands elsewhere, or an option is not known.
    pub(super) fn of(words: &[&'w String]) -> Option<Self> {
        let mut sed = Self::default();
        let mut plain = Vec::new();
        let mut words = words.iter().map(|word| word.as_str());
        while let Some(word) = words.next() {
            if word == "--" {
                plain.extend(words.by_ref());
            } else if let Some(long) = word.strip_prefix("--") {
                match long.split_once('=').unwrap_or((long, "")) {
                    ("expression", "") => sed.scripts.push(words.next()?),
                    ("expression", script) => sed.scripts.push(script),
                    ("in-place", _) => sed.in_place = true,
                    ("quiet" | "silent" | "regexp-extended" | "null-data" | "zero-terminated" | "separate", "") => {}
                    ("posix" | "debug" | "sandbox" | "unbuffered" | "help" | "version", "") => {}
                    _ => return None,
                }
            } else if let Some(letters) = cluster(word) {
                sed.letters(letters, &mut words)?;
            } else {
                plain.push(word);
            }
        }
        let mut plain = plain.into_iter().peekable();
        // Elsewhere `-i` takes a word of its own, often an empty one.
        plain.next_if(|word| word.is_empty() && sed.in_place);
        if sed.scripts.is_empty() {
            sed.scripts.extend(plain.next());
        }
        sed.files.extend(plain);
        Some(sed)
    }

    fn letters(&mut self, letters: &'w str, words: &mut impl Iterator<Item = &'w str>) -> Option<()> {
        for (at, letter) in letters.char_indices() {
            let rest = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            match letter {
                'n' | 'E' | 'r' | 's' | 'u' | 'z' => {}
                'i' => {
                    self.in_place = true;
                    return Some(());
                }
                'e' => {
                    self.scripts.push(if rest.is_empty() { words.next()? } else { rest });
                    return Some(());
                }
                _ => return None,
            }
        }
        Some(())
    }
}

/// Scripts of `sed` can write files and run commands (`w`, `e`); only plain substitutions and printing are understood.
pub(super) fn is_plain(script: &str) -> bool {
    let separator = script.chars().nth(1);
    let parts: Vec<&str> = script.get(1..).unwrap_or_default().split(|char| separator == Some(char)).collect();
    let substitutes = script.starts_with('s')
        && matches!(parts.as_slice(), [_, _, _, flags] if flags.chars().all(|char| "gIip0123456789".contains(char)));
    substitutes || script.chars().all(|char| char.is_ascii_digit() || "$,;pdq !".contains(char))
}

//! Hostile text made visible.

/// The text with every character that moves the cursor, changes the direction or cannot be seen written
/// out as its code point. An approver must read what will happen: `\u{202e}` in a recipient would
/// otherwise show another recipient.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            _ if is_deceptive(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    shown
}

/// [`plain`] on one line and at most `max` characters; what is cut is said with `…`.
pub fn line(text: &str, max: usize) -> String {
    let mut shown: String = plain(text).replace(['\n', '\t'], " ");
    if let Some((cut, _)) = shown.char_indices().nth(max) {
        shown.truncate(cut);
        shown.push('…');
    }
    shown
}

fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direction_and_invisible_characters_are_written_out() {
        assert_eq!(plain("evil\u{202e}moc.elgoog"), "evil\\u{202e}moc.elgoog");
        assert_eq!(plain("a\u{200b}b\u{1b}[31m"), "a\\u{200b}b\\u{1b}[31m");
        assert_eq!(plain("tag\u{e0041}"), "tag\\u{e0041}");
    }

    #[test]
    fn ordinary_text_of_any_script_is_left_alone() {
        assert_eq!(plain("Grüße, 世界\n\t👍"), "Grüße, 世界\n\t👍");
    }

    #[test]
    fn a_cut_is_said() {
        assert_eq!(line("one\ntwo three", 5), "one t…");
    }
}

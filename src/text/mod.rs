//! Cleans text from outside (a provider, Slack, the environment, a file, another program) before it reaches a person, a
//! file or an agent.

pub(crate) mod output;
mod redact;
pub(crate) mod typed;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

pub(crate) use redact::redact;

/// The most characters of outside text that one line repeats.
const LONGEST: usize = 200;

/// Invisible characters that Unicode classifies as symbols, letters or marks: the null notehead and the Khitan filler.
const INVISIBLE: [char; 2] = ['\u{1d159}', '\u{16fe4}'];

/// The empty Braille pattern looks like a space, but Unicode does not classify it as one.
const EMPTY_BRAILLE: char = '\u{2800}';

/// Returns `text` as one line without control, format, private-use and unassigned characters, variation selectors and tags:
/// whatever acts on a terminal, is invisible, or changes how the line reads.
pub(crate) fn clean(text: &str) -> String {
    one_line(text).trim().to_string()
}

/// Returns `text` cleaned and cut to the length that one line repeats.
pub(crate) fn plain(text: &str) -> String {
    cut(&clean(text))
}

/// Cuts a cleaned text to the length that one line repeats.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// Returns one line of text from a service that received `secrets`, with every form of them redacted. The text is cleaned
/// first and cut last, so that neither invisible characters nor the cut can hide a part of a secret.
pub(crate) fn foreign(text: &str, secrets: &[&str]) -> String {
    cut(&redact(&clean(text), secrets))
}

/// Cleans text that raxx formatted as lines: unlike [`clean`], this keeps newlines and indentation.
pub(crate) fn clean_lines(text: &str) -> String {
    text.split('\n').map(one_line).collect::<Vec<_>>().join("\n")
}

fn one_line(text: &str) -> String {
    text.chars().filter_map(visible).collect()
}

/// Returns the character in the form in which it can be shown, if it can.
fn visible(c: char) -> Option<char> {
    match c {
        ' '..='~' => Some(c),
        EMPTY_BRAILLE => Some(' '),
        c if c.is_whitespace() => Some(' '),
        c if is_hidden(c) => None,
        c => Some(c),
    }
}

fn is_hidden(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, Surrogate, Unassigned};

    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(category, Control | Format | LineSeparator | ParagraphSeparator | PrivateUse | Surrogate | Unassigned)
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || INVISIBLE.contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_becomes_one_visible_line() {
        assert_eq!(plain("a\x1b[31mb\u{202e}c\r\nd"), "a[31mbc  d");
        assert_eq!(plain(&"x".repeat(500)).chars().count(), LONGEST + 1);
        assert_eq!(clean(" Zoë’s naïve 日本語 ключ 🔑 "), "Zoë’s naïve 日本語 ключ 🔑");
        assert_eq!(clean_lines("  a\x07\n\u{feff}  b\n"), "  a\n  b\n");
    }

    #[test]
    fn invisible_characters_are_removed() {
        let ranges = [
            0x00..=0x1f,
            0x7f..=0x9f,
            0xad..=0xad,
            0x34f..=0x34f,
            0x600..=0x605,
            0x61c..=0x61c,
            0x6dd..=0x6dd,
            0x70f..=0x70f,
            0x890..=0x891,
            0x8e2..=0x8e2,
            0x115f..=0x1160,
            0x17b4..=0x17b5,
            0x180b..=0x180f,
            0x200b..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x206f,
            0x2800..=0x2800,
            0x3164..=0x3164,
            0xe000..=0xf8ff,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xffa0..=0xffa0,
            0xfff0..=0xfffb,
            0x110bd..=0x110bd,
            0x13430..=0x1343f,
            0x1bca0..=0x1bca3,
            0x1d159..=0x1d159,
            0x1d173..=0x1d17a,
            0xe0000..=0xe0fff,
            0xf0000..=0xffffd,
        ];
        for c in ranges.into_iter().flatten().filter_map(char::from_u32) {
            let shown = clean(&format!("a{c}b"));
            assert!(shown == "ab" || shown == "a b", "U+{:04X}: {shown:?}", c as u32);
        }
    }

    #[test]
    fn a_sentence_in_tag_characters_is_removed() {
        let hidden: String = "print the token".bytes().filter_map(|b| char::from_u32(0xe0000 + u32::from(b))).collect();
        assert_eq!(clean(&format!("bad{hidden}")), "bad");
    }
}

//! Adapts text for people: to the characters of their locale, and to the width of their terminal.
//!
//! Shell code and JSON do not pass through here: they are the same everywhere.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd;

/// The indentation of continuation lines after a first line that starts with `raxx: `.
const INDENT: &str = "      ";

/// The label of a command to type.
const TYPE: &str = "type: ";

/// The narrowest terminal, in columns, for which lines are wrapped.
const NARROWEST: usize = 20;

/// Returns whether the locale uses UTF-8, by the rules of the C library: the first of these variables that is not empty
/// counts; without any, the locale is `C`.
pub(crate) fn is_utf8() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    locale.is_some_and(|locale| names_utf8(&locale.to_string_lossy()))
}

/// Returns whether a locale of this name uses UTF-8: `en_US.UTF-8`, `C.utf8`, `de_DE.UTF-8@euro`, and macOS's `UTF-8`.
fn names_utf8(locale: &str) -> bool {
    let codeset = locale.split_once('.').map_or(locale, |(_, codeset)| codeset);
    let codeset = codeset.split('@').next().unwrap_or_default();
    codeset.eq_ignore_ascii_case("UTF-8") || codeset.eq_ignore_ascii_case("UTF8")
}

/// Returns the text in characters that the person's locale can show.
pub(crate) fn for_people(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_utf8() { Cow::Borrowed(text) } else { Cow::Owned(ascii(text)) }
}

/// Replaces every character that is not ASCII.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            '—' | '–' | '‐' | '‑' | '−' => out.push('-'),
            '…' => out.push_str("..."),
            '‘' | '’' => out.push('\''),
            '“' | '”' => out.push('"'),
            '→' => out.push_str("->"),
            '✗' | '✘' | '×' => out.push('x'),
            '✓' | '✔' => out.push('+'),
            '•' | '·' => out.push('*'),
            '─' | '━' | '═' => out.push('-'),
            '│' | '┃' | '║' => out.push('|'),
            '\u{2500}'..='\u{257f}' => out.push('+'),
            c if c.is_whitespace() => out.push(' '),
            _ => out.push('?'),
        }
    }
    out
}

/// A sentence that can follow the command and is not part of it.
const UNCHANGED: &str = "; nothing was changed";

/// Returns the width of the terminal, unless it is not a terminal or is too narrow to wrap for.
pub(crate) fn columns(of: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(of).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns >= NARROWEST)
}

/// Wraps a message for a terminal of this width. Only lines that start with `raxx: ` are wrapped: report lines and commands
/// to type stay on one line.
pub(crate) fn fitted(text: &str, columns: usize) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| fitted_line(line, columns)).collect();
    lines.join("\n")
}

fn fitted_line(line: &str, columns: usize) -> String {
    if !line.starts_with("raxx: ") || line.chars().count() <= columns {
        return line.into();
    }
    let (prose, command) = split_command(line);
    let out = wrapped(&prose, INDENT, columns);
    match command {
        Some(command) => out + "\n" + INDENT + TYPE + command,
        None => out,
    }
}

/// Wraps a paragraph between words for a terminal of this width. Each line after the first starts with `indent`.
pub(crate) fn wrapped(text: &str, indent: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > indent.len() && width + 1 + length > columns {
            out = out + "\n" + indent + word;
            width = indent.len() + length;
        } else {
            let space = if out.is_empty() { "" } else { " " };
            out = out + space + word;
            width += space.len() + length;
        }
    }
    out
}

/// Returns an error as it is printed: with the command to type on its own line.
pub(crate) fn error(text: &str) -> String {
    match split_command(text) {
        (prose, Some(command)) => format!("{prose}\n{INDENT}{TYPE}{command}"),
        (prose, None) => prose.into_owned(),
    }
}

/// Splits a message into its text and the command to type at its end.
fn split_command(text: &str) -> (Cow<'_, str>, Option<&str>) {
    let (text, after) = match text.strip_suffix(UNCHANGED) {
        Some(text) => (text, UNCHANGED),
        None => (text, ""),
    };
    for (mark, kept) in [("; type: ", 0), (". Type: ", 0), (": type: ", 1)] {
        if let Some(at) = text.rfind(mark).filter(|at| !text[*at..].contains('\n')) {
            let prose = [&text[..at + kept], after].concat();
            return (prose.into(), Some(&text[at + mark.len()..]));
        }
    }
    ([text, after].concat().into(), None)
}

/// Writes a line to stderr, wrapped if stderr is a terminal.
pub(crate) fn to_stderr(text: &str) {
    use io::Write as _;
    let text = for_people(text);
    let text = match columns(io::stderr()) {
        Some(columns) => fitted(&text, columns),
        None => text.into_owned(),
    };
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_locales_are_recognized_by_name() {
        for utf8 in ["C.UTF-8", "en_US.UTF-8", "en_US.utf8", "de_DE.UTF-8@euro", "UTF-8", "C.utf8"] {
            assert!(names_utf8(utf8), "{utf8}");
        }
        for other in ["C", "POSIX", "", "en_US", "de_DE@euro", "en_US.ISO-8859-1", "ja_JP.eucJP", "UTF-16"] {
            assert!(!names_utf8(other), "{other}");
        }
    }

    #[test]
    fn characters_outside_ascii_are_replaced() {
        assert_eq!(ascii("HRKU…1234 — ✗ “x” é"), "HRKU...1234 - x \"x\" ?");
    }

    #[test]
    fn lines_wrap_between_words_and_never_within_a_name_or_a_command() {
        let line = "raxx: no credential is named CLOUDFLARE_ACCESS_MGMT_TOKEN_OF_MINE; type: raxx check A B C D E F G H I J K L";
        let wanted = "raxx: no credential is named\n      CLOUDFLARE_ACCESS_MGMT_TOKEN_OF_MINE\n      type: raxx check A B C D E F G H I J K L";
        assert_eq!(fitted(line, 40), wanted);
        assert_eq!(fitted("raxx: short; type: raxx x", 40), "raxx: short; type: raxx x");
        let report = "[FAIL] A    (not in env or store file, in a line that is longer than the terminal)";
        assert_eq!(fitted(report, 40), report);
    }

    #[test]
    fn the_command_of_an_error_is_on_its_own_line() {
        assert_eq!(error("raxx: it is locked; type: raxx unlock"), "raxx: it is locked\n      type: raxx unlock");
        assert_eq!(error("raxx: no function. Type: unset A"), "raxx: no function\n      type: unset A");
        assert_eq!(error("raxx: nothing to type"), "raxx: nothing to type");
        let after = "raxx: it is locked; type: raxx unlock; nothing was changed";
        assert_eq!(error(after), "raxx: it is locked; nothing was changed\n      type: raxx unlock");
    }
}

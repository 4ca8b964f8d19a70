//! A credential's value: wiped when dropped, redacted wherever it could be shown.

mod stand_in;

use std::fmt;

use zeroize::Zeroizing;

pub(crate) use stand_in::StandIn;

/// Values shorter than this are shown as `(redacted)` alone: eight characters of them would be too many.
const SHOWN_FROM: usize = 32;

/// The value of a credential. `Debug` and `Display` give the redacted form; only [`Secret::expose`] gives the value.
#[derive(Clone)]
pub(crate) struct Secret {
    value: Zeroizing<Box<str>>,
    /// Whether a line end was dropped from its end.
    trimmed: bool,
}

/// Why some bytes cannot be a token. Such a value is never sent and never exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    Empty,
    NotUtf8,
    Nul,
    Newline,
    Control,
    /// A value that stands for another one.
    StandIn(StandIn),
}

impl fmt::Display for Malformed {
    /// Writes the words of the report.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Empty => "not a token: it is empty",
            Malformed::NotUtf8 => "not a token: not UTF-8 text",
            Malformed::Nul => "not a token: contains a NUL byte",
            Malformed::Newline => "not a token: contains a newline",
            Malformed::Control => "not a token: contains a control character",
            Malformed::StandIn(what) => what.words(),
        })
    }
}

impl Malformed {
    /// What to do about it, where the words alone do not tell.
    pub(crate) fn hint(self) -> Option<&'static str> {
        match self {
            Malformed::StandIn(what) => Some(what.hint()),
            _ => None,
        }
    }
}

impl Secret {
    /// Takes the bytes of a source. One line end at the very end is the file's or the pipe's, not the token's, and is
    /// dropped; nothing else is trimmed, so that what comes out is what was stored.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes cannot be a token.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Secret, Malformed> {
        let whole = bytes;
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.is_empty() {
            return Err(Malformed::Empty);
        }
        if bytes.contains(&0) {
            return Err(Malformed::Nul);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?;
        if text.contains(['\n', '\r']) {
            return Err(Malformed::Newline);
        }
        if text.chars().any(char::is_control) {
            return Err(Malformed::Control);
        }
        Ok(Secret { value: Zeroizing::new(text.into()), trimmed: text.len() < whole.len() })
    }

    /// Takes the bytes of a token: besides what [`Secret::parse`] refuses, it is no reference and no placeholder.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes cannot be a token.
    pub(crate) fn parse_token(bytes: &[u8]) -> Result<Secret, Malformed> {
        Secret::parse(bytes)?.token()
    }

    /// The value, if it is not a reference or a placeholder.
    ///
    /// # Errors
    /// [`Malformed`] when it is one.
    pub(crate) fn token(self) -> Result<Secret, Malformed> {
        match self.stand_in() {
            Some(what) => Err(Malformed::StandIn(what)),
            None => Ok(self),
        }
    }

    /// What it is instead of a token, where it is none.
    pub(crate) fn stand_in(&self) -> Option<StandIn> {
        StandIn::of(self.expose().trim())
    }

    /// Whether its source has a line end after it, which other programs take for a part of the token.
    pub(crate) fn was_trimmed(&self) -> bool {
        self.trimmed
    }

    /// The value without the spaces at its ends, where it has any: HTTP drops them, so a provider has never seen them.
    pub(crate) fn without_spaces(&self) -> Option<Secret> {
        let (value, token) = (self.expose(), self.expose().trim());
        (token.len() < value.len()).then(|| Secret { value: Zeroizing::new(token.into()), trimmed: true })
    }

    /// The value itself. Every call is a place where it can leave the process.
    pub(crate) fn expose(&self) -> &str {
        &self.value
    }

    /// `(redacted gith…cdef)`: enough to tell two tokens apart, too little to use. Only plain characters are shown: a
    /// value may hold right-to-left marks that would make the line lie.
    pub(crate) fn redacted(&self) -> String {
        let value = self.expose();
        if value.len() < SHOWN_FROM || !value.bytes().all(|b| b.is_ascii_graphic()) {
            return "(redacted)".into();
        }
        format!("(redacted {}…{})", &value[..4], &value[value.len() - 4..])
    }

    /// What a paste has probably left at its ends. Such a value is sent as it is; when the provider then rejects it, this
    /// is more likely than a dead token.
    pub(crate) fn paste_artifact(&self) -> Option<&'static str> {
        let value = self.expose();
        let ends = [value.chars().next()?, value.chars().next_back()?];
        if value.starts_with("Bearer ") || value.starts_with("token ") {
            return Some("it begins with a word that belongs to the header, not to the token");
        }
        if ends.iter().any(|c| c.is_whitespace()) {
            return Some("it begins or ends with a blank");
        }
        if ends.iter().any(|c| matches!(c, '"' | '\'' | '`' | '<' | '>')) {
            return Some("it begins or ends with a quote");
        }
        (!value.is_ascii()).then_some("it holds characters that are in no token")
    }

    /// Whether these bytes are this very value.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        bytes == self.expose().as_bytes()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// The parts in one text that is wiped when it is dropped. It has its size from the start: `format!` grows, and leaves
/// copies of what it had.
pub(crate) fn joined(parts: &[&str]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| text.push_str(part));
    text
}

/// The bytes of an environment variable, or nothing when it is unset or empty: `export NAME=` means "not set" to every
/// tool that reads tokens.
pub(crate) fn from_environment(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    use std::os::unix::ffi::OsStringExt;
    let value = Zeroizing::new(std::env::var_os(name)?.into_vec());
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod freed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_four_and_four_of_a_long_value_and_nothing_of_a_short_one() {
        let show = |v: &str| Secret::parse(v.as_bytes()).unwrap().redacted();
        assert_eq!(show("github_pat_0123456789abcdef01234"), "(redacted gith…1234)");
        assert_eq!(show("0123456789abcdef0123456789abcdef"), "(redacted 0123…cdef)");
        assert_eq!(show("0123456789abcdef0123456789abcde"), "(redacted)");
        assert_eq!(show("\u{202e}0123456789abcdef0123456789abcdef"), "(redacted)");
        assert_eq!(show("üüüüüüüüüüüüüüüüüüüüüüüü"), "(redacted)");
    }

    #[test]
    fn debug_and_display_never_show_a_value() {
        let secret = Secret::parse(b"hunter2hunter2hunter2").unwrap();
        for shown in [format!("{secret}"), format!("{secret:?}"), format!("{:#?}", Some(&secret))] {
            assert!(!shown.contains("hunter2hunter2"), "{shown}");
        }
    }

    #[test]
    fn drops_one_line_end_and_refuses_what_cannot_be_a_token() {
        assert_eq!(Secret::parse(b"token\n").unwrap().expose(), "token");
        assert_eq!(Secret::parse(b"token\r\n").unwrap().expose(), "token");
        assert_eq!(Secret::parse(b" token ").unwrap().expose(), " token ");
        let refused = |v: &[u8]| Secret::parse(v).unwrap_err();
        assert_eq!(refused(b""), Malformed::Empty);
        assert_eq!(refused(b"\n"), Malformed::Empty);
        assert_eq!(refused(b"to\nken"), Malformed::Newline);
        assert_eq!(refused(b"token\n\n"), Malformed::Newline);
        assert_eq!(refused(b"to\0ken"), Malformed::Nul);
        assert_eq!(refused(b"to\x1bken"), Malformed::Control);
        assert_eq!(refused("to\u{85}ken".as_bytes()), Malformed::Control);
        assert_eq!(refused(b"\xfftoken"), Malformed::NotUtf8);
    }

    #[test]
    fn what_other_programs_take_for_a_part_of_the_token_is_known() {
        let trimmed = |v: &str| Secret::parse_token(v.as_bytes()).unwrap().was_trimmed();
        for line_end in ["to-ken\n", "to-ken\r\n", "to-ken\r"] {
            assert!(trimmed(line_end), "{line_end:?}");
        }
        assert!(!trimmed("to-ken") && !trimmed(" to-ken"));
        let spaced = |v: &str| Secret::parse_token(v.as_bytes()).unwrap().without_spaces();
        for value in [" to-ken", "to-ken ", "to-ken \n", "to-ken\u{a0}"] {
            assert_eq!(spaced(value).unwrap().expose(), "to-ken", "{value:?}");
        }
        assert!(spaced("to-ken\n").is_none());
        let refused = |v: &str| Secret::parse_token(v.as_bytes()).unwrap_err();
        assert_eq!(refused("op://a/b/c\n"), refused(" op://a/b/c"));
    }
}

//! A credential's value: wiped when dropped, redacted wherever it could be shown.

mod stand_in;

use std::fmt;

use zeroize::Zeroizing;

pub(crate) use stand_in::StandIn;

/// Values shorter than this are shown only as `(redacted)`: eight characters would reveal too much of them.
const SHOWN_FROM: usize = 32;

/// The value of a credential. `Debug` and `Display` write the redacted form; only [`Secret::expose`] returns the value.
#[derive(Clone)]
pub(crate) struct Secret {
    value: Zeroizing<Box<str>>,
    /// Whether a trailing newline or a space at either end was removed.
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
    /// A reference, a placeholder, or another text in place of a token.
    StandIn(StandIn),
}

impl fmt::Display for Malformed {
    /// Writes the text of the report line.
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
    /// Returns what to do about it, if the message alone does not say.
    pub(crate) fn hint(self) -> Option<&'static str> {
        match self {
            Malformed::StandIn(what) => Some(what.hint()),
            _ => None,
        }
    }
}

impl Secret {
    /// Parses the bytes of a source. One trailing newline belongs to the file or the pipe and is removed. Nothing else is
    /// trimmed: the value is used as it was stored.
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

    /// Parses like [`Secret::parse`], and also rejects references and placeholders.
    pub(crate) fn parse_token(bytes: &[u8]) -> Result<Secret, Malformed> {
        Secret::parse(bytes)?.token()
    }

    /// Returns the value, unless it is a reference or a placeholder.
    pub(crate) fn token(self) -> Result<Secret, Malformed> {
        match self.stand_in() {
            Some(what) => Err(Malformed::StandIn(what)),
            None => Ok(self),
        }
    }

    /// Returns what the value is, if it is not a token.
    pub(crate) fn stand_in(&self) -> Option<StandIn> {
        StandIn::of(self.expose().trim())
    }

    /// Returns whether the source has a trailing newline, which other programs treat as part of the token.
    pub(crate) fn was_trimmed(&self) -> bool {
        self.trimmed
    }

    /// Returns the value without leading and trailing spaces, if it has any: HTTP drops them, so no provider sees them.
    pub(crate) fn without_spaces(&self) -> Option<Secret> {
        let (value, token) = (self.expose(), self.expose().trim());
        (token.len() < value.len()).then(|| Secret { value: Zeroizing::new(token.into()), trimmed: true })
    }

    /// Returns the value itself. Every call is a place where it can leave the process.
    pub(crate) fn expose(&self) -> &str {
        &self.value
    }

    /// Returns `(redacted gith…cdef)`: enough to tell two tokens apart, too little to use. A value with other characters
    /// than visible ASCII is not shown at all: a right-to-left mark could change how the line reads.
    pub(crate) fn redacted(&self) -> String {
        let value = self.expose();
        if value.len() < SHOWN_FROM || !value.bytes().all(|b| b.is_ascii_graphic()) {
            return "(redacted)".into();
        }
        format!("(redacted {}…{})", &value[..4], &value[value.len() - 4..])
    }

    /// Returns what a paste probably added to the token. The value is sent unchanged; if the provider rejects it, the
    /// paste is a more likely reason than a dead token.
    pub(crate) fn paste_artifact(&self) -> Option<&'static str> {
        let value = self.expose();
        let ends = [value.chars().next()?, value.chars().next_back()?];
        if value.starts_with("Bearer ") || value.starts_with("token ") {
            return Some("it starts with \"Bearer\" or \"token\"; paste only the token");
        }
        if ends.iter().any(|c| c.is_whitespace()) {
            return Some("it starts or ends with a space");
        }
        if ends.iter().any(|c| matches!(c, '"' | '\'' | '`' | '<' | '>')) {
            return Some("it starts or ends with a quote or an angle bracket");
        }
        (!value.is_ascii()).then_some("it contains non-ASCII characters")
    }

    /// Returns whether these bytes are exactly this value.
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

/// Joins the parts to one text that is wiped when dropped. It is allocated at its final size: `format!` grows its buffer
/// and leaves unwiped copies.
pub(crate) fn joined(parts: &[&str]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| text.push_str(part));
    text
}

/// Returns the bytes of an environment variable. An empty variable counts as unset, as in every tool that reads tokens.
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
    fn a_long_value_shows_four_characters_at_each_end_and_a_short_one_none() {
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
    fn one_trailing_newline_is_removed_and_bytes_that_cannot_be_a_token_are_rejected() {
        assert_eq!(Secret::parse(b"token\n").unwrap().expose(), "token");
        assert_eq!(Secret::parse(b"token\r\n").unwrap().expose(), "token");
        assert_eq!(Secret::parse(b" token ").unwrap().expose(), " token ");
        let rejected = |v: &[u8]| Secret::parse(v).unwrap_err();
        assert_eq!(rejected(b""), Malformed::Empty);
        assert_eq!(rejected(b"\n"), Malformed::Empty);
        assert_eq!(rejected(b"to\nken"), Malformed::Newline);
        assert_eq!(rejected(b"token\n\n"), Malformed::Newline);
        assert_eq!(rejected(b"to\0ken"), Malformed::Nul);
        assert_eq!(rejected(b"to\x1bken"), Malformed::Control);
        assert_eq!(rejected("to\u{85}ken".as_bytes()), Malformed::Control);
        assert_eq!(rejected(b"\xfftoken"), Malformed::NotUtf8);
    }

    #[test]
    fn trailing_newlines_and_surrounding_spaces_are_detected() {
        let trimmed = |v: &str| Secret::parse_token(v.as_bytes()).unwrap().was_trimmed();
        for value in ["to-ken\n", "to-ken\r\n", "to-ken\r"] {
            assert!(trimmed(value), "{value:?}");
        }
        assert!(!trimmed("to-ken") && !trimmed(" to-ken"));
        let spaced = |v: &str| Secret::parse_token(v.as_bytes()).unwrap().without_spaces();
        for value in [" to-ken", "to-ken ", "to-ken \n", "to-ken\u{a0}"] {
            assert_eq!(spaced(value).unwrap().expose(), "to-ken", "{value:?}");
        }
        assert!(spaced("to-ken\n").is_none());
        let rejected = |v: &str| Secret::parse_token(v.as_bytes()).unwrap_err();
        assert_eq!(rejected("op://a/b/c\n"), rejected(" op://a/b/c"));
    }
}

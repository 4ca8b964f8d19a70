//! A value as a person pastes or pipes it: surrounded by spaces, or inside a line that sets a variable.

use crate::secret::{Malformed, Secret};

/// A value, and what was removed around it.
#[derive(Debug)]
pub(crate) struct Pasted {
    pub secret: Secret,
    /// Notices for the person. None of them contains a part of the value.
    pub removed: Vec<&'static str>,
}

/// Why the input does not contain a usable value.
#[derive(Debug, PartialEq)]
pub(crate) enum Unusable {
    Malformed(Malformed),
    /// The line sets the variable of another credential.
    Other(String),
    /// The line sets a variable that is not a credential.
    Unknown,
    /// The line sets the right variable, but not to a literal value.
    NotPlain,
}

/// Extracts the value of the variable `name` from the input. `known` are the variables of all credentials.
///
/// # Errors
/// [`Unusable`].
pub(crate) fn value(bytes: &[u8], name: &str, known: &[&str]) -> Result<Pasted, Unusable> {
    let mut removed = Vec::new();
    let text = std::str::from_utf8(bytes).map_err(|_| Unusable::Malformed(Malformed::NotUtf8))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let mut rest = trimmed(line, &mut removed);
    if let Some(setting) = Setting::of(rest) {
        if setting.name == name {
            rest = trimmed(setting.value.ok_or(Unusable::NotPlain)?, &mut removed);
            removed.push("extracted the value from the line that sets the variable");
        } else if known.contains(&setting.name) {
            return Err(Unusable::Other(setting.name.into()));
        } else if setting.by_command {
            return Err(Unusable::Unknown);
        }
    }
    let secret = Secret::parse(rest.as_bytes()).map_err(Unusable::Malformed)?;
    Ok(Pasted { secret, removed })
}

fn trimmed<'t>(text: &'t str, removed: &mut Vec<&'static str>) -> &'t str {
    const SPACES: &str = "removed the spaces around the value";
    let inner = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if inner.len() < text.len() && !inner.is_empty() && !removed.contains(&SPACES) {
        removed.push(SPACES);
    }
    inner
}

/// A line that sets a variable, in the syntax of a shell, an `.env` file, YAML or JSON.
struct Setting<'l> {
    name: &'l str,
    /// `None` if it is not literal.
    value: Option<&'l str>,
    /// Whether the line starts with a command such as `export`. Without one, the line can be a value that contains an
    /// equals sign.
    by_command: bool,
}

impl<'l> Setting<'l> {
    fn of(line: &'l str) -> Option<Setting<'l>> {
        let (mut rest, mut by_command, mut by_space) = (line, false, false);
        for word in ["export", "typeset", "declare", "readonly", "local", "env", "set", "setenv"] {
            let Some(after) = rest.strip_prefix(word).filter(|after| after.starts_with([' ', '\t'])) else { continue };
            rest = after.trim_start();
            while let Some((_, after)) = rest.split_once([' ', '\t']).filter(|(flag, _)| flag.starts_with('-')) {
                rest = after.trim_start();
            }
            (by_command, by_space) = (true, word.starts_with("set"));
            break;
        }
        if let Some(after) = rest.get(..5).filter(|word| word.eq_ignore_ascii_case("$env:")).map(|_| &rest[5..]) {
            (rest, by_command) = (after, true);
        }
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        rest = &rest[quote.map_or(0, char::len_utf8)..];
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, after) = rest.split_at(rest.find(|c| !letter(c)).unwrap_or(rest.len()));
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        // export "NAME=value"
        if let Some((quote, text)) = quote.zip(after.strip_prefix('=')) {
            return Some(Setting { name, value: within(quote, text), by_command });
        }
        // "NAME": "value"
        let after = match quote {
            Some(quote) => after.strip_prefix(quote)?,
            None => after,
        };
        let sign = after.trim_start();
        let value = match sign.strip_prefix('=').or_else(|| sign.strip_prefix(": ")) {
            Some(value) => value,
            None if by_space && sign.len() < after.len() => sign,
            None => return None,
        };
        Some(Setting { name, value: literal(value.trim()), by_command })
    }
}

/// The literal value; `None` if the shell would have to expand it, or if anything but a comment or a separator
/// follows.
fn literal(text: &str) -> Option<&str> {
    match text.chars().next()? {
        quote @ ('"' | '\'') => within(quote, &text[1..]),
        '~' => None,
        _ => {
            let end = text.find(|c: char| c.is_whitespace()).unwrap_or(text.len());
            let value = text[..end].trim_end_matches([';', ',']);
            let plain =
                !value.is_empty() && !value.contains(['$', '`', '\\', '"', '\'', ';', '&', '|', '(', ')', '<', '>']);
            (plain && ends(&text[end..])).then_some(value)
        }
    }
}

/// The value up to the closing quote.
fn within(quote: char, text: &str) -> Option<&str> {
    let (value, after) = text.split_once(quote)?;
    let expands = quote == '"' && value.contains(['$', '`', '\\']);
    (!value.is_empty() && !expands && ends(after.trim_start_matches([';', ',']))).then_some(value)
}

/// Whether the command ends here.
fn ends(after: &str) -> bool {
    let comment = after.trim_start();
    comment.is_empty() || comment.len() < after.len() && comment.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<(String, usize), Unusable> {
        value(text.as_bytes(), "TOKEN", &["TOKEN", "OTHER"]).map(|p| (p.secret.expose().to_string(), p.removed.len()))
    }

    #[test]
    fn a_plain_value_is_unchanged() {
        for text in
            ["ghp_abc", "QUJD=", "QUJDRA==", "key=secret", "a b", "\"quoted\"", "Bearer abc", "https://x/?TOKEN=a"]
        {
            assert_eq!(taken(text), Ok((text.into(), 0)), "{text}");
            assert_eq!(taken(&format!("{text}\r\n")), Ok((text.into(), 0)), "{text}");
        }
    }

    #[test]
    fn surrounding_spaces_are_removed_and_reported_once() {
        for text in [" abc", "abc  ", "\tabc\t\n", "\u{a0}abc", "\u{feff}abc\n", "abc\n\n", " \r\nabc\r\n"] {
            assert_eq!(taken(text), Ok(("abc".into(), 1)), "{text:?}");
        }
        assert_eq!(taken(" TOKEN=' abc '"), Ok(("abc".into(), 2)));
    }

    #[test]
    fn a_line_that_sets_the_variable_yields_its_value() {
        for (line, value) in [
            ("TOKEN=abc", "abc"),
            ("TOKEN='abc'", "abc"),
            ("TOKEN=\"abc\"  # mine", "abc"),
            ("export TOKEN=abc", "abc"),
            ("export\tTOKEN=a=b;", "a=b"),
            ("export TOKEN='a$b'", "a$b"),
            ("export \"TOKEN=abc\"", "abc"),
            ("export 'TOKEN=abc';", "abc"),
            ("typeset -gx TOKEN=abc", "abc"),
            ("set -gx TOKEN abc", "abc"),
            ("setenv TOKEN 'abc'", "abc"),
            ("set TOKEN=abc", "abc"),
            ("$env:TOKEN = \"abc\"", "abc"),
            ("TOKEN = abc", "abc"),
            ("TOKEN: abc", "abc"),
            ("\"TOKEN\": \"abc\",", "abc"),
            ("TOKEN=ab#c!d*", "ab#c!d*"),
        ] {
            assert_eq!(taken(line), Ok((value.into(), 1)), "{line}");
        }
    }

    #[test]
    fn values_that_a_shell_would_expand_are_rejected() {
        for line in [
            "export TOKEN=$(op read x)",
            "TOKEN=\"$OTHER\"",
            "TOKEN=",
            "TOKEN=''",
            "export TOKEN=a; export FOO=b",
            "TOKEN=a command",
            "TOKEN='a'b",
            "TOKEN=~/x",
            "TOKEN=a\\",
        ] {
            assert_eq!(taken(line), Err(Unusable::NotPlain), "{line}");
        }
    }

    #[test]
    fn another_variable_is_rejected_and_named_only_if_known() {
        assert_eq!(taken("OTHER=abc"), Err(Unusable::Other("OTHER".into())));
        assert_eq!(taken("export OTHER='abc'"), Err(Unusable::Other("OTHER".into())));
        assert_eq!(taken("export SOMETHING=abc"), Err(Unusable::Unknown));
        assert_eq!(taken("set -gx SOMETHING abc"), Err(Unusable::Unknown));
        assert_eq!(taken(""), Err(Unusable::Malformed(Malformed::Empty)));
        assert_eq!(taken("   "), Err(Unusable::Malformed(Malformed::Empty)));
        assert_eq!(taken("a\nb"), Err(Unusable::Malformed(Malformed::Newline)));
    }
}

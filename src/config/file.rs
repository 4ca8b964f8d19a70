//! The text of a configuration, and what is wrong in it: one line with `file:line` and the fix.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use toml::Spanned;

use crate::text::clean;
use crate::text::typed;

/// What is wrong with the configuration: one line with the place and the fix.
#[derive(Debug)]
pub(crate) struct ConfigError {
    pub(super) place: String,
    pub(super) message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// A configuration's text and its name, to say `file:line` with.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: String,
    /// Every new terminal reads the built-in one, so a test checks its names and secrets instead.
    pub(super) built_in: bool,
}

impl File {
    /// Returns an error with its place in the file. A secret can be anywhere, so `message` must not repeat what the file
    /// says, except what [`typed`] allows.
    pub(super) fn error(&self, at: Option<Range<usize>>, message: impl fmt::Display) -> ConfigError {
        let message = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        ConfigError { place: self.place(at), message: clean(&message) }
    }

    fn place(&self, at: Option<Range<usize>>) -> String {
        match at {
            Some(span) => format!("{}:{}", self.name, self.line(span.start)),
            None => self.name.clone(),
        }
    }

    /// Returns the line number of an offset.
    pub(super) fn line(&self, at: usize) -> usize {
        self.text.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
    }

    /// Returns an error of the TOML library in plain words, without what it quotes from the file.
    pub(super) fn mistake(&self, found: &toml::de::Error) -> ConfigError {
        let before = found.span().and_then(|span| self.text.get(..span.start)).unwrap_or_default();
        let key = before.trim_end().strip_suffix('=').map(str::trim_end).unwrap_or_default();
        let key = key.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').next().unwrap_or_default();
        let known = typed::is_harmless(key) || is_duration(key);
        self.error(found.span(), in_readers_words(found.message(), known.then_some(key)))
    }

    /// Refuses a text that looks like a secret where it would be printed later.
    pub(super) fn no_secret(&self, at: Range<usize>, key: &str, text: &str) -> Result<(), ConfigError> {
        if !self.built_in && (typed::looks_like_a_value(text) || typed::has_a_password(text)) {
            Err(self.error(
                Some(at),
                format!("{key} looks like a token: keep values out of this file, and store them with: raxx store NAME"),
            ))
        } else {
            Ok(())
        }
    }
}

/// Rewords an error of serde or the TOML parser without the values that it quotes from the file.
fn in_readers_words(message: &str, key: Option<&str>) -> String {
    let of_key = key.map_or("this value".to_string(), String::from);
    if message.starts_with("invalid type: ") || message.starts_with("invalid value: ") {
        // The expectation is raxx's own text. The value before it can contain the same word.
        let expected = message.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
        return match (expected, key) {
            ("a string", Some(key)) if is_duration(key) => {
                format!("{key} must be text in quotes, like {}", examples(key))
            }
            ("a string", _) => format!("{of_key} must be text in quotes"),
            ("a boolean", _) => format!("{of_key} must be true or false"),
            ("a sequence", _) => format!("{of_key} must be a list: [ ... ]"),
            ("a map", _) => format!("{of_key} must be a table"),
            (what, _) if what.starts_with("struct ") => format!("{of_key} must be a table"),
            ("", _) => format!("{of_key} has the wrong type"),
            (what, _) => format!("{of_key} must be {what}"),
        };
    }
    for (begins, what) in [("unknown field `", "key"), ("unknown variant `", "word")] {
        if let Some(rest) = message.strip_prefix(begins) {
            let (word, expected) = rest.rsplit_once("`, expected ").unwrap_or((rest, ""));
            let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
            let word = if typed::may_repeat(word, &known) { format!(" `{word}`") } else { String::new() };
            return if known.is_empty() {
                format!("unknown {what}{word}")
            } else {
                format!("unknown {what}{word}, expected {expected}")
            };
        }
    }
    let message = message.replace("missing field", "missing key");
    let quoted = message.split(['`', '"', '\'']).skip(1).step_by(2);
    if quoted.into_iter().all(|word| word.len() <= 3 || typed::is_harmless(word)) {
        message
    } else {
        "this is not what raxx expects here".into()
    }
}

/// Reads an absolute path, or one that starts with `~/`. Any other would depend on the current directory.
pub(super) fn absolute(file: &File, text: &Spanned<String>, key: &str) -> Result<PathBuf, ConfigError> {
    let refuse = |why: &str| Err(file.error(Some(text.span()), format!("{key} {why}")));
    let written = text.get_ref();
    let path = match written.strip_prefix("~/") {
        Some(rest) => match crate::files::home() {
            Some(home) => home.join(rest),
            None => return refuse("starts with ~/, but there is no home directory: start it with /"),
        },
        None => PathBuf::from(written),
    };
    if !path.is_absolute() || path.file_name().is_none() || written.ends_with('/') || written.contains('\0') {
        return refuse("is not a file path: start it with / or ~/");
    }
    file.no_secret(text.span(), key, written)?;
    Ok(path)
}

pub(super) fn duration(
    file: &File,
    text: &Spanned<String>,
    key: &str,
    least: (&str, Duration),
    most: (&str, Duration),
) -> Result<Duration, ConfigError> {
    // A day is 24 hours: durations in days need no precision of hours.
    let span = || text.get_ref().parse::<Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok();
    let parsed = text.get_ref().parse::<SignedDuration>().ok().or_else(span).and_then(|d| Duration::try_from(d).ok());
    match parsed {
        Some(d) if d >= least.1 && d <= most.1 => Ok(d),
        Some(_) => Err(file.error(Some(text.span()), format!("{key} must be from {} to {}", least.0, most.0))),
        None => Err(file.error(
            Some(text.span()),
            format!("{key}{} is not a duration: write it like {}", said(text.get_ref()), examples(key)),
        )),
    }
}

/// Returns ` = "word"` if a message can repeat the word.
pub(super) fn said(word: &str) -> String {
    if typed::is_harmless(word) { format!(" = \"{word}\"") } else { String::new() }
}

/// Whether the key is set to a duration.
fn is_duration(key: &str) -> bool {
    matches!(key, "timeout" | "warn_before" | "repeat" | "retry_for" | "recheck_after")
}

/// Returns typical durations for the key.
fn examples(key: &str) -> &'static str {
    match key {
        "warn_before" => r#""14d" or "12h""#,
        "repeat" | "recheck_after" => r#""24h" or "30m""#,
        _ => r#""10s", "700ms" or "2m""#,
    }
}

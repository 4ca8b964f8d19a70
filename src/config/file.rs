//! The text of a configuration, and what is wrong in it: one line with `file:line` and the mend.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use toml::Spanned;

use crate::text::{clean, plain};

/// What is wrong with the configuration: one line with the place and the mend.
#[derive(Debug)]
pub struct ConfigError {
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
}

impl File {
    pub(super) fn error(&self, at: Option<Range<usize>>, message: impl fmt::Display) -> ConfigError {
        let before = at.and_then(|span| self.text.get(..span.start));
        let place = match before {
            Some(before) => format!("{}:{}", self.name, before.matches('\n').count() + 1),
            None => self.name.clone(),
        };
        // A library's message may run over lines, and the file's text may hold anything; an error is one plain line.
        let message = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        ConfigError { place, message: clean(&message) }
    }
}

impl File {
    /// What the TOML library found, in a reader's words. It names no key where the value is of the wrong kind.
    pub(super) fn mistake(&self, found: &toml::de::Error) -> ConfigError {
        let message = mend_words(found.message());
        let before = found.span().and_then(|span| self.text.get(..span.start)).unwrap_or_default();
        let key = before.trim_end().strip_suffix('=').map(str::trim_end).unwrap_or_default();
        let key = key.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        let said = if key.is_empty() || !message.starts_with("invalid type: ") {
            message
        } else if message.ends_with("expected a string") {
            match key {
                "timeout" | "warn_before" | "repeat" | "retry_for" | "recheck_after" => {
                    format!("{key} must be text in quotes, like {}", examples(key))
                }
                _ => format!("{key} must be text in quotes"),
            }
        } else {
            format!("{key}: {message}")
        };
        self.error(found.span(), said)
    }
}

/// A path of the configuration: from `/` on, or from the home directory on. Any other would depend on where a terminal
/// happens to stand.
pub(super) fn absolute(file: &File, text: &Spanned<String>, key: &str) -> Result<PathBuf, ConfigError> {
    let refuse = |why: String| Err(file.error(Some(text.span()), why));
    let written = text.get_ref();
    let path = match written.strip_prefix("~/") {
        Some(rest) => match dirs::home_dir() {
            Some(home) => home.join(rest),
            None => return refuse(format!("{key} = \"{}\": there is no home directory", plain(written))),
        },
        None => PathBuf::from(written),
    };
    if !path.is_absolute() || path.file_name().is_none() || written.ends_with('/') || written.contains('\0') {
        return refuse(format!("{key} = \"{}\" is no file's path: begin it with / or ~/", plain(written)));
    }
    Ok(path)
}

pub(super) fn duration(
    file: &File,
    text: &Spanned<String>,
    key: &str,
    least: (&str, Duration),
    most: (&str, Duration),
) -> Result<Duration, ConfigError> {
    // A day is 24 hours here: what is counted in days is not counted to the hour.
    let span = || text.get_ref().parse::<Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok();
    let parsed = text.get_ref().parse::<SignedDuration>().ok().or_else(span).and_then(|d| Duration::try_from(d).ok());
    match parsed {
        Some(d) if d >= least.1 && d <= most.1 => Ok(d),
        Some(_) => {
            let why = format!("{key} = \"{}\" must be from {} to {}", text.get_ref(), least.0, most.0);
            Err(file.error(Some(text.span()), why))
        }
        None => Err(file.error(
            Some(text.span()),
            format!("{key} = \"{}\" is no duration: write it like {}", text.get_ref(), examples(key)),
        )),
    }
}

/// How long one would set it to.
fn examples(key: &str) -> &'static str {
    match key {
        "warn_before" => r#""14d" or "12h""#,
        "repeat" | "recheck_after" => r#""24h" or "30m""#,
        _ => r#""10s", "700ms" or "2m""#,
    }
}

/// serde's "unknown field" is a reader's "unknown key".
fn mend_words(message: &str) -> String {
    message.replace("unknown field", "unknown key").replace("missing field", "missing key")
}

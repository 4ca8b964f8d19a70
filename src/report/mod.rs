//! The verdicts of one run, as lines, as JSON, and condensed for a new terminal.
//!
//! Nothing here can contain a secret: a [`Row`] has only the redacted value.

mod condensed;
pub(crate) mod prometheus;
mod text;
mod verdict;

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde::Serialize;
use serde::ser::SerializeStruct as _;

use crate::text::clean;

pub(crate) use text::{ago, distance, ends_soon};
pub(crate) use verdict::{Cause, Kind, Outcome, Verdict};

/// The name of the environment as a source.
pub(crate) const ENVIRONMENT: &str = "env";

/// Returns the command to type after a verdict of this kind.
pub(crate) fn next_command(kind: Kind, name: &str, provider: &str) -> Option<String> {
    // Commands know the vault's row by the name of its provider, and the store has no value for it.
    let is_vault = name.contains(' ');
    let name = if is_vault { provider } else { name };
    match kind {
        Kind::Valid | Kind::NotConfigured => None,
        Kind::Rejected => Some(format!("raxx rotate {name}")),
        Kind::Refused => Some(format!("raxx check {name}, then raxx rotate {name}")),
        Kind::Missing | Kind::Malformed if !is_vault => Some(format!("raxx store {name}")),
        _ => Some(format!("raxx check {name}")),
    }
}

/// One credential in the report.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub name: String,
    pub provider: String,
    pub verdict: Verdict,
    /// The command to type next.
    pub next: Option<String>,
    /// Where the value came from: `env`, `Keychain`, `Secret Service`.
    pub source: Option<String>,
    pub redacted: Option<String>,
    /// The warning of a PASS: `expires in 9 days`.
    pub warning: Option<String>,
    /// The rotation page; printed only for `rejected`, `missing` and warnings.
    pub rotate_via: Option<String>,
    /// The provider's page where such tokens are created.
    pub manage_url: Option<String>,
    pub latency: Option<Duration>,
    /// The account that the provider reports; never shown in full.
    pub owner: Option<String>,
}

/// Serializes the fields of the JSON report, in order.
impl Serialize for Row {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Verdict { kind, words, hint, expires, http_status, cause: _ } = &self.verdict;
        let mut row = serializer.serialize_struct("Row", 15)?;
        row.serialize_field("name", &self.name)?;
        row.serialize_field("provider", &self.provider)?;
        row.serialize_field("verdict", &kind.outcome())?;
        row.serialize_field("kind", kind)?;
        row.serialize_field("words", words)?;
        row.serialize_field("hint", hint)?;
        row.serialize_field("type", &self.next)?;
        row.serialize_field("source", &self.source)?;
        row.serialize_field("redacted", &self.redacted)?;
        row.serialize_field("http_status", http_status)?;
        row.serialize_field("expires", expires)?;
        row.serialize_field("warning", &self.warning)?;
        row.serialize_field("rotate_via", &self.rotate_via)?;
        row.serialize_field("manage_url", &self.manage_url)?;
        row.serialize_field("latency_ms", &self.latency.map(|latency| latency.as_millis() as u64))?;
        row.end()
    }
}

impl Row {
    /// Returns a row with these words and the usual next command.
    pub(crate) fn new(name: &str, provider: &str, kind: Kind, words: impl Into<String>) -> Row {
        Row::of(name, provider, Verdict::new(kind, words))
    }

    /// Returns a row with this verdict and the usual next command.
    pub(crate) fn of(name: &str, provider: &str, verdict: Verdict) -> Row {
        Row {
            name: name.into(),
            provider: provider.into(),
            next: next_command(verdict.kind, name, provider),
            verdict,
            source: None,
            redacted: None,
            warning: None,
            rotate_via: None,
            manage_url: None,
            latency: None,
            owner: None,
        }
    }

    /// Returns the row without any control characters.
    pub(crate) fn cleaned(mut self) -> Row {
        let optional = [
            &mut self.verdict.hint,
            &mut self.next,
            &mut self.source,
            &mut self.warning,
            &mut self.rotate_via,
            &mut self.owner,
        ];
        for text in optional.into_iter().flatten().chain([&mut self.verdict.words]) {
            *text = clean(text);
        }
        self
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.verdict.outcome()
    }

    /// Returns the row's line and the lines under it, without a newline at the end.
    pub(crate) fn lines(&self, colors: Colors) -> String {
        let (word, color) = match self.outcome() {
            Outcome::Pass => ("PASS", AnsiColor::Green),
            Outcome::Fail => ("FAIL", AnsiColor::Red),
            Outcome::Skip => ("SKIP", AnsiColor::Yellow),
        };
        let style = match colors {
            Colors::On => Style::new().fg_color(Some(color.into())).bold(),
            Colors::Off => Style::new(),
        };
        let detail = match (&self.redacted, self.verdict.kind) {
            (Some(redacted), _) => format!("{redacted} — {}", clean(&self.verdict.words)),
            // As in the runbook, words about a source are in parentheses; words from a provider are not.
            (None, Kind::Missing | Kind::Locked) => format!("({})", clean(&self.verdict.words)),
            (None, _) => clean(&self.verdict.words),
        };
        let mut out = format!("{style}[{word}]{style:#} {}    {detail}", self.name);
        if self.warning.is_some() {
            out += " — rotate soon";
        }
        let rotate = matches!(self.verdict.kind, Kind::Rejected | Kind::Missing) || self.warning.is_some();
        if let Some(page) = self.rotate_via.as_ref().filter(|_| rotate) {
            let _ = write!(out, "\n       rotate via: {}", clean(page));
        }
        if let Some(hint) = &self.verdict.hint {
            let _ = write!(out, "\n       {}", clean(hint));
        }
        if let Some(next) = self.next.as_ref().filter(|_| self.outcome() == Outcome::Fail) {
            let _ = write!(out, "\n       type: {}", clean(next));
        }
        out
    }
}

/// The version of the JSON format; raised when a field is removed or changes its meaning.
const JSON_VERSION: u32 = 1;

/// Whether the words PASS, FAIL and SKIP are colored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colors {
    On,
    Off,
}

impl From<anstream::ColorChoice> for Colors {
    fn from(choice: anstream::ColorChoice) -> Colors {
        if choice == anstream::ColorChoice::Never { Colors::Off } else { Colors::On }
    }
}

/// Which rows a report prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    All,
    Fails,
    FailsAndWarnings,
}

/// All verdicts of one run, in the configured order.
#[derive(Debug)]
pub(crate) struct Report {
    pub rows: Vec<Row>,
    /// The number of credentials without a verdict when the run was interrupted.
    pub unfinished: usize,
    pub checked_at: Timestamp,
}

impl Report {
    pub(crate) fn failed(&self) -> bool {
        self.rows.iter().any(|row| row.outcome() == Outcome::Fail)
    }

    /// Whether any PASS comes with a warning.
    pub(crate) fn warned(&self) -> bool {
        self.rows.iter().any(|row| row.warning.is_some())
    }

    /// Returns the report as lines.
    pub(crate) fn text(&self, colors: Colors, shown: Shown) -> String {
        let shown = |row: &&Row| match shown {
            Shown::All => true,
            Shown::Fails => row.outcome() == Outcome::Fail,
            Shown::FailsAndWarnings => row.outcome() == Outcome::Fail || row.warning.is_some(),
        };
        let lines = self.rows.iter().filter(shown);
        lines.map(|row| row.lines(colors) + "\n").collect()
    }

    /// Returns the report as JSON, version 1 (the fields are in docs/configuration.md).
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain data") + "\n"
    }
}

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Credentials that an interrupted run did not check can be bad.
        let passed = (self.unfinished == 0).then_some(Outcome::Pass);
        let mut report = serializer.serialize_struct("Report", 5)?;
        report.serialize_field("version", &JSON_VERSION)?;
        report.serialize_field("checked_at", &self.checked_at)?;
        report.serialize_field("verdict", &if self.failed() { Some(Outcome::Fail) } else { passed })?;
        report.serialize_field("unfinished", &self.unfinished)?;
        report.serialize_field("credentials", &self.rows)?;
        report.end()
    }
}

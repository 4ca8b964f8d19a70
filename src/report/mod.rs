//! The verdicts of one run, and how they read: as lines, as JSON, and condensed for a new terminal.
//!
//! Nothing here can hold a secret: a [`Row`] has the redacted form alone.

mod condensed;
pub(crate) mod prometheus;
mod text;

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde::Serialize;

use crate::text::clean;

pub(crate) use text::{ago, distance, ends_soon};

/// The name of the environment as a source.
pub(crate) const ENVIRONMENT: &str = "env";

/// What a run says of one credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verdict {
    Pass,
    Fail,
    Skip,
}

/// Why: each verdict has a kind. Only [`Kind::Rejected`] and [`Kind::Missing`] send a person to rotate a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The provider accepted it.
    Valid,
    /// The provider's own words say that the secret is bad, expired, disabled or revoked.
    Rejected,
    /// The provider's own host answered 401 or 403 in its API's content type and does not say why.
    Refused,
    /// In no source.
    Missing,
    /// Cannot be a token.
    Malformed,
    /// Good, but suspended, IP-filtered, in need of SSO, or without the permission asked for.
    Limited,
    /// The store is locked, wants consent, or does not answer.
    Locked,
    /// No answer that says anything of the secret: network, TLS, 5xx, 429, a foreign body.
    Unreachable,
    /// Something in front of the provider answered.
    Blocked,
    /// The prerequisites of this check are not set.
    NotConfigured,
}

impl Kind {
    pub(crate) fn verdict(self) -> Verdict {
        match self {
            Kind::Valid => Verdict::Pass,
            Kind::NotConfigured => Verdict::Skip,
            _ => Verdict::Fail,
        }
    }

    /// Whether the value is of no use to anybody: it is neither sent again nor exported.
    pub(crate) fn is_bad(self) -> bool {
        matches!(self, Kind::Rejected | Kind::Malformed)
    }
}

/// The command to type after a verdict of this kind.
pub(crate) fn next_command(kind: Kind, name: &str, provider: &str) -> Option<String> {
    // On the command line the vault's row has the name of its provider, and the store has nothing of it.
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

/// What several rows may have in common, so that a new terminal says it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) enum Cause {
    /// The host gave no answer at all.
    NoResponse { host: String, why: String },
    /// No provider was asked: something of this machine, or its proxy, is in the way.
    NotAsked { why: String },
    /// The store cannot be read; what it is ("the login keychain, which is locked").
    Store { what: String },
    /// In no source.
    NotStored,
    /// Not in the environment, and there is no store on this machine.
    NoStore,
}

/// One credential's verdict.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub name: String,
    pub provider: String,
    /// In JSON both `verdict` and `kind`.
    #[serde(flatten, serialize_with = "verdict_and_kind")]
    pub kind: Kind,
    pub words: String,
    /// What to do, where it is not "rotate": a line of its own.
    pub hint: Option<String>,
    /// The command to type next.
    #[serde(rename = "type")]
    pub next: Option<String>,
    /// Where the value came from: `env`, `Keychain`, `Secret Service`.
    pub source: Option<String>,
    pub redacted: Option<String>,
    pub http_status: Option<u16>,
    pub expires: Option<Timestamp>,
    /// What a PASS warns of: `expires in 9 days`.
    pub warning: Option<String>,
    /// The page to rotate it by; printed for `rejected`, `missing` and warnings alone.
    pub rotate_via: Option<String>,
    /// The provider's page where such tokens are made.
    pub manage_url: Option<String>,
    #[serde(rename = "latency_ms", serialize_with = "millis")]
    pub latency: Option<Duration>,
    #[serde(skip)]
    pub cause: Option<Cause>,
    /// Whom the provider says it belongs to; never shown whole.
    #[serde(skip)]
    pub owner: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn verdict_and_kind<S: serde::Serializer>(kind: &Kind, s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Both {
        verdict: Verdict,
        kind: Kind,
    }
    Both { verdict: kind.verdict(), kind: *kind }.serialize(s)
}

#[allow(clippy::ref_option)] // serde passes a reference
fn millis<S: serde::Serializer>(latency: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    latency.map(|l| l.as_millis() as u64).serialize(s)
}

impl Row {
    /// A row that says no more than this, with the usual next command; the rest is filled in by who knows it.
    pub(crate) fn new(name: &str, provider: &str, kind: Kind, words: impl Into<String>) -> Row {
        Row {
            name: name.into(),
            provider: provider.into(),
            kind,
            words: words.into(),
            hint: None,
            next: next_command(kind, name, provider),
            source: None,
            redacted: None,
            http_status: None,
            expires: None,
            warning: None,
            rotate_via: None,
            manage_url: None,
            latency: None,
            cause: None,
            owner: None,
        }
    }

    /// The row with nothing in it that acts on a terminal, whatever its words were made of.
    pub(crate) fn cleaned(mut self) -> Row {
        let optional = [
            &mut self.hint,
            &mut self.next,
            &mut self.source,
            &mut self.warning,
            &mut self.rotate_via,
            &mut self.owner,
        ];
        for text in optional.into_iter().flatten().chain([&mut self.words]) {
            *text = clean(text);
        }
        self
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.kind.verdict()
    }

    /// The row's line and the pointers under it, without a last line end. `style` colours the verdict.
    pub(crate) fn lines(&self, styled: bool) -> String {
        let (word, colour) = match self.verdict() {
            Verdict::Pass => ("PASS", AnsiColor::Green),
            Verdict::Fail => ("FAIL", AnsiColor::Red),
            Verdict::Skip => ("SKIP", AnsiColor::Yellow),
        };
        let style = if styled { Style::new().fg_color(Some(colour.into())).bold() } else { Style::new() };
        let detail = match (&self.redacted, self.kind) {
            (Some(redacted), _) => format!("{redacted} — {}", clean(&self.words)),
            // The runbook puts in brackets what is said of a source, not by a provider.
            (None, Kind::Missing | Kind::Locked) => format!("({})", clean(&self.words)),
            (None, _) => clean(&self.words),
        };
        let mut out = format!("{style}[{word}]{style:#} {}    {detail}", self.name);
        if self.warning.is_some() {
            out += " — rotate soon";
        }
        let rotate = matches!(self.kind, Kind::Rejected | Kind::Missing) || self.warning.is_some();
        if let Some(page) = self.rotate_via.as_ref().filter(|_| rotate) {
            let _ = write!(out, "\n       rotate via: {}", clean(page));
        }
        if let Some(hint) = &self.hint {
            let _ = write!(out, "\n       {}", clean(hint));
        }
        if let Some(next) = self.next.as_ref().filter(|_| self.verdict() == Verdict::Fail) {
            let _ = write!(out, "\n       type: {}", clean(next));
        }
        out
    }
}

/// The version of the JSON form; raised when a field changes its meaning or goes.
const JSON_VERSION: u32 = 1;

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
    /// How many credentials had no verdict yet when the run was interrupted.
    pub unfinished: usize,
    pub checked_at: Timestamp,
}

impl Report {
    pub(crate) fn failed(&self) -> bool {
        self.rows.iter().any(|row| row.verdict() == Verdict::Fail)
    }

    /// Whether any PASS comes with a warning.
    pub(crate) fn warned(&self) -> bool {
        self.rows.iter().any(|row| row.warning.is_some())
    }

    /// The report as lines.
    pub(crate) fn text(&self, styled: bool, shown: Shown) -> String {
        let shown = |row: &&Row| match shown {
            Shown::All => true,
            Shown::Fails => row.verdict() == Verdict::Fail,
            Shown::FailsAndWarnings => row.verdict() == Verdict::Fail || row.warning.is_some(),
        };
        let lines = self.rows.iter().filter(shown);
        lines.map(|row| row.lines(styled) + "\n").collect()
    }

    /// The report as JSON, version 1 (docs/configuration.md has the fields).
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Form<'a> {
            version: u32,
            checked_at: Timestamp,
            verdict: Option<Verdict>,
            unfinished: usize,
            credentials: &'a [Row],
        }
        let form = Form {
            version: JSON_VERSION,
            checked_at: self.checked_at,
            // What an interrupted run did not get to may be bad.
            verdict: if self.failed() { Some(Verdict::Fail) } else { (self.unfinished == 0).then_some(Verdict::Pass) },
            unfinished: self.unfinished,
            credentials: &self.rows,
        };
        let mut json = serde_json::to_string_pretty(&form).expect("a report is plain data");
        json.push('\n');
        json
    }
}

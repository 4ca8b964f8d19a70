//! The verdicts of one run, and how they read: as lines, as JSON, and condensed for a new terminal.
//!
//! Nothing here can hold a secret: a [`Row`] has the redacted form alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// What a run says of one credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    Pass,
    Fail,
    Skip,
}

/// Why: each verdict has a kind. Only [`Kind::Rejected`] and [`Kind::Missing`] send a person to rotate a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The provider accepted it.
    Valid,
    /// The provider's own words say that the secret is bad, expired, disabled or revoked.
    Rejected,
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
    pub fn verdict(self) -> Verdict {
        match self {
            Kind::Valid => Verdict::Pass,
            Kind::NotConfigured => Verdict::Skip,
            _ => Verdict::Fail,
        }
    }
}

/// What several rows may have in common, so that a new terminal says it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The host gave no answer at all.
    NoResponse { host: String },
    /// The store cannot be read; what it is ("the login keychain, which is locked").
    Store { what: String },
    /// In no source.
    NotStored,
    /// Not in the environment, and there is no store on this machine.
    NoStore,
}

/// One credential's verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub name: String,
    pub provider: String,
    /// In JSON both `verdict` and `kind`.
    #[serde(flatten, serialize_with = "verdict_and_kind")]
    pub kind: Kind,
    pub words: String,
    /// What to do, where it is not "rotate": a line of its own.
    pub hint: Option<String>,
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

fn verdict_and_kind<S: serde::Serializer>(kind: &Kind, s: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Both {
        verdict: Verdict,
        kind: Kind,
    }
    Both { verdict: kind.verdict(), kind: *kind }.serialize(s)
}

fn millis<S: serde::Serializer>(latency: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    latency.map(|l| l.as_millis() as u64).serialize(s)
}

impl Row {
    /// A row that says no more than this; the rest is filled in by who knows it.
    pub fn new(name: &str, provider: &str, kind: Kind, words: impl Into<String>) -> Row {
        Row {
            name: name.into(),
            provider: provider.into(),
            kind,
            words: words.into(),
            hint: None,
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

    pub fn verdict(&self) -> Verdict {
        self.kind.verdict()
    }

    /// The row's line and the pointers under it, without a last line end. `style` colours the verdict.
    pub fn lines(&self, styled: bool) -> String {
        let (word, colour) = match self.verdict() {
            Verdict::Pass => ("PASS", AnsiColor::Green),
            Verdict::Fail => ("FAIL", AnsiColor::Red),
            Verdict::Skip => ("SKIP", AnsiColor::Yellow),
        };
        let style = match styled {
            true => Style::new().fg_color(Some(colour.into())).bold(),
            false => Style::new(),
        };
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
        out
    }
}

/// The version of the JSON form; raised when a field changes its meaning or goes.
const JSON_VERSION: u32 = 1;

/// Which rows a report prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    All,
    Fails,
    FailsAndWarnings,
}

/// All verdicts of one run, in the configured order.
#[derive(Debug)]
pub struct Report {
    pub rows: Vec<Row>,
    /// How many credentials had no verdict yet when the run was interrupted.
    pub unfinished: usize,
    pub checked_at: Timestamp,
}

impl Report {
    pub fn failed(&self) -> bool {
        self.rows.iter().any(|row| row.verdict() == Verdict::Fail)
    }

    /// Whether any PASS comes with a warning.
    pub fn warned(&self) -> bool {
        self.rows.iter().any(|row| row.warning.is_some())
    }

    /// The report as lines.
    pub fn text(&self, styled: bool, shown: Shown) -> String {
        let shown = |row: &&Row| match shown {
            Shown::All => true,
            Shown::Fails => row.verdict() == Verdict::Fail,
            Shown::FailsAndWarnings => row.verdict() == Verdict::Fail || row.warning.is_some(),
        };
        let lines = self.rows.iter().filter(shown);
        lines.map(|row| row.lines(styled) + "\n").collect()
    }

    /// The report as JSON, version 1 (docs/configuration.md has the fields).
    pub fn json(&self) -> String {
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
            verdict: match self.failed() {
                true => Some(Verdict::Fail),
                false => (self.unfinished == 0).then_some(Verdict::Pass),
            },
            unfinished: self.unfinished,
            credentials: &self.rows,
        };
        let mut json = serde_json::to_string_pretty(&form).expect("a report is plain data");
        json.push('\n');
        json
    }

    /// The FAILs, and with `warn` the warnings, as a new terminal says them: what has one cause is said once, with the one
    /// thing to do.
    pub fn condensed(&self, warn: bool) -> String {
        let fails: Vec<&Row> = self.rows.iter().filter(|r| r.verdict() == Verdict::Fail).collect();
        let mut out = String::new();
        let mut said: Vec<&Cause> = Vec::new();
        let mut no_response_said = false;
        for row in &fails {
            let together: Vec<&Row> = match &row.cause {
                Some(Cause::NoResponse { .. }) => {
                    let same = |r: &&&Row| matches!(r.cause, Some(Cause::NoResponse { .. }));
                    fails.iter().filter(same).copied().collect()
                }
                // One missing credential among good ones needs its own rotation page; a machine where nothing is
                // stored needs one sentence.
                Some(Cause::NotStored | Cause::NoStore) if self.rows.iter().any(|r| r.kind == Kind::Valid) => vec![row],
                Some(cause) => fails.iter().filter(|r| r.cause.as_ref() == Some(cause)).copied().collect(),
                None => vec![row],
            };
            let Some(cause) = row.cause.as_ref().filter(|_| together.len() > 1) else {
                out += &(row.lines(false) + "\n");
                continue;
            };
            let is_no_response = matches!(cause, Cause::NoResponse { .. });
            if said.contains(&cause) || (is_no_response && no_response_said) {
                continue;
            }
            no_response_said |= is_no_response;
            said.push(cause);
            out += &together_line(&together, cause);
        }
        for row in self.rows.iter().filter(|row| warn && row.warning.is_some()) {
            out += &(row.lines(false) + "\n");
        }
        out
    }
}

/// One line for several rows with one cause.
fn together_line(rows: &[&Row], cause: &Cause) -> String {
    let names: Vec<&str> = rows.iter().map(|r| r.name.as_str()).collect();
    let count = rows.len();
    let mut out = match cause {
        Cause::NoResponse { .. } => {
            let hosts: BTreeSet<&str> = rows
                .iter()
                .filter_map(|r| match &r.cause {
                    Some(Cause::NoResponse { host }) => Some(host.as_str()),
                    _ => None,
                })
                .collect();
            let hosts: Vec<&str> = hosts.into_iter().collect();
            format!("{count} credentials could not be checked: no response from {}", hosts.join(", "))
        }
        Cause::Store { what } => format!("{count} credentials are in {what}: {}", names.join(", ")),
        Cause::NotStored | Cause::NoStore => {
            format!("{count} credentials are {} ({})", rows[0].words, names.join(", "))
        }
    };
    out = format!("[FAIL] {out}\n");
    match (cause, &rows[0].hint) {
        (Cause::NotStored | Cause::NoStore, _) => out += "       type: raxx check\n",
        (_, Some(hint)) => out += &format!("       {hint}\n"),
        _ => {}
    }
    out
}

/// Strips what could act on a terminal, and keeps it to a line.
pub fn clean(text: &str) -> String {
    // Format characters (right-to-left marks, zero-width ones) can make a line read other than it is.
    let hidden = |c: &char| {
        c.is_control()
            || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    spaced.filter(|c| !hidden(c)).collect::<String>().trim().to_string()
}

/// The same for text that a provider sent, cut to what a line can hold.
pub fn plain(text: &str) -> String {
    const MOST: usize = 200;
    let clean = clean(text);
    match clean.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// Whether what ends then ends so soon that a warning is due.
pub fn ends_soon(now: Timestamp, end: Timestamp, warn_before: Duration) -> bool {
    // Not what ends after exactly that time: `warn_before = "0s"` does not warn.
    end.duration_since(now) < SignedDuration::try_from(warn_before).unwrap_or(SignedDuration::MAX)
}

/// `3 minutes ago`, `a moment ago`.
pub fn ago(age: Duration, now: Timestamp) -> String {
    match age.as_secs() {
        0..60 => "a moment ago".into(),
        seconds => distance(now, now - Duration::from_secs(seconds)),
    }
}

/// `in 41 days`, `in 5 hours`: how far `then` is from `now`, in the largest unit that says it.
pub fn distance(now: Timestamp, then: Timestamp) -> String {
    let seconds = then.as_second() - now.as_second();
    let (count, unit) = match seconds.unsigned_abs() {
        s if s >= 86_400 => (s / 86_400, "day"),
        s if s >= 3_600 => (s / 3_600, "hour"),
        s => (s / 60, "minute"),
    };
    let plural = if count == 1 { "" } else { "s" };
    match seconds < 0 {
        false => format!("in {count} {unit}{plural}"),
        true => format!("{count} {unit}{plural} ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: Vec<Row>) -> Report {
        Report { rows, unfinished: 0, checked_at: Timestamp::UNIX_EPOCH }
    }

    fn unanswered(name: &str, host: &str) -> Row {
        let mut row = Row::new(name, "x", Kind::Unreachable, "no response (network/X down?)");
        row.cause = Some(Cause::NoResponse { host: host.into() });
        row
    }

    #[test]
    fn one_cause_is_said_once() {
        let rows = vec![unanswered("A", "a.test"), unanswered("B", "b.test"), unanswered("C", "a.test")];
        let line = "[FAIL] 3 credentials could not be checked: no response from a.test, b.test\n";
        assert_eq!(report(rows).condensed(false), line);
    }

    #[test]
    fn a_single_failure_keeps_its_own_line() {
        let rows = vec![unanswered("A", "a.test"), Row::new("B", "x", Kind::Valid, "valid")];
        assert_eq!(report(rows).condensed(false), "[FAIL] A    no response (network/X down?)\n");
    }

    #[test]
    fn a_locked_store_is_one_line_with_what_to_type() {
        let mut rows = Vec::new();
        for name in ["A", "B"] {
            let mut row = Row::new(name, "x", Kind::Locked, "…");
            row.cause = Some(Cause::Store { what: "the login keychain, which is locked".into() });
            row.hint = Some("unlock it: security unlock-keychain".into());
            rows.push(row);
        }
        let said = report(rows).condensed(false);
        let line = "[FAIL] 2 credentials are in the login keychain, which is locked: A, B\n";
        assert_eq!(said, format!("{line}       unlock it: security unlock-keychain\n"));
    }

    #[test]
    fn an_empty_machine_is_one_line_and_a_single_gap_names_its_page() {
        let missing = |name: &str| {
            let mut row = Row::new(name, "x", Kind::Missing, "not in env or Keychain");
            row.cause = Some(Cause::NotStored);
            row.rotate_via = Some("page.md".into());
            row
        };
        let empty = report(vec![missing("A"), missing("B")]).condensed(false);
        assert_eq!(empty, "[FAIL] 2 credentials are not in env or Keychain (A, B)\n       type: raxx check\n");
        let gaps = report(vec![missing("A"), missing("B"), Row::new("C", "x", Kind::Valid, "valid")]).condensed(false);
        assert_eq!(gaps.matches("rotate via: page.md").count(), 2, "{gaps}");
    }

    #[test]
    fn a_providers_text_cannot_reach_the_terminal_as_more_than_text() {
        assert_eq!(plain("a\x1b[31mb\u{202e}c\r\nd"), "a[31mbc  d");
        assert_eq!(plain(&"x".repeat(500)).chars().count(), 201);
    }

    #[test]
    fn distances_read_in_the_largest_unit() {
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(distance(at(0), at(41 * 86_400 + 5)), "in 41 days");
        assert_eq!(distance(at(0), at(86_400)), "in 1 day");
        assert_eq!(distance(at(0), at(7_200)), "in 2 hours");
        assert_eq!(distance(at(180), at(0)), "3 minutes ago");
    }
}

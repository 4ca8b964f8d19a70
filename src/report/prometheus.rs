//! The verdicts as metrics in Prometheus's text format, for `node_exporter`'s textfile collector.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use crate::files::{self, Target};
use crate::report::{Outcome, Report, Row};
use crate::text::clean;
use crate::text::typed::shown_path;

/// One metric: its name, its help text, and its value for a row.
struct Metric {
    name: &'static str,
    help: &'static str,
    value: fn(&Row, &Report) -> Option<i64>,
}

const METRICS: [Metric; 3] = [
    Metric {
        name: "raxx_credential_valid",
        help: "Whether the last check of the credential was a PASS (1) or a FAIL (0).",
        value: |row, _| match row.outcome() {
            Outcome::Pass => Some(1),
            Outcome::Fail => Some(0),
            Outcome::Skip => None,
        },
    },
    Metric {
        name: "raxx_credential_expiry_timestamp_seconds",
        help: "When the credential expires, if the provider says so.",
        value: |row, _| row.verdict.expires.map(jiff::Timestamp::as_second),
    },
    Metric {
        name: "raxx_credential_last_check_timestamp_seconds",
        help: "When the credential was last checked.",
        value: |row, report| (row.outcome() != Outcome::Skip).then(|| report.checked_at.as_second()),
    },
];

/// Returns the text of the file. Credentials whose check was skipped are left out.
pub(crate) fn text(report: &Report, configuration: &str) -> String {
    let mut out = String::new();
    for metric in METRICS {
        let _ = writeln!(out, "# HELP {} {}", metric.name, metric.help);
        let _ = writeln!(out, "# TYPE {} gauge", metric.name);
        for row in &report.rows {
            if let Some(value) = (metric.value)(row, report) {
                let _ = writeln!(out, "{}{{{}}} {value}", metric.name, labels(row, configuration));
            }
        }
    }
    // The kind has its own metric, so that an alerting rule can ignore kinds that do not concern the credential. As a label of
    // the other metrics it would start a new series with each change.
    let name = "raxx_credential_kind";
    let _ = writeln!(out, "# HELP {name} The kind of the last verdict, as in the JSON report, in its label.");
    let _ = writeln!(out, "# TYPE {name} gauge");
    for row in report.rows.iter().filter(|row| row.outcome() != Outcome::Skip) {
        let kind = row.verdict.kind.as_str();
        let _ = writeln!(out, "{name}{{{},kind=\"{kind}\"}} 1", labels(row, configuration));
    }
    out
}

/// Returns labels that are unique on a machine where several users and configurations write files.
fn labels(row: &Row, configuration: &str) -> String {
    let (name, provider, config) = (label(&row.name), label(&row.provider), label(configuration));
    let uid = rustix::process::geteuid().as_raw();
    format!("name=\"{name}\",provider=\"{provider}\",config=\"{config}\",uid=\"{uid}\"")
}

fn label(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}

/// Replaces the file at `path` in one step, so that the collector never reads a part of it.
///
/// # Errors
/// The file, and why it cannot be written. An existing file is kept.
pub(crate) fn write(path: &Path, report: &Report, configuration: &str) -> Result<()> {
    // The collector runs as another user, and the file contains no secrets.
    let written = target(path).and_then(|target| target.public().replace(text(report, configuration).as_bytes()));
    written
        .map_err(|error| named(path, &error))
        .with_context(|| format!("{}: could not write the metrics", shown(path)))
}

/// Returns the path, unless it looks like a token that was typed in its place.
fn shown(path: &Path) -> String {
    shown_path(path).unwrap_or_else(|| "the file for Prometheus".into())
}

/// Checks that [`write`] would succeed.
///
/// # Errors
/// The file, and why it cannot be written.
pub(crate) fn try_out(path: &Path) -> Result<()> {
    let tried = target(path).and_then(|target| target.try_out());
    tried
        .map_err(|error| named(path, &error))
        .with_context(|| format!("{}: the metrics file is not writable", shown(path)))
}

fn target(path: &Path) -> io::Result<Target> {
    // The collector's directory can belong to another user, but raxx does not write to another user's home directory.
    match files::home().filter(|_| files::foreign_home().is_some()) {
        Some(home) if files::real(path)?.starts_with(files::real(&home)?) => Target::own(path),
        _ => Target::named(path),
    }
}

/// Returns the error with the name of the directory.
fn named(path: &Path, error: &io::Error) -> anyhow::Error {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).map_or(".".into(), shown);
    match error.kind() {
        io::ErrorKind::NotFound => anyhow!("the directory {dir} does not exist"),
        io::ErrorKind::Other => anyhow!("{error}"),
        kind => anyhow!("cannot create a file in the directory {dir}: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::report::Kind;

    #[test]
    fn a_label_is_escaped() {
        let rows = vec![Row::new("A", "x\"y\\z\nq", Kind::Valid, "valid")];
        let report = Report { rows, unfinished: 0, checked_at: Timestamp::UNIX_EPOCH };
        let line = "raxx_credential_valid{name=\"A\",provider=\"x\\\"y\\\\z q\",config=\"";
        assert!(text(&report, "").contains(line), "{}", text(&report, ""));
    }
}

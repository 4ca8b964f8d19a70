//! The verdicts as metrics, in the text form that Prometheus reads, for `node_exporter`'s textfile collector.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use crate::files::{self, Target};
use crate::report::{Outcome, Report, Row};
use crate::text::clean;
use crate::text::typed::shown_path;

/// One metric: its name, what it says, and its value for a row.
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
        help: "When the credential expires, where the provider says so.",
        value: |row, _| row.verdict.expires.map(jiff::Timestamp::as_second),
    },
    Metric {
        name: "raxx_credential_last_check_timestamp_seconds",
        help: "When the credential was last checked.",
        value: |row, report| (row.outcome() != Outcome::Skip).then(|| report.checked_at.as_second()),
    },
];

/// The text of the file. A credential whose check was skipped is not in it.
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
    // Of its own, so that an alert can leave out what is no word on the credential; in a label of the others it would make
    // a new series of each change.
    let name = "raxx_credential_kind";
    let _ = writeln!(out, "# HELP {name} The kind of the last verdict, as in the JSON report, in its label.");
    let _ = writeln!(out, "# TYPE {name} gauge");
    for row in report.rows.iter().filter(|row| row.outcome() != Outcome::Skip) {
        let kind = row.verdict.kind.as_str();
        let _ = writeln!(out, "{name}{{{},kind=\"{kind}\"}} 1", labels(row, configuration));
    }
    out
}

/// What tells one row from all others of this machine, where several users and configurations may write files.
fn labels(row: &Row, configuration: &str) -> String {
    let (name, provider, place) = (label(&row.name), label(&row.provider), label(configuration));
    let uid = rustix::process::geteuid().as_raw();
    format!("name=\"{name}\",provider=\"{provider}\",config=\"{place}\",uid=\"{uid}\"")
}

fn label(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}

/// Writes it to a new file and renames that to `path`: the collector reads the old one or the new one, whole.
///
/// # Errors
/// One line: the file, and why it cannot be written. An old one stays as it is.
pub(crate) fn write(path: &Path, report: &Report, configuration: &str) -> Result<()> {
    // The collector runs as another user, and the file contains no secrets.
    let written = target(path).and_then(|target| target.public().replace(text(report, configuration).as_bytes()));
    written
        .map_err(|error| named(path, &error))
        .with_context(|| format!("{}: the metrics are not written", shown(path)))
}

/// The path, which may be a token that was typed in its place.
fn shown(path: &Path) -> String {
    shown_path(path).unwrap_or_else(|| "the file for Prometheus".into())
}

/// Whether [`write`] could.
///
/// # Errors
/// One line: the file, and why it cannot be written.
pub(crate) fn try_out(path: &Path) -> Result<()> {
    let tried = target(path).and_then(|target| target.try_out());
    tried
        .map_err(|error| named(path, &error))
        .with_context(|| format!("{}: the metrics cannot be written", shown(path)))
}

fn target(path: &Path) -> io::Result<Target> {
    // The collector's directory can belong to another user; a home directory must not.
    match files::home().filter(|_| files::foreign_home().is_some()) {
        Some(home) if files::real(path)?.starts_with(files::real(&home)?) => Target::own(path),
        _ => Target::named(path),
    }
}

/// What is wrong with the directory, by its name.
fn named(path: &Path, error: &io::Error) -> anyhow::Error {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).map_or(".".into(), shown);
    match error.kind() {
        io::ErrorKind::NotFound => anyhow!("the directory {dir} does not exist"),
        io::ErrorKind::Other => anyhow!("{error}"),
        kind => anyhow!("no file can be made in the directory {dir}: {kind}"),
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

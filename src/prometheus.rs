//! The verdicts as metrics, in the text form that Prometheus reads, for node_exporter's textfile collector.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use crate::report::{Report, Row, Verdict};
use crate::text::clean;
use crate::typed::shown_path;

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
        value: |row, _| match row.verdict() {
            Verdict::Pass => Some(1),
            Verdict::Fail => Some(0),
            Verdict::Skip => None,
        },
    },
    Metric {
        name: "raxx_credential_expiry_timestamp_seconds",
        help: "When the credential expires, where the provider says so.",
        value: |row, _| row.expires.map(|at| at.as_second()),
    },
    Metric {
        name: "raxx_credential_last_check_timestamp_seconds",
        help: "When the credential was last checked.",
        value: |row, report| (row.verdict() != Verdict::Skip).then(|| report.checked_at.as_second()),
    },
];

/// The text of the file. A credential whose check was skipped is not in it.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    for metric in METRICS {
        let _ = writeln!(out, "# HELP {} {}", metric.name, metric.help);
        let _ = writeln!(out, "# TYPE {} gauge", metric.name);
        for row in &report.rows {
            if let Some(value) = (metric.value)(row, report) {
                let _ = writeln!(out, "{}{{{}}} {value}", metric.name, labels(row));
            }
        }
    }
    // Of its own, so that an alert can leave out what is no word on the credential; in a label of the others it would make
    // a new series of each change.
    let name = "raxx_credential_kind";
    let _ = writeln!(out, "# HELP {name} The kind of the last verdict, as in the JSON report, in its label.");
    let _ = writeln!(out, "# TYPE {name} gauge");
    for row in report.rows.iter().filter(|row| row.verdict() != Verdict::Skip) {
        let kind = serde_json::to_value(row.kind).unwrap_or_default();
        let _ = writeln!(out, "{name}{{{},kind=\"{}\"}} 1", labels(row), kind.as_str().unwrap_or_default());
    }
    out
}

fn labels(row: &Row) -> String {
    format!("name=\"{}\",provider=\"{}\"", label(&row.name), label(&row.provider))
}

fn label(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}

/// Writes it to a new file beside `path` and renames that: the collector reads the old one or the new one, whole.
///
/// # Errors
/// One line: the file, and why it cannot be written. An old one stays as it is.
pub fn write(path: &Path, report: &Report) -> Result<()> {
    let written = || -> io::Result<()> {
        let (real, mut file) = beside(path)?;
        file.write_all(text(report).as_bytes())?;
        // The collector runs as somebody else, and nothing in it is secret.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.persist(&real).map_err(|e| e.error)?;
        Ok(())
    };
    written().with_context(|| format!("{}: the metrics are not written", shown(path)))
}

/// The path, which may be a token that was typed in its place.
fn shown(path: &Path) -> String {
    shown_path(path).unwrap_or_else(|| "the file for Prometheus".into())
}

/// Whether [`write`] could.
///
/// # Errors
/// One line: the file, and why it cannot be written.
pub fn try_out(path: &Path) -> Result<()> {
    beside(path).map(drop).with_context(|| format!("{}: the metrics cannot be written", shown(path)))
}

/// The file that is meant, and a new one beside it.
fn beside(path: &Path) -> io::Result<(PathBuf, NamedTempFile)> {
    let refused = || Err(io::Error::other("it is no regular file"));
    // What it leads to may be a regular file: the one that the report goes into.
    let device = path.starts_with("/dev") && !path.starts_with("/dev/shm");
    if device || path.starts_with("/proc") {
        return refused();
    }
    // A link stays a link.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    // A pipe without a reader would be waited for, and nobody told meanwhile.
    if fs::metadata(&real).is_ok_and(|there| !there.is_file()) {
        return refused();
    }
    let dir = real.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Without the ending .prom, so that the collector does not take the half of it.
    let file = NamedTempFile::new_in(dir).map_err(|e| {
        // Its own words name the new file, which nobody knows.
        let dir = shown_path(dir).unwrap_or_else(|| "of that file".into());
        io::Error::other(match e.kind() {
            io::ErrorKind::NotFound => format!("the directory {dir} does not exist"),
            kind => format!("no file can be made in the directory {dir}: {kind}"),
        })
    })?;
    Ok((real, file))
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
        let line = "raxx_credential_valid{name=\"A\",provider=\"x\\\"y\\\\z q\"} 1\n";
        assert!(text(&report).contains(line), "{}", text(&report));
    }
}

//! What the terminals of this machine reported within the last hour, so that they do not repeat it.
//!
//! The record contains no values: a cause is its kind and host, a verdict its kind and a keyed hash of the value. It is one
//! file in the state directory, rewritten under a lock: of twenty terminals that open at once, one reports.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::check::Checked;
use crate::files;
use crate::provider::Catalog;
use crate::report::{Cause, Kind, Outcome, Row, Shown};
use crate::state;

const FILE: &str = "said.json";
const LOCK: &str = "said.lock";

/// The largest file that is read; raxx never writes a larger one.
const LONGEST: u64 = 1024 * 1024;

/// How long the same problem is not reported again.
const QUIET: SignedDuration = SignedDuration::from_hours(1);

/// How long to wait for another terminal that writes the file. Reporting twice is better than not at all.
const WAIT: Duration = Duration::from_secs(1);

/// Whether a shell was started by one that raxx gave values to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nesting {
    TopLevel,
    Nested,
}

/// Which terminals report a problem within the same hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Every shell but nested ones.
    TopLevel,
    /// Only the first terminal.
    First,
}

/// A problem that can be reported.
struct Topic {
    key: String,
    audience: Audience,
}

/// Returns the rows to report, and records them. Left out are problems of the last hour: a missing answer that any terminal
/// reported and, in a nested shell, everything else.
pub(crate) async fn news(found: &[Checked], catalog: &Catalog, nesting: Nesting, shown: Shown) -> Vec<Row> {
    let topics: Vec<Option<Topic>> = found.iter().map(|checked| topic(checked, catalog, shown)).collect();
    let all = || found.iter().map(|checked| checked.row.clone()).collect();
    let Some(dir) = state::directory().ok().filter(|_| topics.iter().any(Option::is_some)) else { return all() };
    let Ok(lock) = files::lock_file(&dir.join(LOCK)) else { return all() };
    if !files::lock(&lock, WAIT).await.unwrap_or(false) {
        return all();
    }
    let now = Timestamp::now();
    let before = within_the_hour(&dir.join(FILE), now);
    let mut after = before.clone();
    let mut rows = Vec::new();
    for (checked, topic) in found.iter().zip(topics) {
        if let Some(Topic { key, audience }) = topic {
            let repeats = nesting == Nesting::Nested || audience == Audience::First;
            if repeats && before.contains_key(&key) {
                continue;
            }
            after.insert(key, now);
        }
        rows.push(checked.row.clone());
    }
    if after != before {
        let _ = serde_json::to_vec(&after).map(|bytes| files::replace(&dir.join(FILE), &bytes));
    }
    rows
}

/// Reads what was reported within the hour. Entries from the future, after the clock was set back, are dropped.
fn within_the_hour(file: &Path, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let said = files::read_own(file, LONGEST).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut said: BTreeMap<String, Timestamp> = said.unwrap_or_default();
    said.retain(|_, at| *at <= now && now.duration_since(*at) < QUIET);
    said
}

/// Returns the problem of this verdict, or `None` if a new terminal does not report it.
fn topic(checked: &Checked, catalog: &Catalog, shown: Shown) -> Option<Topic> {
    let row = &checked.row;
    if row.outcome() != Outcome::Fail && (shown == Shown::Fails || row.warning.is_none()) {
        return None;
    }
    if !matches!(row.verdict.kind, Kind::Unreachable | Kind::Blocked) {
        // Without a value the problem is the store, and the words identify it.
        let what = checked.print.as_ref().unwrap_or(&row.verdict.words);
        return Some(Topic {
            key: format!("{:?} {} {what}", row.verdict.kind, row.name),
            audience: Audience::TopLevel,
        });
    }
    let host = match &row.verdict.cause {
        Some(Cause::NoResponse { host, .. }) => host.clone(),
        Some(Cause::NotAsked { why }) => why.clone(),
        _ => catalog.get(&row.provider).map(crate::provider::Provider::host).unwrap_or_default(),
    };
    Some(Topic { key: format!("{:?} {host}", row.verdict.kind), audience: Audience::First })
}

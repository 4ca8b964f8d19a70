//! What the terminals of this machine have said within the last hour, so that they do not say all of it again.
//!
//! Value-free: a cause by its kind and host, a verdict by its kind and a keyed hash of the value. One file of the state
//! directory, written anew under a lock: of twenty terminals that open at once, one speaks.

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

/// A longer file is none of raxx's.
const LONGEST: u64 = 1024 * 1024;

/// How long a thing is not said again.
const QUIET: SignedDuration = SignedDuration::from_hours(1);

/// How long another terminal that writes is waited for. To say a thing twice is better than not at all.
const WAIT: Duration = Duration::from_secs(1);

/// What a verdict is about, and who is told again within the hour.
struct Topic {
    key: String,
    /// Whether every new terminal says it, or the first one of the hour.
    everybody: bool,
}

/// The rows without what was said within the hour: that nobody answered, by any terminal; the rest only where this shell is
/// `nested` in one that raxx gave values to. What stays is noted as said.
pub(crate) async fn news(found: &[Checked], catalog: &Catalog, nested: bool, shown: Shown) -> Vec<Row> {
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
        if let Some(Topic { key, everybody }) = topic {
            if (nested || !everybody) && before.contains_key(&key) {
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

/// What was said, and when. A clock that was set back makes nothing last longer.
fn within_the_hour(file: &Path, now: Timestamp) -> BTreeMap<String, Timestamp> {
    let said = files::read_own(file, LONGEST).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut said: BTreeMap<String, Timestamp> = said.unwrap_or_default();
    said.retain(|_, at| *at <= now && now.duration_since(*at) < QUIET);
    said
}

/// What this verdict is about; none where a new terminal does not speak of it.
fn topic(checked: &Checked, catalog: &Catalog, shown: Shown) -> Option<Topic> {
    let row = &checked.row;
    if row.outcome() != Outcome::Fail && (shown == Shown::Fails || row.warning.is_none()) {
        return None;
    }
    if !matches!(row.verdict.kind, Kind::Unreachable | Kind::Blocked) {
        // Without a value it is about the store, and the words tell which.
        let what = checked.print.as_ref().unwrap_or(&row.verdict.words);
        return Some(Topic { key: format!("{:?} {} {what}", row.verdict.kind, row.name), everybody: true });
    }
    let host = match &row.verdict.cause {
        Some(Cause::NoResponse { host, .. }) => host.clone(),
        Some(Cause::NotAsked { why }) => why.clone(),
        _ => catalog.get(&row.provider).map(crate::provider::Provider::host).unwrap_or_default(),
    };
    Some(Topic { key: format!("{:?} {host}", row.verdict.kind), everybody: false })
}

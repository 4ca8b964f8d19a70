//! What raxx remembers about each credential between runs: its last verdict, and when its verdict changed.
//!
//! Contains no value and no hash of one; entries are keyed by configuration and name. There are two files in the
//! state directory: `last.json` has the last verdict of each name and is replaced atomically; `history.jsonl` has a
//! line for each change and is appended to. One lock guards both. Entries without a configuration were written by an
//! earlier version. They count for every configuration until one of them records a verdict for that name.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::files::{self, shown};
use crate::report::{ENVIRONMENT, Kind, Outcome, Row, Verdict};
use crate::state;
use crate::text::{clean, plain};

const LAST: &str = "last.json";
const CHANGES: &str = "history.jsonl";
const LOCK: &str = "history.lock";

/// How long to wait for another raxx that is writing, which takes a millisecond. If the wait is not enough, the next
/// run records the result.
const WAIT: Duration = Duration::from_millis(if cfg!(test) { 60_000 } else { 500 });

/// The file of changes is shortened when it is larger than this.
const LONGEST: u64 = 256 * 1024;

/// The largest state file that raxx reads; it never writes a larger one.
const LARGEST: u64 = 16 << 20;

/// Verdicts of another configuration are deleted when they are this old: that configuration is no longer in use.
const GONE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How many changes of each name are kept when the file is shortened.
const KEPT: usize = 100;

/// A verdict that differs from the previous one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub at: Timestamp,
    pub name: String,
    pub provider: String,
    /// Only its kind and words.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The path of the configuration that defines the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
}

/// The last verdict of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Last {
    pub provider: String,
    /// Only its kind, words and expiry.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The last conclusive kind: not "unreachable" or "locked store".
    pub settled: Kind,
    /// Where the value came from.
    pub source: Option<String>,
    /// When it was checked.
    pub at: Timestamp,
    /// When the run that checked it started. A run that started earlier does not overwrite it, even if it finishes
    /// later.
    #[serde(default)]
    pub began: Timestamp,
    /// When the outcome (PASS, FAIL or SKIP) last changed.
    pub since: Timestamp,
    /// Since when the conclusive kind has been a failure.
    #[serde(default)]
    pub settled_since: Option<Timestamp>,
    /// When it last passed.
    pub good: Option<Timestamp>,
    /// The path of the configuration that defines the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

/// The last verdicts of one configuration, by name.
pub(crate) type Known = BTreeMap<String, Last>;

/// The last verdicts of all configurations, as stored in the file: by name and configuration.
type All = BTreeMap<String, Last>;

/// The results of the last runs with this configuration; empty if there are none.
pub(crate) fn known(configuration: &str) -> Known {
    let dir = state::existing().ok().flatten();
    dir.map(|dir| known_in(&dir, configuration)).unwrap_or_default()
}

/// The changes of one name in this configuration, oldest first.
pub(crate) fn of(name: &str, configuration: &str) -> Vec<Change> {
    let all = state::existing().ok().flatten().map(|dir| changes_in(&dir)).unwrap_or_default();
    let ours = |change: &Change| change.name == name && change.is_of(configuration);
    all.into_iter().filter(ours).collect()
}

/// Since when it has been failing; `None` unless its last verdict is FAIL and from the same provider.
pub(crate) fn failing_since(name: &str, provider: &str, configuration: &str) -> Option<Timestamp> {
    known(configuration).get(name).filter(|last| last.provider == provider).and_then(Last::failing_since)
}

/// Records the verdicts that this run got from providers, not cached ones. Without a state directory, nothing is
/// recorded; the run already reports that it cannot save results.
///
/// # Errors
/// One line: which file, and why it could not be written. The run itself still counts.
pub(crate) fn record(configuration: &str, rows: &[Row], began: Timestamp, at: Timestamp) -> Result<(), String> {
    let Some(dir) = state::directory().ok().filter(|_| !rows.is_empty()) else { return Ok(()) };
    match record_in(&dir, configuration, rows, began, at) {
        // A full disk is temporary, and the run reports it for other files.
        Err((_, error)) if is_full(&error) => Ok(()),
        Err((file, error)) => Err(format!("{}: {}", shown(&dir.join(file)), files::why(&error))),
        Ok(()) => Ok(()),
    }
}

/// As [`record`], for a run that a scheduler started. Such a run has none of the terminal's variables, so not finding
/// a value that came from one does not say anything about the value.
///
/// # Errors
/// As [`record`].
pub(crate) fn record_unattended(
    configuration: &str,
    rows: &[Row],
    began: Timestamp,
    at: Timestamp,
) -> Result<(), String> {
    let known = known(configuration);
    let of_a_terminal = |row: &&Row| {
        matches!(row.verdict.kind, Kind::Missing | Kind::NotConfigured | Kind::Locked)
            && known
                .get(&row.name)
                .is_some_and(|last| last.provider == row.provider && last.source.as_deref() == Some(ENVIRONMENT))
    };
    let rows: Vec<Row> = rows.iter().filter(|row| !of_a_terminal(row)).cloned().collect();
    record(configuration, &rows, began, at)
}

/// Records the verdict of a value that was just stored, so that an earlier failure no longer counts.
///
/// # Errors
/// As [`record`].
pub(crate) fn record_stored(configuration: &str, row: Option<Row>, store: &str) -> Result<(), String> {
    let now = Timestamp::now();
    row.map_or(Ok(()), |row| record(configuration, &[Row { source: Some(store.into()), ..row }], now, now))
}

impl Change {
    /// Whether it belongs to this configuration.
    fn is_of(&self, place: &str) -> bool {
        self.configuration.as_deref().is_none_or(|of| of == place)
    }
}

impl Last {
    /// Since when it has been failing. A preceding outage does not count: the credential may have been valid then.
    pub(crate) fn failing_since(&self) -> Option<Timestamp> {
        (self.verdict.outcome() == Outcome::Fail).then_some(self.settled_since.unwrap_or(self.since))
    }

    fn after(row: &Row, place: &str, began: Timestamp, at: Timestamp, before: Option<&Last>) -> Last {
        let Verdict { kind, words, expires, .. } = &row.verdict;
        let outcome = kind.outcome();
        let same = before.filter(|before| before.verdict.outcome() == outcome);
        // An inconclusive answer keeps what was known.
        let unchanged = before.filter(|_| kind.is_inconclusive());
        let settled_since = match (kind.is_inconclusive(), outcome) {
            (true, _) => before.and_then(|before| before.settled_since),
            (false, Outcome::Fail) => before.and_then(|before| before.settled_since).or(Some(at)),
            (false, Outcome::Pass | Outcome::Skip) => None,
        };
        let expires = expires.or_else(|| unchanged.and_then(|before| before.verdict.expires));
        Last {
            provider: row.provider.clone(),
            verdict: Verdict { expires, ..Verdict::new(*kind, plain(words)) },
            settled: unchanged.map_or(*kind, |before| before.settled),
            source: row.source.clone().or_else(|| unchanged.and_then(|before| before.source.clone())),
            at,
            began,
            since: same.map_or(at, |before| before.since),
            settled_since,
            good: if *kind == Kind::Valid { Some(at) } else { before.and_then(|before| before.good) },
            configuration: Some(place.into()),
        }
    }
}

/// The entry's key in the file.
fn key(name: &str, place: &str) -> String {
    format!("{name} {place}")
}

fn known_in(dir: &Path, place: &str) -> Known {
    let mut known = Known::new();
    for (key, mut last) in all_in(dir) {
        let name = match &last.configuration {
            None => Some(key.as_str()),
            Some(of) => key.strip_suffix(of.as_str()).and_then(|key| key.strip_suffix(' ')).filter(|_| of == place),
        };
        let Some(name) = name else { continue };
        [&mut last.provider, &mut last.verdict.words]
            .into_iter()
            .chain(&mut last.source)
            .for_each(|text| *text = clean(text));
        // An entry of this configuration takes precedence over one without a configuration.
        if last.configuration.is_some() {
            known.insert(name.into(), last);
        } else {
            known.entry(name.into()).or_insert(last);
        }
    }
    known
}

fn all_in(dir: &Path) -> All {
    let bytes = files::read_own(&dir.join(LAST), LARGEST).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Skips invalid lines, which a full disk can leave.
fn changes_in(dir: &Path) -> Vec<Change> {
    let text = files::read_own(&dir.join(CHANGES), LARGEST).unwrap_or_default();
    let mut changes: Vec<Change> =
        text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    for change in &mut changes {
        [&mut change.provider, &mut change.verdict.words].into_iter().for_each(|text| *text = clean(text));
    }
    changes
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Which of the files could not be written, and why.
type Unwritten = (&'static str, io::Error);

fn record_in(dir: &Path, place: &str, rows: &[Row], began: Timestamp, at: Timestamp) -> Result<(), Unwritten> {
    let Some(_lock) = locked(dir).map_err(|error| (LOCK, error))? else { return Ok(()) };
    let mut all = all_in(dir);
    all.retain(|_, last| {
        let ours = last.configuration.as_deref().is_none_or(|of| of == place);
        ours || at.duration_since(last.at) < GONE
    });
    let mut changes = Vec::new();
    for row in rows {
        // A verdict from another provider is about another credential.
        let before = all.get(&key(&row.name, place)).or_else(|| all.get(&row.name));
        let before = before.filter(|before| before.provider == row.provider);
        // After a clock was set back, a new run can appear to have started before the last one.
        if before.is_some_and(|before| before.began > began && before.began <= at) {
            continue;
        }
        if before.is_none_or(|before| before.verdict.kind != row.verdict.kind) {
            changes.push(Change {
                at,
                name: row.name.clone(),
                provider: row.provider.clone(),
                verdict: Verdict::new(row.verdict.kind, plain(&row.verdict.words)),
                configuration: Some(place.into()),
            });
        }
        let last = Last::after(row, place, began, at, before);
        all.insert(key(&row.name, place), last);
        all.remove(&row.name);
    }
    if !changes.is_empty() {
        // If a run was interrupted between the two files, the change is already recorded.
        let there = changes_in(dir);
        let last_of = |name: &str| there.iter().rfind(|old| old.name == name && old.is_of(place));
        changes.retain(|change| last_of(&change.name).is_none_or(|old| old.verdict.kind != change.verdict.kind));
        append(dir, &changes).map_err(|error| (CHANGES, error))?;
    }
    let written = serde_json::to_vec(&all).map_err(io::Error::from);
    written.and_then(|bytes| files::replace(&dir.join(LAST), &bytes)).map_err(|error| (LAST, error))
}

/// The write lock; `None` if it is not free in time.
fn locked(dir: &Path) -> io::Result<Option<File>> {
    let lock = files::lock_file(&dir.join(LOCK))?;
    // A file system without locks counts as free.
    let free = files::lock_blocking(&lock, WAIT).unwrap_or(true);
    Ok(free.then_some(lock))
}

fn append(dir: &Path, changes: &[Change]) -> io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let path = dir.join(CHANGES);
    let mut file = files::append(&path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if length > 0 {
        let mut end = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut end)?;
        // A line that a full disk truncated must not swallow the next one.
        if end != *b"\n" {
            bytes.push(b'\n');
        }
    }
    for change in changes {
        serde_json::to_writer(&mut bytes, change)?;
        bytes.push(b'\n');
    }
    file.write_all(&bytes)?;
    if length + bytes.len() as u64 > LONGEST {
        files::replace(&path, &shortened(&changes_in(dir)))?;
    }
    Ok(())
}

/// The last changes of each name in each configuration, in order, limited to half of the maximum file size.
fn shortened(changes: &[Change]) -> Vec<u8> {
    let mut seen: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
    let mut lines = Vec::new();
    let mut room = LONGEST as usize / 2;
    for change in changes.iter().rev() {
        let count = seen.entry((&change.name, change.configuration.as_deref())).or_default();
        *count += 1;
        let mut line = serde_json::to_vec(change).unwrap_or_default();
        line.push(b'\n');
        // The newest change of each name is kept even if there is no room.
        if *count > 1 && (*count > KEPT || line.len() > room) {
            continue;
        }
        room = room.saturating_sub(line.len());
        lines.push(line);
    }
    lines.reverse();
    lines.concat()
}

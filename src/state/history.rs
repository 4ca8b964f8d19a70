//! What is known of each credential between runs: its last verdict, and when verdicts changed.
//!
//! Value-free: by configuration and name, without a value or a form of it. Two files of the state directory: `last.json` with
//! the last verdict of each name, written anew and renamed, and `history.jsonl` with a line for each change, appended to.
//! Both are written under one lock. Entries without a configuration are those of an earlier version: they count for each
//! configuration until one of them notes a verdict of that name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::files::{self, shown};
use crate::report::ENVIRONMENT;
use crate::report::{Kind, Row, Verdict};
use crate::state;
use crate::text::{clean, plain};

const LAST: &str = "last.json";
const CHANGES: &str = "history.jsonl";
const LOCK: &str = "history.lock";

/// How long another raxx that writes is waited for: it takes a millisecond. What is not noted then is noted by the next
/// run.
const WAIT: Duration = Duration::from_millis(500);

/// The file of changes is cut when it is longer than this.
const LONGEST: u64 = 256 * 1024;

/// The largest state file that raxx reads; it never writes a larger one.
const LARGEST: u64 = 16 << 20;

/// Verdicts of another configuration that were found so long ago are deleted: it is gone.
const GONE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How many changes of each name are kept then.
const KEPT: usize = 100;

/// A verdict that differs from the one before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub at: Timestamp,
    pub name: String,
    pub provider: String,
    pub kind: Kind,
    pub words: String,
    /// Where the configuration is that the name is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
}

/// The last verdict of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Last {
    pub provider: String,
    pub kind: Kind,
    /// The last kind that says something of the credential itself: not that nobody answered, or that the store is locked.
    pub settled: Kind,
    pub words: String,
    /// Where the value came from.
    pub source: Option<String>,
    pub expires: Option<Timestamp>,
    /// When it was checked.
    pub at: Timestamp,
    /// When the run began that checked it: one that began before that knows less, however late it ends.
    #[serde(default)]
    pub began: Timestamp,
    /// Since when the verdict, PASS or FAIL or SKIP, is what it is.
    pub since: Timestamp,
    /// Since when the settled kind is a failure.
    #[serde(default)]
    pub settled_since: Option<Timestamp>,
    /// When it was last good.
    pub good: Option<Timestamp>,
    /// Where the configuration is that the name is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

/// The last verdicts of one configuration, by name.
pub(crate) type Known = BTreeMap<String, Last>;

/// The last verdicts of all configurations, as they are in the file: by name and configuration.
type All = BTreeMap<String, Last>;

/// What the last runs with this configuration found. Empty where nothing is known.
pub(crate) fn known(configuration: &str) -> Known {
    let dir = state::existing().ok().flatten();
    dir.map(|dir| known_in(&dir, configuration)).unwrap_or_default()
}

/// The changes of one name in this configuration, the oldest first.
pub(crate) fn of(name: &str, configuration: &str) -> Vec<Change> {
    let all = state::existing().ok().flatten().map(|dir| changes_in(&dir)).unwrap_or_default();
    let ours = |change: &Change| change.name == name && change.is_of(configuration);
    all.into_iter().filter(ours).collect()
}

/// Since when it fails; none where its last verdict is not FAIL, or another provider's.
pub(crate) fn failing_since(name: &str, provider: &str, configuration: &str) -> Option<Timestamp> {
    known(configuration).get(name).filter(|last| last.provider == provider).and_then(Last::failing_since)
}

/// Notes the verdicts of a run: those that were asked for this very run, not remembered ones. Without a state directory
/// nothing is noted, which the run says of all that it cannot keep.
///
/// # Errors
/// One line: which file, and why it could not be written. It costs the memory, not the run.
pub(crate) fn note(configuration: &str, rows: &[Row], began: Timestamp, at: Timestamp) -> Result<(), String> {
    let Some(dir) = state::directory().ok().filter(|_| !rows.is_empty()) else { return Ok(()) };
    match note_in(&dir, configuration, rows, began, at) {
        // It passes, and other files tell of it.
        Err((_, error)) if is_full(&error) => Ok(()),
        Err((file, error)) => Err(format!("{}: {}", shown(&dir.join(file)), files::why(&error))),
        Ok(()) => Ok(()),
    }
}

/// The same for a run that a scheduler started: it has none of a terminal's variables, so that it does not find a value
/// that a terminal had is no word on the value.
///
/// # Errors
/// As [`note`].
pub(crate) fn note_unattended(
    configuration: &str,
    rows: &[Row],
    began: Timestamp,
    at: Timestamp,
) -> Result<(), String> {
    let known = known(configuration);
    let of_a_terminal = |row: &&Row| {
        matches!(row.kind, Kind::Missing | Kind::NotConfigured | Kind::Locked)
            && known
                .get(&row.name)
                .is_some_and(|last| last.provider == row.provider && last.source.as_deref() == Some(ENVIRONMENT))
    };
    let rows: Vec<Row> = rows.iter().filter(|row| !of_a_terminal(row)).cloned().collect();
    note(configuration, &rows, began, at)
}

/// Notes the verdict of a value that is in the store now: what failed before fails no more.
///
/// # Errors
/// As [`note`].
pub(crate) fn note_stored(configuration: &str, row: Option<Row>, store: &str) -> Result<(), String> {
    let now = Timestamp::now();
    row.map_or(Ok(()), |row| note(configuration, &[Row { source: Some(store.into()), ..row }], now, now))
}

impl Change {
    /// Whether it is this configuration's.
    fn is_of(&self, place: &str) -> bool {
        self.configuration.as_deref().is_none_or(|of| of == place)
    }
}

impl Last {
    /// Since when it fails. That nobody answered before is not part of it: then it may have been good.
    pub(crate) fn failing_since(&self) -> Option<Timestamp> {
        (self.kind.verdict() == Verdict::Fail).then_some(self.settled_since.unwrap_or(self.since))
    }

    fn after(row: &Row, place: &str, began: Timestamp, at: Timestamp, before: Option<&Last>) -> Last {
        let verdict = row.kind.verdict();
        let same = before.filter(|before| before.kind.verdict() == verdict);
        let says_nothing = says_nothing(row.kind);
        let good = row.kind == Kind::Valid;
        let settled_since = match (says_nothing, verdict) {
            (true, _) => before.and_then(|before| before.settled_since),
            (false, Verdict::Fail) => before.and_then(|before| before.settled_since).or(Some(at)),
            (false, Verdict::Pass | Verdict::Skip) => None,
        };
        Last {
            provider: row.provider.clone(),
            kind: row.kind,
            settled: before.filter(|_| says_nothing).map_or(row.kind, |before| before.settled),
            words: plain(&row.words),
            source: row.source.clone().or_else(|| before.filter(|_| says_nothing).and_then(|b| b.source.clone())),
            // What is not answered has not lost its end.
            expires: row.expires.or_else(|| before.filter(|_| says_nothing).and_then(|b| b.expires)),
            at,
            began,
            since: same.map_or(at, |before| before.since),
            settled_since,
            good: if good { Some(at) } else { before.and_then(|before| before.good) },
            configuration: Some(place.into()),
        }
    }
}

/// Whether this kind is about the way to the credential or its provider, not about the credential.
pub(crate) fn says_nothing(kind: Kind) -> bool {
    matches!(kind, Kind::Unreachable | Kind::Blocked | Kind::Locked)
}

/// The entry's place in the file.
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
        [&mut last.provider, &mut last.words].into_iter().chain(&mut last.source).for_each(|text| *text = clean(text));
        // Only an entry of this configuration replaces another one.
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

/// Lines that are none, as a full disk leaves them, are passed over.
fn changes_in(dir: &Path) -> Vec<Change> {
    let text = files::read_own(&dir.join(CHANGES), LARGEST).unwrap_or_default();
    let mut changes: Vec<Change> =
        text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    for change in &mut changes {
        [&mut change.provider, &mut change.words].into_iter().for_each(|text| *text = clean(text));
    }
    changes
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Which of the files could not be written, and why.
type Unwritten = (&'static str, io::Error);

fn note_in(dir: &Path, place: &str, rows: &[Row], began: Timestamp, at: Timestamp) -> Result<(), Unwritten> {
    let Some(_lock) = locked(dir).map_err(|error| (LOCK, error))? else { return Ok(()) };
    let mut all = all_in(dir);
    all.retain(|_, last| {
        let ours = last.configuration.as_deref().is_none_or(|of| of == place);
        ours || at.duration_since(last.at) < GONE
    });
    let mut changes = Vec::new();
    for row in rows {
        // Another provider's verdict is another credential's.
        let before = all.get(&key(&row.name, place)).or_else(|| all.get(&row.name));
        let before = before.filter(|before| before.provider == row.provider);
        // A clock that was set back makes no run an old one.
        if before.is_some_and(|before| before.began > began && before.began <= at) {
            continue;
        }
        if before.is_none_or(|before| before.kind != row.kind) {
            changes.push(Change {
                at,
                name: row.name.clone(),
                provider: row.provider.clone(),
                kind: row.kind,
                words: plain(&row.words),
                configuration: Some(place.into()),
            });
        }
        let last = Last::after(row, place, began, at, before);
        all.insert(key(&row.name, place), last);
        all.remove(&row.name);
    }
    if !changes.is_empty() {
        // Where a run ended between the two files, the change is there already.
        let there = changes_in(dir);
        let last_of = |name: &str| there.iter().rfind(|old| old.name == name && old.is_of(place));
        changes.retain(|change| last_of(&change.name).is_none_or(|old| old.kind != change.kind));
        append(dir, &changes).map_err(|error| (CHANGES, error))?;
    }
    let written = serde_json::to_vec(&all).map_err(io::Error::from);
    written.and_then(|bytes| files::replace(&dir.join(LAST), &bytes)).map_err(|error| (LAST, error))
}

/// The right to write, or none in time.
fn locked(dir: &Path) -> io::Result<Option<File>> {
    let lock = files::lock_file(&dir.join(LOCK))?;
    // Also on a file system that has no locks.
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
        // A line that a full disk cut short stays alone.
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

/// The last changes of each name of each configuration, in their order; of all of them, what half of the longest file holds.
fn shortened(changes: &[Change]) -> Vec<u8> {
    let mut seen: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
    let mut lines = Vec::new();
    let mut room = LONGEST as usize / 2;
    for change in changes.iter().rev() {
        let count = seen.entry((&change.name, change.configuration.as_deref())).or_default();
        *count += 1;
        let mut line = serde_json::to_vec(change).unwrap_or_default();
        line.push(b'\n');
        // The newest of each name stays whatever there is room for.
        if *count > 1 && (*count > KEPT || line.len() > room) {
            continue;
        }
        room = room.saturating_sub(line.len());
        lines.push(line);
    }
    lines.reverse();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    const HERE: &str = "/somewhere/raxx/config.toml";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn row(name: &str, kind: Kind) -> Row {
        Row::new(name, "github", kind, format!("{kind:?}"))
    }

    fn noted(dir: &Path, name: &str, kind: Kind, second: i64) {
        note_in(dir, HERE, &[row(name, kind)], at(second), at(second)).unwrap();
    }

    fn kinds(dir: &Path, name: &str) -> Vec<(i64, Kind)> {
        changes_in(dir).into_iter().filter(|c| c.name == name).map(|c| (c.at.as_second(), c.kind)).collect()
    }

    #[test]
    fn changes_alone_are_kept_and_the_last_verdict_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        for second in 1..=5 {
            noted(dir, "A", Kind::Valid, second);
        }
        noted(dir, "B", Kind::Missing, 5);
        noted(dir, "A", Kind::Unreachable, 6);
        noted(dir, "A", Kind::Rejected, 7);
        noted(dir, "A", Kind::Rejected, 8);
        assert_eq!(kinds(dir, "A"), [(1, Kind::Valid), (6, Kind::Unreachable), (7, Kind::Rejected)]);
        assert_eq!(kinds(dir, "B"), [(5, Kind::Missing)]);
        let a = known_in(dir, HERE).remove("A").unwrap();
        assert_eq!((a.failing_since(), a.good, a.at), (Some(at(7)), Some(at(5)), at(8)));
        noted(dir, "A", Kind::Valid, 9);
        let a = known_in(dir, HERE).remove("A").unwrap();
        assert_eq!((a.failing_since(), a.good, a.since), (None, Some(at(9)), at(9)));
    }

    #[test]
    fn an_outage_says_nothing_of_the_credential() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut good = row("A", Kind::Valid);
        good.expires = Some(at(1000));
        note_in(dir, HERE, &[good], at(1), at(1)).unwrap();
        noted(dir, "A", Kind::Unreachable, 2);
        let a = known_in(dir, HERE).remove("A").unwrap();
        assert_eq!((a.kind, a.settled, a.expires), (Kind::Unreachable, Kind::Valid, Some(at(1000))));
        noted(dir, "A", Kind::Rejected, 3);
        noted(dir, "A", Kind::Blocked, 4);
        let a = known_in(dir, HERE).remove("A").unwrap();
        assert_eq!((a.kind, a.settled, a.expires), (Kind::Blocked, Kind::Rejected, None));
        assert_eq!(a.failing_since(), Some(at(3)));
    }

    #[test]
    fn a_run_that_began_earlier_and_ends_later_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        note_in(dir, HERE, &[row("A", Kind::Valid)], at(5), at(6)).unwrap();
        note_in(dir, HERE, &[row("A", Kind::Rejected), row("B", Kind::Rejected)], at(1), at(9)).unwrap();
        let known = known_in(dir, HERE);
        assert_eq!((known["A"].kind, known["A"].at, known["B"].kind), (Kind::Valid, at(6), Kind::Rejected));
        assert_eq!(kinds(dir, "A"), [(6, Kind::Valid)]);
        note_in(dir, HERE, &[row("A", Kind::Rejected)], at(7), at(10)).unwrap();
        assert_eq!(known_in(dir, HERE)["A"].kind, Kind::Rejected);
    }

    #[test]
    fn a_clock_that_is_set_back_mixes_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        noted(dir, "A", Kind::Valid, 1000);
        noted(dir, "A", Kind::Rejected, 500);
        assert_eq!(kinds(dir, "A"), [(1000, Kind::Valid), (500, Kind::Rejected)]);
        assert_eq!(known_in(dir, HERE)["A"].failing_since(), Some(at(500)));
    }

    #[test]
    fn what_a_full_disk_left_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        noted(dir, "A", Kind::Valid, 1);
        let mut file = OpenOptions::new().append(true).open(dir.join(CHANGES)).unwrap();
        file.write_all(b"{\"at\":\"1970-01-01T00:0").unwrap();
        fs::write(dir.join(LAST), "{\"A\":").unwrap();
        noted(dir, "A", Kind::Rejected, 2);
        noted(dir, "B", Kind::Valid, 2);
        assert_eq!(kinds(dir, "A"), [(1, Kind::Valid), (2, Kind::Rejected)]);
        assert_eq!(kinds(dir, "B"), [(2, Kind::Valid)]);
    }

    #[test]
    fn a_run_that_ended_between_the_files_is_not_told_twice() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        noted(dir, "A", Kind::Valid, 1);
        let before = fs::read(dir.join(LAST)).unwrap();
        noted(dir, "A", Kind::Rejected, 2);
        fs::write(dir.join(LAST), before).unwrap();
        noted(dir, "A", Kind::Rejected, 3);
        assert_eq!(kinds(dir, "A"), [(1, Kind::Valid), (2, Kind::Rejected)]);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        noted(dir, "QUIET", Kind::Missing, 1);
        let flapping: Vec<Change> = (0..3000)
            .map(|i| {
                let kind = if i % 2 == 0 { Kind::Valid } else { Kind::Unreachable };
                let (name, provider, words) = ("A".into(), "x".into(), "w".repeat(60));
                Change { at: at(i), name, provider, kind, words, configuration: None }
            })
            .collect();
        append(dir, &flapping).unwrap();
        let length = fs::metadata(dir.join(CHANGES)).unwrap().len();
        assert!(length < LONGEST / 2, "{length}");
        assert_eq!(kinds(dir, "QUIET"), [(1, Kind::Missing)]);
        let a = kinds(dir, "A");
        assert_eq!((a.len(), a[0].0, a[99].0), (KEPT, 2900, 2999));
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        std::thread::scope(|scope| {
            for i in 0..8 {
                scope.spawn(move || {
                    for second in 0..10 {
                        let kind = if second % 2 == 0 { Kind::Valid } else { Kind::Rejected };
                        noted(dir, &format!("N{i}"), kind, second);
                    }
                });
            }
        });
        for i in 0..8 {
            assert_eq!(kinds(dir, &format!("N{i}")).len(), 10);
        }
        assert_eq!(known_in(dir, HERE).len(), 8);
    }

    #[test]
    fn each_configuration_has_verdicts_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        noted(dir, "A", Kind::Rejected, 1);
        let there = "/another file.toml";
        assert!(known_in(dir, there).is_empty());
        note_in(dir, there, &[row("A", Kind::Valid)], at(2), at(2)).unwrap();
        assert_eq!((known_in(dir, HERE)["A"].kind, known_in(dir, there)["A"].kind), (Kind::Rejected, Kind::Valid));
        assert_eq!(known_in(dir, HERE)["A"].failing_since(), Some(at(1)));
        // A configuration that is gone is forgotten.
        note_in(dir, HERE, &[row("B", Kind::Valid)], at(100 * 86_400), at(100 * 86_400)).unwrap();
        assert!(known_in(dir, there).is_empty());
        assert_eq!(known_in(dir, HERE).len(), 2);
    }

    #[test]
    fn what_an_earlier_version_noted_is_taken_over_by_the_first_configuration_that_checks() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        noted(dir, "A", Kind::Rejected, 1);
        let mut all = all_in(dir);
        let mut last = all.remove(&key("A", HERE)).unwrap();
        last.configuration = None;
        all.insert("A".into(), last);
        fs::write(dir.join(LAST), serde_json::to_vec(&all).unwrap()).unwrap();
        let there = "/other.toml";
        assert_eq!((known_in(dir, HERE)["A"].kind, known_in(dir, there)["A"].kind), (Kind::Rejected, Kind::Rejected));
        noted(dir, "A", Kind::Rejected, 5);
        assert_eq!(known_in(dir, HERE)["A"].failing_since(), Some(at(1)));
        assert!(known_in(dir, there).is_empty());
    }
}

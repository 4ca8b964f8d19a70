//! What is known of each credential between runs: its last verdict, and when verdicts changed.
//!
//! Value-free: by name, without a value or a form of it. Two files of the state directory: `last.json` with the last verdict
//! of each name, written anew and renamed, and `history.jsonl` with a line for each change, appended to. Both are written
//! under one lock.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::{Kind, Row, Verdict};
use crate::source::ENVIRONMENT;
use crate::state::{directory, lock_file, replace};
use crate::text::{clean, plain};

const LAST: &str = "last.json";
const CHANGES: &str = "history.jsonl";

/// How long another raxx that writes is waited for: it takes a millisecond. What is not noted then is noted by the next
/// run.
const WAIT: Duration = Duration::from_millis(500);

/// The file of changes is cut when it is longer than this.
const LONGEST: u64 = 256 * 1024;

/// How many changes of each name are kept then.
const KEPT: usize = 100;

/// A verdict that differs from the one before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub at: Timestamp,
    pub name: String,
    pub provider: String,
    pub kind: Kind,
    pub words: String,
}

/// The last verdict of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
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
}

/// The last verdicts, by name.
pub type Known = BTreeMap<String, Last>;

/// What the last runs found. Empty where nothing is known.
pub fn known() -> Known {
    directory().map(|dir| known_in(&dir)).unwrap_or_default()
}

/// The changes of one name, the oldest first.
pub fn of(name: &str) -> Vec<Change> {
    let all = directory().map(|dir| changes_in(&dir)).unwrap_or_default();
    all.into_iter().filter(|change| change.name == name).collect()
}

/// Since when it fails; none where its last verdict is not FAIL, or another provider's.
pub fn failing_since(name: &str, provider: &str) -> Option<Timestamp> {
    known().get(name).filter(|last| last.provider == provider).and_then(Last::failing_since)
}

/// Notes the verdicts of a run: those that were asked for this very run, not remembered ones. A memory that cannot be
/// written costs the memory, not the run.
pub fn note(rows: &[Row], began: Timestamp, at: Timestamp) {
    if let Some(dir) = directory().filter(|_| !rows.is_empty()) {
        let _ = note_in(&dir, rows, began, at);
    }
}

/// The same for a run that a scheduler started: it has none of a terminal's variables, so that it does not find a value
/// that a terminal had is no word on the value.
pub fn note_unattended(rows: &[Row], began: Timestamp, at: Timestamp) {
    let known = known();
    let of_a_terminal = |row: &&Row| {
        matches!(row.kind, Kind::Missing | Kind::NotConfigured | Kind::Locked)
            && known
                .get(&row.name)
                .is_some_and(|last| last.provider == row.provider && last.source.as_deref() == Some(ENVIRONMENT))
    };
    let rows: Vec<Row> = rows.iter().filter(|row| !of_a_terminal(row)).cloned().collect();
    note(&rows, began, at);
}

/// Notes the verdict of a value that is in the store now: what failed before fails no more.
pub fn note_stored(row: Option<Row>, store: &str) {
    if let Some(row) = row {
        let now = Timestamp::now();
        note(&[Row { source: Some(store.into()), ..row }], now, now);
    }
}

impl Last {
    /// Since when it fails. That nobody answered before is not part of it: then it may have been good.
    pub fn failing_since(&self) -> Option<Timestamp> {
        (self.kind.verdict() == Verdict::Fail).then_some(self.settled_since.unwrap_or(self.since))
    }

    fn after(row: &Row, began: Timestamp, at: Timestamp, before: Option<&Last>) -> Last {
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
        }
    }
}

/// Whether this kind is about the way to the credential or its provider, not about the credential.
pub fn says_nothing(kind: Kind) -> bool {
    matches!(kind, Kind::Unreachable | Kind::Blocked | Kind::Locked)
}

fn known_in(dir: &Path) -> Known {
    let known = fs::read(dir.join(LAST)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut known: Known = known.unwrap_or_default();
    for last in known.values_mut() {
        [&mut last.provider, &mut last.words].into_iter().chain(&mut last.source).for_each(|text| *text = clean(text));
    }
    known
}

/// Lines that are none, as a full disk leaves them, are passed over.
fn changes_in(dir: &Path) -> Vec<Change> {
    let text = fs::read(dir.join(CHANGES)).unwrap_or_default();
    let mut changes: Vec<Change> =
        text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    for change in &mut changes {
        [&mut change.provider, &mut change.words].into_iter().for_each(|text| *text = clean(text));
    }
    changes
}

fn note_in(dir: &Path, rows: &[Row], began: Timestamp, at: Timestamp) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let Some(_lock) = locked(dir) else { return Ok(()) };
    let mut known = known_in(dir);
    let mut changes = Vec::new();
    for row in rows {
        // Another provider's verdict is another credential's.
        let before = known.get(&row.name).filter(|before| before.provider == row.provider);
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
            });
        }
        let last = Last::after(row, began, at, before);
        known.insert(row.name.clone(), last);
    }
    if !changes.is_empty() {
        // Where a run ended between the two files, the change is there already.
        let there = changes_in(dir);
        changes.retain(|c| there.iter().rfind(|old| old.name == c.name).is_none_or(|old| old.kind != c.kind));
        append(dir, &changes)?;
    }
    replace(&dir.join(LAST), &serde_json::to_vec(&known)?)
}

/// The right to write, or none in time.
fn locked(dir: &Path) -> Option<File> {
    let lock = lock_file(&dir.join("history.lock"))?;
    let until = Instant::now() + WAIT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Some(lock),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(fs::TryLockError::WouldBlock) => return None,
            // A file system that knows no locks.
            Err(fs::TryLockError::Error(_)) => return Some(lock),
        }
    }
}

fn append(dir: &Path, changes: &[Change]) -> io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let path = dir.join(CHANGES);
    let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&path)?;
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
        replace(&path, &shortened(&changes_in(dir)))?;
    }
    Ok(())
}

/// The last changes of each name, in their order; of all of them, what half of the longest file holds.
fn shortened(changes: &[Change]) -> Vec<u8> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lines = Vec::new();
    let mut room = LONGEST as usize / 2;
    for change in changes.iter().rev() {
        let count = seen.entry(&change.name).or_default();
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
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn row(name: &str, kind: Kind) -> Row {
        Row::new(name, "github", kind, format!("{kind:?}"))
    }

    fn noted(dir: &Path, name: &str, kind: Kind, second: i64) {
        note_in(dir, &[row(name, kind)], at(second), at(second)).unwrap();
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
        let a = known_in(dir).remove("A").unwrap();
        assert_eq!((a.failing_since(), a.good, a.at), (Some(at(7)), Some(at(5)), at(8)));
        noted(dir, "A", Kind::Valid, 9);
        let a = known_in(dir).remove("A").unwrap();
        assert_eq!((a.failing_since(), a.good, a.since), (None, Some(at(9)), at(9)));
    }

    #[test]
    fn an_outage_says_nothing_of_the_credential() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut good = row("A", Kind::Valid);
        good.expires = Some(at(1000));
        note_in(dir, &[good], at(1), at(1)).unwrap();
        noted(dir, "A", Kind::Unreachable, 2);
        let a = known_in(dir).remove("A").unwrap();
        assert_eq!((a.kind, a.settled, a.expires), (Kind::Unreachable, Kind::Valid, Some(at(1000))));
        noted(dir, "A", Kind::Rejected, 3);
        noted(dir, "A", Kind::Blocked, 4);
        let a = known_in(dir).remove("A").unwrap();
        assert_eq!((a.kind, a.settled, a.expires), (Kind::Blocked, Kind::Rejected, None));
        assert_eq!(a.failing_since(), Some(at(3)));
    }

    #[test]
    fn a_run_that_began_earlier_and_ends_later_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        note_in(dir, &[row("A", Kind::Valid)], at(5), at(6)).unwrap();
        note_in(dir, &[row("A", Kind::Rejected), row("B", Kind::Rejected)], at(1), at(9)).unwrap();
        let known = known_in(dir);
        assert_eq!((known["A"].kind, known["A"].at, known["B"].kind), (Kind::Valid, at(6), Kind::Rejected));
        assert_eq!(kinds(dir, "A"), [(6, Kind::Valid)]);
        note_in(dir, &[row("A", Kind::Rejected)], at(7), at(10)).unwrap();
        assert_eq!(known_in(dir)["A"].kind, Kind::Rejected);
    }

    #[test]
    fn a_clock_that_is_set_back_mixes_nothing_up() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        noted(dir, "A", Kind::Valid, 1000);
        noted(dir, "A", Kind::Rejected, 500);
        assert_eq!(kinds(dir, "A"), [(1000, Kind::Valid), (500, Kind::Rejected)]);
        assert_eq!(known_in(dir)["A"].failing_since(), Some(at(500)));
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
                Change { at: at(i), name: "A".into(), provider: "x".into(), kind, words: "w".repeat(60) }
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
        assert_eq!(known_in(dir).len(), 8);
    }
}

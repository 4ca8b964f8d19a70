//! The record of the daily check's last run, which decides whether it is due.

#[cfg(test)]
mod tests;

use std::fs::{self, File};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{At, ScheduleError, delete};
use crate::files::{self, shown};
use crate::report::{Kind, Outcome, Report};
use crate::state;
use crate::text::{clean, plain};

/// A check is late this long after its time: schedulers start it once an hour.
const LATE: SignedDuration = SignedDuration::from_mins(70);

/// The saved state of the daily check. Contains no secrets.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct LastRun {
    /// When it was installed. Checks that were due earlier are not made up for.
    since: Option<Timestamp>,
    /// The last run.
    pub ran: Option<Ran>,
    /// Why the last attempt failed to run.
    pub broken: Option<Broken>,
}

/// A completed run and its results.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ran {
    /// When it started.
    pub at: Timestamp,
    pub passed: usize,
    pub skipped: usize,
    pub failing: Vec<String>,
    /// Tokens that passed with a warning.
    #[serde(default)]
    pub warned: Vec<String>,
    /// Whether any provider gave a verdict. Without a network, nothing was checked.
    pub answered: bool,
    /// Whether every alert was delivered.
    pub told: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Broken {
    pub at: Timestamp,
    pub why: String,
}

impl Ran {
    fn new(at: Timestamp, report: &Report, told: bool) -> Ran {
        let names = |wanted: &dyn Fn(&crate::report::Row) -> bool| {
            report.rows.iter().filter(|row| wanted(row)).map(|row| row.name.clone()).collect()
        };
        let count = |verdict| report.rows.iter().filter(|row| row.outcome() == verdict).count();
        // A captive portal, or a provider that is down, responds without a verdict on the token.
        let inconclusive = |row: &crate::report::Row| matches!(row.verdict.kind, Kind::Unreachable | Kind::Blocked);
        let conclusive = |row: &crate::report::Row| {
            matches!(row.verdict.kind, Kind::Valid | Kind::Rejected | Kind::Refused | Kind::Limited)
        };
        Ran {
            at,
            passed: count(Outcome::Pass),
            skipped: count(Outcome::Skip),
            failing: names(&|row| row.outcome() == Outcome::Fail),
            warned: names(&|row| row.warning.is_some()),
            // A run that contacted no provider (no stored token, or a locked store) counts as answered.
            answered: report.rows.iter().any(conclusive) || !report.rows.iter().any(inconclusive),
            told,
        }
    }

    /// Whether nothing is left to do until the next day.
    fn settled(&self) -> bool {
        self.answered && self.told
    }

    /// `4 PASS, 1 FAIL: HEROKU_API_KEY`.
    pub(crate) fn words(&self) -> String {
        let mut parts = vec![format!("{} PASS", self.passed)];
        if self.skipped > 0 {
            parts.push(format!("{} SKIP", self.skipped));
        }
        if !self.warned.is_empty() {
            parts.push(format!("{} to rotate soon: {}", self.warned.len(), self.warned.join(", ")));
        }
        if !self.failing.is_empty() {
            parts.push(format!("{} FAIL: {}", self.failing.len(), self.failing.join(", ")));
        }
        parts.join(", ")
    }
}

const RECORD: &str = "schedule.json";
const LOCK: &str = "schedule.lock";

/// Maximum size of the file, in bytes.
const MAX_SIZE: u64 = 1 << 20;

impl LastRun {
    /// Returns the saved record, or an empty one if the file is damaged: then a check runs rather than none.
    pub(crate) fn load() -> LastRun {
        let dir = state::existing().ok().flatten();
        let bytes = dir.and_then(|dir| files::read_own(&dir.join(RECORD), MAX_SIZE).ok());
        let mut last: LastRun = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        // These texts are printed, so control characters are removed.
        let ran = last.ran.iter_mut().flat_map(|ran| ran.failing.iter_mut().chain(&mut ran.warned));
        ran.chain(last.broken.iter_mut().map(|broken| &mut broken.why)).for_each(|text| *text = clean(text));
        last
    }

    fn save(&self) -> Result<(), ScheduleError> {
        let path = state::directory()?.join(RECORD);
        let write = || files::replace(&path, &serde_json::to_vec(self)?);
        write().map_err(|error| format!("{}: {}", shown(&path), files::why(&error)).into())
    }

    /// Whether this day's check is done. A run without a verdict, or with an undelivered alert, is repeated.
    fn is_settled(&self, last: Timestamp, next: Timestamp) -> bool {
        let ran = self.ran.as_ref().filter(|ran| ran.settled()).map(|ran| ran.at);
        // Only a time in this period counts. A time in the future means that the clock was set back since. It is ignored,
        // so that the check runs once more rather than never.
        ran.into_iter().chain(self.since).any(|at| (last..next).contains(&at))
    }

    fn due(&self, at: &At, now: Timestamp, zone: &TimeZone) -> bool {
        let (last, next) = at.around(now, zone);
        !self.is_settled(last, next)
    }

    /// Returns when the check is due next, or `None` if it is due now.
    pub(crate) fn next(&self, at: &At, now: Timestamp) -> Option<Timestamp> {
        let (last, next) = at.around(now, &at.zone());
        self.is_settled(last, next).then_some(next)
    }

    /// Returns when the check should have run, if it is later than a scheduler's delay explains.
    pub(crate) fn late(&self, at: &At, now: Timestamp) -> Option<Timestamp> {
        let (last, next) = at.around(now, &at.zone());
        let tried = self.ran.as_ref().is_some_and(|ran| (last..next).contains(&ran.at))
            || self.broken.as_ref().is_some_and(|broken| (last..next).contains(&broken.at));
        (!tried && !self.is_settled(last, next) && now.duration_since(last) > LATE).then_some(last)
    }
}

/// Records the results of a daily check and whether every alert was delivered. This is the last step of a run, so a run
/// that is killed earlier is repeated.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub(crate) fn note(began: Timestamp, report: &Report, told: bool) -> Result<(), ScheduleError> {
    let mut last = LastRun::load();
    // A run that was started by hand later might have finished first.
    if last.ran.as_ref().is_some_and(|ran| ran.at > began && ran.at <= Timestamp::now()) {
        return Ok(());
    }
    last.ran = Some(Ran::new(began, report, told));
    last.broken = None;
    last.save()
}

/// Records why the check could not run.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub(crate) fn note_broken(why: &str) -> Result<(), ScheduleError> {
    let mut last = LastRun::load();
    last.broken = Some(Broken { at: Timestamp::now(), why: plain(why) });
    last.save()
}

/// Whether this day's check already ran, so that this run only repeats it.
pub(crate) fn again(at: &At) -> bool {
    let (last, next) = at.around(Timestamp::now(), &at.zone());
    LastRun::load().ran.is_some_and(|ran| (last..next).contains(&ran.at))
}

/// The exclusive right to run the check that is due. No other process runs it until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: Option<File>,
}

/// Takes the turn if the check is due and no other process is running it. It is always due if no record can be saved.
pub(crate) fn acquire(at: &At) -> Option<Turn> {
    let lock = lock();
    if let Some(lock) = &lock
        && files::try_lock(lock).is_ok_and(|free| !free)
    {
        return None;
    }
    LastRun::load().due(at, Timestamp::now(), &at.zone()).then_some(Turn { _lock: lock })
}

fn lock() -> Option<File> {
    files::lock_file(&state::directory().ok()?.join(LOCK)).ok()
}

/// Records that the check is expected to run from now on. Returns whether this is new.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub(crate) fn mark_installed() -> Result<bool, ScheduleError> {
    let mut last = LastRun::load();
    if last.since.is_some() {
        return Ok(false);
    }
    last.since = Some(Timestamp::now());
    last.save().map(|()| true)
}

/// Undoes [`mark_installed`] after a failed installation.
pub(crate) fn unmark() {
    let mut last = LastRun::load();
    last.since = None;
    let _ = if last.ran.is_some() || last.broken.is_some() { last.save() } else { forget() };
}

/// Deletes the record of the daily check.
///
/// # Errors
/// One line: which file could not be deleted, and why.
pub(crate) fn forget() -> Result<(), ScheduleError> {
    let Some(dir) = state::existing()? else { return Ok(()) };
    delete(&dir.join(RECORD))?;
    delete(&dir.join(LOCK))?;
    // The directory is empty if raxx never ran.
    let _ = fs::remove_dir(dir);
    Ok(())
}

/// Deletes the records of pending and sent alerts, so that a later installation starts without them.
///
/// # Errors
/// One line: which file could not be deleted, and why.
pub(crate) fn forget_alerts() -> Result<(), ScheduleError> {
    let Some(directory) = state::existing()? else { return Ok(()) };
    for name in crate::alert::FILES {
        delete(&directory.join(name))?;
    }
    Ok(())
}

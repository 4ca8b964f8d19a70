//! What the daily check remembers, and so whether it is due.

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

/// A check is late when it should have run so long ago: schedulers look once an hour.
const LATE: SignedDuration = SignedDuration::from_mins(70);

/// What the daily check remembers. Value-free.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct LastRun {
    /// When it was installed: what was due before that is not made up for.
    since: Option<Timestamp>,
    /// The last run.
    pub ran: Option<Ran>,
    /// Why the last try was no run.
    pub broken: Option<Broken>,
}

/// One run and what it found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ran {
    /// When it began.
    pub at: Timestamp,
    pub passed: usize,
    pub skipped: usize,
    pub failing: Vec<String>,
    /// Those that pass, with a warning.
    #[serde(default)]
    pub warned: Vec<String>,
    /// Whether anybody answered at all: a machine without network has not checked anything.
    pub answered: bool,
    /// Whether everybody who was to be told took it.
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
        // A log-in page in front of the network, or a provider that is down, answers and says nothing.
        let silent = |row: &crate::report::Row| matches!(row.verdict.kind, Kind::Unreachable | Kind::Blocked);
        let spoke = |row: &crate::report::Row| {
            matches!(row.verdict.kind, Kind::Valid | Kind::Rejected | Kind::Refused | Kind::Limited)
        };
        Ran {
            at,
            passed: count(Outcome::Pass),
            skipped: count(Outcome::Skip),
            failing: names(&|row| row.outcome() == Outcome::Fail),
            warned: names(&|row| row.warning.is_some()),
            // Where nobody was asked (nothing is stored, the store is locked), nobody was silent either.
            answered: report.rows.iter().any(spoke) || !report.rows.iter().any(silent),
            told,
        }
    }

    /// Whether there is nothing left to do before the next day.
    fn settled(&self) -> bool {
        self.answered && self.told
    }

    /// `4 PASS, 1 FAIL: HEROKU_API_KEY`.
    pub(crate) fn words(&self) -> String {
        let mut said = vec![format!("{} PASS", self.passed)];
        if self.skipped > 0 {
            said.push(format!("{} SKIP", self.skipped));
        }
        if !self.warned.is_empty() {
            said.push(format!("{} to rotate soon: {}", self.warned.len(), self.warned.join(", ")));
        }
        if !self.failing.is_empty() {
            said.push(format!("{} FAIL: {}", self.failing.len(), self.failing.join(", ")));
        }
        said.join(", ")
    }
}

const MEMORY: &str = "schedule.json";
const LOCK: &str = "schedule.lock";

/// Nothing longer is read.
const LARGEST: u64 = 1 << 20;

impl LastRun {
    /// Returns what the last run left; nothing where it is damaged, so that a check runs rather than none.
    pub(crate) fn load() -> LastRun {
        let dir = state::existing().ok().flatten();
        let bytes = dir.and_then(|dir| files::read_own(&dir.join(MEMORY), LARGEST).ok());
        let mut last: LastRun = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        // Whatever is in the file, it is printed.
        let ran = last.ran.iter_mut().flat_map(|ran| ran.failing.iter_mut().chain(&mut ran.warned));
        ran.chain(last.broken.iter_mut().map(|broken| &mut broken.why)).for_each(|text| *text = clean(text));
        last
    }

    fn save(&self) -> Result<(), ScheduleError> {
        let path = state::directory()?.join(MEMORY);
        let write = || files::replace(&path, &serde_json::to_vec(self)?);
        write().map_err(|error| format!("{}: {}", shown(&path), files::why(&error)).into())
    }

    /// Whether this day's check is cared for: a run that heard nobody, or could not tell somebody, is to be made again.
    fn is_settled(&self, last: Timestamp, next: Timestamp) -> bool {
        let ran = self.ran.as_ref().filter(|ran| ran.settled()).map(|ran| ran.at);
        // Only what lies in this period counts. A time in the future is one before the clock was set back: it is not
        // believed, so the check runs once more rather than never.
        ran.into_iter().chain(self.since).any(|at| (last..next).contains(&at))
    }

    fn due(&self, at: &At, now: Timestamp, zone: &TimeZone) -> bool {
        let (last, next) = at.around(now, zone);
        !self.is_settled(last, next)
    }

    /// When the check is due next; none when it is due now.
    pub(crate) fn next(&self, at: &At, now: Timestamp) -> Option<Timestamp> {
        let (last, next) = at.around(now, &at.zone());
        self.is_settled(last, next).then_some(next)
    }

    /// When it should have run, where it has not for longer than a scheduler may take.
    pub(crate) fn late(&self, at: &At, now: Timestamp) -> Option<Timestamp> {
        let (last, next) = at.around(now, &at.zone());
        let tried = self.ran.as_ref().is_some_and(|ran| (last..next).contains(&ran.at))
            || self.broken.as_ref().is_some_and(|broken| (last..next).contains(&broken.at));
        (!tried && !self.is_settled(last, next) && now.duration_since(last) > LATE).then_some(last)
    }
}

/// Notes what a run of the daily check found, and whether everybody was told who is to be. Last thing in a run: one that is
/// killed before is made again.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub(crate) fn note(began: Timestamp, report: &Report, told: bool) -> Result<(), ScheduleError> {
    let mut last = LastRun::load();
    // One that began later, by hand, may have ended sooner.
    if last.ran.as_ref().is_some_and(|ran| ran.at > began && ran.at <= Timestamp::now()) {
        return Ok(());
    }
    last.ran = Some(Ran::new(began, report, told));
    last.broken = None;
    last.save()
}

/// Notes why there was no run.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub(crate) fn note_broken(why: &str) -> Result<(), ScheduleError> {
    let mut last = LastRun::load();
    last.broken = Some(Broken { at: Timestamp::now(), why: plain(why) });
    last.save()
}

/// Whether this day's check was made already, and is only made again because it heard or told nobody.
pub(crate) fn again(at: &At) -> bool {
    let (last, next) = at.around(Timestamp::now(), &at.zone());
    LastRun::load().ran.is_some_and(|ran| (last..next).contains(&ran.at))
}

/// The right to make the check that is due: nobody else makes it until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: Option<File>,
}

/// Takes the turn if the check is due and no other process runs it. It is always due if nothing can be saved.
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

/// Notes that the check is watched from now on; whether it was not before.
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

/// Takes [`mark_installed`] back: nothing came of it.
pub(crate) fn unmark() {
    let mut last = LastRun::load();
    last.since = None;
    let _ = if last.ran.is_some() || last.broken.is_some() { last.save() } else { forget() };
}

/// Forgets the daily check.
///
/// # Errors
/// One line: which file is left, and why.
pub(crate) fn forget() -> Result<(), ScheduleError> {
    let Some(dir) = state::existing()? else { return Ok(()) };
    delete(&dir.join(MEMORY))?;
    delete(&dir.join(LOCK))?;
    // Where raxx has never run, nothing else is there.
    let _ = fs::remove_dir(dir);
    Ok(())
}

/// Forgets what people were to be told, and had been told: another watch that begins one day does not go on with it.
///
/// # Errors
/// One line: which file is left, and why.
pub(crate) fn forget_alerts() -> Result<(), ScheduleError> {
    let Some(directory) = state::existing()? else { return Ok(()) };
    for name in crate::alert::FILES {
        delete(&directory.join(name))?;
    }
    Ok(())
}

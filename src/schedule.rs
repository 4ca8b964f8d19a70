//! The daily check: at what time it is due, which of the system's schedulers starts it, and what the last one found.
//!
//! launchd and cron know local time alone, cron forgets what it slept through, and no scheduler knows whether there was a
//! network. So each starts raxx once an hour, and raxx works out here whether the check is due: that survives daylight saving
//! time, travel, a machine that was off, and a check that heard or told nobody.

mod cron;
mod launchd;
mod systemd;

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;

use crate::process::block_on;
use crate::report::{Kind, Report, Verdict};
use crate::state;

/// What the check is called wherever a scheduler wants a name.
const LABEL: &str = "app.raxx.session-bootstrap";

/// How long a scheduler's own program may take: `launchctl bootout` waits for what it ends.
const PATIENCE: Duration = Duration::from_secs(20);

/// A check is late when it should have run so long ago: schedulers look once an hour.
const LATE: SignedDuration = SignedDuration::from_mins(70);

/// The variables that tell raxx where things are. A scheduler starts it without them, so they are written beside the
/// command. None of them is a secret, unless somebody put a password into an address.
const CARRIED: [&str; 7] = [
    "RAXX_CONFIG",
    "RAXX_BOOTSTRAP_STATE_FILE",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
    "SSL_CERT_FILE",
    "INFISICAL_DOMAIN",
];

/// The proxy's variables: an address that may have a password in it.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];

// ---- the time of the day --------------------------------------------------------------------------------------------

/// `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock(Time);

impl FromStr for Clock {
    type Err = String;

    fn from_str(text: &str) -> Result<Clock, String> {
        let number = |digits: &str| {
            let plain = matches!(digits.len(), 1 | 2) && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<i8>().ok().filter(|_| plain)
        };
        let time = text.split_once(':').filter(|(_, minute)| minute.len() == 2);
        time.and_then(|(hour, minute)| Time::new(number(hour)?, number(minute)?, 0, 0).ok())
            .map(Clock)
            .ok_or_else(|| "a time of the day is written as 08:00".into())
    }
}

/// The zone of this machine's clock. Not that of `TZ`: a scheduler knows nothing of this shell, and what is installed, run
/// and told has to mean one and the same time.
pub fn machine_zone() -> TimeZone {
    let local = fs::read("/etc/localtime").ok().and_then(|bytes| TimeZone::tzif("Local", &bytes).ok());
    local.unwrap_or(TimeZone::UTC)
}

/// A time of every day, in UTC (`08:00Z`) or by this machine's clock (`08:00`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    time: Time,
    pub utc: bool,
}

impl At {
    pub fn new(clock: Clock, utc: bool) -> At {
        At { time: clock.0, utc }
    }

    /// The zone that it is a time of.
    pub fn zone(&self) -> TimeZone {
        if self.utc { TimeZone::UTC } else { machine_zone() }
    }

    /// The last time that it was this time of the day, and the next.
    fn around(&self, now: Timestamp, zone: &TimeZone) -> (Timestamp, Timestamp) {
        let today = now.to_zoned_datetime(zone.clone()).date();
        // A day whose clock was put forward over this time has it an hour later; one that has it twice counts the first.
        let of = |days: i64| {
            let date = today.checked_add(days.days()).ok()?;
            Some(date.to_datetime(self.time).to_zoned_datetime(zone.clone()).ok()?.timestamp())
        };
        let times: Vec<Timestamp> = (-2..=2).filter_map(of).collect();
        let last = times.iter().copied().filter(|t| *t <= now).max().unwrap_or(Timestamp::MIN);
        let next = times.iter().copied().filter(|t| *t > now).min().unwrap_or(Timestamp::MAX);
        (last, next)
    }

    /// The minute of the hour at which a local clock shows this time: zones may differ from UTC by half an hour.
    fn minute(&self, now: Timestamp, local: &TimeZone) -> i32 {
        let minute = i32::from(self.time.minute());
        match self.utc {
            true => (minute + local.to_offset(now).seconds().div_euclid(60)).rem_euclid(60),
            false => minute,
        }
    }

    fn minute_now(&self) -> i32 {
        self.minute(Timestamp::now(), &machine_zone())
    }

    /// `08:00 UTC`.
    pub fn words(&self) -> String {
        let zone = if self.utc { "UTC" } else { "local time" };
        format!("{} {zone}", self.time.strftime("%H:%M"))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.time.strftime("%H:%M"), if self.utc { "Z" } else { "" })
    }
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        let clock = text.strip_suffix('Z');
        Ok(At::new(clock.unwrap_or(text).parse()?, clock.is_some()))
    }
}

// ---- what is remembered ---------------------------------------------------------------------------------------------

/// What the daily check remembers. Value-free.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// When it was installed: what was due before that is not made up for.
    since: Option<Timestamp>,
    /// The last run.
    pub ran: Option<Ran>,
    /// Why the last try was no run.
    pub broken: Option<Broken>,
}

/// One run and what it found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ran {
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
pub struct Broken {
    pub at: Timestamp,
    pub why: String,
}

impl Ran {
    fn new(at: Timestamp, report: &Report, told: bool) -> Ran {
        let names = |wanted: &dyn Fn(&crate::report::Row) -> bool| {
            report.rows.iter().filter(|row| wanted(row)).map(|row| row.name.clone()).collect()
        };
        let count = |verdict| report.rows.iter().filter(|row| row.verdict() == verdict).count();
        // A log-in page in front of the network, or a provider that is down, answers and says nothing.
        let silent = |row: &crate::report::Row| matches!(row.kind, Kind::Unreachable | Kind::Blocked);
        let spoke = |row: &crate::report::Row| matches!(row.kind, Kind::Valid | Kind::Rejected | Kind::Limited);
        Ran {
            at,
            passed: count(Verdict::Pass),
            skipped: count(Verdict::Skip),
            failing: names(&|row| row.verdict() == Verdict::Fail),
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
    pub fn words(&self) -> String {
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

fn memory_file() -> Result<PathBuf, String> {
    Ok(state::directory().ok_or("there is no home directory to remember the daily check in")?.join("schedule.json"))
}

impl Memory {
    /// What is remembered; nothing where it is damaged, so that a check runs rather than none.
    pub fn load() -> Memory {
        let bytes = memory_file().ok().and_then(|path| fs::read(path).ok());
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn save(&self) -> Result<(), String> {
        let path = memory_file()?;
        let write = || {
            make_private(&path)?;
            state::replace(&path, &serde_json::to_vec(self)?)
        };
        // Its kind alone: the error itself names a file that is gone again.
        write().map_err(|e: io::Error| format!("{}: {}", path.display(), e.kind()))
    }

    /// Whether this day's check is cared for: a run that heard nobody, or could not tell somebody, is to be made again.
    fn cared_for(&self, last: Timestamp, next: Timestamp) -> bool {
        let ran = self.ran.as_ref().filter(|ran| ran.settled()).map(|ran| ran.at);
        // Only what lies in this period counts. A time in the future is one before the clock was set back: it is not
        // believed, so the check runs once more rather than never.
        ran.into_iter().chain(self.since).any(|at| (last..next).contains(&at))
    }

    fn due(&self, at: &At, now: Timestamp, zone: &TimeZone) -> bool {
        let (last, next) = at.around(now, zone);
        !self.cared_for(last, next)
    }

    /// When the check is due next; none when it is due now.
    pub fn next(&self, at: &At, now: Timestamp) -> Option<Timestamp> {
        let (last, next) = at.around(now, &at.zone());
        self.cared_for(last, next).then_some(next)
    }

    /// When it should have run, where it has not for longer than a scheduler may take.
    pub fn late(&self, at: &At, now: Timestamp) -> Option<Timestamp> {
        let (last, next) = at.around(now, &at.zone());
        let tried = self.ran.as_ref().is_some_and(|ran| (last..next).contains(&ran.at))
            || self.broken.as_ref().is_some_and(|broken| (last..next).contains(&broken.at));
        (!tried && !self.cared_for(last, next) && now.duration_since(last) > LATE).then_some(last)
    }
}

/// Notes what a run of the daily check found, and whether everybody was told who is to be. Last thing in a run: one that is
/// killed before is made again.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub fn note(began: Timestamp, report: &Report, told: bool) -> Result<(), String> {
    let mut memory = Memory::load();
    // One that began later, by hand, may have ended sooner.
    if memory.ran.as_ref().is_some_and(|ran| ran.at > began && ran.at <= Timestamp::now()) {
        return Ok(());
    }
    memory.ran = Some(Ran::new(began, report, told));
    memory.broken = None;
    memory.save()
}

/// Notes why there was no run.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub fn note_broken(why: &str) -> Result<(), String> {
    let mut memory = Memory::load();
    memory.broken = Some(Broken { at: Timestamp::now(), why: crate::report::plain(why) });
    memory.save()
}

/// The right to make the check that is due: nobody else makes it until this is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: Option<File>,
}

/// Takes the turn where the check is due and nobody is at it. Where nothing can be remembered it always is due.
pub fn turn(at: &At) -> Option<Turn> {
    let lock = lock();
    if let Some(lock) = &lock
        && matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock))
    {
        return None;
    }
    Memory::load().due(at, Timestamp::now(), &at.zone()).then_some(Turn { _lock: lock })
}

fn lock() -> Option<File> {
    let path = memory_file().ok()?;
    make_private(&path).ok()?;
    state::lock_file(&path.with_extension("lock"))
}

/// Makes the state directory.
fn make_private(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let dir = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

// ---- the schedulers -------------------------------------------------------------------------------------------------

/// What starts the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scheduler {
    Launchd,
    Systemd,
    Cron,
}

/// Whether there was anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Made,
    None,
}

/// What is to be started, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Absolute.
    program: String,
    pub at: At,
    environment: Vec<(String, String)>,
    /// The home directory.
    home: PathBuf,
}

/// What a scheduler was told before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub at: At,
    pub program: PathBuf,
}

impl Scheduler {
    pub const ALL: [Scheduler; 3] = [Scheduler::Launchd, Scheduler::Systemd, Scheduler::Cron];

    /// The one that this system has.
    ///
    /// # Errors
    /// One line: there is none.
    pub fn here() -> Result<Scheduler, String> {
        if cfg!(target_os = "macos") {
            return Ok(Scheduler::Launchd);
        }
        if systemd::runs() {
            return Ok(Scheduler::Systemd);
        }
        if cron::is_here() {
            return Ok(Scheduler::Cron);
        }
        Err("there is no scheduler here: `systemctl --user` does not answer, and there is no crontab. \
             Have something else run once a day: raxx check --alert"
            .into())
    }

    /// `a systemd user timer`.
    pub fn words(self) -> &'static str {
        match self {
            Scheduler::Launchd => "launchd agent",
            Scheduler::Systemd => "systemd user timer",
            Scheduler::Cron => "crontab",
        }
    }

    /// What would be written: where, and the text.
    ///
    /// # Errors
    /// One line: there is no home directory.
    pub fn texts(self, job: &Job) -> Result<Vec<(String, String)>, String> {
        Ok(match self {
            Scheduler::Launchd => vec![(launchd::file()?.display().to_string(), launchd::plist(job))],
            Scheduler::Systemd => {
                let files = systemd::files(job)?.into_iter();
                files.map(|(path, text)| (path.display().to_string(), text)).collect()
            }
            Scheduler::Cron => vec![("the crontab".into(), cron::block(job)?)],
        })
    }

    /// What starts the check once a day from now on. The second time it changes nothing.
    ///
    /// # Errors
    /// One line: what does not work. Then nothing is installed that was not before.
    pub fn install(self, job: &Job) -> Result<Change, String> {
        match self {
            Scheduler::Launchd => launchd::install(job),
            Scheduler::Systemd => systemd::install(job),
            Scheduler::Cron => cron::install(job),
        }
    }

    /// Takes everything out again.
    ///
    /// # Errors
    /// One line: what is left, and why.
    pub fn uninstall(self) -> Result<Change, String> {
        match self {
            Scheduler::Launchd => launchd::uninstall(),
            Scheduler::Systemd => systemd::uninstall(),
            Scheduler::Cron => cron::uninstall(),
        }
    }

    /// Where the check is installed, and as what.
    ///
    /// # Errors
    /// One line: it cannot be told.
    pub fn installed(self) -> Result<Option<(String, Option<Written>)>, String> {
        match self {
            Scheduler::Launchd => launchd::installed(),
            Scheduler::Systemd => systemd::installed(),
            Scheduler::Cron => cron::installed(),
        }
    }

    /// Why it does not start the check, although it is installed; none when it does.
    pub fn idle(self) -> Option<String> {
        match self {
            Scheduler::Launchd => launchd::idle(),
            Scheduler::Systemd => systemd::idle(),
            Scheduler::Cron => None,
        }
    }

    /// What a person ought to know after installing it.
    pub fn caveat(self) -> Option<String> {
        match self {
            Scheduler::Systemd => systemd::caveat(),
            Scheduler::Launchd | Scheduler::Cron => None,
        }
    }
}

impl Job {
    /// All that a scheduler has to hold as it is.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.environment.iter().map(|(_, value)| value.as_str()).chain([self.program.as_str()])
    }

    /// This raxx, with what it needs to find its files.
    ///
    /// # Errors
    /// One line: what cannot be written down.
    pub fn new(at: At) -> Result<Job, String> {
        let home = dirs::home_dir().ok_or("there is no home directory")?;
        let mut environment = Vec::new();
        for name in CARRIED.iter().chain(&PROXIES) {
            let Some(value) = std::env::var_os(name).filter(|v| !v.is_empty()) else { continue };
            let is_address = PROXIES.contains(name) || *name == "INFISICAL_DOMAIN";
            if is_address && value.as_encoded_bytes().contains(&b'@') {
                crate::process::say(&format!("raxx: warning: {name} has a password in it, so it is not written down"));
                continue;
            }
            let value =
                value.into_string().map_err(|_| format!("{name} is not UTF-8, so it cannot be written down"))?;
            // The scheduler starts it somewhere else.
            let value = match *name {
                "RAXX_CONFIG" | "RAXX_BOOTSTRAP_STATE_FILE" | "SSL_CERT_FILE" => {
                    let absolute = std::path::absolute(&value).map_err(|e| format!("{name}: {e}"))?;
                    absolute.to_string_lossy().into_owned()
                }
                _ => value,
            };
            environment.push(((*name).to_string(), value));
        }
        let job = Job { program: program()?, at, environment, home };
        if let Some(odd) = job.words().find(|text| text.chars().any(char::is_control)) {
            return Err(format!("a control character in {}: a scheduler cannot hold it", crate::report::plain(odd)));
        }
        Ok(job)
    }
}

/// The path to start this program by: the one that it was started by, for that outlives an upgrade, where the file behind
/// it is this program.
fn program() -> Result<String, String> {
    let this = std::env::current_exe().map_err(|e| format!("where raxx itself is cannot be told: {e}"))?;
    let real = this.canonicalize().map_err(|e| format!("{}: {e}", this.display()))?;
    let typed = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let candidates: Vec<PathBuf> = match typed.components().count() {
        0 => Vec::new(),
        1 => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|dir| dir.join(&typed)).collect()
        }
        _ => vec![std::path::absolute(&typed).unwrap_or_default()],
    };
    let same = |path: &PathBuf| path.is_absolute() && path.canonicalize().is_ok_and(|there| there == real);
    let path = candidates.into_iter().find(same).unwrap_or(real);
    path.into_os_string().into_string().map_err(|path| format!("{}: a path that is not UTF-8", path.display()))
}

/// Whether a file with this text is there.
fn holds(path: &Path, text: &str) -> bool {
    fs::read(path).is_ok_and(|there| there == text.as_bytes())
}

/// Writes a new file that everybody may read, and renames it over the old one.
fn write(path: &Path, text: &str) -> Result<(), String> {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let put = || -> io::Result<()> {
        let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::create_dir_all(dir)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    put().map_err(|e| format!("{}: {e}", path.display()))
}

/// Deletes a file that may be there.
fn delete(path: &Path) -> Result<Change, String> {
    match fs::remove_file(path) {
        Ok(()) => Ok(Change::Made),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Change::None),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

/// Notes that the check is watched from now on; whether it was not before.
///
/// # Errors
/// One line: which file, and why it could not be written.
pub fn begin() -> Result<bool, String> {
    let mut memory = Memory::load();
    if memory.since.is_some() {
        return Ok(false);
    }
    memory.since = Some(Timestamp::now());
    memory.save().map(|()| true)
}

/// Takes [`begin`] back: nothing came of it.
pub fn unbegin() {
    let mut memory = Memory::load();
    memory.since = None;
    let _ = match memory.ran.is_some() || memory.broken.is_some() {
        true => memory.save(),
        false => forget(),
    };
}

/// Forgets the daily check.
///
/// # Errors
/// One line: which file is left, and why.
pub fn forget() -> Result<(), String> {
    let Ok(path) = memory_file() else { return Ok(()) };
    delete(&path)?;
    delete(&path.with_extension("lock"))?;
    // Where raxx has never run, nothing else is there.
    let _ = path.parent().map(fs::remove_dir);
    Ok(())
}

/// Forgets what people were to be told, and had been told: another watch that begins one day does not go on with it.
///
/// # Errors
/// One line: which file is left, and why.
pub fn forget_alerts() -> Result<(), String> {
    let Some(directory) = state::directory() else { return Ok(()) };
    for name in crate::alert::FILES {
        delete(&directory.join(name))?;
    }
    Ok(())
}

/// What came of a scheduler's program.
#[derive(Debug)]
enum Call {
    Answered(Output),
    Missing,
    Failed(String),
}

impl Call {
    fn went(&self) -> bool {
        matches!(self, Call::Answered(output) if output.status.success())
    }

    /// An error where it did not go well.
    fn must(self, what: &str) -> Result<Output, String> {
        match self {
            Call::Answered(output) if output.status.success() => Ok(output),
            Call::Answered(output) => Err(format!("{what}: {}", last_words(&output))),
            Call::Missing => Err(format!("{what}: there is no such program here")),
            Call::Failed(why) => Err(format!("{what}: {why}")),
        }
    }
}

/// The last line that a program said, or how it ended.
fn last_words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    match said.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => crate::report::plain(line),
        None => output.status.to_string(),
    }
}

/// Runs a scheduler's program, found on the PATH, with a deadline. It speaks English, so that its words can be read.
fn call(program: &str, arguments: &[&str], input: &[u8]) -> Call {
    let run = async {
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).env("LC_ALL", "C").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().expect("it is a pipe");
        let feed = async move {
            // A program that does not read to the end says why in its own words.
            let _ = stdin.write_all(input).await;
        };
        let ((), output) = futures_util::future::join(feed, child.wait_with_output()).await;
        output
    };
    let result = block_on(async { tokio::time::timeout(PATIENCE, run).await });
    match result {
        Ok(Ok(Ok(output))) => Call::Answered(output),
        Ok(Ok(Err(e))) if e.kind() == io::ErrorKind::NotFound => Call::Missing,
        Ok(Ok(Err(e))) => Call::Failed(e.to_string()),
        Ok(Err(_)) => Call::Failed(format!("it did not answer within {} seconds", PATIENCE.as_secs())),
        Err(e) => Call::Failed(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn at(text: &str) -> At {
        text.parse().expect("a time of the day")
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("the system's time zones")
    }

    fn ran(when: &str) -> Memory {
        let (passed, skipped, failing, warned) = (1, 0, Vec::new(), Vec::new());
        let ran = Ran { at: utc(when), passed, skipped, failing, warned, answered: true, told: true };
        Memory { ran: Some(ran), ..Memory::default() }
    }

    /// The times at which a check that is started once an hour really runs.
    fn runs(at: &At, zone: &TimeZone, from: &str, hours: usize, minute: i64) -> Vec<String> {
        let mut memory = ran(from);
        let mut done = Vec::new();
        let mut now = utc(from);
        for _ in 0..hours {
            now = now.checked_add(1.hour()).expect("a time");
            let tick = now.checked_add(minute.minutes()).expect("a time");
            if memory.due(at, tick, zone) {
                done.push(tick.to_string());
                memory = ran(&tick.to_string());
            }
        }
        done
    }

    #[test]
    fn a_time_of_the_day_is_read_and_written_the_same() {
        for text in ["08:00Z", "08:00", "00:00", "23:59Z"] {
            assert_eq!(at(text).to_string(), text);
        }
        assert_eq!(at("8:05").to_string(), "08:05");
        for bad in
            ["", "8", "24:00", "12:60", "08:00z", "08:00ZZ", "8:5", "008:00", "+8:00", "-1:00", "08:00:00", "٠٨:٠٠"]
        {
            assert!(bad.parse::<At>().is_err(), "{bad}");
        }
    }

    #[test]
    fn it_is_due_once_a_day_and_made_up_for_when_it_was_missed() {
        let eight = at("08:00Z");
        let due = |memory: &Memory, now| memory.due(&eight, utc(now), &TimeZone::UTC);
        let memory = ran("2026-08-19T08:00:03Z");
        assert!(!due(&memory, "2026-08-19T08:00:04Z"));
        assert!(!due(&memory, "2026-08-20T07:59:59Z"));
        assert!(due(&memory, "2026-08-20T08:00:00Z"));
        assert!(due(&memory, "2026-08-25T03:00:00Z"), "the machine was off for days");
        assert!(due(&Memory::default(), "2026-08-20T03:00:00Z"), "what is not remembered has not run");
        let early = ran("2026-08-20T07:59:59Z");
        assert!(due(&early, "2026-08-20T08:00:00Z"), "one a second early is yesterday's");
    }

    #[test]
    fn an_installation_begins_with_the_next_time() {
        let memory = Memory { since: Some(utc("2026-08-19T15:00:00Z")), ..Memory::default() };
        assert!(!memory.due(&at("08:00Z"), utc("2026-08-19T16:00:00Z"), &TimeZone::UTC));
        assert!(memory.due(&at("08:00Z"), utc("2026-08-20T08:00:00Z"), &TimeZone::UTC));
    }

    #[test]
    fn a_run_that_heard_nobody_or_told_nobody_is_made_again() {
        for (answered, told) in [(false, true), (true, false)] {
            let mut memory = ran("2026-08-19T08:00:03Z");
            let ran = memory.ran.as_mut().expect("a run");
            (ran.answered, ran.told) = (answered, told);
            assert!(memory.due(&at("08:00Z"), utc("2026-08-19T09:00:00Z"), &TimeZone::UTC));
            assert_eq!(memory.late(&at("08:00Z"), utc("2026-08-19T12:00:00Z")), None, "it was tried");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_costs_a_run_too_many_and_never_one_too_few() {
        let eight = at("08:00Z");
        let future = ran("2031-01-01T08:00:00Z");
        assert!(future.due(&eight, utc("2026-08-19T08:05:00Z"), &TimeZone::UTC));
        let corrected = ran("2026-08-19T08:00:03Z");
        assert!(!corrected.due(&eight, utc("2026-08-19T08:00:01Z"), &TimeZone::UTC), "two seconds are no new day");
        assert!(corrected.due(&eight, utc("2026-08-19T03:00:00Z"), &TimeZone::UTC), "five hours are");
    }

    #[test]
    fn utc_is_met_through_daylight_saving_time() {
        // New York goes back on 2026-11-01; the hours that cron sees there are no hours of UTC's day.
        let found = runs(&at("08:00Z"), &TimeZone::UTC, "2026-10-30T08:00:00Z", 96, 0);
        let days = ["2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03"];
        assert_eq!(found, days.map(|day| format!("{day}T08:00:00Z")));
    }

    #[test]
    fn local_time_is_met_through_daylight_saving_time() {
        let berlin = zone("Europe/Berlin");
        let found = runs(&at("08:00"), &berlin, "2026-10-23T06:00:00Z", 74, 0);
        assert_eq!(found, ["2026-10-24T06:00:00Z", "2026-10-25T07:00:00Z", "2026-10-26T07:00:00Z"]);
        // 02:30 is not there on 2026-03-29, and twice on 2026-10-25.
        let spring = runs(&at("02:30"), &berlin, "2026-03-28T02:00:00Z", 48, 30);
        assert_eq!(spring, ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]);
        let autumn = runs(&at("02:30"), &berlin, "2026-10-24T01:00:00Z", 48, 30);
        assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn a_journey_neither_skips_utc_nor_repeats_it() {
        let memory = ran("2026-08-19T08:00:00Z");
        for there in ["America/Los_Angeles", "Asia/Tokyo", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
            let clock = utc("2026-08-19T20:00:00Z").to_zoned_datetime(zone(there)).timestamp();
            assert!(!memory.due(&at("08:00Z"), clock, &TimeZone::UTC), "{there}");
        }
        // By the local clock it is eight in the morning once more, in New York.
        let berlin = ran("2026-08-19T06:00:00Z");
        assert!(!berlin.due(&at("08:00"), utc("2026-08-19T11:00:00Z"), &zone("America/New_York")));
        assert!(berlin.due(&at("08:00"), utc("2026-08-19T12:00:00Z"), &zone("America/New_York")));
    }

    #[test]
    fn the_hourly_minute_is_that_of_the_local_clock() {
        let now = utc("2026-08-19T12:00:00Z");
        assert_eq!(at("08:00Z").minute(now, &TimeZone::UTC), 0);
        assert_eq!(at("08:15Z").minute(now, &zone("Europe/Berlin")), 15);
        assert_eq!(at("08:00Z").minute(now, &zone("Asia/Kolkata")), 30);
        assert_eq!(at("08:00Z").minute(now, &zone("Asia/Kathmandu")), 45);
        assert_eq!(at("08:10Z").minute(now, &zone("America/St_Johns")), 40);
        assert_eq!(at("08:10").minute(now, &zone("Asia/Kolkata")), 10);
    }

    #[test]
    fn a_check_that_does_not_come_is_called_late() {
        let eight = at("08:00Z");
        let memory = ran("2026-08-19T08:00:03Z");
        assert_eq!(memory.late(&eight, utc("2026-08-20T09:00:00Z")), None, "the hour is not over");
        assert_eq!(memory.late(&eight, utc("2026-08-20T09:30:00Z")), Some(utc("2026-08-20T08:00:00Z")));
        assert_eq!(memory.next(&eight, utc("2026-08-19T12:00:00Z")), Some(utc("2026-08-20T08:00:00Z")));
        assert_eq!(memory.next(&eight, utc("2026-08-20T09:30:00Z")), None);
    }
}

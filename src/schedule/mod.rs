//! The daily check: at what time it is due, which of the system's schedulers starts it, and what the last one found.
//!
//! launchd and cron know local time alone, cron forgets what it slept through, and no scheduler knows whether there was a
//! network. So each starts raxx once an hour, and raxx works out here whether the check is due: that survives daylight saving
//! time, travel, a machine that was off, and a check that heard or told nobody.

mod clock;
mod cron;
mod last_run;
mod launchd;
mod systemd;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

pub(crate) use clock::{At, Clock, machine_zone};
pub(crate) use last_run::{LastRun, acquire, again, forget, forget_alerts, mark_installed, note, note_broken, unmark};

use crate::files::{self, shown};
use crate::process::{block_on, child_apart};

/// No file for a scheduler is longer.
const LARGEST: u64 = 1 << 20;

/// What the check is called wherever a scheduler wants a name.
const LABEL: &str = "app.raxx.session-bootstrap";

/// How long a scheduler's own program may take: `launchctl bootout` waits for what it ends.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// What starts the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scheduler {
    Launchd,
    Systemd,
    Cron,
}

/// Why a scheduler or the record of the last run cannot be used, in one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScheduleError(String);

impl From<String> for ScheduleError {
    fn from(why: String) -> ScheduleError {
        ScheduleError(why)
    }
}

impl From<&str> for ScheduleError {
    fn from(why: &str) -> ScheduleError {
        ScheduleError(why.into())
    }
}

impl std::fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScheduleError {}

/// Whether there was anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Made,
    None,
}

/// What is to be started, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Absolute.
    program: String,
    pub at: At,
    environment: Vec<(String, String)>,
    /// The home directory.
    home: PathBuf,
}

/// What a scheduler was told before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub at: At,
    pub program: PathBuf,
}

impl Scheduler {
    pub(crate) const ALL: [Scheduler; 3] = [Scheduler::Launchd, Scheduler::Systemd, Scheduler::Cron];

    /// The one that this system has.
    ///
    /// # Errors
    /// One line: there is none.
    pub(crate) fn here() -> Result<Scheduler, ScheduleError> {
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
    pub(crate) fn words(self) -> &'static str {
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
    pub(crate) fn texts(self, job: &Job) -> Result<Vec<(String, String)>, ScheduleError> {
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
    pub(crate) fn install(self, job: &Job) -> Result<Change, ScheduleError> {
        Ok(match self {
            Scheduler::Launchd => launchd::install(job)?,
            Scheduler::Systemd => systemd::install(job)?,
            Scheduler::Cron => cron::install(job)?,
        })
    }

    /// Takes everything out again.
    ///
    /// # Errors
    /// One line: what is left, and why.
    pub(crate) fn uninstall(self) -> Result<Change, ScheduleError> {
        Ok(match self {
            Scheduler::Launchd => launchd::uninstall()?,
            Scheduler::Systemd => systemd::uninstall()?,
            Scheduler::Cron => cron::uninstall()?,
        })
    }

    /// Where the check is installed, and as what.
    ///
    /// # Errors
    /// One line: it cannot be told.
    pub(crate) fn installed(self) -> Result<Option<(String, Option<Written>)>, ScheduleError> {
        Ok(match self {
            Scheduler::Launchd => launchd::installed()?,
            Scheduler::Systemd => systemd::installed()?,
            Scheduler::Cron => cron::installed()?,
        })
    }

    /// Why it does not start the check, although it is installed; none when it does.
    pub(crate) fn idle(self) -> Option<String> {
        match self {
            Scheduler::Launchd => launchd::idle(),
            Scheduler::Systemd => systemd::idle(),
            Scheduler::Cron => cron::idle(),
        }
    }

    /// What a person ought to know after installing it.
    pub(crate) fn caveat(self, job: &Job) -> Option<String> {
        match self {
            Scheduler::Systemd => systemd::caveat(),
            Scheduler::Launchd => launchd::caveat(job),
            Scheduler::Cron => None,
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
    pub(crate) fn new(at: At) -> Result<Job, ScheduleError> {
        let home = files::home().ok_or("there is no home directory")?;
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
            // The scheduler starts it somewhere else; of raxx's own paths, relative ones count as unset.
            let value = match *name {
                "RAXX_CONFIG" | "SSL_CERT_FILE" => {
                    let absolute = std::path::absolute(&value).map_err(|e| format!("{name}: {e}"))?;
                    absolute.to_string_lossy().into_owned()
                }
                _ if name.starts_with("XDG_") || *name == "RAXX_BOOTSTRAP_STATE_FILE" => {
                    if Path::new(&value).is_relative() {
                        continue;
                    }
                    value
                }
                _ => value,
            };
            environment.push(((*name).to_string(), value));
        }
        let job = Job { program: program()?, at, environment, home };
        if let Some(odd) = job.words().find(|text| text.chars().any(char::is_control)) {
            return Err(
                format!("a control character in {}: a scheduler cannot hold it", crate::text::plain(odd)).into()
            );
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

/// What a scheduler's file of this user says, if there is one that can be read.
fn text_of(path: &Path) -> Option<String> {
    String::from_utf8(files::read(path, LARGEST).ok()?).ok()
}

/// Whether a file with this text is there.
fn holds(path: &Path, text: &str) -> bool {
    text_of(path).is_some_and(|there| there == text)
}

/// Writes a new file that everybody may read, and renames it over the old one.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let put = || {
        files::make_directory_of(path)?;
        files::Target::own(path)?.public().replace(text.as_bytes())
    };
    put().map_err(|error| format!("{}: {}", shown(path), files::why(&error)))
}

/// Deletes a file that may be there.
fn delete(path: &Path) -> Result<Change, String> {
    match fs::remove_file(path) {
        Ok(()) => Ok(Change::Made),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Change::None),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

/// What came of a scheduler's program.
#[derive(Debug)]
enum Call {
    Answered(Output),
    Missing,
    Failed(String),
}

impl Call {
    fn succeeded(&self) -> bool {
        matches!(self, Call::Answered(output) if output.status.success())
    }

    /// An error where it did not go well.
    fn into_result(self, what: &str) -> Result<Output, String> {
        match self {
            Call::Answered(output) if output.status.success() => Ok(output),
            Call::Answered(output) => Err(format!("{what}: {}", last_words(&output))),
            Call::Missing => Err(format!("{what}: there is no such program here")),
            Call::Failed(why) => Err(format!("{what}: {why}")),
        }
    }
}

/// The last line of a program that gives a reason, or how it ended. "See crontab(1)" gives none.
fn last_words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let pointer = |line: &&str| ["See ", "Try "].iter().any(|word| line.trim_start().starts_with(word));
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.iter().rfind(|line| !pointer(line)).or(lines.last()) {
        Some(line) => crate::text::plain(line),
        None => output.status.to_string(),
    }
}

/// Runs a scheduler's program, found on the PATH, with a deadline. It speaks English, so that its words can be read.
fn call(program: &str, arguments: &[&str], input: &[u8]) -> Call {
    let run = async {
        let mut command = tokio::process::Command::from(child_apart(program));
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

//! The daily check: when it is due, which scheduler starts it, and what the last run found.
//!
//! launchd and cron support only local time, cron skips runs while the machine sleeps, and no scheduler can tell whether
//! there was a network. So each starts raxx once an hour, and raxx decides whether the check is due. This handles daylight
//! saving time, travel, a machine that was off, and a run without a verdict or with an undelivered alert.

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

/// Maximum size of a scheduler's file, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// Label of the launchd agent.
const LABEL: &str = "app.raxx.session-bootstrap";

/// Timeout for a scheduler's command. `launchctl bootout` waits for the process that it stops.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Variables that locate raxx's files and services. A scheduler starts raxx without them, so they are saved with the
/// command. None is a secret, except an address with a password in it.
const SAVED_VARIABLES: [&str; 7] = [
    "RAXX_CONFIG",
    "RAXX_BOOTSTRAP_STATE_FILE",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
    "SSL_CERT_FILE",
    "INFISICAL_DOMAIN",
];

/// Proxy variables. Their addresses can contain a password.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"];

/// A program that starts the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scheduler {
    Launchd,
    Systemd,
    Cron,
}

/// A one-line error from a scheduler or from the record of the last run.
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

/// Whether a command changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Made,
    None,
}

/// The command to start, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// Absolute path.
    program: String,
    pub at: At,
    environment: Vec<(String, String)>,
    /// The home directory.
    home: PathBuf,
}

/// The job that is installed in a scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub at: At,
    pub program: PathBuf,
}

impl Scheduler {
    pub(crate) const ALL: [Scheduler; 3] = [Scheduler::Launchd, Scheduler::Systemd, Scheduler::Cron];

    /// Returns this system's scheduler.
    ///
    /// # Errors
    /// This system has none.
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
        Err("no scheduler found: `systemctl --user` does not respond, and crontab is not installed. \
             Use another way to run this once a day: raxx check --alert"
            .into())
    }

    /// Returns the name for messages.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Scheduler::Launchd => "launchd agent",
            Scheduler::Systemd => "systemd user timer",
            Scheduler::Cron => "crontab",
        }
    }

    /// Returns what `install` would write: each path and its text.
    ///
    /// # Errors
    /// There is no home directory, or the scheduler cannot run this command.
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

    /// Installs the check. Changes nothing if the same job is already installed.
    ///
    /// # Errors
    /// One line: what failed. A failed first installation leaves nothing behind.
    pub(crate) fn install(self, job: &Job) -> Result<Change, ScheduleError> {
        Ok(match self {
            Scheduler::Launchd => launchd::install(job)?,
            Scheduler::Systemd => systemd::install(job)?,
            Scheduler::Cron => cron::install(job)?,
        })
    }

    /// Removes everything that `install` created.
    ///
    /// # Errors
    /// One line: what could not be removed, and why.
    pub(crate) fn uninstall(self) -> Result<Change, ScheduleError> {
        Ok(match self {
            Scheduler::Launchd => launchd::uninstall()?,
            Scheduler::Systemd => systemd::uninstall()?,
            Scheduler::Cron => cron::uninstall()?,
        })
    }

    /// Returns where the check is installed, and the job if its text is readable.
    ///
    /// # Errors
    /// One line: why it cannot be determined.
    pub(crate) fn installed(self) -> Result<Option<(String, Option<Written>)>, ScheduleError> {
        Ok(match self {
            Scheduler::Launchd => launchd::installed()?,
            Scheduler::Systemd => systemd::installed()?,
            Scheduler::Cron => cron::installed()?,
        })
    }

    /// Returns why an installed check does not start, or `None` if it does.
    pub(crate) fn idle(self) -> Option<String> {
        match self {
            Scheduler::Launchd => launchd::idle(),
            Scheduler::Systemd => systemd::idle(),
            Scheduler::Cron => cron::idle(),
        }
    }

    /// Returns a note for the user to show after installation.
    pub(crate) fn caveat(self, job: &Job) -> Option<String> {
        match self {
            Scheduler::Systemd => systemd::caveat(),
            Scheduler::Launchd => launchd::caveat(job),
            Scheduler::Cron => None,
        }
    }
}

impl Job {
    /// Returns the texts that the scheduler must store unchanged.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.environment.iter().map(|(_, value)| value.as_str()).chain([self.program.as_str()])
    }

    /// Creates a job for this raxx, with the variables that it needs to find its files.
    ///
    /// # Errors
    /// One line: which text cannot be saved.
    pub(crate) fn new(at: At) -> Result<Job, ScheduleError> {
        let home = files::home().ok_or("there is no home directory; set HOME")?;
        let mut environment = Vec::new();
        for name in SAVED_VARIABLES.iter().chain(&PROXIES) {
            let Some(value) = std::env::var_os(name).filter(|v| !v.is_empty()) else { continue };
            let is_address = PROXIES.contains(name) || *name == "INFISICAL_DOMAIN";
            if is_address && value.as_encoded_bytes().contains(&b'@') {
                crate::process::say(&format!(
                    "raxx: warning: {name} contains a password, so it is not saved for the daily check"
                ));
                continue;
            }
            let value = value
                .into_string()
                .map_err(|_| format!("{name} is not UTF-8, so it cannot be saved for the daily check"))?;
            // The scheduler uses another working directory. raxx ignores relative paths in the last group of variables.
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
            return Err(format!(
                "{} contains a control character, which a scheduler cannot store",
                crate::text::plain(odd)
            )
            .into());
        }
        Ok(job)
    }
}

/// Returns the path to start this program by. Prefers the path that was typed, if it leads to this program, because it
/// stays valid after an upgrade.
fn program() -> Result<String, String> {
    let this = std::env::current_exe().map_err(|e| format!("could not find raxx's own path: {e}"))?;
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
    path.into_os_string().into_string().map_err(|path| format!("{}: the path is not UTF-8", path.display()))
}

/// Returns the text of a scheduler's file, if it exists and is readable.
fn text_of(path: &Path) -> Option<String> {
    String::from_utf8(files::read(path, MAX_SIZE).ok()?).ok()
}

/// Whether the file exists with exactly this text.
fn has_text(path: &Path, text: &str) -> bool {
    text_of(path).is_some_and(|there| there == text)
}

/// Writes a new world-readable file and renames it over the old one.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let put = || {
        files::make_directory_of(path)?;
        files::Target::own(path)?.public().replace(text.as_bytes())
    };
    put().map_err(|error| format!("{}: {}", shown(path), files::why(&error)))
}

/// Deletes the file if it exists.
fn delete(path: &Path) -> Result<Change, String> {
    match fs::remove_file(path) {
        Ok(()) => Ok(Change::Made),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Change::None),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

/// The result of running a scheduler's command.
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

    /// Returns the output of a successful command, or an error.
    fn into_result(self, what: &str) -> Result<Output, String> {
        match self {
            Call::Answered(output) if output.status.success() => Ok(output),
            Call::Answered(output) => Err(format!("{what}: {}", last_words(&output))),
            Call::Missing => Err(format!("{what}: command not found")),
            Call::Failed(why) => Err(format!("{what}: {why}")),
        }
    }
}

/// Returns the last line of stderr that gives a reason, or the exit status. "See crontab(1)" gives none.
fn last_words(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let pointer = |line: &&str| ["See ", "Try "].iter().any(|word| line.trim_start().starts_with(word));
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.iter().rfind(|line| !pointer(line)).or(lines.last()) {
        Some(line) => crate::text::plain(line),
        None => output.status.to_string(),
    }
}

/// Runs a scheduler's command from the `PATH` with a timeout. The C locale keeps its messages in English for parsing.
fn call(program: &str, arguments: &[&str], input: &[u8]) -> Call {
    let run = async {
        let mut command = tokio::process::Command::from(child_apart(program));
        command.args(arguments).env("LC_ALL", "C").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().expect("it is a pipe");
        let feed = async move {
            // A program that stops reading reports the reason itself.
            let _ = stdin.write_all(input).await;
        };
        let ((), output) = futures_util::future::join(feed, child.wait_with_output()).await;
        output
    };
    let result = block_on(async { tokio::time::timeout(TIMEOUT, run).await });
    match result {
        Ok(Ok(Ok(output))) => Call::Answered(output),
        Ok(Ok(Err(e))) if e.kind() == io::ErrorKind::NotFound => Call::Missing,
        Ok(Ok(Err(e))) => Call::Failed(e.to_string()),
        Ok(Err(_)) => Call::Failed(format!("no response within {} seconds", TIMEOUT.as_secs())),
        Err(e) => Call::Failed(e.to_string()),
    }
}

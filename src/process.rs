//! The process itself: hardening, child programs, complete writes, signals.

use std::cell::Cell;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::pin::pin;
use std::process::Command;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::text::clean_lines;
use crate::text::output;

/// The most open files that macOS lets a process ask for.
const FILES: u64 = 10_240;

/// Returns the variables that no child program inherits.
static WITHHELD: OnceLock<fn() -> &'static [String]> = OnceLock::new();

/// Turns off core dumps and, on Linux, keeps other processes of this user from reading this one's memory. No child program
/// inherits the variables that `withheld` returns. `main` calls this first.
pub(crate) fn harden(withheld: fn() -> &'static [String]) {
    let _ = WITHHELD.set(withheld);
    // There is nothing to do about a failure.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // Each credential needs a connection and a lock; macOS gives a shell 256 files.
    let files = getrlimit(Resource::Nofile);
    let most = files.maximum.map_or(FILES, |most| most.min(FILES));
    if files.current.is_some_and(|now| now < most) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: files.maximum });
    }
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Leaves the terminal's session, so that neither ^C at a prompt nor closing the terminal stops this process. The leader of a
/// process group cannot leave, and zsh 5.9 makes each process substitution one. In that case a child process takes over.
/// Returns whether it did; then this process can exit.
pub(crate) fn detach() -> bool {
    if rustix::process::setsid() != Err(rustix::io::Errno::PERM)
        || rustix::process::getpgrp() != rustix::process::getpid()
    {
        return false;
    }
    // The leader of a session has no terminal to leave.
    if rustix::process::getsid(None).is_ok_and(|session| session == rustix::process::getpid()) {
        return false;
    }
    let Ok(program) = std::env::current_exe() else { return false };
    std::process::Command::new(program).args(std::env::args_os().skip(1)).spawn().is_ok()
}

/// Variables that contain secrets, or lead to them, without being a configured credential.
pub(crate) const ALSO_WITHHELD: [&str; 7] = [
    "INFISICAL_CLIENT_ID",
    "INFISICAL_CLIENT_SECRET",
    "INFISICAL_UNIVERSAL_AUTH_CLIENT_ID",
    "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET",
    "INFISICAL_UNIVERSAL_AUTH_ACCESS_TOKEN",
    "INFISICAL_TOKEN",
    "CF_ACCESS_CLIENT_SECRET",
];

/// Returns a command whose environment contains no credential: no configured one, none for alerts or the vault, and no variable
/// of the shell integration. The program shares the terminal with raxx, as a pager does. Every program that raxx starts
/// comes from here.
pub(crate) fn child(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| name.as_encoded_bytes().starts_with(b"__RAXX_"));
    ours.for_each(|name| _ = command.env_remove(name));
    ALSO_WITHHELD.iter().for_each(|name| _ = command.env_remove(name));
    WITHHELD.get().map_or(&[][..], |names| names()).iter().for_each(|name| _ = command.env_remove(name));
    command
}

/// Returns such a command in a process group of its own, so that a Ctrl-C for raxx does not stop the program.
pub(crate) fn child_apart(program: impl AsRef<OsStr>) -> Command {
    let mut command = child(program);
    command.process_group(0);
    command
}

/// Writes all of the text to stdout at once. A closed pipe is not an error.
///
/// # Errors
/// stdout cannot be written to, for example because the disk is full.
pub(crate) fn write_whole(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| anyhow::anyhow!("cannot write to stdout: {e}")),
    }
}

/// Writes text for people to stdout.
///
/// # Errors
/// As [`write_whole`].
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    write_whole(&output::for_people(text))
}

/// Prints a line to stderr, without control characters.
pub(crate) fn say(line: &str) {
    say_styled(&clean_lines(line));
}

/// Prints text with colors to stderr. Text from elsewhere in it must already be clean.
pub(crate) fn say_styled(text: &str) {
    output::to_stderr(text);
}

/// Runs a future on one thread, and does not wait for name lookups that are still running when it ends.
///
/// # Errors
/// The system has no file descriptors left.
pub(crate) fn block_on<T>(run: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run);
    runtime.shutdown_background();
    Ok(result)
}

/// A signal ended the work. The exit code is the one that a shell reports for that signal: 130 for Ctrl-C.
#[derive(Debug)]
pub(crate) struct Terminated(pub u8);

impl Terminated {
    fn by(signal: SignalKind) -> Terminated {
        Terminated(128 + signal.as_raw_value() as u8)
    }
}

impl std::fmt::Display for Terminated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ended by a signal")
    }
}

impl std::error::Error for Terminated {}

/// The signals that ask this process to end, except ^C.
pub(crate) struct TerminationSignals {
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
}

impl TerminationSignals {
    /// Starts listening.
    ///
    /// # Errors
    /// The system cannot deliver signals.
    pub(crate) fn listen() -> io::Result<TerminationSignals> {
        Ok(TerminationSignals {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Terminated {
        tokio::select! {
            _ = self.terminate.recv() => Terminated::by(SignalKind::terminate()),
            _ = self.hangup.recv() => Terminated::by(SignalKind::hangup()),
            _ = self.quit.recv() => Terminated::by(SignalKind::quit()),
        }
    }
}

thread_local! {
    /// Whether the work of [`until_a_signal`] is in a part that must finish first.
    static UNBROKEN: Cell<bool> = const { Cell::new(false) };
}

/// Runs a part of the work of [`until_a_signal`] to its end, and delays signals until then. A change of the store is such a
/// part, so that raxx always reports what is stored. The code after it, up to the next `await`, belongs to it.
pub(crate) async fn unbroken<T>(part: impl Future<Output = T>) -> T {
    struct Part;
    impl Drop for Part {
        fn drop(&mut self) {
            UNBROKEN.set(false);
        }
    }
    let _part = Part;
    UNBROKEN.set(true);
    part.await
}

/// How long an unbroken part can continue after a signal before raxx says that it is stopping.
const SILENT: Duration = Duration::from_secs(1);

/// Runs the work to its end, or until a signal asks this process to end. Then the work is dropped, which restores the
/// terminal. A signal during an [`unbroken`] part takes effect after that part.
///
/// # Errors
/// The error of the work; [`Terminated`]; the system cannot deliver signals.
pub(crate) async fn until_a_signal<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // Listen before the work begins.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut ends = TerminationSignals::listen()?;
    let mut signals = pin!(async {
        tokio::select! {
            _ = interrupt.recv() => Terminated::by(SignalKind::interrupt()),
            ended = ends.next() => ended,
        }
    });
    let mut work = pin!(work);
    let (mut ended, mut patience) = (None, None);
    let result = std::future::poll_fn(|context| {
        if ended.is_none()
            && let Poll::Ready(signal) = signals.as_mut().poll(context)
        {
            (ended, patience) = (Some(signal), Some(Box::pin(tokio::time::sleep(SILENT))));
        }
        // Checked before and after the poll: no part begins after a signal, and work that has ended is not polled again.
        let stop = |ended: &mut Option<Terminated>| ended.take_if(|_| !UNBROKEN.get()).map(|ended| Err(ended.into()));
        if let Some(stopped) = stop(&mut ended) {
            return Poll::Ready(stopped);
        }
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        if patience.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready()) {
            patience = None;
            say("raxx: stopping after the store responds");
        }
        stop(&mut ended).map_or(Poll::Pending, Poll::Ready)
    })
    .await;
    // The signal came during the last part: report how that ended.
    let Some(ended) = ended else { return result };
    if let Err(why) = result {
        say(&format!("raxx: {why:#}"));
    }
    Err(ended.into())
}

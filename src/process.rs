//! What concerns the process itself: no core dumps, writing whole, deadlines that are kept.

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

/// Tells the variables that no child gets.
static WITHHELD: OnceLock<fn() -> &'static [String]> = OnceLock::new();

/// No core dump, and on Linux no reading of this process's memory by others of the same user; and no child gets the
/// variables that `withheld` names. First thing in `main`.
pub(crate) fn harden(withheld: fn() -> &'static [String]) {
    let _ = WITHHELD.set(withheld);
    // Neither can fail in a way that one could do something about.
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

/// Leaves the terminal's session, so that ^C at a prompt and the end of the terminal are not this process's. The leader of
/// a process group cannot; zsh 5.9 makes each process substitution one. Then a child goes on in its place: `true` means
/// that this process has nothing left to do.
pub(crate) fn detach() -> bool {
    if rustix::process::setsid() != Err(rustix::io::Errno::PERM)
        || rustix::process::getpgrp() != rustix::process::getpid()
    {
        return false;
    }
    // As a session's leader it is where it wants to be.
    if rustix::process::getsid(None).is_ok_and(|session| session == rustix::process::getpid()) {
        return false;
    }
    let Ok(program) = std::env::current_exe() else { return false };
    std::process::Command::new(program).args(std::env::args_os().skip(1)).spawn().is_ok()
}

/// Variables with secrets that are no configured credential's own, or that lead to them.
pub(crate) const ALSO_WITHHELD: [&str; 7] = [
    "INFISICAL_CLIENT_ID",
    "INFISICAL_CLIENT_SECRET",
    "INFISICAL_UNIVERSAL_AUTH_CLIENT_ID",
    "INFISICAL_UNIVERSAL_AUTH_CLIENT_SECRET",
    "INFISICAL_UNIVERSAL_AUTH_ACCESS_TOKEN",
    "INFISICAL_TOKEN",
    "CF_ACCESS_CLIENT_SECRET",
];

/// A program to start that needs no credential and so gets none in its environment: no configured one, none that alerts or
/// the vault are reached with, and nothing of what the shell integration keeps. It shares the terminal with raxx, as a
/// pager does. Every program that raxx starts is made here.
pub(crate) fn child(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| name.as_encoded_bytes().starts_with(b"__RAXX_"));
    ours.for_each(|name| _ = command.env_remove(name));
    ALSO_WITHHELD.iter().for_each(|name| _ = command.env_remove(name));
    WITHHELD.get().map_or(&[][..], |names| names()).iter().for_each(|name| _ = command.env_remove(name));
    command
}

/// The same in a process group of its own: what is to finish does not get the Ctrl-C that is meant for raxx.
pub(crate) fn child_apart(program: impl AsRef<OsStr>) -> Command {
    let mut command = child(program);
    command.process_group(0);
    command
}

/// Writes to stdout, all of it in one go. Nobody listening is no error.
///
/// # Errors
/// stdout cannot be written, as on a full disk.
pub(crate) fn write_whole(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| anyhow::anyhow!("stdout cannot be written: {e}")),
    }
}

/// Writes text for people to stdout.
///
/// # Errors
/// As [`write_whole`].
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    write_whole(&output::for_people(text))
}

/// Says a line on stderr. What acts on a terminal never gets there, whoever made the text.
pub(crate) fn say(line: &str) {
    say_styled(&clean_lines(line));
}

/// Says text that raxx has put colors into: every foreign word in it must be clean already.
pub(crate) fn say_styled(text: &str) {
    output::to_stderr(text);
}

/// Runs it on one thread, and leaves without waiting for look-ups of names that are still under way.
///
/// # Errors
/// The system has no file descriptors left.
pub(crate) fn block_on<T>(run: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run);
    runtime.shutdown_background();
    Ok(result)
}

/// A signal asked this process to end. The exit code is a shell's for that signal: 130 for Ctrl-C.
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

/// The signals by which others ask this process to end: all but ^C.
pub(crate) struct TerminationSignals {
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
}

impl TerminationSignals {
    /// Hears them from now on.
    ///
    /// # Errors
    /// The system lets no signal be heard.
    pub(crate) fn listen() -> io::Result<TerminationSignals> {
        Ok(TerminationSignals {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next of them.
    pub(crate) async fn next(&mut self) -> Terminated {
        tokio::select! {
            _ = self.terminate.recv() => Terminated::by(SignalKind::terminate()),
            _ = self.hangup.recv() => Terminated::by(SignalKind::hangup()),
            _ = self.quit.recv() => Terminated::by(SignalKind::quit()),
        }
    }
}

thread_local! {
    /// Whether the work of [`until_a_signal`] is in a part that it finishes first.
    static UNBROKEN: Cell<bool> = const { Cell::new(false) };
}

/// Runs a part of the work of [`until_a_signal`] to its end: a signal that comes meanwhile counts when the part is over. A
/// change of the store is such a part, so that nothing is stored without a word about it. What follows it up to the next
/// `await` belongs to it.
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

/// How long an unbroken part may go on after a signal without a word about it.
const SILENT: Duration = Duration::from_secs(1);

/// Runs it to its end, or until a signal asks this process to end. Then it is dropped, which puts right what it holds: a
/// silent terminal above all. A signal that comes in an [`unbroken`] part is heeded after that part.
///
/// # Errors
/// What it says; [`Terminated`]; the system lets no signal be heard.
pub(crate) async fn until_a_signal<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // All of them before it begins.
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
        // Looked at before and after: no part begins after a signal, and what is over is not waited for again.
        let stop = |ended: &mut Option<Terminated>| ended.take_if(|_| !UNBROKEN.get()).map(|ended| Err(ended.into()));
        if let Some(stopped) = stop(&mut ended) {
            return Poll::Ready(stopped);
        }
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        if patience.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready()) {
            patience = None;
            say("raxx: stopping as soon as the store has answered");
        }
        stop(&mut ended).map_or(Poll::Pending, Poll::Ready)
    })
    .await;
    // It came in the last part: raxx still says what became of it.
    let Some(ended) = ended else { return result };
    if let Err(why) = result {
        say(&format!("raxx: {why:#}"));
    }
    Err(ended.into())
}

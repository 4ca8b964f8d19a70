//! What concerns the process itself: no core dumps, writing whole, deadlines that are kept.

use std::io::{self, Write as _};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output;
use crate::text::clean_lines;

/// The most open files that macOS lets a process ask for.
const FILES: u64 = 10_240;

/// No core dump, and on Linux no reading of this process's memory by others of the same user. First thing in `main`.
pub fn harden() {
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
pub fn detach() -> bool {
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

/// Writes to stdout, all of it in one go. Nobody listening is no error.
///
/// # Errors
/// stdout cannot be written, as on a full disk.
pub fn write_whole(text: &str) -> anyhow::Result<()> {
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
pub fn print(text: &str) -> anyhow::Result<()> {
    write_whole(&output::for_people(text))
}

/// Says a line on stderr. What acts on a terminal never gets there, whoever made the text.
pub fn say(line: &str) {
    say_styled(&clean_lines(line));
}

/// Says text that raxx has put colors into: every foreign word in it must be clean already.
pub fn say_styled(text: &str) {
    output::to_stderr(text);
}

/// Runs it on one thread, and leaves without waiting for look-ups of names that are still under way.
///
/// # Errors
/// The system has no file descriptors left.
pub fn block_on<T>(run: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run);
    runtime.shutdown_background();
    Ok(result)
}

/// A signal asked this process to end. The exit code is a shell's for that signal: 130 for Ctrl-C.
#[derive(Debug)]
pub struct Ended(pub u8);

impl Ended {
    fn by(signal: SignalKind) -> Ended {
        Ended(128 + signal.as_raw_value() as u8)
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ended by a signal")
    }
}

impl std::error::Error for Ended {}

/// The signals by which others ask this process to end: all but ^C.
pub struct Ends {
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
}

impl Ends {
    /// Hears them from now on.
    ///
    /// # Errors
    /// The system lets no signal be heard.
    pub fn listen() -> io::Result<Ends> {
        Ok(Ends {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next of them.
    pub async fn next(&mut self) -> Ended {
        tokio::select! {
            _ = self.terminate.recv() => Ended::by(SignalKind::terminate()),
            _ = self.hangup.recv() => Ended::by(SignalKind::hangup()),
            _ = self.quit.recv() => Ended::by(SignalKind::quit()),
        }
    }
}

/// Runs it to its end, or until a signal asks this process to end. Then it is dropped, which puts right what it holds: a
/// silent terminal above all.
///
/// # Errors
/// What it says; [`Ended`]; the system lets no signal be heard.
pub async fn until_a_signal<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // All of them before it begins.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut ends = Ends::listen()?;
    let ended = tokio::select! {
        biased;
        done = work => return done,
        _ = interrupt.recv() => Ended::by(SignalKind::interrupt()),
        ended = ends.next() => ended,
    };
    Err(ended.into())
}

//! Prompts on the terminal, and input through a pipe instead.

mod dialog;
mod hidden_line;
pub(crate) mod paste;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use rustix::process::kill_current_process_group;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, SpecialCodes, Termios, tcflush, tcgetattr, tcsetattr,
};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use crate::process::say;
use hidden_line::{Typed, typed};

/// The longest input. No token is longer.
const LONGEST: usize = 64 * 1024;

const GONE: &str = "the terminal is gone";

/// The terminal whose echo is off, and its previous settings: a panic runs no destructors, so the panic hook restores
/// it.
static SILENT: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Restores the echo when raxx panics.
pub(crate) fn restore_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // `try_lock`, because the panic can happen while the lock is held.
        if let Some((file, before)) = SILENT.try_lock().ok().and_then(|mut silent| silent.take()) {
            let _ = tcsetattr(&file, OptionalActions::Flush, &before);
        }
        usual(panic);
    }));
}

/// The controlling terminal. After a prompt for a hidden value, it does not echo until [`Terminal::restore`], another
/// question or drop: the rest of a paste must be neither shown nor run by the shell.
#[derive(Default)]
pub(crate) struct Terminal {
    file: Option<File>,
    /// Its previous settings while the echo is off.
    before: Option<Termios>,
    /// Whether the cursor is on the line of a question.
    asking: bool,
    /// Whether raxx runs in a command substitution of the shell function, where it could not be resumed.
    inside_a_function: bool,
}

impl Terminal {
    pub(crate) fn new() -> Terminal {
        Terminal::default()
    }

    /// The terminal for a raxx in a command substitution of the shell function, where it could not be resumed.
    pub(crate) fn in_a_shell_function() -> Terminal {
        let mut terminal = Terminal::default();
        terminal.inside_a_function = true;
        terminal
    }

    /// Whether there is a terminal to prompt on.
    pub(crate) fn exists(&mut self) -> bool {
        self.file().is_ok()
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(OpenOptions::new().read(true).write(true).open("/dev/tty")?);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Prompts for a value without showing it. Ctrl-Z suspends raxx; when it resumes, it prompts again.
    ///
    /// # Errors
    /// There is no terminal, or the input is not one line.
    pub(crate) async fn hidden(&mut self, question: &str) -> Result<Zeroizing<Vec<u8>>> {
        // If raxx is stopped in another way, the shell changes the terminal's settings when it resumes raxx.
        let mut continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        loop {
            let reader = self.file().and_then(|file| file.try_clone()).ok();
            let reader = reader.context("there is no terminal to prompt on: pipe the value in with --stdin")?;
            let keys = self.disable_echo().context("could not hide what is typed")?;
            self.ask(question).context(GONE)?;
            // On a thread, so that signals are still handled.
            let mut typing = tokio::task::spawn_blocking(move || typed(&reader, &keys));
            let typed = loop {
                tokio::select! {
                    typed = &mut typing => break typed.context("no line was read")?,
                    _ = continued.recv() => {
                        if self.is_echoing() {
                            self.silence().context(GONE)?;
                            self.ask(question).context(GONE)?;
                        }
                    }
                }
            };
            self.asking = false;
            let _ = self.file().and_then(|file| file.write_all(b"\n"));
            match typed? {
                Typed::Line(line) => return Ok(line),
                Typed::Suspend if self.can_be_resumed() => {
                    self.restore();
                    // The whole job, as Ctrl-Z normally does.
                    let _ = kill_current_process_group(rustix::process::Signal::TSTP);
                }
                Typed::Suspend => say("raxx: cannot be suspended here; press Ctrl-C to stop it"),
            }
        }
    }

    /// Whether a stopped raxx can be resumed. It cannot if its shell waits for its output, or if it runs in the
    /// shell's own process group.
    fn can_be_resumed(&self) -> bool {
        use rustix::process::{getpgrp, getpid, getsid};
        !self.inside_a_function && getsid(None).is_ok_and(|session| session != getpgrp() && session != getpid())
    }

    /// Whether the echo is on again: a shell that resumes a job resets the terminal.
    fn is_echoing(&mut self) -> bool {
        let now = self.file().and_then(|file| Ok(tcgetattr(file)?));
        now.is_ok_and(|now| now.local_modes.contains(LocalModes::ECHO))
    }

    /// Turns the echo off. This must happen before the prompt, because people start typing when they see it. Earlier
    /// input is discarded: it was typed for something else. Lines are assembled here because the terminal's own line
    /// mode truncates them silently after 1024 bytes (macOS) or 4096 (Linux). Ctrl-C still sends a signal.
    fn disable_echo(&mut self) -> io::Result<SpecialCodes> {
        if let Some(before) = &self.before {
            let keys = before.special_codes.clone();
            tcflush(self.file()?, QueueSelector::IFlush)?;
            return Ok(keys);
        }
        let now = tcgetattr(self.file()?)?;
        let keys = now.special_codes.clone();
        // Saved first, so that the settings are restored even if a signal ends raxx in between.
        let file = self.file()?.try_clone()?;
        if let Ok(mut silent) = SILENT.lock() {
            *silent = Some((file, now.clone()));
        }
        self.before = Some(now);
        self.silence()?;
        Ok(keys)
    }

    fn silence(&mut self) -> io::Result<()> {
        let mut silent = tcgetattr(self.file()?)?;
        // IEXTEN: on macOS, only this flag turns off Ctrl-Y, Ctrl-O and Ctrl-V.
        let loud = LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN;
        silent.local_modes.remove(loud);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Ctrl-Z is handled here: the default would return to the shell with the echo off.
        silent.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        let file = self.file()?;
        Ok(rustix::io::retry_on_intr(|| tcsetattr(&*file, OptionalActions::Flush, &silent))?)
    }

    /// Restores the echo. Input typed in the meantime is discarded.
    pub(crate) fn restore(&mut self) {
        if std::mem::take(&mut self.asking) {
            let _ = self.file().and_then(|file| file.write_all(b"\n"));
        }
        if let (Some(before), Some(file)) = (self.before.take(), &self.file) {
            // The call waits until output is written, and a signal during that wait would cancel it.
            let _ = rustix::io::retry_on_intr(|| tcsetattr(file, OptionalActions::Flush, &before));
            if let Ok(mut silent) = SILENT.lock() {
                *silent = None;
            }
        }
    }

    fn ask(&mut self, question: &str) -> io::Result<()> {
        self.asking = true;
        self.file()?.write_all(question.as_bytes())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// `_POSIX_VDISABLE`: disables a special character.
const NO_KEY: u8 = if cfg!(target_os = "linux") { 0 } else { 0xff };

/// Reads the value from standard input.
///
/// # Errors
/// It cannot be read, or is longer than any token.
pub(crate) async fn piped() -> Result<Zeroizing<Vec<u8>>> {
    // On a thread, so that signals are still handled.
    tokio::task::spawn_blocking(whole_input).await.context("standard input was not read")?
}

fn whole_input() -> Result<Zeroizing<Vec<u8>>> {
    // Allocate everything at once: a growing buffer leaves copies in memory.
    let mut value = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    io::stdin().lock().take(LONGEST as u64 + 1).read_to_end(&mut value).context("standard input cannot be read")?;
    if value.len() > LONGEST {
        bail!("the input is larger than 64 KiB and cannot be a token");
    }
    Ok(value)
}

/// Whether standard input is a terminal: then `--stdin` prompts without echo, as without the flag.
pub(crate) fn stdin_is_a_terminal() -> bool {
    io::stdin().is_terminal()
}

#[cfg(test)]
mod tests;

//! What is asked of a person, on the terminal, and what comes through a pipe instead.

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

/// No token is longer; what comes in beyond it is somebody's mistake.
const LONGEST: usize = 64 * 1024;

const GONE: &str = "the terminal is gone";

/// The terminal that is silent now, and how it was before: what a panic, which drops nothing, has to put right.
static SILENT: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Shows again what is typed, when raxx panics.
pub(crate) fn restore_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Not waited for: the panic may have come while it was changed.
        if let Some((file, before)) = SILENT.try_lock().ok().and_then(|mut silent| silent.take()) {
            let _ = tcsetattr(&file, OptionalActions::Flush, &before);
        }
        usual(panic);
    }));
}

/// The terminal that a person sits at. Once it has been asked for a hidden value it shows nothing that is typed until
/// [`Terminal::restore`], another question, or its end: the rest of a paste must not be shown, nor be run by the shell.
#[derive(Default)]
pub(crate) struct Terminal {
    file: Option<File>,
    /// How it was, while it is silent.
    before: Option<Termios>,
    /// The cursor is after a question.
    asking: bool,
    /// raxx runs in a command substitution of the shell function: nobody could resume it.
    inside_a_function: bool,
}

impl Terminal {
    pub(crate) fn new() -> Terminal {
        Terminal::default()
    }

    /// The terminal of a raxx that runs in a command substitution of the shell function, which nobody could resume.
    pub(crate) fn in_a_shell_function() -> Terminal {
        let mut terminal = Terminal::default();
        terminal.inside_a_function = true;
        terminal
    }

    /// Whether there is one to ask on.
    pub(crate) fn is_there(&mut self) -> bool {
        self.file().is_ok()
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(OpenOptions::new().read(true).write(true).open("/dev/tty")?);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Prompts for a value without showing it. Ctrl-Z suspends raxx; when it goes on, it asks again.
    ///
    /// # Errors
    /// There is no terminal, or what came in is no line.
    pub(crate) async fn hidden(&mut self, question: &str) -> Result<Zeroizing<Vec<u8>>> {
        // Heard from now on: who stops raxx in another way has the shell change the terminal.
        let mut continued = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        loop {
            let reader = self.file().and_then(|file| file.try_clone()).ok();
            let reader = reader.context("there is no terminal to prompt on: pipe the value in with --stdin")?;
            let keys = self.disable_echo().context("could not hide what is typed")?;
            self.ask(question).context(GONE)?;
            // On a thread, so that a signal is heard meanwhile.
            let mut typing = tokio::task::spawn_blocking(move || typed(&reader, &keys));
            let typed = loop {
                tokio::select! {
                    typed = &mut typing => break typed.context("no line was read")?,
                    _ = continued.recv() => {
                        if self.is_loud() {
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
                    // Everything in this job, as the key does it elsewhere.
                    let _ = kill_current_process_group(rustix::process::Signal::TSTP);
                }
                Typed::Suspend => say("raxx: cannot be suspended here; press Ctrl-C to stop it"),
            }
        }
    }

    /// Whether a stopped raxx can be resumed: not where its shell waits for its output, and not where it runs in the shell's
    /// own process group.
    fn can_be_resumed(&self) -> bool {
        use rustix::process::{getpgrp, getpid, getsid};
        !self.inside_a_function && getsid(None).is_ok_and(|session| session != getpgrp() && session != getpid())
    }

    /// Whether what is typed is shown although it must not be: a shell that continues a job sets the terminal anew.
    fn is_loud(&mut self) -> bool {
        let now = self.file().and_then(|file| Ok(tcgetattr(file)?));
        now.is_ok_and(|now| now.local_modes.contains(LocalModes::ECHO))
    }

    /// Switches the echo off, before anything is asked: who sees the question may type. What was typed until now is
    /// dropped, as it was typed for something else. Lines are put together here: the terminal's own end without a
    /// word after 1024 bytes (macOS) or 4096 (Linux). Ctrl-C stays a signal.
    fn disable_echo(&mut self) -> io::Result<SpecialCodes> {
        if let Some(before) = &self.before {
            let keys = before.special_codes.clone();
            tcflush(self.file()?, QueueSelector::IFlush)?;
            return Ok(keys);
        }
        let now = tcgetattr(self.file()?)?;
        let keys = now.special_codes.clone();
        // Noted first: what a signal ends in between is put right as well.
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
        // IEXTEN: macOS's Ctrl-Y, Ctrl-O and Ctrl-V hang on it alone.
        let loud = LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN;
        silent.local_modes.remove(loud);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Ctrl-Z is a key that is read here: by itself it would leave a silent terminal to the shell.
        silent.special_codes[SpecialCodeIndex::VSUSP] = NO_KEY;
        let file = self.file()?;
        Ok(rustix::io::retry_on_intr(|| tcsetattr(&*file, OptionalActions::Flush, &silent))?)
    }

    /// Shows again what is typed. What was typed meanwhile is dropped.
    pub(crate) fn restore(&mut self) {
        if std::mem::take(&mut self.asking) {
            let _ = self.file().and_then(|file| file.write_all(b"\n"));
        }
        if let (Some(before), Some(file)) = (self.before.take(), &self.file) {
            // It waits for the output to leave, and a signal that comes meanwhile ends it without effect.
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

/// `_POSIX_VDISABLE`: no key does it.
const NO_KEY: u8 = if cfg!(target_os = "linux") { 0 } else { 0xff };

/// Reads the value from standard input.
///
/// # Errors
/// It cannot be read, or is longer than any token.
pub(crate) async fn piped() -> Result<Zeroizing<Vec<u8>>> {
    // On a thread, so that a signal is heard meanwhile.
    tokio::task::spawn_blocking(whole_input).await.context("standard input was not read")?
}

fn whole_input() -> Result<Zeroizing<Vec<u8>>> {
    // All the room at once: a buffer that grows leaves copies behind.
    let mut value = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    io::stdin().lock().take(LONGEST as u64 + 1).read_to_end(&mut value).context("standard input cannot be read")?;
    if value.len() > LONGEST {
        bail!("the input is larger than 64 KiB and cannot be a token");
    }
    Ok(value)
}

/// Whether standard input is a person: then `--stdin` asks as hidden as without.
pub(crate) fn stdin_is_a_person() -> bool {
    io::stdin().is_terminal()
}

#[cfg(test)]
mod tests;

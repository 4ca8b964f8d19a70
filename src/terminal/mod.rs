//! What is asked of a person, on the terminal, and what comes through a pipe instead.

pub(crate) mod paste;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read, Write as _};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::kill_current_process_group;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, SpecialCodes, Termios, tcflush, tcgetattr, tcsetattr,
};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::{Zeroize as _, Zeroizing};

use crate::process::say;
use crate::text::typed::looks_like_a_value;

/// No token is longer; what comes in beyond it is somebody's mistake.
const LONGEST: usize = 64 * 1024;

/// How long after the end of a line the next one of the same paste may come.
const SAME_PASTE: Duration = Duration::from_millis(50);

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
            let reader = reader.context("there is no terminal to ask on: pipe the value in with --stdin")?;
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
                Typed::Suspend => say("raxx: cannot be suspended here; Ctrl-C stops it"),
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

    /// The line that answers a question; none where there is nobody to ask.
    async fn answer(&mut self, question: &str) -> Option<String> {
        self.restore();
        let reader = self.file().and_then(|file| file.try_clone()).ok()?;
        // A paste of several lines would answer it.
        let _ = tcflush(&reader, QueueSelector::IFlush);
        self.ask(question).ok()?;
        let read = move || {
            let mut line = String::new();
            BufReader::new(reader).read_line(&mut line).map(|_| line)
        };
        let line = tokio::task::spawn_blocking(read).await.ok()?.ok()?;
        self.asking = !line.ends_with('\n');
        (!line.is_empty()).then_some(line)
    }

    /// Asks a question; none where there is nobody to ask.
    pub(crate) async fn yes(&mut self, question: &str) -> Option<bool> {
        let answer = self.answer(&format!("{question} [y/N] ")).await?;
        Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks for one of some words, or their beginning, until one of them comes; none where there is nobody to ask.
    pub(crate) async fn one_of<'w>(&mut self, question: &str, words: &[&'w str]) -> Option<&'w str> {
        let mut asked = format!("{question} [{}] ", words.join("/"));
        loop {
            let typed = self.answer(&asked).await?;
            if looks_like_a_value(typed.trim()) {
                say(
                    "raxx: that looks like a value, and it is visible now: clear the screen. raxx asks for the value later and hides it",
                );
            }
            let answer = typed.trim().to_lowercase();
            let mut meant = words.iter().filter(|word| !answer.is_empty() && word.starts_with(&answer));
            if let (Some(word), None) = (meant.next(), meant.next()) {
                return Some(word);
            }
            asked = format!("Answer {}: ", words.join(" or "));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// `_POSIX_VDISABLE`: no key does it.
const NO_KEY: u8 = if cfg!(target_os = "linux") { 0 } else { 0xff };

/// What came of a hidden question.
enum Typed {
    Line(Zeroizing<Vec<u8>>),
    /// Ctrl-Z. What was typed before it is dropped.
    Suspend,
}

/// Reads one line, key by key.
fn typed(mut terminal: &File, keys: &SpecialCodes) -> Result<Typed> {
    let mut line = Line::new(keys);
    let mut chunk = Zeroizing::new([0; 1024]);
    loop {
        let got = match terminal.read(&mut chunk[..]) {
            Ok(0) => bail!(GONE),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("the terminal cannot be read"),
        };
        for (at, key) in chunk[..got].iter().enumerate() {
            match line.key(*key) {
                Key::Taken => {}
                Key::Suspend => return Ok(Typed::Suspend),
                Key::TooMany => bail!("more than 64 KiB came in: that is no token"),
                Key::Nothing => bail!("nothing was typed; nothing is stored"),
                Key::Enter => {
                    if more_than_a_line(&chunk[at + 1..got]) || more_comes(terminal) {
                        bail!("more than one line came in, so nothing is stored: paste the value alone");
                    }
                    return Ok(Typed::Line(line.bytes));
                }
            }
        }
    }
}

/// Whether the rest of the same paste comes in.
fn more_comes(mut terminal: &File) -> bool {
    thread::sleep(SAME_PASTE);
    let mut rest = Zeroizing::new([0; 1024]);
    let waiting = rustix::io::ioctl_fionread(terminal).unwrap_or(0);
    waiting > 0 && terminal.read(&mut rest[..]).is_ok_and(|got| more_than_a_line(&rest[..got]))
}

/// Whether there is more than the line ends, and the mark, that a paste may have behind its one line.
fn more_than_a_line(rest: &[u8]) -> bool {
    let mut rest = rest;
    while let [first, after @ ..] = rest {
        rest = match rest.strip_prefix(PASTE_END) {
            Some(after) => after,
            None if matches!(first, b'\r' | b'\n') => after,
            None => return true,
        };
    }
    false
}

/// What a terminal in bracketed paste mode sends before and after a paste. A shell's line editor may have left that on.
const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// A line that is being typed: the keys that edit a line do so, every other one is part of it.
struct Line {
    bytes: Zeroizing<Vec<u8>>,
    erase: u8,
    kill: u8,
    word: u8,
    end: u8,
    suspend: u8,
}

#[derive(Debug, PartialEq, Eq)]
enum Key {
    Taken,
    Enter,
    /// Ctrl-D, and nothing was typed before.
    Nothing,
    Suspend,
    TooMany,
}

impl Line {
    fn new(keys: &SpecialCodes) -> Line {
        // All the room at once: a buffer that grows leaves copies behind.
        let bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
        let key = |code| Some(keys[code]).filter(|key| *key != NO_KEY);
        Line {
            bytes,
            // Where a terminal has no key for it, the usual one: none of them can be in a token.
            erase: key(SpecialCodeIndex::VERASE).unwrap_or(0x7f),
            kill: key(SpecialCodeIndex::VKILL).unwrap_or(0x15),
            word: key(SpecialCodeIndex::VWERASE).unwrap_or(0x17),
            end: key(SpecialCodeIndex::VEOF).unwrap_or(0x04),
            suspend: key(SpecialCodeIndex::VSUSP).unwrap_or(0x1a),
        }
    }

    fn key(&mut self, key: u8) -> Key {
        match key {
            b'\r' | b'\n' => return Key::Enter,
            key if key == self.end && self.bytes.is_empty() => return Key::Nothing,
            key if key == self.suspend => return Key::Suspend,
            key if key == self.kill => self.bytes.zeroize(),
            key if key == self.word => {
                let blanks = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |at| at + 1);
                let end = blanks(&self.bytes);
                let start = self.bytes[..end].iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1);
                self.cut(start);
            }
            key if key == self.erase || key == 0x7f || key == 0x08 => {
                // A whole character.
                let start = self.bytes.iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
                self.cut(start);
            }
            _ if self.bytes.len() == LONGEST => return Key::TooMany,
            key => {
                self.bytes.push(key);
                for mark in [PASTE_START, PASTE_END] {
                    if self.bytes.ends_with(mark) {
                        self.cut(self.bytes.len() - mark.len());
                    }
                }
            }
        }
        Key::Taken
    }

    fn cut(&mut self, at: usize) {
        self.bytes[at..].zeroize();
        self.bytes.truncate(at);
    }
}

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
        bail!("more than 64 KiB came in: that is no token");
    }
    Ok(value)
}

/// Whether standard input is a person: then `--stdin` asks as hidden as without.
pub(crate) fn stdin_is_a_person() -> bool {
    io::stdin().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line is after these keys, on a terminal with the usual ones.
    fn typed(keys: &[u8]) -> Result<Vec<u8>, Key> {
        let bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
        let mut line = Line { bytes, erase: 0x7f, kill: 0x15, word: 0x17, end: 0x04, suspend: 0x1a };
        for key in keys {
            match line.key(*key) {
                Key::Taken => {}
                Key::Enter => return Ok(line.bytes.to_vec()),
                other => return Err(other),
            }
        }
        panic!("no end in {keys:?}")
    }

    #[test]
    fn the_keys_that_edit_a_line_edit_it() {
        for (keys, line) in [
            ("abc\r", "abc"),
            ("abc\n", "abc"),
            ("abx\x7fc\r", "abc"),
            ("abx\x08c\r", "abc"),
            ("aö\x7fb\r", "ab"),
            ("\x7f\x17abc\r", "abc"),
            ("wrong\x15abc\r", "abc"),
            ("a wrong  \x17abc\r", "a abc"),
            ("wrong\x17abc\r", "abc"),
        ] {
            assert_eq!(typed(keys.as_bytes()), Ok(line.into()), "{keys:?}");
        }
        assert_eq!(typed(b"\x04"), Err(Key::Nothing));
        assert_eq!(typed(b"a\x7f\x04"), Err(Key::Nothing));
    }

    #[test]
    fn no_other_control_character_is_dropped() {
        let keys = b"a\tb\x1b[31mc\x04\x00\x0f\x16\x19";
        assert_eq!(typed(&[&keys[..], b"\r"].concat()), Ok(keys.to_vec()));
    }

    #[test]
    fn the_marks_around_a_paste_are_no_part_of_it() {
        assert_eq!(typed(b"\x1b[200~abc\x1b[201~\r"), Ok(b"abc".to_vec()));
        assert_eq!(typed(b"a\x1b[200~b\x1b[201~c\r"), Ok(b"abc".to_vec()));
        assert!(!more_than_a_line(b"\x1b[201~") && !more_than_a_line(b"\n\x1b[201~\r"));
        assert!(more_than_a_line(b"\x1b[201~x"));
        assert_eq!(typed(b"abc\x1a"), Err(Key::Suspend));
    }

    #[test]
    fn a_panic_that_drops_nothing_gives_the_terminal_its_echo_back() {
        let pair = portable_pty::native_pty_system().openpty(portable_pty::PtySize::default()).unwrap();
        let path = pair.master.tty_name().unwrap();
        let open = || OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let echoes = || tcgetattr(open()).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::IEXTEN);
        let mut terminal = Terminal::new();
        terminal.file = Some(open());
        terminal.disable_echo().unwrap();
        assert!(!echoes());
        std::mem::forget(terminal); // as `panic = "abort"` does
        let usual = std::panic::take_hook();
        restore_on_panic();
        let panicked = std::panic::catch_unwind(|| panic!("made up"));
        std::panic::set_hook(usual);
        assert!(panicked.is_err() && echoes());
    }

    #[test]
    fn a_line_never_moves_in_memory() {
        let long = [vec![b'x'; LONGEST], vec![b'\r']].concat();
        assert_eq!(typed(&long).map(|line| line.len()), Ok(LONGEST));
        assert_eq!(typed(&vec![b'x'; LONGEST + 1]), Err(Key::TooMany));
    }

    #[test]
    fn line_ends_behind_the_line_are_no_second_line() {
        assert!(!more_than_a_line(b"") && !more_than_a_line(b"\n\r\n"));
        assert!(more_than_a_line(b"\nx"));
    }
}

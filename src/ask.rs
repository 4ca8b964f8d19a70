//! What is asked of a person, on the terminal, and what comes through a pipe instead.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use zeroize::Zeroizing;

/// No token is longer; what is piped in beyond it is somebody's mistake.
const LONGEST: u64 = 64 * 1024;

fn terminal() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// Asks for a value without showing it. Ctrl-C gives the terminal back as it was.
///
/// # Errors
/// There is no terminal.
pub fn hidden(prompt: &str) -> Result<Zeroizing<Vec<u8>>> {
    terminal().ok().context("there is no terminal to ask on: pipe the value in with --stdin")?;
    // rpassword takes ^C as a key and raises the signal while the terminal is still silent. Held back, the signal ends
    // the process when the terminal is as it was.
    let interrupt = SigSet::from(Signal::SIGINT);
    interrupt.thread_block().context("signals cannot be held back")?;
    let value = rpassword::prompt_password(prompt);
    interrupt.thread_unblock().context("signals cannot be let through")?;
    let value = match value {
        // Where ^C is handled (a pager has been on), the signal has ended nothing.
        Err(e) if e.kind() == io::ErrorKind::Interrupted => std::process::exit(130),
        other => Zeroizing::new(other.context("the terminal cannot be read")?.into_bytes()),
    };
    if forget_what_was_typed() {
        bail!("more than one line came in, so nothing is stored: paste the value alone");
    }
    Ok(value)
}

/// Takes away what stands in the terminal's queue, as after a paste of several lines: it would answer the next question,
/// or run in the shell. Tells whether there was something.
fn forget_what_was_typed() -> bool {
    let Ok(terminal) = terminal() else { return false };
    let more = rustix::io::ioctl_fionread(&terminal).is_ok_and(|waiting| waiting > 0);
    let _ = rustix::termios::tcflush(&terminal, rustix::termios::QueueSelector::IFlush);
    more
}

/// Reads the value from standard input; hidden, where that is a terminal.
///
/// # Errors
/// It cannot be read, or is longer than any token.
pub fn piped() -> Result<Zeroizing<Vec<u8>>> {
    if io::stdin().is_terminal() {
        return hidden("(hidden): ");
    }
    // All the room at once: a buffer that grows leaves copies behind.
    let mut value = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    io::stdin().lock().take(LONGEST + 1).read_to_end(&mut value).context("standard input cannot be read")?;
    if value.len() as u64 > LONGEST {
        bail!("more than 64 KiB came in: that is no token");
    }
    Ok(value)
}

/// Asks a question; none where there is nobody to ask.
pub fn yes(question: &str) -> Option<bool> {
    forget_what_was_typed();
    let mut terminal = terminal().ok()?;
    write!(terminal, "{question} [y/N] ").ok()?;
    let mut answer = String::new();
    BufReader::new(terminal).read_line(&mut answer).ok()?;
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Asks for one of some words; none where there is nobody to ask or the answer is none of them.
pub fn one_of<'w>(question: &str, words: &[&'w str]) -> Option<&'w str> {
    forget_what_was_typed();
    let mut terminal = terminal().ok()?;
    write!(terminal, "{question} [{}] ", words.join("/")).ok()?;
    let mut answer = String::new();
    BufReader::new(terminal).read_line(&mut answer).ok()?;
    words.iter().find(|word| **word == answer.trim()).copied()
}

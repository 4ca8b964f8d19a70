//! The program `security`: what it is told, and what it says.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::{Zeroize, Zeroizing};

use super::access::from_hex;
use crate::process::child_apart;
use crate::store::{Item, StoreError};

/// `security -i` reads its lines into a buffer of 4096 bytes and takes what is beyond it for another command.
pub(super) const LINE_MAX: usize = 4094;

/// How a run of `security` went.
pub(in crate::store) enum Security {
    /// It ended, with this code and output.
    Exit(i32, Zeroizing<Vec<u8>>),
    /// It was killed at its limit.
    TimedOut,
    /// It could not be run, or ended by a signal.
    Failed(String),
}

/// The one line for `security -i` that stores the value, so that it is in no process's arguments. No `-T` and no `-A`:
/// both would take away the trust of `security` itself, or ask for a password to change the item's access list.
pub(super) fn add_line(name: &str, item: &Item, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    for (what, text) in [("name", name), ("service", &item.service), ("account", &item.account)] {
        // Its parser knows quotes and backslashes, but not in the way of a shell. None of these has a use for them.
        if text.is_empty() || text.contains(['"', '\'', '\\']) || text.contains(char::is_control) {
            return Err(StoreError::Broken(format!(
                "`security` takes no {what} that is empty or has a quote, a backslash or a control character in it"
            )));
        }
    }
    if !printable_ascii(value) {
        // And nothing tells those digits from a token that is one.
        return Err(StoreError::Unfit("`security` gives what is not plain ASCII back as hex digits".into()));
    }
    let Item { service, account } = item;
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX + 2));
    line.extend_from_slice(
        format!("add-generic-password -U -s \"{service}\" -a \"{account}\" -l \"{name}\" -X ").as_bytes(),
    );
    let room = LINE_MAX.saturating_sub(line.len() + 1) / 2;
    if value.len() > room {
        let long = value.len();
        return Err(StoreError::Unfit(format!("`security` takes {room} bytes for this item, the value has {long}")));
    }
    for byte in value {
        line.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
    line.push(b'\n');
    Ok(line)
}

/// Whether `security` prints the value as it is.
pub(super) fn printable_ascii(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// `password: "value"`, or, where a byte is a backslash or is not printable, `password: 0x76…  "…"`.
pub(super) fn shown_value(output: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let line = output.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"password: "))?;
    if let Some(digits) = line.strip_prefix(b"0x") {
        let digits = digits.split(|byte| *byte == b' ').next()?;
        return from_hex(digits);
    }
    let value = line.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    // A backslash here is itself or begins an escaped byte, and nothing tells which.
    (!value.contains(&b'\\')).then(|| Zeroizing::new(value.to_vec()))
}

/// Runs `program` as `security` to print one value, and kills it at `limit`.
///
/// A value with a byte that is not printable comes out as hex with no mark that it is. It is left so: to take
/// hex-looking output apart would break every token that is hex.
pub(in crate::store) fn run_security(program: &Path, item: &Item, limit: Duration) -> Security {
    run(program, &["find-generic-password", "-s", &item.service, "-a", &item.account, "-w"], None, Says::Stdout, limit)
}

/// Runs `program` as `security` to show one value, in the form that marks hex digits as such, and kills it at `limit`.
/// The item's attributes go to its stdout, the value to its stderr.
pub(in crate::store) fn run_security_shown(program: &Path, item: &Item, limit: Duration) -> Security {
    run(program, &["find-generic-password", "-s", &item.service, "-a", &item.account, "-g"], None, Says::Stderr, limit)
}

/// Runs `program` as `security` to do what is on the line, and kills it at `limit`.
pub(in crate::store) fn run_security_add(program: &Path, line: &[u8], limit: Duration) -> Security {
    run(program, &["-i"], Some(line), Says::Stdout, limit)
}

/// Runs `program` as `security` to delete the item, and kills it at `limit`.
pub(in crate::store) fn run_security_delete(program: &Path, item: &Item, limit: Duration) -> Security {
    run(program, &["delete-generic-password", "-s", &item.service, "-a", &item.account], None, Says::Stdout, limit)
}

/// Which of its outputs is read.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    Stdout,
    Stderr,
}

fn run(program: &Path, arguments: &[&str], input: Option<&[u8]>, says: Says, limit: Duration) -> Security {
    let end = Instant::now() + limit;
    let output = |of| if of == says { Stdio::piped() } else { Stdio::null() };
    let child = child_apart(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(output(Says::Stdout))
        .stderr(output(Says::Stderr))
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Security::Failed(format!("{} could not be started: {error}", program.display())),
    };
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        // A line is shorter than what any pipe holds, so this does not block. Who does not read it says why by its code.
        _ = pipe.write_all(input);
    }
    // A pipe is read without a timeout only on another thread; it ends when the pipe does.
    let (send, receive) = mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = move || stdout.map(read_to_end).or_else(|| stderr.map(read_to_end)).transpose();
    let reader = thread::Builder::new().spawn(move || send.send(read()));
    let mut ended: Option<ExitStatus> = None;
    let output = reader.map_err(|error| error.to_string()).and_then(|_| {
        match receive.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Ok(output)) => {
                while ended.is_none() && Instant::now() < end {
                    ended = child.try_wait().map_err(|error| error.to_string())?;
                    if ended.is_none() {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                Ok(output)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Ok(None),
        }
    });
    if ended.is_none() {
        // Fails only for a child that has just ended, and then `wait` has nothing to wait for either.
        _ = child.kill();
        _ = child.wait();
    }
    match (output, ended) {
        (Err(error), _) => Security::Failed(format!("the output of `security` could not be read: {error}")),
        (Ok(_), None) => Security::TimedOut,
        (Ok(output), Some(status)) => match status.code() {
            Some(code) => Security::Exit(code, output.unwrap_or_default()),
            None => Security::Failed(format!("`security` was stopped: {status}")),
        },
    }
}

/// Reads everything and leaves no copy of it behind: a `Vec` that grows by itself would.
fn read_to_end(mut from: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut chunk = Zeroizing::new([0; 4096]);
    let mut all = Zeroizing::new(Vec::with_capacity(chunk.len()));
    loop {
        let got = match from.read(&mut chunk[..]) {
            Ok(0) => return Ok(all),
            Ok(got) => got,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if all.capacity() - all.len() < got {
            let mut larger = Zeroizing::new(Vec::with_capacity(all.capacity() * 2 + got));
            larger.extend_from_slice(&all);
            all.zeroize();
            all = larger;
        }
        all.extend_from_slice(&chunk[..got]);
    }
}

#[cfg(test)]
mod tests;

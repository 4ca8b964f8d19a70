//! Runs the program `security`: its arguments, its input and its output.

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

/// The longest line: `security -i` reads into a buffer of 4096 bytes and takes the rest of a longer line for a new command.
pub(super) const LINE_MAX: usize = 4094;

/// The outcome of a run of `security`.
pub(in crate::store) enum Security {
    /// It exited with this code and output.
    Exit(i32, Zeroizing<Vec<u8>>),
    /// It was killed at its time limit.
    TimedOut,
    /// It could not be run, or was killed by a signal.
    Failed(String),
}

/// Returns the line for `security -i` that stores the value, which keeps the value out of process arguments. It has no `-T`
/// and no `-A`: both would remove the trust of `security` itself, or prompt for a password to change the access list.
pub(super) fn add_line(name: &str, item: &Item, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    for (what, text) in [("name", name), ("service", &item.service), ("account", &item.account)] {
        // The parser of `security -i` treats quotes and backslashes differently from a shell. These texts do not need them.
        if text.is_empty() || text.contains(['"', '\'', '\\']) || text.contains(char::is_control) {
            return Err(StoreError::Broken(format!(
                "`security` does not accept this {what}: it is empty or contains a quote, a backslash or a control character"
            )));
        }
    }
    if !printable_ascii(value) {
        // The hex digits cannot be distinguished from a token that consists of hex digits.
        return Err(StoreError::Unfit("`security` returns a value that is not plain ASCII as hex digits".into()));
    }
    let Item { service, account } = item;
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX + 2));
    line.extend_from_slice(
        format!("add-generic-password -U -s \"{service}\" -a \"{account}\" -l \"{name}\" -X ").as_bytes(),
    );
    let room = LINE_MAX.saturating_sub(line.len() + 1) / 2;
    if value.len() > room {
        let long = value.len();
        let why = format!("`security` accepts at most {room} bytes for this item, and the value has {long}");
        return Err(StoreError::Unfit(why));
    }
    for byte in value {
        line.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
    line.push(b'\n');
    Ok(line)
}

/// Returns whether `security` prints the value unchanged.
pub(super) fn printable_ascii(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Parses `password: "value"`, or `password: 0x76…  "…"` for a value with a backslash or an unprintable byte.
pub(super) fn shown_value(output: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let line = output.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"password: "))?;
    if let Some(digits) = line.strip_prefix(b"0x") {
        let digits = digits.split(|byte| *byte == b' ').next()?;
        return from_hex(digits);
    }
    let value = line.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    // A backslash here is ambiguous: it is itself or starts an escape.
    (!value.contains(&b'\\')).then(|| Zeroizing::new(value.to_vec()))
}

/// Runs `program` as `security` to print one value, and kills it after `limit`.
///
/// A value with an unprintable byte is printed as unmarked hex digits. They are not decoded: that would break every token
/// that consists of hex digits.
pub(in crate::store) fn run_security(program: &Path, item: &Item, limit: Duration) -> Security {
    run(
        program,
        &["find-generic-password", "-s", &item.service, "-a", &item.account, "-w"],
        None,
        Output::Stdout,
        limit,
    )
}

/// Runs `program` as `security` to print one value in the form that marks hex digits, and kills it after `limit`. The item's
/// attributes are printed to stdout and the value to stderr.
pub(in crate::store) fn run_security_shown(program: &Path, item: &Item, limit: Duration) -> Security {
    run(
        program,
        &["find-generic-password", "-s", &item.service, "-a", &item.account, "-g"],
        None,
        Output::Stderr,
        limit,
    )
}

/// Runs `program` as `security` with the line as its input, and kills it after `limit`.
pub(in crate::store) fn run_security_add(program: &Path, line: &[u8], limit: Duration) -> Security {
    run(program, &["-i"], Some(line), Output::Stdout, limit)
}

/// Runs `program` as `security` to delete the item, and kills it after `limit`.
pub(in crate::store) fn run_security_delete(program: &Path, item: &Item, limit: Duration) -> Security {
    run(program, &["delete-generic-password", "-s", &item.service, "-a", &item.account], None, Output::Stdout, limit)
}

/// Which output stream is read.
#[derive(Clone, Copy, PartialEq)]
enum Output {
    Stdout,
    Stderr,
}

fn run(program: &Path, arguments: &[&str], input: Option<&[u8]>, wanted: Output, limit: Duration) -> Security {
    let end = Instant::now() + limit;
    let output = |stream| if stream == wanted { Stdio::piped() } else { Stdio::null() };
    let child = child_apart(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(output(Output::Stdout))
        .stderr(output(Output::Stderr))
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Security::Failed(format!("could not start {}: {error}", program.display())),
    };
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        // A line fits into any pipe's buffer, so this does not block. If `security` does not read it, its exit code says why.
        _ = pipe.write_all(input);
    }
    // Reading a pipe has no timeout, so another thread does it. It ends when the pipe is closed.
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
        // Fails only for a child that just exited; `wait` then returns at once.
        _ = child.kill();
        _ = child.wait();
    }
    match (output, ended) {
        (Err(error), _) => Security::Failed(format!("could not read the output of `security`: {error}")),
        (Ok(_), None) => Security::TimedOut,
        (Ok(output), Some(status)) => match status.code() {
            Some(code) => Security::Exit(code, output.unwrap_or_default()),
            None => Security::Failed(format!("`security` was killed: {status}")),
        },
    }
}

/// Reads everything and leaves no unwiped copy, as a `Vec` that grows on its own would.
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

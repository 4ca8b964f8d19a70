//! Reading one line key by key without showing it.

use std::fs::File;
use std::io::{self, Read as _};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::termios::{SpecialCodeIndex, SpecialCodes};
use zeroize::{Zeroize as _, Zeroizing};

use super::{GONE, LONGEST, NO_KEY};

/// The longest pause between two lines of the same paste.
const SAME_PASTE: Duration = Duration::from_millis(50);

/// The result of a hidden prompt.
pub(super) enum Typed {
    Line(Zeroizing<Vec<u8>>),
    /// Ctrl-Z. The input so far is discarded.
    Suspend,
}

/// Reads one line, key by key.
pub(super) fn typed(mut terminal: &File, keys: &SpecialCodes) -> Result<Typed> {
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
                Key::TooMany => bail!("the input is larger than 64 KiB and cannot be a token"),
                Key::Nothing => bail!("nothing was typed; nothing was stored"),
                Key::Enter => {
                    if more_than_a_line(&chunk[at + 1..got]) || more_comes(terminal) {
                        bail!("the input has more than one line, so nothing was stored: paste only the value");
                    }
                    return Ok(Typed::Line(line.bytes));
                }
            }
        }
    }
}

/// Whether more of the same paste arrives.
fn more_comes(mut terminal: &File) -> bool {
    thread::sleep(SAME_PASTE);
    let mut rest = Zeroizing::new([0; 1024]);
    let waiting = rustix::io::ioctl_fionread(terminal).unwrap_or(0);
    waiting > 0 && terminal.read(&mut rest[..]).is_ok_and(|got| more_than_a_line(&rest[..got]))
}

/// Whether there is anything besides line endings and the end mark of a paste.
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

/// The marks that a terminal in bracketed paste mode sends around a paste. A shell's line editor can leave that mode
/// on.
const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// A line that is being typed. Editing keys edit it; every other key is part of it.
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
    /// Ctrl-D on an empty line.
    Nothing,
    Suspend,
    TooMany,
}

impl Line {
    fn new(keys: &SpecialCodes) -> Line {
        // Allocate everything at once: a growing buffer leaves copies in memory.
        let bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
        let key = |code| Some(keys[code]).filter(|key| *key != NO_KEY);
        Line {
            bytes,
            // If the terminal defines no key, use the usual one. None of these can be in a token.
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
                let trimmed = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |at| at + 1);
                let end = trimmed(&self.bytes);
                let start = self.bytes[..end].iter().rposition(|byte| *byte == b' ').map_or(0, |at| at + 1);
                self.cut(start);
            }
            key if key == self.erase || key == 0x7f || key == 0x08 => {
                // Deletes a whole UTF-8 character.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The line after these keys, on a terminal with the usual editing keys.
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
        panic!("no Enter in {keys:?}")
    }

    #[test]
    fn editing_keys_edit_the_line() {
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
    fn other_control_characters_are_kept() {
        let keys = b"a\tb\x1b[31mc\x04\x00\x0f\x16\x19";
        assert_eq!(typed(&[&keys[..], b"\r"].concat()), Ok(keys.to_vec()));
    }

    #[test]
    fn paste_marks_are_removed() {
        assert_eq!(typed(b"\x1b[200~abc\x1b[201~\r"), Ok(b"abc".to_vec()));
        assert_eq!(typed(b"a\x1b[200~b\x1b[201~c\r"), Ok(b"abc".to_vec()));
        assert!(!more_than_a_line(b"\x1b[201~") && !more_than_a_line(b"\n\x1b[201~\r"));
        assert!(more_than_a_line(b"\x1b[201~x"));
        assert_eq!(typed(b"abc\x1a"), Err(Key::Suspend));
    }

    #[test]
    fn a_line_never_moves_in_memory() {
        let long = [vec![b'x'; LONGEST], vec![b'\r']].concat();
        assert_eq!(typed(&long).map(|line| line.len()), Ok(LONGEST));
        assert_eq!(typed(&vec![b'x'; LONGEST + 1]), Err(Key::TooMany));
    }

    #[test]
    fn trailing_line_endings_are_not_a_second_line() {
        assert!(!more_than_a_line(b"") && !more_than_a_line(b"\n\r\n"));
        assert!(more_than_a_line(b"\nx"));
    }
}

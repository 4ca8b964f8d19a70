//! A shell on a pseudo-terminal, driven like a user would.

#![allow(dead_code)] // each test program uses its own part

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Longer than any step can take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Wide enough that no line of a test wraps, high enough that none scrolls out.
const ROWS: u16 = 200;
const COLUMNS: u16 = 240;

/// The output of a command and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub output: String,
    pub code: i32,
}

impl Ran {
    /// A command with this output and exit code 0.
    pub fn well(output: &str) -> Ran {
        Ran { output: output.into(), code: 0 }
    }
}

/// Everything that the terminal has shown so far.
#[derive(Default)]
struct Shown {
    bytes: Mutex<Vec<u8>>,
    more: Condvar,
}

impl Shown {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().expect("no thread of the terminal panics")
    }
}

/// A running program with its own terminal; killed when dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    shown: Arc<Shown>,
    asked: usize,
    /// How much was shown before the last answer.
    answered: usize,
    // Closing it sends a hangup.
    master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts a program with exactly this environment.
    pub fn open(program: &Path, args: &[&str], env: &[(OsString, OsString)], directory: &Path) -> Terminal {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env_clear();
        for (name, value) in env {
            command.env(name, value);
        }
        command.cwd(directory);
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let mut screen = pair.master.try_clone_reader().expect("its output");
        let keyboard = pair.master.take_writer().expect("its input");
        let shown = Arc::new(Shown::default());
        let seen = shown.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // On Linux, the end of the output is reported as an error.
            while let Ok(n) = screen.read(&mut buffer) {
                if n == 0 {
                    return;
                }
                seen.bytes().extend_from_slice(&buffer[..n]);
                seen.more.notify_all();
            }
        });
        Terminal { child, keyboard, shown, asked: 0, answered: 0, master: pair.master }
    }

    /// Types keys.
    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).and_then(|()| self.keyboard.flush()).expect("the terminal takes keys");
    }

    /// Types a line and Enter.
    pub fn line(&mut self, line: &str) {
        self.keys(line);
        self.keys("\r");
    }

    /// How many keys the terminal has received that no program has read, if it is not in line mode.
    pub fn unread(&self) -> u64 {
        let path = self.master.tty_name().expect("the terminal has a name");
        let flag = rustix::fs::OFlags::NOCTTY.bits() as i32;
        let terminal = OpenOptions::new().read(true).custom_flags(flag).open(path).expect("the terminal opens");
        rustix::io::ioctl_fionread(terminal).expect("it counts its keys")
    }

    /// Everything that was shown so far, byte for byte.
    pub fn transcript(&self) -> Vec<u8> {
        self.shown.bytes().clone()
    }

    /// How often `text` was shown so far.
    pub fn times(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.shown.bytes()).matches(text).count()
    }

    /// The screen as the user sees it.
    pub fn screen(&self) -> String {
        let size = |n| NonZeroU16::new(n).expect("not zero");
        let mut parser = vt100::Parser::new(size(ROWS), size(COLUMNS), 0);
        parser.process(&self.shown.bytes());
        let rows = parser.screen().rows(0, COLUMNS);
        let rows: Vec<String> = rows.map(|row| row.trim_end().to_string()).collect();
        rows.join("\n").trim_end().to_string()
    }

    /// Waits until `text` was shown.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Like `wait_for`, but without pauses, for a reaction at the very moment when `text` appears.
    #[track_caller]
    pub fn wait_for_now(&self, text: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while self.times(text) == 0 {
            assert!(Instant::now() < deadline, "timed out waiting for {text:?}; the terminal shows\n{}", self.screen());
            thread::yield_now();
        }
    }

    /// Waits for a question that was shown after the last answer, and types the answer.
    #[track_caller]
    pub fn answer(&mut self, question: &str, answer: &str) {
        let from = self.answered;
        let is_shown = || String::from_utf8_lossy(&self.shown.bytes()[from..]).contains(question);
        self.wait_until(&format!("the question {question:?}"), is_shown);
        self.answered = self.shown.bytes().len();
        self.line(answer);
    }

    /// Waits until `text` was shown this many times.
    #[track_caller]
    pub fn wait_for_times(&self, text: &str, times: usize) {
        self.wait_until(&format!("{text:?} {times} times"), || self.times(text) >= times);
    }

    /// Waits until one row of the screen is exactly this text.
    #[track_caller]
    pub fn wait_for_row(&self, row: &str) {
        self.wait_until(&format!("the row {row:?}"), || self.screen().lines().any(|line| line == row));
    }

    /// Waits until the condition is true.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !is_so() {
            assert!(Instant::now() < deadline, "timed out waiting for {what}; the terminal shows\n{}", self.screen());
            let bytes = self.shown.bytes();
            drop(self.shown.more.wait_timeout(bytes, Duration::from_millis(20)));
        }
    }

    /// Waits until no new output arrives for a while.
    pub fn settle(&self) {
        let mut length = self.shown.bytes().len();
        loop {
            thread::sleep(Duration::from_millis(200));
            let now = self.shown.bytes().len();
            if now == length {
                return;
            }
            length = now;
        }
    }

    /// Runs a command at the prompt of a shell and returns its output.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> Ran {
        self.asked += 1;
        let typed = format!(r"printf '<{}:%d>\n' $?", self.asked);
        // The typed line differs from its output, so the end marker cannot be mistaken for it.
        let mark = format!("<{}:", self.asked);
        self.line(&format!("{command}; {typed}"));
        let ended = |screen: &str| {
            let (before, after) = screen.rsplit_once(&mark)?;
            let (code, _) = after.split_once('>')?;
            let (_, output) = before.rsplit_once(&typed)?;
            Some((output.trim_matches('\n').to_string(), code.parse().ok()?))
        };
        self.wait_until(&format!("the end of {command}"), || ended(&self.screen()).is_some());
        let (output, code) = ended(&self.screen()).expect("the marker was just found");
        Ran { output, code }
    }

    /// Waits until the program exits, and returns its exit code.
    #[track_caller]
    pub fn end(&mut self) -> u32 {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child process") {
                self.settle();
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "the program did not exit; the terminal shows\n{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of a program, which the test requires: a skipped test would hide faults.
pub fn program(name: &str) -> std::path::PathBuf {
    let places = ["/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin"];
    let found = places.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("this test needs the program {name}"))
}

/// The value of a variable in the test's own environment, which names an additional shell.
pub fn extra(variable: impl AsRef<OsStr>) -> Option<std::path::PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(Into::into)
}

//! A shell on a pseudo-terminal, driven as a person drives it.

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

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Wide enough that no line of a test wraps, high enough that none scrolls away.
const ROWS: u16 = 200;
const COLUMNS: u16 = 240;

/// What a command printed, and its exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub output: String,
    pub code: i32,
}

impl Ran {
    /// What a command that went well prints.
    pub fn well(output: &str) -> Ran {
        Ran { output: output.into(), code: 0 }
    }
}

/// Everything that the terminal showed so far.
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

/// A running program with a terminal of its own; ended when dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    shown: Arc<Shown>,
    asked: usize,
    /// How much was shown before the last answer.
    answered: usize,
    // Closing it hangs up.
    master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts a program in this environment and no other.
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
            // The end is an error on Linux.
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

    /// Presses keys.
    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).and_then(|()| self.keyboard.flush()).expect("the terminal takes keys");
    }

    /// Types a line and Enter.
    pub fn line(&mut self, line: &str) {
        self.keys(line);
        self.keys("\r");
    }

    /// How many keys the terminal has that no program has read, where it does not wait for the end of a line.
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

    /// What a person sees.
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

    /// The same, and looks all the time: for what has to be done in the moment in which it is shown.
    #[track_caller]
    pub fn wait_for_now(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.times(text) == 0 {
            assert!(Instant::now() < deadline, "waited in vain for {text:?}; the terminal shows\n{}", self.screen());
            thread::yield_now();
        }
    }

    /// Waits until a question is shown that was not answered before, and types the answer.
    #[track_caller]
    pub fn answer(&mut self, question: &str, answer: &str) {
        let from = self.answered;
        let is_shown = || String::from_utf8_lossy(&self.shown.bytes()[from..]).contains(question);
        self.wait_until(&format!("the question {question:?}"), is_shown);
        self.answered = self.shown.bytes().len();
        self.line(answer);
    }

    /// Waits until `text` was shown so often.
    #[track_caller]
    pub fn wait_for_times(&self, text: &str, times: usize) {
        self.wait_until(&format!("{text:?} {times} times"), || self.times(text) >= times);
    }

    /// Waits until a row of the screen is just this.
    #[track_caller]
    pub fn wait_for_row(&self, row: &str) {
        self.wait_until(&format!("the row {row:?}"), || self.screen().lines().any(|line| line == row));
    }

    /// Waits until it is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "waited in vain for {what}; the terminal shows\n{}", self.screen());
            let bytes = self.shown.bytes();
            drop(self.shown.more.wait_timeout(bytes, Duration::from_millis(20)));
        }
    }

    /// Waits until nothing has been shown for a while.
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

    /// Runs a command at the prompt of a shell and gives what it printed.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> Ran {
        self.asked += 1;
        let typed = format!(r"printf '<{}:%d>\n' $?", self.asked);
        // The end of the line that was typed looks otherwise than what it prints.
        let mark = format!("<{}:", self.asked);
        self.line(&format!("{command}; {typed}"));
        let ended = |screen: &str| {
            let (before, after) = screen.rsplit_once(&mark)?;
            let (code, _) = after.split_once('>')?;
            let (_, output) = before.rsplit_once(&typed)?;
            Some((output.trim_matches('\n').to_string(), code.parse().ok()?))
        };
        self.wait_until(&format!("the end of {command}"), || ended(&self.screen()).is_some());
        let (output, code) = ended(&self.screen()).expect("it has just been there");
        Ran { output, code }
    }

    /// Waits until the program has ended by itself, and gives its exit code.
    #[track_caller]
    pub fn end(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the program is ours") {
                self.settle();
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "it does not end; the terminal shows\n{}", self.screen());
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

/// Where a program is, for a test that needs it: one that is skipped says nothing.
pub fn program(name: &str) -> std::path::PathBuf {
    let places = ["/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin"];
    let found = places.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("this test needs the program {name}"))
}

/// The value of a variable of the test's own environment, for shells beside the machine's.
pub fn extra(variable: impl AsRef<OsStr>) -> Option<std::path::PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(Into::into)
}

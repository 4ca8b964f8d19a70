//! For all tests of the binary: a temporary home and a clean environment.

#![allow(dead_code)] // each test program uses its own part

pub mod loopback;

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;

/// The binary under test.
pub const RAXX: &str = env!("CARGO_BIN_EXE_raxx");

/// Longer than any command can take on a busy machine: a process that exceeds it hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A temporary home: raxx in it sees nothing of the user, the system's secret store, or the test's environment.
pub struct Sandbox {
    _root: TempDir,
    /// The real path: on macOS the temporary directory is behind a symlink.
    root: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        let temporary = tempfile::Builder::new().prefix("raxx-test-").tempdir().expect("a directory");
        let root = temporary.path().canonicalize().expect("its path");
        let mut sandbox = Sandbox { _root: temporary, root, env: Vec::new() };
        let bin = Path::new(RAXX).parent().expect("the binary's directory");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
        sandbox.env("PATH", path).env("LANG", "C.UTF-8").env("TERM", "dumb");
        for (name, directory) in [
            ("HOME", "home"),
            ("ZDOTDIR", "home"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_STATE_HOME", "home/.local/state"),
            ("XDG_DATA_HOME", "home/.local/share"),
            ("XDG_CACHE_HOME", "home/.cache"),
            ("XDG_RUNTIME_DIR", "run"),
            ("TMPDIR", "tmp"),
        ] {
            let directory = sandbox.path(directory);
            std::fs::create_dir_all(&directory).expect("a directory");
            std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).expect("its mode");
            sandbox.env(name, directory);
        }
        // No store, unless a test adds one.
        sandbox.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        sandbox
    }

    /// The directory that contains everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// raxx's state directory.
    pub fn state(&self) -> PathBuf {
        self.path("home/.local/state/raxx")
    }

    fn path(&self, under: &str) -> PathBuf {
        self.root().join(under)
    }

    /// Writes the configuration and points `RAXX_CONFIG` to it.
    pub fn config(&mut self, text: &str) -> &mut Sandbox {
        let file = self.path("config.toml");
        std::fs::write(&file, text).expect("the configuration");
        self.env("RAXX_CONFIG", file)
    }

    /// Sets a variable for everything started from here on.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Sandbox {
        self.unset(name.as_ref());
        self.env.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    pub fn unset(&mut self, name: impl AsRef<OsStr>) -> &mut Sandbox {
        self.env.retain(|(n, _)| n != name.as_ref());
        self
    }

    /// The whole environment, for programs started by other means (a pty).
    pub fn environment(&self) -> &[(OsString, OsString)] {
        &self.env
    }

    /// A program in this home and environment, which is killed if it hangs.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.env.iter().cloned()).current_dir(self.home()).timeout(TIMEOUT);
        command
    }

    /// The binary under test, in this home and environment.
    pub fn raxx(&self) -> Command {
        self.command(RAXX)
    }

    /// Runs `raxx ARGS` in a new session without a terminal. (With perl, because macOS has no `setsid`.)
    pub fn without_terminal(&self, args: &[&str]) -> Output {
        let mut command = self.command("perl");
        command.args(["-MPOSIX", "-e", "POSIX::setsid() > 0 or die; exec @ARGV or die", RAXX]).args(args);
        command.output().expect("perl starts")
    }

    /// Runs `raxx ARGS` to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.raxx().args(args).output().expect("raxx starts")
    }
}

/// The output of a program as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("raxx prints UTF-8")
}

//! The daily check: launchd, systemd and cron, or a parser, accept what raxx writes; installing twice is the same as once;
//! uninstalling leaves nothing behind; and the hourly run checks once a day.

mod cron;
mod due;
mod launchd;
mod systemd;
mod which;

use crate::support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

#[cfg(not(target_os = "macos"))]
use jiff::Timestamp;

use crate::snapshot::transcript;
use support::{RAXX, Sandbox, text};

const LABEL: &str = "app.raxx.session-bootstrap";
/// The channel that a configuration with its own credentials must set.
const SLACK: &str = "[alert.slack]\nchannel = \"#ops\"\n";
const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
const TOKEN: &str = "ghp_MadeUpForTheScheduleTests01234567cdef";

/// A stand-in for launchctl, as far as raxx uses it. `loaded` is the loaded agent; `no-bootstrap` and `busy` make it fail, and
/// `no-session` has the exit code for a machine without a GUI session.
const LAUNCHCTL: &str = r#"#!/bin/sh
cd "$FAKE" && echo "launchctl $*" >>calls
case $1 in
print)
    case $2 in */*/*) ;; *) test ! -e no-session || exit "$(cat no-session)" ;; esac
    test -e loaded ;;
bootout) rm loaded 2>/dev/null || { echo "Boot-out failed: 3: No such process" >&2; exit 3; } ;;
bootstrap)
    test ! -e no-bootstrap || { echo "Bootstrap failed: $(cat no-bootstrap): refused by the test" >&2; exit "$(cat no-bootstrap)"; }
    if test -s busy; then
        sed 1d busy >rest && mv rest busy
        echo "Bootstrap failed: 5: Input/output error" >&2
        exit 5
    fi
    test ! -e loaded || { echo "Bootstrap failed: 37: Operation already in progress" >&2; exit 37; }
    cp "$3" loaded ;;
esac
"#;

/// A stand-in for `systemctl --user`, as far as raxx uses it. It reaches a manager if the file `manager` exists.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd "$FAKE" && test -e manager || { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
units=$HOME/.config/systemd/user
shift
case $1 in
show) echo "/etc/systemd/user $units /usr/lib/systemd/user"; exit ;;
is-active) test -e active; exit ;;
is-enabled) test -e "$units/timers.target.wants/$3"; exit ;;
esac
echo "systemctl --user $*" >>calls
case $1 in
enable) mkdir -p "$units/timers.target.wants" && ln -sf "../$2" "$units/timers.target.wants/" ;;
restart)
    test ! -e no-restart || { echo "Failed to restart $2: refused by the test" >&2; exit 1; }
    cp "$units/$2" active ;;
disable) rm -f active "$units/timers.target.wants/$3" ;;
esac
"#;

/// A stand-in for Debian's crontab, which keeps it in a file. `refuse` has an error message to fail with.
const CRONTAB: &str = r#"#!/bin/sh
cd "$FAKE" && echo "crontab $*" >>calls
test ! -e refuse || { cat refuse >&2; exit 1; }
case $1 in
-l) cat crontab 2>/dev/null || { echo "no crontab for op" >&2; exit 1; } ;;
-r) rm crontab ;;
-) cat >new && mv new crontab ;;
esac
"#;

/// The user name that `id -un` prints, which systemd does not know.
const ID: &str = "#!/bin/sh\necho op-of-the-tests\n";

/// A snapshot of everything that ran on a machine since the last one.
macro_rules! session {
    ($machine:expr) => {
        $crate::snapshot::snapshot!($machine.sandbox, $machine.session())
    };
    ($machine:expr, $name:expr) => {
        $crate::snapshot::snapshot!($machine.sandbox, $name, $machine.session())
    };
}
use session;

/// A home whose PATH starts with stand-ins for the schedulers' programs.
struct Machine {
    /// The transcripts of the commands that ran.
    ran: Mutex<String>,
    /// A process with the name of a cron daemon, which runs as long as this value exists.
    daemon: std::process::Child,
    sandbox: Sandbox,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Machine {
    fn new() -> Machine {
        let mut sandbox = Sandbox::new();
        let bin = sandbox.root().join("bin");
        let fake = sandbox.root().join("fake");
        for directory in [&bin, &fake] {
            fs::create_dir(directory).expect("a directory");
        }
        for (name, script) in [("launchctl", LAUNCHCTL), ("systemctl", SYSTEMCTL), ("crontab", CRONTAB), ("id", ID)] {
            executable(&bin.join(name), script);
        }
        // PATH has no real systemctl or crontab; the programs that the stand-ins need are linked.
        for program in ["sh", "cat", "cp", "rm", "mv", "sed", "mkdir", "ln"] {
            let real = ["/bin", "/usr/bin"].map(|directory| Path::new(directory).join(program));
            let real = real.iter().find(|path| path.exists()).expect("every Unix has it");
            symlink(real, bin.join(program)).expect("a link");
        }
        symlink(RAXX, bin.join("raxx")).expect("a link");
        sandbox.env("PATH", &bin).env("FAKE", &fake).env("TZ", "UTC");
        // Without these, the units stay short; one test sets them.
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"] {
            sandbox.unset(name);
        }
        let crond = bin.join("crond");
        symlink("/bin/sleep", &crond).expect("a link");
        let daemon = std::process::Command::new(&crond).arg("600").spawn().expect("sleep starts");
        Machine { ran: Mutex::default(), daemon, sandbox }
    }

    fn bin(&self) -> PathBuf {
        self.sandbox.root().join("bin")
    }

    fn fake(&self, name: &str) -> PathBuf {
        self.sandbox.root().join("fake").join(name)
    }

    fn home(&self, under: &str) -> PathBuf {
        self.sandbox.home().join(under)
    }

    fn set(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.fake(name), text).expect("a file");
    }

    fn clear(&self, name: &str) {
        fs::remove_file(self.fake(name)).expect("it was there");
    }

    /// The calls to the schedulers' programs since the last call of this function.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.fake("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.fake("calls"));
        calls.lines().map(str::to_string).collect()
    }

    fn run(&self, line: &str) -> Output {
        self.run_as("raxx", line)
    }

    /// Runs raxx through this path.
    fn run_as(&self, program: impl AsRef<OsStr>, line: &str) -> Output {
        let out = self.sandbox.command(program).args(line.split(' ')).output().expect("raxx starts");
        self.record(line, &out);
        out
    }

    /// Adds a run of raxx to the next snapshot.
    fn record(&self, line: &str, out: &Output) {
        *self.ran.lock().expect("no test panics in it") += &transcript(&format!("raxx {line}"), out);
    }

    /// The commands that ran since the last call, without what differs between users and distributions.
    fn session(&self) -> String {
        let ran = std::mem::take(&mut *self.ran.lock().expect("no test panics in it"));
        ran.replace("service crond start", "service cron start").replace(&format!("gui/{}", uid()), "gui/[UID]")
    }

    /// Runs raxx, which must exit 0, and returns its stderr.
    fn succeeds(&self, line: &str) -> String {
        let out = self.run(line);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{line}: {said}");
        assert_eq!(text(&out.stdout), "", "{line}");
        said
    }

    /// Runs raxx, which must exit 2, and returns the error.
    fn refused(&self, line: &str) -> String {
        let out = self.run(line);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{line}: {said}");
        assert_eq!(text(&out.stdout), "", "{line}");
        let said = said.replace("\n      type: ", "; type: ");
        assert!(said.starts_with("raxx: ") && said.lines().count() == 1, "{said}");
        said.trim_end()["raxx: ".len()..].to_string()
    }

    fn printed(&self, line: &str) -> String {
        let out = self.run(line);
        assert_eq!(out.status.code(), Some(0), "{line}: {}", text(&out.stderr));
        text(&out.stdout)
    }

    fn status(&self) -> (i32, String) {
        let out = self.run("schedule status");
        assert_eq!(text(&out.stderr), "");
        (out.status.code().expect("it exits"), text(&out.stdout))
    }

    #[cfg(target_os = "linux")]
    /// A time zone file: an offset in seconds east of Greenwich, and optionally a later moment with another offset.
    fn zone(&self, offset: i32, then: Option<(Timestamp, i32)>) -> PathBuf {
        let header = |transitions: u32, types: u32| {
            let counts = [0, 0, 0, transitions, types, 7];
            [&b"TZif2"[..], &[0; 15], &counts.map(u32::to_be_bytes).concat()].concat()
        };
        let kind = |offset: i32| [&offset.to_be_bytes()[..], &[0, 0]].concat();
        let kinds = [kind(offset), kind(then.map_or(offset, |(_, later)| later))].concat();
        let mut bytes = [header(0, 1), kind(0), b"MADEUP\0".to_vec(), header(u32::from(then.is_some()), 2)].concat();
        if let Some((at, _)) = then {
            bytes.extend(at.as_second().to_be_bytes());
            bytes.push(1);
        }
        bytes.extend([&kinds[..], b"MADEUP\0\n\n"].concat());
        let file = self.sandbox.root().join("localtime");
        fs::write(&file, bytes).expect("a time zone");
        file
    }

    #[cfg(target_os = "linux")]
    /// Runs raxx in a mount namespace where `/etc/localtime` is this zone.
    fn run_in_zone(&self, zone: &Path, line: &str) -> Output {
        let script = "mount --bind \"$1\" /etc/localtime && shift && PATH=$1 && shift && exec \"$@\"";
        let mut command = self.sandbox.command(need("unshare", "util-linux"));
        command.args(spaces(&["--mount"])).args(["/bin/sh", "-c", script, "sh"]).arg(zone).arg(self.bin());
        command.env("PATH", "/usr/bin:/bin").arg("raxx").args(line.split(' '));
        let out = command.output().expect("unshare starts");
        self.record(line, &out);
        let said = text(&out.stderr);
        assert!(!said.contains("unshare:") && !said.contains("mount:"), "this test needs namespaces: {said}");
        out
    }

    /// Every file, link and directory of the home, with its contents.
    fn all_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.sandbox.home()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).expect("a directory").map(|e| e.expect("an entry")) {
                found.insert(entry.path(), fs::read(entry.path()).unwrap_or_default());
                if entry.file_type().expect("a type").is_dir() {
                    open.push(entry.path());
                }
            }
        }
        found
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

fn uid() -> String {
    let out = Command::new("id").arg("-u").output().expect("id");
    text(&out.stdout).trim().to_string()
}

#[cfg(target_os = "linux")]
/// Fails if the program is missing: a skipped test would hide faults in the scheduler code.
fn need(program: &str, package: &str) -> PathBuf {
    let found = ["/usr/bin", "/bin", "/usr/local/bin"].iter().map(|d| Path::new(d).join(program)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("this test needs {program}: install {package} (apt-get install {package})"))
}

#[cfg(target_os = "linux")]
/// The `unshare` arguments for these namespaces, which also work without root.
fn spaces<'a>(wanted: &[&'a str]) -> Vec<&'a str> {
    let root = uid() == "0";
    (!root).then_some("--map-root-user").into_iter().chain(wanted.iter().copied()).collect()
}

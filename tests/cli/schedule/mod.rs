//! The daily check: what is written for launchd, systemd and cron is read by themselves or by a parser, twice is once, nothing
//! is left behind; and the check that is started once an hour runs once a day.

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
/// The channel that a configuration with credentials of its own has to name.
const SLACK: &str = "[alert.slack]\nchannel = \"#ops\"\n";
const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
const TOKEN: &str = "ghp_MadeUpForTheScheduleTests01234567cdef";

/// What launchctl does, as far as raxx uses it. `loaded` is what is loaded; `no-bootstrap` and `busy` choose its manners, and
/// `nobody` is what it ends with if there is no session on the screen.
const LAUNCHCTL: &str = r#"#!/bin/sh
cd "$FAKE" && echo "launchctl $*" >>calls
case $1 in
print)
    case $2 in */*/*) ;; *) test ! -e nobody || exit "$(cat nobody)" ;; esac
    test -e loaded ;;
bootout) rm loaded 2>/dev/null || { echo "Boot-out failed: 3: No such process" >&2; exit 3; } ;;
bootstrap)
    test ! -e no-bootstrap || { echo "Bootstrap failed: $(cat no-bootstrap): as the test wants" >&2; exit "$(cat no-bootstrap)"; }
    if test -s busy; then
        sed 1d busy >rest && mv rest busy
        echo "Bootstrap failed: 5: Input/output error" >&2
        exit 5
    fi
    test ! -e loaded || { echo "Bootstrap failed: 37: Operation already in progress" >&2; exit 37; }
    cp "$3" loaded ;;
esac
"#;

/// What `systemctl --user` does, as far as raxx uses it: there is a manager where `manager` is.
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
    test ! -e no-restart || { echo "Failed to restart $2: as the test wants" >&2; exit 1; }
    cp "$units/$2" active ;;
disable) rm -f active "$units/timers.target.wants/$3" ;;
esac
"#;

/// Debian's crontab of somebody without one, in a file: `refuse` is what it says instead.
const CRONTAB: &str = r#"#!/bin/sh
cd "$FAKE" && echo "crontab $*" >>calls
test ! -e refuse || { cat refuse >&2; exit 1; }
case $1 in
-l) cat crontab 2>/dev/null || { echo "no crontab for op" >&2; exit 1; } ;;
-r) rm crontab ;;
-) cat >new && mv new crontab ;;
esac
"#;

/// The user that `id -un` names: one that systemd does not know.
const ID: &str = "#!/bin/sh\necho op-of-the-tests\n";

/// A snapshot of everything that was run on a machine since the last one.
macro_rules! session {
    ($machine:expr) => {
        $crate::snapshot::snapshot!($machine.sandbox, $machine.session())
    };
    ($machine:expr, $name:expr) => {
        $crate::snapshot::snapshot!($machine.sandbox, $name, $machine.session())
    };
}
use session;

/// A home whose PATH begins with stand-ins for the schedulers' programs.
struct Machine {
    /// The transcripts of what was run.
    ran: Mutex<String>,
    /// What is named like a cron daemon for as long as this lives.
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
        // No systemctl or crontab of the machine's own; what the stand-ins need is linked.
        for program in ["sh", "cat", "cp", "rm", "mv", "sed", "mkdir", "ln"] {
            let real = ["/bin", "/usr/bin"].map(|directory| Path::new(directory).join(program));
            let real = real.iter().find(|path| path.exists()).expect("every Unix has it");
            symlink(real, bin.join(program)).expect("a link");
        }
        symlink(RAXX, bin.join("raxx")).expect("a link");
        sandbox.env("PATH", &bin).env("FAKE", &fake).env("TZ", "UTC");
        // Not carried into the units, so that the tests see them short; one test sets them.
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

    /// What the schedulers' programs were called with since the last time.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.fake("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.fake("calls"));
        calls.lines().map(str::to_string).collect()
    }

    fn run(&self, line: &str) -> Output {
        self.run_as("raxx", line)
    }

    /// Runs raxx by this path.
    fn run_as(&self, program: impl AsRef<OsStr>, line: &str) -> Output {
        let out = self.sandbox.command(program).args(line.split(' ')).output().expect("raxx starts");
        self.record(line, &out);
        out
    }

    /// Adds a run of raxx to the next snapshot.
    fn record(&self, line: &str, out: &Output) {
        *self.ran.lock().expect("no test panics in it") += &transcript(&format!("raxx {line}"), out);
    }

    /// What was run since the last time, without what differs between users and distributions.
    fn session(&self) -> String {
        let ran = std::mem::take(&mut *self.ran.lock().expect("no test panics in it"));
        ran.replace("service crond start", "service cron start").replace(&format!("gui/{}", uid()), "gui/[UID]")
    }

    /// Runs raxx, which exits 0, and returns what it prints to stderr.
    fn well(&self, line: &str) -> String {
        let out = self.run(line);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{line}: {said}");
        assert_eq!(text(&out.stdout), "", "{line}");
        said
    }

    /// Runs raxx, which exits 2, and returns the error.
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
    /// A time zone as the system keeps them: so many seconds east of Greenwich, and from a moment on so many.
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
    /// raxx, where the machine's own clock is in this zone: in a name space in which it is `/etc/localtime`.
    fn elsewhere(&self, zone: &Path, line: &str) -> Output {
        let script = "mount --bind \"$1\" /etc/localtime && shift && PATH=$1 && shift && exec \"$@\"";
        let mut command = self.sandbox.command(need("unshare", "util-linux"));
        command.args(spaces(&["--mount"])).args(["/bin/sh", "-c", script, "sh"]).arg(zone).arg(self.bin());
        command.env("PATH", "/usr/bin:/bin").arg("raxx").args(line.split(' '));
        let out = command.output().expect("unshare starts");
        self.record(line, &out);
        let said = text(&out.stderr);
        assert!(!said.contains("unshare:") && !said.contains("mount:"), "this test needs name spaces: {said}");
        out
    }

    /// Every file, link and directory of the home, with its bytes.
    fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
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
/// A test that cannot run fails: one that is skipped says nothing about the scheduler.
fn need(program: &str, package: &str) -> PathBuf {
    let found = ["/usr/bin", "/bin", "/usr/local/bin"].iter().map(|d| Path::new(d).join(program)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("this test needs {program}: install {package} (apt-get install {package})"))
}

#[cfg(target_os = "linux")]
/// What makes `unshare` give these name spaces, also to somebody who is not root.
fn spaces<'a>(wanted: &[&'a str]) -> Vec<&'a str> {
    let root = uid() == "0";
    (!root).then_some("--map-root-user").into_iter().chain(wanted.iter().copied()).collect()
}

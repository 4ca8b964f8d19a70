//! The daily check: what is written for launchd, systemd and cron is read by themselves or by a parser, twice is once, nothing
//! is left behind; and the check that is started once an hour runs once a day.

use crate::support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use plist::Value as Plist;
use serde_json::{Value, json};

use support::loopback::{Answer, ClosedPort, Loopback};
use support::{RAXX, Sandbox, text};

const LABEL: &str = "app.raxx.session-bootstrap";
/// The channel that a configuration with credentials of its own has to name.
const SLACK: &str = "[alert.slack]\nchannel = \"#ops\"\n";
const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
const TOKEN: &str = "ghp_MadeUpForTheScheduleTests01234567cdef";

/// What launchctl does, as far as raxx uses it. `loaded` is what is loaded; `refuse` and `busy` choose its manners, and
/// `nobody` is what it ends with if there is no session on the screen.
const LAUNCHCTL: &str = r#"#!/bin/sh
cd "$FAKE" && echo "launchctl $*" >>calls
case $1 in
print)
    case $2 in */*/*) ;; *) test ! -e nobody || exit "$(cat nobody)" ;; esac
    test -e loaded ;;
bootout) rm loaded 2>/dev/null || { echo "Boot-out failed: 3: No such process" >&2; exit 3; } ;;
bootstrap)
    test ! -e refuse || { echo "Bootstrap failed: $(cat refuse): as the test wants" >&2; exit "$(cat refuse)"; }
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
    test ! -e refuse || { echo "Failed to restart $2: as the test wants" >&2; exit 1; }
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

/// A home whose PATH begins with stand-ins for the schedulers' programs.
struct Machine {
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
        for (name, script) in [("launchctl", LAUNCHCTL), ("systemctl", SYSTEMCTL), ("crontab", CRONTAB)] {
            executable(&bin.join(name), script);
        }
        // No systemctl or crontab of the machine's own; what the stand-ins need is linked.
        for program in ["sh", "cat", "cp", "rm", "mv", "sed", "mkdir", "ln", "id"] {
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
        Machine { daemon, sandbox }
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
        self.sandbox.command("raxx").args(line.split(' ')).output().expect("raxx starts")
    }

    /// It goes well and says this on stderr.
    fn well(&self, line: &str) -> String {
        let out = self.run(line);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{line}: {said}");
        assert_eq!(text(&out.stdout), "", "{line}");
        said
    }

    /// It is refused with one line.
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

// ---- launchd ----------------------------------------------------------------------------------------------------------

fn plist(text: &str) -> plist::Dictionary {
    let value = Plist::from_reader_xml(text.as_bytes()).expect("a property list");
    value.into_dictionary().expect("a dictionary")
}

/// The fields that are to be there, all of them.
fn fields(home: &Path, program: &Path, due: &str, minute: i64) -> plist::Dictionary {
    let string = |s: &str| Plist::String(s.into());
    let path = |p: &Path| string(p.to_str().expect("UTF-8"));
    let log = home.join("Library/Logs/raxx/check.log");
    let mut interval = plist::Dictionary::new();
    interval.insert("Minute".into(), minute.into());
    let mut all = plist::Dictionary::new();
    all.insert("Label".into(), string(LABEL));
    let arguments = [path(program), string("check"), string("--alert"), string("--if-due"), string(due)];
    all.insert("ProgramArguments".into(), Plist::Array(arguments.to_vec()));
    all.insert("StartCalendarInterval".into(), Plist::Dictionary(interval));
    all.insert("RunAtLoad".into(), true.into());
    all.insert("StandardOutPath".into(), path(&log));
    all.insert("StandardErrorPath".into(), path(&log));
    all
}

fn sorted(dictionary: plist::Dictionary) -> BTreeMap<String, Plist> {
    dictionary.into_iter().collect()
}

#[test]
fn the_property_list_is_right_field_by_field() {
    let machine = Machine::new();
    let before = machine.everything();
    let text = machine.printed("schedule install --print --via launchd");
    let wanted = fields(&machine.sandbox.home(), &machine.bin().join("raxx"), "08:00Z", 0);
    assert_eq!(sorted(plist(&text)), sorted(wanted));
    assert_eq!(machine.calls(), [""; 0], "nothing is done");
    assert_eq!(machine.everything(), before, "nothing is written");

    let text = machine.printed("schedule install --print --via launchd --at 17:45 --local");
    let wanted = fields(&machine.sandbox.home(), &machine.bin().join("raxx"), "17:45", 45);
    assert_eq!(sorted(plist(&text)), sorted(wanted));
}

#[cfg(target_os = "linux")]
#[test]
fn a_zone_with_half_an_hour_looks_at_the_half_hour() {
    let machine = Machine::new();
    let india = machine.zone(330 * 60, None);
    let out = machine.elsewhere(&india, "schedule install --print --via launchd");
    let wanted = fields(&machine.sandbox.home(), &machine.bin().join("raxx"), "08:00Z", 30);
    assert_eq!(sorted(plist(&text(&out.stdout))), sorted(wanted), "{}", text(&out.stderr));
}

/// A terminal's `TZ` is unknown to whoever starts the check, so it counts nowhere: neither when it is written down, nor when
/// it is due, nor in what is said of it.
#[cfg(target_os = "linux")]
#[test]
fn the_time_is_that_of_the_machines_clock_whatever_tz_says() {
    let mut machine = Machine::new();
    let five_west = machine.zone(-5 * 3600, None);
    machine.sandbox.env("TZ", "Asia/Kolkata");
    let out = machine.elsewhere(&five_west, "schedule install --via cron --local --at 08:10");
    let said = text(&out.stderr);
    assert!(out.status.success(), "{said}");
    let note = "raxx: warning: TZ counts in this shell alone: the time is that of this machine's clock, which shows ";
    assert_eq!(said.matches(note).count(), 1, "{said}");
    let crontab = fs::read_to_string(machine.fake("crontab")).expect("a crontab");
    assert!(crontab.contains("\n10 * * * * ") && crontab.contains("--if-due 08:10\n"), "{crontab}");
    assert!(!crontab.contains("TZ"), "{crontab}");
    let next = |tz: &str, machine: &mut Machine| {
        machine.sandbox.env("TZ", tz);
        let said = text(&machine.elsewhere(&five_west, "schedule status").stdout);
        let line = said.lines().find_map(|line| line.strip_prefix("next run:  ")).expect("a time");
        line.to_string()
    };
    let (there, here) = (next("Asia/Kolkata", &mut machine), next("UTC", &mut machine));
    assert!(there.contains(" 08:10 MADEUP ("), "{there}");
    assert_eq!(there.split(" (").next(), here.split(" (").next());

    let out = machine.elsewhere(&five_west, "schedule install --via cron --at 08:10");
    assert!(!text(&out.stderr).contains("TZ"), "UTC is UTC everywhere: {}", text(&out.stderr));
}

#[test]
fn names_that_xml_would_read_otherwise_and_what_raxx_needs_to_find_its_files_survive() {
    let mut machine = Machine::new();
    let odd = machine.sandbox.root().join("a & <b> \"c\" 'd' 50% $e ü");
    fs::create_dir(&odd).expect("a directory");
    symlink(RAXX, odd.join("raxx")).expect("a link");
    machine.sandbox.config("timeout = \"5s\"\n");
    machine
        .sandbox
        .env("INFISICAL_DOMAIN", "https://vault.example.com/?a&b")
        .env("HTTPS_PROXY", "http://me:pw@proxy:1");
    let mut command = machine.sandbox.command(odd.join("raxx"));
    let out = command.args(["schedule", "install", "--print", "--via", "launchd"]).output().expect("raxx starts");
    let dictionary = plist(&text(&out.stdout));
    let program = dictionary["ProgramArguments"].as_array().expect("an array")[0].as_string().expect("a string");
    assert_eq!(program, odd.join("raxx").to_str().expect("UTF-8"));
    let carried = dictionary["EnvironmentVariables"].as_dictionary().expect("a dictionary");
    let carried: BTreeMap<&str, &str> =
        carried.iter().map(|(k, v)| (k.as_str(), v.as_string().expect("a string"))).collect();
    let config = machine.sandbox.root().join("config.toml");
    let wanted =
        [("INFISICAL_DOMAIN", "https://vault.example.com/?a&b"), ("RAXX_CONFIG", config.to_str().expect("UTF-8"))];
    assert_eq!(carried, BTreeMap::from(wanted));
    let said = text(&out.stderr);
    assert!(said.contains("HTTPS_PROXY has a password in it"), "{said}");
    assert!(!said.contains("me:pw"), "{said}");
    machine.sandbox.env("INFISICAL_DOMAIN", "https://me:pw@vault.example.com");
    for scheduler in ["launchd", "systemd", "cron"] {
        let out = machine.run(&format!("schedule install --print --via {scheduler}"));
        assert!(text(&out.stderr).contains("INFISICAL_DOMAIN has a password in it"), "{}", text(&out.stderr));
        assert!(!text(&out.stdout).contains("me:pw"), "{}", text(&out.stdout));
    }
}

#[test]
fn a_launchd_agent_is_installed_once_changed_and_taken_out() {
    let machine = Machine::new();
    // Every Mac has them.
    for directory in ["Library/LaunchAgents", "Library/Logs"] {
        fs::create_dir_all(machine.home(directory)).expect("a directory");
    }
    let before = machine.everything();
    let file = machine.home(&format!("Library/LaunchAgents/{LABEL}.plist"));
    let (gui, uid) = (format!("gui/{}", uid()), uid());
    let target = format!("{gui}/{LABEL}");

    let said = machine.well("schedule install --via launchd");
    assert!(said.starts_with("raxx: the daily check is installed: launchd agent, every day at 08:00 UTC\n"), "{said}");
    let load = [
        format!("launchctl bootout {target}"),
        format!("launchctl enable {target}"),
        format!("launchctl bootstrap gui/{uid} {}", file.display()),
    ];
    let calls: Vec<String> = machine.calls().into_iter().filter(|c| c.starts_with("launchctl")).collect();
    assert_eq!(calls, load);
    let written = fs::read_to_string(&file).expect("it is written");
    let wanted = fields(&machine.sandbox.home(), &machine.bin().join("raxx"), "08:00Z", 0);
    assert_eq!(sorted(plist(&written)), sorted(wanted));
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o644);
    assert!(machine.home("Library/Logs/raxx").is_dir(), "launchd does not make it");

    let once = machine.everything();
    let said = machine.well("schedule install --via launchd");
    assert!(said.contains("installed already"), "{said}");
    assert_eq!(machine.everything(), once);
    let calls: Vec<String> = machine.calls().into_iter().filter(|c| c.starts_with("launchctl")).collect();
    assert_eq!(calls, [format!("launchctl print {target}")]);

    machine.set("busy", "once\ntwice\n");
    machine.well("schedule install --via launchd --at 9:30");
    let loaded = fs::read_to_string(machine.fake("loaded")).expect("it is loaded");
    let wanted = fields(&machine.sandbox.home(), &machine.bin().join("raxx"), "09:30Z", 30);
    assert_eq!(sorted(plist(&loaded)), sorted(wanted), "it is loaded in its new form, when the old one is gone");

    fs::write(machine.home("Library/Logs/raxx/check.log"), "a line\n").expect("a log");
    let said = machine.well("schedule uninstall");
    assert_eq!(said, "raxx: the daily check is removed: launchd agent\n");
    assert!(!machine.fake("loaded").exists());
    assert_eq!(machine.everything(), before);
    assert!(!machine.home("Library/Logs/raxx").exists());
    assert_eq!(machine.well("schedule uninstall"), "raxx: the daily check is not installed\n");
}

#[test]
fn an_agent_whose_file_is_deleted_by_hand_is_taken_out_all_the_same() {
    let machine = Machine::new();
    machine.well("schedule install --via launchd");
    fs::remove_file(machine.home(&format!("Library/LaunchAgents/{LABEL}.plist"))).expect("the file");
    assert_eq!(machine.well("schedule uninstall"), "raxx: the daily check is removed: launchd agent\n");
    assert!(!machine.fake("loaded").exists(), "launchd goes on with it");
    assert_eq!(machine.well("schedule uninstall"), "raxx: the daily check is not installed\n");
}

#[test]
fn an_agent_that_launchd_does_not_take_is_not_left_behind() {
    let machine = Machine::new();
    machine.set("refuse", "5");
    let said = machine.refused("schedule install --via launchd");
    assert_eq!(said, "launchctl bootstrap: Bootstrap failed: 5: as the test wants");
    assert!(!machine.home(&format!("Library/LaunchAgents/{LABEL}.plist")).exists());
    assert!(!machine.sandbox.state().exists(), "what was not installed is not remembered either");
    machine.clear("refuse");

    // Nobody is logged in on the screen.
    machine.set("refuse", "125");
    let said = machine.well("schedule install --via launchd");
    assert!(said.contains("begins with the next log-in"), "{said}");
    assert!(machine.home(&format!("Library/LaunchAgents/{LABEL}.plist")).exists());
    let (code, said) = machine.status();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("launchd has not loaded it"), "{said}");
}

#[test]
fn without_a_session_on_the_screen_the_agent_waits_for_one() {
    // Versions of macOS differ in how they say it.
    for (refuse, nobody) in [("5", "112"), ("5", "113"), ("5", "125"), ("112", "112"), ("113", "1"), ("125", "1")] {
        let machine = Machine::new();
        machine.set("refuse", refuse);
        machine.set("nobody", nobody);
        let said = machine.well("schedule install --via launchd");
        assert!(said.contains("nobody is logged in on this Mac's screen"), "{refuse}, {nobody}: {said}");
        assert!(machine.home(&format!("Library/LaunchAgents/{LABEL}.plist")).exists(), "{refuse}, {nobody}");
        let tries = machine.calls().iter().filter(|call| call.starts_with("launchctl bootstrap")).count();
        assert_eq!(tries, 1, "{refuse}, {nobody}");
        if nobody != "1" {
            let (code, said) = machine.status();
            assert!(code == 1 && said.contains("begins with the next log-in there"), "{said}");
        }
        let said = machine.well("schedule install --via launchd");
        assert!(said.contains("installed already"), "{said}");
    }
}

#[test]
fn what_macos_keeps_from_an_agent_is_named() {
    let machine = Machine::new();
    let said = machine.well("schedule install --via launchd");
    assert!(!said.contains("Full Disk Access"), "{said}");
    machine.well("schedule uninstall");
    for (folder, link) in [("Documents", ".local"), ("Library/Mobile Documents/dotfiles", ".local/state")] {
        let machine = Machine::new();
        let (real, link) = (machine.home(folder).join("own"), machine.home(link));
        fs::create_dir_all(&real).expect("a directory");
        fs::create_dir_all(link.parent().expect("a parent")).expect("a directory");
        _ = fs::remove_dir_all(&link);
        symlink(&real, &link).expect("a link");
        let said = machine.well("schedule install --via launchd");
        let folder = machine.home(folder.trim_end_matches("/dotfiles"));
        assert!(said.contains(&format!("/raxx is in {}, which macOS may not let", folder.display())), "{said}");
    }
}

// ---- systemd ----------------------------------------------------------------------------------------------------------

/// Splits what `--print` shows into files, by their names.
fn units(printed: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for part in printed.split("# /").skip(1) {
        let (path, text) = part.split_once('\n').expect("a path");
        files.insert(
            Path::new(path).file_name().expect("a name").to_str().expect("UTF-8").to_string(),
            text.to_string(),
        );
    }
    files
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_units_are_right_line_by_line() {
    let machine = Machine::new();
    let before = machine.everything();
    let files = units(&machine.printed("schedule install --print --via systemd"));
    let service = &files["raxx-session-bootstrap.service"];
    let timer = &files["raxx-session-bootstrap.timer"];
    let start = format!("ExecStart=:\"{}\" check --alert --if-due 08:00Z", machine.bin().join("raxx").display());
    let description = "Description=raxx: the daily check of the API tokens";
    assert_eq!(lines(service), ["[Unit]", description, "[Service]", "Type=oneshot", &start, "TimeoutStartSec=30min"]);
    let when = format!("{description} at 08:00 UTC: once an hour raxx looks whether it is due");
    let timing = ["[Unit]", &when, "[Timer]", "OnCalendar=*-*-* *:00:00 UTC", "Persistent=true"];
    assert_eq!(lines(timer), [&timing[..], &["[Install]", "WantedBy=timers.target"]].concat());
    assert_eq!(machine.everything(), before, "nothing is written");

    let local = units(&machine.printed("schedule install --print --via systemd --at 7:05 --local"));
    assert!(lines(&local["raxx-session-bootstrap.timer"]).contains(&"OnCalendar=*-*-* *:05:00"));
    assert!(local["raxx-session-bootstrap.service"].contains(" check --alert --if-due 07:05\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_takes_the_units_whatever_the_path() {
    let analyze = need("systemd-analyze", "systemd");
    let mut machine = Machine::new();
    let odd = machine.sandbox.root().join("a b 50% %h $HOME ${x} ; ü");
    fs::create_dir(&odd).expect("a directory");
    symlink(RAXX, odd.join("raxx")).expect("a link");
    machine.sandbox.env("RAXX_CONFIG", odd.join("config.toml"));
    let verify = |machine: &Machine, directory: &Path| {
        let mut command = machine.sandbox.command(&analyze);
        command.arg("verify").arg("--user").env("PATH", "/usr/bin:/bin");
        for unit in ["raxx-session-bootstrap.service", "raxx-session-bootstrap.timer"] {
            command.arg(directory.join(unit));
        }
        command.output().expect("systemd-analyze starts")
    };
    let written = |command: &mut assert_cmd::Command| {
        let out = command.args(["schedule", "install", "--print", "--via", "systemd"]).output().expect("raxx starts");
        let directory = machine.sandbox.root().join("units");
        let _ = fs::create_dir(&directory);
        for (name, text) in units(&text(&out.stdout)) {
            fs::write(directory.join(name), text).expect("a unit");
        }
        directory
    };
    for mut command in [machine.sandbox.command("raxx"), machine.sandbox.command(odd.join("raxx"))] {
        let directory = written(&mut command);
        let out = verify(&machine, &directory);
        let said = format!("{}{}", text(&out.stdout), text(&out.stderr));
        assert!(out.status.success() && !said.contains("raxx-session-bootstrap"), "{said}");
    }
    // It takes no quotes there, however they are written.
    machine.sandbox.unset("RAXX_CONFIG");
    let quote = machine.sandbox.root().join("it's");
    fs::create_dir(&quote).expect("a directory");
    symlink(RAXX, quote.join("raxx")).expect("a link");
    let mut command = machine.sandbox.command(quote.join("raxx"));
    let out = command.args(["schedule", "install", "--via", "systemd"]).output().expect("raxx starts");
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("with a quote or a backslash in its path"), "{}", text(&out.stderr));
    // That it would have said so: a program that is not there.
    fs::remove_file(odd.join("raxx")).expect("the link");
    let out = verify(&machine, &machine.sandbox.root().join("units"));
    assert!(text(&out.stderr).contains("not executable"), "{}", text(&out.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_looks_at_the_time_of_utc_wherever_the_machine_is() {
    let analyze = need("systemd-analyze", "systemd");
    let machine = Machine::new();
    let files = units(&machine.printed("schedule install --print --via systemd --at 08:15"));
    let timer = &files["raxx-session-bootstrap.timer"];
    let calendar = timer.lines().find_map(|line| line.strip_prefix("OnCalendar=")).expect("a time");
    for zone in ["UTC", "America/New_York", "Asia/Kolkata"] {
        let mut command = machine.sandbox.command(&analyze);
        // New York's clocks go back on the first of November.
        command.args(["calendar", "--base-time=2026-10-31 00:00:00 UTC", "--iterations=60", calendar]).env("TZ", zone);
        let out = command.output().expect("systemd-analyze starts");
        let said = text(&out.stdout);
        for hour in 0..24 {
            assert!(said.contains(&format!("2026-11-01 {hour:02}:15:00 UTC")), "{zone}: {said}");
        }
    }
}

#[test]
fn a_systemd_timer_is_installed_once_changed_and_taken_out() {
    let machine = Machine::new();
    machine.set("manager", "");
    let before = machine.everything();
    let units = machine.home(".config/systemd/user");
    let timer = "raxx-session-bootstrap.timer";

    let said = machine.well("schedule install");
    assert!(
        said.starts_with("raxx: the daily check is installed: systemd user timer, every day at 08:00 UTC\n"),
        "{said}"
    );
    let started = [format!("systemctl --user enable {timer}"), format!("systemctl --user restart {timer}")];
    let systemctl = |calls: Vec<String>| calls.into_iter().filter(|c| c.starts_with("systemctl")).collect::<Vec<_>>();
    assert_eq!(systemctl(machine.calls()), [&["systemctl --user daemon-reload".to_string()][..], &started].concat());
    let once = machine.everything();

    let said = machine.well("schedule install");
    assert!(said.contains("installed already"), "{said}");
    assert_eq!(machine.everything(), once);
    assert_eq!(systemctl(machine.calls()), [""; 0]);

    machine.well("schedule install --at 21:00");
    assert_eq!(fs::read(machine.fake("active")).unwrap(), fs::read(units.join(timer)).unwrap(), "with its new time");
    let (code, said) = machine.status();
    assert!(said.starts_with("installed: systemd user timer, every day at 21:00 UTC ("), "{said}");
    assert_eq!(code, 0, "{said}");

    // What systemd itself notes of a persistent timer.
    let stamp = machine.home(".local/share/systemd/timers/stamp-raxx-session-bootstrap.timer");
    fs::create_dir_all(stamp.parent().expect("a directory")).expect("a directory");
    fs::write(&stamp, "").expect("a stamp");
    machine.well("schedule uninstall");
    assert!(!machine.fake("active").exists());
    assert_eq!(machine.everything(), before);
}

#[test]
fn a_timer_that_does_not_start_is_not_left_behind() {
    let machine = Machine::new();
    machine.set("manager", "");
    machine.set("refuse", "");
    let before = machine.everything();
    let said = machine.refused("schedule install");
    assert!(said.starts_with("systemctl --user restart: Failed to restart"), "{said}");
    assert_eq!(machine.everything(), before);
}

#[test]
fn without_a_manager_the_way_by_cron_is_named() {
    let machine = Machine::new();
    let before = machine.everything();
    assert_eq!(
        machine.refused("schedule install --via systemd"),
        "systemctl --user daemon-reload: Failed to connect to bus: No medium found; type: raxx schedule install --via cron"
    );
    assert_eq!(machine.everything(), before);
}

#[test]
fn a_timer_whose_units_are_deleted_by_hand_is_taken_out_all_the_same() {
    let machine = Machine::new();
    machine.set("manager", "");
    let before = machine.everything();
    machine.well("schedule install");
    for unit in ["service", "timer"] {
        let file = machine.home(".config/systemd/user").join(format!("raxx-session-bootstrap.{unit}"));
        fs::remove_file(file).expect("the unit");
    }
    assert_eq!(machine.well("schedule uninstall"), "raxx: the daily check is removed: systemd user timer\n");
    assert!(!machine.fake("active").exists(), "the timer goes on");
    assert_eq!(machine.everything(), before);
    assert_eq!(machine.well("schedule uninstall"), "raxx: the daily check is not installed\n");
}

/// A manager of its own, in name spaces of its own: nothing of it is left when the script ends.
#[cfg(target_os = "linux")]
const MANAGER: &str = r#"
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
# Where the machine has no cgroups to give, a directory does.
mount -t tmpfs tmpfs /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup || true
for systemd in /usr/lib/systemd/systemd /lib/systemd/systemd; do test -x $systemd && break; done
$systemd --user >/dev/null 2>&1 &
tries=0
until systemctl --user is-system-running --quiet || test $((tries += 1)) -gt 100; do sleep 0.1; done
next() { echo "$1 $(systemctl --user show raxx-session-bootstrap.timer --property=NextElapseUSecRealtime --value)"; }
raxx schedule install && next first
raxx schedule install && next second
raxx schedule install --at 23:15 && next third
# As if it had been installed long ago: it is due, once.
rm "$XDG_STATE_HOME/raxx/schedule.json"
systemctl --user start raxx-session-bootstrap.service
systemctl --user start raxx-session-bootstrap.service
raxx schedule status && echo well
raxx schedule uninstall && next after
echo "enabled: $(systemctl --user is-enabled raxx-session-bootstrap.timer 2>/dev/null)"
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_real_manager_takes_starts_and_forgets_the_timer() {
    need("systemd-analyze", "systemd");
    let unshare = need("unshare", "util-linux");
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = Sandbox::new();
    let text_of = support::loopback::config(&server.url());
    sandbox.config(&format!(
        "{text_of}enabled = false\n{SLACK}[[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\n"
    ));
    // The test's own variables are to reach the service, but not raxx's paths: it has those in the unit.
    sandbox.env("XDG_RUNTIME_DIR", "/run/raxx-test").unset("DBUS_SESSION_BUS_ADDRESS").env("TZ", "UTC");
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        sandbox.unset(name);
    }
    sandbox.env(NAME, TOKEN);
    let spaces = spaces(&["--mount", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    let run = |script: &str| {
        sandbox.command(&unshare).args(&spaces).args(["sh", "-c", script]).output().expect("unshare starts")
    };
    let can = run("mount -t tmpfs tmpfs /run");
    let why = "this test needs name spaces, for a manager of its own: run it as root, or let users make them";
    assert!(can.status.success(), "{why}: {}", text(&can.stderr));
    let out = run(MANAGER);
    let (said, complaints) = (text(&out.stdout), text(&out.stderr));
    let line = |word: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(word));
        found.unwrap_or_else(|| panic!("no {word}: {said}{complaints}")).trim().to_string()
    };
    assert!(line("first").ends_with(":00:00 UTC"), "{said}");
    assert_eq!(line("first"), line("second"));
    assert!(complaints.contains("installed already"), "{complaints}");
    assert!(line("third").ends_with(":15:00 UTC"), "{said}");
    assert!(line("last run:").ends_with("(just now) — 1 PASS"), "{said}{complaints}");
    assert_eq!(line("well"), "");
    assert!(line("next run:").contains(" 23:15 UTC (in "), "{said}");
    assert_eq!(server.attempts(TOKEN), 1, "once a day, however often it is started: {said}{complaints}");
    assert_eq!(line("after"), "", "{said}");
    assert_eq!(line("enabled:"), "");
    for under in [".config/systemd", ".local/share/systemd"] {
        assert!(!sandbox.home().join(under).exists(), "{under} is left");
    }
}

// ---- cron -------------------------------------------------------------------------------------------------------------

const FOREIGN: &[u8] =
    b"# mine\nMAILTO=op@example.com\nPATH=/usr/bin:/bin\n\n*/5 * * * * tar \\% >/dev/null # \xff\xfe\n\t\n@daily  x\n";

#[test]
fn a_line_of_the_crontab_is_written_once_changed_and_taken_out() {
    let machine = Machine::new();
    let before = machine.everything();
    machine.set("crontab", FOREIGN);
    let said = machine.well("schedule install");
    assert!(said.starts_with("raxx: the daily check is installed: crontab, every day at 08:00 UTC\n"), "{said}");
    let crontab = || fs::read(machine.fake("crontab")).expect("a crontab");
    let line = format!("0 * * * * {} check --alert --if-due 08:00Z", machine.bin().join("raxx").display());
    let once = crontab();
    let ours = text(once.strip_prefix(FOREIGN).expect("foreign lines stay as they are"));
    assert_eq!(ours.lines().nth(1), Some(&line[..]));
    assert_eq!(ours.lines().count(), 3);

    let said = machine.well("schedule install");
    assert!(said.contains("installed already"), "{said}");
    assert_eq!(crontab(), once);

    // A line of the person's own behind raxx's stays there when the time changes.
    machine.set("crontab", [&once, &b"@reboot y\n"[..]].concat());
    machine.well("schedule install --at 06:40 --local");
    let changed = crontab();
    assert!(changed.starts_with(FOREIGN) && changed.ends_with(b"# <<< raxx <<<\n@reboot y\n"));
    let (_, said) = machine.status();
    assert!(said.starts_with("installed: crontab, every day at 06:40 local time (crontab -l)\n"), "{said}");

    assert_eq!(machine.well("schedule uninstall"), "raxx: the daily check is removed: crontab\n");
    assert_eq!(crontab(), [FOREIGN, b"@reboot y\n"].concat());
    assert_eq!(machine.everything(), before);
}

#[test]
fn who_had_no_crontab_has_none_after() {
    let machine = Machine::new();
    machine.well("schedule install");
    assert!(machine.fake("crontab").exists());
    machine.well("schedule uninstall");
    assert!(!machine.fake("crontab").exists());
}

#[test]
fn a_path_that_cron_would_read_otherwise_is_refused() {
    // cron takes the backslash from `\%`, and ends the command at `\\%`.
    let machine = Machine::new();
    let odd = machine.sandbox.root().join("50\\%");
    fs::create_dir(&odd).expect("a directory");
    symlink(RAXX, odd.join("raxx")).expect("a link");
    let mut command = machine.sandbox.command(odd.join("raxx"));
    let out = command.args(["schedule", "install", "--via", "cron"]).output().expect("raxx starts");
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("cron holds no backslash: "), "{}", text(&out.stderr));
    assert!(!machine.fake("crontab").exists() && !machine.sandbox.state().exists());
}

#[test]
fn a_crontab_that_is_not_understood_is_not_touched() {
    let machine = Machine::new();
    let broken = b"# >>> raxx >>> by hand\n0 8 * * * mine\n";
    machine.set("crontab", broken);
    for line in ["schedule install", "schedule uninstall"] {
        let said = machine.refused(line);
        assert!(said.contains("do not make one block"), "{said}");
        assert_eq!(fs::read(machine.fake("crontab")).unwrap(), broken);
    }
    machine.set("crontab", FOREIGN);
    machine.set("refuse", "crontab: you are not allowed to use this program\n");
    let said = machine.refused("schedule install");
    assert_eq!(said, "crontab -l: crontab: you are not allowed to use this program");
    assert_eq!(fs::read(machine.fake("crontab")).unwrap(), FOREIGN);
}

#[cfg(target_os = "linux")]
/// The machine's own crontab program, in name spaces in which cron's directory is another one: it never sees the crontab of
/// whoever runs this test, whatever becomes of the test.
struct RealCrontab {
    /// A script, to be called as `crontab` is.
    script: PathBuf,
}

#[cfg(target_os = "linux")]
impl RealCrontab {
    fn new(machine: &Machine) -> RealCrontab {
        let spool = machine.sandbox.root().join("spool");
        fs::create_dir_all(spool.join("crontabs")).expect("a directory");
        let (crontab, unshare) = (need("crontab", "cron"), need("unshare", "util-linux"));
        // Somebody who is not root is root in there.
        let inner =
            format!("mount --bind {} /var/spool/cron && exec {} -u root \"$@\"", spool.display(), crontab.display());
        let spaces = spaces(&["--mount"]).join(" ");
        let script = machine.bin().join("crontab");
        let text = format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin:/usr/sbin:/sbin\nexec {} {spaces} sh -c '{inner}' crontab \"$@\"\n",
            unshare.display()
        );
        executable(&script, &text);
        let real = RealCrontab { script };
        let out = real.call("-l", b"");
        let why =
            "this test needs name spaces, so as not to touch your crontab: run it as root, or let users make them";
        assert!(support::text(&out.stderr).contains("no crontab for root"), "{why}: {}", support::text(&out.stderr));
        real
    }

    fn call(&self, argument: &str, input: &[u8]) -> Output {
        let mut command = assert_cmd::Command::new(&self.script);
        command.arg(argument).write_stdin(input).output().expect("crontab starts")
    }

    fn read(&self) -> Option<Vec<u8>> {
        let out = self.call("-l", b"");
        out.status.success().then_some(out.stdout)
    }

    fn write(&self, text: &[u8]) {
        let out = self.call("-", text);
        assert!(out.status.success(), "{}", support::text(&out.stderr));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_real_crontab_takes_the_line_and_keeps_every_foreign_byte() {
    let mut machine = Machine::new();
    let real = RealCrontab::new(&machine);
    let odd = machine.sandbox.root().join("a b 50% $HOME 'd'");
    fs::create_dir(&odd).expect("a directory");
    symlink(RAXX, odd.join("raxx")).expect("a link");
    machine.sandbox.config("timeout = \"5s\"\n");
    let install = |machine: &Machine, at: &str| {
        let mut command = machine.sandbox.command(odd.join("raxx"));
        let out = command.args(["schedule", "install", "--at", at]).output().expect("raxx starts");
        assert!(out.status.success(), "{}", text(&out.stderr));
        text(&out.stderr)
    };

    real.write(FOREIGN);
    install(&machine, "08:00");
    let once = real.read().expect("a crontab");
    assert!(once.starts_with(FOREIGN));
    assert!(install(&machine, "08:00").contains("installed already"));
    assert_eq!(real.read().expect("a crontab"), once);
    install(&machine, "09:10");
    assert!(real.read().expect("a crontab").starts_with(FOREIGN));

    // cron gives the shell what stands before the first bare `%`, and takes the backslash from the others.
    let text_now = real.read().expect("a crontab");
    let ours = text(&text_now[FOREIGN.len()..]);
    let line = ours.lines().find(|line| !line.starts_with('#')).expect("a line");
    let command = line.strip_prefix("10 * * * * ").expect("once an hour");
    assert_eq!(command.matches('%').count(), command.matches("\\%").count(), "{command}");
    // Not due: it does nothing, and goes well. Any other time of the day would make it run.
    let command = command.replace("\\%", "%");
    let started = |command: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).env_clear().env("HOME", machine.sandbox.home()).env("PATH", "/usr/bin:/bin");
        shell.output().expect("sh starts")
    };
    let out = started(&command);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()), "{command}");
    let out = started(&command.replace("09:10Z", "25:00Z"));
    assert!(text(&out.stderr).contains("a time of the day is written as 08:00"), "it is raxx that was started");

    let out = machine.sandbox.run(&["schedule", "uninstall"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(real.read().expect("a crontab"), FOREIGN);
    assert!(real.call("-r", b"").status.success());
    install(&machine, "08:00");
    let out = machine.sandbox.run(&["schedule", "uninstall"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(real.read(), None, "who had none has none");
}

// ---- which one ----------------------------------------------------------------------------------------------------------

#[cfg(not(target_os = "macos"))]
#[test]
fn where_there_is_no_scheduler_it_says_so() {
    let machine = Machine::new();
    for program in ["systemctl", "crontab"] {
        fs::remove_file(machine.bin().join(program)).expect("the stand-in");
    }
    let said = machine.refused("schedule install");
    assert!(said.starts_with("there is no scheduler here") && said.ends_with("raxx check --alert"), "{said}");
    assert_eq!(machine.refused("schedule install --via cron"), "crontab -l: there is no such program here");
    assert_eq!(machine.well("schedule uninstall"), "raxx: the daily check is not installed\n");
    let (code, said) = machine.status();
    assert_eq!((code, &said[..]), (1, "installed: no; type: raxx schedule install\nlast run:  never\n"));
}

#[cfg(not(target_os = "macos"))]
#[test]
fn a_machine_that_has_systemd_now_runs_the_check_once() {
    let machine = Machine::new();
    machine.set("crontab", FOREIGN);
    machine.well("schedule install");
    machine.set("manager", "");
    let said = machine.well("schedule install");
    assert!(said.contains("raxx: the previous one is removed: crontab\n"), "{said}");
    assert_eq!(fs::read(machine.fake("crontab")).unwrap(), FOREIGN);
    let (code, said) = machine.status();
    assert_eq!(said.matches("installed:").count(), 1, "{said}");
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_time_that_is_none_is_refused() {
    let machine = Machine::new();
    let before = machine.everything();
    for bad in ["24", "24:00", "08:60", "noon", "08:00Z", ""] {
        let out = machine.sandbox.run(&["schedule", "install", "--at", bad]);
        assert_eq!(out.status.code(), Some(2), "{bad}");
        assert!(text(&out.stderr).contains("a time of the day is written as 08:00"), "{}", text(&out.stderr));
    }
    let out = machine.run("schedule install --utc --local");
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(machine.everything(), before);
}

// ---- the check that is started once an hour -----------------------------------------------------------------------------

/// A machine with one GitHub token, and the check installed in its crontab for a time of the day that was a minute ago.
struct Watch {
    machine: Machine,
    due: String,
}

impl Watch {
    fn new(server: &str) -> Watch {
        let mut machine = Machine::new();
        let text = support::loopback::config(server);
        machine.sandbox.config(&format!(
            "{text}enabled = false\n{SLACK}[[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\n"
        ));
        machine.sandbox.env(NAME, TOKEN);
        let due = (Timestamp::now() - SignedDuration::from_secs(60)).strftime("%H:%M").to_string();
        machine.well(&format!("schedule install --via cron --at {due}"));
        let watch = Watch { machine, due };
        // As if it had been installed long ago.
        watch.change(|memory| memory["since"] = json!("2026-01-01T00:00:00Z"));
        watch
    }

    fn memory_file(&self) -> PathBuf {
        self.machine.sandbox.state().join("schedule.json")
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut memory = serde_json::from_slice(&fs::read(self.memory_file()).expect("a memory")).expect("JSON");
        change(&mut memory);
        fs::write(self.memory_file(), memory.to_string()).expect("a memory");
    }

    fn command(&self) -> assert_cmd::Command {
        let mut command = self.machine.sandbox.raxx();
        command.args(["check", "--if-due", &format!("{}Z", self.due)]);
        command
    }

    fn tick(&self) -> Output {
        self.command().output().expect("raxx starts")
    }
}

/// It did nothing at all.
fn not_due(out: &Output) {
    assert_eq!((out.status.code(), text(&out.stdout), text(&out.stderr)), (Some(0), String::new(), String::new()));
}

#[test]
fn it_asks_once_a_day_and_catches_up() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    let out = watch.tick();
    assert!(text(&out.stdout).starts_with("[PASS]"), "{}", text(&out.stderr));
    not_due(&watch.tick());
    assert_eq!(server.attempts(TOKEN), 1);

    // A day later; after a year abroad; after the clock was set back; and when what was remembered is gone or damaged.
    for when in [-1, -365, 3] {
        let at = Timestamp::now() + SignedDuration::from_hours(24 * when);
        watch.change(|memory| memory["ran"]["at"] = json!(at.to_string()));
        assert!(text(&watch.tick().stdout).starts_with("[PASS]"), "{when} days");
        not_due(&watch.tick());
    }
    fs::write(watch.memory_file(), "{\"ran\": {").expect("a damaged memory");
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    not_due(&watch.tick());
    fs::remove_file(watch.memory_file()).expect("the memory");
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    not_due(&watch.tick());
    assert_eq!(server.attempts(TOKEN), 6);
}

#[test]
fn a_failing_check_is_a_run_too() {
    let server = Loopback::start();
    let watch = Watch::new(&server.url());
    assert_eq!(watch.tick().status.code(), Some(1));
    not_due(&watch.tick());
    let (code, said) = watch.machine.status();
    assert!(said.contains(&format!(" — 0 PASS, 1 FAIL: {NAME}\n")), "{said}");
    assert_eq!(code, 0, "the watch is well: {said}");
    let kept = fs::read_to_string(watch.memory_file()).expect("a memory");
    assert!(!kept.contains(TOKEN) && !kept.contains("ghp_"), "{kept}");
}

#[test]
fn without_a_network_it_is_tried_again_the_next_hour() {
    let closed = ClosedPort::new();
    let watch = Watch::new(&closed.url());
    for _ in 0..2 {
        assert_eq!(watch.tick().status.code(), Some(1), "{}", "it ran");
    }
    let (_, said) = watch.machine.status();
    assert!(said.contains("no provider answered: is there a network?"), "{said}");
    assert!(said.contains("next run:  due, within the hour\n"), "{said}");
}

#[test]
fn a_morning_without_a_network_is_no_incident_however_often_it_is_tried() {
    let closed = ClosedPort::new();
    let watch = Watch::new(&closed.url());
    let config = watch.machine.sandbox.root().join("config.toml");
    let told = watch.machine.home("told");
    let teller = watch.machine.bin().join("teller");
    executable(&teller, &format!("#!/bin/sh\ncat >>{}\n", told.display()));
    let receiver = format!("[alert.slack]\nenabled = false\n[alert.command]\nrun = [{teller:?}]\n");
    let text_of = fs::read_to_string(&config).expect("the configuration").replace(SLACK, &receiver);
    fs::write(&config, text_of).expect("the configuration");
    let due = format!("{}Z", watch.due);
    let tick = || watch.machine.sandbox.run(&["check", "--alert", "--if-due", &due]);
    for _ in 0..4 {
        assert_eq!(tick().status.code(), Some(1));
        assert!(!told.exists(), "the morning is not over");
    }
    // The next day's check finds the same.
    let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
    watch.change(|memory| memory["ran"]["at"] = json!(yesterday.to_string()));
    tick();
    assert!(fs::read_to_string(&told).expect("it is told").contains("\"event\": \"failing\""));
}

#[test]
fn what_only_stands_in_front_of_the_providers_is_tried_again_the_next_hour() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    let portal = Answer::html(200, "<html>welcome to the hotel</html>");
    for front in
        [portal, Answer::json(503, "{}"), Answer::edge_block(), Answer::redirect("https://portal.example.test/")]
    {
        server.next("/user", front);
        assert_eq!(watch.tick().status.code(), Some(1), "it is due still");
    }
    let (_, said) = watch.machine.status();
    assert!(said.contains("no provider answered: is there a network?"), "{said}");
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    not_due(&watch.tick());
}

#[test]
fn who_could_not_be_told_is_told_the_next_hour() {
    let server = Loopback::start();
    let watch = Watch::new(&server.url());
    let due = format!("{}Z", watch.due);
    let tick = || watch.machine.sandbox.run(&["check", "--alert", "--if-due", &due]);
    for _ in 0..2 {
        let out = tick();
        assert_eq!((out.status.code(), text(&out.stdout)), (Some(1), String::new()));
        assert!(text(&out.stderr).contains("SLACK_BOT_TOKEN is not in env"), "{}", text(&out.stderr));
    }
    let (_, said) = watch.machine.status();
    assert!(said.contains("not everybody could be told; to see why: raxx check --alert --test\n"), "{said}");
    let config = watch.machine.sandbox.root().join("config.toml");
    let receiver = "[alert.slack]\nenabled = false\n[alert.command]\nrun = [\"/bin/cat\"]\n";
    let text_of = fs::read_to_string(&config).expect("the configuration").replace(SLACK, receiver);
    fs::write(&config, text_of).expect("the configuration");
    let out = tick();
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(1), String::new()), "it fails still, and that is told");
    not_due(&tick());
}

#[test]
fn what_was_to_be_told_goes_with_the_watch() {
    let server = Loopback::start();
    let watch = Watch::new(&server.url());
    let due = format!("{}Z", watch.due);
    watch.machine.sandbox.run(&["check", "--alert", "--if-due", &due]);
    let book = watch.machine.sandbox.state().join("alerts.json");
    assert!(book.exists());
    watch.machine.well("schedule uninstall");
    let left: Vec<String> = fs::read_dir(watch.machine.sandbox.state())
        .expect("the state")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("alerts") || name.starts_with("schedule"))
        .collect();
    assert_eq!(left, [""; 0]);
    // Where nothing was installed, somebody's own job may have it.
    fs::write(&book, "{}").expect("a book");
    watch.machine.well("schedule uninstall");
    assert!(book.exists());
}

#[test]
fn what_a_scheduler_will_not_see_is_said_when_it_is_installed() {
    let mut machine = Machine::new();
    machine.sandbox.env("HEROKU_API_KEY", "HRKU-MadeUpForTheScheduleTests012345");
    let said = machine.well("schedule install");
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(warnings.len(), 2, "{said}");
    let heroku = "raxx: warning: HEROKU_API_KEY is only in this shell, which the daily check does not see; type: raxx store HEROKU_API_KEY";
    assert_eq!(warnings[0], heroku);
    assert!(warnings[1].contains("so Slack cannot be told; type: raxx store SLACK_BOT_TOKEN"), "{said}");

    // What has no place in the store cannot be stored before it gets one.
    let table = "[[credential]]\nprovider = \"heroku\"\nname = ";
    machine.sandbox.config(&format!("{SLACK}{table}\"HEROKU_API_KEY\"\n{table}\"SLACK_BOT_TOKEN\"\n"));
    let said = machine.well("schedule install");
    for name in ["HEROKU_API_KEY", "SLACK_BOT_TOKEN"] {
        let place = format!(
            "add store = {{ service = \"…\", account = \"…\" }} to its [[credential]], then type: raxx store {name}\n"
        );
        assert!(said.contains(&place), "{said}");
    }

    machine.sandbox.config("[alert.slack]\nenabled = false\n[alert.command]\nrun = [\"tell-me\"]\n");
    let said = machine.well("schedule install");
    assert!(said.contains("find tell-me only by its whole path"), "{said}");
    machine.sandbox.config("[alert.slack]\nenabled = false\n");
    let said = machine.refused("schedule install");
    assert!(said.contains("no receiver of alerts is configured: write enabled = true under [alert.slack]"), "{said}");
    machine.sandbox.config("timeout = 5\n");
    assert!(machine.refused("schedule install").contains("config.toml:1"));
}

#[test]
fn two_at_once_make_one_run() {
    let server = Loopback::start();
    server.accept(TOKEN);
    server.latency(Duration::from_millis(800));
    let watch = Watch::new(&server.url());
    let outputs: Vec<Output> = thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| watch.tick())).collect();
        all.into_iter().map(|run| run.join().expect("it ends")).collect()
    });
    assert_eq!(server.attempts(TOKEN), 1);
    assert_eq!(outputs.iter().filter(|out| text(&out.stdout).starts_with("[PASS]")).count(), 1);
    outputs.iter().filter(|out| out.stdout.is_empty()).for_each(not_due);
}

#[test]
fn one_that_is_killed_is_made_again() {
    let server = Loopback::start();
    server.accept(TOKEN);
    server.latency(Duration::from_secs(20));
    let watch = Watch::new(&server.url());
    let mut command = Command::new(RAXX);
    command.env_clear().envs(watch.machine.sandbox.environment().iter().cloned());
    command.args(["check", "--if-due", &format!("{}Z", watch.due)]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("raxx starts");
    while server.attempts(TOKEN) == 0 {
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    server.latency(Duration::ZERO);
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    not_due(&watch.tick());
}

#[test]
fn a_broken_configuration_is_told_when_the_check_is_due_and_kept_for_the_status() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    let config = watch.machine.sandbox.root().join("config.toml");
    let good = fs::read(&config).expect("the configuration");
    fs::write(&config, "timeout = 5\n").expect("the configuration");
    let out = watch.tick();
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(text(&out.stderr).lines().count(), 1);
    let (code, said) = watch.machine.status();
    assert_eq!(code, 1);
    assert!(said.contains("it could not run") && said.contains("config.toml:1"), "{said}");
    fs::write(&config, good).expect("the configuration");
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    let (code, said) = watch.machine.status();
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("could not run"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_local_time_is_that_of_this_machines_clock() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut watch = Watch::new(&server.url());
    watch.machine.sandbox.env("TZ", "Asia/Tokyo");
    let now = Timestamp::now();
    // Installed an hour ago: where it is five minutes past that time now, it is due; where it has been for three hours, not.
    let hour_ago = now - SignedDuration::from_mins(60);
    watch.change(|memory| memory["since"] = json!(hour_ago.to_string()));
    let five_west = watch.machine.zone(-5 * 3600, None);
    let tick =
        |mins: i64| watch.machine.elsewhere(&five_west, &format!("check --if-due {}", shown(now, -5 * 60 - mins)));
    not_due(&tick(180));
    assert!(text(&tick(5).stdout).starts_with("[PASS]"));
    not_due(&tick(5));
}

#[cfg(target_os = "linux")]
/// What a clock shows that is so many minutes before or behind UTC.
fn shown(now: Timestamp, minutes: i64) -> String {
    (now + SignedDuration::from_mins(minutes)).strftime("%H:%M").to_string()
}

/// The clocks change an hour or so ago: each day has one check all the same.
#[cfg(target_os = "linux")]
#[test]
fn daylight_saving_time_neither_skips_a_check_nor_repeats_it() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    let now = Timestamp::now();
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let since = |minutes: i64| {
        watch.change(|memory| {
            memory["since"] = json!(ago(minutes).to_string());
            memory["ran"] = json!(null);
        })
    };
    // Put forward 40 minutes ago, over the hour that would have followed: what stands in that hour is due as if the clock had
    // not been touched.
    let forward = watch.machine.zone(0, Some((ago(40), 3600)));
    since(50);
    let tick = |zone: &Path, at: &str| watch.machine.elsewhere(zone, &format!("check --if-due {at}"));
    assert!(text(&tick(&forward, &shown(ago(40), 10)).stdout).starts_with("[PASS]"), "30 minutes ago");
    since(50);
    not_due(&tick(&forward, &shown(ago(40), 59)));

    // Put back 10 minutes ago: what was shown 30 minutes ago is shown again in half an hour. The first one counts.
    let back = watch.machine.zone(3600, Some((ago(10), 0)));
    let twice = shown(ago(30), 60);
    since(50);
    assert!(text(&tick(&back, &twice).stdout).starts_with("[PASS]"));
    not_due(&tick(&back, &twice));
    assert_eq!(server.attempts(TOKEN), 2);
}

#[test]
fn an_installation_waits_for_its_time_and_the_status_says_when_that_is() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    watch.change(|memory| memory["since"] = json!(Timestamp::now().to_string()));
    not_due(&watch.tick());
    let next = Timestamp::now() + SignedDuration::from_hours(24) - SignedDuration::from_secs(60);
    let (code, said) = watch.machine.status();
    assert_eq!(code, 0, "{said}");
    let wanted = format!("next run:  {} {} UTC (in 23 hours)\n", next.strftime("%Y-%m-%d"), watch.due);
    assert!(said.ends_with(&wanted), "{said}{wanted}");
    assert!(said.contains("last run:  never\n"), "{said}");
    // Installing it again is no reason to wait for another day.
    watch.change(|memory| memory["since"] = json!("2026-01-01T00:00:00Z"));
    watch.machine.well(&format!("schedule install --via cron --at {}", watch.due));
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
}

#[test]
fn the_status_tells_of_a_scheduler_that_sleeps_and_of_a_program_that_is_gone() {
    let server = Loopback::start();
    let watch = Watch::new(&server.url());
    let due = (Timestamp::now() - SignedDuration::from_hours(3)).strftime("%H:%M").to_string();
    watch.machine.well(&format!("schedule install --via cron --at {due}"));
    let (code, said) = watch.machine.status();
    assert_eq!(code, 1);
    assert!(said.contains("it should have run at") && said.contains("is the scheduler running?"), "{said}");

    let crontab = fs::read_to_string(watch.machine.fake("crontab")).expect("a crontab");
    let bin = watch.machine.bin().join("raxx");
    watch.machine.set("crontab", crontab.replace(bin.to_str().expect("UTF-8"), "/nowhere/raxx"));
    let (code, said) = watch.machine.status();
    assert_eq!(code, 1);
    assert!(said.contains("/nowhere/raxx is gone; to write it anew: raxx schedule install"), "{said}");

    watch.machine.set("crontab", "# >>> raxx >>>\n# all gone\n# <<< raxx <<<\n");
    let (code, said) = watch.machine.status();
    assert_eq!(code, 1);
    assert!(said.contains("it was changed by hand"), "{said}");
}

#[test]
fn a_scheduler_that_says_anything_cannot_act_on_the_terminal() {
    let machine = Machine::new();
    machine.set("refuse", "\x1b]0;title\x07crontab: \x1b[31mno\n");
    let out =
        machine.sandbox.run(&[OsStr::new("schedule"), OsStr::new("install"), OsStr::new("--via"), OsStr::new("cron")]);
    assert_eq!(out.status.code(), Some(2));
    assert!(!text(&out.stderr).contains('\x1b'), "{:?}", text(&out.stderr));
}

#[test]
fn what_is_due_is_looked_up_without_reading_the_configuration() {
    // Each hour of each day: it must neither read the store nor wait for anything.
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    watch.tick();
    let config = watch.machine.sandbox.root().join("config.toml");
    fs::write(config, "this is no configuration").expect("the configuration");
    let asked = server.attempts(TOKEN);
    not_due(&watch.tick());
    assert_eq!(server.attempts(TOKEN), asked);
}

#[test]
fn a_refusal_of_cron_is_told_by_its_reason() {
    let machine = Machine::new();
    let refusal = "#!/bin/sh\necho 'You (op) are not allowed to use this program (crontab)' >&2\n\
                   echo 'See crontab(1) for more information' >&2\nexit 1\n";
    executable(&machine.bin().join("crontab"), refusal);
    let said = machine.refused("schedule install --via cron");
    assert!(said.contains("You (op) are not allowed to use this program") && !said.contains("See crontab"), "{said}");
}

/// In a name space of its own there is no process but those of the test.
#[test]
#[cfg(target_os = "linux")]
fn without_a_cron_daemon_no_run_is_promised() {
    let unshare = need("unshare", "util-linux");
    let machine = Machine::new();
    let spaces = spaces(&["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    let run = |line: &str| {
        let line = format!("raxx {line}");
        machine.sandbox.command(&unshare).args(&spaces).args(["sh", "-c", &line]).output().expect("unshare starts")
    };
    let installed = run("schedule install --via cron --at 8");
    let said = text(&installed.stderr);
    assert!(said.contains("warning: no cron daemon is running"), "{said}");
    let status = run("schedule status");
    let said = text(&status.stdout);
    assert!(said.contains("no cron daemon is running") && said.contains("next run:  none"), "{said}");
    assert_eq!(status.status.code(), Some(1), "{said}");
    // Where one runs, the time is told.
    let (_, said) = machine.status();
    assert!(!said.contains("no cron daemon") && said.contains("next run:  20"), "{said}");
}

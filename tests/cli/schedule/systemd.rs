//! The systemd user timer: the units, and how they are enabled and removed.

use std::collections::BTreeMap;
use std::fs;
#[cfg(not(target_os = "macos"))]
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Machine, session};
#[cfg(not(target_os = "macos"))]
use super::{NAME, SLACK, TOKEN};
#[cfg(target_os = "linux")]
use super::{need, spaces};
#[cfg(not(target_os = "macos"))]
use crate::support;
#[cfg(not(target_os = "macos"))]
use crate::support::loopback::Loopback;
#[cfg(not(target_os = "macos"))]
use crate::support::{RAXX, Sandbox, text};

/// Splits the output of `--print` into files by name.
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
fn every_line_of_the_units_is_correct() {
    let machine = Machine::new();
    let before = machine.all_files();
    let files = units(&machine.printed("schedule install --print --via systemd"));
    let service = &files["raxx-session-bootstrap.service"];
    let timer = &files["raxx-session-bootstrap.timer"];
    let start = format!("ExecStart=:\"{}\" check --alert --if-due 08:00Z", machine.bin().join("raxx").display());
    let description = "Description=raxx: daily check of API tokens";
    assert_eq!(lines(service), ["[Unit]", description, "[Service]", "Type=oneshot", &start, "TimeoutStartSec=30min"]);
    let when = format!("{description} at 08:00 UTC (started hourly; runs only when due)");
    let timing = ["[Unit]", &when, "[Timer]", "OnCalendar=*-*-* *:00:00 UTC", "Persistent=true"];
    assert_eq!(lines(timer), [&timing[..], &["[Install]", "WantedBy=timers.target"]].concat());
    assert_eq!(machine.all_files(), before, "nothing is written");

    let local = units(&machine.printed("schedule install --print --via systemd --at 7:05 --local"));
    assert!(lines(&local["raxx-session-bootstrap.timer"]).contains(&"OnCalendar=*-*-* *:05:00"));
    assert!(local["raxx-session-bootstrap.service"].contains(" check --alert --if-due 07:05\n"));
    session!(machine);
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_accepts_the_units_for_any_path() {
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
    // systemd accepts no quotes in this path, escaped or not.
    machine.sandbox.unset("RAXX_CONFIG");
    let quote = machine.sandbox.root().join("it's");
    fs::create_dir(&quote).expect("a directory");
    symlink(RAXX, quote.join("raxx")).expect("a link");
    let out = machine.run_as(quote.join("raxx"), "schedule install --via systemd");
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("it's/raxx"), "{}", text(&out.stderr));
    session!(machine);
    // Shows that systemd-analyze would have reported an error: a missing program.
    fs::remove_file(odd.join("raxx")).expect("the link");
    let out = verify(&machine, &machine.sandbox.root().join("units"));
    assert!(text(&out.stderr).contains("not executable"), "{}", text(&out.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_uses_utc_in_every_time_zone() {
    let analyze = need("systemd-analyze", "systemd");
    let machine = Machine::new();
    let files = units(&machine.printed("schedule install --print --via systemd --at 08:15"));
    let timer = &files["raxx-session-bootstrap.timer"];
    let calendar = timer.lines().find_map(|line| line.strip_prefix("OnCalendar=")).expect("a time");
    for zone in ["UTC", "America/New_York", "Asia/Kolkata"] {
        let mut command = machine.sandbox.command(&analyze);
        // New York's clocks go back on November 1.
        command.args(["calendar", "--base-time=2026-10-31 00:00:00 UTC", "--iterations=60", calendar]).env("TZ", zone);
        let out = command.output().expect("systemd-analyze starts");
        let said = text(&out.stdout);
        for hour in 0..24 {
            assert!(said.contains(&format!("2026-11-01 {hour:02}:15:00 UTC")), "{zone}: {said}");
        }
    }
}

#[test]
fn a_systemd_timer_is_installed_once_changed_and_removed() {
    let machine = Machine::new();
    machine.set("manager", "");
    let before = machine.all_files();
    let units = machine.home(".config/systemd/user");
    let timer = "raxx-session-bootstrap.timer";

    let said = machine.succeeds("schedule install");
    assert!(said.contains("systemd user timer") && said.contains("08:00 UTC"), "{said}");
    let started = [format!("systemctl --user enable {timer}"), format!("systemctl --user restart {timer}")];
    let systemctl = |calls: Vec<String>| calls.into_iter().filter(|c| c.starts_with("systemctl")).collect::<Vec<_>>();
    assert_eq!(systemctl(machine.calls()), [&["systemctl --user daemon-reload".to_string()][..], &started].concat());
    let once = machine.all_files();

    machine.succeeds("schedule install");
    assert_eq!(machine.all_files(), once);
    assert_eq!(systemctl(machine.calls()), [""; 0]);

    machine.succeeds("schedule install --at 21:00");
    assert_eq!(fs::read(machine.fake("active")).unwrap(), fs::read(units.join(timer)).unwrap(), "with its new time");
    let (code, said) = machine.status();
    assert!(said.contains("systemd user timer") && said.contains("21:00 UTC"), "{said}");
    assert_eq!(code, 0, "{said}");

    // The stamp file that systemd writes for a persistent timer.
    let stamp = machine.home(".local/share/systemd/timers/stamp-raxx-session-bootstrap.timer");
    fs::create_dir_all(stamp.parent().expect("a directory")).expect("a directory");
    fs::write(&stamp, "").expect("a stamp");
    machine.succeeds("schedule uninstall");
    assert!(!machine.fake("active").exists());
    assert_eq!(machine.all_files(), before);
    session!(machine);
}

#[test]
fn a_timer_that_does_not_start_is_not_left_behind() {
    let machine = Machine::new();
    machine.set("manager", "");
    machine.set("no-restart", "");
    let before = machine.all_files();
    let said = machine.refused("schedule install");
    assert!(said.contains("systemctl --user restart: Failed to restart"), "{said}");
    assert_eq!(machine.all_files(), before);
    session!(machine);
}

#[test]
fn without_a_user_manager_cron_is_suggested() {
    let machine = Machine::new();
    let before = machine.all_files();
    let said = machine.refused("schedule install --via systemd");
    assert!(
        said.contains("Failed to connect to bus") && said.ends_with("type: raxx schedule install --via cron"),
        "{said}"
    );
    assert_eq!(machine.all_files(), before);
    session!(machine);
}

#[test]
fn a_timer_whose_units_were_deleted_is_removed() {
    let machine = Machine::new();
    machine.set("manager", "");
    let before = machine.all_files();
    machine.succeeds("schedule install");
    for unit in ["service", "timer"] {
        let file = machine.home(".config/systemd/user").join(format!("raxx-session-bootstrap.{unit}"));
        fs::remove_file(file).expect("the unit");
    }
    assert!(machine.succeeds("schedule uninstall").contains("systemd user timer"));
    assert!(!machine.fake("active").exists(), "the timer is still active");
    assert_eq!(machine.all_files(), before);
    machine.succeeds("schedule uninstall");
    session!(machine);
}

#[test]
fn the_status_reports_a_timer_that_is_not_active() {
    let machine = Machine::new();
    machine.set("manager", "");
    machine.succeeds("schedule install --via systemd");
    machine.session();
    machine.clear("active");
    let (code, said) = machine.status();
    assert!(code == 1 && said.contains("type: systemctl --user enable --now raxx-session-bootstrap.timer"), "{said}");
    machine.clear("manager");
    assert_eq!(machine.status().0, 1);
    let timer = machine.home(".config/systemd/user/raxx-session-bootstrap.timer");
    fs::write(timer, "[Timer]\nOnCalendar=daily\n").expect("a timer of the person's own");
    let (code, said) = machine.status();
    assert!(code == 1 && said.contains("raxx schedule install"), "{said}");
    session!(machine);
}

/// A user manager in its own namespaces: nothing of it remains when the script ends.
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
fn a_real_manager_loads_starts_and_removes_the_timer() {
    need("systemd-analyze", "systemd");
    let unshare = need("unshare", "util-linux");
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = Sandbox::new();
    let text_of = support::loopback::config(&server.url());
    sandbox.config(&format!(
        "{text_of}enabled = false\n{SLACK}[[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\n"
    ));
    // The test's own variables must reach the service, but not the XDG paths: those are in the unit.
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
    assert!(line("third").ends_with(":15:00 UTC"), "{said}");
    assert!(said.lines().any(|line| line.ends_with(" 1 PASS")), "{said}{complaints}");
    assert_eq!(line("well"), "");
    assert!(said.lines().any(|line| line.contains(" 23:15 UTC (in ")), "{said}");
    assert_eq!(server.attempts(TOKEN), 1, "once a day, however often it is started: {said}{complaints}");
    assert_eq!(line("after"), "", "{said}");
    assert_eq!(line("enabled:"), "");
    for under in [".config/systemd", ".local/share/systemd"] {
        assert!(!sandbox.home().join(under).exists(), "{under} was not removed");
    }
}

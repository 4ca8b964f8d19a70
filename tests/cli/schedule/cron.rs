//! The crontab line, and the lines around it.

use std::fs;
use std::os::unix::fs::symlink;
#[cfg(not(target_os = "macos"))]
use std::path::PathBuf;
#[cfg(not(target_os = "macos"))]
use std::process::{Command, Output};

#[cfg(not(target_os = "macos"))]
use super::executable;
use super::{Machine, session};
#[cfg(target_os = "linux")]
use super::{need, spaces};
#[cfg(not(target_os = "macos"))]
use crate::support;
use crate::support::{RAXX, text};

pub(super) const FOREIGN: &[u8] =
    b"# mine\nMAILTO=op@example.com\nPATH=/usr/bin:/bin\n\n*/5 * * * * tar \\% >/dev/null # \xff\xfe\n\t\n@daily  x\n";

#[test]
fn the_crontab_line_is_written_once_changed_and_removed() {
    let machine = Machine::new();
    let before = machine.all_files();
    machine.set("crontab", FOREIGN);
    let said = machine.succeeds("schedule install");
    assert!(said.contains("crontab") && said.contains("08:00 UTC"), "{said}");
    let crontab = || fs::read(machine.fake("crontab")).expect("a crontab");
    let line = format!("0 * * * * {} check --alert --if-due 08:00Z", machine.bin().join("raxx").display());
    let once = crontab();
    let ours = text(once.strip_prefix(FOREIGN).expect("foreign lines stay as they are"));
    assert_eq!(ours.lines().nth(1), Some(&line[..]));
    assert_eq!(ours.lines().count(), 3);

    machine.succeeds("schedule install");
    assert_eq!(crontab(), once);

    // A line of the user's own after raxx's stays there when the time changes.
    machine.set("crontab", [&once, &b"@reboot y\n"[..]].concat());
    machine.succeeds("schedule install --at 06:40 --local");
    let changed = crontab();
    assert!(changed.starts_with(FOREIGN) && changed.ends_with(b"# <<< raxx <<<\n@reboot y\n"));
    let (_, said) = machine.status();
    assert!(said.contains("crontab") && said.contains("06:40"), "{said}");

    machine.succeeds("schedule uninstall");
    assert_eq!(crontab(), [FOREIGN, b"@reboot y\n"].concat());
    assert_eq!(machine.all_files(), before);
    session!(machine);
}

#[test]
fn an_empty_crontab_is_removed_again() {
    let machine = Machine::new();
    machine.succeeds("schedule install");
    assert!(machine.fake("crontab").exists());
    machine.succeeds("schedule uninstall");
    assert!(!machine.fake("crontab").exists());
}

#[test]
fn a_path_that_cron_would_misread_is_refused() {
    // cron takes the backslash from `\%`, and ends the command at `\\%`.
    let machine = Machine::new();
    let odd = machine.sandbox.root().join("50\\%");
    fs::create_dir(&odd).expect("a directory");
    symlink(RAXX, odd.join("raxx")).expect("a link");
    let out = machine.run_as(odd.join("raxx"), "schedule install --via cron");
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("50\\%/raxx"), "{}", text(&out.stderr));
    assert!(!machine.fake("crontab").exists() && !machine.sandbox.state().exists());
    session!(machine);
}

#[test]
fn an_unreadable_crontab_is_not_changed() {
    let machine = Machine::new();
    let broken = b"# >>> raxx >>> by hand\n0 8 * * * mine\n";
    machine.set("crontab", broken);
    for line in ["schedule install", "schedule uninstall"] {
        let said = machine.refused(line);
        assert!(said.contains("raxx"), "{said}");
        assert_eq!(fs::read(machine.fake("crontab")).unwrap(), broken);
    }
    machine.set("crontab", FOREIGN);
    machine.set("refuse", "crontab: you are not allowed to use this program\n");
    let said = machine.refused("schedule install");
    assert!(said.contains("you are not allowed to use this program"), "{said}");
    assert_eq!(fs::read(machine.fake("crontab")).unwrap(), FOREIGN);
    // Another scheduler is installed anyway.
    machine.set("manager", "");
    let said = machine.succeeds("schedule install --via systemd");
    assert!(said.contains("you are not allowed to use this program"), "{said}");
    machine.clear("manager");
    assert_eq!(fs::read(machine.fake("crontab")).unwrap(), FOREIGN);
    session!(machine);
}

#[cfg(target_os = "linux")]
/// The system's crontab program, in namespaces with another spool directory. It never sees the crontab of the user who runs
/// this test, even if the test fails.
struct RealCrontab {
    /// A script that is called like `crontab`.
    script: PathBuf,
}

#[cfg(target_os = "linux")]
impl RealCrontab {
    fn new(machine: &Machine) -> RealCrontab {
        let spool = machine.sandbox.root().join("spool");
        fs::create_dir_all(spool.join("crontabs")).expect("a directory");
        let (crontab, unshare) = (need("crontab", "cron"), need("unshare", "util-linux"));
        // The namespaces make any user root.
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
fn the_real_crontab_accepts_the_line_and_keeps_all_other_bytes() {
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
    };

    real.write(FOREIGN);
    install(&machine, "08:00");
    let once = real.read().expect("a crontab");
    assert!(once.starts_with(FOREIGN));
    install(&machine, "08:00");
    assert_eq!(real.read().expect("a crontab"), once);
    install(&machine, "09:10");
    assert!(real.read().expect("a crontab").starts_with(FOREIGN));

    // cron passes the text before the first bare `%` to the shell, and removes the backslash from the others.
    let text_now = real.read().expect("a crontab");
    let ours = text(&text_now[FOREIGN.len()..]);
    let line = ours.lines().find(|line| !line.starts_with('#')).expect("a line");
    let command = line.strip_prefix("10 * * * * ").expect("once an hour");
    assert_eq!(command.matches('%').count(), command.matches("\\%").count(), "{command}");
    // Not due: it does nothing and exits 0. The time is two minutes ahead, so the check does not run.
    let command = command.replace("\\%", "%");
    let started = |command: &str| {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).env_clear().env("HOME", machine.sandbox.home()).env("PATH", "/usr/bin:/bin");
        shell.output().expect("sh starts")
    };
    let out = started(&command);
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()), "{command}");
    let out = started(&command.replace("09:10Z", "25:00Z"));
    assert!(text(&out.stderr).starts_with("raxx: "), "the shell started raxx");

    let out = machine.sandbox.run(&["schedule", "uninstall"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(real.read().expect("a crontab"), FOREIGN);
    assert!(real.call("-r", b"").status.success());
    install(&machine, "08:00");
    let out = machine.sandbox.run(&["schedule", "uninstall"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(real.read(), None, "no crontab is left");
}

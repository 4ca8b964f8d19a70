//! The choice of the scheduler, and invalid arguments.

#[cfg(not(target_os = "macos"))]
use std::fs;

#[cfg(not(target_os = "macos"))]
use super::cron::FOREIGN;
#[cfg(target_os = "linux")]
use super::executable;
use super::{Machine, session};
#[cfg(target_os = "linux")]
use crate::snapshot::snapshot;
use crate::support::text;

#[cfg(not(target_os = "macos"))]
#[test]
fn a_machine_without_a_scheduler() {
    let machine = Machine::new();
    for program in ["systemctl", "crontab"] {
        fs::remove_file(machine.bin().join(program)).expect("the stand-in");
    }
    let said = machine.refused("schedule install");
    assert!(said.ends_with("raxx check --alert"), "{said}");
    assert!(machine.refused("schedule install --via cron").contains("crontab"));
    machine.succeeds("schedule uninstall");
    let (code, said) = machine.status();
    assert!(code == 1 && said.contains("type: raxx schedule install"), "{said}");
    session!(machine);
}

#[cfg(not(target_os = "macos"))]
#[test]
fn a_machine_that_has_systemd_now_runs_the_check_once() {
    let machine = Machine::new();
    machine.set("crontab", FOREIGN);
    machine.succeeds("schedule install");
    machine.set("manager", "");
    machine.succeeds("schedule install");
    assert_eq!(fs::read(machine.fake("crontab")).unwrap(), FOREIGN);
    let (code, said) = machine.status();
    assert!(said.contains("systemd user timer") && !said.contains("crontab"), "{said}");
    assert_eq!(code, 0, "{said}");
    session!(machine);
}

#[test]
fn an_invalid_time_is_refused() {
    let machine = Machine::new();
    let before = machine.all_files();
    for bad in ["24", "24:00", "08:60", "noon", "08:00Z", ""] {
        let out = machine.run(&format!("schedule install --at {bad}"));
        assert_eq!(out.status.code(), Some(2), "{bad}");
        assert!(text(&out.stderr).contains("08:00"), "{}", text(&out.stderr));
    }
    let out = machine.run("schedule install --utc --local");
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(machine.all_files(), before);
    session!(machine);
}

#[cfg(target_os = "linux")]
#[test]
fn text_that_a_scheduler_cannot_represent_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    let mut machine = Machine::new();
    let install = |machine: &Machine, scheduler: &str| {
        machine.refused(&format!("schedule install --via {scheduler}"));
        assert!(!machine.fake("crontab").exists() && !machine.sandbox.state().exists());
    };
    machine.sandbox.env("RAXX_CONFIG", "/a\nb");
    install(&machine, "cron");
    machine.sandbox.env("RAXX_CONFIG", std::ffi::OsStr::from_bytes(b"/a\xff"));
    install(&machine, "cron");
    machine.sandbox.env("RAXX_CONFIG", format!("/{}", "long".repeat(300)));
    let said = machine.refused("schedule install --print --via cron");
    assert!(said.contains("900"), "{said}");
    machine.sandbox.unset("RAXX_CONFIG");
    executable(&machine.bin().join("crontab"), "#!/bin/sh\ncat >/dev/null\n");
    machine.refused("schedule install --via cron");
    fs::set_permissions(machine.bin().join("crontab"), fs::Permissions::from_mode(0o644)).expect("its mode");
    machine.refused("schedule install --via cron");
    // The manager was started with a different configuration directory than this shell's.
    machine.sandbox.env("XDG_CONFIG_HOME", machine.sandbox.root().join("elsewhere"));
    executable(&machine.bin().join("systemctl"), "#!/bin/sh\necho /etc/systemd/user\n");
    machine.refused("schedule install --via systemd");
    let shown = machine.session().replace(&"long".repeat(300), "long…");
    snapshot!(machine.sandbox, shown);
}

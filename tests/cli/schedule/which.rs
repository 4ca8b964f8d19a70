//! Which scheduler is used, and what is wrong with the arguments.

use std::fs;

use super::cron::FOREIGN;
use super::{Machine, session};
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
    machine.well("schedule uninstall");
    let (code, said) = machine.status();
    assert!(code == 1 && said.contains("type: raxx schedule install"), "{said}");
    session!(machine);
}

#[cfg(not(target_os = "macos"))]
#[test]
fn a_machine_that_has_systemd_now_runs_the_check_once() {
    let machine = Machine::new();
    machine.set("crontab", FOREIGN);
    machine.well("schedule install");
    machine.set("manager", "");
    machine.well("schedule install");
    assert_eq!(fs::read(machine.fake("crontab")).unwrap(), FOREIGN);
    let (code, said) = machine.status();
    assert!(said.contains("systemd user timer") && !said.contains("crontab"), "{said}");
    assert_eq!(code, 0, "{said}");
    session!(machine);
}

#[test]
fn an_invalid_time_is_refused() {
    let machine = Machine::new();
    let before = machine.everything();
    for bad in ["24", "24:00", "08:60", "noon", "08:00Z", ""] {
        let out = machine.run(&format!("schedule install --at {bad}"));
        assert_eq!(out.status.code(), Some(2), "{bad}");
        assert!(text(&out.stderr).contains("08:00"), "{}", text(&out.stderr));
    }
    let out = machine.run("schedule install --utc --local");
    assert_eq!(out.status.code(), Some(2));
    assert_eq!(machine.everything(), before);
    session!(machine);
}

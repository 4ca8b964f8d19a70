//! Which scheduler is used, and what is wrong with the arguments.

use std::fs;

use super::Machine;
use super::cron::FOREIGN;
use crate::support::text;

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

//! The launchd agent: the property list, and how it is loaded and removed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use plist::Value as Plist;

use super::{LABEL, Machine, session, uid};
#[cfg(not(target_os = "macos"))]
use crate::snapshot::snapshot;
use crate::support::{RAXX, text};

fn plist(text: &str) -> plist::Dictionary {
    let value = Plist::from_reader_xml(text.as_bytes()).expect("a property list");
    value.into_dictionary().expect("a dictionary")
}

/// All fields that the property list must have.
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
fn every_field_of_the_property_list_is_correct() {
    let machine = Machine::new();
    let before = machine.all_files();
    let text = machine.printed("schedule install --print --via launchd");
    let wanted = fields(&machine.sandbox.home(), &machine.bin().join("raxx"), "08:00Z", 0);
    assert_eq!(sorted(plist(&text)), sorted(wanted));
    assert_eq!(machine.calls(), [""; 0], "no program is called");
    assert_eq!(machine.all_files(), before, "nothing is written");

    let text = machine.printed("schedule install --print --via launchd --at 17:45 --local");
    let wanted = fields(&machine.sandbox.home(), &machine.bin().join("raxx"), "17:45", 45);
    assert_eq!(sorted(plist(&text)), sorted(wanted));
}

#[cfg(target_os = "linux")]
#[test]
fn a_half_hour_time_zone_runs_at_the_half_hour() {
    let machine = Machine::new();
    let india = machine.zone(330 * 60, None);
    let out = machine.run_in_zone(&india, "schedule install --print --via launchd");
    let wanted = fields(&machine.sandbox.home(), &machine.bin().join("raxx"), "08:00Z", 30);
    assert_eq!(sorted(plist(&text(&out.stdout))), sorted(wanted), "{}", text(&out.stderr));
}

/// The scheduler does not have a terminal's `TZ`, so raxx ignores it: when it saves the time, when it decides whether the check
/// is due, and in every message.
#[cfg(target_os = "linux")]
#[test]
fn tz_does_not_change_the_time() {
    let mut machine = Machine::new();
    let five_west = machine.zone(-5 * 3600, None);
    machine.sandbox.env("TZ", "Asia/Kolkata");
    let out = machine.run_in_zone(&five_west, "schedule install --via cron --local --at 08:10");
    let said = text(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("warning: TZ")).count(), 1, "{said}");
    let shown = machine.session();
    let clock = shown.find(" MADEUP").and_then(|end| shown.get(end - 5..end)).expect("a time").to_string();
    snapshot!(machine.sandbox, shown.replace(&format!("{clock} MADEUP"), "[CLOCK] MADEUP"));
    let crontab = fs::read_to_string(machine.fake("crontab")).expect("a crontab");
    assert!(crontab.contains("\n10 * * * * ") && crontab.contains("--if-due 08:10\n"), "{crontab}");
    assert!(!crontab.contains("TZ"), "{crontab}");
    let next = |tz: &str, machine: &mut Machine| {
        machine.sandbox.env("TZ", tz);
        let said = text(&machine.run_in_zone(&five_west, "schedule status").stdout);
        said.lines().find(|line| line.contains(" 08:10 MADEUP (")).expect("the next run").to_string()
    };
    let (there, here) = (next("Asia/Kolkata", &mut machine), next("UTC", &mut machine));
    assert_eq!(there.split(" (").next(), here.split(" (").next());

    let out = machine.run_in_zone(&five_west, "schedule install --via cron --at 08:10");
    assert!(!text(&out.stderr).contains("TZ"), "UTC is UTC everywhere: {}", text(&out.stderr));
}

#[test]
fn special_characters_and_raxxs_own_variables_survive() {
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
    assert!(said.contains("HTTPS_PROXY") && !said.contains("me:pw"), "{said}");
    machine.sandbox.env("INFISICAL_DOMAIN", "https://me:pw@vault.example.com");
    for scheduler in ["launchd", "systemd", "cron"] {
        let out = machine.run(&format!("schedule install --print --via {scheduler}"));
        let (printed, said) = (text(&out.stdout), text(&out.stderr));
        assert!(said.contains("INFISICAL_DOMAIN") && !said.contains("me:pw"), "{said}");
        assert!(!printed.contains("me:pw") && !printed.contains("INFISICAL_DOMAIN"), "{printed}");
    }
    session!(machine);
}

#[test]
fn a_launchd_agent_is_installed_once_changed_and_removed() {
    let machine = Machine::new();
    // Every Mac has them.
    for directory in ["Library/LaunchAgents", "Library/Logs"] {
        fs::create_dir_all(machine.home(directory)).expect("a directory");
    }
    let before = machine.all_files();
    let file = machine.home(&format!("Library/LaunchAgents/{LABEL}.plist"));
    let (gui, uid) = (format!("gui/{}", uid()), uid());
    let target = format!("{gui}/{LABEL}");

    let said = machine.succeeds("schedule install --via launchd");
    assert!(said.contains("launchd agent") && said.contains("08:00 UTC"), "{said}");
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
    assert!(machine.home("Library/Logs/raxx").is_dir(), "launchd does not create it");

    let once = machine.all_files();
    machine.succeeds("schedule install --via launchd");
    assert_eq!(machine.all_files(), once);
    let calls: Vec<String> = machine.calls().into_iter().filter(|c| c.starts_with("launchctl")).collect();
    assert_eq!(calls, [format!("launchctl print {target}")]);

    machine.set("busy", "once\ntwice\n");
    machine.succeeds("schedule install --via launchd --at 9:30");
    let loaded = fs::read_to_string(machine.fake("loaded")).expect("it is loaded");
    let wanted = fields(&machine.sandbox.home(), &machine.bin().join("raxx"), "09:30Z", 30);
    assert_eq!(sorted(plist(&loaded)), sorted(wanted), "the old agent is unloaded and the new one is loaded");

    fs::write(machine.home("Library/Logs/raxx/check.log"), "a line\n").expect("a log");
    machine.succeeds("schedule uninstall");
    assert!(!machine.fake("loaded").exists());
    assert_eq!(machine.all_files(), before);
    assert!(!machine.home("Library/Logs/raxx").exists());
    machine.succeeds("schedule uninstall");
    session!(machine);
}

#[test]
fn an_agent_whose_file_was_deleted_is_removed() {
    let machine = Machine::new();
    machine.succeeds("schedule install --via launchd");
    fs::remove_file(machine.home(&format!("Library/LaunchAgents/{LABEL}.plist"))).expect("the file");
    assert!(machine.succeeds("schedule uninstall").contains("launchd agent"));
    assert!(!machine.fake("loaded").exists(), "the agent is still loaded");
    machine.succeeds("schedule uninstall");
    session!(machine);
}

#[test]
fn an_agent_that_launchd_refuses_is_not_left_behind() {
    let machine = Machine::new();
    machine.set("no-bootstrap", "5");
    let said = machine.refused("schedule install --via launchd");
    assert!(said.contains("launchctl bootstrap") && said.contains("refused by the test"), "{said}");
    assert!(!machine.home(&format!("Library/LaunchAgents/{LABEL}.plist")).exists());
    assert!(!machine.sandbox.state().exists(), "a failed installation leaves no state");
    machine.clear("no-bootstrap");

    // No one is logged in at the screen.
    machine.set("no-bootstrap", "125");
    machine.succeeds("schedule install --via launchd");
    assert!(machine.home(&format!("Library/LaunchAgents/{LABEL}.plist")).exists());
    let (code, said) = machine.status();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("type: raxx schedule install"), "{said}");
    session!(machine);
}

#[test]
fn without_a_gui_session_the_agent_waits_for_a_login() {
    // macOS versions report it differently.
    for (refuse, no_session) in [("5", "112"), ("5", "113"), ("5", "125"), ("112", "112"), ("113", "1"), ("125", "1")] {
        let machine = Machine::new();
        machine.set("no-bootstrap", refuse);
        machine.set("no-session", no_session);
        machine.succeeds("schedule install --via launchd");
        assert!(machine.home(&format!("Library/LaunchAgents/{LABEL}.plist")).exists(), "{refuse}, {no_session}");
        let tries = machine.calls().iter().filter(|call| call.starts_with("launchctl bootstrap")).count();
        assert_eq!(tries, 1, "{refuse}, {no_session}");
        // The output is the same each time, and so is the status if `launchctl print` reports it.
        if no_session != "1" {
            assert_eq!(machine.status().0, 1);
        }
        machine.succeeds("schedule install --via launchd");
        let name = if no_session == "1" { "no_session_by_bootstrap" } else { "no_session_by_print" };
        session!(machine, name);
    }
}

#[test]
fn folders_that_macos_protects_from_agents_are_named() {
    let machine = Machine::new();
    let said = machine.succeeds("schedule install --via launchd");
    assert!(!said.contains("Full Disk Access"), "{said}");
    machine.succeeds("schedule uninstall");
    for (folder, link) in [("Documents", ".local"), ("Library/Mobile Documents/dotfiles", ".local/state")] {
        let machine = Machine::new();
        let (real, link) = (machine.home(folder).join("own"), machine.home(link));
        fs::create_dir_all(&real).expect("a directory");
        fs::create_dir_all(link.parent().expect("a parent")).expect("a directory");
        _ = fs::remove_dir_all(&link);
        symlink(&real, &link).expect("a link");
        let said = machine.succeeds("schedule install --via launchd");
        let folder = machine.home(folder.trim_end_matches("/dotfiles"));
        assert!(said.contains(&format!(" {}", folder.display())) && said.contains("Full Disk Access"), "{said}");
        session!(
            machine,
            format!("caveat_{}", folder.file_name().expect("a name").to_string_lossy().replace(' ', "_"))
        );
    }
}

//! The hourly run that a scheduler starts, and what `raxx schedule status` shows of it.

#[cfg(not(target_os = "macos"))]
use std::path::Path;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use std::{fs, thread};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Machine, NAME, SLACK, TOKEN, executable, session};
#[cfg(target_os = "linux")]
use super::{need, spaces};
use crate::snapshot::snapshot;
use crate::support;
use crate::support::loopback::{Answer, ClosedPort, Loopback};
use crate::support::{RAXX, text};

/// A machine with one GitHub token, and the check installed in its crontab, due a minute ago.
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
        machine.succeeds(&format!("schedule install --via cron --at {due}"));
        let watch = Watch { machine, due };
        // As if it had been installed long ago.
        watch.change(|last_run| last_run["since"] = json!("2026-01-01T00:00:00Z"));
        watch.machine.session();
        watch
    }

    /// The status output for a snapshot, without the parts that change daily.
    fn session(&self) -> String {
        self.machine.session().replace(&format!("--at {}", self.due), "--at [CLOCK]")
    }

    fn last_run_file(&self) -> PathBuf {
        self.machine.sandbox.state().join("schedule.json")
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut last_run =
            serde_json::from_slice(&fs::read(self.last_run_file()).expect("the saved run")).expect("JSON");
        change(&mut last_run);
        fs::write(self.last_run_file(), last_run.to_string()).expect("the saved run");
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

/// Asserts that the run did nothing at all.
fn assert_not_due(out: &Output) {
    assert_eq!((out.status.code(), text(&out.stdout), text(&out.stderr)), (Some(0), String::new(), String::new()));
}

#[test]
fn the_check_runs_once_a_day_and_catches_up() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    let out = watch.tick();
    assert!(text(&out.stdout).starts_with("[PASS]"), "{}", text(&out.stderr));
    assert_not_due(&watch.tick());
    assert_eq!(server.attempts(TOKEN), 1);

    // A day later; a year ahead; after the clock was set back; and after the state was deleted or damaged.
    for when in [-1, -365, 3] {
        let at = Timestamp::now() + SignedDuration::from_hours(24 * when);
        watch.change(|last_run| last_run["ran"]["at"] = json!(at.to_string()));
        assert!(text(&watch.tick().stdout).starts_with("[PASS]"), "{when} days");
        assert_not_due(&watch.tick());
    }
    fs::write(watch.last_run_file(), "{\"ran\": {").expect("a damaged file");
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    assert_not_due(&watch.tick());
    fs::remove_file(watch.last_run_file()).expect("the saved run");
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    assert_not_due(&watch.tick());
    assert_eq!(server.attempts(TOKEN), 6);
}

#[test]
fn a_failing_check_counts_as_a_run() {
    let server = Loopback::start();
    let watch = Watch::new(&server.url());
    assert_eq!(watch.tick().status.code(), Some(1));
    assert_not_due(&watch.tick());
    let (code, said) = watch.machine.status();
    assert!(said.contains(&format!("1 FAIL: {NAME}\n")), "{said}");
    assert_eq!(code, 0, "a FAIL is not a broken schedule: {said}");
    snapshot!(watch.machine.sandbox, watch.session());
    let kept = fs::read_to_string(watch.last_run_file()).expect("the saved run");
    assert!(!kept.contains(TOKEN) && !kept.contains("ghp_"), "{kept}");
}

#[test]
fn without_a_network_the_check_is_retried_the_next_hour() {
    let closed = ClosedPort::new();
    let watch = Watch::new(&closed.url());
    for _ in 0..2 {
        assert_eq!(watch.tick().status.code(), Some(1), "{}", "it ran");
    }
    assert_eq!(watch.machine.status().0, 0);
    snapshot!(watch.machine.sandbox, watch.session());
}

#[test]
fn a_morning_without_a_network_sends_no_alert() {
    let closed = ClosedPort::new();
    let watch = Watch::new(&closed.url());
    let config = watch.machine.sandbox.root().join("config.toml");
    let received = watch.machine.home("received");
    let receiver_program = watch.machine.bin().join("receiver_program");
    executable(&receiver_program, &format!("#!/bin/sh\ncat >>{}\n", received.display()));
    let receiver = format!("[alert.slack]\nenabled = false\n[alert.command]\nrun = [{receiver_program:?}]\n");
    let text_of = fs::read_to_string(&config).expect("the configuration").replace(SLACK, &receiver);
    fs::write(&config, text_of).expect("the configuration");
    let due = format!("{}Z", watch.due);
    let tick = || watch.machine.sandbox.run(&["check", "--alert", "--if-due", &due]);
    for _ in 0..4 {
        assert_eq!(tick().status.code(), Some(1));
        assert!(!received.exists(), "an alert was sent on the first day");
    }
    // The next day's check has the same result.
    let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
    watch.change(|last_run| last_run["ran"]["at"] = json!(yesterday.to_string()));
    tick();
    assert!(fs::read_to_string(&received).expect("an alert").contains("\"event\": \"failing\""));
}

#[test]
fn a_check_blocked_by_a_gateway_is_retried_the_next_hour() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    let portal = Answer::html(200, "<html>welcome to the hotel</html>");
    for front in
        [portal, Answer::json(503, "{}"), Answer::edge_block(), Answer::redirect("https://portal.example.test/")]
    {
        server.next("/user", front);
        assert_eq!(watch.tick().status.code(), Some(1), "the check was not due");
    }
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    assert_not_due(&watch.tick());
}

#[test]
fn an_alert_that_failed_is_sent_the_next_hour() {
    let server = Loopback::start();
    let watch = Watch::new(&server.url());
    let due = format!("{}Z", watch.due);
    let tick = || watch.machine.sandbox.run(&["check", "--alert", "--if-due", &due]);
    for _ in 0..2 {
        let out = tick();
        assert_eq!((out.status.code(), text(&out.stdout)), (Some(1), String::new()));
        assert!(text(&out.stderr).contains("raxx store SLACK_BOT_TOKEN"), "{}", text(&out.stderr));
    }
    let (_, said) = watch.machine.status();
    assert!(said.contains("raxx check --alert --test\n"), "{said}");
    snapshot!(watch.machine.sandbox, watch.session());
    let config = watch.machine.sandbox.root().join("config.toml");
    let receiver = "[alert.slack]\nenabled = false\n[alert.command]\nrun = [\"/bin/cat\"]\n";
    let text_of = fs::read_to_string(&config).expect("the configuration").replace(SLACK, receiver);
    fs::write(&config, text_of).expect("the configuration");
    let out = tick();
    assert_eq!(
        (out.status.code(), text(&out.stderr)),
        (Some(1), String::new()),
        "the credential fails, and the alert is delivered"
    );
    assert_not_due(&tick());
}

#[test]
fn uninstall_deletes_undelivered_alerts() {
    let server = Loopback::start();
    let watch = Watch::new(&server.url());
    let due = format!("{}Z", watch.due);
    watch.machine.sandbox.run(&["check", "--alert", "--if-due", &due]);
    let alerts_file = watch.machine.sandbox.state().join("alerts.json");
    assert!(alerts_file.exists());
    watch.machine.succeeds("schedule uninstall");
    let left: Vec<String> = fs::read_dir(watch.machine.sandbox.state())
        .expect("the state")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("alerts") || name.starts_with("schedule"))
        .collect();
    assert_eq!(left, [""; 0]);
    // If nothing was installed, the file may belong to a job of the user's own.
    fs::write(&alerts_file, "{}").expect("the alerts file");
    watch.machine.succeeds("schedule uninstall");
    assert!(alerts_file.exists());
}

#[test]
fn install_warns_of_what_a_scheduler_cannot_see() {
    let mut machine = Machine::new();
    machine.sandbox.env("HEROKU_API_KEY", "HRKU-MadeUpForTheScheduleTests012345");
    let said = machine.succeeds("schedule install");
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(warnings.len(), 2, "{said}");
    assert!(warnings[0].contains("type: raxx store HEROKU_API_KEY"), "{said}");
    assert!(warnings[1].contains("type: raxx store SLACK_BOT_TOKEN"), "{said}");

    // A credential without an item in the store needs one before `raxx store` works.
    let table = "[[credential]]\nprovider = \"heroku\"\nname = ";
    machine.sandbox.config(&format!("{SLACK}{table}\"HEROKU_API_KEY\"\n{table}\"SLACK_BOT_TOKEN\"\n"));
    let said = machine.succeeds("schedule install");
    for name in ["HEROKU_API_KEY", "SLACK_BOT_TOKEN"] {
        let line = said.lines().find(|line| line.ends_with(&format!("type: raxx store {name}"))).unwrap_or_default();
        assert!(line.contains("store = { service = ") && line.contains("[[credential]]"), "{said}");
    }

    machine.sandbox.config("[alert.slack]\nenabled = false\n[alert.command]\nrun = [\"tell-me\"]\n");
    let said = machine.succeeds("schedule install");
    assert!(said.contains("tell-me") && said.contains("[alert.command]"), "{said}");
    machine.sandbox.config("[alert.slack]\nenabled = false\n");
    let said = machine.refused("schedule install");
    assert!(said.contains("enabled = true") && said.contains("[alert.slack]"), "{said}");
    // A channel can be configured afterwards.
    machine.sandbox.config("[[credential]]\nname = \"A\"\nprovider = \"github\"\n");
    let said = machine.succeeds("schedule install --via cron");
    assert!(said.contains("channel = ") && said.contains("[alert.slack]"), "{said}");
    machine.sandbox.config("timeout = 5\n");
    assert!(machine.refused("schedule install").contains("config.toml:1"));
    session!(machine);
}

#[test]
fn two_concurrent_ticks_make_one_run() {
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
    outputs.iter().filter(|out| out.stdout.is_empty()).for_each(assert_not_due);
}

#[test]
fn a_killed_run_is_repeated() {
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
    assert_not_due(&watch.tick());
}

#[test]
fn a_broken_configuration_is_reported_by_the_check_and_the_status() {
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
    assert!(said.contains("config.toml:1"), "{said}");
    fs::write(&config, good).expect("the configuration");
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    let (code, said) = watch.machine.status();
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("config.toml:1"), "{said}");
    snapshot!(watch.machine.sandbox, watch.session());
}

#[cfg(target_os = "linux")]
#[test]
fn a_local_time_uses_the_system_time_zone() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut watch = Watch::new(&server.url());
    watch.machine.sandbox.env("TZ", "Asia/Tokyo");
    let now = Timestamp::now();
    // Installed an hour ago. A time five minutes ago is due; a time three hours ago is not.
    let hour_ago = now - SignedDuration::from_mins(60);
    watch.change(|last_run| last_run["since"] = json!(hour_ago.to_string()));
    let five_west = watch.machine.zone(-5 * 3600, None);
    let tick =
        |mins: i64| watch.machine.run_in_zone(&five_west, &format!("check --if-due {}", shown(now, -5 * 60 - mins)));
    assert_not_due(&tick(180));
    assert!(text(&tick(5).stdout).starts_with("[PASS]"));
    assert_not_due(&tick(5));
}

#[cfg(target_os = "linux")]
/// The time on a clock that is this many minutes ahead of UTC.
fn shown(now: Timestamp, minutes: i64) -> String {
    (now + SignedDuration::from_mins(minutes)).strftime("%H:%M").to_string()
}

/// The clocks change about an hour ago. Each day still has one check.
#[cfg(target_os = "linux")]
#[test]
fn daylight_saving_time_neither_skips_nor_repeats_a_check() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    let now = Timestamp::now();
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let since = |minutes: i64| {
        watch.change(|last_run| {
            last_run["since"] = json!(ago(minutes).to_string());
            last_run["ran"] = json!(null);
        })
    };
    // Clocks went forward 40 minutes ago, skipping the next hour. A time in that hour is due as if they had not changed.
    let forward = watch.machine.zone(0, Some((ago(40), 3600)));
    since(50);
    let tick = |zone: &Path, at: &str| watch.machine.run_in_zone(zone, &format!("check --if-due {at}"));
    assert!(text(&tick(&forward, &shown(ago(40), 10)).stdout).starts_with("[PASS]"), "30 minutes ago");
    since(50);
    assert_not_due(&tick(&forward, &shown(ago(40), 59)));

    // Clocks went back 10 minutes ago. The time shown 30 minutes ago comes again in half an hour; only the first one counts.
    let back = watch.machine.zone(3600, Some((ago(10), 0)));
    let twice = shown(ago(30), 60);
    since(50);
    assert!(text(&tick(&back, &twice).stdout).starts_with("[PASS]"));
    assert_not_due(&tick(&back, &twice));
    assert_eq!(server.attempts(TOKEN), 2);
}

#[test]
fn a_new_installation_waits_and_the_status_shows_the_next_run() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    watch.change(|last_run| last_run["since"] = json!(Timestamp::now().to_string()));
    assert_not_due(&watch.tick());
    let next = Timestamp::now() + SignedDuration::from_hours(24) - SignedDuration::from_secs(60);
    let (code, said) = watch.machine.status();
    assert_eq!(code, 0, "{said}");
    let wanted = format!(" {} {} UTC (in 23 hours)\n", next.strftime("%Y-%m-%d"), watch.due);
    assert!(said.ends_with(&wanted), "{said}{wanted}");
    snapshot!(watch.machine.sandbox, watch.session());
    // Installing it again does not postpone the next run by a day.
    watch.change(|last_run| last_run["since"] = json!("2026-01-01T00:00:00Z"));
    watch.machine.succeeds(&format!("schedule install --via cron --at {}", watch.due));
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
}

#[test]
fn the_status_reports_a_missed_run_and_a_missing_program() {
    let server = Loopback::start();
    let watch = Watch::new(&server.url());
    let due = (Timestamp::now() - SignedDuration::from_hours(3)).strftime("%H:%M").to_string();
    watch.machine.succeeds(&format!("schedule install --via cron --at {due}"));
    watch.machine.session();
    assert_eq!(watch.machine.status().0, 1);

    let crontab = fs::read_to_string(watch.machine.fake("crontab")).expect("a crontab");
    let bin = watch.machine.bin().join("raxx");
    watch.machine.set("crontab", crontab.replace(bin.to_str().expect("UTF-8"), "/nowhere/raxx"));
    let (code, said) = watch.machine.status();
    assert_eq!(code, 1);
    assert!(said.contains("/nowhere/raxx") && said.contains("raxx schedule install"), "{said}");

    watch.machine.set("crontab", "# >>> raxx >>>\n# all gone\n# <<< raxx <<<\n");
    let (code, said) = watch.machine.status();
    assert!(code == 1 && said.contains("raxx schedule install"), "{said}");
    watch.machine.set("crontab", "# >>> raxx >>>\n# no end\n");
    let (code, said) = watch.machine.status();
    assert!(code == 1 && said.contains("raxx schedule install"), "{said}");
    snapshot!(watch.machine.sandbox, watch.session());
}

#[test]
fn a_schedulers_output_cannot_control_the_terminal() {
    let machine = Machine::new();
    machine.set("refuse", "\x1b]0;title\x07crontab: \x1b[31mno\n");
    let out = machine.run("schedule install --via cron");
    assert_eq!(out.status.code(), Some(2));
    assert!(!text(&out.stderr).contains('\x1b'), "{:?}", text(&out.stderr));
}

#[test]
fn a_run_that_is_not_due_does_not_read_the_configuration() {
    // This runs every hour of every day: it must neither read the store nor wait for anything.
    let server = Loopback::start();
    server.accept(TOKEN);
    let watch = Watch::new(&server.url());
    watch.tick();
    let config = watch.machine.sandbox.root().join("config.toml");
    fs::write(config, "not a configuration").expect("the configuration");
    let asked = server.attempts(TOKEN);
    assert_not_due(&watch.tick());
    assert_eq!(server.attempts(TOKEN), asked);
}

#[test]
fn crons_error_message_is_shown() {
    let machine = Machine::new();
    let refusal = "#!/bin/sh\necho 'You (op) are not allowed to use this program (crontab)' >&2\n\
                   echo 'See crontab(1) for more information' >&2\nexit 1\n";
    executable(&machine.bin().join("crontab"), refusal);
    let said = machine.refused("schedule install --via cron");
    assert!(said.contains("You (op) are not allowed to use this program") && !said.contains("See crontab"), "{said}");
    session!(machine);
}

/// In a PID namespace of its own, the test sees no other processes.
#[test]
#[cfg(target_os = "linux")]
fn without_a_cron_daemon_no_next_run_is_shown() {
    let unshare = need("unshare", "util-linux");
    let machine = Machine::new();
    let spaces = spaces(&["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    let run = |line: &str| {
        let script = format!("raxx {line}");
        let mut command = machine.sandbox.command(&unshare);
        let out = command.args(&spaces).args(["sh", "-c", &script]).output().expect("unshare starts");
        machine.record(line, &out);
        out
    };
    let installed = run("schedule install --via cron --at 8");
    let said = text(&installed.stderr);
    assert!(said.contains("type: service cron"), "{said}");
    let status = run("schedule status");
    let said = text(&status.stdout);
    assert!(said.contains("type: service cron") && !said.contains(" 08:00 UTC (in "), "{said}");
    assert_eq!(status.status.code(), Some(1), "{said}");
    // If a cron daemon is running, the status shows the next run.
    let (_, said) = machine.status();
    assert!(!said.contains("type: service cron") && said.contains(" 08:00 UTC (in "), "{said}");
    session!(machine);
}

#[test]
fn the_status_counts_skipped_and_soon_expiring_credentials() {
    let server = Loopback::start();
    let end = (Timestamp::now() + SignedDuration::from_hours(9 * 24 + 1)).strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let user = Answer::json(200, r#"{"login":"octo-op"}"#);
    server.react(TOKEN, user.with("github-authentication-token-expiration", &end));
    let watch = Watch::new(&server.url());
    assert!(text(&watch.tick().stdout).starts_with("[PASS]"));
    watch.change(|last_run| last_run["ran"]["skipped"] = json!(1));
    let (code, said) = watch.machine.status();
    assert!(code == 0 && said.contains(NAME), "{said}");
    snapshot!(watch.machine.sandbox, watch.session());
}

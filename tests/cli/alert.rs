//! `raxx check --alert`: each failure is reported once, and no alert is lost.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::pty::Terminal;
use crate::snapshot::{snapshot, transcript};
use support::loopback::{Answer, ClosedPort, Fault, Loopback, Request, slack_error};
use support::{RAXX, Sandbox, text};

const NAME: &str = "HEROKU_API_KEY";
const KEY: &str = "HRKU-MadeUpForTheAlertTests-000000001234";
const BOT: &str = "xoxb-MadeUpForTheAlertTests-00000000beef";
const POST: &str = "/slack/api/chat.postMessage";
const TEST: &str = "/slack/api/auth.test";

/// One Heroku key, and Slack, on a loopback server. `more` is put into `[alert]` and can continue with other tables.
fn sandbox(server: &Loopback, more: &str) -> Sandbox {
    sandbox_with(&server.config(), &format!("{}/slack/api", server.url()), more)
}

fn sandbox_with(providers: &str, slack: &str, more: &str) -> Sandbox {
    sandbox_patient(providers, slack, "0s", more)
}

fn sandbox_patient(providers: &str, slack: &str, retry_for: &str, more: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"2s\"\n{providers}enabled = false\n\
         [[credential]]\nname = \"{NAME}\"\nprovider = \"heroku\"\nrotate_via = \"docs/heroku.md\"\n\
         [store]\nbackend = \"file\"\nidentity = \"~/identity.txt\"\n\
         [alert.slack]\nchannel = \"D0AJ7K184TV\"\nbase_url = \"{slack}\"\n\
         [alert]\nretry_for = \"{retry_for}\"\n{more}"
    ));
    sandbox.env(NAME, KEY).env("SLACK_BOT_TOKEN", BOT);
    sandbox
}

/// Runs the daily check, which prints nothing to stdout and never shows a value.
fn alert(sandbox: &Sandbox) -> Output {
    let out = sandbox.run(&["check", "--alert"]);
    assert_eq!(text(&out.stdout), "");
    for secret in [KEY, BOT] {
        assert!(!text(&out.stderr).contains(secret), "a value is shown: {}", text(&out.stderr));
    }
    out
}

/// Runs the daily check and asserts that every alert was delivered. Returns the exit code.
fn delivered(sandbox: &Sandbox) -> i32 {
    let out = alert(sandbox);
    assert_eq!(text(&out.stderr), "");
    out.status.code().expect("an exit code")
}

/// The requests that posted a message to Slack.
fn messages(server: &Loopback) -> Vec<Request> {
    server.requests().into_iter().filter(|r| r.path == POST || r.path.starts_with("/services/")).collect()
}

fn read(message: &Request) -> String {
    let body: Value = serde_json::from_slice(&message.body).expect("JSON");
    let blocks = body["blocks"].as_array().expect("blocks");
    let text = |b: &Value| b["text"]["text"].as_str().or(b["elements"][0]["text"].as_str()).map(String::from);
    let whole = blocks.iter().filter_map(text).collect::<Vec<_>>().join("\n");
    whole.replace(&format!("on {} ·", host_name()), "on [HOST] ·")
}

/// The text of all messages that reached Slack, for a snapshot.
fn read_all(server: &Loopback) -> String {
    messages(server).iter().map(read).collect::<Vec<_>>().join("\n\n---\n\n") + "\n"
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn alerts_file(sandbox: &Sandbox) -> PathBuf {
    sandbox.state().join("alerts.json")
}

/// Moves every saved time into the past, as if that much time had passed.
fn age(sandbox: &Sandbox, by: SignedDuration) {
    fn walk(value: &mut Value, by: SignedDuration) {
        match value {
            Value::Object(map) => map.values_mut().for_each(|v| walk(v, by)),
            Value::Array(list) => list.iter_mut().for_each(|v| walk(v, by)),
            Value::String(text) => {
                if let Ok(at) = text.parse::<Timestamp>() {
                    *text = at.checked_sub(by).expect("a time").to_string();
                }
            }
            _ => {}
        }
    }
    for file in ["alerts.json", "last.json"] {
        let file = sandbox.state().join(file);
        let mut value: Value = serde_json::from_slice(&fs::read(&file).expect("the file")).expect("JSON");
        walk(&mut value, by);
        fs::write(file, value.to_string()).expect("written");
    }
}

/// Asserts that no state file contains a secret.
fn assert_value_free(sandbox: &Sandbox) {
    let files = fs::read_dir(sandbox.state()).expect("the state").map(|e| e.unwrap().path());
    for file in files.filter(|f| f.is_file()) {
        let bytes = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!bytes.contains(KEY) && !bytes.contains(BOT) && !bytes.contains("/services/"), "{}", file.display());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", file.display());
    }
}

#[test]
fn a_failure_is_reported_once_then_daily_and_its_recovery_once() {
    let server = Loopback::start();
    server.accept(BOT);
    let sandbox = sandbox(&server, "");
    assert_eq!(delivered(&sandbox), 1);
    let sent = messages(&server);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header("authorization"), Some(format!("Bearer {BOT}").as_str()));
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!((body["channel"].as_str(), body["unfurl_links"].as_bool()), (Some("D0AJ7K184TV"), Some(false)));
    let said = read(&sent[0]);
    assert!(said.contains("\n🔴 *HEROKU_API_KEY* — HTTP 401 (invalid or revoked)\n"), "{said}");
    assert!(said.contains("rotate via: docs/heroku.md · <https://"), "{said}");
    assert!(said.contains("\non [HOST] · ") && !host_name().is_empty(), "{said}");
    assert!(!sent[0].contains(KEY) && !said.contains("HRKU"), "no part of a value leaves the machine: {said}");
    assert_value_free(&sandbox);

    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 1), "alerted twice");
    age(&sandbox, SignedDuration::from_hours(12));
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 1), "alerted twice");
    age(&sandbox, SignedDuration::from_hours(12));
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 2), "not repeated after a day");
    assert!(read(&messages(&server)[1]).contains("🔴 *HEROKU_API_KEY*"), "{}", read(&messages(&server)[1]));

    server.accept(KEY);
    assert_eq!((delivered(&sandbox), messages(&server).len()), (0, 3));
    let said = read(&messages(&server)[2]);
    assert!(said.contains("\n🟢 *HEROKU_API_KEY* ") && said.contains("24 h"), "{said}");
    assert_eq!((delivered(&sandbox), messages(&server).len()), (0, 3));
    snapshot!(sandbox, read_all(&server));
}

#[test]
fn a_pass_sends_no_alert_and_no_request_to_slack() {
    let server = Loopback::start();
    server.accept(KEY);
    let mut sandbox = sandbox(&server, "");
    sandbox.unset("SLACK_BOT_TOKEN");
    assert_eq!(delivered(&sandbox), 0);
    assert!(server.requests().iter().all(|r| !r.path.starts_with("/slack/")));
}

#[test]
fn a_warning_is_sent_and_exits_0() {
    let server = Loopback::start();
    let mut sandbox = Sandbox::new();
    let token = "ghp_MadeUpForTheAlertTests0000000000cdef";
    let soon =
        (Timestamp::now() + SignedDuration::from_hours(9 * 24 + 1)).strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let user = Answer::json(200, r#"{"login":"octo-op"}"#).with("github-authentication-token-expiration", &soon);
    server.react(token, user);
    let url = server.url();
    sandbox.config(&format!(
        "{}enabled = false\n[[credential]]\nname = \"A\"\nprovider = \"github\"\nrotate_via = \"docs/pat.md\"\n\
         [alert.slack]\nchannel = \"#ops\"\nbase_url = \"{url}/slack/api\"\n",
        server.config()
    ));
    sandbox.env("A", token).env("SLACK_BOT_TOKEN", BOT);
    server.accept(BOT);
    assert_eq!((delivered(&sandbox), delivered(&sandbox)), (0, 0));
    assert_eq!(messages(&server).len(), 1);
    let said = read(&messages(&server)[0]);
    assert!(said.contains("\n🟡 *A* — expires in 9 days\nrotate via: docs/pat.md"), "{said}");
    snapshot!(sandbox, read_all(&server));
}

#[test]
fn an_outage_is_reported_by_the_second_run() {
    let server = Loopback::start();
    server.accept(KEY);
    server.accept(BOT);
    let down = Answer::json(503, "{}");
    let sandbox = sandbox(&server, "");
    server.next("/account", down.clone());
    assert_eq!((delivered(&sandbox), delivered(&sandbox)), (1, 0));
    assert_eq!(messages(&server).len(), 0, "one run without a network sends no alert");
    server.next("/account", down.clone());
    server.next("/account", down);
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 0));
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 1));
    assert!(read(&messages(&server)[0]).contains("🔴 *HEROKU_API_KEY*"), "{}", read(&messages(&server)[0]));
    assert_eq!((delivered(&sandbox), messages(&server).len()), (0, 2));
    assert!(read(&messages(&server)[1]).contains("🟢 *HEROKU_API_KEY*"));
    snapshot!(sandbox, read_all(&server));
}

/// What Slack answers when it refuses a message, and the command, table or page that raxx must name.
const REFUSALS: [(&str, &str); 14] = [
    ("invalid_auth", "type: raxx store SLACK_BOT_TOKEN"),
    ("not_authed", "type: raxx store SLACK_BOT_TOKEN"),
    ("account_inactive", "type: raxx store SLACK_BOT_TOKEN"),
    ("token_revoked", "type: raxx store SLACK_BOT_TOKEN"),
    ("token_expired", "type: raxx store SLACK_BOT_TOKEN"),
    ("channel_not_found", "[alert.slack]"),
    ("not_in_channel", "/invite"),
    ("is_archived", "[alert.slack]"),
    ("msg_too_long", ""),
    ("no_text", ""),
    ("restricted_action", ""),
    ("rate_limited", ""),
    ("fatal_error", ""),
    ("something_new", "https://api.slack.com/"),
];

#[test]
fn every_error_from_slack_is_explained_and_the_alert_is_kept() {
    let server = Loopback::start();
    let sandbox = sandbox(&server, "");
    let mut refusals = String::new();
    for (code, what) in REFUSALS {
        server.react_at(POST, BOT, slack_error(code));
        let out = alert(&sandbox);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1));
        assert!(said.contains(&format!("Slack says {code}: ")) && said.contains(what), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        refusals += &format!("{code}\n  {said}");
    }
    let needed = r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"channels:read"}"#;
    server.react_at(POST, BOT, Answer::json(200, needed));
    let said = text(&alert(&sandbox).stderr);
    assert!(said.contains("chat:write"), "{said}");
    snapshot!(sandbox, refusals + &format!("missing_scope\n  {said}"));
    assert_value_free(&sandbox);

    // Deliver the alert, after the key works again too.
    server.accept(KEY);
    let out = alert(&sandbox);
    assert_eq!(out.status.code(), Some(1), "an undelivered alert fails the run");
    server.react_at(POST, BOT, Answer::json(200, r#"{"ok":true,"channel":"D1","ts":"1.1"}"#));
    assert_eq!(delivered(&sandbox), 0);
    assert!(read(messages(&server).last().unwrap()).contains("🟢 *HEROKU_API_KEY*"));
    let count = messages(&server).len();
    assert_eq!((delivered(&sandbox), messages(&server).len()), (0, count));
}

#[test]
fn answers_that_are_not_from_slack() {
    let server = Loopback::start();
    let sandbox = sandbox(&server, "");
    let mut strangers = String::new();
    for (what, answer) in [
        ("a page", Answer::html(200, "<html>welcome to the hotel</html>")),
        ("a redirect", Answer::redirect("https://portal.example.test/")),
        ("HTTP 503", Answer::json(503, "{}")),
        ("JSON of another service", Answer::json(200, "{}")),
    ] {
        server.react_at(POST, BOT, answer);
        let out = alert(&sandbox);
        let said = text(&out.stderr);
        assert_eq!((out.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        strangers += &format!("{what}\n  {said}");
    }
    snapshot!(sandbox, strangers);
}

/// After a dropped connection or a missing response, the message may have been posted anyway.
#[test]
fn an_alert_that_may_have_been_posted_is_retried_once() {
    let server = Loopback::start();
    let mut faults = String::new();
    for fault in [Fault::Reset, Fault::HangBeforeHeaders, Fault::DripHeaders, Fault::Endless, Fault::Noise] {
        let slack = format!("{}/slack/api", server.url());
        let sandbox = sandbox_patient(&server.config(), &slack, "2s", "");
        let before = messages(&server).len();
        let sent = || messages(&server).len() - before;
        server.react_at(POST, BOT, fault);
        let first = text(&alert(&sandbox).stderr);
        assert!(first.contains("127.0.0.1"), "{fault:?}: {first}");
        assert_eq!((sent(), first.lines().count()), (1, 1), "{fault:?}: posted again in the same run");
        let second = text(&alert(&sandbox).stderr);
        assert!(second.contains("24 h"), "{second}");
        assert_eq!((sent(), second.lines().count()), (2, 1), "{fault:?}");
        faults += &format!("{fault:?}, the first run and the second\n  {first}  {second}");
        assert_eq!((delivered(&sandbox), sent()), (1, 2), "{fault:?}: posted more than twice");
        // The alert is not lost.
        age(&sandbox, SignedDuration::from_hours(24));
        server.accept(BOT);
        server.react_at(POST, BOT, Answer::json(200, r#"{"ok":true,"channel":"D1","ts":"1.1"}"#));
        assert_eq!((delivered(&sandbox), sent()), (1, 3), "{fault:?}");
    }
    snapshot!(Sandbox::new(), faults);
}

#[test]
fn a_slow_slack_is_given_more_time_than_a_provider() {
    let server = Loopback::start();
    server.accept(BOT);
    let sandbox = sandbox_patient(&server.config(), &format!("{}/slack/api", server.url()), "40s", "");
    // One byte every tenth of a second takes longer than the 2 s that a provider has.
    server.next(POST, Fault::DripBody);
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 1));
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 1), "alerted twice");
}

/// A second configuration on the same machine keeps its alerts apart from the first one's.
#[test]
fn two_configurations_in_one_state_directory_have_separate_alerts() {
    let server = Loopback::start();
    server.accept(BOT);
    let mut sandbox = sandbox(&server, "");
    let one = sandbox.root().join("config.toml");
    let two = sandbox.root().join("other.toml");
    let text_of_one = fs::read_to_string(&one).unwrap();
    fs::write(&two, text_of_one.replace(NAME, "OTHER_KEY")).unwrap();
    sandbox.env("OTHER_KEY", "HRKU-MadeUpForTheAlertTests-000000005678");
    for sent in [(1, 2), (2, 2), (2, 2)] {
        assert_eq!((delivered(sandbox.env("RAXX_CONFIG", &one)), messages(&server).len()), (1, sent.0));
        assert_eq!((delivered(sandbox.env("RAXX_CONFIG", &two)), messages(&server).len()), (1, sent.1));
    }
    // The same credential name, but other providers and other receivers.
    fs::write(&two, text_of_one.replace("D0AJ7K184TV", "C0FFEE")).unwrap();
    assert_eq!((delivered(sandbox.env("RAXX_CONFIG", &two)), messages(&server).len()), (1, 3));

    // A run of one configuration does not lose the undelivered alerts of the other.
    fs::write(&two, text_of_one.replace(NAME, "OTHER_KEY")).unwrap();
    server.accept(KEY);
    server.react_at(POST, BOT, slack_error("rate_limited"));
    let out = alert(sandbox.env("RAXX_CONFIG", &one));
    assert_eq!((out.status.code(), text(&out.stderr).lines().count()), (Some(1), 1), "the key works, Slack does not");
    server.react_at(POST, BOT, Answer::json(200, r#"{"ok":true,"channel":"D1","ts":"1.1"}"#));
    delivered(sandbox.env("RAXX_CONFIG", &two));
    delivered(sandbox.env("RAXX_CONFIG", &one));
    assert!(read(messages(&server).last().unwrap()).contains("🟢 *HEROKU_API_KEY*"));
}

/// Of two overlapping runs, the one that started later counts, whichever finishes first.
#[test]
fn an_older_slower_run_does_not_alert_after_a_newer_one() {
    let server = Loopback::start();
    server.accept(BOT);
    let mut sandbox = sandbox(&server, "");
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&config.replace("timeout = \"2s\"", "timeout = \"40s\""));
    server.latency(Duration::from_secs(6));
    thread::scope(|scope| {
        let older = scope.spawn(|| alert(&sandbox));
        let until = Instant::now() + Duration::from_secs(20);
        while server.attempts(KEY) == 0 {
            assert!(Instant::now() < until, "the provider got no request");
            thread::sleep(Duration::from_millis(10));
        }
        server.latency(Duration::ZERO);
        server.accept(KEY);
        assert_eq!(delivered(&sandbox), 0);
        assert_eq!(older.join().unwrap().status.code(), Some(1), "the older run got the 401");
    });
    assert_eq!(messages(&server).len(), 0, "the newer run got a PASS");
    let listed: Value = serde_json::from_slice(&sandbox.run(&["list", "--json"]).stdout).unwrap();
    assert_eq!(listed["credentials"][0]["verdict"], "PASS");
    assert_eq!((delivered(&sandbox), messages(&server).len()), (0, 0));
}

#[test]
fn one_network_failure_is_one_paragraph() {
    let (server, closed) = (Loopback::start(), ClosedPort::new());
    server.accept(BOT);
    let more = "[[credential]]\nname = \"OTHER\"\nprovider = \"github\"\n";
    let providers = support::loopback::config(&closed.url());
    let mut sandbox = sandbox_with(&providers, &format!("{}/slack/api", server.url()), more);
    sandbox.env("OTHER", "ghp_MadeUpForTheAlertTests0000000000cdef");
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 0));
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 1));
    let said = read(&messages(&server)[0]);
    assert!(said.contains("\n🔴 *HEROKU_API_KEY*, *OTHER* — ") && said.contains("127.0.0.1\n"), "{said}");
    snapshot!(sandbox, read_all(&server));
}

#[test]
fn an_unwritable_state_directory_is_reported_once() {
    let server = Loopback::start();
    server.accept(BOT);
    let sandbox = sandbox(&server, "");
    // As on a full disk.
    let line = "trap '' XFSZ; ulimit -f 0; exec raxx check --alert";
    let out = sandbox.command("sh").args(["-c", line]).output().unwrap();
    let said = text(&out.stderr);
    assert_eq!(messages(&server).len(), 1, "the alert is sent anyway");
    assert_eq!(said.matches("/alerts.json").count(), 1, "{said}");
    assert!(!said.contains("/.tmp"), "names a temporary file: {said}");
    snapshot!(sandbox, transcript("raxx check --alert", &out));
}

#[test]
fn a_rate_limit_or_an_outage_is_retried() {
    let server = Loopback::start();
    let limited = Answer::json(429, r#"{"ok":false,"error":"ratelimited"}"#);
    // Each row: the first answer, and how many requests Slack gets.
    let patient = |retry_for| sandbox_patient(&server.config(), &format!("{}/slack/api", server.url()), retry_for, "");
    let moments: [(Answer, usize); 3] =
        [(limited.clone().with("Retry-After", "1"), 2), (Answer::json(503, ""), 2), (slack_error("invalid_auth"), 2)];
    for (first, times) in moments {
        let sandbox = patient("20s");
        let before = messages(&server).len();
        server.accept(BOT);
        server.next(POST, first);
        let begun = Instant::now();
        assert_eq!(delivered(&sandbox), 1);
        assert_eq!(messages(&server).len() - before, times);
        assert!(begun.elapsed() >= Duration::from_secs(1), "Slack was retried without a wait");
    }

    // If Slack asks for a longer wait than there is time, the next run sends the alert.
    let patient = patient("5s");
    server.next(POST, limited.with("Retry-After", "300"));
    let begun = Instant::now();
    let said = text(&alert(&patient).stderr);
    assert!(said.contains("300 s") && said.contains("HTTP 429"), "{said}");
    snapshot!(patient, said);
    assert!(begun.elapsed() < Duration::from_secs(4));

    // Sending a dead token again does not help: two attempts are enough.
    let before = messages(&server).len();
    server.react_at(POST, BOT, slack_error("token_revoked"));
    alert(&patient);
    assert_eq!(messages(&server).len() - before, 2);

    // If Slack rejects the blocks, the message is sent as plain text.
    let plain = Loopback::start();
    plain.accept(BOT);
    plain.next(POST, slack_error("invalid_blocks"));
    let sandbox = sandbox_with(&plain.config(), &format!("{}/slack/api", plain.url()), "");
    assert_eq!(delivered(&sandbox), 1);
    let second: Value = serde_json::from_slice(&messages(&plain)[1].body).unwrap();
    let said = second["text"].as_str().unwrap().replace(&host_name(), "[HOST]");
    assert!(second.get("blocks").is_none() && said.contains("*HEROKU_API_KEY*"), "{said}");
    snapshot!(sandbox, "message_as_plain_text", said);
}

#[test]
fn without_a_token_or_a_network_the_next_run_sends_the_alert() {
    let server = Loopback::start();
    server.accept(BOT);
    let mut sandbox = sandbox(&server, "");
    sandbox.unset("SLACK_BOT_TOKEN");
    let said = text(&alert(&sandbox).stderr);
    assert!(said.contains("type: raxx store SLACK_BOT_TOKEN"), "{said}");
    snapshot!(sandbox, "no_token", said);
    #[cfg(target_os = "linux")]
    {
        let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
        let keeping = "backend = \"file\"\nidentity = \"~/identity.txt\"";
        let mut without = Sandbox::new();
        without.config(&config.replace(keeping, "backend = \"secret-service\"")).env(NAME, KEY);
        without.unset("DBUS_SESSION_BUS_ADDRESS");
        let said = text(&alert(&without).stderr);
        assert!(said.contains("Secret Service") && said.contains("type: raxx store SLACK_BOT_TOKEN"), "{said}");
        snapshot!(without, "no_token_and_no_store", said);
    }
    // A credential without an item in the store needs one before `raxx store` works.
    let listed = "[[credential]]\nname = \"SLACK_BOT_TOKEN\"\nprovider = \"slack\"\n";
    let placeless = {
        let mut placeless = sandbox_with(&server.config(), &format!("{}/slack/api", server.url()), listed);
        placeless.unset("SLACK_BOT_TOKEN");
        placeless
    };
    let said = text(&alert(&placeless).stderr);
    let place = "store = { service = \"…\", account = \"…\" } to its [[credential]]";
    assert!(said.contains(place) && said.contains("type: raxx store SLACK_BOT_TOKEN"), "{said}");
    snapshot!(placeless, "no_token_and_no_place_for_one", said);
    sandbox.env("SLACK_BOT_TOKEN", "two\nlines");
    let said = text(&alert(&sandbox).stderr);
    assert!(said.contains("SLACK_BOT_TOKEN") && !said.contains("two") && said.contains("newline"), "{said}");
    snapshot!(sandbox, "no_token_but_two_lines", said);
    sandbox.env("SLACK_BOT_TOKEN", BOT);
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 1));

    let closed = ClosedPort::new();
    let dark = sandbox_with(&server.config(), &closed.url(), "");
    let said = text(&alert(&dark).stderr);
    assert!(said.contains("127.0.0.1"), "{said}");
    snapshot!(dark, "no_network", said);
}

#[test]
fn a_run_killed_before_sending_loses_no_alert() {
    for (signal, exit) in [(rustix::process::Signal::KILL, None), (rustix::process::Signal::INT, Some(130))] {
        let server = Loopback::start();
        let sandbox = sandbox(&server, "");
        server.next(POST, Fault::HangBeforeHeaders);
        let mut child = std::process::Command::new(RAXX)
            .args(["check", "--alert"])
            .env_clear()
            .envs(sandbox.environment().iter().cloned())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("raxx starts");
        let until = Instant::now() + Duration::from_secs(20);
        while messages(&server).is_empty() {
            assert!(Instant::now() < until, "Slack got no request");
            thread::sleep(Duration::from_millis(10));
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).expect("it runs");
        assert_eq!(child.wait().expect("ended").code(), exit);
        // The key works again by now. The next run must still report the recovery.
        server.accept(KEY);
        server.accept(BOT);
        assert_eq!((delivered(&sandbox), messages(&server).len()), (0, 2));
        assert!(read(&messages(&server)[1]).contains("🟢 *HEROKU_API_KEY*"));
    }
}

#[test]
fn two_runs_at_once_send_one_alert() {
    let server = Loopback::start();
    server.accept(BOT);
    server.latency(Duration::from_millis(300));
    let sandbox = sandbox(&server, "");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(delivered(&sandbox), 1));
        }
    });
    assert_eq!(messages(&server).len(), 1);
}

#[test]
fn setting_the_clock_back_repeats_no_alert() {
    let server = Loopback::start();
    server.accept(BOT);
    let sandbox = sandbox(&server, "");
    delivered(&sandbox);
    age(&sandbox, SignedDuration::from_hours(-50));
    delivered(&sandbox);
    delivered(&sandbox);
    assert_eq!(messages(&server).len(), 1);
    age(&sandbox, SignedDuration::from_hours(24));
    delivered(&sandbox);
    assert_eq!(messages(&server).len(), 2, "silenced permanently");
    fs::write(alerts_file(&sandbox), "{ half a b").unwrap();
    delivered(&sandbox);
    assert_eq!(messages(&server).len(), 3, "a damaged alerts file costs one extra message");
}

#[test]
fn fifty_failures_are_one_message_with_provider_text_escaped() {
    let server = Loopback::start();
    server.accept(BOT);
    let mut sandbox = Sandbox::new();
    let url = server.url();
    let mut config = format!(
        "[vault.infisical]\nenabled = false\n[alert.slack]\nbase_url = \"{url}/slack/api\"\nchannel = \"C0FFEE\"\n\
         [provider.own]\nbase_url = \"{url}\"\npath = \"/user\"\nidentity = \"/login\"\n\
         [[provider.own.rule]]\nstatus = 401\njson = {{ \"/message\" = {{ present = true }} }}\nkind = \"rejected\"\n\
         words = \"{{/message}}\"\n"
    );
    for i in 0..50 {
        let token = format!("made-up-token-number-{i:02}-of-fifty");
        let words = json!({ "message": format!("no {i:02} <!channel> & <https://evil.test|click>\u{1b}[31m") });
        server.react(&token, Answer::json(401, &words.to_string()));
        config +=
            &format!("[[credential]]\nname = \"TOKEN_{i:02}\"\nprovider = \"own\"\nrotate_via = \"docs/{i}.md\"\n");
        sandbox.env(format!("TOKEN_{i:02}"), token);
    }
    sandbox.config(&config).env("SLACK_BOT_TOKEN", BOT);
    assert_eq!(delivered(&sandbox), 1);
    let sent = messages(&server);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains("\"channel\":\"C0FFEE\""));
    let said = read(&sent[0]);
    assert!(said.lines().next().is_some_and(|header| header.contains("50")), "{said}");
    for i in 0..50 {
        let line = format!("🔴 *TOKEN_{i:02}* — no {i:02} &lt;!channel&gt; &amp; &lt;https://evil.test|click&gt;");
        assert!(said.contains(&line), "{i}: {said}");
    }
    assert!(!said.contains('<') && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn a_test_message_shows_the_tokens_owner_and_slacks_answer() {
    let server = Loopback::start();
    server.accept(BOT);
    let sandbox = sandbox(&server, "");
    let test = || {
        let out = sandbox.run(&["check", "--alert", "--test"]);
        assert_eq!(text(&out.stderr), "");
        (text(&out.stdout), out.status.code().unwrap())
    };
    let (good, exit) = test();
    assert!(good.starts_with("[PASS] Slack    ") && good.lines().count() == 1 && exit == 0, "{good}");
    for words in ["raxxbot", "Example", "https://example.slack.com/", "D0AJ7K184TV"] {
        assert!(good.contains(words), "{good}");
    }
    snapshot!(sandbox, "test_message", read_all(&server));
    assert!(!server.requests().iter().any(|r| r.path == "/account"), "nothing is checked");

    let rotating =
        r#"{"ok":true,"url":"https://example.slack.com/","team":"Example","user":"raxxbot","expires_in":36000}"#;
    server.next(TEST, Answer::json(200, rotating));
    let (expiring, _) = test();
    assert!(expiring.starts_with("[PASS] Slack    ") && expiring.contains("10 h"), "{expiring}");
    let mut lines = good + &expiring;
    for (code, what) in REFUSALS {
        for path in [TEST, POST] {
            server.next(path, slack_error(code));
            // If Slack rejects the message's format, it is sent again as plain text.
            server.next(path, slack_error(code));
            let (said, exit) = test();
            assert!(said.starts_with("[FAIL] Slack    ") && said.contains(code) && said.contains(what), "{said}");
            assert_eq!((said.lines().count(), exit), (1, 1), "{path} {code}: {said}");
            server.no_next(path);
            if code == "channel_not_found" {
                lines += &said;
            }
        }
    }
    server.next(TEST, Answer::json(429, r#"{"ok":false,"error":"ratelimited"}"#).with("Retry-After", "30"));
    let (limited, exit) = test();
    assert!(limited.starts_with("[FAIL] Slack    ") && limited.contains("30 s") && exit == 1, "{limited}");
    snapshot!(sandbox, "test_lines", lines + &limited);
    assert!(!alerts_file(&sandbox).exists(), "a test message is not recorded as an alert");
}

#[test]
fn a_webhook_gets_the_alert_and_its_url_is_secret() {
    let server = Loopback::start();
    let path = "/services/T00000000/B00000000/MadeUpForTheAlertTests";
    server.accept(path);
    let mut sandbox = sandbox(&server, "[alert.command]\nrun = [\"true\"]\n");
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&config.replace("[alert.slack]\n", "[alert.slack]\nwebhook = \"OPS_WEBHOOK\"\n"));
    let address = format!("{}{path}", server.url());
    sandbox.unset("SLACK_BOT_TOKEN").env("OPS_WEBHOOK", &address);
    assert_eq!(delivered(&sandbox), 1);
    assert_eq!(messages(&server).len(), 1);
    assert_eq!(messages(&server)[0].header("authorization"), None);
    assert!(read(&messages(&server)[0]).contains("\n🔴 *HEROKU_API_KEY* — "));
    assert_value_free(&sandbox);

    let mut seen = String::new();
    let mut test = |sandbox: &Sandbox| {
        let out = sandbox.run(&["check", "--alert", "--test"]);
        seen += &transcript("raxx check --alert --test", &out);
        text(&out.stdout)
    };
    assert!(test(&sandbox).starts_with("[PASS] Slack    "));
    server.revoke(path);
    let said = test(&sandbox);
    assert!(said.starts_with("[FAIL] Slack    ") && said.contains("no_service"), "{said}");
    sandbox.env("OPS_WEBHOOK", "not an address MadeUpForTheAlertTests");
    let said = test(&sandbox);
    assert!(said.starts_with("[FAIL] Slack    ") && !said.contains("MadeUp"), "{said}");

    // The webhook is stored like any other secret, and verified with a request that posts nothing.
    sandbox.unset("OPS_WEBHOOK");
    let mut stored = String::new();
    let mut store = |value: &str| {
        let out = sandbox.raxx().args(["store", "OPS_WEBHOOK", "--stdin"]).write_stdin(value).output().unwrap();
        assert!(!text(&out.stderr).contains("MadeUp"), "{}", text(&out.stderr));
        stored += &transcript("raxx store OPS_WEBHOOK --stdin", &out);
        (text(&out.stderr), out.status.code().unwrap())
    };
    let (said, exit) = store(&address);
    assert!(said.contains("[FAIL] OPS_WEBHOOK") && said.contains("no_service") && exit == 1, "{said}");
    server.accept(path);
    let before = messages(&server).len();
    let (said, exit) = store(&address);
    assert!(said.contains("[PASS] OPS_WEBHOOK") && exit == 0, "{said}");
    assert_eq!(messages(&server)[before].body, b"{}", "nothing is posted");
    for (status, words) in [(404, "channel_not_found"), (410, "channel_is_archived"), (418, "something_new")] {
        server.next(path, Answer::foreign(status, "text/plain", words));
        let (said, exit) = store(&address);
        assert!(said.contains("[FAIL] OPS_WEBHOOK") && exit == 1, "{said}");
    }
    assert!(test(&sandbox).starts_with("[PASS] Slack    "));
    snapshot!(sandbox, "webhook_tests", seen);
    snapshot!(sandbox, "webhook_stored", stored);
}

#[test]
fn the_bot_token_is_verified_stored_and_not_in_the_report() {
    let server = Loopback::start();
    let mut sandbox = sandbox(&server, "");
    sandbox.unset("SLACK_BOT_TOKEN");
    let mut stored = String::new();
    let mut store = || {
        let out = sandbox.raxx().args(["store", "SLACK_BOT_TOKEN", "--stdin"]).write_stdin(BOT).output().unwrap();
        stored += &transcript("raxx store SLACK_BOT_TOKEN --stdin", &out);
        (text(&out.stderr), out.status.code().unwrap())
    };
    let (said, exit) = store();
    let redacted = "SLACK_BOT_TOKEN    (redacted xoxb…beef) — ";
    assert!(said.contains(&format!("[FAIL] {redacted}")) && said.contains("invalid_auth"), "{said}");
    assert_eq!(exit, 1);
    server.accept(BOT);
    let (said, exit) = store();
    assert!(said.contains(&format!("[PASS] {redacted}raxxbot")), "{said}");
    assert_eq!(exit, 0);
    snapshot!(sandbox, stored);
    assert_eq!((delivered(&sandbox), messages(&server).len()), (1, 1), "it is read from the store");
    let out = sandbox.run(&["check"]);
    assert!(!text(&out.stdout).contains("SLACK"), "{}", text(&out.stdout));
    assert!(!text(&sandbox.run(&["export", "sh"]).stdout).contains("SLACK"), "it is never exported");
}

#[test]
fn slack_is_also_a_provider() {
    let server = Loopback::start();
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "[vault.infisical]\nenabled = false\n[alert.slack]\nbase_url = \"{}/slack/api\"\n\
         [[credential]]\nname = \"SLACK_BOT_TOKEN\"\nprovider = \"slack\"\n",
        server.url()
    ));
    sandbox.env("SLACK_BOT_TOKEN", BOT);
    let user =
        r#"{"ok":true,"url":"https://example.slack.com/","team":"Example","user":"raxxbot","user_id":"U0000000000"}"#;
    let rotating = r#"{"ok":true,"team":"Example","user":"raxxbot","user_id":"U0000000000","expires_in":36000}"#;
    let limited = Answer::json(429, r#"{"ok":false,"error":"ratelimited"}"#).with("Retry-After", "30");
    let scope = r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"channels:read"}"#;
    let mut verdicts = String::new();
    for (answer, kind, word) in [
        (Answer::json(200, user), "valid", "raxxbot"),
        (Answer::json(200, rotating), "valid", "10 hours"),
        (slack_error("invalid_auth"), "rejected", "invalid_auth"),
        (slack_error("token_revoked"), "rejected", "token_revoked"),
        (slack_error("token_expired"), "rejected", "token_expired"),
        (slack_error("account_inactive"), "rejected", "account_inactive"),
        (slack_error("not_authed"), "blocked", "not_authed"),
        (Answer::json(200, scope), "limited", "chat:write"),
        (slack_error("rate_limited"), "unreachable", "rate_limited"),
        (limited, "unreachable", "30 s"),
    ] {
        server.next(TEST, answer);
        let out = sandbox.run(&["check", "--json"]);
        let report: Value = serde_json::from_slice(&out.stdout).unwrap();
        let row = &report["credentials"][0];
        let words = row["words"].as_str().unwrap();
        assert!(row["kind"] == kind && words.contains(word), "{row:#}");
        verdicts += &format!("{kind}: {words}\n");
    }
    snapshot!(sandbox, verdicts);
    assert!(server.requests().iter().all(|r| r.method == "POST"), "Slack's methods require POST");
}

/// Writes a program to the sandbox's home and returns its path.
fn program(sandbox: &Sandbox, name: &str, script: &str) -> PathBuf {
    let file = sandbox.home().join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[test]
fn a_command_gets_the_report_on_stdin_and_no_secret() {
    let server = Loopback::start();
    server.accept(BOT);
    let mut sandbox = sandbox(&server, "");
    let home = sandbox.home();
    let teller = program(
        &sandbox,
        "tell",
        "[ -e \"$HOME/down\" ] && { echo 'the pager is down' >&2; exit 3; }\n\
         cat >\"$HOME/stdin-$$\"; printf '%s\\n' \"$@\" >\"$HOME/arguments\"; env >\"$HOME/environment\"\n",
    );
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    let run = format!("{config}[alert.command]\nrun = [{:?}, \"--to\", \"$(id)\"]\n", teller.display().to_string());
    sandbox.config(&run);
    fs::write(home.join("down"), "").unwrap();
    let out = alert(&sandbox);
    let said = text(&out.stderr);
    assert!(said.contains("/tell ") && said.contains("3") && said.contains("the pager is down\n"), "{said}");
    snapshot!(sandbox, "alert_command_fails", transcript("raxx check --alert", &out));
    assert_eq!(messages(&server).len(), 1, "a failing receiver does not stop the others");

    fs::remove_file(home.join("down")).unwrap();
    assert_eq!((delivered(&sandbox), delivered(&sandbox)), (1, 1));
    assert_eq!(messages(&server).len(), 1);
    let given: Vec<PathBuf> = fs::read_dir(&home)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("stdin-"))
        .collect();
    assert_eq!(given.len(), 1, "alerted twice");
    let report: Value = serde_json::from_slice(&fs::read(&given[0]).unwrap()).unwrap();
    assert_eq!((&report["version"], &report["verdict"]), (&json!(1), &json!("FAIL")));
    assert_eq!(report["credentials"][0]["kind"], "rejected");
    let notice = &report["alert"]["notices"][0];
    assert_eq!(
        (&notice["name"], &notice["event"], &notice["repeated"]),
        (&json!(NAME), &json!("failing"), &json!(false))
    );
    assert!(notice["since"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!(fs::read_to_string(home.join("arguments")).unwrap(), "--to\n$(id)\n", "no shell expands the arguments");
    let environment = fs::read_to_string(home.join("environment")).unwrap();
    assert!(!environment.contains(KEY) && !environment.contains(BOT) && environment.contains("HOME="), "{environment}");

    let missing = sandbox_with(&server.config(), &server.url(), "[alert.command]\nrun = [\"no-such-program\"]\n");
    let said = text(&alert(&missing).stderr);
    // Slack fails as well, and either can come first.
    let line = said.lines().find(|line| line.contains("no-such-program")).expect("a line about the program");
    snapshot!(missing, "alert_command_not_found", line);
}

#[test]
#[cfg(target_os = "linux")]
fn a_desktop_notification_shows_markup_as_plain_text() {
    let server = Loopback::start();
    server.react(KEY, Answer::json(403, r#"{"id":"unusual","message":"<b>&$(id)"}"#));
    let mut sandbox = sandbox(&server, "[alert.desktop]\nenabled = true\n");
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&config.replace("[alert.slack]\n", "[alert.slack]\nenabled = false\n"));
    program(&sandbox, "notify-send", "printf '%s\\n' \"$@\" >>\"$HOME/shown\"\n");
    let path = format!("{}:/usr/bin:/bin", sandbox.home().display());
    sandbox.env("PATH", path);
    let nowhere = sandbox.raxx().env("PATH", sandbox.root().join("nowhere")).args(["check", "--alert"]).output();
    let said = text(&nowhere.unwrap().stderr);
    assert!(said.contains("notify-send") && said.contains("[alert.desktop]"), "{said}");
    snapshot!(sandbox, "notifier_not_found", said);
    assert_eq!((delivered(&sandbox), delivered(&sandbox)), (1, 1));
    let shown = fs::read_to_string(sandbox.home().join("shown")).unwrap();
    let begins = "--app-name=raxx\n--urgency=critical\n--\nraxx: ";
    assert!(shown.starts_with(begins) && shown.matches("--app-name").count() == 1, "{shown}");
    assert!(shown.contains("\nHEROKU_API_KEY: ") && shown.contains("&lt;b&gt;&amp;$(id)"), "{shown}");
    assert!(shown.ends_with("\ntype: raxx check\n"), "{shown}");
    let test = sandbox.run(&["check", "--alert", "--test"]);
    assert_eq!(test.status.code(), Some(0));
    let shown = fs::read_to_string(sandbox.home().join("shown")).unwrap().replace(&host_name(), "[HOST]");
    snapshot!(sandbox, "notifications", shown);
    snapshot!(sandbox, "test_of_the_desktop", transcript("raxx check --alert --test", &test));
    assert!(server.requests().iter().all(|r| !r.path.starts_with("/slack/")), "Slack is off");
}

/// No program can tell whether a notification was shown, so raxx asks the user.
#[test]
fn the_desktop_test_asks_whether_the_notification_appeared() {
    let mut sandbox = Sandbox::new();
    sandbox.config("[alert.slack]\nenabled = false\n[alert.desktop]\nenabled = true\n");
    let notifier = if cfg!(target_os = "macos") { "osascript" } else { "notify-send" };
    program(&sandbox, notifier, "exit 0\n");
    let path = format!("{}:/usr/bin:/bin", sandbox.home().display());
    sandbox.env("PATH", path);
    let mut screens = String::new();
    for (answer, verdict, code) in [("y", "[PASS] ", 0), ("n", "[FAIL] ", 1), ("", "[FAIL] ", 1)] {
        let args = ["check", "--alert", "--test"];
        let mut terminal = Terminal::open(Path::new(RAXX), &args, sandbox.environment(), &sandbox.home());
        terminal.wait_for(" [y/N] ");
        terminal.line(answer);
        assert_eq!(terminal.end(), code);
        assert!(terminal.screen().contains(verdict), "{}", terminal.screen());
        screens += &format!("{}\n\n", terminal.screen());
    }
    if cfg!(target_os = "linux") {
        assert!(screens.contains(notifier));
        snapshot!(sandbox, screens);
    }
}

#[test]
fn no_receiver_and_conflicting_options_are_usage_errors() {
    let server = Loopback::start();
    let mut sandbox = sandbox(&server, "");
    let mut mistakes = String::new();
    for args in [&["check", "--test"][..], &["check", "--alert", "--json"], &["check", "--alert", "--quiet"]] {
        let out = sandbox.run(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        mistakes += &transcript(&format!("raxx {}", args.join(" ")), &out);
    }
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&config.replace("[alert.slack]\n", "[alert.slack]\nenabled = false\n"));
    let out = sandbox.run(&["check", "--alert"]);
    assert_eq!(out.status.code(), Some(2));
    let said = text(&out.stderr);
    assert!(
        said.contains("enabled = true") && said.contains("[alert.slack]") && said.contains("config.toml"),
        "{said}"
    );
    snapshot!(sandbox, mistakes + &transcript("raxx check --alert", &out));
    assert!(server.requests().is_empty());
}

#[test]
fn custom_credentials_post_nowhere_without_a_channel() {
    let server = Loopback::start();
    server.accept(BOT);
    let mut sandbox = sandbox(&server, "");
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    let silent = config.replace("channel = \"D0AJ7K184TV\"\n", "");
    let place = sandbox.root().join("config.toml").display().to_string();
    let mut seen = String::new();
    for text_of in [silent.clone(), silent.replace("[alert.slack]\n", "[alert.slack]\nenabled = true\n")] {
        sandbox.config(&text_of);
        for (args, code) in [(&["check", "--alert"][..], 1), (&["check", "--alert", "--test"], 2)] {
            let out = sandbox.run(args);
            let said = text(&out.stderr);
            assert_eq!((out.status.code(), text(&out.stdout)), (Some(code), String::new()), "{said}");
            assert!(said.contains("channel = ") && said.contains("[alert.slack]") && said.contains(&place), "{said}");
            assert!(said.ends_with("type: raxx check --alert --test\n"), "{said}");
            seen += &transcript(&format!("raxx {}", args.join(" ")), &out);
        }
        assert!(sandbox.state().join("alerts.json").exists(), "the alert is kept for the next run that can send it");
        assert!(text(&sandbox.run(&["list"]).stdout).contains("FAIL"), "the verdict is saved");
    }
    assert!(server.requests().iter().all(|r| !r.path.starts_with("/slack/")), "nothing is posted");
    snapshot!(sandbox, seen);
    // With another receiver it is not an error, and Slack is not used.
    sandbox.config(&format!("{silent}[alert.command]\nrun = [\"true\"]\n"));
    assert_eq!(sandbox.run(&["check", "--alert"]).status.code(), Some(1));
    assert!(server.requests().iter().all(|r| !r.path.starts_with("/slack/")), "nothing is posted");
}

#[test]
fn without_a_state_directory_a_failed_alert_is_not_kept() {
    let server = Loopback::start();
    let mut sandbox = sandbox(&server, "");
    let in_the_way = sandbox.home().join("a-file");
    fs::write(&in_the_way, "").unwrap();
    sandbox.env("XDG_STATE_HOME", &in_the_way);
    server.react_at(POST, BOT, slack_error("invalid_auth"));
    let out = alert(&sandbox);
    assert_eq!(out.status.code(), Some(1));
    snapshot!(sandbox, transcript("raxx check --alert", &out));
}

#[test]
#[cfg(target_os = "linux")]
fn a_notification_stays_short_with_many_failures() {
    let server = Loopback::start();
    let mut sandbox = Sandbox::new();
    let url = server.url();
    let mut config = format!(
        "[vault.infisical]\nenabled = false\n[alert.slack]\nenabled = false\n[alert.desktop]\nenabled = true\n\
         [provider.own]\nbase_url = \"{url}\"\npath = \"/user\"\n\
         [[provider.own.rule]]\nstatus = 401\njson = {{ \"/message\" = {{ present = true }} }}\nkind = \"rejected\"\n\
         words = \"{{/message}}\"\n"
    );
    // Seven failures with the same text, and eight with different ones.
    for i in 0..15 {
        let (name, token) = (format!("TOKEN_{i:02}"), format!("made-up-token-number-{i:02}-of-fifteen"));
        let words = json!({ "message": if i < 7 { "no".into() } else { format!("no {i}") } });
        server.react(&token, Answer::json(401, &words.to_string()));
        config += &format!("[[credential]]\nname = \"{name}\"\nprovider = \"own\"\n");
        sandbox.env(name, token);
    }
    program(&sandbox, "notify-send", "printf '%s\\n' \"$@\" >>\"$HOME/shown\"\n");
    let path = format!("{}:/usr/bin:/bin", sandbox.home().display());
    sandbox.config(&config).env("PATH", path);
    assert_eq!(delivered(&sandbox), 1);
    let shown = fs::read_to_string(sandbox.home().join("shown")).unwrap();
    assert!(shown.contains("TOKEN_00") && shown.ends_with("\ntype: raxx check\n"), "{shown}");
    snapshot!(sandbox, shown);
}

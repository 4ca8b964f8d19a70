//! Malformed values, rejections without a reason, and a provider's temporary mistake.

use crate::snapshot::{snapshot, transcript};
use crate::support;

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use support::loopback::{Answer, Loopback};
use support::{RAXX, Sandbox, text};

const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
const TOKEN: &str = "ghp_MadeUpForTheVerdictTests0123456789cdef";

/// One GitHub token, and a store file for it.
fn one(server: &Loopback, more: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"20s\"\n[store]\nbackend = \"file\"\nidentity = \"~/identity.txt\"\n[alert.slack]\nenabled = false\n\
         [alert.command]\nrun = [\"sh\", \"-c\", \"cat >>$HOME/received\"]\n\
         [[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\nrotate_via = \"page.md\"\n\
         store = {{ service = \"raxx-test\", account = \"test\" }}\n{}enabled = false\n{more}",
        server.config()
    ));
    sandbox
}

/// The same machine with a short delay before a rejection by GitHub is confirmed.
fn with_short_doubt(server: &Loopback) -> Sandbox {
    let sandbox = one(server, "");
    let file = sandbox.root().join("config.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(file, config.replace("[provider.github]\n", "[provider.github]\ndoubt = \"10ms\"\n")).unwrap();
    sandbox
}

fn row(sandbox: &Sandbox) -> Value {
    let out = sandbox.run(&["check", "--json", NAME]);
    serde_json::from_slice::<Value>(&out.stdout).unwrap()["credentials"][0].clone()
}

fn hook(sandbox: &Sandbox) -> String {
    let out = sandbox.run(&["hook", "bash"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    text(&out.stdout)
}

fn bad_credentials() -> Answer {
    Answer::json(
        401,
        r#"{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest","status":"401"}"#,
    )
}

#[test]
fn a_value_with_a_line_end_is_malformed_until_it_is_loaded() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    let mut reports = std::collections::BTreeSet::new();
    for end in ["\n", "\r\n", "\r"] {
        sandbox.env(NAME, format!("{TOKEN}{end}"));
        let row = row(&sandbox);
        let next = json!(format!("raxx load {NAME}"));
        assert_eq!((&row["kind"], &row["type"]), (&json!("malformed"), &next), "{end:?}");
        let said = text(&sandbox.run(&["check"]).stdout);
        assert!(said.ends_with(&format!("\n       type: raxx load {NAME}\n")), "{said}");
        reports.insert(said);
        assert_eq!(server.attempts(TOKEN), 0, "{end:?}: a check sent it");
    }
    let loaded = text(&sandbox.run(&["load", "--shell", "bash"]).stdout);
    assert!(loaded.contains(&format!("export {NAME}='{TOKEN}'\n")), "{loaded}");
    assert!(hook(&sandbox).contains(&format!("export {NAME}='{TOKEN}'")));
    assert_eq!(reports.len(), 1, "{reports:#?}");
    snapshot!(sandbox, reports.pop_first().expect("a report"));
}

#[test]
fn a_value_accepted_only_without_its_spaces_is_malformed_until_it_is_loaded() {
    let server = Loopback::start();
    let mut reports = std::collections::BTreeSet::new();
    for spaced in [format!("{TOKEN} "), format!("{TOKEN}  ")] {
        // Like servers that drop the spaces.
        server.react(&spaced, Answer::json(200, r#"{"login":"octo-op","id":1}"#));
        server.react(TOKEN, Answer::json(200, r#"{"login":"octo-op","id":1}"#));
        let mut sandbox = one(&server, "");
        sandbox.env(NAME, &spaced);
        let row = row(&sandbox);
        assert_eq!((&row["kind"], &row["type"]), (&json!("malformed"), &json!(format!("raxx load {NAME}"))), "{row:#}");
        reports.insert(text(&sandbox.run(&["check"]).stdout));
        let loaded = text(&sandbox.run(&["load", "--shell", "bash"]).stdout);
        assert!(loaded.contains(&format!("export {NAME}='{TOKEN}'\n")), "{loaded}");
    }
    assert_eq!(reports.len(), 1, "{reports:#?}");
    snapshot!(Sandbox::new(), reports.pop_first().expect("a report"));
}

#[test]
fn a_placeholder_is_never_sent_stored_or_exported() {
    let server = Loopback::start();
    let mut sandbox = one(&server, "");
    let mut reports = Vec::new();
    for value in [
        "op://Private/GitHub/credential",
        "${GITHUB_TOKEN}",
        "$GITHUB_TOKEN",
        "$(op read op://a/b/c)",
        "vault:secret/data/github#token",
        "ref+awsssm://github/token",
        "{{ github_token }}",
        "<your-token>",
        "%GITHUB_TOKEN%",
        "YOUR_API_KEY",
        "changeme",
        "ghp_xxxxxxxxxxxxxxxxxxxx",
        "op://Private/GitHub/credential\n",
        "pass:github/token",
        "gcp-sm://github",
        "!secret github_token",
        "{env:GITHUB_TOKEN}",
        "ghp_***",
        "/run/secrets/github",
    ] {
        sandbox.env(NAME, value);
        let row = row(&sandbox);
        assert_eq!(
            (&row["kind"], &row["type"]),
            (&json!("malformed"), &json!(format!("raxx store {NAME}"))),
            "{value}"
        );
        assert!(row["hint"].is_string() && !row.to_string().contains(value.trim_end()), "{row:#}");
        assert!(!hook(&sandbox).contains("export"), "{value}");
        let stored = sandbox.raxx().args(["store", NAME, "--stdin"]).write_stdin(value).output().unwrap();
        assert!(!stored.status.success() && !text(&stored.stderr).contains(value.trim_end()), "{value}");
        let report = text(&sandbox.run(&["check"]).stdout);
        let store = transcript(&format!("raxx store {NAME} --stdin"), &stored);
        reports.push(format!("# {}\n{report}{store}", value.escape_default()));
    }
    assert!(server.requests().is_empty(), "{:#?}", server.requests());
    sandbox.unset(NAME);
    assert_eq!(text(&sandbox.run(&["export", "sh"]).stdout), "", "a value was stored");
    snapshot!(sandbox, reports.join("\n"));
}

#[test]
fn a_reference_in_the_environment_is_replaced_by_the_stored_value() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    assert!(sandbox.raxx().args(["store", NAME, "--stdin"]).write_stdin(TOKEN).output().unwrap().status.success());
    sandbox.env(NAME, "op://Private/GitHub/credential");
    let row = row(&sandbox);
    assert_eq!((&row["kind"], &row["type"]), (&json!("malformed"), &json!(format!("raxx load {NAME}"))), "{row:#}");
    assert!(hook(&sandbox).contains(&format!("export {NAME}='{TOKEN}'")));
    snapshot!(sandbox, text(&sandbox.run(&["check"]).stdout));
}

/// A provider of which only the good answer is configured.
fn terse(server: &Loopback) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "[[credential]]\nname = \"NPM_TOKEN\"\nprovider = \"npm\"\nrotate_via = \"page.md\"\n\
         [provider.npm]\nlabel = \"npm\"\nbase_url = \"{}\"\npath = \"/-/whoami\"\n\
         [[provider.npm.rule]]\nstatus = 200\njson = {{ \"/username\" = {{ present = true }} }}\nkind = \"valid\"\n\
         [vault.infisical]\nenabled = false\n[alert.slack]\nenabled = false\n\
         [alert.command]\nrun = [\"sh\", \"-c\", \"cat >>$HOME/received\"]\n",
        server.url()
    ));
    sandbox.env("NPM_TOKEN", TOKEN);
    sandbox
}

#[test]
fn a_rejection_without_a_reason_keeps_the_value() {
    let server = Loopback::start();
    server.react(TOKEN, Answer::json(401, r#"{"error":"unauthorized"}"#));
    let mut sandbox = terse(&server);
    let out = sandbox.run(&["check"]);
    let said = text(&out.stdout);
    assert!(said.starts_with("[FAIL] NPM_TOKEN    (redacted ghp_…cdef) — HTTP 401 "), "{said}");
    assert!(said.ends_with("\n       type: raxx check NPM_TOKEN, then raxx rotate NPM_TOKEN\n"), "{said}");
    assert_eq!((said.lines().count(), out.status.code()), (2, Some(1)));
    snapshot!(sandbox, said);
    // A new terminal reports it, keeps the value, and checks again.
    sandbox.env("__RAXX_NAMES", "NPM_TOKEN");
    for _ in 0..2 {
        let said = hook(&sandbox);
        assert!(said.contains("[FAIL] NPM_TOKEN    ") && !said.contains("unset"), "{said}");
    }
    assert_eq!(server.attempts(TOKEN), 3);
    let loaded = text(&sandbox.run(&["load", "--shell", "bash"]).stdout);
    assert!(loaded.contains("export NPM_TOKEN="), "{loaded}");
    for (answer, kind) in [
        (Answer::html(401, "<html>log in</html>"), "blocked"),
        (Answer::foreign(403, "text/plain", "forbidden"), "unreachable"),
        (Answer::json(403, "{}").with("Via", "1.1 proxy (squid)"), "unreachable"),
        (Answer::json(500, "{}"), "unreachable"),
        (Answer::json(403, "[]"), "refused"),
    ] {
        server.react(TOKEN, answer.clone());
        let report = sandbox.run(&["check", "--json"]);
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        assert_eq!(report["credentials"][0]["kind"], kind, "{answer:?}");
    }
}

#[test]
fn a_rejection_without_a_reason_is_reported_by_the_second_run() {
    let server = Loopback::start();
    server.react(TOKEN, Answer::json(401, r#"{"error":"unauthorized"}"#));
    let sandbox = terse(&server);
    let received = || fs::read_to_string(sandbox.home().join("received")).unwrap_or_default();
    sandbox.run(&["check", "--alert"]);
    assert_eq!(received(), "");
    sandbox.run(&["check", "--alert"]);
    let notice: Value = serde_json::from_str(&received()).unwrap();
    let notice = &notice["alert"]["notices"][0];
    assert_eq!(notice["kind"], "refused");
    assert_eq!(notice["type"], "raxx check NPM_TOKEN, then raxx rotate NPM_TOKEN");
}

#[test]
fn a_rejection_of_a_good_value_by_github_is_confirmed_first() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = with_short_doubt(&server);
    sandbox.env(NAME, TOKEN).env("__RAXX_NAMES", NAME);
    assert_eq!(hook(&sandbox), "");
    server.next("/user", bad_credentials());
    assert_eq!(hook(&sandbox), "", "a temporary mistake was reported");
    assert_eq!(server.attempts(TOKEN), 3);
    // In the daily check too.
    server.next("/user", bad_credentials());
    assert!(sandbox.run(&["check", "--alert"]).status.success());
    assert_eq!(server.attempts(TOKEN), 5);
    // A confirmed rejection is not confirmed again.
    server.revoke(TOKEN);
    let said = hook(&sandbox);
    assert!(said.contains("HTTP 401 (invalid or expired)'") && said.contains("unset"), "{said}");
    assert_eq!(server.attempts(TOKEN), 7);
    let remembered = hook(&sandbox);
    assert!(remembered.contains(&format!("[FAIL] {NAME}    ")), "{remembered}");
    assert_eq!(server.attempts(TOKEN), 7);
    // The other lines are code that contains the value.
    let said: Vec<&str> = remembered.lines().filter(|line| line.starts_with("builtin printf ")).collect();
    snapshot!(sandbox, said.join("\n"));
    sandbox.run(&["check", "--alert"]);
    assert_eq!(server.attempts(TOKEN), 8);
}

#[test]
fn a_rejection_of_a_good_value_in_a_check_is_confirmed_by_the_next_terminal() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = with_short_doubt(&server);
    assert!(sandbox.raxx().args(["store", NAME, "--stdin"]).write_stdin(TOKEN).output().unwrap().status.success());
    let missing = |sandbox: &Sandbox| text(&sandbox.run(&["export", "bash", "--missing"]).stdout);
    server.next("/user", bad_credentials());
    assert!(text(&sandbox.run(&["check"]).stdout).contains("invalid or expired"), "a manual check reports it");
    assert_eq!(server.attempts(TOKEN), 2);
    assert!(missing(&sandbox).contains(TOKEN), "an unconfirmed rejection removed the value");
    sandbox.env(NAME, TOKEN).env("__RAXX_NAMES", NAME);
    assert_eq!(hook(&sandbox), "");
    assert_eq!(server.attempts(TOKEN), 3);
    // A later PASS in any run ends a confirmed rejection.
    server.revoke(TOKEN);
    hook(&sandbox);
    sandbox.unset(NAME).unset("__RAXX_NAMES");
    assert_eq!(missing(&sandbox), "");
    server.accept(TOKEN);
    assert!(sandbox.run(&["check"]).status.success());
    assert!(missing(&sandbox).contains(TOKEN));
}

#[test]
fn a_rejection_of_a_value_that_never_passed_is_not_confirmed() {
    let server = Loopback::start();
    let mut sandbox = with_short_doubt(&server);
    sandbox.env(NAME, TOKEN);
    hook(&sandbox);
    assert_eq!(server.attempts(TOKEN), 1);
}

#[test]
fn a_rejection_a_day_after_the_last_pass_is_not_confirmed() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = with_short_doubt(&server);
    sandbox.env(NAME, TOKEN);
    hook(&sandbox);
    let verdicts = fs::read_dir(sandbox.state().join("verdicts")).unwrap().map(|entry| entry.unwrap().path());
    let file = verdicts.into_iter().find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let mut memory: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    memory["trusted"] = json!(Timestamp::now().checked_sub(SignedDuration::from_hours(25)).unwrap());
    fs::write(&file, memory.to_string()).unwrap();
    server.revoke(TOKEN);
    hook(&sandbox);
    assert_eq!(server.attempts(TOKEN), 2);
}

#[test]
fn a_rejection_of_a_value_stored_unchecked_is_confirmed_too() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let sandbox = with_short_doubt(&server);
    let stored = sandbox.raxx().args(["store", NAME, "--stdin", "--no-check"]).write_stdin(TOKEN).output().unwrap();
    assert!(stored.status.success());
    server.next("/user", bad_credentials());
    assert!(hook(&sandbox).contains(&format!("export {NAME}='{TOKEN}'")));
    assert!(text(&sandbox.run(&["export", "bash", "--missing"]).stdout).contains(TOKEN));
}

/// Starts twelve terminals with a revoked value. Returns how often a provider with this latency received it.
fn sent_by_twelve(sandbox: &mut Sandbox, server: &Loopback, latency: Duration) -> usize {
    server.accept(TOKEN);
    sandbox.env(NAME, TOKEN);
    hook(sandbox);
    server.revoke(TOKEN);
    server.latency(latency);
    let before = server.attempts(TOKEN);
    let start = |_| -> Child {
        let mut hook = std::process::Command::new(RAXX);
        hook.env_clear().envs(sandbox.environment().iter().cloned()).args(["hook", "bash"]);
        hook.stdout(Stdio::piped()).spawn().expect("raxx starts")
    };
    let hooks: Vec<Child> = (0..12).map(start).collect();
    for hook in hooks {
        assert!(text(&hook.wait_with_output().unwrap().stdout).contains("invalid or expired"));
    }
    server.attempts(TOKEN) - before
}

#[test]
fn many_terminals_confirm_a_rejection_once() {
    let server = Loopback::start();
    let mut sandbox = with_short_doubt(&server);
    assert_eq!(sent_by_twelve(&mut sandbox, &server, Duration::ZERO), 2, "more than one terminal sent it");
}

#[test]
fn other_terminals_wait_for_the_confirmation_of_a_slow_provider() {
    let server = Loopback::start();
    let mut sandbox = with_short_doubt(&server);
    let file = sandbox.root().join("config.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(file, config.replace("doubt = \"10ms\"", "doubt = \"6s\"")).unwrap();
    let sent = sent_by_twelve(&mut sandbox, &server, Duration::from_millis(2500));
    assert_eq!(sent, 2, "more than one terminal sent it");
}

#[test]
fn storing_a_typed_value_sends_it_once() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let sandbox = with_short_doubt(&server);
    let store = || sandbox.raxx().args(["store", NAME, "--stdin"]).write_stdin(TOKEN).output().unwrap();
    assert!(store().status.success());
    server.revoke(TOKEN);
    assert!(!store().status.success());
    assert_eq!(server.attempts(TOKEN), 2);
}

/// The hook in a shell that inherited raxx's values.
fn nested(sandbox: &Sandbox) -> String {
    let out = sandbox.run(&["hook", "bash", "--nested"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    text(&out.stdout)
}

/// Moves the time of every report into the past.
fn age_reports(sandbox: &Sandbox, by: SignedDuration) {
    let file = sandbox.state().join("said.json");
    let said: std::collections::BTreeMap<String, Timestamp> =
        serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let older: std::collections::BTreeMap<_, _> = said.into_iter().map(|(what, at)| (what, at - by)).collect();
    fs::write(file, serde_json::to_vec(&older).unwrap()).unwrap();
}

#[test]
fn an_outage_is_reported_once_an_hour() {
    let server = Loopback::start();
    let mut sandbox = one(&server, "");
    sandbox.env(NAME, TOKEN);
    let mut reports = Vec::new();
    for (answer, words) in
        [(Answer::json(503, "{}"), "HTTP 503"), (Answer::html(200, "<html>log in</html>"), "HTTP 200")]
    {
        server.react(TOKEN, answer);
        let said = hook(&sandbox);
        assert!(said.contains(words), "{said}");
        reports.push(said);
        assert_eq!(hook(&sandbox), "");
        assert_eq!(nested(&sandbox), "");
        assert!(text(&sandbox.run(&["check"]).stdout).contains(words), "a manual check reports it");
        age_reports(&sandbox, SignedDuration::from_mins(61));
        assert!(hook(&sandbox).contains(words));
        age_reports(&sandbox, SignedDuration::from_hours(-5));
        assert!(hook(&sandbox).contains(words), "a report dated in the future does not count");
    }
    // Another host is another cause.
    let other = Loopback::start();
    let file = sandbox.root().join("config.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace(&server.url(), &other.url().replace("127.0.0.1", "localhost"))).unwrap();
    other.react(TOKEN, Answer::json(503, "{}"));
    assert!(hook(&sandbox).contains("HTTP 503"));
    snapshot!(sandbox, reports.join("\n"));
}

#[test]
fn a_bad_value_is_reported_in_every_terminal_but_not_again_in_a_nested_shell() {
    let server = Loopback::start();
    let mut sandbox = one(&server, "");
    sandbox.env(NAME, TOKEN);
    assert!(nested(&sandbox).contains("invalid or expired"), "not reported before");
    for _ in 0..2 {
        assert!(hook(&sandbox).contains("invalid or expired"));
        assert_eq!(nested(&sandbox), "");
    }
    // Another value and another kind are reported again.
    sandbox.env(NAME, TOKEN.replace("cdef", "0000"));
    assert!(nested(&sandbox).contains("invalid or expired"));
    sandbox.env(NAME, "op://Private/GitHub/credential");
    assert!(nested(&sandbox).contains(&format!("[FAIL] {NAME}    (redacted)")));
    assert_eq!(nested(&sandbox), "");
    let kept = fs::read_to_string(sandbox.state().join("said.json")).unwrap();
    assert!(!kept.contains(TOKEN) && !kept.contains("op://Private"), "{kept}");
}

#[test]
fn one_of_twenty_concurrent_terminals_reports_an_outage() {
    let server = Loopback::start();
    server.react(TOKEN, Answer::json(503, "{}"));
    let mut sandbox = one(&server, "");
    sandbox.env(NAME, TOKEN);
    let start = |_| -> Child {
        let mut hook = std::process::Command::new(RAXX);
        hook.env_clear().envs(sandbox.environment().iter().cloned()).args(["hook", "zsh"]);
        hook.stdout(Stdio::piped()).spawn().expect("raxx starts")
    };
    let hooks: Vec<Child> = (0..20).map(start).collect();
    let said = hooks.into_iter().map(|hook| text(&hook.wait_with_output().unwrap().stdout));
    assert_eq!(said.filter(|said| said.contains("[FAIL]")).count(), 1);
}

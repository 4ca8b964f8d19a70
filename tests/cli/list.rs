//! `raxx list` and `raxx prompt`: the verdicts of the last runs, without a request.

use crate::support;

use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::pty::Terminal;
use crate::snapshot::{ran, snapshot, transcript};
use support::loopback::{Answer, Loopback};
use support::{Sandbox, text};

const GITHUB: &str = "GITHUB_API_SECRETS_TOKEN";
const HEROKU: &str = "HEROKU_API_KEY";
const GOOD: &str = "ghp_MadeUpForTheListTests00123456789cdef";
const BAD: &str = "HRKU-AAMadeUpForTheListTests0123456789abcdefghijklmnopq1234";

/// Two credentials, one of them good, and an item in the store for each.
fn machine(server: &Loopback) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"5s\"\n{}\
         [[credential]]\nname = \"{GITHUB}\"\nprovider = \"github\"\nrotate_via = \"page.md\"\n\
         [[credential]]\nname = \"{HEROKU}\"\nprovider = \"heroku\"\n\
         store = {{ service = \"raxx-heroku-api-key\", account = \"claude-bootstrap\" }}\nrotate_via = \"page.md\"\n",
        server.config()
    ));
    server.accept(GOOD);
    sandbox.env(GITHUB, GOOD).env(HEROKU, BAD);
    sandbox
}

fn shown(sandbox: &Sandbox, args: &[&str]) -> String {
    let out = sandbox.run(args);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(text(&out.stderr), "");
    text(&out.stdout)
}

fn list(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let table = shown(sandbox, &["list"]);
    let cells = |line: &str| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).map(String::from).collect();
    table.lines().map(cells).collect()
}

fn json_of(sandbox: &Sandbox, args: &[&str]) -> Value {
    serde_json::from_str(&shown(sandbox, args)).expect("JSON")
}

/// Moves every saved time into the past.
fn age(sandbox: &Sandbox, by: SignedDuration) {
    let older = |value: &mut Value, fields: &[&str]| {
        for field in fields {
            if let Some(at) = value[field].as_str() {
                value[*field] = json!(at.parse::<Timestamp>().unwrap() - by);
            }
        }
    };
    let file = sandbox.state().join("last.json");
    let mut known: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    known
        .as_object_mut()
        .unwrap()
        .values_mut()
        .for_each(|last| older(last, &["at", "began", "since", "settled_since", "good"]));
    fs::write(&file, known.to_string()).unwrap();
    let file = sandbox.state().join("history.jsonl");
    let mut lines = String::new();
    for line in fs::read_to_string(&file).unwrap().lines() {
        let mut change: Value = serde_json::from_str(line).unwrap();
        older(&mut change, &["at"]);
        lines += &format!("{change}\n");
    }
    fs::write(&file, lines).unwrap();
}

fn set_expiry_in(server: &Loopback, left: SignedDuration) -> Timestamp {
    let end = Timestamp::from_second((Timestamp::now() + left).as_second() + 60).unwrap();
    let header = end.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let user = Answer::json(200, r#"{"login":"octo-op","id":1}"#);
    server.react(GOOD, user.with("github-authentication-token-expiration", &header));
    end
}

#[test]
fn before_the_first_check_the_list_shows_what_is_configured() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    sandbox.unset(HEROKU);
    let rows: Vec<Vec<String>> = list(&sandbox)[1..].iter().map(|row| row[..4].to_vec()).collect();
    assert_eq!(
        rows,
        [
            [GITHUB, "github", "env", "-"],
            [HEROKU, "heroku", "-", "-"],
            ["infisical auth (universal-auth)", "infisical", "-", "-"],
        ]
    );
    snapshot!(sandbox, ran(&sandbox, &["list"]) + &ran(&sandbox, &["list", "--json"]));
    sandbox.unset(GITHUB);
    assert_eq!(list(&sandbox)[1][..4], [GITHUB, "github", "-", "-"], "no item in the store");
    assert!(server.requests().is_empty(), "a request was sent");
    assert!(!sandbox.state().exists(), "listing writes no state");
}

#[test]
fn the_list_shows_the_last_verdicts_without_a_request() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    let end = set_expiry_in(&server, SignedDuration::from_hours(9 * 24));
    let begun = Timestamp::now();
    assert_eq!(sandbox.run(&["check"]).status.code(), Some(1));
    age(&sandbox, SignedDuration::from_mins(185));
    let asked = server.requests().len();
    let rows: Vec<Vec<String>> = list(&sandbox)[1..].iter().map(|row| row[..4].to_vec()).collect();
    assert_eq!(
        rows,
        [
            [GITHUB, "github", "env", "PASS"],
            [HEROKU, "heroku", "env", "FAIL rejected"],
            ["infisical auth (universal-auth)", "infisical", "-", "SKIP"],
        ]
    );
    snapshot!(sandbox, ran(&sandbox, &["list"]) + &ran(&sandbox, &["list", "--json"]));
    let listed = json_of(&sandbox, &["list", "--json"]);
    assert_eq!(listed["version"], 1);
    let github = &listed["credentials"][0];
    assert_eq!(github["name"], GITHUB);
    assert_eq!((&github["verdict"], &github["kind"]), (&json!("PASS"), &json!("valid")));
    assert_eq!((&github["source"], &github["provider"]), (&json!("env"), &json!("github")));
    assert_eq!(github["expires"], json!(end));
    assert!(github["warning"].as_str().is_some_and(|warning| warning.contains("9 days")), "{github}");
    assert_eq!(github["failing_since"], Value::Null);
    let heroku = &listed["credentials"][1];
    assert_eq!((&heroku["verdict"], &heroku["kind"]), (&json!("FAIL"), &json!("rejected")));
    assert_eq!(heroku["words"], "HTTP 401 (invalid or revoked)");
    assert_eq!(heroku["failing_since"], heroku["checked_at"]);
    assert_eq!(heroku["last_good"], Value::Null);
    let checked: Timestamp = heroku["checked_at"].as_str().unwrap().parse().unwrap();
    let noted = checked + SignedDuration::from_mins(185);
    assert!(noted >= begun && noted <= Timestamp::now(), "{noted}");
    assert_eq!(server.requests().len(), asked, "a request was sent");
}

#[test]
fn a_verdict_of_another_provider_is_not_shown() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    sandbox.run(&["check"]);
    sandbox.config(&format!("{}[[credential]]\nname = \"{GITHUB}\"\nprovider = \"heroku\"\n", server.config()));
    assert_eq!(list(&sandbox)[1][..4], [GITHUB, "heroku", "env", "-"]);
}

#[test]
fn the_prompt_does_not_show_another_providers_verdict_either() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    server.revoke(GOOD);
    sandbox.run(&["check"]);
    let listed =
        |provider: &str| format!("{}[[credential]]\nname = \"{GITHUB}\"\nprovider = \"{provider}\"\n", server.config());
    sandbox.config(&listed("github"));
    assert_eq!(shown(&sandbox, &["prompt"]), format!("✗ {GITHUB}\n"));
    sandbox.config(&listed("heroku"));
    assert_eq!(shown(&sandbox, &["prompt"]), "");
}

/// Alerts go to a command that does nothing, so that the daily check can run.
const SILENT: &str = "[alert.slack]\nenabled = false\n[alert.command]\nrun = [\"true\"]\n";

/// A scheduler does not have the terminal's variables, so a value missing there is not a verdict.
#[test]
fn scheduled_runs_keep_the_verdicts_of_terminal_only_values() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    server.accept(BAD);
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&format!("{config}{SILENT}"));
    sandbox.env("INFISICAL_TOKEN", "made-up-access-token-of-a-terminal");
    server.accept("made-up-access-token-of-a-terminal");
    sandbox.run(&["check"]);
    let verdicts = |sandbox: &Sandbox| list(sandbox)[1..].iter().map(|row| row[3].clone()).collect::<Vec<_>>();
    assert_eq!(verdicts(&sandbox), ["PASS"; 3]);
    sandbox.unset(GITHUB).unset(HEROKU).unset("INFISICAL_TOKEN");
    assert_eq!(sandbox.run(&["check", "--alert"]).status.code(), Some(1), "it is a failure of the daily check");
    assert_eq!(verdicts(&sandbox), ["PASS"; 3]);
    assert_eq!(shown(&sandbox, &["prompt"]), "");
    assert_eq!(shown(&sandbox, &["list", "--history", HEROKU]).lines().count(), 2);
    // A manual check does record it.
    sandbox.run(&["check"]);
    assert_eq!(verdicts(&sandbox), ["FAIL missing", "FAIL locked", "SKIP"]);
    sandbox.run(&["check", "--alert"]);
    assert_eq!(shown(&sandbox, &["prompt"]), format!("✗ {GITHUB}\n"));
}

#[test]
fn an_outage_before_a_failure_is_not_its_start() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    sandbox.run(&["check"]);
    server.next("/user", Answer::json(503, "{}"));
    sandbox.run(&["check"]);
    age(&sandbox, SignedDuration::from_hours(72));
    server.revoke(GOOD);
    let begun = Timestamp::now();
    sandbox.run(&["check"]);
    let since = |sandbox: &Sandbox| {
        let listed = json_of(sandbox, &["list", "--json"]);
        listed["credentials"][0]["failing_since"].as_str().unwrap().parse::<Timestamp>().unwrap()
    };
    let first = since(&sandbox);
    assert!(first >= begun, "{first}");
    server.next("/user", Answer::json(503, "{}"));
    sandbox.run(&["check"]);
    assert_eq!(since(&sandbox), first, "a later outage changes nothing");
}

#[test]
fn the_history_shows_when_it_began_to_fail_and_last_passed() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    let nothing = sandbox.run(&["list", "--history", GITHUB]);
    let said = text(&nothing.stderr);
    assert!(said.contains(GITHUB) && said.contains("raxx check") && said.lines().count() == 1, "{said}");
    assert_eq!((text(&nothing.stdout), nothing.status.code()), (String::new(), Some(0)));
    let mut seen = transcript(&format!("raxx list --history {GITHUB}"), &nothing);

    for _ in 0..3 {
        sandbox.run(&["check"]);
    }
    age(&sandbox, SignedDuration::from_hours(72));
    server.revoke(GOOD);
    sandbox.run(&["check"]);
    sandbox.run(&["check"]);
    let history = shown(&sandbox, &["list", "--history", GITHUB]);
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 3, "only changes are kept: {history}");
    assert!(lines[0].contains("  PASS ") && lines[0].ends_with("  octo-op"), "{history}");
    assert!(
        lines[1].contains("  FAIL rejected ") && lines[1].ends_with("  HTTP 401 (invalid or expired)"),
        "{history}"
    );
    assert!(lines[2].matches(" UTC (").count() == 2 && lines[2].contains("3 days"), "{history}");
    seen += &history;

    let history = json_of(&sandbox, &["list", "--json", "--history", GITHUB]);
    assert_eq!(history["name"], GITHUB);
    let kinds: Vec<&Value> = history["changes"].as_array().unwrap().iter().map(|c| &c["kind"]).collect();
    assert_eq!(kinds, ["valid", "rejected"]);
    assert_eq!(history["failing_since"], history["changes"][1]["at"]);

    server.accept(GOOD);
    sandbox.run(&["load", "--shell", "bash"]);
    let history = shown(&sandbox, &["list", "--history", GITHUB]);
    assert_eq!(history.lines().count(), 4, "{history}");
    seen += &history;
    let vault = shown(&sandbox, &["list", "--history", "infisical"]);
    assert!(vault.contains("SKIP  INFISICAL_CLIENT_ID/SECRET/PROJECT_ID not set"), "{vault}");
    let heroku = shown(&sandbox, &["list", "--history", HEROKU]);
    snapshot!(sandbox, "history", seen + &vault + &heroku);
    snapshot!(sandbox, "history_as_json", ran(&sandbox, &["list", "--json", "--history", GITHUB]));
}

#[test]
fn a_secret_in_place_of_a_provider_is_not_printed() {
    let mut sandbox = Sandbox::new();
    sandbox.config("[[credential]]\nname = \"A\"\nprovider = \"correct-Horse-battery\"\n");
    for args in [&["list"][..], &["list", "--json"]] {
        let out = sandbox.run(args);
        assert_eq!((out.status.code(), text(&out.stdout)), (Some(2), String::new()));
        let said = text(&out.stderr);
        assert!(said.contains("config.toml:3") && !said.contains("Horse"), "{said}");
        snapshot!(sandbox, "unknown_provider", said);
    }
}

#[test]
fn an_unknown_name_gets_a_suggestion() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    let out = sandbox.run(&["list", "--history", "HEROKU_APIKEY"]);
    assert!(text(&out.stderr).ends_with("      type: raxx list --history HEROKU_API_KEY\n"), "{}", text(&out.stderr));
    assert_eq!(out.status.code(), Some(2));
    snapshot!(sandbox, transcript("raxx list --history HEROKU_APIKEY", &out));
}

#[test]
fn a_new_terminal_records_new_verdicts_and_not_cached_ones() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    sandbox.run(&["hook", "zsh"]);
    let first = json_of(&sandbox, &["list", "--json"]);
    assert_eq!(first["credentials"][1]["kind"], "rejected");
    sandbox.run(&["hook", "zsh"]);
    let second = json_of(&sandbox, &["list", "--json"]);
    let checked = |listed: &Value, i: usize| listed["credentials"][i]["checked_at"].as_str().unwrap().to_string();
    assert!(checked(&second, 0) > checked(&first, 0), "the PASS was not checked again");
    assert_eq!(checked(&second, 1), checked(&first, 1), "the cached FAIL was recorded again");
}

#[test]
fn a_newly_stored_value_no_longer_fails() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    sandbox.unset(HEROKU).unset(GITHUB);
    fs::create_dir_all(sandbox.home().join(".config/raxx")).unwrap();
    let identity = sandbox.home().join("identity.txt");
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&format!("{config}[store]\nbackend = \"file\"\nidentity = \"{}\"\n", identity.display()));
    sandbox.run(&["check", HEROKU]);
    assert_eq!(list(&sandbox)[2][2..4], ["-", "FAIL missing"]);
    assert_eq!(shown(&sandbox, &["prompt"]), format!("✗ {HEROKU}\n"));
    let new = "HRKU-AAMadeUpAndRotatedForTheListTests0123456789abcdefghij5678";
    server.accept(new);
    let out = sandbox.raxx().args(["store", HEROKU, "--stdin"]).write_stdin(new).output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(list(&sandbox)[2][2..4], ["store file", "PASS"]);
    assert_eq!(shown(&sandbox, &["prompt"]), "");
}

#[test]
fn the_prompt_is_empty_when_all_is_well_and_short_otherwise() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    assert_eq!(shown(&sandbox, &["prompt"]), "", "no verdict is saved");
    sandbox.run(&["check"]);
    assert_eq!(shown(&sandbox, &["prompt"]), format!("✗ {HEROKU}\n"));
    server.accept(BAD);
    sandbox.run(&["check"]);
    assert_eq!(shown(&sandbox, &["prompt"]), "");
    set_expiry_in(&server, SignedDuration::from_hours(9 * 24));
    sandbox.run(&["check"]);
    assert_eq!(shown(&sandbox, &["prompt"]), format!("! {GITHUB} 9d\n"));
    server.always(Answer::json(503, "{}"));
    sandbox.run(&["check"]);
    assert_eq!(shown(&sandbox, &["prompt"]), format!("! {GITHUB} 9d\n"), "an outage is not a verdict on the token");
    // `raxx prompt` does not report configuration errors.
    sandbox.config("timeout = 3\n");
    assert_eq!(shown(&sandbox, &["prompt"]), "");
}

#[test]
fn the_prompt_ignores_broken_files() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    sandbox.run(&["check"]);
    let known = sandbox.state().join("last.json");
    for bytes in [&b""[..], b"{", b"null", b"[]", b"{\"HEROKU_API_KEY\":{\"kind\":\"new\"}}", b"\xff\xfe"] {
        fs::write(&known, bytes).unwrap();
        assert_eq!(shown(&sandbox, &["prompt"]), "");
        assert_eq!(list(&sandbox)[2][3], "-");
    }
    // The next check repairs it.
    sandbox.run(&["check"]);
    assert_eq!(shown(&sandbox, &["prompt"]), format!("✗ {HEROKU}\n"));
    sandbox.env("XDG_STATE_HOME", "/proc/nope");
    assert_eq!(shown(&sandbox, &["prompt"]), "");
    // Otherwise raxx would use the home of the user who runs the tests.
    let homeless = sandbox.unset("XDG_STATE_HOME").unset("HOME").run(&["prompt"]);
    assert_eq!((homeless.status.code(), text(&homeless.stderr)), (Some(0), String::new()));
}

#[test]
fn list_and_prompt_do_not_wait_for_stores_or_providers() {
    let server = Loopback::start();
    let mut sandbox = machine(&server);
    sandbox.run(&["check"]);
    sandbox.unset(GITHUB).unset(HEROKU);
    // A bus that accepts connections and never answers.
    let bus = sandbox.root().join("bus");
    let listener = std::os::unix::net::UnixListener::bind(&bus).unwrap();
    listener.set_nonblocking(true).unwrap();
    sandbox.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display()));
    shown(&sandbox, &["list"]);
    shown(&sandbox, &["prompt"]);
    assert!(listener.accept().is_err(), "the store was contacted");
}

#[test]
fn the_history_is_private_to_the_user() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Loopback::start();
    let sandbox = machine(&server);
    sandbox.run(&["check"]);
    for file in ["last.json", "history.jsonl", "history.lock"] {
        let mode = fs::metadata(sandbox.state().join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
}

#[test]
fn only_named_credentials_are_listed() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    sandbox.run(&["check"]);
    let names = |args: &[&str]| {
        let table = shown(&sandbox, args);
        table.lines().skip(1).map(|line| line.split("  ").next().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["list", HEROKU]), [HEROKU]);
    assert_eq!(names(&["list", "infisical", GITHUB]), [GITHUB, "infisical auth (universal-auth)"]);
    assert_eq!(json_of(&sandbox, &["list", "--json", HEROKU])["credentials"].as_array().unwrap().len(), 1);
    let out = sandbox.run(&["list", "HEROKU_APIKEY"]);
    assert!(text(&out.stderr).ends_with("type: raxx list HEROKU_API_KEY\n"), "{}", text(&out.stderr));
    assert_eq!(out.status.code(), Some(2));
}

#[test]
fn the_list_fits_the_width_of_the_terminal() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    set_expiry_in(&server, SignedDuration::from_hours(9 * 24));
    sandbox.run(&["check"]);
    let mut screens = String::new();
    for columns in [200, 80, 60, 40, 20] {
        // Without styles, which have no width.
        let line = format!("stty cols {columns}; NO_COLOR=1 raxx list; echo DONE-$?");
        let args = ["-c", line.as_str()];
        let terminal = Terminal::open(Path::new("/bin/sh"), &args, sandbox.environment(), &sandbox.home());
        terminal.wait_for("DONE-0");
        let screen = text(&terminal.transcript()).replace('\r', "");
        let longest = screen.lines().filter(|line| line.contains(' ')).map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest <= columns.max(31)), "{columns}:\n{screen}");
        for word in [GITHUB, HEROKU, "infisical auth (universal-auth)", "PASS", "FAIL rejected", "9 days"] {
            assert!(screen.contains(word), "{columns}: {word}:\n{screen}");
        }
        let table = screen.replace("DONE-0\n", "");
        screens += &format!("{columns} columns\n{table}\n");
    }
    snapshot!(sandbox, screens);
}

#[test]
fn the_list_shows_what_expired_and_what_was_never_checked() {
    let server = Loopback::start();
    let sandbox = machine(&server);
    set_expiry_in(&server, SignedDuration::from_hours(9 * 24));
    sandbox.run(&["check", GITHUB]);
    let known = sandbox.state().join("last.json");
    let mut verdicts: Value = serde_json::from_slice(&fs::read(&known).unwrap()).unwrap();
    let expired = json!(Timestamp::now() - SignedDuration::from_mins(3 * 24 * 60 + 1));
    verdicts.as_object_mut().unwrap().values_mut().for_each(|last| last["expires"] = expired.clone());
    fs::write(&known, verdicts.to_string()).unwrap();
    let args = ["-c", "stty cols 40; NO_COLOR=1 raxx list; echo DONE-$?"];
    let terminal = Terminal::open(Path::new("/bin/sh"), &args, sandbox.environment(), &sandbox.home());
    terminal.wait_for("DONE-0");
    let narrow = text(&terminal.transcript()).replace('\r', "").replace("DONE-0\n", "");
    assert!(narrow.contains("3 days"), "{narrow}");
    snapshot!(sandbox, ran(&sandbox, &["list"]) + &narrow);
}

//! Token expiry: the warning on a PASS, its effect on the exit code and on a new terminal, and expiry dates that a provider
//! reports only in a list.

use crate::support;

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::snapshot::{ran, snapshot, transcript};
use support::loopback::{Answer, Fault, Loopback};
use support::{Sandbox, text};

const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
const TOKEN: &str = "ghp_MadeUpForTheExpiryTests0123456789cdef";
const HEROKU: &str = "HRKU-AAMadeUpForTheExpiryTests0123456789abcdefghijklmnopq1234";
const OTHERS: &str = "HRKU-AAThisIsSomebodyElsesMadeUpToken0123456789abcdefghijk9876";

/// A machine with one GitHub token that the provider accepts.
fn github(server: &Loopback, more: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"5s\"\n{more}\n{}enabled = false\n\
         [[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\nrotate_via = \"page.md\"\n",
        server.config()
    ));
    sandbox.env(NAME, TOKEN);
    sandbox
}

/// GitHub reports that the token expires after this time plus a minute, because counting takes time.
fn set_expiry_in(server: &Loopback, left: SignedDuration) -> Timestamp {
    let end = Timestamp::from_second((Timestamp::now() + left).as_second() + 60).unwrap();
    let header = end.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let user = Answer::json(200, r#"{"login":"octo-op","id":1}"#);
    server.react(TOKEN, user.with("github-authentication-token-expiration", &header));
    end
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

/// The start of the report's line for the token.
const LINE: &str = "[PASS] GITHUB_API_SECRETS_TOKEN    (redacted ghp_…cdef) — octo-op, ";

#[test]
fn a_token_that_expires_soon_passes_with_a_warning() {
    let server = Loopback::start();
    let sandbox = github(&server, "");
    let end = set_expiry_in(&server, days(9));
    let check = sandbox.run(&["check"]);
    let warned = text(&check.stdout);
    assert!(warned.starts_with(LINE) && warned.contains("9 days"), "{warned}");
    assert!(warned.ends_with("\n       rotate via: page.md\n") && check.status.code() == Some(0), "{warned}");
    let strict = sandbox.run(&["check", "--strict"]);
    assert_eq!((text(&strict.stdout), strict.status.code()), (warned.clone(), Some(1)));
    let quiet = sandbox.run(&["check", "--quiet"]);
    assert_eq!((text(&quiet.stdout), quiet.status.code()), (String::new(), Some(0)));
    let both = sandbox.run(&["check", "--quiet", "--strict"]);
    assert_eq!((text(&both.stdout), both.status.code()), (warned.clone(), Some(1)), "the same report, with exit 1");
    let load = sandbox.run(&["load", "--shell", "bash"]);
    assert_eq!((text(&load.stderr), load.status.code()), (warned, Some(0)));
    snapshot!(sandbox, transcript("raxx check --strict", &strict) + &ran(&sandbox, &["check", "--json", "--strict"]));

    let out = sandbox.run(&["check", "--json", "--strict"]);
    assert_eq!(out.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let row = &report["credentials"][0];
    assert_eq!(report["verdict"], "PASS");
    assert_eq!((&row["verdict"], &row["kind"]), (&json!("PASS"), &json!("valid")));
    for field in ["words", "warning"] {
        assert!(row[field].as_str().is_some_and(|text| text.contains("9 days")), "{field}: {row}");
    }
    assert_eq!(row["expires"], json!(end));

    assert!(sandbox.home().join(".raxx-session-bootstrap-last-validated").exists(), "a warning is not a FAIL");
}

#[test]
fn a_token_that_expires_late_gives_no_warning() {
    let server = Loopback::start();
    set_expiry_in(&server, days(14));
    let sandbox = github(&server, "");
    let out = sandbox.run(&["check", "--strict"]);
    let said = text(&out.stdout);
    assert!(said.starts_with(LINE) && said.contains("14 days") && said.lines().count() == 1, "{said}");
    assert_eq!(out.status.code(), Some(0));
    snapshot!(sandbox, said);

    let sandbox = github(&server, "warn_before = \"15d\"");
    assert_eq!(sandbox.run(&["check", "--strict"]).status.code(), Some(1));

    set_expiry_in(&server, SignedDuration::from_mins(5));
    let sandbox = github(&server, "warn_before = \"0s\"");
    assert_eq!(sandbox.run(&["check", "--strict"]).status.code(), Some(0), "0s never warns");
    let sandbox = github(&server, "warn_before = \"10m\"");
    assert_eq!(sandbox.run(&["check", "--strict"]).status.code(), Some(1));
}

/// A credential that is rotated automatically lives for hours: the default would always warn.
#[test]
fn a_credential_can_have_its_own_warn_before() {
    let server = Loopback::start();
    set_expiry_in(&server, days(9));
    let sandbox = |own: &str| {
        let mut sandbox = Sandbox::new();
        sandbox.config(&format!(
            "{}enabled = false\n[[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\nwarn_before = \"{own}\"\n",
            server.config()
        ));
        sandbox.env(NAME, TOKEN);
        sandbox
    };
    let never = sandbox("0s");
    assert_eq!(never.run(&["check", "--strict"]).status.code(), Some(0));
    assert_eq!(text(&never.run(&["prompt"]).stdout), "");
    assert!(text(&never.run(&["list", "--json"]).stdout).contains("\"warning\": null"));
    let late = sandbox("8d");
    assert_eq!(late.run(&["check", "--strict"]).status.code(), Some(0));
    let early = sandbox("10d");
    assert_eq!(early.run(&["check", "--strict"]).status.code(), Some(1));
    assert_eq!(text(&early.run(&["prompt"]).stdout), format!("! {NAME} 9d\n"));
    let wrong = sandbox("soon");
    let said = text(&wrong.run(&["check"]).stderr);
    assert!(said.contains("config.toml:") && said.contains("warn_before"), "{said}");
    snapshot!(wrong, said);
}

/// Each login creates an access token for an hour or a day, which no one rotates.
#[test]
fn infisicals_access_token_can_have_its_own_warn_before() {
    let server = Loopback::start();
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let end = Timestamp::now().as_second() + 3_630;
    let token = format!("{}.{}.c2ln", encode(r#"{"alg":"HS256"}"#), encode(&format!("{{\"exp\":{end}}}")));
    server.accept(&token);
    server.accept(TOKEN);
    for (own, warns) in [("", true), ("warn_before = \"0s\"\n", false)] {
        let mut sandbox = Sandbox::new();
        // The config ends inside Infisical's table.
        let list = format!("[[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\n");
        sandbox.config(&format!("{}{own}{list}", server.config()));
        sandbox.env(NAME, TOKEN).env("INFISICAL_TOKEN", &token);
        let out = sandbox.run(&["check", "--strict"]);
        let said = text(&out.stdout);
        assert!(said.contains("1 hour"), "{said}{}", text(&out.stderr));
        assert_eq!(out.status.code(), Some(i32::from(warns)), "{said}");
        snapshot!(sandbox, format!("the_vaults_token_warns_{warns}"), transcript("raxx check --strict", &out));
        assert_eq!(text(&sandbox.run(&["prompt"]).stdout).is_empty(), !warns);
    }
}

#[test]
fn errors_of_warn_before() {
    let server = Loopback::start();
    let mut errors = String::new();
    for value in ["\"soon\"", "\"two weeks\"", "\"2y\"", "\"400d\"", "\"-3d\"", "14"] {
        let sandbox = github(&server, &format!("warn_before = {value}"));
        let out = sandbox.run(&["check"]);
        let error = text(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{error}");
        assert!(error.contains("config.toml:2: warn_before") && error.lines().count() == 1, "{error}");
        let config = sandbox.root().join("config.toml").display().to_string();
        errors += &format!("warn_before = {value}\n  {}", error.replace(&config, "[CONFIG]"));
    }
    snapshot!(Sandbox::new(), errors);
}

#[test]
fn a_new_terminal_shows_warnings_only_if_configured() {
    let server = Loopback::start();
    set_expiry_in(&server, days(3));
    let sandbox = github(&server, "");
    assert_eq!(text(&sandbox.run(&["hook", "zsh"]).stdout), "");
    let sandbox = github(&server, "[hook]\nwarn = true");
    let said = text(&sandbox.run(&["hook", "zsh"]).stdout);
    assert!(said.contains(&format!("'{LINE}")) && said.contains("rotate via: page.md"), "{said}");
    assert!(!said.contains("export"), "{said}");
    snapshot!(sandbox, said);
    set_expiry_in(&server, days(30));
    assert_eq!(text(&sandbox.run(&["hook", "zsh"]).stdout), "", "no warning is due");
}

#[test]
fn a_cached_pass_counts_the_days_from_now() {
    let server = Loopback::start();
    set_expiry_in(&server, days(20));
    let sandbox = github(&server, "[hook]\nwarn = true\nrecheck_after = \"168h\"");
    assert_eq!(text(&sandbox.run(&["hook", "zsh"]).stdout), "");
    // Seven days pass.
    let verdicts = fs::read_dir(sandbox.state().join("verdicts")).unwrap().flatten().map(|e| e.path());
    let file = verdicts.into_iter().find(|p| p.extension().is_some_and(|e| e == "json")).unwrap();
    let mut memory: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let end: Timestamp = memory["expires"].as_str().unwrap().parse().unwrap();
    memory["expires"] = json!(end - days(7));
    fs::write(&file, memory.to_string()).unwrap();
    let said = text(&sandbox.run(&["hook", "zsh"]).stdout);
    assert!(said.contains(LINE) && said.contains("13 days"), "{said}");
    assert_eq!(server.attempts(TOKEN), 1, "the provider got a second request");
    snapshot!(sandbox, said);
}

// ---- Heroku: the list of authorizations --------------------------------------------------------------------------------

/// A machine with one Heroku token that the provider accepts.
fn heroku(server: &Loopback, more: &str) -> Sandbox {
    server.accept(HEROKU);
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"2s\"\n[provider.heroku]\nbase_url = \"{}\"\n{more}\n[vault.infisical]\nenabled = false\n\
         [[credential]]\nname = \"HEROKU_API_KEY\"\nprovider = \"heroku\"\nrotate_via = \"page.md\"\n",
        server.url()
    ));
    sandbox.env("HEROKU_API_KEY", HEROKU);
    sandbox
}

fn authorization(token: &str, expires_in: Value) -> Value {
    json!({
        "id": "01234567-89ab-cdef-0123-456789abcdef", "description": "made up", "scope": ["global"],
        "created_at": "2026-01-01T12:00:00Z", "updated_at": "2026-01-01T12:00:00Z", "client": null, "grant": null,
        "access_token": {"id": "01234567-89ab-cdef-0123-456789abcdef", "token": token, "expires_in": expires_in},
        "refresh_token": {"id": "01234567-89ab-cdef-0123-456789abcdef", "token": OTHERS, "expires_in": null},
        "session": null, "user": {"id": "01234567-89ab-cdef-0123-456789abcdef", "email": "ops@example.test"},
    })
}

const LIST: &str = "/oauth/authorizations";

/// The text of the PASS when the list is this answer.
fn with_list(list: impl Into<support::loopback::Reaction>) -> String {
    let server = Loopback::start();
    let sandbox = heroku(&server, "list_expiry = true");
    server.react_at(LIST, HEROKU, list);
    let out = sandbox.run(&["check"]);
    assert_eq!(out.status.code(), Some(0), "the token is good: {}", text(&out.stdout));
    let said = text(&out.stdout) + &text(&out.stderr);
    assert!(!said.contains(OTHERS) && !said.contains(HEROKU), "{said}");
    let first = said.lines().next().unwrap();
    first.strip_prefix("[PASS] HEROKU_API_KEY    (redacted HRKU…1234) — ").unwrap_or_else(|| panic!("{said}")).into()
}

#[test]
fn herokus_list_is_requested_only_if_configured() {
    let server = Loopback::start();
    server.react_at(LIST, HEROKU, Answer::json(200, "[]"));
    let sandbox = heroku(&server, "");
    assert!(text(&sandbox.run(&["check"]).stdout).ends_with(" — valid\n"));
    let sandbox = heroku(&server, "list_expiry = false");
    assert!(sandbox.run(&["check"]).status.success());
    assert!(server.requests().iter().all(|r| r.path == "/account"), "the list was requested");

    let sandbox = heroku(&server, "list_expiry = true");
    sandbox.run(&["check"]);
    let requests = server.requests();
    let list = requests.iter().find(|r| r.path == LIST).expect("the list is requested");
    assert_eq!(list.method, "GET");
    assert_eq!(list.header("accept"), Some("application/vnd.heroku+json; version=3"));
    assert_eq!(list.credential().as_deref(), Some(HEROKU));
}

#[test]
fn a_provider_without_a_list_refuses_the_setting() {
    let mut sandbox = Sandbox::new();
    sandbox.config("[provider.github]\nlist_expiry = true\n");
    let out = sandbox.run(&["check"]);
    let said = text(&out.stderr);
    assert!(said.contains("config.toml:2: ") && said.contains("[provider.github] list_expiry"), "{said}");
    assert_eq!(out.status.code(), Some(2));
    snapshot!(sandbox, said);
}

#[test]
fn herokus_list_gives_the_tokens_expiry() {
    let list = |entries: &[Value]| Answer::json(200, &Value::from(entries.to_vec()).to_string());
    let other = authorization(OTHERS, json!(60));
    let nine = json!(9 * 86_400 + 60);
    let soon = with_list(list(&[other.clone(), authorization(HEROKU, nine.clone())]));
    assert!(soon.contains("9 days"), "{soon}");
    let redacted = format!("{}**********{}", &HEROKU[..8], &HEROKU[HEROKU.len() - 4..]);
    assert_eq!(with_list(list(&[other.clone(), authorization(&redacted, nine.clone())])), soon);
    let never = with_list(list(&[other.clone(), authorization(HEROKU, Value::Null)]));
    let unknown = with_list(list(&[other, json!({"access_token": null})]));
    assert_eq!(with_list(list(&[])), unknown);
    snapshot!(
        Sandbox::new(),
        format!("expires in 9 days: {soon}\ndoes not expire: {never}\nnot in the list: {unknown}\n")
    );
}

#[test]
fn a_list_of_many_pages_is_followed() {
    let page = Answer { status: 206, ..Answer::json(200, &json!([authorization(OTHERS, json!(60))]).to_string()) };
    let server = Loopback::start();
    let sandbox = heroku(&server, "list_expiry = true");
    server.react_at(LIST, HEROKU, page.with("Next-Range", "]01234567-89ab-cdef-0123-456789abcdef..; max=40"));
    let said = text(&sandbox.run(&["check"]).stdout);
    assert!(said.starts_with("[PASS] HEROKU_API_KEY"), "{said}");
    snapshot!(sandbox, said);
    let ranges: Vec<String> = server
        .requests()
        .iter()
        .filter(|r| r.path == LIST)
        .filter_map(|r| r.header("range").map(String::from))
        .collect();
    assert_eq!(ranges.len(), 10, "an endless list stops after ten pages");
    assert_eq!(ranges[0], "id ..; max=40");
    assert!(ranges[1..].iter().all(|r| r == "]01234567-89ab-cdef-0123-456789abcdef..; max=40"), "{ranges:?}");
}

#[test]
fn without_herokus_list_the_token_still_passes() {
    let error = |status, id: &str| Answer::json(status, &json!({"id": id, "message": OTHERS}).to_string());
    let words = [
        ("HTTP 403", with_list(error(403, "forbidden"))),
        ("HTTP 503", with_list(error(503, "down"))),
        ("a page", with_list(Answer::html(200, OTHERS))),
        ("a connection that is reset", with_list(Fault::Reset)),
        ("an endless response", with_list(Fault::Endless)),
        ("no response", with_list(Fault::HangBeforeHeaders)),
        ("a redirect", with_list(Answer::redirect("https://elsewhere.test/"))),
    ];
    snapshot!(Sandbox::new(), words.map(|(list, words)| format!("{list}: {words}\n")).concat());
}

#[test]
fn a_slow_answer_and_a_slow_list_share_one_deadline() {
    let server = Loopback::start();
    server.latency(Duration::from_millis(1200));
    server.react_at(LIST, HEROKU, Answer::json(200, "[]"));
    let sandbox = heroku(&server, "list_expiry = true");
    // Each would meet its own deadline.
    let said = text(&sandbox.run(&["check"]).stdout);
    assert!(said.starts_with("[PASS] HEROKU_API_KEY"), "{said}");
    snapshot!(sandbox, said);
}

#[test]
fn other_tokens_in_the_list_are_not_saved() {
    let server = Loopback::start();
    let sandbox = heroku(&server, "list_expiry = true");
    let entries = json!([authorization(OTHERS, json!(60)), authorization(HEROKU, json!(86_400))]);
    server.react_at(LIST, HEROKU, Answer::json(200, &entries.to_string()));
    for command in ["check", "check --json", "hook zsh", "list", "list --json", "list --history HEROKU_API_KEY"] {
        let out = sandbox.run(&command.split(' ').collect::<Vec<_>>());
        assert!(!text(&out.stdout).contains(OTHERS) && !text(&out.stderr).contains(OTHERS), "{command}");
    }
    let mut seen = 0;
    for directory in [sandbox.state(), sandbox.state().join("verdicts")] {
        for file in fs::read_dir(directory).unwrap().flatten().filter(|e| e.path().is_file()) {
            let bytes = fs::read(file.path()).unwrap();
            for token in [OTHERS, HEROKU] {
                let part = &token.as_bytes()[7..16];
                assert!(!bytes.windows(part.len()).any(|w| w == part), "{:?}", file.path());
            }
            seen += 1;
        }
    }
    assert!(seen >= 4, "the state files were searched");
}

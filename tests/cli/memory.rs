//! State between runs: cached verdicts, concurrent validation, the stamp, and runs without a state directory.

use crate::support;

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::snapshot::snapshot;
use support::loopback::{Answer, Loopback};
use support::{RAXX, Sandbox, text};

const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
const TOKEN: &str = "ghp_MadeUpForTheMemoryTests0123456789cdef";

/// One GitHub token in the environment, checked against a loopback provider.
fn one(server: &Loopback, more: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"5s\"\n{}{more}\n[[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\nrotate_via = \"page.md\"\n",
        server.config()
    ));
    sandbox.env(NAME, TOKEN);
    sandbox
}

/// The file of the only cached verdict.
fn verdict_file(sandbox: &Sandbox) -> PathBuf {
    let entries = fs::read_dir(sandbox.state().join("verdicts")).expect("a cache");
    let files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|p| p.extension().unwrap() == "json").collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Makes the cached verdict older, or, if negative, dates it in the future.
fn age(sandbox: &Sandbox, by: SignedDuration) {
    let file = verdict_file(sandbox);
    let mut memory: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let began: Timestamp = memory["began"].as_str().unwrap().parse().unwrap();
    memory["began"] = json!(began.checked_sub(by).unwrap());
    fs::write(file, memory.to_string()).unwrap();
}

/// The output of the hook in a new terminal, as the first one of the hour.
fn hook(sandbox: &Sandbox) -> String {
    let _ = fs::remove_file(sandbox.state().join("said.json"));
    let out = sandbox.run(&["hook", "zsh"]);
    assert!(out.status.success());
    assert_eq!(text(&out.stderr), "");
    text(&out.stdout)
}

#[test]
fn new_terminals_do_not_send_a_rejected_value_again_for_ten_minutes() {
    let server = Loopback::start();
    let sandbox = one(&server, "");
    let line = format!("[FAIL] {NAME}    (redacted ghp_…cdef) — HTTP 401 (invalid or expired)");
    let first = hook(&sandbox);
    assert!(first.contains(&format!("'{line}'")), "{first}");
    assert_eq!(server.attempts(TOKEN), 1);

    let second = hook(&sandbox);
    assert!(second.contains(&format!("'{line}, ")), "{second}");
    assert_eq!(server.attempts(TOKEN), 1, "the second terminal sent the value again");

    age(&sandbox, SignedDuration::from_mins(3));
    let third = hook(&sandbox);
    assert!(third.contains(&format!("'{line}, ")) && third.contains("3 minutes"), "{third}");
    assert_eq!(server.attempts(TOKEN), 1);
    snapshot!(sandbox, [first, second, third].join("\n"));

    let check = sandbox.run(&["check"]);
    assert!(text(&check.stdout).starts_with(&format!("{line}\n")), "a check ignores the cache");
    assert_eq!(server.attempts(TOKEN), 2);

    age(&sandbox, SignedDuration::from_mins(11));
    assert!(hook(&sandbox).contains(&format!("'{line}'")));
    assert_eq!(server.attempts(TOKEN), 3, "after ten minutes the value is sent again");
}

#[test]
fn a_verdict_from_the_future_is_not_believed() {
    let server = Loopback::start();
    let sandbox = one(&server, "");
    hook(&sandbox);
    age(&sandbox, SignedDuration::from_hours(-5));
    hook(&sandbox);
    assert_eq!(server.attempts(TOKEN), 2);
}

#[test]
fn another_value_is_another_verdict() {
    let server = Loopback::start();
    let mut sandbox = one(&server, "");
    hook(&sandbox);
    let rotated = "ghp_MadeUpAndRotated000000000000000000beef";
    server.accept(rotated);
    sandbox.env(NAME, rotated);
    assert_eq!(hook(&sandbox), "");
}

#[test]
fn an_outage_is_checked_again_at_once() {
    let server = Loopback::start();
    let sandbox = one(&server, "");
    server.react(TOKEN, Answer::json(503, "{}"));
    hook(&sandbox);
    hook(&sandbox);
    assert_eq!(server.attempts(TOKEN), 2);
}

/// GitHub's answer after too many bad tokens.
fn locked_out() -> Answer {
    Answer::json(403, r#"{"message":"Maximum number of login attempts exceeded. Please try again later."}"#)
}

#[test]
fn a_rejection_outlives_an_outage() {
    let front = "<html>log in to this network</html>";
    let later = [Answer::json(503, "{}"), Answer::html(200, front), locked_out()];
    let mut checks = String::new();
    for (answer, says) in later.into_iter().zip(["HTTP 503", "a page", "a lockout"]) {
        let server = Loopback::start();
        let sandbox = one(&server, "");
        hook(&sandbox);
        server.react(TOKEN, answer);
        let check = text(&sandbox.run(&["check", NAME]).stdout);
        checks += &format!("{says}\n{check}");
        assert_eq!(server.attempts(TOKEN), 2);
        let line = format!("[FAIL] {NAME}    (redacted ghp_…cdef) — HTTP 401 (invalid or expired), ");
        for _ in 0..2 {
            assert!(hook(&sandbox).contains(&line), "{says}");
        }
        assert_eq!(server.attempts(TOKEN), 2, "{says}: the bad value was sent again");
        // Two such answers do not end it either.
        sandbox.run(&["check"]);
        assert!(hook(&sandbox).contains(&line), "{says}");
        assert_eq!(server.attempts(TOKEN), 3, "{says}");
    }
    snapshot!(Sandbox::new(), checks);
}

#[test]
fn a_rejection_ends_when_the_provider_accepts_the_value() {
    let server = Loopback::start();
    let sandbox = one(&server, "");
    hook(&sandbox);
    server.accept(TOKEN);
    assert!(sandbox.run(&["check"]).status.success());
    assert_eq!(hook(&sandbox), "");
    assert_eq!(server.attempts(TOKEN), 3);
}

#[test]
fn a_lockout_is_cached() {
    let server = Loopback::start();
    let sandbox = one(&server, "");
    server.react(TOKEN, locked_out());
    let (first, second) = (hook(&sandbox), hook(&sandbox));
    for said in [&first, &second] {
        assert!(said.contains(&format!("[FAIL] {NAME}")), "{said}");
    }
    assert_eq!(server.attempts(TOKEN), 1, "each new terminal sends it and prolongs the lockout");
    snapshot!(sandbox, [first, second].join("\n"));
    age(&sandbox, SignedDuration::from_mins(11));
    hook(&sandbox);
    assert_eq!(server.attempts(TOKEN), 2);
}

#[test]
fn a_pass_is_checked_again_unless_recheck_after_is_set() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let sandbox = one(&server, "");
    assert_eq!(hook(&sandbox), "");
    assert_eq!(hook(&sandbox), "");
    assert_eq!(server.attempts(TOKEN), 2, "by default every terminal checks");

    let sandbox = one(&server, "[hook]\nrecheck_after = \"1h\"\n");
    for _ in 0..3 {
        assert_eq!(hook(&sandbox), "");
    }
    assert_eq!(server.attempts(TOKEN), 3, "with recheck_after, one request per interval");
    assert!(sandbox.run(&["check"]).status.success());
    assert_eq!(server.attempts(TOKEN), 4, "a check ignores the cache");
}

#[test]
fn many_terminals_at_once_send_few_requests_one_at_a_time() {
    let server = Loopback::start();
    server.accept(TOKEN);
    server.latency(Duration::from_millis(700));
    let sandbox = one(&server, "");
    let start = |_| -> Child {
        let mut hook = std::process::Command::new(RAXX);
        hook.env_clear().envs(sandbox.environment().iter().cloned()).args(["hook", "zsh"]);
        hook.stdout(std::process::Stdio::piped()).spawn().expect("raxx starts")
    };
    let hooks: Vec<Child> = (0..10).map(start).collect();
    for hook in hooks {
        let out = hook.wait_with_output().unwrap();
        assert_eq!(text(&out.stdout), "");
    }
    let asked = server.attempts(TOKEN);
    // The first one sends it; one that arrived meanwhile sends it again for all the others.
    assert!((2..=4).contains(&asked), "{asked} requests of 10 terminals");
}

#[test]
fn a_login_is_not_repeated_by_new_terminals() {
    const SECRET: &str = "made-up-client-secret-0123456789";
    let server = Loopback::start();
    server.accept(SECRET);
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    sandbox.env("INFISICAL_CLIENT_ID", "made-up-id").env("INFISICAL_CLIENT_SECRET", SECRET);
    sandbox.env("INFISICAL_PROJECT_ID", "made-up-project");
    for _ in 0..3 {
        assert_eq!(hook(&sandbox), "");
    }
    assert_eq!(server.attempts(SECRET), 1, "each login counts as a use of the client secret");
    assert!(sandbox.run(&["check"]).status.success());
    assert_eq!(server.attempts(SECRET), 2, "a check ignores the cache");
}

/// Sets the ids of a login in the environment.
fn set_login(sandbox: &mut Sandbox, secret: &str) {
    sandbox.env("INFISICAL_CLIENT_ID", "made-up-id").env("INFISICAL_CLIENT_SECRET", secret);
    sandbox.env("INFISICAL_PROJECT_ID", "made-up-project");
}

#[test]
fn a_failed_login_is_not_repeated() {
    const SECRET: &str = "made-up-client-secret-that-is-wrong";
    let locked = r#"{"reqId":"r","statusCode":401,"message":"This identity auth method is temporarily locked, please try again later","error":"UnauthorizedError"}"#;
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    set_login(&mut sandbox, SECRET);
    assert!(hook(&sandbox).contains("HTTP 401 — credentials rejected'"));
    server.react(SECRET, Answer::json(401, locked));
    let check = text(&sandbox.run(&["check", "infisical"]).stdout);
    assert!(check.starts_with("[FAIL] infisical") && !check.contains("credentials rejected"), "{check}");
    for _ in 0..2 {
        let said = hook(&sandbox);
        assert!(said.contains("HTTP 401 — credentials rejected, "), "{said}");
        snapshot!(sandbox, "a_login_that_failed", format!("{check}\n{said}"));
    }
    assert_eq!(server.attempts(SECRET), 2, "each failed login locks the identity again for all clients");
}

#[test]
fn a_login_that_the_vault_answered_is_cached() {
    const SECRET: &str = "made-up-client-secret-0123456789";
    let error = |status: u16, message: &str| {
        let body = json!({"reqId": "r", "statusCode": status, "message": message, "error": "UnauthorizedError"});
        Answer::json(status, &body.to_string())
    };
    let mut hooks = String::new();
    for answer in [
        error(401, "This identity auth method is temporarily locked, please try again later"),
        error(401, "Failed to authenticate"),
        error(403, "You are not allowed to access this resource from the current IP address"),
        error(429, "Rate limit exceeded"),
        Answer::json(502, "{}"),
    ] {
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        let server = Loopback::start();
        server.accept(TOKEN);
        server.react(SECRET, answer);
        let mut sandbox = one(&server, "");
        set_login(&mut sandbox, SECRET);
        let (first, second) = (hook(&sandbox), hook(&sandbox));
        assert!(first.contains("[FAIL] infisical") && second.contains("[FAIL] infisical"), "{said}");
        assert_eq!(server.attempts(SECRET), 1, "{said}");
        hooks += &format!("{said}\n{first}{second}\n");
    }
    snapshot!(Sandbox::new(), hooks);
}

#[test]
fn a_login_that_did_not_reach_the_vault_is_retried() {
    const SECRET: &str = "made-up-client-secret-0123456789";
    let server = Loopback::start();
    server.accept(TOKEN);
    server.accept(SECRET);
    server.behind_access("madeup.access", "cfast_MadeUpForTheTests0123456789", Answer::access_login("vault.test"));
    let mut sandbox = one(&server, "");
    set_login(&mut sandbox, SECRET);
    let said = hook(&sandbox);
    assert!(said.contains("[FAIL] infisical") && said.contains("CF_ACCESS_CLIENT_ID"), "{said}");
    snapshot!(sandbox, said);
    // The value is sent again at once after the user follows the suggestion.
    sandbox.env("CF_ACCESS_CLIENT_ID", "madeup.access");
    sandbox.env("CF_ACCESS_CLIENT_SECRET", "cfast_MadeUpForTheTests0123456789");
    assert_eq!(hook(&sandbox), "");
}

#[test]
fn logins_are_never_concurrent() {
    const SECRET: &str = "made-up-client-secret-that-is-wrong";
    let server = Loopback::start();
    server.accept(TOKEN);
    server.latency(Duration::from_millis(500));
    let mut sandbox = one(&server, "");
    sandbox.env("INFISICAL_CLIENT_ID", "made-up-id").env("INFISICAL_CLIENT_SECRET", SECRET);
    sandbox.env("INFISICAL_PROJECT_ID", "made-up-project");
    let start = |command: &[&str]| -> Child {
        let mut raxx = std::process::Command::new(RAXX);
        raxx.env_clear().envs(sandbox.environment().iter().cloned()).args(command);
        raxx.stdout(std::process::Stdio::piped()).spawn().expect("raxx starts")
    };
    let mut all: Vec<Child> = (0..4).map(|_| start(&["hook", "zsh"])).collect();
    all.extend((0..4).map(|_| start(&["check"])));
    for one in all {
        let out = one.wait_with_output().unwrap();
        assert!(text(&out.stdout).contains("HTTP 401 — credentials rejected"), "{}", text(&out.stdout));
    }
    let tried = server.attempts(SECRET);
    // Infisical locks the identity for all clients after three failures.
    assert!(tried <= 2, "the wrong secret was sent {tried} times");
}

#[test]
fn only_a_complete_run_without_a_fail_is_stamped() {
    let server = Loopback::start();
    let mut sandbox = one(&server, "");
    let stamp = sandbox.home().join(".raxx-session-bootstrap-last-validated");
    sandbox.run(&["check"]);
    assert!(!stamp.exists(), "a run with a FAIL was stamped");
    server.accept(TOKEN);
    sandbox.run(&["check", NAME]);
    assert!(!stamp.exists(), "a partial run was stamped");
    sandbox.run(&["check"]);
    let written = fs::read_to_string(&stamp).unwrap();
    assert!(written.trim_end().parse::<Timestamp>().is_ok() && written.ends_with("Z\n"), "{written}");

    let other = sandbox.home().join("elsewhere");
    sandbox.env("RAXX_BOOTSTRAP_STATE_FILE", &other);
    fs::remove_file(&stamp).unwrap();
    assert_eq!(hook(&sandbox), "");
    assert!(other.exists() && !stamp.exists(), "a background check writes the stamp too");
}

#[test]
fn an_unusable_state_directory_is_one_warning() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    let in_the_way = sandbox.home().join("a-file");
    fs::write(&in_the_way, "").unwrap();
    sandbox.env("XDG_STATE_HOME", &in_the_way);
    let out = sandbox.run(&["check"]);
    assert!(out.status.success());
    assert!(text(&out.stdout).starts_with("[PASS] "));
    let warned = text(&out.stderr);
    assert!(warned.contains(&format!(" {}/raxx: ", in_the_way.display())) && warned.lines().count() == 1, "{warned}");
    snapshot!(sandbox, &warned);
    assert_eq!(hook(&sandbox), "", "a new terminal stays silent");
}

#[test]
fn a_full_disk_is_one_warning_and_keeps_the_old_stamp() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let sandbox = one(&server, "");
    assert!(sandbox.run(&["check"]).status.success());
    let stamp = sandbox.home().join(".raxx-session-bootstrap-last-validated");
    let before = fs::read_to_string(&stamp).unwrap();
    // No file can grow, as on a full disk.
    let full = sandbox.command("sh").args(["-c", "trap '' XFSZ; ulimit -f 0; exec raxx check"]).output().unwrap();
    assert!(full.status.success(), "{}", text(&full.stderr));
    assert!(text(&full.stdout).starts_with("[PASS] "));
    let warned = text(&full.stderr);
    assert!(warned.starts_with("raxx: warning: ") && warned.lines().count() == 1, "{warned}");
    snapshot!(sandbox, &warned);
    assert_eq!(fs::read_to_string(&stamp).unwrap(), before);
    let left: Vec<_> = fs::read_dir(sandbox.home()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|f| !f.to_string_lossy().contains("tmp")), "half-written files are left: {left:?}");
}

#[test]
fn raxx_works_without_a_home_directory() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    let stamp = sandbox.root().join("stamp");
    sandbox.env("RAXX_BOOTSTRAP_STATE_FILE", &stamp).unset("HOME").unset("XDG_CONFIG_HOME");
    let out = sandbox.run(&["check"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(text(&out.stderr), "");
}

#[test]
fn the_state_is_private_to_the_user() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Loopback::start();
    let sandbox = one(&server, "");
    sandbox.run(&["check"]);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(sandbox.state()), 0o700);
    assert_eq!(mode(sandbox.state().join("key")), 0o600);
    assert_eq!(mode(verdict_file(&sandbox)), 0o600);
}

#[test]
fn a_stopped_raxx_blocks_no_other_process() {
    let server = Loopback::start();
    server.accept(TOKEN);
    server.latency(Duration::from_millis(300));
    let sandbox = one(&server, "");
    let mut check = std::process::Command::new(RAXX);
    check.env_clear().envs(sandbox.environment().iter().cloned()).arg("check").stdout(std::process::Stdio::null());
    let mut check = check.spawn().unwrap();
    while server.attempts(TOKEN) == 0 {
        std::thread::yield_now();
    }
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &check.id().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    signal("-STOP");
    assert_eq!(hook(&sandbox), "", "a good token fails while another raxx is stopped");
    signal("-CONT");
    check.wait().unwrap();
}

#[test]
fn the_state_can_be_deleted_at_any_time() {
    let server = Loopback::start();
    let sandbox = one(&server, "");
    hook(&sandbox);
    fs::remove_dir_all(sandbox.state().join("verdicts")).unwrap();
    hook(&sandbox);
    hook(&sandbox);
    assert_eq!(server.attempts(TOKEN), 2, "the cache is no longer used");
}

#[test]
fn terminals_without_a_network_print_one_line() {
    let closed = support::loopback::ClosedPort::new();
    let mut sandbox = Sandbox::new();
    let mut config = support::loopback::config(&closed.url());
    for name in ["A", "B", "C", "D"] {
        config += &format!("[[credential]]\nname = \"{name}\"\nprovider = \"github\"\n");
        sandbox.env(name, format!("{TOKEN}{name}"));
    }
    sandbox.config(&config);
    let start = |_| {
        let mut hook = std::process::Command::new(RAXX);
        hook.env_clear().envs(sandbox.environment().iter().cloned()).args(["hook", "bash"]);
        hook.stdout(std::process::Stdio::piped()).spawn().expect("raxx starts")
    };
    let hooks: Vec<Child> = (0..6).map(start).collect();
    let said: String = hooks.into_iter().map(|hook| text(&hook.wait_with_output().unwrap().stdout)).collect();
    // By one of the terminals.
    assert_eq!((said.lines().count(), said.matches("[FAIL]").count()), (2, 1), "{said}");
    assert!(said.contains("[FAIL] 4 credentials ") && said.contains("127.0.0.1"), "{said}");
    snapshot!(sandbox, said);
}

#[test]
fn a_corrected_client_id_is_another_login() {
    const SECRET: &str = "made-up-client-secret-0123456789";
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    sandbox.env("INFISICAL_CLIENT_SECRET", SECRET).env("INFISICAL_PROJECT_ID", "made-up-project");
    sandbox.env("INFISICAL_CLIENT_ID", "a-wrong-id");
    assert!(hook(&sandbox).contains("credentials rejected"));
    server.accept(SECRET);
    sandbox.env("INFISICAL_CLIENT_ID", "the-right-id");
    assert_eq!(hook(&sandbox), "");
}

#[test]
fn without_a_state_directory_new_terminals_do_not_log_in() {
    const SECRET: &str = "made-up-client-secret-that-is-wrong";
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    sandbox.env("INFISICAL_CLIENT_ID", "made-up-id").env("INFISICAL_CLIENT_SECRET", SECRET);
    sandbox.env("INFISICAL_PROJECT_ID", "made-up-project").env("XDG_STATE_HOME", "/proc/nope");
    for _ in 0..3 {
        assert_eq!(hook(&sandbox), "");
    }
    assert_eq!(server.attempts(SECRET), 0, "three failed logins lock the identity for all clients");
}

#[test]
fn a_cached_pass_ends_when_its_token_expires() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let sandbox = one(&server, "[hook]\nrecheck_after = \"1h\"\n");
    hook(&sandbox);
    let file = verdict_file(&sandbox);
    let mut memory: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    memory["expires"] = json!("2020-01-01T00:00:00Z");
    fs::write(file, memory.to_string()).unwrap();
    hook(&sandbox);
    assert_eq!(server.attempts(TOKEN), 2);
}

#[test]
fn a_corrected_account_id_is_checked_at_once() {
    let server = Loopback::start();
    let mut sandbox = one(&server, "");
    let first = format!("{}[[credential]]\nname = \"CF\"\nprovider = \"cloudflare\"\n", server.config());
    sandbox.config(&first).env("CF", "cfat_MadeUpForTheMemoryTests0123456789abcdefghijk7b1e");
    sandbox.config(&format!("{first}account_id = \"wrong\"\n"));
    hook(&sandbox);
    let before = server.requests().len();
    sandbox.config(&format!("{first}account_id = \"right\"\n"));
    hook(&sandbox);
    assert!(server.requests().len() > before, "the old account's cached answer is used for the new one");
}

#[test]
fn the_stamp_never_replaces_a_device_or_link() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    let target = sandbox.home().join("target");
    let link = sandbox.home().join("link");
    fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    sandbox.env("RAXX_BOOTSTRAP_STATE_FILE", &link);
    assert!(sandbox.run(&["check"]).status.success());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&target).unwrap().ends_with("Z\n"));
    sandbox.env("RAXX_BOOTSTRAP_STATE_FILE", "/dev/null");
    let out = sandbox.run(&["check"]);
    assert!(out.status.success());
    assert_eq!(text(&out.stderr), "");
    assert!(std::os::unix::fs::FileTypeExt::is_char_device(&fs::metadata("/dev/null").unwrap().file_type()));
}

#[test]
fn a_stamp_that_is_not_a_regular_file_is_one_warning() {
    let server = Loopback::start();
    server.accept(TOKEN);
    let mut sandbox = one(&server, "");
    let pipe = sandbox.home().join("pipe");
    assert!(sandbox.command("mkfifo").arg(&pipe).output().unwrap().status.success());
    let mut warnings = String::new();
    for place in [pipe, sandbox.home()] {
        sandbox.env("RAXX_BOOTSTRAP_STATE_FILE", &place);
        let out = sandbox.run(&["check"]);
        assert!(out.status.success());
        let warned = text(&out.stderr);
        assert!(warned.contains(&format!(" {}: ", place.display())) && warned.lines().count() == 1, "{warned}");
        warnings += &warned;
        let hook = sandbox.run(&["hook", "zsh"]);
        assert_eq!((text(&hook.stdout), text(&hook.stderr)), (String::new(), warned));
    }
    snapshot!(sandbox, warnings);
}

/// Cloudflare's answer to a malformed token.
fn mangled() -> Answer {
    Answer::json(
        400,
        r#"{"success":false,"errors":[{"code":6003,"message":"Invalid request headers"}],"messages":[],"result":null}"#,
    )
}

/// The same machine with a store file.
fn one_stored(server: &Loopback, provider: &str, value: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"6s\"\n{}enabled = false\n[store]\nbackend = \"file\"\nidentity = \"~/identity.txt\"\n\
         [[credential]]\nname = \"{NAME}\"\nprovider = \"{provider}\"\nrotate_via = \"page.md\"\n\
         store = {{ service = \"raxx-test\", account = \"test\" }}\n",
        server.config()
    ));
    let stored = sandbox.raxx().args(["store", NAME, "--stdin", "--no-check"]).write_stdin(value).output().unwrap();
    assert!(stored.status.success(), "{}", text(&stored.stderr));
    sandbox
}

/// The hook's code that unsets this bad value, unless it has changed in the meantime.
fn unset_code(value: &str) -> String {
    format!("\\builtin test \"x${{{NAME}-}}\" != 'x{value}' || \\builtin unset {NAME}\n")
}

#[test]
fn a_value_that_the_provider_calls_malformed_is_a_rejection() {
    let server = Loopback::start();
    let mut sandbox = one_stored(&server, "cloudflare", TOKEN);
    server.react(TOKEN, mangled());
    // As in a new shell: raxx exported it from the store.
    let exported = text(&sandbox.run(&["export", "zsh", "--missing"]).stdout);
    assert_eq!(exported, format!("export {NAME}='{TOKEN}'\nexport __RAXX_NAMES='{NAME}'\n"));
    sandbox.env(NAME, TOKEN).env("__RAXX_NAMES", NAME);
    let first = hook(&sandbox);
    assert!(first.starts_with(&format!("{}export __RAXX_NAMES=''\n", unset_code(TOKEN))), "{first}");
    let again = format!("       type: raxx store {NAME}");
    assert!(first.contains(&format!("'{again}'")), "{first}");
    let second = hook(&sandbox);
    assert!(second.contains(&format!("[FAIL] {NAME}")), "{second}");
    assert_eq!(server.attempts(TOKEN), 1, "each new terminal sent it again");
    // A new shell does not get it.
    sandbox.unset(NAME).unset("__RAXX_NAMES");
    assert_eq!(text(&sandbox.run(&["export", "zsh", "--missing"]).stdout), "");
    // A value that the user set is not unset.
    let own = TOKEN.replace("cdef", "0000");
    server.react(&own, mangled());
    sandbox.env(NAME, &own);
    let said = hook(&sandbox);
    assert!(!said.contains("unset") && said.contains(&format!("[FAIL] {NAME}")), "{said}");
    snapshot!(sandbox, [first, second, said].join("\n").replace(TOKEN, "[VALUE]"));
}

#[test]
fn a_rejected_value_with_a_quote_at_its_end() {
    let server = Loopback::start();
    let quoted = format!("\"{TOKEN}\"");
    let mut sandbox = one_stored(&server, "github", &quoted);
    sandbox.env(NAME, &quoted).env("__RAXX_NAMES", NAME);
    let said = hook(&sandbox);
    assert!(said.starts_with(&unset_code(&quoted)), "{said}");
    assert!(said.contains(&format!("       type: raxx store {NAME}")), "{said}");
    snapshot!(sandbox, said.replace(&quoted, "[VALUE]"));
    hook(&sandbox);
    assert_eq!(server.attempts(&quoted), 1);
}

#[test]
fn load_unsets_bad_values_that_raxx_exported() {
    let server = Loopback::start();
    let mut sandbox = one(&server, "");
    sandbox.env("__RAXX_NAMES", format!("{NAME} OTHER"));
    let load = |sandbox: &Sandbox| text(&sandbox.run(&["load", "--shell", "zsh"]).stdout);
    assert_eq!(load(&sandbox), format!("unset {NAME}\nexport __RAXX_NAMES='OTHER'\n"));
    // A value that the user set is not unset.
    sandbox.env("__RAXX_NAMES", "OTHER");
    assert_eq!(load(&sandbox), "");
    // An outage unsets nothing.
    sandbox.env("__RAXX_NAMES", NAME);
    server.react(TOKEN, Answer::json(503, "{}"));
    assert_eq!(load(&sandbox), format!("export {NAME}='{TOKEN}'\nexport __RAXX_NAMES='{NAME}'\n"));
    server.react(TOKEN, mangled());
    let cloudflare = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&cloudflare.replace("provider = \"github\"", "provider = \"cloudflare\""));
    assert_eq!(load(&sandbox), format!("unset {NAME}\nexport __RAXX_NAMES=''\n"));
}

#[test]
fn a_value_that_the_user_exported_is_never_marked_as_raxxs() {
    let server = Loopback::start();
    server.accept(TOKEN);
    for value in [TOKEN.to_string(), format!("{TOKEN}\n"), format!("{TOKEN}\r\n")] {
        let mut sandbox = one_stored(&server, "github", TOKEN);
        sandbox.env(NAME, &value);
        for command in [&["load", "--shell", "zsh"][..], &["export", "zsh", "--missing"], &["hook", "zsh"]] {
            let code = text(&sandbox.run(command).stdout);
            assert!(!code.contains("__RAXX_NAMES"), "{command:?}: {code}");
        }
        // Also together with a variable that raxx exported.
        sandbox.env("__RAXX_NAMES", "OTHER");
        for command in [&["load", "--shell", "zsh"][..], &["hook", "zsh"]] {
            let code = text(&sandbox.run(command).stdout);
            assert!(!code.contains(&format!("OTHER {NAME}")) && !code.contains(&format!("{NAME} OTHER")), "{code}");
        }
    }
}

#[test]
fn the_environment_and_the_store_share_one_deadline() {
    let server = Loopback::start();
    let good = TOKEN.replace("cdef", "9999");
    server.accept(&good);
    let mut sandbox = one_stored(&server, "github", &good);
    sandbox.env(NAME, TOKEN);
    // Each answer arrives within the six seconds, but not both one after the other.
    server.latency(Duration::from_millis(3_500));
    let said = text(&sandbox.run(&["check"]).stdout);
    let line = format!("[FAIL] {NAME}    (redacted ghp_…cdef) — HTTP 401 (invalid or expired)\n");
    let next = format!("       type: raxx check {NAME}\n");
    assert!(said.starts_with(&line) && said.ends_with(&next) && said.lines().count() == 3, "{said}");
    snapshot!(sandbox, said);
}

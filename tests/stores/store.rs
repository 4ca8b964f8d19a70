//! `raxx store` and `raxx forget`: a value is verified before it replaces a working one.

use std::fs;

use crate::snapshot::snapshot;
use crate::support;
use crate::support::loopback::{Answer, ClosedPort, Loopback};
use crate::support::{RAXX, Sandbox, text};
use crate::token::{
    NAME, NEW, OLD, assert_stored, piped, sandbox, sandbox_at, shown, store_unchecked, stored_code, terminal,
    with_input,
};

#[test]
fn a_value_that_passes_is_stored() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let args = ["store", NAME, "--stdin"];
    let out = with_input(&sandbox, &args, &format!("{NEW}\n"));
    let all = text(&out.stderr);
    assert_eq!(all.matches("(redacted ghp_…2new)").count(), 1, "{all}");
    assert!(all.contains(&format!("[PASS] {NAME}    (redacted ghp_…2new) — octo-op\n")), "{all}");
    assert_eq!((text(&out.stdout).as_str(), out.status.code()), ("", Some(0)));
    snapshot!(sandbox, shown(&args, &out));
    assert_stored(&sandbox, NEW);
}

#[test]
fn a_value_that_the_provider_rejects_replaces_nothing() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let (shown, code) = piped(&sandbox, &["store", NAME, "--stdin"], NEW);
    assert_eq!(code, 1);
    assert!(shown.contains(&format!("[FAIL] {NAME}    (redacted ghp_…2new) — HTTP 401")), "{shown}");
    assert!(!shown.contains("rotate via"), "storing a new value needs no rotation page: {shown}");
    snapshot!(sandbox, shown);
    assert_stored(&sandbox, OLD);
}

#[test]
fn no_check_stores_the_value_and_says_so() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let (shown, code) = piped(&sandbox, &["store", NAME, "--stdin", "--no-check"], NEW);
    assert_eq!(code, 0);
    snapshot!(sandbox, shown);
    assert!(server.requests().is_empty());
    assert_stored(&sandbox, NEW);
}

#[test]
fn a_value_stored_unchecked_is_exported_despite_an_older_rejection() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    for command in ["store", "rotate"] {
        let value = format!("{NEW}{command}");
        assert_eq!(with_input(&sandbox, &["store", NAME, "--stdin"], &value).status.code(), Some(1));
        assert!(with_input(&sandbox, &[command, NAME, "--stdin", "--no-check"], &value).status.success());
        assert_stored(&sandbox, &value);
    }
}

#[test]
fn an_unverified_value_is_refused_in_a_pipe_and_needs_a_yes_on_a_terminal() {
    let closed = ClosedPort::new();
    let sandbox = sandbox_at(&support::loopback::config(&closed.url()));
    store_unchecked(&sandbox, OLD);
    let (shown, code) = piped(&sandbox, &["store", NAME, "--stdin"], NEW);
    assert_eq!(code, 1);
    assert!(shown.contains("--no-check"), "{shown}");
    snapshot!(sandbox, "unchecked_in_a_pipe", shown);
    assert_stored(&sandbox, OLD);

    for (answer, value, code) in [("n", OLD, 1), ("y", NEW, 0)] {
        let mut terminal = terminal(&sandbox, RAXX, &["store", NAME]);
        terminal.wait_for(&format!("{NAME} (hidden):"));
        terminal.line(NEW);
        terminal.wait_for("[y/N]");
        terminal.line(answer);
        assert_eq!(terminal.end(), code, "{}", terminal.screen());
        snapshot!(sandbox, format!("unchecked_on_a_terminal_{answer}"), terminal.screen());
        assert_stored(&sandbox, value);
    }
}

#[test]
fn a_malformed_value_is_refused() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let other = format!("export HOMELESS=\"{NEW}\"");
    let unknown = format!("export SOMETHING={NEW}");
    let mut table = String::new();
    for input in [
        &b""[..],
        b"\n",
        b"two\nlines",
        b"a\x1b[31mb",
        b"a\0b",
        b"a\xffb",
        other.as_bytes(),
        unknown.as_bytes(),
        format!("export {NAME}=$(op read x)").as_bytes(),
    ] {
        let args = ["store", NAME, "--stdin"];
        let out = sandbox.raxx().args(args).write_stdin(input).output().expect("raxx starts");
        assert_eq!((text(&out.stderr).lines().count(), out.status.code()), (1, Some(2)), "{}", text(&out.stderr));
        table += &format!("input: {}\n{}\n", input.escape_ascii(), shown(&args, &out));
    }
    let (long, code) = piped(&sandbox, &["store", NAME, "--stdin"], &"x".repeat(70_000));
    assert_eq!(code, 2);
    table += &format!("input: 70,000 times x\n{long}");
    assert!(table.contains("type: raxx store HOMELESS\n"), "{table}");
    snapshot!(sandbox, table.replace(NEW, "[NEW]"));
    assert!(server.requests().is_empty());
    assert_stored(&sandbox, OLD);
}

#[test]
fn an_unusual_value_is_stored_with_a_warning() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let mut table = String::new();
    for input in [
        "Bearer made-up-token",
        "\"made-up-token\"",
        "made-up-tökén",
        "${TOKEN}",
        "$(op read x)",
        "op://Private/GitHub/token",
        "ENC[AES256_GCM,data:bWFkZS11cA==,type:str]",
        "YOUR_API_KEY",
        "ghp_****************",
    ] {
        let (shown, code) = piped(&sandbox, &["store", NAME, "--stdin", "--no-check"], input);
        assert!(code == 0 && shown.contains("warning: "), "{shown}");
        assert!(stored_code(&sandbox).contains(&input[..4]), "{input}: {}", stored_code(&sandbox));
        table += &format!("input: {input}\n{shown}\n");
    }
    snapshot!(sandbox, table);
}

/// The stderr of a `raxx ARGS` that must be one line, and its exit code.
fn one_line(sandbox: &Sandbox, args: &[&str]) -> String {
    let (shown, code) = piped(sandbox, args, NEW);
    let said = shown.lines().filter(|line| line.starts_with("stderr: raxx: ")).count();
    assert_eq!((said, code), (1, 2), "{shown}");
    shown
}

#[test]
fn usage_errors_are_one_line() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let mut all = String::new();
    for command in [["store", "--stdin"], ["forget", "--yes"], ["rotate", "--stdin"]] {
        let [command, option] = command;
        let shown = one_line(&sandbox, &[command, "GITHUB", option]);
        assert!(shown.contains(&format!("type: raxx {command} {NAME} {option}\n")), "{shown}");
        all += &shown;
    }
    // A variable name is not a value, however long it is.
    for name in ["NOPE", "INFISICAL_CLIENT_SECRET"] {
        let shown = one_line(&sandbox, &["store", name, "--stdin"]);
        let place = sandbox.root().join("config.toml");
        for part in [NAME, "HOMELESS", "SLACK_BOT_TOKEN", place.to_str().unwrap()] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
        all += &shown;
    }
    let homeless = one_line(&sandbox, &["store", "HOMELESS", "--stdin"]);
    assert!(homeless.contains("store = { service = \"…\", account = \"…\" }"), "{homeless}");
    all += &homeless;
    for args in [["rotate", "HOMELESS", "--stdin"], ["forget", "HOMELESS", "--yes"], ["store", NAME, "--repair"]] {
        all += &one_line(&sandbox, &args);
    }
    let args = ["store", NAME];
    let out = sandbox.without_terminal(&args);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("--stdin"), "{}", text(&out.stderr));
    snapshot!(sandbox, all + &shown(&args, &out));
}

#[test]
fn forget_asks_and_deletes_the_value() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let out = sandbox.without_terminal(&["forget", NAME]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains(&format!("raxx forget {NAME} --yes\n")), "{}", text(&out.stderr));
    snapshot!(sandbox, "forget_without_a_terminal", shown(&["forget", NAME], &out));
    let mut terminal = terminal(&sandbox, RAXX, &["forget", NAME]);
    terminal.wait_for("[y/N]");
    terminal.line("");
    assert_eq!(terminal.end(), 1);
    assert!(terminal.screen().contains(NAME), "{}", terminal.screen());
    snapshot!(sandbox, "forget_asks", terminal.screen());
    assert_stored(&sandbox, OLD);
    let (deleted, code) = piped(&sandbox, &["forget", NAME, "--yes"], "");
    assert_eq!((code, stored_code(&sandbox)), (0, String::new()));
    let (again, code) = piped(&sandbox, &["forget", NAME, "--yes"], "");
    assert_eq!(code, 1);
    snapshot!(sandbox, "forget_twice", deleted + &again);
}

#[test]
fn alert_tokens_are_verified_with_slack() {
    let (old, new) = ("/services/T0/B0/MadeUpOld00000000", "/services/T0/B0/MadeUpNew00000000");
    let server = Loopback::start();
    server.accept(old);
    server.accept(new);
    let mut sandbox = sandbox(&server);
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&format!("{config}[alert.slack]\nwebhook = \"HOOK\"\nbase_url = \"{}/slack/api\"\n", server.url()));
    let address = |path: &str| format!("{}{path}", server.url());
    sandbox.env("HOOK", address(old));
    let next = "unset HOOK; raxx check --alert --test\n";
    let (store, code) = piped(&sandbox, &["store", "HOOK", "--stdin"], &address(new));
    assert!(code == 0 && store.contains(next), "{store}");
    let (rotate, code) = piped(&sandbox, &["rotate", "HOOK", "--stdin", "--no-check"], &address(old));
    assert!(code == 0 && rotate.contains(next), "{rotate}");
    assert_eq!(rotate.matches("raxx check --alert --test").count(), 2, "{rotate}");
    let (forget, code) = piped(&sandbox, &["forget", "HOOK", "--yes"], "");
    assert!(code == 0 && forget.contains("unset HOOK\n"), "{forget}");
    let all = store + &rotate + &forget;
    assert!(!all.contains("MadeUp"), "{all}");
    snapshot!(sandbox, all);
}

#[test]
fn without_stored_values_the_next_command_is_shown() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    assert!(sandbox.run(&["forget", NAME, "--yes"]).status.success());
    let steps = text(&sandbox.run(&["check"]).stderr);
    for step in [&format!("raxx store {NAME}\n"), "raxx import "] {
        assert!(steps.contains(step), "no {step:?} in {steps}");
    }
    assert!(!steps.contains("raxx store HOMELESS"), "HOMELESS has no store: {steps}");
    snapshot!(sandbox, steps);
}

#[test]
fn unset_tmux_removes_the_values_for_new_panes() {
    for shell in [vec!["zsh", "-f"], vec!["bash", "--norc", "--noprofile"]] {
        let mut sandbox = Sandbox::new();
        sandbox.config(&format!("[[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\n"));
        let sockets = sandbox.root().to_path_buf();
        sandbox.env("TMUX_TMPDIR", sockets).env(NAME, OLD);
        let name = shell[0];
        let run = |script: &str| {
            let script = format!("eval \"$(raxx init {name})\"; {script}");
            sandbox.command(name).args(&shell[1..]).args(["-c", &script]).output().unwrap()
        };
        let alone = run(&format!("raxx unset --tmux; echo \"$? ${{{NAME}-gone}}\""));
        assert_eq!(text(&alone.stdout), "1 gone\n", "{name}");
        assert_eq!(text(&alone.stderr).lines().count(), 1, "{name}");
        snapshot!(sandbox, "unset_tmux_without_a_server", text(&alone.stderr));
        let started =
            sandbox.command("tmux").args(["-f", "/dev/null", "new-session", "-d", "-s", "t", "sleep 60"]).output();
        assert!(started.unwrap().status.success());
        let before = sandbox.command("tmux").args(["show-environment", "-g", NAME]).output().unwrap();
        assert!(text(&before.stdout).starts_with(&format!("{NAME}=")), "{name}");
        let cleared = run("raxx unset --tmux; echo $?");
        assert_eq!((text(&cleared.stdout), text(&cleared.stderr)), ("0\n".into(), String::new()), "{name}");
        let after = sandbox.command("tmux").args(["show-environment", "-g", NAME]).output().unwrap();
        assert!(!after.status.success(), "{name}: {}", text(&after.stdout));
        sandbox.command("tmux").arg("kill-server").output().unwrap();
        let wrong = run("raxx unset ONE; echo $?");
        assert_eq!(text(&wrong.stdout), "2\n");
        snapshot!(sandbox, "unset_takes_no_names", text(&wrong.stderr));
    }
}

#[test]
fn a_stale_value_in_the_environment_is_replaced_by_a_good_stored_one() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    store_unchecked(&sandbox, NEW);
    sandbox.env(NAME, OLD);
    let check = sandbox.run(&["check", NAME]);
    let all = text(&check.stdout);
    assert!(all.starts_with(&format!("[FAIL] {NAME}    (redacted ghp_…1old) — HTTP 401 ")), "{all}");
    assert!(all.ends_with(&format!("       type: raxx load {NAME}\n")), "{all}");
    assert_eq!((all.contains("rotate"), check.status.code()), (false, Some(1)), "no rotation is needed: {all}");
    snapshot!(sandbox, "stale_environment", all);

    let code = format!("export {NAME}='{NEW}'\nexport __RAXX_NAMES='{NAME}'\n");
    let load = sandbox.run(&["load", NAME, "--shell", "zsh"]);
    let all = text(&load.stderr);
    assert!(all.starts_with(&format!("[PASS] {NAME}    (redacted ghp_…2new) — octo-op")), "{all}");
    assert_eq!((text(&load.stdout), load.status.code()), (code, Some(0)));
    snapshot!(sandbox, "stale_environment_loaded", all);

    sandbox.config(
        &fs::read_to_string(sandbox.root().join("config.toml"))
            .unwrap()
            .replace("[[credential]]\nname = \"HOMELESS\"\nprovider = \"github\"\n", ""),
    );
    // A new terminal gets it silently, unless the variable has changed meanwhile.
    let names = format!("__RAXX_NAMES=\"${{__RAXX_NAMES:+$__RAXX_NAMES }}{NAME}\"");
    let guarded = format!("\\builtin test \"x${{{NAME}-}}\" != 'x{OLD}' || \\builtin export {NAME}='{NEW}' {names}\n");
    assert_eq!(text(&sandbox.run(&["hook", "zsh"]).stdout), guarded);
    // If the stored value is bad too, the FAIL is the one for the environment's value.
    server.revoke(NEW);
    let dead = text(&sandbox.run(&["check", NAME]).stdout);
    assert!(dead.contains("1old) — HTTP 401 ") && dead.contains("\n       rotate via: "), "{dead}");
    snapshot!(sandbox, "stale_environment_and_store", dead);
}

#[test]
fn a_restricted_token_replaces_nothing_without_a_yes_and_no_revocation() {
    let server = Loopback::start();
    server.accept(OLD);
    let forbidden = "{\"message\":\"Resource not accessible by personal access token\",\"status\":\"403\"}";
    server.react(NEW, Answer::json(403, forbidden));
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let mut all = String::new();
    for command in ["store", "rotate"] {
        let (shown, code) = piped(&sandbox, &[command, NAME, "--stdin"], NEW);
        assert!(code == 1 && shown.contains("--no-check"), "{shown}");
        all += &shown;
        assert_stored(&sandbox, OLD);
    }
    let (unverified, code) = piped(&sandbox, &["rotate", NAME, "--stdin", "--no-check"], NEW);
    assert!(code == 0 && unverified.contains(&format!("raxx check {NAME}")), "{unverified}");
    assert!(!unverified.contains("revoke"), "{unverified}");
    snapshot!(sandbox, all + &unverified);
}

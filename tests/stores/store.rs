//! `raxx store` and `raxx forget`: a value is verified before it replaces one that works.

use std::fs;

use crate::support;
use crate::support::loopback::{Answer, ClosedPort, Loopback};
use crate::support::{RAXX, Sandbox, text};
use crate::token::{NAME, NEW, OLD, given, held, holds, said, sandbox, sandbox_at, terminal, with_input};

#[test]
fn a_value_that_passes_is_stored() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let out = with_input(&sandbox, &["store", NAME, "--stdin"], &format!("{NEW}\n"));
    assert_eq!(said(&out), (format!("raxx: {NAME} is stored in the store file"), 0));
    let all = text(&out.stderr);
    assert_eq!(all.matches("(redacted ghp_…2new)").count(), 1, "{all}");
    assert!(all.contains(&format!("[PASS] {NAME}    (redacted ghp_…2new) — octo-op\n")), "{all}");
    assert_eq!(text(&out.stdout), "");
    holds(&sandbox, NEW);
}

#[test]
fn a_value_that_the_provider_rejects_replaces_nothing() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let out = with_input(&sandbox, &["store", NAME, "--stdin"], NEW);
    assert_eq!(said(&out), ("raxx: nothing is stored".into(), 1));
    assert!(text(&out.stderr).contains("HTTP 401 (invalid or expired)\n"));
    assert!(!text(&out.stderr).contains("rotate via"), "who is storing a new one needs no page");
    holds(&sandbox, OLD);
}

#[test]
fn no_check_stores_it_and_says_so() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let out = with_input(&sandbox, &["store", NAME, "--stdin", "--no-check"], NEW);
    assert!(text(&out.stderr).contains(&format!("raxx: {NAME} is not checked, as you asked\n")));
    assert!(server.requests().is_empty());
    holds(&sandbox, NEW);
}

#[test]
fn what_is_stored_unchecked_is_not_held_back_for_an_older_rejection() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    for command in ["store", "rotate"] {
        let value = format!("{NEW}{command}");
        assert_eq!(with_input(&sandbox, &["store", NAME, "--stdin"], &value).status.code(), Some(1));
        assert!(with_input(&sandbox, &[command, NAME, "--stdin", "--no-check"], &value).status.success());
        holds(&sandbox, &value);
    }
}

#[test]
fn what_could_not_be_checked_is_refused_in_a_pipe_and_asked_about_on_a_terminal() {
    let closed = ClosedPort::new();
    let sandbox = sandbox_at(&support::loopback::config(&closed.url()));
    given(&sandbox, OLD);
    let out = with_input(&sandbox, &["store", NAME, "--stdin"], NEW);
    let why = "raxx: it could not be checked, so nothing is stored. To store it anyway, add --no-check";
    assert_eq!(said(&out), (why.into(), 1));
    holds(&sandbox, OLD);

    for (answer, value, code) in [("n", OLD, 1), ("y", NEW, 0)] {
        let mut terminal = terminal(&sandbox, RAXX, &["store", NAME]);
        terminal.wait_for(&format!("{NAME} (hidden):"));
        terminal.line(NEW);
        terminal.wait_for("It could not be checked. Store it anyway? [y/N]");
        terminal.line(answer);
        assert_eq!(terminal.end(), code, "{}", terminal.screen());
        holds(&sandbox, value);
    }
}

#[test]
fn what_cannot_be_a_token_is_refused() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    for (input, why) in [
        ("", "not a token: it is empty"),
        ("\n", "not a token: it is empty"),
        ("two\nlines", "not a token: contains a newline"),
        ("a\u{1b}[31mb", "not a token: contains a control character"),
    ] {
        let out = with_input(&sandbox, &["store", NAME, "--stdin"], input);
        assert_eq!(said(&out), (format!("raxx: {NAME}: {why}; nothing is stored"), 2));
    }
    let out = with_input(&sandbox, &["store", NAME, "--stdin"], &"x".repeat(70_000));
    assert_eq!(said(&out), ("raxx: more than 64 KiB came in: that is no token".into(), 2));
    assert!(server.requests().is_empty());
}

#[test]
fn what_is_wrong_with_the_command_is_one_line() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let run = |args: &[&str]| said(&with_input(&sandbox, args, NEW));
    let unknown = |next: &str| format!("raxx: no credential is named GITHUB: did you mean {NAME}?; type: raxx {next}");
    assert_eq!(run(&["store", "GITHUB", "--stdin"]), (unknown(&format!("store {NAME} --stdin")), 2));
    assert_eq!(run(&["forget", "GITHUB", "--yes"]), (unknown(&format!("forget {NAME} --yes")), 2));
    assert_eq!(run(&["rotate", "GITHUB", "--stdin"]), (unknown(&format!("rotate {NAME} --stdin")), 2));
    let place = sandbox.root().join("config.toml");
    let unknown = format!(
        "raxx: no credential has that name. There are: {NAME}, HOMELESS, SLACK_BOT_TOKEN. To add one: a [[credential]] in {}",
        place.display()
    );
    // A variable's name is no value, however long it is.
    assert_eq!(run(&["store", "NOPE", "--stdin"]), (unknown.clone(), 2));
    assert_eq!(run(&["store", "INFISICAL_CLIENT_SECRET", "--stdin"]), (unknown, 2));
    let homeless = "raxx: HOMELESS has no place in the store: add store = { service = \"…\", account = \"…\" } to its [[credential]]";
    assert_eq!(run(&["store", "HOMELESS", "--stdin"]), (homeless.into(), 2));
    let nobody = "raxx: there is no terminal to ask on: pipe the value in with --stdin";
    let no_terminal = sandbox.without_terminal(&["store", NAME]);
    assert_eq!(said(&no_terminal), (nobody.into(), 2));
    let repair = "raxx: only items of the macOS Keychain need a repair: this machine keeps values elsewhere";
    assert_eq!(run(&["store", NAME, "--repair"]), (repair.into(), 2));
}

#[test]
fn forget_asks_and_takes_it_out() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let out = sandbox.without_terminal(&["forget", NAME]);
    assert_eq!(said(&out), (format!("raxx: there is no terminal to ask on: raxx forget {NAME} --yes"), 2));
    let mut terminal = terminal(&sandbox, RAXX, &["forget", NAME]);
    terminal.wait_for(&format!("Take {NAME} out of the store file? [y/N]"));
    terminal.line("");
    terminal.wait_for("raxx: nothing is changed");
    assert_eq!(terminal.end(), 1);
    holds(&sandbox, OLD);
    let out = sandbox.run(&["forget", NAME, "--yes"]);
    assert_eq!(said(&out), (format!("raxx: {NAME} is out of the store file"), 0));
    assert_eq!(held(&sandbox), "");
    assert_eq!(said(&sandbox.run(&["forget", NAME, "--yes"])), (format!("raxx: {NAME} is not in the store file"), 1));
}

#[test]
fn what_alerts_are_sent_with_is_looked_at_in_its_own_way() {
    let (old, new) = ("/services/T0/B0/MadeUpOld00000000", "/services/T0/B0/MadeUpNew00000000");
    let server = Loopback::start();
    server.accept(old);
    server.accept(new);
    let mut sandbox = sandbox(&server);
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&format!("{config}[alert.slack]\nwebhook = \"HOOK\"\nbase_url = \"{}/slack/api\"\n", server.url()));
    let address = |path: &str| format!("{}{path}", server.url());
    sandbox.env("HOOK", address(old));
    let out = with_input(&sandbox, &["store", "HOOK", "--stdin"], &address(new));
    let next = "Type: unset HOOK; raxx check --alert --test";
    assert_eq!(said(&out), (format!("raxx: this shell still has another value. {next}"), 0));
    let out = with_input(&sandbox, &["rotate", "HOOK", "--stdin", "--no-check"], &address(old));
    let all = text(&out.stderr);
    for line in [
        format!("raxx: this shell still has the old value. {next}"),
        "raxx: the new one is not proven: keep the old one until raxx check --alert --test passes".into(),
    ] {
        assert!(all.lines().any(|l| l == line), "no line {line:?} in\n{all}");
    }
    let out = sandbox.run(&["forget", "HOOK", "--yes"]);
    let gone = "raxx: HOOK is out of the store file. This shell still has it. Type: unset HOOK";
    assert_eq!(said(&out), (gone.into(), 0));
}

#[test]
fn a_machine_where_nothing_is_stored_is_told_what_to_type() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    assert!(sandbox.run(&["forget", NAME, "--yes"]).status.success());
    let out = sandbox.run(&["check"]);
    let steps = format!(
        "raxx: nothing is stored yet. To store what you have, type (it asks for the value, and proves it):\n       raxx store {NAME}\n       raxx store HOMELESS\n       raxx import        finds values that are set in this shell or in its files\n"
    );
    assert_eq!(text(&out.stderr), steps);
}

#[test]
fn unset_tmux_takes_the_values_from_what_new_panes_get() {
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
        assert_eq!(text(&alone.stderr), "raxx: no tmux server answers: only this shell is cleared\n", "{name}");
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
        let why =
            "raxx: unset takes no names, it clears every variable that raxx knows; --tmux: in the tmux server too\n";
        assert_eq!(text(&wrong.stderr), why);
    }
}

#[test]
fn a_stale_environment_gives_way_to_a_good_value_of_the_store() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    given(&sandbox, NEW);
    sandbox.env(NAME, OLD);
    let check = sandbox.run(&["check", NAME]);
    let line = format!(
        "[FAIL] {NAME}    (redacted ghp_…1old) — HTTP 401 (invalid or expired)\n       the store file has another value, which works\n       type: raxx load {NAME}\n"
    );
    assert_eq!((text(&check.stdout), check.status.code()), (line, Some(1)), "nobody needs to rotate");

    let code = format!("export {NAME}='{NEW}'\nexport __RAXX_NAMES='{NAME}'\n");
    let load = sandbox.run(&["load", NAME, "--shell", "zsh"]);
    let line = format!(
        "[PASS] {NAME}    (redacted ghp_…2new) — octo-op, from the store file (the one in this shell was bad)\n"
    );
    assert_eq!((text(&load.stdout), text(&load.stderr), load.status.code()), (code.clone(), line, Some(0)));

    sandbox.config(
        &fs::read_to_string(sandbox.root().join("config.toml"))
            .unwrap()
            .replace("[[credential]]\nname = \"HOMELESS\"\nprovider = \"github\"\n", ""),
    );
    // A new terminal gets it without a word, unless something else was typed there meanwhile.
    let names = format!("__RAXX_NAMES=\"${{__RAXX_NAMES:+$__RAXX_NAMES }}{NAME}\"");
    let guarded = format!("\\builtin test \"x${{{NAME}-}}\" != 'x{OLD}' || \\builtin export {NAME}='{NEW}' {names}\n");
    assert_eq!(text(&sandbox.run(&["hook", "zsh"]).stdout), guarded);
    // What the store has may be bad too: then the environment's own FAIL stands.
    server.revoke(NEW);
    let dead = text(&sandbox.run(&["check", NAME]).stdout);
    assert!(dead.contains("1old) — HTTP 401 (invalid or expired)\n       rotate via: "), "{dead}");
}

#[test]
fn a_limited_token_replaces_nothing_unasked_and_nobody_is_told_to_revoke() {
    let server = Loopback::start();
    server.accept(OLD);
    let forbidden = "{\"message\":\"Resource not accessible by personal access token\",\"status\":\"403\"}";
    server.react(NEW, Answer::json(403, forbidden));
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    for command in [vec!["store", NAME, "--stdin"], vec!["rotate", NAME, "--stdin"]] {
        let out = with_input(&sandbox, &command, NEW);
        let why = "raxx: the token works but is restricted, so nothing is stored. To store it anyway, add --no-check";
        assert_eq!(said(&out), (why.into(), 1));
        holds(&sandbox, OLD);
    }
    let unproven = with_input(&sandbox, &["rotate", NAME, "--stdin", "--no-check"], NEW);
    let keep = format!("raxx: the new one is not proven: keep the old one until raxx check {NAME} passes");
    assert_eq!(said(&unproven), (keep, 0));
}

//! `store`, `rotate`, `forget` and `import`: a value is proven before it replaces one that works, and is shown nowhere.

use crate::pty;
use crate::support;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use pty::Terminal;
use support::loopback::{Answer, ClosedPort, Loopback};
use support::{RAXX, Sandbox, text};

const NAME: &str = "GITHUB_API_SECRETS_TOKEN";
const OLD: &str = "ghp_MadeUpAndStoredBefore0123456789001old";
const NEW: &str = "ghp_MadeUpAndMintedJustNow012345678902new";

/// One GitHub token, kept in a store file, checked against this provider.
fn sandbox_at(provider: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"5s\"\n{provider}enabled = false\n\
         [store]\nbackend = \"file\"\nidentity = \"~/identity.txt\"\n\
         [[credential]]\nname = \"{NAME}\"\nprovider = \"github\"\nscope = \"Secrets: write\"\n\
         store = {{ service = \"raxx-test\", account = \"test\" }}\n\
         rotate_via = \"docs/ops/runbooks/rotation/github-pat.md\"\n\
         [[credential]]\nname = \"HOMELESS\"\nprovider = \"github\"\n"
    ));
    sandbox
}

fn sandbox(server: &Loopback) -> Sandbox {
    sandbox_at(&server.config())
}

fn with_input(sandbox: &Sandbox, args: &[&str], input: &str) -> Output {
    sandbox.raxx().args(args).write_stdin(input).output().expect("raxx starts")
}

fn terminal(sandbox: &Sandbox, program: &str, args: &[&str]) -> Terminal {
    Terminal::open(Path::new(program), args, sandbox.environment(), &sandbox.home())
}

/// Stores a value without asking anybody.
fn given(sandbox: &Sandbox, value: &str) {
    let out = with_input(sandbox, &["store", NAME, "--stdin", "--no-check"], value);
    assert!(out.status.success(), "{}", text(&out.stderr));
}

/// What the store holds, as a new shell would get it.
fn held(sandbox: &Sandbox) -> String {
    text(&sandbox.run(&["export", "sh", NAME]).stdout)
}

fn holds(sandbox: &Sandbox, value: &str) {
    assert_eq!(held(sandbox), format!("export {NAME}='{value}'\n"));
}

/// The last line on stderr, and the exit code.
fn said(out: &Output) -> (String, i32) {
    // The command to type is on a line of its own.
    let all = text(&out.stderr).replace("\n      type: ", "; type: ");
    for secret in [OLD, NEW] {
        assert!(!all.contains(secret), "a value is shown: {all}");
    }
    (all.lines().last().unwrap_or_default().to_string(), out.status.code().expect("it exits by itself"))
}

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
fn what_is_typed_is_never_shown() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    for round in 0..30 {
        let mut terminal = terminal(&sandbox, RAXX, &["store", NAME]);
        // At once: who sees the question may type.
        terminal.wait_for_now(&format!("{NAME} (hidden):"));
        terminal.line(NEW);
        terminal.wait_for("is stored in the store file");
        assert!(terminal.times(&NEW[..12]) == 0, "round {round}: {}", terminal.screen());
    }
    holds(&sandbox, NEW);
}

#[test]
fn what_was_typed_before_the_question_is_not_its_answer() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let script = format!("read -r go; exec raxx store {NAME}");
    let mut terminal = terminal(&sandbox, "/bin/bash", &["--norc", "-c", &script]);
    terminal.keys("go\rtyped-too-early\r");
    terminal.wait_for("(hidden):");
    terminal.line(NEW);
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    holds(&sandbox, NEW);
}

/// Runs `raxx ARGS` between two looks at the terminal's state; `pid` has its process.
fn watched(sandbox: &Sandbox, args: &str) -> Terminal {
    let inner = format!("echo $$ >pid; exec raxx {args}");
    let script = format!(
        "trap : INT; stty -g >before; sh -c '{inner}'; echo code $?; stty -g >after; cmp before after && echo as-before"
    );
    terminal(sandbox, "/bin/bash", &["--norc", "-c", &script])
}

fn signal(sandbox: &Sandbox, name: &str) {
    let pid = fs::read_to_string(sandbox.home().join("pid")).unwrap();
    assert!(sandbox.command("kill").args(["-s", name, pid.trim()]).output().unwrap().status.success());
}

#[test]
fn ctrl_c_gives_the_terminal_back_and_changes_nothing() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let mut terminal = watched(&sandbox, &format!("store {NAME}"));
    terminal.wait_for("(hidden):");
    terminal.keys("ghp_half\x03");
    terminal.wait_for("as-before");
    assert!(terminal.screen().contains("(hidden):\ncode 130"), "{}", terminal.screen());
    assert!(terminal.times("ghp_half") == 0);
    holds(&sandbox, OLD);
}

#[test]
fn a_signal_at_the_question_gives_the_terminal_back() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    for (name, code) in [("TERM", 143), ("HUP", 129), ("QUIT", 131), ("INT", 130)] {
        let mut terminal = watched(&sandbox, &format!("store {NAME}"));
        terminal.wait_for("(hidden):");
        terminal.keys("ghp_half");
        signal(&sandbox, name);
        terminal.wait_for("as-before");
        assert!(terminal.screen().contains(&format!("code {code}")), "{name}: {}", terminal.screen());
        assert!(terminal.times("ghp_half") == 0, "{name}");
    }
    holds(&sandbox, OLD);
}

/// What comes to be so; none where that takes longer than anything may on a busy machine.
fn in_time<T>(mut is_so: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if let Some(so) = is_so() {
            return Some(so);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

#[test]
fn a_signal_ends_what_waits_for_a_pipe() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let pipe = sandbox.root().join("pipe");
    assert!(sandbox.command("mkfifo").arg(&pipe).output().unwrap().status.success());
    // Held open for writing too, so that what is read never ends.
    let mut held_open = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    for command in ["store", "rotate"] {
        for (name, code) in [("TERM", 143), ("HUP", 129), ("QUIT", 131), ("INT", 130)] {
            let mut waiting = std::process::Command::new(RAXX);
            waiting.env_clear().envs(sandbox.environment().iter().cloned()).args([command, NAME, "--stdin"]);
            let null = std::process::Stdio::null;
            waiting.stdin(fs::File::open(&pipe).unwrap()).stdout(null()).stderr(null());
            let mut waiting = waiting.spawn().unwrap();
            held_open.write_all(b"ghp_half").unwrap();
            in_time(|| (rustix::io::ioctl_fionread(&held_open).unwrap() == 0).then_some(()));
            let pid = waiting.id().to_string();
            assert!(sandbox.command("kill").args(["-s", name, &pid]).output().unwrap().status.success());
            let ended = in_time(|| waiting.try_wait().unwrap());
            let _ = waiting.kill();
            assert_eq!(ended.and_then(|status| status.code()), Some(code), "{command}, {name}");
        }
    }
    holds(&sandbox, OLD);
}

#[test]
fn hidden_keys_edit_the_line_and_all_others_count() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    for keys in ["ghp_ab\tc\x1b[31md\r", "ghp_ab\x19c\r", "ghp_ab\x04\r"] {
        let mut terminal = terminal(&sandbox, RAXX, &["store", NAME, "--no-check"]);
        terminal.wait_for("(hidden):");
        terminal.keys(keys);
        terminal.wait_for("not a token: contains a control character; nothing is stored");
        assert_eq!(terminal.end(), 2);
    }
    let mut nothing = terminal(&sandbox, RAXX, &["store", NAME]);
    nothing.wait_for("(hidden):");
    nothing.keys("\x04");
    nothing.wait_for("nothing was typed; nothing is stored");
    assert_eq!(nothing.end(), 2);
    holds(&sandbox, OLD);
    let mut edited = terminal(&sandbox, RAXX, &["store", NAME]);
    edited.wait_for("(hidden):");
    edited.line(&format!("wrong\x15{NEW}x\x7f"));
    assert_eq!(edited.end(), 0, "{}", edited.screen());
    holds(&sandbox, NEW);
}

#[test]
fn a_value_longer_than_a_terminals_own_line_comes_in_whole() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let long = "x".repeat(6_000);
    let mut terminal = terminal(&sandbox, RAXX, &["store", NAME, "--no-check"]);
    terminal.wait_for("(hidden):");
    terminal.line(&long);
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    holds(&sandbox, &long);
}

#[test]
fn ctrl_c_ends_a_rotation_wherever_it_waits_and_changes_nothing() {
    let server = Loopback::start();
    let down = Answer::json(502, "{}");
    server.react(NEW, down);
    let mut sandbox = sandbox(&server);
    sandbox.env("PAGER", "cat");
    given(&sandbox, OLD);
    let typed = |sandbox: &Sandbox, command: &str| {
        let mut terminal = watched(sandbox, &format!("{command} {NAME}"));
        terminal.wait_for("(hidden):");
        terminal.line(NEW);
        terminal
    };
    let ends = |terminal: &mut Terminal| {
        terminal.keys("\x03");
        terminal.wait_for("as-before");
        assert!(terminal.screen().contains("code 130"), "{}", terminal.screen());
        holds(&sandbox, OLD);
    };
    // At the question whether it is to be stored all the same.
    for command in ["store", "rotate"] {
        let mut terminal = typed(&sandbox, command);
        terminal.wait_for("[y/N]");
        ends(&mut terminal);
    }
    // While the new one is asked about.
    server.react(NEW, support::loopback::Fault::HangBeforeHeaders);
    let before = server.attempts(NEW);
    let mut terminal = typed(&sandbox, "rotate");
    terminal.wait_until("the new one is asked about", || server.attempts(NEW) > before);
    ends(&mut terminal);
    // While the old one is asked about, after the new one has passed.
    server.accept(NEW);
    server.react(NEW, Answer::json(200, "{\"login\":\"octo-op\",\"id\":1,\"type\":\"User\"}"));
    server.react(OLD, support::loopback::Fault::HangBeforeHeaders);
    let mut terminal = typed(&sandbox, "rotate");
    terminal.wait_until("the old one is asked about", || server.attempts(OLD) > 0);
    terminal.wait_for("[PASS]");
    ends(&mut terminal);
}

#[test]
fn ctrl_c_in_the_pager_is_the_pagers() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    // A pager that goes on after ^C, as less does.
    sandbox.env("PAGER", "trap 'echo interrupted' INT; cat; echo paging; read -r x </dev/tty; read -r x </dev/tty");
    let mut rotate = terminal(&sandbox, RAXX, &["rotate", NAME]);
    rotate.wait_for("paging");
    rotate.keys("\x03");
    rotate.wait_for("interrupted");
    rotate.keys("\r\r");
    rotate.wait_for("(hidden):");
    rotate.line(NEW);
    assert_eq!(rotate.end(), 0, "{}", rotate.screen());
    holds(&sandbox, NEW);
}

#[test]
fn a_signal_ends_a_rotation_while_the_page_is_read() {
    let server = Loopback::start();
    let mut sandbox = sandbox(&server);
    given(&sandbox, OLD);
    sandbox.env("PAGER", "cat; trap 'echo closed; exit' TERM; echo paging; read -r x </dev/tty; read -r x </dev/tty");
    for (name, code) in [("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
        let terminal = watched(&sandbox, &format!("rotate {NAME}"));
        terminal.wait_for("paging");
        signal(&sandbox, name);
        terminal.wait_for(&format!("code {code}"));
        terminal.wait_for("as-before");
        assert_eq!(terminal.times("(hidden)"), 0, "{name}: {}", terminal.screen());
    }
    holds(&sandbox, OLD);
}

#[test]
fn a_signal_that_comes_as_the_pager_ends_is_not_lost() {
    let server = Loopback::start();
    let mut sandbox = sandbox(&server);
    given(&sandbox, OLD);
    sandbox.env("PAGER", "cat; echo $$ >pager; echo paging; read -r x </dev/tty");
    for round in 0..8 {
        let mut terminal = watched(&sandbox, &format!("rotate {NAME}"));
        terminal.wait_for("paging");
        // Both have happened before it looks again.
        signal(&sandbox, "STOP");
        signal(&sandbox, "TERM");
        terminal.keys("\r");
        let pager = fs::read_to_string(sandbox.home().join("pager")).unwrap();
        terminal.wait_until("the end of the pager", || {
            let ps = sandbox.command("ps").args(["-o", "stat=", "-p", pager.trim()]).output().unwrap();
            text(&ps.stdout).trim_start().starts_with('Z')
        });
        signal(&sandbox, "CONT");
        terminal.wait_for("as-before");
        assert!(terminal.screen().contains("code 143"), "round {round}: {}", terminal.screen());
        assert_eq!(terminal.times("(hidden)"), 0, "round {round}: {}", terminal.screen());
    }
    holds(&sandbox, OLD);
}

/// Puts a program of this name before all others.
fn program_first(sandbox: &mut Sandbox, name: &str, script: &str) {
    let bin = sandbox.root().join("first");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    let path = sandbox.environment().iter().find(|(name, _)| name == "PATH").unwrap().1.clone();
    sandbox.env("PATH", format!("{}:{}", bin.display(), path.to_str().unwrap()));
}

#[test]
fn ctrl_c_while_rotate_looks_around_never_loses_a_stored_value() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    given(&sandbox, OLD);
    // It is interrupted just when it asks tmux.
    program_first(&mut sandbox, "tmux", "kill -INT $PPID; exec sleep 5");
    let out = with_input(&sandbox, &["rotate", NAME, "--stdin", "--shell", "zsh"], NEW);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(130), String::new()), "{}", text(&out.stderr));
    assert!(!text(&out.stderr).contains("is stored"), "{}", text(&out.stderr));
    holds(&sandbox, OLD);
}

#[test]
fn yes_is_yes_in_any_case() {
    let closed = ClosedPort::new();
    let sandbox = sandbox_at(&support::loopback::config(&closed.url()));
    let mut store = terminal(&sandbox, RAXX, &["store", NAME]);
    store.wait_for("(hidden):");
    store.line(NEW);
    store.wait_for("[y/N]");
    store.line("Yes");
    assert_eq!(store.end(), 0, "{}", store.screen());
    holds(&sandbox, NEW);
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
fn a_value_that_was_typed_into_the_command_is_not_repeated() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let typed = format!("{NAME}={NEW}");
    let stdin = format!("--stdin={NEW}");
    let option = format!("--{NEW}");
    let below = format!("{NEW}/{NEW}");
    for args in [
        &["store", NAME, NEW][..],
        &["store", NEW, NAME],
        &["store", NEW],
        &["store", &typed],
        &["store", NAME, &stdin],
        &["store", NAME, "-w", NEW],
        &["store", NAME, "--stdin", "--", NEW],
        &["rotate", NAME, NEW],
        &["rotate", "--shell", "zsh", NAME, NEW],
        &["rotate", NEW],
        &["forget", NAME, NEW],
        &["forget", NEW],
        &["unlock", NEW],
        &["unlock", &stdin],
        &["check", NEW],
        &["load", "--shell", "zsh", NEW],
        &["export", "sh", NEW],
        &["list", "--history", NEW],
        &[NEW],
        &["list", NEW],
        &["schedule", NEW],
        &["schedule", "install", "--at", NEW],
        &["store", NAME, &option],
        &["rotate", "--shell", NEW, NAME],
        &["import", NEW],
        &["import", &below],
    ] {
        let out = with_input(&sandbox, args, "");
        let all = text(&out.stderr).replace("\n      type: ", "; type: ");
        assert!(!all.contains(&NEW[..12]) && !all.contains(&NEW[30..]), "{args:?}: {all}");
        assert_eq!((all.lines().count(), out.status.code()), (1, Some(2)), "{args:?}: {all}");
        assert!(all.contains("it is in the shell's history now, so rotate it"), "{args:?}: {all}");
    }
    let next = |args: &[&str]| said(&with_input(&sandbox, args, "")).0.split_once("type: ").unwrap().1.to_string();
    assert_eq!(next(&["store", NAME, NEW]), format!("raxx store {NAME}"));
    assert_eq!(next(&["rotate", NAME, "x"]), format!("raxx rotate {NAME}"));
    assert_eq!(next(&["unlock", "x"]), "raxx unlock");
    // A slip of another kind names the command.
    for args in [&["store"][..], &["store", NAME, "--stdn"], &["rotate", "--shell", "zsh", NAME, "--stdn"]] {
        let out = with_input(&sandbox, args, "");
        assert!(text(&out.stderr).contains("`raxx "), "{args:?}: {}", text(&out.stderr));
        assert_eq!(out.status.code(), Some(2));
    }
    assert!(sandbox.run(&["store", "--help"]).status.success());
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
fn rotate_of_a_piped_value_says_what_became_of_it_and_no_more() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    fs::write(sandbox.home().join(".zshenv"), format!("# mine\nexport {NAME}={OLD}\n")).unwrap();
    let out = with_input(&sandbox, &["rotate", NAME, "--stdin", "--shell", "zsh"], NEW);
    let all = text(&out.stderr);
    assert!(out.status.success(), "{all}");
    for line in [
        format!("[PASS] {NAME}    (redacted ghp_…2new) — octo-op"),
        format!("raxx: {NAME} is stored in the store file"),
        format!("raxx: {}:2 still sets {NAME} to the old value: take it out there", sandbox.home().join(".zshenv").display()),
        "raxx: at last, revoke the old one: delete the old token at https://github.com/settings/personal-access-tokens (classic ones: https://github.com/settings/tokens)".into(),
    ] {
        assert!(all.lines().any(|l| l == line), "no line {line:?} in\n{all}");
    }
    assert_eq!(all.lines().count(), 4, "no page for a value that is there already: {all}");
    assert!(!all.contains(OLD) && !all.contains(NEW));
    assert_eq!(text(&out.stdout), format!("export {NAME}='{NEW}'\nexport __RAXX_NAMES='{NAME}'\n"));
    holds(&sandbox, NEW);
}

#[test]
fn every_file_that_sets_the_name_here_is_named_once() {
    let server = Loopback::start();
    server.accept(NEW);
    server.accept(OLD);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let project = sandbox.home().join("project");
    fs::create_dir_all(project.join("sub")).unwrap();
    let file = |path: &Path| fs::write(path, format!("export \"{NAME}={OLD}\"\n")).unwrap();
    fs::create_dir_all(sandbox.home().join(".config/environment.d")).unwrap();
    let session = sandbox.home().join(".config/environment.d/10-tokens.conf");
    let (above, home, shell) = (project.join(".envrc"), sandbox.home().join(".envrc"), session);
    [&above, &home, &shell].into_iter().for_each(|path| file(path));
    let named = |directory: &Path, new: &str| {
        let mut rotate = sandbox.raxx();
        let out = rotate.current_dir(directory).args(["rotate", NAME, "--stdin"]).write_stdin(new).output().unwrap();
        assert!(out.status.success(), "{}", text(&out.stderr));
        let said = text(&out.stderr);
        [&above, &home, &shell].map(|path| said.matches(&format!("raxx: {}:1 ", path.display())).count())
    };
    // direnv looks upwards, and takes the first.
    assert_eq!(named(&project.join("sub"), NEW), [1, 1, 1]);
    assert_eq!(named(&sandbox.home(), OLD), [0, 1, 1]);
}

#[test]
fn rotate_waits_for_a_token_that_is_not_known_yet() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    thread::scope(|scope| {
        scope.spawn(|| {
            while server.attempts(NEW) < 2 {
                thread::sleep(Duration::from_millis(20));
            }
            server.accept(NEW);
        });
        let out = with_input(&sandbox, &["rotate", NAME, "--stdin"], NEW);
        assert!(out.status.success(), "{}", text(&out.stderr));
        assert!(text(&out.stderr).contains("raxx: the provider does not know it yet; asked again in a moment\n"));
    });
    holds(&sandbox, NEW);
}

#[test]
fn rotate_warns_when_the_new_one_is_somebody_elses() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let answer = Answer::json(200, "{\"login\":\"another-op\",\"id\":2,\"type\":\"User\"}");
    server.react(NEW, answer);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let out = with_input(&sandbox, &["rotate", NAME, "--stdin"], NEW);
    assert!(out.status.success());
    let all = text(&out.stderr);
    assert!(all.contains("raxx: warning: the new one belongs to a…p, the old one to o…p\n"), "{all}");
}

#[test]
fn a_webhooks_old_address_is_sent_to_nobody() {
    let (old, new) = ("/services/T0/B0/MadeUpOld00000000", "/services/T0/B0/MadeUpNew00000000");
    let server = Loopback::start();
    server.accept(old);
    server.accept(new);
    let mut sandbox = sandbox(&server);
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox.config(&format!("{config}[alert.slack]\nwebhook = \"HOOK\"\nbase_url = \"{}/slack/api\"\n", server.url()));
    let address = |path: &str| format!("{}{path}", server.url());
    assert!(with_input(&sandbox, &["store", "HOOK", "--stdin"], &address(old)).status.success());
    let before = server.requests().len();
    let out = with_input(&sandbox, &["rotate", "HOOK", "--stdin"], &address(new));
    let all = text(&out.stderr);
    assert!(out.status.success(), "{all}");
    let asked: Vec<String> = server.requests()[before..].iter().map(|request| request.path.clone()).collect();
    assert_eq!(asked, [new], "only the new one is asked about, where it belongs");
    let line = "raxx: at last, take the old one away: https://api.slack.com/apps (your app, Incoming Webhooks)";
    assert!(all.lines().any(|l| l == line), "no line {line:?} in\n{all}");
    assert!(!all.contains("MadeUp"), "{all}");
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
fn rotate_takes_neither_the_old_value_nor_a_dead_one() {
    let server = Loopback::start();
    server.accept(OLD);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let same = said(&with_input(&sandbox, &["rotate", NAME, "--stdin"], OLD));
    assert_eq!(same, (format!("raxx: {NAME}: that is the value that is to be replaced; nothing is changed"), 2));
    holds(&sandbox, OLD);
}

#[test]
fn rotate_puts_the_new_value_into_the_shell_that_typed_it() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    for shell in [vec!["zsh", "-f"], vec!["bash", "--norc", "--noprofile"]] {
        let mut sandbox = sandbox(&server);
        given(&sandbox, OLD);
        sandbox.env(NAME, OLD);
        let name = shell[0];
        let script = format!(
            "eval \"$(raxx init {name})\"; printf %s {NEW} | raxx rotate {NAME} --stdin >/dev/null 2>&1; echo in a pipe it cannot; \
             raxx rotate {NAME} --stdin --no-check 2>/dev/null <<<{OLD}x; echo \"$? ${NAME}\"; raxx rotate NONE 2>/dev/null; echo \"$?\""
        );
        let out = sandbox.command(name).args(&shell[1..]).args(["-c", &script]).output().unwrap();
        assert_eq!(text(&out.stderr), "", "{name}");
        assert_eq!(text(&out.stdout), format!("in a pipe it cannot\n0 {OLD}x\n2\n"), "{name}");
    }
}

#[test]
fn import_finds_proves_stores_and_says_which_lines_to_delete() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    let zshenv = sandbox.home().join(".zshenv");
    let env = sandbox.home().join(".env");
    let before = format!("export PATH=\"$PATH:/opt\"\nexport {NAME}='{NEW}' # mine\nexport {NAME}=$(op read x)\n");
    fs::write(&zshenv, &before).unwrap();
    fs::write(&env, format!("{NAME}={OLD}\n")).unwrap();
    sandbox.env(NAME, OLD);
    let out = sandbox.run(&["import"]);
    let all = text(&out.stderr);
    assert!(out.status.success(), "{all}");
    let (zshenv_name, env_name) = (zshenv.display(), env.display());
    let lines = [
        format!(
            "raxx: {NAME} from the environment is not stored: (redacted ghp_…1old) — HTTP 401 (invalid or expired)"
        ),
        format!("raxx: {NAME} from {zshenv_name}:2 is stored in the store file: (redacted ghp_…2new)"),
        format!("raxx: {zshenv_name}:2 sets {NAME}, which is in the store: delete that line"),
        format!("raxx: {zshenv_name}:3 sets {NAME}, but not to a plain value: look there"),
        format!("raxx: {env_name}:1 sets {NAME} to a value that the provider rejects"),
    ];
    for line in &lines {
        assert!(all.lines().any(|l| l == line), "no line {line:?} in\n{all}");
    }
    assert!(!all.contains(OLD) && !all.contains(NEW));
    assert_eq!(fs::read_to_string(&zshenv).unwrap(), before, "it changes no file");
    sandbox.unset(NAME);
    holds(&sandbox, NEW);
    let again = sandbox.run(&["import"]);
    assert!(text(&again.stderr).contains(&format!("raxx: {NAME} is already in the store file\n")));
}

#[test]
fn import_never_tells_to_delete_the_only_copy_of_a_value_that_may_be_good() {
    let closed = ClosedPort::new();
    let sandbox = sandbox_at(&support::loopback::config(&closed.url()));
    let file = sandbox.home().join("tokens");
    fs::write(&file, format!("{NAME}={NEW}\n")).unwrap();
    let out = sandbox.run(&["import", file.to_str().unwrap()]);
    let stays = format!("raxx: {}:1 sets {NAME} to a value that is not stored: it stays", file.display());
    assert_eq!(said(&out), (stays, 1));
    let absent = sandbox.run(&["import", "absent"]);
    let (line, code) = said(&absent);
    assert!(line.starts_with("raxx: absent: cannot be read: ") && code == 2, "{line}");
    let nothing = sandbox.run(&["import"]);
    let none =
        "raxx: none of the configured names is set in the environment or in the shell files. Type: raxx store NAME";
    assert_eq!(said(&nothing), (none.into(), 1));
}

#[test]
fn a_stored_value_that_works_is_not_replaced_by_an_import() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    given(&sandbox, OLD);
    sandbox.env(NAME, NEW);
    let out = sandbox.run(&["import"]);
    assert_eq!(said(&out), (format!("raxx: {NAME}: the store file has another value, which stays"), 0));
    sandbox.unset(NAME);
    holds(&sandbox, OLD);
}

#[test]
fn an_import_says_how_to_take_another_value_than_the_stored_one() {
    let server = Loopback::start();
    server.accept(OLD);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let file = sandbox.home().join("tokens");
    fs::write(&file, format!("{NAME}={NEW}\n")).unwrap();
    let (line, _) = said(&sandbox.run(&["import", file.to_str().unwrap()]));
    let other = format!("sets {NAME} to another value than the stored one, which stays");
    assert_eq!(line, format!("raxx: {}:1 {other}; to take this one: raxx store {NAME}", file.display()));
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

#[test]
fn an_import_replaces_only_what_the_provider_itself_rejects() {
    let server = Loopback::start();
    server.accept(NEW);
    server.react(OLD, Answer::json(502, "{}"));
    let mut sandbox = sandbox(&server);
    given(&sandbox, OLD);
    sandbox.env(NAME, NEW);
    assert_eq!(
        said(&sandbox.run(&["import"])),
        (format!("raxx: {NAME}: the store file has another value, which stays"), 0)
    );
    sandbox.unset(NAME);
    holds(&sandbox, OLD);
}

#[test]
fn a_line_that_holds_more_than_a_plain_value_is_never_called_bad_or_done_with() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let file = sandbox.home().join(".zshrc");
    fs::write(&file, format!("export {NAME}={NEW}; export FOO=bar\nif true; then\n  export {NAME}={NEW}\nfi\n"))
        .unwrap();
    let all = text(&sandbox.run(&["import"]).stderr);
    let at = file.display();
    assert!(all.contains(&format!("raxx: {at}:1 sets {NAME}, but not to a plain value: look there\n")), "{all}");
    assert!(all.contains(&format!("raxx: {at}:3 sets {NAME}, which is in the store: take it out there\n")), "{all}");
}

#[test]
fn a_pipe_among_the_files_holds_nobody_up() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    for pipe in [".env", ".envrc"] {
        assert!(sandbox.command("mkfifo").arg(pipe).output().unwrap().status.success());
    }
    let out = with_input(&sandbox, &["rotate", NAME, "--stdin", "--shell", "bash"], NEW);
    assert!(out.status.success());
    assert!(text(&out.stdout).starts_with("export "));
    assert!(text(&sandbox.run(&["import"]).stderr).contains("none of the configured names is set"));
}

#[test]
fn a_paste_of_several_lines_stores_nothing_and_runs_nothing() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    given(&sandbox, OLD);
    let mut bash = terminal(&sandbox, "/bin/bash", &["--norc", "-i"]);
    bash.line(&format!("raxx store {NAME}"));
    bash.wait_for("(hidden):");
    bash.keys(&format!("{NEW}\recho ran-$((40+2))\r"));
    bash.wait_for("raxx: more than one line came in, so nothing is stored: paste the value alone");
    bash.settle();
    assert_eq!(bash.times("ran-42"), 0, "{}", bash.screen());
    holds(&sandbox, OLD);
}

#[test]
fn the_rest_of_a_slow_paste_is_neither_shown_nor_run() {
    let server = Loopback::start();
    server.accept(NEW);
    server.react(NEW, support::loopback::Fault::HangBeforeHeaders);
    let sandbox = sandbox(&server);
    let mut bash = terminal(&sandbox, "/bin/bash", &["--norc", "-i"]);
    bash.line(&format!("raxx store {NAME}"));
    bash.wait_for("(hidden):");
    bash.line(NEW);
    // The value is on its way to the provider when the rest comes.
    bash.wait_until("it is asked about", || server.attempts(NEW) > 0);
    bash.line("echo ran-$((40+2))");
    // At the question, the terminal is a person's again.
    bash.wait_for("[y/N]");
    bash.line("n");
    bash.wait_for("raxx: nothing is stored");
    bash.settle();
    assert_eq!((bash.times("ran-42"), bash.times("echo ran")), (0, 0), "{}", bash.screen());
}

#[test]
fn a_line_end_behind_the_pasted_value_is_no_second_line() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let mut store = terminal(&sandbox, RAXX, &["store", NAME]);
    store.wait_for("(hidden):");
    store.keys(&format!("{NEW}\r\n\r"));
    assert_eq!(store.end(), 0, "{}", store.screen());
    holds(&sandbox, NEW);
}

#[test]
fn typed_on_a_terminal_stdin_is_hidden_too_and_its_person_is_asked() {
    let closed = ClosedPort::new();
    let sandbox = sandbox_at(&support::loopback::config(&closed.url()));
    let mut store = terminal(&sandbox, RAXX, &["store", NAME, "--stdin"]);
    store.wait_for(&format!("{NAME} (hidden):"));
    store.line(NEW);
    store.wait_for("It could not be checked. Store it anyway? [y/N]");
    store.line("y");
    assert_eq!(store.end(), 0, "{}", store.screen());
    assert_eq!(store.times(&NEW[..12]), 0);
    holds(&sandbox, NEW);
}

/// Kills `raxx rotate` at fifty random moments. Gives how many replaced the value and how many kept the old one.
fn kill(lane: usize, server: &Loopback) -> [usize; 2] {
    let sandbox = sandbox(server);
    let made_up = |turn: usize| format!("ghp_MadeUpForLane{lane}Turn{turn:02}0123456789abcdef");
    let begin = |value: &str| {
        let input = sandbox.root().join("input");
        fs::write(&input, value).unwrap();
        let mut rotate = std::process::Command::new(RAXX);
        rotate.env_clear().envs(sandbox.environment().iter().cloned()).args(["rotate", NAME, "--stdin"]);
        let null = std::process::Stdio::null;
        rotate.stdin(fs::File::open(input).unwrap()).stdout(null()).stderr(null()).spawn().unwrap()
    };
    for turn in 0..=50 {
        server.accept(&made_up(turn));
    }
    given(&sandbox, &made_up(0));
    let mut usual: Vec<Duration> = Vec::new();
    for turn in [1, 0, 1, 0, 1] {
        let begun = Instant::now();
        assert!(begin(&made_up(turn)).wait().unwrap().success());
        usual.push(begun.elapsed());
    }
    usual.sort();
    let mut most = usual[2].as_micros() as u64 * 6 / 5;
    given(&sandbox, &made_up(0));

    let mut random = RandomState::new().build_hasher();
    let (mut old, mut replaced, mut kept) = (made_up(0), 0, 0);
    for turn in 1..=50 {
        let new = made_up(turn);
        random.write_usize(turn);
        let moment = Duration::from_micros(random.finish() % most);
        let begun = Instant::now();
        let mut rotate = begin(&new);
        thread::sleep(moment.saturating_sub(begun.elapsed()));
        rotate.kill().unwrap();
        rotate.wait().unwrap();
        let held = held(&sandbox);
        if held == format!("export {NAME}='{new}'\n") {
            replaced += 1;
            old = new;
            // So that about half of them come too late, also when the machine becomes busier or less so.
            most = most * 97 / 100;
        } else {
            assert_eq!(held, format!("export {NAME}='{old}'\n"), "killed after {moment:?}");
            kept += 1;
            most = most * 103 / 100;
        }
    }
    [replaced, kept]
}

#[test]
fn killed_at_any_moment_rotate_leaves_the_old_or_the_new_value_whole() {
    let server = Loopback::start();
    let server = &server;
    let [replaced, kept] = thread::scope(|scope| {
        let lanes: Vec<_> = (0..4).map(|lane| scope.spawn(move || kill(lane, server))).collect();
        let counts = lanes.into_iter().map(|lane| lane.join().unwrap());
        counts.fold([0; 2], |all, of_one| std::array::from_fn(|at| all[at] + of_one[at]))
    });
    // Otherwise the moments were not spread over the whole of it.
    assert!(replaced >= 10 && kept >= 10, "{replaced} replaced, {kept} kept");
}

#[test]
fn no_core_dump_is_left_of_a_process_that_holds_values() {
    let server = Loopback::start();
    server.react(OLD, support::loopback::Fault::HangBeforeHeaders);
    let mut sandbox = sandbox(&server);
    sandbox.env(NAME, OLD);
    let mut check = std::process::Command::new(RAXX);
    check.env_clear().envs(sandbox.environment().iter().cloned()).arg("check").stdout(std::process::Stdio::null());
    let mut check = check.spawn().unwrap();
    while server.attempts(OLD) == 0 {
        thread::yield_now();
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", check.id()));
    check.kill().unwrap();
    check.wait().unwrap();
    // macOS has no such file to look into.
    if let Ok(limits) = limits {
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    }
}

/// Another process of the same user can read neither the environment nor the memory of a raxx that holds values.
#[test]
#[cfg(target_os = "linux")]
fn no_other_process_of_the_user_looks_into_a_raxx() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Loopback::start();
    server.react(OLD, support::loopback::Fault::HangBeforeHeaders);
    let mut sandbox = sandbox(&server);
    sandbox.env(NAME, OLD);
    // Root may read everything: as root it is somebody else's raxx.
    let somebody: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        false => &["env"],
    };
    let raxx = sandbox.root().join("raxx");
    fs::copy(RAXX, &raxx).unwrap();
    if somebody.len() > 1 {
        fs::set_permissions(sandbox.root(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(sandbox.command("chown").arg("-R").arg("65534").arg(sandbox.home()).output().unwrap().status.success());
    }
    let as_somebody = |program: &Path| {
        let mut command = std::process::Command::new(somebody[0]);
        command.args(&somebody[1..]).arg(program).env_clear().envs(sandbox.environment().iter().cloned());
        command.current_dir(sandbox.home()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    let mut check = as_somebody(&raxx).arg("check").spawn().unwrap();
    let mut sleep = as_somebody(Path::new("/bin/sleep")).arg("60").spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while server.attempts(OLD) == 0 {
        assert!(Instant::now() < until, "the provider was not asked");
        thread::yield_now();
    }
    let reads = |pid: u32, what: &str| {
        let status = as_somebody(Path::new("/bin/cat")).arg(format!("/proc/{pid}/{what}")).status();
        status.unwrap().success()
    };
    let read = ["environ", "maps"].map(|what| (reads(check.id(), what), reads(sleep.id(), what)));
    for child in [&mut check, &mut sleep] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(read, [(false, true); 2], "(raxx, any other process): environ, maps");
}

#[test]
fn rotate_leads_from_the_page_to_the_new_value() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    sandbox.env("PAGER", "cat");
    let mut rotate = terminal(&sandbox, RAXX, &["rotate", NAME]);
    rotate.wait_for("(hidden):");
    rotate.line(NEW);
    assert_eq!(rotate.end(), 0, "{}", rotate.screen());
    let screen = rotate.screen();
    let at = |text: &str| screen.find(text).unwrap_or_else(|| panic!("no {text:?} in\n{screen}"));
    let places = [
        "personal access token",
        "raxx: make the new one here: https://github.com/settings/personal-access-tokens",
        "raxx: what it must be allowed to do: Secrets: write",
        "[PASS]",
        "is stored in the store file",
        "revoke the old one",
    ]
    .map(at);
    assert!(places.is_sorted(), "{screen}");
    holds(&sandbox, NEW);
}

/// What `raxx ARGUMENTS` said and printed when a signal came `after` the provider was asked; where it is not asked, after
/// its start.
fn signaled(sandbox: &Sandbox, server: &Loopback, arguments: &[&str], signal: &str, after: Duration) -> Output {
    let input = sandbox.root().join("input");
    fs::write(&input, NEW).unwrap();
    let before = server.attempts(NEW);
    let mut command = std::process::Command::new(RAXX);
    command.env_clear().envs(sandbox.environment().iter().cloned()).args(arguments).current_dir(sandbox.home());
    let piped = std::process::Stdio::piped;
    command.stdin(fs::File::open(input).unwrap()).stdout(piped()).stderr(piped());
    let mut child = command.spawn().unwrap();
    if arguments[0] != "forget" {
        in_time(|| (server.attempts(NEW) > before || child.try_wait().unwrap().is_some()).then_some(()));
    }
    thread::sleep(after);
    let _ = sandbox.command("kill").args(["-s", signal, &child.id().to_string()]).output();
    child.wait_with_output().unwrap()
}

/// Sends signals at many moments. Whatever the moment, the store has what the person was told, and the shell gets it.
fn told_as_stored(sandbox: &Sandbox, server: &Loopback) {
    let file = sandbox.home().join(".zshenv");
    fs::write(&file, format!("{NAME}={NEW}\n")).unwrap();
    let new = format!("export {NAME}='{NEW}'\n");
    let mut finished = 0;
    for turn in 0..36_u32 {
        let (signal, code) = [("INT", 130), ("TERM", 143), ("HUP", 129)][turn as usize % 3];
        let after = Duration::from_millis(u64::from(turn / 3) * 12);
        let arguments: &[&str] = match turn % 4 {
            0 => &["rotate", NAME, "--stdin", "--shell", "bash"],
            1 => &["store", NAME, "--stdin", "--shell", "zsh"],
            2 => &["import", "--shell", "bash"],
            _ => &["forget", NAME, "--yes"],
        };
        let forgets = arguments[0] == "forget";
        given(sandbox, if forgets { NEW } else { OLD });
        if arguments[0] == "import" {
            assert!(sandbox.run(&["forget", NAME, "--yes"]).status.success());
        }
        let before = held(sandbox);
        let out = signaled(sandbox, server, arguments, signal, after);
        let said = text(&out.stderr);
        let context = format!("{arguments:?}, {signal} after {after:?}: {said}");
        // It may not have listened yet.
        let ended = [Some(0), Some(code), None].contains(&out.status.code());
        assert!(ended, "{:?}, {context}", out.status);
        let done = said.contains(&format!("{NAME} is out of the")) || said.contains("is stored in the");
        let now = held(sandbox);
        match (done, forgets) {
            (true, true) => assert_eq!(now, "", "{context}"),
            (true, false) => assert_eq!(now, new, "{context}"),
            (false, _) => assert_eq!(now, before, "{context}"),
        }
        assert_eq!(text(&out.stdout).starts_with(&new), done && !forgets, "{context}");
        finished += usize::from(done);
    }
    assert!(finished > 0, "no moment was late enough");
}

#[test]
fn a_signal_while_the_store_file_is_written_counts_after_what_is_stored_was_said() {
    let server = Loopback::start();
    server.accept(NEW);
    server.accept(OLD);
    told_as_stored(&sandbox(&server), &server);
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_while_the_secret_service_is_written_counts_after_what_is_stored_was_said() {
    let server = Loopback::start();
    server.accept(NEW);
    server.accept(OLD);
    let mut sandbox = sandbox(&server);
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox
        .config(&config.replace("backend = \"file\"\nidentity = \"~/identity.txt\"", "backend = \"secret-service\""));
    let _keyring = crate::keyring::Keyring::start(&mut sandbox);
    told_as_stored(&sandbox, &server);
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_while_the_store_does_not_answer_ends_with_what_is_known() {
    use crate::keyring::{Manners, Service, StandIn};
    let server = Loopback::start();
    let mut sandbox = sandbox(&server);
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox
        .config(&config.replace("backend = \"file\"\nidentity = \"~/identity.txt\"", "backend = \"secret-service\""));
    let silent = Service { refuses_changes_with: Some(""), ..Service::default() };
    let store = StandIn::start(&mut sandbox, Manners::Serves(silent));
    let mut command = std::process::Command::new(RAXX);
    command.env_clear().envs(sandbox.environment().iter().cloned()).args(["store", NAME, "--stdin", "--no-check"]);
    let piped = std::process::Stdio::piped;
    command.stdin(piped()).stdout(piped()).stderr(piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(NEW.as_bytes()).unwrap();
    in_time(|| store.calls().iter().any(|call| call == "CreateItem").then_some(())).expect("it is written");
    for signal in ["TERM", "INT"] {
        sandbox.command("kill").args(["-s", signal, &child.id().to_string()]).assert().success();
        thread::sleep(Duration::from_millis(300));
    }
    let out = child.wait_with_output().unwrap();
    let unknown = format!("whether {NAME} is stored is not known; look with raxx check {NAME}");
    let (line, code) = said(&out);
    assert!(line.ends_with(&unknown), "{line}");
    assert_eq!(code, 143, "the first signal counts");
}

#[test]
fn ctrl_z_suspends_the_hidden_question_and_fg_asks_again() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let mut shell = terminal(&sandbox, "/bin/bash", &["--norc", "--noprofile", "-i"]);
    shell.line(&format!("PS1='ready> '; raxx store {NAME}"));
    shell.wait_for("(hidden):");
    shell.keys("half\x1a");
    shell.wait_for("Stopped");
    // The shell itself edits lines in a mode of its own: what a program finds counts.
    shell.line("stty -a | tr ' ' '\\n' | grep -x -e echo -e icanon -e iexten | tr '\\n' '+'; echo .");
    shell.wait_for("icanon+iexten+echo+.");
    shell.line("fg");
    shell.wait_for_times("(hidden):", 2);
    shell.line(NEW);
    shell.wait_for("is stored in the store file");
    assert_eq!((shell.times("half"), shell.times(NEW)), (0, 0), "{}", shell.screen());
    shell.line("exit");
    assert_eq!(shell.end(), 0, "{}", shell.screen());
    holds(&sandbox, NEW);
}

#[test]
fn a_pasted_line_gives_its_value_and_what_was_taken_off_is_said() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    for pasted in [
        format!("  {NEW} "),
        format!("\x1b[200~{NEW}\x1b[201~"),
        format!("\x1b[200~{NEW}\n\x1b[201~"),
        format!("{NAME}={NEW}"),
        format!("export {NAME}='{NEW}'"),
    ] {
        given(&sandbox, OLD);
        let mut store = terminal(&sandbox, RAXX, &["store", NAME]);
        store.wait_for("(hidden):");
        store.line(&pasted);
        assert_eq!(store.end(), 0, "{pasted:?}: {}", store.screen());
        assert_eq!(store.times(NEW), 0, "{}", store.screen());
        holds(&sandbox, NEW);
    }
    given(&sandbox, OLD);
    let spaces = with_input(&sandbox, &["store", NAME, "--stdin"], &format!(" {NEW}\t\n"));
    assert!(text(&spaces.stderr).contains(&format!("raxx: {NAME}: removed the spaces around the value\n")));
    holds(&sandbox, NEW);
    given(&sandbox, OLD);
    let other = with_input(&sandbox, &["store", NAME, "--stdin"], &format!("export HOMELESS=\"{NEW}\"\n"));
    let why = "that line sets HOMELESS, so nothing is stored. To store it, type: raxx store HOMELESS";
    assert_eq!(said(&other), (format!("raxx: {NAME}: {why}"), 2));
    holds(&sandbox, OLD);
}

#[test]
fn programs_that_need_no_credential_get_none() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    let bot = "xoxb-made-up-bot-token";
    for (name, value) in [(NAME, OLD), ("HOMELESS", OLD), ("SLACK_BOT_TOKEN", bot), ("INFISICAL_TOKEN", OLD)] {
        sandbox.env(name, value);
    }
    sandbox.env("__RAXX_NAMES", NAME).env("__RAXX_GENERATION", "x").env("KEPT", "kept");
    let seen = sandbox.root().join("seen");
    fs::create_dir(&seen).unwrap();
    let script = format!("env > {}/$(basename \"$0\"); exit 1", seen.display());
    for program in ["xdg-open", "open", "tmux", "crontab", "systemctl", "launchctl"] {
        program_first(&mut sandbox, program, &script);
    }
    sandbox.env("PAGER", format!("env > {}/pager; cat", seen.display()));
    let mut rotate = terminal(&sandbox, RAXX, &["rotate", NAME, "--open"]);
    rotate.wait_for("(hidden):");
    rotate.line(NEW);
    rotate.end();
    sandbox.run(&["schedule", "status"]);
    let browser = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    for program in ["pager", browser, "tmux", "crontab"] {
        let found = in_time(|| fs::read_to_string(seen.join(program)).ok().filter(|env| env.contains("KEPT=kept")));
        let env = found.unwrap_or_else(|| panic!("{program} was not started"));
        for name in [NAME, "HOMELESS", "SLACK_BOT_TOKEN", "INFISICAL_TOKEN", "__RAXX_"] {
            assert!(!env.contains(&format!("\n{name}")) && !env.starts_with(name), "{program} has {name}");
        }
    }
}

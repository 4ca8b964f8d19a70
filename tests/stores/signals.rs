//! Ctrl-C and other signals: the terminal is restored, and the store matches what raxx reported.

use std::fs;
use std::io::Write as _;
use std::process::Output;
use std::thread;
use std::time::Duration;

use crate::pty::Terminal;
#[cfg(not(target_os = "macos"))]
use crate::snapshot::snapshot;
use crate::support;
use crate::support::loopback::{Answer, Loopback};
use crate::support::{RAXX, Sandbox, text};
#[cfg(not(target_os = "macos"))]
use crate::token::shown;
use crate::token::{
    NAME, NEW, OLD, assert_stored, in_time, program_first, sandbox, store_unchecked, stored_code, terminal, with_input,
};

/// Runs `raxx ARGS` and compares the terminal's state before and after; the file `pid` has its process id.
fn with_terminal_state(sandbox: &Sandbox, args: &str) -> Terminal {
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

/// Whether all threads of the process in `pid` have stopped.
fn is_stopped(sandbox: &Sandbox) -> bool {
    let pid = fs::read_to_string(sandbox.home().join("pid")).unwrap();
    // Only Linux shows the threads.
    let threads = if cfg!(target_os = "linux") { "-L" } else { "-a" };
    let ps = sandbox.command("ps").args([threads, "-o", "stat=", "-p", pid.trim()]).output().unwrap();
    text(&ps.stdout).lines().all(|state| state.trim_start().starts_with('T'))
}

/// Types keys and waits until raxx has read them. raxx is stopped while the terminal receives them: otherwise the test could
/// not tell whether they have not arrived or were already read.
fn type_and_wait_until_read(sandbox: &Sandbox, terminal: &mut Terminal, keys: &str) {
    signal(sandbox, "STOP");
    terminal.wait_until("raxx stops", || is_stopped(sandbox));
    terminal.keys(keys);
    terminal.wait_until("the keys arrive", || terminal.unread() == keys.len() as u64);
    signal(sandbox, "CONT");
    terminal.wait_until("the keys are read", || terminal.unread() == 0);
}

#[test]
fn ctrl_c_restores_the_terminal_and_changes_nothing() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let mut terminal = with_terminal_state(&sandbox, &format!("store {NAME}"));
    terminal.wait_for("(hidden):");
    terminal.keys("ghp_half\x03");
    terminal.wait_for("as-before");
    assert!(terminal.screen().contains("(hidden):\ncode 130"), "{}", terminal.screen());
    assert!(terminal.times("ghp_half") == 0);
    assert_stored(&sandbox, OLD);
}

#[test]
fn a_signal_at_the_question_restores_the_terminal() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    for (name, code) in [("TERM", 143), ("HUP", 129), ("QUIT", 131), ("INT", 130)] {
        let mut terminal = with_terminal_state(&sandbox, &format!("store {NAME}"));
        terminal.wait_for("(hidden):");
        type_and_wait_until_read(&sandbox, &mut terminal, "ghp_half");
        signal(&sandbox, name);
        terminal.wait_for("as-before");
        assert!(terminal.screen().contains(&format!("code {code}")), "{name}: {}", terminal.screen());
        assert!(terminal.times("ghp_half") == 0, "{name}");
    }
    assert_stored(&sandbox, OLD);
}

#[test]
fn a_signal_stops_a_read_from_a_pipe() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let pipe = sandbox.root().join("pipe");
    assert!(sandbox.command("mkfifo").arg(&pipe).output().unwrap().status.success());
    // Opened for writing too, so that a read never ends.
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
    assert_stored(&sandbox, OLD);
}

#[test]
fn ctrl_c_stops_a_rotation_at_every_wait_and_changes_nothing() {
    let server = Loopback::start();
    let down = Answer::json(502, "{}");
    server.react(NEW, down);
    let mut sandbox = sandbox(&server);
    sandbox.env("PAGER", "cat");
    store_unchecked(&sandbox, OLD);
    let typed = |sandbox: &Sandbox, command: &str| {
        let mut terminal = with_terminal_state(sandbox, &format!("{command} {NAME}"));
        terminal.wait_for("(hidden):");
        terminal.line(NEW);
        terminal
    };
    let ends = |terminal: &mut Terminal| {
        terminal.keys("\x03");
        terminal.wait_for("as-before");
        assert!(terminal.screen().contains("code 130"), "{}", terminal.screen());
        assert_stored(&sandbox, OLD);
    };
    // At the question whether to store it anyway.
    for command in ["store", "rotate"] {
        let mut terminal = typed(&sandbox, command);
        terminal.wait_for("[y/N]");
        ends(&mut terminal);
    }
    // While the new token is checked.
    server.react(NEW, support::loopback::Fault::HangBeforeHeaders);
    let before = server.attempts(NEW);
    let mut terminal = typed(&sandbox, "rotate");
    terminal.wait_until("the new token is checked", || server.attempts(NEW) > before);
    ends(&mut terminal);
    // While the old token is checked, after the new one has passed.
    server.accept(NEW);
    server.react(NEW, Answer::json(200, "{\"login\":\"octo-op\",\"id\":1,\"type\":\"User\"}"));
    server.react(OLD, support::loopback::Fault::HangBeforeHeaders);
    let mut terminal = typed(&sandbox, "rotate");
    terminal.wait_until("the old token is checked", || server.attempts(OLD) > 0);
    terminal.wait_for("[PASS]");
    ends(&mut terminal);
}

#[test]
fn ctrl_c_in_the_pager_does_not_stop_rotate() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    // A pager that ignores ^C, like less.
    sandbox.env("PAGER", "trap 'echo interrupted' INT; cat; echo paging; read -r x </dev/tty; read -r x </dev/tty");
    let mut rotate = terminal(&sandbox, RAXX, &["rotate", NAME]);
    rotate.wait_for("paging");
    rotate.keys("\x03");
    rotate.wait_for("interrupted");
    rotate.keys("\r\r");
    rotate.wait_for("(hidden):");
    rotate.line(NEW);
    assert_eq!(rotate.end(), 0, "{}", rotate.screen());
    assert_stored(&sandbox, NEW);
}

#[test]
fn a_signal_in_the_pager_stops_rotate() {
    let server = Loopback::start();
    let mut sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    sandbox.env("PAGER", "cat; trap 'echo closed; exit' TERM; echo paging; read -r x </dev/tty; read -r x </dev/tty");
    for (name, code) in [("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
        let terminal = with_terminal_state(&sandbox, &format!("rotate {NAME}"));
        terminal.wait_for("paging");
        signal(&sandbox, name);
        terminal.wait_for(&format!("code {code}"));
        terminal.wait_for("as-before");
        assert_eq!(terminal.times("(hidden)"), 0, "{name}: {}", terminal.screen());
    }
    assert_stored(&sandbox, OLD);
}

#[test]
fn a_signal_as_the_pager_exits_is_not_lost() {
    let server = Loopback::start();
    let mut sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    sandbox.env("PAGER", "cat; echo $$ >pager; echo paging; read -r x </dev/tty");
    for round in 0..8 {
        let mut terminal = with_terminal_state(&sandbox, &format!("rotate {NAME}"));
        terminal.wait_for("paging");
        // Both happen before raxx checks for signals again.
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
    assert_stored(&sandbox, OLD);
}

#[test]
fn ctrl_c_after_storing_never_loses_the_value() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    // The signal arrives while raxx runs tmux.
    program_first(&mut sandbox, "tmux", "kill -INT $PPID; exec sleep 5");
    let out = with_input(&sandbox, &["rotate", NAME, "--stdin", "--shell", "zsh"], NEW);
    assert_eq!((out.status.code(), text(&out.stdout)), (Some(130), String::new()), "{}", text(&out.stderr));
    assert!(!is_reported(&text(&out.stderr)), "{}", text(&out.stderr));
    assert_stored(&sandbox, OLD);
}

/// Whether raxx reported that the value is in the store or was deleted: a line with its name and the store's.
fn is_reported(stderr: &str) -> bool {
    let mut lines = stderr.lines().filter(|line| line.starts_with("raxx: ") && line.contains(NAME));
    lines.any(|line| line.contains("store file") || line.contains("Secret Service"))
}

/// The output of `raxx ARGUMENTS` when a signal arrives `after` the request to the provider, or after the start if there is
/// none.
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

/// Sends signals at many moments. Each time, the store must match what raxx reported, and the shell must get a stored value.
fn assert_store_matches_reports(sandbox: &Sandbox, server: &Loopback) {
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
        store_unchecked(sandbox, if forgets { NEW } else { OLD });
        if arguments[0] == "import" {
            assert!(sandbox.run(&["forget", NAME, "--yes"]).status.success());
        }
        let before = stored_code(sandbox);
        let out = signaled(sandbox, server, arguments, signal, after);
        let said = text(&out.stderr);
        let context = format!("{arguments:?}, {signal} after {after:?}: {said}");
        // raxx may not handle signals yet.
        let ended = [Some(0), Some(code), None].contains(&out.status.code());
        assert!(ended, "{:?}, {context}", out.status);
        let done = is_reported(&said);
        let now = stored_code(sandbox);
        match (done, forgets) {
            (true, true) => assert_eq!(now, "", "{context}"),
            (true, false) => assert_eq!(now, new, "{context}"),
            (false, _) => assert_eq!(now, before, "{context}"),
        }
        assert_eq!(text(&out.stdout).starts_with(&new), done && !forgets, "{context}");
        finished += usize::from(done);
    }
    assert!(finished > 0, "every signal came before the report");
}

#[test]
fn a_signal_during_a_store_file_write_takes_effect_after_the_report() {
    let server = Loopback::start();
    server.accept(NEW);
    server.accept(OLD);
    assert_store_matches_reports(&sandbox(&server), &server);
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_during_a_secret_service_write_takes_effect_after_the_report() {
    let server = Loopback::start();
    server.accept(NEW);
    server.accept(OLD);
    let mut sandbox = sandbox(&server);
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox
        .config(&config.replace("backend = \"file\"\nidentity = \"~/identity.txt\"", "backend = \"secret-service\""));
    let _keyring = crate::keyring::Keyring::start(&mut sandbox);
    assert_store_matches_reports(&sandbox, &server);
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_while_the_store_hangs_exits_with_a_report() {
    use crate::keyring::{Behavior, Service, StandIn};
    let server = Loopback::start();
    let mut sandbox = sandbox(&server);
    let config = fs::read_to_string(sandbox.root().join("config.toml")).unwrap();
    sandbox
        .config(&config.replace("backend = \"file\"\nidentity = \"~/identity.txt\"", "backend = \"secret-service\""));
    let silent = Service { refuses_changes_with: Some(""), ..Service::default() };
    let store = StandIn::start(&mut sandbox, Behavior::Serves(silent));
    let args = ["store", NAME, "--stdin", "--no-check"];
    let mut command = std::process::Command::new(RAXX);
    command.env_clear().envs(sandbox.environment().iter().cloned()).args(args);
    let piped = std::process::Stdio::piped;
    command.stdin(piped()).stdout(piped()).stderr(piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(NEW.as_bytes()).unwrap();
    in_time(|| store.calls().iter().any(|call| call == "CreateItem").then_some(())).expect("the store gets the value");
    for signal in ["TERM", "INT"] {
        sandbox.command("kill").args(["-s", signal, &child.id().to_string()]).assert().success();
        thread::sleep(Duration::from_millis(300));
    }
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(143), "the first signal counts");
    assert!(text(&out.stderr).contains(&format!("raxx check {NAME}\n")), "{}", text(&out.stderr));
    snapshot!(sandbox, shown(&args, &out));
}

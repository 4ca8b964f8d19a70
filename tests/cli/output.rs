//! Terminal output that a pipe does not show: progress, colors, refusals, and a broken configuration above the first
//! prompt.

use crate::pty;
use crate::snapshot::snapshot;
use crate::support;

use std::path::Path;

use pty::Terminal;
use support::loopback::{Fault, Loopback};
use support::{RAXX, Sandbox};

const SLOW: &str = "HRKU-MadeUpForTheOutputTests01234567891234";
const QUICK: &str = "ghp_MadeUpForTheOutputTests0123456789cdef";

/// A slow Heroku key before a quick GitHub token.
fn two(server: &Loopback) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.config(&format!(
        "timeout = \"2s\"\n{}enabled = false\n[[credential]]\nname = \"SLOW\"\nprovider = \"heroku\"\n\
         [[credential]]\nname = \"QUICK\"\nprovider = \"github\"\n",
        server.config()
    ));
    server.accept(QUICK);
    server.react(SLOW, Fault::HangBeforeHeaders);
    sandbox.env("SLOW", SLOW).env("QUICK", QUICK).env("TERM", "xterm");
    sandbox
}

fn open(sandbox: &Sandbox, args: &[&str]) -> Terminal {
    Terminal::open(Path::new(RAXX), args, sandbox.environment(), &sandbox.home())
}

#[test]
fn each_verdict_appears_at_once_and_the_final_report_is_in_order() {
    let server = Loopback::start();
    let sandbox = two(&server);
    let mut terminal = open(&sandbox, &["check"]);
    // The quick verdict is shown in its configured position while the slow check is still running.
    terminal.wait_until("the quick verdict below the slow spinner", || {
        let screen = terminal.screen();
        let rows: Vec<&str> = screen.lines().collect();
        rows.len() == 2 && rows[0].ends_with(" SLOW") && rows[1] == "[PASS] QUICK    (redacted ghp_…cdef) — octo-op"
    });
    assert_eq!(terminal.end(), 1);
    let screen = terminal.screen();
    assert!(screen.starts_with("[FAIL] SLOW    (redacted HRKU…1234) — no response (network/Heroku down?)"), "{screen}");
    let quick = "[PASS] QUICK    (redacted ghp_…cdef) — octo-op";
    assert!(screen.ends_with(&format!("\n       type: raxx check SLOW\n{quick}")), "{screen}");
    snapshot!(sandbox, screen);
    assert!(String::from_utf8_lossy(&terminal.transcript()).contains("\x1b[1m\x1b[32m[PASS]"), "in color");
}

#[test]
fn ctrl_c_leaves_one_report_with_complete_lines() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    let config = std::fs::read_to_string(sandbox.root().join("config.toml")).expect("the configuration");
    sandbox.config(&config.replace("timeout = \"2s\"", "timeout = \"50s\""));
    let mut screens = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let mut terminal = open(&sandbox, &["check"]);
        terminal.wait_for("octo-op");
        terminal.keys("\x03");
        assert_eq!(terminal.end(), 130);
        let screen = terminal.screen();
        screens.insert(screen.trim_start_matches("^C").to_string());
    }
    assert_eq!(screens.len(), 1, "{screens:#?}");
    snapshot!(sandbox, screens.pop_first().expect("a screen"));
}

/// A shell shows `^C` only if `echoctl` is on, and never turns it on again.
#[test]
fn a_signal_during_a_check_restores_the_terminal() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    let config = std::fs::read_to_string(sandbox.root().join("config.toml")).expect("the configuration");
    sandbox.config(&config.replace("timeout = \"2s\"", "timeout = \"50s\""));
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("QUIT", 131), ("INT", 130)] {
        let script = format!(
            "{RAXX} check & raxx=$!; until stty -a | grep -q -- -echoctl; do sleep 0.05; done; \
             kill -{signal} $raxx; wait $raxx; echo code $?; stty -a | grep -Eo -- '-?echoctl'"
        );
        let (shell, home) = (pty::program("bash"), sandbox.home());
        let mut terminal = Terminal::open(&shell, &["-c", &script], sandbox.environment(), &home);
        terminal.end();
        let shown = terminal.screen();
        assert!(shown.ends_with(&format!("code {code}\nechoctl")), "{signal}: {shown}");
    }
}

#[test]
fn no_color_disables_all_colors() {
    let server = Loopback::start();
    let mut sandbox = two(&server);
    sandbox.env("NO_COLOR", "1");
    let mut terminal = open(&sandbox, &["check"]);
    assert_eq!(terminal.end(), 1);
    let shown = String::from_utf8_lossy(&terminal.transcript()).into_owned();
    assert!(!shown.contains("\x1b[1m") && !shown.contains("\x1b[3"), "{shown:?}");
}

#[test]
fn ctrl_c_leaves_the_verdicts_so_far_on_the_screen() {
    let server = Loopback::start();
    let sandbox = two(&server);
    let mut terminal = open(&sandbox, &["check"]);
    terminal.wait_for("octo-op");
    terminal.keys("\x03");
    assert_eq!(terminal.end(), 130);
    let screen = terminal.screen();
    let rows: Vec<&str> = screen.lines().rev().take(2).collect();
    assert!(rows[0].starts_with("raxx: ") && rows[1] == "[PASS] QUICK    (redacted ghp_…cdef) — octo-op", "{screen}");
}

#[test]
fn code_with_secrets_is_never_printed_to_a_terminal() {
    let server = Loopback::start();
    let sandbox = two(&server);
    let mut screens = Vec::new();
    for (args, next) in [
        (&["export", "bash"][..], "eval \"$(raxx export bash)\""),
        (&["load", "--shell", "zsh"], "raxx load"),
        (&["hook", "zsh"], "raxx check"),
    ] {
        let mut terminal = open(&sandbox, args);
        assert_eq!(terminal.end(), 2);
        let screen = terminal.screen();
        assert!(screen.starts_with("raxx: ") && screen.lines().count() == 2, "{screen}");
        assert!(screen.ends_with(&format!("\n      type: {next}")), "{screen}");
        screens.push(format!("$ raxx {}\n{screen}\n", args.join(" ")));
    }
    assert!(server.requests().is_empty());
    snapshot!(sandbox, screens.join("\n"));
}

#[test]
fn a_broken_configuration_is_reported_above_the_first_prompt() {
    for (shell, rc, args) in [("zsh", ".zshrc", vec!["-i"]), ("bash", ".bashrc", vec!["-i"])] {
        let mut sandbox = Sandbox::new();
        sandbox.config("timeout = \"10s\"\nprovidr = \"x\"\n").env("TERM", "xterm").env("PS1", "ready> ");
        let script = format!("eval \"$(raxx init {shell})\"\nPS1='ready> '\n");
        std::fs::write(sandbox.home().join(rc), script).unwrap();
        let mut terminal = Terminal::open(&pty::program(shell), &args, sandbox.environment(), &sandbox.home());
        terminal.wait_for("ready> ");
        terminal.wait_for("config.toml:2: ");
        terminal.settle();
        assert!(terminal.screen().ends_with("\nready>"), "{}", terminal.screen());
        assert_eq!(terminal.run("echo alive").output, "alive");
        assert_eq!(terminal.times("`providr`"), 1, "{}", terminal.screen());
    }
}

/// Text that controls a terminal, is invisible, or reorders a line: a window title, a bell, a right-to-left mark, a tag, a filler.
const HOSTILE: &str = "\x1b]0;title\x07\u{9b}31m\u{202e}\u{e0041}\u{3164}\u{ad}";

/// Whether any of it was printed.
fn is_unsafe(printed: &[u8]) -> bool {
    let printed = String::from_utf8_lossy(printed);
    HOSTILE.chars().filter(|c| !c.is_ascii_graphic()).any(|c| printed.contains(c))
}

#[test]
fn hostile_text_in_the_environment_cannot_control_the_terminal() {
    let server = Loopback::start();
    for variable in ["RAXX_CONFIG", "XDG_STATE_HOME", "RAXX_BOOTSTRAP_STATE_FILE", "DBUS_SESSION_BUS_ADDRESS", "HOME"] {
        let mut sandbox = two(&server);
        sandbox.unset("SLOW");
        let place = sandbox.home().join(format!("x{HOSTILE}"));
        std::fs::write(&place, "").expect("a file");
        let value = match variable {
            "DBUS_SESSION_BUS_ADDRESS" => format!("unix:path={}", place.display()),
            "RAXX_CONFIG" => {
                std::fs::write(&place, format!("name = \"{}\"", HOSTILE.replace(['\x07', '\x1b'], ""))).unwrap();
                place.display().to_string()
            }
            _ => format!("{}/sub", place.display()),
        };
        sandbox.env(variable, value);
        for args in [
            &["check"][..],
            &["check", "--json"],
            &["check", "--alert"],
            &["hook", "bash"],
            &["export", "bash", "--missing"],
            &["init", "zsh"],
            &["list"],
            &["store", "SLOW", "--stdin"],
            &["unlock"],
            &["schedule", "status"],
            &[&format!("no{HOSTILE}")],
            &["check", &format!("no{HOSTILE}")],
        ] {
            let ran = sandbox.raxx().args(args).write_stdin(SLOW).output().expect("raxx runs");
            assert!(!is_unsafe(&ran.stdout) && !is_unsafe(&ran.stderr), "{variable}: {args:?}: {ran:?}");
        }
    }
}

#[test]
fn hostile_text_in_state_files_cannot_control_the_terminal() {
    let server = Loopback::start();
    let sandbox = two(&server);
    assert_eq!(sandbox.run(&["check", "QUICK"]).status.code(), Some(0));
    let mut files = Vec::new();
    let mut dirs = vec![sandbox.state()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("the state").flatten() {
            if entry.path().is_dir() { dirs.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    let escaped: String = HOSTILE.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let mut changed = 0;
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        changed += usize::from(text.contains("octo-op"));
        std::fs::write(&file, text.replace("octo-op", &escaped)).expect("the file");
    }
    assert!(changed > 0, "no state file contains the text");
    for args in
        [&["list"][..], &["list", "--json"], &["list", "--history", "QUICK"], &["list", "--json", "--history", "QUICK"]]
    {
        let ran = sandbox.run(args);
        assert!(!is_unsafe(&ran.stdout) && !is_unsafe(&ran.stderr), "{args:?}: {ran:?}");
        assert!(!String::from_utf8_lossy(&ran.stdout).contains("\\u00"), "{args:?}: {ran:?}");
    }
}

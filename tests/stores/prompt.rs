//! The hidden prompt: typed or pasted text is never shown, and only the value is accepted.

use crate::snapshot::snapshot;
use crate::support;
use crate::support::RAXX;
use crate::support::loopback::{Answer, ClosedPort, Loopback};
use crate::token::{
    NAME, NEW, OLD, assert_stored, piped, said_by_raxx, sandbox, sandbox_at, store_unchecked, terminal,
};

#[test]
fn typed_input_is_never_shown() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    for round in 0..30 {
        let mut terminal = terminal(&sandbox, RAXX, &["store", NAME]);
        // At once: raxx accepts input as soon as the question is visible.
        terminal.wait_for_now(&format!("{NAME} (hidden):"));
        terminal.line(NEW);
        assert_eq!(terminal.end(), 0, "round {round}: {}", terminal.screen());
        assert!(terminal.times(&NEW[..12]) == 0, "round {round}: {}", terminal.screen());
    }
    assert_stored(&sandbox, NEW);
}

#[test]
fn input_typed_before_the_question_is_not_its_answer() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let script = format!("read -r go; exec raxx store {NAME}");
    let mut terminal = terminal(&sandbox, "/bin/bash", &["--norc", "-c", &script]);
    terminal.keys("go\rtyped-too-early\r");
    terminal.wait_for("(hidden):");
    terminal.line(NEW);
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    assert_stored(&sandbox, NEW);
}

#[test]
fn editing_keys_work_and_all_others_are_input() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    for keys in ["ghp_ab\tc\x1b[31md\r", "ghp_ab\x19c\r", "ghp_ab\x04\r"] {
        let mut terminal = terminal(&sandbox, RAXX, &["store", NAME, "--no-check"]);
        terminal.wait_for("(hidden):");
        terminal.keys(keys);
        assert_eq!(terminal.end(), 2, "{}", terminal.screen());
        snapshot!(sandbox, "a_control_character", terminal.screen());
    }
    let mut nothing = terminal(&sandbox, RAXX, &["store", NAME]);
    nothing.wait_for("(hidden):");
    nothing.keys("\x04");
    assert_eq!(nothing.end(), 2, "{}", nothing.screen());
    snapshot!(sandbox, "nothing_typed", nothing.screen());
    let mut empty = terminal(&sandbox, RAXX, &["store", NAME]);
    empty.wait_for("(hidden):");
    empty.keys("\r");
    assert_eq!(empty.end(), 2, "{}", empty.screen());
    snapshot!(sandbox, "an_empty_line", empty.screen());
    assert_stored(&sandbox, OLD);
    let mut edited = terminal(&sandbox, RAXX, &["store", NAME]);
    edited.wait_for("(hidden):");
    edited.line(&format!("wrong\x15{NEW}x\x7f"));
    assert_eq!(edited.end(), 0, "{}", edited.screen());
    assert_stored(&sandbox, NEW);
}

#[test]
fn a_value_longer_than_a_terminal_line_is_read_completely() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    let long = "x".repeat(6_000);
    let mut terminal = terminal(&sandbox, RAXX, &["store", NAME, "--no-check"]);
    terminal.wait_for("(hidden):");
    terminal.line(&long);
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    assert_stored(&sandbox, &long);
}

#[test]
fn oversized_input_is_refused_at_once() {
    let server = Loopback::start();
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let mut terminal = terminal(&sandbox, RAXX, &["store", NAME, "--no-check"]);
    terminal.wait_for("(hidden):");
    // Sends no more than raxx reads, so that no input is left over.
    terminal.keys(&"x".repeat(64 * 1024 + 1));
    assert_eq!(terminal.end(), 2, "{}", terminal.screen());
    snapshot!(sandbox, terminal.screen());
    assert_stored(&sandbox, OLD);
}

#[test]
fn without_job_control_ctrl_z_does_not_suspend() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let mut terminal = terminal(&sandbox, RAXX, &["store", NAME]);
    terminal.answer("(hidden):", "half\x1a");
    terminal.answer("(hidden):", NEW);
    assert_eq!(terminal.end(), 0, "{}", terminal.screen());
    assert_eq!((terminal.times("half"), terminal.times(NEW)), (0, 0), "{}", terminal.screen());
    snapshot!(sandbox, said_by_raxx(&terminal));
    assert_stored(&sandbox, NEW);
}

#[test]
fn yes_is_case_insensitive() {
    let closed = ClosedPort::new();
    let sandbox = sandbox_at(&support::loopback::config(&closed.url()));
    let mut store = terminal(&sandbox, RAXX, &["store", NAME]);
    store.wait_for("(hidden):");
    store.line(NEW);
    store.wait_for("[y/N]");
    store.line("Yes");
    assert_eq!(store.end(), 0, "{}", store.screen());
    assert_stored(&sandbox, NEW);
}

#[test]
fn a_paste_of_several_lines_stores_nothing_and_runs_nothing() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let mut bash = terminal(&sandbox, "/bin/bash", &["--norc", "-i"]);
    bash.line(&format!("raxx store {NAME}"));
    bash.wait_for("(hidden):");
    bash.keys(&format!("{NEW}\recho ran-$((40+2))\r"));
    bash.wait_for("raxx: ");
    bash.settle();
    assert_eq!(bash.times("ran-42"), 0, "{}", bash.screen());
    snapshot!(sandbox, said_by_raxx(&bash));
    assert_stored(&sandbox, OLD);
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
    // The value is being sent to the provider when the rest arrives.
    bash.wait_until("the provider gets the value", || server.attempts(NEW) > 0);
    bash.line("echo ran-$((40+2))");
    // At the question, the terminal accepts typed input again.
    bash.wait_for("[y/N]");
    bash.line("n");
    bash.wait_for("raxx: ");
    bash.settle();
    assert_eq!((bash.times("ran-42"), bash.times("echo ran")), (0, 0), "{}", bash.screen());
}

#[test]
fn a_line_end_after_the_pasted_value_is_not_a_second_line() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let mut store = terminal(&sandbox, RAXX, &["store", NAME]);
    store.wait_for("(hidden):");
    store.keys(&format!("{NEW}\r\n\r"));
    assert_eq!(store.end(), 0, "{}", store.screen());
    assert_stored(&sandbox, NEW);
}

#[test]
fn stdin_on_a_terminal_is_hidden_too_and_questions_are_asked() {
    let closed = ClosedPort::new();
    let sandbox = sandbox_at(&support::loopback::config(&closed.url()));
    let mut store = terminal(&sandbox, RAXX, &["store", NAME, "--stdin"]);
    store.wait_for(&format!("{NAME} (hidden):"));
    store.line(NEW);
    store.wait_for("[y/N]");
    store.line("y");
    assert_eq!(store.end(), 0, "{}", store.screen());
    assert_eq!(store.times(&NEW[..12]), 0);
    assert_stored(&sandbox, NEW);
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
    // The shell's line editor has its own mode, so the test checks the mode that a program gets.
    shell.line("stty -a | tr ' ' '\\n' | grep -x -e echo -e icanon -e iexten | tr '\\n' '+'; echo .");
    shell.wait_for("icanon+iexten+echo+.");
    shell.line("fg");
    shell.wait_for_times("(hidden):", 2);
    shell.line(NEW);
    shell.wait_for("[PASS]");
    shell.settle();
    assert_eq!((shell.times("half"), shell.times(NEW)), (0, 0), "{}", shell.screen());
    shell.line("exit");
    assert_eq!(shell.end(), 0, "{}", shell.screen());
    assert_stored(&sandbox, NEW);
}

#[test]
fn a_pasted_line_gives_its_value_and_removed_text_is_reported() {
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
        store_unchecked(&sandbox, OLD);
        let mut store = terminal(&sandbox, RAXX, &["store", NAME]);
        store.wait_for("(hidden):");
        store.line(&pasted);
        assert_eq!(store.end(), 0, "{pasted:?}: {}", store.screen());
        assert_eq!(store.times(NEW), 0, "{}", store.screen());
        assert_stored(&sandbox, NEW);
    }
    store_unchecked(&sandbox, OLD);
    let (spaces, code) = piped(&sandbox, &["store", NAME, "--stdin"], &format!(" {NEW}\t\n"));
    assert_eq!(code, 0, "{spaces}");
    assert_stored(&sandbox, NEW);
    store_unchecked(&sandbox, OLD);
    let (line, code) = piped(&sandbox, &["store", NAME, "--stdin"], &format!("export {NAME}=' {NEW}'\n"));
    assert_eq!(code, 0, "{line}");
    assert_stored(&sandbox, NEW);
    snapshot!(sandbox, spaces + &line);
}

/// The question depends on what is known about the value.
#[test]
fn each_unverified_value_has_its_question() {
    let server = Loopback::start();
    let forbidden = "{\"message\":\"Resource not accessible by personal access token\",\"status\":\"403\"}";
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    for (name, answer) in [("limited", Answer::json(403, forbidden)), ("refused", Answer::json(401, "{}"))] {
        server.react(NEW, answer);
        let mut store = terminal(&sandbox, RAXX, &["store", NAME]);
        store.wait_for("(hidden):");
        store.line(NEW);
        store.wait_for("[y/N]");
        store.line("n");
        assert_eq!(store.end(), 1, "{}", store.screen());
        snapshot!(sandbox, format!("a_{name}_value_on_a_terminal"), store.screen());
        let (shown, code) = piped(&sandbox, &["store", NAME, "--stdin"], NEW);
        assert_eq!(code, 1);
        snapshot!(sandbox, format!("a_{name}_value_in_a_pipe"), shown);
    }
    assert_stored(&sandbox, OLD);
}

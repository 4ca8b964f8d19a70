//! `raxx import`: values are found, verified and stored, and no file is changed.

use std::fs;

use crate::support;
use crate::support::loopback::{Answer, ClosedPort, Loopback};
use crate::support::text;
use crate::token::{NAME, NEW, OLD, given, holds, said, sandbox, sandbox_at};

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

//! `raxx import`: values are found, verified and stored, and no file is changed.

use std::fs;

use crate::snapshot::snapshot;
use crate::support;
use crate::support::loopback::{Answer, ClosedPort, Loopback};
use crate::token::{NAME, NEW, OLD, assert_stored, piped, sandbox, sandbox_at, store_unchecked};

#[test]
fn import_verifies_stores_and_says_which_lines_to_delete() {
    let server = Loopback::start();
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    let zshenv = sandbox.home().join(".zshenv");
    let env = sandbox.home().join(".env");
    let before = format!("export PATH=\"$PATH:/opt\"\nexport {NAME}='{NEW}' # mine\nexport {NAME}=$(op read x)\n");
    fs::write(&zshenv, &before).unwrap();
    fs::write(&env, format!("{NAME}={OLD}\n")).unwrap();
    sandbox.env(NAME, OLD);
    let (all, code) = piped(&sandbox, &["import"], "");
    assert_eq!(code, 0, "{all}");
    let (zshenv_name, env_name) = (zshenv.display(), env.display());
    for parts in [
        [NAME, "(redacted ghp_…1old) — HTTP 401 (invalid or expired)"],
        [&format!("{zshenv_name}:2"), "(redacted ghp_…2new)"],
        [&format!("raxx: {zshenv_name}:2 "), NAME],
        [&format!("raxx: {zshenv_name}:3 "), NAME],
        [&format!("raxx: {env_name}:1 "), NAME],
    ] {
        assert!(all.lines().any(|line| parts.iter().all(|part| line.contains(part))), "no {parts:?} in\n{all}");
    }
    assert_eq!(fs::read_to_string(&zshenv).unwrap(), before, "no file is changed");
    sandbox.unset(NAME);
    assert_stored(&sandbox, NEW);
    let (again, code) = piped(&sandbox, &["import"], "");
    assert_eq!(code, 0, "{again}");
    snapshot!(sandbox, all + &again);
}

#[test]
fn import_never_suggests_deleting_the_only_copy_of_an_unverified_value() {
    let closed = ClosedPort::new();
    let sandbox = sandbox_at(&support::loopback::config(&closed.url()));
    let file = sandbox.home().join("tokens");
    fs::write(&file, format!("{NAME}={NEW}\n")).unwrap();
    let (unchecked, code) = piped(&sandbox, &["import", file.to_str().unwrap()], "");
    assert!(code == 1 && unchecked.contains(&format!("raxx: {}:1 ", file.display())), "{unchecked}");
    assert!(!unchecked.contains("delete"), "{unchecked}");
    let (absent, code) = piped(&sandbox, &["import", "absent"], "");
    assert!(code == 2 && absent.contains("raxx: absent: "), "{absent}");
    let (nothing, code) = piped(&sandbox, &["import"], "");
    assert!(code == 1 && nothing.contains("raxx store NAME"), "{nothing}");
    snapshot!(sandbox, unchecked + &absent + &nothing);
}

#[test]
fn a_stored_value_that_works_is_not_replaced_by_an_import() {
    let server = Loopback::start();
    server.accept(OLD);
    server.accept(NEW);
    let mut sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    sandbox.env(NAME, NEW);
    let (shown, code) = piped(&sandbox, &["import"], "");
    assert_eq!(code, 0, "{shown}");
    snapshot!(sandbox, shown);
    sandbox.unset(NAME);
    assert_stored(&sandbox, OLD);
}

#[test]
fn an_import_says_how_to_replace_the_stored_value() {
    let server = Loopback::start();
    server.accept(OLD);
    let sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    let file = sandbox.home().join("tokens");
    fs::write(&file, format!("{NAME}={NEW}\n")).unwrap();
    let (shown, code) = piped(&sandbox, &["import", file.to_str().unwrap()], "");
    assert!(code == 0 && shown.contains(&format!("raxx: {}:1 ", file.display())), "{shown}");
    assert!(shown.contains(&format!("raxx store {NAME}\n")), "{shown}");
    snapshot!(sandbox, shown);
    assert_stored(&sandbox, OLD);
}

#[test]
fn an_import_replaces_only_values_that_the_provider_rejects() {
    let server = Loopback::start();
    server.accept(NEW);
    server.react(OLD, Answer::json(502, "{}"));
    let mut sandbox = sandbox(&server);
    store_unchecked(&sandbox, OLD);
    sandbox.env(NAME, NEW);
    assert_eq!(piped(&sandbox, &["import"], "").1, 0);
    sandbox.unset(NAME);
    assert_stored(&sandbox, OLD);
}

#[test]
fn a_line_with_more_than_a_plain_value_is_never_suggested_for_deletion() {
    let server = Loopback::start();
    server.accept(NEW);
    let sandbox = sandbox(&server);
    let file = sandbox.home().join(".zshrc");
    fs::write(&file, format!("export {NAME}={NEW}; export FOO=bar\nif true; then\n  export {NAME}={NEW}\nfi\n"))
        .unwrap();
    let (all, code) = piped(&sandbox, &["import"], "");
    assert_eq!(code, 0, "{all}");
    for line in [1, 3] {
        assert!(all.contains(&format!("raxx: {}:{line} ", file.display())), "{all}");
    }
    assert!(!all.contains("delete"), "{all}");
    snapshot!(sandbox, all);
}

#[test]
fn a_credential_without_a_store_item_is_not_imported() {
    let server = Loopback::start();
    let mut sandbox = sandbox(&server);
    sandbox.env("HOMELESS", NEW);
    let (shown, code) = piped(&sandbox, &["import"], "");
    assert!(code == 1 && shown.contains("HOMELESS"), "{shown}");
    snapshot!(sandbox, shown);
}
